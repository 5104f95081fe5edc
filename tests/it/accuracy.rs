//! The real networks on real photos: the closed form compared with the published estimate, batches
//! with single faces, rotated photos with upright ones, and people with each other.
#![allow(clippy::print_stdout, reason = "prints the measured numbers for --nocapture")]

use std::io::Cursor;

use facefleet::domain::{CHIP_SIDE, Chip, FaceResult, Mapping, Recognition};
use facefleet::inference::prepare::{self, Outputs, Target, names, prepare_recogniser};
use facefleet::inference::recogniser::{Estimator, NetworkAnswer, RecogniserModel};
use facefleet::quality::closed_form::ClosedForm;
use facefleet::quality::quality;
use facefleet::worker::Processor;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::support::graphs::numbers;
use crate::support::{PHOTOS, app, runtime, sample};

fn processor() -> Processor {
    app().processor(&[], false).expect("the tests need the prepared models: run `make setup`")
}

async fn analyse(processor: &Processor, bytes: Vec<u8>) -> Vec<(FaceResult, Chip)> {
    let analysis = processor.analyse(bytes).await.unwrap();
    let chips = analysis.chips.into_iter().map(Option::unwrap);
    analysis.outcome.faces().iter().cloned().zip(chips).collect()
}

async fn primary(processor: &Processor, bytes: Vec<u8>) -> (Recognition, Chip) {
    let (face, chip) = analyse(processor, bytes).await.swap_remove(0);
    (face.recognition.unwrap(), chip)
}

pub async fn sample_chips() -> Vec<Chip> {
    let processor = processor();
    let mut chips = Vec::new();
    for photo in PHOTOS {
        chips.push(primary(&processor, sample(photo)).await.1);
    }
    chips
}

fn as_image(chip: &Chip) -> RgbImage {
    RgbImage::from_raw(CHIP_SIDE as u32, CHIP_SIDE as u32, chip.pixels().to_vec()).unwrap()
}

fn blurred(chip: &Chip, sigma: f32) -> Chip {
    Chip::new(imageops::blur(&as_image(chip), sigma).into_raw()).unwrap()
}

fn downscaled(chip: &Chip, side: u32) -> Chip {
    let small = imageops::resize(&as_image(chip), side, side, FilterType::Triangle);
    Chip::new(
        imageops::resize(&small, CHIP_SIDE as u32, CHIP_SIDE as u32, FilterType::CatmullRom)
            .into_raw(),
    )
    .unwrap()
}

fn noisy(chip: &Chip, seed: u64, strength: f32) -> Chip {
    let noise = numbers(seed, Chip::BYTES);
    let pixels = chip
        .pixels()
        .iter()
        .zip(noise)
        .map(|(&value, noise)| (f32::from(value) + strength * noise) as u8);
    Chip::new(pixels.collect()).unwrap()
}

/// Real faces, sharp and degraded, over the whole range of quality.
async fn faces() -> Vec<Chip> {
    let mut all = Vec::new();
    for (i, chip) in sample_chips().await.into_iter().enumerate() {
        all.push(blurred(&chip, [1.5, 3.0][i % 2]));
        all.push(if i % 2 == 0 { downscaled(&chip, 24) } else { noisy(&chip, i as u64, 60.0) });
        all.push(chip);
    }
    all
}

fn recognise(estimator: Estimator, chips: &[Chip]) -> Vec<NetworkAnswer> {
    let app = app();
    let model = RecogniserModel::load(
        &app.models(),
        &app.settings().models.recogniser,
        &runtime(),
        estimator,
    )
    .unwrap();
    let recognitions = model.open(1).unwrap().recognise(chips).unwrap();
    recognitions.into_iter().map(Option::unwrap).collect()
}

/// `par` is a small part of the distance, so its product with `A` may be one of 8-bit integers.
#[tokio::test]
async fn the_product_of_8_bit_integers_changes_no_distance_by_1e_5() {
    let chips = faces().await;
    let app = app();
    let models = app.models();
    let manifest = models.manifest(&app.settings().models.recogniser).unwrap();
    let prepared = prepare_recogniser(
        &models.published(&manifest).unwrap(),
        &manifest,
        Target::Cpu,
        Outputs::Quality,
    )
    .unwrap();
    let operators =
        prepared.model.graph.iter().flat_map(|graph| &graph.node).map(|node| node.op_type.as_str());
    assert_eq!(operators.filter(|&operator| operator == "MatMulInteger").count(), 1);
    let closed_form = ClosedForm::new(&prepared.head);
    let mut network = runtime().open("bytes", &prepare::encode(&prepared.model), 1).unwrap();
    let mut worst = 0.0_f64;
    for chip in &chips {
        let input = manifest.input.values(std::slice::from_ref(chip));
        let shape = [1, 3, CHIP_SIDE, CHIP_SIDE];
        let outputs =
            network.run(&[(&shape, &input)], &[names::DISTANCE, names::FEATURES]).unwrap();
        let expected = closed_form.distance(outputs[1].values.as_slice().into());
        worst = worst.max((f64::from(outputs[0].values[0]) / expected - 1.0).abs());
    }
    println!("{} faces: the largest relative error of the distance is {worst:.2e}", chips.len());
    assert!(worst < 1e-5, "{worst}");
}

#[tokio::test]
async fn the_closed_form_agrees_with_2000_masks_on_real_faces() {
    const SEEDS: [u64; 4] = [1, 2, 3, 4];
    let chips = faces().await;
    let closed = recognise(Estimator::ClosedForm, &chips);
    // All faces of a seed share its masks, so their errors are correlated: a mean needs several
    // seeds.
    let share = chips.len() / SEEDS.len();
    let sampled: Vec<NetworkAnswer> = std::thread::scope(|scope| {
        let sample = |(chips, seed)| {
            scope.spawn(move || recognise(Estimator::Sampled { passes: 2000, seed }, chips))
        };
        let threads: Vec<_> = chips.chunks(share).zip(SEEDS).map(sample).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(sampled.len(), chips.len());
    let errors: Vec<f64> =
        closed.iter().zip(&sampled).map(|(c, s)| c.distance / s.distance - 1.0).collect();
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / errors.len() as f64;
    for (seed, errors) in SEEDS.iter().zip(errors.chunks(share)) {
        println!("seed {seed}: {:+.4} %", 100.0 * errors.iter().sum::<f64>() / errors.len() as f64);
    }
    let signed = mean(&mut errors.iter().copied());
    let absolute = mean(&mut errors.iter().map(|error| error.abs()));
    let distances = closed.iter().map(|face| face.distance);
    let (least, most) =
        distances.fold((f64::MAX, 0.0_f64), |(least, most), d| (least.min(d), most.max(d)));
    println!(
        "{} faces, d {least:.3} to {most:.3}: mean error {:+.4} %, mean absolute error {:.4} %",
        chips.len(),
        100.0 * signed,
        100.0 * absolute
    );
    assert!(most > 1.2 * least, "the faces should differ in quality: {least} to {most}");
    assert!(signed.abs() < 0.001, "mean error {signed}");
    assert!(absolute < 0.003, "mean absolute error {absolute}");
}

#[tokio::test]
async fn sampling_with_one_seed_is_repeatable() {
    let chips = sample_chips().await;
    let distances = |seed| {
        let faces = recognise(Estimator::Sampled { passes: 20, seed }, &chips);
        faces.into_iter().map(|face| face.distance).collect::<Vec<_>>()
    };
    let first = distances(7);
    assert_eq!(first, distances(7));
    assert_ne!(first, distances(8));
}

#[tokio::test]
async fn a_batch_of_faces_gives_the_results_of_single_faces() {
    let chips = sample_chips().await;
    for estimator in [Estimator::ClosedForm, Estimator::Sampled { passes: 20, seed: 7 }] {
        let batch = recognise(estimator, &chips);
        for (chip, of_batch) in chips.iter().zip(&batch) {
            let single = recognise(estimator, std::slice::from_ref(chip)).remove(0);
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

#[tokio::test]
async fn two_photos_of_a_person_are_more_similar_than_two_persons() {
    let processor = processor();
    let mut faces = Vec::new();
    for photo in ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"] {
        faces.push(primary(&processor, sample(photo)).await.0.template);
    }
    let same = faces[0].similarity(&faces[1]);
    let others = [
        faces[0].similarity(&faces[2]),
        faces[0].similarity(&faces[3]),
        faces[1].similarity(&faces[2]),
    ];
    println!("same person {same:.3}, others {others:.3?}");
    assert!(others.iter().all(|other| same > other + 0.2), "{same} {others:?}");
}

#[tokio::test]
async fn a_blurred_face_has_lower_quality_than_the_sharp_one() {
    let chips = sample_chips().await;
    let blurry: Vec<Chip> = chips.iter().map(|chip| blurred(chip, 4.0)).collect();
    let sharp = recognise(Estimator::ClosedForm, &chips);
    let blurry = recognise(Estimator::ClosedForm, &blurry);
    let published = Mapping::Logistic { alpha: 130.0, r: 0.88 };
    for ((photo, sharp), blurry) in PHOTOS.iter().zip(&sharp).zip(&blurry) {
        let [high, low] = [sharp, blurry].map(|face| quality(face.score, &published));
        println!("{photo}: {high} ({:.4}), blurred {low} ({:.4})", sharp.score, blurry.score);
        assert!(blurry.score < sharp.score, "{photo}");
        assert!(low < high || high == 0, "{photo}");
    }
}

pub fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 95).encode_image(image).unwrap();
    bytes
}

/// `jpeg` with an EXIF block that contains only this orientation.
fn with_orientation(jpeg: &[u8], orientation: u16) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    for field in [0x0112_u16, 3, 1, 0, orientation, 0, 0, 0] {
        exif.extend(field.to_le_bytes());
    }
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &exif, &jpeg[2..]].concat()
}

#[tokio::test]
async fn a_photo_rotated_by_its_orientation_has_the_quality_of_the_upright_one() {
    let processor = processor();
    for photo in ["obama.jpg", "astronaut.png", "biden.jpg"] {
        let upright = image::load_from_memory(&sample(photo)).unwrap().into_rgb8();
        let (expected, _) = primary(&processor, jpeg(&upright)).await;
        let turned = [
            (3, imageops::rotate180(&upright)),
            (6, imageops::rotate270(&upright)),
            (8, imageops::rotate90(&upright)),
        ];
        for (orientation, stored) in turned {
            let (face, _) =
                primary(&processor, with_orientation(&jpeg(&stored), orientation)).await;
            let cosine = face.template.similarity(&expected.template);
            let (quality, wanted) = (face.quality, expected.quality);
            println!(
                "{photo}, orientation {orientation}: quality {quality} ({wanted}), cosine \
                    {cosine:.4}"
            );
            assert!(
                quality.abs_diff(wanted) <= 3,
                "{photo}, orientation {orientation}: {quality} {wanted}"
            );
            assert!(cosine > 0.99, "{photo}, orientation {orientation}: {cosine}");
        }
    }
}

#[tokio::test]
async fn a_photo_of_twenty_faces_gives_twenty_scored_faces() {
    const TILE: u32 = 150;
    let processor = processor();
    let mut montage = RgbImage::from_pixel(5 * TILE, 4 * TILE, Rgb([90; 3]));
    let mut tiles = Vec::new();
    for photo in ["32bit.png", "astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg"] {
        let bytes = sample(photo);
        let picture = image::load_from_memory(&bytes).unwrap().into_rgb8();
        let bbox = analyse(&processor, bytes).await.swap_remove(0).0.face.bbox;
        // The face with a margin of half its size.
        let side = (2.0 * bbox.width.max(bbox.height)) as u32;
        let corner =
            |start: f32, size: f32| (start + size / 2.0 - side as f32 / 2.0).max(0.0) as u32;
        let tile = imageops::crop_imm(
            &picture,
            corner(bbox.x, bbox.width),
            corner(bbox.y, bbox.height),
            side,
            side,
        );
        tiles.push(imageops::resize(&tile.to_image(), TILE, TILE, FilterType::Triangle));
    }
    for (i, corner) in (0..20_u32).map(|i| (i, (i % 5 * TILE, i / 5 * TILE))) {
        imageops::replace(
            &mut montage,
            &tiles[i as usize % tiles.len()],
            corner.0.into(),
            corner.1.into(),
        );
    }
    let mut png = Cursor::new(Vec::new());
    montage.write_to(&mut png, ImageFormat::Png).unwrap();
    let faces = analyse(&processor, png.into_inner()).await;
    assert_eq!(faces.len(), 20);
    for (face, _) in &faces {
        assert!(face.recognition.is_some());
        assert!(face.face.bbox.width > 40.0, "{:?}", face.face.bbox);
    }
}
