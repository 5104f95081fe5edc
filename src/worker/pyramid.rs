//! The image pyramid: the scaled copies of an image in which faces are detected, so that faces of
//! every size are found.
//!
//! A detector finds faces of about 20 to 400 pixels of the copy that it is given. One copy is
//! therefore not enough for a large image:
//!
//! - The **base** copy has `max_side` pixels on its longest side. A face found in it and in another
//!   copy is taken from the base copy.
//! - **Coarse** copies, half of that and less, are for faces that fill the picture.
//! - The **fine** copy, of at most `fine_pixels` pixels, is for small faces. It is used only if the
//!   base copy is too small for the smallest wanted face.
//! - Two tiny copies are the **last resort**, if no face of the wanted size was found. A face that
//!   is cut off by the edges of the picture is often found in them.
//!
//! The sizes of the copies depend on the image and the profile. A selection only decides whether
//! the fine copy and the last resort are used. These add faces and change none, so a selection
//! never changes the score of a face.

use std::ops::Range;

use crate::domain::{BoundingBox, Face};
use crate::inference::yunet::{SAME_FACE_IOU, SMALLEST_FACE_PX};

/// Side of the smallest coarse copy, pixels.
const COARSE_SIDE: u32 = 320;
/// Sides of the copies that are the last resort, pixels.
const LAST_SIDES: [u32; 2] = [160, 112];
/// Coarse copies are for faces of at least this share of the image's longest side.
const COARSE_SHARE: f32 = 0.35;
/// The last resort is for faces of at least this share of the image's shorter side: smaller ones
/// are found in the other copies.
const LAST_SHARE: f32 = 0.5;
/// The fine copy is for faces up to this size in the base copy, pixels. Faces of this size are
/// found in both copies.
const BASE_IS_SURE_PX: f32 = 40.0;
/// The fine copy is for faces up to this size in it, pixels: a larger limit would need tiles that
/// overlap more.
const FINE_MOST_PX: f32 = 160.0;
/// Overlap of two tiles, in sizes of the largest face that counts: one of them holds all of it.
const OVERLAP: f32 = 1.5;
/// Pixels of a fine copy, at most: the detector needs about 100 bytes of memory for each.
const MOST_FINE_PIXELS: f64 = 100e6;

/// The rule for the copies of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pyramid {
    /// Longest side of the base copy, pixels. Images are never enlarged.
    pub max_side: u32,
    /// Pixels of the fine copy, at most. `None` for detectors that scale the image themselves: they
    /// get the base copy alone.
    pub fine_pixels: Option<u64>,
    /// Side of the square tiles into which the fine copy is cut, pixels; `None` if it is not cut.
    pub tile: Option<u32>,
}

/// A scaled copy of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Width and height, pixels.
    pub size: (u32, u32),
    /// The parts of it that are given to the detector one by one.
    pub tiles: Vec<LevelTile>,
    /// The faces found in it count if the shorter side of their box is in this range, pixels of the
    /// image.
    pub faces: Range<f32>,
}

/// A part of a [`Level`], pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelTile {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Pyramid {
    /// The copies of an image of `size` for faces of at least `min_face_px`. Of a face that is
    /// found in several, the first counts.
    pub fn levels(&self, size: (u32, u32), min_face_px: u32) -> Vec<Level> {
        let mut levels =
            vec![Level::whole(scaled(size, self.base_scale(size)), 0.0..f32::INFINITY)];
        if self.fine_pixels.is_none() {
            return levels;
        }
        let longest = size.0.max(size.1);
        let half = |&side: &u32| (side > COARSE_SIDE).then(|| (side / 2).max(COARSE_SIDE));
        for side in
            std::iter::successors(Some(self.max_side), half).skip(1).filter(|&side| side < longest)
        {
            let copy = scaled(size, f64::from(side) / f64::from(longest));
            levels.push(Level::whole(copy, COARSE_SHARE * longest as f32..f32::INFINITY));
        }
        if SMALLEST_FACE_PX / self.base_scale(size) as f32 > min_face_px as f32 {
            levels.extend(self.fine(size));
        }
        levels
    }

    /// The copies for an image of `size` in which no face was found at the other levels.
    pub fn last_resort(&self, size: (u32, u32)) -> Vec<Level> {
        let (longest, shortest) = (size.0.max(size.1), size.0.min(size.1));
        let sides =
            LAST_SIDES.into_iter().filter(|&side| self.fine_pixels.is_some() && side < longest);
        let level = |side: u32| {
            let copy = scaled(size, f64::from(side) / f64::from(longest));
            Level::whole(copy, LAST_SHARE * shortest as f32..f32::INFINITY)
        };
        sides.map(level).collect()
    }

    /// The smallest face that can be found in an image of `size`, pixels of the image.
    pub fn smallest_face(&self, size: (u32, u32)) -> f32 {
        let scale = if self.fine_size(size).is_some() {
            self.fine_scale(size)
        } else {
            self.base_scale(size)
        };
        SMALLEST_FACE_PX / scale as f32
    }

    /// The setting with which smaller faces are found in an image of `size`, down to `min_face_px`
    /// if possible.
    pub fn suggestion(&self, size: (u32, u32), min_face_px: u32) -> String {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        let scale = (f64::from(SMALLEST_FACE_PX) / f64::from(min_face_px.max(1))).min(1.0);
        if self.fine_pixels.is_none() {
            return format!("detector.max_side = {:.0}", (width.max(height) * scale).ceil());
        }
        let pixels = (width * height * scale * scale).ceil().min(MOST_FINE_PIXELS);
        let smallest =
            Self { fine_pixels: Some(pixels as u64), ..*self }.smallest_face(size).ceil();
        format!("detector.fine_pixels = {pixels:.0}, for faces from {smallest:.0} px on")
    }

    /// Width and height of the fine copy of an image of `size`; `None` if the base copy is as
    /// large, or no face fits into the fine copy.
    pub fn fine_size(&self, size: (u32, u32)) -> Option<(u32, u32)> {
        let fine = self.fine_scale(size);
        let copy = scaled(size, fine);
        // The canvas of a flatter copy, rounded up to whole cells, would be many times as large.
        (fine > self.base_scale(size) && copy.0.min(copy.1) as f32 >= SMALLEST_FACE_PX)
            .then_some(copy)
    }

    /// Bytes of memory for the copies of an image of `size` and for making them, at most.
    pub fn memory(&self, size: (u32, u32)) -> u64 {
        let (width, height) = (u64::from(size.0), u64::from(size.1));
        let base = scaled(size, self.base_scale(size));
        let copy = self.fine_size(size).unwrap_or(base);
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        // Resizing scales the rows, then the columns: the intermediate picture is as narrow as the
        // copy. It may be stored rotated.
        let halfway = 3 * (u64::from(copy.0) * height).max(u64::from(copy.1) * width);
        // One or two weights for each pixel of a side, as floats and as integers.
        let weights = 32 * (width + height);
        // The largest copy, rotated and upright, the other copies, and the canvas for a detector on
        // another device: a few bytes or floats for each pixel.
        32 * area(copy).max(area(base)) + halfway + weights
    }

    fn base_scale(&self, (width, height): (u32, u32)) -> f64 {
        (f64::from(self.max_side.max(1)) / f64::from(width.max(height).max(1))).min(1.0)
    }

    fn fine_scale(&self, (width, height): (u32, u32)) -> f64 {
        let pixels = f64::from(width.max(1)) * f64::from(height.max(1));
        (self.fine_pixels.unwrap_or(0) as f64 / pixels).sqrt().min(1.0)
    }

    fn fine(&self, size: (u32, u32)) -> Option<Level> {
        let copy = self.fine_size(size)?;
        let (base, fine) = (self.base_scale(size), self.fine_scale(size));
        let most = (BASE_IS_SURE_PX / base as f32).min(FINE_MOST_PX / fine as f32);
        let tiles = match self.tile {
            None => vec![LevelTile::whole(copy)],
            Some(side) => {
                let overlap = (OVERLAP * most * fine as f32) as u32;
                let (columns, rows) = (cuts(copy.0, side, overlap), cuts(copy.1, side, overlap));
                let tile = |(x, width), (y, height)| LevelTile { x, y, width, height };
                rows.iter()
                    .flat_map(|&row| columns.iter().map(move |&column| tile(column, row)))
                    .collect()
            }
        };
        Some(Level { size: copy, tiles, faces: 0.0..most })
    }
}

impl Level {
    fn whole(size: (u32, u32), faces: Range<f32>) -> Self {
        Self { size, tiles: vec![LevelTile::whole(size)], faces }
    }

    /// Whether `tile` holds all of a face whose box is given in pixels of the tile. A face that an
    /// inner edge cuts is complete in the next tile.
    pub fn holds(&self, tile: &LevelTile, bbox: &BoundingBox) -> bool {
        let (right, bottom) = (tile.x + tile.width, tile.y + tile.height);
        (tile.x == 0 || bbox.x >= 1.0)
            && (tile.y == 0 || bbox.y >= 1.0)
            && (right == self.size.0 || bbox.x + bbox.width <= tile.width as f32 - 1.0)
            && (bottom == self.size.1 || bbox.y + bbox.height <= tile.height as f32 - 1.0)
    }
}

impl LevelTile {
    fn whole((width, height): (u32, u32)) -> Self {
        Self { x: 0, y: 0, width, height }
    }
}

fn scaled((width, height): (u32, u32), scale: f64) -> (u32, u32) {
    let side = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    (side(width), side(height))
}

/// Start and length of the parts into which `length` is cut. They have at most `side`, and
/// neighbours overlap by at least `overlap`.
fn cuts(length: u32, side: u32, overlap: u32) -> Vec<(u32, u32)> {
    if length <= side {
        return vec![(0, length)];
    }
    let step = side.saturating_sub(overlap).max(side / 4).max(1);
    let last = length - side;
    let count = last.div_ceil(step);
    // Evenly spread: the last part ends at the edge of the copy.
    (0..=count)
        .map(|index| ((u64::from(last) * u64::from(index) / u64::from(count)) as u32, side))
        .collect()
}

/// Adds the faces of `found`, which come from one copy, to `kept`, unless they are there already.
pub fn merge(kept: &mut Vec<Face>, found: Vec<Face>) {
    let before = kept.len();
    for face in found {
        if !kept[..before].iter().any(|other| is_same(&other.bbox, &face.bbox)) {
            kept.push(face);
        }
    }
}

/// Whether a face found at another scale, `new`, is the face `kept`, or a part of it.
fn is_same(kept: &BoundingBox, new: &BoundingBox) -> bool {
    let new_is_smaller = new.area() < kept.area();
    let (small, large) = if new_is_smaller { (new, kept) } else { (kept, new) };
    let (x, y) = (small.x + small.width / 2.0, small.y + small.height / 2.0);
    let inside = (large.x..large.x + large.width).contains(&x)
        && (large.y..large.y + large.height).contains(&y);
    // A much smaller detection inside a face that fills the picture may be a part of that face, and
    // must not hide it.
    let alike = small.shorter_side() >= large.shorter_side() / 2.0;
    kept.iou(new) > SAME_FACE_IOU || (inside && (new_is_smaller || alike))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PYRAMID: Pyramid = Pyramid { max_side: 640, fine_pixels: Some(1_250_000), tile: None };

    fn sizes(levels: &[Level]) -> Vec<(u32, u32)> {
        levels.iter().map(|level| level.size).collect()
    }

    #[test]
    fn a_small_image_is_looked_at_once_and_a_large_one_at_three_scales() {
        assert_eq!(sizes(&PYRAMID.levels((250, 250), 24)), [(250, 250)]);
        assert_eq!(sizes(&PYRAMID.levels((640, 480), 24)), [(640, 480), (320, 240)]);
        assert_eq!(sizes(&PYRAMID.levels((4000, 3000), 24)), [(640, 480), (320, 240), (1291, 968)]);
        // A panorama keeps its pixels, however long it is.
        assert_eq!(sizes(&PYRAMID.levels((8000, 500), 24)), [(640, 40), (320, 20), (4472, 280)]);
        // No face fits into a line of pixels, and its canvas would be many times as large.
        assert_eq!(sizes(&PYRAMID.levels((120_000_000, 1), 24)), [(640, 1), (320, 1)]);
        let single = Pyramid { fine_pixels: None, ..PYRAMID };
        assert_eq!(sizes(&single.levels((4000, 3000), 24)), [(640, 480)]);
        for (max_side, coarse) in
            [(1280, vec![640, 320]), (600, vec![320]), (320, vec![]), (100, vec![])]
        {
            let levels =
                Pyramid { max_side, fine_pixels: Some(0), tile: None }.levels((2000, 2000), 24);
            assert_eq!(
                levels[1..].iter().map(|level| level.size.0).collect::<Vec<_>>(),
                coarse,
                "{max_side}"
            );
        }
        assert_eq!(single.last_resort((4000, 3000)), []);
    }

    #[test]
    fn the_fine_copy_is_only_looked_at_where_the_wanted_faces_are_too_small_for_the_base_one() {
        assert_eq!(PYRAMID.levels((4000, 3000), 125).len(), 2);
        assert_eq!(PYRAMID.levels((4000, 3000), 124).len(), 3);
        assert_eq!(PYRAMID.levels((768, 500), 24).len(), 2);
        assert_eq!(PYRAMID.levels((770, 500), 24).len(), 3);
    }

    #[test]
    fn the_smallest_face_that_is_looked_for_grows_with_the_image() {
        assert_eq!(PYRAMID.smallest_face((250, 250)), 20.0);
        assert_eq!(PYRAMID.smallest_face((1000, 1000)), 20.0);
        assert!((PYRAMID.smallest_face((4000, 3000)) - 62.0).abs() < 0.1);
        assert!(
            PYRAMID
                .suggestion((4000, 3000), 24)
                .contains("fine_pixels = 8333334, for faces from 24 px on")
        );
        assert!(
            PYRAMID
                .suggestion((12_000, 10_000), 20)
                .contains("fine_pixels = 100000000, for faces from 22 px on")
        );
        let single = Pyramid { fine_pixels: None, ..PYRAMID };
        assert_eq!(single.smallest_face((6400, 100)), 200.0);
        assert_eq!(single.suggestion((6400, 100), 40), "detector.max_side = 3200");
    }

    #[test]
    fn tiles_cover_the_fine_copy_and_no_face_that_counts_is_cut_by_all() {
        for size in [(4000, 3000), (8000, 500), (6000, 4000), (1000, 700)] {
            let tiled = Pyramid { tile: Some(640), ..PYRAMID };
            let fine = tiled.levels(size, 24).pop().unwrap();
            let scale = f64::from(fine.size.0) / f64::from(size.0);
            let face = (f64::from(fine.faces.end) * scale) as f32 - 1.0;
            let along = |x: f32| {
                fine.tiles.iter().any(|tile| {
                    let bbox =
                        BoundingBox { x: x - tile.x as f32, y: 1.0, width: face, height: face };
                    tile.y == 0
                        && bbox.x + face > 0.0
                        && bbox.x < tile.width as f32
                        && fine.holds(tile, &bbox)
                })
            };
            assert!((0..fine.size.0).all(|x| along(x as f32)), "{size:?}: {:?}", fine.tiles);
            assert!(fine.tiles.iter().all(|tile| tile.width <= 640 && tile.height <= 640));
            assert!(
                fine.tiles.iter().any(|tile| tile.x + tile.width == fine.size.0
                    && tile.y + tile.height == fine.size.1)
            );
        }
    }

    fn face(x: f32, y: f32, size: f32) -> Face {
        Face {
            bbox: BoundingBox { x, y, width: size, height: size },
            landmarks: None,
            detector_score: Some(0.9),
        }
    }

    #[test]
    fn a_face_found_at_two_scales_is_kept_once_as_it_was_found_first() {
        let mut kept = vec![face(100.0, 100.0, 100.0)];
        merge(
            &mut kept,
            vec![face(105.0, 95.0, 105.0), face(130.0, 130.0, 20.0), face(300.0, 100.0, 90.0)],
        );
        assert_eq!(kept, [face(100.0, 100.0, 100.0), face(300.0, 100.0, 90.0)]);
    }

    #[test]
    fn a_part_of_a_face_does_not_hide_the_face() {
        let mut kept = vec![face(300.0, 300.0, 60.0)];
        merge(&mut kept, vec![face(50.0, 50.0, 550.0)]);
        assert_eq!(kept.len(), 2);
    }
}
