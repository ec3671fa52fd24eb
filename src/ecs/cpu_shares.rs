//! Who gets how much of a host's CPU: fair by weight, work-conserving, under hard caps (TD-6, TD-9).
//!
//! Linux divides CPU time among the control groups that have work, in proportion to their weights; what a group does not
//! ask for goes to the others. Over times long against a scheduler's slice that is weighted max-min fairness, found by
//! filling with water (Bertsekas and Gallager, *Data Networks*, 2nd ed., section 6.5.2). A host's CPU is one pool here:
//! that a group with fewer threads than CPUs cannot use them all is left to those who know its requests
//! ([`fluid`](crate::workload::fluid)).

use crate::ecs::container::{Container, ContainerStatus};
use crate::ecs::pace::Pace;
use crate::ecs::task_definition::{ContainerDefinition, OperatingSystem, TaskDefinition};
use crate::units::{CpuMilliUnits, CpuUnits};

/// How a task competes for its host's CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuTerms {
    /// Its weight under contention: `cpu.shares` of its control group, never 0.
    pub weight: u64,
    /// What it gets at most, however idle the host is; `None` without a hard cap.
    pub cap: Option<CpuMilliUnits>,
}

impl CpuTerms {
    /// Weight of a control group that nobody has given one: a task with a task-level size, of which the agent sets the
    /// quota alone (`buildExplicitLinuxCPUSpec` in amazon-ecs-agent, `agent/api/task/task_linux.go`).
    pub const DEFAULT_WEIGHT: u64 = 1024;
    /// Least and largest weight of a container (TD-6).
    pub const CONTAINER_WEIGHTS: (u64, u64) = (2, 262_144);

    /// The terms of a task of `definition` that reserves `reserved` on a host that registers `host`.
    ///
    /// A task-level size is a hard cap (TD-9), one from `RunTask`'s overrides too. Otherwise a container's `cpu` is its
    /// weight, and a task weighs as much as its containers together, on Linux; on Windows it is a hard cap, of a hundredth
    /// of the host for 0 (TD-6).
    pub fn of(definition: &TaskDefinition, reserved: CpuUnits, host: CpuUnits) -> Self {
        let (least, largest) = Self::CONTAINER_WEIGHTS;
        let declared: CpuUnits = definition.containers.iter().map(|container| container.cpu).sum();
        if definition.size().0.is_some() || reserved != declared {
            return Self { weight: Self::DEFAULT_WEIGHT, cap: Some(reserved.into()) };
        }
        let weight = definition.containers.iter().map(|container| container.cpu.0.clamp(least, largest)).sum();
        let cap = match definition.operating_system {
            OperatingSystem::Linux => None,
            OperatingSystem::Windows => {
                let hundredth = CpuMilliUnits(CpuMilliUnits::from(host).0 / 100);
                let caps = definition.containers.iter().map(|container| container.cpu);
                Some(caps.map(|cpu| if cpu.0 == 0 { hundredth } else { cpu.into() }).sum())
            }
        };
        Self { weight, cap }
    }

    /// What of `wanted` the hard cap lets through.
    pub fn capped(&self, wanted: CpuMilliUnits) -> CpuMilliUnits {
        self.cap.map_or(wanted, |cap| wanted.min(cap))
    }
}

/// Somebody who asks for CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Weight under contention; 0 counts as 1.
    pub weight: u64,
    /// What it would use, its hard cap observed.
    pub asks: CpuMilliUnits,
}

/// What each of `askers` gets of `cpu`, in their order.
///
/// Nobody gets more than it asks for. Who gets less has, for its weight, as much as anybody (max-min fairness), and then
/// all of `cpu` is given away, but for less than a thousandth of a CPU unit an asker. The result of an asker does not
/// depend on the order. Takes O(n log n) for n askers, O(n) when there is enough for all.
///
/// ```
/// use ecsim::ecs::cpu_shares::{Asker, share};
/// use ecsim::units::{CpuMilliUnits, CpuUnits};
///
/// let units = |cpu| CpuMilliUnits::from(CpuUnits(cpu));
/// let asker = |weight, cpu| Asker { weight, asks: units(cpu) };
/// // One asks for little; the other two share what it leaves, 1 to 2.
/// let given = share(units(4096), &[asker(1024, 1024), asker(256, 4096), asker(512, 4096)]);
/// assert_eq!(given, [units(1024), units(1024), units(2048)]);
/// ```
pub fn share(cpu: CpuMilliUnits, askers: &[Asker]) -> Vec<CpuMilliUnits> {
    let mut given: Vec<CpuMilliUnits> = askers.iter().map(|asker| asker.asks).collect();
    let mut left = u128::from(cpu.0);
    if given.iter().map(|asks| u128::from(asks.0)).sum::<u128>() <= left {
        return given;
    }
    let weight = |place: usize| u128::from(askers[place].weight.max(1));
    let asks = |place: usize| u128::from(askers[place].asks.0);
    // Who asks for least for its weight is satisfied first; from the first whose share is too small on, all are.
    let mut order: Vec<usize> = (0..askers.len()).collect();
    order.sort_unstable_by(|a, b| (asks(*a) * weight(*b)).cmp(&(asks(*b) * weight(*a))));
    let mut weights: u128 = order.iter().map(|place| weight(*place)).sum();
    let mut short = order.as_slice();
    while let [first, rest @ ..] = short
        && asks(*first) * weights <= left * weight(*first)
    {
        left -= asks(*first);
        weights -= weight(*first);
        short = rest;
    }
    for place in short {
        // A part of `cpu`, so never out of range.
        let part = u64::try_from(left * weight(*place) / weights).unwrap_or(cpu.0);
        given[*place] = CpuMilliUnits(part);
    }
    given
}

/// How fast each container of a task gets on with its work, when all of them together get `given` of the CPU that they
/// would use by themselves: it is shared by their weights, and what one leaves goes to the others (TD-6, TD-9).
pub fn container_paces(
    definitions: &[ContainerDefinition],
    containers: &[Container],
    given: Option<CpuMilliUnits>,
) -> Vec<Pace> {
    let Some(given) = given else { return vec![Pace::FULL; containers.len()] };
    let (least, largest) = CpuTerms::CONTAINER_WEIGHTS;
    let asks = |container: &Container| match container.status {
        ContainerStatus::Running => container.own_cpu,
        ContainerStatus::Waiting | ContainerStatus::Starting | ContainerStatus::Stopped => CpuMilliUnits(0),
    };
    let askers: Vec<Asker> = definitions
        .iter()
        .zip(containers)
        .map(|(definition, container)| Asker { weight: definition.cpu.0.clamp(least, largest), asks: asks(container) })
        .collect();
    share(given, &askers).into_iter().zip(&askers).map(|(given, asker)| Pace::of(given, asker.asks)).collect()
}

#[cfg(test)]
mod tests {

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::ecs::capability::Capabilities;
    use crate::ecs::task_definition::{CpuArchitecture, DefinitionStatus, NetworkMode};
    use crate::units::MiB;

    fn units(cpu: u64) -> CpuMilliUnits {
        CpuUnits(cpu).into()
    }

    fn definition(containers: &[u64], task: Option<u64>, operating_system: OperatingSystem) -> TaskDefinition {
        let container = |cpu: &u64| ContainerDefinition {
            name: format!("c{cpu}"),
            image: "app".into(),
            cpu: CpuUnits(*cpu),
            memory: Some(MiB(64)),
            essential: true,
            ..ContainerDefinition::default()
        };
        TaskDefinition {
            family: "t".into(),
            revision: 1,
            status: DefinitionStatus::Active,
            takes_work: true,
            network_mode: NetworkMode::Bridge,
            cpu: task.map(CpuUnits),
            memory: None,
            containers: containers.iter().map(container).collect(),
            placement_constraints: Vec::new(),
            requires_compatibilities: Vec::new(),
            cpu_architecture: CpuArchitecture::X86_64,
            operating_system,
            ephemeral_storage_gib: None,
            mounts_efs: false,
            attaches_ebs: false,
            declared: Capabilities::default(),
        }
    }

    #[rstest]
    #[case::null_and_zero_weigh_two(&[0], 2)]
    #[case::one_weighs_two(&[1], 2)]
    #[case::as_declared(&[256], 256)]
    #[case::containers_add_up(&[256, 0, 512], 770)]
    #[case::at_most(&[300_000], 262_144)]
    fn td_6_container_cpu_is_a_weight_on_linux(#[case] containers: &[u64], #[case] weight: u64) {
        let reserved = CpuUnits(containers.iter().sum());
        let terms = CpuTerms::of(&definition(containers, None, OperatingSystem::Linux), reserved, CpuUnits(4096));
        assert_eq!(terms, CpuTerms { weight, cap: None });
    }

    #[test]
    fn td_6_container_cpu_is_a_hard_cap_on_windows() {
        let windows = definition(&[512, 0], None, OperatingSystem::Windows);
        let terms = CpuTerms::of(&windows, CpuUnits(512), CpuUnits(4096));
        assert_eq!(terms.cap, Some(CpuMilliUnits(512_000 + 40_960)), "and 0 is a hundredth of the host");
    }

    #[test]
    fn td_6_the_containers_of_a_task_share_what_it_gets_by_weight() {
        let of = |status, own| Container { status, own_cpu: units(own), ..Container::default() };
        let sized = definition(&[256, 512, 256], Some(1024), OperatingSystem::Linux);
        let running = ContainerStatus::Running;
        // 1024 units for 1024, 1024 and nothing: a third and two thirds.
        let containers = [of(running, 1024), of(running, 1024), of(ContainerStatus::Stopped, 9999)];
        let paces = container_paces(&sized.containers, &containers, Some(units(1023)));
        assert_eq!(paces[0], Pace::of(units(341), units(1024)));
        assert_eq!(paces[1], Pace::of(units(682), units(1024)));
        assert_eq!(paces[2], Pace::FULL, "it asks for nothing any more");
        assert_eq!(container_paces(&sized.containers, &containers, None), [Pace::FULL; 3]);
    }

    #[test]
    fn td_9_a_task_level_size_is_a_hard_cap() {
        let sized = definition(&[256], Some(1024), OperatingSystem::Linux);
        let capped = |units| CpuTerms { weight: 1024, cap: Some(CpuUnits(units).into()) };
        assert_eq!(CpuTerms::of(&sized, CpuUnits(1024), CpuUnits(4096)), capped(1024));
        let plain = definition(&[256], None, OperatingSystem::Linux);
        assert_eq!(CpuTerms::of(&plain, CpuUnits(512), CpuUnits(4096)), capped(512), "overrides.cpu");
    }

    #[rstest]
    #[case::enough_for_all(4096, &[(2, 1000), (512, 3000)], &[1000, 3000])]
    #[case::alone_it_takes_everything(4096, &[(2, 9000)], &[4096])]
    #[case::backlogged_by_weight(3072, &[(256, 4096), (512, 4096)], &[1024, 2048])]
    #[case::what_one_leaves_goes_to_the_others(4096, &[(1024, 96), (512, 4096), (512, 4096)], &[96, 2000, 2000])]
    #[case::small_weight_is_not_starved(4096, &[(2, 4096), (1022, 4096)], &[8, 4088])]
    #[case::nothing_to_give(0, &[(2, 10), (2, 0)], &[0, 0])]
    fn shares_of_a_host(#[case] host: u64, #[case] askers: &[(u64, u64)], #[case] expected: &[u64]) {
        let askers: Vec<Asker> =
            askers.iter().map(|(weight, cpu)| Asker { weight: *weight, asks: units(*cpu) }).collect();
        let expected: Vec<CpuMilliUnits> = expected.iter().map(|cpu| units(*cpu)).collect();
        assert_eq!(share(units(host), &askers), expected);
    }

    fn asker() -> impl Strategy<Value = Asker> {
        let asks = prop_oneof![Just(0), 0..10_000u64, 0..(1u64 << 40), Just(1u64 << 40)];
        (0..300_000u64, asks).prop_map(|(weight, asks)| Asker { weight, asks: CpuMilliUnits(asks) })
    }

    proptest! {
        #[test]
        fn sharing_conserves_work_and_is_fair_by_weight(
            host in prop_oneof![0..20_000u64, 0..(1u64 << 40)],
            askers in prop::collection::vec(asker(), 0..12),
            turn in 0..12usize,
        ) {
            let given = share(CpuMilliUnits(host), &askers);
            let total: u64 = given.iter().map(|given| given.0).sum();
            let asked: u64 = askers.iter().map(|asker| asker.asks.0).sum();
            prop_assert!(total <= host && total <= asked);
            prop_assert!(total + (askers.len() as u64) >= host.min(asked), "work-conserving: {total}");
            let level = |place: usize| u128::from(given[place].0);
            let weight = |place: usize| u128::from(askers[place].weight.max(1));
            for (place, asker) in askers.iter().enumerate() {
                prop_assert!(given[place] <= asker.asks);
                // Whoever is short has, for its weight, no less than anybody else: to within the rounding.
                if given[place] < asker.asks {
                    for other in 0..askers.len() {
                        prop_assert!((level(place) + 1) * weight(other) >= level(other) * weight(place));
                    }
                }
            }
            let turn = turn % askers.len().max(1);
            let mut turned = askers.clone();
            turned.rotate_left(turn);
            let mut expected = given.clone();
            expected.rotate_left(turn);
            prop_assert_eq!(share(CpuMilliUnits(host), &turned), expected);
        }

        /// One who asks for everything gets what it would get in the end, whatever it really asks for.
        #[test]
        fn what_one_gets_is_what_it_asks_cut_to_its_greedy_share(
            host in 0..20_000u64,
            askers in prop::collection::vec(asker(), 1..8),
        ) {
            let real = share(CpuMilliUnits(host), &askers)[0];
            let mut greedy = askers.clone();
            greedy[0].asks = CpuMilliUnits(host);
            let most = share(CpuMilliUnits(host), &greedy)[0];
            let expected = askers[0].asks.min(most);
            prop_assert!(real.0.abs_diff(expected.0) <= askers.len() as u64, "{} and {}", real.0, expected.0);
        }
    }
}
