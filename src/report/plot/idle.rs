//! What idle hosts cost over time, and why they were there.

use std::collections::BTreeMap;

use super::PlotError;
use super::chart::{Entry, Mark, Panel, ValueAxis, picture};
use super::findings::{peak_moment, time_axis};
use super::folder::{Folder, IdleSpan, peak};
use super::levels::highest;
use super::run::subtitle;
use super::theme::{HEIGHT, OTHER, SERIES};
use crate::report::format::{grouped, money};
use crate::scaling::idle::IdleCause;

/// Dollars per hour by layer, a row per instant of change.
fn rates(spans: &[IdleSpan], layer_of: impl Fn(&str) -> usize, layers: usize) -> Vec<(f64, Vec<f64>)> {
    let mut changes: Vec<(f64, usize, f64)> = spans
        .iter()
        .flat_map(|span| {
            let layer = layer_of(&span.cause);
            [(span.from_s, layer, span.usd_per_hour), (span.to_s, layer, -span.usd_per_hour)]
        })
        .collect();
    changes.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut levels = vec![0.0; layers];
    let mut rows = vec![(0.0, levels.clone())];
    for instant in changes.chunk_by(|one, other| one.0 == other.0) {
        for (_, layer, by) in instant {
            levels[*layer] += by;
        }
        // What is left of sums and differences of prices is no cost.
        let settled = levels.iter().map(|level: &f64| if *level < 1e-9 { 0.0 } else { *level }).collect();
        rows.push((instant[0].0, settled));
    }
    rows
}

fn label(cause: &str) -> &str {
    match IdleCause::named(cause) {
        Some(cause) => cause.label(),
        None => cause,
    }
}

/// The cost of idle hosts per hour, stacked by cause, the dearest at the bottom.
pub(super) fn cost_by_cause(folder: &Folder) -> Result<Option<String>, PlotError> {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for span in &folder.idle {
        *totals.entry(&span.cause).or_default() += span.usd_per_hour * (span.to_s - span.from_s) / 3600.0;
    }
    let mut causes: Vec<(&str, f64)> = totals.into_iter().filter(|(_, cost)| *cost > 0.0).collect();
    causes.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    let Some((dearest, most)) = causes.first().copied() else { return Ok(None) };
    let all: f64 = causes.iter().map(|(_, cost)| cost).sum();
    let shown = if causes.len() > SERIES.len() { SERIES.len() - 1 } else { causes.len() };
    let layers = if causes.len() > shown { shown + 1 } else { shown };
    let layer_of = |cause: &str| causes.iter().position(|(name, _)| *name == cause).unwrap_or(shown).min(shown);
    let rows = rates(&folder.idle, layer_of, layers.max(shown + 1));
    let rows: Vec<(f64, Vec<f64>)> =
        rows.into_iter().map(|(at, levels)| (at, levels.into_iter().take(layers).collect())).collect();
    let total: Vec<(f64, f64)> = rows.iter().map(|(at, levels)| (*at, levels.iter().sum())).collect();
    let axis = time_axis(folder);
    let (from, to) = folder.measured();
    let (at, highest_rate) = peak(&total, from, to);
    let title =
        format!("Idle hosts cost {}; {} % of it: {}", money(all), grouped(100.0 * most / all, 0), label(dearest));
    let more = format!("most at once: {} an hour ({})", money(highest_rate), peak_moment(&axis, from, at));
    picture(&title, &subtitle(folder, &more), HEIGHT, |canvas| {
        let mut colours: Vec<_> = SERIES.iter().copied().take(shown).collect();
        let entry =
            |name: &str, cost: f64, colour| Entry::new(format!("{name}: {}", money(cost)), colour, Mark::Area(0.85));
        let mut legend: Vec<Entry> =
            causes.iter().zip(&colours).map(|((cause, cost), colour)| entry(label(cause), *cost, *colour)).collect();
        if layers > shown {
            colours.push(OTHER);
            let rest = causes.iter().skip(shown).map(|(_, cost)| cost).sum();
            legend.push(entry(&format!("{} others", causes.len() - shown), rest, OTHER));
        }
        canvas.legend(&legend)?;
        let panel = Panel::new(canvas.panels(1)[0], folder.times(), ValueAxis::from_zero(highest(&total)));
        canvas.backdrop(&panel, &folder.plan)?;
        canvas.time_axis(&panel, &axis)?;
        canvas.value_axis(&panel, "machines without a task but daemons [USD per hour]")?;
        canvas.stack(&panel, &rows, &colours, 0.85)?;
        canvas.time_caption_with(&axis, &folder.plan, "shaded: the warm-up, which the costs include")
    })
    .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_one_cause_add_up_and_leave_nothing_behind() {
        let span =
            |cause: &str, from_s, to_s, usd_per_hour| IdleSpan { cause: cause.into(), from_s, to_s, usd_per_hour };
        let spans = [span("boot", 0.0, 10.0, 0.1), span("boot", 5.0, 10.0, 0.2), span("draining", 10.0, 20.0, 0.3)];
        let rows = rates(&spans, |cause| usize::from(cause != "boot"), 2);
        let levels: Vec<(f64, Vec<f64>)> = rows
            .into_iter()
            .map(|(at, levels)| (at, levels.iter().map(|level| (level * 1e6).round() / 1e6).collect()))
            .collect();
        assert_eq!(
            levels,
            [
                (0.0, vec![0.0, 0.0]),
                (0.0, vec![0.1, 0.0]),
                (5.0, vec![0.3, 0.0]),
                (10.0, vec![0.0, 0.3]),
                (20.0, vec![0.0, 0.0])
            ]
        );
    }
}
