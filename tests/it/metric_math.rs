//! Metric math in alarms and target tracking policies, on the whole control plane (MATH-*, SQS-4, SQS-5, TT-28).

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

const SOURCES: &str = "{Id: m1, MetricStat: {Metric: {Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, \
     Dimensions: [{Name: QueueName, Value: jobs}]}, Stat: Sum}, ReturnData: false}, \
     {Id: m2, MetricStat: {Metric: {Namespace: Test, MetricName: Tasks}, Stat: Average}, ReturnData: false}";

/// A service `web` with a target tracking policy of these queries and a target of 100.
fn scenario(queries: &str, more: &str) -> String {
    format!(
        "name: lab\nduration: 1h\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', \
         memory: '2048', containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: 2, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 20}}\n\
         scalingPolicies:\n  - {{PolicyName: backlog, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
         TargetTrackingScalingPolicyConfiguration: {{TargetValue: 100, CustomizedMetricSpecification: \
         {{Metrics: [{queries}]}}}}}}\n{more}"
    )
}

/// A queue of so many messages for so many minutes, span after span, served by two tasks.
fn queue(spans: &[(usize, u32)]) -> String {
    let values: Vec<u32> = spans.iter().flat_map(|(minutes, value)| std::iter::repeat_n(*value, *minutes)).collect();
    format!(
        "metrics:\n  - {{Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, \
         Dimensions: [{{Name: QueueName, Value: jobs}}], values: {values:?}}}\n\
         \x20 - {{Namespace: Test, MetricName: Tasks, values: {:?}}}\n",
        vec![2; values.len()]
    )
}

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("service/c/web", "DesiredCount")
}

#[test]
fn sqs_4_a_service_follows_its_backlog_per_task() {
    let queries = format!("{SOURCES}, {{Id: e1, Expression: m1 / m2}}");
    let log = run_text(&scenario(&queries, &queue(&[(7, 190), (3, 700), (50, 190)])));
    // 350 messages a task, of which a task may have 100: ceil(2 x 350 / 100) = 7.
    assert_eq!(desired(&log), [(0.0, 2.0), (600.2, 7.0)]);
    assert_eq!(log.decided("target-tracking")[0], (600.2, "scale-out", "TT-10"));
    assert!(log.decisions.iter().any(|(.., reason, _)| reason == "ceil(2 x 350.00 / 100) = 7"), "{:?}", log.decisions);
}

#[test]
fn math_5_an_alarm_watches_an_expression() {
    let queries = format!("{SOURCES}, {{Id: e1, Expression: m1 / m2}}");
    let alarm = format!(
        "alarms:\n  - {{AlarmName: deep, Metrics: [{SOURCES}, {{Id: e1, Expression: 'IF(m2 > 0, m1 / m2, m1)'}}], \
         EvaluationPeriods: 2, Threshold: 300, ComparisonOperator: GreaterThanOrEqualToThreshold, \
         AlarmActions: ['arn:aws:sns:us-east-1:123456789012:pager']}}\n"
    );
    let log = run_text(&scenario(&queries, &(queue(&[(7, 190), (3, 600), (50, 190)]) + &alarm)));
    let states: Vec<(f64, &str)> = log
        .alarms
        .iter()
        .filter(|(_, name, ..)| name == "deep")
        .map(|(time, _, state, _)| (*time, state.as_str()))
        .collect();
    assert_eq!(states, [(0.0, "INSUFFICIENT_DATA"), (60.0, "OK"), (540.0, "ALARM"), (660.0, "OK")]);
    assert_eq!(log.notifications.len(), 1);
}

#[test]
fn tt_28_a_refused_update_leaves_policy_and_alarms_untouched() {
    let queries = format!("{SOURCES}, {{Id: e1, Expression: m1 / m2}}");
    let update = format!(
        "actions:\n  - {{at: 2m, call: 'application-autoscaling:PutScalingPolicy', with: {{PolicyName: backlog, \
         PolicyType: TargetTrackingScaling, ResourceId: service/c/web, TargetTrackingScalingPolicyConfiguration: \
         {{TargetValue: 10, CustomizedMetricSpecification: {{Metrics: [{SOURCES}]}}}}}}}}\n"
    );
    let log = run_text(&scenario(&queries, &(queue(&[(7, 190), (3, 700), (50, 190)]) + &update)));
    assert_eq!(log.refused(), [(120.0, "TT-28")]);
    assert_eq!(desired(&log), [(0.0, 2.0), (600.2, 7.0)], "by the old target");
    let mut names: Vec<&str> = log.alarms.iter().map(|(_, name, ..)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_metric_math_cannot_do_is_refused_with_its_place() {
    let cases = [
        ("{Id: e1, Expression: m1 / m9}", "Error in expression 'e1': there is no query `m9`"),
        ("{Id: e1, Expression: e2}, {Id: e2, Expression: e1, ReturnData: false}", "refers to itself"),
        ("{Id: e1, Expression: m1}, {Id: e2, Expression: m2}", "should return data; 2 do"),
        ("{Id: e1, Expression: AVG(m1)}", "does not give a single time series"),
        ("{Id: e1, Expression: 'SEARCH(m1)'}", "SEARCH is not modelled"),
        ("{Id: e1}", "exactly one of MetricStat and Expression"),
    ];
    for (expression, expect) in cases {
        let text = scenario(&format!("{SOURCES}, {expression}"), "");
        let message = load_str("lab.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
        assert!(message.contains(expect) && message.starts_with("lab.yaml:"), "{expression}: {message}");
    }
    let both = "alarms:\n  - {AlarmName: a, Namespace: Test, Metrics: [{Id: m1, MetricStat: {Metric: {Namespace: Test, \
                MetricName: Tasks}, Stat: Sum}}], EvaluationPeriods: 1, Threshold: 1, \
                ComparisonOperator: GreaterThanThreshold}\n";
    let message = load_str("lab.yaml", both, &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("cannot be used together with"), "{message}");
    let missing = "alarms:\n  - {AlarmName: a, Period: 60, Statistic: Sum, EvaluationPeriods: 1, Threshold: 1, \
                   ComparisonOperator: GreaterThanThreshold}\n";
    let message = load_str("lab.yaml", missing, &LoadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("an alarm needs `MetricName`"), "{message}");
}

#[test]
fn tt_1_a_list_of_queries_has_a_limit() {
    let sum = format!("m1{}", " + m1".repeat(11_000));
    let queries = format!("{SOURCES}, {{Id: e1, Expression: '{sum}'}}");
    let refused = load_str("lab.yaml", &scenario(&queries, ""), &LoadOptions::default()).expect_err("55 KB and more");
    let message = &refused.findings()[0].message;
    assert!(
        message.starts_with("The metric math payload has 55") && message.ends_with("at most 51200 are allowed."),
        "{message}"
    );
}
