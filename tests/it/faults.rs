//! What goes wrong for a while, kind by kind, and all of it at random.

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::ecs::task::TaskStatus;
use ecsim::engine::time::SimTime;
use ecsim::scenario::{LoadOptions, load_str};
use proptest::prelude::*;

use crate::lab::{Log, run_text};

/// Two hosts in a zone and a service of two tasks, one on each, and whatever else.
fn estate(group: &str, task: &str, service: &str, rest: &str) -> String {
    format!(
        "name: faults\nduration: 1h\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 4{group}}}\n\
         targetGroups: [{{Name: tg, HealthCheckIntervalSeconds: 10, UnhealthyThresholdCount: 2, HealthyThresholdCount: 3}}]\n\
         taskDefinitions:\n  - {{family: web, containerDefinitions: [{{name: app, image: app, cpu: 1024, memory: 512, \
         portMappings: [{{containerPort: 80}}]}}]{task}}}\n\
         services:\n  - {{serviceName: web, taskDefinition: web, desiredCount: 2, launchType: EC2{service}}}\n{rest}"
    )
}

const ZONE_A: &str = ", AvailabilityZones: [us-east-1a]";

fn fault(entry: &str) -> String {
    format!("faults:\n  - {{{entry}}}\n")
}

fn running(log: &Log, at: f64) -> f64 {
    log.level_at("service/default/web", "RunningCount", at)
}

#[test]
fn agent_9_tasks_run_on_and_report_later() {
    // Tasks end by themselves 500 s after they started, at about 560 s: nobody hears of it before the agents are back.
    let cut = fault("at: 8m, for: 20m, fault: agentDisconnect");
    let log = run_text(&estate(ZONE_A, ", behaviour: {runsFor: 500s}", "", &cut));
    assert_eq!(running(&log, 1679.0), 2.0, "states freeze");
    let stopped = log.times("service:web", "STOPPED");
    assert_eq!(stopped[..2], [1680.5; 2], "told when the agents are back");
    assert!(running(&log, 1800.0) > 0.0, "and replaced");
}

#[test]
fn agent_9_a_host_without_its_agent_takes_no_tasks() {
    let cut = format!(
        "{}actions:\n  - {{at: 15m, call: 'ecs:RunTask', with: {{taskDefinition: web, count: 2}}}}\n",
        fault("at: 10m, for: 20m, fault: agentDisconnect, with: {instances: ['#0']}")
    );
    let log = run_text(&estate(ZONE_A, "", "", &cut));
    assert_eq!(log.failures, [(900.0, 1)], "one has room on the other host");
    assert!(log.reasons("run-task", "refuse")[0].1.contains("AGENT on 1"));
}

#[test]
fn agent_9_a_stop_reaches_its_agent_when_it_is_back() {
    let cut = format!(
        "{}actions:\n  - {{at: 15m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 0}}}}\n",
        fault("at: 10m, for: 20m, fault: agentDisconnect")
    );
    let log = run_text(&estate(ZONE_A, "", "", &cut));
    assert_eq!(log.times("service:web", "STOPPED"), [1800.5; 2]);
}

#[test]
fn asg_16_hosts_of_an_impaired_zone_are_replaced_after_some_minutes() {
    let zones = ", AvailabilityZones: [us-east-1a, us-east-1b]";
    let impaired = fault("at: 10m, for: 10m, fault: azImpairment, with: {availabilityZone: us-east-1a}");
    let log = run_text(&estate(zones, "", "", &impaired));
    let lost: Vec<f64> = log
        .instances
        .iter()
        .filter(|(at, _, step)| *at >= 600.0 && step == "Terminating")
        .map(|(at, ..)| *at)
        .collect();
    // `impaired_wait_s` is 180; the next health check is a minute later.
    assert_eq!(lost[0], 840.0);
    assert!(log.reasons("auto-scaling-group", "terminate")[0].1.contains("status check found it impaired"));
    let patient = run_text(&estate(zones, "", "", &format!("{impaired}behaviour: {{impaired_wait_s: 1200}}\n")));
    assert!(patient.instances.iter().all(|(_, _, step)| step != "Terminating"), "it was over before");
}

#[test]
fn targets_of_an_impaired_zone_fail_their_checks_and_recover() {
    let zones = ", AvailabilityZones: [us-east-1a, us-east-1b]";
    let balancer = ", loadBalancers: [{targetGroupArn: tg, containerName: app, containerPort: 80}], healthCheckGracePeriodSeconds: 3600";
    let impaired = format!(
        "{}behaviour: {{impaired_wait_s: 3600}}\n",
        fault("at: 10m, for: 10m, fault: azImpairment, with: {availabilityZone: us-east-1a}")
    );
    let log = run_text(&estate(zones, "", balancer, &impaired));
    let healthy = |at: f64| log.level_at("target-group/tg", "HealthyHostCount", at);
    assert_eq!([healthy(599.0), healthy(630.0), healthy(1199.0), healthy(1235.0)], [2.0, 1.0, 1.0, 2.0]);
}

#[test]
fn a_degraded_host_gives_half_its_cpu() {
    let load = "workloads:\n  - {name: load, utilization: {service: web, cpu: 3}}\n";
    let degraded = fault("at: 20m, for: 20m, fault: degradedHost, with: {speed: 0.5}");
    let log = run_text(&estate(ZONE_A, "", "", &format!("{load}{degraded}")));
    let used = |minute: f64| {
        let points = log.metric("service/default/web", "CPUUtilization");
        points.iter().find(|(at, _)| *at == minute * 60.0).map(|(_, value)| value.round())
    };
    // Three vCPUs on two reservations of one each; two hosts of two vCPUs, then of one.
    assert_eq!([used(15.0), used(30.0), used(50.0)], [Some(150.0), Some(100.0), Some(150.0)]);
}

#[test]
fn a_crash_ends_tasks_and_a_restart_policy_starts_their_containers_again() {
    let crash = fault("at: 10m, fault: taskCrash, with: {service: web, count: 1}");
    let log = run_text(&estate(ZONE_A, "", "", &crash));
    assert_eq!(log.times("service:web", "STOPPED"), [600.5]);
    assert_eq!(log.stops.values().map(|stop| stop.0.as_str()).collect::<Vec<_>>(), ["EssentialContainerExited"]);
    let text = estate(ZONE_A, "", "", &crash).replace("memory: 512,", "memory: 512, restartPolicy: {enabled: true},");
    assert_eq!(run_text(&text).times("service:web", "STOPPED"), [0.0; 0]);
}

#[test]
fn img_5_a_registry_that_does_not_answer_fails_tasks_on_hosts_without_the_image() {
    // A new revision has an image that no host has; the old one is there (IMG-1).
    let rest = format!(
        "{}actions:\n  - {{at: 10m, call: 'ecs:RunTask', with: {{taskDefinition: job}}}}\n\
         \x20 - {{at: 11m, call: 'ecs:RunTask', with: {{taskDefinition: web}}}}\n\
         \x20 - {{at: 40m, call: 'ecs:RunTask', with: {{taskDefinition: job}}}}\n",
        fault("at: 5m, for: 20m, fault: imagePullFailure")
    );
    let job =
        "taskDefinitions:\n  - {family: job, containerDefinitions: [{name: app, image: job, cpu: 128, memory: 128}]}\n";
    let text = estate(ZONE_A, "", "", &rest).replace("taskDefinitions:\n", job);
    let log = run_text(&text);
    assert_eq!(log.times("family:job", "RUNNING").len(), 1, "the second, when the registry is back");
    let stop = log.stops.values().next().expect("the first has stopped");
    assert_eq!(stop.0, "TaskFailedToStart");
    assert!(stop.1.starts_with("CannotPullContainerError"), "{}", stop.1);
    // Five tries of 1.5 s and the 12.7 s between them; then it is taken down.
    assert_eq!(log.times("family:job", "STOPPED")[0], 620.7);
    assert_eq!(log.times("family:web", "RUNNING").len(), 1, "the copy on the host will do");
}

#[test]
fn slow_boots_take_so_many_times_as_long() {
    let slow = format!(
        "{}actions:\n  - {{at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {{AutoScalingGroupName: g, DesiredCapacity: 3}}}}\n",
        fault("at: 5m, for: 10m, fault: slowBoot, with: {autoScalingGroup: g, factor: 4}")
    );
    let log = run_text(&estate(ZONE_A, "", "", &slow));
    assert_eq!([log.step(0, "Registered"), log.step(2, "Registered")], [Some(50.0), Some(605.0 + 180.0)]);
}

/// An alarm on the service's CPU, above its load from the tenth minute on.
const WATCHED: &str = "workloads:\n  - {name: load, utilization: {service: web, cpu: {steps: [[0s, 0.2], [10m, 1.8]]}}}\n\
    alarms:\n  - {AlarmName: hot, Namespace: AWS/ECS, MetricName: CPUUtilization, Statistic: Average, Period: 60, \
    EvaluationPeriods: 1, Threshold: 60, ComparisonOperator: GreaterThanThreshold, \
    Dimensions: [{Name: ClusterName, Value: default}, {Name: ServiceName, Value: web}]}\n";

fn hot(faults: &str) -> Option<f64> {
    let log = run_text(&estate(ZONE_A, "", "", &format!("{WATCHED}{faults}")));
    log.alarms.iter().find(|(_, _, state, _)| state == "ALARM").map(|(at, ..)| *at)
}

#[test]
fn late_and_lost_datapoints_hold_an_alarm_up() {
    let usual = hot("").expect("it goes off");
    let late = |by: &str| {
        hot(&fault(&format!(
            "at: 5m, fault: metricDelay, with: {{Namespace: AWS/ECS, MetricName: CPUUtilization, by: {by}}}"
        )))
    };
    assert_eq!(late("1m"), Some(usual + 60.0));
    assert_eq!(late("30m"), None, "the alarm has long looked at that minute");
    assert_eq!(hot(&fault("at: 5m, for: 20m, fault: metricDelay, with: {MetricName: MemoryUtilization}")), Some(usual));
    let lost =
        hot(&fault("at: 5m, for: 20m, fault: metricGap, with: {MetricName: CPUUtilization}")).expect("in the end");
    assert!(lost > 1500.0 && lost < 1800.0, "{lost}");
}

#[test]
fn ex_lim_2_of_150_calls_at_once_a_hundred_pass() {
    let calls = |at: &str, count: usize| {
        let call = format!("  - {{at: {at}, call: 'ecs:StopTask', with: {{task: 'family:none'}}}}\n");
        call.repeat(count)
    };
    let text = |knob: &str| {
        estate(
            ZONE_A,
            "",
            "",
            &format!("behaviour: {{api_throttle: {knob}}}\nactions:\n{}{}", calls("10m", 150), calls("601s", 60)),
        )
    };
    let throttled =
        |log: &Log, at: f64| log.refused().iter().filter(|(time, rule)| *time == at && *rule == "LIM-3").count();
    let log = run_text(&text("on"));
    assert_eq!([throttled(&log, 600.0), throttled(&log, 601.0)], [50, 20], "40 more after a second");
    assert_eq!(throttled(&run_text(&text("off")), 600.0), 0);
}

#[test]
fn lim_3_a_fault_takes_the_tokens_of_a_bucket() {
    let call =
        |at: &str| format!("  - {{at: {at}, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 1}}}}\n");
    let rest = format!(
        "{}actions:\n{}{}",
        fault("at: 5m, for: 10m, fault: apiThrottling, with: {bucket: serviceModify}"),
        call("10m"),
        call("20m")
    );
    let log = run_text(&estate(ZONE_A, "", "", &rest));
    assert_eq!(log.refused(), [(600.0, "LIM-3")]);
    assert_eq!(log.level("service/default/web", "DesiredCount"), [(0.0, 2.0), (1200.0, 1.0)]);
}

/// Counts what starts and ends, and sees that none is forgotten.
#[derive(Default)]
struct Watch {
    created: u64,
    stopped: u64,
}

impl Observer for Watch {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        let Record::Task { task, from, .. } = record else { return };
        self.created += u64::from(from.is_none());
        if task.last_status == TaskStatus::Stopped {
            self.stopped += 1;
            assert!(task.stop.as_ref().is_some_and(|stop| !stop.reason.is_empty()), "at {now}: it stops for a reason");
        }
        if let Some(host) = task.instance.and_then(|id| state.clusters[task.cluster.index()].cluster.instance(id)) {
            assert!(host.remaining.cpu <= host.registered.cpu && host.remaining.memory <= host.registered.memory);
        }
    }

    fn finish(&mut self, _now: SimTime, state: &State) {
        assert_eq!(self.created, self.stopped + state.tasks.len() as u64, "no task is forgotten");
    }
}

const KINDS: [&str; 18] = [
    "fault: azOutage, with: {availabilityZone: us-east-1a}",
    "fault: azImpairment, with: {availabilityZone: us-east-1b}",
    "fault: spotInterruption, with: {count: 1}",
    "fault: spotInterruption, with: {capacityProvider: FARGATE_SPOT, count: 1}",
    "fault: rebalanceRecommendation, with: {count: 1}",
    "fault: insufficientCapacity, with: {autoScalingGroup: g}",
    "fault: insufficientCapacity, with: {capacityProvider: FARGATE_SPOT}",
    "fault: instanceFailure, with: {count: 1}",
    "fault: degradedHost, with: {speed: 0.3, count: 1}",
    "fault: agentDisconnect, with: {count: 1}",
    "fault: taskCrash, with: {count: 2}",
    "fault: platformRetirement, with: {count: 1}",
    "fault: imagePullFailure",
    "fault: imagePullFailure, with: {stalls: true}",
    "fault: slowBoot, with: {factor: 5}",
    "fault: metricDelay, with: {by: 3m}",
    "fault: metricGap",
    "fault: apiThrottling, with: {left: 0.1}",
];

/// One entry: a kind, when or how often, and for how long if it lasts.
fn entry() -> impl Strategy<Value = String> {
    (0..KINDS.len(), any::<bool>(), 1_u32..90, 1_u32..40).prop_map(|(kind, random, minutes, lasts)| {
        let instant =
            ["spotInterruption", "rebalanceRecommendation", "instanceFailure", "taskCrash", "platformRetirement"];
        let when = if random {
            format!("every: {{exponential: {{mean: {}m}}}}", minutes.max(5))
        } else {
            format!("at: {minutes}m")
        };
        let span = if instant.iter().any(|name| KINDS[kind].contains(name)) {
            String::new()
        } else {
            format!("for: {lasts}m, ")
        };
        format!("  - {{{when}, {span}{}}}\n", KINDS[kind])
    })
}

/// Everything that faults can strike: managed Spot hosts with a balanced service, a daemon, jobs, Fargate Spot.
fn mixed(entries: &[String], seed: u32) -> String {
    format!(
        "
name: mixed
duration: 2h
seed: {seed}
capacityProviders:
  - {{name: cp, autoScalingGroupProvider: {{autoScalingGroupArn: g, managedScaling: {{status: ENABLED}}, managedTerminationProtection: ENABLED}}}}
clusters: [{{clusterName: default, capacityProviders: [cp, FARGATE, FARGATE_SPOT]}}]
autoScalingGroups:
  - {{AutoScalingGroupName: g, MinSize: 1, MaxSize: 6, NewInstancesProtectedFromScaleIn: true, CapacityRebalance: true,
     AvailabilityZones: [us-east-1a, us-east-1b],
     MixedInstancesPolicy: {{LaunchTemplate: {{Overrides: [{{InstanceType: m5.large}}]}}, InstancesDistribution: {{OnDemandPercentageAboveBaseCapacity: 50}}}}}}
targetGroups: [{{Name: tg, HealthCheckIntervalSeconds: 10, Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '20'}}]}}]
taskDefinitions:
  - {{family: web, containerDefinitions: [{{name: app, image: app, cpu: 512, memory: 512, portMappings: [{{containerPort: 80}}]}}], behaviour: {{image: {{sizeMiB: 200}}, shutdown: 15s}}}}
  - {{family: log, containerDefinitions: [{{name: app, image: log, cpu: 64, memory: 64}}]}}
  - {{family: job, networkMode: awsvpc, containerDefinitions: [{{name: app, image: job, cpu: 256, memory: 256}}], behaviour: {{runsFor: {{exponential: {{mean: 5m}}}}}}}}
  - {{family: far, networkMode: awsvpc, cpu: '256', memory: '512', requiresCompatibilities: [FARGATE], containerDefinitions: [{{name: app, image: far}}], behaviour: {{shutdown: 40s}}}}
services:
  - {{serviceName: web, taskDefinition: web, desiredCount: 4, capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}],
     loadBalancers: [{{targetGroupArn: tg, containerName: app, containerPort: 80}}]}}
  - {{serviceName: log, taskDefinition: log, schedulingStrategy: DAEMON}}
  - {{serviceName: far, taskDefinition: far, desiredCount: 3, capacityProviderStrategy: [{{capacityProvider: FARGATE_SPOT, weight: 1}}],
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a, us-east-1b]}}}}}}
workloads:
  - {{name: shoppers, requests: {{service: web, rate: 20, cpuPerRequest: 40ms, latencyFloor: 5ms, timeout: 5s}}}}
  - {{name: jobs, tasks: {{taskDefinition: job, arrivals: {{poisson: 20/h}}, capacityProviderStrategy: [{{capacityProvider: cp, weight: 1}}],
     networkConfiguration: {{awsvpcConfiguration: {{subnets: [us-east-1a, us-east-1b]}}}}}}}}
actions:
  - {{at: 1m, call: 'ecs:PutAccountSettingDefault', with: {{name: fargateTaskRetirementWaitPeriod, value: '0'}}}}
  - {{at: 30m, call: 'ecs:UpdateService', with: {{service: web, forceNewDeployment: true}}}}
  - {{at: 70m, call: 'ecs:UpdateService', with: {{service: web, desiredCount: 2}}}}
faults:
{}",
        entries.concat()
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_whatever_goes_wrong(entries in prop::collection::vec(entry(), 1..8), seed in 1_u32..1000) {
        let text = mixed(&entries, seed);
        let scenario = match load_str("mixed.yaml", &text, &LoadOptions::default()) {
            Ok(scenario) => scenario,
            Err(diagnostics) => panic!("{}\n{text}", diagnostics.render(false)),
        };
        let mut watch = Watch::default();
        let outcome = run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut watch, |_| {});
        prop_assert_eq!((outcome.tasks_created, outcome.tasks_stopped), (watch.created, watch.stopped));
        prop_assert!(outcome.tasks_created > 7);
    }
}
