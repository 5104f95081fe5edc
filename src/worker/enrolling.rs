//! Proposes what to decide about enrolments, before they are recorded: the gate, and whether
//! another subject has such a face. The store decides, with the subject's row locked.

use std::collections::BTreeMap;

use crate::domain::{
    EnrolRules, GalleryName, JobRecord, Lane, NewReference, ProfileId, Reason, ReasonCode,
    SubjectName, Template,
};
use crate::store::{LookAlike, LookAlikeProbe};

/// A face of a batch to compare with the references of other subjects.
struct EnrolledFace {
    /// Index of its record.
    index: usize,
    subject: SubjectName,
    template: Template,
}

/// The faces of a batch that are compared with the references of one gallery and profile.
pub(super) struct Comparison {
    pub(super) gallery: GalleryName,
    pub(super) profile: ProfileId,
    faces: Vec<EnrolledFace>,
}

/// Passes the enrolments among `records` through the gate, and returns the comparisons that are
/// left to make, by gallery and profile.
pub(super) fn propose(records: &mut [JobRecord], rules: &EnrolRules) -> Vec<Comparison> {
    let mut comparisons: BTreeMap<(String, String), Comparison> = BTreeMap::new();
    for (index, record) in records.iter_mut().enumerate() {
        let Some(subject) = record.job.subject.clone().filter(|_| record.job.lane == Lane::Enrol)
        else {
            continue;
        };
        let proposal = rules.proposal(&record.outcome);
        let passed = proposal.reasons.is_empty() && rules.look_alike_threshold.is_some();
        record.enrolment = Some(proposal);
        let Some(new) = NewReference::of(record).filter(|_| passed) else { continue };
        let (gallery, profile) = (record.job.gallery.clone(), record.profile.clone());
        let key = (gallery.as_str().to_owned(), profile.as_str().to_owned());
        comparisons
            .entry(key)
            .or_insert_with(|| Comparison { gallery, profile, faces: Vec::new() })
            .faces
            .push(EnrolledFace { index, subject, template: new.template });
    }
    comparisons.into_values().collect()
}

impl Comparison {
    /// What to ask the store.
    pub(super) fn probes(&self) -> Vec<LookAlikeProbe> {
        let probe = |face: &EnrolledFace| LookAlikeProbe {
            subject: face.subject.clone(),
            template: face.template.clone(),
        };
        self.faces.iter().map(probe).collect()
    }

    /// Adds the reason [`ReasonCode::LooksLikeAnother`] where a face matches a reference of another
    /// subject. `found` has, for each probe, the most similar reference. Faces of the batch are
    /// compared with each other where it is decided which of them become references.
    pub(super) fn note(
        &self,
        found: &[Option<LookAlike>],
        threshold: f64,
        records: &mut [JobRecord],
    ) {
        for (face, found) in self.faces.iter().zip(found) {
            let Some(other) = found.filter(|other| other.similarity > threshold) else { continue };
            let code = ReasonCode::LooksLikeAnother;
            let values = Reason::of_values(code, other.similarity, threshold);
            if let Some(proposal) = &mut records[face.index].enrolment {
                proposal.reasons.push(Reason { image_id: Some(other.image), ..values });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        BoundingBox, Components, Enrolment, EnrolmentDecision, Face, FaceResult, Faces, GateRules,
        ImageId, Job, Outcome, Recognition, Selection,
    };

    fn rules() -> EnrolRules {
        let gate = GateRules { min_quality: 40.0, ..GateRules::default() };
        EnrolRules { gate, look_alike_threshold: Some(0.5), ..EnrolRules::default() }
    }

    fn is_review(record: &JobRecord) -> bool {
        let reasons = record.enrolment.as_ref().map(|proposal| proposal.reasons.clone());
        Enrolment::of(reasons.unwrap_or_default()).decision == EnrolmentDecision::Review
    }

    /// An enrolment of a face `degrees` from the first axis of a plane.
    fn enrolment(subject: &str, degrees: f32, quality: u8) -> JobRecord {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let recognition = Recognition {
            template: Template::from_embedding(&[cos, sin]).unwrap().0,
            norm: 10.0,
            distance: 0.1,
            score: 0.9,
            quality,
        };
        let face = FaceResult {
            face: Face {
                bbox: BoundingBox { x: 0.0, y: 0.0, width: 50.0, height: 50.0 },
                landmarks: None,
                detector_score: Some(0.9),
            },
            components: Components::default(),
            recognition: Some(recognition),
        };
        let job = Job { subject: Some(subject.parse().unwrap()), ..Job::sample(Lane::Enrol) };
        let profile = "0123456789abcdef".parse().unwrap();
        let selection = Selection { faces: Faces::All, min_size_px: 0, min_score: 0.5 };
        let outcome = Outcome::Scored(vec![face]);
        JobRecord::without_content(&job, &profile, selection, "cpu", outcome)
    }

    #[test]
    fn scans_and_jobs_without_a_subject_are_no_enrolments() {
        let mut scan = enrolment("Ann", 0.0, 80);
        scan.job.lane = Lane::Scan;
        let mut nameless = enrolment("Ann", 0.0, 80);
        nameless.job.subject = None;
        let mut records = [scan, nameless];
        assert!(propose(&mut records, &rules()).is_empty());
        assert!(records.iter().all(|record| record.enrolment.is_none()));
    }

    #[test]
    fn only_faces_that_pass_the_gate_are_compared() {
        let mut records = [enrolment("Ann", 0.0, 80), enrolment("Ben", 90.0, 10)];
        let [comparison] = &propose(&mut records, &rules())[..] else { panic!("one gallery") };
        let subjects: Vec<_> = comparison.probes().into_iter().map(|probe| probe.subject).collect();
        assert_eq!(subjects, ["Ann".parse().unwrap()]);
        let reasons = &records[1].enrolment.as_ref().unwrap().reasons;
        assert_eq!(reasons[0].code, ReasonCode::LowQuality);
        let without = EnrolRules { look_alike_threshold: None, ..rules() };
        assert!(propose(&mut records, &without).is_empty(), "nothing to compare by");
    }

    #[test]
    fn a_face_like_another_subjects_is_for_a_person_to_decide() {
        let batch = || [enrolment("Ann", 0.0, 80), enrolment("Ann", 5.0, 80)];
        let mut records = batch();
        let comparison = propose(&mut records, &rules()).remove(0);
        let found = |image, similarity| Some(LookAlike { image: ImageId(image), similarity });
        comparison.note(&[found(7, 0.9), found(8, 0.5)], 0.5, &mut records);
        let reasons = &records[0].enrolment.as_ref().unwrap().reasons;
        assert_eq!((reasons[0].image_id, reasons[0].found), (Some(ImageId(7)), Some(0.9)));
        assert!(is_review(&records[0]) && !is_review(&records[1]), "at the threshold is no match");
    }
}
