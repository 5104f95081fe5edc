//! The networks: their manifests, their preparation, and running them. Only this module uses ONNX
//! Runtime.
//!
//! The detectors are [`detector`] (the choice), [`yunet`] and [`mtcnn`]; the recogniser is
//! [`recogniser`]. [`prepare`] rewrites graphs, [`model`] keeps the files, [`batcher`] runs
//! batches.

pub mod batcher;
pub mod canvas;
pub mod detector;
mod external;
pub mod import;
pub mod manifest;
pub mod model;
pub mod mtcnn;
pub mod onnx;
pub mod plan;
pub mod prepare;
pub mod recogniser;
pub mod runtime;
mod test_face;
pub mod yunet;
