//! YuNet: faces and five landmarks in an image of any size.
//!
//! Per stride S of 8, 16 and 32 the network gives, for each cell (x, y) of the S-pixel grid, row by row: `cls` and `obj` confidences,
//! `bbox` (centre offset in cells, log size in cells) and `kps` (five landmark offsets in cells). Decoding after Wu, Peng and Yu,
//! "YuNet: A Tiny Millisecond-level Face Detector", 2023.

use std::sync::Arc;

use image::RgbImage;

use super::manifest::{Input, Manifest, Role};
use super::model::{ModelError, Models};
use super::runtime::{Network, Output, Runtime, RuntimeError};
use crate::domain::{BoundingBox, Face, Point};

const STRIDES: [usize; 3] = [8, 16, 32];
/// The network halves the image five times.
const MULTIPLE: usize = 32;
/// Detections that overlap a better one by more than this (intersection over union) are the same face.
const SAME_FACE_IOU: f32 = 0.3;
/// Candidates kept before overlaps are removed, so that a hostile image cannot make that quadratic step long.
const MAX_CANDIDATES: usize = 5000;

/// A detector, read and checked, of which sessions can be opened.
#[derive(Debug, Clone)]
pub struct DetectorModel {
    runtime: Runtime,
    manifest: Manifest,
    bytes: Arc<[u8]>,
}

impl DetectorModel {
    /// Reads the prepared detector `name`.
    ///
    /// # Errors
    /// If there is no such model, or it is not prepared.
    pub fn load(models: &Models, name: &str, runtime: &Runtime) -> Result<Self, ModelError> {
        let manifest = models.manifest(name)?;
        if manifest.role != Role::Detector {
            return Err(ModelError::Role { name: name.to_owned(), wanted: "detector" });
        }
        let (bytes, _) = models.read_prepared(&manifest)?;
        Ok(Self { runtime: runtime.clone(), manifest, bytes: bytes.into() })
    }

    /// Name and digest, for the profile.
    pub fn identity(&self) -> (&str, &str) {
        (&self.manifest.name, &self.manifest.sha256)
    }

    /// Opens a session of `threads` threads and runs it once.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model.
    pub fn open(&self, threads: usize) -> Result<Detector, ModelError> {
        let network = self.runtime.open(&self.manifest.name, &self.bytes, threads)?;
        let mut detector = Detector { network, input: self.manifest.input.clone() };
        detector.detect(&RgbImage::new(64, 64), 0.9)?;
        Ok(detector)
    }
}

/// An open detector, for one thread at a time.
#[derive(Debug)]
pub struct Detector {
    network: Network,
    input: Input,
}

impl Detector {
    /// The faces in `image` with a confidence of at least `min_score`, best first, in the image's pixels.
    ///
    /// # Errors
    /// If the forward pass fails.
    pub fn detect(&mut self, image: &RgbImage, min_score: f32) -> Result<Vec<Face>, RuntimeError> {
        let (width, height, values) = self.network_input(image);
        let names: Vec<String> =
            ["cls", "obj", "bbox", "kps"].iter().flat_map(|kind| STRIDES.map(|stride| format!("{kind}_{stride}"))).collect();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let outputs = self.network.run(&[(&[1, 3, height, width], &values)], &wanted)?;
        let mut candidates = Vec::new();
        for (level, stride) in STRIDES.into_iter().enumerate() {
            let tensors = [0, 1, 2, 3].map(|kind| &outputs[kind * STRIDES.len() + level]);
            decode(tensors, stride, width, height, min_score, &mut candidates)?;
        }
        Ok(suppress_overlaps(candidates))
    }

    /// Planes in the manifest's order, padded with zeros right and below to multiples of 32.
    fn network_input(&self, image: &RgbImage) -> (usize, usize, Vec<f32>) {
        let (image_width, image_height) = (image.width() as usize, image.height() as usize);
        let (width, height) = (image_width.next_multiple_of(MULTIPLE), image_height.next_multiple_of(MULTIPLE));
        let (mean, scale) = (self.input.mean, self.input.scale);
        let mut values = vec![0.0; 3 * width * height];
        for (plane, channel) in values.chunks_exact_mut(width * height).zip(self.input.channels.order()) {
            for (row, pixels) in plane.chunks_exact_mut(width).zip(image.as_raw().chunks_exact(image_width * 3)) {
                for (value, pixel) in row.iter_mut().zip(pixels.as_chunks::<3>().0) {
                    *value = (f32::from(pixel[channel]) - mean) * scale;
                }
            }
        }
        (width, height, values)
    }
}

fn decode(
    [cls, obj, bbox, kps]: [&Output; 4],
    stride: usize,
    width: usize,
    height: usize,
    min_score: f32,
    candidates: &mut Vec<Face>,
) -> Result<(), RuntimeError> {
    let columns = width / stride;
    let cells = columns * (height / stride);
    for (output, depth) in [(cls, 1), (obj, 1), (bbox, 4), (kps, 10)] {
        if output.values.len() != cells * depth {
            let expected = format!("{cells} cells of {depth} values at stride {stride}");
            return Err(RuntimeError::Shape { output: "detector".into(), shape: output.shape.clone(), expected });
        }
    }
    let size = stride as f32;
    let offsets = bbox.values.as_chunks::<4>().0.iter().zip(kps.values.as_chunks::<10>().0);
    for (cell, ((&cls, &obj), (offset, points))) in cls.values.iter().zip(&obj.values).zip(offsets).enumerate() {
        let score = (cls.clamp(0.0, 1.0) * obj.clamp(0.0, 1.0)).sqrt();
        if score.is_nan() || score < min_score {
            continue;
        }
        let (x, y) = ((cell % columns) as f32, (cell / columns) as f32);
        let (box_width, box_height) = (offset[2].exp() * size, offset[3].exp() * size);
        let (centre_x, centre_y) = ((x + offset[0]) * size, (y + offset[1]) * size);
        let bbox =
            BoundingBox { x: centre_x - box_width / 2.0, y: centre_y - box_height / 2.0, width: box_width, height: box_height };
        let landmark = |k: usize| Point { x: (points[2 * k] + x) * size, y: (points[2 * k + 1] + y) * size };
        let landmarks = [0, 1, 2, 3, 4].map(landmark);
        let finite = bbox.area().is_finite() && landmarks.iter().all(|point| point.x.is_finite() && point.y.is_finite());
        if finite {
            candidates.push(Face { bbox, landmarks: Some(landmarks), detector_score: Some(score) });
        }
    }
    Ok(())
}

/// Greedy non-maximum suppression, best first.
fn suppress_overlaps(mut candidates: Vec<Face>) -> Vec<Face> {
    candidates.sort_by(|a, b| b.detector_score.partial_cmp(&a.detector_score).unwrap_or(std::cmp::Ordering::Equal));
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Face> = Vec::new();
    for face in candidates {
        if kept.iter().all(|better| better.bbox.iou(&face.bbox) <= SAME_FACE_IOU) {
            kept.push(face);
        }
    }
    kept
}
