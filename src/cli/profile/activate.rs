//! `facefleet profile activate`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{ProfileArg, coverage_text};
use crate::app::App;
use crate::cli::{GalleryArgs, OperatorArgs, printable, say, say_json};
use crate::domain::OperatorName;
use crate::gallery::profiles::{ActivationRequest, activate_profile};
use crate::view::profile::{ActivatedView, ProfileCoverageView};

/// Make a profile the active one of a gallery: from then on it is shown, searched and enrolled
/// under.
///
/// It is one change, which servers and workers follow at once. It is refused if the profile covers
/// less than --min-coverage of the images of the active one, or if searches would lose references.
/// Subjects, references and decisions stay: they are about images. Activating the old profile
/// undoes it. Who did it, when, and what was covered is kept (`facefleet profile show`).
#[derive(Debug, Args)]
pub(in crate::cli) struct ActivateArgs {
    /// The profile: its id or the first digits of it, or `settings`.
    #[arg(value_name = "PROFILE")]
    profile: ProfileArg,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// The least coverage, percent.
    #[arg(long, default_value_t = 99.9, value_name = "PERCENT", value_parser = percent)]
    min_coverage: f64,
    /// Activate it whatever it covers, and if references are lost.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    by: OperatorArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A percentage.
fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "use a number from 0 to 100, such as 99.9".to_owned())
}

impl ActivateArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let by = self.by.name()?;
        let gallery = self.gallery.gallery;
        let store = app.filled_store().await?;
        let profile = self.profile.id(app, store.as_ref(), Some(&gallery)).await?;
        let request = ActivationRequest {
            gallery: gallery.clone(),
            profile: profile.clone(),
            least_percent: self.min_coverage,
            force: self.force,
            by,
        };
        let done = activate_profile(store.as_ref(), &request).await?;
        let definition = store.profile(&profile).await?;
        store.close().await;
        if done.changed && definition.is_some_and(|new| app.thresholds_of(&new).is_none()) {
            eprintln!(
                "no similarity thresholds are known here for profile {profile}: verify tells no \
                    match, --fmr and --fpir fail, and enrolments are not compared with each other, \
                    until `facefleet calibrate` has measured some and quality.calibration names \
                    them"
            );
        }
        let view = ActivatedView {
            gallery,
            profile,
            instead_of: done.found.active.clone(),
            changed: done.changed,
            forced: done.forced,
            coverage: ProfileCoverageView::from(&done.found),
        };
        if self.json {
            say_json(&view)?
        } else {
            tell(&view, &request.by)?
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(view: &ActivatedView, by: &OperatorName) -> Result<()> {
    let ActivatedView { gallery, profile, instead_of, changed, forced, coverage } = view;
    if !changed {
        say(format!("profile {profile} is the active one of gallery {gallery} already"))?;
        return Ok(());
    }
    let forced = if *forced { ", forced" } else { "" };
    let covers = coverage_text(coverage);
    say(printable(&format!(
        "profile {profile} is the active one of gallery {gallery} now, by {by}{forced}; it {covers}"
    )))?;
    say(format!("`facefleet profile activate {instead_of} --gallery {gallery}` undoes it"))?;
    Ok(())
}
