//! Capacity pools: what EC2 has of one type in one zone, what it costs, how readily it is taken back (ASG-34, ASG-35,
//! ASG-37, ASG-40), and how the interruptions of a pool come in waves.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ec2::auto_scaling_group::{AutoScalingGroup, OnDemandAllocation, SpotAllocation};
use crate::ec2::instance::Market;
use crate::ec2::launch::Launch;
use crate::ecs::ids::ZoneId;
use crate::engine::streams::Stream;
use crate::engine::time::SimDuration;

/// What a group may know of the pools it launches from.
pub trait CapacityPools {
    /// Instances that EC2 would grant now; `u32::MAX` when nothing limits them.
    fn room(&self, launch: &Launch) -> u32;
    /// Dollars per hour.
    fn price(&self, launch: &Launch) -> f64;
    /// Dollars per hour of the same type on demand: what a Spot instance may cost unless the group says otherwise
    /// (ASG-37).
    fn on_demand_price(&self, instance_type: &Arc<str>) -> f64;
    /// Rate at which EC2 takes back one Spot instance, per hour.
    fn hazard(&self, launch: &Launch) -> f64;
}

/// Buckets of the Spot Instance Advisor: pools whose hazards differ by less are alike.
pub fn hazard_class(hazard_per_hour: f64) -> u32 {
    const HOURS_PER_MONTH: f64 = 730.0;
    let monthly = 1.0 - (-hazard_per_hour * HOURS_PER_MONTH).exp();
    // 5, 10, 15 and 20 % a month.
    (monthly / 0.05).clamp(0.0, 4.0) as u32
}

/// The pools of `zone` that `group` may launch an instance of `market` from, best first.
///
/// On demand: `prioritized` in the order of the list, `lowest-price` by price (ASG-34). Spot (ASG-35): `lowest-price`
/// spreads over the cheapest `SpotInstancePools` that have room, then takes the next cheapest; `capacity-optimized` goes
/// by room, then hazard; `capacity-optimized-prioritized` by enough room for `wanted` instances, then the list;
/// `price-capacity-optimized` by enough room, then hazard class, then price — our reading of strategies of which AWS
/// publishes no formula. Pools dearer than the group's maximum price are left out (ASG-37). `present` counts the
/// group's own instances by pool, planned ones included; `room` is what a pool has left after those.
pub fn ranked_pools(
    group: &AutoScalingGroup,
    (zone, market): (ZoneId, Market),
    wanted: u32,
    pools: &impl CapacityPools,
    present: &BTreeMap<Launch, u32>,
    room: impl Fn(&Launch) -> u32,
) -> Vec<Launch> {
    let distribution = &group.definition.distribution;
    let mut launches: Vec<(usize, Launch)> = group
        .instance_types()
        .iter()
        .map(|name| Launch { zone, market, instance_type: Arc::clone(name) })
        .enumerate()
        .collect();
    // ASG-36: prices, and the most that may be paid, are those of a unit.
    let units = |launch: &Launch| f64::from(group.weight_of(&launch.instance_type));
    let price = |launch: &Launch| OrderedPrice(pools.price(launch) / units(launch));
    if market == Market::OnDemand {
        if distribution.on_demand_allocation == OnDemandAllocation::LowestPrice {
            launches.sort_by_key(|(place, launch)| (price(launch), *place));
        }
        return launches.into_iter().map(|(_, launch)| launch).collect();
    }
    launches.retain(|(_, launch)| {
        pools.price(launch) <= spot_limit(group, &launch.instance_type, pools.on_demand_price(&launch.instance_type))
    });
    let enough = |launch: &Launch| room(launch) >= wanted;
    match distribution.spot_allocation {
        SpotAllocation::LowestPrice { pools: cheapest } => {
            launches.sort_by_key(|(place, launch)| (room(launch) == 0, price(launch), *place));
            let spread = launches.len().min(cheapest as usize);
            launches[..spread].sort_by_key(|(place, launch)| {
                (room(launch) == 0, present.get(launch).copied().unwrap_or_default(), price(launch), *place)
            });
        }
        SpotAllocation::CapacityOptimized => {
            launches.sort_by_key(|(place, launch)| (Reverse(room(launch)), hazard_class(pools.hazard(launch)), *place));
        }
        SpotAllocation::CapacityOptimizedPrioritized => {
            launches.sort_by_key(|(place, launch)| (!enough(launch), *place));
        }
        SpotAllocation::PriceCapacityOptimized => {
            launches.sort_by_key(|(place, launch)| {
                (!enough(launch), hazard_class(pools.hazard(launch)), price(launch), *place)
            });
        }
    }
    launches.into_iter().map(|(_, launch)| launch).collect()
}

/// The most that a Spot instance of `group` may cost an hour: its maximum price times the units of the type, or the price
/// of the type on demand (ASG-37).
pub fn spot_limit(group: &AutoScalingGroup, instance_type: &Arc<str>, on_demand: f64) -> f64 {
    let units = f64::from(group.weight_of(instance_type));
    group.definition.distribution.spot_max_price.map_or(on_demand, |most| most * units)
}

/// Prices in a total order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OrderedPrice(f64);

impl Eq for OrderedPrice {}

impl PartialOrd for OrderedPrice {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedPrice {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// How EC2 takes Spot instances back (`spot_interruptions`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptionModel {
    /// In waves that take a share of a pool within minutes. Published: over 92 % of the interruptions of one type in one
    /// zone come within three minutes of each other.
    #[default]
    Correlated,
    /// Each instance by itself, at a constant rate.
    Independent,
    /// Never; only faults do.
    None,
}

/// Mean time from the beginning of a wave to the notice of one of its victims. The difference of two such times is
/// under three minutes with probability `1 - exp(-3)` = 95 %.
const WAVE_MEAN_SECS: f64 = 60.0;

/// Time to the next wave of a pool: waves that each take `share` of it come at `hazard / share`, so that one instance
/// is taken at `hazard_per_hour`. `None` for a pool that is never reclaimed.
///
/// Takes one number from `chance`.
pub fn next_wave(hazard_per_hour: f64, share: f64, chance: &mut Stream) -> Option<SimDuration> {
    let rate = hazard_per_hour / share;
    let u = chance.open_uniform();
    (rate > 0.0 && rate.is_finite()).then(|| SimDuration::from_secs_f64(-u.ln() / rate * 3600.0))
}

/// Whether a wave takes an instance, and how long after its beginning.
///
/// Takes two numbers from `chance`.
pub fn wave_takes(share: f64, chance: &mut Stream) -> Option<SimDuration> {
    let taken = chance.bernoulli(share);
    let after = -chance.open_uniform().ln() * WAVE_MEAN_SECS;
    taken.then(|| SimDuration::from_secs_f64(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::auto_scaling_group::tests::{definition, group_of};
    use crate::ec2::auto_scaling_group::{CreateAutoScalingGroup, InstancesDistribution};
    use crate::engine::streams::Streams;

    /// Room, price and hazard by type.
    struct Table(&'static [(&'static str, u32, f64, f64)]);

    impl Table {
        fn row(&self, name: &str) -> (u32, f64, f64) {
            let row = self.0.iter().find(|(known, ..)| *known == name).unwrap();
            (row.1, row.2, row.3)
        }
    }

    impl CapacityPools for Table {
        fn room(&self, launch: &Launch) -> u32 {
            self.row(&launch.instance_type).0
        }
        fn price(&self, launch: &Launch) -> f64 {
            self.row(&launch.instance_type).1
        }
        fn on_demand_price(&self, _: &Arc<str>) -> f64 {
            0.1
        }
        fn hazard(&self, launch: &Launch) -> f64 {
            self.row(&launch.instance_type).2
        }
    }

    const POOLS: Table = Table(&[
        ("m5.large", 3, 0.03, 0.0001),
        ("m5a.large", 50, 0.04, 0.0001),
        ("m6i.large", 100, 0.05, 0.001),
        ("m7i.large", 100, 0.2, 0.0),
    ]);

    fn ranked(market: Market, change: impl FnOnce(&mut InstancesDistribution), wanted: u32) -> Vec<String> {
        let mut distribution = InstancesDistribution::default();
        change(&mut distribution);
        let instance_types = ["m7i.large", "m6i.large", "m5.large", "m5a.large"].map(str::to_owned).to_vec();
        let group = group_of(CreateAutoScalingGroup { instance_types, distribution, ..definition(1) });
        let present =
            BTreeMap::from([(Launch { zone: ZoneId(0), market: Market::Spot, instance_type: "m5.large".into() }, 2)]);
        ranked_pools(&group, (ZoneId(0), market), wanted, &POOLS, &present, |launch| POOLS.room(launch))
            .into_iter()
            .map(|launch| launch.instance_type.trim_end_matches(".large").to_owned())
            .collect()
    }

    #[test]
    fn asg_34_on_demand_goes_by_priority_or_price() {
        assert_eq!(ranked(Market::OnDemand, |_| {}, 1), ["m7i", "m6i", "m5", "m5a"]);
        let cheap = |distribution: &mut InstancesDistribution| {
            distribution.on_demand_allocation = OnDemandAllocation::LowestPrice;
        };
        assert_eq!(ranked(Market::OnDemand, cheap, 1), ["m5", "m5a", "m6i", "m7i"]);
    }

    #[test]
    fn asg_35_each_spot_strategy_ranks_its_own_way() {
        for (strategy, wanted, expected) in [
            (SpotAllocation::LowestPrice { pools: 1 }, 1, ["m5", "m5a", "m6i"]),
            // Two of m5 are there already: the second cheapest pool is next.
            (SpotAllocation::LowestPrice { pools: 2 }, 1, ["m5a", "m5", "m6i"]),
            (SpotAllocation::CapacityOptimized, 1, ["m6i", "m5a", "m5"]),
            (SpotAllocation::CapacityOptimizedPrioritized, 1, ["m6i", "m5", "m5a"]),
            (SpotAllocation::CapacityOptimizedPrioritized, 10, ["m6i", "m5a", "m5"]),
            (SpotAllocation::PriceCapacityOptimized, 1, ["m5", "m5a", "m6i"]),
            (SpotAllocation::PriceCapacityOptimized, 10, ["m5a", "m6i", "m5"]),
        ] {
            let change = |distribution: &mut InstancesDistribution| distribution.spot_allocation = strategy;
            assert_eq!(ranked(Market::Spot, change, wanted), expected, "{strategy:?} {wanted}");
        }
    }

    #[test]
    fn asg_37_the_most_a_spot_instance_may_cost_is_the_on_demand_price_unless_told() {
        let told = |most| move |distribution: &mut InstancesDistribution| distribution.spot_max_price = Some(most);
        assert!(!ranked(Market::Spot, |_| {}, 1).contains(&"m7i".to_owned()));
        assert!(ranked(Market::Spot, told(0.3), 1).contains(&"m7i".to_owned()));
        assert_eq!(ranked(Market::Spot, told(0.03), 1), ["m5"]);
    }

    #[test]
    fn asg_36_the_price_of_a_unit_counts() {
        let instance_types = ["m5.large", "m6i.large"].map(str::to_owned).to_vec();
        let weights = BTreeMap::from([("m5.large".to_owned(), 1), ("m6i.large".to_owned(), 2)]);
        let ranked = |spot_max_price| {
            let distribution = InstancesDistribution {
                spot_allocation: SpotAllocation::LowestPrice { pools: 1 },
                spot_max_price,
                ..InstancesDistribution::default()
            };
            let (instance_types, weights) = (instance_types.clone(), weights.clone());
            let group = group_of(CreateAutoScalingGroup { instance_types, weights, distribution, ..definition(1) });
            let room = |launch: &Launch| POOLS.room(launch);
            let pools = ranked_pools(&group, (ZoneId(0), Market::Spot), 1, &POOLS, &BTreeMap::new(), room);
            pools.into_iter().map(|launch| launch.instance_type.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(ranked(None), ["m6i.large", "m5.large"], "0.025 a unit before 0.03");
        assert_eq!(ranked(Some(0.026)), ["m6i.large"]);
    }

    #[test]
    fn asg_35_hazard_classes_are_the_advisors() {
        let monthly = |share: f64| hazard_class(-(1.0 - share).ln() / 730.0);
        assert_eq!([0.02, 0.07, 0.12, 0.17, 0.4].map(monthly), [0, 1, 2, 3, 4]);
        assert_eq!(hazard_class(0.0), 0);
    }

    #[test]
    fn interruptions_of_a_pool_come_within_three_minutes_of_each_other() {
        let mut chance = Streams::new(7, 0).named("victims");
        let (mut close, mut pairs) = (0u32, 0u32);
        for _ in 0..400 {
            let mut notices: Vec<f64> =
                (0..20).filter_map(|_| wave_takes(0.5, &mut chance)).map(SimDuration::as_secs_f64).collect();
            notices.sort_by(f64::total_cmp);
            for (place, first) in notices.iter().enumerate() {
                pairs += (notices.len() - place - 1) as u32;
                close += notices[place + 1..].iter().filter(|second| **second - first < 180.0).count() as u32;
            }
        }
        let share = f64::from(close) / f64::from(pairs);
        assert!((0.93..0.97).contains(&share), "{share}");
    }

    #[test]
    fn waves_keep_the_hazard_of_the_single_instance() {
        let (hazard, hours) = (0.02, 200_000.0);
        for share in [0.1, 0.5, 1.0] {
            let mut waves = Streams::new(3, 0).named("waves");
            let mut victims = Streams::new(3, 0).named("victims");
            let (mut now, mut taken) = (0.0, 0);
            while let Some(gap) = next_wave(hazard, share, &mut waves) {
                now += gap.as_secs_f64() / 3600.0;
                if now > hours {
                    break;
                }
                taken += u32::from(wave_takes(share, &mut victims).is_some());
            }
            let rate = f64::from(taken) / hours;
            assert!((rate / hazard - 1.0).abs() < 0.1, "{rate} at {share}");
        }
        assert_eq!(next_wave(0.0, 0.5, &mut Streams::new(1, 0).named("waves")), None);
    }
}
