//! Images and templates for the tests.

use half::f16;

use super::pairing::{PairedImage, ReasonSet};
use super::sample::LoadedTemplates;
use crate::domain::{ImageId, Template};

/// Images of quality 50, each of an unknown subject.
pub(super) fn images(count: usize) -> Vec<PairedImage> {
    let image = |number: usize| PairedImage {
        id: ImageId(number as i64),
        cursors: [number as i64; 2],
        unit: number as u32,
        label: None,
        has_subject: false,
        qualities: [Some(50), Some(50)],
        has_faces: [true; 2],
        rejected: [ReasonSet::default(); 2],
    };
    (0..count).map(image).collect()
}

/// Templates of two components, at these angles.
pub(super) fn planar(degrees: &[f32]) -> Vec<Template> {
    let template = |degrees: &f32| {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Template::from_embedding(&[cos, sin]).unwrap().0
    };
    degrees.iter().map(template).collect()
}

/// The templates of images 0, 1, 2, …
pub(super) fn loaded(templates: &[Template]) -> LoadedTemplates {
    let halves: Vec<f16> = templates.iter().flat_map(Template::to_halves).collect();
    LoadedTemplates::of(templates[0].as_slice().len(), halves)
}
