//! How well measures of quality predict which images will fail to match: an error-versus-discard
//! characteristic (EDC) for each measure and false match rate, with intervals.

use super::bootstrap::{Estimate, draw, replicates};
use super::edc::{DiscardOrder, Edc, STEPS};
use super::pairs::{Comparisons, Weights};
use super::samples::Measure;

/// The false match rates at which thresholds are fixed.
pub const FMRS: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// The discarded shares at which tables show the curves.
pub const DISCARDS: [f64; 6] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];
/// The discarded shares up to which areas are computed.
pub const LIMITS: [f64; 2] = [0.2, 0.3];

/// How intervals are computed.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    /// Replicates; 0 for no intervals.
    pub replicates: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Threads that compute the replicates.
    pub threads: usize,
}

impl Bootstrap {
    /// The results of `replicate` for each draw of people from `subjects`, in order.
    pub fn replicates<T: Send>(
        &self,
        subjects: &[u32],
        replicate: impl Fn(&Weights) -> T + Sync,
    ) -> Vec<T> {
        let people = subjects.iter().max().map_or(0, |&last| last as usize + 1);
        replicates(self.replicates, self.threads, |number| {
            replicate(&Weights::new(draw(people, number, self.seed), subjects))
        })
    }

    /// Logs how many replicates have no threshold at `fmr`, if the whole set has one.
    pub fn warn_of_lost_replicates(&self, comparisons: &Comparisons, subjects: &[u32], fmr: f64) {
        const LOST: &str = "bootstrap replicates without a threshold are left out, so the \
                            intervals are too narrow";
        if comparisons.threshold(fmr, &Weights::once(subjects)).is_none() {
            return;
        }
        let lost = self.replicates(subjects, |weights| {
            let shown = comparisons.shows(fmr, weights);
            (!shown, shown && comparisons.threshold(fmr, weights).is_none())
        });
        let few = lost.iter().filter(|(few, _)| *few).count();
        if few > 0 {
            tracing::warn!(
                fmr,
                few,
                of = self.replicates,
                "{LOST}: they have too few non-mated comparisons to show this rate"
            );
        }
        let weak = lost.iter().filter(|(_, weak)| *weak).count();
        if weak > 0 {
            tracing::warn!(
                fmr,
                weak,
                of = self.replicates,
                "{LOST}: the most similar non-mated pairs are those of a few people; does \
                 somebody have two names in the labels?"
            );
        }
    }
}

/// The threshold of one false match rate, fixed on the whole set.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatingPoint {
    /// The false match rate.
    pub fmr: f64,
    /// A pair matches if its similarity exceeds this.
    pub threshold: Estimate,
    /// The false non-match rate with nothing discarded.
    pub fnmr: Estimate,
    /// Each measure's results, in the order of the measures.
    pub measures: Vec<MeasureResult>,
}

/// The results of one measure at one operating point.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureResult {
    /// The measure's name.
    pub name: String,
    /// The curve of the whole set.
    pub edc: Edc,
    /// The interval at each point of the curve.
    pub band: Vec<Estimate>,
    /// The partial area (pAUC) up to each of [`LIMITS`], over the area if nothing helped; none
    /// without errors.
    pub paucs: Vec<Option<Estimate>>,
    /// Each area less that of the first measure, in the same replicates: an interval that contains
    /// zero shows no difference.
    pub above_first: Vec<Option<Estimate>>,
}

/// Evaluates `measures` over `comparisons` of photos of `subjects`, at those of `fmrs` that the
/// number of non-mated comparisons can show.
pub fn evaluate(
    comparisons: &Comparisons,
    subjects: &[u32],
    measures: &[Measure],
    fmrs: &[f64],
    bootstrap: Bootstrap,
) -> Vec<OperatingPoint> {
    let orders: Vec<DiscardOrder> =
        measures.iter().map(|measure| DiscardOrder::new(&measure.values)).collect();
    let once = Weights::once(subjects);
    let fmrs: Vec<f64> =
        fmrs.iter().copied().filter(|&fmr| comparisons.threshold(fmr, &once).is_some()).collect();
    let whole = curves(comparisons, &orders, &fmrs, &once);
    let drawn =
        bootstrap.replicates(subjects, |weights| curves(comparisons, &orders, &fmrs, weights));
    let point = |(at, fmr): (usize, &f64)| {
        let of = &whole[at];
        let drawn: Vec<&Curves> = drawn.iter().map(|curves| &curves[at]).collect();
        let first =
            |curves: &Curves| curves.edcs.first().and_then(|edc| edc.at(0.0)).unwrap_or(f64::NAN);
        OperatingPoint {
            fmr: *fmr,
            threshold: Estimate::new(of.threshold, drawn.iter().map(|curves| curves.threshold)),
            fnmr: Estimate::new(first(of), drawn.iter().map(|curves| first(curves))),
            measures: measures
                .iter()
                .enumerate()
                .map(|(index, measure)| result(&measure.name, index, of, &drawn))
                .collect(),
        }
    };
    fmrs.iter().enumerate().map(point).collect()
}

/// The curves of all measures at one operating point, of the whole set or of a replicate.
struct Curves {
    threshold: f64,
    edcs: Vec<Edc>,
}

fn curves(
    comparisons: &Comparisons,
    orders: &[DiscardOrder],
    fmrs: &[f64],
    weights: &Weights,
) -> Vec<Curves> {
    let at = |&fmr: &f64| {
        // A replicate that draws few people may have too few non-mated comparisons to show the
        // rate. It has no value then.
        let threshold = comparisons.threshold(fmr, weights);
        let curve = |order: &DiscardOrder| {
            threshold.map(|threshold| order.edc(comparisons.mated(), threshold, weights))
        };
        Curves {
            threshold: threshold.map_or(f64::NAN, f64::from),
            edcs: orders.iter().map(|order| curve(order).unwrap_or_default()).collect(),
        }
    };
    fmrs.iter().map(at).collect()
}

fn result(name: &str, index: usize, whole: &Curves, drawn: &[&Curves]) -> MeasureResult {
    let edc = whole.edcs[index].clone();
    let point = |step: usize| {
        move |curves: &&Curves| curves.edcs[index].points().get(step).copied().unwrap_or(f64::NAN)
    };
    let band = (0..=STEPS)
        .zip(edc.points())
        .map(|(step, &value)| Estimate::new(value, drawn.iter().map(point(step))))
        .collect();
    let pauc = |curves: &Curves, index: usize, limit: f64| curves.edcs[index].pauc(limit);
    let estimate = |of: &dyn Fn(&Curves) -> Option<f64>| {
        of(whole).map(|value| {
            Estimate::new(value, drawn.iter().map(|curves| of(curves).unwrap_or(f64::NAN)))
        })
    };
    MeasureResult {
        name: name.to_owned(),
        edc,
        band,
        paucs: LIMITS.iter().map(|&limit| estimate(&|curves| pauc(curves, index, limit))).collect(),
        above_first: LIMITS
            .iter()
            .map(|&limit| {
                estimate(&|curves| Some(pauc(curves, index, limit)? - pauc(curves, 0, limit)?))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 40, seed: 1, threads: 2 };

    /// People of four photos each. Every fifth photo differs much from the others of its person:
    /// the measure `knows` gives it the lowest quality, `errs` the highest.
    fn people() -> (Array2<f32>, Vec<u32>, Vec<Measure>) {
        let (people, photos) = (60_usize, 240_usize);
        let noise = |i: usize, j: usize| {
            ((i * 7919 + j * 104_729 + i * j * 31) % 1013) as f32 / 1013.0 - 0.5
        };
        let bad = |photo: usize| photo.is_multiple_of(5);
        let mut templates = Array2::from_shape_fn((photos, 64), |(photo, j)| {
            let strength = if bad(photo) { 3.0 } else { 0.3 };
            noise(photo % people + 5000, j) + strength * noise(photo, j)
        });
        for mut row in templates.rows_mut() {
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
        let value = |good: bool| {
            move |photo: usize| Some(if bad(photo) == good { 0.0 } else { 1.0 + photo as f64 })
        };
        let measure = |name: &str, good| Measure {
            name: name.into(),
            values: (0..photos).map(value(good)).collect(),
        };
        let subjects = (0..photos).map(|photo| (photo % people) as u32).collect();
        (templates, subjects, vec![measure("knows", true), measure("errs", false)])
    }

    #[test]
    fn a_measure_that_predicts_failures_differs_from_one_that_does_not() {
        let (templates, subjects, measures) = people();
        let comparisons = Comparisons::all(&templates.view(), &subjects, 1e-2, 2).unwrap();
        let points = evaluate(&comparisons, &subjects, &measures, &FMRS, BOOTSTRAP);
        assert_eq!(points.len(), 3);
        let at = &points[1];
        assert!(at.fnmr.value > 0.1, "{:?}", at.fnmr);
        let [knows, errs] = &at.measures[..] else { panic!() };
        let (good, bad) = (knows.paucs[0].unwrap(), errs.paucs[0].unwrap());
        assert!(good.high < 1.0 && bad.low > good.high, "{good:?} {bad:?}");
        assert!(good.low <= good.value && good.value <= good.high);
        assert_eq!(knows.above_first[0].unwrap(), Estimate { value: 0.0, low: 0.0, high: 0.0 });
        assert!(errs.above_first[0].unwrap().low > 0.0);
        assert!(
            knows.band[100].low <= knows.edc.points()[100]
                && knows.edc.points()[100] <= knows.band[100].high
        );
    }

    #[test]
    fn an_evaluation_repeats_on_any_number_of_threads() {
        let (templates, subjects, measures) = people();
        let run = |threads| {
            let comparisons =
                Comparisons::all(&templates.view(), &subjects, 1e-2, threads).unwrap();
            evaluate(&comparisons, &subjects, &measures, &FMRS, Bootstrap { threads, ..BOOTSTRAP })
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn a_rate_that_the_non_mated_comparisons_cannot_show_is_left_out() {
        let (templates, subjects, measures) = people();
        let comparisons = Comparisons::all(&templates.view(), &subjects, 1e-2, 1).unwrap();
        // 28,320 non-mated comparisons.
        let points = evaluate(
            &comparisons,
            &subjects,
            &measures,
            &[1e-2, 1e-5],
            Bootstrap { replicates: 0, ..BOOTSTRAP },
        );
        assert_eq!(points.iter().map(|point| point.fmr).collect::<Vec<_>>(), [1e-2]);
    }
}
