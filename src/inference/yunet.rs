//! YuNet: faces and five landmarks in an image of any size.
//!
//! For each stride S of 8, 16 and 32, and each cell (x, y) of the grid of S pixels, row by row, the
//! network outputs `cls` and `obj` (confidences), `bbox` (offset of the centre in cells, log of the
//! size in cells) and `kps` (offsets of five landmarks in cells). Decoding after Wu, Peng and Yu,
//! "YuNet: A Tiny Millisecond-level Face Detector", 2023.

use std::collections::BTreeMap;
use std::sync::Arc;

use image::RgbImage;

use super::canvas::{Canvas, CanvasSize};
use super::manifest::{InputSpec, Manifest, Role};
use super::model::{ModelError, Models, PreparedFile};
use super::onnx::ModelProto;
use super::plan::{DevicePlan, padded_to};
use super::prepare;
use super::runtime::{InputShape, Network, Output, Runtime, RuntimeError};
use super::test_face;
use crate::domain::{BoundingBox, Face, Point};

/// The smallest face that the detector finds reliably: the shorter side of its box, in pixels of
/// the canvas. Of 230 faces of LFW it found 75 % at this size, 93 % at 24 pixels and none at 10.
pub const SMALLEST_FACE_PX: f32 = 20.0;
const STRIDES: [usize; 3] = [8, 16, 32];
/// Values per cell of `cls`, `obj`, `bbox` and `kps`.
const DEPTHS: [usize; 4] = [1, 1, 4, 10];
/// Detections that overlap a better one by more than this (intersection over union) are the same
/// face.
pub const SAME_FACE_IOU: f32 = 0.3;
/// The most pixels in all canvases of a batch: 16 canvases of 640x640. The device's memory per
/// batch grows with them.
const BATCH_PIXELS: usize = 16 * 640 * 640;
/// The most candidates that enter the quadratic removal of overlaps. A hostile image cannot make
/// that step long.
const MAX_CANDIDATES: usize = 5000;

/// A detector whose prepared file is read and checked. Opens sessions.
#[derive(Debug, Clone)]
pub struct YunetModel {
    runtime: Runtime,
    manifest: Manifest,
    bytes: Arc<[u8]>,
    input_name: String,
    /// The face that it finds in the test image.
    expected: Face,
}

impl YunetModel {
    /// Reads the prepared detector `name`.
    ///
    /// # Errors
    /// If no model has that name, it is not a detector, or it is not prepared.
    pub fn load(models: &Models, name: &str, runtime: &Runtime) -> Result<Self, ModelError> {
        let manifest = models.manifest(name)?;
        if manifest.role != Role::Detector {
            return Err(ModelError::Role { name: name.to_owned(), wanted: "detector" });
        }
        let PreparedFile { model, preparation, .. } = models.read_prepared(&manifest)?;
        let input_name = model
            .graph
            .iter()
            .flat_map(|graph| &graph.input)
            .map(|input| input.name.clone())
            .next();
        let input_name = input_name.unwrap_or_default();
        let expected = preparation.face.ok_or_else(|| test_face::not_recorded(name))?;
        let bytes = bytes_of(model, &manifest.input).into();
        Ok(Self { runtime: runtime.clone(), manifest, bytes, input_name, expected })
    }

    /// The faces that the network `model` finds in the test image, on the CPU.
    pub(super) fn find_test_face(
        runtime: &Runtime,
        manifest: &Manifest,
        model: &ModelProto,
    ) -> Result<Vec<Face>, ModelError> {
        let bytes = bytes_of(model.clone(), &manifest.input);
        let network = runtime.open(&manifest.name, &bytes, 1)?;
        let (input, size) = (manifest.input.clone(), CanvasSize::Image);
        let mut detector =
            Yunet { network, input, recorded: None, size, batches: Vec::new(), batch: 1 };
        Ok(detector.detect(&test_face::image(), test_face::MIN_SCORE)?)
    }

    /// Name and digest, for the profile.
    pub fn identity(&self) -> (&str, &str) {
        (&self.manifest.name, &self.manifest.sha256)
    }

    /// Puts `image` on a canvas of `size`. Needs no session, so other threads do it ahead of the
    /// detector.
    pub fn canvas(&self, image: &RgbImage, size: CanvasSize) -> Canvas {
        Canvas::new(image, &self.manifest.input, size)
    }

    /// Opens a session with `threads` threads on the CPU and runs the self-test on it.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model, or the self-test fails.
    pub fn open(&self, threads: usize) -> Result<Yunet, ModelError> {
        self.open_on(&DevicePlan::cpu(threads), CanvasSize::Image)
    }

    /// Opens a session as `plan` says, for canvases of `size`, and runs the self-test on it. If
    /// shapes are fixed, the self-test runs each of them: before the first job, the device has
    /// reserved its memory, chosen its kernels and given the right answer.
    ///
    /// # Errors
    /// If the device cannot be used, ONNX Runtime refuses the model, or the self-test fails.
    pub fn open_on(&self, plan: &DevicePlan, size: CanvasSize) -> Result<Yunet, ModelError> {
        let squares = size.squares();
        let batches: Vec<(usize, Vec<usize>)> = squares
            .iter()
            .map(|&side| (side, plan.sizes_up_to(BATCH_PIXELS / (side * side))))
            .collect();
        let network =
            self.runtime.open_on(&self.manifest.name, &self.bytes, plan, &self.shapes(&batches))?;
        let input = self.manifest.input.clone();
        let recorded = Some(Box::new((self.manifest.name.clone(), self.expected.clone())));
        let mut detector = Yunet { network, input, recorded, size, batches, batch: plan.batch };
        detector.self_test()?;
        if detector.batches.iter().any(|(_, sizes)| !sizes.is_empty()) {
            self.compare_with_cpu(&mut detector)?;
        }
        Ok(detector)
    }

    /// Compares what `detector` finds with what the CPU finds, in every shape. The rows of a batch
    /// show the face of the test image at different places, so that mixed-up rows show.
    fn compare_with_cpu(&self, detector: &mut Yunet) -> Result<(), ModelError> {
        let mut cpu = self.open(1)?;
        for (side, sizes) in detector.batches.clone() {
            let canvases = test_face::SHIFTS.map(|shift| {
                Canvas::square(&test_face::shifted(side, shift), &self.manifest.input)
            });
            let inputs = canvases.each_ref().map(|canvas| (canvas, test_face::MIN_SCORE));
            let expected = cpu.detect_batch(&inputs)?;
            for items in sizes {
                let rows: Vec<_> = inputs.iter().cycle().take(items).copied().collect();
                let found = detector.detect_batch(&rows)?;
                for (found, expected) in found.iter().zip(expected.iter().cycle()) {
                    test_face::check_same(&self.manifest.name, expected, found)?;
                }
            }
        }
        Ok(())
    }

    /// The shapes of `batches`, batch sizes for each side of a canvas.
    fn shapes(&self, batches: &[(usize, Vec<usize>)]) -> Vec<InputShape> {
        let shape = |items: usize, side: usize| InputShape {
            input: self.input_name.clone(),
            dims: [items, 3, side, side],
        };
        let of_side = |(side, sizes): &(usize, Vec<usize>)| {
            sizes.iter().map(|&items| shape(items, *side)).collect::<Vec<_>>()
        };
        batches.iter().flat_map(of_side).collect()
    }
}

/// The file of a prepared `model`, with pixels as its input.
fn bytes_of(mut model: ModelProto, input: &InputSpec) -> Vec<u8> {
    prepare::read_bytes(&mut model, input);
    prepare::encode(&model)
}

/// An open detector, for one thread at a time.
#[derive(Debug)]
pub struct Yunet {
    network: Network,
    input: InputSpec,
    /// Its name, and the face that it finds in the test image; none while that is recorded.
    recorded: Option<Box<(String, Face)>>,
    size: CanvasSize,
    /// The batch sizes that the device gets, for each side of a square canvas.
    batches: Vec<(usize, Vec<usize>)>,
    /// The most canvases in a forward pass.
    batch: usize,
}

impl Yunet {
    /// Finds the face of the test image and compares it with the recorded one.
    ///
    /// # Errors
    /// If the forward pass fails, or the answer is another one.
    pub fn self_test(&mut self) -> Result<(), ModelError> {
        let found = self.detect(&test_face::image(), test_face::MIN_SCORE)?;
        let recorded = self.recorded.as_deref();
        recorded.map_or(Ok(()), |(name, face)| test_face::check(name, face, &found))
    }

    /// The faces in `image` with a confidence of at least `min_score`, best first, in pixels of the
    /// image.
    ///
    /// # Errors
    /// If the forward pass fails.
    pub fn detect(&mut self, image: &RgbImage, min_score: f32) -> Result<Vec<Face>, RuntimeError> {
        let canvas = Canvas::new(image, &self.input, self.size);
        Ok(self.detect_batch(&[(&canvas, min_score)])?.pop().unwrap_or_default())
    }

    /// The faces on each of `inputs`, which are canvases with the least confidence of their faces.
    /// Canvases of equal size share a forward pass.
    ///
    /// # Errors
    /// If a forward pass fails; no canvas has a result then.
    pub fn detect_batch(
        &mut self,
        inputs: &[(&Canvas, f32)],
    ) -> Result<Vec<Vec<Face>>, RuntimeError> {
        let mut groups: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (index, (canvas, _)) in inputs.iter().enumerate() {
            groups.entry((canvas.width, canvas.height)).or_default().push(index);
        }
        let mut found = vec![Vec::new(); inputs.len()];
        for ((width, height), members) in groups {
            let sizes = self.sizes(width, height);
            let max = sizes.last().copied().unwrap_or(self.batch);
            for members in members.chunks(max) {
                let faces = self.forward(inputs, members, padded_to(&sizes, members.len()))?;
                for (&member, faces) in members.iter().zip(faces) {
                    found[member] = faces;
                }
            }
        }
        Ok(found)
    }

    fn sizes(&self, width: usize, height: usize) -> Vec<usize> {
        let square = self.batches.iter().find(|(side, _)| (*side, *side) == (width, height));
        square.map(|(_, sizes)| sizes.clone()).unwrap_or_default()
    }

    /// One forward pass over the `members` of `inputs`, which have one size, padded to `rows` rows.
    fn forward(
        &mut self,
        inputs: &[(&Canvas, f32)],
        members: &[usize],
        rows: usize,
    ) -> Result<Vec<Vec<Face>>, RuntimeError> {
        let Some(&first) = members.first() else { return Ok(Vec::new()) };
        let (width, height) = (inputs[first].0.width, inputs[first].0.height);
        let joined: Vec<u8>;
        let pixels = if rows == 1 {
            &inputs[first].0.pixels
        } else {
            let mut pixels = Vec::with_capacity(rows * 3 * width * height);
            members.iter().for_each(|&member| pixels.extend_from_slice(&inputs[member].0.pixels));
            pixels.resize(rows * 3 * width * height, 0);
            joined = pixels;
            &joined
        };
        let names: Vec<String> = ["cls", "obj", "bbox", "kps"]
            .iter()
            .flat_map(|kind| STRIDES.map(|stride| format!("{kind}_{stride}")))
            .collect();
        let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        let outputs = self.network.run_bytes(&[rows, 3, height, width], pixels, &wanted)?;
        let faces = |(row, &member): (usize, &usize)| {
            let mut candidates = Vec::new();
            for (level, stride) in STRIDES.into_iter().enumerate() {
                let tensors = [0, 1, 2, 3].map(|kind| &outputs[kind * STRIDES.len() + level]);
                decode(
                    tensors,
                    (row, rows),
                    stride,
                    (width, height),
                    inputs[member].1,
                    &mut candidates,
                )?;
            }
            Ok(suppress_overlaps(candidates))
        };
        members.iter().enumerate().map(faces).collect()
    }
}

/// Decodes row `row` of `rows` at one stride.
fn decode(
    outputs: [&Output; 4],
    (row, rows): (usize, usize),
    stride: usize,
    (width, height): (usize, usize),
    min_score: f32,
    candidates: &mut Vec<Face>,
) -> Result<(), RuntimeError> {
    let columns = width / stride;
    let cells = columns * (height / stride);
    for (output, depth) in outputs.into_iter().zip(DEPTHS) {
        if output.values.len() != rows * cells * depth {
            let expected =
                format!("{rows} rows of {cells} cells of {depth} values at stride {stride}");
            return Err(RuntimeError::Shape {
                output: "detector".into(),
                shape: output.shape.clone(),
                expected,
            });
        }
    }
    let [cls, obj, bbox, kps] = [0, 1, 2, 3].map(|kind| {
        let length = cells * DEPTHS[kind];
        &outputs[kind].values[row * length..][..length]
    });
    let size = stride as f32;
    let offsets = bbox.as_chunks::<4>().0.iter().zip(kps.as_chunks::<10>().0);
    for (cell, ((&cls, &obj), (offset, points))) in cls.iter().zip(obj).zip(offsets).enumerate() {
        let score = (cls.clamp(0.0, 1.0) * obj.clamp(0.0, 1.0)).sqrt();
        if score.is_nan() || score < min_score {
            continue;
        }
        let (x, y) = ((cell % columns) as f32, (cell / columns) as f32);
        let (box_width, box_height) = (offset[2].exp() * size, offset[3].exp() * size);
        let (centre_x, centre_y) = ((x + offset[0]) * size, (y + offset[1]) * size);
        let bbox = BoundingBox {
            x: centre_x - box_width / 2.0,
            y: centre_y - box_height / 2.0,
            width: box_width,
            height: box_height,
        };
        let landmark =
            |k: usize| Point { x: (points[2 * k] + x) * size, y: (points[2 * k + 1] + y) * size };
        let landmarks = [0, 1, 2, 3, 4].map(landmark);
        let finite = bbox.area().is_finite()
            && landmarks.iter().all(|point| point.x.is_finite() && point.y.is_finite());
        if finite {
            candidates.push(Face { bbox, landmarks: Some(landmarks), detector_score: Some(score) });
        }
    }
    Ok(())
}

/// Greedy non-maximum suppression, best first.
fn suppress_overlaps(mut candidates: Vec<Face>) -> Vec<Face> {
    candidates.sort_by(|a, b| {
        b.detector_score.partial_cmp(&a.detector_score).unwrap_or(std::cmp::Ordering::Equal)
    });
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Face> = Vec::new();
    for face in candidates {
        if kept.iter().all(|better| better.bbox.iou(&face.bbox) <= SAME_FACE_IOU) {
            kept.push(face);
        }
    }
    kept
}
