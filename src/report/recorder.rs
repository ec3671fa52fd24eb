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
//! - A host is idle while it is billed and no task but daemons is bound to it: `boot` until its agent has registered,
//!   `draining` once it is to go, `empty` else. Its idle cost is that share of its machine's bill.
//! - `cpu_reserved_ratio`, `memory_reserved_ratio`, `cpu_used_ratio`: of what the hosts of all clusters register, over
//!   time. `idle_cpu_ratio`: the share of the registered CPU that sat on hosts without a task but daemons.
//! - `under_capacity_s`, `over_capacity_s` of a service with a load: minutes in which its running tasks' CPU was below what
//!   the load needed or left a backlog, and minutes in which one task fewer would have kept its CPU target (100 % without
//!   one). Of any other service: time with fewer, or more, tasks running than desired.

mod busiest;
mod host;
mod plan;
mod service;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use slotmap::SecondaryMap;

use crate::catalog::{FargateSize, HOURS_PER_MONTH};
use crate::control_plane::api::{ApiCall, PutScalingPolicy};
use crate::control_plane::estate::{Demand, Estate};
use crate::control_plane::record::{
    Activity, ActivityService, Decision, InstanceStep, Observer, Record, Resource, ServiceEvent, Wants,
};
use crate::control_plane::state::State;
use crate::ec2::instance::{Instance, Market};
use crate::ecs::capacity_provider::Provider;
use crate::ecs::ids::{ClusterId, GroupId, InstanceId, ServiceId, TaskKey, WorkloadId};
use crate::ecs::service::{SchedulingStrategy, ServiceStatus};
use crate::ecs::task::{LaunchTarget, StopCode, Task, TaskStatus};
use crate::ecs::task_definition::Requirements;
use crate::engine::time::{SimDuration, SimTime};
use crate::report::Detail;
use crate::report::bill::{Bill, CostRow, FargateTask, Item, NanoUsd, PriceList, is_high_resolution};
use crate::report::events;
use crate::report::files::{Files, Log, cell};
use crate::report::format::{Seconds, seconds_or_empty};
use crate::report::output::{OutputDir, OutputError};
use crate::report::plot::{PLAN, PicturePlan};
use crate::report::summary::{ReplicationSummary, Unit};
use crate::scaling::alarm::AlarmState;
use crate::scaling::policy::{PolicyDefinition, TrackedMetric};
use crate::scaling::scalable_target::ScaledResource;
use crate::stats::{TimeWeighted, WeightedHistogram};
use crate::units::CpuUnits;
use crate::workload::fluid::StepOutcome;
use crate::workload::rate::Rate;

use busiest::{Busiest, HostLoad};
use host::{HostBook, IDLE_CAUSES};
use plan::service_plan;
use service::{Minute, ServiceBook};

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
    hosts: BTreeMap<InstanceId, HostBook>,
    tasks: SecondaryMap<TaskKey, TaskBook>,
    clusters: Vec<ClusterBook>,
    services: Vec<ServiceBook>,
    workloads: Vec<WorkloadBook>,
    demands: Demands,
    policies: Vec<PutScalingPolicy>,
    waits: WeightedHistogram,
    tasks_started: u64,
    tasks_failed: u64,
    billed_secs: u64,
    idle_cost: [NanoUsd; IDLE_CAUSES.len()],
    idle_cpu_seconds: f64,
    balancer_requests: BTreeMap<String, f64>,
    group_rates: BTreeMap<GroupId, NanoUsd>,
    fargate_rates: BTreeMap<ClusterId, NanoUsd>,
    instance_rows: BTreeMap<InstanceId, [String; 14]>,
    busiest: Busiest,
    events: u64,
    files: Option<Files>,
    summary: ReplicationSummary,
    plan: Option<PicturePlan>,
}

/// What is kept of a task while it lives.
#[derive(Clone, Copy, Debug, Default)]
struct TaskBook {
    /// The host it keeps busy.
    busies: Option<InstanceId>,
    /// CPU it uses by itself on a host, in thousandths of a CPU unit, while it counts.
    own_cpu: Option<u64>,
    /// What its Fargate capacity costs an hour, while it counts.
    rate: Option<NanoUsd>,
    /// Whether its Fargate resources count as in use.
    on_fargate: bool,
}

/// Integrals over one cluster.
#[derive(Debug)]
struct ClusterBook {
    registered_cpu: TimeWeighted,
    reserved_cpu: TimeWeighted,
    registered_memory: TimeWeighted,
    reserved_memory: TimeWeighted,
    /// Milli-CPU-units that tasks on hosts use by themselves.
    own_cpu: TimeWeighted,
    /// vCPU-seconds that loads have used on hosts.
    load_vcpu_seconds: f64,
    fargate: Requirements,
    levels: Option<(SimTime, [f64; LEVELS.len()])>,
    written: [f64; LEVELS.len()],
}

/// What `series.csv` says of a cluster beside CloudWatch's metrics.
const LEVELS: [&str; 8] = [
    "registered_cpu_vcpu",
    "registered_memory_mib",
    "reserved_cpu_vcpu",
    "reserved_memory_mib",
    "demanded_cpu_vcpu",
    "demanded_memory_mib",
    "fargate_cpu_vcpu",
    "fargate_memory_mib",
];

impl ClusterBook {
    fn new() -> Self {
        let zero = TimeWeighted::new(SimTime::ZERO, 0.0);
        Self {
            registered_cpu: zero,
            reserved_cpu: zero,
            registered_memory: zero,
            reserved_memory: zero,
            own_cpu: zero,
            load_vcpu_seconds: 0.0,
            fargate: Requirements::default(),
            levels: None,
            written: [0.0; LEVELS.len()],
        }
    }

    fn forget(&mut self, until: SimTime) {
        for level in [
            &mut self.registered_cpu,
            &mut self.reserved_cpu,
            &mut self.registered_memory,
            &mut self.reserved_memory,
            &mut self.own_cpu,
        ] {
            level.reset(until);
        }
        self.load_vcpu_seconds = 0.0;
    }
}

/// What a workload needs.
#[derive(Debug)]
enum WorkloadBook {
    Requests { cpu_seconds: f64 },
    Other,
}

impl Recorder {
    /// A recorder of one replication for the summary alone.
    pub fn new(estate: &Estate) -> Self {
        let mut cpu_targets = BTreeMap::new();
        let in_actions = estate.actions.iter().filter_map(|action| match &action.call {
            ApiCall::PutScalingPolicy(policy) => Some(policy.as_ref()),
            _ => None,
        });
        let policies: Vec<PutScalingPolicy> = estate.policies.iter().chain(in_actions).cloned().collect();
        for policy in &policies {
            if let ScaledResource::Service { cluster, service } = &policy.resource
                && let PolicyDefinition::TargetTracking(tracking) = &policy.policy
                && matches!(tracking.metric, TrackedMetric::ServiceCpu { .. })
            {
                cpu_targets.entry((cluster.clone(), service.clone())).or_insert(tracking.target / 100.0);
            }
        }
        let workloads = estate
            .workloads
            .iter()
            .map(|workload| match &workload.demand {
                Demand::Requests { cpu_per_request, .. } => {
                    WorkloadBook::Requests { cpu_seconds: cpu_per_request.mean() }
                }
                Demand::Tasks { .. } | Demand::Utilization { .. } => WorkloadBook::Other,
            })
            .collect();
        let utilizations = estate.workloads.iter().filter_map(|workload| match &workload.demand {
            Demand::Utilization { service, cpu: Some(rate), .. } => Some((service.clone(), rate.clone())),
            _ => None,
        });
        let loaded = estate.workloads.iter().filter_map(|workload| match &workload.demand {
            Demand::Requests { service, .. } => Some(service.clone()),
            _ => None,
        });
        Self {
            detail: Detail::Summary,
            scenario: estate.name.clone(),
            seed: estate.seed,
            warmup: SimTime::ZERO + estate.warmup,
            warm: estate.warmup.is_zero(),
            now: SimTime::ZERO,
            prices: PriceList::new(estate),
            bill: Bill::default(),
            hosts: BTreeMap::new(),
            tasks: SecondaryMap::new(),
            clusters: Vec::new(),
            services: Vec::new(),
            workloads,
            demands: Demands { utilizations: utilizations.collect(), loaded: loaded.collect(), cpu_targets },
            policies,
            waits: WeightedHistogram::new(),
            tasks_started: 0,
            tasks_failed: 0,
            billed_secs: 0,
            idle_cost: [NanoUsd::default(); IDLE_CAUSES.len()],
            idle_cpu_seconds: 0.0,
            balancer_requests: BTreeMap::new(),
            group_rates: BTreeMap::new(),
            fargate_rates: BTreeMap::new(),
            instance_rows: BTreeMap::new(),
            busiest: Busiest::default(),
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
                files.finish().map_err(|error| output.refused("", error))?;
            }
            if let Some(plan) = self.plan.filter(|_| self.detail > Detail::Summary) {
                let text = serde_json::to_string_pretty(&plan).map_err(|error| output.refused(PLAN, error.into()))?;
                output.write(PLAN, text + "\n")?;
            }
        }
        Ok(self.summary)
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
    }

    fn cluster(&mut self, id: ClusterId) -> &mut ClusterBook {
        if self.clusters.len() <= id.index() {
            self.clusters.resize_with(id.index() + 1, || {
                let mut book = ClusterBook::new();
                if self.warm {
                    book.forget(self.warmup);
                }
                book
            });
        }
        &mut self.clusters[id.index()]
    }

    /// The book of a service, brought up to `now`.
    fn service(&mut self, id: ServiceId, now: SimTime, state: &State) -> &mut ServiceBook {
        while self.services.len() <= id.index() {
            let place = self.services.len();
            let service = &state.services[place];
            let key = (state.cluster_name(service.cluster).to_owned(), service.name.clone());
            let mut rates =
                self.demands.utilizations.iter().filter(|(name, _)| *name == key).map(|(_, rate)| rate.clone());
            let utilization = match (rates.next(), rates.next()) {
                (first, None) => first,
                // Several demands on one service add up.
                (Some(first), Some(second)) => Some(Rate::Sum([first, second].into_iter().chain(rates).collect())),
                (None, Some(_)) => None,
            };
            self.services.push(ServiceBook {
                resource: state.resource_name(Resource::Service(ServiceId(place as u32))),
                target: self.demands.cpu_targets.get(&key).copied().unwrap_or(1.0),
                utilization,
                has_load: self.demands.loaded.contains(&key),
                since: now,
                running: 0,
                desired: 0,
                definition: None,
                task_vcpus: 0.0,
                capped: false,
                under: 0.0,
                over: 0.0,
                last_activity: None,
                scaling_actions: 0,
                requests: 0.0,
                failed: 0.0,
                latency: WeightedHistogram::new(),
                minute: Minute { began: now, ..Minute::default() },
            });
        }
        let service = state.service(id);
        let book = &mut self.services[id.index()];
        let used = book.advance(now, self.warmup);
        book.follow(service, state);
        if used > 0.0 && !service.launch.is_fargate() {
            let cluster = service.cluster;
            self.cluster(cluster).load_vcpu_seconds += used;
        }
        &mut self.services[id.index()]
    }

    fn on_task(&mut self, now: SimTime, key: TaskKey, task: &Task, from: Option<TaskStatus>, state: &State) {
        let mut book = self.tasks.get(key).copied().unwrap_or_default();
        let stopped = task.last_status == TaskStatus::Stopped;
        self.follow_host(&mut book, task, stopped, now, state);
        self.follow_use(&mut book, task, now, state);
        if task.launch.is_fargate() {
            self.follow_fargate(&mut book, task, stopped, now, state);
        }
        if task.last_status == TaskStatus::Running && from != Some(TaskStatus::Running) && now >= self.warmup {
            self.tasks_started += 1;
            self.waits.record(now.saturating_since(task.times.created).as_secs_f64(), 1.0);
        }
        if stopped {
            if failed(task) && now >= self.warmup {
                self.tasks_failed += 1;
            }
            self.tasks.remove(key);
            self.write_task(task, state);
        } else {
            self.tasks.insert(key, book);
        }
        if let Some(owner) = task.owner {
            self.service(owner.service, now, state);
        }
        self.capacity_changed(now, task.cluster, state);
        if self.detail == Detail::Full && self.files.is_some() {
            let event = events::task_state_change(state, task, now, self.events);
            self.event(&event);
        }
    }

    fn event(&mut self, event: &impl Serialize) {
        self.events += 1;
        if let Some(files) = &mut self.files {
            files.event(event);
        }
    }

    /// A task keeps its host from being idle from its placement until it has stopped.
    fn follow_host(&mut self, book: &mut TaskBook, task: &Task, stopped: bool, now: SimTime, state: &State) {
        let daemon =
            || task.owner.is_some_and(|owner| state.service(owner.service).scheduling == SchedulingStrategy::Daemon);
        if !stopped
            && book.busies.is_none()
            && let Some(instance) = task.instance
            && !daemon()
            && let Some(host) = self.hosts.get_mut(&instance)
        {
            // Told of it only now, but bound before: idle time ends there.
            let placed = task.times.placed.unwrap_or(now);
            self.idle_cpu_seconds += host.settle(placed, self.warmup);
            host.idle_since = None;
            host.tasks += 1;
            book.busies = Some(instance);
        }
        if stopped
            && let Some(instance) = book.busies.take()
            && let Some(host) = self.hosts.get_mut(&instance)
        {
            host.tasks -= 1;
            if host.tasks == 0 && host.running.is_some() && host.stopped.is_none() {
                host.idle_since = Some(now);
            }
        }
    }

    /// CPU that a task uses by itself while it runs.
    fn follow_use(&mut self, book: &mut TaskBook, task: &Task, now: SimTime, state: &State) {
        let runs = task.last_status == TaskStatus::Running;
        match (book.own_cpu, runs) {
            (None, true) if !task.launch.is_fargate() && task.cpu_fraction > 0.0 => {
                let reserved = state.requirements(task.shape).cpu;
                let own = (task.cpu_fraction * reserved.0 as f64 * 1000.0).round() as u64;
                book.own_cpu = Some(own);
                self.cluster(task.cluster).own_cpu.add(now, own as f64);
            }
            (Some(own), false) => {
                book.own_cpu = None;
                self.cluster(task.cluster).own_cpu.add(now, -(own as f64));
            }
            _ => {}
        }
    }

    fn follow_fargate(&mut self, book: &mut TaskBook, task: &Task, stopped: bool, now: SimTime, state: &State) {
        let needs = state.requirements(task.shape);
        let (cpu, memory) = (needs.cpu, needs.memory);
        let total = &mut self.cluster(task.cluster).fargate;
        match (book.on_fargate, stopped) {
            (false, false) => {
                total.cpu += cpu;
                total.memory += memory;
                book.on_fargate = true;
            }
            (true, true) => {
                total.cpu -= cpu;
                total.memory -= memory;
                book.on_fargate = false;
            }
            _ => {}
        }
        if book.rate.is_none() && !stopped && task.times.pull_started.is_some() && self.writes_series() {
            let hour = NanoUsd::from_usd(self.prices.fargate_hour(fargate_task(task, state)));
            book.rate = Some(hour);
            self.fargate_rate(task.cluster, hour, now, state);
        }
        if stopped {
            if let Some(rate) = book.rate.take() {
                self.fargate_rate(task.cluster, -rate, now, state);
            }
            self.charge_fargate(task, now, state);
        }
    }

    fn charge_fargate(&mut self, task: &Task, until: SimTime, state: &State) {
        // FG-2: a task that never pulled an image costs nothing.
        let Some(from) = task.times.pull_started else { return };
        let ran = until.saturating_since(from);
        for row in self.prices.fargate_rows(&format!("{:032x}", task.id), ran, fargate_task(task, state)) {
            self.charge(&row);
        }
    }

    fn fargate_rate(&mut self, cluster: ClusterId, by: NanoUsd, now: SimTime, state: &State) {
        let rate = self.fargate_rates.entry(cluster).or_default();
        *rate += by;
        let rate = rate.as_usd();
        self.level(now, &state.resource_name(Resource::Cluster(cluster)), "cost_per_hour_usd", rate);
    }

    fn group_rate(&mut self, group: GroupId, by: NanoUsd, now: SimTime, state: &State) {
        if !self.writes_series() {
            return;
        }
        let rate = self.group_rates.entry(group).or_default();
        *rate += by;
        let rate = rate.as_usd();
        self.level(now, &state.resource_name(Resource::Group(group)), "cost_per_hour_usd", rate);
    }

    fn level(&mut self, at: SimTime, resource: &str, metric: &str, value: f64) {
        if let Some(files) = &mut self.files {
            files.sample(at, resource, metric, value);
        }
    }

    fn write_task(&mut self, task: &Task, state: &State) {
        if self.detail != Detail::Full {
            return;
        }
        let Some(files) = &mut self.files else { return };
        files.task(&[
            format!("{:032x}", task.id),
            state.task_group_name(task.group).to_owned(),
            state.definition_name(task.definition),
            state.cluster_name(task.cluster).to_owned(),
            task.launch.launch_type().to_owned(),
            cell(state.launch_provider_name(task.launch)),
            cell(task.instance.map(InstanceId::ec2_id)),
            cell(task.zone.map(|zone| state.zone_name(zone))),
            Seconds(task.times.created).to_string(),
            seconds_or_empty(task.times.pending),
            seconds_or_empty(task.times.started),
            seconds_or_empty(task.times.stopping),
            seconds_or_empty(task.times.stopped),
            cell(task.stop.as_ref().map(|stop| stop.code.as_str())),
            cell(task.stop.as_ref().map(|stop| &stop.reason)),
        ]);
    }

    fn on_instance(&mut self, now: SimTime, id: InstanceId, step: InstanceStep, state: &State) {
        let Some(instance) = state.instance(id) else { return };
        let warmup = self.warmup;
        let group = instance.group;
        if step == InstanceStep::Launched {
            let rate = NanoUsd::from_usd(self.prices.host_hour(&instance.instance_type, instance.market()));
            self.hosts.insert(
                id,
                HostBook {
                    group,
                    rate,
                    registered_vcpus: 0.0,
                    registered: false,
                    leaving: false,
                    running: None,
                    stopped: None,
                    tasks: 0,
                    idle_since: None,
                    idle: [SimDuration::ZERO; IDLE_CAUSES.len()],
                    version: 0,
                },
            );
        }
        let Some(host) = self.hosts.get_mut(&id) else { return };
        self.idle_cpu_seconds += host.settle(now, warmup);
        let rate = host.rate;
        match step {
            InstanceStep::Launched | InstanceStep::InService | InstanceStep::Protection => {}
            InstanceStep::Running => {
                host.running.get_or_insert(now);
                host.stopped = None;
                if host.tasks == 0 {
                    host.idle_since = Some(now);
                }
                self.group_rate(group, rate, now, state);
            }
            InstanceStep::Registered => {
                host.registered = true;
                let registered = state.clusters.iter().find_map(|entry| entry.cluster.instance(id));
                host.registered_vcpus = registered.map_or(0.0, |host| host.registered.cpu.as_vcpus());
            }
            InstanceStep::Draining | InstanceStep::Terminating => host.leaving = true,
            InstanceStep::Activated => host.leaving = false,
            InstanceStep::ShuttingDown => {
                host.idle_since = None;
                if host.running.is_some() && host.stopped.is_none() {
                    host.stopped = Some(now);
                    self.group_rate(group, -rate, now, state);
                }
            }
            InstanceStep::Terminated => self.close_host(id, instance, now, state),
        }
    }

    /// A host is gone, or the run is over: its bill.
    fn close_host(&mut self, id: InstanceId, instance: &Instance, now: SimTime, state: &State) {
        let Some(mut host) = self.hosts.remove(&id) else { return };
        self.idle_cpu_seconds += host.settle(now, self.warmup);
        let name = id.ec2_id().to_string();
        let billed = instance.billed_seconds(now);
        self.billed_secs += billed;
        let hours = billed as f64 / 3600.0;
        let item = match instance.market() {
            Market::OnDemand => Item::Ec2OnDemand,
            Market::Spot => Item::Ec2Spot,
        };
        let price = self.prices.instance_hour(&instance.instance_type, instance.market());
        let machine = CostRow::new(item, name.as_str(), hours, "instance-hour", price);
        let machine_cost = machine.cost;
        let lived = instance.terminated.unwrap_or(now).saturating_since(instance.launched);
        let volume = self.prices.root_volume().map(|(gib, price)| {
            let months = gib * lived.as_secs_f64() / 3600.0 / HOURS_PER_MONTH;
            CostRow::new(Item::Ebs, name.as_str(), months, "GB-month", price)
        });
        let address = self.prices.public_ipv4_hour();
        let address = address.map(|price| CostRow::new(Item::PublicIpv4, name.as_str(), hours, "address-hour", price));
        let rows = [(billed > 0).then_some(machine), volume, address.filter(|_| billed > 0)];
        for row in rows.into_iter().flatten() {
            self.charge(&row);
        }
        let ran = host.running.map_or(SimDuration::ZERO, |from| host.stopped.unwrap_or(now).saturating_since(from));
        // Shares of running sums, so that the parts of a host that idled all the time add up to its whole cost.
        let (mut idled, mut shared) = (SimDuration::ZERO, NanoUsd::default());
        for (total, idle) in self.idle_cost.iter_mut().zip(host.idle) {
            idled += idle;
            let share = machine_cost.share(idled.min(ran), ran);
            *total += share + -shared;
            shared = share;
        }
        if self.files.is_some() {
            let seconds = seconds_or_empty;
            let row = [
                name,
                state.groups[host.group.index()].definition.name.clone(),
                instance.instance_type.to_string(),
                state.zone_name(instance.zone()).to_owned(),
                instance.market().to_string(),
                Seconds(instance.launched).to_string(),
                seconds(instance.in_service),
                seconds(instance.registered),
                seconds(instance.draining),
                seconds(instance.terminating),
                seconds(instance.terminated),
                billed.to_string(),
                machine_cost.to_string(),
                cell(instance.termination_cause),
            ];
            self.instance_rows.insert(id, row);
        }
    }

    fn on_container_instance(&mut self, now: SimTime, cluster: ClusterId, id: InstanceId, state: &State) {
        if self.detail != Detail::Full || self.files.is_none() {
            return;
        }
        let found = state.clusters[cluster.index()].cluster.instance(id);
        let load = found.map(|host| HostLoad {
            zone: host.zone_name.clone(),
            registered_cpu: host.registered.cpu,
            reserved_cpu: host.registered.cpu - host.remaining.cpu,
            registered_memory: host.registered.memory.0,
            reserved_memory: (host.registered.memory - host.remaining.memory).0,
        });
        self.busiest.set(id, load, now);
        if let Some(host) = found {
            let version = self.hosts.get_mut(&id).map_or(0, |book| {
                book.version += 1;
                book.version
            });
            let event = events::container_instance_state_change(state, cluster, host, version, now, self.events);
            self.event(&event);
        }
    }

    /// A cluster's resources, or what is asked of them, have changed.
    fn capacity_changed(&mut self, now: SimTime, id: ClusterId, state: &State) {
        let totals = state.clusters[id.index()].cluster.totals();
        let writes = self.writes_series();
        let book = self.cluster(id);
        for (level, value) in [
            (&mut book.registered_cpu, totals.registered_cpu.0),
            (&mut book.reserved_cpu, totals.reserved_cpu.0),
            (&mut book.registered_memory, totals.registered_memory.0),
            (&mut book.reserved_memory, totals.reserved_memory.0),
        ] {
            if level.value() != value as f64 {
                level.set(now, value as f64);
            }
        }
        if !writes {
            return;
        }
        let waiting = waiting(id, state);
        let fargate = &book.fargate;
        let reserved = (totals.reserved_cpu + fargate.cpu, totals.reserved_memory + fargate.memory);
        let levels = [
            totals.registered_cpu.as_vcpus(),
            totals.registered_memory.0 as f64,
            reserved.0.as_vcpus(),
            reserved.1.0 as f64,
            (reserved.0 + waiting.cpu).as_vcpus(),
            (reserved.1 + waiting.memory).0 as f64,
            fargate.cpu.as_vcpus(),
            fargate.memory.0 as f64,
        ];
        book.levels = Some((now, levels));
    }

    /// Writes the levels that the last instant left behind.
    fn flush_levels(&mut self, state: &State) {
        let Some(files) = &mut self.files else { return };
        for (place, book) in self.clusters.iter_mut().enumerate() {
            let Some((at, levels)) = book.levels.take() else { continue };
            let resource = state.resource_name(Resource::Cluster(ClusterId(place as u32)));
            for ((metric, value), written) in LEVELS.iter().zip(levels).zip(&mut book.written) {
                if value != *written {
                    *written = value;
                    files.sample(at, &resource, metric, value);
                }
            }
        }
    }

    fn on_fluid(&mut self, now: SimTime, workload: WorkloadId, id: ServiceId, step: &StepOutcome, state: &State) {
        let counts = now > self.warmup;
        let service = state.service(id);
        let (on_hosts, cluster) = (!service.launch.is_fargate(), service.cluster);
        let balancer = service
            .load_balancers
            .first()
            .and_then(|(group, _)| state.target_groups[group.index()].definition.load_balancer.as_ref());
        if let Some(name) = balancer {
            match self.balancer_requests.get_mut(name) {
                Some(requests) => *requests += step.arrived,
                None => {
                    self.balancer_requests.insert(name.clone(), step.arrived);
                }
            }
        }
        let cpu_seconds = match self.workloads.get(workload.index()) {
            Some(WorkloadBook::Requests { cpu_seconds }) => *cpu_seconds,
            _ => 0.0,
        };
        let warmup = self.warmup;
        let book = self.service(id, now, state);
        let minute = &mut book.minute;
        minute.vcpu_seconds += step.arrived * cpu_seconds;
        minute.backlog |= step.backlog >= 1.0;
        for point in step.latency.iter().filter(|point| point.weight > 0.0) {
            minute.latency.record(point.latency, point.weight);
        }
        if counts {
            book.requests += step.arrived;
            book.failed += step.failed.total();
        }
        if now.saturating_since(book.minute.began) >= SimDuration::MINUTE {
            self.end_minute(id, now, warmup);
        }
        if counts && on_hosts {
            self.cluster(cluster).load_vcpu_seconds += step.cpu_used;
        }
    }

    /// A minute of a service's load is over: it is judged, and its latencies are written.
    fn end_minute(&mut self, id: ServiceId, now: SimTime, warmup: SimTime) {
        let book = &mut self.services[id.index()];
        let mut minute = std::mem::take(&mut book.minute);
        let began = minute.began;
        let seconds = now.saturating_since(began).as_secs_f64();
        if book.has_load && seconds > 0.0 && began >= warmup {
            book.judge(seconds, minute.task_seconds / seconds, minute.vcpu_seconds / seconds, minute.backlog);
        }
        if now > warmup {
            book.latency.merge(&minute.latency);
        }
        let figures = [
            ("latency_mean_s", minute.latency.mean()),
            ("latency_p50_s", minute.latency.quantile(0.5)),
            ("latency_p95_s", minute.latency.quantile(0.95)),
            ("latency_p99_s", minute.latency.quantile(0.99)),
        ];
        minute.latency.reset();
        book.minute = Minute { began: now, latency: minute.latency, ..Minute::default() };
        if let Some(files) = &mut self.files {
            for (metric, value) in figures {
                if let Some(value) = value {
                    files.sample(began, &self.services[id.index()].resource, metric, value);
                }
            }
        }
    }

    fn on_decision(&mut self, now: SimTime, decision: &Decision) {
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
        if scaled && activity.status != "Failed" {
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

    /// Fills the summary and writes what is known only at the end.
    fn conclude(&mut self, now: SimTime, state: &State) {
        self.flush_levels(state);
        for place in 0..state.services.len() {
            let id = ServiceId(place as u32);
            self.service(id, now, state);
            self.end_minute(id, now, self.warmup);
        }
        let alive: Vec<InstanceId> = self.hosts.keys().copied().collect();
        for id in alive {
            if let Some(instance) = state.instance(id) {
                self.close_host(id, instance, now, state);
            }
        }
        let mut running: Vec<&Task> = state
            .tasks
            .iter()
            .filter(|(key, task)| self.tasks.contains_key(*key) && task.last_status != TaskStatus::Stopped)
            .map(|(_, task)| task)
            .collect();
        running.sort_unstable_by_key(|task| task.number);
        for task in running {
            if task.launch.is_fargate() {
                self.charge_fargate(task, now, state);
            }
            self.write_task(task, state);
        }
        self.charge_balancers(now, state);
        self.charge_alarms(now, state);
        if let Some(files) = &mut self.files {
            for row in std::mem::take(&mut self.instance_rows).values() {
                files.instance(row);
            }
            for (id, load) in self.busiest.at_peak() {
                files.packing(&[
                    Seconds(self.busiest.at).to_string(),
                    id.ec2_id().to_string(),
                    load.zone.to_string(),
                    load.registered_cpu.0.to_string(),
                    load.reserved_cpu.0.to_string(),
                    load.registered_memory.to_string(),
                    load.reserved_memory.to_string(),
                ]);
            }
        }
        self.summarize(now);
        self.plan = Some(self.picture_plan(now, state));
    }

    fn charge_balancers(&mut self, now: SimTime, state: &State) {
        // A begun hour counts as a whole one.
        let hours = now.as_nanos().div_ceil(SimDuration::HOUR.as_nanos());
        for balancer in &state.load_balancers {
            let requests = self.balancer_requests.get(&balancer.name).copied().unwrap_or(0.0);
            for row in self.prices.load_balancer_rows(&balancer.name, balancer.network, hours, requests) {
                self.charge(&row);
            }
        }
    }

    fn charge_alarms(&mut self, now: SimTime, state: &State) {
        let mut standard = 0;
        for entry in &state.alarms {
            let lived = entry.deleted.unwrap_or(now).saturating_since(entry.created);
            let row = self.prices.alarm_row(&entry.alarm.definition, lived, standard);
            standard += usize::from(!is_high_resolution(&entry.alarm.definition));
            self.charge(&row);
        }
    }

    fn summarize(&mut self, now: SimTime) {
        let mut summary = ReplicationSummary::default();
        summary.set("cost_usd", self.bill.total().as_usd(), Unit::Usd);
        for (item, total) in self.bill.items() {
            summary.set(format!("cost_{}_usd", item.as_str()), total.as_usd(), Unit::Usd);
        }
        summary.set("idle_cost_usd", self.idle_cost.into_iter().sum::<NanoUsd>().as_usd(), Unit::Usd);
        for (cause, cost) in IDLE_CAUSES.iter().zip(self.idle_cost) {
            summary.set(format!("idle_{cause}_usd"), cost.as_usd(), Unit::Usd);
        }
        summary.set("instance_hours", self.billed_secs as f64 / 3600.0, Unit::Hours);
        let integral = |pick: fn(&ClusterBook) -> &TimeWeighted| -> f64 {
            self.clusters.iter().map(|book| pick(book).integral(now)).sum()
        };
        let registered_cpu = integral(|book| &book.registered_cpu);
        let registered_memory = integral(|book| &book.registered_memory);
        if registered_cpu > 0.0 {
            let unit = CpuUnits::PER_VCPU as f64;
            let own = integral(|book| &book.own_cpu) / 1000.0;
            let loads = self.clusters.iter().map(|book| book.load_vcpu_seconds).sum::<f64>() * unit;
            let idle = self.idle_cpu_seconds * unit;
            summary.set("idle_cpu_ratio", (idle / registered_cpu).min(1.0), Unit::Ratio);
            summary.set("cpu_reserved_ratio", integral(|book| &book.reserved_cpu) / registered_cpu, Unit::Ratio);
            summary.set("cpu_used_ratio", (own + loads) / registered_cpu, Unit::Ratio);
        }
        if registered_memory > 0.0 {
            let reserved = integral(|book| &book.reserved_memory);
            summary.set("memory_reserved_ratio", reserved / registered_memory, Unit::Ratio);
        }
        summary.set("tasks_started", self.tasks_started as f64, Unit::Count);
        summary.set("tasks_failed", self.tasks_failed as f64, Unit::Count);
        for (name, p) in [("task_wait_p50_s", 0.5), ("task_wait_p99_s", 0.99)] {
            summary.set(name, self.waits.quantile(p).unwrap_or(f64::NAN), Unit::Seconds);
        }
        for book in &self.services {
            let resource = &book.resource;
            let mut set = |metric: &str, value: f64, unit| summary.set(format!("{resource}:{metric}"), value, unit);
            if book.has_load {
                set("requests", book.requests, Unit::Count);
                set("requests_failed", book.failed, Unit::Count);
                set("latency_mean_s", book.latency.mean().unwrap_or(f64::NAN), Unit::Seconds);
                for (metric, p) in [("latency_p50_s", 0.5), ("latency_p95_s", 0.95), ("latency_p99_s", 0.99)] {
                    set(metric, book.latency.quantile(p).unwrap_or(f64::NAN), Unit::Seconds);
                }
            }
            set("scaling_actions", book.scaling_actions as f64, Unit::Count);
            set("under_capacity_s", book.under, Unit::Seconds);
            set("over_capacity_s", book.over, Unit::Seconds);
        }
        for note in self.prices.notes() {
            summary.note(note);
        }
        if self.warmup > SimTime::ZERO {
            summary
                .note("statistics leave out the warm-up; the bill, instance hours and idle costs are of the whole run");
        }
        self.summary = summary;
    }

    fn picture_plan(&self, now: SimTime, state: &State) -> PicturePlan {
        let services = state
            .services
            .iter()
            .enumerate()
            .map(|(place, service)| service_plan(ServiceId(place as u32), service, &self.policies, state))
            .collect();
        PicturePlan {
            scenario: self.scenario.clone(),
            seed: self.seed,
            start: state.start,
            duration_s: now.as_secs_f64(),
            warmup_s: self.warmup.as_secs_f64(),
            services,
        }
    }
}

/// Demands of the scenario by cluster and service.
#[derive(Debug)]
struct Demands {
    utilizations: Vec<((String, String), Rate)>,
    loaded: Vec<(String, String)>,
    cpu_targets: BTreeMap<(String, String), f64>,
}

/// Whether a task ended otherwise than it should.
fn failed(task: &Task) -> bool {
    task.stop.as_ref().is_some_and(|stop| match stop.code {
        StopCode::TaskFailedToStart | StopCode::SpotInterruption | StopCode::TerminationNotice => true,
        StopCode::EssentialContainerExited => task.exit_code.is_some_and(|code| code != 0),
        StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated => false,
    })
}

fn fargate_task(task: &Task, state: &State) -> FargateTask {
    let definition = &state.definitions[task.definition.index()].definition;
    let needs = state.requirements(task.shape);
    FargateTask {
        size: FargateSize {
            cpu: needs.cpu,
            memory: needs.memory,
            ephemeral_storage_gib: definition.ephemeral_storage_gib,
        },
        os: definition.operating_system,
        architecture: definition.cpu_architecture,
        spot: task.launch == LaunchTarget::Provider(Provider::FargateSpot),
    }
}

/// What waits for capacity on a cluster's hosts: tasks in PROVISIONING, and tasks that a service wants and cannot start.
fn waiting(cluster: ClusterId, state: &State) -> Requirements {
    let mut total = Requirements::default();
    for provider in state.providers.iter().filter(|provider| provider.cluster == cluster) {
        for task in provider.waiting.values().filter_map(|key| state.tasks.get(*key)) {
            let needs = state.requirements(task.shape);
            total.cpu += needs.cpu;
            total.memory += needs.memory;
        }
    }
    for service in &state.services {
        let counts = service.cluster == cluster
            && service.status == ServiceStatus::Active
            && service.scheduling == SchedulingStrategy::Replica
            && !service.launch.is_fargate();
        let missing = u64::from(service.desired).saturating_sub(service.tasks.len() as u64);
        if let Some(definition) = service.definition().filter(|_| counts && missing > 0) {
            let needs = state.definitions[definition.index()].definition.requirements();
            total.cpu += needs.cpu * missing;
            total.memory += needs.memory * missing;
        }
    }
    total
}

impl Observer for Recorder {
    fn wants(&self) -> Wants {
        let full = self.detail == Detail::Full && self.files.is_some();
        Wants { decisions: full, activities: true, series: self.writes_series(), events: full }
    }

    fn observe(&mut self, now: SimTime, record: &Record<'_>, state: &State) {
        if now > self.now {
            self.flush_levels(state);
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
            Record::Level { resource, metric, value } => {
                if let Resource::Service(id) = resource {
                    self.service(id, now, state);
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
                let name = &state.alarms[alarm.index()].alarm.definition.name;
                if let Some(files) = &mut self.files {
                    files.alarm(now, name, alarm_state(to), reason);
                }
            }
            Record::Decision(decision) => self.on_decision(now, decision),
            Record::Activity(activity) => self.on_activity(now, activity, state),
            Record::ServiceEvent(event) => self.on_service_event(now, event, state),
            Record::Notification { alarm, target, state: to, reason } => {
                let name = &state.alarms[alarm.index()].alarm.definition.name;
                let line = json!({ "target": target, "alarm": name, "state": alarm_state(to), "reason": reason });
                if let Some(files) = &mut self.files {
                    files.log(Log::Notifications, now, &line);
                }
            }
            Record::Fluid { workload, service, step } => self.on_fluid(now, workload, service, step, state),
            Record::TaskFailures { count, .. } => {
                if now >= self.warmup {
                    self.tasks_failed += u64::from(count);
                }
            }
        }
    }

    fn finish(&mut self, now: SimTime, state: &State) {
        if !self.warm && now >= self.warmup {
            self.end_warmup();
        }
        self.conclude(now, state);
    }
}

/// A state as CloudWatch spells it.
const fn alarm_state(state: AlarmState) -> &'static str {
    match state {
        AlarmState::InsufficientData => "INSUFFICIENT_DATA",
        AlarmState::Ok => "OK",
        AlarmState::Alarm => "ALARM",
    }
}

#[cfg(test)]
mod tests;
