//! Every number, level and list that an organisation may set, with its default. One typed value; no
//! rule has a constant of its own.

use serde::{Deserialize, Serialize};

use crate::ledger::code::CodePattern;

/// The organisation's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// How customer codes look.
    pub code: CodePattern,
    /// How provisional numbers look before acceptance.
    pub provisional: CodePattern,
    /// Receipt later than recording by more than this is shown as 补传, in minutes.
    pub late_upload_minutes: i64,
    /// Minutes east of UTC of the organisation's working day.
    pub offset_minutes: i32,
    /// Whether positions may be recorded at arrival and departure (R14).
    pub position_allowed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            code: CodePattern::default(),
            provisional: CodePattern { prefix: "临".to_owned(), digits: 4 },
            late_upload_minutes: 60,
            offset_minutes: 480,
            position_allowed: true,
        }
    }
}
