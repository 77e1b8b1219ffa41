//! A reader over borrowed bytes: LEB128 in its shortest form only, and slices. Allocates nothing.

/// Says that the bytes end early or are not in the one form that the format allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    /// An unsigned LEB128 number in its shortest form.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for index in 0..10 {
            let (&byte, rest) = self.bytes.split_first().ok_or(Malformed)?;
            self.bytes = rest;
            let bits = u64::from(byte & 0x7f);
            if index == 9 && byte > 1 {
                return Err(Malformed);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                let is_shortest = index == 0 || byte != 0;
                return if is_shortest { Ok(value) } else { Err(Malformed) };
            }
        }
        Err(Malformed)
    }

    /// A signed LEB128 number in its shortest form.
    pub fn signed(&mut self) -> Result<i64, Malformed> {
        let mut value = 0i64;
        let mut previous = 0u8;
        for index in 0..10 {
            let (&byte, rest) = self.bytes.split_first().ok_or(Malformed)?;
            self.bytes = rest;
            if index == 9 && byte != 0 && byte != 0x7f {
                return Err(Malformed);
            }
            let shift = 7 * index;
            value |= i64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                let repeats_sign =
                    (byte == 0 && previous & 0x40 == 0) || (byte == 0x7f && previous & 0x40 != 0);
                if index > 0 && repeats_sign {
                    return Err(Malformed);
                }
                if byte & 0x40 != 0 && shift + 7 < 64 {
                    value |= -1i64 << (shift + 7);
                }
                return Ok(value);
            }
            previous = byte;
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsigned(bytes: &[u8]) -> Option<u64> {
        let mut input = Input::new(bytes);
        input.unsigned().ok().filter(|_| input.is_empty())
    }

    fn signed(bytes: &[u8]) -> Option<i64> {
        let mut input = Input::new(bytes);
        input.signed().ok().filter(|_| input.is_empty())
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(unsigned(&[0]), Some(0));
        assert_eq!(unsigned(&[0x81, 0x01]), Some(129));
        assert_eq!(unsigned(&[0x81, 0x00]), None);
        assert_eq!(unsigned(&[0x80]), None);
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Some(u64::MAX));
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]), None);
        assert_eq!(unsigned(&[0xff; 11]), None);
        assert_eq!(signed(&[0x7f]), Some(-1));
        assert_eq!(signed(&[0xff, 0x7f]), None);
        assert_eq!(signed(&[0xff, 0x00]), Some(127));
        assert_eq!(signed(&[0x80, 0x7f]), Some(-128));
        let smallest = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
        assert_eq!(signed(&smallest), Some(i64::MIN));
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
        assert_eq!(signed(&largest), Some(i64::MAX));
    }
}
