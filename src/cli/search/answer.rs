//! How the answers of `search` are shown.

use anyhow::Result;

use super::probe::Probe;
use crate::cli::compare::NO_THRESHOLDS;
use crate::cli::{printable, say};
use crate::domain::{GalleryName, ProfileId, SimilarityFmr, SourcedThresholds};
use crate::gallery::search::SearchCandidate;
use crate::report::{Sheet, SheetCandidate, SheetProbe, Thumbnails};
use crate::view::search::{CandidateView, LeastView, SearchView};
use crate::view::threshold::ThresholdsView;

/// What all probes of a search have in common.
pub(super) struct Searched<'a> {
    pub(super) gallery: &'a GalleryName,
    pub(super) profile: &'a ProfileId,
    /// Faces that were searched.
    pub(super) faces: u64,
    /// The thresholds that are known for these templates.
    pub(super) known: Option<&'a SourcedThresholds>,
    /// How similar candidates must be.
    pub(super) least: Option<LeastView>,
}

/// A probe and what was found; none if it has no face to search with.
pub(super) type ProbeAnswer = (Probe, Option<Vec<SearchCandidate>>);

impl Searched<'_> {
    fn fmr(&self, similarity: f64) -> Option<SimilarityFmr> {
        self.known.and_then(|known| known.thresholds.fmr_of(similarity))
    }

    pub(super) fn view(&self, (probe, candidates): ProbeAnswer) -> SearchView {
        let candidate = |(rank, found): (u32, SearchCandidate)| {
            let SearchCandidate { similarity, face, image } = found;
            let of = (self.gallery.clone(), self.profile.clone());
            CandidateView::new(rank, (similarity, self.fmr(similarity)), face, image, of)
        };
        SearchView {
            gallery: self.gallery.clone(),
            profile: self.profile.clone(),
            searched: self.faces,
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
        for (rank, SearchCandidate { similarity, image, face }) in (1..).zip(candidates) {
            let quality =
                face.quality.map_or_else(|| "-".to_owned(), |quality| quality.to_string());
            let fmr = self.fmr(*similarity).map(|fmr| format!("  FMR {:>7}", short(fmr)));
            let subject =
                image.subject.as_ref().map(|subject| format!("  subject {}", subject.as_str()));
            let line = format!(
                "{rank:>4}  similarity {similarity:.4}{}  quality {quality:>3}  {}{}  face {}",
                fmr.unwrap_or_default(),
                image.image.for_people(),
                subject.unwrap_or_default(),
                face.id
            );
            say(printable(&line))?;
        }
        Ok(())
    }

    /// Prints what was searched, and by which thresholds.
    pub(super) fn print_end(&self) -> Result<()> {
        let Self { gallery, profile, faces, .. } = self;
        say(format!("searched {faces} faces of gallery {gallery}, profile {profile}"))?;
        for note in self.notes() {
            say(printable(&note))?;
        }
        Ok(())
    }

    /// By which thresholds candidates are left out, and where rates come from.
    fn notes(&self) -> Vec<String> {
        let faces = self.faces;
        let limit = self.least.map(|LeastView { similarity, fmr, fpir }| match (fmr, fpir) {
            (Some(fmr), _) => {
                format!("candidates exceed {similarity:.4}, the threshold at FMR {fmr:e}")
            }
            (None, Some(fpir)) => format!(
                "candidates exceed {similarity:.4}, the threshold at FPIR {fpir:e} among {faces} \
                 faces"
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
            subject: found.image.subject.as_ref().map(|subject| subject.as_str().to_owned()),
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
        let of = (self.gallery, self.profile, self.faces);
        Sheet::new(of, self.notes(), probes, thumbnails).await
    }
}

/// A false match rate: `3.2e-5`, `<1e-5`, `>1e-2`.
fn short(fmr: SimilarityFmr) -> String {
    match fmr {
        SimilarityFmr::About(fmr) => format!("{fmr:.1e}"),
        SimilarityFmr::Below(fmr) => format!("<{fmr:e}"),
        SimilarityFmr::Above(fmr) => format!(">{fmr:e}"),
    }
}
