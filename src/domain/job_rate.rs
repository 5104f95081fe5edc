//! How fast jobs are published.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most jobs a second.
const MOST_PER_SECOND: f64 = 1e6;

/// Jobs in a time, as `--rate` names them: `50/s`, `90/min`, `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
    pub fn interval(self) -> Duration {
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

impl TryFrom<String> for JobRate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<JobRate> for String {
    fn from(rate: JobRate) -> Self {
        rate.to_string()
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
}
