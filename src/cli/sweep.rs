//! `ecsim sweep SCENARIO --vary …`: many points of one scenario, in parallel, on several machines, resumable.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::bail;
use clap::Args;
use rayon::prelude::*;

use crate::cli::console::RunsProgress;
use crate::cli::run::Changes;
use crate::cli::{Console, Outcome, replications};
use crate::control_plane::estate::Estate;
use crate::report::output::{OutputDir, safe_name};
use crate::report::summary::ReplicationSummary;
use crate::report::sweep::{Finished, PointRecord, Study, Sweep, SweepTables};
use crate::scenario::Diagnostics;
use crate::study::design::{Design, Parameter};
use crate::study::shard::Shard;

/// Run a scenario at many points: every combination of the values that its paths take.
///
/// All points face the same random numbers, so differences are due to what is varied. A sweep that is interrupted goes on
/// where it was when it is started again; points that are done are kept as long as the scenario means the same (never
/// under a custom scheduler, whose program may have changed).
///
/// Examples:
///   ecsim sweep scenarios/quickstart.yaml --vary services.web.desiredCount=4,8,16
///   ecsim sweep scenarios/quickstart.yaml --vary scalingPolicies.cpu-60.TargetTrackingScalingPolicyConfiguration.TargetValue=40..80..10 \
///       --vary autoScalingGroups.web-hosts.InstanceType=m5.large,m5.xlarge --replications 20
///   ecsim sweep s.yaml --latin 50 --vary services.web.desiredCount=2..40 --vary delays.instanceLaunch=10s..120s
///   ecsim sweep s.yaml --points points.csv          # a heading of paths, a row a point
///   ecsim sweep s.yaml --vary … --shard 2/4 --out big && ecsim merge big --out whole
///   ecsim sweep s.yaml --vary … --shard auto        # in an array job of AWS Batch, Slurm or Kubernetes
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct SweepArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// A path and the values it takes: PATH=v1,v2,v3, PATH=low..high or PATH=low..high..step. May be repeated.
    #[arg(long, value_name = "PATH=VALUES")]
    pub vary: Vec<String>,
    /// The points of a CSV file instead: paths in its first line, a point in each other one.
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["vary", "latin"])]
    pub points: Option<PathBuf>,
    /// That many points of a Latin hypercube over the ranges instead of every combination.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub latin: Option<u32>,
    /// Run only shard I of N (from 1), or the one that this array job's variables tell. It goes to a folder of its own
    /// in the output folder; `ecsim merge` puts them together.
    #[arg(long, value_name = "I/N|auto")]
    pub shard: Option<String>,
    /// Of how many shards this one is, where `--shard auto` cannot tell: `completions` of a Kubernetes Indexed Job.
    #[arg(long, value_name = "N", requires = "shard", value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: Option<u32>,
    /// Folder for the outputs; outputs/<name>-sweep when absent. A finished sweep there is replaced.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write each table as Parquet too, beside its CSV: typed columns, an empty cell as null.
    #[arg(long)]
    pub parquet: bool,
    /// What is changed of the scenario at every point, and how it is run.
    #[command(flatten)]
    pub changes: Changes,
}

/// Runs the sweep.
pub fn run(args: &SweepArgs, console: &Console) -> anyhow::Result<Outcome> {
    let base = args.changes.load(&args.scenario, None, console)?.estate;
    let design = design(args, base.seed)?;
    let shard = shard(args)?;
    let runs_each = replications::of_study(&base, args.changes.replications);
    let mut study = Study::new(&base.name, &base.fingerprint(), base.seed, runs_each, &design);
    study.shard = shard;
    let mine: Vec<usize> = (0..design.points.len()).filter(|point| shard.is_none_or(|s| s.holds(*point))).collect();
    let pool = replications::pool(args.changes.threads)?;
    // Every point is read before any is run: the last one must not fail after a night of the others. It is read again
    // when its turn comes, so that only what runs is in memory.
    let fingerprint = |point: &usize| load_point(args, &design, *point).map(|estate| estate.fingerprint());
    let hashes: Vec<Result<String, BadPoint>> = pool.install(|| mine.par_iter().map(fingerprint).collect());
    let hashes: Vec<String> = hashes.into_iter().collect::<Result<_, _>>().map_err(|bad| {
        let settings = design.assignments(&design.points[bad.point]).join(", ");
        console.say(&format!("point {} of {}: {settings}", bad.point + 1, design.points.len()));
        bad.diagnostics
    })?;
    let whole =
        args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&format!("{}-sweep", base.name))));
    let target = shard.map_or_else(|| whole.clone(), |shard| whole.join(shard.folder()));
    // Refused now rather than after the last run. Kept open it would be left behind when the sweep is killed.
    drop(OutputDir::prepare(&target)?.with_parquet(args.parquet)?);
    let finished = Finished::beside(&target)?;
    // Nobody knows whether the program of a custom scheduler is still what it was.
    let resumable = base.scheduler.is_none() && !design.paths.iter().any(|path| path.starts_with("scheduler"));
    let jobs: Vec<Job> = mine
        .into_iter()
        .zip(hashes)
        .map(|(point, hash)| {
            let done = finished.get(&hash, runs_each).filter(|_| resumable);
            Job { point, values: design.points[point].0.clone(), hash, done }
        })
        .collect();
    let kept = jobs.iter().filter(|job| job.done.is_some()).count();
    if kept > 0 {
        console.say(&format!("going on: {kept} of {} points are there already", jobs.len()));
    }
    let progress = console.runs((jobs.len() - kept) as u64 * u64::from(runs_each));
    let load = |job: &Job| -> anyhow::Result<Estate> {
        let estate = load_point(args, &design, job.point).map_err(|bad| bad.diagnostics)?;
        if estate.fingerprint() != job.hash {
            bail!("`{}` has changed while it was swept; start the sweep again", args.scenario.display());
        }
        Ok(estate)
    };
    let work = Work { jobs, runs_each, paranoid: args.changes.paranoid, finished: &finished, progress: &progress };
    let records = pool.install(|| work.run(load))?;
    progress.finish();
    let sweep = Sweep { study, records };
    let folder = sweep.write(OutputDir::prepare(&target)?.with_parquet(args.parquet)?)?;
    finished.remove()?;
    tell(&sweep, &folder, *console)?;
    Ok(Outcome::Done)
}

/// Prints a sweep and says where it is.
pub(super) fn tell(sweep: &Sweep, folder: &Path, console: Console) -> anyhow::Result<()> {
    let tables = SweepTables::new(sweep);
    if console.json() {
        console.print(&serde_json::to_string_pretty(&tables.to_json())?)?;
    } else {
        console.print_unless_quiet(&tables.to_text(console.color()))?;
    }
    console.say(&format!("outputs in {0}, pictures in {0}/plots", folder.display()));
    Ok(())
}

/// The points that the command line asks for.
fn design(args: &SweepArgs, seed: u64) -> anyhow::Result<Design> {
    if let Some(file) = &args.points {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| anyhow::anyhow!("cannot read `{name}`: {error}"))?;
        return Ok(Design::list(&name, &text)?);
    }
    let parameters: Vec<Parameter> = args.vary.iter().map(|text| Parameter::parse(text)).collect::<Result<_, _>>()?;
    Ok(match args.latin {
        Some(count) => Design::latin(&parameters, count, seed)?,
        None => Design::grid(&parameters)?,
    })
}

fn shard(args: &SweepArgs) -> anyhow::Result<Option<Shard>> {
    let Some(text) = &args.shard else { return Ok(None) };
    if text == "auto" {
        return Ok(Some(Shard::from_environment(|name| std::env::var(name).ok(), args.shards)?));
    }
    let shard = Shard::parse(text)?;
    match args.shards {
        Some(count) if count != shard.count => {
            bail!("`--shard {shard}` and `--shards {count}` disagree; `--shards` goes with `--shard auto`")
        }
        _ => Ok(Some(shard)),
    }
}

/// A point that is no scenario.
struct BadPoint {
    point: usize,
    diagnostics: Diagnostics,
}

fn load_point(args: &SweepArgs, design: &Design, point: usize) -> Result<Estate, BadPoint> {
    let assignments = design.assignments(&design.points[point]);
    let scenario = args.changes.load_with(&args.scenario, None, assignments);
    scenario.map(|scenario| scenario.estate).map_err(|diagnostics| BadPoint { point, diagnostics })
}

/// A point to run, or one that is there already.
struct Job {
    point: usize,
    values: Vec<String>,
    hash: String,
    done: Option<Vec<ReplicationSummary>>,
}

impl Job {
    fn record(&self, replications: Vec<ReplicationSummary>) -> PointRecord {
        PointRecord { point: self.point, hash: self.hash.clone(), values: self.values.clone(), replications }
    }
}

/// A point that is being run.
#[derive(Default)]
struct Open {
    estate: Option<Arc<Estate>>,
    runs: Vec<(u32, ReplicationSummary)>,
}

/// All points of a shard, and where they are kept.
struct Work<'w> {
    jobs: Vec<Job>,
    runs_each: u32,
    paranoid: bool,
    finished: &'w Finished,
    progress: &'w RunsProgress,
}

impl Work<'_> {
    /// Runs what is not done yet, replications and points side by side; a point is kept as soon as it is whole.
    fn run(&self, load: impl Fn(&Job) -> anyhow::Result<Estate> + Sync) -> anyhow::Result<Vec<PointRecord>> {
        let open: Vec<Mutex<Open>> = self.jobs.iter().map(|_| Mutex::default()).collect();
        let locked = |place: usize| open[place].lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(place, replication): (usize, u32)| -> anyhow::Result<Option<PointRecord>> {
            let job = &self.jobs[place];
            let estate = {
                let mut open = locked(place);
                match &open.estate {
                    Some(estate) => estate.clone(),
                    None => open.estate.insert(Arc::new(load(job)?)).clone(),
                }
            };
            let summary = replications::figures(
                &estate,
                replication,
                self.paranoid,
                |_| {},
                |failed| self.progress.warn(failed),
            )?;
            self.progress.done();
            let mut runs = {
                let mut open = locked(place);
                open.runs.push((replication, summary));
                if open.runs.len() < self.runs_each as usize {
                    return Ok(None);
                }
                std::mem::take(&mut *open).runs
            };
            runs.sort_by_key(|(replication, _)| *replication);
            let record = job.record(runs.into_iter().map(|(_, summary)| summary).collect());
            self.finished.keep(&record)?;
            Ok(Some(record))
        };
        let waiting = (0..self.jobs.len()).filter(|place| self.jobs[*place].done.is_none());
        let all: Vec<(usize, u32)> =
            waiting.flat_map(|place| (0..self.runs_each).map(move |replication| (place, replication))).collect();
        let ran: Vec<Option<PointRecord>> = all.into_par_iter().map(one).collect::<anyhow::Result<_>>()?;
        let kept = self.jobs.iter().filter_map(|job| Some(job.record(job.done.clone()?)));
        let mut records: Vec<PointRecord> = ran.into_iter().flatten().chain(kept).collect();
        records.sort_by_key(|record| record.point);
        Ok(records)
    }
}
