//! `ecsim workload fit|show`: a model of a trace; the load that a scenario offers.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::cli::run::Changes;
use crate::cli::{Console, Outcome};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::offered::{self, OfferedLoad};
use crate::report::output::safe_name;
use crate::report::plot::draw_offered;
use crate::schedule::wall_clock;
use crate::workload::distribution::Distribution;
use crate::workload::fit::{self, Fit, Names};
use crate::workload::rate::week_phase;
use crate::workload::trace::{Column, Header, TimeColumn, read_header_file, read_rows_file, read_sample_file};

/// Fit a workload model to a trace, or draw the load that a scenario offers.
#[derive(Debug, Args)]
pub struct WorkloadArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// What to do with a workload.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Fit a model to a trace and write it as a `workloads` fragment.
    Fit(FitArgs),
    /// Draw the load that a scenario offers, without running it.
    Show(ShowArgs),
}

/// Fit a model to a trace and write it as a `workloads` fragment with its goodness of fit.
///
/// A trace with times and values is a rate; with times alone, one row an arrival; with neither, a sample. The fragment can
/// be put under `include` of a scenario, once the names in it are those of the scenario.
///
/// Examples:
///   ecsim workload fit requests.csv --unit /5min --service shop/web
///   ecsim workload fit jobs.csv --time submit_s --task-definition job --out jobs.yaml
///   ecsim workload fit durations.csv --column duration_s --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct FitArgs {
    /// The trace: a CSV file with a header line.
    pub trace: PathBuf,
    /// Column of the values. Default: the one called value, count, requests or rate, or the only one.
    #[arg(long, value_name = "NAME")]
    pub column: Option<String>,
    /// Column of the times. Default: the first whose name is that of a time.
    #[arg(long, value_name = "NAME")]
    pub time: Option<String>,
    /// What the trace is. Default: what its columns say.
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<Kind>,
    /// What values of a rate are counted per, for example /5min. Default: per second.
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Wall-clock instant of the trace's time zero, RFC 3339, if its times are numbers. Default: a Monday, 00:00 UTC.
    #[arg(long, value_name = "T")]
    pub start: Option<String>,
    /// Name of the workload. Default: the file's.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Service that the requests go to.
    #[arg(long, value_name = "SERVICE", default_value = "web")]
    pub service: String,
    /// Task definition whose tasks arrive.
    #[arg(long, value_name = "FAMILY", default_value = "job")]
    pub task_definition: String,
    /// Write the fragment here, and what was found to stdout. Default: the fragment goes to stdout.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Times and values.
    Rate,
    /// Times alone, one row an arrival.
    Arrivals,
    /// Values alone.
    Sample,
}

/// Draw the load that a scenario offers, without running it: a table, and a picture of each workload.
///
/// Random rates and arrivals are those of replication 0.
///
/// Examples:
///   ecsim workload show scenarios/flash-crowd.yaml
///   ecsim workload show scenarios/quickstart.yaml --until 7d --seed 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct ShowArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// Folder for the pictures; outputs/<name>-load when absent.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One of the file's variants instead of the file as it is.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// What is changed of the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

/// Runs the command.
pub fn run(args: &WorkloadArgs, console: &Console) -> anyhow::Result<Outcome> {
    match &args.what {
        What::Fit(args) => fit_trace(args, *console),
        What::Show(args) => show(args, *console),
    }
}

fn fit_trace(args: &FitArgs, console: Console) -> anyhow::Result<Outcome> {
    let stem = args.trace.file_stem().map_or_else(|| "trace".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let names = Names {
        workload: safe_name(args.name.as_deref().unwrap_or(&stem)),
        service: args.service.clone(),
        task_definition: args.task_definition.clone(),
    };
    let fit = fitted(args, console)?;
    let fragment = fit.fragment(&names);
    if let Some(out) = &args.out {
        fs::write(out, &fragment).with_context(|| format!("cannot write `{}`", out.display()))?;
    }
    if console.json() {
        console.print(&serde_json::to_string_pretty(&fit.json(&names))?)?;
    } else if args.out.is_some() {
        console.print_unless_quiet(&(fit.goodness().join("\n") + "\n"))?;
    } else {
        console.print(&fragment)?;
    }
    if let Some(out) = &args.out {
        console.say(&format!("fragment in {}", out.display()));
    }
    Ok(Outcome::Done)
}

/// Reads the trace as what it is, and fits.
fn fitted(args: &FitArgs, console: Console) -> anyhow::Result<Fit> {
    let header = read_header_file(&args.trace)?;
    let time = args.time.clone().or_else(|| time_column(&header));
    let kind = match (args.kind, &time) {
        (Some(kind), _) => kind,
        (None, None) => Kind::Sample,
        (None, Some(time)) if value_column(args, &header, time).is_some() => Kind::Rate,
        (None, Some(_)) => Kind::Arrivals,
    };
    let time = || time.clone().context("no column has the name of a time; say which it is with `--time`");
    match kind {
        Kind::Sample => {
            let column = match (&args.column, &header.names[..]) {
                (Some(column), _) => column,
                (None, [only]) => only,
                (None, several) => bail!("which column is the sample? Say it with `--column`: {}", several.join(", ")),
            };
            let sample = read_sample_file(&args.trace, &Column::named(column))?;
            let Distribution::Empirical(values) = sample else { bail!("the sample is empty") };
            Ok(fit::sample(&values)?)
        }
        Kind::Arrivals => {
            let rows = read_rows_file(&args.trace, &TimeColumn::named(&time()?), None)?;
            let times: Vec<f64> = rows.rows.iter().map(|(at, _)| *at).collect();
            Ok(fit::arrivals(&times, week_second(args, rows.start)?)?)
        }
        Kind::Rate => {
            let time = time()?;
            let value =
                value_column(args, &header, &time).context("which column has the values? Say it with `--column`")?;
            let scale = args.unit.as_deref().map_or(Ok(1.0), per_second)?;
            let rows = read_rows_file(&args.trace, &TimeColumn::named(&time), Some(&Column::scaled(&value, scale)))?;
            if let Some((line, count)) = rows.doubled {
                console.warn(&format!(
                    "{}, line {line}, column `{time}`: a time is there twice ({count} such rows); the mean of rows of one time \
                     is taken",
                    args.trace.display()
                ));
            }
            let mut fit = fit::rate(&rows.rows, rows.step, week_second(args, rows.start)?)?;
            if let Some(unit) = &args.unit {
                fit.counted_per = Some(unit.trim_start_matches('/').to_owned());
            }
            Ok(fit)
        }
    }
}

/// The first column with the name of a time.
fn time_column(header: &Header) -> Option<String> {
    let words = ["time", "timestamp", "t", "t_s", "date", "datetime", "at", "at_s"];
    let parts = ["timestamp", "arrival", "submit", "time_", "_time"];
    let is_time = |name: &&String| {
        let name = name.to_lowercase();
        words.contains(&name.as_str()) || parts.iter().any(|part| name.contains(part))
    };
    header.names.iter().find(is_time).cloned()
}

/// The column of values: as said, else by its name, else the only one beside the time whose first cell is a number.
fn value_column(args: &FitArgs, header: &Header, time: &str) -> Option<String> {
    if let Some(column) = &args.column {
        return Some(column.clone());
    }
    let usual = ["value", "values", "count", "requests", "rate", "rps", "load"];
    if let Some(name) = header.names.iter().find(|name| usual.contains(&name.to_lowercase().as_str())) {
        return Some(name.clone());
    }
    let numbers: Vec<&String> = header
        .names
        .iter()
        .zip(&header.first)
        .filter(|(name, cell)| *name != time && cell.parse::<f64>().is_ok())
        .map(|(name, _)| name)
        .collect();
    match numbers[..] {
        [only] if header.names.len() == 2 => Some(only.clone()),
        _ => None,
    }
}

/// What one of a value is per second, of `/min`, `/5min` or `/h`.
fn per_second(unit: &str) -> anyhow::Result<f64> {
    let span =
        unit.strip_prefix('/').with_context(|| format!("`{unit}` is no unit of a rate; write for example /5min"))?;
    let one = if span.starts_with(|first: char| first.is_ascii_digit()) { span.to_owned() } else { format!("1{span}") };
    let span: SimDuration = one.parse().map_err(|error| anyhow::anyhow!("`{unit}` is no unit of a rate: {error}"))?;
    if span.is_zero() {
        bail!("`{unit}` is no unit of a rate: nothing comes in no time");
    }
    Ok(1.0 / span.as_secs_f64())
}

/// Seconds from a Monday 00:00 UTC to the trace's time zero.
fn week_second(args: &FitArgs, of_trace: Option<jiff::Timestamp>) -> anyhow::Result<f64> {
    let start = match (&args.start, of_trace) {
        (Some(text), _) => {
            let start = text.parse::<jiff::Timestamp>();
            Some(start.with_context(|| format!("`{text}` is no instant; write for example 2026-01-05T00:00:00Z"))?)
        }
        (None, dates) => dates,
    };
    Ok(start.map_or(0.0, |start| week_phase(start).as_secs_f64()))
}

fn show(args: &ShowArgs, console: Console) -> anyhow::Result<Outcome> {
    let scenario = args.changes.load(&args.scenario, args.variant.as_deref(), &console)?;
    let estate = &scenario.estate;
    let loads = OfferedLoad::all(estate);
    if loads.is_empty() {
        bail!("`{}` offers no load: it has no workloads and no event rules", estate.name);
    }
    let folder =
        args.out.clone().unwrap_or_else(|| Path::new("outputs").join(format!("{}-load", safe_name(&estate.name))));
    let pictures = draw_offered(&folder, &estate.name, estate.start, &loads)?;
    if console.json() {
        let document = json!({
            "scenario": estate.name,
            "seed": estate.seed,
            "start": wall_clock(estate.start, SimTime::ZERO).to_string(),
            "duration_s": estate.duration.as_secs_f64(),
            "loads": loads.iter().map(OfferedLoad::json).collect::<Vec<_>>(),
        });
        console.print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        console.print_unless_quiet(&offered::table(&loads, console.color()))?;
    }
    console.say(&format!("{} pictures in {}/plots", pictures.len(), folder.display()));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_rates_are_read_and_refused() {
        for (unit, expected) in [("/s", 1.0), ("/min", 1.0 / 60.0), ("/5min", 1.0 / 300.0), ("/h", 1.0 / 3600.0)] {
            assert!((per_second(unit).unwrap() - expected).abs() < 1e-15, "{unit}");
        }
        for (unit, words) in
            [("min", "is no unit of a rate"), ("/fortnight", "is no unit of a rate"), ("/0s", "no time")]
        {
            let error = per_second(unit).unwrap_err().to_string();
            assert!(error.contains(words), "{unit}: {error}");
        }
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let header = |names: &str, first: &str| Header {
            names: names.split(',').map(str::to_owned).collect(),
            first: first.split(',').map(str::to_owned).collect(),
        };
        let args = |column: Option<&str>| FitArgs {
            trace: PathBuf::new(),
            column: column.map(str::to_owned),
            time: None,
            kind: None,
            unit: None,
            start: None,
            name: None,
            service: String::new(),
            task_definition: String::new(),
            out: None,
        };
        let found = |names: &str, first: &str| {
            let header = header(names, first);
            let time = time_column(&header);
            let value = time.as_ref().and_then(|time| value_column(&args(None), &header, time));
            (time, value)
        };
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(found("t_s,value,peak_rps", "0,42,5"), (some("t_s"), some("value")));
        assert_eq!(found("arrival_s,context_tokens,generated_tokens", "0,1,2"), (some("arrival_s"), None));
        assert_eq!(found("timestamp,hits", "2026-01-05T00:00:00Z,7"), (some("timestamp"), some("hits")));
        assert_eq!(found("pod,submit_s,cpu", "0,0,1"), (some("submit_s"), None));
        assert_eq!(found("duration_s", "3"), (None, None));
        let header = header("t_s,a,b", "0,1,2");
        assert_eq!(value_column(&args(Some("b")), &header, "t_s"), some("b"));
    }
}
