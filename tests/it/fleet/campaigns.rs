//! `facefleet campaign` on a fleet.

use super::{Fleet, photos};
use crate::support::stack::CLOSED_PORT;

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_cancelled_also_while_the_broker_is_away() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let scan = ["scan", folder.path().to_str().unwrap(), "--gallery", "staff", "--json"];
    let away = format!("amqp://127.0.0.1:{CLOSED_PORT}/%2f");
    let mut wrong = fleet.broker.url.clone();
    wrong.set_password(Some("wrong")).unwrap();
    for (url, expected) in
        [(away.as_str(), (Some(0), "127.0.0.1:9")), (wrong.as_str(), (Some(1), "cannot be used"))]
    {
        fleet.json(&scan, &[]).await;
        let cancel = ["campaign", "cancel", "latest", "--json"];
        let (status, out, err) = fleet.run(&cancel, &[("FACEFLEET__QUEUE__URL", url)]).await;
        assert_eq!(status, expected.0, "{err}");
        assert!(out.contains("\"cancelled\""), "{out}");
        assert!(err.contains(expected.1) && err.contains("the campaign is cancelled"), "{err}");
        let cancelled = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
        assert_eq!(cancelled["state"], "cancelled");
    }
    fleet.broker.remove().await;
}
