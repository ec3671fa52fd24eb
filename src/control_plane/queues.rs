//! Queues and the tasks that drain them: messages sent, handed to tasks, worked on, deleted, or back again (SQS-*).
//!
//! The queue itself is [`workload::queue`](crate::workload::queue), who waits for messages is
//! [`workload::polling`](crate::workload::polling), CPU is [`workload::processor_sharing`](crate::workload::processor_sharing).
//! Here they meet tasks and time: [`workers`] receive and work, [`metrics`] publishes.
//!
//! A task asks for messages from when it runs and its `startup` is over until it is told to stop. It asks whenever a slot is
//! free and nothing it has received waits for one; the queue gives to the tasks in turn. A message first waits for others
//! (`waitPerMessage`), then computes (`cpuPerMessage`) on one CPU at most, which all messages of the task share; tasks
//! without a hard cap share the CPU of their host (see [`cpu_sharing`](super::cpu_sharing)). Then it is deleted, unless its
//! handling failed. What a task has when it stops or dies is never deleted, and comes back after the visibility timeout.
//!
//! A message costs O(log n) in the messages in flight, the messages sharing its CPU, and the tasks that wait; each queue
//! with a service costs O(tasks) a second for its CPU, as other loads do. Memory grows with the messages received and not yet
//! deleted and with the instants at which others were sent.

mod metrics;
mod workers;

use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{Demand, Estate, Messages};
use crate::control_plane::event::Event;
use crate::control_plane::record::Record;
use crate::control_plane::state::QueueEntry;
use crate::ecs::ids::{QueueId, WorkloadId};
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::streams::Streams;
use crate::engine::time::SimTime;
use crate::workload::arrivals::Arrivals;
use crate::workload::queue::{Queue, QueueEvent, Received, Work};

use metrics::QueueMetrics;
use workers::Crew;

pub(super) use metrics::{QUEUE_METRICS, SQS};

/// Every queue at work, by [`QueueId`].
#[derive(Debug, Default)]
pub(super) struct Queues {
    by_id: Vec<QueueRuntime>,
}

/// A queue at work; its messages are in the state.
#[derive(Debug)]
struct QueueRuntime {
    /// Its producer, if it has one.
    source: Option<Source>,
    dead_letters: Option<QueueId>,
    /// The tasks that drain it, if there is a service for that.
    crew: Option<Crew>,
    metrics: QueueMetrics,
    /// The next look at what time alone changes, or at who polls.
    timer: Option<Timer>,
}

/// What sends messages.
#[derive(Debug)]
struct Source {
    arrivals: Arrivals,
    /// Messages at each arrival.
    count: u64,
}

/// An event that may have to be put off or brought forward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) at: SimTime,
    pub(super) key: EventKey,
}

impl Estate {
    /// The queue workload with this index.
    fn messages(&self, id: WorkloadId) -> Option<&Messages> {
        match &self.workloads[id.index()].demand {
            Demand::Messages(messages) => Some(messages),
            _ => None,
        }
    }
}

impl ControlPlane<'_> {
    /// Time zero: the queues exist, and the first message of each is on its way.
    pub(super) fn start_queues(&mut self, schedule: &mut Schedule<Event>) {
        let estate = self.estate;
        let queues = estate.queues();
        let id_of = |name: &str| queues.iter().position(|(call, _)| call.name == name).map(|id| QueueId(id as u32));
        for (place, (call, workload)) in queues.iter().enumerate() {
            let id = QueueId(place as u32);
            let messages = workload.and_then(|id| estate.messages(id));
            let dead_letters = call.redrive.as_ref().and_then(|redrive| id_of(&redrive.target));
            let most = call.redrive.as_ref().map(|redrive| redrive.max_receive_count);
            let queue = Queue::new(call.attributes, most);
            self.state.queues.push(QueueEntry { name: Arc::from(call.name.as_str()), queue });
            let name = workload.map_or(call.name.as_str(), |id| estate.workloads[id.index()].name.as_str());
            let runtime = QueueRuntime::new(
                name,
                messages,
                dead_letters,
                QueueMetrics::new(&call.name, &mut self.cloudwatch, estate.behaviour.metric_delay.sqs),
                &self.streams,
                SimTime::ZERO + estate.duration,
            );
            self.queues.by_id.push(runtime);
            self.schedule_message(id, SimTime::ZERO, schedule);
        }
    }

    /// The queue of a workload.
    pub(super) fn queue_of(&self, workload: WorkloadId) -> Option<QueueId> {
        self.estate.messages(workload)?;
        let before = self.estate.workloads[..workload.index()].iter();
        let earlier = before.filter(|workload| matches!(workload.demand, Demand::Messages(_))).count();
        Some(QueueId(earlier as u32))
    }

    fn schedule_message(&mut self, id: QueueId, after: SimTime, schedule: &mut Schedule<Event>) {
        let source = self.queues.by_id[id.index()].source.as_mut();
        if let Some(arrival) = source.and_then(|source| source.arrivals.next(after)) {
            schedule.at(arrival.at, Event::MessageArrival(id));
        }
    }

    /// A producer sends.
    pub(super) fn on_message_arrival(&mut self, id: QueueId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(source) = &self.queues.by_id[id.index()].source else { return };
        let count = source.count;
        self.schedule_message(id, now, schedule);
        self.send_messages(id, count, schedule);
    }

    /// The queue of this name.
    pub(super) fn queue_named(&self, name: &str) -> Option<QueueId> {
        let place = self.state.queues.iter().position(|entry| &*entry.name == name);
        place.map(|place| QueueId(place as u32))
    }

    /// Messages are sent to a queue, by its workload or by EventBridge.
    pub(super) fn send_messages(&mut self, id: QueueId, count: u64, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.state.queues[id.index()].queue.send(count, now);
        self.queues.by_id[id.index()].metrics.touch(&self.estate.behaviour, now);
        self.tell_queue(id, QueueEvent::Sent { count }, now);
        self.deliver(id, schedule);
    }

    /// Something may be due: a delay or a timeout has ended, a message is too old, a consumer polls.
    pub(super) fn on_queue_timer(&mut self, id: QueueId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.queues.by_id[id.index()].timer = None;
        let passed = self.state.queues[id.index()].queue.pass(now);
        if passed.expired > 0 || !passed.oldest.is_zero() {
            self.tell_queue(id, QueueEvent::Passed(passed), now);
        }
        self.deliver(id, schedule);
    }

    /// Gives what is visible to those who ask for it; ends every change of a queue.
    fn deliver(&mut self, id: QueueId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        while self.state.queues[id.index()].queue.has_for_receive() {
            let crew = self.queues.by_id[id.index()].crew.as_mut();
            let Some(task) = crew.and_then(|crew| crew.answer(now)) else { break };
            self.receive(id, task, schedule);
        }
        self.tell_queue(id, QueueEvent::Settled, now);
        self.set_queue_timer(id, schedule);
    }

    /// A receive of at most `most` messages; those received too often leave for the dead-letter queue.
    fn receive_messages(&mut self, id: QueueId, most: usize, schedule: &mut Schedule<Event>) -> Vec<Received> {
        let now = schedule.now();
        let crew = self.queues.by_id[id.index()].crew.as_mut();
        let mut work = crew.map(|crew| &mut crew.work);
        let draw = || work.as_mut().map_or_else(Work::default, |work| work.draw());
        let batch = self.state.queues[id.index()].queue.receive(most, now, draw);
        for received in &batch.received {
            let waited = (received.receives == 1).then_some(received.age);
            self.tell_queue(id, QueueEvent::Received { waited }, now);
        }
        for letter in &batch.dead {
            self.tell_queue(id, QueueEvent::DeadLettered { age: letter.age }, now);
        }
        if let Some(target) = self.queues.by_id[id.index()].dead_letters.filter(|_| !batch.dead.is_empty()) {
            for letter in &batch.dead {
                self.state.queues[target.index()].queue.accept(*letter, now);
            }
            self.queues.by_id[target.index()].metrics.touch(&self.estate.behaviour, now);
            // Not at once: two queues may be each other's, and this one is in the middle of a change.
            self.set_timer_of_queue(target, Some(now), schedule);
        }
        batch.received
    }

    fn set_queue_timer(&mut self, id: QueueId, schedule: &mut Schedule<Event>) {
        let queue = &self.state.queues[id.index()].queue;
        let crew = self.queues.by_id[id.index()].crew.as_ref();
        let polled = crew.filter(|_| queue.has_for_receive()).and_then(|crew| crew.next_poll(schedule.now()));
        let due = [queue.next_change(), polled].into_iter().flatten().min();
        self.set_timer_of_queue(id, due, schedule);
    }

    /// A timer that is too early looks, finds nothing and is set again; only one that is too late is moved.
    fn set_timer_of_queue(&mut self, id: QueueId, due: Option<SimTime>, schedule: &mut Schedule<Event>) {
        let timer = &mut self.queues.by_id[id.index()].timer;
        let Some(at) = due.filter(|due| timer.is_none_or(|timer| *due < timer.at)) else { return };
        if let Some(old) = timer.take() {
            schedule.cancel(old.key);
        }
        *timer = Some(Timer { at, key: schedule.at(at, Event::QueueTimer(id)) });
    }

    fn tell_queue(&mut self, id: QueueId, event: QueueEvent, now: SimTime) {
        self.queues.by_id[id.index()].metrics.count(event);
        self.observer.observe(now, &Record::Queue { queue: id, event }, &self.state);
    }

    /// Checks each queue's books, and that what its tasks have in hand fits their slots.
    pub(super) fn audit_queues(&self) -> Result<(), String> {
        for (entry, runtime) in self.state.queues.iter().zip(&self.queues.by_id) {
            let audited = entry.queue.audit().and_then(|()| match &runtime.crew {
                Some(crew) => crew.audit(&self.state.tasks),
                None => Ok(()),
            });
            audited.map_err(|error| format!("queue {}: {error}", entry.name))?;
        }
        Ok(())
    }
}

impl QueueRuntime {
    fn new(
        name: &str,
        messages: Option<&Messages>,
        dead_letters: Option<QueueId>,
        metrics: QueueMetrics,
        streams: &Streams,
        end: SimTime,
    ) -> Self {
        let source = messages.and_then(|messages| {
            let arrivals = Arrivals::of_workload(messages.arrivals.as_ref()?, name, streams, end);
            Some(Source { arrivals, count: messages.count })
        });
        let crew = messages.and_then(|messages| {
            let consumer = messages.consumer.as_ref()?;
            Some(Crew::new(name, consumer, messages.queue.attributes.receive_wait, streams))
        });
        Self { source, dead_letters, crew, metrics, timer: None }
    }
}
