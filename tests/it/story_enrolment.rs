//! A story: 200 people are enrolled from a list while a bulk scan runs, then they are found,
//! verified, renamed, merged and removed. In one process with `SQLite`, and on a fleet with
//! `RabbitMQ` and Postgres.
//!
//! No network knows 200 people from the few sample photos, so the faces are made: a processor reads
//! who an image shows from its name.

mod cast;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use facefleet::app::App;
use facefleet::domain::{
    CampaignId, EnrolmentDecision, GalleryName, Lane, OutcomeEvent, ProfileId, ReasonCode,
    SimilarityFmr, SubjectName, Template,
};
use facefleet::gallery::campaign::{new_campaign, run_on_fleet};
use facefleet::gallery::enrol::enrolment_campaign;
use facefleet::gallery::follow::{CampaignCounts, CampaignEvent, CampaignRun};
use facefleet::gallery::list::Images;
use facefleet::gallery::search::{GallerySearch, LiveGallery, SearchCandidate, SearchedFace};
use facefleet::gallery::subjects::{SubjectError, find_subject, remove_subject, rename_subject};
use facefleet::gallery::verify::KnownSubject;
use facefleet::images::{ListPlace, Places, Root};
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{
    EnrolmentCounts, Searched, Store, SubjectMerge, SubjectQuery, SubjectSummary,
};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::cast::{Cast, FLAWS, PEOPLE, SCANNED, image_of, list_of, template_of};
use crate::support::broker::TestBroker;
use crate::support::stack::Database;
use crate::support::{app, gallery, operator, selection};

/// Whatever the story waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the story takes place.
struct Stage {
    app: App,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    cast: Arc<Cast>,
    folder: tempfile::TempDir,
}

/// How an enrolment ended.
struct Enrolled {
    counts: CampaignCounts,
    decided: EnrolmentCounts,
    /// Decision and codes by the name of the image.
    decisions: BTreeMap<String, (EnrolmentDecision, Vec<ReasonCode>)>,
}

fn name(text: &str) -> SubjectName {
    text.parse().unwrap()
}

impl Stage {
    fn new(queue: Arc<dyn JobQueue>, store: Arc<dyn Store>) -> Self {
        let (app, folder) = (app(), tempfile::tempdir().unwrap());
        let cast = Arc::new(Cast::new(app.profile(false).unwrap()));
        Self { app, queue, store, cast, folder }
    }

    fn profile(&self) -> ProfileId {
        self.cast.profile().id()
    }

    fn gallery(&self) -> GalleryName {
        gallery()
    }

    /// The similarity threshold of the network at a false match rate.
    fn threshold(&self, fmr: f64) -> f64 {
        let known = self.app.match_thresholds(self.cast.profile()).unwrap().unwrap();
        known.thresholds.threshold_at(fmr).unwrap().threshold
    }

    /// The images of a list, written to a file first.
    async fn images(&self, lane: Lane, rows: &str) -> Images {
        let file = self.folder.path().join(format!("{lane}.csv"));
        std::fs::write(&file, rows).unwrap();
        // The lister looks at the files to tell whether they changed.
        for image in rows.lines().filter_map(|row| row.split(',').next()) {
            let image = self.folder.path().join(image);
            if image.extension().is_some() && !image.exists() {
                std::fs::write(&image, b"made").unwrap();
            }
        }
        let place = ListPlace::try_from(file.into_os_string()).unwrap();
        let readable = [Root::try_from(self.folder.path().as_os_str().to_owned()).unwrap()];
        let lists = self.app.lists(&[place], None).await.unwrap();
        let survey = lists.survey(Some(Places::new(&readable)), Places::new(&[])).await.unwrap();
        Images::Listing(Box::new(self.app.listing(&[]).unwrap().with_lists(survey)))
    }

    async fn run(
        &self,
        lane: Lane,
        rows: &str,
        on_event: impl FnMut(&CampaignCounts, CampaignEvent<'_>),
    ) -> (CampaignId, CampaignCounts) {
        let images = self.images(lane, rows).await;
        let (gallery, profile, source) = (self.gallery(), self.profile(), format!("{lane}.csv"));
        let campaign = match lane {
            Lane::Enrol => enrolment_campaign(gallery, profile, selection(), source),
            _ => new_campaign(gallery, profile, selection(), source),
        };
        let id = campaign.id;
        let run = CampaignRun { images, campaign, selection: selection(), claim: None };
        let (queue, store) = (self.queue.clone(), self.store.clone());
        let ended = run_on_fleet(run, queue, store, true, CancellationToken::new(), on_event);
        (id, timeout(PATIENCE, ended).await.unwrap().unwrap())
    }

    /// Enrols the rows of a list.
    async fn enrol(&self, rows: &str) -> Enrolled {
        let mut decisions = BTreeMap::new();
        let note = |event: &OutcomeEvent| {
            let enrolment = event.enrolment.as_ref().expect("every enrolment is decided");
            let codes = enrolment.reasons.iter().map(|reason| reason.code).collect();
            let image = event.image.as_str().rsplit('/').next().unwrap().to_owned();
            (image, (enrolment.decision, codes))
        };
        let (id, counts) = self
            .run(Lane::Enrol, rows, |_, event| {
                if let CampaignEvent::Ended(event) = event {
                    decisions.extend([note(event)]);
                }
            })
            .await;
        let decided = self.store.enrolment_counts(id).await.unwrap();
        Enrolled { counts, decided, decisions }
    }

    async fn subjects(&self) -> BTreeMap<String, SubjectSummary> {
        let query = SubjectQuery { gallery: self.gallery(), after: None, limit: 1000 };
        let found = self.store.subjects(&query).await.unwrap();
        found.into_iter().map(|each| (each.name.as_str().to_owned(), each)).collect()
    }

    /// The candidates for each template that exceed the threshold of a false match rate.
    async fn search(&self, probes: Vec<Template>, k: usize, fmr: f64) -> Vec<Vec<SearchCandidate>> {
        let (gallery, profile) = (self.gallery(), self.profile());
        let mut search =
            GallerySearch::open(self.store.as_ref(), &gallery, &profile, None, 2).await.unwrap();
        assert_eq!(search.searched(), Searched::References, "people were enrolled");
        let probe = |template| SearchedFace { template, stored: None };
        let least = self.threshold(fmr).next_up();
        search.nearest(probes.into_iter().map(probe).collect(), k, least).await.unwrap()
    }

    async fn found(&self, probes: Vec<Template>, fmr: f64) -> Vec<BTreeSet<String>> {
        let subject = |found: SearchCandidate| found.subject.unwrap().as_str().to_owned();
        let found = self.search(probes, 10, fmr).await;
        found.into_iter().map(|each| each.into_iter().map(subject).collect()).collect()
    }

    /// The best similarity of a template with the references of a person.
    async fn verified(&self, person: &str, probe: &Template) -> f64 {
        let (gallery, profile, person) = (self.gallery(), self.profile(), name(person));
        let known = KnownSubject::read(self.store.as_ref(), &gallery, &profile, &person);
        known.await.unwrap().best(probe).similarity
    }
}

/// Two shots of everybody, and of some people photos with flaws.
fn everybody() -> (String, usize) {
    let good = (0..PEOPLE).flat_map(|person| [(person, 0, None), (person, 1, None)]);
    let bad = FLAWS
        .iter()
        .zip(0..)
        .flat_map(|(flaw, person)| [(person, 2, Some(flaw)), (person + 100, 2, Some(flaw))]);
    let rows: Vec<_> = good.chain(bad).collect();
    (list_of(&rows), rows.len())
}

async fn people_are_enrolled_beside_a_scan(stage: &Stage) {
    let (rows, listed) = everybody();
    let crowd: String = (0..SCANNED).map(|number| format!("crowd-{number}.png,\n")).collect();
    let crowd = format!("file,subject\n{crowd}");
    let scanning = watch::Sender::new(false);
    let scan = async {
        let mut beside = 0;
        let (_, counts) = stage
            .run(Lane::Scan, &crowd, |_, event| {
                let enrolled = *stage.cast.enrolled.borrow();
                beside += u64::from(matches!(event, CampaignEvent::Ended(_)) && !enrolled);
                scanning.send_replace(beside > 0);
            })
            .await;
        (beside, counts)
    };
    let enrol = async {
        scanning.subscribe().wait_for(|begun| *begun).await.unwrap();
        let enrolled = stage.enrol(&rows).await;
        stage.cast.enrolled.send_replace(true);
        enrolled
    };
    let ((beside, scanned), enrolled) = tokio::join!(scan, enrol);
    assert_eq!(scanned.progress.ended(), SCANNED as u64);
    assert!((1..SCANNED as u64).contains(&beside), "{beside} were scanned meanwhile");
    assert_eq!(enrolled.counts.progress.ended(), listed as u64);
    let (good, bad) = (2 * PEOPLE as u64, 2 * FLAWS.len() as u64);
    let expected = EnrolmentCounts {
        accepted: good,
        references: good,
        ruled_out: 0,
        review: 0,
        rejected: bad,
        subjects: PEOPLE as u64,
        enrolled_subjects: PEOPLE as u64,
    };
    assert_eq!(enrolled.decided, expected);
    for (flaw, person) in FLAWS.iter().zip(0..) {
        for person in [person, person + 100] {
            let image = image_of(person, 2, Some(flaw));
            let (decision, codes) = &enrolled.decisions[&image];
            let expected = (EnrolmentDecision::Rejected, vec![flaw.code]);
            assert_eq!((*decision, codes.clone()), expected, "{image}");
        }
    }
    let subjects = stage.subjects().await;
    assert_eq!(subjects.len(), PEOPLE);
    assert!(subjects.values().all(|each| (each.references, each.accepted) == (2, 2)));
    assert_eq!(subjects.values().map(|each| each.rejected).sum::<u64>(), bad);
    // The same list again: what was accepted is accepted, and what was not is decided again.
    let again = stage.enrol(&rows).await;
    assert_eq!(again.counts.progress.skipped, good);
    assert_eq!((again.decided.accepted, again.decided.rejected), (0, bad));
    assert_eq!(stage.subjects().await, subjects);
}

async fn impostors_are_noticed(stage: &Stage) {
    // Person 7 comes once more under another name, and somebody with the name of person 8.
    let rows = list_of(&[(7, 3, None), (9, 3, None)])
        .replace("person-7\n", "agent\n")
        .replace("person-9\n", "person-8\n");
    let enrolled = stage.enrol(&rows).await;
    let of = |person| enrolled.decisions[&image_of(person, 3, None)].clone();
    assert_eq!(of(7), (EnrolmentDecision::Review, vec![ReasonCode::LooksLikeAnother]));
    // The face is also like that of person 9, which is not the worst.
    let (decision, codes) = of(9);
    assert_eq!(decision, EnrolmentDecision::Rejected);
    assert!(codes.contains(&ReasonCode::NotTheSubject), "{codes:?}");
    let subjects = stage.subjects().await;
    let agent = &subjects["agent"];
    assert_eq!((agent.references, agent.set_aside, agent.review), (0, 1, 1));
    assert_eq!((subjects.len(), subjects["person-8"].rejected), (PEOPLE + 1, 1));
}

async fn everybody_is_found_and_strangers_are_not(stage: &Stage) {
    let probes = (0..PEOPLE).map(|person| template_of(person, 8)).collect();
    let found = stage.found(probes, 1e-4).await;
    for (person, found) in found.iter().enumerate() {
        assert_eq!(*found, BTreeSet::from([format!("person-{person}")]));
    }
    // People of the scanned crowd, of whom the gallery has faces and no reference.
    let strangers: Vec<Template> = (0..20).map(|number| template_of(PEOPLE + number, 8)).collect();
    let nobody = stage.found(strangers.clone(), 1e-4).await;
    assert!(nobody.iter().all(BTreeSet::is_empty), "{nobody:?}");
    // Without a threshold there are as many candidates as asked for, each person once.
    let (gallery, profile) = (stage.gallery(), stage.profile());
    let mut search =
        GallerySearch::open(stage.store.as_ref(), &gallery, &profile, None, 2).await.unwrap();
    assert_eq!((search.faces(), search.subjects()), (2 * PEOPLE, Some(PEOPLE)));
    let probe = SearchedFace { template: strangers[0].clone(), stored: None };
    let all = search.nearest(vec![probe], PEOPLE + 5, -2.0).await.unwrap().remove(0);
    let people: BTreeSet<_> = all.iter().map(|found| found.subject.clone()).collect();
    assert_eq!((all.len(), people.len()), (PEOPLE, PEOPLE));
    assert!(all.is_sorted_by(|a, b| a.similarity >= b.similarity));
    drop(search);

    let threshold = stage.threshold(1e-4);
    let probe = template_of(42, 8);
    assert!(stage.verified("person-42", &probe).await > threshold);
    assert!(stage.verified("person-43", &probe).await <= threshold);
    let known = stage.app.match_thresholds(stage.cast.profile()).unwrap().unwrap();
    let fmr = known.thresholds.fmr_of(stage.verified("person-42", &probe).await);
    assert!(matches!(fmr, Some(SimilarityFmr::Below(_))), "{fmr:?}");
}

async fn people_are_renamed_merged_and_removed(stage: &Stage) {
    let (store, gallery) = (stage.store.as_ref(), stage.gallery());
    let rules = stage.app.settings().references();
    let rename = |from: &str, to: &str, merge: Option<SubjectMerge>| {
        let (gallery, from, to) = (gallery.clone(), name(from), name(to));
        async move {
            let by = operator();
            rename_subject(store, &gallery, (&from, &to), merge, &rules, &by).await
        }
    };
    assert!(!rename("person-3", "Ada Lovelace", None).await.unwrap());
    let ada = |found: Vec<BTreeSet<String>>| found == [BTreeSet::from(["Ada Lovelace".to_owned()])];
    assert!(ada(stage.found(vec![template_of(3, 8)], 1e-4).await));
    let taken = rename("agent", "person-7", None).await;
    assert!(matches!(taken, Err(SubjectError::Taken { .. })), "{taken:?}");
    let merge = SubjectMerge { profile: stage.cast.profile().id(), rules };
    assert!(rename("agent", "person-7", Some(merge)).await.unwrap());
    let merged = find_subject(store, &gallery, &name("person-7")).await.unwrap().summary;
    assert_eq!((merged.references, merged.set_aside, merged.accepted, merged.review), (2, 1, 2, 1));
    let removed =
        remove_subject(store, &gallery, &name("person-11"), &rules, &operator()).await.unwrap();
    assert_eq!((removed.references, removed.accepted), (2, 2));
    let gone = stage.found(vec![template_of(11, 8)], 1e-4).await;
    assert_eq!(gone, [BTreeSet::new()]);
    let unknown = find_subject(store, &gallery, &name("agent")).await;
    assert!(matches!(unknown, Err(SubjectError::Unknown { .. })));
    assert_eq!(stage.subjects().await.len(), PEOPLE - 1);
}

/// Soon, an index in memory has so many references of so many people.
async fn soon(live: &LiveGallery, (references, people): (usize, usize)) {
    let same = async {
        while (live.faces(), live.subjects()) != (references, Some(people)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, same).await.expect("the index follows the store");
}

async fn story(stage: Stage) {
    let stop = CancellationToken::new();
    let rules = stage.app.enrol_rules(stage.cast.profile()).unwrap();
    stage.store.register_profile(stage.cast.profile()).await.unwrap();
    let worker =
        stage.app.worker(stage.queue.clone(), stage.store.clone(), stage.cast.clone(), rules);
    let worker = tokio::spawn(worker.run(stop.clone()));
    let of = (stage.gallery(), Some(stage.profile()));
    let live = LiveGallery::open(stage.store.clone(), of, Searched::References, 2).await.unwrap();
    let live = Arc::new(live);
    let following = tokio::spawn({
        let (live, stop) = (live.clone(), stop.clone());
        async move { live.follow(stop).await }
    });
    people_are_enrolled_beside_a_scan(&stage).await;
    soon(&live, (2 * PEOPLE, PEOPLE)).await;
    impostors_are_noticed(&stage).await;
    everybody_is_found_and_strangers_are_not(&stage).await;
    people_are_renamed_merged_and_removed(&stage).await;
    soon(&live, (2 * (PEOPLE - 1), PEOPLE - 1)).await;
    stop.cancel();
    following.await.unwrap();
    worker.await.unwrap().unwrap();
    stage.queue.close().await;
    stage.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_people_live_in_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    story(Stage::new(Arc::new(MemoryQueue::new(1024)), Arc::new(store))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_people_live_on_a_fleet() {
    let (broker, database) = (TestBroker::new(), Database::new().await);
    let store = PostgresStore::open(&database.url, 4).await.unwrap();
    story(Stage::new(Arc::new(broker.queue().await), Arc::new(store))).await;
    broker.remove().await;
}
