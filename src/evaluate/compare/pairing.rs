//! Reads the results of a gallery under two profiles, and pairs images and faces.
//!
//! An image is paired with itself, that is, with the same bytes at the same URI. What is kept of an
//! image takes about a hundred bytes, so a gallery of a million images takes about 100 MB; no
//! template is read here.

use std::collections::{BTreeMap, HashMap};

use super::subjects::SubjectsOf;
use crate::domain::{
    BoundingBox, GalleryName, GateFace, GateRules, ImageId, OutcomeKind, ProfileId, ReasonCode,
};
use crate::store::{PageFilter, PageQuery, Snapshot, StoreError, StoredFace, StoredImage};

/// Images read at a time.
const PAGE: u32 = 1000;
/// The least intersection over union of the boxes of one face.
const SAME_FACE: f32 = 0.5;
/// Images that are named as examples.
pub(super) const EXAMPLES: usize = 5;

/// An image with a final outcome under both profiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PairedImage {
    /// The stored image.
    pub id: ImageId,
    /// Its results.
    pub cursors: [i64; 2],
    /// Its unit in the bootstrap: that of its subject if that is known, or its own.
    pub unit: u32,
    /// Its row in the labels.
    pub label: Option<u32>,
    /// Whether its subject is known.
    pub has_subject: bool,
    /// The quality of its primary face under each profile; none if that has no template.
    pub qualities: [Option<u8>; 2],
    /// Whether it is scored under each profile.
    pub has_faces: [bool; 2],
    /// Why the gate rejects it under each profile; nothing if it accepts it.
    pub rejected: [ReasonSet; 2],
}

/// A face found under both profiles, with a score under both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PairedFace {
    /// The unit of its image.
    pub unit: u32,
    /// Its quality under each profile.
    pub qualities: [u8; 2],
    /// Its score under each profile.
    pub scores: [f32; 2],
}

/// Codes of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ReasonSet(u32);

impl ReasonSet {
    /// A set of these codes.
    pub(super) fn new(codes: impl IntoIterator<Item = ReasonCode>) -> Self {
        let bit = |code| ReasonCode::ALL.iter().position(|other| *other == code);
        Self(codes.into_iter().filter_map(bit).fold(0, |set, bit| set | 1 << bit))
    }

    /// Whether it has none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The codes.
    pub(super) fn codes(self) -> impl Iterator<Item = ReasonCode> {
        let has = move |bit: &usize| self.0 >> bit & 1 == 1;
        (0..ReasonCode::ALL.len()).filter(has).map(|bit| ReasonCode::ALL[bit])
    }
}

/// A number of results, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CountedResults {
    /// How many.
    pub count: usize,
    /// The cursors of the first ones.
    pub first: Vec<i64>,
}

impl CountedResults {
    fn add(&mut self, cursor: i64) {
        self.count += 1;
        if self.first.len() < EXAMPLES {
            self.first.push(cursor);
        }
    }
}

/// The results of a gallery under two profiles.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    /// Images with a final outcome under each profile.
    pub finals: [u64; 2],
    /// Images with a final outcome under one profile alone.
    pub only: [CountedResults; 2],
    /// Images with a final outcome under both, in the order of their results under NEW.
    pub images: Vec<PairedImage>,
    /// How these ended.
    pub outcomes: BTreeMap<(OutcomeKind, OutcomeKind), u64>,
    /// Their faces under each profile.
    pub face_counts: [u64; 2],
    /// Their faces under both.
    pub matched: u64,
    /// Those that are scored under both.
    pub faces: Vec<PairedFace>,
    /// Images of which another face is the primary one.
    pub other_primary: u64,
    /// Images that are scored under OLD alone.
    pub lost: CountedResults,
    /// Images that are scored under NEW alone.
    pub gained: CountedResults,
}

/// What is kept of a result under OLD.
struct Brief {
    cursor: i64,
    outcome: OutcomeKind,
    rejected: ReasonSet,
    faces: Box<[FaceBrief]>,
}

#[derive(Clone, Copy)]
struct FaceBrief {
    bbox: BoundingBox,
    score: Option<(u8, f32)>,
}

impl From<&StoredFace> for FaceBrief {
    fn from(stored: &StoredFace) -> Self {
        let score = stored.quality.zip(stored.score.map(|score| score as f32));
        Self { bbox: stored.face.bbox, score }
    }
}

impl Brief {
    fn new(image: &StoredImage, gate: &GateRules) -> Self {
        Self {
            cursor: image.cursor,
            outcome: image.outcome,
            rejected: rejected(image, gate),
            faces: image.faces.iter().map(FaceBrief::from).collect(),
        }
    }

    fn quality(&self) -> Option<u8> {
        self.faces.first()?.score.map(|(quality, _)| quality)
    }
}

fn rejected(image: &StoredImage, gate: &GateRules) -> ReasonSet {
    if image.outcome == OutcomeKind::Unreadable {
        return ReasonSet::new([ReasonCode::Unreadable]);
    }
    let face = |stored: &'_ StoredFace| -> Option<u8> { stored.quality };
    let faces: Vec<GateFace<'_>> = image
        .faces
        .iter()
        .map(|stored| GateFace {
            face: &stored.face,
            components: &stored.components,
            quality: face(stored),
        })
        .collect();
    ReasonSet::new(gate.reasons_of_faces(&faces).into_iter().map(|reason| reason.code))
}

/// Reads all results of `gallery` under both profiles from one state of the store.
///
/// # Errors
/// If the store cannot be read.
pub(super) async fn read(
    snapshot: &mut dyn Snapshot,
    gallery: &GalleryName,
    [old, new]: [&ProfileId; 2],
    gate: &GateRules,
    subjects: &mut SubjectsOf<'_>,
) -> Result<Pairing, StoreError> {
    let mut found = Pairing::default();
    let mut briefs: HashMap<ImageId, Brief> = HashMap::new();
    each_final(snapshot, gallery, old, |image| {
        found.finals[0] += 1;
        briefs.insert(image.id, Brief::new(&image, gate));
    })
    .await?;
    each_final(snapshot, gallery, new, |image| {
        found.finals[1] += 1;
        match briefs.remove(&image.id) {
            None => found.only[1].add(image.cursor),
            Some(brief) => found.add(&brief, &Brief::new(&image, gate), &image, subjects),
        }
    })
    .await?;
    let mut left: Vec<i64> = briefs.into_values().map(|brief| brief.cursor).collect();
    left.sort_unstable();
    left.into_iter().for_each(|cursor| found.only[0].add(cursor));
    Ok(found)
}

/// Calls `visit` with every image whose bytes have a final outcome.
async fn each_final(
    snapshot: &mut dyn Snapshot,
    gallery: &GalleryName,
    profile: &ProfileId,
    mut visit: impl FnMut(StoredImage) + Send,
) -> Result<(), StoreError> {
    let outcomes = OutcomeKind::ALL.into_iter().filter(|outcome| outcome.is_final()).collect();
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes,
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: PAGE,
        templates: false,
    };
    loop {
        let page = snapshot.page(&query).await?;
        let Some(last) = page.last() else { return Ok(()) };
        query.after = last.cursor;
        // Without a hash, no bytes came: that says nothing about the image.
        page.into_iter().filter(|image| image.hash.is_some()).for_each(&mut visit);
    }
}

impl Pairing {
    fn add(
        &mut self,
        old: &Brief,
        new: &Brief,
        image: &StoredImage,
        subjects: &mut SubjectsOf<'_>,
    ) {
        let named = subjects.of(image);
        let cursors = [old.cursor, new.cursor];
        self.images.push(PairedImage {
            id: image.id,
            cursors,
            unit: named.unit,
            label: named.label,
            has_subject: named.known,
            qualities: [old.quality(), new.quality()],
            has_faces: [old, new].map(|result| result.outcome == OutcomeKind::Scored),
            rejected: [old.rejected, new.rejected],
        });
        *self.outcomes.entry((old.outcome, new.outcome)).or_default() += 1;
        match (old.outcome, new.outcome) {
            (OutcomeKind::Scored, OutcomeKind::Scored) => {}
            (OutcomeKind::Scored, _) => self.lost.add(old.cursor),
            (_, OutcomeKind::Scored) => self.gained.add(new.cursor),
            _ => {}
        }
        self.face_counts[0] += old.faces.len() as u64;
        self.face_counts[1] += new.faces.len() as u64;
        let pairs = same_faces(&old.faces, &new.faces);
        self.matched += pairs.len() as u64;
        let both = !old.faces.is_empty() && !new.faces.is_empty();
        self.other_primary += u64::from(both && !pairs.contains(&(0, 0)));
        for (a, b) in pairs {
            if let Some((old, new)) = old.faces[a].score.zip(new.faces[b].score) {
                self.faces.push(PairedFace {
                    unit: named.unit,
                    qualities: [old.0, new.0],
                    scores: [old.1, new.1],
                });
            }
        }
    }
}

/// Pairs of overlapping boxes, by index: those that overlap most first, and each box once.
fn same_faces(old: &[FaceBrief], new: &[FaceBrief]) -> Vec<(usize, usize)> {
    let mut overlaps: Vec<(f32, usize, usize)> = Vec::new();
    for (a, one) in old.iter().enumerate() {
        for (b, other) in new.iter().enumerate() {
            let overlap = one.bbox.iou(&other.bbox);
            if overlap >= SAME_FACE {
                overlaps.push((overlap, a, b));
            }
        }
    }
    overlaps.sort_by(|x, y| y.0.total_cmp(&x.0).then((x.1, x.2).cmp(&(y.1, y.2))));
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (_, a, b) in overlaps {
        if pairs.iter().all(|pair| pair.0 != a && pair.1 != b) {
            pairs.push((a, b));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32) -> FaceBrief {
        let bbox = BoundingBox { x, y: 0.0, width: 100.0, height: 100.0 };
        FaceBrief { bbox, score: None }
    }

    #[test]
    fn a_face_is_paired_with_the_one_that_it_overlaps_most() {
        // An offset of 20 is an overlap of 80 / 120, one of 33 of 67 / 133: just half.
        let old = [face(0.0), face(20.0), face(500.0)];
        let new = [face(22.0), face(-20.0), face(534.0)];
        assert_eq!(same_faces(&old, &new), [(1, 0), (0, 1)]);
        assert_eq!(same_faces(&old[2..], &[face(533.0)]), [(0, 0)]);
        assert_eq!(same_faces(&old, &[]), []);
    }

    #[test]
    fn a_set_of_codes_gives_them_back() {
        let codes = [ReasonCode::NoFace, ReasonCode::LooksLikeAnother];
        assert_eq!(ReasonSet::new(codes).codes().collect::<Vec<_>>(), codes);
        assert!(ReasonSet::default().is_empty() && !ReasonSet::new(codes).is_empty());
    }
}
