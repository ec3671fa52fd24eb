//! A sweep: the figures of every point, from the replications they rest on to tables and pictures.
//!
//! Everything a sweep's folder holds follows from `study.json` (what was asked) and `points.jsonl` (what came out, a point
//! a line, with the exact figure of each replication). So shards are put together by joining their points, and the result
//! has the bytes of a sweep that was never cut.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::catalog::catalog;
use crate::engine::streams::fnv1a;
use crate::report::ReportError;
use crate::report::column::{Column, heading};
use crate::report::compare::{TELLING, replications_for};
use crate::report::format::{csv_field, number};
use crate::report::output::{OutputDir, OutputError, write_whole};
use crate::report::plot;
use crate::report::summary::{Figure, ReplicationSummary, Summary, Unit, label};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::stats::paired_difference;
use crate::study::design::Design;
use crate::study::shard::Shard;

/// The file that says what was asked.
pub const STUDY: &str = "study.json";
/// The file of the points.
pub const POINTS: &str = "points.jsonl";

/// What a sweep was asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Name of the scenario.
    pub scenario: String,
    /// Version of the program.
    pub version: String,
    /// Date of its catalogue.
    pub catalog_as_of: String,
    /// Identifies scenario, points and replications: the shards of one sweep have it in common.
    pub hash: String,
    /// Seed of every point: all face the same random numbers.
    pub seed: u64,
    /// Replications of each point.
    pub replications: u32,
    /// `grid`, `list` or `latin`.
    pub layout: String,
    /// The paths that are varied.
    pub paths: Vec<String>,
    /// Points of all shards.
    pub points: usize,
    /// The shard this is; none of a whole sweep.
    pub shard: Option<Shard>,
}

impl Study {
    /// The study of a design on a scenario whose own estate has this fingerprint.
    pub fn new(scenario: &str, fingerprint: &str, seed: u64, replications: u32, design: &Design) -> Self {
        let settings = format!("{fingerprint} {replications} {:?} {:?}", design.paths, design.points);
        Self {
            scenario: scenario.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            catalog_as_of: catalog().as_of().to_owned(),
            hash: format!("{:016x}", fnv1a(settings.bytes())),
            seed,
            replications,
            layout: design.layout.as_str().to_owned(),
            paths: design.paths.clone(),
            points: design.points.len(),
            shard: None,
        }
    }
}

/// One point and the figures of its replications.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRecord {
    /// Its place in the study, from 0.
    pub point: usize,
    /// Fingerprint of its estate.
    pub hash: String,
    /// What each path is set to; empty where it stays as the scenario has it.
    pub values: Vec<String>,
    /// Its replications, in order.
    pub replications: Vec<ReplicationSummary>,
}

/// A record as it is written. Figures are texts: the shortest decimal that reads back as the same number, which readers
/// of JSON numbers do not all promise.
#[derive(Serialize, Deserialize)]
struct Line {
    point: usize,
    hash: String,
    values: Vec<String>,
    units: IndexMap<String, Unit>,
    samples: Vec<IndexMap<String, String>>,
    assumptions: IndexSet<String>,
}

impl PointRecord {
    /// As a line of [`POINTS`], without its end.
    #[expect(clippy::missing_panics_doc, reason = "texts and maps of texts are always JSON")]
    pub fn to_line(&self) -> String {
        let mut units = IndexMap::new();
        for (key, _, unit) in self.replications.iter().flat_map(ReplicationSummary::iter) {
            units.entry(key.to_owned()).or_insert(unit);
        }
        let sample =
            |run: &ReplicationSummary| run.iter().map(|(key, value, _)| (key.to_owned(), number(value))).collect();
        let notes = self.replications.iter().flat_map(ReplicationSummary::notes);
        let line = Line {
            point: self.point,
            hash: self.hash.clone(),
            values: self.values.clone(),
            units,
            samples: self.replications.iter().map(sample).collect(),
            assumptions: notes.map(str::to_owned).collect(),
        };
        serde_json::to_string(&line).expect("texts and maps of texts are JSON")
    }

    /// Reads such a line; the reason when it is none.
    fn from_line(text: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut replications = Vec::new();
        for sample in &line.samples {
            let mut run = ReplicationSummary::default();
            for (key, value) in sample {
                let unit = line.units.get(key).ok_or_else(|| format!("`{key}` has no unit"))?;
                let value = value.parse().map_err(|_| format!("`{key}` is `{value}`, which is no number"))?;
                run.set(key, value, *unit);
            }
            replications.push(run);
        }
        if let Some(first) = replications.first_mut() {
            line.assumptions.iter().for_each(|note| first.note(note));
        }
        Ok(Self { point: line.point, hash: line.hash, values: line.values, replications })
    }
}

/// The points that an interrupted sweep has finished, beside the folder that it will be; each file is whole.
#[derive(Debug)]
pub struct Finished {
    folder: PathBuf,
}

impl Finished {
    /// Those of the sweep that is to become `target`.
    ///
    /// # Errors
    /// [`OutputError`] when the place cannot be written.
    pub fn beside(target: &Path) -> Result<Self, OutputError> {
        let name = target.file_name().ok_or_else(|| OutputError::Nameless(target.to_owned()))?;
        let folder = target.with_file_name(format!(".{}.resume", name.to_string_lossy()));
        fs::create_dir_all(&folder).map_err(|source| io_error("create", &folder, source))?;
        Ok(Self { folder })
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.json"))
    }

    /// The replications of the estate with this fingerprint, if that many are there and whole.
    pub fn get(&self, hash: &str, replications: u32) -> Option<Vec<ReplicationSummary>> {
        let record = PointRecord::from_line(&fs::read_to_string(self.path(hash)).ok()?).ok()?;
        (record.hash == hash && record.replications.len() == replications as usize).then_some(record.replications)
    }

    /// Keeps a point.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn keep(&self, record: &PointRecord) -> Result<(), OutputError> {
        write_whole(&self.path(&record.hash), record.to_line())
    }

    /// The sweep is whole: what was kept can go.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn remove(self) -> Result<(), OutputError> {
        fs::remove_dir_all(&self.folder).map_err(|source| io_error("remove", &self.folder, source))
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> OutputError {
    OutputError::Io { action, path: path.to_owned(), source }
}

/// Why a sweep's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Not the folder of a sweep.
    #[error("`{0}` is no finished sweep: it has no `study.json`")]
    NotASweep(PathBuf),
    /// A file is damaged or cut off.
    #[error("`{path}` is damaged: {reason}; run that shard again")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// Shards of different sweeps.
    #[error("`{other}` belongs to another sweep than `{first}`: {what}")]
    Different {
        /// The first folder.
        first: PathBuf,
        /// The one that differs.
        other: PathBuf,
        /// In what.
        what: String,
    },
    /// One shard twice.
    #[error("`{first}` and `{second}` both hold {what}; name each shard once")]
    Overlap {
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What both hold.
        what: String,
    },
    /// Shards that nobody named.
    #[error("{0} missing; merge all of them at once")]
    Incomplete(String),
    /// No folder to merge.
    #[error("`{0}` holds no shards")]
    NoShards(PathBuf),
}

/// A sweep, or one shard of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// What was asked.
    pub study: Study,
    /// The points it has, in order.
    pub records: Vec<PointRecord>,
}

impl Sweep {
    /// Reads a sweep's folder.
    ///
    /// # Errors
    /// [`SweepError`] unless it is whole.
    pub fn read(folder: &Path) -> Result<Self, SweepError> {
        let damaged = |name: &str, reason: String| SweepError::Damaged { path: folder.join(name), reason };
        let text = fs::read_to_string(folder.join(STUDY)).map_err(|_| SweepError::NotASweep(folder.to_owned()))?;
        let study: Study = serde_json::from_str(&text).map_err(|error| damaged(STUDY, error.to_string()))?;
        let text = fs::read_to_string(folder.join(POINTS)).map_err(|error| damaged(POINTS, error.to_string()))?;
        let mut records = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let record = PointRecord::from_line(line)
                .map_err(|reason| damaged(POINTS, format!("line {}: {reason}", place + 1)))?;
            records.push(record);
        }
        let own = |point: &usize| study.shard.is_none_or(|shard| shard.holds(*point));
        let expected: Vec<usize> = (0..study.points).filter(own).collect();
        if records.iter().map(|record| record.point).ne(expected.iter().copied()) {
            return Err(damaged(POINTS, format!("it holds {} of {} points", records.len(), expected.len())));
        }
        let runs = study.replications as usize;
        if let Some(short) = records.iter().find(|record| record.replications.len() != runs) {
            return Err(damaged(POINTS, format!("point {} has not all of its {runs} replications", short.point)));
        }
        Ok(Self { study, records })
    }

    /// Puts the shards of a sweep together; the folders are where they came from, for messages.
    ///
    /// # Errors
    /// [`SweepError`] unless every point is there once.
    pub fn merge(shards: Vec<(PathBuf, Self)>) -> Result<Self, SweepError> {
        let Some((first, Self { study, .. })) = shards.first().cloned() else {
            return Err(SweepError::NoShards(PathBuf::new()));
        };
        let mut holders: IndexMap<usize, &Path> = IndexMap::new();
        for (folder, sweep) in &shards {
            let differs = |what: String| SweepError::Different { first: first.clone(), other: folder.clone(), what };
            let other = &sweep.study;
            if other.version != study.version {
                return Err(differs(format!("version {} and {}", study.version, other.version)));
            }
            if other.hash != study.hash {
                return Err(differs(if other.scenario == study.scenario {
                    "its scenario, points or replications are others".to_owned()
                } else {
                    format!("it is of the scenario `{}`", other.scenario)
                }));
            }
            for record in &sweep.records {
                if let Some(earlier) = holders.insert(record.point, folder) {
                    let what = match other.shard {
                        Some(shard) => format!("shard {shard}"),
                        None => format!("point {}", record.point),
                    };
                    return Err(SweepError::Overlap { first: earlier.to_owned(), second: folder.clone(), what });
                }
            }
        }
        let missing: Vec<usize> = (0..study.points).filter(|point| !holders.contains_key(point)).collect();
        if !missing.is_empty() {
            let count = study.shard.map_or(1, |shard| shard.count);
            let shards: IndexSet<u32> =
                missing.iter().map(|point| (*point as u64 % u64::from(count)) as u32 + 1).collect();
            let mut names: Vec<u32> = shards.into_iter().collect();
            names.sort_unstable();
            let names: Vec<String> = names.into_iter().map(|number| format!("{number}/{count}")).collect();
            let is = if names.len() == 1 { "shard" } else { "shards" };
            let verb = if names.len() == 1 { "is" } else { "are" };
            return Err(SweepError::Incomplete(format!("{is} {} {verb}", names.join(", "))));
        }
        let mut records: Vec<PointRecord> = shards.into_iter().flat_map(|(_, sweep)| sweep.records).collect();
        records.sort_by_key(|record| record.point);
        Ok(Self { study: Study { shard: None, ..study }, records })
    }

    /// Writes the whole folder and puts it in its place; returns the place.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, output: OutputDir) -> Result<PathBuf, ReportError> {
        output.write(STUDY, serde_json::to_string_pretty(&self.study)? + "\n")?;
        let lines: String = self.records.iter().map(|record| record.to_line() + "\n").collect();
        output.write(POINTS, lines)?;
        let tables = SweepTables::new(self);
        output.write_table("sweep.csv", &tables.to_csv(), &tables.columns())?;
        output.write("sweep.json", serde_json::to_string_pretty(&tables.to_json())? + "\n")?;
        plot::draw_sweep(output.path())?;
        Ok(output.commit()?)
    }
}

/// A sweep with the means and intervals of its points.
#[derive(Clone, Debug)]
pub struct SweepTables<'s> {
    /// The sweep.
    pub sweep: &'s Sweep,
    /// A summary a point.
    pub summaries: Vec<Summary>,
}

impl<'s> SweepTables<'s> {
    /// Sums up each point.
    pub fn new(sweep: &'s Sweep) -> Self {
        Self { sweep, summaries: sweep.records.iter().map(|record| Summary::of(&record.replications)).collect() }
    }

    /// The last parts of the paths, as many as tell them apart.
    pub fn short_paths(&self) -> Vec<String> {
        short_paths(&self.sweep.study.paths)
    }

    /// A figure of each point, in order.
    pub fn figures(&self, metric: &str) -> Vec<Option<Figure>> {
        self.summaries.iter().map(|summary| summary.get(metric).copied()).collect()
    }

    /// The figures that tell the most, at most `most` of them: the cost and those of the service quality that move.
    pub fn key_metrics(&self, most: usize) -> Vec<(String, Unit)> {
        const RANKS: [&str; 8] = [
            "cost_usd",
            "latency_p99_s",
            "requests_failed",
            "task_wait_p99_s",
            "under_capacity_s",
            "instance_hours",
            "cpu_reserved_ratio",
            "idle_cost_usd",
        ];
        let mut all: IndexMap<&str, Unit> = IndexMap::new();
        for (key, _, unit) in self.summaries.iter().flat_map(Summary::iter) {
            all.entry(key).or_insert(unit);
        }
        let rank = |key: &str| {
            let metric = key.rsplit_once(':').map_or(key, |(_, metric)| metric);
            RANKS.iter().position(|known| *known == metric)
        };
        let moves = |key: &str| {
            let mut means = self.summaries.iter().map(|summary| summary.get(key).map(|figure| figure.mean));
            let first = means.next().flatten();
            means.any(|mean| mean != first)
        };
        let mut keys: Vec<(usize, &str, Unit)> = all
            .into_iter()
            .filter_map(|(key, unit)| Some((rank(key)?, key, unit)))
            .filter(|(rank, key, _)| *rank == 0 || moves(key))
            .collect();
        keys.sort_by_key(|(rank, ..)| *rank);
        keys.truncate(most);
        keys.into_iter().map(|(_, key, unit)| (key.to_owned(), unit)).collect()
    }

    /// The columns of `sweep.csv`.
    fn columns(&self) -> Vec<Column> {
        let records = &self.sweep.records;
        let paths =
            self.sweep.study.paths.iter().enumerate().map(|(place, path)| {
                Column::of_values(path, records.iter().map(|record| record.values[place].as_str()))
            });
        let figures = ["mean", "ci95_low", "ci95_high"].map(Column::number);
        [Column::count("point")]
            .into_iter()
            .chain(paths)
            .chain([Column::text("metric"), Column::text("unit")])
            .chain(figures)
            .chain([Column::count("n")])
            .collect()
    }

    /// `sweep.csv`: a row for each point and metric.
    pub fn to_csv(&self) -> String {
        let mut text = heading(&self.columns());
        for (record, summary) in self.sweep.records.iter().zip(&self.summaries) {
            let values: Vec<String> = record.values.iter().map(|value| csv_field(value)).collect();
            let begin = format!("{},{}", record.point, values.join(","));
            for (key, figure, unit) in summary.iter() {
                let [low, high] = figure.ci95.unwrap_or([f64::NAN; 2]);
                let ends = [figure.mean, low, high].map(number).join(",");
                writeln!(text, "{begin},{},{},{ends},{}", csv_field(key), unit.as_str(), figure.n)
                    .expect("a String takes any text");
            }
        }
        text
    }

    /// `sweep.json`.
    pub fn to_json(&self) -> Value {
        let Study { scenario, version, catalog_as_of, hash, seed, replications, layout, paths, points, shard } =
            &self.sweep.study;
        let rows: Vec<Value> = self
            .sweep
            .records
            .iter()
            .zip(&self.summaries)
            .map(|(record, summary)| {
                let set = paths.iter().zip(&record.values).filter(|(_, value)| !value.is_empty());
                let settings: Map<String, Value> =
                    set.map(|(path, value)| (path.clone(), value.as_str().into())).collect();
                let metrics: Map<String, Value> = summary
                    .iter()
                    .map(|(key, figure, unit)| {
                        let mut value = figure.to_json();
                        value["unit"] = unit.as_str().into();
                        (key.to_owned(), value)
                    })
                    .collect();
                json!({ "point": record.point, "hash": record.hash, "settings": settings, "metrics": metrics })
            })
            .collect();
        let assumptions: IndexSet<&str> = self.summaries.iter().flat_map(Summary::notes).collect();
        json!({
            "scenario": scenario,
            "version": version,
            "catalog_as_of": catalog_as_of,
            "hash": hash,
            "seed": seed,
            "replications": replications,
            "layout": layout,
            "paths": paths,
            "points_of_all": points,
            "shard": shard.map(|shard| shard.to_string()),
            "points": rows,
            "assumptions": assumptions,
        })
    }

    /// What came out, in a sentence.
    pub fn headline(&self) -> String {
        let points = match self.sweep.records.len() {
            1 => "1 point".to_owned(),
            more => format!("{more} points"),
        };
        let told = |metric: &str, unit: Unit| {
            let figures = self.figures(metric);
            let place = |better: fn(f64, f64) -> bool| {
                (0..figures.len()).filter(|point| figures[*point].is_some()).reduce(|best, point| {
                    let mean = |point: usize| figures[point].map_or(f64::NAN, |figure| figure.mean);
                    if better(mean(point), mean(best)) { point } else { best }
                })
            };
            let (low, high) = (place(|a, b| a < b)?, place(|a, b| a > b)?);
            let at = |point: usize| -> Option<String> { Some(figures[point]?.to_text(unit)) };
            Some((low, high, at(low)?, at(high)?))
        };
        let Some((low, high, least, most)) = told("cost_usd", Unit::Usd) else { return points };
        if low == high {
            return format!("{points}: cost {least}");
        }
        let samples = |place: usize| -> Vec<f64> {
            self.sweep.records[place].replications.iter().filter_map(|run| run.get("cost_usd")).collect()
        };
        let difference = paired_difference(&samples(high), &samples(low));
        if let Some(difference) =
            difference.filter(|difference| difference.half_width.is_some() && difference.contains(0.0))
        {
            let mean = samples(low).iter().sum::<f64>() / samples(low).len() as f64;
            let half = difference.half_width.unwrap_or_default() / mean.abs();
            if half > TELLING {
                let needed = replications_for(half, TELLING, difference.n);
                return format!(
                    "{points}: cost from {least} to {most}, but the interval is too wide to tell them apart (about {needed} \
                     replications would do)"
                );
            }
            return format!("{points}: the cost is the same within the noise, from {least} to {most}");
        }
        format!("{points}: cost from {least} ({}) to {most} ({})", self.settings(low), self.settings(high))
    }

    /// What is set at a point, shortly.
    pub fn settings(&self, place: usize) -> String {
        let values = &self.sweep.records[place].values;
        let set = self.short_paths().into_iter().zip(values).filter(|(_, value)| !value.is_empty());
        set.map(|(path, value)| format!("{path} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// The table on stdout, a row a point.
    pub fn to_text(&self, colour: bool) -> String {
        const ROWS: usize = 40;
        let mut text = Tone::Strong.paint(&self.headline(), colour) + "\n\n";
        let paths = self.short_paths();
        let metrics = self.key_metrics(5);
        let labels: Vec<String> = metrics.iter().map(|(key, _)| label(key)).collect();
        let columns = paths.iter().map(|path| (path.as_str(), Align::Left));
        let mut table = Table::new(columns.chain(labels.iter().map(|label| (label.as_str(), Align::Right))));
        for (record, summary) in self.sweep.records.iter().zip(&self.summaries).take(ROWS) {
            let figure = |(key, unit): &(String, Unit)| {
                Cell::from(summary.get(key).map_or_else(String::new, |figure| figure.to_text(*unit)))
            };
            table.row(record.values.iter().map(Cell::from).chain(metrics.iter().map(figure)));
        }
        text.push_str(&table.render(colour));
        if let Some(more) = self.sweep.records.len().checked_sub(ROWS).filter(|more| *more > 0) {
            text.push_str(&Tone::Dim.paint(&format!("  and {more} points more in sweep.csv\n"), colour));
        }
        let note = match self.sweep.study.replications {
            1 => "one replication: no intervals; ask for more with --replications".to_owned(),
            more => format!("{more} replications of each point on the same random numbers, means ± 95 % intervals"),
        };
        text.push_str(&Tone::Dim.paint(&format!("  {note}\n"), colour));
        text
    }
}

/// The last parts of paths, as many as tell them apart.
pub fn short_paths(paths: &[String]) -> Vec<String> {
    let last = |path: &str, parts: usize| -> String {
        let all: Vec<&str> = path.split('.').collect();
        all[all.len().saturating_sub(parts)..].join(".")
    };
    let longest = paths.iter().map(|path| path.split('.').count()).max().unwrap_or(1);
    (1..=longest)
        .map(|parts| paths.iter().map(|path| last(path, parts)).collect::<Vec<_>>())
        .find(|short| short.iter().collect::<IndexSet<_>>().len() == short.len())
        .unwrap_or_else(|| paths.to_vec())
}

#[cfg(test)]
pub(in crate::report) mod tests {
    use super::*;
    use crate::report::summary::tests::replication;
    use crate::study::design::Parameter;

    /// A sweep of two parameters, three replications a point.
    pub(in crate::report) fn sweep(vary: &[&str]) -> Sweep {
        let parameters: Vec<Parameter> = vary.iter().map(|text| Parameter::parse(text).unwrap()).collect();
        let design = Design::grid(&parameters).unwrap();
        let study = Study::new("web-day", "0123456789abcdef", 7, 3, &design);
        let records = design
            .points
            .iter()
            .enumerate()
            .map(|(point, values)| {
                let size = 1.0 + point as f64;
                let replications = (0..3).map(|n| replication(size + 0.1 / 3.0 * f64::from(n), 0.4 / size)).collect();
                PointRecord { point, hash: format!("{point:016x}"), values: values.0.clone(), replications }
            })
            .collect();
        Sweep { study, records }
    }

    fn shards(sweep: &Sweep, count: u32) -> Vec<(PathBuf, Sweep)> {
        (1..=count)
            .map(|number| {
                let shard = Shard { number, count };
                let records = sweep.records.iter().filter(|record| shard.holds(record.point)).cloned().collect();
                let study = Study { shard: Some(shard), ..sweep.study.clone() };
                (PathBuf::from(shard.folder()), Sweep { study, records })
            })
            .collect()
    }

    #[test]
    fn a_record_reads_back_as_it_was() {
        for record in &sweep(&["a.count=1,2", "b.count='x,y',z"]).records {
            assert_eq!(PointRecord::from_line(&record.to_line()).as_ref(), Ok(record));
        }
        assert!(PointRecord::from_line("{\"point\": 1").is_err());
    }

    #[test]
    fn merged_shards_are_the_whole_sweep() {
        let whole = sweep(&["a=1,2,3,4,5"]);
        let mut parts = shards(&whole, 3);
        parts.reverse();
        assert_eq!(Sweep::merge(parts).unwrap(), whole);
    }

    #[test]
    fn shards_that_overlap_miss_or_differ_are_refused() {
        let whole = sweep(&["a=1,2,3,4,5"]);
        let message = |parts: Vec<(PathBuf, Sweep)>| Sweep::merge(parts).unwrap_err().to_string();
        let missing = shards(&whole, 4).into_iter().skip(2).collect();
        assert_eq!(message(missing), "shards 1/4, 2/4 are missing; merge all of them at once");
        let mut twice = shards(&whole, 2);
        twice.push(("again".into(), twice[0].1.clone()));
        assert!(message(twice).contains("`shard-1-of-2` and `again` both hold shard 1/2"));
        let mut foreign = shards(&whole, 2);
        foreign[1] = shards(&sweep(&["a=1,2,3,4,6"]), 2).remove(1);
        assert!(message(foreign).contains("belongs to another sweep"));
    }

    #[test]
    fn a_folder_that_is_not_whole_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("s");
        let whole = sweep(&["a=1,2,3"]);
        whole.write(OutputDir::prepare(&target).unwrap()).unwrap();
        assert_eq!(Sweep::read(&target).unwrap(), whole);
        let text = fs::read_to_string(target.join(POINTS)).unwrap();
        for (cut, reason) in [(text.len() / 2, "damaged"), (text.find('\n').unwrap() + 1, "1 of 3 points")] {
            fs::write(target.join(POINTS), &text[..cut]).unwrap();
            let error = Sweep::read(&target).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(matches!(Sweep::read(place.path()), Err(SweepError::NotASweep(_))));
    }

    #[test]
    fn finished_points_are_kept_by_what_they_are_of() {
        let place = tempfile::tempdir().unwrap();
        let finished = Finished::beside(&place.path().join("s")).unwrap();
        let record = &sweep(&["a=1,2"]).records[0];
        finished.keep(record).unwrap();
        assert_eq!(finished.get(&record.hash, 3).as_ref(), Some(&record.replications));
        assert_eq!(finished.get(&record.hash, 4), None, "other replications were asked for");
        assert_eq!(finished.get("fedcba9876543210", 3), None);
        fs::write(finished.path(&record.hash), "{").unwrap();
        assert_eq!(finished.get(&record.hash, 3), None, "damaged");
        finished.remove().unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn tables_have_a_row_for_each_point_and_metric() {
        let sweep = sweep(&["services.web.desiredCount=2,4", "groups.web.desiredCount=8"]);
        let tables = SweepTables::new(&sweep);
        assert_eq!(tables.short_paths(), ["services.web.desiredCount", "groups.web.desiredCount"]);
        let csv = tables.to_csv();
        assert_eq!(csv.lines().count(), 1 + 2 * 10, "{csv}");
        assert!(csv.starts_with("point,services.web.desiredCount,groups.web.desiredCount,metric,unit,mean,"), "{csv}");
        assert_eq!(tables.to_json()["points"][1]["metrics"]["cost_usd"]["n"], json!(3));
        assert_eq!(tables.key_metrics(3)[0].0, "cost_usd");
        insta::assert_snapshot!(tables.to_text(false));
    }

    #[test]
    fn paths_are_as_short_as_they_can_be() {
        let short = |paths: &[&str]| short_paths(&paths.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(short(&["services.web.desiredCount"]), ["desiredCount"]);
        assert_eq!(short(&["services.web.count", "services.api.count"]), ["web.count", "api.count"]);
    }
}
