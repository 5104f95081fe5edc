use std::sync::Mutex;

use async_trait::async_trait;
use tokio::time::timeout;

use super::*;
use crate::domain::WorkerId;
use crate::store::StoreError;

fn profile(digit: char) -> ProfileId {
    digit.to_string().repeat(16).parse().unwrap()
}

fn worker(host: &str, roots: &[&str]) -> SeenWorker {
    let report = WorkerReport {
        id: WorkerId::new(),
        host: host.to_owned(),
        pid: 7,
        version: "0.2.0".to_owned(),
        queue: "/ facefleet".to_owned(),
        profile: profile('a'),
        provider: "cpu".to_owned(),
        lanes: Lane::ALL.to_vec(),
        roots: roots.iter().map(|root| (*root).to_owned()).collect(),
        resolved: Vec::new(),
        listener: None,
        settings: Default::default(),
    };
    let time = "2026-11-26T04:00:00Z".to_owned();
    SeenWorker { report, live: true, started_at: time.clone(), last_seen: time }
}

fn wanted(roots: &[&str]) -> Wanted {
    Wanted {
        queue: "/ facefleet".to_owned(),
        lane: Lane::Scan,
        profile: profile('a'),
        roots: roots.iter().map(|root| root.parse().unwrap()).collect(),
    }
}

fn said(workers: &[SeenWorker]) -> String {
    missing(workers, &wanted(&["s3://photos/staff"])).unwrap_or_default()
}

#[test]
fn a_worker_of_the_queue_lane_profile_and_root_is_enough() {
    assert_eq!(said(&[worker("one", &["s3://photos"])]), "");
    assert_eq!(missing(&[worker("one", &[])], &wanted(&[])), None);
}

#[test]
fn what_no_worker_has_is_named_with_what_they_have() {
    let gone = SeenWorker { live: false, ..worker("one", &["s3://photos"]) };
    let mut other_queue = worker("one", &["s3://photos"]);
    other_queue.report.queue = "/ other".to_owned();
    let mut other_lane = worker("one", &["s3://photos"]);
    other_lane.report.lanes = vec![Lane::Enrol, Lane::Rescore];
    let mut other_profile = worker("one", &["s3://photos"]);
    other_profile.report.profile = profile('b');
    for (workers, parts) in [
        (vec![], ["no worker is running: start", "facefleet worker"]),
        (vec![gone.clone()], ["one:7 was last seen 2026-11-26T04:00:00Z", "start"]),
        (vec![gone, other_queue], ["(virtual host and prefix / facefleet)", "from / other"]),
        (vec![other_lane], ["lane scan", "take enrol, rescore"]),
        (vec![other_profile], ["the profile aaaaaaaaaaaaaaaa", "have bbbbbbbbbbbbbbbb"]),
        (
            vec![worker("one", &["s3://other", "/photos"]), worker("two", &["s3://other"])],
            ["may read s3://photos/staff,", "may read /photos, s3://other"],
        ),
        (vec![worker("one", &[])], ["no worker may read", "may read nothing"]),
        (
            vec![worker("one", &["s3://photos"]), worker("two", &["s3://other"])],
            ["1 of 2 workers refuse", "two:7 may read s3://other only"],
        ),
    ] {
        let said = said(&workers);
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
}

#[test]
fn a_long_list_of_names_is_cut() {
    let many: Vec<String> = (0..9).map(|number| format!("/{number}")).collect();
    assert_eq!(names(many), "/0, /1, /2, /3, /4 and 4 more");
}

#[test]
fn workers_that_share_jobs_and_not_roots_differ() {
    let own = worker("own", &["/photos", "s3://photos"]).report;
    let differs = |other: SeenWorker| differing_roots(&own, &[other]);
    assert_eq!(differs(worker("same", &["s3://photos", "/photos"])), [""; 0]);
    assert_eq!(differs(worker("wider", &["s3://photos", "/photos", "/photos/b"])), [""; 0]);
    assert_eq!(
        differs(worker("other", &["s3://photos", "/other"])),
        ["other:7 refuses images of /photos, and own:7 refuses images of /other"]
    );
    let mut elsewhere = worker("elsewhere", &["/other"]);
    elsewhere.report.queue = "/ other".to_owned();
    assert_eq!(differs(elsewhere), [""; 0]);
    let gone = SeenWorker { live: false, ..worker("gone", &["/other"]) };
    assert_eq!(differs(gone), [""; 0]);
    let itself = worker("own", &["/other"]);
    let itself = SeenWorker { report: WorkerReport { id: own.id, ..itself.report }, ..itself };
    assert_eq!(differs(itself), [""; 0]);
}

/// Gives the workers of each look in turn, the last ones for ever.
struct Looks(Mutex<Vec<Vec<SeenWorker>>>);

#[async_trait]
impl Workers for Looks {
    async fn beat(&self, _: &WorkerReport) -> Result<(), StoreError> {
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<SeenWorker>, StoreError> {
        let mut looks = self.0.lock().unwrap();
        if looks.len() > 1 { Ok(looks.remove(0)) } else { Ok(looks[0].clone()) }
    }

    async fn end_worker(&self, _: WorkerId) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_once_and_no_passing_one() {
    let (none, one) = (Vec::new(), vec![worker("one", &["s3://photos"])]);
    let looks = [&none, &none, &none, &one, &none, &none, &one, &one, &one, &none, &one];
    let looks = Looks(Mutex::new(looks.map(Clone::clone).to_vec()));
    let mut told = Vec::new();
    let wanted = wanted(&["s3://photos"]);
    let watching = watch(&looks, &wanted, None, |text| told.push(text.to_owned()));
    timeout(Duration::from_secs(30), watching).await.unwrap_err();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("no worker is running"), "{told:?}");
    assert_eq!(told[1], "workers take the jobs of this scan now");
}

#[tokio::test(start_paused = true)]
async fn a_watch_of_a_fleet_that_works_says_nothing() {
    let looks = Looks(Mutex::new(vec![vec![worker("one", &["s3://photos"])]]));
    let wanted = wanted(&["s3://photos"]);
    let watching = watch(&looks, &wanted, None, |text| panic!("{text}"));
    timeout(Duration::from_secs(30), watching).await.unwrap_err();
}

#[test]
fn jobs_that_would_be_refused_are_told_from_jobs_that_wait() {
    let wanted = wanted(&["s3://photos/staff"]);
    let gone = SeenWorker { live: false, ..worker("one", &["s3://other"]) };
    assert_eq!(refusal(&[gone], &wanted), None, "they wait");
    let mut other_profile = worker("one", &["s3://other"]);
    other_profile.report.profile = profile('b');
    assert_eq!(refusal(&[other_profile], &wanted), None, "they wait");
    assert_eq!(refusal(&[worker("one", &["s3://photos"])], &wanted), None);
    let said = refusal(&[worker("one", &["s3://other"])], &wanted).unwrap();
    assert!(said.contains("no worker may read s3://photos/staff"), "{said}");
}
