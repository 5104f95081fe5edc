//! The figures of a comparison.

use crate::evaluate::edc::STEPS_PER_WHOLE;
use crate::evaluate::plot::{Axis, Chart, Series, Shape};
use crate::view::profile_comparison::{
    DistributionView, PairedPointView, PairedSimilaritiesView, PairedValuesView,
};

/// Thousandths discarded between two points of a drawn curve.
const STEP: usize = 2;
/// Thousandths discarded at the end of drawn curves.
const END: usize = 300;
/// The axis of a rate reaches this at least.
const LEAST_RATE: f64 = 1e-3;

/// The distributions of values under both profiles.
pub(super) fn values(values: &PairedValuesView, label: &str) -> Chart {
    distributions(label, &[("OLD", &values.old), ("NEW", &values.new)])
}

/// The distributions of genuine and impostor similarities under both profiles.
pub(super) fn similarities(found: &PairedSimilaritiesView) -> Chart {
    let all = [
        ("genuine, OLD", &found.genuine.old),
        ("genuine, NEW", &found.genuine.new),
        ("impostor, OLD", &found.impostor.old),
        ("impostor, NEW", &found.impostor.new),
    ];
    distributions("similarity", &all)
}

/// Each as a line through the middles of its bins. The axis begins and ends where there is
/// something.
fn distributions(label: &str, all: &[(&str, &DistributionView)]) -> Chart {
    let points = |of: &DistributionView| -> Vec<(f64, f64)> {
        let bins = &of.histogram;
        let width = (bins.high - bins.low) / bins.counts.len() as f64;
        let at = |(bin, count): (usize, &u64)| {
            (bins.low + (bin as f64 + 0.5) * width, *count as f64 / of.count.max(1) as f64)
        };
        bins.counts.iter().enumerate().map(at).collect()
    };
    let lines: Vec<Vec<(f64, f64)>> = all.iter().map(|(_, of)| points(of)).collect();
    let shown = || lines.iter().flatten().filter(|(_, share)| *share > 0.0);
    let low = shown().map(|(at, _)| *at).fold(f64::INFINITY, f64::min);
    let high = shown().map(|(at, _)| *at).fold(f64::NEG_INFINITY, f64::max);
    let top = shown().map(|(_, share)| *share).fold(0.0, f64::max);
    let reach = if high > low { high - low } else { 1.0 };
    // All have the same bins.
    let bins = all.first().map_or((0.0, 1.0), |(_, of)| (of.histogram.low, of.histogram.high));
    let ends = ((low - 0.05 * reach).max(bins.0), (high + 0.05 * reach).min(bins.1));
    let series = |((name, _), line): (&(&str, &DistributionView), &Vec<(f64, f64)>)| {
        let inside = line.iter().copied().filter(|(at, _)| (ends.0..=ends.1).contains(at));
        Series { name: (*name).to_owned(), shape: Shape::Line(inside.collect()) }
    };
    Chart {
        x: Axis::around(label, ends, 1.0),
        y: Axis::around("share in each bin, %", (0.0, top * 1.1), 100.0),
        series: all.iter().zip(&lines).map(series).collect(),
    }
}

/// The error-versus-discard characteristics of both qualities at one false match rate.
pub(super) fn edc(point: &PairedPointView) -> Chart {
    let line = |(name, fnmr): (&str, &Vec<f64>)| {
        let steps = (0..=END).step_by(STEP).take_while(|&step| step < fnmr.len());
        let at = |step: usize| (step as f64 / STEPS_PER_WHOLE as f64, fnmr[step]);
        Series { name: name.to_owned(), shape: Shape::Line(steps.map(at).collect()) }
    };
    let both = [("OLD", &point.edc_old), ("NEW", &point.edc_new)];
    let shown = both.iter().flat_map(|(_, fnmr)| fnmr.iter().take(END + 1));
    // Without any failure, the axis shows a rate that can be read.
    let highest = shown.copied().fold(LEAST_RATE, f64::max);
    let label = format!("false non-match rate at FMR {:e}, %", point.fmr);
    Chart {
        x: Axis::linear(
            "images discarded, lowest quality first, %",
            (0.0, END as f64 / STEPS_PER_WHOLE as f64),
            0.05,
            100.0,
        ),
        y: Axis::around(&label, (0.0, highest * 1.15), 100.0),
        series: both.map(line).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::compare::statistics::{Bins, distribution};
    use crate::view::evaluation::EstimateView;
    use crate::view::profile_comparison::PairedEstimateView;

    #[test]
    fn curves_without_a_failure_have_an_axis_with_short_labels() {
        let estimate = EstimateView { value: 0.0, low: 0.0, high: 0.0 };
        let none = PairedEstimateView { old: estimate, new: estimate, change: estimate };
        let point = PairedPointView {
            fmr: 1e-3,
            threshold: none,
            fnmr: none,
            pauc: None,
            edc_old: vec![0.0; 1000],
            edc_new: vec![0.0; 1000],
        };
        let chart = edc(&point);
        let labels: Vec<&str> = chart.y.ticks.iter().map(|(_, label)| &**label).collect();
        assert_eq!(labels, ["0.00", "0.05", "0.10", "0.15"]);
    }

    #[test]
    fn a_distribution_is_drawn_where_it_is_and_within_its_bins() {
        let old = distribution(&[97.0, 98.0, 99.0, 3.0], Bins::QUALITY).unwrap();
        let new = distribution(&[97.0, 98.0, 99.0, 52.0], Bins::QUALITY).unwrap();
        let chart = distributions("quality", &[("OLD", &old), ("NEW", &new)]);
        assert_eq!((chart.x.low, chart.x.high), (0.0, 100.0));
        let Shape::Line(points) = &chart.series[1].shape else { panic!("a line") };
        assert_eq!((points.len(), points[10], points[19]), (20, (52.5, 0.25), (97.5, 0.75)));
        let similar = distribution(&[0.3, 0.4, 0.5], Bins::SIMILARITY).unwrap();
        let chart = distributions("similarity", &[("genuine, OLD", &similar)]);
        assert!(chart.x.low > 0.0 && chart.x.high < 0.8, "{:?}", chart.x);
    }
}
