//! `facefleet evaluate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::columns::{shown, shown_or_dash, table};
use super::labelled::{LabelledArgs, LabelledPhotos, headline};
use super::{printable, say, say_json};
use crate::app::App;
use crate::evaluate::agreement::{Agreement, agreement};
use crate::evaluate::collect::{Collected, sampled_name};
use crate::evaluate::coverage::TableCoverage;
use crate::evaluate::dataset::read_other_measures;
use crate::evaluate::evaluation::{Bootstrap, DISCARDS, FMRS, LIMITS, OperatingPoint, evaluate};
use crate::evaluate::identification::Identification;
use crate::evaluate::labels::OtherColumns;
use crate::evaluate::out_folder::OutFolder;
use crate::evaluate::samples::Measure;
use crate::evaluate::views;
use crate::store::Store;

/// Measure how well quality predicts which images will fail to match, on labelled photos.
///
/// Prints error-versus-discard characteristics (EDC: the false non-match rate, FNMR, of the
/// comparisons that are left when the images of lowest quality are discarded) at false match rates
/// (FMR) of 1e-2, 1e-3 and 1e-4, for quality and for other measures, with partial areas under the
/// curves (pAUC: 0 is best, 1 no help) and 95 % intervals by bootstrap over subjects.
///
/// Prints identification (1:N) too: how often a search of a gallery misses a person who is in it
/// (FNIR) at the threshold at which it returns a candidate for 1 or 0.1 percent of those who are
/// not (FPIR), in random galleries of half of the people with two photos or more.
///
/// Thresholds are fixed on the whole set. A comparison is discarded with either of its images. Of
/// an image with several faces the primary one counts. Images without a scored face are left out
/// and counted.
#[derive(Debug, Args)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    labelled: LabelledArgs,
    /// Also score with T dropout passes over the last layer, as published. Repeat the option for
    /// several T.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    sampled: Vec<u32>,
    /// Also evaluate the measures of another tool: a table with a column `file` (or `image`, as
    /// `export` writes it).
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Columns of --csv to evaluate [default: all numeric columns].
    #[arg(long, value_name = "NAME", requires = "csv", value_delimiter = ',')]
    columns: Vec<String>,
    /// Columns of --csv in which lower is better; in all others, higher is better.
    #[arg(long, value_name = "NAME", requires = "csv", value_delimiter = ',')]
    lower_is_better: Vec<String>,
    /// Folder for tables (CSV) and figures (SVG, PDF, PNG). It is written before anything is
    /// printed.
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl EvaluateArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        // Files are read first: an error in one is reported before the models are opened.
        let columns = OtherColumns {
            wanted: self.columns.clone(),
            lower_is_better: self.lower_is_better.clone(),
        };
        let read = |path: &PathBuf| read_other_measures(path, &columns);
        let other = self.csv.as_ref().map(read).transpose()?;
        let dataset = self.labelled.dataset()?;
        let out = self.out.as_deref().map(OutFolder::create).transpose()?;
        let store = self.labelled.store(app, &dataset).await?;
        let mut found = self.labelled.collect(app, store.as_ref(), &dataset).await?;
        let sampled = self.sample(app, store.as_ref(), &found).await?;
        store.close().await;
        let samples = &mut found.collected.samples;
        let coverage = samples
            .add_measures(&sampled, other.as_ref(), self.labelled.seed)
            .context("option --csv")?;
        let comparisons = self.labelled.compare(app, &found.collected, &FMRS)?;
        let samples = &found.collected.samples;
        let bootstrap = self.labelled.bootstrap(app);
        let points = evaluate(&comparisons, &samples.subjects, &samples.measures, &FMRS, bootstrap);
        let identification = identify(&found.collected, bootstrap);
        let closed = &samples.scores;
        let agreements = agreements(&sampled, closed);
        // Files first: whoever reads what is printed may stop reading.
        if let Some(out) = &out {
            out.write_evaluation(&points, identification.as_ref())?;
            out.write_unscored(&found.collected.unscored)?;
            out.write_agreements(&agreements, &sampled, closed)?;
        }
        let out = out.as_ref().map(OutFolder::path);
        if self.json {
            let dataset = views::dataset(&found.collected, &comparisons);
            say_json(&views::evaluation(
                dataset,
                &points,
                identification.as_ref(),
                &agreements,
                coverage.as_ref(),
                out,
            ))?;
            return Ok(found.status());
        }
        say(headline(&found.collected, &comparisons))?;
        say(format!("profile {}, data {}", samples.profile.id(), samples.fingerprint))?;
        for sentence in coverage.iter().flat_map(TableCoverage::sentences) {
            say(printable(&sentence))?;
        }
        print_points(&points)?;
        say(identification_table(identification.as_ref()))?;
        if !agreements.is_empty() {
            say(agreement_table(&closed.name, &agreements))?;
        }
        if let Some(out) = out {
            say(format!("\nwritten to {}", out.display()))?;
        }
        Ok(found.status())
    }

    /// The sampled measures, by passes.
    async fn sample(
        &self,
        app: &App,
        store: &dyn Store,
        found: &LabelledPhotos,
    ) -> Result<Vec<(u32, Measure)>> {
        let mut passes = self.sampled.clone();
        passes.sort_unstable();
        passes.dedup();
        let mut measures = Vec::new();
        for passes in passes {
            let values = self.labelled.other_scores(&app.sampling(passes), store, found).await?;
            measures.push((passes, Measure { name: sampled_name(passes), values }));
        }
        Ok(measures)
    }
}

fn agreements(sampled: &[(u32, Measure)], closed: &Measure) -> Vec<(String, Agreement)> {
    let with_closed = |(_, measure): &(u32, Measure)| {
        Some((measure.name.clone(), agreement(&measure.values, &closed.values)?))
    };
    sampled.iter().filter_map(with_closed).collect()
}

/// Identification, if who is on each photo is known: a list of pairs tells only of its pairs.
fn identify(collected: &Collected, bootstrap: Bootstrap) -> Option<Identification> {
    if collected.pairs.is_some() {
        return None;
    }
    let samples = &collected.samples;
    Identification::measure(&samples.templates.view(), &samples.subjects, bootstrap)
}

fn print_points(points: &[OperatingPoint]) -> std::io::Result<()> {
    for point in points {
        say(point_table(point))?;
    }
    for fmr in FMRS.iter().filter(|fmr| points.iter().all(|point| point.fmr != **fmr)) {
        say(format!("\nFMR {fmr:e}: too few non-mated comparisons to show it"))?;
    }
    Ok(())
}

fn identification_table(found: Option<&Identification>) -> String {
    let Some(found) = found else {
        return "\nidentification: needs labels (not pairs) of several people, one of them with two \
            photos"
            .to_owned();
    };
    let mut text = format!(
        "\nidentification: {} galleries of n = {} people with one reference each; {} mated \
         searches, {} non-mated of {} different photos",
        found.galleries,
        found.references,
        found.mated_searches,
        found.non_mated_searches,
        found.non_mated_photos
    );
    if !found.points.is_empty() {
        let mut rows = vec![["FPIR", "similarity over", "FNIR"].map(str::to_owned).to_vec()];
        rows.extend(found.points.iter().map(|point| {
            vec![format!("{:e}", point.fpir), shown(point.threshold, 4), shown(point.fnir, 4)]
        }));
        text += &format!("\n{}", table(&rows));
    }
    for too_few in found.not_shown() {
        text += &format!("\nnot shown at FPIR {:e}: {too_few}", too_few.fpir);
    }
    text
}

fn point_table(point: &OperatingPoint) -> String {
    let mut header = vec!["FNMR, % discarded".to_owned()];
    header.extend(DISCARDS.map(|discard| format!("{:.0} %", 100.0 * discard)));
    header.extend(LIMITS.map(|limit| format!("pAUC({limit})")));
    header.push(format!("pAUC({}) above the first", LIMITS[1]));
    let mut rows = vec![header];
    for measure in &point.measures {
        let mut row = vec![measure.name.clone()];
        row.extend(DISCARDS.map(|discard| {
            measure.edc.at(discard).map_or("-".to_owned(), |fnmr| format!("{fnmr:.5}"))
        }));
        row.extend(measure.paucs.iter().map(|pauc| shown_or_dash(*pauc, 3)));
        row.push(shown_or_dash(measure.above_first[1], 3));
        rows.push(row);
    }
    let threshold = shown(point.threshold, 4);
    format!(
        "\nFMR {:e}: similarity over {threshold}, FNMR {}\n{}",
        point.fmr,
        shown(point.fnmr, 5),
        table(&rows)
    )
}

fn agreement_table(reference: &str, agreements: &[(String, Agreement)]) -> String {
    let header =
        ["", "faces", "mean deviation of d", "spread", "Spearman"].map(str::to_owned).to_vec();
    let row = |(name, agreement): &(String, Agreement)| {
        let percent = |share: f64| format!("{:+.3} %", 100.0 * share);
        let spread = format!("{:.3} %", 100.0 * agreement.spread);
        vec![
            name.clone(),
            agreement.faces.to_string(),
            percent(agreement.mean),
            spread,
            format!("{:.5}", agreement.spearman),
        ]
    };
    let rows: Vec<_> = std::iter::once(header).chain(agreements.iter().map(row)).collect();
    format!("\ncompared with the {reference}\n{}", table(&rows))
}
