//! Rules of Auto Scaling groups on their own: `ASG-*`, with groups whose hosts nobody uses.

use ecsim::scenario::{LoadOptions, load_str};
use rstest::rstest;

use crate::lab::{Log, run_text};

/// One group `g` of `m5.large` without capacity provider.
fn estate(group: &str, rest: &str) -> String {
    let duration = if rest.contains("duration:") { "" } else { "duration: 1h\n" };
    format!(
        "name: groups\n{duration}autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, {group}}}\n{rest}"
    )
}

fn run(group: &str, rest: &str) -> Log {
    run_text(&estate(group, rest))
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'autoscaling:{call}', with: {{{with}}}}}\n")
}

fn unhealthy(at: &str, host: u32, more: &str) -> String {
    call(at, "SetInstanceHealth", &format!("InstanceId: '#{host}', HealthStatus: Unhealthy{more}"))
}

/// When instances began to go, with their numbers.
fn terminations(log: &Log) -> Vec<(f64, u32)> {
    log.instances.iter().filter(|(.., step)| step == "Terminating").map(|(at, host, _)| (*at, *host)).collect()
}

fn launches_after(log: &Log, time: f64) -> Vec<f64> {
    let launches = log.instances.iter().filter(|(at, _, step)| step == "Launched" && *at > time);
    launches.map(|(at, ..)| *at).collect()
}

/// The smallest and the largest number of instances in service from `time` on.
fn in_service_from(log: &Log, time: f64) -> (f64, f64) {
    let level = log.level("asg/g", "GroupInServiceInstances");
    let later = level.iter().filter(|(at, _)| *at >= time).map(|(_, count)| *count);
    let values: Vec<f64> =
        std::iter::once(log.level_at("asg/g", "GroupInServiceInstances", time)).chain(later).collect();
    (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max))
}

const ZONES: &str = "AvailabilityZones: [us-east-1a, us-east-1b]";

#[test]
fn asg_9_a_zone_taken_away_is_emptied_launch_first() {
    let update = call("10m", "UpdateAutoScalingGroup", "AutoScalingGroupName: g, AvailabilityZones: [us-east-1a]");
    let log = run(&format!("MinSize: 4, MaxSize: 4, {ZONES}"), &format!("actions:\n{update}"));
    assert_eq!(log.hosts_by_zone(599.0).into_values().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(log.hosts_by_zone(900.0).into_iter().collect::<Vec<_>>(), [("us-east-1a", 4)]);
    // One at a time: a maximum of 4 may be exceeded by one. Reaction 5 s, boot 20 s, and the old one goes.
    assert_eq!(launches_after(&log, 600.0), [605.0, 630.0]);
    assert_eq!(terminations(&log).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [625.0, 650.0]);
    assert_eq!(in_service_from(&log, 600.0), (4.0, 4.0), "the newcomer replaces the other at one instant");
    assert!(log.decided("auto-scaling-group").contains(&(605.0, "launch", "ASG-9")));
}

#[rstest]
#[case(10, 11)]
#[case(4, 5)]
fn ex_asg_17_rebalancing_exceeds_the_maximum_by_a_tenth_or_one(#[case] max: u32, #[case] most: u32) {
    let update = call("10m", "UpdateAutoScalingGroup", &format!("AutoScalingGroupName: g, {ZONES}"));
    let log = run(
        &format!("MinSize: {max}, MaxSize: {max}, AvailabilityZones: [us-east-1a]"),
        &format!("actions:\n{update}"),
    );
    assert_eq!(log.hosts_by_zone(3600.0).into_values().collect::<Vec<_>>(), [max as usize / 2; 2]);
    let alive = |at: f64| log.hosts_by_zone(at).into_values().sum::<usize>() as u32;
    let sizes: Vec<u32> = log.instances.iter().filter(|(at, ..)| *at >= 600.0).map(|(at, ..)| alive(*at)).collect();
    assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&max), Some(&most)));
}

#[test]
fn asg_43_without_az_rebalance_the_zones_stay_as_they_are_and_scaling_still_balances() {
    let actions = call("5m", "SuspendProcesses", "AutoScalingGroupName: g, ScalingProcesses: [AZRebalance]")
        + &call("10m", "UpdateAutoScalingGroup", &format!("AutoScalingGroupName: g, {ZONES}"))
        + &call("20m", "SetDesiredCapacity", "AutoScalingGroupName: g, DesiredCapacity: 5")
        + &call("30m", "ResumeProcesses", "AutoScalingGroupName: g, ScalingProcesses: [AZRebalance]");
    let log = run("MinSize: 4, MaxSize: 9, AvailabilityZones: [us-east-1a]", &format!("actions:\n{actions}"));
    assert_eq!(log.hosts_by_zone(1199.0).into_iter().collect::<Vec<_>>(), [("us-east-1a", 4)]);
    assert_eq!(log.hosts_by_zone(1799.0).into_values().collect::<Vec<_>>(), [4, 1]);
    assert_eq!(log.hosts_by_zone(2400.0).into_values().collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn asg_43_without_terminate_the_newcomer_stays_beside_the_old_one() {
    let actions = call("5m", "SuspendProcesses", "AutoScalingGroupName: g, ScalingProcesses: [Terminate]")
        + &call("10m", "UpdateAutoScalingGroup", &format!("AutoScalingGroupName: g, {ZONES}"))
        + &call("30m", "ResumeProcesses", "AutoScalingGroupName: g, ScalingProcesses: [Terminate]");
    let log = run("MinSize: 4, MaxSize: 4, AvailabilityZones: [us-east-1a]", &format!("actions:\n{actions}"));
    assert_eq!(log.hosts_by_zone(1799.0).into_values().collect::<Vec<_>>(), [4, 1], "110 % of the maximum, no more");
    assert_eq!(log.hosts_by_zone(2400.0).into_values().collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn asg_16_an_unhealthy_instance_is_found_at_the_next_check_and_replaced() {
    let log = run("MinSize: 2, MaxSize: 2", &format!("actions:\n{}", unhealthy("605s", 0, "")));
    assert_eq!(terminations(&log), [(660.0, 0)]);
    assert_eq!(launches_after(&log, 600.0), [665.0]);
}

#[test]
fn asg_17_within_the_grace_period_only_ec2s_own_checks_count() {
    let actions = unhealthy("10m", 0, "") + &unhealthy("20m", 1, ", ShouldRespectGracePeriod: false");
    let log = run("MinSize: 2, MaxSize: 2, HealthCheckGracePeriod: 3000", &format!("actions:\n{actions}"));
    assert_eq!(terminations(&log), [(1260.0, 1)]);
    assert!(log.decided("auto-scaling-group").contains(&(600.0, "keep", "ASG-17")));
}

#[test]
fn asg_18_a_tenth_at_once_and_the_next_batch_after_the_warm_up() {
    let actions: String = (0..4).map(|host| unhealthy("605s", host, "")).collect();
    let log = run("MinSize: 20, MaxSize: 20, DefaultInstanceWarmup: 120", &format!("actions:\n{actions}"));
    // Replacements of the first two are in service at 685 and warm at 805.
    assert_eq!(terminations(&log), [(660.0, 0), (660.0, 1), (840.0, 2), (840.0, 3)]);
}

#[test]
fn asg_18_healthy_again_before_the_check_is_healthy() {
    let again = call("620s", "SetInstanceHealth", "InstanceId: '#0', HealthStatus: Healthy");
    let log = run("MinSize: 2, MaxSize: 2", &format!("actions:\n{}{again}", unhealthy("605s", 0, "")));
    assert_eq!(terminations(&log), []);
}

#[test]
fn ex_asg_21() {
    let actions = call("9m", "SuspendProcesses", "AutoScalingGroupName: g, ScalingProcesses: [Launch]")
        + &unhealthy("10m", 0, "")
        + &unhealthy("10m", 1, "")
        + &call("20m", "ResumeProcesses", "AutoScalingGroupName: g, ScalingProcesses: [Launch]");
    let log = run("MinSize: 5, MaxSize: 5", &format!("actions:\n{actions}"));
    assert_eq!(terminations(&log), [(660.0, 0), (660.0, 1)]);
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 1199.0), 3.0);
    assert_eq!(launches_after(&log, 600.0), [1205.0, 1205.0]);
}

#[test]
fn asg_43_without_replace_unhealthy_they_stay() {
    let actions = call("9m", "SuspendProcesses", "AutoScalingGroupName: g, ScalingProcesses: [ReplaceUnhealthy]")
        + &unhealthy("10m", 0, "")
        + &call("1790s", "ResumeProcesses", "AutoScalingGroupName: g, ScalingProcesses: [ReplaceUnhealthy]");
    let log = run("MinSize: 2, MaxSize: 2", &format!("actions:\n{actions}"));
    assert_eq!(terminations(&log), [(1800.0, 0)]);
}

#[test]
fn asg_19_instances_go_one_by_one_at_the_end_of_their_lifetime() {
    let log = run("MinSize: 2, MaxSize: 2, MaxInstanceLifetime: 86400", "duration: 25h\n");
    // Launched at 5; the first goes at the next check, the second once its replacement is in service.
    assert_eq!(terminations(&log), [(86_460.0, 0), (86_485.0, 1)]);
    assert!(log.decided("auto-scaling-group").contains(&(86_460.0, "terminate", "ASG-19")));
}

#[test]
fn asg_11_a_policy_of_100_percent_launches_before_it_terminates() {
    let group =
        "MinSize: 10, MaxSize: 10, InstanceMaintenancePolicy: {MinHealthyPercentage: 100, MaxHealthyPercentage: 110}";
    let actions = unhealthy("605s", 0, "") + &unhealthy("605s", 1, "");
    let log = run(group, &format!("actions:\n{actions}"));
    // Look at 660, launch at 665, in service at 685: only then the first goes, and the next one is launched.
    assert_eq!(terminations(&log), [(685.0, 0), (710.0, 1)]);
    assert_eq!(launches_after(&log, 600.0), [665.0, 690.0]);
    assert_eq!(in_service_from(&log, 600.0), (10.0, 10.0));
}

#[rstest]
#[case("MaxInstanceLifetime: 3600", "Max instance lifetime must be 0 or between 86400 and 31536000 seconds")]
#[case(
    "InstanceMaintenancePolicy: {MinHealthyPercentage: 50, MaxHealthyPercentage: 160}",
    "cannot be greater than 100"
)]
#[case("InstanceMaintenancePolicy: {MinHealthyPercentage: 90, MaxHealthyPercentage: -1}", "must both be specified")]
#[case(
    "InstanceMaintenancePolicy: {MinHealthyPercentage: 101, MaxHealthyPercentage: 110}",
    "between 0 and 100, not 101"
)]
fn what_aws_refuses_of_a_group_is_refused(#[case] keys: &str, #[case] words: &str) {
    let text = estate(&format!("MinSize: 1, MaxSize: 2, {keys}"), "");
    let error = load_str("groups.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn calls_about_health_that_aws_refuses_are_refused() {
    let actions = call("10m", "SetInstanceHealth", "InstanceId: '#0', HealthStatus: Sick")
        + &call("11m", "SetInstanceHealth", "InstanceId: '#7', HealthStatus: Unhealthy");
    let log = run("MinSize: 1, MaxSize: 2", &format!("actions:\n{actions}"));
    assert_eq!(log.refused(), [(600.0, "ASG-16"), (660.0, "ASG-16")]);
}

const LAUNCHING: &str = "LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'";
const TERMINATING: &str = "LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING'";

fn hook(keys: &str) -> String {
    format!("lifecycleHooks:\n  - {{AutoScalingGroupName: g, LifecycleHookName: h, {keys}}}\n")
}

#[test]
fn ex_asg_14() {
    let log = run("MinSize: 1, MaxSize: 1", &format!("duration: 2h\n{}", hook(LAUNCHING)));
    // Launched at 5, ready at 25: there the hook begins, and nobody completes it.
    assert_eq!(terminations(&log), [(3625.0, 0)]);
    assert_eq!(launches_after(&log, 5.0), [3630.0]);
    assert_eq!(log.level("asg/g", "GroupInServiceInstances"), [(0.0, 0.0)]);
    assert_eq!(log.level_at("asg/g", "GroupPendingInstances", 3000.0), 1.0);
}

#[test]
fn asg_14_a_completed_launch_hook_lets_the_instance_go_on() {
    let complete = |at: &str, result: &str| {
        let with =
            format!("AutoScalingGroupName: g, LifecycleHookName: h, InstanceId: '#0', LifecycleActionResult: {result}");
        call(at, "CompleteLifecycleAction", &with)
    };
    let log = run("MinSize: 1, MaxSize: 1", &format!("{}actions:\n{}", hook(LAUNCHING), complete("5m", "CONTINUE")));
    assert_eq!(log.step(0, "InService"), Some(300.0));
    let log = run("MinSize: 1, MaxSize: 1", &format!("{}actions:\n{}", hook(LAUNCHING), complete("5m", "ABANDON")));
    assert_eq!((terminations(&log)[0], launches_after(&log, 5.0)[0]), ((300.0, 0), 305.0));
    let twice = complete("5m", "CONTINUE") + &complete("6m", "CONTINUE");
    let log = run("MinSize: 1, MaxSize: 1", &format!("{}actions:\n{twice}", hook(LAUNCHING)));
    assert_eq!(log.refused(), [(360.0, "ASG-13")]);
}

#[test]
fn ex_asg_15() {
    let beat = |at: u32| {
        let with = "AutoScalingGroupName: g, LifecycleHookName: h, InstanceId: '#0'";
        call(&format!("{at}s"), "RecordLifecycleActionHeartbeat", with)
    };
    let beats: String = (1..130).map(|n| beat(25 + 500 * n)).collect();
    let keys = format!("{LAUNCHING}, HeartbeatTimeout: 600");
    let log = run("MinSize: 1, MaxSize: 1", &format!("duration: 18h\n{}actions:\n{beats}", hook(&keys)));
    assert_eq!(terminations(&log)[0], (60_025.0, 0), "a hundred heartbeats after the hook began");
}

#[rstest]
#[case("CONTINUE")]
#[case("ABANDON")]
fn asg_14_a_termination_hook_ends_in_termination_either_way(#[case] result: &str) {
    let keys = format!("{TERMINATING}, HeartbeatTimeout: 300, DefaultResult: {result}");
    let down = call("10m", "SetDesiredCapacity", "AutoScalingGroupName: g, DesiredCapacity: 1");
    let log = run("MinSize: 0, MaxSize: 2, DesiredCapacity: 2", &format!("{}actions:\n{down}", hook(&keys)));
    let (at, host) = terminations(&log)[0];
    assert_eq!((at, log.step(host, "ShuttingDown")), (605.0, Some(905.0)));
    assert_eq!(log.level_at("asg/g", "GroupTerminatingInstances", 700.0), 1.0);
}

#[test]
fn what_a_hook_notifies_completes_it() {
    let group = format!(
        "MinSize: 1, MaxSize: 1, LifecycleHookSpecificationList: [{{LifecycleHookName: h, {LAUNCHING}, completesAfter: 90s}}]"
    );
    assert_eq!(run(&group, "").step(0, "InService"), Some(115.0));
}

#[test]
fn asg_20_standby_leaves_the_count_and_stays_on_the_bill() {
    let with = "AutoScalingGroupName: g, InstanceIds: ['#0']";
    let actions = call("10m", "EnterStandby", &format!("{with}, ShouldDecrementDesiredCapacity: true"))
        + &unhealthy("11m", 0, "")
        + &call("20m", "ExitStandby", with);
    let log = run("MinSize: 1, MaxSize: 2, DesiredCapacity: 2", &format!("actions:\n{actions}"));
    assert_eq!(log.level("asg/g", "GroupDesiredCapacity"), [(0.0, 2.0), (600.0, 1.0), (1200.0, 2.0)]);
    assert_eq!(log.level_at("asg/g", "GroupStandbyInstances", 700.0), 1.0);
    assert_eq!(log.refused(), [(660.0, "ASG-16")], "no health checks in standby");
    assert_eq!((log.step(0, "ShuttingDown"), launches_after(&log, 5.0)), (None, vec![]));
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 1201.0), 2.0);
}

#[test]
fn asg_20_standby_without_decrement_is_replaced() {
    let with = "AutoScalingGroupName: g, InstanceIds: ['#0']";
    let actions = call("10m", "EnterStandby", &format!("{with}, ShouldDecrementDesiredCapacity: false"))
        + &call("20m", "ExitStandby", with);
    let log = run("MinSize: 2, MaxSize: 2", &format!("actions:\n{actions}"));
    assert_eq!(launches_after(&log, 5.0), [605.0]);
    assert_eq!(log.refused(), [(1200.0, "ASG-20")], "there is no room to come back");
}

#[test]
fn asg_10_a_detached_instance_runs_on_without_its_protection() {
    let with = "AutoScalingGroupName: g, InstanceIds: ['#0'], ShouldDecrementDesiredCapacity: false";
    let log = run(
        "MinSize: 2, MaxSize: 2, NewInstancesProtectedFromScaleIn: true",
        &format!("actions:\n{}", call("10m", "DetachInstances", with)),
    );
    assert_eq!(launches_after(&log, 5.0), [605.0]);
    assert_eq!((log.step(0, "Protection"), log.step(0, "ShuttingDown")), (Some(600.0), None));
    let under = call("10m", "DetachInstances", &with.replace("false", "true"));
    let log = run("MinSize: 2, MaxSize: 2", &format!("actions:\n{under}"));
    assert_eq!(log.refused(), [(600.0, "ASG-10")]);
}

#[rstest]
#[case("HeartbeatTimeout: 20", "between 30 and 7200 seconds, not 20")]
#[case("DefaultResult: STOP", "is no lifecycle action result")]
fn what_aws_refuses_of_a_hook_is_refused(#[case] keys: &str, #[case] words: &str) {
    let text = estate("MinSize: 1, MaxSize: 2", &hook(&format!("{LAUNCHING}, {keys}")));
    let error = load_str("groups.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

fn refresh(at: &str, preferences: &str) -> String {
    call(at, "StartInstanceRefresh", &format!("AutoScalingGroupName: g, Preferences: {{{preferences}}}"))
}

#[test]
fn ex_asg_18_a_refresh_of_ten_goes_one_at_a_time() {
    let actions = refresh("10m", "MinHealthyPercentage: 90, InstanceWarmup: 100");
    let log = run("MinSize: 10, MaxSize: 10", &format!("actions:\n{actions}"));
    let gone = terminations(&log);
    assert_eq!(gone.iter().map(|(_, host)| *host).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    // Launched at 605, in service at 625, warm at 725: the next look is at 780.
    assert_eq!(gone.iter().map(|(at, _)| *at).take(3).collect::<Vec<_>>(), [600.0, 780.0, 960.0]);
    assert_eq!(in_service_from(&log, 601.0).0, 9.0);
    let ended: Vec<&str> = log.decided("auto-scaling-group").iter().map(|(_, action, _)| *action).collect();
    assert_eq!(ended.last(), Some(&"refreshed"));
}

#[test]
fn asg_42_checkpoints_pause_and_a_full_group_launches_first() {
    let preferences =
        "MinHealthyPercentage: 100, MaxHealthyPercentage: 150, CheckpointPercentages: [50, 100], CheckpointDelay: 1200";
    let log = run("MinSize: 4, MaxSize: 4", &format!("actions:\n{}", refresh("10m", preferences)));
    assert_eq!(launches_after(&log, 600.0)[..2], [605.0, 605.0]);
    assert_eq!(terminations(&log)[..2], [(625.0, 0), (625.0, 1)]);
    assert!(terminations(&log)[2].0 >= 1825.0, "{:?}", terminations(&log));
    assert_eq!(terminations(&log).len(), 4);
    assert_eq!(in_service_from(&log, 600.0).0, 4.0);
}

#[test]
fn asg_42_protected_instances_are_waited_for_and_then_the_refresh_fails() {
    let group = "MinSize: 2, MaxSize: 2, NewInstancesProtectedFromScaleIn: true";
    let log = run(group, &format!("duration: 2h\nactions:\n{}", refresh("10m", "")));
    assert_eq!(terminations(&log), []);
    assert!(log.decided("auto-scaling-group").contains(&(4200.0, "refresh-failed", "ASG-42")));
    let forced = run(group, &format!("actions:\n{}", refresh("10m", "ScaleInProtectedInstances: Refresh")));
    assert_eq!(terminations(&forced).len(), 2);
}

#[test]
fn asg_42_refreshes_that_aws_refuses_are_refused() {
    let empty = run("MinSize: 0, MaxSize: 2", &format!("actions:\n{}", refresh("10m", "")));
    assert_eq!(empty.refused(), [(600.0, "ASG-42")]);
    let cancel = call("11m", "CancelInstanceRefresh", "AutoScalingGroupName: g");
    let again = cancel.replace("11m", "12m");
    let actions = refresh("10m", "InstanceWarmup: 300") + &refresh("630s", "") + &cancel + &again;
    let log = run("MinSize: 4, MaxSize: 4", &format!("actions:\n{actions}"));
    assert_eq!(log.refused(), [(630.0, "ASG-42"), (720.0, "ASG-42")]);
    assert_eq!(terminations(&log).len(), 1, "what is cancelled goes no further");
}
