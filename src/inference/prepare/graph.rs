//! A graph that is edited: nodes, constants, input and outputs.

use std::collections::{HashMap, HashSet};

use crate::inference::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OnnxError, OperatorSetIdProto, TensorProto,
    ValueInfoProto,
};

fn is_standard(set: &OperatorSetIdProto) -> bool {
    set.domain.is_empty() || set.domain == "ai.onnx"
}

/// The value of a `Constant` node, in any of its attributes.
fn constant_value(node: &NodeProto) -> Option<TensorProto> {
    let tensor = node.attribute("value").and_then(|attribute| attribute.t.clone());
    let ints =
        || node.attribute("value_ints").map(|attribute| TensorProto::ints("", &attribute.ints));
    let int = || {
        let scalar = |attribute: &AttributeProto| TensorProto {
            dims: Vec::new(),
            ..TensorProto::ints("", &[attribute.i])
        };
        node.attribute("value_int").map(scalar)
    };
    let floats = || {
        let list = |attribute: &AttributeProto| {
            TensorProto::floats("", &[attribute.floats.len()], &attribute.floats)
        };
        node.attribute("value_floats").map(list)
    };
    let float = || {
        node.attribute("value_float").map(|attribute| TensorProto::floats("", &[], &[attribute.f]))
    };
    tensor.or_else(ints).or_else(int).or_else(floats).or_else(float)
}

/// A graph whose constants are all initializers, by name.
pub struct Graph {
    pub nodes: Vec<NodeProto>,
    pub constants: HashMap<String, TensorProto>,
    /// The only input that is not a constant.
    pub input: ValueInfoProto,
    pub outputs: Vec<ValueInfoProto>,
    opsets: Vec<OperatorSetIdProto>,
    ir_version: i64,
    name: String,
}

impl Graph {
    /// Takes the graph out of a model. `Constant` nodes become initializers. Inputs that only
    /// shadow an initializer are removed, because they keep ONNX Runtime from fusing batch
    /// normalisations.
    pub fn new(mut model: ModelProto) -> Result<Self, OnnxError> {
        let graph = model.graph.take().unwrap_or_default();
        let mut constants: HashMap<_, _> =
            graph.initializer.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect();
        let mut nodes = Vec::with_capacity(graph.node.len());
        for node in graph.node {
            match (node.op_type.as_str(), constant_value(&node), node.output.first()) {
                ("Constant", Some(value), Some(output)) => {
                    constants.insert(output.clone(), TensorProto { name: output.clone(), ..value });
                }
                _ => nodes.push(node),
            }
        }
        // Quantisers leave the inputs of the replaced weights in the graph.
        let read: HashSet<&String> = nodes.iter().flat_map(|node| &node.input).collect();
        let real = |name: &String| read.contains(name) && !constants.contains_key(name);
        let mut inputs: Vec<_> =
            graph.input.into_iter().filter(|input| real(&input.name)).collect();
        let (Some(input), true) = (inputs.pop(), inputs.is_empty()) else {
            return Err(OnnxError::Unsupported(
                "several inputs".into(),
                "the image as its only input",
            ));
        };
        Ok(Self {
            nodes,
            constants,
            input,
            outputs: graph.output,
            opsets: model.opset_import,
            ir_version: model.ir_version,
            name: graph.name,
        })
    }

    /// Version of the standard operator set.
    pub fn opset(&self) -> i64 {
        self.standard_opset().map_or(1, |set| set.version)
    }

    /// Declares another version. It must have the same meaning for all nodes.
    pub fn set_opset(&mut self, version: i64) {
        if let Some(set) = self.opsets.iter_mut().find(|set| is_standard(set)) {
            set.version = version;
        }
    }

    fn standard_opset(&self) -> Option<&OperatorSetIdProto> {
        self.opsets.iter().find(|set| is_standard(set))
    }

    /// The node that makes tensor `name`.
    pub fn producer(&self, name: &str) -> Option<&NodeProto> {
        self.nodes.iter().find(|node| node.output.iter().any(|output| output == name))
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, tensor: TensorProto) {
        self.constants.insert(tensor.name.clone(), tensor);
    }

    /// Renames tensor `old` to `new` everywhere. If another tensor has the name `new`, it becomes
    /// `new.published`.
    pub fn rename(&mut self, old: &str, new: &str) {
        if old == new {
            return;
        }
        if self.uses(new) {
            self.replace_name(new, &format!("{new}.published"));
        }
        self.replace_name(old, new);
    }

    fn uses(&self, name: &str) -> bool {
        self.input.name == name
            || self.constants.contains_key(name)
            || self.nodes.iter().any(|node| node.output.iter().any(|output| output == name))
    }

    fn replace_name(&mut self, old: &str, new: &str) {
        let names =
            self.nodes.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        let names = names.chain(self.outputs.iter_mut().map(|output| &mut output.name));
        for name in names.chain([&mut self.input.name]).filter(|name| *name == old) {
            new.clone_into(name);
        }
        if let Some(mut tensor) = self.constants.remove(old) {
            new.clone_into(&mut tensor.name);
            self.add_constant(tensor);
        }
    }

    /// Makes `output` the only output and drops everything that it does not need.
    pub fn keep_only(&mut self, output: &str) {
        self.outputs = vec![ValueInfoProto::float(output, &[])];
        self.prune();
    }

    /// Puts the graph into a model: only what the outputs need, in topological order, without the
    /// published shapes of inner tensors.
    pub fn into_model(mut self, producer: &str) -> Result<ModelProto, OnnxError> {
        self.prune();
        let nodes = self.sorted()?;
        let used: HashSet<&String> = nodes.iter().flat_map(|node| &node.input).collect();
        let mut initializer: Vec<_> =
            self.constants.into_values().filter(|tensor| used.contains(&tensor.name)).collect();
        // The order of a hash map is random, and the same input must give the same file.
        initializer.sort_by(|a, b| a.name.cmp(&b.name));
        let graph = GraphProto {
            name: if self.name.is_empty() { "graph".into() } else { self.name },
            node: nodes,
            initializer,
            input: vec![self.input],
            output: self.outputs,
            ..GraphProto::default()
        };
        Ok(ModelProto {
            // Before version 4, every initializer had to be an input too.
            ir_version: self.ir_version.max(4),
            producer_name: producer.to_owned(),
            opset_import: self.opsets,
            graph: Some(graph),
            ..ModelProto::default()
        })
    }

    /// Drops nodes that no output depends on.
    pub fn prune(&mut self) {
        let mut wanted: Vec<String> =
            self.outputs.iter().map(|output| output.name.clone()).collect();
        let makers: HashMap<&String, usize> = self
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(i, node)| node.output.iter().map(move |output| (output, i)))
            .collect();
        let mut keep = vec![false; self.nodes.len()];
        while let Some(name) = wanted.pop() {
            if let Some(&i) = makers.get(&name)
                && !keep[i]
            {
                keep[i] = true;
                wanted.extend(self.nodes[i].input.iter().cloned());
            }
        }
        let mut keep = keep.into_iter();
        self.nodes.retain(|_| keep.next().unwrap_or(false));
    }

    /// The nodes, producers before consumers. Leaves no nodes in the graph.
    fn sorted(&mut self) -> Result<Vec<NodeProto>, OnnxError> {
        let mut known: HashSet<String> = self.constants.keys().cloned().collect();
        known.insert(self.input.name.clone());
        known.insert(String::new());
        let mut waiting = std::mem::take(&mut self.nodes);
        let mut sorted = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let before = waiting.len();
            let mut later = Vec::new();
            for node in waiting {
                if node.input.iter().all(|input| known.contains(input)) {
                    known.extend(node.output.iter().cloned());
                    sorted.push(node);
                } else {
                    later.push(node);
                }
            }
            if later.len() == before {
                let name = later[0]
                    .input
                    .iter()
                    .find(|input| !known.contains(*input))
                    .cloned()
                    .unwrap_or_default();
                return Err(OnnxError::Tensor {
                    name,
                    reason: "is read but no node computes \
                    it"
                    .into(),
                });
            }
            waiting = later;
        }
        Ok(sorted)
    }
}
