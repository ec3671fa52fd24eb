//! `ecsim compare-runs DIR DIR`: the error of one run against another.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Console, Outcome};
use crate::report::compare_runs::RunsCompared;

/// Show the error of one finished run against another, metric by metric and series by series.
///
/// The first is the reference: the run of the real thing, or the one that is known to be right.
///
/// Example:
///   ecsim compare-runs outputs/real outputs/simulated --out outputs/compared
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct CompareRunsArgs {
    /// Output folder of the reference.
    #[arg(value_name = "REFERENCE")]
    pub reference: PathBuf,
    /// Output folder of the run to judge.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Lay the runs over each other: a picture of each service into `plots` of this folder, the errors as `compared.json`.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Compares the two.
pub fn run(args: &CompareRunsArgs, console: &Console) -> anyhow::Result<Outcome> {
    let compared = RunsCompared::read(&args.reference, &args.run)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&compared)?)?;
    } else {
        console.print_unless_quiet(&compared.to_text(console.color()))?;
    }
    if let Some(folder) = &args.out {
        for path in compared.write(&args.reference, &args.run, folder)? {
            console.say(&path.display().to_string());
        }
    }
    Ok(Outcome::Done)
}
