//! The scored photos of one evaluation, as numbers.

use ndarray::Array2;

use super::coverage::TableCoverage;
use super::labels::OtherMeasures;
use crate::domain::{
    Component, Components, FaceMeasures, FusedInput, ImageUri, Mapping, Profile, Recognition,
};
use crate::quality::{self, quality};

/// Scored photos, each represented by its primary face.
#[derive(Debug, Clone)]
pub struct SampleSet {
    /// Their names in tables of other tools: files as the labels name them, or images as an export
    /// names them.
    pub names: Vec<String>,
    /// Their URIs.
    pub images: Vec<ImageUri>,
    /// Their subjects, numbered from 0 without a gap.
    pub subjects: Vec<u32>,
    /// Their templates, a row for each photo.
    pub templates: Array2<f32>,
    /// The measures of quality, the one under evaluation first.
    pub measures: Vec<Measure>,
    /// SER-FIQ's scores: the first of `measures`, unless that is a fused quality.
    pub scores: Measure,
    /// What a fused quality may be fitted on.
    pub inputs: Vec<InputColumn>,
    /// The groups that people belong to.
    pub groups: Vec<GroupColumn>,
    /// The profile of the scores.
    pub profile: Profile,
    /// Fingerprint of photos and labels: 16 hex digits.
    pub fingerprint: String,
}

/// One measure of quality; higher is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// Its name in tables and figures.
    pub name: String,
    /// A value for each photo; none where the measure has none.
    pub values: Vec<Option<f64>>,
}

impl Measure {
    /// The quality of each photo by `mapping`. A photo without a value has the lowest quality.
    pub fn qualities(&self, mapping: &Mapping) -> Vec<u8> {
        self.values
            .iter()
            .map(|value| quality(value.unwrap_or(f64::NEG_INFINITY), mapping))
            .collect()
    }
}

/// An input of fused qualities.
#[derive(Debug, Clone, PartialEq)]
pub struct InputColumn {
    /// The input.
    pub input: FusedInput,
    /// Its value for each photo; none where it is not known.
    pub values: Vec<Option<f64>>,
}

/// One way to put people into groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupColumn {
    /// Its name.
    pub name: String,
    /// The groups, by name.
    pub groups: Vec<String>,
    /// For each photo its index in `groups`; none where unknown.
    pub of: Vec<Option<u32>>,
}

impl GroupColumn {
    /// A column of `values`, which are empty where unknown.
    pub fn new(name: &str, values: &[&str]) -> Self {
        let mut groups: Vec<String> = values
            .iter()
            .filter(|value| !value.is_empty())
            .map(|value| (*value).to_owned())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        let of = values
            .iter()
            .map(|value| groups.iter().position(|group| group == value).map(|index| index as u32))
            .collect();
        Self { name: name.to_owned(), groups, of }
    }
}

/// Name of SER-FIQ in closed form.
pub const CLOSED_FORM: &str = "closed form";
/// Name of the fused quality of a profile, or of the one that is fitted.
pub const FUSED: &str = "fused quality";
/// Name of the norm of the embedding.
pub const NORM: &str = "embedding norm";

/// The results of the detector and the network for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct PrimaryFace {
    /// The network's results.
    pub recognition: Recognition,
    /// The detector's confidence; none for chips.
    pub detector_score: Option<f32>,
    /// Distance between the eyes, pixels; the box's shorter side without landmarks.
    pub size_px: f32,
    /// Its components.
    pub components: Components,
}

impl PrimaryFace {
    fn measures(&self) -> FaceMeasures<'_> {
        FaceMeasures {
            score: self.recognition.score,
            norm: self.recognition.norm,
            detector_score: self.detector_score,
            components: &self.components,
        }
    }
}

/// The inputs of fused qualities, of each face.
pub fn input_columns(faces: &[PrimaryFace]) -> Vec<InputColumn> {
    let column = |input: FusedInput| InputColumn {
        input,
        values: faces.iter().map(|face| input.of(&face.measures())).collect(),
    };
    FusedInput::all().map(column).collect()
}

/// The fused quality of each face, if `mapping` is one.
pub fn fused_measure(mapping: &Mapping, faces: &[PrimaryFace]) -> Option<Measure> {
    mapping.fused()?;
    let value = |face: &PrimaryFace| Some(quality::value(&face.measures(), mapping));
    Some(Measure { name: FUSED.into(), values: faces.iter().map(value).collect() })
}

/// The measures that every scan gives; the first is SER-FIQ by the method called `method`. A
/// component is measured by its 0..100, not rounded, and is called as its column in exports.
pub fn own_measures(method: &str, faces: &[PrimaryFace]) -> Vec<Measure> {
    let measure = |name: &str, of: &dyn Fn(&PrimaryFace) -> Option<f64>| Measure {
        name: name.to_owned(),
        values: faces.iter().map(of).collect(),
    };
    let mut measures = vec![
        measure(method, &|face| Some(face.recognition.score)),
        measure(NORM, &|face| Some(f64::from(face.recognition.norm))),
        measure("detector score", &|face| face.detector_score.map(f64::from)),
        measure("face size", &|face| Some(f64::from(face.size_px))),
    ];
    measures.extend(Component::all().map(|component| {
        measure(component.spec().quality_column, &|face| {
            face.components.get(component).map(|value| component.rating(value))
        })
    }));
    // Chips have no detector score, and faces that were recorded earlier no components.
    measures.retain(|measure| measure.values.iter().any(Option::is_some));
    measures
}

/// A measure without information. Photo count and seed determine its values.
pub fn random_measure(photos: usize, seed: u64) -> Measure {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    Measure {
        name: "random".into(),
        values: (0..photos).map(|_| Some(f64::from(random.next_u32()))).collect(),
    }
}

impl SampleSet {
    /// Adds the measures that an evaluation compares with the first: SER-FIQ `sampled` with other
    /// numbers of passes, those of another tool, and the random one. Returns how far the other
    /// tool's table covers the photos.
    ///
    /// # Errors
    /// If the other tool's table has none of the photos.
    pub fn add_measures(
        &mut self,
        sampled: &[(u32, Measure)],
        other: Option<&OtherMeasures>,
        seed: u64,
    ) -> Result<Option<TableCoverage>, NoCommonPhoto> {
        self.measures.splice(1..1, sampled.iter().map(|(_, measure)| measure.clone()));
        let mut found = None;
        if let Some(other) = other {
            let (measures, coverage) = other_measures(other, &self.names, &self.images);
            if coverage.without_row.count == self.names.len() {
                return Err(NoCommonPhoto(self.names[0].clone()));
            }
            self.measures.extend(measures);
            found = Some(coverage);
        }
        self.measures.push(random_measure(self.names.len(), seed));
        Ok(found)
    }
}

/// Another tool's table has none of the photos. Holds the name of a photo.
#[derive(Debug, thiserror::Error)]
#[error("the other tool's table has none of the photos (no row for {0}, for example)")]
pub struct NoCommonPhoto(String);

/// The measures of another tool, and how far its table covers the photos. A photo's row has the
/// name that the labels give the photo, or its whole path or URI.
fn other_measures(
    other: &OtherMeasures,
    names: &[String],
    images: &[ImageUri],
) -> (Vec<Measure>, TableCoverage) {
    let row = |(name, image): (&String, &ImageUri)| {
        let values = &other.values;
        values
            .get_key_value(name)
            .or_else(|| values.get_key_value(&image.to_string()))
            .or_else(|| values.get_key_value(image.as_str()))
    };
    let rows: Vec<_> = names.iter().zip(images).map(row).collect();
    let measure = |(column, name): (usize, &String)| Measure {
        name: name.clone(),
        values: rows.iter().map(|row| row.and_then(|(_, row)| row[column])).collect(),
    };
    let coverage = TableCoverage::new(other, names, &rows);
    (other.names.iter().enumerate().map(measure).collect(), coverage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Template;
    use crate::evaluate::labels::OtherColumns;

    #[test]
    fn groups_are_those_that_occur() {
        let column = GroupColumn::new("gender", &["male", "", "female", "male"]);
        assert_eq!(column.groups, ["female", "male"]);
        assert_eq!(column.of, [Some(1), None, Some(0), Some(1)]);
    }

    #[test]
    fn each_known_component_is_a_measure() {
        let face = |sharpness: f32| {
            let (template, norm) = Template::from_embedding(&[3.0, 4.0]).unwrap();
            let (distance, score, quality) = (0.4, 0.8, 20);
            PrimaryFace {
                recognition: Recognition { template, norm, distance, score, quality },
                detector_score: None,
                size_px: 40.0,
                components: Components::from_iter([(Component::Sharpness, Some(sharpness))]),
            }
        };
        let measures = own_measures("closed form", &[face(0.01), face(0.011)]);
        let names: Vec<&str> = measures.iter().map(|measure| measure.name.as_str()).collect();
        assert_eq!(names, ["closed form", "embedding norm", "face size", "components_sharpness"]);
        let expected = [0.01, 0.011].map(|value| Some(Component::Sharpness.rating(value)));
        assert_eq!(measures[3].values, expected, "not rounded: rounding makes ties");
    }

    #[test]
    fn another_tools_values_are_matched_to_the_photos() {
        let table = "file,unified\nb.jpg,3\n/photos/c.jpg,\n";
        let columns = OtherColumns { wanted: vec!["unified".to_owned()], ..Default::default() };
        let other = OtherMeasures::read(table.as_bytes(), &columns).unwrap();
        let names = ["a.jpg", "b.jpg", "c.jpg"];
        let images = names.map(|name| format!("file:///photos/{name}").parse().unwrap());
        let (measures, found) = other_measures(&other, &names.map(str::to_owned), &images);
        assert_eq!(
            measures,
            [Measure { name: "unified".into(), values: vec![None, Some(3.0), None] }]
        );
        assert_eq!(
            (found.without_row.count, &found.without_row.first[..]),
            (1, &["a.jpg".to_owned()][..])
        );
    }

    #[test]
    fn the_random_measure_depends_only_on_its_seed() {
        assert_eq!(random_measure(100, 1), random_measure(100, 1));
        assert_ne!(random_measure(100, 1), random_measure(100, 2));
    }
}
