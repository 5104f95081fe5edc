//! Turns Postgres's SQLSTATE codes into errors that say what to do.

use std::error::Error;

use sqlx::migrate::MigrateError;

use super::StoreError;
use crate::store::fault::Fault;

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether another transaction interfered, so that trying again helps: unique violation,
/// serialization failure, deadlock.
pub(super) fn is_race(fault: &Fault) -> bool {
    let Fault::Database(error) = fault else { return false };
    matches!(code(error).as_deref(), Some("23505" | "40001" | "40P01"))
}

/// The error for the caller, about the database `location`.
pub(super) fn at(fault: Fault, location: &str) -> StoreError {
    match fault {
        Fault::Store(StoreError::Unusable(reason)) => {
            StoreError::Unusable(format!("{location}: {reason}"))
        }
        Fault::Store(error) => error,
        Fault::Database(error) => database_error(&error, location),
        Fault::Migration(error) => StoreError::Unusable(match error {
            MigrateError::VersionMissing(version) => {
                format!(
                    "{location} has schema version {version}, from a newer facefleet: use that \
                        one, or another database"
                )
            }
            other => format!("{location}: its schema cannot be migrated: {other}"),
        }),
    }
}

fn database_error(error: &sqlx::Error, location: &str) -> StoreError {
    let Some(reported) = error.as_database_error() else {
        return match error {
            // Another attempt would read the same.
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnNotFound(_) => StoreError::Corrupt(format!("{location}: {error}")),
            sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) => {
                StoreError::Unusable(format!("{location}: {error}"))
            }
            sqlx::Error::Tls(_) => {
                StoreError::Unusable(format!("{location}: no secure connection: {}", causes(error)))
            }
            _ => StoreError::Unavailable(format!("{location}: {}", causes(error))),
        };
    };
    let (code, message) = (reported.code().unwrap_or_default().into_owned(), reported.message());
    match code.get(..2).unwrap_or_default() {
        "25" if code == "25006" => StoreError::Unavailable(format!(
            "{location}: the server is a standby, or this role or database is read-only ({message})"
        )),
        // Connection exceptions, ended transactions (a time limit, or a server that became a
        // standby), rollbacks, lock timeouts, operator intervention.
        "08" | "25" | "40" | "55" | "57" => {
            StoreError::Unavailable(format!("{location}: {message}"))
        }
        "53" if code == "53100" => StoreError::Unavailable(format!(
            "{location}: the server's disk is full: free some space ({message})"
        )),
        "53" => StoreError::Unavailable(format!("{location}: {message}")),
        "28" => StoreError::Unusable(format!(
            "{location}: the server refuses this user or password ({message})"
        )),
        "3D" => {
            StoreError::Unusable(format!("{location}: {message}: create it, or correct store.url"))
        }
        "3F" => StoreError::Unusable(format!(
            "{location}: {message}: let an administrator create it and grant this role its use"
        )),
        "42" if code == "42501" => StoreError::Unusable(format!(
            "{location}: {message}: let a role that owns the schema run `facefleet migrate`, and \
                see docs/postgres.md for the rights of others"
        )),
        "XX" if code == "XX001" || code == "XX002" => {
            StoreError::Damaged(format!("{location}: {message}: restore it from a backup"))
        }
        // A value that a check of the schema refuses, or that is too long for an index.
        "22" | "23" | "54" => {
            StoreError::Invalid(format!("{location}: {message} (SQLSTATE {code})"))
        }
        _ => StoreError::Unusable(format!("{location}: {message} (SQLSTATE {code})")),
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
