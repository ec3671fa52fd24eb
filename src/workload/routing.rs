//! How a load balancer spreads requests over targets, as shares of a fluid (ELB-7, ELB-8, ELB-12).

use std::collections::BTreeMap;

use crate::ecs::ids::ZoneId;

/// Targets that are alike: in one zone where zones count, equally strong where that counts, all in slow start or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lane {
    /// Their zone; `None` where zones do not count.
    pub zone: Option<ZoneId>,
    /// How many they are, each counted by how far its slow start is: half a target half way.
    pub targets: f64,
    /// What they can do together, in vCPUs.
    pub capacity: f64,
}

/// What the shares of targets go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// To each as much as it can do: fewest outstanding requests, or no balancer in between.
    ByCapacity,
    /// To each as much as to any other; first to each zone alike, if `by_zone`.
    Evenly {
        /// A balancer without cross-zone load balancing: its nodes get the same, and keep to their zone (ELB-12).
        by_zone: bool,
    },
}

/// The share of each lane; together 1, unless there is none.
///
/// ```
/// use ecsim::ecs::ids::ZoneId;
/// use ecsim::workload::routing::{Lane, Spread, shares};
///
/// // EX-ELB-9: one target in the first zone and three in the second.
/// let lane = |zone, targets| Lane { zone: Some(ZoneId(zone)), targets, capacity: targets };
/// assert_eq!(shares(&[lane(0, 1.0), lane(1, 3.0)], Spread::Evenly { by_zone: true }), [0.5, 0.5]);
/// assert_eq!(shares(&[lane(0, 1.0), lane(1, 3.0)], Spread::Evenly { by_zone: false }), [0.25, 0.75]);
/// ```
pub fn shares(lanes: &[Lane], spread: Spread) -> Vec<f64> {
    let weight = |lane: &Lane| match spread {
        Spread::ByCapacity => lane.capacity,
        Spread::Evenly { .. } => lane.targets,
    };
    if spread != (Spread::Evenly { by_zone: true }) {
        let (total, count): (f64, f64) = (lanes.iter().map(weight).sum(), lanes.len() as f64);
        return lanes.iter().map(|lane| part_of(1.0, weight(lane), total, count)).collect();
    }
    let mut zones: BTreeMap<Option<ZoneId>, (f64, f64)> = BTreeMap::new();
    for lane in lanes {
        let (total, count) = zones.entry(lane.zone).or_default();
        *total += weight(lane);
        *count += 1.0;
    }
    let part = 1.0 / zones.len() as f64;
    let in_zone = |lane: &Lane| zones.get(&lane.zone).copied().unwrap_or_default();
    lanes
        .iter()
        .map(|lane| {
            let (total, count) = in_zone(lane);
            part_of(part, weight(lane), total, count)
        })
        .collect()
}

/// What a lane gets of `part` when all its kind weigh `total`. Where nobody counts yet, all are alike.
fn part_of(part: f64, weight: f64, total: f64, count: f64) -> f64 {
    if total > 0.0 { part * weight / total } else { part / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(zone: u32, targets: f64, capacity: f64) -> Lane {
        Lane { zone: Some(ZoneId(zone)), targets, capacity }
    }

    #[test]
    fn ex_elb_6_half_a_share_after_half_the_slow_start() {
        let shares = shares(&[lane(0, 1.0, 1.0), lane(0, 0.5, 1.0)], Spread::Evenly { by_zone: false });
        assert!((shares[1] - 1.0 / 3.0).abs() < 1e-12, "{shares:?}");
    }

    #[test]
    fn ex_elb_9_a_network_balancer_spreads_over_zones_first() {
        let shares = shares(&[lane(0, 1.0, 1.0), lane(1, 3.0, 3.0)], Spread::Evenly { by_zone: true });
        assert_eq!((shares[0], shares[1] / 3.0), (0.5, 1.0 / 6.0));
    }

    #[test]
    fn elb_7_in_turn_is_even_and_fewest_in_flight_goes_by_what_each_can_do() {
        let lanes = [lane(0, 2.0, 1.0), lane(0, 2.0, 3.0)];
        assert_eq!(shares(&lanes, Spread::Evenly { by_zone: false }), [0.5, 0.5]);
        assert_eq!(shares(&lanes, Spread::ByCapacity), [0.25, 0.75]);
        assert!(shares(&[], Spread::ByCapacity).is_empty());
        assert_eq!(shares(&[lane(0, 0.0, 0.0), lane(1, 0.0, 0.0)], Spread::ByCapacity), [0.5, 0.5]);
    }
}
