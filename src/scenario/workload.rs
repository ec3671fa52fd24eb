//! Workloads: rates, arrival processes and the traces they are read from (design, section 3.2).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::convert::Context;
use super::convert::ecs::run_task;
use super::decode::{At, Decode, Raw, expect_map, object, wrong_type};
use super::diagnostic::{Problem, Reading, code};
use super::input::{ColumnInput, RequestModelWord, RequestsInput, TraceInput, UtilizationInput, WorkloadInput};
use super::messages;
use super::per_request;
use super::quantity::{BareMebibytes, Dist, Kind, PerSecond, Plain, Quantity, Seconds, per_unit, unit_scale};
use super::random_rate;
use super::source::Place;
use super::tree::{Node, Value};
use crate::control_plane::estate::{Demand, RequestModel, Workload};
use crate::engine::time::{SimDuration, SimTime};
use crate::schedule::Schedule;
use crate::workload::arrivals::{ArrivalProcess, ArrivalTrace};
use crate::workload::distribution::Distribution;
use crate::workload::rate::{Diurnal, Piecewise, Rate, Spikes, week_phase};
use crate::workload::trace::{
    ArrivalColumns, Column, RateColumns, TimeColumn, TraceError, read_arrivals_file, read_rate_file, read_sample_file,
};

/// One workload.
pub(crate) fn workload(input: &WorkloadInput, context: &Context, reading: &mut Reading) -> Option<Workload> {
    let demand = match (&input.requests, &input.messages, &input.tasks, &input.utilization) {
        (None, Some(messages), None, None) => messages::demand(messages, &input.name, context, reading),
        (Some(requests), None, None, None) => requests_demand(requests, context, reading),
        (None, None, Some(tasks), None) => {
            let run_task = run_task(tasks, context, reading);
            if let Some(token) = &tasks.client_token {
                let problem = Problem::new(code::INVALID, token.place, "each arrival is a call of its own");
                reading.report(problem.label("with one token, only the first would ask for a task (TASK-12)"));
            }
            let arrivals = if let Some(Raw(node)) = &tasks.arrivals {
                arrivals(node, context, reading)
            } else {
                let problem = Problem::new(code::MISSING_KEY, tasks.place, "`tasks` needs `arrivals`");
                reading.report(problem.for_want_of("arrivals").help("arrivals: {poisson: 6/min}"));
                None
            };
            Some(Demand::Tasks { run_task: Box::new(run_task?), arrivals: arrivals? })
        }
        (None, None, None, Some(utilization)) => utilization_demand(utilization, context, reading),
        _ => {
            let message =
                format!("workload `{}` needs one of requests, messages, tasks and utilization", input.name.value);
            let problem = Problem::new(code::MISSING_KEY, input.place, message);
            let problem = problem.for_want_of("requests").for_want_of("messages").for_want_of("tasks");
            reading.report(problem.for_want_of("utilization"));
            None
        }
    };
    Some(Workload { name: input.name.value.clone(), demand: demand? })
}

fn requests_demand(input: &RequestsInput, context: &Context, reading: &mut Reading) -> Option<Demand> {
    if let Some(timeout) = input.timeout.as_ref().filter(|timeout| timeout.is_zero()) {
        let problem = Problem::new(code::OUT_OF_RANGE, timeout.place, "no request is answered in no time at all");
        reading.report(problem.label("every request would fail").help("timeout: 30s, which is the default"));
    }
    check_patience(input, reading);
    if let Some(path) = input.path.as_ref().filter(|path| !is_path(&path.value)) {
        let problem = Problem::new(code::INVALID, path.place, format!("`{}` is no path of a URL", path.value));
        reading.report(problem.label("starts with / and has no spaces").help("path: /checkout?items=3"));
    }
    let rate = rate::<PerSecond>(&input.rate.0, context, reading);
    let model = match input.model.as_ref().map(|model| model.value) {
        Some(RequestModelWord::PerRequest) => per_request::model(input, rate.as_ref(), reading),
        Some(RequestModelWord::Fluid) | None => {
            per_request::refuse_keys(input, reading);
            RequestModel::Fluid
        }
    };
    Some(Demand::Requests {
        service: context.service(&input.service),
        rate: rate?,
        cpu_per_request: input.cpu_per_request.distribution.clone(),
        latency_floor: input
            .latency_floor
            .as_ref()
            .map_or(Distribution::Constant(0.0), |floor| floor.distribution.clone()),
        timeout: input.timeout.as_ref().map_or(per_request::TIMEOUT, |timeout| timeout.value),
        path: input.path.as_ref().map_or_else(|| "/".to_owned(), |path| path.value.clone()),
        model,
    })
}

/// Requests that nobody waits for: one computes on one CPU, so that more of them do not make it faster.
fn check_patience(input: &RequestsInput, reading: &mut Reading) {
    let timeout = input.timeout.as_ref().map_or(per_request::TIMEOUT, |timeout| timeout.value);
    let cpu = input.cpu_per_request.value.distribution.mean();
    if !timeout.is_zero() && cpu >= timeout.as_secs_f64() {
        let message =
            format!("a request takes {cpu} s of CPU in the mean, and its client waits {timeout}: most will fail");
        let problem =
            Problem::new(code::SUSPICIOUS, input.cpu_per_request.place, message).label("longer than the timeout");
        reading.report(problem.help("timeout: how long a client waits; cpuPerRequest: 20ms").into_warning());
    }
}

/// Whether a request can ask for it.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
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
        service: context.service(&input.service),
        cpu: cpu.map_or(Some(None), |cpu| cpu.map(Some))?,
        memory: memory.map_or(Some(None), |memory| memory.map(Some))?,
    })
}

const RATE_FORMS: &[&str] = &[
    "constant",
    "steps",
    "diurnal",
    "weekly",
    "spikes",
    "trace",
    "noise",
    "mmpp",
    "flashCrowds",
    "onOff",
    "sum",
    "product",
];

object! {
    /// A week over and over: the mean rate, times the factor of the time of day, times that of the weekday.
    struct WeeklyInput("`weekly`") {
        /// Mean rate over the week.
        mean: Raw = "mean",
        /// Factors of equal parts of the day from midnight UTC on, 24 of them for hours; only their proportions count.
        day: At<Vec<f64>> = "day",
        /// Factors of the seven days, Monday first. Default: all alike.
        week: Option<At<Vec<f64>>> = "week",
    }
}

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

/// Rates above this are mistakes, and their sums could overflow.
const MOST: f64 = 1e9;

/// A rate: a bare value, or one of the forms by name; of [`MOST`] at most.
pub(super) fn rate<K: Kind>(node: &Node, context: &Context, reading: &mut Reading) -> Option<Rate> {
    let rate = any_rate::<K>(node, context, reading)?;
    bounded(rate, node.place, reading)
}

fn bounded(rate: Rate, place: Place, reading: &mut Reading) -> Option<Rate> {
    let most = rate.max_over(SimTime::ZERO, SimTime::MAX);
    if most <= MOST {
        return Some(rate);
    }
    let message =
        format!("this rate reaches {most:e}; at most 1e9 (requests or tasks per second, vCPUs, MiB) is modelled");
    reading.report(Problem::new(code::INVALID, place, message).label("too much"));
    None
}

fn any_rate<K: Kind>(node: &Node, context: &Context, reading: &mut Reading) -> Option<Rate> {
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
        "weekly" => {
            let input = WeeklyInput::decode(body, reading)?;
            let mean = K::read(&input.mean.0, reading);
            let Ok(week) = input.week.as_ref().map_or(Ok([1.0; 7]), |week| <[f64; 7]>::try_from(week.value.as_slice()))
            else {
                let place = input.week.as_ref().map_or(body.place, |week| week.place);
                reading.report(Problem::new(code::INVALID, place, "`week` has seven factors, Monday first"));
                return None;
            };
            Piecewise::weekly(mean?, &input.day.value, &week, week_phase(context.start)).map(Rate::Piecewise)
        }
        "spikes" => {
            let input = SpikesInput::decode(body, reading)?;
            let height = K::read(&input.height.0, reading)?;
            Spikes::new(height, SimTime::ZERO + input.at, input.lasts, input.every).map(Rate::Spikes)
        }
        "trace" => return rate_trace(&TraceInput::decode(body, reading)?, reading),
        random if random_rate::FORMS.contains(&random) => {
            return random_rate::random_rate::<K>(form, body, context, reading);
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

const ARRIVAL_FORMS: &[&str] = &[
    "poisson",
    "constant",
    "steps",
    "diurnal",
    "weekly",
    "spikes",
    "noise",
    "flashCrowds",
    "onOff",
    "product",
    "interarrival",
    "once",
    "mmpp",
    "trace",
    "schedule",
    "sum",
];

object! {
    /// A schedule with its time zone.
    struct ScheduleInput("`schedule`") {
        /// cron(…), rate(…) or at(…).
        expression: At<String> = "expression",
        /// IANA name. Default UTC.
        time_zone: Option<String> = "timeZone",
    }
}

/// An arrival process. A rate that is not said to be `poisson` makes arrivals without chance: one each time the rate
/// has added up to one.
pub(super) fn arrivals(node: &Node, context: &Context, reading: &mut Reading) -> Option<ArrivalProcess> {
    if !matches!(node.value, Value::Map(_)) {
        return rate::<PerSecond>(node, context, reading).map(ArrivalProcess::Deterministic);
    }
    let (form, place, body) = one_form(node, "an arrival process", reading)?;
    let process = match form {
        "poisson" => ArrivalProcess::Poisson(rate::<PerSecond>(body, context, reading)?),
        "constant" | "steps" | "diurnal" | "weekly" | "spikes" | "noise" | "flashCrowds" | "onOff" | "product" => {
            ArrivalProcess::Deterministic(rate::<PerSecond>(node, context, reading)?)
        }
        "interarrival" => ArrivalProcess::Renewal(Dist::<Seconds>::decode(body, reading)?.distribution),
        "once" => ArrivalProcess::Once(Dist::<Seconds>::decode(body, reading)?.distribution),
        "mmpp" => ArrivalProcess::Mmpp(random_rate::mmpp::<PerSecond>(body, reading)?),
        "trace" => {
            let input = TraceInput::decode(body, reading)?;
            if input.value.is_some() {
                ArrivalProcess::Deterministic(bounded(rate_trace(&input, reading)?, body.place, reading)?)
            } else {
                ArrivalProcess::Trace(Arc::new(arrival_trace(&input, reading)?))
            }
        }
        "schedule" => ArrivalProcess::Schedule(Arc::new(schedule(body, context, reading)?)),
        "sum" => {
            let Value::List(items) = &body.value else {
                return wrong_type(body, "a list of arrival processes", reading);
            };
            let parts: Vec<Option<ArrivalProcess>> =
                items.iter().map(|item| arrivals(item, context, reading)).collect();
            ArrivalProcess::Superposition(parts.into_iter().collect::<Option<_>>()?)
        }
        other => return unknown_form(other, "arrival process", ARRIVAL_FORMS, place, reading),
    };
    match process.validate() {
        Ok(()) => Some(process),
        Err(error) => {
            reading.report(Problem::new(code::INVALID, body.place, error.to_string()).label("makes no arrivals"));
            None
        }
    }
}

/// `cron(…)`, `rate(…)`, `at(…)`, or one of them with a time zone.
fn schedule(node: &Node, context: &Context, reading: &mut Reading) -> Option<Schedule> {
    let (expression, time_zone) = match &node.value {
        Value::Map(_) => {
            let input = ScheduleInput::decode(node, reading)?;
            (input.expression, input.time_zone.unwrap_or_else(|| "UTC".to_owned()))
        }
        _ => (At::<String>::decode(node, reading)?, "UTC".to_owned()),
    };
    match Schedule::parse(&expression, &time_zone, context.start) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            let problem = Problem::aws("ValidationException", "SCH-1", expression.place, error.to_string());
            reading.report(problem.label("no schedule"));
            None
        }
    }
}

/// The one key of a map and what it holds.
fn one_form<'a>(node: &'a Node, expected: &str, reading: &mut Reading) -> Option<(&'a str, Place, &'a Node)> {
    if let [entry] = expect_map(node, expected, reading)? {
        return Some((&entry.key, entry.key_place, &entry.value));
    }
    let message = format!("{expected} is a map with one key, its form");
    let help = "several go into {sum: […]} or {product: […]}";
    reading.report(Problem::new(code::WRONG_TYPE, node.place, message).help(help));
    None
}

fn unknown_form<T>(found: &str, what: &str, known: &[&'static str], place: Place, reading: &mut Reading) -> Option<T> {
    let problem = Problem::new(code::UNKNOWN_KEY, place, format!("there is no {what} `{found}`")).label("unknown form");
    reading.report(problem.nearest(found, known.iter().copied()));
    None
}

/// A sample read from a column of a CSV file.
pub(crate) fn sample(
    file: &At<String>,
    column: &At<String>,
    scale: f64,
    reading: &mut Reading,
) -> Option<Distribution> {
    let read = read_sample_file(&path_of(file, reading), &Column::scaled(column, scale));
    read.map_err(|error| report_trace(&error, file, &[column], reading)).ok()
}

/// A trace as a rate: the value of a row lasts to the next one.
fn rate_trace(input: &TraceInput, reading: &mut Reading) -> Option<Rate> {
    let (Some(time), Some(value)) = (&input.time, &input.value) else {
        let message = "a trace of a rate needs the columns `time` and `value`";
        reading.report(Problem::new(code::MISSING_KEY, input.place, message));
        return None;
    };
    if let Some(end) = &input.end {
        let message = "a trace of a rate has no `end`: put it into {product: […]} with `steps` to cut it off";
        reading.report(Problem::new(code::NOT_MODELLED, end.place, message));
        return None;
    }
    let (time_unit, per) = units(input, reading)?;
    let scale = input.scale.as_ref().map_or(1.0, |scale| scale.value);
    let columns = RateColumns {
        time: time_column(input, time, time_unit, reading)?,
        value: Column::scaled(value, scale / per),
        repeat: input.repeat.as_ref().is_some_and(|repeat| repeat.value),
        gaps: input.gaps.unwrap_or_default(),
    };
    let read = read_rate_file(&path_of(&input.file, reading), &columns);
    read.map_err(|error| report_trace(&error, &input.file, &[time, value], reading)).ok()
}

/// A trace as arrivals, a row each, with what its columns say of the row's task.
fn arrival_trace(input: &TraceInput, reading: &mut Reading) -> Option<ArrivalTrace> {
    let (time, is_gap) = match (&input.time, &input.interarrival) {
        (Some(time), None) => (time, false),
        (None, Some(gap)) => (gap, true),
        (time, _) => {
            let both = if time.is_some() { ", and only one of them" } else { "" };
            let message = format!("a trace of arrivals needs the column `time`, or `interarrival`{both}");
            reading.report(Problem::new(code::MISSING_KEY, input.place, message));
            return None;
        }
    };
    let (time_unit, _) = units(input, reading)?;
    let columns = input.columns.as_ref();
    let column = |column: Option<&ColumnInput>, reading: &mut Reading| match column {
        None => Some(None),
        Some(column) => {
            let unit = match &column.unit {
                None => 1.0,
                Some(unit) => unit_scale(unit, reading)?,
            };
            let scale = column.scale.as_ref().map_or(1.0, |scale| scale.value);
            Some(Some(Column::scaled(&column.column, unit * scale)))
        }
    };
    let columns = ArrivalColumns {
        time: TimeColumn { is_gap, ..time_column(input, time, time_unit, reading)? },
        runs_for: column(columns.and_then(|columns| columns.runs_for.as_ref()), reading)?,
        cpu: column(columns.and_then(|columns| columns.cpu.as_ref()), reading)?,
        memory: column(columns.and_then(|columns| columns.memory.as_ref()), reading)?,
        gpus: column(columns.and_then(|columns| columns.gpus.as_ref()), reading)?,
        repeat: None,
    };
    let mut named = vec![time];
    if let Some(columns) = &input.columns {
        let inputs = [&columns.runs_for, &columns.cpu, &columns.memory, &columns.gpus];
        named.extend(inputs.into_iter().flatten().map(|column| &column.column));
    }
    let read = read_arrivals_file(&path_of(&input.file, reading), &columns);
    let mut trace = read.map_err(|error| report_trace(&error, &input.file, &named, reading)).ok()?;
    if let Some(end) = &input.end {
        let skipped = input.start.as_ref().and_then(|start| start.parse::<SimDuration>().ok()).unwrap_or_default();
        let end_at = SimTime::ZERO + end.value.saturating_sub(skipped);
        trace.rows.retain(|row| row.at < end_at);
        if trace.rows.is_empty() {
            let message = format!("{} has no rows before `end`", input.file.value);
            reading.report(Problem::new(code::TRACE, end.place, message));
            return None;
        }
    }
    if input.repeat.as_ref().is_some_and(|repeat| repeat.value) {
        // As a rate's last row, the last arrival is followed by the mean interarrival time.
        let last = trace.rows.last().map_or(SimTime::ZERO, |row| row.at);
        let count = trace.rows.len().max(2) as u64 - 1;
        let mean = SimDuration::from_nanos((last.as_nanos() / count).max(1));
        trace.repeat = Some(last.saturating_since(SimTime::ZERO) + mean);
    }
    Some(trace)
}

/// A metric's trace as one value a bucket: the mean over its rows, none where there are none.
pub(crate) fn bucketed(
    input: &TraceInput,
    period: SimDuration,
    run: SimDuration,
    reading: &mut Reading,
) -> Option<Vec<Option<f64>>> {
    let rate = rate_trace(input, reading)?;
    let trace = arrival_trace(input, reading)?;
    let mut buckets: BTreeMap<u64, (f64, u32)> = BTreeMap::new();
    let mut offset = SimDuration::ZERO;
    'run: loop {
        for row in &trace.rows {
            let at = row.at + offset;
            if at.saturating_since(SimTime::ZERO) >= run {
                break 'run;
            }
            let (sum, count) = buckets.entry(at.as_nanos() / period.as_nanos()).or_default();
            *sum += rate.at(row.at);
            *count += 1;
        }
        match trace.repeat {
            Some(span) => offset += span,
            None => break,
        }
    }
    let end = buckets.last_key_value().map_or(0, |(index, _)| index + 1);
    Some((0..end).map(|index| buckets.get(&index).map(|(sum, count)| sum / f64::from(*count))).collect())
}

/// The unit of a trace's times, and the seconds that its values are counted per.
fn units(input: &TraceInput, reading: &mut Reading) -> Option<(SimDuration, f64)> {
    let second = SimDuration::from_secs(1);
    match &input.unit {
        None => Some((second, 1.0)),
        Some(unit) => match unit.strip_prefix('/') {
            Some(per) if per_unit(per).is_some() => Some((second, per_unit(per)?)),
            Some(_) => unit_scale(unit, reading).and(None),
            None => Some((SimDuration::from_secs_f64(unit_scale(unit, reading)?), 1.0)),
        },
    }
}

/// The column of times; `start` as that column would say it: of a duration the number of units, of a date the date.
fn time_column(input: &TraceInput, name: &At<String>, unit: SimDuration, reading: &mut Reading) -> Option<TimeColumn> {
    let origin = match &input.start {
        None => None,
        Some(start) if start.parse::<f64>().is_ok() => {
            let message = format!("`start` needs its unit: {} of what?", start.value);
            let problem = Problem::new(code::MISSING_UNIT, start.place, message);
            reading.report(problem.help(format!("start: {}s", start.value)));
            return None;
        }
        Some(start) => Some(match start.parse::<SimDuration>() {
            Ok(skipped) => (skipped.as_secs_f64() / unit.as_secs_f64()).to_string(),
            Err(_) => start.value.clone(),
        }),
    };
    let stretch = input.stretch.as_ref().map_or(1.0, |stretch| stretch.value);
    Some(TimeColumn { name: name.value.clone(), unit, origin, stretch, is_gap: false })
}

/// The path of a trace: it starts from the folder of the text that names it.
fn path_of(file: &At<String>, reading: &Reading) -> PathBuf {
    reading.sources.get(file.place.source).folder.join(&file.value)
}

/// What is wrong with a trace, at the name of the column when that is missing, else at the name of the file.
fn report_trace(error: &TraceError, file: &At<String>, columns: &[&At<String>], reading: &mut Reading) {
    let missing = match error {
        TraceError::MissingColumn { column, .. } => columns.iter().find(|named| named.value == *column),
        _ => None,
    };
    let problem = Problem::new(code::TRACE, missing.unwrap_or(&file).place, error.to_string());
    let problem = problem.label(if missing.is_some() { "no such column" } else { "this file" });
    let unreadable = matches!(error, TraceError::Unreadable { .. });
    let help = "paths start from the folder of the file they are written in";
    reading.report(if unreadable { problem.help(help) } else { problem });
}
