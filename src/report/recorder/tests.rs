use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::control_plane::{RunOptions, run};
use crate::report::{RunReport, write_run};
use crate::scaling::idle::IdleCause;
use crate::scenario::{LoadOptions, load_str};

/// A service on hosts behind a load balancer that scales with its load, and tasks on Fargate.
const WEB: &str = r#"
name: web
duration: 2h
seed: 7
delays: { preset: constant }
capacityProviders:
  - name: hosts
    autoScalingGroupProvider:
      autoScalingGroupArn: web
      managedScaling: { status: ENABLED, targetCapacity: 100, instanceWarmupPeriod: 60 }
      managedTerminationProtection: DISABLED
autoScalingGroups:
  - AutoScalingGroupName: web
    MinSize: 1
    MaxSize: 20
    DesiredCapacity: 1
    InstanceType: m5.large
    AvailabilityZones: [us-east-1a, us-east-1b, us-east-1c]
loadBalancers: [{ Name: front, Type: application }]
targetGroups: [{ Name: web, loadBalancer: front }]
taskDefinitions:
  - family: web
    cpu: "512"
    memory: "1024"
    networkMode: bridge
    containerDefinitions:
      - { name: app, image: "repo/app:1", portMappings: [{ containerPort: 80 }] }
  - family: report
    cpu: "256"
    memory: "512"
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    containerDefinitions: [{ name: app, image: "repo/report:1" }]
    behaviour: { runsFor: 90s }
clusters:
  - clusterName: default
    capacityProviders: [hosts, FARGATE]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 2
    capacityProviderStrategy: [{ capacityProvider: hosts, weight: 1 }]
    loadBalancers: [{ targetGroupArn: web, containerName: app, containerPort: 80 }]
scalableTargets:
  - ResourceId: service/default/web
    ServiceNamespace: ecs
    ScalableDimension: ecs:service:DesiredCount
    MinCapacity: 2
    MaxCapacity: 30
scalingPolicies:
  - PolicyName: cpu
    ResourceId: service/default/web
    ServiceNamespace: ecs
    ScalableDimension: ecs:service:DesiredCount
    PolicyType: TargetTrackingScaling
    TargetTrackingScalingPolicyConfiguration:
      TargetValue: 60
      PredefinedMetricSpecification: { PredefinedMetricType: ECSServiceAverageCPUUtilization }
      ScaleOutCooldown: 60
      ScaleInCooldown: 60
workloads:
  - name: shoppers
    requests:
      service: web
      rate: { steps: [[0s, 10], [20m, 60], [80m, 10]] }
      cpuPerRequest: 50ms
      latencyFloor: 10ms
      timeout: 5s
  - name: reports
    tasks:
      taskDefinition: report
      count: 1
      launchType: FARGATE
      networkConfiguration: { awsvpcConfiguration: { subnets: [us-east-1a] } }
      arrivals: { poisson: 6/h }
"#;

fn estate_of(text: &str) -> Estate {
    load_str("test.yaml", text, &LoadOptions::default())
        .unwrap_or_else(|error| panic!("{}", error.render(false)))
        .estate
}

/// Runs `estate` in full detail into `folder`; the figures of the run.
fn record(estate: &Estate, folder: &Path) -> ReplicationSummary {
    let output = OutputDir::prepare(folder).unwrap();
    let mut recorder = Recorder::to_files(estate, Detail::Full, &output).unwrap();
    run(estate, RunOptions { paranoid: true, ..RunOptions::default() }, &mut recorder, |_| {});
    let replications = [recorder.into_summary(Some(&output)).unwrap()];
    write_run(output, &RunReport::new(estate, &replications)).unwrap();
    let [summary] = replications;
    summary
}

fn table(folder: &Path, name: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_path(folder.join(name)).unwrap().deserialize().map(Result::unwrap).collect()
}

fn log(folder: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A decimal as billionths, exactly.
fn nanos(decimal: &str) -> i64 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    whole.parse::<i64>().unwrap() * 1_000_000_000 + format!("{fraction:0<9}").parse::<i64>().unwrap()
}

#[test]
fn every_row_of_the_bill_counts_once_and_they_add_up_exactly() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    let summary = record(&estate_of(WEB), &folder);
    let rows = table(&folder, "cost.csv");
    let total: i64 = rows.iter().map(|row| nanos(&row["cost_usd"])).sum();
    assert_eq!(total as f64 / 1e9, summary.get("cost_usd").unwrap());
    let mut by_item: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &rows {
        *by_item.entry(&row["item"]).or_default() += nanos(&row["cost_usd"]);
        let [quantity, price] = ["quantity", "unit_price_usd"].map(|column| row[column].parse::<f64>().unwrap());
        assert!((quantity * price - nanos(&row["cost_usd"]) as f64 / 1e9).abs() < 1e-9, "{row:?}");
    }
    let items = ["cloudwatch_alarm", "ebs", "ec2_on_demand", "fargate", "lcu", "load_balancer"];
    assert_eq!(by_item.keys().copied().collect::<Vec<_>>(), items);
    for (item, cost) in by_item {
        assert_eq!(cost as f64 / 1e9, summary.get(&format!("cost_{item}_usd")).unwrap(), "{item}");
    }
    // Each billed second of each instance appears once.
    let machines: Vec<_> = rows.iter().filter(|row| row["item"] == "ec2_on_demand").collect();
    let instances = table(&folder, "instances.csv");
    assert_eq!(machines.len(), instances.len());
    for instance in &instances {
        let row = machines.iter().find(|row| row["resource"] == instance["instance"]).unwrap();
        let hours: f64 = row["quantity"].parse().unwrap();
        assert!((hours * 3600.0 - instance["billed_s"].parse::<f64>().unwrap()).abs() < 1e-6);
        assert_eq!(row["cost_usd"], instance["cost_usd"]);
    }
    let billed: f64 = instances.iter().map(|row| row["billed_s"].parse::<f64>().unwrap()).sum();
    assert!((summary.get("instance_hours").unwrap() - billed / 3600.0).abs() < 1e-9);
}

/// The level of a series of `cluster/default` at an instant.
fn level_at(folder: &Path, metric: &str, at: f64) -> f64 {
    let rows = table(folder, "series.csv");
    let levels = rows.iter().filter(|row| row["resource"] == "cluster/default" && row["metric"] == metric);
    levels
        .map(|row| (row["time_s"].parse::<f64>().unwrap(), row["value"].parse::<f64>().unwrap()))
        .rfind(|(time, _)| *time <= at)
        .map_or(0.0, |(_, value)| value)
}

#[test]
fn the_busiest_moment_shows_the_hosts_that_were_registered_then_and_no_others() {
    // Busy, then quiet until hosts have left, then busier than ever.
    let text = WEB.replace("[[0s, 10], [20m, 60], [80m, 10]]", "[[0s, 60], [15m, 5], [75m, 90]]");
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(&text), &folder);
    let packing = table(&folder, "packing.csv");
    let at: f64 = packing[0]["time_s"].parse().unwrap();
    let instances = table(&folder, "instances.csv");
    let time = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<f64>().ok();
    assert!(instances.iter().any(|row| time(row, "terminated_s").is_some_and(|gone| gone < at)), "some left before");
    for row in &packing {
        let host = instances.iter().find(|host| host["instance"] == row["instance"]).unwrap();
        assert!(time(host, "registered_s").is_some_and(|registered| registered <= at), "{host:?}");
        assert!(time(host, "terminated_s").is_none_or(|gone| gone > at), "{host:?}");
    }
    let sum = |column: &str| packing.iter().map(|row| row[column].parse::<f64>().unwrap()).sum::<f64>();
    assert_eq!(sum("registered_cpu") / 1024.0, level_at(&folder, "registered_cpu_vcpu", at));
    let on_hosts = level_at(&folder, "reserved_cpu_vcpu", at) - level_at(&folder, "fargate_cpu_vcpu", at);
    assert_eq!(sum("reserved_cpu") / 1024.0, on_hosts);
}

#[test]
fn the_busiest_moment_is_not_in_the_warm_up() {
    let text = WEB
        .replace("[[0s, 10], [20m, 60], [80m, 10]]", "[[0s, 90], [15m, 10]]")
        .replace("seed: 7", "seed: 7\nwarmup: 1h");
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(&text), &folder);
    let packing = table(&folder, "packing.csv");
    assert!(packing[0]["time_s"].parse::<f64>().unwrap() >= 3600.0, "{:?}", packing[0]);
    let registered: f64 = packing.iter().map(|row| row["registered_cpu"].parse::<f64>().unwrap() / 1024.0).sum();
    let most = (0..60).map(|minute| level_at(&folder, "registered_cpu_vcpu", f64::from(minute) * 60.0));
    assert!(registered < most.fold(0.0, f64::max), "hosts of the warm-up are gone");
}

#[test]
fn time_below_the_desired_count_is_that_of_the_series_whatever_the_load() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    let warm = WEB.replace("seed: 7", "seed: 7\nwarmup: 10m");
    let summary = record(&estate_of(&warm), &folder);
    let rows = table(&folder, "series.csv");
    let of = |metric: &str| -> Vec<(f64, f64)> {
        let rows = rows.iter().filter(|row| row["resource"] == "service/default/web" && row["metric"] == metric);
        rows.map(|row| (row["time_s"].parse().unwrap(), row["value"].parse().unwrap())).collect()
    };
    let (desired, running) = (of("DesiredCount"), of("RunningCount"));
    let level =
        |series: &[(f64, f64)], at: f64| series.iter().rfind(|change| change.0 <= at).map_or(0.0, |change| change.1);
    let mut times: Vec<f64> = desired.iter().chain(&running).map(|change| change.0).chain([600.0, 7200.0]).collect();
    times.sort_by(f64::total_cmp);
    let below: f64 = times
        .windows(2)
        .filter(|pair| pair[0] >= 600.0 && level(&running, pair[0]) < level(&desired, pair[0]))
        .map(|pair| pair[1] - pair[0])
        .sum();
    assert!(below > 0.0);
    assert!((summary.get("service/default/web:below_desired_s").unwrap() - below).abs() < 1e-6);
    assert_ne!(summary.get("service/default/web:under_capacity_s"), Some(below), "another thing, another name");
}

#[test]
fn a_run_says_how_much_it_has_written_while_it_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let output = OutputDir::prepare(&place.path().join("web")).unwrap();
    let estate = estate_of(WEB);
    let mut recorder = Recorder::to_files(&estate, Detail::Full, &output).unwrap();
    let written = recorder.written();
    let mut seen = Vec::new();
    let follow = |_: SimTime| seen.push(written.load(std::sync::atomic::Ordering::Relaxed));
    run(&estate, RunOptions::default(), &mut recorder, follow);
    recorder.into_summary(Some(&output)).unwrap();
    let files = fs::read_dir(output.path()).unwrap().map(|entry| entry.unwrap());
    let size: u64 = files.filter(|file| file.file_name() != PLAN).map(|file| file.metadata().unwrap().len()).sum();
    assert_eq!(written.load(std::sync::atomic::Ordering::Relaxed), size);
    assert!(seen[100] > 0 && seen[100] < size && seen.is_sorted(), "{seen:?}");
    assert_eq!(Recorder::new(&estate).written().load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn pictures_know_of_failed_requests_and_refused_tasks() {
    let text = "
name: refused
duration: 1h
warmup: 10m
delays: { preset: constant }
autoScalingGroups:
  - { AutoScalingGroupName: web, MinSize: 1, MaxSize: 1, InstanceType: m5.large, AvailabilityZones: [us-east-1a] }
taskDefinitions:
  - { family: small, cpu: \"256\", memory: \"512\", containerDefinitions: [{ name: app, image: i }] }
  - { family: big, cpu: \"4096\", memory: \"1024\", containerDefinitions: [{ name: app, image: i }] }
services:
  - { serviceName: web, taskDefinition: small, desiredCount: 1, launchType: EC2 }
workloads:
  - { name: load, requests: { service: web, rate: 20, cpuPerRequest: 50ms, timeout: 1s } }
  - { name: jobs, tasks: { taskDefinition: big, launchType: EC2, arrivals: { constant: 12/h } } }
";
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("refused");
    let summary = record(&estate_of(text), &folder);
    let plan: PicturePlan = serde_json::from_str(&fs::read_to_string(folder.join(PLAN)).unwrap()).unwrap();
    assert!(plan.tasks_refused >= 9, "{plan:?}");
    assert_eq!(summary.get("tasks_failed"), Some(plan.tasks_refused as f64));
    assert_eq!(Some(plan.requests), summary.get("service/default/web:requests"));
    assert!(plan.requests_failed > 0.5 * plan.requests, "{plan:?}");
    let picture = fs::read_to_string(folder.join("plots/demand-vs-capacity.svg")).unwrap();
    assert!(picture.contains("refused by RunTask") && picture.contains("requests failed"), "the title tells");
}

#[test]
fn tables_have_the_promised_columns_and_logs_the_promised_keys() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(WEB), &folder);
    let first_line = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        format!("{name}: {}", text.lines().next().unwrap_or_default())
    };
    let names = ["summary.csv", "series.csv", "alarms.csv", "tasks.csv", "instances.csv", "cost.csv", "packing.csv"];
    insta::assert_snapshot!("columns", names.map(first_line).join("\n"));
    for line in log(&folder, "decisions.jsonl") {
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["time_s", "actor", "subject", "action", "from", "to", "reason", "rule", "inputs"]);
    }
    let activities = log(&folder, "activities.jsonl");
    let done = |line: &Value| line["ResourceId"] == "service/default/web" && line["StatusCode"] == "Successful";
    assert!(activities.iter().any(done));
    assert!(activities.iter().all(|line| line["time_s"].is_number() && line["ActivityId"].is_string()));
    let series = table(&folder, "series.csv");
    for (resource, metric) in [
        ("service/default/web", "DesiredCount"),
        ("service/default/web", "CPUUtilization"),
        ("service/default/web", "latency_p99_s"),
        ("asg/web", "GroupInServiceInstances"),
        ("capacity-provider/hosts", "CapacityProviderReservation"),
        ("target-group/web", "RequestCountPerTarget"),
        ("cluster/default", "registered_cpu_vcpu"),
    ] {
        assert!(series.iter().any(|row| row["resource"] == resource && row["metric"] == metric), "{resource} {metric}");
    }
}

#[test]
fn figures_agree_with_the_tables() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    let summary = record(&estate_of(WEB), &folder);
    let time = |row: &BTreeMap<String, String>, column: &str| row[column].parse::<f64>().ok();
    let tasks = table(&folder, "tasks.csv");
    let mut waits: Vec<f64> =
        tasks.iter().filter_map(|row| Some(time(row, "running_s")? - time(row, "created_s")?)).collect();
    assert_eq!(summary.get("tasks_started"), Some(waits.len() as f64));
    waits.sort_by(f64::total_cmp);
    let median = waits[(waits.len() - 1) / 2];
    assert!((summary.get("task_wait_p50_s").unwrap() / median - 1.0).abs() < 0.01);
    // What hosts registered and tasks reserved, integrated from the series.
    let series = table(&folder, "series.csv");
    let integral = |metric: &str| -> f64 {
        let levels: Vec<(f64, f64)> = series
            .iter()
            .filter(|row| row["resource"] == "cluster/default" && row["metric"] == metric)
            .map(|row| (time(row, "time_s").unwrap(), time(row, "value").unwrap()))
            .collect();
        let ends = levels.iter().skip(1).map(|next| next.0).chain([7200.0]);
        levels.iter().zip(ends).map(|((at, value), end)| value * (end - at)).sum()
    };
    let reserved = integral("reserved_cpu_vcpu") - integral("fargate_cpu_vcpu");
    let ratio = reserved / integral("registered_cpu_vcpu");
    assert!((summary.get("cpu_reserved_ratio").unwrap() - ratio).abs() < 1e-9);
    let used = summary.get("cpu_used_ratio").unwrap();
    assert!(used > 0.0 && used <= ratio, "tasks are capped at what they reserve: {used} of {ratio}");
    let idle = summary.get("idle_cost_usd").unwrap();
    let parts: f64 = IdleCause::ALL.iter().map(|cause| summary.get(&format!("idle_{cause}_usd")).unwrap()).sum();
    assert!((idle - parts).abs() < 1e-12 && idle > 0.0 && idle < summary.get("cost_ec2_on_demand_usd").unwrap());
    // 20 min at 10/s, 60 min at 60/s, 40 min at 10/s.
    let requests = summary.get("service/default/web:requests").unwrap();
    assert!((requests - 252_000.0).abs() < 120.0, "{requests}");
    // The first line of each activity that scaled the service.
    let begins = |line: &&Value| {
        line["ServiceNamespace"] == "ecs" && line["NotScaledReasons"].is_null() && line["StatusCode"] == "InProgress"
    };
    let actions = log(&folder, "activities.jsonl").iter().filter(begins).count();
    assert_eq!(summary.get("service/default/web:scaling_actions"), Some(actions as f64));
}

#[test]
fn the_same_run_gives_the_same_bytes_whatever_is_written() {
    let place = tempfile::tempdir().unwrap();
    let estate = estate_of(WEB);
    let [first, second] = ["first", "second"].map(|name| place.path().join(name));
    let figures = [&first, &second].map(|folder| record(&estate, folder));
    let mut names = Vec::new();
    for folder in [first.clone(), first.join("plots")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(&first).unwrap();
                assert!(fs::read(&path).unwrap() == fs::read(second.join(name)).unwrap(), "{}", name.display());
                names.push(name.display().to_string());
            }
        }
    }
    names.sort();
    insta::assert_snapshot!("files", names.join("\n"));
    // A recorder that writes nothing finds the same figures.
    let mut quiet = Recorder::new(&estate);
    run(&estate, RunOptions::default(), &mut quiet, |_| {});
    let quiet = quiet.into_summary(None).unwrap();
    assert_eq!(figures, [quiet.clone(), quiet]);
}

#[test]
fn less_detail_writes_fewer_files() {
    let estate = estate_of(WEB);
    let summary = ["summary.csv", "summary.json"];
    let series =
        ["alarms.csv", "cost.csv", "idle.csv", "instances.csv", "pictures.json", "plots", "report.html", "series.csv"];
    let both: Vec<&str> = series.into_iter().chain(summary).collect();
    for (detail, expected) in [(Detail::Summary, summary.to_vec()), (Detail::Series, both)] {
        let place = tempfile::tempdir().unwrap();
        let output = OutputDir::prepare(&place.path().join("web")).unwrap();
        let mut recorder = Recorder::to_files(&estate, detail, &output).unwrap();
        run(&estate, RunOptions::default(), &mut recorder, |_| {});
        let replications = [recorder.into_summary(Some(&output)).unwrap()];
        let folder = write_run(output, &RunReport::new(&estate, &replications)).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, expected);
    }
}

#[test]
fn the_warm_up_is_left_out_of_statistics_and_not_of_the_bill() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    let whole = record(&estate_of(WEB), &folder);
    let warm = record(&estate_of(&WEB.replace("seed: 7", "seed: 7\nwarmup: 1h")), &place.path().join("warm"));
    for key in ["cost_usd", "instance_hours", "idle_cost_usd"] {
        assert_eq!(warm.get(key), whole.get(key), "{key}");
    }
    let late = table(&folder, "tasks.csv")
        .iter()
        .filter(|row| row["running_s"].parse::<f64>().is_ok_and(|running| running >= 3600.0))
        .count();
    assert_eq!(warm.get("tasks_started"), Some(late as f64));
    // The second hour has 20 min at 60/s and 40 min at 10/s.
    let requests = warm.get("service/default/web:requests").unwrap();
    assert!((requests - 96_000.0).abs() < 120.0, "{requests}");
    assert_ne!(warm.get("cpu_reserved_ratio"), whole.get("cpu_reserved_ratio"));
    assert!(warm.notes().any(|note| note.contains("warm-up")));
}

#[test]
fn evt_1_events_have_eventbridges_shape() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(WEB), &folder);
    let events = log(&folder, "events.jsonl");
    for event in &events {
        let fixed = ["version", "source", "account", "region"].map(|key| event[key].as_str().unwrap());
        assert_eq!(fixed, ["0", "aws.ecs", "111122223333", "us-east-1"]);
        // EVT-2.
        let arn = event["resources"][0].as_str().unwrap();
        assert!(arn.starts_with("arn:aws:ecs:us-east-1:111122223333:"), "{arn}");
        assert!(event["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "ids never repeat");
    let named = |kind: &str, name: &str| {
        events.iter().any(|event| event["detail-type"] == kind && event["detail"]["eventName"] == name)
    };
    assert!(named("ECS Service Action", "SERVICE_STEADY_STATE"), "EVT-5");
    assert!(named("ECS Deployment State Change", "SERVICE_DEPLOYMENT_COMPLETED"), "EVT-4");
}

#[test]
fn ex_evt_1_versions_of_a_task_rise_and_the_last_event_says_how_it_ended() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(WEB), &folder);
    let events = log(&folder, "events.jsonl");
    let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
    for event in events.iter().filter(|event| event["detail-type"] == "ECS Task State Change") {
        let detail = &event["detail"];
        if let Some(before) = last.insert(detail["taskArn"].as_str().unwrap(), detail) {
            assert!(before["version"].as_u64() < detail["version"].as_u64(), "{before}\n{detail}");
        }
    }
    let ended = |detail: &&&Value| detail["group"] == "family:report" && detail["lastStatus"] == "STOPPED";
    let stopped: Vec<_> = last.values().filter(ended).collect();
    assert!(!stopped.is_empty());
    for detail in stopped {
        assert_eq!(detail["stopCode"], "EssentialContainerExited");
        assert_eq!(detail["stoppedReason"], "Essential container in task exited");
        assert_eq!(detail["containers"][0]["exitCode"], 0);
    }
}

#[test]
fn ex_evt_2_a_placement_leaves_the_host_that_much_less_and_one_version_more() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("web");
    record(&estate_of(WEB), &folder);
    let events = log(&folder, "events.jsonl");
    let mut host = events.iter().filter(|event| event["detail-type"] == "ECS Container Instance State Change");
    let mut next = || {
        let detail = &host.next().unwrap()["detail"];
        let left = [0, 1].map(|place| detail["remainingResources"][place]["integerValue"].as_u64().unwrap());
        (detail["version"].as_u64().unwrap(), left)
    };
    let ((version, [cpu, memory]), (later, [less_cpu, less_memory])) = (next(), next());
    assert_eq!((later - version, cpu - less_cpu, memory - less_memory), (1, 512, 1024));
}

#[test]
fn hosts_without_tasks_are_idle_from_boot_to_end() {
    let text = "
name: empty
duration: 1h
delays: { preset: constant }
autoScalingGroups:
  - { AutoScalingGroupName: web, MinSize: 2, MaxSize: 2, InstanceType: m5.large, AvailabilityZones: [us-east-1a] }
";
    let place = tempfile::tempdir().unwrap();
    let summary = record(&estate_of(text), &place.path().join("empty"));
    let get = |key: &str| summary.get(key).unwrap();
    assert_eq!(get("idle_cost_usd"), get("cost_ec2_on_demand_usd"));
    assert!(get("idle_boot_usd") > 0.0 && get("idle_min_size_usd") > 10.0 * get("idle_boot_usd"));
    assert_eq!((get("idle_draining_usd"), get("idle_cpu_ratio"), get("cpu_used_ratio")), (0.0, 1.0, 0.0));
    assert_eq!(summary.get("task_wait_p50_s"), None, "no task, no wait");
}

#[test]
fn ex_evt_3_a_service_that_finds_no_room_says_so_and_is_under_capacity() {
    let text = "
name: full
duration: 1h
delays: { preset: constant }
autoScalingGroups:
  - { AutoScalingGroupName: web, MinSize: 1, MaxSize: 1, InstanceType: m5.large, AvailabilityZones: [us-east-1a] }
taskDefinitions:
  - { family: big, cpu: \"4096\", memory: \"1024\", containerDefinitions: [{ name: app, image: i }] }
services:
  - { serviceName: big, taskDefinition: big, desiredCount: 1, launchType: EC2 }
";
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("full");
    let summary = record(&estate_of(text), &folder);
    assert_eq!(summary.get("service/default/big:under_capacity_s"), Some(3600.0));
    assert_eq!(summary.get("service/default/big:below_desired_s"), Some(3600.0));
    assert_eq!(summary.get("service/default/big:over_capacity_s"), Some(0.0));
    let events = log(&folder, "events.jsonl");
    let failures: Vec<_> =
        events.iter().filter(|event| event["detail"]["eventName"] == "SERVICE_TASK_PLACEMENT_FAILURE").collect();
    assert!(failures.iter().all(|event| event["detail-type"] == "ECS Service Action"));
    assert!(failures.iter().all(|event| event["detail"]["eventType"] == "ERROR"));
    assert!(failures.iter().any(|event| event["detail"]["reason"] == "RESOURCE:CPU"), "{failures:?}");
    let series = table(&folder, "series.csv");
    let demanded = series.iter().rfind(|row| row["metric"] == "demanded_cpu_vcpu").unwrap();
    assert_eq!(demanded["value"], "4", "what waits is demanded");
}
