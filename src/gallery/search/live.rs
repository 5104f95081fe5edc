//! An index in memory that follows the store, for a process that searches again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::index::{FoundTemplate, People, SearchIndex, WAITING_BATCHES, cursors};
use super::{GalleryFace, SearchCandidate, SearchError, SearchedFace, candidates, stored_face};
use crate::domain::{FaceId, GalleryName, ProfileId, SubjectName};
use crate::store::{Searched, Snapshot, Store, TemplateBatch, TemplateKey, TemplateStamp};

/// How long [`LiveGallery::follow`] waits between two looks at the store, at least.
const POLL: Duration = Duration::from_millis(250);
/// Looking takes at most one part in this many of the time.
const SHARE: u32 = 4;

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
    /// Held while the index is brought up to date.
    refreshing: Arc<Mutex<()>>,
}

/// An index, and which templates are in it.
struct LiveState {
    index: SearchIndex,
    /// When the result of each template was recorded ([`TemplateStamp::recorded`]).
    recorded: HashMap<TemplateKey, i64>,
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
        Self { index: SearchIndex::empty(searched), recorded: HashMap::new() }
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
        let refreshing = Arc::default();
        let live = Self { store, gallery, profile, searched, threads, state, refreshing };
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

    /// Brings the index up to date at once. Whoever enrolled, removed or erased something in this
    /// process calls it before telling so.
    ///
    /// # Errors
    /// If the store cannot be read. The index is then as it was, or empty if the store has a
    /// template that cannot be compared.
    pub async fn refresh(&self) -> Result<Refreshed, SearchError> {
        let one_at_a_time = Arc::clone(&self.refreshing).lock_owned().await;
        let mut snapshot = self.store.snapshot().await?;
        let (gallery, profile) = (&self.gallery, &self.profile);
        let stamps = snapshot.template_stamps(gallery, profile, self.searched, None).await?;
        let (gone, new) = self.state().differences(&stamps);
        let batches = self.read(snapshot.as_mut(), &new).await?;
        drop(snapshot);
        let refreshed = Refreshed { added: new.len(), removed: gone.len() };
        let (state, searched) = (Arc::clone(&self.state), self.searched);
        let change = move || {
            // Also if nobody waits for the change any more.
            let _one_at_a_time = one_at_a_time;
            let recorded = stamps.iter().map(|stamp| (stamp.key, stamp.recorded)).collect();
            let people = People::new(stamps);
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            state.recorded = recorded;
            let changed = state.index.change(people, (&gone, &new), &batches);
            if changed.is_err() {
                *state = LiveState::empty(searched);
            }
            changed
        };
        tokio::task::spawn_blocking(change).await??;
        Ok(refreshed)
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

    /// Follows the store until `stop` is cancelled: looks at it four times a second, or less often
    /// where that would take more than a quarter of the time. While the store cannot be read, the
    /// index stays as it is.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut failing = false;
        let mut wait = POLL;
        while stop.run_until_cancelled(sleep(wait)).await.is_some() {
            let started = Instant::now();
            match self.refresh().await {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    let gallery = &self.gallery;
                    tracing::warn!(%gallery, %error, "the search index is not current");
                    failing = true;
                }
                Err(_) => {}
            }
            wait = POLL.max(started.elapsed() * (SHARE - 1));
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
