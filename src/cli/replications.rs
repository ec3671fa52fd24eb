//! Independent replications of one estate, in parallel, collected in order.

use anyhow::Context as _;
use rayon::prelude::*;

use crate::cli::Console;
use crate::cli::console::Progress;
use crate::control_plane::estate::Estate;
use crate::control_plane::{self, RunOptions};
use crate::report::Detail;
use crate::report::output::OutputDir;
use crate::report::recorder::Recorder;
use crate::report::summary::ReplicationSummary;

/// How replications are run.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// How much of replication 0 is written, and where; the others are only summed up.
    pub output: Option<(&'a OutputDir, Detail)>,
    /// Check every book after every event.
    pub paranoid: bool,
    /// Threads; as many as there are processors when absent. The results do not depend on it.
    pub threads: Option<usize>,
}

/// Runs the replications that the estate asks for; each has streams of its own and shares nothing with the others.
pub fn run(estate: &Estate, plan: Plan<'_>, progress: &Progress) -> anyhow::Result<Vec<ReplicationSummary>> {
    let one = |replication: u32| -> anyhow::Result<ReplicationSummary> {
        let output = plan.output.filter(|_| replication == 0);
        let mut recorder = match output {
            Some((folder, detail)) => Recorder::to_files(estate, detail, folder)?,
            None => Recorder::new(estate),
        };
        let options = RunOptions { replication: u64::from(replication), paranoid: plan.paranoid };
        control_plane::run(estate, options, &mut recorder, progress.follow());
        Ok(recorder.into_summary(output.map(|(folder, _)| folder))?)
    };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(plan.threads.unwrap_or(0))
        .build()
        .context("cannot start the threads")?;
    // Collecting keeps the order of the replications, whatever the order in which they end.
    pool.install(|| (0..estate.replications).into_par_iter().map(one).collect())
}

/// A bar over all replications of several estates.
pub fn progress<'a>(console: &Console, estates: impl IntoIterator<Item = &'a Estate>) -> Progress {
    let seconds = estates.into_iter().map(|estate| estate.duration.as_secs() * u64::from(estate.replications)).sum();
    console.progress(seconds)
}
