//! Spot, shortage and failure: `ASG-35…40`, `DRN-4`, `DRN-7`, and the faults that bring them about.

use ecsim::scenario::{LoadOptions, load_str};
use rstest::rstest;

use crate::lab::{Log, run_text};

const SPOT: &str = "MixedInstancesPolicy: {LaunchTemplate: {LaunchTemplateSpecification: {LaunchTemplateName: ecs}, \
                    Overrides: [{InstanceType: m5.large}]}, InstancesDistribution: {OnDemandPercentageAboveBaseCapacity: 0}}";

fn text(group: &str, rest: &str) -> String {
    format!("name: spot\nduration: 1h\nautoScalingGroups:\n  - {{AutoScalingGroupName: g, {group}}}\n{rest}")
}

fn run(group: &str, rest: &str) -> Log {
    run_text(&text(group, rest))
}

fn fault(at: &str, kind: &str, with: &str) -> String {
    format!("  - {{at: {at}, fault: {kind}, with: {{{with}}}}}\n")
}

/// When instances took a step, from `time` on.
fn steps(log: &Log, step: &str, time: f64) -> Vec<f64> {
    let mine = log.instances.iter().filter(|(at, _, s)| s == step && *at >= time);
    mine.map(|(at, ..)| *at).collect()
}

/// A service of two tasks on two Spot hosts.
fn served(group: &str, managed_draining: &str, faults: &str) -> Log {
    run_text(&format!(
        "name: spot\nduration: 1h\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, MinSize: 2, MaxSize: 4, {SPOT}{group}}}\n\
         capacityProviders:\n  - {{name: cp, autoScalingGroupProvider: {{autoScalingGroupArn: g, managedDraining: {managed_draining}}}}}\n\
         taskDefinitions:\n  - {{family: t, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 1024, memory: 1024}}]}}\n\
         services:\n  - {{serviceName: web, taskDefinition: t, desiredCount: 2, placementStrategy: [{{type: spread, field: instanceId}}], \
         capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]}}\n\
         faults:\n{faults}"
    ))
}

#[test]
fn asg_38_without_capacity_rebalancing_the_replacement_comes_after_the_end() {
    let faults = fault("605s", "spotInterruption", "autoScalingGroup: g, count: 1");
    let log = run(&format!("MinSize: 2, MaxSize: 2, {SPOT}"), &format!("faults:\n{faults}"));
    // Two minutes after the notice it is gone; the group finds out at its next check, and reacts.
    assert_eq!(steps(&log, "ShuttingDown", 600.0), [725.0]);
    assert_eq!(steps(&log, "Terminating", 600.0), [780.0]);
    assert_eq!(steps(&log, "Launched", 600.0), [785.0]);
    assert!(log.decided("ec2").contains(&(605.0, "spot-notice", "ASG-38")));
}

#[test]
fn asg_37_a_price_above_the_maximum_takes_instances_back_and_blocks_others() {
    let prices = "spotPools:\n  - {InstanceType: m5.large, pricePerHour: {steps: [[0s, 0.03], [20m, 0.08], [40m, 0.03]]}, interruptionsPerHour: 0}\n";
    let group = format!("MinSize: 2, MaxSize: 2, {SPOT}")
        .replace("OnDemandPercentage", "SpotMaxPrice: '0.05', OnDemandPercentage");
    let log = run(&group, prices);
    let decided = log.decided("ec2").into_iter();
    let notices: Vec<(f64, &str, &str)> = decided.filter(|(_, action, _)| *action == "spot-notice").collect();
    assert_eq!(notices, [(1200.0, "spot-notice", "ASG-37"); 2]);
    assert_eq!(steps(&log, "ShuttingDown", 600.0), [1320.0; 2]);
    let back = steps(&log, "Launched", 1200.0);
    assert!(back.len() == 2 && back.iter().all(|at| *at >= 2400.0), "blocked until the price is down again: {back:?}");
    let generous = run(&group.replace("0.05", "0.10"), prices);
    assert_eq!(generous.decided("ec2"), []);
    let smooth = text(
        &group,
        &prices.replace(
            "{steps: [[0s, 0.03], [20m, 0.08], [40m, 0.03]]}",
            "{diurnal: {base: 0.01, peak: 0.1, peakAt: 12h}}",
        ),
    );
    let refused = load_str("lab.yaml", &smooth, &LoadOptions::default()).unwrap_err().to_string();
    assert!(refused.contains("the pricePerHour of a pool changes in steps"), "{refused}");
}

#[test]
fn ex_spot_1() {
    let log = served("", "DISABLED", &fault("10m", "spotInterruption", "instances: ['#0']"));
    assert_eq!(log.step(0, "Draining"), None);
    assert_eq!(log.step(0, "ShuttingDown"), Some(720.0));
    assert_eq!(log.times("service:web", "STOPPED"), [720.0]);
}

#[test]
fn drn_4_managed_draining_has_the_two_minutes_of_the_notice() {
    let log = served("", "ENABLED", &fault("10m", "spotInterruption", "instances: ['#0']"));
    assert_eq!(log.step(0, "Draining"), Some(600.0));
    assert_eq!(log.step(0, "ShuttingDown"), Some(720.0), "the group itself does not terminate it");
    let stopped = log.times("service:web", "STOPPED");
    assert!(stopped.len() == 1 && stopped[0] < 720.0, "{stopped:?}");
}

#[test]
fn drn_7_the_agent_drains_its_host_at_the_notice() {
    let faults = fault("10m", "spotInterruption", "instances: ['#0']");
    let log = served(", ecsSpotInstanceDraining: true", "DISABLED", &faults);
    assert_eq!(log.step(0, "Draining"), Some(600.0));
    assert_eq!(log.step(0, "ShuttingDown"), Some(720.0));
}

#[test]
fn asg_39_a_recommendation_launches_first() {
    let faults = fault("10m", "rebalanceRecommendation", "instances: ['#0']");
    let log = run(&format!("MinSize: 2, MaxSize: 2, CapacityRebalance: true, {SPOT}"), &format!("faults:\n{faults}"));
    assert_eq!(steps(&log, "Launched", 600.0), [605.0]);
    assert_eq!(log.step(0, "Terminating"), Some(625.0), "once the replacement is in service");
    let off = run(&format!("MinSize: 2, MaxSize: 2, {SPOT}"), &format!("faults:\n{faults}"));
    assert_eq!(steps(&off, "Launched", 600.0), [0.0; 0]);
}

#[test]
fn asg_39_a_notice_starts_replacement_and_draining_at_once_unless_protected() {
    let faults = fault("10m", "spotInterruption", "instances: ['#0']");
    let log = run(&format!("MinSize: 2, MaxSize: 2, CapacityRebalance: true, {SPOT}"), &format!("faults:\n{faults}"));
    assert_eq!(log.step(0, "Terminating"), Some(600.0));
    assert_eq!(steps(&log, "Launched", 600.0), [605.0]);
    let group =
        format!("MinSize: 2, MaxSize: 2, CapacityRebalance: true, NewInstancesProtectedFromScaleIn: true, {SPOT}");
    let log = run(&group, &format!("faults:\n{faults}"));
    assert_eq!(log.step(0, "ShuttingDown"), Some(720.0), "protection does not stop EC2 (TP-6)");
    assert_eq!(log.step(0, "Terminating"), Some(780.0));
}

#[test]
fn asg_16_a_failed_machine_is_replaced_and_its_tasks_are_lost_at_once() {
    let log = served("", "ENABLED", &fault("605s", "instanceFailure", "instances: ['#0']"));
    assert_eq!(log.step(0, "ShuttingDown"), Some(605.0));
    assert_eq!(log.times("service:web", "STOPPED"), [605.0]);
    assert_eq!(log.step(0, "Terminating"), Some(660.0));
    assert_eq!(steps(&log, "Launched", 600.0), [665.0]);
}

#[test]
fn asg_43_without_health_checks_a_dead_machine_stays_until_they_are_resumed() {
    let suspend = |at: &str, call: &str| {
        format!(
            "  - {{at: {at}, call: 'autoscaling:{call}', with: {{AutoScalingGroupName: g, ScalingProcesses: [HealthCheck]}}}}\n"
        )
    };
    let rest = format!(
        "actions:\n{}{}faults:\n{}",
        suspend("5m", "SuspendProcesses"),
        suspend("1790s", "ResumeProcesses"),
        fault("605s", "instanceFailure", "instances: ['#0']")
    );
    let log = run("InstanceType: m5.large, MinSize: 2, MaxSize: 2", &rest);
    assert_eq!(log.step(0, "ShuttingDown"), Some(605.0));
    assert_eq!(log.step(0, "Terminating"), Some(1800.0));
}

#[test]
fn asg_40_a_shortage_is_retried_and_desired_stays() {
    let faults = "faults:\n  - {at: 0s, for: 30m, fault: insufficientCapacity, with: {instanceType: m5.large}}\n";
    let log = run("InstanceType: m5.large, MinSize: 2, MaxSize: 2", faults);
    // Attempts at 5, 65, 185, 425, 905, 1505 and 2105: the wait doubles up to ten minutes.
    let failed: Vec<f64> = log.activities.iter().filter(|(.., s, _)| *s == "Failed").map(|(at, ..)| *at).collect();
    assert_eq!(failed, [5.0, 65.0, 185.0, 425.0, 905.0, 1505.0]);
    assert_eq!(steps(&log, "Launched", 0.0), [2105.0, 2105.0]);
    assert_eq!(log.level("asg/g", "GroupDesiredCapacity"), [(0.0, 2.0)]);
}

#[rstest]
#[case("", &[3], &[1, 2])]
#[case(", AvailabilityZoneDistribution: {CapacityDistributionStrategy: balanced-only}", &[1], &[1, 2])]
fn ex_asg_19(#[case] distribution: &str, #[case] short: &[usize], #[case] recovered: &[usize]) {
    let group = format!(
        "InstanceType: m5.large, MinSize: 3, MaxSize: 3, AvailabilityZones: [us-east-1a, us-east-1b]{distribution}"
    );
    let faults = "faults:\n  - {at: 0s, for: 30m, fault: insufficientCapacity, with: {availabilityZone: us-east-1a}}\n";
    let log = run(&group, faults);
    let counts = |at| {
        let mut counts: Vec<usize> = log.hosts_by_zone(at).into_values().collect();
        counts.sort_unstable();
        counts
    };
    assert!(counts(1799.0).is_empty() || counts(1799.0) == short, "{:?}", counts(1799.0));
    assert_eq!(counts(3599.0), recovered);
}

#[test]
fn a_pool_that_shrinks_takes_its_instances_back() {
    let pools = "spotPools:\n  - {InstanceType: m5.large, capacity: {steps: [[0s, 10], [20m, 2], [40m, 10]]}}\n";
    let log = run(&format!("MinSize: 6, MaxSize: 6, AvailabilityZones: [us-east-1a], {SPOT}"), pools);
    assert_eq!(steps(&log, "ShuttingDown", 600.0), [1320.0; 4]);
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 2399.0), 2.0, "there is no more");
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 3599.0), 6.0);
}

#[test]
fn az_outage_ends_every_host_of_the_zone_and_the_zone_fills_again_when_it_is_back() {
    let faults = "faults:\n  - {at: 10m, for: 20m, fault: azOutage, with: {availabilityZone: us-east-1a}}\n";
    let log = run("InstanceType: m5.large, MinSize: 6, MaxSize: 6", faults);
    assert_eq!(steps(&log, "ShuttingDown", 600.0)[..2], [600.0, 600.0]);
    assert_eq!(log.hosts_by_zone(1799.0).into_iter().collect::<Vec<_>>(), [("us-east-1b", 3), ("us-east-1c", 3)]);
    assert_eq!(log.hosts_by_zone(3599.0).into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn az_outage_moves_the_tasks_of_fargate_too() {
    let log = run_text(
        "name: fargate\nduration: 1h\n\
         taskDefinitions:\n  - {family: t, networkMode: awsvpc, cpu: '256', memory: '512', requiresCompatibilities: [FARGATE], containerDefinitions: [{name: app, image: app}]}\n\
         services:\n  - {serviceName: web, taskDefinition: t, desiredCount: 3, launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b, us-east-1c]}}}\n\
         faults:\n  - {at: 20m, for: 20m, fault: azOutage, with: {availabilityZone: us-east-1a}}\n",
    );
    assert_eq!(log.times("service:web", "STOPPED")[0], 1200.0);
    assert_ne!(log.task_zones[&3], "us-east-1a");
    let moved = log.task_zones.values().next_back();
    assert_eq!(
        moved.map(String::as_str),
        Some("us-east-1a"),
        "the service is rebalanced when the zone is back (SVC-22)"
    );
}

#[test]
fn fargate_without_a_zone_that_is_up_takes_no_task() {
    let log = run_text(
        "name: fargate\nduration: 1h\n\
         taskDefinitions:\n  - {family: t, networkMode: awsvpc, cpu: '256', memory: '512', requiresCompatibilities: [FARGATE], containerDefinitions: [{name: app, image: app}]}\n\
         actions:\n  - {at: 30m, call: 'ecs:RunTask', with: {taskDefinition: t, launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}}\n\
         faults:\n  - {at: 20m, for: 20m, fault: azOutage, with: {availabilityZone: us-east-1a}}\n",
    );
    assert_eq!((log.failures.as_slice(), log.tasks.len()), (&[(1800.0, 1)][..], 0));
    assert!(log.reasons("run-task", "refuse")[0].1.starts_with("Capacity is unavailable at this time."));
}

#[test]
fn faults_at_random_strike_again_and_again() {
    let faults = "faults:\n  - {every: 10m, fault: instanceFailure, with: {count: 1}}\n";
    let log = run("InstanceType: m5.large, MinSize: 3, MaxSize: 3", faults);
    assert_eq!(steps(&log, "ShuttingDown", 0.0), [600.0, 1200.0, 1800.0, 2400.0, 3000.0]);
}

/// How often Spot instances of a pool with a high hazard are taken back in a day.
fn interruptions(knob: &str) -> Vec<f64> {
    let log = run_text(&format!(
        "name: spot\nduration: 1d\nbehaviour: {{spot_interruptions: {knob}}}\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, MinSize: 20, MaxSize: 20, AvailabilityZones: [us-east-1a], {SPOT}}}\n\
         spotPools:\n  - {{InstanceType: m5.large, interruptionsPerHour: 0.2}}\n"
    ));
    steps(&log, "ShuttingDown", 0.0)
}

#[test]
fn interruptions_of_a_pool_come_in_waves_unless_told_otherwise() {
    let close = |times: &[f64]| {
        let near = times.windows(2).filter(|pair| pair[1] - pair[0] < 180.0).count();
        near as f64 / (times.len() - 1) as f64
    };
    let (waves, alone) = (interruptions("correlated"), interruptions("independent"));
    assert!(waves.len() > 20 && alone.len() > 20, "{} and {}", waves.len(), alone.len());
    assert!(close(&waves) > 0.75, "{}", close(&waves));
    assert!(close(&alone) < 0.4, "{}", close(&alone));
    assert_eq!(interruptions("none"), [0.0; 0]);
}

#[rstest]
#[case("faults:\n  - {at: 1m, fault: slowBoot, with: {factor: 0.5}}\n", "a boot is 1 to 1000 times as slow")]
#[case("faults:\n  - {at: 1m, fault: degradedHost, with: {speed: 0}}\n", "still gives some CPU")]
#[case("faults:\n  - {at: 1m, fault: taskCrash, with: {service: w}}\n", "there is no service `w`")]
#[case(
    "faults:\n  - {at: 1m, fault: spotInterruption, with: {capacityProvider: FARGATE}}\n",
    "FARGATE is never interrupted"
)]
#[case(
    "faults:\n  - {at: 1m, fault: apiThrottling, with: {bucket: runTask}}\n",
    "the API has no token bucket `runTask`"
)]
#[case("spotPools:\n  - {capacityProvider: FARGATE_SPOT, capacity: 3}\n", "Fargate Spot has no `capacity` here")]
#[case(
    "faults:\n  - {at: 1m, fault: spotInteruption}\n",
    "there is no fault `spotInteruption` (did you mean `spotInterruption`?)"
)]
#[case("faults:\n  - {fault: azOutage, with: {availabilityZone: us-east-1a}}\n", "a fault needs `at` or `every`")]
#[case("faults:\n  - {at: 1m, for: 5m, fault: instanceFailure}\n", "it takes no `for`")]
#[case(
    "faults:\n  - {at: 1m, fault: instanceFailure, with: {autoScalingGroup: h}}\n",
    "there is no Auto Scaling group `h`"
)]
#[case("spotPools:\n  - {InstanceType: m5.large, capacity: {diurnal: {base: 1, peak: 5}}}\n", "changes in steps")]
fn what_a_fault_cannot_be_is_refused(#[case] rest: &str, #[case] words: &str) {
    let text = text("InstanceType: m5.large, MinSize: 1, MaxSize: 2", rest);
    let error = load_str("spot.yaml", &text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}
