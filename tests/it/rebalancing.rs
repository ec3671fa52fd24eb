//! Availability Zone rebalancing: `spec/tasks-and-services.md`, section 5.1.

use crate::lab::{Log, run_text};

/// A large host in zone a from 50 s on, in b and c from 650 s on; five tasks of `web` at first.
fn estate(service: &str, actions: &str) -> String {
    let group = |zone: char, size: u32| {
        format!(
            "  - {{AutoScalingGroupName: {zone}, InstanceType: m5.large, MinSize: 0, MaxSize: 1, DesiredCapacity: {size},
     AvailabilityZones: [us-east-1{zone}], registeredResources: {{cpu: 65536, memory: 131072}}}}\n"
        )
    };
    format!(
        "
name: lab
duration: 40m
autoScalingGroups:
{}{}{}
taskDefinitions:
  - {{family: t, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: 5, launchType: EC2, {service}}}
actions:
  - {{at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {{AutoScalingGroupName: b, DesiredCapacity: 1}}}}
  - {{at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {{AutoScalingGroupName: c, DesiredCapacity: 1}}}}
{actions}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
",
        group('a', 1),
        group('b', 0),
        group('c', 0)
    )
}

const SEVEN: &str = "  - {at: 651s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 7}}\n";

/// Tasks alive at the end, by zone.
fn zones(log: &Log) -> Vec<usize> {
    let alive = |number: &u64| !log.stops.contains_key(number);
    let mut counts = [0; 3];
    for (number, zone) in log.task_zones.iter().filter(|(number, _)| alive(number)) {
        assert!(log.placed.contains_key(number));
        counts[usize::from(zone.as_bytes()[zone.len() - 1] - b'a')] += 1;
    }
    counts.to_vec()
}

#[test]
fn ex_svc_7_tasks_move_one_by_one_to_the_emptier_zones() {
    let log = run_text(&estate("", SEVEN));
    // 5, 1 and 1 tasks are steady at 711 s; 60 s later one starts in b, and when it is healthy one goes in a.
    assert_eq!(log.batches("service:web", "PENDING", 700.0), [(71.0, 1), (131.0, 1)]);
    assert_eq!(log.batches("service:web", "STOPPING", 700.0), [(131.0, 1), (191.0, 1)]);
    assert_eq!(zones(&log), [3, 2, 2]);
    assert_eq!(log.events("SERVICE_REBALANCING_STARTED"), [771.0]);
    assert_eq!(log.events("SERVICE_REBALANCING_COMPLETED"), [891.0]);
    assert!(log.stops.values().all(|(code, reason)| {
        code == "ServiceSchedulerInitiated" && reason.starts_with("Availability-zone rebalancing initiated by")
    }));
    let moves: Vec<f64> = log.reasons("service-scheduler", "rebalance").iter().map(|(time, _)| *time).collect();
    assert_eq!(moves, [771.0, 831.0]);
}

#[test]
fn svc_20_some_services_are_not_rebalanced() {
    for service in [
        "availabilityZoneRebalancing: DISABLED",
        "deploymentConfiguration: {maximumPercent: 100, minimumHealthyPercent: 0}",
        "placementStrategy: [{type: binpack, field: memory}]",
        "placementConstraints: [{type: memberOf, expression: 'attribute:ecs.availability-zone != us-east-1z'}]",
    ] {
        let log = run_text(&estate(service, ""));
        assert_eq!(zones(&log), [5, 0, 0], "{service}");
        assert!(log.events("SERVICE_REBALANCING_STARTED").is_empty(), "{service}");
    }
    let log = run_text(&estate("placementStrategy: [{type: spread, field: 'attribute:ecs.availability-zone'}]", ""));
    assert_eq!(zones(&log), [2, 2, 1], "the hosts come at 650 s, and 60 s later the tasks begin to move");
}

#[test]
fn svc_20_services_made_before_september_2025_are_not_rebalanced_by_default() {
    let on = |day: &str| format!("behaviour: {{asOf: {day}, alarm_eval_phase: aligned");
    let zones_on =
        |day: &str| zones(&run_text(&estate("", "").replace("behaviour: {alarm_eval_phase: aligned", &on(day))));
    assert_eq!(zones_on("2025-09-04"), [5, 0, 0]);
    assert_eq!(zones_on("2025-09-05"), [2, 2, 1]);
}

#[test]
fn svc_22_scaling_stops_rebalancing() {
    let scale = "  - {at: 780s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 8}}\n";
    let log = run_text(&estate("", &(SEVEN.to_owned() + scale)));
    assert_eq!(log.events("SERVICE_REBALANCING_STARTED")[0], 771.0);
    assert_eq!(log.events("SERVICE_REBALANCING_STOPPED"), [780.0]);
    assert_eq!(log.level_at("service/default/web", "RunningCount", 2300.0), 8.0);
    assert_eq!(zones(&log), [3, 3, 2], "it goes on when the service is steady again");
}

#[test]
fn ex_svc_2_rebalancing_needs_room_above_the_desired_count() {
    let create = |with: &str| {
        format!(
            "  - {{at: 11m, call: 'ecs:CreateService', with: {{serviceName: x, taskDefinition: t, desiredCount: 2,
     deploymentConfiguration: {{maximumPercent: 100, minimumHealthyPercent: 0}}, {with}}}}}\n"
        )
    };
    let log = run_text(&estate("", &create("")));
    assert_eq!(log.refused(), [(660.0, "SVC-4")]);
    let log = run_text(&estate("", &create("availabilityZoneRebalancing: DISABLED")));
    assert_eq!(log.refused(), []);
    assert_eq!(log.times("service:x", "PENDING"), [660.0, 660.0]);
}
