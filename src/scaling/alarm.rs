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
