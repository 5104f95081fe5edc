//! Tensors: building them, and reading their values in any element type.

use half::{bf16, f16};

use super::{OnnxError, TensorProto, data_type};

impl TensorProto {
    /// The most dimensions that a tensor may have. Networks of images need five.
    pub const MAX_RANK: usize = 64;

    /// A float tensor.
    pub fn floats(name: &str, dims: &[usize], values: &[f32]) -> Self {
        Self {
            name: name.to_owned(),
            dims: dims.iter().map(|&dim| dim as i64).collect(),
            data_type: data_type::FLOAT,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// A tensor of 16-bit floats.
    pub fn halves(name: &str, dims: &[usize], values: &[f16]) -> Self {
        Self {
            data_type: data_type::FLOAT16,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::floats(name, dims, &[])
        }
    }

    /// A one-dimensional integer tensor.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self {
            name: name.to_owned(),
            dims: vec![values.len() as i64],
            data_type: data_type::INT64,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// Whether the values are floats of any width.
    pub fn is_float(&self) -> bool {
        matches!(
            self.data_type,
            data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE
        )
    }

    /// Whether the values are in another file.
    pub fn is_external(&self) -> bool {
        self.data_location != 0 || !self.external_data.is_empty()
    }

    /// Bytes per value; `None` for a type that is not supported or not made of whole bytes.
    pub fn element_size(&self) -> Option<usize> {
        match self.data_type {
            data_type::UINT8 | data_type::INT8 => Some(1),
            data_type::FLOAT16 | data_type::BFLOAT16 => Some(2),
            data_type::FLOAT | data_type::INT32 => Some(4),
            data_type::DOUBLE | data_type::INT64 => Some(8),
            _ => None,
        }
    }

    /// The bits of 16-bit values. Outside `raw_data`, each value is the low half of a 32-bit
    /// integer.
    fn halfwords(&self) -> Box<dyn Iterator<Item = u16> + '_> {
        if self.raw_data.is_empty() {
            return Box::new(self.int32_data.iter().map(|&value| (value & 0xFFFF) as u16));
        }
        Box::new(self.raw_data.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes)))
    }

    /// An error about this tensor.
    pub fn error(&self, reason: impl Into<String>) -> OnnxError {
        OnnxError::Tensor { name: self.name.clone(), reason: reason.into() }
    }

    /// The shape, within the limits of a face network (2^31 elements). The product of the
    /// dimensions that are not 0 is within the limit too.
    ///
    /// # Errors
    /// If a dimension is negative, the tensor has more than [`Self::MAX_RANK`] dimensions, or too
    /// many elements.
    pub fn shape(&self) -> Result<Vec<usize>, OnnxError> {
        if self.dims.len() > Self::MAX_RANK {
            return Err(self.error(format!(
                "has {} dimensions, over the limit of {}",
                self.dims.len(),
                Self::MAX_RANK
            )));
        }
        let shape: Option<Vec<usize>> =
            self.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or_else(|| self.error("has a negative dimension"))?;
        let elements = shape
            .iter()
            .filter(|&&dim| dim != 0)
            .try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        match elements {
            Some(elements) if elements < 1 << 31 => Ok(shape),
            _ => Err(self.error(format!("has an invalid shape {shape:?}"))),
        }
    }

    /// The values as 32-bit floats.
    ///
    /// # Errors
    /// If the element type is not supported, or the number of values does not match the shape.
    pub fn to_f32(&self) -> Result<Vec<f32>, OnnxError> {
        let raw = &self.raw_data;
        let values: Vec<f32> = match self.data_type {
            data_type::FLOAT if raw.is_empty() => self.float_data.clone(),
            data_type::FLOAT => {
                raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
            }
            data_type::FLOAT16 => {
                self.halfwords().map(|bits| f16::from_bits(bits).to_f32()).collect()
            }
            data_type::BFLOAT16 => {
                self.halfwords().map(|bits| bf16::from_bits(bits).to_f32()).collect()
            }
            data_type::DOUBLE if raw.is_empty() => {
                self.double_data.iter().map(|&value| value as f32).collect()
            }
            data_type::DOUBLE => {
                raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect()
            }
            _ => self.to_i64()?.into_iter().map(|value| value as f32).collect(),
        };
        self.check_len(values.len())?;
        Ok(values)
    }

    /// The values as 64-bit integers.
    ///
    /// # Errors
    /// If the element type is not a supported integer, or the number of values does not match the
    /// shape.
    pub fn to_i64(&self) -> Result<Vec<i64>, OnnxError> {
        let raw = &self.raw_data;
        let narrow = || self.int32_data.iter().map(|&value| i64::from(value)).collect::<Vec<_>>();
        let values: Vec<i64> = match self.data_type {
            data_type::UINT8 | data_type::INT8 | data_type::INT32 if raw.is_empty() => narrow(),
            data_type::UINT8 => raw.iter().map(|&byte| i64::from(byte)).collect(),
            data_type::INT8 => raw.iter().map(|&byte| i64::from(byte.cast_signed())).collect(),
            data_type::INT32 => raw
                .as_chunks()
                .0
                .iter()
                .map(|&bytes| i64::from(i32::from_le_bytes(bytes)))
                .collect(),
            data_type::INT64 if raw.is_empty() => self.int64_data.clone(),
            data_type::INT64 => {
                raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()
            }
            other => {
                let reason = format!(
                    "has element type {other} (see TensorProto.DataType); export the model in \
                        32-bit floats"
                );
                return Err(self.error(reason));
            }
        };
        self.check_len(values.len())?;
        Ok(values)
    }

    fn check_len(&self, len: usize) -> Result<(), OnnxError> {
        let wanted: usize = self.shape()?.iter().product();
        if len == wanted {
            return Ok(());
        }
        Err(self
            .error(format!("holds {len} values where its shape {:?} needs {wanted}", self.dims)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_limited_also_where_a_dimension_is_0() {
        let shape =
            |dims: &[i64]| TensorProto { dims: dims.to_vec(), ..TensorProto::default() }.shape();
        assert_eq!(shape(&[0]).unwrap(), [0]);
        assert_eq!(shape(&[2, 0, 3]).unwrap(), [2, 0, 3]);
        assert!(shape(&[0, 1 << 31]).is_err());
        assert!(shape(&[0, i64::MAX, i64::MAX]).is_err());
        assert!(shape(&[1; TensorProto::MAX_RANK]).is_ok());
        assert!(shape(&[1; TensorProto::MAX_RANK + 1]).is_err());
    }
}
