//! From what Postgres says to what a caller can do about it. Knows SQLSTATE codes; knows no table.

use std::error::Error;

use sqlx::migrate::MigrateError;

use super::StoreError;
use crate::store::fault::Fault;

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether another transaction was faster: the same one, tried again, sees what the other did.
/// Unique violation, serialization failure, deadlock.
pub(super) fn is_race(fault: &Fault) -> bool {
    matches!(fault, Fault::Database(error) if matches!(code(error).as_deref(), Some("23505" | "40001" | "40P01")))
}

/// The error for the caller, about the database `place`.
pub(super) fn at(fault: Fault, place: &str) -> StoreError {
    match fault {
        Fault::Store(StoreError::Unusable(reason)) => {
            StoreError::Unusable(format!("{place}: {reason}"))
        }
        Fault::Store(error) => error,
        Fault::Database(error) => database_error(&error, place),
        Fault::Migration(error) => StoreError::Unusable(match error {
            MigrateError::VersionMissing(version) => {
                format!(
                    "{place} has schema version {version}, from a newer facefleet: use that one, \
                        or another database"
                )
            }
            other => format!("{place}: its schema cannot be brought up to date: {other}"),
        }),
    }
}

fn database_error(error: &sqlx::Error, place: &str) -> StoreError {
    let Some(told) = error.as_database_error() else {
        return match error {
            // What was read is not what was written: no reason to try again.
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_) => StoreError::Corrupt(format!("{place}: {error}")),
            sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) => {
                StoreError::Unusable(format!("{place}: {error}"))
            }
            sqlx::Error::Tls(_) => {
                StoreError::Unusable(format!("{place}: no secure connection: {}", causes(error)))
            }
            _ => StoreError::Unavailable(format!("{place}: {}", causes(error))),
        };
    };
    let (code, message) = (told.code().unwrap_or_default().into_owned(), told.message());
    match code.get(..2).unwrap_or_default() {
        // Connection exceptions, transactions ended (a time limit, or a server that became a
        // standby), rollbacks, locks not had in time, operator intervention; insufficient
        // resources.
        "08" | "25" | "40" | "55" | "57" => StoreError::Unavailable(format!("{place}: {message}")),
        "53" if code == "53100" => StoreError::Unavailable(format!(
            "{place}: the server's disk is full: free some space ({message})"
        )),
        "53" => StoreError::Unavailable(format!("{place}: {message}")),
        "28" => StoreError::Unusable(format!(
            "{place}: the server refuses this user or password ({message})"
        )),
        "3D" => {
            StoreError::Unusable(format!("{place}: {message}: create it, or correct store.url"))
        }
        "3F" => StoreError::Unusable(format!(
            "{place}: {message}: let an administrator create it and let this role use it"
        )),
        "42" if code == "42501" => StoreError::Unusable(format!(
            "{place}: {message}: let a role that owns the schema run `facefleet migrate`, and see \
                docs/postgres.md for the rights of others"
        )),
        // A value that the schema's own checks refuse, or that is too long for an index.
        "22" | "23" | "54" => StoreError::Invalid(format!("{place}: {message} (SQLSTATE {code})")),
        _ => StoreError::Unusable(format!("{place}: {message} (SQLSTATE {code})")),
    }
}

fn causes(error: &sqlx::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
