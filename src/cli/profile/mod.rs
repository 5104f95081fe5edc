//! `facefleet profile …`

mod activate;
mod compare;
mod list;
mod retire;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use self::activate::ActivateArgs;
use self::compare::CompareProfilesArgs;
use self::list::ListProfilesArgs;
use self::retire::RetireArgs;
use self::show::ShowProfileArgs;
use super::profile_arg::ProfileArg;
use crate::app::App;
use crate::domain::{Profile, counted, profile_differences};
use crate::gallery::profiles::Percent;
use crate::store::{GalleryProfile, ProfileCoverage, Store};
use crate::view::profile::{DifferenceView, ProfileCoverageView, ProfileOfGalleryView};

/// A profile is all that a score depends on: models, alignment, estimator and mapping. A gallery
/// has one active profile, which is shown, searched and enrolled under; a scan under another
/// profile fills a shadow next to it. docs/models.md shows how to change a model.
///
/// PROFILE is an id or its first digits, as long as no other begins so, `active`, or `settings` for
/// the profile of the present settings.
#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    List(ListProfilesArgs),
    Show(ShowProfileArgs),
    Compare(CompareProfilesArgs),
    Activate(ActivateArgs),
    Retire(RetireArgs),
}

impl ProfileCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        match self {
            Self::List(list) => list.run(app).await,
            Self::Show(show) => show.run(app).await,
            Self::Compare(compare) => compare.run(app).await,
            Self::Activate(activate) => activate.run(app).await,
            Self::Retire(retire) => retire.run(app).await,
        }
    }
}

/// What a gallery has of `profile`.
async fn of_gallery(
    store: &dyn Store,
    of: GalleryProfile,
    profile: &Profile,
) -> Result<ProfileOfGalleryView> {
    // What was recorded a moment ago may be gone.
    let coverage = store.coverage(&of.gallery, &of.profile).await?;
    let coverage = coverage.unwrap_or_else(|| ProfileCoverage {
        active: of.profile.clone(),
        coverage: Default::default(),
        attempts: Default::default(),
    });
    let active = store.profile(&coverage.active).await?;
    let differences = active.map(|active| profile_differences(profile, &active));
    let differences = differences.into_iter().flatten().map(DifferenceView::from).collect();
    Ok(ProfileOfGalleryView::new(of, &coverage, differences))
}

/// A gallery of a profile: what it has, and how it differs from the active one.
fn gallery_lines(of: &ProfileOfGalleryView) -> Vec<String> {
    let ProfileOfGalleryView { gallery, active, images, coverage, differences } = of;
    let images = counted(*images, "image");
    if *active {
        return vec![format!("{gallery}: active, {images}{}", active_gaps(coverage))];
    }
    let mut lines = vec![format!("{gallery}: shadow, {images}, {}", coverage_text(coverage))];
    if !differences.is_empty() {
        let told: Vec<String> = differences.iter().map(difference_text).collect();
        lines.push(format!("  unlike the active one: {}", told.join("; ")));
    }
    lines
}

fn difference_text(difference: &DifferenceView) -> String {
    let DifferenceView { setting, value, active } = difference;
    let [value, active] = [value, active].map(|value| value.as_deref().unwrap_or("default"));
    format!("{setting} {value} instead of {active}")
}

/// What the active profile lacks, for people; empty if it lacks nothing.
fn active_gaps(coverage: &ProfileCoverageView) -> String {
    let ProfileCoverageView { images, covered, references, lost_references, .. } = coverage;
    let mut text = String::new();
    let missing = images.saturating_sub(*covered);
    if missing > 0 {
        text += &format!("; lacks {} that other profiles have", counted(missing, "image"));
    }
    if *references > 0 {
        text += &format!("; {}", counted(*references, "reference"));
    }
    if *lost_references > 0 {
        text += &format!(", {lost_references} without a template");
    }
    text
}

/// What a profile covers, for people.
fn coverage_text(coverage: &ProfileCoverageView) -> String {
    let ProfileCoverageView { images, covered, percent, references, lost_references, .. } =
        coverage;
    let mut text = format!("covers {covered} of {images} ({})", Percent(*percent));
    let ProfileCoverageView { unreadable, refused, failed, .. } = coverage;
    if unreadable + refused + failed > 0 {
        text += &format!("; {unreadable} unreadable, {refused} refused, {failed} failed");
    }
    if *references > 0 {
        text += &format!("; lacks {lost_references} of {}", counted(*references, "reference"));
    }
    text
}
