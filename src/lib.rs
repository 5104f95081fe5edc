//! facefleet: jobs come off a queue, images become faces, faces become templates and SER-FIQ quality in one forward pass of one
//! network, and each job ends in exactly one recorded outcome.
pub mod app;
pub mod cli;
pub mod domain;
pub mod gallery;
pub mod images;
pub mod inference;
pub mod quality;
pub mod queue;
pub mod report;
pub mod store;
pub mod telemetry;
pub mod vision;
pub mod worker;
