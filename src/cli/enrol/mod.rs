//! `facefleet enrol`

mod display;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use self::display::{EnrolDisplay, EnrolEnd, EnrolSummary};
use super::interrupt::{StopOnSignal, stop_on_signal};
use super::profile_arg::ProfileArg;
use super::running::told;
use super::scan_source::SourceArgs;
use super::{GalleryArgs, not_listed, printable};
use crate::app::App;
use crate::app::session::Session;
use crate::domain::{Campaign, Lane, ProfileId, SubjectName};
use crate::gallery::campaign::run_on_fleet;
use crate::gallery::enrol::{SubjectImages, enrolment_campaign, require_active};
use crate::gallery::follow::{CampaignCounts, CampaignRun};
use crate::gallery::list::Images;
use crate::gallery::takers::{Wanted, refusal, watch};
use crate::images::{ListPlace, Root, Rules};
use crate::store::Store;

/// Most images that the description of a campaign names.
const NAMED: usize = 3;

/// Enrol people: accept images as references of subjects, or say why not.
///
/// Every image is scored, and then accepted, rejected with reasons, or left to a person to review,
/// if its face is like that of another subject. The checks and their thresholds are the settings
/// [enrol]; docs/enrolment.md lists the reason codes. The best images become the references of
/// their subject.
///
/// Images that were accepted for their subject before are skipped, so the same command continues
/// after an interruption. People are enrolled under the active profile of the gallery, which the
/// settings must be of (docs/models.md). On a fleet, the workers do the work, and decide by their
/// settings.
///
/// Exit status: 0 if every image is accepted, 3 if some are not, 130 interrupted.
#[derive(Debug, Args)]
pub(super) struct EnrolArgs {
    #[arg(
        required_unless_present = "subjects",
        conflicts_with = "subjects",
        value_name = "IMAGE|FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from),
        help = "Images of one person: files, folders (searched at any depth), objects or prefixes \
            (s3://bucket/prefix, gs:, az:), and images on web servers (https:)"
    )]
    places: Vec<Root>,
    /// Whom the images show: 1 to 200 characters, such as a staff number.
    #[arg(long, value_name = "ID", required_unless_present = "subjects")]
    #[arg(conflicts_with = "subjects")]
    subject: Option<SubjectName>,
    /// Enrol many people: a list of images with a column subject, in the formats of `scan --from`.
    #[arg(
        long,
        value_name = "FILE|URL|-",
        value_parser = OsStringValueParser::new().try_map(ListPlace::try_from)
    )]
    subjects: Option<ListPlace>,
    /// The folder of the relative paths in the list [default: the folder of the list].
    #[arg(long, value_name = "FOLDER", requires = "subjects")]
    images: Option<PathBuf>,
    /// Images of the list may be read from here too. May be repeated.
    #[arg(
        long = "root",
        value_name = "FOLDER|URL",
        requires = "subjects",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    allowed: Vec<Root>,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Enrol under this profile, that of the settings, though another one is active.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// Print JSON, one object a line: each image with its decision as it ends, then the summary.
    #[arg(long)]
    json: bool,
}

/// The images to enrol.
struct EnrolSource {
    images: Images,
    /// What they are, for people. It names no subject.
    description: String,
    /// Where they may be read from.
    readable: Vec<Root>,
    /// What could not be listed.
    unlisted: u64,
}

impl EnrolArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        // Report a missing file before the models are loaded.
        let source = match (&self.subject, &self.subjects) {
            (Some(subject), _) => self.images_of(&app, subject).await?,
            (None, Some(list)) => self.images_of_list(&app, list).await?,
            (None, None) => bail!("name a subject with --subject, or many with --subjects"),
        };
        if app.is_embedded() {
            self.run_here(&app, source).await
        } else {
            self.run_on_fleet(&app, source).await
        }
    }

    async fn images_of(&self, app: &App, subject: &SubjectName) -> Result<EnrolSource> {
        let listing = app.listing_by(Rules::new(&[], &[])?, &self.places)?;
        let SubjectImages { images, not_listed, failed } =
            SubjectImages::find(&listing, subject).await?;
        for other in &not_listed {
            let text = format!("{}: {}", other.name, not_listed::reason(&other.reason));
            tracing::info!("{}", printable(&text));
        }
        for error in &failed {
            eprintln!("facefleet: {}", printable(&error.to_string()));
        }
        let mut names: Vec<String> = self.places.iter().take(NAMED).map(Root::recorded).collect();
        if self.places.len() > NAMED {
            names.push(format!("and {} more", self.places.len() - NAMED));
        }
        let description = names.join(", ");
        ensure!(!images.is_empty(), "no image found below {}", printable(&description));
        Ok(EnrolSource {
            images: Images::Given(images),
            description,
            readable: self.places.clone(),
            unlisted: failed.len() as u64,
        })
    }

    async fn images_of_list(&self, app: &App, list: &ListPlace) -> Result<EnrolSource> {
        if let Some(folder) = &self.images {
            ensure!(folder.is_dir(), "{}: there is no such folder", folder.display());
        }
        let source = SourceArgs::of_list(list.clone(), self.images.clone(), self.allowed.clone());
        let listing = source.with_lists(app, app.listing(&[])?).await?;
        let Some(survey) = listing.lists().map(|lists| lists.survey().clone()) else {
            bail!("{list}: it is no list")
        };
        // What is wrong with rows is told while they are listed.
        ensure!(survey.images + survey.bad > 0, "{list}: it names no image");
        ensure!(
            survey.named > 0 || survey.images == 0,
            "{list}: no row names a subject: give the list a column `subject` next to its column \
             of images"
        );
        Ok(EnrolSource {
            images: Images::Listing(Box::new(listing)),
            description: format!("--subjects {list} (digest {})", survey.digest),
            readable: source.readable(),
            unlisted: 0,
        })
    }

    fn campaign(&self, app: &App, profile: ProfileId, source: &EnrolSource) -> Campaign {
        let selection = app.settings().selection();
        let description = source.description.clone();
        enrolment_campaign(self.gallery.gallery.clone(), profile, selection, description)
    }

    async fn require_active(&self, app: &App, store: &dyn Store, own: &ProfileId) -> Result<()> {
        let gallery = &self.gallery.gallery;
        let wanted = match &self.profile {
            Some(named) => Some(named.id(app, store, Some(gallery)).await?),
            None => None,
        };
        Ok(require_active(store, gallery, own, wanted.as_ref()).await?)
    }

    /// Enrols in this process.
    async fn run_here(&self, app: &App, source: EnrolSource) -> Result<ExitCode> {
        let session = Session::open_for_enrolment(app, &source.readable).await?;
        let profile = session.profile_id();
        self.require_active(app, session.store().as_ref(), &profile).await?;
        let campaign = self.campaign(app, profile, &source);
        let mut running = RunningEnrolment::start(
            self,
            &campaign,
            "stopping: images in flight are finished first; interrupt again to stop at once",
        )?;
        let (run, stop) = (run_of(app, &campaign, source.images), running.stop.token());
        let counts =
            session.run(run, stop, |counts, event| running.display.show(counts, &event)).await?;
        let end =
            if running.stop.is_stopped() { EnrolEnd::Interrupted } else { EnrolEnd::Complete };
        running.finish(app, counts, source.unlisted, end).await
    }

    /// Publishes jobs for the fleet's workers, and follows them.
    async fn run_on_fleet(&self, app: &App, source: EnrolSource) -> Result<ExitCode> {
        let (store, queue) = (app.store().await?, app.queue().await?);
        let profile = app.profile(false)?;
        self.require_active(app, store.as_ref(), &profile.id()).await?;
        store.register_profile(&profile).await?;
        let campaign = self.campaign(app, profile.id(), &source);
        let mut running = RunningEnrolment::start(
            self,
            &campaign,
            "stopping: published jobs stay in the queue; interrupt again to stop at once",
        )?;
        let wanted = Wanted {
            queue: app.queue_name(),
            lane: Lane::Enrol,
            profile: profile.id(),
            roots: self.places.iter().chain(source.images.folders()).cloned().collect(),
        };
        let tell = |text: &str| eprintln!("{}", printable(text));
        let refusal = told(store.as_ref(), &wanted, refusal).await;
        let (run, stop) = (run_of(app, &campaign, source.images), running.stop.token());
        let (queue_of_run, store_of_run) = (queue.clone(), store.clone());
        let following =
            run_on_fleet(run, queue_of_run, store_of_run, true, stop, |counts, event| {
                running.display.show(counts, &event);
            });
        let counts = tokio::select! {
            counts = following => counts?,
            never = watch(store.as_ref(), &wanted, refusal, tell) => match never {},
        };
        queue.close().await;
        store.close().await;
        let end =
            if running.stop.is_stopped() { EnrolEnd::LeftToWorkers } else { EnrolEnd::Complete };
        running.finish(app, counts, source.unlisted, end).await
    }
}

fn run_of(app: &App, campaign: &Campaign, images: Images) -> CampaignRun {
    let (campaign, selection) = (campaign.clone(), app.settings().selection());
    CampaignRun { images, campaign, selection, claim: None }
}

/// An enrolment that is shown while it runs.
struct RunningEnrolment {
    campaign: Campaign,
    display: EnrolDisplay,
    stop: StopOnSignal,
    started: Instant,
    /// Whether its profile was asked for.
    profile_named: bool,
    json: bool,
}

impl RunningEnrolment {
    fn start(args: &EnrolArgs, campaign: &Campaign, on_stop: &'static str) -> Result<Self> {
        Ok(Self {
            campaign: campaign.clone(),
            display: EnrolDisplay::new(args.json),
            stop: stop_on_signal(move || eprintln!("{on_stop}"))?,
            started: Instant::now(),
            profile_named: args.profile.is_some(),
            json: args.json,
        })
    }

    /// Prints the summary; the exit status of the command.
    async fn finish(
        self,
        app: &App,
        counts: CampaignCounts,
        unlisted: u64,
        end: EnrolEnd,
    ) -> Result<ExitCode> {
        // What ran has closed its store.
        let store = app.store().await?;
        let decided = store.enrolment_counts(self.campaign.id).await?;
        let active = store.active_profile(&self.campaign.gallery).await?;
        store.close().await;
        let summary = EnrolSummary {
            campaign: &self.campaign,
            unlisted: unlisted + counts.unlisted,
            counts: &counts,
            decided,
            active,
            profile_named: self.profile_named,
            end,
            elapsed: self.started.elapsed(),
        };
        summary.print(self.json)
    }
}
