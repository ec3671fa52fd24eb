//! Predictive scaling at work: forecasts from the hours that the metric store keeps, and capacity ahead of them (PRED-*).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Map;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::Record;
use crate::control_plane::service_scaling::PolicyResource;
use crate::ecs::ids::{PolicyId, ScalableTargetId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::{MetricKey, Watched};
use crate::scaling::metric::{Hourly, MetricStore, SeriesId, Statistic};
use crate::scaling::metric_math::MetricMath;
use crate::scaling::policy::{PolicyDefinition, Verdict};
use crate::scaling::predictive_scaling::{self, Forecast, LoadMetric, PredictiveMetric, PredictiveScalingPolicy};
use crate::scaling::scalable_target::ScaledResource;

/// A predictive policy in motion.
#[derive(Clone, Debug)]
pub(super) struct Predictor {
    /// The load it learns from.
    load: HourlySource,
    /// Scaling metric and capacity, where the load does not say what a task carries.
    share: Option<(HourlySource, HourlySource)>,
    /// When it acts next; anything else is an event of before the policy was put again.
    next: SimTime,
    /// The latest forecast.
    forecast: Option<Forecasts>,
}

/// A forecast of 48 hours.
#[derive(Clone, Debug)]
struct Forecasts {
    made: SimTime,
    forecast: Forecast,
    /// How much of the target a unit of the load is (PRED-4).
    factor: f64,
}

/// Where the hours of a metric come from.
#[derive(Clone, Debug)]
enum HourlySource {
    Series(SeriesId, Hourly),
    Math(Arc<MetricMath>, Vec<(SeriesId, Hourly)>),
}

impl HourlySource {
    /// The past hours that show at `now`, by number.
    fn hours(&self, store: &MetricStore, now: SimTime) -> BTreeMap<u64, f64> {
        match self {
            Self::Series(id, of) => store.hourly(*id, *of, now),
            Self::Math(math, series) => {
                let known: Vec<_> = series.iter().map(|(id, of)| store.hourly(*id, *of, now)).collect();
                let ends = known.iter().filter_map(|hours| Some((*hours.keys().next()?, *hours.keys().next_back()?)));
                let Some((first, last)) = ends.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))) else {
                    return BTreeMap::new();
                };
                let window = |hours: &BTreeMap<u64, f64>| {
                    (first..=last).map(|hour| hours.get(&hour).copied()).collect::<Vec<_>>()
                };
                let values = math.evaluate(&known.iter().map(window).collect::<Vec<_>>());
                (first..=last).zip(values).filter_map(|(hour, value)| Some((hour, value?))).collect()
            }
        }
    }
}

/// A capacity that a forecast asks for until the end of its hour (PRED-8).
#[derive(Clone, Copy, Debug)]
pub(super) struct PredictedCapacity {
    until: SimTime,
    capacity: u32,
}

/// The least capacity that the forecasts of `predicted` allow at `now`; of two hours that overlap, the larger.
pub(super) fn predicted_floor(predicted: &[PredictedCapacity], now: SimTime) -> Option<u32> {
    predicted.iter().filter(|predicted| predicted.until > now).map(|predicted| predicted.capacity).max()
}

impl ControlPlane<'_> {
    /// A predictive policy was put: it acts before each hour from now on (PRED-3).
    pub(super) fn start_predicting(
        &mut self,
        id: PolicyId,
        policy: &PredictiveScalingPolicy,
        resource: &ScaledResource,
        schedule: &mut Schedule<Event>,
    ) -> Option<Predictor> {
        let ScaledResource::Service { cluster, service } = resource else { return None };
        let of = (cluster.as_str(), service.as_str());
        let load = self.hourly_source(&policy.load, of);
        let share = policy.scaling.as_ref().map(|scaling| {
            let capacity = match &scaling.capacity {
                Some(capacity) => self.hourly_source(&PredictiveMetric::Customized(capacity.clone()), of),
                None => self.average_of(&MetricKey::service(cluster, service, "LiveTaskCount")),
            };
            (self.hourly_source(&scaling.metric, of), capacity)
        });
        let (next, _) = predictive_scaling::next_action(policy.buffer, schedule.now());
        schedule.at(next, Event::PredictiveScaling(id));
        Some(Predictor { load, share, next, forecast: None })
    }

    /// Where the hours of a policy's metric come from.
    fn hourly_source(&mut self, metric: &PredictiveMetric, (cluster, service): (&str, &str)) -> HourlySource {
        let utilization = |name: &str| MetricKey::service(cluster, service, name);
        match metric {
            PredictiveMetric::Total(LoadMetric::Cpu) => self.sums_of(&utilization("CPUUtilization")),
            PredictiveMetric::Total(LoadMetric::Memory) => self.sums_of(&utilization("MemoryUtilization")),
            PredictiveMetric::Total(LoadMetric::Requests { load_balancer, target_group }) => {
                let dimensions = [("LoadBalancer", load_balancer.as_str()), ("TargetGroup", target_group.as_str())];
                self.sums_of(&MetricKey::new("AWS/ApplicationELB", "RequestCount", &dimensions))
            }
            PredictiveMetric::PerTask(LoadMetric::Cpu) => self.average_of(&utilization("CPUUtilization")),
            PredictiveMetric::PerTask(LoadMetric::Memory) => self.average_of(&utilization("MemoryUtilization")),
            PredictiveMetric::PerTask(LoadMetric::Requests { load_balancer, target_group }) => {
                self.sums_of(&MetricKey::request_count_per_target(load_balancer, target_group))
            }
            PredictiveMetric::Customized(Watched::Metric(key, statistic)) => {
                HourlySource::Series(self.cloudwatch.store.intern(key), Hourly::Statistic(*statistic))
            }
            PredictiveMetric::Customized(Watched::Math(math)) => {
                let series = math
                    .metrics()
                    .map(|metric| (self.cloudwatch.store.intern(&metric.key), Hourly::Statistic(metric.statistic)));
                HourlySource::Math(Arc::clone(math), series.collect())
            }
        }
    }

    fn sums_of(&mut self, key: &MetricKey) -> HourlySource {
        HourlySource::Series(self.cloudwatch.store.intern(key), Hourly::MeanOfSums)
    }

    fn average_of(&mut self, key: &MetricKey) -> HourlySource {
        HourlySource::Series(self.cloudwatch.store.intern(key), Hourly::Statistic(Statistic::Average))
    }

    /// The next hour of a predictive policy is near.
    pub(super) fn on_predictive_scaling(&mut self, id: PolicyId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let policy = &mut self.scaling.policies[id.index()];
        let (PolicyDefinition::Predictive(definition), PolicyResource::Target(target), Some(predictor)) =
            (&policy.definition, policy.resource, &mut policy.predictor)
        else {
            return;
        };
        if !policy.exists || predictor.next != now {
            return;
        }
        let definition = definition.clone();
        let (_, hour) = predictive_scaling::next_action(definition.buffer, now);
        (predictor.next, _) = predictive_scaling::next_action(definition.buffer, now + SimDuration::from_nanos(1));
        schedule.at(predictor.next, Event::PredictiveScaling(id));
        let fresh = predictor.forecast.as_ref().is_some_and(|known| known.made + predictive_scaling::REFRESH > now);
        if !fresh {
            let store = &self.cloudwatch.store;
            let history = predictor.load.hours(store, now);
            // PRED-4: of two kinds, the history says how much of the target a unit of the load is.
            let factor = match &predictor.share {
                None => Some(1.0),
                Some((scaling, capacity)) => {
                    predictive_scaling::load_factor(&history, &scaling.hours(store, now), &capacity.hours(store, now))
                }
            };
            let forecast = predictive_scaling::forecast(&history, hour);
            predictor.forecast =
                forecast.zip(factor).map(|(forecast, factor)| Forecasts { made: now, forecast, factor });
        }
        let forecast = predictor.forecast.as_ref();
        if let Some((load, factor)) = forecast.and_then(|known| Some((*known.forecast.get(&hour)?, known.factor))) {
            self.predict_hour(&definition, target, hour, (load, factor), schedule);
        }
    }

    fn predict_hour(
        &mut self,
        policy: &PredictiveScalingPolicy,
        target: ScalableTargetId,
        hour: u64,
        (load, factor): (f64, f64),
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let about = self.target_resource(target);
        let view = self.target_view(&self.scaling.targets[target.index()]);
        let prediction = predictive_scaling::on_hour(policy, load * factor, &view);
        let start = SimTime::ZERO + SimDuration::HOUR * hour;
        for (metric, value) in [("LoadForecast", load), ("CapacityForecast", f64::from(prediction.capacity))] {
            let record = Record::Datapoint { resource: about, metric, period_start: start, value };
            self.observer.observe(now, &record, &self.state);
        }
        // PRED-2: a forecast alone changes nothing.
        if !policy.scales {
            return;
        }
        self.decide_scaling(about, "predictive-scaling", view.desired, &prediction.verdict, |_| Map::new(), now);
        let entry = &mut self.scaling.targets[target.index()];
        entry.predicted.retain(|predicted| predicted.until > now);
        entry.predicted.push(PredictedCapacity { until: start + SimDuration::HOUR, capacity: prediction.capacity });
        // PRED-6: for good, until somebody sets it again.
        entry.max = prediction.raised_max.unwrap_or(entry.max);
        if let Verdict::SetDesired { to, .. } = &prediction.verdict {
            // Like a schedule it asks no policy, so no cooldown follows.
            entry.state.abandon();
            let cause = format!("predictive scaling forecast a capacity of {to} for the hour that starts at {start}");
            self.start_activity(target, *to, cause, schedule);
        }
    }
}
