//! The gate: checks on the image of an enrolment alone.

use super::super::{Component, Components, Face, FaceResult, Outcome};
use super::reason::{Reason, ReasonCode};

/// The thresholds of the checks. A check with the threshold 0 is not made; nor is one whose value
/// is unknown, as the pose of a face that came as a chip.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GateRules {
    /// Area of the largest other face over that of the primary one, below this.
    pub max_other_face: f64,
    /// Pixels between the eyes ([`Component::InterEyeDistance`]), at least.
    pub min_eye_distance_px: f64,
    /// Confidence of the detector, 0 to 1, at least.
    pub min_confidence: f64,
    /// Degrees to either side, at most.
    pub max_yaw: f64,
    /// Degrees up or down, at most.
    pub max_pitch: f64,
    /// Degrees of tilt, at most.
    pub max_roll: f64,
    /// 0 to 100 of [`Component::Sharpness`], at least.
    pub min_sharpness: f64,
    /// [`Component::LuminanceMean`], 0 to 1, at least.
    pub min_brightness: f64,
    /// Share of white pixels ([`Component::OverExposure`]), 0 to 1, at most.
    pub max_white: f64,
    /// 0 to 100 of [`Component::IlluminationUniformity`], at least.
    pub min_evenness: f64,
    /// Share of the face outside of the image ([`Component::CutOff`]), 0 to 1, at most.
    pub max_cut_off: f64,
    /// Quality, 0 to 100, at least.
    pub min_quality: f64,
}

/// What the gate looks at of a face.
#[derive(Debug, Clone, Copy)]
pub struct GateFace<'a> {
    /// The detection.
    pub face: &'a Face,
    /// Its components.
    pub components: &'a Components,
    /// Its quality, 0 to 100; none without a template.
    pub quality: Option<u8>,
}

impl<'a> From<&'a FaceResult> for GateFace<'a> {
    fn from(result: &'a FaceResult) -> Self {
        let quality = result.recognition.as_ref().map(|recognition| recognition.quality);
        Self { face: &result.face, components: &result.components, quality }
    }
}

impl GateRules {
    /// Why an image with this outcome cannot be enrolled: a reason for each check that fails, in
    /// the order of [`ReasonCode::ALL`].
    pub fn reasons(&self, outcome: &Outcome) -> Vec<Reason> {
        let unreadable = |reason: &str| Reason {
            of: Some(reason.to_owned()),
            ..Reason::new(ReasonCode::Unreadable)
        };
        match outcome {
            Outcome::Unreadable(reason) | Outcome::Refused(reason) | Outcome::Failed(reason) => {
                vec![unreadable(reason)]
            }
            Outcome::NoFace => vec![Reason::new(ReasonCode::NoFace)],
            Outcome::Scored(faces) => {
                self.reasons_of_faces(&faces.iter().map(GateFace::from).collect::<Vec<_>>())
            }
        }
    }

    /// Why an image that was read and has these faces, the primary one first, cannot be enrolled.
    pub fn reasons_of_faces(&self, faces: &[GateFace<'_>]) -> Vec<Reason> {
        match faces.split_first() {
            None => vec![Reason::new(ReasonCode::NoFace)],
            Some((primary, others)) => self.failed_checks(primary, others),
        }
    }

    fn failed_checks(&self, primary: &GateFace<'_>, others: &[GateFace<'_>]) -> Vec<Reason> {
        let least = |code, found: Option<f64>, asked: f64| {
            let found = found.filter(|found| asked > 0.0 && *found < asked)?;
            Some(Reason::of_values(code, found, asked))
        };
        let most = |code, found: Option<f64>, asked: f64| {
            let found = found.filter(|found| asked > 0.0 && found.abs() > asked)?;
            Some(Reason::of_values(code, found, asked))
        };
        let value = |component| primary.components.get(component).map(f64::from);
        let rating = |component: Component| {
            primary.components.get(component).map(|value| component.rating(value))
        };
        let pose = |angle: &str, component, asked| {
            let reason = most(ReasonCode::ExtremePose, value(component), asked)?;
            Some(Reason { of: Some(angle.to_owned()), ..reason })
        };
        let no_template = primary.quality.is_none().then(|| Reason::new(ReasonCode::NoFace));
        let score = primary.face.detector_score.map(f64::from);
        let quality = primary.quality.map(f64::from);
        [
            no_template,
            self.several_faces(primary, others),
            least(
                ReasonCode::FaceTooSmall,
                value(Component::InterEyeDistance),
                self.min_eye_distance_px,
            ),
            least(ReasonCode::LowConfidence, score, self.min_confidence),
            pose("yaw", Component::Yaw, self.max_yaw),
            pose("pitch", Component::Pitch, self.max_pitch),
            pose("roll", Component::Roll, self.max_roll),
            least(ReasonCode::Blurred, rating(Component::Sharpness), self.min_sharpness),
            least(ReasonCode::TooDark, value(Component::LuminanceMean), self.min_brightness),
            most(ReasonCode::TooBright, value(Component::OverExposure), self.max_white),
            least(
                ReasonCode::UnevenLight,
                rating(Component::IlluminationUniformity),
                self.min_evenness,
            ),
            most(ReasonCode::FaceCutOff, value(Component::CutOff), self.max_cut_off),
            least(ReasonCode::LowQuality, quality, self.min_quality),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Another face is about as large. Faces that the selection left out count, too, if the
    /// component knows them.
    fn several_faces(&self, primary: &GateFace<'_>, others: &[GateFace<'_>]) -> Option<Reason> {
        let asked = self.max_other_face;
        let area = f64::from(primary.face.bbox.area()).max(f64::MIN_POSITIVE);
        let largest = others.iter().map(|other| f64::from(other.face.bbox.area()) / area);
        let known = primary.components.get(Component::SingleFace).map(f64::from);
        let found = largest.chain(known).fold(0.0, f64::max);
        (asked > 0.0 && found >= asked)
            .then(|| Reason::of_values(ReasonCode::SeveralFaces, found, asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BoundingBox, Components, Face, Recognition, Template};

    const RULES: GateRules = GateRules {
        max_other_face: 0.5,
        min_eye_distance_px: 30.0,
        min_confidence: 0.8,
        max_yaw: 45.0,
        max_pitch: 30.0,
        max_roll: 30.0,
        min_sharpness: 40.0,
        min_brightness: 0.06,
        max_white: 0.05,
        min_evenness: 5.0,
        max_cut_off: 0.1,
        min_quality: 40.0,
    };

    /// A face that passes every check, with these components instead.
    fn face(changed: &[(Component, f32)]) -> FaceResult {
        let good = [
            (Component::InterEyeDistance, 60.0),
            (Component::SingleFace, 0.0),
            (Component::Yaw, -3.0),
            (Component::Pitch, 2.0),
            (Component::Roll, 1.0),
            (Component::Sharpness, 0.05),
            (Component::LuminanceMean, 0.3),
            (Component::OverExposure, 0.0),
            (Component::IlluminationUniformity, 0.6),
            (Component::CutOff, 0.0),
        ];
        let values = good.iter().chain(changed).map(|&(component, value)| (component, Some(value)));
        let recognition = Recognition {
            template: Template::from_embedding(&[1.0, 0.0]).unwrap().0,
            norm: 12.0,
            distance: 0.1,
            score: 0.9,
            quality: 80,
        };
        FaceResult {
            face: Face {
                bbox: BoundingBox { x: 0.0, y: 0.0, width: 100.0, height: 100.0 },
                landmarks: None,
                detector_score: Some(0.9),
            },
            components: values.collect::<Components>(),
            recognition: Some(recognition),
        }
    }

    fn reasons(faces: Vec<FaceResult>) -> Vec<Reason> {
        RULES.reasons(&Outcome::Scored(faces))
    }

    #[test]
    fn each_check_has_its_code_its_value_and_its_threshold() {
        assert_eq!(reasons(vec![face(&[])]), []);
        let cases = [
            (Component::InterEyeDistance, 29.0, ReasonCode::FaceTooSmall, 29.0, 30.0),
            (Component::SingleFace, 0.5, ReasonCode::SeveralFaces, 0.5, 0.5),
            (Component::Yaw, -46.0, ReasonCode::ExtremePose, -46.0, 45.0),
            (Component::Pitch, 31.0, ReasonCode::ExtremePose, 31.0, 30.0),
            (Component::Roll, 31.0, ReasonCode::ExtremePose, 31.0, 30.0),
            (Component::Sharpness, 0.005, ReasonCode::Blurred, 25.0, 40.0),
            (Component::LuminanceMean, 0.05, ReasonCode::TooDark, 0.05, 0.06),
            (Component::OverExposure, 0.06, ReasonCode::TooBright, 0.06, 0.05),
            (Component::IlluminationUniformity, 0.0, ReasonCode::UnevenLight, 0.0, 5.0),
            (Component::CutOff, 0.2, ReasonCode::FaceCutOff, 0.2, 0.1),
        ];
        for (component, value, code, found, asked) in cases {
            let [reason] = &reasons(vec![face(&[(component, value)])])[..] else {
                panic!("{component:?}")
            };
            assert_eq!((reason.code, reason.asked), (code, Some(asked)));
            assert!((reason.found.unwrap() - found).abs() < 1e-3, "{reason:?}");
        }
    }

    #[test]
    fn the_face_itself_is_checked() {
        let mut unsure = face(&[]);
        unsure.face.detector_score = Some(0.7);
        assert_eq!(reasons(vec![unsure])[0].code, ReasonCode::LowConfidence);
        let mut poor = face(&[]);
        poor.recognition.as_mut().unwrap().quality = 39;
        assert_eq!(reasons(vec![poor])[0].code, ReasonCode::LowQuality);
        let mut unusable = face(&[]);
        unusable.recognition = None;
        assert_eq!(reasons(vec![unusable, face(&[])])[0].code, ReasonCode::NoFace);
    }

    #[test]
    fn a_smaller_face_in_the_background_is_allowed() {
        let beside = |side: f32| {
            let mut other = face(&[]);
            (other.face.bbox.width, other.face.bbox.height) = (side, side);
            reasons(vec![face(&[]), other])
        };
        assert_eq!(beside(70.0), [], "49 percent");
        let [reason] = &beside(80.0)[..] else { panic!("one reason") };
        assert_eq!(reason.code, ReasonCode::SeveralFaces);
        assert!((reason.found.unwrap() - 0.64).abs() < 1e-6);
    }

    #[test]
    fn an_image_without_a_face_or_that_was_not_read_says_so() {
        assert_eq!(RULES.reasons(&Outcome::NoFace)[0].code, ReasonCode::NoFace);
        for outcome in [
            Outcome::Unreadable("cut".into()),
            Outcome::Refused("cut".into()),
            Outcome::Failed("cut".into()),
        ] {
            let [reason] = &RULES.reasons(&outcome)[..] else { panic!("one reason") };
            assert_eq!(reason.code, ReasonCode::Unreadable);
            assert_eq!(reason.sentence(), "the image could not be used: cut");
        }
    }

    #[test]
    fn a_check_that_is_off_or_whose_value_is_unknown_is_not_made() {
        let mut bad = face(&[
            (Component::Yaw, 80.0),
            (Component::SingleFace, 1.0),
            (Component::Sharpness, 0.0),
        ]);
        bad.face.detector_score = Some(0.1);
        assert_eq!(GateRules::default().reasons(&Outcome::Scored(vec![bad])), []);
        let mut chip = face(&[]);
        (chip.components, chip.face.detector_score) = (Components::default(), None);
        assert_eq!(reasons(vec![chip]), []);
    }
}
