//! `ecsim containers`: looking after the real containers of runs.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::adapters::containers::{ContainerEngine as _, DockerEngine, Kind, Which, prune};
use crate::cli::{Console, Outcome, real};

/// Look after the real containers of `ecsim run --containers docker`.
///
/// Examples:
///   ecsim containers prune
///   ecsim containers prune --all
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ContainersArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ContainersCommand,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ContainersCommand {
    /// Remove the containers, networks and volumes of runs that were killed.
    Prune {
        /// Those of runs that go on, too.
        #[arg(long)]
        all: bool,
    },
}

/// Does it.
pub fn run(args: &ContainersArgs, console: &Console) -> anyhow::Result<Outcome> {
    let ContainersCommand::Prune { all } = args.command;
    let which = if all { Which::All } else { Which::Dead };
    let removed = real::runtime()?.block_on(async {
        let engine = DockerEngine::from_environment()?;
        engine.machine().await?;
        prune(&engine, which).await
    });
    let removed = removed.context("not everything is removed")?;
    if console.json() {
        let names: Vec<&str> = removed.iter().map(|found| found.name.as_str()).collect();
        console.print(&serde_json::to_string_pretty(&json!({ "removed": names }))?)?;
    } else {
        let count = |kind| removed.iter().filter(|found| found.kind == kind).count();
        console.print_unless_quiet(&format!(
            "removed {} containers, {} networks, {} volumes\n",
            count(Kind::Container),
            count(Kind::Network),
            count(Kind::Volume)
        ))?;
    }
    Ok(Outcome::Done)
}
