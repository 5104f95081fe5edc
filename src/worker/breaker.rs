//! Whether the sources of images work: a breaker each, so that an outage is charged to the source
//! and not to its images.
//!
//! A source is found at fault by looking, not by counting. After a failure that may be the
//! source's, images that were read before are read again: if they can be, the failure is the
//! image's own. If they cannot, or there are none and the source does not answer, the breaker
//! opens: the source's jobs wait until a probe finds it well, and no attempt is counted. The images
//! read before are a sample over all that were read, so that a folder that was deleted is no outage
//! and a share that went away is. A sample that is out of date is forgotten once something else can
//! be read. A breaker that opens again soon waits for longer before its next probe.
//!
//! What other workers noted of a source counts where this one has read nothing of it: whoever
//! starts in the middle of an outage does not take what it sees for the truth about images.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::sample::Sample;
use crate::domain::{ImageUri, SourceName};
use crate::images::{FetchError, ImageSource};
use crate::store::SOURCE_STATUS_TTL;
use crate::telemetry::metrics;

/// The wait before the first probe, doubled up to the last.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);
/// A breaker that opens within this time of closing goes on with the wait, and the age, of the last
/// outage.
const AGAIN: Duration = Duration::from_secs(300);
/// Of so many fetches, how many that found the source not answering open its breaker, though others
/// got through.
const RECENT: usize = 20;
const MOST_RECENT: usize = 10;
/// Images of waiting jobs that a probe tries where nothing was read before.
const HELD: usize = 8;

/// The breakers of all sources that a worker meets.
pub struct Breakers {
    images: Arc<dyn ImageSource>,
    /// How long an outage may last before its jobs are given up.
    longest: Duration,
    sources: Mutex<HashMap<SourceName, Arc<Breaker>>>,
}

/// What a source's breaker says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    /// Try it.
    Open,
    /// Give it up: the outage has lasted for longer than outages are waited for. What is wrong.
    GivenUp(String),
    /// Let it wait: why.
    Wait(String),
}

/// Whose a failure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The image's.
    Image,
    /// The source's: why.
    Source(String),
    /// This machine's: nothing could be found out.
    Local(String),
}

/// A source in trouble, for whoever tells people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which source.
    pub source: SourceName,
    /// What is wrong.
    pub reason: String,
    /// For how long it has been.
    pub lasting: Duration,
    /// Whether its jobs are given up one by one, because it has lasted for too long.
    pub given_up: bool,
}

struct Breaker {
    name: SourceName,
    state: Mutex<State>,
    /// When the last look at the source began, and what it found. Held while somebody looks: who
    /// waits takes what was found.
    looked: tokio::sync::Mutex<Option<(Instant, Found)>>,
}

#[derive(Default)]
struct State {
    outage: Option<Outage>,
    sample: Sample,
    /// Whether the source did not answer, for the last fetches.
    recent: VecDeque<bool>,
    /// Images of jobs that wait.
    held: VecDeque<ImageUri>,
    /// What others noted of the source, and when that was looked up: it is believed for a while.
    noted: Option<Noted>,
    /// The last outage, and when it ended.
    last: Option<(Outage, Instant)>,
}

#[derive(Clone)]
struct Outage {
    since: Instant,
    reason: String,
    next_probe: Instant,
    wait: Duration,
    given_up: bool,
}

/// A trouble of a source that a worker noted.
struct Noted {
    at: Instant,
    since: Instant,
    reason: String,
}

/// What a look at a source found.
#[derive(Debug, Clone)]
enum Found {
    /// What was read before can be read.
    Well,
    /// Nothing was read before.
    Nothing,
    Ill(String),
    Local(String),
}

impl Breakers {
    /// Breakers, all closed, of the sources of `images`. An outage is waited out for `longest`.
    pub fn new(images: Arc<dyn ImageSource>, longest: Duration) -> Self {
        Self { images, longest, sources: Mutex::default() }
    }

    /// The sources in trouble, by name.
    pub fn troubles(&self) -> Vec<Trouble> {
        let trouble = |breaker: Arc<Breaker>| {
            let state = breaker.state();
            let outage = state.outage.as_ref()?;
            let (reason, lasting) = (outage.reason.clone(), outage.since.elapsed());
            Some(Trouble {
                source: breaker.name.clone(),
                reason,
                lasting,
                given_up: outage.given_up,
            })
        };
        let mut troubles: Vec<Trouble> = self.all().into_iter().filter_map(trouble).collect();
        troubles.sort_by(|a, b| a.source.cmp(&b.source));
        troubles
    }

    /// Looks at the sources in trouble whose time has come, and closes the breakers of those that
    /// are well. To be called every second or so.
    pub async fn probe(&self) {
        let due = |breaker: &Arc<Breaker>| {
            breaker
                .state()
                .outage
                .as_ref()
                .is_some_and(|outage| outage.next_probe <= Instant::now())
        };
        let probes = self.all().into_iter().filter(due).map(|breaker| async move {
            let found = breaker.probe(self.images.as_ref()).await;
            breaker.probed(found, self.longest);
        });
        futures::future::join_all(probes).await;
    }

    /// Takes note of what workers noted of a source: that it has been in trouble for `lasting`.
    pub fn remember(&self, source: &SourceName, reason: &str, lasting: Duration) {
        let now = Instant::now();
        let since = now.checked_sub(lasting).unwrap_or(now);
        self.named(source).state().noted =
            Some(Noted { at: now, since, reason: reason.to_owned() });
    }

    /// Waits no longer for a source in trouble: its images end as failed until it works.
    pub fn give_up(&self, source: &SourceName) {
        if let Some(outage) = &mut self.named(source).state().outage {
            outage.given_up = true;
        }
    }

    pub(super) fn admit(&self, image: &ImageUri) -> (SourceName, Admission) {
        let name = self.images.source_of(image);
        // One that nothing was read from and nothing failed in has none: whoever writes jobs
        // invents as many sources as he likes.
        let known = self.sources.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let admission = known.map_or(Admission::Open, |breaker| breaker.admit(image));
        (name, admission)
    }

    /// An image was read.
    pub(super) async fn worked(&self, image: &ImageUri) {
        let part = self.images.part_of(image).await;
        self.of(image).worked(part, image);
    }

    /// Whose the failure of a fetch is that ended just now.
    pub(super) async fn judge(&self, image: &ImageUri, error: &FetchError) -> Fault {
        let failed = Instant::now();
        let breaker = self.of(image);
        let outage = matches!(error, FetchError::Outage(_));
        let often = breaker.note(outage);
        if matches!(error, FetchError::NotFound(_))
            && self.images.has_visible_neighbours(image).await
        {
            return Fault::Image;
        }
        let fault = match (breaker.look(self.images.as_ref(), failed).await, outage) {
            (Found::Local(reason), _) => Fault::Local(reason),
            (Found::Ill(reason), _) => Fault::Source(reason),
            (Found::Nothing, true) => Fault::Source(error.to_string()),
            (Found::Nothing, false) => breaker.doubted().map_or(Fault::Image, Fault::Source),
            (Found::Well, true) if often => {
                Fault::Source(format!("it answers now and then; otherwise: {error}"))
            }
            (Found::Well, _) => Fault::Image,
        };
        if let Fault::Source(reason) = &fault {
            breaker.open(reason, image);
        }
        fault
    }

    fn of(&self, image: &ImageUri) -> Arc<Breaker> {
        self.named(&self.images.source_of(image))
    }

    fn named(&self, name: &SourceName) -> Arc<Breaker> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Breaker {
                name: name.clone(),
                state: Mutex::default(),
                looked: tokio::sync::Mutex::default(),
            })
        };
        sources.entry(name.clone()).or_insert_with(new).clone()
    }

    fn all(&self) -> Vec<Arc<Breaker>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Breaker {
    /// The state. Nothing panics half-way through a change of it, so a poisoned lock is as good as
    /// any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, image: &ImageUri) -> Admission {
        let mut state = self.state();
        match &state.outage {
            None => Admission::Open,
            Some(outage) if outage.given_up => Admission::GivenUp(outage.reason.clone()),
            Some(outage) => {
                let reason = outage.reason.clone();
                state.hold(image);
                Admission::Wait(reason)
            }
        }
    }

    /// Notes that an image was read.
    fn worked(&self, part: u64, image: &ImageUri) {
        let mut state = self.state();
        state.recent(false);
        state.sample.count(part, image);
        state.noted = None;
        if state.close() {
            self.tell_well();
        }
    }

    /// What others noted of the source, if nothing was read of it here.
    fn doubted(&self) -> Option<String> {
        let state = self.state();
        let noted = state.noted.as_ref().filter(|noted| noted.at.elapsed() < SOURCE_STATUS_TTL);
        noted.filter(|_| state.sample.is_empty()).map(|noted| noted.reason.clone())
    }

    /// Notes a failure; true if the source has not answered too often of late.
    fn note(&self, outage: bool) -> bool {
        let mut state = self.state();
        state.recent(outage);
        state.recent.iter().filter(|outage| **outage).count() >= MOST_RECENT
    }

    /// What a look at the source finds that begins after `failed`: one for all that wait for it.
    async fn look(&self, images: &dyn ImageSource, failed: Instant) -> Found {
        let mut looked = self.looked.lock().await;
        if let Some((began, found)) = &*looked
            && *began >= failed
        {
            return found.clone();
        }
        let began = Instant::now();
        let found = self.look_now(images).await;
        *looked = Some((began, found.clone()));
        found
    }

    async fn look_now(&self, images: &dyn ImageSource) -> Found {
        match images.check_source(&self.name).await {
            Ok(()) => self.read_again(images).await,
            Err(reason) => Found::Ill(reason),
        }
    }

    /// Whether what was read before can be read.
    async fn read_again(&self, images: &dyn ImageSource) -> Found {
        let sample = self.state().sample.by_part();
        if sample.is_empty() {
            return Found::Nothing;
        }
        for part in sample {
            let mut last = None;
            for image in &part {
                match images.check_image(image).await {
                    Ok(()) => last = None,
                    Err(FetchError::Outage(reason)) => return Found::Ill(reason),
                    Err(FetchError::Shortage(reason)) => return Found::Local(reason),
                    Err(error) => {
                        last = Some(error.to_string());
                        continue;
                    }
                }
                break;
            }
            if let Some(reason) = last {
                return Found::Ill(format!(
                    "images that were read before cannot be read any more: {reason}"
                ));
            }
        }
        Found::Well
    }

    /// As [`Self::look_now`]; where nothing that was read before can be, one that waits will do.
    async fn probe(&self, images: &dyn ImageSource) -> Found {
        if let Err(reason) = images.check_source(&self.name).await {
            return Found::Ill(reason);
        }
        let found = self.read_again(images).await;
        let (Found::Ill(_) | Found::Nothing) = &found else { return found };
        let doubtful = matches!(found, Found::Ill(_)) || self.doubted().is_some();
        let held: Vec<ImageUri> = self.state().held.iter().rev().cloned().collect();
        for image in held {
            match images.check_image(&image).await {
                Ok(()) => {
                    // What was read before is out of date, if it is that which cannot be read.
                    self.state().sample = Sample::default();
                    return Found::Well;
                }
                Err(FetchError::Outage(reason)) => return Found::Ill(reason),
                Err(FetchError::Shortage(reason)) => return Found::Local(reason),
                // It answers; of those that were read before it says the same.
                Err(_) if doubtful => {}
                Err(_) => return Found::Well,
            }
        }
        found
    }

    fn probed(&self, found: Found, longest: Duration) {
        let mut state = self.state();
        let Some(outage) = &mut state.outage else { return };
        match found {
            Found::Well => {
                state.recent = VecDeque::new();
                state.noted = None;
                if state.close() {
                    self.tell_well();
                }
                return;
            }
            Found::Ill(reason) => outage.reason = reason,
            Found::Nothing | Found::Local(_) => {}
        }
        outage.wait = outage.wait.saturating_mul(2).min(LAST_PROBE);
        outage.next_probe = Instant::now() + outage.wait;
        if outage.since.elapsed() >= longest && !outage.given_up {
            outage.given_up = true;
            let (source, reason) = (&self.name, &outage.reason);
            tracing::error!(%source, reason, "a source has been in trouble for longer than \
                images.outage_seconds; its jobs are given up");
        }
    }

    fn open(&self, reason: &str, image: &ImageUri) {
        let mut state = self.state();
        state.hold(image);
        if state.outage.is_none() {
            let (now, reason) = (Instant::now(), reason.to_owned());
            tracing::warn!(source = %self.name, reason, "a source of images does not work; its \
                jobs wait until it does");
            metrics::source_trouble(&self.name, true);
            let again = state
                .last
                .take()
                .filter(|(_, ended)| ended.elapsed() < AGAIN)
                .map(|(outage, _)| outage);
            let noted = state
                .noted
                .as_ref()
                .filter(|noted| noted.at.elapsed() < SOURCE_STATUS_TTL)
                .map(|noted| noted.since);
            let wait = again
                .as_ref()
                .map_or(FIRST_PROBE, |outage| outage.wait.saturating_mul(2).min(LAST_PROBE));
            let since =
                again.map(|outage| outage.since).into_iter().chain(noted).min().unwrap_or(now);
            state.outage =
                Some(Outage { since, reason, next_probe: now + wait, wait, given_up: false });
        }
    }

    fn tell_well(&self) {
        tracing::info!(source = %self.name, "a source of images works again");
        metrics::source_trouble(&self.name, false);
    }
}

impl State {
    fn recent(&mut self, outage: bool) {
        self.recent.push_back(outage);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Ends the outage, if there is one.
    fn close(&mut self) -> bool {
        let ended = self.outage.take();
        let closed = ended.is_some();
        self.last = ended.map(|outage| (outage, Instant::now())).or_else(|| self.last.take());
        closed
    }

    fn hold(&mut self, image: &ImageUri) {
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back(image.clone());
    }
}
