//! Conditions on the images of a page.

use std::ops::RangeInclusive;

use jiff::Timestamp;

use crate::domain::ImageUri;

/// Conditions on the images of a page; the default has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageFilter {
    /// Only these images, also by the form that is shown, without their query. `None`: all images.
    pub images: Option<Vec<ImageUri>>,
    /// Only images with a face whose quality is in [`Self::qualities`]; such an image comes with
    /// all its faces.
    pub min_quality: Option<u8>,
    /// The upper end.
    pub max_quality: Option<u8>,
    /// Only results recorded at this time or later, to the millisecond.
    pub since: Option<Timestamp>,
}

/// Those of `uris` that may be shown forms of others: they have no query themselves.
pub(super) fn shown(uris: &[ImageUri]) -> Vec<&str> {
    let without_query = |uri: &&ImageUri| uri.as_url().query().is_none();
    uris.iter().filter(without_query).map(ImageUri::as_str).collect()
}

impl PageFilter {
    /// The wanted qualities. None if faces without a quality are wanted too.
    pub fn qualities(&self) -> Option<RangeInclusive<u8>> {
        let any = self.min_quality.is_none() && self.max_quality.is_none();
        (!any).then(|| self.min_quality.unwrap_or(0)..=self.max_quality.unwrap_or(100))
    }

    /// Whether every image passes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The earliest time, milliseconds since 1970.
    pub(super) fn since_ms(&self) -> Option<i64> {
        self.since.map(|since| since.as_millisecond())
    }

    /// The lowest and the highest quality, as columns hold them.
    pub(super) fn quality_bounds(&self) -> (Option<i16>, Option<i16>) {
        let bounds = self.qualities().map(|wanted| (*wanted.start(), *wanted.end()));
        bounds.map(|(low, high)| (i16::from(low), i16::from(high))).unzip()
    }
}
