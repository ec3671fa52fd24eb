//! The life of a host: why it came, what ran on it, why it stayed while it was empty, why it went.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::records::{Decision, IdleRow, InstanceRow, Records, TaskRow};
use super::{Chapter, Story, count, lasting, rule_title, scaling};
use crate::scaling::idle::IdleCause;

/// The story of one row of `instances.csv`.
pub(super) fn story(records: &Records, place: usize) -> Story {
    let host = &records.instances[place];
    let tasks: Vec<&TaskRow> = records.tasks.iter().filter(|row| row.instance == host.instance).collect();
    let idle: Vec<&IdleRow> = records.idle.iter().filter(|row| row.instance == host.instance).collect();
    let end = host.terminated_s.unwrap_or(records.duration_s);
    let mut chapters = vec![launched(records, host)];
    if let Some(registered) = host.registered_s {
        let boot = lasting(registered - host.launched_s);
        let what = format!("registered with the cluster, {boot} after its launch");
        chapters.push(Chapter { because: ran(records, &tasks), ..Chapter::plain(records, registered, what) });
    }
    for spans in together(&idle) {
        chapters.push(empty(records, &spans));
    }
    if let Some(draining) = host.draining_s {
        let moved = tasks.iter().filter(|row| row.stopping_s.is_some_and(|at| at >= draining)).count();
        chapters.push(Chapter::plain(records, draining, format!("DRAINING: {} to leave it", count(moved, "task"))));
    }
    if let Some(terminating) = host.terminating_s {
        chapters.push(chosen(records, host, terminating));
    }
    if let Some(terminated) = host.terminated_s {
        chapters.push(Chapter::plain(records, terminated, "terminated".to_owned()));
    }
    chapters.sort_by(|one, other| one.time_s.total_cmp(&other.time_s));
    let idle_s: f64 = idle.iter().map(|row| row.to_s - row.from_s).sum();
    let summary = format!(
        "{} {} of group {} in {}, {}; {} ran on it; billed {} for ${:.4}, {} of it without work",
        host.market,
        host.kind,
        host.asg,
        host.az,
        if host.terminated_s.is_some() {
            format!("alive for {}", lasting(end - host.launched_s))
        } else {
            "alive at the end".to_owned()
        },
        count(tasks.len(), "task"),
        lasting(host.billed_s),
        host.cost_usd,
        lasting(idle_s)
    );
    Story { subject: host.instance.clone(), summary, chapters, at: Vec::new() }
}

/// What the group decided about the host, with its reason and its rule where the log has them.
fn decided<'r>(
    records: &'r Records,
    host: &InstanceRow,
    action: &str,
    at: f64,
    what: String,
) -> (Chapter, Option<&'r Decision>) {
    let mut chapter = Chapter::plain(records, at, what);
    let about = |decision: &&Decision| decision.subject == host.instance && decision.action == action;
    let decision = records.decisions.iter().find(about);
    if let Some(decision) = decision {
        chapter.because.push(decision.reason.clone());
        chapter.because.extend(rule_title(&decision.rule));
        chapter.rule.clone_from(&decision.rule);
    }
    (chapter, decision)
}

/// Why it came: the group's word, and the scale-out behind it with its metric and the tasks that waited.
fn launched(records: &Records, host: &InstanceRow) -> Chapter {
    let (mut chapter, _) = decided(records, host, "launch", host.launched_s, format!("launched in {}", host.az));
    let behind = records.decisions.iter().rev().find(|decision| {
        decision.action == "scale-out"
            && decision.time_s <= host.launched_s
            && (decision.subject == format!("asg/{}", host.asg) || decision.word("group") == Some(&host.asg))
    });
    // A replacement has a reason of its own; a scale-out of long ago brought others.
    if let Some(behind) = behind.filter(|behind| {
        let (from, to) = (behind.from.to_string(), behind.to.to_string());
        chapter.because.first().is_some_and(|cause| cause.contains(&format!("from {from} to {to}")))
    }) {
        chapter.because.push(format!(
            "{} → {} hosts at {} [{}]",
            behind.from,
            behind.to,
            records.clock(behind.time_s),
            behind.rule
        ));
        chapter.because.extend(scaling::evidence(records, behind));
    }
    chapter
}

/// What ran on it, a line for each kind of task.
fn ran(records: &Records, tasks: &[&TaskRow]) -> Vec<String> {
    let mut kinds: BTreeMap<(&str, &str), Vec<&TaskRow>> = BTreeMap::new();
    for task in tasks {
        kinds.entry((task.group.as_str(), task.task_definition.as_str())).or_default().push(task);
    }
    let line = |((group, definition), rows): ((&str, &str), Vec<&TaskRow>)| {
        let from = rows.iter().map(|row| row.pending_s.unwrap_or(row.created_s)).fold(f64::INFINITY, f64::min);
        let to = rows.iter().map(|row| row.stopped_s.unwrap_or(f64::INFINITY)).fold(0.0, f64::max);
        let until = if to.is_finite() { records.clock(to) } else { "the end".to_owned() };
        format!("ran {} of {group} ({definition}), {} to {until}", count(rows.len(), "task"), records.clock(from))
    };
    kinds.into_iter().map(line).collect()
}

/// Spans that follow upon one another without work between them.
fn together<'r>(spans: &[&'r IdleRow]) -> Vec<Vec<&'r IdleRow>> {
    let mut spans = spans.to_vec();
    spans.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
    spans.chunk_by(|one, next| one.to_s == next.from_s).map(<[_]>::to_vec).collect()
}

/// Why it was still there while nothing ran on it, span by span.
fn empty(records: &Records, spans: &[&IdleRow]) -> Chapter {
    let (from, to) = (spans[0].from_s, spans[spans.len() - 1].to_s);
    let usd: f64 = spans.iter().map(|span| span.usd_per_hour * (span.to_s - span.from_s) / 3600.0).sum();
    let sentence = |cause: &str| match IdleCause::named(cause) {
        Some(cause) => cause.because().to_owned(),
        None => cause.to_owned(),
    };
    let because = spans.iter().map(|span| {
        format!(
            "{} to {}: {} [{}]",
            records.clock(span.from_s),
            records.clock(span.to_s),
            sentence(&span.cause),
            span.rule
        )
    });
    let rows = spans.iter().map(|span| {
        json!({ "from_s": span.from_s, "to_s": span.to_s, "cause": span.cause, "rule": span.rule, "usd_per_hour": span.usd_per_hour })
    });
    let what = format!("without work for {}, until {}, for ${usd:.4}", lasting(to - from), records.clock(to));
    Chapter { because: because.collect(), rows: rows.collect(), ..Chapter::plain(records, from, what) }
}

/// Why it was this one that went.
fn chosen(records: &Records, host: &InstanceRow, at: f64) -> Chapter {
    let (mut chapter, decision) = decided(records, host, "terminate", at, format!("chosen to go: {}", host.reason));
    let Some(decision) = decision else { return chapter };
    if let Some(tasks) = decision.input("tasks") {
        chapter.because.push(if tasks > 0.0 {
            format!("{} still wanted on it", count(tasks as usize, "task"))
        } else {
            "nothing but daemons was wanted on it".to_owned()
        });
    }
    if let Some(zones) = decision.inputs.get("zones").and_then(Value::as_object) {
        let sizes: Vec<String> = zones.iter().map(|(zone, size)| format!("{size} in {zone}")).collect();
        let mut line = format!("without it the group has {}", sizes.join(", "));
        let policies: Vec<&str> =
            decision.inputs["policies"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if host.reason == "scale-in" {
            let policies = if policies.is_empty() { "Default".to_owned() } else { policies.join(", ") };
            line += &format!("; the fullest zone gives first, then by policy {policies}");
        }
        chapter.because.push(line);
    }
    chapter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_belong_together_until_work_comes_between() {
        let row = |from_s: f64, to_s: f64| IdleRow {
            instance: "i-1".into(),
            cause: "boot".into(),
            rule: "EC2-20".into(),
            from_s,
            to_s,
            usd_per_hour: 0.1,
        };
        let rows = [row(300.0, 400.0), row(0.0, 10.0), row(10.0, 50.0)];
        let all: Vec<&IdleRow> = rows.iter().collect();
        let lengths: Vec<usize> = together(&all).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
        assert!(together(&[]).is_empty());
    }
}
