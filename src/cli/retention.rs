//! `facefleet retention`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::interrupt::{Interrupted, stop_on_signal};
use super::operator::OperatorArgs;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{
    ErasureTarget, GalleryName, OperatorName, RetentionRules, counted, one_or_many,
};
use crate::gallery::retention::Retainer;
use crate::gallery::subjects::{SubjectError, require_gallery};
use crate::store::Store;
use crate::view::retention::RetentionView;

/// Remove what galleries keep only for so many days, by the [[retention]] tables of the settings:
/// images that nobody has, rejected enrolments, verdicts that decide nothing any more.
///
/// Cannot be undone. A later scan does not bring a removed image back; an enrolment does. If it is
/// interrupted, run it again: it goes on. On Postgres, the role must own the schema. `facefleet
/// audit` lists every run.
#[derive(Debug, Args)]
pub(super) struct RetentionArgs {
    /// Only in this gallery [default: in every gallery with rules].
    #[arg(long, value_name = "NAME")]
    gallery: Option<GalleryName>,
    /// Say what would be removed, and remove nothing. Entries of the chip cache are not counted.
    #[arg(long)]
    dry_run: bool,
    /// Write the files of the store anew at the end, without what was deleted. It takes as long as
    /// copying it, and holds up workers meanwhile.
    #[arg(long, conflicts_with = "dry_run")]
    rewrite: bool,
    #[command(flatten)]
    by: OperatorArgs,
    /// Print one JSON object a line, for each gallery.
    #[arg(long)]
    json: bool,
}

impl RetentionArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let all = match &self.gallery {
            None => app.settings().retention.clone(),
            Some(gallery) => {
                vec![app.settings().rules_of(gallery).cloned().with_context(|| {
                    format!(
                        "the settings have no [[retention]] table of gallery {gallery}: see \
                        docs/privacy.md"
                    )
                })?]
            }
        };
        if all.is_empty() {
            if !self.json {
                say("every gallery keeps everything: write a [[retention]] table into the \
                    settings, see docs/privacy.md")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let by = self.by.name()?;
        let stop = stop_on_signal(|| eprintln!("stopping: run it again to go on"))?;
        let store = app.filled_store().await?;
        let queue = app.shared_queue().await?;
        let chips = app.kept_chips()?;
        let retainer =
            Retainer { store: store.as_ref(), queue: queue.as_deref(), chips: chips.as_ref() };
        let mut views = Vec::new();
        for rules in &all {
            self.check_gallery(store.as_ref(), &rules.gallery).await?;
            views.push(self.view(&retainer, rules, &by, &stop.token()).await?);
        }
        if self.rewrite {
            store.rewrite().await.context("it is removed, and the files were not written anew")?;
            views.iter_mut().for_each(|view| view.rewritten = true);
        }
        if let Some(queue) = queue {
            queue.close().await;
        }
        store.close().await;
        for view in &views {
            if self.json { say_json(view)? } else { show(view)? }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// A gallery that is named and that the store does not have is an error. One of the settings
    /// may come.
    async fn check_gallery(&self, store: &dyn Store, gallery: &GalleryName) -> Result<()> {
        if store.is_known(gallery, &ErasureTarget::Gallery).await? {
            return Ok(());
        }
        match require_gallery(store, gallery).await {
            Err(SubjectError::Gallery(error)) if self.gallery.is_none() => {
                eprintln!("{}", printable(&error.to_string()));
                Ok(())
            }
            checked => Ok(checked?),
        }
    }

    async fn view(
        &self,
        retainer: &Retainer<'_>,
        rules: &RetentionRules,
        by: &OperatorName,
        stop: &CancellationToken,
    ) -> Result<RetentionView> {
        if self.dry_run {
            return Ok(RetentionView::of_trial(rules, by, retainer.due(rules).await?));
        }
        let run = retainer.run(rules, by, stop).await?.ok_or(Interrupted)?;
        Ok(RetentionView::new(rules, &run))
    }
}

fn show(view: &RetentionView) -> Result<()> {
    let RetentionView { gallery, rules, by, removed, .. } = view;
    say(printable(&match &view.retention {
        None => format!("gallery {gallery}: would remove"),
        Some(id) => format!("gallery {gallery}: removed, by {by} (retention {id})"),
    }))?;
    let kept = |days: Option<u32>| match days {
        None => "kept for ever".to_owned(),
        Some(days) => format!("kept for {}", counted(days.into(), "day")),
    };
    for (count, (one, many), days) in [
        (removed.images, ("image that nobody has", "images that nobody has"), rules.images_days),
        (
            removed.dead_letters,
            ("dead letter that names nobody", "dead letters that name nobody"),
            rules.images_days,
        ),
        (removed.rejected, ("rejected enrolment", "rejected enrolments"), rules.rejected_days),
        (
            removed.rejected_images,
            ("image of them that nobody has", "images of them that nobody has"),
            rules.rejected_days,
        ),
        (
            removed.verdicts,
            ("verdict that decides nothing", "verdicts that decide nothing"),
            rules.verdicts_days,
        ),
    ] {
        say(format!("{count:>10} {} ({})", one_or_many(count, one, many), kept(days)))?;
    }
    Ok(())
}
