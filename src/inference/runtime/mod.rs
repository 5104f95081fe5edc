//! ONNX Runtime: loading the library, opening sessions, running them.

mod messages;
mod provider;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{OutputSelector, RunOptions, Session};
use ort::value::{PrimitiveTensorElementType, TensorRef};

use super::plan::DevicePlan;
use crate::domain::Device;
pub use provider::InputShape;

/// Why a network cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The library is missing, or is not an ONNX Runtime.
    #[error(
        "ONNX Runtime cannot be loaded from {path}: {reason}. Relative paths start at \
            FACEFLEET__HOME, or in the current folder if that is not set: set it to the folder \
            that holds models/ and .facefleet/. Or run `make setup` there (`make bfloat16` for \
            OpenVINO's), or set runtime.library to an ONNX Runtime of 1.17 or later"
    )]
    Library {
        /// Its expected path.
        path: PathBuf,
        /// The loader's message.
        reason: String,
    },
    /// The library refuses a model.
    #[error("ONNX Runtime refuses {model} on {device}: {reason}")]
    Model {
        /// The model.
        model: String,
        /// The device.
        device: Device,
        /// The library's message.
        reason: String,
    },
    /// The model is newer than the library.
    #[error(
        "{model} has {what} {found}, and this ONNX Runtime reads up to {newest}: export the model \
            with {what} {newest} or older, or set runtime.library to a newer ONNX Runtime"
    )]
    Newer {
        /// The model.
        model: String,
        /// The version that is newer.
        what: &'static str,
        /// The model's version.
        found: i64,
        /// The newest version that the library reads.
        newest: i64,
    },
    /// The device is missing or cannot run a network.
    #[error(
        "{device} cannot be used: {reason}. {remedy}, or set runtime.device to another device \
            (environment variable FACEFLEET__RUNTIME__DEVICE)"
    )]
    Device {
        /// The device.
        device: Device,
        /// ONNX Runtime's message.
        reason: String,
        /// What the user must do.
        remedy: &'static str,
    },
    /// A forward pass failed.
    #[error("the forward pass failed: {0}")]
    Run(String),
    /// A network's output has an unexpected shape.
    #[error("the network's output '{output}' has shape {shape:?}, expected {expected}")]
    Shape {
        /// The name of the output.
        output: String,
        /// Its shape.
        shape: Vec<i64>,
        /// The expected shape.
        expected: String,
    },
}

/// The loaded library: one per process, shared by all sessions.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
}

/// The library, once it is loaded: a second [`Runtime::load`] returns the same one.
static LOADED: Mutex<Option<Environment>> = Mutex::new(None);

impl Runtime {
    /// Loads the shared library `path`.
    ///
    /// # Errors
    /// If the file is missing, or is not an ONNX Runtime of version 1.17 or later.
    pub fn load(path: &Path) -> Result<Self, RuntimeError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = loaded.as_ref() {
            return Ok(Self { environment: environment.clone() });
        }
        let library = |reason: String| RuntimeError::Library { path: path.to_owned(), reason };
        if !path.is_file() {
            return Err(library("there is no such file".into()));
        }
        // The loader searches the system's library folders for a relative name.
        let absolute = path.canonicalize().map_err(|error| library(error.to_string()))?;
        let builder = ort::environment::init_from(&absolute)
            .map_err(|error| library(with_sources(&error)))?;
        let environment = builder
            .with_name("facefleet")
            .with_telemetry(false)
            .build()
            .map_err(|error| library(error.to_string()))?;
        // Errors are returned, and the library logs some that it gets over: cuDNN has no plan for
        // a convolution in half precision without TF32, and another of its searches finds one.
        environment.set_log_level(LogLevel::Fatal);
        *loaded = Some(environment.clone());
        Ok(Self { environment })
    }

    /// Whether this library was built for `device`. The device may still be missing on this
    /// machine: only an open session with the right answer proves it.
    pub fn offers(&self, device: Device) -> bool {
        let built_for = match device {
            Device::Cpu => return true,
            Device::OpenVino => ep::OpenVINO::is_available(),
            Device::Cuda(_) => ep::CUDA::is_available(),
            Device::TensorRt(_) => ep::TensorRT::is_available(),
        };
        built_for.unwrap_or(false)
    }

    /// Refuses a device that this library was not built for.
    ///
    /// # Errors
    /// If the library was not built for it.
    pub fn require(&self, device: Device) -> Result<(), RuntimeError> {
        if self.offers(device) {
            return Ok(());
        }
        let reason = "this ONNX Runtime was built without it".to_owned();
        Err(RuntimeError::Device { device, remedy: messages::remedy(device, &reason), reason })
    }

    /// Opens a session with `threads` threads on the CPU.
    ///
    /// # Errors
    /// If the library refuses the model.
    pub fn open(&self, name: &str, model: &[u8], threads: usize) -> Result<Network, RuntimeError> {
        self.open_on(name, model, &DevicePlan::cpu(threads), &[])
    }

    /// Opens a network as `plan` says: one session for each of `shapes`, side by side, or one for
    /// all shapes if there are none. On a GPU, a session that gets another shape than the one
    /// before it plans all its convolutions again: 160 to 680 ms on an H200, where a pass takes
    /// 0.7 to 6 ms (docs/gpu.md).
    ///
    /// # Errors
    /// If the device cannot be used, or the library refuses the model.
    pub fn open_on(
        &self,
        name: &str,
        model: &[u8],
        plan: &DevicePlan,
        shapes: &[InputShape],
    ) -> Result<Network, RuntimeError> {
        self.require(plan.device)?;
        let open = |shape: Option<&InputShape>| {
            let session = self.build(name, model, plan, shape)?;
            Ok((shape.map(|shape| shape.dims), session))
        };
        let sessions: Result<Vec<_>, _> = if shapes.is_empty() {
            open(None).map(|session| vec![session])
        } else {
            side_by_side(shapes.len(), |index| open(shapes.get(index)))
        };
        let sessions = sessions.map_err(|refused| match refused {
            // The library's message about a newer model is about its own source files. Replace it.
            RuntimeError::Model { .. } => self.check_versions(name, model).err().unwrap_or(refused),
            _ => refused,
        })?;
        Ok(Network::of(sessions))
    }

    fn build(
        &self,
        name: &str,
        model: &[u8],
        plan: &DevicePlan,
        shape: Option<&InputShape>,
    ) -> Result<Session, RuntimeError> {
        let device = plan.device;
        let unusable = |reason: &str| RuntimeError::Device {
            device,
            reason: messages::essence(reason),
            remedy: messages::remedy(device, reason),
        };
        let refused =
            |reason: String| RuntimeError::Model { model: name.to_owned(), device, reason };
        let text =
            |error: ort::Error<ort::session::builder::SessionBuilder>| refused(error.to_string());
        let engines = provider::engines(plan, model, shape)
            .map_err(|error| unusable(&format!("runtime.engines: {error}")))?;
        let mut builder = Session::builder(&self.environment)
            .map_err(|error| refused(error.to_string()))?
            // Errors are returned, and each session would log its own.
            .with_log_level(LogLevel::Fatal)
            .map_err(text)?
            .with_optimization_level(GraphOptimizationLevel::Level3)
            .map_err(text)?
            .with_intra_threads(plan.threads)
            .map_err(text)?
            .with_inter_threads(1)
            .map_err(text)?
            // Batches and image sizes vary. A memory pattern would be planned for each of them.
            .with_memory_pattern(false)
            .map_err(text)?
            // A thread that spins while it waits takes the core from other sessions.
            .with_intra_op_spinning(false)
            .map_err(text)?;
        if !provider::has_cpu_behind(device) {
            builder =
                builder.with_config_entry("session.disable_cpu_ep_fallback", "1").map_err(text)?;
        }
        builder
            .with_execution_providers(provider::of(plan, shape, engines.as_deref()))
            .map_err(|error| unusable(&error.to_string()))?
            .commit_from_memory(model)
            .map_err(|error| {
                let reason = error.to_string();
                // A device that fails while it takes the model is not the model's fault.
                if messages::is_of_the_device(&reason) {
                    unusable(&reason)
                } else {
                    refused(reason)
                }
            })
    }
}

/// Calls `open` with 0, 1 … up to `count`, each in a thread of its own: opening a session takes
/// 200 ms or more.
///
/// # Errors
/// The first error of them.
pub fn side_by_side<T: Send, E: Send>(
    count: usize,
    open: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    std::thread::scope(|scope| {
        let open = &open;
        let opening: Vec<_> = (0..count).map(|index| scope.spawn(move || open(index))).collect();
        opening
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// One network on one device, for one thread at a time.
#[derive(Debug)]
pub struct Network {
    /// A session for each shape of the input that it was opened for. A session without a shape, or
    /// else the last one, gets all others.
    sessions: Vec<(Option<[usize; 4]>, Session)>,
    outputs: Vec<String>,
}

/// An output tensor of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The shape.
    pub shape: Vec<i64>,
    /// The values, row-major.
    pub values: Vec<f32>,
}

impl Network {
    fn of(sessions: Vec<(Option<[usize; 4]>, Session)>) -> Self {
        let outputs = sessions.iter().take(1).flat_map(|(_, session)| session.outputs());
        let outputs = outputs.map(|output| output.name().to_owned()).collect();
        Self { sessions, outputs }
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }

    /// Runs the network on `inputs` (shape and values of each, in the order of the graph) and
    /// returns the outputs `wanted`, in that order.
    ///
    /// # Errors
    /// If the forward pass fails, or the network has no such output.
    pub fn run(
        &mut self,
        inputs: &[(&[usize], &[f32])],
        wanted: &[&str],
    ) -> Result<Vec<Output>, RuntimeError> {
        self.pass(inputs, wanted)
    }

    /// Runs a network whose input is bytes, as [`Self::run`] does.
    ///
    /// # Errors
    /// If the forward pass fails, or the network has no such output.
    pub fn run_bytes(
        &mut self,
        shape: &[usize],
        bytes: &[u8],
        wanted: &[&str],
    ) -> Result<Vec<Output>, RuntimeError> {
        self.pass(&[(shape, bytes)], wanted)
    }

    fn pass<T: PrimitiveTensorElementType + std::fmt::Debug + Clone + 'static>(
        &mut self,
        inputs: &[(&[usize], &[T])],
        wanted: &[&str],
    ) -> Result<Vec<Output>, RuntimeError> {
        let failed = |error: ort::Error| RuntimeError::Run(messages::essence(&error.to_string()));
        let mut selector = OutputSelector::no_default();
        for &name in wanted {
            if !self.outputs.iter().any(|output| output == name) {
                return Err(RuntimeError::Run(format!(
                    "the model has no output '{name}', only {}",
                    self.outputs.join(", ")
                )));
            }
            selector = selector.with(name);
        }
        let options = RunOptions::new().map_err(failed)?.with_outputs(selector);
        let mut tensors: Vec<ort::session::SessionInputValue<'_>> =
            Vec::with_capacity(inputs.len());
        for (shape, values) in inputs {
            tensors.push(TensorRef::from_array_view((*shape, *values)).map_err(failed)?.into());
        }
        let session = self.session_for(inputs.first().map_or(&[], |(shape, _)| shape))?;
        let results = session.run_with_options(tensors.as_slice(), &options).map_err(failed)?;
        let extract = |name: &&str| {
            let value = results
                .get(*name)
                .ok_or_else(|| RuntimeError::Run(format!("output '{name}' is missing")))?;
            let (shape, values) = value.try_extract_tensor::<f32>().map_err(failed)?;
            Ok(Output { shape: shape.iter().copied().collect(), values: values.to_vec() })
        };
        wanted.iter().map(extract).collect()
    }

    fn session_for(&mut self, shape: &[usize]) -> Result<&mut Session, RuntimeError> {
        let own = self.sessions.iter().position(|(own, _)| own.is_none_or(|own| own == *shape));
        let last = self.sessions.len().saturating_sub(1);
        let session = self.sessions.get_mut(own.unwrap_or(last));
        session.map(|(_, session)| session).ok_or_else(|| RuntimeError::Run("no session".into()))
    }
}
