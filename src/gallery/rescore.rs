//! Re-scores a gallery: a campaign whose source is the store. It lists the images that one profile
//! has results of, and their jobs ask for results under another one.
//!
//! A job expects the bytes that were recorded and carries the listed version that they had, so that
//! a later scan under the new profile finds the image up to date.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::GalleryError;
use super::campaign::new_campaign;
use super::cursor::CursorRange;
use super::list::{Entries, Entry, ListedImage};
use super::pace::JobRate;
use crate::domain::{Campaign, GalleryName, LabelledImage, Lane, ProfileId, Selection};
use crate::images::{ChipCache, ImageFolders, ListingError, OutsideCounts, Places};
use crate::store::{RescoreImage, RescoreQuery, Store, StoreError};

/// Images of a page.
const PAGE: u32 = 512;

/// Which images are re-scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RescoreWhich {
    /// Those without a final outcome under the new profile.
    Missing,
    /// All.
    All,
}

/// A re-score.
#[derive(Debug, Clone, PartialEq)]
pub struct RescorePlan {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile whose results name the images.
    pub from: ProfileId,
    /// The profile of the new results.
    pub to: ProfileId,
    /// Which faces are wanted.
    pub selection: Selection,
    /// Which images.
    pub which: RescoreWhich,
}

impl RescorePlan {
    /// A new campaign of this re-score.
    pub fn campaign(&self) -> Campaign {
        let (gallery, profile) = (self.gallery.clone(), self.to.clone());
        let campaign = new_campaign(gallery, profile, self.selection, self.source());
        Campaign { lane: Lane::Rescore, ..campaign }
    }

    /// What is listed, for people.
    fn source(&self) -> String {
        let which = match self.which {
            RescoreWhich::Missing => "--missing",
            RescoreWhich::All => "--all",
        };
        format!("{which} --from-profile {}", self.from)
    }

    async fn page(&self, store: &dyn Store, after: i64) -> Result<Vec<RescoreImage>, StoreError> {
        let query = RescoreQuery {
            gallery: self.gallery.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            selection: self.selection,
            after,
            limit: PAGE,
        };
        store.rescore_page(&query).await
    }
}

/// The profile whose images a re-score under `to` lists, if none is named: the active one, or the
/// latest other one if `to` is active. `to` itself if there is no other.
///
/// # Errors
/// If the store cannot be read.
pub async fn source_profile(
    store: &dyn Store,
    gallery: &GalleryName,
    active: ProfileId,
    to: &ProfileId,
) -> Result<ProfileId, StoreError> {
    if active != *to {
        return Ok(active);
    }
    let galleries = store.galleries().await?;
    let profiles = galleries.into_iter().find(|(name, _)| name == gallery).map(|found| found.1);
    let other = profiles.into_iter().flatten().find(|other| other != to);
    Ok(other.unwrap_or(active))
}

/// Whether a stored profile is of chips.
///
/// # Errors
/// If the store cannot be read.
pub async fn is_of_chips(store: &dyn Store, profile: &ProfileId) -> Result<bool, StoreError> {
    Ok(store.profile(profile).await?.is_some_and(|profile| profile.is_of_chips()))
}

/// Whether `campaign` re-scores the images of `profile`.
pub(super) fn is_rescore_from(campaign: &Campaign, profile: &ProfileId) -> bool {
    let mut words = campaign.source.split_whitespace();
    campaign.lane == Lane::Rescore && words.any(|word| word == profile.as_str())
}

/// The images of a re-score.
pub struct RescoreImages {
    store: Arc<dyn Store>,
    plan: RescorePlan,
    /// The most jobs to publish in a time.
    pub rate: Option<JobRate>,
    /// The cursor of the last image.
    last: i64,
    /// How many images are listed.
    pub images: u64,
    /// Of these, images without a final outcome under the new profile.
    pub missing: u64,
    /// Where the images are.
    pub folders: ImageFolders,
    /// Those to read that are outside of what may be read.
    pub outside: OutsideCounts,
    /// The cursors of images to list though their source has not their bytes any more: they are
    /// gone, or references whose URI has other bytes. The chip cache has what was found in them.
    cached: HashSet<i64>,
    /// Images that are not listed, because they are gone, and the chip cache does not have them.
    pub gone: u64,
    /// References that are not listed, because nothing has their bytes any more.
    pub lost: u64,
    /// One of these, for people.
    pub lost_example: Option<String>,
    /// References that are not listed, because the chip cache cannot be asked whether it has them.
    pub unasked: u64,
}

impl RescoreImages {
    /// Finds the images, and counts those that `allowed`, if that is known here, does not cover.
    /// Nothing is asked of the sources of the images, and `chips` only for what they do not have.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(
        store: Arc<dyn Store>,
        plan: RescorePlan,
        allowed: Option<&Places>,
        chips: Option<&ChipCache>,
    ) -> Result<Self, StoreError> {
        let mut found = Self {
            store,
            plan,
            rate: None,
            last: 0,
            images: 0,
            missing: 0,
            folders: ImageFolders::default(),
            outside: OutsideCounts::default(),
            cached: HashSet::new(),
            gone: 0,
            lost: 0,
            lost_example: None,
            unasked: 0,
        };
        loop {
            let page = found.plan.page(found.store.as_ref(), found.last).await?;
            let Some(last) = page.last() else { return Ok(found) };
            found.last = last.cursor;
            for image in &page {
                if image.superseded || image.gone {
                    found.add_cached(image, chips).await;
                } else {
                    found.add(image, allowed);
                }
            }
        }
    }

    fn add(&mut self, found: &RescoreImage, allowed: Option<&Places>) {
        let RescoreImage { image, done, .. } = found;
        self.images += 1;
        self.missing += u64::from(!done);
        if *done && self.plan.which == RescoreWhich::Missing {
            return;
        }
        self.folders.add(image);
        if allowed.is_some_and(|allowed| !allowed.cover(image)) {
            self.outside.count(image, || "in the store".to_owned());
        }
    }

    /// Adds an image whose bytes its source has no more. One that is done is not listed.
    async fn add_cached(&mut self, found: &RescoreImage, chips: Option<&ChipCache>) {
        let RescoreImage { image, cursor, hash, gone, done, .. } = found;
        if *done {
            return;
        }
        let known = match chips {
            Some(chips) => chips.has(&self.plan.selection, *hash).await,
            None => Some(false),
        };
        match known {
            Some(true) => {
                self.cached.insert(*cursor);
                self.images += 1;
                self.missing += 1;
            }
            _ if *gone => self.gone += 1,
            Some(false) => {
                self.lost += 1;
                self.lost_example.get_or_insert_with(|| image.to_string());
            }
            None => self.unasked += 1,
        }
    }

    /// Whether every image is scored, whether or not it has an outcome already.
    pub(super) fn all(&self) -> bool {
        self.plan.which == RescoreWhich::All
    }

    /// The images after the position `from`, or all. `to`: the position up to which images were
    /// listed before.
    pub(super) fn entries(
        self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Entries, ListingError> {
        let Self { store, plan, last, cached, .. } = self;
        let range = CursorRange::left(last, from, to, "a re-score")?;
        let pages = stream::try_unfold((store, plan, range.after), move |state| async move {
            let (store, plan, after) = state;
            let page = plan.page(store.as_ref(), after).await?;
            let page: Vec<RescoreImage> =
                page.into_iter().take_while(|image| image.cursor <= range.last).collect();
            let Some(end) = page.last().map(|image| image.cursor) else { return Ok(None) };
            let images = stream::iter(page.into_iter().map(Ok));
            Ok::<_, GalleryError>(Some((images, (store, plan, end))))
        });
        let listed = pages.try_flatten().try_filter(move |image| {
            let is_there = !image.superseded && !image.gone;
            std::future::ready(is_there || cached.contains(&image.cursor))
        });
        Ok(listed.map_ok(move |image| entry(image, range)).boxed())
    }
}

fn entry(found: RescoreImage, range: CursorRange) -> Entry {
    let RescoreImage { cursor, image, hash, stamp, done, .. } = found;
    let image = LabelledImage { image, stamp, subject: None, expected_hash: Some(hash) };
    Entry::Image(ListedImage { image, position: Some(range.position(cursor)), done: Some(done) })
}
