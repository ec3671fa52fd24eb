//! Auto Scaling groups: size bounds, members by state and zone, suspended processes (ASG-1, ASG-12, ASG-43).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use crate::ec2::group_definition::{
    CreateAutoScalingGroup, InstancesDistribution, OnDemandAllocation, RegisteredOverride, SpotAllocation,
};
use crate::ec2::instance::{IllegalTransition, Instance, LaunchSource, Lifecycle, Market};
use crate::ec2::launch::Launch;
use crate::ec2::launch_template::{KnownSources, LaunchSpecification};
pub use crate::ec2::scaling_process::{ScalingProcess, UnknownProcess};
use crate::ec2::termination_policy::TerminationPolicy;
use crate::ec2::warm_pool::WarmPool;
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::engine::time::SimTime;

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
    /// Its warm pool, if it has one (ASG-41).
    pub warm_pool: Option<WarmPool>,
    /// What new instances are launched from; changing it makes the present ones outdated (ASG-6).
    source: LaunchSource,
    known_sources: KnownSources,
    /// Whether new instances start protected (ASG-10).
    pub new_instances_protected: bool,
    zones: Vec<ZoneId>,
    instance_types: Vec<Arc<str>>,
    /// Units of each type, where the group counts in units (ASG-36).
    weights: BTreeMap<Arc<str>, u32>,
    heaviest: u32,
    min: u32,
    max: u32,
    desired: u32,
    /// When the desired capacity was last raised, by whomever (CAS-30).
    pub last_scale_out: Option<SimTime>,
    /// Capacity it may hold above the desired one while it replaces instances (ASG-9, ASG-11).
    ahead: u32,
    /// Those of them that are moves between zones (ASG-9).
    moving: u32,
    /// Instances its warm pool may hold above its size while it is refreshed (ASG-42).
    pool_ahead: u32,
    suspended: BTreeSet<ScalingProcess>,
    instances: BTreeMap<InstanceId, Instance>,
    /// Instances in each lifecycle state.
    states: [u32; Lifecycle::COUNT],
    /// Their capacity: as many units as instances, but for weights.
    capacity: [u32; Lifecycle::COUNT],
    /// Capacity that counts against the desired one, by zone and market.
    zone_counts: BTreeMap<ZoneId, MarketCounts>,
}

/// On-demand and Spot capacity of one zone, or of a whole group: instances, or units where they have weights.
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
    /// Whether a function of the user's own says which instances may be terminated (ASG-8).
    pub fn has_termination_function(&self) -> bool {
        self.definition.termination_policies.contains(&TerminationPolicy::Custom)
    }

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
        let mut known_sources = KnownSources::default();
        let source = known_sources.resolve(&definition.launch_from, None, false);
        Ok(Self {
            id,
            warm_pool: None,
            source,
            known_sources,
            new_instances_protected: definition.new_instances_protected,
            zone_counts: zones.iter().map(|&zone| (zone, MarketCounts::default())).collect(),
            zones,
            instance_types: names(&definition.instance_types),
            weights: weights(&definition.weights),
            heaviest: definition.weights.values().copied().max().unwrap_or(1),
            min,
            max,
            desired,
            last_scale_out: None,
            ahead: 0,
            moving: 0,
            pool_ahead: 0,
            suspended,
            instances: BTreeMap::new(),
            states: [0; Lifecycle::COUNT],
            capacity: [0; Lifecycle::COUNT],
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

    /// What new instances are launched from.
    pub const fn source(&self) -> LaunchSource {
        self.source
    }

    /// A source in words.
    pub fn describe_source(&self, source: LaunchSource) -> String {
        self.known_sources.describe(source)
    }

    /// `UpdateAutoScalingGroup` with another template, version or list of types: what is launched from now on. Instances
    /// that are there stay as they are, and are outdated (ASG-6).
    pub fn set_launch(&mut self, launch_from: Option<LaunchSpecification>, types: Option<InstanceTypes>) {
        let changed = types.as_ref().is_some_and(|types| types.differ_from(&self.definition));
        if let Some(types) = types {
            self.definition.mixed = types.distribution.is_some();
            (self.instance_types, self.weights) = (names(&types.names), weights(&types.weights));
            self.heaviest = self.weights.values().copied().fold(self.heaviest, u32::max);
            (self.definition.instance_types, self.definition.weights) = (types.names, types.weights);
            self.definition.distribution = types.distribution.unwrap_or_default();
        }
        let specification = launch_from.unwrap_or_else(|| match &self.definition.launch_from {
            // A bare InstanceType is another version of the template that is in use.
            LaunchSpecification::Template { name, .. } => {
                LaunchSpecification::Template { name: name.clone(), version: None }
            }
            configuration @ LaunchSpecification::Configuration { .. } => configuration.clone(),
        });
        self.source = self.known_sources.resolve(&specification, Some(self.source), changed);
        self.definition.launch_from = specification;
    }

    /// What it launches from now, to be taken up again (ASG-42).
    pub fn launch_settings(&self) -> LaunchSettings {
        LaunchSettings {
            source: self.source,
            specification: self.definition.launch_from.clone(),
            types: InstanceTypes {
                names: self.definition.instance_types.clone(),
                weights: self.definition.weights.clone(),
                distribution: self.definition.mixed.then_some(self.definition.distribution),
            },
        }
    }

    /// Launches from what it launched from before.
    pub fn restore_launch(&mut self, settings: LaunchSettings) {
        self.set_launch(Some(settings.specification), Some(settings.types));
        self.source = settings.source;
    }

    /// Whether capacity is counted in units of instance weights (ASG-36).
    pub fn is_weighted(&self) -> bool {
        !self.weights.is_empty()
    }

    /// Units that a new instance of a type counts for (ASG-36).
    pub fn weight_of(&self, instance_type: &str) -> u32 {
        self.weights.get(instance_type).copied().unwrap_or(1)
    }

    /// Units of the heaviest instance that it has ever launched, or may launch.
    pub const fn largest_weight(&self) -> u32 {
        self.heaviest
    }

    /// Whether it holds what it wants: nothing is missing, and nothing is too much but what one instance overshoots by
    /// (ASG-36).
    pub const fn is_settled(&self) -> bool {
        self.missing() == 0 && self.surplus() < self.heaviest
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

    /// Capacity that counts against the desired one: launching or in service (ASG-12).
    pub const fn size(&self) -> u32 {
        self.capacity[Lifecycle::InService as usize] + self.pending_capacity()
    }

    /// Capacity to launch, that ahead of a replacement included.
    pub const fn missing(&self) -> u32 {
        (self.desired + self.ahead).saturating_sub(self.size())
    }

    /// Capacity to terminate; some may be protected (TP-5). What was launched ahead of a replacement is none.
    pub const fn surplus(&self) -> u32 {
        self.size().saturating_sub(self.desired + self.ahead)
    }

    /// Lets the group hold `ahead` units above its desired capacity, to launch before it terminates (ASG-11); `moving`
    /// instances of them even out its zones (ASG-9).
    pub fn set_ahead(&mut self, ahead: u32, moving: u32) {
        (self.ahead, self.moving) = (ahead, moving);
    }

    /// Instances above the desired capacity that even out zones (ASG-9).
    pub const fn moving(&self) -> u32 {
        self.moving
    }

    /// Capacity above the desired one that is not surplus.
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

    /// `GroupInServiceCapacity`.
    pub const fn in_service_capacity(&self) -> u32 {
        self.capacity[Lifecycle::InService as usize]
    }

    /// `GroupPendingCapacity`.
    pub const fn pending_capacity(&self) -> u32 {
        self.capacity[Lifecycle::Pending as usize]
            + self.capacity[Lifecycle::PendingWait as usize]
            + self.capacity[Lifecycle::PendingProceed as usize]
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

    /// ASG-41: instances that the warm pool is to hold, those ahead of a replacement included.
    pub fn pool_size(&self) -> u32 {
        self.warm_pool.map_or(0, |pool| pool.size(self.max, self.desired)) + self.pool_ahead
    }

    /// Lets the warm pool hold `ahead` instances above its size (ASG-42).
    pub const fn set_pool_ahead(&mut self, ahead: u32) {
        self.pool_ahead = ahead;
    }

    /// Instances above the size of the warm pool that are not too many.
    pub const fn pool_ahead(&self) -> u32 {
        self.pool_ahead
    }

    /// Members of the warm pool, ready or on their way into it.
    pub const fn pool_count(&self) -> u32 {
        self.pool_warm() + self.pool_warming()
    }

    /// `WarmPoolWarmedCapacity`: instances ready in the warm pool.
    pub const fn pool_warm(&self) -> u32 {
        self.count(Lifecycle::WarmedStopped)
            + self.count(Lifecycle::WarmedRunning)
            + self.count(Lifecycle::WarmedHibernated)
    }

    /// `WarmPoolPendingCapacity`: instances on their way into the warm pool.
    pub const fn pool_warming(&self) -> u32 {
        self.count(Lifecycle::WarmedPending)
            + self.count(Lifecycle::WarmedPendingWait)
            + self.count(Lifecycle::WarmedPendingProceed)
    }

    /// `WarmPoolTerminatingCapacity`.
    pub const fn pool_terminating(&self) -> u32 {
        self.count(Lifecycle::WarmedTerminating)
            + self.count(Lifecycle::WarmedTerminatingWait)
            + self.count(Lifecycle::WarmedTerminatingProceed)
    }

    /// Members of the warm pool, ready or on their way into it, in launch order.
    pub fn pool(&self) -> impl Iterator<Item = &Instance> + '_ {
        self.instances().filter(|instance| instance.lifecycle().is_warming() || instance.lifecycle().is_warm())
    }

    /// Counting capacity of each zone that is enabled or still holds any, in order of zone.
    pub fn zone_counts(&self) -> impl Iterator<Item = (ZoneId, MarketCounts)> + '_ {
        self.zone_counts.iter().map(|(&zone, &counts)| (zone, counts))
    }

    /// Counting capacity of one zone.
    pub fn in_zone(&self, zone: ZoneId) -> MarketCounts {
        self.zone_counts.get(&zone).copied().unwrap_or_default()
    }

    /// Counting capacity by market.
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
        let instance = self.new_instance(id, launch, reason, now);
        self.admit(instance)
    }

    /// Takes in a new instance for the warm pool, which does not count (ASG-41).
    ///
    /// # Panics
    /// When `id` is a member already.
    pub fn launch_warm(&mut self, id: InstanceId, launch: Launch, reason: Arc<str>, now: SimTime) -> &mut Instance {
        let instance = self.new_instance(id, launch, reason, now).into_warm_pool();
        self.admit(instance)
    }

    fn new_instance(&self, id: InstanceId, launch: Launch, reason: Arc<str>, now: SimTime) -> Instance {
        let weight = self.weight_of(&launch.instance_type);
        let mut instance = Instance::launched(id, self.id, launch, now);
        instance.source = self.source;
        instance.weight = weight;
        instance.protected_from_scale_in = self.new_instances_protected;
        instance.launch_reason = reason;
        instance
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
        let step = |count: &mut u32, by: u32| if enters { *count += by } else { *count -= by };
        let state = instance.lifecycle();
        step(&mut self.states[state as usize], 1);
        step(&mut self.capacity[state as usize], instance.weight);
        if state.counts_against_desired() {
            let zone = self.zone_counts.entry(instance.zone()).or_default();
            step(zone.of_mut(instance.market()), instance.weight);
        }
    }

    /// Checks the kept counts against a fresh count; the message says what differs.
    pub fn audit(&self) -> Result<(), String> {
        let empty = [0; Lifecycle::COUNT];
        let mut fresh = Self { states: empty, capacity: empty, ..self.clone() };
        fresh.zone_counts.values_mut().for_each(|counts| *counts = MarketCounts::default());
        for instance in self.instances.values() {
            fresh.recount(instance, true);
        }
        if fresh.states != self.states {
            return Err(format!("states {:?} but kept {:?}", fresh.states, self.states));
        }
        if fresh.capacity != self.capacity {
            return Err(format!("capacity {:?} but kept {:?}", fresh.capacity, self.capacity));
        }
        if fresh.zone_counts != self.zone_counts {
            return Err(format!("zones {:?} but kept {:?}", fresh.zone_counts, self.zone_counts));
        }
        Ok(())
    }
}

/// What a group launches from, as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSettings {
    source: LaunchSource,
    specification: LaunchSpecification,
    types: InstanceTypes,
}

/// Which instance types a group launches, and what they count for: `InstanceType`, or a `MixedInstancesPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceTypes {
    /// In order of priority.
    pub names: Vec<String>,
    /// `WeightedCapacity` of each, if they have any (ASG-36).
    pub weights: BTreeMap<String, u32>,
    /// `InstancesDistribution` of a `MixedInstancesPolicy`.
    pub distribution: Option<InstancesDistribution>,
}

impl InstanceTypes {
    fn differ_from(&self, definition: &CreateAutoScalingGroup) -> bool {
        self.names != definition.instance_types
            || self.weights != definition.weights
            || self.distribution.is_some_and(|distribution| distribution != definition.distribution)
    }
}

fn names(list: &[String]) -> Vec<Arc<str>> {
    list.iter().map(|name| Arc::from(name.as_str())).collect()
}

fn weights(list: &BTreeMap<String, u32>) -> BTreeMap<Arc<str>, u32> {
    list.iter().map(|(name, weight)| (Arc::from(name.as_str()), *weight)).collect()
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
            launch_from: LaunchSpecification::default(),
            instance_types: vec!["m5.large".into()],
            weights: BTreeMap::new(),
            mixed: false,
            distribution: InstancesDistribution::default(),
            balanced_only: false,
            capacity_rebalance: false,
            ecs_spot_instance_draining: false,
            new_instances_protected: false,
            termination_policies: Vec::new(),
            termination_function: None,
            target_groups: Vec::new(),
            classic_balancers: Vec::new(),
            elb_health_checks: false,
            default_cooldown: SimDuration::from_secs(300),
            default_instance_warmup: None,
            health_check_grace: SimDuration::ZERO,
            max_instance_lifetime: None,
            maintenance_policy: None,
            lifecycle_hooks: Vec::new(),
            suspended_processes: Vec::new(),
            cluster: "default".into(),
            ecs_attributes: BTreeMap::new(),
            windows_family: None,
            ecs_agent_version: "1.90.0".into(),
            agent: crate::ecs::agent::AgentConfig::default(),
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
    fn asg_36_capacity_is_counted_in_units() {
        let weights = BTreeMap::from([("m5.large".to_owned(), 2), ("m5.xlarge".to_owned(), 5)]);
        let instance_types = vec!["m5.large".to_owned(), "m5.xlarge".to_owned()];
        let mut group = group_of(CreateAutoScalingGroup { instance_types, weights, ..definition(2) });
        group.set_desired(8);
        let large = Launch { zone: ZoneId(1), market: Market::OnDemand, instance_type: "m5.xlarge".into() };
        add(&mut group, 0, 0, SimTime::ZERO);
        add_launch(&mut group, 1, large, SimTime::ZERO);
        assert_eq!((group.size(), group.in_service(), group.in_service_capacity(), group.missing()), (7, 2, 7, 1));
        assert_eq!((group.in_zone(ZoneId(1)).total(), group.markets().on_demand), (5, 7));
        assert_eq!((group.weight_of("m5.xlarge"), group.largest_weight()), (5, 5));
    }

    #[test]
    fn asg_6_another_template_leaves_the_instances_as_they_are() {
        let mut group = group_of(definition(1));
        add(&mut group, 0, 0, SimTime::ZERO);
        let types = InstanceTypes { names: vec!["m6i.large".into()], weights: BTreeMap::new(), distribution: None };
        group.set_launch(None, Some(types.clone()));
        let version = |version| LaunchSource::Template { template: 0, version };
        assert_eq!((group.source(), group.instance(InstanceId(0)).unwrap().source), (version(2), version(1)));
        assert_eq!(group.instance_types(), [Arc::from("m6i.large")]);
        let named = LaunchSpecification::Template { name: "ecs".into(), version: Some(7) };
        group.set_launch(Some(named.clone()), None);
        assert_eq!(group.source(), LaunchSource::Template { template: 1, version: 7 });
        group.set_launch(Some(named), None);
        assert_eq!(group.describe_source(group.source()), "template ecs version 7", "the same again changes nothing");
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
