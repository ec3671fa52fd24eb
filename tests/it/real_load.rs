//! Requests that are really sent: which target gets which, what their answers mean, what is cut, and what is counted.
//!
//! Containers start at once and answers are scripted here; `ecsim::adapters::http` has its own tests against sockets.

use std::collections::BTreeMap;

use ecsim::control_plane::execution::{ContainerCommand, ContainerNews, ContainerReport};
use ecsim::control_plane::real_http::{HttpAnswer, HttpCommand, HttpId, HttpOutcome, HttpSend};
use ecsim::control_plane::{RunOptions, Session};
use ecsim::engine::time::{SimDuration, SimTime};
use ecsim::scenario::{LoadOptions, load_str};
use ecsim::stats::WeightedHistogram;
use ecsim::workload::failed::Failed;

use crate::lab::Log;

const OK: HttpOutcome = HttpOutcome::Answered { status: 200, cpu_s: None };

/// Everything that was sent, and when it was cut.
#[derive(Default)]
struct Played {
    log: Log,
    sent: Vec<(SimTime, HttpSend)>,
    cut: Vec<(SimTime, HttpId)>,
}

impl Played {
    fn requests(&self) -> impl Iterator<Item = &(SimTime, HttpSend)> {
        self.sent.iter().filter(|(_, send)| matches!(send.id, HttpId::Request { .. }))
    }

    fn totals(&self) -> (u64, u64, Failed, WeightedHistogram) {
        let (mut arrived, mut served, mut failed, mut latency) = (0, 0, Failed::default(), WeightedHistogram::new());
        for (_, _, step) in &self.log.requests {
            arrived += step.arrived;
            served += step.served;
            failed.add(&step.failed);
            latency.merge(&step.latency);
        }
        (arrived, served, failed, latency)
    }
}

/// Runs `text` in steps of 10 ms; `script` says what comes of each request or probe, and after how many real milliseconds.
fn play(text: &str, pace: f64, mut script: impl FnMut(&HttpSend) -> (u64, HttpOutcome)) -> Played {
    let scenario = match load_str("real.yaml", text, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    };
    let mut played = Played::default();
    let options = RunOptions { replication: 0, paranoid: true };
    let mut session = Session::with_real_containers(&scenario.estate, options, &mut played.log, pace);
    let mut waiting: BTreeMap<(SimTime, HttpId), HttpAnswer> = BTreeMap::new();
    let end = session.end();
    let mut now = SimTime::ZERO;
    while now < end {
        now += SimDuration::from_millis(10);
        session.run_until(now);
        while let Some(next) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            session.http_answered(now, next.remove());
        }
        for command in session.take_commands() {
            let (at, news) = match command {
                ContainerCommand::Pull { at, .. } => (at, ContainerNews::Pulled),
                ContainerCommand::Start { at, .. } => (at, ContainerNews::Started { ports: Vec::new() }),
                ContainerCommand::Stop { at, .. } => (at, ContainerNews::Ended { code: 0, out_of_memory: false }),
                ContainerCommand::Remove { .. } => continue,
            };
            session.report(ContainerReport { at, news });
        }
        for command in session.take_http_commands() {
            match command {
                HttpCommand::Send(send) => {
                    let (ms, outcome) = script(&send);
                    let took = SimDuration::from_millis(ms);
                    let at = send.intended + took.mul_f64(pace);
                    waiting.insert((at, send.id), HttpAnswer { id: send.id, took, outcome });
                    played.sent.push((now, send));
                }
                HttpCommand::Cut(id) => {
                    waiting.retain(|(_, waits), _| *waits != id);
                    played.cut.push((now, id));
                }
            }
        }
    }
    session.finish();
    played
}

/// `tasks` behind an Application Load Balancer that asks every 10 s; requests come from 60 s on.
fn service(tasks: u32, requests: &str, more: &str) -> String {
    format!(
        "
name: real
duration: 3m
delays: {{preset: constant, fargateProvision: 5s}}
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '256'
    memory: '512'
    containerDefinitions:
      - {{name: sidecar, image: agent, essential: false}}
      - {{name: app, image: app, portMappings: [{{containerPort: 9000}}, {{containerPort: 8080}}]}}
loadBalancers: [{{Name: front}}]
targetGroups:
  - {{Name: web, loadBalancer: front, HealthCheckIntervalSeconds: 10, HealthCheckPath: /health, Matcher: {{HttpCode: 200-299}},
     Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '20'}}]}}
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: {tasks}
    launchType: FARGATE
    networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}
    loadBalancers: [{{targetGroupArn: web, containerName: app, containerPort: 8080}}]
workloads:
  - name: load
    requests: {{service: web, rate: {{steps: [[0s, 0], [1m, 5]]}}, cpuPerRequest: 10ms, {requests}}}
{more}
"
    )
}

#[test]
fn requests_go_round_and_are_timed_in_whatever_model() {
    for model in ["fluid", "perRequest"] {
        let text = service(2, &format!("path: /burn?ms=10, timeout: 5s, model: {model}"), "");
        let played = play(&text, 1.0, |_| (50, OK));
        let (arrived, served, failed, latency) = played.totals();
        assert!(
            arrived > 450 && served + 5 >= arrived && failed.total() == 0.0,
            "{model}: {arrived} {served} {failed:?}"
        );
        assert!((latency.quantile(0.5).unwrap() / 0.05 - 1.0).abs() < 0.01);
        let mut by_task = BTreeMap::new();
        for (now, send) in played.requests() {
            *by_task.entry(send.task).or_insert(0_u64) += 1;
            assert!(*now >= send.intended && now.saturating_since(send.intended) <= SimDuration::from_millis(10));
            assert_eq!((send.container, send.port, send.path.as_deref()), (1, 8080, Some("/burn?ms=10")));
            assert_eq!(send.timeout, SimDuration::from_secs(5));
        }
        let counts: Vec<u64> = by_task.into_values().collect();
        assert!(counts.len() == 2 && counts[0].abs_diff(counts[1]) <= 1, "in turn: {counts:?}");
    }
}

#[test]
fn failures_are_told_by_their_cause_and_tried_again() {
    let mut number = 0;
    let played = play(&service(1, "timeout: 1s, retries: 1, model: perRequest", ""), 1.0, |send| {
        if matches!(send.id, HttpId::Probe { .. }) {
            return (1, OK);
        }
        number += 1;
        match number % 5 {
            0 => (20, HttpOutcome::Answered { status: 503, cpu_s: None }),
            1 => (0, HttpOutcome::Refused),
            2 => (20, HttpOutcome::Broken),
            3 => (1000, HttpOutcome::TimedOut),
            _ => (20, HttpOutcome::Answered { status: 404, cpu_s: None }),
        }
    });
    let (arrived, served, failed, _) = played.totals();
    assert!(played.requests().count() as f64 > 1.5 * arrived as f64, "most are sent twice");
    for cause in [failed.application_error, failed.connection_refused, failed.task_killed, failed.timeout] {
        assert!(cause > 20.0, "{failed:?}");
    }
    assert!(served > 100 && failed.no_healthy_target == 0.0);
}

#[test]
fn elb_6_a_target_that_fails_its_probes_for_real_is_replaced() {
    let mut first = None;
    let played = play(&service(2, "timeout: 5s", ""), 1.0, |send| {
        if matches!(send.id, HttpId::Request { .. }) {
            return (20, OK);
        }
        assert_eq!((send.port, send.path.as_deref()), (8080, Some("/health")));
        assert_eq!(send.timeout, SimDuration::from_secs(5), "of an Application Load Balancer");
        let sick = *first.get_or_insert(send.task) == send.task && send.intended > SimTime::from_secs(80);
        (20, HttpOutcome::Answered { status: if sick { 500 } else { 204 }, cpu_s: None })
    });
    let reason = &played.log.stops.values().next().expect("the sick task is stopped").1;
    assert!(reason.contains("Task failed ELB health checks"), "{reason}");
    assert_eq!(played.log.stops.len(), 1);
    let first = first.unwrap();
    let last = played.requests().filter(|(_, send)| send.task == first).map(|(at, _)| *at).max().unwrap();
    assert!(last < SimTime::from_secs(102), "two failures are enough: {last:?}");
    let tasks: std::collections::BTreeSet<_> = played.requests().map(|(_, send)| send.task).collect();
    assert_eq!(tasks.len(), 3, "and another one takes its place");
}

#[test]
fn elb_9_what_is_not_answered_when_deregistration_is_over_is_cut() {
    let scale = "actions: [{at: 100s, call: ecs:UpdateService, with: {service: web, desiredCount: 1}}]";
    let played = play(&service(2, "timeout: 60s, model: perRequest", scale), 1.0, |send| match send.id {
        HttpId::Probe { .. } => (1, OK),
        // The second half of a run hangs.
        HttpId::Request { .. } if send.intended > SimTime::from_secs(99) => (100_000, OK),
        HttpId::Request { .. } => (20, OK),
    });
    let (_, _, failed, _) = played.totals();
    assert!(!played.cut.is_empty());
    assert_eq!(failed.task_killed, played.cut.len() as f64);
    assert_eq!(failed.total(), failed.task_killed, "{failed:?}");
    let at = played.cut[0].0;
    assert!(at >= SimTime::from_secs(120) && at < SimTime::from_secs(125), "after the delay of 20 s: {at:?}");
}

#[test]
fn at_another_pace_containers_have_the_load_that_they_would_have() {
    let text = service(1, "timeout: 5s, model: perRequest", "");
    let [once, twice] = [1.0, 2.0].map(|pace| play(&text, pace, |_| (50, OK)));
    let (sent, half) = (once.requests().count() as f64, twice.requests().count() as f64);
    // 120 s of five a second; in 60 s of the wall clock half of that.
    assert!((half / sent - 0.5).abs() < 0.08, "{half} of {sent}");
    let [(arrived, ..), (counted, _, _, latency)] = [once.totals(), twice.totals()];
    assert!((counted as f64 / arrived as f64 - 1.0).abs() < 0.15, "each counts twice: {counted}, {arrived}");
    assert!((latency.quantile(0.5).unwrap() / 0.05 - 1.0).abs() < 0.01, "in real seconds");
}

/// The container path: the example server in containers, real requests, and what they leave behind. The image is made by
/// `.ci/run`, or by `just burner-image`.
#[cfg(feature = "docker")]
#[test]
#[ignore = "needs a Docker engine"]
fn real_load_burns_real_cpu_and_leaves_a_calibrated_scenario() {
    use crate::cli::{Desk, code, text};

    let desk = Desk::new();
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/real/web-scale-out.yaml");
    let short = ["run", scenario, "--variant", "short"];
    let run = |more: &[&str]| {
        let output = desk.ecsim(&[&short[..], more].concat());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        output
    };
    run(&["--containers", "docker", "--pace", "5", "--out", "real"]);
    let measured = std::fs::read_to_string(desk.path("real/measured.yaml")).unwrap();
    for key in ["imagePull:", "fargateStart:", "startup:", "memory:", "cpuPerRequest:", "latencyFloor:"] {
        assert!(measured.contains(key), "{measured}");
    }
    run(&["--with", "real/measured.yaml", "--out", "simulated"]);
    let compared = desk.ecsim(&["compare-runs", "real", "simulated", "--json"]);
    let compared: serde_json::Value = serde_json::from_slice(&compared.stdout).unwrap();
    let metric = |name: &str| {
        let rows = compared["metrics"].as_array().unwrap();
        let row = rows.iter().find(|row| row["metric"] == name).unwrap_or_else(|| panic!("no {name}: {compared}"));
        [row["reference"].as_f64().unwrap(), row["run"].as_f64().unwrap()]
    };
    let [real, simulated] = metric("service/default/web:requests");
    assert!(real > 100.0 && (real / simulated - 1.0).abs() < 0.4, "{real} requests, {simulated} simulated");
    let [real, simulated] = metric("service/default/web:latency_p50_s");
    // A machine may be busy with other things.
    assert!(real > 0.05 && real < 10.0 && simulated > 0.05, "{real} s, {simulated} s");
}
