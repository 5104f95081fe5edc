//! The integration tests: contracts that every backend keeps, and what only one backend promises.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod accuracy;
mod commands;
mod components;
mod damage;
mod descriptors;
mod detectors;
mod devices;
mod evidence;
mod faults;
mod fleet;
mod following;
mod health;
mod jpeg;
mod memory;
mod object_stores;
mod pipeline;
mod postgres_store;
mod preparation;
mod queue_contract;
mod rabbitmq;
mod rescoring;
mod scales;
mod scheduler;
mod self_tests;
mod sqlite_store;
mod store_contract;
mod story_curation;
mod story_enrolment;
mod story_profiles;
mod support;
mod web_source;
