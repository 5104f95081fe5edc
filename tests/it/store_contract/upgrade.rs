//! A store of version 0.1 opens and holds what it held. The dumps in `v0_1` are of a file and a
//! database in which version 0.1 recorded what [`records`] returns.

use std::sync::Arc;

use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, Components, FaceResult, ImageId,
    JobRecord, Lane, Outcome, OutcomeKind,
};
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Effect, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{a, assert_held, b, images, outcomes, under_b};
use crate::support::stack::Database;
use crate::support::{
    content, effects, face, gallery, profile, record, selection, stamp, template, unfetched,
    with_job,
};

/// A scored face with a template of 8 numbers, and without components, as version 0.1 knew it.
fn small(quality: u8) -> FaceResult {
    let mut face = face(quality);
    face.components = Components::default();
    let recognition = face.recognition.as_mut().unwrap();
    (recognition.template, recognition.norm) = template(u64::from(quality), 8);
    face
}

fn campaign(id: &str) -> Campaign {
    Campaign {
        id: id.parse().unwrap(),
        lane: Lane::Scan,
        gallery: gallery(),
        profile: a(),
        selection: Some(selection()),
        source: "s3://photos/staff".into(),
        state: CampaignState::Running,
        progress: CampaignProgress::default(),
        started_at: String::new(),
    }
}

const RUNNING: &str = "019a0000-0000-7000-8000-000000000001";
const CANCELLED: &str = "019a0000-0000-7000-8000-000000000002";

/// What version 0.1 recorded, one batch each.
fn records() -> Vec<JobRecord> {
    let campaign: CampaignId = RUNNING.parse().unwrap();
    let of = |record: JobRecord| {
        with_job(record, |job| {
            job.id = campaign.job(&job.image);
            job.campaign = Some(campaign);
        })
    };
    let mut unscored = small(3);
    unscored.recognition = None;
    let one =
        with_job(record("one", Outcome::Scored(vec![small(80), small(30), unscored])), |job| {
            job.subject = Some("ann".parse().unwrap())
        });
    vec![
        of(one),
        of(record("two", Outcome::NoFace)),
        of(record("three", Outcome::Unreadable("it is cut off".into()))),
        of(unfetched("four", Outcome::Failed("timed out".into()))),
        under_b(record("one", Outcome::Scored(vec![small(70)]))),
        record("five", Outcome::Scored(vec![small(10)])),
        JobRecord {
            content: content(b"newer"),
            ..with_job(record("five", Outcome::Scored(vec![small(20)])), |job| {
                job.stamp = Some(stamp("v2"))
            })
        },
        with_job(unfetched("two", Outcome::Refused("denied".into())), |job| {
            job.stamp = Some(stamp("v2"))
        }),
    ]
}

async fn assert_holds_everything(store: &Arc<dyn Store>) {
    for name in ["a", "b"] {
        let stored = store.profile(&profile(name).id()).await.unwrap();
        assert_eq!(stored, Some(profile(name)));
    }
    let records = records();
    let stored = images(store, a()).await;
    let current = [0, 1, 2, 3, 6].map(|index| &records[index]);
    assert_eq!(stored.len(), current.len());
    stored.iter().zip(current).for_each(|(image, record)| assert_held(image, record));
    let ids: Vec<_> = stored.iter().map(|image| image.id).collect();
    assert_eq!(ids, [1, 2, 3, 4, 6].map(ImageId));
    assert_eq!(stored[0].subject, Some("ann".parse().unwrap()));
    let note = stored[1].noted.as_ref().unwrap();
    assert_eq!((note.outcome, note.reason.as_deref()), (OutcomeKind::Refused, Some("denied")));
    let under_b = images(store, b()).await;
    assert_held(&under_b[0], &records[4]);
    assert_eq!((under_b.len(), under_b[0].id), (1, ImageId(1)));
    let counts = [
        (OutcomeKind::Scored, 2),
        (OutcomeKind::NoFace, 1),
        (OutcomeKind::Unreadable, 1),
        (OutcomeKind::Failed, 1),
    ];
    assert_eq!(outcomes(store, a()).await, counts);
    let summary = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!((summary.faces, summary.noted), (4, 1));
}

async fn assert_holds_campaigns(store: &Arc<dyn Store>) {
    let stored = store.campaigns(10).await.unwrap();
    let running = CampaignProgress {
        listing_error: None,
        listed: 5,
        skipped: 1,
        listing_done: true,
        chunk_from: None,
        chunk_to: Some("photos/two.jpg".into()),
        outcomes: [
            (OutcomeKind::Scored, 1),
            (OutcomeKind::NoFace, 1),
            (OutcomeKind::Unreadable, 1),
            (OutcomeKind::Failed, 1),
        ]
        .into(),
        faces: 3,
    };
    let [cancelled_at, running_at] = [0, 1].map(|index| stored[index].started_at.clone());
    let cancelled = campaign(CANCELLED);
    assert_eq!(
        stored,
        [
            Campaign { state: CampaignState::Cancelled, started_at: cancelled_at, ..cancelled },
            Campaign { progress: running, started_at: running_at, ..campaign(RUNNING) },
        ]
    );
    assert_eq!(store.open_campaigns().await.unwrap(), stored[1..]);
    let sources = store.source_statuses().await.unwrap();
    assert_eq!((sources.len(), sources[0].name.as_str()), (1, "/photos"));
}

/// Recording goes on where version 0.1 stopped.
async fn assert_goes_on(store: &Arc<dyn Store>) {
    let records = records();
    let repeated = effects(store.record(&records[..1]).await);
    assert_eq!(repeated, [Effect::Repeated]);
    let four = record("four", Outcome::Scored(vec![small(40)]));
    let four = JobRecord { job: records[3].job.clone(), ..four };
    let recorded = store.record(&[four]).await.unwrap();
    assert_eq!((recorded[0].image, &recorded[0].effect), (ImageId(8), &Effect::New));
    let progress = store.campaign(RUNNING.parse().unwrap()).await.unwrap().unwrap().progress;
    assert_eq!((progress.outcomes[&OutcomeKind::Scored], progress.faces), (2, 4));
    assert_eq!(progress.outcomes.get(&OutcomeKind::Failed), None);
}

async fn open(url: &str) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(url).await.unwrap())
}

#[tokio::test]
async fn a_file_of_version_0_1_is_migrated_once_and_holds_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = options.foreign_keys(false).connect().await.unwrap();
    sqlx::raw_sql(include_str!("v0_1/sqlite.sql")).execute(&mut old).await.unwrap();
    let bytes = "SELECT sum(length(vector)) FROM templates";
    assert_eq!(sqlx::query_scalar::<_, i64>(bytes).fetch_one(&mut old).await.unwrap(), 5 * 8 * 4);
    old.close().await.unwrap();
    let url = format!("sqlite:{}", file.display());
    for _ in 0..2 {
        let store = open(&url).await;
        assert_holds_everything(&store).await;
        assert_holds_campaigns(&store).await;
        store.close().await;
    }
    assert_goes_on(&open(&url).await).await;
    let mut new = SqliteConnectOptions::new().filename(&file).connect().await.unwrap();
    // Those of version 0.1 and the new one.
    assert_eq!(sqlx::query_scalar::<_, i64>(bytes).fetch_one(&mut new).await.unwrap(), 6 * 8 * 2);
    let old = "SELECT count(*) FROM sqlite_schema WHERE name = 'templates_float32'";
    assert_eq!(sqlx::query_scalar::<_, i64>(old).fetch_one(&mut new).await.unwrap(), 0);
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut new).await.unwrap();
    assert!(broken.is_empty());
}

#[tokio::test]
async fn a_template_that_cannot_be_converted_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = options.foreign_keys(false).connect().await.unwrap();
    sqlx::raw_sql(include_str!("v0_1/sqlite.sql")).execute(&mut old).await.unwrap();
    // A dimension that the vector does not have, past the check of version 0.1.
    let wrong = "PRAGMA ignore_check_constraints = 1; UPDATE templates SET dimension = 7 WHERE \
        face_id = 6; PRAGMA ignore_check_constraints = 0";
    sqlx::raw_sql(wrong).execute(&mut old).await.unwrap();
    let url = format!("sqlite:{}", file.display());
    assert!(SqliteStore::open(&url).await.is_err());
    let version = "SELECT max(version) FROM _sqlx_migrations";
    assert_eq!(sqlx::query_scalar::<_, i64>(version).fetch_one(&mut old).await.unwrap(), 4);
    let mend = "UPDATE templates SET dimension = 8 WHERE face_id = 6";
    sqlx::raw_sql(mend).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let store = open(&url).await;
    assert_holds_everything(&store).await;
}

#[tokio::test]
async fn a_schema_of_version_0_1_is_migrated_and_holds_what_it_held() {
    let database = Database::new().await;
    database.run(include_str!("v0_1/postgres.sql")).await;
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&database.url, 2).await.unwrap());
    assert_holds_everything(&store).await;
    assert_holds_campaigns(&store).await;
    assert_goes_on(&store).await;
}

#[tokio::test]
async fn the_profile_that_was_shown_before_there_were_activations_is_active() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut old = options.foreign_keys(false).connect().await.unwrap();
    sqlx::raw_sql(include_str!("v0_1/sqlite.sql")).execute(&mut old).await.unwrap();
    // The latest record was of the profile that came second.
    let touch = "UPDATE gallery_profiles SET touched = 1000 WHERE profile_id = ";
    let touch = format!("{touch}'{}'", b());
    sqlx::raw_sql(sqlx::AssertSqlSafe(touch.clone())).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let database = Database::new().await;
    database.run(include_str!("v0_1/postgres.sql")).await;
    database.run(&touch).await;
    let stores: [Arc<dyn Store>; 2] = [
        open(&format!("sqlite:{}", file.display())).await,
        Arc::new(PostgresStore::open(&database.url, 2).await.unwrap()),
    ];
    for store in stores {
        assert_eq!(store.active_profile(&gallery()).await.unwrap(), Some(b()));
        let noted = store.activations().await.unwrap();
        assert_eq!((noted.len(), &noted[0].profile), (1, &b()));
        assert_eq!((&noted[0].by, noted[0].coverage, noted[0].forced), (&None, None, false));
    }
}
