//! `ecsim run SCENARIO`: one scenario, its outputs and its summary table.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

#[cfg(feature = "docker")]
use crate::adapters::containers::Ending;
#[cfg(feature = "docker")]
use crate::cli::real;
use crate::cli::replications::{self, Plan};
use crate::cli::{Console, Outcome};
use crate::engine::time::SimDuration;
use crate::report::output::{OutputDir, safe_name};
use crate::report::page::{Origin, SourceText};
use crate::report::summary::{ReplicationSummary, RunReport, no_figure};
use crate::report::{self, Detail};
use crate::scenario::{self, Diagnostics, LoadOptions, Scenario};
use crate::stats::Estimate;
use crate::study::precision::{FIRST_LOOK, Precision};

/// Run a scenario and write its outputs.
///
/// Examples:
///   ecsim run scenarios/quickstart.yaml
///   ecsim run scenarios/quickstart.yaml --replications 20 --seed 7
///   ecsim run scenarios/quickstart.yaml --set services.web.desiredCount=4 --until 2h --out /tmp/try
///   ecsim run scenarios/quickstart.yaml --precision cost_usd=0.5% --precision service/shop/web:latency_p99_s=5%
///   ecsim run scenarios/binpack-vs-spread.yaml --variant binpack
///   ecsim run long.yaml --steady-state
///   ecsim run scenarios/real/batch-binpack.yaml --containers docker --pace 20
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
    /// Write each table as Parquet too, beside its CSV: typed columns, an empty cell as null.
    #[arg(long)]
    pub parquet: bool,
    /// One of the file's variants instead of the file as it is.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Add replications until the 95 % interval of a figure is that narrow, for example cost_usd=1%. May be repeated.
    #[arg(long, value_name = "METRIC=WIDTH")]
    pub precision: Vec<String>,
    /// The most replications that --precision adds up to.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub max_replications: u32,
    /// Judge replication 0 as one long run: the warm-up to leave out by MSER, means with intervals by batch means.
    #[arg(long)]
    pub steady_state: bool,
    /// Real containers in place of simulated ones.
    #[cfg(feature = "docker")]
    #[command(flatten)]
    pub real: real::RealArgs,
    /// What is changed of the scenario, and how it is run.
    #[command(flatten)]
    pub changes: Changes,
}

/// Changes to a scenario from the command line, and how replications are run.
#[derive(Clone, Debug, Default, Args)]
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
    /// Lay a file over the scenario, for example what a real run has measured. May be repeated.
    #[arg(long = "with", value_name = "FILE")]
    pub with: Vec<PathBuf>,
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
            with: self.with.clone(),
            set: self.set.iter().cloned().chain(assignments).collect(),
            variant: variant.map(str::to_owned),
            until: self.until,
            seed: self.seed,
            replications: self.replications,
        };
        scenario::load(path, &options)
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
        for file in &self.with {
            let name = file.file_name().unwrap_or(file.as_os_str());
            words.extend(["--with".to_owned(), name.to_string_lossy().into_owned()]);
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

impl RunArgs {
    /// The options that the same run needs again, but for seed and replications: as many as there were in the end.
    fn words(&self) -> Vec<String> {
        let variant = self.variant.clone().map(|name| ["--variant".to_owned(), name]);
        let steady = self.steady_state.then(|| "--steady-state".to_owned());
        #[cfg(feature = "docker")]
        let real = self.real.words();
        #[cfg(not(feature = "docker"))]
        let real = Vec::new();
        variant.into_iter().flatten().chain(self.detail.words()).chain(steady).chain(real).collect()
    }
}

/// Runs the scenario.
pub fn run(args: &RunArgs, console: &Console) -> anyhow::Result<Outcome> {
    let precisions: Vec<Precision> =
        args.precision.iter().map(|text| Precision::parse(text)).collect::<Result<_, _>>()?;
    if args.steady_state && args.detail == Detail::Summary {
        bail!("`--steady-state` looks at the series of the run, and `--detail summary` has none");
    }
    let scenario = args.changes.load(&args.scenario, args.variant.as_deref(), console)?;
    let mut estate = scenario.estate.clone();
    let name = match &args.variant {
        Some(variant) => format!("{}-{variant}", estate.name),
        None => estate.name.clone(),
    };
    #[cfg(feature = "docker")]
    let real = real::RealRun::prepare(&args.real, &mut estate, args.precision.is_empty(), console)?;
    let target = args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&name)));
    // Before the run, so that a long run does not end with "permission denied".
    let output = OutputDir::prepare(&target)?.with_page(!args.no_report).with_parquet(args.parquet)?;
    let progress = replications::progress(console, [&estate]);
    progress.message(&name);
    let detail = args.detail;
    let plan = Plan { output: Some((&output, detail)), paranoid: args.changes.paranoid, threads: args.changes.threads };
    #[cfg(feature = "docker")]
    let mut broken_off = false;
    #[cfg(feature = "docker")]
    let mut summaries = match &real {
        Some(real) => {
            let (summary, ending) = real.replication(&estate, plan, &progress)?;
            broken_off = ending != Ending::Complete;
            vec![summary]
        }
        None => replications::run(&estate, plan, &progress)?,
    };
    #[cfg(not(feature = "docker"))]
    let mut summaries = replications::run(&estate, plan, &progress)?;
    while let Some(next) = next_look(&precisions, &summaries, args.max_replications)? {
        progress.expect(estate.duration.as_secs() * (u64::from(next) - summaries.len() as u64));
        let more = replications::run_some(&estate, plan, estate.replications..next, &progress)?;
        summaries.extend(more);
        estate.replications = next;
    }
    progress.finish();
    args.changes.origin("run", &args.scenario, &args.words(), estate.replications, &scenario).write(&output)?;
    let mut report = RunReport::new(&estate, &summaries);
    report.precisions = precisions;
    if args.steady_state {
        report.steady_state = Some(report::steady_state(&output)?);
    }
    let folder = report::write_run(output, &report)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&report.to_json())?)?;
    } else {
        console.print_unless_quiet(&report.to_text(console.color()))?;
    }
    for missed in report.imprecise() {
        let most = args.max_replications;
        console
            .warn(&format!("{} is not known to {missed} after {most} replications, the most allowed", missed.metric));
    }
    console.say(&report::told(&folder));
    #[cfg(feature = "docker")]
    if broken_off {
        return Ok(Outcome::NotHeld);
    }
    Ok(if report.holds() { Outcome::Done } else { Outcome::NotHeld })
}

/// How many replications there shall be next; `None` when every figure is known as precisely as was asked for, or there
/// are as many as may be.
fn next_look(precisions: &[Precision], runs: &[ReplicationSummary], most: u32) -> anyhow::Result<Option<u32>> {
    let mut next = None;
    for precision in precisions {
        let samples: Vec<f64> = runs.iter().filter_map(|run| run.get(&precision.metric)).collect();
        let Some(estimate) = Estimate::from_samples(&samples) else {
            let known = runs.iter().flat_map(ReplicationSummary::iter).map(|(key, ..)| key);
            bail!("{}", no_figure(&precision.metric, known));
        };
        if !precision.reached(&estimate) || runs.len() < FIRST_LOOK as usize {
            next = next.max(Some(precision.next_look(&estimate)));
        }
    }
    let now = u32::try_from(runs.len()).unwrap_or(u32::MAX);
    Ok(next.map(|next| next.min(most)).filter(|next| *next > now))
}
