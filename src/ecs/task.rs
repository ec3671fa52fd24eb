//! Tasks: lifecycle, timestamps, stop codes (TASK-*).

use std::fmt;

use crate::ecs::capacity_provider::Provider;
use crate::ecs::container::Container;
use crate::ecs::host_ports::HostPort;
use crate::ecs::ids::{
    ClusterId, InstanceId, ProfileId, ProviderId, ServiceId, ShapeId, SoftwareId, TaskDefinitionId, TaskGroupId, ZoneId,
};
use crate::ecs::subnet::Address;
use crate::engine::time::SimTime;
use crate::units::CpuMilliUnits;

/// One task, from the accepted request until it is STOPPED.
#[derive(Clone, Debug)]
pub struct Task {
    /// Creation order over all tasks of the run; "oldest" means the smallest (PLACE-22).
    pub number: u64,
    /// 32 hexadecimal digits in the ARN (EVT-2), drawn from a seeded stream.
    pub id: u128,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its task definition.
    pub definition: TaskDefinitionId,
    /// What its images are (TD-29).
    pub software: SoftwareId,
    /// Whether its deployment holds on to these.
    pub holds_software: bool,
    /// What it reserves: the definition's needs with the call's overrides.
    pub shape: ShapeId,
    /// Its task group: what spread and `distinctInstance` count.
    pub group: TaskGroupId,
    /// Constraints and strategies it is placed by.
    pub profile: ProfileId,
    /// Where it runs; never changes (CP-9).
    pub launch: LaunchTarget,
    /// The service and deployment it belongs to, if any.
    pub owner: Option<TaskOwner>,
    /// `startedBy` of a standalone task.
    pub started_by: Option<Box<str>>,
    /// `lastStatus`.
    pub last_status: TaskStatus,
    /// Whether `desiredStatus` is STOPPED.
    pub stop: Option<Stop>,
    /// The host it is bound to.
    pub instance: Option<InstanceId>,
    /// Whether the cluster holds a reservation for it.
    pub reserved: bool,
    /// Whether its host's agent holds resources for it (AGENT-2).
    pub on_host: HostHold,
    /// Whether it is registered with its service's target groups.
    pub registered: bool,
    /// The zone it runs in, known once placed.
    pub zone: Option<ZoneId>,
    /// Goes up by one at each change of state (TASK-4).
    pub version: u32,
    /// Whether it counts as healthy (SVC-7).
    pub healthy: bool,
    /// Whether its checks fail outside the grace period: its service is to replace it (SVC-8).
    pub unhealthy: bool,
    /// Whether AWS retires the revision of the Fargate platform it runs on: its service is to replace it (FG-10).
    pub retiring: bool,
    /// Until when it is protected from scale-in (TASK-16).
    pub protected_until: Option<SimTime>,
    /// What its targets' checks say, once they have decided.
    pub target_health: Option<bool>,
    /// How often what its probes will see has been foreseen anew.
    pub probe_epoch: u16,
    /// Whether it has run for the wait of SVC-7, which stands for health where nothing checks it.
    pub waited: bool,
    /// Since when its targets have been in slow start (ELB-8).
    pub slow_since: Option<SimTime>,
    /// Whether it takes its service's load: requests, or demand of a `utilization`.
    pub takes_load: bool,
    /// When each state was reached.
    pub times: TaskTimes,
    /// Exit code of the first essential container that has ended.
    pub exit_code: Option<i32>,
    /// Its containers, in the order of the definition.
    pub containers: Vec<Container>,
    /// CPU it would use by itself, whatever its workload asks, as a fraction of its reservation.
    pub cpu_fraction: f64,
    /// Memory it uses, in MiB.
    pub memory_used_mib: f64,
    /// What its metrics say of that: whole MiB of each container (ECSM-4).
    pub memory_reported_mib: u64,
    /// Bytes a second while it runs: received, sent, read from storage, written to it.
    pub bytes_per_second: [u64; 4],
    /// CPU that its containers get of what they would use by themselves; `None` while that is all of it (TD-9).
    pub own_cpu: Option<CpuMilliUnits>,
    /// Dynamic ports that its containers have on the host (TD-23).
    pub ports: Vec<HostPort>,
    /// Address of its network interface (NET-4).
    pub address: Option<Address>,
}

/// The infrastructure a task was accepted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LaunchTarget {
    /// `launchType: EC2`: any container instance of the cluster; invisible to capacity providers (CP-4).
    Ec2,
    /// `launchType: FARGATE`.
    Fargate,
    /// A capacity provider.
    Provider(Provider),
}

impl LaunchTarget {
    /// True on Fargate and Fargate Spot.
    pub const fn is_fargate(self) -> bool {
        matches!(self, Self::Fargate | Self::Provider(Provider::Fargate | Provider::FargateSpot))
    }

    /// The Auto Scaling group capacity provider it is bound to.
    pub const fn group_provider(self) -> Option<ProviderId> {
        match self {
            Self::Provider(Provider::Group(id)) => Some(id),
            _ => None,
        }
    }

    /// `launchType` as DescribeTasks shows it.
    pub const fn launch_type(self) -> &'static str {
        if self.is_fargate() { "FARGATE" } else { "EC2" }
    }
}

/// What the agent of a task's host holds for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostHold {
    /// Nothing: not handed over, or given back.
    #[default]
    Nothing,
    /// It waits in the agent's queue (AGENT-3).
    Queued,
    /// Its resources.
    Resources,
}

/// The service a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOwner {
    /// The service.
    pub service: ServiceId,
    /// Number of the deployment that started it, counted per service.
    pub deployment: u32,
}

/// `lastStatus` (TASK-1), in the only order a task may pass through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskStatus {
    /// An ENI or capacity is being prepared.
    Provisioning,
    /// Handed to a host; pull and resources.
    Pending,
    /// Registration with a target group under way.
    Activating,
    /// All containers up.
    Running,
    /// Deregistering from the target group.
    Deactivating,
    /// SIGTERM sent.
    Stopping,
    /// ENI being removed.
    Deprovisioning,
    /// Over.
    Stopped,
}

impl TaskStatus {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a task stops; the first cause wins (TASK-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// `stopCode`.
    pub code: StopCode,
    /// `stoppedReason`.
    pub reason: Box<str>,
}

/// `stopCode` (spec, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCode {
    /// Never reached RUNNING.
    TaskFailedToStart,
    /// An essential container ended (TD-10).
    EssentialContainerExited,
    /// StopTask.
    UserInitiated,
    /// Scale-in, deployment, unhealthy, draining.
    ServiceSchedulerInitiated,
    /// Spot capacity reclaimed.
    SpotInterruption,
    /// The host went away.
    TerminationNotice,
}

impl StopCode {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            Self::SpotInterruption => "SpotInterruption",
            Self::TerminationNotice => "TerminationNotice",
        }
    }
}

/// When a task reached what (TASK-4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskTimes {
    /// Request accepted.
    pub created: SimTime,
    /// Bound to a host, or handed to Fargate.
    pub placed: Option<SimTime>,
    /// PENDING.
    pub pending: Option<SimTime>,
    /// First image pull began: Fargate bills from here (FG-2).
    pub pull_started: Option<SimTime>,
    /// The last of its containers started.
    pub containers_started: Option<SimTime>,
    /// Image pulls done.
    pub pull_stopped: Option<SimTime>,
    /// RUNNING.
    pub started: Option<SimTime>,
    /// Desired status became STOPPED.
    pub stopping: Option<SimTime>,
    /// Containers ended.
    pub execution_stopped: Option<SimTime>,
    /// STOPPED.
    pub stopped: Option<SimTime>,
}

/// A step that the lifecycle does not know (TASK-1): a bug in the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task cannot go from {from} to {to}")]
pub struct IllegalTransition {
    /// Where it is.
    pub from: TaskStatus,
    /// Where it was to go.
    pub to: TaskStatus,
}

impl Task {
    /// True while ECS wants the task to run: what counts for spread, for a service and for a provider (PLACE-10).
    pub const fn desired_running(&self) -> bool {
        self.stop.is_none()
    }

    /// True when it had a place and stopped by its own fault before it was RUNNING (SVC-10, DEP-12).
    pub fn failed_to_start(&self) -> bool {
        let fault = |stop: &Stop| matches!(stop.code, StopCode::EssentialContainerExited | StopCode::TaskFailedToStart);
        self.times.placed.is_some() && self.times.started.is_none() && self.stop.as_ref().is_some_and(fault)
    }

    /// Whether scale-in and deployments spare it (SVC-13).
    pub fn is_protected(&self, now: SimTime) -> bool {
        self.protected_until.is_some_and(|until| now < until)
    }

    /// `desiredStatus`.
    pub const fn desired_status(&self) -> &'static str {
        if self.stop.is_none() { "RUNNING" } else { "STOPPED" }
    }

    /// True when it waits for capacity rather than for its ENI (PRV-1, PRV-6).
    pub fn waits_for_capacity(&self) -> bool {
        self.last_status == TaskStatus::Provisioning && self.times.placed.is_none() && self.desired_running()
    }

    /// Moves to `to`, stamping the time and the version; states may be skipped, never revisited (TASK-1).
    ///
    /// # Errors
    /// [`IllegalTransition`] when `to` is not later in the order, and when a task that is to run enters a stopping state.
    pub fn transition(&mut self, to: TaskStatus, now: SimTime) -> Result<(), IllegalTransition> {
        let illegal = IllegalTransition { from: self.last_status, to };
        if to <= self.last_status || (to > TaskStatus::Running && self.stop.is_none()) {
            return Err(illegal);
        }
        if self.stop.is_some() && to <= TaskStatus::Running {
            return Err(illegal);
        }
        self.last_status = to;
        self.version += 1;
        match to {
            TaskStatus::Pending => self.times.pending = Some(now),
            TaskStatus::Running => self.times.started = Some(now),
            TaskStatus::Stopped => self.times.stopped = Some(now),
            _ => {}
        }
        Ok(())
    }

    /// Sets the desired status to STOPPED for `code` and `reason`; returns false when another cause came first (TASK-3).
    pub fn request_stop(&mut self, code: StopCode, reason: impl Into<Box<str>>, now: SimTime) -> bool {
        if self.stop.is_some() {
            return false;
        }
        self.stop = Some(Stop { code, reason: reason.into() });
        self.times.stopping = Some(now);
        self.version += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> Task {
        Task {
            number: 0,
            id: 0,
            cluster: ClusterId(0),
            definition: TaskDefinitionId(0),
            software: SoftwareId(0),
            holds_software: false,
            shape: ShapeId(0),
            group: TaskGroupId(0),
            profile: ProfileId(0),
            launch: LaunchTarget::Ec2,
            owner: None,
            started_by: None,
            last_status: TaskStatus::Provisioning,
            stop: None,
            instance: None,
            reserved: false,
            on_host: HostHold::Nothing,
            registered: false,
            zone: None,
            version: 1,
            healthy: false,
            unhealthy: false,
            retiring: false,
            protected_until: None,
            target_health: None,
            probe_epoch: 0,
            waited: false,
            slow_since: None,
            takes_load: false,
            times: TaskTimes::default(),
            exit_code: None,
            containers: Vec::new(),
            cpu_fraction: 0.0,
            memory_used_mib: 0.0,
            memory_reported_mib: 0,
            bytes_per_second: [0; 4],
            own_cpu: None,
            ports: Vec::new(),
            address: None,
        }
    }

    /// A large run is as fast as its tasks are small: each line of the cache is a wait when a task's turn comes.
    #[test]
    fn a_task_stays_small() {
        assert!(size_of::<Task>() <= 400, "{} bytes", size_of::<Task>());
        assert!(size_of::<Container>() <= 128, "{} bytes", size_of::<Container>());
    }

    #[test]
    fn prv_6_a_task_whose_interface_is_being_attached_does_not_wait_for_capacity() {
        let mut waiting = task();
        assert_eq!(waiting.last_status, TaskStatus::Provisioning);
        assert!(waiting.waits_for_capacity());
        waiting.times.placed = Some(SimTime::from_secs(5));
        assert!(!waiting.waits_for_capacity());
    }

    #[test]
    fn task_1_never_goes_back_and_may_skip() {
        let mut task = task();
        task.transition(TaskStatus::Pending, SimTime::from_secs(1)).unwrap();
        task.transition(TaskStatus::Running, SimTime::from_secs(2)).unwrap();
        assert!(task.transition(TaskStatus::Pending, SimTime::from_secs(3)).is_err());
        assert!(task.transition(TaskStatus::Stopping, SimTime::from_secs(3)).is_err(), "nobody asked it to stop");
        assert!(task.request_stop(StopCode::UserInitiated, "bye", SimTime::from_secs(4)));
        task.transition(TaskStatus::Stopped, SimTime::from_secs(5)).unwrap();
        assert_eq!(task.version, 5);
        assert_eq!(task.times.started, Some(SimTime::from_secs(2)));
    }

    #[test]
    fn task_3_first_stop_reason_wins() {
        let mut task = task();
        assert!(task.request_stop(StopCode::EssentialContainerExited, "exit 1", SimTime::ZERO));
        assert!(!task.request_stop(StopCode::UserInitiated, "too late", SimTime::from_secs(1)));
        assert_eq!(task.stop.as_ref().map(|stop| stop.code), Some(StopCode::EssentialContainerExited));
    }

    #[test]
    fn a_task_told_to_stop_cannot_start() {
        let mut task = task();
        task.request_stop(StopCode::UserInitiated, "early", SimTime::ZERO);
        assert!(task.transition(TaskStatus::Running, SimTime::ZERO).is_err());
    }
}
