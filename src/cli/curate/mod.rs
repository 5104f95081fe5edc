//! `facefleet curate`

mod log;
mod verdicts;
mod views;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::app::App;
use crate::gallery::curate::CurateView;

/// What a gallery could do without, or has wrong, and what people decide about it.
#[derive(Debug, Subcommand)]
pub(super) enum CurateCommand {
    /// Show the images of the lowest quality.
    Lowest(views::ViewArgs),
    /// Show pictures that are in the gallery twice: the same bytes, or another size, compression or
    /// cut.
    Duplicates(views::ViewArgs),
    /// Show images that are unlike the others of their subject, of subjects with three or more.
    Outliers(views::PeopleArgs),
    /// Show pairs of subjects that look like one person.
    Collisions(views::PeopleArgs),
    /// Show the best image of each subject that nobody kept yet.
    Best(views::ViewArgs),
    /// Show images that are gone from their source: a complete scan of it did not list them again.
    ///
    /// An image of the same bytes in another place is the same image, moved: it keeps its subject,
    /// references, decisions and verdicts.
    Gone(views::ViewArgs),
    Exclude(verdicts::ExcludeArgs),
    Restore(verdicts::RestoreArgs),
    Keep(verdicts::KeepArgs),
    Reassign(verdicts::ReassignArgs),
    NotTheSame(verdicts::NotTheSameArgs),
    Undo(verdicts::UndoArgs),
    Log(log::LogArgs),
}

impl CurateCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        let (open, store) = (store.clone(), store.as_ref());
        match self {
            Self::Lowest(view) => view.run(app, store, CurateView::Lowest).await,
            Self::Duplicates(view) => view.run(app, store, CurateView::Duplicates).await,
            Self::Outliers(view) => view.run(app, store, CurateView::Outliers).await,
            Self::Collisions(view) => view.run(app, store, CurateView::Collisions).await,
            Self::Best(view) => view.run(app, store, CurateView::Best).await,
            Self::Gone(view) => view.run(app, store, CurateView::Gone).await,
            Self::Exclude(exclude) => exclude.run(app, store).await,
            Self::Restore(restore) => restore.run(app, store).await,
            Self::Keep(keep) => keep.run(app, store).await,
            Self::Reassign(reassign) => reassign.run(app, store).await,
            Self::NotTheSame(pair) => pair.run(app, store).await,
            Self::Undo(undo) => undo.run(app, store).await,
            Self::Log(log) => log.run(store).await,
        }?;
        open.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
