//! The memory budget of the process for images. Memory is reserved before an image is fetched or
//! decoded, and a reservation waits until enough is free.
//!
//! There are two pools: one for the bytes of files, one for decoding them. An image holds memory of
//! the first while it waits for the second, and waits for nothing while it holds memory of the
//! second. So there is no deadlock. Reservations are granted in order of arrival, so that large
//! ones do not starve.
//!
//! Of the images of scans, only one at a time waits in a pool's queue; the others wait for their
//! turn to enter it. So an enrolment waits behind at most one image of a scan.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::pyramid::Pyramid;
use crate::images::{FetchError, MemoryReservation};
use crate::inference::batcher::Priority;
use crate::vision::{DecodeError, Need, PixelLimits};

/// Bytes for each permit: a semaphore has fewer permits than a machine has bytes.
const UNIT: u64 = 1024;

/// The memory budget for images.
#[derive(Debug)]
pub struct Budget {
    files: Pool,
    pictures: Pool,
    limits: PixelLimits,
    /// The scaled copies made of a picture; `None` if the pictures are chips.
    pyramid: Option<Pyramid>,
}

/// The limits of a budget.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Memory for all images at once, bytes.
    pub memory: u64,
    /// Bytes of a file, at most.
    pub max_bytes: u64,
    /// Pixels of a picture, at most.
    pub limits: PixelLimits,
}

/// A pool is smaller than the reservation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it needs {need} of memory {purpose}, and at most {most} are allowed (setting limits.memory)"
)]
struct TooLarge {
    purpose: &'static str,
    need: String,
    most: String,
}

/// Reserved memory, released on drop.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Pool {
    purpose: &'static str,
    units: u32,
    free: Arc<Semaphore>,
    /// Held by the image of a scan that waits for `free`.
    turn: Mutex<()>,
}

impl Budget {
    /// A budget within `limits`, for pictures of which the copies of `pyramid` are made. A quarter
    /// of the memory is for files, or as much as the largest file needs, up to half.
    pub fn new(limits: MemoryLimits, pyramid: Option<Pyramid>) -> Self {
        let MemoryLimits { memory, max_bytes, limits } = limits;
        let files = max_bytes.clamp(memory / 4, memory / 2);
        let pictures = Pool::new("to decode it and detect faces", memory - files);
        Self { files: Pool::new("for its bytes", files), pictures, limits, pyramid }
    }

    /// The longest file for which memory can be reserved, bytes.
    pub fn longest_file(&self) -> u64 {
        u64::from(self.files.units) * UNIT
    }

    /// Reserves the memory for decoding `file` and detecting faces in it.
    ///
    /// # Errors
    /// If the pool is smaller than that, or the picture is too large.
    pub async fn picture(
        &self,
        file: &[u8],
        priority: Priority,
    ) -> Result<Reservation, DecodeError> {
        let Need { memory, size } = Need::of(file, self.limits)?;
        let copies = self.pyramid.map_or(0, |pyramid| pyramid.memory(size));
        let reservation = self.pictures.reserve(memory.saturating_add(copies), priority).await;
        reservation.map_err(|error| {
            DecodeError::TooLarge(format!("{}x{} pixels: {error}", size.0, size.1))
        })
    }

    /// A reservation for the bytes of one image, empty at first.
    pub fn file(self: &Arc<Self>, priority: Priority) -> FileReservation {
        FileReservation { budget: Arc::clone(self), priority, state: StdMutex::default() }
    }
}

impl Pool {
    fn new(purpose: &'static str, bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT)
            .unwrap_or(u32::MAX)
            .clamp(1, (Semaphore::MAX_PERMITS >> 1).min(u32::MAX as usize) as u32);
        let free = Arc::new(Semaphore::new(units as usize));
        Self { purpose, units, free, turn: Mutex::new(()) }
    }

    async fn reserve(&self, bytes: u64, priority: Priority) -> Result<Reservation, TooLarge> {
        let too_large = || TooLarge {
            purpose: self.purpose,
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
        Ok(Reservation { permit })
    }
}

impl Reservation {
    /// Releases what exceeds `bytes`. Returns false if less than `bytes` are reserved.
    fn shrink(&mut self, bytes: u64) -> bool {
        let (has, wanted) = (
            self.permit.num_permits(),
            usize::try_from(bytes.div_ceil(UNIT)).unwrap_or(usize::MAX),
        );
        has.checked_sub(wanted).map(|more| drop(self.permit.split(more))).is_some()
    }
}

/// A reservation for the bytes of one image, which changes as their number becomes known.
#[derive(Debug)]
pub struct FileReservation {
    budget: Arc<Budget>,
    priority: Priority,
    state: StdMutex<FileReservationState>,
}

#[derive(Debug, Default)]
struct FileReservationState {
    reservation: Option<Reservation>,
    waited: Duration,
    waits_since: Option<Instant>,
}

impl FileReservation {
    fn update<T>(&self, change: impl FnOnce(&mut FileReservationState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl MemoryReservation for FileReservation {
    async fn take(&self, bytes: u64) -> Result<(), FetchError> {
        let is_enough = self.update(|state| {
            let is_enough =
                state.reservation.as_mut().is_some_and(|reservation| reservation.shrink(bytes));
            // To prevent a deadlock, nothing is held while waiting for more.
            state.reservation = state.reservation.take().filter(|_| is_enough);
            state.waits_since = (!is_enough).then(Instant::now);
            is_enough
        });
        if is_enough {
            return Ok(());
        }
        let reserved = self.budget.files.reserve(bytes, self.priority).await;
        self.update(|state| {
            state.waited +=
                state.waits_since.take().map_or(Duration::ZERO, |since| since.elapsed());
            let reservation = reserved.map_err(|error| FetchError::Refused(error.to_string()))?;
            state.reservation = Some(reservation);
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
        Arc::new(Budget::new(MemoryLimits { memory, max_bytes, limits }, None))
    }

    #[tokio::test]
    async fn an_image_larger_than_the_pool_is_refused_with_the_numbers_and_the_setting() {
        let budget = budget(100 * MIB, 30 * MIB);
        assert_eq!(budget.longest_file(), 30 * MIB);
        let error =
            budget.pictures.reserve(70 * MIB + 1, Priority::Bulk).await.unwrap_err().to_string();
        for part in ["70.0 MiB", "limits.memory"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(budget.pictures.reserve(u64::MAX, Priority::Urgent).await.is_err());
        let Err(FetchError::Refused(_)) = budget.file(Priority::Bulk).take(31 * MIB).await else {
            panic!("it fits")
        };
        drop(budget.pictures.reserve(70 * MIB, Priority::Bulk).await.unwrap());
    }

    #[tokio::test]
    async fn a_large_one_gets_its_turn_and_an_enrolment_waits_behind_one_image_at_most() {
        let budget = budget(100 * MIB, 1);
        let whole = 75 * MIB;
        let held = budget.pictures.reserve(MIB, Priority::Bulk).await.unwrap();
        let mut large = Box::pin(budget.pictures.reserve(whole, Priority::Bulk));
        assert!((&mut large).now_or_never().is_none());
        // Later and smaller ones do not overtake it.
        let mut scans: Vec<_> =
            (0..10).map(|_| Box::pin(budget.pictures.reserve(MIB, Priority::Bulk))).collect();
        assert!(scans.iter_mut().all(|scan| scan.now_or_never().is_none()));
        let mut enrolment = Box::pin(budget.pictures.reserve(whole, Priority::Urgent));
        assert!((&mut enrolment).now_or_never().is_none());
        drop(held);
        let large = (&mut large).now_or_never().expect("it should be its turn").unwrap();
        assert!((&mut enrolment).now_or_never().is_none());
        drop(large);
        // The other scans came before it, and still wait.
        let enrolment =
            (&mut enrolment).now_or_never().expect("it should wait behind one only").unwrap();
        assert!(scans.iter_mut().all(|scan| scan.now_or_never().is_none()));
        drop(enrolment);
        for scan in scans {
            drop(scan.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_file_reserves_what_it_has_and_holds_nothing_while_it_waits_for_more() {
        let budget = budget(100 * MIB, 40 * MIB);
        let (one, other) = (budget.file(Priority::Bulk), budget.file(Priority::Bulk));
        one.take(40 * MIB).await.unwrap();
        assert!(other.take(MIB).now_or_never().is_none());
        one.take(30 * MIB).await.unwrap();
        other.take(10 * MIB).await.unwrap();
        let (mut more, mut whole) = (one.take(31 * MIB), other.take(40 * MIB));
        assert!((&mut more).now_or_never().is_none());
        // Both need more than the other leaves free. The first one gets it, because the second one
        // releases its own before it waits.
        assert!((&mut whole).now_or_never().is_none());
        more.await.unwrap();
        drop(one);
        whole.await.unwrap();
    }
}
