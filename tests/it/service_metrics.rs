//! What is published of a service: every minute or every 20 s, by ECS and by Container Insights (ECSM-*, CIM-*, TT-4).

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

const EVERY_20_S: &str =
    ", monitoring: {metricConfigurations: [{metricNames: [CPUUtilization], resolutionSeconds: 20}]}";

/// A service `web` of four tasks of one vCPU, which together want 1.9 vCPUs, and 3 after ten minutes.
fn scenario(service: &str, more: &str) -> String {
    format!(
        "name: lab\nduration: 1h\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', \
         memory: '2048', containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: 4, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}{service}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: 0, MaxCapacity: 20}}\n\
         workloads:\n  - {{name: work, utilization: {{service: c/web, cpu: {{steps: [[0s, 1.9], [10m, 3]]}}}}}}\n{more}"
    )
}

fn tracking(kind: &str) -> String {
    format!(
        "scalingPolicies:\n  - {{PolicyName: cpu, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
         TargetTrackingScalingPolicyConfiguration: {{TargetValue: 50, PredefinedMetricSpecification: \
         {{PredefinedMetricType: {kind}}}}}}}\n"
    )
}

fn alarm(name: &str, namespace: &str, metric: &str, statistic: &str, condition: &str) -> String {
    format!(
        "  - {{AlarmName: {name}, Namespace: {namespace}, MetricName: {metric}, Statistic: {statistic}, Dimensions: \
         [{{Name: ClusterName, Value: c}}, {{Name: ServiceName, Value: web}}], Period: 60, EvaluationPeriods: 1, {condition}}}\n"
    )
}

const ABOVE_NOTHING: &str = "Threshold: -1, ComparisonOperator: GreaterThanThreshold";

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("service/c/web", "DesiredCount")
}

/// The reason an alarm gave when it went off.
fn reason<'a>(log: &'a Log, alarm: &str) -> &'a str {
    let found = log.alarms.iter().find(|(_, name, state, _)| name == alarm && state == "ALARM");
    found.map_or_else(|| panic!("{alarm} never went off"), |(.., reason)| reason.as_str())
}

#[test]
fn ecsm_8_a_service_may_publish_every_20_seconds() {
    let log = run_text(&scenario(EVERY_20_S, ""));
    let starts = |metric: &str| -> Vec<f64> {
        let points = log.metric("service/c/web", metric);
        points.iter().map(|(start, _)| *start).filter(|start| (600.0..720.0).contains(start)).collect()
    };
    assert_eq!(starts("CPUUtilization"), [600.0, 620.0, 640.0, 660.0, 680.0, 700.0]);
    assert_eq!(starts("MemoryUtilization"), [600.0, 660.0], "each metric has a resolution of its own");
}

#[test]
fn ecsm_9_a_minute_of_20_second_buckets_has_three_samples_a_task() {
    let alarms = |above: u32| {
        let condition = format!("Threshold: {above}, ComparisonOperator: GreaterThanThreshold");
        format!("alarms:\n{}", alarm("count", "AWS/ECS", "CPUUtilization", "SampleCount", &condition))
    };
    let every_20s = run_text(&scenario(EVERY_20_S, &alarms(11)));
    assert!(reason(&every_20s, "count").contains("[12.0 "), "{}", reason(&every_20s, "count"));
    let every_minute = run_text(&scenario("", &alarms(3)));
    assert!(reason(&every_minute, "count").contains("[4.0 "), "{}", reason(&every_minute, "count"));
}

#[test]
fn tt_4_high_resolution_reacts_within_a_minute_and_a_half() {
    let kind = "ECSServiceAverageCPUUtilizationHighResolution";
    let fast = run_text(&scenario(EVERY_20_S, &tracking(kind)));
    // Buckets from 600, 620 and 640 s are above; the last shows at 672 s and is evaluated at 680 s.
    assert_eq!(desired(&fast), [(0.0, 4.0), (680.2, 6.0)]);
    let standard = run_text(&scenario(EVERY_20_S, &tracking("ECSServiceAverageCPUUtilization")));
    // One-minute alarms over the same data: those of 600, 660 and 720 s, of which the last shows at 792 s.
    assert_eq!(desired(&standard), [(0.0, 4.0), (840.2, 6.0)]);
    let coarse = scenario("", &tracking(kind));
    // Of five periods only the minutes of 600 and 660 s have a point. Both breach, and the older is old enough (ALM-9).
    assert_eq!(desired(&run_text(&coarse)), [(0.0, 4.0), (780.2, 6.0)]);
    let warnings = load_str("lab.yaml", &coarse, &LoadOptions::default()).expect("it is valid").warnings;
    assert!(warnings.to_string().contains("publishes every minute (TT-4)"), "{warnings}");
}

#[test]
fn ecsm_8_another_resolution_is_another_deployment() {
    let update = "actions:\n  - {at: 20m, call: 'ecs:UpdateService', with: {cluster: c, service: web, monitoring: \
                  {metricConfigurations: [{metricNames: [CPUUtilization, MemoryUtilization], resolutionSeconds: 20}]}}}\n";
    let log = run_text(&scenario("", update));
    let begun: Vec<f64> = log.events("SERVICE_DEPLOYMENT_IN_PROGRESS");
    assert!(begun.contains(&1200.0), "{begun:?}");
    let widths: Vec<f64> = log.metric("service/c/web", "CPUUtilization").windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert_eq!((widths[1], widths[widths.len() - 1]), (60.0, 20.0));
}

#[test]
fn ecsm_8_other_resolutions_are_refused() {
    let refusal = |monitoring: &str| {
        let text = scenario(&format!(", monitoring: {{metricConfigurations: [{monitoring}]}}"), "");
        load_str("lab.yaml", &text, &LoadOptions::default()).unwrap_err().to_string()
    };
    let message = refusal("{metricNames: [CPUUtilization], resolutionSeconds: 30}");
    assert!(message.contains("must be 20 or 60, not 30"), "{message}");
    let message = refusal("{metricNames: [LiveTaskCount], resolutionSeconds: 20}");
    assert!(message.contains("LiveTaskCount cannot be configured"), "{message}");
}

#[test]
fn cim_1_container_insights_publishes_amounts_and_counts() {
    let insights = |(metric, above): &(&str, i32)| {
        let condition = format!("Threshold: {above}, ComparisonOperator: GreaterThanThreshold");
        alarm(metric, "ECS/ContainerInsights", metric, "Average", &condition)
    };
    let alarms: String = [
        ("CpuUtilized", 0),
        ("CpuReserved", 4000),
        ("MemoryReserved", 8000),
        ("RunningTaskCount", 3),
        ("DesiredTaskCount", -1),
        ("DeploymentCount", -1),
    ]
    .iter()
    .map(insights)
    .collect();
    let live =
        alarm("live", "AWS/ECS", "LiveTaskCount", "Average", "Threshold: 3, ComparisonOperator: GreaterThanThreshold");
    let log = run_text(&scenario("", &format!("alarms:\n{alarms}{live}")));
    assert!(reason(&log, "CpuReserved").contains("[4096.0 "), "{}", reason(&log, "CpuReserved"));
    assert!(reason(&log, "MemoryReserved").contains("[8192.0 "));
    assert!(reason(&log, "RunningTaskCount").contains("[4.0 "));
    assert!(reason(&log, "DesiredTaskCount").contains("[4.0 "));
    assert!(reason(&log, "DeploymentCount").contains("[1.0 "));
    assert!(reason(&log, "live").contains("[4.0 "), "ECSM-7");
    let used = reason(&log, "CpuUtilized").split(['[', ' ']).find_map(|word| word.parse::<f64>().ok());
    assert!(used.is_some_and(|used| used > 0.0 && used <= 1.9 * 1024.0 + 1e-6), "{used:?}");
}

#[test]
fn cim_2_running_tasks_are_counted_to_zero() {
    let condition = "Threshold: 1, ComparisonOperator: LessThanThreshold";
    let counts = alarm("count", "ECS/ContainerInsights", "RunningTaskCount", "Average", condition)
        + &alarm("live", "AWS/ECS", "LiveTaskCount", "Average", condition);
    let stop =
        "actions:\n  - {at: 20m, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 0}}\n";
    let log = run_text(&scenario("", &format!("alarms:\n{counts}{stop}")));
    assert!(reason(&log, "count").contains("[0.0 "));
    assert!(!log.alarms.iter().any(|(_, name, state, _)| name == "live" && state == "ALARM"), "a gap, not 0 (ECSM-6)");
}

#[test]
fn sqs_5_backlog_by_the_count_of_container_insights() {
    let dimensions = "[{Name: ClusterName, Value: c}, {Name: ServiceName, Value: web}]";
    let policy = format!(
        "scalingPolicies:\n  - {{PolicyName: backlog, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
         TargetTrackingScalingPolicyConfiguration: {{TargetValue: 100, CustomizedMetricSpecification: {{Metrics: [\
         {{Id: m1, MetricStat: {{Metric: {{Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, Dimensions: \
         [{{Name: QueueName, Value: jobs}}]}}, Stat: Sum}}, ReturnData: false}}, \
         {{Id: m2, MetricStat: {{Metric: {{Namespace: ECS/ContainerInsights, MetricName: RunningTaskCount, Dimensions: \
         {dimensions}}}, Stat: Average}}, ReturnData: false}}, {{Id: e1, Expression: m1 / m2}}]}}}}}}\n\
         metrics:\n  - {{Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, Dimensions: \
         [{{Name: QueueName, Value: jobs}}], values: [{}]}}\n",
        std::iter::repeat_n("380", 10).chain(std::iter::repeat_n("900", 50)).collect::<Vec<_>>().join(", ")
    );
    let log = run_text(&scenario("", &policy));
    // 225 messages a task from 600 s on. The count of tasks shows a minute late, and the queue waits for it.
    assert_eq!(desired(&log)[..2], [(0.0, 4.0), (840.2, 9.0)]);
}

#[test]
fn a_metric_that_nobody_publishes_is_named() {
    let alarms = format!(
        "alarms:\n{}{}",
        alarm("network", "ECS/ContainerInsights", "EphemeralStorageUtilized", "Average", ABOVE_NOTHING),
        alarm("cpu", "AWS/ECS", "CPUUtilization", "Average", ABOVE_NOTHING)
    );
    let loaded = load_str("lab.yaml", &scenario("", &alarms), &LoadOptions::default()).expect("it is valid");
    let warnings = loaded.warnings.to_string();
    let expect = "nothing publishes the metric ECS/ContainerInsights EphemeralStorageUtilized (ClusterName=c, ServiceName=web)";
    assert!(warnings.contains(expect), "{warnings}");
    assert!(!warnings.contains("alarm `cpu`"), "{warnings}");
}
