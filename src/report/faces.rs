//! The worst and the best faces of a gallery, as tiles.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, stream};

use super::Thumbnails;
use super::histogram::band;
use crate::domain::{GalleryName, ImageUri, ProfileId};
use crate::store::{Extreme, GallerySummary, Reading, StoreError, StoredFace};
use crate::view::components::MOST_FAULTS;

/// Thumbnails to make concurrently. Each decodes a whole image.
const THUMBNAILS_AT_ONCE: usize = 4;

/// What is said of a poor face of which no component is low.
const NO_FAULT: &str = "no component stands out";

/// Some faces under one heading.
pub(super) struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub note: String,
    pub tiles: Vec<FaceTile>,
}

/// One face.
pub(super) struct FaceTile {
    /// A `data:` URI.
    pub picture: Option<String>,
    pub quality: u8,
    pub band: &'static str,
    pub score: String,
    pub name: String,
    pub path: String,
    /// Its index among the faces of its image, unless it is the primary one.
    pub index: Option<u32>,
    /// Why its quality may be low, in words; none among the best and if nothing is known.
    pub why: Option<String>,
}

/// Up to `each` worst and `each` best faces. No face is in both: in a small gallery, the lower half
/// are the worst.
pub(super) async fn collect(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    thumbnails: &dyn Thumbnails,
    summary: &GallerySummary,
    each: u32,
) -> Result<Vec<Section>, StoreError> {
    let scored: u64 = summary.histogram.iter().sum();
    if each == 0 || scored == 0 {
        return Ok(Vec::new());
    }
    let worst_wanted = u32::try_from(scored.div_ceil(2)).map_or(each, |half| half.min(each));
    let worst = store.extremes(gallery, profile, Extreme::Worst, worst_wanted).await?;
    // Twice as many as needed: faces of equal score come in any order, so these may include faces
    // that are shown as the worst.
    let mut best = store.extremes(gallery, profile, Extreme::Best, each.saturating_mul(2)).await?;
    let shown: HashSet<_> = worst.iter().map(identity).collect();
    best.retain(|face| !shown.contains(&identity(face)));
    best.truncate(each as usize);

    let mut sections = Vec::new();
    if best.is_empty() {
        sections.push(
            section(
                "faces",
                "Scored faces",
                "Lowest quality first.".to_owned(),
                &worst,
                Extreme::Worst,
                thumbnails,
            )
            .await,
        );
    } else {
        let note = format!("The {} of lowest score, the worst first.", counted(&worst));
        sections.push(
            section("worst", "Lowest quality", note, &worst, Extreme::Worst, thumbnails).await,
        );
        let note = format!("The {} of highest score, the best first.", counted(&best));
        sections
            .push(section("best", "Highest quality", note, &best, Extreme::Best, thumbnails).await);
    }
    sections.retain(|section| !section.tiles.is_empty());
    Ok(sections)
}

/// Image and index identify a face.
fn identity(face: &StoredFace) -> (&str, u32) {
    (face.image.as_str(), face.id.index)
}

fn counted(faces: &[StoredFace]) -> String {
    if faces.len() == 1 { "face".to_owned() } else { format!("{} faces", faces.len()) }
}

async fn section(
    id: &'static str,
    title: &'static str,
    note: String,
    faces: &[StoredFace],
    end: Extreme,
    thumbnails: &dyn Thumbnails,
) -> Section {
    let tiles = tiles(faces, end, thumbnails).await.into_iter().flatten().collect();
    Section { id, title, note, tiles }
}

/// A tile for each face; none for one that was not scored. At the low end, it says why.
pub(super) async fn tiles(
    faces: &[StoredFace],
    end: Extreme,
    thumbnails: &dyn Thumbnails,
) -> Vec<Option<FaceTile>> {
    // The futures are collected first: the compiler cannot prove that a stream which makes them one
    // by one is `Send`.
    let pictures: Vec<_> = faces.iter().map(|face| thumbnails.thumbnail(face)).collect();
    let pictures: Vec<Option<Vec<u8>>> =
        stream::iter(pictures).buffered(THUMBNAILS_AT_ONCE).collect().await;
    std::iter::zip(faces, pictures)
        .map(|(face, picture)| FaceTile::new(face, end, picture.as_deref()))
        .collect()
}

impl FaceTile {
    /// None if the face was not scored.
    fn new(face: &StoredFace, end: Extreme, picture: Option<&[u8]>) -> Option<Self> {
        let quality = face.quality?;
        let known = end == Extreme::Worst && !face.components.is_empty();
        Some(Self {
            picture: picture.and_then(data_uri),
            quality,
            band: band(quality),
            score: format!("{:.4}", face.score?),
            name: file_name(&face.image),
            path: face.image.to_string(),
            index: (face.id.index > 0).then_some(face.id.index),
            why: known.then(|| face.components.why(MOST_FAULTS).unwrap_or_else(|| NO_FAULT.into())),
        })
    }

    /// The name, split where a line may break.
    pub(super) fn name_parts(&self) -> impl Iterator<Item = &str> {
        self.name.split_inclusive(['_', '-'])
    }
}

/// The last part of the path, or the whole URI.
fn file_name(image: &ImageUri) -> String {
    let shown = image.to_string();
    let name = match image.to_path() {
        Some(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        None => shown.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned),
    };
    name.unwrap_or(shown)
}

/// A picture as a `data:` URI. None unless it begins like a PNG or a JPEG.
pub(super) fn data_uri(bytes: &[u8]) -> Option<String> {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpeg",
        _ => return None,
    };
    Some(format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Component, Components};
    use crate::report::NoThumbnails;
    use crate::report::fixture::{self, Fixture};

    async fn sections(qualities: &[u8], each: u32) -> Vec<Section> {
        let store = Fixture::of_qualities(qualities);
        let summary = store.summary(&fixture::gallery(), &fixture::profile().id()).await.unwrap();
        collect(
            &store,
            &fixture::gallery(),
            &fixture::profile().id(),
            &NoThumbnails,
            &summary,
            each,
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn no_face_is_among_the_worst_and_the_best() {
        for count in 1..=9u8 {
            // Also with equal scores, which the store may return in the same order at both ends.
            for qualities in
                [(0..count).map(|i| 10 * i).collect::<Vec<_>>(), vec![50; count.into()]]
            {
                let sections = sections(&qualities, 3).await;
                let names: Vec<_> = sections
                    .iter()
                    .flat_map(|section| &section.tiles)
                    .map(|tile| &tile.path)
                    .collect();
                assert_eq!(names.len(), usize::from(count).min(6));
                assert_eq!(
                    names.iter().collect::<HashSet<_>>().len(),
                    names.len(),
                    "{qualities:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_small_gallery_is_split_in_the_middle() {
        let sections = sections(&[50, 10, 40, 20, 30], 24).await;
        let shown: Vec<Vec<u8>> = sections
            .iter()
            .map(|section| section.tiles.iter().map(|tile| tile.quality).collect())
            .collect();
        assert_eq!(shown, [vec![10, 20, 30], vec![50, 40]]);
    }

    #[tokio::test]
    async fn without_faces_or_if_none_are_requested_there_is_no_section() {
        assert!(sections(&[], 24).await.is_empty());
        assert!(sections(&[50], 0).await.is_empty());
        assert_eq!(sections(&[50], 24).await.len(), 1);
    }

    #[tokio::test]
    async fn the_worst_faces_say_why_and_the_best_do_not() {
        let why = |section: &Section| -> Vec<Option<String>> {
            section.tiles.iter().map(|tile| tile.why.clone()).collect()
        };
        let sections = sections(&[0, 90, 20, 95], 2).await;
        let of = |quality: u8| {
            Some(format!(
                "blurred ({})",
                Component::Sharpness.quality(f32::from(quality) / 10_000.0)
            ))
        };
        assert_eq!(why(&sections[0]), [of(0), of(20)]);
        assert_eq!(why(&sections[1]), [None, None]);

        let mut face = fixture::of_quality(60);
        face.components = Components::from_iter([(Component::Sharpness, Some(1.0))]);
        let tile = |face: &StoredFace| FaceTile::new(face, Extreme::Worst, None).unwrap().why;
        assert_eq!(tile(&face).as_deref(), Some(NO_FAULT));
        face.components = Components::default();
        assert_eq!(tile(&face), None, "recorded before there were components");
    }

    #[test]
    fn only_png_and_jpeg_are_embedded() {
        assert_eq!(data_uri(&[0xff, 0xd8, 0xff, 0xe0]).unwrap(), "data:image/jpeg;base64,/9j/4A==");
        assert!(data_uri(b"\x89PNG\r\n\x1a\n").unwrap().starts_with("data:image/png;base64,"));
        assert!(data_uri(b"<svg onload='x'>").is_none());
        assert!(data_uri(b"").is_none());
    }

    #[test]
    fn file_names_are_short_and_contain_no_secret() {
        let name = |uri: &str| file_name(&uri.parse().unwrap());
        assert_eq!(file_name(&ImageUri::from_path(Path::new("/a/b c.jpg")).unwrap()), "b c.jpg");
        assert_eq!(name("https://user:secret@host/a/b.jpg?signature=abc"), "b.jpg");
        assert_eq!(name("https://host/"), "https://host/");
        assert_eq!(name("file:///a/%FF%3Cb%3E.jpg"), "\u{fffd}<b>.jpg");
        assert_eq!(name("data:image/png;base64,AAAA"), "data:…");
    }
}
