//! What went wrong in a backend, before its place is named. What that means to a caller, the
//! backend knows.

use sqlx::migrate::MigrateError;

use super::StoreError;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database, or the way to it.
    Database(sqlx::Error),
    /// Upgrading the schema failed, and not for what the database said.
    Migration(MigrateError),
    /// Already in the caller's terms.
    Store(StoreError),
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::Database(error)
            }
            other => Self::Migration(other),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
