//! Everything that the settings say about enrolment.

use super::super::Outcome;
use super::decision::EnrolmentProposal;
use super::gate::GateRules;
use super::references::ReferenceRules;

/// The rules of enrolments under one profile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnrolRules {
    /// The checks on the image alone.
    pub gate: GateRules,
    /// Which references a subject has.
    pub references: ReferenceRules,
    /// A face matches its subject if its similarity to one of the references exceeds this; none:
    /// that is not checked.
    pub match_threshold: Option<f64>,
    /// A face looks like another subject if its similarity to a reference of that one exceeds this;
    /// none: that is not checked.
    pub look_alike_threshold: Option<f64>,
}

impl EnrolRules {
    /// What to propose about an image with this outcome, before its face is compared with those of
    /// other subjects.
    pub fn proposal(&self, outcome: &Outcome) -> EnrolmentProposal {
        EnrolmentProposal {
            reasons: self.gate.reasons(outcome),
            match_threshold: self.match_threshold,
            look_alike_threshold: self.look_alike_threshold,
            references: self.references,
        }
    }
}

impl Default for EnrolRules {
    /// No check, and five references.
    fn default() -> Self {
        Self {
            gate: GateRules::default(),
            references: ReferenceRules { most: 5, margin: 5.0 },
            match_threshold: None,
            look_alike_threshold: None,
        }
    }
}
