//! `CloudWatch` alarms: definition, window, missing data (ALM-*).

use crate::engine::time::SimDuration;
use crate::scaling::metric::Statistic;

/// The identity of a series: namespace, name and the exact dimension set (CW-1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricKey {
    /// For example `AWS/ECS`.
    pub namespace: String,
    /// For example `CPUUtilization`.
    pub name: String,
    /// (name, value), sorted by name.
    pub dimensions: Vec<(String, String)>,
}

/// A metric alarm, as `put-metric-alarm` describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmDefinition {
    /// `AlarmName`.
    pub name: String,
    /// The series watched.
    pub metric: MetricKey,
    /// The statistic of each period.
    pub statistic: Statistic,
    /// `Period`.
    pub period: SimDuration,
    /// `EvaluationPeriods`, N.
    pub evaluation_periods: u32,
    /// `DatapointsToAlarm`, M; N when absent (ALM-3).
    pub datapoints_to_alarm: u32,
    /// `Threshold`.
    pub threshold: f64,
    /// `ComparisonOperator` (ALM-2).
    pub operator: ComparisonOperator,
    /// `TreatMissingData`, default `missing` (ALM-8).
    pub missing_data: MissingData,
    /// `EvaluateLowSampleCountPercentile: ignore` (ALM-11).
    pub ignore_low_samples: bool,
    /// Whether only completed, clock-aligned periods count (ALM-5).
    pub wall_clock_window: bool,
}

impl AlarmDefinition {
    /// An alarm on N of N datapoints of one minute, with everything else as `put-metric-alarm` defaults it.
    pub fn new(
        name: impl Into<String>,
        metric: MetricKey,
        operator: ComparisonOperator,
        threshold: f64,
        evaluation_periods: u32,
    ) -> Self {
        Self {
            name: name.into(),
            metric,
            statistic: Statistic::Average,
            period: SimDuration::MINUTE,
            evaluation_periods,
            datapoints_to_alarm: evaluation_periods,
            threshold,
            operator,
            missing_data: MissingData::Missing,
            ignore_low_samples: false,
            wall_clock_window: false,
        }
    }
}

/// `ComparisonOperator`, statistic on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonOperator {
    /// `>=`
    GreaterThanOrEqualToThreshold,
    /// `>`
    GreaterThanThreshold,
    /// `<`
    LessThanThreshold,
    /// `<=`
    LessThanOrEqualToThreshold,
}

/// `TreatMissingData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingData {
    /// `missing`
    #[default]
    Missing,
    /// `ignore`
    Ignore,
    /// `breaching`
    Breaching,
    /// `notBreaching`
    NotBreaching,
}

/// State of an alarm (ALM-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlarmState {
    /// Not enough data.
    #[default]
    InsufficientData,
    /// Not breaching.
    Ok,
    /// Breaching.
    Alarm,
}
