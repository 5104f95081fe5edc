//! `facefleet rescore`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::profile_arg::ProfileArg;
use super::progress::{ScanEnd, ScanSummary, accounts, shadow};
use super::running::{CountAhead, EndedCampaign, Fleet, RunningCampaign};
use super::scan::share;
use super::scan_source::check;
use super::{GalleryArgs, printable, say, say_json};
use crate::app::App;
use crate::app::session::Session;
use crate::domain::{Campaign, CampaignId, Faces, Lane, Profile, ProfileId, counted};
use crate::gallery::campaign::resume;
use crate::gallery::failures::failed;
use crate::gallery::follow::{CampaignCounts, CampaignRun};
use crate::gallery::list::Images;
use crate::gallery::pace::JobRate;
use crate::gallery::rescore::{
    RescoreImages, RescorePlan, RescoreWhich, is_of_chips, source_profile,
};
use crate::gallery::takers::Wanted;
use crate::images::{Places, Root};
use crate::store::Store;
use crate::view::outcome_counts;
use crate::view::rescore::{RescoreSummaryLine, RescoreSummaryView};

/// Score the images of a gallery under the profile of the settings, next to the results that they
/// have under another one.
///
/// The images are those of the gallery in the store: nothing is listed, and no source is asked for
/// more than the bytes. The results of the other profile stay as they are, and so do subjects,
/// references and decisions. Images that have a final outcome under the new profile are skipped,
/// also those without a face, so the same command continues after an interruption.
///
/// An image whose bytes changed since it was recorded is refused: scan it. An image that is gone
/// ends as unreadable, and keeps the result that it has.
///
/// With the queue in this process (the default), this process also scores the images. With a queue
/// on a broker, it publishes jobs for `facefleet worker` processes with the new profile; --wait
/// waits for them. Workers take enrolments and scans first.
#[derive(Debug, Args)]
pub(super) struct RescoreArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Re-score images without a final outcome under the new profile. This is the default.
    #[arg(long, conflicts_with = "all")]
    missing: bool,
    /// Re-score all images. A final outcome that an image has under the new profile already stays
    /// as it is: this only shows that it would be the same.
    #[arg(long)]
    all: bool,
    /// Re-score the images that this profile has results of [default: the gallery's profile, or the
    /// latest other one if that is the new profile].
    #[arg(long, value_name = "PROFILE")]
    from_profile: Option<ProfileArg>,
    /// Which faces of an image: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// Publish no more images than this in a time, such as 50/s, 90/min or 1000/h. On a fleet, the
    /// command runs until the last one is published.
    #[arg(long, value_name = "N/s")]
    rate: Option<JobRate>,
    /// Images may be read from here too. May be repeated.
    #[arg(
        long = "root",
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    allowed: Vec<Root>,
    /// With a fleet: wait until the workers have ended every image, and show the progress.
    #[arg(long)]
    wait: bool,
    /// With a fleet: continue a campaign whose listing was interrupted.
    #[arg(long, value_name = "CAMPAIGN")]
    resume: Option<CampaignId>,
    /// Exit with 3 and say why if more than this share of all listed images, 0 to 1, end as
    /// unreadable, refused or failed. 1 accepts everything.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE", value_parser = share)]
    fail_over: f64,
    /// Print JSON, one object a line: each image as it ends, then the summary.
    #[arg(long)]
    json: bool,
}

/// What is found before anything is scored.
struct ToRescore {
    profile: Profile,
    plan: RescorePlan,
    images: RescoreImages,
    /// The gallery's active profile.
    active: Option<ProfileId>,
}

impl RescoreArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        if app.is_embedded() && self.resume.is_some() {
            bail!(
                "--resume needs a queue on a broker. Run the same command again: it skips images \
                    that have an outcome"
            );
        }
        let store = app.filled_store().await?;
        let ToRescore { profile, plan, images, active } = self.find(&app, &store).await?;
        let (lost, unasked) = ((images.lost, images.lost_example.clone()), images.unasked);
        let gone = images.gone;
        let summary = |campaign, ended| RescoreSummary {
            args: &self,
            plan: &plan,
            active,
            lost,
            unasked,
            gone,
            campaign,
            ended,
        };
        if images.missing == 0 && plan.which == RescoreWhich::Missing && self.resume.is_none() {
            let ended = nothing_to_do(images.images);
            store.close().await;
            return summary(None, ended).print();
        }
        let campaign = match self.resume {
            None => plan.campaign(),
            Some(id) => resume(id, &plan.campaign(), store.as_ref()).await?,
        };
        let (count, folders) = (CountAhead::Known(images.images), images.folders.clone());
        let images = Images::Rescore(Box::new(images));
        let selection = plan.selection;
        let run = CampaignRun { images, campaign: campaign.clone(), selection, claim: None };
        let ended = if app.is_embedded() {
            let session = Session::open(&app, &self.allowed, profile.is_of_chips()).await?;
            let ended = RunningCampaign::run_here(session, run, count, self.json).await?;
            store.close().await;
            ended
        } else {
            store.register_profile(&profile).await?;
            let wanted = Wanted {
                queue: app.queue_name(),
                lane: Lane::Rescore,
                profile: plan.to.clone(),
                roots: folders.roots().to_vec(),
            };
            let fleet = Fleet { queue: app.queue().await?, store, wanted, wait: self.wait };
            RunningCampaign::run_on_fleet(fleet, run, count, self.json).await?
        };
        summary(Some(campaign), ended).print()
    }

    /// Finds the images, before the models are loaded.
    async fn find(&self, app: &App, store: &Arc<dyn Store>) -> Result<ToRescore> {
        let gallery = self.gallery.gallery.clone();
        let named = self.from_profile.as_ref();
        let mut from = ProfileArg::of_gallery(named, app, store.as_ref(), &gallery).await?;
        // Chips are scored as chips again.
        let profile = app.profile(is_of_chips(store.as_ref(), &from).await?)?;
        let which = if self.all { RescoreWhich::All } else { RescoreWhich::Missing };
        let (to, selection) = (profile.id(), app.settings().selection());
        if self.from_profile.is_none() {
            from = source_profile(store.as_ref(), &gallery, from, &to).await?;
        }
        let plan = RescorePlan { gallery, from, to, selection, which };
        let mut roots = app.allowed_roots()?;
        roots.extend(self.allowed.iter().cloned());
        let chips = app.chips(&profile.alignment)?;
        let known = app.is_embedded() || !roots.is_empty();
        let allowed = known.then(|| Places::new(&roots));
        let mut images = RescoreImages::find(
            Arc::clone(store),
            plan.clone(),
            allowed.as_ref(),
            chips.as_deref(),
        )
        .await?;
        check(&images.outside, images.images, app)?;
        images.rate = self.rate;
        let active = store.active_profile(&plan.gallery).await?;
        Ok(ToRescore { profile, plan, images, active })
    }
}

/// The end of a re-score in which no image was missing.
fn nothing_to_do(images: u64) -> EndedCampaign {
    let mut counts = CampaignCounts::default();
    (counts.progress.listed, counts.progress.skipped) = (images, images);
    counts.progress.listing_done = true;
    EndedCampaign { counts, end: ScanEnd::Complete, elapsed: Duration::ZERO }
}

/// What a re-score prints last.
struct RescoreSummary<'a> {
    args: &'a RescoreArgs,
    plan: &'a RescorePlan,
    /// The gallery's active profile.
    active: Option<ProfileId>,
    /// References that are not listed: how many, and one of them.
    lost: (u64, Option<String>),
    /// References that the chip cache could not be asked for.
    unasked: u64,
    /// Images that are not listed, because they are gone.
    gone: u64,
    /// `None`: nothing was missing.
    campaign: Option<Campaign>,
    ended: EndedCampaign,
}

impl RescoreSummary<'_> {
    /// Prints it; the exit status of the command.
    fn print(&self) -> Result<ExitCode> {
        let (new, none) = (self.plan.campaign(), self.campaign.is_none());
        let EndedCampaign { counts, end, elapsed } = &self.ended;
        let scan = ScanSummary {
            counts,
            campaign: self.campaign.as_ref().unwrap_or(&new),
            active: self.active.clone(),
            end: *end,
            elapsed: *elapsed,
            fail_over: self.fail_over(),
            pruned: None,
            // The message of a re-score with nothing to do is another one.
            retention: false,
        };
        if self.args.json {
            say_json(&self.view(&scan))?;
        } else {
            say(if none { self.nothing_missing() } else { self.text(&scan) })?;
        }
        Ok(scan.exit_code())
    }

    /// The accepted share of the images that ended. Those that are done count as good ones, so that
    /// a re-score of the few images that are gone does not fail each time.
    fn fail_over(&self) -> f64 {
        let progress = &self.ended.counts.progress;
        let accepted = failed(progress) as f64 <= self.args.fail_over * progress.listed as f64;
        if accepted { 1.0 } else { self.args.fail_over }
    }

    fn nothing_missing(&self) -> String {
        let RescorePlan { gallery, from, to, .. } = self.plan;
        let images = self.ended.counts.progress.listed;
        let mut text = format!(
            "nothing to do: all {images} images of gallery {gallery} have an outcome under \
                profile {to}"
        );
        if from == to {
            text += ". It is the profile whose images are re-scored: change the settings to the \
                new models, or name another profile with --from-profile";
        }
        text + &self.not_listed()
    }

    fn text(&self, scan: &ScanSummary<'_>) -> String {
        let RescorePlan { gallery, from, to, .. } = self.plan;
        let mut text = format!(
            "gallery {gallery}, from profile {from} to profile {to}, campaign {}\n",
            scan.campaign.id
        );
        text += &scan.done();
        if self.ended.counts.from_chips > 0 {
            text += &format!("{} from the chip cache\n", self.ended.counts.from_chips);
        }
        text += &accounts(&self.ended.counts.progress);
        text += &self.not_listed();
        // What is not complete yet is no candidate for activation.
        if let Some(next) = scan.next() {
            return format!("{text}\n{next}");
        }
        match self.active.as_ref().and_then(|active| shadow(gallery, active, to)) {
            Some(shadow) => text + "\n" + &shadow,
            None => text,
        }
    }

    /// What is not listed, and why.
    fn not_listed(&self) -> String {
        let mut text = String::new();
        if self.gone > 0 {
            text += &format!("\nnot listed: {} gone from the source", counted(self.gone, "image"));
        }
        if self.unasked > 0 {
            text += &format!(
                "\nnot listed: {} of people, whose bytes their source no longer has, because the \
                    chip cache (chips.url) cannot be asked for them: re-score again once it can",
                counted(self.unasked, "reference")
            );
        }
        let (count, Some(example)) = &self.lost else { return text };
        text += &format!(
            "\nnot listed: {} of people, whose bytes their source no longer has, such as {}. Enrol \
                these people anew before you search under the new profile",
            counted(*count, "reference"),
            printable(example)
        );
        text
    }

    fn view(&self, scan: &ScanSummary<'_>) -> RescoreSummaryLine {
        let CampaignCounts { progress, failures, .. } = &self.ended.counts;
        let RescorePlan { gallery, from, to, .. } = self.plan;
        RescoreSummaryLine {
            summary: RescoreSummaryView {
                gallery: gallery.clone(),
                from_profile: from.clone(),
                profile: to.clone(),
                campaign: self.campaign.as_ref().map(|campaign| campaign.id),
                listed: progress.listed,
                skipped: progress.skipped,
                outcomes: outcome_counts(progress),
                left: progress.left(),
                face_count: progress.faces,
                from_chip_cache: self.ended.counts.from_chips,
                gone_images: self.gone,
                lost_references: self.lost.0,
                unasked_references: self.unasked,
                seconds: self.ended.elapsed.as_secs_f64(),
                interrupted: matches!(
                    self.ended.end,
                    ScanEnd::Interrupted | ScanEnd::LeftToWorkers
                ),
                reasons: failures.most_frequent(),
                failure: scan.failure(),
            },
        }
    }
}
