//! A comparison for people: sections of sentences and tables, which the terminal and the page show
//! alike.

use std::fmt::Display;

use super::figures;
use crate::evaluate::plot::Chart;
use crate::view::evaluation::{EstimateView, ExamplesView};
use crate::view::profile_comparison::{
    CutoffBasis, GateChangesView, PairedEstimateView, PairedSimilaritiesView, PairedValuesView,
    ProfileComparisonView, SamePart,
};

/// Cells, row by row; the first row is the header.
pub type Cells = Vec<Vec<String>>;

/// A part of a comparison.
#[derive(Debug)]
pub struct ComparisonSection {
    /// Its title.
    pub title: String,
    /// Sentences.
    pub sentences: Vec<String>,
    /// Tables. The first column has names, the others numbers.
    pub tables: Vec<Cells>,
    /// Figures.
    pub charts: Vec<Chart>,
}

impl ComparisonSection {
    fn new(title: &str) -> Self {
        let title = title.to_owned();
        Self { title, sentences: Vec::new(), tables: Vec::new(), charts: Vec::new() }
    }
}

/// The sections of `view`, without the advice.
pub fn sections(view: &ProfileComparisonView) -> Vec<ComparisonSection> {
    let all = [profiles(view), images(view), faces(view), quality(view), decisions(view)];
    let more = [similarities(view), neighbours(view), groups(view)];
    all.into_iter().chain(more.into_iter().flatten()).collect()
}

fn row<const N: usize>(cells: [&dyn Display; N]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

fn interval(estimate: EstimateView, scale: f64, decimals: usize) -> String {
    let EstimateView { value, low, high } = estimate;
    let shown = |number: f64| format!("{:.decimals$}", number * scale);
    if low == value && high == value {
        return shown(value);
    }
    format!("{} [{}, {}]", shown(value), shown(low), shown(high))
}

fn paired(name: &str, of: PairedEstimateView, scale: f64, decimals: usize) -> Vec<String> {
    let shown = |estimate| interval(estimate, scale, decimals);
    vec![name.to_owned(), shown(of.old), shown(of.new), shown(of.change)]
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}

/// ` (a.jpg, b.jpg, …)`, or nothing.
fn named(found: &ExamplesView) -> String {
    if found.examples.is_empty() {
        return String::new();
    }
    let more = if found.count > found.examples.len() { ", …" } else { "" };
    format!(" ({}{more})", found.examples.join(", "))
}

fn profiles(view: &ProfileComparisonView) -> ComparisonSection {
    let mut section = ComparisonSection::new("The two profiles");
    let mut cells = vec![row([&"", &"OLD", &"NEW"]), row([&"profile", &view.old, &view.new])];
    for difference in &view.differences {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        cells.push(vec![difference.part.clone(), shown(&difference.old), shown(&difference.new)]);
    }
    section.tables.push(cells);
    if view.same.contains(&SamePart::Templates) {
        section.sentences.push(
            "Detector, alignment and recogniser are the same: templates, similarities, error \
             rates without discarding and neighbours cannot differ, and are left out."
                .to_owned(),
        );
    }
    if view.same.contains(&SamePart::Scores) {
        section.sentences.push("Scores cannot differ, only their mapping to quality.".to_owned());
    }
    section
}

fn images(view: &ProfileComparisonView) -> ComparisonSection {
    let mut section = ComparisonSection::new("Images");
    let coverage = &view.coverage;
    section.sentences.push(format!(
        "{} images have a final outcome under OLD, {} under NEW, {} under both: coverage {:.2} %. \
         All numbers below are of these.",
        coverage.images_old,
        coverage.images_new,
        coverage.images_both,
        100.0 * coverage.coverage
    ));
    for (found, only) in [(&coverage.only_old, "OLD"), (&coverage.only_new, "NEW")] {
        if found.count > 0 {
            let names = named(found);
            section.sentences.push(format!("{} only under {only}{names}.", found.count));
        }
    }
    if coverage.references > 0 {
        section.sentences.push(format!(
            "Of {} active references, {} have no template under OLD, {} none under NEW.",
            coverage.references, coverage.references_without_old, coverage.references_without_new
        ));
    }
    let mut cells = vec![row([&"outcome under OLD", &"under NEW", &"images"])];
    cells.extend(view.outcomes.iter().map(|pair| row([&pair.old, &pair.new, &pair.images])));
    section.tables.push(cells);
    section
}

fn faces(view: &ProfileComparisonView) -> ComparisonSection {
    let mut section = ComparisonSection::new("Faces");
    let faces = &view.faces;
    section.sentences.push(format!(
        "{} faces under OLD, {} under NEW; {} are the same (their boxes overlap by half or more). \
         Of {} images another face is the primary one.",
        faces.old, faces.new, faces.both, faces.other_primary
    ));
    section.sentences.push(format!(
        "{} images lose their face{}, {} gain one{}. Lost less gained: {} % of the images.",
        faces.lost.count,
        named(&faces.lost),
        faces.gained.count,
        named(&faces.gained),
        interval(faces.net_lost, 100.0, 3)
    ));
    section
}

fn distribution_rows(name: &str, values: &PairedValuesView, decimals: usize) -> Cells {
    let shown = |number: f64| format!("{number:.decimals$}");
    let mut cells = vec![row([&name, &"5 %", &"25 %", &"median", &"75 %", &"95 %", &"mean"])];
    for (profile, of) in [("OLD", &values.old), ("NEW", &values.new)] {
        let percentiles = ["p5", "p25", "median", "p75", "p95"].map(|key| of.percentiles[key]);
        let numbers = percentiles.into_iter().chain([of.mean]).map(shown);
        cells.push(std::iter::once(profile.to_owned()).chain(numbers).collect());
    }
    cells
}

fn quality(view: &ProfileComparisonView) -> ComparisonSection {
    let mut section = ComparisonSection::new("Quality of the same faces");
    let Some(quality) = &view.quality else {
        section.sentences.push("No face is scored under both profiles.".to_owned());
        return section;
    };
    let correlation = |of: &PairedValuesView| {
        of.rank_correlation.map_or("not known".to_owned(), |found| interval(found, 1.0, 4))
    };
    section.tables.push(distribution_rows("quality", quality, 1));
    let large = quality.changed_by_10.map_or(String::new(), |share| {
        format!(" {} % of the qualities change by more than 10.", interval(share, 100.0, 2))
    });
    section.sentences.push(format!(
        "{} faces. Rank correlation (Spearman) of quality: {}. Mean change: {}.{large}",
        quality.old.count,
        correlation(quality),
        interval(quality.change, 1.0, 2)
    ));
    section.charts.push(figures::values(quality, "quality"));
    if let Some(score) = &view.score {
        section.tables.push(distribution_rows("score", score, 4));
        section.sentences.push(format!(
            "Rank correlation of the score: {}. Mean change: {}.",
            correlation(score),
            interval(score.change, 1.0, 5)
        ));
        section.charts.push(figures::values(score, "score 2/(1 + exp d)"));
    }
    section
}

fn decisions(view: &ProfileComparisonView) -> ComparisonSection {
    let mut section = ComparisonSection::new("Decisions");
    let gate = &view.gate;
    let all = gate.accepted + gate.rejected + gate.newly_rejected + gate.newly_accepted;
    section.sentences.push(format!(
        "The enrolment's gate accepts {} of {all} images under both profiles and rejects {} under \
         both. {} ({}) are rejected under NEW alone{}, {} ({}) under OLD alone{}.",
        gate.accepted,
        gate.rejected,
        gate.newly_rejected,
        percent(gate.newly_rejected, all),
        codes(gate, true),
        gate.newly_accepted,
        percent(gate.newly_accepted, all),
        codes(gate, false)
    ));
    if view.cutoffs.is_empty() {
        return section;
    }
    let names =
        ["quality cutoff", "OLD", "NEW", "kept", "discarded", "newly discarded", "newly kept"];
    let mut cells = vec![names.map(str::to_owned).to_vec()];
    cells.extend(view.cutoffs.iter().map(|cutoff| {
        let basis = match cutoff.basis {
            CutoffBasis::Setting => "enrol.min_quality",
            CutoffBasis::LowestFivePercent => "lowest 5 % of each",
        };
        let (old, new) = (cutoff.old, cutoff.new);
        row([
            &basis,
            &old,
            &new,
            &cutoff.kept,
            &cutoff.discarded,
            &cutoff.newly_discarded,
            &cutoff.newly_kept,
        ])
    }));
    section.tables.push(cells);
    section
}

/// `, for BLURRED 3, LOW_QUALITY 1`, or nothing.
fn codes(gate: &GateChangesView, rejected: bool) -> String {
    let by = if rejected { &gate.newly_rejected_by } else { &gate.newly_accepted_by };
    if by.is_empty() {
        return String::new();
    }
    let codes: Vec<String> = by.iter().map(|(code, n)| format!("{} {n}", code.as_str())).collect();
    format!(", for {}", codes.join(", "))
}

fn similarities(view: &ProfileComparisonView) -> Option<ComparisonSection> {
    let mut section = ComparisonSection::new("Similarities of people");
    let Some(found) = &view.similarities else {
        let reason = view.without_similarities.as_ref()?;
        section.sentences.push(format!("Not measured: {reason}."));
        return Some(section);
    };
    section.sentences.push(format!(
        "{} of {} images with a known subject: {} subjects, {} mated comparisons, {} non-mated. \
         Intervals are by bootstrap over subjects.",
        found.images, found.of_images, found.subjects, found.mated, found.non_mated
    ));
    if !found.not_shown.is_empty() {
        let rates: Vec<String> = found.not_shown.iter().map(|fmr| format!("{fmr:e}")).collect();
        section
            .sentences
            .push(format!("Too few non-mated comparisons to show FMR {}.", rates.join(" and ")));
    }
    let same = view.same.contains(&SamePart::Templates);
    let mut cells = vec![row([&"", &"OLD", &"NEW", &"change"])];
    if !same {
        for (name, of) in [("genuine", &found.genuine), ("impostor", &found.impostor)] {
            let [old, new] = [&of.old, &of.new]
                .map(|side| format!("{:.3} (deviation {:.3})", side.mean, side.deviation));
            let change = format!("{:.3}", of.new.mean - of.old.mean);
            cells.push(vec![format!("{name}, mean similarity"), old, new, change]);
        }
        cells.push(paired("separation d'", found.separation, 1.0, 3));
    }
    cells.extend(at_rates(found, same));
    section.tables.push(cells);
    if !same {
        section.charts.push(figures::similarities(found));
    }
    section.charts.extend(found.points.iter().rfind(|at| at.fmr >= 1e-3).map(figures::edc));
    Some(section)
}

/// The rows of each false match rate; with the same templates, only those of quality.
fn at_rates(found: &PairedSimilaritiesView, same: bool) -> Cells {
    let mut cells = Vec::new();
    for point in &found.points {
        let fmr = point.fmr;
        if !same {
            cells.push(paired(&format!("threshold at FMR {fmr:e}"), point.threshold, 1.0, 4));
            cells.push(paired(&format!("FNMR at FMR {fmr:e}, %"), point.fnmr, 100.0, 2));
        }
        if let Some(pauc) = point.pauc {
            cells.push(paired(&format!("pAUC(0.3) at FMR {fmr:e}"), pauc, 1.0, 3));
        }
    }
    cells
}

fn neighbours(view: &ProfileComparisonView) -> Option<ComparisonSection> {
    let found = view.neighbours.as_ref()?;
    let mut section = ComparisonSection::new("Neighbours");
    section.sentences.push(format!(
        "{} probes among {} of {} images, searched exactly under each profile: {} % of the {} \
         most similar images are the same; the most similar one is the same for {} % of the \
         probes.",
        found.probes,
        found.images,
        found.of_images,
        interval(found.overlap, 100.0, 1),
        found.k,
        interval(found.same_first, 100.0, 1)
    ));
    if view.similarities.is_none() {
        let pairs = &found.any_pairs;
        section.sentences.push(format!(
            "{} pairs of different images, drawn at random, most of them of two people: rank \
             correlation of their similarities {}.",
            pairs.old.count,
            pairs.rank_correlation.map_or("not known".to_owned(), |of| interval(of, 1.0, 4))
        ));
        section.tables.push(distribution_rows("similarity", pairs, 3));
    }
    Some(section)
}

fn groups(view: &ProfileComparisonView) -> Option<ComparisonSection> {
    if view.groups.is_empty() {
        return None;
    }
    let mut section = ComparisonSection::new("Groups");
    for column in &view.groups {
        let fnmr = column.fmr.map_or("FNMR".to_owned(), |fmr| format!("FNMR at FMR {fmr:e}, %"));
        let names = ["images", "people", "quality OLD", "NEW", "change"].map(str::to_owned);
        let mut header = vec![column.column.clone()];
        header.extend(names);
        header.extend([format!("{fnmr}, OLD"), "NEW".to_owned(), "change".to_owned()]);
        let mut cells = vec![header];
        for group in &column.groups {
            let mut line = row([&group.group, &group.images, &group.subjects]);
            line.extend(paired("", group.quality, 1.0, 2).into_iter().skip(1));
            match group.fnmr {
                Some(fnmr) => line.extend(paired("", fnmr, 100.0, 2).into_iter().skip(1)),
                None => line.extend(["-", "-", "-"].map(str::to_owned)),
            }
            cells.push(line);
        }
        section.tables.push(cells);
    }
    Some(section)
}
