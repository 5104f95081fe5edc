//! Nodes and declarations of tensors: building them, and reading their attributes and shapes.

use super::{
    AttributeProto, Dimension, DimensionProto, NodeProto, OnnxError, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};

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

    /// Adds an attribute that is a list of integers.
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

    /// The node's name, or the name of its first output.
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

    /// The attribute `name` as a list of integers, if the node has it.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// The attribute `name`, if the node has it.
    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The integer attribute `name`, or `default`.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// The float attribute `name`, or `default`.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }
}

impl ValueInfoProto {
    /// A float tensor. A dimension is a number, or a name if it is free.
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

    /// The declared shape. A free dimension is `None`.
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
