//! Termination policies: which instance of a group goes on scale-in (ASG-4…8).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::str::FromStr;

use crate::ec2::auto_scaling_group::{AutoScalingGroup, MarketCounts};
use crate::ec2::instance::{Instance, LaunchSource, Lifecycle, Market};
use crate::ec2::launch::on_demand_share;
use crate::ecs::ids::{InstanceId, ZoneId, mix};
use crate::engine::streams::Stream;
use crate::engine::time::SimTime;

/// One entry of `TerminationPolicies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationPolicy {
    /// `Default`.
    Default,
    /// `OldestInstance`.
    OldestInstance,
    /// `NewestInstance`.
    NewestInstance,
    /// `OldestLaunchTemplate`.
    OldestLaunchTemplate,
    /// `OldestLaunchConfiguration`.
    OldestLaunchConfiguration,
    /// `ClosestToNextInstanceHour`.
    ClosestToNextInstanceHour,
    /// `AllocationStrategy`.
    AllocationStrategy,
    /// The ARN of a Lambda function: what it returns may be terminated, and nothing else. A scenario describes it by an
    /// expression of the cluster query language ([`CreateAutoScalingGroup::termination_function`]).
    ///
    /// [`CreateAutoScalingGroup::termination_function`]: crate::ec2::auto_scaling_group::CreateAutoScalingGroup
    Custom,
}

impl TerminationPolicy {
    /// Every policy of AWS's own.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::OldestInstance,
        Self::NewestInstance,
        Self::OldestLaunchTemplate,
        Self::OldestLaunchConfiguration,
        Self::ClosestToNextInstanceHour,
        Self::AllocationStrategy,
    ];

    /// AWS's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::OldestInstance => "OldestInstance",
            Self::NewestInstance => "NewestInstance",
            Self::OldestLaunchTemplate => "OldestLaunchTemplate",
            Self::OldestLaunchConfiguration => "OldestLaunchConfiguration",
            Self::ClosestToNextInstanceHour => "ClosestToNextInstanceHour",
            Self::AllocationStrategy => "AllocationStrategy",
            Self::Custom => "custom",
        }
    }
}

/// A name that is no termination policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no termination policy; use {all}", all = TerminationPolicy::ALL.map(TerminationPolicy::name).join(", "))]
pub struct UnknownPolicy(pub String);

impl FromStr for TerminationPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL.into_iter().find(|policy| policy.name() == name).ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

/// Chooses instances of up to `count` units of capacity to terminate on scale-in, in order; fewer if the rest is
/// protected (TP-5), or weighs more than what is left to take (ASG-36: the group never falls below what it wants).
///
/// One after the other, as if the earlier ones had gone: unhealthy ones first (ASG-5); then the market that the group
/// has too much of (ASG-7); within it the zone with most instances among those that hold an unprotected one (ASG-4),
/// or all such zones alike; there the policies in their order (ASG-6, ASG-8), and a random one of what is left.
/// Launching instances are candidates too, and unprotected (ASG-10) — our choice, as the sources do not say. Candidates
/// that a custom function has not `returned` stay, whatever that leaves undone (ASG-8).
///
/// Takes one number from `chance`. Costs one look at each member and a heap operation for each victim.
pub fn choose_victims(
    group: &AutoScalingGroup,
    count: u32,
    returned: &dyn Fn(&Instance) -> bool,
    now: SimTime,
    chance: &mut Stream,
) -> Vec<InstanceId> {
    let salt = chance.next_u64();
    let criteria = Criterion::of(&group.definition.termination_policies);
    let mut counts: BTreeMap<ZoneId, MarketCounts> = group.zone_counts().collect();
    let mut markets = group.markets();
    let mut victims = Vec::new();
    let mut left = count;
    let mut pools: BTreeMap<(Market, ZoneId), Vec<Reverse<Rank>>> = BTreeMap::new();
    for instance in group.instances().filter(|instance| instance.lifecycle().counts_against_desired()) {
        let (market, zone) = (instance.market(), instance.zone());
        // Health replacement is not held back by protection (TP-6), so neither is this.
        if instance.unhealthy && instance.weight <= left && left > 0 {
            remove(&mut counts, &mut markets, (market, zone), instance.weight);
            left -= instance.weight;
            victims.push(instance.id);
        } else if !instance.is_protected() && returned(instance) {
            pools.entry((market, zone)).or_default().push(Reverse(Rank::new(instance, group, &criteria, now, salt)));
        }
    }
    let mut pools: BTreeMap<(Market, ZoneId), BinaryHeap<Reverse<Rank>>> =
        pools.into_iter().map(|(pool, ranks)| (pool, BinaryHeap::from(ranks))).collect();
    while left > 0 {
        let preferred = market_to_shrink(group, markets);
        let Some((market, zone)) = [preferred, other(preferred)].into_iter().find_map(|market| {
            // The fullest zone; of equally full ones the one whose first candidate ranks first: "policy over all".
            let of_market = pools.iter().filter(|((pool, _), heap)| *pool == market && !heap.is_empty());
            of_market
                .max_by_key(|((_, zone), heap)| (counts.get(zone).map_or(0, |zone| zone.of(market)), heap.peek()))
                .map(|(&pool, _)| pool)
        }) else {
            break;
        };
        let Some(Reverse(rank)) = pools.get_mut(&(market, zone)).and_then(BinaryHeap::pop) else { break };
        if rank.weight <= left {
            remove(&mut counts, &mut markets, (market, zone), rank.weight);
            left -= rank.weight;
            victims.push(rank.id);
        }
    }
    victims
}

/// Chooses the instance that `zone` gives up when its group rebalances (ASG-9): an unprotected one in service, by the
/// group's policies; `None` if there is none.
///
/// Takes one number from `chance`.
pub fn choose_victim_in(
    group: &AutoScalingGroup,
    zone: ZoneId,
    returned: &dyn Fn(&Instance) -> bool,
    now: SimTime,
    chance: &mut Stream,
) -> Option<InstanceId> {
    let salt = chance.next_u64();
    let criteria = Criterion::of(&group.definition.termination_policies);
    let preferred = market_to_shrink(group, group.markets());
    group
        .instances()
        .filter(|i| i.zone() == zone && i.lifecycle() == Lifecycle::InService && !i.is_protected() && returned(i))
        .min_by_key(|i| (i.market() != preferred, Rank::new(i, group, &criteria, now, salt)))
        .map(|i| i.id)
}

fn remove(
    counts: &mut BTreeMap<ZoneId, MarketCounts>,
    all: &mut MarketCounts,
    (market, zone): (Market, ZoneId),
    weight: u32,
) {
    *all.of_mut(market) -= weight;
    if let Some(counts) = counts.get_mut(&zone) {
        *counts.of_mut(market) -= weight;
    }
}

/// ASG-7: on-demand goes when the group would keep more than its share after losing one instance, else Spot.
fn market_to_shrink(group: &AutoScalingGroup, present: MarketCounts) -> Market {
    let left = present.total().saturating_sub(1);
    if present.on_demand > on_demand_share(&group.definition.distribution, left) {
        Market::OnDemand
    } else {
        Market::Spot
    }
}

const fn other(market: Market) -> Market {
    match market {
        Market::OnDemand => Market::Spot,
        Market::Spot => Market::OnDemand,
    }
}

/// What a policy ranks by; smaller goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Criterion {
    /// Lowest priority in the list of instance types first: what the allocation strategy would launch last.
    Misallocated,
    /// Launch configuration, another template, oldest version of the current template (ASG-6).
    Outdated,
    /// Oldest launch configuration first, templates last.
    OldConfiguration,
    /// Closest to the next hour since launch first.
    BillingHour,
    /// Oldest first.
    Oldest,
    /// Newest first.
    Newest,
}

/// Number of criteria: a list of policies never needs more, as a criterion decides nothing the second time.
const CRITERIA: usize = 6;

impl Criterion {
    /// The criteria of `policies` in order; an empty list is `Default`.
    ///
    /// Successive filters (ASG-8) are the lexicographic order of their criteria, which is what lets one heap serve.
    fn of(policies: &[TerminationPolicy]) -> Vec<Self> {
        let policies = if policies.is_empty() { &[TerminationPolicy::Default] } else { policies };
        let mut criteria = Vec::with_capacity(CRITERIA);
        for policy in policies {
            let next: &[Self] = match policy {
                TerminationPolicy::Default => &[Self::Misallocated, Self::Outdated, Self::BillingHour],
                TerminationPolicy::OldestInstance => &[Self::Oldest],
                TerminationPolicy::NewestInstance => &[Self::Newest],
                TerminationPolicy::OldestLaunchTemplate => &[Self::Outdated],
                TerminationPolicy::OldestLaunchConfiguration => &[Self::OldConfiguration],
                TerminationPolicy::ClosestToNextInstanceHour => &[Self::BillingHour],
                TerminationPolicy::AllocationStrategy => &[Self::Misallocated],
                // A filter of candidates, not a criterion among them.
                TerminationPolicy::Custom => &[],
            };
            for criterion in next {
                if !criteria.contains(criterion) {
                    criteria.push(*criterion);
                }
            }
        }
        criteria
    }

    fn key(self, instance: &Instance, group: &AutoScalingGroup, now: SimTime) -> u64 {
        match self {
            Self::Misallocated => {
                let types = group.instance_types();
                let priority = types.iter().position(|name| *name == instance.instance_type).unwrap_or(types.len());
                (types.len() - priority) as u64
            }
            Self::Outdated => outdated(instance.source, group.source()),
            Self::OldConfiguration => match instance.source {
                LaunchSource::Configuration(number) => u64::from(number),
                LaunchSource::Template { .. } => u64::MAX,
            },
            Self::BillingHour => instance.until_next_hour(now).as_nanos(),
            Self::Oldest => instance.launched.as_nanos(),
            Self::Newest => u64::MAX - instance.launched.as_nanos(),
        }
    }
}

/// ASG-6 (1): launch configurations in order, then any other template, then the current one by version.
fn outdated(source: LaunchSource, current: LaunchSource) -> u64 {
    const OTHER_TEMPLATE: u64 = 1 << 32;
    match (source, current) {
        (LaunchSource::Configuration(number), _) => u64::from(number),
        (LaunchSource::Template { template, version }, LaunchSource::Template { template: now, .. })
            if template == now =>
        {
            OTHER_TEMPLATE + 1 + u64::from(version)
        }
        (LaunchSource::Template { .. }, _) => OTHER_TEMPLATE,
    }
}

/// Place of an instance in the order of going: criteria, then chance, then number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    keys: [u64; CRITERIA],
    tie: u64,
    id: InstanceId,
    weight: u32,
}

impl Rank {
    fn new(instance: &Instance, group: &AutoScalingGroup, criteria: &[Criterion], now: SimTime, salt: u64) -> Self {
        let mut keys = [0; CRITERIA];
        for (key, criterion) in keys.iter_mut().zip(criteria) {
            *key = criterion.key(instance, group, now);
        }
        Self { keys, tie: mix(salt ^ u64::from(instance.id.0)), id: instance.id, weight: instance.weight }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ec2::auto_scaling_group::tests::{add, add_launch, definition, group_of};
    use crate::ec2::auto_scaling_group::{CreateAutoScalingGroup, InstancesDistribution};
    use crate::ec2::launch::Launch;
    use crate::ec2::launch_template::LaunchSpecification;
    use crate::engine::streams::Streams;

    const NOW: SimTime = SimTime::from_secs(4200); // 11:10 when time zero is 10:00

    fn victims(group: &AutoScalingGroup, count: u32, seed: u64) -> Vec<u32> {
        let mut chance = Streams::new(seed, 0).named("termination");
        choose_victims(group, count, &|_| true, NOW, &mut chance).into_iter().map(|id| id.0).collect()
    }

    fn minute(n: u64) -> SimTime {
        SimTime::from_secs(60 * n)
    }

    fn with_policies(policies: &[TerminationPolicy]) -> AutoScalingGroup {
        group_of(CreateAutoScalingGroup { termination_policies: policies.to_vec(), ..definition(2) })
    }

    /// Sets what the group launches from now on.
    fn launch_from(group: &mut AutoScalingGroup, template: u32, version: u32) {
        let named = |place: usize| LaunchSpecification::Template {
            name: ["", "next"][place].to_owned(),
            version: Some(version),
        };
        (0..=template as usize).for_each(|place| group.set_launch(Some(named(place)), None));
    }

    fn set_version(group: &mut AutoScalingGroup, id: u32, version: u32) {
        group.instance_mut(InstanceId(id)).unwrap().source = LaunchSource::Template { template: 0, version };
    }

    fn protect(group: &mut AutoScalingGroup, id: u32) {
        group.instance_mut(InstanceId(id)).unwrap().protected_from_scale_in = true;
    }

    #[test]
    fn ex_asg_2() {
        let mut group = group_of(definition(2));
        for (id, zone) in [(0, 0), (1, 0), (2, 1)] {
            add(&mut group, id, zone, minute(0));
        }
        let seen: BTreeSet<_> = (0..30).flat_map(|seed| victims(&group, 1, seed)).collect();
        assert_eq!(seen, BTreeSet::from([0, 1]));
    }

    #[test]
    fn ex_asg_3() {
        let mut group = group_of(definition(2));
        launch_from(&mut group, 0, 2);
        for (id, zone, at, version) in [(1, 0, 0, 1), (2, 0, 20, 2), (3, 0, 40, 1), (4, 1, 0, 1), (5, 1, 0, 1)] {
            add(&mut group, id, zone, minute(at));
            set_version(&mut group, id, version);
        }
        for seed in 0..10 {
            assert_eq!(victims(&group, 1, seed), [3]);
        }
    }

    #[test]
    fn ex_in_8() {
        let mut group = group_of(definition(2));
        add(&mut group, 0, 0, minute(0)); // busy, but unprotected: the group does not know
        add(&mut group, 1, 1, minute(0));
        let seen: BTreeSet<_> = (0..30).flat_map(|seed| victims(&group, 1, seed)).collect();
        assert_eq!(seen, BTreeSet::from([0, 1]));
    }

    #[test]
    fn ex_in_9() {
        let mut group = group_of(definition(2));
        add(&mut group, 0, 0, minute(0));
        add(&mut group, 1, 1, minute(0));
        protect(&mut group, 0);
        for seed in 0..10 {
            assert_eq!(victims(&group, 1, seed), [1]);
        }
    }

    #[test]
    fn ex_in_11() {
        let mut group = group_of(definition(2));
        for id in 0..5 {
            add(&mut group, id, id % 2, minute(0));
            protect(&mut group, id);
        }
        group.set_desired(3);
        assert_eq!((group.desired(), group.surplus()), (3, 2));
        assert_eq!(victims(&group, group.surplus(), 1), [0u32; 0]);
        group.instance_mut(InstanceId(3)).unwrap().protected_from_scale_in = false;
        assert_eq!(victims(&group, group.surplus(), 1), [3]);
    }

    #[test]
    fn asg_4_a_full_zone_of_protected_instances_is_passed_over() {
        let mut group = group_of(definition(2));
        for (id, zone) in [(0, 0), (1, 0), (2, 0), (3, 1)] {
            add(&mut group, id, zone, minute(0));
        }
        (0..3).for_each(|id| protect(&mut group, id));
        assert_eq!(victims(&group, 2, 1), [3]);
    }

    #[test]
    fn asg_5_unhealthy_instances_go_first() {
        let mut group = with_policies(&[TerminationPolicy::OldestInstance]);
        (0..4).for_each(|id| add(&mut group, id, id % 2, minute(u64::from(id))));
        group.instance_mut(InstanceId(3)).unwrap().unhealthy = true;
        assert_eq!(victims(&group, 2, 1), [3, 0]);
    }

    #[test]
    fn asg_6_configurations_then_other_templates_then_old_versions() {
        let mut group = group_of(definition(1));
        launch_from(&mut group, 1, 5);
        let sources = [
            LaunchSource::Template { template: 1, version: 5 },
            LaunchSource::Template { template: 0, version: 9 },
            LaunchSource::Configuration(2),
            LaunchSource::Template { template: 1, version: 4 },
            LaunchSource::Configuration(1),
        ];
        for (id, source) in (0..).zip(sources) {
            add(&mut group, id, 0, minute(0));
            group.instance_mut(InstanceId(id)).unwrap().source = source;
        }
        assert_eq!(victims(&group, 5, 1), [4, 2, 1, 3, 0]);
    }

    #[test]
    fn asg_7_the_market_above_its_share_goes_first() {
        let distribution =
            InstancesDistribution { on_demand_base: 1, on_demand_percentage: 50, ..InstancesDistribution::default() };
        let mut group = group_of(CreateAutoScalingGroup { distribution, ..definition(2) });
        let market = |id| if id < 4 { Market::OnDemand } else { Market::Spot };
        for id in 0..8 {
            let launch = Launch { zone: ZoneId(id % 2), market: market(id), instance_type: "m5.large".into() };
            add_launch(&mut group, id, launch, minute(0));
        }
        // Shares of 7, 6, 5, 4 instances: on demand 4, 4, 3, 3.
        let markets: Vec<Market> = victims(&group, 4, 1).into_iter().map(market).collect();
        assert_eq!(markets, [Market::Spot, Market::Spot, Market::OnDemand, Market::Spot]);
    }

    #[test]
    fn asg_7_then_the_least_wanted_type() {
        let types = vec!["m6i.large".to_owned(), "m5.large".to_owned()];
        let mut group = group_of(CreateAutoScalingGroup { instance_types: types, ..definition(1) });
        for (id, name) in [(0, "m6i.large"), (1, "m5.large"), (2, "m4.large")] {
            let launch = Launch { zone: ZoneId(0), market: Market::OnDemand, instance_type: name.into() };
            add_launch(&mut group, id, launch, minute(0));
        }
        assert_eq!(victims(&group, 3, 1), [2, 1, 0]);
    }

    #[test]
    fn asg_36_what_weighs_more_than_the_surplus_stays() {
        let weights = BTreeMap::from([("m5.large".to_owned(), 1), ("m5.xlarge".to_owned(), 3)]);
        let instance_types = vec!["m5.large".to_owned(), "m5.xlarge".to_owned()];
        let policies = vec![TerminationPolicy::OldestInstance];
        let mut group = group_of(CreateAutoScalingGroup {
            instance_types,
            weights,
            termination_policies: policies,
            ..definition(1)
        });
        for (id, name) in [(0, "m5.xlarge"), (1, "m5.large"), (2, "m5.large"), (3, "m5.xlarge")] {
            let launch = Launch { zone: ZoneId(0), market: Market::OnDemand, instance_type: name.into() };
            add_launch(&mut group, id, launch, minute(u64::from(id)));
        }
        assert_eq!(victims(&group, 2, 1), [1, 2], "the oldest weighs three units");
        assert_eq!(victims(&group, 4, 1), [0, 1]);
        assert_eq!(victims(&group, 8, 1), [0, 1, 2, 3]);
    }

    #[test]
    fn asg_8_policies_filter_one_after_the_other() {
        use TerminationPolicy as P;
        // Launch minutes by id. At minute 75 the hour of those of minute 20 ends first, in 5 minutes.
        let launched = [0, 20, 40, 20];
        for (policies, expected) in [
            (&[P::OldestInstance][..], &[0][..]),
            (&[P::NewestInstance], &[2]),
            (&[P::ClosestToNextInstanceHour, P::NewestInstance], &[1, 3]),
            (&[P::OldestLaunchTemplate, P::NewestInstance], &[1, 3]),
            (&[P::OldestLaunchConfiguration, P::OldestInstance], &[0]),
        ] {
            let mut group =
                group_of(CreateAutoScalingGroup { termination_policies: policies.to_vec(), ..definition(1) });
            launch_from(&mut group, 0, 2);
            for (id, at) in (0..).zip(launched) {
                add(&mut group, id, 0, minute(at));
                set_version(&mut group, id, if id == 2 { 2 } else { 1 });
            }
            let seen: BTreeSet<_> = (0..20)
                .flat_map(|seed| {
                    let mut chance = Streams::new(seed, 0).named("termination");
                    choose_victims(&group, 1, &|_| true, minute(75), &mut chance)
                })
                .map(|id| id.0)
                .collect();
            assert_eq!(seen, expected.iter().copied().collect::<BTreeSet<u32>>(), "{policies:?}");
        }
    }

    #[test]
    fn asg_8_a_custom_function_says_who_may_go_and_the_other_policies_choose_among_those() {
        use TerminationPolicy as P;
        let mut group = group_of(CreateAutoScalingGroup {
            termination_policies: vec![P::Custom, P::NewestInstance],
            ..definition(1)
        });
        for (id, at) in (0..).zip([0, 20, 40, 60]) {
            add(&mut group, id, 0, minute(at));
        }
        let mut chance = Streams::new(1, 0).named("termination");
        let returned = |instance: &Instance| instance.id.0 < 3;
        let victims = choose_victims(&group, 2, &returned, minute(75), &mut chance);
        assert_eq!(victims, [InstanceId(2), InstanceId(1)], "the newest of those it returned");
        assert_eq!(choose_victims(&group, 4, &returned, minute(75), &mut chance).len(), 3, "the last one stays");
        let zone = choose_victim_in(&group, ZoneId(0), &|instance| instance.id.0 == 1, minute(75), &mut chance);
        assert_eq!(zone, Some(InstanceId(1)));
    }

    #[test]
    fn asg_9_a_zone_gives_up_the_instance_that_its_policies_name() {
        let mut group = with_policies(&[TerminationPolicy::OldestInstance]);
        for (id, zone, at) in [(0, 1, 0), (1, 0, 10), (2, 0, 5), (3, 0, 20)] {
            add(&mut group, id, zone, minute(at));
        }
        let mut chance = Streams::new(1, 0).named("termination");
        assert_eq!(choose_victim_in(&group, ZoneId(0), &|_| true, NOW, &mut chance), Some(InstanceId(2)));
        protect(&mut group, 0);
        assert_eq!(choose_victim_in(&group, ZoneId(1), &|_| true, NOW, &mut chance), None);
    }

    #[test]
    fn a_group_of_ten_thousand_gives_up_half_evenly() {
        let mut group = group_of(definition(3));
        for id in 0..10_000 {
            let launch = Launch { zone: ZoneId(id % 3), market: Market::OnDemand, instance_type: "m5.large".into() };
            group.launch(InstanceId(id), launch, "test".into(), minute(0));
        }
        let gone: BTreeSet<u32> = victims(&group, 5000, 1).into_iter().collect();
        assert_eq!(gone.len(), 5000);
        let left: Vec<usize> =
            (0..3).map(|zone| (0..10_000).filter(|id| id % 3 == zone && !gone.contains(id)).count()).collect();
        assert!(left.iter().all(|&count| count.abs_diff(5000 / 3) <= 1), "{left:?}");
    }

    /// The rules read literally: filter, filter, filter, one victim at a time.
    fn brute_force(mut group: AutoScalingGroup, count: u32, now: SimTime) -> Vec<InstanceId> {
        let mut victims = Vec::new();
        for _ in 0..count {
            let open = |group: &AutoScalingGroup, zone: ZoneId| {
                group
                    .instances()
                    .any(|i| i.zone() == zone && i.lifecycle() == Lifecycle::InService && !i.is_protected())
            };
            let Some(most) =
                group.zone_counts().filter(|(zone, _)| open(&group, *zone)).map(|(_, counts)| counts.total()).max()
            else {
                break;
            };
            let zones: Vec<ZoneId> = group
                .zone_counts()
                .filter(|(zone, counts)| open(&group, *zone) && counts.total() == most)
                .map(|(zone, _)| zone)
                .collect();
            let mut rest: Vec<&Instance> = group
                .instances()
                .filter(|i| zones.contains(&i.zone()) && i.lifecycle() == Lifecycle::InService && !i.is_protected())
                .collect();
            let oldest_version = rest.iter().map(|i| outdated(i.source, group.source())).min();
            rest.retain(|i| Some(outdated(i.source, group.source())) == oldest_version);
            let oldest = rest.iter().map(|i| i.launched).min();
            rest.retain(|i| Some(i.launched) == oldest);
            assert_eq!(rest.len(), 1, "launch times differ, so nothing is left to chance");
            let id = rest[0].id;
            group.transition(id, Lifecycle::Terminating, now).unwrap();
            victims.push(id);
        }
        victims
    }

    proptest! {
        #[test]
        fn asg_4_to_8_agree_with_the_rules_read_literally(
            members in prop::collection::vec((0u32..3, any::<bool>(), 1u32..4), 0..24),
            count in 0u32..30,
            seed in any::<u64>(),
        ) {
            let policies = vec![TerminationPolicy::OldestLaunchTemplate, TerminationPolicy::OldestInstance];
            let mut group = group_of(CreateAutoScalingGroup { termination_policies: policies, ..definition(3) });
            launch_from(&mut group, 0, 3);
            for (id, (zone, protected, version)) in (0u32..).zip(members) {
                add(&mut group, id, zone, minute(u64::from(id * 7 % 31)));
                set_version(&mut group, id, version);
                if protected {
                    protect(&mut group, id);
                }
            }
            let mut chance = Streams::new(seed, 0).named("termination");
            prop_assert_eq!(choose_victims(&group, count, &|_| true, NOW, &mut chance), brute_force(group, count, NOW));
        }
    }
}
