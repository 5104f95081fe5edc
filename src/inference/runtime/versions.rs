//! Refuses models that are newer than the loaded ONNX Runtime. The library has no function that
//! returns the versions it reads, so this module tries to open models of one node.

use prost::Message;

use super::{DevicePlan, Runtime, RuntimeError};
use crate::inference::onnx::{
    Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto, Versions,
};

/// The versions that ONNX Runtime 1.17 reads, the oldest supported one.
const OLDEST: Reads = Reads { ir_version: 9, opset: 20 };

/// A larger version number is damage.
const MAX_VERSION: i64 = 100;

struct Reads {
    ir_version: i64,
    opset: i64,
}

impl Runtime {
    /// Refuses a model whose operator set or file format this library does not read. Accepts bytes
    /// that are not a model.
    ///
    /// # Errors
    /// If the model is newer; the error has both versions.
    pub fn check_versions(&self, name: &str, model: &[u8]) -> Result<(), RuntimeError> {
        let Ok(versions) = Versions::decode(model) else { return Ok(()) };
        let newer = |what, found, newest| {
            Err(RuntimeError::Newer { model: name.to_owned(), what, found, newest })
        };
        let found = Reads { ir_version: versions.ir_version, opset: versions.opset() };
        if found.ir_version > OLDEST.ir_version
            && !self.reads(&Reads { ir_version: found.ir_version, ..OLDEST })
        {
            let newest =
                self.newest(OLDEST.ir_version, |ir_version| Reads { ir_version, ..OLDEST });
            return newer("ONNX file format (IR version)", found.ir_version, newest);
        }
        if found.opset > OLDEST.opset && !self.reads(&Reads { opset: found.opset, ..OLDEST }) {
            return newer(
                "operator set",
                found.opset,
                self.newest(OLDEST.opset, |opset| Reads { opset, ..OLDEST }),
            );
        }
        Ok(())
    }

    /// The last version from `first` on that the library reads.
    fn newest(&self, first: i64, with: impl Fn(i64) -> Reads) -> i64 {
        (first + 1..MAX_VERSION)
            .take_while(|&version| self.reads(&with(version)))
            .last()
            .unwrap_or(first)
    }

    fn reads(&self, versions: &Reads) -> bool {
        let value = |name| ValueInfoProto::float(name, &[Dimension::Value(1)]);
        let graph = GraphProto {
            name: "versions".into(),
            node: vec![NodeProto::new("Identity", &["x"], "y")],
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: versions.ir_version,
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: versions.opset,
            }],
            graph: Some(graph),
            ..ModelProto::default()
        };
        self.build("versions", &model.encode_to_vec(), &DevicePlan::cpu(1), None).is_ok()
    }
}
