//! CBOR of frames and rows: minicbor with derives of our own, whose bytes are the same. Every struct is an array
//! in field order, without the empty fields at its end; every enum an array of its number and its fields.

pub use minicbor::decode::{Decode, Error as DecodeError};
pub use minicbor::encode::{Encode, Error as EncodeError, Write};
pub use minicbor::{Decoder, Encoder};
pub use shared_derive::{Decode, Encode};

use minicbor::data::Type;

/// Reads the fields of a struct: missing ones are empty where they may be, further ones are passed over.
pub struct Fields {
    /// How many are left; none for an array that ends with a break.
    left: Option<u64>,
}

impl Fields {
    /// Enters the array.
    ///
    /// # Errors
    /// If there is none.
    pub fn begin(decoder: &mut Decoder<'_>) -> Result<Fields, DecodeError> {
        Ok(Fields { left: decoder.array()? })
    }

    /// The next field.
    ///
    /// # Errors
    /// If it is something else, or missing and never empty.
    pub fn next<'bytes, T: Decode<'bytes, ()>>(
        &mut self,
        decoder: &mut Decoder<'bytes>,
        context: &mut (),
    ) -> Result<T, DecodeError> {
        if self.has_next(decoder)? { T::decode(decoder, context) } else { T::nil().ok_or_else(missing) }
    }

    fn has_next(&mut self, decoder: &mut Decoder<'_>) -> Result<bool, DecodeError> {
        match &mut self.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(decoder.datatype()? != Type::Break),
        }
    }

    /// Leaves the array.
    ///
    /// # Errors
    /// If what is passed over is no CBOR.
    pub fn end(mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
        while self.has_next(decoder)? {
            decoder.skip()?;
        }
        if self.left.is_none() { decoder.skip() } else { Ok(()) }
    }
}

/// The number of an enum's variant; its fields follow.
///
/// # Errors
/// If there is no array of two.
pub fn variant(decoder: &mut Decoder<'_>) -> Result<u32, DecodeError> {
    match decoder.array()? {
        Some(2) => decoder.u32(),
        _ => Err(DecodeError::message("expected a number and fields")),
    }
}

/// Says that this software does not know a variant.
pub fn unknown_variant(variant: u32) -> DecodeError {
    DecodeError::unknown_variant(i64::from(variant))
}

fn missing() -> DecodeError {
    DecodeError::message("a field is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Thing {
        #[n(0)]
        number: u8,
        #[n(1)]
        word: Option<String>,
        #[n(2)]
        choice: Option<Choice>,
    }

    #[derive(Debug, PartialEq, Encode, Decode)]
    enum Choice {
        #[n(0)]
        Nothing,
        #[n(1)]
        Pair(#[n(0)] u8, #[n(1)] u8),
        #[n(2)]
        Named {
            #[n(0)]
            fields: Vec<u8>,
        },
    }

    fn thing(word: Option<&str>, choice: Option<Choice>) -> Thing {
        Thing { number: 7, word: word.map(str::to_owned), choice }
    }

    #[track_caller]
    fn check(thing: &Thing, diagnostic: &str) {
        let bytes = minicbor::to_vec(thing).expect("writing to a vector cannot fail");
        assert_eq!(minicbor::display(&bytes).to_string(), diagnostic);
        assert_eq!(&minicbor::decode::<Thing>(&bytes).expect("just encoded"), thing);
    }

    #[test]
    fn a_struct_is_an_array_without_the_empty_fields_at_its_end() {
        check(&thing(None, None), "[7]");
        check(&thing(Some("w"), None), "[7, \"w\"]");
        check(&thing(None, Some(Choice::Nothing)), "[7, null, [0, []]]");
        check(&thing(None, Some(Choice::Pair(1, 2))), "[7, null, [1, [1, 2]]]");
        check(&thing(None, Some(Choice::Named { fields: vec![3] })), "[7, null, [2, [[3]]]]");
    }

    #[test]
    fn fields_that_are_missing_or_new_are_no_error_where_they_need_not_be() {
        let read = |bytes: &[u8]| minicbor::decode::<Thing>(bytes).ok();
        assert_eq!(read(&[0x9f, 7, 0xff]), Some(thing(None, None)), "until a break");
        assert_eq!(read(&[0x84, 7, 0xf6, 0xf6, 9]), Some(thing(None, None)), "a field of newer software");
        assert_eq!(read(&[0x9f, 7, 0xf6, 0xf6, 9, 0xff]), Some(thing(None, None)));
        assert_eq!(read(&[0x80]), None, "the number is missing");
        assert_eq!(read(&[0x83, 7, 0xf6, 0x82, 9, 0x80]), None, "an unknown variant");
        assert_eq!(read(&[0x83, 7, 0xf6, 0x81, 0]), None, "a variant without fields");
        assert_eq!(read(&[0x82, 7]), None, "cut off");
    }
}
