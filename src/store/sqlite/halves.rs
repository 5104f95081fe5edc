//! Templates as blobs of little-endian 16-bit floats.

use half::f16;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArgumentsBuffer, SqliteTypeInfo, SqliteValueRef};
use sqlx::{Decode, Encode, Sqlite, Type};

use crate::store::halves::Halves;

impl Type<Sqlite> for Halves {
    fn type_info() -> SqliteTypeInfo {
        <Vec<u8> as Type<Sqlite>>::type_info()
    }

    fn compatible(other: &SqliteTypeInfo) -> bool {
        <Vec<u8> as Type<Sqlite>>::compatible(other)
    }
}

impl Encode<'_, Sqlite> for Halves {
    fn encode_by_ref(&self, arguments: &mut SqliteArgumentsBuffer) -> Result<IsNull, BoxDynError> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|half| half.to_le_bytes()).collect();
        Encode::<Sqlite>::encode(bytes, arguments)
    }
}

impl<'r> Decode<'r, Sqlite> for Halves {
    fn decode(value: SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
        decoded(<&[u8] as Decode<'r, Sqlite>>::decode(value)?).map_err(Into::into)
    }
}

impl FromSql for Halves {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        decoded(value.as_blob()?).map_err(|reason| FromSqlError::Other(reason.into()))
    }
}

fn decoded(bytes: &[u8]) -> Result<Halves, String> {
    let (halves, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("a template of {} bytes", bytes.len()));
    }
    Ok(Halves(halves.iter().map(|&half| f16::from_le_bytes(half)).collect()))
}
