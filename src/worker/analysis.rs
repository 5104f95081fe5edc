//! The analysis of one image: from its bytes to an outcome. It depends on neither job nor store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::budget::Budget;
use super::vision_stage::{PictureFaces, Vision, VisionInput, VisionOutput};
use crate::domain::{
    AlignedFace, Chip, ContentHash, FaceMeasures, FaceResult, ImageContent, Mapping, Outcome,
    Recognition, Selection, Timings,
};
use crate::images::{ChipCache, ImageChips};
use crate::inference::batcher::{BatchError, Batcher, Priority};
use crate::inference::recogniser::{NetworkAnswer, Recogniser};
use crate::quality;
use crate::vision::DecodeError;

/// The result of an analysis.
#[derive(Debug)]
pub struct Analysis {
    /// Hash, length and size; `None` if there were no bytes.
    pub content: Option<ImageContent>,
    /// Scored, no face, unreadable, refused or failed.
    pub outcome: Outcome,
    /// The chips of the outcome's faces, in their order; `None` for a face whose landmarks
    /// coincide.
    pub chips: Vec<Option<Chip>>,
    /// The smallest face that could be found, the shorter side of its box, pixels; `None` if no
    /// faces were detected.
    pub smallest_face_px: Option<f32>,
    /// Time in the two stages.
    pub timings: Timings,
}

impl Analysis {
    /// The analysis of an image that ended with `outcome` before its bytes were decoded.
    pub fn ended(outcome: Outcome) -> Self {
        Self {
            content: None,
            outcome,
            chips: Vec::new(),
            smallest_face_px: None,
            timings: Timings::default(),
        }
    }
}

/// Runs images through the vision and the recognition stage.
pub(super) struct Analyser {
    vision: Vision,
    recogniser: Batcher<Recogniser>,
    /// From what is measured of a face to its quality.
    mapping: Mapping,
    budget: Arc<Budget>,
    /// Whether the log says already that small faces of large images are not found.
    warned: AtomicBool,
}

impl Analyser {
    pub(super) fn new(
        vision: Vision,
        recogniser: Batcher<Recogniser>,
        mapping: Mapping,
        budget: Arc<Budget>,
    ) -> Self {
        Self { vision, recogniser, mapping, budget, warned: AtomicBool::new(false) }
    }

    /// Waits until a stage's network works no longer, and says why.
    pub(super) async fn lost(&self) -> Arc<str> {
        tokio::select! {
            reason = self.vision.lost() => reason,
            reason = self.recogniser.lost() => reason,
        }
    }

    /// The memory for images.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Analyses `bytes`. `reserved` is what they hold; it is dropped once they are decoded. What is
    /// found in the image is kept in `chips`, if there is such a cache.
    ///
    /// # Errors
    /// If a stage fails. A bad image is an outcome.
    pub(super) async fn analyse<R>(
        &self,
        bytes: Vec<u8>,
        reserved: R,
        selection: Selection,
        priority: Priority,
        chips: Option<&Arc<ChipCache>>,
    ) -> Result<Analysis, BatchError> {
        let _expected = (priority == Priority::Urgent)
            .then(|| (self.vision.expect_urgent(), self.recogniser.expect_urgent()));
        let length = bytes.len() as u64;
        let extracted = self.extract(bytes, selection, priority).await;
        drop(reserved);
        let (VisionOutput { hash, picture }, vision_ms) = extracted?;
        let mut content = ImageContent { hash, bytes: length, size: None, picture: None };
        let timings = Timings { vision_ms, ..Timings::default() };
        let ended = |content, outcome| Analysis {
            content: Some(content),
            timings,
            ..Analysis::ended(outcome)
        };
        let picture = match picture {
            Ok(picture) => picture,
            Err(DecodeError::Unreadable(reason)) => {
                return Ok(ended(content, Outcome::Unreadable(reason)));
            }
            Err(DecodeError::TooLarge(reason)) => {
                return Ok(ended(content, Outcome::Refused(reason)));
            }
            Err(DecodeError::Failed(reason)) => {
                return Ok(ended(content, Outcome::Failed(reason)));
            }
        };
        content.size = Some(picture.size);
        content.picture = Some(picture.hash);
        self.warn_of_small_faces(&picture, selection.min_size_px);
        let PictureFaces { faces, smallest_face_px, .. } = picture;
        let found = ImageChips { content, faces, smallest_face_px };
        let entry = chips.and_then(|chips| Some((chips, chips.entry(&selection, &found)?)));
        let keep = async {
            match entry {
                // Whoever enrols waits for the result, and not for the cache.
                Some((chips, entry)) if priority == Priority::Urgent => chips.write_behind(entry),
                Some((chips, entry)) => chips.write(entry).await,
                None => {}
            }
        };
        let (analysis, ()) = tokio::join!(self.analyse_chips(found, priority), keep);
        let analysis = analysis?;
        let timings = Timings { vision_ms, ..analysis.timings };
        Ok(Analysis { timings, ..analysis })
    }

    /// Analyses what was found in an image.
    ///
    /// # Errors
    /// If the recogniser fails.
    pub(super) async fn analyse_chips(
        &self,
        found: ImageChips,
        priority: Priority,
    ) -> Result<Analysis, BatchError> {
        let ImageChips { content, faces, smallest_face_px } = found;
        let analysis = Analysis {
            content: Some(content),
            smallest_face_px: Some(smallest_face_px),
            ..Analysis::ended(Outcome::NoFace)
        };
        if faces.is_empty() {
            return Ok(analysis);
        }
        let started = Instant::now();
        let (outcome, chips) = self.recognise(faces, priority).await?;
        let timings = Timings { recognise_ms: milliseconds(started), ..Timings::default() };
        Ok(Analysis { outcome, chips, timings, ..analysis })
    }

    /// Decodes, detects and aligns, within the memory budget. Returns the time of the stage too,
    /// milliseconds.
    async fn extract(
        &self,
        bytes: Vec<u8>,
        selection: Selection,
        priority: Priority,
    ) -> Result<(VisionOutput, f32), BatchError> {
        let _reservation = match self.budget.picture(&bytes, priority).await {
            Ok(reservation) => reservation,
            Err(error) => {
                let hash = ContentHash::of(&bytes);
                return Ok((VisionOutput { hash, picture: Err(error) }, 0.0));
            }
        };
        let started = Instant::now();
        let output = self.vision.run(VisionInput { bytes, selection }, priority).await?;
        Ok((output, milliseconds(started)))
    }

    async fn recognise(
        &self,
        faces: Vec<AlignedFace>,
        priority: Priority,
    ) -> Result<(Outcome, Vec<Option<Chip>>), BatchError> {
        let inputs = faces.iter().filter_map(|aligned| aligned.chip.clone()).collect();
        let mut answers = self.recogniser.run(inputs, priority).await?.into_iter();
        let (results, chips): (Vec<FaceResult>, Vec<Option<Chip>>) = faces
            .into_iter()
            .map(|AlignedFace { face, chip, components }| {
                let answer = chip.as_ref().and_then(|_| answers.next().flatten());
                let detector_score = face.detector_score;
                let recognition =
                    answer.map(|NetworkAnswer { template, norm, distance, score }| {
                        let components = &components;
                        let measures = FaceMeasures { score, norm, detector_score, components };
                        let quality = quality::of_face(&measures, &self.mapping);
                        Recognition { template, norm, distance, score, quality }
                    });
                (FaceResult { face, components, recognition }, chip)
            })
            .unzip();
        let outcome = if results.iter().any(|result| result.recognition.is_some()) {
            Outcome::Scored(results)
        } else {
            Outcome::Failed("the network gave no usable embedding for any face of the image".into())
        };
        Ok((outcome, chips))
    }

    /// Warns of the first picture in which wanted faces are too small to be found.
    fn warn_of_small_faces(&self, picture: &PictureFaces, wanted: u32) {
        let Some(suggestion) = &picture.suggestion else { return };
        if self.warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let (smallest, (width, height)) = (picture.smallest_face_px, picture.size);
        tracing::warn!(
            "faces of less than {smallest:.0} px cannot be found in images of {width}x{height} \
                pixels, and faces from {wanted} px on are wanted: set {suggestion}. This warning \
                appears once; for other sizes see docs/faces.md"
        );
    }
}

pub(super) fn milliseconds(since: Instant) -> f32 {
    since.elapsed().as_secs_f32() * 1000.0
}
