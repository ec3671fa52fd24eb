//! Load on services: the fluid model step by step, and how much CPU and memory the tasks use.

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{Demand, Estate};
use crate::control_plane::event::Event;
use crate::control_plane::record::Record;
use crate::ecs::ids::{ClusterId, ServiceId, TargetGroupId, TaskKey, WorkloadId};
use crate::ecs::target_group::TargetGroup;
use crate::ecs::task::Task;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuUnits;
use crate::workload::fluid::{self, Offered, Request};
use crate::workload::rate::Rate;

/// Length of a step of the fluid model: short against the minute of the metrics, long against a request.
pub(super) const STEP: SimDuration = SimDuration::from_secs(1);

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
    services: Vec<ServiceUse>,
    clusters: Vec<OwnUse>,
    target_groups: Vec<TargetGroupMinute>,
    /// Tasks of each service that became RUNNING since the minute began (ECSM-5).
    pub(super) recent_starts: Vec<Vec<(SimTime, TaskKey)>>,
}

/// A workload on a service.
#[derive(Debug)]
struct ServiceLoad {
    service: Option<ServiceId>,
    kind: LoadKind,
}

#[derive(Debug)]
enum LoadKind {
    Requests { rate: Rate, request: Request, backlog: f64 },
    Utilization { cpu: Option<Rate>, memory: Option<Rate> },
}

/// What the tasks of a service use.
#[derive(Clone, Debug, Default)]
struct ServiceUse {
    /// vCPU seconds that workloads have used since the last reading, and since the minute began.
    since_reading: f64,
    since_minute: f64,
    last_reading: SimTime,
    /// Memory that a `utilization` workload asks for, all tasks together.
    memory_mib: Option<f64>,
    /// What its tasks use by themselves (`behaviour.cpu`, `behaviour.memory`).
    own: OwnUse,
    /// CPU reserved by the tasks that take load: what the fluid model may use.
    healthy_cpu: CpuUnits,
}

/// Use that each task brings by itself, summed over running tasks in integers so that it returns to zero exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct OwnUse {
    cpu_milliunits: u64,
    memory_kib: u64,
}

impl OwnUse {
    fn of(task: &Task, reserved: CpuUnits) -> Self {
        Self {
            cpu_milliunits: (task.cpu_fraction * reserved.0 as f64 * 1000.0).round() as u64,
            memory_kib: (task.memory_used_mib * 1024.0).round() as u64,
        }
    }

    fn add(&mut self, other: Self) {
        self.cpu_milliunits += other.cpu_milliunits;
        self.memory_kib += other.memory_kib;
    }

    fn remove(&mut self, other: Self) {
        self.cpu_milliunits -= other.cpu_milliunits;
        self.memory_kib -= other.memory_kib;
    }

    fn usage(self) -> Usage {
        Usage {
            vcpus: self.cpu_milliunits as f64 / (1000.0 * CpuUnits::PER_VCPU as f64),
            memory_mib: self.memory_kib as f64 / 1024.0,
        }
    }
}

/// What a target group has seen since the minute began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TargetGroupMinute {
    /// Requests.
    pub(super) requests: f64,
    /// Mean number of healthy targets.
    pub(super) mean_healthy: f64,
    healthy_seconds: f64,
    since: SimTime,
    began: SimTime,
}

impl Load {
    pub(super) fn new(estate: &Estate) -> Self {
        let workloads = estate
            .workloads
            .iter()
            .map(|workload| {
                let kind = match &workload.demand {
                    Demand::Tasks { .. } => return None,
                    Demand::Requests { rate, cpu_per_request, latency_floor, timeout, .. } => {
                        let request = Request {
                            cpu: cpu_per_request.mean(),
                            cpu_cv: cpu_per_request.cv(),
                            floor: latency_floor.mean(),
                            floor_cv: latency_floor.cv(),
                            timeout: timeout.as_secs_f64(),
                        };
                        LoadKind::Requests { rate: rate.clone(), request, backlog: 0.0 }
                    }
                    Demand::Utilization { cpu, memory, .. } => {
                        LoadKind::Utilization { cpu: cpu.clone(), memory: memory.clone() }
                    }
                };
                Some(ServiceLoad { service: None, kind })
            })
            .collect();
        Self {
            workloads,
            services: Vec::new(),
            clusters: Vec::new(),
            target_groups: vec![TargetGroupMinute::default(); estate.target_groups.len()],
            recent_starts: Vec::new(),
        }
    }

    /// A cluster has been created.
    pub(super) fn add_cluster(&mut self) {
        self.clusters.push(OwnUse::default());
    }

    /// A service has been created.
    pub(super) fn add_service(&mut self, now: SimTime) {
        self.services.push(ServiceUse { last_reading: now, ..ServiceUse::default() });
        self.recent_starts.push(Vec::new());
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
        let taken = TargetGroupMinute { mean_healthy, ..*minute };
        *minute = TargetGroupMinute { since: now, began: now, ..TargetGroupMinute::default() };
        taken
    }
}

impl ControlPlane<'_> {
    /// One step of a workload's offered load; the step covers the time since the last one.
    pub(super) fn on_load_step(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        schedule.after(STEP, Event::LoadStep(id));
        let from = now - STEP;
        // A service may be created after its workload; until then there is nobody to answer.
        let service = match self.load.workloads[id.index()].as_ref().and_then(|load| load.service) {
            Some(service) => Some(service),
            None => self.find_loaded_service(id),
        };
        let seconds = STEP.as_secs_f64();
        let (tasks, healthy_cpu) = service.map_or((0, CpuUnits(0)), |service| {
            (self.state.services[service.index()].healthy, self.load.services[service.index()].healthy_cpu)
        });
        let Some(load) = &mut self.load.workloads[id.index()] else { return };
        load.service = service;
        match &mut load.kind {
            LoadKind::Requests { rate, request, backlog } => {
                // Tasks that reserve nothing have no cap: their shares let them use idle CPU (ECSM-3).
                let capacity = match healthy_cpu {
                    CpuUnits(0) if tasks > 0 => f64::INFINITY,
                    reserved => reserved.as_vcpus(),
                };
                let arrivals = rate.mean_over(from, now) * seconds;
                let offered = Offered { dt: STEP, arrivals, tasks, capacity, request: *request };
                let outcome = fluid::step(*backlog, &offered);
                *backlog = outcome.backlog;
                let Some(service) = service else { return };
                let used = &mut self.load.services[service.index()];
                used.since_reading += outcome.cpu_used;
                used.since_minute += outcome.cpu_used;
                for (target_group, _) in &self.state.services[service.index()].load_balancers {
                    self.load.target_groups[target_group.index()].requests += outcome.arrived;
                }
                let record = Record::Fluid { workload: id, service, step: &outcome };
                self.observer.observe(now, &record, &self.state);
            }
            LoadKind::Utilization { cpu, memory } => {
                let Some(service) = service else { return };
                let demand = cpu.as_ref().map_or(0.0, |rate| rate.mean_over(from, now));
                let memory = memory.as_ref().map(|rate| rate.mean_over(from, now));
                let cap = self.cpu_cap(service);
                let used = &mut self.load.services[service.index()];
                used.since_reading += demand.min(cap) * seconds;
                used.since_minute += demand.min(cap) * seconds;
                used.memory_mib = memory;
            }
        }
    }

    /// CPU that the running tasks of a service can use at most: their reservation under a task-level size (a hard cap,
    /// TD-9), without limit under container-level shares (ECSM-3).
    fn cpu_cap(&self, id: ServiceId) -> f64 {
        let service = &self.state.services[id.index()];
        let Some(definition) = service.definition() else { return 0.0 };
        if service.running == 0 {
            return 0.0;
        }
        match self.state.definitions[definition.index()].definition.cpu {
            Some(cpu) => cpu.as_vcpus() * f64::from(service.running),
            None => f64::INFINITY,
        }
    }

    fn find_loaded_service(&self, id: WorkloadId) -> Option<ServiceId> {
        match &self.estate.workloads[id.index()].demand {
            Demand::Requests { service: (cluster, name), .. }
            | Demand::Utilization { service: (cluster, name), .. } => self.find_service(cluster, name).ok(),
            Demand::Tasks { .. } => None,
        }
    }

    /// A task has started to run, or ceased to: what it uses by itself is counted, or no longer.
    pub(super) fn task_use_changed(&mut self, key: TaskKey, runs: bool, now: SimTime) {
        let task = &self.state.tasks[key];
        let own = OwnUse::of(task, self.state.shapes[task.shape.index()].cpu);
        let change = |total: &mut OwnUse| if runs { total.add(own) } else { total.remove(own) };
        if !task.launch.is_fargate() {
            change(&mut self.load.clusters[task.cluster.index()]);
        }
        if let Some(owner) = task.owner {
            change(&mut self.load.services[owner.service.index()].own);
            if runs {
                self.load.recent_starts[owner.service.index()].push((now, key));
            }
        }
    }

    /// A task of a service has begun to take load, or no longer takes any.
    pub(super) fn load_capacity_changed(&mut self, key: TaskKey, takes_load: bool) {
        let task = &self.state.tasks[key];
        let Some(owner) = task.owner else { return };
        let cpu = self.state.shapes[task.shape.index()].cpu;
        let total = &mut self.load.services[owner.service.index()].healthy_cpu;
        if takes_load {
            *total += cpu;
        } else {
            *total -= cpu;
        }
    }

    /// What a service has used since the last call, as a mean over that time.
    pub(super) fn take_service_usage(&mut self, id: ServiceId, now: SimTime) -> Usage {
        let used = &mut self.load.services[id.index()];
        let seconds = now.saturating_since(used.last_reading).as_secs_f64();
        let own = used.own.usage();
        let workload = if seconds > 0.0 { used.since_reading / seconds } else { 0.0 };
        used.since_reading = 0.0;
        used.last_reading = now;
        Usage { vcpus: workload + own.vcpus, memory_mib: used.memory_mib.unwrap_or(own.memory_mib) }
    }

    /// What all EC2 tasks of a cluster have used over the last minute (ECSM-10).
    pub(super) fn take_cluster_usage(&mut self, id: ClusterId) -> Usage {
        let mut usage = self.load.clusters[id.index()].usage();
        for (place, service) in self.state.services.iter().enumerate() {
            let used = &mut self.load.services[place];
            if service.cluster != id {
                continue;
            }
            let seconds = std::mem::take(&mut used.since_minute);
            let on_fargate = service.launch.is_fargate();
            if on_fargate {
                continue;
            }
            usage.vcpus += seconds / SimDuration::MINUTE.as_secs_f64();
            if let Some(memory) = used.memory_mib {
                usage.memory_mib += memory - used.own.usage().memory_mib;
            }
        }
        usage
    }
}
