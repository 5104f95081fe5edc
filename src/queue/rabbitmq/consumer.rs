//! Taking jobs from the broker: lane weights, prefetch, and jobs that are handled alone. [`super::feeder`] keeps it supplied.
//!
//! **Prefetch.** The broker sends each lane's consumer at most `prefetch` jobs ahead of their settlement; over all lanes, at most
//! `prefetch` are handed to the worker at once. So an enrolment that comes while a scan fills the worker is already here, and the
//! next to go. (One limit over several quorum queues the broker does not offer.)

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::DropGuard;

use super::Broker;
use super::feeder::Feeder;
use super::settle::deliver;
use super::shelf::{Mode, Shelf};
use crate::domain::Lane;
use crate::queue::{Consumer, Delivery, QueueError};

/// One consumer.
pub(super) struct RabbitConsumer {
    broker: Arc<Broker>,
    hands: Arc<Hands>,
    /// Stops the feeder once nobody consumes any more.
    _stop: DropGuard,
}

/// What a consumer, its deliveries and its feeder share.
pub(super) struct Hands {
    prefetch: u16,
    shelf: Mutex<Shelf>,
    change: Notify,
}

impl Hands {
    /// Jobs that the broker may send ahead, a lane, and that a worker may hold.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// The shelf. Nothing panics half-way through a change of it, so a poisoned lock is as good as any.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the shelf, and tells whoever waits for that.
    pub(super) fn update<T>(&self, update: impl FnOnce(&mut Shelf) -> T) -> T {
        let value = update(&mut self.shelf());
        self.change.notify_waiters();
        value
    }

    /// A worker holds one less.
    pub(super) fn release(&self) {
        self.update(|shelf| shelf.held -= 1);
    }

    /// Whether nobody holds anything, and nothing waits to be handled alone.
    pub(super) fn is_idle(&self) -> bool {
        self.shelf().is_idle()
    }

    /// Waits until nobody holds anything, and nothing waits to be handled alone.
    pub(super) async fn until_idle(&self) {
        loop {
            // Made before the look at the shelf: it hears of every change from here on, waited for or not.
            let change = self.change.notified();
            if self.is_idle() {
                return;
            }
            change.await;
        }
    }
}

impl RabbitConsumer {
    /// Starts a consumer of `lanes`.
    ///
    /// # Errors
    /// If the broker cannot be reached. Once it could be, it is waited for.
    pub(super) async fn start(broker: &Arc<Broker>, lanes: &[Lane], prefetch: usize) -> Result<Self, QueueError> {
        let lanes: Vec<Lane> = Lane::ALL.into_iter().filter(|lane| lanes.contains(lane)).collect();
        // The broker counts in 16 bits.
        let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
        let hands = Arc::new(Hands { prefetch, shelf: Mutex::new(Shelf::new(&lanes)), change: Notify::new() });
        let stop = broker.closed.child_token();
        Feeder::start(Arc::clone(broker), lanes, Arc::clone(&hands), stop.clone()).await?;
        Ok(Self { broker: Arc::clone(broker), hands, _stop: stop.drop_guard() })
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            let change = self.hands.change.notified();
            {
                let mut shelf = self.hands.shelf();
                if shelf.mode == Mode::Closed || self.broker.closed.is_cancelled() {
                    return None;
                }
                if let Some(parcel) = shelf.take(usize::from(self.hands.prefetch)) {
                    return Some(deliver(&self.broker, &self.hands, parcel));
                }
            }
            tokio::select! {
                () = change => {}
                () = self.broker.closed.cancelled() => return None,
            }
        }
    }
}
