//! One workload's requests: from their arrival through the balancer to a task, and back.
//!
//! A request costs one event to arrive, one to begin to compute if it waits for others before, and a part of one to end: of
//! all requests that share CPU only the next to end has an event, which is left where it is when a new request puts that end
//! off. Time-outs cost nothing until one strikes. Per request that is O(log n) in the events pending and in the requests
//! that share its CPU, and no allocation while no more are in flight than ever before.

mod audit;
mod real;
mod servers;
mod timeouts;

use std::collections::BTreeMap;

use slotmap::{SecondaryMap, SlotMap};

use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::queues::Timer;
use crate::control_plane::real_http::Door;
use crate::control_plane::requests::tally::GroupTally;
use crate::ecs::ids::{RequestKey, StationId, StationKey, TargetGroupId, TaskKey, WorkloadId, ZoneId};
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuMilliUnits;
use crate::workload::arrivals::{ArrivalProcess, Arrivals};
use crate::workload::balancer::{Balancer, Choice};
use crate::workload::clients::{Client, Clients};
use crate::workload::distribution::Distribution;
use crate::workload::failed::FailureCause;
use crate::workload::in_flight::InFlight;
use crate::workload::per_request::{PerRequest, RequestStep};
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
    /// Of the quota that a hard cap is; zero for none.
    pub(super) cpu_period: SimDuration,
    pub(super) spec: PerRequest,
    /// For a run on real containers: what to ask for, and the pace.
    pub(super) real: Option<(String, f64)>,
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
    clients: Option<Clients<TaskKey>>,
    timeout_pending: bool,
    /// Share of its service's CPU that is for these requests; below one beside other loads.
    pub(super) share: f64,
    past_use: CpuUse,
    step: RequestStep,
    /// Target groups whose requests are counted, and the sets of them that a fleet has.
    groups: Vec<(TargetGroupId, GroupTally)>,
    sets: Vec<Vec<usize>>,
    /// Requests that are really sent.
    real: Option<real::RealRequests>,
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
    clients: Stream,
}

/// The tasks of the revisions that share target groups.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fleet {
    /// The number that its deployments have in common.
    pub(super) number: u32,
    /// Its target groups, as a set of the front's.
    pub(super) set: usize,
    /// Tasks that nothing tells apart are one fleet, whatever their revision.
    pub(super) everyone: bool,
    /// ELB-7: how long after an answer a client's requests go to the same task, if they do.
    sticky: Option<SimDuration>,
    zones: Vec<Option<ZoneId>>,
}

impl Fleet {
    pub(super) const fn new(number: u32, set: usize, everyone: bool, sticky: Option<SimDuration>) -> Self {
        Self { number, set, everyone, sticky, zones: Vec::new() }
    }
}

/// A task that has answered requests, or may.
#[derive(Debug)]
struct Server {
    fleet: u32,
    /// The balancer that sends it requests while it is open, and how that chooses.
    pool: (u32, Option<ZoneId>),
    choice: Choice,
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
    /// Where it listens, if it does.
    door: Option<Door>,
    /// What it has of memory for requests [MiB], without a hard limit all there is, and what those of other workloads took of
    /// it when that was told last.
    room: f64,
    others: f64,
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
    pub(super) door: Option<Door>,
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
    /// Who asks, where that counts.
    client: Option<Client>,
    /// Tries so far.
    tries: u32,
    /// How many requests it stands for: one, but for real ones at another pace than the wall clock's.
    counts: u32,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is about to be sent.
    Sent,
    /// It waits for a slot.
    Waits,
    /// It has a slot and waits for others.
    Floor(EventKey),
    /// It computes.
    Computes(JobId),
    /// It is really on its way: its answer ends it.
    Asks,
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
    pub(super) fn new(id: WorkloadId, name: &str, mut kind: Kind, streams: &Streams) -> Self {
        let named = |source: &str| streams.named(&format!("{source}/{name}"));
        let real = kind.real.take().map(|(path, pace)| real::RealRequests::new(path, pace));
        // Per real second as many as the workload has a second.
        let pace = real.as_ref().map_or(1.0, real::RealRequests::pace);
        let rate = kind.rate.clone().scaled(1.0 / pace);
        let arrivals = Arrivals::new(&ArrivalProcess::Poisson(rate), named("arrivals"), SimTime::ZERO);
        let clients = kind.spec.clients.map(|count| Clients::new(count, kind.spec.requests_per_session.clone()));
        Self {
            id,
            arrivals,
            clients,
            patience: kind.timeout,
            client_leaves_first: true,
            kind,
            real,
            chance: Chance {
                work: named("work"),
                floor: named("floor"),
                routing: named("routing"),
                errors: named("failures"),
                backoff: named("backoff"),
                probes: named("probes"),
                clients: named("clients"),
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
            client: self.clients.as_mut().and_then(|clients| clients.next(&mut self.chance.clients)),
            tries: 0,
            counts: self.real.as_mut().map_or(1, real::RealRequests::count_next),
            role: Role::Asked,
            task: TaskKey::default(),
            stage: Stage::Sent,
        };
        self.arrived += u64::from(request.counts);
        self.step.arrived += u64::from(request.counts);
        let key = self.requests.insert(request);
        self.send(key, schedule);
    }

    /// One try of a request: the balancer picks a target, and the task there takes it or not.
    fn send(&mut self, key: RequestKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(request) = self.requests.get_mut(key) else { return };
        request.tries += 1;
        request.stage = Stage::Sent;
        let counts = request.counts;
        self.step.sent += u64::from(counts);
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
            self.groups[*group].1.requests += f64::from(counts);
        }
        let servers = &self.servers;
        // ELB-7: a cookie that names a target which is gone, draining or unhealthy counts for nothing. The shares of fleets
        // come before it: one of another fleet's target counts for nothing either.
        let takes =
            |task: &TaskKey| servers.get(*task).is_some_and(|server| server.open && server.pool.0 == fleet.number);
        let client = request.client.filter(|_| fleet.sticky.is_some());
        let known = client.and_then(|client| self.clients.as_ref()?.target(client, now)).filter(takes);
        let target = known.or_else(|| {
            let zone = match &fleet.zones[..] {
                [zone] => Some(*zone),
                zones => self.chance.routing.choose(zones).copied(),
            };
            let part = |task: TaskKey| servers.get(task).map_or(1.0, |server| server.part(now));
            let pool = self.pools.get_mut(&(fleet.number, zone?))?;
            pool.next(&mut self.chance.routing, part)
        });
        let Some(task) = target else { return self.fail(key, FailureCause::NoHealthyTarget, Some(set), schedule) };
        if !self.enter(key, task, schedule) {
            return self.fail(key, FailureCause::ConnectionRefused, Some(set), schedule);
        }
        self.tell_pool(task, Balancer::sent);
        self.requests.waits(key, now);
        // What is really sent comes back by itself when its time is over.
        if !self.timeout_pending && self.real.is_none() {
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
        // What is really sent needs somewhere to be sent to.
        let closed = server.down || (self.real.is_some() && server.door.is_none());
        let admission = if closed { Admission::Refused } else { server.slots.arrive(key) };
        if admission == Admission::Refused {
            return false;
        }
        let probe = request.is_probe();
        request.task = task;
        server.present += 1;
        server.outstanding += u32::from(!probe);
        server.probes += u32::from(probe);
        if server.memory(&self.kind.spec) + server.others > server.room
            && !std::mem::replace(&mut server.out_of_memory, true)
        {
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
        if self.real.is_some() {
            return self.ask(key, schedule.now());
        }
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
                self.set_cookie(&request, now);
                let took = since.map_or(0.0, |since| now.saturating_since(since).as_secs_f64());
                for group in set.map_or(&[][..], |set| &self.sets[set]) {
                    self.groups[*group].1.response.record(took, 1.0);
                    self.groups[*group].1.target_2xx += f64::from(u8::from(!fails));
                }
                if fails {
                    self.fail(key, FailureCause::ApplicationError, set, schedule);
                } else {
                    self.serve(key, &request, now.saturating_since(request.asked).as_secs_f64());
                }
            }
        }
    }

    /// ELB-7: the answer of a target brings the client a cookie that names it, where its group is sticky. What a balancer
    /// says itself brings none.
    fn set_cookie(&mut self, request: &Request, now: SimTime) {
        let Some((clients, client)) = self.clients.as_mut().zip(request.client) else { return };
        let of = self.servers.get(request.task).map(|server| server.pool.0);
        let fleet = self.fleets.iter().find(|(fleet, _)| Some(fleet.number) == of);
        if let Some(lasts) = fleet.and_then(|(fleet, _)| fleet.sticky) {
            clients.answered(client, request.task, now.saturating_add(lasts));
        }
    }

    /// A request has been answered well, `latency` seconds after it was asked first.
    fn serve(&mut self, key: RequestKey, request: &Request, latency: f64) {
        self.step.latency.record(latency, f64::from(request.counts));
        self.step.served += u64::from(request.counts);
        self.ended += u64::from(request.counts);
        self.requests.remove(key);
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
        let Some(request) = self.requests.get_mut(key) else { return };
        let counts = request.counts;
        for group in set.map_or(&[][..], |set| &self.sets[set]) {
            self.groups[*group].1.count(cause, f64::from(counts), self.client_leaves_first);
        }
        if request.tries <= self.kind.spec.retries {
            let pause = self.kind.spec.retry_backoff.sample_duration(&mut self.chance.backoff);
            request.stage = Stage::Pauses;
            request.task = TaskKey::default();
            self.step.retried += u64::from(counts);
            schedule.after(pause, Event::RequestGoesOn { workload: self.id, request: key });
        } else {
            self.step.failed.count(cause, f64::from(counts));
            self.ended += u64::from(counts);
            self.requests.remove(key);
        }
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
            client: None,
            tries: 1,
            counts: 1,
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
}
