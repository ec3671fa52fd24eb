//! Warm pools: ASG-41 and what it has to do with hooks, refreshes, managed scaling and the bill.

use ecsim::scenario::{LoadOptions, load_str};
use rstest::rstest;

use crate::lab::{Log, run_text};

/// One group `g` of `m5.large` with a warm pool.
fn estate(group: &str, pool: &str, rest: &str) -> String {
    let duration = if rest.contains("duration:") { "" } else { "duration: 1h\n" };
    format!(
        "name: pools\n{duration}autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, {group}}}\n\
         warmPools:\n  - {{AutoScalingGroupName: g{pool}}}\n{rest}"
    )
}

fn run(group: &str, pool: &str, rest: &str) -> Log {
    run_text(&estate(group, pool, rest))
}

fn call(at: &str, call: &str, with: &str) -> String {
    let more = if with.is_empty() { String::new() } else { format!(", {with}") };
    format!("  - {{at: {at}, call: 'autoscaling:{call}', with: {{AutoScalingGroupName: g{more}}}}}\n")
}

fn desired(at: &str, size: u32) -> String {
    call(at, "SetDesiredCapacity", &format!("DesiredCapacity: {size}"))
}

fn steps(log: &Log, step: &str) -> Vec<(f64, u32)> {
    log.instances.iter().filter(|(.., s)| s == step).map(|(at, host, _)| (*at, *host)).collect::<Vec<_>>()
}

fn level(log: &Log, metric: &str, at: f64) -> f64 {
    log.level_at("asg/g", metric, at)
}

#[test]
fn ex_asg_11_a_default_pool_holds_what_the_group_may_still_grow_by() {
    let log = run("MinSize: 0, MaxSize: 10, DesiredCapacity: 6", "", "");
    assert_eq!(level(&log, "WarmPoolDesiredCapacity", 0.0), 4.0);
    // Launched at 5 like the others, up at 25: stopped.
    assert_eq!(level(&log, "WarmPoolPendingCapacity", 24.0), 4.0);
    assert_eq!(level(&log, "WarmPoolWarmedCapacity", 25.0), 4.0);
    assert_eq!(level(&log, "GroupInServiceInstances", 25.0), 6.0);
    assert_eq!(steps(&log, "Registered").len(), 6, "agents in the pool wait");
}

#[test]
fn asg_41_scale_out_takes_warm_instances_first_and_then_starts_cold() {
    let actions = desired("10m", 5);
    let log = run(
        "MinSize: 0, MaxSize: 9, DesiredCapacity: 1",
        ", MaxGroupPreparedCapacity: 3",
        &format!("actions:\n{actions}"),
    );
    assert_eq!(level(&log, "WarmPoolWarmedCapacity", 599.0), 2.0);
    assert_eq!(steps(&log, "TakenFromPool").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [605.0, 605.0]);
    let cold: Vec<f64> = steps(&log, "Launched").iter().map(|(at, _)| *at).filter(|at| *at > 600.0).collect();
    assert_eq!(cold, [605.0, 605.0]);
    // EC2-21: a stopped host's agent is there after 25 s, a new host's after 45 s.
    let registered: Vec<f64> = steps(&log, "Registered").iter().map(|(at, _)| *at).filter(|at| *at > 600.0).collect();
    assert_eq!(registered, [630.0, 630.0, 650.0, 650.0]);
    assert_eq!(level(&log, "WarmPoolDesiredCapacity", 3599.0), 0.0, "more are in service than are prepared");
}

#[test]
fn asg_41_the_pool_grows_as_the_group_shrinks_and_shrinks_as_it_grows() {
    let actions = desired("10m", 1) + &desired("20m", 4);
    let log = run("MinSize: 0, MaxSize: 6, DesiredCapacity: 4", "", &format!("actions:\n{actions}"));
    assert_eq!([599.0, 700.0, 1300.0].map(|at| level(&log, "WarmPoolWarmedCapacity", at)), [2.0, 5.0, 2.0]);
    assert_eq!(steps(&log, "Launched").len(), 6 + 3);
}

#[test]
fn asg_41_a_pool_too_large_gives_up_its_newest() {
    let actions = call("10m", "UpdateAutoScalingGroup", "MaxSize: 3");
    let log = run(
        "MinSize: 0, MaxSize: 6, DesiredCapacity: 1, AvailabilityZones: [us-east-1a]",
        "",
        &format!("actions:\n{actions}"),
    );
    assert_eq!(steps(&log, "Terminating"), [(605.0, 5), (605.0, 4), (605.0, 3)]);
    assert_eq!(level(&log, "WarmPoolTerminatingCapacity", 606.0), 3.0);
    assert_eq!(level(&log, "WarmPoolWarmedCapacity", 606.0), 2.0);
    assert!(log.decided("auto-scaling-group").contains(&(605.0, "terminate", "ASG-41")));
}

#[rstest]
#[case("Stopped", 605.0, 625.0, 630.0)]
#[case("Hibernated", 605.0, 625.0, 630.0)]
// In service at once; its agent, which asks once a minute since the machine runs (15 s), finds out at 615.
#[case("Running", 605.0, 605.0, 615.0)]
fn asg_41_every_state_of_the_pool_serves_in_its_own_time(
    #[case] state: &str,
    #[case] taken: f64,
    #[case] in_service: f64,
    #[case] registered: f64,
) {
    let pool = format!(", MaxGroupPreparedCapacity: 1, PoolState: {state}");
    let log = run("MinSize: 0, MaxSize: 2, DesiredCapacity: 0", &pool, &format!("actions:\n{}", desired("10m", 1)));
    assert_eq!(log.step(0, "TakenFromPool"), Some(taken));
    assert_eq!((log.step(0, "InService"), log.step(0, "Registered")), (Some(in_service), Some(registered)));
}

#[test]
fn asg_12_launch_hooks_hold_on_the_way_into_the_pool_and_again_on_the_way_out() {
    let hooks = "lifecycleHooks:\n  - {AutoScalingGroupName: g, LifecycleHookName: h, completesAfter: 100s, \
                 LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'}\n";
    let rest = format!("{hooks}actions:\n{}", desired("10m", 1));
    let log = run("MinSize: 0, MaxSize: 2, DesiredCapacity: 0", ", MaxGroupPreparedCapacity: 1", &rest);
    assert_eq!(log.step(0, "Warmed"), Some(125.0), "launched at 5, up at 25, held for 100");
    assert_eq!(log.step(0, "InService"), Some(725.0));
}

#[test]
fn asg_14_an_abandoned_hook_keeps_an_instance_from_the_pool() {
    let hooks = "lifecycleHooks:\n  - {AutoScalingGroupName: g, LifecycleHookName: h, HeartbeatTimeout: 60, \
                 LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'}\n";
    let log = run("MinSize: 0, MaxSize: 2, DesiredCapacity: 0", ", MaxGroupPreparedCapacity: 1", hooks);
    assert_eq!(steps(&log, "Terminating")[0], (85.0, 0));
    assert_eq!(steps(&log, "Warmed"), []);
    assert!(steps(&log, "Launched").len() > 2, "and it is tried again");
}

#[test]
fn asg_41_scale_in_puts_instances_back_where_the_policy_says_so() {
    let pool = ", MaxGroupPreparedCapacity: 3, InstanceReusePolicy: {ReuseOnScaleIn: true}";
    let actions = desired("10m", 1) + &desired("20m", 3);
    let log = run("MinSize: 0, MaxSize: 4, DesiredCapacity: 3", pool, &format!("actions:\n{actions}"));
    assert_eq!(steps(&log, "Launched").len(), 3, "nothing but the three is ever launched");
    assert_eq!(steps(&log, "ReturnedToPool").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [605.0, 605.0]);
    assert_eq!(steps(&log, "TakenFromPool").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1205.0, 1205.0]);
    assert_eq!(steps(&log, "Registered").len(), 5, "what comes back registers anew");
    assert_eq!(steps(&log, "Terminating"), []);
}

#[test]
fn ec2_23_a_pool_of_stopped_instances_costs_their_minutes_and_their_volumes() {
    // Two in the pool; in the run of an hour each ran from 15 to 25: a minute at the least.
    let group = "MinSize: 0, MaxSize: 2, DesiredCapacity: 0";
    let cost = |state: &str| {
        let text = estate(group, &format!(", PoolState: {state}"), "delays: {preset: constant}\n");
        let scenario = load_str("pools.yaml", &text, &LoadOptions::default()).unwrap();
        let mut recorder = ecsim::report::recorder::Recorder::new(&scenario.estate);
        let options = ecsim::control_plane::RunOptions { replication: 0, paranoid: true };
        ecsim::control_plane::run(&scenario.estate, options, &mut recorder, |_| {});
        let summary = recorder.into_summary(None).unwrap();
        ["cost_ec2_on_demand_usd", "cost_ebs_usd", "instance_hours", "idle_warm_pool_usd"]
            .map(|metric| summary.get(metric).unwrap_or(0.0))
    };
    let (stopped, running) = (cost("Stopped"), cost("Running"));
    let hourly = 0.096;
    assert!((stopped[0] - 2.0 * hourly / 60.0).abs() < 1e-6, "{stopped:?}");
    assert!((running[0] - 2.0 * hourly * 3585.0 / 3600.0).abs() < 1e-6, "{running:?}");
    assert!((stopped[1] - running[1]).abs() < 1e-9 && stopped[1] > 0.0, "volumes are billed in either state");
    assert!((running[3] - running[0]).abs() < 1e-6, "all of it is the price of being ready: {running:?}");
    assert!(stopped[2] < running[2]);
}

#[test]
fn ex_asg_20() {
    let pool = ", MinSize: 10";
    let policy = "InstanceMaintenancePolicy: {MinHealthyPercentage: 90, MaxHealthyPercentage: 120}";
    let actions = call("10m", "StartInstanceRefresh", "");
    let group = format!("MinSize: 1, MaxSize: 1, {policy}");
    let log = run(&group, pool, &format!("duration: 2h\nactions:\n{actions}"));
    let warm: Vec<f64> =
        log.level("asg/g", "WarmPoolWarmedCapacity").iter().filter(|(at, _)| *at > 600.0).map(|(_, n)| *n).collect();
    assert!(warm.iter().all(|count| (9.0..=12.0).contains(count)), "{warm:?}");
    let pending = log.level("asg/g", "WarmPoolPendingCapacity");
    let most =
        pending.iter().filter(|(at, _)| *at > 600.0).map(|(at, n)| n + level(&log, "WarmPoolWarmedCapacity", *at));
    assert!(most.fold(0.0, f64::max) <= 12.0);
    let gone = steps(&log, "Terminating");
    assert_eq!(gone.len(), 11, "the one in service and the ten that wait");
    assert!(gone.iter().all(|(_, host)| *host < 11), "each goes once: {gone:?}");
    assert!(log.decided("auto-scaling-group").iter().any(|(_, action, _)| *action == "refreshed"));
}

#[test]
fn asg_42_a_refresh_takes_nothing_stale_from_the_pool() {
    let actions =
        call("10m", "StartInstanceRefresh", "Preferences: {MinHealthyPercentage: 0, MaxHealthyPercentage: 100}");
    let log = run("MinSize: 2, MaxSize: 2", ", MinSize: 2", &format!("duration: 2h\nactions:\n{actions}"));
    assert!(steps(&log, "TakenFromPool").iter().all(|(_, host)| *host >= 4), "{:?}", steps(&log, "TakenFromPool"));
    assert!(log.decided("auto-scaling-group").iter().any(|(_, action, _)| *action == "refreshed"));
}

#[test]
fn cas_26_an_instance_taken_from_the_pool_is_as_young_as_that() {
    // A first task takes two hosts from the pool (CAS-25); the warm-up of 300 s is counted from there, not from the launch.
    let text = "name: pools
duration: 1h
capacityProviders:
  - name: p
    autoScalingGroupProvider:
      autoScalingGroupArn: g
      managedScaling: {status: ENABLED, instanceWarmupPeriod: 300}
autoScalingGroups:
  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 8}
warmPools:
  - {AutoScalingGroupName: g}
taskDefinitions:
  - {family: job, containerDefinitions: [{name: app, image: app, cpu: 2048, memory: 512}]}
actions:
  - {at: 1810s, call: 'ecs:RunTask', with: &task {taskDefinition: job, count: 5, capacityProviderStrategy: [{capacityProvider: p, weight: 1}]}}
";
    let log = run_text(text);
    let taken: Vec<f64> = steps(&log, "TakenFromPool").iter().map(|(at, _)| *at).collect();
    // Tick at 1860, datapoint at 1865, alarm at 1875, reaction at 1880; registered 25 s later; placed 5 s after that.
    assert_eq!(taken[..2], [1880.0, 1880.0]);
    assert_eq!(log.times("family:job", "RUNNING").len(), 5);
    assert!(taken[2] >= 1880.0 + 300.0, "{taken:?}");
    assert_eq!(steps(&log, "Launched").len(), 8, "nothing is started cold");
}

#[test]
fn asg_41_a_deleted_pool_goes_with_its_last_instance() {
    let hooks = "lifecycleHooks:\n  - {AutoScalingGroupName: g, LifecycleHookName: h, HeartbeatTimeout: 300, \
                 LifecycleTransition: 'autoscaling:EC2_INSTANCE_TERMINATING'}\n";
    let group = "MinSize: 0, MaxSize: 2, DesiredCapacity: 0";
    let actions = call("10m", "DeleteWarmPool", "") + &call("11m", "PutWarmPool", "") + &call("20m", "PutWarmPool", "");
    let log = run(group, "", &format!("{hooks}actions:\n{actions}"));
    assert_eq!(steps(&log, "ShuttingDown").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [905.0, 905.0]);
    assert_eq!(log.refused(), [(660.0, "ASG-41")], "it is being deleted");
    assert_eq!(level(&log, "WarmPoolWarmedCapacity", 3599.0), 2.0, "and there again at 20 min");
    let forced = call("10m", "DeleteWarmPool", "ForceDelete: true") + &call("20m", "DeleteWarmPool", "");
    let log = run(group, "", &format!("{hooks}actions:\n{forced}"));
    assert_eq!(steps(&log, "ShuttingDown").iter().map(|(at, _)| *at).collect::<Vec<_>>(), [600.0, 600.0]);
    assert_eq!(log.refused(), [(1200.0, "ASG-41")], "there is none");
}

#[test]
fn asg_41_calls_that_aws_refuses_are_refused() {
    let actions =
        call("10m", "StartInstanceRefresh", "Preferences: {InstanceWarmup: 3000}") + &call("11m", "PutWarmPool", "");
    let log = run("MinSize: 2, MaxSize: 3", "", &format!("actions:\n{actions}"));
    assert_eq!(log.refused(), [(660.0, "ASG-41")]);
    assert!(log.reasons("operator", "refuse")[0].1.contains("InstanceRefreshInProgress"));
}

#[rstest]
#[case("", ", PoolState: Frozen", "", "is no state of a warm pool")]
#[case(
    "MixedInstancesPolicy: {LaunchTemplate: {Overrides: [{InstanceType: m5.large}, {InstanceType: m6i.large}]}},",
    "",
    "",
    "mixed instances policy"
)]
#[case(
    "",
    ", InstanceReusePolicy: {ReuseOnScaleIn: true}",
    "capacityProviders:\n  - {name: p, autoScalingGroupProvider: {autoScalingGroupArn: g}}\n",
    "does not support an instance reuse policy"
)]
fn what_aws_refuses_of_a_pool_is_refused(
    #[case] group: &str,
    #[case] pool: &str,
    #[case] rest: &str,
    #[case] words: &str,
) {
    let text = estate(&format!("{group} MinSize: 1, MaxSize: 2"), pool, rest);
    let error = load_str("pools.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_pool_of_an_unknown_group_is_a_mistake() {
    let text = estate("MinSize: 1, MaxSize: 2", "", "")
        .replace("warmPools:\n  - {AutoScalingGroupName: g", "warmPools:\n  - {AutoScalingGroupName: h");
    let error = load_str("pools.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("there is no Auto Scaling group `h`"), "{error}");
}

#[test]
fn an_outage_takes_the_pool_of_its_zone_and_the_pool_is_filled_elsewhere() {
    let faults = "faults:\n  - {at: 10m, for: 20m, fault: azOutage, with: {availabilityZone: us-east-1a}}\n";
    let group = "MinSize: 0, MaxSize: 4, DesiredCapacity: 0, AvailabilityZones: [us-east-1a, us-east-1b]";
    let log = run(group, "", faults);
    assert_eq!(steps(&log, "Terminated").len(), 2);
    assert_eq!(level(&log, "WarmPoolWarmedCapacity", 1200.0), 4.0);
}
