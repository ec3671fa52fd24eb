//! A group as a state machine: random calls and faults in any order, and what holds of it whatever they are.

use std::collections::BTreeMap;

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::ec2::instance::{Market, TerminationCause};
use ecsim::ecs::ids::InstanceId;
use ecsim::engine::time::{SimDuration, SimTime};
use ecsim::scenario::{LoadOptions, load_str};
use proptest::prelude::*;

use ecsim::control_plane::record::InstanceStep;

/// What happens to the group.
#[derive(Clone, Debug)]
enum Operation {
    SetDesired(u32),
    Resize(u32, u32),
    Protect(u32, bool),
    Unhealthy(u32),
    Suspend(usize),
    Resume,
    EnterStandby(u32, bool),
    ExitStandby(u32),
    Detach(u32, bool),
    Terminate(u32, bool),
    Zones(usize),
    Interrupt(u32),
    Fail(u32),
    Shortage(usize, u32),
    Outage(usize, u32),
}

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
const PROCESSES: [&str; 5] = ["Launch", "Terminate", "AZRebalance", "HealthCheck", "ReplaceUnhealthy"];

fn operation() -> impl Strategy<Value = Operation> {
    let host = 0..16u32;
    prop_oneof![
        4 => (0..=9u32).prop_map(Operation::SetDesired),
        2 => (0..=4u32, 4..=9u32).prop_map(|(min, max)| Operation::Resize(min, max)),
        2 => (host.clone(), any::<bool>()).prop_map(|(host, on)| Operation::Protect(host, on)),
        3 => host.clone().prop_map(Operation::Unhealthy),
        1 => (0..PROCESSES.len()).prop_map(Operation::Suspend),
        1 => Just(Operation::Resume),
        1 => (host.clone(), any::<bool>()).prop_map(|(host, falls)| Operation::EnterStandby(host, falls)),
        1 => host.clone().prop_map(Operation::ExitStandby),
        1 => (host.clone(), any::<bool>()).prop_map(|(host, falls)| Operation::Detach(host, falls)),
        2 => (host, any::<bool>()).prop_map(|(host, falls)| Operation::Terminate(host, falls)),
        2 => (1..=3usize).prop_map(Operation::Zones),
        2 => (1..=3u32).prop_map(Operation::Interrupt),
        2 => (1..=3u32).prop_map(Operation::Fail),
        1 => (0..3usize, 1..=40u32).prop_map(|(zone, minutes)| Operation::Shortage(zone, minutes)),
        1 => (0..3usize, 1..=40u32).prop_map(|(zone, minutes)| Operation::Outage(zone, minutes)),
    ]
}

#[derive(Clone, Debug)]
struct Group {
    desired: u32,
    spot_percentage: u32,
    protected: bool,
    rebalances: bool,
    policy: Option<(u32, u32)>,
    hook: bool,
}

fn group() -> impl Strategy<Value = Group> {
    let policy = prop_oneof![Just(None), Just(Some((90, 120))), Just(Some((100, 150))), Just(Some((100, 100)))];
    (0..=6u32, prop_oneof![Just(0u32), Just(50), Just(100)], any::<bool>(), any::<bool>(), policy, any::<bool>())
        .prop_map(|(desired, spot_percentage, protected, rebalances, policy, hook)| Group {
            desired,
            spot_percentage,
            protected,
            rebalances,
            policy,
            hook,
        })
}

/// Three busy hours, after which everything is resumed and nothing happens any more.
fn scenario(seed: u64, group: &Group, operations: &[(u32, Operation)], preset: &str) -> String {
    let (mut actions, mut faults) = (String::new(), String::new());
    let mut call = |at: u32, name: &str, with: &str| {
        actions.push_str(&format!("  - {{at: {at}s, call: 'autoscaling:{name}', with: {{{with}}}}}\n"));
    };
    let group_name = "AutoScalingGroupName: g";
    let mut sorted = operations.to_vec();
    sorted.sort_by_key(|(at, _)| *at);
    for (at, operation) in &sorted {
        let at = *at;
        match operation {
            Operation::SetDesired(size) => {
                call(at, "SetDesiredCapacity", &format!("{group_name}, DesiredCapacity: {size}"));
            }
            Operation::Resize(min, max) => {
                call(at, "UpdateAutoScalingGroup", &format!("{group_name}, MinSize: {min}, MaxSize: {max}"));
            }
            Operation::Protect(host, on) => {
                let with = format!("{group_name}, InstanceIds: ['#{host}'], ProtectedFromScaleIn: {on}");
                call(at, "SetInstanceProtection", &with);
            }
            Operation::Unhealthy(host) => {
                call(at, "SetInstanceHealth", &format!("InstanceId: '#{host}', HealthStatus: Unhealthy"));
            }
            Operation::Suspend(process) => {
                let with = format!("{group_name}, ScalingProcesses: [{}]", PROCESSES[*process]);
                call(at, "SuspendProcesses", &with);
            }
            Operation::Resume => call(at, "ResumeProcesses", group_name),
            Operation::EnterStandby(host, falls) => {
                let with = format!("{group_name}, InstanceIds: ['#{host}'], ShouldDecrementDesiredCapacity: {falls}");
                call(at, "EnterStandby", &with);
            }
            Operation::ExitStandby(host) => {
                call(at, "ExitStandby", &format!("{group_name}, InstanceIds: ['#{host}']"));
            }
            Operation::Detach(host, falls) => {
                let with = format!("{group_name}, InstanceIds: ['#{host}'], ShouldDecrementDesiredCapacity: {falls}");
                call(at, "DetachInstances", &with);
            }
            Operation::Terminate(host, falls) => {
                let with = format!("InstanceId: '#{host}', ShouldDecrementDesiredCapacity: {falls}");
                call(at, "TerminateInstanceInAutoScalingGroup", &with);
            }
            Operation::Zones(count) => {
                let zones = ZONES[..*count].join(", ");
                call(at, "UpdateAutoScalingGroup", &format!("{group_name}, AvailabilityZones: [{zones}]"));
            }
            Operation::Interrupt(count) => {
                faults.push_str(&format!("  - {{at: {at}s, fault: spotInterruption, with: {{count: {count}}}}}\n"));
            }
            Operation::Fail(count) => {
                faults.push_str(&format!("  - {{at: {at}s, fault: instanceFailure, with: {{count: {count}}}}}\n"));
            }
            Operation::Shortage(zone, minutes) => faults.push_str(&format!(
                "  - {{at: {at}s, for: {minutes}m, fault: insufficientCapacity, with: {{availabilityZone: {}}}}}\n",
                ZONES[*zone]
            )),
            Operation::Outage(zone, minutes) => faults.push_str(&format!(
                "  - {{at: {at}s, for: {minutes}m, fault: azOutage, with: {{availabilityZone: {}}}}}\n",
                ZONES[*zone]
            )),
        }
    }
    call(3 * 3600, "ResumeProcesses", group_name);
    let mut keys = format!(
        "MinSize: 0, MaxSize: 9, DesiredCapacity: {}, NewInstancesProtectedFromScaleIn: {}, CapacityRebalance: {}",
        group.desired, group.protected, group.rebalances
    );
    if let Some((min, max)) = group.policy {
        keys.push_str(&format!(
            ", InstanceMaintenancePolicy: {{MinHealthyPercentage: {min}, MaxHealthyPercentage: {max}}}"
        ));
    }
    if group.hook {
        keys.push_str(
            ", LifecycleHookSpecificationList: [{LifecycleHookName: h, completesAfter: 40s, \
             LifecycleTransition: 'autoscaling:EC2_INSTANCE_LAUNCHING'}]",
        );
    }
    format!(
        "name: machine\nduration: 7h\nseed: {seed}\ndelays: {{preset: {preset}}}\nautoScalingGroups:\n  - {{AutoScalingGroupName: g, {keys}, \
         MixedInstancesPolicy: {{LaunchTemplate: {{LaunchTemplateSpecification: {{LaunchTemplateName: t}}, \
         Overrides: [{{InstanceType: m5.large}}, {{InstanceType: m6i.large}}]}}, \
         InstancesDistribution: {{OnDemandPercentageAboveBaseCapacity: {}}}}}}}\nactions:\n{actions}{}",
        100 - group.spot_percentage,
        if faults.is_empty() { String::new() } else { format!("faults:\n{faults}") }
    )
}

/// Watches the group from outside.
#[derive(Debug, Default)]
struct Watch {
    broken: Vec<String>,
    running: BTreeMap<InstanceId, SimTime>,
    billed: BTreeMap<InstanceId, u64>,
    end: Option<End>,
}

#[derive(Debug)]
struct End {
    desired: u32,
    in_service: u32,
    zones: Vec<u32>,
    protected: bool,
}

impl Observer for Watch {
    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        let group = &state.groups[0];
        if !(group.min()..=group.max()).contains(&group.desired()) {
            self.broken.push(format!("{now}: {} is not in {}..={}", group.desired(), group.min(), group.max()));
        }
        let Record::Instance { instance: id, step } = record else { return };
        let Some(instance) = state.instance(*id) else { return };
        match step {
            InstanceStep::Running => {
                self.running.insert(*id, now);
            }
            InstanceStep::Terminating => {
                let spared = instance.termination_cause == Some(TerminationCause::ScaleIn)
                    && instance.protected_from_scale_in
                    && instance.in_service.is_some()
                    && !instance.unhealthy;
                if spared {
                    self.broken.push(format!("{now}: scale-in took the protected {}", id.ec2_id()));
                }
            }
            InstanceStep::ShuttingDown => {
                let Some(from) = self.running.remove(id) else { return };
                let ran = now.saturating_since(from);
                let free = instance.market() == Market::Spot
                    && instance.termination_cause == Some(TerminationCause::SpotInterruption)
                    && ran < SimDuration::HOUR;
                let seconds = if free { 0 } else { ran.as_secs_ceil().max(60) };
                self.billed.insert(*id, seconds);
                // Looked at later, so that nothing can be billed after the end.
            }
            InstanceStep::Terminated => {
                let expected = self.billed.remove(id).unwrap_or(0);
                let billed = instance.billed_seconds(now);
                if billed != expected {
                    self.broken.push(format!("{now}: {} is billed {billed} s, ran {expected} s", id.ec2_id()));
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, _: SimTime, state: &State) {
        let group = &state.groups[0];
        self.end = Some(End {
            desired: group.desired(),
            in_service: group.in_service(),
            zones: group.zones().iter().map(|zone| group.in_zone(*zone).total()).collect(),
            protected: group.instances().any(ecsim::ec2::instance::Instance::is_protected),
        });
    }
}

fn watch(text: &str) -> Watch {
    let scenario = match load_str("machine.yaml", text, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    };
    let mut watch = Watch::default();
    run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut watch, |_| {});
    watch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_group_keeps_its_laws_whatever_happens(
        seed in 1..1000u64,
        group in group(),
        operations in prop::collection::vec((60..10_000u32, operation()), 0..20),
        realistic in any::<bool>(),
    ) {
        let text = scenario(seed, &group, &operations, if realistic { "realistic" } else { "constant" });
        let watch = watch(&text);
        prop_assert_eq!(&watch.broken, &Vec::<String>::new(), "{}", text);
        let end = watch.end.as_ref().expect("a run ends");
        // Protected instances may stay above the desired capacity (TP-5); nothing else may.
        if end.protected {
            prop_assert!(end.in_service >= end.desired, "{:?}\n{}", end, text);
        } else {
            prop_assert_eq!(end.in_service, end.desired, "{:?}\n{}", end, text);
            let (least, most) = (end.zones.iter().min(), end.zones.iter().max());
            prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least <= 1), "{:?}\n{}", end, text);
        }
    }
}
