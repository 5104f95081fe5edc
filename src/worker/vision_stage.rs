//! The stage from bytes to chips: decode, detect, align.
//!
//! On a CPU each thread does all three, with a detector of its own. With a detector on another device, threads decode ahead of it, it
//! takes images in batches, and threads align what it found.

use crate::domain::{BoundingBox, CHIP_SIDE, Chip, ContentHash, Face, Selection};
use crate::inference::batcher::{BatchError, BatchModel, Batcher, Expected, Priority};
use crate::inference::canvas::{Canvas, CanvasSize};
use crate::inference::detection::Detector;
use crate::inference::detector::{self, DetectorModel};
use crate::vision::{DecodeError, Picture, PixelLimits, Scale};

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
}

impl SeenPicture {
    /// The wanted ones of the faces `found` in the copy of `picture` that `scale` leads back from.
    fn align(picture: &Picture, found: &[Face], scale: Scale, selection: &Selection) -> Self {
        let size = picture.size();
        let found = found.iter().map(|face| scale.restore(face)).collect();
        let with_chip = |face: Face| {
            let chip = face.landmarks.as_ref().and_then(|landmarks| picture.chip(landmarks));
            (face, chip)
        };
        Self { size, faces: selection.apply(found, size.0, size.1).into_iter().map(with_chip).collect() }
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
        detector: Batcher<detector::Detector>,
    },
}

impl Vision {
    /// Announces an urgent image.
    pub fn expect_urgent(&self) -> Expected {
        match self {
            Self::Whole(stage) => stage.expect_urgent(),
            Self::Ahead { hands, .. } => hands.expect_urgent(),
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
                let (prepared, canvas) = match one(hands, Task::Decode(look), priority).await? {
                    Handed::Decoded(prepared, canvas) => (prepared, canvas),
                    Handed::Seen(seen) => return Ok(seen),
                };
                let found = one(detector, Sight { canvas, min_score }, priority).await?;
                match one(hands, Task::Align(prepared, found), priority).await? {
                    Handed::Seen(seen) => Ok(seen),
                    Handed::Decoded(..) => Err(BatchError::no_answer()),
                }
            }
        }
    }
}

async fn one<M: BatchModel>(batcher: &Batcher<M>, item: M::Input, priority: Priority) -> Result<M::Output, BatchError> {
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
        /// Longest side of the image that the detector sees, pixels.
        max_side: u32,
    },
    /// The images are chips already.
    Aligned,
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
        if matches!(self.finder, Finder::Aligned) && picture.size() != (CHIP_SIDE as u32, CHIP_SIDE as u32) {
            return Ok(Seen { hash, picture: Err(no_chip(picture.size())) });
        }
        let seen = match &mut self.finder {
            Finder::Aligned => {
                let size = picture.size();
                let bbox = BoundingBox { x: 0.0, y: 0.0, width: size.0 as f32, height: size.1 as f32 };
                let face = Face { bbox, landmarks: None, detector_score: None };
                SeenPicture { size, faces: vec![(face, picture.whole_as_chip())] }
            }
            Finder::Detect { detector, max_side } => {
                let (upright, scale) = picture.upright(*max_side);
                let found = detector.detect(&upright, look.selection.min_score).map_err(|error| error.to_string())?;
                SeenPicture::align(&picture, &found, scale, &look.selection)
            }
        };
        Ok(Seen { hash, picture: Ok(seen) })
    }
}

/// Scaled to the size of a chip, a photo would get a quality that says nothing of its face: it is refused, as what breaks a limit is.
fn no_chip((width, height): (u32, u32)) -> DecodeError {
    DecodeError::TooLarge(format!(
        "{width}x{height} pixels are no chip, which is an aligned face of {CHIP_SIDE}x{CHIP_SIDE}: without --aligned, faces are found and \
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
    pub model: DetectorModel,
    /// The canvases it sees.
    pub size: CanvasSize,
    /// Longest side of the image that the detector sees, pixels.
    pub max_side: u32,
    /// Largest image.
    pub limits: PixelLimits,
}

/// What hands are given.
#[derive(Debug)]
pub enum Task {
    /// Before the detector.
    Decode(Look),
    /// After it.
    Align(Box<Decoded>, Vec<Face>),
}

/// What hands give back.
#[derive(Debug)]
pub enum Handed {
    /// For the detector, and for the hands after it.
    Decoded(Box<Decoded>, Canvas),
    /// The end.
    Seen(Seen),
}

/// A picture that waits for its faces.
#[derive(Debug)]
pub struct Decoded {
    hash: ContentHash,
    picture: Picture,
    scale: Scale,
    selection: Selection,
}

impl BatchModel for Hands {
    type Input = Task;
    type Output = Handed;

    fn run(&mut self, batch: &[Task]) -> Result<Vec<Handed>, String> {
        let handle = |task: &Task| match task {
            Task::Decode(look) => {
                let hash = ContentHash::of(&look.bytes);
                match Picture::decode(&look.bytes, self.limits) {
                    Err(error) => Handed::Seen(Seen { hash, picture: Err(error) }),
                    Ok(picture) => {
                        let (upright, scale) = picture.upright(self.max_side);
                        let canvas = self.model.canvas(&upright, self.size);
                        Handed::Decoded(Box::new(Decoded { hash, picture, scale, selection: look.selection }), canvas)
                    }
                }
            }
            Task::Align(decoded, found) => {
                let Decoded { hash, picture, scale, selection } = &**decoded;
                Handed::Seen(Seen { hash: *hash, picture: Ok(SeenPicture::align(picture, found, *scale, selection)) })
            }
        };
        Ok(batch.iter().map(handle).collect())
    }
}

/// What the detector is given.
#[derive(Debug)]
pub struct Sight {
    canvas: Canvas,
    /// Least confidence of a face.
    min_score: f32,
}

impl BatchModel for detector::Detector {
    type Input = Sight;
    type Output = Vec<Face>;

    fn run(&mut self, batch: &[Sight]) -> Result<Vec<Vec<Face>>, String> {
        let looks: Vec<(&Canvas, f32)> = batch.iter().map(|sight| (&sight.canvas, sight.min_score)).collect();
        self.detect_batch(&looks).map_err(|error| error.to_string())
    }
}
