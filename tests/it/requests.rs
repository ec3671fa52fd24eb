//! Requests one by one: queueing theory, balancers, time-outs, retries, memory, and agreement with the fluid model.

use ecsim::control_plane::RunOptions;
use ecsim::scenario::{LoadOptions, load_str};
use ecsim::stats::{Estimate, WeightedHistogram};
use ecsim::workload::failed::Failed;
use ecsim::workload::fluid::waiting_factor;

use proptest::prelude::*;

use crate::lab::{Log, run_text, run_with};

/// When the requests begin: every task is up.
const BEGIN: f64 = 120.0;

/// Fargate tasks of `vcpus` each behind nothing; requests come from [`BEGIN`] on for `seconds`.
pub(crate) fn service(tasks: u32, vcpus: u32, rate: f64, seconds: u32, requests: &str) -> String {
    let (cpu, memory, end) = (vcpus * 1024, vcpus * 2048, BEGIN as u32 + seconds);
    format!(
        "
name: requests
duration: {end}s
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '{cpu}'
    memory: '{memory}'
    containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: {tasks}
    launchType: FARGATE
    networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}
delays: {{preset: constant, imagePull: 0s}}
workloads:
  - name: load
    requests: {{service: web, rate: {{steps: [[0s, 0], [{BEGIN}s, {rate}]]}}, {requests}}}
"
    )
}

/// All steps of a run together.
#[derive(Default)]
pub(crate) struct Totals {
    arrived: u64,
    pub(crate) served: u64,
    pub(crate) failed: Failed,
    retried: u64,
    in_flight: u64,
    sent: u64,
    cpu: f64,
    pub(crate) latency: WeightedHistogram,
}

pub(crate) fn totals(log: &Log) -> Totals {
    let mut totals = Totals::default();
    for (_, _, step) in &log.requests {
        totals.arrived += step.arrived;
        totals.served += step.served;
        totals.failed.add(&step.failed);
        totals.retried += step.retried;
        totals.in_flight = step.in_flight;
        totals.sent += step.sent;
        totals.cpu += step.cpu_used;
        totals.latency.merge(&step.latency);
    }
    assert_eq!(totals.arrived as f64, totals.served as f64 + totals.failed.total() + totals.in_flight as f64);
    totals
}

fn quick(text: &str, replication: u64) -> Totals {
    totals(&run_with(text, RunOptions { replication, paranoid: false }))
}

/// Mean latencies of ten replications.
fn mean_latency(text: &str) -> Estimate {
    let means: Vec<f64> = (0..10).map(|replication| quick(text, replication).latency.mean().unwrap()).collect();
    Estimate::from_samples(&means).unwrap()
}

#[test]
fn m_g_1_processor_sharing_is_insensitive_to_the_service_time() {
    for work in ["{exponential: {mean: 10ms}}", "10ms", "{lognormal: {mean: 10ms, cv: 1.5}}"] {
        let text = service(1, 1, 60.0, 200, &format!("cpuPerRequest: {work}, model: perRequest"));
        let found = mean_latency(&text);
        // Kleinrock: s / (1 - rho).
        assert!(found.contains(0.01 / (1.0 - 0.6)), "{work}: {found:?}");
    }
}

#[test]
fn td_9_a_hard_cap_is_a_quota_of_each_period() {
    let text = service(1, 1, 0.5, 400, "cpuPerRequest: 20ms, model: perRequest")
        .replace("cpu: '1024'", "cpu: '256'")
        .replace("memory: '2048'", "memory: '512'");
    let median = |text: &str| quick(text, 0).latency.quantile(0.5).unwrap();
    assert!((median(&text) / 0.08 - 1.0).abs() < 0.01, "a quarter of a CPU takes four times as long");
    let quota = format!("{text}behaviour: {{alarm_eval_phase: aligned, cpu_period_s: 0.1}}\n");
    assert!((median(&quota) / 0.02 - 1.0).abs() < 0.01, "what is left of 25 ms is had at once");
    // Four periods are full of it, but for the wait in the first and for what is left in the last.
    let long = median(&quota.replace("20ms", "100ms"));
    assert!(long > 0.31 && long < 0.41, "{long}");
}

#[test]
fn chance_moves_the_rates_of_both_models_alike() {
    let text = |model: &str| {
        let text = service(2, 4, 50.0, 600, &format!("cpuPerRequest: 1ms, model: {model}"));
        text.replace("rate: {steps:", "rate: {product: [{noise: {cv: 0.6, every: 1m}}, {steps:")
            .replace("50]]}", "50]]}]}")
    };
    // Arrivals by the minute, once the tasks are up.
    let minutes = |steps: &mut dyn Iterator<Item = (f64, f64)>| {
        let mut minutes = vec![0.0; 12];
        for (end, arrived) in steps {
            minutes[((end / 60.0).ceil() - 1.0) as usize] += arrived;
        }
        minutes.split_off(2)
    };
    let flow = run_text(&text("fluid"));
    let flow = minutes(&mut flow.fluid.iter().map(|(end, step)| (*end, step.arrived)));
    let one_by_one = run_text(&text("perRequest"));
    let one_by_one = minutes(&mut one_by_one.requests.iter().map(|(end, _, step)| (*end, step.arrived as f64)));
    let (least, most) = flow.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), n| (least.min(*n), most.max(*n)));
    assert!(most > 1.5 * least, "{flow:?}");
    for (expected, found) in flow.iter().zip(&one_by_one) {
        // Poisson: within five standard deviations.
        assert!((expected - found).abs() < 5.0 * expected.sqrt(), "{flow:?} {one_by_one:?}");
    }
}

#[test]
fn a_slot_for_each_cpu_makes_a_task_a_queue_of_m_servers() {
    let exponential = "cpuPerRequest: {exponential: {mean: 20ms}}, model: perRequest";
    // M/M/1 in order of arrival, M/M/4 likewise, M/D/1 (Pollaczek and Khinchine); without slots processor sharing of four
    // CPUs, whose mean is that of M/M/4.
    let cases = [
        (1, 30.0, format!("{exponential}, concurrency: 1"), waiting_factor(1.0, 0.6)),
        (4, 150.0, format!("{exponential}, concurrency: 4"), waiting_factor(4.0, 0.75)),
        (1, 30.0, "cpuPerRequest: 20ms, model: perRequest, concurrency: 1".to_owned(), 0.6 / (2.0 * 0.4)),
        (4, 150.0, exponential.to_owned(), waiting_factor(4.0, 0.75)),
    ];
    for (vcpus, rate, requests, waits) in cases {
        let found = mean_latency(&service(1, vcpus, rate, 200, &requests));
        assert!(found.contains(0.02 * (1.0 + waits)), "{requests}: {found:?}, {}", 0.02 * (1.0 + waits));
    }
}

#[test]
fn quantiles_of_an_idle_task_are_those_of_the_service_time() {
    let requests = "cpuPerRequest: {exponential: {mean: 10ms}}, latencyFloor: 5ms, model: perRequest";
    let found = quick(&service(8, 1, 20.0, 2000, requests), 0);
    for (p, expected) in [(0.5, 0.005 + 0.01 * 0.693), (0.99, 0.005 + 0.01 * 4.605)] {
        let value = found.latency.quantile(p).unwrap();
        assert!((value / expected - 1.0).abs() < 0.05, "{p}: {value}, {expected}");
    }
}

/// The same service behind an Application Load Balancer, probed every ten seconds.
pub(crate) fn balanced(tasks: u32, rate: f64, seconds: u32, group: &str, requests: &str) -> String {
    service(tasks, 1, rate, seconds, requests).replace(
        "    desiredCount:",
        "    loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}]\n    desiredCount:",
    ) + &format!(
        "targetGroups:
  - {{Name: tg, loadBalancer: front, HealthCheckIntervalSeconds: 10, HealthCheckTimeoutSeconds: 5, Attributes: [{group}]}}
"
    )
}

const FEWEST: &str = "{Key: load_balancing.algorithm.type, Value: least_outstanding_requests}";
const RANDOM: &str = "{Key: load_balancing.algorithm.type, Value: weighted_random}";
const DEREGISTER: &str = "{Key: deregistration_delay.timeout_seconds, Value: '10'}";

#[test]
fn elb_7_fewest_in_flight_beats_in_turn_and_in_turn_beats_chance() {
    let requests = "cpuPerRequest: {exponential: {mean: 20ms}}, model: perRequest";
    let [fewest, in_turn, random] = [FEWEST, "", RANDOM].map(|group| {
        let text = balanced(4, 160.0, 100, group, requests);
        (0..4).map(|replication| quick(&text, replication).latency.mean().unwrap()).sum::<f64>() / 4.0
    });
    assert!(fewest < in_turn && in_turn < random, "{fewest} {in_turn} {random}");
    // Chance splits a Poisson stream into Poisson streams: four M/M/1 queues.
    assert!((random / (0.02 / (1.0 - 0.8)) - 1.0).abs() < 0.1, "{random}");
}

#[test]
fn many_requests_behave_as_the_flow_does() {
    let requests = "cpuPerRequest: {exponential: {mean: 2ms}}, latencyFloor: 10ms";
    let fluid = run_with(&balanced(3, 900.0, 120, RANDOM, requests), RunOptions::default());
    let one_by_one =
        run_with(&balanced(3, 900.0, 120, RANDOM, &format!("{requests}, model: perRequest")), RunOptions::default());
    let (flow, found) = (fluid.fluid.last().unwrap().1, totals(&one_by_one));
    assert!((found.latency.mean().unwrap() / flow.latency_mean - 1.0).abs() < 0.03, "{:?}", found.latency.mean());
    // The same metrics, with about the same values.
    let metrics = [
        ("target-group/tg", "RequestCount", 0.02),
        ("target-group/tg", "RequestCountPerTarget", 0.02),
        ("target-group/tg", "TargetResponseTime", 0.05),
        ("service/default/web", "CPUUtilization", 0.03),
    ];
    for (resource, metric, within) in metrics {
        let [flow, found] = [&fluid, &one_by_one].map(|log| log.metric(resource, metric).last().unwrap().1);
        assert!((found / flow - 1.0).abs() < within, "{metric}: {found} and {flow}");
    }
}

#[test]
fn a_full_backlog_refuses_and_a_retry_may_get_in() {
    let refused = "cpuPerRequest: 100ms, model: perRequest, concurrency: 1, backlog: 0";
    // Half of the probes are refused as well: ten in a row never are.
    let patient = "HealthCheckTimeoutSeconds: 5, UnhealthyThresholdCount: 10";
    let text = balanced(1, 10.0, 121, "", refused).replace("HealthCheckTimeoutSeconds: 5", patient);
    let log = run_text(&text);
    let once = totals(&log);
    // Erlang's loss formula for one server at a load of one: half is lost.
    let lost = once.failed.connection_refused / once.arrived as f64;
    assert!((lost - 0.5).abs() < 0.05 && once.failed.total() == once.failed.connection_refused, "{:?}", once.failed);
    let counted: f64 = log.metric("target-group/tg", "TargetConnectionErrorCount").iter().map(|(_, count)| count).sum();
    assert!((0.0..20.0).contains(&(once.failed.connection_refused - counted)), "{counted}: but for the last second");
    let elb: f64 = log.metric("target-group/tg", "HTTPCode_ELB_5XX_Count").iter().map(|(_, count)| count).sum();
    assert_eq!(elb, counted, "each is a 502 of the balancer");
    let again =
        quick(&text.replace("backlog: 0", "backlog: 0, retries: 3, retryBackoff: {exponential: {mean: 1s}}"), 0);
    assert!(again.failed.total() < 0.7 * once.failed.total() && again.retried > 100, "{:?}", again.failed);
    assert_eq!(again.sent, again.arrived + again.retried - between_tries(&again));
}

/// Requests that wait for their next try at the end: all in flight that are not in the task.
fn between_tries(totals: &Totals) -> u64 {
    totals.arrived + totals.retried - totals.sent
}

#[test]
fn who_gives_up_first_decides_what_a_time_out_looks_like() {
    // Twice what the task can do; whoever waits for a slot leaves without having used CPU.
    let requests = "cpuPerRequest: 100ms, model: perRequest, concurrency: 1, timeout: 2s";
    let text =
        balanced(1, 20.0, 121, "", requests).replace("HealthCheckTimeoutSeconds: 5", "UnhealthyThresholdCount: 10");
    let client = run_text(&text);
    let found = totals(&client);
    // In order of arrival a slot comes shortly before the time-out, often too late: goodput is less than the capacity.
    assert_eq!(found.failed.total(), found.failed.timeout);
    assert!((0.5..0.9).contains(&(found.failed.timeout / found.arrived as f64)), "{:?}", found.failed);
    assert!(found.cpu > 115.0, "{}", found.cpu);
    assert!(found.latency.max().unwrap() <= 2.0);
    let codes = |log: &Log, metric| log.metric("target-group/tg", metric).len();
    assert_eq!((codes(&client, "HTTPCode_ELB_4XX_Count"), codes(&client, "HTTPCode_ELB_5XX_Count")), (2, 0));
    // The balancer gives up after a second: 504.
    let idle = "\nloadBalancers: [{Name: front, Attributes: [{Key: idle_timeout.timeout_seconds, Value: '1'}]}]\n";
    let balancer = run_text(&format!("{text}{idle}"));
    assert_eq!((codes(&balancer, "HTTPCode_ELB_4XX_Count"), codes(&balancer, "HTTPCode_ELB_5XX_Count")), (0, 2));
    assert!(totals(&balancer).latency.max().unwrap() <= 1.0);
}

#[test]
fn a_task_that_knows_nothing_of_its_clients_works_for_nobody() {
    let requests = "cpuPerRequest: 100ms, model: perRequest, timeout: 1s";
    let text = service(1, 1, 11.0, 60, requests);
    let [abandon, finish] =
        [text.clone(), text.replace("timeout: 1s", "timeout: 1s, onTimeout: finish")].map(|text| quick(&text, 0));
    assert!(finish.served < abandon.served, "{} {}", finish.served, abandon.served);
    assert!(finish.failed.timeout > 1.5 * abandon.failed.timeout, "{:?} {:?}", finish.failed, abandon.failed);
}

#[test]
fn elb_6_an_overloaded_task_fails_its_probes_and_is_replaced() {
    // Every slot is taken for twenty seconds and the backlog is full: a probe is refused, or waits for longer than five.
    let requests = "cpuPerRequest: 20s, model: perRequest, concurrency: 2, backlog: 4, timeout: 60s";
    let log = run_text(&balanced(2, 2.0, 240, DEREGISTER, requests));
    let unhealthy = log.level("target-group/tg", "UnHealthyHostCount");
    assert!(unhealthy.iter().any(|(time, count)| *time > BEGIN && *count > 0.0), "{unhealthy:?}");
    let sick = log.stops.values().filter(|(_, reason)| reason.contains("failed ELB health checks")).count();
    assert!(sick >= 2, "{:?}", log.stops);
    // The same load that probes need not wait behind.
    let calm = run_text(&balanced(2, 2.0, 240, DEREGISTER, "cpuPerRequest: 20s, model: perRequest, timeout: 60s"));
    assert!(calm.stops.is_empty(), "{:?}", calm.stops);
}

#[test]
fn elb_9_what_outlives_the_deregistration_delay_is_lost() {
    let requests = "cpuPerRequest: 10ms, latencyFloor: 20s, model: perRequest";
    let scale_in = "actions: [{at: 150s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 1}}]\n";
    let lost = |delay: &str| {
        let group = format!("{{Key: deregistration_delay.timeout_seconds, Value: '{delay}'}}");
        let log = run_text(&format!("{}{scale_in}", balanced(2, 4.0, 120, &group, requests)));
        let totals = totals(&log);
        assert_eq!(totals.failed.total(), totals.failed.task_killed);
        totals.failed.task_killed
    };
    // Two a second for twenty seconds are in the task that goes; those of the first ten are done when it does.
    let killed = lost("10");
    assert!((10.0..35.0).contains(&killed), "{killed}");
    assert_eq!(lost("30"), 0.0);
}

#[test]
fn ex_elb_6_a_target_in_slow_start_has_fewer_requests() {
    let group = format!("{DEREGISTER}, {{Key: slow_start.duration_seconds, Value: '60'}}");
    let requests = "cpuPerRequest: 1ms, latencyFloor: 2s, model: perRequest, memoryPerRequest: 1MiB";
    let scale_out = "actions: [{at: 150s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 2}}]\n";
    let log = run_text(&format!("{}{scale_out}", balanced(1, 40.0, 180, &group, requests)));
    let healthy = log.level("target-group/tg", "HealthyHostCount");
    let (from, _) = *healthy.iter().find(|(_, count)| *count == 2.0).expect("the second is healthy");
    // In slow start a second target takes a third on the mean, afterwards a half; nobody is lost either way.
    assert_eq!(totals(&log).failed.total(), 0.0);
    assert!(from > 160.0 && from < 200.0, "{from}");
}

#[test]
fn td_9_requests_that_take_too_much_memory_kill_their_container() {
    // A task uses half its 2 GiB by itself unless told otherwise; the rest holds 102 requests of 10 MiB. At 100 a second for
    // 5 s each they come to five hundred.
    let requests = "cpuPerRequest: 1ms, latencyFloor: 5s, model: perRequest, memoryPerRequest: 10MiB";
    let log = run_text(&balanced(1, 100.0, 10, DEREGISTER, requests));
    let (_, (code, reason)) = log.stops.first_key_value().expect("it was killed");
    assert_eq!(
        (code.as_str(), reason.as_str()),
        ("EssentialContainerExited", "OutOfMemoryError: Container killed due to memory usage")
    );
    let containers = &log.containers[log.stops.first_key_value().unwrap().0];
    assert_eq!(containers[0].exit_code, Some(137));
    let failed = totals(&log).failed;
    assert_eq!(failed.task_killed, 103.0, "all that were in it, the last of them one too many");
    assert!(failed.no_healthy_target > 0.0, "until another is there");
}

#[test]
fn a_leak_fills_a_task_until_it_is_killed() {
    let requests = "cpuPerRequest: 1ms, model: perRequest, memoryLeakPerRequest: 1MiB";
    let log = run_text(&balanced(1, 40.0, 120, DEREGISTER, requests));
    let utilisation = log.metric("service/default/web", "MemoryUtilization");
    // 40 MiB a second of the 1,024 that are free: full after 26 s.
    assert!(log.stops.values().any(|(_, reason)| reason.starts_with("OutOfMemoryError")), "{utilisation:?}");
    assert!(utilisation.iter().any(|(_, percent)| *percent > 30.0), "{utilisation:?}");
}

#[test]
fn td_20_a_container_that_starts_again_in_place_refuses_until_it_is_up() {
    let text = service(1, 1, 20.0, 120, "cpuPerRequest: 1ms, latencyFloor: 1s, model: perRequest").replace(
        "{name: app, image: app,",
        "{name: app, image: app, restartPolicy: {enabled: true, restartAttemptPeriod: 60},",
    );
    let crashing = text.replace(
        "    containerDefinitions:",
        "    behaviour: {runsFor: 100s, startup: 10s, exitCode: 1}\n    containerDefinitions:",
    );
    let log = run_text(&crashing);
    let failed = totals(&log).failed;
    assert!(log.stops.is_empty() && (10.0..40.0).contains(&failed.task_killed), "{failed:?}");
    // Twice ten seconds of `startup` and the start itself, at twenty a second.
    assert!((400.0..600.0).contains(&failed.connection_refused), "{failed:?}");
}

#[test]
fn the_application_itself_may_fail() {
    let log = run_text(&balanced(2, 30.0, 121, "", "cpuPerRequest: 1ms, model: perRequest, failureRatio: 0.1"));
    let found = totals(&log);
    let ratio = found.failed.application_error / found.arrived as f64;
    assert!((ratio - 0.1).abs() < 0.02 && found.failed.total() == found.failed.application_error, "{:?}", found.failed);
    assert_eq!(log.metric("target-group/tg", "HTTPCode_Target_5XX_Count").len(), 2);
    assert!(log.metric("target-group/tg", "HTTPCode_ELB_5XX_Count").is_empty());
}

#[test]
fn alarms_see_percentiles_of_response_times() {
    let alarm = |threshold: f64| {
        format!(
            "alarms:\n  - {{AlarmName: slow, Namespace: AWS/ApplicationELB, MetricName: TargetResponseTime, \
             Dimensions: [{{Name: LoadBalancer, Value: front}}], ExtendedStatistic: p90, Period: 60, EvaluationPeriods: 1, \
             Threshold: {threshold}, ComparisonOperator: GreaterThanThreshold}}\n"
        )
    };
    for model in ["fluid", "perRequest"] {
        let requests =
            format!("cpuPerRequest: 20ms, latencyFloor: {{uniform: {{min: 0ms, max: 400ms}}}}, model: {model}");
        let fires = |threshold| {
            let log = run_text(&format!("{}{}", balanced(2, 20.0, 300, "", &requests), alarm(threshold)));
            log.alarms.iter().any(|(_, _, state, _)| state == "ALARM")
        };
        assert!(fires(0.3) && !fires(0.6), "{model}");
    }
}

#[test]
fn two_workloads_on_one_service_share_its_memory_and_meet_its_probes() {
    // Each takes 600 of the 1,024 MiB that are free.
    let one = "cpuPerRequest: 1ms, latencyFloor: 5s, model: perRequest, memoryPerRequest: 10MiB";
    let text = balanced(1, 12.0, 60, DEREGISTER, one);
    let killed = |log: &Log| log.stops.values().any(|(_, reason)| reason.starts_with("OutOfMemoryError"));
    assert!(!killed(&run_text(&text)));
    let second = |keys: &str| {
        "  - {name: second, requests: {service: web, rate: {steps: [[0s, 0], [BEGINs, 12]]}, KEYS}}\n"
            .replace("BEGIN", &BEGIN.to_string())
            .replace("KEYS", keys)
    };
    let with = |text: &str, keys: &str| text.replace("targetGroups:", &format!("{}targetGroups:", second(keys)));
    assert!(killed(&run_text(&with(&text, one))));
    // The second one fills every slot, and its backlog: probes find no room.
    let calm = balanced(1, 1.0, 120, DEREGISTER, "cpuPerRequest: 1ms, model: perRequest");
    let full = "cpuPerRequest: 20s, model: perRequest, concurrency: 2, backlog: 4, timeout: 60s";
    let log = run_text(&with(&calm, full));
    assert!(log.stops.values().any(|(_, reason)| reason.contains("failed ELB health checks")), "{:?}", log.stops);
}

#[test]
fn requests_before_the_first_target_are_counted_by_the_balancer() {
    let text = balanced(1, 20.0, 60, DEREGISTER, "cpuPerRequest: 1ms, model: perRequest");
    let log = run_text(&text.replace(&format!("[[0s, 0], [{BEGIN}s, 20]]"), "[[0s, 20]]"));
    let elb: f64 = log.metric("target-group/tg", "HTTPCode_ELB_5XX_Count").iter().map(|(_, count)| count).sum();
    let failed = totals(&log).failed;
    assert!(failed.no_healthy_target > 400.0 && failed.total() == failed.no_healthy_target, "{failed:?}");
    assert_eq!(elb, failed.no_healthy_target, "those of the first second too");
    let per_target = log.metric("target-group/tg", "RequestCountPerTarget");
    assert!(per_target.iter().all(|(_, count)| *count > 0.0), "{per_target:?}");
}

#[test]
fn two_workloads_on_one_service_share_its_cpu() {
    let text = service(1, 2, 50.0, 60, "cpuPerRequest: 10ms, model: perRequest");
    let both = format!(
        "{text}  - name: greedy\n    requests: {{service: web, rate: {{steps: [[0s, 0], [{BEGIN}s, 200]]}}, cpuPerRequest: 50ms, \
         timeout: 5s, model: perRequest}}\n"
    );
    let log = run_with(&both, RunOptions::default());
    let of = |workload: u32| log.requests.iter().filter(move |(_, of, _)| *of == workload);
    let used = |workload: u32| of(workload).map(|(_, _, step)| step.cpu_used).sum::<f64>();
    // Half a vCPU is asked for, and there is one for each.
    assert!((used(0) / 30.0 - 1.0).abs() < 0.1, "{}", used(0));
    assert!(used(0) + used(1) < 120.5 && used(1) > 60.0, "{}", used(1));
    let served: u64 = of(0).map(|(_, _, step)| step.served).sum();
    assert!(served > 2800, "{served}");
}

/// A service on hosts behind a balancer, with everything that can go wrong with its requests.
fn troubled(requests: &str, algorithm: &str, faults: &str, seed: u64) -> String {
    format!(
        "
name: troubled
seed: {seed}
duration: 12m
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2, AvailabilityZones: [us-east-1a, us-east-1b]}}
targetGroups:
  - {{Name: tg, loadBalancer: front, HealthCheckIntervalSeconds: 10, HealthCheckTimeoutSeconds: 5,
     Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '5'}}, {algorithm}]}}
taskDefinitions:
  - family: web
    networkMode: bridge
    behaviour: {{startup: 2s, memory: 150MiB, crashes: {{mtbf: {{exponential: {{mean: 8m}}}}}}}}
    containerDefinitions:
      - {{name: app, image: app, cpu: 512, memory: 512, portMappings: [{{containerPort: 80, hostPort: 0}}],
         restartPolicy: {{enabled: true, restartAttemptPeriod: 60}}}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 3, launchType: EC2,
     loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]}}
workloads:
  - name: load
    requests: {{service: web, rate: {{steps: [[0s, 2], [4m, 12], [8m, 3]]}}, cpuPerRequest: {{exponential: {{mean: 60ms}}}},
               model: perRequest, {requests}}}
actions:
  - {{at: 5m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 5}}}}
  - {{at: 7m, call: 'ecs:UpdateService', with: {{service: web, forceNewDeployment: true}}}}
  - {{at: 10m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 2}}}}
faults: [{faults}]
"
    )
}

const TROUBLES: [&str; 6] = [
    "{at: 5m, fault: instanceFailure, with: {autoScalingGroup: g, count: 1}}",
    "{at: 6m, for: 2m, fault: azOutage, with: {availabilityZone: us-east-1a}}",
    "{at: 3m, for: 3m, fault: azImpairment, with: {availabilityZone: us-east-1b}}",
    "{at: 4m, for: 3m, fault: degradedHost, with: {autoScalingGroup: g, count: 1, speed: 0.2}}",
    "{every: {exponential: {mean: 3m}}, fault: taskCrash, with: {service: web, count: 1}}",
    "{at: 4m, for: 2m, fault: agentDisconnect, with: {autoScalingGroup: g, count: 1}}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered_fails_of_something_or_is_in_flight(
        troubles in prop::collection::vec(prop::sample::select(&TROUBLES[..]), 0..3),
        limits in prop::sample::select(vec!["concurrency: 2, backlog: 3, ", "concurrency: 1, ", ""]),
        retries in prop::sample::select(vec!["", "retries: 2, retryBackoff: {exponential: {mean: 500ms}}, "]),
        memory in prop::sample::select(vec!["", "memoryPerRequest: 30MiB, memoryLeakPerRequest: 1MiB, "]),
        stops in prop::sample::select(vec!["", "onTimeout: finish, "]),
        algorithm in prop::sample::select(vec!["{Key: slow_start.duration_seconds, Value: '30'}", FEWEST, RANDOM]),
        seed in 1..1000_u64,
    ) {
        let requests = format!(
            "{limits}{retries}{memory}{stops}latencyFloor: {{exponential: {{mean: 50ms}}}}, failureRatio: 0.01, timeout: 3s"
        );
        // `totals` asserts that the counts add up; every book is checked after every event.
        let found = totals(&run_text(&troubled(&requests, algorithm, &troubles.join(", "), seed)));
        prop_assert!(found.arrived > 2_500 && found.served > 0 && found.failed.no_healthy_target > 0.0);
        prop_assert_eq!(found.sent + between_tries(&found), found.arrived + found.retried);
    }
}

/// Errors of a `requests` workload, each with what its caret is at.
fn refused(requests: &str) -> Vec<(String, String)> {
    let text = service(1, 1, 10.0, 60, requests);
    let Err(found) = load_str("requests.yaml", &text, &LoadOptions::default()) else { return Vec::new() };
    let errors = found.findings().iter().filter(|finding| !finding.warning);
    errors
        .map(|finding| {
            let line = text.lines().nth(finding.line - 1).unwrap();
            (finding.message.clone(), line[finding.column - 1..].split([',', '}']).next().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn limits_that_contradict_each_other_are_named() {
    let cases = [
        ("cpuPerRequest: 0ms", "a request that takes no CPU never waits for any", "0ms"),
        (
            "cpuPerRequest: 1ms, latencyFloor: 40s",
            "no request is answered within its timeout of 30s: each takes 40 s and CPU besides",
            "40s",
        ),
        ("cpuPerRequest: 1ms, backlog: 8", "nobody waits in a task that works on any number of requests at once", "8"),
        ("cpuPerRequest: 1ms, retryBackoff: 1s", "no client tries again", "1s"),
        (
            "cpuPerRequest: 1ms, requestsPerSession: 5",
            "each request is of a client of its own, whose session is over with it",
            "5",
        ),
        ("cpuPerRequest: 1ms, failureRatio: 1.5", "1.5 is no share of the requests: between 0 and 1", "1.5"),
    ];
    for (requests, message, at) in cases {
        assert_eq!(refused(&format!("{requests}, model: perRequest")), [(message.to_owned(), at.to_owned())]);
    }
    let numbers = ["cpuPerRequest: -1ms", "cpuPerRequest: 1ms, concurrency: 0", "cpuPerRequest: 1ms, retries: 1000"];
    for requests in numbers {
        assert_eq!(refused(&format!("{requests}, model: perRequest")).len(), 1, "{requests}");
    }
    // All at once.
    let all = "cpuPerRequest: 0ms, backlog: 8, retryBackoff: 1s, failureRatio: -1, model: perRequest";
    assert_eq!(refused(all).len(), 4);
}

#[test]
fn a_rate_that_nobody_could_wait_for_is_refused_one_by_one_and_not_as_a_flow() {
    let text = |model| service(1, 1, 2e6, 60, &format!("cpuPerRequest: 1us, model: {model}"));
    let load = |model| load_str("requests.yaml", &text(model), &LoadOptions::default());
    assert!(load("fluid").is_ok());
    let found = load("perRequest").unwrap_err();
    assert_eq!(
        found.findings()[0].message,
        "this rate reaches 2e6 requests a second; at most 1e6 are simulated one by one"
    );
}

#[test]
fn a_ratio_is_no_percentage() {
    let text = service(1, 1, 5.0, 60, "cpuPerRequest: 1ms");
    let slo = |min: &str| {
        let text = format!("{text}slo: [{{metric: \"service/default/web:availability_ratio\", min: {min}}}]\n");
        load_str("requests.yaml", &text, &LoadOptions::default()).map(|_| ()).map_err(|found| found.render(false))
    };
    assert_eq!(slo("0.999"), Ok(()));
    let told = slo("99.9").unwrap_err();
    assert!(told.contains("a ratio is from 0 to 1, not 99.9") && told.contains("min: 0.999 is 99.9 %"), "{told}");
}

#[test]
fn keys_of_the_other_model_are_refused() {
    let keys = [
        "concurrency: 4",
        "backlog: 4",
        "retries: 1",
        "retryBackoff: 1s",
        "memoryPerRequest: 1MiB",
        "memoryLeakPerRequest: 1KiB",
        "failureRatio: 0.1",
        "onTimeout: finish",
        "cpuPerProbe: 1ms",
        "clients: 10",
        "requestsPerSession: 5",
    ];
    for key in keys {
        let (name, value) = key.split_once(": ").unwrap();
        let message = format!("a flow of requests has no `{name}`");
        assert_eq!(refused(&format!("cpuPerRequest: 1ms, {key}")), [(message, value.to_owned())]);
    }
}
