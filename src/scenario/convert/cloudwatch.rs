//! Calls of the operator to CloudWatch: samples put and states set (CW-8, ALM-22).

use serde_json::Value;

use super::scaling::{instant, metric_key, unit_of};
use crate::control_plane::api::{MetricDatum, SetAlarmState, StateReasonData};
use crate::scaling::metric::{StatisticSet, Unit};
use crate::scenario::diagnostic::{Problem, Reading};
use crate::scenario::input::{MetricDataInput, MetricDatumInput, SetAlarmStateInput};

const INVALID_VALUE: &str = "InvalidParameterValue";
const INVALID_COMBINATION: &str = "InvalidParameterCombination";

/// Most entries of a call, values of an entry and dimensions of a metric.
const MOST: [usize; 3] = [1000, 150, 30];

/// `put-metric-data`, as far as it can be judged before it is made.
pub(crate) fn metric_data(input: &MetricDataInput, reading: &mut Reading) -> Option<Vec<MetricDatum>> {
    if input.namespace.starts_with("AWS/") {
        let message = format!("The value {} for parameter Namespace is invalid.", input.namespace.value);
        let problem = Problem::aws(INVALID_VALUE, "CW-8", input.namespace.place, message);
        reading
            .report(problem.help("namespaces that begin with AWS/ are AWS's own; replay such a series in `metrics`"));
        return None;
    }
    if input.data.is_empty() || input.data.len() > MOST[0] {
        let message = format!("The collection MetricData must have between 1 and {} entries.", MOST[0]);
        reading.report(Problem::aws(INVALID_VALUE, "CW-8", input.place, message));
        return None;
    }
    input.data.iter().enumerate().map(|(place, entry)| datum(&input.namespace, entry, place + 1, reading)).collect()
}

fn datum(namespace: &str, input: &MetricDatumInput, member: usize, reading: &mut Reading) -> Option<MetricDatum> {
    let refuse = |code: &'static str, message: String, reading: &mut Reading| {
        reading.report(Problem::aws(code, "CW-8", input.place, message));
    };
    if input.dimensions.len() > MOST[2] {
        let message =
            format!("The collection MetricData.member.{member}.Dimensions must not have a size greater than 30.");
        refuse(INVALID_VALUE, message, reading);
        return None;
    }
    let samples = match (input.value, &input.values, &input.statistics) {
        (Some(value), None, None) => vec![StatisticSet::of(value)],
        (None, None, Some(set)) => {
            let whole = set.samples.fract() == 0.0 && (1.0..=1e15).contains(&set.samples);
            if !whole || set.minimum > set.maximum {
                let message = format!("The values of MetricData.member.{member}.StatisticValues are inconsistent.");
                refuse(INVALID_VALUE, message, reading);
                return None;
            }
            let samples = set.samples as u64;
            vec![StatisticSet { samples, sum: set.sum, minimum: set.minimum, maximum: set.maximum }]
        }
        (None, Some(values), None) => {
            let ones = vec![1.0; values.len()];
            let counts = input.counts.as_ref().unwrap_or(&ones);
            if counts.len() != values.len() || values.is_empty() || values.len() > MOST[1] {
                let message = format!(
                    "The parameters MetricData.member.{member}.Values and MetricData.member.{member}.Counts must be of \
                     the same size, at most {}.",
                    MOST[1]
                );
                refuse(INVALID_COMBINATION, message, reading);
                return None;
            }
            let counted = values.iter().zip(counts);
            counted.map(|(value, count)| StatisticSet::repeated(*value, count.round().max(0.0) as u64)).collect()
        }
        _ => {
            let message =
                format!("MetricData.member.{member} must have exactly one of Value, Values and StatisticValues.");
            refuse(INVALID_COMBINATION, message, reading);
            return None;
        }
    };
    if let Some(at) = input.resolution.as_ref().filter(|at| ![1, 60].contains(&at.get())) {
        let message = format!("The value {} for parameter StorageResolution is invalid: 1 or 60.", at.get());
        reading.report(Problem::aws(INVALID_VALUE, "CW-8", at.place, message));
        return None;
    }
    let unit = match &input.unit {
        Some(text) => unit_of(Some(text), INVALID_VALUE, reading)?,
        None => Unit::NONE,
    };
    let stamp = match &input.stamp {
        Some(stamp) => Some(instant(stamp, INVALID_VALUE, reading)?),
        None => None,
    };
    Some(MetricDatum {
        key: metric_key(namespace, &input.name, &input.dimensions),
        unit,
        samples,
        stamp,
        high_resolution: input.resolution.as_ref().is_some_and(|resolution| resolution.get() == 1),
    })
}

/// `set-alarm-state`.
pub(crate) fn set_alarm_state(input: &SetAlarmStateInput, reading: &mut Reading) -> Option<SetAlarmState> {
    let data = match &input.data {
        None => None,
        Some(text) => {
            let Ok(json) = serde_json::from_str::<Value>(text) else {
                let message = "StateReasonData was not syntactically valid JSON.";
                reading.report(Problem::aws("InvalidFormat", "ALM-22", text.place, message));
                return None;
            };
            reason_data(&json)
        }
    };
    Some(SetAlarmState { alarm: input.name.value.clone(), state: input.state, reason: input.reason.clone(), data })
}

/// `queryDate`, with or without a colon in its offset, and `recentDatapoints`.
fn reason_data(json: &Value) -> Option<StateReasonData> {
    let written = json.get("queryDate")?.as_str()?;
    let query_date = written
        .parse()
        .ok()
        .or_else(|| jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", written).ok()?.to_timestamp().ok())?;
    let datapoints = json.get("recentDatapoints")?.as_array()?.iter().filter_map(Value::as_f64).collect();
    Some(StateReasonData { query_date, datapoints })
}
