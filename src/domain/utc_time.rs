//! A time as results have it.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A time in UTC, to the millisecond. Its text is RFC 3339, always with three digits after the
/// second: readers of tables expect one format in a column, and texts sort as the times do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UtcTime(
    #[cfg_attr(test, schemars(with = "String", extend("format" = "date-time")))] Timestamp,
);

impl UtcTime {
    /// The time so many milliseconds after the start of 1970.
    ///
    /// # Errors
    /// If it is not in the years -9999 to 9999.
    pub fn from_millisecond(ms: i64) -> Result<Self, jiff::Error> {
        Timestamp::from_millisecond(ms).map(Self)
    }

    /// Milliseconds since the start of 1970.
    pub fn as_millisecond(self) -> i64 {
        self.0.as_millisecond()
    }

    /// The same as a timestamp.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for UtcTime {
    /// `time`, cut to the millisecond.
    fn from(time: Timestamp) -> Self {
        Self(Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time))
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The precision of jiff is the number of digits. A width or a precision of `f` would cut.
        let Self(time) = self;
        f.pad(&format!("{time:.3}"))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_three_digits_after_the_second() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_323_045_670, "2026-01-02T03:04:05.670Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            let time = UtcTime::from_millisecond(ms).unwrap();
            assert_eq!((time.to_string().as_str(), time.as_millisecond()), (text, ms));
        }
        let time = UtcTime::from_millisecond(1_767_323_045_670).unwrap();
        assert_eq!(format!("{time:.19}Z"), "2026-01-02T03:04:05Z");
        UtcTime::from_millisecond(i64::MAX).unwrap_err();
    }
}
