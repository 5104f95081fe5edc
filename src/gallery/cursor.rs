//! Positions in listings of stored images: the cursor of an image, and that of the last image that
//! the listing has.

use crate::images::ListingError;

/// A part of such a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CursorRange {
    /// The cursor before the first image of the part.
    pub(super) after: i64,
    /// The cursor of the last image. What is recorded later has a higher one: it does not belong to
    /// the listing, which must not find what it records itself.
    pub(super) last: i64,
}

impl CursorRange {
    /// What is left of a listing up to `last` that came to the chunk between `from` and `to`. If
    /// it listed a chunk before, it ends where it ended then.
    ///
    /// # Errors
    /// If a position is none of such a listing. `command`: the command that lists.
    pub(super) fn left(
        last: i64,
        from: Option<&str>,
        to: Option<&str>,
        command: &str,
    ) -> Result<Self, ListingError> {
        let parse = |position: &str| {
            let parts = position.split_once(' ');
            let parts =
                parts.and_then(|(last, after)| Some((last.parse().ok()?, after.parse().ok()?)));
            parts.ok_or_else(|| ListingError {
                what: format!("after '{position}'"),
                reason: format!("{command} has no such position"),
            })
        };
        Ok(match (from, to) {
            (None, None) => Self { after: 0, last },
            (None, Some(to)) => Self { after: 0, last: parse(to)?.0 },
            (Some(from), _) => {
                let (last, after) = parse(from)?;
                Self { after, last }
            }
        })
    }

    /// The position of the image with this cursor.
    pub(super) fn position(self, cursor: i64) -> String {
        format!("{} {cursor:020}", self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_where_its_last_chunk_began_and_ends_where_it_ended() {
        let whole = CursorRange { after: 0, last: 90 };
        let (ten, twenty) = (whole.position(10), whole.position(20));
        let left = |from: Option<&str>, to: Option<&str>| {
            CursorRange::left(200, from, to, "a test").unwrap()
        };
        assert_eq!(left(None, None), CursorRange { after: 0, last: 200 });
        assert_eq!(left(None, Some(&ten)), whole);
        assert_eq!(left(Some(&ten), Some(&twenty)), CursorRange { after: 10, last: 90 });
        let error = CursorRange::left(9, Some("a.jpg"), None, "a re-score").unwrap_err();
        assert!(error.to_string().contains("a re-score has no such position"), "{error}");
    }
}
