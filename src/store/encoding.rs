//! How values are written in columns, the same in both backends.

use super::StoreError;
use crate::domain::{ImageContent, Landmarks, Point, Profile, ProfileId, Selection};

/// The canonical text of `selection`: equal selections have equal texts.
pub(super) fn selection_key(selection: &Selection) -> String {
    // Adding zero turns -0 into 0. `Display` writes the shortest text that reads back as the same
    // float.
    format!("{}/{}/{}", selection.faces, selection.min_size_px, selection.min_score + 0.0)
}

/// Reads what [`selection_key`] wrote.
pub(super) fn selection(key: &str) -> Result<Selection, StoreError> {
    let parts = || {
        let [faces, min_size_px, min_score] = key.split('/').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Selection {
            faces: faces.parse().ok()?,
            min_size_px: min_size_px.parse().ok()?,
            min_score: min_score.parse().ok()?,
        })
    };
    parts().ok_or_else(|| StoreError::Corrupt(format!("the selection '{key}'")))
}

/// The content hash: empty if no bytes came.
pub(super) fn hash_key(content: Option<&ImageContent>) -> &[u8] {
    content.map_or(&[], |content| content.hash.0.as_slice())
}

/// What the image shows, if it was decoded.
pub(super) fn picture_bytes(content: &ImageContent) -> Option<Vec<u8>> {
    content.picture.map(|hash| hash.to_bytes().to_vec())
}

/// Ten little-endian 32-bit floats: x and y of each point.
pub(super) fn landmark_bytes(landmarks: &Landmarks) -> Vec<u8> {
    landmarks.iter().flat_map(|point| [point.x, point.y]).flat_map(f32::to_le_bytes).collect()
}

/// Reads what [`landmark_bytes`] wrote.
pub(super) fn landmarks(bytes: &[u8]) -> Result<Landmarks, StoreError> {
    let (floats, rest) = bytes.as_chunks::<4>();
    if floats.len() != 10 || !rest.is_empty() {
        return Err(StoreError::Corrupt(format!("landmarks of {} bytes", bytes.len())));
    }
    let value = |at: usize| f32::from_le_bytes(floats[at]);
    Ok(std::array::from_fn(|point| Point { x: value(2 * point), y: value(2 * point + 1) }))
}

/// The JSON text of a profile.
pub(super) fn definition(profile: &Profile) -> Result<String, StoreError> {
    serde_json::to_string(profile)
        .map_err(|error| StoreError::Invalid(format!("the profile: {error}")))
}

/// Reads what [`definition`] wrote: the profile with this id and no other.
pub(super) fn profile(id: &ProfileId, definition: &str) -> Result<Profile, StoreError> {
    let unreadable = |reason: String| StoreError::Corrupt(format!("profile {id}: {reason}"));
    let profile: Profile =
        serde_json::from_str(definition).map_err(|error| unreadable(error.to_string()))?;
    if profile.id() != *id {
        return Err(unreadable("the stored definition does not match its id".to_owned()));
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Faces;

    #[test]
    fn a_selection_reads_back_as_it_was() {
        for (faces, min_size_px, min_score) in
            [(Faces::All, 24, 0.6), (Faces::Largest, 0, 0.600_000_1), (Faces::All, 65_535, 1.0)]
        {
            let written = Selection { faces, min_size_px, min_score };
            assert_eq!(selection(&selection_key(&written)).unwrap(), written);
        }
        for broken in ["", "all/24", "all/24/0.6/1", "some/24/0.6", "all/x/0.6"] {
            assert!(selection(broken).is_err(), "{broken}");
        }
    }
}
