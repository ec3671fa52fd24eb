//! Traffic by revision and by target: hooks, CodeDeploy, task sets, slow start, fail open, zones (DEP-20…27, ELB-*).

use ecsim::workload::fluid::StepOutcome;

use crate::lab::{Log, run_text};

const UPDATE: f64 = 600.0;

/// Ten requests a second on a service of Fargate tasks behind a balancer: two target groups, one for each colour.
///
/// A request of revision `new` costs as much as one of `old`, but `new` answers nobody from `silent` after its start on.
fn balanced(service: &str, silent: &str, rest: &str) -> String {
    format!(
        "
name: traffic
duration: 2h
targetGroups:
  - {{Name: blue, loadBalancer: front, HealthCheckIntervalSeconds: 10, Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '10'}}]}}
  - {{Name: green, loadBalancer: front, HealthCheckIntervalSeconds: 10, Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '10'}}]}}
taskDefinitions:
  - &app
    family: old
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '1024'
    memory: '2048'
    containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}]
  - {{<<: *app, family: new, behaviour: {{{silent}}}}}
services:
  - serviceName: web
    taskDefinition: old
    desiredCount: 4
    launchType: FARGATE
    networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a, us-east-1b]}}}}
    loadBalancers: [{{targetGroupArn: blue, containerName: app, containerPort: 80,
                      advancedConfiguration: {{alternateTargetGroupArn: green}}}}]
{service}
workloads: [{{name: load, requests: {{service: web, rate: 10, cpuPerRequest: 100ms, latencyFloor: 10ms, timeout: 10s}}}}]
delays: {{preset: constant, imagePull: 0s, taskStart: 10s}}
{rest}
"
    )
}

fn new_revision(with: &str) -> String {
    format!("  - {{at: 10m, call: 'ecs:UpdateService', with: {{service: web, {with}}}}}\n")
}

/// The requests that arrived in each part of the traffic in the second that ends at `time`.
fn arrivals(log: &Log, time: f64) -> Vec<f64> {
    parts(log, time).iter().map(|step| (step.arrived * 1e6).round() / 1e6).collect()
}

fn parts(log: &Log, time: f64) -> Vec<StepOutcome> {
    log.fluid.iter().filter(|(at, _)| (at - time).abs() < 1e-9).map(|(_, step)| *step).collect()
}

fn failed_between(log: &Log, from: f64, to: f64) -> f64 {
    let there = log.fluid.iter().filter(|(at, _)| (from..to).contains(at));
    there.map(|(_, step)| step.failed.total()).sum()
}

/// When traffic of the new revision changed, and to how many percent: since the update.
fn shifts(log: &Log) -> Vec<(f64, f64)> {
    let shares = log.level("service/default/web", "new_revision_traffic_percent");
    shares.into_iter().map(|(time, percent)| (time - UPDATE, percent)).collect()
}

/// What DescribeServiceDeployments would have shown, change by change.
fn statuses(log: &Log) -> Vec<&str> {
    let shown = log.reasons("service-deployment", "status");
    shown.into_iter().filter_map(|(_, reason)| reason.rsplit_once(' ').map(|(_, status)| status)).collect()
}

fn configured(configuration: &str) -> String {
    format!("    deploymentConfiguration: {{{configuration}}}\n")
}

const CANARY: &str =
    "strategy: CANARY, canaryConfiguration: {canaryPercent: 20.0, canaryBakeTimeInMinutes: 10}, bakeTimeInMinutes: 5";

#[test]
fn dep_20_each_revision_takes_its_share_of_the_requests() {
    let actions = format!("actions:\n{}", new_revision("taskDefinition: new"));
    let log = run_text(&balanced(&configured(CANARY), "", &actions));
    let shifts = shifts(&log);
    assert_eq!(shifts.iter().map(|(_, percent)| *percent).collect::<Vec<_>>(), [0.0, 20.0, 100.0]);
    let (canary, all) = (UPDATE + shifts[1].0, UPDATE + shifts[2].0);
    assert!((all - canary - 600.0).abs() < 1e-9, "ten minutes of canary");
    assert_eq!(arrivals(&log, (canary - 5.0).floor()), [10.0, 0.0], "all for blue");
    assert_eq!(arrivals(&log, (canary + 60.0).floor()), [8.0, 2.0]);
    assert_eq!(arrivals(&log, (all + 60.0).floor()), [0.0, 10.0]);
    assert_eq!(failed_between(&log, UPDATE, all + 60.0), 0.0);
    // Blue's group has no requests left, green's all of them.
    let minute = all + 200.0;
    let count = |group: &str| log.level_at(&format!("target-group/{group}"), "HealthyHostCount", minute);
    assert_eq!((count("blue"), count("green")), (4.0, 4.0), "both bake");
    assert_eq!(log.level_at("target-group/blue", "HealthyHostCount", all + 400.0), 0.0, "blue is gone");
}

#[test]
fn dep_20_a_broken_canary_fails_its_own_requests_only() {
    // The new revision hangs two minutes after its start, and nobody replaces it: in the canary, one request in five fails.
    let service = configured(CANARY) + "    healthCheckGracePeriodSeconds: 7200\n";
    let actions = format!("actions:\n{}", new_revision("taskDefinition: new"));
    let log = run_text(&balanced(&service, "unresponsive: [[120s, 100h]]", &actions));
    let canary = UPDATE + shifts(&log)[1].0;
    let (from, to) = (canary + 200.0, canary + 300.0);
    let share = failed_between(&log, from, to) / (10.0 * (to - from));
    assert!((0.1..=0.2 + 1e-9).contains(&share), "{share}");
    assert!(
        log.fluid.iter().filter(|(at, _)| (from..to).contains(at)).any(|(_, step)| step.failed.no_healthy_target > 0.0)
    );
}

#[test]
fn dep_21_the_traffic_goes_back_with_one_switch() {
    let stop = "  - {at: 20m, call: 'ecs:StopServiceDeployment', with: {service: web}}\n";
    let actions = format!("actions:\n{}{stop}", new_revision("taskDefinition: new"));
    let log = run_text(&balanced(&configured("strategy: BLUE_GREEN, bakeTimeInMinutes: 30"), "", &actions));
    assert_eq!(arrivals(&log, 1199.0), [0.0, 10.0]);
    assert_eq!(arrivals(&log, 1201.0)[0], 10.0);
    assert_eq!(failed_between(&log, 1190.0, 1300.0), 0.0);
    assert_eq!(
        statuses(&log),
        [
            "IN_PROGRESS",
            "SUCCESSFUL",
            "IN_PROGRESS",
            "ROLLBACK_REQUESTED",
            "ROLLBACK_IN_PROGRESS",
            "SUCCESSFUL",
            "ROLLBACK_SUCCESSFUL"
        ],
        "DEP-8"
    );
}

/// A blue/green deployment with one hook. Nobody sends requests: these runs may be long.
fn hooked(hook: &str, more: &str) -> Log {
    let service = configured(&format!("strategy: BLUE_GREEN, bakeTimeInMinutes: 5, lifecycleHooks: [{{{hook}}}]"));
    let text = balanced(&service, "", &format!("actions:\n{}{more}", new_revision("taskDefinition: new")));
    let workloads = text.find("workloads:").zip(text.find("delays:")).unwrap();
    run_text(&format!("{}{}", &text[..workloads.0], &text[workloads.1..]).replace("duration: 2h", "duration: 25h"))
}

#[test]
fn dep_22_a_function_holds_the_deployment_until_it_succeeds() {
    let function = "hookTargetArn: 'arn:aws:lambda:us-east-1:123456789012:function:smoke', roleArn: r";
    let at = |stage: &str, answers: &str| {
        let hook = format!("{function}, lifecycleStages: [{stage}], behaviour: {{answers: [{answers}]}}");
        shifts(&hooked(&hook, ""))
    };
    let free = at("POST_TEST_TRAFFIC_SHIFT", "");
    assert_eq!(free.len(), 2);
    let asked = at("POST_TEST_TRAFFIC_SHIFT", "IN_PROGRESS, IN_PROGRESS, IN_PROGRESS, SUCCEEDED");
    assert_eq!(asked[1].0 - free[1].0, 90.0, "asked again every 30 s");
    assert_eq!(at("PRE_SCALE_UP", "IN_PROGRESS, SUCCEEDED")[1].0 - free[1].0, 30.0, "nothing starts before");
    assert_eq!(at("POST_TEST_TRAFFIC_SHIFT", "IN_PROGRESS, FAILED").last().unwrap().1, 0.0);
    let after = at("PRODUCTION_TRAFFIC_SHIFT", "IN_PROGRESS, FAILED");
    assert_eq!(after.iter().map(|(_, percent)| *percent).collect::<Vec<_>>(), [0.0, 100.0, 0.0], "one switch back");
}

#[test]
fn ex_dep_32_a_pause_without_an_answer_rolls_back_after_a_day() {
    let log = hooked("targetType: PAUSE, lifecycleStages: [POST_SCALE_UP]", "");
    let failed = log.events("SERVICE_DEPLOYMENT_FAILED");
    let paused = log.reasons("lifecycle-hook", "await-action");
    assert_eq!(failed, [paused[0].0 + 86_400.0]);
    assert!(log.decided("service-scheduler").iter().any(|(_, action, rule)| (*action, *rule) == ("fail", "DEP-22")));
}

#[test]
fn dep_22_a_pause_ends_by_a_call_or_by_its_time_out() {
    let paused = "targetType: PAUSE, lifecycleStages: [PRE_PRODUCTION_TRAFFIC_SHIFT]";
    let go = "  - {at: 1h, call: 'ecs:ContinueServiceDeployment', with: {service: web}}\n";
    assert_eq!(shifts(&hooked(paused, go))[1], (3000.0, 100.0));
    let back = go.replace("{service: web}", "{service: web, action: ROLLBACK}");
    assert_eq!(hooked(paused, &back).events("SERVICE_DEPLOYMENT_FAILED"), [3600.0]);
    let patient = format!("{paused}, timeoutConfiguration: {{timeoutInMinutes: 30, action: CONTINUE}}");
    let log = hooked(&patient, go);
    assert_eq!(shifts(&log)[1].1, 100.0);
    assert!(log.events("SERVICE_DEPLOYMENT_FAILED").is_empty());
    assert_eq!(log.refused(), [(3600.0, "DEP-22")], "nothing waits for the call any more");
}

#[test]
fn dep_20_without_a_balancer_there_is_no_traffic_to_move() {
    let actions = format!("actions:\n{}", new_revision("taskDefinition: new"));
    let text = balanced(&configured(CANARY), "", &actions);
    let balancers = text.find("    loadBalancers:").zip(text.find("    deploymentConfiguration:")).unwrap();
    let plain = format!("{}{}", &text[..balancers.0], &text[balancers.1..]);
    let log = run_text(&plain);
    assert_eq!(shifts(&log).iter().map(|(_, percent)| *percent).collect::<Vec<_>>(), [0.0, 100.0]);
    let connect = plain.replace(
        "    deploymentConfiguration:",
        "    serviceConnectConfiguration: {enabled: true}\n    deploymentConfiguration:",
    );
    let steps = shifts(&run_text(&connect));
    assert_eq!(steps.iter().map(|(_, percent)| *percent).collect::<Vec<_>>(), [0.0, 20.0, 100.0], "Service Connect");
}

#[test]
fn ex_dep_33_code_deploy_is_through_in_27_minutes_and_ends_blue_an_hour_later() {
    let start = "  - {at: 10m, call: 'codedeploy:CreateDeployment', with: {service: web, taskDefinition: new,
     deploymentConfigName: CodeDeployDefault.ECSLinear10PercentEvery3Minutes}}\n";
    let refused = new_revision("taskDefinition: new").replace("at: 10m", "at: 9m");
    let service = "    deploymentController: {type: CODE_DEPLOY}\n";
    let text = balanced(service, "", &format!("actions:\n{refused}{start}")).replace("duration: 2h", "duration: 3h");
    let log = run_text(&text);
    assert_eq!(log.refused(), [(540.0, "DEP-26")], "UpdateService leaves it to CodeDeploy");
    let shifts = shifts(&log);
    let (first, last) = (shifts[1], *shifts.last().unwrap());
    assert_eq!((first.1, last.1, last.0 - first.0), (10.0, 100.0, 27.0 * 60.0));
    let stops = log.batches("service:web", "DEACTIVATING", UPDATE + first.0);
    assert_eq!(stops, [(87.0 * 60.0, 4)]);
}

#[test]
fn dep_26_green_tasks_have_an_hour_to_come_and_five_minutes_after_a_scaling_event() {
    let start = "  - {at: 10m, call: 'codedeploy:CreateDeployment', with: {service: web, taskDefinition: new,
     deploymentConfigName: CodeDeployDefault.ECSCanary10Percent15Minutes}}\n";
    let service = "    deploymentController: {type: CODE_DEPLOY}\n    healthCheckGracePeriodSeconds: 7200\n";
    // The canary runs from 19 min or so on; two more tasks take eight minutes to answer.
    let scale = "  - {at: 25m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 6}}\n";
    let run = |startup: &str, actions: &str| run_text(&balanced(service, startup, &format!("actions:\n{actions}")));
    let slow = run("startup: 8m", &format!("{start}{scale}"));
    assert_eq!(slow.events("SERVICE_DEPLOYMENT_FAILED"), [1800.0], "{:?}", shifts(&slow));
    assert_eq!(shifts(&slow).last().unwrap().1, 0.0);
    assert!(slow.decided("service-scheduler").contains(&(1800.0, "fail", "DEP-26")));
    assert!(run("startup: 8m", start).events("SERVICE_DEPLOYMENT_FAILED").is_empty());
    let never = run("startup: 3h", start);
    assert_eq!(never.events("SERVICE_DEPLOYMENT_FAILED"), [UPDATE + 3600.0]);
}

/// A service whose task sets somebody else makes.
fn external(actions: &str) -> Log {
    let service = "    deploymentController: {type: EXTERNAL}\n";
    let text = balanced(service, "", &format!("actions:\n{actions}"))
        .replace("    taskDefinition: old\n", "")
        .replace("desiredCount: 4", "desiredCount: 10");
    let balancers = text.find("    loadBalancers:").zip(text.find("    deploymentController:")).unwrap();
    run_text(&format!("{}{}", &text[..balancers.0], &text[balancers.1..]))
}

fn task_set(at: &str, name: &str, group: &str, scale: u32) -> String {
    format!(
        "  - {{at: {at}, call: 'ecs:CreateTaskSet', with: {{service: web, externalId: {name}, taskDefinition: {name},
     launchType: FARGATE, scale: {{value: {scale}, unit: PERCENT}},
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}},
     loadBalancers: [{{targetGroupArn: {group}, containerName: app, containerPort: 80}}]}}}}\n"
    )
}

#[test]
fn ex_dep_34_task_sets_have_their_percentage_of_the_desired_count() {
    let log = external(&(task_set("1m", "old", "blue", 33) + &task_set("2m", "new", "green", 5)));
    let by_revision = |name: &str| log.revisions.values().filter(|revision| *revision == name).count();
    assert_eq!((by_revision("old:1"), by_revision("new:1")), (4, 1));
    assert_eq!(log.level_at("service/default/web", "RunningCount", 600.0), 5.0);
    assert_eq!(arrivals(&log, 600.0), [10.0, 0.0], "the first set is PRIMARY");
}

#[test]
fn dep_27_the_primary_task_set_has_the_traffic_and_a_deleted_one_goes() {
    let calls = task_set("1m", "old", "blue", 100)
        + &task_set("10m", "new", "green", 50)
        + "  - {at: 15m, call: 'ecs:UpdateTaskSet', with: {service: web, taskSet: new, scale: {value: 100}}}
  - {at: 20m, call: 'ecs:UpdateServicePrimaryTaskSet', with: {service: web, primaryTaskSet: new}}
  - {at: 25m, call: 'ecs:DeleteTaskSet', with: {service: web, taskSet: old}}
  - {at: 26m, call: 'ecs:DeleteTaskSet', with: {service: web, taskSet: old, force: true}}
  - {at: 27m, call: 'ecs:UpdateTaskSet', with: {service: web, taskSet: other, scale: {value: 1}}}
  - {at: 28m, call: 'ecs:UpdateService', with: {service: web, taskDefinition: old}}
";
    let log = external(&calls);
    let running = |at: f64| log.level_at("service/default/web", "RunningCount", at);
    assert_eq!((running(540.0), running(890.0), running(1190.0), running(1800.0)), (10.0, 15.0, 20.0, 10.0));
    assert_eq!(arrivals(&log, 1199.0).iter().sum::<f64>(), 10.0);
    let green = |at: f64| log.level_at("target-group/green", "HealthyHostCount", at);
    assert_eq!((green(1190.0), failed_between(&log, 1190.0, 1900.0)), (10.0, 0.0));
    let refused = [(1500.0, "DEP-27"), (1620.0, "DEP-27"), (1680.0, "DEP-27")];
    assert_eq!(log.refused(), refused, "scaled above 0; no such set; no task definition");
}

#[test]
fn ex_tt_18_two_revisions_at_once_look_like_twice_the_capacity() {
    // 10 desired and 20 running at 60 % of a vCPU each, against 50 %: 24, though 12 would do.
    let service = configured("strategy: BLUE_GREEN, bakeTimeInMinutes: 60");
    let text = balanced(&service, "", &format!("actions:\n{}", new_revision("taskDefinition: new")))
        .replace("desiredCount: 4", "desiredCount: 10");
    let workloads = text.find("workloads:").zip(text.find("delays:")).unwrap();
    let scaled = "scalableTargets: [{ResourceId: service/default/web, MinCapacity: 1, MaxCapacity: 40}]
scalingPolicies: [{PolicyName: cpu, ResourceId: service/default/web, PolicyType: TargetTrackingScaling,
  TargetTrackingScalingPolicyConfiguration: {TargetValue: 50,
  PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}}}]
workloads: [{name: load, utilization: {service: web, cpu: {steps: [[0s, 4.5], [20m, 12.0]]}}}]
";
    let log = run_text(&format!("{}{scaled}{}", &text[..workloads.0], &text[workloads.1..]));
    let desired: Vec<f64> =
        log.level("service/default/web", "DesiredCount").into_iter().map(|(_, count)| count).collect();
    assert_eq!(desired[..2], [10.0, 24.0], "{desired:?}");
}

#[test]
fn ex_elb_7_when_all_targets_fail_traffic_goes_to_all() {
    // Both revisions are the same here: the tasks hang for two minutes and answer again; their groups need fifty seconds
    // more to call them healthy, but traffic flows at once.
    let text = balanced("", "", "")
        .replace("    family: old\n", "    family: old\n    behaviour: {unresponsive: [[600s, 720s]]}\n")
        .replace("    desiredCount: 4\n", "    desiredCount: 3\n    healthCheckGracePeriodSeconds: 7200\n")
        .replace("duration: 2h", "duration: 20m");
    let log = run_text(&text);
    let health = log.level("target-group/blue", "HealthyHostCount");
    let all_failed = health.iter().rev().find(|(_, count)| *count == 0.0).unwrap().0;
    let healthy_again = health.last().unwrap().0;
    assert_eq!(health.last().unwrap().1, 3.0);
    let flows = log.fluid.iter().find(|(at, step)| *at > all_failed && step.served > 0.0).unwrap().0;
    assert!(flows < healthy_again - 30.0, "{flows} against {healthy_again}");
    let (_, open) = log.fluid.iter().find(|(at, _)| *at > flows + 5.0).unwrap();
    assert_eq!(open.served, 10.0, "all three share it");
    assert_eq!(log.level_at("target-group/blue", "UnHealthyHostCount", flows), 3.0);
}

#[test]
fn ex_elb_6_a_new_target_is_warmed_up_slowly() {
    let text =
        balanced("", "", "actions:\n  - {at: 10m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 2}}\n")
            .replace("desiredCount: 4", "desiredCount: 1")
            .replace("Value: '10'}]", "Value: '10'}, {Key: slow_start.duration_seconds, Value: '60'}]");
    let log = run_text(&text);
    let second =
        log.level("target-group/blue", "HealthyHostCount").into_iter().find(|(_, count)| *count == 2.0).unwrap().0;
    let at = |after: f64| {
        let mut arrived = arrivals(&log, second.ceil() + after);
        arrived.sort_by(f64::total_cmp);
        arrived
    };
    let half = at(30.0);
    assert!((half[0] - 10.0 / 3.0).abs() < 0.06, "{half:?}");
    assert!(at(10.0)[0] < half[0] && half[0] < at(50.0)[0]);
    assert_eq!(at(70.0), [10.0], "one lane again");
}

#[test]
fn elb_12_a_network_balancer_keeps_to_its_zones() {
    // Three tasks in two zones: the lonely one has half of the traffic, and cannot do it.
    let text = balanced("", "", "loadBalancers: [{Name: front, Type: network}]\n")
        .replace("desiredCount: 4", "desiredCount: 3");
    let log = run_text(&text);
    assert_eq!(arrivals(&log, 1200.0), [5.0, 5.0]);
    let across = text.replace(
        "Type: network}",
        "Type: network, Attributes: [{Key: load_balancing.cross_zone.enabled, Value: 'true'}]}",
    );
    assert_eq!(arrivals(&run_text(&across), 1200.0), [10.0]);
}

#[test]
fn elb_7_in_turn_is_even_however_strong_the_targets_are() {
    // Two hosts of two vCPUs; on one of them a neighbour uses one and a half. In turn, its task is overloaded.
    let text = |algorithm: &str| {
        format!(
            "
name: routing
duration: 30m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2, DesiredCapacity: 2, AvailabilityZones: [us-east-1a]}}
targetGroups: [{{Name: tg, Attributes: [{{Key: load_balancing.algorithm.type, Value: {algorithm}}}]}}]
taskDefinitions:
  - {{family: web, containerDefinitions: [{{name: app, image: app, cpu: 512, memory: 512, portMappings: [{{containerPort: 80}}]}}]}}
  - {{family: busy, containerDefinitions: [{{name: app, image: app, cpu: 1536, memory: 512}}], behaviour: {{cpu: 1.0}}}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 2, launchType: EC2, placementStrategy: [{{type: spread, field: instanceId}}],
     loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]}}
  - {{serviceName: busy, taskDefinition: busy, desiredCount: 1, launchType: EC2}}
workloads: [{{name: load, requests: {{service: web, rate: 20, cpuPerRequest: 80ms, timeout: 5s}}}}]
delays: {{preset: constant, imagePull: 0s}}
"
        )
    };
    let even = run_text(&text("round_robin"));
    assert_eq!(arrivals(&even, 1200.0), [10.0, 10.0]);
    assert!(failed_between(&even, 1100.0, 1200.0) > 0.0, "the weaker target is overloaded");
    let fitting = run_text(&text("least_outstanding_requests"));
    assert_eq!(arrivals(&fitting, 1200.0), [20.0]);
    assert_eq!(failed_between(&fitting, 1100.0, 1200.0), 0.0);
}

#[test]
fn elb_13_a_classic_balancer_checks_alone_and_asks_for_a_static_port() {
    let text = |port: &str| {
        format!(
            "
name: classic
duration: 30m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2, DesiredCapacity: 2, AvailabilityZones: [us-east-1a]}}
loadBalancers: [{{Name: old-style, Type: classic, HealthCheck: {{Interval: 10, UnhealthyThreshold: 2}}}}]
taskDefinitions:
  - {{family: web, behaviour: {{unresponsive: [[300s, 302s]]}}, containerDefinitions: [{{name: app, image: app, cpu: 64, memory: 64,
     healthCheck: {{command: [CMD, 'false'], interval: 5, retries: 1, timeout: 2}}, portMappings: [{{containerPort: 80{port}}}]}}]}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 2, launchType: EC2,
     deploymentConfiguration: {{minimumHealthyPercent: 0, maximumPercent: 100}},
     loadBalancers: [{{loadBalancerName: old-style, containerName: app, containerPort: 80}}]}}
delays: {{preset: constant, imagePull: 0s}}
"
        )
    };
    let log = run_text(&text(", hostPort: 8080"));
    assert_eq!(log.times("service:web", "STOPPING").len(), 0, "the container's own check says what it likes");
    assert_eq!(log.level_at("target-group/old-style", "HealthyHostCount", 1000.0), 2.0);
    assert_eq!(run_text(&text("")).refused(), [(0.0, "ELB-2")], "one port of a host for each task");
}

#[test]
fn svc_15_another_network_balancer_or_platform_starts_a_deployment() {
    let deployments = |with: &str| {
        let text = balanced("", "", &format!("actions:\n{}", new_revision(with)));
        let log = run_text(&text);
        (log.events("SERVICE_DEPLOYMENT_IN_PROGRESS").len() - 1, log)
    };
    for with in [
        "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1b]}}",
        "platformVersion: 1.3.0",
        "loadBalancers: [{targetGroupArn: green, containerName: app, containerPort: 80}]",
        "serviceRegistries: [{registryArn: r}]",
        "serviceConnectConfiguration: {enabled: true}",
        "volumeConfigurations: [{name: v}]",
        "vpcLatticeConfigurations: [{portName: p}]",
    ] {
        assert_eq!(deployments(with).0, 1, "{with}");
    }
    for with in [
        "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b]}}",
        "platformVersion: LATEST",
        "serviceRegistries: []",
        "deploymentConfiguration: {maximumPercent: 150}",
    ] {
        assert_eq!(deployments(with).0, 0, "{with} changes nothing");
    }
    let (_, moved) = deployments("loadBalancers: [{targetGroupArn: green, containerName: app, containerPort: 80}]");
    let healthy = |group: &str| moved.level_at(&format!("target-group/{group}"), "HealthyHostCount", 3000.0);
    assert_eq!((healthy("blue"), healthy("green")), (0.0, 4.0));
    assert_eq!(failed_between(&moved, UPDATE, 3000.0), 0.0);
}

#[test]
fn net_7_service_connect_adds_a_proxy_and_discovery_a_limit() {
    let containers = |log: &Log| log.containers.values().map(Vec::len).max().unwrap_or(0);
    let connect = balanced("    serviceConnectConfiguration: {enabled: true}\n", "", "");
    assert_eq!(containers(&run_text(&connect)), 2);
    assert_eq!(containers(&run_text(&balanced("", "", ""))), 1);
    let discovery = balanced("    serviceRegistries: [{registryArn: r}]\n", "", "")
        .replace("desiredCount: 4", "desiredCount: 1001");
    assert_eq!(run_text(&discovery).refused(), [(0.0, "LIM-1")]);
}

#[test]
fn elb_11_a_target_group_takes_a_thousand_targets() {
    let text =
        balanced("", "", "").replace("desiredCount: 4", "desiredCount: 1001").replace("duration: 2h", "duration: 15m");
    let log = run_text(&text);
    assert_eq!(log.level_at("target-group/blue", "HealthyHostCount", 890.0), 1000.0);
    assert!(log.stops.values().any(|(code, reason)| code == "TaskFailedToStart" && reason.contains("TooManyTargets")));
}
