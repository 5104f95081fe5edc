//! A worker without a model, for benchmarks and tests of faults: the real pipeline, queue and
//! store, and a processor that fetches the image and recognises nothing. Each image gets one face
//! with a template derived from its content hash.
//!
//! Settings come from the environment, as for `facefleet worker`. The arguments are the folders
//! that it may read. Some file names cause faults that no real image causes: `panic*` panics,
//! `abort*` aborts the process, `hiccup*` fails with a transient error on the first attempt,
//! `never*` on each.
#![allow(clippy::print_stdout, reason = "it prints a line for its parent process")]

mod null_profile;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use facefleet::app::App;
use facefleet::app::schedules::SchedulingWorker;
use facefleet::domain::{
    BoundingBox, Components, ContentHash, EnrolRules, Face, FaceResult, Faces, ImageContent, Job,
    JobRecord, Outcome, Profile, ProfileId, Recognition, Selection, Template, WaitReason,
};
use facefleet::images::{ImageSource, Root, Unlimited};
use facefleet::settings::Settings;
use facefleet::telemetry;
use facefleet::worker::circuit_breaker::CircuitBreakers;
use facefleet::worker::fetcher::{FetchFailure, Fetcher};
use facefleet::worker::{Process, Processed};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::null_profile::null_profile;

struct Null {
    fetcher: Fetcher,
    slots: Semaphore,
    profile: Profile,
    id: ProfileId,
    attempts: u32,
}

#[async_trait]
impl Process for Null {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn breakers(&self) -> Option<&Arc<CircuitBreakers>> {
        Some(self.fetcher.breakers())
    }

    async fn process(&self, job: &Job) -> Processed {
        let selection = job.selection.complete(&Selection {
            faces: Faces::All,
            min_size_px: 1,
            min_score: 0.5,
        });
        let ended = |outcome| JobRecord::without_content(job, &self.id, selection, "null", outcome);
        if job.attempt > self.attempts {
            return Processed::Ended(Box::new(ended(Outcome::Failed(
                "given up after deliveries that never ended".into(),
            ))));
        }
        if let Some(wanted) = job.profile.as_ref().filter(|wanted| **wanted != self.id) {
            return Processed::Waits(WaitReason::OtherProfile(wanted.clone()));
        }
        let name = job.image.as_str().rsplit('/').next().unwrap_or_default();
        if name.starts_with("abort") {
            std::process::abort();
        }
        assert!(!name.starts_with("panic"), "a file name asked for it");
        if name.starts_with("never") || (name.starts_with("hiccup") && job.attempt == 1) {
            return if job.attempt < self.attempts {
                Processed::Waits(WaitReason::AttemptFailed("a file name asked for it".into()))
            } else {
                Processed::Ended(Box::new(ended(Outcome::Failed(
                    "a file name asked for it".into(),
                ))))
            };
        }
        let bytes = match self.fetcher.fetch(job, &self.slots, || Unlimited).await {
            Ok(fetched) => fetched.bytes,
            Err(FetchFailure::Ended(outcome)) => return Processed::Ended(Box::new(ended(outcome))),
            Err(FetchFailure::Unanswered(reason)) => {
                return Processed::Waits(WaitReason::ImageUnavailable(reason));
            }
            Err(FetchFailure::Outage(source, reason)) => {
                return Processed::Waits(WaitReason::SourceOutage { source, reason });
            }
            Err(FetchFailure::Shortage) => return Processed::Waits(WaitReason::Shortage),
        };
        let hash = ContentHash::of(&bytes);
        let content = Some(ImageContent {
            hash,
            bytes: bytes.len() as u64,
            size: Some((112, 112)),
            picture: None,
        });
        Processed::Ended(Box::new(JobRecord {
            content,
            ..ended(Outcome::Scored(vec![face(hash, job)]))
        }))
    }
}

/// A face whose template depends on the bytes and the URI.
fn face(hash: ContentHash, job: &Job) -> FaceResult {
    let mut seed = blake3::Hasher::new();
    seed.update(&hash.0).update(job.image.as_str().as_bytes());
    let mut bytes = [0; 128];
    seed.finalize_xof().fill(&mut bytes);
    let embedding: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) - 127.5).collect();
    let recognition =
        Template::from_embedding(&embedding).ok().map(|(template, norm)| Recognition {
            template,
            norm,
            distance: 0.45,
            score: facefleet::quality::score(0.45),
            quality: bytes[0] % 101,
        });
    let bbox = BoundingBox { x: 0.0, y: 0.0, width: 112.0, height: 112.0 };
    let face = Face { bbox, landmarks: None, detector_score: None };
    FaceResult { face, components: Components::default(), recognition }
}

#[tokio::main]
async fn main() -> Result<()> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let stop_on_signal = stop.clone();
    tokio::spawn(async move {
        terminate.recv().await;
        stop_on_signal.cancel();
    });
    let roots = std::env::args_os().skip(1).map(Root::try_from).collect::<Result<Vec<_>, _>>()?;
    let settings = Settings::load(None)?;
    telemetry::start(&settings.log)?;
    // As the program does at its start. It fails if a provider is installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let attempts = settings.worker.attempts;
    let app = App::new(settings);
    let (store, queue) = (app.store().await?, app.queue().await?);
    let images: Arc<dyn ImageSource> = Arc::new(app.images(&roots)?);
    let fetcher = Fetcher::new(images, Duration::from_secs(app.settings().images.outage_seconds));
    let null = Arc::new(Null {
        fetcher,
        slots: Semaphore::new(1024),
        profile: null_profile(),
        id: null_profile().id(),
        attempts,
    });
    let scheduling = SchedulingWorker { profile: null_profile(), roots };
    let scheduler = app.scheduler(store.clone(), Some(queue.clone()), Some(scheduling));
    let poll = Duration::from_secs(app.settings().worker.schedule_poll_seconds);
    let scheduling = tokio::spawn(scheduler.watch(poll, 1, stop.clone(), |_| {}));
    println!("at work");
    app.worker(queue.clone(), store.clone(), null, EnrolRules::default()).run(stop).await?;
    scheduling.await?;
    queue.close().await;
    store.close().await;
    Ok(())
}
