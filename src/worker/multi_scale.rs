//! Multi-scale detection in one picture: makes the copies for the detector, and merges the faces
//! found in them.

use std::borrow::Cow;
use std::sync::Arc;

use image::RgbImage;

use super::pyramid::{self, Level, LevelTile, Pyramid};
use crate::domain::{Face, Selection};
use crate::vision::{Picture, Scale, picture};

/// The detection in one picture, step by step: [`Self::copies`], detect, [`Self::add`], until there
/// are no more copies.
#[derive(Debug, Clone)]
pub struct MultiScaleDetection {
    pyramid: Pyramid,
    min_face_px: u32,
    pass: Pass,
    /// The tiles for which copies were made and no faces were added yet.
    pending: Vec<PendingTile>,
    found: Vec<Face>,
}

/// The next pass.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pass {
    /// All levels but those of the last resort.
    Levels,
    LastResort,
    Done,
}

#[derive(Debug, Clone)]
struct PendingTile {
    level: Arc<Level>,
    tile: LevelTile,
    scale: Scale,
}

impl MultiScaleDetection {
    /// A detection of the faces that `selection` wants, at the scales of `pyramid`.
    pub fn new(pyramid: Pyramid, selection: &Selection) -> Self {
        let min_face_px = selection.min_size_px;
        Self { pyramid, min_face_px, pass: Pass::Levels, pending: Vec::new(), found: Vec::new() }
    }

    /// The upright copies of `picture` in which to detect now. If there are none, the detection is
    /// complete.
    pub fn copies(&mut self, picture: &Picture) -> Vec<RgbImage> {
        let size = picture.size();
        let (levels, next) = match self.pass {
            Pass::Levels => (self.pyramid.levels(size, self.min_face_px), Pass::LastResort),
            Pass::LastResort if !self.has_found() => (self.pyramid.last_resort(size), Pass::Done),
            Pass::LastResort | Pass::Done => (Vec::new(), Pass::Done),
        };
        self.pass = next;
        if levels.is_empty() {
            return Vec::new();
        }
        // Every copy is made from the fine one, even if no faces are detected in that: to read all
        // pixels of a large picture once costs as much as a detection in a small copy.
        let fine = self.pyramid.fine_size(size).map(|fine| picture.averaged(fine));
        let mut copies: Vec<RgbImage> = Vec::with_capacity(levels.len());
        for level in levels.into_iter().map(Arc::new) {
            let copy = match &fine {
                Some(fine) if fine.dimensions() == level.size => Cow::Borrowed(fine),
                Some(fine) => Cow::Owned(picture::shrink(fine, level.size)),
                None => Cow::Owned(picture.upright(level.size)),
            };
            let scale = Scale::new(size, level.size);
            self.pending.extend(level.tiles.iter().map(|&tile| PendingTile {
                level: level.clone(),
                tile,
                scale,
            }));
            match level.tiles.as_slice() {
                [_] => copies.push(copy.into_owned()),
                tiles => copies.extend(tiles.iter().map(|tile| crop(&copy, tile))),
            }
        }
        copies
    }

    /// Adds the faces that were found in each of the last copies, in their order.
    pub fn add(&mut self, found: Vec<Vec<Face>>) {
        for (pending, faces) in std::mem::take(&mut self.pending).into_iter().zip(found) {
            let faces: Vec<Face> =
                faces.into_iter().filter_map(|face| pending.restore(face)).collect();
            pyramid::merge(&mut self.found, faces);
        }
    }

    /// Whether a face of the wanted size was found.
    fn has_found(&self) -> bool {
        self.found.iter().any(|face| face.bbox.shorter_side() >= self.min_face_px as f32)
    }

    /// The faces found, in pixels of the upright picture.
    pub fn found(&self) -> &[Face] {
        &self.found
    }

    /// The scales.
    pub fn pyramid(&self) -> &Pyramid {
        &self.pyramid
    }
}

impl PendingTile {
    /// A face of the tile in pixels of the picture, if it counts.
    fn restore(&self, mut face: Face) -> Option<Face> {
        if !self.level.holds(&self.tile, &face.bbox) {
            return None;
        }
        let (x, y) = (self.tile.x as f32, self.tile.y as f32);
        face.bbox.x += x;
        face.bbox.y += y;
        for point in face.landmarks.iter_mut().flatten() {
            point.x += x;
            point.y += y;
        }
        let face = self.scale.restore(&face);
        self.level.faces.contains(&face.bbox.shorter_side()).then_some(face)
    }
}

/// The part of `copy` that `tile` covers; it lies in it. Row by row: `crop_imm` copies pixel by
/// pixel, which took 6 % of the time of a scan of megapixel photos.
fn crop(copy: &RgbImage, tile: &LevelTile) -> RgbImage {
    let mut part = RgbImage::new(tile.width, tile.height);
    let row = |pixels: u32| 3 * pixels as usize;
    let rows = copy.chunks_exact(row(copy.width())).skip(tile.y as usize);
    for (to, from) in part.chunks_exact_mut(row(tile.width)).zip(rows) {
        to.copy_from_slice(&from[row(tile.x)..][..row(tile.width)]);
    }
    part
}

#[cfg(test)]
mod tests {
    use image::imageops;

    use super::*;

    #[test]
    fn a_tile_has_the_pixels_of_its_place() {
        let copy = RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8, y as u8, 9]));
        for (x, y, width, height) in [(0, 0, 7, 5), (2, 1, 3, 4), (6, 4, 1, 1)] {
            let tile = LevelTile { x, y, width, height };
            let expected = imageops::crop_imm(&copy, x, y, width, height).to_image();
            assert_eq!(crop(&copy, &tile), expected);
        }
    }
}
