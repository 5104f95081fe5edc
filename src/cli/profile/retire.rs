//! `facefleet profile retire`

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::ProgressBar;

use super::ProfileArg;
use crate::app::App;
use crate::cli::interrupt::stop_on_signal;
use crate::cli::{INTERRUPTED, say, say_json};
use crate::domain::{GalleryName, counted};
use crate::gallery::profiles::sole_results;
use crate::gallery::retirement::Retirement;
use crate::store::SoleResults;
use crate::view::profile::RetiredView;

/// Delete the results, faces and templates of a profile in a gallery. Cannot be undone.
///
/// Images, subjects, references, decisions and campaigns stay, and so do the results of other
/// profiles. It is refused for an active profile, while a campaign or a worker records under it,
/// and, without --force, if images or active references have results under no other profile. A
/// retired profile can be scanned again. Ctrl-C ends it after some thousands of results, and
/// the same command does the rest. On Postgres, the role must own the schema.
#[derive(Debug, Args)]
pub(in crate::cli) struct RetireArgs {
    /// The profile: its id or the first digits of it, or `settings`.
    #[arg(value_name = "PROFILE")]
    profile: ProfileArg,
    /// The gallery.
    #[arg(long, value_name = "NAME", required_unless_present = "all_galleries")]
    gallery: Option<GalleryName>,
    /// Retire it in every gallery.
    #[arg(long, conflicts_with = "gallery")]
    all_galleries: bool,
    /// Say what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
    /// Retire it even if images or references have results under no other profile.
    #[arg(long)]
    force: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl RetireArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        let gallery = self.gallery.as_ref();
        let profile = self.profile.id(app, store.as_ref(), gallery).await?;
        let retirement = Retirement::new(store.as_ref(), profile, gallery).await?;
        let mut view = RetiredView {
            profile: retirement.profile.clone(),
            galleries: retirement.galleries.clone(),
            images: retirement.images,
            face_count: retirement.faces,
            sole_images: retirement.sole.images,
            sole_references: retirement.sole.references,
            sole_subjects: retirement.sole.subjects,
            deleted: 0,
            dry_run: self.dry_run,
            interrupted: false,
        };
        if !self.dry_run {
            if !self.force {
                retirement.require_covered()?;
            }
            let bar = if std::io::stderr().is_terminal() {
                ProgressBar::new(retirement.images)
            } else {
                ProgressBar::hidden()
            };
            let stop = stop_on_signal({
                let bar = bar.clone();
                move || bar.suspend(|| eprintln!("stopping"))
            })?;
            let token = stop.token();
            let run = retirement.run(store.as_ref(), &token, |done| bar.set_position(done));
            let deleted = run.await;
            bar.finish_and_clear();
            view.deleted = deleted?;
            view.interrupted = stop.is_stopped();
        }
        store.close().await;
        if self.json {
            say_json(&view)?
        } else {
            say(last_line(&view, retirement.sole))?
        }
        Ok(if view.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }
}

fn last_line(view: &RetiredView, sole: SoleResults) -> String {
    let RetiredView { profile, galleries, images, face_count, deleted, .. } = view;
    if galleries.is_empty() {
        return format!("nothing to do: there are no results of profile {profile}");
    }
    let names: Vec<&str> = galleries.iter().map(GalleryName::as_str).collect();
    let of = format!("of profile {profile} in {}", names.join(", "));
    if view.dry_run {
        let (images, faces) = (counted(*images, "image"), counted(*face_count, "face"));
        let told = format!("would delete the results of {images} with {faces} {of}");
        if sole == SoleResults::default() {
            return told + ". Other profiles have results of all of them";
        }
        let sole = sole_results(&sole);
        return format!("{told}. {sole} under no other profile: this takes --force");
    }
    let were = if *deleted == 1 { "was" } else { "were" };
    let line = format!("{} {of} {were} deleted", counted(*deleted, "result"));
    if view.interrupted {
        return line + "; interrupted: the same command does the rest";
    }
    line + "; images, people and decisions stay"
}
