//! `ecsim workload`: models of traces that a scenario can include, and loads that are shown before any run.

use std::fs;
use std::path::Path;

use ecsim::engine::streams::Streams;
use ecsim::scenario::{LoadOptions, load, load_str};
use rstest::rstest;
use serde_json::Value;

use crate::cli::Desk;

/// Two weeks of a day with a peak at noon, in steps of half an hour.
fn two_weeks() -> String {
    let mut chance = Streams::new(3, 0).named("trace");
    let row = |step: u64| {
        let hour = (step / 2) % 24;
        let shape = if (9..18).contains(&hour) { 300.0 } else { 60.0 };
        format!("{},{:.3}\n", step * 1800, shape * (0.9 + 0.2 * chance.uniform()))
    };
    "t_s,value\n".to_owned() + &(0..14 * 48).map(row).collect::<String>()
}

const ESTATE: &str = "
name: fitted
duration: 2d
include: fitted.yaml
taskDefinitions:
  - {family: job, cpu: '256', memory: '512', networkMode: bridge, containerDefinitions: [{name: app, image: app}],
     behaviour: {runsFor: 1m}}
services: [{serviceName: web, taskDefinition: job, launchType: FARGATE, desiredCount: 2}]
";

#[test]
fn a_fitted_trace_is_included_and_shown() {
    let desk = Desk::new();
    desk.file("load.csv", two_weeks());
    let fitted =
        desk.ecsim(&["workload", "fit", "load.csv", "--unit", "/min", "--out", "fitted.yaml", "--name", "shop"]);
    assert!(fitted.status.success(), "{}", String::from_utf8_lossy(&fitted.stderr));
    let told = String::from_utf8(fitted.stdout).unwrap();
    assert!(told.contains("hour of day, which explains R² = 0.9"), "{told}");
    assert!(told.contains("noise: cv 0.0") && told.contains("KS D = "), "{told}");
    desk.file("main.yaml", ESTATE);
    let shown = desk.ecsim(&["workload", "show", "main.yaml", "--json", "--out", "shown"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let load = &shown["loads"][0];
    assert_eq!((load["resource"].as_str(), load["unit"].as_str()), (Some("workload/shop"), Some("requests per s")));
    // Nine hours of 300 and fifteen of 60 a minute.
    let mean = load["mean"].as_f64().unwrap();
    assert!((mean * 60.0 / 150.0 - 1.0).abs() < 0.03, "{mean}");
    assert!((load["peak"].as_f64().unwrap() * 60.0 / 300.0 - 1.0).abs() < 0.25, "{load}");
    for picture in ["load-shop.svg", "load-shop.png"] {
        assert!(fs::metadata(desk.path("shown/plots").join(picture)).unwrap().len() > 2000, "{picture}");
    }
}

#[test]
fn arrivals_and_samples_are_fitted_as_what_they_are() {
    let desk = Desk::new();
    let mut chance = Streams::new(5, 0).named("gaps");
    let mut at = 0.0;
    let times: String = (0..2000)
        .map(|_| {
            at -= 3.0 * chance.open_uniform().ln();
            format!("{at:.6},job\n")
        })
        .collect();
    desk.file("jobs.csv", format!("submit_s,kind\n{times}"));
    let fitted = desk.ecsim(&["workload", "fit", "jobs.csv", "--json"]);
    let found: Value = serde_json::from_slice(&fitted.stdout).unwrap();
    assert_eq!(found["kind"], "renewal", "{found}");
    assert!((found["model"]["mean"].as_f64().unwrap() / 3.0 - 1.0).abs() < 0.06);
    assert!(found["model"]["ks_p_value"].as_f64().unwrap() > 0.01, "{found}");
    desk.file("fitted.yaml", found["fragment"].as_str().unwrap());
    let scenario = load(&desk.file("main.yaml", ESTATE), &LoadOptions::default());
    assert_eq!(scenario.unwrap_or_else(|told| panic!("{}", told.render(false))).estate.workloads[0].name, "jobs");

    desk.file("sizes.csv", (1..200).fold("size\n".to_owned(), |text, n| text + &format!("{}\n", n * n)));
    let fitted = desk.ecsim(&["workload", "fit", "sizes.csv"]);
    let told = String::from_utf8(fitted.stdout).unwrap();
    assert!(told.contains("a sample of 199 values") && told.contains("weibull: mean"), "{told}");
}

#[rstest]
#[case(&["workload", "fit", "nothing.csv"], "nothing.csv")]
#[case(&["workload", "fit", "few.csv"], "2 rows are too few for a fit")]
#[case(&["workload", "fit", "few.csv", "--column", "vlaue"], "few.csv has no column `vlaue`, do you mean `value`?")]
#[case(&["workload", "fit", "few.csv", "--time", "value", "--column", "value"], "line 3, column `value`")]
#[case(&["workload", "fit", "few.csv", "--unit", "min"], "`min` is no unit of a rate")]
#[case(&["workload", "fit", "few.csv", "--start", "Monday"], "`Monday` is no instant")]
#[case(&["workload", "fit", "twice.csv"], "twice.csv, line 3, column `t_s`: a time is there twice (1 such rows)")]
#[case(&["workload", "fit", "zone.csv"], "zone.csv, line 3, column `time`: `2026-01-05 01:00 CET` is no date and time")]
#[case(&["workload", "fit", "many.csv"], "which column is the sample? Say it with `--column`: a, b")]
#[case(&["workload", "fit", "zeros.csv"], "every value is zero")]
#[case(&["workload", "show", "idle.yaml"], "offers no load")]
fn what_cannot_be_fitted_or_shown_is_told(#[case] args: &[&str], #[case] words: &str) {
    let desk = Desk::new();
    desk.file("few.csv", "t_s,value\n0,1\n60,1\n");
    desk.file("twice.csv", "t_s,value\n0,1\n0,2\n");
    desk.file("zone.csv", "time,value\n2026-01-05 00:00:00,1\n2026-01-05 01:00 CET,2\n");
    desk.file("many.csv", "a,b\n1,2\n");
    desk.file("zeros.csv", (0..50).fold("t_s,value\n".to_owned(), |text, n| text + &format!("{n},0\n")));
    desk.file("idle.yaml", "name: idle\nduration: 1h\n");
    let refused = desk.ecsim(args);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(told.contains(words), "{told}");
}

/// What is said of a `tasks` workload with these arrivals.
fn told(arrivals: &str) -> String {
    let text = format!(
        "name: lab\nduration: 1h\ntaskDefinitions:\n  - {{family: t, containerDefinitions: [{{name: app, image: app, memory: 64}}]}}\n\
         workloads:\n  - name: w\n    tasks: {{taskDefinition: t, launchType: FARGATE, arrivals: {arrivals}}}\n"
    );
    match load_str("lab.yaml", &text, &LoadOptions::default()) {
        Ok(_) => String::new(),
        Err(found) => found.render(false),
    }
}

#[rstest]
#[case("{poisson: {product: [2, {noise: {cv: 0.3, every: 5m, correlation: 0.9}}]}}", "")]
#[case("{poisson: {mmpp: {states: [{rate: 1, meanStay: 1h}, {rate: 9/min, meanStay: 5m}]}}}", "")]
#[case("{poisson: {onOff: {sources: 20, rate: 1, on: 10s, off: 1m, hurst: 0.85}}}", "")]
#[case("{poisson: {flashCrowds: {height: 20, every: {exponential: {mean: 6h}}}}}", "")]
#[case("{poisson: {weekly: {mean: 3, day: [1, 2, 3, 4], week: [1, 1, 1, 1, 1, 2, 2]}}}", "")]
#[case("{interarrival: {weibull: {shape: 0.6, scale: 40s}}}", "")]
#[case("{poisson: {noise: {cv: 0.3, correlation: 1}}}", "correlation is 1; it must be from 0 to below 1")]
#[case("{poisson: {noise: {cv: 0.3, every: 1ms}}}", "3600000 steps")]
#[case("{poisson: {weekly: {mean: 3, day: [1, 2, 3, 4, 5, 6, 7]}}}", "7 entries")]
#[case("{poisson: {weekly: {mean: 3, day: [1], week: [1, 1]}}}", "seven factors, Monday first")]
#[case("{poisson: {flashCrowds: {height: 20}}}", "given, unless `every` is")]
#[case("{poisson: {onOff: {sources: 2, rate: 1, on: 1s, off: 1s, hurst: 0.4}}}", "above 0.5 and below 1")]
#[case("{poisson: {nose: {cv: 0.3}}}", "did you mean `noise`?")]
#[case("{trace: {file: x.csv, time: a, interarrival: b}}", "`interarrival`, and only one of them")]
fn forms_of_rates_are_taken_or_told_why_not(#[case] arrivals: &str, #[case] words: &str) {
    let told = told(arrivals);
    assert!(if words.is_empty() { told.is_empty() } else { told.contains(words) }, "{told}");
}

#[test]
fn a_trace_of_interarrival_times_adds_them_up() {
    let desk = Desk::new();
    desk.file("gaps.csv", "gap_ms\n500\n0\n1500\n");
    let text = "name: lab\nduration: 1h\ntaskDefinitions:\n  - {family: t, containerDefinitions: [{name: app, image: app, memory: 64}]}\n\
         workloads:\n  - name: w\n    tasks: {taskDefinition: t, launchType: FARGATE,\n            arrivals: {trace: {file: gaps.csv, interarrival: gap_ms, unit: ms, stretch: 2}}}\n";
    let scenario = load(&desk.file("main.yaml", text), &LoadOptions::default());
    let estate = scenario.unwrap_or_else(|told| panic!("{}", told.render(false))).estate;
    let ecsim::control_plane::estate::Demand::Tasks { arrivals, .. } = &estate.workloads[0].demand else { panic!() };
    let ecsim::workload::arrivals::ArrivalProcess::Trace(trace) = arrivals else { panic!() };
    let times: Vec<f64> = trace.rows.iter().map(|row| row.at.as_secs_f64()).collect();
    assert_eq!(times, [1.0, 1.0, 4.0]);
    desk.file("gaps.csv", "gap_ms\n500\n-3\n");
    let told = load(&desk.path("main.yaml"), &LoadOptions::default()).unwrap_err().render(false);
    assert!(told.contains("gaps.csv, line 3, column `gap_ms`: `-3` is negative"), "{told}");
}

#[test]
#[ignore = "needs ../shared"]
fn every_shared_trace_is_fitted_and_shown() {
    let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/traces");
    let mut seen = 0;
    for folder in ["rate", "batch"] {
        let mut paths: Vec<_> = fs::read_dir(traces.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let desk = Desk::new();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let path = path.display().to_string();
            let mut args = vec!["workload", "fit", &path, "--json", "--out", "fitted.yaml", "--name", "trace"];
            if name == "openb-nodes.csv" {
                args.extend(["--column", "cpu_milli"]);
            }
            let fitted = desk.ecsim(&args);
            assert!(fitted.status.success(), "{name}: {}", String::from_utf8_lossy(&fitted.stderr));
            let found: Value = serde_json::from_slice(&fitted.stdout).unwrap();
            seen += 1;
            if found["kind"] == "sample" {
                continue;
            }
            desk.file("main.yaml", ESTATE);
            let shown = desk.ecsim(&["workload", "show", "main.yaml", "--json", "--out", "shown"]);
            assert!(shown.status.success(), "{name}: {}", String::from_utf8_lossy(&shown.stderr));
            let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
            assert!(shown["loads"][0]["mean"].as_f64().unwrap() >= 0.0, "{name}");
            assert!(desk.path("shown/plots/load-trace.png").is_file(), "{name}");
        }
    }
    assert!(seen >= 26, "{seen} traces");
}
