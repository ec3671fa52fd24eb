//! Predictive scaling of services: a forecast of the load by the hour, and the capacity it needs in time (PRED-*).
//!
//! [`forecast`] learns from the hours that have been; [`on_hour`] says what to do about one of those to come. AWS does not
//! publish its forecaster: this one takes the mean of the same hour of earlier days, or of earlier weeks once it has seen
//! two (PRED-5).

use std::collections::BTreeMap;

use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::Watched;
use crate::scaling::formula::Formula;
use crate::scaling::policy::{NotScaledReason, Verdict};
use crate::scaling::scalable_target::{ScaledResource, TargetView};
use crate::scaling::target_tracking::required_capacity;

/// Hours of history without which there is no forecast (PRED-1).
pub const LEAST_HISTORY: u64 = 24;
/// Hours of history that are learned from: 14 days (PRED-1).
pub const MOST_HISTORY: u64 = 14 * 24;
/// Hours ahead that are forecast (PRED-1).
pub const HORIZON: u64 = 48;
/// How long a forecast is used before it is made anew (PRED-1).
pub const REFRESH: SimDuration = SimDuration::from_secs(6 * 3600);

const DAY: u64 = 24;
const WEEK: u64 = 7 * DAY;

/// `PredictiveScalingPolicyConfiguration`.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictiveScalingPolicy {
    /// `TargetValue`: what one task carries of the load.
    pub target: f64,
    /// The load of all tasks together (PRED-4).
    pub load: PredictiveMetric,
    /// What is to be at the target, when it is not simply a task's share of the load (PRED-4).
    pub scaling: Option<ScalingMetric>,
    /// `Mode: ForecastAndScale`; else it only forecasts (PRED-2).
    pub scales: bool,
    /// `SchedulingBufferTime`: how long before its hour the capacity is there (PRED-3).
    pub buffer: SimDuration,
    /// `MaxCapacityBreachBehavior: IncreaseMaxCapacity` with its `MaxCapacityBuffer` in percent; else the maximum is
    /// honoured (PRED-6).
    pub max_capacity_buffer: Option<u32>,
}

/// A metric of a predictive policy, hour by hour (PRED-4).
#[derive(Clone, Debug, PartialEq)]
pub enum PredictiveMetric {
    /// A predefined one, of all tasks together.
    Total(LoadMetric),
    /// A predefined one, of a task.
    PerTask(LoadMetric),
    /// `Customized…MetricSpecification`: a metric, or an expression over several.
    Customized(Watched),
}

/// A scaling metric of another kind than the load.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingMetric {
    /// What a task shows of the load: the policy's target is a value of this.
    pub metric: PredictiveMetric,
    /// `CustomizedCapacityMetricSpecification`: how many tasks there were. Without one, those that ran.
    pub capacity: Option<Watched>,
}

/// A predefined load of all tasks together, of which each task has a share (PRED-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadMetric {
    /// `ECSServiceCPUUtilization`: percent of a task's CPU, summed over the tasks.
    Cpu,
    /// `ECSServiceMemoryUtilization`, likewise.
    Memory,
    /// `ALBRequestCount`: requests a minute to a target group.
    Requests {
        /// Load balancer of the `ResourceLabel`.
        load_balancer: String,
        /// Target group.
        target_group: String,
    },
}

/// Refuses what AWS refuses of a predictive policy (PRED-3, PRED-4, PRED-6).
pub fn check(policy: &PredictiveScalingPolicy, resource: &ScaledResource) -> Result<(), Refused> {
    let refused = |rule, message: String| Err(Refused { code: "ValidationException", message, rule });
    if matches!(resource, ScaledResource::Group { .. }) {
        return refused("PRED-4", "The predefined metric pair is not valid for an Auto Scaling group.".to_owned());
    }
    if !(policy.target.is_finite() && policy.target > 0.0) {
        return refused("PRED-4", format!("TargetValue must be a positive number, not {:?}.", policy.target));
    }
    // The API's shape admits 3600, and one of AWS's examples uses it.
    if policy.buffer > SimDuration::HOUR {
        let seconds = policy.buffer.as_secs();
        return refused("PRED-3", format!("SchedulingBufferTime must be at most 3600 seconds, not {seconds}."));
    }
    if policy.max_capacity_buffer.is_some_and(|buffer| buffer > 100) {
        return refused("PRED-6", "MaxCapacityBuffer must be between 0 and 100.".to_owned());
    }
    Ok(())
}

/// Refuses a second policy that scales on one target (PRED-7).
pub fn check_beside(policy: &PredictiveScalingPolicy, other: &PredictiveScalingPolicy) -> Result<(), Refused> {
    if policy.scales && other.scales {
        return Err(Refused {
            code: "ValidationException",
            message: "Only one predictive scaling policy of a scalable target can be in ForecastAndScale mode."
                .to_owned(),
            rule: "PRED-7",
        });
    }
    Ok(())
}

/// The load of the hours to come, by number of the hour.
pub type Forecast = BTreeMap<u64, f64>;

/// Forecasts the hours `next..next + 48` from the load of those before, by number of the hour (PRED-1, PRED-5).
///
/// `None` with less than a day of history. An hour that no earlier day or week knows is left out.
pub fn forecast(history: &BTreeMap<u64, f64>, next: u64) -> Option<Forecast> {
    let (first, _) = history.first_key_value()?;
    let (last, _) = history.range(..next).next_back()?;
    let span = last + 1 - first;
    if span < LEAST_HISTORY {
        return None;
    }
    let begin = next.saturating_sub(MOST_HISTORY);
    // Two weeks tell one weekday from another.
    let seasons: &[u64] = if span >= MOST_HISTORY { &[WEEK, DAY] } else { &[DAY] };
    let mean = |hour: u64, season: u64| {
        let same = (1..).map_while(|back| hour.checked_sub(back * season).filter(|hour| *hour >= begin));
        let loads: Vec<f64> = same.filter(|hour| *hour < next).filter_map(|hour| history.get(&hour).copied()).collect();
        (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64)
    };
    let of_hour = |hour: u64| seasons.iter().find_map(|season| mean(hour, *season));
    Some((next..next + HORIZON).filter_map(|hour| Some((hour, of_hour(hour)?))).collect())
}

/// What a unit of load shows in the scaling metric when one task carries it: the factor by which a load counts towards the
/// target (PRED-4).
///
/// The least-squares fit of `scaling · capacity = factor · load` through the origin over the hours that all three know;
/// `None` when they know none, or nothing was carried. AWS says only that the two are correlated.
pub fn load_factor(
    load: &BTreeMap<u64, f64>,
    scaling: &BTreeMap<u64, f64>,
    capacity: &BTreeMap<u64, f64>,
) -> Option<f64> {
    let hours = load.iter().filter_map(|(hour, load)| Some((*load, scaling.get(hour)? * capacity.get(hour)?)));
    let (squares, products) =
        hours.fold((0.0, 0.0), |(squares, products), (load, shown)| (squares + load * load, products + load * shown));
    (squares > 0.0 && products > 0.0).then(|| products / squares)
}

/// What a policy makes of the hour to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The capacity it asks for, within the bounds.
    pub capacity: u32,
    /// The maximum that has to be raised for it, for good (PRED-6).
    pub raised_max: Option<u32>,
    /// What to do about it.
    pub verdict: Verdict,
}

/// The capacity for an hour whose load is forecast, in units of the target (see [`load_factor`]): it is only ever added (PRED-2, PRED-5, PRED-6).
pub fn on_hour(policy: &PredictiveScalingPolicy, load: f64, view: &TargetView) -> Prediction {
    let needed = required_capacity(1, load, policy.target);
    let max = match policy.max_capacity_buffer {
        // Whole numbers: 50 and 10 % are exactly 55.
        Some(buffer) => {
            let with_buffer = (u64::from(needed) * u64::from(100 + buffer)).div_ceil(100);
            view.max.max(u32::try_from(with_buffer).unwrap_or(u32::MAX))
        }
        None => view.max,
    };
    let capacity = TargetView { max, ..*view }.clamp(i64::from(needed));
    let inputs = vec![
        ("load", load),
        ("target", policy.target),
        ("needed", f64::from(needed)),
        ("desired", f64::from(view.desired)),
        ("min", f64::from(view.min)),
        ("max", f64::from(max)),
    ];
    let formula = Formula::Load { load, target: policy.target, result: needed };
    let verdict = if view.scale_out_suspended {
        Verdict::computed(NotScaledReason::Suspended, "AAS-10", inputs, formula)
    } else if capacity <= view.desired {
        Verdict::computed(NotScaledReason::AlreadyAtDesiredCapacity, "PRED-2", inputs, formula)
    } else {
        Verdict::set(capacity, "PRED-3", inputs, formula)
    };
    Prediction { capacity, raised_max: (max > view.max).then_some(max), verdict }
}

/// The next instant at or after `from` at which a policy acts, and the number of the hour it acts for (PRED-3).
pub fn next_action(buffer: SimDuration, from: SimTime) -> (SimTime, u64) {
    let hour = from.saturating_add(buffer).as_nanos().div_ceil(SimDuration::HOUR.as_nanos());
    let start = SimTime::ZERO + SimDuration::HOUR * hour;
    (SimTime::from_nanos(start.as_nanos() - buffer.as_nanos()), hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PredictiveScalingPolicy {
        PredictiveScalingPolicy {
            target: 50.0,
            load: PredictiveMetric::Total(LoadMetric::Cpu),
            scaling: None,
            scales: true,
            buffer: SimDuration::from_secs(300),
            max_capacity_buffer: None,
        }
    }

    fn view(desired: u32, max: u32) -> TargetView {
        TargetView { running: desired, desired, min: 1, max, ..TargetView::default() }
    }

    /// A load that depends on the hour of the day and, by `weekend`, on the day of the week.
    fn load(hour: u64, weekend: f64) -> f64 {
        let busy = if (8..20).contains(&(hour % DAY)) { 600.0 } else { 100.0 };
        if (hour / DAY) % 7 >= 5 { busy * weekend } else { busy }
    }

    fn history(hours: std::ops::Range<u64>, weekend: f64) -> BTreeMap<u64, f64> {
        hours.map(|hour| (hour, load(hour, weekend))).collect()
    }

    #[test]
    fn ex_pred_1() {
        let policy = PredictiveScalingPolicy { max_capacity_buffer: Some(10), ..policy() };
        let prediction = on_hour(&policy, 50.0 * 50.0, &view(30, 40));
        assert_eq!((prediction.capacity, prediction.raised_max), (50, Some(55)));
        assert_eq!(prediction.verdict.to(), Some(50));
    }

    #[test]
    fn ex_pred_2_when_it_acts() {
        let buffer = SimDuration::from_secs(300);
        let ten = SimTime::from_secs(10 * 3600);
        assert_eq!(next_action(buffer, SimTime::from_secs(9 * 3600)), (SimTime::from_secs(9 * 3600 + 3300), 10));
        assert_eq!(next_action(buffer, ten), (SimTime::from_secs(10 * 3600 + 3300), 11));
        assert_eq!(next_action(SimDuration::ZERO, ten), (ten, 10));
        assert_eq!(next_action(SimDuration::HOUR, ten), (ten, 11));
        assert_eq!(on_hour(&policy(), 12.0 * 50.0, &view(8, 20)).verdict.to(), Some(12));
    }

    #[test]
    fn ex_pred_3() {
        let prediction = on_hour(&policy(), 6.0 * 50.0, &view(9, 20));
        assert_eq!((prediction.capacity, prediction.verdict.to()), (6, None), "it never removes capacity");
    }

    #[test]
    fn ex_pred_4() {
        assert_eq!(forecast(&history(0..23, 1.0), 23), None);
        assert!(forecast(&history(0..24, 1.0), 24).is_some());
        assert_eq!(forecast(&BTreeMap::new(), 100), None);
    }

    #[test]
    fn pred_5_a_day_is_learned_from_a_day() {
        let forecast = forecast(&history(0..24, 1.0), 24).unwrap();
        assert_eq!(forecast.len(), 48);
        assert!(forecast.iter().all(|(hour, forecast)| *forecast == load(*hour, 1.0)), "{forecast:?}");
    }

    #[test]
    fn pred_5_days_are_averaged_until_two_weeks_tell_them_apart() {
        // Days 0 to 4 are working days, 5 and 6 the weekend at half the load.
        let before = forecast(&history(0..10 * DAY, 0.5), 10 * DAY).unwrap();
        let noon = 10 * DAY + 12;
        assert!((before[&noon] - (8.0 * 600.0 + 2.0 * 300.0) / 10.0).abs() < 1e-9, "{}", before[&noon]);
        // Day 19 is a Saturday, of which the two before were at half the load.
        let after = forecast(&history(0..19 * DAY, 0.5), 19 * DAY).unwrap();
        assert_eq!(after[&(19 * DAY + 12)], 300.0);
        assert_eq!(after[&(20 * DAY + 12)], 300.0);
        // Only the last 14 days count.
        let grown: BTreeMap<u64, f64> =
            (0..30 * DAY).map(|hour| (hour, if hour < 16 * DAY { 1.0 } else { 9.0 })).collect();
        assert!(forecast(&grown, 30 * DAY).unwrap().values().all(|load| *load == 9.0));
    }

    #[test]
    fn pred_5_an_hour_without_data_is_not_forecast() {
        let mut gappy = history(0..24, 1.0);
        gappy.remove(&3);
        let forecast = forecast(&gappy, 24).unwrap();
        assert!(!forecast.contains_key(&27) && forecast.contains_key(&28));
    }

    #[test]
    fn pred_6_the_maximum_is_honoured_or_raised() {
        let honoured = on_hour(&policy(), 50.0 * 50.0, &view(30, 40));
        assert_eq!((honoured.capacity, honoured.raised_max), (40, None));
        let exactly = PredictiveScalingPolicy { max_capacity_buffer: Some(0), ..policy() };
        assert_eq!(on_hour(&exactly, 50.0 * 50.0, &view(30, 40)).raised_max, Some(50));
        let near = PredictiveScalingPolicy { max_capacity_buffer: Some(10), ..policy() };
        assert_eq!(on_hour(&near, 38.0 * 50.0, &view(30, 40)).raised_max, Some(42), "near the maximum");
        assert_eq!(on_hour(&near, 20.0 * 50.0, &view(10, 40)).raised_max, None);
    }

    #[test]
    fn pred_4_load_and_scaling_metric_may_be_of_two_kinds() {
        // Requests as load, CPU as scaling metric: 100 requests are 5 % of a task.
        let hours = |values: &[(u64, f64)]| values.iter().copied().collect::<BTreeMap<_, _>>();
        let load = hours(&[(0, 1000.0), (1, 4000.0), (2, 9000.0), (3, 0.0)]);
        let scaling = hours(&[(0, 25.0), (1, 50.0), (2, 75.0)]);
        let capacity = hours(&[(0, 2.0), (1, 4.0), (2, 6.0), (3, 2.0)]);
        let factor = load_factor(&load, &scaling, &capacity).unwrap();
        assert!((factor - 0.05).abs() < 1e-12, "{factor}");
        assert_eq!(on_hour(&policy(), 12_000.0 * factor, &view(2, 20)).capacity, 12, "600 % at 50 % each");
        assert_eq!(load_factor(&load, &hours(&[(9, 1.0)]), &capacity), None, "no hour in common");
        assert_eq!(load_factor(&hours(&[(3, 0.0)]), &hours(&[(3, 0.0)]), &capacity), None, "nothing carried");
    }

    #[test]
    fn pred_7_only_one_policy_scales() {
        let watches = PredictiveScalingPolicy { scales: false, ..policy() };
        assert!(check_beside(&policy(), &watches).is_ok() && check_beside(&watches, &watches).is_ok());
        assert_eq!(check_beside(&policy(), &policy()).unwrap_err().rule, "PRED-7");
    }

    #[test]
    fn pred_3_and_6_bounds_of_the_settings() {
        let service = ScaledResource::Service { cluster: "c".into(), service: "s".into() };
        let rule = |policy: PredictiveScalingPolicy| check(&policy, &service).err().map(|refused| refused.rule);
        assert_eq!(rule(policy()), None);
        assert_eq!(rule(PredictiveScalingPolicy { buffer: SimDuration::HOUR, ..policy() }), None);
        assert_eq!(rule(PredictiveScalingPolicy { buffer: SimDuration::from_secs(3601), ..policy() }), Some("PRED-3"));
        assert_eq!(rule(PredictiveScalingPolicy { max_capacity_buffer: Some(101), ..policy() }), Some("PRED-6"));
        assert_eq!(rule(PredictiveScalingPolicy { target: 0.0, ..policy() }), Some("PRED-4"));
        let group = ScaledResource::Group { group: "g".into() };
        assert!(check(&policy(), &group).is_err());
    }
}
