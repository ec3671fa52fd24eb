//! DAEMON services: worked examples of `spec/tasks-and-services.md`, sections 5 and 6, and of
//! `spec/cluster-autoscaling.md`, section 9.

use crate::lab::{Log, run_text};

/// Four hosts of one group from 50 s on; a fifth that lacks the attribute; and what `rest` says.
fn estate(actions: &str, rest: &str) -> String {
    format!(
        "
name: lab
duration: 30m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 6, DesiredCapacity: 3,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 1024, memory: 1024}}, ecsAttributes: {{role: worker}}}}
  - {{AutoScalingGroupName: h, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 1024, memory: 1024}}}}
taskDefinitions:
  - {{family: agent, containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 64}}]}}
  - {{family: newer, containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 64}}]}}
  - {{family: work, containerDefinitions: [{{name: app, image: app, cpu: 768, memory: 64}}]}}
actions:
{actions}
{rest}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
"
    )
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: '{call}', with: {{{with}}}}}\n")
}

fn create(with: &str) -> String {
    call(
        "10m",
        "ecs:CreateService",
        &format!("serviceName: d, taskDefinition: agent, schedulingStrategy: DAEMON, {with}"),
    )
}

const WORKERS: &str = "placementConstraints: [{type: memberOf, expression: 'attribute:role == worker'}]";

fn hosts_of(log: &Log, group: &str) -> Vec<u32> {
    let mut tasks: Vec<u64> =
        log.tasks.iter().filter(|(_, _, g, _)| g == group).map(|(_, number, ..)| *number).collect();
    tasks.sort_unstable();
    tasks.dedup();
    tasks.iter().map(|number| log.placed[number]).collect()
}

#[test]
fn ex_svc_10_one_task_on_each_matching_host() {
    let actions = call("9m", "ecs:UpdateContainerInstancesState", "containerInstances: ['#2'], status: DRAINING")
        + &create(WORKERS)
        + &call("15m", "autoscaling:SetDesiredCapacity", "AutoScalingGroupName: g, DesiredCapacity: 4");
    let log = run_text(&estate(&actions, ""));
    assert_eq!(hosts_of(&log, "service:d"), [0, 1, 4], "host 2 drains, host 3 has not the attribute");
    assert_eq!(log.level("service/default/d", "DesiredCount"), [(600.0, 2.0), (950.0, 3.0)]);
    assert_eq!(log.times("service:d", "RUNNING"), [620.0, 620.0, 970.0]);
    assert_eq!(log.events("SERVICE_STEADY_STATE"), [660.0, 1010.0]);
}

#[test]
fn ex_dep_8_a_daemon_rolls_out_within_its_lower_limit() {
    for (minimum, stops, starts) in
        [(0, vec![(0.0, 4)], vec![(30.0, 4)]), (50, vec![(0.0, 2), (90.0, 2)], vec![(30.0, 2), (120.0, 2)])]
    {
        let actions = create(&format!("deploymentConfiguration: {{minimumHealthyPercent: {minimum}}}"))
            + &call("15m", "ecs:UpdateService", "service: d, taskDefinition: newer");
        let log = run_text(&estate(&actions, ""));
        assert_eq!(log.batches("service:d", "STOPPING", 900.0), stops, "minimum {minimum}");
        assert_eq!(log.batches("service:d", "PENDING", 900.0), starts, "minimum {minimum}");
    }
}

#[test]
fn svc_2_a_daemon_is_the_first_to_start_on_a_host() {
    // Three tasks of 768 units wait; a host has room for one beside a daemon of 256, or for one alone.
    let rest = "
clusters: [{clusterName: default, capacityProviders: [cp]}]
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
";
    let with = "taskDefinition: work, count: 6, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let actions = create("") + &call("1s", "ecs:RunTask", with);
    let text = estate(&actions.replace("10m", "0s"), rest).replace("cpu: 768", "cpu: 800");
    let log = run_text(&text);
    assert_eq!(hosts_of(&log, "service:d").len(), log.level_at("service/default/d", "DesiredCount", 1800.0) as usize);
    assert!(log.times("family:work", "PENDING").is_empty(), "800 and 256 units do not fit together");
}

#[test]
fn svc_2_the_room_of_a_stopping_daemon_is_its_successors() {
    let actions = create("")
        + &call("15m", "ecs:UpdateService", "service: d, taskDefinition: newer")
        + &call("11m", "ecs:CreateService", "serviceName: w, taskDefinition: work, launchType: EC2, desiredCount: 4")
        + &call("12m", "ecs:CreateService", "serviceName: x, taskDefinition: agent, launchType: EC2, desiredCount: 1");
    let log = run_text(&estate(&actions, ""));
    assert_eq!(log.batches("service:d", "PENDING", 900.0), [(30.0, 4)]);
    assert!(log.times("service:x", "PENDING").is_empty(), "it waits for room all the time");
}

#[test]
fn ex_drn_3_daemons_leave_a_draining_host_last() {
    let actions = create("")
        + &call("11m", "ecs:CreateService", "serviceName: w, taskDefinition: work, launchType: EC2, desiredCount: 1")
        + &call("15m", "ecs:UpdateContainerInstancesState", "containerInstances: ['#0'], status: DRAINING");
    let log = run_text(&estate(&actions, ""));
    // The replacement runs at 920 and is healthy at 960; the old one then needs 30 s, and so does the daemon.
    assert_eq!(log.batches("service:w", "STOPPED", 900.0), [(90.0, 1)]);
    assert_eq!(log.batches("service:d", "STOPPING", 900.0), [(90.0, 1)]);
    assert_eq!(log.batches("service:d", "STOPPED", 900.0), [(120.0, 1)]);
    assert_eq!(log.level_at("service/default/d", "DesiredCount", 1000.0), 3.0);
}

#[test]
fn ex_cas_24_a_host_with_a_daemon_only_is_empty() {
    let rest = "
clusters: [{clusterName: default, capacityProviders: [cp]}]
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
";
    let text = estate(&create("").replace("10m", "0s"), rest).replace("DesiredCapacity: 3", "DesiredCapacity: 1");
    let log = run_text(&text);
    let readings = log.metric("capacity-provider/cp", "CapacityProviderReservation");
    let readings: Vec<f64> = readings.iter().map(|(_, value)| *value).filter(|value| *value != 100.0).collect();
    assert!(readings.iter().all(|value| *value == 0.0) && readings.len() >= 15, "{readings:?}");
    assert_eq!(log.level("asg/g", "GroupDesiredCapacity").last().map(|(_, value)| *value), Some(0.0));
    assert!(log.step(0, "ShuttingDown").is_some(), "its daemon stops, then the host goes");
}

#[test]
fn svc_2_what_a_daemon_service_cannot_have_is_refused() {
    let refused = [
        "desiredCount: 2",
        "placementStrategy: [{type: random}]",
        "launchType: FARGATE",
        "deploymentConfiguration: {maximumPercent: 150}",
    ];
    let mut actions: String = refused.iter().map(|with| create(with)).collect();
    actions.push_str(&create(""));
    actions.push_str(&call("11m", "ecs:UpdateService", "service: d, desiredCount: 7"));
    let log = run_text(&estate(&actions, ""));
    let rules: Vec<(f64, &str)> = log.refused();
    assert_eq!(rules, [(600.0, "SVC-2"), (600.0, "SVC-2"), (600.0, "SVC-2"), (600.0, "SVC-2"), (660.0, "SVC-2")]);
    assert_eq!(log.times("service:d", "PENDING").len(), 4);
}

#[test]
fn svc_2_a_host_without_room_is_said_and_tried_again() {
    let work =
        "taskDefinition: work, launchType: EC2, count: 4, placementStrategy: [{type: spread, field: instanceId}]";
    let actions = call("9m", "ecs:RunTask", work) + &create("") + &call("15m", "ecs:StopTask", "task: 'family:work'");
    let log = run_text(&estate(&actions, "").replace("cpu: 768", "cpu: 1000"));
    assert_eq!(log.times("service:d", "PENDING"), [900.0], "as soon as there is room");
    let failure = log.service_events.iter().find(|(_, name, _)| *name == "SERVICE_TASK_PLACEMENT_FAILURE");
    assert_eq!(failure.map(|(.., reason)| reason.as_str()), Some("RESOURCE:CPU"));
    assert_eq!(log.level_at("service/default/d", "DesiredCount", 1800.0), 4.0);
}

#[test]
fn svc_2_a_host_that_is_active_again_keeps_its_daemon() {
    let state = |at: &str, status: &str| {
        call(at, "ecs:UpdateContainerInstancesState", &format!("containerInstances: ['#0'], status: {status}"))
    };
    // A standalone task keeps the host from being left by all (DRN-2), so its daemon stays while it drains.
    let actions = create("")
        + &call("11m", "ecs:StartTask", "taskDefinition: work, containerInstances: ['#0']")
        + &state("15m", "DRAINING")
        + &state("16m", "ACTIVE");
    let log = run_text(&estate(&actions, ""));
    assert_eq!(hosts_of(&log, "service:d"), [0, 1, 2, 3], "no second one");
    assert_eq!(log.level("service/default/d", "DesiredCount"), [(600.0, 4.0), (900.0, 3.0), (960.0, 4.0)]);
    assert!(log.stops.is_empty());
}
