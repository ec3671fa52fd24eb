//! The files of a finished run, read back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A line of `decisions.jsonl`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::report) struct Decision {
    pub(in crate::report) time_s: f64,
    pub(in crate::report) actor: String,
    pub(in crate::report) subject: String,
    pub(in crate::report) action: String,
    pub(in crate::report) from: Value,
    pub(in crate::report) to: Value,
    pub(in crate::report) reason: String,
    pub(in crate::report) rule: String,
    pub(in crate::report) inputs: Value,
}

impl Decision {
    /// A number among its inputs.
    pub(in crate::report) fn input(&self, name: &str) -> Option<f64> {
        self.inputs.get(name)?.as_f64()
    }

    /// A word among its inputs.
    pub(in crate::report) fn word(&self, name: &str) -> Option<&str> {
        self.inputs.get(name)?.as_str()
    }

    /// Whether a capacity changed.
    pub(in crate::report) fn scales(&self) -> bool {
        matches!(self.action.as_str(), "scale-out" | "scale-in")
    }
}

/// A row of `alarms.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct AlarmChange {
    pub(super) time_s: f64,
    pub(super) alarm: String,
    pub(super) state: String,
    pub(super) reason: String,
}

/// A row of `tasks.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TaskRow {
    pub(super) task: String,
    pub(super) group: String,
    pub(super) task_definition: String,
    pub(super) cluster: String,
    pub(super) launch_type: String,
    pub(super) capacity_provider: String,
    pub(super) instance: String,
    pub(super) az: String,
    pub(super) created_s: f64,
    pub(super) pending_s: Option<f64>,
    pub(super) running_s: Option<f64>,
    pub(super) stopping_s: Option<f64>,
    pub(super) stopped_s: Option<f64>,
    pub(super) stop_code: String,
    pub(super) stopped_reason: String,
}

/// A row of `instances.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct InstanceRow {
    pub(super) instance: String,
    pub(super) asg: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) az: String,
    pub(super) market: String,
    pub(super) launched_s: f64,
    pub(super) registered_s: Option<f64>,
    pub(super) draining_s: Option<f64>,
    pub(super) terminating_s: Option<f64>,
    pub(super) terminated_s: Option<f64>,
    pub(super) billed_s: f64,
    pub(super) cost_usd: f64,
    pub(super) reason: String,
}

/// A row of `idle.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct IdleRow {
    pub(super) instance: String,
    pub(super) cause: String,
    pub(super) rule: String,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) usd_per_hour: f64,
}

/// `summary.json`, as far as it is of use here.
#[derive(Deserialize)]
struct Summary {
    scenario: String,
    replications: u64,
    start: String,
    duration_s: f64,
    #[serde(default)]
    warmup_s: f64,
    #[serde(default)]
    metrics: BTreeMap<String, Figure>,
    #[serde(default)]
    slo: Vec<Objective>,
}

#[derive(Clone, Debug, Deserialize)]
struct Figure {
    mean: Option<f64>,
}

/// What became of an objective.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Objective {
    pub(super) metric: String,
    pub(super) held: bool,
}

#[derive(Deserialize)]
struct SeriesRow {
    time_s: f64,
    resource: String,
    metric: String,
    value: Option<f64>,
}

/// What a finished run has left behind.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
    start: jiff::Timestamp,
    pub(super) scenario: String,
    pub(super) replications: u64,
    pub(super) duration_s: f64,
    pub(super) warmup_s: f64,
    metrics: BTreeMap<String, Figure>,
    pub(super) slo: Vec<Objective>,
    pub(super) decisions: Vec<Decision>,
    pub(super) alarms: Vec<AlarmChange>,
    pub(super) tasks: Vec<TaskRow>,
    pub(super) instances: Vec<InstanceRow>,
    pub(super) idle: Vec<IdleRow>,
    /// When deployments were completed, and of which service.
    deployments: Vec<(f64, String)>,
}

/// An event of `events.jsonl`, as far as it is of use here.
#[derive(Deserialize)]
struct EventLine {
    time: String,
    #[serde(default)]
    resources: Vec<String>,
    detail: EventDetail,
}

#[derive(Deserialize)]
struct EventDetail {
    #[serde(rename = "eventName", default)]
    name: String,
}

/// What a subject's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A service, capacity provider or group, by its full name.
    Resource(String),
    /// A row of `instances.csv`.
    Instance(usize),
    /// A row of `tasks.csv`.
    Task(usize),
}

/// Why there is nothing to tell.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A comparison has a run for each variant.
    #[error("`{0}` holds a comparison: name the folder of one of its variants, for example `{0}/{1}`")]
    Comparison(PathBuf, String),
    /// The folder is no output.
    #[error("`{0}` is no output folder of `ecsim run`: it has no summary.json")]
    NoRun(PathBuf),
    /// Decisions are written in full detail only.
    #[error("`{0}` has no decisions.jsonl: run the scenario with `--detail full`, the default")]
    NoDecisions(PathBuf),
    /// A file cannot be read.
    #[error("cannot read `{path}`: {why}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing of that name took part.
    #[error("nothing in this run is called `{name}`; {hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What there is.
        hint: String,
    },
}

impl Records {
    /// Reads the output of a run.
    ///
    /// # Errors
    ///
    /// When the folder is no output of a run, or of one without decisions, or a file in it is broken.
    pub fn read(folder: &Path) -> Result<Self, ExplainError> {
        let summary_path = folder.join("summary.json");
        let Ok(file) = File::open(&summary_path) else {
            return Err(variant_of(folder).map_or_else(
                || ExplainError::NoRun(folder.to_owned()),
                |name| ExplainError::Comparison(folder.to_owned(), name),
            ));
        };
        let summary: Summary = serde_json::from_reader(BufReader::new(file)).map_err(broken(&summary_path))?;
        let path = folder.join("decisions.jsonl");
        let Ok(file) = File::open(&path) else { return Err(ExplainError::NoDecisions(folder.to_owned())) };
        let mut decisions = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(broken(&path))?;
            decisions.push(serde_json::from_str(&line).map_err(broken(&path))?);
        }
        let start: jiff::Timestamp = summary.start.parse().map_err(broken(&summary_path))?;
        Ok(Self {
            folder: folder.to_owned(),
            start,
            scenario: summary.scenario,
            replications: summary.replications,
            duration_s: summary.duration_s,
            warmup_s: summary.warmup_s,
            metrics: summary.metrics,
            slo: summary.slo,
            deployments: deployments(&folder.join("events.jsonl"), start)?,
            decisions,
            alarms: rows(&folder.join("alarms.csv"))?,
            tasks: rows(&folder.join("tasks.csv"))?,
            instances: rows(&folder.join("instances.csv"))?,
            idle: rows(&folder.join("idle.csv"))?,
        })
    }

    /// A figure of the summary: the mean over all replications.
    pub(super) fn metric(&self, key: &str) -> Option<f64> {
        self.metrics.get(key)?.mean
    }

    /// The resources that have a figure called `metric`.
    pub(super) fn parts(&self, metric: &str) -> Vec<String> {
        let part = |key: &String| Some(key.strip_suffix(metric)?.strip_suffix(':')?.to_owned());
        self.metrics.keys().filter_map(part).collect()
    }

    /// An instant on the run's clock (UTC), with the day when the run is longer than one.
    pub(super) fn clock(&self, time_s: f64) -> String {
        let instant = self.start + jiff::SignedDuration::from_millis((time_s * 1000.0).round() as i64);
        let format = if self.duration_s > 86_400.0 { "%Y-%m-%d %H:%M:%S" } else { "%H:%M:%S" };
        instant.strftime(format).to_string()
    }

    /// When the deployment of a service that was in progress at `time_s` was completed.
    pub(super) fn deployment_end(&self, service: &str, time_s: f64) -> Option<f64> {
        self.deployments.iter().find(|(end, of)| *end >= time_s && of == service).map(|(end, _)| *end)
    }

    /// What `name` stands for: a full name, the end of one that is its alone, an instance, a task or its beginning.
    pub(super) fn resolve(&self, name: &str) -> Result<Subject, ExplainError> {
        if let Some(place) = self.instances.iter().position(|row| row.instance == name) {
            return Ok(Subject::Instance(place));
        }
        let tasks: Vec<usize> =
            (0..self.tasks.len()).filter(|place| self.tasks[*place].task.starts_with(name)).take(2).collect();
        if let ([place], true) = (tasks.as_slice(), name.len() >= 4) {
            return Ok(Subject::Task(*place));
        }
        let resources = self.resources();
        let ends_so = |resource: &&String| resource.rsplit_once('/').is_some_and(|(_, last)| last == name);
        let exact = resources.iter().find(|resource| *resource == name);
        let fits: Vec<&String> =
            exact.map_or_else(|| resources.iter().filter(ends_so).collect(), |resource| vec![resource]);
        match fits.as_slice() {
            [only] => Ok(Subject::Resource((*only).clone())),
            [] => Err(ExplainError::Unknown {
                name: name.to_owned(),
                hint: format!(
                    "there are {}, {} hosts (i-…, see instances.csv) and {} tasks (see tasks.csv)",
                    if resources.is_empty() { "no scaled resources".to_owned() } else { resources.join(", ") },
                    self.instances.len(),
                    self.tasks.len()
                ),
            }),
            several => {
                let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                Err(ExplainError::Unknown {
                    name: name.to_owned(),
                    hint: format!("did you mean {}?", names.join(" or ")),
                })
            }
        }
    }

    /// Services, capacity providers and groups that decisions are about, by full name.
    pub(super) fn resources(&self) -> Vec<String> {
        let subjects = self.decisions.iter().map(|decision| decision.subject.as_str());
        let groups = self.instances.iter().map(|row| format!("asg/{}", row.asg));
        let services = self.tasks.iter().filter_map(|row| {
            let name = row.group.strip_prefix("service:")?;
            Some(format!("service/{}/{name}", row.cluster))
        });
        let mut names: Vec<String> = subjects
            .filter(|subject| ["service/", "capacity-provider/", "asg/"].iter().any(|kind| subject.starts_with(kind)))
            .map(str::to_owned)
            .chain(groups)
            .chain(services)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// The changes of one series, in order of time.
    pub(super) fn series(&self, resource: &str, metric: &str) -> Result<Vec<(f64, f64)>, ExplainError> {
        let path = self.folder.join("series.csv");
        let mut reader = csv::Reader::from_path(&path).map_err(broken(&path))?;
        let mut points = Vec::new();
        for row in reader.deserialize() {
            let row: SeriesRow = row.map_err(broken(&path))?;
            if row.resource == resource && row.metric == metric {
                points.extend(row.value.map(|value| (row.time_s, value)));
            }
        }
        Ok(points)
    }
}

/// The first variant of a comparison in `folder`.
fn variant_of(folder: &Path) -> Option<String> {
    if !folder.join("compare.json").is_file() {
        return None;
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let runs = entries.filter(|entry| entry.path().join("summary.json").is_file());
    runs.map(|entry| entry.file_name().to_string_lossy().into_owned()).min()
}

/// The ends of all deployments, out of the run's events; none when it wrote no events.
fn deployments(path: &Path, start: jiff::Timestamp) -> Result<Vec<(f64, String)>, ExplainError> {
    const COMPLETED: &str = "SERVICE_DEPLOYMENT_COMPLETED";
    let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
    let mut ends = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(broken(path))?;
        if !line.contains(COMPLETED) {
            continue;
        }
        let event: EventLine = serde_json::from_str(&line).map_err(broken(path))?;
        let time: jiff::Timestamp = event.time.parse().map_err(broken(path))?;
        let service =
            event.resources.iter().find_map(|arn| Some(format!("service/{}", arn.split_once(":service/")?.1)));
        if let (COMPLETED, Some(service)) = (event.detail.name.as_str(), service) {
            ends.push((time.duration_since(start).as_secs_f64(), service));
        }
    }
    Ok(ends)
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ExplainError> {
    let mut reader = csv::Reader::from_path(path).map_err(broken(path))?;
    reader.deserialize().collect::<Result<_, _>>().map_err(broken(path))
}

fn broken<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> ExplainError {
    move |why| ExplainError::Broken { path: path.to_owned(), why: why.to_string() }
}
