//! Warm pools: instances that a group prepares and keeps aside, and takes first when it scales out (ASG-41).

use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::{Instance, Lifecycle};
use crate::ecs::ids::{InstanceId, ZoneId, mix};
use crate::engine::streams::Stream;

/// The warm pool of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WarmPool {
    /// `MinSize`: instances it holds whatever the group's size.
    pub min_size: u32,
    /// `MaxGroupPreparedCapacity`: instances of group and pool together; the group's `MaxSize` when absent.
    pub max_prepared: Option<u32>,
    /// `PoolState`.
    pub state: PoolState,
    /// `InstanceReusePolicy.ReuseOnScaleIn`.
    pub reuse_on_scale_in: bool,
    /// `PendingDelete`: it goes with its last instance.
    pub deleting: bool,
}

/// `PoolState`: how an instance waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolState {
    /// `Stopped`: only its volume is on the bill.
    #[default]
    Stopped,
    /// `Running`.
    Running,
    /// `Hibernated`: stopped, with its memory on its volume.
    Hibernated,
}

impl PoolState {
    /// As AWS spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "Stopped",
            Self::Running => "Running",
            Self::Hibernated => "Hibernated",
        }
    }

    /// Every state.
    pub const ALL: [Self; 3] = [Self::Stopped, Self::Running, Self::Hibernated];

    /// The lifecycle state of an instance that waits so.
    pub const fn lifecycle(self) -> Lifecycle {
        match self {
            Self::Stopped => Lifecycle::WarmedStopped,
            Self::Running => Lifecycle::WarmedRunning,
            Self::Hibernated => Lifecycle::WarmedHibernated,
        }
    }
}

/// `autoscaling put-warm-pool`; an update keeps what it does not mention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutWarmPool {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// `MinSize`.
    pub min_size: Option<u32>,
    /// `MaxGroupPreparedCapacity`; -1, `Some(None)` here, takes it back.
    pub max_prepared: Option<Option<u32>>,
    /// `PoolState`.
    pub state: Option<PoolState>,
    /// `InstanceReusePolicy.ReuseOnScaleIn`.
    pub reuse_on_scale_in: Option<bool>,
}

impl PutWarmPool {
    /// The pool after the call.
    pub fn apply_to(&self, present: Option<WarmPool>) -> WarmPool {
        let present = present.unwrap_or_default();
        WarmPool {
            min_size: self.min_size.unwrap_or(present.min_size),
            max_prepared: self.max_prepared.unwrap_or(present.max_prepared),
            state: self.state.unwrap_or(present.state),
            reuse_on_scale_in: self.reuse_on_scale_in.unwrap_or(present.reuse_on_scale_in),
            deleting: false,
        }
    }
}

impl WarmPool {
    /// ASG-41: how many instances it holds beside a group of at most `max` that wants `desired`.
    pub fn size(&self, max: u32, desired: u32) -> u32 {
        if self.deleting {
            return 0;
        }
        self.min_size.max(self.max_prepared.unwrap_or(max).saturating_sub(desired))
    }
}

/// The instance that a group which scales out takes from its pool: of the zones that have one, that in which the group
/// has fewest (ASG-2), ties at random; there the oldest. `None` when no instance is ready and `usable`.
///
/// Takes one number from `chance`.
pub fn next_warm(
    group: &AutoScalingGroup,
    usable: impl Fn(&Instance) -> bool,
    chance: &mut Stream,
) -> Option<InstanceId> {
    let salt = chance.next_u64();
    let ready = group.instances().filter(|instance| instance.lifecycle().is_warm() && usable(instance));
    ready
        .min_by_key(|instance| {
            let zone = instance.zone();
            (group.in_zone(zone).total(), mix(salt ^ u64::from(zone.0)), zone, instance.id)
        })
        .map(|instance| instance.id)
}

/// Which `count` instances a pool that is too large gives up: those of the zone that has most of them, and there the
/// newest, so that what is still on its way goes before what is ready. AWS does not say; this is our choice.
pub fn choose_pool_victims(group: &AutoScalingGroup, count: u32) -> Vec<InstanceId> {
    let mut zones = pool_zones(group);
    let mut members: Vec<&Instance> = group.pool().collect();
    let mut victims = Vec::new();
    while victims.len() < count as usize {
        let fullest = zones.iter().max_by_key(|(zone, count)| (*count, *zone)).map(|(zone, _)| *zone);
        let newest = |zone: ZoneId| members.iter().rposition(|instance| instance.zone() == zone);
        let Some((zone, place)) = fullest.and_then(|zone| Some((zone, newest(zone)?))) else { break };
        victims.push(members.remove(place).id);
        zones.iter_mut().filter(|(known, _)| *known == zone).for_each(|(_, count)| *count -= 1);
    }
    victims
}

/// Instances of the pool in each zone that is enabled or still holds one.
pub fn pool_zones(group: &AutoScalingGroup) -> Vec<(ZoneId, u32)> {
    let mut zones: Vec<(ZoneId, u32)> = group.zones().iter().map(|zone| (*zone, 0)).collect();
    for instance in group.pool() {
        match zones.iter_mut().find(|(zone, _)| *zone == instance.zone()) {
            Some((_, count)) => *count += 1,
            None => zones.push((instance.zone(), 1)),
        }
    }
    zones
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ec2::auto_scaling_group::tests::{add, definition, group_of};
    use crate::ec2::instance::Market;
    use crate::ec2::launch::Launch;
    use crate::engine::streams::Streams;
    use crate::engine::time::SimTime;

    fn warm(group: &mut AutoScalingGroup, id: u32, zone: u32, ready: bool) {
        let launch = Launch { zone: ZoneId(zone), market: Market::OnDemand, instance_type: "m5.large".into() };
        group.launch_warm(InstanceId(id), launch, Arc::from("test"), SimTime::ZERO);
        if ready {
            group.transition(InstanceId(id), Lifecycle::WarmedStopped, SimTime::ZERO).unwrap();
        }
        group.audit().unwrap();
    }

    #[test]
    fn ex_asg_11() {
        let pool = WarmPool::default();
        assert_eq!(pool.size(10, 6), 4);
        assert_eq!(WarmPool { min_size: 2, ..pool }.size(10, 9), 2);
        assert_eq!(WarmPool { max_prepared: Some(5), ..pool }.size(10, 9), 0);
        assert_eq!(WarmPool { min_size: 2, deleting: true, ..pool }.size(10, 6), 0);
    }

    #[test]
    fn asg_41_an_update_keeps_what_it_does_not_mention() {
        let put =
            PutWarmPool { max_prepared: Some(Some(8)), state: Some(PoolState::Running), ..PutWarmPool::default() };
        let pool = put.apply_to(None);
        assert_eq!((pool.max_prepared, pool.state, pool.min_size), (Some(8), PoolState::Running, 0));
        let put = PutWarmPool { max_prepared: Some(None), min_size: Some(3), ..PutWarmPool::default() };
        let pool = put.apply_to(Some(WarmPool { deleting: true, ..pool }));
        assert_eq!((pool.max_prepared, pool.state, pool.min_size, pool.deleting), (None, PoolState::Running, 3, false));
    }

    #[test]
    fn asg_41_the_emptiest_zone_that_has_a_ready_instance_gives_its_oldest() {
        let mut group = group_of(definition(3));
        for (id, zone) in [(0, 0), (1, 0), (2, 1)] {
            add(&mut group, id, zone, SimTime::ZERO);
        }
        for (id, zone, ready) in [(3, 0, true), (4, 1, true), (5, 1, true), (6, 2, false)] {
            warm(&mut group, id, zone, ready);
        }
        let mut chance = Streams::new(1, 0).named("warm");
        let next = |group: &AutoScalingGroup, chance: &mut Stream| next_warm(group, |_| true, chance);
        assert_eq!(next(&group, &mut chance), Some(InstanceId(4)), "zone 2 is emptier, but its instance is not ready");
        assert_eq!(next_warm(&group, |instance| instance.zone() == ZoneId(0), &mut chance), Some(InstanceId(3)));
        for id in [3, 4, 5] {
            group.transition(InstanceId(id), Lifecycle::WarmedTerminating, SimTime::ZERO).unwrap();
        }
        assert_eq!(next(&group, &mut chance), None);
    }

    #[test]
    fn asg_41_a_pool_too_large_gives_up_the_newest_of_its_fullest_zone() {
        let mut group = group_of(definition(2));
        for (id, zone) in [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)] {
            warm(&mut group, id, zone, id < 4);
        }
        let ids = |count| choose_pool_victims(&group, count).into_iter().map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(ids(2), [2, 4]);
        assert_eq!(ids(9).len(), 5);
    }
}
