//! `facefleet remap`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::stop_on_signal;
use super::profile_arg::ProfileArg;
use super::progress::shadow;
use super::{GalleryArgs, INTERRUPTED, say, say_json};
use crate::app::App;
use crate::domain::ProfileId;
use crate::gallery::remap::RemapPlan;
use crate::quality::calibration::Calibration;
use crate::view::remap::RemapView;

/// Give the results of a gallery the qualities of another calibration, without scoring again.
///
/// The mapping from score to quality is part of the profile. So the results, faces and templates of
/// a profile are copied to another one, with qualities computed from the stored scores. Scans whose
/// settings name the calibration (`quality.calibration`) then find these images up to date. The
/// results of the first profile stay, and are shown until the new one is activated (`facefleet
/// profile activate`).
///
/// Repeating the command copies what is new. Ctrl-C ends it after some thousands of images, and the
/// same command does the rest.
#[derive(Debug, Args)]
pub(super) struct RemapArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// File that `facefleet calibrate` wrote [default: the setting `quality.calibration`].
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Profile of the results to copy [default: every one with the scores of the calibration].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl RemapArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let path = self.calibration_file(app)?;
        let calibration = Calibration::read(&path)?;
        let store = app.filled_store().await?;
        let gallery = &self.gallery.gallery;
        let from = match &self.profile {
            Some(named) => Some(named.id(app, store.as_ref(), Some(gallery)).await?),
            None => None,
        };
        let plan = RemapPlan::new(store.as_ref(), gallery, from.as_ref(), &calibration)
            .await
            .with_context(|| path.display().to_string())?;
        let sources: Vec<&str> = plan.sources().map(ProfileId::as_str).collect();
        if !self.json {
            let (from, to) = (sources.join(", "), plan.target.id());
            eprintln!("gallery {gallery}: {} results of profile {from} to {to}", plan.images);
        }
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(plan.images)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left")?);
        let stop = stop_on_signal({
            let bar = bar.clone();
            move || bar.suspend(|| eprintln!("stopping"))
        })?;
        let done =
            plan.run(store.as_ref(), &stop.token(), |totals| bar.set_position(totals.images)).await;
        bar.finish_and_clear();
        let done = done?;
        let active_profile = store.active_profile(gallery).await?;
        store.close().await;
        let view = RemapView {
            gallery: gallery.clone(),
            profile: plan.target.id(),
            active_profile,
            source_profiles: plan.sources().cloned().collect(),
            images: plan.images,
            copied: done.copied,
            up_to_date: done.images.saturating_sub(done.copied),
            face_count: done.faces,
            interrupted: stop.is_stopped(),
        };
        if self.json {
            say_json(&view)?
        } else {
            say(last_line(&view))?
        }
        Ok(if view.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn calibration_file(&self, app: &App) -> Result<PathBuf> {
        let setting = &app.settings().quality.calibration;
        match &self.calibration {
            Some(path) => Ok(path.clone()),
            None if !setting.as_os_str().is_empty() => Ok(app.settings().below_home(setting)),
            None => bail!(
                "no calibration: name the file that `facefleet calibrate` wrote with --calibration"
            ),
        }
    }
}

fn last_line(view: &RemapView) -> String {
    let RemapView { copied, up_to_date, face_count, .. } = view;
    let line = format!("{copied} copied with {face_count} faces, {up_to_date} were up to date");
    if view.interrupted {
        return line + "; interrupted: the same command does the rest";
    }
    let active = view.active_profile.as_ref();
    match active.and_then(|active| shadow(&view.gallery, active, &view.profile)) {
        Some(shadow) => format!("{line}\n{shadow}"),
        None => line,
    }
}
