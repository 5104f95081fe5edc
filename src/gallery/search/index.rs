//! The templates of a gallery in memory, and whose they are.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::sync::mpsc;

use super::{SearchError, SearchedFace};
use crate::domain::{GalleryName, ProfileId, SubjectName, Template};
use crate::matching::{MatchingError, Neighbour, TemplateIndex};
use crate::store::{Searched, Snapshot, TemplateBatch, TemplateKey, TemplateStamp};

/// Batches of templates that wait to be added to the index.
pub(super) const WAITING_BATCHES: usize = 4;

/// Templates to search among.
pub(super) struct SearchIndex {
    templates: TemplateIndex<TemplateKey>,
    /// Whom the templates stand for; none if faces are searched.
    people: Option<People>,
}

/// The subjects of references.
#[derive(Default)]
pub(super) struct People {
    of: HashMap<TemplateKey, Vec<SubjectName>>,
    /// The number of references of each subject.
    references: HashMap<SubjectName, usize>,
    /// The most references of one subject.
    most: usize,
}

/// A template that is similar to a probe.
#[derive(Clone)]
pub(super) struct FoundTemplate {
    pub(super) key: TemplateKey,
    pub(super) similarity: f64,
    /// Whom it stands for; none if faces are searched.
    pub(super) subject: Option<SubjectName>,
}

impl People {
    pub(super) fn new(stamps: Vec<TemplateStamp>) -> Self {
        let mut people = Self { of: HashMap::with_capacity(stamps.len()), ..Self::default() };
        people.add(stamps);
        people
    }

    /// Adds references, those that it has already excepted.
    fn add(&mut self, stamps: Vec<TemplateStamp>) {
        for TemplateStamp { key, subject, .. } in stamps {
            let Some(subject) = subject else { continue };
            let subjects = self.of.entry(key).or_default();
            // In their own order: the store has none.
            if let Err(place) = subjects.binary_search(&subject) {
                let count = self.references.entry(subject.clone()).or_default();
                *count += 1;
                self.most = self.most.max(*count);
                subjects.insert(place, subject);
            }
        }
    }

    fn has(&self, stamp: &TemplateStamp) -> bool {
        stamp.subject.as_ref().is_none_or(|subject| self.of(stamp.key).contains(subject))
    }

    fn of(&self, key: TemplateKey) -> &[SubjectName] {
        self.of.get(&key).map(Vec::as_slice).unwrap_or_default()
    }
}

impl SearchIndex {
    /// Reads the templates of all faces.
    pub(super) async fn of_faces(
        snapshot: &mut dyn Snapshot,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<Self, SearchError> {
        let (to, batches) = mpsc::channel(WAITING_BATCHES);
        let indexing = tokio::task::spawn_blocking(move || index(batches, |_| true));
        let read = snapshot.templates(gallery, profile, to).await;
        // Why the index could not be built is the cause if reading ended early, too.
        let templates = indexing.await??;
        read?;
        Ok(Self { templates, people: None })
    }

    /// Reads the templates of the references with these stamps.
    pub(super) async fn of_references(
        snapshot: &mut dyn Snapshot,
        profile: &ProfileId,
        stamps: Vec<TemplateStamp>,
    ) -> Result<Self, SearchError> {
        let keys: HashSet<TemplateKey> = stamps.iter().map(|stamp| stamp.key).collect();
        let cursors = cursors(&keys);
        let (to, batches) = mpsc::channel(WAITING_BATCHES);
        let indexing =
            tokio::task::spawn_blocking(move || index(batches, |key| keys.contains(&key)));
        let read = snapshot.templates_of(profile, &cursors, to).await;
        let templates = indexing.await??;
        read?;
        Ok(Self { templates, people: Some(People::new(stamps)) })
    }

    /// Without any template.
    pub(super) fn empty(searched: Searched) -> Self {
        let people = match searched {
            Searched::Faces => None,
            Searched::References => Some(People::default()),
        };
        Self { templates: TemplateIndex::new(0, 0), people }
    }

    /// Makes the index that of `people`: the templates with the keys `gone` are removed, and those
    /// with the keys `new` added from `batches`.
    pub(super) fn change(
        &mut self,
        people: People,
        (gone, new): (&HashSet<TemplateKey>, &HashSet<TemplateKey>),
        batches: &[TemplateBatch],
    ) -> Result<(), MatchingError> {
        if self.people.is_some() {
            self.people = Some(people);
        }
        self.replace(gone, new, batches)
    }

    /// Adds references: the templates with the keys `gone` are removed, and those with the keys
    /// `new` added from `batches`.
    pub(super) fn add(
        &mut self,
        stamps: Vec<TemplateStamp>,
        (gone, new): (&HashSet<TemplateKey>, &HashSet<TemplateKey>),
        batches: &[TemplateBatch],
    ) -> Result<(), MatchingError> {
        if let Some(people) = &mut self.people {
            people.add(stamps);
        }
        self.replace(gone, new, batches)
    }

    fn replace(
        &mut self,
        gone: &HashSet<TemplateKey>,
        new: &HashSet<TemplateKey>,
        batches: &[TemplateBatch],
    ) -> Result<(), MatchingError> {
        if !gone.is_empty() {
            self.templates.retain(|key| !gone.contains(&key));
        }
        for batch in batches {
            add(&mut self.templates, batch, |key| new.contains(&key))?;
        }
        Ok(())
    }

    /// Whether it has the reference.
    pub(super) fn has(&self, stamp: &TemplateStamp) -> bool {
        self.people.as_ref().is_none_or(|people| people.has(stamp))
    }

    /// What is searched.
    pub(super) fn searched(&self) -> Searched {
        if self.people.is_some() { Searched::References } else { Searched::Faces }
    }

    /// The number of templates.
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    /// The number of subjects; none if faces are searched.
    pub(super) fn subjects(&self) -> Option<usize> {
        self.people.as_ref().map(|people| people.references.len())
    }

    /// The `k` best for each probe, the most similar first: faces, or subjects, each by its best
    /// reference. What the probe itself is, is left out.
    pub(super) fn nearest(
        &self,
        probes: &[SearchedFace],
        k: usize,
        least: f64,
        threads: usize,
    ) -> Result<Vec<Vec<FoundTemplate>>, MatchingError> {
        let templates: Vec<Template> = probes.iter().map(|probe| probe.template.clone()).collect();
        // So many templates are of at least `k` subjects.
        let of_each = self.people.as_ref().map_or(1, |people| people.most);
        let itself = usize::from(probes.iter().any(|probe| probe.stored.is_some()));
        let wanted = k.saturating_mul(of_each).saturating_add(itself);
        let nearest = self.templates.nearest(&templates, wanted, least, threads)?;
        let best = |(neighbours, probe): (Vec<Neighbour<TemplateKey>>, &SearchedFace)| {
            let mut best: Vec<FoundTemplate> = Vec::new();
            let mut seen: HashSet<&SubjectName> = HashSet::new();
            for Neighbour { key, similarity } in neighbours {
                if Some(key) == probe.stored {
                    continue;
                }
                match &self.people {
                    None => best.push(FoundTemplate { key, similarity, subject: None }),
                    Some(people) => {
                        let new = people.of(key).iter().filter(|&subject| seen.insert(subject));
                        best.extend(new.cloned().map(|subject| FoundTemplate {
                            key,
                            similarity,
                            subject: Some(subject),
                        }));
                    }
                }
            }
            best.truncate(k);
            best
        };
        Ok(nearest.into_iter().zip(probes).map(best).collect())
    }
}

/// The results of these keys.
pub(super) fn cursors(keys: &HashSet<TemplateKey>) -> Vec<i64> {
    let cursors: BTreeSet<i64> = keys.iter().map(|key| key.cursor()).collect();
    cursors.into_iter().collect()
}

/// The index of the templates whose keys are wanted.
fn index(
    mut batches: mpsc::Receiver<TemplateBatch>,
    wanted: impl Fn(TemplateKey) -> bool,
) -> Result<TemplateIndex<TemplateKey>, MatchingError> {
    let mut index = TemplateIndex::new(0, 0);
    while let Some(batch) = batches.blocking_recv() {
        add(&mut index, &batch, &wanted)?;
    }
    Ok(index)
}

/// Adds the templates of a batch whose keys are wanted.
fn add(
    index: &mut TemplateIndex<TemplateKey>,
    batch: &TemplateBatch,
    wanted: impl Fn(TemplateKey) -> bool,
) -> Result<(), MatchingError> {
    let dimension = batch.halves.len() / batch.keys.len().max(1);
    if index.is_empty() {
        let expected = usize::try_from(batch.expected).unwrap_or_default();
        *index = TemplateIndex::new(dimension, expected.max(batch.keys.len()));
    }
    if batch.keys.iter().all(|&key| wanted(key)) {
        return index.extend(&batch.keys, &batch.halves);
    }
    for (key, halves) in batch.keys.iter().zip(batch.halves.chunks(dimension.max(1))) {
        if wanted(*key) {
            index.extend(std::slice::from_ref(key), halves)?;
        }
    }
    Ok(())
}
