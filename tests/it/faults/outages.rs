//! Outages of sources, shortages of the machine, and campaigns that are paused or cancelled.

use std::sync::atomic::{AtomicBool, Ordering};

use facefleet::domain::{OutcomeKind, ProfileId, SourceStatus, SubQueue, SubQueueOf};

use super::*;
use crate::support::http::{Answer, HttpServer};

/// Waits until a worker has reported an outage of a source, or the end of all outages.
async fn reported(fleet: &Fleet, trouble: bool) -> Vec<SourceStatus> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let sources = fleet.store.source_statuses().await.unwrap();
        if sources.iter().any(|source| source.trouble.is_some()) == trouble && !sources.is_empty() {
            return sources;
        }
        assert!(Instant::now() < give_up, "{sources:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn outcomes(progress: &CampaignProgress) -> Vec<(OutcomeKind, u64)> {
    progress.outcomes.iter().map(|(kind, jobs)| (*kind, *jobs)).collect()
}

/// The number of jobs that no worker has taken.
async fn ready(fleet: &Fleet) -> u64 {
    fleet.queue.status().await.unwrap().ready.iter().map(|(_, jobs)| jobs).sum()
}

#[tokio::test]
async fn an_unmounted_share_costs_no_image_its_score() {
    let (fleet, mut jobs) =
        Fleet::unpublished((0..1500).map(|number| format!("{number}.jpg"))).await;
    let folder = fleet.folder.path().canonicalize().unwrap();
    // Five are deleted, which is not an outage.
    for number in [100, 500, 900, 1300, 1499] {
        std::fs::remove_file(folder.join(format!("{number}.jpg"))).unwrap();
    }
    let worker = fleet.worker();
    let others = jobs.split_off(200);
    fleet.queue.publish(jobs).await.unwrap();
    fleet.until(|progress| progress.ended() == 200).await;
    // An unmounted share leaves an empty folder. All other jobs meet it, however fast they are.
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    std::fs::create_dir(&folder).unwrap();
    fleet.queue.publish(others).await.unwrap();
    let sources = reported(&fleet, true).await;
    assert_eq!(sources[0].name.as_str(), folder.to_str().unwrap());
    assert!(sources[0].trouble.as_ref().unwrap().contains("empty"), "{sources:?}");
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    fleet.until(CampaignProgress::is_complete).await;
    assert_eq!(
        outcomes(&fleet.progress().await),
        [(OutcomeKind::Scored, 1495), (OutcomeKind::Unreadable, 5)]
    );
    reported(&fleet, false).await;
    fleet.until_empty().await;
    assert_eq!(fleet.queue.status().await.unwrap().dead, 0);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_worker_that_is_out_of_descriptors_waits_and_charges_no_image() {
    let (fleet, mut jobs) =
        Fleet::unpublished((0..1500).map(|number| format!("{number}.jpg"))).await;
    let worker = fleet.worker();
    let others = jobs.split_off(100);
    fleet.queue.publish(jobs).await.unwrap();
    fleet.until(|progress| progress.ended() == 100).await;
    let limit = |descriptors: &str| {
        let (pid, limit) = (worker.process.id().to_string(), format!("--nofile={descriptors}:"));
        assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
    };
    // Open files stay open, and no more can be opened: the worker takes jobs and ends none.
    limit("4");
    fleet.queue.publish(others).await.unwrap();
    let give_up = Instant::now() + PATIENCE;
    while ready(&fleet).await == 1400 {
        assert!(Instant::now() < give_up, "the worker takes no jobs");
        sleep(Duration::from_millis(50)).await;
    }
    // The duration of the fault.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(fleet.progress().await.ended(), 100);
    limit("1024");
    fleet.ends_well([worker], &[]).await;
    assert_eq!(fleet.queue.status().await.unwrap().dead, 0);
}

#[tokio::test]
async fn a_server_that_is_away_from_the_start_delays_only_its_own_jobs() {
    let up = Arc::new(AtomicBool::new(false));
    let answer = {
        let up = up.clone();
        move |path: &str| match () {
            () if !up.load(Ordering::SeqCst) => Answer::of("503 Service Unavailable", "", b"later"),
            () if path.contains("denied") => Answer::of("403 Forbidden", "", b"no"),
            () => Answer::of("200 OK", "", path.as_bytes()),
        }
    };
    let server = HttpServer::start(answer).await;
    let (fleet, mut jobs) =
        Fleet::unpublished((0..200).map(|number| format!("{number}.jpg"))).await;
    // Every second job is of the server.
    for (number, of_server) in jobs.iter_mut().enumerate().filter(|(number, _)| number % 2 == 0) {
        let name = if number == 42 { "denied".to_owned() } else { number.to_string() };
        *of_server = job(&fleet.campaign, server.url(&format!("/{name}.jpg")).parse().unwrap());
    }
    fleet.queue.publish(jobs).await.unwrap();
    let allow = [
        ("FACEFLEET__IMAGES__ALLOW", server.url("/")),
        ("FACEFLEET__IMAGES__ALLOW_PRIVATE_HOSTS", "127.0.0.1".to_owned()),
    ];
    let worker = fleet.worker_with(&fleet.stack.queue, &fleet.store_url, &allow);
    // The other jobs do not wait for it.
    fleet.until(|progress| progress.ended() == 100).await;
    let sources = reported(&fleet, true).await;
    assert!(sources[0].trouble.as_ref().unwrap().contains("503"), "{sources:?}");
    assert_eq!(outcomes(&fleet.progress().await), [(OutcomeKind::Scored, 100)]);
    up.store(true, Ordering::SeqCst);
    fleet.until(CampaignProgress::is_complete).await;
    assert_eq!(
        outcomes(&fleet.progress().await),
        [(OutcomeKind::Scored, 199), (OutcomeKind::Unreadable, 1)]
    );
    fleet.until_empty().await;
    assert_eq!(fleet.queue.status().await.unwrap().dead, 0);
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn jobs_of_an_endless_outage_end_as_failed() {
    let server =
        HttpServer::start(|_: &str| Answer::of("503 Service Unavailable", "", b"later")).await;
    let (fleet, mut jobs) = Fleet::unpublished((0..20).map(|number| format!("{number}.jpg"))).await;
    for (number, of_server) in jobs.iter_mut().enumerate() {
        *of_server = job(&fleet.campaign, server.url(&format!("/{number}.jpg")).parse().unwrap());
    }
    fleet.queue.publish(jobs).await.unwrap();
    let settings = [
        ("FACEFLEET__IMAGES__ALLOW", server.url("/")),
        ("FACEFLEET__IMAGES__ALLOW_PRIVATE_HOSTS", "127.0.0.1".to_owned()),
        ("FACEFLEET__IMAGES__OUTAGE_SECONDS", "2".to_owned()),
    ];
    let worker = fleet.worker_with(&fleet.stack.queue, &fleet.store_url, &settings);
    fleet.until(CampaignProgress::is_complete).await;
    assert_eq!(outcomes(&fleet.progress().await), [(OutcomeKind::Failed, 20)]);
    fleet.until_empty().await;
    // Letters follow the commit, and a job is not counted while it becomes one.
    let give_up = Instant::now() + PATIENCE;
    let letters = loop {
        let letters = fleet.queue.dead_letters(30).await.unwrap();
        if letters.len() == 20 {
            break letters;
        }
        assert!(Instant::now() < give_up, "{} dead letters", letters.len());
        sleep(Duration::from_millis(50)).await;
    };
    assert!(
        letters[0].reason.contains("images.outage_seconds") && letters[0].deliveries == 1,
        "{:?}",
        letters[0]
    );
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_paused_campaign_waits_and_continues_after_it_is_resumed() {
    let (fleet, jobs) = Fleet::unpublished((0..600).map(|number| format!("{number}.jpg"))).await;
    let sub_queue = fleet.campaign.sub_queue();
    fleet.store.set_campaign_state(fleet.campaign.id, CampaignState::Paused).await.unwrap();
    fleet.queue.publish_to(&sub_queue, jobs[..500].to_vec()).await.unwrap();
    // Jobs that come from its lane are set aside there too, once.
    fleet.queue.publish(jobs[500..].to_vec()).await.unwrap();
    let worker = fleet.worker();
    let give_up = Instant::now() + PATIENCE;
    while fleet.queue.waiting(std::slice::from_ref(&sub_queue)).await.unwrap() != [600] {
        assert!(
            Instant::now() < give_up,
            "{:?}",
            fleet.queue.waiting(std::slice::from_ref(&sub_queue)).await
        );
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fleet.progress().await.ended(), 0);
    fleet.store.set_campaign_state(fleet.campaign.id, CampaignState::Running).await.unwrap();
    fleet.ends_well([worker], &[]).await;
}

#[tokio::test]
async fn jobs_of_another_profile_are_moved_once_and_kept() {
    let (fleet, jobs) = Fleet::unpublished((0..60).map(|number| format!("{number}.jpg"))).await;
    let profile: ProfileId = "0123456789abcdef".parse().unwrap();
    let others = (0..60).map(|number| {
        let image = format!("file:///others/{number}.jpg").parse().unwrap();
        Job { campaign: None, profile: Some(profile.clone()), ..job(&fleet.campaign, image) }
    });
    fleet.queue.publish(others.collect()).await.unwrap();
    fleet.queue.publish(jobs).await.unwrap();
    let worker = fleet.worker();
    fleet.until(CampaignProgress::is_complete).await;
    let sub_queue = SubQueue { lane: Lane::Scan, of: SubQueueOf::Profile(profile) };
    let give_up = Instant::now() + PATIENCE;
    while fleet.queue.waiting(std::slice::from_ref(&sub_queue)).await.unwrap() != [60] {
        assert!(Instant::now() < give_up);
        sleep(Duration::from_millis(50)).await;
    }
    // A worker with the profile gets them unchanged.
    let mut consumer = fleet.queue.consume(&Lane::ALL, 4).await.unwrap();
    consumer.take_from([sub_queue].into());
    let delivery = tokio::time::timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
    assert_eq!(delivery.job().attempt, 1);
    drop((delivery, consumer));
    assert_eq!(worker.stop().await, Some(0));
}

#[tokio::test]
async fn a_cancelled_campaign_is_gone_from_the_broker_and_another_goes_on() {
    let (fleet, jobs) = Fleet::unpublished((0..300).map(|number| format!("{number}.jpg"))).await;
    let other = Campaign { id: CampaignId::new(), ..fleet.campaign.clone() };
    fleet.store.begin_campaign(&other, None).await.unwrap();
    let of_other: Vec<Job> =
        jobs.iter().map(|of_campaign| job(&other, of_campaign.image.clone())).collect();
    fleet.queue.publish_to(&other.sub_queue(), of_other).await.unwrap();
    fleet.store.set_campaign_state(other.id, CampaignState::Cancelled).await.unwrap();
    fleet.queue.publish_to(&fleet.campaign.sub_queue(), jobs).await.unwrap();
    let worker = fleet.worker();
    fleet.until(CampaignProgress::is_complete).await;
    // The worker deletes its sub-queue.
    let give_up = Instant::now() + PATIENCE;
    while fleet.store.open_campaigns().await.unwrap().iter().any(|open| open.id == other.id) {
        assert!(Instant::now() < give_up);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fleet.queue.waiting(&[other.sub_queue()]).await.unwrap(), [0]);
    assert_eq!(fleet.store.campaign(other.id).await.unwrap().unwrap().progress.ended(), 0);
    fleet.ends_well([worker], &[]).await;
}
