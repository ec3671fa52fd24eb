//! Worked examples of `spec/tasks-and-services.md`, section 1: containers of a task, their order, checks and ends.
//!
//! A container takes 20 s to start and 30 s to stop unless it says else; the host is there from 50 s on, tasks come at
//! 600 s.

use crate::lab::{Log, run_text};

fn estate(containers: &str, actions: &str) -> String {
    format!(
        "
name: lab
duration: 30m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 65536, memory: 131072}}}}
taskDefinitions:
  - {{family: t, containerDefinitions: [{containers}]}}
actions:
{actions}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
"
    )
}

/// A container of small size.
fn container(name: &str, rest: &str) -> String {
    format!("{{name: {name}, image: {name}, cpu: 64, memory: 64, {rest}}}")
}

fn run(containers: &[String], stop: Option<&str>) -> Log {
    let mut actions = "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t}}\n".to_owned();
    if let Some(at) = stop {
        actions.push_str(&format!("  - {{at: {at}, call: 'ecs:StopTask', with: {{task: 'family:t'}}}}\n"));
    }
    run_text(&estate(&containers.join(", "), &actions))
}

fn service(containers: &[String], with: &str, rest: &str) -> Log {
    let actions = format!(
        "  - {{at: 10m, call: 'ecs:CreateService', with: {{serviceName: web, taskDefinition: t, launchType: EC2, {with}}}}}\n{rest}"
    );
    run_text(&estate(&containers.join(", "), &actions))
}

const CHECK: &str = "healthCheck: {command: [CMD, 'true'], interval: 10, retries: 3}";

/// When the health checks of the service's tasks gave them up, as its events say.
fn failed_checks(log: &Log) -> Vec<f64> {
    let said = log.messages.iter().filter(|(_, text)| text.ends_with("failed container health checks."));
    said.map(|(time, _)| *time).collect()
}

#[test]
fn ex_td_7_a_dependency_that_failed_ends_the_task() {
    let init = container("init", "essential: false, behaviour: {runsFor: 10s, exitCode: 1}");
    let app = container("app", "dependsOn: [{containerName: init, condition: SUCCESS}]");
    let log = run(&[init, app], None);
    assert_eq!(log.statuses(0), ["PENDING", "STOPPED"], "no RUNNING, so no startedAt");
    assert_eq!(log.times("family:t", "STOPPED"), [630.0], "init runs from 620 s to 630 s");
    assert_eq!(log.stops[&0].0, "TaskFailedToStart");
    let ends: Vec<Option<i32>> = log.containers[&0].iter().map(|container| container.exit_code).collect();
    assert_eq!(ends, [Some(1), None], "the dependent has no exit code");
}

#[test]
fn td_11_a_task_runs_when_its_last_container_has_started() {
    let init = container("init", "essential: false, behaviour: {runsFor: 10s}");
    let proxy = container("proxy", &format!("{CHECK}, behaviour: {{startup: 15s}}"));
    let app = container(
        "app",
        "dependsOn: [{containerName: init, condition: SUCCESS}, {containerName: proxy, condition: HEALTHY}]",
    );
    let log = run(&[app, init, proxy], None);
    // Both start at 620; init is done at 630, proxy passes at 640 (it failed at 630); app then takes 20 s.
    assert_eq!(log.times("family:t", "RUNNING"), [660.0]);
}

#[test]
fn td_10_a_sidecar_may_end_and_an_essential_container_may_not() {
    let app = container("app", "behaviour: {runsFor: 5m, exitCode: 3}");
    let sidecar = container("sidecar", "essential: false, behaviour: {runsFor: 1m}, stopTimeout: 10");
    let log = run(&[app, sidecar], None);
    assert_eq!(log.statuses(0), ["PENDING", "RUNNING", "STOPPED"]);
    assert_eq!(log.times("family:t", "STOPPED"), [920.0]);
    assert_eq!(log.stops[&0].0, "EssentialContainerExited");
    let other = container("other", "stopTimeout: 10");
    let log = run(&[container("app", "behaviour: {runsFor: 5m, exitCode: 3}"), other], None);
    assert_eq!(log.times("family:t", "STOPPED"), [930.0], "the other needs 30 s and is given 10");
    let ends: Vec<Option<i32>> = log.containers[&0].iter().map(|container| container.exit_code).collect();
    assert_eq!(ends, [Some(3), Some(137)]);
}

#[test]
fn ex_td_8_containers_stop_after_those_that_depend_on_them() {
    let proxy = container("proxy", "behaviour: {shutdown: 0s}");
    let app = container(
        "app",
        "stopTimeout: 30, behaviour: {shutdown: 10m}, dependsOn: [{containerName: proxy, condition: START}]",
    );
    let log = run(&[proxy, app], Some("20m"));
    assert_eq!(log.times("family:t", "RUNNING"), [640.0], "one after the other");
    assert_eq!(log.times("family:t", "STOPPED"), [1230.0]);
    let ends: Vec<Option<i32>> = log.containers[&0].iter().map(|container| container.exit_code).collect();
    assert_eq!(ends, [Some(0), Some(137)]);
    // Two that both need 10 s: independent ones stop together, chained ones one after the other (TD-13).
    for (depends, stopped) in [("", 1210.0), ("dependsOn: [{containerName: a, condition: START}]", 1220.0)] {
        let log = run(
            &[
                container("a", "behaviour: {shutdown: 10s}"),
                container("b", &format!("behaviour: {{shutdown: 10s}}, {depends}")),
            ],
            Some("20m"),
        );
        assert_eq!(log.times("family:t", "STOPPED"), [stopped], "{depends}");
    }
}

#[test]
fn td_14_a_start_timeout_fails_the_task() {
    let proxy = container("proxy", &format!("{CHECK}, startTimeout: 25, behaviour: {{startup: 40s, shutdown: 0s}}"));
    let app = container("app", "dependsOn: [{containerName: proxy, condition: HEALTHY}]");
    let log = run(&[proxy.clone(), app.clone()], None);
    assert_eq!(log.times("family:t", "STOPPED"), [645.0], "25 s after the start of proxy");
    assert_eq!(log.stops[&0].0, "TaskFailedToStart");
    let log = run(&[proxy.replace("startTimeout: 25", "startTimeout: 60"), app], None);
    assert_eq!(log.times("family:t", "RUNNING"), [680.0], "healthy at 660");
}

#[test]
fn td_20_a_restart_policy_restarts_in_place() {
    let policy = "restartPolicy: {enabled: true, restartAttemptPeriod: 60, ignoredExitCodes: [0]}";
    let log = run(&[container("app", &format!("{policy}, behaviour: {{runsFor: 2m, exitCode: 1}}"))], None);
    assert_eq!(log.statuses(0), ["PENDING", "RUNNING"], "restarted for as long as the run lasts");
    assert!(log.containers[&0][0].starts >= 8, "every 140 s: {:?}", log.containers[&0]);
    let log = run(&[container("app", &format!("{policy}, behaviour: {{runsFor: 2m, exitCode: 0}}"))], None);
    assert_eq!(log.times("family:t", "STOPPED"), [740.0], "0 is ignored");
    let log = run(&[container("app", &format!("{policy}, behaviour: {{runsFor: 50s, exitCode: 1}}"))], None);
    assert_eq!(log.times("family:t", "STOPPED"), [670.0], "it has to have run for a minute");
}

#[test]
fn svc_7_a_checked_task_is_healthy_when_its_check_passes() {
    let log = service(&[container("app", &format!("{CHECK}, behaviour: {{startup: 25s}}"))], "desiredCount: 2", "");
    // Started at 620; probes at 630, 640 fail, the one at 650 passes.
    assert_eq!(log.events("SERVICE_STEADY_STATE"), [650.0]);
    assert!(failed_checks(&log).is_empty());
}

#[test]
fn ex_svc_3_a_task_that_fails_its_container_checks_is_replaced_first() {
    // The first task hangs from 300 s after its start on: probes at 920, 935, 950 time out after 5 s.
    let app = container("app", &format!("{CHECK}, behaviour: {{unresponsive: [[295s, 5000s]]}}"));
    let log = run_text(
        &estate(
            &app,
            "  - {at: 10m, call: 'ecs:CreateService', with: {serviceName: web, taskDefinition: t, launchType: EC2, desiredCount: 1}}\n",
        )
        .replace("duration: 30m", "duration: 1100s"),
    );
    assert_eq!(failed_checks(&log), [955.0]);
    assert_eq!(log.batches("service:web", "PENDING", 955.0), [(0.0, 1)], "a replacement at once");
    // It runs at 975 and passes its first probe at 985.
    assert_eq!(log.batches("service:web", "STOPPING", 955.0), [(30.0, 1)]);
    assert_eq!(
        log.stops[&0],
        ("ServiceSchedulerInitiated".to_owned(), "Task failed container health checks".to_owned())
    );
}

#[test]
fn svc_9_container_checks_wait_for_the_end_of_the_grace_period() {
    let app = container("app", &format!("{CHECK}, behaviour: {{startup: 10h}}"));
    let log = service(&[app], "desiredCount: 1, healthCheckGracePeriodSeconds: 300", "");
    assert_eq!(failed_checks(&log)[0], 920.0, "300 s after RUNNING, not at 650");
    let standalone = run(&[container("app", &format!("{CHECK}, behaviour: {{startup: 10h}}"))], None);
    assert_eq!(standalone.statuses(0), ["PENDING", "RUNNING"], "TD-19: a standalone task is left alone");
}

#[test]
fn td_18_checks_of_sidecars_do_not_count() {
    let sidecar = container("sidecar", &format!("essential: false, {CHECK}, behaviour: {{startup: 10h}}"));
    let app = container("app", CHECK);
    let log = service(&[app, sidecar.clone()], "desiredCount: 1", "");
    assert_eq!(log.events("SERVICE_STEADY_STATE"), [630.0]);
    let log = service(&[container("app", ""), sidecar], "desiredCount: 1", "");
    assert_eq!(log.events("SERVICE_STEADY_STATE"), [660.0], "no check that counts: 40 s after RUNNING");
}

#[test]
fn crashes_come_at_their_own_times_and_are_not_throttled() {
    let log = service(&[container("app", "behaviour: {crashes: {mtbf: 100s}}")], "desiredCount: 1", "");
    // 20 s to start, 100 s to the crash; nothing is left to stop.
    assert_eq!(log.times("service:web", "PENDING")[..4], [600.0, 720.0, 840.0, 960.0]);
    assert_eq!(log.containers[&0][0].exit_code, Some(139));
    assert_eq!(log.stops[&0].0, "EssentialContainerExited");
}

#[test]
fn ex_td_9_containers_that_aws_refuses() {
    let check = "healthCheck: {command: [CMD, 'true']}";
    let cases = [
        ("TD-11", container("a", ""), container("b", "dependsOn: [{containerName: a, condition: COMPLETE}]")),
        ("TD-11", container("a", ""), container("b", "dependsOn: [{containerName: a, condition: HEALTHY}]")),
        ("TD-11", container("a", ""), container("b", "dependsOn: [{containerName: c, condition: START}]")),
        (
            "TD-11",
            container("a", "dependsOn: [{containerName: b, condition: START}]"),
            container("b", "dependsOn: [{containerName: a, condition: START}]"),
        ),
        ("TD-20", container("a", ""), container("b", "restartPolicy: {enabled: true, restartAttemptPeriod: 59}")),
    ];
    for (rule, first, second) in cases {
        let call = format!(
            "  - {{at: 10m, call: 'ecs:RegisterTaskDefinition', with: {{family: u, containerDefinitions: [{first}, {second}]}}}}\n"
        );
        let log = run_text(&estate(&container("app", ""), &call));
        assert_eq!(log.refused(), [(600.0, rule)], "{first} {second}");
    }
    let fine = container("a", &format!("essential: false, {check}, stopTimeout: 121"));
    let second =
        container("b", "dependsOn: [{containerName: a, condition: HEALTHY}, {containerName: a, condition: COMPLETE}]");
    let call = format!(
        "  - {{at: 10m, call: 'ecs:RegisterTaskDefinition', with: {{family: u, containerDefinitions: [{fine}, {second}]}}}}\n"
    );
    assert_eq!(run_text(&estate(&container("app", ""), &call)).refused(), []);
}

#[test]
fn td_7_a_container_above_its_own_limit_is_killed_and_the_others_run_on() {
    let app = container("app", "behaviour: {memory: 32MiB}");
    let greedy = container("greedy", "essential: false, behaviour: {memory: 100MiB}");
    let log = run(&[app.clone(), greedy], None);
    assert_eq!(log.statuses(0), ["PENDING", "RUNNING"], "128 MiB together would have been enough");
    let ends: Vec<Option<i32>> = log.containers[&0].iter().map(|container| container.exit_code).collect();
    assert_eq!(ends, [None, Some(137)]);
    let log = run(&[app, container("greedy", "behaviour: {memory: 100MiB}")], None);
    assert_eq!(log.stops[&0].0, "EssentialContainerExited");
    assert!(log.stops[&0].1.starts_with("OutOfMemoryError"));
}

#[test]
fn td_9_contention_stretches_how_long_a_task_runs() {
    let job = "{name: job, image: job, cpu: 1024, memory: 64, behaviour: {runsFor: 10m, cpu: 2}}";
    let at = |calls: &str| {
        let text = estate(job, calls).replace("cpu: 65536", "cpu: 2048").replace("duration: 30m", "duration: 1h");
        run_text(&text)
    };
    let one = "  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t}}\n";
    let alone = at(one);
    assert_eq!(alone.times("family:t", "STOPPED"), [1220.0], "2 vCPUs for one who wants two");
    // Two who want two vCPUs each of two have half: what is left of the first at 900 s takes twice as long.
    let both = at(&(one.to_owned() + "  - {at: 880s, call: 'ecs:RunTask', with: {taskDefinition: t}}\n"));
    // The first has done 280 s of 600 at 900 s; the other 320 s take 640. The second has done 320 s by then, alone after.
    assert_eq!(both.times("family:t", "STOPPED"), [1540.0, 1820.0]);
}
