//! Both detectors on real photos: the same faces, the same order of landmarks, and no face where
//! there is none.

use facefleet::app::App;
use facefleet::domain::{AlignmentProfile, Face, Point, Precision};
use facefleet::inference::canvas::CanvasSize;
use facefleet::inference::detector::{Detector, DetectorModel};
use facefleet::inference::manifest::Stage;
use facefleet::inference::model::Models;
use facefleet::inference::prepare::{self, PrepareError, Target, Variant};
use facefleet::vision::{Picture, PixelLimits};
use facefleet::worker::pyramid::Pyramid;
use image::{Rgb, RgbImage, imageops};

use crate::support::graphs::numbers;
use crate::support::{PHOTOS, app, runtime, sample, unprepared};

const YUNET: &str = "yunet-2023mar";
const MTCNN: &str = "mtcnn";
/// The confidences of the two are not comparable: at YuNet's 0.6, MTCNN has false detections in
/// these photos.
const SURE: [(&str, f32); 2] = [(YUNET, 0.6), (MTCNN, 0.95)];

fn open(name: &str) -> Detector {
    let model = DetectorModel::load(&app().models(), name, &runtime(), CanvasSize::Image);
    model.expect("the tests need the prepared models: run `make setup`").open(1).unwrap()
}

/// A sample photo as the detectors' input.
fn photo(name: &str) -> RgbImage {
    let picture = Picture::decode(&sample(name), PixelLimits { max_pixels: 100_000_000 }).unwrap();
    let pyramid = Pyramid { max_side: 640, fine_pixels: None, tile: None };
    picture.upright(pyramid.levels(picture.size(), 24)[0].size)
}

fn distance(a: Point, b: Point) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// Mean distance of the landmarks, in distances between the eyes.
fn apart(a: &Face, b: &Face) -> f32 {
    let (a, b) = (a.landmarks.unwrap(), b.landmarks.unwrap());
    let sum: f32 = a.iter().zip(b).map(|(&a, b)| distance(a, b)).sum();
    sum / 5.0 / distance(a[0], a[1])
}

fn using(detector: &str) -> App {
    let mut settings = app().settings().clone();
    settings.models.detector = detector.to_owned();
    App::new(settings)
}

#[test]
fn mtcnn_finds_the_faces_that_yunet_finds() {
    let [mut yunet, mut mtcnn] = SURE.map(|(name, _)| open(name));
    for name in PHOTOS {
        let image = photo(name);
        let theirs = yunet.detect(&image, SURE[0].1).unwrap();
        let ours = mtcnn.detect(&image, SURE[1].1).unwrap();
        assert_eq!((theirs.len(), ours.len()), (1, 1), "{name}");
        let (iou, apart) = (theirs[0].bbox.iou(&ours[0].bbox), apart(&theirs[0], &ours[0]));
        println!(
            "{name}: IoU {iou:.3}, landmarks {apart:.3} of the distance between the eyes apart"
        );
        assert!(iou > 0.5, "{name}: IoU {iou}");
        assert!(apart < 0.12, "{name}: landmarks {apart} of the distance between the eyes apart");
    }
}

#[test]
fn the_subjects_right_eye_comes_first_and_the_mouth_is_below() {
    for (name, sure) in SURE {
        let faces = open(name).detect(&photo("obama.jpg"), sure).unwrap();
        let [right_eye, left_eye, nose, right_mouth, left_mouth] = faces[0].landmarks.unwrap();
        assert!(right_eye.x < nose.x && nose.x < left_eye.x, "{name}: {faces:?}");
        assert!(right_mouth.x < nose.x && nose.x < left_mouth.x, "{name}: {faces:?}");
        assert!(right_eye.y < nose.y && nose.y < right_mouth.y, "{name}: {faces:?}");
    }
}

#[test]
fn every_face_of_several_is_found_best_first() {
    // Two people, and one of them again at half size.
    let (left, right) = (photo("biden.jpg"), photo("obama.jpg"));
    let small = imageops::thumbnail(&right, right.width() / 2, right.height() / 2);
    let mut group = RgbImage::new(
        left.width() + right.width() + small.width(),
        left.height().max(right.height()),
    );
    let places = [0, left.width(), left.width() + right.width()];
    for (image, x) in [&left, &right, &small].into_iter().zip(places) {
        imageops::replace(&mut group, image, i64::from(x), 0);
    }
    for (name, sure) in SURE {
        let faces = open(name).detect(&group, sure).unwrap();
        let scores: Vec<f32> = faces.iter().map(|face| face.detector_score.unwrap()).collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{name}: {scores:?}");
        let mut columns: Vec<usize> = faces
            .iter()
            .map(|face| {
                places
                    .iter()
                    .filter(|&&place| place as f32 <= face.bbox.x + face.bbox.width / 2.0)
                    .count()
            })
            .collect();
        columns.sort_unstable();
        assert_eq!(columns, [1, 2, 3], "{name}: {faces:?}");
    }
}

#[test]
fn no_face_is_found_where_there_is_none() {
    let flat = RgbImage::from_pixel(200, 150, Rgb([128; 3]));
    let noise = numbers(5, 300 * 300 * 3).into_iter().map(|value| (value * 1000.0) as u8).collect();
    let noise = RgbImage::from_raw(300, 300, noise).unwrap();
    for (name, sure) in SURE {
        let mut detector = open(name);
        for (what, image) in [("a cat", &photo("chelsea.png")), ("grey", &flat), ("noise", &noise)]
        {
            assert_eq!(detector.detect(image, sure).unwrap(), [], "{name}: {what}");
        }
    }
}

#[test]
fn images_smaller_than_a_face_or_a_line_are_no_error() {
    for (name, sure) in SURE {
        let mut detector = open(name);
        for (width, height) in [(1, 1), (1, 640), (640, 2), (19, 19), (20, 20), (33, 640)] {
            let image = RgbImage::from_pixel(width, height, Rgb([90, 120, 150]));
            assert_eq!(detector.detect(&image, sure).unwrap(), [], "{name}: {width}x{height}");
        }
    }
}

#[test]
fn a_least_confidence_drops_faces_and_changes_none() {
    for (name, sure) in SURE {
        let mut detector = open(name);
        let image = photo("obama.jpg");
        let all = detector.detect(&image, 0.3).unwrap();
        let kept: Vec<Face> =
            all.into_iter().filter(|face| face.detector_score.unwrap() >= sure).collect();
        assert_eq!(detector.detect(&image, sure).unwrap(), kept, "{name}");
    }
}

#[test]
fn the_profile_names_the_detector() {
    let profiles = [YUNET, MTCNN].map(|name| using(name).profile(false).unwrap());
    assert_ne!(profiles[0].id(), profiles[1].id());
    let AlignmentProfile::Similarity { detector } = &profiles[1].alignment else {
        panic!("{:?}", profiles[1])
    };
    assert_eq!(detector.name, MTCNN);
    assert_eq!(detector.sha256, app().models().manifest(MTCNN).unwrap().sha256);
    assert_eq!(detector.max_side, 640);
}

#[test]
fn a_letterbox_is_refused_by_the_detector_that_has_none() {
    let mut settings = using(MTCNN).settings().clone();
    settings.detector.letterbox = true;
    let app = App::new(settings);
    // The profile is refused too: it must not promise a letterbox that the detector does not have.
    for error in [app.profile(false).unwrap_err(), app.processor(&[], false).err().unwrap()] {
        let error = format!("{error:#}");
        assert!(
            error.contains("'mtcnn'") && error.contains("FACEFLEET__DETECTOR__LETTERBOX"),
            "{error}"
        );
    }
    assert!(app.profile(true).is_ok(), "chips need no detector");
}

#[test]
fn a_cascade_is_prepared_once_for_all_devices() {
    let folder = tempfile::tempdir().unwrap();
    let models = unprepared(MTCNN, folder.path());
    let written = |models: &Models| -> Vec<bool> {
        models
            .prepare(MTCNN, &runtime(), false)
            .unwrap()
            .iter()
            .map(|network| network.written)
            .collect()
    };
    let load = |models: &Models| DetectorModel::load(models, MTCNN, &runtime(), CanvasSize::Image);
    let error = load(&models).unwrap_err().to_string();
    assert!(error.contains("`facefleet model prepare mtcnn`"), "{error}");
    assert_eq!(written(&models), [true; 3]);
    let gpu = models.prepared_as(Variant { target: Target::Gpu, precision: Precision::Half });
    assert_eq!(written(&gpu), [false; 3]);
    load(&gpu).unwrap().open(1).unwrap();
}

#[tokio::test]
async fn a_face_aligned_by_either_detector_is_the_same_person_of_like_quality() {
    let mut found = Vec::new();
    for (name, _) in SURE {
        let processor = using(name).processor(&[], false).unwrap();
        let analysis = processor.analyse(sample("obama.jpg")).await.unwrap();
        found.push(analysis.outcome.faces()[0].recognition.clone().unwrap());
    }
    let cosine = found[0].template.similarity(&found[1].template);
    println!("cosine {cosine:.4}, scores {:.4} and {:.4}", found[0].score, found[1].score);
    assert!(cosine > 0.9, "{cosine}");
    assert!(
        (found[0].score - found[1].score).abs() < 0.01,
        "{} {}",
        found[0].score,
        found[1].score
    );
}

#[test]
fn a_network_in_the_wrong_place_of_a_cascade_is_refused() {
    let models = app().models();
    let mtcnn = models.manifest(MTCNN).unwrap();
    let [_, refinement, _] = mtcnn.networks() else { panic!("{mtcnn:?}") };
    let published = models.published(refinement).unwrap();
    let error = prepare::prepare_stage(&published, Stage::Output).unwrap_err();
    assert!(
        matches!(&error, PrepareError::Mismatch { .. }) && error.to_string().contains("48"),
        "{error}"
    );
    let yunet = models.published(&models.manifest(YUNET).unwrap()).unwrap();
    let error = prepare::prepare_stage(&yunet, Stage::Proposal).unwrap_err();
    assert!(error.to_string().contains("columns"), "{error}");
}
