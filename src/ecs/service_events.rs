//! The list of events that a service keeps (SVC-18, EVT-5).

use std::collections::{BTreeMap, VecDeque};

use crate::ecs::ids::TargetGroupId;
use crate::engine::time::{SimDuration, SimTime};

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    /// Counts the lines of the service: its `id` is made of it.
    pub number: u64,
    /// `createdAt`.
    pub created: SimTime,
    /// `message`.
    pub message: String,
}

/// `events` of a service, newest first in the API's answers.
#[derive(Clone, Debug, Default)]
pub struct EventList {
    lines: VecDeque<EventLine>,
    written: u64,
    /// Problems told of lately, so that they are not told of again and again.
    problems: Vec<(SimTime, String)>,
    /// What has become of targets since the last round of the service's scheduler.
    pub targets: TargetNews,
}

/// How many targets of which groups were registered and deregistered, and how many tasks began to drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetNews {
    /// Registered.
    pub registered: BTreeMap<TargetGroupId, u32>,
    /// Deregistered.
    pub deregistered: BTreeMap<TargetGroupId, u32>,
    /// Tasks whose connections drain.
    pub draining: u32,
}

impl EventList {
    /// Lines that are kept (SVC-18).
    pub const MOST: usize = 100;

    /// Writes a line; the oldest one beyond [`EventList::MOST`] goes.
    pub fn write(&mut self, message: String, now: SimTime) {
        if self.lines.len() == Self::MOST {
            self.lines.pop_front();
        }
        self.lines.push_back(EventLine { number: self.written, created: now, message });
        self.written += 1;
    }

    /// Whether a problem was told of in these words less than `window` ago; if not, it counts as told of now (SVC-18).
    pub fn is_told(&mut self, problem: &str, now: SimTime, window: SimDuration) -> bool {
        self.problems.retain(|(at, _)| now.saturating_since(*at) < window);
        if self.problems.iter().any(|(_, told)| told == problem) {
            return true;
        }
        self.problems.push((now, problem.to_owned()));
        false
    }

    /// The lines, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &EventLine> {
        self.lines.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svc_18_the_newest_hundred_events_are_kept() {
        let mut list = EventList::default();
        for number in 0..150 {
            list.write(format!("line {number}"), SimTime::from_secs(number));
        }
        let lines: Vec<&EventLine> = list.newest().collect();
        assert_eq!(lines.len(), 100);
        assert_eq!((lines[0].number, lines[0].message.as_str()), (149, "line 149"));
        assert_eq!(lines[99].message, "line 50");
    }

    #[test]
    fn svc_18_a_problem_is_told_again_after_six_hours() {
        let mut list = EventList::default();
        let window = SimDuration::from_secs(6 * 3600);
        let at = |hours: u64| SimTime::from_secs(hours * 3600);
        assert!(!list.is_told("no room", at(0), window));
        assert!(!list.is_told("no port", at(1), window), "another text");
        assert!(list.is_told("no room", at(5), window), "whatever was said between");
        assert!(!list.is_told("no room", at(6), window));
    }
}
