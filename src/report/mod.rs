//! Records to summary, tables and pictures: what a run leaves behind (design, sections 4 and 5).
//!
//! [`Recorder`] observes a replication. [`OutputDir`] is prepared before the run and put in its place after it, whole:
//!
//! ```
//! # use ecsim::control_plane::estate::Estate;
//! # use ecsim::report::{Detail, OutputDir, Recorder, RunReport, write_run};
//! # fn simulate(estate: &Estate, path: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let output = OutputDir::prepare(path)?;
//! let mut recorder = Recorder::to_files(estate, Detail::Full, &output)?;
//! ecsim::control_plane::run(estate, Default::default(), &mut recorder, |_| {});
//! let replications = vec![recorder.into_summary(Some(&output))?];
//! let report = RunReport::new(estate, &replications);
//! print!("{}", report.to_text(false));
//! write_run(output, &report)?;
//! # Ok(())
//! # }
//! ```

pub mod answers;
pub mod bill;
pub mod check;
pub mod column;
pub mod compare;
pub mod compare_runs;
pub mod elasticity;
pub mod events;
pub mod explain;
mod files;
pub mod format;
pub mod measured;
pub mod objective;
pub mod offered;
pub mod optimize;
pub mod output;
pub mod page;
#[cfg(feature = "parquet")]
mod parquet;
pub mod plot;
pub mod recorder;
pub mod steady;
pub mod summary;
pub mod sweep;
pub mod table;

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

pub use compare::Comparison;
pub use output::{OutputDir, OutputError, safe_name};
pub use recorder::Recorder;
pub use steady::SteadyState;
pub use summary::{ReplicationSummary, RunReport, Summary};

use plot::PlotError;

/// How much of a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Detail {
    /// Figures only: summary.json and summary.csv.
    Summary,
    /// And series, alarms, instances, the bill row by row, and the pictures.
    Series,
    /// And every event, decision and task.
    #[default]
    Full,
}

impl Detail {
    /// The option that asks for it on the command line; none for the one that needs no asking.
    pub fn words(self) -> Vec<String> {
        let value = self.to_possible_value().filter(|_| self != Self::default());
        value.map_or_else(Vec::new, |value| vec!["--detail".to_owned(), value.get_name().to_owned()])
    }
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A picture.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The summary is not to be written as JSON.
    #[error("cannot write the summary: {0}")]
    Json(#[from] serde_json::Error),
}

/// Adds summaries, pictures and the page to the files of a run and puts the folder in its place; returns the place.
///
/// # Errors
/// [`ReportError`]; what was in the place before is then still there.
pub fn write_run(output: OutputDir, report: &RunReport<'_>) -> Result<PathBuf, ReportError> {
    write_summary(&output, report)?;
    if output.path().join(plot::PLAN).is_file() {
        draw_run(output.path(), output.has_page())?;
    }
    Ok(output.commit()?)
}

/// What the series of a run that is not yet in its place say of its steady state.
///
/// # Errors
/// [`PlotError`] unless the run was written with `--detail series` or `full`.
pub fn steady_state(output: &OutputDir) -> Result<SteadyState, PlotError> {
    SteadyState::of(output.path())
}

fn write_summary(output: &OutputDir, report: &RunReport<'_>) -> Result<(), ReportError> {
    output.write("summary.json", serde_json::to_string_pretty(&report.to_json())? + "\n")?;
    output.write_table("summary.csv", &report.to_csv(), &summary::COLUMNS)?;
    Ok(())
}

/// Writes a comparison: `compare.json`, `compare.csv`, its pictures and its page. Runs of the variants that lie in `output` under
/// their names are laid over one another.
///
/// # Errors
/// [`ReportError`].
pub fn write_comparison(output: OutputDir, comparison: &Comparison) -> Result<PathBuf, ReportError> {
    output.write(compare::COMPARISON, serde_json::to_string_pretty(comparison)? + "\n")?;
    output.write_table("compare.csv", &comparison.to_csv(), &compare::COLUMNS)?;
    draw_comparison(output.path(), output.has_page())?;
    Ok(output.commit()?)
}

fn draw_run(path: &Path, with_page: bool) -> Result<Vec<PathBuf>, PlotError> {
    let run = plot::folder::Folder::read(path)?;
    let mut paths = plot::draw_folder(path, &run)?;
    if with_page {
        paths.push(page::write_run(path, &run)?);
    }
    Ok(paths)
}

fn draw_comparison(path: &Path, with_page: bool) -> Result<Vec<PathBuf>, PlotError> {
    let (comparison, runs) = plot::read_comparison(path)?;
    let mut paths = plot::draw_variants(path, &comparison, &runs)?;
    if with_page {
        paths.push(page::write_comparison(path, &comparison, &runs)?);
    }
    Ok(paths)
}

/// Draws the pictures and the page of a finished run or comparison again; returns their paths.
///
/// # Errors
/// [`PlotError`] when the folder is neither's, is damaged, or cannot be written.
pub fn redraw(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    if folder.join(compare::COMPARISON).is_file() {
        draw_comparison(folder, true)
    } else if folder.join(sweep::STUDY).is_file() {
        plot::draw_sweep(folder)
    } else {
        draw_run(folder, true)
    }
}

/// Where the outputs are, for the user: the page first, for it is where to begin.
pub fn told(folder: &Path) -> String {
    let place = folder.display();
    let page = if folder.join(page::PAGE).is_file() { format!(", page {place}/{}", page::PAGE) } else { String::new() };
    let plots = if folder.join("plots").is_dir() { format!(", pictures in {place}/plots") } else { String::new() };
    format!("outputs in {place}{page}{plots}")
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::behaviour::Behaviour;
    use crate::control_plane::estate::{Delays, Estate, Prices};
    use crate::engine::time::SimDuration;
    use crate::workload::distribution::Distribution;

    /// An estate with nothing in it, an hour long.
    pub(crate) fn estate() -> Estate {
        let constant = || Distribution::Constant(1.0);
        Estate {
            name: "empty".into(),
            description: String::new(),
            start: "2026-01-05T00:00:00Z".parse().expect("RFC 3339"),
            duration: SimDuration::HOUR,
            warmup: SimDuration::ZERO,
            seed: 7,
            replications: 1,
            region: "us-east-1".into(),
            availability_zones: ["a", "b", "c"].map(|zone| format!("us-east-1{zone}")).to_vec(),
            clusters: Vec::new(),
            groups: Vec::new(),
            lifecycle_hooks: Vec::new(),
            warm_pools: Vec::new(),
            capacity_providers: Vec::new(),
            task_definitions: Vec::new(),
            load_balancers: Vec::new(),
            target_groups: Vec::new(),
            services: Vec::new(),
            scalable_targets: Vec::new(),
            policies: Vec::new(),
            scheduled_actions: Vec::new(),
            alarms: Vec::new(),
            metrics: Vec::new(),
            workloads: Vec::new(),
            actions: Vec::new(),
            faults: Vec::new(),
            instance_types: Vec::new(),
            event_rules: Vec::new(),
            spot_pools: Vec::new(),
            fargate_spot: Vec::new(),
            scheduler: None,
            delays: Delays {
                asg_reaction: constant(),
                instance_launch: constant(),
                instance_in_service: constant(),
                agent_register: constant(),
                warm_start: constant(),
                instance_terminate: constant(),
                image_pull: None,
                pull_throughput: constant(),
                pull_base: constant(),
                container_create: None,
                task_start: constant(),
                eni_attach: constant(),
                fargate_provision: constant(),
                fargate_pull_throughput_small: constant(),
                fargate_pull_throughput_large: constant(),
                fargate_start: constant(),
                healthy: constant(),
                task_stop: constant(),
            },
            behaviour: Behaviour::default(),
            prices: Prices::default(),
            slo: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
