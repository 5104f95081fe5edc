//! `facefleet profile show`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::list::summary_line;
use super::{ProfileArg, gallery_lines, of_gallery};
use crate::app::App;
use crate::cli::{printable, say, say_json};
use crate::domain::{GalleryName, Profile, ProfileId, SourcedThresholds};
use crate::store::{Store, StoredProfile};
use crate::view::profile::{ActivationView, ProfileDetailView, ProfileView};
use crate::view::threshold::ThresholdsView;

/// Show a profile: its models with their licences, what a quality means, where thresholds come
/// from, what it covers of each gallery, and who made it active when.
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowProfileArgs {
    /// The profile: its id or the first digits of it, `active`, or `settings`.
    #[arg(value_name = "PROFILE")]
    profile: ProfileArg,
    /// Only what this gallery has of it; and the gallery of `active`.
    #[arg(long, value_name = "NAME")]
    gallery: Option<GalleryName>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl ShowProfileArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        let id = self.profile.id(app, store.as_ref(), self.gallery.as_ref()).await?;
        let (profile, view) = self.view(app, store.as_ref(), &id).await?;
        let activations = self.activations(store.as_ref(), &id).await?;
        store.close().await;
        let thresholds = app.thresholds_of(&profile);
        let detail = ProfileDetailView::new(
            &profile,
            view,
            app.models_of(&profile),
            thresholds.as_ref().map(ThresholdsView::from),
            activations,
        );
        if self.json {
            say_json(&detail)?
        } else {
            tell(&detail, thresholds.as_ref())?
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn view(
        &self,
        app: &App,
        store: &dyn Store,
        id: &ProfileId,
    ) -> Result<(Profile, ProfileView)> {
        let stored = store.profiles().await?.into_iter().find(|stored| stored.profile.id() == *id);
        let (profile, since) = match (stored, &self.profile) {
            (Some(StoredProfile { profile, registered_at }), _) => (profile, Some(registered_at)),
            (None, ProfileArg::Settings) => (app.profile(false)?, None),
            (None, ProfileArg::Stored(_)) => bail!("profile {id} is not in the store any more"),
        };
        let mut galleries = Vec::new();
        for of in store.gallery_profiles().await?.into_iter().filter(|of| of.profile == *id) {
            if self.gallery.as_ref().is_none_or(|gallery| *gallery == of.gallery) {
                galleries.push(of_gallery(store, of, &profile).await?);
            }
        }
        let view = ProfileView::new(&profile, since, galleries);
        Ok((profile, view))
    }

    async fn activations(&self, store: &dyn Store, id: &ProfileId) -> Result<Vec<ActivationView>> {
        let all = store.activations().await?.into_iter();
        let wanted = all.filter(|each| {
            each.profile == *id
                && self.gallery.as_ref().is_none_or(|gallery| *gallery == each.gallery)
        });
        Ok(wanted.map(ActivationView::from).collect())
    }
}

fn tell(detail: &ProfileDetailView, thresholds: Option<&SourcedThresholds>) -> Result<()> {
    let ProfileDetailView { profile, models, .. } = detail;
    say(summary_line(profile))?;
    match &profile.registered_at {
        Some(since) => say(format!("  in the store since {since:.19}Z"))?,
        None => say("  the profile of the settings; the store has no results of it")?,
    }
    for model in models {
        let licence = model.licence.as_deref().unwrap_or("unknown: no manifest here is of it");
        say(printable(&format!("  {} {}: licence {licence}", model.role, model.model)))?;
        say(format!("    SHA-256 {}", model.sha256))?;
    }
    say(format!("  {}", estimator(detail)))?;
    say(printable(&format!("  mapping: {}", serde_json::to_string(&detail.mapping)?)))?;
    match thresholds {
        Some(known) => say(printable(&format!("  {known}")))?,
        None => say("  no similarity thresholds are known here: `facefleet calibrate` measures")?,
    }
    for gallery in &profile.galleries {
        for line in gallery_lines(gallery) {
            say(format!("  {line}"))?;
        }
    }
    for activation in &detail.activations {
        say(printable(&activation_line(activation)))?;
    }
    Ok(())
}

fn estimator(detail: &ProfileDetailView) -> String {
    let dropout = detail.dropout;
    let of_image = match detail.max_side {
        Some(side) => format!("the detector sees {side} pixels of the longest side"),
        None => "images are chips".to_owned(),
    };
    match detail.passes {
        None => format!("SER-FIQ in closed form, dropout {dropout}; {of_image}"),
        Some(passes) => {
            format!("SER-FIQ sampled in {passes} passes, dropout {dropout}; {of_image}")
        }
    }
}

fn activation_line(activation: &ActivationView) -> String {
    let ActivationView { gallery, at, by, forced, images, covered, .. } = activation;
    let by = by.as_deref().unwrap_or("an update: it was shown before");
    let forced = if *forced { ", forced" } else { "" };
    let found = match images.zip(*covered) {
        Some((images, covered)) => format!(", covered {covered} of {images} images"),
        None => String::new(),
    };
    format!("  activated in {gallery} at {at:.19}Z, by {by}{forced}{found}")
}
