//! Inputs of the AWS calls that the control plane serves, with names where the API takes names or ARNs.
//!
//! The scenario file's sections and its `actions` both become these; so does the estate at time zero. A call that AWS
//! would refuse returns [`Refused`] with AWS's error code.

use crate::control_plane::reads::ReadCall;
use crate::ec2::auto_scaling_group::{CreateAutoScalingGroup, InstanceTypes};
use crate::ec2::instance_refresh::StartInstanceRefresh;
use crate::ec2::launch_template::LaunchSpecification;
use crate::ec2::lifecycle_hook::{HookResult, LifecycleHook};
use crate::ec2::replacement::MaintenancePolicy;
use crate::ec2::termination_policy::TerminationPolicy;
use crate::ec2::warm_pool::PutWarmPool;
use crate::ecs::capacity_provider::{LaunchChoice, PlatformVersion, StrategyItem};
use crate::ecs::ebs::EbsVolume;
use crate::ecs::service::{
    DeploymentChange, DeploymentConfiguration, DeploymentController, Monitoring, SchedulingStrategy,
    ServiceLoadBalancer, TaskSettings,
};
use crate::ecs::target_group::BalancerKind;
use crate::ecs::task_definition::{TaskDefinition, TaskOverrides};
use crate::ecs::task_set::Scale;
use crate::ecs::traffic_shift::ShiftPlan;
use crate::engine::time::SimDuration;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::PlacementStrategy;
use crate::refused::Refused;
use crate::scaling::alarm::{AlarmDefinition, AlarmState, MetricKey};
use crate::scaling::metric::{StatisticSet, Unit};
use crate::scaling::policy::PolicyDefinition;
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::scheduled_action::SizeChange;
use crate::schedule::Schedule;
use crate::workload::behaviour::ContainerBehaviour;

/// `ecs create-cluster`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCluster {
    /// `clusterName`.
    pub name: String,
    /// `capacityProviders`.
    pub capacity_providers: Vec<String>,
    /// `defaultCapacityProviderStrategy`.
    pub default_strategy: Vec<StrategyItem>,
    /// `settings` with `containerInsights`: enabled (enhanced too) or disabled.
    pub container_insights: Option<bool>,
}

/// `ecr put-image`: a tag names another image from now on (TD-29).
#[derive(Clone, Debug, PartialEq)]
pub struct PutImage {
    /// `repositoryName`.
    pub repository: String,
    /// `imageTag`.
    pub tag: String,
    /// `imageDigest`; one is made up for an image that says none.
    pub digest: Option<String>,
    /// How containers of this image behave; as their definition says when absent.
    pub behaviour: Option<ContainerBehaviour>,
}

/// `ecs register-task-definition`, and how its tasks behave.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterTaskDefinition {
    /// The definition; its revision is given at registration.
    pub definition: TaskDefinition,
    /// How each of its containers behaves, in the order of the definition (design, section 3.1).
    pub behaviours: Vec<ContainerBehaviour>,
    /// Whether the scenario says it of the whole task, whose reservation fractions of CPU and memory then refer to.
    pub behaves_as_a_whole: bool,
    /// Its size as JSON (TD-4).
    pub json_bytes: usize,
}

impl RegisterTaskDefinition {
    /// TD-30: why its tasks fail before they pull an image: a role or a secret that does not exist.
    pub fn initialization_error(&self) -> Option<String> {
        let role = self.behaviours.iter().find_map(|behaviour| behaviour.missing_roles.first());
        if let Some(role) = role {
            return Some(format!(
                "ResourceInitializationError: ECS was unable to assume the role '{role}' that was provided for this task. \
                 Please verify that the role being passed has the proper trust relationship and permissions and that your \
                 IAM user has permissions to pass this role."
            ));
        }
        let missing = self.behaviours.iter().find_map(|behaviour| behaviour.missing_secrets.first())?;
        Some(format!(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: \
             unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret \
             {missing} from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
        ))
    }
}

/// `ecs create-service`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateService {
    /// `serviceName`.
    pub name: String,
    /// `cluster`.
    pub cluster: String,
    /// `taskDefinition`: family or `family:revision`; task sets bring their own (DEP-27).
    pub task_definition: Option<String>,
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
    /// `monitoring` (ECSM-8).
    pub monitoring: Monitoring,
    /// Zones of the subnets of `networkConfiguration`; empty means every zone of the region.
    pub availability_zones: Vec<String>,
    /// `platformVersion`; the latest when absent (CP-15).
    pub platform_version: Option<PlatformVersion>,
    /// Whether there is a `networkConfiguration`: awsvpc needs one (SVC-4).
    pub has_network: bool,
    /// `assignPublicIp: ENABLED`: tasks on Fargate have a public IPv4 address each.
    pub public_ip: bool,
    /// `clientToken` (SVC-4).
    pub client_token: Option<String>,
    /// `availabilityZoneRebalancing`; the default of the day unless said (SVC-20).
    pub rebalancing: Option<bool>,
    /// `deploymentController`.
    pub controller: DeploymentController,
    /// What tasks are made of beside their definition (SVC-15).
    pub settings: TaskSettings,
}

/// `ecs create-task-set` (DEP-27).
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTaskSet {
    /// `cluster`.
    pub cluster: String,
    /// `service`.
    pub service: String,
    /// `externalId`.
    pub external_id: Option<String>,
    /// `taskDefinition`.
    pub task_definition: String,
    /// `launchType` or `capacityProviderStrategy`.
    pub launch: LaunchChoice,
    /// `loadBalancers`.
    pub load_balancers: Vec<ServiceLoadBalancer>,
    /// Zones of the subnets of `networkConfiguration`; empty means every zone of the region.
    pub availability_zones: Vec<String>,
    /// Whether there is a `networkConfiguration`.
    pub has_network: bool,
    /// `assignPublicIp: ENABLED`.
    pub public_ip: bool,
    /// `scale`.
    pub scale: Scale,
}

/// `codedeploy create-deployment` of an ECS service (DEP-26).
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCodeDeployment {
    /// Cluster of the service.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The revision of the AppSpec.
    pub task_definition: String,
    /// How the traffic moves, by `deploymentConfigName`.
    pub plan: ShiftPlan,
}

/// `elbv2 create-load-balancer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLoadBalancer {
    /// `Name`.
    pub name: String,
    /// `Type`, or a Classic Load Balancer.
    pub kind: BalancerKind,
    /// `load_balancing.cross_zone.enabled`; an Application Load Balancer always spreads over zones (ELB-12).
    pub cross_zone: bool,
    /// `idle_timeout.timeout_seconds`: how long it waits for the answer to a request.
    pub idle_timeout: SimDuration,
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
    /// `SuspendedState.ScheduledScalingSuspended`, when the call mentions it.
    pub scheduled_suspended: Option<bool>,
}

/// `application-autoscaling put-scheduled-action` or `autoscaling put-scheduled-update-group-action`.
///
/// An update keeps what it does not mention.
#[derive(Clone, Debug, PartialEq)]
pub struct PutScheduledAction {
    /// `ScheduledActionName`.
    pub name: String,
    /// What it scales.
    pub resource: ScaledResource,
    /// `Schedule` with `Timezone`, or a group's `Recurrence` with `TimeZone`.
    pub schedule: Option<Schedule>,
    /// `StartTime`.
    pub start_time: Option<jiff::Timestamp>,
    /// `EndTime`.
    pub end_time: Option<jiff::Timestamp>,
    /// `ScalableTargetAction`, or a group's sizes.
    pub change: SizeChange,
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

/// `cloudwatch set-alarm-state` (ALM-22).
#[derive(Clone, Debug, PartialEq)]
pub struct SetAlarmState {
    /// `AlarmName`.
    pub alarm: String,
    /// `StateValue`.
    pub state: AlarmState,
    /// `StateReason`.
    pub reason: String,
    /// `StateReasonData`, when it says what scaling actions need.
    pub data: Option<StateReasonData>,
}

/// What of `StateReasonData` scaling actions use.
#[derive(Clone, Debug, PartialEq)]
pub struct StateReasonData {
    /// `queryDate`.
    pub query_date: jiff::Timestamp,
    /// `recentDatapoints`, oldest first.
    pub datapoints: Vec<f64>,
}

/// An entry of `MetricData` of `cloudwatch put-metric-data` (CW-8).
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDatum {
    /// The series.
    pub key: MetricKey,
    /// `Unit`, `None` when it is not given.
    pub unit: Unit,
    /// `Value`, `Values` with `Counts`, or `StatisticValues`.
    pub samples: Vec<StatisticSet>,
    /// `Timestamp`; the time of the call when it is not given.
    pub stamp: Option<jiff::Timestamp>,
    /// `StorageResolution: 1`.
    pub high_resolution: bool,
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
    /// `platformVersion`; the latest when absent (CP-15).
    pub platform_version: Option<PlatformVersion>,
    /// Whether there is a `networkConfiguration`: awsvpc needs one (NET-4).
    pub has_network: bool,
    /// `assignPublicIp: ENABLED`: tasks on Fargate have a public IPv4 address each.
    pub public_ip: bool,
    /// `volumeConfigurations`: the EBS volume of each task (VOL-2).
    pub volume: Option<EbsVolume>,
    /// `overrides` of the task's size, and of our own `behaviour.runsFor`.
    pub overrides: TaskOverrides,
    /// `clientToken` (TASK-12).
    pub client_token: Option<String>,
}

impl RunTask {
    /// The `count` of a call, when ECS takes it (TASK-10).
    ///
    /// # Errors
    /// It is not 1 to 10.
    pub fn check_count(count: i64) -> Result<u32, Refused> {
        let valid = u32::try_from(count).ok().filter(|count| (1..=10).contains(count));
        valid.ok_or_else(|| Refused::parameter("TASK-10", format!("count must be between 1 and 10, not {count}.")))
    }
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
    pub deployment: Option<DeploymentChange>,
    /// `capacityProviderStrategy`.
    pub strategy: Option<Vec<StrategyItem>>,
    /// `placementConstraints`.
    pub placement_constraints: Option<Vec<Constraint>>,
    /// `placementStrategy`.
    pub placement_strategy: Option<Vec<PlacementStrategy>>,
    /// `healthCheckGracePeriodSeconds`.
    pub health_check_grace: Option<SimDuration>,
    /// `availabilityZoneRebalancing`.
    pub rebalancing: Option<bool>,
    /// `monitoring` (ECSM-8).
    pub monitoring: Option<Monitoring>,
    /// Zones of the subnets of `networkConfiguration`.
    pub network: Option<Vec<String>>,
    /// `assignPublicIp` of `networkConfiguration`.
    pub public_ip: Option<bool>,
    /// `loadBalancers`.
    pub load_balancers: Option<Vec<ServiceLoadBalancer>>,
    /// `platformVersion`, Service Connect, discovery, volumes, VPC Lattice.
    pub settings: SettingsChange,
    /// `forceNewDeployment`.
    pub force_new_deployment: bool,
}

/// What a call says of [`TaskSettings`]; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// `platformVersion`.
    pub platform_version: Option<String>,
    /// `serviceConnectConfiguration.enabled`.
    pub service_connect: Option<bool>,
    /// `serviceRegistries`.
    pub registries: Option<String>,
    /// `volumeConfigurations`, with the EBS volume of each task.
    pub volumes: Option<(String, Option<EbsVolume>)>,
    /// `vpcLatticeConfigurations`.
    pub lattice: Option<String>,
}

impl SettingsChange {
    /// `present` with what the call says.
    pub fn apply_to(&self, present: &TaskSettings) -> TaskSettings {
        let text = |said: &Option<String>, present: &String| said.clone().unwrap_or_else(|| present.clone());
        let platform_version = match self.platform_version.as_deref() {
            Some("LATEST") => None,
            Some(version) => Some(version.to_owned()),
            None => present.platform_version.clone(),
        };
        TaskSettings {
            platform_version,
            service_connect: self.service_connect.unwrap_or(present.service_connect),
            registries: text(&self.registries, &present.registries),
            volumes: self.volumes.as_ref().map_or_else(|| present.volumes.clone(), |(text, _)| text.clone()),
            volume: self.volumes.as_ref().map_or(present.volume, |(_, volume)| *volume),
            lattice: text(&self.lattice, &present.lattice),
        }
    }

    /// Whether the call says nothing of them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `autoscaling update-auto-scaling-group` and `set-desired-capacity`; what is `None` stays, and `Some(None)` clears.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// `AvailabilityZones`.
    pub availability_zones: Option<Vec<String>>,
    /// `TerminationPolicies`.
    pub termination_policies: Option<Vec<TerminationPolicy>>,
    /// `DefaultCooldown`.
    pub default_cooldown: Option<SimDuration>,
    /// `DefaultInstanceWarmup`.
    pub default_instance_warmup: Option<Option<SimDuration>>,
    /// `HealthCheckGracePeriod`.
    pub health_check_grace: Option<SimDuration>,
    /// `CapacityRebalance`.
    pub capacity_rebalance: Option<bool>,
    /// `MaxInstanceLifetime`.
    pub max_instance_lifetime: Option<Option<SimDuration>>,
    /// `InstanceMaintenancePolicy`.
    pub maintenance_policy: Option<Option<MaintenancePolicy>>,
    /// `AvailabilityZoneDistribution: balanced-only`, or another (ASG-3).
    pub balanced_only: Option<bool>,
    /// `LaunchTemplate` or `LaunchConfigurationName`.
    pub launch_from: Option<LaunchSpecification>,
    /// `MixedInstancesPolicy`, or the `InstanceType` beside the template.
    pub types: Option<InstanceTypes>,
}

/// `autoscaling put-lifecycle-hook`.
#[derive(Clone, Debug, PartialEq)]
pub struct PutLifecycleHook {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// The hook.
    pub hook: LifecycleHook,
}

/// Every mutating call that an `actions` entry can make.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiCall {
    /// A call whose input AWS refuses whatever the state of the estate: it is made, refused and recorded.
    AlwaysRefused(Refused),
    /// `ecs:CreateCluster`.
    CreateCluster(CreateCluster),
    /// `ecs:PutClusterCapacityProviders`: the input of `ecs:CreateCluster`, of a cluster that is there.
    PutClusterCapacityProviders(CreateCluster),
    /// `ecs:DeleteCapacityProvider`, by name.
    DeleteCapacityProvider(String),
    /// `ecs:RegisterTaskDefinition`.
    RegisterTaskDefinition(Box<RegisterTaskDefinition>),
    /// `ecs:DeregisterTaskDefinition`, by `family:revision`.
    DeregisterTaskDefinition(String),
    /// `ecs:DeleteTaskDefinitions`, by `family:revision`.
    DeleteTaskDefinitions(Vec<String>),
    /// `ecs:DeleteCluster`, by name.
    DeleteCluster(String),
    /// A Describe or List call: its answer goes into the decision log.
    Read(Box<ReadCall>),
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
    /// `ecs:StopServiceDeployment`, of the deployment under way.
    StopServiceDeployment {
        /// Cluster of the service.
        cluster: String,
        /// The service.
        service: String,
        /// `stopType: ROLLBACK` (else ABORT).
        rollback: bool,
    },
    /// `ecs:ContinueServiceDeployment`, of the deployment that is paused.
    ContinueServiceDeployment {
        /// Cluster of the service.
        cluster: String,
        /// The service.
        service: String,
        /// `action: ROLLBACK` (else CONTINUE).
        rollback: bool,
    },
    /// `codedeploy:CreateDeployment`.
    CreateCodeDeployment(Box<CreateCodeDeployment>),
    /// `ecs:CreateTaskSet`.
    CreateTaskSet(Box<CreateTaskSet>),
    /// `ecs:UpdateTaskSet`.
    UpdateTaskSet {
        /// `cluster`.
        cluster: String,
        /// `service`.
        service: String,
        /// `taskSet`, by external id or id.
        task_set: String,
        /// `scale`.
        scale: Scale,
    },
    /// `ecs:UpdateServicePrimaryTaskSet`.
    UpdateServicePrimaryTaskSet {
        /// `cluster`.
        cluster: String,
        /// `service`.
        service: String,
        /// `primaryTaskSet`, by external id or id.
        task_set: String,
    },
    /// `ecs:DeleteTaskSet`.
    DeleteTaskSet {
        /// `cluster`.
        cluster: String,
        /// `service`.
        service: String,
        /// `taskSet`, by external id or id.
        task_set: String,
        /// `force`.
        force: bool,
    },
    /// `ecs:UpdateTaskProtection`.
    UpdateTaskProtection {
        /// `cluster`.
        cluster: String,
        /// `tasks`: ids, or task groups, each of which means its oldest task that no earlier entry means.
        tasks: Vec<String>,
        /// `expiresInMinutes`, 120 unless said; `None` without `protectionEnabled`.
        protect_for: Option<SimDuration>,
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
        /// `task`: an id, or a task group, of which the oldest task that is still wanted is stopped.
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
    /// `ecr:PutImage`.
    PutImage(Box<PutImage>),
    /// `ecs:PutAccountSettingDefault` with `awsvpcTrunking`.
    PutAwsvpcTrunking(bool),
    /// `ecs:PutAccountSettingDefault` with `fargateTaskRetirementWaitPeriod`.
    PutFargateRetirementWait(SimDuration),
    /// `autoscaling:CreateAutoScalingGroup`.
    CreateAutoScalingGroup(Box<CreateAutoScalingGroup>),
    /// `autoscaling:UpdateAutoScalingGroup` or `SetDesiredCapacity`.
    UpdateAutoScalingGroup(Box<UpdateAutoScalingGroup>),
    /// `autoscaling:SetInstanceProtection`.
    SetInstanceProtection {
        /// `AutoScalingGroupName`.
        group: String,
        /// `InstanceIds`, named as in `StartTask`.
        instances: Vec<String>,
        /// `ProtectedFromScaleIn`.
        protected: bool,
    },
    /// `autoscaling:SetInstanceHealth`.
    SetInstanceHealth {
        /// `InstanceId`, named as in `StartTask`.
        instance: String,
        /// `HealthStatus: Unhealthy` (else Healthy).
        unhealthy: bool,
        /// `ShouldRespectGracePeriod`.
        respects_grace: bool,
    },
    /// `autoscaling:PutLifecycleHook`.
    PutLifecycleHook(Box<PutLifecycleHook>),
    /// `autoscaling:DeleteLifecycleHook`.
    DeleteLifecycleHook {
        /// `AutoScalingGroupName`.
        group: String,
        /// `LifecycleHookName`.
        name: String,
    },
    /// `autoscaling:CompleteLifecycleAction`.
    CompleteLifecycleAction {
        /// `AutoScalingGroupName`.
        group: String,
        /// `LifecycleHookName`.
        hook: String,
        /// `InstanceId`, named as in `StartTask`.
        instance: String,
        /// `LifecycleActionResult`.
        result: HookResult,
    },
    /// `autoscaling:RecordLifecycleActionHeartbeat`.
    RecordLifecycleActionHeartbeat {
        /// `AutoScalingGroupName`.
        group: String,
        /// `LifecycleHookName`.
        hook: String,
        /// `InstanceId`, named as in `StartTask`.
        instance: String,
    },
    /// `autoscaling:EnterStandby`.
    EnterStandby {
        /// `AutoScalingGroupName`.
        group: String,
        /// `InstanceIds`, named as in `StartTask`.
        instances: Vec<String>,
        /// `ShouldDecrementDesiredCapacity`.
        decrement: bool,
    },
    /// `autoscaling:ExitStandby`.
    ExitStandby {
        /// `AutoScalingGroupName`.
        group: String,
        /// `InstanceIds`, named as in `StartTask`.
        instances: Vec<String>,
    },
    /// `autoscaling:DetachInstances`.
    DetachInstances {
        /// `AutoScalingGroupName`.
        group: String,
        /// `InstanceIds`, named as in `StartTask`.
        instances: Vec<String>,
        /// `ShouldDecrementDesiredCapacity`.
        decrement: bool,
    },
    /// `autoscaling:StartInstanceRefresh`.
    StartInstanceRefresh(Box<StartInstanceRefresh>),
    /// `autoscaling:CancelInstanceRefresh`, by `AutoScalingGroupName`.
    CancelInstanceRefresh(String),
    /// `autoscaling:RollbackInstanceRefresh`, by `AutoScalingGroupName`.
    RollbackInstanceRefresh(String),
    /// `autoscaling:PutWarmPool`.
    PutWarmPool(PutWarmPool),
    /// `autoscaling:DeleteWarmPool`.
    DeleteWarmPool {
        /// `AutoScalingGroupName`.
        group: String,
        /// `ForceDelete`.
        force: bool,
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
    /// `application-autoscaling:DeregisterScalableTarget`.
    DeregisterScalableTarget {
        /// Cluster of the `ResourceId`.
        cluster: String,
        /// Service of the `ResourceId`.
        service: String,
    },
    /// `application-autoscaling:PutScheduledAction` or `autoscaling:PutScheduledUpdateGroupAction`.
    PutScheduledAction(Box<PutScheduledAction>),
    /// `application-autoscaling:DeleteScheduledAction` or `autoscaling:DeleteScheduledAction`.
    DeleteScheduledAction {
        /// `ScheduledActionName`.
        name: String,
        /// What it scales.
        resource: ScaledResource,
    },
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
    /// `events:EnableRule`, `events:DisableRule`.
    SetRuleEnabled {
        /// Name of the rule.
        rule: String,
        /// Enabled.
        enabled: bool,
    },
    /// `cloudwatch:DeleteAlarms`.
    DeleteAlarms(Vec<String>),
    /// `cloudwatch:EnableAlarmActions` or `DisableAlarmActions`.
    SetAlarmActions {
        /// `AlarmNames`.
        alarms: Vec<String>,
        /// Enable, or disable.
        enabled: bool,
    },
    /// `cloudwatch:SetAlarmState`.
    SetAlarmState(SetAlarmState),
    /// `cloudwatch:PutMetricData`: its `MetricData`.
    PutMetricData(Vec<MetricDatum>),
}
