//! Workloads: rates, arrival processes and the traces they are read from (design, section 3.2).

use std::collections::BTreeMap;

use super::convert::ecs::run_task;
use super::convert::{Context, name_in_arn};
use super::decode::{At, Decode, Raw, expect_map, object, wrong_type};
use super::diagnostic::{Problem, Reading, code};
use super::input::{RequestModelWord, RequestsInput, TraceInput, UtilizationInput, WorkloadInput};
use super::quantity::{BareMebibytes, Kind, PerSecond, Plain, Quantity, per_unit, unit_scale};
use super::source::Place;
use super::tree::{Node, Value};
use crate::control_plane::estate::{Demand, Workload};
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::arrivals::ArrivalProcess;
use crate::workload::distribution::Distribution;
use crate::workload::rate::{Diurnal, Piecewise, Rate, Spikes, week_phase};

/// One workload.
pub(crate) fn workload(input: &WorkloadInput, context: &Context, reading: &mut Reading) -> Option<Workload> {
    let demand = match (&input.requests, &input.tasks, &input.utilization) {
        (Some(requests), None, None) => requests_demand(requests, context, reading),
        (None, Some(tasks), None) => {
            let run_task = run_task(tasks, context, reading);
            let arrivals = match &tasks.arrivals {
                Some(Raw(node)) => arrivals(node, context, reading),
                None => {
                    let message = "`tasks` needs `arrivals`";
                    reading.report(
                        Problem::new(code::MISSING_KEY, tasks.place, message).help("arrivals: {poisson: 6/min}"),
                    );
                    None
                }
            };
            Some(Demand::Tasks { run_task: Box::new(run_task?), arrivals: arrivals? })
        }
        (None, None, Some(utilization)) => utilization_demand(utilization, context, reading),
        _ => {
            let message = format!("workload `{}` needs one of requests, tasks and utilization", input.name.value);
            reading.report(Problem::new(code::MISSING_KEY, input.place, message));
            None
        }
    };
    Some(Workload { name: input.name.value.clone(), demand: demand? })
}

/// `web` or `cluster/web` or `service/cluster/web`.
pub(crate) fn service_name(name: &str) -> (String, String) {
    let name = name.strip_prefix("service/").unwrap_or(name);
    match name.split_once('/') {
        Some((cluster, service)) if !name.starts_with("arn:") => (cluster.to_owned(), service.to_owned()),
        _ => ("default".to_owned(), name_in_arn(name).to_owned()),
    }
}

fn requests_demand(input: &RequestsInput, context: &Context, reading: &mut Reading) -> Option<Demand> {
    if let Some(model) = input.model.as_ref().filter(|model| model.value == RequestModelWord::PerRequest) {
        let message = "not modelled yet: requests one by one";
        reading.report(Problem::new(code::NOT_MODELLED, model.place, message).help("model: fluid"));
    }
    Some(Demand::Requests {
        service: service_name(&input.service),
        rate: rate::<PerSecond>(&input.rate.0, context, reading)?,
        cpu_per_request: input.cpu_per_request.distribution.clone(),
        latency_floor: input
            .latency_floor
            .as_ref()
            .map_or(Distribution::Constant(0.0), |floor| floor.distribution.clone()),
        timeout: input.timeout.unwrap_or(SimDuration::from_secs(30)),
    })
}

fn utilization_demand(input: &UtilizationInput, context: &Context, reading: &mut Reading) -> Option<Demand> {
    if input.cpu.is_none() && input.memory.is_none() {
        let message = "`utilization` needs `cpu`, `memory` or both";
        reading.report(Problem::new(code::MISSING_KEY, input.place, message));
        return None;
    }
    let cpu = input.cpu.as_ref().map(|Raw(node)| rate::<Plain>(node, context, reading));
    let memory = input.memory.as_ref().map(|Raw(node)| rate::<BareMebibytes>(node, context, reading));
    Some(Demand::Utilization {
        service: service_name(&input.service),
        cpu: cpu.map_or(Some(None), |cpu| cpu.map(Some))?,
        memory: memory.map_or(Some(None), |memory| memory.map(Some))?,
    })
}

const RATE_FORMS: &[&str] = &["constant", "steps", "diurnal", "spikes", "trace", "sum", "product"];

object! {
    /// A rate that rises and falls with the day.
    struct DiurnalInput("`diurnal`") {
        /// Lowest rate, twelve hours from the peak.
        base: Raw = "base",
        /// Highest rate.
        peak: Raw = "peak",
        /// Time of day of the peak, UTC, as 14h30m. Default 14h.
        peak_at: Option<SimDuration> = "peakAt",
        /// Factor on Saturdays and Sundays. Default 1.
        weekend: Option<Quantity<Plain>> = "weekend",
    }
}

object! {
    /// Rectangular bursts, and nothing between them.
    struct SpikesInput("`spikes`") {
        /// Rate of a burst.
        height: Raw = "height",
        /// Start of the first one.
        at: SimDuration = "at",
        /// How long one lasts.
        lasts: SimDuration = "for",
        /// From the start of one to the start of the next. Absent: there is one.
        every: Option<SimDuration> = "every",
    }
}

/// A rate: a bare value, or one of the forms by name.
fn rate<K: Kind>(node: &Node, context: &Context, reading: &mut Reading) -> Option<Rate> {
    if !matches!(node.value, Value::Map(_)) {
        return K::read(node, reading).map(Rate::Constant);
    }
    let (form, place, body) = one_form(node, "a rate", reading)?;
    let made = match form {
        "constant" => Ok(Rate::Constant(K::read(body, reading)?)),
        "steps" => Rate::steps(&steps::<K>(body, reading)?),
        "diurnal" => {
            let input = DiurnalInput::decode(body, reading)?;
            let (base, peak) = (K::read(&input.base.0, reading), K::read(&input.peak.0, reading));
            let peak_at = input.peak_at.unwrap_or(SimDuration::from_secs(14 * 3600));
            let weekend = input.weekend.map_or(1.0, |factor| factor.value);
            Diurnal::new(base?, peak?, peak_at, weekend, week_phase(context.start)).map(Rate::Diurnal)
        }
        "spikes" => {
            let input = SpikesInput::decode(body, reading)?;
            let height = K::read(&input.height.0, reading)?;
            Spikes::new(height, SimTime::ZERO + input.at, input.lasts, input.every).map(Rate::Spikes)
        }
        "trace" => {
            let input = TraceInput::decode(body, reading)?;
            let points = points(&input, reading)?;
            let repeat = input.repeat.unwrap_or(false).then(|| span(&points));
            let points: Vec<_> = points.into_iter().map(|(at, value)| (SimTime::ZERO + at, value)).collect();
            Piecewise::new(&points, repeat).map(Rate::Piecewise)
        }
        "sum" => Ok(Rate::Sum(parts::<K>(body, context, reading)?)),
        // One factor has the unit, the others scale it: all of them are read alike.
        "product" => Ok(Rate::Product(parts::<K>(body, context, reading)?)),
        other => return unknown_form(other, "rate", RATE_FORMS, place, reading),
    };
    match made.and_then(|rate| rate.validate().map(|()| rate)) {
        Ok(rate) => Some(rate),
        Err(error) => {
            reading.report(Problem::new(code::INVALID, body.place, error.to_string()).label("makes no rate"));
            None
        }
    }
}

/// `[[0s, 10], [1h, 40]]`.
fn steps<K: Kind>(node: &Node, reading: &mut Reading) -> Option<Vec<(SimTime, f64)>> {
    let Value::List(items) = &node.value else {
        return wrong_type(node, "a list of steps such as [[0s, 10], [1h, 40]]", reading);
    };
    let mut steps = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::List(pair) if pair.len() == 2 => {
                let (at, value) = (SimDuration::decode(&pair[0], reading), K::read(&pair[1], reading));
                steps.push((SimTime::ZERO + at?, value?));
            }
            _ => return wrong_type(item, "a step, [time, value]", reading),
        }
    }
    Some(steps)
}

fn parts<K: Kind>(node: &Node, context: &Context, reading: &mut Reading) -> Option<Vec<Rate>> {
    let Value::List(items) = &node.value else { return wrong_type(node, "a list of rates", reading) };
    let parts: Vec<Option<Rate>> = items.iter().map(|item| rate::<K>(item, context, reading)).collect();
    parts.into_iter().collect()
}

/// How long a trace is: to its last point, and as far beyond as the one before lies back.
fn span(points: &[(SimDuration, f64)]) -> SimDuration {
    match points {
        [.., (before, _), (last, _)] => *last + (*last - *before),
        _ => SimDuration::from_secs(86_400),
    }
}

const ARRIVAL_FORMS: &[&str] = &["poisson"];

/// An arrival process, one of the forms by name.
fn arrivals(node: &Node, context: &Context, reading: &mut Reading) -> Option<ArrivalProcess> {
    let (form, place, body) = one_form(node, "an arrival process such as {poisson: 6/min}", reading)?;
    match form {
        "poisson" => rate::<PerSecond>(body, context, reading).map(ArrivalProcess::Poisson),
        other => unknown_form(other, "arrival process", ARRIVAL_FORMS, place, reading),
    }
}

/// The one key of a map and what it holds.
fn one_form<'a>(node: &'a Node, expected: &str, reading: &mut Reading) -> Option<(&'a str, Place, &'a Node)> {
    match expect_map(node, expected, reading)? {
        [entry] => Some((&entry.key, entry.key_place, &entry.value)),
        _ => {
            let message = format!("{expected} is a map with one key, its form");
            reading.report(
                Problem::new(code::WRONG_TYPE, node.place, message)
                    .help("several rates go into {sum: […]} or {product: […]}"),
            );
            None
        }
    }
}

fn unknown_form<T>(found: &str, what: &str, known: &[&'static str], place: Place, reading: &mut Reading) -> Option<T> {
    let problem = Problem::new(code::UNKNOWN_KEY, place, format!("there is no {what} `{found}`")).label("unknown form");
    reading.report(problem.nearest(found, known.iter().copied()));
    None
}

/// The values of one column of a CSV file.
pub(crate) fn column(file: &At<String>, name: &At<String>, reading: &mut Reading) -> Option<Vec<f64>> {
    let table = read_table(file, &[name], reading)?;
    let mut values = Vec::with_capacity(table.rows.len());
    for row in &table.rows {
        values.push(table.number(row, 0, reading)?);
    }
    Some(values)
}

/// A metric's trace as one value a bucket: the mean of the values in it, none where there are none.
pub(crate) fn bucketed(
    input: &TraceInput,
    period: SimDuration,
    run: SimDuration,
    reading: &mut Reading,
) -> Option<Vec<Option<f64>>> {
    let points = points(input, reading)?;
    let repeats_after =
        input.repeat.unwrap_or(false).then(|| points.last().map_or(SimDuration::ZERO, |(at, _)| *at + period));
    let mut buckets: BTreeMap<u64, (f64, u32)> = BTreeMap::new();
    let mut offset = SimDuration::ZERO;
    'run: loop {
        for (at, value) in &points {
            let at = offset + *at;
            if at >= run {
                break 'run;
            }
            let bucket = buckets.entry(at.as_nanos() / period.as_nanos()).or_default();
            bucket.0 += value;
            bucket.1 += 1;
        }
        match repeats_after {
            Some(span) if !span.is_zero() => offset += span,
            _ => break,
        }
    }
    let last = buckets.last_key_value().map_or(0, |(index, _)| index + 1);
    Some((0..last).map(|index| buckets.get(&index).map(|(sum, count)| sum / f64::from(*count))).collect())
}

/// The points of a trace, from its `start` on: time since then, and value times `scale`.
fn points(input: &TraceInput, reading: &mut Reading) -> Option<Vec<(SimDuration, f64)>> {
    let (Some(time), Some(value)) = (&input.time, &input.value) else {
        let message = "this trace needs the columns `time` and `value`";
        reading.report(Problem::new(code::MISSING_KEY, input.place, message));
        return None;
    };
    let table = read_table(&input.file, &[time, value], reading)?;
    let scale = input.scale.as_ref().map_or(1.0, |scale| scale.value);
    let (time_unit, value_unit) = match &input.unit {
        None => (1.0, 1.0),
        Some(unit) => match unit.strip_prefix('/') {
            Some(per) => match per_unit(per) {
                Some(seconds) => (1.0, seconds),
                None => return unit_scale(unit, reading).and(None),
            },
            None => (unit_scale(unit, reading)?, 1.0),
        },
    };
    let start = input.start.unwrap_or_default();
    let end = input.end.unwrap_or(SimDuration::MAX);
    let mut points = Vec::with_capacity(table.rows.len());
    let mut before = None;
    for row in &table.rows {
        let seconds = table.time(row, 0, reading)? * time_unit;
        let value = table.number(row, 1, reading)? * scale / value_unit;
        let at = SimDuration::from_secs_f64(seconds);
        if let Some((line, earlier)) = before
            && earlier > at
        {
            let message =
                format!("the times of {} fall: line {} is at {at}, line {line} at {earlier}", table.name, row.line);
            reading
                .report(Problem::new(code::TRACE, input.file.place, message).help("sort the file by its time column"));
            return None;
        }
        before = Some((row.line, at));
        if at >= start && at < end {
            points.push((at - start, value));
        }
    }
    if points.is_empty() {
        let message = format!("{} has no rows between `start` and `end`", table.name);
        reading.report(Problem::new(code::TRACE, input.file.place, message));
        return None;
    }
    Some(points)
}

/// Some columns of a CSV file.
struct Table {
    /// Path as it was looked for.
    name: String,
    place: Place,
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// A row: its line in the file, and its cells in the order the columns were asked for.
struct Row {
    line: u64,
    cells: Vec<String>,
}

impl Table {
    fn number(&self, row: &Row, column: usize, reading: &mut Reading) -> Option<f64> {
        let cell = &row.cells[column];
        match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => Some(value),
            Ok(value) => self.bad_cell(row, column, &format!("{value}, which is no finite number"), reading),
            Err(_) => self.bad_cell(row, column, &format!("`{cell}`, which is no number"), reading),
        }
    }

    /// A time in the trace's unit: a number, or a date with a time, which counts in seconds.
    fn time(&self, row: &Row, column: usize, reading: &mut Reading) -> Option<f64> {
        let cell = &row.cells[column];
        let seconds = |cell: &str| {
            let zoned = cell.parse::<jiff::Timestamp>().ok();
            let civil = || {
                cell.parse::<jiff::civil::DateTime>()
                    .ok()?
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .ok()
                    .map(|at| at.timestamp())
            };
            zoned.or_else(civil).map(|at| at.as_second() as f64 + f64::from(at.subsec_nanosecond()) * 1e-9)
        };
        if let Some(at) = seconds(cell) {
            let first = self.rows.first().and_then(|first| seconds(&first.cells[column])).unwrap_or(at);
            return Some(at - first);
        }
        let value = self.number(row, column, reading)?;
        if value < 0.0 {
            return self.bad_cell(row, column, &format!("{value}, and times are not negative"), reading);
        }
        Some(value)
    }

    fn bad_cell<T>(&self, row: &Row, column: usize, what: &str, reading: &mut Reading) -> Option<T> {
        let message = format!("line {} of {} has {what} in column `{}`", row.line, self.name, self.columns[column]);
        reading.report(Problem::new(code::TRACE, self.place, message).label("this file"));
        None
    }
}

/// Reads the columns asked for; the path starts from the folder of the text that names the file.
fn read_table(file: &At<String>, columns: &[&At<String>], reading: &mut Reading) -> Option<Table> {
    let path = reading.sources.get(file.place.source).folder.join(&file.value);
    let name = path.display().to_string();
    let trouble = |message: String| Problem::new(code::TRACE, file.place, message).label("this file");
    let reader = csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).flexible(true).from_path(&path);
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => {
            reading
                .report(trouble(format!("cannot read {name}: {error}")).help("paths start from the scenario's folder"));
            return None;
        }
    };
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            reading.report(trouble(format!("cannot read {name}: {error}")));
            return None;
        }
    };
    let mut positions = Vec::new();
    for column in columns {
        match headers.iter().position(|header| header == column.value) {
            Some(position) => positions.push(position),
            None => {
                let message = format!("{name} has no column `{}`", column.value);
                reading.report(Problem::new(code::TRACE, column.place, message).nearest(column, headers.iter()));
                return None;
            }
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                reading.report(trouble(format!("cannot read {name}: {error}")));
                return None;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let cells = positions.iter().map(|position| record.get(*position).unwrap_or_default().to_owned()).collect();
        rows.push(Row { line, cells });
    }
    if rows.is_empty() {
        reading.report(trouble(format!("{name} has no rows")));
        return None;
    }
    let columns = columns.iter().map(|column| column.value.clone()).collect();
    Some(Table { name, place: file.place, columns, rows })
}
