//! A scan is a campaign: list the images, leave out what is settled, publish the rest, and follow
//! every one to its end.
//!
//! The campaign's row in the store is the truth of where everything is: it counts each job once,
//! whoever works on it and however often it is delivered. The queue's news only say when to look.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::others::Others;
use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, ImageUri, Job, Lane, ListedChunk,
    OutcomeEvent, Selection, SourceStamp,
};
use crate::images::{Listed, Listing, ListingError, Other, is_past};
use crate::queue::{JobQueue, QueueError};
use crate::store::{Store, StoreError};

/// Why a scan could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// A folder that cannot be listed at all.
    #[error(transparent)]
    Listing(#[from] ListingError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The campaign is gone from the store.
    #[error("campaign {0} is not in the store any more")]
    Gone(CampaignId),
    /// A part of the scan panicked.
    #[error("the scan broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// What to scan.
pub struct Scan {
    /// Its images.
    pub listing: Listing,
    /// The campaign: begun in the store. One that has listed something already goes on from there.
    pub campaign: Campaign,
    /// Which faces are wanted.
    pub selection: Selection,
}

/// Where every listed image is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// The campaign's counts.
    pub progress: CampaignProgress,
    /// What was met and not listed as an image.
    pub others: Others,
    /// Folders and files that could not be listed.
    pub unlisted: u64,
}

/// What happens during a scan, for whoever shows it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An image ended.
    Ended(&'a OutcomeEvent),
    /// The counts were looked up.
    Counted,
    /// Something is not listed as an image.
    Other(&'a Other),
    /// Something could not be listed.
    Unlisted(&'a ListingError),
}

/// Until when a scan is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Until everything is published.
    Published,
    /// Until every image is skipped or ended, or the campaign is cancelled.
    Ended,
    /// As [`Self::Ended`], by a worker of this process: when the queue's news end, nothing more
    /// will.
    EndedHere,
}

/// Images handled together: one look into the store, one publish.
const CHUNK: usize = 512;
/// How often the counts are looked up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

enum Filled {
    Chunk,
    Other(Other),
    Unlisted(ListingError),
}

/// Runs a scan to its end. When `stop` is cancelled, listing ends; the scan then returns at once,
/// or, with [`Follow::EndedHere`], as soon as the queue's news do.
///
/// # Errors
/// If a root cannot be listed, or store or queue fail.
pub async fn run(
    scan: Scan,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    follow: Follow,
    stop: CancellationToken,
    mut progress: impl FnMut(&Tally, Progress<'_>),
) -> Result<Tally, ScanError> {
    let id = scan.campaign.id;
    let entries = scan.listing.entries(scan.campaign.progress.chunk_from.as_deref())?;
    // Subscribed before the first job is published: no end is missed.
    let mut news: BoxStream<'static, OutcomeEvent> = match follow {
        Follow::Published => stream::pending().boxed(),
        Follow::Ended | Follow::EndedHere => queue.events().await?,
    };
    let (filled, mut filling) = mpsc::channel(16);
    // Listing ends early also for a campaign that is given up meanwhile.
    let list_until = stop.child_token();
    let mut filler = tokio::spawn(
        Filler {
            scan,
            queue: queue.clone(),
            store: store.clone(),
            stop: list_until.clone(),
            filled,
        }
        .run(entries),
    );

    let mut tally = Tally::default();
    let mut listing = true;
    let mut broken = None;
    let mut heard = 0;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let over = tokio::select! {
            step = filling.recv(), if listing => match step {
                None => {
                    listing = false;
                    broken = match (&mut filler).await? {
                        // Closed on purpose, while stopping.
                        Err(ScanError::Queue(QueueError::Closed)) | Ok(()) => None,
                        // What was listed before is followed all the same.
                        Err(error @ ScanError::Listing(_)) => Some(error),
                        Err(error) => return Err(error),
                    };
                    look.reset_immediately();
                    follow == Follow::Published || (stop.is_cancelled() && follow == Follow::Ended)
                }
                Some(Filled::Chunk) => false,
                Some(Filled::Other(other)) => {
                    tally.others.count(&other);
                    progress(&tally, Progress::Other(&other));
                    false
                }
                Some(Filled::Unlisted(error)) => {
                    tally.unlisted += 1;
                    progress(&tally, Progress::Unlisted(&error));
                    false
                }
            },
            event = news.next() => match event {
                None if follow == Follow::EndedHere => true,
                // The broker may be gone for good; the store tells the rest.
                None => { news = stream::pending().boxed(); false }
                Some(event) if event.campaign == Some(id) => {
                    heard += 1;
                    progress(&tally, Progress::Ended(&event));
                    // Enough was heard for it to be the end: look now.
                    if !listing && heard >= tally.progress.left() { look.reset_immediately(); }
                    false
                }
                Some(_) => false,
            },
            _ = look.tick() => {
                let campaign = store.campaign(id).await?.ok_or(ScanError::Gone(id))?;
                tally.progress = campaign.progress;
                heard = 0;
                progress(&tally, Progress::Counted);
                if campaign.state == CampaignState::Cancelled {
                    list_until.cancel();
                }
                let nothing_left = tally.progress.is_complete() || (broken.is_some() && tally.progress.left() == 0);
                let ended = !listing && (nothing_left || campaign.state == CampaignState::Cancelled);
                if ended && follow == Follow::EndedHere {
                    // What was announced last is still on its way; once the queue is closed, the
                    // news end with it.
                    queue.close().await;
                }
                ended && follow != Follow::EndedHere
            }
            () = stop.cancelled(), if follow == Follow::Ended && !listing => true,
        };
        if over {
            break;
        }
    }
    // Still there only if the news ended first: then nobody takes what it publishes.
    filler.abort();
    tally.progress = store.campaign(id).await?.ok_or(ScanError::Gone(id))?.progress;
    progress(&tally, Progress::Counted);
    broken.map_or(Ok(tally), Err)
}

struct Filler {
    scan: Scan,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
    filled: mpsc::Sender<Filled>,
}

/// An image of a listing and its place there.
struct Found {
    image: ImageUri,
    stamp: SourceStamp,
    place: Option<String>,
}

impl Filler {
    async fn run(
        self,
        entries: BoxStream<'static, Result<Listed, ListingError>>,
    ) -> Result<(), ScanError> {
        let CampaignProgress { chunk_from: mut from, chunk_to, .. } =
            self.scan.campaign.progress.clone();
        // As many as are there, so that the first images are worked on while the others are listed.
        let mut chunks = entries.ready_chunks(CHUNK);
        while let Some(chunk) = self.stop.run_until_cancelled(chunks.next()).await.flatten() {
            // What was noted before a listing was interrupted, and what is new.
            let (mut noted, mut new) = (Vec::new(), Vec::with_capacity(chunk.len()));
            let mut broken = None;
            for entry in chunk {
                let step = match entry {
                    Ok(Listed::Image { uri: image, stamp, place }) => {
                        let again = chunk_to
                            .as_deref()
                            .zip(place.as_deref())
                            .is_some_and(|(end, place)| !is_past(place, end));
                        if again { &mut noted } else { &mut new }.push(Found {
                            image,
                            stamp,
                            place,
                        });
                        continue;
                    }
                    Ok(Listed::Other(other)) => Filled::Other(other),
                    Ok(Listed::Unlisted(error)) => Filled::Unlisted(error),
                    Err(error) => {
                        broken = Some(error);
                        continue;
                    }
                };
                if self.filled.send(step).await.is_err() {
                    return Ok(());
                }
            }
            if !noted.is_empty() {
                self.publish_again(noted).await?;
            }
            if !new.is_empty() {
                let to = new.last().and_then(|found| found.place.clone());
                self.publish(new, from, to.clone()).await?;
                from = to;
            }
            if self.filled.send(Filled::Chunk).await.is_err() {
                return Ok(());
            }
            if let Some(error) = broken {
                return Err(error.into());
            }
        }
        if !self.stop.is_cancelled() {
            self.store.end_listing(self.scan.campaign.id).await?;
        }
        Ok(())
    }

    /// The chunk is noted before its jobs are published: whatever dies in between, a listing that
    /// resumes goes through the chunk noted last once more, and publishes what is missing.
    async fn publish(
        &self,
        found: Vec<Found>,
        from: Option<String>,
        to: Option<String>,
    ) -> Result<(), ScanError> {
        let Campaign { id, gallery, profile, .. } = &self.scan.campaign;
        let images: Vec<_> =
            found.into_iter().map(|found| (found.image, Some(found.stamp))).collect();
        let settled =
            self.store.up_to_date(gallery, profile, &self.scan.selection, &images).await?;
        let (mut jobs, mut skipped, listed) =
            (Vec::with_capacity(images.len()), Vec::new(), images.len() as u64);
        for ((image, stamp), settled) in images.into_iter().zip(settled) {
            if settled { skipped.push(id.job(&image)) } else { jobs.push(self.job(image, stamp)) }
        }
        self.store.note_listed(*id, &ListedChunk { listed, skipped, from, to }).await?;
        if !jobs.is_empty() {
            self.queue.publish_to(&self.scan.campaign.sub_queue(), jobs).await?;
        }
        Ok(())
    }

    /// Publishes what has neither been skipped nor ended of a chunk that was noted before: some of
    /// it may be in the queue already, under the same ids.
    async fn publish_again(&self, found: Vec<Found>) -> Result<(), ScanError> {
        let id = self.scan.campaign.id;
        let jobs: Vec<Job> =
            found.into_iter().map(|found| self.job(found.image, Some(found.stamp))).collect();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let left: HashSet<_> = self.store.uncounted_jobs(id, &ids).await?.into_iter().collect();
        let jobs: Vec<Job> = jobs.into_iter().filter(|job| left.contains(&job.id)).collect();
        if !jobs.is_empty() {
            self.queue.publish_to(&self.scan.campaign.sub_queue(), jobs).await?;
        }
        Ok(())
    }

    fn job(&self, image: ImageUri, stamp: Option<SourceStamp>) -> Job {
        let Campaign { id, gallery, profile, .. } = &self.scan.campaign;
        Job {
            id: id.job(&image),
            lane: Lane::Scan,
            gallery: gallery.clone(),
            image,
            stamp,
            expected_hash: None,
            subject: None,
            selection: self.scan.selection.into(),
            profile: Some(profile.clone()),
            campaign: Some(*id),
            trace: None,
            attempt: 1,
        }
    }
}
