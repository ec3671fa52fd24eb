//! Worked examples of `spec/service-autoscaling.md` that need the whole control plane.
//!
//! Policies follow replayed metrics: the bucket that starts at minute i is seen by the evaluation at minute i + 1, and
//! the action follows 0.2 s later. An AlarmHigh (3 of 3) that is to act at 600 s needs buckets 7, 8 and 9.

use rstest::rstest;

use crate::lab::{Log, run_text};

/// A service `web` with a scalable target, on Fargate unless told otherwise.
struct Lab {
    desired: u32,
    bounds: (u32, u32),
    launch: &'static str,
    /// Hosts for two tasks each, when the service runs on EC2.
    hosts: u32,
    delays: &'static str,
    deployment: &'static str,
    policies: String,
    alarms: String,
    metrics: String,
    actions: String,
    /// Further sections.
    more: String,
}

impl Lab {
    fn new(desired: u32, min: u32, max: u32) -> Self {
        Self {
            desired,
            bounds: (min, max),
            launch: "launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}",
            hosts: 0,
            delays: "preset: constant",
            deployment: "",
            policies: String::new(),
            alarms: String::new(),
            metrics: String::new(),
            actions: String::new(),
            more: String::new(),
        }
    }

    /// The service runs on `hosts` hosts for two tasks each, which nobody scales.
    fn on_hosts(mut self, hosts: u32) -> Self {
        (self.launch, self.hosts) = ("launchType: EC2", hosts);
        self
    }

    /// A target tracking policy on the replayed metric of the same name.
    fn tracks(mut self, metric: &str, target: u32, more: &str) -> Self {
        self.policies.push_str(&format!(
            "  - {{PolicyName: track-{metric}, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
             TargetTrackingScalingPolicyConfiguration: {{TargetValue: {target}, CustomizedMetricSpecification: \
             {{Namespace: Test, MetricName: {metric}, Statistic: Average}}{more}}}}}\n"
        ));
        self
    }

    /// A step scaling policy.
    fn steps(mut self, name: &str, kind: &str, steps: &str, more: &str) -> Self {
        self.policies.push_str(&format!(
            "  - {{PolicyName: {name}, PolicyType: StepScaling, ResourceId: service/c/web, \
             StepScalingPolicyConfiguration: {{AdjustmentType: {kind}, StepAdjustments: [{steps}]{more}}}}}\n"
        ));
        self
    }

    /// An alarm of one datapoint on a replayed metric.
    fn alarm(mut self, metric: &str, operator: &str, threshold: u32, actions: &str) -> Self {
        self.alarms.push_str(&format!(
            "  - {{AlarmName: on-{metric}, Namespace: Test, MetricName: {metric}, Statistic: Average, Period: 60, \
             EvaluationPeriods: 1, Threshold: {threshold}, ComparisonOperator: {operator}, AlarmActions: [{actions}]}}\n"
        ));
        self
    }

    /// A metric: its value for a number of minutes, span after span.
    fn metric(mut self, name: &str, spans: &[(usize, f64)]) -> Self {
        let values: Vec<f64> =
            spans.iter().flat_map(|(minutes, value)| std::iter::repeat_n(*value, *minutes)).collect();
        self.metrics
            .push_str(&format!("  - {{Namespace: Test, MetricName: {name}, Period: 60, values: {values:?}}}\n"));
        self
    }

    fn action(mut self, at: &str, call: &str, with: &str) -> Self {
        self.actions.push_str(&format!("  - {{at: {at}, call: '{call}', with: {{{with}}}}}\n"));
        self
    }

    fn set_desired(self, at: &str, desired: u32) -> Self {
        self.action(at, "ecs:UpdateService", &format!("cluster: c, service: web, desiredCount: {desired}"))
    }

    fn run(&self) -> Log {
        let Self { desired, launch, hosts, delays, deployment, .. } = self;
        let (min, max) = self.bounds;
        let section = |name: &str, entries: &str| {
            if entries.is_empty() { String::new() } else { format!("{name}:\n{entries}") }
        };
        let group = if *hosts == 0 {
            String::new()
        } else {
            format!(
                "autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: {hosts}, MaxSize: {hosts}, \
                 AvailabilityZones: [us-east-1a], cluster: c, registeredResources: {{cpu: 2048, memory: 7600}}}}\n"
            )
        };
        let network = if launch.contains("FARGATE") { "awsvpc" } else { "bridge" };
        run_text(&format!(
            "name: lab\nduration: 1h\nclusters: [{{clusterName: c}}]\n{group}taskDefinitions:\n\
             \x20 - {{family: t, networkMode: {network}, requiresCompatibilities: [{}], cpu: '1024', memory: '2048', \
             containerDefinitions: [{{name: app, image: app}}]}}\n\
             services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: {desired}, {launch}{deployment}}}\n\
             scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: {min}, MaxCapacity: {max}}}\n\
             {}{}{}{}delays: {{{delays}}}\n{}",
            if network == "awsvpc" { "FARGATE" } else { "EC2" },
            section("scalingPolicies", &self.policies),
            section("alarms", &self.alarms),
            section("metrics", &self.metrics),
            section("actions", &self.actions),
            self.more,
        ))
    }
}

const ABOVE: &str = "GreaterThanThreshold";
const BELOW: &str = "LessThanThreshold";

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("service/c/web", "DesiredCount")
}

/// Scaling activities of the service: (time in s, status, message or reasons).
fn activities(log: &Log) -> Vec<(f64, &str, &str)> {
    let mine = log.activities.iter().filter(|(_, resource, ..)| resource == "service/c/web");
    mine.map(|(time, _, status, text)| (*time, *status, text.as_str())).collect()
}

fn reasons(log: &Log) -> Vec<&str> {
    activities(log).into_iter().filter(|(_, _, text)| !text.contains(' ')).map(|(_, _, text)| text).collect()
}

#[test]
fn ex_aas_1_policies_stop_at_the_maximum() {
    let log = Lab::new(2, 1, 3)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 3}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (3, 60.0), (1, 0.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 2.0), (600.2, 3.0)]);
    assert_eq!(reasons(&log), ["AlreadyAtMaxCapacity"], "recorded once, however often the alarm repeats (AAS-16)");
}

#[test]
fn ex_aas_2_a_scale_out_lifts_to_the_minimum_first() {
    let log = Lab::new(4, 4, 10)
        .tracks("load", 50, "")
        .metric("load", &[(7, 48.0), (3, 60.0), (50, 48.0)])
        .set_desired("5m", 2)
        .run();
    assert_eq!(desired(&log), [(0.0, 4.0), (300.0, 2.0), (600.2, 4.0)]);
}

#[test]
fn ex_aas_3_above_the_maximum_nothing_scales_out() {
    let log = Lab::new(8, 1, 10)
        .tracks("load", 50, "")
        .metric("load", &[(7, 48.0), (3, 60.0), (50, 48.0)])
        .set_desired("5m", 14)
        .run();
    assert_eq!(desired(&log), [(0.0, 8.0), (300.0, 14.0)]);
    assert_eq!(reasons(&log), ["AlreadyAtMaxCapacity"]);
}

#[test]
fn ex_aas_4_of_two_scale_ins_the_gentler_wins() {
    let log = Lab::new(8, 1, 10)
        .steps("a", "ChangeInCapacity", "{MetricIntervalUpperBound: 0, ScalingAdjustment: -3}", "")
        .steps("b", "PercentChangeInCapacity", "{MetricIntervalUpperBound: 0, ScalingAdjustment: -25}", "")
        .alarm("load", BELOW, 10, "a, b")
        .metric("load", &[(9, 50.0), (1, 5.0), (50, 50.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 8.0), (600.2, 6.0)]);
}

#[test]
fn ex_aas_5_no_scale_in_during_a_rolling_deployment() {
    // With 100/100 % the deployment can neither start nor stop a task, until the operator allows more.
    let mut lab = Lab::new(4, 1, 10)
        .tracks("load", 50, "")
        .metric("load", &[(60, 30.0)])
        .action("10m", "ecs:UpdateService", "cluster: c, service: web, forceNewDeployment: true")
        .action(
            "35m",
            "ecs:UpdateService",
            "cluster: c, service: web, deploymentConfiguration: {minimumHealthyPercent: 100, maximumPercent: 200}",
        );
    lab.deployment = ", deploymentConfiguration: {minimumHealthyPercent: 100, maximumPercent: 100}";
    let log = lab.run();
    let low = log.alarms.iter().find(|(_, name, state, _)| name.contains("AlarmLow") && state == "ALARM");
    assert_eq!(low.map(|(time, ..)| *time), Some(900.0));
    let ends = log.messages.iter().rev().find(|(_, text)| text.contains("deployment completed")).expect("it ends").0;
    let (scaled, to) = desired(&log)[1];
    assert!(ends > 2100.0 && scaled > ends && scaled <= ends + 60.2, "ended {ends}, scaled in {scaled}");
    assert_eq!(to, 3.0, "ceil(4 x 30 / 50)");
    // AAS-15: meanwhile ECS has put the service as unscalable; said once, however often the policy asks (AAS-16).
    let unscalable =
        activities(&log).into_iter().filter(|(_, _, text)| *text == "TargetServicePutResourceAsUnscalable");
    assert_eq!(unscalable.collect::<Vec<_>>(), [(900.2, "Failed", "TargetServicePutResourceAsUnscalable")]);
}

#[test]
fn ex_aas_6() {
    // AlarmLow in ALARM at 03:03:36.051; activity at 36.256, UpdateService in the same second, task stopping at 42.439,
    // Successful at 03:04:11.222.
    let mut lab = Lab::new(2, 1, 10)
        .steps("p", "ChangeInCapacity", "{MetricIntervalUpperBound: 0, ScalingAdjustment: -1}", "")
        .alarm("load", BELOW, 50, "p")
        .metric("load", &[(9, 60.0), (1, 30.0), (5, 60.0)]);
    lab.more = "behaviour: {alarm_eval_phase: aligned, action_latency: 205ms, ecs_update_latency: 500ms, \
                svc_update_lag_s: 5.683, activity_poll: 34.966s}\n"
        .to_owned();
    let log = lab.run();
    let statuses: Vec<(f64, &str)> = activities(&log).iter().map(|(time, status, _)| (*time, *status)).collect();
    assert_eq!(statuses, [(600.205, "Pending"), (600.705, "InProgress"), (635.171, "Successful")]);
    assert_eq!(desired(&log), [(0.0, 2.0), (600.705, 1.0)]);
    let running = log.level("service/c/web", "RunningCount");
    assert_eq!(running.last(), Some(&(606.388, 1.0)), "the task stops 6.388 s after the alarm");
}

#[test]
fn ex_aas_7() {
    // Scale-out on Fargate: UpdateService at 01:47:59, "started 1 tasks" at 01:48:06, steady at 01:48:44.
    let mut lab = Lab::new(1, 1, 10)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (5, 0.0)]);
    lab.delays = "preset: constant, fargateProvision: 12s, imagePull: 6s, fargateStart: 20s, healthy: 0s";
    lab.more = "behaviour: {alarm_eval_phase: aligned, svc_update_lag_s: 7}\n".to_owned();
    let log = lab.run();
    let updated = desired(&log)[1].0;
    let after = |text: &str| {
        let said = log.messages.iter().find(|(at, said)| *at > updated && said.contains(text));
        said.map(|(at, _)| ((at - updated) * 1000.0).round() / 1000.0)
    };
    assert_eq!(after("has started 1 tasks"), Some(7.0));
    assert_eq!(after("has reached a steady state"), Some(45.0));
}

#[test]
fn aas_12_an_activity_whose_call_is_refused_fails() {
    let mut lab = Lab::new(1, 1, 10)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", ", Cooldown: 0")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (2, 60.0), (49, 0.0)]);
    lab.more = "faults:\n  - {at: 9m, for: 90s, fault: apiThrottling, with: {bucket: serviceModify}}\n".to_owned();
    let log = lab.run();
    let seen = activities(&log);
    assert_eq!((seen[0].0, seen[0].1), (600.2, "Failed"));
    assert!(seen[0].2.starts_with("Failed to set desired count to 2. Reason: Rate exceeded"), "{}", seen[0].2);
    assert!(seen[0].2.ends_with("Error Code: ThrottlingException)."), "{}", seen[0].2);
    assert_eq!(desired(&log), [(0.0, 1.0), (660.2, 2.0)], "the alarm's next repeat succeeds");
}

#[test]
fn aas_17_a_cause_names_alarm_and_policy_or_the_bound() {
    let log = Lab::new(1, 1, 10)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (49, 0.0)])
        .action(
            "40m",
            "application-autoscaling:RegisterScalableTarget",
            "ServiceNamespace: ecs, ScalableDimension: 'ecs:service:DesiredCount', ResourceId: service/c/web, MinCapacity: 4",
        )
        .run();
    let mut causes: Vec<&str> = log
        .causes
        .iter()
        .filter(|(resource, _)| resource == "service/c/web")
        .map(|(_, cause)| cause.as_str())
        .collect();
    causes.dedup();
    assert_eq!(causes, ["monitor alarm on-load in state ALARM triggered policy p", "minimum capacity was set to 4"]);
}

#[test]
fn alm_24_an_alarm_without_data_scales_nothing() {
    let log = Lab::new(3, 1, 10)
        .steps("p", "ChangeInCapacity", "{MetricIntervalUpperBound: 0, ScalingAdjustment: -1}", "")
        .alarm("load", BELOW, 50, "p")
        .metric("load", &[(5, 60.0)])
        .run();
    assert!(
        log.alarms.iter().any(|(_, name, state, _)| name == "on-load" && state == "INSUFFICIENT_DATA"),
        "{:?}",
        log.alarms
    );
    assert_eq!(desired(&log), [(0.0, 3.0)]);
}

#[test]
fn aas_2_a_throttled_move_into_the_bounds_is_made_again() {
    let mut lab = Lab::new(1, 1, 10).action(
        "10m",
        "application-autoscaling:RegisterScalableTarget",
        "ServiceNamespace: ecs, ScalableDimension: 'ecs:service:DesiredCount', ResourceId: service/c/web, MinCapacity: 4",
    );
    lab.more = "faults:\n  - {at: 9m, for: 85s, fault: apiThrottling, with: {bucket: serviceModify}}\n".to_owned();
    let log = lab.run();
    let statuses: Vec<(f64, &str)> = activities(&log).iter().map(|(time, status, _)| (*time, *status)).collect();
    assert_eq!(statuses[..2], [(600.0, "Failed"), (630.0, "InProgress")]);
    assert_eq!(desired(&log), [(0.0, 1.0), (630.0, 4.0)], "no alarm is there to repeat it");
    // Somebody has decided otherwise in between: it stays there.
    lab = lab.set_desired("628s", 2);
    assert_eq!(desired(&lab.run()), [(0.0, 1.0), (628.0, 2.0)]);
}

#[test]
fn aas_2_bounds_that_change_while_an_activity_is_pending_hold() {
    let mut lab = Lab::new(1, 1, 10)
        .on_hosts(0)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 8}", ", Cooldown: 0")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (5, 0.0)])
        .action(
            "605s",
            "application-autoscaling:RegisterScalableTarget",
            "ServiceNamespace: ecs, ScalableDimension: 'ecs:service:DesiredCount', ResourceId: service/c/web, MaxCapacity: 5",
        );
    lab.more = "behaviour: {alarm_eval_phase: aligned, ecs_update_latency: 10s}\n".to_owned();
    assert_eq!(desired(&lab.run()), [(0.0, 1.0), (610.2, 5.0)]);
}

#[test]
fn aas_12_a_change_by_hand_overtakes_a_pending_activity() {
    let mut lab = Lab::new(0, 0, 10)
        .on_hosts(0)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (5, 0.0)])
        .set_desired("605s", 4);
    lab.more = "behaviour: {alarm_eval_phase: aligned, ecs_update_latency: 10s}\n".to_owned();
    let log = lab.run();
    let statuses: Vec<(f64, &str)> = activities(&log).iter().map(|(time, status, _)| (*time, *status)).collect();
    assert_eq!(statuses, [(600.2, "Pending"), (605.0, "Overridden")]);
    assert_eq!(desired(&log), [(0.0, 0.0), (605.0, 4.0)]);
}

#[test]
fn ex_aas_8_already_at_the_exact_capacity() {
    let log = Lab::new(3, 0, 10)
        .on_hosts(0)
        .steps("p", "ExactCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 3}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (5, 60.0)])
        .run();
    assert_eq!(log.level_at("service/c/web", "RunningCount", 3600.0), 0.0);
    assert_eq!(activities(&log), [(600.2, "Successful", "AlreadyAtDesiredCapacity")]);
}

#[test]
fn ex_aas_9_a_change_by_hand_overrides_an_activity() {
    let log = Lab::new(0, 0, 10)
        .on_hosts(0)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (5, 0.0)])
        .set_desired("11m", 2)
        .run();
    assert_eq!(desired(&log), [(0.0, 0.0), (600.2, 1.0), (660.0, 2.0)]);
    let seen = activities(&log);
    assert_eq!(
        seen.iter().map(|(time, status, _)| (*time, *status)).collect::<Vec<_>>(),
        [(600.2, "InProgress"), (660.0, "Overridden")]
    );
    assert!(seen[1].2.ends_with("later changed to 2."), "{seen:?}");
}

#[test]
fn ex_aas_10_an_activity_that_cannot_be_fulfilled_stays_in_progress() {
    let log = Lab::new(0, 0, 10)
        .on_hosts(0)
        .steps("p", "ExactCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 3}", "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 60.0), (5, 0.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 0.0), (600.2, 3.0)]);
    let statuses: Vec<&str> = activities(&log).iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, ["InProgress"], "49 minutes later");
}

#[test]
fn aas_10_suspended_scaling_resumes_with_the_next_repeat() {
    let suspend = |suspended: bool| {
        format!("ResourceId: service/c/web, SuspendedState: {{DynamicScalingOutSuspended: {suspended}}}")
    };
    let log = Lab::new(2, 1, 10)
        .tracks("load", 50, "")
        .metric("load", &[(7, 48.0), (10, 60.0), (43, 48.0)])
        .action("5m", "application-autoscaling:RegisterScalableTarget", &suspend(true))
        .action("770s", "application-autoscaling:RegisterScalableTarget", &suspend(false))
        .run();
    assert_eq!(desired(&log), [(0.0, 2.0), (780.2, 3.0)]);
}

#[test]
fn ex_alm_15_scaling_actions_repeat_and_notifications_do_not() {
    let log = Lab::new(1, 1, 100)
        .steps("p", "ChangeInCapacity", "{MetricIntervalLowerBound: 0, ScalingAdjustment: 1}", ", Cooldown: 0")
        .alarm("load", ABOVE, 50, "p, 'arn:aws:sns:us-east-1:123456789012:pager'")
        .metric("load", &[(3, 0.0), (5, 60.0), (52, 0.0)])
        .run();
    // Each action adds a task: it runs, and its activity completes, before the next minute; there is no cooldown.
    let times: Vec<f64> = desired(&log)[1..].iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [240.2, 300.2, 360.2, 420.2, 480.2]);
    let pages: Vec<f64> = log.notifications.iter().map(|(time, ..)| *time).collect();
    assert_eq!(pages, [240.0]);
    let states: Vec<(f64, &str)> = log.alarms.iter().map(|(time, _, state, _)| (*time, state.as_str())).collect();
    assert_eq!(states, [(0.0, "INSUFFICIENT_DATA"), (60.0, "OK"), (240.0, "ALARM"), (540.0, "OK")]);
}

#[test]
fn ex_tt_4_out_in_proportion() {
    let log = Lab::new(4, 1, 100).tracks("load", 50, "").metric("load", &[(7, 48.0), (3, 75.0), (50, 48.0)]).run();
    assert_eq!(desired(&log), [(0.0, 4.0), (600.2, 6.0)]);
    assert_eq!(log.level_at("service/c/web", "RunningCount", 660.0), 6.0);
    let done = activities(&log);
    assert_eq!(
        done.iter().map(|(time, status, _)| (*time, *status)).collect::<Vec<_>>(),
        [(600.2, "InProgress"), (630.2, "Successful")]
    );
}

#[test]
fn tt_5_names_of_the_managed_alarms() {
    let log = Lab::new(4, 1, 100).tracks("load", 50, "").metric("load", &[(60, 48.0)]).run();
    let mut names: Vec<&str> = log.alarms.iter().map(|(_, name, ..)| name.as_str()).collect();
    names.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("TargetTracking-service/c/web-AlarmHigh-"), "{names:?}");
    assert!(names[1].starts_with("TargetTracking-service/c/web-AlarmLow-"), "{names:?}");
}

#[test]
fn ex_tt_7_the_last_unit_stays() {
    let log = Lab::new(2, 1, 100).tracks("load", 50, "").metric("load", &[(60, 40.0)]).run();
    assert_eq!(desired(&log), [(0.0, 2.0)]);
    assert_eq!(activities(&log), [(900.2, "Failed", "AutoScalingAnticipatedFlapping")]);
}

#[test]
fn ex_tt_12_a_larger_scale_out_passes_while_one_is_in_progress() {
    let mut lab =
        Lab::new(4, 1, 100).tracks("load", 50, "").metric("load", &[(7, 48.0), (3, 75.0), (1, 90.0), (49, 48.0)]);
    lab.delays = "preset: constant, fargateProvision: 90s";
    let log = lab.run();
    assert_eq!(log.level_at("service/c/web", "RunningCount", 660.0), 4.0);
    assert_eq!(desired(&log), [(0.0, 4.0), (600.2, 6.0), (660.2, 8.0)]);
}

#[test]
fn ex_tt_13_the_same_need_waits_for_the_end_of_the_cooldown() {
    let log = Lab::new(4, 1, 100).tracks("load", 50, "").metric("load", &[(7, 48.0), (9, 75.0), (44, 48.0)]).run();
    // Fulfilled and found so at 630.2; the cooldown ends at 930.2, and the repeat after that counts six tasks.
    assert_eq!(desired(&log), [(0.0, 4.0), (600.2, 6.0), (960.2, 9.0)]);
}

#[test]
fn ex_tt_14_a_scale_in_waits_for_its_cooldown() {
    let log = Lab::new(10, 1, 100).tracks("load", 50, "").metric("load", &[(24, 40.0), (36, 48.0)]).run();
    // Fulfilled and found so at 930.2: the first repeat at or after 1230.2 is that of 1260.
    assert_eq!(desired(&log), [(0.0, 10.0), (900.2, 8.0), (1260.2, 7.0)]);
}

#[test]
fn ex_tt_15_a_scale_out_breaks_the_scale_in_cooldown() {
    let log = Lab::new(10, 1, 100).tracks("load", 50, "").metric("load", &[(15, 40.0), (3, 60.0), (42, 48.0)]).run();
    assert_eq!(desired(&log), [(0.0, 10.0), (900.2, 8.0), (1080.2, 10.0)]);
}

#[test]
fn ex_tt_16_the_larger_of_two_policies_wins() {
    let log = Lab::new(10, 1, 100)
        .tracks("cpu", 50, "")
        .tracks("requests", 1000, "")
        .metric("cpu", &[(7, 48.0), (3, 60.0), (50, 48.0)])
        .metric("requests", &[(7, 950.0), (3, 1500.0), (50, 950.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 10.0), (600.2, 15.0)]);
}

#[test]
fn ex_tt_17_one_contented_policy_vetoes_the_scale_in() {
    let log = Lab::new(10, 1, 100)
        .tracks("cpu", 50, "")
        .tracks("memory", 60, "")
        .metric("cpu", &[(60, 30.0)])
        .metric("memory", &[(60, 57.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 10.0)]);
    assert_eq!(log.decided("target-tracking"), [(900.2, "not-scaled", "TT-25")]);
}

#[test]
fn ex_tt_19_tasks_that_find_no_place_do_not_feed_the_growth() {
    let log = Lab::new(12, 1, 50)
        .on_hosts(4)
        .tracks("load", 50, ", ScaleOutCooldown: 0")
        .metric("load", &[(7, 48.0), (20, 70.0), (33, 48.0)])
        .run();
    assert_eq!(log.level_at("service/c/web", "RunningCount", 1200.0), 8.0);
    assert_eq!(desired(&log), [(0.0, 12.0)]);
}

#[test]
fn ex_tt_20_from_zero_one_task_then_the_usual_arithmetic() {
    let log = Lab::new(0, 0, 20).tracks("backlog", 100, "").metric("backlog", &[(4, 500.0), (56, 95.0)]).run();
    assert_eq!(desired(&log), [(0.0, 0.0), (180.2, 1.0), (240.2, 5.0)]);
}

#[test]
fn ex_tt_24_without_scale_in_there_is_no_low_alarm() {
    let log = Lab::new(10, 1, 100).tracks("load", 60, ", DisableScaleIn: true").metric("load", &[(60, 5.0)]).run();
    assert_eq!(desired(&log), [(0.0, 10.0)]);
    assert!(log.alarms.iter().all(|(_, name, ..)| name.contains("AlarmHigh")));
}

const POLICY_A: &str = "{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 0}, \
    {MetricIntervalLowerBound: 10, MetricIntervalUpperBound: 20, ScalingAdjustment: 10}, \
    {MetricIntervalLowerBound: 20, ScalingAdjustment: 30}";

#[rstest]
#[case::ex_step_1(10, 60.0, Some(11.0))]
#[case::ex_step_2(11, 70.0, Some(14.0))]
#[case::ex_step_3(10, 59.999, None)]
fn ex_step_1_to_3_the_published_policy(#[case] from: u32, #[case] value: f64, #[case] to: Option<f64>) {
    let log = Lab::new(from, 1, 100)
        .steps("p", "PercentChangeInCapacity", POLICY_A, "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, value), (50, 0.0)])
        .run();
    assert_eq!(desired(&log).get(1).copied(), to.map(|to| (600.2, to)));
}

#[rstest]
#[case::ex_step_7(65.0, Some(13.0))]
#[case::ex_step_8(55.0, None)]
fn ex_step_7_and_8_within_the_cooldown_only_the_excess(#[case] second: f64, #[case] to: Option<f64>) {
    let steps = "{MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 2}, \
                 {MetricIntervalLowerBound: 10, ScalingAdjustment: 3}";
    let log = Lab::new(10, 1, 100)
        .steps("p", "ChangeInCapacity", steps, "")
        .alarm("load", ABOVE, 50, "p")
        .metric("load", &[(9, 0.0), (1, 55.0), (1, second), (49, 0.0)])
        .run();
    assert_eq!(desired(&log)[1], (600.2, 12.0));
    assert_eq!(desired(&log).get(2).copied(), to.map(|to| (660.2, to)));
}

#[test]
fn ex_step_12_target_tracking_has_no_say_in_a_step_scale_in() {
    let log = Lab::new(10, 1, 100)
        .tracks("cpu", 50, "")
        .metric("cpu", &[(60, 48.0)])
        .steps("p", "ChangeInCapacity", "{MetricIntervalUpperBound: 0, ScalingAdjustment: -2}", "")
        .alarm("load", BELOW, 10, "p")
        .metric("load", &[(9, 50.0), (1, 5.0), (50, 50.0)])
        .run();
    assert_eq!(desired(&log), [(0.0, 10.0), (600.2, 8.0)]);
}

#[test]
fn ex_tt_23_a_policy_put_again_has_new_alarms_that_know_the_past() {
    let policy = "PolicyName: track-load, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
                  TargetTrackingScalingPolicyConfiguration: {TargetValue: 50, CustomizedMetricSpecification: \
                  {Namespace: Test, MetricName: load, Statistic: Average}}";
    let log = Lab::new(2, 2, 100)
        .tracks("load", 50, "")
        .metric("load", &[(60, 20.0)])
        .action("1230s", "application-autoscaling:PutScalingPolicy", policy)
        .run();
    let low: Vec<(f64, &str)> = log
        .alarms
        .iter()
        .filter(|(_, name, ..)| name.contains("AlarmLow"))
        .map(|(time, _, state, _)| (*time, state.as_str()))
        .collect();
    let expect = [(0.0, "INSUFFICIENT_DATA"), (900.0, "ALARM"), (1230.0, "INSUFFICIENT_DATA"), (1260.0, "ALARM")];
    assert_eq!(low, expect);
}

#[test]
fn tt_2_a_service_follows_its_own_utilisation() {
    // 4 tasks of one vCPU at 3 vCPU of demand are 75 % busy; at T = 50 six are wanted, and then they are half busy.
    let log = run_text(
        "name: lab\nduration: 1h\nclusters: [{clusterName: c}]\n\
         taskDefinitions:\n  - {family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', memory: '2048', \
         containerDefinitions: [{name: app, image: app}]}\n\
         services:\n  - {serviceName: web, cluster: c, taskDefinition: t, desiredCount: 4, launchType: FARGATE, \
         networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}}\n\
         scalableTargets:\n  - {ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 20}\n\
         scalingPolicies:\n  - {PolicyName: cpu, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
         TargetTrackingScalingPolicyConfiguration: {TargetValue: 50, PredefinedMetricSpecification: \
         {PredefinedMetricType: ECSServiceAverageCPUUtilization}}}\n\
         workloads:\n  - {name: work, utilization: {service: c/web, cpu: {steps: [[0s, 1.9], [10m, 3]]}}}\n",
    );
    let changes = desired(&log);
    // Three buckets from 600 s on, each visible two minutes after its end, then 0.2 s.
    assert_eq!(changes, [(0.0, 4.0), (900.2, 6.0)]);
    let busy = log.metric("service/c/web", "CPUUtilization");
    let at =
        |start: f64| busy.iter().find(|(time, _)| *time == start).map(|(_, value)| (value * 100.0).round() / 100.0);
    assert_eq!([at(540.0), at(660.0), at(1200.0)], [Some(47.5), Some(75.0), Some(50.0)]);
}
