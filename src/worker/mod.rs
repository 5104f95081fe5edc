//! The worker: takes jobs from a queue, turns each into a record, and settles its delivery. One
//! process may run several workers, and so may many hosts.
//!
//! [`process`] turns one job into its record. [`pipeline`] runs many jobs concurrently. `enrolling`
//! proposes what to decide about enrolments. `settle` commits the outcomes, announces them, then
//! acknowledges the deliveries. If a worker dies in between, the redelivered job finds its row and
//! the remaining steps are done.

mod active_profiles;
pub mod analysis;
pub mod budget;
mod campaign_states;
pub mod circuit_breaker;
mod enrolling;
mod erased;
pub mod fetcher;
pub mod heartbeat;
mod housekeeping;
pub mod multi_scale;
pub mod pipeline;
pub mod process;
pub mod pyramid;
mod settle;
pub mod vision_stage;

pub use pipeline::{Worker, WorkerError, WorkerSettings};
pub use process::{Process, Processed, Processor};
