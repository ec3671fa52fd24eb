//! What holds whatever happens: limits of deployments, resources of hosts, ends of tasks, over random services.

use std::collections::{BTreeMap, BTreeSet};

use ecsim::control_plane::record::{Observer, Record, Wants};
use ecsim::control_plane::state::State;
use ecsim::control_plane::{RunOptions, RunOutcome, run};
use ecsim::ecs::container_instance::ContainerInstanceStatus;
use ecsim::ecs::deployment::{Deployment, RolloutState};
use ecsim::ecs::ids::InstanceId;
use ecsim::ecs::service::{SchedulingStrategy, Service};
use ecsim::ecs::task::{StopCode, Task, TaskStatus};
use ecsim::engine::time::{SimDuration, SimTime};
use ecsim::scenario::{LoadOptions, load_str};
use ecsim::workload::fluid::StepOutcome;
use proptest::prelude::*;

/// One service at random, and what happens to it.
#[derive(Clone, Debug)]
struct Case {
    desired: u32,
    lower: u32,
    upper: u32,
    hosts: u32,
    cpu: u32,
    static_port: bool,
    awsvpc: bool,
    balanced: bool,
    checked: bool,
    behaviour: &'static str,
    breaker: bool,
    mode: Mode,
    acts: Vec<(u32, Act)>,
}

/// Who deploys, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// ECS, by this strategy.
    Ecs(&'static str),
    /// CodeDeploy, by this configuration.
    CodeDeploy(&'static str),
    /// Two task sets, of which `Redeploy` makes one or the other PRIMARY.
    External,
}

const MODES: [Mode; 9] = [
    Mode::Ecs("strategy: ROLLING"),
    Mode::Ecs("strategy: ROLLING"),
    Mode::Ecs("strategy: ROLLING"),
    Mode::Ecs("strategy: BLUE_GREEN, bakeTimeInMinutes: 3"),
    Mode::Ecs("strategy: LINEAR, linearConfiguration: {stepPercent: 30.0, stepBakeTimeInMinutes: 1}, bakeTimeInMinutes: 1"),
    Mode::Ecs(
        "strategy: CANARY, canaryConfiguration: {canaryBakeTimeInMinutes: 2}, bakeTimeInMinutes: 1, lifecycleHooks: [
         {targetType: PAUSE, lifecycleStages: [POST_SCALE_UP], timeoutConfiguration: {timeoutInMinutes: 2, action: CONTINUE}},
         {hookTargetArn: smoke, lifecycleStages: [PRODUCTION_TRAFFIC_SHIFT],
          behaviour: {answers: [IN_PROGRESS, SUCCEEDED, FAILED]}}]",
    ),
    Mode::CodeDeploy("ECSAllAtOnce"),
    Mode::CodeDeploy("ECSLinear10PercentEvery1Minutes"),
    Mode::External,
];

#[derive(Clone, Debug)]
enum Act {
    Redeploy(bool),
    SetDesired(u32),
    StopTask,
    Protect,
    Drain(u32),
    Activate(u32),
    Terminate(u32),
}

const BEHAVIOURS: [&str; 6] = [
    "",
    "startup: {uniform: {min: 1s, max: 90s}}, shutdown: {exponential: {mean: 20s}}",
    "runsFor: {exponential: {mean: 20m}}, shutdown: 10s",
    "unresponsive: [[300s, 500s]], shutdown: 25s",
    "crashes: {mtbf: {exponential: {mean: 15m}}}, startup: 20s",
    "runsFor: 3s, exitCode: 1",
];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        any::<bool>().prop_map(Act::Redeploy),
        (0_u32..9).prop_map(Act::SetDesired),
        Just(Act::StopTask),
        Just(Act::Protect),
        (0_u32..4).prop_map(Act::Drain),
        (0_u32..4).prop_map(Act::Activate),
        (0_u32..4).prop_map(Act::Terminate),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let limits =
        (prop::sample::select(vec![0_u32, 34, 50, 75, 100]), prop::sample::select(vec![100_u32, 125, 150, 200, 300]));
    let size = (1_u32..8, 1_u32..4, prop::sample::select(vec![128_u32, 512, 1024]));
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let acts = prop::collection::vec((60_u32..5000, act()), 0..8);
    let rest = (prop::sample::select(BEHAVIOURS.to_vec()), prop::sample::select(MODES.to_vec()), acts);
    (limits, size, kinds, rest).prop_map(|((lower, upper), (desired, hosts, cpu), kinds, (behaviour, mode, acts))| {
        let (static_port, awsvpc, balanced, checked, breaker) = kinds;
        // CodeDeploy moves the traffic of a balancer.
        let balanced = balanced || matches!(mode, Mode::CodeDeploy(_));
        Case {
            desired,
            lower,
            upper,
            hosts,
            cpu,
            static_port,
            awsvpc,
            balanced,
            checked,
            behaviour,
            breaker,
            mode,
            acts,
        }
    })
}

fn scenario(case: &Case) -> String {
    let port = if case.static_port && !case.awsvpc { ", hostPort: 8080" } else { "" };
    let check = if case.checked { "healthCheck: {command: [CMD, 'true'], interval: 10}, " } else { "" };
    let definition = |family: &str| {
        format!(
            "  - {{family: {family}, networkMode: {}, containerDefinitions: [{{name: app, image: {family}, cpu: {}, memory: 100, {check}\
             portMappings: [{{containerPort: 8080{port}}}]}}], behaviour: {{{}}}}}\n",
            if case.awsvpc { "awsvpc" } else { "bridge" },
            case.cpu,
            case.behaviour
        )
    };
    let network = "networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a, us-east-1b]}}, ";
    let external = case.mode == Mode::External;
    let balancer = |group: &str| {
        if !case.balanced {
            return String::new();
        }
        format!(
            "loadBalancers: [{{targetGroupArn: {group}, containerName: app, containerPort: 8080,
               advancedConfiguration: {{alternateTargetGroupArn: other}}}}], "
        )
    };
    let (strategy, controller) = match case.mode {
        Mode::Ecs(strategy) => (format!("{strategy}, "), ""),
        Mode::CodeDeploy(_) => {
            (String::new(), "deploymentController: {type: CODE_DEPLOY}, availabilityZoneRebalancing: DISABLED, ")
        }
        Mode::External => {
            (String::new(), "deploymentController: {type: EXTERNAL}, availabilityZoneRebalancing: DISABLED, ")
        }
    };
    let breaker = "deploymentCircuitBreaker: {enable: true, rollback: true}, ";
    let mut text = format!(
        "
name: random
duration: 2h
autoScalingGroups:
  - {{AutoScalingGroupName: g, InstanceType: m5.large, MinSize: 1, MaxSize: 4, DesiredCapacity: {},
     AvailabilityZones: [us-east-1a, us-east-1b]}}
targetGroups:
  - {{Name: tg, HealthCheckIntervalSeconds: 10, Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '15'}}]}}
  - {{Name: other, HealthCheckIntervalSeconds: 10, Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: '15'}},
     {{Key: slow_start.duration_seconds, Value: '30'}}]}}
workloads: [{{name: load, requests: {{service: web, rate: {RATE}, cpuPerRequest: 20ms, timeout: 5s}}}}]
taskDefinitions:
{}{}  - {{family: log, containerDefinitions: [{{name: app, image: log, cpu: 64, memory: 64}}]}}
services:
  - {{serviceName: web, {}desiredCount: {}, launchType: EC2, {}{}{controller}deploymentConfiguration: {{{}{strategy}minimumHealthyPercent: {}, maximumPercent: {}}}}}
  - {{serviceName: log, taskDefinition: log, schedulingStrategy: DAEMON}}
actions:
",
        case.hosts,
        definition("a"),
        definition("b"),
        if external { "" } else { "taskDefinition: a, " },
        case.desired,
        if case.awsvpc && !external { network } else { "" },
        if external { String::new() } else { balancer("tg") },
        if case.breaker { breaker } else { "" },
        case.lower,
        case.upper
    );
    if external {
        for (name, group, scale) in [("a", "tg", 100), ("b", "other", 35)] {
            let network = if case.awsvpc { network } else { "" };
            let balancer = balancer(group)
                .replace(", \n", "")
                .replace("advancedConfiguration: {alternateTargetGroupArn: other}", "");
            text.push_str(&format!(
                "  - {{at: 1s, call: 'ecs:CreateTaskSet', with: {{service: web, externalId: {name}, taskDefinition: {name},
                 launchType: EC2, {network}{balancer}scale: {{value: {scale}}}}}}}\n"
            ));
        }
    }
    for (at, act) in &case.acts {
        let (call, with) = match act {
            Act::Redeploy(other) if external => (
                "ecs:UpdateServicePrimaryTaskSet",
                format!("service: web, primaryTaskSet: {}", if *other { "b" } else { "a" }),
            ),
            Act::Redeploy(other) if matches!(case.mode, Mode::CodeDeploy(_)) => {
                let Mode::CodeDeploy(name) = case.mode else { continue };
                let revision = if *other { "b" } else { "a" };
                let with = format!(
                    "service: web, taskDefinition: {revision}, deploymentConfigName: CodeDeployDefault.{name}, terminationWaitTimeInMinutes: 2"
                );
                ("codedeploy:CreateDeployment", with)
            }
            Act::Redeploy(other) => (
                "ecs:UpdateService",
                format!("service: web, forceNewDeployment: true, taskDefinition: {}", if *other { "b" } else { "a" }),
            ),
            Act::SetDesired(desired) => ("ecs:UpdateService", format!("service: web, desiredCount: {desired}")),
            Act::StopTask => ("ecs:StopTask", "task: 'service:web'".to_owned()),
            Act::Protect => (
                "ecs:UpdateTaskProtection",
                "tasks: ['service:web'], protectionEnabled: true, expiresInMinutes: 5".to_owned(),
            ),
            Act::Drain(host) => {
                ("ecs:UpdateContainerInstancesState", format!("containerInstances: ['#{host}'], status: DRAINING"))
            }
            Act::Activate(host) => {
                ("ecs:UpdateContainerInstancesState", format!("containerInstances: ['#{host}'], status: ACTIVE"))
            }
            Act::Terminate(host) => (
                "autoscaling:TerminateInstanceInAutoScalingGroup",
                format!("InstanceId: '#{host}', ShouldDecrementDesiredCapacity: false"),
            ),
        };
        text.push_str(&format!("  - {{at: {at}s, call: '{call}', with: {{{with}}}}}\n"));
    }
    text
}

/// Looks on, and remembers what was seen.
#[derive(Default)]
struct Watch {
    /// Tasks that have been seen and are not STOPPED.
    alive: BTreeSet<u64>,
    stopped: usize,
    /// Stops of healthy tasks that were held against the lower limit.
    judged: usize,
    /// Tasks that counted as healthy when last seen.
    healthy: BTreeSet<u64>,
    /// What became of each service deployment, by its id (DEP-8).
    statuses: BTreeMap<String, String>,
    /// Seconds of load that were looked at.
    seconds: u64,
}

/// Requests a second.
const RATE: u32 = 20;

impl Watch {
    /// The scheduler itself stops a healthy task only while enough others are healthy, and starts one only below the
    /// upper limit (DEP-1…3).
    fn check_limits(&mut self, now: SimTime, task: &Task, created: bool, state: &State) {
        let Some(owner) = task.owner else { return };
        let service = state.service(owner.service);
        let limits = service.limits();
        let newest = service.primary();
        let rolls = newest.is_none_or(|newest| newest.stage.blue().is_none() && newest.task_set.is_none());
        let by_scheduler = task.stop.as_ref().is_some_and(|stop| stop.code == StopCode::ServiceSchedulerInitiated);
        // A task that has just failed its checks costs no health.
        let was_healthy = self.healthy.remove(&task.number) && !task.unhealthy;
        // The percentages are for deployments that roll (DEP-1): others keep each revision in full (DEP-20).
        if by_scheduler && was_healthy && rolls {
            self.judged += 1;
            assert!(
                service.healthy >= limits.lower,
                "at {now}: {} healthy tasks of {} are left, {} are the least",
                service.healthy,
                service.name,
                limits.lower
            );
        }
        if created && !rolls {
            let Some(deployment) = service.deployment(owner.deployment) else { panic!("a task of no deployment") };
            let most = deployment.task_set.as_ref().map_or(service.desired, |set| set.scale.of(service.desired));
            let stays = |task: &Task| {
                let host = task.instance.and_then(|id| state.clusters[0].cluster.instance(id));
                host.is_none_or(|host| host.status == ContainerInstanceStatus::Active)
            };
            let tasks = service.tasks.values().map(|key| &state.tasks[*key]);
            let mine = tasks.filter(|task| task.owner == Some(owner) && stays(task)).count();
            assert!(
                mine <= most as usize,
                "at {now}: {mine} tasks of one revision of {}, {most} at most",
                service.name
            );
        } else if created && service.scheduling == SchedulingStrategy::Replica {
            let live = service.tasks.len() as u32 + service.stopping;
            assert!(live <= limits.upper, "at {now}: {live} tasks of {}, {} at most", service.name, limits.upper);
        }
    }

    /// What the tasks of a host hold is never more than it has, and no port and no interface is held twice.
    fn check_host(now: SimTime, id: InstanceId, state: &State) {
        let host = state.clusters.iter().find_map(|entry| entry.cluster.instance(id));
        let Some(host) = host else { return };
        let (mut cpu, mut memory, mut enis, mut ports, mut daemons) = (0, 0, 0, BTreeSet::new(), 0);
        for task in state.tasks.values().filter(|task| task.instance == Some(id)) {
            if let Some(owner) = task.owner.filter(|_| task.last_status < TaskStatus::Stopped) {
                daemons += u32::from(state.service(owner.service).scheduling == SchedulingStrategy::Daemon);
            }
            if !task.reserved {
                continue;
            }
            let needs = state.requirements(task.shape);
            cpu += needs.cpu.0;
            memory += needs.memory.0;
            enis += u32::from(needs.eni);
            for port in &needs.tcp_ports {
                assert!(ports.insert(*port), "at {now}: port {port} of {} twice", id.ec2_id());
            }
        }
        assert!(cpu <= host.registered.cpu.0 && memory <= host.registered.memory.0, "at {now}: {cpu} and {memory}");
        assert!(enis <= host.registered.eni_slots, "at {now}: {enis} interfaces");
        assert!(daemons <= 1, "at {now}: {daemons} daemons on {}", id.ec2_id());
    }
}

impl Watch {
    /// The shares of the traffic are the whole of it, and so are the requests.
    fn check_traffic(&mut self, now: SimTime, steps: &[StepOutcome], dt: SimDuration, service: &Service) {
        let shares: Vec<(u32, u32)> = service.traffic().collect();
        let total: u32 = shares.iter().map(|(_, permille)| permille).sum();
        assert!(shares.is_empty() || total == 1000, "at {now}: {shares:?}");
        if service.deployments.is_empty() {
            return;
        }
        let arrived: f64 = steps.iter().map(|step| step.arrived).sum();
        let expected = f64::from(RATE) * dt.as_secs_f64();
        assert!((arrived - expected).abs() < 1e-6, "at {now}: {arrived} requests of {expected}");
        self.seconds += dt.as_secs();
    }

    /// Every deployment is done, has failed, or gave way to a newer one; only the newest may be on its way.
    fn check_ends(&self, service: &Service) {
        let newest = service.primary().map(Deployment::aws_id);
        let under_way = service.deployments.iter().filter(|known| known.rollout == RolloutState::InProgress);
        let under_way: BTreeSet<String> = under_way.map(Deployment::aws_id).collect();
        for (id, status) in &self.statuses {
            let ended = matches!(status.as_str(), "SUCCESSFUL" | "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED");
            let goes_back =
                status == "ROLLBACK_IN_PROGRESS" && newest.as_ref().is_some_and(|id| under_way.contains(id));
            assert!(ended || goes_back || under_way.contains(id), "{id} is {status}, and {newest:?} is the newest");
        }
    }
}

impl Observer for Watch {
    fn wants(&self) -> Wants {
        Wants { events: true, decisions: true, ..Wants::default() }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        if let Record::Task { task, from, .. } = record {
            self.on_task(now, task, *from, state);
            // Not at other records: they come in the middle of a stop.
            self.healthy = state.tasks.values().filter(|task| task.healthy).map(|task| task.number).collect();
        }
        match record {
            Record::Fluid { service, steps, dt, .. } => self.check_traffic(now, steps, *dt, state.service(*service)),
            Record::Decision(decision)
                if decision.actor == "service-deployment" && decision.subject.ends_with("/web") =>
            {
                let id = decision.inputs["deployment"].as_str().unwrap_or_default().to_owned();
                self.statuses.insert(id, decision.to.as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    fn finish(&mut self, _now: SimTime, state: &State) {
        let alive: BTreeSet<u64> = state.tasks.values().map(|task| task.number).collect();
        assert_eq!(alive, self.alive, "who is not STOPPED is there at the end");
        self.check_ends(&state.services[0]);
    }
}

impl Watch {
    fn on_task(&mut self, now: SimTime, task: &Task, from: Option<TaskStatus>, state: &State) {
        self.check_limits(now, task, from.is_none(), state);
        if let Some(host) = task.instance {
            Self::check_host(now, host, state);
        }
        if task.last_status == TaskStatus::Stopped {
            assert!(task.stop.as_ref().is_some_and(|stop| !stop.reason.is_empty()), "a task stops for a reason");
            assert!(self.alive.remove(&task.number), "a task stops once");
            self.stopped += 1;
        } else if from.is_none() {
            self.alive.insert(task.number);
        }
    }
}

fn watched(case: &Case) -> (Watch, RunOutcome) {
    watched_from(case, 1)
}

fn watched_from(case: &Case, seed: u64) -> (Watch, RunOutcome) {
    let text = format!("seed: {seed}\n{}", scenario(case));
    let scenario = match load_str("random.yaml", &text, &LoadOptions::default()) {
        Ok(scenario) => scenario,
        Err(diagnostics) => panic!("{}\n{text}", diagnostics.render(false)),
    };
    let mut watch = Watch::default();
    let outcome = run(&scenario.estate, RunOptions { replication: 0, paranoid: true }, &mut watch, |_| {});
    (watch, outcome)
}

#[test]
fn a_rolling_update_is_held_against_its_lower_limit() {
    let case = Case {
        desired: 6,
        lower: 50,
        upper: 100,
        hosts: 3,
        cpu: 128,
        static_port: false,
        awsvpc: false,
        balanced: true,
        checked: true,
        behaviour: BEHAVIOURS[1],
        breaker: false,
        mode: MODES[0],
        acts: vec![(1200, Act::Redeploy(true)), (3000, Act::Drain(0))],
    };
    let (watch, _) = watched(&case);
    assert!(watch.judged >= 6, "{} healthy tasks were stopped", watch.judged);
}

/// A case of the property below that once failed; `acts` are set by each test.
fn plain() -> Case {
    Case {
        desired: 6,
        lower: 100,
        upper: 150,
        hosts: 2,
        cpu: 128,
        static_port: false,
        awsvpc: false,
        balanced: false,
        checked: true,
        behaviour: BEHAVIOURS[3],
        breaker: false,
        mode: MODES[0],
        acts: Vec::new(),
    }
}

#[test]
fn svc_8_sick_tasks_that_a_scale_in_has_stopped_are_not_counted_again() {
    // Every few seconds: one of the falls to zero finds all six sick and stops them itself.
    let falls = (60..500).map(|tick| (tick * 10, Act::SetDesired(if tick % 40 == 0 { 0 } else { 6 })));
    let (_, outcome) = watched(&Case { upper: 100, acts: falls.collect(), ..plain() });
    assert!(outcome.tasks_stopped > 6);
}

#[test]
fn dep_1_rebalancing_keeps_the_lower_limit_while_others_are_sick() {
    let (watch, _) = watched(&Case { acts: vec![(1323, Act::StopTask)], ..plain() });
    assert!(watch.stopped > 6);
}

#[test]
fn dep_3_a_healthy_task_on_a_draining_host_does_not_go_before_one_that_is_not_healthy() {
    let acts = vec![(2283, Act::Redeploy(false)), (2354, Act::Drain(0)), (4288, Act::Redeploy(false))];
    let case = Case { desired: 5, lower: 50, upper: 100, awsvpc: true, behaviour: BEHAVIOURS[2], acts, ..plain() };
    watched(&case);
}

#[test]
fn dep_1_a_surplus_of_new_tasks_is_not_taken_out_of_those_on_a_draining_host() {
    let acts = vec![(148, Act::Drain(0))];
    let mut judged = 0;
    for seed in 1..6 {
        let case = Case { lower: 75, upper: 200, checked: false, behaviour: "", acts: acts.clone(), ..plain() };
        judged += watched_from(&case, seed).0.judged;
    }
    assert!(judged >= 5, "{judged} healthy tasks were stopped");
}

#[test]
fn dep_20_every_way_of_deploying_is_watched() {
    let acts = vec![(1200, Act::Redeploy(true)), (2400, Act::SetDesired(4)), (3600, Act::Redeploy(false))];
    for mode in MODES {
        let case = Case {
            hosts: 3,
            balanced: true,
            behaviour: "startup: 5s, shutdown: 10s",
            mode,
            acts: acts.clone(),
            ..plain()
        };
        let (watch, outcome) = watched(&case);
        assert!(outcome.tasks_stopped >= 2 && watch.seconds > 7000, "{mode:?}: {} stopped", outcome.tasks_stopped);
        let ended = watch.statuses.values().filter(|status| *status == "SUCCESSFUL").count();
        assert!(ended >= 2, "{mode:?}: {:?}", watch.statuses);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_resources_and_ends_hold_for_random_services(case in case()) {
        let (watch, outcome) = watched(&case);
        prop_assert_eq!(outcome.tasks_stopped as usize, watch.stopped);
        prop_assert!(outcome.tasks_created > 0 && watch.seconds > 7000);
    }
}
