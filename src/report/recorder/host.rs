//! What is kept of a host while it lives, and for how long it was idle.

use crate::ecs::ids::GroupId;
use crate::engine::time::{SimDuration, SimTime};
use crate::report::bill::NanoUsd;

/// Why a host is idle; `idle_<cause>_usd`.
pub(super) const IDLE_CAUSES: [&str; 3] = ["boot", "empty", "draining"];
pub(super) const BOOT: usize = 0;
pub(super) const EMPTY: usize = 1;
pub(super) const DRAINING: usize = 2;

/// What is kept of a host while it lives.
#[derive(Debug)]
pub(super) struct HostBook {
    pub(super) group: GroupId,
    pub(super) rate: NanoUsd,
    pub(super) registered_vcpus: f64,
    pub(super) registered: bool,
    pub(super) leaving: bool,
    pub(super) running: Option<SimTime>,
    pub(super) stopped: Option<SimTime>,
    /// Tasks bound to it that are no daemons.
    pub(super) tasks: u32,
    pub(super) idle_since: Option<SimTime>,
    pub(super) idle: [SimDuration; IDLE_CAUSES.len()],
    /// Changes of its container instance, for its events' version.
    pub(super) version: u32,
}

impl HostBook {
    pub(super) fn cause(&self) -> usize {
        match (self.registered, self.leaving) {
            (_, true) => DRAINING,
            (false, _) => BOOT,
            (true, false) => EMPTY,
        }
    }

    /// Books the idle time up to `until`; returns the vCPU-seconds idled since `from` on a registered host.
    pub(super) fn settle(&mut self, until: SimTime, from: SimTime) -> f64 {
        let Some(since) = self.idle_since else { return 0.0 };
        let cause = self.cause();
        self.idle[cause] += until.saturating_since(since);
        self.idle_since = Some(since.max(until));
        if self.registered {
            self.registered_vcpus * until.saturating_since(since.max(from)).as_secs_f64()
        } else {
            0.0
        }
    }
}
