//! The page of a view of curation: each suggestion, with its pictures side by side.

use askama::Template;

use super::Thumbnails;
use super::faces::{FaceTile, tiles};
use crate::domain::{GalleryName, ProfileId};
use crate::store::{Extreme, StoredFace, StoredImage};

/// A suggestion on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct SheetCase {
    /// What is suggested, in words.
    pub suggestion: String,
    /// Why.
    pub evidence: String,
    /// The images with their primary faces: the one that it is about first.
    pub images: Vec<(StoredImage, StoredFace)>,
}

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub struct SheetView<'a> {
    /// The gallery.
    pub gallery: &'a GalleryName,
    /// The profile of its results.
    pub profile: &'a ProfileId,
    /// The name of the view.
    pub view: &'a str,
    /// The name of the preview.
    pub preview: &'a str,
}

/// The page of a view of curation.
#[derive(Template)]
#[template(path = "report/curation_sheet.html")]
pub struct CurationSheet {
    gallery: String,
    title: String,
    preview: String,
    profile_id: String,
    date: String,
    datetime: String,
    version: &'static str,
    cases: Vec<CaseRow>,
}

struct CaseRow {
    suggestion: String,
    evidence: String,
    tiles: Vec<CaseTile>,
}

struct CaseTile {
    face: FaceTile,
    subject: Option<String>,
    /// The image's id and size.
    details: String,
}

impl CurationSheet {
    /// The page of these suggestions.
    pub async fn new(
        view: SheetView<'_>,
        cases: Vec<SheetCase>,
        thumbnails: &dyn Thumbnails,
    ) -> Self {
        let mut rows = Vec::with_capacity(cases.len());
        for case in cases {
            rows.push(row(case, thumbnails).await);
        }
        let now = jiff::Timestamp::now();
        Self {
            gallery: view.gallery.to_string(),
            title: view.view.to_owned(),
            preview: view.preview.to_owned(),
            profile_id: view.profile.to_string(),
            date: now.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            datetime: now.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            cases: rows,
        }
    }

    /// The page: one HTML file that loads nothing from the network and runs no script.
    ///
    /// # Errors
    /// If a value cannot be formatted.
    pub fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }
}

async fn row(case: SheetCase, thumbnails: &dyn Thumbnails) -> CaseRow {
    let faces: Vec<StoredFace> = case.images.iter().map(|(_, face)| face.clone()).collect();
    let tiles = tiles(&faces, Extreme::Worst, thumbnails).await;
    let tile = |((image, _), face): ((StoredImage, StoredFace), Option<FaceTile>)| {
        let size = image.size.map(|(width, height)| format!(", {width} x {height}"));
        Some(CaseTile {
            face: face?,
            subject: image.subject.map(|subject| subject.as_str().to_owned()),
            details: format!("image {}{}", image.id, size.unwrap_or_default()),
        })
    };
    CaseRow {
        suggestion: case.suggestion,
        evidence: case.evidence,
        tiles: case.images.into_iter().zip(tiles).filter_map(tile).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::NoThumbnails;
    use crate::report::fixture::{self, Fixture};

    #[tokio::test]
    async fn the_page_shows_pictures_side_by_side_and_escapes_their_names() {
        let store = Fixture::of_qualities(&[7, 88]);
        let images: Vec<_> = store
            .images
            .iter()
            .map(|image| {
                let subject = "<b>ada</b>".parse().ok();
                (StoredImage { subject, ..image.clone() }, image.faces[0].clone())
            })
            .collect();
        let (gallery, profile) = (fixture::gallery(), fixture::profile().id());
        let case = SheetCase {
            suggestion: "exclude <i>one</i>".into(),
            evidence: "the same bytes".into(),
            images,
        };
        let view = SheetView {
            gallery: &gallery,
            profile: &profile,
            view: "duplicates",
            preview: "0123456789ab",
        };
        let sheet = CurationSheet::new(view, vec![case], &NoThumbnails).await;
        let html = sheet.html().unwrap();
        for told in ["1 suggestions", "0123456789ab", "the same bytes", "duplicates", "image "] {
            assert!(html.contains(told), "{told}");
        }
        assert_eq!(html.matches("<li>").count(), 2);
        assert_eq!(html.matches("the image cannot be read here").count(), 2);
        assert!(!html.contains("<b>ada") && !html.contains("<i>one"), "{html}");
        assert!(html.contains("default-src 'none'") && !html.contains("<script"));
        let empty = CurationSheet::new(view, Vec::new(), &NoThumbnails).await;
        assert!(empty.html().unwrap().contains("Nothing to decide."));
    }
}
