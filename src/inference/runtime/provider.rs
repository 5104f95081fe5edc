//! The execution providers of ONNX Runtime for each device, and what they need on the machine.
//!
//! Every provider is set to fail on error. By default, ONNX Runtime silently replaces a provider
//! that does not start with the CPU.

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};

use crate::domain::{Device, Precision};
use crate::inference::plan::DevicePlan;

/// The smallest and the largest shape that a network's input has in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShapeRange {
    /// Name of the input.
    pub input: String,
    /// The smallest.
    pub min: [usize; 4],
    /// The largest.
    pub max: [usize; 4],
}

impl ShapeRange {
    /// `input:1x3x112x112`, in the notation of `TensorRT`.
    fn text(&self, shape: &[usize; 4]) -> String {
        let [n, channels, height, width] = shape;
        format!("{}:{n}x{channels}x{height}x{width}", self.input)
    }
}

/// The providers for `plan`, in order of preference.
pub fn of(plan: &DevicePlan, shapes: Option<&ShapeRange>) -> Vec<ExecutionProviderDispatch> {
    // The arena is off by default; every tensor is then a new allocation (1.3 to 1.5 times slower).
    let cpu = ep::CPU::default().with_arena_allocator(true).build();
    let device = match plan.device {
        Device::Cpu => vec![],
        Device::OpenVino => vec![open_vino(plan)],
        Device::Cuda(index) => vec![cuda(index)],
        // CUDA runs the nodes that TensorRT does not.
        Device::TensorRt(index) => vec![tensor_rt(index, plan, shapes), cuda(index)],
    };
    device.into_iter().chain([cpu]).map(ExecutionProviderDispatch::error_on_failure).collect()
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

fn cuda(index: u16) -> ExecutionProviderDispatch {
    ep::CUDA::default()
        .with_device_id(i32::from(index))
        // There are few shapes: extend the arena by what the largest one needs, not to the next
        // power of two.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        // TF32 has the ten-bit mantissa of half precision. The profile says 32 bits.
        .with_tf32(false)
        .build()
}

fn tensor_rt(
    index: u16,
    plan: &DevicePlan,
    shapes: Option<&ShapeRange>,
) -> ExecutionProviderDispatch {
    let mut provider = ep::TensorRT::default()
        .with_device_id(i32::from(index))
        .with_fp16(plan.precision == Precision::Half);
    if let Some(folder) = &plan.engines {
        let folder = folder.display();
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(&folder)
            .with_timing_cache(true)
            .with_timing_cache_path(&folder);
    }
    if let Some(range) = shapes {
        // One engine for all shapes, tuned for the largest. Otherwise TensorRT builds an engine for
        // each new shape.
        let (min, max) = (range.text(&range.min), range.text(&range.max));
        provider = provider
            .with_profile_min_shapes(min)
            .with_profile_opt_shapes(&max)
            .with_profile_max_shapes(&max);
    }
    provider.build()
}

/// What the user must do to make a device work.
pub fn remedy(device: Device) -> &'static str {
    match device {
        Device::Cpu => "Run `make setup` again",
        Device::OpenVino => {
            "OpenVINO needs its own build of ONNX Runtime: run `python3 scripts/setup.py --runtime \
                openvino` and set runtime.library as it says"
        }
        Device::Cuda(_) => {
            "CUDA needs an NVIDIA GPU of that number with its driver, CUDA 12 and cuDNN 9 on the \
                library path, and the CUDA build of ONNX Runtime: run `python3 scripts/setup.py \
                --runtime cuda` and set runtime.library as it says (docs/gpu.md)"
        }
        Device::TensorRt(_) => {
            "TensorRT needs all that CUDA needs and TensorRT 10 on the library path (docs/gpu.md)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_is_asked_for_by_its_own_provider_with_the_cpu_behind_it() {
        let names = |device| {
            of(&DevicePlan::new(device, 1, 4), None)
                .iter()
                .map(ExecutionProviderDispatch::name)
                .collect::<Vec<_>>()
        };
        let [cpu, cuda, tensor_rt] =
            ["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"];
        assert_eq!(names(Device::Cpu), [cpu]);
        assert_eq!(names(Device::OpenVino), ["OpenVINOExecutionProvider", cpu]);
        assert_eq!(names(Device::Cuda(1)), [cuda, cpu]);
        assert_eq!(names(Device::TensorRt(0)), [tensor_rt, cuda, cpu]);
    }

    #[test]
    fn shapes_are_written_as_tensorrt_reads_them() {
        let range =
            ShapeRange { input: "chip".into(), min: [1, 3, 112, 112], max: [32, 3, 112, 112] };
        assert_eq!(range.text(&range.max), "chip:32x3x112x112");
    }
}
