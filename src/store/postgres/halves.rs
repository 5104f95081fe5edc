//! Templates as pgvector's `halfvec`.

use half::f16;
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
        // Two 16-bit numbers, the dimension and an unused one, and the components, big-endian.
        let bytes = <&[u8] as Decode<'r, Postgres>>::decode(value)?;
        let ([_, _, components @ ..], []) = bytes.as_chunks::<2>() else {
            return Err(format!("a template of {} bytes", bytes.len()).into());
        };
        Ok(Self(components.iter().map(|&half| f16::from_be_bytes(half)).collect()))
    }
}

impl From<Halves> for HalfVector {
    fn from(halves: Halves) -> Self {
        Self::from(halves.0)
    }
}
