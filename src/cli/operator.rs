//! Who runs a command.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};

use crate::domain::OperatorName;

/// Who does something that is noted.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct OperatorArgs {
    /// Who does it [default: the user of this system].
    #[arg(long = "as", value_name = "NAME")]
    by: Option<OperatorName>,
}

impl OperatorArgs {
    /// The name.
    pub(super) fn name(&self) -> Result<OperatorName> {
        self.by.clone().map_or_else(system_user, Ok)
    }
}

/// The name of a user in the text of /etc/passwd. Users of a directory have none there.
fn name_of(user: u32, known: &str) -> Option<&str> {
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(user) && !name.is_empty()).then_some(name)
    })
}

/// The user of this system, by name or by number.
fn system_user() -> Result<OperatorName> {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()?.parse().ok());
    let number = || {
        // The process's own folder belongs to its user.
        let user = std::fs::metadata("/proc/self").ok()?.uid();
        let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = name_of(user, &known).map_or_else(|| format!("user {user}"), str::to_owned);
        name.parse().ok()
    };
    named.or_else(number).context("the system does not say who you are: name yourself with --as")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_an_environment_has_the_name_that_the_system_knows() {
        let known = "root:x:0:0:root:/root:/bin/sh\n\n:x:7:7::/:\nann:x:1000:1000:Ann:/home/ann:\n";
        assert_eq!(name_of(0, known), Some("root"));
        assert_eq!(name_of(1000, known), Some("ann"));
        for unknown in [7, 1001] {
            assert_eq!(name_of(unknown, known), None);
        }
    }
}
