//! People, roles and teams, as everybody in the organisation may see them.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::cbor::{Decode, Encode};
use crate::id::{PersonId, Scope, TeamId};
use crate::json::{Fields, FromJson};

/// What a person does in the organisation.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Role {
    /// 业务员
    #[n(0)]
    Rep,
    /// 销售内勤
    #[n(1)]
    Assistant,
    /// 销售主管 / 经理
    #[n(2)]
    Manager,
    /// 系统管理员
    #[n(3)]
    Admin,
}

impl Role {
    /// What people call it.
    pub fn zh(self) -> &'static str {
        match self {
            Role::Rep => "业务员",
            Role::Assistant => "内勤",
            Role::Manager => "经理",
            Role::Admin => "管理员",
        }
    }
}

/// A person with a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Person {
    /// The person's id.
    #[n(0)]
    pub id: PersonId,
    /// The name as shown and as typed at login.
    #[n(1)]
    pub name: String,
    /// The person's role.
    #[n(2)]
    pub role: Role,
    /// The team; a manager or assistant without one sees every team.
    #[n(3)]
    pub team: Option<TeamId>,
    /// Whether the person may log in and own customers.
    #[n(4)]
    pub active: bool,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Team {
    /// The team's id.
    #[n(0)]
    pub id: TeamId,
    /// The team's name.
    #[n(1)]
    pub name: String,
}

impl FromJson for Role {
    fn from_json(json: Json) -> Option<Self> {
        let role = match json.as_str()? {
            "rep" => Role::Rep,
            "assistant" => Role::Assistant,
            "manager" => Role::Manager,
            "admin" => Role::Admin,
            _ => return None,
        };
        Some(role)
    }
}

impl FromJson for Person {
    fn from_json(json: Json) -> Option<Self> {
        let mut json = Fields::of(json)?;
        Some(Person {
            id: json.take("id")?,
            name: json.take("name")?,
            role: json.take("role")?,
            team: json.take("team")?,
            active: json.take("active")?,
        })
    }
}

impl FromJson for Team {
    fn from_json(json: Json) -> Option<Self> {
        let mut json = Fields::of(json)?;
        Some(Team { id: json.take("id")?, name: json.take("name")? })
    }
}

/// Whom a grant names. A person acts as several principals at once; see [`Person::principals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Principal {
    /// One person.
    Person(PersonId),
    /// The managers of one team.
    TeamManagers(TeamId),
    /// Managers who see every team.
    AllManagers,
    /// Assistants and administrators, who keep the whole ledger.
    Desk,
    /// Everybody with a login.
    Everyone,
}

/// What a grant allows. Ordered: each includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Access {
    /// May read.
    #[n(0)]
    Read,
    /// May read and add comments.
    #[n(1)]
    Comment,
    /// May read, comment, edit shared descriptions and add facts.
    #[n(2)]
    Write,
}

impl Person {
    /// Every principal that this person acts as.
    pub fn principals(&self) -> Vec<Principal> {
        let mut principals = vec![Principal::Person(self.id), Principal::Everyone];
        match (self.role, self.team) {
            (Role::Rep, _) => {}
            (Role::Assistant | Role::Admin, _) => principals.push(Principal::Desk),
            (Role::Manager, Some(team)) => principals.push(Principal::TeamManagers(team)),
            (Role::Manager, None) => principals.push(Principal::AllManagers),
        }
        principals
    }

    /// The scope of notices to this person.
    pub fn scope(&self) -> Scope {
        Scope::Person(self.id)
    }
}

/// The grants that a customer owned by `owner` has, before collaborators.
pub fn customer_grants(owner: &Person) -> Vec<(Principal, Access)> {
    let mut grants = vec![
        (Principal::Person(owner.id), Access::Write),
        (Principal::Desk, Access::Write),
        (Principal::AllManagers, Access::Comment),
    ];
    if let Some(team) = owner.team {
        grants.push((Principal::TeamManagers(team), Access::Comment));
    }
    grants
}
