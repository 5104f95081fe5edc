//! What an operator changes of a subject.

use serde::Serialize;

use super::references::ReferenceState;

/// What an operator changes of a subject.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SubjectChange {
    /// It has another name.
    Renamed,
    /// It is part of another subject.
    Merged,
    /// It is gone, with its references and enrolments.
    Removed,
    /// A reference does not count any more.
    SetAside,
    /// A reference counts again.
    Restored,
}

impl From<ReferenceState> for SubjectChange {
    fn from(state: ReferenceState) -> Self {
        match state {
            ReferenceState::Active => Self::Restored,
            ReferenceState::SetAside(_) => Self::SetAside,
        }
    }
}
