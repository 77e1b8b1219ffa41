//! The command line: what can be asked of the one binary. Each command is a function that returns an
//! outcome; only `outcome` prints.

pub mod arguments;
mod data;
mod erase;
mod people;
mod run;
mod settings;

use std::process::ExitCode;

use crate::command::arguments::{Arguments, Command};
use crate::device;
use crate::device::arguments::DeviceCommand;
use crate::outcome::{self, CommandResult};

/// Carries a command out, prints its end and says the exit status.
pub fn main(arguments: Arguments) -> ExitCode {
    // The worker's standard output is its answers: nothing else may be printed there.
    if matches!(arguments.command, Command::AdmissionWorker) {
        return run::admission_worker();
    }
    if matches!(arguments.command, Command::SheetWorker) {
        return crate::report::worker::worker_main();
    }
    let as_json = arguments.json;
    // The phone's listing commands run inside other people's pipes: no logs there unless they are asked for.
    if !matches!(arguments.command, Command::Serve { .. }) {
        run::log_to_stderr("error");
    }
    let streams = matches!(
        &arguments.command,
        Command::Device(device) if matches!(device.command, DeviceCommand::Phone(device::arguments::PhoneCommand::Watch { .. }))
    );
    let result = dispatch(arguments);
    match result {
        // What was watched is printed already, one value a line.
        Ok(outcome) if streams => ExitCode::from(u8::from(!outcome.done)),
        result => ExitCode::from(outcome::print(result, as_json)),
    }
}

fn dispatch(arguments: Arguments) -> CommandResult {
    let as_json = arguments.json;
    match arguments.command {
        Command::Init { data } => data::init(&data),
        Command::Serve { data, listen, config } => run::serve(&data, listen, config.as_deref(), as_json),
        Command::User(command) => people::run(command),
        Command::Device(device) => match device.command {
            DeviceCommand::List { data } => data::list_devices(&data),
            DeviceCommand::Quarantine { data } => data::list_quarantine(&data),
            DeviceCommand::Revoke { device, data } => data::revoke_device(&data, &device),
            DeviceCommand::Phone(command) => device::run(device.dir.as_deref(), command, as_json),
        },
        Command::Verify { data } => data::verify(&data),
        Command::Backup { file, data } => data::backup(&data, &file),
        Command::Restore { file, data } => data::restore(&file, &data),
        Command::Erase { list: true, data, .. } => erase::list(&data),
        Command::Erase { docs, data, .. } => erase::erase(&data, &docs),
        Command::Settings { position_allowed, late_upload_minutes, data } => {
            settings::run(&data, position_allowed, late_upload_minutes)
        }
        Command::Demo { data } => data::demo(&data),
        Command::AdmissionWorker | Command::SheetWorker => unreachable!("`main` takes these"),
    }
}
