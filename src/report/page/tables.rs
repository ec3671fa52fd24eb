//! Tables of a run's figures, from its `summary.json`.

use std::fs;
use std::path::Path;

use indexmap::{IndexMap, IndexSet};
use serde::Deserialize;

use super::html::{Table, escaped};
use crate::report::format::{beside_bound, for_people, grouped, with_interval};
use crate::report::plot::{PlotError, findings};
use crate::report::summary::{Unit, label};

/// `summary.json`, as far as the page tells it.
#[derive(Debug, Deserialize)]
pub(super) struct SummaryFile {
    pub(super) scenario: String,
    pub(super) description: String,
    pub(super) version: String,
    pub(super) catalog_as_of: String,
    pub(super) seed: u64,
    pub(super) replications: usize,
    pub(super) start: String,
    pub(super) duration_s: f64,
    pub(super) warmup_s: f64,
    pub(super) region: String,
    pub(super) metrics: IndexMap<String, Metric>,
    pub(super) slo: Vec<Objective>,
    pub(super) warnings: Vec<String>,
    pub(super) assumptions: Vec<String>,
}

/// A mean over the replications.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Metric {
    pub(super) mean: f64,
    ci95: Option<[f64; 2]>,
    unit: Unit,
}

/// An objective and its verdict.
#[derive(Debug, Deserialize)]
pub(super) struct Objective {
    metric: String,
    max: Option<f64>,
    min: Option<f64>,
    mean: Option<f64>,
    pub(super) held: bool,
    certain: Option<bool>,
    /// Replications in which it held, of how many; absent in runs of before they were told.
    #[serde(default)]
    held_in: Option<usize>,
    #[serde(default)]
    of: Option<usize>,
    #[serde(default)]
    minutes_missed: Option<f64>,
    #[serde(default)]
    minutes_judged: Option<f64>,
    #[serde(default)]
    budget_spent_ratio: Option<f64>,
    #[serde(default)]
    worst_minute: Option<Worst>,
}

/// The minute in which an objective was missed most.
#[derive(Debug, Deserialize)]
struct Worst {
    at_s: f64,
    value: f64,
    why: String,
}

impl Objective {
    /// Replications, minutes and budget, as far as the objective has them.
    fn details(&self) -> String {
        let mut parts = Vec::new();
        if let (Some(held), Some(of)) = (self.held_in, self.of.filter(|of| *of > 1)) {
            parts.push(format!("held in {held} of {of} replications"));
        }
        if let (Some(missed), Some(judged)) = (self.minutes_missed, self.minutes_judged.filter(|judged| *judged > 0.0))
        {
            parts.push(format!("{} of {} min beyond", grouped(missed, 0), grouped(judged, 0)));
        }
        if let Some(spent) = self.budget_spent_ratio {
            parts.push(format!("{} of the error budget spent", for_people(spent, Unit::Ratio)));
        }
        parts.join("; ")
    }

    /// The worst minute and what was going on then.
    fn worst(&self, unit: Option<Unit>, moment: impl Fn(f64) -> String) -> String {
        self.worst_minute.as_ref().map_or_else(String::new, |worst| {
            let value = unit.map_or_else(|| worst.value.to_string(), |unit| for_people(worst.value, unit));
            format!("{value} at {}: {}", moment(worst.at_s), escaped(&worst.why))
        })
    }
}

impl Metric {
    /// `$1.20 ± $0.10`.
    pub(super) fn text(&self) -> String {
        match self.ci95.map(|[low, high]| (high - low) / 2.0) {
            Some(half) if half > 0.0 => with_interval(self.mean, half, self.unit),
            _ => for_people(self.mean, self.unit),
        }
    }

    /// The same, so that it shows on which side of its bounds the mean is.
    fn text_beside(&self, bounds: [Option<f64>; 2]) -> String {
        let usual = for_people(self.mean, self.unit);
        let apart = bounds.into_iter().flatten().map(|bound| beside_bound(self.mean, bound, self.unit));
        match apart.into_iter().find(|text| *text != usual) {
            Some(apart) if self.text() == usual => apart,
            Some(apart) => format!("{apart} ({})", self.text()),
            None => self.text(),
        }
    }
}

/// The item of `cost_<item>_usd`.
fn item_of(key: &str) -> Option<&str> {
    key.strip_prefix("cost_")?.strip_suffix("_usd")
}

impl SummaryFile {
    pub(super) fn read(folder: &Path) -> Result<Self, PlotError> {
        let path = folder.join("summary.json");
        let text = fs::read_to_string(&path).map_err(|source| PlotError::Read { path: path.clone(), source })?;
        serde_json::from_str(&text).map_err(|error| PlotError::Malformed { path, reason: error.to_string() })
    }

    pub(super) fn metric(&self, key: &str) -> Option<&Metric> {
        self.metrics.get(key)
    }

    /// `± 95 % interval`, where there are intervals.
    fn of(&self) -> String {
        match self.replications {
            1 => "one replication, so no intervals".to_owned(),
            more => format!("means of {more} replications ± 95 % intervals"),
        }
    }

    /// The bill, item by item.
    pub(super) fn bill(&self) -> String {
        let mut table =
            Table::new(&format!("The bill ({})", self.of()), ["", ">cost", ">share", "key in summary.json"]);
        let Some(total) = self.metric("cost_usd") else { return String::new() };
        let share = |part: f64| {
            if total.mean > 0.0 { format!("{} %", grouped(100.0 * part / total.mean, 1)) } else { String::new() }
        };
        let mut row = |name: &str, key: &str, metric: &Metric| {
            table.row(vec![escaped(name), metric.text(), share(metric.mean), format!("<code>{}</code>", escaped(key))]);
        };
        row("whole bill", "cost_usd", total);
        for (key, metric) in self.metrics.iter().filter(|(key, metric)| item_of(key).is_some() && metric.mean != 0.0) {
            row(&label(key), key, metric);
        }
        for (key, metric) in self
            .metrics
            .iter()
            .filter(|(key, _)| key.starts_with("idle_") && key.ends_with("_usd") && !key.contains(':'))
            .filter(|(key, metric)| *key == "idle_cost_usd" || metric.mean != 0.0)
        {
            row(&format!("of that, {}", label(key)), key, metric);
        }
        table.html()
    }

    /// The figures of the whole run but money.
    pub(super) fn whole(&self) -> String {
        let mut table = Table::new(&format!("The whole run ({})", self.of()), ["", ">figure", "key in summary.json"]);
        for (key, metric) in self.metrics.iter().filter(|(key, _)| !key.contains(':') && !key.ends_with("_usd")) {
            table.row(vec![escaped(&label(key)), metric.text(), format!("<code>{}</code>", escaped(key))]);
        }
        table.html()
    }

    /// A table for each kind of resource with figures of its own: a row a resource, a column a metric.
    pub(super) fn parts(&self) -> String {
        let split = |key: &'_ str| -> Option<(String, String, String)> {
            let (resource, metric) = key.rsplit_once(':')?;
            let (kind, name) = resource.split_once('/').unwrap_or(("", resource));
            Some((kind.to_owned(), name.to_owned(), metric.to_owned()))
        };
        let parts: Vec<(String, String, String)> = self.metrics.keys().filter_map(|key| split(key)).collect();
        let kinds: IndexSet<&str> = parts.iter().map(|part| part.0.as_str()).collect();
        kinds.into_iter().map(|kind| self.part(kind, &parts)).collect()
    }

    fn part(&self, kind: &str, parts: &[(String, String, String)]) -> String {
        let of_kind = || parts.iter().filter(|part| part.0 == kind);
        let names: IndexSet<&str> = of_kind().map(|part| part.1.as_str()).collect();
        let prefix = if kind.is_empty() { String::new() } else { format!("{kind}/") };
        let figure = |name: &str, metric: &str| self.metric(&format!("{prefix}{name}:{metric}"));
        // A cause of idleness that no group has is no column.
        let metrics: IndexSet<&str> = of_kind()
            .map(|part| part.2.as_str())
            .filter(|metric| {
                !metric.starts_with("idle_")
                    || *metric == "idle_cost_usd"
                    || names.iter().any(|name| figure(name, metric).is_some_and(|found| found.mean != 0.0))
            })
            .collect();
        let headings =
            std::iter::once(kind.to_owned()).chain(metrics.iter().map(|metric| format!(">{}", label(metric))));
        let mut table = Table::new(&format!("By {kind} ({})", self.of()), headings);
        for name in names {
            let mut row = vec![escaped(name)];
            row.extend(metrics.iter().map(|metric| figure(name, metric).map(Metric::text).unwrap_or_default()));
            table.row(row);
        }
        table.html()
    }

    /// The objectives with their verdicts, `whose` they are; empty without any.
    pub(super) fn objectives(&self, whose: &str) -> String {
        let mut table = Table::new(
            &format!("{whose} (judged by the mean; {})", self.of()),
            ["verdict", "metric", ">figure", ">bound", "certain?", "minute by minute", "worst minute"],
        );
        for objective in &self.slo {
            let metric = self.metric(&objective.metric);
            let people = |bound: f64| metric.map_or_else(|| bound.to_string(), |metric| for_people(bound, metric.unit));
            let bounds = [
                objective.min.map(|min| format!("≥ {}", people(min))),
                objective.max.map(|max| format!("≤ {}", people(max))),
            ];
            let figure = match (metric, objective.mean) {
                (Some(metric), Some(_)) => metric.text_beside([objective.min, objective.max]),
                _ => "no such figure in this run".to_owned(),
            };
            let (class, word) = if objective.held { ("good", "✓ held") } else { ("bad", "✗ missed") };
            let certain = match objective.certain {
                Some(true) => "yes, the whole interval agrees",
                Some(false) => "no, the interval crosses the bound",
                None => "no interval",
            };
            table.row(vec![
                format!("<strong class=\"{class}\">{word}</strong>"),
                format!("{} <code>{}</code>", escaped(&label(&objective.metric)), escaped(&objective.metric)),
                figure,
                bounds.into_iter().flatten().collect::<Vec<_>>().join(" and "),
                certain.to_owned(),
                objective.details(),
                objective
                    .worst(metric.map(|metric| metric.unit), |at| findings::moment(&self.start, self.duration_s, at)),
            ]);
        }
        table.html()
    }

    /// Whether the objectives held, in a sentence; `None` without any.
    pub(super) fn verdict(&self) -> Option<(bool, String)> {
        let all = self.slo.len();
        let missed: Vec<String> =
            self.slo.iter().filter(|objective| !objective.held).map(|objective| label(&objective.metric)).collect();
        match (all, missed.len()) {
            (0, _) => None,
            (1, 0) => Some((true, "The objective was met.".to_owned())),
            (_, 0) => Some((true, format!("All {all} objectives were met."))),
            (_, count) => {
                let of = if all == 1 {
                    "The objective was missed".to_owned()
                } else {
                    format!("{count} of {all} objectives were missed")
                };
                Some((false, format!("{of}: {}.", missed.join(", "))))
            }
        }
    }

    /// The figures to look at first: what they are, and their value.
    pub(super) fn headline_figures(&self) -> Vec<(String, String)> {
        const FIRST: [&str; 4] = ["cost_usd", "idle_cost_usd", "cpu_reserved_ratio", "task_wait_p99_s"];
        let mut figures: Vec<(String, String)> =
            FIRST.iter().filter_map(|key| Some((label(key), self.metric(key)?.text()))).collect();
        let sum_of = |end: &str| -> f64 {
            self.metrics.iter().filter(|(key, _)| key.ends_with(end)).map(|(_, metric)| metric.mean).sum()
        };
        let requests = sum_of(":requests");
        if requests > 0.0 {
            let failed = sum_of(":requests_failed");
            figures.push(("requests failed".to_owned(), format!("{} %", grouped(100.0 * failed / requests, 2))));
        }
        if let Some((key, metric)) = self
            .metrics
            .iter()
            .filter(|(key, _)| key.ends_with(":latency_p99_s"))
            .max_by(|a, b| a.1.mean.total_cmp(&b.1.mean))
        {
            figures.push((label(key), metric.text()));
        }
        figures
    }
}
