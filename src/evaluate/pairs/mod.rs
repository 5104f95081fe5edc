//! Comparisons of templates. All mated comparisons are kept. Of the non-mated ones only the most
//! similar are kept: these decide every threshold.

mod blocks;

use std::cmp::Ordering;
use std::collections::HashSet;

use ndarray::ArrayView2;

use self::blocks::compare_all;

/// Mated comparisons that may be kept: 240 MB.
pub const MOST_MATED: u64 = 20_000_000;
/// Photos that may be compared all with all: 1.25 billion comparisons.
pub const MOST_PHOTOS: u64 = 50_000;
/// Non-mated comparisons are kept for this multiple of the highest FMR, because the threshold of a
/// bootstrap replicate may be lower than that of the whole set.
const SPARE: f64 = 2.0;

/// Why photos cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// Too many photos.
    #[error(
        "{0} photos are too many to compare all with all: at most {MOST_PHOTOS}; label fewer, or \
         list the pairs"
    )]
    Photos(u64),
    /// Too many mated comparisons.
    #[error(
        "{0} mated comparisons are too many: at most {MOST_MATED}; label fewer photos of each \
         person, or list the pairs"
    )]
    Mated(u64),
    /// No mated comparison.
    #[error(
        "no mated comparison, that is, no pair of photos of one person; error rates need mated and \
         non-mated comparisons"
    )]
    NoMated,
    /// No non-mated comparison.
    #[error(
        "no non-mated comparison, that is, no pair of photos of two people; error rates need mated \
         and non-mated comparisons"
    )]
    NoNonMated,
}

/// Two photos and how similar their templates are (cosine).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The first photo.
    pub a: u32,
    /// The second.
    pub b: u32,
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f32,
}

impl Pair {
    /// The most similar first. The order is total, so that the kept pairs do not depend on the
    /// timing of the threads.
    fn by_similarity(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.a.cmp(&other.a))
            .then(self.b.cmp(&other.b))
    }
}

/// The weight of each photo: 1, or how often a bootstrap replicate drew its subject.
#[derive(Debug, Clone)]
pub struct Weights {
    /// By subject.
    by_subject: Vec<f64>,
    /// By photo.
    by_photo: Vec<f64>,
}

impl Weights {
    /// The weights of photos of `subjects`, given the weight of each subject.
    pub fn new(by_subject: Vec<f64>, subjects: &[u32]) -> Self {
        let by_photo = subjects.iter().map(|&subject| by_subject[subject as usize]).collect();
        Self { by_subject, by_photo }
    }

    /// A weight of 1 for every photo.
    pub fn once(subjects: &[u32]) -> Self {
        let count = subjects.iter().max().map_or(0, |&last| last as usize + 1);
        Self::new(vec![1.0; count], subjects)
    }

    /// The number of subjects.
    pub fn people(&self) -> usize {
        self.by_subject.len()
    }

    /// The weight of a photo.
    pub fn photo(&self, photo: u32) -> f64 {
        self.by_photo[photo as usize]
    }

    /// The weights of all photos.
    pub fn photos(&self) -> &[f64] {
        &self.by_photo
    }

    /// The weight of a mated pair. A subject that was drawn twice counts as two people, whose
    /// photos are not compared with each other.
    pub fn mated(&self, pair: &Pair) -> f64 {
        self.photo(pair.a)
    }

    fn non_mated(&self, pair: &Pair) -> f64 {
        self.photo(pair.a) * self.photo(pair.b)
    }
}

/// The comparisons of a set of photos.
#[derive(Debug)]
pub struct Comparisons {
    mated: Vec<Pair>,
    /// The most similar non-mated pairs, most similar first.
    non_mated: Vec<Pair>,
    non_mated_total: u64,
    /// Number of photos of each subject; none if only listed pairs were compared.
    sizes: Option<Vec<f64>>,
}

impl Comparisons {
    /// Compares all with all. `templates` has a row for each photo; `subjects` has the number of
    /// its subject, from 0 without a gap. Thresholds are available up to the false match rate
    /// `highest_fmr`.
    ///
    /// # Errors
    /// If there are too many comparisons, or none that are mated or non-mated.
    pub fn all(
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
        highest_fmr: f64,
        threads: usize,
    ) -> Result<Self, PairError> {
        let mut sizes = vec![0_u64; subjects.iter().max().map_or(0, |&last| last as usize + 1)];
        subjects.iter().for_each(|&subject| sizes[subject as usize] += 1);
        let (mated_total, non_mated_total) = check_sizes(sizes.iter().copied())?;

        let keep = (SPARE * highest_fmr * non_mated_total as f64) as usize + 1000;
        let (mut mated, non_mated) =
            compare_all(templates, subjects, mated_total as usize, keep, threads);
        mated.sort_unstable_by_key(|pair| (pair.a, pair.b));
        let sizes = Some(sizes.into_iter().map(|size| size as f64).collect());
        Ok(Self { mated, non_mated, non_mated_total, sizes })
    }

    /// Compares the listed pairs, each with whether it is mated.
    ///
    /// # Errors
    /// If there are too many mated pairs, or none that are mated or non-mated.
    pub fn listed(
        templates: &ArrayView2<'_, f32>,
        pairs: &[(u32, u32, bool)],
    ) -> Result<Self, PairError> {
        let mated_total = pairs.iter().filter(|(_, _, same)| *same).count();
        check(mated_total as u64, (pairs.len() - mated_total) as u64)?;
        let (mut mated, mut non_mated) =
            (Vec::with_capacity(mated_total), Vec::with_capacity(pairs.len() - mated_total));
        for &(a, b, same) in pairs {
            let similarity = templates.row(a as usize).dot(&templates.row(b as usize));
            (if same { &mut mated } else { &mut non_mated }).push(Pair { a, b, similarity });
        }
        non_mated.sort_unstable_by(Pair::by_similarity);
        let non_mated_total = non_mated.len() as u64;
        Ok(Self { mated, non_mated, non_mated_total, sizes: None })
    }

    /// The mated pairs.
    pub fn mated(&self) -> &[Pair] {
        &self.mated
    }

    /// Number of non-mated comparisons.
    pub fn non_mated_total(&self) -> u64 {
        self.non_mated_total
    }

    /// The non-mated pairs that match at `threshold`, a result of [`Self::threshold`].
    pub fn false_matches(&self, threshold: f32) -> &[Pair] {
        &self.non_mated[..self.non_mated.partition_point(|pair| pair.similarity > threshold)]
    }

    /// The number of different pairs of subjects of which the `count` most similar non-mated pairs
    /// are, as far as those are kept. `subjects` are those of the photos.
    pub fn pairs_of_people(&self, count: usize, subjects: &[u32]) -> usize {
        let of = |pair: &Pair| {
            let (a, b) = (subjects[pair.a as usize], subjects[pair.b as usize]);
            (a.min(b), a.max(b))
        };
        self.non_mated.iter().take(count).map(of).collect::<HashSet<_>>().len()
    }

    /// The lowest threshold at which the false match rate is at most `fmr`. A pair matches if its
    /// similarity exceeds the threshold.
    ///
    /// None if there are too few non-mated comparisons to show the rate, or if the threshold is
    /// below all similarities that were kept. The latter happens in a bootstrap replicate that
    /// seldom draws the few people who have the most similar pairs.
    pub fn threshold(&self, fmr: f64, weights: &Weights) -> Option<f32> {
        if !self.shows(fmr, weights) {
            return None;
        }
        let allowed = fmr * self.non_mated_weight(weights);
        let mut sum = 0.0;
        let over = self.non_mated.iter().find(|pair| {
            sum += weights.non_mated(pair);
            // Tolerance of a thousandth of a pair: the product `allowed` is rounded.
            sum > allowed + 1e-3
        });
        // If pairs were dropped, the next lower similarity is unknown.
        let last =
            self.non_mated.last().filter(|_| self.non_mated.len() as u64 == self.non_mated_total);
        over.or(last).map(|pair| pair.similarity)
    }

    /// Whether there are enough non-mated comparisons for `fmr` to be one of them or more.
    pub fn shows(&self, fmr: f64, weights: &Weights) -> bool {
        fmr * self.non_mated_weight(weights) >= 1.0
    }

    fn non_mated_weight(&self, weights: &Weights) -> f64 {
        match &self.sizes {
            None => self.non_mated.iter().map(|pair| weights.non_mated(pair)).sum(),
            Some(sizes) => {
                let drawn =
                    || weights.by_subject.iter().zip(sizes).map(|(weight, size)| weight * size);
                let (all, same) =
                    (drawn().sum::<f64>(), drawn().map(|photos| photos * photos).sum::<f64>());
                (all * all - same) / 2.0
            }
        }
    }
}

/// The numbers of mated and of non-mated comparisons, from the number of photos of each subject.
///
/// # Errors
/// If there are too many comparisons, or none that are mated or non-mated.
fn check_sizes(sizes: impl Iterator<Item = u64>) -> Result<(u64, u64), PairError> {
    let pairs = |size: u64| size * size.saturating_sub(1) / 2;
    let (photos, mated) =
        sizes.fold((0, 0), |(photos, mated), size| (photos + size, mated + pairs(size)));
    if photos > MOST_PHOTOS {
        return Err(PairError::Photos(photos));
    }
    let non_mated = pairs(photos) - mated;
    check(mated, non_mated)?;
    Ok((mated, non_mated))
}

fn check(mated: u64, non_mated: u64) -> Result<(), PairError> {
    match (mated, non_mated) {
        (0, _) => Err(PairError::NoMated),
        (_, 0) => Err(PairError::NoNonMated),
        (mated, _) if mated > MOST_MATED => Err(PairError::Mated(mated)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
