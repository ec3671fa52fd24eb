//! The program as its user meets it: bytes, exit statuses, and what is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

pub(crate) const EXAMPLE: &str = "
name: small
duration: 90m
seed: 4
clusters: [{clusterName: c, capacityProviders: [cp]}]
autoScalingGroups: [{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 5}]
capacityProviders:
  - {name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}
taskDefinitions:
  - {family: job, containerDefinitions: [{name: app, image: app, cpu: 512, memory: 512}],
     behaviour: {runsFor: {exponential: {mean: 10m}}}}
services:
  - {serviceName: web, cluster: c, taskDefinition: job, desiredCount: 2, launchType: EC2,
     availabilityZoneRebalancing: DISABLED}
workloads:
  - name: jobs
    tasks:
      cluster: c
      taskDefinition: job
      capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]
      arrivals: {poisson: 40/h}
variants:
  spread: {set: {workloads.jobs.tasks.placementStrategy: [{type: spread, field: instanceId}]}}
  binpack: {set: {workloads.jobs.tasks.placementStrategy: [{type: binpack, field: memory}]}}
";

pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in the temporary folder");
        path
    }

    pub(crate) fn ecsim(&self, args: &[&str]) -> Output {
        let mut command = Command::cargo_bin("ecsim").expect("the binary is built with its tests");
        command.current_dir(self.0.path()).env("NO_COLOR", "1").args(args).output().expect("it starts")
    }

    /// Every file below a folder, by relative path.
    pub(crate) fn bytes(&self, folder: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(folder);
        let mut files = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let name = path.strip_prefix(&root).expect("below the root").to_owned();
                    files.insert(name, fs::read(&path).expect("a file"));
                }
            }
        }
        files
    }

    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

#[test]
fn the_same_bytes_for_two_runs_and_for_one_and_two_threads() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    for (folder, threads) in [("a", "1"), ("b", "1"), ("c", "2")] {
        let output = desk.ecsim(&["run", "small.yaml", "--replications", "4", "--threads", threads, "--out", folder]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    }
    let first = desk.bytes("a");
    assert!(first.contains_key(Path::new("events.jsonl")) && first.contains_key(Path::new("plots/hosts.png")));
    assert_eq!(first.keys().collect::<Vec<_>>(), desk.bytes("b").keys().collect::<Vec<_>>());
    for (folder, what) in [("b", "a second run"), ("c", "two threads")] {
        for (name, bytes) in desk.bytes(folder) {
            assert!(first.get(&name) == Some(&bytes), "{} differs in {what}", name.display());
        }
    }
}

#[test]
fn another_seed_gives_another_run() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    for (folder, seed) in [("a", "1"), ("b", "2")] {
        let output = desk.ecsim(&["run", "small.yaml", "--seed", seed, "--out", folder, "--quiet"]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    }
    assert_ne!(desk.bytes("a")[Path::new("tasks.csv")], desk.bytes("b")[Path::new("tasks.csv")]);
}

#[test]
fn variants_face_the_same_arrivals() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    let output = desk.ecsim(&["compare", "small.yaml", "--replications", "3", "--out", "both"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("binpack") && table.contains("spread"), "{table}");
    let files = desk.bytes("both");
    assert!(files.contains_key(Path::new("plots/differences.png")), "{:?}", files.keys().collect::<Vec<_>>());
    // Common random numbers: replication 0 of both variants starts the same number of tasks.
    let started = |variant: &str| {
        let csv = text(&files[&Path::new(variant).join("summary.csv")]);
        csv.lines().find(|line| line.starts_with("0,tasks_started,")).map(str::to_owned)
    };
    assert!(started("spread").is_some());
    assert_eq!(started("spread"), started("binpack"));
}

#[test]
fn an_objective_that_is_missed_is_exit_status_1() {
    let desk = Desk::new();
    desk.file("small.yaml", format!("{EXAMPLE}slo: [{{metric: cost_usd, max: 0.0001}}]\n"));
    let output = desk.ecsim(&["run", "small.yaml", "--out", "a"]);
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    assert!(desk.path("a/summary.json").is_file(), "the run is written all the same");
}

#[test]
fn bad_input_is_exit_status_2_and_leaves_nothing() {
    let traces = [
        ("empty.csv", ""),
        ("unsorted.csv", "t_s,value\n0,1\n60,2\n30,3\n"),
        ("nan.csv", "t_s,value\n0,1\n60,NaN\n"),
        ("negative.csv", "t_s,value\n0,1\n60,-2\n"),
    ];
    let with_trace = |file: &str| {
        EXAMPLE
            .replace("{poisson: 40/h}", &format!("{{poisson: {{trace: {{file: {file}, time: t_s, value: value}}}}}}"))
    };
    let mut cases: Vec<(String, &str)> = vec![
        (EXAMPLE.replace("desiredCount", "desiredCuont"), "desiredCount"),
        (EXAMPLE.replace("MaxSize: 5", "MaxSize: five"), "MaxSize"),
        (EXAMPLE.replace("duration: 90m", "duration: 90"), "unit"),
        (EXAMPLE.replace("m5.large", "m5.lrage"), "m5.large"),
        (EXAMPLE.replace("taskDefinition: job, desired", "taskDefinition: jab, desired"), "jab"),
        (EXAMPLE.replace("weight: 1", "weight: 0"), "weight"),
        (EXAMPLE.replace("MinSize: 1", "MinSize: 9"), "9"),
        (EXAMPLE.replace("40/h", "-40/h"), "below zero"),
        (EXAMPLE.replace("variants:", "services: []\nvariants:"), "services"),
        (format!("include: [small.yaml]\n{EXAMPLE}"), "small.yaml"),
        (with_trace("missing.csv"), "missing.csv"),
        ("\u{0}\u{1}%%% [[[".repeat(1000), ""),
    ];
    cases.extend(traces.iter().map(|(file, _)| (with_trace(file), *file)));
    for (scenario, hint) in cases {
        let desk = Desk::new();
        for (file, contents) in traces {
            desk.file(file, contents);
        }
        desk.file("small.yaml", &scenario);
        let before = desk.entries();
        let output = desk.ecsim(&["run", "small.yaml"]);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{said}\n{scenario}");
        assert!(said.contains(hint), "`{hint}` is not in: {said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(desk.entries(), before, "nothing is left behind");
    }
}

#[test]
fn an_output_folder_that_cannot_be_written_is_said_before_the_run() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    desk.file("taken", "a file of somebody else");
    let output = desk.ecsim(&["run", "small.yaml", "--out", "taken"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("taken"), "{}", text(&output.stderr));
    assert_eq!(fs::read_to_string(desk.path("taken")).unwrap(), "a file of somebody else");
    fs::create_dir(desk.path("foreign")).unwrap();
    desk.file("foreign/diary.txt", "dear diary");
    assert_eq!(code(&desk.ecsim(&["run", "small.yaml", "--out", "foreign"])), 2, "a foreign folder is not replaced");
}

#[test]
fn an_error_of_the_system_is_said_once() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    desk.file("taken", "a file of somebody else");
    let cases = [
        vec!["run", "small.yaml", "--out", "/proc/nowhere/run"],
        vec!["run", "small.yaml", "--out", "taken/run"],
        vec!["plot", "nowhere"],
    ];
    for args in cases {
        let output = desk.ecsim(&args);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{said}");
        assert_eq!(said.matches("os error").count(), 1, "{said}");
        assert!(!said.contains(".partial"), "nobody knows the temporary folder: {said}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_who_leaves_is_no_error() {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    for args in [vec!["schema"], vec!["catalog", "prices"], vec!["--json", "catalog", "instances"]] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("ecsim"))
            .args(&args)
            .current_dir(desk.0.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut first = [0; 1];
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_exact(&mut first).expect("something is written");
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((code(&output), text(&output.stderr).as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_hundred_megabytes_of_nonsense_are_refused_quickly() {
    let desk = Desk::new();
    let nonsense: Vec<u8> = (0..100_000_000u32).map(|n| b"abc: [{\n"[(n % 8) as usize]).collect();
    desk.file("nonsense.yaml", nonsense);
    let output = desk.ecsim(&["validate", "nonsense.yaml"]);
    assert_eq!(code(&output), 2);
    let said = text(&output.stderr);
    assert!(!said.is_empty() && said.len() < 10_000, "{} bytes of talk", said.len());
}

#[test]
fn commands_teach_and_print_what_they_promise() {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    let output = desk.ecsim(&["validate", "small.yaml"]);
    assert_eq!((code(&output), text(&output.stdout).contains("ok")), (0, true));
    let output = desk.ecsim(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(schema["$defs"].is_object());
    let output = desk.ecsim(&["completions", "bash"]);
    assert!(text(&output.stdout).contains("_ecsim"));
    let output = desk.ecsim(&["catalog", "instances", "m5.large"]);
    assert!(text(&output.stdout).contains("m5.large"), "{}", text(&output.stdout));
    let output = desk.ecsim(&["run", "small.yaml", "--json", "--out", "a"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(summary["metrics"]["cost_usd"]["mean"].as_f64().unwrap() > 0.0);
    let before = desk.bytes("a");
    let output = desk.ecsim(&["plot", "a"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(desk.bytes("a") == before, "redrawn pictures are the same");
    assert_eq!(code(&desk.ecsim(&["compare", "small.yaml", "--variants", "spred,binpack"])), 2);
    let alone = text(&desk.ecsim(&["compare", "small.yaml", "--variants", "binpack"]).stderr);
    assert!(alone.contains("names only `binpack`") && alone.contains("spread, binpack"), "{alone}");
    assert_eq!(code(&desk.ecsim(&["run", "nowhere.yaml"])), 2);
}

#[test]
fn cost_1_a_deleted_alarm_is_billed_to_the_minute_it_went() {
    let desk = Desk::new();
    let mut text = "name: alarms\nduration: 1h\nservices: []\nalarms:\n".to_owned();
    for place in 0..12 {
        text += &format!(
            "  - {{AlarmName: a{place:02}, Namespace: lab, MetricName: m, Statistic: Average, Period: 60,
     EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: GreaterThanThreshold}}\n"
        );
    }
    text += "actions: [{at: 15m, call: 'cloudwatch:DeleteAlarms', with: {AlarmNames: [a10]}}]\n";
    desk.file("alarms.yaml", text);
    assert!(desk.ecsim(&["run", "alarms.yaml", "--out", "out", "--quiet"]).status.success());
    let cost = fs::read_to_string(desk.path("out/cost.csv")).expect("a bill");
    let months = |alarm: &str| -> f64 {
        let row = cost.lines().find(|line| line.contains(alarm)).expect("a row for the alarm");
        row.split(',').nth(2).and_then(|cell| cell.parse().ok()).expect("a quantity")
    };
    assert!((months("a11") / months("a10") - 4.0).abs() < 1e-6, "{cost}");
}
