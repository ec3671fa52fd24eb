//! Task scale-in protection, account rates and quotas: `spec/tasks-and-services.md`, TASK-16, SVC-13, FG-7, LIM-1.

use crate::lab::run_text;

/// One large host, a service `web` of four tasks, and actions.
fn estate(actions: &str) -> String {
    format!(
        "
name: lab
duration: 40m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 65536, memory: 131072}}}}
taskDefinitions:
  - {{family: t, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
  - {{family: u, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
  - {{family: eni, networkMode: awsvpc, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: 4, launchType: EC2}}
actions:
{actions}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
"
    )
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'ecs:{call}', with: {{{with}}}}}\n")
}

const TWO_FOR_TEN_MINUTES: &str =
    "tasks: ['service:web', 'service:web'], protectionEnabled: true, expiresInMinutes: 10";

#[test]
fn svc_13_scale_in_spares_protected_tasks_until_they_are_so_no_longer() {
    let actions = call("11m", "UpdateTaskProtection", TWO_FOR_TEN_MINUTES)
        + &call("12m", "UpdateService", "service: web, desiredCount: 1");
    let log = run_text(&estate(&actions));
    assert_eq!(log.batches("service:web", "STOPPING", 720.0), [(0.0, 2), (540.0, 1)]);
    assert!(log.stops.contains_key(&2) && log.stops.contains_key(&3), "the two oldest were protected");
    assert_eq!(log.events("TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION"), [720.0]);
    assert!(log.decided("service-scheduler").contains(&(720.0, "spare", "SVC-13")));
}

#[test]
fn svc_13_a_deployment_waits_for_protected_tasks() {
    let actions = call("11m", "UpdateTaskProtection", TWO_FOR_TEN_MINUTES)
        + &call("12m", "UpdateService", "service: web, taskDefinition: u");
    let log = run_text(&estate(&actions));
    assert_eq!(log.batches("service:web", "PENDING", 720.0), [(0.0, 4)]);
    assert_eq!(log.batches("service:web", "STOPPING", 720.0), [(60.0, 2), (540.0, 2)]);
    assert_eq!(log.events("SERVICE_DEPLOYMENT_COMPLETED"), [110.0, 1260.0]);
}

#[test]
fn task_16_protection_ends_by_a_call_and_spares_nobody_from_stop_task() {
    let actions = call("11m", "UpdateTaskProtection", TWO_FOR_TEN_MINUTES)
        + &call("12m", "StopTask", "task: 'service:web'")
        + &call("13m", "UpdateService", "service: web, desiredCount: 0")
        + &call("14m", "UpdateTaskProtection", "tasks: ['service:web'], protectionEnabled: false");
    let log = run_text(&estate(&actions));
    assert_eq!(log.stops[&0].0, "UserInitiated");
    assert_eq!(log.batches("service:web", "STOPPING", 720.0), [(0.0, 1), (60.0, 3), (120.0, 1)]);
}

#[test]
fn task_16_what_cannot_be_protected_is_a_failure() {
    let one = "tasks: ['service:web'], protectionEnabled: true";
    let eleven = ["'service:web'"; 11].join(", ");
    let actions = call("5m", "RunTask", "taskDefinition: t")
        + &call("11m", "UpdateTaskProtection", "tasks: ['family:t', nobody], protectionEnabled: true")
        + &call("12m", "UpdateTaskProtection", &format!("{one}, expiresInMinutes: 2881"))
        + &call("13m", "UpdateTaskProtection", &format!("tasks: [{eleven}], protectionEnabled: true"))
        + &call("14m", "UpdateService", "service: web, desiredCount: 1")
        + &call("15m", "UpdateTaskProtection", one)
        + &call("16m", "UpdateService", "service: web, desiredCount: 0")
        + &call("17m", "UpdateTaskProtection", one);
    let log = run_text(&estate(&actions));
    let refused: Vec<(f64, &str)> = log.reasons("operator", "refuse");
    let times: Vec<f64> = refused.iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [660.0, 660.0, 720.0, 780.0, 1020.0], "{refused:?}");
    for (place, text) in [
        (0, "TASK_NOT_VALID"),
        (1, "MISSING"),
        (2, "between 1 and 2880"),
        (3, "1 to 10 tasks"),
        (4, "DEPLOYMENT_BLOCKED"),
    ] {
        assert!(refused[place].1.contains(text), "{refused:?}");
    }
}

#[test]
fn net_4_awsvpc_tasks_need_a_network_configuration() {
    let subnets = "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}";
    let actions = call("11m", "RunTask", "taskDefinition: eni")
        + &call("12m", "RunTask", &format!("taskDefinition: eni, {subnets}"))
        + &call("13m", "CreateService", "serviceName: e, taskDefinition: eni, desiredCount: 0");
    let log = run_text(&estate(&actions));
    assert_eq!(log.refused(), [(660.0, "NET-4"), (780.0, "SVC-4")]);
    assert_eq!(log.times("family:eni", "RUNNING").len(), 1);
}

#[test]
fn ex_fg_5_fargate_launches_are_limited_for_the_account() {
    let fargate = |service: &str, actions: &str| {
        format!(
            "
name: lab
duration: 10m
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{{name: app, image: app}}]}}
{service}
{actions}
delays: {{preset: constant}}
behaviour: {{alarm_eval_phase: aligned, svc_rate_per_min: 60000}}
"
        )
    };
    let subnets = "launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}";
    let service = format!("services: [{{serviceName: web, taskDefinition: t, desiredCount: 500, {subnets}}}]");
    let log = run_text(&fargate(&service, ""));
    let launched = log.times("service:web", "PROVISIONING");
    assert_eq!(launched.iter().filter(|time| **time == 0.0).count(), 100);
    assert_eq!((launched.len(), launched[499]), (500, 20.0));
    // As levels: all of them are provisioned for 15 s.
    assert_eq!(log.level_at("service/default/web", "ProvisioningCount", 0.0), 100.0);
    assert_eq!(log.level_at("service/default/web", "ProvisioningCount", 60.0), 0.0);
    // RunTask beyond the rate is refused as a whole.
    let calls: String =
        (0..11).map(|_| call("1m", "RunTask", &format!("taskDefinition: t, count: 10, {subnets}"))).collect();
    let log = run_text(&fargate("", &format!("actions:\n{calls}")));
    assert_eq!(log.times("family:t", "PROVISIONING").len(), 100);
    let refused = log.reasons("operator", "refuse");
    assert_eq!(refused.len(), 1);
    assert!(refused[0].1.contains("ThrottlingException"), "{refused:?}");
}

#[test]
fn ex_lim_3_and_4_quotas_refuse_what_is_beyond_them() {
    let services: String = (0..501)
        .map(|n| call("1m", "CreateService", &format!("serviceName: s{n}, taskDefinition: t, desiredCount: 0")))
        .collect();
    let too_many = call("2m", "UpdateService", "service: web, desiredCount: 5001");
    let text = estate(&(services + &too_many)).replace("duration: 40m", "duration: 3m");
    assert_eq!(run_text(&text).refused(), [(120.0, "LIM-1")]);
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 0, quota_set: 2018-01"));
    assert_eq!(log.refused(), [(60.0, "LIM-1"), (60.0, "LIM-1"), (120.0, "LIM-1")], "`web` is one of the 500");
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 0, quota_set: none"));
    assert_eq!(log.refused(), []);
}
