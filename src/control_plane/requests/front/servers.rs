//! Tasks that come and go under the requests of a workload, the CPU they have, and who gets how much of the traffic.

use super::{Fleet, Front, NewServer, Request, Role, Server, Stage, Station};
use std::collections::BTreeMap;

use crate::control_plane::cpu_sharing::scaled;
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::requests::tally::GroupTally;
use crate::ecs::ids::{RequestKey, StationId, StationKey, TargetGroupId, TaskKey};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuMilliUnits;
use crate::workload::balancer::Balancer;
use crate::workload::failed::FailureCause;
use crate::workload::processor_sharing::ProcessorSharing;
use crate::workload::slots::Slots;

impl Front {
    /// Who gets requests from now on, and how long an answer is waited for.
    pub(in crate::control_plane::requests) fn set_fleets(
        &mut self,
        fleets: Vec<(Fleet, u32)>,
        idle_timeout: Option<SimDuration>,
    ) {
        self.client_leaves_first = idle_timeout.is_none_or(|idle| self.kind.timeout <= idle);
        self.patience = idle_timeout.map_or(self.kind.timeout, |idle| self.kind.timeout.min(idle));
        let everyone = |fleets: &[(Fleet, u32)]| fleets.iter().any(|(fleet, _)| fleet.everyone);
        let changed = everyone(&fleets) != everyone(&self.fleets);
        self.fleets = fleets;
        if changed {
            self.pools.clear();
            let open: Vec<TaskKey> =
                self.servers.iter().filter(|(_, server)| server.open).map(|(task, _)| task).collect();
            for task in open {
                self.pool_in(task);
            }
        }
        self.find_zones();
    }

    /// The set of these target groups.
    pub(in crate::control_plane::requests) fn set_of(&mut self, groups: &[TargetGroupId]) -> usize {
        let places: Vec<usize> = groups
            .iter()
            .map(|id| {
                let known = self.groups.iter().position(|(known, _)| known == id);
                known.unwrap_or_else(|| {
                    self.groups.push((*id, GroupTally::default()));
                    self.groups.len() - 1
                })
            })
            .collect();
        let known = self.sets.iter().position(|set| *set == places);
        known.unwrap_or_else(|| {
            self.sets.push(places);
            self.sets.len() - 1
        })
    }

    fn find_zones(&mut self) {
        for (fleet, _) in &mut self.fleets {
            let of_fleet = self.pools.iter().filter(|((of, _), pool)| *of == fleet.number && !pool.is_empty());
            fleet.zones.clear();
            fleet.zones.extend(of_fleet.map(|((_, zone), _)| *zone));
        }
    }

    fn pool_in(&mut self, task: TaskKey) {
        let everyone = self.fleets.iter().any(|(fleet, _)| fleet.everyone);
        if let Some(server) = self.servers.get_mut(task) {
            server.pool.0 = if everyone { 0 } else { server.fleet };
            let pool = self.pools.entry(server.pool).or_insert_with(|| Balancer::new(server.choice));
            pool.add(task, server.outstanding);
        }
    }

    /// A task gets requests from now on.
    pub(in crate::control_plane::requests) fn open(&mut self, task: TaskKey, new: NewServer, now: SimTime) {
        if let Some(server) = self.servers.get_mut(task) {
            (server.open, server.down, server.slow) = (true, false, new.slow);
            (server.choice, server.door) = (new.choice, new.door);
        } else {
            let stations = &mut self.stations;
            let slot = *self.station_keys.entry(new.station).or_insert_with(|| {
                // Without a hard cap there is no quota: what others leave is had at once.
                let period =
                    if matches!(new.station, StationId::Task(_)) { self.kind.cpu_period } else { SimDuration::ZERO };
                let cpu = ProcessorSharing::new(scaled(new.capacity, self.share), now).with_period(period);
                stations.insert(Station { cpu, timer: None, servers: 0 })
            });
            if let Some(station) = stations.get_mut(slot) {
                station.servers += 1;
            }
            let server = Server {
                fleet: new.fleet,
                pool: (new.fleet, new.zone),
                set: new.set,
                station: slot,
                slots: Slots::new(self.kind.spec.concurrency, self.kind.spec.backlog),
                present: 0,
                outstanding: 0,
                probes: 0,
                open: true,
                down: false,
                slow: new.slow,
                choice: new.choice,
                door: new.door,
                room: new.room,
                others: 0.0,
                leaked: 0.0,
                out_of_memory: false,
            };
            self.servers.insert(task, server);
        }
        self.pool_in(task);
        self.find_zones();
    }

    /// A task gets no new requests; those in it stay.
    pub(in crate::control_plane::requests) fn close(&mut self, task: TaskKey) {
        if let Some(server) = self.servers.get_mut(task)
            && std::mem::take(&mut server.open)
        {
            let place = server.pool;
            if let Some(pool) = self.pools.get_mut(&place) {
                pool.remove(task);
                if pool.is_empty() {
                    self.pools.remove(&place);
                }
            }
            self.find_zones();
        }
    }

    /// The main container of a task starts again in place: what was in it is lost, and until it is up nothing listens.
    pub(in crate::control_plane::requests) fn restart(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
        if self.servers.contains_key(task) {
            self.kill_requests(task, schedule);
            if let Some(server) = self.servers.get_mut(task) {
                (server.down, server.leaked, server.out_of_memory) = (true, 0.0, false);
            }
        }
    }

    /// The containers of a task have ended, or its connections were cut: what was in it is lost.
    pub(in crate::control_plane::requests) fn lose(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
        if !self.servers.contains_key(task) {
            return;
        }
        self.close(task);
        self.kill_requests(task, schedule);
        let Some(server) = self.servers.remove(task) else { return };
        let Some(station) = self.stations.get_mut(server.station) else { return };
        station.servers -= 1;
        if station.servers > 0 {
            return;
        }
        let spent = self.stations.remove(server.station);
        self.station_keys.retain(|_, slot| *slot != server.station);
        if let Some(mut station) = spent {
            self.past_use = self.past_use.plus(station.cpu.take_use(schedule.now()));
            if let Some(timer) = station.timer {
                schedule.cancel(timer.key);
            }
        }
    }

    fn kill_requests(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(server) = self.servers.get_mut(task) else { return };
        let (set, slot) = (server.set, server.station);
        server.slots = Slots::new(self.kind.spec.concurrency, self.kind.spec.backlog);
        (server.present, server.outstanding, server.probes) = (0, 0, 0);
        let mine: Vec<(RequestKey, Request)> = self
            .requests
            .iter()
            .filter(|(_, request)| request.task == task)
            .map(|(key, request)| (key, *request))
            .collect();
        for (key, request) in mine {
            match request.stage {
                Stage::Floor(event) => {
                    schedule.cancel(event);
                }
                Stage::Computes(job) => {
                    if let Some(station) = self.stations.get_mut(slot) {
                        station.cpu.remove(job, schedule.now());
                    }
                }
                Stage::Asks => self.cut(key),
                Stage::Sent | Stage::Waits | Stage::Pauses => {}
            }
            self.requests.answered(key);
            match request.role {
                Role::Asked => {
                    self.tell_pool(task, Balancer::returned);
                    self.fail(key, FailureCause::TaskKilled, Some(set), schedule);
                }
                Role::Orphaned => {
                    self.requests.remove(key);
                }
                Role::Probe { group, number } => {
                    self.requests.remove(key);
                    let step = TaskStep::ProbeOver { group, number, answered: false };
                    schedule.after(SimDuration::ZERO, Event::Task { task, step });
                }
            }
        }
        self.set_timer(slot, schedule);
    }

    /// The stations of a host and of these tasks, each with an open server that shares it.
    pub(in crate::control_plane::requests) fn stations_among(
        &self,
        at: impl Fn(StationId) -> bool,
    ) -> Vec<(StationKey, TaskKey)> {
        let mine: Vec<StationKey> =
            self.station_keys.iter().filter(|(id, _)| at(**id)).map(|(_, slot)| *slot).collect();
        // One look at all servers, where a search for each station would be a look at all for each.
        let mut servers: BTreeMap<StationKey, Option<TaskKey>> = mine.iter().map(|slot| (*slot, None)).collect();
        for (task, server) in self.servers.iter().filter(|(_, server)| server.open) {
            if let Some(first) = servers.get_mut(&server.station) {
                first.get_or_insert(task);
            }
        }
        // A task that is leaving keeps what it had: it is no longer counted among those who share.
        mine.into_iter().filter_map(|slot| Some((slot, servers[&slot]?))).collect()
    }

    pub(in crate::control_plane::requests) fn set_capacity(
        &mut self,
        slot: StationKey,
        capacity: CpuMilliUnits,
        schedule: &mut Schedule<Event>,
    ) {
        let capacity = scaled(capacity, self.share);
        if let Some(station) = self.stations.get_mut(slot) {
            station.cpu.set_capacity(capacity, schedule.now());
            self.set_timer(slot, schedule);
        }
    }

    /// Whether nobody has said yet who gets its requests.
    pub(in crate::control_plane::requests) const fn is_undirected(&self) -> bool {
        self.fleets.is_empty()
    }

    /// Requests in a task, probes included; nothing where the task is not known.
    pub(in crate::control_plane::requests) fn present(&self, task: TaskKey) -> u32 {
        self.servers.get(task).map_or(0, |server| server.present)
    }

    /// Memory of the requests in each task, and what earlier ones have leaked there [MiB].
    pub(in crate::control_plane::requests) fn memory_by_task(&self) -> impl Iterator<Item = (TaskKey, f64)> {
        self.servers.iter().map(|(task, server)| (task, server.memory(&self.kind.spec)))
    }

    /// The requests of other workloads in a task take so much memory now [MiB].
    pub(in crate::control_plane::requests) fn note_others(&mut self, task: TaskKey, memory: f64) {
        if let Some(server) = self.servers.get_mut(task) {
            server.others = memory;
        }
    }

    /// Memory of the requests in all tasks, and what earlier ones have leaked [MiB].
    pub(in crate::control_plane::requests) fn memory(&self) -> f64 {
        self.servers.values().map(|server| server.memory(&self.kind.spec)).sum()
    }

    /// Tasks that have requests, or may.
    pub(in crate::control_plane::requests) fn tasks(&self) -> impl Iterator<Item = (TaskKey, bool)> {
        self.servers.iter().map(|(task, server)| (task, server.open))
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;
    use crate::control_plane::requests::front::Kind;
    use crate::ecs::ids::WorkloadId;
    use crate::engine::streams::Streams;
    use crate::workload::balancer::Choice;
    use crate::workload::distribution::Distribution;
    use crate::workload::per_request::{OnTimeout, PerRequest};
    use crate::workload::rate::Rate;

    fn front() -> Front {
        let none = Distribution::Constant(0.0);
        let spec = PerRequest {
            concurrency: None,
            backlog: None,
            retries: 0,
            retry_backoff: none.clone(),
            memory_per_request: 0.0,
            memory_leak: 0.0,
            failure_ratio: 0.0,
            on_timeout: OnTimeout::Abandon,
            clients: None,
            requests_per_session: None,
            cpu_per_probe: none.clone(),
        };
        let timeout = SimDuration::from_secs(30);
        let (rate, cpu, cpu_period) = (Rate::Constant(1.0), Distribution::Constant(0.01), SimDuration::ZERO);
        let kind = Kind { rate, cpu, floor: none, timeout, cpu_period, spec, real: None };
        Front::new(WorkloadId(0), "load", kind, &Streams::new(1, 0))
    }

    #[test]
    fn each_fleet_keeps_the_algorithm_of_its_own_target_group() {
        let mut front = front();
        let mut tasks: SlotMap<TaskKey, ()> = SlotMap::with_key();
        let fleet = |number, everyone| Fleet::new(number, 0, everyone, None);
        let two = || vec![(fleet(1, false), 500), (fleet(2, false), 1000)];
        front.set_fleets(two(), None);
        for (number, choice) in [(1, Choice::InTurn), (2, Choice::FewestInFlight)] {
            let task = tasks.insert(());
            let new = NewServer {
                door: None,
                fleet: number,
                zone: None,
                set: 0,
                choice,
                station: StationId::Task(task),
                capacity: CpuMilliUnits::from_vcpus(1.0),
                slow: None,
                room: f64::INFINITY,
            };
            front.open(task, new, SimTime::ZERO);
        }
        let choices = |front: &Front| front.pools.values().map(Balancer::choice).collect::<Vec<_>>();
        assert_eq!(choices(&front), [Choice::InTurn, Choice::FewestInFlight]);
        // For a while nothing tells the tasks apart.
        front.set_fleets(vec![(fleet(0, true), 1000)], None);
        assert_eq!(choices(&front).len(), 1);
        front.set_fleets(two(), None);
        assert_eq!(choices(&front), [Choice::InTurn, Choice::FewestInFlight]);
        front.audit().unwrap();
    }
}
