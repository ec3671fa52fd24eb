//! Inputs of the AWS calls that the control plane serves, with names where the API takes names or ARNs.
//!
//! The scenario file's sections and its `actions` both become these; so does the estate at time zero. A call that AWS
//! would refuse returns [`Refused`] with AWS's error code.

use std::collections::BTreeMap;

use crate::ecs::task_definition::TaskDefinition;
use crate::engine::time::SimDuration;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::PlacementStrategy;
use crate::scaling::alarm::AlarmDefinition;
use crate::scaling::policy::PolicyDefinition;
use crate::units::{CpuUnits, MiB};
use crate::workload::behaviour::TaskBehaviour;

/// A call refused as AWS refuses it: recorded, and the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// AWS's error code, for example `ClientException`.
    pub code: &'static str,
    /// AWS's words, where they are known.
    pub message: String,
    /// The rule of the specification that refuses.
    pub rule: &'static str,
}

/// `ecs create-cluster`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCluster {
    /// `clusterName`.
    pub name: String,
    /// `capacityProviders`.
    pub capacity_providers: Vec<String>,
    /// `defaultCapacityProviderStrategy`.
    pub default_strategy: Vec<StrategyItem>,
}

/// One item of a capacity provider strategy (CP-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyItem {
    /// `capacityProvider`: a name, `FARGATE` or `FARGATE_SPOT`.
    pub provider: String,
    /// Tasks that go there first.
    pub base: u32,
    /// Share of the rest.
    pub weight: u32,
}

/// How a task or service chooses its infrastructure (CP-4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaunchChoice {
    /// Neither given: the cluster's default strategy, else EC2.
    #[default]
    ClusterDefault,
    /// `launchType: EC2`.
    Ec2,
    /// `launchType: FARGATE`.
    Fargate,
    /// `capacityProviderStrategy`.
    Strategy(Vec<StrategyItem>),
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
    /// `NewInstancesProtectedFromScaleIn` (ASG-10).
    pub new_instances_protected: bool,
    /// `TerminationPolicies`; empty means Default.
    pub termination_policies: Vec<crate::ec2::termination_policy::TerminationPolicy>,
    /// `DefaultCooldown` (ASG-25).
    pub default_cooldown: SimDuration,
    /// `DefaultInstanceWarmup` (ASG-29).
    pub default_instance_warmup: Option<SimDuration>,
    /// Suspended at creation, as by `SuspendProcesses` (ASG-43).
    pub suspended_processes: Vec<String>,
    /// Cluster its hosts join when no capacity provider says so.
    pub cluster: String,
    /// Custom attributes of its hosts.
    pub ecs_attributes: BTreeMap<String, String>,
    /// Agent version its hosts report.
    pub ecs_agent_version: String,
    /// `ECS_RESERVED_MEMORY` (EC2-3).
    pub ecs_reserved_memory: MiB,
    /// What a host of each type registers, where the scenario overrides the catalogue.
    pub registered_resources: BTreeMap<String, RegisteredOverride>,
    /// `hostMemoryBytes`: what the OS calls total memory (EC2-2).
    pub host_memory_bytes: Option<u64>,
}

/// `registeredResources` of a group, for one instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredOverride {
    /// CPU units.
    pub cpu: Option<CpuUnits>,
    /// Memory.
    pub memory: Option<MiB>,
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
}

impl Default for InstancesDistribution {
    fn default() -> Self {
        Self { on_demand_base: 0, on_demand_percentage: 100, spot_max_price: None }
    }
}

/// `ecs create-capacity-provider` for an Auto Scaling group.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCapacityProvider {
    /// `name`.
    pub name: String,
    /// `autoScalingGroupArn`, as a name.
    pub auto_scaling_group: String,
    /// `managedScaling` when ENABLED.
    pub managed_scaling: Option<ManagedScaling>,
    /// `managedTerminationProtection` ENABLED (TP-1).
    pub managed_termination_protection: bool,
    /// `managedDraining` ENABLED (DRN-3).
    pub managed_draining: bool,
}

/// `managedScaling` settings (CAS-18, CAS-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedScaling {
    /// `targetCapacity`, percent, 1..=100.
    pub target_capacity: u32,
    /// `minimumScalingStepSize`, 1..=10000.
    pub minimum_step: u32,
    /// `maximumScalingStepSize`, 1..=10000.
    pub maximum_step: u32,
    /// `instanceWarmupPeriod`.
    pub instance_warmup: SimDuration,
}

impl Default for ManagedScaling {
    fn default() -> Self {
        Self {
            target_capacity: 100,
            minimum_step: 1,
            maximum_step: 10_000,
            instance_warmup: SimDuration::from_secs(300),
        }
    }
}

/// `ecs register-task-definition`, and how its tasks behave.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterTaskDefinition {
    /// The definition; its revision is given at registration.
    pub definition: TaskDefinition,
    /// How its tasks behave (design, section 3.1).
    pub behaviour: TaskBehaviour,
}

/// `ecs create-service`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateService {
    /// `serviceName`.
    pub name: String,
    /// `cluster`.
    pub cluster: String,
    /// `taskDefinition`: family or `family:revision`.
    pub task_definition: String,
    /// `desiredCount`.
    pub desired_count: u32,
    /// `launchType` or `capacityProviderStrategy`.
    pub launch: LaunchChoice,
    /// `schedulingStrategy`.
    pub scheduling: SchedulingStrategy,
    /// `placementConstraints`.
    pub placement_constraints: Vec<Constraint>,
    /// `placementStrategy`.
    pub placement_strategy: Vec<PlacementStrategy>,
    /// `deploymentConfiguration`.
    pub deployment: DeploymentConfiguration,
    /// `loadBalancers`.
    pub load_balancers: Vec<ServiceLoadBalancer>,
    /// `healthCheckGracePeriodSeconds` (SVC-9).
    pub health_check_grace: SimDuration,
    /// Zones of the subnets of `networkConfiguration`; empty means every zone of the region.
    pub availability_zones: Vec<String>,
}

/// `schedulingStrategy` (SVC-1, SVC-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedulingStrategy {
    /// Keep `desiredCount` tasks.
    #[default]
    Replica,
    /// One task per matching instance.
    Daemon,
}

/// `deploymentConfiguration` of a rolling deployment (DEP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeploymentConfiguration {
    /// `minimumHealthyPercent`.
    pub minimum_healthy_percent: u32,
    /// `maximumPercent`.
    pub maximum_percent: u32,
}

impl Default for DeploymentConfiguration {
    fn default() -> Self {
        Self { minimum_healthy_percent: 100, maximum_percent: 200 }
    }
}

/// One entry of a service's `loadBalancers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLoadBalancer {
    /// `targetGroupArn`, as a name.
    pub target_group: String,
    /// `containerName`.
    pub container: String,
    /// `containerPort`.
    pub container_port: u16,
}

/// `elbv2 create-target-group`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTargetGroup {
    /// `Name`.
    pub name: String,
    /// The load balancer that routes to it.
    pub load_balancer: Option<String>,
    /// `HealthCheckIntervalSeconds`, default 30 s (ELB-3).
    pub health_check_interval: SimDuration,
    /// `HealthyThresholdCount`, default 5.
    pub healthy_threshold: u32,
    /// `UnhealthyThresholdCount`, default 2.
    pub unhealthy_threshold: u32,
    /// `deregistration_delay.timeout_seconds`, default 300 s (ELB-9).
    pub deregistration_delay: SimDuration,
}

/// `elbv2 create-load-balancer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLoadBalancer {
    /// `Name`.
    pub name: String,
    /// `network` instead of `application`.
    pub network: bool,
}

/// `application-autoscaling register-scalable-target` for `ecs:service:DesiredCount` (AAS-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterScalableTarget {
    /// Cluster of `ResourceId: service/<cluster>/<service>`.
    pub cluster: String,
    /// Service of the `ResourceId`.
    pub service: String,
    /// `MinCapacity`; required at first registration.
    pub min_capacity: Option<u32>,
    /// `MaxCapacity`; required at first registration.
    pub max_capacity: Option<u32>,
    /// `SuspendedState.DynamicScalingInSuspended`, when the call mentions it.
    pub scale_in_suspended: Option<bool>,
    /// `SuspendedState.DynamicScalingOutSuspended`, when the call mentions it.
    pub scale_out_suspended: Option<bool>,
}

/// `application-autoscaling put-scaling-policy` or `autoscaling put-scaling-policy`.
#[derive(Clone, Debug, PartialEq)]
pub struct PutScalingPolicy {
    /// `PolicyName`.
    pub name: String,
    /// What it scales.
    pub resource: ScaledResource,
    /// What it does.
    pub policy: PolicyDefinition,
}

/// The thing a policy scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaledResource {
    /// A service's desired count.
    Service {
        /// Its cluster.
        cluster: String,
        /// Its name.
        service: String,
    },
    /// A group's desired capacity.
    Group {
        /// `AutoScalingGroupName`.
        group: String,
    },
}

/// `cloudwatch put-metric-alarm`.
#[derive(Clone, Debug, PartialEq)]
pub struct PutMetricAlarm {
    /// Metric, statistic, window, threshold.
    pub definition: AlarmDefinition,
    /// `AlarmActions`: policies by name or ARN, anything else is a notification.
    pub alarm_actions: Vec<String>,
    /// `OKActions`.
    pub ok_actions: Vec<String>,
    /// `InsufficientDataActions`.
    pub insufficient_data_actions: Vec<String>,
    /// `ActionsEnabled`.
    pub actions_enabled: bool,
}

/// `ecs run-task`.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTask {
    /// `cluster`.
    pub cluster: String,
    /// `taskDefinition`: family or `family:revision`.
    pub task_definition: String,
    /// `count`, 1..=10 (TASK-10).
    pub count: u32,
    /// `launchType` or `capacityProviderStrategy`.
    pub launch: LaunchChoice,
    /// `group`; `family:<family>` when absent (TASK-11).
    pub group: Option<String>,
    /// `startedBy`.
    pub started_by: Option<String>,
    /// `placementConstraints`.
    pub placement_constraints: Vec<Constraint>,
    /// `placementStrategy`.
    pub placement_strategy: Vec<PlacementStrategy>,
    /// Zones of the subnets of `networkConfiguration`; empty means every zone of the region.
    pub availability_zones: Vec<String>,
    /// `overrides` of the task's size, and of our own `behaviour.runsFor`.
    pub overrides: TaskOverrides,
}

/// What one `RunTask` call changes of its task definition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskOverrides {
    /// `overrides.cpu`.
    pub cpu: Option<CpuUnits>,
    /// `overrides.memory`.
    pub memory: Option<MiB>,
    /// GPUs, from a trace's column.
    pub gpus: Option<u32>,
    /// How long the task runs, from a trace's column.
    pub runs_for: Option<SimDuration>,
}

/// `ecs update-service`; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateService {
    /// `service`.
    pub service: String,
    /// `cluster`.
    pub cluster: String,
    /// `desiredCount`.
    pub desired_count: Option<u32>,
    /// `taskDefinition`.
    pub task_definition: Option<String>,
    /// `deploymentConfiguration`.
    pub deployment: Option<DeploymentConfiguration>,
    /// `capacityProviderStrategy`.
    pub strategy: Option<Vec<StrategyItem>>,
    /// `placementConstraints`.
    pub placement_constraints: Option<Vec<Constraint>>,
    /// `placementStrategy`.
    pub placement_strategy: Option<Vec<PlacementStrategy>>,
    /// `healthCheckGracePeriodSeconds`.
    pub health_check_grace: Option<SimDuration>,
    /// `forceNewDeployment`.
    pub force_new_deployment: bool,
}

/// `autoscaling update-auto-scaling-group` and `set-desired-capacity`; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateAutoScalingGroup {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// `MinSize`.
    pub min_size: Option<u32>,
    /// `MaxSize`.
    pub max_size: Option<u32>,
    /// `DesiredCapacity`.
    pub desired_capacity: Option<u32>,
    /// `NewInstancesProtectedFromScaleIn`.
    pub new_instances_protected: Option<bool>,
    /// `HonorCooldown` of `set-desired-capacity`.
    pub honor_cooldown: bool,
}

/// Every mutating call that an `actions` entry can make.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    /// A call whose input AWS refuses whatever the state of the estate: it is made, refused and recorded.
    AlwaysRefused(Refused),
    /// `ecs:CreateCluster`.
    CreateCluster(CreateCluster),
    /// `ecs:RegisterTaskDefinition`.
    RegisterTaskDefinition(Box<RegisterTaskDefinition>),
    /// `ecs:DeregisterTaskDefinition`, by `family:revision`.
    DeregisterTaskDefinition(String),
    /// `ecs:CreateService`.
    CreateService(Box<CreateService>),
    /// `ecs:UpdateService`.
    UpdateService(Box<UpdateService>),
    /// `ecs:DeleteService`.
    DeleteService {
        /// `cluster`.
        cluster: String,
        /// `service`.
        service: String,
        /// `force`.
        force: bool,
    },
    /// `ecs:RunTask`.
    RunTask(Box<RunTask>),
    /// `ecs:StartTask`, on the container instances named.
    StartTask {
        /// The task, as for `RunTask`.
        task: Box<RunTask>,
        /// `containerInstances`, by instance id or by launch number (`#0` is the first host launched).
        instances: Vec<String>,
    },
    /// `ecs:StopTask`.
    StopTask {
        /// `cluster`.
        cluster: String,
        /// `task`: an id, or a task group, of which the oldest running task is stopped.
        task: String,
        /// `reason`.
        reason: Option<String>,
    },
    /// `ecs:UpdateContainerInstancesState`.
    UpdateContainerInstancesState {
        /// `cluster`.
        cluster: String,
        /// `containerInstances`, named as in `StartTask`.
        instances: Vec<String>,
        /// `status: DRAINING` (else ACTIVE).
        draining: bool,
    },
    /// `ecs:PutAccountSettingDefault` with `awsvpcTrunking`.
    PutAwsvpcTrunking(bool),
    /// `autoscaling:CreateAutoScalingGroup`.
    CreateAutoScalingGroup(Box<CreateAutoScalingGroup>),
    /// `autoscaling:UpdateAutoScalingGroup` or `SetDesiredCapacity`.
    UpdateAutoScalingGroup(UpdateAutoScalingGroup),
    /// `autoscaling:SetInstanceProtection`.
    SetInstanceProtection {
        /// `AutoScalingGroupName`.
        group: String,
        /// `InstanceIds`, named as in `StartTask`.
        instances: Vec<String>,
        /// `ProtectedFromScaleIn`.
        protected: bool,
    },
    /// `autoscaling:TerminateInstanceInAutoScalingGroup`.
    TerminateInstance {
        /// `InstanceId`, named as in `StartTask`.
        instance: String,
        /// `ShouldDecrementDesiredCapacity`.
        decrement: bool,
    },
    /// `autoscaling:SuspendProcesses` or `ResumeProcesses`.
    SetSuspendedProcesses {
        /// `AutoScalingGroupName`.
        group: String,
        /// `ScalingProcesses`; empty means all.
        processes: Vec<String>,
        /// Suspend, or resume.
        suspend: bool,
    },
    /// `application-autoscaling:RegisterScalableTarget`.
    RegisterScalableTarget(RegisterScalableTarget),
    /// `application-autoscaling:PutScalingPolicy` or `autoscaling:PutScalingPolicy`.
    PutScalingPolicy(Box<PutScalingPolicy>),
    /// `application-autoscaling:DeleteScalingPolicy` or `autoscaling:DeletePolicy`.
    DeleteScalingPolicy {
        /// `PolicyName`.
        name: String,
        /// What it scales.
        resource: ScaledResource,
    },
    /// `cloudwatch:PutMetricAlarm`.
    PutMetricAlarm(Box<PutMetricAlarm>),
    /// `cloudwatch:DeleteAlarms`.
    DeleteAlarms(Vec<String>),
    /// `cloudwatch:EnableAlarmActions` or `DisableAlarmActions`.
    SetAlarmActions {
        /// `AlarmNames`.
        alarms: Vec<String>,
        /// Enable, or disable.
        enabled: bool,
    },
}
