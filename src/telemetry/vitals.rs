//! Vital signs of a process: the waits for a backend, the age of the jobs in flight, and whether
//! the model threads make progress. The pipeline, the publisher and the batchers write them; health
//! and metrics read them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::metrics;

/// Rate limit of the log about one wait.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The vital signs of a process.
#[derive(Debug, Default)]
pub struct Vitals {
    /// The waits for the store and the queue.
    pub waits: Waits,
    /// The last number given to a job, and when each job in flight was taken, by its number.
    jobs: Mutex<(u64, BTreeMap<u64, Instant>)>,
    threads: Mutex<Vec<Activity>>,
    consuming: AtomicBool,
}

impl Vitals {
    /// Notes that the worker has started its consumer.
    pub fn note_consuming(&self) {
        self.consuming.store(true, Ordering::Relaxed);
    }

    /// Whether the worker has started its consumer. `JobQueue::trouble` reports whether the
    /// consumer works now.
    pub fn is_consuming(&self) -> bool {
        self.consuming.load(Ordering::Relaxed)
    }

    /// Notes that a job was taken. It is in flight until the guard is dropped.
    pub fn begin_job(self: &Arc<Self>) -> JobInFlight {
        let mut jobs = lock(&self.jobs);
        jobs.0 += 1;
        let id = jobs.0;
        jobs.1.insert(id, Instant::now());
        JobInFlight { vitals: Arc::clone(self), id, _counted: metrics::CountedJob::begin() }
    }

    /// The age of the oldest job in flight.
    pub fn oldest_job(&self) -> Option<Duration> {
        lock(&self.jobs).1.first_key_value().map(|(_, since)| since.elapsed())
    }

    /// Adds threads to watch.
    pub fn watch(&self, threads: impl IntoIterator<Item = Activity>) {
        let mut watched = lock(&self.threads);
        watched.retain(Activity::has_not_ended);
        watched.extend(threads);
    }

    /// A line for each thread that panicked or has been busy with one batch for longer than
    /// `bound`.
    pub fn stuck_threads(&self, bound: Duration) -> Vec<String> {
        let mut threads = lock(&self.threads);
        threads.retain(Activity::has_not_ended);
        threads.iter().filter_map(|thread| thread.trouble(bound)).collect()
    }
}

/// A job in flight, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct JobInFlight {
    vitals: Arc<Vitals>,
    id: u64,
    _counted: metrics::CountedJob,
}

impl Drop for JobInFlight {
    fn drop(&mut self) {
        lock(&self.vitals.jobs).1.remove(&self.id);
    }
}

/// The current waits for backends.
#[derive(Debug, Clone, Default)]
pub struct Waits(Arc<Mutex<WaitsState>>);

#[derive(Debug, Default)]
struct WaitsState {
    last_id: u64,
    /// By id, so that the oldest comes first.
    current: BTreeMap<u64, CurrentWait>,
    /// When each backend last accepted a request.
    accepted: BTreeMap<&'static str, Instant>,
}

#[derive(Debug)]
struct CurrentWait {
    backend: &'static str,
    since: Instant,
    reason: String,
}

impl Waits {
    /// A request to `backend` begins.
    pub fn begin(&self, backend: &'static str) -> Wait {
        let mut state = lock(&self.0);
        state.last_id += 1;
        let (id, since, reason) = (state.last_id, Instant::now(), "no answer yet".to_owned());
        state.current.insert(id, CurrentWait { backend, since, reason });
        Wait { waits: self.clone(), backend, id, last_logged: None }
    }

    /// How long the oldest request to `backend` has waited.
    pub fn longest(&self, backend: &str) -> Option<Duration> {
        let state = lock(&self.0);
        let oldest = state.current.values().find(|wait| wait.backend == backend)?;
        Some(oldest.since.elapsed())
    }

    /// A line for each backend whose oldest request has waited for longer than `bound`.
    pub fn longer_than(&self, bound: Duration) -> Vec<String> {
        let state = lock(&self.0);
        let mut oldest: BTreeMap<&str, &CurrentWait> = BTreeMap::new();
        for wait in state.current.values() {
            oldest.entry(wait.backend).or_insert(wait);
        }
        let overdue = oldest.into_values().filter(|wait| wait.since.elapsed() > bound);
        overdue
            .map(|CurrentWait { backend, since, reason }| {
                let accepted = match state.accepted.get(backend) {
                    Some(at) => format!("the last was accepted {} s ago", at.elapsed().as_secs()),
                    None => "none was accepted since the start".to_owned(),
                };
                let waited = since.elapsed().as_secs();
                format!(
                    "a request to the {backend} has waited for {waited} s ({accepted}): {reason}"
                )
            })
            .collect()
    }
}

/// A request that waits for a backend, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Wait {
    waits: Waits,
    backend: &'static str,
    id: u64,
    last_logged: Option<Instant>,
}

impl Wait {
    /// Notes why the request still waits. Returns whether to log it: the first time, and then once
    /// a minute.
    pub fn because(&mut self, reason: String) -> bool {
        if let Some(current) = lock(&self.waits.0).current.get_mut(&self.id) {
            current.reason = reason;
        }
        let log = self.last_logged.is_none_or(|last| last.elapsed() >= LOG_INTERVAL);
        if log {
            self.last_logged = Some(Instant::now());
        }
        log
    }

    /// The backend accepted the request.
    pub fn done(self) {
        lock(&self.waits.0).accepted.insert(self.backend, Instant::now());
        if self.last_logged.is_some() {
            tracing::info!(backend = self.backend, "a backend accepts requests again");
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.waits.0).current.remove(&self.id);
    }
}

/// Whether a model thread is alive, and since when it has been busy with one batch. The thread
/// holds the [`ActivityGuard`].
#[derive(Debug, Clone)]
pub struct Activity {
    thread: Arc<str>,
    state: Arc<Mutex<ActivityState>>,
}

#[derive(Debug)]
enum ActivityState {
    Idle,
    BusySince(Instant),
    /// Its batcher was dropped.
    Ended,
    Panicked,
}

impl Activity {
    /// The activity of a thread of this name that is about to start.
    pub fn new(thread: &str) -> Self {
        Self { thread: thread.into(), state: Arc::new(Mutex::new(ActivityState::Idle)) }
    }

    /// The guard for the thread to hold.
    pub fn guard(&self) -> ActivityGuard {
        ActivityGuard(self.clone())
    }

    fn has_not_ended(&self) -> bool {
        !matches!(*lock(&self.state), ActivityState::Ended)
    }

    fn trouble(&self, bound: Duration) -> Option<String> {
        match *lock(&self.state) {
            ActivityState::BusySince(since) if since.elapsed() > bound => Some(format!(
                "thread {} has been busy with one batch for {} s and probably hangs: restart this \
                    worker",
                self.thread,
                since.elapsed().as_secs()
            )),
            ActivityState::Panicked => Some(format!(
                "thread {} panicked: restart this worker, and report a bug with its log",
                self.thread
            )),
            _ => None,
        }
    }
}

/// Held by the thread. Dropping it marks the thread as ended, or as panicked during a panic.
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
    async fn a_long_wait_is_reported_with_its_reason_and_the_last_success() {
        let waits = Waits::default();
        waits.begin("store").done();
        let mut wait = waits.begin("store");
        assert_eq!(waits.longer_than(BOUND), [""; 0]);
        tokio::time::advance(Duration::from_secs(7)).await;
        assert!(wait.because("permission denied for table results".into()));
        assert!(
            !wait.because("permission denied for table results".into()),
            "it is logged once a minute"
        );
        let lines = waits.longer_than(BOUND);
        assert_eq!(lines.len(), 1);
        for part in [
            "has waited for 7 s",
            "the last was accepted 7 s ago",
            "permission denied for table results",
        ] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        tokio::time::advance(LOG_INTERVAL).await;
        assert!(wait.because("still".into()));
        wait.done();
        assert_eq!((waits.longer_than(BOUND), waits.longest("store")), (Vec::new(), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_job_is_the_one_taken_first_of_those_in_flight() {
        let vitals = Arc::new(Vitals::default());
        let first = vitals.begin_job();
        tokio::time::advance(Duration::from_secs(3)).await;
        let _second = vitals.begin_job();
        assert_eq!(vitals.oldest_job(), Some(Duration::from_secs(3)));
        drop(first);
        assert_eq!(vitals.oldest_job(), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_or_panicked_is_reported_and_one_that_ended_is_not() {
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
        let lines = vitals.stuck_threads(BOUND);
        assert!(matches!(&lines[..], [one] if one.contains("panics panicked")), "{lines:?}");
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
