//! Who runs the containers of tasks: the model itself, which draws how long everything takes, or an engine outside, which
//! is told what to do and tells what has become of it.
//!
//! The model does no I/O. With real containers it leaves [`ContainerCommand`]s in its [`Outbox`], where it would
//! otherwise have drawn a delay; whoever carries them out puts in a [`ContainerReport`] where the delay would have ended.

use std::collections::BTreeMap;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{ContainerStep, Event, TaskStep};
use crate::ecs::ids::TaskKey;
use crate::ecs::process::Process;
use crate::ecs::task::{StopCode, TaskStatus};
use crate::ecs::task_definition::{ContainerHealthCheck, NetworkMode, PortMapping, Protocol};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::{CpuUnits, MiB};

/// Who runs the containers of a run.
#[derive(Debug, Default)]
pub(super) enum Execution {
    /// The model: delays are drawn.
    #[default]
    Simulated,
    /// An engine outside.
    Real(Outbox),
}

/// What the model asks of the engine, and what it knows of its containers.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Simulated seconds in a second of the wall clock.
    pace: f64,
    commands: Vec<ContainerCommand>,
    /// Why a container could not be had, until the task's agent tells it.
    failures: BTreeMap<ContainerStart, String>,
    /// What each container of a task was last seen to use.
    usage: BTreeMap<TaskKey, BTreeMap<u8, ContainerUsage>>,
    /// The ports of this machine that lead to each container.
    published: BTreeMap<(TaskKey, u8), Vec<PublishedPort>>,
}

impl Execution {
    /// An engine outside, whose containers count `pace` simulated seconds for each of theirs.
    pub(super) fn real(pace: f64) -> Self {
        Self::Real(Outbox {
            pace,
            commands: Vec::new(),
            failures: BTreeMap::new(),
            usage: BTreeMap::new(),
            published: BTreeMap::new(),
        })
    }

    /// Whether an engine outside runs the containers.
    pub(super) const fn is_real(&self) -> bool {
        matches!(self, Self::Real(_))
    }

    /// Asks the engine for something; false when there is none, and the model has to do it itself.
    pub(super) fn ask(&mut self, command: impl FnOnce() -> ContainerCommand) -> bool {
        let Self::Real(outbox) = self else { return false };
        outbox.commands.push(command());
        true
    }

    /// What a duration of a container's own counts on the simulated clock: real containers are never sped up.
    pub(super) fn lasts(&self, duration: SimDuration) -> SimDuration {
        match self {
            Self::Simulated => duration,
            Self::Real(outbox) => duration.mul_f64(outbox.pace),
        }
    }

    /// The ports of this machine that lead to a container.
    pub(super) fn published_ports(&self, task: TaskKey, place: usize) -> &[PublishedPort] {
        let Self::Real(outbox) = self else { return &[] };
        outbox.published.get(&(task, place as u8)).map(Vec::as_slice).unwrap_or_default()
    }

    fn outbox(&mut self) -> Option<&mut Outbox> {
        match self {
            Self::Simulated => None,
            Self::Real(outbox) => Some(outbox),
        }
    }

    /// The task is gone: its containers go with all they had.
    fn forget(&mut self, task: TaskKey) {
        let Some(outbox) = self.outbox() else { return };
        outbox.usage.remove(&task);
        outbox.published.retain(|(other, _), _| *other != task);
        outbox.failures.retain(|start, _| start.task != task);
        outbox.commands.push(ContainerCommand::Remove { task });
    }
}

/// One start of one container: what a command is for, and a report about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerStart {
    /// Its task.
    pub task: TaskKey,
    /// Which container, in the order of the definition.
    pub place: u8,
    /// Which start of it, from 1; 0 before the first.
    pub start: u16,
}

/// What the model asks of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerCommand {
    /// Have the image: answered by [`ContainerNews::Pulled`] or [`ContainerNews::Failed`].
    Pull {
        /// For whom.
        at: ContainerStart,
        /// Reference of the image.
        image: String,
    },
    /// Create it, unless an earlier start has, and start it: answered by [`ContainerNews::Started`] or
    /// [`ContainerNews::Failed`].
    Start {
        /// Which.
        at: ContainerStart,
        /// What it is.
        spec: Box<ContainerSpec>,
    },
    /// SIGTERM, and SIGKILL if that was not heeded in time: answered by [`ContainerNews::Ended`].
    Stop {
        /// Which.
        at: ContainerStart,
        /// Seconds of the wall clock between the two signals.
        patience: SimDuration,
    },
    /// Kill and remove all containers of the task, its network and its volumes: not answered.
    Remove {
        /// The task.
        task: TaskKey,
    },
}

/// A container, fully resolved: all that an engine has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerSpec {
    /// Number of its task in the run.
    pub task_number: u64,
    /// Id of its task, 32 hexadecimal digits.
    pub task_id: String,
    /// `family:revision`.
    pub definition: String,
    /// Name of the service, of a service's task.
    pub service: Option<String>,
    /// Its name in the task.
    pub name: String,
    /// Reference of its image.
    pub image: String,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// Relative weight (TD-6).
    pub cpu_shares: CpuUnits,
    /// Hard cap: the task's own CPU, if it has a size (TD-9).
    pub cpu_limit: Option<CpuUnits>,
    /// Hard limit: the container's, else the task's.
    pub memory: Option<MiB>,
    /// Soft limit.
    pub memory_reservation: Option<MiB>,
    /// Its ports.
    pub ports: Vec<PortMapping>,
    /// How it is attached to the network.
    pub network_mode: NetworkMode,
    /// Its health check.
    pub health_check: Option<ContainerHealthCheck>,
    /// What it runs.
    pub process: Process,
}

/// What the engine tells of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerReport {
    /// Of which start.
    pub at: ContainerStart,
    /// What.
    pub news: ContainerNews,
}

/// What has become of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerNews {
    /// Its image is there.
    Pulled,
    /// It could not be had; the reason begins with the error that the agent has for it, as
    /// `CannotPullContainerError: …`.
    Failed(String),
    /// It runs.
    Started {
        /// Ports of this machine that lead to it.
        ports: Vec<PublishedPort>,
    },
    /// It has ended.
    Ended {
        /// Its exit code.
        code: i32,
        /// Whether the kernel has killed it over its memory.
        out_of_memory: bool,
    },
    /// Its health check has passed, or failed often enough.
    Health {
        /// Which of the two.
        healthy: bool,
    },
    /// What it uses.
    Usage(ContainerUsage),
}

/// A port of a container, and the port of this machine that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedPort {
    /// Inside the container.
    pub container_port: u16,
    /// On 127.0.0.1; the container's own in host mode.
    pub host_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// What a container uses, as measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ContainerUsage {
    /// vCPUs, as a mean since the reading before.
    pub vcpus: f64,
    /// Over how many seconds of the wall clock.
    pub seconds: f64,
    /// MiB, page cache left out (ECSM-4).
    pub memory_mib: f64,
}

impl ControlPlane<'_> {
    /// What the engine is asked since the last call.
    pub(super) fn take_commands(&mut self) -> Vec<ContainerCommand> {
        self.execution.outbox().map(|outbox| std::mem::take(&mut outbox.commands)).unwrap_or_default()
    }

    /// The engine tells of a container: the agent of its host tells ECS at this instant.
    pub(super) fn on_report(&mut self, report: ContainerReport, schedule: &mut Schedule<Event>) {
        let ContainerReport { at, news } = report;
        if !self.state.tasks.contains_key(at.task) {
            return;
        }
        let Some(outbox) = self.execution.outbox() else { return };
        let step = match news {
            ContainerNews::Pulled => ContainerStep::Pulled,
            ContainerNews::Failed(reason) => {
                outbox.failures.insert(at, reason);
                ContainerStep::Fails
            }
            ContainerNews::Started { ports } => {
                outbox.published.insert((at.task, at.place), ports);
                ContainerStep::Started
            }
            ContainerNews::Ended { code, out_of_memory } => {
                outbox.published.remove(&(at.task, at.place));
                self.container_uses(at, ContainerUsage::default(), schedule.now());
                if out_of_memory { ContainerStep::OutOfMemory } else { ContainerStep::Ends { code } }
            }
            ContainerNews::Health { healthy: true } => ContainerStep::Healthy,
            ContainerNews::Health { healthy: false } => ContainerStep::Unhealthy,
            ContainerNews::Usage(usage) => {
                self.container_uses(at, usage, schedule.now());
                return;
            }
        };
        let step = TaskStep::Container { place: at.place, start: at.start, step };
        schedule.after(SimDuration::ZERO, Event::Task { task: at.task, step });
    }

    /// A container could not be had: its task fails with the engine's words.
    pub(super) fn on_container_fails(&mut self, at: ContainerStart, schedule: &mut Schedule<Event>) {
        let reason = self.execution.outbox().and_then(|outbox| outbox.failures.remove(&at)).unwrap_or_default();
        let code = match self.state.tasks[at.task].last_status {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => StopCode::TaskFailedToStart,
            _ => StopCode::EssentialContainerExited,
        };
        self.stop_task(at.task, code, &reason, schedule);
    }

    /// The engine is gone, and every container with it: their tasks are STOPPED at once.
    pub(super) fn on_engine_lost(&mut self, reason: &str, schedule: &mut Schedule<Event>) {
        let mut lost: Vec<(u64, TaskKey)> = (self.state.tasks.iter())
            .filter(|(_, task)| task.containers.iter().any(|container| container.starts > 0))
            .map(|(key, task)| (task.number, key))
            .collect();
        lost.sort_unstable_by_key(|(number, _)| *number);
        for (_, key) in lost {
            let started = self.state.tasks[key].times.started.is_some();
            let code = if started { StopCode::EssentialContainerExited } else { StopCode::TaskFailedToStart };
            self.lose_task(key, code, reason, schedule);
        }
    }

    /// The task is gone: the engine takes down what is left of it.
    pub(super) fn remove_containers(&mut self, key: TaskKey) {
        self.execution.forget(key);
    }

    /// ECSM-4: what the containers of a task use together is what the task uses.
    fn container_uses(&mut self, at: ContainerStart, usage: ContainerUsage, now: SimTime) {
        let Some(outbox) = self.execution.outbox() else { return };
        let containers = outbox.usage.entry(at.task).or_default();
        containers.insert(at.place, usage);
        let vcpus = containers.values().map(|usage| usage.vcpus).sum();
        let used_mib = containers.values().map(|usage| usage.memory_mib).sum();
        // Whole MiB of each.
        let reported_mib = containers.values().map(|usage| usage.memory_mib.max(0.0).floor() as u64).sum();
        self.task_uses(at.task, vcpus, (used_mib, reported_mib), now);
    }

    /// A container of a task as the engine has to make it.
    pub(super) fn container_spec(&self, key: TaskKey, place: usize) -> ContainerSpec {
        let task = &self.state.tasks[key];
        let definition = &self.state.definitions[task.definition.index()].definition;
        let container = &definition.containers[place];
        let reserved = &self.state.shapes[task.shape.index()];
        let (cpu, memory) = definition.size();
        ContainerSpec {
            task_number: task.number,
            task_id: format!("{:032x}", task.id),
            definition: definition.name(),
            service: task.owner.map(|owner| self.state.services[owner.service.index()].name.clone()),
            name: container.name.clone(),
            image: container.real_image().to_owned(),
            environment: container.environment.clone(),
            cpu_shares: container.cpu,
            // What a call overrides is in the shape.
            cpu_limit: cpu.map(|_| reserved.cpu),
            memory: container.memory.or_else(|| memory.map(|_| reserved.memory)),
            memory_reservation: container.memory_reservation,
            ports: container.port_mappings.clone(),
            network_mode: definition.network_mode,
            health_check: container.health_check,
            process: container.process.clone(),
        }
    }
}
