//! Sources of images, and the outages that workers record of them.

use std::fmt;

/// A source of images: what fails and recovers as one. A folder as the operator named it,
/// `s3://bucket`, `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceName(String);

impl SourceName {
    /// The source of this name, which must hold no secret.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recorded state of a source that has, or had, an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// The source.
    pub name: SourceName,
    /// What is wrong with it now. `None` if it works again, or if no worker has confirmed the
    /// outage for a while.
    pub trouble: Option<String>,
    /// Since when, RFC 3339, UTC.
    pub since: String,
}

impl SourceStatus {
    /// The warning to show to operators during an outage.
    pub fn warning(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        Some(format!("jobs wait for {} since {:.19}Z: {trouble}", self.name, self.since))
    }
}
