//! Load on tasks that share hosts: who gets how much CPU, when a task takes requests, what uses too much memory.

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// Half an hour on one host of four vCPUs. A task definition is a line of `definitions`: its family, what its container
/// and the definition itself say, and its behaviour. Each entry of `services` is a family, as its name too, and a count.
fn on_one_host(definitions: &[(&str, &str, &str, &str)], services: &[(&str, u32)], workloads: &str) -> Log {
    let mut text = String::from(
        "name: lab\nduration: 30m\nautoScalingGroups:\n\
         \x20 - {AutoScalingGroupName: g, InstanceType: m5.xlarge, MinSize: 1, MaxSize: 1, AvailabilityZones: [us-east-1a]}\n\
         taskDefinitions:\n",
    );
    for (family, container, task, behaviour) in definitions {
        text.push_str(&format!(
            "  - {{family: {family}, networkMode: bridge, {task}behaviour: {{{behaviour}}},\n     \
             containerDefinitions: [{{name: app, image: app, {container}}}]}}\n"
        ));
    }
    text.push_str("services:\n");
    for (family, desired) in services {
        text.push_str(&format!(
            "  - {{serviceName: {family}, taskDefinition: {family}, desiredCount: {desired}, launchType: EC2}}\n"
        ));
    }
    run_text(&format!("{text}workloads:\n{workloads}"))
}

/// Values of whole minutes in which nothing changed: from 5 to 29 minutes.
fn settled(log: &Log, resource: &str, metric: &str) -> Vec<f64> {
    let points = log.metric(resource, metric);
    points.into_iter().filter(|(start, _)| (300.0..1740.0).contains(start)).map(|(_, value)| value).collect()
}

fn assert_settled(log: &Log, resource: &str, metric: &str, expected: f64) {
    let values = settled(log, resource, metric);
    let near = |value: &f64| (value - expected).abs() < 1e-4 * expected.max(1.0);
    assert!(values.len() == 24 && values.iter().all(near), "{resource} {metric} {expected}: {values:?}");
}

/// The last step of the fluid model that ended on a whole second.
fn last_step(log: &Log) -> ecsim::workload::fluid::StepOutcome {
    log.fluid.last().expect("the service has a load").1
}

#[test]
fn ecsm_3_a_task_alone_on_its_host_uses_what_is_idle() {
    let requests = "  - {name: load, requests: {service: web, rate: 30, cpuPerRequest: 50ms}}\n";
    let log = on_one_host(&[("web", "cpu: 256, memory: 64", "", "")], &[("web", 1)], requests);
    assert_settled(&log, "service/default/web", "CPUUtilization", 600.0);
    assert_settled(&log, "cluster/default", "CPUUtilization", 37.5);
    let step = last_step(&log);
    assert_eq!((step.served, step.failed.total(), step.backlog), (30.0, 0.0, 0.0));
    // Four CPUs at three eighths: hardly any wait beyond the 50 ms that a request takes on one of them.
    assert!((0.05..0.06).contains(&step.latency_mean), "{}", step.latency_mean);
}

#[test]
fn ex_cw_2_a_task_without_a_cap_reads_four_times_its_cpu() {
    let load = "  - {name: load, utilization: {service: web, cpu: 2, memory: 512}}\n";
    let log = on_one_host(&[("web", "cpu: 512, memory: 1024", "", "")], &[("web", 1)], load);
    assert_settled(&log, "service/default/web", "CPUUtilization", 400.0);
    assert_settled(&log, "service/default/web", "MemoryUtilization", 50.0);
}

#[test]
fn ecsm_10_a_cluster_counts_the_whole_mebibytes_of_its_services() {
    let percent = |mib: f64| {
        let workload = format!("  - {{name: load, utilization: {{service: web, memory: {mib}}}}}\n");
        let log = on_one_host(&[("web", "cpu: 256, memory: 1024", "", "")], &[("web", 2)], &workload);
        settled(&log, "cluster/default", "MemoryUtilization")
    };
    // Each of the two tasks uses 300.9 MiB, of which 300 are told.
    let cut = percent(601.8);
    assert!(!cut.is_empty() && cut == percent(600.0), "{cut:?}");
    assert_ne!(cut, percent(602.0));
}

#[test]
fn td_6_zero_and_one_weigh_as_two() {
    let requests = "  - {name: load, requests: {service: web, rate: 30, cpuPerRequest: 50ms}}\n";
    let of = |cpu: u32| {
        let container = format!("cpu: {cpu}, memory: 64");
        on_one_host(
            &[("web", &container, "", ""), ("rival", "cpu: 998, memory: 64", "", "cpu: 9")],
            &[("web", 1), ("rival", 1)],
            requests,
        )
    };
    let [zero, one, two] = [0, 1, 2].map(|cpu| of(cpu).fluid);
    assert!(zero == one && one == two && zero.len() == 1800);
    // Against a rival that never has enough, two shares of a thousand are 0.008 vCPUs.
    assert!((zero.last().unwrap().1.cpu_used - 0.008).abs() < 1e-5, "{:?}", zero.last());
}

#[test]
fn td_9_a_task_level_size_is_a_hard_cap_on_an_idle_host_too() {
    let requests = "  - {name: load, requests: {service: web, rate: 30, cpuPerRequest: 50ms}}\n";
    let log = on_one_host(&[("web", "memory: 64", "cpu: '256', memory: '512', ", "")], &[("web", 1)], requests);
    assert_settled(&log, "service/default/web", "CPUUtilization", 100.0);
    assert_settled(&log, "cluster/default", "CPUUtilization", 6.25);
    assert!(last_step(&log).failed.timeout > 20.0);
}

#[test]
fn a_host_gives_no_more_than_it_has() {
    // Four tasks that would use ten vCPUs each, by weights of 1 to 3.
    let definitions = [
        ("light", "cpu: 256, memory: 64", "", "cpu: 40"),
        ("heavy", "cpu: 768, memory: 64", "", "cpu: {uniform: {min: 20, max: 60}}"),
    ];
    let log = on_one_host(&definitions, &[("light", 2), ("heavy", 2)], "  []\n");
    assert_settled(&log, "cluster/default", "CPUUtilization", 100.0);
    for service in ["light", "heavy"] {
        assert_settled(&log, &format!("service/default/{service}"), "CPUUtilization", 200.0);
    }
}

#[test]
fn rivals_on_a_host_have_what_their_weights_say() {
    // `noisy` wants ten vCPUs, `web` one; the weights are alike, so web gets its one and could have two.
    let definitions = [("web", "cpu: 512, memory: 64", "", ""), ("noisy", "cpu: 512, memory: 64", "", "")];
    let loads = |rate| {
        format!(
            "  - {{name: noise, utilization: {{service: noisy, cpu: 10}}}}\n  \
             - {{name: load, requests: {{service: web, rate: {rate}, cpuPerRequest: 50ms}}}}\n"
        )
    };
    let services = [("web", 1), ("noisy", 1)];
    let calm = on_one_host(&definitions, &services, &loads(20));
    assert_settled(&calm, "service/default/web", "CPUUtilization", 200.0);
    assert_settled(&calm, "service/default/noisy", "CPUUtilization", 600.0);
    assert_settled(&calm, "cluster/default", "CPUUtilization", 100.0);
    // The host's idle CPUs are gone: a request that would take 50 ms feels a queue of two CPUs, half busy.
    assert!((0.06..0.08).contains(&last_step(&calm).latency_mean), "{}", last_step(&calm).latency_mean);
    let flood = on_one_host(&definitions, &services, &loads(200));
    for service in ["web", "noisy"] {
        assert_settled(&flood, &format!("service/default/{service}"), "CPUUtilization", 400.0);
    }
    assert_settled(&flood, "cluster/default", "CPUUtilization", 100.0);
}

#[test]
fn two_workloads_on_one_service_share_its_capacity() {
    let loads = "  - {name: slow, requests: {service: web, rate: 1, cpuPerRequest: 1s}}\n  \
                 - {name: fast, requests: {service: web, rate: 1000, cpuPerRequest: 10ms}}\n";
    let log = on_one_host(&[("web", "cpu: 512, memory: 64", "", "")], &[("web", 1)], loads);
    // 1 + 10 vCPUs are asked for; the modest one is served, the other has the three that are left.
    assert_settled(&log, "cluster/default", "CPUUtilization", 100.0);
    let used: Vec<f64> = log.fluid.iter().rev().take(2).map(|(_, step)| step.cpu_used).collect();
    assert!((used[0] - 3.0).abs() < 1e-3 && (used[1] - 1.0).abs() < 1e-3, "{used:?}");
}

#[test]
fn without_a_load_balancer_a_task_answers_once_it_has_started() {
    let requests = "  - {name: load, requests: {service: web, rate: 10, cpuPerRequest: 50ms}}\n";
    for (behaviour, startup) in [("", 0.0), ("startup: 5s", 5.0)] {
        let log = on_one_host(&[("web", "cpu: 512, memory: 64", "", behaviour)], &[("web", 1)], requests);
        let ready = log.times("service:web", "RUNNING")[0] + startup;
        for (end, step) in &log.fluid {
            // A step is served by the tasks there are at its end.
            let answered = step.served > 0.0;
            assert_eq!(answered, *end >= ready, "{end}: ready at {ready}, not 40 s later (SVC-7)");
        }
    }
}

#[test]
fn requests_are_counted_to_the_last_instant() {
    for (duration, seconds) in [("10m", 600.0), ("90500ms", 90.5)] {
        let text = format!(
            "name: lab\nduration: {duration}\n\
             taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '512', \
             memory: '1024', containerDefinitions: [{{name: app, image: app}}]}}\n\
             services:\n  - {{serviceName: web, taskDefinition: t, desiredCount: 1, launchType: FARGATE, \
             networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
             workloads:\n  - {{name: load, requests: {{service: web, rate: 4, cpuPerRequest: 50ms}}}}\n"
        );
        let log = run_text(&text);
        let arrived: f64 = log.fluid.iter().map(|(_, step)| step.arrived).sum();
        assert!((arrived - 4.0 * seconds).abs() < 1e-9, "{duration}: {arrived}");
        assert_eq!(log.fluid.last().unwrap().0, seconds);
    }
}

#[test]
fn td_9_a_task_over_its_memory_limit_is_killed() {
    let stops = |container: &str, task: &str| {
        let log = on_one_host(&[("t", container, task, "memory: 200MiB")], &[("t", 1)], "  []\n");
        let started = log.times("service:t", "RUNNING")[0];
        (log.stops.get(&0).cloned(), log.times("service:t", "STOPPING").first().map(|time| time - started))
    };
    let killed =
        ("EssentialContainerExited".to_owned(), "OutOfMemoryError: Container killed due to memory usage".to_owned());
    assert_eq!(stops("cpu: 64, memory: 128", "").0, Some(killed.clone()), "a container's hard limit");
    assert_eq!(stops("cpu: 64", "cpu: '256', memory: '128', ").0, Some(killed), "a task's size");
    assert_eq!(stops("cpu: 64, memory: 256, memoryReservation: 128", ""), (None, None), "above the soft limit alone");
    assert_eq!(stops("cpu: 64, memoryReservation: 128", ""), (None, None), "no hard limit");
}

#[test]
fn rates_beyond_belief_are_refused() {
    let load = |rate: &str| {
        let text = format!(
            "taskDefinitions: [{{family: web, containerDefinitions: [{{name: a, cpu: 64, memory: 64}}]}}]\n\
             services: [{{serviceName: web, taskDefinition: web, desiredCount: 1}}]\n\
             workloads: [{{name: load, requests: {{service: web, rate: {rate}, cpuPerRequest: 1ms}}}}]\n"
        );
        load_str("lab.yaml", &text, &LoadOptions::default()).map_err(|diagnostics| diagnostics.render(false))
    };
    for rate in ["1e300", "2e9", "{spikes: {height: 1e10, at: 1h, for: 1s}}", "{product: [1e6, 1e6]}"] {
        let message = load(rate).map(|_| ()).unwrap_err();
        assert!(message.contains("at most 1e9"), "{rate}: {message}");
    }
    assert!(load("1e9").is_ok());
}
