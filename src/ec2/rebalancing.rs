//! Availability Zone rebalancing of a group (ASG-9).

use std::collections::BTreeMap;

use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::Lifecycle;
use crate::ecs::ids::ZoneId;

/// One instance too many here, one too few there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Zone that gives up an instance, once the new one is in service.
    pub from: ZoneId,
    /// Zone that gets one first.
    pub to: ZoneId,
}

/// ASG-9: the moves that a group's zones call for, as many as it may make at once above its maximum
/// ([`rebalancing_limit`]), those `under_way` included.
///
/// Zones no longer enabled are emptied first; otherwise zones whose counts differ by `threshold` or more
/// (`az_rebalance_threshold`) are evened out. A threshold below 2 acts as 2: with a difference of 1 a move changes nothing.
/// Where instances have weights, zones hold units, and both differences are those of the heaviest instance times as many:
/// moving it then always evens them out (ASG-36).
/// A zone gives up instances only while it has unprotected ones in service: protection from scale-in holds here too.
pub fn rebalance(group: &AutoScalingGroup, threshold: u32, under_way: &[Rebalance]) -> Vec<Rebalance> {
    let unit = group.largest_weight();
    let threshold = threshold.max(2).saturating_mul(unit);
    // The last instance may overshoot, as at any launch (ASG-36).
    let limit = rebalancing_limit(group.max()).saturating_add(unit - 1);
    let room = limit.saturating_sub(group.size().max(group.desired() + group.ahead())) / unit;
    let mut counts: BTreeMap<ZoneId, u32> = group.zone_counts().map(|(zone, counts)| (zone, counts.total())).collect();
    for planned in under_way {
        // The newcomer is there already; who makes room for it still is, unless it has gone for another reason.
        counts.entry(planned.from).and_modify(|count| *count = count.saturating_sub(unit));
    }
    let mut moves = Vec::new();
    let mut movable: Option<BTreeMap<ZoneId, u32>> = None;
    for _ in 0..room {
        let Some(next) = next_move(group, &counts, threshold) else { break };
        let movable = movable.get_or_insert_with(|| movable_by_zone(group, under_way));
        match movable.get_mut(&next.from) {
            Some(left) if *left > 0 => *left -= 1,
            _ => break,
        }
        counts.entry(next.from).and_modify(|count| *count = count.saturating_sub(unit));
        *counts.entry(next.to).or_default() += unit;
        moves.push(next);
    }
    moves
}

fn next_move(group: &AutoScalingGroup, counts: &BTreeMap<ZoneId, u32>, threshold: u32) -> Option<Rebalance> {
    let enabled: Vec<(ZoneId, u32)> =
        group.zones().iter().map(|zone| (*zone, counts.get(zone).copied().unwrap_or_default())).collect();
    let abandoned = counts.iter().find(|(zone, count)| **count > 0 && !group.zones().contains(zone));
    if let Some((&from, _)) = abandoned {
        let to = enabled.iter().min_by_key(|&&(zone, count)| (count, zone))?.0;
        return Some(Rebalance { from, to });
    }
    needs_rebalancing(&enabled, threshold)
}

/// Unprotected instances in service, by zone, less those that moves under way will take.
fn movable_by_zone(group: &AutoScalingGroup, under_way: &[Rebalance]) -> BTreeMap<ZoneId, u32> {
    let mut movable: BTreeMap<ZoneId, u32> = BTreeMap::new();
    let candidates = group.instances().filter(|i| i.lifecycle() == Lifecycle::InService && !i.is_protected());
    for instance in candidates {
        *movable.entry(instance.zone()).or_default() += 1;
    }
    for planned in under_way {
        movable.entry(planned.from).and_modify(|count| *count = count.saturating_sub(1));
    }
    movable
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
    use crate::ec2::auto_scaling_group::CreateAutoScalingGroup;
    use crate::ec2::auto_scaling_group::tests::{add, definition, group_of};
    use crate::ecs::ids::InstanceId;
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
        assert_eq!(rebalance(&group, 2, &[]), [Rebalance { from: ZoneId(0), to: ZoneId(2) }]);
        assert_eq!(rebalance(&group_of(definition(2)), 2, &[]), []);
    }

    #[test]
    fn asg_9_moves_no_more_at_once_than_the_maximum_allows() {
        let full = |max| {
            let mut group = group_of(CreateAutoScalingGroup { max_size: max, ..definition(2) });
            (0..max).for_each(|id| add(&mut group, id, 0, SimTime::ZERO));
            group.set_desired(max);
            group
        };
        let away = Rebalance { from: ZoneId(0), to: ZoneId(1) };
        assert_eq!(rebalance(&full(10), 2, &[]), [away]);
        assert_eq!(rebalance(&full(20), 2, &[]), [away, away]);
        let mut roomy = full(4);
        roomy.update_size(None, Some(40), None).unwrap();
        assert_eq!(rebalance(&roomy, 2, &[]), [away, away], "two moves even the zones out");
    }

    #[test]
    fn asg_9_counts_what_is_under_way() {
        let mut group = group_of(definition(2));
        (0..4).for_each(|id| add(&mut group, id, 0, SimTime::ZERO));
        group.set_desired(4);
        let away = Rebalance { from: ZoneId(0), to: ZoneId(1) };
        add(&mut group, 4, 1, SimTime::ZERO);
        assert_eq!(rebalance(&group, 2, &[away]), [away], "3 and 1 call for one more");
        add(&mut group, 5, 1, SimTime::ZERO);
        assert_eq!(rebalance(&group, 2, &[away, away]), []);
    }

    #[test]
    fn asg_9_takes_no_protected_instance() {
        let mut group = group_of(definition(2));
        (0..3).for_each(|id| add(&mut group, id, 0, SimTime::ZERO));
        group.set_desired(3);
        (0..3).for_each(|id| group.instance_mut(InstanceId(id)).unwrap().protected_from_scale_in = true);
        assert_eq!(rebalance(&group, 2, &[]), []);
        group.instance_mut(InstanceId(1)).unwrap().protected_from_scale_in = false;
        assert_eq!(rebalance(&group, 2, &[]).len(), 1);
    }
}
