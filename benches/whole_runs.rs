//! Whole runs, for the question "how long must I wait?": a day of the quickstart, and a million RunTask arrivals on ten
//! thousand hosts.
//!
//! Each asserts its result: nothing is lost, everything that fits is placed.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ecsim::control_plane::estate::Estate;
use ecsim::control_plane::{self, RunOptions, RunOutcome};
use ecsim::report::recorder::Recorder;
use ecsim::scenario::{LoadOptions, load, load_str};

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
criterion_main!(benches);
