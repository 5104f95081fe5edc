//! A place of images, as their URIs begin.

use super::ImageUri;

/// A place, and all that is below it by whole segments of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriRoot {
    itself: String,
    below: String,
}

impl UriRoot {
    /// The place of this URI.
    pub fn new(uri: &ImageUri) -> Self {
        let itself = uri.as_str().to_owned();
        let slash = if itself.ends_with('/') { "" } else { "/" };
        Self { below: format!("{itself}{slash}"), itself }
    }

    /// The URI of the place.
    pub fn itself(&self) -> &str {
        &self.itself
    }

    /// How the URIs begin of what is below it.
    pub fn below(&self) -> &str {
        &self.below
    }

    /// The first text after all URIs that begin so, in the order of bytes.
    pub fn end(&self) -> String {
        // What follows the slash.
        format!("{}0", self.below.strip_suffix('/').unwrap_or(&self.below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_place_begins_like_it_and_ends_with_its_segment() {
        let place = |uri: &str| UriRoot::new(&uri.parse().unwrap());
        let photos = place("file:///photos");
        assert_eq!((photos.itself(), photos.below()), ("file:///photos", "file:///photos/"));
        let is_in = |uri: &str| uri >= photos.below() && uri < photos.end().as_str();
        for (uri, expected) in [
            ("file:///photos/a.jpg", true),
            ("file:///photos/~/%C3%BC.jpg", true),
            ("file:///photos-old/a.jpg", false),
            ("file:///photos0", false),
            ("file:///photo/a.jpg", false),
        ] {
            assert_eq!(
                (is_in(uri), uri.starts_with(photos.below())),
                (expected, expected),
                "{uri}"
            );
        }
        assert_eq!(place("s3://faces/").below(), "s3://faces/");
    }
}
