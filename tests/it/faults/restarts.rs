//! Servers that go away and come back.

use std::time::Duration;

use tokio::time::sleep;

use super::{Fleet, names, stack};

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
