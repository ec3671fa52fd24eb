//! What a group is created from: `autoscaling create-auto-scaling-group`, and what its hosts bring to ECS.

use std::collections::BTreeMap;

use crate::ec2::launch_template::LaunchSpecification;
use crate::ec2::lifecycle_hook::LifecycleHook;
use crate::ec2::replacement::MaintenancePolicy;
use crate::ecs::agent::AgentConfig;
use crate::engine::time::SimDuration;
use crate::units::{CpuUnits, MiB};

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
    /// `LaunchTemplate` or `LaunchConfigurationName`.
    pub launch_from: LaunchSpecification,
    /// Instance types in order of priority; one unless a `MixedInstancesPolicy` lists more.
    pub instance_types: Vec<String>,
    /// `WeightedCapacity` of each type; empty when capacity is counted in instances (ASG-36).
    pub weights: BTreeMap<String, u32>,
    /// Whether the types are those of a `MixedInstancesPolicy`: such a group can have no warm pool (ASG-41).
    pub mixed: bool,
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
    /// `terminationFunction`: the hosts that the Lambda function among the policies returns, as an expression of the
    /// cluster query language (ASG-8).
    pub termination_function: Option<String>,
    /// `DefaultCooldown` (ASG-25).
    pub default_cooldown: SimDuration,
    /// `DefaultInstanceWarmup` (ASG-29).
    pub default_instance_warmup: Option<SimDuration>,
    /// `TargetGroupARNs`: target groups that its hosts are added to.
    pub target_groups: Vec<String>,
    /// `LoadBalancerNames`: Classic Load Balancers, likewise.
    pub classic_balancers: Vec<String>,
    /// `HealthCheckType` with ELB: the checks of those count (ASG-16).
    pub elb_health_checks: bool,
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
    /// `operatingSystemFamily` of its hosts, when they run Windows (TD-25).
    pub windows_family: Option<String>,
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

impl CreateAutoScalingGroup {
    /// Names of the target groups and Classic Load Balancers that its hosts are added to.
    pub fn load_balancers(&self) -> Vec<String> {
        self.target_groups.iter().chain(&self.classic_balancers).cloned().collect()
    }
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
