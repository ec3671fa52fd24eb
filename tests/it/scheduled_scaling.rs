//! Scheduled scaling of services and groups, on the whole control plane (SCH-*, ASG-32).

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// A service `web` on Fargate, bounds 1 to 10, with sections of the test's own.
fn service(desired: u32, sections: &str) -> String {
    format!(
        "name: lab\nduration: 1d\nclusters: [{{clusterName: c}}]\n\
         taskDefinitions:\n  - {{family: t, networkMode: awsvpc, requiresCompatibilities: [FARGATE], cpu: '1024', \
         memory: '2048', containerDefinitions: [{{name: app, image: app}}]}}\n\
         services:\n  - {{serviceName: web, cluster: c, taskDefinition: t, desiredCount: {desired}, launchType: FARGATE, \
         networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a]}}}}}}\n\
         scalableTargets:\n  - {{ResourceId: service/c/web, MinCapacity: 1, MaxCapacity: 10}}\n{sections}"
    )
}

fn action(name: &str, schedule: &str, bounds: &str) -> String {
    format!(
        "  - {{ScheduledActionName: {name}, ResourceId: service/c/web, Schedule: '{schedule}', \
         ScalableTargetAction: {{{bounds}}}}}\n"
    )
}

/// Changes of the desired count: (hour, tasks).
fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("service/c/web", "DesiredCount").into_iter().map(|(time, value)| (time / 3600.0, value)).collect()
}

fn decisions(log: &Log) -> Vec<(f64, &str, &str)> {
    let of_hours = |(time, what, rule): (f64, _, _)| (time / 3600.0, what, rule);
    log.decided("scheduled-action").into_iter().map(of_hours).collect()
}

fn refusal(sections: &str) -> String {
    let refused = load_str("lab.yaml", &service(3, sections), &LoadOptions::default()).unwrap_err();
    refused.to_string()
}

#[test]
fn sch_2_the_bounds_follow_the_clock_and_the_capacity_follows_the_bounds() {
    let actions = action("morning", "cron(0 8 * * ? *)", "MinCapacity: 5")
        + &action("evening", "cron(0 18 * * ? *)", "MinCapacity: 1, MaxCapacity: 4");
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}")));
    assert_eq!(desired(&log), [(0.0, 3.0), (8.0, 5.0), (18.0, 4.0)]);
    let expected = [
        (8.0, "set-bounds", "SCH-2"),
        (8.0, "scale-out", "SCH-2"),
        (18.0, "set-bounds", "SCH-2"),
        (18.0, "scale-in", "SCH-2"),
    ];
    assert_eq!(decisions(&log), expected);
}

#[test]
fn sch_11_bounds_and_capacity_are_two_activities() {
    let actions = action("morning", "at(2026-01-05T08:00:00)", "MinCapacity: 5, MaxCapacity: 9");
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}")));
    let seen: Vec<(f64, &str, &str)> =
        log.activities.iter().map(|(time, _, status, text)| (*time - 8.0 * 3600.0, *status, text.as_str())).collect();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(seen[0], (0.0, "Successful", "Successfully set min capacity to 5 and max capacity to 9"));
    assert_eq!((seen[1].0, seen[1].1), (0.0, "InProgress"));
    assert_eq!(seen[2].1, "Successful");
    assert!(seen[2].2.starts_with("Successfully set desired count to 5."), "{seen:?}");
}

#[test]
fn sch_3_a_minimum_above_the_maximum_changes_nothing() {
    let actions = action("too-much", "rate(6 hours)", "MinCapacity: 11");
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}")));
    assert_eq!(desired(&log), [(0.0, 3.0)]);
    assert_eq!(decisions(&log)[..2], [(6.0, "refuse", "SCH-3"), (12.0, "refuse", "SCH-3")]);
    assert!(log.activities.iter().all(|(_, _, status, _)| *status == "Failed"), "{:?}", log.activities);
}

#[test]
fn ex_sch_12_a_night_without_tasks_silences_target_tracking() {
    let tracking = "scalingPolicies:\n  - {PolicyName: cpu, PolicyType: TargetTrackingScaling, ResourceId: service/c/web, \
         TargetTrackingScalingPolicyConfiguration: {TargetValue: 50, PredefinedMetricSpecification: \
         {PredefinedMetricType: ECSServiceAverageCPUUtilization}}}\n\
         workloads:\n  - {name: work, utilization: {service: c/web, cpu: {constant: 2.9}}}\n";
    let actions = action("night", "cron(0 1 * * ? *)", "MinCapacity: 0, MaxCapacity: 0")
        + &action("day", "cron(0 7 * * ? *)", "MinCapacity: 6, MaxCapacity: 10");
    let log = run_text(&service(6, &format!("scheduledActions:\n{actions}{tracking}")));
    assert_eq!(desired(&log), [(0.0, 6.0), (1.0, 0.0), (7.0, 6.0)]);
    let night = log.metric("service/c/web", "CPUUtilization");
    assert!(!night.iter().any(|(at, _)| (3720.0..7.0 * 3600.0).contains(at)), "no task, no sample (ECSM-6)");
    assert!(log.decided("target-tracking").is_empty(), "{:?}", log.decided("target-tracking"));
}

#[test]
fn ex_sch_15_a_suspended_run_is_lost() {
    let suspend = |at: &str, suspended: bool| {
        format!(
            "  - {{at: {at}, call: 'application-autoscaling:RegisterScalableTarget', with: {{ResourceId: service/c/web, \
             SuspendedState: {{ScheduledScalingSuspended: {suspended}}}}}}}\n"
        )
    };
    let actions =
        action("nine", "cron(0 9 * * ? *)", "MinCapacity: 5") + &action("noon", "cron(0 12 * * ? *)", "MinCapacity: 4");
    let timeline = suspend("8h", true) + &suspend("10h", false);
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}actions:\n{timeline}")));
    assert_eq!(desired(&log), [(0.0, 3.0), (12.0, 4.0)]);
    assert_eq!(decisions(&log)[0], (9.0, "not-scaled", "AAS-10"));
}

#[test]
fn ex_tt_27_a_cooldown_does_not_hold_a_scheduled_action_back() {
    let scaling = "scalingPolicies:\n  - {PolicyName: p, ResourceId: service/c/web, StepScalingPolicyConfiguration: \
         {AdjustmentType: ExactCapacity, StepAdjustments: [{MetricIntervalLowerBound: 0, ScalingAdjustment: 8}]}}\n\
         alarms:\n  - {AlarmName: load, Namespace: Test, MetricName: load, Statistic: Average, Period: 60, \
         EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold, AlarmActions: [p]}\n\
         metrics:\n  - {Namespace: Test, MetricName: load, Period: 60, values: [10, 60, 60, 10]}\n";
    // 8 tasks at 120.2 s, found fulfilled at 150.2 s; the cooldown would last until 450.2 s.
    let actions = action("more", "at(2026-01-05T00:03:20)", "MinCapacity: 12, MaxCapacity: 20");
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}{scaling}")));
    assert_eq!(log.level("service/c/web", "DesiredCount"), [(0.0, 3.0), (120.2, 8.0), (200.0, 12.0)]);
}

#[test]
fn sch_9_a_scheduled_action_may_run_late() {
    let actions = action("late", "cron(0 6 * * ? *)", "MinCapacity: 4");
    let behaviour = "behaviour: {scheduled_delay: 16s}\n";
    let log = run_text(&service(3, &format!("scheduledActions:\n{actions}{behaviour}")));
    assert_eq!(log.level("service/c/web", "DesiredCount"), [(0.0, 3.0), (21_616.0, 4.0)]);
}

#[test]
fn sch_9_actions_that_come_together_collide() {
    let actions =
        action("one", "cron(0 6 * * ? *)", "MinCapacity: 4") + &action("two", "cron(0 6 * * ? *)", "MinCapacity: 6");
    let text = |behaviour: &str| service(3, &format!("scheduledActions:\n{actions}{behaviour}"));
    let log = run_text(&text("behaviour: {scheduled_collision: 5s}\n"));
    assert_eq!(desired(&log), [(0.0, 3.0), (6.0, 4.0)], "the one put first goes first");
    let failed: Vec<&str> =
        log.activities.iter().filter(|(_, _, status, _)| *status == "Failed").map(|a| a.3.as_str()).collect();
    assert!(
        failed.len() == 1 && failed[0].starts_with("Failed to set min capacity to 6. Reason: Concurrent"),
        "{failed:?}"
    );
    assert!(decisions(&log).contains(&(6.0, "refuse", "SCH-9")));
    assert_eq!(desired(&run_text(&text(""))).last(), Some(&(6.0, 6.0)), "by default each is carried out");
}

#[test]
fn actions_put_and_delete_scheduled_actions() {
    let put = "  - {at: 1h, call: 'application-autoscaling:PutScheduledAction', with: {ScheduledActionName: hourly, \
         ResourceId: service/c/web, Schedule: rate(2 hours), ScalableTargetAction: {MinCapacity: 4}}}\n\
         \x20 - {at: 4h, call: 'application-autoscaling:PutScheduledAction', with: {ScheduledActionName: hourly, \
         ResourceId: service/c/web, ScalableTargetAction: {MinCapacity: 6}}}\n\
         \x20 - {at: 6h, call: 'application-autoscaling:DeleteScheduledAction', with: {ScheduledActionName: hourly, \
         ResourceId: service/c/web}}\n\
         \x20 - {at: 7h, call: 'application-autoscaling:DeleteScheduledAction', with: {ScheduledActionName: hourly, \
         ResourceId: service/c/web}}\n\
         \x20 - {at: 8h, call: 'application-autoscaling:DeregisterScalableTarget', with: {ResourceId: service/c/web}}\n\
         \x20 - {at: 9h, call: 'application-autoscaling:PutScheduledAction', with: {ScheduledActionName: hourly, \
         ResourceId: service/c/web, Schedule: rate(2 hours), ScalableTargetAction: {MinCapacity: 4}}}\n";
    let log = run_text(&service(3, &format!("actions:\n{put}")));
    // Put at 1 h, so due at 3 and 5 h; the update keeps the schedule and what it counts from (SCH-7).
    assert_eq!(desired(&log), [(0.0, 3.0), (3.0, 4.0), (5.0, 6.0)]);
    assert_eq!(log.refused(), [(7.0 * 3600.0, "SCH-12"), (9.0 * 3600.0, "AAS-1")]);
}

#[test]
fn ex_asg_22_a_group_scheduled_in_the_middle_of_a_cooldown() {
    let log = run_text(
        "name: lab\nduration: 1h\n\
         autoScalingGroups:\n  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 10, \
         DesiredCapacity: 1, AvailabilityZones: [us-east-1a]}\n\
         asgPolicies:\n  - {AutoScalingGroupName: g, PolicyName: p, AdjustmentType: ChangeInCapacity, \
         ScalingAdjustment: 1, Cooldown: 1800}\n\
         alarms:\n  - {AlarmName: load, Namespace: Test, MetricName: load, Statistic: Average, Period: 60, \
         EvaluationPeriods: 1, Threshold: 50, ComparisonOperator: GreaterThanThreshold, AlarmActions: [p]}\n\
         metrics:\n  - {Namespace: Test, MetricName: load, Period: 60, values: [10, 60, 60, 60, 60, 60, 60, 60, 60]}\n\
         asgScheduledActions:\n  - {AutoScalingGroupName: g, ScheduledActionName: early, Recurrence: '20 * * * *', \
         DesiredCapacity: 6, MaxSize: 8}\n\
         \x20 - {AutoScalingGroupName: g, ScheduledActionName: once, StartTime: '2026-01-05T00:40:00Z', MinSize: 9}\n\
         \x20 - {AutoScalingGroupName: g, ScheduledActionName: later, StartTime: '2026-01-05T00:50:00Z', MinSize: 7}\n",
    );
    assert_eq!(log.level("asg/g", "GroupDesiredCapacity"), [(0.0, 1.0), (120.2, 2.0), (1200.0, 6.0), (3000.0, 7.0)]);
    let expected = [(1200.0, "set-sizes", "ASG-32"), (2400.0, "refuse", "SCH-3"), (3000.0, "set-sizes", "ASG-32")];
    assert_eq!(log.decided("scheduled-action"), expected);
}

#[test]
fn asg_43_a_suspended_process_loses_its_schedule() {
    let log = run_text(
        "name: lab\nduration: 3h\n\
         autoScalingGroups:\n  - {AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 10, \
         AvailabilityZones: [us-east-1a]}\n\
         asgScheduledActions:\n  - {AutoScalingGroupName: g, ScheduledActionName: grow, Recurrence: '0 1 * * *', \
         DesiredCapacity: 5}\n\
         actions:\n  - {at: 30m, call: 'autoscaling:SuspendProcesses', with: {AutoScalingGroupName: g, \
         ScalingProcesses: [ScheduledActions]}}\n\
         \x20 - {at: 90m, call: 'autoscaling:ResumeProcesses', with: {AutoScalingGroupName: g}}\n",
    );
    assert_eq!(log.level("asg/g", "GroupDesiredCapacity"), [(0.0, 1.0)]);
    assert_eq!(log.decided("scheduled-action"), [(3600.0, "not-scaled", "ASG-43")]);
}

#[test]
fn what_aws_refuses_of_a_scheduled_action_is_refused_with_its_place() {
    let put = |schedule: &str, more: &str| {
        format!(
            "scheduledActions:\n  - {{ScheduledActionName: a, ResourceId: service/c/web, Schedule: '{schedule}', \
             ScalableTargetAction: {{MinCapacity: 2}}{more}}}\n"
        )
    };
    for (section, expect) in [
        (put("cron(0 10 * * * *)", ""), "`0 10 * * * *` needs `?` in one of its day fields"),
        (put("rate(1 hours)", ""), "is no rate"),
        (put("cron(0 0 30 2 ? *)", ""), "no occurrence in the future"),
        (put("cron(0 9 * * ? *)", ", Timezone: Mars/Olympus"), "`Mars/Olympus` is no time zone"),
        (put("cron(0 9 * * ? *)", ", EndTime: soon"), "`soon` is no instant"),
        (put("cron(0 9 * * ? *)", "").replace("MinCapacity: 2", ""), "At least one of the minimum"),
        (put("cron(0 9 * * ? *)", "").replace("c/web", "c/wbe"), "No scalable target registered"),
    ] {
        let message = refusal(&section);
        assert!(message.contains(expect), "{section}\n{message}");
        assert!(message.starts_with("lab.yaml:"), "{message}");
    }
    let many: String = (0..201).map(|n| action(&format!("a{n}"), "rate(1 day)", "MinCapacity: 2")).collect();
    assert!(refusal(&format!("scheduledActions:\n{many}")).contains("limit of 200 scheduled actions"));
}
