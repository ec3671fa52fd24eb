//! What is kept of a task while it lives: what it keeps busy, what it uses, what it costs.

use crate::control_plane::record::Resource;
use crate::control_plane::state::State;
use crate::ecs::ids::{ClusterId, InstanceId, TaskKey};
use crate::ecs::task::{StopCode, Task, TaskStatus};
use crate::engine::time::SimTime;
use crate::report::Detail;
use crate::report::bill::{FargateTask, NanoUsd};
use crate::report::events;
use crate::report::files::cell;
use crate::report::format::{Seconds, seconds_or_empty};

use super::Recorder;

/// What is kept of a task on Fargate while it lives. Of those on hosts nothing is: the state knows, and a large run has
/// one line of memory a task less to fetch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TaskBook {
    /// What its capacity costs an hour, while it counts.
    rate: Option<NanoUsd>,
    /// Whether its resources count as in use.
    counted: bool,
}

impl Recorder {
    pub(super) fn on_task(&mut self, now: SimTime, key: TaskKey, task: &Task, from: Option<TaskStatus>, state: &State) {
        let stopped = task.last_status == TaskStatus::Stopped;
        if task.launch.is_fargate() {
            let mut book = self.fargate_tasks.remove(key).unwrap_or_default();
            self.follow_fargate(&mut book, task, stopped, now, state);
            if !stopped {
                self.fargate_tasks.insert(key, book);
            }
        }
        if task.last_status == TaskStatus::Running && from != Some(TaskStatus::Running) && now >= self.warmup {
            self.tasks_started += 1;
            let waited = now.saturating_since(task.times.created);
            self.waits.record(waited.as_secs_f64(), 1.0);
            self.objectives.task_started(waited);
        }
        if stopped {
            if failed(task) && now >= self.warmup {
                self.tasks_failed += 1;
            }
            self.charge_volume(task, now, state);
            self.write_task(task, state);
        }
        if let Some(owner) = task.owner {
            self.service(owner.service, now, state);
        }
        // What a task has of a host is told with the host.
        if task.instance.is_none() {
            self.capacity_changed(now, task.cluster, state);
        }
        if self.detail == Detail::Full && self.files.is_some() {
            let event = events::task_state_change(state, task, now, self.events);
            self.event(&event);
        }
    }

    /// A task keeps its host from being idle from its placement until it has stopped; the host has `at_work` of them now.
    pub(super) fn on_work(&mut self, now: SimTime, instance: InstanceId, at_work: usize, state: &State) {
        // More tasks than one do not keep it busier: most changes need not look at the host.
        if at_work <= 1 {
            self.follow_idle(instance, now, state);
        }
    }

    fn follow_fargate(&mut self, book: &mut TaskBook, task: &Task, stopped: bool, now: SimTime, state: &State) {
        let needs = state.requirements(task.shape);
        let (cpu, memory) = (needs.cpu, needs.memory);
        let total = &mut self.cluster(task.cluster).fargate;
        match (book.counted, stopped) {
            (false, false) => {
                total.cpu += cpu;
                total.memory += memory;
                book.counted = true;
            }
            (true, true) => {
                total.cpu -= cpu;
                total.memory -= memory;
                book.counted = false;
            }
            _ => {}
        }
        if book.rate.is_none() && !stopped && task.times.pull_started.is_some() && self.writes_series() {
            let hour = NanoUsd::from_usd(self.prices.fargate_hour(FargateTask::of(task, state)));
            book.rate = Some(hour);
            self.fargate_rate(task.cluster, hour, now, state);
        }
        if stopped {
            if let Some(rate) = book.rate.take() {
                self.fargate_rate(task.cluster, -rate, now, state);
            }
            self.charge_fargate(task, now, state);
        }
    }

    pub(super) fn charge_fargate(&mut self, task: &Task, until: SimTime, state: &State) {
        // FG-2: a task that never pulled an image costs nothing.
        let Some(from) = task.times.pull_started else { return };
        let ran = until.saturating_since(from);
        for row in self.prices.fargate_rows(&format!("{:032x}", task.id), ran, FargateTask::of(task, state)) {
            self.charge(&row);
        }
    }

    /// VOL-2: the EBS volume of a task lives from its placement until it has stopped.
    pub(super) fn charge_volume(&mut self, task: &Task, until: SimTime, state: &State) {
        let attaches = state.definitions[task.definition.index()].definition.attaches_ebs;
        let (Some(volume), Some(from)) = (state.profiles[task.profile.index()].extras.volume, task.times.placed) else {
            return;
        };
        if attaches
            && let Some(row) =
                self.prices.volume_row(&format!("{:032x}", task.id), volume, until.saturating_since(from))
        {
            self.charge(&row);
        }
    }

    fn fargate_rate(&mut self, cluster: ClusterId, by: NanoUsd, now: SimTime, state: &State) {
        let rate = self.fargate_rates.entry(cluster).or_default();
        *rate += by;
        let rate = rate.as_usd();
        self.level(now, &state.resource_name(Resource::Cluster(cluster)), "cost_per_hour_usd", rate);
    }

    pub(super) fn write_task(&mut self, task: &Task, state: &State) {
        if self.detail != Detail::Full {
            return;
        }
        let Some(files) = &mut self.files else { return };
        files.task(&[
            format!("{:032x}", task.id),
            state.task_group_name(task.group).to_owned(),
            state.definition_name(task.definition),
            state.cluster_name(task.cluster).to_owned(),
            task.launch.launch_type().to_owned(),
            cell(state.launch_provider_name(task.launch)),
            cell(task.instance.map(InstanceId::ec2_id)),
            cell(task.zone.map(|zone| state.zone_name(zone))),
            Seconds(task.times.created).to_string(),
            seconds_or_empty(task.times.pending),
            seconds_or_empty(task.times.started),
            seconds_or_empty(task.times.stopping),
            seconds_or_empty(task.times.stopped),
            cell(task.stop.as_ref().map(|stop| stop.code.as_str())),
            cell(task.stop.as_ref().map(|stop| &stop.reason)),
        ]);
    }
}

/// Whether a task ended otherwise than it should.
fn failed(task: &Task) -> bool {
    task.stop.as_ref().is_some_and(|stop| match stop.code {
        StopCode::TaskFailedToStart | StopCode::SpotInterruption | StopCode::TerminationNotice => true,
        StopCode::EssentialContainerExited => task.exit_code.is_some_and(|code| code != 0),
        StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated => false,
    })
}
