//! One workload's requests: from their arrival through the balancer to a task, and back.
//!
//! A request costs one event to arrive, one to begin to compute if it waits for others before, and a part of one to end: of
//! all requests that share CPU only the next to end has an event, which is left where it is when a new request puts that end
//! off. Time-outs cost nothing until one strikes. Per request that is O(log n) in the events pending and in the requests
//! that share its CPU, and no allocation while no more are in flight than ever before.

use std::collections::BTreeMap;

use slotmap::{SecondaryMap, SlotMap};

use crate::control_plane::cpu_sharing::scaled;
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::queues::Timer;
use crate::ecs::ids::{RequestKey, StationId, StationKey, TargetGroupId, TaskKey, WorkloadId, ZoneId};
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::stats::WeightedHistogram;
use crate::units::CpuMilliUnits;
use crate::workload::arrivals::{ArrivalProcess, Arrivals};
use crate::workload::balancer::{Balancer, Choice};
use crate::workload::distribution::Distribution;
use crate::workload::failed::FailureCause;
use crate::workload::in_flight::InFlight;
use crate::workload::per_request::{OnTimeout, PerRequest, RequestStep};
use crate::workload::processor_sharing::{CpuUse, JobId, ProcessorSharing};
use crate::workload::rate::Rate;
use crate::workload::slots::{Admission, Slots};

/// What a workload's requests are like.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) rate: Rate,
    pub(super) cpu: Distribution,
    pub(super) floor: Distribution,
    pub(super) timeout: SimDuration,
    pub(super) spec: PerRequest,
}

/// A workload's requests, and the tasks that they go to.
#[derive(Debug)]
pub(super) struct Front {
    id: WorkloadId,
    kind: Kind,
    arrivals: Arrivals,
    chance: Chance,
    /// How long an answer is waited for, and whether it is the client who gives up first.
    patience: SimDuration,
    client_leaves_first: bool,
    /// Who gets requests now, and the last of a thousand numbers that stands for each.
    fleets: Vec<(Fleet, u32)>,
    pools: BTreeMap<(u32, Option<ZoneId>), Balancer<TaskKey>>,
    servers: SecondaryMap<TaskKey, Server>,
    stations: SlotMap<StationKey, Station>,
    station_keys: BTreeMap<StationId, StationKey>,
    requests: InFlight<Request>,
    timeout_pending: bool,
    /// Share of its service's CPU that is for these requests; below one beside other loads.
    pub(super) share: f64,
    past_use: CpuUse,
    step: RequestStep,
    /// Target groups whose requests are counted, and the sets of them that a fleet has.
    groups: Vec<(TargetGroupId, GroupTally)>,
    sets: Vec<Vec<usize>>,
    /// Every request that came, and what became of it: for the audit.
    arrived: u64,
    ended: u64,
}

/// One stream for each source of chance, so that a change of one leaves the others alone.
#[derive(Debug)]
struct Chance {
    work: Stream,
    floor: Stream,
    routing: Stream,
    errors: Stream,
    backoff: Stream,
    probes: Stream,
}

/// The tasks of the revisions that share target groups.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fleet {
    pub(super) fleet: u32,
    /// Its target groups, as a set of the front's.
    pub(super) set: usize,
    /// Tasks that nothing tells apart are one fleet, whatever their revision.
    pub(super) everyone: bool,
    zones: Vec<Option<ZoneId>>,
}

impl Fleet {
    pub(super) const fn new(fleet: u32, set: usize, everyone: bool) -> Self {
        Self { fleet, set, everyone, zones: Vec::new() }
    }
}

/// What a load balancer counts of a target group.
#[derive(Clone, Debug, Default)]
pub(in crate::control_plane) struct GroupTally {
    /// Requests sent.
    pub(in crate::control_plane) requests: f64,
    /// Responses of the balancer itself.
    pub(in crate::control_plane) elb_5xx: f64,
    pub(in crate::control_plane) elb_4xx: f64,
    /// Responses of targets.
    pub(in crate::control_plane) target_2xx: f64,
    pub(in crate::control_plane) target_5xx: f64,
    /// Connections that targets refused.
    pub(in crate::control_plane) connection_errors: f64,
    /// Seconds to the answers of targets.
    pub(in crate::control_plane) response: WeightedHistogram,
}

impl GroupTally {
    pub(in crate::control_plane) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.elb_5xx += other.elb_5xx;
        self.elb_4xx += other.elb_4xx;
        self.target_2xx += other.target_2xx;
        self.target_5xx += other.target_5xx;
        self.connection_errors += other.connection_errors;
        self.response.merge(&other.response);
    }

    /// Requests that failed, as the balancer tells it; `client_leaves_first` says what a time-out looks like.
    pub(in crate::control_plane) fn count(&mut self, cause: FailureCause, requests: f64, client_leaves_first: bool) {
        match cause {
            FailureCause::Timeout if client_leaves_first => self.elb_4xx += requests,
            FailureCause::NoHealthyTarget | FailureCause::Timeout | FailureCause::TaskKilled => {
                self.elb_5xx += requests
            }
            FailureCause::ConnectionRefused => {
                self.elb_5xx += requests;
                self.connection_errors += requests;
            }
            FailureCause::ApplicationError => self.target_5xx += requests,
        }
    }

    fn reset(&mut self) {
        let mut response = std::mem::take(&mut self.response);
        response.reset();
        *self = Self { response, ..Self::default() };
    }
}

/// A task that has answered requests, or may.
#[derive(Debug)]
struct Server {
    fleet: u32,
    /// The balancer that sends it requests while it is open.
    pool: (u32, Option<ZoneId>),
    set: usize,
    station: StationKey,
    slots: Slots<RequestKey>,
    /// Requests in it, waiting or in work, probes and those without a client included.
    present: u32,
    /// Of these, those whose answer somebody waits for: what a balancer counts.
    outstanding: u32,
    /// Probes among those present: they take no memory.
    probes: u32,
    /// Whether new requests are sent to it.
    open: bool,
    /// Its container is being restarted: nothing listens.
    down: bool,
    /// Since when its targets are in slow start, and for how long.
    slow: Option<(SimTime, SimDuration)>,
    /// What it has of memory for requests [MiB], without a hard limit all there is.
    room: f64,
    leaked: f64,
    out_of_memory: bool,
}

impl Server {
    fn memory(&self, spec: &PerRequest) -> f64 {
        f64::from(self.present - self.probes) * spec.memory_per_request + self.leaked
    }

    /// ELB-8: the part of a full share that its targets get.
    fn part(&self, now: SimTime) -> f64 {
        self.slow.map_or(1.0, |(since, lasts)| {
            let lasts = lasts.as_secs_f64();
            if lasts > 0.0 { now.saturating_since(since).as_secs_f64() / lasts } else { 1.0 }
        })
    }
}

/// What a task brings when it begins to answer requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewServer {
    pub(super) fleet: u32,
    pub(super) zone: Option<ZoneId>,
    pub(super) set: usize,
    pub(super) choice: Choice,
    pub(super) station: StationId,
    pub(super) capacity: CpuMilliUnits,
    pub(super) slow: Option<(SimTime, SimDuration)>,
    /// See [`Server::room`].
    pub(super) room: f64,
}

/// CPU that requests share: a task's own under a hard cap, else the host's.
#[derive(Debug)]
struct Station {
    cpu: ProcessorSharing<RequestKey>,
    timer: Option<Timer>,
    servers: u32,
}

/// A request in flight, or a probe.
#[derive(Clone, Copy, Debug)]
struct Request {
    /// When its client asked first.
    asked: SimTime,
    work: SimDuration,
    floor: SimDuration,
    /// Tries so far.
    tries: u32,
    role: Role,
    /// Where it is, unless it is between two tries.
    task: TaskKey,
    stage: Stage,
}

impl Request {
    const fn is_probe(&self) -> bool {
        matches!(self.role, Role::Probe { .. })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A client waits for the answer.
    Asked,
    /// The client has gone.
    Orphaned,
    /// The probe of a target group of its task.
    Probe { group: u8, number: u32 },
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// It is about to be sent.
    Sent,
    /// It waits for a slot.
    Waits,
    /// It has a slot and waits for others.
    Floor(EventKey),
    /// It computes.
    Computes(JobId),
    /// It failed, and is tried again at the event.
    Pauses,
}

/// What a probe finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeSent {
    /// Nobody else is there: it is answered at once.
    Answered,
    /// Its connection is refused.
    Refused,
    /// It has to wait its turn.
    Waits(RequestKey),
}

impl Front {
    pub(super) fn new(id: WorkloadId, name: &str, kind: Kind, streams: &Streams) -> Self {
        let named = |source: &str| streams.named(&format!("{source}/{name}"));
        let arrivals = Arrivals::new(&ArrivalProcess::Poisson(kind.rate.clone()), named("arrivals"), SimTime::ZERO);
        Self {
            id,
            arrivals,
            patience: kind.timeout,
            client_leaves_first: true,
            kind,
            chance: Chance {
                work: named("work"),
                floor: named("floor"),
                routing: named("routing"),
                errors: named("failures"),
                backoff: named("backoff"),
                probes: named("probes"),
            },
            fleets: Vec::new(),
            pools: BTreeMap::new(),
            servers: SecondaryMap::new(),
            stations: SlotMap::with_key(),
            station_keys: BTreeMap::new(),
            requests: InFlight::default(),
            timeout_pending: false,
            share: 1.0,
            past_use: CpuUse::default(),
            step: RequestStep::default(),
            groups: Vec::new(),
            sets: Vec::new(),
            arrived: 0,
            ended: 0,
        }
    }

    pub(super) fn schedule_arrival(&mut self, after: SimTime, schedule: &mut Schedule<Event>) {
        if let Some(arrival) = self.arrivals.next(after) {
            schedule.at(arrival.at, Event::RequestArrival(self.id));
        }
    }

    /// A request comes.
    pub(super) fn on_arrival(&mut self, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let floor = &self.kind.floor;
        let request = Request {
            asked: now,
            work: self.kind.cpu.sample_duration(&mut self.chance.work).min(SimDuration::CENTURY),
            floor: floor.sample_duration(&mut self.chance.floor).min(SimDuration::CENTURY),
            tries: 0,
            role: Role::Asked,
            task: TaskKey::default(),
            stage: Stage::Sent,
        };
        self.arrived += 1;
        self.step.arrived += 1;
        let key = self.requests.insert(request);
        self.send(key, schedule);
    }

    /// One try of a request: the balancer picks a target, and the task there takes it or not.
    fn send(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(request) = self.requests.get_mut(key) else { return };
        request.tries += 1;
        request.stage = Stage::Sent;
        self.step.sent += 1;
        let fleet = match &self.fleets[..] {
            [] => None,
            [(fleet, _)] => Some(fleet),
            fleets => {
                let number = self.chance.routing.below(1000);
                fleets.iter().find(|(_, last)| number < u64::from(*last)).map(|(fleet, _)| fleet)
            }
        };
        let Some(fleet) = fleet else { return self.fail(key, FailureCause::NoHealthyTarget, None, schedule) };
        let set = fleet.set;
        for group in &self.sets[set] {
            self.groups[*group].1.requests += 1.0;
        }
        let zone = match &fleet.zones[..] {
            [zone] => Some(*zone),
            zones => self.chance.routing.choose(zones).copied(),
        };
        let servers = &self.servers;
        let part = |task: TaskKey| servers.get(task).map_or(1.0, |server| server.part(now));
        let pool = zone.and_then(|zone| self.pools.get_mut(&(fleet.fleet, zone)));
        let target = pool.and_then(|pool| pool.next(&mut self.chance.routing, part));
        let Some(task) = target else { return self.fail(key, FailureCause::NoHealthyTarget, Some(set), schedule) };
        if !self.enter(key, task, schedule) {
            return self.fail(key, FailureCause::ConnectionRefused, Some(set), schedule);
        }
        self.tell_pool(task, Balancer::sent);
        self.requests.waits(key, now);
        if !self.timeout_pending {
            self.timeout_pending = true;
            schedule.after(self.patience, Event::RequestTimeout(self.id));
        }
    }

    /// Tells the balancer of a task's requests what has become of one.
    fn tell_pool(&mut self, task: TaskKey, tell: impl FnOnce(&mut Balancer<TaskKey>, TaskKey)) {
        if let Some(pool) = self.servers.get(task).and_then(|server| self.pools.get_mut(&server.pool)) {
            tell(pool, task);
        }
    }

    /// A request, or a probe, has come to a task; false when that refuses it.
    fn enter(&mut self, key: RequestKey, task: TaskKey, schedule: &mut Schedule<Event>) -> bool {
        let Some(server) = self.servers.get_mut(task) else { return false };
        let Some(request) = self.requests.get_mut(key) else { return false };
        let admission = if server.down { Admission::Refused } else { server.slots.arrive(key) };
        if admission == Admission::Refused {
            return false;
        }
        let probe = request.is_probe();
        request.task = task;
        server.present += 1;
        server.outstanding += u32::from(!probe);
        server.probes += u32::from(probe);
        if server.memory(&self.kind.spec) > server.room && !std::mem::replace(&mut server.out_of_memory, true) {
            schedule.after(SimDuration::ZERO, Event::Task { task, step: TaskStep::OutOfMemory });
        }
        if admission == Admission::Waits {
            request.stage = Stage::Waits;
        } else {
            self.begin(key, schedule);
        }
        true
    }

    /// A request has a slot.
    fn begin(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.floor.is_zero() {
            self.compute(key, schedule);
        } else {
            let event = Event::RequestGoesOn { workload: self.id, request: key };
            request.stage = Stage::Floor(schedule.after(request.floor, event));
        }
    }

    /// A request has waited for others, or long enough for its next try.
    pub(super) fn on_goes_on(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        match self.requests.get(key).map(|request| request.stage) {
            Some(Stage::Floor(_)) => self.compute(key, schedule),
            Some(Stage::Pauses) => self.send(key, schedule),
            _ => {}
        }
    }

    fn compute(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let Some(request) = self.requests.get_mut(key) else { return };
        let Some(server) = self.servers.get(request.task) else { return };
        let slot = server.station;
        if let Some(station) = self.stations.get_mut(slot) {
            request.stage = Stage::Computes(station.cpu.add(request.work, key, schedule.now()));
            self.set_timer(slot, schedule);
        }
    }

    /// The requests of a station that have computed enough are done.
    pub(super) fn on_due(&mut self, slot: StationKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(station) = self.stations.get_mut(slot) else { return };
        station.timer = None;
        while let Some(key) = self.stations.get_mut(slot).and_then(|station| station.cpu.pop_ended(now)) {
            self.finish(key, schedule);
        }
        self.set_timer(slot, schedule);
    }

    /// The next end of a station has an event, at its instant or before: one that comes too early looks again. New requests
    /// put ends off, so that most of the time nothing has to be moved.
    fn set_timer(&mut self, slot: StationKey, schedule: &mut Schedule<Event>) {
        let Some(station) = self.stations.get_mut(slot) else { return };
        let Some(due) = station.cpu.next_end() else { return };
        if station.timer.is_some_and(|timer| timer.at <= due) {
            return;
        }
        if let Some(old) = station.timer.take() {
            schedule.cancel(old.key);
        }
        let event = Event::RequestsDue { workload: self.id, station: slot };
        station.timer = Some(Timer { at: due, key: schedule.at(due, event) });
    }

    /// A request has been worked on: it is answered.
    fn finish(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(request) = self.requests.get(key).copied() else { return };
        let since = self.let_go(key);
        self.leave_slot(request.task, schedule);
        let set = self.servers.get(request.task).map(|server| server.set);
        self.gone(&request);
        match request.role {
            Role::Orphaned => {
                self.requests.remove(key);
            }
            Role::Probe { group, number } => {
                self.requests.remove(key);
                let step = TaskStep::ProbeOver { group, number, answered: true };
                schedule.after(SimDuration::ZERO, Event::Task { task: request.task, step });
            }
            Role::Asked => {
                // No number is drawn for an application without errors.
                let ratio = self.kind.spec.failure_ratio;
                let fails = ratio > 0.0 && self.chance.errors.bernoulli(ratio);
                let took = since.map_or(0.0, |since| now.saturating_since(since).as_secs_f64());
                for group in set.map_or(&[][..], |set| &self.sets[set]) {
                    self.groups[*group].1.response.record(took, 1.0);
                    self.groups[*group].1.target_2xx += f64::from(u8::from(!fails));
                }
                if fails {
                    self.fail(key, FailureCause::ApplicationError, set, schedule);
                } else {
                    self.step.latency.record(now.saturating_since(request.asked).as_secs_f64(), 1.0);
                    self.step.served += 1;
                    self.ended += 1;
                    self.requests.remove(key);
                }
            }
        }
    }

    /// Nobody waits for the answer to a request any more; since when somebody did.
    fn let_go(&mut self, key: RequestKey) -> Option<SimTime> {
        let request = self.requests.get(key)?;
        let (role, task) = (request.role, request.task);
        if let Some(server) = self.servers.get_mut(task) {
            match role {
                Role::Asked => server.outstanding -= 1,
                Role::Probe { .. } => server.probes -= 1,
                Role::Orphaned => {}
            }
        }
        if role == Role::Asked {
            self.tell_pool(task, Balancer::returned);
        }
        self.requests.answered(key)
    }

    /// A slot is free: who waits for it has it.
    fn leave_slot(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
        if let Some(next) = self.servers.get_mut(task).and_then(|server| server.slots.leave()) {
            self.begin(next, schedule);
        }
    }

    /// A request is no longer in a task; what it leaks stays.
    fn gone(&mut self, request: &Request) {
        if let Some(server) = self.servers.get_mut(request.task) {
            server.present -= 1;
            server.leaked += if request.is_probe() { 0.0 } else { self.kind.spec.memory_leak };
        }
    }

    /// A try has failed: there is another, or the request has failed. It must have left its task.
    fn fail(&mut self, key: RequestKey, cause: FailureCause, set: Option<usize>, schedule: &mut Schedule<Event>) {
        for group in set.map_or(&[][..], |set| &self.sets[set]) {
            self.groups[*group].1.count(cause, 1.0, self.client_leaves_first);
        }
        let Some(request) = self.requests.get_mut(key) else { return };
        if request.tries <= self.kind.spec.retries {
            let pause = self.kind.spec.retry_backoff.sample_duration(&mut self.chance.backoff);
            request.stage = Stage::Pauses;
            request.task = TaskKey::default();
            self.step.retried += 1;
            schedule.after(pause, Event::RequestGoesOn { workload: self.id, request: key });
        } else {
            self.step.failed.count(cause, 1.0);
            self.ended += 1;
            self.requests.remove(key);
        }
    }

    /// The oldest requests may have waited long enough.
    pub(super) fn on_timeout(&mut self, schedule: &mut Schedule<Event>) {
        self.timeout_pending = false;
        while let Some((key, since)) = self.requests.oldest() {
            let due = since.saturating_add(self.patience);
            if due > schedule.now() {
                self.timeout_pending = true;
                schedule.at(due, Event::RequestTimeout(self.id));
                return;
            }
            self.time_out(key, schedule);
        }
    }

    fn time_out(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let Some(request) = self.requests.get(key).copied() else { return };
        self.let_go(key);
        let set = self.servers.get(request.task).map(|server| server.set);
        let in_work = matches!(request.stage, Stage::Floor(_) | Stage::Computes(_));
        if in_work && self.kind.spec.on_timeout == OnTimeout::Finish {
            // The task knows nothing; the client goes on under another number.
            if let Some(orphan) = self.requests.get_mut(key) {
                orphan.role = Role::Orphaned;
            }
            let key = self.requests.insert(request);
            self.fail(key, FailureCause::Timeout, set, schedule);
            return;
        }
        self.take_out(key, &request, schedule);
        self.fail(key, FailureCause::Timeout, set, schedule);
    }

    /// Takes a request or a probe out of its task before its end.
    fn take_out(&mut self, key: RequestKey, request: &Request, schedule: &mut Schedule<Event>) {
        match request.stage {
            Stage::Waits => {
                if let Some(server) = self.servers.get_mut(request.task) {
                    server.slots.withdraw(key);
                }
            }
            Stage::Floor(event) => {
                schedule.cancel(event);
                self.leave_slot(request.task, schedule);
            }
            Stage::Computes(job) => {
                let slot = self.servers.get(request.task).map(|server| server.station);
                if let Some(station) = slot.and_then(|slot| self.stations.get_mut(slot)) {
                    station.cpu.remove(job, schedule.now());
                }
                self.leave_slot(request.task, schedule);
                if let Some(slot) = slot {
                    self.set_timer(slot, schedule);
                }
            }
            Stage::Sent | Stage::Pauses => return,
        }
        self.gone(request);
    }

    /// The probe of a target group comes to a task.
    pub(super) fn probe(&mut self, task: TaskKey, group: u8, number: u32, schedule: &mut Schedule<Event>) -> ProbeSent {
        let Some(server) = self.servers.get(task) else { return ProbeSent::Answered };
        if server.present == 0 && !server.down {
            return ProbeSent::Answered;
        }
        let request = Request {
            asked: schedule.now(),
            work: self.kind.spec.cpu_per_probe.sample_duration(&mut self.chance.probes),
            floor: SimDuration::ZERO,
            tries: 1,
            role: Role::Probe { group, number },
            task,
            stage: Stage::Sent,
        };
        let key = self.requests.insert(request);
        if self.enter(key, task, schedule) {
            return ProbeSent::Waits(key);
        }
        self.requests.remove(key);
        ProbeSent::Refused
    }

    /// The balancer does not wait for the answer to a probe any more.
    pub(super) fn drop_probe(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let Some(request) = self.requests.get(key).copied() else { return };
        if matches!(request.role, Role::Probe { .. }) {
            self.let_go(key);
            self.take_out(key, &request, schedule);
            self.requests.remove(key);
        }
    }

    /// Who gets requests from now on, and how long an answer is waited for.
    pub(super) fn set_fleets(&mut self, fleets: Vec<(Fleet, u32)>, idle_timeout: Option<SimDuration>) {
        self.client_leaves_first = idle_timeout.is_none_or(|idle| self.kind.timeout <= idle);
        self.patience = idle_timeout.map_or(self.kind.timeout, |idle| self.kind.timeout.min(idle));
        let everyone = |fleets: &[(Fleet, u32)]| fleets.iter().any(|(fleet, _)| fleet.everyone);
        let changed = everyone(&fleets) != everyone(&self.fleets);
        self.fleets = fleets;
        if changed {
            let pools = std::mem::take(&mut self.pools);
            let order = pools.into_values().next().map_or(Choice::InTurn, |pool| pool.choice());
            let open: Vec<TaskKey> =
                self.servers.iter().filter(|(_, server)| server.open).map(|(task, _)| task).collect();
            for task in open {
                self.pool_in(task, order);
            }
        }
        self.find_zones();
    }

    /// The set of these target groups.
    pub(super) fn set_of(&mut self, groups: &[TargetGroupId]) -> usize {
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
            let of_fleet = self.pools.iter().filter(|((of, _), pool)| *of == fleet.fleet && !pool.is_empty());
            fleet.zones.clear();
            fleet.zones.extend(of_fleet.map(|((_, zone), _)| *zone));
        }
    }

    fn pool_in(&mut self, task: TaskKey, choice: Choice) {
        let everyone = self.fleets.iter().any(|(fleet, _)| fleet.everyone);
        if let Some(server) = self.servers.get_mut(task) {
            server.pool.0 = if everyone { 0 } else { server.fleet };
            let pool = self.pools.entry(server.pool).or_insert_with(|| Balancer::new(choice));
            pool.add(task, server.outstanding);
        }
    }

    /// A task gets requests from now on.
    pub(super) fn open(&mut self, task: TaskKey, new: NewServer, now: SimTime) {
        if let Some(server) = self.servers.get_mut(task) {
            (server.open, server.down, server.slow) = (true, false, new.slow);
        } else {
            let stations = &mut self.stations;
            let slot = *self.station_keys.entry(new.station).or_insert_with(|| {
                let cpu = ProcessorSharing::new(scaled(new.capacity, self.share), now);
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
                room: new.room,
                leaked: 0.0,
                out_of_memory: false,
            };
            self.servers.insert(task, server);
        }
        self.pool_in(task, new.choice);
        self.find_zones();
    }

    /// A task gets no new requests; those in it stay.
    pub(super) fn close(&mut self, task: TaskKey) {
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
    pub(super) fn restart(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
        if self.servers.contains_key(task) {
            self.kill_requests(task, schedule);
            if let Some(server) = self.servers.get_mut(task) {
                (server.down, server.leaked, server.out_of_memory) = (true, 0.0, false);
            }
        }
    }

    /// The containers of a task have ended, or its connections were cut: what was in it is lost.
    pub(super) fn lose(&mut self, task: TaskKey, schedule: &mut Schedule<Event>) {
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
    pub(super) fn stations_among(&self, at: impl Fn(StationId) -> bool) -> Vec<(StationKey, TaskKey)> {
        let mine = self.station_keys.iter().filter(|(id, _)| at(**id));
        mine.filter_map(|(_, slot)| {
            // A task that is leaving keeps what it had: it is no longer counted among those who share.
            let server = self.servers.iter().find(|(_, server)| server.station == *slot && server.open)?;
            Some((*slot, server.0))
        })
        .collect()
    }

    pub(super) fn set_capacity(&mut self, slot: StationKey, capacity: CpuMilliUnits, schedule: &mut Schedule<Event>) {
        let capacity = scaled(capacity, self.share);
        if let Some(station) = self.stations.get_mut(slot) {
            station.cpu.set_capacity(capacity, schedule.now());
            self.set_timer(slot, schedule);
        }
    }

    /// CPU of all stations since the last call.
    pub(super) fn take_use(&mut self, now: SimTime) -> CpuUse {
        let past = std::mem::take(&mut self.past_use);
        self.stations.values_mut().fold(past, |total, station| total.plus(station.cpu.take_use(now)))
    }

    /// What became of the requests since the last call; `used` vCPU-seconds went into them. Put it back with
    /// [`Front::reuse`].
    pub(super) fn take_step(&mut self, used: f64) -> RequestStep {
        let mut step = std::mem::take(&mut self.step);
        step.in_flight = self.arrived - self.ended;
        step.waiting = self.servers.values().map(|server| server.slots.waiting() as u64).sum();
        step.cpu_used = used;
        step
    }

    /// Takes the memory of a step that has been told.
    pub(super) fn reuse(&mut self, step: RequestStep) {
        let mut latency = step.latency;
        latency.reset();
        self.step = RequestStep { latency, ..RequestStep::default() };
    }

    /// What balancers have counted since the last call.
    pub(super) fn take_groups(&mut self, mut to: impl FnMut(TargetGroupId, &GroupTally)) {
        for (id, tally) in &mut self.groups {
            to(*id, tally);
            tally.reset();
        }
    }

    /// Memory of the requests in all tasks, and what earlier ones have leaked [MiB].
    pub(super) fn memory(&self) -> f64 {
        self.servers.values().map(|server| server.memory(&self.kind.spec)).sum()
    }

    /// Tasks that have requests, or may.
    pub(super) fn tasks(&self) -> impl Iterator<Item = (TaskKey, bool)> {
        self.servers.iter().map(|(task, server)| (task, server.open))
    }

    /// Recounts what is kept incrementally.
    pub(super) fn audit(&self) -> Result<(), String> {
        let mut asked = 0;
        let mut waiting = 0;
        let mut present: SecondaryMap<TaskKey, [u32; 5]> = SecondaryMap::new();
        for (_, request) in self.requests.iter() {
            asked += u64::from(request.role == Role::Asked);
            if matches!(request.stage, Stage::Pauses) {
                continue;
            }
            waiting += usize::from(request.role == Role::Asked);
            let Some(entry) = present.entry(request.task) else {
                return Err("a request is in a task that is gone".to_owned());
            };
            let counts = entry.or_default();
            counts[0] += 1;
            counts[1] += u32::from(request.role == Role::Asked);
            counts[2] += u32::from(matches!(request.role, Role::Probe { .. }));
            counts[3] += u32::from(matches!(request.stage, Stage::Floor(_) | Stage::Computes(_)));
            counts[4] += u32::from(matches!(request.stage, Stage::Waits));
        }
        if self.arrived != self.ended + asked {
            return Err(format!("{} requests came, {} ended and {asked} are in flight", self.arrived, self.ended));
        }
        if self.requests.waiting().count() != waiting {
            return Err(format!("{waiting} requests wait for answers, listed are others"));
        }
        for (task, counts) in &present {
            if !self.servers.contains_key(task) {
                return Err(format!("{} requests are in a task that answers none", counts[0]));
            }
        }
        for (task, server) in &self.servers {
            let counted = present.get(task).copied().unwrap_or_default();
            let slots = (server.slots.busy(), server.slots.waiting() as u32);
            let kept = [server.present, server.outstanding, server.probes, slots.0, slots.1];
            if counted != kept {
                return Err(format!("a task is said to have {kept:?} requests and has {counted:?}"));
            }
            let pooled = self.pools.get(&server.pool).is_some_and(|pool| pool.contains(task));
            if pooled != server.open {
                return Err(format!("a task that is open ({}) is sent requests ({pooled})", server.open));
            }
            if server.leaked < 0.0 || kept[3] > self.kind.spec.concurrency.unwrap_or(u32::MAX) {
                return Err(format!("a task works on {} requests", kept[3]));
            }
        }
        let computing: usize = self.stations.values().map(|station| station.cpu.len()).sum();
        let said = self.requests.iter().filter(|(_, request)| matches!(request.stage, Stage::Computes(_))).count();
        if computing != said {
            return Err(format!("{said} requests compute, the CPUs have {computing}"));
        }
        Ok(())
    }
}
