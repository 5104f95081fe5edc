//! `facefleet migrate`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::say;
use crate::app::App;

/// Bring the store's schema up to date and build missing indexes.
///
/// With Postgres: run it as the role that owns the schema, once for each new version, before the
/// workers start. Run it again after a gallery was filled, to build its HNSW index. Repeating it is
/// harmless. A store that is a file is migrated whenever it is opened.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {}

impl MigrateArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let indexed = app.migrate().await?;
        let more = if indexed > 0 {
            format!(", {indexed} profiles' templates indexed")
        } else {
            String::new()
        };
        say(format!("{}: up to date{more}", app.settings().store.url))?;
        Ok(ExitCode::SUCCESS)
    }
}
