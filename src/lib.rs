//! facefleet: jobs come off a queue, images become faces, faces become templates and SER-FIQ
//! quality in one forward pass of one network, and each job ends in exactly one recorded outcome.
//!
//! The way of the data: a [`domain::Job`] is fetched by [`images`], decoded and aligned by
//! [`vision`] with the detector of [`inference`], recognised in batches, and recorded by [`worker`]
//! in the [`store`]; the [`queue`] then hears of its end. [`gallery`] fills the queue, [`report`]
//! reads the store, [`evaluate`] measures what its scores are worth, [`web`] tells how a worker is,
//! [`app`] puts the parts together, [`cli`] talks to people.
//!
//! Who may know whom: `domain <- telemetry <- {vision, quality, images, inference, store, queue} <-
//! {worker, gallery, report} <- evaluate <- {web, cli} <- app, main`. ONNX Runtime is known to
//! [`inference`] only, SQL to [`store`] only, AMQP to [`queue`] only, HTTP and object stores to
//! [`images`] only.

pub mod app;
pub mod cli;
pub mod domain;
pub mod evaluate;
pub mod gallery;
pub mod images;
pub mod inference;
pub mod quality;
pub mod queue;
pub mod report;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod vision;
pub mod web;
pub mod worker;
