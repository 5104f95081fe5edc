//! `facefleet profile list`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{gallery_lines, of_gallery};
use crate::app::App;
use crate::cli::{say, say_json};
use crate::domain::{GalleryName, Precision};
use crate::store::{Store, choose_profile};
use crate::view::profile::ProfileView;

/// List the profiles of the store, each with its galleries: which is active and what it lacks, and
/// what the others cover of its images and in which settings they differ from it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListProfilesArgs {
    /// Only the profiles of this gallery.
    #[arg(long, value_name = "NAME")]
    gallery: Option<GalleryName>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl ListProfilesArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        if let Some(gallery) = &self.gallery {
            choose_profile(store.as_ref(), gallery, None).await?;
        }
        let profiles = views(store.as_ref(), self.gallery.as_ref()).await?;
        store.close().await;
        for profile in &profiles {
            if self.json { say_json(profile)? } else { say_profile(profile)? }
        }
        if profiles.is_empty() && !self.json {
            say("the store has no profile: fill it with `facefleet scan FOLDER`")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn views(store: &dyn Store, gallery: Option<&GalleryName>) -> Result<Vec<ProfileView>> {
    let of_galleries = store.gallery_profiles().await?;
    let mut views = Vec::new();
    for stored in store.profiles().await? {
        let id = stored.profile.id();
        let mut galleries = Vec::new();
        for of in of_galleries.iter().filter(|of| of.profile == id) {
            if gallery.is_none_or(|gallery| *gallery == of.gallery) {
                galleries.push(of_gallery(store, of.clone(), &stored.profile).await?);
            }
        }
        if gallery.is_none() || !galleries.is_empty() {
            views.push(ProfileView::stored(&stored, galleries));
        }
    }
    Ok(views)
}

fn say_profile(profile: &ProfileView) -> Result<()> {
    say(summary_line(profile))?;
    for gallery in &profile.galleries {
        for line in gallery_lines(gallery) {
            say(format!("  {line}"))?;
        }
    }
    if profile.galleries.is_empty() {
        say("  no gallery has results of it")?;
    }
    Ok(())
}

/// A profile, in a line.
pub(super) fn summary_line(profile: &ProfileView) -> String {
    let ProfileView { profile: id, detector, recogniser, precision, mapping_kind, .. } = profile;
    let detector = detector.as_deref().unwrap_or("no detector (chips)");
    let precision = precision_name(*precision);
    format!(
        "{id}  {detector}, {recogniser} in {precision}, SER-FIQ {}, mapping {}",
        profile.ser_fiq.replace('_', " "),
        mapping_kind.replace('_', " ")
    )
}

fn precision_name(precision: Precision) -> &'static str {
    match precision {
        Precision::Float32 => "32 bits",
        Precision::Half => "half precision",
        Precision::Bfloat16 => "bfloat16",
    }
}
