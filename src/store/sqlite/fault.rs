//! Turns `SQLite`'s result codes into errors that say what to do.

use std::fmt::Display;

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

/// The error for the caller of a read that `SQLite`'s own library did.
pub(super) fn at_read(error: &rusqlite::Error, location: &str) -> StoreError {
    use rusqlite::Error;
    match (error.sqlite_error(), error) {
        (Some(code), _) => coded_error(code.extended_code & 0xff, error, location),
        (
            None,
            Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..),
        ) => StoreError::Corrupt(format!("{location}: {error}")),
        (None, error) => StoreError::Unusable(format!("{location}: {error}")),
    }
}

/// The error of a primary result code.
fn coded_error(code: i32, error: &dyn Display, location: &str) -> StoreError {
    use StoreError::{Damaged, Invalid, Unavailable, Unusable};
    match code {
        code::BUSY | code::LOCKED => {
            Unavailable(format!("{location} is locked by another process for too long ({error})"))
        }
        // Temporary faults of this machine: callers wait for the store and lose nothing.
        code::FULL => {
            Unavailable(format!("the disk of {location} is full: free some space, nothing is lost"))
        }
        code::IOERR => Unavailable(format!("{location} cannot be read or written now ({error})")),
        code::NOMEM => Unavailable(format!("there is no memory left for {location} ({error})")),
        code::READONLY | code::PERM | code::AUTH => Unusable(format!(
            "{location} cannot be written ({error}): check the permissions of the file and its \
                folder, or choose another file"
        )),
        code::CANTOPEN if std::fs::File::open("/dev/null").is_err() => Unavailable(format!(
            "{location} cannot be opened now: this machine is out of file descriptors ({error})"
        )),
        code::CANTOPEN => Unusable(format!(
            "{location} cannot be opened ({error}): check the permissions of the file and its \
                folder, and that its file system can be written"
        )),
        code::NOTADB => Unusable(format!(
            "{location} is not a SQLite database: choose another file, or move this one away"
        )),
        code::CORRUPT => Damaged(format!("{location} ({error}): restore it from a backup")),
        code::CONSTRAINT => Invalid(error.to_string()),
        _ => Unusable(format!("{location}: {error}")),
    }
}

fn database_error(error: &sqlx::Error, location: &str) -> StoreError {
    use StoreError::{Corrupt, Unavailable, Unusable};
    match primary_code(error) {
        Some(code) => coded_error(code, error, location),
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
