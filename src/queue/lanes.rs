//! Fairness between the lanes of a consumer, within its prefetch. Shared by both backends.
//!
//! **Weights.** While all lanes have jobs, of 21 deliveries 16 are enrolments, 4 scans and 1 a
//! re-score, in that order. So an enrolment waits for at most 5 other jobs, and no lane starves. A
//! lane whose slots are taken keeps what is left of its round, however often it is asked meanwhile.
//!
//! **Prefetch.** At most `prefetch` enrolments, and as many jobs of the other lanes together, are
//! unsettled at a time. So an enrolment never waits for a slot that a scan's job occupies.

use crate::domain::Lane;

/// The number of deliveries of a lane in a round in which all lanes have jobs.
fn weight(lane: Lane) -> u32 {
    match lane {
        Lane::Enrol => 16,
        Lane::Scan => 4,
        Lane::Rescore => 1,
    }
}

/// Decides from which lane a consumer takes its next job, and counts its unsettled deliveries.
#[derive(Debug)]
pub(super) struct LaneScheduler {
    prefetch: usize,
    /// The most urgent lane first, each with its remaining deliveries in this round. A round ends
    /// when no lane with remaining deliveries has jobs. Rounds are counted per consumer: another
    /// consumer with other lanes does not disturb them.
    lanes: Vec<(Lane, u32)>,
    unsettled_enrolments: usize,
    unsettled_others: usize,
}

impl LaneScheduler {
    /// A scheduler of `lanes` for a consumer with at most `prefetch` unsettled deliveries, and as
    /// many unsettled enrolments.
    pub(super) fn new(lanes: &[Lane], prefetch: usize) -> Self {
        let lanes = Lane::ALL
            .into_iter()
            .filter(|lane| lanes.contains(lane))
            .map(|lane| (lane, weight(lane)))
            .collect();
        Self { prefetch, lanes, unsettled_enrolments: 0, unsettled_others: 0 }
    }

    /// Takes the next job out of the lanes by `pop` and counts it as unsettled, if the prefetch
    /// allows for it.
    pub(super) fn take<T>(&mut self, mut pop: impl FnMut(Lane) -> Option<T>) -> Option<T> {
        self.take_in_round(&mut pop).or_else(|| {
            self.begin_round();
            self.take_in_round(&mut pop)
        })
    }

    /// Begins a round for the lanes with a free slot. For them the last one has ended, because
    /// those with remaining deliveries have no jobs.
    fn begin_round(&mut self) {
        for index in 0..self.lanes.len() {
            let lane = self.lanes[index].0;
            if self.has_free_slot(lane) {
                self.lanes[index].1 = weight(lane);
            }
        }
    }

    fn take_in_round<T>(&mut self, pop: &mut impl FnMut(Lane) -> Option<T>) -> Option<T> {
        for index in 0..self.lanes.len() {
            let (lane, remaining) = self.lanes[index];
            if remaining > 0
                && self.has_free_slot(lane)
                && let Some(job) = pop(lane)
            {
                self.lanes[index].1 -= 1;
                self.delivered(lane);
                return Some(job);
            }
        }
        None
    }

    /// Counts a delivery of `lane` as unsettled.
    pub(super) fn delivered(&mut self, lane: Lane) {
        *self.unsettled(lane) += 1;
    }

    /// A delivery of `lane` is settled.
    pub(super) fn settled(&mut self, lane: Lane) {
        *self.unsettled(lane) -= 1;
    }

    /// Whether the prefetch allows for another delivery of `lane`.
    pub(super) fn has_free_slot(&mut self, lane: Lane) -> bool {
        *self.unsettled(lane) < self.prefetch
    }

    /// Whether no delivery is unsettled.
    pub(super) fn is_idle(&self) -> bool {
        self.unsettled_enrolments == 0 && self.unsettled_others == 0
    }

    fn unsettled(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Enrol => &mut self.unsettled_enrolments,
            Lane::Scan | Lane::Rescore => &mut self.unsettled_others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs of all lanes without end, or of all but enrolments.
    fn taken(lanes: &[Lane], enrolments: bool, prefetch: usize, count: usize) -> Vec<Lane> {
        let mut scheduler = LaneScheduler::new(lanes, prefetch);
        let (mut taken, mut unsettled) = (Vec::new(), Vec::new());
        while taken.len() < count {
            let pop = |lane| (enrolments || lane != Lane::Enrol).then_some(lane);
            match scheduler.take(pop) {
                Some(lane) => {
                    taken.push(lane);
                    unsettled.push(lane);
                }
                // All slots are taken. The oldest job ends.
                None => scheduler.settled(unsettled.remove(0)),
            }
        }
        taken
    }

    #[test]
    fn a_consumer_that_asks_while_its_slots_are_taken_starves_no_lane() {
        for prefetch in [1, 4, 48] {
            let taken = taken(&Lane::ALL, false, prefetch, 1000);
            let rescores = taken.iter().filter(|lane| **lane == Lane::Rescore).count();
            assert_eq!(rescores, 200, "of 5 jobs, 4 scans and 1 re-score");
        }
        for prefetch in [1, 4, 48] {
            let taken = self::taken(&Lane::ALL, true, prefetch, 2100);
            let of = |wanted| taken.iter().filter(|lane| **lane == wanted).count();
            let (scans, rescores) = (of(Lane::Scan), of(Lane::Rescore));
            assert!(of(Lane::Enrol) >= 1000 && rescores >= 100, "{rescores} of 2100");
            assert!(scans.abs_diff(4 * rescores) <= 4, "{scans} scans, {rescores} re-scores");
        }
    }
}
