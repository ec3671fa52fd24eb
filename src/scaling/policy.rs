//! What a scaling policy is told to do; how it decides is in [`super::target_tracking`] and [`super::step_scaling`].

use crate::engine::time::SimDuration;
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::Statistic;

/// The body of `put-scaling-policy`.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyDefinition {
    /// `TargetTrackingScaling` (TT-*).
    TargetTracking(TargetTrackingPolicy),
    /// `StepScaling` (STEP-*, ASG-21…24).
    Step(StepScalingPolicy),
    /// `SimpleScaling`, Auto Scaling groups only (ASG-25).
    Simple(SimpleScalingPolicy),
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
    },
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
