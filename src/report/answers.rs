//! Answers to Describe and List calls in the shape of AWS's API (TASK-18).

use serde_json::{Map, Value, json};

use crate::control_plane::reads::{Answer, Missing};
use crate::control_plane::state::State;
use crate::ecs::container::HealthStatus;
use crate::ecs::deployment::Deployment;
use crate::ecs::ids::{ClusterId, ServiceId, TaskDefinitionId, mix, uuid};
use crate::ecs::service::{ResolvedLaunch, SchedulingStrategy, ServiceStatus};
use crate::ecs::task::{Task, TaskStatus};
use crate::ecs::task_definition::{ContainerDefinition, DefinitionStatus, Protocol};
use crate::engine::time::SimTime;
use crate::report::events::{container_instance_detail, task_detail};
use crate::report::format::timestamp;

/// The answer as the API writes it.
pub fn answer(state: &State, answer: &Answer, now: SimTime) -> Value {
    match answer {
        Answer::Tasks(tasks, missing) => {
            let tasks: Vec<Value> =
                tasks.iter().map(|(task, health)| described_task(state, task, *health, now)).collect();
            json!({ "tasks": tasks, "failures": failures(missing) })
        }
        Answer::Services(services, missing) => {
            let services: Vec<Value> = services.iter().map(|id| service(state, *id)).collect();
            json!({ "services": services, "failures": failures(missing) })
        }
        Answer::ContainerInstances(cluster, instances, missing) => {
            let hosts = instances.iter().filter_map(|id| state.clusters[cluster.index()].cluster.instance(*id));
            let hosts: Vec<Value> = hosts
                .map(|host| {
                    let mut value = json!(container_instance_detail(state, *cluster, host, 0, now));
                    if let Value::Object(fields) = &mut value {
                        // The count of its events is their observer's.
                        fields.remove("version");
                        fields.insert("runningTasksCount".to_owned(), json!(host.running));
                        fields.insert("pendingTasksCount".to_owned(), json!(host.pending));
                    }
                    value
                })
                .collect();
            json!({ "containerInstances": hosts, "failures": failures(missing) })
        }
        Answer::Clusters(clusters, missing) => {
            let clusters: Vec<Value> = clusters.iter().map(|id| cluster(state, *id)).collect();
            json!({ "clusters": clusters, "failures": failures(missing) })
        }
        Answer::TaskDefinition(id) => json!({ "taskDefinition": task_definition(state, *id) }),
        Answer::Arns(key, arns, next) => {
            let mut value = Map::from_iter([((*key).to_owned(), json!(arns))]);
            if let Some(token) = next {
                value.insert("nextToken".to_owned(), json!(token));
            }
            Value::Object(value)
        }
        Answer::Targets(targets) => {
            let targets: Vec<Value> = targets
                .iter()
                .map(|target| {
                    let mut health = Map::from_iter([("State".to_owned(), json!(target.state))]);
                    if let Some(description) = &target.description {
                        let codes = description.contains("codes");
                        let reason = match description.as_str() {
                            "Request timed out" => "Target.Timeout",
                            _ if codes => "Target.ResponseCodeMismatch",
                            _ => "Target.FailedHealthChecks",
                        };
                        health.insert("Reason".to_owned(), json!(reason));
                        health.insert("Description".to_owned(), json!(description));
                    }
                    json!({
                        "Target": {
                            "Id": target.target.id,
                            "Port": target.target.port,
                            "AvailabilityZone": target.zone.map(|zone| state.zone_name(zone)),
                        },
                        "TargetHealth": health,
                    })
                })
                .collect();
            json!({ "TargetHealthDescriptions": targets })
        }
    }
}

fn failures(missing: &[Missing]) -> Vec<Value> {
    missing.iter().map(|one| json!({ "arn": one.arn, "reason": Missing::REASON })).collect()
}

fn described_task(state: &State, task: &Task, health: Option<HealthStatus>, now: SimTime) -> Value {
    // TASK-4: a task changed last when it stopped.
    let mut value = json!(task_detail(state, task, task.times.stopped.unwrap_or(now)));
    if let Value::Object(fields) = &mut value {
        let health = match health {
            Some(HealthStatus::Healthy) => "HEALTHY",
            Some(HealthStatus::Unhealthy) => "UNHEALTHY",
            Some(HealthStatus::Unknown) | None => "UNKNOWN",
        };
        fields.insert("healthStatus".to_owned(), json!(health));
        // An instant of the event, not of the task.
        fields.remove("updatedAt");
    }
    value
}

fn service(state: &State, id: ServiceId) -> Value {
    let service = state.service(id);
    let mut value = json!({
        "serviceArn": state.service_arn(service.cluster, &service.name),
        "serviceName": service.name,
        "clusterArn": state.ecs_arn(&format!("cluster/{}", state.cluster_name(service.cluster))),
        "status": match service.status {
            ServiceStatus::Active => "ACTIVE",
            ServiceStatus::Draining => "DRAINING",
            ServiceStatus::Inactive => "INACTIVE",
        },
        "schedulingStrategy": match service.scheduling {
            SchedulingStrategy::Replica => "REPLICA",
            SchedulingStrategy::Daemon => "DAEMON",
        },
        "desiredCount": service.desired,
        "runningCount": service.running,
        "pendingCount": service.pending(),
        "deployments": service.deployments.iter().rev().map(|one| deployment(state, id, one)).collect::<Vec<_>>(),
        "loadBalancers": service.load_balancers.iter().map(|(group, balancer)| json!({
            "targetGroupArn": state.target_group_arn(*group),
            "containerName": balancer.container,
            "containerPort": balancer.container_port,
        })).collect::<Vec<_>>(),
        "events": service.events.newest().map(|line| json!({
            "id": uuid(mix(line.number ^ u64::from(id.0) << 40), mix(line.number.wrapping_add(0x5e))),
            "createdAt": timestamp(state.start, line.created),
            "message": line.message,
        })).collect::<Vec<_>>(),
    });
    if let (Value::Object(fields), Some(definition)) = (&mut value, service.definition()) {
        let arn = state.ecs_arn(&format!("task-definition/{}", state.definition_name(definition)));
        fields.insert("taskDefinition".to_owned(), json!(arn));
        match &service.launch {
            ResolvedLaunch::Type(target) => fields.insert("launchType".to_owned(), json!(target.launch_type())),
            ResolvedLaunch::Strategy(items) => {
                let items = items.iter().map(|item| {
                    json!({ "capacityProvider": state.provider_name(item.provider), "weight": item.weight, "base": item.base })
                });
                fields.insert("capacityProviderStrategy".to_owned(), items.collect())
            }
        };
    }
    value
}

fn deployment(state: &State, service: ServiceId, deployment: &Deployment) -> Value {
    let newest = state.service(service).primary().is_some_and(|primary| primary.number == deployment.number);
    let tasks = state.service(service).tasks.values().map(|key| &state.tasks[*key]);
    let own: Vec<&Task> =
        tasks.filter(|task| task.owner.is_some_and(|owner| owner.deployment == deployment.number)).collect();
    let running = own.iter().filter(|task| task.last_status == TaskStatus::Running).count();
    json!({
        "id": deployment.aws_id(),
        "status": if newest { "PRIMARY" } else { "ACTIVE" },
        "taskDefinition": state.ecs_arn(&format!("task-definition/{}", state.definition_name(deployment.definition))),
        "runningCount": running,
        "pendingCount": own.len() - running,
        "failedTasks": deployment.failures,
        "createdAt": timestamp(state.start, deployment.created),
        "rolloutState": deployment.rollout.as_str(),
    })
}

fn cluster(state: &State, id: ClusterId) -> Value {
    let entry = &state.clusters[id.index()];
    let tasks = || state.tasks.values().filter(|task| task.cluster == id && task.desired_running());
    let running = tasks().filter(|task| task.last_status == TaskStatus::Running).count();
    let services = state.services.iter();
    json!({
        "clusterArn": state.ecs_arn(&format!("cluster/{}", entry.name)),
        "clusterName": &*entry.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": entry.cluster.len(),
        "runningTasksCount": running,
        "pendingTasksCount": tasks().count() - running,
        "activeServicesCount":
            services.filter(|service| service.cluster == id && service.status == ServiceStatus::Active).count(),
        "capacityProviders":
            entry.providers.iter().map(|provider| state.provider_name(*provider)).collect::<Vec<_>>(),
        "defaultCapacityProviderStrategy": entry.default_strategy.iter().map(|item| json!({
            "capacityProvider": item.provider, "weight": item.weight, "base": item.base,
        })).collect::<Vec<_>>(),
    })
}

/// TD-28: with what registration has filled in.
fn task_definition(state: &State, id: TaskDefinitionId) -> Value {
    let definition = &state.definitions[id.index()].definition;
    let attributes = definition.required_capabilities().iter().map(|one| json!({ "name": one.attribute() }));
    let mut value = json!({
        "taskDefinitionArn": state.ecs_arn(&format!("task-definition/{}", definition.name())),
        "family": definition.family,
        "revision": definition.revision,
        "status": match definition.status {
            DefinitionStatus::Active => "ACTIVE",
            DefinitionStatus::Inactive | DefinitionStatus::Internal => "INACTIVE",
            DefinitionStatus::DeleteInProgress => "DELETE_IN_PROGRESS",
        },
        "networkMode": definition.network_mode.as_str(),
        "containerDefinitions": definition.containers.iter().map(container).collect::<Vec<_>>(),
        "requiresAttributes": attributes.collect::<Vec<_>>(),
    });
    if let Value::Object(fields) = &mut value {
        // The API writes a task's size as text.
        if let Some(cpu) = definition.cpu {
            fields.insert("cpu".to_owned(), json!(cpu.0.to_string()));
        }
        if let Some(memory) = definition.memory {
            fields.insert("memory".to_owned(), json!(memory.0.to_string()));
        }
    }
    value
}

fn container(container: &ContainerDefinition) -> Value {
    let mut value = json!({
        "name": container.name,
        "image": container.image,
        "cpu": container.cpu.0,
        "essential": container.essential,
        "portMappings": container.port_mappings.iter().map(|mapping| {
            let protocol = match mapping.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            if mapping.count > 1 {
                let last = mapping.container_port + (mapping.count - 1);
                json!({ "containerPortRange": format!("{}-{last}", mapping.container_port), "protocol": protocol })
            } else {
                let host = mapping.host_port.unwrap_or(0);
                json!({ "containerPort": mapping.container_port, "hostPort": host, "protocol": protocol })
            }
        }).collect::<Vec<_>>(),
        "environment": container.environment.iter().map(|(name, value)| json!({ "name": name, "value": value }))
            .collect::<Vec<_>>(),
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
    });
    if let Value::Object(fields) = &mut value {
        if let Some(memory) = container.memory {
            fields.insert("memory".to_owned(), json!(memory.0));
        }
        if let Some(memory) = container.memory_reservation {
            fields.insert("memoryReservation".to_owned(), json!(memory.0));
        }
    }
    value
}
