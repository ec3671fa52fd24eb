//! The busiest moment of a run, host by host, found as the run goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ecs::ids::InstanceId;
use crate::engine::time::SimTime;
use crate::units::CpuUnits;

/// The moment at which the hosts had most CPU reserved, and what each held then.
///
/// Kept as the present and an undo log since that moment, so that each change costs the same however many hosts there are.
#[derive(Debug, Default)]
pub(super) struct Busiest {
    pub(super) present: BTreeMap<InstanceId, HostLoad>,
    /// What held at the peak, of hosts that have changed since; `None` of those that came later.
    pub(super) undo: BTreeMap<InstanceId, Option<HostLoad>>,
    pub(super) reserved: CpuUnits,
    pub(super) peak: CpuUnits,
    pub(super) at: SimTime,
    pub(super) any: bool,
}

/// What a host registers and what of it is reserved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostLoad {
    pub(super) zone: Arc<str>,
    pub(super) registered_cpu: CpuUnits,
    pub(super) reserved_cpu: CpuUnits,
    pub(super) registered_memory: u64,
    pub(super) reserved_memory: u64,
}

impl Busiest {
    /// What came before `now` no longer counts: the present is the busiest moment until a busier one comes.
    pub(super) fn restart(&mut self, now: SimTime) {
        self.undo.clear();
        self.peak = self.reserved;
        self.at = now;
    }

    pub(super) fn set(&mut self, id: InstanceId, load: Option<HostLoad>, now: SimTime) {
        let cpu = |load: Option<&HostLoad>| load.map_or(CpuUnits(0), |load| load.reserved_cpu);
        let after = cpu(load.as_ref());
        let before = match load {
            Some(load) => self.present.insert(id, load),
            None => self.present.remove(&id),
        };
        self.reserved = self.reserved + after - cpu(before.as_ref());
        if self.reserved > self.peak || !self.any {
            self.any = true;
            self.peak = self.reserved;
            self.at = now;
            self.undo.clear();
        } else {
            self.undo.entry(id).or_insert(before);
        }
    }

    pub(super) fn at_peak(&self) -> BTreeMap<InstanceId, &HostLoad> {
        let unchanged = self.present.iter().filter(|(id, _)| !self.undo.contains_key(id));
        let changed = self.undo.iter().filter_map(|(id, load)| Some((id, load.as_ref()?)));
        unchanged.chain(changed).map(|(id, load)| (*id, load)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn reserving(cpu: u64) -> HostLoad {
        HostLoad {
            zone: Arc::from("us-east-1a"),
            registered_cpu: CpuUnits(2048),
            reserved_cpu: CpuUnits(cpu),
            registered_memory: 7811,
            reserved_memory: 0,
        }
    }

    #[test]
    fn what_came_before_a_restart_does_not_count() {
        let (one, other) = (InstanceId(1), InstanceId(2));
        let mut busiest = Busiest::default();
        busiest.set(one, Some(reserving(2048)), SimTime::from_secs(1));
        busiest.set(other, Some(reserving(1024)), SimTime::from_secs(2));
        busiest.set(one, None, SimTime::from_secs(3));
        busiest.restart(SimTime::from_secs(4));
        assert_eq!(busiest.at, SimTime::from_secs(4));
        busiest.set(other, Some(reserving(512)), SimTime::from_secs(5));
        let reserved = |busiest: &Busiest| -> Vec<(InstanceId, u64)> {
            busiest.at_peak().into_iter().map(|(id, load)| (id, load.reserved_cpu.0)).collect()
        };
        assert_eq!(reserved(&busiest), [(other, 1024)], "the present as it was at the restart");
        busiest.set(one, Some(reserving(1024)), SimTime::from_secs(6));
        assert_eq!((reserved(&busiest), busiest.at), (vec![(one, 1024), (other, 512)], SimTime::from_secs(6)));
    }

    #[test]
    fn the_busiest_moment_is_what_a_copy_at_each_peak_would_be() {
        let mut chance = Streams::new(5, 0).named("loads");
        let mut busiest = Busiest::default();
        let mut present: BTreeMap<InstanceId, HostLoad> = BTreeMap::new();
        let (mut peak, mut at_peak, mut when) = (0, BTreeMap::new(), SimTime::ZERO);
        for step in 1..3000 {
            let id = InstanceId(chance.below(12) as u32);
            let load = if chance.below(8) > 0 { Some(reserving(chance.below(9) * 256)) } else { None };
            busiest.set(id, load.clone(), SimTime::from_secs(step));
            match load {
                Some(load) => present.insert(id, load),
                None => present.remove(&id),
            };
            let reserved: u64 = present.values().map(|load| load.reserved_cpu.0).sum();
            if reserved > peak || step == 1 {
                (peak, at_peak, when) = (reserved, present.clone(), SimTime::from_secs(step));
            }
            assert_eq!(busiest.at_peak(), at_peak.iter().map(|(id, load)| (*id, load)).collect(), "after {step}");
            assert_eq!(busiest.at, when);
        }
    }
}
