//! Fused quality: the expected similarity of a face with other photos of the same person, a linear
//! function of what is measured of the face. `facefleet calibrate --fuse` fits it.

use serde::{Deserialize, Serialize};

use super::{Component, Components};

/// A value further from the mean than this many standard deviations counts as this far: a fit says
/// nothing about values that it has not seen.
const MOST_DEVIATIONS: f64 = 4.0;

/// What is measured of a face, and stored with it.
#[derive(Debug, Clone, Copy)]
pub struct FaceMeasures<'a> {
    /// SER-FIQ's score.
    pub score: f64,
    /// The embedding's norm.
    pub norm: f32,
    /// The detector's confidence; none for chips.
    pub detector_score: Option<f32>,
    /// The components.
    pub components: &'a Components,
}

/// An input of a fused quality. Its text is `score`, `norm`, `detector_score` or the name of a
/// component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum FusedInput {
    /// SER-FIQ's score.
    Score,
    /// The embedding's norm.
    Norm,
    /// The detector's confidence.
    DetectorScore,
    /// A component, by its 0 to 100, not rounded.
    Component(Component),
}

impl FusedInput {
    /// Every input.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Score, Self::Norm, Self::DetectorScore]
            .into_iter()
            .chain(Component::all().map(Self::Component))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Norm => "norm",
            Self::DetectorScore => "detector_score",
            Self::Component(component) => component.spec().name,
        }
    }

    /// Its value for a face; none where it is not known.
    pub fn of(self, face: &FaceMeasures<'_>) -> Option<f64> {
        match self {
            Self::Score => Some(face.score),
            Self::Norm => Some(f64::from(face.norm)),
            Self::DetectorScore => face.detector_score.map(f64::from),
            Self::Component(component) => {
                face.components.get(component).map(|value| component.rating(value))
            }
        }
    }
}

impl TryFrom<String> for FusedInput {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let unknown = || {
            let known: Vec<&str> = Self::all().map(Self::name).collect();
            format!("unknown input '{name}': use {}", known.join(", "))
        };
        Self::all().find(|input| input.name() == name).ok_or_else(unknown)
    }
}

impl From<FusedInput> for String {
    fn from(input: FusedInput) -> Self {
        input.name().to_owned()
    }
}

/// One term of a fused quality.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FusedTerm {
    /// The input.
    pub name: FusedInput,
    /// Its mean over the photos of the fit.
    pub mean: f64,
    /// Its standard deviation over them.
    pub scale: f64,
    /// What one standard deviation adds to the expected similarity.
    pub coefficient: f64,
}

impl FusedTerm {
    /// `value` in standard deviations from the mean, at most four; 0 for an unknown one.
    pub fn deviations(&self, value: Option<f64>) -> f64 {
        let of = |value: f64| (value - self.mean) / self.scale;
        value.map_or(0.0, |value| of(value).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS))
    }
}

/// A fused quality. It is part of the profile's id, so its fields never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FusedQuality {
    /// The expected similarity of a face whose inputs are all at their means.
    pub intercept: f64,
    /// The terms.
    pub inputs: Vec<FusedTerm>,
    /// Fingerprint of the photos and labels of the fit.
    pub data: String,
}

impl FusedQuality {
    /// The expected similarity (cosine) of `face` with other photos of the same person: the
    /// intercept, and of each input `coefficient * clamp((input - mean) / scale, -4, 4)`. An input
    /// that is not known counts as its mean.
    pub fn value(&self, face: &FaceMeasures<'_>) -> f64 {
        self.value_of(|_, term| term.name.of(face))
    }

    /// The same from the values of the inputs: `input` gives that of the term with this index.
    pub fn value_of(&self, input: impl Fn(usize, &FusedTerm) -> Option<f64>) -> f64 {
        let terms = self.inputs.iter().enumerate();
        let terms =
            terms.map(|(index, term)| term.coefficient * term.deviations(input(index, term)));
        self.intercept + terms.sum::<f64>()
    }

    /// Whether it has an input that only faces with components have.
    pub fn uses_components(&self) -> bool {
        self.inputs.iter().any(|term| matches!(term.name, FusedInput::Component(_)))
    }

    /// Checks numbers from a file.
    ///
    /// # Errors
    /// The reason, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.inputs.is_empty() {
            return Err("[fused] has no inputs".into());
        }
        for (index, term) in self.inputs.iter().enumerate() {
            let name = term.name.name();
            let finite = [term.mean, term.scale, term.coefficient].iter().all(|v| v.is_finite());
            if !finite || term.scale <= 0.0 || !self.intercept.is_finite() {
                return Err(format!(
                    "input {name} of [fused]: `scale` must be positive, all others numbers"
                ));
            }
            if self.inputs[..index].iter().any(|earlier| earlier.name == term.name) {
                return Err(format!("[fused] has the input {name} twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(name: FusedInput, mean: f64, scale: f64, coefficient: f64) -> FusedTerm {
        FusedTerm { name, mean, scale, coefficient }
    }

    fn fused() -> FusedQuality {
        FusedQuality {
            intercept: 0.6,
            inputs: vec![
                term(FusedInput::Score, 0.9, 0.01, 0.05),
                term(FusedInput::Norm, 20.0, 4.0, 0.02),
                term(FusedInput::DetectorScore, 0.9, 0.05, 0.01),
                term(FusedInput::Component(Component::Roll), 90.0, 10.0, 0.03),
            ],
            data: "0123456789abcdef".into(),
        }
    }

    #[test]
    fn a_value_worked_by_hand() {
        let components = Components::from_iter([(Component::Roll, Some(60.0))]);
        let face = FaceMeasures {
            score: 0.88,
            norm: 22.0,
            detector_score: Some(0.95),
            components: &components,
        };
        // cos² 60° = 25 %: six and a half deviations, of which four count.
        let expected = 0.6 - 2.0 * 0.05 + 0.5 * 0.02 + 0.01 - 4.0 * 0.03;
        assert!((fused().value(&face) - expected).abs() < 1e-6, "{}", fused().value(&face));
        let bare =
            FaceMeasures { detector_score: None, components: &Components::default(), ..face };
        let expected = 0.6 - 2.0 * 0.05 + 0.5 * 0.02;
        assert!((fused().value(&bare) - expected).abs() < 1e-9, "what is unknown adds nothing");
    }

    #[test]
    fn every_input_has_one_name_and_unknown_ones_are_refused() {
        for input in FusedInput::all() {
            assert_eq!(FusedInput::try_from(input.name().to_owned()), Ok(input));
        }
        let error = FusedInput::try_from("beauty".to_owned()).unwrap_err();
        assert!(error.contains("'beauty'") && error.contains("sharpness"), "{error}");
    }

    #[test]
    fn numbers_that_cannot_be_used_are_refused() {
        assert_eq!(fused().check(), Ok(()));
        let mut other = fused();
        other.inputs[1].scale = 0.0;
        assert!(other.check().unwrap_err().contains("norm"));
        let mut other = fused();
        other.inputs[1].name = FusedInput::Score;
        assert!(other.check().unwrap_err().contains("twice"));
        assert!(FusedQuality { inputs: Vec::new(), ..fused() }.check().is_err());
        assert!(fused().uses_components());
    }
}
