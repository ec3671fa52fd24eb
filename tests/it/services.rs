//! Worked examples of `spec/tasks-and-services.md`, sections 5 and 7: what the service scheduler does, and load.

use crate::lab::{Log, run_text};

/// One host of the given size from 50 s on, one definition `t`; 20 s to start, 30 s to stop unless `delays` says else.
fn estate(container: &str, behaviour: &str, sections: &str) -> String {
    format!(
        "
name: lab
duration: 80m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 5, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 65536, memory: 131072}}}}
targetGroups:
  - {{Name: tg, HealthCheckIntervalSeconds: 10, UnhealthyThresholdCount: 2, HealthyThresholdCount: 5,
     Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '0'}}]}}
taskDefinitions:
  - {{family: t, networkMode: bridge, behaviour: {{{behaviour}}},
     containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}], {container}}}]}}
{sections}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0, alb_register_s: 0}}
"
    )
}

const SMALL: &str = "cpu: 64, memory: 64";
const BALANCED: &str = "loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}]";

fn actions(calls: &[(&str, &str, &str)]) -> String {
    let line =
        |(at, call, with): &(&str, &str, &str)| format!("  - {{at: {at}, call: 'ecs:{call}', with: {{{with}}}}}\n");
    let lines = calls.iter().map(line).collect::<Vec<_>>().concat();
    format!("actions:\n{lines}")
}

fn create(with: &str) -> String {
    format!("serviceName: web, taskDefinition: t, launchType: EC2, {with}")
}

/// When each of the group's tasks was created, in s since 600 s.
fn attempts(log: &Log) -> Vec<f64> {
    log.times("service:web", "PENDING").iter().map(|time| time - 600.0).collect()
}

fn said(log: &Log, text: &str) -> Vec<f64> {
    log.messages.iter().filter(|(_, message)| message.contains(text)).map(|(time, _)| *time).collect()
}

#[test]
fn ex_svc_1_steady_forty_seconds_after_running() {
    let text = estate(SMALL, "", &actions(&[("10m", "CreateService", &create("desiredCount: 2"))]));
    let log = run_text(&text.replace("80m", "7h"));
    assert_eq!(log.times("service:web", "RUNNING"), [620.0, 620.0]);
    assert_eq!(said(&log, "has reached a steady state."), [660.0, 660.0 + 21_600.0], "SVC-6: repeated every 6 h");
    assert_eq!(log.events("SERVICE_DEPLOYMENT_COMPLETED"), [660.0]);
}

#[test]
fn ex_svc_3_a_sick_task_is_replaced_first() {
    // One task first, nine more at 900 s: only the first is silent before the run ends. Each answers from 40 s after
    // RUNNING, and not from 600 s after its start on; ten failures in a row, 5 s apart, make it unhealthy.
    let calls = actions(&[
        ("10m", "CreateService", &create(&format!("desiredCount: 1, {BALANCED}"))),
        ("15m", "UpdateService", "service: web, desiredCount: 10"),
    ]);
    let text = estate(SMALL, "startup: 40s, unresponsive: [[600s, 5000s]]", &calls)
        .replace("IntervalSeconds: 10, UnhealthyThresholdCount: 2", "IntervalSeconds: 5, UnhealthyThresholdCount: 10")
        .replace("80m", "1450s");
    let log = run_text(&text);
    // The tenth probe waits its time-out in vain, which is no longer than the interval.
    let sick = 620.0 + 600.0 + 9.0 * 5.0 + 5.0;
    assert_eq!(log.batches("service:web", "PENDING", sick), [(0.0, 1)]);
    assert_eq!(log.batches("service:web", "DEACTIVATING", sick), [(60.0, 1)], "its replacement is healthy");
    let (code, reason) = &log.stops[&0];
    assert_eq!(code, "ServiceSchedulerInitiated");
    assert!(
        reason.starts_with("Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:"),
        "{reason}"
    );
}

#[test]
fn ex_svc_4_without_room_above_sick_tasks_are_replaced_one_by_one() {
    let limits = "availabilityZoneRebalancing: DISABLED, deploymentConfiguration: {minimumHealthyPercent: 100, maximumPercent: 100}";
    let calls = actions(&[
        ("10m", "CreateService", &create(&format!("desiredCount: 3, {limits}, {BALANCED}"))),
        ("18m", "UpdateService", "service: web, desiredCount: 10"),
    ]);
    let text = estate(SMALL, "startup: 40s, unresponsive: [[600s, 5000s]]", &calls)
        .replace("IntervalSeconds: 10, UnhealthyThresholdCount: 2", "IntervalSeconds: 5, UnhealthyThresholdCount: 10")
        .replace("80m", "1700s");
    let log = run_text(&text);
    // The tenth probe waits its time-out in vain, which is no longer than the interval.
    let sick = 620.0 + 600.0 + 9.0 * 5.0 + 5.0;
    assert_eq!(log.batches("service:web", "STOPPING", sick), [(0.0, 1), (90.0, 1), (180.0, 1)]);
    assert_eq!(log.batches("service:web", "PENDING", sick), [(30.0, 1), (120.0, 1), (210.0, 1)]);
    assert_eq!(log.level("target-group/tg", "HealthyHostCount").last(), Some(&(sick + 270.0, 10.0)));
}

#[test]
fn ex_svc_5_failed_starts_are_throttled() {
    // The container ends before its target is registered: the task never reaches RUNNING.
    let calls = actions(&[("10m", "CreateService", &create(&format!("desiredCount: 1, {BALANCED}")))]);
    let text = estate(SMALL, "runsFor: 0s, exitCode: 1", &calls)
        .replace("alb_register_s: 0", "alb_register_s: 5")
        .replace("taskStart: 20s", "taskStart: 0s");
    let log = run_text(&text);
    assert_eq!(attempts(&log), [0.0, 5.0, 15.0, 35.0, 75.0, 155.0, 315.0, 635.0, 1275.0, 2555.0, 4175.0]);
    assert_eq!(said(&log, "is unable to consistently start tasks successfully."), [615.0]);
    assert!(log.times("service:web", "RUNNING").is_empty());
}

#[test]
fn ex_svc_6_tasks_that_ran_and_exited_are_never_throttled() {
    let calls = actions(&[("10m", "CreateService", &create("desiredCount: 1"))]);
    let log = run_text(&estate(SMALL, "runsFor: 10s, exitCode: 1", &calls).replace("80m", "20m"));
    let expected: Vec<f64> = (0..20).map(|round| 30.0 * f64::from(round)).collect();
    assert_eq!(attempts(&log), expected);
}

#[test]
fn ex_svc_8_a_service_in_use_is_deleted_by_force_only() {
    let calls = actions(&[
        ("10m", "CreateService", &create("desiredCount: 1")),
        ("20m", "DeleteService", "service: web"),
        ("21m", "DeleteService", "service: web, force: true"),
        ("1261s", "UpdateService", "service: web, desiredCount: 3"),
        ("1262s", "CreateService", &create("desiredCount: 1")),
        ("30m", "UpdateService", "service: web, desiredCount: 3"),
        ("31m", "CreateService", &create("desiredCount: 2")),
    ]);
    let log = run_text(&estate(SMALL, "", &calls));
    let refused = log.reasons("operator", "refuse");
    assert_eq!(
        refused.iter().map(|(time, _)| *time).collect::<Vec<_>>(),
        [1200.0, 1261.0, 1262.0, 1800.0],
        "{refused:?}"
    );
    for (place, text) in [
        (0, "The service cannot be stopped while it is scaled above 0."),
        (1, "ServiceNotActiveException"),
        (2, "Creation of service was not idempotent."),
        (3, "ServiceNotFoundException"),
    ] {
        assert!(refused[place].1.contains(text), "{refused:?}");
    }
    assert_eq!(log.times("service:web", "STOPPED"), [1290.0]);
    assert_eq!(log.times("service:web", "RUNNING"), [620.0, 1880.0, 1880.0], "the name is free again (SVC-17)");
}

#[test]
fn ex_svc_9_launches_are_limited_to_500_a_minute() {
    let calls = actions(&[
        ("1m", "CreateService", &create("desiredCount: 0")),
        ("10m", "UpdateService", "service: web, desiredCount: 600"),
    ]);
    let log = run_text(&estate("cpu: 8, memory: 8", "", &calls).replace("80m", "12m"));
    let attempts = attempts(&log);
    assert_eq!(attempts.len(), 600);
    assert_eq!(attempts.iter().filter(|at| **at == 0.0).count(), 83);
    assert!((attempts[599] - 517.0 * 60.0 / 500.0).abs() < 0.01, "last at {}", attempts[599]);
}

#[test]
fn svc_12_an_unplaceable_service_retries_and_is_woken_by_new_capacity() {
    let calls = actions(&[("10m", "CreateService", &create("desiredCount: 2"))])
        + "  - {at: 20m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 2}}\n";
    let text = estate("cpu: 1024, memory: 64", "", &calls).replace("cpu: 65536", "cpu: 1500");
    let log = run_text(&text);
    let tries: Vec<f64> = log.reasons("service-scheduler", "not-placed").iter().map(|(time, _)| time - 600.0).collect();
    assert_eq!(tries, [0.0, 5.0, 15.0, 35.0, 75.0, 155.0, 315.0, 635.0], "the next would come at 1275");
    assert_eq!(attempts(&log), [0.0, 650.0], "5 s to react, 45 s to register");
    let texts: Vec<&str> =
        log.messages.iter().map(|(_, text)| text.as_str()).filter(|text| text.contains("unable to place")).collect();
    assert_eq!(texts.len(), 1, "equal texts are not repeated within 6 h: {texts:?}");
    assert!(
        texts[0].starts_with(
            "(service web) was unable to place a task because no container instance met all of its requirements."
        ),
        "{texts:?}"
    );
    // EX-EVT-3.
    let failure = log.service_events.iter().find(|(_, name, _)| *name == "SERVICE_TASK_PLACEMENT_FAILURE");
    assert_eq!(failure.map(|(.., reason)| reason.as_str()), Some("RESOURCE:CPU"));
}

fn checked(behaviour: &str, grace: u32) -> Log {
    let with = create(&format!("desiredCount: 1, healthCheckGracePeriodSeconds: {grace}, {BALANCED}"));
    run_text(&estate(SMALL, behaviour, &actions(&[("10m", "CreateService", &with)])).replace("80m", "20m"))
}

#[test]
fn ex_elb_1_a_slow_application_without_grace_never_gets_ready() {
    let log = checked("startup: 12s", 0);
    assert_eq!(log.batches("service:web", "RUNNING", 600.0)[..2], [(20.0, 1), (50.0, 1)]);
    // Unhealthy at 630: a replacement at once, as sick at 660; then either goes, for ever.
    assert_eq!(log.level_at("target-group/tg", "HealthyHostCount", 1200.0), 0.0);
    assert!(
        log.stops.values().all(|(_, reason)| reason.starts_with("Task failed ELB health checks")),
        "{:?}",
        log.stops
    );
    assert!(log.stops.len() > 10);
}

#[test]
fn ex_elb_2_within_grace_it_gets_its_five_passes() {
    let log = checked("startup: 12s", 90);
    assert_eq!(log.level("target-group/tg", "HealthyHostCount"), [(680.0, 1.0)]);
    assert_eq!(log.times("service:web", "PENDING"), [600.0], "kept");
}

#[test]
fn ex_elb_3_a_new_target_needs_one_pass() {
    assert_eq!(checked("startup: 5s", 0).level("target-group/tg", "HealthyHostCount"), [(630.0, 1.0)]);
}

#[test]
fn cp_6_base_and_weights_divide_a_service() {
    let group = "  - {AutoScalingGroupName: NAME, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {cpu: 65536, memory: 131072}}\n";
    let text = format!(
        "
name: lab
duration: 40m
clusters: [{{clusterName: default, capacityProviders: [a, b]}}]
autoScalingGroups:
{}{}
capacityProviders:
  - {{name: a, autoScalingGroupProvider: {{autoScalingGroupArn: ga, managedScaling: {{status: ENABLED}}}}}}
  - {{name: b, autoScalingGroupProvider: {{autoScalingGroupArn: gb, managedScaling: {{status: ENABLED}}}}}}
taskDefinitions:
  - {{family: t, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: 9,
     capacityProviderStrategy: [{{capacityProvider: a, base: 1, weight: 1}}, {{capacityProvider: b, weight: 3}}]}}
actions:
  - {{at: 10m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 5}}}}
  - {{at: 20m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 1}}}}
",
        group.replace("NAME", "ga"),
        group.replace("NAME", "gb")
    );
    let log = run_text(&text);
    let left = |time: f64| {
        let stopped: Vec<u64> = log
            .tasks
            .iter()
            .filter(|(at, .., status)| *at <= time && *status == "STOPPED")
            .map(|(_, number, ..)| *number)
            .collect();
        let alive = log.bound.iter().filter(|(number, _)| !stopped.contains(number));
        let names: Vec<&str> = alive.map(|(_, name)| name.as_str()).collect();
        (names.iter().filter(|name| **name == "a").count(), names.iter().filter(|name| **name == "b").count())
    };
    assert_eq!(left(500.0), (3, 6), "1 + 8/4 and 8 x 3/4");
    assert_eq!(left(900.0), (2, 3), "CP-10: the provider most above its share loses a task");
    assert_eq!(left(1500.0), (1, 0), "base tasks last");
}

/// A service of `desired` tasks of half a vCPU, driven by a workload.
fn driven(workload: &str, desired: u32) -> Log {
    let text = format!(
        "
name: lab
duration: 40m
targetGroups: [{{Name: tg}}]
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '512', memory: '1024',
     containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}]}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: {desired}, launchType: FARGATE, {BALANCED},
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}
actions:
  - {{at: 20m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 0}}}}
workloads:
  - {{name: load, {workload}}}
"
    );
    run_text(&text)
}

/// Datapoints of whole minutes in which nothing changed: from 5 to 19 minutes.
fn settled(log: &Log, resource: &str, metric: &str) -> Vec<f64> {
    let points = log.metric(resource, metric);
    points.into_iter().filter(|(start, _)| (300.0..1140.0).contains(start)).map(|(_, value)| value).collect()
}

fn all_near(values: &[f64], expected: f64) -> bool {
    values.len() == 14 && values.iter().all(|value| (value - expected).abs() < 1e-6)
}

#[test]
fn ecsm_1_utilisation_is_offered_load_over_reservation() {
    let log = driven("requests: {service: web, rate: 10, cpuPerRequest: 50ms}", 2);
    let cpu = settled(&log, "service/default/web", "CPUUtilization");
    assert!(all_near(&cpu, 50.0), "10/s x 0.05 vCPU s of 2 x 0.5 vCPU: {cpu:?}");
    let per_target = settled(&log, "target-group/tg", "RequestCountPerTarget");
    assert!(all_near(&per_target, 300.0), "ALBM-1: 600 a minute over 2 targets: {per_target:?}");
}

#[test]
fn ecsm_3_a_task_level_size_caps_utilisation_at_100() {
    let log = driven("requests: {service: web, rate: 40, cpuPerRequest: 50ms}", 2);
    let cpu = settled(&log, "service/default/web", "CPUUtilization");
    assert!(all_near(&cpu, 100.0), "{cpu:?}");
    let last = log.fluid.iter().rfind(|(time, _)| *time < 1190.0).map(|(_, step)| *step).unwrap();
    assert!((last.cpu_used - 1.0).abs() < 1e-6, "1 vCPU is all there is: {last:?}");
    // The queue is as long as the timeout allows: what arrives leaves, at most 20 a second of it answered in time.
    assert!((last.served + last.failed.timeout - 40.0).abs() < 1e-6 && last.served <= 20.0, "{last:?}");
}

#[test]
fn ecsm_6_no_tasks_no_samples() {
    let log = driven("requests: {service: web, rate: 10, cpuPerRequest: 50ms}", 2);
    let points = log.metric("service/default/web", "CPUUtilization");
    let last = points.last().unwrap().0;
    assert!((1140.0..=1200.0).contains(&last), "a gap, not zeros: last at {last}");
    // Nothing left to answer: every request fails at once.
    let after: Vec<_> = log.fluid.iter().filter(|(time, _)| *time > 1300.0).collect();
    assert!(!after.is_empty());
    assert!(after.iter().all(|(_, step)| step.served == 0.0 && (step.failed.no_healthy_target - 10.0).abs() < 1e-6));
    let targets = log.metric("target-group/tg", "RequestCountPerTarget");
    assert!(targets.last().unwrap().0 <= 1200.0, "ALBM-3: no sample without a registered target");
}

#[test]
fn a_utilization_workload_is_the_demand_of_all_tasks() {
    let log = driven("utilization: {service: web, cpu: 0.3, memory: 512}", 2);
    assert!(all_near(&settled(&log, "service/default/web", "CPUUtilization"), 30.0));
    assert!(all_near(&settled(&log, "service/default/web", "MemoryUtilization"), 25.0));
    let log = driven("utilization: {service: web, cpu: 3}", 2);
    assert!(all_near(&settled(&log, "service/default/web", "CPUUtilization"), 100.0), "capped (TD-9)");
}

#[test]
fn svc_8_which_of_several_sick_tasks_goes_first_is_a_draw() {
    let limits = "availabilityZoneRebalancing: DISABLED, deploymentConfiguration: {minimumHealthyPercent: 100, maximumPercent: 100}";
    let calls = actions(&[("10m", "CreateService", &create(&format!("desiredCount: 4, {limits}, {BALANCED}")))]);
    let first = |seed: u32| {
        let text = estate(SMALL, "startup: 40s, unresponsive: [[200s, 5000s]]", &calls).replace("80m", "1000s");
        let log = run_text(&format!("seed: {seed}\n{text}"));
        let stopped = log.tasks.iter().find(|(_, _, _, status)| *status == "DEACTIVATING");
        stopped.map(|(_, number, ..)| *number)
    };
    let mut chosen: Vec<_> = (1..=5).map(first).collect();
    assert_eq!(chosen[0], first(1), "the same seed, the same draw");
    chosen.dedup();
    assert!(chosen.len() > 1, "{chosen:?}");
}
