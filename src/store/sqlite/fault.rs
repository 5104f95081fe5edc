//! From what `SQLite` says to what a caller can do about it. Knows result codes; knows no table.

use sqlx::migrate::MigrateError;

use super::StoreError;
use crate::store::fault::Fault;

/// The primary result codes that mean something to a caller
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

/// Whether waiting for another connection's lock was in vain.
pub(super) fn is_busy(fault: &Fault) -> bool {
    matches!(fault, Fault::Database(error) if matches!(primary_code(error), Some(code::BUSY | code::LOCKED)))
}

/// The error for the caller, about the file `place`.
pub(super) fn at(fault: Fault, place: &str) -> StoreError {
    match fault {
        Fault::Store(error) => error,
        Fault::Database(error) => database_error(&error, place),
        Fault::Migration(error) => migration_error(&error, place),
    }
}

fn database_error(error: &sqlx::Error, place: &str) -> StoreError {
    use StoreError::{Corrupt, Invalid, Unavailable, Unusable};
    match primary_code(error) {
        Some(code::BUSY | code::LOCKED) => {
            Unavailable(format!("{place} is locked by another process for too long ({error})"))
        }
        // Faults of this machine that pass: what waits for the store is not lost by them.
        Some(code::FULL) => {
            Unavailable(format!("the disk of {place} is full: free some space, nothing is lost"))
        }
        Some(code::IOERR) => {
            Unavailable(format!("{place} cannot be read or written now ({error})"))
        }
        Some(code::NOMEM) => Unavailable(format!("there is no memory left for {place} ({error})")),
        Some(code::READONLY | code::PERM | code::AUTH) => Unusable(format!(
            "{place} cannot be written ({error}): check the permissions of the file and its \
                folder, or choose another file"
        )),
        Some(code::CANTOPEN) if std::fs::File::open("/dev/null").is_err() => Unavailable(format!(
            "{place} cannot be opened now: this machine is out of file descriptors ({error})"
        )),
        Some(code::CANTOPEN) => Unusable(format!(
            "{place} cannot be opened ({error}): check the permissions of the file and its folder"
        )),
        Some(code::NOTADB) => Unusable(format!(
            "{place} is not a SQLite database: choose another file, or move this one away"
        )),
        Some(code::CORRUPT) => {
            Unusable(format!("{place} is damaged ({error}): restore it from a backup"))
        }
        Some(code::CONSTRAINT) => Invalid(error.to_string()),
        Some(_) => Unusable(format!("{place}: {error}")),
        None => match error {
            sqlx::Error::PoolTimedOut => {
                Unavailable(format!("no connection to {place} became free in time"))
            }
            sqlx::Error::PoolClosed => Unusable(format!("{place} was closed")),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Corrupt(format!("{place}: {error}"))
            }
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                Unavailable(format!("{place}: {error}"))
            }
            other => Unusable(format!("{place}: {other}")),
        },
    }
}

fn migration_error(error: &MigrateError, place: &str) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            StoreError::Unusable(format!(
                "{place} was written by a newer version of facefleet (schema {version}): upgrade \
                    facefleet, or choose another file"
            ))
        }
        MigrateError::VersionMismatch(version) => StoreError::Unusable(format!(
            "{place} was written by a development version of facefleet whose schema {version} was \
                another one: choose another file"
        )),
        other => StoreError::Unusable(format!(
            "the schema of {place} cannot be brought up to date: {other}"
        )),
    }
}
