//! Roles with few rights, created by the statements of docs/postgres.md.

use std::path::Path;

use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, CoverageCounts, JobRecord, Lane,
    ListedChunk, Outcome, OutcomeKind, ProfileId, ReferenceRules, RunState, Selection, Verdict,
};
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{
    Campaigns, Curation, Effect, Extreme, Judged, Listings, Maintenance, NewActivation,
    NewCuration, NewRun, PageFilter, PageQuery, Profiles, Reading, Remap, RemapPosition, Remapping,
    Results, RetireStep, Retirements, RunKey, RunOwner, RunQuery, ScheduleRuns, Schedules,
    SlotClaim, StoreError, Workers,
};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use crate::store_contract::schedules::hourly;
use crate::support::pages::Page;
use crate::support::stack::Database;
use crate::support::{
    content, effects, gallery, profile, scored, selection, stamp, uri, with_job, worker_report,
};

const PASSWORD: &str = "not-a-secret";

/// The guide's blocks of statements, with this test's roles.
fn statements(database: &Database) -> Vec<String> {
    let guide = Page::read("docs/postgres.md");
    let blocks = guide
        .blocks("sql")
        .filter(|block| ["Roles", "The views"].contains(&block.section.as_str()))
        .map(|block| block.text.replace('…', PASSWORD));
    let renamed = |block: String| {
        ["owner", "worker", "reader"].iter().fold(block, |block, role| {
            block.replace(&format!("facefleet_{role}"), &database.role(role))
        })
    };
    blocks.map(renamed).collect()
}

/// A database that was set up as the guide says, with the schema migrated by its owner.
pub async fn guided() -> Database {
    let database = Database::new().await;
    let [administrator, owner, views] = &statements(&database)[..] else {
        panic!("the guide has three blocks of statements")
    };
    database.run(administrator).await;
    PostgresStore::migrate(url_of(&database, "owner").as_str()).await.unwrap();
    let mut connection = PgConnection::connect(url_of(&database, "owner").as_str()).await.unwrap();
    for grants in [owner, views] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(grants.clone())).execute(&mut connection).await.unwrap();
    }
    database
}

pub fn url_of(database: &Database, role: &str) -> url::Url {
    database.url_as(&database.role(role), PASSWORD)
}

fn campaign() -> Campaign {
    Campaign {
        id: CampaignId::new(),
        lane: Lane::Scan,
        gallery: gallery(),
        profile: profile("a").id(),
        selection: Some(selection()),
        source: "a test".into(),
        state: CampaignState::Running,
        progress: CampaignProgress::default(),
        started_at: String::new(),
    }
}

fn remap() -> Remap {
    Remap {
        gallery: gallery(),
        from: profile("a").id(),
        to: profile("b").id(),
        cutoffs: vec![0.5],
        batch: 10,
    }
}

fn activation([from, to]: [&ProfileId; 2]) -> NewActivation {
    NewActivation {
        gallery: gallery(),
        profile: to.clone(),
        instead_of: from.clone(),
        coverage: CoverageCounts::default(),
        by: "ann".parse().unwrap(),
        forced: false,
    }
}

fn page(templates: bool) -> PageQuery {
    PageQuery {
        gallery: gallery(),
        profile: profile("a").id(),
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 10,
        templates,
    }
}

/// What a worker does for a schedule.
async fn run_schedule(store: &PostgresStore) {
    store.set_schedule(&hourly("once"), None).await.unwrap();
    let of = store.schedules().await.unwrap().remove(0);
    let slot = store.clock().await.unwrap();
    let owner = RunOwner { id: uuid::Uuid::now_v7(), name: "one".into() };
    let run = NewRun { slot, plan: None, campaign: Some(campaign()), error: None };
    let (run, owner_of_claim) = (Some(run), owner.clone());
    let claim = SlotClaim { of, next_due: None, run, skipped: Vec::new(), owner: owner_of_claim };
    assert!(store.claim_slots(&claim).await.unwrap());
    let key = RunKey { schedule: hourly("once").name, slot };
    store.release_run(&key, &owner, true).await.unwrap();
    assert!(store.take_over_run(&key, &owner).await.unwrap());
    assert!(store.beat_run(&key, &owner).await.unwrap());
    assert!(store.end_run(&key, &owner, None).await.unwrap());
    store.restart_listing(claim.run.unwrap().campaign.unwrap().id.into()).await.unwrap();
    let query = RunQuery { schedule: None, running: false, limit: 1 };
    assert_eq!(store.schedule_runs(&query).await.unwrap()[0].state, RunState::Done);
}

const RENAMED_AND_REMOVED: &str = "UPDATE verdicts SET subject = 'Ann'; DELETE FROM verdicts";
/// What a worker may not do.
const FORBIDDEN: [&str; 14] = [
    "CREATE TABLE mine (id int)",
    "DROP TABLE templates",
    "ALTER TABLE results ADD COLUMN more text",
    "TRUNCATE faces",
    "DELETE FROM results",
    "UPDATE templates SET vector = vector",
    "UPDATE profiles SET definition = '{}'",
    "UPDATE activations SET forced = false",
    "DELETE FROM activations",
    "UPDATE curations SET decided_by = 'eve'",
    "UPDATE verdicts SET verdict = 'keep'",
    "CALL retire_profile('0123456789abcdef')",
    "SELECT drop_unused_templates('0123456789abcdef')",
    "CREATE OR REPLACE FUNCTION add_profile(text, text) RETURNS void LANGUAGE sql AS 'SELECT'",
];

#[tokio::test]
async fn a_worker_can_do_its_work_and_nothing_else() {
    let database = guided().await;
    let url = url_of(&database, "worker");
    let store = PostgresStore::open(url.as_str(), 2).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    let campaign = campaign();
    store.begin_campaign(&campaign, None).await.unwrap();
    let skipped = vec![campaign.id.job(&uri("skipped"))];
    let chunk = ListedChunk { listed: 2, skipped, from: None, to: None };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    let first = with_job(scored("one", &[10]), |job| job.campaign = Some(campaign.id));
    assert_eq!(effects(store.record(std::slice::from_ref(&first)).await), [Effect::New]);
    // A repeat with a new version, a replacement, new bytes, bytes that come back.
    let restamped = with_job(first.clone(), |job| job.stamp = Some(stamp("v2")));
    assert_eq!(effects(store.record(&[restamped]).await), [Effect::Repeated]);
    let replaced = JobRecord {
        selection: Selection { min_size_px: 1, ..selection() },
        ..scored("one", &[10, 20])
    };
    assert_eq!(effects(store.record(std::slice::from_ref(&replaced)).await), [Effect::New]);
    let newer = JobRecord { content: content(b"newer"), ..replaced.clone() };
    assert_eq!(effects(store.record(&[newer, replaced]).await), vec![Effect::New; 2]);
    store.end_listing(campaign.id.into()).await.unwrap();
    assert!(store.campaign(campaign.id).await.unwrap().unwrap().progress.is_complete());
    assert!(store.set_campaign_state(campaign.id, CampaignState::Cancelled).await.unwrap());
    assert_eq!(store.page(&page(true)).await.unwrap()[0].faces.len(), 2);
    let worker = worker_report("one");
    store.beat(&worker).await.unwrap();
    assert_eq!(store.workers().await.unwrap()[0].report, worker);
    store.end_worker(worker.id).await.unwrap();
    run_schedule(&store).await;
    store.register_profile(&profile("b")).await.unwrap();
    let copied = store.remap(&remap(), RemapPosition::default()).await.unwrap();
    assert_eq!((copied.copied, copied.faces), (1, 2));

    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    sqlx::raw_sql(RENAMED_AND_REMOVED).execute(&mut connection).await.unwrap();
    for forbidden in FORBIDDEN {
        let error = sqlx::raw_sql(forbidden).execute(&mut connection).await.unwrap_err();
        assert_eq!(
            error.as_database_error().unwrap().code().unwrap(),
            "42501",
            "{forbidden}: {error}"
        );
    }
}

#[tokio::test]
async fn a_worker_may_activate_a_profile_and_only_the_owner_may_retire_one() {
    let database = guided().await;
    let store = PostgresStore::open(url_of(&database, "worker").as_str(), 2).await.unwrap();
    let [a, b] = ["a", "b"].map(|name| profile(name).id());
    for name in ["a", "b"] {
        store.register_profile(&profile(name)).await.unwrap();
        let record = JobRecord { profile: profile(name).id(), ..scored("one", &[10]) };
        store.record(&[record]).await.unwrap();
    }
    let image = store.page(&page(false)).await.unwrap()[0].id;
    let exclude = NewCuration {
        gallery: gallery(),
        by: "ann".parse().unwrap(),
        reason: None,
        verdicts: vec![(image, Verdict::Exclude)],
        exact: true,
        rules: Some(ReferenceRules { most: 5, margin: 5.0 }),
    };
    assert!(matches!(store.judge(&exclude).await.unwrap(), Judged::Written { .. }));
    assert_eq!(store.page(&page(false)).await.unwrap(), []);
    assert!(store.activate(&activation([&a, &b])).await.unwrap());
    assert_eq!(store.active_profile(&gallery()).await.unwrap(), Some(b));
    let refused = store.retire(&gallery(), &a, 0).await.unwrap_err();
    assert!(refused.to_string().contains("only the role that owns the schema"), "{refused}");
    let owner = PostgresStore::open(url_of(&database, "owner").as_str(), 2).await.unwrap();
    let step = owner.retire(&gallery(), &a, 0).await.unwrap();
    let RetireStep::Deleted { next, .. } = step else { panic!("{step:?}") };
    assert_eq!(owner.retire(&gallery(), &a, next).await.unwrap(), RetireStep::Done);
    store.register_profile(&profile("a")).await.unwrap();
}

#[tokio::test]
async fn a_worker_of_an_older_schema_may_do_its_work_after_the_migration() {
    let database = Database::new().await;
    let [administrator, owner, _] = &statements(&database)[..] else {
        panic!("the guide has three blocks of statements")
    };
    database.run(administrator).await;
    let mut connection = PgConnection::connect(url_of(&database, "owner").as_str()).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut first = Migrator::new(folder).await.unwrap();
    first.dangerous_set_table_name("facefleet_migrations");
    first.migrations = first
        .migrations
        .iter()
        .filter(|migration| migration.version == 1)
        .cloned()
        .collect::<Vec<_>>()
        .into();
    first.run_direct(None, &mut connection, false).await.unwrap();
    let then = owner
        .replace(", campaign_jobs,\n    source_troubles TO", " TO")
        .replace(", source_troubles TO", " TO");
    // The tables of later versions, whose migrations grant the rights.
    let later = |line: &&str| {
        let tables = [
            " ON workers TO ",
            " ON subject",
            " ON activations",
            " ON schedule",
            " removed_images",
            " missing_images",
            " verdicts",
        ];
        tables.iter().any(|of| line.contains(of))
    };
    let then = then.lines().filter(|line| !later(line)).collect::<Vec<_>>().join("\n");
    assert_ne!(then, *owner);
    sqlx::raw_sql(sqlx::AssertSqlSafe(then)).execute(&mut connection).await.unwrap();

    PostgresStore::migrate(url_of(&database, "owner").as_str()).await.unwrap();
    let mut worker = PgConnection::connect(url_of(&database, "worker").as_str()).await.unwrap();
    sqlx::raw_sql(RENAMED_AND_REMOVED).execute(&mut worker).await.unwrap();
    let store = PostgresStore::open(url_of(&database, "worker").as_str(), 2).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    let campaign = campaign();
    store.begin_campaign(&campaign, None).await.unwrap();
    let scored = with_job(scored("one", &[10]), |job| job.campaign = Some(campaign.id));
    let failed =
        JobRecord { content: None, outcome: Outcome::Failed("reset".into()), ..scored.clone() };
    store.record(&[failed]).await.unwrap();
    store.record(&[scored]).await.unwrap();
    let outcomes = store.campaign(campaign.id).await.unwrap().unwrap().progress.outcomes;
    assert_eq!(outcomes, [(OutcomeKind::Scored, 1)].into());
    let worker = worker_report("one");
    store.beat(&worker).await.unwrap();
    store.beat(&worker).await.unwrap();
    run_schedule(&store).await;
    assert_eq!(store.workers().await.unwrap().len(), 1);
    store.end_worker(worker.id).await.unwrap();
    store.try_writing().await.unwrap();
}

#[tokio::test]
async fn a_temporary_table_of_a_worker_does_not_deceive_a_function_with_the_owners_rights() {
    let database = guided().await;
    let mut connection = PgConnection::connect(url_of(&database, "worker").as_str()).await.unwrap();
    sqlx::raw_sql("CREATE TEMPORARY TABLE profiles (id text PRIMARY KEY, definition text)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::raw_sql("SELECT add_profile('0123456789abcdef', '{}')")
        .execute(&mut connection)
        .await
        .unwrap();
    let real = "SELECT count(*) FROM facefleet.profiles";
    assert_eq!(sqlx::query_scalar::<_, i64>(real).fetch_one(&mut connection).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reader_sees_results_and_never_a_template() {
    let database = guided().await;
    let worker = PostgresStore::open(url_of(&database, "worker").as_str(), 2).await.unwrap();
    worker.register_profile(&profile("a")).await.unwrap();
    worker.record(&[scored("one", &[10])]).await.unwrap();
    let reader = PostgresStore::open(url_of(&database, "reader").as_str(), 2).await.unwrap();
    assert_eq!(reader.summary(&gallery(), &profile("a").id()).await.unwrap().faces, 1);
    assert_eq!(
        reader.extremes(&gallery(), &profile("a").id(), Extreme::Worst, 3).await.unwrap().len(),
        1
    );
    assert_eq!(reader.galleries().await.unwrap().len(), 1);
    assert_eq!(reader.campaigns(10).await.unwrap(), []);
    assert_eq!(reader.workers().await.unwrap(), []);
    assert_eq!(reader.page(&page(false)).await.unwrap().len(), 1);
    let own = profile("a").id();
    assert_eq!(reader.coverage(&gallery(), &own).await.unwrap().unwrap().coverage.covered, 1);
    assert_eq!(reader.activations().await.unwrap(), []);
    for refused in [
        reader.page(&page(true)).await.err(),
        reader.record(&[scored("two", &[20])]).await.err(),
        reader.activate(&activation([&own, &own])).await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::Unusable(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn views_show_a_reader_all_but_templates() {
    let database = guided().await;
    let store = PostgresStore::open(url_of(&database, "worker").as_str(), 2).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    let connect = async |role| {
        PgConnection::connect(url_of(&database, role).as_str()).await.expect("the role exists")
    };
    let (mut worker, mut reader) = (connect("worker").await, connect("reader").await);
    let counted = "SELECT count(template) FROM facefleet_faces";
    assert_eq!(sqlx::query_scalar::<_, i64>(counted).fetch_one(&mut worker).await.unwrap(), 1);
    for allowed in
        ["SELECT * FROM facefleet_images", "SELECT uri, quality, landmarks FROM facefleet_faces"]
    {
        assert_eq!(sqlx::query(allowed).fetch_all(&mut reader).await.unwrap().len(), 1);
    }
    for forbidden in [counted, "SELECT * FROM facefleet_faces"] {
        let error = sqlx::query(forbidden).fetch_all(&mut reader).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn a_worker_that_starts_before_the_migration_says_who_must_migrate() {
    let database = Database::new().await;
    database.run(&statements(&database)[0]).await;
    database.run(&format!("GRANT USAGE ON SCHEMA facefleet TO {}", database.role("worker"))).await;
    let error = PostgresStore::open(url_of(&database, "worker").as_str(), 2)
        .await
        .err()
        .expect("there is no schema yet");
    let text = error.to_string();
    assert!(
        matches!(error, StoreError::Unusable(_)) && text.contains("run `facefleet migrate`"),
        "{text}"
    );
}

#[tokio::test]
async fn without_pgvector_the_error_says_what_the_administrator_must_run() {
    let database = Database::new().await;
    let administrator =
        statements(&database)[0].replace("CREATE EXTENSION IF NOT EXISTS vector;", "");
    database.run(&administrator).await;
    let error = PostgresStore::migrate(url_of(&database, "owner").as_str()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, StoreError::Unusable(_)) && text.contains("run CREATE EXTENSION vector;"),
        "{text}"
    );

    database.run("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions").await;
    let error = PostgresStore::migrate(url_of(&database, "owner").as_str()).await.unwrap_err();
    assert!(
        error.to_string().contains("its schema, extensions, must be in the search_path"),
        "{error}"
    );

    let mut url = url_of(&database, "owner");
    database.run(&format!("GRANT USAGE ON SCHEMA extensions TO {}", database.role("owner"))).await;
    url.query_pairs_mut().append_pair("options[search_path]", "facefleet,extensions");
    let store = PostgresStore::open(url.as_str(), 2).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    assert_eq!(effects(store.record(&[scored("one", &[10])]).await), [Effect::New]);
}
