//! What an operator can ask, and what ports, addresses and targets tasks have: `spec/tasks-and-services.md`, sections 1,
//! 2.3, 7, 8 and 13.

use serde_json::Value;

use crate::lab::{Log, run_text};

/// A service of three tasks on one host behind a load balancer, and this timeline.
fn balanced(actions: &str) -> Log {
    run_text(&format!(
        "
name: lab
duration: 2h
clusters: [{{clusterName: default}}, {{clusterName: empty}}]
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a]}}
loadBalancers: [{{Name: lb, Type: application}}]
targetGroups:
  - {{Name: tg, loadBalancer: lb, TargetType: instance, HealthCheckIntervalSeconds: 10, HealthCheckPath: /health,
     Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '20'}}]}}
taskDefinitions:
  - family: web
    containerDefinitions:
      - {{name: app, image: app, cpu: 64, memory: 64, portMappings: [{{containerPort: 80}}, {{containerPortRange: 90-92}}],
         behaviour: {{probeStatus: {{/health: 200}}}}}}
  - {{family: job, containerDefinitions: [{{name: job, image: job, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 3, launchType: EC2,
     loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]}}
actions:
{actions}
"
    ))
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: '{call}', with: {{{with}}}}}\n")
}

/// The answers to a call, in order.
fn answers<'a>(log: &'a Log, call: &str) -> Vec<&'a Value> {
    log.answers.iter().filter(|(_, name, _)| name == call).map(|(.., answer)| answer).collect()
}

fn list<'a>(answer: &'a Value, key: &str) -> &'a Vec<Value> {
    answer[key].as_array().unwrap_or_else(|| panic!("no list of {key} in {answer:#}"))
}

#[test]
fn ex_elb_8_three_tasks_on_one_host_are_three_targets() {
    let actions = call("15m", "elasticloadbalancing:DescribeTargetHealth", "TargetGroupArn: tg")
        + &call("15m", "ecs:DescribeTasks", "tasks: ['service:web', 'service:web', 'service:web', 'service:web']")
        + &call("15m", "ecs:DescribeServices", "services: [web, shop]")
        + &call("20m", "ecs:UpdateService", "service: web, desiredCount: 1")
        + &call("20m5s", "elasticloadbalancing:DescribeTargetHealth", "TargetGroupArn: tg")
        + &call("25m", "ecs:DescribeServices", "services: [web]");
    let log = balanced(&actions);
    let targets = answers(&log, "elasticloadbalancing:DescribeTargetHealth");
    let described = list(targets[0], "TargetHealthDescriptions");
    let ports: Vec<u64> = described.iter().map(|one| one["Target"]["Port"].as_u64().unwrap()).collect();
    // Each task takes one port and then three in a row.
    assert_eq!(ports, [32_768, 32_772, 32_776], "TD-23");
    let mut ids: Vec<&str> = described.iter().map(|one| one["Target"]["Id"].as_str().unwrap()).collect();
    ids.dedup();
    assert!(ids.len() == 1 && ids[0].starts_with("i-"), "one host: {ids:?}");
    assert!(described.iter().all(|one| one["TargetHealth"]["State"] == "healthy"));
    let later: Vec<&str> = list(targets[1], "TargetHealthDescriptions")
        .iter()
        .map(|one| one["TargetHealth"]["State"].as_str().unwrap())
        .collect();
    assert_eq!(later.iter().filter(|state| **state == "draining").count(), 2, "{later:?}");

    let tasks = answers(&log, "ecs:DescribeTasks")[0];
    assert_eq!(list(tasks, "tasks").len(), 3, "a group means its oldest task that is not named yet");
    assert_eq!(list(tasks, "failures").len(), 1);
    let bindings = list(&tasks["tasks"][0]["containers"][0], "networkBindings");
    assert_eq!(bindings[0]["hostPort"], 32_768);
    assert_eq!(
        (&bindings[1]["containerPortRange"], &bindings[1]["hostPortRange"]),
        (&"90-92".into(), &"32769-32771".into())
    );

    let services = answers(&log, "ecs:DescribeServices");
    assert_eq!(services[0]["failures"][0]["reason"], "MISSING", "TASK-18");
    let messages = |answer: &Value| -> Vec<String> {
        let events = list(&answer["services"][0], "events");
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };
    let (first, last) = (messages(services[0]), messages(services[1]));
    assert_eq!(first[0], "(service web) has reached a steady state.", "SVC-18: the newest first");
    let said = |messages: &[String], text: &str| messages.iter().any(|message| message.contains(text));
    assert!(said(&first, "registered 3 targets in (target-group arn:aws:elasticloadbalancing:"), "{first:#?}");
    assert!(said(&last, "deregistered 2 targets in (target-group arn:"), "EVT-5: {last:#?}");
    assert!(said(&last, "has begun draining connections on 2 tasks."));
}

#[test]
fn task_5_a_stopped_task_can_be_described_for_an_hour() {
    let stopped = "desiredStatus: STOPPED";
    let actions = call("10m", "ecs:RunTask", "taskDefinition: job, launchType: EC2, startedBy: me")
        + &call("20m", "ecs:ListTasks", "startedBy: me, launchType: EC2")
        + &call("20m", "ecs:StopTask", "task: 'family:job', reason: enough")
        + &call("30m", "ecs:ListTasks", stopped)
        + &call("79m", "ecs:ListTasks", stopped)
        + &call("81m", "ecs:ListTasks", stopped)
        + &call("81m", "ecs:RunTask", "taskDefinition: job, launchType: EC2")
        + &call("90m", "ecs:StopTask", "task: 'family:job'")
        + &call("95m", "ecs:ListTasks", &format!("{stopped}, family: job"));
    let log = balanced(&actions);
    let arns: Vec<&Vec<Value>> = answers(&log, "ecs:ListTasks").iter().map(|answer| list(answer, "taskArns")).collect();
    assert_eq!(arns.iter().map(|arns| arns.len()).collect::<Vec<_>>(), [1, 1, 1, 0, 1]);
    assert_eq!(arns[0], arns[1], "the same task, running and stopped");
    assert_ne!(arns[1], arns[4], "another one");
}

#[test]
fn task_18_what_is_not_there_is_missing_and_too_much_is_refused() {
    let ids = ["web"; 11].join(", ");
    let actions = call("15m", "ecs:DescribeContainerInstances", "containerInstances: ['#0', '#7']")
        + &call("15m", "ecs:DescribeClusters", "clusters: [default, lost]")
        + &call("15m", "ecs:DescribeTaskDefinition", "taskDefinition: web")
        + &call("15m", "ecs:DescribeServices", &format!("services: [{ids}]"))
        + &call("15m", "ecs:ListServices", "cluster: lost")
        + &call("15m", "ecs:ListContainerInstances", "status: DRAINING");
    let log = balanced(&actions);
    let instances = answers(&log, "ecs:DescribeContainerInstances")[0];
    assert_eq!(instances["containerInstances"][0]["runningTasksCount"], 3);
    assert_eq!(list(instances, "failures").len(), 1);
    let attributes = list(&instances["containerInstances"][0], "attributes");
    let has = |name: &str| attributes.iter().any(|attribute| attribute["name"] == name);
    for name in ["ecs.ami-id", "ecs.vpc-id", "ecs.subnet-id", "ecs.capability.task-eni"] {
        assert!(has(name), "PLACE-16: {name}");
    }
    let clusters = answers(&log, "ecs:DescribeClusters")[0];
    assert_eq!(clusters["clusters"][0]["activeServicesCount"], 1);
    assert_eq!(clusters["failures"][0]["reason"], "MISSING");
    let definition = &answers(&log, "ecs:DescribeTaskDefinition")[0]["taskDefinition"];
    assert_eq!(definition["containerDefinitions"][0]["systemControls"], Value::Array(Vec::new()), "TD-28");
    let requires = list(definition, "requiresAttributes");
    assert!(requires.iter().any(|one| one["name"] == "ecs.capability.network.container-port-range"));
    assert_eq!(log.refused(), [(900.0, "TASK-18"), (900.0, "TASK-19")]);
    assert!(list(answers(&log, "ecs:ListContainerInstances")[0], "containerInstanceArns").is_empty());
}

#[test]
fn task_19_a_cluster_in_use_is_not_deleted() {
    let actions = call("10m", "ecs:DeleteCluster", "cluster: default")
        + &call("10m", "ecs:DeleteCluster", "cluster: empty")
        + &call("11m", "ecs:DeleteCluster", "cluster: empty")
        + &call("12m", "ecs:DeleteService", "service: web, force: true")
        + &call("30m", "ecs:DeleteCluster", "cluster: default")
        + &call("31m", "ecs:ListClusters", "");
    let log = balanced(&actions);
    let words: Vec<&str> = log.reasons("operator", "refuse").iter().map(|(_, reason)| *reason).collect();
    let codes: Vec<&str> = words.iter().map(|reason| reason.split(':').next().unwrap()).collect();
    assert_eq!(
        codes,
        ["ClusterContainsServicesException", "ClusterNotFoundException", "ClusterContainsContainerInstancesException"]
    );
    assert_eq!(list(answers(&log, "ecs:ListClusters")[0], "clusterArns").len(), 1);
}

#[test]
fn td_2_a_definition_is_deleted_when_nothing_refers_to_it() {
    let status = |status: &str| format!("familyPrefix: web, status: {status}");
    let actions = call("10m", "ecs:DeleteTaskDefinitions", "taskDefinitions: ['web:1']")
        + &call("11m", "ecs:DeregisterTaskDefinition", "taskDefinition: 'web:1'")
        + &call("12m", "ecs:ListTaskDefinitions", &status("INACTIVE"))
        + &call("12m", "ecs:RunTask", "taskDefinition: 'web:1', launchType: EC2")
        + &call("13m", "ecs:DeleteTaskDefinitions", "taskDefinitions: ['web:1']")
        + &call("14m", "ecs:ListTaskDefinitions", &status("DELETE_IN_PROGRESS"))
        + &call("15m", "ecs:UpdateService", "service: web, desiredCount: 4")
        + &call("20m", "ecs:DeleteService", "service: web, force: true")
        + &call("40m", "ecs:ListTaskDefinitions", &status("DELETE_IN_PROGRESS"))
        + &call("41m", "ecs:DescribeTaskDefinition", "taskDefinition: 'web:1'");
    let log = balanced(&actions);
    let listed: Vec<usize> = answers(&log, "ecs:ListTaskDefinitions")
        .iter()
        .map(|answer| list(answer, "taskDefinitionArns").len())
        .collect();
    assert_eq!(listed, [1, 1, 0], "the service holds it until it is gone");
    assert_eq!(log.level_at("service/default/web", "RunningCount", 1199.0), 4.0, "which scales all the same");
    let refused: Vec<(f64, &str)> = log.refused();
    assert_eq!(refused, [(600.0, "TD-2"), (720.0, "TD-3"), (2460.0, "TD-3")]);
}

#[test]
fn net_4_tasks_have_addresses_of_their_own_until_the_subnet_has_no_more() {
    let log = run_text(
        "
name: lab
duration: 20m
targetGroups: [{Name: ip, TargetType: ip}, {Name: hosts, TargetType: instance}]
taskDefinitions:
  - {family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{name: app, image: app, portMappings: [{containerPort: 80}]}]}
actions:
  - {at: 1m, call: 'ecs:CreateService', with: {serviceName: wrong, taskDefinition: t, desiredCount: 1, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}},
     loadBalancers: [{targetGroupArn: hosts, containerName: app, containerPort: 80}]}}
  - {at: 1m, call: 'ecs:CreateService', with: {serviceName: web, taskDefinition: t, desiredCount: 2, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}},
     loadBalancers: [{targetGroupArn: ip, containerName: app, containerPort: 80}]}}
  - {at: 5m, call: 'elasticloadbalancing:DescribeTargetHealth', with: {TargetGroupArn: ip}}
  - {at: 6m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE,
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}
behaviour: {subnet_ips: 2, alarm_eval_phase: aligned}
",
    );
    assert_eq!(log.refused(), [(60.0, "ELB-2")], "tasks with interfaces of their own are no ports of hosts");
    let health = answers(&log, "elasticloadbalancing:DescribeTargetHealth")[0];
    let targets: Vec<(String, u64)> = list(health, "TargetHealthDescriptions")
        .iter()
        .map(|one| (one["Target"]["Id"].as_str().unwrap().to_owned(), one["Target"]["Port"].as_u64().unwrap()))
        .collect();
    assert_eq!(targets, [("10.0.0.4".to_owned(), 80), ("10.0.0.5".to_owned(), 80)], "ELB-2");
    let (code, reason) = &log.stops[&2];
    assert_eq!(code, "TaskFailedToStart");
    assert!(reason.ends_with("in subnet 'us-east-1a': InsufficientFreeAddressesInSubnet"), "{reason}");
    assert_eq!(log.statuses(2), ["PROVISIONING", "STOPPED"]);
}

#[test]
fn elb_3_a_path_that_answers_with_another_status_is_unhealthy() {
    let log = run_text(
        "
name: lab
duration: 15m
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a]}
targetGroups:
  - {Name: good, HealthCheckPath: /health, Matcher: {HttpCode: 200-299}, HealthCheckIntervalSeconds: 10}
  - {Name: bad, HealthCheckPath: /, HealthCheckIntervalSeconds: 10}
taskDefinitions:
  - {family: t, containerDefinitions: [{name: app, image: app, cpu: 64, memory: 64, portMappings: [{containerPort: 80}],
     behaviour: {probeStatus: {/health: 204}}}]}
services:
  - {serviceName: good, taskDefinition: t, desiredCount: 1, launchType: EC2, healthCheckGracePeriodSeconds: 3600,
     loadBalancers: [{targetGroupArn: good, containerName: app, containerPort: 80}]}
  - {serviceName: bad, taskDefinition: t, desiredCount: 1, launchType: EC2, healthCheckGracePeriodSeconds: 3600,
     loadBalancers: [{targetGroupArn: bad, containerName: app, containerPort: 80}]}
",
    );
    assert_eq!(log.level_at("target-group/good", "HealthyHostCount", 890.0), 1.0, "204 is one of 200-299");
    assert_eq!(log.level_at("target-group/bad", "HealthyHostCount", 890.0), 0.0);
    let unhealthy: Vec<&str> = log
        .messages
        .iter()
        .filter(|(_, message)| message.contains("is unhealthy"))
        .map(|(_, message)| message.as_str())
        .collect();
    assert_eq!(unhealthy.len(), 1, "{unhealthy:#?}");
    assert!(unhealthy[0].starts_with("(service bad) (port 3276"), "EVT-5: {}", unhealthy[0]);
    assert!(unhealthy[0].ends_with("due to (reason Health checks failed with these codes: [404])"));
}
