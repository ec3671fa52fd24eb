//! The records of a run in AWS's own JSON: EventBridge events (EVT-1…5) and scaling activities.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::catalog::FARGATE_INCLUDED_STORAGE_GIB;
use crate::control_plane::record::{Activity, ActivityService, ServiceEvent};
use crate::control_plane::state::{ACCOUNT, State};
use crate::ecs::capacity_provider::latest_platform;
use crate::ecs::container;
use crate::ecs::container::ImageProgress;
use crate::ecs::container_instance::{ContainerInstance, Resources};
use crate::ecs::host_ports::HostPort;
use crate::ecs::ids::{ClusterId, mix, uuid};
use crate::ecs::task::{Task, TaskStatus};
use crate::ecs::task_definition::{ContainerDefinition, NetworkMode, Protocol};
use crate::engine::time::SimTime;
use crate::report::format::{timestamp, timestamp_seconds};

/// The UUID of the `number`th record of a `purpose`: the same numbers give the same id, and no two the same.
fn record_uuid(number: u64, purpose: u64) -> String {
    uuid(mix(number ^ purpose), mix(number.wrapping_add(purpose).rotate_left(32)))
}

/// EVT-1: the envelope around a `detail`, in EventBridge's order.
#[derive(Clone, Debug, Serialize)]
pub struct Event<'s, D> {
    version: &'static str,
    id: String,
    #[serde(rename = "detail-type")]
    detail_type: &'static str,
    source: &'static str,
    account: &'static str,
    time: String,
    region: &'s str,
    resources: [String; 1],
    detail: D,
}

impl<'s, D> Event<'s, D> {
    /// The `number`-th event of the run, about `resource`.
    fn new(state: &'s State, now: SimTime, number: u64, kind: &'static str, resource: String, detail: D) -> Self {
        Self {
            version: "0",
            id: record_uuid(number, 0xe7),
            detail_type: kind,
            source: "aws.ecs",
            account: ACCOUNT,
            time: timestamp_seconds(state.start, now),
            region: &state.region,
            resources: [resource],
            detail,
        }
    }
}

/// The `detail` of an ECS Task State Change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskDetail<'s> {
    attachments: Vec<Attachment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    availability_zone: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capacity_provider_name: Option<&'s str>,
    cluster_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connectivity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connectivity_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_instance_arn: Option<String>,
    containers: Vec<Container<'s>>,
    cpu: String,
    created_at: String,
    desired_status: &'static str,
    enable_execute_command: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral_storage: Option<EphemeralStorage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_stopped_at: Option<String>,
    group: &'s str,
    launch_type: &'static str,
    last_status: &'static str,
    memory: String,
    overrides: Overrides<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_reason: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopping_at: Option<String>,
    task_arn: String,
    task_definition_arn: String,
    updated_at: String,
    version: u32,
}

/// An ENI of a task.
#[derive(Clone, Debug, Serialize)]
struct Attachment {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    details: Vec<AttachmentDetail>,
}

/// What is known of an attachment.
#[derive(Clone, Debug, Serialize)]
struct AttachmentDetail {
    name: &'static str,
    value: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct EphemeralStorage {
    #[serde(rename = "sizeInGiB")]
    size_gib: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Overrides<'s> {
    container_overrides: Vec<ContainerOverride<'s>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ContainerOverride<'s> {
    name: &'s str,
}

/// A container of a task.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Container<'s> {
    #[serde(rename = "containerArn")]
    arn: String,
    task_arn: String,
    name: &'s str,
    image: &'s str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_digest: Option<&'s str>,
    last_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    network_bindings: Vec<NetworkBinding>,
    network_interfaces: Vec<NetworkInterface>,
    cpu: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkBinding {
    #[serde(rename = "bindIP")]
    bind_ip: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_port_range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_port_range: Option<String>,
    protocol: &'static str,
}

/// The interface of a task with a network of its own.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NetworkInterface {
    attachment_id: String,
    private_ipv4_address: String,
}

/// An ECS Task State Change.
pub fn task_state_change<'s>(state: &'s State, task: &'s Task, now: SimTime, number: u64) -> Event<'s, TaskDetail<'s>> {
    let detail = task_detail(state, task, now);
    Event::new(state, now, number, "ECS Task State Change", detail.task_arn.clone(), detail)
}

/// A task as its events and DescribeTasks show it.
pub fn task_detail<'s>(state: &'s State, task: &'s Task, now: SimTime) -> TaskDetail<'s> {
    let stamp = |at: SimTime| timestamp(state.start, at);
    let definition = &state.definitions[task.definition.index()].definition;
    let needs = state.requirements(task.shape);
    let task_arn = state.task_arn(task.cluster, task.id);
    let containers = definition.containers.iter().enumerate();
    let containers = containers
        .map(|(place, container)| container_of(state, task, &task_arn, place, container, definition.network_mode))
        .collect();
    let named = definition.containers.iter().map(|container| ContainerOverride { name: &container.name });
    let on_fargate = task.launch.is_fargate();
    let gib = definition.ephemeral_storage_gib.unwrap_or(FARGATE_INCLUDED_STORAGE_GIB);
    TaskDetail {
        attachments: attachments(state, task, definition.network_mode),
        availability_zone: task.zone.map(|zone| state.zone_name(zone)),
        capacity_provider_name: state.launch_provider_name(task.launch),
        cluster_arn: cluster_arn(state, task.cluster),
        connectivity: task.times.started.map(|_| "CONNECTED"),
        connectivity_at: task.times.pending.map(stamp),
        container_instance_arn: task.instance.map(|id| state.container_instance_arn(task.cluster, id)),
        containers,
        cpu: needs.cpu.0.to_string(),
        created_at: stamp(task.times.created),
        desired_status: task.desired_status(),
        enable_execute_command: false,
        ephemeral_storage: on_fargate.then_some(EphemeralStorage { size_gib: gib }),
        execution_stopped_at: task.times.execution_stopped.map(stamp),
        group: state.task_group_name(task.group),
        launch_type: task.launch.launch_type(),
        last_status: task.last_status.as_str(),
        memory: needs.memory.0.to_string(),
        overrides: Overrides { container_overrides: named.collect() },
        platform_version: on_fargate.then(|| platform_version(state, task)),
        pull_started_at: task.times.pull_started.map(stamp),
        // The end of a simple pull is known when it begins.
        pull_stopped_at: task.times.pull_stopped.filter(|at| *at <= now).map(stamp),
        started_at: task.times.started.map(stamp),
        started_by: state.started_by(task),
        stop_code: task.stop.as_ref().map(|stop| stop.code.as_str()),
        stopped_at: task.times.stopped.map(stamp),
        stopped_reason: task.stop.as_ref().map(|stop| &*stop.reason),
        stopping_at: task.times.stopping.map(stamp),
        task_definition_arn: state.ecs_arn(&format!("task-definition/{}", definition.name())),
        task_arn,
        updated_at: stamp(now),
        version: task.version,
    }
}

/// FG-10: what the call asked for, else the latest of the operating system.
fn platform_version(state: &State, task: &Task) -> String {
    let system = state.definitions[task.definition.index()].definition.operating_system;
    let (major, minor, patch) = state.profiles[task.profile.index()].extras.platform.unwrap_or(latest_platform(system));
    format!("{major}.{minor}.{patch}")
}

fn cluster_arn(state: &State, id: ClusterId) -> String {
    state.ecs_arn(&format!("cluster/{}", state.cluster_name(id)))
}

/// The ENI of a task, with its subnet and address once it has one.
fn attachments(state: &State, task: &Task, mode: NetworkMode) -> Vec<Attachment> {
    if mode != NetworkMode::Awsvpc {
        return Vec::new();
    }
    let status = match task.last_status {
        TaskStatus::Provisioning => "ATTACHING",
        TaskStatus::Stopped => "DELETED",
        _ => "ATTACHED",
    };
    let detail = |name, value| AttachmentDetail { name, value };
    let interface = mix(task.number ^ 0xe1);
    let details = task.address.zip(task.zone).map(|(address, zone)| {
        vec![
            detail("subnetId", format!("subnet-{}", state.zone_name(zone))),
            detail("networkInterfaceId", format!("eni-0{interface:016x}")),
            detail("privateIPv4Address", address.to_string()),
        ]
    });
    vec![Attachment { id: eni_attachment(task), kind: "eni", status, details: details.unwrap_or_default() }]
}

fn eni_attachment(task: &Task) -> String {
    record_uuid(task.number, 0xa7)
}

fn container_of<'s>(
    state: &'s State,
    task: &Task,
    task_arn: &str,
    place: usize,
    container: &'s ContainerDefinition,
    mode: NetworkMode,
) -> Container<'s> {
    let own_state = task.containers.get(place).copied().unwrap_or_default();
    let last_status = own_state.status.as_str();
    let cluster = state.cluster_name(task.cluster);
    let own = record_uuid(task.number, 0x100 + place as u64);
    Container {
        arn: format!("arn:aws:ecs:{}:{ACCOUNT}:container/{cluster}/{:032x}/{own}", state.region, task.id),
        task_arn: task_arn.to_owned(),
        name: &container.name,
        image: &container.image,
        image_digest: (own_state.image == ImageProgress::Ready)
            .then(|| &*state.software[task.software.index()].digests[place]),
        last_status,
        exit_code: own_state.exit_code.filter(|_| last_status == "STOPPED"),
        reason: (own_state.over_limit && own_state.exit_code == Some(137))
            .then_some(container::Container::OUT_OF_MEMORY),
        network_bindings: if last_status == "RUNNING" { bindings(task, place, container, mode) } else { Vec::new() },
        network_interfaces: (task.address.iter())
            .map(|address| NetworkInterface {
                attachment_id: eni_attachment(task),
                private_ipv4_address: address.to_string(),
            })
            .collect(),
        cpu: container.cpu.0.to_string(),
        memory: container.memory.map(|memory| memory.0.to_string()),
    }
}

/// The ports of the host that lead to a container: static ones, and those that the agent has chosen (TD-22, TD-23).
fn bindings(task: &Task, place: usize, container: &ContainerDefinition, mode: NetworkMode) -> Vec<NetworkBinding> {
    let dynamic = |number: usize| {
        let of_mapping = |port: &&HostPort| (usize::from(port.container), usize::from(port.mapping)) == (place, number);
        task.ports.iter().find(of_mapping).map(|port| port.host_port)
    };
    let range = |first: u16, count: u16| format!("{first}-{}", u32::from(first) + u32::from(count) - 1);
    let mappings = container.port_mappings.iter().enumerate();
    mappings
        .filter_map(|(number, mapping)| {
            let host_port = mapping.static_port(mode).or_else(|| dynamic(number))?;
            let (inside, count) = (mapping.container_port, mapping.count);
            let single = count == 1;
            Some(NetworkBinding {
                bind_ip: "0.0.0.0",
                container_port: single.then_some(inside),
                host_port: single.then_some(host_port),
                container_port_range: (!single).then(|| range(inside, count)),
                host_port_range: (!single).then(|| range(host_port, count)),
                protocol: match mapping.protocol {
                    Protocol::Tcp => "tcp",
                    Protocol::Udp => "udp",
                },
            })
        })
        .collect()
}

/// The `detail` of an ECS Container Instance State Change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInstanceDetail<'s> {
    agent_connected: bool,
    attributes: Vec<HostAttribute<'s>>,
    cluster_arn: String,
    container_instance_arn: String,
    ec2_instance_id: String,
    registered_resources: [HostResource<'s>; 4],
    remaining_resources: [HostResource<'s>; 4],
    status: &'static str,
    version_info: VersionInfo<'s>,
    updated_at: String,
    registered_at: String,
    version: u32,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct HostAttribute<'s> {
    name: &'s str,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: &'s str,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo<'s> {
    agent_version: &'s str,
}

/// A resource of a host: an amount, or a set of ports.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HostResource<'s> {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer_value: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_set_value: Option<Ports<'s>>,
}

/// Ports, which AWS spells as a set of strings.
#[derive(Clone, Copy, Debug)]
struct Ports<'s>(&'s [u16]);

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(u16::to_string))
    }
}

fn resources<'s>(amounts: &Resources, tcp: &'s [u16], udp: &'s [u16]) -> [HostResource<'s>; 4] {
    let integer =
        |name, value| HostResource { name, kind: "INTEGER", integer_value: Some(value), string_set_value: None };
    let set = |name, ports| HostResource {
        name,
        kind: "STRINGSET",
        integer_value: None,
        string_set_value: Some(Ports(ports)),
    };
    [integer("CPU", amounts.cpu.0), integer("MEMORY", amounts.memory.0), set("PORTS", tcp), set("PORTS_UDP", udp)]
}

/// An ECS Container Instance State Change (EVT-3); `version` counts the changes of the instance.
pub fn container_instance_state_change<'s>(
    state: &'s State,
    cluster: ClusterId,
    instance: &'s ContainerInstance,
    version: u32,
    now: SimTime,
    number: u64,
) -> Event<'s, ContainerInstanceDetail<'s>> {
    let detail = container_instance_detail(state, cluster, instance, version, now);
    let arn = detail.container_instance_arn.clone();
    Event::new(state, now, number, "ECS Container Instance State Change", arn, detail)
}

/// A container instance as its events and DescribeContainerInstances show it.
pub fn container_instance_detail<'s>(
    state: &'s State,
    cluster: ClusterId,
    instance: &'s ContainerInstance,
    version: u32,
    now: SimTime,
) -> ContainerInstanceDetail<'s> {
    ContainerInstanceDetail {
        agent_connected: instance.agent_connected,
        attributes: instance.attributes.iter().map(|(name, value)| HostAttribute { name, value }).collect(),
        cluster_arn: cluster_arn(state, cluster),
        container_instance_arn: state.container_instance_arn(cluster, instance.id),
        ec2_instance_id: instance.id.ec2_id().to_string(),
        registered_resources: resources(&instance.registered, instance.reserved_by_host(), &[]),
        remaining_resources: resources(&instance.remaining, &instance.tcp_ports, &instance.udp_ports),
        status: instance.status.as_str(),
        version_info: VersionInfo { agent_version: &instance.agent_version },
        updated_at: timestamp(state.start, now),
        registered_at: timestamp(state.start, instance.registered_at),
        version,
    }
}

/// The `detail` of an ECS Service Action or ECS Deployment State Change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDetail<'s> {
    event_type: &'static str,
    event_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_id: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'s str>,
}

/// An ECS Service Action or ECS Deployment State Change (EVT-4, EVT-5); `None` when only the service's own list of
/// events has the line.
pub fn service_event<'s>(
    state: &'s State,
    event: &'s ServiceEvent,
    now: SimTime,
    number: u64,
) -> Option<Event<'s, ServiceDetail<'s>>> {
    let action = event.action.as_ref()?;
    let service = state.service(event.service);
    let deployment_id = event.deployment_id.as_deref();
    let at = timestamp(state.start, now);
    let (updated_at, created_at) = if deployment_id.is_some() { (Some(at), None) } else { (None, Some(at)) };
    let detail = ServiceDetail {
        event_type: action.event_type,
        event_name: action.event_name,
        deployment_id,
        cluster_arn: deployment_id.is_none().then(|| cluster_arn(state, service.cluster)),
        updated_at,
        created_at,
        reason: action.reason.as_deref(),
    };
    let kind = if deployment_id.is_some() { "ECS Deployment State Change" } else { "ECS Service Action" };
    Some(Event::new(state, now, number, kind, state.service_arn(service.cluster, &service.name), detail))
}

/// A scaling activity in the shape of the API's answer (AAS-12, AAS-15; DescribeScalingActivities of both APIs).
pub fn activity(state: &State, activity: &Activity) -> Value {
    let stamp = |at: SimTime| timestamp(state.start, at);
    let mut value = Map::new();
    let service = activity.service;
    value.insert("ActivityId".into(), record_uuid(activity.id.number(), 0xac).into());
    match service {
        ActivityService::ApplicationAutoScaling => {
            value.insert("ServiceNamespace".into(), "ecs".into());
            value.insert("ResourceId".into(), activity.resource.as_str().into());
            value.insert("ScalableDimension".into(), "ecs:service:DesiredCount".into());
        }
        ActivityService::AutoScaling => {
            value.insert("AutoScalingGroupName".into(), activity.resource.as_str().into());
        }
        ActivityService::Call => {
            value.insert("ResourceId".into(), activity.resource.as_str().into());
        }
    }
    value.insert("Description".into(), activity.description.as_str().into());
    value.insert("Cause".into(), activity.cause.as_str().into());
    value.insert("StartTime".into(), stamp(activity.start).into());
    if let Some(end) = activity.end {
        value.insert("EndTime".into(), stamp(end).into());
    }
    value.insert("StatusCode".into(), activity.status.into());
    if !activity.message.is_empty() {
        value.insert("StatusMessage".into(), activity.message.as_str().into());
    }
    if !activity.not_scaled.is_empty() {
        let reasons: Vec<Value> = activity.not_scaled.iter().map(|code| json!({ "Code": code })).collect();
        value.insert("NotScaledReasons".into(), reasons.into());
    }
    if service == ActivityService::AutoScaling {
        let progress = match activity.status {
            "Successful" | "Failed" | "Cancelled" => 100,
            _ => 0,
        };
        value.insert("Progress".into(), progress.into());
    }
    Value::Object(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_the_shape_of_version_four_and_never_clash() {
        let shape = regex::Regex::new("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..10_000 {
            let id = record_uuid(number, 0xe7);
            assert!(shape.is_match(&id), "{id}");
            assert!(seen.insert(id));
        }
    }
}
