//! Tells cargo that the migrations are part of the program: `sqlx::migrate!` alone does not notice
//! a file that was added.
// Cargo reads a build script's standard output.
#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
