//! `facefleet profile …`

mod activate;
mod compare;
mod list;
mod retire;
mod show;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::Subcommand;

use self::activate::ActivateArgs;
use self::compare::CompareProfilesArgs;
use self::list::ListProfilesArgs;
use self::retire::RetireArgs;
use self::show::ShowProfileArgs;
use crate::app::App;
use crate::domain::{GalleryName, InvalidName, ProfileId, ProfileName};
use crate::gallery::profiles::{Percent, find_profile};
use crate::gallery::rescore::is_of_chips;
use crate::store::{GalleryProfile, ProfileCoverage, Store};
use crate::view::profile::{ProfileCoverageView, ProfileOfGalleryView};

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

/// A profile as a user names it.
#[derive(Debug, Clone)]
enum ProfileArg {
    /// That of the present settings.
    Settings,
    /// One of the store.
    Stored(ProfileName),
}

impl FromStr for ProfileArg {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "settings" { Ok(Self::Settings) } else { text.parse().map(Self::Stored) }
    }
}

impl ProfileArg {
    /// The id of the profile; that of the settings may be unknown to the store.
    async fn id(
        &self,
        app: &App,
        store: &dyn Store,
        gallery: Option<&GalleryName>,
    ) -> Result<ProfileId> {
        match self {
            Self::Settings => {
                // In a gallery of chips, the settings' profile is that of chips.
                let active = match gallery {
                    Some(gallery) => store.active_profile(gallery).await?,
                    None => None,
                };
                let aligned = match active {
                    Some(active) => is_of_chips(store, &active).await?,
                    None => false,
                };
                Ok(app.profile(aligned)?.id())
            }
            Self::Stored(name) => Ok(find_profile(store, name, gallery).await?),
        }
    }
}

/// What a gallery has of a profile.
async fn of_gallery(store: &dyn Store, of: GalleryProfile) -> Result<ProfileOfGalleryView> {
    // What was recorded a moment ago may be gone.
    let coverage = store.coverage(&of.gallery, &of.profile).await?;
    let coverage = coverage.unwrap_or_else(|| ProfileCoverage {
        active: of.profile.clone(),
        coverage: Default::default(),
        attempts: Default::default(),
    });
    Ok(ProfileOfGalleryView::new(of, &coverage))
}

/// A gallery of a profile, in a line.
fn gallery_line(of: &ProfileOfGalleryView) -> String {
    let ProfileOfGalleryView { gallery, active, images, coverage } = of;
    if *active {
        return format!("{gallery}: active, {images} images");
    }
    format!("{gallery}: shadow, {images} images, {}", coverage_text(coverage))
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
        text += &format!("; lacks {lost_references} of {references} references");
    }
    text
}
