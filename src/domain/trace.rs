//! The trace context of a job (W3C Trace Context, level 1): carried from the publisher of the job
//! to the event of its outcome.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::InvalidName;

/// A `traceparent`: version, trace id, span id and flags. An invalid `traceparent` is dropped; it
/// is never a reason to refuse a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent(String);

impl TraceParent {
    /// The header's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace's id: 32 hex digits.
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The same trace with another span. `span` is any 8 bytes that identify the work; all zeros
    /// become 1.
    pub fn with_span(&self, span: [u8; 8]) -> Self {
        Self(format!("{}{:016x}{}", &self.0[..36], u64::from_be_bytes(span).max(1), &self.0[52..]))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let some = |part: &str| part.bytes().any(|byte| byte != b'0');
        match text.split('-').collect::<Vec<_>>()[..] {
            ["00", trace, span, flags]
                if hex(trace, 32)
                    && hex(span, 16)
                    && hex(flags, 2)
                    && some(trace)
                    && some(span) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidName::new("not a traceparent of version 00")),
        }
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(trace: TraceParent) -> Self {
        trace.0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_span_stays_in_its_trace() {
        let parent: TraceParent =
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
        let child = parent.with_span([0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(child.as_str(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000102-01");
        assert_eq!(child.as_str().parse::<TraceParent>().unwrap().trace_id(), parent.trace_id());
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
