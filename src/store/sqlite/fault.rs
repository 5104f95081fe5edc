//! Turns `SQLite`'s result codes into errors that say what to do.

use sqlx::migrate::MigrateError;

use super::StoreError;
use crate::store::fault::Fault;

/// The primary result codes that a caller distinguishes
/// (<https://www.sqlite.org/rescode.html>).
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const NOMEM: i32 = 7;
    pub(super) const READONLY: i32 = 8;
    pub(super) const IOERR: i32 = 10;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;
}

/// The primary result code of an error that `SQLite` returned.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Whether another connection holds the lock.
pub(super) fn is_busy(fault: &Fault) -> bool {
    let Fault::Database(error) = fault else { return false };
    matches!(primary_code(error), Some(code::BUSY | code::LOCKED))
}

/// The error for the caller, about the file `location`.
pub(super) fn at(fault: Fault, location: &str) -> StoreError {
    match fault {
        Fault::Store(error) => error,
        Fault::Database(error) => database_error(&error, location),
        Fault::Migration(error) => migration_error(&error, location),
    }
}

fn database_error(error: &sqlx::Error, location: &str) -> StoreError {
    use StoreError::{Corrupt, Invalid, Unavailable, Unusable};
    match primary_code(error) {
        Some(code::BUSY | code::LOCKED) => {
            Unavailable(format!("{location} is locked by another process for too long ({error})"))
        }
        // Temporary faults of this machine: callers wait for the store and lose nothing.
        Some(code::FULL) => {
            Unavailable(format!("the disk of {location} is full: free some space, nothing is lost"))
        }
        Some(code::IOERR) => {
            Unavailable(format!("{location} cannot be read or written now ({error})"))
        }
        Some(code::NOMEM) => {
            Unavailable(format!("there is no memory left for {location} ({error})"))
        }
        Some(code::READONLY | code::PERM | code::AUTH) => Unusable(format!(
            "{location} cannot be written ({error}): check the permissions of the file and its \
                folder, or choose another file"
        )),
        Some(code::CANTOPEN) if std::fs::File::open("/dev/null").is_err() => Unavailable(format!(
            "{location} cannot be opened now: this machine is out of file descriptors ({error})"
        )),
        Some(code::CANTOPEN) => Unusable(format!(
            "{location} cannot be opened ({error}): check the permissions of the file and its \
                folder"
        )),
        Some(code::NOTADB) => Unusable(format!(
            "{location} is not a SQLite database: choose another file, or move this one away"
        )),
        Some(code::CORRUPT) => {
            Unusable(format!("{location} is damaged ({error}): restore it from a backup"))
        }
        Some(code::CONSTRAINT) => Invalid(error.to_string()),
        Some(_) => Unusable(format!("{location}: {error}")),
        None => match error {
            sqlx::Error::PoolTimedOut => {
                Unavailable(format!("no connection to {location} became free in time"))
            }
            sqlx::Error::PoolClosed => Unusable(format!("{location} was closed")),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Corrupt(format!("{location}: {error}"))
            }
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                Unavailable(format!("{location}: {error}"))
            }
            other => Unusable(format!("{location}: {other}")),
        },
    }
}

fn migration_error(error: &MigrateError, location: &str) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            StoreError::Unusable(format!(
                "{location} was written by a newer version of facefleet (schema {version}): \
                    upgrade facefleet, or choose another file"
            ))
        }
        MigrateError::VersionMismatch(version) => StoreError::Unusable(format!(
            "{location} was written by a development version of facefleet with another schema \
                {version}: choose another file"
        )),
        other => {
            StoreError::Unusable(format!("the schema of {location} cannot be migrated: {other}"))
        }
    }
}
