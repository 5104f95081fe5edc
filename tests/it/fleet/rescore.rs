//! `facefleet rescore` on a fleet: workers of two profiles, an interruption, a pause.

use std::process::{Command, Stdio};

use facefleet::domain::{CampaignProgress, CampaignState};
use facefleet::store::Store;

use super::{Fleet, PATIENCE, Running, photos};
use crate::support::PHOTOS;

const NEW: [(&str, &str); 2] =
    [("FACEFLEET__QUALITY__METHOD", "sampled"), ("FACEFLEET__QUALITY__PASSES", "10")];

/// The progress of the latest campaign, once it is `enough`.
async fn latest(store: &dyn Store, enough: impl Fn(&CampaignProgress) -> bool) -> CampaignProgress {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        let campaign = store.campaigns(1).await.unwrap().pop();
        if let Some(campaign) = campaign.filter(|campaign| enough(&campaign.progress)) {
            return campaign.progress;
        }
        assert!(tokio::time::Instant::now() < give_up, "nothing happens");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescore_is_interrupted_paused_and_resumed_beside_workers_of_the_old_profile() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let root = folder.path().to_str().unwrap().to_owned();
    let worker = |settings: &[(&str, &str)]| {
        let mut worker = fleet.command(&["worker", "--root", &root], settings);
        Running(worker.stdout(Stdio::null()).spawn().unwrap())
    };
    let _old = worker(&[]);
    let scanned = fleet.json(&["scan", &root, "--gallery", "staff", "--wait", "--json"], &[]).await;
    let old = scanned["summary"]["profile"].clone();

    // No worker has the new profile yet. The second job would go after an hour.
    let store = fleet.app().store().await.unwrap();
    let rescore = ["rescore", "--gallery", "staff", "--json"];
    let mut slow = fleet.command(&[&rescore[..], &["--rate", "1/h"]].concat(), &NEW);
    let slow = slow.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let all = PHOTOS.len() as u64;
    latest(store.as_ref(), |progress| progress.listed == 1 && !progress.listing_done).await;
    let id = slow.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = tokio::task::spawn_blocking(|| slow.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(130));
    let campaign = store.campaigns(1).await.unwrap().remove(0);
    assert!(!campaign.progress.listing_done && campaign.state == CampaignState::Running);

    let id = campaign.id.to_string();
    fleet.json(&["campaign", "pause", &id, "--json"], &[]).await;
    let _new = worker(&NEW);
    let resume = [&rescore[..], &["--resume", &id]].concat();
    let (status, _, err) = fleet.run(&[&resume[..], &["--all"]].concat(), &NEW).await;
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains(&format!("lists --missing --from-profile {}", old.as_str().unwrap())));
    let published = fleet.json(&resume, &NEW).await;
    assert_eq!(published["summary"]["left"], all, "{published}");
    fleet.json(&["campaign", "resume", &id, "--json"], &[]).await;
    let progress = latest(store.as_ref(), CampaignProgress::is_complete).await;
    assert_eq!((progress.listed, progress.skipped, progress.ended()), (all, 0, all));

    let again = [&rescore[..], &["--wait"]].concat();
    let nothing = fleet.json(&again, &NEW).await;
    assert_eq!(nothing["summary"]["skipped"], all, "{nothing}");
    let everything = fleet.json(&[&again[..], &["--all"]].concat(), &NEW).await;
    assert_eq!(everything["summary"]["outcomes"]["scored"], all, "{everything}");
    assert_eq!(everything["summary"]["from_profile"], old);
    fleet.broker.remove().await;
}
