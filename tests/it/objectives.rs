//! Objectives minute by minute, their error budgets and worst minutes; and the elasticity of services.

use ecsim::control_plane::{RunOptions, run};
use ecsim::report::{Recorder, ReplicationSummary, RunReport};
use ecsim::scenario::{LoadOptions, Scenario, load_str};
use serde_json::Value;

/// A service of `tasks` tasks on Fargate with half a vCPU each, half an hour of warm-up, and what `rest` adds.
fn scenario(tasks: u32, rest: &str) -> Scenario {
    let text = format!(
        "
name: lab
duration: 3h
warmup: 30m
delays: {{preset: constant}}
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: '512'
    memory: '1024'
    containerDefinitions: [{{name: app, image: app}}]
services:
  - {{serviceName: web, taskDefinition: web, launchType: FARGATE, desiredCount: {tasks},
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}
{rest}"
    );
    load_str("lab.yaml", &text, &LoadOptions::default()).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

fn replication(scenario: &Scenario, replication: u64) -> ReplicationSummary {
    let mut recorder = Recorder::new(&scenario.estate);
    run(&scenario.estate, RunOptions { replication, paranoid: false }, &mut recorder, |_| {});
    recorder.into_summary(None).unwrap()
}

fn figure(summary: &ReplicationSummary, metric: &str) -> f64 {
    summary.get(&format!("service/default/web:{metric}")).unwrap_or_else(|| panic!("no {metric}"))
}

/// Four tasks, 200 requests a second at most; for ten minutes 400 come.
const CROWD: &str = "workloads:
  - name: shoppers
    requests: {service: web, rate: {steps: [[0s, 60], [2h, 400], [130m, 60]]}, cpuPerRequest: 10ms, timeout: 5s}
slo:
  - {metric: 'service/default/web:availability_ratio', min: 0.99}
  - {metric: 'service/default/web:latency_p99_s', max: 0.5}
  - {metric: 'service/default/web:latency_p95_s', max: 0.5, budget: 0.1}
  - {metric: cost_usd, max: 100}
";

#[test]
fn objectives_count_their_minutes_spend_their_budget_and_name_the_worst_minute() {
    let scenario = scenario(4, CROWD);
    let runs = [replication(&scenario, 0), replication(&scenario, 1)];
    let report = RunReport::new(&scenario.estate, &runs);
    let json = report.to_json();
    let slo = json["slo"].as_array().unwrap();
    // Of the 240,000 requests of ten minutes half cannot be served, and answers that come too late cost goodput besides;
    // 504,000 come otherwise.
    let failed = 1.0 - figure(&runs[0], "availability_ratio");
    assert!((0.16..0.25).contains(&failed), "{failed}");
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!((&slo[0]["held_in"], &slo[0]["of"]), (&0.into(), &2.into()));
    let missed = number(&slo[0]["minutes_missed"]);
    assert!((9.0..=12.0).contains(&missed), "{missed} minutes");
    assert_eq!(number(&slo[0]["minutes_judged"]), 150.0, "without the warm-up");
    assert!((number(&slo[0]["budget_spent_ratio"]) / (failed / 0.01) - 1.0).abs() < 1e-9);
    assert!(number(&slo[1]["budget_spent_ratio"]) > 5.0, "far more than one in a hundred is slower");
    assert!((number(&slo[2]["budget_spent_ratio"]) - missed / 150.0 / 0.1).abs() < 0.15, "a share of the minutes");
    let worst = &slo[0]["worst_minute"];
    assert!((7200.0..7800.0).contains(&number(&worst["at_s"])), "{worst}");
    let why = worst["why"].as_str().unwrap();
    assert!(why.contains("the load needs 200 % of the CPU its tasks reserve"), "{why}");
    // A cost has no minutes.
    assert_eq!(
        (&slo[3]["minutes_missed"], &slo[3]["worst_minute"], &slo[3]["held_in"]),
        (&Value::Null, &Value::Null, &2.into())
    );
    let text = report.to_text(false);
    assert!(text.contains("held in 0 of 2") && text.contains("of the error budget"), "{text}");
    assert!(
        text.contains("worst minute of web: availability") || text.contains("worst minute of default/web"),
        "{text}"
    );
}

#[test]
fn the_worst_minute_knows_of_faults_ceilings_and_jumps() {
    let rest = CROWD.to_owned()
        + "scalableTargets: [{ServiceNamespace: ecs, ResourceId: service/default/web, ScalableDimension: 'ecs:service:DesiredCount', MinCapacity: 1, MaxCapacity: 4}]
faults: [{at: 119m, for: 5m, fault: metricGap}]\n";
    let summary = replication(&scenario(4, &rest), 0);
    let why = &summary.objectives[0].worst.as_ref().unwrap().why;
    assert!(why.starts_with("fault metricGap since 1h 59m"), "{why}");
    assert!(why.contains("scaling is at its MaxCapacity of 4"), "{why}");
    assert!(why.contains("times those of the minutes before"), "{why}");
}

#[test]
fn waits_and_queues_have_minutes_too() {
    let rest = "workloads:
  - name: jobs
    messages: {service: web, arrivals: {steps: [[0s, 1], [1h, 20], [70m, 1]]}, cpuPerMessage: 100ms,
               Attributes: {VisibilityTimeout: 60, ReceiveMessageWaitTimeSeconds: 20}}
slo:
  - {metric: 'queue/jobs:age_max_s', max: 60, budget: 0.2}
  - {metric: 'queue/jobs:backlog_max', max: 100}
  - {metric: task_wait_p99_s, max: 600}
";
    let summary = replication(&scenario(1, rest), 0);
    let [age, backlog, wait] = &summary.objectives[..] else { panic!() };
    assert!(!age.held && age.minutes_missed > 5 && age.minutes_missed < 100, "{age:?}");
    let worst = age.worst.as_ref().unwrap();
    assert!(worst.why.contains("messages are visible") && worst.why.contains("1 of 1 desired tasks run"), "{worst:?}");
    assert!(backlog.minutes_missed > 5 && backlog.budget_spent.is_none(), "{backlog:?}");
    assert_eq!((wait.minutes_missed, wait.minutes), (0, Some(0)), "no task starts after the warm-up");
}

#[test]
fn elasticity_is_what_the_definitions_say() {
    // Four tasks of half a vCPU; one vCPU needs two of them for an hour and a half, then six are needed.
    let rest = "workloads: [{name: load, utilization: {service: web, cpu: {steps: [[0s, 1], [2h, 3]]}}}]\n";
    let summary = replication(&scenario(4, rest), 0);
    let (under, over) = (1.0 / 2.5, 1.5 / 2.5);
    for (metric, expected) in [
        ("under_accuracy_ratio", under * (6.0 - 4.0) / 6.0),
        ("over_accuracy_ratio", over * (4.0 - 2.0) / 2.0),
        ("under_timeshare_ratio", under),
        ("over_timeshare_ratio", over),
        // One of a hundred and fifty minutes: demand jumps, supply stays.
        ("instability_ratio", 1.0 / 150.0),
    ] {
        let found = figure(&summary, metric);
        assert!((found - expected).abs() < 0.012, "{metric}: {found}, not {expected}");
    }
}

#[test]
fn a_random_load_is_judged_as_it_was_drawn() {
    let rest = "workloads: [{name: load, utilization: {service: web, cpu: {product: [1.5, {noise: {cv: 0.3, every: 5m}}]}}}]\n";
    let scenario = scenario(4, rest);
    let (one, other) = (replication(&scenario, 0), replication(&scenario, 1));
    assert_eq!(figure(&one, "over_timeshare_ratio"), figure(&replication(&scenario, 0), "over_timeshare_ratio"));
    // Its mean needs three of the four tasks all the time; noise moves it above and below.
    assert!(figure(&one, "over_timeshare_ratio") < 1.0 && figure(&one, "instability_ratio") > 0.0);
    assert_ne!(figure(&one, "over_accuracy_ratio"), figure(&other, "over_accuracy_ratio"));
}
