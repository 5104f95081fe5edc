//! The `facefleet` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    facefleet::cli::main()
}
