//! facefleet: jobs come off a queue, images become faces, faces become templates and SER-FIQ
//! quality in one forward pass of one network, and each job ends in exactly one recorded outcome.
//!
//! The way of the data: a [`domain::Job`] is fetched by [`images`], decoded and aligned by
//! [`vision`] with the detector of [`inference`], recognised in batches, and recorded by [`worker`]
//! in the [`store`]; the [`queue`] then carries the event that it ended. [`gallery`] fills the
//! queue, [`report`] reads the store, [`evaluate`] measures what its scores are worth, [`view`]
//! holds the JSON that commands print, [`app`] puts the parts together, [`web`] serves a worker's
//! health and metrics, [`cli`] parses and prints.
//!
//! A room uses rooms of lower layers only (tests/house checks it): `domain <- settings <- telemetry
//! <- quality <- {vision, images, inference, store, queue} <- {worker, view} <- {gallery, report,
//! evaluate} <- app <- web <- cli <- main`. Only [`inference`] uses ONNX Runtime, only [`store`]
//! SQL, only [`queue`] AMQP, only [`images`] HTTP and object stores.

pub mod app;
pub mod cli;
pub mod domain;
pub mod evaluate;
pub mod gallery;
pub mod images;
pub mod inference;
pub mod matching;
pub mod quality;
pub mod queue;
pub mod report;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod view;
pub mod vision;
pub mod web;
pub mod worker;
