//! The worker: takes jobs off a queue, makes records of them and settles them. One process may run
//! several; so may many hosts.
//!
//! [`process`] turns one job into its record. [`pipeline`] keeps many of them in hand at once.
//! `settle` ends them: commit the outcome, announce it, then acknowledge the job. Whatever dies in
//! between, the redelivered job finds its row and does the rest.

pub mod breaker;
pub mod budget;
pub mod fetching;
mod gate;
pub mod pipeline;
pub mod process;
pub mod pyramid;
mod rounds;
mod sample;
pub mod search;
mod settle;
pub mod vision_stage;

pub use pipeline::{Worker, WorkerError, WorkerSettings};
pub use process::{Process, Processed, Processor};
