//! `ecsim run SCENARIO`: one scenario, its outputs and its summary table.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::replications::{self, Plan};
use crate::cli::{Console, Outcome};
use crate::engine::time::SimDuration;
use crate::report::output::{OutputDir, safe_name};
use crate::report::summary::RunReport;
use crate::report::{self, Detail};
use crate::scenario::{self, Diagnostics, LoadOptions, Scenario};

/// Run a scenario and write its outputs.
///
/// Examples:
///   ecsim run scenarios/quickstart.yaml
///   ecsim run scenarios/quickstart.yaml --replications 20 --seed 7
///   ecsim run scenarios/quickstart.yaml --set services.web.desiredCount=4 --until 2h --out /tmp/try
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RunArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// Folder for the outputs; outputs/<name> when absent. A finished run there is replaced.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How much of replication 0 is written.
    #[arg(long, value_enum, default_value_t = Detail::Full)]
    pub detail: Detail,
    /// What is changed of the scenario, and how it is run.
    #[command(flatten)]
    pub changes: Changes,
}

/// Changes to a scenario from the command line, and how replications are run.
#[derive(Debug, Default, Args)]
pub struct Changes {
    /// Seed of every random stream, instead of the scenario's.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Independent replications, instead of the scenario's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub replications: Option<u32>,
    /// Stop at this time instead of after `duration`, for example 90m.
    #[arg(long, value_name = "T")]
    pub until: Option<SimDuration>,
    /// Change one value: a path of names, for example services.web.desiredCount=4. May be repeated.
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Check after every event that all books balance; slow.
    #[arg(long)]
    pub paranoid: bool,
    /// Threads for replications; all processors when absent. Results do not depend on it.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl Changes {
    /// Loads the scenario with these changes and says its warnings.
    pub fn load(&self, path: &Path, variant: Option<&str>, console: &Console) -> anyhow::Result<Scenario> {
        let scenario = self.load_with(path, variant, Vec::new())?;
        console.diagnostics(&scenario.warnings);
        Ok(scenario)
    }

    /// Loads the scenario with these changes and then `assignments`, each `PATH=VALUE`.
    pub fn load_with(
        &self,
        path: &Path,
        variant: Option<&str>,
        assignments: Vec<String>,
    ) -> Result<Scenario, Diagnostics> {
        let options = LoadOptions {
            set: self.set.iter().cloned().chain(assignments).collect(),
            variant: variant.map(str::to_owned),
            until: self.until,
            seed: self.seed,
            replications: self.replications,
        };
        scenario::load(path, &options)
    }
}

/// Runs the scenario.
pub fn run(args: &RunArgs, console: &Console) -> anyhow::Result<Outcome> {
    let scenario = args.changes.load(&args.scenario, None, console)?;
    let estate = &scenario.estate;
    let target = args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&estate.name)));
    // Before the run, so that a long run does not end with "permission denied".
    let output = OutputDir::prepare(&target)?;
    let progress = replications::progress(console, [estate]);
    progress.message(&estate.name);
    let detail = args.detail;
    let plan = Plan { output: Some((&output, detail)), paranoid: args.changes.paranoid, threads: args.changes.threads };
    let outcome = replications::run(estate, plan, &progress);
    progress.finish();
    let summaries = outcome?;
    let report = RunReport::new(estate, &summaries);
    let folder = report::write_run(output, &report)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        console.print_unless_quiet(&report.to_text(console.color()))?;
    }
    let pictures =
        if detail > Detail::Summary { format!(", pictures in {}/plots", folder.display()) } else { String::new() };
    console.say(&format!("outputs in {}{pictures}", folder.display()));
    Ok(if report.holds() { Outcome::Done } else { Outcome::NotHeld })
}
