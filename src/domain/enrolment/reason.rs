//! The decision of an enrolment, and its reasons as codes, numbers and sentences.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::ImageId;

/// A word that is not one of a list; a newer version may have written it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word '{0}'")]
pub struct UnknownWord(pub(super) String);

/// What became of one enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum EnrolmentDecision {
    /// The image stands for its subject, or is kept as a spare.
    Accepted,
    /// A person must decide.
    Review,
    /// Another image is needed.
    Rejected,
}

impl EnrolmentDecision {
    /// Every decision, from good to bad.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Review, Self::Rejected];

    /// The name in messages, tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Review => "review",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for EnrolmentDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EnrolmentDecision {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|decision| decision.as_str() == text);
        found.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)+) => {
        /// Why an image was not accepted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum ReasonCode {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl ReasonCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code in messages and tables.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

codes! {
    /// The image could not be read, or was refused.
    Unreadable "UNREADABLE";
    /// The image shows no face, or none that gave a template.
    NoFace "NO_FACE";
    /// Another face in the image is about as large.
    SeveralFaces "SEVERAL_FACES";
    /// Too few pixels between the eyes.
    FaceTooSmall "FACE_TOO_SMALL";
    /// The detector is not sure that it is a face.
    LowConfidence "LOW_CONFIDENCE";
    /// The face is turned or tilted.
    ExtremePose "EXTREME_POSE";
    /// The face is out of focus, or moved.
    Blurred "BLURRED";
    /// The face is too dark.
    TooDark "TOO_DARK";
    /// Parts of the face are white.
    TooBright "TOO_BRIGHT";
    /// One side of the face is darker.
    UnevenLight "UNEVEN_LIGHT";
    /// A part of the face is outside of the image.
    FaceCutOff "FACE_CUT_OFF";
    /// The quality is too low.
    LowQuality "LOW_QUALITY";
    /// The face matches none of the subject's references.
    NotTheSubject "NOT_THE_SUBJECT";
    /// The face matches a reference of another subject.
    LooksLikeAnother "LOOKS_LIKE_ANOTHER";
}

impl ReasonCode {
    /// The decision of an image with this reason alone.
    pub fn decision(self) -> EnrolmentDecision {
        match self {
            Self::LooksLikeAnother => EnrolmentDecision::Review,
            _ => EnrolmentDecision::Rejected,
        }
    }

    /// What to do.
    fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::Unreadable => return None,
            Self::NoFace => "use a photo that shows the whole face from the front",
            Self::SeveralFaces => "use a photo of this person alone",
            Self::FaceTooSmall => "move closer, or use a photo of higher resolution",
            Self::LowConfidence => "take off what covers it and look into the camera",
            Self::ExtremePose => "look straight into the camera",
            Self::Blurred => "focus on the face and hold still",
            Self::TooDark => "use more light from the front",
            Self::TooBright => "use less light, or a shorter exposure",
            Self::UnevenLight => "use light from the front",
            Self::FaceCutOff => "leave room around the head",
            Self::LowQuality => "take a sharper, frontal photo in even light",
            Self::NotTheSubject => "check that it is the right person",
            Self::LooksLikeAnother => "check who it is",
        })
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReasonCode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// One reason: what was found and what was asked for, in the unit of the setting of its check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Reason {
    /// Which check.
    pub code: ReasonCode,
    /// The value found; none if the check has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<f64>,
    /// The threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<f64>,
    /// What the value is of, where a check has several (`yaw`, `pitch` or `roll`), or why the
    /// image could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The reference of another subject that is like the face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<ImageId>,
}

impl Reason {
    /// A reason without values.
    pub fn new(code: ReasonCode) -> Self {
        Self { code, found: None, asked: None, of: None, image_id: None }
    }

    /// A reason with the value found and the one asked for.
    pub fn of_values(code: ReasonCode, found: f64, asked: f64) -> Self {
        Self { found: Some(found), asked: Some(asked), ..Self::new(code) }
    }

    /// What is wrong and what to do, for whoever takes the photo.
    pub fn sentence(&self) -> String {
        match self.code.advice() {
            Some(advice) => format!("{}: {advice}", self.problem()),
            None => self.problem(),
        }
    }

    /// What is wrong.
    fn problem(&self) -> String {
        let number = |value: Option<f64>| value.map(shown).unwrap_or_default();
        let (found, asked) = (number(self.found), number(self.asked));
        let percent = |value: Option<f64>| value.map_or(0.0, |value| 100.0 * value).round();
        let (share, limit) = (percent(self.found), percent(self.asked));
        let of = self.of.as_deref().unwrap_or_default();
        match self.code {
            ReasonCode::Unreadable if of.is_empty() => "the image could not be read".to_owned(),
            ReasonCode::Unreadable => format!("the image could not be used: {of}"),
            ReasonCode::NoFace => "no usable face was found".to_owned(),
            ReasonCode::SeveralFaces => {
                format!("another face is {share}% as large (allowed is less than {limit}%)")
            }
            ReasonCode::FaceTooSmall => {
                format!("only {found} pixels between the eyes (at least {asked})")
            }
            ReasonCode::LowConfidence => {
                format!("the face is hard to make out, confidence {found} (at least {asked})")
            }
            ReasonCode::ExtremePose => {
                let turned = turned(of);
                format!("the head is {turned} by {found} degrees (at most {asked})")
            }
            ReasonCode::Blurred => {
                format!("the face is blurred, sharpness {found} of 100 (at least {asked})")
            }
            ReasonCode::TooDark => {
                format!("the face is too dark, brightness {found} (at least {asked})")
            }
            ReasonCode::TooBright => format!("{share}% of the face is white (at most {limit}%)"),
            ReasonCode::UnevenLight => {
                format!("the face is lit from one side, evenness {found} of 100 (at least {asked})")
            }
            ReasonCode::FaceCutOff => {
                format!("{share}% of the face is outside of the photo (at most {limit}%)")
            }
            ReasonCode::LowQuality => {
                format!("the quality is {found} of 100 (at least {asked})")
            }
            ReasonCode::NotTheSubject => format!(
                "the face matches none of the subject's references, similarity {found} (more than \
                 {asked})"
            ),
            ReasonCode::LooksLikeAnother => format!(
                "the face matches a reference of another subject{}, similarity {found} (a match \
                 is more than {asked})",
                self.image_id.map(|image| format!(" (image {image})")).unwrap_or_default()
            ),
        }
    }
}

/// A reason as it is told: with its sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ToldReason {
    /// The reason.
    #[serde(flatten)]
    pub reason: Reason,
    /// What is wrong and what to do, in English.
    pub sentence: String,
}

impl From<&Reason> for ToldReason {
    fn from(reason: &Reason) -> Self {
        Self { reason: reason.clone(), sentence: reason.sentence() }
    }
}

/// A number with at most three digits after the point.
fn shown(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    // Without the sign of a negative zero.
    format!("{}", rounded + 0.0)
}

fn turned(angle: &str) -> &'static str {
    match angle {
        "pitch" => "tilted up or down",
        "roll" => "tilted to a side",
        _ => "turned to a side",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_decisions_are_read_as_they_are_written() {
        for &code in ReasonCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
        for decision in EnrolmentDecision::ALL {
            assert_eq!(decision.as_str().parse(), Ok(decision));
            assert_eq!(serde_json::to_value(decision).unwrap(), decision.as_str());
        }
        assert!("MAYBE".parse::<ReasonCode>().is_err());
    }

    #[test]
    fn a_sentence_says_what_was_found_asked_and_what_to_do() {
        let small = Reason::of_values(ReasonCode::FaceTooSmall, 17.251_23, 30.0);
        assert_eq!(
            small.sentence(),
            "only 17.251 pixels between the eyes (at least 30): move closer, or use a photo of \
             higher resolution"
        );
        let pose = Reason {
            of: Some("pitch".into()),
            ..Reason::of_values(ReasonCode::ExtremePose, -41.0, 35.0)
        };
        assert!(pose.sentence().starts_with("the head is tilted up or down by -41 degrees"));
        let other = Reason {
            image_id: Some(ImageId(7)),
            ..Reason::of_values(ReasonCode::LooksLikeAnother, 0.71, 0.4)
        };
        assert!(other.sentence().contains("another subject (image 7), similarity 0.71"));
        // Another reason may reject the image: then nobody decides about it.
        assert!(other.sentence().ends_with(": check who it is"));
        for &code in ReasonCode::ALL {
            let sentence = Reason::of_values(code, 0.25, 0.5).sentence();
            assert!(!sentence.contains("  ") && !sentence.ends_with('.'), "{sentence}");
        }
    }

    #[test]
    fn reasons_are_kept_as_json_without_what_they_lack() {
        let reason = Reason::of_values(ReasonCode::Blurred, 12.0, 20.0);
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(text, r#"{"code":"BLURRED","found":12.0,"asked":20.0}"#);
        assert_eq!(serde_json::from_str::<Reason>(&text).unwrap(), reason);
    }
}
