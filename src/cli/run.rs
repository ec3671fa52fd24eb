//! `ecsim run SCENARIO`: one scenario, its outputs and its summary table.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};

use crate::cli::replications::{self, Plan};
use crate::cli::{Console, Outcome};
use crate::engine::time::SimDuration;
use crate::report::output::{OutputDir, safe_name};
use crate::report::page::{Origin, SourceText};
use crate::report::summary::RunReport;
use crate::report::{self, Detail};
use crate::scenario::{self, LoadOptions, Scenario};

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
    /// Leave out report.html.
    #[arg(long)]
    pub no_report: bool,
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
        let options = LoadOptions {
            set: self.set.clone(),
            variant: variant.map(str::to_owned),
            until: self.until,
            seed: self.seed,
            replications: self.replications,
        };
        let scenario = scenario::load(path, &options)?;
        console.diagnostics(&scenario.warnings);
        Ok(scenario)
    }

    /// Where the outputs come from. Threads and the place of the folder are no part of it: no byte depends on them.
    pub fn origin(
        &self,
        command: &str,
        path: &Path,
        more: &[String],
        replications: u32,
        scenario: &Scenario,
    ) -> Origin {
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut words = vec!["ecsim".to_owned(), command.to_owned(), file];
        words.extend_from_slice(more);
        words.extend(["--seed".to_owned(), scenario.estate.seed.to_string()]);
        words.extend(["--replications".to_owned(), replications.to_string()]);
        if let Some(until) = self.until {
            // The short form where it says all: `1h30m`.
            let short = until.to_string().replace(' ', "");
            let exact = short.parse() == Ok(until);
            words.extend(["--until".to_owned(), if exact { short } else { format!("{}ns", until.as_nanos()) }]);
        }
        for assignment in &self.set {
            words.extend(["--set".to_owned(), assignment.clone()]);
        }
        Origin {
            command: words,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hash: scenario.hash.clone(),
            texts: scenario
                .texts
                .iter()
                .map(|(name, text)| SourceText { name: name.clone(), text: text.clone() })
                .collect(),
        }
    }
}

/// Runs the scenario.
pub fn run(args: &RunArgs, console: &Console) -> anyhow::Result<Outcome> {
    let scenario = args.changes.load(&args.scenario, None, console)?;
    let estate = &scenario.estate;
    let target = args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&estate.name)));
    // Before the run, so that a long run does not end with "permission denied".
    let output = OutputDir::prepare(&target)?.with_page(!args.no_report);
    let progress = replications::progress(console, [estate]);
    progress.message(&estate.name);
    let detail = args.detail;
    let plan = Plan { output: Some((&output, detail)), paranoid: args.changes.paranoid, threads: args.changes.threads };
    let outcome = replications::run(estate, plan, &progress);
    progress.finish();
    let summaries = outcome?;
    let level = args.detail.to_possible_value().filter(|_| args.detail != Detail::default());
    let level = level.map(|value| vec!["--detail".to_owned(), value.get_name().to_owned()]).unwrap_or_default();
    args.changes.origin("run", &args.scenario, &level, estate.replications, &scenario).write(&output)?;
    let report = RunReport::new(estate, &summaries);
    let folder = report::write_run(output, &report)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        console.print_unless_quiet(&report.to_text(console.color()))?;
    }
    console.say(&report::told(&folder));
    Ok(if report.holds() { Outcome::Done } else { Outcome::NotHeld })
}
