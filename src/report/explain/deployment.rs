//! Deployments of a service as tables of batches, and what the circuit breaker counted.

use serde_json::json;

use super::records::{Decision, Records};
use super::{Chapter, count, lasting, rule_title};

/// Batches told one by one; what comes after them is summed up, and all are in the data.
const TOLD: usize = 30;

/// A chapter per deployment that had batches, from the decisions about a service.
pub(super) fn chapters(records: &Records, told: &[&Decision]) -> Vec<Chapter> {
    let mut deployments: Vec<(&str, Vec<&Decision>)> = Vec::new();
    for batch in told.iter().copied().filter(|decision| decision.action == "batch") {
        let Some(id) = batch.to.as_str() else { continue };
        match deployments.iter_mut().find(|(known, _)| *known == id) {
            Some((_, batches)) => batches.push(batch),
            None => deployments.push((id, vec![batch])),
        }
    }
    deployments.into_iter().map(|(id, batches)| chapter(records, told, id, &batches)).collect()
}

/// Whether a decision is part of such a chapter.
pub(super) fn is_part(decision: &Decision) -> bool {
    matches!(decision.action.as_str(), "batch" | "count")
}

fn chapter(records: &Records, told: &[&Decision], id: &str, batches: &[&Decision]) -> Chapter {
    let (first, last) = (batches[0], batches[batches.len() - 1]);
    let sum = |name: &str| batches.iter().filter_map(|batch| batch.input(name)).sum::<f64>();
    let number = |batch: &Decision, name: &str| batch.input(name).unwrap_or_default();
    let what = format!(
        "deployment {id} of {}: {} in {}, {} started, {} old ones stopped",
        first.word("revision").unwrap_or_default(),
        count(batches.len(), "batch").replace("batchs", "batches"),
        lasting(last.time_s - first.time_s),
        sum("started"),
        sum("stopped"),
    );
    let mut because = vec![format!(
        "limits: {} to {} tasks around {} wanted",
        number(first, "lower"),
        number(first, "upper"),
        number(first, "desired")
    )];
    let width = records.clock(first.time_s).chars().count();
    because.push(format!("{:<width$}  started  stopped    new    old  healthy  stopping  held by", "at"));
    for batch in batches.iter().take(TOLD) {
        because.push(format!(
            "{:<width$}  {:>7}  {:>7}  {:>5}  {:>5}  {:>7}  {:>8}  {}",
            records.clock(batch.time_s),
            number(batch, "started"),
            number(batch, "stopped"),
            number(batch, "new"),
            number(batch, "old"),
            number(batch, "healthy"),
            number(batch, "stopping"),
            batch.reason,
        ));
    }
    if batches.len() > TOLD {
        because.push(format!("and {} more", count(batches.len() - TOLD, "batch").replace("batchs", "batches")));
    }
    let counts: Vec<&Decision> = told
        .iter()
        .copied()
        .filter(|decision| decision.action == "count" && decision.word("deployment") == Some(id))
        .collect();
    for counted in counts.iter().take(TOLD) {
        because.push(format!(
            "{}  circuit breaker: {} [{}]",
            records.clock(counted.time_s),
            counted.reason,
            counted.rule
        ));
    }
    because.extend(rule_title("DEP-3"));
    let rows = batches.iter().map(|batch| {
        let mut row = batch.inputs.clone();
        row["time_s"] = json!(batch.time_s);
        row["held_by"] = json!(batch.reason);
        row
    });
    Chapter { because, rule: "DEP-3".to_owned(), rows: rows.collect(), ..Chapter::plain(records, first.time_s, what) }
}
