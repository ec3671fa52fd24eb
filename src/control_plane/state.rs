//! Everything the control plane knows: the entities of one run, by dense index.

use std::sync::Arc;

use slotmap::SlotMap;

use crate::control_plane::api::{
    CreateCapacityProvider, CreateLoadBalancer, CreateTargetGroup, RegisterTaskDefinition,
};
use crate::control_plane::record::Resource;
use crate::ecs::capacity_provider::Provider;
use crate::ecs::ids::{ClusterId, GroupId, ServiceId, ShapeId, TaskDefinitionId, TaskGroupId, TaskKey, ZoneId};
use crate::ecs::service::{ResolvedItem, Service};
use crate::ecs::task::{LaunchTarget, Task};
use crate::ecs::task_definition::Requirements;

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
    /// Capacity providers by [`ProviderId`](crate::ecs::ids::ProviderId).
    pub providers: Vec<CapacityProvider>,
    /// Task definitions by [`TaskDefinitionId`], every revision.
    pub definitions: Vec<RegisterTaskDefinition>,
    /// Requirements by [`ShapeId`].
    pub shapes: Vec<Requirements>,
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
    /// Names of workloads by [`WorkloadId`](crate::ecs::ids::WorkloadId).
    pub workloads: Vec<Arc<str>>,
}

/// A cluster and what belongs to it.
#[derive(Debug)]
pub struct ClusterEntry {
    /// `clusterName`.
    pub name: Arc<str>,
    /// Its capacity providers.
    pub providers: Vec<Provider>,
    /// Its default strategy; empty means launch type EC2.
    pub default_strategy: Vec<ResolvedItem>,
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
}

/// A target group.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// Its settings.
    pub definition: CreateTargetGroup,
    /// Healthy targets.
    pub healthy: u32,
    /// Registered targets: initial, healthy or unhealthy.
    pub registered: u32,
}

impl State {
    /// `family:revision`.
    pub fn definition_name(&self, id: TaskDefinitionId) -> String {
        self.definitions[id.index()].definition.name()
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
            Resource::Workload(id) => format!("workload/{}", self.workloads[id.index()]),
            Resource::Group(_) | Resource::Alarm(_) => String::new(),
        }
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
