//! `facefleet bias`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::labelled::{Labelled, OutFolder, headline, share, shown, shown_or_dash, table};
use super::say;
use crate::app::App;
use crate::evaluate::bias::{GroupResult, LiveThreshold, Subject};
use crate::evaluate::labels::{Known, find_named, is_number};
use crate::evaluate::{figures, tables};

/// Measure whether quality treats groups of people alike.
///
/// For each group of a column of the labels: the distribution of quality, the share that each
/// quality threshold leaves, and how often images are discarded and pairs of one person fail to
/// match, against everybody's. Wants a table of labels with a group column.
#[derive(Debug, Args)]
pub(super) struct Bias {
    #[command(flatten)]
    labelled: Labelled,
    /// The column of the labels that names the groups; the first one beside file and subject if not
    /// given.
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The live threshold: images of lower quality are discarded.
    #[arg(long, default_value_t = 50, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(0..=100))]
    threshold: u8,
    /// The false match rate that fixes the similarity threshold on the whole set.
    #[arg(long, default_value_t = 1e-3, value_name = "RATE", value_parser = share)]
    fmr: f64,
    /// Folder for tables (CSV) and figures (SVG, PNG).
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Bias {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        // What is wrong with the table or the folder is told before anything is scored.
        let known = self.labelled.known()?;
        let column = self.column(&known.known)?;
        let out = self.out.as_deref().map(OutFolder::create).transpose()?;
        let store = app.store().await?;
        let found = self.labelled.collect(app, store.as_ref(), &known).await?;
        store.close().await;
        let samples = &found.collected.samples;
        let column = &samples.groups[column];
        let comparisons = self.labelled.compare(app, &found.collected, &[self.fmr])?;
        say(headline(&found.collected, &comparisons))?;
        let subject = Subject {
            comparisons: &comparisons,
            subjects: &samples.subjects,
            scores: &samples.measures[0],
            mapping: &samples.profile.mapping,
        };
        let live = LiveThreshold { quality: self.threshold, fmr: self.fmr };
        let groups =
            subject.bias(column, live, self.labelled.bootstrap(app)).with_context(|| {
                format!("too few pairs of two people to show a false match rate of {:e}", self.fmr)
            })?;
        say(format!(
            "by {}, images below quality {} discarded, pairs match at FMR {:e}",
            column.name, live.quality, live.fmr
        ))?;
        say(format!("\n{}\n\n{}", quality_table(&groups), error_table(&groups)))?;
        if let Some(out) = out {
            out.write("bias.csv", |file| tables::groups(&groups, file))?;
            out.write("bias-left.csv", |file| tables::shares_left(&groups, file))?;
            out.left_out(&found.collected.left_out)?;
            match figures::distributions(&groups) {
                Some(chart) => out.chart("bias-scores", &chart)?,
                None => say("no figure of scores: no group has enough of them")?,
            }
            out.chart("bias-left", &figures::shares_left(&groups))?;
            say(format!("\nwritten to {}", out.path().display()))?;
        }
        Ok(found.status())
    }

    /// The place of the column among the labels' groups.
    fn column(&self, known: &Known) -> Result<usize> {
        let group_columns = match known {
            Known::Labels(labels) => &labels.group_columns,
            Known::Pairs(_) => {
                bail!(
                    "'{}' is a list of pairs: groups come from a table file,subject,group…",
                    self.labelled.data()
                )
            }
            Known::Gallery => bail!(
                "'{}' is no file: groups come from a table file,subject,group…",
                self.labelled.data()
            ),
        };
        let shown = || {
            group_columns.iter().map(|column| format!("'{column}'")).collect::<Vec<_>>().join(", ")
        };
        match &self.group {
            Some(name) => {
                let place = find_named(group_columns, name);
                place.with_context(|| {
                    format!("the labels have no column '{name}' of groups, only {}", shown())
                })
            }
            None if group_columns.is_empty() => {
                bail!("the labels have no column of groups beside file and subject")
            }
            None => {
                let place = group_columns.iter().position(|column| !is_number(column));
                place.with_context(|| {
                    let columns = shown();
                    format!(
                        "the labels have no column of groups beside file and subject; if {columns} \
                            is one, name it by --group"
                    )
                })
            }
        }
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
    let header = ["", "discarded", "ratio", "FNMR", "ratio", "FNMR of what is left", "FMR within"];
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
