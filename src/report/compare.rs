//! Variants of one scenario against the first of them, replication by replication on the same random numbers.

use std::fmt::Write as _;

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};

use crate::report::bill::Item;
use crate::report::column::{Column, heading};
use crate::report::format::{csv_field, for_people, grouped, number};
use crate::report::summary::{Figure, ReplicationSummary, Unit, WARMUP_NOTE, is_share, label};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::stats::{Estimate, correlation, holm};
use crate::study::tolerance::Better;

/// The file a comparison is kept in.
pub const COMPARISON: &str = "compare.json";

/// Variants compared with the first one, the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the scenario.
    pub scenario: String,
    /// Names of the variants; the first is the baseline.
    pub variants: Vec<String>,
    /// Replications of each.
    pub replications: usize,
    /// What came out, a sentence for each variant but the baseline.
    pub headlines: Vec<String>,
    /// One row a metric.
    pub rows: Vec<Row>,
    /// What the figures of the variants rest on.
    #[serde(default)]
    pub assumptions: Vec<String>,
}

/// One metric over all variants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Key of the metric.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Mean and interval of each variant; none where it has no such figure.
    pub means: Vec<Option<Figure>>,
    /// Paired difference of each variant but the baseline to the baseline.
    pub differences: Vec<Option<Difference>>,
}

/// A paired difference to the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean of the differences of the replications, in the metric's unit.
    pub absolute: Figure,
    /// The same as a share of the baseline's mean; none when that is zero.
    pub relative: Option<Figure>,
    /// Whether the 95 % interval excludes zero; none without an interval.
    pub excludes_zero: Option<bool>,
    /// How often chance alone makes a difference this large (paired t test); none without an interval.
    #[serde(default)]
    pub p_value: Option<f64>,
    /// The same, raised for all variants being compared with the baseline at once (Holm).
    #[serde(default)]
    pub p_holm: Option<f64>,
    /// Correlation of the pairs: what facing the same random numbers gains. None when one side does not vary.
    #[serde(default)]
    pub correlation: Option<f64>,
}

/// Half the width of an interval, as a share of the mean, beyond which that it holds zero tells nothing.
pub(super) const TELLING: f64 = 0.05;

/// How many replications narrow an interval from `half` to `wanted`, when `n` have given it: it shrinks with their square root.
pub(super) fn replications_for(half: f64, wanted: f64, n: usize) -> String {
    let needed = (n as f64 * (half / wanted) * (half / wanted)).ceil();
    // Two digits: it is a rough guess from few replications.
    let scale = libm::pow(10.0, (libm::log10(needed.max(1.0)).floor() - 1.0).max(0.0));
    grouped((needed / scale).ceil() * scale, 0)
}

/// The chance of a false alarm that a difference called certain may have.
const SIGNIFICANCE: f64 = 0.05;

/// The columns of `compare.csv`.
pub(super) static COLUMNS: [Column; 17] = [
    Column::text("metric"),
    Column::text("unit"),
    Column::text("variant"),
    Column::number("mean"),
    Column::number("ci95_low"),
    Column::number("ci95_high"),
    Column::count("n"),
    Column::number("difference"),
    Column::number("difference_low"),
    Column::number("difference_high"),
    Column::number("relative"),
    Column::number("relative_low"),
    Column::number("relative_high"),
    Column::truth("excludes_zero"),
    Column::number("p_value"),
    Column::number("p_holm"),
    Column::number("correlation"),
];

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// For the better, and certainly so.
    Better,
    /// For the worse, and certainly so.
    Worse,
    /// Certain, but the metric has no better end.
    Different,
    /// Nothing, or less than its figures show.
    Same,
    /// The interval holds zero, or would with so many variants, or there is none.
    Unclear,
}

impl Difference {
    /// The difference of `variant` to `baseline`, paired; `None` without pairs.
    fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(baseline, variant)| variant - baseline).collect();
        let absolute = Figure::of(&differences)?;
        let mean = pairs.iter().map(|(baseline, _)| baseline).sum::<f64>() / pairs.len() as f64;
        let relative = (mean != 0.0).then(|| Figure {
            mean: absolute.mean / mean.abs(),
            ci95: absolute.ci95.map(|ends| ends.map(|end| end / mean.abs())),
            n: absolute.n,
        });
        let excludes_zero = absolute.ci95.map(|[low, high]| low > 0.0 || high < 0.0);
        let p_value = Estimate::from_samples(&differences).and_then(|estimate| estimate.p_value(0.0));
        Some(Self { absolute, relative, excludes_zero, p_value, p_holm: p_value, correlation: correlation(pairs) })
    }

    /// Whether it, and the interval around it, would be read as 0.0 %.
    pub fn is_invisible(&self) -> bool {
        let invisible = |figure: &Figure| {
            let [low, high] = figure.ci95.unwrap_or([figure.mean; 2]);
            [figure.mean, low, high].into_iter().all(rounds_to_nothing)
        };
        let exactly = self.absolute.mean == 0.0 && self.absolute.half_width().is_none_or(|half| half == 0.0);
        exactly || self.relative.as_ref().is_some_and(invisible)
    }

    /// Whether it is there however many variants are compared; none without an interval.
    pub fn is_certain(&self) -> Option<bool> {
        Some(self.excludes_zero? && self.p_holm.is_none_or(|p| p < SIGNIFICANCE))
    }
}

/// Raises the p-values of one metric's differences: each variant more is one chance more of a false alarm.
fn adjust(differences: &mut [Option<Difference>]) {
    let tested: Vec<usize> =
        (0..differences.len()).filter(|place| differences[*place].is_some_and(|d| d.p_value.is_some())).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|place| differences[*place]?.p_value).collect();
    for (place, p) in tested.into_iter().zip(holm(&p_values)) {
        if let Some(difference) = &mut differences[place] {
            difference.p_holm = Some(p);
        }
    }
}

impl Row {
    /// What the difference of a variant means; `variant` counts from 0 for the first after the baseline.
    pub fn effect(&self, variant: usize) -> Effect {
        let Some(difference) = self.differences.get(variant).and_then(Option::as_ref) else { return Effect::Unclear };
        if difference.is_invisible() {
            return Effect::Same;
        }
        if difference.is_certain() != Some(true) {
            return Effect::Unclear;
        }
        match (better_end(&self.metric), difference.absolute.mean < 0.0) {
            (Better::Neither, _) => Effect::Different,
            (Better::Less, true) | (Better::More, false) => Effect::Better,
            _ => Effect::Worse,
        }
    }
}

/// Which end of a metric is better.
pub fn better_end(key: &str) -> Better {
    let metric = key.rsplit_once(':').map_or(key, |(_, metric)| metric);
    match metric {
        "cpu_reserved_ratio" | "cpu_used_ratio" | "memory_reserved_ratio" | "availability_ratio" => Better::More,
        "requests" | "messages" | "tasks_started" | "scaling_actions" | "instance_hours" | "instances_peak" => {
            Better::Neither
        }
        _ if metric.ends_with("_usd") || metric.ends_with("_s") || metric.ends_with("_max") => Better::Less,
        _ if metric.starts_with("requests_failed") => Better::Less,
        "under_accuracy_ratio"
        | "over_accuracy_ratio"
        | "under_timeshare_ratio"
        | "over_timeshare_ratio"
        | "instability_ratio"
        | "tasks_failed"
        | "tasks_not_placed"
        | "idle_cpu_ratio"
        | "messages_redelivered"
        | "messages_dead_lettered"
        | "messages_expired"
        | "messages_left" => Better::Less,
        _ => Better::Neither,
    }
}

impl Comparison {
    /// Compares variants that ran the same replications on the same seeds; the first is the baseline.
    ///
    /// Replication `i` of a variant is paired with replication `i` of the baseline, so that what chance does to both
    /// cancels out.
    pub fn new(scenario: &str, variants: &[(String, Vec<ReplicationSummary>)]) -> Self {
        let mut keys: IndexMap<&str, Unit> = IndexMap::new();
        for (key, _, unit) in variants.iter().flat_map(|(_, runs)| runs).flat_map(ReplicationSummary::iter) {
            keys.entry(key).or_insert(unit);
        }
        // What is not on a run's bill costs nothing; any other figure that a run lacks is not defined there.
        let value = |variant: usize, run: usize, key: &str, unit: Unit| {
            let missing = (unit == Unit::Usd).then_some(0.0);
            variants[variant].1.get(run).and_then(|run| run.get(key).or(missing))
        };
        // The bill's items in the bill's order, whichever variant has them.
        let place = |key: &str| match key.strip_prefix("cost_").and_then(|rest| rest.strip_suffix("_usd")) {
            Some(item) => (1, Item::named(item)),
            None => (if key == "cost_usd" { 0 } else { 2 }, None),
        };
        keys.sort_by(|a, _, b, _| place(a).cmp(&place(b)));
        let rows: Vec<Row> = keys
            .into_iter()
            .map(|(key, unit)| {
                let samples = |variant: usize| -> Vec<f64> {
                    (0..variants[variant].1.len()).filter_map(|run| value(variant, run, key, unit)).collect()
                };
                let pairs = |variant: usize| -> Vec<(f64, f64)> {
                    (0..variants[0].1.len())
                        .filter_map(|run| value(0, run, key, unit).zip(value(variant, run, key, unit)))
                        .collect()
                };
                let mut differences: Vec<_> =
                    (1..variants.len()).map(|variant| Difference::of(&pairs(variant))).collect();
                adjust(&mut differences);
                Row {
                    metric: key.to_owned(),
                    unit,
                    means: (0..variants.len()).map(|variant| Figure::of(&samples(variant))).collect(),
                    differences,
                }
            })
            .collect();
        let names: Vec<String> = variants.iter().map(|(name, _)| name.clone()).collect();
        let headlines = (1..names.len()).map(|variant| headline(&names, &rows, variant - 1)).collect();
        let replications = variants.iter().map(|(_, runs)| runs.len()).min().unwrap_or(0);
        let notes = variants.iter().flat_map(|(_, runs)| runs).flat_map(ReplicationSummary::notes);
        let assumptions: IndexSet<String> = notes.map(str::to_owned).collect();
        Self {
            scenario: scenario.to_owned(),
            variants: names,
            replications,
            headlines,
            rows,
            assumptions: assumptions.into_iter().collect(),
        }
    }

    /// Whether its runs have a warm-up, which figures leave out and dollars do not.
    pub fn has_warmup(&self) -> bool {
        self.assumptions.iter().any(|note| note == WARMUP_NOTE)
    }

    /// `compare.csv`: a row for each metric and variant, the baseline's without differences.
    pub fn to_csv(&self) -> String {
        let mut text = heading(&COLUMNS);
        let ends = |figure: Option<&Figure>| {
            let [low, high] = figure.and_then(|figure| figure.ci95).unwrap_or([f64::NAN; 2]);
            [figure.map_or(f64::NAN, |figure| figure.mean), low, high].map(number).join(",")
        };
        for row in &self.rows {
            for (place, (variant, mean)) in self.variants.iter().zip(&row.means).enumerate() {
                let Some(mean) = mean else { continue };
                let difference = place.checked_sub(1).and_then(|place| row.differences[place].as_ref());
                writeln!(
                    text,
                    "{},{},{},{},{},{},{},{},{}",
                    csv_field(&row.metric),
                    row.unit.as_str(),
                    csv_field(variant),
                    ends(Some(mean)),
                    mean.n,
                    ends(difference.map(|difference| &difference.absolute)),
                    ends(difference.and_then(|difference| difference.relative.as_ref())),
                    difference.and_then(|difference| difference.excludes_zero).map_or("", |yes| if yes {
                        "true"
                    } else {
                        "false"
                    }),
                    difference.map_or_else(
                        || ",,".to_owned(),
                        |Difference { p_value, p_holm, correlation, .. }| {
                            [p_value, p_holm, correlation].map(|value| number(value.unwrap_or(f64::NAN))).join(",")
                        }
                    ),
                )
                .expect("a String takes any text");
            }
        }
        text
    }

    /// The table on stdout under its headlines.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = String::new();
        for headline in &self.headlines {
            text.push_str(&Tone::Strong.paint(headline, colour));
            text.push('\n');
        }
        let baseline = self.variants.first().map_or("", String::as_str);
        let mut columns = vec![("", Align::Left), (baseline, Align::Right)];
        for variant in self.variants.iter().skip(1) {
            columns.extend([
                (variant.as_str(), Align::Right),
                ("difference", Align::Right),
                ("95 % interval", Align::Left),
            ]);
        }
        let mut table = Table::new(columns);
        let mut starred = false;
        let told = |row: &&Row| !is_share(&row.metric) && row.means.iter().flatten().any(|figure| figure.mean != 0.0);
        for row in self.rows.iter().filter(told) {
            let people =
                |figure: Option<&Figure>| figure.map_or_else(String::new, |figure| for_people(figure.mean, row.unit));
            let mut cells = vec![Cell::from(label(&row.metric)), Cell::from(people(row.means[0].as_ref()))];
            for (place, difference) in row.differences.iter().enumerate() {
                cells.push(Cell::from(people(row.means[place + 1].as_ref())));
                let tone = match row.effect(place) {
                    Effect::Better => Tone::Good,
                    Effect::Worse => Tone::Bad,
                    Effect::Different => Tone::Plain,
                    Effect::Unclear | Effect::Same => Tone::Dim,
                };
                let Some(difference) = difference else {
                    cells.extend([Cell::default(), Cell::default()]);
                    continue;
                };
                let mut interval = String::new();
                if row.effect(place) == Effect::Same {
                    cells.extend([Cell::new("same", Tone::Dim), Cell::default()]);
                    continue;
                }
                if let Some([low, high]) = difference.absolute.ci95 {
                    interval = format!("{} … {}", signed(low, row.unit), signed(high, row.unit));
                    if difference.is_certain() == Some(true) {
                        interval.push_str(" *");
                        starred = true;
                    }
                }
                cells.push(Cell::new(relative_or_absolute(difference, row.unit), tone));
                cells.push(Cell::new(interval, tone));
            }
            table.row(cells);
        }
        text.push('\n');
        text.push_str(&table.render(colour));
        let several = match self.variants.len() {
            0..=2 => None,
            more => Some(format!("after Holm's adjustment for {} comparisons (p < 0.05)", more - 1)),
        };
        let note = match (starred, self.replications, several) {
            (true, _, None) => "* the 95 % interval of the paired difference excludes zero".to_owned(),
            (true, _, Some(several)) => format!("* the paired difference is certain {several}"),
            (false, 0 | 1, _) => "one replication: no intervals; ask for more with --replications".to_owned(),
            (false, _, None) => "no difference is certain: every 95 % interval holds zero".to_owned(),
            (false, _, Some(several)) => format!("no difference is certain {several}"),
        };
        for line in [note].into_iter().chain(self.pairing()) {
            text.push_str(&Tone::Dim.paint(&format!("  {line}"), colour));
            text.push('\n');
        }
        if self.has_warmup() {
            text.push_str(&Tone::Dim.paint(&format!("  {WARMUP_NOTE}"), colour));
            text.push('\n');
        }
        text
    }
}

impl Comparison {
    /// What pairing gains, a line for each variant whose cost is noisy.
    fn pairing(&self) -> Vec<String> {
        let Some(row) = self.rows.iter().find(|row| row.metric == "cost_usd") else { return Vec::new() };
        let gain = |variant: usize| -> Option<String> {
            let difference = row.differences[variant].as_ref()?;
            let correlation = difference.correlation?;
            let [of_baseline, of_variant] =
                [row.means[0].as_ref()?, row.means[variant + 1].as_ref()?].map(Figure::half_width);
            let (apart, paired) = (of_baseline?.hypot(of_variant?), difference.absolute.half_width()?);
            let gained = match apart / paired {
                _ if paired == 0.0 => "it leaves no noise at all in the difference".to_owned(),
                times if times >= 1.05 => format!("it makes the interval {} times narrower", grouped(times, 1)),
                times if times > 0.95 => "it makes the interval no narrower".to_owned(),
                times => format!("it makes the interval {} times wider", grouped(1.0 / times, 1)),
            };
            Some(format!(
                "pairing: the costs of {} and {} are correlated {}; {gained}",
                self.variants[0],
                self.variants[variant + 1],
                grouped(correlation, 2)
            ))
        };
        (0..row.differences.len()).filter_map(gain).collect()
    }
}

fn relative_or_absolute(difference: &Difference, unit: Unit) -> String {
    match &difference.relative {
        Some(relative) => percent(relative.mean),
        None => signed(difference.absolute.mean, unit),
    }
}

/// A relative difference with its sign.
pub(super) fn percent(share: f64) -> String {
    let text = grouped(100.0 * share, 1);
    if share > 0.0 && text != "0.0" { format!("+{text} %") } else { format!("{text} %") }
}

/// A difference with its sign.
pub(super) fn signed(value: f64, unit: Unit) -> String {
    // A difference of shares is in points: "+3 %" would read as a relative change.
    let text =
        if unit == Unit::Ratio { format!("{} points", grouped(100.0 * value, 1)) } else { for_people(value, unit) };
    let visible = text.bytes().any(|digit| (b'1'..=b'9').contains(&digit));
    if value > 0.0 && visible { format!("+{text}") } else { text }
}

/// Changes of the share of failed requests below this are no headline: a tenth of what "three nines" allow.
const FAILED_SHARE: f64 = 1e-4;
/// Relative changes of waits and latencies below this are no headline either.
const SMALL: f64 = 0.01;

/// One sentence: money first, then the service quality that moved most.
fn headline(names: &[String], rows: &[Row], variant: usize) -> String {
    let name = &names[variant + 1];
    let mut clauses = Vec::new();
    let cost = rows.iter().find(|row| row.metric == "cost_usd");
    if let Some(difference) = cost.and_then(|row| row.differences[variant].as_ref()) {
        clauses.push(money_clause(difference));
        if difference.excludes_zero == Some(true) && difference.is_certain() == Some(false) {
            let comparisons = names.len() - 1;
            clauses.push(format!("is not certain of that among {comparisons} comparisons"));
        }
    }
    let mut waits: Vec<(f64, String)> = rows
        .iter()
        .filter(|row| {
            let metric = row.metric.rsplit_once(':').map_or(row.metric.as_str(), |(_, metric)| metric);
            matches!(metric, "task_wait_p99_s" | "latency_p99_s" | "requests_failed")
        })
        .filter_map(|row| {
            let difference = row.differences[variant].as_ref()?;
            let moved = difference.absolute.mean != 0.0 && difference.is_certain() != Some(false);
            let weight = difference.relative.map_or(f64::INFINITY, |relative| relative.mean.abs());
            let clause = match row.metric.strip_suffix(":requests_failed") {
                Some(resource) => failed_clause(rows, row, resource, variant),
                None => (weight >= SMALL).then(|| quality_clause(row, difference)),
            };
            Some((weight, clause.filter(|_| moved)?))
        })
        .collect();
    waits.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Where those who wait have little to tell, it is told what else went wrong.
    let mut others: Vec<(f64, String)> = rows.iter().filter_map(|row| other_clause(row, variant)).collect();
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    waits.extend(others);
    waits.truncate(2);
    clauses.extend(waits.into_iter().map(|(_, clause)| clause));
    let unique: IndexSet<String> = clauses.into_iter().collect();
    let unique: Vec<String> = unique.into_iter().collect();
    let told = match unique.as_slice() {
        [] => "has no figure in common with the baseline".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    };
    format!("{name} {told}, compared with {}", names[0])
}

/// What would read as 0.0 % is no difference worth a word.
fn rounds_to_nothing(share: f64) -> bool {
    share.abs() < 0.0005
}

fn money_clause(difference: &Difference) -> String {
    let Figure { mean, ci95: ends, n } = difference.relative.unwrap_or(difference.absolute);
    let unit = |value: f64| match &difference.relative {
        Some(_) => format!("{} %", grouped(100.0 * value, 1)),
        None => for_people(value, Unit::Usd),
    };
    let word = if mean > 0.0 { "more" } else { "less" };
    let relative = difference.relative.is_some();
    match ends {
        _ if mean == 0.0 && ends.is_none_or(|[low, high]| low == high) => "costs the same".to_owned(),
        None if relative && rounds_to_nothing(mean) => "costs the same to a tenth of a percent".to_owned(),
        Some(ends) if relative && ends.into_iter().all(rounds_to_nothing) => {
            "costs the same to a tenth of a percent".to_owned()
        }
        Some([low, high]) if low <= 0.0 && high >= 0.0 => {
            let ends = [low, high].map(|end| if end > 0.0 { format!("+{}", unit(end)) } else { unit(end) });
            let half = f64::midpoint(high, -low);
            if difference.relative.is_some() && half > TELLING {
                let needed = replications_for(half, TELLING, n);
                return format!(
                    "may cost more or less: the interval is too wide to tell (95 %: {} to {}; about {needed} replications would \
                     narrow it to ±{} %)",
                    ends[0],
                    ends[1],
                    grouped(100.0 * TELLING, 0)
                );
            }
            format!("costs the same within the noise (95 %: {} to {})", ends[0], ends[1])
        }
        Some([low, high]) => {
            let mut ends = [low.abs(), high.abs()];
            ends.sort_by(f64::total_cmp);
            let [from, to] = ends.map(unit).map(|end| end.trim_end_matches(" %").to_owned());
            format!("costs {} {word} (95 %: {from}–{to})", unit(mean.abs()))
        }
        None => format!("costs {} {word} (one replication)", unit(mean.abs())),
    }
}

fn quality_clause(row: &Row, difference: &Difference) -> String {
    let size = for_people(difference.absolute.mean.abs(), row.unit);
    let more = difference.absolute.mean > 0.0;
    // Of services and queues a headline tells no other metric but `latency_p99_s`.
    let Some((resource, _)) = row.metric.rsplit_once(':') else {
        return format!("waits {size} {} for its slowest tasks", if more { "longer" } else { "less" });
    };
    let service = resource.rsplit('/').next().unwrap_or(resource);
    if resource.starts_with("queue/") {
        let when = if more { "later" } else { "sooner" };
        return format!("is done with the slowest hundredth of {service}'s messages {size} {when}");
    }
    format!("answers {service}'s slowest hundredth {size} {}", if more { "later" } else { "sooner" })
}

/// What is told of a variant when neither slow nor failed requests are: tasks that fail, services that lack tasks, messages
/// that are late on average; with how much it moved.
fn other_clause(row: &Row, variant: usize) -> Option<(f64, String)> {
    let difference = row.differences[variant].as_ref()?;
    let (resource, metric) = row.metric.rsplit_once(':').unwrap_or(("", &row.metric));
    let name = resource.rsplit('/').next().unwrap_or(resource);
    let more = difference.absolute.mean > 0.0;
    let size = for_people(difference.absolute.mean.abs(), row.unit);
    let clause = match metric {
        "tasks_failed" => format!("sees {size} {} tasks fail", if more { "more" } else { "fewer" }),
        "below_desired_s" => {
            format!("leaves {name} short of tasks {size} {}", if more { "longer" } else { "less" })
        }
        "latency_mean_s" if resource.starts_with("queue/") => {
            format!("is done with {name}'s messages {size} {} on average", if more { "later" } else { "sooner" })
        }
        _ => return None,
    };
    let weight = difference.relative.map_or(f64::INFINITY, |relative| relative.mean.abs());
    let told = difference.absolute.mean != 0.0 && difference.is_certain() != Some(false) && weight >= SMALL;
    told.then_some((weight, clause))
}

/// How many requests fail, in numbers and as a share of all; `None` when the share hardly moves, whatever the ratio of
/// two small numbers is.
fn failed_clause(rows: &[Row], row: &Row, resource: &str, variant: usize) -> Option<String> {
    let requests = rows.iter().find(|row| row.metric.strip_suffix(":requests") == Some(resource))?;
    let of = |place: usize| -> Option<(f64, f64)> {
        let failed = row.means.get(place)?.as_ref()?.mean;
        let all = requests.means.get(place)?.as_ref()?.mean;
        (all > 0.0).then_some((failed, failed / all))
    };
    let ((before, share_before), (failed, share)) = (of(0)?, of(variant + 1)?);
    let service = resource.rsplit('/').next().unwrap_or(resource);
    let [failed, before] = [failed, before].map(|count| for_people(count, Unit::Requests));
    let [percent, percent_before] = [share, share_before].map(|share| grouped(100.0 * share, 2));
    ((share - share_before).abs() >= FAILED_SHARE).then(|| {
        format!("fails {failed} of {service}'s requests ({percent} %) instead of {before} ({percent_before} %)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::tests::replication;

    fn comparison() -> Comparison {
        let runs = |costs: [f64; 4], p99: f64| -> Vec<ReplicationSummary> {
            costs.iter().zip([0.0, 0.001, -0.001, 0.002]).map(|(cost, by)| replication(*cost, p99 + by)).collect()
        };
        // Replications differ by far more than variants do: only pairing shows the difference.
        Comparison::new(
            "web-day",
            &[
                ("binpack".to_owned(), runs([10.0, 14.0, 6.0, 20.0], 0.21)),
                ("spread".to_owned(), runs([11.0, 15.1, 6.9, 21.0], 0.18)),
                ("twin".to_owned(), runs([10.0, 14.0, 6.0, 20.0], 0.21)),
            ],
        )
    }

    #[test]
    fn pairing_finds_what_the_means_alone_would_not() {
        let comparison = comparison();
        let cost = &comparison.rows[0];
        let [low, high] = cost.means[1].as_ref().unwrap().ci95.unwrap();
        assert!(low < 12.5 && high > 12.5, "unpaired, the intervals overlap: {low} {high}");
        let difference = cost.differences[0].as_ref().unwrap();
        assert!((difference.absolute.mean - 1.0).abs() < 1e-9);
        assert_eq!(difference.excludes_zero, Some(true));
        assert!((difference.relative.as_ref().unwrap().mean - 0.08).abs() < 1e-9);
        assert_eq!((cost.effect(0), cost.effect(1)), (Effect::Worse, Effect::Same));
    }

    #[test]
    fn headlines_say_it_in_words() {
        insta::assert_snapshot!(comparison().headlines.join("\n"));
    }

    #[test]
    fn the_table_marks_what_is_certain() {
        insta::assert_snapshot!(comparison().to_text(false));
    }

    #[test]
    fn headlines_tell_of_failed_requests_in_numbers_and_shares() {
        let failing = |failed: f64| {
            let mut run = replication(10.0, 0.2);
            run.set("service/default/web:requests_failed", failed, Unit::Requests);
            vec![run]
        };
        let headline = |before: f64, after: f64| {
            let variants = [("a".to_owned(), failing(before)), ("b".to_owned(), failing(after))];
            Comparison::new("web-day", &variants).headlines.remove(0)
        };
        assert_eq!(
            headline(20_000.4, 26_400.0),
            "b costs the same and fails 26,400 of web's requests (2.20 %) instead of 20,000 (1.67 %), compared with a"
        );
        // Four times as many, of 1.2 million.
        assert_eq!(headline(4.0, 17.0), "b costs the same, compared with a");
    }

    #[test]
    fn headlines_tell_what_else_went_wrong_where_nothing_is_slow() {
        let run = |cost: f64, failed: f64, below: f64| {
            let mut run = replication(cost, 0.2);
            run.set("tasks_failed", failed, Unit::Count);
            run.set("service/default/web:below_desired_s", below, Unit::Seconds);
            vec![run]
        };
        let variants = [("a".to_owned(), run(10.0, 4.0, 60.0)), ("b".to_owned(), run(5.0, 0.0, 600.0))];
        assert_eq!(
            Comparison::new("web-day", &variants).headlines,
            [
                "b costs 50.0 % less (one replication), leaves web short of tasks 9 min longer and sees 4 fewer tasks fail, \
              compared with a"
            ]
        );
    }

    #[test]
    fn metrics_know_their_better_end() {
        for (key, better) in [
            ("service/c/web:availability_ratio", Better::More),
            ("service/c/web:over_accuracy_ratio", Better::Less),
            ("service/c/web:instability_ratio", Better::Less),
            ("cpu_used_ratio", Better::More),
            ("service/c/web:requests", Better::Neither),
        ] {
            assert_eq!(better_end(key), better, "{key}");
        }
    }

    #[test]
    fn an_interval_that_is_too_wide_tells_nothing() {
        let runs = |costs: &[f64]| costs.iter().map(|cost| replication(*cost, 0.2)).collect::<Vec<_>>();
        let headline = |b: &[f64]| {
            let variants = [("a".to_owned(), runs(&[10.0; 4])), ("b".to_owned(), runs(b))];
            Comparison::new("web-day", &variants).headlines.remove(0)
        };
        // Differences of ±1: a standard error of 0.58, 3.18 of them are 18 % of the mean.
        let wide = headline(&[11.0, 9.0, 11.0, 9.0]);
        assert_eq!(
            wide,
            "b may cost more or less: the interval is too wide to tell (95 %: −18.4 % to +18.4 %; about 55 replications would \
             narrow it to ±5 %), compared with a"
        );
        let narrow = headline(&[10.1, 9.9, 10.1, 9.9]);
        assert!(narrow.contains("costs the same within the noise"), "{narrow}");
    }

    #[test]
    fn tiny_differences_are_no_headline() {
        let one = |cost: f64, p99: f64| vec![replication(cost, p99)];
        let variants = [("a".to_owned(), one(10.0, 0.2)), ("b".to_owned(), one(10.0001, 0.2001))];
        let headlines = Comparison::new("web-day", &variants).headlines;
        assert_eq!(headlines, ["b costs the same to a tenth of a percent, compared with a"]);
    }

    #[test]
    fn what_is_not_on_one_bill_is_compared_with_nothing() {
        let mut fargate = replication(10.0, 0.2);
        fargate.set("cost_fargate_usd", 7.5, Unit::Usd);
        let comparison = Comparison::new(
            "web-day",
            &[("ec2".to_owned(), vec![replication(10.0, 0.2)]), ("fg".to_owned(), vec![fargate])],
        );
        let row = comparison.rows.iter().find(|row| row.metric == "cost_fargate_usd").unwrap();
        assert_eq!(row.means[0].unwrap().mean, 0.0);
        let bill: Vec<&str> = comparison.rows.iter().map(|row| row.metric.as_str()).take(4).collect();
        assert_eq!(bill, ["cost_usd", "cost_ec2_on_demand_usd", "cost_fargate_usd", "cost_load_balancer_usd"]);
        assert_eq!(row.differences[0].unwrap().absolute.mean, 7.5);
        assert!(comparison.to_text(false).contains("+$7.50"), "{}", comparison.to_text(false));
    }

    #[test]
    fn dollars_beside_a_warm_up_are_explained() {
        let runs = |note: bool| {
            let mut run = replication(10.0, 0.2);
            if note {
                run.note(WARMUP_NOTE);
            }
            vec![run]
        };
        for warm in [true, false] {
            let comparison = Comparison::new("web-day", &[("a".to_owned(), runs(warm)), ("b".to_owned(), runs(warm))]);
            assert_eq!(comparison.to_text(false).contains(WARMUP_NOTE), warm);
        }
    }

    #[test]
    fn differences_have_a_sign_where_they_have_a_size() {
        let table = [
            (0.25, Unit::Ratio, "+25.0 points"),
            (-3.0, Unit::Seconds, "−3 s"),
            (1e-12, Unit::Seconds, "0 s"),
            (-1e-12, Unit::Seconds, "0 s"),
            (0.2, Unit::Requests, "0"),
        ];
        for (value, unit, expected) in table {
            assert_eq!(signed(value, unit), expected);
        }
    }

    #[test]
    fn with_several_variants_a_difference_needs_more_to_be_certain() {
        // A paired t test of these has p = 0.03: certain alone, not among four.
        let jitter = [0.0, 0.3, -0.2, 0.1, -0.2];
        let runs = |shift: f64, noise: f64| -> Vec<ReplicationSummary> {
            jitter.iter().enumerate().map(|(n, by)| replication(10.0 + n as f64 + shift + by * noise, 0.2)).collect()
        };
        let named = |name: &str, shift, noise| (name.to_owned(), runs(shift, noise));
        let alone = Comparison::new("web-day", &[named("a", 0.0, 0.0), named("b", 0.3, 1.0)]);
        let cost = alone.rows[0].differences[0].unwrap();
        assert_eq!((cost.excludes_zero, cost.is_certain(), cost.p_holm), (Some(true), Some(true), cost.p_value));
        assert_eq!(alone.rows[0].effect(0), Effect::Worse);
        let variants = [
            named("a", 0.0, 0.0),
            named("b", 0.3, 1.0),
            named("c", 0.0, 1.0),
            named("d", 0.01, 1.0),
            named("e", 0.0, -1.0),
        ];
        let among = Comparison::new("web-day", &variants);
        let cost = among.rows[0].differences[0].unwrap();
        assert_eq!((cost.excludes_zero, cost.is_certain()), (Some(true), Some(false)), "{cost:?}");
        assert_eq!(among.rows[0].effect(0), Effect::Unclear);
        assert!(among.headlines[0].contains("is not certain of that among 4 comparisons"), "{}", among.headlines[0]);
        assert!(among.to_text(false).contains("the costs of a and b are correlated 0.99"), "{}", among.to_text(false));
    }

    #[test]
    fn one_replication_gives_no_interval() {
        let single = Comparison::new(
            "web-day",
            &[("a".to_owned(), vec![replication(10.0, 0.2)]), ("b".to_owned(), vec![replication(12.0, 0.2)])],
        );
        assert_eq!(single.headlines, ["b costs 20.0 % more (one replication), compared with a"]);
        assert_eq!(single.rows[0].differences[0].unwrap().excludes_zero, None);
        assert!(single.to_text(false).contains("no intervals"));
    }

    #[test]
    fn a_comparison_reads_back_from_its_file() {
        let comparison = comparison();
        let text = serde_json::to_string(&comparison).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), comparison);
        let csv = comparison.to_csv();
        assert_eq!(csv.lines().count(), 1 + comparison.rows.len() * 3);
        assert!(csv.lines().nth(2).unwrap().starts_with("cost_usd,USD,spread,13.5,"), "{csv}");
    }
}
