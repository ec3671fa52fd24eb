//! What became of an objective: in each replication, and over all of them.

use serde_json::{Value, json};

use crate::report::format::json_number;

/// What became of an objective in one replication.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveOutcome {
    /// Whether the figure was within its bounds.
    pub held: bool,
    /// Minutes it was judged in; none of a figure that has no minutes, like a cost.
    pub minutes: Option<u64>,
    /// Minutes of these in which it was missed.
    pub minutes_missed: u64,
    /// How much of the error budget was spent, 1 being all of it; none of an objective without one.
    ///
    /// The budget of a quantile is the share that may be beyond it (1 % for a p99), that of an availability what is
    /// missing from 100 %; `budget` of the objective sets a share of its minutes instead. Source: Beyer, Murphy, Rensin,
    /// Kawahara and Thorne, *The Site Reliability Workbook*, chapter 2.
    pub budget_spent: Option<f64>,
    /// The minute furthest beyond the bounds; none if every minute held.
    pub worst: Option<WorstMinute>,
}

/// A minute in which an objective was missed most.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstMinute {
    /// When it began [s].
    pub at_s: f64,
    /// The figure in it.
    pub value: f64,
    /// What was going on, in words.
    pub why: String,
}

/// What became of an objective over all replications.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveRecord {
    /// Replications in which it held, of how many.
    pub held_in: (usize, usize),
    /// Mean number of minutes in which it was missed, and was judged.
    pub minutes_missed: Option<(f64, f64)>,
    /// Mean share of the budget that was spent.
    pub budget_spent: Option<f64>,
    /// The worst minute of replication 0, the one that the files show.
    pub worst: Option<WorstMinute>,
}

impl ObjectiveRecord {
    /// Of one objective, its outcomes in order of the replications; `None` without any.
    pub fn of(outcomes: &[&ObjectiveOutcome]) -> Option<Self> {
        let first = outcomes.first()?;
        let count = outcomes.len() as f64;
        let mean = |of: fn(&ObjectiveOutcome) -> Option<f64>| {
            let values: Vec<f64> = outcomes.iter().filter_map(|outcome| of(outcome)).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let judged = mean(|outcome| outcome.minutes.map(|minutes| minutes as f64));
        let missed = outcomes.iter().map(|outcome| outcome.minutes_missed as f64).sum::<f64>() / count;
        Some(Self {
            held_in: (outcomes.iter().filter(|outcome| outcome.held).count(), outcomes.len()),
            minutes_missed: judged.map(|judged| (missed, judged)),
            budget_spent: mean(|outcome| outcome.budget_spent),
            worst: first.worst.clone(),
        })
    }

    /// As in `summary.json`.
    pub fn to_json(&self) -> Value {
        let worst = self.worst.as_ref().map(
            |worst| json!({ "at_s": json_number(worst.at_s), "value": json_number(worst.value), "why": worst.why }),
        );
        json!({
            "held_in": self.held_in.0,
            "of": self.held_in.1,
            "minutes_missed": self.minutes_missed.map(|(missed, _)| json_number(missed)),
            "minutes_judged": self.minutes_missed.map(|(_, judged)| json_number(judged)),
            "budget_spent_ratio": self.budget_spent.map(json_number),
            "worst_minute": worst,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replications_are_counted_and_averaged_and_the_worst_minute_is_the_first_ones() {
        let worst = WorstMinute { at_s: 120.0, value: 0.9, why: "one".to_owned() };
        let one = ObjectiveOutcome {
            held: false,
            minutes: Some(60),
            minutes_missed: 6,
            budget_spent: Some(3.0),
            worst: Some(worst.clone()),
        };
        let other = ObjectiveOutcome { held: true, minutes_missed: 0, budget_spent: None, worst: None, ..one.clone() };
        let record = ObjectiveRecord::of(&[&one, &other]).unwrap();
        assert_eq!(record.held_in, (1, 2));
        assert_eq!(record.minutes_missed, Some((3.0, 60.0)));
        assert_eq!((record.budget_spent, record.worst), (Some(3.0), Some(worst)));
        let cost = ObjectiveOutcome { minutes: None, ..other };
        assert_eq!(ObjectiveRecord::of(&[&cost]).unwrap().minutes_missed, None);
        assert_eq!(ObjectiveRecord::of(&[]), None);
    }
}
