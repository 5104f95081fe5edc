//! From what the store holds of labels or a gallery to [`Samples`].

use std::collections::{HashMap, HashSet};

use ndarray::Array2;

use super::labels::{Known, Labels, PairList};
use super::left_out::{Absence, LeftOut, why_none};
use super::samples::{CLOSED_FORM, GroupColumn, PrimaryFace, Samples, own_measures};
use crate::domain::{
    GalleryName, ImageUri, OutcomeKind, Profile, ProfileId, Recognition, SerFiq, SubjectName,
};
use crate::store::{PageQuery, Store, StoreError, StoredFace, StoredImage};

/// Images held in memory at a time.
const PAGE: u32 = 500;

/// Why photos could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The processor did not take a photo.
    #[error("{0} was put back by the processor; what is scored is kept: run the same again")]
    PutBack(ImageUri),
    /// The store does not know the profile.
    #[error("the store does not know profile {0}")]
    Profile(ProfileId),
    /// Nothing to evaluate.
    #[error("there is nothing to evaluate: {0}")]
    Nothing(String),
}

/// The photos of an evaluation, and what became of the others.
#[derive(Debug)]
pub struct Collected {
    /// Those with a scored primary face.
    pub samples: Samples,
    /// Listed pairs, by their places in the samples; none if all are compared with all.
    pub pairs: Option<Vec<(u32, u32, bool)>>,
    /// Photos without a score: they are not part of the evaluation.
    pub left_out: Vec<LeftOut>,
    /// Photos that the store holds no result of, or no subject.
    pub unknown: u64,
    /// Photos whose subject in the store, from an earlier run, is not that of the labels. The
    /// labels count.
    pub renamed: u64,
}

/// A photo as the labels, or else the store, name it.
struct Named {
    file: String,
    line: Option<u64>,
    subject: String,
    /// Where it is, or why it is not there.
    place: Result<ImageUri, String>,
}

/// Reads the results of `profile` in `gallery`. `places` says where the photos of `known` are, or
/// why one is not there, in its order; for [`Known::Gallery`] it is empty.
///
/// # Errors
/// If the store cannot be read, or nothing was scored.
pub async fn read(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    known: &Known,
    places: &[Result<ImageUri, String>],
) -> Result<Collected, CollectError> {
    let definition =
        store.profile(profile).await?.ok_or_else(|| CollectError::Profile(profile.clone()))?;
    let wanted: HashSet<&ImageUri> = places.iter().flatten().collect();
    let mut images = read_images(store, gallery, profile, &wanted).await?;
    let mut rows = Rows::default();
    let (mut left_out, mut unknown, mut renamed) = (Vec::new(), 0, 0);
    for (number, named) in names(known, places, &images).into_iter().enumerate() {
        let Named { file, line, subject, place } = named;
        let uri = match place {
            Ok(uri) => uri,
            Err(reason) => {
                left_out.push(LeftOut {
                    file,
                    line,
                    absence: Absence::Missing,
                    reason: Some(reason),
                });
                continue;
            }
        };
        let Some(image) = images.remove(&uri) else {
            unknown += 1;
            continue;
        };
        let is_other = |recorded: &SubjectName| {
            matches!(known, Known::Labels(_)) && recorded.as_str() != subject
        };
        renamed += u64::from(image.subject.as_ref().is_some_and(is_other));
        let absent = absent(&file, line, &image);
        if !rows.add(number, file, subject, image) {
            left_out.push(absent);
        }
    }
    if *known == Known::Gallery {
        unknown += images.len() as u64;
    }
    if rows.faces.is_empty() {
        return Err(CollectError::Nothing(match left_out.is_empty() {
            true if *known == Known::Gallery => {
                "the gallery has no image of a known subject".to_owned()
            }
            true => format!("the gallery '{gallery}' holds no result of the photos"),
            false => why_none(&left_out),
        }));
    }
    let pairs = match known {
        Known::Pairs(list) => Some(rows.pairs(list)),
        _ => None,
    };
    let groups = match known {
        Known::Labels(labels) => rows.groups(labels),
        _ => Vec::new(),
    };
    Ok(Collected { samples: rows.samples(definition, groups), pairs, left_out, unknown, renamed })
}

fn names(
    known: &Known,
    places: &[Result<ImageUri, String>],
    images: &HashMap<ImageUri, StoredImage>,
) -> Vec<Named> {
    if *known == Known::Gallery {
        let named = |image: &StoredImage| {
            let subject = image.subject.as_ref()?.as_str().to_owned();
            Some(Named {
                file: image.image.to_string(),
                line: None,
                subject,
                place: Ok(image.image.clone()),
            })
        };
        let mut named: Vec<Named> = images.values().filter_map(named).collect();
        named.sort_unstable_by(|a, b| (&a.file, &a.place).cmp(&(&b.file, &b.place)));
        return named;
    }
    let subjects = match known {
        Known::Pairs(list) => list.subjects(),
        _ => Vec::new(),
    };
    let files = known.files().into_iter().zip(places).enumerate();
    files
        .map(|(number, ((file, line, subject), place))| Named {
            file: file.to_owned(),
            line: Some(line),
            subject: subject.map_or_else(|| subjects[number].to_string(), str::to_owned),
            place: place.clone(),
        })
        .collect()
}

/// How a photo is left out if its primary face has no score.
fn absent(file: &str, line: Option<u64>, image: &StoredImage) -> LeftOut {
    let (outcome, reason) = match image.outcome {
        OutcomeKind::Scored => {
            (OutcomeKind::Failed, Some("its primary face could not be recognised".to_owned()))
        }
        outcome => (outcome, image.reason.clone()),
    };
    LeftOut { file: file.to_owned(), line, absence: Absence::Ended(outcome), reason }
}

async fn read_images(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    wanted: &HashSet<&ImageUri>,
) -> Result<HashMap<ImageUri, StoredImage>, StoreError> {
    let (gallery, profile) = (gallery.clone(), profile.clone());
    let mut query = PageQuery {
        gallery,
        profile,
        outcomes: Vec::new(),
        after: 0,
        limit: PAGE,
        templates: true,
    };
    let mut images = HashMap::new();
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { return Ok(images) };
        query.after = last.cursor;
        for mut image in page {
            if wanted.is_empty() || wanted.contains(&image.image) {
                // Only the primary face is looked at.
                image.faces.truncate(1);
                images.insert(image.image.clone(), image);
            }
        }
    }
}

/// The scores of `images` under another profile.
///
/// # Errors
/// If the store cannot be read.
pub async fn read_scores(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    images: &[ImageUri],
) -> Result<Vec<Option<f64>>, StoreError> {
    let found = read_images(store, gallery, profile, &images.iter().collect()).await?;
    Ok(images.iter().map(|image| found.get(image)?.faces.first()?.score).collect())
}

/// The scores of the primary faces of a gallery, and their fingerprint.
///
/// # Errors
/// If the store cannot be read.
pub async fn gallery_scores(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<(Vec<f64>, String), StoreError> {
    let (gallery, profile) = (gallery.clone(), profile.clone());
    let mut query = PageQuery {
        gallery,
        profile,
        outcomes: Vec::new(),
        after: 0,
        limit: PAGE,
        templates: false,
    };
    let (mut scores, mut hashes) = (Vec::new(), Vec::new());
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { return Ok((scores, fingerprint(hashes))) };
        query.after = last.cursor;
        for image in page {
            if let Some(score) = image.faces.first().and_then(|face| face.score) {
                scores.push(score);
                hashes.extend(image.hash.map(|hash| hash.0));
            }
        }
    }
}

/// The samples as they are found.
#[derive(Default)]
struct Rows {
    /// Each one's place among the labels.
    places: Vec<usize>,
    names: Vec<String>,
    images: Vec<ImageUri>,
    subjects: Vec<u32>,
    subject_numbers: HashMap<String, u32>,
    faces: Vec<PrimaryFace>,
    fingerprint: Vec<[u8; 32]>,
}

impl Rows {
    /// False if the image has no scored face.
    fn add(&mut self, place: usize, file: String, subject: String, image: StoredImage) -> bool {
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
        self.places.push(place);
        self.faces.push(face);
        true
    }

    fn pairs(&self, list: &PairList) -> Vec<(u32, u32, bool)> {
        let samples: HashMap<u32, u32> =
            (0..).zip(&self.places).map(|(sample, &place)| (place as u32, sample)).collect();
        list.pairs
            .iter()
            .filter_map(|(a, b, same)| Some((*samples.get(a)?, *samples.get(b)?, *same)))
            .collect()
    }

    fn groups(&self, labels: &Labels) -> Vec<GroupColumn> {
        let column = |(number, name): (usize, &String)| {
            let values: Vec<&str> = self
                .places
                .iter()
                .map(|&place| labels.photos[place].groups[number].as_str())
                .collect();
            GroupColumn::new(name, &values)
        };
        labels.group_columns.iter().enumerate().map(column).collect()
    }

    fn samples(self, profile: Profile, groups: Vec<GroupColumn>) -> Samples {
        let dimension = self.faces[0].recognition.template.as_slice().len();
        let mut templates = Array2::zeros((self.faces.len(), dimension));
        for (mut row, face) in templates.rows_mut().into_iter().zip(&self.faces) {
            row.iter_mut()
                .zip(face.recognition.template.as_slice())
                .for_each(|(to, from)| *to = *from);
        }
        let method = method_name(&profile.ser_fiq);
        Samples {
            names: self.names,
            images: self.images,
            subjects: self.subjects,
            templates,
            measures: own_measures(&method, &self.faces),
            groups,
            profile,
            fingerprint: fingerprint(self.fingerprint),
        }
    }
}

/// The method's name in tables and figures.
pub fn method_name(ser_fiq: &SerFiq) -> String {
    match ser_fiq {
        SerFiq::ClosedForm { .. } => CLOSED_FORM.to_owned(),
        SerFiq::Sampled { passes, .. } => format!("sampled T={passes}"),
    }
}

/// The same for the same photos in any order.
fn fingerprint(mut photos: Vec<[u8; 32]>) -> String {
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
    Some(PrimaryFace { recognition, detector_score: stored.face.detector_score, size_px })
}
