//! A group as a state machine: random calls and faults in any order, and what holds of it whatever they are.

use std::collections::BTreeMap;

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, run};
use ecsim::ec2::instance::{Ec2State, Market, TerminationCause};
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
    Degrade(u32, u32),
    Version,
    Refresh(u32),
    CancelRefresh,
    PutPool(u32, Option<u32>, usize, bool),
    DeletePool(bool),
}

const ZONES: [&str; 3] = ["us-east-1a", "us-east-1b", "us-east-1c"];
const PROCESSES: [&str; 5] = ["Launch", "Terminate", "AZRebalance", "HealthCheck", "ReplaceUnhealthy"];
const POOL_STATES: [&str; 3] = ["Stopped", "Running", "Hibernated"];

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
        1 => (1..=3u32, 1..=20u32).prop_map(|(count, minutes)| Operation::Degrade(count, minutes)),
        1 => Just(Operation::Version),
        1 => (0..=100u32).prop_map(Operation::Refresh),
        1 => Just(Operation::CancelRefresh),
        2 => (0..=3u32, prop::option::of(0..=8u32), 0..3usize, any::<bool>())
            .prop_map(|(min, most, state, reuse)| Operation::PutPool(min, most, state, reuse)),
        1 => any::<bool>().prop_map(Operation::DeletePool),
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
    kind: Kind,
}

/// What the group launches.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// One type, and so it may have a warm pool.
    Single,
    /// Two types, on demand and Spot.
    Mixed,
    /// Two types of which one counts for three units.
    Weighted,
}

impl Kind {
    /// Units of the heaviest type.
    const fn heaviest(self) -> u32 {
        if matches!(self, Self::Weighted) { 3 } else { 1 }
    }
}

fn group() -> impl Strategy<Value = Group> {
    let policy = prop_oneof![Just(None), Just(Some((90, 120))), Just(Some((100, 150))), Just(Some((100, 100)))];
    let kind = prop_oneof![Just(Kind::Single), Just(Kind::Mixed), Just(Kind::Weighted)];
    let spot = prop_oneof![Just(0u32), Just(50), Just(100)];
    (0..=6u32, spot, any::<bool>(), any::<bool>(), policy, any::<bool>(), kind).prop_map(
        |(desired, spot_percentage, protected, rebalances, policy, hook, kind)| Group {
            desired,
            spot_percentage,
            protected,
            rebalances,
            policy,
            hook,
            kind,
        },
    )
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
            Operation::Degrade(count, minutes) => faults.push_str(&format!(
                "  - {{at: {at}s, for: {minutes}m, fault: degradedHost, with: {{count: {count}}}}}\n"
            )),
            Operation::Version => {
                let version = at % 7 + 1;
                let with = format!("{group_name}, LaunchTemplate: {{LaunchTemplateName: t, Version: '{version}'}}");
                call(at, "UpdateAutoScalingGroup", &with);
            }
            Operation::Refresh(min) => {
                let preferences = format!("MinHealthyPercentage: {min}, SkipMatching: {}", min % 2 == 0);
                call(at, "StartInstanceRefresh", &format!("{group_name}, Preferences: {{{preferences}}}"));
            }
            Operation::CancelRefresh => call(at, "CancelInstanceRefresh", group_name),
            Operation::PutPool(min, most, state, reuse) => {
                let most = most.map_or(-1, i64::from);
                let with = format!(
                    "{group_name}, MinSize: {min}, MaxGroupPreparedCapacity: {most}, PoolState: {}, \
                     InstanceReusePolicy: {{ReuseOnScaleIn: {reuse}}}",
                    POOL_STATES[*state]
                );
                call(at, "PutWarmPool", &with);
            }
            Operation::DeletePool(force) => call(at, "DeleteWarmPool", &format!("{group_name}, ForceDelete: {force}")),
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
    let types = match group.kind {
        Kind::Single => "InstanceType: m5.large".to_owned(),
        Kind::Mixed | Kind::Weighted => {
            let weight = |units| {
                if group.kind == Kind::Weighted { format!(", WeightedCapacity: '{units}'") } else { String::new() }
            };
            format!(
                "MixedInstancesPolicy: {{LaunchTemplate: {{LaunchTemplateSpecification: {{LaunchTemplateName: t}}, \
                 Overrides: [{{InstanceType: m5.large{}}}, {{InstanceType: m6i.large{}}}]}}, \
                 InstancesDistribution: {{OnDemandPercentageAboveBaseCapacity: {}}}}}",
                weight(1),
                weight(3),
                100 - group.spot_percentage,
            )
        }
    };
    format!(
        "name: machine\nduration: 9h\nseed: {seed}\ndelays: {{preset: {preset}}}\nautoScalingGroups:\n  \
         - {{AutoScalingGroupName: g, {keys}, {types}}}\nactions:\n{actions}{}",
        if faults.is_empty() { String::new() } else { format!("faults:\n{faults}") }
    )
}

/// Watches the group from outside.
#[derive(Debug, Default)]
struct Watch {
    broken: Vec<String>,
    running: BTreeMap<InstanceId, SimTime>,
    billed: BTreeMap<InstanceId, u64>,
    first_run: BTreeMap<InstanceId, SimTime>,
    end: Option<End>,
}

#[derive(Debug)]
struct End {
    desired: u32,
    /// Capacity in service, in units.
    in_service: u32,
    zones: Vec<u32>,
    protected: bool,
    pool: u32,
    pool_wanted: u32,
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
                self.first_run.entry(*id).or_insert(now);
            }
            InstanceStep::Registered if instance.lifecycle().is_warmed() => {
                self.broken.push(format!("{now}: {} registers in the warm pool", id.ec2_id()));
            }
            InstanceStep::Warmed if instance.ec2_state() != Ec2State::Running => {
                let Some(from) = self.running.remove(id) else { return };
                *self.billed.entry(*id).or_default() += now.saturating_since(from).as_secs_ceil().max(60);
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
                // Looked at later, so that nothing can be billed after the end.
                let Some(from) = self.running.remove(id) else { return };
                let free = instance.market() == Market::Spot
                    && instance.termination_cause == Some(TerminationCause::SpotInterruption)
                    && now.saturating_since(self.first_run[id]) < SimDuration::HOUR;
                let run = now.saturating_since(from).as_secs_ceil().max(60);
                let before = self.billed.get(id).copied().unwrap_or(0);
                self.billed.insert(*id, if free { 0 } else { before + run });
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
            in_service: group.in_service_capacity(),
            zones: group.zones().iter().map(|zone| group.in_zone(*zone).total()).collect(),
            pool: group.pool_warm(),
            pool_wanted: group.pool_size(),
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
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

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
        // Where one instance counts for several units the group may overshoot by less than one of them (ASG-36), and zones
        // are even when no instance can be moved that makes them more so.
        let heaviest = group.kind.heaviest();
        prop_assert!(end.in_service >= end.desired, "{:?}\n{}", end, text);
        // Protected instances may stay above the desired capacity (TP-5); nothing else may.
        if !end.protected {
            prop_assert!(end.in_service < end.desired + heaviest, "{:?}\n{}", end, text);
            let (least, most) = (end.zones.iter().min(), end.zones.iter().max());
            prop_assert!(most.zip(least).is_none_or(|(most, least)| most - least < 2 * heaviest), "{:?}\n{}", end, text);
        }
        // ASG-41: a pool that is not deleted is as full as it is to be.
        prop_assert_eq!(end.pool, end.pool_wanted, "{:?}\n{}", end, text);
    }
}
