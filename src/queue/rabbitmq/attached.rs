//! From which places a consumer takes now, and which of those wanted are not there. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Place;

/// Before a place that is not there is looked for again: first, doubled each time, and at most.
const FIRST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(30);
/// A time that nobody waits for.
const FAR_AWAY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The places of a session.
#[derive(Default)]
pub(super) struct Attached {
    /// From which it takes, with the tags of their consumers.
    taken: BTreeMap<Place, String>,
    /// Which are not there: when to look again, and the wait before that.
    missing: BTreeMap<Place, (Instant, Duration)>,
    /// Consumers so far: no tag is used twice.
    serial: u64,
}

impl Attached {
    /// Leaves all places but those of `wanted`; the tags of their consumers.
    pub(super) fn leave(&mut self, wanted: &BTreeSet<Place>) -> Vec<String> {
        self.missing.retain(|place, _| wanted.contains(place));
        let (kept, left): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.taken).into_iter().partition(|(place, _)| wanted.contains(place));
        self.taken = kept;
        left.into_values().collect()
    }

    /// Whether nobody takes from `place` yet, and it is time to look for it.
    pub(super) fn is_due(&self, place: &Place) -> bool {
        !self.taken.contains_key(place) && self.missing.get(place).is_none_or(|(again, _)| *again <= Instant::now())
    }

    /// Notes that `place` is not there.
    pub(super) fn miss(&mut self, place: Place) {
        let wait = self.missing.get(&place).map_or(FIRST, |(_, wait)| wait.saturating_mul(2).min(MOST));
        self.missing.insert(place, (Instant::now() + wait, wait));
    }

    /// Notes that `place` is taken from, by a consumer of the tag that is returned.
    pub(super) fn join(&mut self, place: Place) -> String {
        self.serial += 1;
        let tag = format!("{place}.{}", self.serial);
        self.missing.remove(&place);
        self.taken.insert(place, tag.clone());
        tag
    }

    /// The consumer of this tag ended: its place is gone, or was left.
    pub(super) fn end(&mut self, tag: &str) {
        let gone = self.taken.iter().find(|(_, other)| *other == tag).map(|(place, _)| place.clone());
        if let Some(place) = gone {
            self.taken.remove(&place);
            self.miss(place);
        }
    }

    /// When to look for a place that is not there.
    pub(super) fn next_look(&self) -> Instant {
        self.missing.values().map(|(again, _)| *again).min().unwrap_or_else(|| Instant::now() + FAR_AWAY)
    }
}
