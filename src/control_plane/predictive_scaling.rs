//! Predictive scaling at work: forecasts from the hours that the metric store keeps, and capacity ahead of them (PRED-*).

use serde_json::Map;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::Record;
use crate::control_plane::service_scaling::PolicyResource;
use crate::ecs::ids::{PolicyId, ScalableTargetId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::SeriesId;
use crate::scaling::policy::{PolicyDefinition, Verdict};
use crate::scaling::predictive_scaling::{self, Forecast, LoadMetric, PredictiveScalingPolicy};
use crate::scaling::scalable_target::ScaledResource;

/// A predictive policy in motion.
#[derive(Clone, Debug)]
pub(super) struct Predictor {
    /// The load it learns from.
    load: SeriesId,
    /// When it acts next; anything else is an event of before the policy was put again.
    next: SimTime,
    /// The latest forecast and when it was made.
    forecast: Option<(SimTime, Forecast)>,
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
        let key = match &policy.load {
            LoadMetric::Cpu => MetricKey::service(cluster, service, "CPUUtilization"),
            LoadMetric::Memory => MetricKey::service(cluster, service, "MemoryUtilization"),
            LoadMetric::Requests { load_balancer, target_group } => {
                let dimensions = [("LoadBalancer", load_balancer.as_str()), ("TargetGroup", target_group.as_str())];
                MetricKey::new("AWS/ApplicationELB", "RequestCount", &dimensions)
            }
        };
        let (next, _) = predictive_scaling::next_action(policy.buffer, schedule.now());
        schedule.at(next, Event::PredictiveScaling(id));
        Some(Predictor { load: self.cloudwatch.store.intern(&key), next, forecast: None })
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
        let fresh = predictor.forecast.as_ref().is_some_and(|(made, _)| *made + predictive_scaling::REFRESH > now);
        if !fresh {
            let history = self.cloudwatch.store.hourly_sums(predictor.load, now);
            predictor.forecast = predictive_scaling::forecast(&history, hour).map(|forecast| (now, forecast));
        }
        if let Some(load) = predictor.forecast.as_ref().and_then(|(_, forecast)| forecast.get(&hour).copied()) {
            self.predict_hour(&definition, target, hour, load, schedule);
        }
    }

    fn predict_hour(
        &mut self,
        policy: &PredictiveScalingPolicy,
        target: ScalableTargetId,
        hour: u64,
        load: f64,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let about = self.target_resource(target);
        let view = self.target_view(&self.scaling.targets[target.index()]);
        let prediction = predictive_scaling::on_hour(policy, load, &view);
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
