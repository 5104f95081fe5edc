//! What a campaign looks like while it runs, and its last line.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{INTERRUPTED, SOME_FAILED, others, printable, say};
use crate::domain::{Campaign, CampaignProgress, OutcomeEvent, OutcomeKind};
use crate::gallery::scan::{Progress, Tally};

/// What is shown while a scan runs: a bar on a terminal, a line now and then elsewhere, a line an
/// image for machines.
pub(super) struct View {
    json: bool,
    bar: ProgressBar,
    last_line: Instant,
    problems: u32,
}

/// More problems than this are left to the summary and the report.
const SHOWN_PROBLEMS: u32 = 20;
const LINE_EVERY: Duration = Duration::from_secs(10);

impl View {
    pub(super) fn new(json: bool) -> Self {
        let bar = if json || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::no_length()
        };
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos}/{human_len} images  {per_sec}  {elapsed} elapsed, {eta} left  \
                {msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { json, bar, last_line: Instant::now(), problems: 0 }
    }

    pub(super) fn show(&mut self, tally: &Tally, progress: &Progress<'_>) {
        match progress {
            // A reader that went away does not stop the scan; its end will tell.
            Progress::Ended(event) if self.json => drop(say(image_json(event))),
            Progress::Ended(event) if event.end.reason.is_some() => {
                let reason = event.end.reason.as_deref().unwrap_or_default();
                self.problem(&format!("{}: {}: {reason}", event.image, event.end.outcome));
            }
            Progress::Other(other) if self.json => return drop(say(others::line_json(other))),
            Progress::Other(other) => {
                return tracing::info!(
                    "{}",
                    printable(&format!("{}: {}", other.name, others::reason(&other.reason)))
                );
            }
            Progress::Unlisted(error) => {
                if self.json {
                    drop(say(others::unlisted_json(error)));
                }
                self.problem(&error.to_string());
            }
            Progress::Ended(_) => return,
            Progress::Counted => {}
        }
        let counts = &tally.progress;
        self.bar.set_position(counts.skipped + counts.ended());
        if self.bar.is_hidden() && !self.json && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!(
                "{} images done, {} skipped, {} faces",
                counts.ended(),
                counts.skipped,
                counts.faces
            );
        }
    }

    /// A handle on the bar.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn problem(&mut self, text: &str) {
        let text = printable(text);
        self.problems += 1;
        match self.problems {
            0..SHOWN_PROBLEMS => self.bar.suspend(|| eprintln!("{text}")),
            SHOWN_PROBLEMS => {
                self.bar.suspend(|| eprintln!("{text}\n(further problems are in the report)"))
            }
            _ => {}
        }
    }
}

fn image_json(event: &OutcomeEvent) -> Value {
    json!({
        "image": event.image.to_string(), "uri": event.image.without_secrets().as_str(), "outcome": event.end.outcome, "reason": event.end.reason, "faces": event.end.faces,
        "quality": event.end.quality,
    })
}

/// How a scan was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanEnd {
    /// Followed to its end.
    Complete,
    /// Stopped; this process was the worker.
    Interrupted,
    /// Everything is in the queue.
    Published,
    /// Stopped; the workers go on.
    LeftToWorkers,
}

/// A scan's last words.
pub(super) struct ScanSummary<'a> {
    pub(super) tally: &'a Tally,
    pub(super) campaign: &'a Campaign,
    pub(super) end: ScanEnd,
    pub(super) elapsed: Duration,
}

impl ScanSummary<'_> {
    /// Prints it; the exit status of the command.
    pub(super) fn say(&self, json: bool) -> Result<ExitCode> {
        if json {
            say(self.json())?;
        } else {
            say(self.text())?;
        }
        let counts = &self.tally.progress;
        let all_well =
            !counts.outcomes.contains_key(&OutcomeKind::Failed) && self.tally.unlisted == 0;
        Ok(match self.end {
            ScanEnd::Interrupted | ScanEnd::LeftToWorkers => ExitCode::from(INTERRUPTED),
            ScanEnd::Complete if all_well && counts.left() == 0 => ExitCode::SUCCESS,
            ScanEnd::Published if self.tally.unlisted == 0 => ExitCode::SUCCESS,
            ScanEnd::Complete | ScanEnd::Published => ExitCode::from(SOME_FAILED),
        })
    }

    fn text(&self) -> String {
        let Self { tally, campaign, end, elapsed } = self;
        let counts = &tally.progress;
        let seconds = elapsed.as_secs_f64();
        let rate = counts.ended() as f64 / seconds.max(1e-9);
        let mut text = format!(
            "gallery {}, profile {}, campaign {}\n",
            campaign.gallery, campaign.profile, campaign.id
        );
        if counts.listing_done && counts.listed == 0 {
            let met = others::brief(&tally.others).unwrap_or_else(|| "there is nothing".to_owned());
            text += &format!("no image found below {}: {met}\n", printable(&campaign.source));
        } else if counts.listed > 0 && counts.listed == counts.skipped {
            text += "nothing to do: every image is settled already\n";
        } else {
            text += &format!(
                "{} images in {seconds:.1} s ({rate:.1} images/s), {} faces\n",
                counts.ended(),
                counts.faces
            );
        }
        text += &others::text(&tally.others);
        if tally.unlisted > 0 {
            text += &format!("{} files or folders could not be listed\n", tally.unlisted);
        }
        match end {
            ScanEnd::Complete => {}
            ScanEnd::Interrupted => text += "interrupted: the same command goes on from here\n",
            ScanEnd::Published => {
                text += &format!(
                    "in the queue: `facefleet campaign show {}` tells how far it is\n",
                    campaign.id
                )
            }
            ScanEnd::LeftToWorkers if counts.listing_done => {
                text += &format!(
                    "not waiting any longer: `facefleet campaign show {}` tells how far it is\n",
                    campaign.id
                );
            }
            ScanEnd::LeftToWorkers if counts.chunk_to.is_some() => {
                text += &format!(
                    "interrupted: the same command with --resume {} goes on\n",
                    campaign.id
                );
            }
            ScanEnd::LeftToWorkers => {
                text += "interrupted: what is in the queue goes on; the same command, run again, \
                    does the rest\n"
            }
        }
        text + &accounts(counts)
    }

    fn json(&self) -> Value {
        let Self { tally, campaign, end, elapsed } = self;
        let counts = &tally.progress;
        let mut summary = json!({
            "summary": {
                "gallery": campaign.gallery, "profile": campaign.profile, "campaign": campaign.id, "listed": counts.listed,
                "skipped": counts.skipped, "outcomes": outcomes_json(counts), "left": counts.left(), "faces": counts.faces,
                "unlisted": tally.unlisted, "seconds": elapsed.as_secs_f64(),
                "interrupted": matches!(end, ScanEnd::Interrupted | ScanEnd::LeftToWorkers),
            }
        });
        if let (Value::Object(summary), Value::Object(others)) =
            (&mut summary["summary"], others::counts_json(&tally.others))
        {
            summary.extend(others);
        }
        summary
    }
}

/// Every outcome with its count, the absent ones too.
pub(super) fn outcomes_json(
    counts: &CampaignProgress,
) -> serde_json::Map<String, serde_json::Value> {
    let count = |kind: OutcomeKind| counts.outcomes.get(&kind).copied().unwrap_or(0);
    OutcomeKind::ALL.into_iter().map(|kind| (kind.to_string(), json!(count(kind)))).collect()
}

/// The line that accounts for every image.
pub(super) fn accounts(counts: &CampaignProgress) -> String {
    let count = |kind: OutcomeKind| counts.outcomes.get(&kind).copied().unwrap_or(0);
    let outcomes = OutcomeKind::ALL.map(|kind| format!("{} {kind}", count(kind)));
    let left = if counts.left() > 0 { format!(" + {} left", counts.left()) } else { String::new() };
    format!(
        "{} listed = {} + {} skipped{left}",
        counts.listed,
        outcomes.join(" + "),
        counts.skipped
    )
}
