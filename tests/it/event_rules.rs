//! EventBridge rules (TASK-17): when they fire, the tasks they run, and what becomes of calls that fail.

use ecsim::control_plane::{RunOptions, run};
use ecsim::report::{Recorder, ReplicationSummary};
use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// A host with room for two tasks that run for a minute, and a rule with one target.
fn estate(rule: &str, target: &str, rest: &str) -> String {
    let delays = if rest.contains("\nbehaviour:") { "" } else { "behaviour: {alarm_eval_phase: aligned}\n" };
    format!(
        "
name: lab
start: 2026-01-05T00:00:00Z
duration: 4h
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 1, DesiredCapacity: 1,
     AvailabilityZones: [us-east-1a], registeredResources: {{cpu: 2048, memory: 4096}}}}
taskDefinitions:
  - family: report
    networkMode: bridge
    containerDefinitions: [{{name: app, image: app, cpu: 1024, memory: 256}}]
    behaviour: {{runsFor: 1m}}
eventRules:
  - Name: nightly
    {rule}
    Targets:
      - Id: run
        {target}
delays: {{preset: constant, imagePull: 0s, taskStart: 20s, taskStop: 30s}}
{rest}
{delays}"
    )
}

const PARAMETERS: &str = "EcsParameters: {TaskDefinitionArn: report}";

fn created(log: &Log, group: &str) -> Vec<f64> {
    log.times(group, "PENDING")
}

fn figures(text: &str, replication: u64) -> ReplicationSummary {
    let scenario =
        load_str("lab.yaml", text, &LoadOptions::default()).unwrap_or_else(|found| panic!("{}", found.render(false)));
    let mut recorder = Recorder::new(&scenario.estate);
    run(&scenario.estate, RunOptions { replication, paranoid: true }, &mut recorder, |_| {});
    recorder.into_summary(None).unwrap()
}

fn figure(summary: &ReplicationSummary, metric: &str) -> f64 {
    summary.get(&format!("event-rule/nightly:{metric}")).unwrap()
}

#[test]
fn task_17_a_rule_runs_its_tasks_by_the_clock_of_its_zone() {
    let rule = "ScheduleExpression: cron(30 2 * * ? *)\n    ScheduleExpressionTimezone: Europe/Berlin";
    let target = "EcsParameters: {TaskDefinitionArn: report, TaskCount: 2, Group: reports}";
    let text = estate(rule, target, "");
    let log = run_text(&text);
    // Half past two in Berlin is half past one in UTC, once in these four hours.
    assert_eq!(created(&log, "reports"), [5400.0, 5400.0]);
    let summary = figures(&text, 0);
    assert_eq!((figure(&summary, "events"), figure(&summary, "invocations")), (1.0, 1.0));
    assert_eq!((figure(&summary, "retries"), figure(&summary, "tasks_not_placed")), (0.0, 0.0));
}

#[test]
fn task_17_overrides_are_a_map_or_the_text_that_aws_takes() {
    let rule = "ScheduleExpression: rate(1 hour)";
    for input in [r#"'{"cpu": "2048", "memory": "512"}'"#, "{cpu: '2048', memory: '512'}"] {
        let target = format!("EcsParameters: {{TaskDefinitionArn: report, TaskCount: 2}}\n        Input: {input}");
        let log = run_text(&estate(rule, &target, ""));
        // Each takes the whole host, so the second of a call finds no room; at time zero there is no host yet.
        assert_eq!(log.failures, [(0.0, 2), (3600.0, 1), (7200.0, 1), (10800.0, 1)]);
    }
}

#[test]
fn task_17_the_jitter_puts_a_schedule_off_within_its_minute() {
    let rest = "behaviour: {alarm_eval_phase: aligned, schedule_jitter_s: 59}\n";
    let log = run_text(&estate("ScheduleExpression: cron(0 * * * ? *)", PARAMETERS, &format!("\n{rest}")));
    let late: Vec<f64> = created(&log, "family:report").iter().map(|at| at % 3600.0).collect();
    assert_eq!(late.len(), 3, "the host is not there at midnight: {late:?}");
    assert!(late.iter().all(|late| (0.0..59.0).contains(late)), "{late:?}");
    assert!(late[0] != late[1] && late[1] != late[2], "each has a jitter of its own: {late:?}");
    let exact = run_text(&estate("ScheduleExpression: cron(0 * * * ? *)", PARAMETERS, ""));
    assert_eq!(created(&exact, "family:report"), [3600.0, 7200.0, 10800.0], "0 unless said");
}

#[test]
fn task_17_a_throttled_call_is_made_again_later() {
    let throttled = "faults:\n  - {at: 59m, for: 3m, fault: apiThrottling}\n";
    let text = estate("ScheduleExpression: at(2026-01-05T01:00:00)", PARAMETERS, throttled);
    let log = run_text(&text);
    let refused = log.refused();
    assert!(refused.len() > 3 && refused.iter().all(|(_, rule)| *rule == "LIM-3"), "{refused:?}");
    let waits: Vec<f64> = refused.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    for (retry, wait) in waits.iter().enumerate() {
        let whole = f64::from(1_u32 << retry);
        assert!((whole / 2.0..=whole).contains(wait), "retry {retry} after {wait} s");
    }
    assert_eq!(created(&log, "family:report").len(), 1, "in the end it runs, once");
    let summary = figures(&text, 0);
    assert_eq!(figure(&summary, "retries"), refused.len() as f64);
    assert_eq!(figure(&summary, "events_lost"), 0.0);
}

#[test]
fn task_17_events_are_given_up_when_attempts_are_spent_or_they_are_too_old() {
    let throttled = "faults:\n  - {at: 59m, for: 3m, fault: apiThrottling}\n";
    let at = |policy: &str| {
        let target = format!("{PARAMETERS}\n        RetryPolicy: {policy}");
        estate("ScheduleExpression: at(2026-01-05T01:00:00)", &target, throttled)
    };
    for (policy, words) in [
        ("{MaximumRetryAttempts: 2}", "MaximumRetryAttempts are spent"),
        ("{MaximumEventAgeInSeconds: 60}", "it reaches MaximumEventAgeInSeconds"),
        ("{MaximumRetryAttempts: 0}", "MaximumRetryAttempts are spent"),
    ] {
        let log = run_text(&at(policy));
        let dropped = log.reasons("eventbridge", "drop");
        assert!(dropped.len() == 1 && dropped[0].1.contains(words), "{policy}: {dropped:?}");
        assert!(dropped[0].0 <= 3660.0 && created(&log, "family:report").is_empty());
        assert_eq!(figure(&figures(&at(policy), 0), "events_lost"), 1.0);
    }
}

#[test]
fn task_17_what_is_wrong_with_the_call_is_not_retried_but_dead_lettered() {
    let target = format!("{PARAMETERS}\n        DeadLetterConfig: {{Arn: 'arn:aws:sqs:us-east-1:123456789012:lost'}}");
    let rest = "workloads:\n  - {name: lost, messages: {}}
actions:\n  - {at: 30m, call: 'ecs:DeregisterTaskDefinition', with: {taskDefinition: 'report:1'}}\n";
    let text = estate("ScheduleExpression: at(2026-01-05T01:00:00)", &target, rest);
    let log = run_text(&text);
    assert_eq!(log.refused(), [(3600.0, "TD-3")]);
    assert_eq!(log.reasons("eventbridge", "dead-letter"), [(3600.0, "ClientException, which is not retried")]);
    let summary = figures(&text, 0);
    assert_eq!((figure(&summary, "events_dead_lettered"), figure(&summary, "retries")), (1.0, 0.0));
    assert_eq!(summary.get("queue/lost:messages"), Some(1.0), "it lies in the queue that was named");
}

#[test]
fn task_17_tasks_without_a_place_are_asked_for_again_only_if_the_knob_says_so() {
    let target = "EcsParameters: {TaskDefinitionArn: report, TaskCount: 3}";
    let of = |knob: &str| {
        let rest = format!("\nbehaviour: {{alarm_eval_phase: aligned, schedule_retry_failures: {knob}}}\n");
        estate("ScheduleExpression: at(2026-01-05T01:00:00)", target, &rest)
    };
    let log = run_text(&of("false"));
    assert_eq!((log.failures.as_slice(), created(&log, "family:report").len()), (&[(3600.0, 1)][..], 2));
    let log = run_text(&of("true"));
    let started = created(&log, "family:report");
    // Two at once; the third, and no other, when one of them has stopped.
    assert_eq!(started.len(), 3);
    assert!(started[2] >= 3680.0 && started[2] <= 3900.0, "{started:?}");
    assert!(log.failures.iter().all(|(_, tasks)| *tasks == 1), "{:?}", log.failures);
}

#[test]
fn task_17_a_rule_can_be_disabled_and_enabled() {
    let rest = "actions:
  - {at: 90m, call: 'events:EnableRule', with: {Name: nightly}}
  - {at: 150m, call: 'events:DisableRule', with: {Name: nightly}}
  - {at: 151m, call: 'events:DisableRule', with: {Name: weekly}}\n";
    let log = run_text(&estate("ScheduleExpression: cron(0 * * * ? *)\n    State: DISABLED", PARAMETERS, rest));
    assert_eq!(created(&log, "family:report"), [7200.0]);
    assert_eq!(log.refused(), [(9060.0, "TASK-17")]);
}

#[test]
fn task_17_events_that_match_a_pattern_come_as_arrivals() {
    let rule = "EventPattern: {source: [aws.s3]}\n    arrivals: {poisson: 12/h}";
    let log = run_text(&estate(rule, "EcsParameters: {TaskDefinitionArn: report}", ""));
    let times = created(&log, "family:report");
    assert!((25..75).contains(&times.len()), "48 in four hours, but for those without room: {}", times.len());
    assert!(times.iter().any(|at| at % 60.0 != 0.0));
}

/// What is said of a scenario that is refused.
fn told(rule: &str, target: &str) -> String {
    load_str("lab.yaml", &estate(rule, target, ""), &LoadOptions::default()).unwrap_err().render(false)
}

#[test]
fn mistakes_in_rules_are_told_where_they_are() {
    let at = "ScheduleExpression: rate(1 hour)";
    for (rule, target, words) in [
        ("ScheduleExpression: rate(1 hours)", PARAMETERS, "is no rate"),
        (
            "ScheduleExpression: cron(0 0 * * ? *)\n    ScheduleExpressionTimezone: Europe/Berln",
            PARAMETERS,
            "is no time zone",
        ),
        ("State: ENABLED", PARAMETERS, "EventPattern or ScheduleExpression must be specified"),
        (at, "EcsParameters: {TaskDefinitionArn: reprot}", "did you mean `report`?"),
        (at, "EcsParameters: {TaskDefinitionArn: report, TaskCount: 11}", "count must be between 1 and 10, not 11"),
        (
            at,
            "EcsParameters: {TaskDefinitionArn: report}\n        Arn: 'arn:aws:ecs:us-east-1:123456789012:cluster/prod'",
            "there is no cluster `prod`",
        ),
        (
            at,
            "EcsParameters: {TaskDefinitionArn: report}\n        Input: nonsense",
            "`Input` is a map, or a JSON object",
        ),
        (
            at,
            "EcsParameters: {TaskDefinitionArn: report}\n        RetryPolicy: {MaximumRetryAttempts: 186}",
            "Maximum value of 185",
        ),
    ] {
        let told = told(rule, target);
        assert!(told.contains(words), "{rule} {target}: {told}");
        assert!(told.contains("lab.yaml:"), "{told}");
    }
}
