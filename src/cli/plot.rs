//! `ecsim plot DIR…`: redraws the pictures and pages of finished runs and comparisons.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Console, Outcome};
use crate::report;

/// Redraw the pictures and pages of finished runs, for example `ecsim plot outputs/quickstart`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Output folders of `ecsim run` or `ecsim compare`.
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

/// Redraws each folder's pictures and page; prints their paths.
pub fn run(args: &PlotArgs, console: &Console) -> anyhow::Result<Outcome> {
    let mut paths = Vec::new();
    for folder in &args.folders {
        paths.extend(report::redraw(folder)?);
    }
    if console.json() {
        console.print(&serde_json::to_string_pretty(&paths)?)?;
    } else {
        for path in &paths {
            console.print_unless_quiet(&format!("{}\n", path.display()))?;
        }
    }
    Ok(Outcome::Done)
}
