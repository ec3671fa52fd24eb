//! The closed set of events, and the order in which those of one instant are handled.

use crate::ecs::ids::{
    AlarmId, ClusterId, GroupId, HandlingKey, InstanceId, PolicyId, ProviderId, QueueId, RequestKey, RuleId,
    ScalableTargetId, ServiceId, StationId, StationKey, TaskDefinitionId, TaskKey, WorkloadId,
};
use crate::ecs::image_store::PullNumber;
use crate::engine::calendar::Class;
use crate::engine::simulation;

/// Same-instant order (design, promise 2): lower goes first.
pub mod class {
    use crate::engine::calendar::Class;

    /// Operator actions and faults.
    pub const OPERATOR: Class = Class(0);
    /// Arrivals and completions.
    pub const WORLD: Class = Class(1);
    /// Samples taken and datapoints becoming visible.
    pub const DATAPOINT: Class = Class(2);
    /// Alarm evaluation.
    pub const ALARM: Class = Class(3);
    /// Scaling actions.
    pub const SCALING: Class = Class(4);
    /// The schedulers' reactions.
    pub const SCHEDULER: Class = Class(5);
}

/// Something that happens at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// operator → control plane: the `actions` entry with this index is due.
    Action(u32),
    /// world → estate: the `faults` entry with this index strikes.
    Fault(u32),
    /// world → estate: one strike of a fault is over.
    FaultOver {
        /// The `faults` entry.
        fault: u32,
        /// Which of its strikes.
        strike: u64,
    },
    /// EC2 → Spot instances: a pool is reclaimed, in part.
    SpotWave(u32),
    /// EC2 → Spot instances: a pool's capacity changes.
    PoolChange(u32),
    /// workload → control plane: a standalone task is asked for (`RunTask`).
    TaskArrival(WorkloadId),
    /// EventBridge → its rule: an event matches, or the schedule is due (TASK-17).
    RuleFires(RuleId),
    /// EventBridge → control plane: a target of a rule is called, or called again.
    RuleInvokes(u64),
    /// workload → load model: one step of a service's offered load.
    LoadStep(WorkloadId),
    /// clock → load model: demand has moved; the CPU of hosts under load is divided anew.
    CpuShares,
    /// client → load balancer: a request of the workload comes.
    RequestArrival(WorkloadId),
    /// world → task: a request has waited for others and computes; or client → load balancer: it is tried again.
    RequestGoesOn {
        /// Its workload.
        workload: WorkloadId,
        /// The request; events of one that is over are ignored.
        request: RequestKey,
    },
    /// CPU → task: requests may have computed enough.
    RequestsDue {
        /// Their workload.
        workload: WorkloadId,
        /// The CPU they share.
        station: StationKey,
    },
    /// clock → load balancer: the oldest request of the workload may have waited long enough.
    RequestTimeout(WorkloadId),
    /// real container → load balancer: the next answer to a request or a probe is there.
    HttpAnswered,
    /// workload → queue: messages are sent.
    MessageArrival(QueueId),
    /// clock → queue: a delay, a visibility timeout or a retention is over, or a consumer polls.
    QueueTimer(QueueId),
    /// world → task: a message in work has waited for others and goes on.
    MessageWaited {
        /// Its queue.
        queue: QueueId,
        /// The work on it; events of one that is over are ignored.
        handling: HandlingKey,
    },
    /// CPU → task: messages have computed enough.
    StationDue {
        /// Their queue.
        queue: QueueId,
        /// The CPU they share.
        station: StationId,
    },
    /// host or Fargate → control plane: a task took the next step of its life.
    Task {
        /// The task; events of a task that is gone are ignored.
        task: TaskKey,
        /// The step.
        step: TaskStep,
    },
    /// host or Fargate → control plane: the first of the layers under way has arrived (IMG-2).
    LayersArrive(PullSite),
    /// EC2 → control plane: an instance took the next step of its life.
    Instance {
        /// The instance.
        instance: InstanceId,
        /// The step.
        step: InstanceProgress,
    },
    /// clock → CloudWatch: a 20 s reading of service utilisation (ECSM-5); with every third one a minute is over, and the
    /// samples of its buckets are taken.
    MetricReading,
    /// clock → managed scaling: sample CapacityProviderReservation (CAS-1).
    ReservationTick(ProviderId),
    /// clock → CloudWatch: a bucket of a replayed series is over.
    ReplayTick(u32),
    /// clock → CloudWatch: evaluate an alarm (ALM-4).
    AlarmEvaluation(AlarmId),
    /// CloudWatch → Auto Scaling: an alarm's scaling actions are due (ALM-20).
    AlarmAction(AlarmId),
    /// Auto Scaling: decide over the policies that alarms have invoked at this instant (AAS-9).
    ScalingRound,
    /// ECS: a task definition that was deregistered takes no new work from now on (TD-2).
    DefinitionCloses(TaskDefinitionId),
    /// clock → Auto Scaling: scheduled actions are due (SCH-2, ASG-32).
    ScheduledScaling,
    /// clock → Application Auto Scaling: a predictive policy's next hour is near (PRED-3).
    PredictiveScaling(PolicyId),
    /// Application Auto Scaling: a Pending activity makes its call (AAS-12).
    ActivityStart(ScalableTargetId),
    /// Application Auto Scaling: look whether an activity has been fulfilled (AAS-14).
    ActivityPoll(ScalableTargetId),
    /// group: move towards the desired capacity (ASG-1).
    GroupReconcile(GroupId),
    /// group: try once more to launch what found no capacity, or what hooks abandoned (ASG-15, ASG-40).
    LaunchRetry(GroupId),
    /// EC2 → group: the account's RunInstances bucket has what the next call takes (ASG-44).
    LaunchThrottled(GroupId),
    /// group: look for instances to replace (ASG-16…19).
    GroupMaintenance(GroupId),
    /// ECS: retry the tasks that wait for capacity of a provider (PRV-5).
    RetryWaiting(ProviderId),
    /// ECS: the cluster's custom scheduler is asked about the tasks that wait for it.
    CustomScheduling(ClusterId),
    /// ECS: one round of a service's scheduler (SVC-5).
    ServiceRound(ServiceId),
    /// ECS: a service that is still steady says so again (SVC-6).
    SteadyRepeat(ServiceId),
    /// ECS: a steady service looks whether its zones are even (SVC-22).
    Rebalance(ServiceId),
}

/// Where images are pulled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullSite {
    /// A container instance.
    Host(InstanceId),
    /// The machine that Fargate runs a task on.
    Fargate(TaskKey),
}

/// The next step of a task's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// Its ENI is attached, or Fargate has provisioned it: PENDING.
    Provisioned,
    /// One of its containers took the next step of its life.
    Container {
        /// Which, in the order of the definition.
        place: u8,
        /// The start it was foreseen at: a container that has been restarted since has another fate.
        start: u16,
        /// The step.
        step: ContainerStep,
    },
    /// A pull has read its manifest, or is due for its next try (IMG-5).
    Pull(PullNumber),
    /// A pull has lasted as long as it may (TASK-22).
    PullTimeout(PullNumber),
    /// Its network interface has not been attached in time (TASK-22).
    EniTimeout,
    /// Its volume has not been attached in time (TASK-22).
    VolumeTimeout,
    /// Its subnet has no address left (NET-4).
    NoAddress,
    /// It is registered with its target groups: RUNNING.
    Registered,
    /// It has run for the wait of SVC-7.
    Waited,
    /// The checks of its target groups have decided, or changed their mind (ELB-4, ELB-6).
    TargetHealth {
        /// All pass, or one has failed often enough.
        healthy: bool,
        /// The start of its containers it was foreseen at, counted over all of them.
        starts: u16,
    },
    /// A target group sends it a probe, while requests come to it one by one (ELB-5).
    Probe {
        /// Which of its target groups.
        group: u8,
        /// Which probe.
        number: u32,
    },
    /// What a probe has found is known (ELB-6).
    ProbeOver {
        /// Which of its target groups.
        group: u8,
        /// Which probe.
        number: u32,
        /// Whether it was answered in time.
        answered: bool,
    },
    /// Its grace period is over: from now on failing checks have consequences (SVC-9).
    GraceOver,
    /// Its `startup` is over: it answers requests that no load balancer sends.
    Ready,
    /// It answers again the requests that come because no target is healthy (ELB-6).
    Answers,
    /// Its targets have been in slow start for long enough (ELB-8).
    SlowStartOver,
    /// The kernel kills its main container: it uses more memory than its hard limit (TD-9).
    OutOfMemory,
    /// Its targets are unused: SIGTERM may go out (ELB-9).
    Drained,
    /// Everything is taken down: STOPPED.
    Gone,
    /// It has waited for capacity long enough (PRV-4).
    CapacityTimeout,
    /// Fargate Spot takes it back (FG-5).
    SpotNotice,
    /// The wait is over after which AWS stops tasks on an old revision of the Fargate platform (FG-10).
    Retires,
}

impl TaskStep {
    /// Whether it comes from the host's agent, or goes to it: without a connection it has to wait (AGENT-9).
    pub const fn is_told_by_the_agent(self) -> bool {
        match self {
            Self::Provisioned | Self::Container { .. } | Self::OutOfMemory | Self::Drained | Self::Gone => true,
            Self::Registered
            | Self::Waited
            | Self::TargetHealth { .. }
            | Self::Probe { .. }
            | Self::ProbeOver { .. }
            | Self::GraceOver
            | Self::Ready
            | Self::Answers
            | Self::SlowStartOver
            | Self::Pull(_)
            | Self::PullTimeout(_)
            | Self::EniTimeout
            | Self::NoAddress
            | Self::VolumeTimeout
            | Self::CapacityTimeout
            | Self::SpotNotice
            | Self::Retires => false,
        }
    }
}

/// The next step of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerStep {
    /// The engine has its image.
    Pulled,
    /// The engine could not give it its image, create it or start it.
    Fails,
    /// Its image is there and it has started.
    Started,
    /// It has not been created in time (TASK-22).
    CreateFails,
    /// It has not been started in time (TASK-22).
    StartFails,
    /// It ends by itself.
    Exits,
    /// A real one has ended with this exit code.
    Ends {
        /// As the engine has it.
        code: i32,
    },
    /// It crashes.
    Crashes,
    /// The kernel kills it: it takes more memory than its own hard limit (TD-7).
    OutOfMemory,
    /// It has heeded its stop signal.
    Stopped,
    /// It had not when its stop timeout was over (TD-15).
    Killed,
    /// Its health check has passed (TD-17).
    Healthy,
    /// Its health check has failed often enough.
    Unhealthy,
    /// Those that depend on it have waited long enough (TD-14).
    StartTimeout,
}

/// The next step of an EC2 instance's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceProgress {
    /// EC2 state `running`.
    Running,
    /// Ready for service: `InService`, or the state of its warm pool.
    InService,
    /// The ECS agent registers.
    Registered,
    /// Managed draining has lasted its 48 hours (DRN-3).
    DrainTimeout,
    /// A lifecycle hook that holds it may have ended by itself (ASG-13).
    HookDue,
    /// EC2 gives its two-minute Spot notice (ASG-38).
    SpotNotice,
    /// EC2 takes the Spot instance back.
    Interrupted,
    /// Its status checks have failed for long enough (ASG-16).
    Impaired,
    /// As a target of its group's load balancers it has failed enough checks (ASG-16).
    TargetUnhealthy,
    /// Its trunk interface is attached (NET-3).
    TrunkAttached,
    /// It has reached the group's `MaxInstanceLifetime` (ASG-19).
    LifetimeOver,
    /// Gone.
    Terminated,
}

impl simulation::Event for Event {
    fn class(&self) -> Class {
        match self {
            Self::Action(_)
            | Self::DefinitionCloses(_)
            | Self::Fault(_)
            | Self::FaultOver { .. }
            | Self::SpotWave(_)
            | Self::PoolChange(_) => class::OPERATOR,
            Self::TaskArrival(_)
            | Self::RuleFires(_)
            | Self::RuleInvokes(_)
            | Self::LoadStep(_)
            | Self::CpuShares
            | Self::RequestArrival(_)
            | Self::RequestGoesOn { .. }
            | Self::RequestsDue { .. }
            | Self::RequestTimeout(_)
            | Self::HttpAnswered
            | Self::MessageArrival(_)
            | Self::QueueTimer(_)
            | Self::MessageWaited { .. }
            | Self::StationDue { .. }
            | Self::Task { .. }
            | Self::LayersArrive(_)
            | Self::Instance { .. } => class::WORLD,
            Self::MetricReading | Self::ReservationTick(_) | Self::ReplayTick(_) => class::DATAPOINT,
            Self::AlarmEvaluation(_) => class::ALARM,
            Self::AlarmAction(_)
            | Self::ScalingRound
            | Self::ScheduledScaling
            | Self::PredictiveScaling(_)
            | Self::ActivityStart(_)
            | Self::ActivityPoll(_) => class::SCALING,
            Self::GroupReconcile(_)
            | Self::LaunchRetry(_)
            | Self::LaunchThrottled(_)
            | Self::GroupMaintenance(_)
            | Self::RetryWaiting(_)
            | Self::CustomScheduling(_)
            | Self::ServiceRound(_)
            | Self::SteadyRepeat(_)
            | Self::Rebalance(_) => class::SCHEDULER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::simulation::Event as _;

    #[test]
    fn same_instant_order_is_the_promised_one() {
        let order = [
            Event::Action(0),
            Event::TaskArrival(WorkloadId(0)),
            Event::ReservationTick(ProviderId(0)),
            Event::AlarmEvaluation(AlarmId(0)),
            Event::AlarmAction(AlarmId(0)),
            Event::ServiceRound(ServiceId(0)),
        ];
        assert!(order.windows(2).all(|pair| pair[0].class() < pair[1].class()));
    }
}
