//! An index in memory that follows the store, for a process that searches again and again.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::index::{FoundTemplate, People, SearchIndex, WAITING_BATCHES, cursors};
use super::{GalleryFace, SearchCandidate, SearchError, SearchedFace, candidates, stored_face};
use crate::domain::{FaceId, GalleryName, ProfileId, SubjectName};
use crate::matching::MatchingError;
use crate::store::{Searched, Snapshot, Store, TemplateBatch, TemplateKey, TemplateStamp};

/// How long [`LiveGallery::follow`] waits between two looks at the store, at least.
const POLL: Duration = Duration::from_millis(250);
/// Looking at everything takes at most one part in this many of the time.
const SHARE: u32 = 4;
/// References of this age are looked at each time: transactions that take longer than this from
/// their first statement to their end are seen by the next look at everything.
const LATELY: Duration = Duration::from_secs(30);

/// The templates of a gallery under one profile, in memory, as the store has them now. Searches go
/// on while the index changes, each on one state of it. Between two calls it holds no transaction
/// and no connection of the store.
pub struct LiveGallery {
    store: Arc<dyn Store>,
    gallery: GalleryName,
    profile: ProfileId,
    searched: Searched,
    threads: usize,
    state: Arc<RwLock<LiveState>>,
    /// Held while the store is looked at as a whole.
    refreshing: Mutex<()>,
    /// Held while the index changes, from the look at the store that says how.
    changing: Arc<Mutex<()>>,
    /// Whether the last look at the store failed.
    failing: AtomicBool,
}

/// An index, and which templates are in it.
struct LiveState {
    index: SearchIndex,
    /// When the result of each template was recorded ([`TemplateStamp::recorded`]).
    recorded: HashMap<TemplateKey, i64>,
    /// What was added since the present look at the store as a whole began.
    added: Vec<TemplateStamp>,
}

/// What [`LiveGallery::refresh`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Templates that are new, or come from a newer result.
    pub added: usize,
    /// Templates that are gone, or come from an older result.
    pub removed: usize,
}

impl LiveState {
    fn empty(searched: Searched) -> Self {
        Self { index: SearchIndex::empty(searched), recorded: HashMap::new(), added: Vec::new() }
    }

    /// The keys of what is gone and of what is new in `stamps`. One that changed is both.
    fn differences(
        &self,
        stamps: &[TemplateStamp],
    ) -> (HashSet<TemplateKey>, HashSet<TemplateKey>) {
        let now: HashMap<TemplateKey, i64> =
            stamps.iter().map(|stamp| (stamp.key, stamp.recorded)).collect();
        let only = |of: &HashMap<TemplateKey, i64>, other: &HashMap<TemplateKey, i64>| {
            let only = of.iter().filter(|(key, recorded)| other.get(key) != Some(recorded));
            only.map(|(key, _)| *key).collect()
        };
        (only(&self.recorded, &now), only(&now, &self.recorded))
    }

    /// Puts what was added since the look that found `stamps` into them.
    fn include_added(&self, stamps: &mut Vec<TemplateStamp>) {
        let added: HashSet<_> =
            self.added.iter().map(|stamp| (stamp.key, stamp.subject.as_ref())).collect();
        stamps.retain(|stamp| !added.contains(&(stamp.key, stamp.subject.as_ref())));
        stamps.extend(self.added.iter().cloned());
    }

    /// The keys of what is gone and of what is new in `stamps`, which are not all: of templates
    /// that come from another result than before. Leaves the stamps of what the index does not
    /// have.
    fn additions(
        &self,
        stamps: &mut Vec<TemplateStamp>,
    ) -> (HashSet<TemplateKey>, HashSet<TemplateKey>) {
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

impl LiveGallery {
    /// Reads what there is to search in `gallery` under `profile`. Searches use `threads` threads.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        (gallery, profile): (GalleryName, ProfileId),
        searched: Searched,
        threads: usize,
    ) -> Result<Self, SearchError> {
        let state = Arc::new(RwLock::new(LiveState::empty(searched)));
        let live = Self {
            store,
            gallery,
            profile,
            searched,
            threads,
            state,
            refreshing: Mutex::default(),
            changing: Arc::default(),
            failing: AtomicBool::new(false),
        };
        live.refresh().await?;
        Ok(live)
    }

    /// The number of faces, or references, that are searched.
    pub fn faces(&self) -> usize {
        self.state().index.len()
    }

    /// The number of subjects that are searched; none if faces are.
    pub fn subjects(&self) -> Option<usize> {
        self.state().index.subjects()
    }

    fn state(&self) -> RwLockReadGuard<'_, LiveState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, LiveState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the index up to date at once. Whoever enrolled, removed or erased something in this
    /// process calls it before telling so.
    ///
    /// # Errors
    /// If the store cannot be read. The index is then as it was, or empty if the store has a
    /// template that cannot be compared.
    pub async fn refresh(&self) -> Result<Refreshed, SearchError> {
        let _one_at_a_time = self.refreshing.lock().await;
        {
            let _unchanging = self.changing.lock().await;
            self.change().added.clear();
        }
        let mut snapshot = self.store.snapshot().await?;
        let (gallery, profile) = (&self.gallery, &self.profile);
        let mut stamps = snapshot.template_stamps(gallery, profile, self.searched, None).await?;
        let changing = Arc::clone(&self.changing).lock_owned().await;
        self.state().include_added(&mut stamps);
        let (gone, new) = self.state().differences(&stamps);
        let batches = self.read(snapshot.as_mut(), &new).await?;
        drop(snapshot);
        let refreshed = Refreshed { added: new.len(), removed: gone.len() };
        self.apply(changing, move |state| {
            state.recorded = stamps.iter().map(|stamp| (stamp.key, stamp.recorded)).collect();
            state.index.change(People::new(stamps), (&gone, &new), &batches)
        })
        .await?;
        Ok(refreshed)
    }

    /// Adds the references that became active lately. What is gone stays until the next
    /// [`Self::refresh`], and is not found: see [`Self::nearest`].
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn add_new(&self) -> Result<(), SearchError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut snapshot = self.store.snapshot().await?;
        let (gallery, profile) = (&self.gallery, &self.profile);
        let mut stamps = snapshot.new_reference_stamps(gallery, profile, LATELY).await?;
        let (gone, new) = self.state().additions(&mut stamps);
        if stamps.is_empty() {
            return Ok(());
        }
        let batches = self.read(snapshot.as_mut(), &new).await?;
        drop(snapshot);
        self.apply(changing, move |state| {
            state.recorded.extend(stamps.iter().map(|stamp| (stamp.key, stamp.recorded)));
            state.added.extend(stamps.iter().cloned());
            state.index.add(stamps, (&gone, &new), &batches)
        })
        .await
    }

    /// Changes the index, also if nobody waits for it any more. One that fails half-way is empty.
    async fn apply(
        &self,
        changing: OwnedMutexGuard<()>,
        change: impl FnOnce(&mut LiveState) -> Result<(), MatchingError> + Send + 'static,
    ) -> Result<(), SearchError> {
        let (state, searched) = (Arc::clone(&self.state), self.searched);
        let applied = move || {
            let _changing = changing;
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            let changed = change(&mut state);
            if changed.is_err() {
                *state = LiveState::empty(searched);
            }
            changed
        };
        Ok(tokio::task::spawn_blocking(applied).await??)
    }

    /// The templates of the results with these keys.
    async fn read(
        &self,
        snapshot: &mut dyn Snapshot,
        keys: &HashSet<TemplateKey>,
    ) -> Result<Vec<TemplateBatch>, SearchError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (cursors, (to, mut from)) = (cursors(keys), mpsc::channel(WAITING_BATCHES));
        let collect = async {
            let mut batches = Vec::new();
            while let Some(batch) = from.recv().await {
                batches.push(batch);
            }
            batches
        };
        let reading = snapshot.templates_of(&self.profile, &cursors, to);
        let (read, batches) = tokio::join!(reading, collect);
        read?;
        Ok(batches)
    }

    /// Follows the store until `stop` is cancelled. New references are looked for four times a
    /// second; everything as often, or less where that would take more than a quarter of the time.
    /// While the store cannot be read, the index stays as it is.
    pub async fn follow(&self, stop: CancellationToken) {
        let everything = async {
            let mut wait = POLL;
            while stop.run_until_cancelled(sleep(wait)).await.is_some() {
                let started = Instant::now();
                self.tell(self.refresh().await.map(drop));
                wait = POLL.max(started.elapsed() * (SHARE - 1));
            }
        };
        let new_references = async {
            while self.searched == Searched::References
                && stop.run_until_cancelled(sleep(POLL)).await.is_some()
            {
                self.tell(self.add_new().await);
            }
        };
        tokio::join!(everything, new_references);
    }

    /// Logs the first of several errors.
    fn tell(&self, seen: Result<(), SearchError>) {
        let failed_before = self.failing.swap(seen.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (seen, failed_before) {
            let gallery = &self.gallery;
            tracing::warn!(%gallery, %error, "the search index is not current");
        }
    }

    /// The face `id` of the gallery. None if it has no such face now, or the face has no template.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn face(&self, id: FaceId) -> Result<Option<GalleryFace>, SearchError> {
        let mut snapshot = self.store.snapshot().await?;
        stored_face(snapshot.as_mut(), (&self.gallery, &self.profile), id).await
    }

    /// The `k` candidates most similar to each probe, as
    /// [`GallerySearch::nearest`](super::GallerySearch::nearest) finds them. What was found is
    /// looked up in the store: if something of it was removed, renamed or scored again since, the
    /// index is brought up to date first, so that nobody is found who is not there any more.
    ///
    /// # Errors
    /// If the store cannot be read, or the probes are of another profile.
    pub async fn nearest(
        &self,
        probes: Vec<SearchedFace>,
        k: usize,
        least: f64,
    ) -> Result<Vec<Vec<SearchCandidate>>, SearchError> {
        let probes: Arc<[SearchedFace]> = probes.into();
        let mut found = self.search(&probes, k, least).await?;
        let mut snapshot = self.store.snapshot().await?;
        if !self.are_current(snapshot.as_mut(), &found).await? {
            drop(snapshot);
            self.refresh().await?;
            found = self.search(&probes, k, least).await?;
            snapshot = self.store.snapshot().await?;
        }
        let (found, _) = found;
        candidates(snapshot.as_mut(), found).await
    }

    /// What is found in the index, and when the results of it were recorded.
    async fn search(
        &self,
        probes: &Arc<[SearchedFace]>,
        k: usize,
        least: f64,
    ) -> Result<IndexAnswer, SearchError> {
        let (state, probes) = (Arc::clone(&self.state), Arc::clone(probes));
        let threads = self.threads;
        let search = move || {
            let state = state.read().unwrap_or_else(PoisonError::into_inner);
            let found = state.index.nearest(&probes, k, least, threads)?;
            let keys = found.iter().flatten().map(|each| each.key);
            let recorded = keys.filter_map(|key| Some((key, *state.recorded.get(&key)?))).collect();
            Ok((found, recorded))
        };
        tokio::task::spawn_blocking(search).await?
    }

    /// Whether the store still has all that was found, as it was.
    async fn are_current(
        &self,
        snapshot: &mut dyn Snapshot,
        (found, recorded): &IndexAnswer,
    ) -> Result<bool, SearchError> {
        let keys: HashSet<TemplateKey> = recorded.keys().copied().collect();
        let (gallery, profile, of) = (&self.gallery, &self.profile, cursors(&keys));
        let stamps = snapshot.template_stamps(gallery, profile, self.searched, Some(&of)).await?;
        let now: HashSet<(TemplateKey, Option<SubjectName>, i64)> =
            stamps.into_iter().map(|stamp| (stamp.key, stamp.subject, stamp.recorded)).collect();
        Ok(found.iter().flatten().all(|each| {
            let recorded = recorded.get(&each.key).copied().unwrap_or_default();
            now.contains(&(each.key, each.subject.clone(), recorded))
        }))
    }
}

/// What was found for each probe, and when the results of all that were recorded.
type IndexAnswer = (Vec<Vec<FoundTemplate>>, HashMap<TemplateKey, i64>);
