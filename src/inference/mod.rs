//! The networks: their description, their preparation, and running them. The only room that knows
//! ONNX Runtime.

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
