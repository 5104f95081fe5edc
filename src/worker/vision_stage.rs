//! The stage from bytes to chips: decode, detect, align.
//!
//! On a CPU each thread does all three, with a detector of its own. With a detector on another
//! device, threads decode ahead of it, it takes images in batches, and threads align what it found.

use std::sync::Arc;

use super::pyramid::Pyramid;
use super::search::Search;
use crate::domain::{BoundingBox, CHIP_SIDE, Chip, ContentHash, Face, Selection};
use crate::inference::batcher::{BatchError, BatchModel, Batcher, Priority, UrgentGuard};
use crate::inference::canvas::{Canvas, CanvasSize};
use crate::inference::detector::Detector;
use crate::inference::yunet::{Yunet, YunetModel};
use crate::telemetry::vitals::Activity;
use crate::vision::{DecodeError, Picture, PixelLimits, guarded};

/// An image's bytes and which of its faces are wanted.
#[derive(Debug)]
pub struct Look {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Which faces.
    pub selection: Selection,
}

/// What was seen in an image.
#[derive(Debug)]
pub struct Seen {
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// The faces, the primary one first, with their chips; or why the image could not be decoded.
    pub picture: Result<SeenPicture, DecodeError>,
}

/// A decoded image's faces.
#[derive(Debug)]
pub struct SeenPicture {
    /// Width and height, upright, pixels.
    pub size: (u32, u32),
    /// Each face, and its chip unless its landmarks fall together.
    pub faces: Vec<(Face, Option<Chip>)>,
    /// The smallest face that was looked for, the shorter side of its box, pixels.
    pub smallest_face_px: f32,
    /// What to set so that smaller ones are looked for, where smaller ones are wanted.
    pub remedy: Option<String>,
}

impl SeenPicture {
    /// The wanted ones of the faces that `search` found in `picture`.
    fn align(picture: &Picture, search: &Search, selection: &Selection) -> Self {
        let size = picture.size();
        let found = search.found().to_vec();
        let with_chip = |face: Face| {
            let chip = face.landmarks.as_ref().and_then(|landmarks| picture.chip(landmarks));
            (face, chip)
        };
        let faces = selection.apply(found, size.0, size.1).into_iter().map(with_chip).collect();
        let (pyramid, wanted) = (search.pyramid(), selection.min_size_px);
        let smallest_face_px = pyramid.smallest_face(size);
        let remedy = (smallest_face_px > wanted as f32).then(|| pyramid.remedy(size, wanted));
        Self { size, faces, smallest_face_px, remedy }
    }
}

/// The stage: threads, and a lane to another device if the detector is on one.
#[derive(Clone)]
pub enum Vision {
    /// Each thread does it all.
    Whole(Batcher<VisionStage>),
    /// Threads before and after the detector.
    Ahead {
        /// Decoding and aligning.
        hands: Batcher<Hands>,
        /// Detecting.
        detector: Batcher<Yunet>,
    },
}

impl Vision {
    /// Announces an urgent image.
    pub fn expect_urgent(&self) -> UrgentGuard {
        match self {
            Self::Whole(stage) => stage.expect_urgent(),
            Self::Ahead { hands, .. } => hands.expect_urgent(),
        }
    }

    /// The activity of its threads.
    pub fn activity(&self) -> Vec<Activity> {
        match self {
            Self::Whole(stage) => stage.activity().to_vec(),
            Self::Ahead { hands, detector } => [hands.activity(), detector.activity()].concat(),
        }
    }

    /// Sees `look` through.
    ///
    /// # Errors
    /// If a part of the stage fails; a bad image is no error.
    pub async fn look(&self, look: Look, priority: Priority) -> Result<Seen, BatchError> {
        match self {
            Self::Whole(stage) => one(stage, look, priority).await,
            Self::Ahead { hands, detector } => {
                let min_score = look.selection.min_score;
                let mut handed = one(hands, Task::Decode(look), priority).await?;
                loop {
                    let (decoded, canvases) = match handed {
                        Handed::Seen(seen) => return Ok(seen),
                        Handed::Decoded(decoded, canvases) => (decoded, canvases),
                    };
                    let sights =
                        canvases.into_iter().map(|canvas| Sight { canvas, min_score }).collect();
                    let found = detector.run(sights, priority).await?;
                    handed = one(hands, Task::Align(decoded, found), priority).await?;
                }
            }
        }
    }
}

async fn one<M: BatchModel>(
    batcher: &Batcher<M>,
    item: M::Input,
    priority: Priority,
) -> Result<M::Output, BatchError> {
    // One answer an item is the batcher's promise.
    batcher.run(vec![item], priority).await?.pop().ok_or_else(BatchError::no_answer)
}

/// How an image becomes chips on one thread.
#[derive(Debug)]
pub enum Finder {
    /// Detection and alignment.
    Detect {
        /// The thread's detector.
        detector: Detector,
        /// At which scales it looks.
        pyramid: Pyramid,
    },
    /// The images are chips already.
    Aligned,
}

impl Finder {
    fn find(&mut self, picture: &Picture, selection: &Selection) -> Result<SeenPicture, String> {
        match self {
            Self::Aligned => {
                let size = picture.size();
                let bbox =
                    BoundingBox { x: 0.0, y: 0.0, width: size.0 as f32, height: size.1 as f32 };
                let face = Face { bbox, landmarks: None, detector_score: None };
                Ok(SeenPicture {
                    size,
                    faces: vec![(face, picture.whole_as_chip())],
                    smallest_face_px: 0.0,
                    remedy: None,
                })
            }
            Self::Detect { detector, pyramid } => {
                let mut search = Search::new(*pyramid, selection);
                loop {
                    let copies = search.copies(picture);
                    if copies.is_empty() {
                        return Ok(SeenPicture::align(picture, &search, selection));
                    }
                    let found: Result<Vec<_>, _> = copies
                        .iter()
                        .map(|copy| detector.detect(copy, selection.min_score))
                        .collect();
                    search.take(found.map_err(|error| error.to_string())?);
                }
            }
        }
    }
}

/// One thread's share of the whole stage.
#[derive(Debug)]
pub struct VisionStage {
    finder: Finder,
    limits: PixelLimits,
}

impl VisionStage {
    /// A stage that finds faces with `finder` in images within `limits`.
    pub fn new(finder: Finder, limits: PixelLimits) -> Self {
        Self { finder, limits }
    }

    fn look(&mut self, look: &Look) -> Result<Seen, String> {
        let hash = ContentHash::of(&look.bytes);
        let picture = match Picture::decode(&look.bytes, self.limits) {
            Ok(picture) => picture,
            Err(error) => return Ok(Seen { hash, picture: Err(error) }),
        };
        if matches!(self.finder, Finder::Aligned)
            && picture.size() != (CHIP_SIDE as u32, CHIP_SIDE as u32)
        {
            return Ok(Seen { hash, picture: Err(no_chip(picture.size())) });
        }
        let finder = &mut self.finder;
        let picture = match alone(|| finder.find(&picture, &look.selection)) {
            Ok(found) => Ok(found?),
            Err(panicked) => Err(panicked),
        };
        Ok(Seen { hash, picture })
    }
}

/// Runs `work` on one image. A panic is that image's own end, at once: another attempt would panic
/// too.
fn alone<T>(work: impl FnOnce() -> T) -> Result<T, DecodeError> {
    guarded(work).map_err(|panic| {
        DecodeError::Failed(format!(
            "looking for faces in the image panicked, which is a fault of the program: {panic}"
        ))
    })
}

/// Scaled to the size of a chip, a photo would get a quality that says nothing of its face: it is
/// refused, as what breaks a limit is.
fn no_chip((width, height): (u32, u32)) -> DecodeError {
    DecodeError::TooLarge(format!(
        "{width}x{height} pixels are no chip, which is an aligned face of {CHIP_SIDE}x{CHIP_SIDE}: \
            without --aligned, faces are found and \
         aligned"
    ))
}

impl BatchModel for VisionStage {
    type Input = Look;
    type Output = Seen;

    fn run(&mut self, batch: &[Look]) -> Result<Vec<Seen>, String> {
        batch.iter().map(|look| self.look(look)).collect()
    }
}

/// A thread that does for a detector elsewhere what needs no network.
#[derive(Debug, Clone)]
pub struct Hands {
    /// Knows what the detector wants to see.
    pub model: YunetModel,
    /// The canvases it sees.
    pub size: CanvasSize,
    /// At which scales the detector looks.
    pub pyramid: Pyramid,
    /// Largest image.
    pub limits: PixelLimits,
}

/// What hands are given.
#[derive(Debug)]
pub enum Task {
    /// Before the detector.
    Decode(Look),
    /// After it.
    Align(Box<Decoded>, Vec<Vec<Face>>),
}

/// What hands give back.
#[derive(Debug)]
pub enum Handed {
    /// For the detector; with what [`Task::Align`] needs after it.
    Decoded(Box<Decoded>, Vec<Canvas>),
    /// The end.
    Seen(Seen),
}

/// A picture that waits for its faces.
#[derive(Debug, Clone)]
pub struct Decoded {
    hash: ContentHash,
    picture: Arc<Picture>,
    search: Search,
    selection: Selection,
}

impl Hands {
    /// What the detector is to look at next, or, if that is nothing, the end.
    fn go_on(&self, mut decoded: Decoded) -> Handed {
        let copies = decoded.search.copies(&decoded.picture);
        if copies.is_empty() {
            let Decoded { hash, picture, search, selection } = decoded;
            return Handed::Seen(Seen {
                hash,
                picture: Ok(SeenPicture::align(&picture, &search, &selection)),
            });
        }
        let canvases = copies.iter().map(|copy| self.model.canvas(copy, self.size)).collect();
        Handed::Decoded(Box::new(decoded), canvases)
    }
}

impl BatchModel for Hands {
    type Input = Task;
    type Output = Handed;

    fn run(&mut self, batch: &[Task]) -> Result<Vec<Handed>, String> {
        Ok(batch.iter().map(|task| self.handle(task)).collect())
    }
}

impl Hands {
    fn handle(&self, task: &Task) -> Handed {
        let hash = match task {
            Task::Decode(look) => ContentHash::of(&look.bytes),
            Task::Align(decoded, _) => decoded.hash,
        };
        let handled = alone(|| match task {
            Task::Decode(look) => {
                let picture = Picture::decode(&look.bytes, self.limits)?;
                let search = Search::new(self.pyramid, &look.selection);
                Ok(self.go_on(Decoded {
                    hash,
                    picture: Arc::new(picture),
                    search,
                    selection: look.selection,
                }))
            }
            Task::Align(decoded, found) => {
                let mut decoded = Decoded::clone(decoded);
                decoded.search.take(found.clone());
                Ok(self.go_on(decoded))
            }
        });
        let ended = |error| Handed::Seen(Seen { hash, picture: Err(error) });
        handled.flatten().unwrap_or_else(ended)
    }
}

/// What the detector is given.
#[derive(Debug)]
pub struct Sight {
    canvas: Canvas,
    /// Least confidence of a face.
    min_score: f32,
}

impl BatchModel for Yunet {
    type Input = Sight;
    type Output = Vec<Face>;

    fn run(&mut self, batch: &[Sight]) -> Result<Vec<Vec<Face>>, String> {
        let looks: Vec<(&Canvas, f32)> =
            batch.iter().map(|sight| (&sight.canvas, sight.min_score)).collect();
        self.detect_batch(&looks).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_on_one_image_is_its_failure_and_no_error_of_the_stage() {
        let Err(DecodeError::Failed(reason)) = alone(|| -> u32 { panic!("no such row") }) else {
            panic!("it failed")
        };
        assert!(reason.contains("no such row"), "{reason}");
        assert_eq!(alone(|| 7), Ok(7));
    }
}
