//! Whether a name is new in a gallery: it may be a mistake in typing.

use super::CurateError;
use crate::domain::{GalleryName, SubjectName};
use crate::store::Curation;

/// Names that are told, at most.
const MOST: usize = 3;
/// Shorter names differ by a letter without being alike.
const LEAST_LETTERS: usize = 3;

/// The names of the gallery that are much like `name`, if it is the name of nobody there: they
/// differ from it by a letter, or by upper and lower case. None if somebody has the name.
///
/// # Errors
/// If the store cannot be read.
pub async fn newcomer(
    store: &dyn Curation,
    gallery: &GalleryName,
    name: &SubjectName,
) -> Result<Option<Vec<SubjectName>>, CurateError> {
    let people = store.people(gallery).await?;
    if people.contains(name) {
        return Ok(None);
    }
    Ok(Some(people.into_iter().filter(|known| are_alike(known, name)).take(MOST).collect()))
}

fn are_alike(one: &SubjectName, other: &SubjectName) -> bool {
    let [one, other] = [one, other].map(|name| name.as_str().to_lowercase());
    let letters = one.chars().count().min(other.chars().count());
    one == other || letters >= LEAST_LETTERS && strsim::osa_distance(&one, &other) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_that_differ_by_a_letter_or_by_case() {
        let alike =
            |one: &str, other: &str| are_alike(&one.parse().unwrap(), &other.parse().unwrap());
        for (one, other) in
            [("Ann", "ann"), ("barack", "barak"), ("barack", "barcak"), ("Zoë", "zoé"), ("É", "é")]
        {
            assert!(alike(one, other), "{one} {other}");
        }
        for (one, other) in [("ann", "bob"), ("ab", "ac"), ("barack", "bark"), ("joe", "joanne")] {
            assert!(!alike(one, other), "{one} {other}");
        }
    }
}
