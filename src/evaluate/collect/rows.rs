//! Scored photos as the rows of a [`SampleSet`].

use std::collections::HashMap;

use ndarray::Array2;

use crate::domain::{ImageUri, Profile, Recognition, SerFiq};
use crate::evaluate::labels::{Labels, PairList};
use crate::evaluate::samples::{
    CLOSED_FORM, GroupColumn, PrimaryFace, SampleSet, fused_measure, input_columns, own_measures,
};
use crate::store::{StoredFace, StoredImage};

/// The samples found so far.
#[derive(Default)]
pub(super) struct SampleRows {
    /// Each sample's index among the photos that the labels name.
    indices: Vec<usize>,
    names: Vec<String>,
    images: Vec<ImageUri>,
    subjects: Vec<u32>,
    subject_numbers: HashMap<String, u32>,
    faces: Vec<PrimaryFace>,
    fingerprint: Vec<[u8; 32]>,
}

impl SampleRows {
    pub(super) fn is_empty(&self) -> bool {
        self.faces.is_empty()
    }

    /// Adds a photo. False if it has no scored primary face.
    pub(super) fn add(
        &mut self,
        index: usize,
        file: String,
        subject: String,
        image: StoredImage,
    ) -> bool {
        let mut hasher = blake3::Hasher::new();
        if let Some(hash) = image.hash {
            hasher.update(&hash.0);
        }
        hasher.update(subject.as_bytes());
        let Some(face) = image.faces.into_iter().next().and_then(primary_face) else {
            return false;
        };
        self.fingerprint.push(*hasher.finalize().as_bytes());
        let next = self.subject_numbers.len() as u32;
        self.subjects.push(*self.subject_numbers.entry(subject).or_insert(next));
        self.names.push(file);
        self.images.push(image.image);
        self.indices.push(index);
        self.faces.push(face);
        true
    }

    /// The pairs of `list` whose photos are both scored, by index among the samples.
    pub(super) fn pairs(&self, list: &PairList) -> Vec<(u32, u32, bool)> {
        let samples: HashMap<u32, u32> =
            (0..).zip(&self.indices).map(|(sample, &index)| (index as u32, sample)).collect();
        list.pairs
            .iter()
            .filter_map(|(a, b, same)| Some((*samples.get(a)?, *samples.get(b)?, *same)))
            .collect()
    }

    /// The groups of the samples, a column for each group column of the labels.
    pub(super) fn groups(&self, labels: &Labels) -> Vec<GroupColumn> {
        let column = |(number, name): (usize, &String)| {
            let values: Vec<&str> = self
                .indices
                .iter()
                .map(|&index| labels.photos[index].groups[number].as_str())
                .collect();
            GroupColumn::new(name, &values)
        };
        labels.group_columns.iter().enumerate().map(column).collect()
    }

    /// The set. It must not be empty.
    pub(super) fn samples(self, profile: Profile, groups: Vec<GroupColumn>) -> SampleSet {
        let dimension = self.faces[0].recognition.template.as_slice().len();
        let mut templates = Array2::zeros((self.faces.len(), dimension));
        for (mut row, face) in templates.rows_mut().into_iter().zip(&self.faces) {
            row.iter_mut()
                .zip(face.recognition.template.as_slice())
                .for_each(|(to, from)| *to = *from);
        }
        let mut measures = own_measures(&method_name(&profile.ser_fiq), &self.faces);
        let scores = measures[0].clone();
        measures.splice(0..0, fused_measure(&profile.mapping, &self.faces));
        SampleSet {
            names: self.names,
            images: self.images,
            subjects: self.subjects,
            templates,
            measures,
            scores,
            inputs: input_columns(&self.faces),
            groups,
            profile,
            fingerprint: fingerprint(self.fingerprint),
        }
    }
}

/// The method's name in tables and figures.
fn method_name(ser_fiq: &SerFiq) -> String {
    match ser_fiq {
        SerFiq::ClosedForm { .. } => CLOSED_FORM.to_owned(),
        SerFiq::Sampled { passes, .. } => sampled_name(*passes),
    }
}

/// The name, in tables and figures, of SER-FIQ sampled with so many passes.
pub fn sampled_name(passes: u32) -> String {
    format!("sampled T={passes}")
}

/// 16 hex digits that do not depend on the order of the photos.
pub(super) fn fingerprint(mut photos: Vec<[u8; 32]>) -> String {
    photos.sort_unstable();
    blake3::hash(photos.as_flattened()).to_hex()[..16].to_owned()
}

fn primary_face(stored: StoredFace) -> Option<PrimaryFace> {
    let bbox = stored.face.bbox;
    let size_px = match stored.face.landmarks {
        Some([right, left, ..]) => (left.x - right.x).hypot(left.y - right.y),
        None => bbox.shorter_side(),
    };
    let recognition = Recognition {
        template: stored.template?,
        norm: stored.norm?,
        distance: stored.distance?,
        score: stored.score?,
        quality: stored.quality?,
    };
    let (detector_score, components) = (stored.face.detector_score, stored.components);
    Some(PrimaryFace { recognition, detector_score, size_px, components })
}
