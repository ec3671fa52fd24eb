//! What a scaling policy is told to do, and what it may answer.
//!
//! How policies decide is in [`super::target_tracking`], [`super::step_scaling`] and [`super::managed_scaling`]. All of
//! them answer with a [`Verdict`], which carries its reason, its rule and the numbers it came from.

use std::sync::Arc;

use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::MetricKey;
use crate::scaling::formula::Formula;
use crate::scaling::metric::{Statistic, Unit};
use crate::scaling::metric_math::MetricMath;
use crate::scaling::predictive_scaling::PredictiveScalingPolicy;
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::{predictive_scaling, step_scaling, target_tracking};

/// The body of `put-scaling-policy`.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyDefinition {
    /// `TargetTrackingScaling` (TT-*).
    TargetTracking(TargetTrackingPolicy),
    /// `StepScaling` (STEP-*, ASG-21…24).
    Step(StepScalingPolicy),
    /// `SimpleScaling`, Auto Scaling groups only (ASG-25).
    Simple(SimpleScalingPolicy),
    /// `PredictiveScaling`, services only (PRED-*).
    Predictive(PredictiveScalingPolicy),
}

/// A target tracking policy.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetTrackingPolicy {
    /// `TargetValue`.
    pub target: f64,
    /// The metric it keeps near the target.
    pub metric: TrackedMetric,
    /// `ScaleOutCooldown`, default 300 s (TT-18).
    pub scale_out_cooldown: SimDuration,
    /// `ScaleInCooldown`, default 300 s.
    pub scale_in_cooldown: SimDuration,
    /// `DisableScaleIn` (TT-6).
    pub disable_scale_in: bool,
    /// `EstimatedInstanceWarmup`, Auto Scaling groups only (ASG-29).
    pub estimated_instance_warmup: Option<SimDuration>,
}

/// The metric of a target tracking policy (TT-1).
#[derive(Clone, Debug, PartialEq)]
pub enum TrackedMetric {
    /// `ECSServiceAverageCPUUtilization`.
    ServiceCpu {
        /// The `…HighResolution` form: 20 s periods (TT-4).
        high_resolution: bool,
    },
    /// `ECSServiceAverageMemoryUtilization`.
    ServiceMemory {
        /// The `…HighResolution` form.
        high_resolution: bool,
    },
    /// `ALBRequestCountPerTarget`.
    RequestCountPerTarget {
        /// Load balancer and target group of the `ResourceLabel`.
        load_balancer: String,
        /// Target group.
        target_group: String,
    },
    /// `ASGAverageCPUUtilization`.
    GroupCpu,
    /// `CustomizedMetricSpecification` with one metric.
    Custom {
        /// Which series.
        metric: MetricKey,
        /// Which statistic of it.
        statistic: Statistic,
        /// `Unit`: samples of others are ignored (CW-1).
        unit: Option<Unit>,
        /// Seconds of a datapoint: 60, and for a group 10 or 30 as well (EC2S-8).
        period: SimDuration,
    },
    /// `CustomizedMetricSpecification` with `Metrics`: an expression over several (TT-28).
    Math(Arc<MetricMath>),
}

/// How an adjustment changes the capacity (STEP-6, ASG-21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdjustmentType {
    /// Add the number.
    ChangeInCapacity,
    /// Set the number.
    ExactCapacity,
    /// Add this percentage.
    PercentChangeInCapacity,
}

/// One step: bounds relative to the alarm's threshold, `None` is infinite (STEP-2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepAdjustment {
    /// `MetricIntervalLowerBound`.
    pub lower: Option<f64>,
    /// `MetricIntervalUpperBound`.
    pub upper: Option<f64>,
    /// `ScalingAdjustment`.
    pub adjustment: i64,
}

/// A step scaling policy.
#[derive(Clone, Debug, PartialEq)]
pub struct StepScalingPolicy {
    /// `AdjustmentType`.
    pub adjustment_type: AdjustmentType,
    /// `StepAdjustments`, at most 20.
    pub steps: Vec<StepAdjustment>,
    /// `MinAdjustmentMagnitude` (STEP-8).
    pub min_adjustment_magnitude: Option<u32>,
    /// `Cooldown`, default 300 s; services only.
    pub cooldown: SimDuration,
    /// `MetricAggregationType` (STEP-1).
    pub aggregation: Aggregation,
    /// `EstimatedInstanceWarmup`; groups only.
    pub estimated_instance_warmup: Option<SimDuration>,
}

/// `MetricAggregationType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregation {
    /// The mean of the alarm's datapoints.
    #[default]
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
}

/// A simple scaling policy of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimpleScalingPolicy {
    /// `AdjustmentType`.
    pub adjustment_type: AdjustmentType,
    /// `ScalingAdjustment`.
    pub adjustment: i64,
    /// `MinAdjustmentMagnitude`.
    pub min_adjustment_magnitude: Option<u32>,
    /// `Cooldown`; the group's default when absent (ASG-25).
    pub cooldown: Option<SimDuration>,
}

impl PolicyDefinition {
    /// Refuses what `put-scaling-policy` refuses of the policy by itself (TT-1, STEP-4, ASG-21).
    pub fn check(&self, resource: &ScaledResource) -> Result<(), Refused> {
        match self {
            Self::TargetTracking(policy) => target_tracking::check(policy, resource),
            Self::Step(policy) => step_scaling::check(policy),
            Self::Predictive(policy) => predictive_scaling::check(policy, resource),
            Self::Simple(policy) => match resource {
                ScaledResource::Group { .. } => step_scaling::check_simple(policy),
                ScaledResource::Service { .. } => Err(Refused {
                    code: "ValidationException",
                    message: "Policy type SimpleScaling is not supported for the service namespace ecs.".to_owned(),
                    rule: "ASG-25",
                }),
            },
        }
    }
}

/// Most scaling policies of one scalable target (AAS-18).
pub const MAX_POLICIES_PER_TARGET: usize = 50;

/// Refuses a policy beyond the quota of a scalable target, which has `count` of them with it (AAS-18).
pub fn check_count(resource: &ScaledResource, count: usize) -> Result<(), Refused> {
    if matches!(resource, ScaledResource::Service { .. }) && count > MAX_POLICIES_PER_TARGET {
        return Err(Refused {
            code: "LimitExceededException",
            message: format!(
                "You have reached the limit of {MAX_POLICIES_PER_TARGET} scaling policies for this resource."
            ),
            rule: "AAS-18",
        });
    }
    Ok(())
}

/// The numbers a decision was made from, by name.
pub type Inputs = Vec<(&'static str, f64)>;

/// What a policy answers when it is invoked.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Set the desired count or capacity.
    SetDesired {
        /// The new value; always different from the present one.
        to: u32,
        /// The rule that gave it.
        rule: &'static str,
        /// The numbers.
        inputs: Inputs,
        /// The arithmetic.
        formula: Formula,
    },
    /// Leave it.
    NotScaled {
        /// Why.
        reason: NotScaledReason,
        /// When the obstacle ends by itself, if that is known.
        until: Option<SimTime>,
        /// The rule that forbids.
        rule: &'static str,
        /// The numbers.
        inputs: Inputs,
        /// The arithmetic, where it came to that.
        formula: Option<Formula>,
    },
}

impl Verdict {
    /// The new value, if there is one.
    pub const fn to(&self) -> Option<u32> {
        match self {
            Self::SetDesired { to, .. } => Some(*to),
            Self::NotScaled { .. } => None,
        }
    }

    /// The rule that decided.
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::SetDesired { rule, .. } | Self::NotScaled { rule, .. } => rule,
        }
    }

    /// The numbers it was decided from.
    pub const fn inputs(&self) -> &Inputs {
        match self {
            Self::SetDesired { inputs, .. } | Self::NotScaled { inputs, .. } => inputs,
        }
    }

    /// The arithmetic that led to it, if there was any.
    pub const fn formula(&self) -> Option<&Formula> {
        match self {
            Self::SetDesired { formula, .. } => Some(formula),
            Self::NotScaled { formula, .. } => formula.as_ref(),
        }
    }

    pub(crate) const fn set(to: u32, rule: &'static str, inputs: Inputs, formula: Formula) -> Self {
        Self::SetDesired { to, rule, inputs, formula }
    }

    pub(crate) const fn not_scaled(reason: NotScaledReason, rule: &'static str, inputs: Inputs) -> Self {
        Self::NotScaled { reason, until: None, rule, inputs, formula: None }
    }

    /// The same, unless another policy's result of `most` was carried out in place of this one (AAS-9).
    #[must_use]
    pub(crate) fn outvoted(self, most: Option<u32>) -> Self {
        match (self, most) {
            (Self::SetDesired { mut inputs, formula, .. }, Some(most)) => {
                inputs.push(("carried_out", f64::from(most)));
                Self::computed(NotScaledReason::Outvoted, "AAS-9", inputs, formula)
            }
            (verdict, _) => verdict,
        }
    }

    /// Something stands in the way, until then if that is known.
    pub(crate) const fn blocked(
        (reason, until, rule): (NotScaledReason, Option<SimTime>, &'static str),
        inputs: Inputs,
    ) -> Self {
        Self::NotScaled { reason, until, rule, inputs, formula: None }
    }

    /// Computed, and yet not scaled.
    pub(crate) const fn computed(
        reason: NotScaledReason,
        rule: &'static str,
        inputs: Inputs,
        formula: Formula,
    ) -> Self {
        Self::NotScaled { reason, until: None, rule, inputs, formula: Some(formula) }
    }
}

/// Of policies invoked at one instant the one that leaves the largest capacity wins, for scale-out and for scale-in
/// alike (AAS-9, TT-24, EC2S-5). Its place in `verdicts`; `None` when nobody scales.
pub fn winner(verdicts: &[Verdict]) -> Option<usize> {
    let mut best: Option<(usize, u32)> = None;
    for (place, verdict) in verdicts.iter().enumerate() {
        if let Some(to) = verdict.to()
            && best.is_none_or(|(_, largest)| to > largest)
        {
            best = Some((place, to));
        }
    }
    best.map(|(place, _)| place)
}

/// Why a policy did not scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotScaledReason {
    /// `AlreadyAtMaxCapacity`.
    AlreadyAtMaxCapacity,
    /// `AlreadyAtMinCapacity`.
    AlreadyAtMinCapacity,
    /// `AlreadyAtDesiredCapacity`: it already is, or is becoming, what the policy asks for.
    AlreadyAtDesiredCapacity,
    /// `AutoScalingAnticipatedFlapping`: one fewer would push the metric above the target (TT-15).
    AutoScalingAnticipatedFlapping,
    /// Dynamic scaling in this direction is suspended (AAS-10).
    Suspended,
    /// No scale-in during a rolling deployment (AAS-8).
    DeploymentInProgress,
    /// An earlier scaling activity has not completed (TT-18, ASG-25).
    ActivityInProgress,
    /// A cooldown runs (TT-20, STEP-10, ASG-25).
    Cooldown,
    /// Instances warm up (EC2S-2, CAS-26, CAS-30).
    WarmingUp,
    /// Too soon after a scale-out (CAS-30).
    RecentScaleOut,
    /// Another target tracking policy is not ready to scale in (TT-25).
    Vetoed,
    /// Another policy that was invoked at the same instant asks for as much or more (AAS-9).
    Outvoted,
    /// There is no datapoint to compute from (TT-17).
    NoDatapoint,
    /// No step covers the value (STEP-5).
    NoMatchingStep,
}

impl NotScaledReason {
    /// The code among `NotScaledReasons` of a scaling activity; the other reasons leave no activity (AAS-15).
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::AlreadyAtMaxCapacity => Some("AlreadyAtMaxCapacity"),
            Self::AlreadyAtMinCapacity => Some("AlreadyAtMinCapacity"),
            Self::AlreadyAtDesiredCapacity => Some("AlreadyAtDesiredCapacity"),
            Self::AutoScalingAnticipatedFlapping => Some("AutoScalingAnticipatedFlapping"),
            // AWS does not say what makes ECS put a service so. A deployment is the one state of a service of which it
            // says that scaling has to wait for it (AAS-8).
            Self::DeploymentInProgress => Some("TargetServicePutResourceAsUnscalable"),
            _ => None,
        }
    }

    /// `StatusCode` of the not-scaled activity: nothing needed doing, or it could not be done (AAS-15).
    pub const fn status(self) -> &'static str {
        match self {
            Self::AlreadyAtDesiredCapacity => "Successful",
            _ => "Failed",
        }
    }

    /// In words, for the decision log.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AlreadyAtMaxCapacity => "already at maximum capacity",
            Self::AlreadyAtMinCapacity => "already at minimum capacity",
            Self::AlreadyAtDesiredCapacity => "the desired capacity already covers what the policy asks for",
            Self::AutoScalingAnticipatedFlapping => "one fewer would push the metric above the target",
            Self::Suspended => "dynamic scaling in this direction is suspended",
            Self::DeploymentInProgress => "no scale-in while a deployment is in progress",
            Self::ActivityInProgress => "an earlier scaling activity is in progress",
            Self::Cooldown => "a cooldown is running",
            Self::WarmingUp => "instances are warming up",
            Self::RecentScaleOut => "a scale-out was too recent",
            Self::Vetoed => "another target tracking policy is not ready to scale in",
            Self::Outvoted => "another policy asks for as much or more at the same instant",
            Self::NoDatapoint => "there is no datapoint to compute from",
            Self::NoMatchingStep => "no step covers the metric's value",
        }
    }
}

/// What a policy sees of an Auto Scaling group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// `DesiredCapacity`.
    pub desired: u32,
    /// `MinSize`.
    pub min: u32,
    /// `MaxSize`.
    pub max: u32,
    /// Instances asked for that are not yet warmed up, launching ones included.
    pub warming: u32,
    /// Instances that are warm by now, of which the newest datapoint that a policy can see knows nothing.
    pub unseen: u32,
    /// When the last of those that warm up is warm, if that is known.
    pub warm_at: Option<SimTime>,
}

impl GroupView {
    /// The capacity that policies start from: warming instances count as already added (ASG-24, EC2S-1).
    pub const fn base(&self) -> u32 {
        self.desired.saturating_sub(self.left_out())
    }

    /// Instances that the metric leaves out: they count as what a scale-out has added, not as what it starts from.
    pub const fn left_out(&self) -> u32 {
        self.warming.saturating_add(self.unseen)
    }

    /// `capacity` within the group's bounds (ASG-1).
    pub fn clamp(&self, capacity: i64) -> u32 {
        clamp(capacity, self.min, self.max)
    }

    /// Scale-in is blocked while a scale-out warms up (ASG-24, EC2S-2).
    pub(crate) fn scale_in_obstacle(&self) -> Option<(NotScaledReason, Option<SimTime>, &'static str)> {
        (self.warming > 0).then_some((NotScaledReason::WarmingUp, self.warm_at, "EC2S-2"))
    }
}

/// `EstimatedInstanceWarmup`, else `DefaultInstanceWarmup`, else `DefaultCooldown` (ASG-29, EC2S-1).
pub fn instance_warmup(
    estimated: Option<SimDuration>,
    default_warmup: Option<SimDuration>,
    default_cooldown: SimDuration,
) -> SimDuration {
    estimated.or(default_warmup).unwrap_or(default_cooldown)
}

/// `capacity` within `min..=max`; the maximum wins should they cross.
pub(crate) fn clamp(capacity: i64, min: u32, max: u32) -> u32 {
    let bounded = capacity.max(i64::from(min)).min(i64::from(max));
    u32::try_from(bounded).unwrap_or(0)
}

/// `value` as the decimal it was meant to be: 0.9 * 41 is 36.9, and 0.3 - 0.2 reaches a bound at 0.1 (TT-3, STEP-2).
pub(crate) fn decimal(value: f64) -> f64 {
    const SCALE: f64 = 1e9;
    // Beyond this a double has no nine decimals to clean up.
    if value.abs() > 1e6 { value } else { (value * SCALE).round() / SCALE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aas_9_the_largest_result_wins() {
        let to = |to| Verdict::set(to, "TT-10", Vec::new(), Formula::FromZero { result: 1 });
        let none = Verdict::not_scaled(NotScaledReason::Cooldown, "TT-20", Vec::new());
        assert_eq!(winner(&[to(12), none.clone(), to(15), to(15)]), Some(2));
        assert_eq!(winner(&[none]), None);
    }

    #[test]
    fn aas_18_policies_are_counted() {
        let service = ScaledResource::Service { cluster: "c".into(), service: "s".into() };
        assert!(check_count(&service, 50).is_ok());
        assert_eq!(check_count(&service, 51).unwrap_err().code, "LimitExceededException");
        assert!(check_count(&ScaledResource::Group { group: "g".into() }, 51).is_ok());
    }

    #[test]
    fn asg_29_warm_up_falls_back() {
        let secs = SimDuration::from_secs;
        assert_eq!(instance_warmup(Some(secs(1)), Some(secs(2)), secs(3)), secs(1));
        assert_eq!(instance_warmup(None, Some(secs(2)), secs(3)), secs(2));
        assert_eq!(instance_warmup(None, None, secs(300)), secs(300));
    }

    #[test]
    fn asg_25_simple_scaling_is_for_groups() {
        let policy = PolicyDefinition::Simple(SimpleScalingPolicy {
            adjustment_type: AdjustmentType::ChangeInCapacity,
            adjustment: 1,
            min_adjustment_magnitude: None,
            cooldown: None,
        });
        assert!(policy.check(&ScaledResource::Group { group: "g".into() }).is_ok());
        assert!(policy.check(&ScaledResource::Service { cluster: "c".into(), service: "s".into() }).is_err());
    }
}
