//! Tasks that work on messages: slots, CPU, the end of a message's handling and the end of a task.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use slotmap::SlotMap;

use crate::control_plane::ControlPlane;
use crate::control_plane::cpu_sharing::{self, scaled};
use crate::control_plane::estate::{Consumer, OnStop};
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::load::OwnUse;
use crate::ecs::cpu_shares::CpuTerms;
use crate::ecs::ids::{HandlingKey, InstanceId, QueueId, ServiceId, StationId, TaskKey, WorkloadId};
use crate::ecs::task::Task;
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuMilliUnits;
use crate::workload::distribution::Distribution;
use crate::workload::polling::{Pollers, Polling, Ticket};
use crate::workload::processor_sharing::{CpuUse, JobId, ProcessorSharing};
use crate::workload::queue::{QueueEvent, Received, Work};

use super::Timer;

/// The tasks of the service that drains a queue.
#[derive(Debug)]
pub(super) struct Crew {
    concurrency: u32,
    at_once: usize,
    on_stop: OnStop,
    failure_ratio: f64,
    failures: Stream,
    pub(super) work: WorkDraws,
    workers: BTreeMap<TaskKey, Worker>,
    pollers: Pollers<TaskKey>,
    stations: BTreeMap<StationId, Station>,
    handlings: SlotMap<HandlingKey, Handling>,
    /// Use of stations that are gone, not yet told.
    past_use: CpuUse,
    /// Share of its service's CPU that is for this queue; below one beside other loads.
    share: f64,
}

/// What messages take, drawn in the order of sending.
#[derive(Debug)]
pub(super) struct WorkDraws {
    cpu: Distribution,
    wait: Distribution,
    poison_ratio: f64,
    chance: Stream,
}

impl WorkDraws {
    pub(super) fn draw(&mut self) -> Work {
        Work {
            cpu: self.cpu.sample_duration(&mut self.chance).min(SimDuration::CENTURY),
            wait: self.wait.sample_duration(&mut self.chance).min(SimDuration::CENTURY),
            poison: self.chance.bernoulli(self.poison_ratio),
        }
    }
}

/// A task that takes messages.
#[derive(Debug)]
struct Worker {
    station: StationId,
    /// Its place among those who wait for messages, while it does.
    ticket: Option<Ticket>,
    /// Received, and waiting for a free slot.
    unbegun: VecDeque<Received>,
    /// What it works on, a slot each.
    handlings: BTreeSet<HandlingKey>,
    /// It was told to stop and finishes what it works on.
    leaving: bool,
}

/// CPU that messages share: a task's own under a hard cap, else the host's.
#[derive(Debug)]
struct Station {
    cpu: ProcessorSharing<HandlingKey>,
    timer: Option<Timer>,
    workers: u32,
}

/// A message in work.
#[derive(Debug)]
struct Handling {
    task: TaskKey,
    received: Received,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// For others.
    Waits(EventKey),
    /// On its station.
    Computes(JobId),
}

impl Crew {
    pub(super) fn new(name: &str, consumer: &Consumer, receive_wait: SimDuration, streams: &Streams) -> Self {
        let polling =
            if receive_wait.is_zero() { Polling::Short(consumer.poll_interval) } else { Polling::Long(receive_wait) };
        Self {
            concurrency: consumer.concurrency,
            at_once: consumer.max_messages,
            on_stop: consumer.on_stop,
            failure_ratio: consumer.failure_ratio,
            failures: streams.named(&format!("failures/{name}")),
            work: WorkDraws {
                cpu: consumer.cpu_per_message.clone(),
                wait: consumer.wait_per_message.clone(),
                poison_ratio: consumer.poison_ratio,
                chance: streams.named(&format!("work/{name}")),
            },
            workers: BTreeMap::new(),
            pollers: Pollers::new(polling),
            stations: BTreeMap::new(),
            handlings: SlotMap::with_key(),
            past_use: CpuUse::default(),
            share: 1.0,
        }
    }

    /// A task that asks for messages now; it does not wait any more.
    pub(super) fn answer(&mut self, now: SimTime) -> Option<TaskKey> {
        let task = self.pollers.answer(now)?;
        if let Some(worker) = self.workers.get_mut(&task) {
            worker.ticket = None;
        }
        Some(task)
    }

    /// When the next task asks.
    pub(super) fn next_poll(&self, now: SimTime) -> Option<SimTime> {
        self.pollers.next(now)
    }

    /// Whether some task asks for messages.
    pub(super) fn polls(&self) -> bool {
        !self.pollers.is_empty()
    }

    pub(super) fn take_empty_receives(&mut self, now: SimTime) -> u64 {
        self.pollers.take_empty_receives(now)
    }

    /// CPU of all stations since the last call.
    fn take_use(&mut self, now: SimTime) -> CpuUse {
        let mut total = std::mem::take(&mut self.past_use);
        for station in self.stations.values_mut() {
            total = total.plus(station.cpu.take_use(now));
        }
        total
    }

    /// Recounts what is kept incrementally.
    pub(super) fn audit(&self, tasks: &SlotMap<TaskKey, Task>) -> Result<(), String> {
        let mut in_work = 0;
        for (key, worker) in &self.workers {
            let Some(task) = tasks.get(*key) else { return Err("a task that is gone has messages".to_owned()) };
            in_work += worker.handlings.len();
            if worker.handlings.len() > self.concurrency as usize {
                return Err(format!("task {:032x} works on {} messages", task.id, worker.handlings.len()));
            }
            if !worker.leaving && !task.takes_load {
                return Err(format!("task {:032x} takes messages and no load", task.id));
            }
            let free = worker.handlings.len() < self.concurrency as usize && worker.unbegun.is_empty();
            if worker.ticket.is_some() != (free && !worker.leaving) {
                return Err(format!("task {:032x} has a free slot and does not ask, or asks without", task.id));
            }
        }
        if in_work != self.handlings.len() {
            return Err(format!("{in_work} messages in work, but {} are kept", self.handlings.len()));
        }
        Ok(())
    }
}

impl ControlPlane<'_> {
    /// Queues that a service drains.
    fn queues_of(&self, service: ServiceId) -> Vec<QueueId> {
        self.load.services[service.index()].loads.iter().filter_map(|load| self.queue_of(*load)).collect()
    }

    fn crew(&mut self, id: QueueId) -> Option<&mut Crew> {
        self.queues.by_id[id.index()].crew.as_mut()
    }

    /// A task takes load now: it asks for messages.
    pub(in crate::control_plane) fn worker_begins(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.queues_of(owner.service) {
            self.worker_begins_at(id, key, owner.service, schedule);
        }
    }

    fn worker_begins_at(&mut self, id: QueueId, key: TaskKey, service: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let (station, capacity) = self.station_of(key, service);
        let Some(crew) = self.crew(id) else { return };
        if crew.workers.contains_key(&key) {
            return;
        }
        let capacity = scaled(capacity, crew.share);
        let cpu = ProcessorSharing::new(capacity, now);
        crew.stations.entry(station).or_insert(Station { cpu, timer: None, workers: 0 }).workers += 1;
        let (unbegun, handlings) = (VecDeque::new(), BTreeSet::new());
        crew.workers.insert(key, Worker { station, ticket: None, unbegun, handlings, leaving: false });
        self.queues.by_id[id.index()].metrics.touch(&self.estate.behaviour, now);
        self.ask(id, key, now);
        self.deliver(id, schedule);
    }

    /// The CPU that a task's messages or requests run on, and how much it is.
    pub(in crate::control_plane) fn station_of(&self, key: TaskKey, service: ServiceId) -> (StationId, CpuMilliUnits) {
        let task = &self.state.tasks[key];
        let size = self.state.requirements(task.shape).cpu;
        let Some(host) = task.instance else {
            return (StationId::Task(key), cpu_sharing::alone(size.into(), OwnUse::of(task, size).cpu));
        };
        let definition = &self.state.definitions[task.definition.index()].definition;
        let registered = self.state.clusters[task.cluster.index()].cluster.instance(host);
        let registered = registered.map_or(size, |instance| instance.registered.cpu);
        let capped = CpuTerms::of(definition, size, registered).cap.is_some();
        let station = if capped { StationId::Task(key) } else { StationId::Host(host) };
        (station, self.load.shared.per_queue(host, service).unwrap_or_default())
    }

    /// The CPU of a host has been divided anew.
    pub(in crate::control_plane) fn host_cpu_changed(&mut self, host: InstanceId, schedule: &mut Schedule<Event>) {
        for service in self.load.shared.loaded_services(host) {
            for id in self.queues_of(service) {
                self.set_station_capacity(id, StationId::Host(host), schedule);
                for task in self.tasks_on(host) {
                    self.set_station_capacity(id, StationId::Task(task), schedule);
                }
            }
        }
    }

    fn set_station_capacity(&mut self, id: QueueId, station: StationId, schedule: &mut Schedule<Event>) {
        let known = self.queues.by_id[id.index()].crew.as_ref();
        let Some(crew) = known.filter(|crew| crew.stations.contains_key(&station)) else { return };
        let share = crew.share;
        // A task that is leaving keeps what it had: it is no longer counted among those who share.
        let task = match station {
            StationId::Task(task) => Some(task),
            StationId::Host(_) => {
                crew.workers.iter().find(|(_, w)| w.station == station && !w.leaving).map(|(k, _)| *k)
            }
        };
        let Some(task) = task.filter(|task| self.state.tasks.get(*task).is_some_and(|task| task.takes_load)) else {
            return;
        };
        let Some(owner) = self.state.tasks[task].owner else { return };
        let capacity = scaled(self.station_of(task, owner.service).1, share);
        if let Some(station) = self.crew(id).and_then(|crew| crew.stations.get_mut(&station)) {
            station.cpu.set_capacity(capacity, schedule.now());
        }
        self.set_station_timer(id, station, schedule);
    }

    /// One step of a queue's load: the CPU that its messages have used, and what they wanted, in vCPU-seconds. `share` of
    /// the service's CPU is for them from now on.
    pub(in crate::control_plane) fn take_message_use(
        &mut self,
        id: QueueId,
        share: f64,
        schedule: Option<&mut Schedule<Event>>,
        now: SimTime,
    ) -> CpuUse {
        let Some(crew) = self.crew(id) else { return CpuUse::default() };
        let taken = crew.take_use(now);
        if crew.share.to_bits() != share.to_bits()
            && let Some(schedule) = schedule
        {
            crew.share = share;
            let stations: Vec<StationId> = crew.stations.keys().copied().collect();
            for station in stations {
                self.set_station_capacity(id, station, schedule);
            }
        }
        taken
    }

    /// A task with a free slot, and nothing received that waits for one, asks for messages.
    fn ask(&mut self, id: QueueId, key: TaskKey, now: SimTime) {
        let Some(crew) = self.crew(id) else { return };
        let Some(worker) = crew.workers.get_mut(&key) else { return };
        let free = worker.handlings.len() < crew.concurrency as usize && worker.unbegun.is_empty();
        if free && !worker.leaving && worker.ticket.is_none() {
            worker.ticket = Some(crew.pollers.wait(key, now));
        }
    }

    /// A task that asks gets what there is; it asks again while it has free slots.
    pub(super) fn receive(&mut self, id: QueueId, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(most) = self.crew(id).map(|crew| crew.at_once) else { return };
        let received = self.receive_messages(id, most, schedule);
        if let Some(worker) = self.crew(id).and_then(|crew| crew.workers.get_mut(&key)) {
            worker.unbegun.extend(received);
        }
        self.fill_slots(id, key, schedule);
    }

    fn fill_slots(&mut self, id: QueueId, key: TaskKey, schedule: &mut Schedule<Event>) {
        loop {
            let Some(crew) = self.crew(id) else { return };
            let slots = crew.concurrency as usize;
            let Some(worker) = crew.workers.get_mut(&key).filter(|worker| worker.handlings.len() < slots) else {
                break;
            };
            let Some(received) = worker.unbegun.pop_front() else { break };
            self.begin_work(id, key, received, schedule);
        }
        self.ask(id, key, schedule.now());
    }

    /// Work on a message begins.
    fn begin_work(&mut self, id: QueueId, key: TaskKey, received: Received, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(crew) = self.crew(id) else { return };
        let Some(worker) = crew.workers.get_mut(&key) else { return };
        let station = worker.station;
        let Work { wait, cpu, .. } = received.work;
        let computes = wait.is_zero() && !cpu.is_zero();
        let handling = crew.handlings.insert_with_key(|handling| {
            let stage = if let Some(station) = crew.stations.get_mut(&station).filter(|_| computes) {
                Stage::Computes(station.cpu.add(cpu, handling, now))
            } else {
                Stage::Waits(schedule.after(wait, Event::MessageWaited { queue: id, handling }))
            };
            Handling { task: key, received, stage }
        });
        worker.handlings.insert(handling);
        if computes {
            self.set_station_timer(id, station, schedule);
        }
    }

    /// A message has waited for others: it computes now, or is done.
    pub(in crate::control_plane) fn on_message_waited(
        &mut self,
        id: QueueId,
        key: HandlingKey,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let Some(crew) = self.crew(id) else { return };
        let Some(handling) = crew.handlings.get_mut(key) else { return };
        let cpu = handling.received.work.cpu;
        let station = crew.workers.get(&handling.task).map(|worker| worker.station);
        if let Some(station) = station.filter(|_| !cpu.is_zero())
            && let Some(shared) = crew.stations.get_mut(&station)
        {
            handling.stage = Stage::Computes(shared.cpu.add(cpu, key, now));
            self.set_station_timer(id, station, schedule);
        } else {
            self.finish(id, key, schedule);
            self.deliver(id, schedule);
        }
    }

    /// The messages of a station that have computed enough are done.
    pub(in crate::control_plane) fn on_station_due(
        &mut self,
        id: QueueId,
        station: StationId,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let Some(shared) = self.crew(id).and_then(|crew| crew.stations.get_mut(&station)) else { return };
        shared.timer = None;
        let mut done = Vec::new();
        while let Some(handling) = shared.cpu.pop_ended(now) {
            done.push(handling);
        }
        for handling in done {
            self.finish(id, handling, schedule);
        }
        self.set_station_timer(id, station, schedule);
        self.deliver(id, schedule);
    }

    fn set_station_timer(&mut self, id: QueueId, station: StationId, schedule: &mut Schedule<Event>) {
        let Some(shared) = self.crew(id).and_then(|crew| crew.stations.get_mut(&station)) else { return };
        let due = shared.cpu.next_end();
        if shared.timer.map(|timer| timer.at) == due {
            return;
        }
        if let Some(old) = shared.timer.take() {
            schedule.cancel(old.key);
        }
        let event = Event::StationDue { queue: id, station };
        shared.timer = due.map(|at| Timer { at, key: schedule.at(at, event) });
    }

    /// Work on a message is over: it is deleted, unless that failed; its slot is free.
    fn finish(&mut self, id: QueueId, key: HandlingKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(crew) = self.crew(id) else { return };
        let Some(handling) = crew.handlings.remove(key) else { return };
        let task = handling.task;
        let fails = crew.failures.bernoulli(crew.failure_ratio) || handling.received.work.poison;
        let left = crew.workers.get_mut(&task).is_some_and(|worker| {
            worker.handlings.remove(&key);
            worker.leaving && worker.handlings.is_empty()
        });
        if !fails {
            let age = self.state.queues[id.index()].queue.delete(handling.received.receipt, now);
            self.tell_queue(id, QueueEvent::Deleted { age }, now);
        }
        if left {
            self.lose_worker(id, task, schedule);
            if !self.finishes_messages(task) {
                self.stop_main_container(task, schedule);
            }
        } else {
            self.fill_slots(id, task, schedule);
        }
    }

    /// A task takes no load any more: it asks for no more messages, and finishes what it works on or drops it.
    pub(in crate::control_plane) fn worker_stops(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.queues_of(owner.service) {
            let Some(crew) = self.crew(id) else { continue };
            let finishes = crew.on_stop == OnStop::Finish;
            let Some(worker) = crew.workers.get_mut(&key) else { continue };
            if finishes && !worker.handlings.is_empty() {
                worker.leaving = true;
                worker.unbegun.clear();
                if let Some(ticket) = worker.ticket.take() {
                    crew.pollers.leave(ticket, schedule.now());
                }
            } else {
                self.lose_worker(id, key, schedule);
            }
        }
    }

    /// Whether a task that was told to stop still finishes messages.
    pub(in crate::control_plane) fn finishes_messages(&self, key: TaskKey) -> bool {
        let crews = self.queues.by_id.iter().filter_map(|runtime| runtime.crew.as_ref());
        crews.filter(|crew| crew.on_stop == OnStop::Finish).any(|crew| crew.workers.contains_key(&key))
    }

    /// The containers of a task have ended: what it worked on is back after the visibility timeout.
    pub(in crate::control_plane) fn worker_lost(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.queues_of(owner.service) {
            self.lose_worker(id, key, schedule);
        }
    }

    /// The main container starts again in place: its messages are lost, and it asks anew once its `startup` is over.
    pub(in crate::control_plane) fn worker_restarts(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let drains = task.takes_load && task.owner.is_some_and(|owner| !self.queues_of(owner.service).is_empty());
        if drains {
            let main = self.state.definitions[task.definition.index()].definition.main_container();
            let ready = task.containers[main].ready;
            self.worker_lost(key, schedule);
            schedule.at(ready, Event::Task { task: key, step: TaskStep::Ready });
        }
    }

    fn lose_worker(&mut self, id: QueueId, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(crew) = self.crew(id) else { return };
        let Some(worker) = crew.workers.remove(&key) else { return };
        if let Some(ticket) = worker.ticket {
            crew.pollers.leave(ticket, now);
        }
        for handling in &worker.handlings {
            match crew.handlings.remove(*handling).map(|handling| handling.stage) {
                Some(Stage::Waits(event)) => {
                    schedule.cancel(event);
                }
                Some(Stage::Computes(job)) => {
                    if let Some(station) = crew.stations.get_mut(&worker.station) {
                        station.cpu.remove(job, now);
                    }
                }
                None => {}
            }
        }
        let Some(station) = crew.stations.get_mut(&worker.station) else { return };
        station.workers -= 1;
        if station.workers > 0 {
            self.set_station_timer(id, worker.station, schedule);
        } else if let Some(mut gone) = crew.stations.remove(&worker.station) {
            crew.past_use = crew.past_use.plus(gone.cpu.take_use(now));
            if let Some(timer) = gone.timer {
                schedule.cancel(timer.key);
            }
        }
    }

    /// Share of its service's CPU that a workload may use: less than all beside other loads.
    pub(in crate::control_plane) fn share_of_service(&self, id: WorkloadId, service: ServiceId) -> f64 {
        let whole = self.load.services[service.index()].part.capacity.as_vcpus();
        let mine = self.load.capacity(id, service);
        if mine < whole { mine / whole } else { 1.0 }
    }
}
