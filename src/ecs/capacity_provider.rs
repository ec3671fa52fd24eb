//! Capacity provider strategies: base and weight (CP-*).
//!
//! [`resolve`] checks a strategy and finds its providers, [`choose`] says where the next task goes, and
//! [`choose_removal`] where one goes first on scale-in.

use crate::ecs::ids::ProviderId;
use crate::ecs::service::{ResolvedItem, ResolvedLaunch};
use crate::ecs::task::LaunchTarget;
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};
use crate::engine::time::SimDuration;
use crate::refused::Refused;

/// A capacity provider a task can be bound to (CP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// An Auto Scaling group's.
    Group(ProviderId),
    /// `FARGATE`.
    Fargate,
    /// `FARGATE_SPOT`.
    FargateSpot,
}

impl Provider {
    /// The provider with a reserved name (CP-1).
    pub fn reserved(name: &str) -> Option<Self> {
        match name {
            "FARGATE" => Some(Self::Fargate),
            "FARGATE_SPOT" => Some(Self::FargateSpot),
            _ => None,
        }
    }

    /// True for the two Fargate providers.
    pub const fn is_fargate(self) -> bool {
        matches!(self, Self::Fargate | Self::FargateSpot)
    }
}

/// Most items of a strategy (CP-2).
pub const MAX_STRATEGY_ITEMS: usize = 20;
/// Largest `base` (CP-2).
pub const MAX_BASE: u32 = 100_000;
/// Largest `weight` (CP-2).
pub const MAX_WEIGHT: u32 = 1_000;

/// What a cluster knows of a capacity provider's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// It may be used.
    Found(Provider),
    /// There is no such provider.
    Unknown,
    /// It is not associated with the cluster.
    NotAssociated,
    /// It is being deleted or failed to be made.
    NotActive,
}

/// Finds the infrastructure of a task or service: its own launch type or strategy, else the cluster's default
/// strategy, else EC2 (CP-4).
pub fn launch(
    choice: &LaunchChoice,
    cluster_default: &[StrategyItem],
    lookup: impl Fn(&str) -> Lookup,
) -> Result<ResolvedLaunch, Refused> {
    match choice {
        LaunchChoice::Ec2 => Ok(ResolvedLaunch::Type(LaunchTarget::Ec2)),
        LaunchChoice::Fargate => Ok(ResolvedLaunch::Type(LaunchTarget::Fargate)),
        LaunchChoice::Strategy(items) => resolve(items, lookup).map(ResolvedLaunch::Strategy),
        LaunchChoice::ClusterDefault if cluster_default.is_empty() => Ok(ResolvedLaunch::Type(LaunchTarget::Ec2)),
        LaunchChoice::ClusterDefault => resolve(cluster_default, lookup).map(ResolvedLaunch::Strategy),
    }
}

/// Checks a strategy that is about to be used and finds its providers (CP-2, CP-3).
pub fn resolve(items: &[StrategyItem], lookup: impl Fn(&str) -> Lookup) -> Result<Vec<ResolvedItem>, Refused> {
    let resolved = check_default(items, lookup)?;
    if resolved.iter().all(|item| item.weight == 0) {
        return refused(
            "A capacity provider strategy must contain at least one capacity provider with a weight greater than zero.",
        );
    }
    Ok(resolved)
}

/// Checks a strategy for being a cluster's default: as [`resolve`], but it may have no weight until it is used (CP-3).
pub fn check_default(items: &[StrategyItem], lookup: impl Fn(&str) -> Lookup) -> Result<Vec<ResolvedItem>, Refused> {
    if items.len() > MAX_STRATEGY_ITEMS {
        return refused(format!(
            "A capacity provider strategy can contain a maximum of {MAX_STRATEGY_ITEMS} capacity providers."
        ));
    }
    let mut resolved = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let name = &item.provider;
        let provider = match lookup(name) {
            Lookup::Found(provider) => provider,
            Lookup::Unknown => {
                return refused(format!(
                    "The specified capacity provider '{name}' was not found. Specify a valid name or ARN and try again."
                ));
            }
            Lookup::NotAssociated => {
                return refused(format!(
                    "The specified capacity provider strategy cannot contain a capacity provider that is not \
                     associated with the cluster: {name}. Associate the capacity provider with the cluster and try \
                     again."
                ));
            }
            Lookup::NotActive => {
                return refused(format!(
                    "The specified capacity provider '{name}' is not in an ACTIVE or UPDATING state."
                ));
            }
        };
        if item.base > MAX_BASE {
            return refused(format!("The base value must be between 0 and {MAX_BASE}, not {}.", item.base));
        }
        if item.weight > MAX_WEIGHT {
            return refused(format!("The weight value must be between 0 and {MAX_WEIGHT}, not {}.", item.weight));
        }
        if items[..place].iter().any(|earlier| earlier.provider == *name) {
            return refused(format!("A capacity provider strategy can name '{name}' only once."));
        }
        resolved.push(ResolvedItem { provider, base: item.base, weight: item.weight });
    }
    if resolved.iter().filter(|item| item.base > 0).count() > 1 {
        return refused("Only one capacity provider in a capacity provider strategy can have a base defined.");
    }
    let fargate = resolved.iter().filter(|item| item.provider.is_fargate()).count();
    if fargate > 0 && fargate < resolved.len() {
        return refused(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and \
             Fargate providers. Specify one or the other and try again.",
        );
    }
    Ok(resolved)
}

/// CP-16: a group of instance weights and a capacity provider do not go together.
pub fn weights_refused(group: &str) -> Refused {
    Refused {
        code: "ClientException",
        message: format!(
            "The Auto Scaling group {group} has instance weights, which capacity providers do not support."
        ),
        rule: "CP-16",
    }
}

/// `platformVersion` of Fargate tasks, as far as its three numbers go; `LATEST` is none.
pub type PlatformVersion = (u32, u32, u32);

/// FG-10: what LATEST means on Fargate.
pub const fn latest_platform(operating_system: OperatingSystem) -> PlatformVersion {
    match operating_system {
        OperatingSystem::Linux => (1, 4, 0),
        OperatingSystem::Windows => (1, 0, 0),
    }
}

/// CP-15: Fargate Spot runs Linux only, on platform 1.3.0 or later, and on ARM64 on 1.4.0 or later.
pub fn check_spot_platform(
    operating_system: OperatingSystem,
    architecture: CpuArchitecture,
    version: Option<PlatformVersion>,
) -> Result<(), Refused> {
    let least = match architecture {
        CpuArchitecture::X86_64 => (1, 3, 0),
        CpuArchitecture::Arm64 => (1, 4, 0),
    };
    let message = if operating_system == OperatingSystem::Windows {
        "The FARGATE_SPOT capacity provider does not support Windows containers.".to_owned()
    } else if let Some((major, minor, patch)) = version.filter(|version| *version < least) {
        format!("The platform version {major}.{minor}.{patch} does not support the FARGATE_SPOT capacity provider.")
    } else {
        return Ok(());
    };
    Err(Refused { code: "PlatformTaskDefinitionIncompatibilityException", message, rule: "CP-15" })
}

/// Refuses what `create-capacity-provider` refuses of its settings (CP-1, CAS-18, CAS-21, TP-1).
///
/// `group_protects` tells whether the group gives its new instances scale-in protection.
pub fn check_create(call: &CreateCapacityProvider, group_protects: bool) -> Result<(), Refused> {
    let refused = |message: String, rule| Err(Refused { code: "ClientException", message, rule });
    let name = &call.name;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
        return refused(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters \
             (upper and lowercase), numbers, underscores, and hyphens. Specify a valid name and try again."
                .to_owned(),
            "CP-1",
        );
    }
    let lower = name.to_ascii_lowercase();
    if ["aws", "ecs", "fargate"].iter().any(|prefix| lower.starts_with(prefix)) {
        return refused(
            format!(
                "The specified capacity provider name '{name}' is invalid. The name cannot be prefixed with aws, ecs, \
                 or fargate."
            ),
            "CP-1",
        );
    }
    if let Some(scaling) = &call.managed_scaling {
        if !(1..=100).contains(&scaling.target_capacity) {
            return refused(
                format!(
                    "The managed scaling target capacity must be between 1 and 100, not {}.",
                    scaling.target_capacity
                ),
                "CAS-18",
            );
        }
        let steps = [("minimum", scaling.minimum_step), ("maximum", scaling.maximum_step)];
        for (which, step) in steps {
            if !(1..=10_000).contains(&step) {
                return refused(
                    format!("The {which} scaling step size must be between 1 and 10000, not {step}."),
                    "CAS-21",
                );
            }
        }
        if scaling.minimum_step > scaling.maximum_step {
            return refused(
                format!(
                    "The minimum scaling step size {} must not be greater than the maximum scaling step size {}.",
                    scaling.minimum_step, scaling.maximum_step
                ),
                "CAS-21",
            );
        }
        if scaling.instance_warmup > SimDuration::from_secs(10_000) {
            return refused("The instance warmup period must be between 0 and 10000 seconds.".to_owned(), "CAS-21");
        }
    }
    if call.managed_termination_protection && (call.managed_scaling.is_none() || !group_protects) {
        return refused(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed \
             termination protection for a capacity provider, managed scaling must be enabled and the Auto Scaling \
             group must have instance protection from scale in enabled."
                .to_owned(),
            "TP-1",
        );
    }
    Ok(())
}

fn refused<T>(message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code: "InvalidParameterException", message: message.into(), rule: "CP-3" })
}

/// Where the next task goes: the place in `items`, given how many tasks each has now (CP-5…8).
///
/// The base is filled first; then the provider furthest below its share of the weights takes the task, the first in
/// the list among equals. `zero_weight_base` lets a provider without weight have its base (CP-8). `None` only when no
/// item may take any task.
pub fn choose(items: &[ResolvedItem], tasks: &[u32], zero_weight_base: bool) -> Option<usize> {
    let counts = || items.iter().zip(tasks.iter().copied().chain(std::iter::repeat(0))).enumerate();
    let wants_base = |item: &ResolvedItem, tasks: u32| tasks < item.base && (item.weight > 0 || zero_weight_base);
    if let Some((place, _)) = counts().find(|(_, (item, tasks))| wants_base(item, *tasks)) {
        return Some(place);
    }
    let (weights, above) = totals(items, tasks);
    let mut best: Option<(usize, i128)> = None;
    for (place, (item, tasks)) in counts().filter(|(_, (item, _))| item.weight > 0) {
        let claim = i128::from(item.weight) * (above + 1) - weights * above_base(item, tasks);
        if best.is_none_or(|(_, largest)| claim > largest) {
            best = Some((place, claim));
        }
    }
    best.map(|(place, _)| place)
}

/// Which provider loses a task first on scale-in: the one most above its share, the last in the list among equals, and
/// base tasks only when nothing else is left (CP-10). `None` when there is no task.
pub fn choose_removal(items: &[ResolvedItem], tasks: &[u32]) -> Option<usize> {
    let (weights, above) = totals(items, tasks);
    let excess = |item: &ResolvedItem, tasks: u32| weights * above_base(item, tasks) - i128::from(item.weight) * above;
    let counts = || items.iter().zip(tasks.iter().copied()).enumerate();
    let removable = counts().filter(|(_, (item, tasks))| above_base(item, *tasks) > 0);
    removable
        .max_by_key(|(_, (item, tasks))| excess(item, *tasks))
        .or_else(|| counts().rfind(|(_, (_, tasks))| *tasks > 0))
        .map(|(place, _)| place)
}

/// a_i of CP-6.
fn above_base(item: &ResolvedItem, tasks: u32) -> i128 {
    i128::from(tasks.saturating_sub(item.base))
}

/// W and A of CP-6: the sum of the weights, and the tasks above base on providers that have one.
fn totals(items: &[ResolvedItem], tasks: &[u32]) -> (i128, i128) {
    let weights = items.iter().map(|item| i128::from(item.weight)).sum();
    let weighted = items.iter().zip(tasks).filter(|(item, _)| item.weight > 0);
    (weights, weighted.map(|(item, tasks)| above_base(item, *tasks)).sum())
}

/// One item of a capacity provider strategy (CP-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyItem {
    /// `capacityProvider`: a name, `FARGATE` or `FARGATE_SPOT`.
    pub provider: String,
    /// Tasks that go there first.
    pub base: u32,
    /// Share of the rest.
    pub weight: u32,
}

/// How a task or service chooses its infrastructure (CP-4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LaunchChoice {
    /// Neither given: the cluster's default strategy, else EC2.
    #[default]
    ClusterDefault,
    /// `launchType: EC2`.
    Ec2,
    /// `launchType: FARGATE`.
    Fargate,
    /// `capacityProviderStrategy`.
    Strategy(Vec<StrategyItem>),
}

/// `ecs create-capacity-provider` for an Auto Scaling group.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCapacityProvider {
    /// `name`.
    pub name: String,
    /// `autoScalingGroupArn`, as a name.
    pub auto_scaling_group: String,
    /// `managedScaling` when ENABLED.
    pub managed_scaling: Option<ManagedScaling>,
    /// `managedTerminationProtection` ENABLED (TP-1).
    pub managed_termination_protection: bool,
    /// `managedDraining` ENABLED (DRN-3).
    pub managed_draining: bool,
}

/// `managedScaling` settings (CAS-18, CAS-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManagedScaling {
    /// `targetCapacity`, percent, 1..=100.
    pub target_capacity: u32,
    /// `minimumScalingStepSize`, 1..=10000.
    pub minimum_step: u32,
    /// `maximumScalingStepSize`, 1..=10000.
    pub maximum_step: u32,
    /// `instanceWarmupPeriod`.
    pub instance_warmup: SimDuration,
}

impl Default for ManagedScaling {
    fn default() -> Self {
        Self {
            target_capacity: 100,
            minimum_step: 1,
            maximum_step: 10_000,
            instance_warmup: SimDuration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(OperatingSystem::Linux, CpuArchitecture::X86_64, None, true)]
    #[case(OperatingSystem::Linux, CpuArchitecture::X86_64, Some((1, 3, 0)), true)]
    #[case(OperatingSystem::Linux, CpuArchitecture::X86_64, Some((1, 2, 0)), false)]
    #[case(OperatingSystem::Linux, CpuArchitecture::Arm64, Some((1, 3, 0)), false)]
    #[case(OperatingSystem::Linux, CpuArchitecture::Arm64, Some((1, 4, 0)), true)]
    #[case(OperatingSystem::Windows, CpuArchitecture::X86_64, None, false)]
    fn cp_15_fargate_spot_needs_linux_and_a_recent_platform(
        #[case] system: OperatingSystem,
        #[case] architecture: CpuArchitecture,
        #[case] version: Option<PlatformVersion>,
        #[case] runs: bool,
    ) {
        let outcome = check_spot_platform(system, architecture, version);
        assert_eq!(outcome.is_ok(), runs);
        assert!(outcome.err().is_none_or(|refused| refused.rule == "CP-15"));
    }

    const A: Provider = Provider::Group(ProviderId(0));
    const B: Provider = Provider::Group(ProviderId(1));
    const C: Provider = Provider::Group(ProviderId(2));

    fn items(parts: &[(Provider, u32, u32)]) -> Vec<ResolvedItem> {
        parts.iter().map(|&(provider, base, weight)| ResolvedItem { provider, base, weight }).collect()
    }

    /// Places `n` tasks one by one; returns the counts.
    fn fill(items: &[ResolvedItem], n: u32) -> Vec<u32> {
        let mut tasks = vec![0; items.len()];
        for _ in 0..n {
            let place = choose(items, &tasks, true).expect("an item takes tasks");
            tasks[place] += 1;
        }
        tasks
    }

    /// A cluster with the providers `a` and `b` and both Fargate ones; `c` exists elsewhere, `old` is going.
    fn lookup(name: &str) -> Lookup {
        match name {
            "a" => Lookup::Found(A),
            "b" => Lookup::Found(B),
            "c" => Lookup::NotAssociated,
            "old" => Lookup::NotActive,
            other => Provider::reserved(other).map_or(Lookup::Unknown, Lookup::Found),
        }
    }

    fn strategy(parts: &[(&str, u32, u32)]) -> Vec<StrategyItem> {
        parts
            .iter()
            .map(|&(provider, base, weight)| StrategyItem { provider: provider.to_owned(), base, weight })
            .collect()
    }

    fn refusal(parts: &[(&str, u32, u32)]) -> String {
        resolve(&strategy(parts), lookup).expect_err("the strategy is refused").message
    }

    #[test]
    fn ex_cp_1() {
        assert_eq!(fill(&items(&[(A, 2, 1), (B, 0, 3)]), 10), [4, 6]);
    }

    #[test]
    fn ex_cp_2() {
        let items = items(&[(A, 0, 1), (B, 0, 4)]);
        assert_eq!((fill(&items, 5), fill(&items, 10)), (vec![1, 4], vec![2, 8]));
        let mut tasks = [0, 0];
        let mut picks = String::new();
        for _ in 0..5 {
            let place = choose(&items, &tasks, true).unwrap();
            tasks[place] += 1;
            picks.push(['A', 'B'][place]);
        }
        assert_eq!(picks, "BBABB");
    }

    #[test]
    fn ex_cp_3() {
        let items = items(&[(A, 0, 1), (B, 0, 1)]);
        assert_eq!((fill(&items, 4), fill(&items, 5)), (vec![2, 2], vec![3, 2]));
    }

    #[test]
    fn ex_cp_4() {
        assert_eq!(fill(&items(&[(A, 0, 1), (B, 0, 2), (C, 0, 3)]), 12), [2, 4, 6]);
    }

    #[test]
    fn ex_cp_5() {
        assert_eq!(fill(&items(&[(Provider::Fargate, 1, 1), (Provider::FargateSpot, 0, 4)]), 6), [2, 4]);
    }

    #[test]
    fn ex_cp_6() {
        assert!(refusal(&[("a", 0, 0), ("b", 0, 0)]).contains("weight greater than zero"));
        assert!(check_default(&strategy(&[("a", 0, 0)]), lookup).is_ok(), "a default is judged when it is used");
    }

    #[test]
    fn ex_cp_7() {
        assert_eq!(
            refusal(&[("a", 0, 1), ("FARGATE", 0, 1)]),
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and \
             Fargate providers. Specify one or the other and try again."
        );
    }

    #[test]
    fn ex_cp_8() {
        assert_eq!(fill(&items(&[(A, 5, 1), (B, 0, 1)]), 3), [3, 0]);
    }

    #[test]
    fn ex_cp_9() {
        let many: Vec<_> = (0..21).map(|n| StrategyItem { provider: format!("p{n}"), base: 0, weight: 1 }).collect();
        let error = resolve(&many, |_| Lookup::Found(A)).unwrap_err();
        assert!(error.message.contains("maximum of 20"), "{error}");
        assert!(refusal(&[("a", 1, 1), ("b", 1, 1)]).contains("can have a base defined"));
        assert!(refusal(&[("c", 0, 1)]).contains("not associated with the cluster"));
    }

    #[test]
    fn ex_cp_10() {
        let items = items(&[(A, 0, 1), (B, 0, 2)]);
        assert_eq!(fill(&items, 9), [3, 6]);
        for n in 1..=9 {
            let exact = f64::from(n) / 3.0;
            let tasks = fill(&items, n);
            assert!((f64::from(tasks[0]) - exact).abs() < 1.0, "{tasks:?}");
        }
    }

    #[test]
    fn cp_3_other_refusals() {
        assert!(refusal(&[("nowhere", 0, 1)]).contains("was not found"));
        assert!(refusal(&[("old", 0, 1)]).contains("ACTIVE"));
        assert!(refusal(&[("a", 100_001, 1)]).contains("base value"));
        assert!(refusal(&[("a", 0, 1_001)]).contains("weight value"));
        assert!(refusal(&[("a", 0, 1), ("a", 0, 1)]).contains("only once"));
        assert!(resolve(&strategy(&[("a", 100_000, 1_000), ("b", 0, 0)]), lookup).is_ok());
    }

    #[test]
    fn cp_4_launch_type_strategy_or_default() {
        let default = strategy(&[("FARGATE_SPOT", 0, 1)]);
        let get = |choice: &LaunchChoice, default: &[StrategyItem]| launch(choice, default, lookup).unwrap();
        assert_eq!(get(&LaunchChoice::Ec2, &default), ResolvedLaunch::Type(LaunchTarget::Ec2));
        assert_eq!(get(&LaunchChoice::Fargate, &default), ResolvedLaunch::Type(LaunchTarget::Fargate));
        assert_eq!(get(&LaunchChoice::ClusterDefault, &[]), ResolvedLaunch::Type(LaunchTarget::Ec2));
        let spot = ResolvedLaunch::Strategy(items(&[(Provider::FargateSpot, 0, 1)]));
        assert_eq!(get(&LaunchChoice::ClusterDefault, &default), spot);
        let own = LaunchChoice::Strategy(strategy(&[("a", 0, 1)]));
        assert_eq!(get(&own, &default), ResolvedLaunch::Strategy(items(&[(A, 0, 1)])));
    }

    #[test]
    fn cp_8_a_provider_without_weight_takes_its_base_only() {
        let items = items(&[(A, 2, 0), (B, 0, 1)]);
        assert_eq!(fill(&items, 5), [2, 3]);
        assert_eq!(choose(&items, &[0, 0], false), Some(1));
        assert_eq!(choose(&items[..1], &[2], true), None);
    }

    #[test]
    fn cp_10_the_provider_most_above_its_share_loses_first() {
        let even = items(&[(A, 0, 1), (B, 0, 1)]);
        assert_eq!(choose_removal(&even, &[3, 2]), Some(0));
        assert_eq!(choose_removal(&even, &[2, 2]), Some(1), "the last among equals");
        assert_eq!(choose_removal(&even, &[0, 0]), None);
        let based = items(&[(A, 2, 1), (B, 0, 3)]);
        assert_eq!(choose_removal(&based, &[2, 1]), Some(1), "base tasks last");
        assert_eq!(choose_removal(&based, &[2, 0]), Some(0));
        let moved = items(&[(A, 0, 0), (B, 0, 1)]);
        assert_eq!(choose_removal(&moved, &[1, 50]), Some(0), "no weight, no share");
    }

    #[rstest]
    #[case::fine("workers", 100, 1, 10_000, 300, None)]
    #[case::reserved("fargate-like", 100, 1, 10_000, 300, Some("CP-1"))]
    #[case::letters("my provider", 100, 1, 10_000, 300, Some("CP-1"))]
    #[case::no_target("workers", 0, 1, 10_000, 300, Some("CAS-18"))]
    #[case::above("workers", 101, 1, 10_000, 300, Some("CAS-18"))]
    #[case::no_step("workers", 100, 0, 10_000, 300, Some("CAS-21"))]
    #[case::long_step("workers", 100, 1, 10_001, 300, Some("CAS-21"))]
    #[case::crossed("workers", 100, 5, 4, 300, Some("CAS-21"))]
    #[case::long_warmup("workers", 100, 1, 10_000, 10_001, Some("CAS-21"))]
    fn cas_21_settings_have_bounds(
        #[case] name: &str,
        #[case] target_capacity: u32,
        #[case] minimum_step: u32,
        #[case] maximum_step: u32,
        #[case] warmup_s: u64,
        #[case] rule: Option<&str>,
    ) {
        let scaling = ManagedScaling {
            target_capacity,
            minimum_step,
            maximum_step,
            instance_warmup: SimDuration::from_secs(warmup_s),
        };
        assert_eq!(check_create(&create(name, Some(scaling), false), false).err().map(|e| e.rule), rule);
    }

    fn create(name: &str, managed_scaling: Option<ManagedScaling>, protect: bool) -> CreateCapacityProvider {
        CreateCapacityProvider {
            name: name.to_owned(),
            auto_scaling_group: "group".to_owned(),
            managed_scaling,
            managed_termination_protection: protect,
            managed_draining: true,
        }
    }

    #[test]
    fn tp_1_protection_needs_managed_scaling_and_a_protecting_group() {
        let scaling = Some(ManagedScaling::default());
        let rule = |scaling, protects| check_create(&create("cp", scaling, true), protects).err().map(|e| e.rule);
        assert_eq!(rule(scaling, true), None);
        assert_eq!(rule(scaling, false), Some("TP-1"));
        assert_eq!(rule(None, true), Some("TP-1"));
    }

    proptest! {
        /// Shares never stray from the weights by a whole task per provider.
        #[test]
        fn cp_6_shares_follow_the_weights(weights in prop::collection::vec(1u32..50, 1..6), n in 0u32..200) {
            let items: Vec<_> =
                weights.iter().map(|&weight| ResolvedItem { provider: A, base: 0, weight }).collect();
            let tasks = fill(&items, n);
            let sum: u32 = weights.iter().sum();
            prop_assert_eq!(tasks.iter().sum::<u32>(), n);
            for (tasks, weight) in tasks.iter().zip(&weights) {
                let share = f64::from(n) * f64::from(*weight) / f64::from(sum);
                prop_assert!(f64::from(*tasks) < share + 1.0, "{} of {} at {}", tasks, n, weight);
            }
        }
    }
}
