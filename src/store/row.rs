//! Rows read by column name.

/// A struct whose fields are the columns of a row, by name, on either backend.
///
/// In place of sqlx's derive: its macros compile both drivers and `SQLite` a second time, for the
/// compiler's use, which a first build would wait for.
macro_rules! row {
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident {
            $($(#[$of_field:meta])* $field_visible:vis $field:ident: $column:ty,)+
        }
    ) => {
        $(#[$attribute])*
        $visible struct $name {
            $($(#[$of_field])* $field_visible $field: $column,)+
        }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($column: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)+
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)+ })
            }
        }
    };
}

/// A row that `SQLite`'s own library reads too, for [`DirectRow`].
macro_rules! direct_row {
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident {
            $($(#[$of_field:meta])* $field_visible:vis $field:ident: $column:ty,)+
        }
    ) => {
        $crate::store::row::row! {
            $(#[$attribute])*
            $visible struct $name {
                $($(#[$of_field])* $field_visible $field: $column,)+
            }
        }

        impl $crate::store::row::DirectRow for $name {
            fn columns() -> Vec<&'static str> {
                vec![$(stringify!($field)),+]
            }

            fn read(row: &rusqlite::Row<'_>, places: &[usize]) -> rusqlite::Result<Self> {
                let mut places = places.iter();
                let mut next = || places.next().copied().ok_or(rusqlite::Error::InvalidQuery);
                Ok(Self { $($field: row.get(next()?)?,)+ })
            }
        }
    };
}

/// A row of which many are read: each value is decoded where `SQLite` holds it.
pub(super) trait DirectRow: Sized {
    /// The columns that it reads.
    fn columns() -> Vec<&'static str>;

    /// Reads it; `places` are those of [`Self::columns`] in `row`.
    fn read(row: &rusqlite::Row<'_>, places: &[usize]) -> rusqlite::Result<Self>;
}

/// A row as `SQLite`'s own library has it.
pub(super) type DirectValues<'a> = rusqlite::Row<'a>;

/// What reading such a row returns.
pub(super) type DirectResult<T> = rusqlite::Result<T>;

pub(super) use direct_row;
pub(super) use row;
