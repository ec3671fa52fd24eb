//! Fargate Spot: interruptions, shortages, the account's limits (CP-14, FG-5, FG-7, FG-8).

use crate::lab::{Log, run_text};

/// A service of three tasks on Fargate Spot, and whatever else.
fn run(container: &str, service: &str, rest: &str) -> Log {
    let rebalancing = if service.contains("launchType") { "ENABLED" } else { "DISABLED" };
    run_text(&format!(
        "name: spot\nduration: 1h\n\
         clusters: [{{clusterName: default, capacityProviders: [FARGATE, FARGATE_SPOT]}}]\n\
         targetGroups: [{{Name: tg, HealthCheckIntervalSeconds: 5}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, cpu: '1024', memory: '2048', requiresCompatibilities: [FARGATE], \
         behaviour: {{shutdown: 200s}}, containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]{container}}}]}}\n\
         services:\n  - {{serviceName: web, taskDefinition: t, desiredCount: 3, availabilityZoneRebalancing: {rebalancing}, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a, us-east-1b, us-east-1c]}}}}{service}}}\n{rest}"
    ))
}

const SPOT: &str = ", capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT, weight: 1}]";
const NOTICE: &str =
    "faults:\n  - {at: 20m, fault: spotInterruption, with: {capacityProvider: FARGATE_SPOT, service: web, count: 1}}\n";

#[test]
fn ex_fg_7_a_spot_notice_kills_after_the_stop_timeout() {
    for (timeout, lasts) in [("", 30.0), (", stopTimeout: 120", 120.0)] {
        let log = run(timeout, SPOT, NOTICE);
        // The containers end, then Fargate takes the task down (TASK-21: 34 s).
        assert_eq!(log.times("service:web", "STOPPED")[0], 1200.0 + lasts + 34.0);
        assert_eq!(log.stops.values().next().map(|stop| stop.0.as_str()), Some("SpotInterruption"));
    }
}

#[test]
fn fg_5_the_target_leaves_at_once_and_the_service_starts_another_on_spot() {
    let balancer = ", loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}]";
    let log = run("", &format!("{SPOT}{balancer}"), NOTICE);
    assert_eq!(log.times("service:web", "DEACTIVATING")[0], 1200.0, "the target is deregistered");
    assert_eq!(
        log.times("service:web", "STOPPED")[0],
        1200.0 + 30.0 + 34.0,
        "SIGTERM waits for no connections to drain"
    );
    assert_eq!(log.times("service:web", "PROVISIONING")[3], 1200.0, "another is started at once");
    assert_eq!(log.bound_to("FARGATE_SPOT"), 4);
}

#[test]
fn cp_14_a_service_short_of_spot_tries_there_again_and_nowhere_else() {
    let mixed = ", capacityProviderStrategy: [{capacityProvider: FARGATE, weight: 1}, {capacityProvider: FARGATE_SPOT, weight: 2}]";
    let short =
        "faults:\n  - {at: 0s, for: 30m, fault: insufficientCapacity, with: {capacityProvider: FARGATE_SPOT}}\n";
    let log = run("", mixed, short);
    assert_eq!(log.bound_to("FARGATE"), 1, "its share, and no more");
    assert_eq!(log.level_at("service/default/web", "RunningCount", 1799.0), 1.0);
    assert_eq!(log.bound_to("FARGATE_SPOT"), 2);
    assert_eq!(log.level_at("service/default/web", "RunningCount", 3599.0), 3.0);
    let failure = log.service_events.iter().find(|(_, name, _)| *name == "SERVICE_TASK_PLACEMENT_FAILURE");
    assert_eq!(failure.map(|(_, _, reason)| reason.as_str()), Some("RESOURCE:FARGATE"));
}

#[test]
fn fg_5_tasks_are_taken_back_at_random_where_the_scenario_says_so() {
    let stops = |rest: &str| {
        let log = run("", SPOT, rest);
        log.stops.values().filter(|(code, _)| code == "SpotInterruption").count()
    };
    assert_eq!(stops(""), 0, "off by default");
    let hazard = "spotPools:\n  - {capacityProvider: FARGATE_SPOT, interruptionsPerHour: 4}\n";
    assert!((4..=40).contains(&stops(hazard)), "{}", stops(hazard));
    assert_eq!(stops(&format!("{hazard}behaviour: {{spot_interruptions: none}}\n")), 0);
    let elsewhere =
        "spotPools:\n  - {capacityProvider: FARGATE_SPOT, AvailabilityZone: us-east-1f, interruptionsPerHour: 4}\n";
    assert_eq!(stops(elsewhere), 0);
}

#[test]
fn fg_8_no_more_vcpus_at_once_than_the_quota() {
    let log = run("", SPOT, "behaviour: {fargate_vcpu_quota: 2}\n");
    assert_eq!(log.level_at("service/default/web", "RunningCount", 3599.0), 2.0);
    assert!(log.messages.iter().any(|(_, text)| text.contains("limit on the number of vCPUs")), "{:?}", log.messages);
    let call = "actions:\n  - {at: 10m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE, count: 3, \
                networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}\n";
    let log = run("", SPOT, &format!("behaviour: {{fargate_vcpu_quota: 2}}\n{call}"));
    assert_eq!(log.failures, [(600.0, 1)], "on demand has a quota of its own");
}

#[test]
fn fg_7_rebalancing_takes_a_launch_of_the_account() {
    // A zone is out, so that a move is due when it is back; at that moment others use up the account's launches.
    let out = "faults:\n  - {at: 10m, for: 10m, fault: azOutage, with: {availabilityZone: us-east-1a}}\n";
    let burst: String = (0..11)
        .map(|_| {
            "  - {at: 1260s, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE, count: 10, \
             networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1b]}}}}\n"
        })
        .collect();
    let service = ", launchType: FARGATE";
    let moved = |log: &Log| log.times("service:web", "PROVISIONING").iter().filter(|at| **at == 1260.0).count();
    assert_eq!(moved(&run("", service, out)), 1, "a minute after the zone is back");
    assert_eq!(moved(&run("", service, &format!("{out}actions:\n{burst}"))), 0, "no launch is left");
}
