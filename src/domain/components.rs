//! The components of quality: each measures one cause that makes a face hard to recognise. This is
//! the one list of them: tables, exports, `--json`, reports and evaluations iterate over it.
//!
//! The formulas from a native value to 0..100 follow ISO/IEC 29794-5 and OFIQ, its open reference
//! implementation (github.com/BSI-OFIQ/OFIQ-Project), except where [`Component::rating`] says that
//! they are ours. The native values are measured on a chip and five landmarks, where the standard
//! asks for 98 landmarks and a segmented face: they are approximations, and no claim of conformity
//! is made.

/// Which native values of a component are best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BestValue {
    /// High ones.
    Highest,
    /// Low ones.
    Lowest,
    /// Those near zero, of either sign.
    Zero,
    /// Those between two extremes.
    Middle,
}

impl BestValue {
    /// The word in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::Lowest => "lowest",
            Self::Zero => "zero",
            Self::Middle => "middle",
        }
    }
}

/// What is fixed about a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentSpec {
    /// The component.
    pub component: Component,
    /// Its name in `--json` and in evaluations.
    pub name: &'static str,
    /// The column of its 0..100 in exports.
    pub quality_column: &'static str,
    /// The column of its native value in exports, views and the stores.
    pub value_column: &'static str,
    /// The unit of its native value.
    pub unit: &'static str,
    /// Which native values are best.
    pub best: BestValue,
    /// What a low 0..100 says about the face, in words for people.
    pub fault: &'static str,
}

macro_rules! components {
    ($(
        $(#[$doc:meta])*
        $variant:ident $name:literal $unit:literal $best:ident $fault:literal;
    )+) => {
        /// A component of quality.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Component {
            $($(#[$doc])* $variant,)+
        }

        /// Every component, in the order of tables.
        const SPECS: &[ComponentSpec] = &[$(ComponentSpec {
            component: Component::$variant,
            name: $name,
            quality_column: concat!("components_", $name),
            value_column: concat!("components_", $name, "_value"),
            unit: $unit,
            best: BestValue::$best,
            fault: $fault,
        },)+];
    };
}

components! {
    /// Distance between the eyes in the image, divided by the cosine of the yaw.
    InterEyeDistance "inter_eye_distance" "pixels of the image" Highest "few pixels";
    /// Distance of the right eye from the left edge of the image, in inter-eye distances.
    CropLeft "crop_left" "inter-eye distances" Highest "near the left edge";
    /// Distance of the left eye from the right edge of the image, in inter-eye distances.
    CropRight "crop_right" "inter-eye distances" Highest "near the right edge";
    /// Share of the chip that lies outside of the image.
    CutOff "cut_off" "share of the chip" Lowest "cut off";
    /// Share of dark pixels of the face: luminance 0 to 25 of 255.
    UnderExposure "under_exposure" "share of the face" Lowest "under-exposed";
    /// Share of white pixels of the face: luminance 247 to 255 of 255.
    OverExposure "over_exposure" "share of the face" Lowest "over-exposed";
    /// Entropy of the face's luminance.
    DynamicRange "dynamic_range" "bits" Highest "few shades";
    /// Mean of the face's luminance.
    LuminanceMean "luminance_mean" "0 to 1" Middle "too dark or too bright";
    /// Variance of the face's luminance.
    LuminanceVariance "luminance_variance" "0 to 0.25" Middle "contrast too low or too high";
    /// How alike the luminances of the two cheeks are: the common area of their histograms.
    IlluminationUniformity "illumination_uniformity" "0 to 1" Highest "lit from one side";
    /// Distance of the cheeks' colour from the colours of skin, in the a*b* plane of CIELAB.
    NaturalColour "natural_colour" "CIELAB units" Lowest "unnatural colour";
    /// Area of the largest other face in the image over the area of this one.
    SingleFace "single_face" "ratio of areas" Lowest "another face";
    /// Turn to a side; positive if the nose points to the right of the image.
    Yaw "yaw" "degrees" Zero "turned to a side";
    /// Turn up (positive) or down.
    Pitch "pitch" "degrees" Zero "turned up or down";
    /// Tilt of the line through the eyes; positive if clockwise in the image.
    Roll "roll" "degrees" Zero "tilted";
    /// Fine detail over coarse detail of the face.
    Sharpness "sharpness" "ratio of energies" Highest "blurred";
}

/// The least 0..100 with which a component is no reason to call a face poor.
pub const LEAST_GOOD: u8 = 50;

/// `1 / (1 + e^((x0 - x) / w))`.
fn sigmoid(x: f64, x0: f64, w: f64) -> f64 {
    1.0 / (1.0 + ((x0 - x) / w).exp())
}

/// The sharpness of which [`Component::rating`] makes 50. Of the photos of LFW, 1 in 20 has less
/// than 0.021 and half have more than 0.034; a Gaussian blur of 1.4 pixels of the chip leaves 0.01
/// of a sharp portrait.
const HALF_SHARP: f64 = 0.015;

impl Component {
    /// Number of components.
    pub const COUNT: usize = SPECS.len();

    /// Every component, in the order of tables.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        SPECS.iter().map(|spec| spec.component)
    }

    /// The component whose 0..100 has this column.
    pub fn of_quality_column(column: &str) -> Option<Self> {
        Self::all().find(|component| component.spec().quality_column == column)
    }

    /// Its names, unit and words.
    pub fn spec(self) -> &'static ComponentSpec {
        &SPECS[self as usize]
    }

    /// How good the native `value` is: 0 (worst) to 100 (best), not rounded.
    ///
    /// By ISO/IEC 29794-5, with `s(x; x0, w) = 1 / (1 + e^((x0 - x) / w))`; those of cut-off and
    /// sharpness are ours.
    pub fn rating(self, value: f32) -> f64 {
        let v = f64::from(value);
        let rating = match self {
            Self::InterEyeDistance => 100.0 * sigmoid(v, 70.0, 20.0),
            Self::CropLeft | Self::CropRight => 100.0 * sigmoid(v, 0.9, 0.1),
            // Ours: half at a fifth of the chip.
            Self::CutOff => 100.0 * (1.0 - v).max(0.0).powi(3),
            Self::UnderExposure => 120.0 * (0.832 - sigmoid(v, 0.92, 0.05)),
            Self::OverExposure => 1.0 / (v + 0.01),
            Self::DynamicRange => 12.5 * v,
            Self::LuminanceMean => 100.0 * sigmoid(v, 0.2, 0.05) * (1.0 - sigmoid(v, 0.8, 0.05)),
            Self::LuminanceVariance => {
                100.0 * (60.0 * v / (60.0 * v + 1.0) * std::f64::consts::PI).sin()
            }
            Self::IlluminationUniformity => 100.0 * v.max(0.0).powf(0.3),
            Self::NaturalColour => 200.0 * (1.0 - sigmoid(v, 0.0, 10.0)),
            Self::SingleFace => 100.0 * (1.0 - v),
            Self::Yaw | Self::Pitch | Self::Roll => 100.0 * v.to_radians().cos().max(0.0).powi(2),
            // Ours: blur divides the value by a factor, so equal steps of blur are equal steps of
            // its logarithm, of which this is the logistic function.
            Self::Sharpness => 100.0 * v.max(0.0) / (v.max(0.0) + HALF_SHARP),
        };
        rating.clamp(0.0, 100.0)
    }

    /// [`Self::rating`], rounded.
    pub fn quality(self, value: f32) -> u8 {
        self.rating(value).round() as u8
    }
}

/// The native values of a face's components; none where it cannot be known (the size in the image
/// of a face that came as a chip, for example).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Components([Option<f32>; Component::COUNT]);

impl Components {
    /// The native value of `component`.
    pub fn get(&self, component: Component) -> Option<f32> {
        self.0[component as usize]
    }

    /// The 0..100 of `component`.
    pub fn quality(&self, component: Component) -> Option<u8> {
        self.get(component).map(|value| component.quality(value))
    }

    /// Sets the native value of `component`. What is not finite is not known.
    pub fn set(&mut self, component: Component, value: Option<f32>) {
        self.0[component as usize] = value.filter(|value| value.is_finite());
    }

    /// Whether nothing is known: of faces that were recorded by a version without components, and
    /// of those without a chip.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The components below [`LEAST_GOOD`], each with its 0..100, the worst first.
    pub fn faults(&self) -> Vec<(Component, u8)> {
        let of = |component| Some((component, self.quality(component)?));
        let mut faults: Vec<(Component, u8)> = Component::all().filter_map(of).collect();
        faults.retain(|(_, quality)| *quality < LEAST_GOOD);
        faults.sort_by_key(|(_, quality)| *quality);
        faults
    }

    /// Why the face is poor, in words: its [faults](Self::faults), at most `most` of them, each
    /// with its 0..100. None if it has none.
    pub fn why(&self, most: usize) -> Option<String> {
        let word = |(component, quality): &(Component, u8)| {
            format!("{} ({quality})", component.spec().fault)
        };
        let words: Vec<String> = self.faults().iter().take(most).map(word).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl FromIterator<(Component, Option<f32>)> for Components {
    fn from_iter<T: IntoIterator<Item = (Component, Option<f32>)>>(values: T) -> Self {
        let mut components = Self::default();
        for (component, value) in values {
            components.set(component, value);
        }
        components
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_formula_gives_what_the_standard_prints() {
        // Native value and 0..100, by hand.
        let known: &[(Component, &[(f32, u8)])] = &[
            (Component::InterEyeDistance, &[(70.0, 50), (110.0, 88), (30.0, 12), (0.0, 3)]),
            (Component::CropLeft, &[(0.9, 50), (1.1, 88), (0.5, 2)]),
            (Component::CropRight, &[(0.9, 50), (2.0, 100)]),
            (Component::CutOff, &[(0.0, 100), (0.2, 51), (0.5, 13), (1.0, 0)]),
            (Component::UnderExposure, &[(0.0, 100), (0.92, 40), (1.0, 0)]),
            (Component::OverExposure, &[(0.0, 100), (0.01, 50), (0.09, 10), (1.0, 1)]),
            (Component::DynamicRange, &[(0.0, 0), (4.0, 50), (8.0, 100)]),
            (Component::LuminanceMean, &[(0.2, 50), (0.5, 100), (0.8, 50), (0.0, 2), (1.0, 2)]),
            (Component::LuminanceVariance, &[(0.0, 0), (1.0 / 60.0, 100), (1.0 / 180.0, 71)]),
            (Component::IlluminationUniformity, &[(0.0, 0), (0.1, 50), (1.0, 100)]),
            (Component::NaturalColour, &[(0.0, 100), (10.0, 54), (100.0, 0)]),
            (Component::SingleFace, &[(0.0, 100), (0.5, 50), (2.0, 0)]),
            (Component::Yaw, &[(0.0, 100), (45.0, 50), (-45.0, 50), (90.0, 0), (120.0, 0)]),
            (Component::Pitch, &[(60.0, 25)]),
            (Component::Roll, &[(-30.0, 75), (180.0, 0)]),
            (
                Component::Sharpness,
                &[(0.0, 0), (HALF_SHARP as f32, 50), (9.0 * HALF_SHARP as f32, 90)],
            ),
        ];
        assert_eq!(known.len(), Component::COUNT);
        for (component, values) in known {
            for &(value, quality) in *values {
                assert_eq!(component.quality(value), quality, "{component:?} of {value}");
            }
        }
    }

    #[test]
    fn each_formula_prefers_the_values_that_the_list_names() {
        for component in Component::all() {
            let at = |step: u16| component.rating(f32::from(step) / 100.0);
            let mut steps = (0..100).map(|step| at(step + 1) - at(step));
            match component.spec().best {
                BestValue::Highest => assert!(steps.all(|step| step >= 0.0), "{component:?}"),
                BestValue::Lowest => assert!(steps.all(|step| step <= 0.0), "{component:?}"),
                BestValue::Zero => {
                    assert!(steps.all(|step| step < 0.0), "{component:?}");
                    assert_eq!(component.rating(-20.0), component.rating(20.0));
                }
                BestValue::Middle => {
                    let rises: Vec<bool> =
                        steps.filter(|step| *step != 0.0).map(|s| s > 0.0).collect();
                    let turns = rises.windows(2).filter(|pair| pair[0] != pair[1]).count();
                    assert!(rises[0] && turns == 1, "{component:?}");
                }
            }
        }
    }

    #[test]
    fn names_and_places_of_the_list_agree() {
        for (place, component) in Component::all().enumerate() {
            assert_eq!(component as usize, place);
            let spec = component.spec();
            assert_eq!(spec.quality_column, format!("components_{}", spec.name));
            assert_eq!(spec.value_column, format!("components_{}_value", spec.name));
        }
    }

    #[test]
    fn each_component_is_documented() {
        let page = include_str!("../../docs/components.md");
        for component in Component::all() {
            let ComponentSpec { name, unit, best, fault, .. } = component.spec();
            let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("{name} has no row"));
            assert!(row.contains(&format!(": {unit} | {} |", best.as_str())), "{row}");
            assert!(row.ends_with(&format!("| {fault} |")), "{row}");
        }
    }

    #[test]
    fn a_poor_face_says_its_worst_components_first() {
        let mut components = Components::default();
        assert!(components.is_empty() && components.why(3).is_none());
        components.set(Component::Yaw, Some(70.0));
        components.set(Component::Sharpness, Some(0.0));
        components.set(Component::DynamicRange, Some(7.0));
        components.set(Component::OverExposure, Some(0.04));
        components.set(Component::Pitch, Some(f32::NAN));
        assert_eq!(components.get(Component::Pitch), None);
        let why = "blurred (0), turned to a side (12), over-exposed (20)";
        assert_eq!(components.why(3).as_deref(), Some(why));
        assert_eq!(components.why(1).as_deref(), Some("blurred (0)"));
        assert_eq!(components.quality(Component::DynamicRange), Some(88));
    }
}
