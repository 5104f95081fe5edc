//! `facefleet bias`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::columns::{shown, shown_or_dash, table};
use super::labelled::{LabelledArgs, headline, share};
use super::{say, say_json};
use crate::app::App;
use crate::evaluate::bias::{BiasInput, GroupResult, LiveThreshold};
use crate::evaluate::out_folder::OutFolder;
use crate::evaluate::views;
use crate::view::evaluation::{BiasView, GroupView};

/// Measure whether quality treats groups of people alike.
///
/// Prints, for each group of a column of the labels, the distribution of quality, the share of
/// images that a quality threshold discards, and the false non-match rate (FNMR). The share and the
/// rate also have a ratio to those of all people. Needs a table of labels with a group column.
#[derive(Debug, Args)]
pub(super) struct BiasArgs {
    #[command(flatten)]
    labelled: LabelledArgs,
    /// The column of the labels that names the groups [default: the first one that is neither file
    /// nor subject].
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The quality threshold in use: images of lower quality are discarded.
    #[arg(long, default_value_t = 50, value_name = "QUALITY")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    threshold: u8,
    /// The false match rate that fixes the similarity threshold on the whole set.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = share)]
    fmr: f64,
    /// Folder for tables (CSV) and figures (SVG, PDF, PNG). It is written before anything is
    /// printed.
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl BiasArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        // Errors in the table or the folder are reported before anything is scored.
        let dataset = self.labelled.dataset()?;
        let column = dataset.group_column(self.group.as_deref())?;
        let out = self.out.as_deref().map(OutFolder::create).transpose()?;
        let store = app.store().await?;
        let found = self.labelled.collect(app, store.as_ref(), &dataset).await?;
        store.close().await;
        let samples = &found.collected.samples;
        let column = &samples.groups[column];
        let comparisons = self.labelled.compare(app, &found.collected, &[self.fmr])?;
        let input = BiasInput {
            comparisons: &comparisons,
            subjects: &samples.subjects,
            scores: &samples.measures[0],
            mapping: &samples.profile.mapping,
        };
        let live = LiveThreshold { quality: self.threshold, fmr: self.fmr };
        let groups = input.bias(column, live, self.labelled.bootstrap(app));
        if groups.is_none() && !self.json {
            say(headline(&found.collected, &comparisons))?;
        }
        let groups = groups.with_context(|| {
            format!("too few non-mated comparisons to show a false match rate of {:e}", self.fmr)
        })?;
        let figure = match &out {
            Some(out) => {
                out.write_unscored(&found.collected.unscored)?;
                out.write_bias(&groups)?
            }
            None => true,
        };
        if self.json {
            say_json(&BiasView {
                dataset: views::dataset(&found.collected, &comparisons),
                column: column.name.clone(),
                quality: live.quality,
                fmr: live.fmr,
                groups: groups.iter().map(GroupView::from).collect(),
                out: out.map(|out| out.path().display().to_string()),
            })?;
            return Ok(found.status());
        }
        say(headline(&found.collected, &comparisons))?;
        say(format!(
            "by {}, images below quality {} discarded, similarity threshold at FMR {:e}",
            column.name, live.quality, live.fmr
        ))?;
        say(format!("\n{}\n\n{}", quality_table(&groups), error_table(&groups)))?;
        if let Some(out) = out {
            if !figure {
                say("no figure of scores: no group has enough of them")?;
            }
            say(format!("\nwritten to {}", out.path().display()))?;
        }
        Ok(found.status())
    }
}

fn quality_table(groups: &[GroupResult]) -> String {
    let mut rows = vec![
        ["quality", "images", "people", "5 %", "25 %", "median", "75 %", "95 %"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(groups.iter().map(|group| {
        let mut row = vec![group.name.clone(), group.images.to_string(), group.people.to_string()];
        row.extend(group.percentiles.map(|quality| quality.to_string()));
        row
    }));
    table(&rows)
}

fn error_table(groups: &[GroupResult]) -> String {
    let header = ["", "discarded", "ratio", "FNMR", "ratio", "FNMR after discarding", "FMR within"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(groups.iter().map(|group| {
        vec![
            group.name.clone(),
            shown(group.discarded, 4),
            shown_or_dash(group.discard_ratio, 2),
            shown_or_dash(group.fnmr, 4),
            shown_or_dash(group.fnmr_ratio, 2),
            shown_or_dash(group.fnmr_left, 4),
            group.fmr.map_or("-".to_owned(), |fmr| format!("{fmr:.2e}")),
        ]
    }));
    table(&rows)
}
