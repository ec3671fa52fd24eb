//! Samples of the scenario's own: replayed series and `put-metric-data` (CW-2, CW-4, CW-8), and the rates of CloudWatch's
//! calls (AAS-19).

use std::collections::VecDeque;

use jiff::SignedDuration;

use crate::control_plane::ControlPlane;
use crate::control_plane::api::{ApiCall, MetricDatum};
use crate::control_plane::cloudwatch::CONTAINER_INSIGHTS;
use crate::control_plane::event::Event;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::metric::{Publication, SeriesId, StatisticSet};
use crate::schedule::wall_clock;

/// How old a sample may be (CW-8).
const OLDEST: SignedDuration = SignedDuration::from_secs(14 * 86_400);
/// How far ahead of the clock a sample may be (CW-8).
const FURTHEST: SignedDuration = SignedDuration::from_secs(2 * 3600);

/// A kind of call, and how many of it CloudWatch serves a second.
type Rate = (fn(&ApiCall) -> bool, usize);

/// Calls a second that CloudWatch serves (AAS-19).
const RATES: [Rate; 3] = [
    (|call| matches!(call, ApiCall::PutMetricAlarm(_)), 3),
    (|call| matches!(call, ApiCall::SetAlarmState(_)), 3),
    (|call| matches!(call, ApiCall::PutMetricData(_)), 500),
];

/// When the calls of the last second came, by kind of call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallRates([VecDeque<SimTime>; RATES.len()]);

impl CallRates {
    /// Counts a call, or refuses it as one too many within a second (AAS-19).
    pub(super) fn admit(&mut self, call: &ApiCall, now: SimTime) -> Result<(), Refused> {
        let Some(kind) = RATES.iter().position(|(is, _)| is(call)) else { return Ok(()) };
        let recent = &mut self.0[kind];
        while recent.front().is_some_and(|at| *at + SimDuration::from_secs(1) <= now) {
            recent.pop_front();
        }
        if recent.len() >= RATES[kind].1 {
            return Err(Refused { code: "Throttling", message: "Rate exceeded".to_owned(), rule: "AAS-19" });
        }
        recent.push_back(now);
        Ok(())
    }
}

impl ControlPlane<'_> {
    /// A bucket of a replayed series is over.
    pub(super) fn on_replay_tick(&mut self, place: u32, schedule: &mut Schedule<Event>) {
        let metric = &self.estate.metrics[place as usize];
        let now = schedule.now();
        let start = now - metric.period;
        let bucket = (start.as_nanos() / metric.period.as_nanos()) as usize;
        if let Some(Some(value)) = metric.values.get(bucket) {
            let series = self.cloudwatch.replays[place as usize];
            self.push_samples(series, start, &StatisticSet::of(*value), None, now);
        }
        if bucket + 1 < metric.values.len() {
            schedule.after(metric.period, Event::ReplayTick(place));
        }
    }

    /// `put-metric-data`: all of its samples are taken, or none (CW-8).
    pub(super) fn put_metric_data(&mut self, data: &[MetricDatum], now: SimTime) -> Result<(), Refused> {
        let clock = wall_clock(self.estate.start, now);
        let invalid = |place: usize, field: &str, why: &str| Refused {
            code: "InvalidParameterValue",
            message: format!("The parameter MetricData.member.{}.{field} {why}.", place + 1),
            rule: "CW-8",
        };
        for (place, datum) in data.iter().enumerate() {
            let Some(stamp) = datum.stamp else { continue };
            let age = clock.duration_since(stamp);
            if age > OLDEST {
                return Err(invalid(place, "Timestamp", "must specify a time within the past two weeks"));
            }
            if -age > FURTHEST {
                return Err(invalid(place, "Timestamp", "must specify a time no more than two hours in the future"));
            }
        }
        if let Some(place) = data.iter().position(|datum| !datum.samples.iter().all(StatisticSet::is_valid)) {
            return Err(invalid(place, "Value", "must be a number between -2^360 and 2^360"));
        }
        for datum in data {
            // What was before the run is of no use to anyone in it.
            let at = match datum.stamp {
                None => Some(now),
                Some(stamp) => {
                    u64::try_from(stamp.duration_since(self.estate.start).as_nanos()).ok().map(SimTime::from_nanos)
                }
            };
            let series = self.custom_series(datum);
            for samples in &datum.samples {
                if let Some(at) = at {
                    // A sample older than what is kept is taken, and seen by nobody.
                    let _ = self.cloudwatch.store.push_in(series, Some(datum.unit), at, samples);
                }
            }
        }
        Ok(())
    }

    /// The series of a sample: of a minute, or of a second once high resolution was asked for.
    ///
    /// A series that is replayed, or that Container Insights publishes, stays as it is.
    fn custom_series(&mut self, datum: &MetricDatum) -> SeriesId {
        let id = self.cloudwatch.store.intern(&datum.key);
        if self.cloudwatch.replays.contains(&id) || datum.key.namespace == CONTAINER_INSIGHTS {
            return id;
        }
        let first = self.cloudwatch.custom.insert(id);
        let present = self.cloudwatch.store.publication(id).resolution();
        let resolution = if datum.high_resolution { SimDuration::from_secs(1) } else { SimDuration::MINUTE };
        if first || resolution < present {
            let delay = self.estate.behaviour.metric_delay.custom;
            // CW-4: a bucket shows once it has ended, unless it is to show while it fills.
            let publication = if self.estate.behaviour.partial_buckets {
                Publication::after_start(resolution, delay)
            } else {
                Publication::after_end(resolution, delay)
            };
            self.cloudwatch.store.publish(id, publication);
        }
        id
    }
}
