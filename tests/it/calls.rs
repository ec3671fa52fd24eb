//! Calls of the operator are carried out whole or leave nothing behind, and what is refused is on record.

use crate::lab::{Log, run_text};

/// Two clusters on one group each, the first with a capacity provider under managed scaling.
fn estate(sections: &str, actions: &str) -> Log {
    run_text(&format!(
        "
name: calls
duration: 1h
clusters:
  - {{clusterName: default, capacityProviders: [cp], defaultCapacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]}}
  - {{clusterName: other}}
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 4}}
  - {{AutoScalingGroupName: h, InstanceType: m5.large, MinSize: 2, MaxSize: 4, cluster: other}}
capacityProviders:
  - {{name: cp, autoScalingGroupProvider: {{autoScalingGroupArn: g, managedScaling: {{status: ENABLED}}}}}}
taskDefinitions:
  - {{family: t, containerDefinitions: [{{name: app, image: app, cpu: 512, memory: 512}}]}}
{sections}
actions:
{actions}
"
    ))
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: '{call}', with: {{{with}}}}}\n")
}

#[test]
fn create_cluster_answers_an_existing_name_as_it_stands() {
    let actions = call("10m", "ecs:CreateCluster", "clusterName: default")
        + &call("20m", "ecs:RunTask", "taskDefinition: t, count: 2");
    let log = estate("", &actions);
    assert!(log.refused().is_empty(), "{:?}", log.refused());
    assert_eq!(log.bound_to("cp"), 2, "the cluster's default strategy still holds");
}

#[test]
fn cp_1_a_provider_with_managed_scaling_serves_one_cluster() {
    let actions = call("10m", "ecs:CreateCluster", "clusterName: third, capacityProviders: [cp]")
        + &call("20m", "ecs:RunTask", "taskDefinition: t, cluster: third")
        + &call("30m", "ecs:RunTask", "taskDefinition: t");
    let log = estate("", &actions);
    assert_eq!(log.refused(), [(600.0, "CP-1"), (1200.0, "TASK-19")], "a refused call creates no cluster");
    assert_eq!(log.bound_to("cp"), 1, "the first cluster keeps its provider");
}

#[test]
fn drn_2_only_the_instances_of_the_cluster_named_are_drained() {
    let drain = |at, cluster| {
        call(
            at,
            "ecs:UpdateContainerInstancesState",
            &format!("cluster: {cluster}, containerInstances: ['#1'], status: DRAINING"),
        )
    };
    let log = estate("", &(drain("10m", "default") + &drain("20m", "other")));
    assert_eq!(log.refused().iter().map(|(at, _)| *at).collect::<Vec<_>>(), [600.0]);
    assert_eq!(log.step(1, "Draining"), Some(1200.0), "host 1 is the first of the second cluster");
}

#[test]
fn asg_10_protection_is_set_on_the_instances_of_the_group_named() {
    let protect = |at, group| {
        call(
            at,
            "autoscaling:SetInstanceProtection",
            &format!("AutoScalingGroupName: {group}, InstanceIds: ['#1'], ProtectedFromScaleIn: true"),
        )
    };
    let shrink =
        call("30m", "autoscaling:UpdateAutoScalingGroup", "AutoScalingGroupName: h, MinSize: 0, DesiredCapacity: 1");
    let log = estate("", &(protect("10m", "g") + &protect("20m", "h") + &shrink));
    assert_eq!(log.refused().len(), 1);
    assert_eq!((log.step(1, "Terminating"), log.step(2, "Terminating").is_some()), (None, true));
}

#[test]
fn task_10_what_run_task_cannot_place_is_a_decision_and_an_activity_of_the_call() {
    let actions = call("10m", "ecs:RunTask", "taskDefinition: t, cluster: other, count: 10, launchType: EC2");
    let log = estate("", &actions);
    // Two m5.large hold four tasks of 512 CPU units each.
    assert_eq!(log.failures, [(600.0, 2)]);
    let refused = log.reasons("run-task", "refuse");
    assert_eq!((refused.len(), refused[0].0), (1, 600.0));
    assert!(refused[0].1.starts_with("RESOURCE:CPU on 2; closest i-0"), "{refused:?}");
    let failed: Vec<_> = log.activities.iter().filter(|(_, _, status, _)| *status == "Failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].1.as_str(), failed[0].3.starts_with("RESOURCE:CPU")), ("family:t", true));
}

#[test]
fn evt_5_a_service_names_the_tasks_it_starts_and_stops() {
    let services =
        "services: [{serviceName: web, taskDefinition: t, cluster: other, desiredCount: 2, launchType: EC2}]";
    let log = estate(services, &call("20m", "ecs:UpdateService", "service: web, cluster: other, desiredCount: 1"));
    let line = |start: &str| {
        log.messages.iter().map(|(_, text)| text.as_str()).find(|text| text.contains(start)).unwrap_or_default()
    };
    let started =
        regex::Regex::new(r"^\(service web\) has started 2 tasks: \(task [0-9a-f]{32}\) \(task [0-9a-f]{32}\)\.$");
    assert!(started.unwrap().is_match(line("has started")), "{:?}", log.messages);
    let stopped = regex::Regex::new(r"^\(service web\) has stopped 1 running tasks: \(task [0-9a-f]{32}\)\.$");
    assert!(stopped.unwrap().is_match(line("has stopped")), "{:?}", log.messages);
}

#[test]
fn svc_6_a_steady_state_lost_and_found_again_is_repeated_once_per_six_hours() {
    let text = "
name: steady
duration: 14h
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2}
taskDefinitions:
  - {family: t, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 512}]}
services: [{serviceName: web, taskDefinition: t, desiredCount: 2, launchType: EC2}]
actions:
  - {at: 1h, call: 'ecs:UpdateService', with: {service: web, desiredCount: 3}}
";
    let steady = run_text(text).events("SERVICE_STEADY_STATE");
    assert_eq!(steady.len(), 4, "at the start, after the change, and twice six hours after that: {steady:?}");
    assert_eq!((steady[2] - steady[1], steady[3] - steady[2]), (21_600.0, 21_600.0));
}

#[test]
fn alm_23_an_arn_tells_policies_of_one_name_apart() {
    let sections = "
services:
  - {serviceName: a, taskDefinition: t, cluster: other, desiredCount: 1, launchType: EC2}
  - {serviceName: b, taskDefinition: t, cluster: other, desiredCount: 1, launchType: EC2}
scalableTargets:
  - {ResourceId: service/other/a, MinCapacity: 1, MaxCapacity: 4}
  - {ResourceId: service/other/b, MinCapacity: 1, MaxCapacity: 4}
scalingPolicies:
  - {PolicyName: out, ResourceId: service/other/a, PolicyType: StepScaling, StepScalingPolicyConfiguration:
     {AdjustmentType: ChangeInCapacity, StepAdjustments: [{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}]}}
  - {PolicyName: out, ResourceId: service/other/b, PolicyType: StepScaling, StepScalingPolicyConfiguration:
     {AdjustmentType: ChangeInCapacity, StepAdjustments: [{MetricIntervalLowerBound: 0, ScalingAdjustment: 2}]}}
metrics:
  - {Namespace: lab, MetricName: load, Period: 60, values: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0]}
alarms:
  - {AlarmName: high, Namespace: lab, MetricName: load, Statistic: Average, Period: 60, EvaluationPeriods: 1, Threshold: 5,
     ComparisonOperator: GreaterThanThreshold, AlarmActions: ['arn:aws:autoscaling:us-east-1:111122223333:scalingPolicy:6d8972f3-efc8-437c-92d1-6270f29a66e7:resource/ecs/service/other/b:policyName/out']}
";
    let log = estate(sections, "  []");
    assert_eq!(log.level_at("service/other/a", "DesiredCount", 3600.0), 1.0);
    assert_eq!(log.level_at("service/other/b", "DesiredCount", 3600.0), 3.0);
}
