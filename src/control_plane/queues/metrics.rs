//! What CloudWatch is told of queues, and when (SQS-1…3).

use crate::behaviour::Behaviour;
use crate::control_plane::ControlPlane;
use crate::control_plane::cloudwatch::CloudWatch;
use crate::control_plane::record::Resource;
use crate::ecs::ids::QueueId;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::metric::{SeriesId, StatisticSet};
use crate::workload::queue::QueueEvent;

/// The namespace.
pub(in crate::control_plane) const SQS: &str = "AWS/SQS";

/// The metrics of a standard queue, but for the size of its messages.
pub(in crate::control_plane) const QUEUE_METRICS: [&str; 8] = [
    "ApproximateNumberOfMessagesVisible",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateAgeOfOldestMessage",
    "NumberOfMessagesSent",
    "NumberOfMessagesReceived",
    "NumberOfMessagesDeleted",
    "NumberOfEmptyReceives",
];

type Values = [f64; QUEUE_METRICS.len()];

/// The series of one queue, and what it adds to them this minute.
#[derive(Debug)]
pub(super) struct QueueMetrics {
    /// In order of [`QUEUE_METRICS`].
    series: [SeriesId; QUEUE_METRICS.len()],
    sent: u64,
    received: u64,
    deleted: u64,
    activity: Activity,
    /// Samples that show later, by start of their minute (SQS-2).
    held: Vec<(SimTime, Values)>,
}

/// Whether a queue is active for CloudWatch, and since when its metrics show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Activity {
    /// Its last message or call; it was created at time zero.
    last: SimTime,
    /// Until then its samples are held back.
    lags_until: SimTime,
}

impl Activity {
    const CREATED: Self = Self { last: SimTime::ZERO, lags_until: SimTime::ZERO };

    /// A message or a call: a queue that was inactive wakes up, and its metrics may lag (SQS-2).
    fn touch(&mut self, now: SimTime, behaviour: &Behaviour) {
        if !self.is_active(now, behaviour) {
            self.lags_until = now.saturating_add(behaviour.sqs_wake_delay);
        }
        self.last = self.last.max(now);
    }

    /// SQS-1: active until so long after its last message or call.
    fn is_active(&self, now: SimTime, behaviour: &Behaviour) -> bool {
        now <= self.last.saturating_add(behaviour.sqs_active_for)
    }
}

impl QueueMetrics {
    pub(super) fn new(queue: &str, cloudwatch: &mut CloudWatch, delay: SimDuration) -> Self {
        let series = QUEUE_METRICS.map(|metric| cloudwatch.add_minutely(SQS, metric, &[("QueueName", queue)], delay));
        Self { series, sent: 0, received: 0, deleted: 0, activity: Activity::CREATED, held: Vec::new() }
    }

    pub(super) fn touch(&mut self, behaviour: &Behaviour, now: SimTime) {
        self.activity.touch(now, behaviour);
    }

    pub(super) fn count(&mut self, event: QueueEvent) {
        match event {
            QueueEvent::Sent { count } => self.sent += count,
            QueueEvent::Received { .. } => self.received += 1,
            // Every call that succeeds, whether or not the message was still there.
            QueueEvent::Deleted { .. } => self.deleted += 1,
            QueueEvent::DeadLettered { .. } | QueueEvent::Passed(_) | QueueEvent::Settled => {}
        }
    }
}

impl ControlPlane<'_> {
    /// Each minute: the samples of the minute that starts at `bucket` and ends now.
    pub(in crate::control_plane) fn sample_queues(&mut self, bucket: SimTime, now: SimTime) {
        for place in 0..self.state.queues.len() {
            self.sample_queue(QueueId(place as u32), bucket, now);
        }
    }

    fn sample_queue(&mut self, id: QueueId, bucket: SimTime, now: SimTime) {
        let behaviour = &self.estate.behaviour;
        let queue = &self.state.queues[id.index()].queue;
        let runtime = &mut self.queues.by_id[id.index()];
        let empty_receives = runtime.crew.as_mut().map_or(0, |crew| crew.take_empty_receives(now));
        let metrics = &mut runtime.metrics;
        if !queue.is_empty() || runtime.crew.as_ref().is_some_and(super::Crew::polls) {
            metrics.activity.touch(now, behaviour);
        }
        let counts = [&mut metrics.sent, &mut metrics.received, &mut metrics.deleted].map(std::mem::take);
        // SQS-1: what is inactive publishes nothing, not even zeros.
        if !metrics.activity.is_active(now, behaviour) {
            return;
        }
        let age = queue.age_of_oldest(now).unwrap_or_default();
        let values: Values = [
            queue.visible() as f64,
            queue.in_flight() as f64,
            queue.delayed() as f64,
            age.as_secs_f64(),
            counts[0] as f64,
            counts[1] as f64,
            counts[2] as f64,
            empty_receives as f64,
        ];
        metrics.held.push((bucket, values));
        if now < metrics.activity.lags_until {
            return;
        }
        let series = metrics.series;
        for (bucket, values) in std::mem::take(&mut metrics.held) {
            for ((series, metric), value) in series.into_iter().zip(QUEUE_METRICS).zip(values) {
                self.publish(series, Resource::Queue(id), metric, bucket, &StatisticSet::of(value), now);
            }
        }
    }

    /// What is in each queue, for those who draw it: CloudWatch shows less, and later.
    pub(in crate::control_plane) fn tell_queue_levels(&mut self, now: SimTime) {
        if !self.wants.series {
            return;
        }
        for place in 0..self.state.queues.len() {
            let queue = &self.state.queues[place].queue;
            let age = queue.age_of_oldest(now).unwrap_or_default().as_secs_f64();
            let (backlog, in_flight) = (queue.visible() as f64, queue.in_flight() as f64);
            let resource = Resource::Queue(QueueId(place as u32));
            for (metric, value) in [("backlog", backlog), ("in_flight", in_flight), ("age_s", age)] {
                self.record_level(resource, metric, value, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_active_for_six_hours_and_lags_when_it_wakes() {
        let behaviour = Behaviour { sqs_wake_delay: SimDuration::from_secs(900), ..Behaviour::default() };
        let hours = |hours: u64| SimTime::from_secs(hours * 3600);
        let mut activity = Activity::CREATED;
        assert!(activity.is_active(hours(6), &behaviour) && !activity.is_active(hours(7), &behaviour));
        activity.touch(hours(6), &behaviour);
        assert_eq!(activity.lags_until, SimTime::ZERO, "it was active");
        activity.touch(hours(13), &behaviour);
        assert_eq!(activity, Activity { last: hours(13), lags_until: SimTime::from_secs(13 * 3600 + 900) });
        activity.touch(hours(13) + SimDuration::from_secs(60), &behaviour);
        assert_eq!(activity.lags_until, SimTime::from_secs(13 * 3600 + 900), "awake already");
    }
}
