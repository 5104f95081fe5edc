//! The memory that images may take, of the whole process: whoever fetches or decodes one takes a
//! part of it first, and waits for it.
//!
//! There are two shares: one for the bytes of files, one for decoding them. An image holds the
//! first while it waits for the second, and nobody who has the second waits for anything: so
//! everybody gets a turn. Large ones too, as turns are taken in order of arrival.
//!
//! Of all the images of scans, one at a time waits at a share; the others wait for that. So an
//! enrolment waits behind one image at most, and scans behind no more than the enrolments that are
//! there.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::pyramid::Pyramid;
use crate::images::{FetchError, MemoryReservation};
use crate::inference::batcher::Priority;
use crate::vision::{DecodeError, Need, PixelLimits};

/// What is counted, bytes: a semaphore has fewer permits than a machine has bytes.
const UNIT: u64 = 1024;

/// Memory for images.
#[derive(Debug)]
pub struct Budget {
    files: Share,
    pictures: Share,
    limits: PixelLimits,
    /// The copies that are made of a picture; none if it is a chip.
    pyramid: Option<Pyramid>,
}

/// What images may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Memory for all images at once, bytes.
    pub memory: u64,
    /// Bytes of a file.
    pub max_bytes: u64,
    /// Pixels of a picture.
    pub limits: PixelLimits,
}

/// More is asked for than there is: waiting does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it takes {need} of memory {what}, and there are {most} for that (setting limits.memory)")]
struct TooLarge {
    what: &'static str,
    need: String,
    most: String,
}

/// Memory that is taken, until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Share {
    what: &'static str,
    units: u32,
    free: Arc<Semaphore>,
    /// The turn of the images of scans.
    turn: Mutex<()>,
}

impl Budget {
    /// Memory within `bounds`, for pictures that are looked at in the copies of `pyramid`. A
    /// quarter of it is for files, or as much as the largest takes, up to half.
    pub fn new(bounds: Bounds, pyramid: Option<Pyramid>) -> Self {
        let Bounds { memory, max_bytes, limits } = bounds;
        let files = max_bytes.clamp(memory / 4, memory / 2);
        let pictures = Share::new("to be decoded and looked at", memory - files);
        Self { files: Share::new("for its bytes", files), pictures, limits, pyramid }
    }

    /// The longest file that there is room for, bytes.
    pub fn longest_file(&self) -> u64 {
        u64::from(self.files.units) * UNIT
    }

    /// Waits for the memory that decoding `file`, and looking at its picture, takes.
    ///
    /// # Errors
    /// If there is not so much, or the picture is too large.
    pub async fn picture(&self, file: &[u8], priority: Priority) -> Result<Reserved, DecodeError> {
        let Need { memory, size } = Need::of(file, self.limits)?;
        let copies = self.pyramid.map_or(0, |pyramid| pyramid.memory(size));
        let reserved = self.pictures.take(memory.saturating_add(copies), priority).await;
        reserved.map_err(|error| {
            DecodeError::TooLarge(format!("{}x{} pixels: {error}", size.0, size.1))
        })
    }

    /// Room for the bytes of one image.
    pub fn file(self: &Arc<Self>, priority: Priority) -> FileRoom {
        FileRoom { budget: Arc::clone(self), priority, state: StdMutex::default() }
    }
}

impl Share {
    fn new(what: &'static str, bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT)
            .unwrap_or(u32::MAX)
            .clamp(1, (Semaphore::MAX_PERMITS >> 1).min(u32::MAX as usize) as u32);
        Self { what, units, free: Arc::new(Semaphore::new(units as usize)), turn: Mutex::new(()) }
    }

    async fn take(&self, bytes: u64, priority: Priority) -> Result<Reserved, TooLarge> {
        let too_large = || TooLarge {
            what: self.what,
            need: mebibytes(bytes),
            most: mebibytes(u64::from(self.units) * UNIT),
        };
        let units = u32::try_from(bytes.div_ceil(UNIT))
            .ok()
            .filter(|units| *units <= self.units)
            .ok_or_else(too_large)?;
        let _turn = match priority {
            Priority::Bulk => Some(self.turn.lock().await),
            Priority::Urgent => None,
        };
        // The semaphore is never closed.
        let permit =
            Arc::clone(&self.free).acquire_many_owned(units).await.map_err(|_| too_large())?;
        Ok(Reserved { permit })
    }
}

impl Reserved {
    /// Gives back what is more than `bytes`. False if it is less.
    fn shrink(&mut self, bytes: u64) -> bool {
        let (has, wanted) = (
            self.permit.num_permits(),
            usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX),
        );
        has.checked_sub(wanted).map(|more| drop(self.permit.split(more))).is_some()
    }
}

/// Room for the bytes of one image, taken as their number becomes known.
#[derive(Debug)]
pub struct FileRoom {
    budget: Arc<Budget>,
    priority: Priority,
    state: StdMutex<FileState>,
}

#[derive(Debug, Default)]
struct FileState {
    reserved: Option<Reserved>,
    waited: Duration,
    waits_since: Option<Instant>,
}

impl FileRoom {
    fn update<T>(&self, change: impl FnOnce(&mut FileState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl MemoryReservation for FileRoom {
    async fn take(&self, bytes: u64) -> Result<(), FetchError> {
        let is_enough = self.update(|state| {
            let is_enough = state.reserved.as_mut().is_some_and(|reserved| reserved.shrink(bytes));
            // Whoever waits for more holds nothing.
            state.reserved = state.reserved.take().filter(|_| is_enough);
            state.waits_since = (!is_enough).then(Instant::now);
            is_enough
        });
        if is_enough {
            return Ok(());
        }
        let taken = self.budget.files.take(bytes, self.priority).await;
        self.update(|state| {
            state.waited +=
                state.waits_since.take().map_or(Duration::ZERO, |since| since.elapsed());
            state.reserved = Some(taken.map_err(|error| FetchError::Refused(error.to_string()))?);
            Ok(())
        })
    }

    fn waited(&self) -> Duration {
        self.update(|state| {
            state.waited + state.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
        })
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn budget(memory: u64, max_bytes: u64) -> Arc<Budget> {
        let limits = PixelLimits { max_pixels: 1_000_000 };
        Arc::new(Budget::new(Bounds { memory, max_bytes, limits }, None))
    }

    #[tokio::test]
    async fn what_never_fits_is_refused_with_the_numbers_and_the_setting() {
        let budget = budget(100 * MIB, 30 * MIB);
        assert_eq!(budget.longest_file(), 30 * MIB);
        let error =
            budget.pictures.take(70 * MIB + 1, Priority::Bulk).await.unwrap_err().to_string();
        for part in ["70.0 MiB", "limits.memory"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(budget.pictures.take(u64::MAX, Priority::Urgent).await.is_err());
        let Err(FetchError::Refused(_)) = budget.file(Priority::Bulk).take(31 * MIB).await else {
            panic!("it fits")
        };
        drop(budget.pictures.take(70 * MIB, Priority::Bulk).await.unwrap());
    }

    #[tokio::test]
    async fn a_large_one_gets_its_turn_and_an_enrolment_waits_behind_one_image_at_most() {
        let budget = budget(100 * MIB, 1);
        let whole = 75 * MIB;
        let held = budget.pictures.take(MIB, Priority::Bulk).await.unwrap();
        let mut large = Box::pin(budget.pictures.take(whole, Priority::Bulk));
        assert!((&mut large).now_or_never().is_none());
        // Smaller ones that come later do not go before it.
        let mut scans: Vec<_> =
            (0..10).map(|_| Box::pin(budget.pictures.take(MIB, Priority::Bulk))).collect();
        assert!(scans.iter_mut().all(|scan| scan.now_or_never().is_none()));
        let mut enrolment = Box::pin(budget.pictures.take(whole, Priority::Urgent));
        assert!((&mut enrolment).now_or_never().is_none());
        drop(held);
        let large = (&mut large).now_or_never().expect("it has its turn").unwrap();
        assert!((&mut enrolment).now_or_never().is_none());
        drop(large);
        // All the others came before it, and wait.
        let enrolment = (&mut enrolment).now_or_never().expect("it waited behind one").unwrap();
        assert!(scans.iter_mut().all(|scan| scan.now_or_never().is_none()));
        drop(enrolment);
        for scan in scans {
            drop(scan.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_file_takes_what_it_has_and_whoever_waits_for_more_holds_nothing() {
        let budget = budget(100 * MIB, 40 * MIB);
        let (one, other) = (budget.file(Priority::Bulk), budget.file(Priority::Bulk));
        one.take(40 * MIB).await.unwrap();
        assert!(other.take(MIB).now_or_never().is_none());
        one.take(30 * MIB).await.unwrap();
        other.take(10 * MIB).await.unwrap();
        let (mut more, mut whole) = (one.take(31 * MIB), other.take(40 * MIB));
        assert!((&mut more).now_or_never().is_none());
        // Both want more than there is beside the other's: the first to come gets it, as the second
        // gives back what it has.
        assert!((&mut whole).now_or_never().is_none());
        more.await.unwrap();
        drop(one);
        whole.await.unwrap();
    }
}
