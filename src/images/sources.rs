//! Every source in one: the scheme chooses, the allow-list decides.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use url::Url;

use super::web::Web;
use super::{
    Body, Boundless, FetchError, FetchLimits, FileSource, ImageSource, Objects, Room, Root, data,
    root,
};
use crate::domain::{ImageUri, SourceName};

/// Why sources could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SourcesError {
    /// A folder that is allowed and not there.
    #[error("cannot read from {0}")]
    Folder(#[source] std::io::Error),
    /// No client for web servers.
    #[error("cannot set up HTTPS")]
    Web(#[source] reqwest::Error),
}

/// Images from wherever the operator allowed.
pub struct Sources {
    allowed: Vec<Root>,
    files: FileSource,
    objects: Arc<Objects>,
    /// None where no host is allowed.
    web: Option<Web>,
    limits: FetchLimits,
}

impl Sources {
    /// Sources of the images below `allowed`. Hosts on this network are reached only if they are
    /// among `private_hosts`; a server's certificate may be of `authorities` (PEM) too.
    ///
    /// # Errors
    /// If an allowed folder does not exist, or the authorities are no PEM.
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

    fn covers(&self, url: &Url) -> bool {
        self.allowed.iter().any(|root| root.covers(url))
    }

    async fn fetch_unlimited(
        &self,
        image: &ImageUri,
        room: &dyn Room,
    ) -> Result<Vec<u8>, FetchError> {
        match image.scheme() {
            "file" => self.files.fetch_into(image, room).await,
            "data" if self.covers(image.as_url()) => {
                // The letters, then the bytes of them, beside the URI.
                room.take((image.as_str().len() as u64).saturating_mul(2)).await?;
                data::decode(image.as_str(), self.limits.max_bytes)
            }
            _ => self.download(image, Body::kept(self.limits.max_bytes, room)).await,
        }
    }

    /// Reads an image from a bucket or a web server through `body`.
    async fn download(&self, image: &ImageUri, body: Body<'_>) -> Result<Vec<u8>, FetchError> {
        let url = image.as_url();
        let outside = || {
            FetchError::Refused(
                "the URI is outside the places that may be read (setting images.allow)".into(),
            )
        };
        match image.scheme() {
            "s3" | "gs" | "az" => match root::object(url) {
                Some((bucket, key)) if self.covers(url) => {
                    self.objects.fetch(&bucket, &key, body).await
                }
                Some(_) => Err(outside()),
                None => Err(FetchError::Refused(
                    "the URI names no object: it is not scheme://bucket/key, or has a query".into(),
                )),
            },
            "https" | "http" => match &self.web {
                Some(web) => web.fetch(url, |url| self.covers(url), body).await,
                None => Err(outside()),
            },
            "data" => Err(outside()),
            scheme => Err(FetchError::Refused(format!(
                "'{scheme}:' is no source of images: they come from file:, s3:, gs:, az:, https:, \
                    http: and data:"
            ))),
        }
    }

    async fn touch_unlimited(&self, image: &ImageUri) -> Result<(), FetchError> {
        match image.scheme() {
            "file" => self.files.touch(image).await,
            // Its bytes are in its name.
            "data" => Ok(()),
            _ => self.download(image, Body::dropped(self.limits.max_bytes)).await.map(|_| ()),
        }
    }
}

#[async_trait]
impl ImageSource for Sources {
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        self.fetch_into(image, &Boundless).await
    }

    async fn fetch_into(&self, image: &ImageUri, room: &dyn Room) -> Result<Vec<u8>, FetchError> {
        let started = Instant::now();
        let mut fetching = pin!(self.fetch_unlimited(image, room));
        loop {
            // Waiting for room is no fault of the source: it gets that time on top.
            let end = started + self.limits.whole + room.waited();
            match tokio::time::timeout_at(end, &mut fetching).await {
                Ok(fetched) => return fetched,
                Err(_) if started + self.limits.whole + room.waited() > end => {}
                Err(_) => {
                    let seconds = self.limits.whole.as_secs_f64();
                    let reason = format!(
                        "the image did not come within {seconds} s (setting images.timeout_ms)"
                    );
                    return Err(FetchError::Outage(reason));
                }
            }
        }
    }

    /// A folder that is allowed, a bucket, or a web server with its port.
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

    async fn touch(&self, image: &ImageUri) -> Result<(), FetchError> {
        match tokio::time::timeout(self.limits.whole, self.touch_unlimited(image)).await {
            Ok(touched) => touched,
            Err(_) => Err(FetchError::Outage(format!(
                "no answer within {} s",
                self.limits.whole.as_secs_f64()
            ))),
        }
    }

    async fn sees_around(&self, image: &ImageUri) -> bool {
        image.scheme() == "file"
            && matches!(
                tokio::time::timeout(self.limits.whole, self.files.sees_around(image)).await,
                Ok(true)
            )
    }

    async fn look(&self, source: &SourceName) -> Result<(), String> {
        if !source.as_str().starts_with('/') {
            return Ok(());
        }
        match tokio::time::timeout(self.limits.whole, self.files.look(source)).await {
            Ok(looked) => looked,
            Err(_) => Err(format!(
                "{source} does not answer within {} s",
                self.limits.whole.as_secs_f64()
            )),
        }
    }
}
