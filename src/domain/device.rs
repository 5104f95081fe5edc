//! Devices that run the networks. Only the inference module can find out which of them a machine
//! has.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A device that runs the networks. Its name is recorded with every result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Device {
    /// ONNX Runtime's own kernels on the CPU.
    Cpu,
    /// Intel's `OpenVINO`, on the CPU.
    OpenVino,
    /// The NVIDIA GPU of this index, through CUDA.
    Cuda(u16),
    /// The NVIDIA GPU of this index, through `TensorRT`.
    TensorRt(u16),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::OpenVino => f.write_str("openvino"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::TensorRt(index) => write!(f, "tensorrt:{index}"),
        }
    }
}

/// The device that the operator selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceChoice {
    /// The first GPU if it can be used, the CPU otherwise.
    Auto,
    /// Exactly this device. If it cannot be used, that is an error.
    Only(Device),
}

/// A text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown device '{0}': use auto, cpu, openvino, cuda:N or tensorrt:N, where N is the index of \
     the GPU, from 0"
)]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        // Only digits: the number parser would accept a sign too.
        let number = |digits: &str| {
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
        };
        let device = match text.split_once(':') {
            None if text == "auto" => return Ok(Self::Auto),
            None if text == "cpu" => Some(Device::Cpu),
            None if text == "openvino" => Some(Device::OpenVino),
            Some(("cuda", index)) => number(index).map(Device::Cuda),
            Some(("tensorrt", index)) => number(index).map(Device::TensorRt),
            _ => None,
        };
        device.map(Self::Only).ok_or_else(|| UnknownDevice(text.to_owned()))
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownDevice;

    fn try_from(text: String) -> Result<Self, UnknownDevice> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_parsed_from_and_written_as_its_name() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        for name in ["cpu", "openvino", "cuda:0", "cuda:7", "tensorrt:1"] {
            let Ok(DeviceChoice::Only(device)) = name.parse() else { panic!("{name}") };
            assert_eq!(device.to_string(), name);
        }
    }

    #[test]
    fn the_error_about_an_unknown_device_lists_the_choices() {
        for name in [
            "",
            "gpu",
            "cuda",
            "cuda:",
            "cuda:+1",
            "cuda:-1",
            "cuda:x",
            "cuda:99999",
            "cpu:0",
            "CPU",
        ] {
            let error = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("'{name}'")) && error.contains("tensorrt:N"),
                "{error}"
            );
        }
    }
}
