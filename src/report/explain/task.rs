//! The life of a task: what it waited for, where it went, how it ended.

use serde_json::Value;

use super::records::{Decision, Records, TaskRow};
use super::{Chapter, Story, count, lasting, rule_title};

/// The story of one row of `tasks.csv`.
pub(super) fn story(records: &Records, place: usize) -> Story {
    let task = &records.tasks[place];
    let mut chapters = vec![Chapter::plain(records, task.created_s, format!("created by {}", task.group))];
    for decision in records.decisions.iter().filter(|decision| decision.subject == task.task) {
        let what = match decision.action.as_str() {
            "wait" => "waits in PROVISIONING for capacity".to_owned(),
            "place" => format!("placed on {} in {}", task.instance, task.az),
            other => other.to_owned(),
        };
        let mut because = vec![decision.reason.clone()];
        if let (Some(cpu), Some(memory)) = (decision.input("cpu"), decision.input("memory_mib")) {
            because.push(format!("it needs {cpu} CPU units and {memory} MiB"));
        }
        if let Some(waited) = decision.input("waited_s").filter(|waited| *waited >= 1.0) {
            because.push(format!("after a wait of {}", lasting(waited)));
        }
        because.extend(if decision.action == "wait" { refusals(decision) } else { ranking(decision) });
        because.extend(rule_title(&decision.rule));
        let rows = decision.inputs.get("hosts").and_then(Value::as_array).cloned().unwrap_or_default();
        chapters.push(Chapter {
            because,
            rule: decision.rule.clone(),
            rows,
            ..Chapter::plain(records, decision.time_s, what)
        });
    }
    let steps = [(task.pending_s, "PENDING"), (task.running_s, "RUNNING")];
    for (at, name) in steps.into_iter().filter_map(|(at, name)| Some((at?, name))) {
        chapters.push(Chapter::plain(
            records,
            at,
            format!("{name}, {} after it was created", lasting(at - task.created_s)),
        ));
    }
    if let Some(at) = task.stopping_s {
        let mut chapter = Chapter::plain(records, at, format!("told to stop: {}", task.stop_code));
        chapter.because.push(task.stopped_reason.clone());
        chapters.push(chapter);
    }
    if let Some(at) = task.stopped_s {
        chapters.push(Chapter::plain(records, at, "STOPPED".to_owned()));
    }
    chapters.sort_by(|one, other| one.time_s.total_cmp(&other.time_s));
    Story { subject: format!("task {}", task.task), summary: summary(task), chapters, at: Vec::new() }
}

fn summary(task: &TaskRow) -> String {
    let capacity = if task.capacity_provider.is_empty() { &task.launch_type } else { &task.capacity_provider };
    let ran = match (task.running_s, task.stopping_s.or(task.stopped_s)) {
        (Some(from), Some(to)) => format!("ran for {}", lasting(to - from)),
        (Some(_), None) => "runs at the end".to_owned(),
        (None, _) => "never ran".to_owned(),
    };
    format!("{} of {} in cluster {} on {capacity}; {ran}", task.task_definition, task.group, task.cluster)
}

/// What each host lacked, the closest first.
fn refusals(decision: &Decision) -> Vec<String> {
    let hosts = decision.inputs.get("hosts").and_then(Value::as_array).into_iter().flatten();
    let mut lines: Vec<String> = hosts
        .filter_map(|host| {
            Some(format!(
                "{}: {} (free: {} CPU units, {} MiB)",
                host["instance"].as_str()?,
                host["reason"].as_str()?,
                host["cpu"],
                host["memory_mib"]
            ))
        })
        .collect();
    let considered = decision.input("considered").map_or(0, |number| number as usize);
    if considered > lines.len() {
        lines.push(format!("and {} more", count(considered - lines.len(), "host")));
    }
    lines
}

/// Who could have taken it, what each strategy made of them, and how a tie was broken.
fn ranking(decision: &Decision) -> Vec<String> {
    let (Some(considered), Some(fit)) = (decision.input("considered"), decision.input("fit")) else {
        return Vec::new();
    };
    let refused: Vec<String> = decision
        .inputs
        .get("refused")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(reason, hosts)| format!("{reason} on {hosts}"))
        .collect();
    let refused = if refused.is_empty() { String::new() } else { format!(": {}", refused.join(", ")) };
    let mut lines = vec![match decision.input("sample_of") {
        Some(hosts) => {
            let looked_at = count(considered as usize, "host");
            format!("a sample of {looked_at} out of {hosts} looked at{refused}; {fit} of the best compared")
        }
        None => format!("{} looked at, {fit} could take it{refused}", count(considered as usize, "host")),
    }];
    for step in decision.inputs.get("strategies").and_then(Value::as_array).into_iter().flatten() {
        let strategy = step["strategy"].as_str().unwrap_or_default();
        lines.push(format!("{strategy}: {} left, at {}", step["left"], step["best"]));
    }
    if let Some(tie) = decision.word("tie").filter(|tie| *tie != "no tie") {
        lines.push(format!("tie: {tie}"));
    }
    let others: Vec<String> = decision
        .inputs
        .get("hosts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|host| {
            let measures: Vec<String> = host.get(1)?.as_array()?.iter().map(ToString::to_string).collect();
            Some(format!("{} ({})", host.get(0)?.as_str()?, measures.join(", ")))
        })
        .collect();
    if others.len() > 1 {
        lines.push(format!("in order: {}", others.join(", ")));
    }
    lines
}
