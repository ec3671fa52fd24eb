//! Requests, for the question "which of the two models can I afford?": an hour of a service behind a load balancer, as a flow
//! and one by one, at 100, 1,000 and 10,000 requests a second.
//!
//! Each run asserts its result: no request is lost, and the mean latency is that of the theory.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ecsim::control_plane::estate::Estate;
use ecsim::control_plane::{self, RunOptions};
use ecsim::report::recorder::Recorder;
use ecsim::scenario::{LoadOptions, load_str};

/// An hour at `rate`, after a quarter of an hour without requests: one task of one vCPU for every 60 requests a second of
/// 10 ms, chosen at random, so that each is an M/G/1 processor-sharing queue at a utilisation of 0.6.
fn estate(rate: u32, model: &str) -> Estate {
    let tasks = rate.div_ceil(60);
    let offered = tasks * 60;
    let text = format!(
        "
name: requests
duration: 75m
warmup: 15m
behaviour: {{fargate_vcpu_quota: 100000}}
delays: {{preset: constant, imagePull: 0s}}
targetGroups:
  - {{Name: tg, loadBalancer: front, Attributes: [{{Key: load_balancing.algorithm.type, Value: weighted_random}}]}}
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '1024'
    memory: '2048'
    containerDefinitions: [{{name: app, image: app, portMappings: [{{containerPort: 80}}]}}]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: {tasks}
    launchType: FARGATE
    networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}
    loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]
workloads:
  - name: load
    requests: {{service: web, rate: {{steps: [[0s, 0], [15m, {offered}]]}}, cpuPerRequest: {{exponential: {{mean: 10ms}}}}, model: {model}}}
"
    );
    match load_str("requests.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario.estate,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    }
}

fn run(estate: &Estate, rate: u32) {
    let mut recorder = Recorder::new(estate);
    control_plane::run(estate, RunOptions::default(), &mut recorder, |_| {});
    let summary = recorder.into_summary(None).expect("nothing is written");
    let figure = |metric: &str| summary.get(&format!("service/default/web:{metric}")).expect("the service has a load");
    let expected = f64::from(rate.div_ceil(60) * 60) * 3600.0;
    assert!((figure("requests") / expected - 1.0).abs() < 0.01, "{} requests", figure("requests"));
    assert_eq!(figure("requests_failed"), 0.0);
    let latency = figure("latency_mean_s");
    assert!((latency / (0.01 / (1.0 - 0.6)) - 1.0).abs() < 0.02, "{latency} s");
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("an hour of requests");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(10));
    for model in ["fluid", "perRequest"] {
        for rate in [100, 1_000, 10_000] {
            let estate = estate(rate, model);
            group.bench_function(BenchmarkId::new(model, rate), |bencher| {
                bencher.iter(|| run(black_box(&estate), rate));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
