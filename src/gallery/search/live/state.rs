//! The index that a live gallery searches, and what is in it.

use std::collections::{HashMap, HashSet};

use crate::domain::ProfileId;
use crate::gallery::search::index::{People, SearchIndex};
use crate::matching::MatchingError;
use crate::store::{Searched, TemplateBatch, TemplateKey, TemplateStamp};

/// The profile of templates, and the id of the templates that it gives.
#[derive(Clone, PartialEq)]
pub(super) struct IndexedProfile {
    pub(super) id: ProfileId,
    pub(super) templates: ProfileId,
}

/// An index, and which templates are in it.
pub(super) struct LiveState {
    /// None if the gallery has no results.
    pub(super) profile: Option<IndexedProfile>,
    pub(super) index: SearchIndex,
    /// When the result of each template was recorded ([`TemplateStamp::recorded`]).
    pub(super) recorded: HashMap<TemplateKey, i64>,
    /// What was added since the present look at the store as a whole began.
    pub(super) added: Vec<TemplateStamp>,
}

/// The keys of templates that are gone, and of those that are new. One that comes from another
/// result than before is both.
pub(super) type Changed = (HashSet<TemplateKey>, HashSet<TemplateKey>);

impl LiveState {
    pub(super) fn empty(searched: Searched, profile: Option<IndexedProfile>) -> Self {
        let index = SearchIndex::empty(searched);
        Self { profile, index, recorded: HashMap::new(), added: Vec::new() }
    }

    /// Makes it the state of `stamps`: without the templates that are gone, and with those of
    /// `batches` that are new. Empty if a template cannot be compared with the others.
    pub(super) fn change(
        &mut self,
        stamps: Vec<TemplateStamp>,
        (gone, new): &Changed,
        batches: &[TemplateBatch],
    ) -> Result<(), MatchingError> {
        self.recorded = stamps.iter().map(|stamp| (stamp.key, stamp.recorded)).collect();
        let changed = self.index.change(People::new(stamps), (gone, new), batches);
        self.or_empty(changed)
    }

    /// As [`Self::change`], with `stamps` in addition to what there is.
    pub(super) fn add(
        &mut self,
        stamps: Vec<TemplateStamp>,
        (gone, new): &Changed,
        batches: &[TemplateBatch],
    ) -> Result<(), MatchingError> {
        self.recorded.extend(stamps.iter().map(|stamp| (stamp.key, stamp.recorded)));
        self.added.extend(stamps.iter().cloned());
        let changed = self.index.add(stamps, (gone, new), batches);
        self.or_empty(changed)
    }

    fn or_empty(&mut self, changed: Result<(), MatchingError>) -> Result<(), MatchingError> {
        if changed.is_err() {
            *self = Self::empty(self.index.searched(), self.profile.take());
        }
        changed
    }

    /// What changes so that it is the state of `stamps`.
    pub(super) fn differences(&self, stamps: &[TemplateStamp]) -> Changed {
        let now: HashMap<TemplateKey, i64> =
            stamps.iter().map(|stamp| (stamp.key, stamp.recorded)).collect();
        let only = |of: &HashMap<TemplateKey, i64>, other: &HashMap<TemplateKey, i64>| {
            let only = of.iter().filter(|(key, recorded)| other.get(key) != Some(recorded));
            only.map(|(key, _)| *key).collect()
        };
        (only(&self.recorded, &now), only(&now, &self.recorded))
    }

    /// Puts what was added since the look that found `stamps` into them.
    pub(super) fn include_added(&self, stamps: &mut Vec<TemplateStamp>) {
        let added: HashSet<_> =
            self.added.iter().map(|stamp| (stamp.key, stamp.subject.as_ref())).collect();
        stamps.retain(|stamp| !added.contains(&(stamp.key, stamp.subject.as_ref())));
        stamps.extend(self.added.iter().cloned());
    }

    /// What changes with `stamps`, which are not all. Leaves the stamps of what the index does not
    /// have.
    pub(super) fn additions(&self, stamps: &mut Vec<TemplateStamp>) -> Changed {
        let (mut gone, mut new) = (HashSet::new(), HashSet::new());
        stamps.retain(|stamp| {
            let known = self.recorded.get(&stamp.key);
            if known != Some(&stamp.recorded) {
                new.insert(stamp.key);
                gone.extend(known.map(|_| stamp.key));
            }
            known != Some(&stamp.recorded) || !self.index.has(stamp)
        });
        (gone, new)
    }
}
