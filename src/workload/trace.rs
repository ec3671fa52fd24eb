//! Traces: any CSV by column names, as a rate ([`read_rate`]) or as arrivals ([`read_arrivals`]).
//!
//! Files are read as a stream, a line at a time, and refused at the first thing that is wrong, with its line and column.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::StringRecord;
use jiff::Timestamp;

use crate::ecs::task_definition::TaskOverrides;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::{CpuUnits, MiB};
use crate::workload::arrivals::{Arrival, ArrivalTrace};
use crate::workload::distribution::Distribution;
use crate::workload::rate::{InvalidRate, Piecewise, Rate};

/// A column, and the factor from its unit to ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in the header line.
    pub name: String,
    /// What one of its units is in ours.
    pub scale: f64,
}

impl Column {
    /// A column that is in our unit already.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), scale: 1.0 }
    }

    /// A column whose unit is `scale` of ours.
    pub fn scaled(name: &str, scale: f64) -> Self {
        Self { name: name.to_owned(), scale }
    }
}

/// The column of times.
///
/// A cell is a number of `unit`s, or a date and time in RFC 3339, as the first row has it. Numbers count from time zero
/// unless `origin` says otherwise, dates from the first row's.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeColumn {
    /// Name in the header line.
    pub name: String,
    /// What one unit is; a second unless the column says otherwise.
    pub unit: SimDuration,
    /// The trace's time that is the simulation's time zero, as a cell would say it; earlier rows are left out.
    pub origin: Option<String>,
    /// Every span of the trace takes this many times as long; 1 leaves it as it is.
    pub stretch: f64,
    /// Whether a cell is the time since the row before (interarrival times) instead of since the beginning.
    pub is_gap: bool,
}

impl TimeColumn {
    /// A column of seconds, or of dates.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), unit: SimDuration::from_secs(1), origin: None, stretch: 1.0, is_gap: false }
    }
}

/// What becomes of a stretch without data: an empty cell, or rows further apart than one and a half of the usual step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// The value before goes on.
    #[default]
    Hold,
    /// The rate is zero.
    Zero,
    /// The trace is refused.
    Refuse,
}

/// How to read a rate.
#[derive(Clone, Debug, PartialEq)]
pub struct RateColumns {
    /// When a value begins; it lasts to the next row.
    pub time: TimeColumn,
    /// The value, scaled to a rate per second.
    pub value: Column,
    /// Start again at the end; otherwise the rate is zero from there on.
    pub repeat: bool,
    /// Stretches without data.
    pub gaps: Gaps,
}

/// How to read arrivals. An empty cell, in any column but the time's, leaves its setting to the task definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivalColumns {
    /// When a row arrives; rows are in order of time.
    pub time: TimeColumn,
    /// How long the task runs, scaled to seconds.
    pub runs_for: Option<Column>,
    /// CPU, scaled to CPU units; rounded up.
    pub cpu: Option<Column>,
    /// Memory, scaled to MiB; rounded up.
    pub memory: Option<Column>,
    /// GPUs; rounded up.
    pub gpus: Option<Column>,
    /// Start again after this long.
    pub repeat: Option<SimDuration>,
}

/// Why a file is no trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TraceError {
    /// It cannot be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the system or the CSV reader says.
        error: String,
    },
    /// It has no data.
    #[error("{file} has no rows below its header line")]
    Empty {
        /// Which file.
        file: String,
    },
    /// Every row lies before the origin.
    #[error("{file} has no rows at or after `{origin}`")]
    BeforeOrigin {
        /// Which file.
        file: String,
        /// The origin.
        origin: String,
    },
    /// A column is not there.
    #[error("{file} has no column `{column}`{}; it has {found}", nearest.as_ref().map_or_else(String::new, |name| format!(", do you mean `{name}`?")))]
    MissingColumn {
        /// Which file.
        file: String,
        /// Which column.
        column: String,
        /// A column of nearly that name.
        nearest: Option<String>,
        /// The columns it has.
        found: String,
    },
    /// A cell is wrong.
    #[error("{file}, line {line}, column `{column}`: {problem}")]
    Cell {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: u64,
        /// Which column.
        column: String,
        /// What is wrong.
        problem: Problem,
    },
    /// The options make no sense.
    #[error("{0}")]
    Options(String),
}

/// What can be wrong with a cell.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// No number.
    #[error("`{0}` is no number")]
    NotANumber(String),
    /// No date and time.
    #[error("`{0}` is no date and time; write as the first row does, for example 2026-01-05T00:00:00Z")]
    NotATime(String),
    /// Nothing where something is needed.
    #[error("nothing is written here")]
    Missing,
    /// NaN or infinite.
    #[error("`{0}` is not finite")]
    NotFinite(String),
    /// Below zero.
    #[error("`{0}` is negative")]
    Negative(String),
    /// Too large to count with.
    #[error("`{0}` is too large")]
    TooLarge(String),
    /// A time that is not after the one before.
    #[error("`{found}` comes after `{before}`; rows must be in order of time")]
    Backwards {
        /// This row's time.
        found: String,
        /// The row's before.
        before: String,
    },
    /// The same time twice.
    #[error("`{0}` is there twice; a rate has one value at a time")]
    Twice(String),
    /// A gap, where gaps are refused.
    #[error("no data for {0} before this row")]
    Gap(SimDuration),
    /// Counted from 1970, it seems.
    #[error(
        "`{0}` seconds are more than three years; if the trace counts from some epoch, say where to begin (`origin`)"
    )]
    Epoch(String),
}

/// Reads a rate from a file.
pub fn read_rate_file(path: &Path, columns: &RateColumns) -> Result<Rate, TraceError> {
    read_rate(open(path)?, &path.display().to_string(), columns)
}

/// Reads arrivals from a file.
pub fn read_arrivals_file(path: &Path, columns: &ArrivalColumns) -> Result<ArrivalTrace, TraceError> {
    read_arrivals(open(path)?, &path.display().to_string(), columns)
}

/// Reads a sample, one value a row, from a file: an empirical distribution.
pub fn read_sample_file(path: &Path, column: &Column) -> Result<Distribution, TraceError> {
    read_sample(open(path)?, &path.display().to_string(), column)
}

fn open(path: &Path) -> Result<File, TraceError> {
    File::open(path)
        .map_err(|error| TraceError::Unreadable { file: path.display().to_string(), error: error.to_string() })
}

/// Reads a rate; `file` names the input in errors.
pub fn read_rate(input: impl Read, file: &str, columns: &RateColumns) -> Result<Rate, TraceError> {
    let mut table = Table::open(input, file)?;
    let mut clock = Clock::new(&mut table, &columns.time, Order::Rising)?;
    let value = table.column(&columns.value)?;
    let mut points: Vec<(SimTime, Option<f64>, u64)> = Vec::new();
    // The latest row before the origin: its value may still hold there.
    let mut before_origin = None;
    while table.next()? {
        let at = clock.read(&table)?;
        let rate = table.number(&value)?;
        match at {
            Some(at) => points.push((at, rate, table.line)),
            None => before_origin = rate.or(before_origin),
        }
    }
    let Some(&(first, _, _)) = points.first() else {
        return Err(clock.nothing_left(&table));
    };
    if let (Some(rate), true) = (before_origin, first > SimTime::ZERO) {
        points.insert(0, (SimTime::ZERO, Some(rate), 0));
    }
    let step = usual_step(&points);
    let last = points[points.len() - 1].0;
    let mut steps: Vec<(SimTime, f64)> = Vec::with_capacity(points.len() + 1);
    let mut expected = first;
    for (at, rate, line) in points {
        let gap = at.saturating_since(expected);
        let is_gap = gap > step / 2 || rate.is_none();
        if is_gap && columns.gaps == Gaps::Refuse {
            let problem = if rate.is_none() { Problem::Missing } else { Problem::Gap(gap) };
            let column = if rate.is_none() { &columns.value.name } else { &columns.time.name };
            return Err(table.error(line, column, problem));
        }
        if gap > step / 2 && columns.gaps == Gaps::Zero {
            steps.push((expected, 0.0));
        }
        match (rate, columns.gaps) {
            (Some(rate), _) => steps.push((at, rate)),
            (None, Gaps::Zero) => steps.push((at, 0.0)),
            (None, _) => {} // held
        }
        expected = at.saturating_add(step);
    }
    let end = last.saturating_add(step);
    let repeat = columns.repeat.then(|| end.saturating_since(SimTime::ZERO));
    if !columns.repeat {
        steps.push((end, 0.0));
    }
    if steps.is_empty() {
        steps.push((SimTime::ZERO, 0.0));
    }
    let refused = |error: InvalidRate| TraceError::Options(format!("{file}: {error}"));
    Piecewise::new(&steps, repeat).map(Rate::Piecewise).map_err(refused)
}

/// Reads arrivals; `file` names the input in errors.
pub fn read_arrivals(input: impl Read, file: &str, columns: &ArrivalColumns) -> Result<ArrivalTrace, TraceError> {
    let mut table = Table::open(input, file)?;
    let mut clock = Clock::new(&mut table, &columns.time, Order::NotFalling)?;
    let find = |column: &Option<Column>| column.as_ref().map(|column| table.column(column)).transpose();
    let (runs_for, cpu) = (find(&columns.runs_for)?, find(&columns.cpu)?);
    let (memory, gpus) = (find(&columns.memory)?, find(&columns.gpus)?);
    let mut rows = Vec::new();
    while table.next()? {
        let at = clock.read(&table)?;
        let overrides = TaskOverrides {
            cpu: table.whole(cpu.as_ref())?.map(CpuUnits),
            memory: table.whole(memory.as_ref())?.map(MiB),
            gpus: table.whole(gpus.as_ref())?.map(|gpus| u32::try_from(gpus).unwrap_or(u32::MAX)),
            runs_for: match &runs_for {
                Some(column) => table.number(column)?.map(SimDuration::from_secs_f64),
                None => None,
            },
        };
        rows.extend(at.map(|at| Arrival { at, overrides }));
    }
    if rows.is_empty() {
        return Err(clock.nothing_left(&table));
    }
    Ok(ArrivalTrace { rows, repeat: columns.repeat })
}

/// What a CSV file has in its header line, and in its first row.
pub struct Header {
    /// Names of the columns.
    pub names: Vec<String>,
    /// The first row's cells.
    pub first: Vec<String>,
}

/// Reads the header line and the first row of a file.
///
/// # Errors
/// [`TraceError`] when it cannot be read or has no rows.
pub fn read_header_file(path: &Path) -> Result<Header, TraceError> {
    let file = path.display().to_string();
    let mut table = Table::open(open(path)?, &file)?;
    if !table.next()? {
        return Err(TraceError::Empty { file });
    }
    let names = table.header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    Ok(Header { names, first: table.row.iter().map(str::to_owned).collect() })
}

/// Rows of a trace as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Time since the first row or the origin [s], and the value in our unit; `None` for an empty cell or without a column.
    pub rows: Vec<(f64, Option<f64>)>,
    /// The wall-clock instant of time zero, where the column holds dates.
    pub start: Option<Timestamp>,
    /// The usual distance of rows [s].
    pub step: f64,
    /// Of values, the line of the first whose time the row before has too, and how many such rows there are; they are
    /// taken together with their mean.
    pub doubled: Option<(u64, usize)>,
}

/// Reads the rows of a file, in order of time: of a rate with `value`, of arrivals without.
///
/// # Errors
/// [`TraceError`] with the first thing that is wrong.
pub fn read_rows_file(path: &Path, time: &TimeColumn, value: Option<&Column>) -> Result<Rows, TraceError> {
    let mut table = Table::open(open(path)?, &path.display().to_string())?;
    let mut clock = Clock::new(&mut table, time, Order::NotFalling)?;
    let value = value.map(|value| table.column(value)).transpose()?;
    let mut rows: Vec<(SimTime, Option<f64>, u64)> = Vec::new();
    let mut doubled: Option<(u64, usize)> = None;
    // How many rows the last one stands for.
    let mut together = 1.0;
    while table.next()? {
        let Some(at) = clock.read(&table)? else { continue };
        let found = value.as_ref().map(|column| table.number(column)).transpose()?.flatten();
        let before = rows.last_mut().filter(|(before, ..)| value.is_some() && *before == at);
        let Some((_, mean, _)) = before else {
            together = 1.0;
            rows.push((at, found, table.line));
            continue;
        };
        doubled = Some(doubled.map_or((table.line, 1), |(line, count)| (line, count + 1)));
        if let (Some(mean), Some(found)) = (mean.as_mut(), found) {
            together += 1.0;
            *mean += (found - *mean) / together;
        } else {
            *mean = mean.or(found);
        }
    }
    if rows.is_empty() {
        return Err(clock.nothing_left(&table));
    }
    let start = match clock.origin {
        Some(Origin::Date(nanos)) => Timestamp::from_nanosecond(nanos).ok(),
        _ => None,
    };
    let step = usual_step(&rows).as_secs_f64();
    Ok(Rows { rows: rows.into_iter().map(|(at, value, _)| (at.as_secs_f64(), value)).collect(), start, step, doubled })
}

/// Reads a sample, one value a row; empty cells are left out.
pub fn read_sample(input: impl Read, file: &str, column: &Column) -> Result<Distribution, TraceError> {
    let mut table = Table::open(input, file)?;
    let column = table.column(column)?;
    let mut values = Vec::new();
    while table.next()? {
        values.extend(table.number(&column)?);
    }
    if values.is_empty() {
        return Err(TraceError::Empty { file: file.to_owned() });
    }
    Distribution::empirical(values).map_err(|error| TraceError::Options(format!("{file}: {error}")))
}

/// The median distance of rows, the smaller of the middle two; the distance that the last row is taken to last.
fn usual_step(points: &[(SimTime, Option<f64>, u64)]) -> SimDuration {
    let mut steps: Vec<SimDuration> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    if steps.is_empty() {
        return SimDuration::MINUTE;
    }
    let middle = (steps.len() - 1) / 2;
    *steps.select_nth_unstable(middle).1
}

/// A CSV file that is read row by row.
struct Table<R> {
    reader: csv::Reader<LineGuard<R>>,
    file: String,
    header: StringRecord,
    row: StringRecord,
    line: u64,
}

/// A column that was found.
#[derive(Clone, Debug)]
struct Found {
    index: usize,
    name: String,
    scale: f64,
}

impl<R: Read> Table<R> {
    fn open(input: R, file: &str) -> Result<Self, TraceError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(LineGuard::new(input));
        let unreadable = |error: &csv::Error| TraceError::Unreadable { file: file.to_owned(), error: describe(error) };
        let header = reader.headers().map_err(|error| unreadable(&error))?.clone();
        if header.iter().all(str::is_empty) {
            return Err(TraceError::Empty { file: file.to_owned() });
        }
        Ok(Self { reader, file: file.to_owned(), header, row: StringRecord::new(), line: 1 })
    }

    fn column(&self, column: &Column) -> Result<Found, TraceError> {
        if !(column.scale.is_finite() && column.scale > 0.0) {
            let Column { name, scale } = column;
            return Err(TraceError::Options(format!("the scale of column `{name}` is {scale}; it must be above zero")));
        }
        Ok(Found { index: self.index(&column.name)?, name: column.name.clone(), scale: column.scale })
    }

    fn index(&self, name: &str) -> Result<usize, TraceError> {
        // A byte-order mark belongs to the file, not to the name of its first column.
        let names = || self.header.iter().map(|name| name.trim_start_matches('\u{feff}'));
        names().position(|found| found == name).ok_or_else(|| {
            let distance = |found: &str| strsim::osa_distance(&found.to_lowercase(), &name.to_lowercase());
            let near =
                names().min_by_key(|found| distance(found)).filter(|found| distance(found) <= 2.max(name.len() / 3));
            let shown: Vec<String> = names().take(20).map(|name| name.chars().take(40).collect()).collect();
            TraceError::MissingColumn {
                file: self.file.clone(),
                column: name.to_owned(),
                nearest: near.map(str::to_owned),
                found: shown.join(", "),
            }
        })
    }

    fn next(&mut self) -> Result<bool, TraceError> {
        let more = self.reader.read_record(&mut self.row);
        self.line = self.row.position().map_or(self.line, csv::Position::line);
        more.map_err(|error| TraceError::Unreadable { file: self.file.clone(), error: describe(&error) })
    }

    fn cell(&self, index: usize) -> &str {
        self.row.get(index).unwrap_or("")
    }

    /// A non-negative number in our unit; `None` for an empty cell.
    fn number(&self, column: &Found) -> Result<Option<f64>, TraceError> {
        let text = self.cell(column.index);
        if text.is_empty() {
            return Ok(None);
        }
        let problem = match text.parse::<f64>() {
            Err(_) => Problem::NotANumber(shorten(text)),
            Ok(value) if !value.is_finite() => Problem::NotFinite(shorten(text)),
            Ok(value) if value < 0.0 => Problem::Negative(shorten(text)),
            Ok(value) if !(value * column.scale).is_finite() => Problem::TooLarge(shorten(text)),
            Ok(value) => return Ok(Some(value * column.scale)),
        };
        Err(self.error(self.line, &column.name, problem))
    }

    /// The next whole number, with a guard against the rounding of the scale.
    fn whole(&self, column: Option<&Found>) -> Result<Option<u64>, TraceError> {
        let Some(column) = column else { return Ok(None) };
        let value = self.number(column)?;
        if value.is_some_and(|value| value > 1e15) {
            let problem = Problem::TooLarge(shorten(self.cell(column.index)));
            return Err(self.error(self.line, &column.name, problem));
        }
        Ok(value.map(|value| (value - 1e-9 * value.max(1.0)).ceil().max(0.0) as u64))
    }

    fn error(&self, line: u64, column: &str, problem: Problem) -> TraceError {
        TraceError::Cell { file: self.file.clone(), line, column: column.to_owned(), problem }
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

fn describe(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(1, csv::Position::line);
            format!("line {line} is not text in UTF-8")
        }
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} columns, the header has {expected_len}")
        }
        _ => error.to_string(),
    }
}

/// Whether a time may come twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Rising,
    NotFalling,
}

/// Reads the time column.
struct Clock {
    column: TimeColumn,
    index: usize,
    order: Order,
    /// Which way the first row writes its time, and where the trace's time zero is.
    origin: Option<Origin>,
    before: Option<(i128, String)>,
    /// Sum of the gaps so far, where the column holds gaps.
    elapsed: i128,
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Numbers from here, in nanoseconds.
    Number(i128),
    /// Dates from here, in nanoseconds since 1970.
    Date(i128),
}

/// A trace that begins later than this, in nanoseconds, counts from an epoch.
const THREE_YEARS: i128 = 3 * 365 * 86_400 * 1_000_000_000;

impl Clock {
    fn new<R: Read>(table: &mut Table<R>, column: &TimeColumn, order: Order) -> Result<Self, TraceError> {
        if !(column.stretch.is_finite() && column.stretch > 0.0) {
            return Err(TraceError::Options(format!(
                "the stretch of a trace is {}; it must be above zero",
                column.stretch
            )));
        }
        if column.unit.is_zero() {
            return Err(TraceError::Options("the unit of a time column must be longer than nothing".to_owned()));
        }
        let index = table.index(&column.name)?;
        let mut clock = Self { column: column.clone(), index, order, origin: None, before: None, elapsed: 0 };
        if let Some(origin) = &column.origin {
            let read = clock.number(origin).map(Origin::Number).or_else(|_| date(origin).map(Origin::Date));
            let unknown = |_| TraceError::Options(format!("the origin `{origin}` is neither a number nor a date"));
            clock.origin = Some(read.map_err(unknown)?);
        }
        Ok(clock)
    }

    /// This row's simulation time, or `None` before the origin.
    fn read<R: Read>(&mut self, table: &Table<R>) -> Result<Option<SimTime>, TraceError> {
        let text = table.cell(self.index);
        let fail = |problem| table.error(table.line, &self.column.name, problem);
        if text.is_empty() {
            return Err(fail(Problem::Missing));
        }
        if self.column.is_gap {
            let gap = self.number(text).map_err(fail)?;
            if gap < 0 {
                return Err(fail(Problem::Negative(shorten(text))));
            }
            self.elapsed = self.elapsed.saturating_add(gap);
        }
        let (origin, nanos) = match self.origin {
            _ if self.column.is_gap => {
                let origin = match self.origin {
                    Some(Origin::Number(origin)) => origin,
                    _ => 0,
                };
                (origin, self.elapsed)
            }
            Some(Origin::Number(origin)) => (origin, self.number(text).map_err(fail)?),
            Some(Origin::Date(origin)) => (origin, date(text).map_err(fail)?),
            None => match (self.number(text), date(text)) {
                (Ok(nanos), _) if nanos > THREE_YEARS => return Err(fail(Problem::Epoch(shorten(text)))),
                (Ok(nanos), _) => {
                    self.origin = Some(Origin::Number(0));
                    (0, nanos)
                }
                (Err(_), Ok(nanos)) => {
                    self.origin = Some(Origin::Date(nanos));
                    (nanos, nanos)
                }
                (Err(problem), Err(_)) => return Err(fail(problem)),
            },
        };
        if let Some((before, written)) = &self.before {
            if nanos < *before {
                return Err(fail(Problem::Backwards { found: shorten(text), before: written.clone() }));
            }
            if nanos == *before && self.order == Order::Rising {
                return Err(fail(Problem::Twice(shorten(text))));
            }
        }
        self.before = Some((nanos, shorten(text)));
        if nanos < origin {
            if self.column.origin.is_none() {
                return Err(fail(Problem::Negative(shorten(text))));
            }
            return Ok(None);
        }
        // Half the range: steps after the last row must fit too.
        let offset = u64::try_from(nanos - origin).ok().filter(|&offset| offset < u64::MAX / 2);
        let stretched = offset.map(|offset| SimDuration::from_nanos(offset).mul_f64_exactly(self.column.stretch));
        match stretched.filter(|offset| offset.as_nanos() < u64::MAX / 2) {
            Some(offset) => Ok(Some(SimTime::ZERO + offset)),
            None => Err(fail(Problem::TooLarge(shorten(text)))),
        }
    }

    /// A number of units, in nanoseconds.
    fn number(&self, text: &str) -> Result<i128, Problem> {
        let unit = i128::from(self.column.unit.as_nanos());
        if let Ok(whole) = text.parse::<i64>() {
            return Ok(i128::from(whole) * unit);
        }
        let value: f64 = text.parse().map_err(|_| Problem::NotANumber(shorten(text)))?;
        if !value.is_finite() {
            return Err(Problem::NotFinite(shorten(text)));
        }
        Ok((value * unit as f64).round() as i128)
    }

    fn nothing_left<R: Read>(&self, table: &Table<R>) -> TraceError {
        let file = table.file.clone();
        match &self.column.origin {
            Some(origin) if self.before.is_some() => TraceError::BeforeOrigin { file, origin: origin.clone() },
            _ => TraceError::Empty { file },
        }
    }
}

/// RFC 3339, or a date and time in UTC as the CloudWatch console exports it: `2026/01/05 09:00:00`.
fn date(text: &str) -> Result<i128, Problem> {
    let utc = |text: &str| {
        let civil = text.replacen('/', "-", 2).parse::<jiff::civil::DateTime>().ok()?;
        Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    let time = text.parse::<Timestamp>().ok().or_else(|| utc(text));
    time.map(Timestamp::as_nanosecond).ok_or_else(|| Problem::NotATime(shorten(text)))
}

trait Stretch {
    /// Like `mul_f64`, but the factor 1 changes nothing, however long the span.
    fn mul_f64_exactly(self, factor: f64) -> Self;
}

impl Stretch for SimDuration {
    fn mul_f64_exactly(self, factor: f64) -> Self {
        if factor == 1.0 { self } else { self.mul_f64(factor) }
    }
}

/// Refuses input with a line longer than a mebibyte: 100 MB of something else must not be held in memory as one row.
struct LineGuard<R> {
    input: R,
    line_length: usize,
}

impl<R> LineGuard<R> {
    const LONGEST: usize = 1 << 20;

    const fn new(input: R) -> Self {
        Self { input, line_length: 0 }
    }
}

impl<R: Read> Read for LineGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let read = &buffer[..count];
        self.line_length = match read.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => count - end - 1,
            None => self.line_length + count,
        };
        if self.line_length > Self::LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is longer than 1 MiB: this is no CSV file"));
        }
        Ok(count)
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Hold => "hold",
            Self::Zero => "zero",
            Self::Refuse => "refuse",
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn columns() -> RateColumns {
        RateColumns { time: TimeColumn::named("t_s"), value: Column::named("value"), repeat: false, gaps: Gaps::Hold }
    }

    fn rate(text: &str, columns: &RateColumns) -> Result<Rate, TraceError> {
        read_rate(text.as_bytes(), "load.csv", columns)
    }

    fn at(rate: &Rate, times: &[u64]) -> Vec<f64> {
        times.iter().map(|&t| rate.at(SimTime::from_secs(t))).collect()
    }

    const LOAD: &str = "t_s,value\n0,30\n60,120\n120,60\n";

    #[test]
    fn a_rate_holds_to_the_next_row_and_ends_a_step_after_the_last() {
        let rate = rate(LOAD, &columns()).unwrap();
        assert_eq!(at(&rate, &[0, 59, 60, 120, 179, 180]), [30.0, 30.0, 120.0, 60.0, 60.0, 0.0]);
    }

    #[test]
    fn a_repeated_rate_starts_again_after_its_last_step() {
        let rate = rate(LOAD, &RateColumns { repeat: true, ..columns() }).unwrap();
        assert_eq!(at(&rate, &[180, 240, 300, 360]), [30.0, 120.0, 60.0, 30.0]);
    }

    #[test]
    fn units_scale_and_stretch() {
        let minutes = TimeColumn { unit: SimDuration::MINUTE, stretch: 0.5, ..TimeColumn::named("t_s") };
        let columns = RateColumns { time: minutes, value: Column::scaled("value", 1.0 / 60.0), ..columns() };
        let rate = rate("value,t_s\n60,0\n120,2\n", &columns).unwrap();
        assert_eq!(at(&rate, &[0, 59, 60, 119, 120]), [1.0, 1.0, 2.0, 2.0, 0.0]);
    }

    #[test]
    fn dates_count_from_the_first_row() {
        let rate = rate("t_s,value\n2014-04-10T00:04:00Z,5\n2014-04-10T02:09:00+02:00,7\n", &columns()).unwrap();
        assert_eq!(at(&rate, &[0, 299, 300]), [5.0, 5.0, 7.0]);
    }

    #[test]
    fn an_origin_leaves_out_what_came_before() {
        let from = |origin: &str| RateColumns {
            time: TimeColumn { origin: Some(origin.to_owned()), ..TimeColumn::named("t_s") },
            ..columns()
        };
        assert_eq!(at(&rate(LOAD, &from("90")).unwrap(), &[0, 29, 30]), [120.0, 120.0, 60.0]);
        let epoch = "t_s,value\n1400000000,1\n1400000060,2\n";
        assert_eq!(at(&rate(epoch, &from("1400000000")).unwrap(), &[0, 60]), [1.0, 2.0]);
        let error = rate(LOAD, &from("1000")).unwrap_err();
        assert_eq!(error.to_string(), "load.csv has no rows at or after `1000`");
        let error = rate(LOAD, &from("noon")).unwrap_err();
        assert_eq!(error.to_string(), "the origin `noon` is neither a number nor a date");
    }

    #[test]
    fn gaps_are_held_emptied_or_refused() {
        let gappy = "t_s,value\n0,1\n60,2\n120,\n180,4\n360,5\n420,6\n";
        let read = |gaps| rate(gappy, &RateColumns { gaps, ..columns() });
        let times = [60, 120, 180, 240, 359, 360];
        assert_eq!(at(&read(Gaps::Hold).unwrap(), &times), [2.0, 2.0, 4.0, 4.0, 4.0, 5.0]);
        assert_eq!(at(&read(Gaps::Zero).unwrap(), &times), [2.0, 0.0, 4.0, 0.0, 0.0, 5.0]);
        let error = read(Gaps::Refuse).unwrap_err().to_string();
        assert_eq!(error, "load.csv, line 4, column `value`: nothing is written here");
        let error =
            rate("t_s,value\n0,1\n60,2\n240,3\n", &RateColumns { gaps: Gaps::Refuse, ..columns() }).unwrap_err();
        assert_eq!(error.to_string(), "load.csv, line 4, column `t_s`: no data for 2m before this row");
    }

    #[rstest]
    #[case("t_s,value\n0,1\n60,x\n", "line 3, column `value`: `x` is no number")]
    #[case("t_s,value\n0,NaN\n", "line 2, column `value`: `NaN` is not finite")]
    #[case("t_s,value\n0,inf\n", "line 2, column `value`: `inf` is not finite")]
    #[case("t_s,value\n0,-3\n", "line 2, column `value`: `-3` is negative")]
    #[case(
        "t_s,value\n0,1\n60,1\n30,1\n",
        "line 4, column `t_s`: `30` comes after `60`; rows must be in order of time"
    )]
    #[case("t_s,value\n0,1\n0,1\n", "line 3, column `t_s`: `0` is there twice; a rate has one value at a time")]
    #[case("t_s,value\n,1\n", "line 2, column `t_s`: nothing is written here")]
    #[case("t_s,value\nsoon,1\n", "line 2, column `t_s`: `soon` is no number")]
    #[case("t_s,value\n-5,1\n", "line 2, column `t_s`: `-5` is negative")]
    #[case(
        "t_s,value\n1e300,1\n",
        "line 2, column `t_s`: `1e300` seconds are more than three years; if the trace counts from some epoch, say where to begin (`origin`)"
    )]
    #[case("t_s,value\n0,1\n1e300,1\n", "line 3, column `t_s`: `1e300` is too large")]
    #[case(
        "t_s,value\n2026-01-05T00:00:00Z,1\n60,1\n",
        "line 3, column `t_s`: `60` is no date and time; write as the first row does, for example 2026-01-05T00:00:00Z"
    )]
    fn errors_name_line_and_column(#[case] text: &str, #[case] message: &str) {
        assert_eq!(rate(text, &columns()).unwrap_err().to_string(), format!("load.csv, {message}"));
    }

    #[rstest]
    #[case("", "load.csv has no rows below its header line")]
    #[case("t_s,value\n", "load.csv has no rows below its header line")]
    #[case("t_s,Values\n0,1\n", "load.csv has no column `value`, do you mean `Values`?; it has t_s, Values")]
    #[case("when,what\n0,1\n", "load.csv has no column `t_s`; it has when, what")]
    #[case("t_s,value\n0,1,2\n", "load.csv: line 2 has 3 columns, the header has 2")]
    fn errors_tell_what_the_file_lacks(#[case] text: &str, #[case] message: &str) {
        assert_eq!(rate(text, &columns()).unwrap_err().to_string(), message);
    }

    #[test]
    fn nonsense_is_refused_without_being_swallowed() {
        let endless = io::repeat(b'x').take(100 << 20);
        let error = read_rate(endless, "blob", &columns()).unwrap_err();
        assert_eq!(error.to_string(), "blob: a line is longer than 1 MiB: this is no CSV file");
        let error = read_rate(&b"t_s,value\n0,\xff\n"[..], "blob", &columns()).unwrap_err();
        assert_eq!(error.to_string(), "blob: line 2 is not text in UTF-8");
        let error = read_rate_file(Path::new("/nowhere/load.csv"), &columns()).unwrap_err();
        assert!(matches!(error, TraceError::Unreadable { .. }), "{error}");
        let error = rate(LOAD, &RateColumns { value: Column::scaled("value", 0.0), ..columns() }).unwrap_err();
        assert_eq!(error.to_string(), "the scale of column `value` is 0; it must be above zero");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        assert!(rate("\u{feff}t_s,value\r\n0,1\r\n", &columns()).is_ok());
    }

    fn arrivals() -> ArrivalColumns {
        ArrivalColumns {
            time: TimeColumn::named("submit_s"),
            runs_for: Some(Column::named("duration_s")),
            cpu: Some(Column::scaled("cpu_milli", 1.024)),
            memory: Some(Column::named("memory_mib")),
            gpus: Some(Column::named("gpus")),
            repeat: None,
        }
    }

    #[test]
    fn arrivals_bring_what_their_columns_say() {
        let text =
            "pod,submit_s,duration_s,cpu_milli,memory_mib,gpus\na,3,90,1000,512,0\nb,3,1.5,1500,1024.2,1\nc,8,,250,,\n";
        let trace = read_arrivals(text.as_bytes(), "pods.csv", &arrivals()).unwrap();
        let row = |at, cpu, memory, gpus, millis: Option<u64>| Arrival {
            at: SimTime::from_secs(at),
            overrides: TaskOverrides {
                cpu: Some(CpuUnits(cpu)),
                memory: Option::map(memory, MiB),
                gpus,
                runs_for: millis.map(SimDuration::from_millis),
            },
        };
        assert_eq!(
            trace.rows,
            [
                row(3, 1024, Some(512), Some(0), Some(90_000)),
                row(3, 1536, Some(1025), Some(1), Some(1500)),
                row(8, 256, None, None, None),
            ]
        );
    }

    #[test]
    fn arrivals_must_be_in_order() {
        let text = "submit_s,duration_s,cpu_milli,memory_mib,gpus\n5,1,1,1,0\n4,1,1,1,0\n";
        let error = read_arrivals(text.as_bytes(), "pods.csv", &arrivals()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pods.csv, line 3, column `submit_s`: `4` comes after `5`; rows must be in order of time"
        );
        let error =
            read_arrivals(&b"submit_s,duration_s,cpu,memory_mib,gpus\n"[..], "pods.csv", &arrivals()).unwrap_err();
        assert!(matches!(error, TraceError::MissingColumn { .. }), "{error}");
    }

    #[test]
    fn a_sample_becomes_an_empirical_distribution() {
        let text = "duration_s\n4\n0\n\n8\n";
        let sample = read_sample(text.as_bytes(), "runs.csv", &Column::scaled("duration_s", 0.5)).unwrap();
        assert_eq!(sample.transform(0.5), 2.0);
        assert_eq!(sample.mean(), 2.0);
    }

    #[test]
    #[ignore = "needs ../shared"]
    fn reads_the_shared_traces() {
        let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/traces");
        let rate = read_rate_file(&traces.join("rate/nab-elb-request-count-8c0756.csv"), &columns()).unwrap();
        assert_eq!(at(&rate, &[0, 300]), [94.0, 56.0]);
        let pods = read_arrivals_file(&traces.join("batch/openb-pods.csv"), &arrivals()).unwrap();
        assert_eq!(pods.rows.len(), 8152);
        let runs = read_sample_file(&traces.join("batch/philly-runtimes.csv"), &Column::named("duration_s")).unwrap();
        assert!((runs.mean() / 14_610.0 - 1.0).abs() < 0.01, "{}", runs.mean());
    }
}
