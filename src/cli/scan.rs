//! `facefleet scan`

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{GalleryOption, INTERRUPTED, SOME_FAILED, interrupt, say};
use crate::app::App;
use crate::domain::{Faces, OutcomeEvent, OutcomeKind};
use crate::gallery::scan::{self, Progress, Tally};
use crate::images::{Listed, Listing, Root};

/// Images that are settled already, unchanged and under the same profile, are skipped. The last line accounts for every image.
#[derive(Debug, Args)]
pub(super) struct Scan {
    #[arg(
        required = true,
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from),
        help = "Folders, searched at any depth, image files, and what lies in buckets: s3://bucket/prefix, gs:, az:"
    )]
    roots: Vec<Root>,
    #[command(flatten)]
    gallery: GalleryOption,
    /// Which faces of an image: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// The images are chips already: 112x112, aligned. No detection.
    #[arg(long)]
    aligned: bool,
    /// One JSON object a line: each image as it ends, then the summary.
    #[arg(long)]
    json: bool,
}

impl Scan {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        // A folder that is not there is told before the models are loaded.
        let listing = app.listing(&self.roots)?;
        let (store, queue) = (app.store().await?, app.queue()?);
        let processor = Arc::new(app.processor(&self.roots, self.aligned)?);

        let mut view = View::new(self.json);
        let bar = view.bar.clone();
        let stop = interrupt::stop_on_signal(move || {
            bar.suspend(|| eprintln!("stopping: images in hand are finished first; once more to stop at once"));
        })?;
        let counting = count_ahead(listing.clone(), view.bar.clone(), stop.clone());

        let request = scan::Scan {
            listing,
            gallery: self.gallery.gallery.clone(),
            profile: processor.profile_id().clone(),
            selection: app.settings().selection(),
        };
        let started = Instant::now();
        // The worker ends by itself when told to stop, or early if the store is lost; then the queue's news end, and so does the scan.
        let until = stop.child_token();
        let worker = tokio::spawn({
            let worker = app.worker(queue.clone(), store.clone(), processor.clone());
            let (until, queue) = (until.clone(), queue.clone());
            async move {
                let ended = worker.run(until).await;
                queue.close().await;
                ended
            }
        });
        let tally = scan::run(request, queue, store.clone(), stop.clone(), |tally, progress| view.show(tally, &progress)).await;
        until.cancel();
        let worked = worker.await?;
        counting.abort();
        view.bar.finish_and_clear();
        store.close().await;
        // If the worker failed, the scan's own error is only its shadow.
        worked?;
        let tally = tally?;

        let interrupted = stop.is_cancelled();
        let summary = Summary { tally: &tally, gallery: self.gallery.gallery.as_str(), profile: processor.profile_id().as_str() };
        if self.json {
            say(summary.json(started.elapsed(), interrupted))?;
        } else {
            say(summary.text(started.elapsed(), interrupted))?;
        }
        Ok(match () {
            () if interrupted => ExitCode::from(INTERRUPTED),
            () if tally.count(OutcomeKind::Failed) > 0 || tally.left() > 0 || tally.unlisted > 0 => ExitCode::from(SOME_FAILED),
            () => ExitCode::SUCCESS,
        })
    }
}

/// Counts the images for the bar's end, beside the scan, which lists no further than the queue has room.
/// Buckets are not counted: listing them twice costs money.
fn count_ahead(listing: Listing, bar: ProgressBar, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if bar.is_hidden() || !listing.is_local() {
            return;
        }
        let Ok(mut entries) = listing.entries(None) else { return };
        let mut images = 0;
        while let Some(entry) = entries.next().await {
            if stop.is_cancelled() || bar.is_finished() {
                return;
            }
            images += u64::from(matches!(entry, Ok(Listed::Image { .. })));
        }
        bar.set_length(images);
    })
}

/// What is shown while a scan runs: a bar on a terminal, a line now and then elsewhere, a line an image for machines.
struct View {
    json: bool,
    bar: ProgressBar,
    last_line: Instant,
    problems: u32,
}

/// More problems than this are left to the summary and the report.
const SHOWN_PROBLEMS: u32 = 20;
const LINE_EVERY: Duration = Duration::from_secs(10);

impl View {
    fn new(json: bool) -> Self {
        let bar = if json || !std::io::stderr().is_terminal() { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let style = ProgressStyle::with_template(
            "{bar:30} {human_pos}/{human_len} images  {per_sec}  {elapsed} elapsed, {eta} left  {msg}",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { json, bar, last_line: Instant::now(), problems: 0 }
    }

    fn show(&mut self, tally: &Tally, progress: &Progress<'_>) {
        match progress {
            // A reader that went away does not stop the scan; its end will tell.
            Progress::Ended(event) if self.json => drop(say(image_json(event))),
            Progress::Ended(event) if event.reason.is_some() => {
                let reason = event.reason.as_deref().unwrap_or_default();
                self.problem(&format!("{}: {}: {reason}", event.image, event.outcome));
            }
            Progress::Unlisted(error) => self.problem(&error.to_string()),
            Progress::Ended(_) | Progress::Listed => {}
        }
        self.bar.set_position(tally.skipped + tally.ended());
        if self.bar.is_hidden() && !self.json && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!("{} images done, {} skipped, {} faces", tally.ended(), tally.skipped, tally.faces);
        }
    }

    fn problem(&mut self, text: &str) {
        self.problems += 1;
        match self.problems {
            0..SHOWN_PROBLEMS => self.bar.suspend(|| eprintln!("{text}")),
            SHOWN_PROBLEMS => self.bar.suspend(|| eprintln!("{text}\n(further problems are in the report)")),
            _ => {}
        }
    }
}

fn image_json(event: &OutcomeEvent) -> serde_json::Value {
    json!({
        "image": event.image.to_string(), "outcome": event.outcome, "reason": event.reason, "faces": event.faces,
        "quality": event.quality,
    })
}

struct Summary<'a> {
    tally: &'a Tally,
    gallery: &'a str,
    profile: &'a str,
}

impl Summary<'_> {
    fn text(&self, elapsed: Duration, interrupted: bool) -> String {
        let Self { tally, gallery, profile } = self;
        let seconds = elapsed.as_secs_f64();
        let rate = tally.ended() as f64 / seconds.max(1e-9);
        let mut text = format!("gallery {gallery}, profile {profile}\n");
        if tally.ended() == 0 && tally.listed > 0 && !interrupted {
            text += "nothing to do: every image is settled already\n";
        } else {
            text += &format!("{} images in {seconds:.1} s ({rate:.1} images/s), {} faces\n", tally.ended(), tally.faces);
        }
        if tally.others > 0 {
            text += &format!("{} other files left alone\n", tally.others);
        }
        if tally.unlisted > 0 {
            text += &format!("{} files or folders could not be listed\n", tally.unlisted);
        }
        if interrupted {
            text += "interrupted: the same command goes on from here\n";
        }
        let outcomes = OutcomeKind::ALL.map(|kind| format!("{} {kind}", tally.count(kind)));
        let left = if tally.left() > 0 { format!(" + {} left", tally.left()) } else { String::new() };
        text + &format!("{} listed = {} + {} skipped{left}", tally.listed, outcomes.join(" + "), tally.skipped)
    }

    fn json(&self, elapsed: Duration, interrupted: bool) -> serde_json::Value {
        let Self { tally, gallery, profile } = self;
        let outcomes: serde_json::Map<_, _> =
            OutcomeKind::ALL.iter().map(|&kind| (kind.to_string(), json!(tally.count(kind)))).collect();
        json!({
            "summary": {
                "gallery": gallery, "profile": profile, "listed": tally.listed, "skipped": tally.skipped, "outcomes": outcomes,
                "left": tally.left(), "faces": tally.faces, "others": tally.others, "unlisted": tally.unlisted,
                "seconds": elapsed.as_secs_f64(), "interrupted": interrupted,
            }
        })
    }
}
