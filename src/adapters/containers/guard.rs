//! What a run with real containers may not ask of the machine: looked at before anything starts.

use std::collections::BTreeMap;

use crate::control_plane::api::ApiCall;
use crate::control_plane::estate::Estate;
use crate::control_plane::record::{Observer, Record, Wants};
use crate::control_plane::state::State;
use crate::control_plane::{RunOptions, run};
use crate::ecs::ids::TaskKey;
use crate::ecs::process::MountSource;
use crate::ecs::task::{Task, TaskStatus};
use crate::ecs::task_definition::{OperatingSystem, TaskDefinition};
use crate::engine::time::SimTime;

use super::engine::Machine;

/// Part of the machine's memory that containers may have together, in percent: the rest is for everything else.
const MEMORY_PERCENT: u64 = 90;

/// What a run may ask of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `--max-containers`.
    pub max_containers: usize,
    /// `--allow-host-mounts`.
    pub host_mounts: bool,
}

/// The most that a scenario has at once, as its plain simulation says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Containers.
    pub containers: usize,
    /// MiB that they may use: hard limits, soft ones where there is no other.
    pub memory_mib: u64,
}

/// Runs the plain simulation of a scenario and looks how much it has at once.
pub fn peak(estate: &Estate) -> Peak {
    let mut watch = PeakWatch::default();
    run(estate, RunOptions::default(), &mut watch, |_| {});
    watch.peak
}

#[derive(Default)]
struct PeakWatch {
    alive: BTreeMap<TaskKey, Peak>,
    now: Peak,
    peak: Peak,
}

impl Observer for PeakWatch {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, _: SimTime, record: &Record<'_>, state: &State) {
        let Record::Task { key, task, .. } = record else { return };
        let is_up = (TaskStatus::Pending..TaskStatus::Stopped).contains(&task.last_status);
        if let Some(before) = self.alive.remove(key) {
            self.now.containers -= before.containers;
            self.now.memory_mib -= before.memory_mib;
        }
        if is_up {
            let own = size(task, state);
            self.alive.insert(*key, own);
            self.now.containers += own.containers;
            self.now.memory_mib += own.memory_mib;
            self.peak.containers = self.peak.containers.max(self.now.containers);
            self.peak.memory_mib = self.peak.memory_mib.max(self.now.memory_mib);
        }
    }

    fn finish(&mut self, _: SimTime, _: &State) {}
}

fn size(task: &Task, state: &State) -> Peak {
    let definition = &state.definitions[task.definition.index()].definition;
    let together = || definition.containers.iter().filter_map(|one| one.memory.or(one.memory_reservation)).sum();
    let memory = definition.memory.map_or_else(together, |_| state.shapes[task.shape.index()].memory);
    Peak { containers: definition.containers.len(), memory_mib: memory.0 }
}

/// Why a scenario may not run with real containers on this machine, a sentence each; empty when it may.
pub fn refusals(estate: &Estate, machine: &Machine, peak: Peak, limits: Limits) -> Vec<String> {
    let mut refusals: Vec<String> =
        definitions(estate).flat_map(|definition| of_definition(definition, limits)).collect();
    if peak.containers > limits.max_containers {
        refusals.push(format!(
            "the scenario has up to {} containers at once, and --max-containers allows {}",
            peak.containers, limits.max_containers
        ));
    }
    let memory = machine.memory / (1 << 20) * MEMORY_PERCENT / 100;
    if peak.memory_mib > memory {
        refusals.push(format!(
            "the scenario's containers may use up to {} MiB at once, and {MEMORY_PERCENT} % of the machine's memory are {memory} MiB",
            peak.memory_mib
        ));
    }
    refusals.sort();
    refusals.dedup();
    refusals
}

/// Every task definition of the scenario, those that its actions register too.
fn definitions(estate: &Estate) -> impl Iterator<Item = &TaskDefinition> {
    let registered = estate.actions.iter().filter_map(|action| match &action.call {
        ApiCall::RegisterTaskDefinition(call) => Some(&call.definition),
        _ => None,
    });
    estate.task_definitions.iter().map(|call| &call.definition).chain(registered)
}

fn of_definition(definition: &TaskDefinition, limits: Limits) -> Vec<String> {
    let mut refusals = Vec::new();
    let family = &definition.family;
    if definition.operating_system == OperatingSystem::Windows {
        refusals.push(format!("`{family}` is for Windows, and real containers are Linux's"));
    }
    for container in &definition.containers {
        let name = &container.name;
        let mut refuse = |why: &str| refusals.push(format!("container `{name}` of `{family}` {why}"));
        if container.real_image().is_empty() {
            refuse("has no image: give it `image`, or `realImage` in its behaviour");
        }
        if container.process.privileged {
            refuse("is privileged, which real containers never are");
        }
        if container.gpus > 0 {
            refuse("asks for GPUs, which real containers are not given");
        }
        for mount in &container.process.mounts {
            if let MountSource::Host(path) = &mount.source
                && !limits.host_mounts
            {
                refuse(&format!("mounts `{path}` of this machine, which needs --allow-host-mounts"));
            }
        }
        if container.health_check.is_some() && container.process.health_command.is_empty() {
            refuse("has a health check without a command");
        }
        for link in &container.process.links {
            if !definition.containers.iter().any(|other| other.name == link.container) {
                refuse(&format!("links to `{}`, which is not of its task", link.container));
            }
        }
    }
    refusals
}
