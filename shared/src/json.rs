//! JSON between the core and screens. What screens send (edits, commands, queries, profiles) is read by hand over
//! one generic tree, because derived readers of tagged enums cost the phone's core 120 kB. Writing is derived
//! (`serde::Serialize`), without fractions.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::sorted;

/// Says that a text is not the JSON of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON that was expected")]
pub struct JsonError;

/// What can be read from JSON.
pub trait FromJson: Sized {
    /// Reads a value; `None` if it is another kind of thing. A missing field is read as `null`.
    fn from_json(json: Json) -> Option<Self>;
}

/// Reads a text.
///
/// # Errors
/// If it is no JSON, or the JSON of something else.
pub fn parse<T: FromJson>(text: &str) -> Result<T, JsonError> {
    let json = serde_json::from_str(text).map_err(|_| JsonError)?;
    T::from_json(json).ok_or(JsonError)
}

/// Writes a value. Nothing here holds fractions; one would be written as `null`.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, WholeNumbers);
    value.serialize(&mut serializer).expect("memory can be written, and keys are texts");
    bytes
}

/// Writes a value as text, see [`write`].
pub fn write_text(value: &impl Serialize) -> String {
    String::from_utf8(write(value)).expect("JSON is text")
}

/// Compact, without the tables that printing a fraction takes (15 kB).
struct WholeNumbers;

impl serde_json::ser::Formatter for WholeNumbers {
    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, _: f32) -> io::Result<()> {
        self.write_null(writer)
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, _: f64) -> io::Result<()> {
        self.write_null(writer)
    }
}

/// The fields of an object. Those that nobody takes are ignored.
pub struct Fields(Map<String, Json>);

impl Fields {
    /// The fields, if it is an object.
    pub fn of(json: Json) -> Option<Fields> {
        match json {
            Json::Object(fields) => Some(Fields(fields)),
            _ => None,
        }
    }

    /// Takes a field.
    pub fn take<T: FromJson>(&mut self, key: &str) -> Option<T> {
        T::from_json(self.0.remove(key).unwrap_or(Json::Null))
    }
}

impl FromJson for Json {
    fn from_json(json: Json) -> Option<Self> {
        Some(json)
    }
}

impl FromJson for String {
    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::String(text) => Some(text),
            _ => None,
        }
    }
}

impl FromJson for bool {
    fn from_json(json: Json) -> Option<Self> {
        json.as_bool()
    }
}

impl FromJson for i64 {
    fn from_json(json: Json) -> Option<Self> {
        json.as_i64()
    }
}

impl FromJson for u64 {
    fn from_json(json: Json) -> Option<Self> {
        json.as_u64()
    }
}

impl FromJson for usize {
    fn from_json(json: Json) -> Option<Self> {
        json.as_u64()?.try_into().ok()
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(json: Json) -> Option<Self> {
        match json {
            Json::Null => Some(None),
            json => T::from_json(json).map(Some),
        }
    }
}

impl<T: FromJson> FromJson for sorted::Map<String, T> {
    fn from_json(json: Json) -> Option<Self> {
        let mut values = sorted::Map::new();
        for (key, json) in Fields::of(json)?.0 {
            values.insert(key, T::from_json(json)?);
        }
        Some(values)
    }
}
