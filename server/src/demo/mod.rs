//! An invented organisation to try things out: a trader of lubricants with two teams, sixty factories and
//! nine months of visits. Everything goes the real way (phones, hub, store) and follows from one seed and one
//! moment. Every name here is made up.

mod names;
mod notes;
mod story;
mod world;

use shared::id::{PersonId, TeamId};
use shared::ledger::{Person, Role};
use shared::time::UtcMillis;

use crate::hub::AdministrationFailure;
use crate::store::{SqliteStore, StoreFailure, auth};

/// One login of the demo.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Login {
    /// The name as typed at login.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The team's name; none sees every team.
    pub team: Option<String>,
    /// The password.
    pub password: String,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Demo {
    /// Who can log in.
    pub logins: Vec<Login>,
    /// Factories.
    pub customers: usize,
    /// Visits, voided ones included.
    pub visits: usize,
    /// Comments.
    pub comments: usize,
    /// Edits that were refused; none unless the demo breaks a rule.
    pub refused: Vec<String>,
}

/// Why the demo was not made.
#[derive(Debug, thiserror::Error)]
pub enum DemoFailure {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// People could not be set up.
    #[error(transparent)]
    Administration(#[from] AdministrationFailure),
}

/// The password of everybody in the demo. Printed; a demo is no secret.
pub const PASSWORD: &str = "daybook-demo";

/// Fills an empty store. `hash` turns the password into what the store keeps; it is called once.
///
/// # Errors
/// The store's; what was written by then stays in it.
pub fn seed(
    store: SqliteStore,
    now: UtcMillis,
    seed: u64,
    hash: impl FnOnce(&str) -> String,
) -> Result<(SqliteStore, Demo), DemoFailure> {
    let (mut store, mut demo, people) = story::tell(store, now, seed)?;
    let hash = hash(PASSWORD);
    for (person, team) in people {
        auth::set_password(store.connection(), person.id, &hash)?;
        demo.logins.push(Login { name: person.name, role: person.role, team, password: PASSWORD.to_owned() });
    }
    Ok((store, demo))
}

/// A person of the demo; the id follows from the place in the list.
fn person(number: u8, name: &str, role: Role, team: Option<TeamId>) -> Person {
    Person {
        id: PersonId([0xD0, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number]),
        name: name.to_owned(),
        role,
        team,
        active: true,
    }
}

impl Demo {
    /// What was made, as lines for a person.
    pub fn lines(&self) -> String {
        let mut lines =
            format!("{} 家客户，{} 条拜访记录，{} 条批示\n", self.customers, self.visits, self.comments);
        for login in &self.logins {
            let role = match login.role {
                Role::Rep => "业务员 rep",
                Role::Assistant => "销售内勤 assistant",
                Role::Manager => "销售经理 manager",
                Role::Admin => "系统管理员 admin",
            };
            let team = login.team.as_deref().unwrap_or("全部 all");
            lines.push_str(&format!("{}  {}  {role}  {team}\n", login.name, login.password));
        }
        lines
    }
}

#[cfg(test)]
mod tests;
