//! Groups whose templates change, whose instances have weights, and whose launches fail or are held back.

use ecsim::control_plane::record::{InstanceStep, Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{self, RunOptions};
use ecsim::engine::time::SimTime;
use ecsim::scenario::{LoadOptions, load_str};
use rstest::rstest;

use crate::lab::{Log, run_text};

fn estate(group: &str, rest: &str) -> String {
    let duration = if rest.contains("duration:") { "" } else { "duration: 1h\n" };
    format!("name: groups\n{duration}autoScalingGroups:\n  - {{AutoScalingGroupName: g, {group}}}\n{rest}")
}

fn run(group: &str, rest: &str) -> Log {
    run_text(&estate(group, rest))
}

fn call(at: &str, call: &str, with: &str) -> String {
    format!("  - {{at: {at}, call: 'autoscaling:{call}', with: {{AutoScalingGroupName: g, {with}}}}}\n")
}

fn steps(log: &Log, step: &str) -> Vec<(f64, u32)> {
    log.instances.iter().filter(|(.., s)| s == step).map(|(at, host, _)| (*at, *host)).collect()
}

fn hosts(log: &Log, step: &str) -> Vec<u32> {
    steps(log, step).into_iter().map(|(_, host)| host).collect()
}

fn actions_of(log: &Log) -> Vec<&str> {
    log.decided("auto-scaling-group").into_iter().map(|(_, action, _)| action).collect()
}

const ONE: &str = "InstanceType: m5.large, AvailabilityZones: [us-east-1a]";

/// Version 1 of a template from the start, another from the 20th minute on.
fn with_template(sizes: &str) -> String {
    format!("{ONE}, LaunchTemplate: {{LaunchTemplateName: ecs, Version: '1'}}, {sizes}")
}

fn template(at: &str, version: u32) -> String {
    call(at, "UpdateAutoScalingGroup", &format!("LaunchTemplate: {{LaunchTemplateName: ecs, Version: '{version}'}}"))
}

#[test]
fn asg_6_what_was_launched_from_the_old_version_goes_first() {
    let resize = |at, size: u32| call(at, "SetDesiredCapacity", &format!("DesiredCapacity: {size}"));
    let actions = template("10m", 2) + &resize("20m", 4) + &resize("30m", 2);
    let log = run(&with_template("MinSize: 0, MaxSize: 9, DesiredCapacity: 2"), &format!("actions:\n{actions}"));
    let mut gone = hosts(&log, "Terminating");
    gone.sort_unstable();
    assert_eq!(gone, [0, 1], "of two old and two new ones");
}

#[test]
fn ex_asg_3_in_a_run() {
    // i0 at 0 min (v1), i1 at 20 min (v2), i2 at 40 min (v1 again); at 70 min i2 has 30 min to its next hour, i0 50.
    let resize = |at, size: u32| call(at, "SetDesiredCapacity", &format!("DesiredCapacity: {size}"));
    let actions = template("10m", 2)
        + &resize("20m", 2)
        + &template("30m", 1)
        + &resize("40m", 3)
        + &template("50m", 2)
        + &resize("70m", 2);
    let log = run(
        &with_template("MinSize: 0, MaxSize: 9, DesiredCapacity: 1"),
        &format!("duration: 2h\nactions:\n{actions}"),
    );
    assert_eq!(steps(&log, "Terminating"), [(4205.0, 2)]);
}

#[test]
fn asg_6_another_type_is_another_version_and_is_launched_from_then_on() {
    let actions = call("10m", "UpdateAutoScalingGroup", "InstanceType: m6i.large")
        + &call("20m", "StartInstanceRefresh", "Preferences: {SkipMatching: true}")
        + &call("50m", "StartInstanceRefresh", "Preferences: {SkipMatching: true}");
    let log = run(&format!("{ONE}, MinSize: 2, MaxSize: 2"), &format!("actions:\n{actions}"));
    assert_eq!(hosts(&log, "Terminating"), [0, 1], "the second refresh finds nothing to replace");
    assert_eq!(actions_of(&log).iter().filter(|action| **action == "refreshed").count(), 2);
    let told: Vec<&str> = log.reasons("auto-scaling-group", "refresh").into_iter().map(|(_, reason)| reason).collect();
    assert!(told[0].starts_with("2 instances") && told[1].starts_with("0 instances"), "{told:?}");
}

#[test]
fn asg_42_without_skip_matching_everything_is_replaced() {
    let actions = call("20m", "StartInstanceRefresh", "");
    let log = run(&with_template("MinSize: 2, MaxSize: 2"), &format!("actions:\n{actions}"));
    assert_eq!(hosts(&log, "Terminating"), [0, 1]);
}

const TO_VERSION_2: &str = "DesiredConfiguration: {LaunchTemplate: {LaunchTemplateName: ecs, Version: '2'}}";

#[test]
fn asg_42_a_cancelled_refresh_leaves_the_group_with_its_old_settings() {
    let matching = call("50m", "StartInstanceRefresh", "Preferences: {SkipMatching: true}");
    let actions = call("20m", "StartInstanceRefresh", &format!("{TO_VERSION_2}, Preferences: {{InstanceWarmup: 600}}"))
        + &call("21m", "CancelInstanceRefresh", "")
        + &matching;
    let log = run(&with_template("MinSize: 3, MaxSize: 3"), &format!("duration: 2h\nactions:\n{actions}"));
    assert_eq!(hosts(&log, "Terminating"), [0, 3], "the one that was launched from version 2 is the odd one out");
}

#[test]
fn asg_42_a_refresh_can_be_rolled_back() {
    let start = call("10m", "StartInstanceRefresh", &format!("{TO_VERSION_2}, Preferences: {{InstanceWarmup: 120}}"));
    let rollback = call("12m", "RollbackInstanceRefresh", "");
    let log = run(&with_template("MinSize: 3, MaxSize: 3"), &format!("duration: 2h\nactions:\n{start}{rollback}"));
    assert_eq!(hosts(&log, "Terminating"), [0, 3]);
    let told = actions_of(&log);
    assert!(told.contains(&"refresh-rolled-back") && told.ends_with(&["refreshed"]), "{told:?}");
    let plain = call("10m", "StartInstanceRefresh", "Preferences: {InstanceWarmup: 600}");
    let log = run(&with_template("MinSize: 3, MaxSize: 3"), &format!("actions:\n{plain}{rollback}"));
    assert_eq!(log.refused(), [(720.0, "ASG-42")], "without a desired configuration there is no way back");
}

const ALARM: &str = "metrics:\n  - {Namespace: Shop, MetricName: Errors, Dimensions: [], Period: 60, values: [VALUES]}\n\
    alarms:\n  - {AlarmName: errors, Namespace: Shop, MetricName: Errors, Statistic: Sum, Period: 60, \
    EvaluationPeriods: 1, Threshold: 10, ComparisonOperator: GreaterThanThreshold}\n";

/// Errors from minute 12 to 20.
fn alarm() -> String {
    let values: Vec<&str> = (0..60).map(|minute| if (12..20).contains(&minute) { "50" } else { "0" }).collect();
    ALARM.replace("VALUES", &values.join(", "))
}

#[test]
fn asg_42_an_alarm_fails_a_refresh_and_takes_it_back_where_it_is_told_to() {
    let preferences = "Preferences: {InstanceWarmup: 240, AlarmSpecification: {Alarms: [errors]}, AutoRollback: true}";
    let actions = call("10m", "StartInstanceRefresh", &format!("{TO_VERSION_2}, {preferences}"));
    let log = run(&with_template("MinSize: 3, MaxSize: 3"), &format!("{}actions:\n{actions}", alarm()));
    let told = actions_of(&log);
    assert!(told.contains(&"refresh-failed") && told.contains(&"refresh-rolled-back"), "{told:?}");
    assert_eq!(hosts(&log, "Terminating"), [0, 3]);
}

#[test]
fn asg_42_the_bake_time_is_long_enough_for_an_alarm() {
    let start = |bake: u32| {
        let preferences = format!(
            "Preferences: {{BakeTime: {bake}, AlarmSpecification: {{Alarms: [errors]}}, MinHealthyPercentage: 0}}"
        );
        call("10m", "StartInstanceRefresh", &preferences)
    };
    let ends = |bake| {
        let log = run(&with_template("MinSize: 1, MaxSize: 1"), &format!("{}actions:\n{}", alarm(), start(bake)));
        actions_of(&log).into_iter().rfind(|action| action.starts_with("refresh")).map(str::to_owned)
    };
    assert_eq!(ends(0).as_deref(), Some("refreshed"));
    assert_eq!(ends(900).as_deref(), Some("refresh-failed"));
}

#[rstest]
#[case("Preferences: {AutoRollback: true}")]
#[case("Preferences: {AlarmSpecification: {Alarms: [nobody]}}")]
#[case("Preferences: {StandbyInstances: Refresh}")]
#[case("Preferences: {CheckpointPercentages: [50, 20]}")]
#[case("Preferences: {MinHealthyPercentage: 50, MaxHealthyPercentage: 180}")]
fn asg_42_preferences_that_aws_refuses_are_refused(#[case] with: &str) {
    let log = run(
        &with_template("MinSize: 1, MaxSize: 1"),
        &format!("actions:\n{}", call("10m", "StartInstanceRefresh", with)),
    );
    assert_eq!(log.refused(), [(600.0, "ASG-42")]);
    assert_eq!(steps(&log, "Terminating"), []);
}

#[rstest]
#[case("Wait", false, "refresh-failed")]
#[case("Terminate", true, "refreshed")]
#[case("Ignore", false, "refreshed")]
fn asg_42_instances_in_standby_are_waited_for_or_go_or_stay(
    #[case] standby: &str,
    #[case] goes: bool,
    #[case] end: &str,
) {
    let aside = call("5m", "EnterStandby", "InstanceIds: ['#0'], ShouldDecrementDesiredCapacity: true");
    let actions =
        aside + &call("10m", "StartInstanceRefresh", &format!("Preferences: {{StandbyInstances: {standby}}}"));
    let log = run(
        &with_template("MinSize: 0, MaxSize: 2, DesiredCapacity: 2"),
        &format!("duration: 3h\nactions:\n{actions}"),
    );
    assert_eq!(hosts(&log, "Terminating").contains(&0), goes);
    assert_eq!(actions_of(&log).into_iter().rfind(|action| action.starts_with("refresh")), Some(end));
}

#[test]
fn asg_3_the_zone_distribution_can_change() {
    let shortage = "faults:\n  - {at: 5m, fault: insufficientCapacity, with: {availabilityZone: us-east-1a}}\n";
    let update = |strategy| {
        let with = format!("AvailabilityZoneDistribution: {{CapacityDistributionStrategy: {strategy}}}");
        call("6m", "UpdateAutoScalingGroup", &with) + &call("10m", "SetDesiredCapacity", "DesiredCapacity: 3")
    };
    let group = "InstanceType: m5.large, MinSize: 0, MaxSize: 4, DesiredCapacity: 0, \
                 AvailabilityZones: [us-east-1a, us-east-1b]";
    let in_service = |strategy| {
        let log = run(group, &format!("{shortage}actions:\n{}", update(strategy)));
        log.level_at("asg/g", "GroupInServiceInstances", 3599.0)
    };
    assert_eq!(in_service("balanced-only"), 1.0, "it keeps trying the zone that has nothing");
    assert_eq!(in_service("balanced-best-effort"), 3.0);
    assert_eq!(in_service("reservations-then-balanced"), 3.0);
}

/// `m5.large` counts for one unit, `m5.4xlarge` for eight.
fn weighted(sizes: &str, types: &str) -> String {
    format!(
        "AvailabilityZones: [us-east-1a], {sizes}, MixedInstancesPolicy: {{LaunchTemplate: {{LaunchTemplateSpecification: \
         {{LaunchTemplateName: t}}, Overrides: [{types}]}}}}"
    )
}

const LARGE: &str = "{InstanceType: m5.large, WeightedCapacity: '1'}";
const HUGE: &str = "{InstanceType: m5.4xlarge, WeightedCapacity: '5'}";

#[test]
fn ex_asg_12_in_a_run() {
    let log = run(&weighted("MinSize: 2, MaxSize: 9", HUGE), "");
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 3599.0), 1.0);
    assert_eq!(log.level_at("asg/g", "GroupInServiceCapacity", 3599.0), 5.0, "three units over");
    assert_eq!(steps(&log, "Terminating"), [], "and none of them can be taken back");
}

#[test]
fn asg_36_sizes_are_units_and_scale_in_never_goes_below_what_is_wanted() {
    let down = call("10m", "SetDesiredCapacity", "DesiredCapacity: 6")
        + &call("20m", "SetDesiredCapacity", "DesiredCapacity: 4");
    let shortage = "faults:\n  - {at: 1m, fault: insufficientCapacity, with: {instanceType: m5.4xlarge}}\n";
    let types = format!("{HUGE}, {LARGE}");
    let group = weighted("MinSize: 0, MaxSize: 20, DesiredCapacity: 10", &types);
    let log = run(&group, &format!("{shortage}actions:\n{down}"));
    let capacity = |at| log.level_at("asg/g", "GroupInServiceCapacity", at);
    assert_eq!(capacity(599.0), 10.0, "two of five");
    assert_eq!(capacity(1199.0), 10.0, "five fewer would be too few");
    assert_eq!(capacity(1799.0), 5.0);
}

#[rstest]
#[case("{InstanceType: m5.large, WeightedCapacity: '0'}", "between 1 and 999")]
#[case("{InstanceType: m5.large, WeightedCapacity: '1000'}", "between 1 and 999")]
#[case("{InstanceType: m5.large, WeightedCapacity: '2'}, {InstanceType: m6i.large}", "for all of them")]
fn asg_36_weights_that_aws_refuses_are_refused(#[case] types: &str, #[case] words: &str) {
    let text = estate(&weighted("MinSize: 1, MaxSize: 2", types), "");
    let error = load_str("groups.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn cp_16_weights_and_a_capacity_provider_do_not_go_together() {
    let provider = "capacityProviders:\n  - {name: p, autoScalingGroupProvider: {autoScalingGroupArn: g}}\n";
    let text = estate(&weighted("MinSize: 1, MaxSize: 2", LARGE), provider);
    let error = load_str("groups.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("has instance weights, which capacity providers do not support"), "{error}");
    let with = format!("MixedInstancesPolicy: {{LaunchTemplate: {{Overrides: [{LARGE}]}}}}");
    let log = run(
        &format!("{ONE}, MinSize: 1, MaxSize: 2"),
        &format!("{provider}actions:\n{}", call("10m", "UpdateAutoScalingGroup", &with)),
    );
    assert_eq!(log.refused(), [(600.0, "CP-16")]);
}

#[test]
fn asg_44_launches_draw_on_the_accounts_tokens() {
    let behaviour = "behaviour: {run_instances_bucket: 10, run_instances_refill_per_s: 1, asg_launch_batch: 4}\n";
    let log = run(&format!("{ONE}, MinSize: 20, MaxSize: 20"), behaviour);
    let mut calls: Vec<(f64, usize)> = Vec::new();
    for (at, _) in steps(&log, "Launched") {
        match calls.last_mut() {
            Some((last, count)) if *last == at => *count += 1,
            _ => calls.push((at, 1)),
        }
    }
    // Ten tokens, ten instances; then a call of four whenever four tokens are back, and the last of two.
    assert_eq!(calls, [(5.0, 10), (9.0, 4), (13.0, 4), (15.0, 2)]);
    let told = log.decided("auto-scaling-group");
    assert_eq!(told.iter().filter(|(_, action, rule)| (*action, *rule) == ("not-launched", "ASG-44")).count(), 3);
}

const FAILING_HOOK: &str = "lifecycleHooks:\n  - {AutoScalingGroupName: g, LifecycleHookName: h, HeartbeatTimeout: 30, \
                            LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'}\n";

#[test]
fn asg_15_hooks_that_keep_failing_slow_launches_down_and_at_last_suspend_them() {
    let log = run(&format!("{ONE}, MinSize: 1, MaxSize: 1"), &format!("duration: 30h\n{FAILING_HOOK}"));
    let launched: Vec<f64> = steps(&log, "Launched").into_iter().map(|(at, _)| at).collect();
    // Held from 20 s after the launch on for 30 s. The first is replaced after the group's 5 s, later ones after 60, 120,
    // 240, 480 and then always 600 s.
    let gaps: Vec<f64> = launched.windows(2).take(7).map(|pair| pair[1] - pair[0] - 50.0).collect();
    assert_eq!(gaps, [5.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]);
    let suspended: Vec<f64> = log
        .decided("auto-scaling-group")
        .iter()
        .filter(|(_, action, _)| *action == "suspend")
        .map(|(at, ..)| *at)
        .collect();
    assert_eq!(suspended.len(), 1);
    assert!((86_455.0..87_200.0).contains(&suspended[0]), "a day after the first failure: {suspended:?}");
    assert!(launched.last().is_some_and(|last| *last < suspended[0]));
}

#[test]
fn asg_15_one_launch_that_succeeds_ends_the_throttle() {
    let complete = "  - {at: 200s, call: 'autoscaling:CompleteLifecycleAction', with: {AutoScalingGroupName: g, \
                    LifecycleHookName: h, InstanceId: '#2', LifecycleActionResult: CONTINUE}}\n";
    let actions = complete.to_owned() + &call("10m", "SetDesiredCapacity", "DesiredCapacity: 2");
    let log = run(&format!("{ONE}, MinSize: 1, MaxSize: 2"), &format!("{FAILING_HOOK}actions:\n{actions}"));
    let launched: Vec<f64> = steps(&log, "Launched").into_iter().map(|(at, _)| at).collect();
    assert_eq!(launched[..4], [5.0, 60.0, 170.0, 605.0]);
    assert_eq!(launched[4], 605.0 + 55.0, "the first failure in a row again");
}

#[rstest]
// The replacement would come from a pool that is taken back more readily, or as readily.
#[case(0.01, false)]
#[case(0.0001, true)]
fn asg_39_no_replacement_from_a_worse_pool(#[case] hazard: f64, #[case] replaced: bool) {
    let group = "AvailabilityZones: [us-east-1a], MinSize: 1, MaxSize: 2, CapacityRebalance: true, MixedInstancesPolicy: \
                 {LaunchTemplate: {LaunchTemplateSpecification: {LaunchTemplateName: t}, \
                 Overrides: [{InstanceType: m5.large}, {InstanceType: m6i.large}]}, \
                 InstancesDistribution: {OnDemandPercentageAboveBaseCapacity: 0, \
                 SpotAllocationStrategy: capacity-optimized-prioritized}}";
    // The pool of the present instance has nothing left.
    let rest = format!(
        "behaviour: {{spot_interruptions: none}}\nspotPools:\n  - {{InstanceType: m5.large, capacity: {{steps: [[0s, 1]]}}, \
         interruptionsPerHour: 0.0001}}\n  - {{InstanceType: m6i.large, interruptionsPerHour: {hazard}}}\n\
         faults:\n  - {{at: 10m, fault: rebalanceRecommendation, with: {{instances: ['#0']}}}}\n"
    );
    let log = run(group, &rest);
    assert_eq!(steps(&log, "Launched").len() == 2, replaced);
    let told = if replaced { "replace" } else { "keep" };
    assert!(log.decided("auto-scaling-group").contains(&(600.0, told, "ASG-39")));
}

#[test]
fn ec2_2_in_a_run_a_reserve_above_the_total_keeps_the_host_out_of_the_cluster() {
    let log = run(&format!("{ONE}, MinSize: 1, MaxSize: 1, ecsReservedMemory: 9000"), "");
    assert_eq!((log.step(0, "InService"), log.step(0, "Registered")), (Some(25.0), None));
    assert_eq!(log.decided("ecs-agent"), [(50.0, "registration-failed", "EC2-2")]);
}

#[test]
fn net_3_a_host_with_a_trunk_is_registering_until_that_is_attached() {
    let text = "name: trunks
duration: 1h
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 4, DesiredCapacity: 0}
capacityProviders:
  - {name: p, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
taskDefinitions:
  - {family: job, networkMode: awsvpc, containerDefinitions: [{name: app, image: app, cpu: 128, memory: 128}]}
actions:
  - {at: 0s, call: 'ecs:PutAccountSettingDefault', with: {name: awsvpcTrunking, value: enabled}}
  - {at: 10s, call: 'ecs:RunTask', with: {taskDefinition: job, count: 7, networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-1]}}, capacityProviderStrategy: [{capacityProvider: p, weight: 1}]}}
  - {at: 30m, call: 'autoscaling:TerminateInstanceInAutoScalingGroup', with: {InstanceId: '#0', ShouldDecrementDesiredCapacity: false}}
";
    let log = run_text(text);
    // Launched at 80, registered at 125, ACTIVE ten seconds later; waiting tasks are tried five seconds after that.
    assert_eq!((log.step(0, "Registered"), log.step(0, "Activated")), (Some(125.0), Some(135.0)));
    assert!(log.times("family:job", "RUNNING").iter().all(|at| *at > 140.0));
    assert_eq!(log.times("family:job", "RUNNING").len(), 7, "ten fit where two would without a trunk");
}

#[test]
fn drn_3_the_draining_hook_is_named_and_can_be_completed_by_hand() {
    let text = "name: drains
duration: 1h
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 4, DesiredCapacity: 1}
capacityProviders:
  - {name: p, autoScalingGroupProvider: {autoScalingGroupArn: g}}
taskDefinitions:
  - {family: job, containerDefinitions: [{name: app, image: app, cpu: 128, memory: 128}]}
actions:
  - {at: 5m, call: 'ecs:RunTask', with: {taskDefinition: job, capacityProviderStrategy: [{capacityProvider: p, weight: 1}]}}
  - {at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 0}}
  - {at: 20m, call: 'autoscaling:CompleteLifecycleAction', with: {AutoScalingGroupName: g, LifecycleHookName: ecs-managed-draining-termination-hook, InstanceId: '#0', LifecycleActionResult: CONTINUE}}
";
    let log = run_text(text);
    assert_eq!(log.decided("ecs"), [(605.0, "drain", "DRN-3")]);
    assert!(log.reasons("ecs", "drain")[0].1.contains("ecs-managed-draining-termination-hook"));
    assert_eq!(log.step(0, "ShuttingDown"), Some(1200.0), "the task would have gone on for ever");
}

/// What the state holds of instances at the end of a run, and the most it held at once.
#[derive(Debug, Default)]
struct Held {
    launched: u32,
    most: usize,
}

impl Observer for Held {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, _: SimTime, record: &Record<'_>, state: &State) {
        if let Record::Instance { step: InstanceStep::Launched, .. } = record {
            self.launched += 1;
            self.most = self.most.max(state.instance_groups.capacity());
        }
    }

    fn finish(&mut self, _: SimTime, _: &State) {}
}

#[test]
fn memory_follows_the_instances_that_are_there_and_not_those_that_were() {
    // A host lives for some minutes: ten at a time, hundreds in all.
    let text = "name: churn
duration: 20h
delays: {preset: constant}
behaviour: {spot_interruptions: independent}
spotPools: [{InstanceType: m5.large, interruptionsPerHour: 12}]
autoScalingGroups:
  - AutoScalingGroupName: g
    MinSize: 10
    MaxSize: 10
    MixedInstancesPolicy:
      LaunchTemplate: {LaunchTemplateSpecification: {LaunchTemplateName: t}, Overrides: [{InstanceType: m5.large}]}
      InstancesDistribution: {OnDemandPercentageAboveBaseCapacity: 0}
";
    let scenario = load_str("churn.yaml", text, &LoadOptions::default()).unwrap();
    let mut held = Held::default();
    control_plane::run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut held, |_| {});
    assert!(held.launched > 800, "{held:?}");
    // Places come by the page of 64 ids; the oldest host may be far behind the newest.
    assert!(held.most <= 64 * 8, "{held:?}");
}

#[rstest]
#[case("SuspendProcesses", "ScalingProcesses: [Rebalance]", "ASG-43")]
#[case("UpdateAutoScalingGroup", "MinSize: 3, MaxSize: 2", "ASG-1")]
#[case("SetDesiredCapacity", "DesiredCapacity: 9", "ASG-1")]
#[case("UpdateAutoScalingGroup", "LaunchTemplate: {LaunchTemplateName: t, Version: newest}", "ASG-6")]
fn calls_about_groups_that_aws_refuses_are_refused(#[case] name: &str, #[case] with: &str, #[case] rule: &str) {
    let log = run(&format!("{ONE}, MinSize: 1, MaxSize: 2"), &format!("actions:\n{}", call("10m", name, with)));
    assert_eq!(log.refused(), [(600.0, rule)]);
    assert_eq!(log.level_at("asg/g", "GroupDesiredCapacity", 3599.0), 1.0);
}
