//! Lists a campaign's images, leaves out those that are up to date, and publishes the others as
//! jobs.
//!
//! Each chunk of a listing is noted in the store before its jobs are published. If the process dies
//! in between, a listing that resumes reads the chunk that was noted last once more and publishes
//! the jobs that are missing.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::GalleryError;
use super::again::AgainImages;
use super::missing::{MissingTracker, SourceCheck};
use super::pace::{JobRate, Pace};
use super::rescore::RescoreImages;
use crate::domain::{
    Campaign, CampaignProgress, Job, JobId, LabelledImage, Lane, ListedChunk, Selection,
};
use crate::images::{Listing, ListingEntry, ListingError, NotListed, Root, is_past};
use crate::queue::JobQueue;
use crate::store::{ListingKey, Store};

/// Images handled together: one query of the store, one publish.
const CHUNK: usize = 512;

/// The images of a campaign.
pub enum Images {
    /// What lies below folders, in buckets and in lists.
    Listing(Box<Listing>),
    /// Images of the gallery, by their outcomes.
    Again(Box<AgainImages>),
    /// Images of the gallery that a profile has results of.
    Rescore(Box<RescoreImages>),
    /// A fixed list of images.
    Given(Vec<LabelledImage>),
}

/// Counts the images below the roots of `listing`, without those that its lists name. Errors are
/// left to the listing that publishes.
pub async fn count_images(listing: &Listing) -> u64 {
    let entries = listing.entries_of_roots();
    let is_image = |entry: &Result<ListingEntry, ListingError>| {
        std::future::ready(matches!(entry, Ok(ListingEntry::Image { .. })))
    };
    entries.filter(is_image).count().await as u64
}

/// An image of a listing.
pub(super) struct ListedImage {
    pub(super) image: LabelledImage,
    /// Its position in a listing that can be resumed.
    pub(super) position: Option<String>,
    /// Whether it needs no job, if the listing knows. `None`: the store is asked.
    pub(super) done: Option<bool>,
}

/// A file, folder or link that is not listed as an image.
pub(super) enum NotAnImage {
    /// It is not an image, or a rule leaves it out.
    NotListed(NotListed),
    /// It could not be read.
    Unlisted(ListingError),
}

/// An entry of a listing.
pub(super) enum Entry {
    Image(ListedImage),
    NotAnImage(NotAnImage),
}

/// The entries of a listing; an error is the last item.
pub(super) type Entries = BoxStream<'static, Result<Entry, GalleryError>>;

impl From<ListingEntry> for Entry {
    fn from(listed: ListingEntry) -> Self {
        match listed {
            ListingEntry::Image { image, position } => {
                Self::Image(ListedImage { image, position, done: None })
            }
            ListingEntry::NotListed(other) => Self::NotAnImage(NotAnImage::NotListed(other)),
            ListingEntry::Failed(error) => Self::NotAnImage(NotAnImage::Unlisted(error)),
        }
    }
}

impl Images {
    /// Where those are that are no part of roots: the first few folders.
    pub fn folders(&self) -> &[Root] {
        match self {
            Self::Listing(listing) => match listing.lists() {
                Some(lists) => lists.survey().folders.roots(),
                None => &[],
            },
            Self::Again(images) => images.folders.roots(),
            Self::Rescore(images) => images.folders.roots(),
            Self::Given(_) => &[],
        }
    }

    /// Whether they are scanned even if they are up to date.
    pub(super) fn scan_anyway(&self) -> bool {
        match self {
            Self::Again(_) => true,
            Self::Rescore(images) => images.all(),
            Self::Listing(_) | Self::Given(_) => false,
        }
    }

    /// The most jobs to publish in a time.
    pub(super) fn rate(&self) -> Option<JobRate> {
        match self {
            Self::Rescore(images) => images.rate,
            _ => None,
        }
    }

    /// The entries that a listing which came as far as `progress` has to list.
    pub(super) fn entries(self, progress: &CampaignProgress) -> Result<Entries, ListingError> {
        let after = progress.chunk_from.as_deref();
        Ok(match self {
            Self::Listing(listing) => {
                listing.entries(after)?.map_ok(Entry::from).err_into().boxed()
            }
            Self::Again(images) => images.entries(after, progress.chunk_to.as_deref())?,
            Self::Rescore(images) => images.entries(after, progress.chunk_to.as_deref())?,
            Self::Given(images) => {
                let entry =
                    |image| Ok(Entry::Image(ListedImage { image, position: None, done: None }));
                stream::iter(images.into_iter().map(entry)).boxed()
            }
        })
    }
}

/// The task that lists a campaign's images into the queue.
pub(super) struct Lister {
    pub(super) listing: ListingKey,
    pub(super) campaign: Campaign,
    pub(super) selection: Selection,
    /// See [`Images::scan_anyway`].
    pub(super) scan_anyway: bool,
    pub(super) pace: Option<Pace>,
    /// What finds out what is missing, if the images are all of some places.
    pub(super) tracker: Option<MissingTracker>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) store: Arc<dyn Store>,
    pub(super) stop: CancellationToken,
    pub(super) not_images: mpsc::Sender<NotAnImage>,
}

impl Lister {
    /// Lists `entries` until they end, `stop` is cancelled or the receiver is dropped. What is
    /// missing at the source, if it lists all that is there.
    pub(super) async fn run(
        mut self,
        entries: Entries,
    ) -> Result<Option<SourceCheck>, GalleryError> {
        if let Some(tracker) = &mut self.tracker {
            tracker.begin(self.store.as_ref(), &self.campaign).await?;
        }
        let mut from = self.campaign.progress.chunk_from.clone();
        // Chunks of what is ready: the first images are scored while the others are listed.
        let mut chunks = entries.ready_chunks(CHUNK);
        while let Some(chunk) = self.stop.run_until_cancelled(chunks.next()).await.flatten() {
            if let Some(tracker) = &mut self.tracker {
                tracker.track(self.store.as_ref(), &self.campaign, &chunk).await?;
            }
            let (images, broken) = self.images_of(chunk).await;
            if self.not_images.is_closed() {
                return Ok(None);
            }
            let (noted, new): (Vec<_>, Vec<_>) =
                images.into_iter().partition(|image| self.is_noted(image));
            if !noted.is_empty() {
                self.publish_again(noted).await?;
            }
            let mut left = new;
            while !left.is_empty() {
                // What is noted is published at once: a listing that ends here leaves nothing that
                // only a second look at these images would find.
                let Some(now) = self.due(&left).await else { return Ok(None) };
                let later = left.split_off(now);
                let to = left.last().and_then(|image| image.position.clone());
                self.publish(left, from, to.clone()).await?;
                (from, left) = (to, later);
            }
            if let Some(error) = broken {
                return Err(error);
            }
        }
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let check = match &self.tracker {
            Some(tracker) => tracker.end(self.store.as_ref(), &self.campaign, &self.stop).await?,
            None => None,
        };
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        self.store.end_listing(self.listing).await?;
        Ok(check)
    }

    /// The images of `chunk`, and the error that ends the listing; reports everything else.
    async fn images_of(
        &self,
        chunk: Vec<Result<Entry, GalleryError>>,
    ) -> (Vec<ListedImage>, Option<GalleryError>) {
        let (mut images, mut broken) = (Vec::with_capacity(chunk.len()), None);
        for entry in chunk {
            match entry {
                Ok(Entry::Image(image)) if self.is_nameless(&image) => {
                    let what = image.image.image.for_people();
                    let error = ListingError { what, reason: "it names no subject".to_owned() };
                    drop(self.not_images.send(NotAnImage::Unlisted(error)).await);
                }
                Ok(Entry::Image(image)) => images.push(image),
                // Fails if the receiver is dropped, which the caller checks.
                Ok(Entry::NotAnImage(other)) => drop(self.not_images.send(other).await),
                Err(error) => broken = Some(error),
            }
        }
        (images, broken)
    }

    /// Whether `image` cannot be enrolled, because its row names no subject.
    fn is_nameless(&self, image: &ListedImage) -> bool {
        self.campaign.lane == Lane::Enrol && image.image.subject.is_none()
    }

    /// Whether jobs of the campaign have ended before, and it is listed from the beginning again.
    fn is_listed_anew(&self) -> bool {
        let CampaignProgress { chunk_to, skipped, .. } = &self.campaign.progress;
        chunk_to.is_none() && skipped + self.campaign.progress.ended() > 0
    }

    /// Whether `image` is in the chunk that was noted before the listing was interrupted.
    fn is_noted(&self, image: &ListedImage) -> bool {
        let end = self.campaign.progress.chunk_to.as_deref();
        end.zip(image.position.as_deref()).is_some_and(|(end, position)| !is_past(position, end))
    }

    /// Notes a chunk, then publishes the jobs of those images that are not up to date. The others
    /// get the subjects that lists name.
    async fn publish(
        &self,
        images: Vec<ListedImage>,
        from: Option<String>,
        to: Option<String>,
    ) -> Result<(), GalleryError> {
        let Campaign { gallery, profile, .. } = &self.campaign;
        let known: Option<Vec<bool>> = images.iter().map(|listed| listed.done).collect();
        let images: Vec<LabelledImage> = images.into_iter().map(|listed| listed.image).collect();
        let up_to_date = self.up_to_date(&images, known).await?;
        let listed = images.len() as u64;
        let (mut jobs, mut skipped) = (Vec::with_capacity(images.len()), Vec::new());
        let mut subjects = Vec::new();
        for (image, up_to_date) in images.into_iter().zip(up_to_date) {
            if up_to_date {
                skipped.push(self.job_id(&image));
                subjects.extend(image.subject.map(|subject| (image.image, subject)));
            } else {
                jobs.push(self.job(image));
            }
        }
        if !subjects.is_empty() {
            self.store.name_subjects(gallery, profile, &subjects).await?;
        }
        self.store.note_listed(self.listing, &ListedChunk { listed, skipped, from, to }).await?;
        if self.is_listed_anew() {
            jobs = self.uncounted(jobs).await?;
        }
        self.publish_jobs(jobs).await
    }

    /// Which images need no job: those whose result is current and, in an enrolment, that were
    /// accepted for their subject; in a scan, also those that retention removed.
    /// `known`: what the listing knows.
    async fn up_to_date(
        &self,
        images: &[LabelledImage],
        known: Option<Vec<bool>>,
    ) -> Result<Vec<bool>, GalleryError> {
        let Campaign { lane, gallery, profile, .. } = &self.campaign;
        if self.scan_anyway {
            return Ok(vec![false; images.len()]);
        }
        if let Some(known) = known {
            return Ok(known);
        }
        let mut current = self.store.up_to_date(gallery, profile, &self.selection, images).await?;
        self.bring_back(images, &current).await?;
        if *lane != Lane::Enrol {
            // They would end as erased, unless they are somebody's now.
            let removed = self.store.were_removed(gallery, images).await?;
            for ((current, removed), image) in current.iter_mut().zip(removed).zip(images) {
                *current |= removed && image.subject.is_none();
            }
            return Ok(current);
        }
        let accepted = self.store.accepted(gallery, profile, images).await?;
        Ok(current
            .into_iter()
            .zip(accepted)
            .map(|(current, accepted)| current && accepted)
            .collect())
    }

    /// Those of `images` that are up to date are there: one that was gone comes back, as it does
    /// when a tracked listing finds it.
    async fn bring_back(
        &self,
        images: &[LabelledImage],
        up_to_date: &[bool],
    ) -> Result<(), GalleryError> {
        let seen = images.iter().zip(up_to_date).filter(|(_, up_to_date)| **up_to_date);
        let seen: Vec<_> = seen.map(|(listed, _)| listed.image.clone()).collect();
        if self.tracker.is_none() && !seen.is_empty() {
            self.store.note_found(&self.campaign, &seen).await?;
        }
        Ok(())
    }

    /// Publishes the jobs of a chunk that was noted before, without those that were skipped or have
    /// ended. Some may be in the queue already, under the same ids.
    async fn publish_again(&self, images: Vec<ListedImage>) -> Result<(), GalleryError> {
        let jobs: Vec<Job> = images.into_iter().map(|listed| self.job(listed.image)).collect();
        let jobs = self.uncounted(jobs).await?;
        self.publish_jobs(jobs).await
    }

    /// Those of `jobs` that have neither been skipped nor ended.
    async fn uncounted(&self, mut jobs: Vec<Job>) -> Result<Vec<Job>, GalleryError> {
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let uncounted = self.store.uncounted_jobs(self.campaign.id, &ids).await?;
        let uncounted: HashSet<_> = uncounted.into_iter().collect();
        jobs.retain(|job| uncounted.contains(&job.id));
        Ok(jobs)
    }

    /// How many of `images` may be listed now: all, or as many as have jobs that the pace lets go.
    /// None once `stop` is cancelled.
    async fn due(&mut self, images: &[ListedImage]) -> Option<usize> {
        let is_job = |image: &ListedImage| self.scan_anyway || image.done != Some(true);
        let jobs: Vec<usize> = (0..images.len()).filter(|&place| is_job(&images[place])).collect();
        let Some(pace) = self.pace.as_mut().filter(|_| !jobs.is_empty()) else {
            return Some(images.len());
        };
        let now = self.stop.run_until_cancelled(pace.take(jobs.len())).await?;
        // Up to the first job that has to wait.
        Some(jobs.get(now).copied().unwrap_or(images.len()))
    }

    async fn publish_jobs(&self, jobs: Vec<Job>) -> Result<(), GalleryError> {
        if !jobs.is_empty() {
            self.queue.publish_to(&self.campaign.sub_queue(), jobs).await?;
        }
        Ok(())
    }

    fn job_id(&self, listed: &LabelledImage) -> JobId {
        self.campaign.job_on(&listed.image, listed.expected_hash)
    }

    fn job(&self, listed: LabelledImage) -> Job {
        let id = self.job_id(&listed);
        let LabelledImage { image, stamp, subject, expected_hash } = listed;
        let Campaign { id: campaign, lane, gallery, profile, .. } = &self.campaign;
        Job {
            id,
            lane: *lane,
            gallery: gallery.clone(),
            image,
            stamp,
            expected_hash,
            subject,
            selection: self.selection.into(),
            profile: Some(profile.clone()),
            campaign: Some(*campaign),
            trace: None,
            attempt: 1,
        }
    }
}
