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

const BREAKER: &str = "deploymentCircuitBreaker: {enable: true, rollback: true}";

/// A service behind a load balancer whose targets take 5 s to register: a container that ends at once never runs.
fn breaking(desired: u32, breaker: &str, actions: &str) -> String {
    estate(desired, 100, 200, "30s", actions)
        .replace("maximumPercent: 200", &format!("maximumPercent: 200, {breaker}"))
        .replace("stop_report_s: 0", "stop_report_s: 0, alb_register_s: 5")
        .replace("taskStart: 20s", "taskStart: 0s")
        .replace("memory: 64}]}", "memory: 64, portMappings: [{containerPort: 80}]}]}")
        .replace("family: new, ", "family: new, behaviour: {runsFor: 0s, exitCode: 1}, ")
        .replace(
            "launchType: EC2,",
            "launchType: EC2, loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}],",
        )
        + "targetGroups: [{Name: tg, HealthCheckIntervalSeconds: 5}]\n"
}

/// Deployment events from the update on: (time since, name, reason without ids).
fn deployment_events(log: &Log) -> Vec<(f64, &'static str, String)> {
    let events = log.service_events.iter().filter(|(time, name, _)| *time >= UPDATE && name.contains("_DEPLOYMENT_"));
    let without_ids =
        |reason: &str| reason.split(' ').filter(|word| !word.starts_with("ecs-svc/")).collect::<Vec<_>>().join(" ");
    events.map(|(time, name, reason)| (time - UPDATE, *name, without_ids(reason))).collect()
}

#[test]
fn ex_dep_24_a_first_deployment_that_never_starts_stalls() {
    let text = breaking(2, BREAKER, "").replace("taskDefinition: old", "taskDefinition: new");
    // The service is there before its host: its clock of SVC-12 is woken by the host at 50 s.
    let log = run_text(&text);
    let failed = log.events("SERVICE_DEPLOYMENT_FAILED");
    assert_eq!(failed, [55.0], "two failures at 50 s, the third 5 s later");
    assert_eq!(log.batches("service:web", "PENDING", 0.0), [(50.0, 2), (55.0, 2)], "then no more tasks are launched");
    assert_eq!(log.events("SERVICE_DEPLOYMENT_IN_PROGRESS"), [0.0], "nothing to go back to");
}

#[test]
fn ex_evt_4_a_tripped_breaker_rolls_back() {
    let log = run_text(&breaking(4, BREAKER, &update("10m", "taskDefinition: new")));
    assert_eq!(
        deployment_events(&log),
        [
            (0.0, "SERVICE_DEPLOYMENT_IN_PROGRESS", "ECS deployment in progress.".to_owned()),
            (0.0, "SERVICE_DEPLOYMENT_FAILED", "ECS deployment circuit breaker: task failed to start.".to_owned()),
            (
                0.0,
                "SERVICE_DEPLOYMENT_IN_PROGRESS",
                "ECS deployment circuit breaker: rolling back to deploymentId".to_owned()
            ),
            (5.0, "SERVICE_DEPLOYMENT_COMPLETED", "ECS deployment completed.".to_owned()),
        ]
    );
    assert_eq!(log.revisions.values().filter(|name| *name == "new:1").count(), 4);
    assert!(log.decided("service-scheduler").contains(&(UPDATE, "fail", "DEP-14")));
}

#[test]
fn dep_14_without_a_rollback_old_tasks_keep_running() {
    let breaker = "deploymentCircuitBreaker: {enable: true, rollback: false}";
    let log = run_text(&breaking(4, breaker, &update("10m", "taskDefinition: new")));
    assert_eq!(log.events("SERVICE_DEPLOYMENT_FAILED"), [UPDATE]);
    assert_eq!(log.level_at("service/default/web", "RunningCount", 2000.0), 4.0);
    assert_eq!(log.batches("service:web", "PENDING", UPDATE), [(0.0, 4)]);
}

#[test]
fn ex_dep_23_a_rollback_under_way_is_no_target() {
    // At 2 s the rollback's own tasks do not run yet: they are stopped, and the third deployment starts when they are gone.
    let actions =
        update("10m", "taskDefinition: new") + &update("602s", "taskDefinition: new, forceNewDeployment: true");
    let log = run_text(&breaking(4, BREAKER, &actions));
    let events: Vec<(f64, &str)> = deployment_events(&log).iter().map(|(time, name, _)| (*time, *name)).collect();
    assert_eq!(
        events,
        [
            (0.0, "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            (0.0, "SERVICE_DEPLOYMENT_FAILED"),
            (0.0, "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            (2.0, "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            (32.0, "SERVICE_DEPLOYMENT_FAILED"),
        ],
        "it stalls"
    );
}

#[test]
fn ex_dep_25_a_task_that_ran_and_exited_never_trips_the_breaker() {
    let text = estate(2, 100, 200, "30s", "")
        .replace("maximumPercent: 200", &format!("maximumPercent: 200, {BREAKER}"))
        .replace("family: old, ", "family: old, behaviour: {runsFor: 5s, exitCode: 1}, ");
    let log = run_text(&text);
    assert!(log.events("SERVICE_DEPLOYMENT_FAILED").is_empty());
    assert!(log.times("service:web", "RUNNING").len() > 100, "restarted for ever");
}

#[test]
fn ex_dep_22_a_healthy_task_ends_a_row_of_failures() {
    // All three tasks are healthy at first and hang from 195 s after their start on: three failures at once. The
    // deployment stays in progress for as long as it bakes.
    let check = "healthCheck: {command: [CMD, 'true'], interval: 10, retries: 3}";
    let text = |threshold: u32, reset: bool| {
        let breaker = format!(
            "deploymentCircuitBreaker: {{enable: true, rollback: false, resetOnHealthyTask: {reset},
             thresholdConfiguration: {{type: COUNT, value: {threshold}}}}}"
        );
        let bakes = "alarms: {enable: true, alarmNames: [quiet]}, bakeTimeInMinutes: 600";
        estate(3, 100, 200, "30s", "")
            .replace("maximumPercent: 200", &format!("maximumPercent: 200, {breaker}, {bakes}"))
            .replace("cpu: 64, memory: 64}", &format!("cpu: 64, memory: 64, {check}}}"))
            .replace("family: old, ", "family: old, behaviour: {unresponsive: [[195s, 100h]]}, ")
    };
    // Started at 70; probes at 270, 285 and 300 time out 5 s later.
    assert_eq!(run_text(&text(3, true)).events("SERVICE_DEPLOYMENT_FAILED"), [305.0]);
    assert!(run_text(&text(4, true)).events("SERVICE_DEPLOYMENT_FAILED").is_empty(), "healthy ones came between");
    assert!(!run_text(&text(4, false)).events("SERVICE_DEPLOYMENT_FAILED").is_empty(), "they add up");
}

#[test]
fn dep_11_impossible_thresholds_are_refused() {
    for (kind, value) in [("COUNT", 0), ("BOUNDED_PERCENT", 101)] {
        let breaker = format!(
            "deploymentConfiguration: {{deploymentCircuitBreaker: {{enable: true, thresholdConfiguration: {{type: {kind}, value: {value}}}}}}}"
        );
        let log = run_text(&estate(4, 100, 200, "30s", &update("10m", &breaker)));
        let refused = log.reasons("operator", "refuse");
        assert!(refused[0].1.contains("Invalid deployment circuit breaker threshold value."), "{refused:?}");
    }
}

/// A service whose deployments watch an alarm on a replayed series.
fn alarmed(values: &str, actions: &str) -> Log {
    let alarms = "alarms: {enable: true, rollback: true, alarmNames: [errors]}";
    let rest = format!(
        "
metrics: [{{Namespace: App, MetricName: Errors, Period: 60, values: [{values}]}}]
alarms: [{{AlarmName: errors, Namespace: App, MetricName: Errors, Statistic: Maximum, Period: 60, EvaluationPeriods: 1,
  Threshold: 5, ComparisonOperator: GreaterThanThreshold, TreatMissingData: notBreaching}}]
"
    );
    run_text(
        &(estate(4, 100, 200, "30s", actions)
            .replace("maximumPercent: 200", &format!("maximumPercent: 200, {alarms}"))
            + &rest),
    )
}

#[test]
fn dep_16_an_alarm_fails_a_deployment_and_rolls_it_back() {
    // Twelve quiet minutes: the thirteenth bucket is bad, so the alarm rises a minute and a half after the update's end.
    let log = alarmed("0,0,0,0,0,0,0,0,0,0,0,0,9,9,0,0,0,0,0,0,0,0,0,0,0,0", &update("10m", "taskDefinition: new"));
    let events = deployment_events(&log);
    let names: Vec<&str> = events.iter().map(|(_, name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "SERVICE_DEPLOYMENT_IN_PROGRESS",
            "SERVICE_DEPLOYMENT_FAILED",
            "SERVICE_DEPLOYMENT_IN_PROGRESS",
            "SERVICE_DEPLOYMENT_COMPLETED"
        ]
    );
    let raised = log.alarms.iter().find(|(_, _, state, _)| state == "ALARM").map(|(time, ..)| *time);
    assert_eq!(Some(events[1].0 + UPDATE), raised);
    assert!(events[1].2.contains("alarm"), "{events:?}");
    assert!(log.decided("service-scheduler").iter().any(|(_, action, rule)| (*action, *rule) == ("fail", "DEP-16")));
}

#[test]
fn dep_16_alarms_are_watched_for_five_minutes_longer() {
    let log = alarmed("0", &update("10m", "taskDefinition: new"));
    assert_eq!(log.events("SERVICE_DEPLOYMENT_COMPLETED"), [110.0 + 300.0, UPDATE + 60.0 + 300.0]);
}

#[test]
fn dep_16_an_alarm_that_is_up_already_does_not_count() {
    let log = alarmed("0,0,0,0,0,0,0,0,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9,9", &update("11m", "taskDefinition: new"));
    assert!(log.events("SERVICE_DEPLOYMENT_FAILED").is_empty(), "{:?}", log.alarms);
}

#[test]
fn dep_8_a_deployment_is_stopped_and_goes_back() {
    let stop = "  - {at: 610s, call: 'ecs:StopServiceDeployment', with: {service: web}}\n";
    let again = "  - {at: 30m, call: 'ecs:StopServiceDeployment', with: {service: web}}\n";
    let log = run_text(&estate(4, 100, 200, "30s", &(update("10m", "taskDefinition: new") + stop + again)));
    let events: Vec<(f64, &str)> = deployment_events(&log).iter().map(|(time, name, _)| (*time, *name)).collect();
    assert_eq!(
        events,
        [
            (0.0, "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            (10.0, "SERVICE_DEPLOYMENT_FAILED"),
            (10.0, "SERVICE_DEPLOYMENT_IN_PROGRESS"),
            (70.0, "SERVICE_DEPLOYMENT_COMPLETED"),
        ]
    );
    let refused = log.reasons("operator", "refuse");
    assert!(refused[0].1.contains("ServiceDeploymentNotFoundException"), "{refused:?}");
}

#[test]
fn svc_8_the_older_way_stops_a_sick_task_first() {
    let check = "healthCheck: {command: [CMD, 'true'], interval: 10, retries: 3}";
    let text = estate(1, 0, 200, "30s", "")
        .replace("cpu: 64, memory: 64}", &format!("cpu: 64, memory: 64, {check}}}"))
        .replace("family: old, ", "family: old, behaviour: {unresponsive: [[195s, 100h]]}, ")
        .replace("duration: 40m", "duration: 400s");
    let log = run_text(&text);
    assert_eq!(log.batches("service:web", "PENDING", 300.0), [(5.0, 1)]);
    assert_eq!(log.batches("service:web", "STOPPING", 300.0), [(35.0, 1)], "its replacement is healthy");
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 0, unhealthy_mode: stop_first"));
    assert_eq!(log.batches("service:web", "STOPPING", 300.0), [(5.0, 1)]);
    assert_eq!(log.batches("service:web", "PENDING", 300.0), [(5.0, 1)]);
}

/// The update of a service with a deployment strategy, watched for two hours. A balancer moves the traffic; it takes the
/// time to see a healthy target that a task without one takes to count as healthy.
fn staged(desired: u32, strategy: &str, actions: &str) -> Log {
    let text = estate(desired, 100, 200, "30s", &(update("10m", "taskDefinition: new") + actions));
    run_text(
        &text
            .replace("maximumPercent: 200", &format!("maximumPercent: 200, {strategy}"))
            .replace("memory: 64}", "memory: 64, portMappings: [{containerPort: 80}]}")
            .replace("launchType: EC2,", "launchType: EC2, loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}],")
            .replace("stop_report_s: 0", "stop_report_s: 0, alb_register_s: 0, elb_first_probe_s: 40")
            .replace("taskDefinitions:", "targetGroups: [{Name: tg, Attributes: [{Key: deregistration_delay.timeout_seconds, Value: '0'}]}]\ntaskDefinitions:")
            .replace("duration: 40m", "duration: 2h"),
    )
}

/// The new revision's share of the traffic: (time since the update, percent).
fn traffic(log: &Log) -> Vec<(f64, f64)> {
    let shares = log.level("service/default/web", "new_revision_traffic_percent");
    shares.into_iter().map(|(time, percent)| (time - UPDATE, percent)).collect()
}

#[test]
fn ex_dep_31_blue_and_green_run_side_by_side_until_it_has_baked() {
    let log = staged(6, "strategy: BLUE_GREEN, bakeTimeInMinutes: 10", "");
    assert_eq!((starts(&log), stops(&log)), (vec![(0.0, 6)], vec![(660.0, 6)]));
    assert_eq!(log.level_at("service/default/web", "RunningCount", UPDATE + 30.0), 12.0);
    assert_eq!(traffic(&log), [(0.0, 0.0), (60.0, 100.0)]);
    assert_eq!(done(&log), [660.0]);
    assert!(log.decided("service-scheduler").contains(&(UPDATE + 60.0, "shift-traffic", "DEP-20")));
}

#[test]
fn ex_dep_30_linear_traffic_moves_by_a_tenth_every_six_minutes() {
    let log = staged(4, "strategy: LINEAR, bakeTimeInMinutes: 5", "");
    let expected: Vec<(f64, f64)> =
        (0..10).map(|step| (60.0 + 360.0 * f64::from(step), 10.0 * f64::from(step + 1))).collect();
    assert_eq!(traffic(&log)[1..], expected);
    assert_eq!(stops(&log), [(60.0 + 54.0 * 60.0 + 300.0, 4)], "all traffic at 54 min, then five minutes more");
}

#[test]
fn dep_25_a_canary_takes_a_little_first() {
    let settings = "canaryConfiguration: {canaryPercent: 2.5, canaryBakeTimeInMinutes: 20}";
    let log = staged(4, &format!("strategy: CANARY, {settings}"), "");
    assert_eq!(traffic(&log), [(0.0, 0.0), (60.0, 2.5), (1260.0, 100.0)]);
    assert_eq!(stops(&log), [(1260.0, 4)], "no bake time was asked for");
}

#[test]
fn dep_23_going_back_is_one_switch_of_traffic() {
    let stop = "  - {at: 15m, call: 'ecs:StopServiceDeployment', with: {service: web}}\n";
    let log = staged(4, "strategy: BLUE_GREEN, bakeTimeInMinutes: 10", stop);
    assert_eq!(traffic(&log), [(0.0, 0.0), (60.0, 100.0), (300.0, 0.0)]);
    assert_eq!((starts(&log), stops(&log)), (vec![(0.0, 4)], vec![(300.0, 4)]), "nothing starts anew");
    let green = log.stops.keys().map(|number| log.revisions[number].as_str());
    assert!(green.clone().all(|name| name == "new:1") && green.count() == 4);
    let names: Vec<&str> = deployment_events(&log).iter().map(|(_, name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "SERVICE_DEPLOYMENT_IN_PROGRESS",
            "SERVICE_DEPLOYMENT_FAILED",
            "SERVICE_DEPLOYMENT_IN_PROGRESS",
            "SERVICE_DEPLOYMENT_COMPLETED"
        ]
    );
}

#[test]
fn dep_21_a_newer_deployment_reconciles_and_starts_its_own_green() {
    let newer = update("630s", "taskDefinition: newer");
    let log = staged(4, "strategy: BLUE_GREEN, bakeTimeInMinutes: 1", &newer);
    // The first green tasks go at once; the old revision stays in production until the second green has baked.
    assert_eq!(starts(&log), [(0.0, 4), (30.0, 4)]);
    assert_eq!(stops(&log), [(30.0, 4), (150.0, 4)]);
    assert_eq!(done(&log), [150.0]);
    assert_eq!(log.level_at("service/default/web", "RunningCount", UPDATE + 200.0), 4.0);
}

#[test]
fn dep_21_scaling_during_the_bake_time_scales_both_revisions() {
    let scale = update("700s", "desiredCount: 6") + &update("900s", "desiredCount: 3");
    let log = staged(4, "strategy: BLUE_GREEN, bakeTimeInMinutes: 10", &scale);
    assert_eq!(starts(&log), [(0.0, 4), (100.0, 4)]);
    assert_eq!(stops(&log), [(300.0, 6), (660.0, 3)]);
    assert_eq!(done(&log), [660.0]);
}

#[test]
fn dep_23_blue_green_needs_a_bake_time_and_shares_are_bounded() {
    for (configuration, rule) in [
        ("strategy: BLUE_GREEN", "DEP-23"),
        ("strategy: LINEAR, linearConfiguration: {stepPercent: 2.9}", "DEP-24"),
        ("strategy: CANARY, canaryConfiguration: {canaryPercent: 0.05}", "DEP-25"),
    ] {
        let call = update("10m", &format!("deploymentConfiguration: {{{configuration}}}"));
        assert_eq!(run_text(&estate(1, 100, 200, "30s", &call)).refused(), [(600.0, rule)], "{configuration}");
    }
}
