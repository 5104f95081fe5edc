//! The ONNX messages that preparing a graph needs, as plain structs with their field numbers from
//! `onnx.proto3`.
//!
//! Only what is named here survives a read and a write. What carries meaning and is not covered
//! (functions, sparse tensors, subgraphs) is therefore declared just far enough to be seen, and
//! [`ModelProto::read`] refuses it.

mod tensor;

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
    /// 16-bit float with the exponent of 32 bits.
    pub const BFLOAT16: i32 = 16;
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
    /// A node that cannot be served.
    #[error("node '{name}' ({op}): {reason}")]
    Node {
        /// The node's name.
        name: String,
        /// Its operator.
        op: String,
        /// What is wrong with it, and what to do.
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
    /// Where the values are, if they are in another file: `location`, `offset` and `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// 1 if the values are in another file.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
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

/// What a model file says of its versions. The rest of the file is passed over.
#[derive(Clone, PartialEq, Message)]
pub struct Versions {
    /// Version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
}

impl Versions {
    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        standard_opset(&self.opset_import)
    }
}

fn standard_opset(sets: &[OperatorSetIdProto]) -> i64 {
    let standard = sets.iter().find(|set| set.domain.is_empty() || set.domain == "ai.onnx");
    standard.map_or(1, |set| set.version)
}

impl ModelProto {
    /// Reads a model and refuses what would be lost on writing it back.
    ///
    /// # Errors
    /// If the bytes are no ONNX model, use something these structs do not cover, or a node has no
    /// output.
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
        let constants = graph
            .node
            .iter()
            .flat_map(|node| &node.attribute)
            .filter_map(|attribute| attribute.t.as_ref());
        for tensor in graph.initializer.iter().chain(constants) {
            if tensor.is_external() {
                return unsupported(
                    "weights in a second file",
                    "its weights inside the file, or run `facefleet model import`",
                );
            }
            if !tensor.string_data.is_empty() {
                return unsupported("strings", "tensors of numbers only");
            }
        }
        if let Some(node) = graph.node.iter().find(|node| node.output.is_empty()) {
            return Err(node.error("has no output; the file is damaged"));
        }
        let mut attributes = graph.node.iter().flat_map(|node| &node.attribute);
        if attributes.any(|attribute| attribute.graph.is_some() || !attribute.graphs.is_empty()) {
            return unsupported("subgraphs (If, Loop or Scan)", "its control flow traced away");
        }
        Ok(model)
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        standard_opset(&self.opset_import)
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
        self.attribute.push(AttributeProto {
            name: name.to_owned(),
            i: value,
            r#type: INT,
            ..AttributeProto::default()
        });
        self
    }

    /// Adds a list of integers.
    pub fn with_ints(mut self, name: &str, values: &[i64]) -> Self {
        const INTS: i32 = 7;
        let attribute = AttributeProto {
            name: name.to_owned(),
            ints: values.to_vec(),
            r#type: INTS,
            ..AttributeProto::default()
        };
        self.attribute.push(attribute);
        self
    }

    /// The node's name, or its output's if it has none.
    pub fn label(&self) -> &str {
        let output = self.output.first().map_or("", String::as_str);
        if self.name.is_empty() { output } else { &self.name }
    }

    /// An error about this node.
    pub fn error(&self, reason: impl Into<String>) -> OnnxError {
        OnnxError::Node {
            name: self.label().to_owned(),
            op: self.op_type.clone(),
            reason: reason.into(),
        }
    }

    /// A list of integers, if the attribute is there.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
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

impl ValueInfoProto {
    /// A float tensor; a dimension is a number or, for one that is free, a name.
    pub fn float(name: &str, dims: &[Dimension]) -> Self {
        let dim = dims.iter().map(|dim| DimensionProto { value: Some(dim.clone()) }).collect();
        let shape = Some(TensorShapeProto { dim });
        let tensor_type = Some(TensorTypeProto { elem_type: data_type::FLOAT, shape });
        Self { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
    }

    /// The element type, see [`data_type`]; 0 if it is not declared.
    pub fn elem_type(&self) -> i32 {
        self.r#type
            .as_ref()
            .and_then(|kind| kind.tensor_type.as_ref())
            .map_or(0, |tensor| tensor.elem_type)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_an_output_is_refused_by_its_name() {
        let node = NodeProto {
            name: "bn".into(),
            output: Vec::new(),
            ..NodeProto::new("BatchNormalization", &["data"], "y")
        };
        let graph = GraphProto { node: vec![node], ..GraphProto::default() };
        let bytes = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        let error = ModelProto::read(&bytes).unwrap_err().to_string();
        assert!(
            error.contains("'bn' (BatchNormalization)") && error.contains("no output"),
            "{error}"
        );
    }
}
