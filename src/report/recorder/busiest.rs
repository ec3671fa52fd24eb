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

    #[test]
    fn the_busiest_moment_is_what_a_copy_at_each_peak_would_be() {
        let mut chance = Streams::new(5, 0).named("loads");
        let mut busiest = Busiest::default();
        let mut present: BTreeMap<InstanceId, HostLoad> = BTreeMap::new();
        let (mut peak, mut at_peak, mut when) = (0, BTreeMap::new(), SimTime::ZERO);
        for step in 1..3000 {
            let id = InstanceId(chance.below(12) as u32);
            let load = (chance.below(8) > 0).then(|| HostLoad {
                zone: Arc::from("us-east-1a"),
                registered_cpu: CpuUnits(2048),
                reserved_cpu: CpuUnits(chance.below(9) * 256),
                registered_memory: 7811,
                reserved_memory: 0,
            });
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
