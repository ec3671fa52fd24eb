//! What pictures are drawn from: the files of a finished run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Occurrence, PlotError};

/// The file that says what the pictures of a run show beside its data: targets, thresholds, the time axis.
pub const PLAN: &str = "pictures.json";

/// The contents of [`PLAN`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PicturePlan {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// The wall-clock instant of time zero.
    #[serde(with = "rfc3339")]
    pub start: jiff::Timestamp,
    /// How long the run was [s].
    pub duration_s: f64,
    /// How much of it the statistics leave out [s].
    pub warmup_s: f64,
    /// What the scenario makes happen, in order of time.
    #[serde(default)]
    pub occurrences: Vec<Occurrence>,
    /// Requests of all loads, without the warm-up.
    #[serde(default)]
    pub requests: f64,
    /// Those of them that failed.
    #[serde(default)]
    pub requests_failed: f64,
    /// Tasks that `RunTask` calls could not place, without the warm-up.
    #[serde(default)]
    pub tasks_refused: u64,
    /// Services, in order of creation.
    pub services: Vec<ServicePlan>,
    /// Task definitions, in order of registration.
    #[serde(default)]
    pub definitions: Vec<DefinitionPlan>,
    /// What hosts have registered, by group and type.
    #[serde(default)]
    pub machines: Vec<MachinePlan>,
    /// Queues.
    #[serde(default)]
    pub queues: Vec<QueuePlan>,
}

/// What a task of a definition reserves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionPlan {
    /// `<family>:<revision>`, as in `tasks.csv`.
    pub name: String,
    /// [CPU units].
    pub cpu: u64,
    /// [MiB].
    pub memory_mib: u64,
}

/// What a host of a type registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachinePlan {
    /// Its Auto Scaling group.
    pub asg: String,
    /// Its instance type.
    #[serde(rename = "type")]
    pub kind: String,
    /// [CPU units].
    pub cpu: u64,
    /// [MiB].
    pub memory_mib: u64,
}

/// An instant as text; `jiff`'s own support would be one more feature to build.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<jiff::Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Who drains a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueuePlan {
    /// `queue/<name>`.
    pub resource: String,
    /// `service/<cluster>/<name>` of the service whose tasks drain it.
    pub service: Option<String>,
}

/// How a service is scaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServicePlan {
    /// `service/<cluster>/<name>`.
    pub resource: String,
    /// The series its policies follow.
    pub metrics: Vec<TrackedSeries>,
    /// The alarms that act on it.
    pub alarms: Vec<AlarmPlan>,
    /// Its target group and the alternate one, when its traffic moves between two.
    #[serde(default)]
    pub target_groups: Vec<String>,
}

/// A series of `series.csv` with its target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackedSeries {
    /// Its resource.
    pub resource: String,
    /// Its metric.
    pub metric: String,
    /// `TargetValue`, if it is tracked.
    pub target: Option<f64>,
}

/// An alarm of `alarms.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmPlan {
    /// Its name.
    pub name: String,
    /// Its threshold.
    pub threshold: f64,
    /// Whether it watches for high values; else for low ones.
    pub high: bool,
    /// Series it watches, where `series.csv` has it.
    pub metric: Option<String>,
}

/// A run's files, read.
#[derive(Debug)]
pub(in crate::report) struct Folder {
    pub(in crate::report) plan: PicturePlan,
    series: BTreeMap<(String, String), Vec<(f64, f64)>>,
    pub(in crate::report) hosts: Vec<Host>,
    pub(in crate::report) alarms: Vec<AlarmChange>,
    pub(in crate::report) packing: Vec<Packing>,
    pub(in crate::report) costs: Vec<Cost>,
    pub(super) idle: Vec<IdleSpan>,
}

/// A row of `series.csv`.
#[derive(Deserialize)]
struct Sample {
    time_s: f64,
    resource: String,
    metric: String,
    value: f64,
}

/// A row of `instances.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::report) struct Host {
    pub(in crate::report) instance: String,
    pub(in crate::report) asg: String,
    #[serde(rename = "type")]
    pub(in crate::report) kind: String,
    pub(in crate::report) az: String,
    pub(in crate::report) launched_s: f64,
    pub(in crate::report) in_service_s: Option<f64>,
    pub(in crate::report) registered_s: Option<f64>,
    pub(in crate::report) draining_s: Option<f64>,
    pub(in crate::report) terminating_s: Option<f64>,
    pub(in crate::report) terminated_s: Option<f64>,
}

/// A row of `alarms.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::report) struct AlarmChange {
    pub(in crate::report) time_s: f64,
    pub(in crate::report) alarm: String,
    pub(in crate::report) state: String,
}

/// A row of `packing.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::report) struct Packing {
    pub(in crate::report) time_s: f64,
    pub(in crate::report) instance: String,
    pub(in crate::report) registered_cpu: f64,
    pub(in crate::report) reserved_cpu: f64,
    pub(in crate::report) registered_memory_mib: f64,
    pub(in crate::report) reserved_memory_mib: f64,
}

/// A row of `cost.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::report) struct Cost {
    pub(in crate::report) item: String,
    pub(in crate::report) cost_usd: f64,
}

/// A row of `idle.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct IdleSpan {
    pub(super) cause: String,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) usd_per_hour: f64,
}

impl Folder {
    /// Reads the folder of a finished run; files of higher detail may be missing.
    pub(in crate::report) fn read(folder: &Path) -> Result<Self, PlotError> {
        let path = folder.join(PLAN);
        let text = fs::read_to_string(&path).map_err(|source| PlotError::Read { path: path.clone(), source })?;
        let plan =
            serde_json::from_str(&text).map_err(|error| PlotError::Malformed { path, reason: error.to_string() })?;

        let mut series: BTreeMap<(String, String), Vec<(f64, f64)>> = BTreeMap::new();
        each_row(folder, "series.csv", |row: Sample| {
            if row.value.is_finite() {
                series.entry((row.resource, row.metric)).or_default().push((row.time_s, row.value));
            }
        })?;
        // A datapoint is written when it is known, which may be later than what has happened since.
        for samples in series.values_mut() {
            samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        Ok(Self {
            plan,
            series,
            hosts: rows(folder, "instances.csv")?,
            alarms: rows(folder, "alarms.csv")?,
            packing: rows(folder, "packing.csv")?,
            costs: rows(folder, "cost.csv")?,
            idle: rows(folder, "idle.csv")?,
        })
    }

    /// A series by resource and metric; empty when the run has none.
    pub(in crate::report) fn series(&self, resource: &str, metric: &str) -> &[(f64, f64)] {
        self.series.get(&(resource.to_owned(), metric.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Every resource with a series of `metric`, by name.
    pub(in crate::report) fn all<'s>(&'s self, metric: &'s str) -> impl Iterator<Item = (&'s str, &'s [(f64, f64)])> {
        self.series
            .iter()
            .filter(move |((_, name), _)| name == metric)
            .map(|((resource, _), samples)| (resource.as_str(), samples.as_slice()))
    }

    /// Every series with its resource and metric, by name.
    pub(in crate::report) fn all_series(&self) -> impl Iterator<Item = (&str, &str, &[(f64, f64)])> {
        self.series.iter().map(|((resource, metric), samples)| (resource.as_str(), metric.as_str(), samples.as_slice()))
    }

    /// The sum over all resources of a level.
    pub(in crate::report) fn total(&self, metric: &str) -> Vec<(f64, f64)> {
        let parts: Vec<&[(f64, f64)]> = self.all(metric).map(|(_, samples)| samples).collect();
        let layers = vec![0; parts.len()];
        layered(&parts, &layers, 1).into_iter().map(|(at, sums)| (at, sums[0])).collect()
    }

    /// Changes of the number of hosts that wait in warm pools, or are on their way into one (ASG-41).
    pub(super) fn pooled(&self) -> Vec<(f64, f64)> {
        ["WarmPoolPendingCapacity", "WarmPoolWarmedCapacity"]
            .into_iter()
            .flat_map(|metric| {
                let mut before = 0.0;
                self.total(metric)
                    .into_iter()
                    .map(move |(at, level)| (at, level - std::mem::replace(&mut before, level)))
            })
            .filter(|(_, by)| *by != 0.0)
            .collect()
    }

    /// First and last second of the run.
    pub(in crate::report) fn times(&self) -> (f64, f64) {
        (0.0, self.plan.duration_s)
    }

    /// First and last second that count.
    pub(in crate::report) fn measured(&self) -> (f64, f64) {
        (self.plan.warmup_s, self.plan.duration_s)
    }
}

pub(in crate::report) fn each_row<R: DeserializeOwned>(
    folder: &Path,
    name: &str,
    mut take: impl FnMut(R),
) -> Result<(), PlotError> {
    let path: PathBuf = folder.join(name);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(PlotError::Read { path, source }),
    };
    for row in csv::Reader::from_reader(io::BufReader::new(file)).into_deserialize() {
        take(row.map_err(|error| PlotError::Malformed { path: path.clone(), reason: error.to_string() })?);
    }
    Ok(())
}

/// Every row of a file; none when the run has no such file.
pub(in crate::report) fn rows<R: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<R>, PlotError> {
    let mut rows = Vec::new();
    each_row(folder, name, |row| rows.push(row))?;
    Ok(rows)
}

/// Sums of levels by layer, a row per instant of change; `layer_of[i]` is where `parts[i]` counts.
pub(in crate::report) fn layered(parts: &[&[(f64, f64)]], layer_of: &[usize], layers: usize) -> Vec<(f64, Vec<f64>)> {
    let mut changes: Vec<(f64, usize, f64)> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, samples)| samples.iter().map(move |&(at, value)| (at, part, value)))
        .collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut levels = vec![0.0; parts.len()];
    changes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|instant| {
            for &(_, part, value) in instant {
                levels[part] = value;
            }
            // Summed anew each time: running sums would drift.
            let mut sums = vec![0.0; layers];
            for (level, layer) in levels.iter().zip(layer_of) {
                sums[*layer] += level;
            }
            (instant[0].0, sums)
        })
        .collect()
}

/// The integral of a level over `[from, to]`, which holds from each change to the next.
pub(in crate::report) fn integral(series: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let ends = series.iter().skip(1).map(|next| next.0).chain([to]);
    series.iter().zip(ends).map(|((at, value), end)| value * (end.min(to) - at.max(from)).max(0.0)).sum()
}

/// The highest level reached and lasting, with its time; `(from, 0)` when there is none.
pub(in crate::report) fn peak(series: &[(f64, f64)], from: f64, to: f64) -> (f64, f64) {
    let ends = series.iter().skip(1).map(|next| next.0).chain([to]);
    series
        .iter()
        .zip(ends)
        .filter(|((at, _), end)| *end > *at && *end > from && *at <= to)
        .map(|((at, value), _)| (at.max(from), *value))
        .fold((from, 0.0), |best, now| if now.1 > best.1 { now } else { best })
}

/// The lowest and the highest level that lasts within `[from, to]`; `None` without any.
pub(in crate::report) fn extremes(series: &[(f64, f64)], from: f64, to: f64) -> Option<(f64, f64)> {
    let ends = series.iter().skip(1).map(|next| next.0).chain([to]);
    series
        .iter()
        .zip(ends)
        .filter(|((at, _), end)| *end > *at && *end > from && *at < to)
        .map(|((_, value), _)| (*value, *value))
        .reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// A level over one of several spans of equal length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Piece {
    pub(in crate::report) at: f64,
    pub(in crate::report) mean: f64,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
}

/// Cuts a level into `count` spans of equal length from the first to the last second; those before its first sample are
/// left out.
pub(in crate::report) fn pieces(series: &[(f64, f64)], (first, last): (f64, f64), count: u32) -> Vec<Piece> {
    let length = (last - first) / f64::from(count.max(1));
    let mut pieces = Vec::new();
    let mut next = 0;
    let mut level = None;
    for place in 0..count {
        let (begin, end) = (first + f64::from(place) * length, first + f64::from(place + 1) * length);
        let (mut since, mut area) = (begin, 0.0);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        loop {
            let until = series.get(next).map_or(end, |sample| sample.0.min(end));
            if let Some(value) = level.filter(|_| until > since) {
                area += value * (until - since);
                (low, high) = (low.min(value), high.max(value));
            }
            since = since.max(until);
            match series.get(next).filter(|sample| sample.0 < end) {
                Some(sample) => level = Some(sample.1),
                None => break,
            }
            next += 1;
        }
        if low <= high {
            pieces.push(Piece { at: begin, mean: area / length, low, high });
        }
    }
    pieces
}

/// For how long `condition` holds of the levels of several series together.
pub(in crate::report) fn time_when(
    series: &[&[(f64, f64)]],
    from: f64,
    to: f64,
    condition: impl Fn(&[f64]) -> bool,
) -> f64 {
    let own: Vec<usize> = (0..series.len()).collect();
    let holds: Vec<(f64, f64)> = layered(series, &own, series.len())
        .into_iter()
        .map(|(at, levels)| (at, f64::from(u8::from(condition(&levels)))))
        .collect();
    integral(&holds, from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_add_up_at_each_change() {
        let (a, b) = (vec![(0.0, 1.0), (10.0, 3.0)], vec![(5.0, 2.0), (10.0, 0.0)]);
        assert_eq!(layered(&[&a, &b], &[0, 0], 1), [(0.0, vec![1.0]), (5.0, vec![3.0]), (10.0, vec![3.0])]);
        assert_eq!(layered(&[&a, &b], &[0, 1], 2)[2], (10.0, vec![3.0, 0.0]));
    }

    #[test]
    fn pieces_have_the_mean_of_what_lasts_and_keep_the_extremes() {
        let level = [(0.0, 2.0), (5.0, 6.0), (5.0, 9.0), (5.0, 4.0), (10.0, 1.0)];
        let piece = |at, mean, low, high| Piece { at, mean, low, high };
        assert_eq!(
            pieces(&level, (0.0, 20.0), 2),
            [piece(0.0, 3.0, 2.0, 4.0), piece(10.0, 1.0, 1.0, 1.0)],
            "what lasts no time does not count"
        );
        assert_eq!(pieces(&level[4..], (0.0, 20.0), 2), [piece(10.0, 1.0, 1.0, 1.0)]);
        assert_eq!(pieces(&[], (0.0, 20.0), 2), []);
    }

    #[test]
    fn extremes_are_those_of_the_time_asked_for() {
        let level = [(0.0, 48.0), (10.0, 30.0), (20.0, 5.0), (20.0, 7.0)];
        assert_eq!(extremes(&level, 10.0, 40.0), Some((7.0, 30.0)), "the 48 were over when the time began");
        assert_eq!(extremes(&level, 5.0, 15.0), Some((30.0, 48.0)));
        assert_eq!(extremes(&[], 0.0, 1.0), None);
    }

    #[test]
    fn integrals_and_peaks_hold_levels_until_the_next_change() {
        let level = [(0.0, 2.0), (10.0, 4.0), (10.0, 9.0), (10.0, 1.0)];
        assert_eq!(integral(&level, 0.0, 20.0), 30.0);
        assert_eq!(integral(&level, 5.0, 12.0), 12.0);
        assert_eq!(peak(&level, 0.0, 20.0), (0.0, 2.0), "what lasts no time is no peak");
        assert_eq!(peak(&[], 3.0, 20.0), (3.0, 0.0));
        assert_eq!(time_when(&[&level, &[(0.0, 1.5)]], 0.0, 20.0, |levels| levels[0] > levels[1]), 10.0);
    }
}
