//! Tries a place that images may come from: lists something there, and reads the first bytes of it.

use std::path::Path;

use futures::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::walk::has_image_ending;
use super::{
    Body, Bucket, FetchError, ImageSource, Listing, ListingEntry, Root, Rules, Sources, WebRoot,
};

/// Entries that are looked at until one is an image.
const LOOKED_AT: usize = 1000;

impl Sources {
    /// Lists something below `root` and reads the first bytes of one image there. Returns what was
    /// done, for people. A web server has no listing: it is only asked for the root itself, and
    /// every answer counts.
    ///
    /// # Errors
    /// Why images cannot be listed or read there, and what to do.
    pub async fn try_root(&self, root: &Root) -> Result<String, String> {
        match root {
            Root::Path(_) => self.try_folder(root).await,
            Root::Bucket(bucket, key) => self.try_bucket(bucket, key).await,
            Root::Web(server) => self.try_server(server).await,
            Root::Inline => Ok("the bytes are in the URI".into()),
        }
    }

    async fn try_folder(&self, root: &Root) -> Result<String, String> {
        let listing = Listing::new(std::slice::from_ref(root), Rules::none(), self.objects.clone())
            .map_err(|error| error.reason)?;
        let mut entries = listing.entries(None).map_err(|error| error.reason)?.take(LOOKED_AT);
        let mut found = 0;
        let mut failed = None;
        while let Some(entry) = entries.next().await {
            match entry.map_err(|error| error.to_string())? {
                ListingEntry::Image { image, .. } => {
                    let uri = image.image;
                    self.check_image(&uri).await.map_err(|error| format!("{uri}: {error}"))?;
                    return Ok(format!("listed, and {uri} can be read"));
                }
                ListingEntry::NotListed(_) => found += 1,
                ListingEntry::Failed(error) => {
                    failed.get_or_insert_with(|| error.to_string());
                }
            }
        }
        match failed {
            Some(error) => Err(error),
            None if found > 0 => {
                Ok(format!("listed; none of the first {found} entries is an image"))
            }
            None => Err("there is nothing in it: check that its file system is mounted".into()),
        }
    }

    async fn try_bucket(&self, bucket: &Bucket, below: &Key) -> Result<String, String> {
        let mut objects = self.objects.list(bucket, below, None)?.take(LOOKED_AT);
        let mut chosen: Option<ObjectMeta> = None;
        while let Some(object) = objects.next().await {
            let object = object?;
            let is_image = has_image_ending(Path::new(object.location.as_ref()));
            if object.size > 0 && (is_image || chosen.is_none()) {
                chosen = Some(object);
                if is_image {
                    break;
                }
            }
        }
        let Some(object) = chosen else {
            return Err(
                "it can be listed, and there is nothing: check the name of the bucket and \
                 of the prefix"
                    .into(),
            );
        };
        let key = &object.location;
        match self.objects.start(bucket, &object).await {
            Ok(start) => Ok(format!("listed, and {} bytes of {key} were read", start.len())),
            Err(error) => Err(format!("it can be listed, but {key} cannot be read: {error}")),
        }
    }

    async fn try_server(&self, server: &WebRoot) -> Result<String, String> {
        let url = server.url();
        let answers = "the server answers; web servers have no listing, so no image was read";
        let Some(web) = &self.web else { return Err("no web server is allowed".into()) };
        match web.fetch(url, |url| self.covers(url), Body::dropped(self.limits.max_bytes)).await {
            // The root itself need not be there, and may be larger than an image.
            Ok(_) | Err(FetchError::NotFound(_) | FetchError::Unreadable(_)) => Ok(answers.into()),
            Err(FetchError::Denied(reason)) => Ok(format!("{answers} ({reason})")),
            Err(FetchError::Refused(reason)) if !reason.contains("allow_private_hosts") => {
                Ok(answers.into())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
