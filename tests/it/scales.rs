//! Faces of every size are found: small faces in large images, faces that fill the picture, and
//! faces in a panorama. The smallest size that is searched for is reported. The images are composed
//! from the sample photos.
#![allow(clippy::print_stdout, reason = "--nocapture shows the measured numbers")]

use facefleet::domain::{BoundingBox, Face};
use facefleet::worker::Processor;
use facefleet::worker::analysis::Analysis;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::accuracy::jpeg;
use crate::support::{PHOTOS, app, sample};

fn processor() -> Processor {
    app().processor(&[], false).expect("the tests need the prepared models: run `make setup`")
}

async fn analyse(processor: &Processor, image: &RgbImage) -> Analysis {
    processor.analyse(jpeg(image)).await.unwrap()
}

async fn faces(processor: &Processor, image: &RgbImage) -> Vec<Face> {
    analyse(processor, image)
        .await
        .outcome
        .faces()
        .iter()
        .map(|result| result.face.clone())
        .collect()
}

/// A photo's face with a margin of `margin` times its size on each side.
struct Head {
    image: RgbImage,
    /// The face in the image.
    bbox: BoundingBox,
}

async fn heads(processor: &Processor, margin: f32) -> Vec<Head> {
    let mut heads = Vec::new();
    for name in PHOTOS {
        let photo = image::load_from_memory(&sample(name)).unwrap().into_rgb8();
        let bbox = faces(processor, &photo).await[0].bbox;
        let (left, top) =
            ((bbox.x - margin * bbox.width).max(0.0), (bbox.y - margin * bbox.height).max(0.0));
        let (width, height) =
            (bbox.width * (1.0 + 2.0 * margin), bbox.height * (1.0 + 2.0 * margin));
        let image =
            imageops::crop_imm(&photo, left as u32, top as u32, width as u32, height as u32)
                .to_image();
        heads.push(Head { image, bbox: BoundingBox { x: bbox.x - left, y: bbox.y - top, ..bbox } });
    }
    heads
}

/// Puts `head` into `canvas` with its upper left corner at `(x, y)` and its face scaled to a
/// shorter side of `side` pixels. Returns the position of the face.
fn put(canvas: &mut RgbImage, head: &Head, (x, y): (u32, u32), side: f32) -> BoundingBox {
    let scale = side / head.bbox.shorter_side();
    let size = |pixels: u32| (pixels as f32 * scale).round() as u32;
    let small = imageops::resize(
        &head.image,
        size(head.image.width()),
        size(head.image.height()),
        FilterType::Triangle,
    );
    imageops::replace(canvas, &small, x.into(), y.into());
    let BoundingBox { x: left, y: top, width, height } = head.bbox;
    BoundingBox {
        x: x as f32 + left * scale,
        y: y as f32 + top * scale,
        width: width * scale,
        height: height * scale,
    }
}

fn meadow(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let texture = ((x / 7 + y / 11) % 5) as u8 * 4;
        Rgb([
            90 + texture,
            120 + texture + (y * 40 / height) as u8,
            70 + texture + (x * 40 / width) as u8,
        ])
    })
}

fn found(faces: &[Face], positions: &[BoundingBox]) -> usize {
    positions
        .iter()
        .filter(|position| faces.iter().any(|face| face.bbox.iou(position) > 0.4))
        .count()
}

#[tokio::test]
async fn of_40_faces_of_a_large_photo_38_are_found() {
    let processor = processor();
    let heads = heads(&processor, 0.4).await;
    let mut photo = meadow(6000, 4000);
    let positions: Vec<BoundingBox> = (0..40)
        .map(|number| {
            let (column, row) = (number % 8, number / 8);
            let side = 100.0 + 30.0 * (number as f32 / 39.0);
            put(
                &mut photo,
                &heads[number as usize % heads.len()],
                (200 + 720 * column, 200 + 760 * row),
                side,
            )
        })
        .collect();
    let faces = faces(&processor, &photo).await;
    println!("{} of 40 faces found, {} in all", found(&faces, &positions), faces.len());
    assert!(
        found(&faces, &positions) >= 38 && faces.len() <= 40,
        "{} of {}",
        found(&faces, &positions),
        faces.len()
    );
}

#[tokio::test]
async fn two_small_faces_of_a_panorama_are_found() {
    let processor = processor();
    let heads = heads(&processor, 0.4).await;
    let mut panorama = meadow(8000, 500);
    let positions = [
        put(&mut panorama, &heads[0], (900, 100), 90.0),
        put(&mut panorama, &heads[1], (6700, 200), 90.0),
    ];
    let faces = faces(&processor, &panorama).await;
    assert_eq!((found(&faces, &positions), faces.len()), (2, 2), "{faces:?}");
}

#[tokio::test]
async fn a_face_that_fills_the_picture_is_found_at_every_size() {
    let processor = processor();
    for margin in [0.0, -0.08, -0.15] {
        for (number, head) in heads(&processor, margin).await.iter().enumerate() {
            let longest = head.image.width().max(head.image.height()) as f32;
            for side in [320.0, 640.0, 1280.0, 2000.0] {
                let size = |pixels: u32| (pixels as f32 * side / longest).round() as u32;
                let (width, height) = (size(head.image.width()), size(head.image.height()));
                let crop = imageops::resize(&head.image, width, height, FilterType::CatmullRom);
                let faces = faces(&processor, &crop).await;
                assert_eq!(faces.len(), 1, "photo {number}, margin {margin}, {side} px: {faces:?}");
                assert!(
                    faces[0].bbox.area() > 0.3 * (width * height) as f32,
                    "photo {number}, {side} px: {faces:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn portraits_and_pictures_without_a_face_gain_none() {
    let processor = processor();
    for name in PHOTOS.into_iter().chain(["chelsea.png"]) {
        let photo = image::load_from_memory(&sample(name)).unwrap().into_rgb8();
        for longest in [640, 1280, 3000] {
            let scale = f64::from(longest) / f64::from(photo.width().max(photo.height()));
            let size = |pixels: u32| (f64::from(pixels) * scale).round() as u32;
            let photo = imageops::resize(
                &photo,
                size(photo.width()),
                size(photo.height()),
                FilterType::CatmullRom,
            );
            let expected = usize::from(name != "chelsea.png");
            assert_eq!(faces(&processor, &photo).await.len(), expected, "{name} at {longest} px");
        }
    }
}

#[tokio::test]
async fn the_smallest_searched_face_is_reported() {
    let processor = processor();
    for ((width, height), smallest) in
        [((300, 200), 20.0), ((1200, 1000), 20.0), ((4000, 3000), 61.97)]
    {
        let reported = analyse(&processor, &meadow(width, height)).await.smallest_face_px.unwrap();
        assert!((reported - smallest).abs() < 0.01, "{width}x{height}: {reported}");
    }
}
