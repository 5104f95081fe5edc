//! Taking jobs from the broker: lane weights, prefetch, and jobs that are handled alone.
//! [`super::feeder`] keeps it supplied.
//!
//! **Prefetch.** The broker sends each lane's consumer at most `prefetch` jobs ahead of their
//! settlement; of those, the worker is handed at most `prefetch` enrolments and as many of the
//! other lanes at once. So an enrolment that comes while a scan fills the worker is already here,
//! and goes at once. (One limit over several quorum queues the broker does not offer.)

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::DropGuard;

use super::Broker;
use super::feeder::Feeder;
use super::hands::Hands;
use super::settle::deliver;
use super::shelf::Mode;
use crate::domain::{Lane, SubQueue};
use crate::queue::{Consumer, Delivery, QueueError};

/// One consumer.
pub(super) struct RabbitConsumer {
    broker: Arc<Broker>,
    hands: Arc<Hands>,
    places: watch::Sender<BTreeSet<SubQueue>>,
    /// Stops the feeder once nobody consumes any more.
    _stop: DropGuard,
}

impl RabbitConsumer {
    /// Starts a consumer of `lanes`.
    ///
    /// # Errors
    /// If the broker cannot be reached. Once it could be, it is waited for.
    pub(super) async fn start(
        broker: &Arc<Broker>,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Self, QueueError> {
        let lanes: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| lanes.contains(lane)).collect();
        // The broker counts in 16 bits.
        let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
        let hands = Arc::new(Hands::new(&lanes, prefetch));
        let stop = broker.closed.child_token();
        let (places, wanted) = watch::channel(BTreeSet::new());
        Feeder::start(Arc::clone(broker), lanes, Arc::clone(&hands), wanted, stop.clone()).await?;
        Ok(Self { broker: Arc::clone(broker), hands, places, _stop: stop.drop_guard() })
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let change = self.hands.changed();
            {
                let mut shelf = self.hands.shelf();
                if shelf.mode == Mode::Closed || self.broker.closed.is_cancelled() {
                    return None;
                }
                if let Some(parcel) = shelf.take(usize::from(self.hands.prefetch())) {
                    return Some(deliver(&self.broker, &self.hands, parcel));
                }
            }
            tokio::select! {
                () = change => {}
                () = self.broker.closed.cancelled() => return None,
            }
        }
    }

    fn take_from(&mut self, places: BTreeSet<SubQueue>) {
        self.broker.take_from(&places);
        self.places.send_if_modified(|taken| {
            let modified = *taken != places;
            *taken = places;
            modified
        });
    }
}
