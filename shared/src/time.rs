//! The three times of every entry: when it took place (as stated), when it was recorded (the device's
//! claim, corrected), and when the server received it. Knows no clock: `now` is always an argument.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeZone, Utc};
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970-01-01T00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct UtcMillis(#[n(0)] pub i64);

impl UtcMillis {
    /// The instant as ISO 8601 with the given offset from UTC, to the second.
    pub fn to_iso(self, offset_minutes: i32) -> String {
        let offset = FixedOffset::east_opt(offset_minutes.clamp(-1439, 1439) * 60)
            .expect("an offset below a day is valid");
        match Utc.timestamp_millis_opt(self.0).single() {
            Some(instant) => instant.with_timezone(&offset).format("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            None => format!("@{}", self.0),
        }
    }

    /// The calendar day at the given offset from UTC.
    pub fn day(self, offset_minutes: i32) -> Option<NaiveDate> {
        let shifted = self.0.checked_add(i64::from(offset_minutes) * 60_000)?;
        Some(DateTime::from_timestamp_millis(shifted)?.date_naive())
    }
}

/// What a driver knows of time when it calls a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The device's own wall clock, which may be wrong by years and may jump.
    pub wall: UtcMillis,
    /// Milliseconds of a clock that never runs backwards; its origin means nothing.
    pub monotonic_ms: u64,
    /// Minutes east of UTC in the person's time zone, such as 480 in China.
    pub offset_minutes: i32,
}

/// How much a recorded time may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Quality {
    /// The device's clock was compared with the server's in the run of the program that recorded.
    #[n(0)]
    Ok,
    /// Corrected by an offset measured in an earlier run.
    #[n(1)]
    Estimated,
    /// Never compared, or the clock jumped since, or the claim contradicts the receipt.
    #[n(2)]
    Suspect,
}

/// When something was recorded, as the device claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
pub struct Recorded {
    /// The device's clock, corrected by the last known offset to the server's.
    #[n(0)]
    pub at: UtcMillis,
    /// What the device's clock itself showed.
    #[n(1)]
    pub device: UtcMillis,
    /// How much `at` may be trusted.
    #[n(2)]
    pub quality: Quality,
    /// The person's time zone, in minutes east of UTC.
    #[n(3)]
    pub offset_minutes: i32,
}

/// When something took place, as a person stated it: a day, or a day and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatedTime {
    /// A plain day, as paper records have it.
    Day(NaiveDate),
    /// A time of day with the offset from UTC that the person lived in.
    Instant(DateTime<FixedOffset>),
}

/// Says that a text is neither `2026-11-22` nor `2026-11-22T09:10:00+08:00`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: expected 2026-11-22 or 2026-11-22T09:10:00+08:00")]
pub struct ParseTimeError;

impl StatedTime {
    /// The first instant that the statement covers: a plain day begins at midnight in China (+08:00).
    pub fn begins(self) -> UtcMillis {
        match self {
            StatedTime::Day(day) => {
                let midnight = day.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc();
                UtcMillis(midnight.timestamp_millis() - 8 * 3_600_000)
            }
            StatedTime::Instant(instant) => UtcMillis(instant.timestamp_millis()),
        }
    }

    /// The calendar day that the person meant.
    pub fn day(self) -> NaiveDate {
        match self {
            StatedTime::Day(day) => day,
            StatedTime::Instant(instant) => instant.date_naive(),
        }
    }
}

impl FromStr for StatedTime {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        if text.len() == 10 {
            return NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Self::Day).map_err(|_| ParseTimeError);
        }
        DateTime::parse_from_rfc3339(text).map(Self::Instant).map_err(|_| ParseTimeError)
    }
}

impl fmt::Display for StatedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatedTime::Day(day) => write!(f, "{}", day.format("%Y-%m-%d")),
            StatedTime::Instant(instant) => write!(f, "{}", instant.format("%Y-%m-%dT%H:%M:%S%:z")),
        }
    }
}

impl<C> Encode<C> for StatedTime {
    fn encode<W: encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        encoder.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for StatedTime {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let position = decoder.position();
        decoder.str()?.parse().map_err(|_| decode::Error::message("not a stated time").at(position))
    }
}

impl Serialize for StatedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StatedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
