//! The `ecsim` binary: parse the arguments, call [`ecsim::cli::run`], turn its outcome into an exit status.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ecsim::cli::run(&ecsim::cli::Cli::parse())
}
