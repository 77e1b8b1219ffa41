//! The shell scripts of `tests/scripts`, which use nothing but the commands promised to scripts.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use daybook_tests::process::{daybook, free_address};

// CLI, S3
#[test]
fn two_phones_edit_one_card_without_signal_and_both_values_stay() -> Result<()> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/two-phones.sh");
    let address = free_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let output = Command::new(script).arg(daybook()).arg(port).output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "the script ended with {}:\n{said}", output.status);
    Ok(())
}
