//! From labels or a gallery to [`Samples`]: scores what the store does not hold yet, as a scan does, and reads everything back.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use ndarray::Array2;

use super::labels::{Known, Label, Labels, PairList};
use super::samples::{CLOSED_FORM, GroupColumn, PrimaryFace, Samples, own_measures};
use crate::domain::{
    Faces, GalleryName, ImageUri, InvalidName, Job, JobId, Lane, OutcomeKind, Profile, ProfileId, Recognition, Selection, SerFiq,
    SourceStamp, SubjectName,
};
use crate::store::{PageQuery, Store, StoreError, StoredFace, StoredImage};
use crate::worker::Process;
use crate::worker::process::Processed;

/// Images held in memory at a time.
const PAGE: u32 = 500;
/// Results written in one transaction.
const CHUNK: usize = 256;
/// Photos without a score that are named.
const MOST_PROBLEMS: usize = 20;

/// Why photos could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A subject's name.
    #[error("the subject of {image}: {source}")]
    Subject {
        /// The photo.
        image: ImageUri,
        /// What is wrong with the name.
        source: InvalidName,
    },
    /// Something passing went wrong.
    #[error("{image} could not be scored: {reason}; what is scored is kept: run the same again")]
    Transient {
        /// The photo.
        image: ImageUri,
        /// Why.
        reason: String,
    },
    /// The store does not know the profile.
    #[error("the store does not know profile {0}")]
    Profile(ProfileId),
    /// Nothing to evaluate.
    #[error("there is nothing to evaluate: {0}")]
    Nothing(String),
}

/// A photo to evaluate.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Where it is.
    pub image: ImageUri,
    /// Its listed version.
    pub stamp: Option<SourceStamp>,
    /// Whose it is, if there is a label.
    pub subject: Option<String>,
}

/// Scores those of `photos` that `gallery` holds no result of, `ahead` at a time, and tells `ended` of each. They are recorded with
/// their subjects, so that the gallery can be evaluated by its name afterwards.
///
/// # Errors
/// If the store fails or a photo could not be tried; a photo that is no good is an outcome.
pub async fn score(
    photos: &[Photo],
    gallery: &GalleryName,
    selection: &Selection,
    processor: &dyn Process,
    store: &dyn Store,
    ahead: usize,
    ended: &(dyn Fn(u64) + Sync),
) -> Result<(), CollectError> {
    let profile = processor.profile();
    store.register_profile(profile).await?;
    let images: Vec<_> = photos.iter().map(|photo| (photo.image.clone(), photo.stamp.clone())).collect();
    let settled = store.settled(gallery, &profile.id(), selection, &images).await?;
    ended(settled.iter().filter(|settled| **settled).count() as u64);
    let left = photos.iter().zip(settled).filter(|(_, settled)| !settled).map(|(photo, _)| photo);
    let jobs: Vec<Job> = left.map(|photo| job(photo, gallery, selection.faces)).collect::<Result<_, _>>()?;
    let work = jobs.iter().map(|job| async move {
        match processor.process(job).await {
            Processed::Ended(record) => Ok(*record),
            Processed::Transient(reason) => Err(CollectError::Transient { image: job.image.clone(), reason }),
            // It asks for no profile and belongs to no campaign.
            Processed::Deferred(_) | Processed::Dropped => {
                Err(CollectError::Transient { image: job.image.clone(), reason: "the processor put it back".into() })
            }
        }
    });
    let mut records = futures::stream::iter(work).buffer_unordered(ahead.max(1)).try_chunks(CHUNK);
    while let Some(chunk) = records.next().await {
        // What came before a failure is kept.
        let (done, failed) = match chunk {
            Ok(done) => (done, None),
            Err(error) => (error.0, Some(error.1)),
        };
        store.record(&done).await?;
        ended(done.len() as u64);
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(())
}

fn job(photo: &Photo, gallery: &GalleryName, faces: Faces) -> Result<Job, CollectError> {
    let named = |subject: &String| SubjectName::try_from(subject.clone());
    let subject = photo.subject.as_ref().map(named).transpose();
    Ok(Job {
        id: JobId::new(),
        lane: Lane::Scan,
        gallery: gallery.clone(),
        image: photo.image.clone(),
        stamp: photo.stamp.clone(),
        expected_hash: None,
        subject: subject.map_err(|source| CollectError::Subject { image: photo.image.clone(), source })?,
        faces,
        profile: None,
        campaign: None,
        trace: None,
        retry_of: None,
        attempt: 1,
    })
}

/// A photo that could not be scored, and why.
#[derive(Debug)]
pub struct Problem {
    /// Its name in the labels, or its place.
    pub file: String,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: String,
}

/// The photos of an evaluation, and what became of the others.
#[derive(Debug)]
pub struct Collected {
    /// Those with a scored primary face.
    pub samples: Samples,
    /// Listed pairs, by their places in the samples; none if all are compared with all.
    pub pairs: Option<Vec<(u32, u32, bool)>>,
    /// Photos without a score, by outcome: they are not part of the evaluation.
    pub left_out: Vec<(OutcomeKind, u64)>,
    /// The first of them that ended for a reason.
    pub problems: Vec<Problem>,
    /// Photos that the store holds no result of, or no subject.
    pub unknown: u64,
    /// Photos whose subject in the store, from an earlier run, is not that of the labels. The labels count.
    pub renamed: u64,
}

/// Reads the results of `profile` in `gallery`. `places` says where the photos of `known` are, in its order; for [`Known::Gallery`] it
/// is empty.
///
/// # Errors
/// If the store cannot be read, or nothing was scored.
pub async fn read(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    known: &Known,
    places: &[ImageUri],
) -> Result<Collected, CollectError> {
    let definition = store.profile(profile).await?.ok_or_else(|| CollectError::Profile(profile.clone()))?;
    let mut images = read_images(store, gallery, profile, places).await?;
    let files: Vec<(String, String, ImageUri)> = match known {
        Known::Labels(labels) => {
            let named = |(label, uri): (&Label, &ImageUri)| (label.file.clone(), label.subject.clone(), uri.clone());
            labels.photos.iter().zip(places).map(named).collect()
        }
        Known::Pairs(list) => {
            let subjects = list.subjects();
            let named = |(place, uri): (usize, &ImageUri)| (list.files[place].clone(), subjects[place].to_string(), uri.clone());
            places.iter().enumerate().map(named).collect()
        }
        Known::Gallery => {
            let mut files: Vec<_> = images
                .values()
                .filter_map(|image| {
                    Some((image.image.to_string(), image.subject.as_ref()?.as_str().to_owned(), image.image.clone()))
                })
                .collect();
            files.sort_unstable();
            files
        }
    };

    let mut rows = Rows::default();
    let mut problems = Vec::new();
    let (mut left_out, mut unknown, mut renamed) = (HashMap::new(), 0, 0);
    for (place, (file, subject, uri)) in files.into_iter().enumerate() {
        let Some(image) = images.remove(&uri) else {
            unknown += 1;
            continue;
        };
        let outcome = image.outcome;
        let is_other = |recorded: &SubjectName| matches!(known, Known::Labels(_)) && recorded.as_str() != subject;
        renamed += u64::from(image.subject.as_ref().is_some_and(is_other));
        if let Some(reason) = &image.reason
            && problems.len() < MOST_PROBLEMS
        {
            problems.push(Problem { file: file.clone(), outcome, reason: reason.clone() });
        }
        if !rows.add(place, file, subject, image) {
            // A face without a direction is no score either.
            let outcome = if outcome == OutcomeKind::Scored { OutcomeKind::Failed } else { outcome };
            *left_out.entry(outcome).or_insert(0) += 1;
        }
    }
    if *known == Known::Gallery {
        unknown += images.len() as u64;
    }
    let mut left_out: Vec<_> = left_out.into_iter().collect();
    left_out.sort_unstable();
    if rows.faces.is_empty() {
        let hint = if *known == Known::Gallery {
            "the gallery has no scored image of a known subject"
        } else {
            "see the outcomes of a scan"
        };
        return Err(CollectError::Nothing(hint.into()));
    }
    let pairs = match known {
        Known::Pairs(list) => Some(rows.pairs(list)),
        _ => None,
    };
    let groups = match known {
        Known::Labels(labels) => rows.groups(labels),
        _ => Vec::new(),
    };
    Ok(Collected { samples: rows.samples(definition, groups), pairs, left_out, problems, unknown, renamed })
}

async fn read_images(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    places: &[ImageUri],
) -> Result<HashMap<ImageUri, StoredImage>, StoreError> {
    let wanted: HashSet<&ImageUri> = places.iter().collect();
    let (gallery, profile) = (gallery.clone(), profile.clone());
    let mut query = PageQuery { gallery, profile, outcomes: Vec::new(), after: 0, limit: PAGE, templates: true };
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
    let found = read_images(store, gallery, profile, images).await?;
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
    let mut query = PageQuery { gallery, profile, outcomes: Vec::new(), after: 0, limit: PAGE, templates: false };
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
        let Some(face) = image.faces.into_iter().next().and_then(primary_face) else { return false };
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
        let samples: HashMap<u32, u32> = (0..).zip(&self.places).map(|(sample, &place)| (place as u32, sample)).collect();
        list.pairs.iter().filter_map(|(a, b, same)| Some((*samples.get(a)?, *samples.get(b)?, *same))).collect()
    }

    fn groups(&self, labels: &Labels) -> Vec<GroupColumn> {
        let column = |(number, name): (usize, &String)| {
            let values: Vec<&str> = self.places.iter().map(|&place| labels.photos[place].groups[number].as_str()).collect();
            GroupColumn::new(name, &values)
        };
        labels.group_columns.iter().enumerate().map(column).collect()
    }

    fn samples(self, profile: Profile, groups: Vec<GroupColumn>) -> Samples {
        let dimension = self.faces[0].recognition.template.as_slice().len();
        let mut templates = Array2::zeros((self.faces.len(), dimension));
        for (mut row, face) in templates.rows_mut().into_iter().zip(&self.faces) {
            row.iter_mut().zip(face.recognition.template.as_slice()).for_each(|(to, from)| *to = *from);
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
        None => bbox.width.min(bbox.height),
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
