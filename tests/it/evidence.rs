//! Acceptance test of the method on real faces: quality falls with each step of degradation, and
//! discarding by quality lowers the false non-match rate.
#![allow(clippy::print_stdout, reason = "prints the measured numbers for --nocapture")]

use std::io::Cursor;

use facefleet::domain::{CHIP_SIDE, Chip};
use facefleet::evaluate::evaluation::{Bootstrap, evaluate};
use facefleet::evaluate::pairs::Comparisons;
use facefleet::evaluate::samples::{CLOSED_FORM, Measure, random_measure};
use facefleet::inference::recogniser::{Estimator, NetworkAnswer, Recogniser, RecogniserModel};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use ndarray::Array2;

use crate::support::graphs::numbers;
use crate::support::{app, runtime, sample};

/// Photos and their subjects. Without `32bit.png`, a copy of `obama2.jpg`.
const PHOTOS: [(&str, u32); 5] = [
    ("obama.jpg", 0),
    ("obama2.jpg", 0),
    ("obama3.jpg", 0),
    ("biden.jpg", 1),
    ("astronaut.png", 2),
];
/// Steps of each degradation. The last one hides the identity.
const STEPS: usize = 4;
const SIDE: u32 = CHIP_SIDE as u32;

type Degrade = fn(&RgbImage, usize) -> RgbImage;

const DEGRADATIONS: [(&str, Degrade); 5] = [
    ("blur", blurred),
    ("downscale", downscaled),
    ("noise", noisy),
    ("occlusion", occluded),
    ("JPEG", compressed),
];

fn blurred(face: &RgbImage, step: usize) -> RgbImage {
    imageops::blur(face, [1.0, 2.0, 4.0, 8.0][step])
}

fn downscaled(face: &RgbImage, step: usize) -> RgbImage {
    let side = [48, 28, 16, 8][step];
    let small = imageops::resize(face, side, side, FilterType::Triangle);
    imageops::resize(&small, SIDE, SIDE, FilterType::CatmullRom)
}

fn noisy(face: &RgbImage, step: usize) -> RgbImage {
    let strength = [20.0, 50.0, 100.0, 200.0][step];
    let noise = numbers(9, Chip::BYTES);
    let pixels = face
        .as_raw()
        .iter()
        .zip(noise)
        .map(|(&value, noise)| (f32::from(value) + strength * noise) as u8);
    RgbImage::from_raw(SIDE, SIDE, pixels.collect()).unwrap()
}

/// A grey bar over the lower part of the face, higher with each step.
fn occluded(face: &RgbImage, step: usize) -> RgbImage {
    let from = [84, 64, 44, 20][step];
    let mut face = face.clone();
    face.enumerate_pixels_mut()
        .filter(|(_, y, _)| *y >= from)
        .for_each(|(_, _, pixel)| *pixel = Rgb([96; 3]));
    face
}

fn compressed(face: &RgbImage, step: usize) -> RgbImage {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(Cursor::new(&mut bytes), [40, 15, 6, 1][step])
        .encode_image(face)
        .unwrap();
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}

async fn faces() -> Vec<RgbImage> {
    let processor =
        app().processor(&[], false).expect("the tests need the prepared models: run `make setup`");
    let mut faces = Vec::new();
    for (photo, _) in PHOTOS {
        let chip = processor.analyse(sample(photo)).await.unwrap().chips.swap_remove(0).unwrap();
        faces.push(RgbImage::from_raw(SIDE, SIDE, chip.pixels().to_vec()).unwrap());
    }
    faces
}

fn recogniser() -> Recogniser {
    let app = app();
    let name = &app.settings().models.recogniser;
    RecogniserModel::load(&app.models(), name, &runtime(), Estimator::ClosedForm)
        .unwrap()
        .open(2)
        .unwrap()
}

fn recognise(recogniser: &mut Recogniser, faces: &[RgbImage]) -> Vec<NetworkAnswer> {
    let chips: Vec<Chip> =
        faces.iter().map(|face| Chip::new(face.clone().into_raw()).unwrap()).collect();
    let batches = chips.chunks(8).flat_map(|batch| recogniser.recognise(batch).unwrap());
    batches.map(Option::unwrap).collect()
}

#[tokio::test]
async fn quality_falls_with_every_degradation_and_discarding_by_it_beats_chance() {
    let faces = faces().await;
    let mut recogniser = recogniser();
    let mut recognitions = recognise(&mut recogniser, &faces);
    let mut subjects: Vec<u32> = PHOTOS.iter().map(|(_, subject)| *subject).collect();
    let mean = |scores: &[NetworkAnswer]| {
        scores.iter().map(|face| face.score).sum::<f64>() / scores.len() as f64
    };
    let sharp = mean(&recognitions);
    for (name, degrade) in DEGRADATIONS {
        let mut before = sharp;
        for step in 0..STEPS {
            let degraded: Vec<RgbImage> = faces.iter().map(|face| degrade(face, step)).collect();
            let found = recognise(&mut recogniser, &degraded);
            let now = mean(&found);
            println!("{name}, step {step}: mean score {now:.4}, before {before:.4}");
            assert!(now < before, "{name}, step {step}: the mean score is {now}, and was {before}");
            before = now;
            recognitions.extend(found);
            subjects.extend(PHOTOS.iter().map(|(_, subject)| *subject));
        }
    }

    let dimension = recognitions[0].template.as_slice().len();
    let templates =
        recognitions.iter().flat_map(|face| face.template.as_slice().to_vec()).collect();
    let templates = Array2::from_shape_vec((recognitions.len(), dimension), templates).unwrap();
    let closed = Measure {
        name: CLOSED_FORM.into(),
        values: recognitions.iter().map(|face| Some(face.score)).collect(),
    };
    let random = random_measure(recognitions.len(), 1);
    let comparisons = Comparisons::all(&templates.view(), &subjects, 1e-2, 2).unwrap();
    let bootstrap = Bootstrap { replicates: 0, seed: 1, threads: 1 };
    let points = evaluate(&comparisons, &subjects, &[closed, random], &[1e-2], bootstrap);
    let at = &points[0];
    let [closed, random] = [0, 1].map(|measure| at.measures[measure].paucs[1].unwrap().value);
    println!(
        "{} photos, {} mated comparisons, FNMR {:.3}: pAUC {closed:.3}, random {random:.3}",
        subjects.len(),
        comparisons.mated().len(),
        at.fnmr.value
    );
    assert!(at.fnmr.value > 0.05, "the degraded photos should be hard to match: {}", at.fnmr.value);
    assert!(closed < 0.9 && closed < random - 0.05, "pAUC {closed}, random {random}");
}
