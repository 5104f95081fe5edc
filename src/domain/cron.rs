//! When a schedule is due: a cron line in a time zone.

use std::cmp::Ordering;
use std::time::Duration;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde::{Deserialize, Serialize};

use super::UtcTime;

/// How far back slots are looked for at first.
const FIRST_SPAN: Duration = Duration::from_secs(60 * 60);

/// A cron line in a time zone: five fields (minute, hour, day of the month, month, day of the
/// week), in the syntax of Vixie cron.
///
/// In the hour that daylight saving time leaves out or repeats, as in Vixie cron:
///
/// - A line that names one minute of one hour, such as `30 2 * * *`, is due once a day: at the
///   first instant after the gap, or the first time that its hour comes.
/// - Any other line, such as `*/15 * * * *`, follows the clock on the wall: what is in the gap does
///   not come, and what is in the repeated hour comes twice.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "TimingText", into = "TimingText")]
pub struct Timing {
    text: TimingText,
    cron: Cron,
    zone: TimeZone,
}

/// A [`Timing`] as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TimingText {
    cron: String,
    timezone: String,
}

impl PartialEq for Timing {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Timing {
    /// The timing of this cron line in this time zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// What is wrong with the line or the zone, for people.
    pub fn parse(line: &str, zone: &str) -> Result<Self, String> {
        Self::try_from(TimingText { cron: line.to_owned(), timezone: zone.to_owned() })
    }

    /// The cron line.
    pub fn line(&self) -> &str {
        &self.text.cron
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &str {
        &self.text.timezone
    }

    /// The first slot after `time`. `None` if there is none in the next centuries.
    pub fn next(&self, time: UtcTime) -> Option<UtcTime> {
        let found = self.cron.find_next_occurrence(&self.local(time), false).ok()?;
        UtcTime::from_millisecond(found.0.timestamp().as_millisecond()).ok()
    }

    /// The slots from `from` to `to`, both included: the latest `most` of them, in order.
    pub fn slots(&self, from: UtcTime, to: UtcTime, most: usize) -> Vec<UtcTime> {
        let before = |time: UtcTime, span: i64| {
            UtcTime::from_millisecond(time.as_millisecond().saturating_sub(span)).unwrap_or(from)
        };
        let mut span = FIRST_SPAN.as_millis() as i64;
        loop {
            let start = before(to, span).max(from);
            let after = |slot: &UtcTime| self.next(*slot).filter(|slot| *slot <= to);
            let first = self.next(before(start, 1)).filter(|slot| *slot <= to);
            let mut slots: Vec<UtcTime> = std::iter::successors(first, after).collect();
            if start == from || slots.len() >= most {
                return slots.split_off(slots.len().saturating_sub(most));
            }
            span = span.saturating_mul(4);
        }
    }

    /// `time` in the time zone, to the minute, with the offset.
    pub fn shown(&self, time: UtcTime) -> String {
        self.local(time).0.strftime("%Y-%m-%d %H:%M %:z").to_string()
    }

    fn local(&self, time: UtcTime) -> Local {
        Local(time.timestamp().to_zoned_datetime(self.zone.clone()))
    }
}

impl TryFrom<TimingText> for Timing {
    type Error = String;

    fn try_from(text: TimingText) -> Result<Self, String> {
        let TimingText { cron: line, timezone } = &text;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed);
        let cron = parser.build().parse(line).map_err(|error| {
            format!(
                "cron = '{line}' is no cron line ({error}): write five fields, minute, hour, day \
                    of the month, month and day of the week, such as '30 2 * * *'"
            )
        })?;
        let zone = TimeZone::get(timezone).map_err(|_| {
            format!(
                "timezone = '{timezone}' is unknown: use a name of the IANA time zone database, \
                    such as Europe/Berlin or UTC"
            )
        })?;
        let timing = Self { cron, zone, text };
        match timing.next(UtcTime::from(Timestamp::UNIX_EPOCH)) {
            Some(_) => Ok(timing),
            None => Err(format!("cron = '{}' is never due", timing.line())),
        }
    }
}

impl From<Timing> for TimingText {
    fn from(timing: Timing) -> Self {
        timing.text
    }
}

/// A time in its zone, as croner asks for it.
#[derive(Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let civil = self.0.datetime();
        let part = |number: i8| u32::try_from(number).unwrap_or_default();
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                civil.year().into(),
                part(civil.month()),
                part(civil.day()),
            ),
            CivilTime::from_parts_unchecked(
                part(civil.hour()),
                part(civil.minute()),
                part(civil.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::try_from(days).unwrap_or_default())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let civil = datetime(civil).ok_or(CronError::InvalidDate)?;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(civil);
        let local = |found: Result<ZonedDateTime, jiff::Error>| {
            found.map(Self).map_err(|_| CronError::InvalidTime)
        };
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(local(ambiguous.unambiguous())?)
            }
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(
                local(ambiguous.clone().earlier())?,
                local(ambiguous.later())?,
            ),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Self)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

/// `None` outside of the years that jiff has.
fn datetime(civil: CivilDateTime) -> Option<DateTime> {
    let part = |number: u32| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(civil.year()).ok()?,
        part(civil.month())?,
        part(civil.day())?,
        part(civil.hour())?,
        part(civil.minute())?,
        part(civil.second())?,
        0,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> UtcTime {
        UtcTime::from(text.parse::<Timestamp>().unwrap())
    }

    /// The slots of a day in UTC and the hours around it, as `HH:MM` of their day.
    fn slots(line: &str, zone: &str, from: &str, to: &str) -> Vec<String> {
        let timing = Timing::parse(line, zone).unwrap();
        let slots = timing.slots(time(from), time(to), 100);
        // The same one by one, from wherever one looks.
        let mut one_by_one = Vec::new();
        let mut at = time(from);
        while at <= time(to) {
            let next = timing.next(at).unwrap();
            if next <= time(to) && one_by_one.last() != Some(&next) {
                one_by_one.push(next);
            }
            at = UtcTime::from_millisecond(at.as_millisecond() + 7 * 60_000).unwrap();
        }
        assert!(slots.iter().all(|slot| one_by_one.contains(slot) || *slot == time(from)));
        assert!(one_by_one.iter().all(|slot| slots.contains(slot)), "{slots:?} {one_by_one:?}");
        slots.iter().map(|slot| slot.to_string()[5..16].to_owned()).collect()
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_is_due_right_after_the_gap() {
        // 02:00 CET is 03:00 CEST on 29 March 2026: 01:00 UTC.
        let berlin =
            |line| slots(line, "Europe/Berlin", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(berlin("30 2 * * *"), ["03-28T01:30", "03-29T01:00", "03-30T00:30"]);
        // 02:00 EST is 03:00 EDT on 8 March 2026: 07:00 UTC.
        let york =
            |line| slots(line, "America/New_York", "2026-03-07T00:00:00Z", "2026-03-09T12:00:00Z");
        assert_eq!(york("30 2 * * *"), ["03-07T07:30", "03-08T07:00", "03-09T06:30"]);
        // Lines that are due more often than once a day have nothing to make up for.
        let near =
            slots("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
        assert_eq!(
            near,
            ["03-29T00:00", "03-29T00:30", "03-29T01:00", "03-29T01:30", "03-29T02:00"]
        );
    }

    #[test]
    fn a_time_that_the_clock_repeats_is_due_once_and_intervals_go_on() {
        // 03:00 CEST is 02:00 CET on 25 October 2026: 01:00 UTC.
        let berlin =
            |line| slots(line, "Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(berlin("30 2 * * *"), ["10-24T00:30", "10-25T00:30", "10-26T01:30"]);
        // 02:00 EDT is 01:00 EST on 1 November 2026: 06:00 UTC.
        let york =
            |line| slots(line, "America/New_York", "2026-10-31T00:00:00Z", "2026-11-02T12:00:00Z");
        assert_eq!(york("30 1 * * *"), ["10-31T05:30", "11-01T05:30", "11-02T06:30"]);
        let near = slots(
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T05:00:00Z",
            "2026-11-01T07:00:00Z",
        );
        assert_eq!(
            near,
            ["11-01T05:00", "11-01T05:30", "11-01T06:00", "11-01T06:30", "11-01T07:00"]
        );
    }

    #[test]
    fn the_latest_slots_of_a_long_time_are_found() {
        let timing = Timing::parse("* * * * *", "UTC").unwrap();
        let (from, to) = (time("2020-01-01T00:00:00Z"), time("2026-11-26T12:00:30Z"));
        let slots = timing.slots(from, to, 3);
        let expected = ["11:58", "11:59", "12:00"].map(|at| time(&format!("2026-11-26T{at}:00Z")));
        assert_eq!(slots, expected);
        let yearly = Timing::parse("0 0 29 2 *", "UTC").unwrap();
        let leap = ["2020-02-29T00:00:00Z", "2024-02-29T00:00:00Z"].map(time);
        assert_eq!(yearly.slots(from, to, 10), leap);
        assert_eq!(yearly.slots(leap[0], leap[0], 10), [leap[0]], "both ends are included");
        assert_eq!(timing.slots(to, from, 3), []);
        assert_eq!(timing.next(to), Some(time("2026-11-26T12:01:00Z")));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |line, zone| Timing::parse(line, zone).unwrap_err();
        for line in ["", "* * * *", "60 2 * * *", "30 2 * * * *", "often"] {
            assert!(error(line, "UTC").contains("write five fields"), "{line}");
        }
        assert!(error("0 0 31 2 *", "UTC").contains("never due"));
        let zone = error("30 2 * * *", "Europe/Berlln");
        assert!(zone.contains("'Europe/Berlln' is unknown") && zone.contains("Europe/Berlin"));
        let timing = Timing::parse("30 2 * * 1-5", "Europe/Berlin").unwrap();
        assert_eq!(timing.shown(time("2026-11-26T01:30:00Z")), "2026-11-26 02:30 +01:00");
        let text = serde_json::to_string(&timing).unwrap();
        assert_eq!(text, r#"{"cron":"30 2 * * 1-5","timezone":"Europe/Berlin"}"#);
        assert_eq!(serde_json::from_str::<Timing>(&text).unwrap(), timing);
    }
}
