//! Auto Scaling groups: size bounds, members by state and zone, suspended processes (ASG-1, ASG-12, ASG-43).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ec2::instance::{IllegalTransition, Instance, LaunchSource, Lifecycle, Market};
use crate::ec2::launch::Launch;
use crate::ec2::lifecycle_hook::LifecycleHook;
use crate::ec2::replacement::MaintenancePolicy;
use crate::ecs::agent::AgentConfig;
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::engine::time::{SimDuration, SimTime};
use crate::units::{CpuUnits, MiB};

/// A group and the instances it holds.
///
/// Counts are kept as instances move, so asking for them costs nothing however large the group is.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoScalingGroup {
    /// Its number.
    pub id: GroupId,
    /// What it was created from, with the updates since. Its sizes, zones and suspended processes are those of creation:
    /// ask the group for today's.
    pub definition: CreateAutoScalingGroup,
    /// What new instances are launched from; changing it makes the present ones outdated (ASG-6).
    pub source: LaunchSource,
    /// Whether new instances start protected (ASG-10).
    pub new_instances_protected: bool,
    zones: Vec<ZoneId>,
    instance_types: Vec<Arc<str>>,
    min: u32,
    max: u32,
    desired: u32,
    /// When the desired capacity was last raised, by whomever (CAS-30).
    pub last_scale_out: Option<SimTime>,
    /// Instances it may hold above the desired capacity while it replaces others (ASG-9, ASG-11).
    ahead: u32,
    /// Those of them that are moves between zones (ASG-9).
    moving: u32,
    suspended: BTreeSet<ScalingProcess>,
    instances: BTreeMap<InstanceId, Instance>,
    /// Instances in each lifecycle state.
    states: [u32; Lifecycle::COUNT],
    /// Instances that count against the desired capacity, by zone and market.
    zone_counts: BTreeMap<ZoneId, MarketCounts>,
}

/// On-demand and Spot instances of one zone, or of a whole group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketCounts {
    /// On demand.
    pub on_demand: u32,
    /// Spot.
    pub spot: u32,
}

impl MarketCounts {
    /// Both together.
    pub const fn total(self) -> u32 {
        self.on_demand + self.spot
    }

    /// Those of `market`.
    pub const fn of(self, market: Market) -> u32 {
        match market {
            Market::OnDemand => self.on_demand,
            Market::Spot => self.spot,
        }
    }

    pub(super) const fn of_mut(&mut self, market: Market) -> &mut u32 {
        match market {
            Market::OnDemand => &mut self.on_demand,
            Market::Spot => &mut self.spot,
        }
    }
}

/// Why a group cannot be as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// `MinSize` above `MaxSize`.
    #[error("Max bound, {max}, must be greater than or equal to min bound, {min}")]
    Bounds {
        /// `MinSize`.
        min: u32,
        /// `MaxSize`.
        max: u32,
    },
    /// A desired capacity outside the bounds (ASG-1: only policies and schedules are clamped).
    #[error("Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}")]
    Desired {
        /// `DesiredCapacity`.
        desired: u32,
        /// `MinSize`.
        min: u32,
        /// `MaxSize`.
        max: u32,
    },
    /// A process that Auto Scaling does not know.
    #[error(transparent)]
    Process(#[from] UnknownProcess),
    /// No zone to launch in.
    #[error("At least one Availability Zone or VPC Subnet is required.")]
    NoZone,
    /// No instance type to launch.
    #[error(
        "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter."
    )]
    NoInstanceType,
}

impl AutoScalingGroup {
    /// An empty group; `zones` are the ids of the definition's Availability Zones.
    pub fn new(id: GroupId, definition: CreateAutoScalingGroup, zones: Vec<ZoneId>) -> Result<Self, GroupError> {
        let (min, max) = (definition.min_size, definition.max_size);
        // ASG-1: an unspecified desired capacity is the minimum.
        let desired = definition.desired_capacity.unwrap_or(min);
        check_size(min, max, desired)?;
        if zones.is_empty() {
            return Err(GroupError::NoZone);
        }
        if definition.instance_types.is_empty() {
            return Err(GroupError::NoInstanceType);
        }
        let suspended = definition.suspended_processes.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            source: LaunchSource::default(),
            new_instances_protected: definition.new_instances_protected,
            zone_counts: zones.iter().map(|&zone| (zone, MarketCounts::default())).collect(),
            zones,
            instance_types: definition.instance_types.iter().map(|name| Arc::from(name.as_str())).collect(),
            min,
            max,
            desired,
            last_scale_out: None,
            ahead: 0,
            moving: 0,
            suspended,
            instances: BTreeMap::new(),
            states: [0; Lifecycle::COUNT],
            definition,
        })
    }

    /// `MinSize`.
    pub const fn min(&self) -> u32 {
        self.min
    }

    /// `MaxSize`.
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// `DesiredCapacity`.
    pub const fn desired(&self) -> u32 {
        self.desired
    }

    /// Enabled Availability Zones, in the definition's order.
    pub fn zones(&self) -> &[ZoneId] {
        &self.zones
    }

    /// Instance types in order of priority.
    pub fn instance_types(&self) -> &[Arc<str>] {
        &self.instance_types
    }

    /// ASG-1: sets the desired capacity as policies and schedules do, clamped to the bounds; returns what it now is.
    pub fn set_desired(&mut self, wanted: u32) -> u32 {
        self.desired = wanted.clamp(self.min, self.max);
        self.desired
    }

    /// Sets sizes as `UpdateAutoScalingGroup` and `SetDesiredCapacity` do: a desired capacity outside the bounds is
    /// refused if the call names it, and follows the bounds if it does not. Nothing changes on an error.
    pub fn update_size(&mut self, min: Option<u32>, max: Option<u32>, desired: Option<u32>) -> Result<(), GroupError> {
        let (min, max) = (min.unwrap_or(self.min), max.unwrap_or(self.max));
        if min > max {
            return Err(GroupError::Bounds { min, max });
        }
        let desired = desired.unwrap_or(self.desired.clamp(min, max));
        check_size(min, max, desired)?;
        (self.min, self.max, self.desired) = (min, max, desired);
        Ok(())
    }

    /// Replaces the enabled zones; instances elsewhere wait for rebalancing (ASG-9).
    pub fn set_zones(&mut self, zones: Vec<ZoneId>) -> Result<(), GroupError> {
        if zones.is_empty() {
            return Err(GroupError::NoZone);
        }
        for &zone in &zones {
            self.zone_counts.entry(zone).or_default();
        }
        self.zones = zones;
        Ok(())
    }

    /// `SuspendProcesses` and `ResumeProcesses` (ASG-43).
    pub fn set_suspended(&mut self, process: ScalingProcess, suspend: bool) {
        if suspend {
            self.suspended.insert(process);
        } else {
            self.suspended.remove(&process);
        }
    }

    /// Whether `process` is suspended (ASG-43).
    pub fn is_suspended(&self, process: ScalingProcess) -> bool {
        self.suspended.contains(&process)
    }

    /// Instances that count against the desired capacity: launching or in service (ASG-12).
    pub const fn size(&self) -> u32 {
        self.count(Lifecycle::InService) + self.pending()
    }

    /// Instances to launch, those ahead of a replacement included.
    pub const fn missing(&self) -> u32 {
        (self.desired + self.ahead).saturating_sub(self.size())
    }

    /// Instances to terminate; some may be protected (TP-5). What was launched ahead of a replacement is none.
    pub const fn surplus(&self) -> u32 {
        self.size().saturating_sub(self.desired + self.ahead)
    }

    /// Lets the group hold `ahead` instances above its desired capacity, to launch before it terminates (ASG-11);
    /// `moving` of them even out its zones (ASG-9).
    pub fn set_ahead(&mut self, ahead: u32, moving: u32) {
        (self.ahead, self.moving) = (ahead, moving);
    }

    /// Instances above the desired capacity that even out zones (ASG-9).
    pub const fn moving(&self) -> u32 {
        self.moving
    }

    /// Instances above the desired capacity that are not surplus.
    pub const fn ahead(&self) -> u32 {
        self.ahead
    }

    /// Instances in `state`.
    pub const fn count(&self, state: Lifecycle) -> u32 {
        self.states[state as usize]
    }

    /// `GroupInServiceInstances`.
    pub const fn in_service(&self) -> u32 {
        self.count(Lifecycle::InService)
    }

    /// `GroupPendingInstances`.
    pub const fn pending(&self) -> u32 {
        self.count(Lifecycle::Pending) + self.count(Lifecycle::PendingWait) + self.count(Lifecycle::PendingProceed)
    }

    /// `GroupTerminatingInstances`.
    pub const fn terminating(&self) -> u32 {
        self.count(Lifecycle::Terminating)
            + self.count(Lifecycle::TerminatingWait)
            + self.count(Lifecycle::TerminatingProceed)
    }

    /// `GroupStandbyInstances`.
    pub const fn standby(&self) -> u32 {
        self.count(Lifecycle::EnteringStandby) + self.count(Lifecycle::Standby)
    }

    /// Counting instances of each zone that is enabled or still holds any, in order of zone.
    pub fn zone_counts(&self) -> impl Iterator<Item = (ZoneId, MarketCounts)> + '_ {
        self.zone_counts.iter().map(|(&zone, &counts)| (zone, counts))
    }

    /// Counting instances of one zone.
    pub fn in_zone(&self, zone: ZoneId) -> MarketCounts {
        self.zone_counts.get(&zone).copied().unwrap_or_default()
    }

    /// Counting instances by market.
    pub fn markets(&self) -> MarketCounts {
        self.zone_counts.values().fold(MarketCounts::default(), |sum, zone| MarketCounts {
            on_demand: sum.on_demand + zone.on_demand,
            spot: sum.spot + zone.spot,
        })
    }

    /// Members in launch order, terminating ones included.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> + '_ {
        self.instances.values()
    }

    /// Launch of the youngest instance that counts against the desired capacity; ids are given in launch order.
    pub fn youngest_launch(&self) -> Option<SimTime> {
        let mut newest_first = self.instances.values().rev();
        newest_first.find(|instance| instance.lifecycle().counts_against_desired()).map(|instance| instance.launched)
    }

    /// A member.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// A member, to protect it, to move its virtual machine, to note a time; states of the group move by
    /// [`AutoScalingGroup::transition`].
    pub fn instance_mut(&mut self, id: InstanceId) -> Option<&mut Instance> {
        self.instances.get_mut(&id)
    }

    /// Takes in a new instance whose launch is called at `now`; it counts from this moment (ASG-12).
    ///
    /// # Panics
    /// When `id` is a member already: launch numbers are given once.
    pub fn launch(&mut self, id: InstanceId, launch: Launch, reason: Arc<str>, now: SimTime) -> &mut Instance {
        let mut instance = Instance::launched(id, self.id, launch, now);
        instance.source = self.source;
        instance.protected_from_scale_in = self.new_instances_protected;
        instance.launch_reason = reason;
        self.admit(instance)
    }

    /// Takes in a new instance for the warm pool, which does not count (ASG-41).
    ///
    /// # Panics
    /// When `id` is a member already.
    pub fn launch_warm(&mut self, id: InstanceId, launch: Launch, reason: Arc<str>, now: SimTime) -> &mut Instance {
        let mut instance = Instance::launched(id, self.id, launch, now).into_warm_pool();
        instance.source = self.source;
        instance.protected_from_scale_in = self.new_instances_protected;
        instance.launch_reason = reason;
        self.admit(instance)
    }

    fn admit(&mut self, instance: Instance) -> &mut Instance {
        let id = instance.id;
        assert!(!self.instances.contains_key(&id), "{} was launched twice", id.ec2_id());
        self.recount(&instance, true);
        self.instances.entry(id).or_insert(instance)
    }

    /// Moves a member to another state; the counts follow.
    ///
    /// # Panics
    /// When `id` is no member.
    pub fn transition(&mut self, id: InstanceId, to: Lifecycle, now: SimTime) -> Result<(), IllegalTransition> {
        let mut instance = self.take(id);
        self.recount(&instance, false);
        let outcome = instance.transition(to, now);
        self.recount(&instance, true);
        self.instances.insert(id, instance);
        outcome
    }

    fn take(&mut self, id: InstanceId) -> Instance {
        self.instances.remove(&id).unwrap_or_else(|| panic!("{} is no member of the group", id.ec2_id()))
    }

    /// Drops a member that is `Terminated` or `Detached` and returns it for the report; `None` for any other.
    pub fn forget(&mut self, id: InstanceId) -> Option<Instance> {
        if !self.instances.get(&id)?.lifecycle().is_final() {
            return None;
        }
        let instance = self.take(id);
        self.recount(&instance, false);
        Some(instance)
    }

    fn recount(&mut self, instance: &Instance, enters: bool) {
        let step = |count: &mut u32| if enters { *count += 1 } else { *count -= 1 };
        step(&mut self.states[instance.lifecycle() as usize]);
        if instance.lifecycle().counts_against_desired() {
            step(self.zone_counts.entry(instance.zone()).or_default().of_mut(instance.market()));
        }
    }

    /// Checks the kept counts against a fresh count; the message says what differs.
    pub fn audit(&self) -> Result<(), String> {
        let mut fresh = Self { states: [0; Lifecycle::COUNT], ..self.clone() };
        fresh.zone_counts.values_mut().for_each(|counts| *counts = MarketCounts::default());
        for instance in self.instances.values() {
            fresh.recount(instance, true);
        }
        if fresh.states != self.states {
            return Err(format!("states {:?} but kept {:?}", fresh.states, self.states));
        }
        if fresh.zone_counts != self.zone_counts {
            return Err(format!("zones {:?} but kept {:?}", fresh.zone_counts, self.zone_counts));
        }
        Ok(())
    }
}

fn check_size(min: u32, max: u32, desired: u32) -> Result<(), GroupError> {
    if min > max {
        return Err(GroupError::Bounds { min, max });
    }
    if !(min..=max).contains(&desired) {
        return Err(GroupError::Desired { desired, min, max });
    }
    Ok(())
}

/// ASG-41: how many instances a warm pool holds beside a group of `desired`; `max_prepared` is the group's `MaxSize`
/// unless `MaxGroupPreparedCapacity` is set.
pub fn warm_pool_size(pool_min: u32, max_prepared: u32, desired: u32) -> u32 {
    pool_min.max(max_prepared.saturating_sub(desired))
}

/// A process of a group that can be suspended (ASG-43).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScalingProcess {
    /// `Launch`: no instance is added.
    Launch,
    /// `Terminate`: none is removed.
    Terminate,
    /// `AddToLoadBalancer`.
    AddToLoadBalancer,
    /// `AlarmNotification`: policies are ignored.
    AlarmNotification,
    /// `AZRebalance`: no rebalancing; scaling still balances.
    AzRebalance,
    /// `HealthCheck`.
    HealthCheck,
    /// `InstanceRefresh`.
    InstanceRefresh,
    /// `ReplaceUnhealthy`.
    ReplaceUnhealthy,
    /// `ScheduledActions`: missed ones are lost.
    ScheduledActions,
}

impl ScalingProcess {
    /// Every process: what a call that names none means.
    pub const ALL: [Self; 9] = [
        Self::Launch,
        Self::Terminate,
        Self::AddToLoadBalancer,
        Self::AlarmNotification,
        Self::AzRebalance,
        Self::HealthCheck,
        Self::InstanceRefresh,
        Self::ReplaceUnhealthy,
        Self::ScheduledActions,
    ];

    /// AWS's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launch => "Launch",
            Self::Terminate => "Terminate",
            Self::AddToLoadBalancer => "AddToLoadBalancer",
            Self::AlarmNotification => "AlarmNotification",
            Self::AzRebalance => "AZRebalance",
            Self::HealthCheck => "HealthCheck",
            Self::InstanceRefresh => "InstanceRefresh",
            Self::ReplaceUnhealthy => "ReplaceUnhealthy",
            Self::ScheduledActions => "ScheduledActions",
        }
    }
}

impl fmt::Display for ScalingProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scaling process; AWS knows {all}", all = ScalingProcess::ALL.map(ScalingProcess::name).join(", "))]
pub struct UnknownProcess(pub String);

impl FromStr for ScalingProcess {
    type Err = UnknownProcess;

    fn from_str(name: &str) -> Result<Self, UnknownProcess> {
        Self::ALL.into_iter().find(|process| process.name() == name).ok_or_else(|| UnknownProcess(name.to_owned()))
    }
}

/// `autoscaling create-auto-scaling-group`, and what its hosts bring to ECS.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateAutoScalingGroup {
    /// `AutoScalingGroupName`.
    pub name: String,
    /// `MinSize`.
    pub min_size: u32,
    /// `MaxSize`.
    pub max_size: u32,
    /// `DesiredCapacity`; `MinSize` when absent (ASG-1).
    pub desired_capacity: Option<u32>,
    /// `AvailabilityZones`, in the order given.
    pub availability_zones: Vec<String>,
    /// Instance types in order of priority; one unless a `MixedInstancesPolicy` lists more.
    pub instance_types: Vec<String>,
    /// On-demand and Spot shares (ASG-33).
    pub distribution: InstancesDistribution,
    /// `AvailabilityZoneDistribution: balanced-only` (else `balanced-best-effort`, ASG-3).
    pub balanced_only: bool,
    /// `CapacityRebalance` (ASG-39).
    pub capacity_rebalance: bool,
    /// `ecsSpotInstanceDraining`: the agent's `ECS_ENABLE_SPOT_INSTANCE_DRAINING` (DRN-7).
    pub ecs_spot_instance_draining: bool,
    /// `NewInstancesProtectedFromScaleIn` (ASG-10).
    pub new_instances_protected: bool,
    /// `TerminationPolicies`; empty means Default.
    pub termination_policies: Vec<crate::ec2::termination_policy::TerminationPolicy>,
    /// `DefaultCooldown` (ASG-25).
    pub default_cooldown: SimDuration,
    /// `DefaultInstanceWarmup` (ASG-29).
    pub default_instance_warmup: Option<SimDuration>,
    /// `HealthCheckGracePeriod` (ASG-17).
    pub health_check_grace: SimDuration,
    /// `MaxInstanceLifetime` (ASG-19).
    pub max_instance_lifetime: Option<SimDuration>,
    /// `InstanceMaintenancePolicy` (ASG-11).
    pub maintenance_policy: Option<MaintenancePolicy>,
    /// `LifecycleHookSpecificationList` (ASG-13).
    pub lifecycle_hooks: Vec<LifecycleHook>,
    /// Suspended at creation, as by `SuspendProcesses` (ASG-43).
    pub suspended_processes: Vec<String>,
    /// Cluster its hosts join when no capacity provider says so.
    pub cluster: String,
    /// Custom attributes of its hosts.
    pub ecs_attributes: BTreeMap<String, String>,
    /// Agent version its hosts report.
    pub ecs_agent_version: String,
    /// How the agents of its hosts are set up.
    pub agent: AgentConfig,
    /// `ECS_RESERVED_MEMORY` (EC2-3).
    pub ecs_reserved_memory: MiB,
    /// What a host of each type registers, where the scenario overrides the catalogue.
    pub registered_resources: BTreeMap<String, RegisteredOverride>,
    /// `hostMemoryBytes`: what the OS calls total memory (EC2-2).
    pub host_memory_bytes: Option<u64>,
}

/// `InstancesDistribution` (ASG-33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstancesDistribution {
    /// `OnDemandBaseCapacity`.
    pub on_demand_base: u32,
    /// `OnDemandPercentageAboveBaseCapacity`, 0..=100.
    pub on_demand_percentage: u32,
    /// `SpotMaxPrice`, dollars per hour; the on-demand price when absent (ASG-37).
    pub spot_max_price: Option<f64>,
    /// `OnDemandAllocationStrategy` (ASG-34).
    pub on_demand_allocation: OnDemandAllocation,
    /// `SpotAllocationStrategy` with `SpotInstancePools` (ASG-35).
    pub spot_allocation: SpotAllocation,
}

/// `OnDemandAllocationStrategy` (ASG-34).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDemandAllocation {
    /// `prioritized`: in the order of the list.
    Prioritized,
    /// `lowest-price`.
    LowestPrice,
}

/// `SpotAllocationStrategy` (ASG-35).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotAllocation {
    /// `lowest-price`.
    LowestPrice {
        /// `SpotInstancePools`: over how many of the cheapest pools of a zone it spreads.
        pools: u32,
    },
    /// `capacity-optimized`.
    CapacityOptimized,
    /// `capacity-optimized-prioritized`.
    CapacityOptimizedPrioritized,
    /// `price-capacity-optimized`.
    PriceCapacityOptimized,
}

impl Default for InstancesDistribution {
    fn default() -> Self {
        Self {
            on_demand_base: 0,
            on_demand_percentage: 100,
            spot_max_price: None,
            on_demand_allocation: OnDemandAllocation::Prioritized,
            spot_allocation: SpotAllocation::LowestPrice { pools: 2 },
        }
    }
}

/// `registeredResources` of a group, for one instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredOverride {
    /// CPU units.
    pub cpu: Option<CpuUnits>,
    /// Memory.
    pub memory: Option<MiB>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engine::time::SimDuration;
    use crate::units::MiB;

    /// A group of `m5.large` over `zones` zones, 0 to 20,000 instances, none wanted yet.
    pub(in crate::ec2) fn definition(zones: u32) -> CreateAutoScalingGroup {
        CreateAutoScalingGroup {
            name: "hosts".into(),
            min_size: 0,
            max_size: 20_000,
            desired_capacity: None,
            availability_zones: (0..zones).map(|zone| format!("zone-{zone}")).collect(),
            instance_types: vec!["m5.large".into()],
            distribution: InstancesDistribution::default(),
            balanced_only: false,
            capacity_rebalance: false,
            ecs_spot_instance_draining: false,
            new_instances_protected: false,
            termination_policies: Vec::new(),
            default_cooldown: SimDuration::from_secs(300),
            default_instance_warmup: None,
            health_check_grace: SimDuration::ZERO,
            max_instance_lifetime: None,
            maintenance_policy: None,
            lifecycle_hooks: Vec::new(),
            suspended_processes: Vec::new(),
            cluster: "default".into(),
            ecs_attributes: BTreeMap::new(),
            ecs_agent_version: "1.90.0".into(),
            agent: AgentConfig::default(),
            ecs_reserved_memory: MiB(0),
            registered_resources: BTreeMap::new(),
            host_memory_bytes: None,
        }
    }

    pub(in crate::ec2) fn group_of(definition: CreateAutoScalingGroup) -> AutoScalingGroup {
        let zones = (0..definition.availability_zones.len()).map(|zone| ZoneId(zone as u32)).collect();
        AutoScalingGroup::new(GroupId(0), definition, zones).unwrap()
    }

    /// Adds an on-demand `m5.large` that is in service at once.
    pub(in crate::ec2) fn add(group: &mut AutoScalingGroup, id: u32, zone: u32, at: SimTime) {
        add_launch(
            group,
            id,
            Launch { zone: ZoneId(zone), market: Market::OnDemand, instance_type: "m5.large".into() },
            at,
        );
    }

    pub(in crate::ec2) fn add_launch(group: &mut AutoScalingGroup, id: u32, launch: Launch, at: SimTime) {
        group.launch(InstanceId(id), launch, Arc::from("test"), at);
        group.transition(InstanceId(id), Lifecycle::InService, at).unwrap();
        group.audit().unwrap();
    }

    #[test]
    fn asg_1_desired_is_the_minimum_unless_given_and_policies_are_clamped() {
        let mut group = group_of(CreateAutoScalingGroup { min_size: 2, max_size: 5, ..definition(1) });
        assert_eq!(group.desired(), 2);
        assert_eq!(group.set_desired(9), 5);
        assert_eq!(group.set_desired(0), 2);
    }

    #[test]
    fn asg_1_updates_move_desired_with_the_bounds_or_are_refused() {
        let mut group = group_of(CreateAutoScalingGroup { min_size: 1, max_size: 10, ..definition(1) });
        assert_eq!(group.update_size(Some(4), None, None), Ok(()));
        assert_eq!(group.desired(), 4);
        let error = group.update_size(None, Some(6), Some(7)).unwrap_err();
        assert_eq!(error.to_string(), "Desired capacity:7 must be between the specified min size:4 and max size:6");
        assert_eq!(group.max(), 10, "a refused call changes nothing");
        assert_eq!(group.update_size(None, Some(3), None), Err(GroupError::Bounds { min: 4, max: 3 }));
    }

    #[test]
    fn asg_12_launching_instances_count_and_terminating_ones_do_not() {
        let mut group = group_of(definition(2));
        group.set_desired(3);
        let launch = Launch { zone: ZoneId(1), market: Market::Spot, instance_type: "m5.large".into() };
        group.launch(InstanceId(0), launch, Arc::from("test"), SimTime::ZERO);
        add(&mut group, 1, 0, SimTime::ZERO);
        add(&mut group, 2, 0, SimTime::ZERO);
        assert_eq!((group.missing(), group.pending(), group.in_service()), (0, 1, 2));
        group.transition(InstanceId(1), Lifecycle::Terminating, SimTime::from_secs(1)).unwrap();
        assert_eq!((group.missing(), group.terminating()), (1, 1));
        assert_eq!(group.in_zone(ZoneId(0)).total(), 1);
        assert_eq!(group.markets(), MarketCounts { on_demand: 1, spot: 1 });
        group.set_desired(1);
        assert_eq!(group.surplus(), 1);
        assert_eq!(group.forget(InstanceId(1)), None, "still terminating");
        group.transition(InstanceId(1), Lifecycle::Terminated, SimTime::from_secs(2)).unwrap();
        assert!(group.forget(InstanceId(1)).is_some());
        group.audit().unwrap();
    }

    #[test]
    fn asg_12_an_illegal_move_leaves_the_counts_alone() {
        let mut group = group_of(definition(1));
        add(&mut group, 0, 0, SimTime::ZERO);
        assert!(group.transition(InstanceId(0), Lifecycle::Pending, SimTime::ZERO).is_err());
        assert_eq!(group.in_service(), 1);
        group.audit().unwrap();
    }

    #[test]
    fn asg_10_new_instances_inherit_protection() {
        let mut group = group_of(CreateAutoScalingGroup { new_instances_protected: true, ..definition(1) });
        add(&mut group, 0, 0, SimTime::ZERO);
        group.new_instances_protected = false;
        add(&mut group, 1, 0, SimTime::ZERO);
        let protected: Vec<bool> = group.instances().map(Instance::is_protected).collect();
        assert_eq!(protected, [true, false]);
    }

    #[test]
    fn ex_asg_11() {
        assert_eq!(warm_pool_size(0, 10, 6), 4);
        assert_eq!(warm_pool_size(2, 10, 9), 2);
        assert_eq!(warm_pool_size(0, 5, 9), 0);
    }

    #[test]
    fn asg_43_knows_the_processes_by_name() {
        for process in ScalingProcess::ALL {
            assert_eq!(process.to_string().parse(), Ok(process));
        }
        let definition = CreateAutoScalingGroup { suspended_processes: vec!["AZRebalance".into()], ..definition(1) };
        let mut group = group_of(definition.clone());
        assert!(group.is_suspended(ScalingProcess::AzRebalance) && !group.is_suspended(ScalingProcess::Launch));
        group.set_suspended(ScalingProcess::AzRebalance, false);
        assert!(!group.is_suspended(ScalingProcess::AzRebalance));
        let wrong = CreateAutoScalingGroup { suspended_processes: vec!["Rebalance".into()], ..definition };
        let error = AutoScalingGroup::new(GroupId(0), wrong, vec![ZoneId(0)]).unwrap_err();
        assert!(error.to_string().contains("AZRebalance"), "{error}");
    }
}
