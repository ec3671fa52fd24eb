//! EventBridge fidelity: `spec/tasks-and-services.md`, section 13. Every event of a long run has the shape that the
//! specification gives it, and whoever listens to the events alone knows the state of the clusters.

use std::collections::BTreeMap;
use std::fs;

use assert_cmd::Command;
use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::engine::time::SimTime;
use ecsim::scenario::{LoadOptions, load_str};
use serde_json::Value;
use tempfile::TempDir;

/// An estate in which most things happen: hosts come, drain and go, tasks of every kind start, fail, crash and stop.
const BUSY: &str = "
name: busy
duration: 6h
seed: 11
clusters: [{clusterName: c, capacityProviders: [cp, FARGATE]}]
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.xlarge, MinSize: 1, MaxSize: 8, DesiredCapacity: 2,
     AvailabilityZones: [us-east-1a, us-east-1b], ecsAttributes: {rack: r1}}
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
targetGroups: [{Name: tg, Attributes: [{Key: deregistration_delay.timeout_seconds, Value: '20'}]}]
taskDefinitions:
  - family: web
    containerDefinitions:
      - {name: app, image: web, cpu: 256, memory: 256, portMappings: [{containerPort: 80, hostPort: 8080}],
         healthCheck: {command: [CMD, 'true'], interval: 10}, dependsOn: [{containerName: init, condition: SUCCESS}],
         behaviour: {crashes: {mtbf: {exponential: {mean: 90m}}}, image: {sizeMiB: 200}}}
      - {name: init, image: init, cpu: 64, memory: 64, essential: false, behaviour: {runsFor: 5s}}
      - {name: log, image: log, cpu: 64, memory: 64, essential: false,
         restartPolicy: {enabled: true, restartAttemptPeriod: 60}, behaviour: {runsFor: 20m, exitCode: 1}}
  - {family: broken, containerDefinitions: [{name: app, image: web, cpu: 256, memory: 256,
     portMappings: [{containerPort: 80, hostPort: 8081}]}], behaviour: {runsFor: 1s, exitCode: 1}}
  - {family: agent, containerDefinitions: [{name: agent, image: agent, cpu: 64, memory: 64}]}
  - {family: job, containerDefinitions: [{name: job, image: job, cpu: 1024, memory: 1024}],
     behaviour: {runsFor: {exponential: {mean: 7m}}}}
  - {family: small, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{name: small, image: small}]}
services:
  - {serviceName: web, cluster: c, taskDefinition: web, desiredCount: 2, launchType: EC2,
     deploymentConfiguration: {deploymentCircuitBreaker: {enable: true, rollback: true}},
     loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}]}
  - {serviceName: agent, cluster: c, taskDefinition: agent, schedulingStrategy: DAEMON}
  - {serviceName: small, cluster: c, taskDefinition: small, desiredCount: 3, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b]}}}
workloads:
  - {name: jobs, tasks: {cluster: c, taskDefinition: job, arrivals: {poisson: 30/h},
     capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}}
actions:
  - {at: 1h, call: 'ecs:UpdateService', with: {cluster: c, service: web, taskDefinition: broken}}
  - {at: 90m, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 4}}
  - {at: 2h, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, containerInstances: ['#0'], status: DRAINING}}
  - {at: 3h, call: 'ecs:UpdateService', with: {cluster: c, service: small, forceNewDeployment: true}}
  - {at: 4h, call: 'ecs:StopTask', with: {cluster: c, task: 'service:small', reason: because}}
  - {at: 5h, call: 'ecs:DeleteService', with: {cluster: c, service: small, force: true}}
  - {at: 359m, call: 'ecs:UpdateService', with: {cluster: c, service: web, forceNewDeployment: true}}
";

/// The events of a run of [`BUSY`], as the program writes them.
fn events() -> Vec<Value> {
    let desk = TempDir::new().unwrap();
    fs::write(desk.path().join("busy.yaml"), BUSY).unwrap();
    let mut command = Command::cargo_bin("ecsim").unwrap();
    command.current_dir(desk.path()).args(["run", "busy.yaml", "--quiet", "--detail", "full", "--out", "busy"]);
    command.assert().success();
    let lines = fs::read_to_string(desk.path().join("busy/events.jsonl")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn evt_1_every_event_of_a_long_run_has_the_shape_of_the_specification() {
    let schema: Value = serde_json::from_str(include_str!("schemas/events.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let events = events();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for event in &events {
        let wrong: Vec<String> =
            validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{event:#}");
        let name = event["detail"]["eventName"].as_str().unwrap_or_default();
        *kinds.entry(format!("{} {name}", event["detail-type"].as_str().unwrap())).or_default() += 1;
    }
    for kind in [
        "ECS Task State Change ",
        "ECS Container Instance State Change ",
        "ECS Service Action SERVICE_STEADY_STATE",
        "ECS Service Action TASKS_STARTED",
        "ECS Service Action TASKS_STOPPED",
        "ECS Deployment State Change SERVICE_DEPLOYMENT_IN_PROGRESS",
        "ECS Deployment State Change SERVICE_DEPLOYMENT_COMPLETED",
        "ECS Deployment State Change SERVICE_DEPLOYMENT_FAILED",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:#?}");
    }
    assert!(events.len() > 1000, "a long run: {}", events.len());
    // The schema is not one that lets everything pass.
    let mut broken = events[0].clone();
    broken["detail"]["healthStatus"] = Value::from("HEALTHY");
    assert!(!validator.is_valid(&broken), "an event has no healthStatus");
}

/// A task as listeners know it: what it is at, what is wanted of it, its version, its host, and its containers.
type KnownTask = (String, String, u64, Option<String>, Vec<String>);

/// A host: its status, CPU and MEMORY left, ports taken.
type KnownHost = (String, u64, u64, Vec<String>);

/// What is known of the clusters.
#[derive(Debug, Default, PartialEq)]
struct Store {
    tasks: BTreeMap<String, KnownTask>,
    hosts: BTreeMap<String, KnownHost>,
    /// Services with the id of their newest deployment and its state.
    deployments: BTreeMap<String, (String, String)>,
}

impl Store {
    /// From events alone: the newest version of everything, the stopped and the gone forgotten.
    fn of_events(events: &[Value]) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let last = |value: &Value| text(value).rsplit('/').next().unwrap_or_default().to_owned();
        let mut store = Self::default();
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for event in events {
            let (detail, resource) = (&event["detail"], text(&event["resources"][0]));
            if let Some(version) = detail["version"].as_u64() {
                let before = versions.insert(resource.clone(), version);
                assert!(before.is_none_or(|before| before < version), "{resource} goes back to version {version}");
            }
            match event["detail-type"].as_str().unwrap() {
                "ECS Task State Change" if detail["lastStatus"] == "STOPPED" => {
                    store.tasks.remove(&last(&event["resources"][0]));
                }
                "ECS Task State Change" => {
                    let containers = detail["containers"].as_array().unwrap();
                    let host = detail["containerInstanceArn"].as_str().map(|arn| names[arn].clone());
                    let known = (
                        text(&detail["lastStatus"]),
                        text(&detail["desiredStatus"]),
                        detail["version"].as_u64().unwrap(),
                        host,
                        containers.iter().map(|container| text(&container["lastStatus"])).collect(),
                    );
                    store.tasks.insert(last(&event["resources"][0]), known);
                }
                "ECS Container Instance State Change" => {
                    let id = text(&detail["ec2InstanceId"]);
                    names.insert(resource, id.clone());
                    if detail["status"] == "INACTIVE" {
                        store.hosts.remove(&id);
                        continue;
                    }
                    let left = |name: &str| {
                        let resources = detail["remainingResources"].as_array().unwrap();
                        resources.iter().find(|resource| resource["name"] == name).unwrap().clone()
                    };
                    let ports = left("PORTS")["stringSetValue"].as_array().unwrap().iter().map(text).collect();
                    let cpu = left("CPU")["integerValue"].as_u64().unwrap();
                    let memory = left("MEMORY")["integerValue"].as_u64().unwrap();
                    store.hosts.insert(id, (text(&detail["status"]), cpu, memory, ports));
                }
                "ECS Deployment State Change" => {
                    let state = match detail["eventName"].as_str().unwrap() {
                        "SERVICE_DEPLOYMENT_IN_PROGRESS" => "IN_PROGRESS",
                        "SERVICE_DEPLOYMENT_COMPLETED" => "COMPLETED",
                        _ => "FAILED",
                    };
                    let name = last(&event["resources"][0]);
                    store.deployments.insert(name, (text(&detail["deploymentId"]), state.to_owned()));
                }
                _ => {}
            }
        }
        store
    }

    /// The simulator's own state.
    fn of_state(state: &State) -> Self {
        let mut store = Self::default();
        for task in state.tasks.values() {
            let known = (
                task.last_status.as_str().to_owned(),
                task.desired_status().to_owned(),
                u64::from(task.version),
                task.instance.map(|host| host.ec2_id().to_string()),
                task.containers.iter().map(|container| container.status.as_str().to_owned()).collect(),
            );
            store.tasks.insert(format!("{:032x}", task.id), known);
        }
        for host in state.clusters.iter().flat_map(|entry| entry.cluster.instances()) {
            let ports = host.tcp_ports.iter().map(u16::to_string).collect();
            let known = (host.status.as_str().to_owned(), host.remaining.cpu.0, host.remaining.memory.0, ports);
            store.hosts.insert(host.id.ec2_id().to_string(), known);
        }
        for service in &state.services {
            let newest = service.deployments.last().unwrap();
            store.deployments.insert(service.name.clone(), (newest.aws_id(), newest.rollout.as_str().to_owned()));
        }
        store
    }
}

/// Keeps the last state of a run.
#[derive(Default)]
struct LastState(Store);

impl Observer for LastState {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, _now: SimTime, _record: &Record<'_>, _state: &State) {}

    fn finish(&mut self, _now: SimTime, state: &State) {
        self.0 = Store::of_state(state);
    }
}

#[test]
fn a_store_that_listens_to_the_events_knows_the_state_of_the_clusters() {
    let scenario = match load_str("busy.yaml", BUSY, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    };
    let mut last = LastState::default();
    run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut last, |_| {});
    let LastState(simulated) = last;
    let known = Store::of_events(&events());
    assert_eq!(known.tasks, simulated.tasks);
    assert_eq!(known.hosts, simulated.hosts);
    for (service, deployment) in &simulated.deployments {
        // A service that is being deleted ends its deployment without a word.
        let deleted = service == "small";
        assert!(deleted || known.deployments.get(service) == Some(deployment), "{service}: {known:#?}");
    }
    assert!(simulated.tasks.len() > 8 && simulated.hosts.len() > 1, "{simulated:#?}");
}
