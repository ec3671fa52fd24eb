//! What the pictures of a run show, in words: their titles and what is said below them.

use super::chart::TimeAxis;
use super::folder::{Folder, PicturePlan, ServicePlan, TrackedSeries, extremes, integral, peak};
use super::levels::{Capacity, CostPart, POOLED, cost_rows, highest, summed, waiting_time};
use crate::report::bill::Item;
use crate::report::format::{for_people, grouped, money, span};
use crate::report::summary::Unit;

/// What a picture shows: its title, and a clause more (maybe empty).
pub(in crate::report) struct Finding {
    /// The finding, in a sentence.
    pub(in crate::report) title: String,
    /// What qualifies it.
    pub(in crate::report) more: String,
}

pub(super) fn time_axis(folder: &Folder) -> TimeAxis {
    TimeAxis::new(folder.plan.start, folder.times())
}

/// When a second of a run is, given its `start` in RFC 3339, as titles say it.
pub(in crate::report) fn moment(start: &str, duration_s: f64, at: f64) -> String {
    start.parse().map_or_else(|_| span(at), |start| TimeAxis::new(start, (0.0, duration_s)).moment(at))
}

/// The name of a service without its cluster.
pub(in crate::report) fn name_of(service: &ServicePlan) -> &str {
    service.resource.rsplit('/').next().unwrap_or_default()
}

pub(in crate::report) fn plural(count: f64, noun: &str) -> String {
    format!("{} {noun}{}", short(count), if count == 1.0 { "" } else { "s" })
}

/// What `short` shows, as a number: "1.0 hosts" is one host.
pub(in crate::report) fn rounded(value: f64) -> f64 {
    if value < 100.0 { (value * 10.0).round() / 10.0 } else { value.round() }
}

/// A figure with three digits at most.
pub(in crate::report) fn short(value: f64) -> String {
    grouped(value, usize::from(value < 100.0 && value.fract() != 0.0))
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// When a peak was; a level that the warm-up left behind had it before the time that counts.
pub(super) fn peak_moment(axis: &TimeAxis, from: f64, at: f64) -> String {
    if from > 0.0 && at <= from { "as the warm-up ended".to_owned() } else { axis.moment(at) }
}

/// What went wrong for want of capacity, as clauses; none when all went well.
fn troubles(plan: &PicturePlan, waited: f64) -> Vec<String> {
    let mut clauses = Vec::new();
    if waited > 0.0 {
        clauses.push(format!("tasks waited for capacity during {}", span(waited)));
    }
    if plan.tasks_refused > 0 {
        let verb = if plan.tasks_refused == 1 { "was" } else { "were" };
        clauses.push(format!("{} {verb} refused by RunTask", plural(plan.tasks_refused as f64, "task")));
    }
    if plan.requests_failed >= 0.5 {
        let [failed, all] = [plan.requests_failed, plan.requests].map(|count| for_people(count, Unit::Requests));
        clauses.push(format!("{failed} of {all} requests failed"));
    }
    clauses
}

/// What became of what was asked for: never better than it was.
fn capacity_title(plan: &PicturePlan, waited: f64, peak: &str) -> String {
    let mut troubles = troubles(plan, waited);
    let Some(last) = troubles.pop() else {
        let requests = if plan.requests > 0.0 { " and no request failed" } else { "" };
        return format!("No task waited for capacity{requests}; {peak}");
    };
    let told = if troubles.is_empty() { last } else { format!("{} and {last}", troubles.join(", ")) };
    let mut letters = told.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}; {peak}", letters.as_str())
}

/// Of demand and capacity.
pub(in crate::report) fn capacity(folder: &Folder, both: &[Capacity; 2]) -> Finding {
    let cpu = &both[0];
    let (from, to) = folder.measured();
    let (at, most) = peak(&cpu.demanded, from, to);
    let peak = format!("peak demand {} vCPU ({})", short(most), peak_moment(&time_axis(folder), from, at));
    let reserved = integral(&cpu.reserved, from, to) - integral(&cpu.fargate, from, to);
    let registered = integral(&cpu.hosts, from, to);
    let more = if registered > 0.0 {
        format!("{} % of the hosts' CPU was reserved on average", grouped(100.0 * reserved / registered, 1))
    } else {
        String::new()
    };
    Finding { title: capacity_title(&folder.plan, waiting_time(both, (from, to)), &peak), more }
}

/// When most CPU was wanted; the middle of the run when none was.
pub(in crate::report) fn busiest(folder: &Folder) -> f64 {
    let (from, to) = folder.measured();
    super::levels::capacities(folder).map_or(f64::midpoint(from, to), |[cpu, _]| peak(&cpu.demanded, from, to).0)
}

/// How much memory was wanted at the most.
pub(in crate::report) fn most_memory(folder: &Folder, memory: &Capacity) -> String {
    let (from, to) = folder.measured();
    let (at, most) = peak(&memory.demanded, from, to);
    format!("Peak demand {} GiB of memory ({})", short(most), peak_moment(&time_axis(folder), from, at))
}

/// Of a service's counts.
pub(in crate::report) fn service_counts(folder: &Folder, service: &ServicePlan) -> Finding {
    let [desired, running] = ["DesiredCount", "RunningCount"].map(|metric| folder.series(&service.resource, metric));
    let (from, to) = folder.measured();
    let below = super::folder::time_when(&[desired, running], from, to, |now| now[1] < now[0]);
    let (low, high) = extremes(desired, from, to).unwrap_or((0.0, 0.0));
    let wanted = if low < high {
        format!("wanted {} to {} tasks", grouped(low, 0), grouped(high, 0))
    } else {
        format!("wanted {}", plural(high, "task"))
    };
    let title = if below > 0.0 {
        format!("{} {wanted} and was below its desired count for {}", name_of(service), span(below))
    } else {
        format!("{} {wanted} and was never below its desired count", name_of(service))
    };
    Finding { title, more: service.resource.clone() }
}

/// Of the hosts; `zones` is in how many Availability Zones they were.
pub(in crate::report) fn hosts(folder: &Folder, states: &[(f64, Vec<f64>)], zones: usize) -> Finding {
    let (from, to) = folder.measured();
    let total: Vec<(f64, f64)> = states.iter().map(|(at, levels)| (*at, levels[..POOLED].iter().sum())).collect();
    let pool = states.iter().map(|(_, levels)| levels[POOLED]).fold(0.0, f64::max);
    let (at, most) = peak(&total, from, to);
    let mean = if to > from { integral(&total, from, to) / (to - from) } else { 0.0 };
    let title = format!(
        "{} on average, {} at the peak ({})",
        plural(rounded(mean), "host"),
        short(most),
        peak_moment(&time_axis(folder), from, at)
    );
    let launched = folder.hosts.iter().filter(|host| host.launched_s >= from).count();
    let since = if from > 0.0 { " after the warm-up" } else { "" };
    let beside = if pool > 0.0 { format!(", beside {} in the warm pool", short(pool)) } else { String::new() };
    let (launched, zones) = (plural(launched as f64, "host"), plural(zones as f64, "zone"));
    let more = format!("{launched} launched{since}, {zones} in all{beside}");
    Finding { title, more }
}

/// Of what scaled a service, by the first metric it follows.
pub(in crate::report) fn scaling(folder: &Folder, service: &ServicePlan, tracked: &[&TrackedSeries]) -> Finding {
    let (from, _) = folder.measured();
    let desired = folder.series(&service.resource, "DesiredCount");
    let steps = || desired.windows(2).filter(|pair| pair[1].0 >= from);
    let out = steps().filter(|pair| pair[1].1 > pair[0].1).count();
    let back = steps().filter(|pair| pair[1].1 < pair[0].1).count();
    let followed = match tracked {
        [TrackedSeries { metric, target: Some(target), .. }] => {
            format!("{metric} against its target of {}", short(*target))
        }
        several => several.iter().map(|tracked| tracked.metric.as_str()).collect::<Vec<_>>().join(" and "),
    };
    let scaled = match (out, back) {
        (0, 0) => "never scaled".to_owned(),
        (out, 0) => format!("scaled out {}, never in,", times(out)),
        (0, back) => format!("scaled in {}, never out,", times(back)),
        (out, back) => format!("scaled out {} and in {}", times(out), times(back)),
    };
    Finding { title: format!("{} {scaled} following {followed}", name_of(service)), more: service.resource.clone() }
}

/// Of the cost per hour.
pub(in crate::report) fn cost(folder: &Folder, parts: &[CostPart<'_>]) -> Finding {
    let (from, to) = folder.measured();
    let total = summed(&cost_rows(parts, parts.len()));
    let (at, most) = peak(&total, from, to);
    let mean = integral(&total, from, to) / (to - from);
    let moment = peak_moment(&time_axis(folder), from, at);
    let title = format!("Capacity cost {} an hour on average, {} at the peak ({moment})", money(mean), money(most));
    Finding { title, more: bill_in_words(folder) }
}

/// The whole bill, and what of it the cost per hour of capacity does not show.
fn bill_in_words(folder: &Folder) -> String {
    let sum = |counts: fn(Option<Item>) -> bool| -> f64 {
        folder.costs.iter().filter(|row| counts(Item::named(&row.item))).map(|row| row.cost_usd).sum()
    };
    let bill = sum(|_| true);
    let rest = sum(|item| item.is_none_or(|item| !item.is_capacity()));
    if bill <= 0.0 {
        return String::new();
    }
    let whole = if folder.plan.warmup_s > 0.0 { "whole bill, warm-up included" } else { "whole bill" };
    let besides = if rest > 0.0 { format!("; load balancers and alarms: {}", money(rest)) } else { String::new() };
    format!("{whole}: {}{besides}", money(bill))
}

/// The worst minute of a service's slowest hundredth: when, and how long it took.
pub(in crate::report) fn worst_latency(folder: &Folder, resource: &str) -> (f64, f64) {
    let (from, to) = folder.measured();
    let samples = folder.series(resource, "latency_p99_s");
    samples
        .iter()
        .filter(|(at, _)| *at >= from && *at <= to)
        .copied()
        .fold((from, 0.0), |worst, now| if now.1 > worst.1 { now } else { worst })
}

/// Of a service's latency.
pub(in crate::report) fn latency(folder: &Folder, resource: &str) -> Finding {
    let (at, worst) = worst_latency(folder, resource);
    let name = resource.rsplit('/').next().unwrap_or_default();
    let moment = time_axis(folder).moment(at);
    let title = format!("The slowest hundredth of {name}'s requests took {} at the worst ({moment})", span(worst));
    Finding { title, more: "latency per minute".to_owned() }
}

/// The highest that a level reaches once the time that counts has begun.
pub(super) fn highest_after(series: &[(f64, f64)], from: f64) -> f64 {
    let counted: Vec<(f64, f64)> = series.iter().filter(|(at, _)| *at >= from).copied().collect();
    highest(&counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> PicturePlan {
        PicturePlan {
            scenario: "web-day".into(),
            seed: 7,
            start: "2026-01-05T00:00:00Z".parse().unwrap(),
            duration_s: 86_400.0,
            warmup_s: 0.0,
            occurrences: Vec::new(),
            requests: 0.0,
            requests_failed: 0.0,
            tasks_refused: 0,
            services: Vec::new(),
            definitions: Vec::new(),
            machines: Vec::new(),
            queues: Vec::new(),
        }
    }

    #[test]
    fn a_title_never_says_that_all_was_well_when_it_was_not() {
        let title = |waited: f64, refused: u64, requests: f64, failed: f64| {
            let plan = PicturePlan { requests, requests_failed: failed, tasks_refused: refused, ..plan() };
            capacity_title(&plan, waited, "peak")
        };
        assert_eq!(title(0.0, 0, 0.0, 0.0), "No task waited for capacity; peak");
        assert_eq!(title(0.0, 0, 9e6, 0.2), "No task waited for capacity and no request failed; peak");
        assert_eq!(title(0.0, 0, 9_123_456.0, 341_742.46), "341,742 of 9,123,456 requests failed; peak");
        assert_eq!(title(0.0, 15, 0.0, 0.0), "15 tasks were refused by RunTask; peak");
        assert_eq!(
            title(948.0, 1, 100.0, 3.0),
            "Tasks waited for capacity during 15.8 min, 1 task was refused by RunTask and 3 of 100 requests failed; peak"
        );
    }

    #[test]
    fn a_peak_that_the_warm_up_left_behind_says_so() {
        let axis = TimeAxis::new("2026-01-05T00:00:00Z".parse().unwrap(), (0.0, 86_400.0));
        assert_eq!(peak_moment(&axis, 1800.0, 1800.0), "as the warm-up ended");
        assert_eq!(peak_moment(&axis, 1800.0, 1801.0), "00:30");
        assert_eq!(peak_moment(&axis, 0.0, 0.0), "00:00");
    }
}
