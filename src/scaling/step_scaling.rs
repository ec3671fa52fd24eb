//! Step scaling of services and groups, simple scaling of groups, and the arithmetic they share (STEP-*, ASG-21…26).

use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::AlarmDefinition;
use crate::scaling::formula::{Adjustment, Counted, Formula};
use crate::scaling::metric::Datapoint;
use crate::scaling::policy::{
    AdjustmentType, Aggregation, GroupView, Inputs, NotScaledReason, SimpleScalingPolicy, StepAdjustment,
    StepScalingPolicy, Verdict, clamp, decimal,
};
use crate::scaling::scalable_target::{ScalingState, TargetView};

/// Most steps of a policy (STEP-4).
pub const MAX_STEPS: usize = 20;

/// What a step policy asks of `view` when its alarm goes off, and once a minute while that stays in ALARM (STEP-11).
///
/// `datapoints` are those the alarm used, exactly (ALM-23).
pub fn on_alarm(
    policy: &StepScalingPolicy,
    alarm: &AlarmDefinition,
    datapoints: &[Datapoint],
    view: &TargetView,
    state: &ScalingState,
    now: SimTime,
) -> Verdict {
    let mut inputs: Inputs = vec![
        ("running", f64::from(view.running)),
        ("desired", f64::from(view.desired)),
        ("min", f64::from(view.min)),
        ("max", f64::from(view.max)),
    ];
    let step = match chosen_step(policy, alarm, datapoints, &mut inputs) {
        Ok(step) => step,
        Err((reason, rule)) => return Verdict::not_scaled(reason, rule, inputs),
    };
    let adjust = |base| adjusted(base, policy.adjustment_type, step.adjustment, policy.min_adjustment_magnitude);
    // Within a cooldown the step applies to what was there before the first one (STEP-9).
    let base = state.base(view.running, now);
    let formula = |capacity, counts, result| formula_of(policy, (alarm, step), datapoints, (capacity, counts, result));
    match way_of(policy.adjustment_type, step.adjustment, view.desired) {
        Way::Out => {
            let computed = adjust(base);
            inputs.extend([("capacity", f64::from(base)), ("computed", computed as f64)]);
            let formula = formula(base, state.counts(view.running, now), computed);
            let new = view.clamp(computed);
            if view.scale_out_suspended {
                Verdict::computed(NotScaledReason::Suspended, "AAS-10", inputs, formula)
            } else if view.desired >= view.max {
                Verdict::computed(NotScaledReason::AlreadyAtMaxCapacity, "AAS-15", inputs, formula)
            } else if new <= view.desired {
                let until =
                    state.scale_out_cooldown_until(now).filter(|_| view.clamp(adjust(view.running)) > view.desired);
                let reason = NotScaledReason::AlreadyAtDesiredCapacity;
                Verdict::NotScaled { reason, until, rule: "STEP-9", inputs, formula: Some(formula) }
            } else {
                Verdict::set(new, if state.is_scaling_out(now) { "STEP-9" } else { "STEP-6" }, inputs, formula)
            }
        }
        Way::In => {
            let computed = adjust(view.running);
            inputs.extend([("capacity", f64::from(view.running)), ("computed", computed as f64)]);
            let formula = formula(view.running, Counted::Running, computed);
            let new = view.clamp(computed);
            if let Some((reason, until, rule)) = state.scale_in_obstacle(view, now) {
                let rule = if rule == "TT-20" { "STEP-10" } else { rule };
                Verdict::NotScaled { reason, until, rule, inputs, formula: Some(formula) }
            } else if view.desired <= view.min {
                Verdict::computed(NotScaledReason::AlreadyAtMinCapacity, "AAS-15", inputs, formula)
            } else if new >= view.desired {
                Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "STEP-6", inputs, formula)
            } else {
                Verdict::set(new, "STEP-6", inputs, formula)
            }
        }
        Way::Stay => {
            let formula = formula(view.running, Counted::Running, i64::from(view.running));
            Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "STEP-6", inputs, formula)
        }
    }
}

/// The arithmetic of a step, from the `capacity` it starts from to its result.
fn formula_of(
    policy: &StepScalingPolicy,
    (alarm, step): (&AlarmDefinition, &StepAdjustment),
    datapoints: &[Datapoint],
    (capacity, counts, result): (u32, Counted, i64),
) -> Formula {
    Formula::Step {
        metric: aggregate(datapoints, policy.aggregation).unwrap_or(alarm.threshold),
        threshold: alarm.threshold,
        bounds: (step.lower, step.upper),
        adjustment: Adjustment { kind: policy.adjustment_type, amount: step.adjustment, capacity, counts, result },
    }
}

/// What a step policy asks of a group (ASG-24, EC2S-1, EC2S-2).
///
/// There is no cooldown: warming instances count as already added, so the same step adds nothing and a higher one adds
/// the difference.
pub fn on_alarm_group(
    policy: &StepScalingPolicy,
    alarm: &AlarmDefinition,
    datapoints: &[Datapoint],
    view: &GroupView,
) -> Verdict {
    let mut inputs = group_numbers(view);
    let step = match chosen_step(policy, alarm, datapoints, &mut inputs) {
        Ok(step) => step,
        Err((reason, rule)) => return Verdict::not_scaled(reason, rule, inputs),
    };
    let adjust = |base| adjusted(base, policy.adjustment_type, step.adjustment, policy.min_adjustment_magnitude);
    let formula = |capacity, counts, result| formula_of(policy, (alarm, step), datapoints, (capacity, counts, result));
    match way_of(policy.adjustment_type, step.adjustment, view.desired) {
        Way::Out => {
            let computed = adjust(view.base());
            inputs.extend([("capacity", f64::from(view.base())), ("computed", computed as f64)]);
            out_of_group(view, computed, "ASG-24", inputs, formula(view.base(), Counted::Warm, computed))
        }
        Way::In => {
            let computed = adjust(view.desired);
            inputs.extend([("capacity", f64::from(view.desired)), ("computed", computed as f64)]);
            match view.scale_in_obstacle() {
                Some(obstacle) => Verdict::blocked(obstacle, inputs),
                None => into_group(view, computed, "ASG-21", inputs, formula(view.desired, Counted::Desired, computed)),
            }
        }
        Way::Stay => {
            let formula = formula(view.desired, Counted::Desired, i64::from(view.desired));
            Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "ASG-21", inputs, formula)
        }
    }
}

/// What simple scaling remembers of a group: one activity at a time, then a cooldown (ASG-25).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimpleScalingState {
    activity: Option<SimDuration>,
    cooldown: Option<SimTime>,
}

impl SimpleScalingState {
    /// A simple policy scales; `cooldown` is its own, else the group's default.
    pub fn begin(&mut self, cooldown: SimDuration) {
        self.activity = Some(cooldown);
    }

    /// The last instance has launched or terminated: the cooldown starts. Nothing happens without an activity.
    pub fn complete(&mut self, now: SimTime) {
        if let Some(cooldown) = self.activity.take() {
            self.cooldown = Some(now.saturating_add(cooldown));
        }
    }

    /// True while an activity of a simple policy waits for its instances.
    pub const fn in_progress(&self) -> bool {
        self.activity.is_some()
    }

    /// The end of the cooldown, if one runs; `set-desired-capacity` with `HonorCooldown` asks for it too (ASG-26).
    pub fn cooldown_until(&self, now: SimTime) -> Option<SimTime> {
        self.cooldown.filter(|until| now < *until)
    }
}

/// What a simple policy asks of a group (ASG-25, EC2S-4).
pub fn on_alarm_simple(
    policy: &SimpleScalingPolicy,
    view: &GroupView,
    state: &SimpleScalingState,
    now: SimTime,
) -> Verdict {
    let mut inputs = group_numbers(view);
    inputs.push(("adjustment", policy.adjustment as f64));
    if state.in_progress() {
        return Verdict::not_scaled(NotScaledReason::ActivityInProgress, "ASG-25", inputs);
    }
    if let Some(until) = state.cooldown_until(now) {
        return Verdict::blocked((NotScaledReason::Cooldown, Some(until), "ASG-25"), inputs);
    }
    let computed = adjusted(view.desired, policy.adjustment_type, policy.adjustment, policy.min_adjustment_magnitude);
    inputs.push(("computed", computed as f64));
    let formula = Formula::Simple(Adjustment {
        kind: policy.adjustment_type,
        amount: policy.adjustment,
        capacity: view.desired,
        counts: Counted::Desired,
        result: computed,
    });
    match way_of(policy.adjustment_type, policy.adjustment, view.desired) {
        Way::Out => out_of_group(view, computed, "ASG-25", inputs, formula),
        Way::In => into_group(view, computed, "ASG-25", inputs, formula),
        Way::Stay => Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "ASG-25", inputs, formula),
    }
}

/// `capacity` after an adjustment, before any bounds (STEP-6…8, ASG-21, ASG-22).
pub fn adjusted(capacity: u32, kind: AdjustmentType, adjustment: i64, min_magnitude: Option<u32>) -> i64 {
    let capacity = i64::from(capacity);
    match kind {
        AdjustmentType::ChangeInCapacity => capacity.saturating_add(adjustment),
        AdjustmentType::ExactCapacity => adjustment.max(0),
        AdjustmentType::PercentChangeInCapacity => {
            let delta = round_percent(i128::from(capacity) * i128::from(adjustment));
            let least = i64::from(min_magnitude.unwrap_or(0));
            let delta = if delta != 0 && delta.abs() < least { least * delta.signum() } else { delta };
            capacity.saturating_add(delta)
        }
    }
}

/// A number of hundredths as a whole change: toward zero, but never to zero (STEP-7).
fn round_percent(hundredths: i128) -> i64 {
    let whole = match hundredths / 100 {
        0 => hundredths.signum(),
        whole => whole,
    };
    i64::try_from(whole).unwrap_or(if whole > 0 { i64::MAX } else { i64::MIN })
}

/// The way an adjustment means to go.
enum Way {
    Out,
    In,
    Stay,
}

fn way_of(kind: AdjustmentType, adjustment: i64, desired: u32) -> Way {
    let change = match kind {
        AdjustmentType::ExactCapacity => adjustment.saturating_sub(i64::from(desired)),
        AdjustmentType::ChangeInCapacity | AdjustmentType::PercentChangeInCapacity => adjustment,
    };
    match change {
        1.. => Way::Out,
        0 => Way::Stay,
        _ => Way::In,
    }
}

fn out_of_group(view: &GroupView, computed: i64, rule: &'static str, inputs: Inputs, formula: Formula) -> Verdict {
    let new = clamp(computed, view.min, view.max);
    if view.desired >= view.max {
        Verdict::computed(NotScaledReason::AlreadyAtMaxCapacity, "ASG-1", inputs, formula)
    } else if new <= view.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, rule, inputs, formula)
    } else {
        Verdict::set(new, rule, inputs, formula)
    }
}

fn into_group(view: &GroupView, computed: i64, rule: &'static str, inputs: Inputs, formula: Formula) -> Verdict {
    let new = clamp(computed, view.min, view.max);
    if view.desired <= view.min {
        Verdict::computed(NotScaledReason::AlreadyAtMinCapacity, "ASG-1", inputs, formula)
    } else if new >= view.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, rule, inputs, formula)
    } else {
        Verdict::set(new, rule, inputs, formula)
    }
}

fn group_numbers(view: &GroupView) -> Inputs {
    vec![
        ("desired", f64::from(view.desired)),
        ("warming", f64::from(view.left_out())),
        ("min", f64::from(view.min)),
        ("max", f64::from(view.max)),
    ]
}

/// The step that covers the alarm's value; what led to it goes to `inputs` (STEP-1…3, STEP-5).
fn chosen_step<'a>(
    policy: &'a StepScalingPolicy,
    alarm: &AlarmDefinition,
    datapoints: &[Datapoint],
    inputs: &mut Inputs,
) -> Result<&'a StepAdjustment, (NotScaledReason, &'static str)> {
    inputs.push(("threshold", alarm.threshold));
    let Some(value) = aggregate(datapoints, policy.aggregation) else {
        return Err((NotScaledReason::NoDatapoint, "STEP-1"));
    };
    inputs.push(("metric", value));
    let difference = decimal(value - alarm.threshold);
    // A difference of nothing is "above" for the operators that look upward (STEP-3).
    let above = difference > 0.0 || (difference == 0.0 && alarm.operator.is_upward());
    match policy.steps.iter().find(|step| covers(step, difference, above)) {
        Some(step) => {
            inputs.push(("adjustment", step.adjustment as f64));
            Ok(step)
        }
        None => Err((NotScaledReason::NoMatchingStep, "STEP-5")),
    }
}

/// Above the threshold the lower bound belongs to the step, below it the upper one (STEP-2, ASG-23).
fn covers(step: &StepAdjustment, difference: f64, above: bool) -> bool {
    let lower = step.lower.unwrap_or(f64::NEG_INFINITY);
    let upper = step.upper.unwrap_or(f64::INFINITY);
    if above { lower <= difference && difference < upper } else { lower < difference && difference <= upper }
}

/// `MetricAggregationType` over the alarm's datapoints (STEP-1).
fn aggregate(datapoints: &[Datapoint], how: Aggregation) -> Option<f64> {
    let values = datapoints.iter().map(|point| point.value);
    match how {
        Aggregation::Average if datapoints.is_empty() => None,
        Aggregation::Average => Some(values.sum::<f64>() / datapoints.len() as f64),
        Aggregation::Minimum => values.reduce(f64::min),
        Aggregation::Maximum => values.reduce(f64::max),
    }
}

/// Refuses what AWS refuses of step adjustments (STEP-4).
pub fn check(policy: &StepScalingPolicy) -> Result<(), Refused> {
    match mistake(policy) {
        None => Ok(()),
        Some((_, message)) => Err(Refused { code: "ValidationException", message: message.to_owned(), rule: "STEP-4" }),
    }
}

/// The place of the step that [`check`] refuses, if it is one step's fault.
pub fn mistaken_step(policy: &StepScalingPolicy) -> Option<usize> {
    mistake(policy)?.0
}

/// What is wrong with a policy, and with which of its steps.
fn mistake(policy: &StepScalingPolicy) -> Option<(Option<usize>, &'static str)> {
    let steps = &policy.steps;
    if steps.is_empty() {
        return Some((None, "At least one StepAdjustment must be specified for step policies."));
    }
    if steps.len() > MAX_STEPS {
        return Some((Some(MAX_STEPS), "A step scaling policy can have at most 20 StepAdjustments."));
    }
    let place = |wrong: &dyn Fn(&StepAdjustment) -> bool, nth: usize| {
        (0..steps.len()).filter(|place| wrong(&steps[*place])).nth(nth)
    };
    let single: [(Option<usize>, &'static str); 6] = [
        (
            place(&|step| step.lower.is_none() && step.upper.is_none(), 0),
            "StepAdjustment must have at least one of lower bound and upper bound specified.",
        ),
        (place(&|step| step.lower.is_none(), 1), "At most one StepAdjustment may have an unspecified lower bound."),
        (place(&|step| step.upper.is_none(), 1), "At most one StepAdjustment may have an unspecified upper bound."),
        (
            place(&|step| [step.lower, step.upper].iter().flatten().any(|bound| !bound.is_finite()), 0),
            "The bounds of a StepAdjustment must be finite numbers.",
        ),
        (
            place(&|step| matches!((step.lower, step.upper), (Some(lower), Some(upper)) if upper <= lower), 0),
            "StepAdjustment lower bound must be less than its upper bound.",
        ),
        (
            place(&|step| step.lower.is_some_and(|lower| lower < 0.0), 0)
                .filter(|_| steps.iter().all(|step| step.lower.is_some())),
            "There must be a StepAdjustment with an unspecified lower bound (i.e., lower bound is null) when one \
             StepAdjustment has a negative lower bound",
        ),
    ];
    if let Some((at, message)) = single.into_iter().find(|(at, _)| at.is_some()) {
        return Some((at, message));
    }
    let positive = place(&|step| step.upper.is_some_and(|upper| upper > 0.0), 0);
    if positive.is_some() && steps.iter().all(|step| step.upper.is_some()) {
        return Some((
            positive,
            "There must be a StepAdjustment with an unspecified upper bound (i.e., upper bound is null) when one \
             StepAdjustment has a positive upper bound",
        ));
    }
    let mut sorted: Vec<(f64, f64, usize)> = (0..)
        .zip(steps)
        .map(|(place, step)| (step.lower.unwrap_or(f64::NEG_INFINITY), step.upper.unwrap_or(f64::INFINITY), place))
        .collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for pair in sorted.windows(2) {
        let (end, start, at) = (pair[0].1, pair[1].0, Some(pair[1].2));
        if start > end {
            return Some((at, "StepAdjustment intervals can't have gaps between them."));
        }
        if start < end {
            return Some((at, "StepAdjustment intervals can't overlap."));
        }
    }
    if policy.adjustment_type == AdjustmentType::ExactCapacity
        && let Some(at) = place(&|step| step.adjustment < 0, 0)
    {
        return Some((Some(at), "ScalingAdjustment must be at least 0 for the adjustment type ExactCapacity."));
    }
    if policy.min_adjustment_magnitude.is_some() && policy.adjustment_type != AdjustmentType::PercentChangeInCapacity {
        return Some((None, "MinAdjustmentMagnitude is only valid with the adjustment type PercentChangeInCapacity."));
    }
    None
}

/// Refuses what AWS refuses of a simple policy (ASG-21, ASG-22).
pub fn check_simple(policy: &SimpleScalingPolicy) -> Result<(), Refused> {
    let refused = |message: &str| Err(Refused { code: "ValidationError", message: message.to_owned(), rule: "ASG-21" });
    if policy.adjustment_type == AdjustmentType::ExactCapacity && policy.adjustment < 0 {
        return refused("ScalingAdjustment must be at least 0 for the adjustment type ExactCapacity.");
    }
    if policy.min_adjustment_magnitude.is_some() && policy.adjustment_type != AdjustmentType::PercentChangeInCapacity {
        return refused("MinAdjustmentMagnitude is only valid with the adjustment type PercentChangeInCapacity.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::alarm::{ComparisonOperator, MetricKey};
    use crate::scaling::policy::winner;
    use crate::scaling::scalable_target::Direction;
    use AdjustmentType::{ChangeInCapacity, ExactCapacity, PercentChangeInCapacity};
    use NotScaledReason as Reason;
    use rstest::rstest;

    const NOW: SimTime = SimTime::from_secs(10_000);
    const COOLDOWN: SimDuration = SimDuration::from_secs(300);

    fn policy(adjustment_type: AdjustmentType, steps: &[(Option<f64>, Option<f64>, i64)]) -> StepScalingPolicy {
        let steps =
            steps.iter().map(|&(lower, upper, adjustment)| StepAdjustment { lower, upper, adjustment }).collect();
        StepScalingPolicy {
            adjustment_type,
            steps,
            min_adjustment_magnitude: None,
            cooldown: COOLDOWN,
            aggregation: Aggregation::Average,
            estimated_instance_warmup: None,
        }
    }

    /// One step for everything above the threshold.
    fn out(adjustment_type: AdjustmentType, adjustment: i64) -> StepScalingPolicy {
        policy(adjustment_type, &[(Some(0.0), None, adjustment)])
    }

    /// One step for everything below the threshold.
    fn inward(adjustment_type: AdjustmentType, adjustment: i64) -> StepScalingPolicy {
        policy(adjustment_type, &[(None, Some(0.0), adjustment)])
    }

    /// "Policy A" of the specification.
    fn policy_a() -> StepScalingPolicy {
        policy(
            PercentChangeInCapacity,
            &[
                (Some(0.0), Some(10.0), 0),
                (Some(10.0), Some(20.0), 10),
                (Some(20.0), None, 30),
                (Some(-10.0), Some(0.0), 0),
                (Some(-20.0), Some(-10.0), -10),
                (None, Some(-20.0), -30),
            ],
        )
    }

    fn alarm(operator: ComparisonOperator) -> AlarmDefinition {
        AlarmDefinition::new("a", MetricKey::new("Test", "m", &[]), operator, 50.0, 1)
    }

    fn points(values: &[f64]) -> Vec<Datapoint> {
        values.iter().map(|&value| Datapoint { start: SimTime::ZERO, value, samples: 1 }).collect()
    }

    fn steady(running: u32) -> TargetView {
        TargetView { running, desired: running, min: 1, max: 100, ..TargetView::default() }
    }

    /// What `policy` makes of a quiet target whose metric reads `value`.
    fn ask(policy: &StepScalingPolicy, view: &TargetView, value: f64) -> Verdict {
        ask_in(policy, view, &ScalingState::default(), value)
    }

    fn ask_in(policy: &StepScalingPolicy, view: &TargetView, state: &ScalingState, value: f64) -> Verdict {
        let operator = if value < 50.0 {
            ComparisonOperator::LessThanOrEqualToThreshold
        } else {
            ComparisonOperator::GreaterThanOrEqualToThreshold
        };
        on_alarm(policy, &alarm(operator), &points(&[value]), view, state, NOW)
    }

    fn reason(verdict: &Verdict) -> Option<Reason> {
        match verdict {
            Verdict::SetDesired { .. } => None,
            Verdict::NotScaled { reason, .. } => Some(*reason),
        }
    }

    #[test]
    fn ex_step_1() {
        assert_eq!(ask(&policy_a(), &steady(10), 60.0).to(), Some(11));
    }

    #[test]
    fn ex_step_2() {
        assert_eq!(ask(&policy_a(), &steady(11), 70.0).to(), Some(14));
    }

    #[rstest]
    #[case(59.999)]
    #[case(40.001)]
    #[case(50.0)]
    fn ex_step_3(#[case] value: f64) {
        assert_eq!(ask(&policy_a(), &steady(10), value).to(), None);
    }

    #[test]
    fn ex_step_4() {
        assert_eq!([round_percent(1270), round_percent(67)], [12, 1]);
    }

    #[test]
    fn ex_step_5() {
        let policy = StepScalingPolicy { min_adjustment_magnitude: Some(2), ..out(PercentChangeInCapacity, 25) };
        assert_eq!(ask(&policy, &steady(4), 60.0).to(), Some(6));
    }

    #[rstest]
    #[case(ChangeInCapacity, 5, 3, 8)]
    #[case(ExactCapacity, 5, 3, 5)]
    #[case(PercentChangeInCapacity, 10, 10, 11)]
    fn ex_step_6(#[case] kind: AdjustmentType, #[case] adjustment: i64, #[case] capacity: u32, #[case] expect: u32) {
        assert_eq!(ask(&out(kind, adjustment), &steady(capacity), 60.0).to(), Some(expect));
    }

    /// A step of +2 was executed from 10; 12 run and its cooldown has started.
    fn in_cooldown() -> ScalingState {
        let mut state = ScalingState::default();
        state.begin(Direction::Out, 10, COOLDOWN, NOW);
        state.complete(NOW);
        state
    }

    #[test]
    fn ex_step_7() {
        let verdict = ask_in(&out(ChangeInCapacity, 3), &steady(12), &in_cooldown(), 60.0);
        assert_eq!((verdict.to(), verdict.rule()), (Some(13), "STEP-9"));
    }

    #[test]
    fn ex_step_8() {
        let verdict = ask_in(&out(ChangeInCapacity, 2), &steady(12), &in_cooldown(), 60.0);
        assert_eq!(reason(&verdict), Some(Reason::AlreadyAtDesiredCapacity));
    }

    #[rstest]
    #[case(Aggregation::Average, 22)]
    #[case(Aggregation::Maximum, 26)]
    #[case(Aggregation::Minimum, 22)]
    fn ex_step_9(#[case] aggregation: Aggregation, #[case] expect: u32) {
        let policy = StepScalingPolicy { aggregation, ..policy_a() };
        let alarm = alarm(ComparisonOperator::GreaterThanThreshold);
        let points = points(&[62.0, 68.0, 74.0]);
        let verdict = on_alarm(&policy, &alarm, &points, &steady(20), &ScalingState::default(), NOW);
        assert_eq!(verdict.to(), Some(expect));
    }

    #[test]
    fn ex_step_10() {
        let policy = StepScalingPolicy { min_adjustment_magnitude: Some(2), ..inward(PercentChangeInCapacity, -10) };
        assert_eq!(ask(&policy, &steady(4), 40.0).to(), Some(2));
    }

    #[test]
    fn ex_step_11() {
        let refused = check(&policy(ChangeInCapacity, &[(Some(0.0), Some(10.0), 1), (Some(15.0), None, 2)]));
        assert!(refused.unwrap_err().message.contains("gaps"));
    }

    #[test]
    fn ex_step_12() {
        // Nothing of target tracking enters a step policy, so there is nobody to veto (TT-26).
        assert_eq!(ask(&inward(ChangeInCapacity, -1), &steady(5), 40.0).to(), Some(4));
    }

    #[test]
    fn ex_aas_4() {
        let verdicts = [
            ask(&inward(ChangeInCapacity, -3), &steady(8), 40.0),
            ask(&inward(PercentChangeInCapacity, -25), &steady(8), 40.0),
        ];
        assert_eq!(verdicts.each_ref().map(Verdict::to), [Some(5), Some(6)]);
        assert_eq!(winner(&verdicts), Some(1));
    }

    #[test]
    fn ex_aas_8() {
        let view = TargetView { running: 0, ..steady(3) };
        let verdict = ask(&out(ExactCapacity, 3), &view, 60.0);
        let Some(reason) = reason(&verdict) else { panic!("{verdict:?}") };
        assert_eq!((reason.code(), reason.status()), (Some("AlreadyAtDesiredCapacity"), "Successful"));
    }

    #[test]
    fn ex_asg_4() {
        assert_eq!([1270, 67, -58, -667].map(round_percent), [12, 1, -1, -6]);
        assert_eq!(round_percent(0), 0);
    }

    #[test]
    fn ex_asg_5() {
        assert_eq!(adjusted(3, ChangeInCapacity, 5, None), 8);
        assert_eq!(adjusted(3, ExactCapacity, 5, None), 5);
        assert_eq!(adjusted(10, PercentChangeInCapacity, 10, None), 11);
    }

    #[test]
    fn ex_asg_6() {
        assert_eq!(adjusted(4, PercentChangeInCapacity, 25, Some(2)), 6);
    }

    fn group(desired: u32, warming: u32) -> GroupView {
        GroupView { desired, min: 0, max: 50, warming, unseen: 0, warm_at: Some(SimTime::from_secs(300)) }
    }

    fn ask_group(policy: &StepScalingPolicy, view: &GroupView, value: f64) -> Verdict {
        on_alarm_group(policy, &alarm(ComparisonOperator::GreaterThanThreshold), &points(&[value]), view)
    }

    #[test]
    fn ex_ec2_1_service_autoscaling() {
        let policy = out(PercentChangeInCapacity, 10);
        assert_eq!(ask_group(&policy, &group(10, 0), 60.0).to(), Some(11));
        assert_eq!(reason(&ask_group(&policy, &group(11, 1), 60.0)), Some(Reason::AlreadyAtDesiredCapacity));
    }

    #[test]
    fn asg_24_a_higher_step_adds_the_difference() {
        assert_eq!(ask_group(&policy_a(), &group(11, 1), 75.0).to(), Some(13), "+3 from 10, of which one is coming");
    }

    #[test]
    fn ec2s_2_a_warming_group_does_not_scale_in() {
        let verdict = ask_group(&inward(ChangeInCapacity, -1), &group(11, 1), 40.0);
        assert_eq!(reason(&verdict), Some(Reason::WarmingUp));
        assert_eq!(ask_group(&inward(ChangeInCapacity, -1), &group(11, 0), 40.0).to(), Some(10));
    }

    #[test]
    fn ex_ec2_2_service_autoscaling() {
        let policy = SimpleScalingPolicy {
            adjustment_type: PercentChangeInCapacity,
            adjustment: 30,
            min_adjustment_magnitude: None,
            cooldown: Some(COOLDOWN),
        };
        let mut state = SimpleScalingState::default();
        let at = SimTime::from_secs;
        assert_eq!(on_alarm_simple(&policy, &group(10, 0), &state, at(0)).to(), Some(13));
        state.begin(COOLDOWN);
        let grown = group(13, 3);
        assert_eq!(reason(&on_alarm_simple(&policy, &grown, &state, at(60))), Some(Reason::ActivityInProgress));
        state.complete(at(90));
        assert_eq!(reason(&on_alarm_simple(&policy, &grown, &state, at(120))), Some(Reason::Cooldown));
        assert_eq!(state.cooldown_until(at(389)), Some(at(390)));
        assert_eq!(on_alarm_simple(&policy, &grown, &state, at(390)).to(), Some(16));
    }

    #[test]
    fn step_2_bounds_belong_to_the_step_away_from_the_threshold() {
        let change = |value| ask(&policy_a(), &steady(100), value).inputs().last().copied();
        let running_100 = |value| ask(&policy_a(), &TargetView { max: 200, ..steady(100) }, value).to();
        assert_eq!(running_100(60.0), Some(110), "10 is in [10, 20)");
        assert_eq!(running_100(70.0), Some(130), "20 is in [20, inf)");
        assert_eq!(running_100(40.0), Some(90), "-10 is in (-20, -10]");
        assert_eq!(running_100(30.0), Some(70), "-20 is in (-inf, -20]");
        assert_eq!(change(55.0), Some(("adjustment", 0.0)));
    }

    #[test]
    fn step_2_bounds_are_decimal() {
        let steps = policy(ChangeInCapacity, &[(Some(0.0), Some(0.1), 1), (Some(0.1), None, 2)]);
        let alarm = AlarmDefinition { threshold: 0.2, ..alarm(ComparisonOperator::GreaterThanThreshold) };
        let verdict = on_alarm(&steps, &alarm, &points(&[0.3]), &steady(5), &ScalingState::default(), NOW);
        assert_eq!(verdict.to(), Some(7));
    }

    #[test]
    fn step_3_no_difference_is_on_the_operators_side() {
        let up = policy(ChangeInCapacity, &[(Some(0.0), None, 1), (None, Some(0.0), -1)]);
        let ask = |operator| {
            on_alarm(&up, &alarm(operator), &points(&[50.0]), &steady(5), &ScalingState::default(), NOW).to()
        };
        assert_eq!(ask(ComparisonOperator::GreaterThanOrEqualToThreshold), Some(6));
        assert_eq!(ask(ComparisonOperator::LessThanOrEqualToThreshold), Some(4));
    }

    #[rstest]
    #[case::nothing(&[], "At least one")]
    #[case::both_open(&[(None, None, 1)], "at least one of")]
    #[case::two_open_below(&[(None, Some(0.0), -1), (None, Some(-5.0), -2)], "unspecified lower bound")]
    #[case::two_open_above(&[(Some(0.0), None, 1), (Some(5.0), None, 2)], "unspecified upper bound")]
    #[case::overlap(&[(Some(0.0), Some(10.0), 1), (Some(5.0), None, 2)], "overlap")]
    #[case::gap(&[(Some(0.0), Some(5.0), 1), (Some(10.0), None, 2)], "gaps")]
    #[case::backwards(&[(Some(10.0), Some(0.0), 1)], "less than its upper bound")]
    #[case::closed_above(&[(Some(0.0), Some(10.0), 1)], "unspecified upper bound (i.e.")]
    #[case::closed_below(&[(Some(-10.0), Some(0.0), -1)], "unspecified lower bound (i.e.")]
    #[case::not_finite(&[(Some(f64::NAN), None, 1)], "finite")]
    fn step_4_refuses(#[case] steps: &[(Option<f64>, Option<f64>, i64)], #[case] words: &str) {
        let message = check(&policy(ChangeInCapacity, steps)).unwrap_err().message;
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn step_4_accepts() {
        assert_eq!(check(&policy_a()), Ok(()));
        assert_eq!(check(&out(ChangeInCapacity, 1)), Ok(()));
        let many: Vec<_> = (0..21).map(|n| (Some(f64::from(n)), Some(f64::from(n + 1)), 1)).collect();
        let message = check(&policy(ChangeInCapacity, &many)).unwrap_err().message;
        assert!(message.contains("at most 20"), "{message}");
    }

    #[test]
    fn step_5_no_step_no_scaling() {
        assert_eq!(reason(&ask(&out(ChangeInCapacity, 1), &steady(5), 40.0)), Some(Reason::NoMatchingStep));
    }

    #[test]
    fn step_10_a_scale_in_blocks_further_ones() {
        let mut state = ScalingState::default();
        state.begin(Direction::In, 6, COOLDOWN, NOW);
        state.complete(NOW);
        let verdict = ask_in(&inward(ChangeInCapacity, -1), &steady(5), &state, 40.0);
        assert_eq!((reason(&verdict), verdict.rule()), (Some(Reason::Cooldown), "STEP-10"));
        assert_eq!(ask_in(&out(ChangeInCapacity, 1), &steady(5), &state, 60.0).to(), Some(6));
    }

    #[test]
    fn step_12_the_base_is_what_runs() {
        let view = TargetView { running: 4, ..steady(8) };
        assert_eq!(reason(&ask(&out(ChangeInCapacity, 2), &view, 60.0)), Some(Reason::AlreadyAtDesiredCapacity));
        assert_eq!(ask(&out(ChangeInCapacity, 5), &view, 60.0).to(), Some(9));
    }

    #[test]
    fn aas_15_the_bounds_name_the_reason() {
        let at_max = TargetView { max: 5, ..steady(5) };
        assert_eq!(reason(&ask(&out(ChangeInCapacity, 1), &at_max, 60.0)), Some(Reason::AlreadyAtMaxCapacity));
        let at_min = TargetView { min: 5, ..steady(5) };
        assert_eq!(reason(&ask(&inward(ChangeInCapacity, -1), &at_min, 40.0)), Some(Reason::AlreadyAtMinCapacity));
    }
}
