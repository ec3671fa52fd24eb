//! What the model tells its observers: every transition, level, datapoint and decision, as it happens.
//!
//! Observers integrate and write; they never touch the state. Costly texts are built only when an observer
//! [`Wants`] them.

use serde_json::Value;

use crate::control_plane::reads::Answer;
use crate::control_plane::state::State;
use crate::ecs::ids::{
    AlarmId, ClusterId, GroupId, InstanceId, ProviderId, QueueId, RuleId, ServiceId, TargetGroupId, TaskKey, WorkloadId,
};
use crate::ecs::task::{Task, TaskStatus};
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::AlarmState;
use crate::units::CpuMilliUnits;
use crate::workload::fluid::StepOutcome;
use crate::workload::per_request::RequestStep;
use crate::workload::queue::QueueEvent;
use crate::workload::rate::Rate;

/// Receives the records of one run, in the order in which things happen.
pub trait Observer {
    /// Which of the costly records it wants; asked once, before the run.
    fn wants(&self) -> Wants;

    /// Something happened at `now`; `state` is the state after it.
    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State);

    /// Whether its own books balance, asked after every event under `--paranoid`; the message says what does not.
    ///
    /// # Errors
    /// The first thing that does not add up.
    fn audit(&self, _state: &State) -> Result<(), String> {
        Ok(())
    }

    /// The run is over at `now`.
    fn finish(&mut self, now: SimTime, state: &State);
}

/// The costly records an observer wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// [`Record::Decision`].
    pub decisions: bool,
    /// [`Record::Activity`]: rare, so that even a summary can count them.
    pub activities: bool,
    /// [`Record::Datapoint`] and [`Record::Level`].
    pub series: bool,
    /// [`Record::ContainerInstance`] and [`Record::ServiceEvent`].
    pub events: bool,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Record<'a> {
    /// A task was created (`from` is `None`) or changed its last status, or its desired status became STOPPED
    /// (`from` equals its last status).
    Task {
        /// Its key in the state.
        key: TaskKey,
        /// The task after the change.
        task: &'a Task,
        /// Its last status before.
        from: Option<TaskStatus>,
    },
    /// An EC2 instance took a step of its life; look it up with [`State::instance`].
    Instance {
        /// Which.
        instance: InstanceId,
        /// Which step.
        step: InstanceStep,
    },
    /// A container instance changed: registered, resources, status or agent connection (EVT-3), or deregistered: then it
    /// is in its cluster no more.
    ContainerInstance {
        /// Its cluster.
        cluster: ClusterId,
        /// Which.
        instance: InstanceId,
    },
    /// A task was bound to a host: the host holds it from now until it has stopped.
    Bound {
        /// The host.
        instance: InstanceId,
        /// Its tasks now, but for daemons.
        at_work: usize,
    },
    /// A host has let go of a task: it has stopped.
    Unbound {
        /// The host.
        instance: InstanceId,
        /// Its tasks now, but for daemons.
        at_work: usize,
    },
    /// What keeps a group's idle hosts may have changed: its sizes, its processes, what managed scaling sees.
    Outlook {
        /// The group.
        group: GroupId,
    },
    /// A cluster's registered or reserved resources changed; read the totals from the state.
    Capacity {
        /// Which.
        cluster: ClusterId,
    },
    /// What a `utilization` workload will ask for in this replication, in vCPUs; told before time zero.
    Offered {
        /// Which.
        workload: WorkloadId,
        /// Its rate, with every random part drawn.
        rate: &'a Rate,
    },
    /// Something happened to the events of an EventBridge rule.
    EventRule {
        /// Which.
        rule: RuleId,
        /// What.
        event: RuleEvent,
    },
    /// A count or other level changed at this instant.
    Level {
        /// Of what.
        resource: Resource,
        /// For example `DesiredCount`.
        metric: &'static str,
        /// Its value from now on.
        value: f64,
    },
    /// A datapoint of a CloudWatch metric.
    Datapoint {
        /// Of what.
        resource: Resource,
        /// For example `CPUUtilization`.
        metric: &'static str,
        /// Start of its period.
        period_start: SimTime,
        /// The value of its natural statistic.
        value: f64,
    },
    /// An alarm was created (`from` is `None`) or changed its state.
    Alarm {
        /// Which; its definition is in the state.
        alarm: AlarmId,
        /// State before.
        from: Option<AlarmState>,
        /// State now.
        to: AlarmState,
        /// `StateReason`.
        reason: &'a str,
    },
    /// Somebody decided something, or refused to.
    Decision(&'a Decision),
    /// A scaling activity changed its status.
    Activity(&'a Activity),
    /// A service's event (EVT-5) or an ECS Service Action / Deployment State Change.
    ServiceEvent(&'a ServiceEvent),
    /// A notification to anything but a scaling policy.
    Notification {
        /// The alarm that sent it.
        alarm: AlarmId,
        /// Where to: an SNS topic.
        target: &'a str,
        /// The new state.
        state: AlarmState,
        /// `StateReason`.
        reason: &'a str,
    },
    /// One step of a request workload's fluid model.
    Fluid {
        /// The workload.
        workload: WorkloadId,
        /// Its service.
        service: ServiceId,
        /// When it ended: now, or less than a second ago.
        ends: SimTime,
        /// Its length: a second as a rule, more while the load is calm.
        dt: SimDuration,
        /// What the step did, for each part of the traffic.
        steps: &'a [StepOutcome],
    },
    /// One step of a request workload whose requests are simulated one by one.
    Requests {
        /// The workload.
        workload: WorkloadId,
        /// Its service.
        service: ServiceId,
        /// What became of its requests.
        step: &'a RequestStep,
    },
    /// One step of a `utilization` workload.
    Utilization {
        /// Its service.
        service: ServiceId,
        /// Length of the step.
        dt: SimDuration,
        /// vCPUs it asked for.
        demand: f64,
        /// vCPUs it got.
        used: f64,
    },
    /// Something happened to a queue's messages; what is in it is in the state.
    Queue {
        /// Which.
        queue: QueueId,
        /// What.
        event: QueueEvent,
    },
    /// One step of the CPU that a queue's messages use.
    Messages {
        /// The service that drains it.
        service: ServiceId,
        /// vCPU-seconds used in the step.
        used: f64,
    },
    /// CPU that the tasks on a cluster's hosts use by themselves (`behaviour.cpu`), from now on.
    OwnUse {
        /// The cluster.
        cluster: ClusterId,
        /// All of them together, as far as their hosts can give it.
        cpu: CpuMilliUnits,
    },
    /// Layers of images have arrived at a host or a Fargate task.
    LayersPulled {
        /// Their compressed size [MiB].
        mib: f64,
    },
    /// The operator asked, and this is the answer.
    Answer {
        /// The call, for example `ecs:DescribeTasks`.
        call: &'static str,
        /// What was found.
        answer: &'a Answer,
    },
    /// A `RunTask` call left tasks unplaced for good: `failures[]` (TASK-10).
    TaskFailures {
        /// How many tasks.
        count: u32,
        /// The cluster asked.
        cluster: ClusterId,
    },
}

/// Steps in the life of an EC2 instance, each recorded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceStep {
    /// The launch call.
    Launched,
    /// EC2 state `running`: billing begins.
    Running,
    /// InService in its group.
    InService,
    /// Its agent registered with the cluster.
    Registered,
    /// Its container instance was set to DRAINING.
    Draining,
    /// Its container instance was set back to ACTIVE.
    Activated,
    /// Terminating: chosen to go.
    Terminating,
    /// EC2 state `shutting-down`: billing ends.
    ShuttingDown,
    /// Gone.
    Terminated,
    /// Scale-in protection changed.
    Protection,
    /// Set aside (Standby, detached), taken back, or passed over by a scale-in.
    Held,
    /// It waits in the warm pool: stopped, and off the bill but for its volume, unless the pool keeps its machines running.
    Warmed,
    /// The group took it from its warm pool.
    TakenFromPool,
    /// Scale-in put it back there.
    ReturnedToPool,
    /// The price of its Spot pool has moved (ASG-37).
    Repriced,
}

/// What a level, datapoint or decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `service/<cluster>/<name>`
    Service(ServiceId),
    /// `cluster/<name>`
    Cluster(ClusterId),
    /// `asg/<name>`
    Group(GroupId),
    /// `capacity-provider/<name>`
    Provider(ProviderId),
    /// `alarm/<name>`
    Alarm(AlarmId),
    /// `target-group/<name>`
    TargetGroup(TargetGroupId),
    /// `queue/<name>`
    Queue(QueueId),
    /// `workload/<name>`
    Workload(WorkloadId),
}

/// What can happen to an event of a rule (TASK-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleEvent {
    /// It came, or its schedule was due.
    Fired,
    /// A target was called with it.
    Invoked {
        /// Whether it was called with it before.
        retry: bool,
    },
    /// So many tasks of a call found no place.
    Short {
        /// How many.
        tasks: u32,
    },
    /// It was given up.
    GivenUp {
        /// Whether a dead-letter queue takes it.
        dead_lettered: bool,
    },
}

/// A line of `decisions.jsonl`; the time is the record's.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who decided: `placement`, `service-scheduler`, `target-tracking`, `step-scaling`, `managed-scaling`,
    /// `auto-scaling-group`, `run-task`, `operator`, …
    pub actor: &'static str,
    /// About what: a resource, a task or an instance id.
    pub subject: String,
    /// What: `scale-out`, `scale-in`, `not-scaled`, `place`, `refuse`, `launch`, `terminate`, …
    pub action: &'static str,
    /// Value before, if it has one.
    pub from: Value,
    /// Value after.
    pub to: Value,
    /// The reason in words.
    pub reason: String,
    /// The rule's ID.
    pub rule: &'static str,
    /// The numbers it was decided from.
    pub inputs: Value,
}

/// A line of `activities.jsonl`: a scaling activity in the shape of the API's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// Which activity: its changes of status share the id.
    pub id: ActivityId,
    /// The API whose activity it is.
    pub service: ActivityService,
    /// `service/<cluster>/<name>` or the group's name.
    pub resource: String,
    /// `Description`.
    pub description: String,
    /// `Cause`.
    pub cause: String,
    /// When it started.
    pub start: SimTime,
    /// When it ended, if it has.
    pub end: Option<SimTime>,
    /// `StatusCode`: Pending, InProgress, Successful, Overridden, Failed, …
    pub status: &'static str,
    /// `StatusMessage`.
    pub message: String,
    /// `NotScaledReasons` codes (AAS-15).
    pub not_scaled: Vec<&'static str>,
}

/// What an `ActivityId` is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ActivityId {
    /// The launch of an instance.
    Launch(InstanceId),
    /// The end of an instance.
    Termination(InstanceId),
    /// The launch of an instance from the warm pool.
    Taken(InstanceId),
    /// Anything else, numbered over the run.
    Numbered(u64),
}

impl ActivityId {
    /// A number of its own for each.
    pub const fn number(self) -> u64 {
        match self {
            Self::Launch(instance) => instance.0 as u64 * 2,
            Self::Termination(instance) => instance.0 as u64 * 2 + 1,
            // Instance ids have 32 bits.
            Self::Numbered(number) => (1 << 33) + number,
            Self::Taken(instance) => (1 << 48) + instance.0 as u64,
        }
    }
}

/// Which API an activity belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivityService {
    /// Application Auto Scaling.
    ApplicationAutoScaling,
    /// EC2 Auto Scaling.
    AutoScaling,
    /// Neither: a call that was refused.
    Call,
}

/// An entry of a service's event list and, when it has a name, an EventBridge event (EVT-5).
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEvent {
    /// The service.
    pub service: ServiceId,
    /// `(service NAME) …`, as DescribeServices shows it; empty when there is no such line.
    pub message: String,
    /// EventBridge's `eventType` and `eventName`, with the reason, when it is an ECS Service Action.
    pub action: Option<ServiceAction>,
    /// Set when it is an ECS Deployment State Change: the deployment id.
    pub deployment_id: Option<String>,
}

/// The variable part of an ECS Service Action or Deployment State Change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAction {
    /// INFO, WARN or ERROR.
    pub event_type: &'static str,
    /// For example `SERVICE_STEADY_STATE`.
    pub event_name: &'static str,
    /// `reason`, when it has one.
    pub reason: Option<String>,
}

impl ServiceAction {
    /// Something that went as it should.
    pub const fn info(event_name: &'static str) -> Self {
        Self { event_type: "INFO", event_name, reason: None }
    }

    /// Something that went wrong.
    pub const fn error(event_name: &'static str, reason: Option<String>) -> Self {
        Self { event_type: "ERROR", event_name, reason }
    }
}
