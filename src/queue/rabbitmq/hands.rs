//! What a consumer, its deliveries and its feeder share: the shelf behind a lock, and the news of
//! its changes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::shelf::Shelf;
use crate::domain::Lane;

/// What a consumer, its deliveries and its feeder share.
pub(super) struct Hands {
    prefetch: u16,
    shelf: Mutex<Shelf>,
    /// Any change of the shelf.
    change: Notify,
}

impl Hands {
    /// Empty ones for `lanes`.
    pub(super) fn new(lanes: &[Lane], prefetch: u16) -> Self {
        Self { prefetch, shelf: Mutex::new(Shelf::new(lanes)), change: Notify::new() }
    }

    /// Jobs that the broker may send ahead, a lane, and that a worker may hold.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// The shelf. Nothing panics half-way through a change of it, so a poisoned lock is as good as
    /// any.
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of the next change of the shelf, from now on, waited for or not.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.change.notified()
    }

    /// Changes the shelf, and tells whoever waits for that.
    pub(super) fn update<T>(&self, update: impl FnOnce(&mut Shelf) -> T) -> T {
        let value = update(&mut self.shelf());
        self.change.notify_waiters();
        value
    }

    /// A worker holds one less of `lane`.
    pub(super) fn release(&self, lane: Lane) {
        self.update(|shelf| shelf.release(lane));
    }

    /// Whether a worker could be handed a job of `lane`, and none is here.
    pub(super) fn has_room(&self, lane: Lane) -> bool {
        self.shelf().has_room(lane, usize::from(self.prefetch))
    }

    /// Whether nobody holds anything, and nothing waits to be handled alone.
    pub(super) fn is_idle(&self) -> bool {
        self.shelf().is_idle()
    }

    /// Waits until nobody holds anything, and nothing waits to be handled alone.
    pub(super) async fn until_idle(&self) {
        loop {
            // Made before the look at the shelf: it hears of every change from here on, waited for
            // or not.
            let change = self.change.notified();
            if self.is_idle() {
                return;
            }
            change.await;
        }
    }
}
