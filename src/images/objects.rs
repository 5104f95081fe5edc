//! `s3:`, `gs:` and `az:` URIs: images in object stores.
//!
//! Endpoints and credentials come from the environment and files of this machine, as the clouds'
//! own tools read them, and never from a job. The client of a bucket is created at its first use
//! and kept.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{BoxStream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Error, ObjectMeta, ObjectStore, ObjectStoreExt,
    RetryConfig,
};

use super::aws_profile::AwsProfile;
use super::root::{Bucket, Cloud};
use super::{Body, FetchError, FetchLimits, fault, innermost};
use crate::domain::{ImageKind, SourceStamp};

/// Retries of a request when a store is busy or a connection breaks, within the time of one fetch.
/// The worker decides about further retries.
const RETRIES: usize = 2;

/// Paths of the metadata services of Amazon, Google and Azure.
const METADATA_PATHS: [&str; 4] = [
    "/latest/api/token",
    "/latest/meta-data/iam/",
    "/computeMetadata/v1/",
    "/metadata/identity/oauth2/token",
];

/// The object stores that this machine has credentials for.
pub struct Objects {
    /// The environment variables that configure the stores.
    variables: Vec<(String, String)>,
    authorities: Vec<Certificate>,
    limits: FetchLimits,
    stores: Mutex<HashMap<Bucket, Arc<dyn ObjectStore>>>,
}

impl Objects {
    /// Object stores as `variables` (`AWS_…`, `GOOGLE_…`, `AZURE_…`) configure them. Trusts the
    /// certificate authorities of the system and those in `authorities` (PEM).
    ///
    /// # Errors
    /// If `authorities` is not PEM.
    pub fn new(
        variables: impl IntoIterator<Item = (String, String)>,
        authorities: Option<&[u8]>,
        limits: FetchLimits,
    ) -> Result<Self, Error> {
        let authorities =
            authorities.map(Certificate::from_pem_bundle).transpose()?.unwrap_or_default();
        Ok(Self {
            variables: variables.into_iter().collect(),
            authorities,
            limits,
            stores: Mutex::default(),
        })
    }

    /// Fetches the bytes of an object through `body`.
    pub(super) async fn fetch(
        &self,
        bucket: &Bucket,
        key: &Key,
        mut body: Body<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        // Creating a client reads certificate files, which needs descriptors.
        let not_set_up = |reason| {
            fault::no_descriptors()
                .unwrap_or_else(|| FetchError::Outage(format!("no client for {bucket}: {reason}")))
        };
        let store = self.store(bucket).map_err(not_set_up)?;
        let object = store.get(key).await.map_err(|error| failed(&error))?;
        body.begin(Some(object.meta.size)).await?;
        let mut chunks = object.into_stream();
        while let Some(chunk) = chunks.next().await {
            body.push(&chunk.map_err(|error| failed(&error))?)?;
        }
        body.end().await
    }

    /// Writes an object, in place of what may be there: whole, or not at all.
    pub(super) async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        bytes: Vec<u8>,
    ) -> Result<(), FetchError> {
        let store = self.store(bucket).map_err(FetchError::Outage)?;
        store.put(key, bytes.into()).await.map(drop).map_err(|error| failed(&error))
    }

    /// Deletes an object.
    pub(super) async fn delete(&self, bucket: &Bucket, key: &Key) -> Result<(), FetchError> {
        let store = self.store(bucket).map_err(FetchError::Outage)?;
        store.delete(key).await.map_err(|error| failed(&error))
    }

    /// The next segments below a key that have objects below them.
    pub(super) async fn folders(
        &self,
        bucket: &Bucket,
        below: &Key,
    ) -> Result<Vec<Key>, FetchError> {
        let store = self.store(bucket).map_err(FetchError::Outage)?;
        let below = (!below.is_root()).then_some(below);
        let listed = store.list_with_delimiter(below).await.map_err(|error| failed(&error))?;
        Ok(listed.common_prefixes)
    }

    /// The first bytes of an object: enough to recognise an image.
    pub(super) async fn start(
        &self,
        bucket: &Bucket,
        object: &ObjectMeta,
    ) -> Result<Vec<u8>, FetchError> {
        let store = self.store(bucket).map_err(FetchError::Outage)?;
        let wanted = object.size.min(ImageKind::SNIFF_BYTES as u64);
        if let Ok(bytes) = store.get_range(&object.location, 0..wanted).await {
            return Ok(bytes.to_vec());
        }
        // Some servers do not support ranges. Read the start of the whole object instead.
        let mut chunks =
            store.get(&object.location).await.map_err(|error| failed(&error))?.into_stream();
        let mut start = Vec::new();
        while (start.len() as u64) < wanted
            && let Some(chunk) = chunks.next().await
        {
            start.extend_from_slice(&chunk.map_err(|error| failed(&error))?);
        }
        Ok(start)
    }

    /// The version of an object, as a listing gives it.
    pub(super) async fn stamp(
        &self,
        bucket: &Bucket,
        key: &Key,
    ) -> Result<SourceStamp, FetchError> {
        let store = self.store(bucket).map_err(FetchError::Outage)?;
        store.head(key).await.map(|meta| stamp_of(&meta)).map_err(|error| failed(&error))
    }

    /// The first key, in the order of keys, that begins with `start` and goes on within the same
    /// segment.
    pub(super) async fn first_beginning_with(&self, bucket: &Bucket, start: &Key) -> Option<Key> {
        let store = self.store(bucket).ok()?;
        let mut above: Vec<_> = start.parts().collect();
        above.pop();
        let above = Key::from_iter(above);
        let mut after = store.list_with_offset((!above.is_root()).then_some(&above), start);
        let found = after.next().await?.ok()?.location;
        found.as_ref().starts_with(start.as_ref()).then_some(found)
    }

    /// The objects below a key in the order of keys, starting after the key `after`. One page of
    /// the listing is in memory at a time. If `below` is itself the key of an object, that object
    /// comes first.
    ///
    /// # Errors
    /// Why the client of the bucket cannot be created.
    pub(super) fn list(
        &self,
        bucket: &Bucket,
        below: &Key,
        after: Option<&Key>,
    ) -> Result<BoxStream<'static, Result<ObjectMeta, String>>, String> {
        let store = self.store(bucket)?;
        let (below, after) = (below.clone(), after.cloned());
        let itself = {
            let (store, below, wanted) =
                (store.clone(), below.clone(), after.is_none() && !below.is_root());
            async move {
                match if wanted { store.head(&below).await } else { return None } {
                    // An empty object marks a folder.
                    Ok(meta) if meta.size > 0 => Some(Ok(meta)),
                    // The credentials may allow listing and not reading. If listing fails too, it
                    // reports the error.
                    _ => None,
                }
            }
        };
        let rest = match &after {
            Some(after) => store.list_with_offset(Some(&below), after),
            None => store.list(Some(&below)),
        };
        let rest = rest.map(|meta| meta.map_err(|error| failed(&error).to_string()));
        Ok(futures::stream::once(itself).filter_map(std::future::ready).chain(rest).boxed())
    }

    fn store(&self, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, String> {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(bucket) {
            return Ok(store.clone());
        }
        let store = match bucket.cloud {
            Cloud::S3 => self.s3(&bucket.name)?,
            Cloud::Google => self.google(&bucket.name)?,
            Cloud::Azure => self.azure(&bucket.name)?,
        };
        stores.insert(bucket.clone(), store.clone());
        Ok(store)
    }

    fn s3(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
        let profile = AwsProfile::read(|name| self.variable(name))?;
        let builder = AmazonS3Builder::new().with_client_options(self.client());
        let settings = profile.settings().chain(self.variables_of("AWS_"));
        let builder =
            configured(builder, settings, |builder, key, value| builder.with_config(key, value));
        let store = builder.with_bucket_name(bucket).with_retry(self.retries()).build();
        let half = |error: Error| match innermost(&error) {
            text if text.contains("Missing SecretAccessKey") => {
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".to_owned()
            }
            text if text.contains("Missing AccessKeyId") => {
                "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not".to_owned()
            }
            text => text,
        };
        Ok(Arc::new(store.map_err(half)?))
    }

    fn google(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
        let builder = GoogleCloudStorageBuilder::new().with_client_options(self.client());
        let settings = self.variables_of("GOOGLE_");
        let builder =
            configured(builder, settings, |builder, key, value| builder.with_config(key, value));
        let store = builder.with_bucket_name(bucket).with_retry(self.retries()).build();
        Ok(Arc::new(store.map_err(|error| innermost(&error))?))
    }

    fn azure(&self, container: &str) -> Result<Arc<dyn ObjectStore>, String> {
        let builder = MicrosoftAzureBuilder::new().with_client_options(self.client());
        let settings = self.variables_of("AZURE_");
        let mut builder =
            configured(builder, settings, |builder, key, value| builder.with_config(key, value));
        if let Some(endpoint) = self.variable("IDENTITY_ENDPOINT") {
            builder = builder.with_msi_endpoint(endpoint);
        }
        let store = builder.with_container_name(container).with_retry(self.retries()).build();
        Ok(Arc::new(store.map_err(|error| innermost(&error))?))
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.clone())
    }

    fn variables_of(&self, prefix: &'static str) -> impl Iterator<Item = (&str, &str)> {
        let set = self
            .variables
            .iter()
            .filter(move |(key, value)| key.starts_with(prefix) && !value.is_empty());
        set.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn client(&self) -> ClientOptions {
        let limits = &self.limits;
        let options = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(limits.connect)
            .with_read_timeout(limits.idle);
        self.authorities.iter().cloned().fold(options, ClientOptions::with_root_certificate)
    }

    fn retries(&self) -> RetryConfig {
        let backoff =
            BackoffConfig { max_backoff: self.limits.whole / 4, ..BackoffConfig::default() };
        RetryConfig { backoff, max_retries: RETRIES, retry_timeout: self.limits.whole }
    }
}

/// The version of an object.
pub(super) fn stamp_of(meta: &ObjectMeta) -> SourceStamp {
    // Some servers give the tag in quotes when asked for an object and without in listings. Some
    // tags are not valid stamps (for example, are too long): use size and time then.
    let quoted = |tag: &str| match tag.trim_matches('"') {
        "" => None,
        _ if tag.starts_with("W/") => tag.parse().ok(),
        bare => format!("\"{bare}\"").parse().ok(),
    };
    let tag = meta.e_tag.as_deref().and_then(quoted);
    tag.unwrap_or_else(|| SourceStamp::of(meta.size, meta.last_modified.timestamp_micros()))
}

/// Applies to `builder` those `settings` whose names are configuration keys of its kind, and
/// ignores the rest.
fn configured<'a, B, K: FromStr>(
    builder: B,
    settings: impl Iterator<Item = (&'a str, &'a str)>,
    with: impl Fn(B, K, &'a str) -> B,
) -> B {
    settings.fold(builder, |builder, (key, value)| match key.to_ascii_lowercase().parse() {
        Ok(key) => with(builder, key, value),
        Err(_) => builder,
    })
}

/// Classifies an error of a store. Its own text is not shown: it may contain a signed URL or a page
/// of XML.
fn failed(error: &Error) -> FetchError {
    if let Error::InvalidPath { source } = error {
        let rule = "keys with empty, '.' or '..' segments cannot be read";
        return FetchError::Unreadable(format!(
            "{source}: {rule}; in a listing, name the other prefixes instead"
        ));
    }
    if let Some(fault) = fault::shortage(error) {
        return fault;
    }
    if asks_for_credentials(error) {
        return FetchError::Outage(
            "this machine has no credentials for the object store: neither its environment nor its \
             files have any (docs/sources.md names them), and no metadata service of a cloud gives \
             some"
                .into(),
        );
    }
    let text = innermost(error);
    let code = code(&text);
    match status(error, &text) {
        Some(404) if code == " (NoSuchBucket)" => FetchError::Outage("no such bucket".into()),
        Some(404) => FetchError::NotFound("the bucket has no such object".into()),
        Some(status @ (401 | 403)) => FetchError::Denied(format!(
            "the object store denies access with HTTP {status}{code}: {}",
            match code.as_str() {
                " (SignatureDoesNotMatch)" => "the secret key of this machine is wrong",
                " (InvalidAccessKeyId)" => "it does not know the access key of this machine",
                _ => "check the credentials of this machine and their permissions",
            }
        )),
        Some(status) => {
            FetchError::Outage(format!("the object store answered HTTP {status}{code}"))
        }
        None if text.contains("scheme is not allowed") => FetchError::Outage(
            "an http: endpoint needs AWS_ALLOW_HTTP, GOOGLE_ALLOW_HTTP or AZURE_ALLOW_HTTP \
             set to true"
                .into(),
        ),
        None => {
            if let Some(fault) = fault::no_descriptors() {
                return fault;
            }
            // The rest of the text may be a response body.
            let text = text.split(['<', '{', '\n']).next().unwrap_or_default();
            let text: String = text.trim_end_matches([' ', ':']).chars().take(200).collect();
            FetchError::Outage(format!("the object store failed: {text}"))
        }
    }
}

/// Whether what failed is the request to a cloud's metadata service, which is asked where no
/// credentials are set.
fn asks_for_credentials(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if METADATA_PATHS.iter().any(|path| text.contains(path)) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// The HTTP status of an error. For some errors, as those of listings, only the text contains it.
fn status(error: &Error, text: &str) -> Option<u16> {
    match error {
        Error::NotFound { .. } => Some(404),
        Error::Unauthenticated { .. } => Some(401),
        Error::PermissionDenied { .. } => Some(403),
        _ => text.split_once("status code: ")?.1.get(..3)?.parse().ok(),
    }
}

/// The error code in the XML of S3 and Azure, as ` (SlowDown)`.
fn code(text: &str) -> String {
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    let plain = |code: &&str| code.len() <= 60 && code.chars().all(|c| c.is_ascii_alphanumeric());
    code.filter(plain).map(|code| format!(" ({code})")).unwrap_or_default()
}
