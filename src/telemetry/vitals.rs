//! Vital signs of one process: what waits for a backend, how long jobs have been in hand, and
//! whether the model threads make progress. The pipeline, the publisher and the batchers write
//! them; health and metrics read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics;

/// How often the log says again that something still waits.
const TELL_AGAIN: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The vital signs of a process.
#[derive(Debug, Default)]
pub struct Vitals {
    /// What waits for the store or the queue.
    pub waits: Waits,
    /// When each job in hand was taken, in the order of taking.
    jobs: Mutex<(u64, BTreeMap<u64, Instant>)>,
    threads: Mutex<Vec<Activity>>,
    consuming: AtomicBool,
}

impl Vitals {
    /// The worker has its consumer: jobs can come.
    pub fn note_consuming(&self) {
        self.consuming.store(true, Ordering::Relaxed);
    }

    /// Whether the worker has had its consumer. Whether that has what it takes from is the queue's
    /// to say.
    pub fn is_consuming(&self) -> bool {
        self.consuming.load(Ordering::Relaxed)
    }

    /// A job is taken: it is in hand until the guard is dropped.
    pub fn take_job(self: &Arc<Self>) -> InHand {
        let mut jobs = lock(&self.jobs);
        jobs.0 += 1;
        let id = jobs.0;
        jobs.1.insert(id, Instant::now());
        InHand { vitals: Arc::clone(self), id, _count: metrics::InHand::one() }
    }

    /// For how long the oldest job has been in hand.
    pub fn oldest_job(&self) -> Option<Duration> {
        lock(&self.jobs).1.first_key_value().map(|(_, since)| since.elapsed())
    }

    /// Adds threads to watch.
    pub fn watch(&self, threads: impl IntoIterator<Item = Activity>) {
        let mut watched = lock(&self.threads);
        watched.retain(Activity::goes_on);
        watched.extend(threads);
    }

    /// A line for each thread that panicked or has been busy with one batch for longer than
    /// `bound`.
    pub fn stuck_threads(&self, bound: Duration) -> Vec<String> {
        let mut threads = lock(&self.threads);
        threads.retain(Activity::goes_on);
        threads.iter().filter_map(|thread| thread.trouble(bound)).collect()
    }
}

/// A job in hand, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct InHand {
    vitals: Arc<Vitals>,
    id: u64,
    _count: metrics::InHand,
}

impl Drop for InHand {
    fn drop(&mut self) {
        lock(&self.vitals.jobs).1.remove(&self.id);
    }
}

/// What is waited for, since when, and why.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// In the order of beginning.
    now: BTreeMap<u64, Reason>,
    /// When the last wait for each backend ended well.
    last: BTreeMap<&'static str, Instant>,
}

#[derive(Debug)]
struct Reason {
    backend: &'static str,
    since: Instant,
    why: String,
}

impl Waits {
    /// Something is handed to `backend` and waits for its answer.
    pub fn begin(&self, backend: &'static str) -> Wait {
        let mut waiting = lock(&self.0);
        waiting.next += 1;
        let id = waiting.next;
        waiting
            .now
            .insert(id, Reason { backend, since: Instant::now(), why: "no answer yet".to_owned() });
        Wait { waits: self.clone(), backend, id, told: None }
    }

    /// For how long the oldest wait for `backend` has lasted.
    pub fn longest(&self, backend: &str) -> Option<Duration> {
        lock(&self.0)
            .now
            .values()
            .find(|reason| reason.backend == backend)
            .map(|reason| reason.since.elapsed())
    }

    /// The oldest wait for each backend, if it has lasted longer than `bound`; a line each.
    pub fn longer_than(&self, bound: Duration) -> Vec<String> {
        let waiting = lock(&self.0);
        let mut oldest: BTreeMap<&str, &Reason> = BTreeMap::new();
        for reason in waiting.now.values() {
            oldest.entry(reason.backend).or_insert(reason);
        }
        let overdue = oldest.into_values().filter(|reason| reason.since.elapsed() > bound);
        overdue
            .map(|Reason { backend, since, why }| {
                let last = match waiting.last.get(backend) {
                    Some(last) => {
                        format!("it last took something {} s ago", last.elapsed().as_secs())
                    }
                    None => "it has taken nothing since the start".to_owned(),
                };
                format!(
                    "the {backend} has not taken what was handed to it {} s ago ({last}): {why}",
                    since.elapsed().as_secs()
                )
            })
            .collect()
    }
}

/// Something that waits for a backend, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Wait {
    waits: Waits,
    backend: &'static str,
    id: u64,
    told: Option<Instant>,
}

impl Wait {
    /// Notes why the wait goes on. True if the log should say so: the first time, and then once a
    /// minute.
    pub fn because(&mut self, why: String) -> bool {
        if let Some(reason) = lock(&self.waits.0).now.get_mut(&self.id) {
            reason.why = why;
        }
        let tell = self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
        if tell {
            self.told = Some(Instant::now());
        }
        tell
    }

    /// The backend took what waited.
    pub fn done(self) {
        lock(&self.waits.0).last.insert(self.backend, Instant::now());
        if self.told.is_some() {
            tracing::info!(backend = self.backend, "it takes results again");
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.waits.0).now.remove(&self.id);
    }
}

/// Whether a model thread is alive, and since when it has been busy with one batch. The thread
/// itself holds an [`ActivityGuard`].
#[derive(Debug, Clone)]
pub struct Activity {
    thread: Arc<str>,
    state: Arc<Mutex<ActivityState>>,
}

#[derive(Debug)]
enum ActivityState {
    Idle,
    BusySince(Instant),
    /// Ended normally: its batcher was dropped.
    Ended,
    Panicked,
}

impl Activity {
    /// For a thread of this name that is about to start.
    pub fn new(thread: &str) -> Self {
        Self { thread: thread.into(), state: Arc::new(Mutex::new(ActivityState::Idle)) }
    }

    /// The guard for the thread to hold.
    pub fn guard(&self) -> ActivityGuard {
        ActivityGuard(self.clone())
    }

    fn goes_on(&self) -> bool {
        !matches!(*lock(&self.state), ActivityState::Ended)
    }

    fn trouble(&self, bound: Duration) -> Option<String> {
        match *lock(&self.state) {
            ActivityState::BusySince(since) if since.elapsed() > bound => Some(format!(
                "thread {} has been busy with one batch for {} s: it hangs; restart this worker",
                self.thread,
                since.elapsed().as_secs()
            )),
            ActivityState::Panicked => Some(format!(
                "thread {} panicked: restart this worker, and report its log",
                self.thread
            )),
            _ => None,
        }
    }
}

/// Held by the thread. Dropping it marks the thread as ended, or as panicked while it unwinds.
#[derive(Debug)]
pub struct ActivityGuard(Activity);

impl ActivityGuard {
    /// A batch begins.
    pub fn begin(&self) {
        *lock(&self.0.state) = ActivityState::BusySince(Instant::now());
    }

    /// The batch is done.
    pub fn end(&self) {
        *lock(&self.0.state) = ActivityState::Idle;
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        *lock(&self.0.state) =
            if std::thread::panicking() { ActivityState::Panicked } else { ActivityState::Ended };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_told_once_it_is_long_with_its_reason_and_the_last_success() {
        let waits = Waits::default();
        waits.begin("store").done();
        let mut wait = waits.begin("store");
        assert_eq!(waits.longer_than(BOUND), [""; 0]);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(wait.because("permission denied for table results".into()));
        assert!(
            !wait.because("permission denied for table results".into()),
            "the log says it once a minute"
        );
        let told = waits.longer_than(BOUND);
        assert_eq!(told.len(), 1);
        for part in [
            "handed to it 7 s ago",
            "last took something 7 s ago",
            "permission denied for table results",
        ] {
            assert!(told[0].contains(part), "{told:?}");
        }
        tokio::time::advance(TELL_AGAIN).await;
        assert!(wait.because("still".into()));
        wait.done();
        assert_eq!((waits.longer_than(BOUND), waits.longest("store")), (Vec::new(), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_job_is_the_one_taken_first_of_those_still_in_hand() {
        let vitals = Arc::new(Vitals::default());
        let first = vitals.take_job();
        tokio::time::advance(Duration::from_secs(3)).await;
        let _second = vitals.take_job();
        assert_eq!(vitals.oldest_job(), Some(Duration::from_secs(3)));
        drop(first);
        assert_eq!(vitals.oldest_job(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_or_panicked_is_told_and_one_that_ended_is_not() {
        let vitals = Vitals::default();
        let threads = ["hangs", "panics", "ends"].map(Activity::new);
        vitals.watch(threads.clone());
        let [hangs, panics, ends] = threads.map(|thread| thread.guard());
        hangs.begin();
        drop(ends);
        let panicking = std::thread::spawn(move || {
            panics.begin();
            panic!("as the test wants");
        });
        assert!(panicking.join().is_err());
        let told = vitals.stuck_threads(BOUND);
        assert!(matches!(&told[..], [one] if one.contains("panics panicked")), "{told:?}");
        tokio::time::advance(BOUND * 2).await;
        assert!(
            vitals
                .stuck_threads(BOUND)
                .iter()
                .any(|one| one.contains("hangs has been busy with one batch for 10 s"))
        );
        hangs.end();
        assert_eq!(vitals.stuck_threads(BOUND).len(), 1);
    }
}
