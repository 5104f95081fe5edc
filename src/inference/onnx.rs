//! The ONNX messages that preparing a graph needs, as plain structs with their field numbers from `onnx.proto3`.
//!
//! Only what is named here survives a read and a write. What carries meaning and is not covered (functions, sparse and external
//! tensors, subgraphs) is therefore declared just far enough to be seen, and [`ModelProto::read`] refuses it.

use half::f16;
use prost::Message;

/// `TensorProto.DataType` values that are read or written.
pub mod data_type {
    /// 32-bit float.
    pub const FLOAT: i32 = 1;
    /// Unsigned 8-bit integer.
    pub const UINT8: i32 = 2;
    /// Signed 8-bit integer.
    pub const INT8: i32 = 3;
    /// Signed 32-bit integer.
    pub const INT32: i32 = 6;
    /// Signed 64-bit integer.
    pub const INT64: i32 = 7;
    /// 16-bit float.
    pub const FLOAT16: i32 = 10;
    /// 64-bit float.
    pub const DOUBLE: i32 = 11;
}

/// Why an ONNX file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are no ONNX model.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// It is one, with a feature that would be lost.
    #[error("the model uses {0}, which model preparation does not support; export it with {1}")]
    Unsupported(String, &'static str),
    /// A tensor that is not what its place in the graph needs.
    #[error("tensor '{name}': {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A model file.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Who wrote it.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// In which version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// Reverse-DNS namespace.
    #[prost(string, tag = "4")]
    pub domain: String,
    /// The model's own version.
    #[prost(int64, tag = "5")]
    pub model_version: i64,
    /// Documentation.
    #[prost(string, tag = "6")]
    pub doc_string: String,
    /// The graph.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Operator sets.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Key-value pairs.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
    #[prost(bytes = "vec", repeated, tag = "20")]
    pub(super) training_info: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub(super) functions: Vec<Vec<u8>>,
}

/// A key and its value.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// Key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// An operator set.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for ONNX itself.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A graph.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Nodes, producers before consumers.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constant tensors.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Inputs.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Shapes of inner tensors, where known.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub(super) sparse_initializer: Vec<Vec<u8>>,
}

/// A node.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of its inputs; an empty one is left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of its outputs.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Attributes.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// Operator set.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// An attribute of a node.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Float value.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// Integer value.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// String value.
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    /// Tensor value.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(super) graph: Option<Vec<u8>>,
    /// Float values.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Integer values.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// String values.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub strings: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub(super) graphs: Vec<Vec<u8>>,
    /// `AttributeProto.AttributeType`.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// A constant tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Shape.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// See [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Values of a float tensor, if not raw.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// Values of an integer tensor of up to 32 bits, if not raw.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) string_data: Vec<Vec<u8>>,
    /// Values of a 64-bit integer tensor, if not raw.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Values, little endian.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// Values of a double tensor, if not raw.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub(super) external_data: Vec<Vec<u8>>,
    #[prost(int32, tag = "14")]
    pub(super) data_location: i32,
}

/// Name and type of a graph's input, output or inner tensor.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// A tensor type.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// None for sequences, maps and other types that no face network has.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// See [`data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Shape, if known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// A dimension: a number or a name.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// Number or name.
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub value: Option<Dimension>,
}

/// A number or a name.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Dimension {
    /// Fixed.
    #[prost(int64, tag = "1")]
    Value(i64),
    /// Symbolic.
    #[prost(string, tag = "2")]
    Param(String),
}

impl ModelProto {
    /// Reads a model and refuses what would be lost on writing it back.
    ///
    /// # Errors
    /// If the bytes are no ONNX model or use something these structs do not cover.
    pub fn read(bytes: &[u8]) -> Result<Self, OnnxError> {
        let model = Self::decode(bytes)?;
        let unsupported = |what: &str, cure| Err(OnnxError::Unsupported(what.to_owned(), cure));
        let Some(graph) = &model.graph else {
            return unsupported("no graph", "its graph inside the file");
        };
        if !model.functions.is_empty() {
            return unsupported("functions", "its functions inlined");
        }
        if !model.training_info.is_empty() {
            return unsupported("training information", "inference only");
        }
        if !graph.sparse_initializer.is_empty() {
            return unsupported("sparse weights", "dense weights");
        }
        let constants = graph.node.iter().flat_map(|node| &node.attribute).filter_map(|attribute| attribute.t.as_ref());
        for tensor in graph.initializer.iter().chain(constants) {
            if tensor.data_location != 0 || !tensor.external_data.is_empty() {
                return unsupported("weights in a second file", "its weights inside the file (up to 2 GB)");
            }
            if !tensor.string_data.is_empty() {
                return unsupported("strings", "tensors of numbers only");
            }
        }
        let mut attributes = graph.node.iter().flat_map(|node| &node.attribute);
        if attributes.any(|attribute| attribute.graph.is_some() || !attribute.graphs.is_empty()) {
            return unsupported("subgraphs (If, Loop or Scan)", "its control flow traced away");
        }
        Ok(model)
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        let standard = self.opset_import.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
        standard.map_or(1, |set| set.version)
    }

    /// The value of a metadata key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata_props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    }
}

impl NodeProto {
    /// A node of the standard operator set with one output.
    pub fn new(op_type: &str, input: &[&str], output: &str) -> Self {
        Self {
            op_type: op_type.to_owned(),
            name: output.to_owned(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Self::default()
        }
    }

    /// Adds an integer attribute.
    pub fn with_int(mut self, name: &str, value: i64) -> Self {
        const INT: i32 = 2;
        self.attribute.push(AttributeProto { name: name.to_owned(), i: value, r#type: INT, ..AttributeProto::default() });
        self
    }

    /// The same with an attribute of integers.
    pub fn with_ints(mut self, name: &str, values: &[i64]) -> Self {
        const INTS: i32 = 7;
        let ints = values.to_vec();
        self.attribute.push(AttributeProto { name: name.to_owned(), ints, r#type: INTS, ..AttributeProto::default() });
        self
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An integer attribute, or its default.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// A float attribute, or its default.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }
}

impl TensorProto {
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

    /// A half-precision tensor.
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

    /// An error about this tensor.
    pub fn error(&self, reason: impl Into<String>) -> OnnxError {
        OnnxError::Tensor { name: self.name.clone(), reason: reason.into() }
    }

    /// The shape, checked against the limits of a face network (2^31 elements).
    ///
    /// # Errors
    /// If a dimension is negative or the product is out of bounds.
    pub fn shape(&self) -> Result<Vec<usize>, OnnxError> {
        let shape: Option<Vec<usize>> = self.dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.ok_or_else(|| self.error("has a negative dimension"))?;
        let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        match elements {
            Some(elements) if elements < 1 << 31 => Ok(shape),
            _ => Err(self.error(format!("has an impossible shape {shape:?}"))),
        }
    }

    /// The values as 32-bit floats, whatever the element type.
    ///
    /// # Errors
    /// If the element type is not covered or the number of values does not fit the shape.
    pub fn to_f32(&self) -> Result<Vec<f32>, OnnxError> {
        let raw = &self.raw_data;
        let values: Vec<f32> = match self.data_type {
            data_type::FLOAT if raw.is_empty() => self.float_data.clone(),
            data_type::FLOAT => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            data_type::DOUBLE if raw.is_empty() => self.double_data.iter().map(|&value| value as f32).collect(),
            data_type::DOUBLE => raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
            _ => self.to_i64()?.into_iter().map(|value| value as f32).collect(),
        };
        self.check_len(values.len())?;
        Ok(values)
    }

    /// The values as 64-bit integers.
    ///
    /// # Errors
    /// If the element type is no covered integer or the number of values does not fit the shape.
    pub fn to_i64(&self) -> Result<Vec<i64>, OnnxError> {
        let raw = &self.raw_data;
        let narrow = || self.int32_data.iter().map(|&value| i64::from(value)).collect::<Vec<_>>();
        let values: Vec<i64> = match self.data_type {
            data_type::UINT8 | data_type::INT8 | data_type::INT32 if raw.is_empty() => narrow(),
            data_type::UINT8 => raw.iter().map(|&byte| i64::from(byte)).collect(),
            data_type::INT8 => raw.iter().map(|&byte| i64::from(byte.cast_signed())).collect(),
            data_type::INT32 => raw.as_chunks().0.iter().map(|&bytes| i64::from(i32::from_le_bytes(bytes))).collect(),
            data_type::INT64 if raw.is_empty() => self.int64_data.clone(),
            data_type::INT64 => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
            other => {
                let reason = format!("has element type {other} (see TensorProto.DataType); export the model in 32-bit floats");
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
        Err(self.error(format!("holds {len} values where its shape {:?} needs {wanted}", self.dims)))
    }
}

impl ValueInfoProto {
    /// A float tensor; a dimension is a number or, for one that is free, a name.
    pub fn float(name: &str, dims: &[Dimension]) -> Self {
        let dim = dims.iter().map(|dim| DimensionProto { value: Some(dim.clone()) }).collect();
        let shape = Some(TensorShapeProto { dim });
        let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
        Self { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// The shape, as far as it is declared; `None` for a free dimension.
    pub fn dims(&self) -> Vec<Option<i64>> {
        let tensor = self.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let shape = tensor.and_then(|t| t.shape.as_ref());
        let number = |dim: &DimensionProto| match &dim.value {
            Some(Dimension::Value(value)) => Some(*value),
            _ => None,
        };
        shape.map(|shape| shape.dim.iter().map(number).collect()).unwrap_or_default()
    }
}
