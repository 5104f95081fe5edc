//! How long work that this process cannot do is left to others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{ScheduleName, UtcTime};
use crate::store::RunKey;

/// Since when this process has left a slot or a run to others, by schedule. Clones share it. The
/// time is this process's own: how late a slot is says nothing about how long others had for it.
#[derive(Clone, Default)]
pub(super) struct Patience(Arc<Mutex<HashMap<ScheduleName, (UtcTime, Instant)>>>);

impl Patience {
    /// Whether others have had `time` for `run` since it was left to them.
    pub(super) fn is_over(&self, run: &RunKey, time: Duration) -> bool {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = left.get(&run.schedule).filter(|(slot, _)| *slot == run.slot);
        left.is_some_and(|(_, since)| since.elapsed() >= time)
    }

    /// Counts the time anew, if `run` was left to others.
    pub(super) fn restart(&self, run: &RunKey) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, since)) = left.get_mut(&run.schedule).filter(|(slot, _)| *slot == run.slot)
        {
            *since = Instant::now();
        }
    }

    /// Leaves `run` to others. False if it was left to them before.
    pub(super) fn leave(&self, run: &RunKey) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.get(&run.schedule).is_some_and(|(slot, _)| *slot == run.slot) {
            return false;
        }
        left.insert(run.schedule.clone(), (run.slot, Instant::now()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_with_a_slot_begins_when_it_is_left_to_others() {
        let slot = |ms| RunKey {
            schedule: "hourly".parse().unwrap(),
            slot: UtcTime::from_millisecond(ms).unwrap(),
        };
        let (patience, minute) = (Patience::default(), Duration::from_secs(60));
        assert!(!patience.is_over(&slot(1), minute), "a slot that nobody looked at");
        assert!(patience.leave(&slot(1)) && !patience.leave(&slot(1)));
        tokio::time::advance(minute - Duration::from_millis(1)).await;
        assert!(!patience.clone().is_over(&slot(1), minute));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(patience.clone().is_over(&slot(1), minute));
        assert!(!patience.is_over(&slot(2), minute), "another slot");
        patience.restart(&slot(2));
        assert!(patience.is_over(&slot(1), minute), "nothing but that slot begins anew");
        patience.restart(&slot(1));
        assert!(!patience.is_over(&slot(1), minute));
        assert!(patience.leave(&slot(2)));
        assert!(!patience.is_over(&slot(2), minute));
    }
}
