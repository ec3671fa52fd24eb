//! What there is to ask about a run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::records::Records;
use crate::report::table::{Align, Table};

/// Every subject of a run with what was decided about it, and the calls that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Services, capacity providers and groups.
    pub subjects: Vec<Line>,
    /// Hosts that took part.
    pub hosts: usize,
    /// Tasks that took part.
    pub tasks: usize,
    /// What was refused and why, with how often, the most frequent first.
    pub refusals: Vec<(String, usize)>,
}

/// One subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its name.
    pub subject: String,
    /// How often it was scaled out.
    pub scaled_out: usize,
    /// How often it was scaled in.
    pub scaled_in: usize,
    /// How often it was asked to scale and did not, for another reason than the last time.
    pub held: usize,
}

impl Overview {
    /// Draws it from what a run has left behind.
    pub(super) fn of(records: &Records) -> Self {
        let line = |subject: String| {
            let times = |action: &str| {
                records.decisions.iter().filter(|one| one.subject == subject && one.action == action).count()
            };
            Line { scaled_out: times("scale-out"), scaled_in: times("scale-in"), held: times("not-scaled"), subject }
        };
        let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
        for decision in records.decisions.iter().filter(|decision| decision.action == "refuse") {
            let tasks = decision.input("failures").map_or(1, |failures| failures as usize);
            *refusals.entry(format!("{} {}: {}", decision.actor, decision.subject, decision.reason)).or_default() +=
                tasks;
        }
        let mut refusals: Vec<(String, usize)> = refusals.into_iter().collect();
        refusals.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        Self {
            subjects: records.resources().into_iter().map(line).collect(),
            hosts: records.instances.len(),
            tasks: records.tasks.len(),
            refusals,
        }
    }

    /// As text for a terminal.
    pub fn to_text(&self, colour: bool) -> String {
        let columns = [("subject", Align::Left), ("out", Align::Right), ("in", Align::Right), ("held", Align::Right)];
        let mut table = Table::new(columns);
        for line in &self.subjects {
            table.row([
                line.subject.clone(),
                line.scaled_out.to_string(),
                line.scaled_in.to_string(),
                line.held.to_string(),
            ]);
        }
        let mut text = table.render(colour);
        text += &format!("\n  {} hosts (instances.csv), {} tasks (tasks.csv)\n", self.hosts, self.tasks);
        for (what, times) in self.refusals.iter().take(10) {
            text += &format!("  refused {times} times: {what}\n");
        }
        if self.refusals.len() > 10 {
            text += &format!("  and {} more refusals in decisions.jsonl\n", self.refusals.len() - 10);
        }
        text += "\n  Ask about one with --subject, for example a service, a host or a task; --at 12h30m says why it was so then.\n";
        text
    }
}
