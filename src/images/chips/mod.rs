//! The chip cache: what detection and alignment found in images, kept in a folder or a bucket, so
//! that a re-score under another recogniser needs neither the image nor the detector.
//!
//! An entry's name is `ID/HH/HASH`: the id of alignment and selection ([`chips_id`]), two digits of
//! the content hash, the content hash. So a changed detector, alignment or selection finds
//! nothing, and an entry is right for as long as it exists.
//!
//! The cache only saves time. An entry that is damaged, unknown or out of reach is as if it were
//! not there, and a failure to write changes no outcome. The entries are images of faces: whoever
//! may read the store may read them, and nobody else.

mod entry;
mod kept;
mod place;

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

pub use self::entry::ImageChips;
pub use self::kept::KeptChips;
use self::place::ChipPlace;
use super::{FetchError, Objects, Root};
use crate::domain::{AlignmentProfile, ContentHash, Selection, chips_id};
use crate::telemetry::metrics;

/// The longest that an entry is read or written.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a cache that failed is left alone: jobs do not wait for it one after the other.
const PAUSE: Duration = Duration::from_secs(30);
/// Rate limit of each warning.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Entries that are written while nobody waits for them, at most.
const MOST_BEHIND: u32 = 16;

/// A chip cache, of one alignment.
pub struct ChipCache {
    place: ChipPlace,
    alignment: AlignmentProfile,
    /// Until when it is left alone.
    paused_until: Mutex<Option<Instant>>,
    /// A permit for each entry that may be written behind.
    behind: Arc<Semaphore>,
    unreachable: Warning,
    damaged: Warning,
}

/// An entry to write.
pub struct ChipEntry {
    name: [String; 3],
    bytes: Vec<u8>,
}

/// When a warning was logged last.
#[derive(Default)]
struct Warning(Mutex<Option<Instant>>);

impl Warning {
    fn is_due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

impl ChipCache {
    /// The cache at `root`, a folder or a prefix of a bucket, for what `alignment` finds; none if
    /// nothing can be written to such a place.
    pub fn new(root: Root, objects: Arc<Objects>, alignment: AlignmentProfile) -> Option<Self> {
        Some(Self {
            place: ChipPlace::new(root, objects)?,
            alignment,
            paused_until: Mutex::default(),
            behind: Arc::new(Semaphore::new(MOST_BEHIND as usize)),
            unreachable: Warning::default(),
            damaged: Warning::default(),
        })
    }

    /// What was found in the image with these bytes under this selection, if it is known.
    pub async fn read(&self, selection: &Selection, hash: ContentHash) -> Option<ImageChips> {
        if self.is_paused() {
            return None;
        }
        let bytes = match timeout(LONGEST, self.place.read(&self.name(selection, hash))).await {
            Ok(Ok(bytes)) => Some(bytes),
            Ok(Err(FetchError::NotFound(_))) => {
                metrics::chips("miss");
                return None;
            }
            // It is larger than any entry.
            Ok(Err(FetchError::Refused(_))) => None,
            Ok(Err(error)) => return self.failed("read", &error),
            Err(elapsed) => return self.failed("read", &elapsed),
        };
        let found = bytes.and_then(|bytes| entry::decode(&bytes));
        match found.filter(|found| found.content.hash == hash) {
            Some(found) => {
                metrics::chips("hit");
                Some(found)
            }
            None => {
                metrics::chips("damaged");
                if self.damaged.is_due() {
                    tracing::warn!(
                        "an entry of the chip cache is damaged or of another version; the image is \
                            fetched instead, and the entry written again"
                    );
                }
                None
            }
        }
    }

    /// The entry of what was found in an image under this selection. None if it cannot be kept, as
    /// it has too many faces, or not now.
    pub fn entry(&self, selection: &Selection, found: &ImageChips) -> Option<ChipEntry> {
        if self.is_paused() {
            return None;
        }
        let bytes = entry::encode(found)?;
        Some(ChipEntry { name: self.name(selection, found.content.hash), bytes })
    }

    /// Keeps an entry.
    pub async fn write(&self, ChipEntry { name, bytes }: ChipEntry) {
        match timeout(LONGEST, self.place.write(&name, bytes)).await {
            Ok(Ok(())) => metrics::chips("written"),
            Ok(Err(error)) => drop(self.failed::<()>("write", &error)),
            Err(elapsed) => drop(self.failed::<()>("write", &elapsed)),
        }
    }

    /// Keeps an entry while the caller goes on; none if many are being written already. What is
    /// begun ends with [`Self::finish`].
    pub fn write_behind(self: &Arc<Self>, entry: ChipEntry) {
        let Ok(permit) = Arc::clone(&self.behind).try_acquire_owned() else {
            metrics::chips("skipped");
            return;
        };
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            cache.write(entry).await;
            drop(permit);
        });
    }

    /// Waits until all that was begun is written.
    pub async fn finish(&self) {
        // Nobody closes it.
        self.behind.acquire_many(MOST_BEHIND).await.ok();
    }

    /// Writes an entry that no image has, and reads it.
    ///
    /// # Errors
    /// If one of it fails; the reason.
    pub async fn try_writing(&self) -> Result<(), String> {
        let name = ["trial", "00", "trial"].map(str::to_owned);
        let bytes = b"written by facefleet doctor".to_vec();
        self.place.write(&name, bytes.clone()).await.map_err(|error| error.to_string())?;
        let read = self.place.read(&name).await.map_err(|error| error.to_string())?;
        if read == bytes { Ok(()) } else { Err("what was written comes back otherwise".into()) }
    }

    /// Whether it seems to know the image with these bytes; none if it is out of reach.
    pub async fn has(&self, selection: &Selection, hash: ContentHash) -> Option<bool> {
        if self.is_paused() {
            return None;
        }
        let name = self.name(selection, hash);
        match timeout(LONGEST, self.place.has(&name)).await {
            Ok(Ok(has)) => Some(has),
            Ok(Err(error)) => self.failed("look for", &error),
            Err(elapsed) => self.failed("look for", &elapsed),
        }
    }

    /// Removes what is known of the image with these bytes, whatever the selection was.
    ///
    /// # Errors
    /// If the cache is out of reach.
    pub async fn forget(&self, hash: ContentHash) -> Result<(), FetchError> {
        // What is still being written would come back.
        self.finish().await;
        self.place.remove(hash).await.map(drop)
    }

    fn name(&self, selection: &Selection, hash: ContentHash) -> [String; 3] {
        let (id, hash) = (chips_id(&self.alignment, selection), hash.to_string());
        [id.as_str().to_owned(), hash[..2].to_owned(), hash]
    }

    /// Whether it failed a moment ago, and is left alone.
    pub fn is_down(&self) -> bool {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn is_paused(&self) -> bool {
        let paused = self.is_down();
        if paused {
            metrics::chips("skipped");
        }
        paused
    }

    /// Notes that it is out of reach. Always none.
    fn failed<T>(&self, what: &'static str, error: &dyn Display) -> Option<T> {
        metrics::chips("failed");
        let until = Some(Instant::now() + PAUSE);
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        if self.unreachable.is_due() {
            tracing::warn!(
                "failed to {what} an entry of the chip cache (setting chips.url), which is left \
                    alone for {} s; images are fetched and scored without it: {error}",
                PAUSE.as_secs()
            );
        }
        None
    }
}

#[cfg(test)]
mod tests;
