//! `ecsim completions SHELL`: a completion script on stdout.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::{Cli, Outcome};

/// Print a shell completion script, for example `ecsim completions bash > /etc/bash_completion.d/ecsim`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes the script to stdout.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    use std::io::Write;
    // Into memory first: clap_complete panics when stdout has been closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ecsim", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Outcome::Done)
}
