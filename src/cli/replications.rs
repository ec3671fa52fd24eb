//! Independent replications of one estate, in parallel, collected in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use rayon::prelude::*;

use crate::cli::Console;
use crate::cli::console::Progress;
use crate::control_plane::estate::Estate;
use crate::control_plane::{self, RunOptions};
use crate::engine::time::SimTime;
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

/// A run that writes more than this [bytes] says so while it is still early enough to stop it.
const LARGE_OUTPUT: u64 = 1_000_000_000;

/// Follows a run like `follow`, and warns once when it has written more than `limit` bytes.
fn watched(
    written: Arc<AtomicU64>,
    limit: u64,
    mut follow: impl FnMut(SimTime),
    warn: impl FnOnce(),
) -> impl FnMut(SimTime) {
    let mut warn = Some(warn);
    move |now| {
        follow(now);
        if written.load(Ordering::Relaxed) > limit
            && let Some(warn) = warn.take()
        {
            warn();
        }
    }
}

/// What is said of a run that writes much at this level of detail.
fn large_output(detail: Detail) -> String {
    let hint = match detail {
        Detail::Full => {
            "events.jsonl, decisions.jsonl and tasks.csv hold a line per task and change; `--detail series` leaves \
             them out, `--detail summary` keeps the figures only"
        }
        Detail::Series | Detail::Summary => {
            "series.csv holds a row per change and datapoint; `ecsim run --detail summary` keeps the figures only"
        }
    };
    format!("more than {} GB of output so far: {hint}", LARGE_OUTPUT / 1_000_000_000)
}

/// What is said of a custom scheduler that did not always give an answer that ECS would carry out.
fn scheduler_failed(name: &str, failures: u64, first: &str) -> String {
    format!(
        "the scheduler `{name}` gave no usable answer {failures} times, first: {first}; decisions.jsonl of \
         `--detail full` has each"
    )
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
        let detail = output.map_or(Detail::Summary, |(_, detail)| detail);
        let warn = || progress.warn(&large_output(detail));
        let follow = watched(recorder.written(), LARGE_OUTPUT, progress.follow(), warn);
        let outcome = control_plane::run(estate, options, &mut recorder, follow);
        if let (Some(scheduler), Some(first)) = (&estate.scheduler, &outcome.first_scheduler_failure) {
            progress.warn(&scheduler_failed(&scheduler.name, outcome.scheduler_failures, first));
        }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_run_that_writes_much_is_told_once_and_in_time() {
        let written = Arc::new(AtomicU64::new(0));
        let (followed, warned) = (Cell::new(0), Cell::new(0));
        let mut watch =
            watched(written.clone(), 100, |_| followed.set(followed.get() + 1), || warned.set(warned.get() + 1));
        for (bytes, expected) in [(100, 0), (101, 1), (5_000, 1)] {
            written.store(bytes, Ordering::Relaxed);
            watch(SimTime::ZERO);
            assert_eq!(warned.get(), expected, "after {bytes} bytes");
        }
        assert_eq!(followed.get(), 3, "the bar moves all the same");
        assert!(large_output(Detail::Full).contains("--detail series"));
    }
}
