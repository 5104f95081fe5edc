//! The search for the faces of one picture: copies for the detector to see, and what it found in
//! them put together.

use std::borrow::Cow;
use std::sync::Arc;

use image::{RgbImage, imageops};

use super::pyramid::{self, Level, Pyramid, Tile};
use crate::domain::{Face, Selection};
use crate::vision::{Picture, Scale, picture};

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    pyramid: Pyramid,
    min_face_px: u32,
    round: Round,
    /// What each copy shows that was handed out and not answered yet.
    views: Vec<View>,
    found: Vec<Face>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Round {
    /// Nothing was looked at.
    First,
    /// All scales were, but for the last resort.
    Second,
    /// Everything was.
    Over,
}

/// A tile of a level.
#[derive(Debug, Clone)]
struct View {
    level: Arc<Level>,
    tile: Tile,
    scale: Scale,
}

impl Search {
    /// A search for the faces that `selection` wants, at the scales of `pyramid`.
    pub fn new(pyramid: Pyramid, selection: &Selection) -> Self {
        let min_face_px = selection.min_size_px;
        Self { pyramid, min_face_px, round: Round::First, views: Vec::new(), found: Vec::new() }
    }

    /// The copies of `picture` to be looked at now, upright. None: the search is over.
    pub fn copies(&mut self, picture: &Picture) -> Vec<RgbImage> {
        let size = picture.size();
        let levels = match self.round {
            Round::First => self.pyramid.levels(size, self.min_face_px),
            Round::Second if !self.has_found() => self.pyramid.last_resort(size),
            Round::Second | Round::Over => Vec::new(),
        };
        self.round = if self.round == Round::First { Round::Second } else { Round::Over };
        if levels.is_empty() {
            return Vec::new();
        }
        // Each copy is made of the fine one, whether that is looked at or not: reading all pixels
        // of a large picture once costs as much as finding the faces in a small copy.
        let fine = self.pyramid.fine_size(size).map(|fine| picture.averaged(fine));
        let mut copies: Vec<RgbImage> = Vec::with_capacity(levels.len());
        for level in levels.into_iter().map(Arc::new) {
            let copy = match &fine {
                Some(fine) if fine.dimensions() == level.size => Cow::Borrowed(fine),
                Some(fine) => Cow::Owned(picture::shrink(fine, level.size)),
                None => Cow::Owned(picture.upright(level.size)),
            };
            let scale = Scale::new(size, level.size);
            self.views.extend(level.tiles.iter().map(|&tile| View {
                level: level.clone(),
                tile,
                scale,
            }));
            match level.tiles.as_slice() {
                [_] => copies.push(copy.into_owned()),
                tiles => copies.extend(tiles.iter().map(|tile| cut(&copy, tile))),
            }
        }
        copies
    }

    /// Takes in what was found in the copies, in their order.
    pub fn take(&mut self, found: Vec<Vec<Face>>) {
        for (view, faces) in std::mem::take(&mut self.views).into_iter().zip(found) {
            let faces: Vec<Face> =
                faces.into_iter().filter_map(|face| view.restore(face)).collect();
            pyramid::merge(&mut self.found, faces);
        }
    }

    /// Whether a face was found that is large enough.
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

impl View {
    /// `face` of the tile in pixels of the picture, if it counts.
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

fn cut(copy: &RgbImage, tile: &Tile) -> RgbImage {
    imageops::crop_imm(copy, tile.x, tile.y, tile.width, tile.height).to_image()
}
