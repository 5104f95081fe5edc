//! What a consumer has in hand: jobs that the broker sent ahead, by lane, and how many a worker holds. Plain data; waits for nothing.

use std::collections::VecDeque;

use lapin::Acker;

use super::message::Arrived;
use crate::domain::Lane;
use crate::queue::weight;

/// A job that the broker sent, and what answers for it.
pub(super) struct Parcel {
    pub(super) arrived: Arrived,
    pub(super) acker: Acker,
}

/// Which jobs are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Those of the lanes, by weight.
    Lanes,
    /// None: what is held is waited for, and then one is handled alone.
    Solo,
    /// None any more.
    Closed,
}

/// What a consumer has in hand.
pub(super) struct Shelf {
    pub(super) mode: Mode,
    /// Deliveries in the hands of a worker.
    pub(super) held: usize,
    /// The lanes, the most urgent first, each with the deliveries left to it in this turn and its jobs. As in the queue in memory,
    /// a turn ends when no lane with deliveries left has jobs.
    lanes: Vec<(Lane, u32, VecDeque<Parcel>)>,
    /// The one to be handled alone.
    solo: Option<Parcel>,
}

impl Shelf {
    pub(super) fn new(lanes: &[Lane]) -> Self {
        let lanes = lanes.iter().map(|&lane| (lane, weight(lane), VecDeque::new())).collect();
        Self { mode: Mode::Lanes, held: 0, lanes, solo: None }
    }

    /// Keeps a job that the broker sent ahead.
    pub(super) fn put(&mut self, parcel: Parcel) {
        let lane = parcel.arrived.job.lane;
        if let Some((_, _, parcels)) = self.lanes.iter_mut().find(|(id, _, _)| *id == lane) {
            parcels.push_back(parcel);
        }
    }

    /// Keeps a job to be handled alone.
    pub(super) fn put_solo(&mut self, parcel: Parcel) {
        self.solo = Some(parcel);
    }

    /// Takes the next job to hand out, if there is one and a worker holds fewer than `prefetch`.
    pub(super) fn take(&mut self, prefetch: usize) -> Option<Parcel> {
        let parcel = match self.mode {
            Mode::Lanes if self.held < prefetch => self.take_in_turn().or_else(|| {
                self.lanes.iter_mut().for_each(|(lane, left, _)| *left = weight(*lane));
                self.take_in_turn()
            }),
            Mode::Solo if self.held == 0 => self.solo.take(),
            _ => None,
        }?;
        self.held += 1;
        Some(parcel)
    }

    fn take_in_turn(&mut self) -> Option<Parcel> {
        self.lanes.iter_mut().filter(|(_, left, _)| *left > 0).find_map(|(_, left, parcels)| {
            let parcel = parcels.pop_front()?;
            *left -= 1;
            Some(parcel)
        })
    }

    /// Whether nobody holds anything, and nothing is waiting to be handled alone.
    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.solo.is_none()
    }

    /// Takes the one to be handled alone, if it was not handed out.
    pub(super) fn take_solo(&mut self) -> Option<Parcel> {
        self.solo.take()
    }

    /// Takes everything that was sent ahead for the lanes and not handed out.
    pub(super) fn clear(&mut self) -> Vec<Parcel> {
        self.lanes.iter_mut().flat_map(|(_, _, parcels)| parcels.drain(..)).collect()
    }
}
