//! One finished run against another, metric by metric: a real one against its simulation, or two versions of one.

mod scaling;

use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::report::compare::{percent, signed};
use crate::report::format::{for_people, grouped, number};
use crate::report::plot::compare_runs::Both;
use crate::report::plot::folder::{Folder, pieces};
use crate::report::plot::{PLAN, PlotError, draw_both};
use crate::report::summary::{Unit, label};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::stats::quantile;

pub use scaling::{ChangeError, CountError};

/// What is read of `summary.json`.
#[derive(Debug, Deserialize)]
struct SummaryFile {
    scenario: String,
    duration_s: f64,
    metrics: IndexMap<String, FigureFile>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct FigureFile {
    mean: f64,
    ci95: Option<[f64; 2]>,
    unit: Unit,
}

/// The error of one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricError {
    /// Its key.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Its mean in the reference.
    pub reference: f64,
    /// Its mean in the other run.
    pub run: f64,
    /// Run less reference.
    pub error: f64,
    /// The same as a share of the reference; none when that is zero.
    pub relative: Option<f64>,
    /// Whether the intervals of both explain it; none when neither has one.
    pub within_noise: Option<bool>,
}

/// The error of one series, minute by minute.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesError {
    /// Its resource.
    pub resource: String,
    /// Its metric.
    pub metric: String,
    /// Minutes that both have.
    pub minutes: usize,
    /// Mean of run less reference.
    pub bias: f64,
    /// Mean of the size of the error.
    pub mean_absolute: f64,
    /// Root of the mean square of the error.
    pub root_mean_square: f64,
    /// `mean_absolute` as a share of the reference's mean; none when that is zero.
    pub relative: Option<f64>,
}

/// A run against a reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunsCompared {
    /// The reference's folder and scenario.
    pub reference: String,
    /// The other's.
    pub run: String,
    /// What came out, in a sentence.
    pub headline: String,
    /// Metrics that both have, in the reference's order.
    pub metrics: Vec<MetricError>,
    /// Metrics that only one has.
    pub unmatched: Vec<String>,
    /// Counts of tasks over time, when both were written with series.
    pub counts: Vec<CountError>,
    /// Changes of desired counts, likewise.
    pub changes: Vec<ChangeError>,
    /// Series that both have, likewise.
    pub series: Vec<SeriesError>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

fn read(folder: &Path) -> Result<SummaryFile, PlotError> {
    let path = folder.join("summary.json");
    let text = fs::read_to_string(&path).map_err(|source| PlotError::Read { path: path.clone(), source })?;
    serde_json::from_str(&text).map_err(|error| PlotError::Malformed { path, reason: error.to_string() })
}

impl RunsCompared {
    /// Reads both folders; errors are those of the second against the first.
    ///
    /// # Errors
    /// [`PlotError`] unless both are finished runs.
    pub fn read(reference: &Path, run: &Path) -> Result<Self, PlotError> {
        let (first, second) = (read(reference)?, read(run)?);
        let metrics: Vec<MetricError> = first
            .metrics
            .iter()
            .filter_map(|(key, before)| Some(MetricError::of(key, *before, *second.metrics.get(key)?)))
            .collect();
        let both = |key: &&String| !(first.metrics.contains_key(*key) && second.metrics.contains_key(*key));
        let unmatched = first.metrics.keys().chain(second.metrics.keys()).filter(both).cloned().collect();
        let (mut series, mut counts, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        if has_series(reference) && has_series(run) {
            let folders = (Folder::read(reference)?, Folder::read(run)?);
            series = minutes(&folders.0, &folders.1);
            (counts, changes) = scaling::errors(&folders.0, &folders.1);
        }
        let mut notes = Vec::new();
        if first.duration_s != second.duration_s {
            let [a, b] = [first.duration_s, second.duration_s].map(number);
            notes.push(format!("the runs last {a} s and {b} s: totals do not compare"));
        }
        let name = |folder: &Path, file: &SummaryFile| format!("{} ({})", folder.display(), file.scenario);
        let headline = headline(&metrics);
        let (reference, run) = (name(reference, &first), name(run, &second));
        Ok(Self { reference, run, headline, metrics, unmatched, counts, changes, series, notes })
    }

    /// Writes itself as `compared.json` into `folder`, and the two runs laid over each other into its `plots`; returns the
    /// paths of the pictures.
    ///
    /// # Errors
    /// [`PlotError`] unless both have series, and the folder can be written.
    pub fn write(&self, reference: &Path, run: &Path, folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
        let folders = (Folder::read(reference)?, Folder::read(run)?);
        let name = |path: &Path, other: &str| {
            path.file_name().map_or_else(|| other.to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let names = (name(reference, "reference"), name(run, "run"));
        let both = Both { names: [&names.0, &names.1], folders: [&folders.0, &folders.1] };
        let paths = draw_both(folder, &both, self)?;
        let path = folder.join("compared.json");
        let json = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        fs::write(&path, json).map_err(|source| PlotError::Write { path, source })?;
        Ok(paths)
    }

    /// The tables on stdout.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = Tone::Strong.paint(&self.headline, colour) + "\n";
        text.push_str(&Tone::Dim.paint(&format!("{} against {}", self.run, self.reference), colour));
        text.push_str("\n\n");
        let mut table = Table::new([
            ("", Align::Left),
            ("reference", Align::Right),
            ("run", Align::Right),
            ("error", Align::Right),
            ("", Align::Right),
            ("", Align::Left),
        ]);
        for row in self.metrics.iter().filter(|row| row.reference != 0.0 || row.run != 0.0) {
            let tone = if row.within_noise == Some(false) { Tone::Strong } else { Tone::Plain };
            let noise = match row.within_noise {
                _ if row.error == 0.0 => "same",
                Some(true) => "within the intervals",
                Some(false) => "beyond the intervals",
                None => "",
            };
            table.row([
                Cell::from(label(&row.metric)),
                Cell::from(for_people(row.reference, row.unit)),
                Cell::from(for_people(row.run, row.unit)),
                Cell::new(signed(row.error, row.unit), tone),
                Cell::new(row.relative.map_or_else(String::new, percent), tone),
                Cell::new(noise, Tone::Dim),
            ]);
        }
        text.push_str(&table.render(colour));
        self.scaling_tables(&mut text, colour);
        if !self.series.is_empty() {
            let mut table = Table::new([
                ("series, minute by minute", Align::Left),
                ("bias", Align::Right),
                ("mean error", Align::Right),
                ("RMS error", Align::Right),
                ("of the mean", Align::Right),
            ]);
            let (same, differ): (Vec<_>, Vec<_>) = self.series.iter().partition(|row| row.mean_absolute == 0.0);
            for row in differ {
                let three = |value: f64| grouped(value, 3);
                table.row([
                    format!("{} {}", row.resource, row.metric),
                    three(row.bias),
                    three(row.mean_absolute),
                    three(row.root_mean_square),
                    row.relative.map_or_else(String::new, |share| format!("{} %", grouped(100.0 * share, 1))),
                ]);
            }
            text.push('\n');
            text.push_str(&table.render(colour));
            if !same.is_empty() {
                text.push_str(&Tone::Dim.paint(&format!("  {} series are the same\n", same.len()), colour));
            }
        }
        let only = (!self.unmatched.is_empty()).then(|| format!("only one run has: {}", self.unmatched.join(", ")));
        for note in self.notes.iter().chain(&only) {
            text.push_str(&Tone::Dim.paint(&format!("  {note}"), colour));
            text.push('\n');
        }
        text
    }
}

impl RunsCompared {
    /// How far the counts of tasks are apart, and their changes.
    fn scaling_tables(&self, text: &mut String, colour: bool) {
        if !self.counts.is_empty() {
            let mut table = Table::new([
                ("tasks over time", Align::Left),
                ("the same", Align::Right),
                ("within one", Align::Right),
                ("most apart", Align::Right),
            ]);
            for row in &self.counts {
                let share = |share: f64| format!("{} %", grouped(100.0 * share, 1));
                let name = format!("{} {}", row.resource, row.metric);
                table.row([name, share(row.same), share(row.within_one), grouped(row.most, 0)]);
            }
            text.push('\n');
            text.push_str(&table.render(colour));
        }
        if !self.changes.is_empty() {
            let mut table = Table::new([
                ("changes of the desired count", Align::Left),
                ("reference", Align::Right),
                ("run", Align::Right),
                ("error", Align::Right),
                ("", Align::Left),
            ]);
            for row in &self.changes {
                let step = |[from, to]: [f64; 2]| format!("{} → {}", grouped(from, 0), grouped(to, 0));
                let other = if row.run == row.reference { String::new() } else { step(row.run) };
                table.row([
                    format!("{} {}", row.resource, step(row.reference)),
                    for_people(row.reference_s, Unit::Seconds),
                    for_people(row.run_s, Unit::Seconds),
                    signed(row.run_s - row.reference_s, Unit::Seconds),
                    other,
                ]);
            }
            text.push('\n');
            text.push_str(&table.render(colour));
        }
    }
}

/// Whether a folder was written with series.
fn has_series(folder: &Path) -> bool {
    folder.join(PLAN).is_file()
}

impl MetricError {
    fn of(key: &str, reference: FigureFile, run: FigureFile) -> Self {
        let error = run.mean - reference.mean;
        let half = |figure: FigureFile| figure.ci95.map(|[low, high]| (high - low) / 2.0);
        let noise = match (half(reference), half(run)) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0.0).hypot(b.unwrap_or(0.0))),
        };
        Self {
            metric: key.to_owned(),
            unit: reference.unit,
            reference: reference.mean,
            run: run.mean,
            error,
            relative: (reference.mean != 0.0).then(|| error / reference.mean.abs()),
            within_noise: noise.map(|noise| error.abs() <= noise),
        }
    }
}

/// Money first, then how large errors usually are.
fn headline(metrics: &[MetricError]) -> String {
    let sizes: Vec<f64> = metrics.iter().filter_map(|row| row.relative).map(f64::abs).collect();
    let Some(median) = quantile(&sizes, 0.5) else { return "the runs have no figure in common".to_owned() };
    let cost = metrics.iter().find(|row| row.metric == "cost_usd").and_then(|row| row.relative);
    let cost = match cost {
        Some(0.0) => "the cost is the same; ".to_owned(),
        Some(share) => {
            let word = if share > 0.0 { "too high" } else { "too low" };
            format!("the cost is {} % {word}; ", grouped(100.0 * share.abs(), 1))
        }
        None => String::new(),
    };
    let within = sizes.iter().filter(|size| **size <= 0.05).count();
    format!(
        "{cost}half of {} figures are within {} % of the reference, {within} within 5 %",
        sizes.len(),
        grouped(100.0 * median, 1)
    )
}

/// Every series that both runs have, minute by minute as far as both go.
fn minutes(reference: &Folder, run: &Folder) -> Vec<SeriesError> {
    let minutes = (reference.times().1.min(run.times().1) / 60.0).floor();
    let by_minute = |samples: &[(f64, f64)]| -> Vec<(i64, f64)> {
        let means = pieces(samples, (0.0, minutes * 60.0), minutes as u32);
        means.iter().map(|piece| ((piece.at / 60.0).round() as i64, piece.mean)).collect()
    };
    let others: IndexMap<(&str, &str), &[(f64, f64)]> =
        run.all_series().map(|(resource, metric, samples)| ((resource, metric), samples)).collect();
    reference
        .all_series()
        .filter_map(|(resource, metric, samples)| {
            let other: IndexMap<i64, f64> = by_minute(others.get(&(resource, metric))?).into_iter().collect();
            let pairs: Vec<(f64, f64)> = by_minute(samples)
                .into_iter()
                .filter_map(|(minute, value)| Some((value, *other.get(&minute)?)))
                .collect();
            let mean =
                |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(a, b)| of(*a, *b)).sum::<f64>() / pairs.len() as f64;
            let (level, mean_absolute) = (mean(&|a, _| a.abs()), mean(&|a, b| (b - a).abs()));
            (!pairs.is_empty()).then(|| SeriesError {
                resource: resource.to_owned(),
                metric: metric.to_owned(),
                minutes: pairs.len(),
                bias: mean(&|a, b| b - a),
                mean_absolute,
                root_mean_square: mean(&|a, b| (b - a).powi(2)).sqrt(),
                relative: (level > 0.0).then(|| mean_absolute / level),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::synthetic;
    use crate::report::summary::RunReport;
    use crate::report::summary::tests::{empty_estate, replication};

    fn run(folder: &Path, cost: f64, scale: f64) {
        fs::create_dir_all(folder).unwrap();
        synthetic::write(folder, scale);
        let runs = [replication(cost, 0.2), replication(cost + 0.1, 0.2)];
        let report = RunReport::new(&empty_estate(), &runs).to_json();
        fs::write(folder.join("summary.json"), report.to_string()).unwrap();
    }

    #[test]
    fn errors_are_those_of_the_second_run_against_the_first() {
        let place = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| place.path().join(name));
        run(&a, 10.0, 1.0);
        run(&b, 12.0, 1.5);
        let compared = RunsCompared::read(&a, &b).unwrap();
        let cost = &compared.metrics[0];
        assert_eq!((cost.metric.as_str(), cost.within_noise), ("cost_usd", Some(false)));
        assert!((cost.error - 2.0).abs() < 1e-9 && (cost.relative.unwrap() - 2.0 / 10.05).abs() < 1e-9);
        assert!(
            compared.headline.starts_with("the cost is 19.9 % too high; half of 10 figures"),
            "{}",
            compared.headline
        );
        let moved = compared.series.iter().filter(|row| row.mean_absolute > 0.0).count();
        assert!(moved > 0 && compared.to_text(false).contains("RMS error"));
        let same = RunsCompared::read(&a, &a).unwrap();
        assert!(same.series.iter().all(|row| row.root_mean_square == 0.0));
        assert!(same.headline.contains("the cost is the same"), "{}", same.headline);
    }

    #[test]
    fn a_folder_that_is_no_run_is_refused() {
        let place = tempfile::tempdir().unwrap();
        run(&place.path().join("a"), 10.0, 1.0);
        assert!(matches!(RunsCompared::read(&place.path().join("a"), place.path()), Err(PlotError::Read { .. })));
        fs::write(place.path().join("summary.json"), "{}").unwrap();
        assert!(matches!(RunsCompared::read(&place.path().join("a"), place.path()), Err(PlotError::Malformed { .. })));
    }
}
