//! A limit on how fast the jobs of a campaign are published.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub use crate::domain::JobRate;

/// Jobs that were not published in time are made up for, within this time.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Paces jobs: the next one goes an interval after the one before. What is late is made up for, up
/// to a second's worth (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// When the next job may go.
    next: Instant,
}

impl Pace {
    pub(super) fn new(rate: JobRate) -> Self {
        Self { interval: rate.interval(), next: Instant::now() }
    }

    /// Waits until a job may go, and takes as many of `wanted` as may go now: at least one. May be
    /// dropped while it waits.
    pub(super) async fn take(&mut self, wanted: usize) -> usize {
        sleep_until(self.next).await;
        let now = Instant::now();
        // What was not published long ago is not made up for.
        self.next = self.next.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        let late = now.duration_since(self.next).as_secs_f64();
        let due = 1 + (late / self.interval.as_secs_f64()) as usize;
        let taken = due.min(wanted.max(1));
        self.next += self.interval.mul_f64(taken as f64);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn jobs_go_in_their_rate_whatever_is_asked_for_at_once() {
        for text in ["4/s", "30/min", "5000/s"] {
            let rate: JobRate = text.parse().unwrap();
            let (mut pace, began) = (Pace::new(rate), Instant::now());
            let mut taken = 0;
            while began.elapsed() < Duration::from_secs(20) {
                taken += pace.take(512).await;
            }
            let wanted = 20.0 / rate.interval().as_secs_f64();
            let off = (taken as f64 - wanted).abs();
            assert!(off <= 2.0 + wanted / 1000.0, "{text}: {taken} of {wanted}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_second_is_made_up_for() {
        let mut pace = Pace::new("10/s".parse().unwrap());
        assert_eq!(pace.take(512).await, 1);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(pace.take(512).await, 11);
        assert_eq!(pace.take(512).await, 1);
    }
}
