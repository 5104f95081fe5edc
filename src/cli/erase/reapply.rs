//! `facefleet erase --reapply`

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::EraseArgs;
use super::stage::ErasureStage;
use super::verify::read;
use crate::domain::{ErasedBefore, OperatorName};
use crate::gallery::erase::Eraser;
use crate::store::{Reapplicable, Store};
use crate::view::erasure::{ErasureReceipt, ReadReceipt, ReappliedErasures};

impl EraseArgs {
    /// Erases again what the receipts are about. Nothing is done if one of them is of no use here.
    pub(super) async fn reapply(
        &self,
        eraser: &Eraser<'_>,
        by: &OperatorName,
        stage: &ErasureStage,
    ) -> Result<ReappliedErasures> {
        let mut erasures = Vec::new();
        for path in &self.reapply {
            for receipt in read(path)? {
                let before = erased_before(receipt, by);
                let before = before.with_context(|| path.display().to_string())?;
                check(eraser.store, &before, path).await?;
                erasures.push(before);
            }
        }
        let targets: Vec<&str> = erasures.iter().map(|before| before.target.as_str()).collect();
        self.check_receipt(&targets)?;
        let mut receipts = Vec::new();
        if self.dry_run {
            for before in &erasures {
                receipts.push(trial(eraser, before).await?);
            }
            return Ok(ReappliedErasures::new(true, receipts));
        }
        stage.erasing();
        let mut ended = Vec::new();
        for before in &erasures {
            let known = eraser.store.erasures().await?;
            let known = known.into_iter().find(|erasure| erasure.target == before.target);
            ended.push((eraser.reapply(before).await?, known));
        }
        self.rewrite(eraser.store, stage).await?;
        for (erasure, known) in ended {
            let marks = eraser.store.erasure_marks(erasure.id).await?;
            let rewritten = !self.no_rewrite;
            receipts.push(ErasureReceipt::new(erasure, marks, known.as_ref(), rewritten));
        }
        Ok(ReappliedErasures::new(false, receipts))
    }
}

/// What would be erased.
pub(super) async fn trial(eraser: &Eraser<'_>, before: &ErasedBefore) -> Result<ErasureReceipt> {
    let erasable = eraser.store.reapplicable(before).await?;
    let counts = eraser.with_chips(erasable).await?;
    let ErasedBefore { gallery, kind, by, .. } = before;
    Ok(ErasureReceipt::of_trial(gallery.clone(), *kind, by, &counts))
}

fn erased_before(receipt: ReadReceipt, by: &OperatorName) -> Result<ErasedBefore> {
    let ReadReceipt { erasure, gallery, kind, target, marks, .. } = receipt;
    let trial = "it is the receipt of a trial: nothing was erased";
    let (id, target) = (erasure.context(trial)?, target.context(trial)?);
    Ok(ErasedBefore { id, gallery, kind, target, marks, by: by.clone() })
}

/// Whether an erasure can be done again in this store.
async fn check(store: &dyn Store, before: &ErasedBefore, path: &Path) -> Result<()> {
    let path = path.display();
    match store.can_reapply(before).await? {
        Reapplicable::Yes => {}
        Reapplicable::OtherKey => bail!(
            "nothing was erased: {path} is a receipt of another store, or this one was restored \
                from a backup that is older than the store's key, so its hashes tell nothing. If \
                it is the same store, erase again by name (--subject, --image or --gallery); \
                backups that are made from now on hold the key"
        ),
        Reapplicable::Unknown => bail!(
            "nothing was erased: {path} was written by an older facefleet and has only one hash, \
                which nothing in this store matches. It may be of another store, or the backup may \
                be older than the store's key or than what was erased: erase again by name \
                (--subject, --image or --gallery)"
        ),
    }
    if before.marks.is_none() {
        eprintln!(
            "{path} was written by an older facefleet and has only one hash: of what came after \
                the backup, nothing is known, and a scan may bring it back. Erase again by name to \
                have a complete receipt"
        );
    }
    Ok(())
}
