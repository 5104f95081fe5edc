//! ONNX files: their messages, and reading a model without losing a part that carries meaning.

mod graph;
mod message;
mod tensor;

use prost::Message;

pub use message::{
    AttributeProto, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto,
};

/// The `TensorProto.DataType` values that are read or written.
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
    /// The bytes are not an ONNX model.
    #[error("not an ONNX file: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The model has a part that would be lost.
    #[error("the model uses {0}, which model preparation does not support; export it with {1}")]
    Unsupported(String, &'static str),
    /// A tensor does not fit its use in the graph.
    #[error("tensor '{name}': {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node cannot be prepared.
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

/// The versions that a model file declares. Decoding this skips the rest of the file.
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
    /// Reads a model, and refuses one with a part that would be lost when it is written.
    ///
    /// # Errors
    /// If the bytes are not an ONNX model, the model has such a part, or a node has no output.
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

    /// The value of the metadata entry `key`.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata_props.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
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
