//! The model: the AWS control plane as one event handler. It asks the policies and applies what they decide.
//!
//! [`estate::Estate`] is what is simulated, [`state::State`] what is true now, [`event::Event`] what can happen,
//! [`record::Record`] what observers are told. The handlers live beside the AWS noun they serve: tasks in [`tasks`],
//! [`containers`], [`execution`], [`pulls`], [`network`], [`health`] and [`run_task`]; services in [`services`], [`service_events`], [`deployments`], [`daemons`],
//! [`rebalancing`], [`protection`], [`blue_green`], [`lifecycle_hooks`], [`task_sets`], [`rollback`], [`targets`] and
//! [`custom_scheduling`]; hosts in [`groups`], [`launches`], [`hosts`], [`markets`], [`replacement`], [`refresh`],
//! [`warm_pool`], [`lifecycle`], [`faults`], [`impairments`], [`associations`], [`capacity_providers`] and [`idle`]; metrics
//! and scaling in [`cloudwatch`], [`custom_metrics`], [`alarms`], [`service_scaling`], [`scaling_log`],
//! [`scheduled_scaling`], [`predictive_scaling`], [`load`], [`traffic`], [`requests`], [`real_http`] and [`cpu_sharing`]; queues in [`queues`],
//! EventBridge in [`event_rules`]; the operator's calls in [`actions`], [`service_calls`] and [`deletions`], what they may
//! ask in [`reads`]. [`explain`] puts reasons into the decision log; [`audit`] checks
//! the books after every event.

pub mod api;
pub mod estate;
pub mod event;
pub mod execution;
pub mod reads;
pub mod record;
pub mod state;

mod actions;
mod alarms;
mod associations;
mod audit;
mod blue_green;
mod capacity_providers;
mod cloudwatch;
mod container_insights;
mod containers;
pub mod cpu_sharing;
mod custom_metrics;
mod custom_scheduling;
mod daemons;
mod deletions;
mod deployments;
mod event_rules;
mod explain;
mod faults;
mod group_metrics;
mod groups;
mod health;
mod host_targets;
mod hosts;
mod idle;
mod impairments;
mod launches;
mod lifecycle;
mod lifecycle_hooks;
mod load;
mod markets;
pub mod network;
mod predictive_scaling;
mod protection;
mod pulls;
mod queues;
pub mod real_http;
mod rebalancing;
mod refresh;
mod registry;
mod replacement;
mod requests;
mod rollback;
mod run_task;
mod scaling_activities;
mod scaling_log;
mod scheduled_scaling;
mod service_calls;
mod service_connect;
mod service_events;
mod service_scaling;
mod services;
mod setup;
mod software;
mod targets;
mod task_readings;
mod task_sets;
mod tasks;
mod traffic;
mod warm_pool;

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use slotmap::SecondaryMap;

use crate::control_plane::estate::Estate;
use crate::control_plane::event::Event;
use crate::control_plane::execution::{ContainerCommand, ContainerReport, PublishedPort};
use crate::control_plane::real_http::{HttpAnswer, HttpCommand};
use crate::control_plane::record::{
    Activity, ActivityId, ActivityService, Decision, Observer, Record, Resource, Wants,
};
use crate::control_plane::state::State;
use crate::ecs::ids::{ClusterId, ServiceId, ShapeId, TaskGroupId, TaskKey};
use crate::ecs::image::ImageTable;
use crate::ecs::image_store::ImageStore;
use crate::ecs::service::TokenBucket;
use crate::ecs::task::Task;
use crate::ecs::task_definition::{Requirements, TaskDefinition};
use crate::engine::simulation::{Model, Schedule, Simulation};
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;

/// The control plane of one replication.
pub struct ControlPlane<'a> {
    /// Everything that is true now.
    pub state: State,
    estate: &'a Estate,
    observer: &'a mut dyn Observer,
    wants: Wants,
    streams: Streams,
    placement_chance: Stream,
    id_chance: Stream,
    /// Which of several sick tasks goes first (SVC-8).
    sick_chance: Stream,
    definition_chance: Vec<DefinitionChance>,
    definition_shapes: Vec<ShapeId>,
    images: ImageTable,
    /// What Fargate tasks have pulled so far, each for itself (FG-6).
    fargate_images: SecondaryMap<TaskKey, ImageStore>,
    registry: registry::Registry,
    pushes: software::Pushes,
    shape_ids: BTreeMap<Requirements, ShapeId>,
    task_group_ids: BTreeMap<String, TaskGroupId>,
    service_ids: BTreeMap<(ClusterId, String), ServiceId>,
    /// Services created with a client token, by the call that did (SVC-4).
    creations: BTreeMap<ServiceId, api::CreateService>,
    /// RunTask calls with a client token, and the tasks they started (TASK-12).
    client_tokens: BTreeMap<(ClusterId, String), (api::RunTask, Vec<u128>)>,
    groups: Vec<hosts::GroupRuntime>,
    hosts: hosts::HostTable,
    /// Instances launched so far: the number of the next one.
    launches: u32,
    /// RunInstances resource tokens of the account (ASG-44).
    run_instances: TokenBucket,
    markets: markets::Markets,
    /// Chance of each fault of the scenario.
    fault_chance: Vec<Stream>,
    /// Strikes of faults so far.
    strikes: u64,
    /// Container instances in DRAINING, over all clusters: zero in the usual case, which spares every round a scan.
    draining_hosts: u32,
    /// What is wrong for a while.
    impairments: impairments::Impairments,
    /// CPU units of the tasks on Fargate and on Fargate Spot, from launch to STOPPED (FG-8).
    fargate_cpu: [u64; 2],
    /// Those tasks (LIM-1).
    fargate_tasks: [u32; 2],
    /// Rate of RunTask calls on Fargate (FG-7).
    fargate_calls: TokenBucket,
    /// Chance of how long tasks on Fargate Spot are left alone.
    fargate_spot_chance: Stream,
    /// Launch rates of the account on Fargate and Fargate Spot (FG-7).
    fargate_tokens: [TokenBucket; 2],
    /// Tasks per zone of a task group on Fargate, Spot apart (PLACE-17).
    fargate_zone_counts: BTreeMap<(TaskGroupId, bool), Vec<u32>>,
    /// Tasks that have stopped lately, oldest first, while somebody may ask for them (TASK-5).
    stopped: VecDeque<Task>,
    /// The subnet of each zone (NET-4).
    subnets: Vec<crate::ecs::subnet::Subnet>,
    /// The revisions that tasks with a Service Connect proxy run, by the registered ones (NET-7).
    proxied: BTreeMap<crate::ecs::ids::TaskDefinitionId, crate::ecs::ids::TaskDefinitionId>,
    /// Custom schedulers and what waits for them.
    custom: BTreeMap<ClusterId, custom_scheduling::CustomQueue>,
    /// Answers of custom schedulers that were missing or could not be carried out.
    scheduler_failures: u64,
    first_scheduler_failure: Option<String>,
    replication: u64,
    arrivals: BTreeMap<crate::ecs::ids::WorkloadId, setup::TaskArrivals>,
    event_rules: event_rules::EventRules,
    cloudwatch: cloudwatch::CloudWatch,
    scaling: service_scaling::ServiceScaling,
    /// Scheduled actions, in the order in which they were put.
    scheduled: Vec<scheduled_scaling::ScheduledAction>,
    /// By provider; `None` without managed scaling.
    managed: Vec<Option<capacity_providers::ManagedScalingRuntime>>,
    alarm_chance: Stream,
    load: load::Load,
    queues: queues::Queues,
    requests: requests::Requests,
    /// In a run on real containers: HTTP that is really sent.
    real_http: Option<real_http::RealHttp>,
    /// The levels that observers know.
    levels: BTreeMap<(Resource, &'static str), f64>,
    tasks_created: u64,
    tasks_stopped: u64,
    activities: u64,
    awsvpc_trunking: bool,
    /// `fargateTaskRetirementWaitPeriod` of the account (FG-10).
    fargate_retirement_wait: SimDuration,
    /// Whether AWS has retired a revision of the Fargate platform: service tasks may be `retiring`.
    retires: bool,
    /// Whether somebody may ask what there is: stopped tasks and the events of services are then kept (TASK-5).
    answers_reads: bool,
    paranoid: bool,
    /// Who runs the containers.
    execution: execution::Execution,
}

/// Streams of one task definition, one per source of chance.
#[derive(Debug)]
struct DefinitionChance {
    service_time: Stream,
    usage: Stream,
    start: Stream,
    health: Stream,
    crash: Stream,
    stop: Stream,
}

impl DefinitionChance {
    fn new(streams: &Streams, definition: &TaskDefinition) -> Self {
        let named = |kind: &str| streams.named(&format!("{kind}/{}:{}", definition.family, definition.revision));
        Self {
            service_time: named("service-time"),
            usage: named("usage"),
            start: named("start"),
            health: named("health"),
            crash: named("crash"),
            stop: named("stop"),
        }
    }
}

/// How one replication is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Which replication; each has its own streams.
    pub replication: u64,
    /// Check every book after every event (`--paranoid`), and panic with what does not balance.
    pub paranoid: bool,
}

/// What a run did, apart from what its observer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcome {
    /// Events handled.
    pub events: u64,
    /// Tasks created.
    pub tasks_created: u64,
    /// Tasks that have stopped.
    pub tasks_stopped: u64,
    /// Answers of custom schedulers that were missing or could not be carried out; the decision log has each.
    pub scheduler_failures: u64,
    /// The first of them, in words.
    pub first_scheduler_failure: Option<String>,
}

/// Runs one replication of `estate` to its end, telling `observer` everything; `progress` is given the virtual time
/// now and then.
pub fn run(
    estate: &Estate,
    options: RunOptions,
    observer: &mut dyn Observer,
    mut progress: impl FnMut(SimTime),
) -> RunOutcome {
    const REPORTS: u64 = 200;
    let mut session = Session::new(estate, options, observer);
    for part in 1..=REPORTS {
        // A part ends before the events of its last instant; the next part begins with them.
        let until = SimTime::ZERO + estate.duration / REPORTS * part;
        session.run_until(if part == REPORTS { session.end() } else { until });
        progress(session.now());
    }
    session.finish()
}

/// One replication that somebody takes through time, in steps as small as they like.
pub struct Session<'a> {
    simulation: Simulation<ControlPlane<'a>>,
    end: SimTime,
}

impl<'a> Session<'a> {
    /// A replication of `estate` at time zero.
    pub fn new(estate: &'a Estate, options: RunOptions, observer: &'a mut dyn Observer) -> Self {
        Self::begin(estate, ControlPlane::new(estate, options, observer))
    }

    fn begin(estate: &'a Estate, control_plane: ControlPlane<'a>) -> Self {
        let mut simulation = Simulation::new(control_plane);
        let (control_plane, schedule) = simulation.parts_mut();
        control_plane.set_up(schedule);
        Self { simulation, end: SimTime::ZERO + estate.duration }
    }

    /// As [`Session::new`], with containers that are run outside, in real time: a second of theirs counts `pace` seconds
    /// of the simulated clock. [`Session::take_commands`] says what is to be done, [`Session::report`] what was; requests
    /// and probes go by [`Session::take_http_commands`] and [`Session::http_answered`].
    pub fn with_real_containers(
        estate: &'a Estate,
        options: RunOptions,
        observer: &'a mut dyn Observer,
        pace: f64,
    ) -> Self {
        let mut control_plane = ControlPlane::new(estate, options, observer);
        control_plane.execution = execution::Execution::real(pace);
        control_plane.send_http(pace);
        Self::begin(estate, control_plane)
    }

    /// What is to be done with real containers since the last call, in order.
    pub fn take_commands(&mut self) -> Vec<ContainerCommand> {
        self.simulation.model_mut().take_commands()
    }

    /// What has become of a real container, known at the present instant.
    pub fn report(&mut self, report: ContainerReport) {
        let (control_plane, schedule) = self.simulation.parts_mut();
        control_plane.on_report(report, schedule);
    }

    /// The engine of the real containers is gone, and they with it: their tasks are STOPPED for `reason`.
    pub fn lose_engine(&mut self, reason: &str) {
        let (control_plane, schedule) = self.simulation.parts_mut();
        control_plane.on_engine_lost(reason, schedule);
    }

    /// The ports of this machine that lead to a real container, by its place in the definition.
    pub fn published_ports(&self, task: TaskKey, place: usize) -> &[PublishedPort] {
        self.simulation.model().execution.published_ports(task, place)
    }

    /// When the next event is, if there is one before the end.
    pub fn next_time(&self) -> Option<SimTime> {
        self.simulation.next_time().filter(|time| *time < self.end)
    }

    /// The present instant.
    pub fn now(&self) -> SimTime {
        self.simulation.now()
    }

    /// When the run is over.
    pub fn end(&self) -> SimTime {
        self.end
    }

    /// Everything that is true now.
    pub fn state(&self) -> &State {
        &self.simulation.model().state
    }

    /// Keeps what Describe and List calls need from now on: tasks that have stopped (TASK-5), the events of services
    /// (SVC-18). A run whose actions read keeps it anyway.
    pub fn keep_for_reads(&mut self) {
        self.simulation.parts_mut().0.answers_reads = true;
    }

    /// Answers a Describe or List call now; see [`report::answers`](crate::report::answers) for its JSON.
    ///
    /// Without [`Session::keep_for_reads`] stopped tasks are missing, and services have no events.
    ///
    /// # Errors
    /// What AWS refuses: an unknown cluster, too many ids, a token it has not given.
    ///
    /// ```
    /// use ecsim::control_plane::reads::{Answer, ReadCall};
    /// use ecsim::control_plane::{RunOptions, Session};
    /// use ecsim::report::{Detail, Recorder};
    /// use ecsim::engine::time::SimTime;
    /// # let text = "name: doc\nclusters: [{clusterName: shop}]\n";
    /// let scenario = ecsim::scenario::load_str("doc.yaml", text, &Default::default()).unwrap();
    /// let mut recorder = Recorder::new(&scenario.estate);
    /// let mut session = Session::new(&scenario.estate, RunOptions::default(), &mut recorder);
    /// session.run_until(SimTime::from_secs(60));
    /// let call = ReadCall::ListServices { cluster: "shop".into(), page: Default::default() };
    /// let Ok(Answer::Arns(_, arns, None)) = session.answer(&call) else { panic!() };
    /// assert!(arns.is_empty());
    /// let missing = ReadCall::ListServices { cluster: "stop".into(), page: Default::default() };
    /// assert_eq!(session.answer(&missing).unwrap_err().code, "ClusterNotFoundException");
    /// ```
    pub fn answer(&self, call: &reads::ReadCall) -> Result<reads::Answer, Refused> {
        self.simulation.model().answer(call, self.now())
    }

    /// Handles the next event; false when the run is over.
    pub fn step(&mut self) -> bool {
        if self.simulation.next_time().is_some_and(|time| time < self.end) {
            return self.simulation.step();
        }
        self.simulation.run_until(self.end);
        false
    }

    /// Handles the events before `time`, and none after the end.
    pub fn run_until(&mut self, time: SimTime) {
        self.simulation.run_until(time.min(self.end));
    }

    /// What is to be sent over HTTP since the last call, in order; nothing unless tasks are real containers.
    pub fn take_http_commands(&mut self) -> Vec<HttpCommand> {
        self.simulation.model_mut().take_http_commands()
    }

    /// An answer has come at `at`, or it is certain that none will.
    pub fn http_answered(&mut self, at: SimTime, answer: HttpAnswer) {
        let (control_plane, schedule) = self.simulation.parts_mut();
        control_plane.hear_http(answer);
        let at = at.max(schedule.now());
        schedule.at(at, Event::HttpAnswered);
    }

    /// Closes the books at the present instant: the end, unless the run is broken off.
    pub fn finish(self) -> RunOutcome {
        let (now, events) = (self.simulation.now(), self.simulation.events_handled());
        let mut control_plane = self.simulation.into_model();
        control_plane.close(now);
        RunOutcome {
            events,
            tasks_created: control_plane.tasks_created,
            tasks_stopped: control_plane.tasks_stopped,
            scheduler_failures: control_plane.scheduler_failures,
            first_scheduler_failure: control_plane.first_scheduler_failure,
        }
    }
}

impl Model for ControlPlane<'_> {
    type Event = Event;

    fn handle(&mut self, event: Event, schedule: &mut Schedule<Event>) {
        match event {
            Event::Action(index) => self.on_action(index, schedule),
            Event::DefinitionCloses(definition) => self.on_definition_closes(definition),
            Event::Fault(index) => self.on_fault(index, schedule),
            Event::FaultOver { fault, strike } => self.on_fault_over(fault, strike, schedule),
            Event::SpotWave(pool) => self.on_spot_wave(pool, schedule),
            Event::PoolChange(pool) => self.on_pool_change(pool, schedule),
            Event::TaskArrival(workload) => self.on_task_arrival(workload, schedule),
            Event::RuleFires(rule) => self.on_rule_fires(rule, schedule),
            Event::RuleInvokes(number) => self.on_rule_invokes(number, schedule),
            Event::LoadStep(workload) => self.on_load_step(workload, schedule),
            Event::CpuShares => self.on_cpu_shares(schedule),
            Event::RequestArrival(workload) => self.on_request_arrival(workload, schedule),
            Event::RequestGoesOn { workload, request } => self.on_request_goes_on(workload, request, schedule),
            Event::RequestsDue { workload, station } => self.on_requests_due(workload, station, schedule),
            Event::RequestTimeout(workload) => self.on_request_timeout(workload, schedule),
            Event::HttpAnswered => self.on_http_answered(schedule),
            Event::MessageArrival(queue) => self.on_message_arrival(queue, schedule),
            Event::QueueTimer(queue) => self.on_queue_timer(queue, schedule),
            Event::MessageWaited { queue, handling } => self.on_message_waited(queue, handling, schedule),
            Event::StationDue { queue, station } => self.on_station_due(queue, station, schedule),
            Event::Task { task, step } => self.on_task_step(task, step, schedule),
            Event::LayersArrive(site) => self.on_layers_arrive(site, schedule),
            Event::Instance { instance, step } => self.on_instance(instance, step, schedule),
            Event::MetricReading => self.on_metric_reading(schedule),
            Event::ReservationTick(provider) => self.on_reservation_tick(provider, schedule),
            Event::ReplayTick(metric) => self.on_replay_tick(metric, schedule),
            Event::AlarmEvaluation(alarm) => self.on_alarm_evaluation(alarm, schedule),
            Event::AlarmAction(alarm) => self.on_alarm_action(alarm, schedule),
            Event::ScalingRound => self.on_scaling_round(schedule),
            Event::PredictiveScaling(policy) => self.on_predictive_scaling(policy, schedule),
            Event::ScheduledScaling => self.on_scheduled_scaling(schedule),
            Event::ActivityStart(target) => self.on_activity_start(target, schedule),
            Event::ActivityPoll(target) => self.on_activity_poll(target, schedule),
            Event::GroupReconcile(group) => self.on_group_reconcile(group, schedule),
            Event::LaunchRetry(group) => self.on_launch_retry(group, schedule),
            Event::LaunchThrottled(group) => self.on_launch_throttle_over(group, schedule),
            Event::GroupMaintenance(group) => self.on_group_maintenance(group, schedule),
            Event::RetryWaiting(provider) => self.on_retry_waiting(provider, schedule),
            Event::CustomScheduling(cluster) => self.on_custom_scheduling(cluster, schedule),
            Event::ServiceRound(service) => self.on_service_round(service, schedule),
            Event::SteadyRepeat(service) => self.on_steady_repeat(service, schedule),
            Event::Rebalance(service) => self.on_rebalance(service, schedule),
        }
        self.break_disturbed_steps(schedule);
        if self.paranoid {
            self.check_books(schedule.now());
        }
    }
}

/// A call that was not carried out.
struct RefusedCall {
    /// Who called.
    actor: &'static str,
    /// About what.
    subject: String,
    /// The call, for example `ecs:RunTask`.
    call: String,
    /// AWS's code and words.
    reason: String,
    /// The rule that refuses.
    rule: &'static str,
    /// The numbers behind it.
    inputs: Value,
}

impl ControlPlane<'_> {
    /// A line of the decision log, made only when somebody reads it.
    fn decide<D: Into<Option<Decision>>>(&mut self, now: SimTime, decision: impl FnOnce(&State) -> D) {
        if self.wants.decisions
            && let Some(decision) = decision(&self.state).into()
        {
            self.observer.observe(now, &Record::Decision(&decision), &self.state);
        }
    }

    /// A line of the activity log, likewise.
    fn tell_activity<A: Into<Option<Activity>>>(&mut self, now: SimTime, activity: impl FnOnce(&State) -> A) {
        if self.wants.activities
            && let Some(activity) = activity(&self.state).into()
        {
            self.observer.observe(now, &Record::Activity(&activity), &self.state);
        }
    }

    /// The id of an activity that belongs to no instance.
    fn next_activity(&mut self) -> ActivityId {
        self.activities += 1;
        ActivityId::Numbered(self.activities)
    }

    /// A call that was not carried out, wholly or in part: a decision, and an activity of the call (design, section 4).
    fn record_refusal(&mut self, now: SimTime, refused: RefusedCall) {
        if !self.wants.decisions {
            return;
        }
        let id = self.next_activity();
        let RefusedCall { actor, subject, call, reason, rule, inputs } = refused;
        self.tell_activity(now, |_| Activity {
            id,
            service: ActivityService::Call,
            resource: subject.clone(),
            description: format!("Call of {call}"),
            cause: actor.to_owned(),
            start: now,
            end: Some(now),
            status: "Failed",
            message: reason.clone(),
            not_scaled: Vec::new(),
        });
        self.decide(now, |_| Decision {
            actor,
            subject,
            action: "refuse",
            from: Value::Null,
            to: Value::Null,
            reason,
            rule,
            inputs,
        });
    }

    /// Tells the observers of a level, if it has changed: a row per change (design, section 4).
    fn record_level(&mut self, resource: Resource, metric: &'static str, value: f64, now: SimTime) {
        if self.levels.insert((resource, metric), value) != Some(value) {
            self.observer.observe(now, &Record::Level { resource, metric, value }, &self.state);
        }
    }

    /// The run is over: the last step of each load is taken, and observers close their books.
    fn close(&mut self, end: SimTime) {
        self.finish_loads(end);
        self.count_billed_metrics();
        self.observer.finish(end, &self.state);
    }
}
