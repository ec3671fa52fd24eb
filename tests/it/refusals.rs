//! What AWS refuses of policies, schedules, alarms and expressions: all of it at once, in its words, where it is written.

use ecsim::scenario::{LoadOptions, load_str};

/// A scenario with one mistake of each kind.
const MISTAKES: &str = include_str!("scenarios/scaling-mistakes.yaml");

/// What is written at the place of each refusal, its words, and its rule.
const EXPECTED: &[(&str, &str, &str)] = &[
    ("{MetricIntervalLowerBound: 10, ", "StepAdjustment intervals can't overlap.", "STEP-4"),
    ("{MetricIntervalLowerBound: 15, ", "StepAdjustment intervals can't have gaps between them.", "STEP-4"),
    ("{MetricIntervalLowerBound: 15, ", "At most one StepAdjustment may have an unspecified upper bound.", "STEP-4"),
    (
        "{ScalingAdjustment: 1}",
        "StepAdjustment must have at least one of lower bound and upper bound specified.",
        "STEP-4",
    ),
    (
        "service/c/free",
        "No scalable target registered for service namespace: ecs, resource ID: service/c/free, scalable dimension: \
         ecs:service:DesiredCount",
        "AAS-1",
    ),
    ("Metrics:", "Exactly one element of the metrics list should return data; 2 do.", "TT-28"),
    ("'cron(0 0 30 2 ? *)'", "The schedule has no occurrence in the future.", "SCH-1"),
    ("Mars/Olympus", "`Mars/Olympus` is no time zone of the IANA database", "SCH-8"),
    ("'cron(0 9 * * * *)'", "`0 9 * * * *` needs `?` in one of its day fields", "SCH-1"),
    (".nan", "a number must be finite", ""),
    ("289", "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).", "ALM-6"),
    ("e1 * 2", "Error in expression 'e2': it refers to itself.", "MATH-5"),
    ("none-returned", "Exactly one element of the metrics list should return data; 0 do.", "MATH-5"),
    ("45", "the period of a metric is 1, 5, 10, 20, 30 or whole minutes, not 45 s", "CW-2"),
];

#[test]
fn every_mistake_is_refused_at_once_and_where_it_is() {
    let refused = load_str("mistakes.yaml", MISTAKES, &LoadOptions::default()).expect_err("it is full of mistakes");
    let lines: Vec<&str> = MISTAKES.lines().collect();
    let found: Vec<_> = refused.findings().iter().filter(|finding| !finding.warning).collect();
    for (finding, (written, words, rule)) in found.iter().zip(EXPECTED) {
        let there: String = lines[finding.line - 1].chars().skip(finding.column - 1).collect();
        assert!(there.starts_with(written), "{} is said of `{there}`, not of `{written}`", finding.message);
        assert!(finding.message.starts_with(words), "{} instead of {words}", finding.message);
        assert!(rule.is_empty() || refused.render(false).contains(&format!("({rule})")), "{rule}");
    }
    assert_eq!(found.len(), EXPECTED.len(), "{}", refused.render(false));
}

#[test]
fn in_actions_the_same_mistakes_are_refused_when_the_call_is_made() {
    let log = crate::lab::run_text(
        "name: late\nduration: 1h\nactions:\n\
         \x20 - {at: 1m, call: 'cloudwatch:PutMetricAlarm', with: {AlarmName: long, Namespace: Test, MetricName: m, \
         Statistic: Average, Period: 300, EvaluationPeriods: 289, Threshold: 5, ComparisonOperator: GreaterThanThreshold}}\n\
         \x20 - {at: 2m, call: 'application-autoscaling:PutScalingPolicy', with: {PolicyName: p, ResourceId: service/default/web, \
         PolicyType: StepScaling, StepScalingPolicyConfiguration: {AdjustmentType: ChangeInCapacity, StepAdjustments: [\
         {MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 1}, \
         {MetricIntervalLowerBound: 15, ScalingAdjustment: 2}]}}}\n\
         \x20 - {at: 3m, call: 'application-autoscaling:PutScalingPolicy', with: {PolicyName: p, ResourceId: service/default/web, \
         PolicyType: StepScaling, StepScalingPolicyConfiguration: {AdjustmentType: ChangeInCapacity, StepAdjustments: [\
         {MetricIntervalLowerBound: 0, ScalingAdjustment: 1}]}}}\n",
    );
    assert_eq!(log.refused(), [(60.0, "ALM-6"), (120.0, "STEP-4"), (180.0, "AAS-1")]);
}
