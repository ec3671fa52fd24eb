//! Idle cost by cause: why a host without work was still there, second by second.

use std::collections::BTreeSet;

use crate::finished::Run;

/// One group of hosts "I2" in one zone, whose price is known, and tasks that fill half a host.
struct Lab {
    group: &'static str,
    provider: &'static str,
    scaling: &'static str,
    rest: &'static str,
}

impl Lab {
    const fn new(group: &'static str, rest: &'static str) -> Self {
        Self { group, provider: "", scaling: "status: ENABLED", rest }
    }

    fn run(&self) -> Run {
        let Self { group, provider, scaling, rest } = self;
        Run::new(
            &format!(
                "name: idle\nduration: 1h\ndelays: {{preset: constant}}\nbehaviour: {{alarm_eval_phase: aligned}}\n\
                 clusters: [{{clusterName: c, capacityProviders: [cp]}}]\n\
                 autoScalingGroups:\n  - {{AutoScalingGroupName: g, MaxSize: 20, InstanceType: m5.large, \
                 registeredResources: {{cpu: 2048, memory: 7600}}, AvailabilityZones: [us-east-1a]{group}}}\n\
                 capacityProviders:\n  - {{name: cp, autoScalingGroupProvider: {{autoScalingGroupArn: g{provider}, \
                 managedScaling: {{{scaling}}}}}}}\n\
                 taskDefinitions:\n  - {{family: t1, networkMode: bridge, containerDefinitions: [{{name: app, image: app, \
                 cpu: 1024, memory: 2048}}]}}\n  - {{family: log, networkMode: bridge, containerDefinitions: \
                 [{{name: app, image: log, cpu: 64, memory: 64}}]}}\n{rest}"
            ),
            &[],
        )
    }
}

/// Spans of one host: (cause, from, to).
fn spans(run: &Run, place: usize) -> Vec<(String, f64, f64)> {
    let host = &run.rows("instances.csv")[place]["instance"];
    let mut spans: Vec<(String, f64, f64)> = run
        .rows("idle.csv")
        .iter()
        .filter(|row| row["instance"] == *host)
        .map(|row| (row["cause"].clone(), row["from_s"].parse().expect("a time"), row["to_s"].parse().expect("a time")))
        .collect();
    spans.sort_by(|one, other| one.1.total_cmp(&other.1));
    spans
}

fn causes(run: &Run, place: usize) -> Vec<String> {
    spans(run, place).into_iter().map(|(cause, ..)| cause).collect()
}

const ONE_TASK: &str = "actions:\n  - {at: 610s, call: 'ecs:RunTask', with: {cluster: c, taskDefinition: t1, \
                        capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}}\n";

#[test]
fn ex_in_10_the_second_host_from_zero_waits_for_the_low_alarm() {
    let lab = Lab {
        provider: ", managedTerminationProtection: ENABLED",
        ..Lab::new(", MinSize: 0, NewInstancesProtectedFromScaleIn: true", ONE_TASK)
    };
    let run = lab.run();
    let told = |place: usize| {
        spans(&run, place).into_iter().map(|(cause, from, to)| format!("{cause} {from}-{to}")).collect::<Vec<_>>()
    };
    // Launched at 680, billed from 690, registered at 725; what waits is placed at 730 (EX-CAS-23).
    assert_eq!(told(0), ["boot 690-725", "waiting_tasks 725-730"]);
    // The fifteenth low datapoint is that of 1620; the group takes 5 s to act.
    assert_eq!(told(1), ["boot 690-725", "waiting_tasks 725-730", "alarm_window 730-1635", "scale_in_step 1635-1640"]);
    let figures = run.figures();
    // A machine is billed by the second: 950 s of the second host, 40 s of the first.
    let price = 0.096 / 3600.0;
    assert!((figures["idle_cost_usd"] - 990.0 * price).abs() < 1e-8, "{}", figures["idle_cost_usd"]);
    assert!((figures["idle_alarm_window_usd"] - 905.0 * price).abs() < 1e-8);
    assert!((figures["idle_boot_usd"] - 70.0 * price).abs() < 1e-8);
}

/// Every group's and provider's causes add up to its idle cost, and the groups' to the whole, to the billionth.
fn adds_up(run: &Run) {
    let figures = run.figures();
    let nanos = |usd: f64| (usd * 1e9).round() as i64;
    let parts = |of: &str| {
        let causes = figures.iter().filter(|(key, _)| {
            key.strip_prefix(of).is_some_and(|metric| {
                metric.starts_with("idle_") && metric.ends_with("_usd") && metric != "idle_cost_usd"
            })
        });
        causes.map(|(_, cost)| nanos(*cost)).sum::<i64>()
    };
    let mut groups = 0;
    for key in figures.keys().filter(|key| key.ends_with("idle_cost_usd")) {
        let of = key.strip_suffix("idle_cost_usd").unwrap_or_default();
        assert_eq!(parts(of), nanos(figures[key]), "{key}");
        groups += if of.starts_with("asg/") { nanos(figures[key]) } else { 0 };
    }
    assert_eq!(groups, nanos(figures["idle_cost_usd"]));
    assert!(groups > 0, "something was idle");
    // The rows of idle.csv are the same seconds: their price is that of the machine.
    let rows: f64 = run
        .rows("idle.csv")
        .iter()
        .map(|row| {
            let number = |column: &str| row[column].parse::<f64>().expect("a number");
            (number("to_s") - number("from_s")) * number("usd_per_hour") / 3600.0
        })
        .sum();
    assert!((rows - figures["idle_cost_usd"]).abs() < 1e-3 * rows, "{rows} {}", figures["idle_cost_usd"]);
}

#[test]
fn causes_add_up_to_the_idle_cost_exactly() {
    adds_up(&Lab::new(", MinSize: 0", ONE_TASK).run());
    for name in ["quickstart", "scale-from-zero", "daemon-and-sidecars", "spot-wave", "az-rebalancing"] {
        let scenario = std::fs::read_to_string(format!("scenarios/{name}.yaml")).expect("it is there");
        if !scenario.contains("trace:") {
            adds_up(&Run::new(&scenario, &["--until", "2h"]));
        }
    }
}

#[test]
fn hosts_that_nobody_may_or_would_remove_say_so() {
    assert_eq!(causes(&Lab::new(", MinSize: 2", "").run(), 0), ["boot", "min_size"]);
    let unmanaged = Lab { scaling: "status: DISABLED", ..Lab::new(", MinSize: 1, DesiredCapacity: 2", "") };
    assert_eq!(causes(&unmanaged.run(), 1), ["boot", "unmanaged"]);
    let daemons = Lab {
        rest: "services: [{serviceName: log, cluster: c, taskDefinition: log, schedulingStrategy: DAEMON}]\n",
        ..unmanaged
    };
    assert_eq!(causes(&daemons.run(), 1).last().map(String::as_str), Some("daemon_only"));
}

#[test]
fn cas_19_a_target_below_a_hundred_keeps_spare_hosts() {
    let lab = Lab {
        scaling: "status: ENABLED, targetCapacity: 50",
        ..Lab::new(
            ", MinSize: 0, DesiredCapacity: 2",
            "services:\n  - {serviceName: base, cluster: c, taskDefinition: t1, desiredCount: 1, \
             capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}\n",
        )
    };
    let run = lab.run();
    assert_eq!(causes(&run, 1).last().map(String::as_str), Some("target_capacity"), "{:?}", spans(&run, 1));
}

#[test]
fn tp_5_a_protected_host_stays_when_the_capacity_falls() {
    let lab = Lab {
        scaling: "status: DISABLED",
        ..Lab::new(
            ", MinSize: 0, DesiredCapacity: 2, NewInstancesProtectedFromScaleIn: true",
            "actions:\n  - {at: 10m, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 1}}\n",
        )
    };
    let run = lab.run();
    let last = spans(&run, 0).pop().expect("a span");
    assert_eq!(last, ("termination_protection".to_owned(), 600.0, 3600.0));
}

#[test]
fn cas_28_and_cas_30_scale_in_takes_its_steps_and_its_pauses() {
    // Eight empty hosts: halves a minute; a suspended process, then one more host, hold the last ones.
    let lab = Lab::new(
        ", MinSize: 0, DesiredCapacity: 8",
        "actions:\n  - {at: 1000s, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 4}}\n\
         \x20 - {at: 1001s, call: 'autoscaling:SetDesiredCapacity', with: {AutoScalingGroupName: g, DesiredCapacity: 5}}\n\
         \x20 - {at: 1950s, call: 'autoscaling:SuspendProcesses', with: {AutoScalingGroupName: g, ScalingProcesses: [AlarmNotification]}}\n\
         \x20 - {at: 2500s, call: 'autoscaling:ResumeProcesses', with: {AutoScalingGroupName: g, ScalingProcesses: [AlarmNotification]}}\n",
    );
    let run = lab.run();
    let hosts = run.rows("instances.csv").len();
    let all: BTreeSet<String> = (0..hosts).flat_map(|place| causes(&run, place)).collect();
    for cause in ["alarm_window", "scale_in_step", "cooldown", "suspended"] {
        assert!(all.contains(cause), "{cause}: {all:?}");
    }
    adds_up(&run);
}

#[test]
fn standby_and_draining_come_first() {
    let lab = Lab {
        scaling: "status: DISABLED",
        ..Lab::new(
            ", MinSize: 0, DesiredCapacity: 2",
            "actions:\n  - {at: 10m, call: 'autoscaling:EnterStandby', with: {AutoScalingGroupName: g, InstanceIds: ['#0'], \
             ShouldDecrementDesiredCapacity: true}}\n\
             \x20 - {at: 20m, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, containerInstances: ['#0'], status: DRAINING}}\n\
             \x20 - {at: 30m, call: 'ecs:UpdateContainerInstancesState', with: {cluster: c, containerInstances: ['#0'], status: ACTIVE}}\n",
        )
    };
    let run = lab.run();
    let tail: Vec<_> = spans(&run, 0).into_iter().rev().take(3).collect();
    assert_eq!(
        tail,
        [
            ("standby".to_owned(), 1800.0, 3600.0),
            ("draining".to_owned(), 1200.0, 1800.0),
            ("standby".to_owned(), 600.0, 1200.0)
        ]
    );
}
