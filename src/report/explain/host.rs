//! The life of a host: why it came, what ran on it, why it stayed while it was empty, why it went.

use super::records::{Decision, InstanceRow, Records, TaskRow};
use super::{Chapter, Story, count, lasting, rule_title};

/// The story of one row of `instances.csv`.
pub(super) fn story(records: &Records, place: usize) -> Story {
    let host = &records.instances[place];
    let tasks: Vec<&TaskRow> = records.tasks.iter().filter(|row| row.instance == host.instance).collect();
    let end = host.terminated_s.unwrap_or(records.duration_s);
    let mut chapters = vec![decided(records, host, "launch", host.launched_s, format!("launched in {}", host.az))];
    if let Some(registered) = host.registered_s {
        let boot = lasting(registered - host.launched_s);
        chapters.push(plain(records, registered, format!("registered with the cluster, {boot} after its launch")));
        for (from, to) in empty_spans(&tasks, registered, host.terminating_s.unwrap_or(end)) {
            chapters.push(empty(records, host, from, to));
        }
    }
    if let Some(draining) = host.draining_s {
        let moved = tasks.iter().filter(|row| row.stopping_s.is_some_and(|at| at >= draining)).count();
        chapters.push(plain(records, draining, format!("DRAINING: {} to leave it", count(moved, "task"))));
    }
    if let Some(terminating) = host.terminating_s {
        chapters.push(decided(records, host, "terminate", terminating, format!("chosen to go: {}", host.reason)));
    }
    if let Some(terminated) = host.terminated_s {
        chapters.push(plain(records, terminated, "terminated".to_owned()));
    }
    chapters.sort_by(|one, other| one.time_s.total_cmp(&other.time_s));
    let summary = format!(
        "{} {} of group {} in {}, {}; {} ran on it; billed {} for ${:.4}",
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
        host.cost_usd
    );
    Story { subject: host.instance.clone(), summary, chapters, at: Vec::new() }
}

/// What the group decided about the host, with its reason and its rule where the log has them.
fn decided(records: &Records, host: &InstanceRow, action: &str, at: f64, what: String) -> Chapter {
    let mut chapter = plain(records, at, what);
    let about = |decision: &&Decision| decision.subject == host.instance && decision.action == action;
    if let Some(decision) = records.decisions.iter().find(about) {
        chapter.because.push(decision.reason.clone());
        chapter.because.extend(rule_title(&decision.rule));
        chapter.rule.clone_from(&decision.rule);
    }
    chapter
}

/// Spans between `from` and `to` in which the host held no task, of a minute or more.
fn empty_spans(tasks: &[&TaskRow], from: f64, to: f64) -> Vec<(f64, f64)> {
    let mut held: Vec<(f64, f64)> = tasks
        .iter()
        .map(|row| (row.pending_s.unwrap_or(row.created_s), row.stopped_s.unwrap_or(f64::INFINITY)))
        .collect();
    held.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut spans = Vec::new();
    let mut free_since = from;
    for (start, end) in held {
        if start - free_since >= 60.0 {
            spans.push((free_since, start.min(to)));
        }
        free_since = free_since.max(end);
    }
    if to - free_since >= 60.0 {
        spans.push((free_since, to));
    }
    spans
}

/// An empty span, with what its provider and group answered meanwhile.
fn empty(records: &Records, host: &InstanceRow, from: f64, to: f64) -> Chapter {
    let group = format!("asg/{}", host.asg);
    let answers = records.decisions.iter().filter(|decision| {
        (decision.subject == group || decision.word("group") == Some(&host.asg) && !decision.subject.starts_with("i-"))
            && decision.time_s >= from
            && decision.time_s < to
    });
    let mut because: Vec<String> = Vec::new();
    for decision in answers {
        let what =
            if decision.scales() { format!("{} → {}", decision.from, decision.to) } else { decision.reason.clone() };
        because.push(format!("{}  {what}  [{}]", records.clock(decision.time_s), decision.rule));
    }
    if because.is_empty() {
        because.push("its provider decided nothing meanwhile: the low alarm had not gone off".to_owned());
    }
    Chapter {
        because,
        ..plain(records, from, format!("empty for {}, until {}", lasting(to - from), records.clock(to)))
    }
}

fn plain(records: &Records, at: f64, what: String) -> Chapter {
    Chapter { time_s: at, time: records.clock(at), what, because: Vec::new(), rule: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pending: f64, stopped: Option<f64>) -> TaskRow {
        TaskRow {
            task: "t".into(),
            group: "service:web".into(),
            task_definition: "web:1".into(),
            cluster: "default".into(),
            launch_type: "EC2".into(),
            capacity_provider: String::new(),
            instance: "i-1".into(),
            az: "us-east-1a".into(),
            created_s: pending,
            pending_s: Some(pending),
            running_s: None,
            stopping_s: None,
            stopped_s: stopped,
            stop_code: String::new(),
            stopped_reason: String::new(),
        }
    }

    #[test]
    fn a_host_is_empty_between_its_tasks_and_after_them() {
        let (early, late) = (row(100.0, Some(500.0)), row(300.0, Some(900.0)));
        assert_eq!(empty_spans(&[&late, &early], 0.0, 2000.0), [(0.0, 100.0), (900.0, 2000.0)]);
        assert_eq!(empty_spans(&[&row(10.0, None)], 0.0, 2000.0), [], "ten seconds are no span, and a task stays");
        assert_eq!(empty_spans(&[], 50.0, 2000.0), [(50.0, 2000.0)]);
    }
}
