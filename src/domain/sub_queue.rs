//! Where jobs wait apart from their lane.

use std::fmt;

use super::{CampaignId, Lane, ProfileId};

/// A source of images: what fails and comes back as one. A folder as the operator named it,
/// `s3://bucket`, `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceName(String);

impl SourceName {
    /// The source of this name, which holds no secret.
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

/// A source that workers had trouble with, as they noted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Which.
    pub name: SourceName,
    /// What is wrong with it now; none if it is well again, or nobody has met the trouble for a
    /// while.
    pub trouble: Option<String>,
    /// Since when, RFC 3339, UTC.
    pub since: String,
}

impl SourceStatus {
    /// What to tell people, if it is in trouble.
    pub fn told(&self) -> Option<String> {
        let trouble = self.trouble.as_ref()?;
        Some(format!("jobs wait for {} since {:.19}Z: {trouble}", self.name, self.since))
    }
}

/// Where jobs of a lane wait apart from its others. Consumers take from a place only while they are
/// told to, so that whatever waits there costs nothing and hinders nobody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubQueue {
    /// The lane.
    pub lane: Lane,
    /// What the jobs have in common.
    pub of: SubQueueOf,
}

/// What the jobs of a place have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubQueueOf {
    /// They are of this campaign: taken while it runs, by workers with its profile.
    Campaign(CampaignId),
    /// They want this profile: taken by workers with it.
    Profile(ProfileId),
    /// Their images are in this source: taken by workers that can reach it.
    Source(SourceName),
}

/// The name of the place's queue on a broker, without the prefix. Of a source it shows the first 64
/// bits of its name's BLAKE3.
impl fmt::Display for SubQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.lane)?;
        match &self.of {
            SubQueueOf::Campaign(id) => write!(f, "campaign.{id}"),
            SubQueueOf::Profile(id) => write!(f, "profile.{}", id.as_str()),
            SubQueueOf::Source(name) => {
                write!(f, "source.{:.16}", blake3::hash(name.as_str().as_bytes()).to_hex())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_name_of_its_own_that_a_broker_takes() {
        let source = |name: &str| SubQueueOf::Source(SourceName::new(name));
        let profile: ProfileId = "0123456789abcdef".parse().unwrap();
        let of = [
            SubQueueOf::Campaign(CampaignId::new()),
            SubQueueOf::Profile(profile),
            source("/photos"),
            source("s3://photos"),
        ];
        let names: Vec<String> =
            of.map(|of| SubQueue { lane: Lane::Scan, of }.to_string()).to_vec();
        assert!(
            names.iter().all(|name| name.split('.').count() == 3 && name.starts_with("scan.")),
            "{names:?}"
        );
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert_eq!(names[2].len(), "scan.source.".len() + 16);
    }
}
