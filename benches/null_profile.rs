//! The profile of the null worker's results.

use facefleet::domain::{AlignmentProfile, Mapping, Precision, Profile, RecogniserProfile, SerFiq};

/// The profile.
pub fn null_profile() -> Profile {
    Profile {
        alignment: AlignmentProfile::None,
        recogniser: RecogniserProfile {
            name: "null".into(),
            sha256: "00".repeat(32),
            precision: Precision::default(),
        },
        ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
        mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
    }
}
