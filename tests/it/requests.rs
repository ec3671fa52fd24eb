//! Requests one by one: queueing theory, balancers, time-outs, retries, memory, and agreement with the fluid model.

use ecsim::control_plane::RunOptions;
use ecsim::stats::{Estimate, WeightedHistogram};
use ecsim::workload::failed::Failed;
use ecsim::workload::fluid::waiting_factor;

use crate::lab::{Log, run_text, run_with};

/// When the requests begin: every task is up.
const BEGIN: f64 = 120.0;

/// Fargate tasks of `vcpus` each behind nothing; requests come from [`BEGIN`] on for `seconds`.
fn service(tasks: u32, vcpus: u32, rate: f64, seconds: u32, requests: &str) -> String {
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
struct Totals {
    arrived: u64,
    served: u64,
    failed: Failed,
    retried: u64,
    in_flight: u64,
    sent: u64,
    cpu: f64,
    latency: WeightedHistogram,
}

fn totals(log: &Log) -> Totals {
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
        // s / (1 - rho)
        assert!(found.contains(0.01 / (1.0 - 0.6)), "{work}: {found:?}");
    }
}
