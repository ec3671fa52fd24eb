//! Target groups, scalable targets, scaling policies, scheduled actions, alarms and replayed metrics (ELB-*, AAS-*, TT-*, STEP-*, ALM-*).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, not_modelled};
use crate::control_plane::api::{PutMetricAlarm, PutScalingPolicy, PutScheduledAction, RegisterScalableTarget};
use crate::control_plane::estate::ReplayedMetric;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::{AlarmDefinition, MAX_ACTIONS_PER_STATE, MetricKey, WarmUp, Watched};
use crate::scaling::metric::{Statistic, Unit, is_metric_period};
use crate::scaling::metric_math::{MathError, MathMetric, MetricDataQuery, MetricMath, Query};
use crate::scaling::policy::{
    PolicyDefinition, StepAdjustment, StepScalingPolicy, TargetTrackingPolicy, TrackedMetric,
};
use crate::scaling::predictive_scaling::{LoadMetric, PredictiveMetric, PredictiveScalingPolicy, ScalingMetric};
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::scheduled_action::{self, SizeChange, Timing};
use crate::scaling::step_scaling;
use crate::scenario::decode::{At, Whole};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{
    AlarmInput, BreachWord, CustomMetricInput, DataQueriesInput, DimensionInput, EvaluationWindowInput,
    ForecastModeWord, LowSampleWord, MetricInput, MetricQueryInput, PredefinedMetricInput, PredictiveInput,
    PredictiveMetricInput, ScalableTargetInput, ScalingPolicyInput, ScheduledActionInput, StepInput,
    TargetTrackingInput,
};
use crate::scenario::source::Place;
use crate::scenario::workload;
use crate::schedule::{Schedule, ScheduleError};

const VALIDATION: &str = "ValidationException";

/// Cluster and service of `service/<cluster>/<service>` (AAS-1).
pub(crate) fn resource_id(resource: &At<String>, reading: &mut Reading) -> Option<(String, String)> {
    let mut parts = resource.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("service"), Some(cluster), Some(service), None) if !cluster.is_empty() && !service.is_empty() => {
            Some((cluster.to_owned(), service.to_owned()))
        }
        _ => {
            let message =
                format!("Unsupported service namespace, resource type or scalable dimension: `{}`", resource.value);
            let problem = Problem::aws(VALIDATION, "AAS-1", resource.place, message);
            reading.report(problem.help("ResourceId: service/<cluster>/<service>"));
            None
        }
    }
}

fn check_namespace(namespace: Option<&At<String>>, dimension: Option<&At<String>>, reading: &mut Reading) {
    for (at, expected) in [(namespace, "ecs"), (dimension, "ecs:service:DesiredCount")] {
        if let Some(at) = at.filter(|at| at.value != expected) {
            let message = format!("only {expected} is simulated, not `{}`", at.value);
            reading.report(Problem::new(code::NOT_MODELLED, at.place, message));
        }
    }
}

/// `register-scalable-target`; `first` asks for both bounds, as AWS does on creation.
pub(crate) fn scalable_target(
    input: &ScalableTargetInput,
    first: bool,
    reading: &mut Reading,
) -> Option<RegisterScalableTarget> {
    check_namespace(input.namespace.as_ref(), input.dimension.as_ref(), reading);
    let (cluster, service) = resource_id(&input.resource, reading)?;
    for (bound, name, key) in [(&input.min, "minimum", "MinCapacity"), (&input.max, "maximum", "MaxCapacity")] {
        if first && bound.is_none() {
            let message = format!("A {name} capacity must be specified when registering a scalable target");
            reading.report(Problem::aws(VALIDATION, "AAS-1", input.place, message).for_want_of(key));
        }
    }
    if let (Some(min), Some(max)) = (&input.min, &input.max)
        && min.get() > max.get()
    {
        let message = "Maximum capacity cannot be less than minimum capacity";
        let problem = Problem::aws(VALIDATION, "AAS-1", max.place, message);
        reading
            .report(problem.label(format!("{} is less than {}", max.get(), min.get())).also(min.place, "the minimum"));
    }
    Some(RegisterScalableTarget {
        cluster,
        service,
        min_capacity: input.min.as_ref().map(|count| count.get()),
        max_capacity: input.max.as_ref().map(|count| count.get()),
        scale_in_suspended: input.suspended.as_ref().and_then(|suspended| suspended.scale_in),
        scale_out_suspended: input.suspended.as_ref().and_then(|suspended| suspended.scale_out),
        scheduled_suspended: input.suspended.as_ref().and_then(|suspended| suspended.scheduled),
    })
}

/// `application-autoscaling put-scheduled-action`; `first` asks for a schedule and for bounds, as AWS does on creation.
pub(crate) fn scheduled_action(
    input: &ScheduledActionInput,
    first: bool,
    context: &Context,
    reading: &mut Reading,
) -> Option<PutScheduledAction> {
    check_namespace(input.namespace.as_ref(), input.dimension.as_ref(), reading);
    let (cluster, service) = resource_id(&input.resource, reading)?;
    let bounds = input.action.as_ref();
    let schedule = match &input.schedule {
        Some(text) => {
            let parsed = Schedule::parse(text, zone_name(input.time_zone.as_ref()), context.start);
            Some(schedule_or_report(parsed, text, input.time_zone.as_ref(), VALIDATION, reading)?)
        }
        None => None,
    };
    let call = PutScheduledAction {
        name: input.name.value.clone(),
        resource: ScaledResource::Service { cluster, service },
        schedule,
        start_time: match &input.start {
            Some(start) => Some(instant(start, VALIDATION, reading)?),
            None => None,
        },
        end_time: match &input.end {
            Some(end) => Some(instant(end, VALIDATION, reading)?),
            None => None,
        },
        change: SizeChange {
            min: bounds.and_then(|bounds| bounds.min).map(Whole::get),
            max: bounds.and_then(|bounds| bounds.max).map(Whole::get),
            desired: None,
        },
    };
    let place = input.schedule.as_ref().map_or(input.name.place, |schedule| schedule.place);
    checked_schedule(call, first, place, context, reading)
}

/// The zone that a schedule is written in.
pub(crate) fn zone_name(zone: Option<&At<String>>) -> &str {
    zone.map_or("UTC", |zone| zone.as_str())
}

/// A schedule that could be read, or a report of why not: the zone has a place of its own.
pub(crate) fn schedule_or_report(
    parsed: Result<Schedule, ScheduleError>,
    text: &At<String>,
    zone: Option<&At<String>>,
    code: &'static str,
    reading: &mut Reading,
) -> Option<Schedule> {
    let error = match parsed {
        Ok(schedule) => return Some(schedule),
        Err(error) => error,
    };
    let (rule, place) = match (&error, zone) {
        (ScheduleError::TimeZone(_), Some(zone)) => ("SCH-8", zone.place),
        _ => ("SCH-1", text.place),
    };
    reading.report(Problem::aws(code, rule, place, error.to_string()));
    None
}

/// A `StartTime` or `EndTime`: RFC 3339, or a date and time in UTC.
pub(crate) fn instant(at: &At<String>, code: &'static str, reading: &mut Reading) -> Option<jiff::Timestamp> {
    let civil = || at.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let instant = at.parse().ok().or_else(|| civil().map(|zoned| zoned.timestamp()));
    if instant.is_none() {
        let problem = Problem::aws(code, "SCH-7", at.place, format!("`{}` is no instant", at.value));
        reading.report(problem.help("write 2026-01-05T09:00:00Z"));
    }
    instant
}

/// The scheduled action, if AWS would take it at the start of the run. An update may leave out what is there already.
pub(crate) fn checked_schedule(
    call: PutScheduledAction,
    first: bool,
    place: Place,
    context: &Context,
    reading: &mut Reading,
) -> Option<PutScheduledAction> {
    let timing = Timing {
        schedule: call.schedule.clone(),
        start: call.start_time,
        end: call.end_time,
        put: context.start,
        origin: context.start,
    };
    if first && let Err(refused) = scheduled_action::check(&timing, call.change, &call.resource, SimTime::ZERO) {
        reading.report(Problem::refused(refused, place));
        return None;
    }
    Some(call)
}

/// `application-autoscaling put-scaling-policy`.
pub(crate) fn scaling_policy(input: &ScalingPolicyInput, reading: &mut Reading) -> Option<PutScalingPolicy> {
    check_namespace(input.namespace.as_ref(), input.dimension.as_ref(), reading);
    let (cluster, service) = resource_id(&input.resource, reading)?;
    let kind = input.kind.as_ref().map_or("StepScaling", |kind| kind.as_str());
    let needs = |key: &'static str, reading: &mut Reading| {
        let message = format!("{key} is required for policy type {kind}");
        reading.report(Problem::aws(VALIDATION, "TT-1", input.place, message).for_want_of(key));
    };
    let (policy, place) = match kind {
        "TargetTrackingScaling" => {
            let Some(tracking) = &input.target_tracking else {
                needs("TargetTrackingScalingPolicyConfiguration", reading);
                return None;
            };
            (PolicyDefinition::TargetTracking(target_tracking(tracking, true, reading)?), tracking.target.place)
        }
        "StepScaling" => {
            let Some(step) = &input.step else {
                needs("StepScalingPolicyConfiguration", reading);
                return None;
            };
            let policy = StepScalingPolicy {
                adjustment_type: step.adjustment_type,
                steps: steps(&step.steps),
                min_adjustment_magnitude: step.min_magnitude.map(Whole::get),
                cooldown: SimDuration::from_secs(step.cooldown.map_or(300, |cooldown| u64::from(cooldown.get()))),
                aggregation: step.aggregation.unwrap_or_default(),
                estimated_instance_warmup: None,
            };
            let place = step_scaling::mistaken_step(&policy).and_then(|place| step.steps.get(place));
            let place = place.map_or(step.place, |step| step.place);
            (PolicyDefinition::Step(policy), place)
        }
        "PredictiveScaling" => {
            let Some(predictive) = &input.predictive else {
                needs("PredictiveScalingPolicyConfiguration", reading);
                return None;
            };
            (PolicyDefinition::Predictive(predictive_policy(predictive, reading)?), predictive.place)
        }
        other => {
            let place = input.kind.as_ref().map_or(input.place, |kind| kind.place);
            let problem = Problem::aws(VALIDATION, "TT-1", place, format!("`{other}` is no policy type"));
            reading.report(problem.nearest(other, ["StepScaling", "TargetTrackingScaling", "PredictiveScaling"]));
            return None;
        }
    };
    checked_policy(&input.name, ScaledResource::Service { cluster, service }, policy, place, reading)
}

/// A predictive scaling configuration: one pair of metrics, of the same kind (PRED-4).
fn predictive_policy(input: &PredictiveInput, reading: &mut Reading) -> Option<PredictiveScalingPolicy> {
    let [metric] = &input.metrics[..] else {
        let message = "MetricSpecifications must have exactly one entry.";
        reading.report(Problem::aws(VALIDATION, "PRED-4", input.place, message));
        return None;
    };
    let (load, scaling) = predictive_metrics(metric, reading)?;
    let increases = input.breach.as_ref().is_some_and(|breach| breach.value == BreachWord::Increase);
    let buffer = match (increases, &input.max_buffer) {
        (true, Some(buffer)) => Some(buffer.get()),
        (false, None) => None,
        (true, None) => {
            let message = "MaxCapacityBuffer is required with IncreaseMaxCapacity.";
            let place = input.breach.as_ref().map_or(input.place, |breach| breach.place);
            reading.report(Problem::aws(VALIDATION, "PRED-6", place, message));
            return None;
        }
        (false, Some(buffer)) => {
            let message = "MaxCapacityBuffer is only for IncreaseMaxCapacity.";
            reading.report(Problem::aws(VALIDATION, "PRED-6", buffer.place, message));
            return None;
        }
    };
    Some(PredictiveScalingPolicy {
        target: metric.target.value,
        load,
        scaling,
        scales: input.mode == Some(ForecastModeWord::ForecastAndScale),
        buffer: SimDuration::from_secs(input.buffer.map_or(300, |buffer| u64::from(buffer.get()))),
        max_capacity_buffer: buffer,
    })
}

/// The load of a predictive policy, and what is to be at the target if that is not a share of it (PRED-4).
fn predictive_metrics(
    input: &PredictiveMetricInput,
    reading: &mut Reading,
) -> Option<(PredictiveMetric, Option<ScalingMetric>)> {
    let load = match (&input.load, &input.own_load) {
        (Some(load), None) => {
            let kinds = PREDICTIVE_METRICS.map(|kinds| kinds[1]);
            Some(PredictiveMetric::Total(load_metric(load, &kinds, reading)?))
        }
        (None, Some(queries)) => Some(PredictiveMetric::Customized(customized(queries, reading)?)),
        _ => None,
    };
    let scaling = match (&input.scaling, &input.own_scaling) {
        (Some(scaling), None) => {
            let kinds = PREDICTIVE_METRICS.map(|kinds| kinds[2]);
            Some(PredictiveMetric::PerTask(load_metric(scaling, &kinds, reading)?))
        }
        (None, Some(queries)) => Some(PredictiveMetric::Customized(customized(queries, reading)?)),
        _ => None,
    };
    let one_kind = [input.load.is_some(), input.own_load.is_some()] != [true, true]
        && [input.scaling.is_some(), input.own_scaling.is_some()] != [true, true];
    match (&input.pair, load, scaling) {
        (Some(pair), None, None) if one_kind && input.own_capacity.is_none() => {
            let kinds = PREDICTIVE_METRICS.map(|kinds| kinds[0]);
            Some((PredictiveMetric::Total(load_metric(pair, &kinds, reading)?), None))
        }
        (None, Some(load), Some(metric)) => {
            let capacity = match &input.own_capacity {
                Some(queries) => Some(customized(queries, reading)?),
                None => None,
            };
            let alike = match (&load, &metric) {
                (PredictiveMetric::Total(load), PredictiveMetric::PerTask(metric)) => load == metric,
                _ => false,
            };
            let scaling = (!alike || capacity.is_some()).then_some(ScalingMetric { metric, capacity });
            Some((load, scaling))
        }
        _ => {
            let message = "A metric specification has either a predefined metric pair, or a load and a scaling metric.";
            reading.report(Problem::aws(VALIDATION, "PRED-4", input.place, message));
            None
        }
    }
}

/// A metric of one's own by the hour: its statistics are those that hours can be summed up in.
fn customized(input: &DataQueriesInput, reading: &mut Reading) -> Option<Watched> {
    for stat in input.queries.iter().filter_map(|query| query.stat.as_ref()) {
        if statistic_of(&stat.statistic, reading)?.needs_samples() {
            let message = format!("a predictive policy cannot learn from {}", stat.statistic.value);
            let problem = Problem::aws(VALIDATION, "PRED-4", stat.statistic.place, message);
            reading.report(problem.help("Average, Sum, Minimum, Maximum and SampleCount"));
            return None;
        }
    }
    watched(&input.queries, input.place, VALIDATION, reading).map(|(watched, _)| watched)
}

/// Pair, load metric and scaling metric of CPU, memory and requests (PRED-4).
const PREDICTIVE_METRICS: [[&str; 3]; 3] = [
    ["ECSServiceCPUUtilization", "ECSServiceTotalCPUUtilization", "ECSServiceAverageCPUUtilization"],
    ["ECSServiceMemoryUtilization", "ECSServiceTotalMemoryUtilization", "ECSServiceAverageMemoryUtilization"],
    ["ALBRequestCount", "TotalALBRequestCount", "ALBRequestCountPerTarget"],
];

/// The load that a predefined metric stands for, of `kinds` in the order CPU, memory, requests.
fn load_metric(input: &PredefinedMetricInput, kinds: &[&str; 3], reading: &mut Reading) -> Option<LoadMetric> {
    match kinds.iter().position(|kind| *kind == input.kind.value) {
        Some(0) => Some(LoadMetric::Cpu),
        Some(1) => Some(LoadMetric::Memory),
        Some(_) => {
            let Some(label) = &input.label else {
                let message = format!("{} needs a ResourceLabel", input.kind.value);
                let problem = Problem::aws(VALIDATION, "PRED-4", input.place, message);
                reading.report(problem.help("ResourceLabel: app/<lb>/<id>/targetgroup/<tg>/<id>"));
                return None;
            };
            let (load_balancer, target_group) = resource_label(label, reading)?;
            Some(LoadMetric::Requests { load_balancer, target_group })
        }
        None => {
            let message = format!("`{}` is no PredefinedMetricType here", input.kind.value);
            let problem = Problem::aws(VALIDATION, "PRED-4", input.kind.place, message);
            reading.report(problem.nearest(&input.kind, kinds.iter().copied()));
            None
        }
    }
}

/// Step adjustments; STEP-4 is checked with the whole policy.
pub(crate) fn steps(inputs: &[StepInput]) -> Vec<StepAdjustment> {
    inputs
        .iter()
        .map(|input| StepAdjustment { lower: input.lower, upper: input.upper, adjustment: input.adjustment.signed() })
        .collect()
}

/// The policy with what it scales, if AWS would take it.
pub(crate) fn checked_policy(
    name: &At<String>,
    resource: ScaledResource,
    policy: PolicyDefinition,
    place: Place,
    reading: &mut Reading,
) -> Option<PutScalingPolicy> {
    match policy.check(&resource) {
        Ok(()) => Some(PutScalingPolicy { name: name.value.clone(), resource, policy }),
        Err(refused) => {
            reading.report(Problem::refused(refused, place));
            None
        }
    }
}

/// A target tracking configuration of a service, or of a group.
pub(crate) fn target_tracking(
    input: &TargetTrackingInput,
    of_service: bool,
    reading: &mut Reading,
) -> Option<TargetTrackingPolicy> {
    let metric = match (&input.predefined, &input.custom) {
        (Some(predefined), None) => predefined_metric(predefined, of_service, reading)?,
        (None, Some(custom)) => custom_metric(custom, reading)?,
        _ => {
            let message =
                "exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified";
            let problem = Problem::aws(VALIDATION, "TT-1", input.place, message);
            reading.report(
                problem.for_want_of("PredefinedMetricSpecification").for_want_of("CustomizedMetricSpecification"),
            );
            return None;
        }
    };
    let cooldown = |seconds: Option<crate::scenario::decode::Count>| {
        SimDuration::from_secs(seconds.map_or(300, |seconds| u64::from(seconds.get())))
    };
    Some(TargetTrackingPolicy {
        target: input.target.value,
        metric,
        scale_out_cooldown: cooldown(input.scale_out_cooldown),
        scale_in_cooldown: cooldown(input.scale_in_cooldown),
        disable_scale_in: input.disable_scale_in.unwrap_or(false),
        estimated_instance_warmup: None,
    })
}

fn predefined_metric(input: &PredefinedMetricInput, of_service: bool, reading: &mut Reading) -> Option<TrackedMetric> {
    const OF_SERVICES: [&str; 5] = [
        "ECSServiceAverageCPUUtilization",
        "ECSServiceAverageMemoryUtilization",
        "ALBRequestCountPerTarget",
        "ECSServiceAverageCPUUtilizationHighResolution",
        "ECSServiceAverageMemoryUtilizationHighResolution",
    ];
    const OF_GROUPS: [&str; 4] =
        ["ASGAverageCPUUtilization", "ALBRequestCountPerTarget", "ASGAverageNetworkIn", "ASGAverageNetworkOut"];
    let known: &[&str] = if of_service { &OF_SERVICES } else { &OF_GROUPS };
    if !known.contains(&input.kind.as_str()) {
        let message = format!(
            "`{}` is no PredefinedMetricType of {}",
            input.kind.value,
            if of_service { "ECS" } else { "Auto Scaling groups" }
        );
        reading.report(
            Problem::aws(VALIDATION, "TT-1", input.kind.place, message).nearest(&input.kind, known.iter().copied()),
        );
        return None;
    }
    Some(match input.kind.as_str() {
        "ECSServiceAverageCPUUtilization" => TrackedMetric::ServiceCpu { high_resolution: false },
        "ECSServiceAverageCPUUtilizationHighResolution" => TrackedMetric::ServiceCpu { high_resolution: true },
        "ECSServiceAverageMemoryUtilization" => TrackedMetric::ServiceMemory { high_resolution: false },
        "ECSServiceAverageMemoryUtilizationHighResolution" => TrackedMetric::ServiceMemory { high_resolution: true },
        "ASGAverageCPUUtilization" => TrackedMetric::GroupCpu,
        "ALBRequestCountPerTarget" => {
            let Some(label) = &input.label else {
                let message = "ALBRequestCountPerTarget needs a ResourceLabel";
                reading.report(
                    Problem::aws(VALIDATION, "TT-1", input.place, message)
                        .help("ResourceLabel: app/<lb>/<id>/targetgroup/<tg>/<id>"),
                );
                return None;
            };
            let (load_balancer, target_group) = resource_label(label, reading)?;
            TrackedMetric::RequestCountPerTarget { load_balancer, target_group }
        }
        _ => {
            not_modelled(input.kind.place, "network metrics of groups", reading);
            return None;
        }
    })
}

/// Load balancer and target group of `app/<lb>/<id>/targetgroup/<tg>/<id>`; the ids may be left out.
fn resource_label(label: &At<String>, reading: &mut Reading) -> Option<(String, String)> {
    let parts: Vec<&str> = label.split('/').collect();
    let at = parts.iter().position(|part| *part == "targetgroup");
    match (parts.first(), parts.get(1), at.and_then(|at| parts.get(at + 1))) {
        (Some(&"app"), Some(load_balancer), Some(target_group))
            if !load_balancer.is_empty() && !target_group.is_empty() =>
        {
            Some(((*load_balancer).to_owned(), (*target_group).to_owned()))
        }
        _ => {
            let message = format!("Invalid ResourceLabel `{}`", label.value);
            let problem = Problem::aws(VALIDATION, "TT-1", label.place, message);
            reading.report(problem.help("ResourceLabel: app/<lb>/<id>/targetgroup/<tg>/<id>"));
            None
        }
    }
}

fn custom_metric(input: &CustomMetricInput, reading: &mut Reading) -> Option<TrackedMetric> {
    if let Some(queries) = &input.metrics {
        if let Some(at) = input.name.as_ref().or(input.namespace.as_ref()).or(input.statistic.as_ref()) {
            let message = "Metrics cannot be specified together with MetricName, Namespace or Statistic.";
            reading.report(Problem::aws(VALIDATION, "TT-28", at.place, message));
            return None;
        }
        let (watched, period) = watched(queries, input.place, VALIDATION, reading)?;
        return Some(match watched {
            Watched::Metric(metric, statistic) => {
                let stat = queries.first().and_then(|query| query.stat.as_ref());
                let unit = unit_of(stat.and_then(|stat| stat.unit.as_ref()), VALIDATION, reading);
                TrackedMetric::Custom { metric, statistic, unit, period }
            }
            Watched::Math(math) => TrackedMetric::Math(math),
        });
    }
    let (Some(namespace), Some(name)) = (&input.namespace, &input.name) else {
        let message = "CustomizedMetricSpecification needs Namespace and MetricName";
        reading.report(Problem::aws(VALIDATION, "TT-1", input.place, message));
        return None;
    };
    let statistic = match &input.statistic {
        Some(statistic) => statistic_of(statistic, reading)?,
        None => Statistic::Average,
    };
    let metric = metric_key(namespace, name, &input.dimensions);
    let unit = unit_of(input.unit.as_ref(), VALIDATION, reading);
    let period = SimDuration::from_secs(input.period.as_ref().map_or(60, |period| u64::from(period.get())));
    Some(TrackedMetric::Custom { metric, statistic, unit, period })
}

/// The `Unit` of a question or of samples, if it names one (CW-1).
pub(crate) fn unit_of(text: Option<&At<String>>, code: &'static str, reading: &mut Reading) -> Option<Unit> {
    let text = text?;
    let unit = Unit::named(text);
    if unit.is_none() {
        let message = format!("`{}` is no unit", text.value);
        reading.report(Problem::aws(code, "CW-1", text.place, message).nearest(text, Unit::names()));
    }
    unit
}

/// What a list of `Metrics` watches, with its period; refusals have AWS's `code` (MATH-5, TT-28).
fn watched(
    queries: &[MetricQueryInput],
    place: Place,
    code: &'static str,
    reading: &mut Reading,
) -> Option<(Watched, SimDuration)> {
    let mut read = Vec::with_capacity(queries.len());
    for input in queries {
        let query = match (&input.stat, &input.expression) {
            (Some(stat), None) => Query::Metric(MathMetric {
                key: metric_key(&stat.metric.namespace, &stat.metric.name, &stat.metric.dimensions),
                statistic: statistic_of(&stat.statistic, reading)?,
                period: SimDuration::from_secs(stat.period.as_ref().map_or(60, |period| u64::from(period.get()))),
                unit: unit_of(stat.unit.as_ref(), code, reading),
            }),
            (None, Some(expression)) => Query::Expression(expression.value.clone()),
            _ => {
                let message =
                    format!("The element '{}' must have exactly one of MetricStat and Expression.", input.id.value);
                reading.report(Problem::aws(code, "MATH-5", input.place, message));
                return None;
            }
        };
        read.push(MetricDataQuery {
            id: input.id.value.clone(),
            query,
            return_data: input.return_data.unwrap_or(true),
        });
    }
    if let Some(size) = payload_beyond_limit(&read).filter(|_| code == VALIDATION) {
        let message = format!("The metric math payload has {size} bytes; at most {MAX_PAYLOAD} are allowed.");
        reading.report(Problem::aws(code, "TT-1", place, message));
        return None;
    }
    // One metric alone needs no mathematics.
    if let [MetricDataQuery { query: Query::Metric(metric), return_data: true, .. }] = &read[..] {
        return Some((Watched::Metric(metric.key.clone(), metric.statistic), metric.period));
    }
    let error = match MetricMath::new(&read) {
        Ok(math) => {
            let period = math.period();
            let other = queries.iter().filter_map(|input| input.period.as_ref());
            let Some(at) = other.into_iter().find(|at| u64::from(at.get()) != period.as_secs()) else {
                return Some((Watched::Math(Arc::new(math)), period));
            };
            reading.report(Problem::aws(code, "MATH-5", at.place, MathError::Periods.to_string()));
            return None;
        }
        Err(error) => error,
    };
    let at = |wanted: &str| queries.iter().find(|input| input.id.value == wanted);
    let place = match &error {
        MathError::Id(id) | MathError::DuplicateId(id) => at(id).map(|input| input.id.place),
        MathError::Expression { id, .. } | MathError::Cycle(id) | MathError::NotASeries(id) => {
            at(id).and_then(|input| input.expression.as_ref()).map(|expression| expression.place)
        }
        _ => None,
    }
    .unwrap_or(place);
    let rule = if code == VALIDATION { "TT-28" } else { "MATH-5" };
    reading.report(Problem::aws(code, rule, place, error.to_string()));
    None
}

/// The identity of a series (CW-1).
pub(crate) fn metric_key(namespace: &str, name: &str, dimensions: &[DimensionInput]) -> MetricKey {
    let dimensions: Vec<_> = dimensions.iter().map(|d| (d.name.as_str(), d.value.as_str())).collect();
    MetricKey::new(namespace, name, &dimensions)
}

/// Most bytes of the queries of a tracked expression, as JSON (TT-1).
const MAX_PAYLOAD: usize = 50 * 1024;

/// The size of a list of queries in the shortest JSON of the API, if it is more than a policy may have (TT-1).
fn payload_beyond_limit(queries: &[MetricDataQuery]) -> Option<usize> {
    let json: Vec<Value> = queries
        .iter()
        .map(|query| match &query.query {
            Query::Expression(text) => json!({ "Id": query.id, "Expression": text, "ReturnData": query.return_data }),
            Query::Metric(metric) => {
                let dimensions: Vec<Value> =
                    metric.key.dimensions.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
                let named = json!({
                    "Namespace": metric.key.namespace, "MetricName": metric.key.name, "Dimensions": dimensions,
                });
                let stat = json!({ "Metric": named, "Period": metric.period.as_secs(), "Stat": "Average" });
                json!({ "Id": query.id, "MetricStat": stat, "ReturnData": query.return_data })
            }
        })
        .collect();
    let size = Value::from(json).to_string().len();
    (size > MAX_PAYLOAD).then_some(size)
}

/// CW-3, CW-6 and CW-7.
fn statistic_of(text: &At<String>, reading: &mut Reading) -> Option<Statistic> {
    let statistic = Statistic::parse(text);
    if statistic.is_none() {
        let problem = Problem::aws(VALIDATION, "CW-3", text.place, format!("`{}` is no statistic", text.value));
        let known = ["Average", "Sum", "Minimum", "Maximum", "SampleCount", "p99", "tm90", "IQM"];
        reading.report(problem.nearest(text, known).help_if_none("others are written p99, TM(10%:90%) or PR(:300)"));
    }
    statistic
}

/// `put-metric-alarm`, within ALM-6's limits.
pub(crate) fn alarm(input: &AlarmInput, context: &Context, reading: &mut Reading) -> Option<PutMetricAlarm> {
    let watched = alarm_watches(input, reading);
    for actions in [&input.alarm_actions, &input.ok_actions, &input.insufficient_actions] {
        if let Some(excess) = actions.get(MAX_ACTIONS_PER_STATE) {
            let message = format!("an alarm has at most {MAX_ACTIONS_PER_STATE} actions per state");
            reading.report(Problem::aws("ValidationError", "ALM-6", excess.place, message));
        }
    }
    let evaluation_periods = input.evaluation_periods.get();
    let names = |actions: &[At<String>]| actions.iter().map(|action| action.value.clone()).collect();
    let unit = unit_of(input.unit.as_ref(), "ValidationError", reading);
    let warm_up = input.warm_up.as_ref().map(|warm_up| WarmUp {
        length: SimDuration::from_mins(u64::from(warm_up.minutes.get())),
        in_full: warm_up.in_full.unwrap_or(false),
    });
    let (watched, period) = watched?;
    let wall_clock_window = match &input.window {
        Some(window) => wall_clock_window(window, period, context, reading).ok()?,
        None => None,
    };
    let definition = AlarmDefinition {
        name: input.name.value.clone(),
        watched,
        period,
        evaluation_periods,
        datapoints_to_alarm: input.datapoints_to_alarm.map_or(evaluation_periods, Whole::get),
        threshold: input.threshold,
        operator: input.operator,
        missing_data: input.missing.unwrap_or_default(),
        ignore_low_samples: input.low_samples == Some(LowSampleWord::Ignore),
        unit,
        wall_clock_window,
        warm_up,
    };
    if let Err(refused) = definition.check() {
        let place = if refused.rule == "ALM-6" { input.evaluation_periods.place } else { input.name.place };
        reading.report(Problem::refused(refused, place));
        return None;
    }
    Some(PutMetricAlarm {
        definition,
        alarm_actions: names(&input.alarm_actions),
        ok_actions: names(&input.ok_actions),
        insufficient_data_actions: names(&input.insufficient_actions),
        actions_enabled: input.actions_enabled.unwrap_or(true),
    })
}

/// What is wrong has been reported.
struct Reported;

/// Nanoseconds from the weekday that Unix time began on to that on which the calendar's weeks begin.
const THURSDAY_TO_MONDAY: i128 = 4 * 86_400 * 1_000_000_000;

/// The first boundary of a wall clock window after the start of the run; `None` for a sliding one (ALM-5).
///
/// The clock is that of the zone as it is when the run starts: a change of clocks within the run does not move it.
fn wall_clock_window(
    input: &EvaluationWindowInput,
    period: SimDuration,
    context: &Context,
    reading: &mut Reading,
) -> Result<Option<SimDuration>, Reported> {
    let window = match (&input.sliding, &input.wall_clock) {
        (Some(_), None) => return Ok(None),
        (None, Some(window)) => window,
        _ => {
            let message = "Exactly one of SlidingWindow and WallClockWindow must be set.";
            reading.report(Problem::aws("ValidationError", "ALM-5", input.place, message));
            return Err(Reported);
        }
    };
    let zone = match &window.zone {
        None => jiff::tz::TimeZone::UTC,
        Some(name) => {
            let Ok(zone) = jiff::tz::TimeZone::get(name) else {
                let message = format!("Invalid time zone: {}", name.value);
                reading.report(Problem::aws("ValidationError", "ALM-5", name.place, message));
                return Err(Reported);
            };
            zone
        }
    };
    let offset = i128::from(zone.to_offset(context.start).seconds()) * 1_000_000_000;
    let local = context.start.as_nanosecond() + offset - THURSDAY_TO_MONDAY;
    let length = i128::from(period.as_nanos()).max(1);
    let first = u64::try_from((-local).rem_euclid(length)).unwrap_or(0);
    Ok(Some(SimDuration::from_nanos(first)))
}

/// The metric of an alarm, or its expression, with the period of either.
fn alarm_watches(input: &AlarmInput, reading: &mut Reading) -> Option<(Watched, SimDuration)> {
    const REFUSED: &str = "ValidationError";
    if let Some(queries) = &input.metrics {
        let single = [&input.metric, &input.namespace, &input.statistic, &input.extended_statistic];
        if let Some(at) = single.into_iter().flatten().next() {
            let message = "Metrics list cannot be used together with MetricName, Namespace, Statistic or Period.";
            reading.report(Problem::aws(REFUSED, "MATH-5", at.place, message));
            return None;
        }
        return watched(queries, input.name.place, REFUSED, reading);
    }
    let missing = |key: &'static str, reading: &mut Reading| {
        let problem = Problem::new(code::MISSING_KEY, input.place, format!("an alarm needs `{key}`, or `Metrics`"));
        reading.report(problem.label(format!("`{key}` is missing")).for_want_of(key));
    };
    let statistic = match (&input.statistic, &input.extended_statistic) {
        (Some(statistic), None) | (None, Some(statistic)) => statistic_of(statistic, reading),
        _ => {
            let message = "exactly one of Statistic and ExtendedStatistic must be given";
            let problem = Problem::aws(REFUSED, "ALM-2", input.place, message);
            reading.report(problem.for_want_of("Statistic").for_want_of("ExtendedStatistic"));
            None
        }
    };
    for (key, present) in [
        ("MetricName", input.metric.is_some()),
        ("Namespace", input.namespace.is_some()),
        ("Period", input.period.is_some()),
    ] {
        if !present {
            missing(key, reading);
        }
    }
    let (metric, namespace, period) = (input.metric.as_ref()?, input.namespace.as_ref()?, input.period?);
    let key = metric_key(namespace, metric, &input.dimensions);
    Some((Watched::Metric(key, statistic?), SimDuration::from_secs(u64::from(period.get()))))
}

/// A replayed series; of a trace, the mean of each bucket's values, times the scale.
pub(crate) fn replayed_metric(input: &MetricInput, run: SimDuration, reading: &mut Reading) -> Option<ReplayedMetric> {
    let period = SimDuration::from_secs(input.period.as_ref().map_or(60, |period| u64::from(period.get())));
    if let Some(at) = &input.period
        && !is_metric_period(period)
    {
        let message = format!("the period of a metric is 1, 5, 10, 20, 30 or whole minutes, not {} s", at.get());
        reading.report(Problem::aws(VALIDATION, "CW-2", at.place, message));
        return None;
    }
    let unit = unit_of(input.unit.as_ref(), VALIDATION, reading);
    let values = match (&input.values, &input.trace) {
        (Some(values), None) => values.clone(),
        (None, Some(trace)) => workload::bucketed(trace, period, run, reading)?,
        _ => {
            let message = "a replayed metric has `values` or a `trace`, one of them";
            reading.report(Problem::new(code::MISSING_KEY, input.place, message).label("which?"));
            return None;
        }
    };
    let key = metric_key(&input.namespace, &input.name, &input.dimensions);
    Some(ReplayedMetric { key, unit, period, values: values.into() })
}
