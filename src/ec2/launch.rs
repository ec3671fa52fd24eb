//! What a group launches next: zone, market and type (ASG-2, ASG-3, ASG-33, ASG-34), and what it does when EC2 has no
//! capacity (ASG-40).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ec2::auto_scaling_group::{AutoScalingGroup, InstancesDistribution, MarketCounts, SpotAllocation};
use crate::ec2::capacity_pool::{CapacityPools, ranked_pools};
use crate::ec2::instance::Market;
use crate::ec2::warm_pool::pool_zones;
use crate::ecs::ids::{ZoneId, mix};
use crate::engine::streams::Stream;
use crate::engine::time::SimDuration;

/// One instance to launch; also names the capacity pool it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Launch {
    /// Where.
    pub zone: ZoneId,
    /// How it is bought.
    pub market: Market,
    /// What.
    pub instance_type: Arc<str>,
}

/// What a group does about its missing instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchPlan {
    /// Launches that EC2 has capacity for.
    pub launches: Vec<Launch>,
    /// How much of it found no capacity anywhere; try again after [`ice_retry_delay`] (ASG-40).
    pub failed: u32,
    /// Pools that were asked in vain, for the activities of ASG-40.
    pub exhausted: BTreeSet<Launch>,
}

/// Plans launches for `count` missing units of capacity, one after the other, as if the earlier ones had begun.
///
/// A unit is an instance, or a share of one where the group's types have weights: then the last launch may overshoot
/// (ASG-36).
///
/// Each goes to the enabled zone with the fewest instances, launching ones included, ties at random (ASG-2); balance
/// comes before allocation (ASG-34). The market follows the group's distribution for the size it then has (ASG-33).
/// Inside the zone the group's allocation strategy ranks the pools ([`ranked_pools`]), and the first with room gives.
/// A zone without capacity is passed over for the next fullest, unless the group is `balanced-only` (ASG-3).
///
/// Takes one number from `chance` for each launch.
pub fn plan_launches(
    group: &AutoScalingGroup,
    count: u32,
    pools: &impl CapacityPools,
    chance: &mut Stream,
) -> LaunchPlan {
    plan_launches_in(group, group.zones(), count, pools, chance)
}

/// [`plan_launches`], in some zones of the group only.
pub fn plan_launches_in(
    group: &AutoScalingGroup,
    zones: &[ZoneId],
    count: u32,
    pools: &impl CapacityPools,
    chance: &mut Stream,
) -> LaunchPlan {
    let zones = zones.iter().map(|&zone| (zone, group.in_zone(zone).total())).collect();
    plan_into(group, zones, count, pools, chance)
}

/// [`plan_launches`] of `count` instances for the warm pool of the group, whose zones are balanced by themselves (ASG-41).
pub fn plan_warm_launches(
    group: &AutoScalingGroup,
    count: u32,
    pools: &impl CapacityPools,
    chance: &mut Stream,
) -> LaunchPlan {
    let mut zones = pool_zones(group);
    zones.retain(|(zone, _)| group.zones().contains(zone));
    plan_into(group, zones, count, pools, chance)
}

fn plan_into(
    group: &AutoScalingGroup,
    mut zones: Vec<(ZoneId, u32)>,
    count: u32,
    pools: &impl CapacityPools,
    chance: &mut Stream,
) -> LaunchPlan {
    let mut plan = LaunchPlan::default();
    let mut markets = group.markets();
    let mut search = Search { group, pools, planned: BTreeMap::new(), present: present(group) };
    let mut left = count;
    while left > 0 {
        let market = next_market(&group.definition.distribution, markets);
        sort_by_room(&mut zones, chance);
        // ASG-3: a group that is `balanced-only` keeps trying the zone whose turn it is.
        let tried = if group.definition.balanced_only { &zones[..1] } else { &zones[..] };
        if let Some((position, launch)) = search.first_with_capacity(tried, market, left, &mut plan.exhausted) {
            let weight = group.weight_of(&launch.instance_type);
            zones[position].1 += weight;
            *markets.of_mut(market) += weight;
            plan.launches.push(launch);
            left = left.saturating_sub(weight);
        } else {
            plan.failed += 1;
            left -= 1;
        }
    }
    plan
}

/// The group's own Spot instances by pool, which `lowest-price` spreads; no other strategy looks at them.
fn present(group: &AutoScalingGroup) -> BTreeMap<Launch, u32> {
    let mut present = BTreeMap::new();
    if matches!(group.definition.distribution.spot_allocation, SpotAllocation::LowestPrice { pools } if pools > 1)
        && group.instance_types().len() > 1
    {
        for instance in
            group.instances().filter(|i| i.market() == Market::Spot && i.lifecycle().counts_against_desired())
        {
            let pool = Launch {
                zone: instance.zone(),
                market: Market::Spot,
                instance_type: Arc::clone(&instance.instance_type),
            };
            *present.entry(pool).or_default() += 1;
        }
    }
    present
}

/// Looks for pools while a plan grows.
struct Search<'a, P> {
    group: &'a AutoScalingGroup,
    pools: &'a P,
    /// Launches of the plan by pool: what they take is no longer there.
    planned: BTreeMap<Launch, u32>,
    present: BTreeMap<Launch, u32>,
}

impl<P: CapacityPools> Search<'_, P> {
    fn first_with_capacity(
        &mut self,
        zones: &[(ZoneId, u32)],
        market: Market,
        wanted: u32,
        exhausted: &mut BTreeSet<Launch>,
    ) -> Option<(usize, Launch)> {
        for (position, &(zone, _)) in zones.iter().enumerate() {
            let planned = &self.planned;
            let room = |launch: &Launch| {
                self.pools.room(launch).saturating_sub(planned.get(launch).copied().unwrap_or_default())
            };
            for launch in ranked_pools(self.group, (zone, market), wanted, self.pools, &self.present, room) {
                if room(&launch) > 0 {
                    *self.planned.entry(launch.clone()).or_default() += 1;
                    *self.present.entry(launch.clone()).or_default() += 1;
                    return Some((position, launch));
                }
                exhausted.insert(launch);
            }
        }
        None
    }
}

/// ASG-2: fewest instances first, ties in random order. One draw ranks them all, by a hash of draw and zone.
fn sort_by_room(zones: &mut [(ZoneId, u32)], chance: &mut Stream) {
    let salt = chance.next_u64();
    zones.sort_by_key(|&(zone, count)| (count, mix(salt ^ u64::from(zone.0)), zone));
}

/// Market of the next instance of a group that has `present` (ASG-33).
pub fn next_market(distribution: &InstancesDistribution, present: MarketCounts) -> Market {
    if present.on_demand < on_demand_share(distribution, present.total() + 1) { Market::OnDemand } else { Market::Spot }
}

/// ASG-33: how many of `size` instances are on demand: `min(s, base) + ceil(pct * (s - min(s, base)) / 100)`.
pub fn on_demand_share(distribution: &InstancesDistribution, size: u32) -> u32 {
    let base = size.min(distribution.on_demand_base);
    let above = u64::from(size - base) * u64::from(distribution.on_demand_percentage);
    // At most `size`, as percentages end at 100: the cast back cannot lose anything.
    base + above.div_ceil(100).min(u64::from(size - base)) as u32
}

/// ASG-40: how long a group waits after its `failures`-th launch in a row without capacity: `first`, doubling up to ten
/// times `first` (60 s to 600 s by default).
pub fn ice_retry_delay(first: SimDuration, failures: u32) -> SimDuration {
    let factor = 1u64 << failures.saturating_sub(1).min(4);
    first * factor.min(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::auto_scaling_group::CreateAutoScalingGroup;
    use crate::ec2::auto_scaling_group::tests::{add, definition, group_of};
    use crate::ecs::ids::InstanceId;
    use crate::engine::streams::Streams;
    use crate::engine::time::SimTime;

    fn distribution(base: u32, percentage: u32) -> InstancesDistribution {
        InstancesDistribution {
            on_demand_base: base,
            on_demand_percentage: percentage,
            ..InstancesDistribution::default()
        }
    }

    /// As much as `room` says of each pool, all at one price.
    struct Room<F>(F);

    impl<F: Fn(&Launch) -> u32> CapacityPools for Room<F> {
        fn room(&self, launch: &Launch) -> u32 {
            (self.0)(launch)
        }
        fn price(&self, _: &Launch) -> f64 {
            0.03
        }
        fn on_demand_price(&self, _: &Arc<str>) -> f64 {
            0.1
        }
        fn hazard(&self, _: &Launch) -> f64 {
            0.0
        }
    }

    const PLENTY: Room<fn(&Launch) -> u32> = Room(|_| u32::MAX);

    #[test]
    fn ex_asg_12() {
        let weights = BTreeMap::from([("m5.4xlarge".to_owned(), 5)]);
        let heavy = CreateAutoScalingGroup { instance_types: vec!["m5.4xlarge".into()], weights, ..definition(1) };
        let mut group = group_of(heavy);
        let mut chance = Streams::new(1, 0).named("launch");
        let plan = plan_launches(&group, 2, &PLENTY, &mut chance);
        assert_eq!(plan.launches.len(), 1, "five units for two that are missing");
        group.set_desired(2);
        group.launch(InstanceId(0), plan.launches[0].clone(), "test".into(), SimTime::ZERO);
        assert_eq!((group.size() - group.desired(), group.missing()), (3, 0));
    }

    #[test]
    fn asg_36_zones_are_balanced_by_units() {
        let weights = BTreeMap::from([("m5.large".to_owned(), 1), ("m5.4xlarge".to_owned(), 4)]);
        let instance_types = vec!["m5.large".to_owned(), "m5.4xlarge".to_owned()];
        let mut group = group_of(CreateAutoScalingGroup { instance_types, weights, ..definition(2) });
        let big = Launch { zone: ZoneId(0), market: Market::OnDemand, instance_type: "m5.4xlarge".into() };
        group.launch(InstanceId(0), big, "test".into(), SimTime::ZERO);
        let mut chance = Streams::new(1, 0).named("launch");
        let plan = plan_launches(&group, 4, &PLENTY, &mut chance);
        let zones: Vec<ZoneId> = plan.launches.iter().map(|launch| launch.zone).collect();
        assert_eq!(zones, [ZoneId(1); 4], "four small ones weigh as much as the big one");
    }

    fn zones_after(group: &AutoScalingGroup, count: u32, seed: u64) -> Vec<u32> {
        let mut chance = Streams::new(seed, 0).named("launch");
        let plan = plan_launches(group, count, &PLENTY, &mut chance);
        assert_eq!(plan.launches.len() as u32, count);
        let added = |zone| plan.launches.iter().filter(|launch| launch.zone == zone).count() as u32;
        group.zones().iter().map(|&zone| group.in_zone(zone).total() + added(zone)).collect()
    }

    #[test]
    fn ex_asg_1() {
        let mut group = group_of(definition(3));
        for (id, zone) in [0, 0, 1, 2].into_iter().enumerate() {
            add(&mut group, id as u32, zone, SimTime::ZERO);
        }
        let mut seen = BTreeSet::new();
        for seed in 0..40 {
            let one = zones_after(&group, 1, seed);
            assert!(one == [2, 2, 1] || one == [2, 1, 2], "{one:?}");
            seen.insert(one);
            let mut three = zones_after(&group, 3, seed);
            three.sort_unstable();
            assert_eq!(three, [2, 2, 3]);
        }
        assert_eq!(seen.len(), 2, "ties are random");
    }

    #[test]
    fn ex_asg_7() {
        let shares = [10, 20, 30, 40].map(|size| on_demand_share(&distribution(10, 50), size));
        assert_eq!(shares, [10, 15, 20, 25]);
    }

    #[test]
    fn ex_asg_8() {
        assert_eq!(on_demand_share(&distribution(0, 0), 20), 0);
        assert_eq!(on_demand_share(&distribution(0, 100), 20), 20);
    }

    #[test]
    fn ex_asg_9() {
        assert_eq!(on_demand_share(&distribution(0, 30), 3), 1);
    }

    #[test]
    fn asg_33_launches_one_by_one_reach_the_share_of_the_whole() {
        let mixed = CreateAutoScalingGroup { distribution: distribution(2, 30), ..definition(2) };
        let group = group_of(mixed);
        let mut chance = Streams::new(1, 0).named("launch");
        for size in 0..40 {
            let plan = plan_launches(&group, size, &PLENTY, &mut chance);
            let on_demand = plan.launches.iter().filter(|launch| launch.market == Market::OnDemand).count() as u32;
            assert_eq!(on_demand, on_demand_share(&distribution(2, 30), size), "size {size}");
        }
    }

    #[test]
    fn asg_34_types_are_tried_in_order_of_priority() {
        let types = vec!["m6i.large".to_owned(), "m5.large".to_owned()];
        let group = group_of(CreateAutoScalingGroup { instance_types: types, ..definition(1) });
        let mut chance = Streams::new(1, 0).named("launch");
        let two_of_m6i = Room(|launch: &Launch| if &*launch.instance_type == "m6i.large" { 2 } else { u32::MAX });
        let plan = plan_launches(&group, 3, &two_of_m6i, &mut chance);
        let names: Vec<&str> = plan.launches.iter().map(|launch| &*launch.instance_type).collect();
        assert_eq!(names, ["m6i.large", "m6i.large", "m5.large"]);
    }

    #[test]
    fn ex_asg_19_best_effort() {
        let mut group = group_of(definition(2));
        add(&mut group, 0, 1, SimTime::ZERO);
        add(&mut group, 1, 1, SimTime::ZERO);
        let mut chance = Streams::new(1, 0).named("launch");
        let none_in_0 = Room(|launch: &Launch| if launch.zone == ZoneId(0) { 0 } else { u32::MAX });
        let plan = plan_launches(&group, 1, &none_in_0, &mut chance);
        assert_eq!(plan.launches[0].zone, ZoneId(1));
        assert_eq!(plan.exhausted.iter().map(|pool| pool.zone).collect::<Vec<_>>(), [ZoneId(0)]);
    }

    #[test]
    fn ex_asg_19_only() {
        let mut group = group_of(CreateAutoScalingGroup { balanced_only: true, ..definition(2) });
        add(&mut group, 0, 1, SimTime::ZERO);
        add(&mut group, 1, 1, SimTime::ZERO);
        let mut chance = Streams::new(1, 0).named("launch");
        let none_in_0 = Room(|launch: &Launch| if launch.zone == ZoneId(0) { 0 } else { u32::MAX });
        let plan = plan_launches(&group, 1, &none_in_0, &mut chance);
        assert_eq!((plan.launches.len(), plan.failed), (0, 1));
    }

    #[test]
    fn asg_40_nothing_anywhere_fails_and_the_wait_doubles() {
        let group = group_of(definition(2));
        let mut chance = Streams::new(1, 0).named("launch");
        let plan = plan_launches(&group, 3, &Room(|_: &Launch| 0), &mut chance);
        assert_eq!((plan.failed, plan.launches.len(), plan.exhausted.len()), (3, 0, 2));
        let waits: Vec<u64> = (1..=7).map(|n| ice_retry_delay(SimDuration::from_secs(60), n).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 600, 600, 600]);
    }

    #[test]
    fn terminating_instances_leave_room_in_their_zone() {
        let mut group = group_of(definition(2));
        add(&mut group, 0, 0, SimTime::ZERO);
        add(&mut group, 1, 1, SimTime::ZERO);
        group.transition(InstanceId(1), crate::ec2::instance::Lifecycle::Terminating, SimTime::ZERO).unwrap();
        assert_eq!(zones_after(&group, 1, 3), [1, 1]);
    }
}
