//! The three times of every entry: when it took place (as stated), when it was recorded (the device's
//! claim, corrected), and when the server received it. Knows no clock: `now` is always an argument.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, TimeZone, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::cbor::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Write};

/// Milliseconds since 1970-01-01T00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UtcMillis(#[n(0)] pub i64);

impl UtcMillis {
    /// The instant as ISO 8601 with the given offset from UTC, to the second.
    pub fn to_iso(self, offset_minutes: i32) -> String {
        let offset = FixedOffset::east_opt(offset_minutes.clamp(-1439, 1439) * 60)
            .expect("an offset below a day is valid");
        match Utc.timestamp_millis_opt(self.0).single() {
            Some(instant) => StatedTime::Instant(instant.with_timezone(&offset)).to_string(),
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
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
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
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "string"))]
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
        let mut digits = Digits(text.as_bytes());
        let stated = match text.len() {
            10 => digits.day().map(Self::Day),
            _ => digits.instant().map(Self::Instant),
        };
        stated.filter(|_| digits.0.is_empty()).ok_or(ParseTimeError)
    }
}

/// Reads RFC 3339 from the front. By hand, because chrono's formats bring a language of their own into the
/// phone's core (14 kB).
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    fn day(&mut self) -> Option<NaiveDate> {
        let year = self.number(4)?;
        self.one_of(b"-")?;
        let month = self.number(2)?;
        self.one_of(b"-")?;
        NaiveDate::from_ymd_opt(year.try_into().ok()?, month, self.number(2)?)
    }

    fn instant(&mut self) -> Option<DateTime<FixedOffset>> {
        let day = self.day()?;
        self.one_of(b"Tt ")?;
        let hour = self.number(2)?;
        self.one_of(b":")?;
        let minute = self.number(2)?;
        self.one_of(b":")?;
        let second = self.number(2)?;
        let nanosecond = self.fraction()?;
        let offset = self.offset()?;
        day.and_hms_nano_opt(hour, minute, second, nanosecond)?.and_local_timezone(offset).single()
    }

    /// Nanoseconds; further digits are dropped.
    fn fraction(&mut self) -> Option<u32> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let mut nanosecond = self.number(1)? * 100_000_000;
        let mut weight = 10_000_000;
        while let Some(digit) = self.number(1) {
            nanosecond += digit * weight;
            weight /= 10;
        }
        Some(nanosecond)
    }

    fn offset(&mut self) -> Option<FixedOffset> {
        let sign = self.one_of(b"+-Zz")?;
        if matches!(sign, b'Z' | b'z') {
            return FixedOffset::east_opt(0);
        }
        let hours: i32 = self.number(2)?.try_into().ok()?;
        self.one_of(b":")?;
        let minutes: i32 = self.number(2).filter(|minutes| *minutes < 60)?.try_into().ok()?;
        let seconds = (hours * 60 + minutes) * 60;
        FixedOffset::east_opt(if sign == b'-' { -seconds } else { seconds })
    }

    /// Exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        let number = number.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })?;
        self.0 = rest;
        Some(number)
    }

    fn one_of(&mut self, signs: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        signs.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }
}

impl fmt::Display for StatedTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day();
        write!(f, "{:04}-{:02}-{:02}", day.year(), day.month(), day.day())?;
        let StatedTime::Instant(instant) = self else { return Ok(()) };
        let offset_minutes = instant.offset().local_minus_utc() / 60;
        let sign = if offset_minutes < 0 { '-' } else { '+' };
        let (hours, minutes) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
        let (hour, minute, second) = (instant.hour(), instant.minute(), instant.second());
        write!(f, "T{hour:02}:{minute:02}:{second:02}{sign}{hours:02}:{minutes:02}")
    }
}

impl<C> Encode<C> for StatedTime {
    fn encode<W: Write>(&self, encoder: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        encoder.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for StatedTime {
    fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let position = decoder.position();
        decoder.str()?.parse().map_err(|_| DecodeError::message("not a stated time").at(position))
    }
}

impl Serialize for StatedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for StatedTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
