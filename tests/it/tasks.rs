//! Worked examples of `spec/tasks-and-services.md`, sections 2, 3, 9 and 10: the life of tasks, and where they go.

use crate::lab::{Log, run_text};

/// An instance of the wanted size in the given zone, with custom attributes if any.
fn host(name: &str, zone: char, cpu: u32, memory: u32, attributes: &str) -> String {
    format!(
        "  - {{AutoScalingGroupName: {name}, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1{zone}], registeredResources: {{cpu: {cpu}, memory: {memory}}}{attributes}}}\n"
    )
}

/// Hosts, one task definition `t` and actions, with times that can be reckoned: 20 s to start, 30 s to stop.
fn estate(hosts: &str, container: &str, actions: &str) -> String {
    format!(
        "
name: lab
duration: 1h
autoScalingGroups:
{hosts}
taskDefinitions:
  - {{family: t, networkMode: bridge, containerDefinitions: [{{name: app, image: app, {container}}}]}}
actions:
{actions}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
behaviour: {{alarm_eval_phase: aligned, stop_report_s: 0}}
"
    )
}

fn run(at: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'ecs:RunTask', with: {{taskDefinition: t, {with}}}}}\n")
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'ecs:{call}', with: {{{with}}}}}\n")
}

/// Where tasks were placed that no strategy but this one decided.
fn placed(hosts: &str, container: &str, with: &str) -> Log {
    run_text(&estate(hosts, container, &run("10m", with)))
}

/// A service `web` created when all hosts are there.
fn service(hosts: &str, container: &str, with: &str, actions: &str) -> Log {
    let create = call("10m", "CreateService", &format!("serviceName: web, taskDefinition: t, launchType: EC2, {with}"));
    run_text(&estate(hosts, container, &(create + actions)))
}

/// Hosts of the tasks that were told to stop, in that order.
fn stopped_on(log: &Log) -> Vec<u32> {
    let stopping = log.tasks.iter().filter(|(_, _, _, status)| *status == "STOPPING");
    stopping.map(|(_, number, ..)| log.placed[number]).collect()
}

#[test]
fn ex_task_1_a_bridge_task_skips_what_it_does_not_need() {
    let actions = run("10m", "count: 1") + &call("20m", "StopTask", "task: 'family:t'");
    let log = run_text(&estate(&host("g", 'a', 2048, 4096, ""), "cpu: 256, memory: 256", &actions));
    assert_eq!(log.statuses(0), ["PENDING", "RUNNING", "STOPPING", "STOPPED"]);
    assert_eq!(log.times("family:t", "RUNNING"), [620.0]);
    assert_eq!(log.times("family:t", "STOPPED"), [1230.0]);
    assert_eq!(log.stops[&0], ("UserInitiated".to_owned(), "Task stopped by user".to_owned()), "TASK-14");
}

#[test]
fn ex_task_2_what_has_no_room_fails_and_does_not_wait() {
    let log = placed(&host("g", 'a', 4096, 3000, ""), "cpu: 256, memory: 1000", "count: 5, launchType: EC2");
    assert_eq!(log.hosts(), [0, 0, 0]);
    assert_eq!(log.failures, [(600.0, 2)]);
    let reasons = log.reasons("run-task", "refuse");
    assert!(reasons[0].1.contains("RESOURCE:MEMORY on 1"), "{reasons:?}");
}

const PROVIDER: &str = "
clusters: [{clusterName: default, capacityProviders: [cp]}]
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
";

#[test]
fn ex_task_3_with_managed_scaling_what_has_no_room_waits() {
    let with = "count: 5, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let hosts = host("g", 'a', 4096, 3000, "");
    let log = run_text(&(estate(&hosts, "cpu: 256, memory: 1000", &run("10m", with)) + PROVIDER));
    assert_eq!(log.batches("family:t", "PENDING", 0.0), [(600.0, 3)]);
    assert_eq!(log.batches("family:t", "PROVISIONING", 0.0), [(600.0, 2)]);
    assert_eq!(log.failures, []);
    assert_eq!(log.level_at("capacity-provider/cp", "ProvisioningCount", 600.0), 2.0);
}

#[test]
fn prv_2_the_quota_counts_waiting_tasks_and_the_excess_fails() {
    let with = "count: 10, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let hosts = host("g", 'a', 4096, 3000, "");
    let text = estate(&hosts, "cpu: 256, memory: 1000", &run("10m", with)) + PROVIDER;
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 0, provisioning_quota: 4"));
    assert_eq!(log.level_at("capacity-provider/cp", "ProvisioningCount", 600.0), 4.0);
    assert_eq!(log.failures, [(600.0, 3)], "3 placed, 4 wait, 3 fail (PRV-3)");
}

#[test]
fn prv_4_a_task_that_waited_too_long_stops_without_having_started() {
    let with = "count: 4, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let hosts = host("g", 'a', 4096, 3000, "");
    let log = run_text(&(estate(&hosts, "cpu: 256, memory: 1000", &run("10m", with)) + PROVIDER));
    // MaxSize is 1, so no capacity ever comes.
    assert_eq!(log.statuses(3), ["PROVISIONING", "STOPPED"]);
    assert_eq!(log.times("family:t", "STOPPED"), [2400.0], "1800 s later");
    assert_eq!(log.stops[&3].0, "TaskFailedToStart");
    assert!(log.stops[&3].1.contains("RESOURCE:MEMORY"), "{:?}", log.stops[&3]);
}

#[test]
fn prv_5_waiting_tasks_are_retried_in_the_order_of_their_creation() {
    let with = "count: 6, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let hosts = host("g", 'a', 4096, 3000, "");
    let actions = run("10m", with) + &call("11m", "StopTask", "task: 'family:t'");
    let log = run_text(&(estate(&hosts, "cpu: 256, memory: 1000", &actions) + PROVIDER));
    let pending: Vec<(f64, u64)> = log
        .tasks
        .iter()
        .filter(|(.., status)| *status == "PENDING")
        .map(|(time, number, ..)| (*time, *number))
        .collect();
    assert_eq!(pending, [(600.0, 0), (600.0, 1), (600.0, 2), (665.0, 3)], "task 0 gives its share back at 660");
}

#[test]
fn cp_nomanaged_failure_stopped_creates_the_task_and_stops_it() {
    let provider = PROVIDER.replace("ENABLED", "DISABLED");
    let with = "count: 4, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]";
    let text = estate(&host("g", 'a', 4096, 3000, ""), "cpu: 256, memory: 1000", &run("10m", with)) + &provider;
    assert_eq!(run_text(&text).failures, [(600.0, 1)]);
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 0, cp_nomanaged_failure: stopped"));
    assert_eq!((log.failures.len(), log.statuses(3)), (0, vec!["PROVISIONING", "STOPPED"]));
    assert_eq!(log.stops[&3].0, "TaskFailedToStart");
}

#[test]
fn ex_task_4_run_task_takes_one_to_ten() {
    let actions = run("10m", "count: 0") + &run("11m", "count: 11");
    let log = run_text(&estate(&host("g", 'a', 4096, 4096, ""), "cpu: 1, memory: 8", &actions));
    let refused = log.reasons("operator", "refuse");
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|(_, reason)| reason.contains("InvalidParameterException")), "{refused:?}");
    assert!(log.tasks.is_empty());
}

#[test]
fn ex_task_5_a_service_replaces_a_task_that_somebody_stopped() {
    let stop = call("20m", "StopTask", "task: 'service:web', reason: bye");
    let log = service(&host("g", 'a', 4096, 4096, ""), "cpu: 256, memory: 256", "desiredCount: 1", &stop);
    assert_eq!(log.stops[&0], ("UserInitiated".to_owned(), "bye".to_owned()));
    assert_eq!(log.times("service:web", "PENDING"), [600.0, 1200.0]);
    assert_eq!(log.level("service/default/web", "DesiredCount"), [(600.0, 1.0)]);
    assert_eq!(log.statuses(1), ["PENDING", "RUNNING"]);
}

/// A service on Fargate, behind a load balancer if there is a target group.
fn fargate(desired: u32, service: &str, behaviour: &str, rest: &str) -> String {
    format!(
        "
name: lab
duration: 1h
taskDefinitions:
  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', memory: '2048',
     containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}], behaviour: {{{behaviour}}}}}
services:
  - {{serviceName: web, taskDefinition: t, desiredCount: {desired}, launchType: FARGATE, {service}}}
{rest}
"
    )
}

const SUBNETS: &str = "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1b, us-east-1a]}}";
const SCALE_TO_ZERO: &str = "actions: [{at: 10m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 0}}]";

#[test]
fn ex_task_6_fargate_takes_34_s_to_clear_up() {
    let log = run_text(&fargate(1, SUBNETS, "shutdown: 800ms", SCALE_TO_ZERO));
    assert_eq!(log.batches("service:web", "DEPROVISIONING", 600.0), [(0.8, 1)]);
    assert_eq!(log.batches("service:web", "STOPPED", 600.0), [(34.8, 1)]);
    assert_eq!(log.statuses(0), ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"]);
}

#[test]
fn ex_fg_6_a_large_image_takes_most_of_the_start() {
    let log = run_text(&fargate(1, SUBNETS, "image: {sizeMiB: 413}", ""));
    let running = log.times("service:web", "RUNNING")[0];
    assert!((running - (15.0 + 1.5 + 413.0 / 12.0 + 3.0)).abs() < 1e-6, "{running}");
}

#[test]
fn ex_elb_4_a_fargate_task_drains_before_it_is_told_to_stop() {
    let balanced = format!("{SUBNETS}, loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]");
    let rest = format!("{SCALE_TO_ZERO}\ntargetGroups: [{{Name: tg}}]");
    let log = run_text(&fargate(1, &balanced, "shutdown: 2s", &rest));
    assert_eq!(log.batches("service:web", "DEACTIVATING", 600.0), [(0.0, 1)]);
    assert_eq!(log.batches("service:web", "STOPPING", 600.0), [(300.0, 1)]);
    assert_eq!(log.batches("service:web", "STOPPED", 600.0), [(336.0, 1)]);
    // EX-ELB-5: a shorter deregistration delay.
    let short = "{Name: tg, Attributes: [{Key: deregistration_delay.timeout_seconds, Value: '30'}]}";
    let log = run_text(&fargate(1, &balanced, "shutdown: 2s", &rest.replace("{Name: tg}", short)));
    assert_eq!(log.batches("service:web", "STOPPING", 600.0), [(30.0, 1)]);
    assert_eq!(log.batches("service:web", "STOPPED", 600.0), [(66.0, 1)]);
}

#[test]
fn place_17_fargate_spreads_over_the_zones_of_the_subnets() {
    let log = run_text(&fargate(3, SUBNETS, "", ""));
    let zones: Vec<&str> = log.task_zones.values().map(String::as_str).collect();
    assert_eq!(zones, ["us-east-1b", "us-east-1a", "us-east-1b"], "ties in the order of the list");
}

#[test]
fn place_17_a_task_that_stops_no_longer_counts_for_its_zone() {
    // Scale-in takes the zone with most tasks (PLACE-20); its replacement comes while the old task still stops.
    let actions = "actions: [{at: 10m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 2}},
  {at: 601s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 4}}]";
    let log = run_text(&fargate(3, SUBNETS, "shutdown: 20s", actions));
    assert_eq!(log.stops.len(), 1);
    let gone = log.stops.keys().next().unwrap();
    assert_eq!(log.task_zones[gone], "us-east-1b");
    let last: Vec<&str> = log.task_zones.values().skip(3).map(String::as_str).collect();
    assert_eq!(last, ["us-east-1b", "us-east-1a"]);
}

#[test]
fn ex_task_11_the_first_cause_of_a_stop_is_kept() {
    let actions = run("10m", "count: 1") + &call("651s", "StopTask", "task: 'family:t'");
    let text = estate(&host("g", 'a', 4096, 4096, ""), "cpu: 256, memory: 256", &actions);
    let text = text.replace("memory: 256}]", "memory: 256}], behaviour: {runsFor: 30s, exitCode: 1}");
    let log = run_text(&text.replace("stop_report_s: 0", "stop_report_s: 5"));
    assert_eq!(log.times("family:t", "STOPPED"), [655.0], "exit at 650, reported 5 s later");
    assert_eq!(log.stops[&0].0, "EssentialContainerExited");
}

#[test]
fn task_13_start_task_goes_where_it_is_told() {
    let hosts = host("g", 'a', 1024, 4096, "") + &host("h", 'a', 256, 4096, "");
    let with = "taskDefinition: t, containerInstances: ['#0', '#1', '#7']";
    let log = run_text(&estate(&hosts, "cpu: 512, memory: 256", &call("10m", "StartTask", with)));
    assert_eq!(log.hosts(), [0]);
    let refused: Vec<&str> = log.reasons("start-task", "refuse").iter().map(|(_, reason)| *reason).collect();
    assert_eq!(refused, ["RESOURCE:CPU", "MISSING"]);
}

#[test]
fn ex_agent_1_a_placed_task_waits_for_the_one_that_stops() {
    let actions =
        run("2m", "count: 1, group: a") + &call("10m", "StopTask", "task: a") + &run("10m", "count: 1, group: b");
    let log = run_text(&estate(&host("g", 'a', 1024, 4096, ""), "cpu: 1024, memory: 256", &actions));
    assert_eq!(log.times("b", "PENDING"), [600.0], "the control plane gives the share back at the request (AGENT-5)");
    assert_eq!(log.times("a", "STOPPED"), [630.0]);
    assert_eq!(log.times("b", "RUNNING"), [650.0], "starts at 630, 20 s to RUNNING");
}

fn three(cpu: u32, memory: u32) -> String {
    ["g1", "g2", "g3"].map(|name| host(name, 'a', cpu, memory, "")).concat()
}

#[test]
fn ex_place_1_binpack_fills_one_host_after_the_other() {
    let log = placed(
        &three(2048, 7680),
        "cpu: 512, memory: 2048",
        "count: 10, placementStrategy: [{type: binpack, field: memory}]",
    );
    assert_eq!(log.hosts(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(log.failures, [(600.0, 1)]);
    assert!(log.reasons("run-task", "refuse")[0].1.contains("RESOURCE:MEMORY on 3"));
}

#[test]
fn ex_place_2_spread_goes_round() {
    let with = "count: 6, placementStrategy: [{type: spread, field: instanceId}]";
    assert_eq!(placed(&three(2048, 7680), "cpu: 512, memory: 2048", with).hosts(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn ex_place_3_spread_over_zones_then_binpack() {
    let hosts = [("a1", 'a', 4608), ("a2", 'a', 1024), ("b1", 'b', 8192), ("b2", 'b', 2048)];
    let hosts: String = hosts.iter().map(|(name, zone, memory)| host(name, *zone, 8192, *memory, "")).collect();
    let strategy = "[{type: spread, field: 'attribute:ecs.availability-zone'}, {type: binpack, field: memory}]";
    let actions = call("5m", "StartTask", "taskDefinition: t, group: x, containerInstances: ['#0']")
        + &run("10m", &format!("count: 4, group: x, placementStrategy: {strategy}"));
    let log = run_text(&estate(&hosts, "cpu: 1, memory: 512", &actions));
    assert_eq!(log.hosts(), [0, 3, 1, 3, 1]);
}

#[test]
fn ex_place_4_binpack_leaves_the_least() {
    let hosts = [("x", 1024), ("y", 2048), ("z", 700)].map(|(name, cpu)| host(name, 'a', cpu, 4096, "")).concat();
    let with = "count: 4, placementStrategy: [{type: binpack, field: cpu}]";
    assert_eq!(placed(&hosts, "cpu: 600, memory: 8", with).hosts(), [2, 0, 1, 1]);
}

#[test]
fn ex_place_5_spread_over_an_attribute() {
    let rack = |name: &str, rack: &str| host(name, 'a', 4096, 4096, &format!(", ecsAttributes: {{rack: {rack}}}"));
    let hosts = rack("i1", "r1") + &rack("i2", "r1") + &rack("i3", "r2");
    let with = "count: 6, placementStrategy: [{type: spread, field: 'attribute:rack'}]";
    assert_eq!(placed(&hosts, "cpu: 8, memory: 8", with).hosts(), [0, 2, 0, 2, 0, 2]);
}

#[test]
fn ex_place_6_a_service_spreads_over_zones_and_then_hosts() {
    let hosts = host("a1", 'a', 4096, 4096, "") + &host("a2", 'a', 4096, 4096, "") + &host("b1", 'b', 4096, 4096, "");
    assert_eq!(service(&hosts, "cpu: 8, memory: 8", "desiredCount: 4", "").hosts(), [0, 2, 1, 2]);
}

#[test]
fn ex_place_7_scale_in_keeps_the_zones_balanced() {
    let hosts = [("a1", 'a'), ("b1", 'b'), ("c1", 'c'), ("a2", 'a'), ("b2", 'b'), ("c2", 'c'), ("a3", 'a')];
    let hosts = hosts.map(|(name, zone)| host(name, zone, 1024, 4096, "")).concat();
    let down = call("30m", "UpdateService", "service: web, desiredCount: 5");
    let log = service(&hosts, "cpu: 1024, memory: 8", "desiredCount: 7", &down);
    assert_eq!(log.hosts(), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(stopped_on(&log), [0, 1]);
}

#[test]
fn ex_place_8_distinct_instances_leave_two_unplaced() {
    let with = "desiredCount: 5, placementConstraints: [{type: distinctInstance}]";
    let log = service(&three(4096, 4096), "cpu: 8, memory: 8", with, "");
    assert_eq!(log.hosts(), [0, 1, 2]);
    let said = log.messages.iter().find(|(_, text)| text.contains("unable to place a task"));
    assert!(said.is_some_and(|(time, _)| *time == 600.0), "{:?}", log.messages);
}

#[test]
fn ex_place_9_a_static_port_is_taken_once_a_host() {
    let container = "cpu: 8, memory: 8, portMappings: [{containerPort: 80, hostPort: 80}]";
    let log = placed(&host("g", 'a', 4096, 4096, ""), container, "count: 2");
    assert_eq!((log.hosts(), &log.failures[..]), (vec![0], &[(600.0, 1)][..]));
    assert!(log.reasons("run-task", "refuse")[0].1.contains("RESOURCE:PORTS on 1"));
}

#[test]
fn ex_net_2_a_second_copy_finds_its_port_in_use() {
    let container = "cpu: 8, memory: 8, portMappings: [{containerPort: 80}]";
    let create = call("10m", "CreateService", "serviceName: web, taskDefinition: t, launchType: EC2, desiredCount: 2");
    let text =
        estate(&host("g", 'a', 4096, 4096, ""), container, &create).replace("networkMode: bridge", "networkMode: host");
    let log = run_text(&text);
    assert_eq!(log.hosts(), [0]);
    assert!(
        log.messages.iter().any(|(_, text)| text.contains("already using a port required by your task")),
        "{:?}",
        log.messages
    );
}

#[test]
fn ex_place_11_binpack_scale_in_empties_the_freest_host() {
    let hosts = host("p", 'a', 4096, 1500, "") + &host("q", 'a', 4096, 3500, "");
    let with = "desiredCount: 2, placementConstraints: [{type: distinctInstance}],
    placementStrategy: [{type: binpack, field: memory}]";
    let down = call("30m", "UpdateService", "service: web, desiredCount: 1");
    let log = service(&hosts, "cpu: 8, memory: 500", with, &down);
    assert_eq!(log.hosts(), [0, 1]);
    assert_eq!(stopped_on(&log), [1]);
}

#[test]
fn littles_law_holds_for_tasks() {
    let text = "
name: lab
duration: 48h
taskDefinitions:
  - {family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512',
     containerDefinitions: [{name: app, image: app}], behaviour: {runsFor: {exponential: {mean: 5m}}}}
workloads:
  - {name: jobs, tasks: {taskDefinition: t, launchType: FARGATE, arrivals: {poisson: 6/min},
     networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}
";
    let log = run_text(text);
    let end = 48.0 * 3600.0;
    let since = |status: &str| -> f64 { log.times("family:t", status).iter().map(|time| end - time).sum() };
    // Time in RUNNING: from each start to the end of the run, less what lies after the exit. Nothing is in between on
    // Fargate but DEPROVISIONING, which begins at the exit.
    let running = (since("RUNNING") - since("DEPROVISIONING")) / end;
    assert!((running - 30.0).abs() < 1.5, "mean number running {running}, expected 6/min x 5 min");
    let started = log.times("family:t", "PROVISIONING").len() as f64;
    assert!((started / end - 0.1).abs() < 0.003, "{started} arrivals");
}
