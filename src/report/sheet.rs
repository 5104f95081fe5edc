//! The page of a search: each probe, and the faces that are most similar to it.

use askama::Template;

use super::Thumbnails;
use super::faces::{FaceTile, data_uri, tiles};
use super::figures::grouped;
use crate::domain::{GalleryName, ProfileId};
use crate::store::{Extreme, StoredFace};

/// An image that was searched with.
#[derive(Debug, Clone, PartialEq)]
pub struct SheetProbe {
    /// The image for people.
    pub name: String,
    /// Its face as PNG or JPEG.
    pub picture: Option<Vec<u8>>,
    /// The quality of its face, 0 to 100; or why it has no face to search with.
    pub face: Result<u8, String>,
    /// The faces that were found, the most similar first.
    pub candidates: Vec<SheetCandidate>,
}

/// A face that is similar to a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct SheetCandidate {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// Its false match rate, if that is known.
    pub fmr: Option<String>,
    /// The face.
    pub face: StoredFace,
    /// Whose it is, if that is known.
    pub subject: Option<String>,
}

/// What was searched.
#[derive(Debug, Clone, Copy)]
pub struct SheetSearch<'a> {
    /// The gallery.
    pub gallery: &'a GalleryName,
    /// The profile of its results.
    pub profile: &'a ProfileId,
    /// The number of faces, or references.
    pub faces: u64,
    /// The number of subjects that these stand for; none if faces were searched.
    pub subjects: Option<u64>,
}

/// The page of a search.
#[derive(Template)]
#[template(path = "report/sheet.html")]
pub struct Sheet {
    gallery: String,
    profile_id: String,
    searched: String,
    by_subject: bool,
    date: String,
    datetime: String,
    version: &'static str,
    notes: Vec<String>,
    probes: Vec<ProbeRow>,
}

/// A probe with its candidates.
struct ProbeRow {
    name: String,
    picture: Option<String>,
    quality: Option<u8>,
    reason: String,
    tiles: Vec<CandidateTile>,
}

struct CandidateTile {
    face: FaceTile,
    similarity: String,
    fmr: Option<String>,
    subject: Option<String>,
}

impl Sheet {
    /// The page of a search. `notes` are sentences on thresholds and rates.
    pub async fn new(
        search: SheetSearch<'_>,
        notes: Vec<String>,
        probes: Vec<SheetProbe>,
        thumbnails: &dyn Thumbnails,
    ) -> Self {
        let mut rows = Vec::with_capacity(probes.len());
        for probe in probes {
            rows.push(row(probe, thumbnails).await);
        }
        let now = jiff::Timestamp::now();
        Self {
            gallery: search.gallery.to_string(),
            profile_id: search.profile.to_string(),
            searched: match search.subjects {
                None => format!("{} faces", grouped(search.faces)),
                Some(subjects) => format!(
                    "{} references of {} subjects",
                    grouped(search.faces),
                    grouped(subjects)
                ),
            },
            by_subject: search.subjects.is_some(),
            date: now.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            datetime: now.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            version: env!("CARGO_PKG_VERSION"),
            notes,
            probes: rows,
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

async fn row(probe: SheetProbe, thumbnails: &dyn Thumbnails) -> ProbeRow {
    let faces: Vec<StoredFace> = probe.candidates.iter().map(|found| found.face.clone()).collect();
    let tiles = tiles(&faces, Extreme::Best, thumbnails).await;
    let tile = |(found, face): (SheetCandidate, Option<FaceTile>)| {
        let similarity = format!("{:.4}", found.similarity);
        face.map(|face| CandidateTile { face, similarity, fmr: found.fmr, subject: found.subject })
    };
    let (quality, reason) = match probe.face {
        Ok(quality) => (Some(quality), String::new()),
        Err(reason) => (None, reason),
    };
    ProbeRow {
        name: probe.name,
        picture: probe.picture.as_deref().and_then(data_uri),
        quality,
        reason,
        tiles: probe.candidates.into_iter().zip(tiles).filter_map(tile).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::NoThumbnails;
    use crate::report::fixture::{self, Fixture};

    #[tokio::test]
    async fn the_page_has_probes_and_candidates_and_escapes_their_names() {
        let store = Fixture::of_qualities(&[7, 88]);
        let candidates = store
            .images
            .iter()
            .flat_map(|image| &image.faces)
            .map(|face| SheetCandidate {
                similarity: 0.5,
                fmr: Some("<1e-5".into()),
                face: face.clone(),
                subject: Some("<b>ada</b>".into()),
            })
            .collect();
        let found = SheetProbe {
            name: "<i>probe</i>.jpg".into(),
            picture: Some(vec![0xff, 0xd8, 0xff, 0xe0]),
            face: Ok(63),
            candidates,
        };
        let nobody = SheetProbe {
            name: "cat.jpg".into(),
            picture: None,
            face: Err("no face found".into()),
            candidates: Vec::new(),
        };
        let (gallery, profile) = (fixture::gallery(), fixture::profile().id());
        let probes = vec![found, nobody];
        let notes = vec!["candidates exceed 0.3, & so on".into()];
        let of =
            SheetSearch { gallery: &gallery, profile: &profile, faces: 12_345, subjects: None };
        let sheet = Sheet::new(of, notes.clone(), probes.clone(), &NoThumbnails).await;
        let html = sheet.html().unwrap();
        let place = |html: &str, text| html.find(text).unwrap();
        assert!(place(&html, "0.5000") < place(&html, "ada&#60;"));
        let of = SheetSearch { subjects: Some(2_345), ..of };
        let by_subject = Sheet::new(of, notes, probes, &NoThumbnails).await.html().unwrap();
        assert!(by_subject.contains("12,345 references of 2,345 subjects searched"));
        assert!(place(&by_subject, "ada&#60;") < place(&by_subject, "0.5000"));
        for told in [
            "candidates exceed 0.3, &#38; so on",
            "12,345 faces",
            "similarity",
            "0.5000",
            "FMR &#60;1e-5",
            "no face found",
            "data:image/jpeg",
        ] {
            assert!(html.contains(told), "{told}");
        }
        assert!(!html.contains("<b>ada") && !html.contains("<i>probe"), "{html}");
        assert!(html.contains("default-src 'none'") && !html.contains("<script"));
    }
}
