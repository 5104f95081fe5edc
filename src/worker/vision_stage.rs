//! The vision stage: from bytes to chips. It decodes, detects and aligns.
//!
//! On a CPU each thread does all three, with its own detector. With a detector on another device,
//! threads decode ahead of it, it detects in batches, and threads align the faces that it found.

use std::sync::Arc;

use super::multi_scale::MultiScaleDetection;
use super::pyramid::Pyramid;
use crate::domain::{
    AlignedFace, BoundingBox, CHIP_SIDE, ContentHash, Face, PictureHash, Selection,
};
use crate::inference::batcher::{BatchError, BatchModel, Batcher, Priority, UrgentGuard};
use crate::inference::canvas::{Canvas, CanvasSize};
use crate::inference::detector::Detector;
use crate::inference::yunet::{Yunet, YunetModel};
use crate::telemetry::vitals::Activity;
use crate::vision::{DecodeError, Picture, PixelLimits, components, guarded, picture_hash};

/// An image for the stage.
#[derive(Debug)]
pub struct VisionInput {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Which of its faces are wanted.
    pub selection: Selection,
}

/// The answer of the stage.
#[derive(Debug)]
pub struct VisionOutput {
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// The faces, or why the image could not be decoded.
    pub picture: Result<PictureFaces, DecodeError>,
}

/// The faces of a decoded image.
#[derive(Debug)]
pub struct PictureFaces {
    /// Width and height, upright, pixels.
    pub size: (u32, u32),
    /// What the image shows.
    pub hash: PictureHash,
    /// The wanted faces, the primary one first.
    pub faces: Vec<AlignedFace>,
    /// The smallest face that could be found, the shorter side of its box, pixels.
    pub smallest_face_px: f32,
    /// The setting with which smaller faces are found, if smaller ones are wanted.
    pub suggestion: Option<String>,
}

impl PictureFaces {
    /// Aligns the wanted ones of the faces that `detection` found in `picture`.
    fn align(picture: &Picture, detection: &MultiScaleDetection, selection: &Selection) -> Self {
        let size = picture.size();
        let found = detection.found();
        let aligned = |face: Face| {
            let landmarks = face.landmarks.as_ref();
            let chip = landmarks.and_then(|landmarks| picture.chip(landmarks));
            let other = largest_other(&face, found);
            let measured = landmarks
                .zip(chip.as_ref())
                .map(|(landmarks, chip)| components::of_face(chip, landmarks, size, other));
            AlignedFace { chip, components: measured.unwrap_or_default(), face }
        };
        let selected = selection.apply(found.to_vec(), size.0, size.1);
        let faces = selected.into_iter().map(aligned).collect();
        let (pyramid, wanted) = (detection.pyramid(), selection.min_size_px);
        let smallest_face_px = pyramid.smallest_face(size);
        // A strip has no room for a face.
        let is_missed = smallest_face_px > wanted as f32 && size.0.min(size.1) >= wanted;
        let suggestion = is_missed.then(|| pyramid.suggestion(size, wanted));
        Self { size, hash: picture_hash::of(picture), faces, smallest_face_px, suggestion }
    }
}

/// The area of the largest other face that was found, wanted or not, over the area of `face`; 0 if
/// there is none.
fn largest_other(face: &Face, found: &[Face]) -> f32 {
    let others = found.iter().filter(|other| other.bbox != face.bbox);
    others.map(|other| other.bbox.area() / face.bbox.area()).fold(0.0, f32::max)
}

/// The threads of the stage.
#[derive(Clone)]
pub enum Vision {
    /// Each thread decodes, detects and aligns.
    Whole(Batcher<VisionStage>),
    /// The detector is on another device.
    Split {
        /// Decoding and aligning.
        pictures: Batcher<PictureStage>,
        /// Detecting.
        detector: Batcher<Yunet>,
    },
}

impl Vision {
    /// Announces an urgent image.
    pub fn expect_urgent(&self) -> UrgentGuard {
        match self {
            Self::Whole(stage) => stage.expect_urgent(),
            Self::Split { pictures, .. } => pictures.expect_urgent(),
        }
    }

    /// The activity of its threads.
    pub fn activity(&self) -> Vec<Activity> {
        match self {
            Self::Whole(stage) => stage.activity().to_vec(),
            Self::Split { pictures, detector } => {
                [pictures.activity(), detector.activity()].concat()
            }
        }
    }

    /// Waits until its network works no longer, and says why.
    pub async fn lost(&self) -> Arc<str> {
        match self {
            Self::Whole(stage) => stage.lost().await,
            Self::Split { detector, .. } => detector.lost().await,
        }
    }

    /// Decodes an image, detects its faces and aligns them.
    ///
    /// # Errors
    /// If a part of the stage fails. A bad image is not an error.
    pub async fn run(
        &self,
        input: VisionInput,
        priority: Priority,
    ) -> Result<VisionOutput, BatchError> {
        let (pictures, detector) = match self {
            Self::Whole(stage) => return run_one(stage, input, priority).await,
            Self::Split { pictures, detector } => (pictures, detector),
        };
        let min_score = input.selection.min_score;
        let mut step = run_one(pictures, PictureTask::Decode(input), priority).await?;
        loop {
            let (picture, canvases) = match step {
                PictureStep::Done(output) => return Ok(output),
                PictureStep::Detect(picture, canvases) => (picture, canvases),
            };
            let inputs = canvases.into_iter().map(|canvas| (canvas, min_score)).collect();
            let found = detector.run(inputs, priority).await?;
            step = run_one(pictures, PictureTask::Align(picture, found), priority).await?;
        }
    }
}

async fn run_one<M: BatchModel>(
    batcher: &Batcher<M>,
    item: M::Input,
    priority: Priority,
) -> Result<M::Output, BatchError> {
    batcher.run(vec![item], priority).await?.pop().ok_or_else(BatchError::no_answer)
}

/// Extracts the chips of an image on one thread.
#[derive(Debug)]
pub enum ChipExtractor {
    /// Detection and alignment.
    Detect {
        /// The thread's detector.
        detector: Detector,
        /// The scales at which it detects.
        pyramid: Pyramid,
    },
    /// The images are chips already.
    Aligned,
}

impl ChipExtractor {
    fn extract(
        &mut self,
        picture: &Picture,
        selection: &Selection,
    ) -> Result<PictureFaces, String> {
        match self {
            Self::Aligned => {
                let size = picture.size();
                let bbox =
                    BoundingBox { x: 0.0, y: 0.0, width: size.0 as f32, height: size.1 as f32 };
                let face = Face { bbox, landmarks: None, detector_score: None };
                let chip = picture.whole_as_chip();
                let components = chip.as_ref().map(components::of_chip).unwrap_or_default();
                Ok(PictureFaces {
                    size,
                    hash: picture_hash::of(picture),
                    faces: vec![AlignedFace { face, chip, components }],
                    smallest_face_px: 0.0,
                    suggestion: None,
                })
            }
            Self::Detect { detector, pyramid } => {
                let mut detection = MultiScaleDetection::new(*pyramid, selection);
                loop {
                    let copies = detection.copies(picture);
                    if copies.is_empty() {
                        return Ok(PictureFaces::align(picture, &detection, selection));
                    }
                    let found: Result<Vec<_>, _> = copies
                        .iter()
                        .map(|copy| detector.detect(copy, selection.min_score))
                        .collect();
                    detection.add(found.map_err(|error| error.to_string())?);
                }
            }
        }
    }
}

/// The whole stage on one thread.
#[derive(Debug)]
pub struct VisionStage {
    extractor: ChipExtractor,
    limits: PixelLimits,
}

impl VisionStage {
    /// A stage for images within `limits`.
    pub fn new(extractor: ChipExtractor, limits: PixelLimits) -> Self {
        Self { extractor, limits }
    }

    fn run_one(&mut self, input: &VisionInput) -> Result<VisionOutput, String> {
        let hash = ContentHash::of(&input.bytes);
        let picture = match Picture::decode(&input.bytes, self.limits) {
            Ok(picture) => picture,
            Err(error) => return Ok(VisionOutput { hash, picture: Err(error) }),
        };
        if matches!(self.extractor, ChipExtractor::Aligned)
            && picture.size() != (CHIP_SIDE as u32, CHIP_SIDE as u32)
        {
            return Ok(VisionOutput { hash, picture: Err(not_a_chip(picture.size())) });
        }
        let extractor = &mut self.extractor;
        let picture = match catch_panic(|| extractor.extract(&picture, &input.selection)) {
            Ok(extracted) => Ok(extracted?),
            Err(panicked) => Err(panicked),
        };
        Ok(VisionOutput { hash, picture })
    }
}

/// Runs `work` on one image. If it panics, the image ends as failed without another attempt, which
/// would panic too.
fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, DecodeError> {
    guarded(work).map_err(|panic| {
        DecodeError::Failed(format!(
            "the detection of faces panicked, which is a bug of the program: {panic}"
        ))
    })
}

/// A photo scaled to the size of a chip would get a quality that has nothing to do with its face.
/// It is refused, as an image that exceeds a limit is.
fn not_a_chip((width, height): (u32, u32)) -> DecodeError {
    DecodeError::TooLarge(format!(
        "{width}x{height} pixels are not a chip, which is an aligned face of \
            {CHIP_SIDE}x{CHIP_SIDE}: without --aligned, faces are detected and aligned"
    ))
}

impl BatchModel for VisionStage {
    type Input = VisionInput;
    type Output = VisionOutput;

    fn run(&mut self, batch: &[VisionInput]) -> Result<Vec<VisionOutput>, String> {
        batch.iter().map(|input| self.run_one(input)).collect()
    }
}

/// The part of the stage that needs no network, for a detector on another device.
#[derive(Debug, Clone)]
pub struct PictureStage {
    /// The model of the detector, which makes the canvases.
    pub model: YunetModel,
    /// The size of the canvases.
    pub size: CanvasSize,
    /// The scales at which to detect.
    pub pyramid: Pyramid,
    /// Largest image.
    pub limits: PixelLimits,
}

/// A task of a [`PictureStage`].
#[derive(Debug)]
pub enum PictureTask {
    /// Before the detector.
    Decode(VisionInput),
    /// After the detector, with the faces that it found in each canvas.
    Align(Box<PendingPicture>, Vec<Vec<Face>>),
}

/// The next step for an image.
#[derive(Debug)]
pub enum PictureStep {
    /// Detect in these canvases, then continue with [`PictureTask::Align`].
    Detect(Box<PendingPicture>, Vec<Canvas>),
    /// The image is done.
    Done(VisionOutput),
}

/// A decoded image that waits for the detector.
#[derive(Debug, Clone)]
pub struct PendingPicture {
    hash: ContentHash,
    picture: Arc<Picture>,
    detection: MultiScaleDetection,
    selection: Selection,
}

impl PictureStage {
    fn run_one(&self, task: &PictureTask) -> PictureStep {
        let hash = match task {
            PictureTask::Decode(input) => ContentHash::of(&input.bytes),
            PictureTask::Align(pending, _) => pending.hash,
        };
        let step = catch_panic(|| match task {
            PictureTask::Decode(VisionInput { bytes, selection }) => {
                let picture = Arc::new(Picture::decode(bytes, self.limits)?);
                let detection = MultiScaleDetection::new(self.pyramid, selection);
                let selection = *selection;
                Ok(self.next_step(PendingPicture { hash, picture, detection, selection }))
            }
            PictureTask::Align(pending, found) => {
                let mut pending = PendingPicture::clone(pending);
                pending.detection.add(found.clone());
                Ok(self.next_step(pending))
            }
        });
        let failed = |error| PictureStep::Done(VisionOutput { hash, picture: Err(error) });
        step.flatten().unwrap_or_else(failed)
    }

    fn next_step(&self, mut pending: PendingPicture) -> PictureStep {
        let copies = pending.detection.copies(&pending.picture);
        if copies.is_empty() {
            let PendingPicture { hash, picture, detection, selection } = pending;
            let faces = PictureFaces::align(&picture, &detection, &selection);
            return PictureStep::Done(VisionOutput { hash, picture: Ok(faces) });
        }
        let canvases = copies.iter().map(|copy| self.model.canvas(copy, self.size)).collect();
        PictureStep::Detect(Box::new(pending), canvases)
    }
}

impl BatchModel for PictureStage {
    type Input = PictureTask;
    type Output = PictureStep;

    fn run(&mut self, batch: &[PictureTask]) -> Result<Vec<PictureStep>, String> {
        Ok(batch.iter().map(|task| self.run_one(task)).collect())
    }
}

impl BatchModel for Yunet {
    /// A canvas, and the least confidence of a face.
    type Input = (Canvas, f32);
    type Output = Vec<Face>;

    fn run(&mut self, batch: &[(Canvas, f32)]) -> Result<Vec<Vec<Face>>, String> {
        let inputs: Vec<(&Canvas, f32)> =
            batch.iter().map(|(canvas, min_score)| (canvas, *min_score)).collect();
        self.detect_batch(&inputs).map_err(|error| error.to_string())
    }

    fn self_test(&mut self) -> Result<(), String> {
        Self::self_test(self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_one_image_is_its_failure_and_not_an_error_of_the_stage() {
        let Err(DecodeError::Failed(reason)) = catch_panic(|| -> u32 { panic!("no such row") })
        else {
            panic!("it should have failed")
        };
        assert!(reason.contains("no such row"), "{reason}");
        assert_eq!(catch_panic(|| 7), Ok(7));
    }
}
