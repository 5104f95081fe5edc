//! How many of something there are, for whoever waits until there is none.

use tokio::sync::watch;

/// A number of things.
pub(super) struct Counter(watch::Sender<usize>);

/// One of the things; gone when it is dropped.
pub(super) struct Counted(watch::Sender<usize>);

impl Counter {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// One more.
    pub(super) fn one(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.0.clone())
    }

    /// Whether there is none.
    pub(super) fn is_zero(&self) -> bool {
        *self.0.borrow() == 0
    }

    /// Waits until there is none.
    pub(super) async fn until_zero(&self) {
        // An error means that the counter is gone, and this borrows it.
        self.0.subscribe().wait_for(|count| *count == 0).await.ok();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
