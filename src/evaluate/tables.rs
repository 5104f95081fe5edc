//! Results as CSV, one row for each number or set of numbers to plot or compare.

use std::io::{self, Write};

use super::agreement::Agreement;
use super::bias::GroupResult;
use super::bootstrap::Estimate;
use super::edc::STEPS_PER_WHOLE;
use super::evaluation::{LIMITS, OperatingPoint};
use super::identification::Identification;
use super::unscored::UnscoredPhoto;

/// The areas of all measures at all false match rates.
///
/// # Errors
/// If `out` cannot be written.
pub fn measures(points: &[OperatingPoint], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record([
        "fmr",
        "threshold",
        "fnmr",
        "measure",
        "up_to",
        "pauc",
        "pauc_low",
        "pauc_high",
        "above_first",
        "above_low",
        "above_high",
    ])?;
    for point in points {
        for measure in &point.measures {
            for (limit, (pauc, above)) in
                LIMITS.iter().zip(measure.paucs.iter().zip(&measure.above_first))
            {
                let mut row = vec![
                    point.fmr.to_string(),
                    point.threshold.value.to_string(),
                    point.fnmr.value.to_string(),
                ];
                row.extend([measure.name.clone(), limit.to_string()]);
                row.extend(cells(*pauc));
                row.extend(cells(*above));
                csv.write_record(row)?;
            }
        }
    }
    csv.flush()
}

/// The points of all curves.
///
/// # Errors
/// If `out` cannot be written.
pub fn curves(points: &[OperatingPoint], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["fmr", "measure", "discarded", "fnmr", "fnmr_low", "fnmr_high"])?;
    for point in points {
        for measure in &point.measures {
            for (step, estimate) in measure.band.iter().enumerate() {
                let discarded = step as f64 / STEPS_PER_WHOLE as f64;
                let mut row =
                    vec![point.fmr.to_string(), measure.name.clone(), discarded.to_string()];
                row.extend(cells(Some(*estimate)));
                csv.write_record(row)?;
            }
        }
    }
    csv.flush()
}

/// The rates of identification.
///
/// # Errors
/// If `out` cannot be written.
pub fn identification(found: &Identification, out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let mut header = ["fpir", "references", "galleries", "mated_searches", "non_mated_searches"]
        .map(str::to_owned)
        .to_vec();
    for name in ["threshold", "fnir"] {
        header.extend([name.to_owned(), format!("{name}_low"), format!("{name}_high")]);
    }
    csv.write_record(header)?;
    for point in &found.points {
        let mut row = vec![point.fpir.to_string(), found.references.to_string()];
        row.push(found.galleries.to_string());
        row.extend([found.mated_searches, found.non_mated_searches].map(|n| n.to_string()));
        row.extend(cells(Some(point.threshold)));
        row.extend(cells(Some(point.fnir)));
        csv.write_record(row)?;
    }
    csv.flush()
}

/// How sampled estimates agree with the closed form.
///
/// # Errors
/// If `out` cannot be written.
pub fn agreements(agreements: &[(String, Agreement)], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["measure", "faces", "mean_deviation", "spread", "spearman"])?;
    for (name, agreement) in agreements {
        let numbers =
            [agreement.mean, agreement.spread, agreement.spearman].map(|number| number.to_string());
        csv.write_record([name.clone(), agreement.faces.to_string()].into_iter().chain(numbers))?;
    }
    csv.flush()
}

/// The results of all groups.
///
/// # Errors
/// If `out` cannot be written.
pub fn groups(groups: &[GroupResult], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let mut header: Vec<String> =
        ["group", "images", "people", "p5", "p25", "median", "p75", "p95"]
            .map(str::to_owned)
            .to_vec();
    for name in ["discarded", "discard_ratio", "fnmr", "fnmr_ratio", "fnmr_left"] {
        header.extend([name.to_owned(), format!("{name}_low"), format!("{name}_high")]);
    }
    header.push("fmr".into());
    csv.write_record(header)?;
    for group in groups {
        let mut row = vec![group.name.clone(), group.images.to_string(), group.people.to_string()];
        row.extend(group.percentiles.map(|quality| quality.to_string()));
        for estimate in [
            Some(group.discarded),
            group.discard_ratio,
            group.fnmr,
            group.fnmr_ratio,
            group.fnmr_left,
        ] {
            row.extend(cells(estimate));
        }
        row.push(group.fmr.map(|fmr| fmr.to_string()).unwrap_or_default());
        csv.write_record(row)?;
    }
    csv.flush()
}

/// The share of each group that each quality threshold keeps.
///
/// # Errors
/// If `out` cannot be written.
pub fn shares_left(groups: &[GroupResult], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["group", "threshold", "left"])?;
    for group in groups {
        for (threshold, left) in group.left.iter().enumerate() {
            csv.write_record([group.name.clone(), threshold.to_string(), left.to_string()])?;
        }
    }
    csv.flush()
}

fn cells(estimate: Option<Estimate>) -> [String; 3] {
    let text = |of: fn(Estimate) -> f64| {
        estimate.map(|estimate| of(estimate).to_string()).unwrap_or_default()
    };
    [text(|estimate| estimate.value), text(|estimate| estimate.low), text(|estimate| estimate.high)]
}

/// The photos without a score.
///
/// # Errors
/// If `out` cannot be written.
pub fn unscored(photos: &[UnscoredPhoto], out: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["file", "line", "outcome", "reason"])?;
    for photo in photos {
        let line = photo.line.map(|line| line.to_string()).unwrap_or_default();
        let reason = photo.reason.clone().unwrap_or_default();
        csv.write_record([&photo.file, &line, &photo.absence.to_string(), &reason])?;
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::edc::Edc;
    use crate::evaluate::evaluation::MeasureResult;
    use crate::evaluate::identification::IdentificationPoint;

    #[test]
    fn identification_has_a_row_for_each_rate() {
        let estimate = |value| Estimate { value, low: value - 0.125, high: value + 0.125 };
        let found = Identification {
            references: 196,
            galleries: 20,
            mated_searches: 500,
            non_mated_searches: 4000,
            non_mated_photos: 400,
            points: vec![IdentificationPoint {
                fpir: 1e-2,
                threshold: estimate(0.5),
                fnir: estimate(0.25),
            }],
        };
        let mut out = Vec::new();
        identification(&found, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "fpir,references,galleries,mated_searches,non_mated_searches,threshold,threshold_low,\
             threshold_high,fnir,fnir_low,fnir_high\n\
             0.01,196,20,500,4000,0.5,0.375,0.625,0.25,0.125,0.375\n"
        );
    }

    #[test]
    fn a_missing_value_is_an_empty_cell() {
        let estimate = Estimate { value: 0.5, low: 0.25, high: 0.75 };
        let point = OperatingPoint {
            fmr: 1e-3,
            threshold: estimate,
            fnmr: estimate,
            measures: vec![MeasureResult {
                name: "closed form".into(),
                edc: Edc::default(),
                band: vec![estimate],
                paucs: vec![Some(estimate), None],
                above_first: vec![None, None],
            }],
        };
        let mut out = Vec::new();
        measures(std::slice::from_ref(&point), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "0.001,0.5,0.5,closed form,0.2,0.5,0.25,0.75,,,",
                "0.001,0.5,0.5,closed form,0.3,,,,,,"
            ]
        );
        let mut out = Vec::new();
        curves(&[point], &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap().lines().last(),
            Some("0.001,closed form,0,0.5,0.25,0.75")
        );
    }
}
