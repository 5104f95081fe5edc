//! `facefleet erase --verify`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};

use super::EraseArgs;
use crate::app::App;
use crate::cli::{printable, say, say_json};
use crate::domain::{Erasure, ErasureKind, ErasureTarget};
use crate::gallery::erase::Eraser;
use crate::store::{ImageKey, Store, file_contains};
use crate::view::erasure::{ReadReceipt, SearchResult, VerifiedErasureView, VerifiedPlace};

impl EraseArgs {
    pub(super) async fn verify(&self, app: &App, receipt: &Path) -> Result<ExitCode> {
        let receipt = read(receipt)?;
        let store = app.filled_store().await?;
        let queue = app.shared_queue().await?;
        let chips = app.kept_chips()?;
        let eraser =
            Eraser { store: store.as_ref(), queue: queue.as_deref(), chips: chips.as_ref() };
        let (erasure, target) = self.erased(store.as_ref(), &receipt).await?;
        let mut places = eraser.verify(&erasure).await?;
        if let Some(queue) = &queue {
            queue.close().await;
        }
        // The files are searched while no connection of this process has them open.
        store.close().await;
        drop(store);
        match target.as_ref().and_then(ErasureTarget::text) {
            Some(text) => places.extend(self.search_files(app, text).await?),
            None => places.push(VerifiedPlace::skipped(
                "files of the store",
                match erasure.kind {
                    ErasureKind::Gallery => "a whole gallery has no single text to look for",
                    _ => "name what was erased again, with --subject or --image",
                },
            )),
        }
        let absent = places.iter().all(|place| place.result != SearchResult::Found);
        let view = VerifiedErasureView { erasure: erasure.id, absent, places };
        if self.json {
            say_json(&view)?
        } else {
            tell(&view)?
        }
        Ok(if absent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The erasure of a receipt, and what it erased if that is named again.
    async fn erased(
        &self,
        store: &dyn Store,
        receipt: &ReadReceipt,
    ) -> Result<(Erasure, Option<ErasureTarget>)> {
        let id = receipt.erasure.context("it is the receipt of a trial: nothing was erased")?;
        let targets: Vec<ErasureTarget> = match (&self.subject, &self.image) {
            (Some(subject), _) => vec![ErasureTarget::Subject(subject.clone())],
            (None, Some(named)) => match &named.key {
                ImageKey::Uris(uris) => uris.iter().cloned().map(ErasureTarget::Image).collect(),
                ImageKey::Id(_) => bail!("name the image by its path or URI: its number is gone"),
            },
            (None, None) => {
                let all = store.erasures().await?;
                let found = all.into_iter().find(|erasure| erasure.id == id);
                return Ok((found.context("this store has no such erasure")?, None));
            }
        };
        for target in targets {
            let found = store.erasure_of(&receipt.gallery, &target).await?;
            if let Some(erasure) = found.filter(|erasure| erasure.id == id) {
                return Ok((erasure, Some(target)));
            }
        }
        bail!("the receipt is about another person or image than the one that is named")
    }

    /// Searches the files of the store, and those that are named.
    async fn search_files(&self, app: &App, text: &str) -> Result<Vec<VerifiedPlace>> {
        let mut places = match app.search_store_files(text).await {
            Ok(searched) => searched
                .into_iter()
                .map(|file| VerifiedPlace::new(file.place, file.found))
                .collect(),
            Err(error) => {
                vec![VerifiedPlace::skipped("files of the store", format!("{error:#}"))]
            }
        };
        for path in &self.search {
            let found = file_contains(path, text);
            let found = found.with_context(|| path.display().to_string())?;
            places.push(VerifiedPlace::new(path.display().to_string(), found));
        }
        Ok(places)
    }
}

fn read(path: &Path) -> Result<ReadReceipt> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let unreadable = || format!("{}: not a receipt of `facefleet erase`", path.display());
    let receipt: ReadReceipt = serde_json::from_slice(&text).with_context(unreadable)?;
    ensure!(receipt.version == 1, "{}: a receipt of a newer facefleet", path.display());
    Ok(receipt)
}

fn tell(view: &VerifiedErasureView) -> Result<()> {
    for VerifiedPlace { place, result, reason } in &view.places {
        let reason = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let result = result.to_string().replace('_', " ");
        say(printable(&format!("{result:>12}  {place}{reason}")))?;
    }
    say(if view.absent {
        "what was erased was found nowhere"
    } else {
        "what was erased was found: erase it again; a text may also be a part of another one"
    })?;
    Ok(())
}
