//! All sources behind one type: the scheme of a URI selects the source, the allow-list decides
//! whether it is fetched.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use url::Url;

use super::web::Web;
use super::{
    Body, FetchError, FetchLimits, FileSource, ImageSource, MemoryReservation, Objects, Root,
    Unlimited, data, root,
};
use crate::domain::{ImageUri, SourceName};

/// Why the sources could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// An allowed folder that does not exist.
    #[error("cannot read from {0}")]
    Folder(#[source] std::io::Error),
    /// The HTTP client could not be created.
    #[error("cannot set up HTTPS")]
    Web(#[source] reqwest::Error),
}

/// The sources of images that the operator allowed.
pub struct Sources {
    allowed: Vec<Root>,
    files: FileSource,
    pub(super) objects: Arc<Objects>,
    /// `None` if no web server is allowed.
    pub(super) web: Option<Web>,
    pub(super) limits: FetchLimits,
}

impl Sources {
    /// Sources of the images below `allowed`. Connects to hosts with private addresses only if they
    /// are in `private_hosts`. Trusts the certificate authorities of the system and those in
    /// `authorities` (PEM).
    ///
    /// # Errors
    /// If an allowed folder does not exist, or `authorities` is not PEM.
    pub fn new(
        allowed: Vec<Root>,
        private_hosts: &[String],
        authorities: Option<&[u8]>,
        objects: Arc<Objects>,
        limits: FetchLimits,
    ) -> Result<Self, SourcesError> {
        let folders: Vec<PathBuf> =
            allowed.iter().filter_map(Root::path).map(Path::to_owned).collect();
        let files = FileSource::new(&folders, limits.max_bytes).map_err(SourcesError::Folder)?;
        let web = match allowed.iter().any(|root| matches!(root, Root::Web(_))) {
            true => Some(Web::new(private_hosts, authorities, limits).map_err(SourcesError::Web)?),
            false => None,
        };
        Ok(Self { allowed, files, objects, web, limits })
    }

    pub(super) fn covers(&self, url: &Url) -> bool {
        self.allowed.iter().any(|root| root.covers(url))
    }

    async fn fetch_unlimited(
        &self,
        image: &ImageUri,
        memory: &dyn MemoryReservation,
    ) -> Result<Vec<u8>, FetchError> {
        match image.scheme() {
            "file" => self.files.fetch_into(image, memory).await,
            "data" if self.covers(image.as_url()) => {
                // The percent-decoded letters and the decoded bytes, in addition to the URI.
                memory.take((image.as_str().len() as u64).saturating_mul(2)).await?;
                data::decode(image.as_str(), self.limits.max_bytes)
            }
            _ => self.download(image, Body::kept(self.limits.max_bytes, memory)).await,
        }
    }

    /// Fetches an image from a bucket or a web server through `body`.
    async fn download(&self, image: &ImageUri, body: Body<'_>) -> Result<Vec<u8>, FetchError> {
        let url = image.as_url();
        let outside = || {
            FetchError::Refused(
                "the URI is outside the allowed locations (setting images.allow)".into(),
            )
        };
        match image.scheme() {
            "s3" | "gs" | "az" => match root::object(url) {
                Some((bucket, key)) if self.covers(url) => {
                    self.objects.fetch(&bucket, &key, body).await
                }
                Some(_) => Err(outside()),
                None => Err(FetchError::Refused(
                    "the URI does not name an object: use scheme://bucket/key without a query"
                        .into(),
                )),
            },
            "https" | "http" => match &self.web {
                Some(web) => web.fetch(url, |url| self.covers(url), body).await,
                None => Err(outside()),
            },
            "data" => Err(outside()),
            scheme => Err(FetchError::Refused(format!(
                "images are not fetched from '{scheme}:' URIs: use file:, s3:, gs:, az:, https:, \
                 http: or data:"
            ))),
        }
    }

    async fn check_image_unlimited(&self, image: &ImageUri) -> Result<(), FetchError> {
        match image.scheme() {
            "file" => self.files.check_image(image).await,
            // The bytes are in the URI.
            "data" => Ok(()),
            _ => self.download(image, Body::dropped(self.limits.max_bytes)).await.map(|_| ()),
        }
    }
}

#[async_trait]
impl ImageSource for Sources {
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        self.fetch_into(image, &Unlimited).await
    }

    async fn fetch_into(
        &self,
        image: &ImageUri,
        memory: &dyn MemoryReservation,
    ) -> Result<Vec<u8>, FetchError> {
        let started = Instant::now();
        let mut fetching = pin!(self.fetch_unlimited(image, memory));
        loop {
            // Time spent waiting for memory does not count against the source.
            let end = started + self.limits.whole + memory.waited();
            match tokio::time::timeout_at(end, &mut fetching).await {
                Ok(fetched) => return fetched,
                Err(_) if started + self.limits.whole + memory.waited() > end => {}
                Err(_) => {
                    let seconds = self.limits.whole.as_secs_f64();
                    let reason = format!(
                        "the image did not arrive within {seconds} s (setting images.timeout_ms)"
                    );
                    return Err(FetchError::Outage(reason));
                }
            }
        }
    }

    /// An allowed folder, a bucket, or a web server with its port.
    fn source_of(&self, image: &ImageUri) -> SourceName {
        let url = image.as_url();
        match image.scheme() {
            "file" => self.files.source_of(image),
            "s3" | "gs" | "az" => SourceName::new(
                root::object(url)
                    .map_or_else(|| image.scheme().to_owned(), |(bucket, _)| bucket.to_string()),
            ),
            "https" | "http" => SourceName::new(url.origin().ascii_serialization()),
            scheme => SourceName::new(format!("{scheme}:")),
        }
    }

    async fn part_of(&self, image: &ImageUri) -> u64 {
        match image.scheme() {
            "file" => self.files.part_of(image).await,
            _ => 0,
        }
    }

    async fn check_image(&self, image: &ImageUri) -> Result<(), FetchError> {
        match tokio::time::timeout(self.limits.whole, self.check_image_unlimited(image)).await {
            Ok(checked) => checked,
            Err(_) => Err(FetchError::Outage(format!(
                "no answer within {} s",
                self.limits.whole.as_secs_f64()
            ))),
        }
    }

    async fn has_visible_neighbours(&self, image: &ImageUri) -> bool {
        image.scheme() == "file"
            && matches!(
                tokio::time::timeout(self.limits.whole, self.files.has_visible_neighbours(image))
                    .await,
                Ok(true)
            )
    }

    async fn check_source(&self, source: &SourceName) -> Result<(), String> {
        if !source.as_str().starts_with('/') {
            return Ok(());
        }
        match tokio::time::timeout(self.limits.whole, self.files.check_source(source)).await {
            Ok(checked) => checked,
            Err(_) => Err(format!(
                "{source} does not answer within {} s",
                self.limits.whole.as_secs_f64()
            )),
        }
    }
}
