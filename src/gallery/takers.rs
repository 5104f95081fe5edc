//! Whether any worker takes the jobs of a scan, and whether a worker refuses what others of its
//! fleet read. Workers report themselves to the store, see [`Workers`].

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::domain::{Lane, ProfileId, SeenWorker, WorkerReport};
use crate::images::Root;
use crate::store::Workers;

/// How often [`watch`] looks. It tells what two looks in a row agree on.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most names in a sentence.
const NAMED: usize = 5;

/// What the jobs of a scan need.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Their queue, as [`WorkerReport::queue`].
    pub queue: String,
    /// Their lane.
    pub lane: Lane,
    /// Their profile.
    pub profile: ProfileId,
    /// Where their images are. Empty: anywhere.
    pub roots: Vec<Root>,
}

/// Why jobs wait or are refused: what no worker of `workers`, or not every one, has of `wanted`.
/// `None` if all is well.
pub fn missing(workers: &[SeenWorker], wanted: &Wanted) -> Option<String> {
    let Wanted { queue, lane, profile, .. } = wanted;
    let live: Vec<&WorkerReport> =
        workers.iter().filter(|worker| worker.live).map(|worker| &worker.report).collect();
    let fleet: Vec<&WorkerReport> =
        live.iter().copied().filter(|worker| worker.queue == *queue).collect();
    if fleet.is_empty() {
        return Some(no_worker(workers, &live, queue));
    }
    let of_lane: Vec<&WorkerReport> =
        fleet.iter().copied().filter(|worker| worker.lanes.contains(lane)).collect();
    if of_lane.is_empty() {
        let taken = names(fleet.iter().flat_map(|worker| &worker.lanes).map(Lane::to_string));
        return Some(format!(
            "no worker takes jobs of the lane {lane}; the running ones ({}) take {taken}: start \
                one with --lanes {lane}",
            fleet.len()
        ));
    }
    let of_profile: Vec<&WorkerReport> =
        of_lane.iter().copied().filter(|worker| worker.profile == *profile).collect();
    if of_profile.is_empty() {
        let had = names(of_lane.iter().map(|worker| worker.profile.to_string()));
        return Some(format!(
            "no worker has the profile {profile}; the running ones ({}) have {had}: the jobs wait \
                for a worker with the models and settings of this scan",
            of_lane.len()
        ));
    }
    refused(&of_profile, &wanted.roots)
}

/// As [`missing`], if jobs would not wait but be taken and refused.
pub fn refusal(workers: &[SeenWorker], wanted: &Wanted) -> Option<String> {
    let takes = |worker: &&WorkerReport| {
        worker.queue == wanted.queue
            && worker.lanes.contains(&wanted.lane)
            && worker.profile == wanted.profile
    };
    let live = workers.iter().filter(|worker| worker.live).map(|worker| &worker.report);
    let takers: Vec<&WorkerReport> = live.filter(takes).collect();
    if takers.is_empty() { None } else { refused(&takers, &wanted.roots) }
}

fn no_worker(workers: &[SeenWorker], live: &[&WorkerReport], queue: &str) -> String {
    let start = "start `facefleet worker` with the same queue.url, queue.prefix and store.url";
    let last = workers.iter().max_by(|a, b| a.last_seen.cmp(&b.last_seen));
    match last {
        _ if !live.is_empty() => {
            let others = names(live.iter().map(|worker| worker.queue.clone()));
            format!(
                "no worker takes jobs from this queue (virtual host and prefix {queue}); the \
                    running ones ({}) take from {others}: {start}",
                live.len()
            )
        }
        Some(SeenWorker { report, last_seen, .. }) => format!(
            "no worker is running ({} was last seen {last_seen:.19}Z): {start}",
            report.name()
        ),
        None => format!("no worker is running: {start}"),
    }
}

/// The roots that no worker may read, or not every one.
fn refused(workers: &[&WorkerReport], roots: &[Root]) -> Option<String> {
    let outside = |root: &&Root| !workers.iter().any(|worker| allows(worker, root));
    let by_all: Vec<String> = roots.iter().filter(outside).map(Root::to_string).collect();
    if !by_all.is_empty() {
        let allowed = names(workers.iter().flat_map(|worker| worker.roots.clone()));
        return Some(format!(
            "no worker may read {}, and its images are refused; workers ({}) may read {}: start \
                them with --root, or set images.allow",
            names(by_all),
            workers.len(),
            or_nothing(allowed),
        ));
    }
    let refuses = |worker: &&&WorkerReport| roots.iter().any(|root| !allows(worker, root));
    let refusing: Vec<&&WorkerReport> = workers.iter().filter(refuses).collect();
    let first = refusing.first()?;
    Some(format!(
        "{} of {} workers refuse images of this scan: {} may read {} only; start all workers of a \
            fleet with the same --root and images.allow",
        refusing.len(),
        workers.len(),
        first.name(),
        or_nothing(names(first.roots.clone())),
    ))
}

/// Whether `worker` may read everything below `root`.
fn allows(worker: &WorkerReport, root: &Root) -> bool {
    let names = worker.roots.iter().chain(&worker.resolved);
    let own: Vec<Root> = names.filter_map(|name| name.parse().ok()).collect();
    let covered = |name: &String| {
        // A path that is not UTF-8 cannot be compared.
        name.contains(char::REPLACEMENT_CHARACTER)
            || name.parse().is_ok_and(|root| own.iter().any(|own| own.contains(&root)))
    };
    covered(&root.name()) || root.resolved().is_some_and(|path| covered(&path))
}

/// Calls `tell` when [`missing`] changes, with the sentence or with the news that workers take the
/// jobs now. Says nothing as long as nothing is missing. `told`: what is missing and was told
/// already. Looks until it is dropped.
pub async fn watch(
    store: &dyn Workers,
    wanted: &Wanted,
    mut told: Option<String>,
    mut tell: impl FnMut(&str),
) -> Infallible {
    let mut before = told.clone();
    let mut next = interval(LOOK_EVERY);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        // The scan itself reports a store that fails.
        let Ok(workers) = store.workers().await else { continue };
        let now = missing(&workers, wanted);
        if now == before && now != told {
            tell(now.as_deref().unwrap_or("workers take the jobs of this scan now"));
            told.clone_from(&now);
        }
        before = now;
    }
}

/// What differs between the roots of `own` and of other workers that take the same jobs: those
/// refuse images that `own` reads, or the other way round. A line for each worker that differs.
pub fn differing_roots(own: &WorkerReport, workers: &[SeenWorker]) -> Vec<String> {
    let others = workers.iter().filter(|worker| worker.live).map(|worker| &worker.report);
    let same_jobs = others.filter(|other| {
        other.id != own.id
            && other.queue == own.queue
            && other.lanes.iter().any(|lane| own.lanes.contains(lane))
    });
    same_jobs.filter_map(|other| difference(own, other)).collect()
}

/// The same for all live workers: each is compared with the first of its queue.
pub fn differences(workers: &[SeenWorker]) -> Vec<String> {
    let mut firsts: Vec<&WorkerReport> = Vec::new();
    for worker in workers.iter().filter(|worker| worker.live) {
        if !firsts.iter().any(|first| first.queue == worker.report.queue) {
            firsts.push(&worker.report);
        }
    }
    firsts.into_iter().flat_map(|first| differing_roots(first, workers)).collect()
}

fn difference(own: &WorkerReport, other: &WorkerReport) -> Option<String> {
    let beyond = |of: &WorkerReport, than: &WorkerReport| -> Vec<String> {
        let roots = of.roots.iter().filter_map(|name| Some((name, name.parse::<Root>().ok()?)));
        roots.filter(|(_, root)| !allows(than, root)).map(|(name, _)| name.clone()).collect()
    };
    let (more, less) = (beyond(own, other), beyond(other, own));
    let refuses = |who: &WorkerReport, what: Vec<String>| {
        (!what.is_empty()).then(|| format!("{} refuses images of {}", who.name(), names(what)))
    };
    let parts = [refuses(other, more), refuses(own, less)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", and "))
}

/// `items` without repetition, the first few of them.
fn names(items: impl IntoIterator<Item = String>) -> String {
    let all: BTreeSet<String> = items.into_iter().collect();
    let named: Vec<&str> = all.iter().take(NAMED).map(String::as_str).collect();
    let more = all.len() - named.len();
    let named = named.join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn or_nothing(names: String) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names }
}

#[cfg(test)]
mod tests;
