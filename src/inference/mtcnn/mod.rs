//! MTCNN: faces and five landmarks by a cascade of three small networks, after Zhang, Zhang, Li and
//! Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", 2016
//! (arXiv 1604.02878).
//!
//! P-Net scans the image at many scales and proposes boxes. R-Net sees each box at 24 x 24 pixels
//! and refuses most. O-Net sees the remaining ones at 48 x 48 pixels and places the landmarks. Each
//! network's offsets correct the boxes, and boxes that overlap a better one are dropped. SER-FIQ's
//! authors aligned faces with MTCNN; facefleet has it for parity with their results.

mod area;
mod boxes;

use std::sync::Arc;

use image::RgbImage;

use self::area::{Depth, append_resampled};
use self::boxes::{Candidate, Overlap, Region, suppress};
use super::manifest::{InputSpec, Manifest};
use super::model::{ModelError, Models};
use super::prepare::stage_outputs::{CONFIDENCE, LANDMARKS, OFFSETS};
use super::runtime::{Network, Output, Runtime, RuntimeError};
use super::test_face;
use crate::domain::{Face, Point};

/// The smallest face, in pixels of the detector's input: the default of the package that the
/// weights come from. It is not a setting: another first scale would move the boxes of larger faces
/// too, and change their scores. Faces that are too small are dropped after detection.
const MIN_FACE: f64 = 20.0;
/// Factor from one scale to the next, about half the area.
const SCALE_STEP: f64 = 0.709;
/// Side of P-Net's window, in pixels.
const CELL: f64 = 12.0;
/// Distance between windows, in pixels.
const STRIDE: f64 = 2.0;
const REFINEMENT_SIDE: usize = 24;
const OUTPUT_SIDE: usize = 48;
/// The least confidences of the first two networks. The caller gives the third one's.
const PROPOSAL_CONFIDENCE: f32 = 0.6;
const REFINEMENT_CONFIDENCE: f32 = 0.7;
/// A box is dropped if it overlaps a better one by more than this: within a scale, and across
/// scales and after each later network.
const SAME_SCALE_OVERLAP: f64 = 0.5;
const OVERLAP: f64 = 0.7;
/// The most candidates that are kept, the best ones first: at each scale, before R-Net, and before
/// O-Net. They bound the quadratic removal of overlaps and the later networks for a hostile image.
const MAX_PROPOSED: usize = 5000;
const MAX_REFINED: usize = 2000;
const MAX_OUTPUT: usize = 1000;
/// Candidates per forward pass, to bound memory.
const BATCH: usize = 64;

/// The three networks, whose prepared files are read and checked. Opens sessions.
#[derive(Debug, Clone)]
pub struct CascadeModel {
    runtime: Runtime,
    manifest: Manifest,
    networks: Vec<Arc<[u8]>>,
    /// The face that the cascade finds in the test image.
    expected: Face,
}

impl CascadeModel {
    /// Reads the prepared networks of `manifest`.
    ///
    /// # Errors
    /// If it is not a cascade, or not prepared.
    pub fn load(
        models: &Models,
        manifest: Manifest,
        runtime: &Runtime,
    ) -> Result<Self, ModelError> {
        let files = manifest
            .networks()
            .iter()
            .map(|network| models.read_prepared(network))
            .collect::<Result<Vec<_>, _>>()?;
        let expected = files.iter().find_map(|file| file.preparation.face.clone());
        let expected = expected.ok_or_else(|| test_face::not_recorded(&manifest.name))?;
        let networks = files.into_iter().map(|file| file.bytes.into()).collect();
        Ok(Self { runtime: runtime.clone(), manifest, networks, expected })
    }

    /// The faces that the three `networks` of `manifest` find in the test image, on the CPU.
    pub(super) fn find_test_face(
        runtime: &Runtime,
        manifest: &Manifest,
        networks: &[Arc<[u8]>],
    ) -> Result<Vec<Face>, ModelError> {
        Ok(Cascade::open(runtime, manifest, networks, 1)?
            .detect(&test_face::image(), test_face::MIN_SCORE)?)
    }

    /// Name and digest, for the profile.
    pub fn identity(&self) -> (&str, &str) {
        (&self.manifest.name, &self.manifest.sha256)
    }

    /// Opens a session with `threads` threads for each network and runs the self-test on them.
    ///
    /// # Errors
    /// If ONNX Runtime refuses a network, or the self-test fails.
    pub fn open(&self, threads: usize) -> Result<Cascade, ModelError> {
        let mut cascade = Cascade::open(&self.runtime, &self.manifest, &self.networks, threads)?;
        // The test image has a face, so all three networks run.
        let found = cascade.detect(&test_face::image(), test_face::MIN_SCORE)?;
        test_face::check(&self.manifest.name, &self.expected, &found)?;
        Ok(cascade)
    }
}

/// An open cascade, for one thread at a time.
#[derive(Debug)]
pub struct Cascade {
    proposal: Network,
    refinement: Network,
    output: Network,
    input: InputSpec,
}

impl Cascade {
    fn open(
        runtime: &Runtime,
        manifest: &Manifest,
        networks: &[Arc<[u8]>],
        threads: usize,
    ) -> Result<Self, ModelError> {
        let open = |(manifest, bytes): (&Manifest, &Arc<[u8]>)| {
            runtime.open(&manifest.name, bytes, threads)
        };
        let networks =
            manifest.networks().iter().zip(networks).map(open).collect::<Result<Vec<_>, _>>()?;
        let not_one = |_| ModelError::Role {
            name: manifest.name.clone(),
            wanted: "cascade of three networks",
        };
        let [proposal, refinement, output] = <[Network; 3]>::try_from(networks).map_err(not_one)?;
        Ok(Self { proposal, refinement, output, input: manifest.input.clone() })
    }

    /// The faces in `image` with a confidence of at least `min_score`, best first, in pixels of the
    /// image.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub fn detect(&mut self, image: &RgbImage, min_score: f32) -> Result<Vec<Face>, RuntimeError> {
        let proposed = self.propose(image)?;
        let refined = self.refine(image, &proposed)?;
        self.output(image, &refined, min_score)
    }

    /// Runs P-Net over the image at every scale.
    fn propose(&mut self, image: &RgbImage) -> Result<Vec<Candidate>, RuntimeError> {
        let whole = Region {
            left: 0.0,
            top: 0.0,
            width: f64::from(image.width()),
            height: f64::from(image.height()),
        };
        let mut found = Vec::new();
        let mut values = Vec::new();
        for scale in scales(image.width(), image.height()) {
            let [columns, rows] =
                [whole.width, whole.height].map(|side| (side * scale).ceil() as usize);
            values.clear();
            append_resampled(image, whole, [columns, rows], Depth::Bits8, &self.input, &mut values);
            let outputs =
                self.proposal.run(&[(&[1, columns, rows, 3], &values)], &[OFFSETS, CONFIDENCE])?;
            let [offsets, confidence] = outputs.as_slice() else { return Err(missing()) };
            let proposals = decode(offsets, confidence, scale)?;
            found.extend(suppress(proposals, SAME_SCALE_OVERLAP, Overlap::Union, MAX_PROPOSED));
        }
        let kept = suppress(found, OVERLAP, Overlap::Union, MAX_PROPOSED);
        Ok(kept
            .into_iter()
            .map(|(candidate, offsets)| candidate.proposed(offsets).squared())
            .collect())
    }

    /// Runs R-Net over the `proposed` boxes.
    fn refine(
        &mut self,
        image: &RgbImage,
        proposed: &[Candidate],
    ) -> Result<Vec<Candidate>, RuntimeError> {
        let outputs = run_on_candidates(
            &mut self.refinement,
            &self.input,
            image,
            proposed,
            MAX_REFINED,
            REFINEMENT_SIDE,
            &[OFFSETS, CONFIDENCE],
        )?;
        let confident =
            outputs.into_iter().filter(|output| output.candidate.score > REFINEMENT_CONFIDENCE);
        let found = confident.map(|output| (output.candidate, output.offsets)).collect();
        let kept = suppress(found, OVERLAP, Overlap::Union, MAX_REFINED);
        Ok(kept
            .into_iter()
            .map(|(candidate, offsets)| candidate.refined(offsets).squared())
            .collect())
    }

    /// Runs O-Net over the `refined` boxes.
    fn output(
        &mut self,
        image: &RgbImage,
        refined: &[Candidate],
        min_score: f32,
    ) -> Result<Vec<Face>, RuntimeError> {
        let wanted = [OFFSETS, CONFIDENCE, LANDMARKS];
        let outputs = run_on_candidates(
            &mut self.output,
            &self.input,
            image,
            refined,
            MAX_OUTPUT,
            OUTPUT_SIDE,
            &wanted,
        )?;
        let confident = outputs.into_iter().filter(|output| output.candidate.score >= min_score);
        // Landmarks are fractions of the box before its correction.
        let corrected = confident.map(|output| {
            let point =
                |k: usize| output.candidate.point(output.landmarks[k], output.landmarks[k + 5]);
            (output.candidate.refined(output.offsets), [0, 1, 2, 3, 4].map(point))
        });
        let kept = suppress(corrected.collect(), OVERLAP, Overlap::Smaller, MAX_OUTPUT);
        let face = |(candidate, points): (Candidate, [(f32, f32); 5])| {
            let bbox = candidate.face_box();
            let landmarks = points.map(|(x, y)| Point { x, y });
            let finite = bbox.area().is_finite()
                && landmarks.iter().all(|point| point.x.is_finite() && point.y.is_finite());
            // Left is the image's left, so the subject's right eye comes first, as in all of the
            // program.
            finite.then_some(Face {
                bbox,
                landmarks: Some(landmarks),
                detector_score: Some(candidate.score),
            })
        };
        Ok(kept.into_iter().filter_map(face).collect())
    }
}

/// The scales at which P-Net's window of 12 x 12 pixels covers a face of [`MIN_FACE`] pixels and
/// larger, up to the whole image. Their number grows with the logarithm of the image's shorter
/// side. An image smaller than a face has no scales.
fn scales(width: u32, height: u32) -> impl Iterator<Item = f64> {
    let first = CELL / MIN_FACE;
    let shorter = f64::from(width.min(height));
    std::iter::successors(Some(first), |scale| Some(scale * SCALE_STEP))
        .take_while(move |scale| shorter * scale >= CELL)
}

/// Decodes P-Net's outputs [1, columns, rows, depth] at one scale into boxes of the image.
fn decode(
    offsets: &Output,
    confidence: &Output,
    scale: f64,
) -> Result<Vec<(Candidate, [f32; 4])>, RuntimeError> {
    let cells = confidence.values.len() / 2;
    let rows = confidence.shape.get(2).map_or(0, |&rows| rows as usize);
    if offsets.values.len() != cells * 4 || rows == 0 || !cells.is_multiple_of(rows) {
        return Err(unexpected(
            offsets,
            format!("4 values for each of {cells} cells in columns of {rows}"),
        ));
    }
    let mut found = Vec::new();
    let pairs = confidence.values.as_chunks::<2>().0.iter().zip(offsets.values.as_chunks::<4>().0);
    for (cell, (&[_, score], &offsets)) in pairs.enumerate() {
        if score >= PROPOSAL_CONFIDENCE {
            let first = |index: usize| ((STRIDE * index as f64 + 1.0) / scale).trunc();
            let last = |index: usize| ((STRIDE * index as f64 + CELL) / scale).trunc();
            let (x, y) = (cell / rows, cell % rows);
            found.push((
                Candidate { left: first(x), top: first(y), right: last(x), bottom: last(y), score },
                offsets,
            ));
        }
    }
    Ok(found)
}

/// The output of R-Net or O-Net for one candidate.
struct StageOutput {
    /// The candidate, with this network's confidence.
    candidate: Candidate,
    offsets: [f32; 4],
    /// Five x, then five y; zeros if the network has no landmarks.
    landmarks: [f32; 10],
}

/// Runs `network` on the `limit` best of `candidates` (best first), at `side` x `side` pixels each.
fn run_on_candidates(
    network: &mut Network,
    input: &InputSpec,
    image: &RgbImage,
    candidates: &[Candidate],
    limit: usize,
    side: usize,
    wanted: &[&str],
) -> Result<Vec<StageOutput>, RuntimeError> {
    let visible: Vec<_> =
        candidates.iter().filter_map(|one| Some((one, one.region()?))).take(limit).collect();
    let mut results = Vec::with_capacity(visible.len());
    let mut values = Vec::with_capacity(visible.len().min(BATCH) * side * side * 3);
    for batch in visible.chunks(BATCH) {
        values.clear();
        for (_, region) in batch {
            append_resampled(image, *region, [side, side], Depth::Exact, input, &mut values);
        }
        let outputs = network.run(&[(&[batch.len(), side, side, 3], &values)], wanted)?;
        let [offsets, confidence, more @ ..] = outputs.as_slice() else { return Err(missing()) };
        let offsets = rows::<4>(offsets, batch.len())?;
        let confidence = rows::<2>(confidence, batch.len())?;
        let landmarks = more.first().map(|output| rows::<10>(output, batch.len())).transpose()?;
        for (n, (candidate, _)) in batch.iter().enumerate() {
            let candidate = Candidate { score: confidence[n][1], ..(*candidate).clone() };
            let landmarks = landmarks.map_or([0.0; 10], |landmarks| landmarks[n]);
            results.push(StageOutput { candidate, offsets: offsets[n], landmarks });
        }
    }
    Ok(results)
}

fn rows<const DEPTH: usize>(
    output: &Output,
    count: usize,
) -> Result<&[[f32; DEPTH]], RuntimeError> {
    let (rows, rest) = output.values.as_chunks::<DEPTH>();
    if rows.len() == count && rest.is_empty() {
        Ok(rows)
    } else {
        Err(unexpected(output, format!("[{count}, {DEPTH}]")))
    }
}

fn unexpected(output: &Output, expected: String) -> RuntimeError {
    RuntimeError::Shape { output: "detector".into(), shape: output.shape.clone(), expected }
}

fn missing() -> RuntimeError {
    RuntimeError::Run("the detector's outputs are missing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(shape: [i64; 4], values: Vec<f32>) -> Output {
        Output { shape: shape.to_vec(), values }
    }

    #[test]
    fn scales_run_from_the_smallest_face_to_the_whole_image() {
        let found: Vec<f64> = scales(640, 480).collect();
        assert_eq!(found[0], 0.6);
        assert!(found.windows(2).all(|pair| (pair[1] / pair[0] - SCALE_STEP).abs() < 1e-12));
        let last = found[found.len() - 1];
        assert!(480.0 * last >= CELL && 480.0 * last * SCALE_STEP < CELL, "{last}");
    }

    #[test]
    fn scales_are_few_however_large_the_image_and_none_for_a_tiny_one() {
        assert!(scales(u32::MAX, u32::MAX).count() <= 60);
        assert_eq!(scales(19, 4000).count(), 0);
        assert_eq!(scales(20, 4000).count(), 1);
    }

    #[test]
    fn a_proposal_is_where_its_cell_was_in_the_image() {
        // Two columns of three rows. Only the cell in column 1, row 2 is confident. 3/0.5 and
        // 5/0.5; 14/0.5 and 16/0.5.
        let mut confidence = vec![0.0; 12];
        confidence[5 * 2 + 1] = 0.9;
        let mut offsets = vec![0.0; 24];
        offsets[20..].copy_from_slice(&[0.1, 0.2, 0.3, 0.4]);
        let found =
            decode(&output([1, 2, 3, 4], offsets), &output([1, 2, 3, 2], confidence), 0.5).unwrap();
        let expected = Candidate { left: 6.0, top: 10.0, right: 28.0, bottom: 32.0, score: 0.9 };
        assert_eq!(found, [(expected, [0.1, 0.2, 0.3, 0.4])]);
    }

    #[test]
    fn outputs_that_do_not_fit_each_other_are_an_error() {
        let wrong =
            decode(&output([1, 2, 3, 4], vec![0.0; 20]), &output([1, 2, 3, 2], vec![0.0; 12]), 0.5);
        assert!(matches!(wrong, Err(RuntimeError::Shape { .. })));
    }
}
