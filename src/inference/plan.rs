//! How sessions are laid out on a device. A CPU has one session per core and accepts any batch
//! size. A GPU runs each network twice, so that one copies while the other computes, and in a few
//! fixed batch sizes: each has a session of its own, since a change of shape costs it much more
//! than a pass.

use std::path::PathBuf;

use super::prepare::{Target, Variant};
use crate::domain::{Device, Precision};

/// How CUDA computes convolutions. Other choices than the default are only measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kernels {
    /// Every kernel is tried at the start, instead of what cuDNN proposes. It takes longer, and was
    /// not faster afterwards on an H200 (docs/gpu.md).
    pub exhaustive: bool,
    /// 32 bits are computed in TF32, which has the ten-bit mantissa of half precision. A profile of
    /// 32 bits rules it out, and the self-tests refuse it.
    pub tf32: bool,
}

/// A device and the layout of its sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// The device.
    pub device: Device,
    /// How many times each network is opened. Each has a thread.
    pub sessions: usize,
    /// CPU threads per session.
    pub threads: usize,
    /// The most items in a forward pass.
    pub batch: usize,
    /// Whether batches are padded to a few fixed sizes.
    pub padded: bool,
    /// The recogniser's precision.
    pub precision: Precision,
    /// How CUDA computes convolutions.
    pub kernels: Kernels,
    /// Folder where `TensorRT` keeps its engines, which take minutes to build.
    pub engines: Option<PathBuf>,
}

impl DevicePlan {
    /// The plan for `device` on a machine with `cores` cores, with batches of up to `batch` items.
    pub fn new(device: Device, cores: usize, batch: usize) -> Self {
        let (sessions, padded) = match device {
            // One session of one thread per core was the fastest layout for both networks.
            Device::Cpu | Device::OpenVino => (cores, false),
            Device::Cuda(_) | Device::TensorRt(_) => (2, true),
        };
        Self {
            device,
            sessions,
            threads: 1,
            batch: batch.max(1),
            padded,
            precision: Precision::Float32,
            kernels: Kernels::default(),
            engines: None,
        }
    }

    /// One session of `threads` threads on the CPU.
    pub fn cpu(threads: usize) -> Self {
        Self { threads, ..Self::new(Device::Cpu, 1, 1) }
    }

    /// The preparation that this device runs.
    pub fn variant(&self) -> Variant {
        let target = match self.device {
            Device::Cpu => Target::Cpu,
            Device::OpenVino | Device::Cuda(_) | Device::TensorRt(_) => Target::Gpu,
        };
        Variant { target, precision: self.precision }
    }

    /// The batch sizes that this device gets: 1, 8, 32 and so on up to the largest. Each has a
    /// session of its own. Empty if any size is allowed.
    pub fn sizes(&self) -> Vec<usize> {
        self.sizes_up_to(self.batch)
    }

    /// The batch sizes for items so large that a batch holds at most `max` of them.
    pub fn sizes_up_to(&self, max: usize) -> Vec<usize> {
        let max = max.clamp(1, self.batch);
        let between = std::iter::successors(Some(8), |size: &usize| size.checked_mul(4))
            .take_while(|&size| size < max);
        let mut sizes: Vec<usize> = std::iter::once(1).chain(between).chain([max]).collect();
        sizes.dedup();
        if self.padded { sizes } else { Vec::new() }
    }
}

/// The first of `sizes` that holds `items`; `items` itself if no size is fixed.
pub fn padded_to(sizes: &[usize], items: usize) -> usize {
    sizes.iter().copied().find(|&size| size >= items).unwrap_or(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_sees_a_few_sizes_and_a_cpu_any() {
        let gpu = |batch| DevicePlan::new(Device::Cuda(0), 8, batch).sizes();
        assert_eq!(gpu(32), [1, 8, 32]);
        assert_eq!(gpu(12), [1, 8, 12]);
        assert_eq!(gpu(4), [1, 4]);
        assert_eq!(gpu(2), [1, 2]);
        assert_eq!(gpu(0), [1]);
        assert_eq!([1, 3, 8, 9, 12].map(|items| padded_to(&gpu(12), items)), [1, 8, 8, 12, 12]);

        let cpu = DevicePlan::new(Device::Cpu, 8, 32);
        assert_eq!((cpu.sessions, cpu.sizes()), (8, Vec::new()));
        assert_eq!(padded_to(&cpu.sizes(), 3), 3);
    }

    #[test]
    fn a_gpu_runs_another_preparation_than_a_cpu() {
        let variant = |device| {
            DevicePlan { precision: Precision::Half, ..DevicePlan::new(device, 2, 4) }.variant()
        };
        assert_eq!(
            variant(Device::Cpu),
            Variant { target: Target::Cpu, precision: Precision::Half }
        );
        for device in [Device::Cuda(0), Device::TensorRt(1), Device::OpenVino] {
            assert_eq!(
                variant(device),
                Variant { target: Target::Gpu, precision: Precision::Half }
            );
        }
    }

    #[test]
    fn fewer_of_the_large_items_make_a_batch() {
        let gpu = DevicePlan::new(Device::Cuda(0), 8, 32);
        assert_eq!(gpu.sizes_up_to(16), [1, 8, 16]);
        assert_eq!(gpu.sizes_up_to(0), [1]);
        assert_eq!(gpu.sizes_up_to(1000), gpu.sizes());
    }
}
