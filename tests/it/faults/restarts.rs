//! Servers that go away and come back.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use facefleet::domain::Campaign;
use tokio::time::{sleep, timeout};

use super::{Fleet, PATIENCE, names, stack};
use crate::support::sample;
use crate::support::stack::program;

async fn with_server_away(server: &str, how: &str, away: Duration) {
    let fleet = Fleet::new(names(1500)).await;
    let workers = [fleet.worker(), fleet.worker()];
    fleet.until(|progress| progress.ended() > 50).await;
    stack(&[how, server]);
    // The duration of the fault.
    sleep(away).await;
    stack(&["start", server]);
    fleet.ends_well(workers, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_loses_nothing() {
    with_server_away("rabbitmq", "stop", Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_crashes_and_stays_away_for_a_minute_loses_nothing() {
    with_server_away("rabbitmq", "kill", Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_restarts_loses_nothing() {
    with_server_away("postgres", "stop", Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_loses_nothing() {
    with_server_away("postgres", "kill", Duration::from_secs(3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_waits_for_its_images_outlives_a_database_that_restarts() {
    let (fleet, _) = Fleet::unpublished([]).await;
    let photo = fleet.folder.path().join("obama.jpg");
    std::fs::write(photo, sample("obama.jpg")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program(&fleet.stack.queue, &fleet.prefix, &fleet.store_url);
        command.args(arguments).arg(fleet.folder.path()).current_dir(fleet.folder.path());
        command
    };
    let mut scan =
        run(&["scan", "--gallery", "waiting", "--wait"]).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(scan.stderr.take().unwrap());
    let (heard, says) = std::sync::mpsc::channel();
    std::thread::spawn(move || log.lines().for_each(|line| drop(heard.send(line.unwrap()))));
    let hears = |text: &str| {
        while !says.recv_timeout(PATIENCE).unwrap().contains(text) {}
    };
    hears("no worker");
    // Until everything is published: a listing does not wait for the store.
    let published = async {
        let is_published = |campaign: &Campaign| {
            campaign.gallery.as_str() == "waiting" && campaign.progress.listing_done
        };
        while !fleet.store.campaigns(2).await.unwrap().iter().any(is_published) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, published).await.expect("the scan should list its image");
    stack(&["stop", "postgres"]);
    hears("the store cannot be used; waiting for it");
    stack(&["start", "postgres"]);
    let mut worker = run(&["worker", "--root"]).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || scan.wait().unwrap()).await.unwrap();
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
}
