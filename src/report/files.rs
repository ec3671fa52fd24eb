//! The tables and logs of a run's folder, written as the run goes.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::WriterBuilder;
use serde::Serialize;
use serde_json::Value;

use crate::engine::time::SimTime;
use crate::report::Detail;
use crate::report::bill::CostRow;
use crate::report::column::Column;
use crate::report::format::{Seconds, number};
use crate::report::output::{OutputDir, OutputError};

/// A file that counts what is written to it.
#[derive(Debug)]
struct Counted {
    file: File,
    written: Arc<AtomicU64>,
}

impl Counted {
    fn create(output: &OutputDir, name: &str, written: &Arc<AtomicU64>) -> Result<BufWriter<Self>, OutputError> {
        Ok(BufWriter::new(Self { file: output.create(name)?, written: written.clone() }))
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        // A count and nothing else: no other memory depends on it.
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A table of a run's folder with its columns.
#[derive(Debug)]
pub(super) struct TableFile {
    name: &'static str,
    columns: &'static [Column],
    writer: csv::Writer<BufWriter<Counted>>,
}

impl TableFile {
    fn create(
        output: &OutputDir,
        name: &'static str,
        columns: &'static [Column],
        written: &Arc<AtomicU64>,
    ) -> Result<Self, OutputError> {
        let mut writer = WriterBuilder::new().from_writer(Counted::create(output, name, written)?);
        let names = columns.iter().map(|column| column.name.as_ref());
        writer.write_record(names).map_err(|error| output.refused(name, error.into()))?;
        Ok(Self { name, columns, writer })
    }

    fn row<T: AsRef<[u8]>>(&mut self, cells: impl IntoIterator<Item = T>) -> io::Result<()> {
        Ok(self.writer.write_record(cells)?)
    }

    /// Flushes it and has its other forms written.
    fn finish(mut self, output: &OutputDir) -> Result<(), OutputError> {
        self.writer.flush().map_err(|error| output.refused(self.name, error))?;
        output.table_done(self.name, self.columns)
    }
}

/// A log of a run's folder, a JSON value a line.
#[derive(Debug)]
pub(super) struct LogFile {
    writer: BufWriter<Counted>,
}

impl LogFile {
    fn create(output: &OutputDir, name: &str, written: &Arc<AtomicU64>) -> Result<Self, OutputError> {
        Ok(Self { writer: Counted::create(output, name, written)? })
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, value)?;
        self.writer.write_all(b"\n")
    }

    /// A line that begins with the time, exact to the nanosecond.
    fn timed(&mut self, now: SimTime, value: &Value) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        let rest = text.strip_prefix('{').unwrap_or(&text);
        let comma = if rest == "}" { "" } else { "," };
        writeln!(self.writer, "{{\"time_s\":{}{comma}{rest}", Seconds(now))
    }
}

/// The open files of one run. The first failure stops all writing and is reported at the end: an observer has nobody to
/// tell it to.
#[derive(Debug)]
pub(super) struct Files {
    series: TableFile,
    alarms: TableFile,
    cost: TableFile,
    instances: TableFile,
    idle: TableFile,
    full: Option<FullFiles>,
    failure: Option<io::Error>,
    written: Arc<AtomicU64>,
}

/// What only `--detail full` writes.
#[derive(Debug)]
struct FullFiles {
    tasks: TableFile,
    packing: TableFile,
    events: LogFile,
    decisions: LogFile,
    activities: LogFile,
    notifications: LogFile,
}

static TASK_COLUMNS: [Column; 15] = [
    Column::text("task"),
    Column::text("group"),
    Column::text("task_definition"),
    Column::text("cluster"),
    Column::text("launch_type"),
    Column::text("capacity_provider"),
    Column::text("instance"),
    Column::text("az"),
    Column::number("created_s"),
    Column::number("pending_s"),
    Column::number("running_s"),
    Column::number("stopping_s"),
    Column::number("stopped_s"),
    Column::text("stop_code"),
    Column::text("stopped_reason"),
];

static PACKING_COLUMNS: [Column; 7] = [
    Column::number("time_s"),
    Column::text("instance"),
    Column::text("az"),
    Column::count("registered_cpu"),
    Column::count("reserved_cpu"),
    Column::count("registered_memory_mib"),
    Column::count("reserved_memory_mib"),
];

static INSTANCE_COLUMNS: [Column; 14] = [
    Column::text("instance"),
    Column::text("asg"),
    Column::text("type"),
    Column::text("az"),
    Column::text("market"),
    Column::number("launched_s"),
    Column::number("in_service_s"),
    Column::number("registered_s"),
    Column::number("draining_s"),
    Column::number("terminating_s"),
    Column::number("terminated_s"),
    Column::number("billed_s"),
    Column::number("cost_usd"),
    Column::text("reason"),
];

static SERIES_COLUMNS: [Column; 4] =
    [Column::number("time_s"), Column::text("resource"), Column::text("metric"), Column::number("value")];

static ALARM_COLUMNS: [Column; 4] =
    [Column::number("time_s"), Column::text("alarm"), Column::text("state"), Column::text("reason")];

static COST_COLUMNS: [Column; 6] = [
    Column::text("item"),
    Column::text("resource"),
    Column::number("quantity"),
    Column::text("unit"),
    Column::number("unit_price_usd"),
    Column::number("cost_usd"),
];

static IDLE_COLUMNS: [Column; 7] = [
    Column::text("instance"),
    Column::text("asg"),
    Column::text("cause"),
    Column::text("rule"),
    Column::number("from_s"),
    Column::number("to_s"),
    Column::number("usd_per_hour"),
];

/// A log of a run's folder.
#[derive(Clone, Copy, Debug)]
pub(super) enum Log {
    Decisions,
    Activities,
    Notifications,
}

impl Files {
    /// Opens the files of `detail` in `output`; none for a summary.
    pub(super) fn create(output: &OutputDir, detail: Detail) -> Result<Option<Self>, OutputError> {
        if detail == Detail::Summary {
            return Ok(None);
        }
        let written = Arc::new(AtomicU64::new(0));
        let table = |name: &'static str, columns: &'static [Column]| TableFile::create(output, name, columns, &written);
        let log = |name: &str| LogFile::create(output, name, &written);
        let full = if detail == Detail::Full {
            Some(FullFiles {
                tasks: table("tasks.csv", &TASK_COLUMNS)?,
                packing: table("packing.csv", &PACKING_COLUMNS)?,
                events: log("events.jsonl")?,
                decisions: log("decisions.jsonl")?,
                activities: log("activities.jsonl")?,
                notifications: log("notifications.jsonl")?,
            })
        } else {
            None
        };
        Ok(Some(Self {
            series: table("series.csv", &SERIES_COLUMNS)?,
            alarms: table("alarms.csv", &ALARM_COLUMNS)?,
            cost: table("cost.csv", &COST_COLUMNS)?,
            instances: table("instances.csv", &INSTANCE_COLUMNS)?,
            idle: table("idle.csv", &IDLE_COLUMNS)?,
            full,
            failure: None,
            written,
        }))
    }

    /// How many bytes have gone to all files so far; it counts on while the run does.
    pub(super) fn written(&self) -> Arc<AtomicU64> {
        self.written.clone()
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.failure.is_none()
            && let Err(error) = write(self)
        {
            self.failure = Some(error);
        }
    }

    fn attempt_full(&mut self, write: impl FnOnce(&mut FullFiles) -> io::Result<()>) {
        self.attempt(|files| files.full.as_mut().map_or(Ok(()), write));
    }

    pub(super) fn sample(&mut self, at: SimTime, resource: &str, metric: &str, value: f64) {
        self.attempt(|files| files.series.row([Seconds(at).to_string().as_str(), resource, metric, &number(value)]));
    }

    pub(super) fn alarm(&mut self, at: SimTime, alarm: &str, state: &str, reason: &str) {
        self.attempt(|files| files.alarms.row([Seconds(at).to_string().as_str(), alarm, state, reason]));
    }

    pub(super) fn cost(&mut self, row: &CostRow) {
        self.attempt(|files| {
            files.cost.row([
                row.item.as_str(),
                &row.resource,
                &number(row.quantity),
                row.unit,
                &number(row.unit_price.0),
                &row.cost.to_string(),
            ])
        });
    }

    pub(super) fn instance(&mut self, cells: &[String; INSTANCE_COLUMNS.len()]) {
        self.attempt(|files| files.instances.row(cells));
    }

    pub(super) fn idle(&mut self, cells: &[String; IDLE_COLUMNS.len()]) {
        self.attempt(|files| files.idle.row(cells));
    }

    pub(super) fn task(&mut self, cells: &[String; TASK_COLUMNS.len()]) {
        self.attempt_full(|files| files.tasks.row(cells));
    }

    pub(super) fn packing(&mut self, cells: &[String; PACKING_COLUMNS.len()]) {
        self.attempt_full(|files| files.packing.row(cells));
    }

    pub(super) fn event(&mut self, event: &impl Serialize) {
        self.attempt_full(|files| files.events.line(event));
    }

    pub(super) fn log(&mut self, log: Log, now: SimTime, value: &Value) {
        self.attempt_full(|files| match log {
            Log::Decisions => files.decisions.timed(now, value),
            Log::Activities => files.activities.timed(now, value),
            Log::Notifications => files.notifications.timed(now, value),
        });
    }

    /// Flushes everything and completes the tables in `output`.
    ///
    /// # Errors
    /// The first failure of the run, if there was one.
    pub(super) fn finish(self, output: &OutputDir) -> Result<(), OutputError> {
        if let Some(failure) = self.failure {
            return Err(output.refused("", failure));
        }
        for table in [self.series, self.alarms, self.cost, self.instances, self.idle] {
            table.finish(output)?;
        }
        if let Some(full) = self.full {
            full.tasks.finish(output)?;
            full.packing.finish(output)?;
            for mut log in [full.events, full.decisions, full.activities, full.notifications] {
                log.writer.flush().map_err(|error| output.refused("", error))?;
            }
        }
        Ok(())
    }
}

/// A cell that may be empty.
pub(super) fn cell(value: Option<impl Display>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
