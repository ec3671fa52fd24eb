//! The load that a scenario offers, before any run: what its workloads will ask for in replication 0.

use serde_json::{Value, json};

use crate::control_plane::estate::{Demand, Estate};
use crate::engine::streams::Streams;
use crate::engine::time::{SimDuration, SimTime};
use crate::report::format::{grouped, json_number, span};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::workload::arrivals::Arrivals;
use crate::workload::rate::Rate;

/// What one workload offers over the run.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedLoad {
    /// `workload/<name>` or `event-rule/<name>`.
    pub resource: String,
    /// What is counted: requests, messages, tasks, vCPUs, MiB.
    pub what: &'static str,
    /// Whether it comes at a rate per second; else it is an amount at each instant.
    pub is_rate: bool,
    /// Start of each piece [s], and the mean per second, or the mean amount, in it.
    pub series: Vec<(f64, f64)>,
    /// Length of a piece [s].
    pub width: f64,
    /// What comes in all; none of an amount.
    pub total: Option<f64>,
}

/// Pieces of a run that are told apart at most.
const PIECES: u64 = 1500;
/// Lengths of a piece [s].
const WIDTHS: [u64; 10] = [1, 10, 60, 300, 900, 1800, 3600, 21_600, 86_400, 604_800];
/// Arrivals that are counted at most, of one workload.
const MOST_ARRIVALS: usize = 20_000_000;

impl OfferedLoad {
    /// Everything that the workloads and event rules of `estate` offer; random rates are drawn as replication 0 draws them.
    pub fn all(estate: &Estate) -> Vec<Self> {
        let streams = Streams::new(estate.seed, 0);
        let end = SimTime::ZERO + estate.duration;
        let mut loads = Vec::new();
        for workload in &estate.workloads {
            let name = &workload.name;
            let resource = format!("workload/{name}");
            let drawn = |rate: &Rate, part: &str| rate.drawn(&streams, &format!("{part}/{name}"), end);
            match &workload.demand {
                Demand::Requests { rate, .. } => {
                    loads.push(Self::of_rate(resource, "requests", true, &drawn(rate, "rate"), estate.duration));
                }
                Demand::Utilization { cpu, memory, .. } => {
                    let of = |rate: &Rate, part, what| {
                        Self::of_rate(resource.clone(), what, false, &drawn(rate, part), estate.duration)
                    };
                    loads.extend(cpu.as_ref().map(|rate| of(rate, "rate", "vCPUs")));
                    loads.extend(memory.as_ref().map(|rate| of(rate, "memory", "MiB")));
                }
                Demand::Tasks { run_task, arrivals } => {
                    let arrivals = Arrivals::of_workload(arrivals, name, &streams, end);
                    loads.push(Self::of_arrivals(
                        resource,
                        "tasks",
                        f64::from(run_task.count),
                        arrivals,
                        estate.duration,
                    ));
                }
                Demand::Messages(messages) => {
                    if let Some(arrivals) = &messages.arrivals {
                        let arrivals = Arrivals::of_workload(arrivals, name, &streams, end);
                        let each = messages.count as f64;
                        loads.push(Self::of_arrivals(resource, "messages", each, arrivals, estate.duration));
                    }
                }
            }
        }
        for rule in estate.event_rules.iter().filter(|rule| rule.enabled) {
            let tasks = rule.targets.iter().map(|target| f64::from(target.call.count)).sum();
            let events = rule.arrivals(&streams, end);
            loads.push(Self::of_arrivals(format!("event-rule/{}", rule.name), "tasks", tasks, events, estate.duration));
        }
        loads
    }

    fn of_rate(resource: String, what: &'static str, is_rate: bool, rate: &Rate, run: SimDuration) -> Self {
        let width = width_of(run);
        let pieces = run.as_nanos().div_ceil(width.as_nanos());
        let series = (0..pieces)
            .map(|piece| {
                let from = SimTime::ZERO + width * piece;
                let to = from.saturating_add(width).min(SimTime::ZERO + run);
                (from.as_secs_f64(), rate.mean_over(from, to))
            })
            .collect();
        let total = is_rate.then(|| rate.integral(SimTime::ZERO, SimTime::ZERO + run));
        Self { resource, what, is_rate, series, width: width.as_secs_f64(), total }
    }

    fn of_arrivals(resource: String, what: &'static str, each: f64, mut arrivals: Arrivals, run: SimDuration) -> Self {
        let width = width_of(run);
        let end = SimTime::ZERO + run;
        let mut counts = vec![0.0; run.as_nanos().div_ceil(width.as_nanos()) as usize];
        let mut now = SimTime::ZERO;
        let mut total = 0.0;
        for _ in 0..MOST_ARRIVALS {
            let Some(arrival) = arrivals.next(now).filter(|arrival| arrival.at < end) else { break };
            now = arrival.at;
            counts[(now.as_nanos() / width.as_nanos()) as usize] += each;
            total += each;
        }
        let seconds = width.as_secs_f64();
        let series = counts
            .into_iter()
            .enumerate()
            .map(|(piece, count)| {
                (piece as f64 * seconds, count / seconds.min(run.as_secs_f64() - piece as f64 * seconds))
            })
            .collect();
        Self { resource, what, is_rate: true, series, width: seconds, total: Some(total) }
    }

    /// The mean over the run.
    pub fn mean(&self) -> f64 {
        self.series.iter().map(|(_, value)| value).sum::<f64>() / (self.series.len() as f64).max(1.0)
    }

    /// The highest piece: when, and how much.
    pub fn peak(&self) -> (f64, f64) {
        let highest = |one: (f64, f64), other: &(f64, f64)| if other.1 > one.1 { *other } else { one };
        self.series.iter().fold((0.0, 0.0), highest)
    }

    /// Variance over mean of what comes in a piece; of a Poisson process 1. None of an amount.
    pub fn dispersion(&self) -> Option<f64> {
        let mean = self.mean();
        let variance = self.series.iter().map(|(_, value)| (value - mean) * (value - mean)).sum::<f64>()
            / (self.series.len() as f64).max(1.0);
        // Per second the variance of a piece's count is smaller by its squared length, the mean by its length.
        (self.is_rate && mean > 0.0).then(|| variance / mean * self.width)
    }

    /// What it is counted in.
    pub fn unit(&self) -> String {
        if self.is_rate { format!("{} per s", self.what) } else { self.what.to_owned() }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let (peak_at, peak) = self.peak();
        json!({
            "resource": self.resource,
            "unit": self.unit(),
            "total": self.total.map(json_number),
            "mean": json_number(self.mean()),
            "peak": json_number(peak),
            "peak_at_s": json_number(peak_at),
            "dispersion": self.dispersion().map(json_number),
            "window_s": json_number(self.width),
        })
    }
}

/// The shortest piece that leaves no more than [`PIECES`].
fn width_of(run: SimDuration) -> SimDuration {
    let enough = WIDTHS.into_iter().find(|width| run.as_secs_f64() / *width as f64 <= PIECES as f64);
    SimDuration::from_secs(enough.unwrap_or(WIDTHS[WIDTHS.len() - 1]))
}

/// The loads as a table.
pub fn table(loads: &[OfferedLoad], colour: bool) -> String {
    let columns = ["total", "mean", "peak", "peak/mean", "at", "dispersion"];
    let heads = [("offered load", Align::Left), ("", Align::Left)].into_iter();
    let mut table = Table::new(heads.chain(columns.map(|column| (column, Align::Right))));
    for load in loads {
        let (peak_at, peak) = load.peak();
        let mean = load.mean();
        table.row([
            Cell::from(load.resource.as_str()),
            Cell::new(load.unit(), Tone::Dim),
            Cell::from(load.total.map_or_else(String::new, |total| grouped(total, 0))),
            Cell::from(plain(mean)),
            Cell::new(plain(peak), Tone::Strong),
            Cell::from(if mean > 0.0 { format!("{:.1}", peak / mean) } else { String::new() }),
            Cell::from(span(peak_at)),
            Cell::from(load.dispersion().map_or_else(String::new, plain)),
        ]);
    }
    table.render(colour)
}

/// A number with three digits or so.
pub(crate) fn plain(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        below if below < 0.1 => 4,
        below if below < 10.0 => 2,
        below if below < 100.0 => 1,
        _ => 0,
    };
    grouped(value, decimals)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{LoadOptions, load_str};

    fn loads(workloads: &str) -> Vec<OfferedLoad> {
        let text = format!(
            "name: lab\nduration: 2h\n\
             taskDefinitions:\n  - {{family: t, containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 512}}]}}\n\
             services:\n  - {{serviceName: web, taskDefinition: t, launchType: EC2, desiredCount: 0}}\n\
             workloads:\n{workloads}"
        );
        let scenario = load_str("lab.yaml", &text, &LoadOptions::default());
        OfferedLoad::all(&scenario.unwrap_or_else(|found| panic!("{}", found.render(false))).estate)
    }

    #[test]
    fn rates_and_arrivals_are_told_alike() {
        let found = loads(
            "  - {name: a, requests: {service: web, cpuPerRequest: 1ms, rate: {steps: [[0s, 10], [1h, 30]]}}}
  - {name: b, tasks: {taskDefinition: t, launchType: EC2, count: 2, arrivals: {constant: 6/min}}}
  - {name: c, utilization: {service: web, cpu: 3, memory: 512}}
  - {name: d, messages: {arrivals: {poisson: 4}}}\n",
        );
        let of = |name: &str| found.iter().find(|load| load.resource.ends_with(name)).unwrap();
        assert_eq!((of("/a").mean(), of("/a").peak(), of("/a").total), (20.0, (3600.0, 30.0), Some(144_000.0)));
        let tasks = of("/b");
        assert!((tasks.total.unwrap() - 1438.0).abs() <= 2.0 && tasks.unit() == "tasks per s", "{:?}", tasks.total);
        assert_eq!((of("/c").unit(), of("/c").mean(), of("/c").total), ("vCPUs".to_owned(), 3.0, None));
        assert!((of("/d").dispersion().unwrap() - 1.0).abs() < 0.2, "Poisson: {:?}", of("/d").dispersion());
        let text = table(&found, false);
        assert!(text.contains("workload/a") && text.contains("requests per s") && text.contains("144,000"), "{text}");
    }

    #[test]
    fn what_is_shown_is_what_replication_0_will_draw() {
        let noisy =
            "  - {name: a, requests: {service: web, cpuPerRequest: 1ms, rate: {product: [20, {noise: {cv: 0.5}}]}}}\n";
        let (one, other) = (loads(noisy), loads(noisy));
        assert_eq!(one, other);
        assert!(one[0].peak().1 > 25.0 && (one[0].mean() / 20.0 - 1.0).abs() < 0.2);
    }
}
