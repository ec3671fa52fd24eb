//! What is known of Auto Scaling groups and their hosts: CPU that policies follow, types of one's own, functions that choose
//! who goes, load balancers that hosts are added to (`EC2S-1`, `EC2-5`, `ASG-8`, `ASG-16`, `ASG-43`).

use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::{Log, run_text};

/// Tasks of `cpu` of two vCPUs each, on hosts of a group for one task each.
fn hosts(group: &str, cpu: f64, tasks: u32, rest: &str) -> String {
    format!(
        "name: hosts\nduration: 1h\n\
         autoScalingGroups:\n  - {{AutoScalingGroupName: g, InstanceType: m5.large, AvailabilityZones: [us-east-1a], {group}}}\n\
         taskDefinitions:\n  - {{family: t, networkMode: bridge, containerDefinitions: [{{name: app, image: app, cpu: 2048, memory: 256}}], \
         behaviour: {{cpu: {cpu}}}}}\n\
         services:\n  - {{serviceName: web, taskDefinition: t, desiredCount: {tasks}, launchType: EC2}}\n{rest}"
    )
}

fn desired(log: &Log) -> Vec<(f64, f64)> {
    log.level("asg/g", "GroupDesiredCapacity")
}

#[test]
fn ec2s_1_a_group_tracks_the_cpu_of_its_own_warm_hosts() {
    let policy = "asgPolicies:\n  - {AutoScalingGroupName: g, PolicyName: cpu, PolicyType: TargetTrackingScaling, \
                  EstimatedInstanceWarmup: 600, TargetTrackingConfiguration: {TargetValue: 50, \
                  PredefinedMetricSpecification: {PredefinedMetricType: ASGAverageCPUUtilization}}}\n";
    let text = hosts("MinSize: 1, MaxSize: 4", 0.9, 1, policy);
    let log = run_text(&text);
    assert!(!load_str("lab.yaml", &text, &LoadOptions::default()).unwrap().warnings.to_string().contains("publishes"));
    let seen = desired(&log);
    assert_eq!(seen.iter().map(|(_, size)| *size).collect::<Vec<_>>(), [1.0, 2.0], "ceil(1 x 90 / 50), once");
    // The newcomer idles. Until it is warm the mean is that of the one that works.
    let cpu = log.metric("asg/g", "CPUUtilization");
    let in_service = log.step(1, "InService").unwrap();
    let warm = cpu.iter().filter(|(start, _)| *start + 60.0 >= in_service + 600.0).map(|(_, value)| *value);
    let cold = cpu.iter().filter(|(start, _)| *start + 60.0 < in_service + 600.0).map(|(_, value)| *value);
    assert!(warm.clone().count() > 10 && warm.clone().all(|value| (value - 45.0).abs() < 1e-9), "{cpu:?}");
    // The first host has to warm up as well, and its task to start.
    let cold: Vec<f64> = cold.collect();
    assert!(!cold.is_empty() && cold.iter().all(|value| (value - 90.0).abs() < 1e-9), "{cpu:?}");
}

#[test]
fn ec2s_1_the_sizes_of_a_group_are_metrics() {
    let alarm = "alarms:\n  - {AlarmName: grown, Namespace: AWS/AutoScaling, MetricName: GroupTotalInstances, Statistic: \
                 Maximum, Dimensions: [{Name: AutoScalingGroupName, Value: g}], Period: 60, EvaluationPeriods: 1, \
                 Threshold: 2, ComparisonOperator: GreaterThanThreshold}\n\
                 actions:\n  - {at: 20m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 3}}\n";
    let log = run_text(&hosts("MinSize: 1, MaxSize: 4, DesiredCapacity: 2", 0.1, 1, alarm));
    let grown = log.alarms.iter().find(|(_, name, state, _)| name == "grown" && state == "ALARM").unwrap();
    // The minute in which the launch began shows a minute after its end.
    assert_eq!(grown.0, 1320.0);
    assert!(grown.3.contains("[3.0 "), "{}", grown.3);
}

#[test]
fn ec2_5_a_type_that_nobody_measured_may_be_described() {
    let types = "instanceTypes:\n  - {InstanceType: x99.large, VCpuInfo: {DefaultVCpus: 4, DefaultCores: 2}, MemoryInfo: \
                 {SizeInMiB: 16384}, NetworkInfo: {MaximumNetworkInterfaces: 3}}\n\
                 prices: {onDemand: {x99.large: 0.5}}\n";
    let text =
        hosts("MinSize: 1, MaxSize: 1", 0.1, 5, types).replace("InstanceType: m5.large", "InstanceType: x99.large");
    let log = run_text(&text);
    // Two of two vCPUs; 16384 MiB register 16384 - 192 - 40 x 16 = 15552.
    assert_eq!(log.level_at("service/default/web", "RunningCount", 3600.0), 2.0);
    let large = run_text(&text.replace("cpu: 2048, memory: 256", "cpu: 10, memory: 15552"));
    assert_eq!(large.level_at("service/default/web", "RunningCount", 3600.0), 1.0);
    let refused = |change: &str, to: &str| {
        let changed = text.replace(change, to);
        assert_ne!(changed, text);
        load_str("lab.yaml", &changed, &LoadOptions::default()).unwrap_err().to_string()
    };
    let unknown = refused("{InstanceType: x99.large, VCpuInfo", "{InstanceType: x98.large, VCpuInfo");
    assert!(unknown.contains("no instance type `x99.large`"), "{unknown}");
    let known = refused("x99.large", "m5.large");
    assert!(known.contains("the catalogue knows `m5.large` already"), "{known}");
}

#[test]
fn asg_8_a_termination_function_spares_the_hosts_it_does_not_return() {
    let group = "MinSize: 0, MaxSize: 4, DesiredCapacity: 3, TerminationPolicies: \
                 ['arn:aws:lambda:us-east-1:123456789012:function:idle:live', OldestInstance], \
                 terminationFunction: runningTasksCount == 0";
    let shrink = "actions:\n  - {at: 20m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 0}}\n\
                  \x20 - {at: 40m, call: 'ecs:UpdateService', with: {service: web, desiredCount: 0}}\n";
    let log = run_text(&hosts(group, 0.1, 2, shrink));
    let busy: Vec<u32> = log.placed.values().copied().collect();
    let ended = |host: u32| log.step(host, "Terminating");
    let idle = (0..3).find(|host| !busy.contains(host)).expect("one of three is idle");
    assert!(ended(idle).is_some_and(|at| at < 1260.0), "{:?}", ended(idle));
    for host in busy {
        assert!(
            ended(host).is_some_and(|at| (2400.0..2520.0).contains(&at)),
            "asked again each minute: {:?}",
            ended(host)
        );
    }
    assert!(log.decided("auto-scaling-group").iter().any(|(_, action, rule)| (*action, *rule) == ("spare", "ASG-8")));
    let load = |group: &str| load_str("lab.yaml", &hosts(group, 0.1, 2, ""), &LoadOptions::default());
    let refused =
        load(&group.replace("terminationFunction: runningTasksCount == 0", "NewInstancesProtectedFromScaleIn: false"));
    assert!(refused.unwrap_err().to_string().contains("terminationFunction"), "what it returns is to be said");
    let last = load(
        &group.replace("idle:live', OldestInstance", "idle:live', Default").replace("['arn", "[OldestInstance, 'arn"),
    );
    assert!(last.unwrap_err().to_string().contains("must be the first"), "custom only first");
}

/// A group in two zones behind a load balancer, whose first zone is cut off from the twentieth minute to the fortieth.
fn balanced(group: &str, rest: &str) -> Log {
    let group = format!(
        "MinSize: 2, MaxSize: 4, TargetGroupARNs: ['arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/hosts/1'], {group}"
    );
    let rest = format!(
        "targetGroups: [{{Name: hosts, HealthCheckIntervalSeconds: 10, UnhealthyThresholdCount: 3}}]\n\
         behaviour: {{impaired_wait_s: 3600}}\n\
         faults:\n  - {{at: 20m, for: 20m, fault: azImpairment, with: {{availabilityZone: us-east-1a}}}}\n{rest}"
    );
    run_text(&hosts(&group, 0.1, 1, &rest).replace("[us-east-1a],", "[us-east-1a, us-east-1b],"))
}

fn ends(log: &Log) -> Vec<f64> {
    log.instances.iter().filter(|(.., step)| step == "Terminating").map(|(at, ..)| *at).collect()
}

#[test]
fn asg_16_checks_of_load_balancers_count_if_the_group_says_so() {
    // Three failed checks at ten seconds: unhealthy at 1230 s, seen at the group's next look.
    assert_eq!(ends(&balanced("HealthCheckType: 'EC2,ELB'", "")).first(), Some(&1260.0));
    assert_eq!(ends(&balanced("HealthCheckType: EC2", "")), [] as [f64; 0]);
    // With peace in between the checks begin anew: neither of two short impairments before is long enough.
    let short = |at: u32, lasts: u32| {
        format!("  - {{at: {at}s, for: {lasts}s, fault: azImpairment, with: {{availabilityZone: us-east-1a}}}}\n")
    };
    let twice = short(1150, 15) + &short(1170, 25);
    assert_eq!(ends(&balanced("HealthCheckType: 'EC2,ELB'", &twice)).first(), Some(&1260.0));
    let grace = balanced("HealthCheckType: ELB, HealthCheckGracePeriod: 1800", "");
    let in_service = grace.step(0, "InService").unwrap();
    let first = ends(&grace)[0];
    assert!(first > in_service + 1800.0 && first <= in_service + 1860.0, "ASG-17: {first}");
}

#[test]
fn asg_43_a_host_that_is_not_added_to_its_load_balancer_is_not_checked_there() {
    let suspend = "actions:\n  - {at: 0s, call: 'autoscaling:SuspendProcesses', with: {AutoScalingGroupName: g, \
                   ScalingProcesses: [AddToLoadBalancer]}}\n\
                   \x20 - {at: 10m, call: 'autoscaling:ResumeProcesses', with: {AutoScalingGroupName: g}}\n";
    let log = balanced("HealthCheckType: ELB", suspend);
    assert_eq!(ends(&log), [] as [f64; 0], "nor is it added later");
    let told = log.decided("auto-scaling-group");
    assert_eq!(told.iter().filter(|(_, action, _)| *action == "not-added-to-load-balancer").count(), 2);
    let added = balanced("HealthCheckType: ELB", "");
    assert!(
        added
            .decided("auto-scaling-group")
            .iter()
            .any(|(_, action, rule)| (*action, *rule) == ("add-to-load-balancer", "ASG-43"))
    );
}
