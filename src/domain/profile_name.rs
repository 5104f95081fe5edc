//! How people name a stored profile.

use std::str::FromStr;

use super::InvalidName;

/// Fewer digits than this are a slip of the hand.
const LEAST_DIGITS: usize = 4;

/// A profile as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileName {
    /// The active one of a gallery.
    Active,
    /// The one whose id begins so.
    Prefix(String),
}

impl FromStr for ProfileName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "active" {
            return Ok(Self::Active);
        }
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if (LEAST_DIGITS..=16).contains(&text.len()) && text.bytes().all(is_digit) {
            return Ok(Self::Prefix(text.to_owned()));
        }
        Err(InvalidName::new(
            "a profile is named by its id, 16 lower-case hex digits or the first four or more of \
             them, or by 'active' or 'settings'",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_named_by_the_first_digits_of_their_ids() {
        let parsed = |text: &str| text.parse::<ProfileName>();
        assert_eq!(parsed("active").unwrap(), ProfileName::Active);
        assert_eq!(parsed("0a1b").unwrap(), ProfileName::Prefix("0a1b".into()));
        for wrong in ["", "latest", "0A1B", "0a1", "00000000000000000"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
