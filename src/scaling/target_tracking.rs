//! Target tracking of services and groups: its alarms and its arithmetic (TT-*, ASG-27…31).
//!
//! [`managed_alarms`] says what to watch; [`on_high`] and [`on_low`] answer when those alarms go off, and once a minute
//! while they stay in ALARM. They are the specification's normative pseudocode, line by line.

use std::sync::Arc;

use crate::behaviour::{Behaviour, TrackedSample};
use crate::ecs::ids::uuid;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::{AlarmDefinition, ComparisonOperator, MetricKey, MissingData, Watched};
use crate::scaling::formula::{Counted, Formula};
use crate::scaling::metric::{Datapoint, Statistic, Unit};
use crate::scaling::policy::{
    GroupView, Inputs, NotScaledReason, TargetTrackingPolicy, TrackedMetric, Verdict, decimal,
};
use crate::scaling::scalable_target::{ScaledResource, ScalingState, TargetView};

/// What is taken off before a `ceil`, so that `c * T / T` never becomes `c + 1` (TT-14).
const GUARD: f64 = 1e-9;

/// The alarms that come and go with a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedAlarms {
    /// `…-AlarmHigh-…`: scale out.
    pub high: AlarmDefinition,
    /// `…-AlarmLow-…`: scale in; none with `DisableScaleIn` (TT-6).
    pub low: Option<AlarmDefinition>,
}

/// The alarms of `policy` on `resource` (TT-2…6, ASG-28). `chance` makes their ids; `low_factor` is `tt_low_factor`.
pub fn managed_alarms(
    policy: &TargetTrackingPolicy,
    resource: &ScaledResource,
    low_factor: f64,
    chance: [u64; 4],
) -> ManagedAlarms {
    let watched = watched(&policy.metric, resource);
    let high_resolution = matches!(
        policy.metric,
        TrackedMetric::ServiceCpu { high_resolution: true } | TrackedMetric::ServiceMemory { high_resolution: true }
    );
    // The resolution follows the policy's metric type alone (TT-4); of a group's own metric, the policy says it (EC2S-8).
    let (period, low_periods) = match &policy.metric {
        _ if high_resolution => (SimDuration::from_secs(20), 30),
        TrackedMetric::Custom { period, .. } => (*period, 15),
        TrackedMetric::Math(math) => (math.period(), 15),
        _ => (SimDuration::MINUTE, 15),
    };
    let name = match resource {
        ScaledResource::Service { cluster, service } => format!("TargetTracking-service/{cluster}/{service}"),
        ScaledResource::Group { group } => format!("TargetTracking-{group}"),
    };
    let [a, b, c, d] = chance;
    let alarm = |kind: &str, id: String, operator, threshold, periods| AlarmDefinition {
        name: format!("{name}-{kind}-{id}"),
        watched: watched.clone(),
        period,
        evaluation_periods: periods,
        datapoints_to_alarm: periods,
        threshold,
        operator,
        missing_data: MissingData::Missing,
        ignore_low_samples: false,
        unit: unit(&policy.metric),
        wall_clock_window: None,
        warm_up: None,
    };
    let high = alarm("AlarmHigh", uuid(a, b), ComparisonOperator::GreaterThanThreshold, policy.target, 3);
    let threshold = decimal(policy.target * low_factor);
    let low = (!policy.disable_scale_in)
        .then(|| alarm("AlarmLow", uuid(c, d), ComparisonOperator::LessThanThreshold, threshold, low_periods));
    ManagedAlarms { high, low }
}

/// What the alarms of a policy watch (TT-5, TT-28).
pub fn watched(metric: &TrackedMetric, resource: &ScaledResource) -> Watched {
    let utilization = |name: &str| match resource {
        ScaledResource::Service { cluster, service } => MetricKey::service(cluster, service, name),
        ScaledResource::Group { group } => MetricKey::new("AWS/EC2", name, &[("AutoScalingGroupName", group)]),
    };
    match metric {
        TrackedMetric::ServiceCpu { .. } | TrackedMetric::GroupCpu => {
            Watched::Metric(utilization("CPUUtilization"), Statistic::Average)
        }
        TrackedMetric::ServiceMemory { .. } => Watched::Metric(utilization("MemoryUtilization"), Statistic::Average),
        TrackedMetric::RequestCountPerTarget { load_balancer, target_group } => {
            Watched::Metric(MetricKey::request_count_per_target(load_balancer, target_group), Statistic::Sum)
        }
        TrackedMetric::Custom { metric, statistic, .. } => Watched::Metric(metric.clone(), *statistic),
        TrackedMetric::Math(math) => Watched::Math(Arc::clone(math)),
    }
}

/// The unit that the alarms of a policy ask for (TT-5).
fn unit(metric: &TrackedMetric) -> Option<Unit> {
    match metric {
        TrackedMetric::ServiceCpu { .. } | TrackedMetric::ServiceMemory { .. } | TrackedMetric::GroupCpu => {
            Some(Unit::PERCENT)
        }
        TrackedMetric::RequestCountPerTarget { .. } => Some(Unit::NONE),
        TrackedMetric::Custom { unit, .. } => *unit,
        TrackedMetric::Math(_) => None,
    }
}

/// What a tracked metric is told from another by: neither unit nor period (TT-8).
fn identity(metric: &TrackedMetric) -> TrackedMetric {
    match metric {
        TrackedMetric::Custom { metric, statistic, .. } => TrackedMetric::Custom {
            metric: metric.clone(),
            statistic: *statistic,
            unit: None,
            period: SimDuration::MINUTE,
        },
        TrackedMetric::Math(math) => TrackedMetric::Math(Arc::new(math.without_units())),
        other => other.clone(),
    }
}

/// Refuses what AWS refuses of a target tracking policy (TT-1).
pub fn check(policy: &TargetTrackingPolicy, resource: &ScaledResource) -> Result<(), Refused> {
    let refused = |message: String| Err(Refused { code: "ValidationException", message, rule: "TT-1" });
    if !(policy.target.is_finite() && policy.target > 0.0) {
        return refused(format!("TargetValue must be a positive number, not {:?}.", policy.target));
    }
    let fits = match (&policy.metric, resource) {
        (TrackedMetric::ServiceCpu { .. } | TrackedMetric::ServiceMemory { .. }, ScaledResource::Group { .. })
        | (TrackedMetric::GroupCpu, ScaledResource::Service { .. }) => false,
        (TrackedMetric::RequestCountPerTarget { .. } | TrackedMetric::Custom { .. } | TrackedMetric::Math(_), _)
        | (TrackedMetric::ServiceCpu { .. } | TrackedMetric::ServiceMemory { .. }, ScaledResource::Service { .. })
        | (TrackedMetric::GroupCpu, ScaledResource::Group { .. }) => true,
    };
    if let TrackedMetric::Custom { period, .. } = &policy.metric
        && !matches!((period.as_secs(), resource), (60, _) | (10 | 30, ScaledResource::Group { .. }))
    {
        return Err(Refused {
            code: "ValidationException",
            message: format!("The period of a tracked metric must be 10, 30 or 60 seconds, not {}.", period.as_secs()),
            rule: "EC2S-8",
        });
    }
    if !fits {
        return refused("The predefined metric type is not valid for the resource that the policy scales.".to_owned());
    }
    Ok(())
}

/// Refuses a second target tracking policy on the metric of another one of the same resource (TT-8).
pub fn check_beside(policy: &TargetTrackingPolicy, other: &TargetTrackingPolicy) -> Result<(), Refused> {
    if identity(&policy.metric) == identity(&other.metric) {
        return Err(Refused {
            code: "ValidationException",
            message: "Only one TargetTrackingScaling policy for a given metric specification is allowed.".to_owned(),
            rule: "TT-8",
        });
    }
    Ok(())
}

/// m: the value a policy computes from, out of the datapoints its alarm used (TT-9, `tt_metric_sample`).
pub fn tracked_value(datapoints: &[Datapoint], sample: TrackedSample) -> Option<f64> {
    let newest = datapoints.last()?;
    let values = datapoints.iter().map(|point| point.value);
    Some(match sample {
        TrackedSample::Latest => newest.value,
        TrackedSample::MeanOfWindow => values.sum::<f64>() / datapoints.len() as f64,
        TrackedSample::MinOfWindow => values.fold(f64::INFINITY, f64::min),
    })
}

/// `ceil(capacity * value / target)`, guarded: scale-out rounds up and scale-in removes less (TT-10, TT-12, TT-14).
pub fn required_capacity(capacity: u32, value: f64, target: f64) -> u32 {
    // `as` saturates: a negative metric asks for nothing, an absurd one for the maximum.
    (f64::from(capacity) * value / target - GUARD).ceil() as u32
}

/// AlarmHigh went off, or is still in ALARM a minute later (TT-10, TT-16, TT-19, TT-23).
pub fn on_high(
    target: f64,
    value: Option<f64>,
    view: &TargetView,
    state: &ScalingState,
    behaviour: &Behaviour,
    now: SimTime,
) -> Verdict {
    let base = state.base(view.running, now);
    let mut inputs = numbers(view, base);
    inputs.push(("target", target));
    let Some(value) = value else {
        return Verdict::not_scaled(NotScaledReason::NoDatapoint, "TT-17", inputs);
    };
    inputs.push(("metric", value));
    if view.scale_out_suspended {
        return Verdict::not_scaled(NotScaledReason::Suspended, "AAS-10", inputs);
    }
    let (computed, rule) = if view.running == 0 {
        (behaviour.tt_zero_capacity_step, "TT-16")
    } else if state.is_scaling_out(now) {
        (required_capacity(base, value, target), "TT-19")
    } else {
        (required_capacity(base, value, target), "TT-10")
    };
    inputs.push(("computed", f64::from(computed)));
    let formula = if view.running == 0 {
        Formula::FromZero { result: u64::from(computed) }
    } else {
        proportion((base, state.counts(view.running, now)), value, target, computed)
    };
    let new = view.clamp(i64::from(computed));
    if view.desired >= view.max {
        Verdict::computed(NotScaledReason::AlreadyAtMaxCapacity, "TT-15", inputs, formula)
    } else if new <= view.desired {
        // Either enough is coming already, or only the cooldown holds back what would be asked for after it.
        let after = view.clamp(i64::from(required_capacity(view.running, value, target)));
        let until = state.scale_out_cooldown_until(now).filter(|_| after > view.desired);
        let rule = if until.is_some() { "TT-19" } else { "TT-23" };
        let reason = NotScaledReason::AlreadyAtDesiredCapacity;
        Verdict::NotScaled { reason, until, rule, inputs, formula: Some(formula) }
    } else {
        Verdict::set(new, rule, inputs, formula)
    }
}

fn proportion((capacity, counts): (u32, Counted), metric: f64, target: f64, computed: u32) -> Formula {
    Formula::Proportion { capacity, counts, metric, target, result: u64::from(computed), at_most_fewer: None }
}

/// A target tracking policy with scale-in enabled, as the others see it when one of them wants to scale in (TT-24).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// Its AlarmLow is in ALARM (TT-25).
    pub ready: bool,
    /// Its metric now.
    pub value: Option<f64>,
    /// Its target.
    pub target: f64,
}

/// AlarmLow of one policy went off, or is still in ALARM a minute later (TT-12, TT-13, TT-15, TT-24, TT-25).
///
/// `votes` are all target tracking policies of the resource whose scale-in is enabled, the invoked one included.
pub fn on_low(votes: &[Vote], view: &TargetView, state: &ScalingState, behaviour: &Behaviour, now: SimTime) -> Verdict {
    let mut inputs = numbers(view, view.running);
    if let Some(obstacle) = state.scale_in_obstacle(view, now) {
        return Verdict::blocked(obstacle, inputs);
    }
    let (computed, formula) = match agreed(votes, (view.running, Counted::Running), &mut inputs) {
        Ok(agreed) => agreed,
        Err((reason, rule)) => return Verdict::not_scaled(reason, rule, inputs),
    };
    let new = view.clamp(i64::from(computed));
    if view.desired <= view.min {
        Verdict::computed(NotScaledReason::AlreadyAtMinCapacity, "TT-15", inputs, formula)
    } else if new >= view.running {
        Verdict::computed(NotScaledReason::AutoScalingAnticipatedFlapping, "TT-15", inputs, formula)
    } else if new >= view.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "TT-15", inputs, formula)
    } else {
        match behaviour.tt_scale_in_cap.map(|cap| view.desired.saturating_sub(cap)) {
            Some(floor) if floor >= view.desired => {
                Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "TT-13", inputs, formula)
            }
            Some(floor) if floor > new => Verdict::set(floor, "TT-13", inputs, formula),
            _ => Verdict::set(new, "TT-12", inputs, formula),
        }
    }
}

/// AlarmHigh of a group's policy (ASG-27, ASG-31).
///
/// `value` is the metric of the warmed instances; warming ones count as already added, so only a larger need passes.
pub fn on_high_group(target: f64, value: Option<f64>, view: &GroupView) -> Verdict {
    // From zero the policy counts one instance, as managed scaling does (CAS-25).
    let base = view.base().max(1);
    let mut inputs = group_numbers(view, base);
    inputs.push(("target", target));
    let Some(value) = value else {
        return Verdict::not_scaled(NotScaledReason::NoDatapoint, "TT-17", inputs);
    };
    let computed = required_capacity(base, value, target);
    inputs.extend([("metric", value), ("computed", f64::from(computed))]);
    let formula = proportion((base, Counted::Warm), value, target, computed);
    let new = view.clamp(i64::from(computed));
    if view.desired >= view.max {
        Verdict::computed(NotScaledReason::AlreadyAtMaxCapacity, "ASG-1", inputs, formula)
    } else if new <= view.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "ASG-31", inputs, formula)
    } else {
        Verdict::set(new, "ASG-27", inputs, formula)
    }
}

/// AlarmLow of a group's policy (ASG-24, ASG-27); `votes` as for [`on_low`].
pub fn on_low_group(votes: &[Vote], view: &GroupView) -> Verdict {
    let mut inputs = group_numbers(view, view.desired);
    if let Some(obstacle) = view.scale_in_obstacle() {
        return Verdict::blocked(obstacle, inputs);
    }
    let (computed, formula) = match agreed(votes, (view.desired, Counted::Desired), &mut inputs) {
        Ok(agreed) => agreed,
        Err((reason, rule)) => return Verdict::not_scaled(reason, rule, inputs),
    };
    let new = view.clamp(i64::from(computed));
    if view.desired <= view.min {
        Verdict::computed(NotScaledReason::AlreadyAtMinCapacity, "ASG-1", inputs, formula)
    } else if new >= view.desired {
        Verdict::computed(NotScaledReason::AutoScalingAnticipatedFlapping, "TT-15", inputs, formula)
    } else {
        Verdict::set(new, "ASG-27", inputs, formula)
    }
}

/// The largest result of all voters, if every one of them is ready (TT-24, TT-25); whose it is goes into `inputs`.
fn agreed(
    votes: &[Vote],
    (capacity, counts): (u32, Counted),
    inputs: &mut Inputs,
) -> Result<(u32, Formula), (NotScaledReason, &'static str)> {
    let mut largest: Option<(u32, f64, f64)> = None;
    for vote in votes {
        if !vote.ready {
            return Err((NotScaledReason::Vetoed, "TT-25"));
        }
        let value = vote.value.ok_or((NotScaledReason::NoDatapoint, "TT-17"))?;
        let computed = required_capacity(capacity, value, vote.target);
        if largest.is_none_or(|(most, ..)| computed > most) {
            largest = Some((computed, vote.target, value));
        }
    }
    let (computed, target, value) = largest.ok_or((NotScaledReason::NoDatapoint, "TT-17"))?;
    inputs.extend([("target", target), ("computed", f64::from(computed)), ("metric", value)]);
    Ok((computed, proportion((capacity, counts), value, target, computed)))
}

fn numbers(view: &TargetView, base: u32) -> Inputs {
    vec![
        ("capacity", f64::from(base)),
        ("running", f64::from(view.running)),
        ("desired", f64::from(view.desired)),
        ("min", f64::from(view.min)),
        ("max", f64::from(view.max)),
    ]
}

fn group_numbers(view: &GroupView, base: u32) -> Inputs {
    vec![
        ("capacity", f64::from(base)),
        ("desired", f64::from(view.desired)),
        ("warming", f64::from(view.left_out())),
        ("min", f64::from(view.min)),
        ("max", f64::from(view.max)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::policy::winner;
    use crate::scaling::scalable_target::Direction;
    use NotScaledReason as Reason;
    use rstest::rstest;

    const NOW: SimTime = SimTime::from_secs(10_000);
    const COOLDOWN: SimDuration = SimDuration::from_secs(300);

    fn service() -> ScaledResource {
        ScaledResource::Service { cluster: "prod".into(), service: "web".into() }
    }

    fn policy(target: f64, metric: TrackedMetric) -> TargetTrackingPolicy {
        TargetTrackingPolicy {
            target,
            metric,
            scale_out_cooldown: COOLDOWN,
            scale_in_cooldown: COOLDOWN,
            disable_scale_in: false,
            estimated_instance_warmup: None,
        }
    }

    fn cpu(target: f64) -> TargetTrackingPolicy {
        policy(target, TrackedMetric::ServiceCpu { high_resolution: false })
    }

    fn alarms(policy: &TargetTrackingPolicy) -> ManagedAlarms {
        managed_alarms(policy, &service(), 0.9, [1, 2, 3, 4])
    }

    /// `running` tasks, all of them desired, bounds 1..=100.
    fn steady(running: u32) -> TargetView {
        TargetView { running, desired: running, min: 1, max: 100, ..TargetView::default() }
    }

    fn high(target: f64, value: f64, view: &TargetView) -> Verdict {
        on_high(target, Some(value), view, &ScalingState::default(), &Behaviour::default(), NOW)
    }

    fn ready(value: f64, target: f64) -> Vote {
        Vote { ready: true, value: Some(value), target }
    }

    fn low(target: f64, value: f64, view: &TargetView) -> Verdict {
        on_low(&[ready(value, target)], view, &ScalingState::default(), &Behaviour::default(), NOW)
    }

    fn reason(verdict: &Verdict) -> Option<Reason> {
        match verdict {
            Verdict::SetDesired { .. } => None,
            Verdict::NotScaled { reason, .. } => Some(*reason),
        }
    }

    #[test]
    fn ex_tt_1() {
        assert_eq!(high(80.0, 90.0, &steady(40)).to(), Some(45));
    }

    #[test]
    fn ex_tt_2() {
        // Ten units at 115 % of the target need 1.5 more; at 85 % they have 1.5 too many.
        assert_eq!(high(100.0, 115.0, &steady(10)).to(), Some(12));
        assert_eq!(low(100.0, 85.0, &steady(10)).to(), Some(9));
    }

    #[test]
    fn ex_tt_3() {
        assert_eq!(low(100.0, 87.5, &steady(4)).to(), None, "a surplus of half a unit");
    }

    #[test]
    fn ex_tt_4() {
        assert_eq!(high(50.0, 75.0, &steady(4)).to(), Some(6));
    }

    #[test]
    fn ex_tt_5() {
        assert_eq!(high(50.0, 51.0, &steady(7)).to(), Some(8));
    }

    #[test]
    fn ex_tt_6() {
        assert_eq!(low(50.0, 44.0, &steady(10)).to(), Some(9));
    }

    #[test]
    fn ex_tt_7() {
        let verdict = low(50.0, 40.0, &steady(2));
        assert_eq!(reason(&verdict), Some(Reason::AutoScalingAnticipatedFlapping));
        assert_eq!(Reason::AutoScalingAnticipatedFlapping.code(), Some("AutoScalingAnticipatedFlapping"));
    }

    #[test]
    fn ex_tt_8() {
        assert_eq!(low(50.0, 20.0, &steady(6)).to(), Some(3));
    }

    #[rstest]
    #[case(None, 10)]
    #[case(Some(1), 19)]
    fn ex_tt_9(#[case] tt_scale_in_cap: Option<u32>, #[case] expect: u32) {
        let behaviour = Behaviour { tt_scale_in_cap, ..Behaviour::default() };
        let verdict = on_low(&[ready(30.0, 60.0)], &steady(20), &ScalingState::default(), &behaviour, NOW);
        assert_eq!(verdict.to(), Some(expect));
    }

    #[test]
    fn ex_tt_10() {
        let ManagedAlarms { high, low } = alarms(&cpu(70.0));
        let low = low.expect("scale-in is enabled");
        assert_eq!((high.threshold, high.evaluation_periods, high.datapoints_to_alarm), (70.0, 3, 3));
        assert_eq!((low.threshold, low.evaluation_periods, low.datapoints_to_alarm), (63.0, 15, 15));
        assert_eq!(high.operator, ComparisonOperator::GreaterThanThreshold);
        assert_eq!(low.operator, ComparisonOperator::LessThanThreshold);
        for alarm in [&high, &low] {
            assert_eq!(alarm.period, SimDuration::MINUTE);
            assert_eq!(alarm.missing_data, MissingData::Missing);
            let cpu = MetricKey::service("prod", "web", "CPUUtilization");
            assert_eq!(alarm.watched, Watched::Metric(cpu, Statistic::Average));
            assert!(alarm.check().is_ok());
        }
    }

    #[test]
    fn ex_tt_11() {
        let fast = policy(50.0, TrackedMetric::ServiceCpu { high_resolution: true });
        let ManagedAlarms { high, low } = alarms(&fast);
        let low = low.expect("scale-in is enabled");
        let twenty = SimDuration::from_secs(20);
        assert_eq!((high.threshold, high.period, high.evaluation_periods), (50.0, twenty, 3));
        assert_eq!((low.threshold, low.period, low.evaluation_periods), (45.0, twenty, 30));
    }

    /// Four tasks run, a chain from 4 to 6 has started.
    fn chain_of_ex_tt_12() -> ScalingState {
        let mut state = ScalingState::default();
        state.begin(Direction::Out, 4, COOLDOWN, SimTime::ZERO);
        state
    }

    #[test]
    fn ex_tt_12() {
        let view = TargetView { running: 4, desired: 6, ..steady(4) };
        let at = SimTime::from_secs(60);
        let verdict = on_high(50.0, Some(90.0), &view, &chain_of_ex_tt_12(), &Behaviour::default(), at);
        assert_eq!((verdict.to(), verdict.rule()), (Some(8), "TT-19"));
    }

    #[test]
    fn ex_tt_13() {
        let mut state = chain_of_ex_tt_12();
        state.complete(SimTime::from_secs(40));
        let at = |secs| on_high(50.0, Some(75.0), &steady(6), &state, &Behaviour::default(), SimTime::from_secs(secs));
        assert_eq!(reason(&at(60)), Some(Reason::AlreadyAtDesiredCapacity));
        assert_eq!(reason(&at(339)), Some(Reason::AlreadyAtDesiredCapacity));
        assert_eq!(at(340).to(), Some(9), "the cooldown is over: 6 tasks at 75 %");
    }

    /// Scale-in from 10 to 8 completed at zero.
    fn cooldown_of_ex_tt_14() -> ScalingState {
        let mut state = ScalingState::default();
        state.begin(Direction::In, 10, COOLDOWN, SimTime::ZERO);
        state.complete(SimTime::ZERO);
        state
    }

    #[test]
    fn ex_tt_14() {
        let state = cooldown_of_ex_tt_14();
        let acts = |secs: &u64| {
            let at = SimTime::from_secs(*secs);
            on_low(&[ready(20.0, 50.0)], &steady(8), &state, &Behaviour::default(), at).to().is_some()
        };
        let first = [60, 120, 180, 240, 300, 360].into_iter().find(acts);
        assert_eq!(first, Some(300));
        let early = on_low(&[ready(20.0, 50.0)], &steady(8), &state, &Behaviour::default(), SimTime::from_secs(60));
        let Verdict::NotScaled { reason, until, .. } = early else { panic!("{early:?}") };
        assert_eq!((reason, until), (Reason::Cooldown, Some(SimTime::from_secs(300))));
    }

    #[test]
    fn ex_tt_15() {
        let mut state = cooldown_of_ex_tt_14();
        let now = SimTime::from_secs(100);
        let verdict = on_high(50.0, Some(60.0), &steady(8), &state, &Behaviour::default(), now);
        assert_eq!(verdict.to(), Some(10));
        state.begin(Direction::Out, 8, SimDuration::ZERO, now);
        state.complete(now);
        assert_eq!(state.scale_in_obstacle(&steady(10), SimTime::from_secs(101)), None, "cancelled");
    }

    #[test]
    fn ex_tt_16() {
        let verdicts = [high(50.0, 60.0, &steady(10)), high(1000.0, 1500.0, &steady(10))];
        assert_eq!(verdicts.each_ref().map(Verdict::to), [Some(12), Some(15)]);
        assert_eq!(winner(&verdicts), Some(1));
    }

    #[test]
    fn ex_tt_17() {
        let votes = [ready(30.0, 50.0), Vote { ready: false, value: Some(57.0), target: 60.0 }];
        let verdict = on_low(&votes, &steady(10), &ScalingState::default(), &Behaviour::default(), NOW);
        assert_eq!(reason(&verdict), Some(Reason::Vetoed));
    }

    #[test]
    fn ex_tt_18() {
        let view = TargetView { running: 20, desired: 10, max: 40, ..steady(0) };
        assert_eq!(high(50.0, 60.0, &view).to(), Some(24));
    }

    #[test]
    fn ex_tt_19() {
        let view = TargetView { running: 8, desired: 12, ..steady(0) };
        assert_eq!(reason(&high(50.0, 70.0, &view)), Some(Reason::AlreadyAtDesiredCapacity));
    }

    #[test]
    fn ex_tt_20() {
        let mut state = ScalingState::default();
        let mut view = TargetView { running: 0, desired: 0, min: 0, max: 20, ..TargetView::default() };
        let first = on_high(100.0, Some(500.0), &view, &state, &Behaviour::default(), SimTime::ZERO);
        assert_eq!((first.to(), first.rule()), (Some(1), "TT-16"));
        state.begin(Direction::Out, 0, COOLDOWN, SimTime::ZERO);
        view.desired = 1;
        let waiting = on_high(100.0, Some(500.0), &view, &state, &Behaviour::default(), SimTime::from_secs(60));
        assert_eq!(reason(&waiting), Some(Reason::AlreadyAtDesiredCapacity), "the first task is starting");
        state.complete(SimTime::from_secs(100));
        view.running = 1;
        let second = on_high(100.0, Some(500.0), &view, &state, &Behaviour::default(), SimTime::from_secs(120));
        assert_eq!(second.to(), Some(5));
    }

    #[test]
    fn ex_tt_21() {
        use crate::scaling::alarm::{Alarm, AlarmState};
        use crate::scaling::metric::{MetricStore, StatisticSet};
        let mut store = MetricStore::new();
        let behaviour = Behaviour { alarm_eval_aligned: true, ..Behaviour::default() };
        let low = alarms(&cpu(50.0)).low.expect("scale-in is enabled");
        let mut alarm = Alarm::new(low, &mut store, &behaviour, SimTime::ZERO);
        let mut seen = Vec::new();
        for minute in 0..15 {
            store.push(alarm.series[0], SimTime::from_secs(60 * minute), &StatisticSet::of(5.0)).unwrap();
            let evaluation = alarm.evaluate(&store, SimTime::from_secs(60 * (minute + 1)));
            alarm.apply(&evaluation);
            seen.push(alarm.state);
        }
        assert!(seen[..14].iter().all(|state| *state == AlarmState::InsufficientData), "{seen:?}");
        assert_eq!(seen[14], AlarmState::Alarm);
    }

    #[test]
    fn ex_tt_22() {
        // The alarms follow the metric type of the policy; nothing of the service enters their making (TT-4).
        let standard = alarms(&cpu(50.0));
        let fast = alarms(&policy(50.0, TrackedMetric::ServiceCpu { high_resolution: true }));
        let shape = |alarms: &ManagedAlarms| {
            let low = alarms.low.as_ref().expect("scale-in is enabled");
            (alarms.high.period.as_secs(), alarms.high.evaluation_periods, low.evaluation_periods)
        };
        assert_eq!((shape(&standard), shape(&fast)), ((60, 3, 15), (20, 3, 30)));
        assert_eq!(standard.high.watched, fast.high.watched);
    }

    #[test]
    fn ex_tt_23() {
        use crate::scaling::alarm::{Alarm, AlarmState, Occasion};
        use crate::scaling::metric::{MetricStore, StatisticSet};
        let mut store = MetricStore::new();
        let behaviour = Behaviour { alarm_eval_aligned: true, ..Behaviour::default() };
        let first = alarms(&cpu(50.0));
        let series = store.intern(&MetricKey::service("prod", "web", "CPUUtilization"));
        for minute in 0..20 {
            store.push(series, SimTime::from_secs(60 * minute), &StatisticSet::of(5.0)).unwrap();
        }
        let again = managed_alarms(&cpu(50.0), &service(), 0.9, [5, 6, 7, 8]);
        let (old, new) = (first.low.expect("scale-in is enabled"), again.low.expect("scale-in is enabled"));
        assert_ne!(old.name, new.name, "replaced");
        let now = SimTime::from_secs(1200);
        let mut alarm = Alarm::new(new, &mut store, &behaviour, now);
        assert_eq!(alarm.state, AlarmState::InsufficientData);
        let evaluation = alarm.evaluate(&store, alarm.next_evaluation(now));
        assert_eq!(alarm.apply(&evaluation), Occasion::Transition { from: AlarmState::InsufficientData });
        assert_eq!(alarm.state, AlarmState::Alarm);
    }

    #[test]
    fn ex_tt_24() {
        let only_out = TargetTrackingPolicy { disable_scale_in: true, ..cpu(60.0) };
        assert_eq!(alarms(&only_out).low, None);
        // Without a voter there is nobody to scale in for.
        let verdict = on_low(&[], &steady(10), &ScalingState::default(), &Behaviour::default(), NOW);
        assert_eq!(verdict.to(), None);
    }

    #[test]
    fn ex_tt_25() {
        let view = TargetView { max: 50, ..steady(9) };
        assert_eq!(high(90.0, 100.0, &view).to(), Some(10));
    }

    #[test]
    fn ex_tt_26() {
        let view = TargetView { min: 4, ..steady(2) };
        assert_eq!(reason(&low(50.0, 10.0, &view)), Some(Reason::AlreadyAtMinCapacity));
    }

    #[test]
    fn ex_tt_27() {
        use crate::scaling::scalable_target::into_bounds;
        // A change of bounds asks no cooldown: it is not even told of one (TT-22).
        assert_eq!(into_bounds(8, 12, 20), Some(12));
    }

    #[test]
    fn ex_aas_1() {
        let view = TargetView { min: 0, max: 3, ..steady(2) };
        assert_eq!(high(40.0, 100.0, &view).to(), Some(3), "asks for 5");
    }

    #[test]
    fn ex_aas_2() {
        let view = TargetView { min: 4, max: 10, ..steady(2) };
        assert_eq!(high(50.0, 60.0, &view).to(), Some(4));
    }

    #[test]
    fn ex_aas_3() {
        let view = TargetView { max: 10, ..steady(14) };
        assert_eq!(reason(&high(50.0, 90.0, &view)), Some(Reason::AlreadyAtMaxCapacity));
    }

    #[test]
    fn aas_7_scale_in_from_above_the_maximum_drops_to_it_first() {
        let view = TargetView { max: 10, ..steady(14) };
        assert_eq!(low(50.0, 44.0, &view).to(), Some(10), "computed 13");
        assert_eq!(low(50.0, 20.0, &view).to(), Some(6));
    }

    #[test]
    fn aas_8_a_deployment_stops_scale_in_only() {
        let view = TargetView { deployment_in_progress: true, ..steady(10) };
        assert_eq!(reason(&low(50.0, 10.0, &view)), Some(Reason::DeploymentInProgress));
        assert_eq!(high(50.0, 60.0, &view).to(), Some(12));
    }

    #[test]
    fn aas_10_each_direction_can_be_suspended() {
        let out = TargetView { scale_out_suspended: true, ..steady(10) };
        assert_eq!(reason(&high(50.0, 60.0, &out)), Some(Reason::Suspended));
        assert_eq!(low(50.0, 10.0, &out).to(), Some(2));
        let inward = TargetView { scale_in_suspended: true, ..steady(10) };
        assert_eq!(reason(&low(50.0, 10.0, &inward)), Some(Reason::Suspended));
    }

    #[rstest]
    #[case(10, 50.0, 50.0, 10)]
    #[case(10, 70.1, 70.1, 10)]
    #[case(3, 0.3, 0.1, 9)]
    #[case(49, 0.07, 0.7, 5)]
    #[case(10, 0.0, 50.0, 0)]
    #[case(10, -5.0, 50.0, 0)]
    #[case(10, 1e300, 1.0, u32::MAX)]
    fn tt_14_rounding_never_adds_a_task(
        #[case] capacity: u32,
        #[case] value: f64,
        #[case] target: f64,
        #[case] expect: u32,
    ) {
        assert_eq!(required_capacity(capacity, value, target), expect);
    }

    #[test]
    fn tt_3_the_low_threshold_is_nine_tenths() {
        for (target, low) in [(70.0, 63.0), (50.0, 45.0), (41.0, 36.9), (1000.0, 900.0), (0.7, 0.63)] {
            assert_eq!(alarms(&cpu(target)).low.expect("scale-in is enabled").threshold, low);
        }
    }

    #[test]
    fn tt_5_alarm_names_and_series() {
        let high = alarms(&cpu(50.0)).high;
        assert_eq!(high.name, "TargetTracking-service/prod/web-AlarmHigh-00000000-0000-4001-8000-000000000002");
        let requests = policy(
            1000.0,
            TrackedMetric::RequestCountPerTarget {
                load_balancer: "app/lb/1".into(),
                target_group: "targetgroup/tg/2".into(),
            },
        );
        let high = alarms(&requests).high;
        let key = MetricKey::request_count_per_target("app/lb/1", "targetgroup/tg/2");
        assert_eq!((key.namespace.as_str(), key.dimensions[0].1.as_str()), ("AWS/ApplicationELB", "app/lb/1"));
        assert_eq!(high.watched, Watched::Metric(key, Statistic::Sum));
    }

    #[test]
    fn asg_28_groups_have_the_generic_alarms() {
        let group = ScaledResource::Group { group: "workers".into() };
        let policy = policy(60.0, TrackedMetric::GroupCpu);
        let ManagedAlarms { high, low } = managed_alarms(&policy, &group, 0.9, [0; 4]);
        let low = low.expect("scale-in is enabled");
        assert_eq!((high.evaluation_periods, low.evaluation_periods, low.threshold), (3, 15, 54.0));
        assert!(high.name.starts_with("TargetTracking-workers-AlarmHigh-"));
        assert_eq!(high.watched, Watched::Metric(MetricKey::group_cpu("workers"), Statistic::Average));
    }

    #[test]
    fn ec2s_8_a_group_may_track_its_own_metric_every_ten_seconds() {
        let custom = |secs| {
            let metric = MetricKey::new("Test", "load", &[]);
            let period = SimDuration::from_secs(secs);
            policy(
                60.0,
                TrackedMetric::Custom { metric, statistic: Statistic::Average, unit: Some(Unit::COUNT), period },
            )
        };
        let group = ScaledResource::Group { group: "workers".into() };
        let ManagedAlarms { high, low } = managed_alarms(&custom(10), &group, 0.9, [0; 4]);
        let low = low.expect("scale-in is enabled");
        assert_eq!((high.period.as_secs(), high.evaluation_periods, low.period.as_secs()), (10, 3, 10));
        assert_eq!(high.unit, Some(Unit::COUNT));
        assert!([10, 30, 60].into_iter().all(|secs| check(&custom(secs), &group).is_ok()));
        assert_eq!(check(&custom(20), &group).unwrap_err().rule, "EC2S-8");
        assert!(check(&custom(60), &service()).is_ok() && check(&custom(10), &service()).is_err(), "not of a service");
        assert!(check_beside(&custom(10), &custom(60)).is_err(), "one metric, whatever its period");
    }

    #[test]
    fn tt_28_an_expression_has_the_alarms_of_any_other_metric() {
        use crate::scaling::metric_math::{MathMetric, MetricDataQuery, MetricMath, Query};
        let metric = |id: &str| MetricDataQuery {
            id: id.to_owned(),
            query: Query::Metric(MathMetric {
                key: MetricKey::new("Test", id, &[]),
                statistic: Statistic::Average,
                period: SimDuration::MINUTE,
                unit: None,
            }),
            return_data: false,
        };
        let ratio =
            MetricDataQuery { id: "e1".to_owned(), query: Query::Expression("m1 / m2".to_owned()), return_data: true };
        let math = Arc::new(MetricMath::new(&[metric("m1"), metric("m2"), ratio]).unwrap());
        let tracking = policy(120.0, TrackedMetric::Math(Arc::clone(&math)));
        let ManagedAlarms { high, low } = alarms(&tracking);
        let low = low.expect("scale-in is enabled");
        assert_eq!((high.period, high.evaluation_periods, high.threshold), (SimDuration::MINUTE, 3, 120.0));
        assert_eq!((low.period, low.evaluation_periods, low.threshold), (SimDuration::MINUTE, 15, 108.0));
        assert_eq!(high.watched, Watched::Math(math));
        assert!(check(&tracking, &service()).is_ok() && check_beside(&tracking, &tracking).is_err());
    }

    #[test]
    fn tt_8_policies_must_track_different_metrics() {
        let fast = policy(50.0, TrackedMetric::ServiceCpu { high_resolution: true });
        assert!(check_beside(&cpu(50.0), &cpu(70.0)).is_err());
        assert!(check_beside(&cpu(50.0), &fast).is_ok());
    }

    #[test]
    fn tt_1_a_metric_must_suit_the_resource() {
        let group = ScaledResource::Group { group: "g".into() };
        assert!(check(&cpu(50.0), &service()).is_ok());
        assert!(check(&cpu(50.0), &group).is_err());
        assert!(check(&policy(50.0, TrackedMetric::GroupCpu), &group).is_ok());
        assert!(check(&policy(50.0, TrackedMetric::GroupCpu), &service()).is_err());
        for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check(&cpu(target), &service()).is_err(), "{target}");
        }
    }

    #[test]
    fn tt_9_which_datapoint_counts() {
        let point = |value| Datapoint { start: SimTime::ZERO, value, samples: 1 };
        let window = [point(30.0), point(90.0), point(60.0)];
        let samples = [TrackedSample::Latest, TrackedSample::MeanOfWindow, TrackedSample::MinOfWindow];
        assert_eq!(samples.map(|sample| tracked_value(&window, sample)), [Some(60.0), Some(60.0), Some(30.0)]);
        assert_eq!(tracked_value(&[], TrackedSample::Latest), None);
    }

    #[test]
    fn tt_17_no_data_no_scaling() {
        let verdict = on_high(50.0, None, &steady(4), &ScalingState::default(), &Behaviour::default(), NOW);
        assert_eq!(reason(&verdict), Some(Reason::NoDatapoint));
    }

    #[test]
    fn tt_24_the_most_cautious_scale_in_wins() {
        let votes = [ready(10.0, 50.0), ready(40.0, 50.0)];
        let verdict = on_low(&votes, &steady(10), &ScalingState::default(), &Behaviour::default(), NOW);
        assert_eq!(verdict.to(), Some(8));
        assert!(verdict.inputs().contains(&("metric", 40.0)));
    }

    fn group(desired: u32, warming: u32) -> GroupView {
        GroupView { desired, min: 0, max: 50, warming, unseen: 0, warm_at: None }
    }

    #[test]
    fn ex_asg_10() {
        assert_eq!(on_high_group(100.0, Some(115.0), &group(10, 0)).to(), Some(12), "1.5 more are needed");
        assert_eq!(on_low_group(&[ready(85.0, 100.0)], &group(10, 0)).to(), Some(9), "1.5 are too many");
    }

    #[test]
    fn asg_31_warming_instances_count_as_added() {
        assert_eq!(on_high_group(50.0, Some(60.0), &group(15, 5)).to(), None, "12 are needed, 15 are coming");
        assert_eq!(on_high_group(50.0, Some(90.0), &group(15, 5)).to(), Some(18));
    }

    #[test]
    fn asg_24_a_warming_group_does_not_scale_in() {
        let verdict = on_low_group(&[ready(10.0, 50.0)], &group(10, 1));
        assert_eq!(reason(&verdict), Some(Reason::WarmingUp));
    }
}
