//! The progress of a scan while it runs, and its summary.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::{INTERRUPTED, SOME_FAILED, missing, not_listed, printable, say, say_json};
use crate::domain::{Campaign, CampaignProgress, GalleryName, OutcomeKind, ProfileId, counted};
use crate::gallery::curate::Pruned;
use crate::gallery::failures::verdict;
use crate::gallery::follow::{CampaignCounts, CampaignEvent};
use crate::view::image::ImageView;
use crate::view::not_listed::NotListedView;
use crate::view::outcome_counts;
use crate::view::scan::{PrunedView, ScanSummaryLine, ScanSummaryView};

/// Shows a running scan: a bar on a terminal, a line every ten seconds elsewhere, or a JSON object
/// for each image.
pub(super) struct ScanDisplay {
    json: bool,
    bar: ProgressBar,
    last_line: Instant,
    problems: u32,
}

/// More problems than this are not named one by one.
const SHOWN_PROBLEMS: u32 = 20;
/// Where the others are. The report knows the images that were listed, and no rows of lists.
const MORE_PROBLEMS: &str = "further problems are counted; --json prints each one";
const LINE_EVERY: Duration = Duration::from_secs(10);

impl ScanDisplay {
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

    pub(super) fn show(&mut self, counts: &CampaignCounts, event: &CampaignEvent<'_>) {
        match event {
            // An error means that the reader closed the pipe: the scan goes on, and the summary
            // reports the error.
            CampaignEvent::Ended(event) if self.json => drop(say_json(&ImageView::from(*event))),
            CampaignEvent::Ended(event) => match &event.end.reason {
                Some(reason) => {
                    self.problem(&format!("{}: {}: {reason}", event.image, event.end.outcome));
                }
                None => return,
            },
            CampaignEvent::NotListed(other) if self.json => {
                return drop(say_json(&NotListedView::from(*other)));
            }
            CampaignEvent::NotListed(other) => {
                let text = format!("{}: {}", other.name, not_listed::reason(&other.reason));
                return tracing::info!("{}", printable(&text));
            }
            CampaignEvent::Unlisted(error) => {
                if self.json {
                    drop(say_json(&NotListedView::from(*error)));
                }
                self.problem(&error.to_string());
            }
            CampaignEvent::Counted => {}
        }
        self.show_counts(&counts.progress);
    }

    fn show_counts(&mut self, progress: &CampaignProgress) {
        self.bar.set_position(progress.skipped + progress.ended());
        if self.bar.is_hidden() && !self.json && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            eprintln!(
                "{} done, {} skipped, {}",
                counted(progress.ended(), "image"),
                progress.skipped,
                counted(progress.faces, "face")
            );
        }
    }

    /// A handle on the bar.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn problem(&mut self, text: &str) {
        let text = printable(text);
        self.problems += 1;
        match self.problems {
            0..SHOWN_PROBLEMS => self.bar.suspend(|| eprintln!("{text}")),
            SHOWN_PROBLEMS => {
                self.bar.suspend(|| eprintln!("{text}\n({MORE_PROBLEMS})"));
            }
            _ => {}
        }
    }
}

/// How following a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanEnd {
    /// Every image ended.
    Complete,
    /// A signal stopped it; this process was the worker.
    Interrupted,
    /// Everything is in the queue.
    Published,
    /// A signal stopped it; the workers go on.
    LeftToWorkers,
}

/// What a scan prints last.
pub(super) struct ScanSummary<'a> {
    pub(super) counts: &'a CampaignCounts,
    pub(super) campaign: &'a Campaign,
    /// The active profile of the gallery; none if it has no results.
    pub(super) active: Option<ProfileId>,
    pub(super) end: ScanEnd,
    pub(super) elapsed: Duration,
    /// The share of images without a result from which on the scan failed.
    pub(super) fail_over: f64,
    /// What --prune took out.
    pub(super) pruned: Option<Pruned>,
    /// Whether retention has removed images of the gallery, which are then skipped.
    pub(super) retention: bool,
}

impl ScanSummary<'_> {
    /// Prints it; the exit status of the command.
    pub(super) fn print(&self, json: bool) -> Result<ExitCode> {
        if json {
            say_json(&self.view())?;
        } else {
            say(self.text())?;
        }
        Ok(self.exit_code())
    }

    /// Says what is wrong with the scan as a whole; the exit status of the command.
    pub(super) fn exit_code(&self) -> ExitCode {
        let failure = self.failure();
        if let Some(failure) = &failure {
            eprintln!("facefleet: {}", printable(failure));
        }
        let progress = &self.counts.progress;
        let all_listed = self.counts.unlisted == 0;
        let all_well = all_listed
            && failure.is_none()
            && !progress.outcomes.contains_key(&OutcomeKind::Failed);
        match self.end {
            ScanEnd::Interrupted | ScanEnd::LeftToWorkers => ExitCode::from(INTERRUPTED),
            ScanEnd::Complete if all_well && progress.left() == 0 => ExitCode::SUCCESS,
            ScanEnd::Published if all_listed => ExitCode::SUCCESS,
            ScanEnd::Complete | ScanEnd::Published => ExitCode::from(SOME_FAILED),
        }
    }

    /// What is wrong with the scan as a whole.
    pub(super) fn failure(&self) -> Option<String> {
        verdict(self.counts, self.fail_over).filter(|_| self.end != ScanEnd::Published)
    }

    fn text(&self) -> String {
        let Self { counts, campaign, .. } = self;
        let mut text = format!(
            "gallery {}, profile {}, campaign {}\n",
            campaign.gallery, campaign.profile, campaign.id
        );
        text += &self.done();
        text += &not_listed::text(&counts.not_listed);
        if counts.progress.listed > 0 {
            text += &not_listed::empty_roots(&counts.not_listed);
        }
        if counts.unlisted > 0 {
            text += &format!(
                "{} files, folders or rows of lists could not be listed\n",
                counts.unlisted
            );
        }
        text += &missing::text(&campaign.gallery, counts.source, self.pruned.as_ref());
        if let Some(next) = self.next() {
            text += &format!("{next}\n");
        }
        let Campaign { gallery, profile, .. } = self.campaign;
        if let Some(shadow) = self.active.as_ref().and_then(|it| shadow(gallery, it, profile)) {
            text += &format!("{shadow}\n");
        }
        text + &accounts(&counts.progress)
    }

    /// What was done.
    pub(super) fn done(&self) -> String {
        let (progress, seconds) = (&self.counts.progress, self.elapsed.as_secs_f64());
        if progress.listing_done && progress.listed == 0 {
            let source = printable(&self.campaign.source);
            let met = not_listed::brief(&self.counts.not_listed);
            let met = match met {
                Some(met) => format!(": {met}"),
                // The next line says so.
                None if self.counts.unlisted > 0 => String::new(),
                None => ": there is nothing".to_owned(),
            };
            let by = if source.starts_with("--") { "by" } else { "below" };
            return format!("no image found {by} {source}{met}\n");
        }
        if progress.listed > 0 && progress.listed == progress.skipped {
            let removed = match self.retention {
                true => format!(
                    ", or retention removed it (`facefleet audit --gallery {} --kind retention`)",
                    self.campaign.gallery
                ),
                false => String::new(),
            };
            return format!("nothing to do: every image is up to date{removed}\n");
        }
        let rate = progress.ended() as f64 / seconds.max(1e-9);
        format!(
            "{} in {seconds:.1} s ({rate:.1} images/s), {}\n",
            counted(progress.ended(), "image"),
            counted(progress.faces, "face")
        )
    }

    /// What the user can do next.
    pub(super) fn next(&self) -> Option<String> {
        let (progress, id) = (&self.counts.progress, self.campaign.id);
        let show = format!("`facefleet campaign show {id}` shows the progress");
        match self.end {
            ScanEnd::Complete => None,
            ScanEnd::Interrupted => {
                Some("interrupted: the same command continues from here".to_owned())
            }
            ScanEnd::Published => Some(format!("in the queue: {show}")),
            ScanEnd::LeftToWorkers if progress.listing_done => {
                Some(format!("no longer waiting: {show}"))
            }
            ScanEnd::LeftToWorkers if progress.chunk_to.is_some() => {
                Some(format!("interrupted: the same command with --resume {id} continues"))
            }
            ScanEnd::LeftToWorkers => Some(
                "interrupted: the jobs in the queue go on; the same command, run again, does the \
                    rest"
                    .to_owned(),
            ),
        }
    }

    fn view(&self) -> ScanSummaryLine {
        let Self { counts, campaign, active, end, elapsed, .. } = self;
        let progress = &counts.progress;
        ScanSummaryLine {
            summary: ScanSummaryView {
                gallery: campaign.gallery.clone(),
                profile: campaign.profile.clone(),
                active_profile: active.clone(),
                campaign: campaign.id,
                listed: progress.listed,
                skipped: progress.skipped,
                outcomes: outcome_counts(progress),
                left: progress.left(),
                face_count: progress.faces,
                unlisted: counts.unlisted,
                seconds: elapsed.as_secs_f64(),
                interrupted: matches!(end, ScanEnd::Interrupted | ScanEnd::LeftToWorkers),
                reasons: counts.failures.most_frequent(),
                failure: self.failure(),
                missing: counts.source.map(|check| check.missing),
                missing_in_empty_folders: counts.source.map(|check| check.unsure),
                pruned: self.pruned.as_ref().map(|pruned| PrunedView {
                    gone: pruned.gone,
                    moved: pruned.moved,
                    curation_ids: pruned.curations.clone(),
                }),
                not_listed: counts.not_listed.counts.clone(),
            },
        }
    }
}

/// Says that results of `profile` are not what the gallery shows, if they are not.
pub(super) fn shadow(
    gallery: &GalleryName,
    active: &ProfileId,
    profile: &ProfileId,
) -> Option<String> {
    (active != profile).then(|| {
        format!(
            "a shadow: gallery {gallery} is shown and searched under its active profile {active}; \
             `facefleet profile compare {active} {profile} --gallery {gallery}` compares the two, \
             `facefleet profile activate {profile} --gallery {gallery}` makes this one active"
        )
    })
}

/// The line that accounts for every image.
pub(super) fn accounts(progress: &CampaignProgress) -> String {
    let outcomes: Vec<String> = outcome_counts(progress)
        .into_iter()
        .filter(|(kind, count)| *kind != OutcomeKind::Erased || *count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let left = match progress.left() {
        0 => String::new(),
        left => format!(" + {left} left"),
    };
    format!(
        "{} listed = {} + {} skipped{left}",
        progress.listed,
        outcomes.join(" + "),
        progress.skipped
    )
}
