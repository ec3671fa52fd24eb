//! `scheduler`: a program that places tasks in place of ECS.

use std::sync::Arc;
use std::time::Duration;

use super::convert::cluster_name;
use super::diagnostic::{Problem, Reading, code};
use super::input::{ScenarioFile, SchedulerInput};
use crate::adapters::external_scheduler::ExternalScheduler;
use crate::arn;
use crate::engine::time::SimDuration;
use crate::placement::scheduler::CustomScheduler;

/// How long an answer may take, unless the scenario says otherwise.
const TIMEOUT: SimDuration = SimDuration::from_secs(10);

/// The custom scheduler of a scenario; the program is not started before the run.
pub(crate) fn custom_scheduler(
    input: &SchedulerInput,
    file: &ScenarioFile,
    reading: &mut Reading,
) -> Option<CustomScheduler> {
    let mut clusters: Vec<String> = file.clusters.iter().map(|cluster| cluster_name(cluster.name.as_ref())).collect();
    clusters.push("default".to_owned());
    for name in &input.clusters {
        if !clusters.iter().any(|known| known == arn::name(name)) {
            let message = format!("there is no cluster `{}`", name.value);
            let problem = Problem::new(code::UNKNOWN_NAME, name.place, message).label("no such cluster");
            reading.report(problem.nearest(name, clusters.iter().map(String::as_str)));
        }
    }
    let timeout = input.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value);
    if timeout < SimDuration::from_millis(1) {
        let place = input.timeout.as_ref().map_or(input.place, |timeout| timeout.place);
        reading.report(Problem::new(code::INVALID, place, "no program answers in no time").label("1ms at least"));
    }
    let Some(first) = input.command.first().filter(|program| !program.is_empty()) else {
        let problem = Problem::new(code::MISSING_KEY, input.place, "a scheduler needs a command").label("no program");
        reading.report(problem.help("for example command: [python3, scheduler.py]"));
        return None;
    };
    let folder = reading.sources.get(first.place.source).folder.clone();
    let setup = ExternalScheduler {
        command: input.command.iter().map(|part| part.value.clone()).collect(),
        // The empty path is the current folder, which the operating system spells as a dot.
        folder: if folder.as_os_str().is_empty() { ".".into() } else { folder },
        timeout: Duration::from_nanos(timeout.as_nanos()),
    };
    Some(CustomScheduler {
        name: setup.command.join(" "),
        clusters: input.clusters.iter().map(|name| arn::name(name).to_owned()).collect(),
        factory: Arc::new(move |_| setup.clone().start()),
    })
}
