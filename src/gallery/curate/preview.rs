//! What a view suggests, under a name, and the application of exactly that.

use super::load::CuratedGallery;
use super::suggestion::{CurateView, Suggestion};
use super::verdicts::{CurateError, Curator, judge};
use super::{duplicates, gone, people, quality};
use crate::domain::{CurationId, GalleryName, ImageId, ProfileId, Verdict};
use crate::store::{Store, choose_profile};

/// Digits of a preview's name: of its view and gallery, of what it shows, and of a check of both.
const DIGITS: [usize; 3] = [4, 10, 2];

/// What is looked for in a gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct CurateQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// What.
    pub view: CurateView,
    /// Two templates match above this similarity. Only outliers and collisions need it.
    pub threshold: f64,
    /// The most suggestions.
    pub limit: usize,
    /// Threads to compare templates with.
    pub threads: usize,
}

/// The suggestions of a view under the active profile.
#[derive(Debug, Clone, PartialEq)]
pub struct CuratePreview {
    /// The profile.
    pub profile: ProfileId,
    /// A name for exactly these suggestions and their evidence.
    pub name: String,
    /// The suggestions.
    pub suggestions: Vec<Suggestion>,
    /// Images of which it is not known what they show: they were recorded before this was kept.
    pub not_hashed: usize,
}

impl CuratePreview {
    /// The verdicts that an application gives.
    pub fn verdicts(&self) -> Vec<(ImageId, Verdict)> {
        self.suggestions.iter().flat_map(Suggestion::verdicts).collect()
    }
}

/// What a view suggests. What somebody decided is not suggested again.
///
/// # Errors
/// If the gallery has no results, or the store cannot be read.
pub async fn preview(store: &dyn Store, query: &CurateQuery) -> Result<CuratePreview, CurateError> {
    let profile = choose_profile(store, &query.gallery, None).await?;
    let mut gallery = CuratedGallery::read(store, &query.gallery, &profile).await?;
    if query.view == CurateView::Lowest {
        gallery.note_reviews(store, &query.gallery).await?;
    }
    let not_hashed = gallery.images.iter().filter(|it| it.image.picture.is_none()).count();
    let asked = query.clone();
    let suggestions = if query.view == CurateView::Gone {
        gone::missing(store, &query.gallery, &gallery, query.limit).await?
    } else {
        tokio::task::spawn_blocking(move || suggestions(&gallery, &asked)).await??
    };
    let name = name(query, &profile, &suggestions);
    Ok(CuratePreview { profile, name, suggestions, not_hashed })
}

fn suggestions(
    gallery: &CuratedGallery,
    query: &CurateQuery,
) -> Result<Vec<Suggestion>, CurateError> {
    let CurateQuery { threshold, limit, threads, .. } = *query;
    match query.view {
        CurateView::Lowest => Ok(quality::lowest(gallery, limit)),
        CurateView::Best => Ok(quality::best(gallery, limit)),
        CurateView::Duplicates => Ok(duplicates::duplicates(gallery, limit, threads)),
        CurateView::Outliers => people::outliers(gallery, threshold, limit, threads),
        CurateView::Collisions => people::collisions(gallery, threshold, limit, threads),
        // The store knows them.
        CurateView::Gone => Ok(Vec::new()),
    }
}

/// The name of these suggestions: a hash of all that a person sees of them. The images' subjects
/// and the times of their results are part of it, so that it changes with them.
fn name(query: &CurateQuery, profile: &ProfileId, suggestions: &[Suggestion]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut add = |text: String| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    add(format!("{} {} {profile}", query.view.as_str(), query.gallery));
    for Suggestion { image, other, evidence, verdict, images } in suggestions {
        for shown in [Some(image), other.as_ref()].into_iter().flatten() {
            let (image, face) = (&shown.image, &shown.face);
            let subject = image.subject.as_ref().map(|subject| subject.as_str());
            add(format!("{} {subject:?} {} {:?}", image.id, image.recorded_at, face.score));
        }
        let subject = match verdict {
            Some(Verdict::Reassign(subject)) => subject.as_str(),
            _ => "",
        };
        let verdict = verdict.as_ref().map(Verdict::as_str);
        add(format!("{evidence:?} {verdict:?} {subject} {images:?}"));
    }
    let [_, shown, _] = DIGITS;
    let shown = &hasher.finalize().to_hex()[..shown];
    let name = format!("{}{shown}", of_view(query.view, &query.gallery));
    format!("{name}{}", check(&name))
}

/// What the names of a view's previews begin with.
fn of_view(view: CurateView, gallery: &GalleryName) -> String {
    let text = format!("{} {gallery}", view.as_str());
    blake3::hash(text.as_bytes()).to_hex()[..DIGITS[0]].to_owned()
}

/// What the name of a preview ends with: one that was mistyped is known by it.
fn check(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex()[..DIGITS[2]].to_owned()
}

/// Why `name` is not what the view of `query` shows.
async fn mismatch(store: &dyn Store, query: &CurateQuery, name: &str) -> CurateError {
    let [view, shown, _] = DIGITS;
    let is_name = name.split_at_checked(view + shown).is_some_and(|(of, end)| check(of) == end);
    if !is_name {
        return CurateError::NoPreview(name.to_owned());
    }
    let is_of = |view, gallery: &GalleryName| name.starts_with(&of_view(view, gallery));
    if is_of(query.view, &query.gallery) {
        return CurateError::Changed;
    }
    let galleries = match store.galleries().await {
        Ok(galleries) => galleries,
        Err(error) => return error.into(),
    };
    for (gallery, _) in galleries {
        if let Some(view) = CurateView::ALL.into_iter().find(|view| is_of(*view, &gallery)) {
            return CurateError::OtherPreview { name: name.to_owned(), view, gallery };
        }
    }
    CurateError::NoPreview(name.to_owned())
}

/// Gives the verdicts that the preview `name` showed, all of them or none.
///
/// # Errors
/// If the view suggests anything else now, `name` is no preview or another view's, or the store
/// cannot be written.
pub async fn apply(
    store: &dyn Store,
    query: &CurateQuery,
    name: &str,
    curator: Curator,
) -> Result<(Option<CurationId>, u64), CurateError> {
    let preview = preview(store, query).await?;
    if preview.name != name {
        return Err(mismatch(store, query, name).await);
    }
    let (curation, verdicts, _) = judge(store, curator, preview.verdicts(), true).await?;
    Ok((curation, verdicts))
}
