//! A scan: list the images, leave out what is settled, publish the rest, and follow every one to its end.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{GalleryName, ImageUri, Job, JobId, Lane, OutcomeEvent, OutcomeKind, ProfileId, Selection, SourceStamp};
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
    /// A part of the scan panicked.
    #[error("the scan broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// What to scan.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Folders and files.
    pub roots: Vec<PathBuf>,
    /// The gallery the results belong to.
    pub gallery: GalleryName,
    /// The profile the results will have.
    pub profile: ProfileId,
    /// Which faces are wanted.
    pub selection: Selection,
}

/// Where every listed image is. At the end of a scan that ran through, `listed` is `skipped` plus all outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Images found.
    pub listed: u64,
    /// Settled by an earlier scan.
    pub skipped: u64,
    /// Ended in this scan, by outcome.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// Faces recorded in this scan.
    pub faces: u64,
    /// Files that are no images, by their names.
    pub others: u64,
    /// Folders and files that could not be listed.
    pub unlisted: u64,
}

impl Tally {
    /// Images that ended in this scan.
    pub fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Images that are neither skipped nor ended.
    pub fn left(&self) -> u64 {
        self.listed.saturating_sub(self.skipped + self.ended())
    }

    /// Images that ended with this outcome.
    pub fn count(&self, outcome: OutcomeKind) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

/// What happens during a scan, for whoever shows it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An image ended.
    Ended(&'a OutcomeEvent),
    /// More images were listed.
    Listed,
    /// Something could not be listed.
    Unlisted(&'a ListingError),
}

/// Images handled together: one look into the store, one publish.
const CHUNK: usize = 256;

enum Filled {
    Chunk { listed: usize, jobs: Vec<JobId> },
    Other,
    Unlisted(ListingError),
}

/// Runs a scan to its end: returns once every listed image is skipped or ended. When `stop` is cancelled, listing ends; the scan
/// then returns as soon as the queue's news do.
///
/// # Errors
/// If a root cannot be listed, or store or queue fail.
pub async fn run(
    scan: Scan,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    stop: CancellationToken,
    mut progress: impl FnMut(&Tally, Progress<'_>),
) -> Result<Tally, ScanError> {
    let listing = Listing::new(&scan.roots)?;
    // Subscribed before the first job is published: no end is missed.
    let mut news = queue.news().await?;
    let (filled, mut filling) = mpsc::channel(16);
    let filler = tokio::spawn(Filler { scan, queue, store, stop, filled }.run(listing));

    let mut tally = Tally::default();
    let mut open: HashSet<JobId> = HashSet::new();
    let mut listing_done = false;
    while !(listing_done && open.is_empty()) {
        tokio::select! {
            // Jobs are known here before their ends can arrive: they are sent before they are published.
            biased;
            step = filling.recv(), if !listing_done => match step {
                None => listing_done = true,
                Some(Filled::Other) => tally.others += 1,
                Some(Filled::Unlisted(error)) => {
                    tally.unlisted += 1;
                    progress(&tally, Progress::Unlisted(&error));
                }
                Some(Filled::Chunk { listed, jobs }) => {
                    tally.listed += listed as u64;
                    tally.skipped += (listed - jobs.len()) as u64;
                    open.extend(jobs);
                    progress(&tally, Progress::Listed);
                }
            },
            event = news.next() => match event {
                // The queue was closed: nothing more will end.
                None => break,
                // A repeated event, or another scan's, is none of ours.
                Some(event) if open.remove(&event.job) => {
                    *tally.outcomes.entry(event.outcome).or_default() += 1;
                    tally.faces += u64::from(event.faces);
                    progress(&tally, Progress::Ended(&event));
                }
                Some(_) => {}
            },
        }
    }
    drop(filling);
    match filler.await? {
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
            }
        }
        drop(entries);
        walker.await?;
        Ok(())
    }

    async fn publish(&self, images: Vec<(ImageUri, Option<SourceStamp>)>) -> Result<(), ScanError> {
        let Scan { gallery, profile, selection, .. } = &self.scan;
        let settled = self.store.settled(gallery, profile, selection, &images).await?;
        let listed = images.len();
        let open = images.into_iter().zip(settled).filter(|(_, settled)| !settled);
        let jobs: Vec<Job> = open
            .map(|((image, stamp), _)| Job {
                id: JobId::new(),
                lane: Lane::Scan,
                gallery: gallery.clone(),
                image,
                stamp,
                expected_hash: None,
                subject: None,
                faces: selection.faces,
                profile: Some(profile.clone()),
                campaign: None,
                trace: None,
                attempt: 1,
                retry_of: None,
            })
            .collect();
        let ids = jobs.iter().map(|job| job.id).collect();
        // Told first, so that no end comes before its beginning. The receiver goes when the queue was closed.
        if self.filled.send(Filled::Chunk { listed, jobs: ids }).await.is_ok() && !jobs.is_empty() {
            self.queue.publish(jobs).await?;
        }
        Ok(())
    }
}
