//! CloudWatch as an operator uses it: samples put, states set, alarms that warm up or wait for the clock (CW-*, ALM-*).

use crate::lab::{Log, run_text};

/// A Fargate service with a policy of one step up, and an alarm above 50 on the metric `load` of `Test`.
fn lab(alarm: &str, more: &str) -> Log {
    run_text(&format!(
        "name: lab\nduration: 1h\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '256', memory: '512', \
         containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: 2, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 9}}\n\
         scalingPolicies:\n  - {{PolicyName: up, PolicyType: StepScaling, ResourceId: service/c/web, \
         StepScalingPolicyConfiguration: {{AdjustmentType: ChangeInCapacity, Cooldown: 0, \
         StepAdjustments: [{{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 100, ScalingAdjustment: 1}}, \
         {{MetricIntervalLowerBound: 100, ScalingAdjustment: 3}}]}}}}\n\
         alarms:\n  - {{AlarmName: busy, Namespace: Test, MetricName: load, Statistic: Average, Period: 60, \
         EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold, \
         AlarmActions: [up, 'arn:aws:sns:us-east-1:1:pager']{alarm}}}\n{more}"
    ))
}

fn put(at: &str, data: &str) -> String {
    format!(
        "  - {{at: {at}, call: 'cloudwatch:PutMetricData', with: {{Namespace: Test, MetricData: [{{MetricName: load, {data}}}]}}}}\n"
    )
}

fn states(log: &Log) -> Vec<(f64, &str)> {
    log.alarms
        .iter()
        .filter(|(_, name, ..)| name == "busy")
        .map(|(time, _, state, _)| (*time, state.as_str()))
        .collect()
}

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("service/c/web", "DesiredCount")
}

/// The codes and words of refused calls.
fn refusals(log: &Log) -> Vec<&str> {
    log.reasons("operator", "refuse").into_iter().map(|(_, reason)| reason).collect()
}

#[test]
fn cw_3_samples_put_within_a_minute_are_one_datapoint() {
    let actions = [
        "Value: 20",
        "Values: [100, 40], Counts: [1, 2]",
        "StatisticValues: {SampleCount: 4, Sum: 600, Minimum: 90, Maximum: 200}",
    ];
    let actions: String = actions.iter().map(|data| put("130s", data)).collect();
    let log = lab("", &format!("actions:\n{actions}"));
    // (20 + 100 + 40 + 40 + 600) / 8 = 100, in the minute that ends at 180.
    let reason = "Threshold Crossed: 1 datapoint [100.0 (05/01/26 00:02:00)] was greater than the threshold (50.0).";
    let raised = log.alarms.iter().find(|(_, _, state, _)| state == "ALARM").expect("it goes off");
    assert_eq!((raised.0, raised.3.as_str()), (180.0, reason));
    // The point leaves the three periods that are looked at two minutes later.
    assert_eq!(states(&log)[1..], [(180.0, "ALARM"), (360.0, "INSUFFICIENT_DATA")]);
    assert_eq!(desired(&log), [(0.0, 2.0), (180.2, 3.0), (240.2, 4.0), (300.2, 5.0)]);
}

#[test]
fn cw_1_a_sample_of_another_unit_is_not_seen() {
    let samples = put("70s", "Value: 99, Unit: Count") + &put("190s", "Value: 99, Unit: Percent");
    let log = lab(", Unit: Percent", &format!("actions:\n{samples}"));
    assert_eq!(states(&log)[1], (240.0, "ALARM"));
}

#[test]
fn cw_4_partial_buckets_show_what_has_come_so_far() {
    let samples = put("130s", "Value: 99") + &put("190s", "Value: 60") + &put("230s", "Value: 10");
    let actions = format!("actions:\n{samples}");
    let log = lab(FAST, &actions);
    assert_eq!(states_of_fast(&log)[1..3], [(180.0, "ALARM"), (240.0, "OK")], "99, then (60 + 10) / 2");
    let log = lab(FAST, &format!("{actions}behaviour: {{alarm_eval_phase: aligned, partial_buckets: true}}\n"));
    // Each as soon as its sample is there; in between a minute that has just begun and is empty.
    let expect = [(130.0, "ALARM"), (180.0, "INSUFFICIENT_DATA"), (190.0, "ALARM"), (230.0, "OK")];
    assert_eq!(states_of_fast(&log)[1..5], expect);
}

/// A second alarm, evaluated every ten seconds.
const FAST: &str = "}\n  - {AlarmName: fast, Namespace: Test, MetricName: load, Statistic: Average, Period: 30, \
                    EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold";

fn states_of_fast(log: &Log) -> Vec<(f64, &str)> {
    log.alarms
        .iter()
        .filter(|(_, name, ..)| name == "fast")
        .map(|(time, _, state, _)| (*time, state.as_str()))
        .collect()
}

#[test]
fn cw_8_stamps_and_values_have_limits() {
    let data = [
        "Value: 1, Timestamp: '2025-12-20T00:00:00Z'",
        "Value: 1, Timestamp: '2026-01-05T02:30:00Z'",
        "Value: 1e120",
        "Value: 1, Values: [1]",
        "Values: [1, 2], Counts: [1]",
        "Value: 1, StorageResolution: 30",
        "Value: 1, Unit: percent",
        "Value: 1, Timestamp: '2026-01-05T00:01:00Z'",
    ];
    let actions: String = data.iter().map(|data| put("10m", data)).collect();
    let other = "  - {at: 10m, call: 'cloudwatch:PutMetricData', with: {Namespace: AWS/ECS, MetricData: [{MetricName: m, Value: 1}]}}\n";
    let log = lab("", &format!("actions:\n{actions}{other}"));
    let refusals = refusals(&log);
    let expect = [
        "InvalidParameterValue: The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks.",
        "InvalidParameterValue: The parameter MetricData.member.1.Timestamp must specify a time no more than two hours in the future.",
        "InvalidParameterValue: The parameter MetricData.member.1.Value must be a number between -2^360 and 2^360.",
        "InvalidParameterCombination: MetricData.member.1 must have exactly one of Value, Values and StatisticValues.",
        "InvalidParameterCombination: The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size, at most 150.",
        "InvalidParameterValue: The value 30 for parameter StorageResolution is invalid: 1 or 60.",
        "InvalidParameterValue: `percent` is no unit",
        "InvalidParameterValue: The value AWS/ECS for parameter Namespace is invalid.",
    ];
    assert_eq!(refusals, expect);
    assert_eq!(log.refused().iter().filter(|(_, rule)| *rule == "CW-8").count(), 7);
}

#[test]
fn cw_7_an_alarm_on_a_trimmed_mean_shrugs_off_an_outlier() {
    let samples = put("70s", "Values: [10, 20, 30, 40, 900], Counts: [2, 2, 2, 3, 1]");
    let log = lab("", &format!("actions:\n{samples}"));
    assert_eq!(states(&log)[1], (120.0, "ALARM"), "the mean is 114");
    let trimmed = "}\n  - {AlarmName: fast, Namespace: Test, MetricName: load, ExtendedStatistic: 'TM(:90%)', Period: 60, \
                   EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold";
    assert_eq!(
        states_of_fast(&lab(trimmed, &format!("actions:\n{samples}")))[1],
        (120.0, "OK"),
        "without the largest tenth, 27"
    );
}

fn set_state(at: &str, more: &str) -> String {
    format!(
        "  - {{at: {at}, call: 'cloudwatch:SetAlarmState', with: {{AlarmName: busy, StateValue: ALARM, StateReason: drill{more}}}}}\n"
    )
}

const QUIET: &str = "metrics:\n  - {Namespace: Test, MetricName: load, Period: 60, values: [10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10]}\n";

#[test]
fn alm_22_a_state_set_by_hand_holds_until_the_next_evaluation() {
    let log = lab("", &format!("{QUIET}actions:\n{}", set_state("310s", "")));
    assert_eq!(states(&log)[1..4], [(60.0, "OK"), (310.0, "ALARM"), (360.0, "OK")]);
    let reason = log.alarms.iter().find(|(time, ..)| *time == 310.0).map(|(.., reason)| reason.as_str());
    assert_eq!(reason, Some("drill"));
    assert_eq!(
        log.notifications.iter().map(|(time, ..)| *time).collect::<Vec<_>>(),
        [310.0],
        "who is notified is told"
    );
    assert_eq!(desired(&log), [(0.0, 2.0)], "but nothing scales without reason data");
    let unsafe_ = log.reasons("cloudwatch", "not-scaled");
    assert!(unsafe_.len() == 1 && unsafe_[0].1.starts_with("Scaling deemed unsafe"), "{unsafe_:?}");
}

#[test]
fn alm_22_scaling_actions_need_fresh_reason_data() {
    let data = |second: u32| {
        format!(
            ", StateReasonData: '{{\"queryDate\":\"2026-01-05T00:05:{second:02}.000+0000\",\"recentDatapoints\":[160.0],\"threshold\":50.0}}'"
        )
    };
    let fresh = lab("", &format!("{QUIET}actions:\n{}", set_state("320s", &data(15))));
    assert_eq!(desired(&fresh), [(0.0, 2.0), (320.2, 5.0)], "110 above the threshold: three more");
    let stale = lab("", &format!("{QUIET}actions:\n{}", set_state("320s", &data(4))));
    assert_eq!(desired(&stale), [(0.0, 2.0)], "16 s old");
    let ahead = lab("", &format!("{QUIET}actions:\n{}", set_state("320s", &data(40))));
    assert_eq!(desired(&ahead), [(0.0, 2.0)], "of the future");
}

#[test]
fn alm_22_what_set_alarm_state_refuses() {
    let unknown =
        "  - {at: 5m, call: 'cloudwatch:SetAlarmState', with: {AlarmName: bsy, StateValue: OK, StateReason: x}}\n";
    let log = lab("", &format!("{QUIET}actions:\n{unknown}{}", set_state("6m", ", StateReasonData: '{'")));
    let refusals = refusals(&log);
    assert!(
        refusals[0].starts_with("ResourceNotFound: ") && refusals[1].starts_with("InvalidFormat: "),
        "{refusals:?}"
    );
}

#[test]
fn alm_10_a_warm_up_keeps_a_new_alarm_from_acting() {
    let missing = ", TreatMissingData: breaching";
    let log = lab(missing, "");
    assert_eq!(states(&log)[1], (0.0, "ALARM"));
    let warm = lab(&format!("{missing}, WarmUpConfiguration: {{WarmUpPeriodDurationInMinutes: 10}}"), "");
    assert_eq!(states(&warm), [(0.0, "INSUFFICIENT_DATA"), (600.0, "ALARM")]);
    assert_eq!(warm.notifications.iter().map(|(time, ..)| *time).collect::<Vec<_>>(), [600.0], "nobody is told before");
}

#[test]
fn alm_5_a_wall_clock_window_waits_for_the_hour() {
    let values: Vec<u32> = vec![60; 60];
    let metrics = format!(
        "start: '2026-01-05T09:50:00Z'\nmetrics:\n  - {{Namespace: Test, MetricName: load, Period: 60, values: {values:?}}}\n"
    );
    let fast = |window: &str| {
        format!(
            "}}\n  - {{AlarmName: fast, Namespace: Test, MetricName: load, Statistic: Average, Period: 3600, EvaluationPeriods: 1, \
             Threshold: 50, ComparisonOperator: GreaterThanThreshold{window}"
        )
    };
    assert_eq!(states_of_fast(&lab(&fast(""), &metrics))[1].0, 60.0, "a sliding window");
    let hour = fast(", EvaluationWindow: {WallClockWindow: {}}");
    assert_eq!(states_of_fast(&lab(&hour, &metrics))[1], (600.0, "ALARM"), "10:00");
    let nepal = fast(", EvaluationWindow: {WallClockWindow: {Timezone: Asia/Kathmandu}}");
    assert_eq!(states_of_fast(&lab(&nepal, &metrics))[1], (1500.0, "ALARM"), "10:15, an hour there");
}

#[test]
fn aas_19_calls_have_rates() {
    let alarm = |n: usize| {
        format!(
            "  - {{at: 5m, call: 'cloudwatch:PutMetricAlarm', with: {{AlarmName: a{n}, Namespace: Test, MetricName: load, Statistic: Average, \
             Period: 60, EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold}}}}\n"
        )
    };
    let actions: String = (0..5).map(alarm).collect::<String>() + &alarm(5).replace("5m", "301s");
    let log = lab("", &format!("{QUIET}actions:\n{actions}"));
    assert_eq!(refusals(&log), ["Throttling: Rate exceeded"; 2]);
    assert_eq!(log.refused().iter().map(|(_, rule)| *rule).collect::<Vec<_>>(), ["AAS-19"; 2]);
    let created = log.alarms.iter().filter(|(time, name, ..)| *time <= 301.0 && name != "busy");
    let mut created: Vec<&str> = created.map(|(_, name, ..)| name.as_str()).collect();
    created.sort_unstable();
    created.dedup();
    assert_eq!(created, ["a0", "a1", "a2", "a5"], "three in the first second, one in the next");
}

#[test]
fn cw_2_a_series_exported_from_cloudwatch_is_replayed() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    // As the console and the command line write them; one datapoint is missing.
    let console = "Timestamp,load\n2026/03/01 10:00:00,10\n2026/03/01 10:01:00,90\n2026/03/01 10:03:00,20\n";
    let cli = "Timestamp,Average,Unit\n2026-03-01T10:00:00+00:00,10,Count\n2026-03-01T10:01:00+00:00,90,Count\n2026-03-01T10:03:00+00:00,20,Count\n";
    for (name, text, column) in [("console.csv", console, "load"), ("cli.csv", cli, "Average")] {
        std::fs::write(folder.path().join(name), text).expect("a file in it");
        let path = folder.path().join("scenario.yaml");
        let scenario = format!(
            "duration: 10m\nmetrics:\n  - {{Namespace: Test, MetricName: load, Unit: Count, trace: {{file: {name}, time: Timestamp, value: {column}}}}}\n"
        );
        std::fs::write(&path, scenario).expect("a file in it");
        let scenario = ecsim::scenario::load(&path, &ecsim::scenario::LoadOptions::default())
            .unwrap_or_else(|refused| panic!("{}", refused.render(false)));
        let values: Vec<Option<f64>> = scenario.estate.metrics[0].values.to_vec();
        assert_eq!(values, [Some(10.0), Some(90.0), None, Some(20.0)], "{name}");
    }
}
