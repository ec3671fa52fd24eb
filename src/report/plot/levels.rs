//! Levels over time that more than one picture is drawn from: what was asked for and was there, hosts by state, money.

use plotters::style::RGBColor;

use super::folder::{Folder, integral, layered, time_when};
use super::theme::{BLUE, ORANGE, OTHER, PURPLE, VERMILION};

/// What hosts and Fargate gave of one resource, and what tasks took and wanted of it; a sample a change.
pub(in crate::report) struct Capacity {
    /// The resource with its unit.
    pub(in crate::report) name: &'static str,
    /// Registered by hosts.
    pub(in crate::report) hosts: Vec<(f64, f64)>,
    /// In use on Fargate.
    pub(in crate::report) fargate: Vec<(f64, f64)>,
    /// Reserved by tasks, on hosts and on Fargate.
    pub(in crate::report) reserved: Vec<(f64, f64)>,
    /// The same with what waits for capacity.
    pub(in crate::report) demanded: Vec<(f64, f64)>,
}

/// CPU and memory of all clusters together; `None` when no task and no host took part.
pub(in crate::report) fn capacities(folder: &Folder) -> Option<[Capacity; 2]> {
    let level = |metric: &str, scale: f64| {
        let mut level = folder.total(metric);
        for (_, value) in &mut level {
            *value *= scale;
        }
        level
    };
    let cpu = Capacity {
        name: "CPU [vCPU]",
        hosts: level("registered_cpu_vcpu", 1.0),
        fargate: level("fargate_cpu_vcpu", 1.0),
        reserved: level("reserved_cpu_vcpu", 1.0),
        demanded: level("demanded_cpu_vcpu", 1.0),
    };
    let gib = 1.0 / 1024.0;
    let memory = Capacity {
        name: "memory [GiB]",
        hosts: level("registered_memory_mib", gib),
        fargate: level("fargate_memory_mib", gib),
        reserved: level("reserved_memory_mib", gib),
        demanded: level("demanded_memory_mib", gib),
    };
    let both = [cpu, memory];
    let any = both
        .iter()
        .flat_map(|one| [&one.hosts, &one.fargate, &one.reserved, &one.demanded])
        .any(|level| highest(level) > 0.0);
    any.then_some(both)
}

/// For how long tasks waited for capacity within `[from, to]`.
pub(in crate::report) fn waiting_time([cpu, memory]: &[Capacity; 2], (from, to): (f64, f64)) -> f64 {
    let levels = [&cpu.reserved, &cpu.demanded, &memory.reserved, &memory.demanded].map(Vec::as_slice);
    time_when(&levels, from, to, |now| now[1] > now[0] + 1e-9 || now[3] > now[2] + 1e-9)
}

/// The states of a host with their colours, in the order in which [`hosts_by_state`] counts them.
pub(in crate::report) const HOST_STATES: [(&str, RGBColor); 5] = [
    ("in service", BLUE),
    ("launching", ORANGE),
    ("draining", PURPLE),
    ("terminating", VERMILION),
    ("in the warm pool", OTHER),
];

/// Of [`HOST_STATES`] those that wait in a warm pool; all before it are of the group itself.
pub(in crate::report) const POOLED: usize = 4;

/// How many hosts were in each state, a row a change.
pub(in crate::report) fn hosts_by_state(folder: &Folder) -> Vec<(f64, Vec<f64>)> {
    let mut changes: Vec<(f64, usize, f64)> = Vec::new();
    for host in &folder.hosts {
        let gone = host.terminated_s.unwrap_or(f64::INFINITY);
        let going = host.terminating_s.unwrap_or(gone).min(gone);
        let draining = host.draining_s.unwrap_or(f64::INFINITY);
        let leaving = going.min(draining);
        let serving = host.in_service_s.unwrap_or(leaving).min(leaving);
        // Managed draining happens while the host terminates already (DRN-3): it drains until it is gone.
        let drained = if draining >= gone {
            leaving
        } else if draining < going {
            going
        } else {
            gone
        };
        let mut stay = |state: usize, from: f64, to: f64| {
            if to > from {
                changes.extend([(from, state, 1.0), (to, state, -1.0)]);
            }
        };
        stay(1, host.launched_s, serving);
        stay(0, serving, leaving);
        stay(2, leaving, drained);
        stay(3, drained, gone);
    }
    for (at, by) in folder.pooled() {
        changes.extend([(at, POOLED, by), (at, 1, -by)]);
    }
    let mut rows = counted(changes, HOST_STATES.len());
    for (_, levels) in &mut rows {
        // What scale-in has put back into the pool was in service before, and is not launching.
        let back = levels[1].min(0.0);
        levels[0] += back;
        levels[1] -= back;
    }
    rows
}

/// Counts by layer from comings and goings; those that never end are not counted off.
pub(in crate::report) fn counted(mut changes: Vec<(f64, usize, f64)>, layers: usize) -> Vec<(f64, Vec<f64>)> {
    changes.retain(|(at, ..)| at.is_finite());
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut levels = vec![0.0; layers];
    changes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|instant| {
            for &(_, layer, by) in instant {
                levels[layer] += by;
            }
            (instant[0].0, levels.clone())
        })
        .collect()
}

/// The sum of all layers.
pub(in crate::report) fn summed(rows: &[(f64, Vec<f64>)]) -> Vec<(f64, f64)> {
    rows.iter().map(|(at, levels)| (*at, levels.iter().sum())).collect()
}

/// What one group's hosts, or Fargate in one cluster, cost an hour.
pub(in crate::report) struct CostPart<'f> {
    /// `asg/<name>`, or `cluster/<name>` for Fargate.
    pub(in crate::report) resource: &'f str,
    /// Dollars per hour.
    pub(in crate::report) rate: &'f [(f64, f64)],
    /// Its integral over the measured time, in dollar-seconds per hour.
    pub(in crate::report) spent: f64,
}

impl CostPart<'_> {
    /// The name people know it by.
    pub(in crate::report) fn name(&self) -> String {
        match self.resource.split_once('/') {
            Some(("cluster", cluster)) => format!("Fargate in {cluster}"),
            _ => self.resource.to_owned(),
        }
    }
}

/// Everything with a cost per hour, the dearest first; empty when nothing cost anything.
pub(in crate::report) fn cost_parts(folder: &Folder) -> Vec<CostPart<'_>> {
    let (from, to) = folder.measured();
    let mut parts: Vec<CostPart<'_>> = folder
        .all("cost_per_hour_usd")
        .map(|(resource, rate)| CostPart { resource, rate, spent: integral(rate, from, to) })
        .collect();
    if parts.iter().all(|part| part.spent == 0.0) || to <= from {
        return Vec::new();
    }
    parts.sort_by(|a, b| b.spent.total_cmp(&a.spent).then_with(|| a.resource.cmp(b.resource)));
    parts
}

/// The rates of `parts` at each change, those from layer `shown` on summed up in one more.
pub(in crate::report) fn cost_rows(parts: &[CostPart<'_>], shown: usize) -> Vec<(f64, Vec<f64>)> {
    let layers = if parts.len() > shown { shown + 1 } else { shown };
    let levels: Vec<&[(f64, f64)]> = parts.iter().map(|part| part.rate).collect();
    let layer_of: Vec<usize> = (0..parts.len()).map(|part| part.min(shown)).collect();
    layered(&levels, &layer_of, layers)
}

/// Running total of a rate per hour, at each of its changes.
pub(in crate::report) fn accumulated(rate: &[(f64, f64)], until: f64) -> Vec<(f64, f64)> {
    let mut total = 0.0;
    let mut sums = Vec::with_capacity(rate.len() + 1);
    for (place, &(at, value)) in rate.iter().enumerate() {
        sums.push((at, total));
        let end = rate.get(place + 1).map_or(until, |next| next.0);
        total += value * (end - at).max(0.0) / 3600.0;
    }
    sums.push((until, total));
    sums
}

/// From when to when an alarm was in ALARM.
pub(in crate::report) fn alarm_spans(folder: &Folder, alarm: &str) -> Vec<(f64, f64)> {
    let mut spans = Vec::new();
    let mut since = None;
    for change in folder.alarms.iter().filter(|change| change.alarm == alarm) {
        match (change.state == "ALARM", since) {
            (true, None) => since = Some(change.time_s),
            (false, Some(begin)) => {
                spans.push((begin, change.time_s));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|begin| (begin, folder.plan.duration_s)));
    spans
}

/// The highest value of a series, 0 without any.
pub(in crate::report) fn highest(series: &[(f64, f64)]) -> f64 {
    series.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}
