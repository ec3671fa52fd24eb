//! What is kept of a queue: how many messages went which way, how long they were in it, how full it was.

use crate::control_plane::estate::{Demand, Estate};
use crate::control_plane::state::State;
use crate::ecs::ids::{QueueId, WorkloadId};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::plot::QueuePlan;
use crate::report::summary::{ReplicationSummary, Unit};
use crate::stats::WeightedHistogram;
use crate::workload::queue::{CreateQueue, QueueEvent, Ways};

use super::Recorder;

/// What is kept of a queue; without the warm-up, as far as it is of a time.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueBook {
    pub(super) resource: String,
    /// The service that drains it, as a resource.
    pub(super) service: Option<String>,
    redelivered: u64,
    /// From the send to the first receive.
    waits: WeightedHistogram,
    /// From the send to the deletion.
    latencies: WeightedHistogram,
    backlog_max: u64,
    in_flight_max: u64,
    age_max: SimDuration,
    /// Since when messages have been waiting, while some do.
    waiting_since: Option<SimTime>,
    drain_max: SimDuration,
    /// Times in which some message was visible for a minute or more without a break.
    short: SimDuration,
    /// When the warm-up ended.
    before: Ways,
    after: Ways,
    left: u64,
}

impl QueueBook {
    /// A book for each queue of `estate`.
    pub(super) fn all(estate: &Estate) -> Vec<Self> {
        let book = |(call, workload): (CreateQueue, Option<WorkloadId>)| {
            let consumer = match workload.map(|id| &estate.workloads[id.index()].demand) {
                Some(Demand::Messages(messages)) => messages.consumer.as_ref(),
                _ => None,
            };
            let service = consumer.map(|consumer| format!("service/{}/{}", consumer.service.0, consumer.service.1));
            Self { resource: format!("queue/{}", call.name), service, ..Self::default() }
        };
        estate.queues().into_iter().map(book).collect()
    }

    /// A backlog that began at `since` is gone at `now`, or the run is over.
    fn drained(&mut self, since: SimTime, now: SimTime, warmup: SimTime) {
        let span = now.saturating_since(since.max(warmup.min(now)));
        self.drain_max = self.drain_max.max(span);
        if span >= SimDuration::MINUTE {
            self.short = self.short.saturating_add(span);
        }
    }

    /// The figures of the queue.
    pub(super) fn summarize(&self, summary: &mut ReplicationSummary) {
        let resource = &self.resource;
        let mut set = |metric: &str, value: f64, unit| summary.set(format!("{resource}:{metric}"), value, unit);
        let (before, after) = (self.before, self.after);
        let came = |ways: Ways| ways.sent + ways.moved_in;
        let quantile = |times: &WeightedHistogram, p| times.quantile(p).unwrap_or(f64::NAN);
        let mean = |times: &WeightedHistogram| times.mean().unwrap_or(f64::NAN);
        set("messages", (came(after) - came(before)) as f64, Unit::Count);
        set("backlog_max", self.backlog_max as f64, Unit::Count);
        set("in_flight_max", self.in_flight_max as f64, Unit::Count);
        set("age_max_s", self.age_max.as_secs_f64(), Unit::Seconds);
        set("drain_max_s", self.drain_max.as_secs_f64(), Unit::Seconds);
        set("time_in_queue_mean_s", mean(&self.waits), Unit::Seconds);
        set("time_in_queue_p99_s", quantile(&self.waits, 0.99), Unit::Seconds);
        set("latency_mean_s", mean(&self.latencies), Unit::Seconds);
        set("latency_p99_s", quantile(&self.latencies, 0.99), Unit::Seconds);
        set("messages_deleted", (after.deleted - before.deleted) as f64, Unit::Count);
        set("messages_redelivered", self.redelivered as f64, Unit::Count);
        set("messages_dead_lettered", (after.dead_lettered - before.dead_lettered) as f64, Unit::Count);
        set("messages_expired", (after.expired - before.expired) as f64, Unit::Count);
        set("messages_left", self.left as f64, Unit::Count);
    }
}

impl Recorder {
    /// Something happened to the messages of a queue.
    pub(super) fn on_queue(&mut self, now: SimTime, id: QueueId, event: QueueEvent, state: &State) {
        let (warmup, counts) = (self.warmup, now >= self.warmup);
        let queue = &state.queues[id.index()].queue;
        let book = &mut self.queues[id.index()];
        match event {
            QueueEvent::Received { waited } if counts => match waited {
                Some(waited) => book.waits.record(waited.as_secs_f64(), 1.0),
                None => book.redelivered += 1,
            },
            QueueEvent::Deleted { age: Some(age) } if counts => {
                book.latencies.record(age.as_secs_f64(), 1.0);
                book.age_max = book.age_max.max(age);
            }
            QueueEvent::DeadLettered { age } if counts => book.age_max = book.age_max.max(age),
            QueueEvent::Passed(passed) if counts => book.age_max = book.age_max.max(passed.oldest),
            QueueEvent::Settled => {
                let visible = queue.visible();
                if counts {
                    book.backlog_max = book.backlog_max.max(visible);
                    book.in_flight_max = book.in_flight_max.max(queue.in_flight());
                }
                match book.waiting_since {
                    Some(since) if visible == 0 => {
                        book.drained(since, now, warmup);
                        book.waiting_since = None;
                    }
                    None if visible > 0 => book.waiting_since = Some(now),
                    _ => {}
                }
            }
            _ => {}
        }
        if !counts {
            book.before = queue.ways();
        }
    }

    /// The run is over: what is still in the queues counts as it is.
    pub(super) fn close_queues(&mut self, now: SimTime, state: &State) {
        for place in 0..state.queues.len() {
            let (queue, warmup) = (&state.queues[place].queue, self.warmup);
            let book = &mut self.queues[place];
            book.after = queue.ways();
            book.left = queue.visible() + queue.in_flight() + queue.delayed();
            book.age_max = book.age_max.max(queue.age_of_oldest(now).unwrap_or_default());
            if let Some(since) = book.waiting_since.take() {
                book.drained(since, now, warmup);
            }
        }
    }

    /// For how long the messages of a service's queues have waited for more than a minute [s].
    pub(super) fn short_for_messages(&self, service: &str) -> f64 {
        let its = self.queues.iter().filter(|book| book.service.as_deref() == Some(service));
        its.map(|book| book.short.as_secs_f64()).sum()
    }

    /// What the queues' pictures need.
    pub(super) fn queue_plans(&self) -> Vec<QueuePlan> {
        let plan = |book: &QueueBook| QueuePlan { resource: book.resource.clone(), service: book.service.clone() };
        self.queues.iter().map(plan).collect()
    }
}
