//! The images of a gallery that are curated: those whose primary face has a template, with the
//! verdicts in force.

use std::collections::{BTreeMap, BTreeSet};

use super::CurateError;
use crate::domain::{Curated, GalleryName, ImageId, OutcomeKind, ProfileId, SubjectName, Template};
use crate::store::{PageFilter, PageQuery, ReviewQuery, Store, StoredFace, StoredImage};

/// Images that are read at once.
const PAGE: u32 = 2000;

/// An image with its primary face.
pub(super) struct CuratedImage {
    /// The image, without faces.
    pub(super) image: StoredImage,
    /// Its primary face, without its template.
    pub(super) face: StoredFace,
    pub(super) template: Template,
    pub(super) kept: bool,
    /// Whether a verdict says whom it shows.
    pub(super) reassigned: bool,
    /// Whether it is an active reference of somebody.
    pub(super) reference: bool,
    /// The subject for whom its enrolment has to be reviewed, once that was noted.
    pub(super) review: Option<SubjectName>,
}

/// The images of a gallery under its active profile, without the excluded ones.
pub(super) struct CuratedGallery {
    pub(super) images: Vec<CuratedImage>,
    verdicts: BTreeMap<ImageId, Curated>,
}

impl CuratedImage {
    pub(super) fn subject(&self) -> Option<&SubjectName> {
        self.image.subject.as_ref()
    }

    /// The quality of its face.
    pub(super) fn quality(&self) -> u8 {
        self.face.quality.unwrap_or_default()
    }

    /// The number of its pixels.
    pub(super) fn pixels(&self) -> u64 {
        self.image.size.map_or(0, |(width, height)| u64::from(width) * u64::from(height))
    }
}

impl CuratedGallery {
    pub(super) async fn read(
        store: &dyn Store,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<Self, CurateError> {
        let verdicts = store.curated(gallery).await?;
        let references = store.reference_templates(gallery, profile, None).await?;
        let references: BTreeSet<ImageId> = references.into_iter().map(|it| it.image).collect();
        let mut query = PageQuery {
            gallery: gallery.clone(),
            profile: profile.clone(),
            outcomes: vec![OutcomeKind::Scored],
            filter: PageFilter::default(),
            notes: false,
            after: 0,
            limit: PAGE,
            templates: true,
        };
        let mut images: Vec<CuratedImage> = Vec::new();
        let mut snapshot = store.snapshot().await?;
        loop {
            let page = snapshot.page(&query).await?;
            let Some(last) = page.last() else { break };
            query.after = last.cursor;
            images.extend(page.into_iter().filter_map(|image| curated(image, &verdicts)));
        }
        for image in &mut images {
            image.reference = references.contains(&image.image.id);
        }
        Ok(Self { images, verdicts })
    }

    /// Notes for whom images have to be reviewed.
    pub(super) async fn note_reviews(
        &mut self,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<(), CurateError> {
        let mut reviews = reviews(store, gallery).await?;
        for image in &mut self.images {
            image.review = reviews.remove(&image.image.id);
        }
        Ok(())
    }

    /// Whether somebody said that these two do not show the same.
    pub(super) fn are_told_apart(&self, one: ImageId, other: ImageId) -> bool {
        let names = |from: ImageId, to: ImageId| {
            self.verdicts.get(&from).is_some_and(|state| state.not_the_same.contains(&to))
        };
        names(one, other) || names(other, one)
    }

    /// The pairs of images that somebody told apart.
    pub(super) fn told_apart(&self) -> impl Iterator<Item = (ImageId, ImageId)> {
        let pairs = |(image, state): (&ImageId, &Curated)| {
            let image = *image;
            state.not_the_same.clone().into_iter().map(move |other| (image, other))
        };
        self.verdicts.iter().flat_map(pairs)
    }

    /// The places of the images of each subject.
    pub(super) fn people(&self) -> BTreeMap<&str, Vec<usize>> {
        let mut people: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, image) in self.images.iter().enumerate() {
            if let Some(subject) = image.subject() {
                people.entry(subject.as_str()).or_default().push(place);
            }
        }
        people
    }
}

/// The images that a person has to review, with the first subject of each.
async fn reviews(
    store: &dyn Store,
    gallery: &GalleryName,
) -> Result<BTreeMap<ImageId, SubjectName>, CurateError> {
    let mut reviews = BTreeMap::new();
    let mut query = ReviewQuery { gallery: gallery.clone(), after: None, limit: PAGE };
    loop {
        let page = store.reviews(&query).await?;
        let Some(last) = page.last() else { return Ok(reviews) };
        query.after = Some((last.image, last.subject.clone()));
        for review in page {
            reviews.entry(review.image).or_insert(review.subject);
        }
    }
}

/// None if its primary face has no template.
fn curated(mut image: StoredImage, verdicts: &BTreeMap<ImageId, Curated>) -> Option<CuratedImage> {
    let faces = std::mem::take(&mut image.faces);
    let mut face = faces.into_iter().find(|face| face.id.index == 0)?;
    let template = face.template.take()?;
    let state = verdicts.get(&image.id);
    let kept = state.is_some_and(|state| state.kept);
    let reassigned = state.is_some_and(|state| state.subject.is_some());
    Some(CuratedImage { image, face, template, kept, reassigned, reference: false, review: None })
}
