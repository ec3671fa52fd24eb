//! `eventRules`: what EventBridge does by itself.

use crate::control_plane::api::RunTask;
use crate::engine::streams::Streams;
use crate::engine::time::SimTime;
use crate::workload::arrivals::{ArrivalProcess, Arrivals};
use crate::workload::delivery::RetryPolicy;

/// A rule: when it fires, and the RunTask call of each of its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRule {
    /// `Name`.
    pub name: String,
    /// `ScheduleExpression`, or the times at which events come that match its pattern.
    pub events: ArrivalProcess,
    /// Whether a schedule says when: then it fires somewhere within the minute named (TASK-17).
    pub is_scheduled: bool,
    /// `State: ENABLED`.
    pub enabled: bool,
    /// `Targets`; each is called for itself.
    pub targets: Vec<RuleTarget>,
}

impl EventRule {
    /// The events of one replication up to `end`.
    pub fn arrivals(&self, streams: &Streams, end: SimTime) -> Arrivals {
        let events = self.events.drawn(streams, &format!("rate/event-rule/{}", self.name), end);
        Arrivals::new(&events, streams.named(&format!("events/{}", self.name)), SimTime::ZERO)
    }
}

/// A target of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleTarget {
    /// `Id`.
    pub id: String,
    /// `EcsParameters` and `Input`, as the call that they make.
    pub call: RunTask,
    /// `RetryPolicy`.
    pub retry: RetryPolicy,
    /// `DeadLetterConfig`: name of the queue that takes the events it gives up.
    pub dead_letters: Option<String>,
}
