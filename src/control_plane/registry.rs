//! Registries that images come from: the limits of Docker Hub (IMG-6).

use std::collections::{BTreeMap, VecDeque};

use crate::behaviour::HubLimit;
use crate::ecs::ids::InstanceId;
use crate::engine::time::{SimDuration, SimTime};

/// The window over which Docker Hub counts.
const WINDOW: SimDuration = SimDuration::from_secs(6 * 3600);

/// What registries remember.
#[derive(Debug)]
pub(super) struct Registry {
    limit: HubLimit,
    /// Pulls of the last six hours by who made them, oldest first.
    hub_pulls: BTreeMap<Option<InstanceId>, VecDeque<SimTime>>,
}

impl Registry {
    pub(super) fn new(limit: HubLimit) -> Self {
        Self { limit, hub_pulls: BTreeMap::new() }
    }

    /// Who a pull from this host counts for: the host's own address, or one for all of them. Fargate tasks leave by one
    /// address too.
    fn counts_for(&self, host: Option<InstanceId>) -> Option<InstanceId> {
        host.filter(|_| self.limit == HubLimit::PerHost)
    }

    /// Whether Docker Hub answers another pull.
    pub(super) fn hub_allows(&mut self, host: Option<InstanceId>, now: SimTime) -> bool {
        let Some(limit) = self.limit.pulls() else { return true };
        let Some(pulls) = self.hub_pulls.get_mut(&self.counts_for(host)) else { return true };
        while pulls.front().is_some_and(|at| now.saturating_since(*at) >= WINDOW) {
            pulls.pop_front();
        }
        pulls.len() < limit
    }

    /// Docker Hub has answered a pull.
    pub(super) fn note_hub_pull(&mut self, host: Option<InstanceId>, now: SimTime) {
        if self.limit.pulls().is_some() {
            self.hub_pulls.entry(self.counts_for(host)).or_default().push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `tries` pulls at `now` are answered.
    fn answered(registry: &mut Registry, host: Option<InstanceId>, tries: u32, now: u64) -> u32 {
        let now = SimTime::from_secs(now);
        let mut count = 0;
        for _ in 0..tries {
            if registry.hub_allows(host, now) {
                registry.note_hub_pull(host, now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn img_6_a_hundred_pulls_in_six_hours_from_one_address() {
        let (a, b) = (Some(InstanceId(0)), Some(InstanceId(1)));
        let mut nat = Registry::new(HubLimit::Nat);
        assert_eq!(answered(&mut nat, a, 60, 0), 60);
        assert_eq!(answered(&mut nat, b, 60, 3600), 40, "one address for all hosts");
        assert_eq!(answered(&mut nat, None, 60, 21_599), 0);
        assert_eq!(answered(&mut nat, None, 100, 21_600), 60, "those of time zero are six hours old");
        let mut own = Registry::new(HubLimit::PerHost);
        assert_eq!((answered(&mut own, a, 150, 0), answered(&mut own, b, 150, 0)), (100, 100));
        let mut personal = Registry::new(HubLimit::Personal);
        assert_eq!(answered(&mut personal, a, 150, 0) + answered(&mut personal, b, 150, 0), 200);
        assert_eq!(answered(&mut Registry::new(HubLimit::Off), a, 1000, 0), 1000);
    }
}
