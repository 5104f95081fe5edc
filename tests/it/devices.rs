//! Devices: an unusable one is an error at start, every result names the one that ran, and a GPU's
//! layout with its fixed shapes gives the same results as free shapes. All of it runs on the CPU
//! here; docs/gpu.md says how to test a GPU.
#![allow(clippy::print_stdout, reason = "--nocapture shows the measured numbers")]

use facefleet::app::App;
use facefleet::domain::{Chip, Device, Face, Faces, ImageUri, Job, Lane, Precision, Selection};
use facefleet::images::Root;
use facefleet::inference::batcher::{Batcher, Priority};
use facefleet::inference::canvas::{Canvas, CanvasSize};
use facefleet::inference::detector::Detector;
use facefleet::inference::model::{HalfError, Models};
use facefleet::inference::plan::DevicePlan;
use facefleet::inference::prepare::{Target, Variant};
use facefleet::inference::recogniser::{Estimator, NetworkAnswer, RecogniserModel};
use facefleet::inference::yunet::YunetModel;
use facefleet::vision::PixelLimits;
use facefleet::worker::pyramid::Pyramid;
use facefleet::worker::vision_stage::{
    ChipExtractor, PictureStage, Vision, VisionInput, VisionOutput, VisionStage,
};
use facefleet::worker::{Process, Processed};
use image::{RgbImage, imageops};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::accuracy::sample_chips;
use crate::support::{app, job, runtime, sample, sample_path, unprepared};

const MAX_SIDE: u32 = 640;
const LETTERBOX: CanvasSize = CanvasSize::Letterbox { max_side: MAX_SIDE };
const PYRAMID: Pyramid =
    Pyramid { max_side: MAX_SIDE, fine_pixels: Some(1_250_000), tile: Some(MAX_SIDE) };
const LIMITS: PixelLimits = PixelLimits { max_pixels: 1 << 24 };
const PHOTOS: [&str; 7] = [
    "astronaut.png",
    "chelsea.png",
    "biden.jpg",
    "obama.jpg",
    "obama2.jpg",
    "obama3.jpg",
    "obama_partial_face2.jpg",
];

/// A GPU's layout of sessions, on the CPU.
pub fn gpu_layout(batch: usize) -> DevicePlan {
    DevicePlan { padded: true, batch, ..DevicePlan::cpu(1) }
}

fn on(choice: &str) -> App {
    let mut settings = app().settings().clone();
    settings.runtime.device = choice.parse().unwrap();
    App::new(settings)
}

fn recogniser_name() -> String {
    app().settings().models.recogniser.clone()
}

fn recogniser(models: &Models) -> RecogniserModel {
    let name = &recogniser_name();
    RecogniserModel::load(models, name, &runtime(), Estimator::ClosedForm).unwrap()
}

fn recognise(models: &Models, plan: &DevicePlan, chips: &[Chip]) -> Vec<NetworkAnswer> {
    let answers = recogniser(models).open_on(plan).unwrap().recognise(chips).unwrap();
    answers.into_iter().map(Option::unwrap).collect()
}

fn detector() -> YunetModel {
    YunetModel::load(&app().models(), &app().settings().models.detector, &runtime()).unwrap()
}

fn photo(name: &str) -> RgbImage {
    let photo = image::load_from_memory(&sample(name)).unwrap().into_rgb8();
    let longest = f64::from(photo.width().max(photo.height()));
    let side = |side: u32| (f64::from(side) * f64::from(MAX_SIDE) / longest) as u32;
    imageops::thumbnail(&photo, side(photo.width()), side(photo.height()))
}

#[test]
fn a_missing_device_is_an_error_at_start() {
    // No machine has so many GPUs, and the library may be built for CUDA.
    for device in ["cuda:9999", "tensorrt:9999"] {
        let error = format!("{:#}", on(device).processor(&[], true).err().expect(device));
        assert!(error.contains(device), "{error}");
    }
    if !runtime().offers(Device::Cuda(0)) {
        let error = runtime()
            .open_on("x", b"", &DevicePlan::new(Device::Cuda(0), 1, 4), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("cuda:0 cannot be used: this ONNX Runtime was built without it"),
            "{error}"
        );
        for advice in ["--runtime cuda", "docs/gpu.md", "FACEFLEET__RUNTIME__DEVICE"] {
            assert!(error.contains(advice), "{error}");
        }
    }
}

#[tokio::test]
async fn results_and_metrics_say_which_device_ran() {
    // With a library that is built for CUDA, `auto` may choose a GPU.
    let choices = if runtime().offers(Device::Cuda(0)) { &["cpu"][..] } else { &["cpu", "auto"] };
    for choice in choices {
        let path = sample_path("astronaut.png").canonicalize().unwrap();
        let recorder = PrometheusBuilder::new().build_recorder();
        let roots = [path.parent().unwrap().to_owned()];
        let processor = metrics::with_local_recorder(&recorder, || {
            on(choice).processor(&roots.clone().map(Root::Path), false)
        })
        .unwrap();
        let metrics = recorder.handle().render();
        assert!(metrics.contains(r#"facefleet_provider{provider="cpu"} 1"#), "{choice}: {metrics}");

        let job = Job {
            image: ImageUri::from_path(&path).unwrap(),
            profile: None,
            ..job(Lane::Scan, "x")
        };
        let Processed::Ended(record) = processor.process(&job).await else { panic!("{choice}") };
        assert_eq!(
            (record.provider.as_str(), record.outcome.faces().len()),
            ("cpu", 1),
            "{choice}"
        );
    }
}

#[test]
fn the_error_about_a_missing_gpu_preparation_has_the_command_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let variant = Variant { target: Target::Gpu, precision: Precision::Half };
    let name = &recogniser_name();
    let models = unprepared(name, folder.path()).prepared_as(variant);
    let error = RecogniserModel::load(&models, name, &runtime(), Estimator::ClosedForm)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("facefleet model prepare {name} --target gpu --half")),
        "{error}"
    );
}

#[tokio::test]
async fn a_padded_batch_gives_what_singles_give() {
    let chips = sample_chips().await;
    let models = app().models();
    let singles: Vec<NetworkAnswer> = chips
        .iter()
        .flat_map(|chip| recognise(&models, &DevicePlan::cpu(1), std::slice::from_ref(chip)))
        .collect();
    for count in [1, 2, 5, chips.len()] {
        // The sizes are 1, 4, 8 and 16: all counts but the first are padded.
        let batch = recognise(&models, &gpu_layout(16), &chips[..count]);
        assert_eq!(batch.len(), count);
        for (of_batch, single) in batch.iter().zip(&singles) {
            assert!(
                (of_batch.distance / single.distance - 1.0).abs() < 1e-5,
                "{} {}",
                of_batch.distance,
                single.distance
            );
            let cosine = of_batch.template.similarity(&single.template);
            assert!(cosine > 0.99999, "{cosine}");
        }
    }
}

#[test]
fn a_batch_of_canvases_gives_what_singles_give() {
    let model = detector();
    let photos: Vec<RgbImage> = PHOTOS.iter().map(|name| photo(name)).collect();
    // Large and small canvases, more than one batch holds.
    let small = photos
        .iter()
        .map(|photo| imageops::thumbnail(photo, photo.width() / 2, photo.height() / 2));
    let canvases: Vec<Canvas> =
        photos.iter().cloned().chain(small).map(|photo| model.canvas(&photo, LETTERBOX)).collect();
    let looks: Vec<(&Canvas, f32)> = canvases.iter().map(|canvas| (canvas, 0.6)).collect();
    let mut single = model.open_on(&DevicePlan::cpu(1), LETTERBOX).unwrap();
    let batch = model.open_on(&gpu_layout(4), LETTERBOX).unwrap().detect_batch(&looks).unwrap();
    assert_eq!(batch.len(), canvases.len());
    for (look, of_batch) in looks.iter().zip(&batch) {
        let alone = single.detect_batch(std::slice::from_ref(look)).unwrap().pop().unwrap();
        assert_eq!(of_batch.len(), alone.len());
        for (a, b) in of_batch.iter().zip(&alone) {
            assert!(a.bbox.iou(&b.bbox) > 0.9999 && moved(a, b) < 0.01, "{a:?} {b:?}");
        }
    }
    assert!(batch.iter().flatten().count() >= 12);
}

/// The largest distance between corresponding landmarks, in widths of the face.
fn moved(a: &Face, b: &Face) -> f32 {
    let pairs = a.landmarks.unwrap().into_iter().zip(b.landmarks.unwrap());
    pairs.map(|(a, b)| (a.x - b.x).hypot(a.y - b.y)).fold(0.0, f32::max) / b.bbox.width
}

#[test]
fn a_letterbox_moves_only_the_faces_at_the_edge() {
    let model = detector();
    let mut free = model.open(1).unwrap();
    let mut boxed = model.open_on(&DevicePlan::cpu(1), LETTERBOX).unwrap();
    let (mut inside, mut cut) = (0.0_f32, 0.0_f32);
    for name in PHOTOS {
        let photo = photo(name);
        let (expected, found) =
            (free.detect(&photo, 0.6).unwrap(), boxed.detect(&photo, 0.6).unwrap());
        assert_eq!(found.len(), expected.len(), "{name}");
        let Some(face) = expected.first() else { continue };
        let room = photo.width() as f32 - (face.bbox.x + face.bbox.width);
        if room > face.bbox.width / 2.0 {
            inside = inside.max(moved(&found[0], face));
        }
        // Cut off the right quarter of the face.
        let width = (face.bbox.x + 0.75 * face.bbox.width) as u32;
        let half = imageops::crop_imm(&photo, 0, 0, width, photo.height()).to_image();
        let (expected, found) =
            (free.detect(&half, 0.6).unwrap(), boxed.detect(&half, 0.6).unwrap());
        assert_eq!(found.len(), expected.len(), "{name}, cut");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.bbox.iou(&expected.bbox) > 0.7, "{name}, cut: {found:?} {expected:?}");
            cut = cut.max(moved(found, expected));
        }
    }
    println!(
        "landmarks moved at most by {inside:.5} of the face's width inside, {cut:.5} where the \
            edge cuts a quarter off"
    );
    assert!(inside < 0.01, "{inside}");
    // If this were small too, the letterbox need not be part of the profile.
    assert!(cut > 0.01, "{cut}");
}

async fn see(vision: &Vision, bytes: Vec<u8>) -> VisionOutput {
    let selection = Selection { faces: Faces::All, min_size_px: 24, min_score: 0.6 };
    vision.run(VisionInput { bytes, selection }, Priority::Bulk).await.unwrap()
}

#[tokio::test]
async fn decoding_ahead_of_a_gpu_finds_the_same_faces_as_one_thread() {
    let model = detector();
    let detector = model.open_on(&DevicePlan::cpu(1), LETTERBOX).unwrap();
    let stage = VisionStage::new(
        ChipExtractor::Detect { detector: Detector::Yunet(detector), pyramid: PYRAMID },
        LIMITS,
    );
    let whole = Vision::Whole(Batcher::start("whole", vec![stage], 1).unwrap());
    let pictures =
        PictureStage { model: model.clone(), size: LETTERBOX, pyramid: PYRAMID, limits: LIMITS };
    let ahead = Vision::Split {
        pictures: Batcher::start("pictures", vec![pictures; 2], 1).unwrap(),
        detector: Batcher::start(
            "detect",
            vec![model.open_on(&gpu_layout(4), LETTERBOX).unwrap()],
            4,
        )
        .unwrap(),
    };
    let mut files: Vec<Vec<u8>> = PHOTOS.iter().map(|name| sample(name)).collect();
    files.push(b"no image".to_vec());
    // All at once, so that batches form.
    let tasks: Vec<_> = files
        .iter()
        .map(|bytes| {
            let (ahead, bytes) = (ahead.clone(), bytes.clone());
            tokio::spawn(async move { see(&ahead, bytes).await })
        })
        .collect();
    for (bytes, task) in files.into_iter().zip(tasks) {
        let (expected, found) = (see(&whole, bytes).await, task.await.unwrap());
        assert_eq!(found.hash, expected.hash);
        let (Ok(expected), Ok(found)) = (&expected.picture, &found.picture) else {
            assert_eq!(found.picture.err(), expected.picture.err());
            continue;
        };
        assert_eq!((found.size, found.faces.len()), (expected.size, expected.faces.len()));
        for (found, expected) in found.faces.iter().zip(&expected.faces) {
            let moved = moved(&found.face, &expected.face);
            assert!(moved < 0.01, "{:?} {:?}", found.face, expected.face);
            let (found, expected) = (found.chip.as_ref().unwrap(), expected.chip.as_ref().unwrap());
            let pixels = found.pixels().iter().zip(expected.pixels());
            assert!(pixels.map(|(a, b)| a.abs_diff(*b)).max() <= Some(2));
        }
    }
}

#[tokio::test]
async fn other_preparations_of_sface_agree_with_the_cpus_on_real_faces() {
    let chips = sample_chips().await;
    let reference = recognise(&app().models(), &DevicePlan::cpu(1), &chips);
    let folder = tempfile::tempdir().unwrap();
    let name = &recogniser_name();
    let models = unprepared(name, folder.path());
    let cpu = recogniser(&app().models()).profile();
    for (target, precision, allowed) in [
        (Target::Gpu, Precision::Float32, HalfError { cosine: 0.999_99, distance: 1e-4 }),
        (Target::Gpu, Precision::Half, HalfError::ALLOWED),
        (Target::Cpu, Precision::Half, HalfError::ALLOWED),
    ] {
        let models = models.prepared_as(Variant { target, precision });
        let prepared = models.prepare(name, &runtime(), false).unwrap();
        let half = prepared[0].preparation.recogniser.as_ref().unwrap().half;
        assert_eq!(half.is_some(), precision == Precision::Half);

        let answers = recognise(&models, &gpu_layout(8), &chips);
        let cosine = answers
            .iter()
            .zip(&reference)
            .map(|(a, b)| a.template.similarity(&b.template))
            .fold(1.0, f64::min);
        let distance = answers
            .iter()
            .zip(&reference)
            .map(|(a, b)| (a.distance / b.distance - 1.0).abs())
            .fold(0.0, f64::max);
        println!(
            "{target:?} {precision:?}: least cosine {cosine:.7}, largest error of the distance \
                {:.4} %",
            100.0 * distance
        );
        assert!(
            cosine > allowed.cosine && distance < allowed.distance,
            "{target:?} {precision:?}: {cosine} {distance}"
        );

        // Half precision is another profile. Another graph with the same precision is not.
        let same = recogniser(&models).profile().0 == cpu.0;
        assert_eq!(same, precision == Precision::Float32);
    }
}
