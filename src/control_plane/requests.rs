//! Requests one by one (`model: perRequest`): where they meet tasks, target groups and time (ELB-6…9).
//!
//! What happens to a request is [`front`]'s, what the probes of balancers find in a task with requests [`probes`]'. Here
//! tasks come and go. A task gets requests while it takes load, as in the fluid model (see [`traffic`](super::traffic)).
//! When it is told to stop, or its targets turn unhealthy, new requests go elsewhere and those in it stay: until the
//! deregistration delay is over, or without one until its containers have ended. What is in it then is lost, as it is when
//! its containers end for any other reason.

mod front;
mod probes;
mod tally;

use std::collections::BTreeMap;

use slotmap::SecondaryMap;

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{Demand, RequestModel};
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::real_http::{HttpAnswer, HttpCommand};
use crate::control_plane::record::Record;
use crate::ecs::ids::{InstanceId, RequestKey, ServiceId, StationId, StationKey, TargetGroupId, TaskKey, WorkloadId};
use crate::ecs::target_group::{BalancerKind, RoutingAlgorithm, TargetGroup};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::workload::balancer::Choice;
use crate::workload::per_request::PerRequest;
use crate::workload::processor_sharing::CpuUse;

pub(super) use tally::GroupTally;

use front::{Fleet, Front, Kind, NewServer};
use probes::Probing;

/// Every workload whose requests are simulated one by one, by [`WorkloadId`].
#[derive(Debug, Default)]
pub(super) struct Requests {
    fronts: Vec<Option<Front>>,
    /// Tasks whose probes meet requests.
    probing: SecondaryMap<TaskKey, Probing>,
}

impl ControlPlane<'_> {
    /// Time zero: the first request of each workload is on its way. What chance does to its rate is drawn as it is for the
    /// fluid model, so that both face the same.
    pub(super) fn start_requests(&mut self, schedule: &mut Schedule<Event>) {
        let end = SimTime::ZERO + self.estate.duration;
        for (place, workload) in self.estate.workloads.iter().enumerate() {
            let front = match &workload.demand {
                Demand::Requests { rate, cpu_per_request, latency_floor, timeout, path, model, .. } => {
                    let real = self.real_http.as_ref().map(|http| (path.clone(), http.pace));
                    let spec = match (model, &real) {
                        (RequestModel::PerRequest(spec), None) => Some((**spec).clone()),
                        (RequestModel::PerRequest(spec), Some(_)) => Some(spec.of_the_client()),
                        (RequestModel::Fluid, Some(_)) => Some(PerRequest::default()),
                        (RequestModel::Fluid, None) => None,
                    };
                    spec.map(|spec| {
                        let kind = Kind {
                            rate: rate.drawn(&self.streams, &format!("rate/{}", workload.name), end),
                            cpu: cpu_per_request.clone(),
                            floor: latency_floor.clone(),
                            timeout: *timeout,
                            cpu_period: self.estate.behaviour.cpu_period,
                            spec,
                            real,
                        };
                        let mut front = Front::new(WorkloadId(place as u32), &workload.name, kind, &self.streams);
                        front.schedule_arrival(SimTime::ZERO, schedule);
                        front
                    })
                }
                Demand::Tasks { .. } | Demand::Messages(_) | Demand::Utilization { .. } => None,
            };
            self.requests.fronts.push(front);
        }
    }

    fn front(&mut self, id: WorkloadId) -> Option<&mut Front> {
        self.requests.fronts.get_mut(id.index())?.as_mut()
    }

    /// The workloads that send requests one by one to a service.
    fn fronts_of(&self, service: ServiceId) -> Vec<WorkloadId> {
        let loads = self.load.services[service.index()].loads.iter().copied();
        loads.filter(|load| self.requests.fronts.get(load.index()).is_some_and(Option::is_some)).collect()
    }

    pub(super) fn on_request_arrival(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        // Until the service is created there is nobody to ask.
        let service = self.load.service_of(id);
        let Some(front) = self.front(id) else { return };
        front.schedule_arrival(schedule.now(), schedule);
        let Some(service) = service else { return };
        if front.is_undirected() {
            self.direct_requests(id, service);
        }
        if let Some(front) = self.front(id) {
            front.on_arrival(schedule);
        }
    }

    /// What was really sent has come back.
    pub(super) fn on_request_answered(
        &mut self,
        id: WorkloadId,
        key: RequestKey,
        answer: &HttpAnswer,
        schedule: &mut Schedule<Event>,
    ) {
        if let Some(front) = self.front(id) {
            front.on_answered(key, answer, schedule);
        }
    }

    /// What the workloads of a run on real containers have to send.
    pub(super) fn take_front_commands(&mut self, commands: &mut Vec<HttpCommand>) {
        for front in self.requests.fronts.iter_mut().flatten() {
            front.take_commands(commands);
        }
    }

    pub(super) fn on_request_goes_on(&mut self, id: WorkloadId, key: RequestKey, schedule: &mut Schedule<Event>) {
        if let Some(front) = self.front(id) {
            front.on_goes_on(key, schedule);
        }
    }

    pub(super) fn on_requests_due(&mut self, id: WorkloadId, station: StationKey, schedule: &mut Schedule<Event>) {
        if let Some(front) = self.front(id) {
            front.on_due(station, schedule);
        }
    }

    pub(super) fn on_request_timeout(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        if let Some(front) = self.front(id) {
            front.on_timeout(schedule);
        }
    }

    /// One step of a workload's load: what became of its requests, what CPU they used, and who gets the next ones.
    ///
    /// Returns the vCPU-seconds used, and those the requests could have used.
    pub(super) fn step_requests(
        &mut self,
        id: WorkloadId,
        service: ServiceId,
        schedule: Option<&mut Schedule<Event>>,
        now: SimTime,
    ) -> CpuUse {
        let share = self.share_of_service(id, service);
        let Some(front) = self.front(id) else { return CpuUse::default() };
        let taken = front.take_use(now);
        let step = front.take_step(taken.used);
        if let Some(front) = &mut self.requests.fronts[id.index()] {
            let load = &mut self.load;
            front.take_groups(|group, tally| load.count_group(group, tally));
        }
        let record = Record::Requests { workload: id, service, step: &step };
        self.observer.observe(now, &record, &self.state);
        let Some(front) = self.front(id) else { return taken };
        front.reuse(step);
        let moved = front.share.to_bits() != share.to_bits();
        front.share = share;
        self.direct_requests(id, service);
        self.share_memory(id, service);
        if let Some(schedule) = schedule.filter(|_| moved) {
            self.set_front_capacities(id, service, |_| true, schedule);
        }
        taken
    }

    /// Tells a workload what the requests of others take of the memory of its tasks.
    fn share_memory(&mut self, id: WorkloadId, service: ServiceId) {
        let others: Vec<WorkloadId> = self.fronts_of(service).into_iter().filter(|other| *other != id).collect();
        if others.is_empty() {
            return;
        }
        let mut taken: BTreeMap<TaskKey, f64> = BTreeMap::new();
        for other in others.into_iter().filter_map(|other| self.requests.fronts[other.index()].as_ref()) {
            for (task, memory) in other.memory_by_task() {
                *taken.entry(task).or_default() += memory;
            }
        }
        if let Some(front) = self.front(id) {
            for (task, memory) in taken {
                front.note_others(task, memory);
            }
        }
    }

    /// Tells a workload's balancers which fleets get how much (DEP-20).
    fn direct_requests(&mut self, id: WorkloadId, service: ServiceId) {
        let service = &self.state.services[service.index()];
        let groups_of = |fleet: Option<u32>| {
            let newest =
                service.deployments.iter().rev().find(|deployment| fleet.is_none_or(|of| deployment.fleet == of));
            newest.map_or(&service.load_balancers[..], |deployment| &deployment.load_balancers)
        };
        let mut shares: Vec<(u32, u32)> = service.traffic().collect();
        let everyone = shares.is_empty();
        if everyone {
            shares.push((0, 1000));
        }
        let mut fleets = Vec::with_capacity(shares.len());
        let mut last = 0;
        let mut idle_timeout = None;
        let Some(front) = &mut self.requests.fronts[id.index()] else { return };
        for (fleet, permille) in shares.into_iter().filter(|(_, permille)| *permille > 0) {
            let groups: Vec<TargetGroupId> =
                groups_of(Some(fleet).filter(|_| !everyone)).iter().map(|(group, _)| *group).collect();
            last += permille;
            let of_first = groups.first().map(|group| self.state.target_groups[group.index()].idle_timeout);
            idle_timeout = idle_timeout.or(of_first);
            let sticky = groups.first().and_then(|group| self.state.target_groups[group.index()].sticks_for());
            fleets.push((Fleet::new(fleet, front.set_of(&groups), everyone, sticky), last));
        }
        front.set_fleets(fleets, idle_timeout);
    }

    /// A task takes load now: requests are sent to it.
    pub(super) fn server_begins(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        let fronts = self.fronts_of(owner.service);
        if fronts.is_empty() {
            return;
        }
        let (station, capacity) = self.station_of(key, owner.service);
        let task = &self.state.tasks[key];
        let lane = self.lane_of(task);
        let definition = &self.state.definitions[task.definition.index()].definition;
        let limit = definition.memory_limit(self.state.shapes[task.shape.index()].memory);
        let room = limit.map_or(f64::INFINITY, |limit| limit.0 as f64 - task.memory_used_mib);
        let lasts = self.slow_start(owner.service, owner.deployment);
        let slow = task.slow_since.map(|since| (since, lasts));
        let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        let groups: Vec<TargetGroupId> = balancers.iter().map(|(group, _)| *group).collect();
        let choice = groups.first().map_or(Choice::InTurn, |id| choice_of(&self.state.target_groups[id.index()]));
        let (fleet, zone) = (lane.fleet(), lane.zone());
        let door = self.real_http.as_ref().and_then(|_| self.door_of(key));
        for id in fronts {
            self.direct_requests(id, owner.service);
            if let Some(front) = self.front(id) {
                let set = front.set_of(&groups);
                let new = NewServer { fleet, zone, set, choice, station, capacity, slow, door, room };
                front.open(key, new, schedule.now());
            }
        }
    }

    /// A task takes no load any more: requests are sent elsewhere, those in it stay.
    pub(super) fn server_stops(&mut self, key: TaskKey) {
        self.each_front(key, |front| front.close(key));
    }

    /// The containers of a task have ended, or the balancer has cut its connections (ELB-9): requests in it are lost.
    pub(super) fn server_lost(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        self.requests.probing.remove(key);
        self.each_front(key, |front| front.lose(key, schedule));
    }

    /// The main container starts again in place: requests in it are lost, more are refused until its `startup` is over.
    pub(super) fn server_restarts(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        if !task.takes_load || task.owner.is_none_or(|owner| self.fronts_of(owner.service).is_empty()) {
            return;
        }
        let main = self.state.definitions[task.definition.index()].definition.main_container();
        let ready = task.containers[main].ready;
        self.each_front(key, |front| front.restart(key, schedule));
        schedule.at(ready.max(schedule.now()), Event::Task { task: key, step: TaskStep::Ready });
    }

    fn each_front(&mut self, key: TaskKey, mut act: impl FnMut(&mut Front)) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.fronts_of(owner.service) {
            if let Some(front) = self.front(id) {
                act(front);
            }
        }
    }

    /// The CPU of a host has been divided anew.
    pub(super) fn front_cpu_changed(&mut self, host: InstanceId, schedule: &mut Schedule<Event>) {
        if self.requests.fronts.iter().all(Option::is_none) {
            return;
        }
        for service in self.load.shared.loaded_services(host) {
            for id in self.fronts_of(service) {
                let tasks = self.tasks_on(host);
                let here = |station: StationId| match station {
                    StationId::Host(id) => id == host,
                    StationId::Task(task) => tasks.contains(&task),
                };
                self.set_front_capacities(id, service, here, schedule);
            }
        }
    }

    fn set_front_capacities(
        &mut self,
        id: WorkloadId,
        service: ServiceId,
        at: impl Fn(StationId) -> bool,
        schedule: &mut Schedule<Event>,
    ) {
        let stations = self.front(id).map(|front| front.stations_among(at)).unwrap_or_default();
        for (station, task) in stations {
            let (_, capacity) = self.station_of(task, service);
            if let Some(front) = self.front(id) {
                front.set_capacity(station, capacity, schedule);
            }
        }
    }

    /// Memory of the requests in the tasks of a service [MiB].
    pub(super) fn request_memory(&self, service: ServiceId) -> f64 {
        let fronts = self.fronts_of(service).into_iter().filter_map(|id| self.requests.fronts[id.index()].as_ref());
        fronts.map(Front::memory).sum()
    }

    /// Checks the requests of each workload, and their tasks (see [`super::audit`]).
    pub(super) fn audit_requests(&self) -> Result<(), String> {
        for (place, front) in self.requests.fronts.iter().enumerate() {
            let Some(front) = front else { continue };
            let audited = front.audit().and_then(|()| {
                for (key, open) in front.tasks() {
                    let Some(task) = self.state.tasks.get(key) else {
                        return Err("a task that is gone has requests".to_owned());
                    };
                    if open != task.takes_load {
                        return Err(format!("task {:032x} takes load: {}, requests: {open}", task.id, task.takes_load));
                    }
                }
                Ok(())
            });
            let name = &self.estate.workloads[place].name;
            audited.map_err(|error| format!("requests of {name}: {error}"))?;
        }
        Ok(())
    }
}

/// ELB-7: how a target group chooses; a Network Load Balancer hashes flows.
fn choice_of(group: &TargetGroup) -> Choice {
    match (group.kind, group.definition.algorithm) {
        (BalancerKind::Network, _) | (_, RoutingAlgorithm::WeightedRandom) => Choice::AtRandom,
        // A Classic Load Balancer chooses so for HTTP.
        (BalancerKind::Classic, _) | (_, RoutingAlgorithm::LeastOutstandingRequests) => Choice::FewestInFlight,
        (BalancerKind::Application, RoutingAlgorithm::RoundRobin) => Choice::InTurn,
    }
}
