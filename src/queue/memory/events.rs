//! The news of outcomes: a bounded channel for each reader. Knows nothing of jobs.

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use super::Shared;
use crate::domain::OutcomeEvent;
use crate::queue::QueueError;

/// Events that a reader may be behind before announcers wait for it.
const BACKLOG: usize = 256;

/// Hands `events` to every reader, waiting for the slow ones.
pub(super) async fn announce(shared: &Shared, events: &[OutcomeEvent]) -> Result<(), QueueError> {
    let readers = {
        let mut state = shared.state();
        if state.news_over() {
            return Err(QueueError::Closed);
        }
        state.subscribers.retain(|reader| !reader.is_closed());
        state.subscribers.clone()
    };
    for reader in readers {
        for event in events {
            // An error means that the reader left: nobody misses the rest.
            if reader.send(event.clone()).await.is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// The events announced from now on.
pub(super) fn subscribe(shared: &Shared) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    let mut state = shared.state();
    if state.news_over() {
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
