//! `daybook user …`: people with a login. Works beside a running server, which notices foreign commits.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use shared::id::{PersonId, TeamId};
use shared::ledger::{Person, Role, Team};

use crate::clock;
use crate::command::arguments::UserCommand;
use crate::http::auth::password;
use crate::hub::{self, Administration, AdministrationFailure};
use crate::outcome::{CommandError, CommandResult, Outcome, told};
use crate::store::{Lookup, SqliteStore, Store, auth};

/// A person as scripts read it.
#[derive(Serialize)]
struct PersonLine {
    id: PersonId,
    name: String,
    role: Role,
    team: Option<String>,
    active: bool,
}

/// Carries a command out.
pub fn run(command: UserCommand) -> CommandResult {
    match command {
        UserCommand::Add { name, role, team, data } => add(&data, &name, role.into(), team.as_deref()),
        UserCommand::Password { name, data } => set_password(&data, &name),
        UserCommand::List { data } => list(&data),
        UserCommand::Disable { name, data } => disable(&data, &name),
    }
}

fn add(data: &Path, name: &str, role: Role, team: Option<&str>) -> CommandResult {
    let hash = password::hash(&password_from_environment()?);
    let name = name.trim().to_owned();
    let mut store = open(data)?;
    if find(&store, &name)?.is_some() {
        return Err(told(
            "name_taken",
            format!("已有“{name}”这个人；重设密码请用 daybook user password。"),
            format!(
                "There is a person called “{name}” already; `daybook user password` sets a new password."
            ),
        ));
    }
    let team = team.map(|name| ensure_team(&mut store, name.trim())).transpose()?;
    let person = Person {
        id: PersonId(clock::random()),
        name,
        role,
        team: team.as_ref().map(|team| team.id),
        active: true,
    };
    administer(&mut store, Administration::SetPerson { person: person.clone(), by: None })?;
    auth::set_password(store.connection(), person.id, &hash).context("keeping the password")?;
    let text = format!("{} {}", person.id, person.name);
    let team = team.map(|team| team.name);
    let line = PersonLine { id: person.id, name: person.name, role, team, active: true };
    Ok(Outcome::new(line, text))
}

fn set_password(data: &Path, name: &str) -> CommandResult {
    let hash = password::hash(&password_from_environment()?);
    let mut store = open(data)?;
    let person = find(&store, name)?.ok_or_else(|| nobody(name))?;
    auth::set_password(store.connection(), person.id, &hash).context("keeping the password")?;
    line(&store, person)
}

fn list(data: &Path) -> CommandResult {
    let store = open(data)?;
    let people = store.lookup().people().context("reading people")?;
    let teams = store.lookup().teams().context("reading teams")?;
    let lines: Vec<PersonLine> = people.into_iter().map(|person| describe(person, &teams)).collect();
    let text: String = lines
        .iter()
        .map(|line| {
            let state = if line.active { "" } else { " [停用]" };
            format!(
                "{} {} {} {}{state}\n",
                line.id,
                line.name,
                line.role.zh(),
                line.team.as_deref().unwrap_or("-")
            )
        })
        .collect();
    Ok(Outcome::new(&lines, text))
}

fn disable(data: &Path, name: &str) -> CommandResult {
    let mut store = open(data)?;
    let person = find(&store, name)?.ok_or_else(|| nobody(name))?;
    let disabled = Person { active: false, ..person };
    administer(&mut store, Administration::SetPerson { person: disabled.clone(), by: None })?;
    line(&store, disabled)
}

fn line(store: &SqliteStore, person: Person) -> CommandResult {
    let teams = store.lookup().teams().context("reading teams")?;
    let text = format!("{} {}", person.id, person.name);
    Ok(Outcome::new(describe(person, &teams), text))
}

fn describe(person: Person, teams: &[Team]) -> PersonLine {
    let team = teams.iter().find(|team| Some(team.id) == person.team).map(|team| team.name.clone());
    PersonLine { id: person.id, name: person.name, role: person.role, team, active: person.active }
}

fn find(store: &SqliteStore, name: &str) -> Result<Option<Person>, CommandError> {
    let people = store.lookup().people().context("reading people")?;
    Ok(people.into_iter().find(|person| person.name == name.trim()))
}

fn nobody(name: &str) -> CommandError {
    told("person_not_found", format!("没有“{name}”这个人。"), format!("There is nobody called “{name}”."))
}

fn ensure_team(store: &mut SqliteStore, name: &str) -> Result<Team, CommandError> {
    let known = store.lookup().teams().context("reading teams")?;
    if let Some(team) = known.into_iter().find(|team| team.name == name) {
        return Ok(team);
    }
    let team = Team { id: TeamId(clock::random()), name: name.to_owned() };
    administer(store, Administration::SetTeam { team: team.clone(), by: None })?;
    Ok(team)
}

fn password_from_environment() -> Result<String, CommandError> {
    let given = std::env::var("DAYBOOK_PASSWORD").map_err(|_| {
        told(
            "password_missing",
            "请用环境变量 DAYBOOK_PASSWORD 给出密码。",
            "Give the password in DAYBOOK_PASSWORD.",
        )
    })?;
    if given.chars().count() < password::PASSWORD_CHARS_MIN || given.len() > password::PASSWORD_BYTES_MAX {
        let least = password::PASSWORD_CHARS_MIN;
        return Err(told(
            "password_length",
            format!("密码至少 {least} 个字符。"),
            format!("A password has at least {least} characters."),
        ));
    }
    Ok(given)
}

/// Opens the store of a data folder for a command.
///
/// # Errors
/// There is none.
pub fn open(data: &Path) -> Result<SqliteStore, CommandError> {
    Ok(SqliteStore::open(data).context("opening the data folder")?)
}

/// Carries an administrator's wish out, beside a server that may be running.
///
/// # Errors
/// A rule said no; the store failed.
pub fn administer(store: &mut SqliteStore, wish: Administration) -> Result<(), CommandError> {
    match hub::administer(store, clock::utc_now(), &wish) {
        Ok(_) => Ok(()),
        Err(AdministrationFailure::Refused(refusal)) => Err(refusal.into()),
        Err(AdministrationFailure::Store(failure)) => Err(anyhow::Error::from(failure).into()),
    }
}
