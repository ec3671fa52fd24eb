//! Clients that stick to a task (ELB-7).

use ecsim::control_plane::RunOptions;
use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{run_text, run_with};
use crate::requests::{Totals, balanced, totals};

const STICKY: &str = "{Key: stickiness.enabled, Value: 'true'}";
const BY_APPLICATION: &str = "{Key: stickiness.enabled, Value: 'true'}, {Key: stickiness.type, Value: app_cookie}, \
                              {Key: stickiness.app_cookie.cookie_name, Value: SESSION}";
const DEREGISTER: &str = "{Key: deregistration_delay.timeout_seconds, Value: '10'}";

const WORK: &str = "cpuPerRequest: {exponential: {mean: 20ms}}, model: perRequest";

fn quick(text: &str) -> Totals {
    totals(&run_with(text, RunOptions::default()))
}

#[test]
fn elb_7_a_client_alone_has_one_task_for_itself() {
    // 35 a second of 20 ms each: most of one vCPU, little of four.
    let mean = |group: &str, clients: &str| {
        quick(&balanced(4, 35.0, 400, group, &format!("{WORK}{clients}"))).latency.mean().unwrap()
    };
    let alone = 0.02 / (1.0 - 0.7);
    for group in [STICKY, BY_APPLICATION] {
        let found = mean(group, ", clients: 1");
        assert!((found / alone - 1.0).abs() < 0.15, "{group}: {found}");
    }
    // Without stickiness, and with it for clients that come once, each request goes to the next.
    for (group, clients) in [("", ", clients: 1"), (STICKY, ""), (STICKY, ", clients: 1, requestsPerSession: 1")] {
        let found = mean(group, clients);
        assert!(found < 0.025, "{group} {clients}: {found}");
    }
}

#[test]
fn elb_7_few_clients_load_tasks_unevenly() {
    let mean = |clients: u32| {
        let text = balanced(4, 110.0, 100, STICKY, &format!("{WORK}, clients: {clients}, timeout: 5s"));
        quick(&text).latency.mean().unwrap()
    };
    let (few, some, many) = (mean(5), mean(20), mean(5000));
    assert!(few > 1.3 * some && some > 1.1 * many, "{few} {some} {many}");
}

#[test]
fn elb_7_who_has_lost_its_task_goes_to_another() {
    let requests = format!("{WORK}, clients: 3");
    let replaced = "actions: [{at: 150s, call: 'ecs:UpdateService', with: {service: web, forceNewDeployment: true}}]\n";
    let text = balanced(3, 20.0, 200, &format!("{STICKY}, {DEREGISTER}"), &requests) + replaced;
    let log = run_text(&text);
    assert_eq!(log.stops.len(), 3, "each of the first three has been replaced");
    let found = totals(&log);
    assert_eq!((found.failed.total(), found.served > 3000), (0.0, true), "{:?}", found.failed);
}

#[test]
fn elb_7_a_task_that_is_new_has_new_clients_only() {
    // Two tasks with more than they can do, then four.
    let out = "actions: [{at: 150s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 4}}]\n";
    let failed = |clients: &str| {
        let text = balanced(2, 130.0, 200, STICKY, &format!("{WORK}, timeout: 1s, clients: 500{clients}"));
        let text = text.replace("HealthCheckTimeoutSeconds: 5", "UnhealthyThresholdCount: 10") + out;
        quick(&text).failed.total()
    };
    let (for_ever, soon) = (failed(""), failed(", requestsPerSession: {exponential: {mean: 5}}"));
    assert!(for_ever > 2.0 * soon, "{for_ever} {soon}");
}

/// What is said of a scenario.
fn told(text: &str) -> String {
    match load_str("sessions.yaml", text, &LoadOptions::default()) {
        Ok(scenario) => scenario.warnings.render(false),
        Err(found) => found.render(false),
    }
}

#[test]
fn elb_7_clients_that_nobody_sees_are_told_of() {
    let clients = format!("{WORK}, clients: 9");
    assert_eq!(told(&balanced(1, 1.0, 60, STICKY, &clients)), "");
    assert_eq!(told(&balanced(1, 1.0, 60, "{Key: stickiness.enabled, Value: 'false'}", "cpuPerRequest: 1ms")), "");
    let cases = [
        ("cpuPerRequest: 1ms", "the requests of `load` are a flow, which has no clients"),
        (WORK, "the requests of `load` are each of a client of its own"),
    ];
    for (requests, why) in cases {
        let told = told(&balanced(1, 1.0, 60, STICKY, requests));
        assert!(told.contains(why) && told.contains("stickiness.enabled"), "{told}");
    }
}

#[test]
fn elb_7_attributes_of_stickiness_are_checked() {
    let network = "loadBalancers: [{Name: front, Type: network}]\n";
    let cases = [
        ("{Key: stickiness.enabled, Value: maybe}", "", "must be true or false"),
        ("{Key: stickiness.type, Value: ip}", "", "must be lb_cookie, app_cookie or source_ip"),
        ("{Key: stickiness.lb_cookie.duration_seconds, Value: '0'}", "", "must be 1 to 604800 seconds"),
        ("{Key: stickiness.app_cookie.duration_seconds, Value: '604801'}", "", "must be 1 to 604800 seconds"),
        ("{Key: stickiness.app_cookie.cookie_name, Value: AWSALB}", "", "that does not begin with AWSALB"),
        ("{Key: stickiness.enabled, Value: 'true'}, {Key: stickiness.type, Value: app_cookie}", "", "cookie name must"),
        (
            "{Key: stickiness.enabled, Value: 'true'}, {Key: stickiness.type, Value: source_ip}",
            "",
            "'source_ip' is not supported for target groups of an Application Load Balancer",
        ),
        (
            "{Key: stickiness.enabled, Value: 'true'}, {Key: stickiness.type, Value: lb_cookie}",
            network,
            "'lb_cookie' is not supported for target groups of a Network Load Balancer",
        ),
        (
            "{Key: stickiness.enabled, Value: 'true'}, {Key: load_balancing.cross_zone.enabled, Value: 'false'}",
            "",
            "Stickiness is not supported when cross-zone load balancing is off",
        ),
        ("{Key: stickiness.cookie, Value: x}", "", "Target group attribute key 'stickiness.cookie' is not recognized"),
    ];
    for (attributes, balancers, message) in cases {
        let told = told(&(balanced(1, 1.0, 60, attributes, &format!("{WORK}, clients: 9")) + balancers));
        assert!(told.contains(message) && told.contains("ELB-"), "{attributes}: {told}");
    }
    let by_address = "{Key: stickiness.enabled, Value: 'true'}, {Key: stickiness.type, Value: source_ip}";
    assert_eq!(told(&(balanced(1, 1.0, 60, by_address, &format!("{WORK}, clients: 9")) + network)), "");
}
