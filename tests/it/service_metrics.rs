//! What is published of a service: every minute or every 20 s, by ECS and by Container Insights (ECSM-*, CIM-*, TT-4).

use ecsim::control_plane::{RunOptions, run};
use ecsim::report::recorder::Recorder;
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
    let used =
        reason(&log, "CpuUtilized").split_once('[').and_then(|(_, values)| values.split(' ').next()?.parse().ok());
    assert!(used.is_some_and(|used: f64| used > 1.0 && used <= 1.9 * 1024.0 + 1e-6), "{used:?}");
}

/// The same service with two tasks and without its workload: each task uses what it has drawn, of CPU between a fifth and
/// three fifths, of memory between 100 and 300 MiB.
fn unequal(more: &str) -> Log {
    unequal_with("{uniform: {min: 0.2, max: 0.6}}", more)
}

fn unequal_with(cpu: &str, more: &str) -> Log {
    let behaviour =
        format!("cpu: '1024', behaviour: {{cpu: {cpu}, memory: {{uniform: {{min: 100MiB, max: 300MiB}}}}}}, ");
    let text = scenario("", more).replace("desiredCount: 4", "desiredCount: 2").replace("cpu: '1024', ", &behaviour);
    let (before, after) = text.split_once("workloads:\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    run_text(&format!("{before}{after}"))
}

#[test]
fn ex_cw_3() {
    let alarms: String =
        [("Average", "a"), ("Sum", "s"), ("SampleCount", "n"), ("Minimum", "low"), ("Maximum", "high")]
            .iter()
            .map(|(statistic, name)| alarm(name, "AWS/ECS", "CPUUtilization", statistic, ABOVE_NOTHING))
            .collect();
    // Two equal tasks, of which one uses a fifth and the other three fifths of its size: half of all seeds draw it so.
    let values = (1..32).find_map(|seed| {
        let log = unequal_with(
            "{mixture: {probability: 0.5, usual: 0.2, rare: 0.6}}",
            &format!("seed: {seed}\nalarms:\n{alarms}"),
        );
        let value = |name: &str| {
            let (_, values) = reason(&log, name).split_once('[').unwrap();
            (values.split(' ').next().unwrap().parse::<f64>().unwrap() * 1e6).round() / 1e6
        };
        let values = ["low", "high", "a", "s", "n"].map(value);
        (values[0] < values[1]).then_some(values)
    });
    assert_eq!(values, Some([20.0, 60.0, 40.0, 80.0, 2.0]));
}

#[test]
fn ecsm_4_memory_is_told_in_whole_mebibytes_of_the_task_size() {
    let log = unequal("");
    let points = log.metric("service/c/web", "MemoryUtilization");
    let value = points.last().unwrap().1;
    // Two tasks of 2048 MiB: the mean of two whole numbers, over 20.48.
    let mebibytes = value * 20.48 * 2.0;
    assert!((mebibytes - mebibytes.round()).abs() < 1e-9 && mebibytes > 200.0, "{value}");
    let one = scenario("", "")
        .replace("cpu: {steps: [[0s, 1.9], [10m, 3]]}", "memory: 428.9")
        .replace("memory: '2048'", "memory: '512'")
        .replace("cpu: '1024'", "cpu: '256'");
    let log = run_text(&one);
    // 107.225 MiB each of 512, whatever the soft limits of containers are.
    assert_eq!(log.metric("service/c/web", "MemoryUtilization").last().unwrap().1, 20.898_437_5);
}

#[test]
fn ecsm_11_gpus_count_once_their_tasks_run() {
    let log = run_text(
        "name: lab\nduration: 30m\n\
         autoScalingGroups:\n  - {AutoScalingGroupName: g, InstanceType: g4dn.12xlarge, MinSize: 1, MaxSize: 1, AvailabilityZones: [us-east-1a]}\n\
         taskDefinitions:\n  - {family: t, networkMode: bridge, behaviour: {image: {sizeMiB: 6000}}, containerDefinitions: [{name: app, image: app, cpu: 1024, \
         memory: 1024, resourceRequirements: [{type: GPU, value: '3'}]}]}\n\
         services:\n  - {serviceName: web, taskDefinition: t, desiredCount: 1, launchType: EC2}\n\
         delays: {preset: constant, imagePull: 5m}\n",
    );
    let points = log.metric("cluster/default", "GPUReservation");
    let running = log.times("service:web", "RUNNING")[0];
    for (start, value) in &points {
        let expected = if *start + 60.0 >= running { 75.0 } else { 0.0 };
        assert_eq!(*value, expected, "at {start}, RUNNING from {running}");
    }
    assert!(points.iter().any(|(_, value)| *value == 0.0) && points.iter().any(|(_, value)| *value == 75.0));
}

#[test]
fn cim_1_tasks_of_the_cluster_and_bytes_are_counted_too() {
    let cluster = "  - {AlarmName: tasks, Namespace: ECS/ContainerInsights, MetricName: TaskCount, Statistic: Average, Dimensions: \
                   [{Name: ClusterName, Value: c}], Period: 60, EvaluationPeriods: 1, Threshold: 3, ComparisonOperator: GreaterThanThreshold}\n";
    let above = "Threshold: 0, ComparisonOperator: GreaterThanThreshold";
    let bytes: String = ["NetworkRxBytes", "NetworkTxBytes", "StorageReadBytes", "StorageWriteBytes"]
        .iter()
        .map(|metric| alarm(metric, "ECS/ContainerInsights", metric, "Maximum", above))
        .collect();
    let sets = alarm("TaskSetCount", "ECS/ContainerInsights", "TaskSetCount", "Average", ABOVE_NOTHING);
    let text = scenario("", &format!("alarms:\n{cluster}{bytes}{sets}"));
    let moving = "cpu: '1024', behaviour: {networkRx: 1KiB, networkTx: 2KiB, storageRead: 3KiB, storageWrite: 4KiB}, ";
    let log = run_text(&text.replace("cpu: '1024', ", moving));
    assert!(reason(&log, "tasks").contains("[4.0 "), "{}", reason(&log, "tasks"));
    assert!(reason(&log, "NetworkRxBytes").contains("[4096.0 "), "by the second: {}", reason(&log, "NetworkRxBytes"));
    assert!(reason(&log, "NetworkTxBytes").contains("[8192.0 "));
    assert!(
        reason(&log, "StorageReadBytes").contains("[737280.0 "),
        "by the minute: {}",
        reason(&log, "StorageReadBytes")
    );
    assert!(reason(&log, "StorageWriteBytes").contains("[983040.0 "));
    assert!(reason(&log, "TaskSetCount").contains("[0.0 "), "ECS's own deployments have no task sets");
    let off =
        text.replace("clusterName: c}", "clusterName: c, settings: [{name: containerInsights, value: disabled}]}");
    assert!(
        run_text(&off).alarms.iter().all(|(_, _, state, _)| state != "ALARM"),
        "none of it without Container Insights"
    );
}

#[test]
fn cost_2_metrics_are_on_the_bill_by_the_hour() {
    // In an hour: thirteen metrics of the service and three of the cluster, the custom one, and the CPU at 20 s.
    let bill = |settings: &str, service: &str, more: &str| -> f64 {
        let text = scenario(service, more).replace("clusterName: c}", &format!("clusterName: c{settings}}}"));
        let estate = load_str("lab.yaml", &text, &LoadOptions::default()).expect("it is valid").estate;
        let mut recorder = Recorder::new(&estate);
        run(&estate, RunOptions { replication: 0, paranoid: false }, &mut recorder, |_| {});
        recorder.into_summary(None).unwrap().get("cost_cloudwatch_metric_usd").unwrap_or(0.0)
    };
    let hour = 0.3 / 730.0;
    let check =
        |seen: f64, metrics: f64| assert!((seen - metrics * hour).abs() < 1e-8, "{seen} is not {metrics} metric-hours");
    let orders = "metrics:\n  - {Namespace: Shop, MetricName: Orders, Period: 60, values: [1, 2, 3]}\n";
    let enabled = ", settings: [{name: containerInsights, value: enabled}]";
    check(bill("", "", ""), 0.0);
    check(bill("", "", orders), 1.0);
    check(bill(enabled, "", ""), 16.0);
    check(bill(enabled, EVERY_20_S, orders), 18.0);
    let watched =
        format!("alarms:\n{}", alarm("n", "ECS/ContainerInsights", "RunningTaskCount", "Average", ABOVE_NOTHING));
    check(bill("", "", &watched), 16.0);
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
    let expect =
        "nothing publishes the metric ECS/ContainerInsights EphemeralStorageUtilized (ClusterName=c, ServiceName=web)";
    assert!(warnings.contains(expect), "{warnings}");
    assert!(!warnings.contains("alarm `cpu`"), "{warnings}");
}
