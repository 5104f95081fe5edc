//! The decision of an enrolment: the gate's reasons together with what is stored of the subject.

use serde::{Deserialize, Serialize};

use super::super::{ContentHash, ImageId, JobRecord, Template};
use super::reason::{EnrolmentDecision, Reason, ReasonCode};
use super::references::{ReferenceChange, ReferenceRules, ReferenceState, SetAsideReason};

/// The decision of one enrolment, with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Enrolment {
    /// The decision.
    pub decision: EnrolmentDecision,
    /// Why it was not accepted, or not at once; empty if it was.
    pub reasons: Vec<Reason>,
}

impl Enrolment {
    /// The decision that `reasons` make: the worst of theirs, accepted without any.
    pub fn of(reasons: Vec<Reason>) -> Self {
        let decisions = reasons.iter().map(|reason| reason.code.decision());
        let decision = decisions.max().unwrap_or(EnrolmentDecision::Accepted);
        Self { decision, reasons }
    }
}

/// What a worker proposes before it records an enrolment. The store makes the decision.
#[derive(Debug, Clone, PartialEq)]
pub struct EnrolmentProposal {
    /// What the gate found, and whether another subject had such a face before the batch.
    pub reasons: Vec<Reason>,
    /// A face matches its subject if its similarity to one of the references exceeds this; none if
    /// that is not checked.
    pub match_threshold: Option<f64>,
    /// A face looks like another subject if its similarity to a reference of that one exceeds this;
    /// none if that is not checked.
    pub look_alike_threshold: Option<f64>,
    /// Which references a subject has.
    pub references: ReferenceRules,
}

/// The image of an enrolment, as a reference to be. `Debug` does not show the template.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReference {
    /// Hash of its bytes.
    pub hash: Option<ContentHash>,
    /// Quality of its primary face, 0 to 100.
    pub quality: u8,
    /// Template of its primary face.
    pub template: Template,
}

/// A stored reference of a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectReference {
    /// Its image.
    pub image: ImageId,
    /// Whether it counts.
    pub state: ReferenceState,
    /// Hash of the image's bytes.
    pub hash: Option<ContentHash>,
    /// Quality of the image's primary face under the profile at hand; none, like the template, if
    /// it has no result under it.
    pub quality: Option<u8>,
    /// Template of that face.
    pub template: Option<Template>,
}

impl SubjectReference {
    /// As if it were new; none without a template.
    pub fn as_new(&self) -> Option<NewReference> {
        let (template, quality) = (self.template.clone()?, self.quality?);
        Some(NewReference { hash: self.hash, quality, template })
    }
}

/// A decision, and what it changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The decision.
    pub enrolment: Enrolment,
    /// What becomes of the image as a reference; none if it is no reference.
    pub change: Option<ReferenceChange>,
}

impl NewReference {
    /// The primary face of a record; none if it has no template.
    pub fn of(record: &JobRecord) -> Option<Self> {
        let recognition = record.outcome.faces().first()?.recognition.as_ref()?;
        let hash = record.content.map(|content| content.hash);
        let (quality, template) = (recognition.quality, recognition.template.clone());
        Some(Self { hash, quality, template })
    }
}

impl EnrolmentProposal {
    /// Decides about an image whose face is `new`, if it has a usable one. `known` are the
    /// references of its subject, `others` those of subjects that are enrolled with it.
    ///
    /// An image that has to be reviewed is kept as a reference that is set aside: whoever restores
    /// it takes it in.
    pub fn decide<'a>(
        &self,
        new: Option<&NewReference>,
        known: &[SubjectReference],
        others: impl IntoIterator<Item = &'a SubjectReference>,
    ) -> Decided {
        let active: Vec<SubjectReference> = known
            .iter()
            .filter(|reference| reference.state == ReferenceState::Active)
            .cloned()
            .collect();
        let mut reasons = self.reasons.clone();
        reasons.extend(new.and_then(|new| self.not_the_subject(new, &active)));
        reasons.extend(new.and_then(|new| self.looks_like_another(new, others)));
        let enrolment = Enrolment::of(reasons);
        let change = new.and_then(|new| match enrolment.decision {
            EnrolmentDecision::Accepted => Some(self.references.choose(&active, new)),
            EnrolmentDecision::Review => Some(ReferenceChange::SetAside(SetAsideReason::Review)),
            EnrolmentDecision::Rejected => None,
        });
        Decided { enrolment, change }
    }

    /// The face matches none of the subject's references, of which there are some to compare with.
    fn not_the_subject(&self, new: &NewReference, active: &[SubjectReference]) -> Option<Reason> {
        let threshold = self.match_threshold?;
        let templates = active.iter().filter_map(|reference| reference.template.as_ref());
        let best = templates.map(|template| template.similarity(&new.template));
        let best = best.max_by(f64::total_cmp)?;
        (best <= threshold).then(|| Reason::of_values(ReasonCode::NotTheSubject, best, threshold))
    }

    /// The face passed the gate, and matches an active reference of `others`.
    fn looks_like_another<'a>(
        &self,
        new: &NewReference,
        others: impl IntoIterator<Item = &'a SubjectReference>,
    ) -> Option<Reason> {
        let threshold = self.look_alike_threshold.filter(|_| self.reasons.is_empty())?;
        let active = others.into_iter().filter(|each| each.state == ReferenceState::Active);
        let compared = active.filter_map(|other| {
            Some((other.image, other.template.as_ref()?.similarity(&new.template)))
        });
        let (image, best) = compared.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let values = Reason::of_values(ReasonCode::LooksLikeAnother, best, threshold);
        (best > threshold).then_some(Reason { image_id: Some(image), ..values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(degrees: f32) -> Template {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Template::from_embedding(&[cos, sin]).unwrap().0
    }

    fn new(degrees: f32) -> NewReference {
        NewReference { hash: None, quality: 80, template: template(degrees) }
    }

    fn known(id: i64, state: ReferenceState, degrees: f32) -> SubjectReference {
        SubjectReference {
            image: ImageId(id),
            state,
            hash: None,
            quality: Some(70),
            template: Some(template(degrees)),
        }
    }

    fn proposal(reasons: Vec<Reason>) -> EnrolmentProposal {
        let references = ReferenceRules { most: 5, margin: 5.0 };
        EnrolmentProposal {
            reasons,
            match_threshold: Some(0.5),
            look_alike_threshold: Some(0.5),
            references,
        }
    }

    #[test]
    fn the_worst_reason_makes_the_decision() {
        let (like, blurred) = (ReasonCode::LooksLikeAnother, ReasonCode::Blurred);
        let decision = |codes: &[ReasonCode]| {
            Enrolment::of(codes.iter().map(|&code| Reason::new(code)).collect()).decision
        };
        assert_eq!(decision(&[]), EnrolmentDecision::Accepted);
        assert_eq!(decision(&[like]), EnrolmentDecision::Review);
        assert_eq!(decision(&[like, blurred]), EnrolmentDecision::Rejected);
    }

    #[test]
    fn a_face_that_matches_no_reference_is_not_the_subject() {
        let active = known(1, ReferenceState::Active, 0.0);
        let aside = known(2, ReferenceState::SetAside(SetAsideReason::Replaced), 90.0);
        let decide = |degrees, known: &[SubjectReference]| {
            proposal(Vec::new()).decide(Some(&new(degrees)), known, [])
        };
        let first = decide(90.0, &[]);
        assert_eq!(first.change, Some(ReferenceChange::Take), "nothing to compare with");
        let alone = std::slice::from_ref(&active);
        assert_eq!(decide(50.0, alone).change, Some(ReferenceChange::Take));
        let other = decide(90.0, &[active, aside]);
        assert_eq!(other.enrolment.decision, EnrolmentDecision::Rejected);
        assert_eq!(other.enrolment.reasons[0].code, ReasonCode::NotTheSubject);
        assert_eq!(other.enrolment.reasons[0].asked, Some(0.5));
        assert_eq!(other.change, None);
    }

    #[test]
    fn a_face_like_that_of_somebody_enrolled_with_it_is_to_review() {
        let active = known(1, ReferenceState::Active, 10.0);
        let aside = known(2, ReferenceState::SetAside(SetAsideReason::Review), 0.0);
        let codes = |reasons: &[ReasonCode], others: &[SubjectReference]| -> Vec<_> {
            let proposal = proposal(reasons.iter().copied().map(Reason::new).collect());
            let decided = proposal.decide(Some(&new(0.0)), &[], others);
            decided.enrolment.reasons.iter().map(|each| (each.code, each.image_id)).collect()
        };
        let both = [active.clone(), aside.clone()];
        assert_eq!(codes(&[], &both), [(ReasonCode::LooksLikeAnother, Some(ImageId(1)))]);
        assert_eq!(codes(&[], &[aside]), [], "nobody stands for the other");
        let blurred = ReasonCode::Blurred;
        assert_eq!(codes(&[blurred], &[active]), [(blurred, None)], "the gate rejected it");
    }

    #[test]
    fn an_image_to_review_is_kept_aside_and_a_rejected_one_is_not() {
        let review = proposal(vec![Reason::new(ReasonCode::LooksLikeAnother)]);
        let set_aside = ReferenceChange::SetAside(SetAsideReason::Review);
        assert_eq!(review.decide(Some(&new(0.0)), &[], []).change, Some(set_aside));
        let rejected = proposal(vec![Reason::new(ReasonCode::Blurred)]);
        assert_eq!(rejected.decide(Some(&new(0.0)), &[], []).change, None);
        let nothing = proposal(vec![Reason::new(ReasonCode::NoFace)]).decide(None, &[], []);
        assert_eq!(nothing.enrolment.decision, EnrolmentDecision::Rejected);
    }
}
