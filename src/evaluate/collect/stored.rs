//! Reads of one gallery's results under one profile, page by page.

use std::collections::{HashMap, HashSet};

use super::rows::fingerprint;
use crate::domain::{GalleryName, ImageUri, ProfileId, SerFiq};
use crate::store::{PageFilter, PageQuery, Reading, StoreError, StoredImage};

/// Images held in memory at a time.
const PAGE: u32 = 500;

/// Calls `visit` with every image that `gallery` has under `profile`.
async fn each_image(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    templates: bool,
    mut visit: impl FnMut(StoredImage) + Send,
) -> Result<(), StoreError> {
    let (gallery, profile) = (gallery.clone(), profile.clone());
    let mut query = PageQuery {
        gallery,
        profile,
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: PAGE,
        templates,
    };
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { return Ok(()) };
        query.after = last.cursor;
        page.into_iter().for_each(&mut visit);
    }
}

/// The images with their primary faces: all of them, or only those in `wanted`.
pub(super) async fn read_images(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    wanted: Option<&HashSet<&ImageUri>>,
) -> Result<HashMap<ImageUri, StoredImage>, StoreError> {
    let mut images = HashMap::new();
    each_image(store, gallery, profile, true, |mut image| {
        if wanted.is_none_or(|wanted| wanted.contains(&image.image)) {
            image.faces.truncate(1);
            images.insert(image.image.clone(), image);
        }
    })
    .await?;
    Ok(images)
}

/// The scores of the primary faces of `images` under `profile`, in the order of `images`.
///
/// # Errors
/// If the store cannot be read.
pub async fn read_scores(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    images: &[ImageUri],
) -> Result<Vec<Option<f64>>, StoreError> {
    let found = read_images(store, gallery, profile, Some(&images.iter().collect())).await?;
    Ok(images.iter().map(|image| found.get(image)?.faces.first()?.score).collect())
}

/// The scores of the primary faces of a gallery, and their fingerprint.
///
/// # Errors
/// If the store cannot be read.
pub async fn gallery_scores(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<(Vec<f64>, String), StoreError> {
    let (mut scores, mut hashes) = (Vec::new(), Vec::new());
    each_image(store, gallery, profile, false, |image| {
        if let Some(score) = image.faces.first().and_then(|face| face.score) {
            scores.push(score);
            hashes.extend(image.hash.map(|hash| hash.0));
        }
    })
    .await?;
    Ok((scores, fingerprint(hashes)))
}

/// The gallery's active profile if it scores by the closed form, or else the latest one that does,
/// if there is one. `evaluate --sampled` records sampled scores under other profiles.
///
/// # Errors
/// If the store cannot be read.
pub async fn closed_form_profile(
    store: &dyn Reading,
    gallery: &GalleryName,
) -> Result<Option<ProfileId>, StoreError> {
    let galleries = store.galleries().await?;
    let profiles = galleries.into_iter().find(|(name, _)| name == gallery);
    for id in profiles.map(|(_, profiles)| profiles).unwrap_or_default() {
        let profile = store.profile(&id).await?;
        if profile.is_some_and(|profile| matches!(profile.ser_fiq, SerFiq::ClosedForm { .. })) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
