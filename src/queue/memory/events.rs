//! Events about outcomes: a bounded channel for each subscriber.

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::Shared;
use crate::domain::OutcomeEvent;
use crate::queue::QueueError;

/// Events buffered for a subscriber before announcing waits for it.
const BACKLOG: usize = 256;

/// Sends `events` to every subscriber, and waits for the slow ones.
pub(super) async fn announce(shared: &Shared, events: &[OutcomeEvent]) -> Result<(), QueueError> {
    let subscribers = {
        let mut state = shared.state();
        if state.events_ended() {
            return Err(QueueError::Closed);
        }
        state.subscribers.retain(|subscriber| !subscriber.is_closed());
        state.subscribers.clone()
    };
    for subscriber in subscribers {
        for event in events {
            // An error means that the subscriber dropped its stream.
            if subscriber.send(event.clone()).await.is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// The events that are announced from now on.
pub(super) fn subscribe(shared: &Shared) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let mut state = shared.state();
    if state.events_ended() {
        return Err(QueueError::Closed);
    }
    state.subscribers.push(sender);
    drop(state);
    Ok(stream::unfold(
        receiver,
        |mut receiver| async move { Some((receiver.recv().await?, receiver)) },
    )
    .boxed())
}
