//! Comparisons: every pair of templates, in blocked matrix products; what is kept are the pairs of
//! one person, and of the others the most similar ones, which decide every threshold.

use std::cmp::Ordering;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView2, Axis, Slice};

/// Photos whose templates are multiplied at once: the products of two blocks stay in a core's
/// cache.
const BLOCK: usize = 512;
/// Pairs of one person that may be kept: 240 MB.
pub const MOST_GENUINE: u64 = 20_000_000;
/// Photos that may be compared all with all: 1.25 billion pairs.
pub const MOST_PHOTOS: u64 = 50_000;
/// A replicate of the bootstrap may need impostors that are weaker than any threshold of the whole
/// set.
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
    /// Too many pairs of one person.
    #[error(
        "{0} pairs of one person are too many: at most {MOST_GENUINE}; label fewer photos of the \
            same people, or list the pairs"
    )]
    Genuine(u64),
    /// Nothing to compare.
    #[error(
        "there is no pair of {0}; error rates need pairs of one person and pairs of two people"
    )]
    None(&'static str),
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
    /// The most similar first; a total order, so that what is kept does not depend on which thread
    /// was faster.
    fn by_similarity(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then(self.a.cmp(&other.a))
            .then(self.b.cmp(&other.b))
    }
}

/// How often each photo counts: once each, or as often as its subject was drawn by a replicate of
/// the bootstrap.
#[derive(Debug, Clone)]
pub struct Weights {
    /// By subject.
    by_subject: Vec<f64>,
    /// By photo.
    by_photo: Vec<f64>,
}

impl Weights {
    /// Those of photos of `subjects`, each of which counts as often as `by_subject` says.
    pub fn new(by_subject: Vec<f64>, subjects: &[u32]) -> Self {
        let by_photo = subjects.iter().map(|&subject| by_subject[subject as usize]).collect();
        Self { by_subject, by_photo }
    }

    /// Every photo once.
    pub fn once(subjects: &[u32]) -> Self {
        let count = subjects.iter().max().map_or(0, |&last| last as usize + 1);
        Self::new(vec![1.0; count], subjects)
    }

    /// Of a photo.
    pub fn photo(&self, photo: u32) -> f64 {
        self.by_photo[photo as usize]
    }

    /// By photo.
    pub fn photos(&self) -> &[f64] {
        &self.by_photo
    }

    /// Of a pair of one person: two draws of a subject are two people, whose photos are not
    /// compared.
    pub fn genuine(&self, pair: &Pair) -> f64 {
        self.photo(pair.a)
    }

    fn impostor(&self, pair: &Pair) -> f64 {
        self.photo(pair.a) * self.photo(pair.b)
    }
}

/// All comparisons of a set of photos.
#[derive(Debug)]
pub struct Comparisons {
    genuine: Vec<Pair>,
    /// The most similar pairs of two people, most similar first.
    impostors: Vec<Pair>,
    impostor_total: u64,
    /// Photos by subject, where all were compared with all.
    sizes: Option<Vec<f64>>,
}

impl Comparisons {
    /// Compares all with all. `templates` has a row a photo; `subjects` says whose it is, numbered
    /// from 0 without a gap. Thresholds can be asked for up to the false match rate `highest_fmr`.
    ///
    /// # Errors
    /// If there are too many, or none of a kind.
    pub fn all(
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
        highest_fmr: f64,
        threads: usize,
    ) -> Result<Self, PairError> {
        let photos = templates.nrows();
        let mut sizes = vec![0_u64; subjects.iter().max().map_or(0, |&last| last as usize + 1)];
        subjects.iter().for_each(|&subject| sizes[subject as usize] += 1);
        let (genuine_total, impostor_total) = check_sizes(sizes.iter().copied())?;

        let keep = (SPARE * highest_fmr * impostor_total as f64) as usize + 1000;
        let blocks = photos.div_ceil(BLOCK);
        let next = AtomicUsize::new(0);
        // One for all threads: it may hold a gigabyte.
        let strongest = Mutex::new(Strongest::new(keep));
        let work = || {
            let mut found = Found::default();
            loop {
                let block = next.fetch_add(1, Atomic::Relaxed);
                if block >= blocks {
                    return found.genuine;
                }
                for other in block..blocks {
                    found.compare(templates, subjects, block, other);
                    found.hand_over(&strongest);
                }
            }
        };
        let found: Vec<Vec<Pair>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(work)).collect();
            let mine = work();
            // A thread that panicked takes this one with it: what it found is missing.
            let others = threads.into_iter().map(|thread| match thread.join() {
                Ok(found) => found,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(mine).chain(others).collect()
        });
        let mut genuine = Vec::with_capacity(genuine_total as usize);
        found.into_iter().for_each(|part| genuine.extend(part));
        let strongest = strongest.into_inner().unwrap_or_else(PoisonError::into_inner);
        genuine.sort_unstable_by_key(|pair| (pair.a, pair.b));
        let sizes = Some(sizes.into_iter().map(|size| size as f64).collect());
        Ok(Self { genuine, impostors: strongest.sorted(), impostor_total, sizes })
    }

    /// Compares the listed pairs; each says whether it shows one person.
    ///
    /// # Errors
    /// If there are too many, or none of a kind.
    pub fn listed(
        templates: &ArrayView2<'_, f32>,
        pairs: &[(u32, u32, bool)],
    ) -> Result<Self, PairError> {
        let of_one = pairs.iter().filter(|(_, _, same)| *same).count();
        check(of_one as u64, (pairs.len() - of_one) as u64)?;
        let (mut genuine, mut impostors) =
            (Vec::with_capacity(of_one), Vec::with_capacity(pairs.len() - of_one));
        for &(a, b, same) in pairs {
            let similarity = templates.row(a as usize).dot(&templates.row(b as usize));
            (if same { &mut genuine } else { &mut impostors }).push(Pair { a, b, similarity });
        }
        impostors.sort_unstable_by(Pair::by_similarity);
        let impostor_total = impostors.len() as u64;
        Ok(Self { genuine, impostors, impostor_total, sizes: None })
    }

    /// The pairs of one person.
    pub fn genuine(&self) -> &[Pair] {
        &self.genuine
    }

    /// Number of pairs of two people.
    pub fn impostor_total(&self) -> u64 {
        self.impostor_total
    }

    /// The pairs of two people that are more similar than `threshold`, which came from
    /// [`Self::threshold`].
    pub fn false_matches(&self, threshold: f32) -> &[Pair] {
        &self.impostors[..self.impostors.partition_point(|pair| pair.similarity > threshold)]
    }

    /// The lowest threshold at which no more than the share `fmr` of the impostors match; a pair
    /// matches if it is more similar than the threshold. None if there are too few impostors for
    /// one of them to be that share, or if it is weaker than all that were kept: where the most
    /// similar pairs are those of a few people, a replicate of the bootstrap that draws them seldom
    /// may need so many.
    pub fn threshold(&self, fmr: f64, weights: &Weights) -> Option<f32> {
        if !self.shows(fmr, weights) {
            return None;
        }
        let allowed = fmr * self.impostor_weight(weights);
        let mut sum = 0.0;
        let over = self.impostors.iter().find(|pair| {
            sum += weights.impostor(pair);
            // A thousandth of a pair: sums of shares are not exact.
            sum > allowed + 1e-3
        });
        // Pairs that were not kept are weaker than the last one, nobody knows by how much.
        let last =
            self.impostors.last().filter(|_| self.impostors.len() as u64 == self.impostor_total);
        over.or(last).map(|pair| pair.similarity)
    }

    /// Whether there are enough impostors for one of them to be the share `fmr`.
    pub fn shows(&self, fmr: f64, weights: &Weights) -> bool {
        fmr * self.impostor_weight(weights) >= 1.0
    }

    fn impostor_weight(&self, weights: &Weights) -> f64 {
        match &self.sizes {
            None => self.impostors.iter().map(|pair| weights.impostor(pair)).sum(),
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

/// The numbers of pairs of one person and of two, from the number of photos of each person.
///
/// # Errors
/// If there are too many, or none of a kind.
fn check_sizes(sizes: impl Iterator<Item = u64>) -> Result<(u64, u64), PairError> {
    let of_one = |size: u64| size * size.saturating_sub(1) / 2;
    let (photos, genuine) =
        sizes.fold((0, 0), |(photos, genuine), size| (photos + size, genuine + of_one(size)));
    if photos > MOST_PHOTOS {
        return Err(PairError::Photos(photos));
    }
    let impostors = of_one(photos) - genuine;
    check(genuine, impostors)?;
    Ok((genuine, impostors))
}

/// # Errors
/// If there are too many pairs, or none of a kind.
fn check(genuine: u64, impostors: u64) -> Result<(), PairError> {
    match (genuine, impostors) {
        (0, _) => Err(PairError::None("one person")),
        (_, 0) => Err(PairError::None("two people")),
        (genuine, _) if genuine > MOST_GENUINE => Err(PairError::Genuine(genuine)),
        _ => Ok(()),
    }
}

/// What one thread finds.
struct Found {
    genuine: Vec<Pair>,
    /// Of two people, since the last time they were handed over.
    impostors: Vec<Pair>,
    /// No weaker pair is wanted.
    least: f32,
}

impl Default for Found {
    fn default() -> Self {
        Self { genuine: Vec::new(), impostors: Vec::new(), least: f32::NEG_INFINITY }
    }
}

impl Found {
    fn hand_over(&mut self, strongest: &Mutex<Strongest>) {
        let mut strongest = strongest.lock().unwrap_or_else(PoisonError::into_inner);
        self.impostors.drain(..).for_each(|pair| strongest.offer(pair));
        self.least = strongest.least;
    }

    fn compare(
        &mut self,
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
        block: usize,
        other: usize,
    ) {
        let rows = |block: usize| {
            let from = block * BLOCK;
            (
                from,
                templates
                    .slice_axis(Axis(0), Slice::from(from..(from + BLOCK).min(templates.nrows()))),
            )
        };
        let ((from_a, a), (from_b, b)) = (rows(block), rows(other));
        let products = a.dot(&b.t());
        for (i, row) in products.axis_iter(Axis(0)).enumerate() {
            let first = from_a + i;
            // Each pair once: in a block with itself, those above the diagonal.
            let start = if block == other { i + 1 } else { 0 };
            for (j, &similarity) in row.iter().enumerate().skip(start) {
                let second = from_b + j;
                let pair = Pair { a: first as u32, b: second as u32, similarity };
                if subjects[first] == subjects[second] {
                    self.genuine.push(pair);
                } else if similarity >= self.least {
                    self.impostors.push(pair);
                }
            }
        }
    }
}

/// The strongest pairs of a stream, without sorting it: twice as many as wanted are collected, then
/// the weaker half is dropped.
struct Strongest {
    wanted: usize,
    kept: Vec<Pair>,
    /// No weaker pair can be among the wanted.
    least: f32,
}

impl Strongest {
    fn new(wanted: usize) -> Self {
        Self { wanted: wanted.max(1), kept: Vec::new(), least: f32::NEG_INFINITY }
    }

    fn offer(&mut self, pair: Pair) {
        self.kept.push(pair);
        if self.kept.len() >= 2 * self.wanted {
            let (_, last, _) =
                self.kept.select_nth_unstable_by(self.wanted - 1, Pair::by_similarity);
            self.least = last.similarity;
            self.kept.truncate(self.wanted);
        }
    }

    fn sorted(mut self) -> Vec<Pair> {
        self.kept.sort_unstable_by(Pair::by_similarity);
        self.kept.truncate(self.wanted);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn a_threshold_worked_by_hand() {
        // Four photos, three people; similarities with photo 2: 0.8 and 0.6; with photo 3: 0.6 and
        // 0.8; 2 with 3: 0.96.
        let templates = array![[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8]];
        let subjects = [0, 0, 1, 2];
        let all = Comparisons::all(&templates.view(), &subjects, 1.0, 2).unwrap();
        assert_eq!(all.genuine(), [Pair { a: 0, b: 1, similarity: 0.0 }]);
        assert_eq!(all.impostor_total(), 5);
        let once = Weights::once(&subjects);
        // One of five may match: the threshold is the second strongest. Two: the two that follow
        // are equal, so only one more.
        assert_eq!(all.threshold(0.2, &once), Some(0.8));
        assert_eq!(all.false_matches(0.8).len(), 1);
        assert_eq!(all.threshold(0.6, &once), Some(0.6));
        assert_eq!(all.false_matches(0.6).len(), 3);
        assert_eq!(all.threshold(0.19, &once), None);
        // Subject 1 drawn twice, subject 2 not at all: four impostor pairs, of similarities 0.8 and
        // 0.6, twice each.
        let drawn = Weights::new(vec![1.0, 2.0, 0.0], &subjects);
        assert_eq!(all.threshold(0.5, &drawn), Some(0.6));
    }

    #[test]
    fn blocks_and_threads_find_what_one_loop_finds() {
        let (photos, people) = (1500, 300);
        let random = |i: usize, j: usize| {
            ((i * 7919 + j * 104_729 + i * j * 31) % 1013) as f32 / 1013.0 - 0.5
        };
        let mut templates = Array2::from_shape_fn((photos, 16), |(i, j)| random(i, j));
        for mut row in templates.rows_mut() {
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
        let subjects: Vec<u32> = (0..photos as u32).map(|photo| photo % people).collect();
        let all = Comparisons::all(&templates.view(), &subjects, 1e-2, 3).unwrap();
        let (mut genuine, mut impostors) = (0, Vec::new());
        for a in 0..photos {
            for b in a + 1..photos {
                if subjects[a] == subjects[b] {
                    genuine += 1;
                } else {
                    impostors.push(templates.row(a).dot(&templates.row(b)));
                }
            }
        }
        impostors.sort_unstable_by(|a, b| b.total_cmp(a));
        assert_eq!((all.genuine().len(), all.impostor_total()), (genuine, impostors.len() as u64));
        let once = Weights::once(&subjects);
        for fmr in [1e-2, 1e-3, 1e-4] {
            let expected = impostors[(fmr * impostors.len() as f64) as usize];
            assert!((all.threshold(fmr, &once).unwrap() - expected).abs() < 1e-5, "{fmr}");
        }
    }

    #[test]
    fn a_threshold_weaker_than_all_that_is_kept_is_not_made_up() {
        // Photos of 200 people, all unlike each other, but for persons 0 and 1, whose 60 photos are
        // the same.
        let subjects: Vec<u32> =
            (0..120).map(|photo| photo / 60).chain(2..200).chain([2]).collect();
        let templates = Array2::from_shape_fn((subjects.len(), 200), |(photo, axis)| {
            f32::from(u8::from(axis as u32 == subjects[photo].max(1)))
        });
        let fmr = 0.1;
        let all = Comparisons::all(&templates.view(), &subjects, fmr, 2).unwrap();
        assert!((all.impostors.len() as u64) < all.impostor_total());
        assert_eq!(all.threshold(fmr, &Weights::once(&subjects)), Some(0.0));
        // Drawn fifty times each, the two make nearly all pairs, and all of these match.
        let times = (0..200).map(|person| if person < 2 { 50.0 } else { 1.0 }).collect();
        assert_eq!(all.threshold(fmr, &Weights::new(times, &subjects)), Some(1.0));
        // Drawn never, the others' pairs are needed, in greater number than are kept.
        let times = (0..200).map(|person| if person < 2 { 0.0 } else { 3.0 }).collect();
        assert_eq!(all.threshold(fmr, &Weights::new(times, &subjects)), None);
    }

    #[test]
    fn a_list_of_pairs_is_compared_as_it_is() {
        let templates = array![[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
        let listed =
            Comparisons::listed(&templates.view(), &[(0, 1, true), (1, 2, false), (0, 2, false)])
                .unwrap();
        assert_eq!(listed.genuine(), [Pair { a: 0, b: 1, similarity: 0.6 }]);
        assert_eq!(listed.threshold(0.5, &Weights::once(&[0, 0, 2])), Some(0.0));
        assert!(matches!(
            Comparisons::listed(&templates.view(), &[(0, 1, true)]),
            Err(PairError::None("two people"))
        ));
    }
}
