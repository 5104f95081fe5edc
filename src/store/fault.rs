//! What went wrong in a backend. The backend turns it into a [`StoreError`] that names the store.

use sqlx::migrate::MigrateError;

use super::StoreError;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database, or the connection to it.
    Database(sqlx::Error),
    /// Migrating the schema failed, for a reason other than an error of the database.
    Migration(MigrateError),
    /// An error that is ready for the caller.
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
