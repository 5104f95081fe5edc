//! The ids by which people and programs point at an image or a face.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// A stored image: one URI in one gallery, with one content hash. The same picture under another
/// profile is the same image; other bytes at the same URI are another image. Shown as decimal
/// digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageId(pub i64);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ImageId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        digits(text)
            .map(Self)
            .ok_or_else(|| InvalidName::new("an image's id is a number, such as 7"))
    }
}

/// A face in a stored image. Shown as `IMAGE-INDEX`, such as `7-0`.
///
/// The index counts the faces that a profile's detector found in the image; 0 is the primary face.
/// So a face id is read together with a profile. A new recogniser keeps the ids of its faces as
/// long as the detector and the selection stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FaceId {
    /// Its image.
    pub image: ImageId,
    /// 0 for the primary face.
    pub index: u32,
}

impl fmt::Display for FaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.image, self.index)
    }
}

impl FromStr for FaceId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parse = || {
            let (image, index) = text.split_once('-')?;
            Some(Self { image: ImageId(digits(image)?), index: digits(index)? })
        };
        parse().ok_or_else(|| {
            InvalidName::new("a face's id is its image's id and its index, such as 7-0")
        })
    }
}

/// A number of digits alone: without a sign, spaces or leading zeros.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let canonical = text == "0" || !text.starts_with('0');
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && all_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_back() {
        let image = ImageId(9_223_372_036_854_775_807);
        assert_eq!(image.to_string().parse::<ImageId>().unwrap(), image);
        let face = FaceId { image: ImageId(17), index: 3 };
        assert_eq!(face.to_string(), "17-3");
        assert_eq!("17-3".parse::<FaceId>().unwrap(), face);
    }

    #[test]
    fn other_texts_are_not_ids() {
        for text in ["", "-1", "+1", " 1", "01", "1-0", "9223372036854775808", "x"] {
            assert!(text.parse::<ImageId>().is_err(), "{text}");
        }
        for text in ["", "1", "-", "1-", "-1", "1--1", "1-+1", "1-01", "1-4294967296", "1-0-0"] {
            assert!(text.parse::<FaceId>().is_err(), "{text}");
        }
    }
}
