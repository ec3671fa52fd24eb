//! What is kept of an EventBridge rule: how often it fired, and how its calls went.

use crate::control_plane::estate::Estate;
use crate::control_plane::record::RuleEvent;
use crate::ecs::ids::RuleId;
use crate::engine::time::SimTime;
use crate::report::summary::{ReplicationSummary, Unit};

use super::Recorder;

/// What is kept of a rule, without the warm-up.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleBook {
    resource: String,
    events: u64,
    invocations: u64,
    retries: u64,
    not_placed: u64,
    dead_lettered: u64,
    lost: u64,
}

impl RuleBook {
    /// A book for each rule of `estate`.
    pub(super) fn all(estate: &Estate) -> Vec<Self> {
        let book = |name: &str| Self { resource: format!("event-rule/{name}"), ..Self::default() };
        estate.event_rules.iter().map(|rule| book(&rule.name)).collect()
    }

    /// The figures of the rule.
    pub(super) fn summarize(&self, summary: &mut ReplicationSummary) {
        let figures = [
            ("events", self.events),
            ("invocations", self.invocations),
            ("retries", self.retries),
            ("tasks_not_placed", self.not_placed),
            ("events_dead_lettered", self.dead_lettered),
            ("events_lost", self.lost),
        ];
        for (metric, value) in figures {
            summary.set(format!("{}:{metric}", self.resource), value as f64, Unit::Count);
        }
    }
}

impl Recorder {
    /// Something happened to an event of a rule.
    pub(super) fn on_rule_event(&mut self, now: SimTime, id: RuleId, event: RuleEvent) {
        if now < self.warmup {
            return;
        }
        let Some(book) = self.rules.get_mut(id.index()) else { return };
        match event {
            RuleEvent::Fired => book.events += 1,
            RuleEvent::Invoked { retry } => {
                book.invocations += 1;
                book.retries += u64::from(retry);
            }
            RuleEvent::Short { tasks } => book.not_placed += u64::from(tasks),
            RuleEvent::GivenUp { dead_lettered: true } => book.dead_lettered += 1,
            RuleEvent::GivenUp { dead_lettered: false } => book.lost += 1,
        }
    }
}
