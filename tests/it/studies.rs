//! Sweeps, searches and checks as their user meets them: the same bytes however they were run, and nothing half-done.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ecsim::control_plane::{self, RunOptions};
use ecsim::report::recorder::Recorder;
use ecsim::scenario::{LoadOptions, load, load_str};
use ecsim::stats::Estimate;
use rayon::prelude::*;
use serde_json::Value;

use crate::cli::{Desk, EXAMPLE, code, text};

const SIZES: &str = "autoScalingGroups.g.MaxSize=2..4";
const RATES: &str = "workloads.jobs.tasks.arrivals.poisson=20/h,60/h";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("small.yaml", EXAMPLE);
    desk
}

fn done(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)))
}

fn sweep<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["sweep", "small.yaml", "--vary", SIZES, "--vary", RATES, "--replications", "3"];
    args.extend(more);
    args
}

#[test]
fn a_sweep_has_the_same_bytes_on_one_thread_on_two_and_from_shards() {
    let desk = desk();
    done(&desk.ecsim(&sweep(&["--threads", "1", "--out", "one"])));
    done(&desk.ecsim(&sweep(&["--threads", "2", "--out", "two"])));
    let whole = desk.bytes("one");
    assert!(whole.contains_key(Path::new("sweep.csv")) && whole.contains_key(Path::new("plots/sweep.png")));
    assert!(whole == desk.bytes("two"));
    for shard in ["2/4", "4/4", "1/4", "3/4"] {
        done(&desk.ecsim(&sweep(&["--shard", shard, "--out", "parts"])));
    }
    done(&desk.ecsim(&["merge", "parts", "--out", "merged"]));
    assert!(whole == desk.bytes("merged"));
    done(&desk.ecsim(&["plot", "one"]));
    assert!(whole == desk.bytes("one"), "redrawn pictures are the same");
    // Six points of a grid, each with every figure.
    let csv = text(&whole[Path::new("sweep.csv")]);
    assert_eq!(csv.lines().filter(|line| line.contains(",cost_usd,")).count(), 6, "{csv}");
}

#[test]
fn points_face_the_same_random_numbers_as_a_run() {
    let desk = desk();
    done(&desk.ecsim(&sweep(&["--out", "s"])));
    let set = ["--set", "autoScalingGroups.g.MaxSize=3", "--set", "workloads.jobs.tasks.arrivals.poisson=60/h"];
    let run = ["run", "small.yaml", "--replications", "3", "--out", "r", "--json", set[0], set[1], set[2], set[3]];
    let run = json(&desk.ecsim(&run));
    let sweep: Value = serde_json::from_slice(&desk.bytes("s")[Path::new("sweep.json")]).unwrap();
    assert_eq!(sweep["points"][3]["settings"]["autoScalingGroups.g.MaxSize"], "3");
    assert_eq!(sweep["points"][3]["metrics"], run["metrics"]);
}

#[cfg(unix)]
#[test]
fn a_sweep_that_was_killed_goes_on_and_ends_with_the_same_bytes() {
    let desk = desk();
    let args = |out: &'static str| {
        let rates = "workloads.jobs.tasks.arrivals.poisson=20/h..120/h..20";
        [
            "sweep",
            "small.yaml",
            "--vary",
            SIZES,
            "--vary",
            rates,
            "--replications",
            "10",
            "--threads",
            "1",
            "--out",
            out,
        ]
    };
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("ecsim"))
        .args(args("killed"))
        .current_dir(desk.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let kept = || {
        let finished =
            |name: &str| Path::new(name).extension().is_some_and(|kind| kind == "json") && !name.starts_with('.');
        let entries = fs::read_dir(desk.path(".killed.resume")).into_iter().flatten().flatten();
        entries.filter(|entry| finished(&entry.file_name().to_string_lossy())).count()
    };
    let begin = Instant::now();
    while kept() < 2 && begin.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it is there to be killed");
    child.wait().expect("it ends");
    assert!(!desk.path("killed").exists(), "nothing half-written");
    let kept = kept();
    assert!((2..18).contains(&kept), "killed in the middle: {kept} of 18 points");
    let resumed = desk.ecsim(&args("killed"));
    done(&resumed);
    assert!(text(&resumed.stderr).contains("are there already"), "{}", text(&resumed.stderr));
    done(&desk.ecsim(&args("straight")));
    assert!(desk.bytes("killed") == desk.bytes("straight"));
    assert_eq!(desk.entries(), ["killed", "small.yaml", "straight"], "what was kept is gone");
}

#[test]
fn a_path_finds_a_policy_by_its_own_name_and_by_that_of_its_resource() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/quickstart.yaml");
    for name in ["cpu-60", "service/shop/web"] {
        let path = format!("scalingPolicies.{name}.TargetTrackingScalingPolicyConfiguration.TargetValue");
        let options = LoadOptions { set: vec![format!("{path}=41.5")], ..LoadOptions::default() };
        let scenario = load(Path::new(file), &options).unwrap_or_else(|error| panic!("{error}"));
        assert!(format!("{:?}", scenario.estate.policies).contains("41.5"), "{name}");
    }
}

#[test]
fn what_is_no_sweep_is_refused_and_leaves_nothing() {
    let desk = desk();
    desk.file("none.csv", "autoScalingGroups.g.MaxSize\n");
    desk.file("bad.csv", "autoScalingGroups.g.MaxSize\n3\nmany\n");
    let before = desk.entries();
    for (args, reason) in [
        (&["--vary", "autoScalingGroups.g.MaxSiez=1,2"][..], "did you mean `MaxSize`"),
        (&["--vary", "autoScalingGroups.h.MaxSize=1,2"], "did you mean `g`"),
        (&["--vary", "autoScalingGroups.g.MaxSize=2,0"], "point 2 of 2"),
        (&["--vary", "autoScalingGroups.g.MaxSize="], "empty value"),
        (&["--vary", "autoScalingGroups.g.MaxSize"], "no `=`"),
        (&[], "nothing is varied"),
        (&["--points", "none.csv"], "no points"),
        (&["--points", "bad.csv"], "point 2 of 2"),
        (&["--points", "nowhere.csv"], "nowhere.csv"),
        (&["--vary", SIZES, "--shard", "5/4"], "no shard"),
        (&["--vary", SIZES, "--shard", "auto"], "needs an array job"),
        (&["--vary", SIZES, "--out", "small.yaml"], "is a file"),
    ] {
        let args: Vec<&str> = ["sweep", "small.yaml"].iter().chain(args).copied().collect();
        let output = desk.ecsim(&args);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 2, "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
        assert_eq!(desk.entries(), before, "{args:?}");
    }
}

#[test]
fn shards_that_miss_overlap_or_are_cut_off_are_refused() {
    let desk = desk();
    for shard in ["1/2", "2/2"] {
        done(&desk.ecsim(&sweep(&["--shard", shard, "--out", "s", "--quiet"])));
    }
    done(&desk.ecsim(&[
        "sweep",
        "small.yaml",
        "--vary",
        SIZES,
        "--replications",
        "3",
        "--shard",
        "2/2",
        "--out",
        "other",
    ]));
    let refusal = |folders: &[&str]| {
        let args: Vec<&str> = ["merge"].iter().chain(folders).chain(&["--out", "m"]).copied().collect();
        let output = desk.ecsim(&args);
        assert_eq!((code(&output), desk.path("m").exists()), (2, false), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    assert!(refusal(&["s/shard-1-of-2"]).contains("shard 2/2 is missing"));
    assert!(refusal(&["s", "s/shard-2-of-2"]).contains("both hold shard 2/2"));
    assert!(refusal(&["s/shard-1-of-2", "other"]).contains("another sweep"));
    assert!(refusal(&["nowhere"]).contains("no finished sweep"));
    let points = desk.path("s/shard-2-of-2/points.jsonl");
    let whole = fs::read_to_string(&points).unwrap();
    fs::write(&points, &whole[..whole.len() - 100]).unwrap();
    assert!(refusal(&["s"]).contains("damaged"));
}

#[test]
fn the_shard_of_an_array_job_is_told_by_its_variables() {
    let desk = desk();
    done(&desk.ecsim(&sweep(&["--shard", "2/3", "--out", "by-hand", "--quiet"])));
    for (scheduler, variables, more) in [
        ("batch", &[("AWS_BATCH_JOB_ARRAY_INDEX", "1"), ("AWS_BATCH_JOB_ARRAY_SIZE", "3")][..], &[][..]),
        ("slurm", &[("SLURM_ARRAY_TASK_ID", "6"), ("SLURM_ARRAY_TASK_MIN", "5"), ("SLURM_ARRAY_TASK_COUNT", "3")], &[]),
        ("kubernetes", &[("JOB_COMPLETION_INDEX", "1")], &["--shards", "3"]),
    ] {
        let mut command = assert_cmd::Command::cargo_bin("ecsim").expect("the binary is built with its tests");
        let args = sweep(&["--shard", "auto", "--out", scheduler, "--quiet"]);
        command.current_dir(desk.path("")).envs(variables.iter().copied()).args(args).args(more);
        done(&command.output().expect("it starts"));
        assert!(desk.bytes(scheduler) == desk.bytes("by-hand"), "{scheduler}");
    }
}

#[test]
fn a_search_finds_the_optimum_that_brute_force_finds() {
    let desk = desk();
    let sizes = "autoScalingGroups.g.MaxSize=1..4";
    let types = "autoScalingGroups.g.InstanceType=m5.large,c5.large";
    let vary = ["small.yaml", "--vary", sizes, "--vary", types];
    let all: Vec<&str> =
        ["sweep"].iter().chain(&vary).chain(&["--replications", "40", "--json", "--out", "all"]).copied().collect();
    let all = json(&desk.ecsim(&all));
    let mean = |point: &Value, metric: &str| point["metrics"][metric]["mean"].as_f64().unwrap();
    let points = all["points"].as_array().unwrap();
    let optimum = points
        .iter()
        .filter(|point| mean(point, "task_wait_p99_s") <= 300.0)
        .min_by(|a, b| mean(a, "cost_usd").total_cmp(&mean(b, "cost_usd")))
        .unwrap();
    let search: Vec<&str> = ["optimize"]
        .iter()
        .chain(&vary)
        .chain(&["--subject-to", "task_wait_p99_s<=300s", "--replications", "40", "--json", "--out", "o"])
        .copied()
        .collect();
    let output = desk.ecsim(&search);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let found = json(&output);
    assert_eq!(found["winner_settings"], optimum["settings"], "{found}");
    let runs = found["runs"].as_u64().unwrap();
    assert!(runs < 8 * 40, "bad points stop early: {runs} runs");
    assert!(desk.path("o/plots/front.svg").is_file());
    let best = found["winner"].as_u64().unwrap() as usize;
    assert_eq!(found["points"][best]["on_front"], true, "the best is on the front");
}

#[test]
fn constraints_that_nothing_meets_are_said_and_no_success() {
    let desk = desk();
    let args = |limit: &'static str| {
        ["optimize", "small.yaml", "--vary", SIZES, "--subject-to", limit, "--replications", "10", "--out", "o"]
    };
    let output = desk.ecsim(&args("task_wait_p99_s<=1ms"));
    let said = text(&output.stdout);
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    assert!(said.contains("none of 3 points meets every constraint; the closest is MaxSize 4"), "{said}");
    let before = desk.entries();
    for (limit, reason) in [
        ("task_wait_p99<=1", "did you mean `task_wait_p99_s`"),
        ("cost_usd", "no constraint"),
        ("cost_usd<=cheap", "no constraint"),
    ] {
        let output = desk.ecsim(&args(limit));
        assert_eq!(code(&output), 2);
        assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
    }
    let both =
        ["optimize", "small.yaml", "--vary", SIZES, "--subject-to", "cost_usd<=1", "--subject-to", "cost_usd>=2"];
    assert!(text(&desk.ecsim(&both).stderr).contains("no figure meets both"));
    assert_eq!(desk.entries(), before);
}

#[test]
fn a_check_is_red_when_a_change_makes_it_worse() {
    let desk = desk();
    let check = |more: &[&str]| {
        let args: Vec<&str> = ["check", "small.yaml", "--baseline", "base.yaml"].iter().chain(more).copied().collect();
        desk.ecsim(&args)
    };
    assert_eq!(code(&check(&[])), 2, "no baseline yet");
    done(&check(&["--write", "--replications", "4"]));
    done(&check(&[]));
    let worse = ["--set", "autoScalingGroups.g.MinSize=3", "--junit", "check.xml", "--markdown", "check.md"];
    let output = check(&worse);
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("REGRESSION"), "{}", text(&output.stdout));
    let junit = fs::read_to_string(desk.path("check.xml")).unwrap();
    assert!(junit.contains("<failure type=\"WORSE\"") && junit.contains("name=\"cost_usd\""), "{junit}");
    assert!(fs::read_to_string(desk.path("check.md")).unwrap().contains("| **WORSE** | cost (`cost_usd`) |"));
    let foreign = check(&["--set", "name=another"]);
    assert_eq!(code(&foreign), 2);
    assert!(text(&foreign.stderr).contains("another scenario"), "{}", text(&foreign.stderr));
    let kept = fs::read(desk.path("base.yaml")).unwrap();
    assert_eq!(code(&check(&["--write", "--until", "30m"])), 2, "a baseline of other runs is not overwritten");
    assert_eq!(fs::read(desk.path("base.yaml")).unwrap(), kept);
    desk.file("base.yaml", "scenario: [");
    assert_eq!(code(&check(&[])), 2);
}

#[test]
fn replications_are_added_until_the_interval_is_narrow_enough() {
    let desk = desk();
    let run = |width: &str, most: &str| {
        desk.ecsim(&["run", "small.yaml", "--precision", width, "--max-replications", most, "--json", "--out", "r"])
    };
    let output = run("cost_usd=10%", "200");
    let summary = json(&output);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let [low, high] = [0, 1].map(|end| summary["metrics"]["cost_usd"]["ci95"][end].as_f64().unwrap());
    assert!((high - low) / 2.0 <= 0.1 * summary["metrics"]["cost_usd"]["mean"].as_f64().unwrap());
    let n = summary["replications"].as_u64().unwrap();
    assert!((5..200).contains(&n), "{n}");
    // The replications are those that so many would have been from the start.
    let straight = desk.ecsim(&["run", "small.yaml", "--replications", &n.to_string(), "--json", "--out", "s"]);
    assert_eq!(json(&straight)["metrics"], summary["metrics"]);
    let output = run("cost_usd=0.1%", "6");
    assert_eq!((code(&output), json(&output)["precision"][0]["reached"].as_bool()), (1, Some(false)));
    assert!(text(&run("cots_usd=1%", "6").stderr).contains("did you mean `cost_usd`"));
}

#[test]
fn one_variant_runs_alone_and_two_runs_are_compared_after_the_fact() {
    let desk = desk();
    done(&desk.ecsim(&["run", "small.yaml", "--variant", "spread", "--steady-state"]));
    done(&desk.ecsim(&["compare", "small.yaml", "--replications", "1", "--out", "c"]));
    let alone = desk.bytes("outputs/small-spread");
    assert_eq!(alone[Path::new("series.csv")], desk.bytes("c/spread")[Path::new("series.csv")]);
    let summary: Value = serde_json::from_slice(&alone[Path::new("summary.json")]).unwrap();
    assert!(summary["steady_state"]["series"].as_array().is_some_and(|series| !series.is_empty()), "{summary}");
    let errors = json(&desk.ecsim(&["compare-runs", "outputs/small-spread", "c/spread", "--json"]));
    assert!(errors["metrics"].as_array().unwrap().iter().all(|row| row["error"] == 0.0), "{errors}");
    assert!(errors["series"].as_array().unwrap().iter().all(|row| row["mean_absolute"] == 0.0), "{errors}");
    assert_eq!(code(&desk.ecsim(&["compare-runs", "c/spread", "c"])), 2, "a comparison is no run");
    let counts = errors["counts"].as_array().unwrap();
    assert!(!counts.is_empty() && counts.iter().all(|row| row["same"] == 1.0), "{errors}");
    let drawn = desk.ecsim(&["compare-runs", "outputs/small-spread", "c/spread", "--out", "over"]);
    done(&drawn);
    assert!(text(&drawn.stdout).contains("tasks over time"), "{}", text(&drawn.stdout));
    let over = desk.bytes("over");
    let names: Vec<String> = over.keys().map(|path| path.display().to_string()).collect();
    assert!(names.contains(&"compared.json".to_owned()), "{names:?}");
    assert!(names.contains(&"plots/compared-web.png".to_owned()), "{names:?}");
    assert_eq!(code(&desk.ecsim(&["run", "small.yaml", "--variant", "spred"])), 2);
}

/// The intervals of a whole scenario hold the truth as often as they say, the truth being the mean of all its runs.
#[test]
#[ignore = "thousands of runs: just coverage"]
fn intervals_of_a_scenario_hold_the_truth_as_often_as_they_say() {
    const GROUPS: usize = 500;
    const EACH: usize = 10;
    let scenario = load_str("small.yaml", EXAMPLE, &LoadOptions::default()).expect("valid");
    let runs: Vec<BTreeMap<&str, f64>> = (0..(GROUPS * EACH) as u64)
        .into_par_iter()
        .map(|replication| {
            let mut recorder = Recorder::new(&scenario.estate);
            let options = RunOptions { replication, ..RunOptions::default() };
            control_plane::run(&scenario.estate, options, &mut recorder, |_| {});
            let summary = recorder.into_summary(None).expect("nothing is written");
            ["cost_usd", "cpu_reserved_ratio", "tasks_started"].map(|key| (key, summary.get(key).unwrap())).into()
        })
        .collect();
    for metric in runs[0].keys() {
        let samples: Vec<f64> = runs.iter().map(|run| run[metric]).collect();
        let truth = samples.iter().sum::<f64>() / samples.len() as f64;
        let covered =
            samples.chunks(EACH).filter(|group| Estimate::from_samples(group).unwrap().contains(truth)).count();
        let share = covered as f64 / GROUPS as f64;
        assert!((0.93..=0.97).contains(&share), "{metric}: {covered} of {GROUPS}");
    }
}
