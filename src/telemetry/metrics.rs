//! Every metric: its name, its labels, and the one function that changes it. Labels have few
//! values; none is an image, a subject or a gallery. Without a [`Recorder`] these functions do
//! nothing.

use std::time::Duration;

use ::metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::{JobRecord, Lane, OutcomeEvent, RunState, ScheduleName, SourceName};

const JOBS: &str = "facefleet_jobs_total";
const ENROLMENTS: &str = "facefleet_enrolments_total";
const FACES: &str = "facefleet_faces_total";
const QUALITY: &str = "facefleet_quality";
const STAGE: &str = "facefleet_stage_seconds";
const BATCH: &str = "facefleet_batch_size";
const PUT_BACK: &str = "facefleet_jobs_put_back_total";
const ACKS_LOST: &str = "facefleet_acks_lost_total";
const WAITS: &str = "facefleet_backend_waits_total";
const IN_HAND: &str = "facefleet_jobs_in_hand";
const OLDEST: &str = "facefleet_oldest_job_seconds";
const WAITING: &str = "facefleet_waiting_seconds";
const QUEUE: &str = "facefleet_queue_jobs";
const SOURCES: &str = "facefleet_source_trouble";
const CHIPS: &str = "facefleet_chip_cache_total";
const RUNS: &str = "facefleet_schedule_runs_total";
const OVERDUE: &str = "facefleet_schedule_overdue_seconds";
const PROVIDER: &str = "facefleet_provider";

/// Upper bounds of the buckets of [`STAGE`], seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Upper bounds of the buckets of [`BATCH`], items.
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Upper bounds of the buckets of [`QUALITY`].
const QUALITIES: [f64; 10] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

/// The metrics since [`Recorder::install`].
#[derive(Debug, Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// Records metrics from now on. Call it once in a process.
    ///
    /// # Errors
    /// If a recorder is installed already.
    pub fn install() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in [(STAGE, &SECONDS[..]), (BATCH, &ITEMS), (QUALITY, &QUALITIES)] {
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
        }
        let handle = builder.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// All metrics, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Frees memory of histograms. Call it every few seconds.
    pub fn run_upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    describe_counter!(JOBS, "Jobs whose outcome was committed, by lane and outcome.");
    describe_counter!(ENROLMENTS, "Enrolments that were decided, by decision.");
    describe_counter!(FACES, "Faces recorded.");
    describe_histogram!(QUALITY, "Quality of recorded faces, 0 to 100.");
    describe_histogram!(
        STAGE,
        Unit::Seconds,
        "Time of a job in a stage (fetch, vision, recognise), or of a batch in record and announce."
    );
    describe_histogram!(BATCH, "Items handled together, by stage.");
    describe_counter!(
        PUT_BACK,
        "Deliveries without an outcome, by why: retry, defer, hold (set aside), drop, panic."
    );
    describe_counter!(
        ACKS_LOST,
        "Settlements that the queue did not accept: these jobs are redelivered and find their rows."
    );
    describe_counter!(
        WAITS,
        "Failed tries to hand a batch to a backend (store or queue). The batch is tried again."
    );
    describe_gauge!(IN_HAND, "Unsettled jobs of this worker.");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "Age of the oldest unsettled job of this worker; 0 if there is none."
    );
    describe_gauge!(
        WAITING,
        Unit::Seconds,
        "How long the oldest results have waited for a backend (store or queue); 0 if none wait."
    );
    describe_gauge!(
        QUEUE,
        "Jobs in the queue: ready by lane; waiting, delayed and dead over all lanes."
    );
    describe_gauge!(
        SOURCES,
        "1 while a source of images does not work and its jobs wait, by source."
    );
    describe_counter!(
        CHIPS,
        "Entries of the chip cache, by result: hit, miss, damaged, written, failed (out of reach), \
            skipped (left alone after a failure)."
    );
    describe_counter!(
        RUNS,
        "Runs of schedules that this process ended, by schedule and result: done, failed, skipped."
    );
    describe_gauge!(
        OVERDUE,
        Unit::Seconds,
        "How late the most overdue slot is that no process has claimed; 0 if none is."
    );
    describe_gauge!(PROVIDER, "1 for the execution provider that runs the recogniser.");
}

/// The outcomes of `events` and the results of `records` were committed.
pub fn ended(records: &[JobRecord], events: &[OutcomeEvent]) {
    for event in events {
        counter!(JOBS, "lane" => event.lane.as_str(), "outcome" => event.end.outcome.as_str())
            .increment(1);
        if let Some(enrolment) = &event.enrolment {
            counter!(ENROLMENTS, "decision" => enrolment.decision.as_str()).increment(1);
        }
    }
    for record in records {
        let faces = record.outcome.faces();
        counter!(FACES).increment(faces.len() as u64);
        for face in faces.iter().filter_map(|face| face.recognition.as_ref()) {
            histogram!(QUALITY).record(f64::from(face.quality));
        }
        // A stage that did not run has no time, and is not counted.
        let timings = [
            ("fetch", record.timings.fetch_ms),
            ("vision", record.timings.vision_ms),
            ("recognise", record.timings.recognise_ms),
        ];
        for (stage, ms) in timings.into_iter().filter(|(_, ms)| *ms > 0.0) {
            histogram!(STAGE, "stage" => stage).record(f64::from(ms) / 1000.0);
        }
    }
}

/// The time of a batch in a stage that handles whole batches.
pub fn batch_took(stage: &'static str, time: Duration) {
    histogram!(STAGE, "stage" => stage).record(time);
}

/// The number of items that a stage handled together.
pub fn batch(stage: &str, items: usize) {
    histogram!(BATCH, "stage" => stage.to_owned()).record(items as f64);
}

/// A delivery was settled without an outcome.
pub fn put_back(why: &'static str) {
    counter!(PUT_BACK, "why" => why).increment(1);
}

/// The queue did not accept a settlement.
pub fn ack_lost() {
    counter!(ACKS_LOST).increment(1);
}

/// A backend did not accept a batch.
pub fn backend_wait(backend: &'static str) {
    counter!(WAITS, "backend" => backend).increment(1);
}

/// An unsettled job, counted until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct CountedJob(());

impl CountedJob {
    /// Counts one more job.
    pub fn begin() -> Self {
        gauge!(IN_HAND).increment(1.0);
        Self(())
    }
}

impl Drop for CountedJob {
    fn drop(&mut self) {
        gauge!(IN_HAND).decrement(1.0);
    }
}

/// The age of the oldest unsettled job.
pub fn oldest_job(age: Duration) {
    gauge!(OLDEST).set(age.as_secs_f64());
}

/// How long the oldest results have waited for `backend`.
pub fn waiting(backend: &'static str, time: Duration) {
    gauge!(WAITING, "backend" => backend).set(time.as_secs_f64());
}

/// Jobs of a lane that are ready to be taken.
pub fn queue_ready(lane: Lane, jobs: u64) {
    gauge!(QUEUE, "lane" => lane.as_str(), "place" => "ready").set(jobs as f64);
}

/// Jobs of all lanes that are not ready: waiting, delayed or dead.
pub fn queue_not_ready(state: &'static str, jobs: u64) {
    gauge!(QUEUE, "lane" => "all", "place" => state).set(jobs as f64);
}

/// A source of images does not work, or works again.
pub fn source_trouble(source: &SourceName, trouble: bool) {
    gauge!(SOURCES, "source" => source.as_str().to_owned()).set(if trouble { 1.0 } else { 0.0 });
}

/// What became of an entry of the chip cache.
pub fn chips(result: &'static str) {
    counter!(CHIPS, "result" => result).increment(1);
}

/// Runs of a schedule ended, or were skipped.
pub fn runs_ended(schedule: &ScheduleName, result: RunState, runs: usize) {
    if runs > 0 {
        counter!(RUNS, "schedule" => schedule.as_str().to_owned(), "result" => result.as_str())
            .increment(runs as u64);
    }
}

/// How late the most overdue slot of this process's schedules is.
pub fn slots_overdue(time: Duration) {
    gauge!(OVERDUE).set(time.as_secs_f64());
}

/// The execution provider that runs the recogniser.
pub fn provider(name: &str) {
    gauge!(PROVIDER, "provider" => name.to_owned()).set(1.0);
}
