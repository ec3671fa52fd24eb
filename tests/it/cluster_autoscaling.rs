//! Worked examples of `spec/cluster-autoscaling.md` that need the whole control plane.
//!
//! Where an example starts its clock at zero, the tests start it at 600 s: by then the first hosts are warm (CAS-26).

use rstest::rstest;

use crate::lab::{Log, run_text};

const CPR: &str = "CapacityProviderReservation";

/// One cluster with one provider on hosts "I2"; two tasks "t1" fill a host.
struct Lab {
    /// More keys of the group.
    group: &'static str,
    /// Keys of `managedScaling`.
    scaling: &'static str,
    /// More keys of the provider.
    provider: &'static str,
    desired: u32,
    max: u32,
    /// `services:`, `actions:` and whatever else.
    rest: String,
}

impl Lab {
    fn new(desired: u32) -> Self {
        Self { group: "", scaling: "status: ENABLED", provider: "", desired, max: 1000, rest: String::new() }
    }

    /// A service whose tasks "t1" are packed onto as few hosts as possible.
    fn packed(mut self, tasks: u32) -> Self {
        self.rest.push_str(&format!(
            "services:\n  - {{serviceName: base, cluster: c, taskDefinition: t1, desiredCount: {tasks}, \
             placementStrategy: [{{type: binpack, field: cpu}}], \
             capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]}}\n"
        ));
        self
    }

    fn with(mut self, rest: &str) -> Self {
        self.rest.push_str(rest);
        self
    }

    /// Protection of busy hosts: who goes is no matter of chance.
    fn protected(mut self) -> Self {
        self.group = ", NewInstancesProtectedFromScaleIn: true";
        self.provider = ", managedTerminationProtection: ENABLED";
        self
    }

    fn run(&self) -> Log {
        let Self { group, scaling, provider, desired, max, rest } = self;
        let types = if group.contains("MixedInstancesPolicy") {
            "registeredResources: {m5.large: {cpu: 2048, memory: 7600}, m5.xlarge: {cpu: 4096, memory: 15600}}"
        } else if group.contains("registeredResources") {
            "InstanceType: m5.large"
        } else {
            "InstanceType: m5.large, registeredResources: {cpu: 2048, memory: 7600}"
        };
        let zones = if group.contains("AvailabilityZones") { "" } else { ", AvailabilityZones: [us-east-1a]" };
        let duration = if rest.contains("duration:") { "" } else { "duration: 1h\n" };
        run_text(&format!(
            "name: lab\n{duration}clusters:\n  - {{clusterName: c, capacityProviders: [cp]}}\n\
             autoScalingGroups:\n  - {{AutoScalingGroupName: g, MinSize: 0, MaxSize: {max}, \
             DesiredCapacity: {desired}, {types}{zones}{group}}}\n\
             capacityProviders:\n  - {{name: cp, autoScalingGroupProvider: \
             {{autoScalingGroupArn: g{provider}, managedScaling: {{{scaling}}}}}}}\n\
             taskDefinitions:\n\
             \x20 - {{family: t1, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 1024, memory: 2048}}]}}\n\
             \x20 - {{family: whole, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 2048, memory: 2048}}]}}\n\
             \x20 - {{family: short, networkMode: bridge, behaviour: {{runsFor: 30s}}, containerDefinitions: [{{name: app, image: app, cpu: 2048, memory: 2048}}]}}\n\
             \x20 - {{family: wide, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 3000, memory: 2048}}]}}\n\
             \x20 - {{family: port, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 128, memory: 128, portMappings: [{{containerPort: 80, hostPort: 8080}}]}}]}}\n\
             \x20 - {{family: eni, networkMode: awsvpc, containerDefinitions: [{{name: app, image: app, cpu: 128, memory: 128}}]}}\n\
             \x20 - {{family: eni256, networkMode: awsvpc, containerDefinitions: [{{name: app, image: app, cpu: 256, memory: 512}}]}}\n\
             {rest}"
        ))
    }
}

fn run_task(at: &str, family: &str, count: u32, more: &str) -> String {
    format!(
        "  - {{at: {at}, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: {family}, count: {count}, \
         capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}]{more}}}}}\n"
    )
}

/// What tasks with an ENI of their own need (NET-4).
const SUBNETS: &str = ", networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}";

fn actions(entries: &[String]) -> String {
    format!("actions:\n{}", entries.concat())
}

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("asg/g", "GroupDesiredCapacity")
}

/// The datapoint sampled at `time`, to two decimals.
fn reservation(log: &Log, time: f64) -> Option<f64> {
    let points = log.metric("capacity-provider/cp", CPR);
    points.iter().find(|(at, _)| *at == time).map(|(_, value)| (value * 100.0).round() / 100.0)
}

fn alarm(log: &Log, kind: &str, state: &str) -> Option<f64> {
    log.alarms.iter().find(|(_, name, to, _)| name.contains(kind) && to == state).map(|(time, ..)| *time)
}

#[test]
fn ex_cas_1_nothing_at_all_reads_a_hundred() {
    let log = Lab::new(0).run();
    assert_eq!(desired(&log), [(0.0, 0.0)]);
    let points = log.metric("capacity-provider/cp", CPR);
    assert_eq!(points.len(), 60, "one a minute (CAS-1)");
    assert!(points.iter().all(|(_, value)| *value == 100.0));
}

#[test]
fn ex_cas_2_from_zero_two_hosts_come_and_ex_in_10_the_second_idles_a_quarter_of_an_hour() {
    let log = Lab::new(0).with(&actions(&[run_task("610s", "t1", 1, "")])).run();
    assert_eq!(reservation(&log, 660.0), Some(200.0));
    // Half used from 780 on; its fifteenth datapoint is that of 1620.
    assert_eq!(desired(&log)[..3], [(0.0, 0.0), (675.0, 2.0), (1635.0, 1.0)]);
    assert_eq!(reservation(&log, 780.0), Some(50.0));
    assert_eq!(alarm(&log, "AlarmLow", "ALARM"), Some(1635.0));
}

#[test]
fn ex_cas_3_all_busy_is_at_rest() {
    let log = Lab::new(3).packed(6).run();
    assert_eq!(reservation(&log, 60.0), Some(100.0));
    assert_eq!(desired(&log), [(0.0, 3.0)]);
}

#[test]
fn ex_cas_4_and_ex_in_1_fifteen_low_datapoints_start_the_scale_in() {
    let log = Lab::new(3).packed(4).run();
    assert_eq!(reservation(&log, 60.0), Some(66.67));
    assert_eq!(alarm(&log, "AlarmLow", "ALARM"), Some(915.0), "the fifteenth low datapoint is that of 900");
    assert_eq!(desired(&log)[..2], [(0.0, 3.0), (915.0, 2.0)]);
}

#[test]
fn ex_cas_5_half_empty_is_too_full_for_a_target_of_fifty() {
    let mut lab = Lab::new(3).packed(4);
    lab.scaling = "status: ENABLED, targetCapacity: 50, instanceWarmupPeriod: 0";
    let log = lab.run();
    assert_eq!(desired(&log)[..2], [(0.0, 3.0), (75.0, 4.0)], "after one datapoint");
}

#[rstest]
#[case("status: ENABLED", 225.0, 9.0)]
#[case("status: ENABLED, maximumScalingStepSize: 2", 150.0, 6.0)]
#[case("status: ENABLED, minimumScalingStepSize: 8", 300.0, 12.0)]
fn ex_cas_6_7_8_ten_tasks_wait_beside_four_full_hosts(
    #[case] scaling: &'static str,
    #[case] percent: f64,
    #[case] to: f64,
) {
    let mut lab = Lab::new(4).packed(8).with(&actions(&[run_task("610s", "t1", 10, "")]));
    lab.scaling = scaling;
    let log = lab.run();
    assert_eq!(reservation(&log, 660.0), Some(percent));
    assert_eq!(desired(&log)[..2], [(0.0, 4.0), (675.0, to)]);
}

#[test]
fn ex_cas_9_the_largest_group_counts_not_the_sum() {
    let calls = [run_task("610s", "t1", 5, ""), run_task("610s", "whole", 2, "")];
    let log = Lab::new(5).packed(10).with(&actions(&calls)).run();
    assert_eq!(reservation(&log, 660.0), Some(160.0));
    assert_eq!(desired(&log)[1], (675.0, 8.0));
}

const MIXED: &str = ", MixedInstancesPolicy: {LaunchTemplate: {LaunchTemplateSpecification: {LaunchTemplateName: ecs}, \
                     Overrides: [{InstanceType: m5.large}, {InstanceType: m5.xlarge}]}}";

#[test]
fn ex_cas_10_what_the_smallest_type_cannot_hold_stops_scaling() {
    let mut lab = Lab::new(0).with(&actions(&[run_task("610s", "wide", 2, "")]));
    (lab.group, lab.scaling) = (MIXED, "status: ENABLED, targetCapacity: 90");
    let log = lab.run();
    assert_eq!(reservation(&log, 660.0), Some(90.0));
    assert_eq!(desired(&log), [(0.0, 0.0)]);
    assert!(log.times("family:wide", "PENDING").is_empty());
    assert_eq!(log.times("family:wide", "STOPPED"), [2410.0; 2], "given up after half an hour (PRV-4)");
}

#[test]
fn ex_cas_11_three_rounds_when_the_large_type_never_comes() {
    let mut lab = Lab::new(1).packed(2).with(&actions(&[run_task("610s", "t1", 8, "")]));
    lab.group = MIXED;
    let log = lab.run();
    // A round waits until the hosts of the one before are 300 s old (CAS-26): launches at 680 and 1040.
    assert_eq!(desired(&log)[..4], [(0.0, 1.0), (675.0, 3.0), (1035.0, 4.0), (1395.0, 5.0)]);
    assert_eq!([660.0, 1020.0, 1380.0].map(|at| reservation(&log, at)), [Some(300.0), Some(133.33), Some(125.0)]);
    let placed = log.times("family:t1", "PENDING");
    assert_eq!(placed, [730.0, 730.0, 730.0, 730.0, 1090.0, 1090.0, 1450.0, 1450.0]);
}

#[test]
fn ex_cas_12_distinct_instance_needs_a_host_each() {
    let distinct = ", placementConstraints: [{type: distinctInstance}]";
    let calls = [run_task("5m", "t1", 2, distinct), run_task("610s", "t1", 3, distinct)];
    let log = Lab::new(2).with(&actions(&calls)).run();
    assert_eq!(reservation(&log, 660.0), Some(250.0));
    assert_eq!(desired(&log)[1], (675.0, 5.0));
    assert_eq!(log.placed.values().collect::<std::collections::BTreeSet<_>>().len(), 5, "{:?}", log.placed);
}

#[test]
fn ex_cas_13_a_fixed_port_needs_a_host_each() {
    let log = Lab::new(2).with(&actions(&[run_task("5m", "port", 2, ""), run_task("610s", "port", 4, "")])).run();
    assert_eq!(reservation(&log, 660.0), Some(300.0));
    assert_eq!(desired(&log)[1], (675.0, 6.0));
}

#[rstest]
#[case("", 500.0, 5.0)]
#[case(
    "  - {at: 0s, call: 'ecs:PutAccountSettingDefault', with: {name: awsvpcTrunking, value: enabled}}\n",
    200.0,
    2.0
)]
fn ex_cas_14_network_interfaces_limit_the_estimate(#[case] setting: &str, #[case] percent: f64, #[case] to: f64) {
    let log = Lab::new(1).packed(2).with(&actions(&[setting.to_owned(), run_task("610s", "eni", 7, SUBNETS)])).run();
    assert_eq!(reservation(&log, 660.0), Some(percent));
    assert_eq!(desired(&log)[1], (675.0, to));
    assert_eq!(log.times("family:eni", "PENDING").len(), 7, "the estimate was right");
}

#[test]
fn ex_cas_18_the_maximum_leaves_tasks_to_their_timeout() {
    let mut lab = Lab::new(4).packed(8).with(&actions(&[run_task("610s", "t1", 10, "")]));
    lab.max = 6;
    let log = lab.run();
    assert_eq!(desired(&log), [(0.0, 4.0), (675.0, 6.0)]);
    assert_eq!(log.times("family:t1", "STOPPED"), [2410.0; 6]);
    assert!(log.stops.values().all(|(code, _)| code == "TaskFailedToStart"), "{:?}", log.stops);
}

#[rstest]
#[case("formula", 3.0)]
#[case("two", 2.0)]
fn ex_cas_19_the_first_step_from_zero(#[case] mode: &str, #[case] to: f64) {
    let behaviour = format!("behaviour: {{alarm_eval_phase: aligned, from_zero_mode: {mode}}}\n");
    let mut lab = Lab::new(0).with(&behaviour).with(&actions(&[run_task("610s", "t1", 1, "")]));
    lab.scaling = "status: ENABLED, targetCapacity: 80";
    assert_eq!(desired(&lab.run())[1], (675.0, to));
}

#[test]
fn ex_cas_20_an_empty_provider_and_a_target_below_a_hundred() {
    let mut lab = Lab::new(0);
    lab.scaling = "status: ENABLED, targetCapacity: 90";
    let log = lab.run();
    assert_eq!((reservation(&log, 0.0), desired(&log)), (Some(90.0), vec![(0.0, 0.0)]));
    let log = lab.with("behaviour: {alarm_eval_phase: aligned, empty_cpr_mode: hundred}\n").run();
    // The loop of 2019: two hosts that nobody asked for, a quarter of an hour, nothing, and again.
    let cycle = [(0.0, 0.0), (15.0, 2.0), (975.0, 1.0), (1035.0, 0.0), (1095.0, 2.0)];
    assert_eq!(desired(&log)[..5], cycle);
}

#[test]
fn ex_cas_21_warm_up_blocks_the_next_scale_out() {
    let mut lab = Lab::new(4).packed(8).with(&actions(&[run_task("610s", "t1", 10, "")]));
    lab.scaling = "status: ENABLED, maximumScalingStepSize: 2";
    let log = lab.run();
    // Launched at 680, warm at 980; the evaluation after that is at 1035. The metric stays above 100 all the while.
    assert_eq!(desired(&log)[..3], [(0.0, 4.0), (675.0, 6.0), (1035.0, 8.0)]);
    assert!((12..=17).all(|minute| reservation(&log, 60.0 * f64::from(minute)) > Some(100.0)));
}

#[test]
fn ex_cas_22_without_managed_scaling_nothing_waits() {
    let mut lab = Lab::new(0).with(&actions(&[run_task("610s", "t1", 1, "")]));
    lab.scaling = "status: DISABLED";
    let log = lab.run();
    assert_eq!(log.failures, [(610.0, 1)]);
    assert!(log.tasks.is_empty());
    assert!(log.alarms.is_empty() && log.metric("capacity-provider/cp", CPR).is_empty());
}

#[test]
fn ex_cas_23_a_scale_out_takes_its_time_step_by_step() {
    let log = Lab::new(1).with(&actions(&[run_task("5m", "t1", 2, ""), run_task("610s", "t1", 1, "")])).run();
    assert_eq!(desired(&log)[1], (675.0, 2.0), "visible at 665, alarm and action at 675");
    assert_eq!(log.step(1, "Launched"), Some(680.0));
    assert_eq!(log.step(1, "Registered"), Some(725.0));
    assert_eq!(log.times("family:t1", "PENDING").last(), Some(&730.0), "placed 5 s after the host registered");
}

#[test]
fn ex_cas_25_trunks_hold_what_interfaces_could_not() {
    let service = "services:\n  - {serviceName: web, cluster: c, taskDefinition: eni256, desiredCount: 6, \
                   placementStrategy: [{type: spread, field: instanceId}], \
                   networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}, \
                   capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}\n";
    let calls = [
        "  - {at: 0s, call: 'ecs:PutAccountSettingDefault', with: {name: awsvpcTrunking, value: enabled}}\n".to_owned(),
        "  - {at: 10m, call: 'ecs:UpdateService', with: {cluster: c, service: web, desiredCount: 11}}\n".to_owned(),
    ];
    let log = Lab::new(3).with(service).with(&actions(&calls)).run();
    assert_eq!(log.level_at("service/c/web", "RunningCount", 700.0), 11.0);
    assert_eq!((desired(&log), reservation(&log, 660.0)), (vec![(0.0, 3.0)], Some(100.0)));
}

#[test]
fn ex_in_2_one_datapoint_at_the_target_starts_the_count_anew() {
    let log = Lab::new(3).packed(4).with(&actions(&[run_task("640s", "short", 1, "")])).run();
    assert_eq!([600.0, 660.0, 720.0].map(|at| reservation(&log, at)), [Some(66.67), Some(100.0), Some(66.67)]);
    assert_eq!(desired(&log)[1], (1575.0, 2.0), "720 is the first of fifteen");
}

#[rstest]
#[case::ex_in_3(100, 80, "", &[100.0, 50.0, 40.0])]
#[case::ex_in_4(8, 0, "", &[8.0, 4.0, 2.0, 1.0, 0.0])]
#[case::ex_in_5(3, 0, "", &[3.0, 2.0, 1.0, 0.0])]
#[case::ex_in_6(20, 16, ", targetCapacity: 80", &[20.0, 10.0])]
#[case::ex_in_7(6, 10, ", targetCapacity: 90", &[6.0])]
fn ex_in_3_to_7_scale_in_halves_at_most_and_once_a_minute(
    #[case] hosts: u32,
    #[case] tasks: u32,
    #[case] target: &'static str,
    #[case] expect: &[f64],
) {
    let mut lab = Lab::new(hosts).packed(tasks).protected();
    lab.scaling = if target.is_empty() {
        "status: ENABLED"
    } else if target.contains("80") {
        "status: ENABLED, targetCapacity: 80"
    } else {
        "status: ENABLED, targetCapacity: 90"
    };
    let log = lab.run();
    let times = std::iter::once(0.0).chain((0..).map(|step| 915.0 + 60.0 * f64::from(step)));
    let expect: Vec<(f64, f64)> = times.zip(expect.iter().copied()).collect();
    assert_eq!(desired(&log), expect);
    assert_eq!(log.level_at("service/c/base", "RunningCount", 3600.0), f64::from(tasks), "no busy host was lost");
}

#[test]
fn ex_in_8_without_protection_the_busy_host_may_go() {
    let mut lost = 0;
    for seed in 1..=8 {
        let mut lab = Lab::new(2).packed(1).with(&format!("seed: {seed}\n"));
        lab.group = ", AvailabilityZones: [us-east-1a, us-east-1b]";
        lab.provider = "";
        let log = lab.with("").run();
        assert_eq!(desired(&log)[1], (915.0, 1.0));
        let gone = (0..2).find(|host| log.step(*host, "Terminating") == Some(920.0)).expect("one host goes");
        if log.placed[&0] == gone {
            lost += 1;
            // Its task ends and is created again, on the host that stays.
            assert!(log.stops.contains_key(&0), "{:?}", log.stops);
            assert_eq!(log.placed[&1], 1 - gone);
        }
        assert_eq!(log.level_at("service/c/base", "RunningCount", 3600.0), 1.0);
    }
    assert!((1..8).contains(&lost), "a matter of chance: {lost} of 8");
}

#[test]
fn ex_in_9_with_protection_the_empty_host_goes() {
    for seed in 1..=8 {
        let mut lab = Lab::new(2).packed(1).with(&format!("seed: {seed}\n")).protected();
        lab.group = ", NewInstancesProtectedFromScaleIn: true, AvailabilityZones: [us-east-1a, us-east-1b]";
        let log = lab.run();
        assert_eq!(desired(&log), [(0.0, 2.0), (915.0, 1.0)]);
        assert_eq!(log.step(1 - log.placed[&0], "Terminating"), Some(920.0));
        assert!(log.stops.is_empty(), "{:?}", log.stops);
    }
}

#[test]
fn ex_in_11_and_tp_5_a_lowered_capacity_waits_for_the_unprotected() {
    let calls = [
        "  - {at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 3}}\n"
            .to_owned(),
        "  - {at: 20m, call: 'autoscaling:SetInstanceProtection', with: {AutoScalingGroupName: g, \
         InstanceIds: ['#1', '#4'], ProtectedFromScaleIn: false}}\n"
            .to_owned(),
    ];
    let mut lab = Lab::new(5).with(&actions(&calls));
    (lab.group, lab.scaling) = (", NewInstancesProtectedFromScaleIn: true", "status: DISABLED");
    let log = lab.run();
    assert_eq!(desired(&log), [(0.0, 5.0), (600.0, 3.0)]);
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 1200.0), 5.0);
    assert_eq!([1, 4].map(|host| log.step(host, "Terminating")), [Some(1205.0); 2]);
    assert_eq!(log.level_at("asg/g", "GroupInServiceInstances", 3600.0), 3.0);
}

#[test]
fn ex_in_12_hosts_that_somebody_added_go_again() {
    let call = "  - {at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, \
                DesiredCapacity: 6}}\n";
    let log = Lab::new(4).packed(8).protected().with(&actions(&[call.to_owned()])).run();
    assert_eq!(reservation(&log, 660.0), Some(66.67));
    assert_eq!(desired(&log), [(0.0, 4.0), (600.0, 6.0), (1515.0, 4.0)]);
    assert_eq!([4, 5].map(|host| log.step(host, "Terminated")), [Some(1565.0); 2]);
}

#[test]
fn ex_drn_1_half_of_the_tasks_may_stop_before_replacements_start() {
    let service = "services:\n  - {serviceName: web, cluster: c, taskDefinition: t1, desiredCount: 4, \
                   placementStrategy: [{type: binpack, field: cpu}], \
                   deploymentConfiguration: {minimumHealthyPercent: 50, maximumPercent: 100}, \
                   capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}\n";
    let call = "  - {at: 10m, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, \
                containerInstances: ['#0'], status: DRAINING}}\n";
    let mut lab = Lab::new(3).with(service).with(&actions(&[call.to_owned()]));
    lab.scaling = "status: DISABLED";
    let log = lab.run();
    let on_first = |task: &u64| log.placed[task] == 0;
    assert_eq!(log.placed.keys().filter(|task| on_first(task)).count(), 2);
    assert_eq!(log.level_at("service/c/web", "RunningCount", 600.0), 2.0);
    assert_eq!(log.level_at("service/c/web", "RunningCount", 660.0), 4.0);
    assert_eq!(log.stops.keys().filter(|task| on_first(task)).count(), 2);
    assert!(log.step(0, "Terminating").is_none(), "draining by hand terminates nothing");
}

fn terminate(at: &str, host: &str, decrement: bool) -> String {
    format!(
        "  - {{at: {at}, call: 'autoscaling:TerminateInstanceInAutoScalingGroup', with: {{InstanceId: '{host}', \
         ShouldDecrementDesiredCapacity: {decrement}}}}}\n"
    )
}

#[test]
fn ex_drn_2_a_task_that_never_ends_holds_its_host_for_two_days() {
    let calls = [run_task("5m", "t1", 1, ""), terminate("10m", "#0", false)];
    let log = Lab::new(1).with("duration: 50h\n").with(&actions(&calls)).run();
    assert_eq!(log.step(0, "Draining"), Some(600.0));
    assert_eq!(log.step(0, "ShuttingDown"), Some(600.0 + 48.0 * 3600.0));
    assert_eq!(log.times("family:t1", "STOPPED"), [600.0 + 48.0 * 3600.0]);
}

#[test]
fn ex_drn_3_managed_draining_waits_for_the_replacement() {
    let log = Lab::new(2)
        .with("delays: {preset: constant, taskStop: 30s}\n")
        .packed(1)
        .with(&actions(&[terminate("10m", "#0", true)]))
        .run();
    assert_eq!(log.placed[&0], 0);
    assert_eq!(log.step(0, "Terminating"), Some(600.0));
    assert_eq!(log.step(0, "Draining"), Some(600.0));
    // The replacement starts at once on the other host (3 s), counts as healthy 40 s later; then the old one stops.
    assert_eq!(log.placed[&1], 1);
    let healthy = 600.0 + 3.0 + 40.0;
    assert_eq!(log.times("service:base", "STOPPING"), [healthy]);
    let gone = log.times("service:base", "STOPPED");
    assert!(gone.len() == 1 && gone[0] >= healthy + 30.0, "{gone:?}");
    assert_eq!(log.step(0, "ShuttingDown"), Some(gone[0]));
    assert_eq!(log.level("service/c/base", "RunningCount").last(), Some(&(healthy, 1.0)));
}

// ------------------------------------------------------------------------------------------------ Strategies

/// Providers a, b and d on empty groups whose tasks wait, and Fargate.
fn providers(rest: &str) -> Log {
    let names = ["a", "b", "d", "stranger"];
    let groups: String = names
        .iter()
        .map(|name| format!("  - {{AutoScalingGroupName: g{name}, InstanceType: m5.large, MinSize: 0, MaxSize: 9}}\n"))
        .collect();
    let providers: String = names
        .iter()
        .map(|name| {
            format!(
                "  - {{name: {name}, autoScalingGroupProvider: {{autoScalingGroupArn: g{name}, \
                 managedScaling: {{status: ENABLED}}}}}}\n"
            )
        })
        .collect();
    run_text(&format!(
        "name: lab\nduration: 5m\nclusters:\n  - {{clusterName: c, capacityProviders: [a, b, d, FARGATE, FARGATE_SPOT]}}\n\
         \x20 - {{clusterName: other, capacityProviders: [stranger]}}\n\
         autoScalingGroups:\n{groups}capacityProviders:\n{providers}taskDefinitions:\n\
         \x20 - {{family: t, networkMode: awsvpc, requiresCompatibilities: [EC2, FARGATE], cpu: '256', memory: '512', \
         containerDefinitions: [{{name: app, image: app}}]}}\n{rest}"
    ))
}

/// A strategy: providers with their base and weight.
fn strategy(items: &[(&str, u32, u32)]) -> String {
    let items: Vec<String> = items
        .iter()
        .map(|(name, base, weight)| format!("{{capacityProvider: {name}, base: {base}, weight: {weight}}}"))
        .collect();
    format!("capacityProviderStrategy: [{}]", items.join(", "))
}

fn spread(count: u32, items: &[(&str, u32, u32)]) -> Log {
    let strategy = strategy(items);
    providers(&format!(
        "services:\n  - {{serviceName: s, cluster: c, taskDefinition: t, desiredCount: {count}, {strategy}, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n"
    ))
}

#[rstest]
#[case::ex_cp_1(10, &[("a", 2, 1), ("b", 0, 3)], &[4, 6])]
#[case::ex_cp_2(5, &[("a", 0, 1), ("b", 0, 4)], &[1, 4])]
#[case::ex_cp_2(10, &[("a", 0, 1), ("b", 0, 4)], &[2, 8])]
#[case::ex_cp_3(4, &[("a", 0, 1), ("b", 0, 1)], &[2, 2])]
#[case::ex_cp_3(5, &[("a", 0, 1), ("b", 0, 1)], &[3, 2])]
#[case::ex_cp_4(12, &[("a", 0, 1), ("b", 0, 2), ("d", 0, 3)], &[2, 4, 6])]
#[case::ex_cp_5(6, &[("FARGATE", 1, 1), ("FARGATE_SPOT", 0, 4)], &[2, 4])]
#[case::ex_cp_8(3, &[("a", 5, 1), ("b", 0, 1)], &[3, 0])]
#[case::ex_cp_10(9, &[("a", 0, 1), ("b", 0, 2)], &[3, 6])]
fn ex_cp_1_to_10_base_and_weights_divide_a_service(
    #[case] count: u32,
    #[case] items: &[(&str, u32, u32)],
    #[case] expect: &[usize],
) {
    let log = spread(count, items);
    // Replacements of Spot or timed-out tasks would blur the picture: there are none within five minutes.
    let shares: Vec<usize> = items.iter().map(|(name, ..)| log.bound_to(name)).collect();
    assert_eq!(shares, expect);
}

#[test]
fn ex_cp_2_and_10_the_order_of_the_picks() {
    let order = |log: &Log| log.bound.values().cloned().collect::<String>();
    assert_eq!(order(&spread(5, &[("a", 0, 1), ("b", 0, 4)])), "bbabb");
    let picks = order(&spread(9, &[("a", 0, 1), ("b", 0, 2)]));
    for length in 1..=9 {
        let first = picks[..length].matches('a').count() as f64;
        assert!((first - length as f64 / 3.0).abs() < 1.0, "{picks}");
    }
}

#[test]
fn ex_cp_1_the_same_for_one_call_of_run_task() {
    let strategy = strategy(&[("a", 2, 1), ("b", 0, 3)]);
    let log = providers(&format!(
        "actions:\n  - {{at: 1m, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: t, count: 10, {strategy}, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}}}\n"
    ));
    assert_eq!((log.bound_to("a"), log.bound_to("b")), (4, 6));
}

#[rstest]
#[case::ex_cp_6(strategy(&[("a", 0, 0), ("b", 0, 0)]))]
#[case::ex_cp_7(strategy(&[("a", 0, 1), ("FARGATE", 0, 1)]))]
#[case::ex_cp_9a(strategy(&[("a", 0, 1); 21]))]
#[case::ex_cp_9b(strategy(&[("a", 1, 1), ("b", 1, 1)]))]
#[case::ex_cp_9c(strategy(&[("stranger", 0, 1)]))]
fn ex_cp_6_7_9_strategies_that_aws_refuses(#[case] strategy: String) {
    let subnets = "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}";
    let log = providers(&format!(
        "actions:\n  - {{at: 1m, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: t, {strategy}, {subnets}}}}}\n\
         \x20 - {{at: 2m, call: 'ecs:CreateService', with: {{serviceName: s, cluster: c, taskDefinition: t, \
         desiredCount: 1, {strategy}, {subnets}}}}}\n"
    ));
    let refused: Vec<f64> = log.refused().iter().map(|(time, _)| *time).collect();
    assert_eq!(refused, [60.0, 120.0], "{:?}", log.decisions);
    assert!(log.tasks.is_empty(), "no task was created");
}

// -------------------------------------------------------------------------------- Groups without a provider

/// A group of plain hosts in cluster `c`, driven by its own policies and a replayed metric.
fn group(keys: &str, rest: &str) -> Log {
    let keys = if keys.contains("AvailabilityZones") {
        keys.to_owned()
    } else {
        format!("{keys}, AvailabilityZones: [us-east-1a]")
    };
    run_text(&format!(
        "name: lab\nduration: 1h\nclusters:\n  - {{clusterName: c}}\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, cluster: c, MaxSize: 20, \
         registeredResources: {{cpu: 2048, memory: 7679}}, {keys}}}\n{rest}"
    ))
}

fn set_desired(at: &str, desired: u32) -> String {
    format!(
        "  - {{at: {at}, call: 'autoscaling:SetDesiredCapacity', with: {{AutoScalingGroupName: g, \
         DesiredCapacity: {desired}}}}}\n"
    )
}

#[test]
fn ex_asg_1_and_2_zones_are_kept_even() {
    let zones = "AvailabilityZones: [us-east-1a, us-east-1b, us-east-1c]";
    let calls = [set_desired("10m", 5), set_desired("20m", 4), set_desired("30m", 7)];
    for seed in 1..=5 {
        let log =
            group(&format!("MinSize: 0, DesiredCapacity: 4, {zones}"), &format!("seed: {seed}\n{}", actions(&calls)));
        let counts = |time: f64| {
            let mut counts: Vec<usize> = log.hosts_by_zone(time).into_values().collect();
            counts.sort_unstable();
            counts
        };
        assert_eq!(counts(500.0), [1, 1, 2]);
        assert_eq!(counts(700.0), [1, 2, 2], "one more goes to one of the two small zones");
        assert_eq!(counts(1300.0), [1, 1, 2], "one fewer comes from one of the two large ones");
        assert_eq!(counts(1900.0), [2, 2, 3]);
    }
}

/// An alarm on the replayed metric `name`: above 50 it calls `policy`.
fn alarm_on(name: &str, policy: &str) -> String {
    format!(
        "  - {{AlarmName: {name}-high, Namespace: Test, MetricName: {name}, Statistic: Average, Period: 60, \
         EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold, AlarmActions: [{policy}]}}\n"
    )
}

/// A replayed metric that reads 0 for `quiet` minutes, then `values`.
fn replay(name: &str, quiet: usize, values: &[f64]) -> String {
    let values: Vec<f64> = std::iter::repeat_n(0.0, quiet).chain(values.iter().copied()).collect();
    format!("  - {{Namespace: Test, MetricName: {name}, Period: 60, values: {values:?}}}\n")
}

#[rstest]
#[case("ChangeInCapacity", 5, 3, 8.0)]
#[case("ExactCapacity", 5, 3, 5.0)]
#[case("PercentChangeInCapacity", 10, 10, 11.0)]
fn ex_asg_5_adjustments(#[case] kind: &str, #[case] by: i32, #[case] from: u32, #[case] to: f64) {
    let log = group(
        &format!("MinSize: 0, DesiredCapacity: {from}"),
        &format!(
            "asgPolicies:\n  - {{AutoScalingGroupName: g, PolicyName: p, PolicyType: SimpleScaling, \
             AdjustmentType: {kind}, ScalingAdjustment: {by}}}\nalarms:\n{}metrics:\n{}",
            alarm_on("load", "p"),
            replay("load", 9, &[60.0, 0.0])
        ),
    );
    assert_eq!(desired(&log), [(0.0, f64::from(from)), (600.2, to)]);
}

#[test]
fn ex_asg_13_a_simple_policy_waits_for_its_cooldown_and_a_step_policy_does_not() {
    let log = group(
        "MinSize: 0, DesiredCapacity: 2",
        &format!(
            "asgPolicies:\n  - {{AutoScalingGroupName: g, PolicyName: simple, PolicyType: SimpleScaling, \
             AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}}\n\
             \x20 - {{AutoScalingGroupName: g, PolicyName: steps, PolicyType: StepScaling, \
             AdjustmentType: ChangeInCapacity, StepAdjustments: [{{MetricIntervalLowerBound: 0, ScalingAdjustment: 3}}]}}\n\
             alarms:\n{}{}metrics:\n{}{}",
            alarm_on("load", "simple"),
            alarm_on("burst", "steps"),
            replay("load", 9, &[60.0; 9]),
            replay("burst", 10, &[60.0, 0.0]),
        ),
    );
    // The simple activity of 600.2 has its host InService at 625.2: its next comes after 925.2. The step policy counts
    // the warming host as already added: 2 + 3.
    assert_eq!(desired(&log), [(0.0, 2.0), (600.2, 3.0), (660.2, 5.0), (960.2, 6.0)]);
}

#[rstest]
#[case(false, &[(0.0, 2.0)], 3)]
#[case(true, &[(0.0, 2.0), (600.0, 1.0)], 2)]
fn asg_1_a_terminated_host_is_replaced_unless_the_group_shrinks(
    #[case] decrement: bool,
    #[case] expect: &[(f64, f64)],
    #[case] launched: usize,
) {
    let log = group("MinSize: 0, DesiredCapacity: 2", &actions(&[terminate("10m", "#0", decrement)]));
    assert_eq!(desired(&log), expect);
    assert_eq!(log.step(0, "Terminating"), Some(600.0));
    assert_eq!(log.zones.len(), launched);
    if !decrement {
        assert_eq!(log.step(2, "Launched"), Some(605.0));
    }
}

#[test]
fn asg_43_suspended_processes_hold_the_group_back() {
    let suspend = |at: &str, call: &str, process: &str| {
        format!(
            "  - {{at: {at}, call: 'autoscaling:{call}', with: {{AutoScalingGroupName: g, ScalingProcesses: [{process}]}}}}\n"
        )
    };
    let calls = [
        suspend("5m", "SuspendProcesses", "Launch"),
        set_desired("10m", 3),
        suspend("20m", "ResumeProcesses", "Launch"),
        suspend("25m", "SuspendProcesses", "Terminate"),
        set_desired("30m", 1),
        suspend("40m", "ResumeProcesses", "Terminate"),
    ];
    let log = group("MinSize: 0, DesiredCapacity: 2", &actions(&calls));
    let size = |time| log.level_at("asg/g", "GroupInServiceInstances", time);
    assert_eq!([1190.0, 1300.0, 2390.0, 2500.0].map(size), [2.0, 3.0, 3.0, 1.0]);
    assert_eq!(log.step(2, "Launched"), Some(1205.0));
}

#[test]
fn asg_43_alarm_notification_suspended_silences_policies_and_managed_scaling() {
    let calls = [
        "  - {at: 5m, call: 'autoscaling:SuspendProcesses', with: {AutoScalingGroupName: g, \
         ScalingProcesses: [AlarmNotification]}}\n"
            .to_owned(),
        run_task("610s", "t1", 1, ""),
        "  - {at: 20m, call: 'autoscaling:ResumeProcesses', with: {AutoScalingGroupName: g}}\n".to_owned(),
    ];
    let log = Lab::new(0).with(&actions(&calls)).run();
    assert_eq!(desired(&log)[..2], [(0.0, 0.0), (1215.0, 2.0)], "evaluated on resume");
}

// --------------------------------------------------------------------------------------------- Older patterns

const LEG: &str = "taskDefinitions:\n\
    \x20 - {family: leg, networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 1024}]}\n\
    \x20 - {family: large, networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 1024, memory: 480}]}\n\
    \x20 - {family: three, networkMode: bridge, containerDefinitions: [{name: app, image: app, cpu: 1536, memory: 512}]}\n";

fn ec2_task(at: &str, family: &str, count: u32) -> String {
    format!(
        "  - {{at: {at}, call: 'ecs:RunTask', with: {{cluster: c, taskDefinition: {family}, count: {count}, launchType: EC2}}}}\n"
    )
}

fn newest(log: &Log, metric: &str, bucket: f64) -> f64 {
    let points = log.metric("cluster/c", metric);
    let value = points.iter().find(|(at, _)| *at == bucket).map(|(_, value)| *value);
    (value.expect("a datapoint") * 100.0).round() / 100.0
}

#[test]
fn ex_leg_1_and_4_reservations_count_running_tasks_and_draining_hosts() {
    let drain = "  - {at: 10m, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, \
                 containerInstances: ['#0'], status: DRAINING}}\n";
    let log = group(
        "MinSize: 0, DesiredCapacity: 2",
        &format!("{LEG}{}", actions(&[ec2_task("5m", "leg", 5), drain.to_owned()])),
    );
    for bucket in [540.0, 660.0, 1800.0] {
        assert_eq!((newest(&log, "CPUReservation", bucket), newest(&log, "MemoryReservation", bucket)), (62.5, 33.34));
    }
    assert_eq!(log.metric("cluster/c", "CPUReservation")[0].0, 0.0, "hosts register within the first minute");
}

#[test]
fn ex_leg_3_fragments_hide_from_the_metric() {
    let log = group(
        "MinSize: 0, DesiredCapacity: 2",
        &format!("{LEG}{}", actions(&[ec2_task("5m", "three", 2), ec2_task("10m", "large", 1)])),
    );
    assert_eq!(log.failures, [(600.0, 1)]);
    assert_eq!(newest(&log, "CPUReservation", 660.0), 75.0);
}

#[test]
fn ex_leg_5_two_alarms_that_disagree_never_settle() {
    let policies = "asgPolicies:\n\
        \x20 - {AutoScalingGroupName: g, PolicyName: more, PolicyType: SimpleScaling, AdjustmentType: ChangeInCapacity, ScalingAdjustment: 1}\n\
        \x20 - {AutoScalingGroupName: g, PolicyName: fewer, PolicyType: SimpleScaling, AdjustmentType: ChangeInCapacity, ScalingAdjustment: -1}\n";
    let alarm = |name: &str, metric: &str, operator: &str, threshold: u32, policy: &str| {
        format!(
            "  - {{AlarmName: {name}, Namespace: AWS/ECS, MetricName: {metric}, Dimensions: [{{Name: ClusterName, Value: c}}], \
             Statistic: Average, Period: 60, EvaluationPeriods: 1, Threshold: {threshold}, ComparisonOperator: {operator}, \
             AlarmActions: [{policy}]}}\n"
        )
    };
    let alarms = alarm("cpu-high", "CPUReservation", "GreaterThanThreshold", 75, "more")
        + &alarm("memory-low", "MemoryReservation", "LessThanThreshold", 25, "fewer");
    let service =
        "services:\n  - {serviceName: s, cluster: c, taskDefinition: large, desiredCount: 8, launchType: EC2}\n";
    // The first five hosts hold the tasks and stay, so that each new one is the one to go.
    let protect = "actions:\n  - {at: 2m, call: 'autoscaling:SetInstanceProtection', with: {AutoScalingGroupName: g, \
                   InstanceIds: ['#0', '#1', '#2', '#3', '#4'], ProtectedFromScaleIn: true}}\n";
    let log = group("MinSize: 0, DesiredCapacity: 5", &format!("{LEG}{service}{policies}alarms:\n{alarms}{protect}"));
    let changes = desired(&log);
    assert!(changes.len() >= 8, "{changes:?}");
    let alternates =
        changes.iter().enumerate().all(|(place, (_, size))| *size == if place % 2 == 0 { 5.0 } else { 6.0 });
    assert!(alternates, "{changes:?}");
    let apart = changes[1..].windows(2).all(|pair| pair[1].0 - pair[0].0 >= 300.0);
    assert!(apart, "one a cooldown: {changes:?}");
    assert_eq!((newest(&log, "CPUReservation", 120.0), newest(&log, "MemoryReservation", 120.0)), (80.0, 10.0));
}

#[test]
fn cas_23_without_datapoints_nothing_scales() {
    let gap = "faults:\n  - {at: 0s, fault: metricGap, with: {Namespace: AWS/ECS/ManagedScaling, MetricName: \
               CapacityProviderReservation}}\n";
    let log = Lab::new(0).packed(1).with(gap).run();
    assert_eq!(desired(&log), [(0.0, 0.0)]);
    assert!(desired(&Lab::new(0).packed(1).run()).len() > 1);
}

#[test]
fn cas_33_a_host_drained_by_hand_is_scaled_in_once_it_is_empty() {
    let drain = "  - {at: 10m, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, containerInstances: ['#0'], \
                 status: DRAINING}}\n";
    let log = Lab::new(2).packed(1).protected().with(&actions(&[drain.to_owned()])).run();
    assert_eq!((log.placed[&0], log.placed[&1]), (0, 1));
    assert!(log.step(0, "Terminated").is_some() && log.step(1, "Terminating").is_none());
}

#[test]
fn drn_5_without_managed_draining_hosts_go_abruptly() {
    let ends = |provider: &'static str| {
        let mut lab = Lab::new(2).packed(1).with(&actions(&[terminate("10m", "#0", true)]));
        lab.provider = provider;
        let log = lab.run();
        (log.step(0, "Draining").is_some(), log.step(0, "ShuttingDown"))
    };
    assert_eq!(ends(", managedDraining: DISABLED"), (false, Some(600.0)));
    let (drains, gone) = ends("");
    assert!(drains && gone > Some(600.0), "{gone:?}");
}

#[test]
fn drn_8_replacements_for_a_draining_host_raise_the_need() {
    let log = Lab::new(1).packed(2).with(&actions(&[terminate("10m", "#0", true)])).run();
    assert_eq!(desired(&log)[..2], [(0.0, 1.0), (600.0, 0.0)]);
    let (at, hosts) = desired(&log)[2];
    assert!(at > 600.0 && hosts >= 1.0, "{:?}", desired(&log));
    assert!(log.batches("service:base", "PROVISIONING", 600.0).first().is_some_and(|(since, _)| *since < 1.0));
    assert_eq!(log.level_at("service/c/base", "RunningCount", 3600.0), 2.0);
}

#[test]
fn c_9_a_launch_type_task_is_no_need_and_still_protects_its_host() {
    let task = "  - {at: 5m, call: 'ecs:RunTask', with: {cluster: c, taskDefinition: t1, launchType: EC2}}\n";
    let log = Lab::new(2).protected().with(&actions(&[task.to_owned()])).run();
    let (busy, idle) = (log.placed[&0], 1 - log.placed[&0]);
    assert_eq!(reservation(&log, 660.0), Some(0.0));
    assert!(log.step(idle, "Terminated").is_some() && log.step(busy, "Terminating").is_none());
}
