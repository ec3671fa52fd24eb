//! Predictive scaling, on the whole control plane (PRED-*).

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// Three days of a service that wants 8 vCPUs from 8 to 20 o'clock and 2 at night; sixteen tasks on the first day, and
/// only four from the second midnight on.
fn scenario(settings: &str, more: &str) -> String {
    let steps: String =
        (0..3).map(|day| format!("[{}h, 2], [{}h, 8], [{}h, 2], ", day * 24, day * 24 + 8, day * 24 + 20)).collect();
    format!(
        "name: lab\nduration: 3d\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', \
         memory: '2048', containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: 16, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 20}}\n\
         scalingPolicies:\n  - {{PolicyName: ahead, PolicyType: PredictiveScaling, ResourceId: service/c/web, \
         PredictiveScalingPolicyConfiguration: {{MetricSpecifications: [{{TargetValue: 50, \
         PredefinedMetricPairSpecification: {{PredefinedMetricType: ECSServiceCPUUtilization}}}}]{settings}}}}}\n{more}\
         workloads:\n  - {{name: work, utilization: {{service: c/web, cpu: {{steps: [{}]}}}}}}\n",
        steps.trim_end_matches(", ")
    )
}

const DOWN_TO_FOUR: &str =
    "actions:\n  - {at: 24h, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 4}}\n";

fn desired(log: &Log) -> Vec<(f64, f64)> {
    let in_hours = |(time, value): (f64, f64)| ((time / 36.0).round() / 100.0, value);
    log.level("service/c/web", "DesiredCount").into_iter().map(in_hours).collect()
}

#[test]
fn ex_pred_2_capacity_is_there_before_its_hour() {
    let log = run_text(&scenario(", Mode: ForecastAndScale", DOWN_TO_FOUR));
    // 8 vCPUs are 800 % of a task, of which each is to carry 50: sixteen, five minutes before 8 o'clock; and they stay.
    assert_eq!(desired(&log), [(0.0, 16.0), (24.0, 4.0), (31.92, 16.0)]);
    assert_eq!(
        log.decided("predictive-scaling").iter().find(|(_, action, _)| *action == "scale-out"),
        Some(&(31.0 * 3600.0 + 3300.0, "scale-out", "PRED-3"))
    );
}

#[test]
fn pred_4_customized_metrics_of_two_kinds_give_the_same_capacity() {
    // Orders as load, of which a vCPU serves 100 an hour; CPU as scaling metric, of one's own too.
    let values: Vec<String> =
        (0..3 * 24).map(|hour| if (8..20).contains(&(hour % 24)) { "800" } else { "200" }.into()).collect();
    let stat = |id: &str, namespace: &str, name: &str, dimensions: &str, statistic: &str| {
        format!(
            "{{Id: {id}, ReturnData: false, MetricStat: {{Metric: {{Namespace: {namespace}, MetricName: {name}, Dimensions: \
             [{dimensions}]}}, Stat: {statistic}}}}}"
        )
    };
    let of_service = "{Name: ClusterName, Value: c}, {Name: ServiceName, Value: web}";
    let metrics = format!(
        "CustomizedLoadMetricSpecification: {{MetricDataQueries: [{}, {{Id: load, Expression: orders * 2}}]}}, \
         CustomizedScalingMetricSpecification: {{MetricDataQueries: [{}, {{Id: cpu, Expression: raw + 0}}]}}",
        stat("orders", "Shop", "Orders", "", "Sum"),
        stat("raw", "AWS/ECS", "CPUUtilization", of_service, "Average"),
    );
    let pair = "PredefinedMetricPairSpecification: {PredefinedMetricType: ECSServiceCPUUtilization}";
    let orders = format!(
        "{DOWN_TO_FOUR}metrics:\n  - {{Namespace: Shop, MetricName: Orders, Period: 3600, values: [{}]}}\n",
        values.join(", ")
    );
    let text = scenario(", Mode: ForecastAndScale", &orders);
    let own = text.replace(pair, &metrics);
    assert_ne!(own, text);
    assert_eq!(desired(&run_text(&own))[..3], [(0.0, 16.0), (24.0, 4.0), (31.92, 16.0)]);
    let median = load_str("lab.yaml", &own.replace("Stat: Sum", "Stat: p50"), &LoadOptions::default());
    assert!(median.unwrap_err().to_string().contains("cannot learn from p50"));
    let mixed = metrics.replace("CustomizedScalingMetricSpecification: {MetricDataQueries:", "PredefinedScalingMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}, CustomizedCapacityMetricSpecification: {MetricDataQueries:");
    let mixed = text.replace(
        pair,
        &mixed
            .replace("raw", "tasks")
            .replace("CPUUtilization, Dim", "LiveTaskCount, Dim")
            .replace("Id: cpu", "Id: capacity"),
    );
    let own_capacity = desired(&run_text(&mixed));
    assert_eq!(own_capacity[..3], [(0.0, 16.0), (24.0, 4.0), (31.92, 16.0)], "and its own capacity metric");
}

#[test]
fn ex_pred_4_a_day_of_history_comes_first() {
    let log = run_text(&scenario("", DOWN_TO_FOUR));
    let forecast = log.metric("service/c/web", "CapacityForecast");
    // The hour that ends at midnight is known two minutes later, so the forecast of 23:55 has 23 hours only.
    assert_eq!(forecast.first().map(|(start, _)| start / 3600.0), Some(25.0));
}

#[test]
fn ex_pred_5_a_forecast_alone_changes_nothing() {
    let log = run_text(&scenario(", Mode: ForecastOnly", DOWN_TO_FOUR));
    assert_eq!(desired(&log), [(0.0, 16.0), (24.0, 4.0)]);
    let at = |hour: f64, metric: &str| {
        log.metric("service/c/web", metric)
            .into_iter()
            .find(|(start, _)| *start == hour * 3600.0)
            .map(|(_, value)| value)
    };
    assert_eq!((at(32.0, "CapacityForecast"), at(44.0, "CapacityForecast")), (Some(16.0), Some(4.0)));
    assert!(at(32.0, "LoadForecast").is_some_and(|load| (load - 800.0).abs() < 5.0), "{:?}", at(32.0, "LoadForecast"));
    assert!(log.decided("predictive-scaling").is_empty());
}

#[test]
fn pred_6_the_maximum_rises_for_good() {
    let lower = "  - {at: 25h, call: 'application-autoscaling:RegisterScalableTarget', with: {ResourceId: service/c/web, \
                 MaxCapacity: 10}}\n";
    let timeline = format!("{DOWN_TO_FOUR}{lower}");
    let honoured = run_text(&scenario(", Mode: ForecastAndScale", &timeline));
    assert_eq!(desired(&honoured)[2], (31.92, 10.0));
    let raise = ", Mode: ForecastAndScale, MaxCapacityBreachBehavior: IncreaseMaxCapacity, MaxCapacityBuffer: 10";
    let later = "  - {at: 50h, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 30}}\n\
                 \x20 - {at: 51h, call: 'application-autoscaling:RegisterScalableTarget', with: {ResourceId: service/c/web}}\n";
    let raised = run_text(&scenario(raise, &format!("{timeline}{later}")));
    // ceil(16 x 1.1) = 18 is the maximum from then on.
    assert_eq!(desired(&raised)[2..], [(31.92, 16.0), (50.0, 30.0), (51.0, 18.0)]);
}

#[test]
fn pred_8_a_forecast_is_a_floor_for_scale_in() {
    let quiet: Vec<&str> = std::iter::repeat_n("null", 36 * 60).chain(std::iter::repeat_n("1", 36 * 60)).collect();
    let step = format!(
        "  - {{PolicyName: less, ResourceId: service/c/web, StepScalingPolicyConfiguration: {{AdjustmentType: \
         ExactCapacity, Cooldown: 0, StepAdjustments: [{{MetricIntervalUpperBound: 0, ScalingAdjustment: 6}}]}}}}\n\
         alarms:\n  - {{AlarmName: quiet, Namespace: Test, MetricName: m, Statistic: Average, Period: 60, EvaluationPeriods: 1, \
         Threshold: 5, ComparisonOperator: LessThanThreshold, AlarmActions: [less]}}\n\
         metrics:\n  - {{Namespace: Test, MetricName: m, values: [{}]}}\n{DOWN_TO_FOUR}",
        quiet.join(", ")
    );
    let log = run_text(&scenario(", Mode: ForecastAndScale", &step));
    // From 36 h on the step policy wants six, and gets them once the forecasts of 8 to 20 o'clock are over.
    let changes = desired(&log);
    assert_eq!(changes[2], (31.92, 16.0));
    assert_eq!((changes[3].0, changes[3].1), (44.0, 6.0), "{changes:?}");
    let free = step.clone() + "behaviour: {alarm_eval_phase: aligned, predicted_capacity_is_floor: false}\n";
    let log = run_text(&scenario(", Mode: ForecastAndScale", &free));
    assert_eq!(desired(&log)[3], (36.02, 6.0), "without the floor");
}

#[test]
fn what_aws_refuses_of_a_predictive_policy_is_refused_with_its_place() {
    let refusal = |text: &str| load_str("lab.yaml", text, &LoadOptions::default()).unwrap_err().to_string();
    let increase = ", MaxCapacityBreachBehavior: IncreaseMaxCapacity";
    for (text, expect) in [
        (scenario(increase, ""), "MaxCapacityBuffer is required"),
        (scenario(", MaxCapacityBuffer: 10", ""), "only for IncreaseMaxCapacity"),
        (scenario(&format!("{increase}, MaxCapacityBuffer: 101"), ""), "between 0 and 100"),
        (scenario(", SchedulingBufferTime: 3601", ""), "at most 3600 seconds"),
        (scenario("", "").replace("ECSServiceCPUUtilization", "ALBRequestCount"), "needs a ResourceLabel"),
        (
            scenario("", "").replace("ECSServiceCPUUtilization", "ECSServiceCpu"),
            "did you mean `ECSServiceCPUUtilization`",
        ),
    ] {
        let message = refusal(&text);
        assert!(message.contains(expect) && message.starts_with("lab.yaml:"), "{message}");
    }
    let second = "  - {PolicyName: too, PolicyType: PredictiveScaling, ResourceId: service/c/web, \
         PredictiveScalingPolicyConfiguration: {Mode: ForecastAndScale, MetricSpecifications: [{TargetValue: 50, \
         PredefinedMetricPairSpecification: {PredefinedMetricType: ECSServiceMemoryUtilization}}]}}\n";
    let log = run_text(&scenario(", Mode: ForecastAndScale", second).replace("duration: 3d", "duration: 1h"));
    assert_eq!(log.refused(), [(0.0, "PRED-7")]);
}
