//! Whole runs, for the question "how long must I wait?": a day and a year of the quickstart, a thousand replications of it,
//! a day of five hundred services, and a million RunTask arrivals on ten thousand hosts beside the least that such a run can
//! be: a binary heap and a B-tree.
//!
//! Each asserts its result: nothing is lost, everything that fits is placed. What takes long is run once, in a process of its
//! own, which tells its CPU seconds and its peak of memory; the rest is criterion's. `--test` makes the long ones short.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use ecsim::control_plane::estate::Estate;
use ecsim::control_plane::{self, RunOptions, RunOutcome};
use ecsim::engine::streams::Streams;
use ecsim::engine::time::SimDuration;
use ecsim::report::recorder::Recorder;
use ecsim::scenario::{LoadOptions, load, load_str};
use rayon::prelude::*;

/// Hosts and tasks of the large run.
const HOSTS: u64 = 10_000;
const TASKS: u64 = 1_000_000;

/// One replication for its summary alone.
fn run(estate: &Estate) -> RunOutcome {
    let mut recorder = Recorder::new(estate);
    let outcome = control_plane::run(estate, RunOptions::default(), &mut recorder, |_| {});
    let summary = recorder.into_summary(None).expect("nothing is written");
    assert!(summary.get("cost_usd").is_some_and(|cost| cost > 0.0), "hosts cost money");
    outcome
}

/// `hosts` hosts of two vCPUs from the start, and Poisson arrivals at 100 a second of tasks of a quarter vCPU that run for
/// ten minutes on average: three quarters of the slots of ten thousand hosts are taken.
fn estate(hosts: u64, tasks: u64, strategy: &str) -> Estate {
    let warm_up = 600;
    let per_second = hosts / 100;
    let duration = warm_up + tasks / per_second;
    let text = format!(
        "
name: million
duration: {duration}s
delays: {{preset: constant}}
behaviour: {{run_instances_bucket: {hosts}, quota_set: none}}
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: {hosts}, MaxSize: {hosts}}}
taskDefinitions:
  - family: job
    containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 900}}]
    behaviour: {{runsFor: {{lognormal: {{mean: 10m, cv: 1}}}}}}
workloads:
  - name: jobs
    tasks:
      taskDefinition: job
      launchType: EC2
      placementStrategy: [{strategy}]
      arrivals: {{poisson: {{steps: [[0s, 0], [{warm_up}s, {per_second}]]}}}}
"
    );
    match load_str("million.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario.estate,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

fn quickstart(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/quickstart.yaml");
    let scenario = load(&path, &LoadOptions::default()).expect("the shipped scenario is valid");
    criterion.bench_function("a day of quickstart", |bencher| {
        bencher.iter(|| {
            let outcome = run(black_box(&scenario.estate));
            assert!(outcome.tasks_created > 50, "the service scales");
        });
    });
}

fn million(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("RunTask arrivals");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(30));
    for (hosts, tasks, strategy, name) in [
        (1_000, 100_000, "{type: binpack, field: memory}", "100,000 on 1,000 hosts, binpack"),
        (HOSTS, TASKS, "{type: binpack, field: memory}", "1,000,000 on 10,000 hosts, binpack"),
        (HOSTS, TASKS, "{type: random}", "1,000,000 on 10,000 hosts, random"),
    ] {
        let estate = estate(hosts, tasks, strategy);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let outcome = run(black_box(&estate));
                // Poisson: within five standard deviations of the mean.
                let deviation = outcome.tasks_created.abs_diff(tasks) as f64;
                assert!(
                    deviation < 5.0 * (tasks as f64).sqrt(),
                    "{} tasks arrived and found room",
                    outcome.tasks_created
                );
                assert!(outcome.tasks_stopped > tasks * 9 / 10 - 10 * hosts, "tasks end");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, quickstart, million);

/// A name and a run of it; told whether it is to be a short one.
type Once = (&'static str, fn(bool));

/// What is run once.
const ONCE: [Once; 6] = [
    ("a year of quickstart", year),
    ("1,000 replications of quickstart on 1 thread", |short| replications(1, short)),
    ("1,000 replications of quickstart on 2 threads", |short| replications(2, short)),
    ("a day of 500 services", services),
    ("the floor of 1,000,000 on 10,000 hosts", floor),
    ("1,000,000 on 10,000 hosts beside the floor", beside_the_floor),
];

/// Names the run of a child process.
const CHILD: &str = "ECSIM_BENCH_ONCE";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let short = arguments.iter().any(|argument| argument == "--test");
    if let Some((_, run)) = std::env::var(CHILD).ok().and_then(|name| ONCE.iter().find(|(known, _)| *known == name)) {
        run(short);
        println!("{:.2} CPU seconds, {} MiB at most", cpu_seconds(), peak_mib());
        return;
    }
    benches();
    let listed = arguments.iter().any(|argument| argument == "--list");
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let filter = filter.map(|text| regex::Regex::new(text).expect("the filter is a regular expression"));
    for (name, _) in ONCE.iter().filter(|(name, _)| filter.as_ref().is_none_or(|filter| filter.is_match(name))) {
        if listed {
            println!("{name}: benchmark");
            continue;
        }
        println!("{name}: {}", run_apart(name, short));
    }
}

/// Runs one of [`ONCE`] in a process of its own, and returns its last line.
fn run_apart(name: &str, short: bool) -> String {
    let mut command = Command::new(std::env::current_exe().expect("a process knows its program"));
    command.env(CHILD, name).args(short.then_some("--test")).stderr(Stdio::inherit());
    let output = command.output().expect("the bench can be started again");
    assert!(output.status.success(), "{name} failed");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    // Fields 14 and 15, in ticks of a hundredth of a second; counted behind the name, which may hold blanks.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    behind.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory that this process has had.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The shipped quickstart, for so many days.
fn quickstart_days(days: u64) -> Estate {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/quickstart.yaml");
    let mut estate = load(&path, &LoadOptions::default()).expect("the shipped scenario is valid").estate;
    estate.duration = SimDuration::from_mins(24 * 60 * days);
    estate
}

fn year(short: bool) {
    let days = if short { 1 } else { 365 };
    let outcome = run(&quickstart_days(days));
    // Every day the service follows its shoppers up and down.
    assert!(outcome.tasks_created > 50 * days, "{} tasks", outcome.tasks_created);
}

fn replications(threads: usize, short: bool) {
    let estate = quickstart_days(1);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
    let count = if short { 2 } else { 1_000 };
    let started = Instant::now();
    let costs: Vec<f64> = pool.install(|| {
        let numbers = (0..count).into_par_iter();
        numbers
            .map(|replication| {
                let mut recorder = Recorder::new(&estate);
                let options = RunOptions { replication, ..RunOptions::default() };
                control_plane::run(&estate, options, &mut recorder, |_| {});
                let summary = recorder.into_summary(None).expect("nothing is written");
                summary.get("cost_usd").expect("hosts cost money")
            })
            .collect()
    });
    let mean = costs.iter().sum::<f64>() / costs.len() as f64;
    assert!(costs.iter().all(|cost| (cost / mean - 1.0).abs() < 0.2), "no replication is out of line");
    print!("{:.2} seconds, ", started.elapsed().as_secs_f64());
}

/// A hundred services behind load balancers and four hundred whose utilisation is given, each with one kind of policy or
/// two: target tracking on CPU, memory and requests, steps on alarms, a forecast with a schedule. Ten clusters on groups of
/// hosts with managed scaling.
fn estate_of_services(services: u64, hours: u64) -> Estate {
    let clusters = services.div_ceil(50);
    let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut add = |section: &'static str, entry: String| sections.entry(section).or_default().push(entry);
    for cluster in 0..clusters {
        add(
            "autoScalingGroups",
            format!(
                "AutoScalingGroupName: g{cluster}, InstanceType: m5.xlarge, MinSize: 2, DesiredCapacity: 20, MaxSize: 200, \
                 AvailabilityZones: [us-east-1a, us-east-1b, us-east-1c]"
            ),
        );
        let managed = "managedScaling: {status: ENABLED, targetCapacity: 90}";
        add(
            "capacityProviders",
            format!("name: p{cluster}, autoScalingGroupProvider: {{autoScalingGroupArn: g{cluster}, {managed}}}"),
        );
        let strategy = format!("defaultCapacityProviderStrategy: [{{capacityProvider: p{cluster}, weight: 1}}]");
        add("clusters", format!("clusterName: c{cluster}, capacityProviders: [p{cluster}], {strategy}"));
        add("loadBalancers", format!("Name: lb{cluster}"));
    }
    for k in 0..services {
        let cluster = k / 50;
        let resource = format!("ResourceId: service/c{cluster}/s{k}");
        let tracking = |name: &str, target: u32, metric: &str| {
            format!(
                "PolicyName: {name}{k}, {resource}, PolicyType: TargetTrackingScaling, \
                 TargetTrackingScalingPolicyConfiguration: {{TargetValue: {target}, \
                 PredefinedMetricSpecification: {{PredefinedMetricType: {metric}}}}}"
            )
        };
        add("scalableTargets", format!("{resource}, MinCapacity: 2, MaxCapacity: 20"));
        let service = format!("serviceName: s{k}, cluster: c{cluster}, taskDefinition: web, desiredCount: 3");
        let day = format!("{{diurnal: {{base: 5, peak: {}, peakAt: {}h}}}}", 20 + k % 7 * 5, 12 + k % 12);
        if k % 5 == 2 {
            add("targetGroups", format!("Name: t{k}, loadBalancer: lb{cluster}"));
            let balancers = format!("[{{targetGroupArn: t{k}, containerName: app, containerPort: 80}}]");
            add("services", format!("{service}, loadBalancers: {balancers}"));
            add(
                "workloads",
                format!(
                    "name: w{k}, requests: {{service: c{cluster}/s{k}, rate: {day}, \
                     cpuPerRequest: {{exponential: {{mean: 20ms}}}}, timeout: 5s}}"
                ),
            );
        } else {
            add("services", service);
            let vcpus = format!("{{product: [{day}, {{constant: 0.02}}]}}");
            add("workloads", format!("name: w{k}, utilization: {{service: c{cluster}/s{k}, cpu: {vcpus}}}"));
        }
        match k % 5 {
            0 | 1 => {
                add("scalingPolicies", tracking("cpu", 60, "ECSServiceAverageCPUUtilization"));
                if k % 5 == 1 {
                    add("scalingPolicies", tracking("memory", 70, "ECSServiceAverageMemoryUtilization"));
                }
            }
            2 => {
                let label = format!("ALBRequestCountPerTarget, ResourceLabel: app/lb{cluster}/1/targetgroup/t{k}/1");
                add("scalingPolicies", tracking("requests", 600, &label));
            }
            3 => {
                for (name, bound, by, comparison, threshold, periods) in [
                    ("out", "Lower", 1, "GreaterThanThreshold", 65, 2),
                    ("in", "Upper", -1, "LessThanThreshold", 40, 10),
                ] {
                    let steps = format!("[{{MetricInterval{bound}Bound: 0, ScalingAdjustment: {by}}}]");
                    add(
                        "scalingPolicies",
                        format!(
                            "PolicyName: {name}{k}, {resource}, PolicyType: StepScaling, StepScalingPolicyConfiguration: \
                             {{AdjustmentType: ChangeInCapacity, Cooldown: 60, StepAdjustments: {steps}}}"
                        ),
                    );
                    let dimensions =
                        format!("[{{Name: ClusterName, Value: c{cluster}}}, {{Name: ServiceName, Value: s{k}}}]");
                    add(
                        "alarms",
                        format!(
                            "AlarmName: {name}{k}, AlarmActions: [{name}{k}], Namespace: AWS/ECS, MetricName: CPUUtilization, \
                             Dimensions: {dimensions}, Statistic: Average, Period: 60, EvaluationPeriods: {periods}, \
                             Threshold: {threshold}, ComparisonOperator: {comparison}"
                        ),
                    );
                }
            }
            _ => {
                let pair = "PredefinedMetricPairSpecification: {PredefinedMetricType: ECSServiceCPUUtilization}";
                add(
                    "scalingPolicies",
                    format!(
                        "PolicyName: forecast{k}, {resource}, PolicyType: PredictiveScaling, \
                         PredictiveScalingPolicyConfiguration: {{Mode: ForecastAndScale, \
                         MetricSpecifications: [{{TargetValue: 60, {pair}}}]}}"
                    ),
                );
                for (name, hour, least) in [("day", 7, 4), ("night", 22, 2)] {
                    let action = format!("ScalableTargetAction: {{MinCapacity: {least}}}");
                    add(
                        "scheduledActions",
                        format!(
                            "ScheduledActionName: {name}{k}, {resource}, Schedule: cron(0 {hour} * * ? *), {action}"
                        ),
                    );
                }
            }
        }
    }
    let mut text = format!(
        "name: estate
duration: {hours}h
delays: {{preset: constant}}
behaviour: {{quota_set: none}}
taskDefinitions:
  - family: web
    containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 512, portMappings: [{{containerPort: 80}}]}}]
"
    );
    for (section, entries) in &sections {
        text += &format!("{section}:\n");
        for entry in entries {
            text += &format!("  - {{{entry}}}\n");
        }
    }
    match load_str("estate.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario.estate,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

fn services(short: bool) {
    let (services, hours) = if short { (10, 1) } else { (500, 24) };
    let outcome = run(&estate_of_services(services, hours));
    // They start with three tasks each, and only their policies start more.
    let grown = if short { 3 * services } else { 6 * services };
    assert!(outcome.tasks_created >= grown, "{} tasks", outcome.tasks_created);
}

/// Hosts and tasks of the run beside the floor.
const fn size_of_floor(short: bool) -> (u64, u64) {
    if short { (100, 1_000) } else { (HOSTS, TASKS) }
}

/// The least that can be done: as many tasks, hosts and events a task as [`beside_the_floor`], best fit, and no rule of ECS.
fn floor(short: bool) {
    // What the run beside it needs: arrival, start, end, gone; rounded up.
    const STEPS: u32 = 4;
    let (hosts, tasks) = size_of_floor(short);
    let streams = Streams::new(1, 0);
    let (mut arrivals, mut lengths) = (streams.named("arrivals"), streams.named("lengths"));
    let memory_of_host = 8 * 900;
    let mut free: Vec<u32> = vec![memory_of_host; hosts as usize];
    let mut by_room: BTreeSet<(u32, u32)> = (0..hosts as u32).map(|host| (memory_of_host, host)).collect();
    // Time, sequence, task, step.
    let mut events: BinaryHeap<Reverse<(u64, u64, u32, u32)>> = BinaryHeap::new();
    let mut host_of: Vec<u32> = vec![0; tasks as usize];
    let (mut sequence, mut ended) = (0, 0);
    let mut wait = |mean: f64| (-libm::log(arrivals.open_uniform()) * mean * 1e9) as u64;
    let mut draw = || {
        // A lognormal of mean ten minutes whose coefficient of variation is one.
        let (u, v) = (lengths.open_uniform(), lengths.open_uniform());
        let normal = (-2.0 * libm::log(u)).sqrt() * libm::cos(std::f64::consts::TAU * v);
        let sigma = std::f64::consts::LN_2.sqrt();
        (600e9 * libm::exp(sigma * normal - sigma * sigma / 2.0)) as u64
    };
    events.push(Reverse((wait(100.0 / hosts as f64), sequence, 0, 0)));
    while let Some(Reverse((now, _, task, step))) = events.pop() {
        let mut schedule = |after: u64, task: u32, step: u32| {
            sequence += 1;
            events.push(Reverse((now + after, sequence, task, step)));
        };
        if step == 0 {
            if u64::from(task) + 1 < tasks {
                schedule(wait(100.0 / hosts as f64), task + 1, 0);
            }
            let (room, host) = by_room.range((900, 0)..).next().copied().expect("a quarter of the slots is free");
            by_room.remove(&(room, host));
            by_room.insert((room - 900, host));
            free[host as usize] = room - 900;
            host_of[task as usize] = host;
        }
        if step + 1 < STEPS {
            schedule(if step == 1 { draw() } else { 1_000_000_000 }, task, step + 1);
        } else {
            let host = host_of[task as usize];
            let room = free[host as usize];
            by_room.remove(&(room, host));
            by_room.insert((room + 900, host));
            free[host as usize] = room + 900;
            ended += 1;
        }
    }
    assert_eq!(ended, tasks, "every task ends");
}

fn beside_the_floor(short: bool) {
    let (hosts, tasks) = size_of_floor(short);
    let outcome = run(&estate(hosts, tasks, "{type: binpack, field: memory}"));
    let events = outcome.events as f64 / tasks as f64;
    assert!(events < 5.0, "{events} events a task: the floor has 4");
    assert!(outcome.tasks_stopped > tasks * 8 / 10 - 10 * hosts.min(tasks / 20), "tasks end");
    print!("{events:.2} events a task, ");
}
