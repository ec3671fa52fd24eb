//! What is kept of a service: counts, load, and whether its tasks were too few or too many.

use crate::control_plane::record::ActivityId;
use crate::control_plane::state::State;
use crate::ecs::ids::TaskDefinitionId;
use crate::ecs::service::{SchedulingStrategy, Service, ServiceStatus};
use crate::engine::time::{SimDuration, SimTime};
use crate::stats::WeightedHistogram;
use crate::workload::rate::Rate;

/// What is kept of a service.
#[derive(Debug)]
pub(super) struct ServiceBook {
    pub(super) resource: String,
    /// Share of its CPU that its target-tracking policy aims at.
    pub(super) target: f64,
    pub(super) utilization: Option<Rate>,
    pub(super) has_load: bool,
    /// Up to when it is accounted for.
    pub(super) since: SimTime,
    pub(super) running: u32,
    pub(super) desired: u32,
    pub(super) definition: Option<TaskDefinitionId>,
    pub(super) task_vcpus: f64,
    pub(super) capped: bool,
    pub(super) under: f64,
    pub(super) over: f64,
    pub(super) last_activity: Option<ActivityId>,
    pub(super) scaling_actions: u64,
    pub(super) requests: f64,
    pub(super) failed: f64,
    pub(super) latency: WeightedHistogram,
    pub(super) minute: Minute,
}

/// A service's load since a minute began.
#[derive(Debug, Default)]
pub(super) struct Minute {
    pub(super) began: SimTime,
    pub(super) vcpu_seconds: f64,
    pub(super) task_seconds: f64,
    pub(super) backlog: bool,
    pub(super) latency: WeightedHistogram,
}

impl ServiceBook {
    /// Accounts for the time up to `now` with the counts that held.
    pub(super) fn advance(&mut self, now: SimTime, warmup: SimTime) -> f64 {
        const PIECE: SimDuration = SimDuration::MINUTE;
        let mut used = 0.0;
        let mut from = self.since.max(warmup.min(now));
        self.minute.task_seconds += f64::from(self.running) * now.saturating_since(self.since).as_secs_f64();
        if let Some(rate) = self.utilization.clone() {
            while from < now {
                let to = from.saturating_add(PIECE).min(now);
                let seconds = to.saturating_since(from).as_secs_f64();
                let demand = rate.mean_over(from, to);
                let most = if self.running == 0 {
                    0.0
                } else if self.capped {
                    f64::from(self.running) * self.task_vcpus
                } else {
                    f64::INFINITY
                };
                used += demand.min(most) * seconds;
                self.judge(seconds, f64::from(self.running), demand, false);
                from = to;
            }
        } else if !self.has_load {
            let seconds = now.saturating_since(from).as_secs_f64();
            if self.running < self.desired {
                self.under += seconds;
            } else if self.running > self.desired {
                self.over += seconds;
            }
        }
        self.since = now;
        used
    }

    /// Whether `running` tasks were too few, or more than needed, for `demand` vCPUs over `seconds`.
    pub(super) fn judge(&mut self, seconds: f64, running: f64, demand: f64, backlog: bool) {
        // A hair of slack: means over a minute are sums of many parts.
        const SLACK: f64 = 1e-9;
        if self.task_vcpus <= 0.0 {
            return;
        }
        let needed = demand / self.task_vcpus;
        if backlog || running < needed * (1.0 - SLACK) {
            self.under += seconds;
        } else if running >= 1.0 && (running - 1.0) * self.target >= needed * (1.0 + SLACK) + SLACK {
            self.over += seconds;
        }
    }

    /// Takes over the counts that hold from now on.
    pub(super) fn follow(&mut self, service: &Service, state: &State) {
        self.running = service.running;
        self.desired = if service.status == ServiceStatus::Active { service.desired } else { 0 };
        if service.scheduling == SchedulingStrategy::Daemon {
            // A daemon wants as many tasks as there are hosts for it: those that it has.
            self.desired = u32::try_from(service.tasks.len()).unwrap_or(u32::MAX);
        }
        if service.definition() != self.definition {
            self.definition = service.definition();
            if let Some(definition) = self.definition.map(|id| &state.definitions[id.index()].definition) {
                self.task_vcpus = definition.requirements().cpu.as_vcpus();
                self.capped = definition.cpu.is_some();
            }
        }
    }
}
