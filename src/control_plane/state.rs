//! Everything the control plane knows: the entities of one run, by dense index.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slotmap::SlotMap;

use crate::control_plane::api::{CreateLoadBalancer, RegisterTaskDefinition};
use crate::control_plane::record::Resource;
use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::Instance;
use crate::ecs::capability::Capabilities;
use crate::ecs::capacity_provider::{CreateCapacityProvider, Provider, StrategyItem};
use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::ContainerInstance;
use crate::ecs::deployment::Deployment;
use crate::ecs::ids::{
    AlarmId, ClusterId, GroupId, InstanceId, ProfileId, ServiceId, ShapeId, TargetGroupId, TaskDefinitionId,
    TaskGroupId, TaskKey, ZoneId, mix,
};
use crate::ecs::instance_table::InstanceTable;
use crate::ecs::service::{Service, TaskExtras};
use crate::ecs::software::SoftwareVersion;
use crate::ecs::target_group::{BalancerKind, TargetGroup};
use crate::ecs::task::{LaunchTarget, Task};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use crate::engine::time::SimTime;
use crate::placement::PlacementRequest;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::PlacementStrategy;
use crate::scaling::alarm::Alarm;
use crate::scaling::alarm::MetricKey;
use crate::scaling::managed_scaling::Reservation;
use crate::workload::queue::Queue;

/// The account of every simulated estate: the one AWS's documentation uses.
pub const ACCOUNT: &str = "111122223333";

/// The state of one run.
#[derive(Debug)]
pub struct State {
    /// The wall-clock instant of time zero.
    pub start: jiff::Timestamp,
    /// The region.
    pub region: String,
    /// Availability Zones by [`ZoneId`].
    pub zones: Vec<Arc<str>>,
    /// Clusters by [`ClusterId`].
    pub clusters: Vec<ClusterEntry>,
    /// Auto Scaling groups by [`GroupId`], with their instances.
    pub groups: Vec<AutoScalingGroup>,
    /// The group of each instance that its group has not forgotten.
    pub instance_groups: InstanceTable<GroupId>,
    /// Capacity providers by [`ProviderId`](crate::ecs::ids::ProviderId).
    pub providers: Vec<CapacityProvider>,
    /// Task definitions by [`TaskDefinitionId`], every revision.
    pub definitions: Vec<RegisterTaskDefinition>,
    /// Requirements by [`ShapeId`]; a host shares those of its tasks.
    pub shapes: Vec<Arc<Requirements>>,
    /// Placement rules by [`ProfileId`](crate::ecs::ids::ProfileId).
    pub profiles: Vec<PlacementProfile>,
    /// Software versions by [`SoftwareId`](crate::ecs::ids::SoftwareId).
    pub software: Vec<SoftwareVersion>,
    /// Names of task groups by [`TaskGroupId`].
    pub task_groups: Vec<Arc<str>>,
    /// Tasks alive, and those stopped in this very event.
    pub tasks: SlotMap<TaskKey, Task>,
    /// Services by [`ServiceId`].
    pub services: Vec<Service>,
    /// Load balancers.
    pub load_balancers: Vec<CreateLoadBalancer>,
    /// Target groups by [`TargetGroupId`](crate::ecs::ids::TargetGroupId).
    pub target_groups: Vec<TargetGroup>,
    /// Queues by [`QueueId`](crate::ecs::ids::QueueId), with their messages.
    pub queues: Vec<QueueEntry>,
    /// Alarms by [`AlarmId`](crate::ecs::ids::AlarmId), deleted ones included.
    pub alarms: Vec<AlarmEntry>,
    /// Names of workloads by [`WorkloadId`](crate::ecs::ids::WorkloadId).
    pub workloads: Vec<Arc<str>>,
    /// Metrics that are paid for: known at the end of the run (COST-2).
    pub billed_metrics: Vec<BilledMetric>,
}

/// A metric that is paid for (COST-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledMetric {
    /// Which one.
    pub key: MetricKey,
    /// Hours in which it had data.
    pub hours: u64,
}

/// A cluster and what belongs to it.
#[derive(Debug)]
pub struct ClusterEntry {
    /// `clusterName`.
    pub name: Arc<str>,
    /// Its container instances.
    pub cluster: Cluster,
    /// Its capacity providers.
    pub providers: Vec<Provider>,
    /// Its default strategy; empty means launch type EC2.
    pub default_strategy: Vec<StrategyItem>,
    /// Tasks that wait in PROVISIONING, over all its providers (PRV-2).
    pub waiting: usize,
    /// `settings`: whether it has Container Insights (CIM-1); `None` when nothing is said of it.
    pub container_insights: Option<bool>,
    /// Its DAEMON services, in order of creation (SVC-2).
    pub daemons: BTreeSet<ServiceId>,
    /// Services with a task that found no room, woken when some appears (SVC-12).
    pub blocked: BTreeSet<ServiceId>,
    /// Whether it has been deleted: no call finds it any more (TASK-19).
    pub deleted: bool,
}

/// An Auto Scaling group capacity provider.
#[derive(Clone, Debug)]
pub struct CapacityProvider {
    /// Its settings.
    pub definition: CreateCapacityProvider,
    /// Its group.
    pub group: GroupId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Tasks that wait for its capacity, by creation order (PRV-5).
    pub waiting: BTreeMap<u64, TaskKey>,
    /// Whether a retry of the waiting tasks is due.
    pub retry_scheduled: bool,
    /// The newest value of CapacityProviderReservation, with managed scaling (CAS-2).
    pub reservation: Option<Reservation>,
    /// Its low alarm, with managed scaling (CAS-22).
    pub low_alarm: Option<AlarmId>,
    /// Whether its metric is sampled each minute, as it is from the first time a cluster has it.
    pub sampled: bool,
    /// When it was deleted.
    pub deleted: Option<SimTime>,
}

impl CapacityProvider {
    /// A provider without waiting tasks.
    pub fn new(definition: CreateCapacityProvider, group: GroupId, cluster: ClusterId) -> Self {
        Self {
            definition,
            group,
            cluster,
            waiting: BTreeMap::new(),
            retry_scheduled: false,
            reservation: None,
            low_alarm: None,
            sampled: false,
            deleted: None,
        }
    }
}

/// The rules that tasks of a call or service are placed by: those of the definition and of the call (PLACE-14).
#[derive(Clone, Debug, PartialEq)]
pub struct PlacementProfile {
    /// Constraints, all of which bind.
    pub constraints: Vec<Constraint>,
    /// Strategies in order, the defaults of PLACE-5 and PLACE-6 filled in.
    pub strategy: Vec<PlacementStrategy>,
    /// Zones allowed; empty means all.
    pub zones: Vec<ZoneId>,
    /// What placement does not look at.
    pub extras: TaskExtras,
    /// CPU architecture asked for (TD-25).
    pub architecture: CpuArchitecture,
    /// Operating system asked for.
    pub operating_system: OperatingSystem,
    /// What the definition requires of a host (TD-28).
    pub capabilities: Capabilities,
}

impl PlacementProfile {
    /// The strategies in words.
    pub fn describe(&self) -> String {
        let strategies: Vec<String> = self.strategy.iter().map(ToString::to_string).collect();
        strategies.join(", then ")
    }
}

/// An SQS queue.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// `QueueName`.
    pub name: Arc<str>,
    /// Its messages.
    pub queue: Queue,
}

/// An alarm and what it is about.
#[derive(Clone, Debug)]
pub struct AlarmEntry {
    /// Definition, state, evaluation.
    pub alarm: Alarm,
    /// What it is about, for pictures and logs: the resource that its policy scales, if it has one.
    pub resource: Option<Resource>,
    /// When it was put.
    pub created: SimTime,
    /// When it was deleted.
    pub deleted: Option<SimTime>,
}

impl State {
    /// `family:revision`.
    pub fn definition_name(&self, id: TaskDefinitionId) -> String {
        self.definitions[id.index()].definition.name()
    }

    /// The question placement is asked for one task: what it needs, and the rules it is placed by.
    pub fn placement_request(
        &self,
        shape: ShapeId,
        profile: ProfileId,
        group: TaskGroupId,
        launch: LaunchTarget,
        random_ties: bool,
    ) -> PlacementRequest<'_> {
        let profile = &self.profiles[profile.index()];
        PlacementRequest {
            requirements: &self.shapes[shape.index()],
            // A profile holds the constraints of the definition too.
            definition_constraints: &[],
            constraints: &profile.constraints,
            strategy: &profile.strategy,
            group,
            provider: launch.group_provider(),
            architecture: profile.architecture,
            operating_system: profile.operating_system,
            capabilities: profile.capabilities,
            zones: &profile.zones,
            random_ties,
        }
    }

    /// Name of a cluster.
    pub fn cluster_name(&self, id: ClusterId) -> &str {
        &self.clusters[id.index()].name
    }

    /// Name of a task group, for example `service:web`.
    pub fn task_group_name(&self, id: TaskGroupId) -> &str {
        &self.task_groups[id.index()]
    }

    /// Name of an Availability Zone.
    pub fn zone_name(&self, id: ZoneId) -> &str {
        &self.zones[id.index()]
    }

    /// Name of a capacity provider, `FARGATE` and `FARGATE_SPOT` included.
    pub fn provider_name(&self, provider: Provider) -> &str {
        match provider {
            Provider::Group(id) => &self.providers[id.index()].definition.name,
            Provider::Fargate => "FARGATE",
            Provider::FargateSpot => "FARGATE_SPOT",
        }
    }

    /// Name of the capacity provider a task is bound to, if any.
    pub fn launch_provider_name(&self, launch: LaunchTarget) -> Option<&str> {
        match launch {
            LaunchTarget::Ec2 | LaunchTarget::Fargate => None,
            LaunchTarget::Provider(provider) => Some(self.provider_name(provider)),
        }
    }

    /// A resource's name as outputs spell it (design, section 4).
    pub fn resource_name(&self, resource: Resource) -> String {
        match resource {
            Resource::Service(id) => {
                let service = &self.services[id.index()];
                format!("service/{}/{}", self.cluster_name(service.cluster), service.name)
            }
            Resource::Cluster(id) => format!("cluster/{}", self.cluster_name(id)),
            Resource::Provider(id) => format!("capacity-provider/{}", self.providers[id.index()].definition.name),
            Resource::TargetGroup(id) => format!("target-group/{}", self.target_groups[id.index()].definition.name),
            Resource::Queue(id) => format!("queue/{}", self.queues[id.index()].name),
            Resource::Workload(id) => format!("workload/{}", self.workloads[id.index()]),
            Resource::Group(id) => format!("asg/{}", self.groups[id.index()].definition.name),
            Resource::Alarm(id) => format!("alarm/{}", self.alarms[id.index()].alarm.definition.name),
        }
    }

    /// ARN of something of ECS, for example `cluster/web` (EVT-2).
    pub fn ecs_arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{ACCOUNT}:{resource}", self.region)
    }

    /// ARN of a task.
    pub fn task_arn(&self, cluster: ClusterId, id: u128) -> String {
        self.ecs_arn(&format!("task/{}/{id:032x}", self.cluster_name(cluster)))
    }

    /// ARN of a service.
    pub fn service_arn(&self, cluster: ClusterId, name: &str) -> String {
        self.ecs_arn(&format!("service/{}/{name}", self.cluster_name(cluster)))
    }

    /// ARN of the container instance that an EC2 instance is to a cluster.
    pub fn container_instance_arn(&self, cluster: ClusterId, id: InstanceId) -> String {
        let number = u64::from(id.0);
        let digits = format!("{:016x}{:016x}", mix(number), mix(number ^ 0xc0));
        self.ecs_arn(&format!("container-instance/{}/{digits}", self.cluster_name(cluster)))
    }

    /// `startedBy`: the deployment of a service's task, else what the caller said.
    pub fn started_by(&self, task: &Task) -> Option<String> {
        let Some(owner) = task.owner else { return task.started_by.as_deref().map(str::to_owned) };
        let service = self.service(owner.service);
        let deployment = service.deployments.iter().find(|deployment| deployment.number == owner.deployment);
        deployment.map(Deployment::aws_id)
    }

    /// ARN of a target group, or of the Classic Load Balancer that stands for one.
    pub fn target_group_arn(&self, id: TargetGroupId) -> String {
        let group = &self.target_groups[id.index()];
        let (region, name) = (&self.region, &group.definition.name);
        match group.kind {
            BalancerKind::Classic => format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:loadbalancer/{name}"),
            BalancerKind::Application | BalancerKind::Network => {
                let digits = mix(u64::from(id.0) ^ 0x7a);
                format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:targetgroup/{name}/{digits:016x}")
            }
        }
    }

    /// An instance that its group has not forgotten: launching, in service or terminating.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.groups[self.group_of(id)?.index()].instance(id)
    }

    /// The group of an instance that it has not forgotten.
    pub fn group_of(&self, id: InstanceId) -> Option<GroupId> {
        self.instance_groups.get(id).copied()
    }

    /// The container instance of an EC2 instance, while it is registered.
    pub fn container_instance(&self, instance: &Instance) -> Option<&ContainerInstance> {
        instance.registered?;
        self.clusters.iter().find_map(|entry| entry.cluster.instance(instance.id))
    }

    /// Whether tasks are bound to an instance, but for daemons.
    pub fn is_at_work(&self, id: InstanceId) -> bool {
        let host = self.instance(id).and_then(|instance| self.container_instance(instance));
        host.is_some_and(|host| host.at_work() > 0)
    }

    /// What a task of this shape reserves.
    pub fn requirements(&self, shape: ShapeId) -> &Requirements {
        &self.shapes[shape.index()]
    }

    /// The service with this index.
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }
}
