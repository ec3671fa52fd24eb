//! What a run's containers are called, and how they are known again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use super::engine::Labels;
use crate::control_plane::execution::ContainerSpec;
use crate::report::output::safe_name;

/// On whatever a run makes: which run.
pub(super) const RUN: &str = "ecsim.run";
/// The process that runs it: number and start time.
const PROCESS: &str = "ecsim.process";
const SCENARIO: &str = "ecsim.scenario";
const TASK: &str = "ecsim.task";
const CONTAINER: &str = "ecsim.container";
const DEFINITION: &str = "ecsim.task-definition";

/// One run with real containers: its id is in every name and label, so that no two runs ever meet.
#[derive(Clone, Debug)]
pub struct RunLabels {
    /// Twelve hexadecimal digits.
    pub id: String,
    labels: Labels,
}

impl RunLabels {
    /// Labels of a new run of a scenario in this process.
    pub fn new(scenario: &str) -> Self {
        // The keys of each such state are drawn anew from the system's randomness.
        let chance = RandomState::new().build_hasher().finish();
        let id = format!("{:012x}", (chance ^ u64::from(std::process::id())) & 0xffff_ffff_ffff);
        let labels = [
            (RUN, id.clone()),
            (PROCESS, process_mark(std::process::id()).unwrap_or_default()),
            (SCENARIO, scenario.to_owned()),
        ];
        Self { id, labels: labels.map(|(key, value)| (key.to_owned(), value)).into() }
    }

    /// What is on everything of a task.
    pub fn of_task(&self, spec: &ContainerSpec) -> Labels {
        let mut labels = self.labels.clone();
        labels.insert(TASK.to_owned(), spec.task_id.clone());
        labels.insert(DEFINITION.to_owned(), spec.definition.clone());
        labels
    }

    /// What is on a container.
    pub fn of_container(&self, spec: &ContainerSpec) -> Labels {
        let mut labels = self.of_task(spec);
        labels.insert(CONTAINER.to_owned(), spec.name.clone());
        labels
    }

    /// Name of a task's network.
    pub fn network(&self, task: u64) -> String {
        format!("ecsim-{}-{task}", self.id)
    }

    /// Name of a container of a task, or of a volume.
    pub fn part(&self, task: u64, name: &str) -> String {
        format!("ecsim-{}-{task}-{}", self.id, safe_name(name))
    }
}

/// Number and start time of a process, which no other process has or will have on this machine until it boots anew;
/// `None` when there is none of this number, or the system does not tell.
fn process_mark(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything, parentheses too: the 20th field is the start time.
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{process}:{started}"))
}

/// Whether the run that made something is over; `None` when its labels do not tell.
pub(super) fn is_over(labels: &Labels) -> Option<bool> {
    let mark = labels.get(PROCESS).filter(|mark| !mark.is_empty())?;
    let process: u32 = mark.split_once(':')?.0.parse().ok()?;
    Some(process_mark(process).as_ref() != Some(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_two_runs_never_meet() {
        let (one, other) = (RunLabels::new("same"), RunLabels::new("same"));
        assert_ne!(one.id, other.id);
        assert_eq!(one.part(3, "my app/1"), format!("ecsim-{}-3-my-app-1", one.id));
        assert_ne!(one.network(3), other.network(3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_run_is_over_when_its_process_is_gone_or_another_has_its_number() {
        let mut labels = RunLabels::new("mine").labels;
        assert_eq!(is_over(&labels), Some(false), "this very process");
        labels.insert(PROCESS.to_owned(), format!("{}:1", std::process::id()));
        assert_eq!(is_over(&labels), Some(true), "the same number, started at another time");
        labels.insert(PROCESS.to_owned(), "4194999:5".to_owned());
        assert_eq!(is_over(&labels), Some(true), "no process has a number so high");
        labels.insert(PROCESS.to_owned(), String::new());
        assert_eq!(is_over(&labels), None);
        assert_eq!(is_over(&Labels::new()), None);
    }
}
