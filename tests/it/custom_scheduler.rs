//! Custom schedulers: in the process and as a program, well-behaved and not.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use ecsim::control_plane::{RunOptions, RunOutcome, run};
use ecsim::placement::scheduler::{
    CustomScheduler, InstanceView, Scheduler, SchedulerFailure, SchedulingDecision, SchedulingRequest,
};
use ecsim::scenario::{LoadOptions, load_str};

use crate::lab::Log;

/// What a scheduler was asked, in order.
type Asked = Arc<Mutex<Vec<SchedulingRequest>>>;

/// A scheduler that answers by a function of the request.
struct Answers<F>(F, Asked);

impl<F: FnMut(&SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> + Send> Scheduler
    for Answers<F>
{
    fn schedule(&mut self, request: &SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> {
        self.1.lock().unwrap().push(request.clone());
        (self.0)(request)
    }
}

/// Two m5.large, each with room for eight jobs of 256 units, and what `more` adds; all instances are there after 90 s.
fn estate(more: &str) -> String {
    format!(
        "
name: custom
duration: 30m
delays: {{preset: constant}}
autoScalingGroups: [{{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 2, MaxSize: 2}}]
taskDefinitions:
  - {{family: job, networkMode: bridge, containerDefinitions: [{{name: app, image: a, cpu: 256, memory: 128}}], behaviour: {{runsFor: 5m}}}}
  - {{family: web, networkMode: bridge, containerDefinitions: [{{name: app, image: a, cpu: 1024, memory: 128}}]}}
{more}"
    )
}

/// A paranoid run in which `answer` places all tasks.
fn run_with<F>(text: &str, answer: F) -> (Log, RunOutcome, Vec<SchedulingRequest>)
where
    F: Fn(&SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> + Clone + Send + Sync + 'static,
{
    let mut scenario = match load_str("custom.yaml", text, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}", diagnostics.render(false)),
    };
    let asked = Asked::default();
    let shared = Arc::clone(&asked);
    scenario.estate.scheduler = Some(CustomScheduler {
        name: "test".into(),
        clusters: Vec::new(),
        factory: Arc::new(move |_| Box::new(Answers(answer.clone(), Arc::clone(&shared)))),
    });
    let mut log = Log::default();
    let outcome = run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut log, |_| {});
    let asked = asked.lock().unwrap().clone();
    (log, outcome, asked)
}

fn start(task: &str, instance: &str) -> SchedulingDecision {
    SchedulingDecision::StartTask { task: task.into(), container_instance: instance.into() }
}

/// Every pending task on the first instance that was told of, full or not.
#[expect(clippy::unnecessary_wraps, reason = "it is an answer like the others")]
fn all_on_the_first(request: &SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure> {
    let first = request.container_instances.iter().map(|instance| &instance.container_instance).min();
    Ok(first.map_or_else(Vec::new, |first| request.pending.iter().map(|task| start(&task.task, first)).collect()))
}

const TEN_JOBS: &str = "actions: [{at: 2m, call: 'ecs:RunTask', with: {taskDefinition: job, count: 10}}]\n";

#[test]
fn a_scheduler_places_what_ecs_would_have_spread() {
    let (log, outcome, asked) = run_with(&estate(TEN_JOBS), all_on_the_first);
    // Eight of ten fit; ECS would refuse the others, and so they wait for the first to end.
    let first: Vec<u32> = log.hosts();
    assert_eq!(first, [0; 10], "spread by zone would have used both hosts");
    assert_eq!(log.times("family:job", "RUNNING").iter().filter(|time| **time < 300.0).count(), 8);
    assert_eq!(log.times("family:job", "STOPPED").len(), 10);
    assert!(asked[0].full && asked[0].container_instances.len() == 2 && asked[0].pending.len() == 10);
    assert!(!asked[1].full);
    assert_eq!(asked[1].pending.len(), 2, "what has no place is asked about again");
    let changed = &asked[1].container_instances;
    assert_eq!(changed.len(), 1, "only the one that has changed: {changed:?}");
    assert_eq!((changed[0].tasks.len(), changed[0].remaining_resources.cpu), (0, 2048), "all eight have ended");
    assert_eq!(outcome.scheduler_failures, 2);
    let reasons = log.reasons("custom-scheduler", "reject");
    assert!(reasons.iter().all(|(time, reason)| *time == 120.0 && reason.ends_with("RESOURCE:CPU")), "{reasons:?}");
}

#[test]
fn illegal_decisions_are_told_and_survived() {
    let answer = |request: &SchedulingRequest| {
        let task = &request.pending[0].task;
        let instance = &request.container_instances[0].container_instance;
        Ok(vec![
            start("feed", instance),
            start("not a number", instance),
            start(task, "i-00000000000000000"),
            SchedulingDecision::StopTask { task: "feed".into(), reason: None },
            start(task, instance),
            start(task, instance),
            SchedulingDecision::Refuse { task: task.clone(), reason: "too late".into() },
        ])
    };
    let one = "actions: [{at: 2m, call: 'ecs:RunTask', with: {taskDefinition: job}}]\n";
    let (log, outcome, _) = run_with(&estate(one), answer);
    assert_eq!(outcome.scheduler_failures, 6);
    assert_eq!(outcome.first_scheduler_failure.as_deref(), Some("task feed is not pending"));
    assert_eq!(log.times("family:job", "RUNNING").len(), 1);
    let reasons: Vec<&str> = log.reasons("custom-scheduler", "reject").into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons[2].starts_with("i-00000000000000000 is no container instance"), "{reasons:?}");
}

#[test]
fn a_refused_job_has_failed_and_a_refused_service_tries_again_later() {
    let refuse = |request: &SchedulingRequest| {
        let refuse = |task: &ecsim::placement::scheduler::PendingTask| SchedulingDecision::Refuse {
            task: task.task.clone(),
            reason: "no licence".into(),
        };
        Ok(request.pending.iter().map(refuse).collect())
    };
    let more =
        "services: [{serviceName: web, taskDefinition: web, desiredCount: 1, launchType: EC2}]\n".to_owned() + TEN_JOBS;
    let (log, outcome, asked) = run_with(&estate(&more), refuse);
    assert_eq!(log.failures, [(120.0, 1); 10]);
    assert!(
        log.stops.values().any(|stop| *stop == ("TaskFailedToStart".into(), "TaskFailedToStart: no licence".into()))
    );
    assert!(log.messages.iter().any(|(_, text)| text.contains("was unable to place a task. Reason: no licence.")));
    // SVC-12: the clock doubles, so half an hour has few attempts, and none at the same instant as the one before.
    assert!((5..30).contains(&asked.len()), "{}", asked.len());
    assert!(asked.windows(2).all(|pair| pair[0].time_s < pair[1].time_s));
    assert_eq!(outcome.scheduler_failures, 0);
}

#[test]
fn tasks_may_be_stopped_to_make_room() {
    // Jobs go wherever there is room. For a web task four of them are stopped, as soon as there are some to stop.
    let known: Arc<Mutex<BTreeMap<String, InstanceView>>> = Arc::default();
    let answer = move |request: &SchedulingRequest| {
        let mut known = known.lock().unwrap();
        let told = request.container_instances.iter();
        known.extend(told.map(|instance| (instance.container_instance.clone(), instance.clone())));
        let mut decisions = Vec::new();
        let mut left: Vec<u64> = known.values().map(|instance| instance.remaining_resources.cpu).collect();
        for task in &request.pending {
            if let Some(place) = left.iter().position(|cpu| *cpu >= task.requires.cpu) {
                left[place] -= task.requires.cpu;
                decisions.extend(known.keys().nth(place).map(|instance| start(&task.task, instance)));
            } else if task.group == "service:web" {
                let tasks = known.values().next().map_or(&[][..], |instance| &instance.tasks);
                let jobs = tasks.iter().filter(|task| task.group == "family:job").take(4);
                decisions.extend(jobs.map(|job| SchedulingDecision::StopTask {
                    task: job.task.clone(),
                    reason: Some("preempted".into()),
                }));
            }
        }
        Ok(decisions)
    };
    let more = "services: [{serviceName: web, taskDefinition: web, desiredCount: 0, launchType: EC2}]
actions:
  - {at: 120s, call: 'ecs:RunTask', with: {taskDefinition: job, count: 8}}
  - {at: 121s, call: 'ecs:RunTask', with: {taskDefinition: job, count: 8}}
  - {at: 150s, call: 'ecs:UpdateService', with: {service: web, desiredCount: 1}}
";
    let (log, outcome, _) = run_with(&estate(more), answer);
    assert_eq!(outcome.scheduler_failures, 0);
    assert_eq!(log.placed.values().filter(|host| **host == 0).count(), 9, "eight jobs, and the web task later");
    let preempted = |stop: &&(String, String)| **stop == ("UserInitiated".into(), "preempted".into());
    assert_eq!(log.stops.values().filter(preempted).count(), 4);
    let web = log.times("service:web", "RUNNING");
    assert!(web.len() == 1 && (150.0..300.0).contains(&web[0]), "before any job ends by itself: {web:?}");
}

#[test]
fn a_scheduler_without_an_answer_is_asked_again_with_everything() {
    let failures = Arc::new(Mutex::new(0));
    let answer = move |request: &SchedulingRequest| {
        let mut failures = failures.lock().unwrap();
        *failures += 1;
        if *failures < 3 { Err(SchedulerFailure::TimedOut(10)) } else { all_on_the_first(request) }
    };
    let one = "actions: [{at: 2m, call: 'ecs:RunTask', with: {taskDefinition: job}}]\n";
    let (log, outcome, asked) = run_with(&estate(one), answer);
    let times: Vec<f64> = asked.iter().map(|request| request.time_s).collect();
    assert_eq!(times, [120.0, 130.0, 140.0], "ten seconds after each failure");
    assert!(asked.iter().all(|request| request.full && request.container_instances.len() == 2));
    assert_eq!(outcome.scheduler_failures, 2);
    assert_eq!(
        log.reasons("custom-scheduler", "fail"),
        [(120.0, "no answer within 10 s"), (130.0, "no answer within 10 s")]
    );
    assert_eq!(log.times("family:job", "PENDING"), [140.0]);
}

#[test]
fn hosts_come_for_tasks_that_wait_for_a_scheduler_and_only_its_clusters_are_taken_over() {
    let text = "
name: scaled
duration: 30m
delays: {preset: constant}
autoScalingGroups: [{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 0, MaxSize: 4}]
capacityProviders: [{name: cp, autoScalingGroupProvider: {autoScalingGroupArn: g, managedScaling: {status: ENABLED}}}]
clusters: [{clusterName: default, capacityProviders: [cp], defaultCapacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}]
taskDefinitions: [{family: job, networkMode: bridge, containerDefinitions: [{name: app, image: a, cpu: 1024, memory: 128}], behaviour: {runsFor: 5m}}]
actions: [{at: 1m, call: 'ecs:RunTask', with: {taskDefinition: job, count: 3}}]
";
    let (log, outcome, asked) = run_with(text, |request| {
        let mut left: Vec<(&str, u64)> = Vec::new();
        let instances = request.container_instances.iter();
        left.extend(instances.map(|one| (one.container_instance.as_str(), one.remaining_resources.cpu)));
        let mut decisions = Vec::new();
        for task in &request.pending {
            assert_eq!(task.capacity_provider.as_deref(), Some("cp"));
            if let Some(room) = left.iter_mut().find(|(_, cpu)| *cpu >= task.requires.cpu) {
                room.1 -= task.requires.cpu;
                decisions.push(start(&task.task, room.0));
            }
        }
        Ok(decisions)
    });
    assert_eq!(log.times("family:job", "STOPPED").len(), 3);
    assert!(asked[0].container_instances.is_empty() && outcome.scheduler_failures == 0);
    assert!(log.level("asg/g", "GroupDesiredCapacity").iter().any(|(_, desired)| *desired == 2.0));
}

/// The example that ships, or `None` on a machine without Python.
fn python() -> Option<&'static str> {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("no python3: the example scheduler is not tried");
    }
    there.then_some("python3")
}

#[test]
fn the_example_program_runs_and_gives_the_same_bytes_twice() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/custom-scheduler/scenario.yaml");
    let run = |name: &str, threads: &str| {
        let out = folder.path().join(name);
        let set = "--set=scheduler={command: [python3, best_fit.py]}";
        let output = Command::new(assert_cmd::cargo::cargo_bin("ecsim"))
            .args(["run", "--quiet", "--until", "1h", "--replications", "2", "--threads", threads, set, "--out"])
            .args([&out, &scenario])
            .output()
            .unwrap();
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !talk.contains("no usable answer"), "{talk}");
        ["summary.json", "decisions.jsonl", "tasks.csv"].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    let [summary, decisions, tasks] = run("one", "1");
    assert_eq!([&summary, &decisions, &tasks], run("two", "2").each_ref(), "one thread and two");
    let decisions = String::from_utf8(decisions).unwrap();
    assert!(decisions.matches(r#""actor":"custom-scheduler""#).count() > 50);
    assert!(!decisions.contains(r#""actor":"placement""#), "ECS places nothing itself");
}

#[test]
fn mistakes_in_the_section_are_shown_at_their_place() {
    let text = estate("scheduler: {command: [], timeout: 0s, clusters: [defalt]}\n");
    let Err(diagnostics) = load_str("custom.yaml", &text, &LoadOptions::default()) else { panic!("it is refused") };
    let shown = diagnostics.render(false);
    for part in
        ["a scheduler needs a command", "no program answers in no time", "there is no cluster `defalt`", "default"]
    {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}
