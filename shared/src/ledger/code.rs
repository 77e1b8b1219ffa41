//! Customer codes (R2): unique, never reused, the next is the highest plus one in the configured pattern.

use serde::{Deserialize, Serialize};

/// How codes look: a prefix and a number of at least so many digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodePattern {
    /// What stands before the number.
    pub prefix: String,
    /// Digits that the number is padded to; it may grow beyond.
    pub digits: usize,
}

impl Default for CodePattern {
    fn default() -> Self {
        Self { prefix: "KH".to_owned(), digits: 5 }
    }
}

impl CodePattern {
    /// The code with the given number.
    pub fn format(&self, number: u64) -> String {
        format!("{}{:0digits$}", self.prefix, number, digits = self.digits)
    }

    /// The number of a code in this pattern.
    pub fn number(&self, code: &str) -> Option<u64> {
        let digits = code.strip_prefix(self.prefix.as_str())?;
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_prefix_and_a_padded_number_that_may_outgrow_its_padding() {
        let pattern = CodePattern::default();
        assert_eq!(pattern.format(42), "KH00042");
        assert_eq!(pattern.number("KH00042"), Some(42));
        assert_eq!(pattern.number(&pattern.format(1_234_567)), Some(1_234_567));
        assert_eq!(pattern.number("KH"), None);
        assert_eq!(pattern.number("XX00042"), None);
    }
}
