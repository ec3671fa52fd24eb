//! Whole runs on an engine that is made up, by a clock that nobody waits for.

use std::cell::RefCell;
use std::future::{pending, ready};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::mock::{MockEngine, Script};
use super::*;
use crate::control_plane::record::{Observer, Record, Resource, Wants};
use crate::control_plane::state::State;
use crate::control_plane::{RunOptions, Session};
use crate::ecs::task::TaskStatus;
use crate::engine::time::SimTime;
use crate::scenario::{LoadOptions, load_str};

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
struct Stopped {
    at: f64,
    definition: String,
    code: &'static str,
    reason: String,
    exit_codes: Vec<Option<i32>>,
}

/// Writes down the ends of tasks, and when they were RUNNING and healthy.
#[derive(Clone, Default)]
struct Diary {
    stopped: Rc<RefCell<Vec<Stopped>>>,
    running: Rc<RefCell<Vec<f64>>>,
    cpu: Rc<RefCell<Vec<f64>>>,
}

impl Observer for Diary {
    fn wants(&self) -> Wants {
        Wants { series: true, events: true, ..Wants::default() }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        match record {
            Record::Task { task, from, .. } if *from != Some(task.last_status) => match task.last_status {
                TaskStatus::Running => self.running.borrow_mut().push(now.as_secs_f64()),
                TaskStatus::Stopped => {
                    let stop = task.stop.as_ref().expect("a stopped task was told to");
                    self.stopped.borrow_mut().push(Stopped {
                        at: now.as_secs_f64(),
                        definition: state.definitions[task.definition.index()].definition.family.clone(),
                        code: stop.code.as_str(),
                        reason: stop.reason.to_string(),
                        exit_codes: task.containers.iter().map(|container| container.exit_code).collect(),
                    });
                }
                _ => {}
            },
            Record::Datapoint { metric: "CPUUtilization", resource: Resource::Service(_), value, .. } => {
                self.cpu.borrow_mut().push(*value);
            }
            _ => {}
        }
    }

    fn finish(&mut self, _: SimTime, _: &State) {}
}

/// One host that is there after a minute or so, and the sections that `more` adds.
fn estate(duration: &str, more: &str) -> crate::control_plane::estate::Estate {
    let text = format!(
        "name: real\nduration: {duration}\ndelays: {{preset: constant}}\n\
         autoScalingGroups: [{{AutoScalingGroupName: hosts, InstanceType: m5.large, MinSize: 1, MaxSize: 1}}]\n{more}"
    );
    load_str("real.yaml", &text, &LoadOptions::default()).unwrap_or_else(|wrong| panic!("{wrong:?}")).estate
}

/// A task definition of one container, and a RunTask of it after two minutes.
fn one_task(image: &str, more: &str) -> String {
    format!(
        "taskDefinitions:\n  - {{family: t, containerDefinitions: [{{name: app, image: {image}, cpu: 256, memory: 64{more}}}]}}\n\
         actions:\n  - {{at: 2m, call: ecs:RunTask, with: {{taskDefinition: t, count: 1}}}}\n"
    )
}

struct Ran {
    driven: Driven,
    diary: Diary,
    end: SimTime,
}

impl Ran {
    fn stopped(&self) -> Vec<Stopped> {
        self.diary.stopped.borrow().clone()
    }

    /// The only end of a task.
    fn only(&self) -> Stopped {
        let stopped = self.stopped();
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        stopped[0].clone()
    }
}

fn run(estate: &crate::control_plane::estate::Estate, engine: &MockEngine, pace: f64) -> Ran {
    run_beside(estate, engine, pace, (50, None), pending(), pending())
}

/// Runs a scenario while something else happens to the engine.
fn run_beside(
    estate: &crate::control_plane::estate::Estate,
    engine: &MockEngine,
    pace: f64,
    (max_containers, logs): (usize, Option<PathBuf>),
    beside: impl Future<Output = ()>,
    interrupted: impl Future<Output = ()>,
) -> Ran {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let diary = Diary::default();
    let mut observer = diary.clone();
    let options = DriveOptions {
        pacer: Pacer::new(pace).unwrap(),
        max_containers,
        engine_patience: Duration::from_secs(5),
        logs,
    };
    let run_options = RunOptions { replication: 0, paranoid: true };
    let mut session = Session::with_real_containers(estate, run_options, &mut observer, pace);
    let labels = RunLabels::new("test");
    let driven = runtime.block_on(async {
        let wake = Arc::new(Notify::new());
        let mut nobody = ();
        let driving =
            drive(Arc::new(engine.clone()), &labels, &mut session, &options, &mut nobody, wake, interrupted, |_| {});
        let mut driving = std::pin::pin!(driving);
        let mut beside = std::pin::pin!(async {
            beside.await;
            pending::<()>().await;
        });
        tokio::select! {
            driven = &mut driving => driven,
            () = &mut beside => unreachable!("it never ends"),
        }
    });
    let end = session.now();
    session.finish();
    if driven.ending != Ending::EngineLost {
        assert_eq!(engine.everything(), Vec::<String>::new(), "everything is removed");
    }
    Ran { driven, diary, end }
}

fn ends(secs: f64, code: i32) -> Script {
    Script { ends: Some((Duration::from_secs_f64(secs), code)), ..Script::default() }
}

#[test]
fn a_container_lasts_as_long_as_it_does_whatever_the_pace() {
    for pace in [1.0, 10.0] {
        let engine = MockEngine::new([("job", ends(2.0, 3))]);
        let ran = run(&estate("5m", &one_task("job", "")), &engine, pace);
        let stopped = ran.only();
        assert_eq!(
            (stopped.code, &*stopped.reason),
            ("EssentialContainerExited", "Essential container in task exited")
        );
        assert_eq!(stopped.exit_codes, [Some(3)]);
        // Two minutes, 100 ms to create it, two seconds of its own, half a second until ECS knows.
        let expected = 120.0 + 2.1 * pace + 0.5;
        assert!((stopped.at - expected).abs() < 0.01 * pace, "{} against {expected}", stopped.at);
        assert_eq!(ran.driven.ending, Ending::Complete);
        assert_eq!(engine.journal(), ["create 0-app", "start 0-app", "remove 0-app"]);
        let spans: Vec<SpanKind> = ran.driven.measurements.spans.iter().map(|span| span.what).collect();
        assert_eq!(spans, [SpanKind::Pull, SpanKind::Start, SpanKind::Run]);
    }
}

#[test]
fn td_9_a_container_killed_over_its_memory_says_so() {
    let greedy = Script { out_of_memory: true, ..ends(1.0, 137) };
    let ran = run(&estate("5m", &one_task("greedy", "")), &MockEngine::new([("greedy", greedy)]), 10.0);
    let stopped = ran.only();
    assert_eq!(stopped.reason, "OutOfMemoryError: Container killed due to memory usage");
    assert_eq!(stopped.exit_codes, [Some(137)]);
    // The engine may say so only after its end.
    let late = Script { out_of_memory: true, tells_late: true, ..ends(1.0, 137) };
    let ran = run(&estate("5m", &one_task("late", "")), &MockEngine::new([("late", late)]), 10.0);
    assert_eq!(ran.only().reason, "OutOfMemoryError: Container killed due to memory usage");
    // A child that the kernel has killed is not the container.
    let child = Script { out_of_memory: true, ..ends(1.0, 1) };
    let ran = run(&estate("5m", &one_task("child", "")), &MockEngine::new([("child", child)]), 10.0);
    assert_eq!(ran.only().reason, "Essential container in task exited");
}

#[test]
fn what_the_engine_refuses_is_the_reason_of_the_task() {
    let refused = |words: &str| Some(words.to_owned());
    let engine = MockEngine::new([
        ("no-name", Script { create_refused: refused("Conflict"), ..Script::default() }),
        ("no-port", Script { start_refused: refused("port is already allocated"), ..Script::default() }),
    ]);
    for (image, reason) in [
        ("absent", "CannotPullContainerError: Error response from daemon: pull access denied for absent"),
        ("no-name", "CannotCreateContainerError: Error response from daemon: Conflict"),
        ("no-port", "CannotStartContainerError: Error response from daemon: port is already allocated"),
    ] {
        let ran = run(&estate("4m", &one_task(image, "")), &engine, 10.0);
        let stopped = ran.only();
        assert_eq!((stopped.code, &*stopped.reason), ("TaskFailedToStart", reason));
        assert_eq!(stopped.exit_codes, [None]);
        assert!(ran.diary.running.borrow().is_empty());
    }
}

#[test]
fn td_15_who_does_not_heed_the_stop_signal_is_killed() {
    let more = |image: &str| {
        format!(
            "taskDefinitions:\n  - {{family: t, containerDefinitions: [{{name: app, image: {image}, cpu: 256, memory: 64, stopTimeout: 5}}]}}\n\
             services: [{{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}}]\n\
             actions:\n  - {{at: 3m, call: ecs:UpdateService, with: {{service: s, desiredCount: 0}}}}\n"
        )
    };
    let deaf = Script { heeds: None, ..Script::default() };
    let engine = MockEngine::new([("polite", Script::default()), ("deaf", deaf)]);
    let polite = run(&estate("5m", &more("polite")), &engine, 1.0).only();
    assert_eq!((polite.code, &*polite.exit_codes), ("ServiceSchedulerInitiated", &[Some(143)][..]));
    assert!((polite.at - 180.6).abs() < 0.1, "{polite:?}");
    let deaf = run(&estate("5m", &more("deaf")), &engine, 1.0).only();
    assert_eq!(deaf.exit_codes, [Some(137)]);
    assert!((deaf.at - 185.5).abs() < 0.1, "{deaf:?}");
}

#[test]
fn td_11_containers_start_in_the_order_of_their_dependencies() {
    let more = "
taskDefinitions:
  - family: t
    containerDefinitions:
      - {name: app, image: app, cpu: 64, memory: 16,
         dependsOn: [{containerName: init, condition: SUCCESS}, {containerName: db, condition: HEALTHY}]}
      - {name: init, image: init, cpu: 64, memory: 16, essential: false}
      - name: db
        image: db
        cpu: 64
        memory: 16
        healthCheck: {command: [CMD, check], interval: 5}
        dependsOn: [{containerName: init, condition: COMPLETE}]
actions:
  - {at: 2m, call: ecs:RunTask, with: {taskDefinition: t, count: 1}}
";
    let healthy = Script { health: vec![(Duration::from_secs(5), true)], ..Script::default() };
    let scripts = |code| [("app", ends(4.0, 0)), ("init", ends(2.0, code)), ("db", healthy.clone())];
    let engine = MockEngine::new(scripts(0));
    let ran = run(&estate("4m", more), &engine, 1.0);
    let starts: Vec<String> = engine.journal().into_iter().filter(|call| call.starts_with("start")).collect();
    assert_eq!(starts, ["start 0-init", "start 0-db", "start 0-app"]);
    assert!((ran.diary.running.borrow()[0] - 127.3).abs() < 0.1, "{:?}", ran.diary.running.borrow());
    // The end of the essential container ends the others.
    assert_eq!(ran.only().exit_codes, [Some(0), Some(0), Some(143)]);
    let failed = run(&estate("4m", more), &MockEngine::new(scripts(1)), 1.0).only();
    assert_eq!((failed.code, &*failed.reason), ("TaskFailedToStart", "Task failed to start"));
    assert_eq!(failed.exit_codes[1], Some(1));
}

#[test]
fn td_16_a_container_is_started_after_those_it_is_linked_to() {
    let more = "
taskDefinitions:
  - family: t
    containerDefinitions:
      - {name: web, image: app, cpu: 64, memory: 16, links: ['db:database']}
      - {name: db, image: app, cpu: 64, memory: 16, mountPoints: [{sourceVolume: data, containerPath: /data}]}
    volumes: [{name: data}]
actions:
  - {at: 2m, call: ecs:RunTask, with: {taskDefinition: t, count: 1}}
";
    let engine = MockEngine::new([("app", Script::default())]);
    run(&estate("3m", more), &engine, 1.0);
    let journal = engine.journal();
    let (starts, removals) = journal.split_at(journal.iter().position(|call| call.starts_with("remove")).unwrap());
    assert_eq!(starts, ["volume 0-volume-data", "create 0-db", "start 0-db", "create 0-web", "start 0-web"]);
    assert_eq!(removals, ["remove 0-db", "remove 0-web", "remove 0-volume-data"]);
}

#[test]
fn td_20_a_restart_in_place_is_the_same_container() {
    let policy = ", restartPolicy: {enabled: true, restartAttemptPeriod: 60}";
    let engine = MockEngine::new([("job", ends(65.0, 1))]);
    let ran = run(&estate("5m", &one_task("job", policy)), &engine, 1.0);
    assert!(ran.stopped().is_empty());
    assert_eq!(
        engine.journal(),
        ["create 0-app", "start 0-app", "start 0-app", "start 0-app", "remove 0-app"],
        "after 65 and 130 seconds"
    );
}

#[test]
fn svc_8_a_container_that_fails_its_health_check_is_replaced() {
    let more = "
taskDefinitions:
  - family: t
    containerDefinitions:
      - {name: app, image: sick, cpu: 64, memory: 16, healthCheck: {command: [CMD, check], interval: 5, retries: 2}}
services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]
";
    let sick = Script { health: vec![(Duration::from_secs(10), false)], ..Script::default() };
    let ran = run(&estate("3m", more), &MockEngine::new([("sick", sick)]), 1.0);
    let stopped = ran.stopped();
    assert!(stopped.len() >= 2, "{stopped:?}");
    assert!(stopped.iter().all(|task| task.reason == "Task failed container health checks"), "{stopped:?}");
}

#[test]
fn ecsm_4_measured_use_becomes_the_metrics_of_the_service() {
    let more = "
taskDefinitions:
  - {family: t, containerDefinitions: [{name: app, image: busy, cpu: 1024, memory: 100}]}
services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]
";
    let busy = Script { uses: (0.6, 32 << 20), ..Script::default() };
    let ran = run(&estate("8m", more), &MockEngine::new([("busy", busy)]), 4.0);
    let cpu = ran.diary.cpu.borrow();
    assert!((cpu.last().unwrap() - 60.0).abs() < 1.0, "{cpu:?}");
    let usage = &ran.driven.measurements.usage;
    assert!(usage.len() > 10);
    // The first may be soon after the start, whose instant is known less well.
    let later = &usage[1..];
    assert!(later.iter().all(|reading| (reading.usage.vcpus - 0.6).abs() < 0.01 && reading.usage.memory_mib == 32.0));
}

#[test]
fn awsvpc_tasks_have_a_network_each() {
    let more = "
taskDefinitions:
  - family: t
    networkMode: awsvpc
    containerDefinitions:
      - {name: app, image: app, cpu: 64, memory: 16, portMappings: [{containerPort: 80}]}
      - {name: side, image: app, cpu: 64, memory: 16}
actions:
  - {at: 2m, call: ecs:RunTask, with: {taskDefinition: t, count: 1,
     networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-1]}}}}
";
    let engine = MockEngine::new([("app", Script::default())]);
    run(&estate("4m", more), &engine, 10.0);
    let journal = engine.journal();
    assert_eq!(journal[0], "network 0", "{journal:?}");
    assert_eq!(journal.iter().filter(|call| call.starts_with("network")).count(), 1);
    assert_eq!(journal.last().unwrap(), "remove 0");
}

#[test]
fn somebody_elses_kill_ends_the_task() {
    let engine = MockEngine::new([("app", Script::default())]);
    let kill = async {
        sleep(Duration::from_secs(140)).await;
        engine.kill("app");
    };
    let ran = run_beside(&estate("4m", &one_task("app", "")), &engine, 1.0, (50, None), kill, pending());
    let stopped = ran.only();
    assert_eq!((&*stopped.reason, &*stopped.exit_codes), ("Essential container in task exited", &[Some(137)][..]));
    // Half a second until ECS knows, and a moment in which the kernel might own up to it.
    assert!((stopped.at - 140.8).abs() < 0.1, "{stopped:?}");
}

#[test]
fn an_engine_that_comes_back_has_ended_its_containers() {
    let engine = MockEngine::new([("app", Script::default())]);
    let restart = async {
        sleep(Duration::from_secs(140)).await;
        engine.vanish();
        sleep(Duration::from_secs(3)).await;
        engine.come_back();
    };
    let more = "
taskDefinitions:
  - {family: t, containerDefinitions: [{name: app, image: app, cpu: 64, memory: 16}]}
services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]
";
    let ran = run_beside(&estate("4m", more), &engine, 1.0, (50, None), restart, pending());
    assert_eq!(ran.driven.ending, Ending::Complete);
    let stopped = ran.only();
    assert_eq!(stopped.exit_codes, [Some(137)]);
    assert!((143.0..146.0).contains(&stopped.at), "{stopped:?}");
    assert_eq!(ran.diary.running.borrow().len(), 2, "the service has replaced it");
}

#[test]
fn an_engine_that_does_not_come_back_ends_the_run_and_its_tasks() {
    let engine = MockEngine::new([("app", Script::default())]);
    let vanish = async {
        sleep(Duration::from_secs(140)).await;
        engine.vanish();
    };
    let ran = run_beside(&estate("10m", &one_task("app", "")), &engine, 1.0, (50, None), vanish, pending());
    assert_eq!(ran.driven.ending, Ending::EngineLost);
    let stopped = ran.only();
    assert_eq!(stopped.code, "EssentialContainerExited");
    assert_eq!(stopped.reason, "CannotInspectContainerError: connection refused");
    assert!((145.0..147.0).contains(&ran.end.as_secs_f64()), "five seconds of patience: {}", ran.end);
}

#[test]
fn a_run_that_is_broken_off_leaves_nothing_behind() {
    let engine = MockEngine::new([("app", Script::default())]);
    let interrupted = async {
        sleep(Duration::from_secs(130)).await;
        // The task runs.
        assert_eq!(engine.everything().len(), 1);
    };
    let ran = run_beside(&estate("10m", &one_task("app", "")), &engine, 1.0, (50, None), ready(()), interrupted);
    assert_eq!(ran.driven.ending, Ending::Interrupted);
    assert!((ran.end.as_secs_f64() - 130.0).abs() < 0.1);
}

#[test]
fn there_are_never_more_containers_than_allowed() {
    let engine = MockEngine::new([("app", Script::default())]);
    let more = one_task("app", "").replace("count: 1", "count: 3");
    let ran = run_beside(&estate("4m", &more), &engine, 10.0, (2, None), pending(), pending());
    let stopped = ran.only();
    assert_eq!(stopped.reason, "CannotCreateContainerError: there are 2 containers, the most allowed");
    assert_eq!(ran.diary.running.borrow().len(), 2);
}

#[test]
fn what_containers_write_is_kept_and_a_disk_that_is_full_ends_no_run() {
    let engine = MockEngine::new([("app", Script::default())]);
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let estate = estate("4m", &one_task("app", ""));
    run_beside(&estate, &engine, 10.0, (50, Some(logs.clone())), pending(), pending());
    let task = std::fs::read_dir(&logs).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(task.join("app.log")).unwrap(), "0-app speaks\n");
    // Nothing can be written below a file.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = run_beside(&estate, &engine, 10.0, (50, Some(file)), pending(), pending());
    assert_eq!(ran.driven.ending, Ending::Complete);
    assert_eq!(ran.driven.warnings.len(), 1, "{:?}", ran.driven.warnings);
    assert!(ran.driven.warnings[0].starts_with("a container's log cannot be written"));
}

#[test]
fn the_guard_says_everything_that_is_wrong_at_once() {
    let more = "
taskDefinitions:
  - family: t
    containerDefinitions:
      - {name: bare, cpu: 64, memory: 4096}
      - {name: strong, image: app, cpu: 64, memory: 16, privileged: true, essential: false}
      - {name: nosy, image: app, cpu: 64, memory: 16, mountPoints: [{sourceVolume: etc, containerPath: /etc}]}
      - {name: linked, image: app, cpu: 64, memory: 16, links: [nobody]}
    volumes: [{name: etc, host: {sourcePath: /etc}}]
services: [{serviceName: s, taskDefinition: t, desiredCount: 1, launchType: EC2}]
";
    let estate = estate("10m", more);
    let machine = Machine { version: String::new(), cpus: 2, memory: 2 << 30 };
    let most = peak(&estate);
    assert_eq!(most, Peak { containers: 4, memory_mib: 4144 });
    let limits = Limits { max_containers: 3, host_mounts: false };
    let refused = refusals(&estate, &machine, most, limits);
    let expected = [
        "container `bare` of `t` has no image: give it `image`, or `realImage` in its behaviour",
        "container `linked` of `t` links to `nobody`, which is not of its task",
        "container `nosy` of `t` mounts `/etc` of this machine, which needs --allow-host-mounts",
        "container `strong` of `t` is privileged, which real containers never are",
        "the scenario has up to 4 containers at once, and --max-containers allows 3",
        "the scenario's containers may use up to 4144 MiB at once, and 90 % of the machine's memory are 1843 MiB",
    ];
    assert_eq!(refused, expected);
    let machine = Machine { memory: 16 << 30, ..machine };
    let limits = Limits { max_containers: 4, host_mounts: true };
    assert_eq!(
        refusals(&estate, &machine, most, limits),
        expected[..2].iter().chain(&expected[3..4]).copied().collect::<Vec<_>>()
    );
}

#[test]
fn pruning_takes_what_it_should_and_no_more() {
    let engine = MockEngine::new([("app", Script::default())]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mine: Labels =
            [("ecsim.run", "a"), ("ecsim.process", "4194999:5")].map(|(k, v)| (k.into(), v.into())).into();
        let unknown: Labels = [("ecsim.run", "b")].map(|(k, v): (&str, &str)| (k.into(), v.into())).into();
        let foreign: Labels = [("other", "c")].map(|(k, v): (&str, &str)| (k.into(), v.into())).into();
        for (name, labels) in [("dead", &mine), ("unknown", &unknown), ("foreign", &foreign)] {
            engine.create_network(name, labels).await.unwrap();
            engine.create_volume(name, labels).await.unwrap();
        }
        let removed = prune(&engine, Which::Dead).await.unwrap();
        assert_eq!(removed.iter().map(|found| &*found.name).collect::<Vec<_>>(), ["dead", "dead"]);
        assert_eq!(prune(&engine, Which::Run("b")).await.unwrap().len(), 2);
        assert_eq!(prune(&engine, Which::All).await.unwrap().len(), 0);
        assert_eq!(engine.everything(), ["foreign", "foreign"]);
    });
}
