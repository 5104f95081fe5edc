//! Builders of jobs and records, and the application with the models and sample photos that `make
//! setup` installs. All fields of jobs and records are public, so a test changes only the fields
//! that it is about.

pub mod arithmetic;
pub mod broker;
pub mod graphs;
pub mod http;
pub mod jpeg;
pub mod large;
pub mod networks;
pub mod pages;
pub mod proxy;
pub mod s3;
pub mod sources;
pub mod stack;
pub mod tape;

use std::path::{Path, PathBuf};

use facefleet::app::App;
use facefleet::domain::{
    AlignmentProfile, BoundingBox, Component, Components, ContentHash, End, Face, FaceResult,
    Faces, GalleryName, ImageContent, ImageId, ImageUri, Job, JobId, JobRecord, Lane, Mapping,
    OperatorName, Outcome, OutcomeEvent, Point, Precision, Profile, RecogniserProfile, Recognition,
    Selection, SerFiq, SourceStamp, Template, Timings, WorkerId, WorkerReport,
};
use facefleet::inference::model::Models;
use facefleet::inference::runtime::Runtime;
use facefleet::settings::Settings;
use facefleet::store::{Effect, Recorded, StoreError};

/// The sample photos that contain a face.
pub const PHOTOS: [&str; 8] = [
    "32bit.png",
    "astronaut.png",
    "biden.jpg",
    "obama.jpg",
    "obama2.jpg",
    "obama3.jpg",
    "obama_partial_face.jpg",
    "obama_partial_face2.jpg",
];

/// A profile with a recogniser of this name.
pub fn profile(name: &str) -> Profile {
    Profile {
        alignment: AlignmentProfile::None,
        recogniser: RecogniserProfile {
            name: name.to_owned(),
            sha256: "00".repeat(32),
            precision: Precision::Float32,
        },
        ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
        // Numbers without a short decimal form: storage must not lose the last bit.
        mapping: Mapping::Logistic { alpha: 130.000_000_000_000_03, r: 0.1 + 0.2 },
    }
}

pub fn gallery() -> GalleryName {
    "staff".parse().unwrap()
}

pub fn operator() -> OperatorName {
    "Olga".parse().unwrap()
}

pub fn uri(name: &str) -> ImageUri {
    format!("file:///photos/{name}.jpg").parse().unwrap()
}

pub fn stamp(text: &str) -> SourceStamp {
    text.parse().unwrap()
}

pub fn selection() -> Selection {
    Selection { faces: Faces::All, min_size_px: 40, min_score: 0.6 }
}

pub fn job(lane: Lane, name: &str) -> Job {
    Job {
        id: JobId::new(),
        lane,
        gallery: gallery(),
        image: uri(name),
        stamp: Some(stamp("v1")),
        expected_hash: None,
        subject: None,
        selection: selection().into(),
        profile: Some(profile("a").id()),
        campaign: None,
        trace: None,
        attempt: 1,
    }
}

/// The content record of an image with these bytes.
pub fn content(bytes: &[u8]) -> Option<ImageContent> {
    Some(ImageContent {
        hash: ContentHash::of(bytes),
        bytes: bytes.len() as u64,
        size: Some((640, 480)),
        picture: None,
    })
}

/// A template that depends on `seed`, with components of all magnitudes.
pub fn template(seed: u64, dimension: usize) -> (Template, f32) {
    let mut state = seed;
    let embedding: Vec<f32> = (0..dimension)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / 1e5 - 80.0
        })
        .collect();
    Template::from_embedding(&embedding).unwrap()
}

/// Components that depend on `seed`: another value for each, and one that is not known.
pub fn components(seed: u8) -> Components {
    let mut components: Components = Component::all()
        .zip(0_u8..)
        .map(|(component, place)| (component, Some(f32::from(seed) / 128.0 + f32::from(place))))
        .collect();
    components.set(Component::CropRight, None);
    components
}

/// A scored face of this quality.
pub fn face(quality: u8) -> FaceResult {
    let offset = f32::from(quality);
    let landmarks =
        std::array::from_fn(|i| Point { x: offset + 0.1 * i as f32, y: 7.7 * i as f32 });
    let (template, norm) = template(u64::from(quality), 128);
    let score = 0.8 + f64::from(quality) / 1000.0 + 1.0 / 3e9;
    FaceResult {
        face: Face {
            bbox: BoundingBox { x: offset, y: -1.3, width: 100.1, height: 120.2 },
            landmarks: Some(landmarks),
            detector_score: Some(0.93),
        },
        components: components(quality),
        recognition: Some(Recognition {
            template,
            norm,
            distance: (2.0 / score - 1.0).ln(),
            score,
            quality,
        }),
    }
}

/// The record of a job on the image `name` with `outcome`, under `profile("a")`. The bytes of the
/// image are its name.
pub fn record(name: &str, outcome: Outcome) -> JobRecord {
    JobRecord {
        job: job(Lane::Scan, name),
        content: content(name.as_bytes()),
        profile: profile("a").id(),
        selection: selection(),
        outcome,
        provider: "cpu".to_owned(),
        timings: Timings { fetch_ms: 0.1, vision_ms: 2.2, recognise_ms: 30.3 },
        from_chips: false,
        enrolment: None,
    }
}

/// `record` with a changed job.
pub fn with_job(mut record: JobRecord, change: impl FnOnce(&mut Job)) -> JobRecord {
    change(&mut record.job);
    record
}

/// What recording changed, record by record.
pub fn effects(recorded: Result<Vec<Recorded>, StoreError>) -> Vec<Effect> {
    recorded.unwrap().into_iter().map(|recorded| recorded.effect).collect()
}

/// The event of `record`, whose image is stored as 7.
pub fn event(record: &JobRecord) -> OutcomeEvent {
    OutcomeEvent::new(record, ImageId(7), End::from(&record.outcome))
}

/// The record of an image whose faces have these qualities.
pub fn scored(name: &str, qualities: &[u8]) -> JobRecord {
    record(name, Outcome::Scored(qualities.iter().map(|&quality| face(quality)).collect()))
}

/// The record of a job whose image was not fetched.
pub fn unfetched(name: &str, outcome: Outcome) -> JobRecord {
    JobRecord { content: None, ..record(name, outcome) }
}

/// What a worker named `host` reports of itself, under `profile("a")`.
pub fn worker_report(host: &str) -> WorkerReport {
    WorkerReport {
        id: WorkerId::new(),
        host: host.to_owned(),
        pid: 7,
        version: "0.2.0".to_owned(),
        queue: "/ facefleet".to_owned(),
        profile: profile("a").id(),
        provider: "cpu".to_owned(),
        lanes: Lane::ALL.to_vec(),
        roots: vec!["/photos".to_owned()],
        resolved: Vec::new(),
        listener: Some("127.0.0.1:9464".to_owned()),
        settings: [("worker.threads".to_owned(), "2".to_owned())].into(),
    }
}

/// The application, with this checkout as its home.
pub fn app() -> App {
    let mut settings = Settings::load(None).unwrap();
    settings.home = env!("CARGO_MANIFEST_DIR").into();
    App::new(settings)
}

/// ONNX Runtime.
pub fn runtime() -> Runtime {
    app().runtime().expect("the tests need ONNX Runtime: run `make setup`")
}

/// The model `name` of this checkout, fetched and not prepared, in `folder`.
pub fn unprepared(name: &str, folder: &Path) -> Models {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    std::fs::copy(source.join(format!("{name}.toml")), folder.join(format!("{name}.toml")))
        .unwrap();
    std::os::unix::fs::symlink(source.join("fetched"), folder.join("fetched")).unwrap();
    Models::new(folder)
}

/// The bytes of a sample photo.
pub fn sample(name: &str) -> Vec<u8> {
    let path = sample_path(name);
    std::fs::read(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; the tests need the sample photos: run `make setup`", path.display())
    })
}

/// The path of a sample photo.
pub fn sample_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".facefleet/samples").join(name)
}
