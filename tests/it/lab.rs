//! A laboratory for rules: a scenario as text, one paranoid run, and questions about what happened when.
//!
//! The scenario language is the test language: what a test shows, a user can paste into a file and watch.

use std::collections::BTreeMap;

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::ecs::container::Container;
use ecsim::ecs::ids::TaskKey;
use ecsim::engine::time::{SimDuration, SimTime};
use ecsim::scenario::{LoadOptions, load_str};
use ecsim::workload::fluid::StepOutcome;
use ecsim::workload::per_request::RequestStep;
use serde_json::Value;

/// What one run did, in the order in which it happened.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Log {
    /// Levels: (time in s, resource, metric, value).
    pub(crate) levels: Vec<(f64, String, &'static str, f64)>,
    /// Datapoints: (start of the period in s, resource, metric, value).
    pub(crate) datapoints: Vec<(f64, String, &'static str, f64)>,
    /// Alarm states: (time in s, alarm, state, reason).
    pub(crate) alarms: Vec<(f64, String, String, String)>,
    /// Decisions: (time in s, actor, subject, action, reason, rule).
    pub(crate) decisions: Vec<(f64, String, String, String, String, String)>,
    /// Task transitions: (time in s, number of the task, group, status).
    pub(crate) tasks: Vec<(f64, u64, String, &'static str)>,
    /// Where each task was placed: number of the task to number of the host.
    pub(crate) placed: BTreeMap<u64, u32>,
    /// The capacity provider each task was bound to, by number of the task (CP-9).
    pub(crate) bound: BTreeMap<u64, String>,
    /// The zone of each host, by its number.
    pub(crate) zones: BTreeMap<u32, String>,
    /// Notifications: (time in s, target, state).
    pub(crate) notifications: Vec<(f64, String, String)>,
    /// Why each task stopped: number of the task to (code, reason).
    pub(crate) stops: BTreeMap<u64, (String, String)>,
    /// Steps of instances: (time in s, number of the host, step).
    pub(crate) instances: Vec<(f64, u32, String)>,
    /// Messages of services: (time in s, message).
    pub(crate) messages: Vec<(f64, String)>,
    /// Activities: (time in s, resource, status, message or not-scaled reasons).
    pub(crate) activities: Vec<(f64, String, &'static str, String)>,
    /// Why each activity began: (resource, cause).
    pub(crate) causes: Vec<(String, String)>,
    /// Failures of RunTask: (time in s, tasks).
    pub(crate) failures: Vec<(f64, u32)>,
    /// Zone of each task, by its number.
    pub(crate) task_zones: BTreeMap<u64, String>,
    /// Revision of each task, by its number.
    pub(crate) revisions: BTreeMap<u64, String>,
    /// EventBridge events of services: (time in s, event name, reason).
    pub(crate) service_events: Vec<(f64, &'static str, String)>,
    /// Steps of the fluid model: (end in s, outcome); a long one second by second.
    pub(crate) fluid: Vec<(f64, StepOutcome)>,
    /// Steps of requests simulated one by one: (end in s, workload, outcome).
    pub(crate) requests: Vec<(f64, u32, RequestStep)>,
    /// Containers of each task as they last were, by number of the task.
    pub(crate) containers: BTreeMap<u64, Vec<Container>>,
    /// Digests of the images of each task, by number of the task.
    pub(crate) digests: BTreeMap<u64, Vec<String>>,
    /// Numbers behind decisions: (time in s, actor, inputs).
    pub(crate) inputs: Vec<(f64, String, Value)>,
    /// Answers to Describe and List calls: (time in s, call, answer).
    pub(crate) answers: Vec<(f64, String, Value)>,
    keys: BTreeMap<TaskKey, u64>,
}

/// Runs a scenario under `--paranoid`: every book is checked after every event.
///
/// Unless the text says otherwise the delays are the specification's constants and alarms are evaluated at whole
/// minutes, so that times can be computed by hand.
pub(crate) fn run_text(text: &str) -> Log {
    run_with(text, RunOptions { replication: 0, paranoid: true })
}

/// The same as the options say: without checks for runs of many events.
pub(crate) fn run_with(text: &str, options: RunOptions) -> Log {
    let mut text = text.to_owned();
    if !text.contains("\ndelays:") {
        text.push_str("\ndelays: {preset: constant}\n");
    }
    if !text.contains("\nbehaviour:") {
        text.push_str("\nbehaviour: {alarm_eval_phase: aligned}\n");
    }
    let scenario = match load_str("lab.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    };
    let mut log = Log::default();
    run(&scenario.estate, options, &mut log, |_| {});
    log
}

impl Log {
    /// A step of the fluid model, as the seconds that it stands for: all alike.
    fn record_fluid(&mut self, ends: SimTime, dt: SimDuration, steps: &[StepOutcome]) {
        let seconds = dt.as_secs().max(1);
        let part = 1.0 / seconds as f64;
        for second in (0..seconds).rev() {
            let time = ends.as_secs_f64() - second as f64;
            self.fluid.extend(steps.iter().map(|step| {
                let mut share = *step;
                for count in [&mut share.arrived, &mut share.served, &mut share.cpu_used] {
                    *count *= part;
                }
                for count in [&mut share.failed.no_healthy_target, &mut share.failed.timeout] {
                    *count *= part;
                }
                share.latency.iter_mut().for_each(|point| point.weight *= part);
                (time, share)
            }));
        }
    }

    /// Values of a level over time: (time in s, value), a pair a change.
    pub(crate) fn level(&self, resource: &str, metric: &str) -> Vec<(f64, f64)> {
        let mut changes: Vec<(f64, f64)> = Vec::new();
        for (time, _, _, value) in self.levels.iter().filter(|(_, r, m, _)| r == resource && *m == metric) {
            match changes.last_mut() {
                Some(last) if last.1 == *value => {}
                // Several changes at one instant count as one.
                Some(last) if last.0 == *time => last.1 = *value,
                _ => changes.push((*time, *value)),
            }
        }
        changes
    }

    /// The value of a level at `time`, changes of that instant included.
    pub(crate) fn level_at(&self, resource: &str, metric: &str, time: f64) -> f64 {
        let changes = self.level(resource, metric);
        changes.iter().rev().find(|(at, _)| *at <= time).map_or(0.0, |(_, value)| *value)
    }

    /// Datapoints of a metric: (start of the period in s, value).
    pub(crate) fn metric(&self, resource: &str, metric: &str) -> Vec<(f64, f64)> {
        let mine = self.datapoints.iter().filter(|(_, r, m, _)| r == resource && *m == metric);
        mine.map(|(time, _, _, value)| (*time, *value)).collect()
    }

    /// When tasks of a group reached a status, in order of time.
    pub(crate) fn times(&self, group: &str, status: &str) -> Vec<f64> {
        self.tasks.iter().filter(|(_, _, g, s)| g == group && *s == status).map(|(time, ..)| *time).collect()
    }

    /// How many tasks of a group reached a status from `start` on: (time since `start` in s, tasks).
    pub(crate) fn batches(&self, group: &str, status: &str, start: f64) -> Vec<(f64, usize)> {
        let mut batches: Vec<(f64, usize)> = Vec::new();
        for time in self.times(group, status).into_iter().filter(|time| *time >= start) {
            // Times are whole nanoseconds; as floats their difference need not be the decimal one expects.
            let since = ((time - start) * 1e6).round() / 1e6;
            match batches.last_mut() {
                Some(last) if last.0 == since => last.1 += 1,
                _ => batches.push((since, 1)),
            }
        }
        batches
    }

    /// When a service event of this name was sent.
    pub(crate) fn events(&self, name: &str) -> Vec<f64> {
        self.service_events.iter().filter(|(_, n, _)| *n == name).map(|(time, ..)| *time).collect()
    }

    /// Reasons of refused calls and placements: (time in s, reason).
    pub(crate) fn reasons(&self, actor: &str, action: &str) -> Vec<(f64, &str)> {
        let mine = self.decisions.iter().filter(|(_, a, _, d, ..)| a == actor && d == action);
        mine.map(|(time, _, _, _, reason, _)| (*time, reason.as_str())).collect()
    }

    /// Hosts of the placed tasks, in order of creation.
    pub(crate) fn hosts(&self) -> Vec<u32> {
        self.placed.values().copied().collect()
    }

    /// Statuses that one task passed through, in order.
    pub(crate) fn statuses(&self, number: u64) -> Vec<&'static str> {
        self.tasks.iter().filter(|(_, n, ..)| *n == number).map(|(.., status)| *status).collect()
    }

    /// How many tasks were bound to a capacity provider.
    pub(crate) fn bound_to(&self, provider: &str) -> usize {
        self.bound.values().filter(|bound| *bound == provider).count()
    }

    /// How many hosts are alive at `time`, per zone.
    pub(crate) fn hosts_by_zone(&self, time: f64) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for (host, zone) in &self.zones {
            let launched = self.step(*host, "Launched").is_some_and(|at| at <= time);
            let leaves = self.step(*host, "Terminating").is_some_and(|at| at <= time);
            if launched && !leaves {
                *counts.entry(zone.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// Rules by which the operator's calls, or entries of the file, were refused.
    pub(crate) fn refused(&self) -> Vec<(f64, &str)> {
        let refused =
            self.decisions.iter().filter(|(_, actor, _, action, ..)| actor == "operator" && action == "refuse");
        refused.map(|(time, .., rule)| (*time, rule.as_str())).collect()
    }

    /// When an instance took a step, for example `Registered`.
    pub(crate) fn step(&self, host: u32, step: &str) -> Option<f64> {
        self.instances.iter().find(|(_, h, s)| *h == host && s == step).map(|(time, ..)| *time)
    }

    /// Decisions of one actor: (time in s, action, rule).
    pub(crate) fn decided(&self, actor: &str) -> Vec<(f64, &str, &str)> {
        let mine = self.decisions.iter().filter(|(_, a, ..)| a == actor);
        mine.map(|(time, _, _, action, _, rule)| (*time, action.as_str(), rule.as_str())).collect()
    }
}

impl Observer for Log {
    fn wants(&self) -> Wants {
        Wants { decisions: true, activities: true, series: true, events: true }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        let time = now.as_secs_f64();
        match record {
            Record::Level { resource, metric, value } => {
                self.levels.push((time, state.resource_name(*resource), metric, *value));
            }
            Record::Datapoint { resource, metric, period_start, value } => {
                self.datapoints.push((period_start.as_secs_f64(), state.resource_name(*resource), metric, *value));
            }
            Record::Alarm { alarm, to, reason, .. } => {
                let name = state.alarms[alarm.index()].alarm.definition.name.clone();
                self.alarms.push((time, name, to.to_string(), (*reason).to_owned()));
            }
            Record::Decision(decision) => {
                self.inputs.push((time, decision.actor.to_owned(), decision.inputs.clone()));
                self.decisions.push((
                    time,
                    decision.actor.to_owned(),
                    decision.subject.clone(),
                    decision.action.to_owned(),
                    decision.reason.clone(),
                    decision.rule.to_owned(),
                ));
            }
            Record::Task { key, task, from } => {
                self.keys.insert(*key, task.number);
                if *from != Some(task.last_status) {
                    let group = state.task_group_name(task.group).to_owned();
                    self.tasks.push((time, task.number, group, task.last_status.as_str()));
                }
                if let Some(provider) = state.launch_provider_name(task.launch) {
                    self.bound.insert(task.number, provider.to_owned());
                }
                if let Some(zone) = task.zone {
                    self.task_zones.insert(task.number, state.zone_name(zone).to_owned());
                }
                self.revisions.insert(task.number, state.definition_name(task.definition));
                if let Some(host) = task.instance {
                    self.placed.insert(task.number, host.0);
                }
                self.containers.insert(task.number, task.containers.clone());
                let software = &state.software[task.software.index()];
                self.digests.insert(task.number, software.digests.clone());
                if let Some(stop) = &task.stop {
                    self.stops.insert(task.number, (stop.code.as_str().to_owned(), stop.reason.to_string()));
                }
            }
            Record::Instance { instance, step } => {
                if let Some(host) = state.instance(*instance) {
                    self.zones.insert(instance.0, state.zone_name(host.zone()).to_owned());
                }
                self.instances.push((time, instance.0, format!("{step:?}")));
            }
            Record::Notification { target, state, .. } => {
                self.notifications.push((time, (*target).to_owned(), state.to_string()));
            }
            Record::ServiceEvent(event) => {
                if !event.message.is_empty() {
                    self.messages.push((time, event.message.clone()));
                }
                if let Some(action) = &event.action {
                    self.service_events.push((time, action.event_name, action.reason.clone().unwrap_or_default()));
                }
            }
            Record::Fluid { ends, dt, steps, .. } => self.record_fluid(*ends, *dt, steps),
            Record::Requests { workload, step, .. } => self.requests.push((time, workload.0, (*step).clone())),
            Record::Activity(activity) => {
                let text = if activity.not_scaled.is_empty() {
                    activity.message.clone()
                } else {
                    activity.not_scaled.join(",")
                };
                self.activities.push((time, activity.resource.clone(), activity.status, text));
                self.causes.push((activity.resource.clone(), activity.cause.clone()));
            }
            Record::Answer { call, answer } => {
                self.answers.push((time, (*call).to_owned(), ecsim::report::answers::answer(state, answer, now)));
            }
            Record::TaskFailures { count, .. } => self.failures.push((time, *count)),
            _ => {}
        }
    }

    fn finish(&mut self, _now: SimTime, _state: &State) {}
}
