//! The records of a run in AWS's own JSON: EventBridge events (EVT-1…5) and scaling activities.

use serde_json::{Map, Value, json};

use crate::control_plane::record::{Activity, ActivityService, ServiceEvent};
use crate::control_plane::state::State;
use crate::ecs::container_instance::{ContainerInstance, RESERVED_TCP_PORTS, Resources};
use crate::ecs::deployment::Deployment;
use crate::ecs::ids::{ClusterId, InstanceId, mix};
use crate::ecs::task::{Task, TaskStatus};
use crate::ecs::task_definition::{ContainerDefinition, NetworkMode, Protocol};
use crate::engine::time::SimTime;
use crate::report::format::{timestamp, timestamp_seconds};

/// The account of every simulated estate: the one AWS's documentation uses.
pub const ACCOUNT: &str = "111122223333";

/// A bijective mixing of a number into a UUID of version 4's shape.
fn uuid(number: u64, purpose: u64) -> String {
    let (high, low) = (mix(number ^ purpose), mix(number.wrapping_add(purpose).rotate_left(32)));
    let (high, low) = ((high & !0xf000) | 0x4000, (low & !(0b11 << 62)) | (0b10 << 62));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// ARNs of an estate (EVT-2).
#[derive(Clone, Copy, Debug)]
struct Arns<'s> {
    state: &'s State,
}

impl Arns<'_> {
    fn ecs(self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{ACCOUNT}:{resource}", self.state.region)
    }

    fn cluster(self, id: ClusterId) -> String {
        self.ecs(&format!("cluster/{}", self.state.cluster_name(id)))
    }

    fn task(self, task: &Task) -> String {
        self.ecs(&format!("task/{}/{:032x}", self.state.cluster_name(task.cluster), task.id))
    }

    fn container_instance(self, cluster: ClusterId, id: InstanceId) -> String {
        let number = u64::from(id.0);
        let digits = format!("{:016x}{:016x}", mix(number), mix(number ^ 0xc0));
        self.ecs(&format!("container-instance/{}/{digits}", self.state.cluster_name(cluster)))
    }

    fn service(self, cluster: ClusterId, name: &str) -> String {
        self.ecs(&format!("service/{}/{name}", self.state.cluster_name(cluster)))
    }
}

/// EVT-1: the envelope around `detail`; `number` counts the events of the run.
fn envelope(state: &State, now: SimTime, number: u64, kind: &str, resource: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": uuid(number, 0xe7),
        "detail-type": kind,
        "source": "aws.ecs",
        "account": ACCOUNT,
        "time": timestamp_seconds(state.start, now),
        "region": state.region,
        "resources": [resource],
        "detail": detail,
    })
}

/// An ECS Task State Change.
pub fn task_state_change(state: &State, task: &Task, now: SimTime, number: u64) -> Value {
    let arns = Arns { state };
    let stamp = |at: SimTime| Value::from(timestamp(state.start, at));
    let definition = &state.definitions[task.definition.index()].definition;
    let needs = state.requirements(task.shape);
    let (task_arn, cluster_arn) = (arns.task(task), arns.cluster(task.cluster));
    let mut detail = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            detail.insert(key.to_owned(), value);
        }
    };
    put("attachments", attachments(task, definition.network_mode));
    put("availabilityZone", task.zone.map_or(Value::Null, |zone| state.zone_name(zone).into()));
    put("capacityProviderName", state.launch_provider_name(task.launch).into());
    put("clusterArn", cluster_arn.into());
    put("connectivity", if task.times.started.is_some() { "CONNECTED".into() } else { Value::Null });
    put("connectivityAt", task.times.pending.map_or(Value::Null, stamp));
    let host = task.instance.map(|id| arns.container_instance(task.cluster, id));
    put("containerInstanceArn", host.into());
    let containers = definition.containers.iter().enumerate();
    let containers: Vec<Value> = containers
        .map(|(place, container)| container_of(state, task, &task_arn, place, container, definition.network_mode))
        .collect();
    put("containers", containers.into());
    put("cpu", needs.cpu.0.to_string().into());
    put("createdAt", stamp(task.times.created));
    put("desiredStatus", task.desired_status().into());
    put("enableExecuteCommand", false.into());
    if task.launch.is_fargate() {
        let gib = definition.ephemeral_storage_gib.unwrap_or(20);
        put("ephemeralStorage", json!({ "sizeInGiB": gib }));
    }
    put("executionStoppedAt", task.times.execution_stopped.map_or(Value::Null, stamp));
    put("group", state.task_group_name(task.group).into());
    put("launchType", task.launch.launch_type().into());
    put("lastStatus", task.last_status.as_str().into());
    put("memory", needs.memory.0.to_string().into());
    let overrides: Vec<Value> =
        definition.containers.iter().map(|container| json!({ "name": container.name })).collect();
    put("overrides", json!({ "containerOverrides": overrides }));
    put("platformVersion", if task.launch.is_fargate() { "1.4.0".into() } else { Value::Null });
    put("pullStartedAt", task.times.pull_started.map_or(Value::Null, stamp));
    put("pullStoppedAt", task.times.pull_stopped.map_or(Value::Null, stamp));
    put("startedAt", task.times.started.map_or(Value::Null, stamp));
    put("startedBy", started_by(state, task).into());
    put("stopCode", task.stop.as_ref().map(|stop| stop.code.as_str()).into());
    put("stoppedAt", task.times.stopped.map_or(Value::Null, stamp));
    put("stoppedReason", task.stop.as_ref().map(|stop| stop.reason.to_string()).into());
    put("stoppingAt", task.times.stopping.map_or(Value::Null, stamp));
    put("taskArn", task_arn.as_str().into());
    put("taskDefinitionArn", arns.ecs(&format!("task-definition/{}", definition.name())).into());
    put("updatedAt", stamp(now));
    put("version", task.version.into());
    envelope(state, now, number, "ECS Task State Change", &task_arn, &Value::Object(detail))
}

/// The deployment of a service's task, else what the caller said.
fn started_by(state: &State, task: &Task) -> Option<String> {
    let Some(owner) = task.owner else { return task.started_by.as_deref().map(str::to_owned) };
    let service = state.service(owner.service);
    let deployment = service.deployments.iter().find(|deployment| deployment.number == owner.deployment);
    deployment.map(Deployment::aws_id)
}

fn attachments(task: &Task, mode: NetworkMode) -> Value {
    if mode != NetworkMode::Awsvpc {
        return json!([]);
    }
    let status = match task.last_status {
        TaskStatus::Provisioning => "ATTACHING",
        TaskStatus::Stopped => "DELETED",
        _ => "ATTACHED",
    };
    json!([{ "id": uuid(task.number, 0xa7), "type": "eni", "status": status, "details": [] }])
}

fn container_of(
    state: &State,
    task: &Task,
    task_arn: &str,
    place: usize,
    container: &ContainerDefinition,
    mode: NetworkMode,
) -> Value {
    let status = match task.last_status {
        TaskStatus::Provisioning | TaskStatus::Pending => "PENDING",
        TaskStatus::Activating | TaskStatus::Running | TaskStatus::Deactivating | TaskStatus::Stopping
            if task.times.execution_stopped.is_none() =>
        {
            "RUNNING"
        }
        _ => "STOPPED",
    };
    let mut value = json!({
        "containerArn": format!(
            "arn:aws:ecs:{}:{ACCOUNT}:container/{}/{:032x}/{}",
            state.region,
            state.cluster_name(task.cluster),
            task.id,
            uuid(task.number, 0x100 + place as u64)
        ),
        "taskArn": task_arn,
        "name": container.name,
        "image": container.image,
        "lastStatus": status,
    });
    if let Some(code) = task.exit_code.filter(|_| status == "STOPPED") {
        value["exitCode"] = code.into();
    }
    value["networkBindings"] = if status == "RUNNING" { bindings(container, mode) } else { json!([]) };
    value["networkInterfaces"] = json!([]);
    value["cpu"] = container.cpu.0.to_string().into();
    if let Some(memory) = container.memory {
        value["memory"] = memory.0.to_string().into();
    }
    value
}

/// Bindings of static ports; which dynamic port a container gets is not modelled.
fn bindings(container: &ContainerDefinition, mode: NetworkMode) -> Value {
    let port_of = |host: Option<u16>, inside: u16| match (mode, host) {
        (NetworkMode::Host, None | Some(0)) => Some(inside),
        (NetworkMode::Bridge, Some(port)) if port > 0 => Some(port),
        (NetworkMode::Host, port) => port,
        _ => None,
    };
    container
        .port_mappings
        .iter()
        .filter_map(|mapping| {
            let host = port_of(mapping.host_port, mapping.container_port)?;
            let protocol = match mapping.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            Some(json!({
                "bindIP": "0.0.0.0", "containerPort": mapping.container_port, "hostPort": host, "protocol": protocol,
            }))
        })
        .collect()
}

/// An ECS Container Instance State Change (EVT-3); `version` counts the changes of the instance.
pub fn container_instance_state_change(
    state: &State,
    cluster: ClusterId,
    instance: &ContainerInstance,
    version: u32,
    now: SimTime,
    number: u64,
) -> Value {
    let arns = Arns { state };
    let arn = arns.container_instance(cluster, instance.id);
    let attributes: Vec<Value> = instance
        .attributes
        .iter()
        .map(
            |(name, value)| {
                if value.is_empty() { json!({ "name": name }) } else { json!({ "name": name, "value": value }) }
            },
        )
        .collect();
    let detail = json!({
        "agentConnected": instance.agent_connected,
        "attributes": attributes,
        "clusterArn": arns.cluster(cluster),
        "containerInstanceArn": arn,
        "ec2InstanceId": instance.id.ec2_id().to_string(),
        "registeredResources": resources(&instance.registered, &RESERVED_TCP_PORTS, &[]),
        "remainingResources": resources(&instance.remaining, &instance.tcp_ports, &instance.udp_ports),
        "status": instance.status.as_str(),
        "versionInfo": { "agentVersion": instance.agent_version.as_ref() },
        "updatedAt": timestamp(state.start, now),
        "registeredAt": timestamp(state.start, instance.registered_at),
        "version": version,
    });
    envelope(state, now, number, "ECS Container Instance State Change", &arn, &detail)
}

fn resources(amounts: &Resources, tcp: &[u16], udp: &[u16]) -> Value {
    let ports = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>();
    json!([
        { "name": "CPU", "type": "INTEGER", "integerValue": amounts.cpu.0 },
        { "name": "MEMORY", "type": "INTEGER", "integerValue": amounts.memory.0 },
        { "name": "PORTS", "type": "STRINGSET", "stringSetValue": ports(tcp) },
        { "name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": ports(udp) },
    ])
}

/// An ECS Service Action or ECS Deployment State Change (EVT-4, EVT-5); `None` when only the service's own list of
/// events has the line.
pub fn service_event(state: &State, event: &ServiceEvent, now: SimTime, number: u64) -> Option<Value> {
    let action = event.action.as_ref()?;
    let arns = Arns { state };
    let service = state.service(event.service);
    let arn = arns.service(service.cluster, &service.name);
    let mut detail = Map::new();
    detail.insert("eventType".into(), action.event_type.into());
    detail.insert("eventName".into(), action.event_name.into());
    let kind = if let Some(id) = &event.deployment_id {
        detail.insert("deploymentId".into(), id.as_str().into());
        detail.insert("updatedAt".into(), timestamp(state.start, now).into());
        "ECS Deployment State Change"
    } else {
        detail.insert("clusterArn".into(), arns.cluster(service.cluster).into());
        detail.insert("createdAt".into(), timestamp(state.start, now).into());
        "ECS Service Action"
    };
    if let Some(reason) = &action.reason {
        detail.insert("reason".into(), reason.as_str().into());
    }
    Some(envelope(state, now, number, kind, &arn, &Value::Object(detail)))
}

/// A scaling activity in the shape of the API's answer (AAS-12, AAS-15; DescribeScalingActivities of both APIs).
pub fn activity(state: &State, activity: &Activity) -> Value {
    let stamp = |at: SimTime| timestamp(state.start, at);
    let mut value = Map::new();
    let service = activity.service;
    value.insert("ActivityId".into(), uuid(activity.number, 0xac).into());
    match service {
        ActivityService::ApplicationAutoScaling => {
            value.insert("ServiceNamespace".into(), "ecs".into());
            value.insert("ResourceId".into(), activity.resource.as_str().into());
            value.insert("ScalableDimension".into(), "ecs:service:DesiredCount".into());
        }
        ActivityService::AutoScaling => {
            value.insert("AutoScalingGroupName".into(), activity.resource.as_str().into());
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
            let id = uuid(number, 0xe7);
            assert!(shape.is_match(&id), "{id}");
            assert!(seen.insert(id));
        }
    }
}
