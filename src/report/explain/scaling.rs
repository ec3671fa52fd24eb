//! Why a capacity is what it is: services, capacity providers, Auto Scaling groups.

use serde_json::Value;

use super::records::{AlarmChange, Decision, ExplainError, InstanceRow, Records, TaskRow};
use super::{Chapter, Story, count, deployment, lasting, rule_title};
use crate::engine::time::SimTime;

/// What a resource is made of, and where its capacity is written down.
struct Resource<'r> {
    name: &'r str,
    noun: &'static str,
    /// Of the group behind a provider, or of a group itself.
    group: Option<String>,
    level: (String, &'static str),
}

impl<'r> Resource<'r> {
    fn new(records: &Records, name: &'r str) -> Self {
        if name.starts_with("service/") {
            return Self { name, noun: "task", group: None, level: (name.to_owned(), "DesiredCount") };
        }
        let own = name.strip_prefix("asg/").map(str::to_owned);
        let group = own.or_else(|| {
            let mut decisions = records.decisions.iter().filter(|decision| decision.subject == name);
            decisions.find_map(|decision| decision.word("group")).map(str::to_owned)
        });
        let level = (format!("asg/{}", group.as_deref().unwrap_or_default()), "GroupDesiredCapacity");
        Self { name, noun: "host", group, level }
    }

    /// Whether a decision belongs to the story.
    fn is_told_by(&self, decision: &Decision) -> bool {
        // What a deployment does is told where it happens; its status only follows.
        if decision.actor == "service-deployment" {
            return false;
        }
        if decision.subject == self.name {
            return true;
        }
        let Some(group) = &self.group else { return false };
        // A provider's story is its group's too, and the other way round; hosts have stories of their own.
        decision.subject.strip_prefix("asg/") == Some(group)
            || decision.subject.starts_with("capacity-provider/") && decision.word("group") == Some(group)
    }
}

/// The story of a service, a capacity provider or a group.
pub(super) fn story(records: &Records, name: &str, at: Option<SimTime>) -> Result<Story, ExplainError> {
    let resource = Resource::new(records, name);
    let told: Vec<&Decision> = records.decisions.iter().filter(|decision| resource.is_told_by(decision)).collect();
    let capacity = records.series(&resource.level.0, resource.level.1)?;
    let mut chapters = deployment::chapters(records, &told);
    for (place, decision) in told.iter().enumerate().filter(|(_, decision)| !deployment::is_part(decision)) {
        let next =
            told[place + 1..].iter().find(|later| later.scales()).map_or(records.duration_s, |later| later.time_s);
        chapters.push(chapter(records, &resource, decision, next));
    }
    chapters.sort_by(|one, other| one.time_s.total_cmp(&other.time_s));
    let at = match at {
        Some(at) => standing(records, &resource, &told, &capacity, at.as_secs_f64()),
        None => Vec::new(),
    };
    Ok(Story { subject: name.to_owned(), summary: summary(records, &resource, &told, &capacity), chapters, at })
}

fn summary(records: &Records, resource: &Resource<'_>, told: &[&Decision], capacity: &[(f64, f64)]) -> String {
    let outs = told.iter().filter(|decision| decision.action == "scale-out").count();
    let ins = told.iter().filter(|decision| decision.action == "scale-in").count();
    let (first, last) = (capacity.first().map_or(0.0, |point| point.1), capacity.last().map_or(0.0, |point| point.1));
    let values = || capacity.iter().map(|(_, value)| *value);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let plural = format!("{}s", resource.noun);
    if outs + ins == 0 {
        return format!(
            "no policy changed it in {}; {first} {plural} wanted at first, {last} at the end",
            lasting(records.duration_s)
        );
    }
    format!(
        "{} out and {} in over {}; {first} {plural} wanted at first, {last} at the end, between {low} and {high}",
        count(outs, "time"),
        count(ins, "time"),
        lasting(records.duration_s)
    )
}

fn chapter(records: &Records, resource: &Resource<'_>, decision: &Decision, next: f64) -> Chapter {
    let plural = format!("{}s", resource.noun);
    let what = match decision.action.as_str() {
        "scale-out" => format!("{} → {} {plural}: scaled out", decision.from, decision.to),
        "scale-in" => format!("{} → {} {plural}: scaled in", decision.from, decision.to),
        "not-scaled" if decision.from.is_object() => {
            format!("stayed between {}: {}", bounds(&decision.from), decision.reason)
        }
        // When it ends is told below, as a time of day.
        "not-scaled" => {
            let why = decision.reason.split(", until ").next().unwrap_or_default();
            format!("stayed at {} {plural}: {why}", decision.from)
        }
        // A scheduled action: the bounds first, and the capacity that has to follow in a chapter of its own.
        "set-bounds" | "set-sizes" => {
            let (from, to) = (bounds(&decision.from), bounds(&decision.to));
            if from == to {
                format!("the bounds stayed {to} {plural}")
            } else {
                format!("bounds {from} → {to} {plural}")
            }
        }
        "refuse" => format!("refused: {}", decision.reason),
        "rebalance" => format!("rebalanced over the zones: {}", decision.reason),
        "not-placed" => format!("found no place: {}", decision.reason),
        other => format!("{}: {}", other.replace('-', " "), decision.reason),
    };
    let mut because = evidence(records, decision);
    because.extend(arithmetic(decision));
    because.extend(obstacles(records, resource, decision));
    if decision.scales() {
        because.extend(consequence(records, resource, decision, next));
    }
    because.extend(rule_title(&decision.rule));
    Chapter { because, rule: decision.rule.clone(), ..Chapter::plain(records, decision.time_s, what) }
}

/// `2 to 10`, of sizes as scheduled actions log them.
fn bounds(sizes: &Value) -> String {
    format!("{} to {}", sizes["min"], sizes["max"])
}

/// What stood in the way of a change, and until when.
fn obstacles(records: &Records, resource: &Resource<'_>, decision: &Decision) -> Vec<String> {
    let vetoes = decision.inputs.get("vetoed_by").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<String> = vetoes.filter_map(Value::as_str).map(|veto| format!("not ready: {veto}")).collect();
    if let Some(carried_out) = decision.input("carried_out") {
        lines.push(format!("carried out: {carried_out} {}s, what the other policy asked for", resource.noun));
    }
    if let Some(until) = decision.input("until_s") {
        lines.push(format!("until {}, {} on", records.clock(until), lasting(until - decision.time_s)));
    }
    if decision.rule == "AAS-8" {
        lines.push(match records.deployment_end(resource.name, decision.time_s) {
            Some(end) => {
                format!("the deployment was completed at {}, {} on", records.clock(end), lasting(end - decision.time_s))
            }
            None => "the deployment was not completed in this run".to_owned(),
        });
    }
    lines
}

/// What was seen: the alarm, its datapoints, its threshold.
pub(super) fn evidence(records: &Records, decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    let points: Vec<(f64, f64)> = decision
        .inputs
        .get("datapoints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|point| Some((point.get(0)?.as_f64()?, point.get(1)?.as_f64()?)))
        .collect();
    if let (Some(alarm), Some(threshold), Some(newest)) =
        (decision.word("alarm"), decision.input("threshold"), points.last())
    {
        // Fifteen datapoints are told by their range, few one by one.
        let seen = if points.len() > 5 {
            let values = || points.iter().map(|(_, value)| *value);
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            let range = if low < high { format!("{} to {}", figure(low), figure(high)) } else { figure(low) };
            format!(
                "{} of {range}, the periods from {} to {}",
                count(points.len(), "datapoint"),
                records.clock(points[0].0),
                records.clock(newest.0)
            )
        } else {
            let told: Vec<String> =
                points.iter().map(|(at, value)| format!("{} at {}", figure(*value), records.clock(*at))).collect();
            told.join(", ")
        };
        let window = decision.word("window").map_or_else(|| format!("threshold {}", figure(threshold)), str::to_owned);
        lines.push(format!("alarm {alarm}, {window}, saw {seen}"));
    }
    if let (Some(needed), Some(instances), Some(percent)) =
        (decision.input("needed"), decision.input("instances"), decision.input("reservation"))
    {
        let told =
            decision.word("metric_rule").and_then(rule_title).map(|title| format!("; {title}")).unwrap_or_default();
        lines.push(format!(
            "CapacityProviderReservation {} = 100 x {needed} hosts needed / {instances} there{told}",
            figure(percent)
        ));
    }
    let waiting: Vec<String> = decision
        .inputs
        .get("waiting")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|kind| {
            Some(format!("{} of {} ({})", kind["tasks"], kind["group"].as_str()?, kind["definition"].as_str()?))
        })
        .collect();
    if !waiting.is_empty() {
        lines.push(format!("tasks that waited for capacity: {}", waiting.join(", ")));
    }
    if let Some(policy) = decision.word("policy") {
        let target = decision.input("target").map(|target| format!(", target {}", figure(target))).unwrap_or_default();
        lines.push(format!("policy {policy} ({}{target})", decision.actor));
    }
    lines
}

/// The formula with its numbers, what they stand for, and the bounds that its result has to keep.
fn arithmetic(decision: &Decision) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(formula) = decision.word("formula") {
        let within = match (decision.input("min"), decision.input("max")) {
            (Some(min), Some(max)) => format!(", within {min} to {max}"),
            _ => String::new(),
        };
        lines.push(format!("{formula}{within}"));
        lines.extend(decision.word("formula_reads").map(|reads| format!("  where {reads}")));
    } else if let Some(action) = decision.word("scheduled_action") {
        lines.push(format!("scheduled action {action}: {}", decision.reason));
    }
    lines
}

/// What became of the change, up to the `next` one.
fn consequence(records: &Records, resource: &Resource<'_>, decision: &Decision, next: f64) -> Option<String> {
    let during = |at: &f64| *at >= decision.time_s && *at < next;
    let out = decision.action == "scale-out";
    let change = (decision.to.as_f64()? - decision.from.as_f64()?).abs() as usize;
    if let Some(group) = &resource.group {
        let hosts = records.instances.iter().filter(|row| row.asg == *group);
        let moved = |row: &InstanceRow| if out { Some(row.launched_s) } else { row.terminating_s }.filter(during);
        let hosts = first(hosts.filter_map(|row| Some((moved(row)?, row))).collect(), change);
        return (!hosts.is_empty()).then(|| of_hosts(records, &hosts, decision.time_s, out));
    }
    let (cluster, service) = resource.name.strip_prefix("service/")?.split_once('/')?;
    let tasks = records
        .tasks
        .iter()
        .filter(|row| row.cluster == cluster && row.group.strip_prefix("service:") == Some(service));
    let moved = |row: &TaskRow| if out { Some(row.created_s) } else { row.stopping_s }.filter(during);
    let tasks = first(tasks.filter_map(|row| Some((moved(row)?, row))).collect(), change);
    (!tasks.is_empty()).then(|| of_tasks(records, &tasks, decision.time_s, out))
}

/// The `count` first of those that moved; later ones replace what was lost, and are not this decision's.
fn first<T>(mut moved: Vec<(f64, &T)>, count: usize) -> Vec<&T> {
    moved.sort_by(|one, other| one.0.total_cmp(&other.0));
    moved.into_iter().take(count).map(|(_, row)| row).collect()
}

fn of_tasks(records: &Records, tasks: &[&TaskRow], since: f64, out: bool) -> String {
    if !out {
        let last = tasks.iter().filter_map(|row| row.stopped_s).fold(since, f64::max);
        return format!("{} told to stop, the last stopped at {}", count(tasks.len(), "task"), records.clock(last));
    }
    // A host was found when the task left PROVISIONING, or when it was created if it never waited; Fargate makes one.
    let waits = |fargate: bool| -> Vec<f64> {
        let of_kind = tasks.iter().filter(|row| (row.launch_type == "FARGATE") == fargate);
        of_kind.filter_map(|row| Some(row.pending_s? - row.created_s)).filter(|wait| *wait >= 1.0).collect()
    };
    let longest = |waits: &[f64]| lasting(waits.iter().copied().fold(0.0, f64::max));
    let (made, waited) = (waits(true), waits(false));
    let waited = if !waited.is_empty() {
        format!("{} of them waited up to {} for room", waited.len(), longest(&waited))
    } else if !made.is_empty() {
        format!("provisioned within {}", longest(&made))
    } else {
        "placed at once".to_owned()
    };
    let running: Vec<f64> = tasks.iter().filter_map(|row| row.running_s).collect();
    let ran = if running.len() == tasks.len() {
        let last = running.iter().copied().fold(since, f64::max);
        format!("all RUNNING at {}, {} after the decision", records.clock(last), lasting(last - since))
    } else {
        format!("{} of them ever RUNNING", running.len())
    };
    format!("{} started: {waited}; {ran}", count(tasks.len(), "task"))
}

fn of_hosts(records: &Records, hosts: &[&InstanceRow], since: f64, out: bool) -> String {
    let names: Vec<String> = hosts.iter().take(4).map(|row| format!("{} in {}", row.instance, row.az)).collect();
    let more = if hosts.len() > 4 { format!(" and {} more", hosts.len() - 4) } else { String::new() };
    let which = format!("{}{more}", names.join(", "));
    if !out {
        let last = hosts.iter().filter_map(|row| row.terminated_s).fold(since, f64::max);
        return format!("{} taken out: {which}; gone at {}", count(hosts.len(), "host"), records.clock(last));
    }
    let registered: Vec<f64> = hosts.iter().filter_map(|row| row.registered_s).collect();
    let last = registered.iter().copied().fold(since, f64::max);
    format!(
        "{} launched: {which}; {} registered by {}, {} after the decision",
        count(hosts.len(), "host"),
        if registered.len() == hosts.len() { "all".to_owned() } else { registered.len().to_string() },
        records.clock(last),
        lasting(last - since)
    )
}

/// How things stood at one instant: the capacity, the alarms, what came next.
fn standing(
    records: &Records,
    resource: &Resource<'_>,
    told: &[&Decision],
    capacity: &[(f64, f64)],
    at: f64,
) -> Vec<String> {
    let mut lines = Vec::new();
    let wanted = capacity.iter().rev().find(|(time, _)| *time <= at);
    lines.push(match wanted {
        Some((since, value)) => {
            format!("At {} it wanted {value} {}s, since {}.", records.clock(at), resource.noun, records.clock(*since))
        }
        None => format!("At {} it did not exist yet.", records.clock(at)),
    });
    let mut alarms: Vec<&str> = told.iter().filter_map(|decision| decision.word("alarm")).collect();
    alarms.sort_unstable();
    alarms.dedup();
    for alarm in alarms {
        let before = |change: &&AlarmChange| change.alarm == alarm && change.time_s <= at;
        if let Some(change) = records.alarms.iter().rfind(before) {
            lines.push(format!(
                "  alarm {alarm} was {} since {}: {}",
                change.state,
                records.clock(change.time_s),
                change.reason
            ));
        }
    }
    let next = told.iter().find(|decision| decision.time_s > at && decision.scales());
    lines.push(match next {
        Some(next) => format!(
            "  the next change came at {}: {} → {} ({})",
            records.clock(next.time_s),
            next.from,
            next.to,
            next.rule
        ),
        None => "  no policy changed it after that".to_owned(),
    });
    lines
}

/// A figure with at most two decimals.
fn figure(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}
