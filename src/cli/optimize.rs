//! `ecsim optimize SCENARIO --vary … --minimize METRIC --subject-to 'METRIC<=X'`: the cheapest point that will do.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use indexmap::IndexSet;
use rayon::prelude::*;

use crate::cli::console::RunsProgress;
use crate::cli::run::Changes;
use crate::cli::{Console, Outcome, replications};
use crate::control_plane::estate::Estate;
use crate::report::optimize::{Extent, Question, Search};
use crate::report::output::{OutputDir, safe_name};
use crate::report::summary::{ReplicationSummary, Summary, no_figure};
use crate::scenario::Diagnostics;
use crate::study::constraint::{Constraint, compatible};
use crate::study::design::{Parameter, distinct, size};
use crate::study::racing::{Places, Race, Rules, first_points, is_finest, neighbours};

/// Find the cheapest point that meets the constraints.
///
/// All points face the same random numbers. They race: one that is certain to miss a constraint, or to cost more than
/// one that certainly meets them all, is stopped; close ones get more replications. When there are more combinations than
/// --points, a Latin hypercube of them runs first and then the neighbours of the best. The answer says how sure it is.
///
/// Exit status 1 when no point meets the constraints.
///
/// Examples:
///   ecsim optimize scenarios/quickstart.yaml --vary autoScalingGroups.web-hosts.InstanceType=m5.large,m5.xlarge \
///       --vary scalingPolicies.cpu-60.TargetTrackingScalingPolicyConfiguration.TargetValue=40..80..5 \
///       --subject-to 'service/shop/web:latency_p99_s<=300ms'
///   ecsim optimize s.yaml --vary services.web.desiredCount=2..40 --minimize cost_usd --subject-to 'task_wait_p99_s<=60'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct OptimizeArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// A path and what it may be: PATH=low..high, PATH=low..high..step or PATH=v1,v2,v3. May be repeated.
    #[arg(long, value_name = "PATH=VALUES", required = true)]
    pub vary: Vec<String>,
    /// What is to be as low as possible.
    #[arg(long, value_name = "METRIC", default_value = "cost_usd")]
    pub minimize: String,
    /// What every point has to keep to: 'METRIC<=X' or 'METRIC>=X'. May be repeated.
    #[arg(long = "subject-to", value_name = "METRIC<=X")]
    pub subject_to: Vec<String>,
    /// The most points that run.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub points: u32,
    /// A difference of the objective that is none [% of it].
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub indifference: f64,
    /// Folder for the outputs; outputs/<name>-optimize when absent. A finished search there is replaced.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write each table as Parquet too, beside its CSV: typed columns, an empty cell as null.
    #[arg(long)]
    pub parquet: bool,
    /// What is changed of the scenario at every point, and how it is run; --replications is the most a point gets (160).
    #[command(flatten)]
    pub changes: Changes,
}

/// The most replications of a point when the command line names none: five, doubled five times.
const CAP: u32 = 160;

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').trim().parse::<f64>().ok();
    let valid = number.filter(|number| (0.0..100.0).contains(number));
    valid.ok_or_else(|| "it is a number of per cent, from 0 to below 100".to_owned())
}

/// Searches.
pub fn run(args: &OptimizeArgs, console: &Console) -> anyhow::Result<Outcome> {
    let base = args.changes.load(&args.scenario, None, console)?.estate;
    let parameters: Vec<Parameter> = args.vary.iter().map(|text| Parameter::parse(text)).collect::<Result<_, _>>()?;
    distinct(&parameters)?;
    let constraints: Vec<Constraint> =
        args.subject_to.iter().map(|text| Constraint::parse(text)).collect::<Result<_, _>>()?;
    compatible(&constraints)?;
    let target =
        args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&format!("{}-optimize", base.name))));
    let output = OutputDir::prepare(&target)?.with_parquet(args.parquet)?;
    let rules = Rules {
        points: usize::try_from(size(&parameters)).unwrap_or(usize::MAX).min(args.points as usize),
        constraints: constraints.len(),
        cap: args.changes.replications.unwrap_or(CAP),
        indifference: args.indifference / 100.0,
    };
    let field = Field {
        args,
        parameters: &parameters,
        constraints: &constraints,
        race: Race::new(rules),
        entrants: Vec::new(),
        seen: IndexSet::new(),
        invalid: Vec::new(),
    };
    let progress = console.runs(0);
    let field = replications::pool(args.changes.threads)?.install(|| field.search(base.seed, &progress))?;
    progress.finish();
    let extent = Extent { combinations: size(&parameters), invalid: field.invalid.len() };
    let entrants = field.entrants.into_iter().map(|entrant| (entrant.values, Summary::of(&entrant.runs))).collect();
    let asked = Question {
        scenario: base.name.clone(),
        seed: base.seed,
        paths: parameters.iter().map(|parameter| parameter.path.clone()).collect(),
        objective: args.minimize.clone(),
        constraints: constraints.clone(),
        indifference: rules.indifference,
    };
    let search = Search::new(asked, &field.race, entrants, extent);
    let folder = search.write(output)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&search.to_json())?)?;
    } else {
        console.print_unless_quiet(&search.to_text(console.color()))?;
    }
    console.say(&format!("outputs in {0}, pictures in {0}/plots", folder.display()));
    Ok(if search.winner.is_some() { Outcome::Done } else { Outcome::NotHeld })
}

/// One point of the race.
struct Entrant {
    values: Vec<String>,
    estate: Estate,
    runs: Vec<ReplicationSummary>,
}

/// Everything that races.
struct Field<'f> {
    args: &'f OptimizeArgs,
    parameters: &'f [Parameter],
    constraints: &'f [Constraint],
    race: Race,
    entrants: Vec<Entrant>,
    /// The places of every point tried; an entrant's place among the valid ones is its number.
    seen: IndexSet<Places>,
    /// Those that are no valid scenario.
    invalid: Vec<(Places, Diagnostics)>,
}

impl Field<'_> {
    /// The race of the first points, then of the neighbours of the best, until there are none or no more may run.
    fn search(mut self, seed: u64, progress: &RunsProgress) -> anyhow::Result<Self> {
        let most = self.args.points;
        let complete = size(self.parameters) <= u128::from(most);
        // Of a part, two thirds look everywhere and a third looks closely.
        let first = if complete { most } else { most.div_ceil(3) * 2 };
        let (points, complete) = first_points(self.parameters, first.min(most), seed);
        self.enter(points)?;
        self.settle(progress)?;
        let mut centres: Vec<Places> = self.entered();
        let mut round = 0;
        while !complete && self.entrants.len() < most as usize {
            let Some(best) = self.best() else { break };
            let mut next = neighbours(self.parameters, &centres[best], round);
            next.retain(|places| !self.seen.contains(places));
            next.truncate(most as usize - self.entrants.len());
            if next.is_empty() {
                if is_finest(self.parameters, round) {
                    break;
                }
                round += 1;
                continue;
            }
            self.enter(next)?;
            self.settle(progress)?;
            centres = self.entered();
            if self.best() == Some(best) && !is_finest(self.parameters, round) {
                round += 1;
            }
        }
        Ok(self)
    }

    /// The places of the entrants, in order.
    fn entered(&self) -> Vec<Places> {
        let valid = |places: &&Places| !self.invalid.iter().any(|(bad, _)| bad == *places);
        self.seen.iter().filter(valid).cloned().collect()
    }

    /// The winner so far, or the point that misses the constraints least.
    fn best(&self) -> Option<usize> {
        let excess = |point: &usize| -> f64 {
            (0..self.constraints.len()).map(|place| self.race.excess(*point, place).max(0.0)).sum()
        };
        self.race.winner().or_else(|| (0..self.race.len()).min_by(|a, b| excess(a).total_cmp(&excess(b))))
    }

    /// Takes in points; what is no valid scenario stays out, unless nothing is left.
    fn enter(&mut self, points: Vec<Places>) -> anyhow::Result<()> {
        let values = |places: &Places| -> Vec<String> {
            self.parameters.iter().zip(places).map(|(parameter, place)| parameter.level(*place)).collect()
        };
        let load = |places: &Places| {
            let values = values(places);
            let assignments =
                self.parameters.iter().zip(&values).map(|(parameter, value)| format!("{}={value}", parameter.path));
            let assignments: Vec<String> = assignments.collect();
            let loaded = self.args.changes.load_with(&self.args.scenario, None, assignments);
            loaded.map(|scenario| (values, scenario.estate))
        };
        let loaded: Vec<Result<(Vec<String>, Estate), Diagnostics>> = points.par_iter().map(load).collect();
        for (places, loaded) in points.into_iter().zip(loaded) {
            match loaded {
                Ok((values, estate)) => {
                    self.race.enter();
                    self.entrants.push(Entrant { values, estate, runs: Vec::new() });
                }
                Err(diagnostics) => self.invalid.push((places.clone(), diagnostics)),
            }
            self.seen.insert(places);
        }
        if self.entrants.is_empty()
            && let Some((_, diagnostics)) = self.invalid.first()
        {
            return Err(diagnostics.clone().into());
        }
        Ok(())
    }

    /// Runs the race until it is settled among those in it.
    fn settle(&mut self, progress: &RunsProgress) -> anyhow::Result<()> {
        loop {
            let next = self.race.next();
            if next.is_empty() {
                return Ok(());
            }
            let jobs: Vec<(usize, u32)> = next
                .into_iter()
                .flat_map(|(point, target)| {
                    (self.race.replications(point)..target).map(move |replication| (point, replication))
                })
                .collect();
            progress.expect(jobs.len() as u64);
            let one = |(point, replication): &(usize, u32)| {
                let estate = &self.entrants[*point].estate;
                let run = replications::figures(
                    estate,
                    *replication,
                    self.args.changes.paranoid,
                    |_| {},
                    |failed| progress.warn(failed),
                );
                progress.done();
                run
            };
            let runs: Vec<ReplicationSummary> = jobs.par_iter().map(one).collect::<anyhow::Result<_>>()?;
            self.known(&runs)?;
            for ((point, _), run) in jobs.into_iter().zip(runs) {
                let objective = figure(&run, &self.args.minimize);
                let excess = self.constraints.iter().map(|constraint| {
                    let value = figure(&run, &constraint.metric);
                    // A figure that the run does not have counts as missed, whichever side the limit is on.
                    if value.is_finite() { constraint.excess(value) } else { f64::INFINITY }
                });
                self.race.add(point, objective, excess.collect());
                self.entrants[point].runs.push(run);
            }
            self.race.look();
        }
    }

    /// Refuses a metric that no run of the first points has: it is misspelt.
    fn known(&self, runs: &[ReplicationSummary]) -> anyhow::Result<()> {
        if self.entrants.iter().any(|entrant| !entrant.runs.is_empty()) {
            return Ok(());
        }
        let metrics = self.constraints.iter().map(|constraint| &constraint.metric);
        for metric in [&self.args.minimize].into_iter().chain(metrics) {
            if runs.iter().all(|run| !figure(run, metric).is_finite()) {
                let known = runs.iter().flat_map(ReplicationSummary::iter).map(|(key, ..)| key);
                bail!("{}", no_figure(metric, known));
            }
        }
        Ok(())
    }
}

/// A figure of a run; one that it does not have is infinite.
fn figure(run: &ReplicationSummary, metric: &str) -> f64 {
    run.get(metric).unwrap_or(f64::INFINITY)
}
