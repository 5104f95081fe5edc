//! Who runs a command that is remembered.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};

use crate::domain::OperatorName;

/// Who runs the command.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorArgs {
    /// Who does it [default: the user of this system].
    #[arg(long = "as", value_name = "NAME")]
    by: Option<OperatorName>,
}

impl OperatorArgs {
    /// The name: as given, or else of the user of this system.
    pub(super) fn name(&self) -> Result<OperatorName> {
        self.by.clone().map_or_else(system_user, Ok)
    }
}

/// The user of this system, by name or by number.
fn system_user() -> Result<OperatorName> {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    let number = || {
        // The process's own folder belongs to its user.
        let user = std::fs::metadata("/proc/self").ok()?.uid();
        format!("user {user}").parse().ok()
    };
    named.or_else(number).context("the system does not say who you are: name yourself with --as")
}
