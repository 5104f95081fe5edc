//! Every metric: its name, its labels, and the one function that moves it. Labels take few values;
//! none is an image, a subject or a gallery. Without a [`Recorder`] each of these does nothing.

use std::time::Duration;

use ::metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::domain::{JobRecord, Lane, OutcomeEvent, SourceName};

const JOBS: &str = "facefleet_jobs_total";
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
const PROVIDER: &str = "facefleet_provider";

/// Upper bounds of the buckets of [`STAGE`], seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Upper bounds of the buckets of [`BATCH`], items.
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// Upper bounds of the buckets of [`QUALITY`].
const QUALITIES: [f64; 10] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0];

/// What was counted since [`Recorder::install`].
#[derive(Debug, Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// Counts from now on. Once a process.
    ///
    /// # Errors
    /// If it was done before.
    pub fn install() -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for (name, buckets) in [(STAGE, &SECONDS[..]), (BATCH, &ITEMS), (QUALITY, &QUALITIES)] {
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)?;
        }
        let handle = builder.install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Drains what histograms gathered; to be called now and then.
    pub fn tidy(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    describe_counter!(
        JOBS,
        "Jobs that ended, by lane and outcome, after their outcomes were committed."
    );
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
        "Deliveries that ended without an outcome, by why: retry, defer, drop, panic."
    );
    describe_counter!(
        ACKS_LOST,
        "Settlements that the queue did not take: the job comes again and finds its row."
    );
    describe_counter!(
        WAITS,
        "Times that a batch had to wait for a backend that was away (store or queue)."
    );
    describe_gauge!(IN_HAND, "Unsettled jobs in this worker's hands.");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "How long the oldest job has been in this worker's hands; 0 if there is none."
    );
    describe_gauge!(
        WAITING,
        Unit::Seconds,
        "How long the oldest results have waited for a backend (store or queue); 0 if none wait."
    );
    describe_gauge!(QUEUE, "Jobs in the queue: ready by lane; delayed and dead over all lanes.");
    describe_gauge!(
        SOURCES,
        "1 while a source of images does not work and its jobs wait, by source."
    );
    describe_gauge!(PROVIDER, "1 for the execution provider that runs the recogniser.");
}

/// Jobs ended as `events` say, and what `records` found is committed.
pub fn ended(records: &[JobRecord], events: &[OutcomeEvent]) {
    for event in events {
        counter!(JOBS, "lane" => event.lane.as_str(), "outcome" => event.end.outcome.as_str())
            .increment(1);
    }
    for record in records {
        let faces = record.outcome.faces();
        counter!(FACES).increment(faces.len() as u64);
        for face in faces.iter().filter_map(|face| face.recognition.as_ref()) {
            histogram!(QUALITY).record(f64::from(face.quality));
        }
        // What did not run took no time, and is left out.
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

/// A batch went through a stage that handles whole batches.
pub fn batch_took(stage: &'static str, time: Duration) {
    histogram!(STAGE, "stage" => stage).record(time);
}

/// `items` were handled together.
pub fn batch(stage: &str, items: usize) {
    histogram!(BATCH, "stage" => stage.to_owned()).record(items as f64);
}

/// A delivery ended without an outcome.
pub fn put_back(why: &'static str) {
    counter!(PUT_BACK, "why" => why).increment(1);
}

/// A settlement was lost.
pub fn ack_lost() {
    counter!(ACKS_LOST).increment(1);
}

/// A batch waits for a backend that is away.
pub fn backend_wait(backend: &'static str) {
    counter!(WAITS, "backend" => backend).increment(1);
}

/// A job in this worker's hands, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct InHand(());

impl InHand {
    /// One more.
    pub fn one() -> Self {
        gauge!(IN_HAND).increment(1.0);
        Self(())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        gauge!(IN_HAND).decrement(1.0);
    }
}

/// How long the oldest job has been in hand.
pub fn oldest_job(age: Duration) {
    gauge!(OLDEST).set(age.as_secs_f64());
}

/// How long the oldest results have waited for `backend`.
pub fn waiting(backend: &'static str, time: Duration) {
    gauge!(WAITING, "backend" => backend).set(time.as_secs_f64());
}

/// Jobs of a lane that wait to be taken.
pub fn queue_ready(lane: Lane, jobs: u64) {
    gauge!(QUEUE, "lane" => lane.as_str(), "place" => "ready").set(jobs as f64);
}

/// Jobs of all lanes in another place of the queue.
pub fn queue_place(place: &'static str, jobs: u64) {
    gauge!(QUEUE, "lane" => "all", "place" => place).set(jobs as f64);
}

/// A source of images does not work, or works again.
pub fn source_trouble(source: &SourceName, trouble: bool) {
    gauge!(SOURCES, "source" => source.as_str().to_owned()).set(if trouble { 1.0 } else { 0.0 });
}

/// The execution provider that runs the recogniser.
pub fn provider(name: &str) {
    gauge!(PROVIDER, "provider" => name.to_owned()).set(1.0);
}
