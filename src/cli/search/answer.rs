//! How the answers of `search` are shown.

use anyhow::Result;

use super::probe::Probe;
use crate::cli::compare::NO_THRESHOLDS;
use crate::cli::{printable, say};
use crate::domain::{GalleryName, ProfileId, SimilarityFmr, SourcedThresholds, counted};
use crate::gallery::search::SearchCandidate;
use crate::report::{Sheet, SheetCandidate, SheetProbe, SheetSearch, Thumbnails};
use crate::store::Searched;
use crate::view::search::{CandidateView, LeastView, SearchView};
use crate::view::threshold::ThresholdsView;

/// What all probes of a search have in common.
pub(super) struct SearchAnswers<'a> {
    pub(super) gallery: &'a GalleryName,
    pub(super) profile: &'a ProfileId,
    /// What was searched.
    pub(super) by: Searched,
    /// Faces, or references, that were searched.
    pub(super) faces: u64,
    /// Subjects that were searched; none if faces were.
    pub(super) subjects: Option<u64>,
    /// The thresholds that are known for these templates.
    pub(super) known: Option<&'a SourcedThresholds>,
    /// How similar candidates must be.
    pub(super) least: Option<LeastView>,
}

/// A probe and what was found; none if it has no face to search with.
pub(super) type ProbeAnswer = (Probe, Option<Vec<SearchCandidate>>);

impl SearchAnswers<'_> {
    fn fmr(&self, similarity: f64) -> Option<SimilarityFmr> {
        self.known.and_then(|known| known.thresholds.fmr_of(similarity))
    }

    pub(super) fn view(&self, (probe, candidates): ProbeAnswer) -> SearchView {
        let candidate = |(rank, found): (u32, SearchCandidate)| {
            let SearchCandidate { similarity, subject, face, image } = found;
            let of = (self.gallery.clone(), self.profile.clone());
            CandidateView::new((rank, subject), (similarity, self.fmr(similarity)), face, image, of)
        };
        SearchView {
            gallery: self.gallery.clone(),
            profile: self.profile.clone(),
            by: self.by.into(),
            searched: self.faces,
            subjects: self.subjects,
            least: self.least,
            thresholds: self.known.map(ThresholdsView::from),
            probe: probe.view,
            candidates: candidates.map(|found| (1..).zip(found).map(candidate).collect()),
        }
    }

    /// Prints a probe and its candidates.
    pub(super) fn print(&self, (probe, candidates): &ProbeAnswer) -> Result<()> {
        if let Err(reason) = &probe.face {
            return Ok(say(printable(reason))?);
        }
        say(format!("{}: quality {}", printable(&probe.name), probe.quality()))?;
        let candidates = candidates.as_deref().unwrap_or_default();
        if candidates.is_empty() {
            say("   no candidate")?;
        }
        for (rank, candidate) in (1..).zip(candidates) {
            say(printable(&self.line(rank, candidate)))?;
        }
        Ok(())
    }

    fn line(&self, rank: u32, candidate: &SearchCandidate) -> String {
        let SearchCandidate { similarity, subject, image, face } = candidate;
        let quality = face.quality.map_or_else(|| "-".to_owned(), |quality| quality.to_string());
        let fmr = self.fmr(*similarity).map(|fmr| format!("  FMR {:>7}", short(fmr)));
        let fmr = fmr.unwrap_or_default();
        let name = subject.as_ref().map(|subject| format!("  subject {}", subject.as_str()));
        let (name, image) = (name.unwrap_or_default(), image.image.for_people());
        match self.by {
            Searched::References => format!(
                "{rank:>4}{name}  similarity {similarity:.4}{fmr}  reference of quality {quality}  \
                 {image}  face {}",
                face.id
            ),
            Searched::Faces => format!(
                "{rank:>4}  similarity {similarity:.4}{fmr}  quality {quality:>3}  {image}{name}  \
                 face {}",
                face.id
            ),
        }
    }

    /// What was searched, in words.
    pub(super) fn searched(&self) -> String {
        let Self { faces, subjects, .. } = self;
        match subjects {
            Some(subjects) => {
                format!("{} of {}", counted(*faces, "reference"), counted(*subjects, "subject"))
            }
            None => counted(*faces, "face"),
        }
    }

    /// Prints what was searched, and by which thresholds.
    pub(super) fn print_end(&self) -> Result<()> {
        let (Self { gallery, profile, .. }, searched) = (self, self.searched());
        say(format!("searched {searched} in gallery {gallery}, profile {profile}"))?;
        if self.subjects == Some(0) {
            say("no subject has an active reference there that can be compared: `facefleet \
                 subject list` shows who is enrolled, and how many references are set aside; \
                 `facefleet enrol` enrols, --by face searches all faces")?;
        }
        for note in self.notes() {
            say(printable(&note))?;
        }
        Ok(())
    }

    /// By which thresholds candidates are left out, and where rates come from.
    fn notes(&self) -> Vec<String> {
        let searched = self.searched();
        let limit = self.least.map(|LeastView { similarity, fmr, fpir }| match (fmr, fpir) {
            (Some(fmr), _) => {
                format!("candidates exceed {similarity:.4}, the threshold at FMR {fmr:e}")
            }
            (None, Some(fpir)) => format!(
                "candidates exceed {similarity:.4}, the threshold at FPIR {fpir:e} among \
                 {searched}"
            ),
            (None, None) => format!("candidates have a similarity of at least {similarity:.4}"),
        });
        let source =
            self.known.map_or_else(|| NO_THRESHOLDS.to_owned(), SourcedThresholds::to_string);
        limit.into_iter().chain([source]).collect()
    }

    /// The page of all answers.
    pub(super) async fn sheet(
        &self,
        answers: &[ProbeAnswer],
        thumbnails: &dyn Thumbnails,
    ) -> Sheet {
        let candidate = |found: &SearchCandidate| SheetCandidate {
            similarity: found.similarity,
            fmr: self.fmr(found.similarity).map(short),
            face: found.face.clone(),
            subject: found.subject.as_ref().map(|subject| subject.as_str().to_owned()),
        };
        let mut probes = Vec::with_capacity(answers.len());
        for (probe, found) in answers {
            probes.push(SheetProbe {
                name: probe.name.clone(),
                picture: probe.picture(thumbnails).await,
                face: probe.face.as_ref().map(|_| probe.quality()).map_err(Clone::clone),
                candidates: found.iter().flatten().map(candidate).collect(),
            });
        }
        let of = SheetSearch {
            gallery: self.gallery,
            profile: self.profile,
            faces: self.faces,
            subjects: self.subjects,
        };
        Sheet::new(of, self.notes(), probes, thumbnails).await
    }
}

/// A false match rate: `3.2e-5`, `<1e-5`, `>1e-2`.
pub(in crate::cli) fn short(fmr: SimilarityFmr) -> String {
    match fmr {
        SimilarityFmr::About(fmr) => format!("{fmr:.1e}"),
        SimilarityFmr::Below(fmr) => format!("<{fmr:e}"),
        SimilarityFmr::Above(fmr) => format!(">{fmr:e}"),
    }
}
