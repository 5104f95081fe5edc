//! Image sources with short limits.

use std::sync::Arc;
use std::time::Duration;

use facefleet::images::{FetchError, FetchLimits, ImageSource, Objects, Sources};

/// Short enough to wait for in a test, long enough for a successful fetch on a busy machine.
pub const LIMITS: FetchLimits = FetchLimits {
    max_bytes: 100_000,
    whole: Duration::from_secs(20),
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    redirects: 3,
};

/// The settings of a source, with defaults.
#[derive(Default)]
pub struct SourceSettings<'a> {
    pub allow: &'a [&'a str],
    pub private_hosts: &'a [&'a str],
    pub authorities: Option<&'a [u8]>,
    pub variables: Vec<(String, String)>,
    pub limits: Option<FetchLimits>,
}

impl SourceSettings<'_> {
    pub fn build(self) -> Sources {
        let limits = self.limits.unwrap_or(LIMITS);
        let objects = objects(self.variables, limits);
        let allow = self.allow.iter().map(|root| root.parse().unwrap()).collect();
        let private_hosts: Vec<String> =
            self.private_hosts.iter().map(|&host| host.to_owned()).collect();
        Sources::new(allow, &private_hosts, self.authorities, objects, limits).unwrap()
    }
}

/// The object stores that these environment variables configure.
pub fn objects(variables: Vec<(String, String)>, limits: FetchLimits) -> Arc<Objects> {
    // The program installs the provider at start. A second call fails and changes nothing.
    rustls::crypto::ring::default_provider().install_default().ok();
    Arc::new(Objects::new(variables, None, limits).unwrap())
}

pub async fn fetch(sources: &Sources, uri: &str) -> Result<Vec<u8>, FetchError> {
    sources.fetch(&uri.parse().unwrap()).await
}

/// The reason, if the fetch was refused.
#[track_caller]
pub fn refused(result: Result<Vec<u8>, FetchError>) -> String {
    match result {
        Err(FetchError::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// The reason, if the image is unreadable.
#[track_caller]
pub fn unreadable(result: Result<Vec<u8>, FetchError>) -> String {
    match result {
        Err(
            FetchError::Unreadable(reason)
            | FetchError::NotFound(reason)
            | FetchError::Denied(reason),
        ) => reason,
        other => panic!("not unreadable: {other:?}"),
    }
}

/// The reason, if the fetch failed with an outage, which is retried.
#[track_caller]
pub fn transient(result: Result<Vec<u8>, FetchError>) -> String {
    match result {
        Err(FetchError::Outage(reason)) => reason,
        other => panic!("not transient: {other:?}"),
    }
}
