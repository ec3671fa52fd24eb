//! What goes wrong: entries of `faults` (design, section 3).

use crate::ec2::instance::Market;
use crate::ec2::launch::Launch;
use crate::ecs::throttling::ApiBucket;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
use crate::workload::distribution::Distribution;

/// An entry of `faults`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// When it strikes.
    pub when: FaultTime,
    /// `for`; to the end of the run when absent.
    pub lasts: Option<SimDuration>,
    /// What happens.
    pub kind: FaultKind,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultTime {
    /// `at`: once.
    At(SimTime),
    /// `every`: seconds between strikes.
    Every(Distribution),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// `spotInterruption`: two minutes' notice (ASG-38).
    SpotInterruption(Victims),
    /// `spotInterruption` with `capacityProvider: FARGATE_SPOT`: tasks are taken back (FG-5).
    FargateSpotInterruption(TaskVictims),
    /// `rebalanceRecommendation` (ASG-39).
    RebalanceRecommendation(Victims),
    /// `instanceFailure`: the machine ends without notice (ASG-16).
    InstanceFailure(Victims),
    /// `insufficientCapacity` (ASG-40).
    InsufficientCapacity(Shortage),
    /// `insufficientCapacity` with a Fargate `capacityProvider` (FG-5).
    FargateShortage(FargateShortage),
    /// `azOutage`: every host and Fargate task of the zone is lost, and none can be launched there.
    AzOutage {
        /// The zone.
        zone: String,
    },
    /// `azImpairment`: the zone's machines run on, but nothing reaches them: agents disconnect, health checks fail.
    AzImpairment {
        /// The zone.
        zone: String,
    },
    /// `degradedHost`: hosts give only a part of their CPU.
    DegradedHost {
        /// Which.
        hosts: Victims,
        /// How much of its CPU each has left, in thousandths.
        speed_permille: u32,
    },
    /// `agentDisconnect`: tasks run on and report later (AGENT-9).
    AgentDisconnect(Victims),
    /// `taskCrash`: the main container of tasks crashes.
    TaskCrash(TaskVictims),
    /// `platformRetirement`: AWS gives notice that it will stop tasks on Fargate (FG-10).
    PlatformRetirement(TaskVictims),
    /// `imagePullFailure`: the registry does not answer (IMG-1, IMG-5).
    ImagePullFailure(Pulls),
    /// `slowBoot`: launches take longer.
    SlowBoot(HostBoots),
    /// `metricDelay`: datapoints show later than they should.
    MetricDelay {
        /// Which.
        metrics: MetricNames,
        /// By how much.
        by: SimDuration,
    },
    /// `metricGap`: datapoints are lost.
    MetricGap(MetricNames),
    /// `apiThrottling`: calls find their token buckets smaller, or empty (LIM-3).
    ApiThrottling(Throttling),
}

impl FaultKind {
    /// Its name in the scenario file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SpotInterruption(_) | Self::FargateSpotInterruption(_) => "spotInterruption",
            Self::RebalanceRecommendation(_) => "rebalanceRecommendation",
            Self::InstanceFailure(_) => "instanceFailure",
            Self::InsufficientCapacity(_) | Self::FargateShortage(_) => "insufficientCapacity",
            Self::AzOutage { .. } => "azOutage",
            Self::AzImpairment { .. } => "azImpairment",
            Self::DegradedHost { .. } => "degradedHost",
            Self::AgentDisconnect(_) => "agentDisconnect",
            Self::TaskCrash(_) => "taskCrash",
            Self::PlatformRetirement(_) => "platformRetirement",
            Self::ImagePullFailure(_) => "imagePullFailure",
            Self::SlowBoot(_) => "slowBoot",
            Self::MetricDelay { .. } => "metricDelay",
            Self::MetricGap(_) => "metricGap",
            Self::ApiThrottling(_) => "apiThrottling",
        }
    }

    /// Whether it lasts, and takes `for`; the others happen at an instant.
    pub const fn lasts(&self) -> bool {
        match self {
            Self::SpotInterruption(_)
            | Self::FargateSpotInterruption(_)
            | Self::RebalanceRecommendation(_)
            | Self::InstanceFailure(_)
            | Self::TaskCrash(_)
            | Self::PlatformRetirement(_) => false,
            Self::InsufficientCapacity(_)
            | Self::FargateShortage(_)
            | Self::AzOutage { .. }
            | Self::AzImpairment { .. }
            | Self::DegradedHost { .. }
            | Self::AgentDisconnect(_)
            | Self::ImagePullFailure(_)
            | Self::SlowBoot(_)
            | Self::MetricDelay { .. }
            | Self::MetricGap(_)
            | Self::ApiThrottling(_) => true,
        }
    }
}

/// Which hosts a fault strikes: those that fit everything said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Victims {
    /// `autoScalingGroup`.
    pub group: Option<String>,
    /// `instanceType`.
    pub instance_type: Option<String>,
    /// `availabilityZone`.
    pub zone: Option<String>,
    /// `instances`, by id or launch number.
    pub instances: Vec<String>,
    /// `count` of them at random; all when absent.
    pub count: Option<u32>,
}

/// Which launches find no capacity: those that fit everything said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// `autoScalingGroup`.
    pub group: Option<String>,
    /// `instanceType`.
    pub instance_type: Option<String>,
    /// `availabilityZone`.
    pub zone: Option<String>,
    /// `market`.
    pub market: Option<Market>,
}

impl Shortage {
    /// Whether a launch of `group` in the zone called `zone` finds nothing.
    pub fn covers(&self, group: &str, launch: &Launch, zone: &str) -> bool {
        self.group.as_ref().is_none_or(|name| name == group)
            && self.instance_type.as_ref().is_none_or(|name| **name == *launch.instance_type)
            && self.zone.as_ref().is_none_or(|name| name == zone)
            && self.market.is_none_or(|market| market == launch.market)
    }
}

/// Which launches on Fargate find no capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FargateShortage {
    /// FARGATE_SPOT instead of FARGATE.
    pub spot: bool,
    /// `availabilityZone`; every zone when absent.
    pub zone: Option<String>,
}

/// Which tasks a fault strikes: running ones that fit everything said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskVictims {
    /// `cluster`.
    pub cluster: Option<String>,
    /// `group`, for example `service:web` or `family:job`.
    pub group: Option<String>,
    /// `availabilityZone`.
    pub zone: Option<String>,
    /// `count` of them at random; all when absent.
    pub count: Option<u32>,
}

/// Which pulls a fault is about: those that fit everything said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulls {
    /// `image`, as containers name it.
    pub image: Option<String>,
    /// `family` of the task definition.
    pub family: Option<String>,
    /// `availabilityZone` the task is in.
    pub zone: Option<String>,
    /// `stalls`.
    pub failure: PullFailure,
}

/// How a pull fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullFailure {
    /// The registry cannot be reached.
    #[default]
    Unreachable,
    /// It answers, and then nothing comes (TASK-22).
    Stalls,
}

impl Pulls {
    /// Whether the pull of `image` for a task of `family` in `zone` is one of them.
    pub fn covers(&self, image: &str, family: &str, zone: Option<&str>) -> bool {
        self.image.as_ref().is_none_or(|name| name == image)
            && self.family.as_ref().is_none_or(|name| name == family)
            && self.zone.as_ref().is_none_or(|name| Some(name.as_str()) == zone)
    }
}

/// Which launches of hosts are slow, and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct HostBoots {
    /// Group, type, zone.
    pub of: Shortage,
    /// How many times as long each step takes.
    pub factor: f64,
}

/// Which metrics a fault is about: those that fit everything said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricNames {
    /// `Namespace`.
    pub namespace: Option<String>,
    /// `MetricName`.
    pub name: Option<String>,
}

impl MetricNames {
    /// Whether a series is one of them.
    pub fn covers(&self, key: &MetricKey) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && self.name.as_ref().is_none_or(|name| *name == key.name)
    }
}

/// Which calls find fewer tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttling {
    /// Their bucket; every one when absent.
    pub bucket: Option<ApiBucket>,
    /// What is left of burst and refill, in thousandths.
    pub left_permille: u32,
}
