//! Worked examples of `spec/tasks-and-services.md`, section 6: rolling updates.
//!
//! Times of the examples: 20 s from start to RUNNING, 40 s more to healthy, and as long as stated to stop. The host is
//! there from 50 s on, the old revision healthy from 110 s; the update begins at 600 s, which is the examples' t = 0.

use crate::lab::{Log, run_text};

const UPDATE: f64 = 600.0;

/// A service of old tasks on one large host, and what happens to it.
fn estate(desired: u32, lower: u32, upper: u32, stop: &str, actions: &str) -> String {
    format!(
        "
name: lab
duration: 40m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 65536, memory: 131072}}}}
taskDefinitions:
  - {{family: old, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
  - {{family: new, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
  - {{family: newer, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, taskDefinition: old, desiredCount: {desired}, launchType: EC2,
     deploymentConfiguration: {{minimumHealthyPercent: {lower}, maximumPercent: {upper}}}}}
actions:
{actions}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: {stop}}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
"
    )
}

fn update(at: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'ecs:UpdateService', with: {{service: web, {with}}}}}\n")
}

fn rolled_out(desired: u32, lower: u32, upper: u32, stop: &str) -> Log {
    run_text(&estate(desired, lower, upper, stop, &update("10m", "taskDefinition: new")))
}

fn starts(log: &Log) -> Vec<(f64, usize)> {
    log.batches("service:web", "PENDING", UPDATE)
}

fn stops(log: &Log) -> Vec<(f64, usize)> {
    log.batches("service:web", "STOPPING", UPDATE)
}

/// When deployments were completed, from the update on.
fn done(log: &Log) -> Vec<f64> {
    let completed = log.events("SERVICE_DEPLOYMENT_COMPLETED");
    completed.into_iter().filter(|time| *time >= UPDATE).map(|time| time - UPDATE).collect()
}

#[test]
fn ex_dep_1_stops_two_then_starts_two() {
    let log = rolled_out(4, 50, 100, "1s");
    assert_eq!(stops(&log), [(0.0, 2), (61.0, 2)]);
    assert_eq!(starts(&log), [(1.0, 2), (62.0, 2)]);
    assert_eq!(done(&log), [122.0]);
}

#[test]
fn ex_dep_2_starts_all_then_stops_all() {
    let log = rolled_out(4, 100, 200, "30s");
    assert_eq!((starts(&log), stops(&log)), (vec![(0.0, 4)], vec![(60.0, 4)]));
    assert_eq!(done(&log), [60.0]);
    assert_eq!(log.batches("service:web", "STOPPED", UPDATE), [(90.0, 4)]);
}

#[test]
fn ex_dep_3_two_at_a_time_above_the_desired_count() {
    let log = rolled_out(10, 100, 125, "30s");
    assert_eq!(starts(&log), [(0.0, 2), (90.0, 2), (180.0, 2), (270.0, 2), (360.0, 2)]);
    assert_eq!(stops(&log), [(60.0, 2), (150.0, 2), (240.0, 2), (330.0, 2), (420.0, 2)]);
}

#[test]
fn ex_dep_4_equal_limits_leave_a_deployment_stuck() {
    for (desired, upper) in [(3, 125), (4, 100)] {
        let log = rolled_out(desired, 100, upper, "30s");
        assert_eq!((starts(&log), stops(&log), done(&log)), (vec![], vec![], vec![]));
        let said =
            log.messages.iter().filter(|(_, text)| text.contains("because of the service deployment configuration"));
        assert_eq!(said.map(|(time, _)| *time).collect::<Vec<_>>(), [UPDATE], "said once (SVC-18)");
    }
}

#[test]
fn ex_dep_5_starts_and_stops_at_the_same_time() {
    let log = rolled_out(5, 50, 150, "30s");
    assert_eq!(starts(&log), [(0.0, 2), (30.0, 2), (90.0, 1)]);
    assert_eq!(stops(&log), [(0.0, 2), (60.0, 2), (90.0, 1)]);
    assert_eq!(done(&log), [150.0]);
}

#[test]
fn ex_dep_6_a_single_task_is_replaced_in_either_order() {
    let log = rolled_out(1, 100, 200, "30s");
    assert_eq!((starts(&log), stops(&log)), (vec![(0.0, 1)], vec![(60.0, 1)]));
    let log = rolled_out(1, 0, 100, "30s");
    assert_eq!((starts(&log), stops(&log), done(&log)), (vec![(30.0, 1)], vec![(0.0, 1)], vec![90.0]));
}

#[test]
fn ex_dep_9_eight_tasks_between_six_and_eight() {
    let log = rolled_out(8, 75, 100, "30s");
    assert_eq!(stops(&log), [(0.0, 2), (90.0, 2), (180.0, 2), (270.0, 2)]);
    assert_eq!(starts(&log), [(30.0, 2), (120.0, 2), (210.0, 2), (300.0, 2)]);
    assert_eq!(done(&log), [360.0]);
}

#[test]
fn ex_dep_7_a_load_balancer_makes_it_slow() {
    let text = estate(4, 50, 100, "1s", &update("10m", "taskDefinition: new"))
        .replace("stop_report_s: 0", "stop_report_s: 0, alb_register_s: 0")
        .replace("memory: 64}]}", "memory: 64, portMappings: [{containerPort: 80}]}], behaviour: {startup: 30s}}")
        .replace(
            "launchType: EC2,",
            "launchType: EC2, loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}],",
        )
        + "targetGroups: [{Name: tg, HealthCheckIntervalSeconds: 5, UnhealthyThresholdCount: 10}]\n";
    let log = run_text(&text);
    assert_eq!(log.batches("service:web", "DEACTIVATING", UPDATE), [(0.0, 2), (351.0, 2)]);
    assert_eq!(stops(&log), [(300.0, 2), (651.0, 2)], "SIGTERM waits for the deregistration delay (ELB-9)");
    assert_eq!(starts(&log), [(301.0, 2), (652.0, 2)]);
    assert_eq!(done(&log), [702.0]);
}

#[test]
fn dep_5_a_newer_deployment_supersedes_the_one_under_way() {
    let actions = update("10m", "taskDefinition: new") + &update("610s", "taskDefinition: newer");
    let log = run_text(&estate(4, 100, 200, "30s", &actions));
    // The tasks of the middle revision do not run yet: stopping them costs no health, and makes room at once.
    assert_eq!(starts(&log), [(0.0, 4), (10.0, 4)]);
    assert_eq!(stops(&log), [(70.0, 4)]);
    assert_eq!(done(&log), [70.0], "the superseded deployment never completes");
    let middle: Vec<u64> =
        log.revisions.iter().filter(|(_, name)| *name == "new:1").map(|(number, _)| *number).collect();
    assert_eq!(middle.len(), 4);
    assert!(middle.iter().all(|number| log.statuses(*number) == ["PENDING", "STOPPED"]));
}

#[test]
fn dep_6_scaling_a_completed_deployment_leaves_it_completed() {
    let log = run_text(&estate(4, 100, 200, "30s", &update("10m", "desiredCount: 6")));
    assert_eq!(starts(&log), [(0.0, 2)]);
    assert_eq!(log.events("SERVICE_DEPLOYMENT_IN_PROGRESS"), [0.0]);
    assert!(done(&log).is_empty());
}

#[test]
fn dep_6_an_update_at_zero_is_a_deployment_too() {
    let log = run_text(&estate(0, 100, 200, "30s", &update("10m", "taskDefinition: new")));
    assert_eq!(log.events("SERVICE_DEPLOYMENT_IN_PROGRESS"), [0.0, UPDATE]);
    assert_eq!(starts(&log), []);
}

#[test]
fn dep_7_scaling_out_in_a_deployment_starts_the_new_revision_only() {
    let actions = update("10m", "taskDefinition: new") + &update("610s", "desiredCount: 6");
    let log = run_text(&estate(4, 100, 200, "30s", &actions));
    assert_eq!(starts(&log), [(0.0, 4), (10.0, 2)]);
    // hi is 12 and lo is 6: at 60 s eight are healthy, two old ones may go, at 70 s the other two.
    assert_eq!(stops(&log), [(60.0, 2), (70.0, 2)]);
    let later = log.tasks.iter().filter(|(time, _, _, status)| *time == UPDATE + 10.0 && *status == "PENDING");
    assert!(later.map(|(_, number, ..)| &log.revisions[number]).all(|name| name == "new:1"));
    assert_eq!(done(&log), [70.0]);
}

#[test]
fn dep_7_scaling_in_during_a_deployment_removes_old_tasks_first() {
    let actions = update("10m", "taskDefinition: new") + &update("610s", "desiredCount: 2");
    let log = run_text(&estate(4, 100, 200, "30s", &actions));
    let told: Vec<(f64, &str)> = log
        .tasks
        .iter()
        .filter(|(_, _, _, status)| *status == "STOPPING")
        .map(|(time, number, ..)| (time - UPDATE, log.revisions[number].as_str()))
        .collect();
    assert_eq!(told, [(10.0, "old:1"), (10.0, "old:1"), (60.0, "old:1"), (60.0, "old:1")]);
    assert_eq!(log.level_at("service/default/web", "RunningCount", 1200.0), 2.0);
}

#[test]
fn svc_15_only_what_tasks_are_made_of_starts_a_deployment() {
    let actions = [
        ("10m", "desiredCount: 3"),
        ("11m", "placementStrategy: [{type: binpack, field: cpu}]"),
        ("12m", "healthCheckGracePeriodSeconds: 60"),
        ("13m", "deploymentConfiguration: {maximumPercent: 150, minimumHealthyPercent: 50}"),
        ("14m", "taskDefinition: old"),
        ("15m", "taskDefinition: new"),
        ("20m", "forceNewDeployment: true"),
    ];
    let actions: String = actions.iter().map(|(at, with)| update(at, with)).collect();
    let log = run_text(&estate(2, 100, 200, "30s", &actions));
    assert_eq!(log.events("SERVICE_DEPLOYMENT_IN_PROGRESS"), [0.0, 900.0, 1200.0]);
}
