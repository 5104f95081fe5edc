//! `facefleet erase --verify`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::EraseArgs;
use crate::app::App;
use crate::cli::{printable, say, say_json};
use crate::domain::{Erasure, ErasureKind, ErasureTarget, SearchedKind};
use crate::gallery::erase::Eraser;
use crate::store::{ImageKey, SearchedFiles, Store, find_in_file};
use crate::view::erasure::{
    ReadReceipt, ReceiptFile, SearchResult, VerifiedErasureView, VerifiedPlace,
};

/// The files of the store, where they are not searched one by one.
const STORE_FILES: &str = "files of the store";

impl EraseArgs {
    pub(super) async fn verify(&self, app: &App, receipt: &Path) -> Result<ExitCode> {
        let receipts = read(receipt)?;
        let store = app.filled_store().await?;
        let queue = app.shared_queue().await?;
        let chips = app.kept_chips()?;
        let eraser =
            Eraser { store: store.as_ref(), queue: queue.as_deref(), chips: chips.as_ref() };
        let erased = self.erased_by(store.as_ref(), &receipts).await?;
        let mut found = Vec::new();
        for (erasure, target) in erased {
            let places = eraser.verify(&erasure).await?;
            found.push((erasure, target, places));
        }
        if let Some(queue) = &queue {
            queue.close().await;
        }
        // The files are searched while no connection of this process has them open.
        store.close().await;
        drop(store);
        let mut all_absent = true;
        for (erasure, target, mut places) in found {
            places.extend(self.search(app, &erasure, target.as_ref()).await?);
            let absent = places.iter().all(|place| place.result != SearchResult::Found);
            let view = VerifiedErasureView { erasure: erasure.id, absent, places };
            if self.json {
                say_json(&view)?
            } else {
                tell(&view)?
            }
            all_absent &= absent;
        }
        Ok(if all_absent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Searches the files for what was erased, if it is named.
    async fn search(
        &self,
        app: &App,
        erasure: &Erasure,
        target: Option<&ErasureTarget>,
    ) -> Result<Vec<VerifiedPlace>> {
        match target.and_then(ErasureTarget::text) {
            Some(text) => self.search_files(app, text).await,
            None => Ok(vec![VerifiedPlace::skipped(
                SearchedKind::StoreFiles,
                STORE_FILES,
                match erasure.kind {
                    ErasureKind::Gallery => "a whole gallery has no single text to look for",
                    _ => "name what was erased again, with --subject or --image",
                },
            )]),
        }
    }

    /// The erasures of receipts; if what was erased is named again, that one alone.
    async fn erased_by(
        &self,
        store: &dyn Store,
        receipts: &[ReadReceipt],
    ) -> Result<Vec<(Erasure, Option<ErasureTarget>)>> {
        let mut found = Vec::new();
        for receipt in receipts {
            found.extend(self.erased(store, receipt).await?);
        }
        ensure!(
            !found.is_empty(),
            "the receipt is about another person or image than the one that is named; or the store \
             does not know the erasure, because it was restored from a backup: then `facefleet \
             erase --reapply` does it again"
        );
        Ok(found)
    }

    /// The erasure of a receipt, and what it erased if that is named again; none if something else
    /// is named.
    async fn erased(
        &self,
        store: &dyn Store,
        receipt: &ReadReceipt,
    ) -> Result<Option<(Erasure, Option<ErasureTarget>)>> {
        let id = receipt.erasure.context("it is the receipt of a trial: nothing was erased")?;
        // An erasure that was done again may have another id.
        let is_meant = |erasure: &Erasure| {
            erasure.id == id || receipt.target.as_ref() == Some(&erasure.target)
        };
        let targets: Vec<ErasureTarget> = match (&self.subject, &self.image) {
            (Some(subject), _) => vec![ErasureTarget::Subject(subject.clone())],
            (None, Some(named)) => match &named.key {
                ImageKey::Uris(uris) => uris.iter().cloned().map(ErasureTarget::Image).collect(),
                ImageKey::Id(_) => bail!("name the image by its path or URI: its number is gone"),
            },
            (None, None) => {
                let found = store.erasures().await?.into_iter().find(is_meant);
                let unknown = "this store has no such erasure: if it was restored from a backup, \
                    do it again with --reapply";
                return Ok(Some((found.context(unknown)?, None)));
            }
        };
        for target in targets {
            let found = store.erasure_of(&receipt.gallery, &target).await?;
            if let Some(erasure) = found.filter(is_meant) {
                return Ok(Some((erasure, Some(target))));
            }
        }
        Ok(None)
    }

    /// Searches the files of the store, and those that are named.
    async fn search_files(&self, app: &App, text: &str) -> Result<Vec<VerifiedPlace>> {
        let mut places = match app.search_store_files(text).await {
            Ok(searched) => searched.into_iter().map(VerifiedPlace::from).collect(),
            Err(error) => {
                let (kind, why) = (SearchedKind::StoreFiles, format!("{error:#}"));
                vec![VerifiedPlace::skipped(kind, STORE_FILES, why)]
            }
        };
        for path in &self.search {
            let place = path.display().to_string();
            let found = find_in_file(path, text).with_context(|| place.clone())?;
            let searched = SearchedFiles { kind: SearchedKind::File, place, found };
            places.push(searched.into());
        }
        Ok(places)
    }
}

/// A place and what was found there: where it is, and never what is written there.
fn line(searched: &VerifiedPlace) -> String {
    let VerifiedPlace { kind, place, result, count, file, offset, reason } = searched;
    let result = result.to_string().replace('_', " ");
    let kind = match kind {
        SearchedKind::WriteAheadLog => "write-ahead log ",
        SearchedKind::Table => "table ",
        SearchedKind::Index => "index ",
        // The place says so.
        _ => "",
    };
    let mut line = format!("{result:>12}  {kind}{place}");
    if let Some(count) = count.filter(|count| *count > 0) {
        line += &format!(": {count}");
    }
    if let (Some(file), Some(offset)) = (file, offset) {
        line += &format!(", at byte {offset}");
        if file != place {
            line += &format!(" of {file}");
        }
    }
    if let Some(reason) = reason {
        line += &format!(" ({reason})");
    }
    line
}

/// The receipts of a file.
pub(super) fn read(path: &Path) -> Result<Vec<ReadReceipt>> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let unreadable = || format!("{}: not a receipt of `facefleet erase`", path.display());
    // The decoder names its own types.
    let receipts = match serde_json::from_slice(&text).ok().with_context(unreadable)? {
        ReceiptFile::Reapplied { receipts } => receipts,
        ReceiptFile::Single(receipt) => vec![receipt],
    };
    let known = receipts.iter().all(|receipt| receipt.version == 1);
    ensure!(known, "{}: a receipt of a newer facefleet", path.display());
    Ok(receipts)
}

fn tell(view: &VerifiedErasureView) -> Result<()> {
    for place in &view.places {
        say(printable(&line(place)))?;
    }
    say(if view.absent {
        "what was erased was found nowhere"
    } else {
        "what was erased was found: erase it again, also from other galleries that have it; a text \
         may also be a part of another one"
    })?;
    Ok(())
}
