//! `s3:`, `gs:` and `az:` URIs: images in object stores.
//!
//! Endpoints and credentials come from the environment and files of this machine, as the clouds'
//! own tools read them, and never from a job. A bucket's client is made when the bucket is first
//! asked for, and kept.

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
use crate::domain::ImageKind;

/// Requests sent again when a store is busy or a connection breaks, within the time of one fetch.
/// More are the worker's to decide.
const REPEATS: usize = 2;

/// The object stores that this machine has credentials for.
pub struct Objects {
    /// Environment variables that configure them.
    variables: Vec<(String, String)>,
    authorities: Vec<Certificate>,
    limits: FetchLimits,
    stores: Mutex<HashMap<Bucket, Arc<dyn ObjectStore>>>,
}

impl Objects {
    /// Object stores as `variables` (`AWS_…`, `GOOGLE_…`, `AZURE_…`) configure them, which may have
    /// certificates of the system's authorities or of `authorities` (PEM).
    ///
    /// # Errors
    /// If the authorities are no PEM.
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

    /// The bytes of an object, through `body`.
    pub(super) async fn fetch(
        &self,
        bucket: &Bucket,
        key: &Key,
        mut body: Body<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        // A client reads certificates when it is made.
        let not_set_up = |reason| {
            fault::no_descriptors()
                .unwrap_or_else(|| FetchError::Outage(format!("{bucket} is not set up: {reason}")))
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

    /// The first bytes of an object: enough to tell whether it is an image.
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
        // Some servers give the whole object where a part is asked for. No more of it is read than
        // needed.
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

    /// What lies below a key, in the order of keys, from after another key on. A page of the
    /// listing is in memory at a time. If the key `below` is an object's itself, that comes alone
    /// before all others.
    ///
    /// # Errors
    /// If the bucket's client cannot be made: why.
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
                    // A folder's marker is no image.
                    Ok(meta) if meta.size > 0 => Some(Ok(meta)),
                    // Listing may be allowed where reading is not, and says so itself if it is not.
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
        Ok(Arc::new(store.map_err(|error| innermost(&error))?))
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
        RetryConfig { backoff, max_retries: REPEATS, retry_timeout: self.limits.whole }
    }
}

/// `builder` with those of `settings` whose names are keys of its kind; others have their names for
/// something else.
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

/// What a store's error means. Its own text may hold a signed URL, or a whole page of XML: neither
/// gets out.
fn failed(error: &Error) -> FetchError {
    if let Error::InvalidPath { source } = error {
        let rule = "keys with empty, '.' or '..' segments cannot be read";
        return FetchError::Unreadable(format!(
            "{source}: {rule}; in a listing, name prefixes beside them"
        ));
    }
    if let Some(fault) = fault::local(error) {
        return fault;
    }
    let text = innermost(error);
    let code = code(&text);
    match status(error, &text) {
        Some(404) if code == " (NoSuchBucket)" => FetchError::Outage(
            "there is no such \
            bucket"
                .into(),
        ),
        Some(404) => FetchError::NotThere("the bucket has no such object".into()),
        Some(status @ (401 | 403)) => FetchError::Denied(format!(
            "the object store denies access with HTTP {status}{code}: check which credentials this \
                machine has, and what they may read"
        )),
        Some(status) => FetchError::Outage(format!(
            "the object store answered HTTP \
            {status}{code}"
        )),
        None if text.contains("scheme is not allowed") => FetchError::Outage(
            "an http: endpoint needs AWS_ALLOW_HTTP, GOOGLE_ALLOW_HTTP or \
                AZURE_ALLOW_HTTP to be true"
                .into(),
        ),
        None => {
            if let Some(fault) = fault::no_descriptors() {
                return fault;
            }
            // What follows may be a body.
            let text = text.split(['<', '{', '\n']).next().unwrap_or_default();
            let text: String = text.trim_end_matches([' ', ':']).chars().take(200).collect();
            FetchError::Outage(format!("the object store failed: {text}"))
        }
    }
}

/// The HTTP status that an error is about. Where the type does not tell, as in listings, only the
/// text does.
fn status(error: &Error, text: &str) -> Option<u16> {
    match error {
        Error::NotFound { .. } => Some(404),
        Error::Unauthenticated { .. } => Some(401),
        Error::PermissionDenied { .. } => Some(403),
        _ => text.split_once("status code: ")?.1.get(..3)?.parse().ok(),
    }
}

/// The error code that S3 and Azure give in XML, as ` (SlowDown)`.
fn code(text: &str) -> String {
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map(|(code, _)| code);
    let plain = |code: &&str| code.len() <= 60 && code.chars().all(|c| c.is_ascii_alphanumeric());
    code.filter(plain).map(|code| format!(" ({code})")).unwrap_or_default()
}
