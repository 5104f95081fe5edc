//! `facefleet evaluate`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::labelled::{Found, Labelled, OutFolder, headline, shown, shown_or_dash, table};
use super::say;
use crate::app::App;
use crate::evaluate::agreement::{Agreement, agreement};
use crate::evaluate::evaluation::{DISCARDS, FMRS, LIMITS, OperatingPoint, evaluate};
use crate::evaluate::labels::OtherMeasures;
use crate::evaluate::samples::{Measure, other_measures, random_measure};
use crate::evaluate::{figures, tables};
use crate::store::Store;

/// Measure how well quality tells which images will fail to match, on labelled photos.
///
/// Error-versus-discard curves (EDC: the false non-match rate of what is left when the images of
/// lowest quality are discarded) at false match rates of 1e-2, 1e-3 and 1e-4, side by side for
/// quality and for other measures, with areas under them (pAUC: 0 is best, 1 no help) and 95 %
/// intervals by bootstrap over subjects.
///
/// Thresholds are fixed on the whole set; a pair goes when either image goes; of an image with
/// several faces the primary one counts; images without a scored face are left out and counted.
#[derive(Debug, Args)]
pub(super) struct Evaluate {
    #[command(flatten)]
    labelled: Labelled,
    /// Also score with T dropout passes over the last layer, as published; may be given several
    /// times.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    sampled: Vec<u32>,
    /// Also evaluate the measures of another tool: a table with a column `file` (or `image`, as
    /// `export` writes it).
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Columns of --csv, higher being better; all numeric ones if none is named.
    #[arg(long, value_name = "NAME", requires = "csv", value_delimiter = ',')]
    columns: Vec<String>,
    /// Folder for tables (CSV) and figures (SVG, PNG).
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Evaluate {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        // A table that cannot be read is told before the models are loaded.
        let other = self.csv.as_ref().map(|path| self.read_csv(path)).transpose()?;
        let known = self.labelled.known()?;
        let out = self.out.as_deref().map(OutFolder::create).transpose()?;
        let store = app.store().await?;
        let mut found = self.labelled.collect(app, store.as_ref(), &known).await?;
        let sampled = self.sample(app, store.as_ref(), &found).await?;
        store.close().await;
        let samples = &mut found.collected.samples;
        let own = samples.measures.len();
        samples.measures.splice(1..1, sampled.iter().map(|(_, measure)| measure.clone()));
        if let Some(other) = &other {
            let (measures, rows) = other_measures(other, &samples.names, &samples.images);
            if rows == 0 {
                bail!(
                    "--csv: none of its files is one of the photos, such as {}",
                    samples.names[0]
                );
            }
            say(format!("{rows} of {} photos are in the other tool's table", samples.names.len()))?;
            samples.measures.extend(measures);
        }
        samples.measures.push(random_measure(samples.names.len(), self.labelled.seed));
        tracing::debug!(own, measures = samples.measures.len(), "measures");

        let comparisons = self.labelled.compare(app, &found.collected, &FMRS)?;
        let samples = &found.collected.samples;
        say(headline(&found.collected, &comparisons))?;
        say(format!("profile {}, data {}", samples.profile.id(), samples.fingerprint))?;
        let bootstrap = self.labelled.bootstrap(app);
        let points = evaluate(&comparisons, &samples.subjects, &samples.measures, &FMRS, bootstrap);
        for point in &points {
            say(point_table(point))?;
        }
        for fmr in FMRS.iter().filter(|fmr| points.iter().all(|point| point.fmr != **fmr)) {
            say(format!("\nFMR {fmr:e}: too few pairs of two people to show it"))?;
        }
        let closed = &samples.measures[0];
        let agreements: Vec<(String, Agreement)> = sampled
            .iter()
            .filter_map(|(_, measure)| {
                Some((measure.name.clone(), agreement(&measure.values, &closed.values)?))
            })
            .collect();
        if !agreements.is_empty() {
            say(agreement_table(&closed.name, &agreements))?;
        }
        if let Some(out) = &out {
            out.write("measures.csv", |file| tables::measures(&points, file))?;
            out.write("edc.csv", |file| tables::curves(&points, file))?;
            out.left_out(&found.collected.left_out)?;
            for point in &points {
                out.chart(&format!("edc-fmr{:e}", point.fmr), &figures::edc(point))?;
            }
            if !agreements.is_empty() {
                out.write("agreement.csv", |file| tables::agreements(&agreements, file))?;
                let sampled: Vec<(u32, &Measure)> =
                    sampled.iter().map(|(passes, measure)| (*passes, measure)).collect();
                out.chart("convergence", &figures::convergence(&sampled, closed))?;
            }
            say(format!("\nwritten to {}", out.path().display()))?;
        }
        Ok(found.status())
    }

    fn read_csv(&self, path: &std::path::Path) -> Result<OtherMeasures> {
        let bytes =
            std::fs::read(path).with_context(|| format!("Failed to read {}", path.display()))?;
        OtherMeasures::read(&bytes, &self.columns).with_context(|| path.display().to_string())
    }

    /// The sampled measures, by passes.
    async fn sample(
        &self,
        app: &App,
        store: &dyn Store,
        found: &Found,
    ) -> Result<Vec<(u32, Measure)>> {
        let mut passes = self.sampled.clone();
        passes.sort_unstable();
        passes.dedup();
        let mut measures = Vec::new();
        for passes in passes {
            let values = self.labelled.other_scores(&app.sampling(passes), store, found).await?;
            measures.push((passes, Measure { name: format!("sampled T={passes}"), values }));
        }
        Ok(measures)
    }
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
    format!("\nagainst the {reference}\n{}", table(&rows))
}
