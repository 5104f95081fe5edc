//! What ONNX Runtime says when a device fails, without the places in its source, and what the user
//! must do.

use crate::domain::Device;

/// What the message of a failed call of CUDA, cuDNN or cuBLAS begins with. `TensorRT` calls them.
const FAILED_CALLS: [&str; 5] =
    ["CUDA failure", "CUBLAS failure", "CUDNN failure", "CUFFT failure", "CUDA error"];
/// Signs of such a message that has none of those.
const OF_A_CALL: [&str; 2] = ["cuda_call.cc", "cudaError"];
/// What the libraries say if the GPU's memory is taken.
const NO_MEMORY: [&str; 4] =
    ["out of memory", "resource allocation failed", "ALLOC_FAILED", "Failed to allocate memory"];

/// Whether ONNX Runtime's `message` about a model is about the device: a call of CUDA, cuDNN,
/// cuBLAS or `TensorRT` that failed.
pub fn is_of_the_device(message: &str) -> bool {
    FAILED_CALLS.iter().chain(&OF_A_CALL).any(|sign| message.contains(sign))
}

/// A provider's message, without the places in ONNX Runtime's source: of a failed call of CUDA the
/// library, the number and the meaning.
pub fn essence(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let call = FAILED_CALLS.iter().filter_map(|sign| line.rfind(sign)).max();
    let reason = match call.and_then(|start| line.get(start..)) {
        Some(call) => call.split(" ; ").next().unwrap_or(call),
        None => line.rsplit_once(" : FAIL : ").map_or(line, |(_, reason)| reason),
    };
    reason.trim_end_matches(['.', ' ']).to_owned()
}

/// What the user must do to make a device work that failed with `message`.
pub fn remedy(device: Device, message: &str) -> &'static str {
    if NO_MEMORY.iter().any(|sign| message.contains(sign)) {
        return "The GPU's memory is taken: `nvidia-smi` lists the processes that have it. End \
            them, or set a smaller worker.batch (docs/gpu.md)";
    }
    match device {
        Device::Cpu => "Run `make setup` again",
        Device::OpenVino => {
            "OpenVINO needs its own build of ONNX Runtime: run `python3 scripts/setup.py --runtime \
                openvino` and set runtime.library as it says"
        }
        Device::Cuda(_) => {
            "CUDA needs an NVIDIA GPU of that number with its driver, CUDA and cuDNN 9 on the \
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

    /// As ONNX Runtime 1.31 said them on an H200.
    const FULL: &str = "Exception during initialization: /onnxruntime_src/onnxruntime/core/\
        providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, Status> CudaCall(ERRTYPE) \
        [with ERRTYPE = cublasStatus_t] CUBLAS failure 3: the resource allocation failed ; GPU=0 \
        ; hostname=vm ; file=/onnxruntime_src/cuda_execution_provider.cc ; line=245 ; \
        expr=cublasCreate(&cublas_handle_); ";
    const LOST: &str = "CUDA failure 214: uncorrectable ECC error encountered ; GPU=0 ; \
        hostname=vm ; file=/onnxruntime_src/gpu_data_transfer.cc ; line=91 ; \
        expr=cudaMemcpyAsync(dst_data, src_data, bytes); ";
    const NONE: &str = "provider_options_utils.h:187 Parse Failed to parse provider option \
        \"device_id\": CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; line=70";

    #[test]
    fn a_failed_call_of_cuda_is_told_without_the_places_in_the_source() {
        assert_eq!(essence(FULL), "CUBLAS failure 3: the resource allocation failed");
        assert_eq!(essence(LOST), "CUDA failure 214: uncorrectable ECC error encountered");
        assert_eq!(essence(NONE), "CUDA failure 100: no CUDA-capable device is detected");
        let other = "provider.cc:12 : FAIL : libcublasLt.so.13: cannot open shared object file.";
        assert_eq!(essence(other), "libcublasLt.so.13: cannot open shared object file");
    }

    #[test]
    fn a_failed_call_of_cuda_is_not_the_models_fault() {
        for message in [
            FULL,
            LOST,
            NONE,
            "cuda_call.cc:140 CudaCall CUDA failure 2: out of memory ; GPU=0",
            "CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR",
        ] {
            assert!(is_of_the_device(message), "{message}");
        }
        assert!(!is_of_the_device("Load model from memory failed: invalid protobuf"));
    }

    #[test]
    fn memory_that_others_have_is_no_missing_driver() {
        assert!(remedy(Device::Cuda(0), FULL).contains("nvidia-smi"));
        assert!(!remedy(Device::Cuda(0), NONE).contains("nvidia-smi"));
    }
}
