//! Adds verdicts inside their transaction, once for both backends.

use std::collections::{BTreeMap, BTreeSet};

use super::curation::{Judged, NewCuration};
use super::enrolling::{EnrolmentTables, NewState, restored};
use super::erasing::{TombstoneTables, erased_names};
use super::fault::Fault;
use super::rows::{JudgedImageRow, LiveVerdictRow, corrupt, parsed};
use crate::domain::{
    Curated, CurationId, GalleryName, ImageId, ProfileId, ReferenceRules, SubjectName, Verdict,
    VerdictId,
};

/// A verdict of an image that no undo took back.
pub(super) struct LiveVerdict {
    pub(super) id: VerdictId,
    pub(super) image: ImageId,
    pub(super) verdict: Verdict,
}

/// What follows from an image's verdicts.
pub(super) struct NewImageState {
    pub(super) image: i64,
    pub(super) left_out: bool,
    pub(super) gone: bool,
    /// The subject that a verdict gives it.
    pub(super) subject: Option<SubjectName>,
}

/// Two images of the same bytes that change places.
#[derive(Clone, Copy)]
pub(super) struct ChangeOfPlaces {
    /// The image that is at the place of the other one now, and has all that is known.
    pub(super) moved: i64,
    pub(super) other: i64,
    pub(super) hash: [u8; 32],
}

/// Reads and writes the rows of verdicts, inside a transaction.
pub(super) trait VerdictTables: Send {
    /// Locks the places of these images, and of those that they changed places with, until the end
    /// of the transaction. Whoever records locks places before images, too.
    fn lock_places(&mut self, images: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Those of these images that the gallery has, locked until the end of the transaction.
    fn judged_images(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> impl Future<Output = Result<Vec<JudgedImageRow>, Fault>> + Send;

    /// Their verdicts in force, in order.
    fn live_verdicts(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> impl Future<Output = Result<Vec<LiveVerdictRow>, Fault>> + Send;

    /// Adds the row of a curation.
    fn add_curation(
        &mut self,
        new: &NewCuration,
    ) -> impl Future<Output = Result<i64, Fault>> + Send;

    /// Adds verdicts of a curation.
    fn add_verdicts(
        &mut self,
        curation: i64,
        verdicts: &[(ImageId, &Verdict)],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The gallery's results under its active profile, and that profile; none without results.
    fn active_scope(
        &mut self,
        gallery: &GalleryName,
    ) -> impl Future<Output = Result<Option<(i64, ProfileId)>, Fault>> + Send;

    /// Writes what follows for images, and then for the references of these images. The subjects
    /// and images of those that count again.
    fn set_states(
        &mut self,
        states: &[NewImageState],
    ) -> impl Future<Output = Result<Vec<(i64, i64)>, Fault>> + Send;

    /// Ends that these images are missing.
    fn end_missing(&mut self, images: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Gives the images of each pair, which no other pair has, the URIs of each other.
    fn change_places(
        &mut self,
        pairs: &[ChangeOfPlaces],
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// An image that is judged.
struct JudgedImage {
    /// Its subject, before this curation.
    subject: Option<SubjectName>,
    /// None: no bytes came.
    hash: Option<[u8; 32]>,
    /// It is a reference, or it was decided whether it is one.
    enrolled: bool,
    before: Curated,
    live: Vec<(Option<VerdictId>, Verdict)>,
}

impl JudgedImage {
    fn new(row: &JudgedImageRow, live: Vec<LiveVerdict>) -> Result<Self, Fault> {
        let subject = row.subject.as_deref().map(parsed).transpose()?;
        let hash = row.content_hash.as_slice().try_into().ok();
        let live: Vec<_> = live.into_iter().map(|it| (Some(it.id), it.verdict)).collect();
        let before = Curated::after(live.iter().map(|(_, verdict)| verdict));
        Ok(Self { subject, hash, enrolled: row.enrolled, before, live })
    }

    fn state(&self) -> Curated {
        Curated::after(self.live.iter().map(|(_, verdict)| verdict))
    }

    /// The image that changes places with this one by `verdict`.
    fn changes_places_with(&self, verdict: &Verdict) -> Option<ImageId> {
        match verdict {
            Verdict::Moved(other) => Some(*other),
            Verdict::Undo(of) => self.live.iter().find_map(|(id, undone)| match undone {
                Verdict::Moved(other) if *id == Some(*of) => Some(*other),
                _ => None,
            }),
            _ => None,
        }
    }

    /// Whether the verdict changes something; it then counts. None if it undoes nothing.
    fn follow(&mut self, verdict: &Verdict) -> Option<bool> {
        if let Verdict::Undo(of) = verdict {
            let place = self.live.iter().position(|(id, _)| *id == Some(*of))?;
            self.live.remove(place);
            return Some(true);
        }
        let state = self.state();
        // Where no verdict says otherwise, it is the one that jobs named.
        let subject =
            if state.subject == self.before.subject { &self.subject } else { &state.subject };
        let changes = state.is_changed_by(verdict, subject.as_ref());
        if changes {
            self.live.push((None, verdict.clone()));
        }
        Some(changes)
    }

    fn new_state(&self, image: ImageId) -> NewImageState {
        let state = self.state();
        let left_out = state.is_left_out();
        NewImageState { image: image.0, left_out, gone: state.gone, subject: state.subject }
    }
}

/// Adds verdicts. An erasure that is under way is waited for before any row is locked: it would
/// wait for these rows in turn.
pub(super) async fn judge(
    tables: &mut (impl VerdictTables + TombstoneTables + EnrolmentTables),
    new: &NewCuration,
) -> Result<Judged, Fault> {
    tables.hold_off_erasures().await?;
    let named = new.verdicts.iter().filter_map(|(_, verdict)| match verdict {
        Verdict::Reassign(name) => Some(name),
        _ => None,
    });
    let named: Vec<&SubjectName> = named.collect();
    if let Some(name) = erased_names(tables, &new.gallery, &named).await?.first() {
        return Ok(Judged::Erased((*name).clone()));
    }
    lock_places(tables, new).await?;
    let mut images = match read(tables, new).await? {
        Ok(images) => images,
        Err(unknown) => return Ok(Judged::UnknownImage(unknown)),
    };
    let (mut written, mut unchanged) = (Vec::new(), Vec::new());
    let mut moves = Vec::new();
    for (id, verdict) in &new.verdicts {
        let told = told_by_other(&images, *id, verdict);
        if let Verdict::Moved(other) = verdict
            && !is_new_place(&images, *id, *other)
        {
            return Ok(Judged::Changed(*id));
        }
        let Some(image) = images.get_mut(id) else { return Ok(Judged::UnknownImage(*id)) };
        let moved = image.changes_places_with(verdict).zip(image.hash);
        let follows = if told { Some(false) } else { image.follow(verdict) };
        match (follows, verdict) {
            (None, Verdict::Undo(of)) => return Ok(Judged::NoVerdict(*of)),
            (Some(true), _) => {
                written.push((*id, verdict));
                let pair = |(ImageId(moved), hash)| ChangeOfPlaces { moved, other: id.0, hash };
                moves.extend(moved.map(pair));
            }
            _ if new.exact => return Ok(Judged::Changed(*id)),
            _ => unchanged.push(*id),
        }
    }
    if written.is_empty() {
        return Ok(Judged::Written { curation: None, verdicts: 0, unchanged });
    }
    let curation = tables.add_curation(new).await?;
    tables.add_verdicts(curation, &written).await?;
    let changed: BTreeSet<ImageId> = written.iter().map(|(id, _)| *id).collect();
    let states = changed.iter().filter_map(|id| Some(images.get(id)?.new_state(*id)));
    let back = tables.set_states(&states.collect::<Vec<_>>()).await?;
    choose_among(tables, &new.gallery, new.rules.as_ref(), &back).await?;
    change_places(tables, moves).await?;
    let (curation, verdicts) = (Some(CurationId(curation)), written.len() as u64);
    Ok(Judged::Written { curation, verdicts, unchanged })
}

/// The subjects and images of references that are active, of those that were judged.
pub(super) fn back(judged: Vec<(i64, i64, bool)>) -> Vec<(i64, i64)> {
    let active = judged.into_iter().filter(|(_, _, is_active)| *is_active);
    active.map(|(subject, image, _)| (subject, image)).collect()
}

/// Chooses among references, of which `back` count again, where a subject has no room for these.
/// Without rules, all of them count.
pub(super) async fn choose_among(
    tables: &mut (impl VerdictTables + EnrolmentTables),
    gallery: &GalleryName,
    rules: Option<&ReferenceRules>,
    back: &[(i64, i64)],
) -> Result<(), Fault> {
    let Some(rules) = rules.filter(|_| !back.is_empty()) else { return Ok(()) };
    let Some((scope, profile)) = tables.active_scope(gallery).await? else { return Ok(()) };
    let mut of_subjects: BTreeMap<i64, BTreeSet<ImageId>> = BTreeMap::new();
    for (subject, image) in back {
        of_subjects.entry(*subject).or_default().insert(ImageId(*image));
    }
    let mut changed = Vec::new();
    for (subject, images) in of_subjects {
        let rows = tables.references(&[subject], scope, &profile).await?;
        let states = restored(rows, &images, rules)?.into_iter();
        changed.extend(states.map(|(image, state)| NewState { subject, image: image.0, state }));
    }
    if changed.is_empty() { Ok(()) } else { tables.write_references(&changed).await }
}

/// Whether two images have the same bytes, and nothing is known of the one at the new place `id`
/// that the other one would replace: no other subject, reference, decision or verdict.
fn is_new_place(images: &BTreeMap<ImageId, JudgedImage>, id: ImageId, other: ImageId) -> bool {
    let (Some(one), Some(two)) = (images.get(&id), images.get(&other)) else { return false };
    let named = one.subject.is_some() && one.subject != two.subject;
    let of_place =
        |verdict| matches!(verdict, &Verdict::Gone | &Verdict::Moved(_) | &Verdict::Found);
    let judged = !one.live.iter().all(|(_, verdict)| of_place(verdict));
    let is_same = id != other && one.hash.is_some() && one.hash == two.hash;
    is_same && !named && !judged && !one.enrolled
}

/// Before any row is locked.
async fn lock_places(tables: &mut impl VerdictTables, new: &NewCuration) -> Result<(), Fault> {
    let mut changing = BTreeSet::new();
    for (id, verdict) in &new.verdicts {
        match verdict {
            Verdict::Moved(other) => changing.extend([id.0, other.0]),
            Verdict::Undo(_) => changing.extend([id.0]),
            _ => {}
        }
    }
    if changing.is_empty() {
        return Ok(());
    }
    tables.lock_places(&changing.into_iter().collect::<Vec<_>>()).await
}

/// Whether a verdict about the other image says that these two are not the same.
fn told_by_other(images: &BTreeMap<ImageId, JudgedImage>, id: ImageId, verdict: &Verdict) -> bool {
    let Verdict::NotTheSame(other) = verdict else { return false };
    images.get(other).is_some_and(|other| other.state().not_the_same.contains(&id))
}

/// Those of a later pair see what those of an earlier one did.
async fn change_places(
    tables: &mut impl VerdictTables,
    mut pairs: Vec<ChangeOfPlaces>,
) -> Result<(), Fault> {
    while !pairs.is_empty() {
        let mut seen = BTreeSet::new();
        let again = pairs.iter().position(|pair| {
            let both = [pair.moved, pair.other];
            both.iter().any(|image| seen.contains(image)) || {
                seen.extend(both);
                false
            }
        });
        let later = pairs.split_off(again.unwrap_or(pairs.len()));
        tables.change_places(&pairs).await?;
        pairs = later;
    }
    Ok(())
}

/// The images of a curation; or one that the gallery does not have.
async fn read(
    tables: &mut impl VerdictTables,
    new: &NewCuration,
) -> Result<Result<BTreeMap<ImageId, JudgedImage>, ImageId>, Fault> {
    let others = new.verdicts.iter().filter_map(|(_, verdict)| match verdict {
        Verdict::NotTheSame(other) | Verdict::Moved(other) => Some(*other),
        _ => None,
    });
    let all: BTreeSet<ImageId> = new.verdicts.iter().map(|(id, _)| *id).chain(others).collect();
    let ids: Vec<i64> = all.iter().map(|id| id.0).collect();
    let found = tables.judged_images(&new.gallery, &ids).await?;
    let mut live: BTreeMap<ImageId, Vec<LiveVerdict>> = BTreeMap::new();
    for row in tables.live_verdicts(&new.gallery, &ids).await? {
        let verdict = row.verdict()?;
        live.entry(verdict.image).or_default().push(verdict);
    }
    let mut images = BTreeMap::new();
    for row in found {
        let id = ImageId(row.image_id);
        images.insert(id, JudgedImage::new(&row, live.remove(&id).unwrap_or_default())?);
    }
    match all.into_iter().find(|id| !images.contains_key(id)) {
        Some(unknown) => Ok(Err(unknown)),
        None => Ok(Ok(images)),
    }
}

/// The states of images with these verdicts in force, in their order.
pub(super) fn curated(rows: Vec<LiveVerdictRow>) -> Result<BTreeMap<ImageId, Curated>, Fault> {
    let mut images: BTreeMap<ImageId, Curated> = BTreeMap::new();
    for row in rows {
        let LiveVerdict { image, verdict, .. } = row.verdict()?;
        images.entry(image).or_default().follow(&verdict);
    }
    Ok(images)
}

/// The verdict of these columns.
pub(super) fn verdict(
    name: &str,
    subject: Option<&str>,
    other: Option<i64>,
    undoes: Option<i64>,
) -> Result<Verdict, Fault> {
    let lacking = || corrupt(format!("a verdict '{name}' without what it is about"));
    Ok(match name {
        "exclude" => Verdict::Exclude,
        "restore" => Verdict::Restore,
        "keep" => Verdict::Keep,
        "reassign" => Verdict::Reassign(parsed(subject.ok_or_else(lacking)?)?),
        "not_the_same" => Verdict::NotTheSame(ImageId(other.ok_or_else(lacking)?)),
        "gone" => Verdict::Gone,
        "moved" => Verdict::Moved(ImageId(other.ok_or_else(lacking)?)),
        "found" => Verdict::Found,
        "undo" => Verdict::Undo(VerdictId(undoes.ok_or_else(lacking)?)),
        _ => return Err(corrupt(format!("unknown verdict '{name}'"))),
    })
}

/// The columns of a verdict: its subject, the other image, and the verdict that it undoes.
pub(super) fn columns(verdict: &Verdict) -> (Option<&str>, Option<i64>, Option<i64>) {
    match verdict {
        Verdict::Reassign(subject) => (Some(subject.as_str()), None, None),
        Verdict::NotTheSame(other) | Verdict::Moved(other) => (None, Some(other.0), None),
        Verdict::Undo(of) => (None, None, Some(of.0)),
        Verdict::Exclude | Verdict::Restore | Verdict::Keep | Verdict::Gone | Verdict::Found => {
            (None, None, None)
        }
    }
}
