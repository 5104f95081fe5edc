//! Similarities of images of which the subject is known, under both profiles: how far genuine and
//! impostor ones are apart, and the error rates at the same false match rate.

use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::statistics::{Bins, distribution, paired, paired_of, weighted_mean};
use crate::evaluate::bootstrap::below;
use crate::evaluate::edc::{DiscardOrder, Edc};
use crate::evaluate::evaluation::{Bootstrap, FMRS};
use crate::evaluate::pairs::{Comparisons, PairError, Weights};
use crate::view::profile_comparison::{
    PairedEstimateView, PairedPointView, PairedSimilaritiesView, SimilarityPairView,
};

/// Non-mated comparisons whose distribution is shown, drawn at random if there are more.
const IMPOSTORS: usize = 200_000;
/// The discarded share up to which areas are computed.
const LIMIT: f64 = 0.3;

/// The primary faces of images with subjects, under both profiles.
#[derive(Debug)]
pub(super) struct LabelledFaces {
    /// The subject of each image, numbered from 0 without a gap.
    pub subjects: Vec<u32>,
    /// Their templates, a row for each image.
    pub templates: [Array2<f32>; 2],
    /// Their qualities.
    pub qualities: [Vec<Option<f64>>; 2],
    /// How many images these are a sample of.
    pub of_images: usize,
}

/// Their comparisons under both profiles.
#[derive(Debug)]
pub(super) struct BothComparisons([Comparisons; 2]);

impl BothComparisons {
    /// Compares all with all under each profile.
    ///
    /// # Errors
    /// If there are too many comparisons, or none that are mated or non-mated.
    pub(super) fn new(faces: &LabelledFaces, threads: usize) -> Result<Self, PairError> {
        let all = |templates: &Array2<f32>| {
            Comparisons::all(&templates.view(), &faces.subjects, FMRS[0], threads)
        };
        Ok(Self([all(&faces.templates[0])?, all(&faces.templates[1])?]))
    }

    /// Under OLD, then under NEW.
    pub(super) fn each(&self) -> &[Comparisons; 2] {
        &self.0
    }

    /// The false match rates of [`FMRS`] that the comparisons show, the highest first.
    pub(super) fn shown(&self, subjects: &[u32]) -> Vec<f64> {
        let once = Weights::once(subjects);
        let shows = |fmr: &f64| self.0.iter().all(|all| all.threshold(*fmr, &once).is_some());
        FMRS.into_iter().filter(shows).collect()
    }
}

/// The similarities of `faces` under both profiles. None without comparisons of either kind.
pub(super) fn similarities(
    faces: &LabelledFaces,
    comparisons: &BothComparisons,
    bootstrap: Bootstrap,
) -> Option<PairedSimilaritiesView> {
    let subjects = &faces.subjects;
    let mut sizes = vec![0_u64; subjects.iter().max().map_or(0, |&last| last as usize + 1)];
    subjects.iter().for_each(|&subject| sizes[subject as usize] += 1);
    let genuine = comparisons
        .each()
        .each_ref()
        .map(|all| all.mated().iter().map(|pair| f64::from(pair.similarity)).collect::<Vec<f64>>());
    let mated: Vec<(u32, u32)> =
        comparisons.0[0].mated().iter().map(|pair| (pair.a, pair.b)).collect();
    let non_mated = impostor_pairs(subjects, bootstrap.seed);
    let impostor = faces.templates.each_ref().map(|all| compared(&all.view(), &non_mated));
    let shown = comparisons.shown(subjects);
    for all in comparisons.each() {
        shown.iter().for_each(|&fmr| bootstrap.warn_of_lost_replicates(all, subjects, fmr));
    }
    Some(PairedSimilaritiesView {
        images: subjects.len() as u64,
        of_images: faces.of_images as u64,
        subjects: sizes.len() as u64,
        subjects_with_two: sizes.iter().filter(|size| **size > 1).count() as u64,
        mated: mated.len() as u64,
        non_mated: comparisons.0[0].non_mated_total(),
        genuine: both(&genuine)?,
        impostor: both(&impostor)?,
        separation: separation(subjects, [&mated, &non_mated], [&genuine, &impostor], bootstrap),
        points: points(faces, comparisons, &shown, bootstrap),
        not_shown: FMRS.into_iter().filter(|fmr| !shown.contains(fmr)).collect(),
    })
}

fn both([old, new]: &[Vec<f64>; 2]) -> Option<SimilarityPairView> {
    let of = |values| distribution(values, Bins::SIMILARITY);
    Some(SimilarityPairView { old: of(old)?, new: of(new)? })
}

/// Pairs of images of two subjects: all of them, or as many drawn at random.
fn impostor_pairs(subjects: &[u32], seed: u64) -> Vec<(u32, u32)> {
    let count = subjects.len();
    let differ = |a: usize, b: usize| subjects[a] != subjects[b];
    if count * count.saturating_sub(1) / 2 <= IMPOSTORS {
        let of = |a: usize| (a + 1..count).filter(move |&b| differ(a, b)).map(move |b| (a, b));
        return (0..count).flat_map(of).map(|(a, b)| (a as u32, b as u32)).collect();
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(2);
    let mut pairs = Vec::with_capacity(IMPOSTORS);
    // A draw fails if both images are of one subject: bounded, if nearly all are.
    for _ in 0..4 * IMPOSTORS {
        let (a, b) = (below(&mut random, count), below(&mut random, count));
        if differ(a, b) {
            pairs.push((a as u32, b as u32));
        }
        if pairs.len() == IMPOSTORS {
            break;
        }
    }
    pairs
}

fn compared(templates: &ArrayView2<'_, f32>, pairs: &[(u32, u32)]) -> Vec<f64> {
    let similarity =
        |&(a, b): &(u32, u32)| f64::from(templates.row(a as usize).dot(&templates.row(b as usize)));
    pairs.iter().map(similarity).collect()
}

/// d': the difference of the means over the root of the mean of the variances.
fn separation(
    subjects: &[u32],
    [mated, non_mated]: [&[(u32, u32)]; 2],
    [genuine, impostor]: [&[Vec<f64>; 2]; 2],
    bootstrap: Bootstrap,
) -> PairedEstimateView {
    paired(subjects, bootstrap, |weights| {
        // A subject that was drawn twice counts as two people, who are not compared.
        let of_mated: Vec<f64> = mated.iter().map(|&(a, _)| weights.photo(a)).collect();
        let of_non_mated: Vec<f64> =
            non_mated.iter().map(|&(a, b)| weights.photo(a) * weights.photo(b)).collect();
        [0, 1].map(|side| {
            let (mean_g, variance_g) = moments(&genuine[side], &of_mated);
            let (mean_i, variance_i) = moments(&impostor[side], &of_non_mated);
            (mean_g - mean_i) / ((variance_g + variance_i) / 2.0).sqrt()
        })
    })
}

/// Mean and variance with weights.
fn moments(values: &[f64], weights: &[f64]) -> (f64, f64) {
    let mean = weighted_mean(values, weights);
    let squares: f64 =
        values.iter().zip(weights).map(|(value, weight)| weight * (value - mean).powi(2)).sum();
    (mean, squares / weights.iter().sum::<f64>())
}

/// The threshold of one profile at one false match rate, and what it gives there.
#[derive(Debug, Clone, Default)]
struct AtRate {
    threshold: Option<f32>,
    edc: Edc,
}

impl AtRate {
    fn values(&self) -> [f64; 3] {
        let pauc = self.edc.pauc(LIMIT).unwrap_or(f64::NAN);
        let threshold = self.threshold.map_or(f64::NAN, f64::from);
        [threshold, self.edc.at(0.0).unwrap_or(f64::NAN), pauc]
    }
}

fn points(
    faces: &LabelledFaces,
    comparisons: &BothComparisons,
    fmrs: &[f64],
    bootstrap: Bootstrap,
) -> Vec<PairedPointView> {
    let orders = faces.qualities.each_ref().map(|qualities| DiscardOrder::new(qualities));
    let at = |fmr: f64, weights: &Weights| -> [AtRate; 2] {
        [0, 1].map(|side| {
            let all = &comparisons.0[side];
            let Some(threshold) = all.threshold(fmr, weights) else { return AtRate::default() };
            let edc = orders[side].edc(all.mated(), threshold, weights);
            AtRate { threshold: Some(threshold), edc }
        })
    };
    let once = Weights::once(&faces.subjects);
    let whole: Vec<[AtRate; 2]> = fmrs.iter().map(|&fmr| at(fmr, &once)).collect();
    let drawn: Vec<Vec<[[f64; 3]; 2]>> = bootstrap.replicates(&faces.subjects, |weights| {
        let values = |&fmr: &f64| at(fmr, weights).map(|side| side.values());
        fmrs.iter().map(values).collect()
    });
    let point = |(index, both): (usize, [AtRate; 2])| {
        let found = both.each_ref().map(AtRate::values);
        let estimate = |value: usize| {
            let of = |sides: &[[f64; 3]; 2]| [sides[0][value], sides[1][value]];
            let drawn: Vec<[f64; 2]> = drawn.iter().map(|fmrs| of(&fmrs[index])).collect();
            paired_of(of(&found), &drawn)
        };
        let pauc = found.iter().all(|side| side[2].is_finite()).then(|| estimate(2));
        let [old, new] = both.map(|side| side.edc.points().to_vec());
        PairedPointView {
            fmr: fmrs[index],
            threshold: estimate(0),
            fnmr: estimate(1),
            pauc,
            edc_old: old,
            edc_new: new,
        }
    };
    whole.into_iter().enumerate().map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 60, seed: 1, threads: 2 };

    /// `people` of four images each. `noise` is that of NEW, over that of OLD.
    fn faces(people: usize, noise: f32) -> LabelledFaces {
        let value = |i: usize, j: usize| {
            ((i * 7919 + j * 104_729 + i * j * 31) % 1013) as f32 / 1013.0 - 0.5
        };
        let templates = [0.9, 0.9 * noise].map(|strength| {
            let mut all = Array2::from_shape_fn((people * 4, 64), |(photo, j)| {
                value(photo / 4 + 5000, j) + strength * value(photo, j)
            });
            for mut row in all.rows_mut() {
                let norm = row.dot(&row).sqrt();
                row /= norm;
            }
            all
        });
        let qualities = || (0..people * 4).map(|photo| Some((photo * 37 % 101) as f64)).collect();
        LabelledFaces {
            subjects: (0..people * 4).map(|photo| (photo / 4) as u32).collect(),
            templates,
            qualities: [qualities(), qualities()],
            of_images: 1000,
        }
    }

    fn compare(faces: &LabelledFaces) -> PairedSimilaritiesView {
        let comparisons = BothComparisons::new(faces, 2).unwrap();
        similarities(faces, &comparisons, BOOTSTRAP).unwrap()
    }

    #[test]
    fn worse_templates_have_more_errors_at_the_same_false_match_rate() {
        let found = compare(&faces(60, 2.5));
        assert_eq!((found.images, found.of_images, found.subjects), (240, 1000, 60));
        assert_eq!((found.mated, found.non_mated), (360, 240 * 239 / 2 - 360));
        assert_eq!(found.impostor.old.count, found.non_mated);
        let at: Vec<f64> = found.points.iter().map(|point| point.fmr).collect();
        assert_eq!((at, found.not_shown), (vec![1e-2, 1e-3, 1e-4], vec![]));
        let point = &found.points[1];
        assert!(point.fnmr.change.value > 0.1 && point.fnmr.change.low > 0.0, "{point:?}");
        let change = point.fnmr.new.value - point.fnmr.old.value;
        assert!((point.fnmr.change.value - change).abs() < 1e-12);
        assert!(found.separation.change.high < 0.0, "{:?}", found.separation);
        assert_eq!(point.edc_old[0], point.fnmr.old.value);
    }

    #[test]
    fn the_same_templates_differ_in_nothing() {
        let found = compare(&faces(30, 1.0));
        assert_eq!((found.subjects_with_two, found.separation.change.value), (30, 0.0));
        for point in &found.points {
            let change = point.fnmr.change;
            assert_eq!((change.value, change.low, change.high), (0.0, 0.0, 0.0));
            assert_eq!(point.threshold.change.value, 0.0);
        }
    }

    #[test]
    fn a_separation_worked_by_hand() {
        // Genuine 0.8 and 1.0: mean 0.9, variance 0.01. Impostor -0.1 and 0.1: 0, 0.01.
        let mated = [(0, 1), (2, 3)];
        let non_mated = [(0, 2), (1, 3)];
        let genuine = [vec![0.8, 1.0], vec![0.8, 1.0]];
        let impostor = [vec![-0.1, 0.1], vec![-0.2, 0.2]];
        let bootstrap = Bootstrap { replicates: 0, ..BOOTSTRAP };
        let subjects = [0, 0, 1, 1];
        let found = separation(&subjects, [&mated, &non_mated], [&genuine, &impostor], bootstrap);
        assert!((found.old.value - 9.0).abs() < 1e-9, "{found:?}");
        assert!((found.new.value - 0.9 / 0.025_f64.sqrt()).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn impostor_pairs_are_of_two_subjects() {
        assert_eq!(impostor_pairs(&[0, 0, 1], 1), [(0, 2), (1, 2)]);
        let subjects: Vec<u32> = (0..700).map(|photo| photo / 350).collect();
        let pairs = impostor_pairs(&subjects, 1);
        assert_eq!(pairs.len(), IMPOSTORS);
        assert!(pairs.iter().all(|&(a, b)| subjects[a as usize] != subjects[b as usize]));
    }
}
