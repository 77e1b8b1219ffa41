//! Every number, level and list that an organisation may set, with its default. One typed value; no
//! rule has a constant of its own.

use serde::{Deserialize, Serialize};

use crate::cbor::{Decode, Encode};
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

/// What phones must know of the settings. Every welcome brings it; a phone keeps the last that it heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PhoneSettings {
    /// As in [`Settings`].
    #[n(0)]
    pub late_upload_minutes: i64,
    /// As in [`Settings`].
    #[n(1)]
    pub position_allowed: bool,
}

impl From<&Settings> for PhoneSettings {
    fn from(settings: &Settings) -> Self {
        let &Settings { late_upload_minutes, position_allowed, .. } = settings;
        Self { late_upload_minutes, position_allowed }
    }
}

impl Default for PhoneSettings {
    fn default() -> Self {
        Self::from(&Settings::default())
    }
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
