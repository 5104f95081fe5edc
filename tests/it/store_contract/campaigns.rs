//! Campaigns: what was listed, and every end counted once.

use std::sync::Arc;

use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, JobId, JobRecord, Lane, ListedChunk,
    Outcome, OutcomeKind, Selection,
};
use facefleet::gallery::failures::FailureReasons;
use facefleet::store::{Store, StoreError};

use super::{Home, a, opened};
use crate::support::{gallery, scored, selection, stamp, unfetched, uri, with_job};

pub async fn begun(store: &Arc<dyn Store>) -> Campaign {
    let campaign = Campaign {
        id: CampaignId::new(),
        lane: Lane::Scan,
        gallery: gallery(),
        profile: a(),
        selection: Some(selection()),
        source: "s3://photos/staff".into(),
        state: CampaignState::Running,
        progress: CampaignProgress::default(),
        started_at: String::new(),
    };
    store.begin_campaign(&campaign, None).await.unwrap();
    store.begin_campaign(&campaign, None).await.unwrap();
    campaign
}

fn of(campaign: &Campaign, record: JobRecord) -> JobRecord {
    with_job(record, |job| {
        job.id = campaign.id.job(&job.image);
        job.campaign = Some(campaign.id);
    })
}

async fn progress(store: &Arc<dyn Store>, campaign: &Campaign) -> CampaignProgress {
    store.campaign(campaign.id).await.unwrap().unwrap().progress
}

pub async fn a_campaign_adds_up(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    let stored = store.campaign(campaign.id).await.unwrap().unwrap();
    stored.started_at.parse::<jiff::Timestamp>().unwrap();
    assert_eq!(stored, Campaign { started_at: stored.started_at.clone(), ..campaign.clone() });

    let skipped = vec![campaign.id.job(&uri("0"))];
    let chunk = ListedChunk { listed: 4, skipped, from: None, to: Some("photos/3.jpg".into()) };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    let chunk = ListedChunk {
        listed: 1,
        skipped: vec![],
        from: Some("photos/3.jpg".into()),
        to: Some("photos/4.jpg".into()),
    };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    let failed = of(&campaign, unfetched("3", Outcome::Failed("gone".into())));
    store
        .record(&[of(&campaign, scored("1", &[50, 60])), of(&campaign, scored("2", &[70])), failed])
        .await
        .unwrap();
    assert_eq!(progress(&store, &campaign).await.left(), 1);
    assert!(!progress(&store, &campaign).await.is_complete());
    store.record(&[of(&campaign, scored("4", &[70])), scored("another's", &[1])]).await.unwrap();
    store.end_listing(campaign.id.into()).await.unwrap();
    let expected = CampaignProgress {
        listed: 5,
        skipped: 1,
        listing_done: true,
        chunk_from: Some("photos/3.jpg".into()),
        chunk_to: Some("photos/4.jpg".into()),
        listing_error: None,
        outcomes: [(OutcomeKind::Scored, 3), (OutcomeKind::Failed, 1)].into(),
        faces: 4,
    };
    assert!(expected.is_complete());
    assert_eq!(progress(&store, &campaign).await, expected);
}

pub async fn a_job_counts_once_however_often_it_ends(home: impl Home) {
    let store = opened(&home).await;
    let (campaign, other) = (begun(&store).await, begun(&store).await);
    let failed = of(&campaign, unfetched("1", Outcome::Failed("gone".into())));
    let scored = of(&campaign, scored("1", &[50]));
    store.record(&[failed.clone(), failed.clone()]).await.unwrap();
    store.record(&[failed]).await.unwrap();
    assert_eq!(progress(&store, &campaign).await.outcomes, [(OutcomeKind::Failed, 1)].into());
    store.record(&[scored.clone(), scored.clone()]).await.unwrap();
    assert_eq!(progress(&store, &campaign).await.outcomes, [(OutcomeKind::Scored, 1)].into());
    // A repeat of a stored result counts in another campaign.
    store.record(&[of(&other, scored)]).await.unwrap();
    assert_eq!(progress(&store, &other).await.outcomes, [(OutcomeKind::Scored, 1)].into());
}

pub async fn a_job_that_is_tried_again_counts_as_it_ends_then(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    let chunk =
        ListedChunk { listed: 3, skipped: vec![campaign.id.job(&uri("0"))], from: None, to: None };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    store.end_listing(campaign.id.into()).await.unwrap();
    let failed = |name: &str| of(&campaign, unfetched(name, Outcome::Failed("gone".into())));
    store.record(&[failed("1"), failed("2")]).await.unwrap();
    let counts = async || {
        let progress = progress(&store, &campaign).await;
        assert!(progress.is_complete(), "{progress:?}");
        (progress.outcomes, progress.faces)
    };
    assert_eq!(counts().await, ([(OutcomeKind::Failed, 2)].into(), 0));
    // The second attempt ends like the first. The next one is scored, and delivered twice.
    store.record(&[failed("1")]).await.unwrap();
    assert_eq!(counts().await, ([(OutcomeKind::Failed, 2)].into(), 0));
    let unreadable = of(&campaign, unfetched("2", Outcome::Unreadable("not there".into())));
    let scored = of(&campaign, scored("1", &[50, 60]));
    for _ in 0..2 {
        store.record(&[scored.clone(), unreadable.clone()]).await.unwrap();
        assert_eq!(
            counts().await,
            ([(OutcomeKind::Scored, 1), (OutcomeKind::Unreadable, 1)].into(), 2)
        );
    }
    // It stays scored, whatever follows: a result with another selection, and a failed fetch.
    let other = Selection { min_size_px: 7, ..selection() };
    store
        .record(&[JobRecord {
            selection: other,
            ..with_job(scored, |job| {
                job.campaign = None;
                job.id = JobId::new();
            })
        }])
        .await
        .unwrap();
    store.record(&[failed("1"), failed("0")]).await.unwrap();
    assert_eq!(
        counts().await,
        ([(OutcomeKind::Scored, 1), (OutcomeKind::Unreadable, 1)].into(), 2)
    );
}

pub async fn a_listing_that_fails_is_told_until_it_is_continued(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    let chunk = ListedChunk { listed: 1, ..Default::default() };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    store.fail_listing(campaign.id.into(), "the share is gone").await.unwrap();
    let failed = progress(&store, &campaign).await;
    assert_eq!(failed.listing_error.as_deref(), Some("the share is gone"));
    assert!(!failed.is_over() && !failed.is_complete());
    store.record(&[of(&campaign, scored("1", &[50]))]).await.unwrap();
    assert!(progress(&store, &campaign).await.is_over());
    store.begin_campaign(&campaign, None).await.unwrap();
    assert_eq!(progress(&store, &campaign).await.listing_error, None);
    store.end_listing(campaign.id.into()).await.unwrap();
    store.fail_listing(campaign.id.into(), "too late").await.unwrap();
    assert_eq!(progress(&store, &campaign).await.listing_error, None);
    assert!(progress(&store, &campaign).await.is_complete());
}

pub async fn a_campaign_may_have_no_selection(home: impl Home) {
    let store = opened(&home).await;
    let campaign = Campaign { id: CampaignId::new(), selection: None, ..begun(&store).await };
    store.begin_campaign(&campaign, None).await.unwrap();
    assert_eq!(store.campaign(campaign.id).await.unwrap().unwrap().selection, None);
}

pub async fn two_handles_count_the_same_jobs_once(home: impl Home) {
    let (store, other) = (opened(&home).await, home.open().await);
    let campaign = begun(&store).await;
    let records: Vec<_> =
        (0..100).map(|number| of(&campaign, scored(&number.to_string(), &[50]))).collect();
    // Half of them are retries.
    let failed = |record: &JobRecord| JobRecord {
        content: None,
        outcome: Outcome::Failed("gone".into()),
        ..record.clone()
    };
    store.record(&records[..50].iter().map(failed).collect::<Vec<_>>()).await.unwrap();
    let reversed: Vec<_> = records.iter().rev().cloned().collect();
    let batches = records.chunks(10).zip(reversed.chunks(10));
    for (ours, theirs) in batches {
        let (a, b) = tokio::join!(store.record(ours), other.record(theirs));
        a.unwrap();
        b.unwrap();
    }
    assert_eq!(progress(&store, &campaign).await.outcomes, [(OutcomeKind::Scored, 100)].into());
    assert_eq!(progress(&store, &campaign).await.faces, 100);
}

pub async fn a_chunk_that_is_listed_again_gives_the_jobs_that_are_left(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    let jobs: Vec<JobId> =
        ["skipped", "ended", "left", "left too"].map(|name| campaign.id.job(&uri(name))).into();
    let chunk = ListedChunk { listed: 4, skipped: vec![jobs[0]], from: None, to: None };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    store.record(&[of(&campaign, scored("ended", &[50]))]).await.unwrap();
    assert_eq!(store.uncounted_jobs(campaign.id, &jobs).await.unwrap(), jobs[2..]);
    assert_eq!(store.uncounted_jobs(campaign.id, &[]).await.unwrap(), []);
}

pub async fn operators_pause_resume_and_cancel(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    for state in [CampaignState::Paused, CampaignState::Running, CampaignState::Cancelled] {
        assert!(store.set_campaign_state(campaign.id, state).await.unwrap());
        assert_eq!(store.campaign(campaign.id).await.unwrap().unwrap().state, state);
    }
    assert!(!store.set_campaign_state(CampaignId::new(), CampaignState::Paused).await.unwrap());
}

pub async fn campaigns_come_latest_first(home: impl Home) {
    let store = opened(&home).await;
    let (first, second) = (begun(&store).await, begun(&store).await);
    let ids = |campaigns: Vec<Campaign>| {
        campaigns.into_iter().map(|campaign| campaign.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(store.campaigns(10).await.unwrap()), [second.id, first.id]);
    assert_eq!(ids(store.campaigns(1).await.unwrap()), [second.id]);
}

pub async fn an_unknown_campaign_is_an_error(home: impl Home) {
    let store = opened(&home).await;
    let nowhere = CampaignId::new();
    assert_eq!(store.campaign(nowhere).await.unwrap(), None);
    for answer in [
        store.note_listed(nowhere.into(), &ListedChunk::default()).await,
        store.end_listing(nowhere.into()).await,
    ] {
        assert!(matches!(answer, Err(StoreError::Invalid(_))), "{answer:?}");
    }
    // The result is stored anyway, and counts nowhere.
    let record = with_job(scored("1", &[50]), |job| job.campaign = Some(nowhere));
    store.record(&[record]).await.unwrap();
    store.try_writing().await.unwrap();
}

pub async fn the_failures_of_a_campaign_are_its_own(home: impl Home) {
    let store = opened(&home).await;
    let failed = |name: &str, reason: &str| unfetched(name, Outcome::Failed(reason.into()));
    store
        .record(&[failed("0", "before"), failed("1", "before"), scored("2", &[10])])
        .await
        .unwrap();
    let campaign = begun(&store).await;
    let note = with_job(failed("2", "denied"), |job| job.stamp = Some(stamp("v2")));
    let own = [failed("3", "denied"), note].map(|record| of(&campaign, record));
    store.record(&[failed("4", "elsewhere"), failed("5", "elsewhere")]).await.unwrap();
    store.record(&own).await.unwrap();
    let campaign = store.campaign(campaign.id).await.unwrap().unwrap();
    let found = FailureReasons::of_campaign(store.as_ref(), &campaign).await.unwrap();
    let reasons = found.most_frequent();
    assert_eq!((reasons.len(), reasons[0].reason.as_str(), reasons[0].images), (1, "denied", 2));
}
