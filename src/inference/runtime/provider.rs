//! The execution providers of ONNX Runtime for each device, and what they need on the machine.
//!
//! Every provider is set to fail on error. By default, ONNX Runtime silently replaces a provider
//! that does not start with the CPU.

use std::path::{Path, PathBuf};

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};

use crate::domain::{Device, Precision};
use crate::inference::plan::DevicePlan;

/// A shape that a network's input has, in a session that gets no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputShape {
    /// Name of the input.
    pub input: String,
    /// Items, channels, height and width.
    pub dims: [usize; 4],
}

impl InputShape {
    /// `32x3x112x112`.
    fn sides(&self) -> String {
        self.dims.map(|side| side.to_string()).join("x")
    }

    /// `input:32x3x112x112`, in the notation of `TensorRT`.
    fn text(&self) -> String {
        format!("{}:{}", self.input, self.sides())
    }
}

/// Whether the CPU may run the nodes that `device` cannot. Not for a GPU: a share of the CPU that
/// nobody sees makes it slow, and an error says so.
pub fn has_cpu_behind(device: Device) -> bool {
    matches!(device, Device::Cpu | Device::OpenVino)
}

/// The providers for `plan`, in order of preference, for a session that gets `shape` alone (or
/// any, if there is none). `engines` is the folder of this session's engines.
pub fn of(
    plan: &DevicePlan,
    shape: Option<&InputShape>,
    engines: Option<&Path>,
) -> Vec<ExecutionProviderDispatch> {
    // The arena is off by default; every tensor is then a new allocation (1.3 to 1.5 times slower).
    let cpu = ep::CPU::default().with_arena_allocator(true).build();
    let device = match plan.device {
        Device::Cpu => vec![],
        Device::OpenVino => vec![open_vino(plan)],
        Device::Cuda(index) => vec![cuda(index, plan)],
        // CUDA runs the nodes that TensorRT does not.
        Device::TensorRt(index) => vec![tensor_rt(index, shape, engines), cuda(index, plan)],
    };
    let cpu = has_cpu_behind(plan.device).then_some(cpu);
    device.into_iter().chain(cpu).map(ExecutionProviderDispatch::error_on_failure).collect()
}

/// The folder of the engines that `TensorRT` builds of `model` for `shape`. It names both, because
/// `TensorRT` finds an engine by the names in a graph, which do not change with its weights. It is
/// created. `None` for other devices.
///
/// # Errors
/// If the folder cannot be created.
pub fn engines(
    plan: &DevicePlan,
    model: &[u8],
    shape: Option<&InputShape>,
) -> std::io::Result<Option<PathBuf>> {
    let (Device::TensorRt(_), Some(folder)) = (plan.device, &plan.engines) else {
        return Ok(None);
    };
    let model = blake3::hash(model).to_hex();
    let shape = shape.map_or_else(|| "any".into(), InputShape::sides);
    let folder = folder.join(&model[..16]).join(shape);
    std::fs::create_dir_all(&folder)?;
    Ok(Some(folder))
}

/// Properties of `OpenVINO`. ONNX Runtime has no option for the first. Without the second, the
/// sessions of all threads are pinned to the same core.
const BFLOAT16: &str = r#"{"CPU":{"INFERENCE_PRECISION_HINT":"bf16","ENABLE_CPU_PINNING":"NO"}}"#;

fn open_vino(plan: &DevicePlan) -> ExecutionProviderDispatch {
    let provider = ep::OpenVINO::default().with_device_type("CPU").with_num_threads(plan.threads);
    if plan.precision == Precision::Bfloat16 {
        return provider.with_arbitrary_config("load_config", BFLOAT16).build();
    }
    // Without this, OpenVINO may compute in bfloat16 where the CPU has it. The profile says 32
    // bits.
    provider.with_precision("FP32").build()
}

fn cuda(index: u16, plan: &DevicePlan) -> ExecutionProviderDispatch {
    let search = match plan.kernels.exhaustive {
        true => ep::cuda::ConvAlgorithmSearch::Exhaustive,
        false => ep::cuda::ConvAlgorithmSearch::Heuristic,
    };
    ep::CUDA::default()
        .with_device_id(i32::from(index))
        // There are few shapes: extend the arena by what the largest one needs, not to the next
        // power of two.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        .with_conv_algorithm_search(search)
        // 1.15 to 1.2 times as fast for convolutions in half precision, and slower in 32 bits.
        .with_prefer_nhwc(plan.precision == Precision::Half)
        .with_tf32(plan.kernels.tf32)
        .build()
}

fn tensor_rt(
    index: u16,
    shape: Option<&InputShape>,
    engines: Option<&Path>,
) -> ExecutionProviderDispatch {
    // Without `with_fp16`: the graph says which parts have 16 bits. The option would let TensorRT
    // put the last layer and SER-FIQ in 16 bits, too.
    let mut provider = ep::TensorRT::default().with_device_id(i32::from(index));
    if let Some(folder) = engines {
        let folder = folder.display();
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(&folder)
            .with_timing_cache(true)
            .with_timing_cache_path(&folder);
    }
    if let Some(shape) = shape {
        let shape = shape.text();
        provider = provider
            .with_profile_min_shapes(&shape)
            .with_profile_opt_shapes(&shape)
            .with_profile_max_shapes(&shape);
    }
    provider.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_asked_for_by_its_own_provider_and_a_gpu_without_the_cpu_behind_it() {
        let names = |device| {
            of(&DevicePlan::new(device, 1, 4), None, None)
                .iter()
                .map(ExecutionProviderDispatch::name)
                .collect::<Vec<_>>()
        };
        let [cpu, cuda, tensor_rt] =
            ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"];
        assert_eq!(names(Device::Cpu), [cpu]);
        assert_eq!(names(Device::OpenVino), ["OpenVINOExecutionProvider", cpu]);
        assert_eq!(names(Device::Cuda(1)), [cuda]);
        assert_eq!(names(Device::TensorRt(0)), [tensor_rt, cuda]);
    }

    #[test]
    fn an_engine_is_found_by_its_weights_and_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let shape = |items| InputShape { input: "chip".into(), dims: [items, 3, 112, 112] };
        assert_eq!(shape(32).text(), "chip:32x3x112x112");

        let plan = DevicePlan {
            engines: Some(folder.path().into()),
            ..DevicePlan::new(Device::TensorRt(0), 1, 32)
        };
        let of = |model: &[u8], items| engines(&plan, model, Some(&shape(items))).unwrap().unwrap();
        assert!(of(b"one", 1).is_dir());
        assert_eq!(of(b"one", 1), of(b"one", 1));
        assert_ne!(of(b"one", 1), of(b"two", 1));
        assert_ne!(of(b"one", 1), of(b"one", 8));
        let cuda = DevicePlan { device: Device::Cuda(0), ..plan.clone() };
        assert_eq!(engines(&cuda, b"one", Some(&shape(1))).unwrap(), None);
    }
}
