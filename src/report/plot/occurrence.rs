//! What a scenario makes happen, as pictures mark it: its faults, and the calls of its operator.

use serde::{Deserialize, Serialize};

use crate::control_plane::api::ApiCall;
use crate::control_plane::estate::{Estate, FaultKind, FaultTime};
use crate::engine::time::SimTime;

/// More instants with calls than this are a workload rather than events, and no mark could be told from the next.
const CALLS: usize = 40;

/// Something that the scenario makes happen at a time of its choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Occurrence {
    /// When it begins [s].
    pub from_s: f64,
    /// When it is over [s]; none of what happens at an instant.
    #[serde(default)]
    pub to_s: Option<f64>,
    /// What it is: a fault with its zone, or a call.
    pub what: String,
    /// Whether it is a fault.
    pub fault: bool,
}

impl Occurrence {
    /// All of an estate, in order of time. Faults that strike at random are left out: they are as many as they are, and
    /// the log tells of each.
    pub(in crate::report) fn all(estate: &Estate) -> Vec<Self> {
        let end = estate.duration.as_secs_f64();
        let seconds = |at: SimTime| at.as_secs_f64();
        let mut all: Vec<Self> = estate
            .faults
            .iter()
            .filter_map(|fault| {
                let FaultTime::At(at) = fault.when else { return None };
                let lasts = fault.kind.lasts();
                let until = fault.lasts.map_or(end, |lasts| (seconds(at) + lasts.as_secs_f64()).min(end));
                let zone = match &fault.kind {
                    FaultKind::AzOutage { zone } | FaultKind::AzImpairment { zone } => format!(" {zone}"),
                    _ => String::new(),
                };
                let what = format!("{}{zone}", fault.kind.name());
                Some(Self { from_s: seconds(at), to_s: lasts.then_some(until), what, fault: true })
            })
            .collect();
        let changing = || estate.actions.iter().filter(|action| !matches!(action.call, ApiCall::Read(_)));
        let mut instants: Vec<SimTime> = changing().map(|action| action.at).collect();
        instants.sort_unstable();
        instants.dedup();
        if instants.len() <= CALLS {
            all.extend(changing().map(|action| Self {
                from_s: seconds(action.at),
                to_s: None,
                what: action.name.clone(),
                fault: false,
            }));
        }
        all.retain(|one| one.from_s < end);
        all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s).then_with(|| b.fault.cmp(&a.fault)));
        // Ten tasks asked for in one instant are one mark.
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_plane::estate::{Action, Fault, Victims};
    use crate::engine::time::SimDuration;

    #[test]
    fn faults_and_calls_are_marked_and_a_stream_of_calls_is_not() {
        let mut estate = crate::report::tests::estate();
        estate.duration = SimDuration::from_mins(120);
        let at = |minutes| SimTime::ZERO + SimDuration::from_mins(minutes);
        let outage = FaultKind::AzOutage { zone: "us-east-1b".to_owned() };
        estate.faults = vec![
            Fault { when: FaultTime::At(at(90)), lasts: Some(SimDuration::HOUR), kind: outage },
            Fault { when: FaultTime::At(at(10)), lasts: None, kind: FaultKind::InstanceFailure(Victims::default()) },
        ];
        let call = |minutes| Action {
            at: at(minutes),
            call: ApiCall::DeleteCluster("c".to_owned()),
            name: "ecs:DeleteCluster".to_owned(),
        };
        estate.actions = vec![call(30), call(30), call(300)];
        let told = |estate: &Estate| -> Vec<(f64, Option<f64>, String)> {
            Occurrence::all(estate).into_iter().map(|one| (one.from_s, one.to_s, one.what)).collect()
        };
        assert_eq!(
            told(&estate),
            [
                (600.0, None, "instanceFailure".to_owned()),
                (1800.0, None, "ecs:DeleteCluster".to_owned()),
                (5400.0, Some(7200.0), "azOutage us-east-1b".to_owned()),
            ],
            "an end beyond the run is the run's, calls of one instant are one, what comes after the end is none"
        );
        estate.actions = (0..=CALLS as u64).map(call).collect();
        assert_eq!(told(&estate).len(), 2, "the faults alone");
    }
}
