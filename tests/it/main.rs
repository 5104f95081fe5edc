//! The integration tests: contracts that every backend keeps, and what only one backend promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod accuracy;
mod commands;
mod evidence;
mod pipeline;
mod preparation;
mod queue_contract;
mod sqlite_store;
mod store_contract;
mod support;
