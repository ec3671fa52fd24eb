//! Capacity providers that come to a cluster, leave it, or are deleted: CP-11, CP-12, CP-15, and what AWS refuses of
//! strategies.

use ecsim::scenario::{LoadOptions, load_str};
use rstest::rstest;

use crate::lab::{Log, run_text};

/// A cluster with two providers on groups of their own, and a service that uses the cluster's default strategy.
fn run(actions: &str) -> Log {
    run_text(&format!(
        "name: associations
duration: 2h
clusters:
  - {{clusterName: c, capacityProviders: [a, b, FARGATE], defaultCapacityProviderStrategy: [{{capacityProvider: a, weight: 1}}]}}
autoScalingGroups:
  - {{AutoScalingGroupName: ga, InstanceType: m5.large, MinSize: 0, MaxSize: 9}}
  - {{AutoScalingGroupName: gb, InstanceType: m5.large, MinSize: 0, MaxSize: 9}}
capacityProviders:
  - {{name: a, autoScalingGroupProvider: {{autoScalingGroupArn: ga, managedScaling: {{status: ENABLED}}}}}}
  - {{name: b, autoScalingGroupProvider: {{autoScalingGroupArn: gb, managedScaling: {{status: ENABLED}}}}}}
taskDefinitions:
  - {{family: web, containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 256}}]}}
services:
  - {{serviceName: web, cluster: c, taskDefinition: web, desiredCount: 2}}
actions:
{actions}"
    ))
}

fn put(at: &str, providers: &str, strategy: &str) -> String {
    format!(
        "  - {{at: {at}, call: 'ecs:PutClusterCapacityProviders', with: {{cluster: c, capacityProviders: [{providers}], \
         defaultCapacityProviderStrategy: [{strategy}]}}}}\n"
    )
}

fn delete(at: &str, provider: &str) -> String {
    format!("  - {{at: {at}, call: 'ecs:DeleteCapacityProvider', with: {{capacityProvider: {provider}}}}}\n")
}

const A: &str = "{capacityProvider: a, weight: 1}";
const B: &str = "{capacityProvider: b, weight: 1}";

#[test]
fn cp_11_another_default_strategy_is_for_what_comes_later() {
    let run_task = "  - {at: 30m, call: 'ecs:RunTask', with: {cluster: c, taskDefinition: web, count: 3}}\n";
    let scale = "  - {at: 40m, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 4}}\n";
    let log = run(&(put("20m", "a, b, FARGATE", B) + run_task + scale));
    assert_eq!(log.refused(), []);
    assert_eq!((log.bound_to("a"), log.bound_to("b")), (4, 3), "the service keeps the strategy it was created with");
    assert_eq!(log.events("SERVICE_DEPLOYMENT_IN_PROGRESS").len(), log.events("SERVICE_DEPLOYMENT_COMPLETED").len());
    assert!(log.times("service:web", "STOPPED").is_empty(), "nothing is replaced");
}

#[test]
fn cp_12_a_provider_in_use_stays_with_its_cluster() {
    let log = run(&put("20m", "b, FARGATE", B));
    assert_eq!(log.refused(), [(1200.0, "CP-12")]);
    assert!(log.reasons("operator", "refuse")[0].1.contains("ResourceInUseException"));
}

#[test]
fn cp_12_a_provider_that_nobody_uses_can_be_taken_away_and_deleted() {
    let log = run(&(delete("10m", "b") + &put("20m", "a, FARGATE", A) + &delete("30m", "b") + &delete("40m", "b")));
    assert_eq!(log.refused(), [(600.0, "CP-12"), (2400.0, "CP-12")], "associated at first, and gone at last");
    let published = log.metric("capacity-provider/b", "CapacityProviderReservation");
    assert!(published.last().is_some_and(|(at, _)| *at <= 1200.0), "{:?}", published.last());
    assert!(!log.metric("capacity-provider/a", "CapacityProviderReservation").is_empty());
}

#[test]
fn cp_12_a_provider_that_comes_back_is_scaled_again() {
    let back = put("20m", "a, FARGATE", A) + &put("30m", "a, b, FARGATE", A);
    let run_task = "  - {at: 40m, call: 'ecs:RunTask', with: {cluster: c, taskDefinition: web, \
                    capacityProviderStrategy: [{capacityProvider: b, weight: 1}]}}\n";
    let log = run(&(back + run_task));
    assert_eq!(log.refused(), []);
    assert_eq!(log.times("family:web", "RUNNING").len(), 1);
    let minutes: Vec<f64> =
        log.metric("capacity-provider/b", "CapacityProviderReservation").into_iter().map(|(at, _)| at).collect();
    assert!(minutes.windows(2).all(|pair| pair[1] > pair[0]), "one value a minute: {minutes:?}");
    assert!(minutes.iter().all(|at| *at < 1200.0 || *at >= 1800.0));
}

#[rstest]
#[case(delete("10m", "FARGATE"), "CP-12")]
#[case(delete("10m", "nobody"), "CP-12")]
#[case(put("10m", "a, b, c", A), "CP-3")]
#[case(put("10m", "a, b", "{capacityProvider: FARGATE, weight: 1}"), "CP-3")]
fn cp_12_calls_that_aws_refuses_are_refused(#[case] actions: String, #[case] rule: &str) {
    assert_eq!(run(&actions).refused(), [(600.0, rule)]);
}

fn run_task(strategy: &str) -> String {
    format!(
        "  - {{at: 10m, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: web, \
         capacityProviderStrategy: [{strategy}]}}}}\n"
    )
}

#[test]
fn ex_cp_9_in_a_run() {
    let twenty_one: Vec<String> = (0..21).map(|n| format!("{{capacityProvider: p{n}, weight: 1}}")).collect();
    for strategy in [
        "{capacityProvider: a, base: 1, weight: 1}, {capacityProvider: b, base: 2, weight: 1}",
        &twenty_one.join(", "),
        "{capacityProvider: a, weight: 1}, {capacityProvider: FARGATE, weight: 1}",
        "{capacityProvider: FARGATE_SPOT, weight: 1}",
        "{capacityProvider: a}, {capacityProvider: b}",
    ] {
        let log = run(&run_task(strategy));
        assert_eq!(log.refused(), [(600.0, "CP-3")], "{strategy}");
        assert!(log.times("family:web", "PROVISIONING").is_empty(), "no task is created");
    }
}

#[test]
fn tp_1_protection_without_managed_scaling_is_refused() {
    let text = "name: x
autoScalingGroups: [{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 1, NewInstancesProtectedFromScaleIn: true}]
capacityProviders: [{name: p, autoScalingGroupProvider: {autoScalingGroupArn: g, managedTerminationProtection: ENABLED}}]
";
    let error = load_str("x.yaml", text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("managed scaling must be enabled"), "{error}");
}

#[rstest]
#[case("1.2.0", "LINUX", true)]
#[case("1.4.0", "LINUX", false)]
#[case("LATEST", "LINUX", false)]
#[case("LATEST", "WINDOWS_SERVER_2022_CORE", true)]
fn cp_15_fargate_spot_in_a_run(#[case] version: &str, #[case] family: &str, #[case] refused: bool) {
    let text = format!(
        "name: spot
duration: 20m
taskDefinitions:
  - {{family: job, requiresCompatibilities: [FARGATE], networkMode: awsvpc, cpu: '1024', memory: '2048', runtimePlatform: {{operatingSystemFamily: {family}}}, containerDefinitions: [{{name: app, image: app}}]}}
actions:
  - {{at: 1m, call: 'ecs:RunTask', with: {{taskDefinition: job, platformVersion: {version}, networkConfiguration: {{awsvpcConfiguration: {{subnets: [subnet-1]}}}}, capacityProviderStrategy: [{{capacityProvider: FARGATE_SPOT, weight: 1}}]}}}}
"
    );
    let log = run_text(&text);
    assert_eq!(log.refused().contains(&(60.0, "CP-15")), refused, "{:?}", log.refused());
}

#[test]
fn leg_6_schedulable_containers_are_published_for_whoever_watches_them() {
    let text = "name: schedulable
duration: 1h
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 6, DesiredCapacity: 2}
taskDefinitions:
  - {family: web, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 1024}]}
services:
  - {serviceName: web, taskDefinition: web, desiredCount: 3}
asgPolicies:
  - {AutoScalingGroupName: g, PolicyName: out, PolicyType: SimpleScaling, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}
alarms:
  - {AlarmName: shortage, Namespace: Fleet, MetricName: SchedulableContainers, Dimensions: [{Name: ClusterName, Value: default}], Statistic: Minimum, Period: 60, EvaluationPeriods: 1, Threshold: 2, ComparisonOperator: LessThanOrEqualToThreshold, AlarmActions: [out]}
actions:
  - {at: 20m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 6}}
";
    let log = run_text(text);
    let at = |time: f64| {
        let metric = log.metric("cluster/default", "SchedulableContainers");
        metric.into_iter().find(|(start, _)| *start == time).map(|(_, value)| value)
    };
    // Two hosts of four: eight less three, then less six, and four more with the host that the alarm calls for.
    assert_eq!((at(600.0), at(1200.0), at(3000.0)), (Some(5.0), Some(2.0), Some(6.0)));
    assert_eq!(log.level_at("asg/g", "GroupDesiredCapacity", 3599.0), 3.0);
    let unwatched = run_text(&text.replace("SchedulableContainers", "Other"));
    assert!(unwatched.metric("cluster/default", "SchedulableContainers").is_empty());
}
