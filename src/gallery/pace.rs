//! A limit on how fast the jobs of a campaign are published.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The most jobs a second.
const MOST_PER_SECOND: f64 = 1e6;
/// Jobs that were not published in time are made up for, within this time.
const CATCH_UP: Duration = Duration::from_secs(1);

/// Jobs in a time, as `--rate` names them: `50/s`, `90/min`, `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JobRate {
    jobs: f64,
    unit: RateUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
enum RateUnit {
    S,
    Min,
    H,
}

impl RateUnit {
    fn seconds(self) -> f64 {
        match self {
            Self::S => 1.0,
            Self::Min => 60.0,
            Self::H => 3600.0,
        }
    }
}

impl JobRate {
    /// The time from one job to the next.
    fn interval(self) -> Duration {
        Duration::from_secs_f64(self.unit.seconds() / self.jobs)
    }
}

impl FromStr for JobRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(jobs, unit)| {
            Some(Self { jobs: jobs.trim().parse().ok()?, unit: unit.trim().parse().ok()? })
        });
        // At least one a week: a number so small is a mistake.
        let possible = |rate: &Self| {
            let per_second = rate.jobs / rate.unit.seconds();
            (1.0 / 604_800.0..=MOST_PER_SECOND).contains(&per_second)
        };
        parts.filter(possible).ok_or_else(|| {
            format!("'{text}' is no rate: use images in a time, such as 50/s, 90/min or 1000/h")
        })
    }
}

impl fmt::Display for JobRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.jobs, self.unit)
    }
}

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

    #[test]
    fn rates_are_numbers_in_a_time() {
        for (text, seconds) in [("50/s", 0.02), ("90/min", 60.0 / 90.0), ("0.5/h", 7200.0)] {
            let rate: JobRate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            assert!((rate.interval().as_secs_f64() - seconds).abs() < 1e-6, "{text}");
        }
        for text in ["50", "0/s", "-1/s", "x/s", "5/day", "inf/s", "NaN/s", "1e9/s", "1e-9/h"] {
            let error = text.parse::<JobRate>().unwrap_err();
            assert!(error.contains(text) && error.contains("50/s"), "{error}");
        }
    }

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
