//! Templates as pgvector's `halfvec`.

use pgvector::HalfVector;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use crate::store::halves::Halves;

impl Type<Postgres> for Halves {
    fn type_info() -> PgTypeInfo {
        HalfVector::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Halves {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(HalfVector::decode(value)?.as_slice().to_vec()))
    }
}

impl From<Halves> for HalfVector {
    fn from(halves: Halves) -> Self {
        Self::from(halves.0)
    }
}
