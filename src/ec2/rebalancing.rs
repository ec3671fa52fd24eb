//! Availability Zone rebalancing of a group (ASG-9).

use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ecs::ids::ZoneId;

/// One instance too many here, one too few there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Zone that gives up an instance, once the new one is in service.
    pub from: ZoneId,
    /// Zone that gets one first.
    pub to: ZoneId,
}

/// ASG-9: the move that a group's zones call for, if any.
///
/// Zones no longer enabled are emptied first; otherwise zones whose counts differ by `threshold` or more
/// (`az_rebalance_threshold`) are evened out. A threshold below 2 acts as 2: with a difference of 1 a move changes nothing.
pub fn rebalance(group: &AutoScalingGroup, threshold: u32) -> Option<Rebalance> {
    let enabled: Vec<(ZoneId, u32)> = group.zones().iter().map(|&zone| (zone, group.in_zone(zone).total())).collect();
    let abandoned = group.zone_counts().find(|(zone, counts)| counts.total() > 0 && !group.zones().contains(zone));
    if let Some((from, _)) = abandoned {
        let to = enabled.iter().min_by_key(|&&(zone, count)| (count, zone))?.0;
        return Some(Rebalance { from, to });
    }
    needs_rebalancing(&enabled, threshold)
}

/// ASG-9: the fullest and the emptiest of `counts` if they differ by `threshold` or more; ties go to the lowest zone.
pub fn needs_rebalancing(counts: &[(ZoneId, u32)], threshold: u32) -> Option<Rebalance> {
    let &(to, fewest) = counts.iter().min_by_key(|&&(zone, count)| (count, zone))?;
    let &(from, most) = counts.iter().min_by_key(|&&(zone, count)| (std::cmp::Reverse(count), zone))?;
    (most - fewest >= threshold.max(2)).then_some(Rebalance { from, to })
}

/// ASG-9: how large a group may get while it rebalances: 10 % or one instance above its maximum.
pub fn rebalancing_limit(max_size: u32) -> u32 {
    max_size.saturating_add((max_size / 10).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::auto_scaling_group::tests::{add, definition, group_of};
    use crate::engine::time::SimTime;

    fn decide(counts: &[u32], threshold: u32) -> Option<(u32, u32)> {
        let counts: Vec<_> = (0u32..).map(ZoneId).zip(counts.iter().copied()).collect();
        needs_rebalancing(&counts, threshold).map(|Rebalance { from, to }| (from.0, to.0))
    }

    #[test]
    fn asg_9_acts_from_the_threshold_on() {
        assert_eq!(decide(&[3, 2, 2], 2), None);
        assert_eq!(decide(&[3, 1, 2], 2), Some((0, 1)));
        assert_eq!(decide(&[3, 1, 2], 3), None);
        assert_eq!(decide(&[1, 0], 0), None, "a difference of one cannot be bettered");
        assert_eq!(decide(&[4], 2), None);
        assert_eq!(decide(&[], 2), None);
    }

    #[test]
    fn ex_asg_19_recovery() {
        assert_eq!(decide(&[0, 3], 2), Some((1, 0)));
        assert_eq!(decide(&[1, 2], 2), None);
    }

    #[test]
    fn ex_asg_17() {
        assert_eq!(rebalancing_limit(10), 11);
        assert_eq!(rebalancing_limit(4), 5);
    }

    #[test]
    fn asg_9_empties_a_zone_that_was_taken_away() {
        let mut group = group_of(definition(3));
        add(&mut group, 0, 0, SimTime::ZERO);
        add(&mut group, 1, 1, SimTime::ZERO);
        group.set_zones(vec![ZoneId(1), ZoneId(2)]).unwrap();
        assert_eq!(rebalance(&group, 2), Some(Rebalance { from: ZoneId(0), to: ZoneId(2) }));
        assert_eq!(rebalance(&group_of(definition(2)), 2), None);
    }
}
