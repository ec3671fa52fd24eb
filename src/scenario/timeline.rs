//! What is written for a time that the run does not reach.

use super::decode::At;
use super::diagnostic::{Problem, Reading, code};
use super::input::ScenarioFile;
use super::source::Place;
use crate::control_plane::estate::Estate;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::scheduled_action::Timing;
use crate::workload::arrivals::ArrivalProcess;

/// Actions, faults, rules and scheduled actions that nobody will see.
pub(super) fn check(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    let actions = file.actions.iter().map(|action| ("action", &action.at));
    let faults = file.faults.iter().filter_map(|fault| Some(("fault", fault.at.as_ref()?)));
    for (what, at) in actions.chain(faults) {
        late(what, at, estate.duration, reading);
    }
    for input in file.event_rules.iter() {
        let rule = estate.event_rules.iter().find(|rule| rule.name == input.name.value);
        if let (Some(at), Some(ArrivalProcess::Schedule(schedule))) = (&input.schedule, rule.map(|rule| &rule.events)) {
            never(schedule.next_from(SimTime::ZERO), "rule", at.place, estate, reading);
        }
    }
    let of_services = file.scheduled_actions.iter().map(|input| (&input.name, input.schedule.as_ref()));
    let of_groups = file.asg_scheduled_actions.iter().map(|input| (&input.name, input.recurrence.as_ref()));
    for (name, schedule) in of_services.chain(of_groups) {
        let Some(call) = estate.scheduled_actions.iter().find(|call| call.name == name.value) else { continue };
        let timing = Timing {
            schedule: call.schedule.clone(),
            start: call.start_time,
            end: call.end_time,
            put: estate.start,
            origin: estate.start,
        };
        // One without any time has been told of already.
        if timing.schedule.is_some() || timing.start.is_some() {
            let place = schedule.map_or(name.place, |at| at.place);
            never(timing.next_run(SimTime::ZERO), "scheduled action", place, estate, reading);
        }
    }
}

fn late(what: &str, at: &At<SimDuration>, duration: SimDuration, reading: &mut Reading) {
    if at.value > duration {
        let message = format!("the run ends at {duration}, before this {what}");
        reading.report(Problem::new(code::SUSPICIOUS, at.place, message).into_warning());
    }
}

fn never(first: Option<SimTime>, what: &str, place: Place, estate: &Estate, reading: &mut Reading) {
    if first.is_none_or(|first| first > SimTime::ZERO + estate.duration) {
        let message =
            format!("the run begins at {} and lasts {}: this {what} never runs in it", estate.start, estate.duration);
        reading.report(Problem::new(code::SUSPICIOUS, place, message).into_warning());
    }
}
