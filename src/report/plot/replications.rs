//! How figures are distributed over the replications of a run.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;

use super::PlotError;
use super::chart::{Canvas, Drawn, Entry, Mark, Panel, Type, ValueAxis, fitted, picture};
use super::folder::rows;
use super::run::Named;
use super::theme::{BLUE, FAINT, HEIGHT, INK, LABEL, MARGIN, VERMILION, WIDTH};
use crate::report::format::for_people;
use crate::report::summary::{Unit, label};
use crate::stats::quantile_sorted;

/// Fewer replications say too little of a distribution.
const FEWEST: usize = 10;
/// Panels of a picture at most.
const PANELS: usize = 4;
/// A count that takes no more values than this has a bar for each.
const VALUES: f64 = 30.0;
/// Bars of anything else, about.
const BARS: f64 = 20.0;

/// What is shown when it differs between replications, most telling first; objectives come before all.
const SHOWN: [&str; 6] =
    ["instances_peak", "cost_usd", "task_wait_p99_s", ":latency_p95_s", ":requests_failed", "tasks_failed"];

/// A row of `summary.csv`.
#[derive(Deserialize)]
struct Row {
    metric: String,
    value: f64,
    unit: Unit,
}

/// An objective of `summary.json`.
#[derive(Clone, Debug, Deserialize)]
struct Objective {
    metric: String,
    #[serde(default)]
    max: Option<f64>,
    #[serde(default)]
    min: Option<f64>,
}

/// What is read of `summary.json`.
#[derive(Deserialize)]
struct Facts {
    scenario: String,
    seed: u64,
    slo: Vec<Objective>,
}

/// A figure over the replications.
struct Sample {
    metric: String,
    /// Ascending.
    values: Vec<f64>,
    unit: Unit,
    bounds: Vec<f64>,
}

impl Sample {
    fn ends(&self) -> (f64, f64) {
        (self.values[0], self.values[self.values.len() - 1])
    }

    /// Whether it is counted, in few enough values for a bar each.
    fn is_counted(&self) -> bool {
        let (low, high) = self.ends();
        self.unit == Unit::Count && high - low < VALUES && self.values.iter().all(|value| value.fract() == 0.0)
    }

    /// What ticks are round in: long times in minutes or hours.
    fn tick_unit(&self) -> f64 {
        match (self.unit, self.ends().1) {
            (Unit::Seconds, high) if high >= 3.0 * 3600.0 => 3600.0,
            (Unit::Seconds, high) if high >= 180.0 => 60.0,
            _ => 1.0,
        }
    }

    /// The bars: where each begins, how wide they are, how many replications are in each.
    fn bars(&self) -> (Vec<(f64, usize)>, f64) {
        let (low, high) = self.ends();
        let (first, width) = if self.is_counted() {
            (low - 0.5, 1.0)
        } else {
            let unit = self.tick_unit();
            let axis = ValueAxis::spanning(low / unit, high / unit);
            let (first, last) = (axis.range().0 * unit, axis.range().1 * unit);
            // Ticks lie on the borders of bars.
            let per_tick = (BARS / axis.ticks().count().saturating_sub(1).max(1) as f64).round().max(1.0);
            (first, (last - first) / (per_tick * axis.ticks().count().saturating_sub(1).max(1) as f64))
        };
        let count = ((high - first) / width).floor() as usize + 1;
        let mut bars: Vec<(f64, usize)> = (0..count).map(|place| (first + place as f64 * width, 0)).collect();
        for value in &self.values {
            let place = ((value - first) / width).floor() as usize;
            bars[place.min(count - 1)].1 += 1;
        }
        (bars, width)
    }

    /// The finding.
    fn headline(&self) -> String {
        let (name, count) = (capitalised(&label(&self.metric)), self.values.len());
        let say = |value: f64| for_people(value, self.unit);
        let (low, high) = self.ends();
        if self.is_counted() {
            let runs = self.values.chunk_by(|a, b| a == b);
            let usual = runs.max_by_key(|run| run.len()).map_or((low, 0), |run| (run[0], run.len()));
            format!(
                "{name}: {} in {} of {count} replications, from {} to {}",
                say(usual.0),
                usual.1,
                say(low),
                say(high)
            )
        } else {
            let at = |p: f64| say(quantile_sorted(&self.values, p).unwrap_or(f64::NAN));
            format!(
                "{name}: {} in the median, {} to {} in nine of ten of {count} replications",
                at(0.5),
                at(0.05),
                at(0.95)
            )
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The picture of the distributions; none with too few replications, or when nothing differs between them.
pub(super) fn all(folder: &Path) -> Result<Vec<Named>, PlotError> {
    let rows: Vec<Row> = rows(folder, "summary.csv")?;
    let Ok(text) = std::fs::read_to_string(folder.join("summary.json")) else { return Ok(Vec::new()) };
    let facts: Facts = serde_json::from_str(&text)
        .map_err(|error| PlotError::Malformed { path: folder.join("summary.json"), reason: error.to_string() })?;
    let samples = samples(rows, &facts.slo);
    let Some(first) = samples.first() else { return Ok(Vec::new()) };
    let count = first.values.len();
    let subtitle =
        format!("{}: how many of {count} replications of seed {} gave which figure", facts.scenario, facts.seed);
    let height = if samples.len() == 1 { HEIGHT } else { samples.iter().fold(220, |height, _| height + 340) };
    let svg = picture(&first.headline(), &subtitle, height, |canvas| {
        if samples.iter().any(|sample| !sample.bounds.is_empty()) {
            canvas.legend(&[Entry::new("objective", VERMILION, Mark::Line)])?;
        }
        let frames = canvas.panels(samples.len());
        samples.iter().zip(frames).try_for_each(|(sample, frame)| draw(canvas, sample, frame))
    })?;
    Ok(vec![("replications".to_owned(), svg)])
}

/// What is shown: figures that differ between replications, those with objectives first.
fn samples(rows: Vec<Row>, objectives: &[Objective]) -> Vec<Sample> {
    let mut by_metric: IndexMap<String, (Vec<f64>, Unit)> = IndexMap::new();
    for row in rows {
        by_metric.entry(row.metric).or_insert_with(|| (Vec::new(), row.unit)).0.push(row.value);
    }
    let rank = |metric: &str| {
        let objective = objectives.iter().position(|objective| objective.metric == metric);
        let known =
            || SHOWN.iter().position(|shown| metric == *shown || shown.starts_with(':') && metric.ends_with(shown));
        objective.or_else(|| known().map(|place| objectives.len() + place))
    };
    let mut ranked: Vec<(usize, Sample)> = by_metric
        .into_iter()
        .filter_map(|(metric, (mut values, unit))| {
            let rank = rank(&metric)?;
            values.sort_by(f64::total_cmp);
            let differs = values.len() >= FEWEST && values.first() < values.last();
            let mine = objectives.iter().filter(|objective| objective.metric == metric);
            let bounds = mine.flat_map(|objective| [objective.min, objective.max]).flatten().collect();
            differs.then_some((rank, Sample { metric, values, unit, bounds }))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, sample)| sample).take(PANELS).collect()
}

fn draw(canvas: &Canvas<'_>, sample: &Sample, frame: super::chart::Frame) -> Drawn {
    let (bars, width) = sample.bars();
    let (low, high) = (bars[0].0, bars[bars.len() - 1].0 + width);
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let (low, high) = sample.bounds.iter().fold((low, high), |(low, high), bound| (low.min(*bound), high.max(*bound)));
    let panel = Panel::new(frame, (low, high), ValueAxis::counts(most as f64));
    let name = format!("replications, by {}", label(&sample.metric));
    canvas.value_axis(&panel, &fitted(&name, LABEL, WIDTH - 2 * MARGIN))?;
    for (begin, count) in &bars {
        let (left, right) = (panel.x(*begin) + 2, panel.x(begin + width) - 2);
        canvas.rectangle([(left, panel.y(*count as f64)), (right.max(left + 1), frame.bottom)], BLUE, 0.85)?;
        if *count > 0 && bars.len() <= VALUES as usize && sample.is_counted() {
            let share = format!("{count} ({:.0} %)", 100.0 * *count as f64 / sample.values.len() as f64);
            let y = (panel.y(*count as f64) - 14).max(frame.top - 6);
            canvas.text((i32::midpoint(left, right), y), &share, Type::new(LABEL, INK).centred())?;
        }
    }
    for bound in &sample.bounds {
        let x = panel.x(*bound);
        canvas.path(vec![(x, frame.top), (x, frame.bottom)], VERMILION, 3)?;
    }
    let ticks: Vec<f64> = if sample.is_counted() {
        bars.iter().map(|(begin, _)| begin + 0.5).collect()
    } else {
        let unit = sample.tick_unit();
        let round = ValueAxis::spanning(low / unit, high / unit).ticks().map(|tick| tick * unit);
        round.filter(|tick| (low..=high).contains(tick)).collect()
    };
    // As many labels as have room.
    let every = ticks.len().div_ceil(12).max(1);
    for tick in ticks.iter().step_by(every) {
        let text = for_people(*tick, sample.unit);
        canvas.text((panel.x(*tick), frame.bottom + 24), &text, Type::new(LABEL, FAINT).centred())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(metric: &str, unit: Unit, values: impl IntoIterator<Item = f64>) -> Vec<Row> {
        values.into_iter().map(|value| Row { metric: metric.to_owned(), value, unit }).collect()
    }

    #[test]
    fn a_count_has_a_bar_for_each_value() {
        let values = [5.0; 7].into_iter().chain([4.0, 4.0, 6.0]);
        let shown = samples(rows("instances_peak", Unit::Count, values), &[]);
        let (bars, width) = shown[0].bars();
        assert_eq!((bars, width), (vec![(3.5, 2), (4.5, 7), (5.5, 1)], 1.0));
        assert_eq!(shown[0].headline(), "Most hosts at once: 5 in 7 of 10 replications, from 4 to 6");
    }

    #[test]
    fn bars_of_a_measure_hold_every_value_once() {
        let values = (0..57).map(|n| 3.0 + f64::from(n * n % 31) / 7.0);
        let shown = samples(rows("cost_usd", Unit::Usd, values), &[]);
        let (bars, width) = shown[0].bars();
        assert_eq!(bars.iter().map(|(_, count)| count).sum::<usize>(), 57);
        assert!((10..=45).contains(&bars.len()), "{} bars of {width}", bars.len());
        let inside = |value: &f64| bars.iter().any(|(begin, _)| (*begin..begin + width + 1e-9).contains(value));
        assert!(shown[0].values.iter().all(inside));
    }

    #[test]
    fn what_does_not_differ_or_has_too_few_replications_is_not_shown() {
        let mut all = rows("cost_usd", Unit::Usd, [2.0; 20]);
        all.extend(rows("instances_peak", Unit::Count, [2.0, 3.0]));
        all.extend(rows("service/default/web:latency_p95_s", Unit::Seconds, (0..20).map(f64::from)));
        all.extend(rows("tasks_started", Unit::Count, (0..20).map(f64::from)));
        let objective = |metric: &str| Objective { metric: metric.to_owned(), max: Some(1.0), min: None };
        let names = |objectives: &[Objective]| {
            let copy = all.iter().map(|row| Row { metric: row.metric.clone(), ..*row }).collect();
            samples(copy, objectives).into_iter().map(|sample| (sample.metric, sample.bounds)).collect::<Vec<_>>()
        };
        let latency = "service/default/web:latency_p95_s".to_owned();
        assert_eq!(names(&[]), [(latency.clone(), vec![])]);
        let objectives = [objective("tasks_started")];
        assert_eq!(names(&objectives), [("tasks_started".to_owned(), vec![1.0]), (latency, vec![])]);
    }
}
