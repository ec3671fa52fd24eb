//! The life of a task: what it waited for, where it went, how it ended.

use super::records::{Records, TaskRow};
use super::{Chapter, Story, lasting, rule_title};

/// The story of one row of `tasks.csv`.
pub(super) fn story(records: &Records, place: usize) -> Story {
    let task = &records.tasks[place];
    let mut chapters = vec![step(records, task.created_s, format!("created by {}", task.group))];
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
        because.extend(rule_title(&decision.rule));
        chapters.push(Chapter { because, rule: decision.rule.clone(), ..step(records, decision.time_s, what) });
    }
    let steps = [(task.pending_s, "PENDING"), (task.running_s, "RUNNING")];
    for (at, name) in steps.into_iter().filter_map(|(at, name)| Some((at?, name))) {
        chapters.push(step(records, at, format!("{name}, {} after it was created", lasting(at - task.created_s))));
    }
    if let Some(at) = task.stopping_s {
        let mut chapter = step(records, at, format!("told to stop: {}", task.stop_code));
        chapter.because.push(task.stopped_reason.clone());
        chapters.push(chapter);
    }
    if let Some(at) = task.stopped_s {
        chapters.push(step(records, at, "STOPPED".to_owned()));
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

fn step(records: &Records, at: f64, what: String) -> Chapter {
    Chapter { time_s: at, time: records.clock(at), what, because: Vec::new(), rule: String::new() }
}
