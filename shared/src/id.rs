//! Identifiers. Every one is a newtype over fixed bytes, so that a document id can never be passed
//! where a person's is meant. Deliberately knows nothing of how an id is drawn: see [`crate::entropy`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::cbor::{Decode, DecodeError, Decoder, Encode, EncodeError, Encoder, Write};
use crate::json::FromJson;

/// Says that a text is not the lowercase hexadecimal form of an identifier of the expected length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier: expected {expected} hexadecimal digits")]
pub struct ParseIdError {
    /// The number of digits that a valid identifier has.
    pub expected: usize,
}

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let mut bytes = [0; N];
    fill_from_hex(&mut bytes, text.as_bytes()).map(|()| bytes).ok_or(ParseIdError { expected: N * 2 })
}

fn fill_from_hex(bytes: &mut [u8], digits: &[u8]) -> Option<()> {
    if digits.len() != bytes.len() * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(())
}

/// Bytes as lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(test, derive(ts_rs::TS), ts(type = "string"))]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// The number of bytes.
            pub const LENGTH: usize = $length;

            /// Takes the identifier's bytes from a slice of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The identifier's bytes.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), hex(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&hex(&self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl FromJson for $name {
            fn from_json(json: serde_json::Value) -> Option<Self> {
                json.as_str()?.parse().ok()
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: Write>(
                &self,
                encoder: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), EncodeError<W::Error>> {
                encoder.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                let position = decoder.position();
                Self::from_slice(decoder.bytes()?).ok_or_else(|| {
                    DecodeError::message(concat!("wrong length of ", stringify!($name))).at(position)
                })
            }
        }
    };
}

identifier!(
    /// A document: customer card, visit, comment. Drawn at random by the device that creates it.
    DocId, 16
);
identifier!(
    /// A person with a login.
    PersonId, 16
);
identifier!(
    /// A team; its managers see its members' customers.
    TeamId, 16
);
identifier!(
    /// One installation of the phone's software, as the server registered it at login.
    DeviceId, 16
);
identifier!(
    /// An Automerge actor. It belongs to the device that first used it, for ever.
    ActorId, 16
);
identifier!(
    /// What makes a ledger command idempotent: drawn by the device that first issues the command.
    RequestId, 16
);
identifier!(
    /// One life of a server's store. A restore from a backup begins a new one (S14).
    IncarnationId, 16
);
identifier!(
    /// The SHA-256 of a change chunk's body, which is Automerge's name for the change.
    ChangeHash, 32
);

/// The position of one committed thing in the server's log. Strictly increasing, never reused
/// within one incarnation; 0 stands before everything.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Seq(#[n(0)] pub u64);

impl FromJson for Seq {
    fn from_json(json: serde_json::Value) -> Option<Self> {
        json.as_u64().map(Seq)
    }
}

/// What a permission covers. Every document and every ledger event has exactly one scope.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Scope {
    /// A customer: the card, its visits and comments, its ledger events. The id is the card's.
    #[n(0)]
    Customer(#[n(0)] DocId),
    /// A person: notices to that person; later plans and day reports.
    #[n(1)]
    Person(#[n(0)] PersonId),
    /// The whole organisation: people, teams, settings.
    #[n(2)]
    Organisation,
}

impl Scope {
    /// The customer that this scope stands for, if it is a customer's.
    pub fn customer(self) -> Option<DocId> {
        match self {
            Scope::Customer(id) => Some(id),
            Scope::Person(_) | Scope::Organisation => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_survives_text_and_cbor() {
        let id = DocId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        let bytes = minicbor::to_vec(id).expect("writing to a vector cannot fail");
        assert_eq!(minicbor::decode::<DocId>(&bytes).expect("just encoded"), id);
    }

    #[test]
    fn a_text_of_another_length_or_alphabet_is_no_identifier() {
        assert!("abcd".parse::<DocId>().is_err());
        assert!("zz".repeat(16).parse::<DocId>().is_err());
        assert!("é".repeat(16).parse::<DocId>().is_err());
    }
}
