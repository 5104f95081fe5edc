//! How well measures of quality tell which images will fail to match: an EDC for each measure and
//! false match rate, with intervals.

use super::bootstrap::{Estimate, draw, replicates};
use super::edc::{Edc, Order, STEPS};
use super::pairs::{Comparisons, Weights};
use super::samples::Measure;

/// The false match rates at which thresholds are fixed.
pub const FMRS: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Where curves are told in tables.
pub const DISCARDS: [f64; 6] = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3];
/// Up to where areas are taken.
pub const LIMITS: [f64; 2] = [0.2, 0.3];

/// How intervals are made.
#[derive(Debug, Clone, Copy)]
pub struct Bootstrap {
    /// Replicates; 0 for no intervals.
    pub replicates: u32,
    /// Seed of the draws.
    pub seed: u64,
    /// Threads that compute them.
    pub threads: usize,
}

impl Bootstrap {
    /// What `replicate` makes of each draw of the people among `subjects`, in order.
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

    /// Replicates that have no threshold at `fmr`, if the whole set has one: for want of pairs of
    /// two people, and because the threshold is weaker than all pairs that were kept.
    pub fn without_threshold(
        &self,
        comparisons: &Comparisons,
        subjects: &[u32],
        fmr: f64,
    ) -> (usize, usize) {
        if comparisons.threshold(fmr, &Weights::once(subjects)).is_none() {
            return (0, 0);
        }
        let lost = self.replicates(subjects, |weights| {
            let shown = comparisons.shows(fmr, weights);
            (!shown, shown && comparisons.threshold(fmr, weights).is_none())
        });
        (lost.iter().filter(|(few, _)| *few).count(), lost.iter().filter(|(_, weak)| *weak).count())
    }
}

/// The threshold of one false match rate, fixed on the whole set.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatingPoint {
    /// The false match rate.
    pub fmr: f64,
    /// A pair matches if it is more similar than this.
    pub threshold: Estimate,
    /// The false non-match rate with nothing discarded.
    pub fnmr: Estimate,
    /// Each measure's results, in the order of the measures.
    pub measures: Vec<MeasureResult>,
}

/// What one measure gives at one operating point.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasureResult {
    /// The measure.
    pub name: String,
    /// The curve of the whole set.
    pub edc: Edc,
    /// The interval at each point of the curve.
    pub band: Vec<Estimate>,
    /// Area up to each of [`LIMITS`], over the area of no help; none without errors.
    pub paucs: Vec<Option<Estimate>>,
    /// By how much each area is above that of the first measure, in the same replicates: an
    /// interval that holds zero tells no difference.
    pub above_first: Vec<Option<Estimate>>,
}

/// Evaluates `measures` over `comparisons` of photos of `subjects`, at those of `fmrs` that the
/// number of impostors can show.
pub fn evaluate(
    comparisons: &Comparisons,
    subjects: &[u32],
    measures: &[Measure],
    fmrs: &[f64],
    bootstrap: Bootstrap,
) -> Vec<OperatingPoint> {
    let orders: Vec<Order> = measures.iter().map(|measure| Order::new(&measure.values)).collect();
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
                .map(|(place, measure)| result(&measure.name, place, of, &drawn))
                .collect(),
        }
    };
    fmrs.iter().enumerate().map(point).collect()
}

/// All measures' curves at one operating point, of the whole set or of a replicate.
struct Curves {
    threshold: f64,
    edcs: Vec<Edc>,
}

fn curves(
    comparisons: &Comparisons,
    orders: &[Order],
    fmrs: &[f64],
    weights: &Weights,
) -> Vec<Curves> {
    let at = |&fmr: &f64| {
        // A replicate may draw so few people that its impostors cannot show the rate; then it has
        // no value.
        let threshold = comparisons.threshold(fmr, weights);
        let curve = |order: &Order| {
            threshold.map(|threshold| order.edc(comparisons.genuine(), threshold, weights))
        };
        Curves {
            threshold: threshold.map_or(f64::NAN, f64::from),
            edcs: orders.iter().map(|order| curve(order).unwrap_or_default()).collect(),
        }
    };
    fmrs.iter().map(at).collect()
}

fn result(name: &str, place: usize, whole: &Curves, drawn: &[&Curves]) -> MeasureResult {
    let edc = whole.edcs[place].clone();
    let point = |step: usize| {
        move |curves: &&Curves| curves.edcs[place].points().get(step).copied().unwrap_or(f64::NAN)
    };
    let band = (0..=STEPS)
        .zip(edc.points())
        .map(|(step, &value)| Estimate::new(value, drawn.iter().map(point(step))))
        .collect();
    let pauc = |curves: &Curves, place: usize, limit: f64| curves.edcs[place].pauc(limit);
    let estimate = |of: &dyn Fn(&Curves) -> Option<f64>| {
        of(whole).map(|value| {
            Estimate::new(value, drawn.iter().map(|curves| of(curves).unwrap_or(f64::NAN)))
        })
    };
    MeasureResult {
        name: name.to_owned(),
        edc,
        band,
        paucs: LIMITS.iter().map(|&limit| estimate(&|curves| pauc(curves, place, limit))).collect(),
        above_first: LIMITS
            .iter()
            .map(|&limit| {
                estimate(&|curves| Some(pauc(curves, place, limit)? - pauc(curves, 0, limit)?))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 40, seed: 1, threads: 2 };

    /// People of four photos each, every fifth photo far from its person's others; `quality` knows
    /// which.
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
    fn a_measure_that_knows_is_told_from_one_that_errs() {
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
    fn a_rate_that_the_impostors_cannot_show_is_left_out() {
        let (templates, subjects, measures) = people();
        let comparisons = Comparisons::all(&templates.view(), &subjects, 1e-2, 1).unwrap();
        // 28,320 impostor pairs.
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
