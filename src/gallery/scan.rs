//! A scan is a campaign: list the images, leave out what is settled, publish the rest, and follow every one to its end.
//!
//! The campaign's row in the store is the truth of where everything is: it counts each job once, whoever works on it and however often
//! it is delivered. The queue's news only say when to look.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, ImageUri, Job, Lane, ListedChunk, OutcomeEvent, Selection, SourceStamp,
};
use crate::images::{Listed, Listing, ListingError};
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
#[derive(Debug, Clone)]
pub struct Scan {
    /// Folders and files.
    pub roots: Vec<PathBuf>,
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
    /// Files that are no images, by their names.
    pub others: u64,
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
    /// As [`Self::Ended`], by a worker of this process: when the queue's news end, nothing more will.
    EndedHere,
}

/// Images handled together: one look into the store, one publish.
const CHUNK: usize = 512;
/// How often the counts are looked up.
const LOOK_EVERY: Duration = Duration::from_millis(500);

enum Filled {
    Chunk,
    Other,
    Unlisted(ListingError),
}

/// Runs a scan to its end. When `stop` is cancelled, listing ends; the scan then returns at once, or, with [`Follow::EndedHere`], as
/// soon as the queue's news do.
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
    let listing = Listing::new(&scan.roots)?;
    let id = scan.campaign.id;
    // Subscribed before the first job is published: no end is missed.
    let mut news: BoxStream<'static, OutcomeEvent> = match follow {
        Follow::Published => stream::pending().boxed(),
        Follow::Ended | Follow::EndedHere => queue.news().await?,
    };
    let (filled, mut filling) = mpsc::channel(16);
    let filler =
        tokio::spawn(Filler { scan, queue: queue.clone(), store: store.clone(), stop: stop.clone(), filled }.run(listing));

    let mut tally = Tally::default();
    let mut listing = true;
    let mut heard = 0;
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let over = tokio::select! {
            step = filling.recv(), if listing => match step {
                None => { listing = false; follow == Follow::Published || (stop.is_cancelled() && follow == Follow::Ended) }
                Some(Filled::Chunk) => false,
                Some(Filled::Other) => { tally.others += 1; false }
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
                let ended = !listing && (tally.progress.is_complete() || campaign.state == CampaignState::Cancelled);
                if ended && follow == Follow::EndedHere {
                    // What was announced last is still on its way; once the queue is closed, the news end with it.
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
    drop(filling);
    let filled = filler.await?;
    tally.progress = store.campaign(id).await?.ok_or(ScanError::Gone(id))?.progress;
    progress(&tally, Progress::Counted);
    match filled {
        // Closed on purpose, while stopping.
        Err(ScanError::Queue(QueueError::Closed)) | Ok(()) => Ok(tally),
        Err(error) => Err(error),
    }
}

struct Filler {
    scan: Scan,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
    filled: mpsc::Sender<Filled>,
}

impl Filler {
    async fn run(self, listing: Listing) -> Result<(), ScanError> {
        // Walking a folder blocks; it does so on a thread of its own, and no further ahead than a chunk.
        let (sender, mut entries) = mpsc::channel(CHUNK);
        let stop = self.stop.clone();
        let walker = tokio::task::spawn_blocking(move || {
            for entry in listing {
                if stop.is_cancelled() || sender.blocking_send(entry).is_err() {
                    break;
                }
            }
        });
        let mut batch = Vec::with_capacity(CHUNK);
        while entries.recv_many(&mut batch, CHUNK).await > 0 && !self.stop.is_cancelled() {
            let mut images = Vec::with_capacity(batch.len());
            for entry in batch.drain(..) {
                let step = match entry {
                    Listed::Image(uri, stamp) => {
                        images.push((uri, Some(stamp)));
                        continue;
                    }
                    Listed::Other => Filled::Other,
                    Listed::Error(error) => Filled::Unlisted(error),
                };
                if self.filled.send(step).await.is_err() {
                    return Ok(());
                }
            }
            if !images.is_empty() {
                self.publish(images).await?;
                if self.filled.send(Filled::Chunk).await.is_err() {
                    return Ok(());
                }
            }
        }
        drop(entries);
        walker.await?;
        if !self.stop.is_cancelled() {
            self.store.end_listing(self.scan.campaign.id).await?;
        }
        Ok(())
    }

    /// The chunk is noted before its jobs are published: whatever dies in between, a listing that resumes finds the chunk's place and
    /// publishes what is missing.
    async fn publish(&self, images: Vec<(ImageUri, Option<SourceStamp>)>) -> Result<(), ScanError> {
        let Campaign { id, gallery, profile, .. } = &self.scan.campaign;
        let settled = self.store.settled(gallery, profile, &self.scan.selection, &images).await?;
        let (mut jobs, mut skipped, listed) = (Vec::with_capacity(images.len()), Vec::new(), images.len() as u64);
        for ((image, stamp), settled) in images.into_iter().zip(settled) {
            if settled { skipped.push(id.job(&image)) } else { jobs.push(self.job(image, stamp)) }
        }
        self.store.note_listed(*id, &ListedChunk { listed, skipped, from: None, to: None }).await?;
        if !jobs.is_empty() {
            self.queue.publish(jobs).await?;
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
            faces: self.scan.selection.faces,
            profile: Some(profile.clone()),
            campaign: Some(*id),
            trace: None,
            attempt: 1,
        }
    }
}
