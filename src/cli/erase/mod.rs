//! `facefleet erase`

mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::named_image::NamedImage;
use super::new_file::NewFile;
use super::operator::OperatorArgs;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{
    Erasure, ErasureKind, ErasurePlace, ErasureTarget, GalleryName, ImageId, ImageUri, SubjectName,
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
    #[arg(long, value_name = "NAME", required_unless_present_any = ["subject", "image", "verify"])]
    gallery: Option<GalleryName>,
    /// Erase a whole gallery: without it, nothing but a trial is possible.
    #[arg(long)]
    yes: bool,
    /// Erase also what the store has nothing of: jobs on their way end as erased.
    #[arg(long)]
    absent: bool,
    /// Say what would be erased, and erase nothing. Entries of the chip cache are not counted.
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
        if let Some(path) = self.receipt.as_ref().filter(|_| !self.dry_run) {
            // Tried before what cannot be undone.
            drop(NewFile::create(path).with_context(|| {
                format!("nothing was erased: the receipt {} cannot be written", path.display())
            })?);
        }
        let by = self.by.name()?;
        let store = app.filled_store().await?;
        let queue = app.shared_queue().await?;
        let chips = app.kept_chips()?;
        let eraser =
            Eraser { store: store.as_ref(), queue: queue.as_deref(), chips: chips.as_ref() };
        let finished = if self.dry_run { Vec::new() } else { self.resume(&eraser).await? };
        let gallery = match &self.gallery {
            Some(gallery) => gallery.clone(),
            None => "default".parse().map_err(anyhow::Error::new)?,
        };
        let receipt = match self.target(store.as_ref(), &gallery).await? {
            Ok(target) => self.erase(&eraser, NewErasure { gallery, target, by }).await?,
            Err(id) => self.receipt_of_finished(finished, &gallery, id)?,
        };
        if let Some(queue) = queue {
            queue.close().await;
        }
        store.close().await;
        self.show(&receipt)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Finishes the erasures that were interrupted; returns them.
    async fn resume(&self, eraser: &Eraser<'_>) -> Result<Vec<Erasure>> {
        let finished = eraser.resume().await?;
        if !finished.is_empty() {
            eprintln!("finished {} interrupted erasures", finished.len());
            self.rewrite(eraser.store).await?;
        }
        Ok(finished)
    }

    async fn rewrite(&self, store: &dyn Store) -> Result<()> {
        if self.no_rewrite {
            return Ok(());
        }
        let unwritten = "it is erased, and the files of the store still have to be written anew: \
            run the same command again";
        store.rewrite().await.context(unwritten)
    }

    async fn erase(&self, eraser: &Eraser<'_>, new: NewErasure) -> Result<ErasureReceipt> {
        if self.dry_run {
            let counts = eraser.store.erasable(&new).await?;
            let kind = new.target.kind();
            return Ok(ErasureReceipt::of_trial(new.gallery, kind, &new.by, &counts));
        }
        ensure!(
            self.yes || new.target != ErasureTarget::Gallery,
            "all of gallery {} would be erased: add --yes to do it, or --dry-run to see what is in \
                it; its name cannot be used again; to erase a person or an image, name it with \
                --subject or --image",
            new.gallery
        );
        ensure!(
            self.absent || self.is_known(eraser, &new).await?,
            "nothing was erased: the store has nothing of that in gallery {}, and never erased it. \
                Is the name right? With --absent, nothing of it is accepted from now on",
            new.gallery
        );
        let erasure = eraser.erase(&new).await?;
        self.rewrite(eraser.store).await?;
        Ok(ErasureReceipt::new(erasure, !self.no_rewrite))
    }

    /// Whether the store has something of what is to be erased, or erased it before.
    async fn is_known(&self, eraser: &Eraser<'_>, new: &NewErasure) -> Result<bool> {
        if eraser.store.erasure_of(&new.gallery, &new.target).await?.is_some() {
            return Ok(true);
        }
        let counts = eraser.store.erasable(new).await?;
        Ok(ErasurePlace::ALL.into_iter().any(|place| counts.of(place) > 0))
    }

    /// The receipt of the image's erasure, if it was interrupted: no image has that number now.
    fn receipt_of_finished(
        &self,
        finished: Vec<Erasure>,
        gallery: &GalleryName,
        id: ImageId,
    ) -> Result<ErasureReceipt> {
        let is_of_image = |of: &Erasure| of.kind == ErasureKind::Image && of.gallery == *gallery;
        let mut of_images = finished.into_iter().filter(is_of_image);
        match (of_images.next(), of_images.next()) {
            (Some(erasure), None) => {
                eprintln!(
                    "gallery {gallery} has no image {id} now: the receipt is that of the image \
                        whose erasure was interrupted"
                );
                Ok(ErasureReceipt::new(erasure, !self.no_rewrite))
            }
            (Some(_), Some(_)) => bail!(
                "gallery {gallery} has no image {id} now: it may be one of those whose erasure was \
                    interrupted, which are finished"
            ),
            (None, _) => bail!("gallery {gallery} has no image {id}"),
        }
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

    fn show(&self, receipt: &ErasureReceipt) -> Result<()> {
        if let Some(path) = &self.receipt {
            let text = serde_json::to_string_pretty(receipt)? + "\n";
            NewFile::write(path, text.as_bytes()).with_context(|| format!("{}", path.display()))?;
        }
        if self.json {
            say_json(receipt)?;
            return Ok(());
        }
        for line in lines(receipt) {
            say(printable(&line))?;
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
    let mut lines = vec![match &receipt.erasure {
        None => format!("would erase {what}:"),
        Some(id) => format!("erased {what}, by {by} (erasure {id}):"),
    }];
    let removed = ErasurePlace::ALL.into_iter().filter(|place| *place != ErasurePlace::Kept);
    lines.extend(
        removed.map(|place| {
            format!("{:>10} {}", places.of(place), place.to_string().replace('_', " "))
        }),
    );
    match places.of(ErasurePlace::Kept) {
        0 => {}
        kept => lines.push(format!("{kept} images stay: another subject has them too")),
    }
    if receipt.erasure.is_some() && !receipt.rewritten {
        lines.push("the files of the store were not written anew".to_owned());
    }
    lines
}
