//! `facefleet curate exclude`, `restore`, `keep`, `reassign`, `not-the-same` and `undo`.

use anyhow::Result;
use clap::Args;

use crate::app::App;
use crate::cli::named_image::NamedImage;
use crate::cli::{GalleryArgs, OperatorArgs, printable, say, say_json};
use crate::domain::{
    CurationId, ImageId, SubjectName, Verdict, VerdictId, VerdictReason, counted, one_or_many,
};
use crate::gallery::curate::{Curator, Undone, decide, find_image, newcomer, undo};
use crate::store::{ImageKey, Store};
use crate::view::curation::{CurationResultView, NewSubjectView};

/// Leave images out of searches, references, reports and exports.
///
/// They are still there: `show` shows them, and `curate restore` or `curate undo` brings them back
/// as they were.
#[derive(Debug, Args)]
pub(in crate::cli) struct ExcludeArgs {
    #[command(flatten)]
    images: ImagesArgs,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Bring excluded images back.
///
/// Their references are active again. Somebody looked at the images, so that they are not
/// suggested again.
#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArgs {
    #[command(flatten)]
    images: ImagesArgs,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Leave images as they are: they are not suggested any more.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeepArgs {
    #[command(flatten)]
    images: ImagesArgs,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Say whom images show, whatever jobs said.
///
/// They have that subject in reports, exports and searches from then on. References of other
/// subjects do not count while it is so. To make one a reference of its new subject, enrol it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReassignArgs {
    #[command(flatten)]
    images: ImagesArgs,
    /// Whom they show.
    #[arg(long, value_name = "SUBJECT")]
    to: SubjectName,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Say that two images do not show the same: neither the same picture nor the same person.
///
/// They are not suggested as duplicates, nor their subjects as one person.
#[derive(Debug, Args)]
pub(in crate::cli) struct NotTheSameArgs {
    /// An image: a path, a URI, or an `image_id`.
    #[arg(value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    image: NamedImage,
    /// The other one.
    #[arg(value_name = "OTHER", value_parser = NamedImage::parser_with_ids())]
    other: NamedImage,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Undo verdicts, or all verdicts of a curation.
///
/// The undo is added to the log; nothing is deleted from it.
#[derive(Debug, Args)]
#[group(required = true, multiple = false, args = ["verdicts", "curation"])]
pub(in crate::cli) struct UndoArgs {
    /// Numbers of verdicts, as `curate log` shows them.
    #[arg(value_name = "VERDICT")]
    verdicts: Vec<VerdictId>,
    /// The number of a curation: what one command, or one preview that was applied, decided.
    #[arg(long, value_name = "NUMBER")]
    curation: Option<CurationId>,
    #[command(flatten)]
    how: DecisionArgs,
}

/// Some images.
#[derive(Debug, Args)]
struct ImagesArgs {
    /// The images: paths, URIs, or `image_id`s.
    #[arg(required = true, value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    images: Vec<NamedImage>,
}

/// Who decides, where and why.
#[derive(Debug, Args)]
pub(super) struct DecisionArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    #[command(flatten)]
    by: OperatorArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<VerdictReason>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl DecisionArgs {
    fn curator(&self, app: &App) -> Result<Curator> {
        let (gallery, reason) = (self.gallery.gallery.clone(), self.reason.clone());
        Ok(Curator { gallery, by: self.by.name()?, reason, rules: app.settings().references() })
    }

    async fn find(&self, store: &dyn Store, image: &NamedImage) -> Result<ImageId> {
        let named = match &image.key {
            ImageKey::Id(id) => id.to_string(),
            ImageKey::Uris(uris) => uris.first().map(|uri| uri.for_people()).unwrap_or_default(),
        };
        Ok(find_image(store, &self.gallery.gallery, (&image.key, &named)).await?.id)
    }

    /// Gives each image the same verdict, and tells it: `done` is what became of them.
    async fn give(
        &self,
        (app, store): (&App, &dyn Store),
        images: &ImagesArgs,
        (verdict, done): (Verdict, &str),
    ) -> Result<()> {
        let verdicts = self.of_each(store, images, verdict).await?;
        self.write((app, store), verdicts, (done, None)).await
    }

    async fn of_each(
        &self,
        store: &dyn Store,
        images: &ImagesArgs,
        verdict: Verdict,
    ) -> Result<Vec<(ImageId, Verdict)>> {
        let mut verdicts = Vec::with_capacity(images.images.len());
        for image in &images.images {
            verdicts.push((self.find(store, image).await?, verdict.clone()));
        }
        Ok(verdicts)
    }

    async fn write(
        &self,
        (app, store): (&App, &dyn Store),
        verdicts: Vec<(ImageId, Verdict)>,
        (done, new_subject): (&str, Option<NewSubjectView>),
    ) -> Result<()> {
        let (curation_id, verdicts, unchanged_image_ids) =
            decide(store, self.curator(app)?, verdicts).await?;
        if !self.json && !unchanged_image_ids.is_empty() {
            let ids: Vec<String> = unchanged_image_ids.iter().map(ImageId::to_string).collect();
            say(format!("nothing to do for image {}", ids.join(", ")))?;
        }
        let gallery = self.gallery.gallery.clone();
        let result =
            CurationResultView { gallery, curation_id, verdicts, unchanged_image_ids, new_subject };
        tell(self.json, done, &result)
    }
}

/// Prints what was written, in a sentence or as JSON.
pub(super) fn tell(json: bool, done: &str, result: &CurationResultView) -> Result<()> {
    if json {
        say_json(result)?;
        return Ok(());
    }
    let CurationResultView { gallery, curation_id, verdicts, new_subject, .. } = result;
    match curation_id {
        Some(curation) => {
            say(printable(&format!("{}: {done}", counted(*verdicts, "verdict"))))?;
            if let Some(NewSubjectView { subject, similar_subjects }) = new_subject {
                let similar: Vec<String> =
                    similar_subjects.iter().map(|name| format!("'{}'", name.as_str())).collect();
                let meant = match similar.is_empty() {
                    true => String::new(),
                    false => format!(": was {} meant?", similar.join(" or ")),
                };
                let name = subject.as_str();
                say(printable(&format!("'{name}' is a new subject of gallery {gallery}{meant}")))?;
            }
            say(format!(
                "`facefleet curate undo --curation {curation} --gallery {gallery}` undoes it"
            ))?;
        }
        None => say("nothing was changed")?,
    }
    Ok(())
}

impl ExcludeArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        let done = "left out of searches, references, reports and exports";
        self.how.give((app, store), &self.images, (Verdict::Exclude, done)).await
    }
}

impl RestoreArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        self.how.give((app, store), &self.images, (Verdict::Restore, "not excluded any more")).await
    }
}

impl KeepArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        self.how
            .give((app, store), &self.images, (Verdict::Keep, "kept, and not suggested again"))
            .await
    }
}

impl ReassignArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        let done = format!("shown as '{}' now", self.to.as_str());
        let similar = newcomer(store, &self.how.gallery.gallery, &self.to).await?;
        let new_subject = similar
            .map(|similar_subjects| NewSubjectView { subject: self.to.clone(), similar_subjects });
        let verdicts = self.how.of_each(store, &self.images, Verdict::Reassign(self.to)).await?;
        self.how.write((app, store), verdicts, (&done, new_subject)).await
    }
}

impl NotTheSameArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        let image = self.how.find(store, &self.image).await?;
        let other = self.how.find(store, &self.other).await?;
        anyhow::ensure!(image != other, "both are the same image, {image}");
        let verdicts = vec![(image, Verdict::NotTheSame(other))];
        let done = "not the same, and not suggested as such again";
        self.how.write((app, store), verdicts, (done, None)).await
    }
}

impl UndoArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store) -> Result<()> {
        let undone = match self.curation {
            Some(curation) => Undone::Curation(curation),
            None => Undone::Verdicts(self.verdicts),
        };
        let (curation_id, verdicts) = undo(store, self.how.curator(app)?, undone).await?;
        let gallery = self.how.gallery.gallery;
        if self.how.json {
            say_json(&CurationResultView::written(gallery, curation_id, verdicts))?;
        } else {
            let have = one_or_many(verdicts, "was", "were");
            say(format!("{} {have} undone", counted(verdicts, "verdict")))?;
        }
        Ok(())
    }
}
