//! The figures of an evaluation: which numbers each one shows.

use super::agreement::deviations;
use super::bias::GroupResult;
use super::evaluation::{MeasureResult, OperatingPoint};
use super::plot::{Axis, Chart, Series, Shape};
use super::samples::Measure;
use crate::domain::Component;

/// Thousandths discarded between two points of a drawn curve.
const STEP: usize = 2;
/// Thousandths discarded at the end of drawn curves.
const END: usize = 300;
/// Most dots for one T: more only make a black area.
const MOST_DOTS: usize = 300;

/// The error-versus-discard characteristics of the measures at one false match rate, the first with
/// its interval. The components are in the tables alone: sixteen more lines would hide the others.
pub fn edc(point: &OperatingPoint) -> Chart {
    let mut highest = 0.0_f64;
    let mut series = Vec::new();
    let drawn = |measure: &&MeasureResult| Component::of_quality_column(&measure.name).is_none();
    for (number, measure) in point.measures.iter().filter(drawn).enumerate() {
        let steps = (0..=END).step_by(STEP).take_while(|&step| step < measure.band.len());
        let at = |step: usize| step as f64 / super::edc::STEPS_PER_WHOLE as f64;
        let shape = if number == 0 {
            Shape::Banded(
                steps
                    .map(|step| {
                        (
                            at(step),
                            measure.band[step].value,
                            measure.band[step].low,
                            measure.band[step].high,
                        )
                    })
                    .collect(),
            )
        } else {
            Shape::Line(steps.map(|step| (at(step), measure.band[step].value)).collect())
        };
        let points = &measure.edc.points()[..measure.edc.points().len().min(END + 1)];
        highest = points.iter().copied().fold(highest, f64::max);
        series.push(Series { name: measure.name.clone(), shape });
    }
    // The axis covers the curves. The interval may reach higher.
    let y_label = format!("false non-match rate at FMR {:e}, %", point.fmr);
    Chart {
        x: Axis::linear(
            "images discarded, lowest quality first, %",
            (0.0, END as f64 / 1000.0),
            0.05,
            100.0,
        ),
        y: Axis::around(&y_label, (0.0, highest.max(1e-6) * 1.15), 100.0),
        series,
    }
}

/// The deviation of sampled distances from those of the closed form, over the number of passes T.
/// `sampled` has T and the measure.
pub fn convergence(sampled: &[(u32, Measure)], closed: &Measure) -> Chart {
    let (least, most) = sampled
        .iter()
        .fold((u32::MAX, 1), |(least, most), (passes, _)| (least.min(*passes), most.max(*passes)));
    let ends = (f64::from(least) / 1.5, f64::from(most) * 1.5);
    let mut dots = Vec::new();
    let mut outer = 0.0_f64;
    let mut means = Vec::new();
    for (passes, measure) in sampled {
        let deviations = deviations(&measure.values, &closed.values);
        let every = deviations.len().div_ceil(MOST_DOTS).max(1);
        let shown: Vec<f64> = deviations.iter().copied().step_by(every).collect();
        // The dots of one T are spread horizontally so that they can be seen. Their order
        // has no meaning.
        let spread = |index: usize| {
            f64::from(*passes) * 1.25_f64.powf(2.0 * ((index * 89) % 144) as f64 / 144.0 - 1.0)
        };
        dots.extend(shown.iter().enumerate().map(|(index, deviation)| (spread(index), *deviation)));
        outer = shown.iter().fold(outer, |outer, deviation| outer.max(deviation.abs()));
        means.push((
            f64::from(*passes),
            deviations.iter().sum::<f64>() / deviations.len().max(1) as f64,
        ));
    }
    let ticks =
        sampled.iter().map(|(passes, _)| (f64::from(*passes), passes.to_string())).collect();
    Chart {
        x: Axis { label: "passes T".into(), low: ends.0, high: ends.1, ticks, logarithmic: true },
        y: Axis::around("deviation of the distance d, %", (-outer, outer), 100.0),
        series: vec![
            Series {
                name: "closed form".into(),
                shape: Shape::Line(vec![(ends.0, 0.0), (ends.1, 0.0)]),
            },
            Series { name: "sampled, mean".into(), shape: Shape::Line(means) },
            Series { name: "sampled, one face".into(), shape: Shape::Dots(dots) },
        ],
    }
}

/// The distribution of scores in each group with enough scores; none if no group has.
pub fn distributions(groups: &[GroupResult]) -> Option<Chart> {
    let mut curves: Vec<(&str, Vec<(f64, f64)>)> =
        groups.iter().map(|group| (group.name.as_str(), group.density())).collect();
    curves.retain(|(_, points)| !points.is_empty());
    if curves.is_empty() {
        return None;
    }
    let points = || curves.iter().flat_map(|(_, points)| points);
    let low = points().map(|(score, _)| *score).fold(f64::INFINITY, f64::min);
    let high = points().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
    let top = points().map(|(_, density)| *density).fold(0.0, f64::max);
    Some(Chart {
        x: Axis::around("score 2/(1 + exp d)", (low, high), 1.0),
        y: Axis::around("density", (0.0, top), 1.0),
        series: curves
            .into_iter()
            .map(|(name, points)| Series { name: name.to_owned(), shape: Shape::Line(points) })
            .collect(),
    })
}

/// The share of each group that each quality threshold keeps.
pub fn shares_left(groups: &[GroupResult]) -> Chart {
    let line = |group: &GroupResult| {
        let points =
            group.left.iter().enumerate().map(|(threshold, share)| (threshold as f64, *share));
        Series { name: group.name.clone(), shape: Shape::Line(points.collect()) }
    };
    Chart {
        x: Axis::linear("quality threshold", (0.0, 100.0), 20.0, 1.0),
        y: Axis::linear("images of the group kept, %", (0.0, 1.0), 0.2, 100.0),
        series: groups.iter().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::bootstrap::Estimate;
    use crate::evaluate::edc::Edc;

    #[test]
    fn figures_have_every_measure_but_the_components() {
        let estimate = Estimate { value: 0.1, low: 0.1, high: 0.1 };
        let measure = |name: &str| MeasureResult {
            name: name.into(),
            edc: Edc::default(),
            band: vec![estimate],
            paucs: Vec::new(),
            above_first: Vec::new(),
        };
        let names = ["closed form", "components_sharpness", "random", "sharpness"];
        let measures = names.map(measure).to_vec();
        let point = OperatingPoint { fmr: 1e-3, threshold: estimate, fnmr: estimate, measures };
        let drawn: Vec<String> = edc(&point).series.into_iter().map(|one| one.name).collect();
        assert_eq!(drawn, ["closed form", "random", "sharpness"]);
    }
}
