//! An index in memory that follows the store, for a process that searches again and again.

mod state;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::state::{Changed, IndexedProfile, LiveState};
use super::index::{FoundTemplate, WAITING_BATCHES, cursors};
use super::{
    GalleryFace, OtherTemplates, ProbesProfile, SearchCandidate, SearchError, SearchedFace,
    candidates, stored_face,
};
use crate::domain::{FaceId, GalleryName, Profile, ProfileId, SubjectName};
use crate::matching::MatchingError;
use crate::store::{
    Searched, Snapshot, StampsOf, Store, TemplateBatch, TemplateKey, TemplateStamp,
};

/// How long [`LiveGallery::follow`] waits between two looks at the store, at least.
const POLL: Duration = Duration::from_millis(250);
/// Looking at everything takes at most one part in this many of the time.
const SHARE: u32 = 4;
/// References of this age are looked at each time: transactions that take longer than this from
/// their first statement to their end are seen by the next look at everything.
const LATELY: Duration = Duration::from_secs(30);

/// The templates of a gallery under one profile, in memory, as the store has them now. Searches go
/// on while the index changes, each on one state of it. If the active profile is followed and
/// another one is activated, the index is replaced as a whole. Between two calls it holds no
/// transaction and no connection of the store.
pub struct LiveGallery {
    store: Arc<dyn Store>,
    gallery: GalleryName,
    /// The profile, if it is not the active one.
    fixed: Option<ProfileId>,
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

/// What [`LiveGallery::refresh`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// Templates that are new, or come from a newer result.
    pub added: usize,
    /// Templates that are gone, or come from an older result.
    pub removed: usize,
}

impl LiveGallery {
    /// Reads what there is to search in `gallery` under `profile`, or under the active profile and
    /// then under whichever is active. Searches use `threads` threads.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(
        store: Arc<dyn Store>,
        (gallery, profile): (GalleryName, Option<ProfileId>),
        searched: Searched,
        threads: usize,
    ) -> Result<Self, SearchError> {
        let state = Arc::new(RwLock::new(LiveState::empty(searched, None)));
        let live = Self {
            store,
            gallery,
            fixed: profile,
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
            self.state.write().unwrap_or_else(PoisonError::into_inner).added.clear();
        }
        let mut snapshot = self.store.snapshot().await?;
        let profile = self.profile_now(snapshot.as_mut()).await?;
        let mut stamps = self.stamps(snapshot.as_mut(), profile.as_ref(), StampsOf::All).await?;
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let switches = self.profile() != profile;
        let changed: Changed = if switches {
            let gone = self.state().recorded.keys().copied().collect();
            (gone, stamps.iter().map(|stamp| stamp.key).collect())
        } else {
            self.state().include_added(&mut stamps);
            self.state().differences(&stamps)
        };
        let batches = self.read(snapshot.as_mut(), profile.as_ref(), &changed.1).await?;
        drop(snapshot);
        let refreshed = Refreshed { added: changed.1.len(), removed: changed.0.len() };
        let searched = self.searched;
        let indexed = if switches { self.indexed(profile).await? } else { None };
        self.apply(changing, move |state| {
            if !switches {
                let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
                return state.change(stamps, &changed, &batches);
            }
            // Searches go on in the index of the other profile, until this one is complete.
            // If it cannot be built, each search says why.
            let mut other = LiveState::empty(searched, indexed);
            other.change(stamps, &(HashSet::new(), changed.1), &batches)?;
            *state.write().unwrap_or_else(PoisonError::into_inner) = other;
            Ok(())
        })
        .await?;
        Ok(refreshed)
    }

    /// Adds the references that became active lately. What is gone stays until the next
    /// [`Self::refresh`], and is not found: see [`Self::nearest`]. If another profile is active
    /// now, nothing changes.
    ///
    /// # Errors
    /// As [`Self::refresh`].
    pub async fn add_new(&self) -> Result<(), SearchError> {
        let changing = Arc::clone(&self.changing).lock_owned().await;
        let mut snapshot = self.store.snapshot().await?;
        let Some(profile) = self.profile_now(snapshot.as_mut()).await? else { return Ok(()) };
        if self.profile().as_ref() != Some(&profile) {
            return Ok(());
        }
        let lately = StampsOf::Lately(LATELY);
        let mut stamps = self.stamps(snapshot.as_mut(), Some(&profile), lately).await?;
        let changed = self.state().additions(&mut stamps);
        if stamps.is_empty() {
            return Ok(());
        }
        let batches = self.read(snapshot.as_mut(), Some(&profile), &changed.1).await?;
        drop(snapshot);
        self.apply(changing, move |state| {
            let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
            state.add(stamps, &changed, &batches)
        })
        .await
    }

    /// Changes the index, also if nobody waits for it any more.
    async fn apply(
        &self,
        changing: OwnedMutexGuard<()>,
        change: impl FnOnce(&RwLock<LiveState>) -> Result<(), MatchingError> + Send + 'static,
    ) -> Result<(), SearchError> {
        let state = Arc::clone(&self.state);
        let applied = move || {
            let _changing = changing;
            change(&state)
        };
        Ok(tokio::task::spawn_blocking(applied).await??)
    }

    /// The profile to search under; none if the gallery has no results.
    async fn profile_now(
        &self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<ProfileId>, SearchError> {
        match &self.fixed {
            Some(fixed) => Ok(Some(fixed.clone())),
            None => Ok(snapshot.active_profile(&self.gallery).await?),
        }
    }

    /// A profile with what it gives. It takes a connection of the store, so whoever calls it holds
    /// none.
    async fn indexed(&self, id: Option<ProfileId>) -> Result<Option<IndexedProfile>, SearchError> {
        let Some(id) = id else { return Ok(None) };
        let templates = self.store.profile(&id).await?.map(|profile| profile.templates_id());
        Ok(templates.map(|templates| IndexedProfile { id, templates }))
    }

    /// The stamps of templates under `profile`.
    async fn stamps(
        &self,
        snapshot: &mut dyn Snapshot,
        profile: Option<&ProfileId>,
        of: StampsOf<'_>,
    ) -> Result<Vec<TemplateStamp>, SearchError> {
        let Some(profile) = profile else { return Ok(Vec::new()) };
        let (gallery, searched) = (&self.gallery, self.searched);
        Ok(snapshot.template_stamps(gallery, profile, searched, of).await?)
    }

    /// The templates of the results with these keys.
    async fn read(
        &self,
        snapshot: &mut dyn Snapshot,
        profile: Option<&ProfileId>,
        keys: &HashSet<TemplateKey>,
    ) -> Result<Vec<TemplateBatch>, SearchError> {
        let Some(profile) = profile.filter(|_| !keys.is_empty()) else { return Ok(Vec::new()) };
        let (cursors, (to, mut from)) = (cursors(keys), mpsc::channel(WAITING_BATCHES));
        let collect = async {
            let mut batches = Vec::new();
            while let Some(batch) = from.recv().await {
                batches.push(batch);
            }
            batches
        };
        let reading = snapshot.templates_of(profile, &cursors, to);
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
        let Some(profile) = self.profile() else { return Ok(None) };
        let mut snapshot = self.store.snapshot().await?;
        stored_face(snapshot.as_mut(), (&self.gallery, &profile), id).await
    }

    /// The profile that is searched under; none if the gallery has no results.
    pub fn profile(&self) -> Option<ProfileId> {
        self.state().profile.as_ref().map(|profile| profile.id.clone())
    }

    /// The `k` candidates most similar to each probe, as
    /// [`GallerySearch::nearest`](super::GallerySearch::nearest) finds them; `probed` is the
    /// profile of the probes' templates. What was found is looked up in the store: if something of
    /// it was removed, renamed or scored again since, or another profile was activated, the index
    /// is brought up to date first, so that nobody is found who is not there any more.
    ///
    /// # Errors
    /// If the store cannot be read, or the profile that is searched under gives other templates
    /// than that of the probes.
    pub async fn nearest(
        &self,
        probed: &Profile,
        probes: Vec<SearchedFace>,
        k: usize,
        least: f64,
    ) -> Result<Vec<Vec<SearchCandidate>>, SearchError> {
        let probes: Arc<[SearchedFace]> = probes.into();
        let templates = probed.templates_id();
        let mut answer = self.search(&templates, &probes, k, least).await?;
        let mut snapshot = self.store.snapshot().await?;
        if !self.is_current(snapshot.as_mut(), &answer).await? {
            drop(snapshot);
            self.refresh().await?;
            answer = self.search(&templates, &probes, k, least).await?;
            snapshot = self.store.snapshot().await?;
        }
        match answer.profile {
            Some(searched) if searched.templates != templates => {
                Err(SearchError::OtherTemplates(Box::new(OtherTemplates {
                    gallery: self.gallery.clone(),
                    probes: probed.id(),
                    searched: searched.id,
                    results: ProbesProfile::WithoutResults,
                })))
            }
            _ => candidates(snapshot.as_mut(), answer.found).await,
        }
    }

    /// What is found in the index: nothing if its templates are others than those of the probes.
    async fn search(
        &self,
        templates: &ProfileId,
        probes: &Arc<[SearchedFace]>,
        k: usize,
        least: f64,
    ) -> Result<IndexAnswer, SearchError> {
        let (state, probes) = (Arc::clone(&self.state), Arc::clone(probes));
        let (threads, templates) = (self.threads, templates.clone());
        let search = move || {
            let state = state.read().unwrap_or_else(PoisonError::into_inner);
            let profile = state.profile.clone();
            if profile.as_ref().is_none_or(|profile| profile.templates != templates) {
                let found = vec![Vec::new(); probes.len()];
                return Ok(IndexAnswer { profile, found, recorded: HashMap::new() });
            }
            let found = state.index.nearest(&probes, k, least, threads)?;
            let keys = found.iter().flatten().map(|each| each.key);
            let recorded = keys.filter_map(|key| Some((key, *state.recorded.get(&key)?))).collect();
            Ok(IndexAnswer { profile, found, recorded })
        };
        tokio::task::spawn_blocking(search).await?
    }

    /// Whether the store still has all that was found, as it was, under the profile to search.
    async fn is_current(
        &self,
        snapshot: &mut dyn Snapshot,
        answer: &IndexAnswer,
    ) -> Result<bool, SearchError> {
        let answered = answer.profile.as_ref().map(|profile| &profile.id);
        if self.profile_now(snapshot).await?.as_ref() != answered {
            return Ok(false);
        }
        let keys: HashSet<TemplateKey> = answer.recorded.keys().copied().collect();
        let of = cursors(&keys);
        let stamps = self.stamps(snapshot, answered, StampsOf::Results(&of)).await?;
        let now: HashSet<(TemplateKey, Option<SubjectName>, i64)> =
            stamps.into_iter().map(|stamp| (stamp.key, stamp.subject, stamp.recorded)).collect();
        Ok(answer.found.iter().flatten().all(|each| {
            let recorded = answer.recorded.get(&each.key).copied().unwrap_or_default();
            now.contains(&(each.key, each.subject.clone(), recorded))
        }))
    }
}

/// What the index answers.
struct IndexAnswer {
    /// The profile of its templates.
    profile: Option<IndexedProfile>,
    /// What was found for each probe.
    found: Vec<Vec<FoundTemplate>>,
    /// When the results of all that were recorded.
    recorded: HashMap<TemplateKey, i64>,
}
