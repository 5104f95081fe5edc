//! `facefleet erase`

mod checks;
mod reapply;
mod stage;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;

use self::checks::{DIFFERENT_PEOPLE, check_known, check_people, tell_other_galleries};
use self::stage::ErasureStage;
use super::named_image::NamedImage;
use super::new_file::NewFile;
use super::operator::OperatorArgs;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{
    ErasedBefore, Erasure, ErasureKind, ErasurePlace, ErasureTarget, GalleryName, ImageId,
    ImageUri, OperatorName, SubjectName, TakenBecause, TakenImage, counted, one_or_many,
};
use crate::gallery::erase::Eraser;
use crate::store::{ImageKey, NewErasure, Store};
use crate::view::erasure::ErasureReceipt;

/// Erase an image, a person or a gallery for good: what the store, the dead letters and the chip
/// cache have of it. Cannot be undone.
///
/// Jobs on their way, later scans and re-scores end as `erased`: a name, a URI or a picture that
/// was erased is not accepted again in this gallery. Of a person, images that another subject has
/// too stay, and the receipt counts them. The photos themselves are not touched. The files of the
/// store are written anew, which takes as long as copying it and holds up workers meanwhile. If it
/// is interrupted, run the same command again. On Postgres, the role must own the schema.
#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// Erase this person, with their images.
    #[arg(long, value_name = "NAME", conflicts_with = "image")]
    subject: Option<SubjectName>,
    /// Erase an image: a path, a URI, or the `image_id` of an export.
    #[arg(long, value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    image: Option<NamedImage>,
    /// The gallery [default: default]. Without --subject and --image, all of it is erased.
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present_any = ["subject", "image", "verify", "reapply"]
    )]
    gallery: Option<GalleryName>,
    /// Erase a whole gallery: without it, nothing but a trial is possible.
    #[arg(long)]
    yes: bool,
    /// Erase also what the store has nothing of: jobs on their way end as erased.
    #[arg(long)]
    absent: bool,
    /// With --image: erase everything that was ever at that place, also if it is of different
    /// people.
    #[arg(long, requires = "image")]
    whole_place: bool,
    /// Say what would be erased, and erase nothing. Dead letters are not counted.
    #[arg(long)]
    dry_run: bool,
    /// Leave the files of the store as they are: what was deleted may stay in them until somebody
    /// writes them anew (`VACUUM`; on Postgres, `VACUUM FULL`).
    #[arg(long)]
    no_rewrite: bool,
    /// Write the receipt to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Erase nothing: look whether what this receipt is about is absent, in every place. With the
    /// same --subject or --image as then, the bytes of the store's files are searched for it too.
    /// Exit status 1: it was found somewhere.
    #[arg(
        long,
        value_name = "RECEIPT",
        conflicts_with_all = ["yes", "absent", "dry_run", "no_rewrite", "receipt", "by"]
    )]
    verify: Option<PathBuf>,
    /// Erase again what these receipts are about: after a backup from before was restored.
    #[arg(
        long,
        value_name = "RECEIPT",
        num_args = 1..,
        conflicts_with_all = ["subject", "image", "gallery", "yes", "absent", "verify"]
    )]
    reapply: Vec<PathBuf>,
    /// Search this file, such as a report or an export, as well.
    #[arg(long, value_name = "FILE", requires = "verify")]
    search: Vec<PathBuf>,
    #[command(flatten)]
    by: OperatorArgs,
    /// Print the receipt as one JSON object.
    #[arg(long)]
    json: bool,
}

impl EraseArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        if let Some(receipt) = &self.verify {
            return self.verify(app, receipt).await;
        }
        if let Some(path) = &self.receipt {
            // Tried before what cannot be undone.
            drop(NewFile::create(path).with_context(|| {
                format!("nothing was erased: the receipt {} cannot be written", path.display())
            })?);
        }
        let by = self.by.name()?;
        let stage = ErasureStage::begin()?;
        let store = app.filled_store().await?;
        let queue = app.shared_queue().await?;
        let chips = app.kept_chips()?;
        let eraser =
            Eraser { store: store.as_ref(), queue: queue.as_deref(), chips: chips.as_ref() };
        if self.reapply.is_empty() {
            let receipt = self.erase(&eraser, by, &stage).await?;
            drop(stage);
            // It names nobody, also if it is of a trial.
            let written = ErasureReceipt { images: None, ..receipt.clone() };
            self.show(&receipt, &written, &lines(&receipt))?;
        } else {
            let reapplied = self.reapply(&eraser, &by, &stage).await?;
            drop(stage);
            let lines: Vec<String> = reapplied.receipts.iter().flat_map(lines).collect();
            self.show(&reapplied, &reapplied, &lines)?;
        }
        if let Some(queue) = queue {
            queue.close().await;
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }

    /// Erases what is named, or says what would be erased.
    async fn erase(
        &self,
        eraser: &Eraser<'_>,
        by: OperatorName,
        stage: &ErasureStage,
    ) -> Result<ErasureReceipt> {
        let gallery = match &self.gallery {
            Some(gallery) => gallery.clone(),
            None => "default".parse().map_err(anyhow::Error::new)?,
        };
        match self.target(eraser.store, &gallery).await? {
            Ok(target) => {
                self.erase_target(eraser, NewErasure { gallery, target, by }, stage).await
            }
            Err(number) => self.erase_number(eraser, &gallery, number, by, stage).await,
        }
    }

    /// Finishes the erasures that were interrupted.
    async fn resume(&self, eraser: &Eraser<'_>, stage: &ErasureStage) -> Result<()> {
        let finished = eraser.resume().await?;
        if !finished.is_empty() {
            let finished = counted(finished.len() as u64, "interrupted erasure");
            eprintln!("finished {finished}");
            self.rewrite(eraser.store, stage).await?;
        }
        Ok(())
    }

    async fn rewrite(&self, store: &dyn Store, stage: &ErasureStage) -> Result<()> {
        if self.no_rewrite {
            return Ok(());
        }
        stage.rewriting();
        store.rewrite().await.context(stage::UNWRITTEN)
    }

    async fn erase_target(
        &self,
        eraser: &Eraser<'_>,
        new: NewErasure,
        stage: &ErasureStage,
    ) -> Result<ErasureReceipt> {
        let before = eraser.store.erasure_of(&new.gallery, &new.target).await?;
        let known: Vec<&str> = before.iter().map(|before| before.target.as_str()).collect();
        self.check_receipt(&known)?;
        if !self.absent && before.is_none() {
            check_known(eraser.store, &new).await?;
        }
        tell_other_galleries(eraser.store, &new).await?;
        if self.dry_run {
            let mut erasable = eraser.store.erasable(&new).await?;
            let images = std::mem::take(&mut erasable.images);
            if !self.whole_place && TakenImage::of_different_people(&images).is_some() {
                eprintln!("without --dry-run, nothing would be erased: {DIFFERENT_PEOPLE}");
            }
            let counts = eraser.with_chips(erasable).await?;
            let kind = new.target.kind();
            let trial = ErasureReceipt::of_trial(new.gallery, kind, &new.by, &counts);
            let images = (kind == ErasureKind::Image).then_some(images);
            return Ok(ErasureReceipt { images, ..trial });
        }
        if matches!(new.target, ErasureTarget::Image(_)) && !self.whole_place {
            check_people(&eraser.store.erasable(&new).await?.images)?;
        }
        self.resume(eraser, stage).await?;
        ensure!(
            self.yes || new.target != ErasureTarget::Gallery,
            "all of gallery {} would be erased: add --yes to do it, or --dry-run to see what is in \
                it; its name cannot be used again; to erase a person or an image, name it with \
                --subject or --image",
            new.gallery
        );
        stage.erasing();
        let erasure = eraser.erase(&new).await?;
        self.receipt(eraser, erasure, before, stage).await
    }

    /// Goes on with the erasure of an image that had this number: no image has it now.
    async fn erase_number(
        &self,
        eraser: &Eraser<'_>,
        gallery: &GalleryName,
        number: ImageId,
        by: OperatorName,
        stage: &ErasureStage,
    ) -> Result<ErasureReceipt> {
        let Some(before) = eraser.store.erasure_of_number(gallery, number).await? else {
            bail!("gallery {gallery} has no image {number}");
        };
        self.check_receipt(&[&before.target])?;
        let marks = eraser.store.erasure_marks(before.id).await?;
        let again = ErasedBefore {
            id: before.id,
            gallery: before.gallery.clone(),
            kind: before.kind,
            target: before.target.clone(),
            marks: Some(marks),
            by,
        };
        if self.dry_run {
            return self::reapply::trial(eraser, &again).await;
        }
        self.resume(eraser, stage).await?;
        stage.erasing();
        let erasure = eraser.reapply(&again).await?;
        self.receipt(eraser, erasure, Some(before), stage).await
    }

    /// Ends an erasure with its receipt.
    async fn receipt(
        &self,
        eraser: &Eraser<'_>,
        erasure: Erasure,
        before: Option<Erasure>,
        stage: &ErasureStage,
    ) -> Result<ErasureReceipt> {
        self.rewrite(eraser.store, stage).await?;
        let marks = eraser.store.erasure_marks(erasure.id).await?;
        Ok(ErasureReceipt::new(erasure, marks, before.as_ref(), !self.no_rewrite))
    }

    /// What is to be erased; or the number of an image that the gallery does not have.
    async fn target(
        &self,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<Result<ErasureTarget, ImageId>> {
        if let Some(subject) = &self.subject {
            return Ok(Ok(ErasureTarget::Subject(subject.clone())));
        }
        let Some(named) = &self.image else { return Ok(Ok(ErasureTarget::Gallery)) };
        let known = store.history(&named.key, Some(gallery)).await?;
        let mut uris: BTreeSet<ImageUri> =
            known.into_iter().map(|known| known.image.image).collect();
        match (uris.pop_first(), &named.key) {
            (Some(uri), ImageKey::Id(id)) if !self.whole_place => {
                Ok(Ok(ErasureTarget::Numbered(*id, uri)))
            }
            (Some(uri), _) if uris.is_empty() => Ok(Ok(ErasureTarget::Image(uri))),
            (Some(uri), _) => bail!(
                "gallery {gallery} has several such images, such as {}: name one of them by its \
                    complete URI or its image_id (`facefleet show`)",
                uri.for_people()
            ),
            // Jobs on their way may name it.
            (None, ImageKey::Uris(uris)) => {
                let uri = uris.first().context("no image is named")?;
                Ok(Ok(ErasureTarget::Image(uri.clone())))
            }
            (None, ImageKey::Id(id)) => Ok(Err(*id)),
        }
    }

    fn show(
        &self,
        receipt: &impl Serialize,
        written: &impl Serialize,
        lines: &[String],
    ) -> Result<()> {
        if let Some(path) = &self.receipt {
            let text = serde_json::to_string_pretty(written)? + "\n";
            NewFile::write(path, text.as_bytes()).with_context(|| format!("{}", path.display()))?;
        }
        if self.json {
            say_json(receipt)?;
            return Ok(());
        }
        for line in lines {
            say(printable(line))?;
        }
        Ok(())
    }
}

fn lines(receipt: &ErasureReceipt) -> Vec<String> {
    let ErasureReceipt { gallery, kind, by, places, .. } = receipt;
    let what = match kind {
        ErasureKind::Subject => format!("one person of gallery {gallery}"),
        ErasureKind::Image => format!("one image of gallery {gallery}"),
        ErasureKind::Gallery => format!("gallery {gallery}"),
    };
    let mut lines = vec![match (&receipt.erasure, &receipt.already_erased_at) {
        (None, _) => format!("would erase {what}:"),
        (Some(id), None) => format!("erased {what}, by {by} (erasure {id}):"),
        (Some(id), Some(at)) => {
            return vec![format!("nothing was left of {what}: erased {at} (erasure {id})")];
        }
    }];
    lines.extend(ErasurePlace::removed().map(|place| {
        let count = places.of(place);
        format!("{count:>10} {}", place.words(count))
    }));
    match places.of(ErasurePlace::Kept) {
        0 => {}
        kept => lines.push(format!(
            "{kept} {}",
            one_or_many(
                kept,
                "image stays: another subject has it too",
                "images stay: another subject has them too"
            )
        )),
    }
    match places.of(ErasurePlace::OthersThere) {
        0 => {}
        others => lines.push(format!(
            "{others} {} at an erased place: the bytes are another subject's",
            one_or_many(others, "image stays", "images stay")
        )),
    }
    lines.extend(receipt.images.iter().flatten().map(of_image));
    if receipt.erasure.is_some() && !receipt.rewritten {
        lines.push("the files of the store were not written anew".to_owned());
    }
    lines
}

/// An image that would be taken.
fn of_image(image: &TakenImage) -> String {
    let TakenImage { image_id, uri, subjects, because } = image;
    let names: Vec<String> =
        subjects.iter().map(|subject| format!("'{}'", subject.as_str())).collect();
    let of = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
    let because = match because {
        TakenBecause::Place => "it was at that place",
        TakenBecause::Bytes => "the same bytes",
    };
    format!("image {image_id} of {of}: {} ({because})", uri.for_people())
}
