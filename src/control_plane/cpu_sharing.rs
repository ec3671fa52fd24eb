//! CPU of hosts under load: what the tasks of a loaded service could get there, and whose own use has to give way.
//!
//! A host whose tasks all use less than they reserve, by themselves and not for requests, can never be short of CPU. Such
//! hosts are not looked at, so that estates without load pay nothing. A host is kept here while it has a task that takes
//! load or one that would use more than it reserves (`behaviour.cpu` above 1).
//!
//! Of each such host two questions are asked of [`cpu_shares`](crate::ecs::cpu_shares). What would the tasks of a service
//! get if they were greedy, while all others ask for what they use now? That is the capacity the fluid model works with;
//! it may be more than they reserve (ECSM-3). And what does each task get of what it asks now? Own use beyond that is cut.
//!
//! They are asked anew when a task on the host starts, stops, begins or ceases to take load, so that no capacity is wrong by
//! a whole task, and every [`INTERVAL`] because demand moves. The second costs O(hosts kept) comparisons, and O(n log n) in
//! its n tasks for a host that has two loaded services or is short of CPU: other hosts would answer as before. Memory grows
//! with the hosts kept and the loaded services on each.
//!
//! Between two looks services may take from each other what both were told is free; the cluster's utilisation is held to
//! 100 % all the same. A task that gets less than it asks for by itself takes so much longer over what it runs for
//! (`runsFor`, see [`pace`](crate::ecs::pace)).

use std::collections::BTreeMap;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::load::{Load, OwnUse};
use crate::control_plane::traffic::LaneKey;
use crate::ecs::cpu_shares::{Asker, CpuTerms, share};
use crate::ecs::ids::{ClusterId, InstanceId, ServiceId, TaskKey};
use crate::ecs::task::{Task, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimDuration;
use crate::units::{CpuMilliUnits, CpuUnits};

/// How often the CPU of hosts is divided anew because demand has moved: the longest step of the fluid model.
pub const INTERVAL: SimDuration = SimDuration::from_secs(10);

/// The hosts kept, and whether the next look is scheduled.
#[derive(Debug, Default)]
pub(super) struct SharedHosts {
    hosts: BTreeMap<InstanceId, SharedHost>,
    scheduled: bool,
}

/// A host that can be short of CPU, as it was divided last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SharedHost {
    cluster: ClusterId,
    cpu: CpuMilliUnits,
    /// What its tasks ask for by themselves.
    own: CpuMilliUnits,
    /// What they do not get of that.
    cut: CpuMilliUnits,
    /// By service, ascending: those with load, and those whose own use is cut.
    services: Vec<ServiceOnHost>,
}

/// The tasks of one service on one host that a balancer treats alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ServiceOnHost {
    service: ServiceId,
    lane: LaneKey,
    /// What each of those that take load was asked for at the last look.
    load: CpuMilliUnits,
    /// Whether some of those have no hard cap: they form one queue.
    free: bool,
    part: Part,
}

/// What a service has on a host: or, added up, on all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Its tasks that take load.
    pub(super) takers: u32,
    /// What its tasks that take load could use for it.
    pub(super) capacity: CpuMilliUnits,
    /// Queues that they form (see [`fluid`](crate::workload::fluid)).
    pub(super) queues: u32,
    /// What its tasks do not get of what they would use by themselves.
    pub(super) cut: CpuMilliUnits,
}

impl Part {
    pub(super) fn add(&mut self, other: Self) {
        self.takers += other.takers;
        self.capacity += other.capacity;
        self.queues += other.queues;
        self.cut += other.cut;
    }

    pub(super) fn remove(&mut self, other: Self) {
        self.takers -= other.takers;
        self.capacity -= other.capacity;
        self.queues -= other.queues;
        self.cut -= other.cut;
    }
}

impl SharedHosts {
    /// What each queue of a service's tasks has of a host (see [`Part::queues`]); tasks without a hard cap form one,
    /// whatever their lanes.
    pub(super) fn per_queue(&self, host: InstanceId, service: ServiceId) -> Option<CpuMilliUnits> {
        let (mut capacity, mut queues, mut free) = (0, 0, false);
        for entry in self.hosts.get(&host)?.services.iter().filter(|entry| entry.service == service) {
            capacity += entry.part.capacity.0;
            queues += entry.part.queues - u32::from(entry.free);
            free |= entry.free;
        }
        Some(CpuMilliUnits(capacity / u64::from((queues + u32::from(free)).max(1))))
    }

    /// Services with tasks on a host that take load.
    pub(super) fn loaded_services(&self, host: InstanceId) -> Vec<ServiceId> {
        let services = self.hosts.get(&host).map_or(&[][..], |host| &host.services);
        let mut loaded: Vec<ServiceId> =
            services.iter().filter(|entry| entry.part.takers > 0).map(|entry| entry.service).collect();
        loaded.dedup();
        loaded
    }
}

/// A running task, as the division of its host sees it.
#[derive(Clone, Copy, Debug)]
struct Sharer {
    service: Option<(ServiceId, LaneKey)>,
    takes_load: bool,
    terms: CpuTerms,
    /// What it would use by itself.
    own: CpuMilliUnits,
    /// What load asks of it; zero unless it takes load.
    load: CpuMilliUnits,
}

impl Sharer {
    /// Own use, its hard cap observed.
    fn own(&self) -> CpuMilliUnits {
        self.terms.capped(self.own)
    }

    fn asker(&self, asks: CpuMilliUnits) -> Asker {
        Asker { weight: self.terms.weight, asks: self.terms.capped(asks) }
    }

    /// Own use out of `given`: when that is too little for own use and load, each has half, or what the other leaves.
    fn own_of(&self, given: CpuMilliUnits, load: CpuMilliUnits) -> CpuMilliUnits {
        let half = CpuMilliUnits(given.0.div_ceil(2));
        self.own().min(half.max(given.saturating_sub(load)))
    }
}

/// Capacity of a task that nobody else can take CPU from: its hard cap but for its own use.
pub(super) fn alone(cap: CpuMilliUnits, own: CpuMilliUnits) -> CpuMilliUnits {
    let sharer = Sharer {
        service: None,
        takes_load: true,
        terms: CpuTerms { weight: CpuTerms::DEFAULT_WEIGHT, cap: Some(cap) },
        own,
        load: cap,
    };
    cap - sharer.own_of(cap, cap)
}

/// A workload's share of a capacity. At least a thousandth of a CPU unit: however many compete, a task is never without CPU
/// for ever.
pub(super) fn scaled(capacity: CpuMilliUnits, share: f64) -> CpuMilliUnits {
    let part = if share < 1.0 { CpuMilliUnits((capacity.0 as f64 * share).round() as u64) } else { capacity };
    part.max(CpuMilliUnits(1))
}

/// Divides a host's CPU; `None` when it cannot run short.
fn divide(cluster: ClusterId, cpu: CpuMilliUnits, sharers: &[Sharer], over_reservation: bool) -> Option<SharedHost> {
    if !over_reservation && !sharers.iter().any(|sharer| sharer.takes_load) {
        return None;
    }
    let now: Vec<Asker> = sharers.iter().map(|sharer| sharer.asker(sharer.own() + sharer.load)).collect();
    let mut services: BTreeMap<(ServiceId, LaneKey), ServiceOnHost> = BTreeMap::new();
    let nothing = CpuMilliUnits(0);
    let mut host = SharedHost { cluster, cpu, own: nothing, cut: nothing, services: Vec::new() };
    for (sharer, given) in sharers.iter().zip(share(cpu, &now)) {
        let cut = sharer.own - sharer.own_of(given, sharer.load);
        host.own += sharer.own;
        host.cut += cut;
        let Some(service) = sharer.service else { continue };
        let blank =
            ServiceOnHost { service: service.0, lane: service.1, load: nothing, free: false, part: Part::default() };
        let entry = services.entry(service).or_insert(blank);
        entry.part.cut += cut;
        if sharer.takes_load {
            entry.part.takers += 1;
            entry.load = sharer.load;
        }
    }
    for (lane, entry) in services.iter_mut().filter(|(_, entry)| entry.part.takers > 0) {
        // The whole service is greedy; the lane has its part of that.
        let mine = |sharer: &Sharer| sharer.takes_load && sharer.service.is_some_and(|(service, _)| service == lane.0);
        let greedy: Vec<Asker> =
            sharers.iter().zip(&now).map(|(sharer, now)| if mine(sharer) { sharer.asker(cpu) } else { *now }).collect();
        let of_lane = |sharer: &Sharer| sharer.takes_load && sharer.service == Some(*lane);
        for (sharer, given) in sharers.iter().zip(share(cpu, &greedy)).filter(|(sharer, _)| of_lane(sharer)) {
            entry.part.capacity += given - sharer.own_of(given, given);
            entry.part.queues += u32::from(sharer.terms.cap.is_some());
            entry.free |= sharer.terms.cap.is_none();
        }
        entry.part.queues += u32::from(entry.free);
        // However many compete, a task is never without CPU for ever.
        entry.part.capacity = entry.part.capacity.max(CpuMilliUnits(1));
        entry.lane = entry.lane.sized(&entry.part);
    }
    host.services = services.into_values().filter(|entry| entry.part.takers > 0 || entry.part.cut.0 > 0).collect();
    Some(host)
}

/// The running tasks of a host and its CPU.
struct Sharing {
    cluster: ClusterId,
    cpu: CpuMilliUnits,
    tasks: Vec<TaskKey>,
    sharers: Vec<Sharer>,
    over_reservation: bool,
}

impl Sharing {
    /// How the CPU divides; `None` when it cannot run short.
    fn divide(&self) -> Option<SharedHost> {
        divide(self.cluster, self.cpu, &self.sharers, self.over_reservation)
    }

    /// What each task gets of the CPU that it would use by itself; `None` for all of it (TD-9).
    fn own_cpu(&self) -> Vec<(TaskKey, Option<CpuMilliUnits>)> {
        let asks: Vec<Asker> = self.sharers.iter().map(|sharer| sharer.asker(sharer.own() + sharer.load)).collect();
        let given = share(self.cpu, &asks);
        let own = |(sharer, given): (&Sharer, CpuMilliUnits)| {
            Some(sharer.own_of(given, sharer.load)).filter(|own| *own < sharer.own)
        };
        self.tasks.iter().copied().zip(self.sharers.iter().zip(given).map(own)).collect()
    }
}

impl SharedHost {
    fn has_load(&self) -> bool {
        self.services.iter().any(|entry| entry.part.takers > 0)
    }

    /// Whether another division could give another result now that demand has moved. A lone loaded service has no rival
    /// for its capacity but own use, which moves with tasks only; it matters to that own use once the host is full.
    fn may_differ(&self, mut load_per_task: impl FnMut(ServiceId, LaneKey) -> CpuMilliUnits) -> bool {
        let loaded = || self.services.iter().filter(|entry| entry.part.takers > 0);
        let Some(first) = loaded().next() else { return false };
        if loaded().all(|entry| entry.service == first.service) {
            let load: u128 = loaded()
                .map(|entry| u128::from(load_per_task(entry.service, entry.lane).0) * u128::from(entry.part.takers))
                .sum();
            return self.cut.0 > 0 || u128::from(self.own.0) + load > u128::from(self.cpu.0);
        }
        loaded().any(|entry| load_per_task(entry.service, entry.lane) != entry.load)
    }
}

impl ControlPlane<'_> {
    /// Every [`INTERVAL`] while a host has load: demand has moved.
    pub(super) fn on_cpu_shares(&mut self, schedule: &mut Schedule<Event>) {
        self.load.shared.scheduled = false;
        self.take_due_steps(schedule);
        let load = &self.load;
        // Neighbours have the same services as a rule: what was found for one is kept for the next, which spares a day
        // of quickstart 25 million instructions.
        let mut last = None;
        let mut load_per_task = |service: ServiceId, lane: LaneKey| match last {
            Some((known, found)) if known == (service, lane) => found,
            _ => {
                let found = load.load_per_task(service, lane);
                last = Some(((service, lane), found));
                found
            }
        };
        let hosts = load.shared.hosts.iter();
        let due: Vec<InstanceId> =
            hosts.filter(|(_, host)| host.may_differ(&mut load_per_task)).map(|(id, _)| *id).collect();
        for id in due {
            self.share_host(id, schedule);
        }
        self.schedule_cpu_shares(schedule);
    }

    fn schedule_cpu_shares(&mut self, schedule: &mut Schedule<Event>) {
        let shared = &mut self.load.shared;
        if !shared.scheduled && shared.hosts.values().any(SharedHost::has_load) {
            shared.scheduled = true;
            let next = schedule.now().saturating_add(SimDuration::from_nanos(1)).next_multiple_of(INTERVAL);
            schedule.at(next, Event::CpuShares);
        }
    }

    /// Whether a host is kept for its load or its greedy tasks.
    fn is_shared(&self, id: InstanceId) -> bool {
        self.load.shared.hosts.contains_key(&id)
    }

    /// The host of a task that starts or stops, if its CPU has to be divided anew.
    pub(super) fn host_to_share(&self, key: TaskKey) -> Option<InstanceId> {
        // What real containers were seen to use is what they got.
        if self.execution.is_real() {
            return None;
        }
        let task = &self.state.tasks[key];
        let id = task.instance?;
        let reserved = self.state.requirements(task.shape).cpu;
        (self.is_shared(id) || exceeds_reservation(task, reserved)).then_some(id)
    }

    /// Divides the CPU of a host anew: capacities and cuts of its services follow.
    pub(super) fn share_host(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let before = self.load.shared.hosts.remove(&id);
        let sharing = self.sharing(id);
        let after = sharing.as_ref().and_then(Sharing::divide);
        for (key, given) in sharing.map(|sharing| sharing.own_cpu()).unwrap_or_default() {
            self.set_own_cpu(key, given, schedule);
        }
        if before == after {
            if let Some(host) = after {
                self.load.shared.hosts.insert(id, host);
            }
            return;
        }
        if let Some(host) = before {
            self.load.clusters[host.cluster.index()].cut -= host.cut;
            for entry in &host.services {
                self.load.remove_part(entry.service, entry.lane, entry.part);
            }
        }
        if let Some(host) = after {
            self.load.clusters[host.cluster.index()].cut += host.cut;
            for entry in &host.services {
                self.load.add_part(entry.service, entry.lane, entry.part);
            }
            let has_load = host.has_load();
            self.load.shared.hosts.insert(id, host);
            if has_load && !self.load.shared.scheduled {
                self.schedule_cpu_shares(schedule);
            }
            self.host_cpu_changed(id, schedule);
            self.front_cpu_changed(id, schedule);
        }
    }

    /// Who shares the CPU of a host now; `None` when it is not registered.
    fn sharing(&self, id: InstanceId) -> Option<Sharing> {
        let group = self.state.group_of(id)?;
        let cluster = self.groups[group.index()].cluster;
        let host = self.state.clusters[cluster.index()].cluster.instance(id)?;
        let speed = self.impairments.speed_permille(id);
        // A slow host may run short whatever its tasks do.
        let mut over_reservation = speed < 1000;
        let mut tasks = Vec::new();
        let mut sharers = Vec::new();
        for key in host.tasks.keys() {
            let running = |task: &&Task| task.last_status == TaskStatus::Running && task.desired_running();
            let Some(task) = self.state.tasks.get(*key).filter(running) else { continue };
            let reserved = self.state.requirements(task.shape).cpu;
            let definition = &self.state.definitions[task.definition.index()].definition;
            let service = task.owner.map(|owner| (owner.service, self.lane_of(task)));
            over_reservation |= exceeds_reservation(task, reserved);
            tasks.push(*key);
            sharers.push(Sharer {
                service,
                takes_load: task.takes_load,
                terms: CpuTerms::of(definition, reserved, host.registered.cpu),
                own: OwnUse::of(task, reserved).cpu,
                load: service
                    .filter(|_| task.takes_load)
                    .map_or(CpuMilliUnits(0), |(service, lane)| self.load.load_per_task(service, lane)),
            });
        }
        let whole = CpuMilliUnits::from(host.registered.cpu);
        let cpu = CpuMilliUnits(whole.0 * u64::from(speed) / 1000);
        Some(Sharing { cluster, cpu, tasks, sharers, over_reservation })
    }

    /// Checks capacities and cuts against the hosts they are the sums of (see [`super::audit`]).
    pub(super) fn audit_cpu_shares(&self) -> Result<(), String> {
        let mut parts = vec![Part::default(); self.load.services.len()];
        let mut lanes = vec![BTreeMap::new(); self.load.services.len()];
        let mut count = |service: ServiceId, lane: LaneKey, part: Part| {
            parts[service.index()].add(part);
            lanes[service.index()].entry(lane).or_insert_with(Part::default).add(part);
        };
        let mut cuts = vec![CpuMilliUnits(0); self.load.clusters.len()];
        for host in self.load.shared.hosts.values() {
            cuts[host.cluster.index()] += host.cut;
            for entry in &host.services {
                count(entry.service, entry.lane, entry.part);
            }
        }
        let mut owns = vec![OwnUse::default(); self.load.clusters.len()];
        for (key, task) in &self.state.tasks {
            let reserved = self.state.requirements(task.shape).cpu;
            let own = OwnUse::of(task, reserved);
            if let Some(owner) = task.owner.filter(|_| task.takes_load) {
                if task.launch.is_fargate() {
                    let capacity = alone(reserved.into(), own.cpu);
                    let part = Part { takers: 1, capacity, queues: 1, cut: CpuMilliUnits(0) };
                    let lane = self.load.services[owner.service.index()].lane_on_fargate(key);
                    count(owner.service, lane.ok_or_else(|| format!("task {:032x} is in no lane", task.id))?, part);
                } else if task.instance.is_none_or(|id| !self.is_shared(id)) {
                    return Err(format!("task {:032x} takes load on a host that nobody divides", task.id));
                }
            }
            if task.last_status == TaskStatus::Running && task.desired_running() && !task.launch.is_fargate() {
                owns[task.cluster.index()].add(own);
            }
        }
        for (place, cluster) in self.load.clusters.iter().enumerate() {
            if cluster.own != owns[place] || cluster.cut != cuts[place] {
                return Err(format!("cluster {place}: {cluster:?}, recounted {:?} and {:?}", owns[place], cuts[place]));
            }
        }
        for (place, used) in self.load.services.iter().enumerate() {
            if used.part != parts[place] || used.lanes != lanes[place] {
                let (part, counted) = (used.part, parts[place]);
                return Err(format!("service {place}: {part:?} in {:?}, recounted {counted:?}", used.lanes));
            }
        }
        Ok(())
    }
}

impl Load {
    /// What load asks of each task of a service that takes it in a lane, or in one that differs by its strength alone.
    fn load_per_task(&self, id: ServiceId, lane: LaneKey) -> CpuMilliUnits {
        let used = &self.services[id.index()];
        let takers: u32 = used.lanes.iter().filter(|(key, _)| key.is_like(lane)).map(|(_, part)| part.takers).sum();
        let share = f64::from(takers) / f64::from(used.part.takers.max(1));
        let demand: f64 = used.loads.iter().map(|id| self.demand_in(*id, lane, share)).sum();
        CpuMilliUnits::from_vcpus(demand / f64::from(takers.max(1)))
    }
}

/// Whether a task would use more CPU than it reserves, so that its host may run short even without load.
fn exceeds_reservation(task: &Task, reserved: CpuUnits) -> bool {
    task.cpu_fraction > 1.0 && OwnUse::of(task, reserved).cpu > reserved.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(cpu: u64) -> CpuMilliUnits {
        CpuUnits(cpu).into()
    }

    const HOST: u64 = 4096;

    fn sharer(service: u32, weight: u64, own: u64, load: Option<u64>) -> Sharer {
        Sharer {
            service: Some((ServiceId(service), LaneKey::default())),
            takes_load: load.is_some(),
            terms: CpuTerms { weight, cap: None },
            own: units(own),
            load: units(load.unwrap_or(0)),
        }
    }

    fn divided(sharers: &[Sharer]) -> SharedHost {
        divide(ClusterId(0), units(HOST), sharers, true).unwrap()
    }

    fn capacities(sharers: &[Sharer]) -> Vec<(u32, f64, u32)> {
        let host = divided(sharers);
        // Sharing rounds by less than a thousandth of a CPU unit a task.
        let vcpus = |capacity: CpuMilliUnits| (capacity.as_vcpus() * 1e5).round() / 1e5;
        host.services.iter().map(|entry| (entry.service.0, vcpus(entry.part.capacity), entry.part.queues)).collect()
    }

    #[test]
    fn a_task_alone_has_the_whole_host() {
        for weight in [2, 256] {
            assert_eq!(capacities(&[sharer(0, weight, 0, Some(1536))]), [(0, 4.0, 1)]);
        }
    }

    #[test]
    fn a_service_is_greedy_while_the_others_ask_for_what_they_use() {
        // One and a half vCPUs of others leave two and a half; three of its tasks share one host, as one queue.
        let mine = sharer(0, 256, 0, Some(100));
        assert_eq!(capacities(&[mine, mine, mine, sharer(1, 512, 1536, None)]), [(0, 2.5, 1)]);
        // Two services: each could have what the other leaves, and a fair part of the host when the other is greedy.
        let rivals = [sharer(0, 1024, 0, Some(1024)), sharer(1, 1024, 0, Some(3072))];
        assert_eq!(capacities(&rivals), [(0, 2.0, 1), (1, 3.0, 1)]);
    }

    #[test]
    fn td_9_hard_caps_hold_however_idle_the_host() {
        let capped = Sharer { terms: CpuTerms { weight: 1024, cap: Some(units(512)) }, ..sharer(0, 0, 0, Some(1024)) };
        assert_eq!(capacities(&[capped, capped]), [(0, 1.0, 2)]);
        assert_eq!(alone(units(512), units(0)), units(512));
        assert_eq!(alone(units(512), units(100)), units(412));
        assert_eq!(alone(units(512), units(512)), units(256), "own use and load share evenly when there is not enough");
    }

    #[test]
    fn own_use_beyond_the_host_is_cut_by_weight() {
        let host = divided(&[sharer(0, 3072, 20_000, None), sharer(1, 1024, 20_000, None)]);
        assert_eq!(host.cut, units(40_000 - HOST));
        let cuts: Vec<CpuMilliUnits> = host.services.iter().map(|entry| entry.part.cut).collect();
        assert_eq!(cuts, [units(20_000 - 3072), units(20_000 - 1024)]);
    }

    #[test]
    fn load_takes_its_part_from_own_use_under_contention() {
        let host = divided(&[sharer(0, 512, 0, Some(4096)), sharer(1, 512, 4096, None)]);
        assert_eq!((host.services[0].part.capacity, host.cut), (units(2048), units(2048)));
        // Within one task own use and load share evenly.
        let both = divided(&[sharer(0, 512, 4096, Some(4096))]);
        assert_eq!((both.services[0].part.capacity, both.cut), (units(2048), units(2048)));
    }

    #[test]
    fn hosts_that_cannot_run_short_are_not_kept_and_calm_ones_not_looked_at() {
        let own = sharer(0, 512, 512, None);
        assert_eq!(divide(ClusterId(0), units(HOST), &[own, own], false), None);
        let load = |cpu| move |_: ServiceId, _: LaneKey| units(cpu);
        let calm = divided(&[sharer(0, 512, 0, Some(100)), own]);
        assert!(!calm.may_differ(load(200)), "no rival");
        assert!(calm.may_differ(load(4000)), "own use may have to give way");
        let rivals = divided(&[sharer(0, 512, 0, Some(100)), sharer(1, 512, 0, Some(100))]);
        assert!(!rivals.may_differ(load(100)) && rivals.may_differ(load(101)));
    }
}
