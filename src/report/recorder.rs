//! The observer of a run: integrates what the summary needs, keeps the bill, and writes the tables and logs.
//!
//! At [`Detail::Summary`] memory grows with what is alive at once, never with how long the run is: a task or host is
//! accounted for when it ends and then forgotten.
//!
//! What the figures mean, where the design leaves it open:
//!
//! - Statistics leave out the warm-up; a wait counts when it ends after it. The bill, `instance_hours` and the idle costs
//!   are of the whole run, because money is.
//! - `task_wait_*`: created to RUNNING. `tasks_started`: tasks that became RUNNING. `tasks_failed`: tasks that failed to
//!   start, whose essential container failed, or whose host or Spot capacity went away, and tasks that a `RunTask` call
//!   could not place.
//! - A host is idle while it is billed and no task but daemons is bound to it. Its idle cost is that share of its
//!   machine's bill, and each second of it has one [cause](crate::scaling::idle::IdleCause).
//! - `cpu_reserved_ratio`, `memory_reserved_ratio`, `cpu_used_ratio`: of what the hosts of all clusters register, over
//!   time. `idle_cpu_ratio`: the share of the registered CPU that sat on hosts without a task but daemons.
//! - `under_capacity_s`, `over_capacity_s`: for how long a service was under- and over-provisioned; as a share of the
//!   measured time, the provisioning timeshares of the elasticity literature (Herbst et al., BUNGEE, SEAMS 2015). With a
//!   load: minutes that left a backlog, or in which its running tasks' CPU was below what the load needed where that is a
//!   hard cap, and minutes in which one task fewer would have kept its CPU target (100 % without one). Of any other service the desired count is all the
//!   demand there is: time with fewer, or more, tasks running than that.
//! - Of a queue: `messages` came, of which `messages_left` are still there; `time_in_queue_*` is from the send to the first
//!   receive, `latency_*` from the send to the deletion, `age_max_s` the greatest age of the oldest message (see
//!   [`Queue::age_of_oldest`](crate::workload::queue::Queue::age_of_oldest)), `drain_max_s` the longest time in which
//!   messages were visible without a break. A service that drains one is under-provisioned while messages are visible for a
//!   minute or more without a break; it is over-provisioned with more tasks than desired, as services without a load are.
//! - Elasticity of a service with a modelled load, minute by minute: see [`Elasticity`](crate::report::elasticity::Elasticity).
//!   The demand is the least number of tasks whose CPU, at the target of its policy, carries the minute's load, and one at
//!   least; the supply is the mean number of tasks that ran.
//! - `availability_ratio`: the share of a service's requests that did not fail.
//! - Of an EventBridge rule: `events` it fired for, `invocations` of its targets with `retries` among them,
//!   `tasks_not_placed` by these calls, and events given up, with (`events_dead_lettered`) and without (`events_lost`) a queue
//!   that takes them.
//! - `below_desired_s` of any service: time with fewer tasks running than desired, whatever the load.

mod busiest;
mod cluster;
mod conclude;
mod event_rule;
mod host;
mod idle;
mod objective;
mod plan;
mod queue;
mod service;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use serde_json::{Value, json};
use slotmap::SecondaryMap;

use crate::control_plane::api::{ApiCall, PutScalingPolicy};
use crate::control_plane::estate::Estate;
use crate::control_plane::record::{
    Activity, ActivityService, Decision, Observer, Record, Resource, ServiceEvent, Wants,
};
use crate::control_plane::state::State;
use crate::ecs::ids::{ClusterId, GroupId, InstanceId, TaskKey};
use crate::ecs::instance_table::InstanceTable;
use crate::engine::time::SimTime;
use crate::report::Detail;
use crate::report::bill::{Bill, CostRow, NanoUsd, PriceList};
use crate::report::events;
use crate::report::files::{Files, Log};
use crate::report::output::{OutputDir, OutputError};
use crate::report::plot::{MachinePlan, Occurrence, PLAN, PicturePlan};
use crate::report::summary::ReplicationSummary;
use crate::stats::WeightedHistogram;

use busiest::Busiest;
use cluster::ClusterBook;
use event_rule::RuleBook;
use host::HostBook;
use idle::{IdleCost, IdleGroup, IdleSpan};
use objective::Objectives;
use queue::QueueBook;
use service::{Demands, ServiceBook, WorkloadBook};
use task::TaskBook;

/// Records one replication.
#[derive(Debug)]
pub struct Recorder {
    detail: Detail,
    scenario: String,
    seed: u64,
    warmup: SimTime,
    warm: bool,
    now: SimTime,
    prices: PriceList,
    bill: Bill,
    hosts: InstanceTable<Box<HostBook>>,
    fargate_tasks: SecondaryMap<TaskKey, TaskBook>,
    clusters: Vec<ClusterBook>,
    services: Vec<ServiceBook>,
    workloads: Vec<WorkloadBook>,
    queues: Vec<QueueBook>,
    rules: Vec<RuleBook>,
    objectives: Objectives,
    demands: Demands,
    policies: Vec<PutScalingPolicy>,
    waits: WeightedHistogram,
    tasks_started: u64,
    tasks_failed: u64,
    /// Tasks that `RunTask` calls could not place.
    tasks_refused: u64,
    /// Most hosts at once, without the warm-up.
    hosts_peak: usize,
    /// Image layers pulled [MiB].
    pulled_mib: f64,
    billed_secs: u64,
    /// Hosts that are idle now, by group.
    idle_groups: BTreeMap<GroupId, IdleGroup>,
    /// Spans of idle time that are over and not written yet.
    idle_spans: Vec<IdleSpan>,
    idle_cost: IdleCost,
    group_idle_cost: BTreeMap<GroupId, IdleCost>,
    idle_cpu_seconds: f64,
    balancer_requests: BTreeMap<String, f64>,
    group_rates: BTreeMap<GroupId, NanoUsd>,
    fargate_rates: BTreeMap<ClusterId, NanoUsd>,
    instance_rows: BTreeMap<InstanceId, [String; 14]>,
    busiest: Busiest,
    /// What hosts register, by group and type.
    machines: Vec<MachinePlan>,
    /// What pictures mark.
    occurrences: Vec<Occurrence>,
    events: u64,
    files: Option<Files>,
    summary: ReplicationSummary,
    plan: Option<PicturePlan>,
}

impl Recorder {
    /// A recorder of one replication for the summary alone.
    pub fn new(estate: &Estate) -> Self {
        let in_actions = estate.actions.iter().filter_map(|action| match &action.call {
            ApiCall::PutScalingPolicy(policy) => Some(policy.as_ref()),
            _ => None,
        });
        let policies: Vec<PutScalingPolicy> = estate.policies.iter().chain(in_actions).cloned().collect();
        Self {
            detail: Detail::Summary,
            scenario: estate.name.clone(),
            seed: estate.seed,
            warmup: SimTime::ZERO + estate.warmup,
            warm: estate.warmup.is_zero(),
            now: SimTime::ZERO,
            prices: PriceList::new(estate),
            bill: Bill::default(),
            hosts: InstanceTable::default(),
            fargate_tasks: SecondaryMap::new(),
            clusters: Vec::new(),
            services: Vec::new(),
            workloads: estate.workloads.iter().map(|workload| WorkloadBook::of(&workload.demand)).collect(),
            queues: QueueBook::all(estate),
            rules: RuleBook::all(estate),
            objectives: Objectives::of(estate),
            demands: Demands::of(estate, &policies),
            policies,
            waits: WeightedHistogram::new(),
            tasks_started: 0,
            tasks_failed: 0,
            tasks_refused: 0,
            hosts_peak: 0,
            pulled_mib: 0.0,
            billed_secs: 0,
            idle_groups: BTreeMap::new(),
            idle_spans: Vec::new(),
            idle_cost: IdleCost::default(),
            group_idle_cost: BTreeMap::new(),
            idle_cpu_seconds: 0.0,
            balancer_requests: BTreeMap::new(),
            group_rates: BTreeMap::new(),
            fargate_rates: BTreeMap::new(),
            instance_rows: BTreeMap::new(),
            busiest: Busiest::default(),
            machines: Vec::new(),
            occurrences: Occurrence::all(estate),
            events: 0,
            files: None,
            summary: ReplicationSummary::default(),
            plan: None,
        }
    }

    /// A recorder that also writes the files of `detail` into `output`.
    ///
    /// # Errors
    /// [`OutputError::Io`] when a file cannot be made.
    pub fn to_files(estate: &Estate, detail: Detail, output: &OutputDir) -> Result<Self, OutputError> {
        Ok(Self { detail, files: Files::create(output, detail)?, ..Self::new(estate) })
    }

    /// The figures of the run, once it has finished, with its files flushed into `output`.
    ///
    /// # Errors
    /// [`OutputError::Io`] of the first file that could not be written.
    pub fn into_summary(self, output: Option<&OutputDir>) -> Result<ReplicationSummary, OutputError> {
        if let Some(output) = output {
            if let Some(files) = self.files {
                files.finish(output)?;
            }
            if let Some(plan) = self.plan.filter(|_| self.detail > Detail::Summary) {
                let text = serde_json::to_string_pretty(&plan).map_err(|error| output.refused(PLAN, error.into()))?;
                output.write(PLAN, text + "\n")?;
            }
        }
        Ok(self.summary)
    }

    /// How many bytes have gone to the files so far; it can be read while the run goes on.
    pub fn written(&self) -> Arc<AtomicU64> {
        self.files.as_ref().map(Files::written).unwrap_or_default()
    }

    fn writes_series(&self) -> bool {
        self.files.is_some()
    }

    fn charge(&mut self, row: &CostRow) {
        self.bill.charge(row);
        if let Some(files) = &mut self.files {
            files.cost(row);
        }
    }

    /// Everything up to the end of the warm-up is over: integrals begin anew.
    fn end_warmup(&mut self) {
        self.warm = true;
        for cluster in &mut self.clusters {
            cluster.forget(self.warmup);
        }
        self.busiest.restart(self.warmup);
    }

    fn event(&mut self, event: &impl Serialize) {
        self.events += 1;
        if let Some(files) = &mut self.files {
            files.event(event);
        }
    }

    fn level(&mut self, at: SimTime, resource: &str, metric: &str, value: f64) {
        if let Some(files) = &mut self.files {
            files.sample(at, resource, metric, value);
        }
    }

    fn on_decision(&mut self, now: SimTime, decision: &Decision) {
        self.objectives.decided(now, decision);
        let Some(files) = &mut self.files else { return };
        let line = json!({
            "actor": decision.actor,
            "subject": decision.subject,
            "action": decision.action,
            "from": decision.from,
            "to": decision.to,
            "reason": decision.reason,
            "rule": decision.rule,
            "inputs": decision.inputs,
        });
        files.log(Log::Decisions, now, &line);
    }

    fn on_activity(&mut self, now: SimTime, activity: &Activity, state: &State) {
        let scaled = activity.service == ActivityService::ApplicationAutoScaling && activity.not_scaled.is_empty();
        // A change of bounds alone is over as it begins; what it does to the capacity is an activity of its own.
        if scaled && activity.end.is_none() {
            let place = self.services.iter().position(|book| book.resource == activity.resource);
            if let Some(book) = place.map(|place| &mut self.services[place])
                && Some(activity.id) > book.last_activity
            {
                book.last_activity = Some(activity.id);
                book.scaling_actions += u64::from(now >= self.warmup);
            }
        }
        if let Some(files) = &mut self.files {
            files.log(Log::Activities, now, &events::activity(state, activity));
        }
    }

    fn on_service_event(&mut self, now: SimTime, event: &ServiceEvent, state: &State) {
        if let Some(event) = events::service_event(state, event, now, self.events) {
            self.event(&event);
        }
    }
}

impl Observer for Recorder {
    fn wants(&self) -> Wants {
        let full = self.detail == Detail::Full && self.files.is_some();
        Wants { decisions: full, activities: true, series: self.writes_series(), events: full }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        if now > self.now {
            self.flush_levels(state);
            self.judge_outside_services(now, state);
            self.now = now;
        }
        if !self.warm && now >= self.warmup {
            self.end_warmup();
        }
        match *record {
            Record::Task { key, task, from } => self.on_task(now, key, task, from, state),
            Record::Instance { instance, step } => self.on_instance(now, instance, step, state),
            Record::ContainerInstance { cluster, instance } => {
                self.on_container_instance(now, cluster, instance, state);
            }
            Record::Capacity { cluster } => self.capacity_changed(now, cluster, state),
            Record::Bound { instance, at_work } | Record::Unbound { instance, at_work } => {
                self.on_work(now, instance, at_work, state);
            }
            Record::Outlook { group } => self.follow_outlook(group, now, state),
            Record::EventRule { rule, event } => self.on_rule_event(now, rule, event),
            Record::Offered { workload, rate } => self.demands.offered(workload, rate),
            Record::Level { resource, metric, value } => {
                match resource {
                    Resource::Service(id) => {
                        self.service(id, now, state);
                    }
                    Resource::Group(id) => self.follow_outlook(id, now, state),
                    Resource::Provider(id) => self.follow_outlook(state.providers[id.index()].group, now, state),
                    _ => {}
                }
                if self.writes_series() {
                    self.level(now, &state.resource_name(resource), metric, value);
                }
            }
            Record::Datapoint { resource, metric, period_start, value } => {
                if self.writes_series() {
                    self.level(period_start, &state.resource_name(resource), metric, value);
                }
            }
            Record::Alarm { alarm, to, reason, .. } => {
                if let Some(Resource::Provider(id)) = state.alarms[alarm.index()].resource {
                    self.follow_outlook(state.providers[id.index()].group, now, state);
                }
                let name = &state.alarms[alarm.index()].alarm.definition.name;
                if let Some(files) = &mut self.files {
                    files.alarm(now, name, to.name(), reason);
                }
            }
            Record::Decision(decision) => self.on_decision(now, decision),
            Record::Answer { call, answer } => {
                let answer = crate::report::answers::answer(state, answer, now);
                self.on_decision(
                    now,
                    &Decision {
                        actor: "operator",
                        subject: call.to_owned(),
                        action: "read",
                        from: Value::Null,
                        to: Value::Null,
                        reason: "as the scenario's actions say".to_owned(),
                        rule: "TASK-18",
                        inputs: json!({ "answer": answer }),
                    },
                );
            }
            Record::Activity(activity) => self.on_activity(now, activity, state),
            Record::ServiceEvent(event) => self.on_service_event(now, event, state),
            Record::Notification { alarm, target, state: to, reason } => {
                let name = &state.alarms[alarm.index()].alarm.definition.name;
                let line = json!({ "target": target, "alarm": name, "state": to.name(), "reason": reason });
                if let Some(files) = &mut self.files {
                    files.log(Log::Notifications, now, &line);
                }
            }
            Record::Fluid { workload, service, steps, .. } => self.on_fluid(now, workload, service, steps, state),
            Record::Requests { workload, service, step } => self.on_requests(now, workload, service, step, state),
            Record::Utilization { service, dt, demand, used } => {
                self.on_utilization(now, service, (demand, used), dt, state);
            }
            Record::Queue { queue, event } => self.on_queue(now, queue, event, state),
            Record::Messages { service, used } => self.on_message_use(now, service, used, state),
            Record::OwnUse { cluster, cpu } => self.cluster(cluster).own_cpu.set(now, cpu.0 as f64),
            Record::LayersPulled { mib } => self.pulled_mib += mib,
            Record::TaskFailures { count, .. } => {
                if now >= self.warmup {
                    self.tasks_failed += u64::from(count);
                    self.tasks_refused += u64::from(count);
                }
            }
        }
        if !self.idle_spans.is_empty() {
            self.write_idle_spans(state);
        }
    }

    fn audit(&self, state: &State) -> Result<(), String> {
        self.audit_idle(state)
    }

    fn finish(&mut self, now: SimTime, state: &State) {
        if !self.warm && now >= self.warmup {
            self.end_warmup();
        }
        self.conclude(now, state);
    }
}

#[cfg(test)]
mod tests;
