//! Listing a bucket.

use std::path::Path;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::entry::{ListingEntry, ListingError, NotListed, NotListedReason, ending_of};
use crate::domain::{ImageUri, LabelledImage};
use crate::images::objects::stamp_of;
use crate::images::root::{Bucket, object_url};
use crate::images::walk::{has_image_ending, is_image};
use crate::images::{Objects, Root, Rules};

/// Most objects whose first bytes are fetched at the same time, because their keys have no ending.
const SNIFFS_AT_ONCE: usize = 16;

/// A bucket, or the objects below a key in it.
pub(super) struct BucketRoot {
    pub(super) objects: Arc<Objects>,
    pub(super) rules: Rules,
    pub(super) number: usize,
    pub(super) bucket: Bucket,
    pub(super) below: Key,
    /// Keys of other roots below this one. Their objects are listed by those roots.
    pub(super) inner: Vec<Key>,
}

impl BucketRoot {
    pub(super) fn list(
        self: Arc<Self>,
        after: Option<&Key>,
    ) -> BoxStream<'static, Result<ListingEntry, ListingError>> {
        let what = Root::Bucket(self.bucket.clone(), self.below.clone()).to_string();
        let broken = move |reason| ListingError { what: what.clone(), reason };
        match self.objects.list(&self.bucket, &self.below, after) {
            Ok(found) => {
                let entry = move |meta: Result<ObjectMeta, String>| {
                    let (root, meta) = (self.clone(), meta.map_err(&broken));
                    async move {
                        match meta {
                            Ok(meta) => root.object(meta).await.map(Ok),
                            Err(error) => Some(Err(error)),
                        }
                    }
                };
                found.map(entry).buffered(SNIFFS_AT_ONCE).filter_map(std::future::ready).boxed()
            }
            Err(reason) => futures::stream::iter([Err(broken(reason))]).boxed(),
        }
    }

    /// Why there may be nothing below the root: keys go on where it ends.
    pub(super) async fn why_empty(&self) -> Option<ListingError> {
        if self.below.is_root() {
            return None;
        }
        let found = self.objects.first_beginning_with(&self.bucket, &self.below).await?;
        let depth = self.below.parts().count();
        let segments = |count| {
            let segments: Vec<String> =
                found.parts().take(count).map(|part| part.as_ref().to_owned()).collect();
            segments.join("/")
        };
        let (bucket, sibling) = (&self.bucket, segments(depth));
        let mut above = format!("{bucket}/{}", segments(depth - 1));
        above.truncate(above.trim_end_matches('/').len());
        let last = self.below.parts().next_back().map(|part| part.as_ref().to_owned());
        Some(ListingError {
            what: format!("{bucket}/{}", self.below),
            reason: format!(
                "nothing is below it. A prefix ends where a segment ends, so {bucket}/{found} is \
                 not below it: name {bucket}/{sibling}, or scan {above} --include '/{}*'",
                last.unwrap_or_default()
            ),
        })
    }

    /// The entry of an object; `None` if the object belongs to another root.
    pub(super) async fn object(&self, meta: ObjectMeta) -> Option<ListingEntry> {
        let key = &meta.location;
        if self.inner.iter().any(|inner| key.prefix_match(inner).is_some()) {
            return None;
        }
        let name = format!("{}/{key}", self.bucket);
        let uri: Option<ImageUri> =
            object_url(&self.bucket, key).and_then(|url| url.as_str().parse().ok());
        // An object that is itself a root is always listed as an image.
        let reason =
            if *key == self.below { Ok(None) } else { self.reason_not_to_list(&meta).await };
        Some(match (reason, uri) {
            (Err(reason), _) => ListingEntry::Failed(ListingError { what: name, reason }),
            (Ok(Some(reason)), uri) => ListingEntry::NotListed(NotListed { name, uri, reason }),
            (Ok(None), None) => ListingEntry::Failed(ListingError {
                what: name,
                reason: "the key cannot be written as a URL".into(),
            }),
            (Ok(None), Some(uri)) => {
                let image = LabelledImage::new(uri, Some(stamp_of(&meta)));
                ListingEntry::Image { image, position: Some(format!("{} {key}", self.number)) }
            }
        })
    }

    /// Why an object is not listed as an image; `None` if it is an image. Reading the first bytes
    /// of an object takes a request, so this is done only for keys without an ending.
    ///
    /// # Errors
    /// If the first bytes of the object cannot be read.
    async fn reason_not_to_list(
        &self,
        meta: &ObjectMeta,
    ) -> Result<Option<NotListedReason>, String> {
        let key = meta.location.as_ref();
        let below =
            Path::new(key.strip_prefix(self.below.as_ref()).unwrap_or(key).trim_start_matches('/'));
        if let Some(rule) = self.rules.key_left_out_by(below) {
            return Ok(Some(NotListedReason::Rule { rule, folder: false }));
        }
        if has_image_ending(below) {
            return Ok(None);
        }
        if below.extension().is_none() && meta.size > 0 {
            let start = self.objects.start(&self.bucket, meta).await.map_err(|error| {
                format!(
                    "its key has no ending and its first bytes, which would show whether it is an \
                     image, cannot be read: {error}"
                )
            })?;
            if is_image(below, &start) {
                return Ok(None);
            }
        }
        Ok(Some(NotListedReason::NotAnImage(ending_of(below))))
    }
}
