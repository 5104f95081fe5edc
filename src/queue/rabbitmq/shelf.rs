//! What a consumer has in hand: jobs that the broker sent ahead, by lane, and how many a worker
//! holds. Plain data; waits for nothing.

use std::collections::VecDeque;

use lapin::Acker;

use super::message::Arrived;
use crate::domain::Lane;
use crate::queue::{Held, weight};

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
    held: Held,
    /// The lanes, the most urgent first, each with the deliveries left to it in this turn and its
    /// jobs. As in the queue in memory, a turn ends when no lane with deliveries left has jobs.
    lanes: Vec<(Lane, u32, VecDeque<Parcel>)>,
    /// The one to be handled alone.
    solo: Option<Parcel>,
}

impl Shelf {
    pub(super) fn new(lanes: &[Lane]) -> Self {
        let lanes = lanes.iter().map(|&lane| (lane, weight(lane), VecDeque::new())).collect();
        Self { mode: Mode::Lanes, held: Held::default(), lanes, solo: None }
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

    /// Takes the next job to hand out, if there is one and a worker holds fewer than `prefetch` of
    /// its kind.
    pub(super) fn take(&mut self, prefetch: usize) -> Option<Parcel> {
        let parcel = match self.mode {
            Mode::Lanes => self.take_in_turn(prefetch).or_else(|| {
                self.lanes.iter_mut().for_each(|(lane, left, _)| *left = weight(*lane));
                self.take_in_turn(prefetch)
            }),
            Mode::Solo if self.held == Held::default() => self.solo.take(),
            _ => None,
        }?;
        *self.held.beside(parcel.arrived.job.lane) += 1;
        Some(parcel)
    }

    /// A delivery of `lane` is settled.
    pub(super) fn release(&mut self, lane: Lane) {
        *self.held.beside(lane) -= 1;
    }

    fn take_in_turn(&mut self, prefetch: usize) -> Option<Parcel> {
        let held = &mut self.held;
        self.lanes.iter_mut().filter(|(_, left, _)| *left > 0).find_map(|(lane, left, parcels)| {
            if *held.beside(*lane) >= prefetch {
                return None;
            }
            let parcel = parcels.pop_front()?;
            *left -= 1;
            Some(parcel)
        })
    }

    /// Whether a worker holds fewer than `prefetch` of the kind of `lane`, and none of the lane is
    /// here.
    pub(super) fn has_room(&mut self, lane: Lane, prefetch: usize) -> bool {
        let here = self.lanes.iter().any(|(id, _, parcels)| *id == lane && !parcels.is_empty());
        !here && *self.held.beside(lane) < prefetch
    }

    /// Whether nobody holds anything, and nothing is waiting to be handled alone.
    pub(super) fn is_idle(&self) -> bool {
        self.held == Held::default() && self.solo.is_none()
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
