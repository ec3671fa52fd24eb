//! What a run amounts to: named figures per replication, their means and intervals, the verdicts on its objectives.

use std::fmt::Write as _;

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalog::catalog;
use crate::control_plane::estate::{Estate, Slo};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::column::{Column, heading};
use crate::report::format::{beside_bound, csv_field, for_people, json_number, number, span, with_interval};
use crate::report::objective::{ObjectiveOutcome, ObjectiveRecord};
use crate::report::steady::SteadyState;
use crate::report::table::{Align, Cell, Table, Tone};
use crate::scaling::idle::IdleCause;
use crate::scenario::nearest;
use crate::stats::Estimate;
use crate::study::precision::Precision;

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// US dollars.
    #[serde(rename = "USD")]
    Usd,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Hours.
    #[serde(rename = "h")]
    Hours,
    /// A share, 1 being all.
    #[serde(rename = "ratio")]
    Ratio,
    /// A number of things.
    #[serde(rename = "count")]
    Count,
    /// Requests: a fluid model counts fractions of them, people are shown whole ones.
    #[serde(rename = "requests")]
    Requests,
}

impl Unit {
    /// As files spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Seconds => "s",
            Self::Hours => "h",
            Self::Ratio => "ratio",
            Self::Count => "count",
            Self::Requests => "requests",
        }
    }
}

/// What a reader of dollars beside a warm-up must know; noted by every run that has one.
pub const WARMUP_NOTE: &str =
    "figures leave out the warm-up; dollars, instance hours and idle costs are of the whole run";

/// The figures of one replication, in order of first mention.
///
/// Keys are `<metric>` for the whole run and `<resource>:<metric>` for a part (design, section 4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicationSummary {
    metrics: IndexMap<String, (f64, Unit)>,
    notes: IndexSet<String>,
    /// What became of each objective, in file order; empty where nobody judged them.
    pub objectives: Vec<ObjectiveOutcome>,
}

impl ReplicationSummary {
    /// Sets a figure; one that is not defined (no request, hence no latency) is left out.
    pub fn set(&mut self, key: impl Into<String>, value: f64, unit: Unit) {
        if value.is_finite() {
            self.metrics.insert(key.into(), (value, unit));
        }
    }

    /// A figure.
    pub fn get(&self, key: &str) -> Option<f64> {
        self.metrics.get(key).map(|(value, _)| *value)
    }

    /// Every figure with its unit.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64, Unit)> {
        self.metrics.iter().map(|(key, (value, unit))| (key.as_str(), *value, *unit))
    }

    /// Notes an assumption that a reader of the figures must know.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.insert(sentence.into());
    }

    /// The assumptions noted.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }
}

/// A mean over replications with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// Lower and upper end of the interval (Student's t); none with fewer than two samples.
    pub ci95: Option<[f64; 2]>,
    /// Samples.
    pub n: usize,
}

impl Figure {
    /// The mean and interval of `samples`; `None` without any.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let estimate = Estimate::from_samples(samples)?;
        let ci95 = estimate.half_width.map(|half| [estimate.mean - half, estimate.mean + half]);
        Some(Self { mean: estimate.mean, ci95, n: samples.len() })
    }

    /// Half the width of the interval.
    pub fn half_width(&self) -> Option<f64> {
        self.ci95.map(|[low, high]| (high - low) / 2.0)
    }

    /// The mean with its interval, if it has one, for people.
    pub fn to_text(&self, unit: Unit) -> String {
        match self.half_width() {
            Some(half) if half > 0.0 => with_interval(self.mean, half, unit),
            _ => for_people(self.mean, unit),
        }
    }

    /// `{mean, ci95, n}` as JSON.
    pub fn to_json(&self) -> Value {
        let ci95 = self.ci95.map(|[low, high]| json!([json_number(low), json_number(high)]));
        json!({ "mean": json_number(self.mean), "ci95": ci95, "n": self.n })
    }
}

/// The figures of all replications together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    metrics: IndexMap<String, (Figure, Unit)>,
    notes: IndexSet<String>,
    replications: usize,
}

impl Summary {
    /// Means and intervals over `replications`; a figure that some of them lack is the mean of the others.
    pub fn of(replications: &[ReplicationSummary]) -> Self {
        let mut samples: IndexMap<&str, (Vec<f64>, Unit)> = IndexMap::new();
        for (key, value, unit) in replications.iter().flat_map(ReplicationSummary::iter) {
            samples.entry(key).or_insert_with(|| (Vec::new(), unit)).0.push(value);
        }
        let metrics = samples
            .into_iter()
            .filter_map(|(key, (values, unit))| Some((key.to_owned(), (Figure::of(&values)?, unit))))
            .collect();
        let notes = replications.iter().flat_map(ReplicationSummary::notes).map(str::to_owned).collect();
        Self { metrics, notes, replications: replications.len() }
    }

    /// A figure.
    pub fn get(&self, key: &str) -> Option<&Figure> {
        self.metrics.get(key).map(|(figure, _)| figure)
    }

    /// Every figure with its unit.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Figure, Unit)> {
        self.metrics.iter().map(|(key, (figure, unit))| (key.as_str(), figure, *unit))
    }

    /// Unit of a figure.
    pub fn unit(&self, key: &str) -> Option<Unit> {
        self.metrics.get(key).map(|(_, unit)| *unit)
    }

    /// How many replications it is of.
    pub const fn replications(&self) -> usize {
        self.replications
    }

    /// The assumptions that its figures rest on.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Judges each objective by the mean over the replications.
    pub fn judge(&self, objectives: &[Slo]) -> Vec<Verdict> {
        objectives
            .iter()
            .map(|slo| {
                let figure = self.get(&slo.metric).copied();
                let within = |value: f64| slo.holds(value);
                let held = figure.is_some_and(|figure| within(figure.mean));
                let certain = figure
                    .and_then(|figure| figure.ci95)
                    .map(|ends| if held { ends.into_iter().all(within) } else { !within_any(slo, ends) });
                Verdict { slo: slo.clone(), figure, unit: self.unit(&slo.metric), held, certain, record: None }
            })
            .collect()
    }
}

/// A count of minutes, whole or with one decimal: means over replications need not be whole.
fn number_of(minutes: f64) -> String {
    if minutes.fract() == 0.0 { format!("{minutes:.0}") } else { format!("{minutes:.1}") }
}

/// Whether any value of the interval holds.
fn within_any(slo: &Slo, [low, high]: [f64; 2]) -> bool {
    slo.max.is_none_or(|max| low <= max) && slo.min.is_none_or(|min| high >= min)
}

/// Whether an objective was met.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The objective.
    pub slo: Slo,
    /// The figure it is about; none when the run has no such figure, which counts as missed.
    pub figure: Option<Figure>,
    /// Unit of the figure.
    pub unit: Option<Unit>,
    /// Whether the mean is within the bounds.
    pub held: bool,
    /// Whether the whole interval says the same; none without an interval.
    pub certain: Option<bool>,
    /// Replication by replication and minute by minute; none where only the figures are known.
    pub record: Option<ObjectiveRecord>,
}

impl Verdict {
    /// As in `summary.json`.
    fn to_json(&self) -> Value {
        let mut json = json!({
            "metric": self.slo.metric,
            "max": self.slo.max.map(json_number),
            "min": self.slo.min.map(json_number),
            "mean": self.figure.map(|figure| json_number(figure.mean)),
            "held": self.held,
            "certain": self.certain,
        });
        if let (Some(json), Some(Value::Object(record))) =
            (json.as_object_mut(), self.record.as_ref().map(ObjectiveRecord::to_json))
        {
            json.extend(record);
        }
        json
    }

    /// What the figure alone does not say: the replications, the minutes, the budget.
    fn details(&self) -> String {
        let Some(record) = &self.record else { return String::new() };
        let mut parts = Vec::new();
        let (held, all) = record.held_in;
        if all > 1 {
            parts.push(format!("held in {held} of {all}"));
        }
        if let Some((missed, judged)) = record.minutes_missed.filter(|(_, judged)| *judged > 0.0) {
            parts.push(format!("{} of {} min beyond", number_of(missed), number_of(judged)));
        }
        if let Some(spent) = record.budget_spent {
            parts.push(format!("{} of the error budget", for_people(spent, Unit::Ratio)));
        }
        parts.join(", ")
    }

    /// The worst minute and why, in a sentence.
    fn worst(&self) -> Option<String> {
        let worst = self.record.as_ref()?.worst.as_ref()?;
        let value = self.unit.map_or_else(|| number(worst.value), |unit| for_people(worst.value, unit));
        let at = SimTime::ZERO + SimDuration::from_secs_f64(worst.at_s);
        Some(format!("worst minute of {}: {value} at {at}; {}", label(&self.slo.metric), worst.why))
    }

    /// The figure, so that it shows on which side of its bounds it is.
    fn figure_text(&self, mean: f64, unit: Unit) -> String {
        let usual = for_people(mean, unit);
        let bounds = [self.slo.min, self.slo.max].into_iter().flatten();
        bounds.map(|bound| beside_bound(mean, bound, unit)).find(|text| *text != usual).unwrap_or(usual)
    }

    fn bounds(&self) -> String {
        let people = |bound: f64| self.unit.map_or_else(|| number(bound), |unit| for_people(bound, unit));
        let bounds = [
            self.slo.min.map(|min| format!("≥ {}", people(min))),
            self.slo.max.map(|max| format!("≤ {}", people(max))),
        ];
        bounds.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}

/// The columns of `summary.csv`.
pub(super) static COLUMNS: [Column; 4] =
    [Column::count("replication"), Column::text("metric"), Column::number("value"), Column::text("unit")];

/// A run's estate, figures and verdicts: what `summary.json`, `summary.csv` and the table on stdout say.
#[derive(Clone, Debug)]
pub struct RunReport<'e> {
    estate: &'e Estate,
    replications: &'e [ReplicationSummary],
    /// Means and intervals.
    pub summary: Summary,
    /// The objectives, in file order.
    pub verdicts: Vec<Verdict>,
    /// The precisions that were asked for.
    pub precisions: Vec<Precision>,
    /// What one long run says of its steady state, where it was asked.
    pub steady_state: Option<SteadyState>,
}

impl<'e> RunReport<'e> {
    /// The report on all replications of an estate.
    pub fn new(estate: &'e Estate, replications: &'e [ReplicationSummary]) -> Self {
        let summary = Summary::of(replications);
        let mut verdicts = summary.judge(&estate.slo);
        for (place, verdict) in verdicts.iter_mut().enumerate() {
            let outcomes: Vec<&ObjectiveOutcome> =
                replications.iter().filter_map(|replication| replication.objectives.get(place)).collect();
            verdict.record = ObjectiveRecord::of(&outcomes);
        }
        Self { estate, replications, summary, verdicts, precisions: Vec::new(), steady_state: None }
    }

    /// The precisions asked for that the replications do not reach.
    pub fn imprecise(&self) -> impl Iterator<Item = &Precision> {
        self.precisions.iter().filter(|precision| !precision.reached(&self.estimate(&precision.metric)))
    }

    /// A figure as an estimate; of no figure nothing is known.
    fn estimate(&self, metric: &str) -> Estimate {
        let figure = self.summary.get(metric);
        figure.map_or(Estimate { mean: f64::NAN, half_width: None, n: 0 }, |figure| Estimate {
            mean: figure.mean,
            half_width: figure.half_width(),
            n: figure.n,
        })
    }

    /// True when every objective was met and every precision reached: else the exit status is 1.
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.held) && self.imprecise().next().is_none()
    }

    /// `summary.json`: the same run gives the same bytes, so no wall-clock time is in it.
    pub fn to_json(&self) -> Value {
        let estate = self.estate;
        let metrics: Map<String, Value> = self
            .summary
            .iter()
            .map(|(key, figure, unit)| {
                let mut value = figure.to_json();
                value["unit"] = unit.as_str().into();
                (key.to_owned(), value)
            })
            .collect();
        let by_item: Map<String, Value> = self
            .summary
            .iter()
            .filter_map(|(key, figure, _)| Some((item_of(key)?.to_owned(), figure.to_json())))
            .collect();
        let mut json = json!({
            "scenario": estate.name,
            "description": estate.description,
            "version": env!("CARGO_PKG_VERSION"),
            "catalog_as_of": catalog().as_of(),
            "seed": estate.seed,
            "replications": self.replications.len(),
            "start": estate.start.to_string(),
            "duration_s": json_number(estate.duration.as_secs_f64()),
            "warmup_s": json_number(estate.warmup.as_secs_f64()),
            "region": estate.region,
            "metrics": metrics,
            "cost_by_item": by_item,
            "slo": self.verdicts.iter().map(Verdict::to_json).collect::<Vec<_>>(),
            "warnings": estate.warnings,
            "assumptions": self.summary.notes().collect::<Vec<_>>(),
        });
        if !self.precisions.is_empty() {
            let told = |precision: &Precision| {
                let estimate = self.estimate(&precision.metric);
                json!({
                    "metric": precision.metric,
                    "asked": precision.to_string(),
                    "half_width": estimate.half_width.map(json_number),
                    "n": estimate.n,
                    "reached": precision.reached(&estimate),
                })
            };
            json["precision"] = self.precisions.iter().map(told).collect();
        }
        if let Some(steady) = &self.steady_state {
            json["steady_state"] = steady.to_json();
        }
        json
    }

    /// `summary.csv`, with [`COLUMNS`].
    pub fn to_csv(&self) -> String {
        let mut text = heading(&COLUMNS);
        for (place, replication) in self.replications.iter().enumerate() {
            for (key, value, unit) in replication.iter() {
                let key = csv_field(key);
                writeln!(text, "{place},{key},{},{}", number(value), unit.as_str()).expect("a String takes any text");
            }
        }
        text
    }

    /// The table on stdout.
    pub fn to_text(&self, colour: bool) -> String {
        let estate = self.estate;
        let mut text = String::new();
        let replications = match self.replications.len() {
            1 => "1 replication".to_owned(),
            more => format!("{more} replications, means ± 95 % intervals"),
        };
        let span_of = span(estate.duration.as_secs_f64());
        text.push_str(&Tone::Strong.paint(&estate.name, colour));
        let facts = format!("{span_of} in {}, seed {}, {replications}", estate.region, estate.seed);
        text.push_str("  ");
        text.push_str(&Tone::Dim.paint(&facts, colour));
        text.push('\n');
        if !estate.warmup.is_zero() {
            let warmup = format!("{} of warm-up: {WARMUP_NOTE}", span(estate.warmup.as_secs_f64()));
            text.push_str(&Tone::Dim.paint(&warmup, colour));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.bill_table().render(colour));
        text.push('\n');
        text.push_str(&self.figures_table().render(colour));
        let parts = [
            (&SERVICE_COLUMNS[..], "service"),
            (&ELASTICITY_COLUMNS[..], "service"),
            (&QUEUE_COLUMNS[..], "queue"),
            (&RULE_COLUMNS[..], "event-rule"),
        ];
        for (keys, key_name) in parts {
            let table = self.part_table(keys, key_name);
            if !table.is_empty() {
                text.push('\n');
                text.push_str(&table.render(colour));
            }
            let explained: &[&str] = match keys.first() {
                Some(("requests", _)) if self.has_part("below_desired_s") => &TIMESHARES,
                Some(("under_accuracy_ratio", _)) => &ELASTICITY,
                _ => &[],
            };
            if !table.is_empty() {
                for line in explained {
                    text.push_str(&Tone::Dim.paint(&format!("  {line}\n"), colour));
                }
            }
        }
        if !self.verdicts.is_empty() {
            text.push('\n');
            text.push_str(&self.verdict_table().render(colour));
            for worst in self.verdicts.iter().filter_map(Verdict::worst) {
                text.push_str(&Tone::Dim.paint(&format!("  {worst}\n"), colour));
            }
        }
        if !self.precisions.is_empty() {
            text.push('\n');
            text.push_str(&self.precision_table().render(colour));
        }
        if let Some(steady) = &self.steady_state {
            text.push('\n');
            text.push_str(&steady.to_text(colour));
        }
        text
    }

    fn precision_table(&self) -> Table {
        let mut table =
            Table::new([("precision", Align::Left), ("", Align::Left), ("", Align::Right), ("", Align::Left)]);
        for precision in &self.precisions {
            let estimate = self.estimate(&precision.metric);
            let (word, tone) =
                if precision.reached(&estimate) { ("reached", Tone::Good) } else { ("MISSED", Tone::Bad) };
            let half = estimate.half_width.filter(|_| estimate.mean != 0.0);
            let share = half.map_or_else(String::new, |half| format!("± {:.2} %", 100.0 * half / estimate.mean.abs()));
            table.row([
                Cell::new(word, tone),
                Cell::from(precision.metric.as_str()),
                Cell::from(share),
                Cell::new(format!("asked for {precision}, {} replications", estimate.n), Tone::Dim),
            ]);
        }
        table
    }

    fn bill_table(&self) -> Table {
        let mut table = Table::new([("", Align::Left), ("", Align::Right), ("", Align::Right)]);
        let Some(total) = self.summary.get("cost_usd") else { return table };
        let share = |part: f64| {
            if total.mean > 0.0 { format!("{:.1} %", 100.0 * part / total.mean) } else { String::new() }
        };
        table.row([
            Cell::new("cost", Tone::Strong),
            Cell::new(total.to_text(Unit::Usd), Tone::Strong),
            Cell::default(),
        ]);
        // What costs nothing is in the files; here it would only be in the way.
        let charged = |key: &str, figure: &Figure| item_of(key).is_some() && figure.mean != 0.0;
        for (key, figure, unit) in self.summary.iter().filter(|(key, figure, _)| charged(key, figure)) {
            table.row([
                Cell::from(format!("  {}", label(key))),
                Cell::from(figure.to_text(unit)),
                Cell::new(share(figure.mean), Tone::Dim),
            ]);
        }
        if let Some(idle) = self.summary.get("idle_cost_usd") {
            table.row([
                Cell::from("idle, of that"),
                Cell::from(idle.to_text(Unit::Usd)),
                Cell::new(share(idle.mean), Tone::Dim),
            ]);
            let mut causes: Vec<_> =
                self.summary.iter().filter(|(key, figure, _)| idle_cause(key).is_some() && figure.mean > 0.0).collect();
            causes.sort_by(|one, other| other.1.mean.total_cmp(&one.1.mean));
            for (key, figure, unit) in causes.into_iter().take(IDLE_ROWS) {
                table.row([
                    Cell::from(format!("  {}", label(key))),
                    Cell::from(figure.to_text(unit)),
                    Cell::new(share(figure.mean), Tone::Dim),
                ]);
            }
        }
        table
    }

    fn figures_table(&self) -> Table {
        let mut table = Table::new([("", Align::Left), ("", Align::Right)]);
        for (key, figure, unit) in self.summary.iter() {
            let told_elsewhere = key.contains(':')
                || item_of(key).is_some()
                || key == "cost_usd"
                || key.starts_with("idle_") && key.ends_with("_usd");
            if !told_elsewhere {
                table.row([Cell::from(label(key)), Cell::from(figure.to_text(unit))]);
            }
        }
        table
    }

    /// Whether some resource has a figure of this name.
    fn has_part(&self, metric: &str) -> bool {
        self.summary.iter().any(|(key, ..)| key.rsplit_once(':').is_some_and(|(_, name)| name == metric))
    }

    /// One row for each resource with any of these metrics.
    fn part_table(&self, columns: &[(&'static str, &'static str)], kind: &str) -> Table {
        let prefix = format!("{kind}/");
        let mut resources: IndexSet<&str> = IndexSet::new();
        for (key, ..) in self.summary.iter() {
            if let Some((resource, metric)) = key.rsplit_once(':')
                && resource.starts_with(&prefix)
                && columns.iter().any(|(name, _)| *name == metric)
            {
                resources.insert(resource);
            }
        }
        // A column that no resource has a figure for is left out.
        let used: Vec<_> = columns
            .iter()
            .filter(|(metric, _)| {
                resources.iter().any(|resource| self.summary.get(&format!("{resource}:{metric}")).is_some())
            })
            .collect();
        let headings = used.iter().map(|(_, heading)| (*heading, Align::Right));
        let mut table = Table::new([(kind, Align::Left)].into_iter().chain(headings));
        for resource in resources {
            let mut row = vec![Cell::from(resource.trim_start_matches(&prefix))];
            for (metric, _) in &used {
                let key = format!("{resource}:{metric}");
                let text =
                    self.summary.metrics.get(&key).map(|(figure, unit)| self.cell_text(metric, figure.mean, *unit));
                row.push(Cell::from(text.unwrap_or_default()));
            }
            table.row(row);
        }
        table
    }

    /// A figure of a part; provisioning times as shares of the measured time.
    fn cell_text(&self, metric: &str, value: f64, unit: Unit) -> String {
        let measured = self.estate.duration.as_secs_f64() - self.estate.warmup.as_secs_f64();
        if matches!(metric, "under_capacity_s" | "over_capacity_s") && measured > 0.0 {
            return for_people(value / measured, Unit::Ratio);
        }
        for_people(value, unit)
    }

    fn verdict_table(&self) -> Table {
        let mut table = Table::new([
            ("objective", Align::Left),
            ("", Align::Left),
            ("", Align::Right),
            ("", Align::Left),
            ("", Align::Left),
        ]);
        for verdict in &self.verdicts {
            let (word, tone) = if verdict.held { ("held", Tone::Good) } else { ("MISSED", Tone::Bad) };
            let unsure = if verdict.certain == Some(false) { ", but the interval crosses the bound" } else { "" };
            let figure = match (verdict.figure, verdict.unit) {
                (Some(figure), Some(unit)) => verdict.figure_text(figure.mean, unit),
                _ => "no such figure in this run".to_owned(),
            };
            table.row([
                Cell::new(word, tone),
                Cell::from(verdict.slo.metric.as_str()),
                Cell::from(figure),
                Cell::new(format!("{}{unsure}", verdict.bounds()), Tone::Dim),
                Cell::new(verdict.details(), Tone::Dim),
            ]);
        }
        table
    }
}

/// At most this many causes of idle cost in the table, the dearest: all are in the files.
const IDLE_ROWS: usize = 3;

const SERVICE_COLUMNS: [(&str, &str); 10] = [
    ("requests", "requests"),
    ("requests_failed", "failed"),
    ("latency_mean_s", "mean"),
    ("latency_p50_s", "p50"),
    ("latency_p95_s", "p95"),
    ("latency_p99_s", "p99"),
    ("scaling_actions", "scalings"),
    ("below_desired_s", "below desired"),
    ("under_capacity_s", "under-prov."),
    ("over_capacity_s", "over-prov."),
];

/// What the last columns of the services' table mean.
const TIMESHARES: [&str; 3] = [
    "below desired: time with fewer tasks running than the desired count",
    "under-prov., over-prov.: share of time in which the running tasks were too few for the load, or one fewer would have",
    "met the CPU target; without a modelled load, in which they were fewer or more than the desired count",
];

/// Columns of the metrics of [`Elasticity`](crate::report::elasticity::Elasticity).
const ELASTICITY_COLUMNS: [(&str, &str); 5] = [
    ("under_accuracy_ratio", "lacking θ_U"),
    ("over_accuracy_ratio", "excess θ_O"),
    ("under_timeshare_ratio", "time τ_U"),
    ("over_timeshare_ratio", "time τ_O"),
    ("instability_ratio", "instability υ"),
];

/// What these columns mean.
const ELASTICITY: [&str; 2] = [
    "θ: mean lack or excess of tasks over those that the load of each minute needs; τ: share of time with either;",
    "υ: share of time in which tasks and need did not move the same way (SPEC RG Cloud)",
];

const RULE_COLUMNS: [(&str, &str); 6] = [
    ("events", "events"),
    ("invocations", "calls"),
    ("retries", "retries"),
    ("tasks_not_placed", "not placed"),
    ("events_dead_lettered", "dead"),
    ("events_lost", "lost"),
];

const QUEUE_COLUMNS: [(&str, &str); 9] = [
    ("messages", "messages"),
    ("backlog_max", "backlog max"),
    ("age_max_s", "oldest"),
    ("drain_max_s", "drained in"),
    ("time_in_queue_mean_s", "waited"),
    ("time_in_queue_p99_s", "p99"),
    ("messages_redelivered", "redelivered"),
    ("messages_dead_lettered", "dead"),
    ("messages_left", "left"),
];

/// The cause of `idle_<cause>_usd`.
fn idle_cause(key: &str) -> Option<IdleCause> {
    IdleCause::named(key.strip_prefix("idle_")?.strip_suffix("_usd")?)
}

/// Whether a figure is a share of another: of the idle cost, that of one group or provider; of the failed requests, those of
/// one cause. It is in the files, not in tables.
pub fn is_share(key: &str) -> bool {
    key.rsplit_once(':').is_some_and(|(_, metric)| {
        metric == "idle_cost_usd" || idle_cause(metric).is_some() || metric.starts_with("requests_failed_")
    })
}

/// The item of `cost_<item>_usd`.
fn item_of(key: &str) -> Option<&str> {
    key.strip_prefix("cost_")?.strip_suffix("_usd")
}

/// What is said of a metric that a run has no figure of, with the nearest that it has.
pub fn no_figure<'k>(metric: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let known: IndexSet<&str> = known.into_iter().collect();
    let known: Vec<&str> = known.into_iter().collect();
    // Of one service there is one p99: who asks for it without its name means that one.
    let part = format!(":{metric}");
    let hint = match nearest(metric, &known).or_else(|| known.iter().copied().find(|key| key.ends_with(&part))) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => "; `summary.csv` of a run lists what it has".to_owned(),
    };
    format!("a run has no figure `{metric}`{hint}")
}

/// What people call a metric.
pub fn label(key: &str) -> String {
    let (resource, metric) = key.rsplit_once(':').map_or(("", key), |(resource, metric)| (resource, metric));
    let idle = idle_cause(metric).map(|cause| format!("idle: {}", cause.label()));
    let name = match metric {
        _ if idle.is_some() => idle.as_deref().unwrap_or_default(),
        "cost_usd" => "cost",
        "cost_ec2_on_demand_usd" => "EC2 on demand",
        "cost_ec2_spot_usd" => "EC2 Spot",
        "cost_ebs_usd" => "EBS root volumes",
        "cost_public_ipv4_usd" => "public IPv4 addresses",
        "cost_fargate_usd" => "Fargate",
        "cost_fargate_spot_usd" => "Fargate Spot",
        "cost_load_balancer_usd" => "load balancers",
        "cost_lcu_usd" => "load balancer capacity units",
        "cost_cloudwatch_alarm_usd" => "CloudWatch alarms",
        "cost_cloudwatch_metric_usd" => "CloudWatch metrics",
        "cost_ecr_storage_usd" => "images in ECR",
        "cost_nat_gateway_usd" => "image pulls through NAT",
        "idle_cost_usd" => "idle hosts",
        "instance_hours" => "instance hours",
        "instances_peak" => "most hosts at once",
        "idle_cpu_ratio" => "CPU of idle hosts",
        "cpu_reserved_ratio" => "CPU reserved",
        "cpu_used_ratio" => "CPU used",
        "memory_reserved_ratio" => "memory reserved",
        "tasks_started" => "tasks started",
        "tasks_failed" => "tasks failed",
        "task_wait_p50_s" => "task wait, median",
        "task_wait_p99_s" => "task wait, p99",
        "requests_failed" => "requests failed",
        "requests_failed_no_healthy_target" => "requests failed: no healthy target",
        "requests_failed_timeout" => "requests failed: time-out",
        "requests_failed_connection_refused" => "requests failed: connection refused",
        "requests_failed_task_killed" => "requests failed: task killed",
        "requests_failed_application_error" => "requests failed: application error",
        "requests_retried" => "tries after the first",
        "availability_ratio" => "availability",
        "under_accuracy_ratio" => "tasks lacking (θ_U)",
        "over_accuracy_ratio" => "tasks in excess (θ_O)",
        "under_timeshare_ratio" => "share of time under (τ_U)",
        "over_timeshare_ratio" => "share of time over (τ_O)",
        "instability_ratio" => "instability (υ)",
        "tasks_not_placed" => "tasks not placed",
        "events_dead_lettered" => "events dead-lettered",
        "events_lost" => "events lost",
        "latency_mean_s" => "latency, mean",
        "latency_p50_s" => "latency, median",
        "latency_p90_s" => "latency, p90",
        "latency_p95_s" => "latency, p95",
        "latency_p99_s" => "latency, p99",
        "latency_p999_s" => "latency, p99.9",
        "scaling_actions" => "scaling actions",
        "below_desired_s" => "time below desired count",
        "under_capacity_s" => "under-provisioned time",
        "over_capacity_s" => "over-provisioned time",
        "backlog_max" => "backlog, largest",
        "age_max_s" => "oldest message",
        "in_flight_max" => "in flight, most",
        "drain_max_s" => "longest drain",
        "time_in_queue_mean_s" => "time in queue, mean",
        "time_in_queue_p99_s" => "time in queue, p99",
        "messages_deleted" => "messages deleted",
        "messages_redelivered" => "messages redelivered",
        "messages_dead_lettered" => "messages dead-lettered",
        "messages_expired" => "messages expired",
        "messages_left" => "messages left over",
        other => other,
    };
    match resource.trim_start_matches("service/").trim_start_matches("queue/").trim_start_matches("event-rule/") {
        "" => name.to_owned(),
        part => format!("{part}: {name}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An estate with nothing in it.
    pub(in crate::report) fn empty_estate() -> Estate {
        crate::report::tests::estate()
    }

    pub(in crate::report) fn replication(cost: f64, p99: f64) -> ReplicationSummary {
        let mut summary = ReplicationSummary::default();
        summary.set("cost_usd", cost, Unit::Usd);
        summary.set("cost_ec2_on_demand_usd", cost * 0.75, Unit::Usd);
        summary.set("cost_load_balancer_usd", cost * 0.25, Unit::Usd);
        summary.set("idle_cost_usd", cost * 0.1, Unit::Usd);
        summary.set("instance_hours", 61.2, Unit::Hours);
        summary.set("cpu_reserved_ratio", 0.712, Unit::Ratio);
        summary.set("tasks_started", 1203.0, Unit::Count);
        summary.set("task_wait_p99_s", p99 * 100.0, Unit::Seconds);
        summary.set("service/default/web:requests", 1.2e6, Unit::Requests);
        summary.set("service/default/web:latency_p99_s", p99, Unit::Seconds);
        summary.set("service/default/web:latency_mean_s", f64::NAN, Unit::Seconds);
        summary
    }

    fn report_of(estate: &Estate, replications: &[ReplicationSummary]) -> String {
        RunReport::new(estate, replications).to_text(false)
    }

    fn estate_with_objectives() -> Estate {
        let slo =
            |metric: &str, max: Option<f64>, min: Option<f64>| Slo { metric: metric.into(), max, min, budget: None };
        Estate {
            name: "web-day".into(),
            duration: SimDuration::from_secs(86_400),
            slo: vec![
                slo("service/default/web:latency_p99_s", Some(0.3), None),
                slo("cost_usd", Some(12.1), None),
                slo("cpu_reserved_ratio", None, Some(0.8)),
                slo("service/default/ghost:requests", Some(1.0), None),
            ],
            ..empty_estate()
        }
    }

    #[test]
    fn the_table_on_stdout_is_short_and_aligned() {
        let estate = estate_with_objectives();
        let replications = [replication(12.0, 0.21), replication(12.4, 0.22), replication(11.6, 0.2)];
        insta::assert_snapshot!(report_of(&estate, &replications));
        insta::assert_snapshot!("one_replication", report_of(&estate, &replications[..1]));
    }

    #[test]
    fn what_costs_nothing_is_in_the_files_only() {
        let mut run = replication(12.0, 0.21);
        run.set("cost_cloudwatch_alarm_usd", 0.0, Unit::Usd);
        let estate = empty_estate();
        let replications = [run];
        let report = RunReport::new(&estate, &replications);
        assert!(!report.to_text(false).contains("CloudWatch alarms"), "{}", report.to_text(false));
        assert_eq!(report.to_json()["cost_by_item"]["cloudwatch_alarm"]["mean"], json!(0));
    }

    #[test]
    fn people_read_whole_requests_and_shares_of_the_measured_time() {
        let mut run = replication(12.0, 0.21);
        run.set("service/default/web:requests_failed", 41.378, Unit::Requests);
        run.set("service/default/web:below_desired_s", 90.0, Unit::Seconds);
        run.set("service/default/web:under_capacity_s", 600.0, Unit::Seconds);
        run.set("service/default/web:over_capacity_s", 1500.0, Unit::Seconds);
        let minutes = SimDuration::from_mins;
        let estate = Estate { duration: minutes(60), warmup: minutes(10), ..empty_estate() };
        let replications = [run];
        insta::assert_snapshot!("a_service_after_a_warm_up", RunReport::new(&estate, &replications).to_text(false));
    }

    #[test]
    fn summary_json_holds_means_intervals_and_verdicts() {
        let estate = estate_with_objectives();
        let replications = [replication(12.0, 0.21), replication(12.4, 0.22)];
        let json = RunReport::new(&estate, &replications).to_json();
        assert_eq!(json["metrics"]["cost_usd"]["mean"], json!(12.2));
        assert_eq!(json["metrics"]["cost_usd"]["n"], json!(2));
        assert_eq!(json["metrics"]["cost_usd"]["unit"], json!("USD"));
        let [low, high] = [0, 1].map(|end| json["metrics"]["cost_usd"]["ci95"][end].as_f64().unwrap());
        // t(0.975, 1) = 12.706, standard error 0.2.
        assert!((low - (12.2 - 2.5412)).abs() < 1e-3 && (high - (12.2 + 2.5412)).abs() < 1e-3, "{low} {high}");
        assert_eq!(
            json["cost_by_item"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["ec2_on_demand", "load_balancer"]
        );
        assert_eq!(json["metrics"].get("service/default/web:latency_mean_s"), None, "undefined, so absent");
        let held: Vec<_> = json["slo"].as_array().unwrap().iter().map(|slo| slo["held"].as_bool().unwrap()).collect();
        assert_eq!(held, [true, false, false, false]);
        assert_eq!(json["slo"][3]["mean"], Value::Null);
        assert_eq!(json["slo"][1]["certain"], json!(false), "the interval reaches below 12.1");
        assert!(!RunReport::new(&estate, &replications).holds());
    }

    #[test]
    fn one_replication_has_no_interval() {
        let json = RunReport::new(&empty_estate(), &[replication(1.0, 0.1)]).to_json();
        assert_eq!(json["metrics"]["cost_usd"]["ci95"], Value::Null);
        assert_eq!(json["metrics"]["cost_usd"]["n"], json!(1));
    }

    #[test]
    fn summary_csv_has_a_row_for_each_figure_and_replication() {
        let mut odd = ReplicationSummary::default();
        odd.set("service/default/a,b:requests", 0.1, Unit::Count);
        let csv = RunReport::new(&empty_estate(), &[odd.clone(), odd]).to_csv();
        assert_eq!(
            csv,
            "replication,metric,value,unit\n0,\"service/default/a,b:requests\",0.1,count\n1,\"service/default/a,b:requests\",0.1,count\n"
        );
    }
}
