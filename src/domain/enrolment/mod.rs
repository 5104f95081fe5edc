//! Enrolment: whether an image becomes a reference of its subject, and why not.
//!
//! [`gate`](GateRules::reasons) looks at the image alone, [`EnrolmentProposal::decide`] at what is
//! stored of the subject, and [`references`](ReferenceRules::choose) keeps the best few images.

mod decision;
mod gate;
mod reason;
mod references;
mod rules;
mod subject_change;

pub use decision::{Decided, Enrolment, EnrolmentProposal, NewReference, SubjectReference};
pub use gate::{GateFace, GateRules};
pub use reason::{EnrolmentDecision, Reason, ReasonCode, ToldReason};
pub use references::{ReferenceChange, ReferenceRules, ReferenceState, SetAsideReason};
pub use rules::EnrolRules;
pub use subject_change::SubjectChange;
