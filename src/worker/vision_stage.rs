//! The stage from bytes to chips: decode, detect, align. Runs on threads of its own, each with a detector.

use crate::domain::{BoundingBox, Chip, ContentHash, Face, Selection};
use crate::inference::batcher::BatchModel;
use crate::inference::detection::Detector;
use crate::vision::{DecodeError, Picture, PixelLimits};

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

/// How an image becomes chips.
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

/// One thread's share of the stage.
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
        let size = picture.size();
        let faces = match &mut self.finder {
            Finder::Aligned => {
                let bbox = BoundingBox { x: 0.0, y: 0.0, width: size.0 as f32, height: size.1 as f32 };
                let face = Face { bbox, landmarks: None, detector_score: None };
                vec![(face, picture.whole_as_chip())]
            }
            Finder::Detect { detector, max_side } => {
                let (upright, scale) = picture.upright(*max_side);
                let found = detector.detect(&upright, look.selection.min_score).map_err(|error| error.to_string())?;
                let found = found.iter().map(|face| scale.restore(face)).collect();
                let wanted = look.selection.apply(found, size.0, size.1);
                let with_chip = |face: Face| {
                    let chip = face.landmarks.as_ref().and_then(|landmarks| picture.chip(landmarks));
                    (face, chip)
                };
                wanted.into_iter().map(with_chip).collect()
            }
        };
        Ok(Seen { hash, picture: Ok(SeenPicture { size, faces }) })
    }
}

impl BatchModel for VisionStage {
    type Input = Look;
    type Output = Seen;

    fn run(&mut self, batch: &[Look]) -> Result<Vec<Seen>, String> {
        batch.iter().map(|look| self.look(look)).collect()
    }
}
