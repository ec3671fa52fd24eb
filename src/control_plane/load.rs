//! Load on services: what workloads ask for, and how much CPU and memory the tasks use.
//!
//! How it goes on step by step is [`steps`]', what the tasks of a service can use of their hosts
//! [`cpu_sharing`](super::cpu_sharing)'s.

mod steps;

use std::collections::BTreeMap;

use crate::control_plane::ControlPlane;
use crate::control_plane::cpu_sharing::{self, Part, SharedHosts};
use crate::control_plane::estate::{Demand, Estate, RequestModel};
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::record::Record;
use crate::control_plane::requests::GroupTally;
use crate::control_plane::task_readings::{MeasuredUse, OwnLevels, TaskUse};
use crate::control_plane::traffic::LaneKey;
use crate::ecs::cpu_shares::{Asker, share};
use crate::ecs::ids::{ClusterId, ServiceId, TargetGroupId, TaskKey, WorkloadId};
use crate::ecs::target_group::TargetGroup;
use crate::ecs::task::{Task, TaskOwner, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::streams::Streams;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::{CpuMilliUnits, CpuUnits};
use crate::workload::failed::FailureCause;
use crate::workload::fluid::{Request, StepOutcome};
use crate::workload::rate::Rate;

use steps::Pace;

/// What is added before a size is cut to whole MiB: a share of it may be a hair below.
const GUARD: f64 = 1e-9;

/// CPU and memory in use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// vCPUs.
    pub(super) vcpus: f64,
    /// MiB.
    pub(super) memory_mib: f64,
}

/// The load on every service.
#[derive(Debug)]
pub(super) struct Load {
    workloads: Vec<Option<ServiceLoad>>,
    pub(super) services: Vec<ServiceUse>,
    pub(super) clusters: Vec<ClusterUse>,
    /// Hosts whose CPU has to be divided.
    pub(super) shared: SharedHosts,
    target_groups: Vec<TargetGroupMinute>,
    /// The longest step of a calm load.
    longest_step: SimDuration,
    /// Workloads whose long step may have to be broken off.
    disturbed: Vec<WorkloadId>,
    /// Tasks of each service that became RUNNING since the minute began (ECSM-5).
    pub(super) recent_starts: Vec<Vec<(SimTime, TaskKey)>>,
}

/// A workload on a service.
#[derive(Debug)]
struct ServiceLoad {
    /// The newest service of that name; none before it is created.
    service: Option<ServiceId>,
    /// What it asks of all tasks together at present, in vCPUs.
    demand: f64,
    kind: LoadKind,
    pace: Pace,
}

impl ServiceLoad {
    /// Whether it is a flow; the jobs of others are simulated one by one.
    fn is_modelled(&self) -> bool {
        matches!(self.kind, LoadKind::Requests { .. } | LoadKind::Utilization { .. })
    }
}

#[derive(Debug)]
enum LoadKind {
    Requests {
        rate: Rate,
        request: Request,
        lanes: BTreeMap<LaneKey, LaneLoad>,
    },
    Utilization {
        cpu: Option<Rate>,
        memory: Option<Rate>,
    },
    /// Its messages are simulated one by one; here their CPU is counted.
    Messages,
    /// Its requests likewise.
    PerRequest,
}

/// What a workload asks of the tasks of one lane.
#[derive(Clone, Copy, Debug, Default)]
struct LaneLoad {
    /// Requests that wait.
    backlog: f64,
    /// vCPUs asked for at present.
    demand: f64,
}

/// When a task begins to take the load of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadGate {
    /// `utilization`: when it runs.
    Running,
    /// Messages, and requests without a load balancer: when it runs and its `startup` is over. The 40 s of SVC-7 are the scheduler's
    /// patience, not the task's.
    Started,
    /// Requests from a load balancer: while its targets are healthy, or fail open (ELB-6).
    HealthyTargets,
}

/// What the tasks of a service use.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceUse {
    /// vCPU seconds that workloads have used since the last reading, and since the minute began.
    since_reading: f64,
    since_minute: f64,
    last_reading: SimTime,
    /// Running tasks, times seconds, since the last reading: step by step, as the use of workloads is counted.
    task_seconds: f64,
    /// Memory that a `utilization` workload asks for, all tasks together.
    memory_mib: Option<f64>,
    /// What its tasks would use by themselves (`behaviour.cpu`, `behaviour.memory`).
    own: OwnUse,
    /// The same task by task: thousandths of CPU units, whole MiB.
    own_levels: [OwnLevels; 2],
    /// Of real containers: their CPU over time.
    measured: MeasuredUse,
    /// Its workloads.
    pub(super) loads: Vec<WorkloadId>,
    /// Moves whenever something may have changed that their steps depend on.
    epoch: u64,
    /// Tasks that take load, what these can use, and what own use has to give way.
    pub(super) part: Part,
    /// The same by lane.
    pub(super) lanes: BTreeMap<LaneKey, Part>,
    /// Where tasks on Fargate that take load are counted, and with what.
    on_fargate: BTreeMap<TaskKey, (LaneKey, Part)>,
}

impl ServiceUse {
    fn add_part(&mut self, lane: LaneKey, part: Part) {
        self.part.add(part);
        self.lanes.entry(lane).or_default().add(part);
    }

    fn remove_part(&mut self, lane: LaneKey, part: Part) {
        self.part.remove(part);
        if let Some(total) = self.lanes.get_mut(&lane) {
            total.remove(part);
            if *total == Part::default() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// What workloads have used, in the minute that ends now, of each task that takes load.
    pub(super) fn vcpus_per_taker(&self) -> f64 {
        let minute = SimDuration::MINUTE.as_secs_f64();
        if self.part.takers > 0 { self.since_minute / minute / f64::from(self.part.takers) } else { 0.0 }
    }

    /// What its tasks move while they run: bytes received, sent, read and written a second.
    pub(super) fn bytes_per_second(&self) -> [f64; 4] {
        self.own.bytes_per_second.map(|bytes| bytes as f64)
    }

    /// The lane that a task on Fargate is counted in.
    pub(super) fn lane_on_fargate(&self, key: TaskKey) -> Option<LaneKey> {
        self.on_fargate.get(&key).map(|(lane, _)| *lane)
    }
}

/// What the tasks on a cluster's hosts use by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClusterUse {
    /// What they would use.
    pub(super) own: OwnUse,
    /// What of that their hosts cannot give.
    pub(super) cut: CpuMilliUnits,
    /// What observers know.
    told: CpuMilliUnits,
    /// Tasks that run, those on Fargate included (CIM-1).
    pub(super) running: u32,
}

/// Use that each task brings by itself, summed over running tasks in integers so that it returns to zero exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OwnUse {
    pub(super) cpu: CpuMilliUnits,
    /// Whole MiB (ECSM-4).
    memory_mib: u64,
    /// Received, sent, read from storage, written to it (CIM-1).
    bytes_per_second: [u64; 4],
}

impl OwnUse {
    /// The most memory that a task counts with: 2^24 of them can be added up.
    const MOST_MIB: u64 = 1 << 30;

    /// What a task would use; on Fargate its size is a hard cap.
    pub(super) fn of(task: &Task, reserved: CpuUnits) -> Self {
        let mut cpu = CpuMilliUnits::from_vcpus(task.cpu_fraction * reserved.as_vcpus());
        if task.launch.is_fargate() {
            cpu = cpu.min(reserved.into());
        }
        Self { cpu, memory_mib: task.memory_reported_mib.min(Self::MOST_MIB), bytes_per_second: task.bytes_per_second }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.memory_mib += other.memory_mib;
        for (total, bytes) in self.bytes_per_second.iter_mut().zip(other.bytes_per_second) {
            *total = total.saturating_add(bytes);
        }
    }

    fn remove(&mut self, other: Self) {
        self.cpu -= other.cpu;
        self.memory_mib -= other.memory_mib;
        for (total, bytes) in self.bytes_per_second.iter_mut().zip(other.bytes_per_second) {
            *total = total.saturating_sub(bytes);
        }
    }

    pub(super) fn memory_mib(self) -> f64 {
        self.memory_mib as f64
    }
}

/// What a target group has seen since the minute began.
#[derive(Clone, Debug, Default)]
pub(super) struct TargetGroupMinute {
    /// What its balancer counted.
    pub(super) tally: GroupTally,
    /// Mean number of healthy targets.
    pub(super) mean_healthy: f64,
    healthy_seconds: f64,
    since: SimTime,
    began: SimTime,
}

impl Load {
    /// Before time zero; random rates are drawn from `streams`, up to the end of the run. In a `real` run requests are sent
    /// one by one, however they would be simulated.
    pub(super) fn new(estate: &Estate, streams: &Streams, real: bool) -> Self {
        let end = SimTime::ZERO + estate.duration;
        let workloads = estate
            .workloads
            .iter()
            .map(|workload| {
                let drawn = |rate: &Rate, part| rate.drawn(streams, &format!("{part}/{}", workload.name), end);
                let kind = match &workload.demand {
                    Demand::Tasks { .. } => return None,
                    Demand::Messages(_) => LoadKind::Messages,
                    Demand::Requests { .. } if real => LoadKind::PerRequest,
                    Demand::Requests { model: RequestModel::PerRequest(_), .. } => LoadKind::PerRequest,
                    Demand::Requests { rate, cpu_per_request, latency_floor, timeout, .. } => {
                        let request = Request {
                            cpu: cpu_per_request.mean(),
                            cpu_cv: cpu_per_request.cv(),
                            floor: latency_floor.mean(),
                            floor_cv: latency_floor.cv(),
                            timeout: timeout.as_secs_f64(),
                        };
                        LoadKind::Requests { rate: drawn(rate, "rate"), request, lanes: BTreeMap::new() }
                    }
                    Demand::Utilization { cpu, memory, .. } => {
                        let cpu = cpu.as_ref().map(|rate| drawn(rate, "rate"));
                        LoadKind::Utilization { cpu, memory: memory.as_ref().map(|rate| drawn(rate, "memory")) }
                    }
                };
                Some(ServiceLoad { service: None, demand: 0.0, kind, pace: Pace::new() })
            })
            .collect();
        Self {
            workloads,
            services: Vec::new(),
            clusters: Vec::new(),
            shared: SharedHosts::default(),
            target_groups: vec![TargetGroupMinute::default(); estate.target_groups.len()],
            longest_step: steps::LONG,
            disturbed: Vec::new(),
            recent_starts: Vec::new(),
        }
    }

    /// The CPU that each `utilization` workload asks for, as it was drawn.
    pub(super) fn utilizations(&self) -> impl Iterator<Item = (WorkloadId, &Rate)> {
        self.workloads.iter().enumerate().filter_map(|(place, load)| match &load.as_ref()?.kind {
            LoadKind::Utilization { cpu: Some(cpu), .. } => Some((WorkloadId(place as u32), cpu)),
            _ => None,
        })
    }

    /// A cluster has been created.
    pub(super) fn add_cluster(&mut self) {
        self.clusters.push(ClusterUse::default());
    }

    /// A service has been created, and `loads` are the workloads on it.
    pub(super) fn add_service(&mut self, loads: Vec<WorkloadId>, now: SimTime) {
        let id = ServiceId(self.services.len() as u32);
        for load in &loads {
            let before = self.workloads[load.index()].as_ref().and_then(|load| load.service);
            if let Some(before) = before {
                self.disturb(before);
            }
            if let Some(load) = &mut self.workloads[load.index()] {
                load.service = Some(id);
            }
        }
        self.services.push(ServiceUse { last_reading: now, loads, ..ServiceUse::default() });
        self.recent_starts.push(Vec::new());
    }

    /// What a workload asks of all tasks of its service together at present, in vCPUs.
    pub(super) fn demand(&self, id: WorkloadId) -> f64 {
        self.workloads[id.index()].as_ref().map_or(0.0, |load| load.demand)
    }

    /// The same of the tasks of one lane, and of those that differ from it by their strength alone; a workload that knows no
    /// lanes asks for their `share` of all.
    pub(super) fn demand_in(&self, id: WorkloadId, lane: LaneKey, share: f64) -> f64 {
        match self.workloads[id.index()].as_ref().map(|load| (&load.kind, load.demand)) {
            Some((LoadKind::Requests { lanes, .. }, _)) => {
                lanes.iter().filter(|(key, _)| key.is_like(lane)).map(|(_, load)| load.demand).sum()
            }
            Some((LoadKind::Utilization { .. } | LoadKind::Messages | LoadKind::PerRequest, demand)) => demand * share,
            None => 0.0,
        }
    }

    /// vCPUs that a workload can use of its service's: all, unless others load the service too. These it competes with.
    pub(super) fn capacity(&self, id: WorkloadId, service: ServiceId) -> f64 {
        let used = &self.services[service.index()];
        let whole = used.part.capacity;
        if used.loads.len() < 2 {
            return whole.as_vcpus();
        }
        let asks = |other: &WorkloadId| CpuMilliUnits::from_vcpus(self.demand(*other));
        let others = used.loads.iter().filter(|other| **other != id);
        let mut askers = vec![Asker { weight: 1, asks: whole }];
        askers.extend(others.map(|other| Asker { weight: 1, asks: asks(other) }));
        share(whole, &askers)[0].as_vcpus()
    }

    /// The service of a workload, once it exists.
    pub(super) fn service_of(&self, id: WorkloadId) -> Option<ServiceId> {
        self.workloads[id.index()].as_ref()?.service
    }

    /// What a balancer has counted of a target group.
    pub(super) fn count_group(&mut self, id: TargetGroupId, tally: &GroupTally) {
        self.target_groups[id.index()].tally.add(tally);
    }

    /// The same of a step of the fluid model; `client_leaves_first` says what a time-out looks like.
    fn count_fluid(&mut self, id: TargetGroupId, step: &StepOutcome, client_leaves_first: bool) {
        let counted = &mut self.target_groups[id.index()].tally;
        counted.requests += step.arrived;
        counted.target_2xx += step.served;
        counted.response.merge_all(step.latencies());
        for cause in FailureCause::ALL {
            counted.count(cause, step.failed.of(cause), client_leaves_first);
        }
    }

    /// A target group is about to change: its healthy targets so far go into the minute's mean (ALBM-3).
    pub(super) fn target_group_changes(&mut self, id: TargetGroupId, group: &TargetGroup, now: SimTime) {
        let minute = &mut self.target_groups[id.index()];
        minute.healthy_seconds += f64::from(group.healthy) * now.saturating_since(minute.since).as_secs_f64();
        minute.since = now;
    }

    /// The minute of a target group that ends now.
    pub(super) fn take_target_group_minute(
        &mut self,
        id: TargetGroupId,
        group: &TargetGroup,
        now: SimTime,
    ) -> TargetGroupMinute {
        self.target_group_changes(id, group, now);
        let minute = &mut self.target_groups[id.index()];
        let length = now.saturating_since(minute.began).as_secs_f64();
        let mean_healthy = if length > 0.0 { minute.healthy_seconds / length } else { 0.0 };
        let taken = std::mem::replace(minute, TargetGroupMinute { since: now, began: now, ..Default::default() });
        TargetGroupMinute { mean_healthy, ..taken }
    }
}

impl ControlPlane<'_> {
    /// Workloads on the service called `name`.
    pub(super) fn loads_of(&self, id: ServiceId) -> Vec<WorkloadId> {
        let loads = self.estate.workloads.iter().enumerate().filter(|(_, workload)| match &workload.demand {
            Demand::Requests { service: (cluster, name), .. }
            | Demand::Utilization { service: (cluster, name), .. } => self.find_service(cluster, name) == Ok(id),
            Demand::Messages(messages) => messages.consumer.as_ref().is_some_and(|consumer| {
                let (cluster, name) = &consumer.service;
                self.find_service(cluster, name) == Ok(id)
            }),
            Demand::Tasks { .. } => false,
        });
        loads.map(|(place, _)| WorkloadId(place as u32)).collect()
    }

    /// A task has started to run, or ceased to: what it uses by itself is counted, or no longer.
    pub(super) fn task_use_changed(&mut self, key: TaskKey, runs: bool, schedule: &mut Schedule<Event>) {
        let host = self.host_to_share(key);
        // A cut is part of own use: it comes after it, and goes before it.
        if let Some(host) = host.filter(|_| !runs) {
            self.share_host(host, schedule);
        }
        self.count_own_use(key, runs, schedule.now());
        let task = &self.state.tasks[key];
        let (cluster, owner) = (task.cluster, task.owner);
        let used = &mut self.load.clusters[cluster.index()];
        if runs {
            used.running += 1;
        } else {
            used.running -= 1;
        }
        if let Some(owner) = owner {
            self.load.disturb(owner.service);
        }
        if let Some(owner) = owner.filter(|_| runs) {
            self.load.recent_starts[owner.service.index()].push((schedule.now(), key));
        }
        if let Some(host) = host.filter(|_| runs) {
            self.share_host(host, schedule);
        }
        self.tell_own_use(cluster, schedule.now());
    }

    /// A task's own use is added to those of its cluster and service, or taken away.
    fn count_own_use(&mut self, key: TaskKey, runs: bool, now: SimTime) {
        let task = &self.state.tasks[key];
        let own = OwnUse::of(task, self.state.shapes[task.shape.index()].cpu);
        let change = |total: &mut OwnUse| if runs { total.add(own) } else { total.remove(own) };
        if !task.launch.is_fargate() {
            change(&mut self.load.clusters[task.cluster.index()].own);
        }
        if let Some(owner) = task.owner {
            let used = &mut self.load.services[owner.service.index()];
            used.measured.pass(used.own.cpu.as_vcpus(), now, runs);
            change(&mut used.own);
            for (levels, level) in used.own_levels.iter_mut().zip([own.cpu.0, own.memory_mib]) {
                if runs { levels.add(level) } else { levels.remove(level) }
            }
        }
    }

    /// The containers of a task were seen to use so many vCPUs and so much memory, in MiB: all of it, and as its metrics
    /// say it (ECSM-4). From now on that is what it uses.
    pub(super) fn task_uses(&mut self, key: TaskKey, vcpus: f64, (used_mib, reported_mib): (f64, u64), now: SimTime) {
        let task = &self.state.tasks[key];
        let reserved = self.state.shapes[task.shape.index()].cpu.as_vcpus();
        let counted = task.last_status == TaskStatus::Running && task.desired_running();
        if counted {
            self.count_own_use(key, false, now);
        }
        let task = &mut self.state.tasks[key];
        task.cpu_fraction = if reserved > 0.0 { vcpus / reserved } else { 0.0 };
        task.memory_used_mib = used_mib;
        task.memory_reported_mib = reported_mib;
        let cluster = task.cluster;
        if counted {
            self.count_own_use(key, true, now);
            self.tell_own_use(cluster, now);
        }
    }

    /// Tells the observers how much CPU the tasks on a cluster's hosts use by themselves, if that has changed.
    pub(super) fn tell_own_use(&mut self, id: ClusterId, now: SimTime) {
        let used = &mut self.load.clusters[id.index()];
        let cpu = used.own.cpu - used.cut;
        if cpu != std::mem::replace(&mut used.told, cpu) {
            self.observer.observe(now, &Record::OwnUse { cluster: id, cpu }, &self.state);
        }
    }

    fn load_gate(&self, owner: TaskOwner) -> Option<LoadGate> {
        let id = owner.service;
        let loads = &self.load.services[id.index()].loads;
        if loads.is_empty() {
            return None;
        }
        let any =
            |kind: fn(&Demand) -> bool| loads.iter().any(|load| kind(&self.estate.workloads[load.index()].demand));
        let requests = any(|demand| matches!(demand, Demand::Requests { .. }));
        let messages = any(|demand| matches!(demand, Demand::Messages(_)));
        let balanced = !self.state.services[id.index()].load_balancers_of(owner.deployment).is_empty();
        Some(match (requests, balanced) {
            (true, true) => LoadGate::HealthyTargets,
            (true, false) => LoadGate::Started,
            (false, _) if messages => LoadGate::Started,
            (false, _) => LoadGate::Running,
        })
    }

    /// A task of a service is RUNNING: it takes load now, or once its `startup` is over.
    pub(super) fn task_may_take_load(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let Some(owner) = task.owner else { return };
        match self.load_gate(owner) {
            Some(LoadGate::Running) => self.task_takes_load(key, true, schedule),
            Some(LoadGate::Started) => {
                let main = self.state.definitions[task.definition.index()].definition.main_container();
                let ready = task.containers[main].ready;
                if ready > schedule.now() {
                    schedule.at(ready, Event::Task { task: key, step: TaskStep::Ready });
                } else {
                    self.task_takes_load(key, true, schedule);
                }
            }
            Some(LoadGate::HealthyTargets) | None => {}
        }
    }

    /// Whether balancers decide if a task takes load.
    pub(super) fn targets_take_load(&self, key: TaskKey) -> bool {
        let owner = self.state.tasks[key].owner;
        owner.is_some_and(|owner| self.load_gate(owner) == Some(LoadGate::HealthyTargets))
    }

    /// A task of a service has begun to take load, or no longer takes any.
    pub(super) fn task_takes_load(&mut self, key: TaskKey, takes: bool, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        if task.owner.is_none() || std::mem::replace(&mut task.takes_load, takes) == takes {
            return;
        }
        self.count_in_lane(key, schedule);
        if takes {
            self.worker_begins(key, schedule);
            self.server_begins(key, schedule);
        } else {
            self.worker_stops(key, schedule);
            self.server_stops(key);
        }
    }

    /// A task has begun or ceased to take load, or takes it in another lane than before.
    pub(super) fn count_in_lane(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let Some(owner) = task.owner else { return };
        if let Some(host) = task.instance {
            let cluster = task.cluster;
            self.share_host(host, schedule);
            self.tell_own_use(cluster, schedule.now());
            return;
        }
        let size = self.state.shapes[task.shape.index()].cpu;
        let capacity = cpu_sharing::alone(size.into(), OwnUse::of(task, size).cpu);
        let part = Part { takers: 1, capacity, queues: 1, ..Part::default() };
        let counted = task.takes_load.then(|| (self.lane_of(task).sized(&part), part));
        if let Some((lane, part)) = self.load.services[owner.service.index()].on_fargate.remove(&key) {
            self.load.remove_part(owner.service, lane, part);
        }
        if let Some((lane, part)) = counted {
            self.load.services[owner.service.index()].on_fargate.insert(key, (lane, part));
            self.load.add_part(owner.service, lane, part);
        }
    }

    /// A task's `startup` is over, the first time or after a restart.
    pub(super) fn on_ready(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let main = self.state.definitions[task.definition.index()].definition.main_container();
        // A restart puts off what was foreseen.
        if task.containers[main].ready <= schedule.now() {
            if self.targets_take_load(key) {
                self.take_routed_load(key, schedule);
            } else {
                self.task_takes_load(key, true, schedule);
            }
            if self.state.tasks[key].takes_load {
                self.worker_begins(key, schedule);
                self.server_begins(key, schedule);
            }
        }
    }

    /// What a service has used since the last call, as a mean over that time: all of it, and of each task the vCPUs and the
    /// MiB.
    pub(super) fn take_service_usage(&mut self, id: ServiceId, now: SimTime) -> (Usage, [TaskUse; 2]) {
        let of_requests = self.request_memory(id);
        let running = self.state.services[id.index()].running;
        let used = &mut self.load.services[id.index()];
        let seconds = now.saturating_since(used.last_reading).as_secs_f64();
        let own = used.own.cpu - used.part.cut;
        let workload = if seconds > 0.0 { used.since_reading / seconds } else { 0.0 };
        // ECSM-3: tasks that have come or gone since count for as long as they ran, so that their size stays the limit.
        let tasks = if seconds > 0.0 { std::mem::take(&mut used.task_seconds) / seconds } else { 0.0 };
        used.since_reading = 0.0;
        used.last_reading = now;
        let [cpu, memory] = [0, 1].map(|resource| used.own_levels[resource].extremes());
        let vcpus = |milli| CpuMilliUnits(milli).as_vcpus();
        let (measured, each) = used.measured.take(used.own.cpu.as_vcpus(), now, seconds);
        let real = self.execution.is_real();
        let simulated = TaskUse {
            load: if tasks > 0.0 { workload / tasks } else { 0.0 },
            kept: if used.own.cpu.0 > 0 { own.as_vcpus() / used.own.cpu.as_vcpus() } else { 1.0 },
            own: used.own.cpu.as_vcpus(),
            least: vcpus(cpu.0),
            most: vcpus(cpu.1),
        };
        // What real containers use moves between readings as a workload does.
        let beside = TaskUse { load: each, kept: 1.0, own: 0.0, least: vcpus(cpu.0) - each, most: vcpus(cpu.1) - each };
        let cpu = if real { beside } else { simulated };
        // What a workload asks for stands in for what tasks use by themselves.
        let asked =
            used.memory_mib.map(|all| TaskUse { load: whole_mib(all + of_requests, running), ..TaskUse::default() });
        let memory = asked.unwrap_or_else(|| TaskUse {
            load: whole_mib(of_requests, running),
            kept: 1.0,
            own: used.own.memory_mib(),
            least: memory.0 as f64,
            most: memory.1 as f64,
        });
        let usage = Usage {
            vcpus: workload + if real { measured } else { own.as_vcpus() },
            memory_mib: memory.load * f64::from(running) + memory.kept * memory.own,
        };
        (usage, [cpu, memory])
    }

    /// What all EC2 tasks of a cluster have used over the last minute (ECSM-10); of CPU, no more than its hosts have.
    pub(super) fn take_cluster_usage(&mut self, id: ClusterId) -> Usage {
        let cluster = self.load.clusters[id.index()];
        let mut usage =
            Usage { vcpus: (cluster.own.cpu - cluster.cut).as_vcpus(), memory_mib: cluster.own.memory_mib() };
        for (place, service) in self.state.services.iter().enumerate() {
            if service.cluster != id {
                continue;
            }
            let seconds = std::mem::take(&mut self.load.services[place].since_minute);
            if service.launch.is_fargate() {
                continue;
            }
            usage.vcpus += seconds / SimDuration::MINUTE.as_secs_f64();
            // A sum over the tasks of the service: only of those services that count. The same as the service's metrics do.
            let of_requests = self.request_memory(ServiceId(place as u32));
            let used = &self.load.services[place];
            let asked = whole_mib(used.memory_mib.unwrap_or_default() + of_requests, service.running);
            usage.memory_mib += asked * f64::from(service.running);
            if used.memory_mib.is_some() {
                usage.memory_mib -= used.own.memory_mib();
            }
        }
        // Between two divisions of a host's CPU, services may have taken from each other what both were told was free.
        let registered = self.state.clusters[id.index()].cluster.totals().registered_cpu;
        usage.vcpus = usage.vcpus.min(registered.as_vcpus());
        usage
    }
}

/// ECSM-4: the memory of each of so many tasks, when they use `all` MiB together: whole MiB.
fn whole_mib(all: f64, tasks: u32) -> f64 {
    if tasks > 0 { (all / f64::from(tasks) + GUARD).floor() } else { 0.0 }
}
