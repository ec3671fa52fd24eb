//! `CloudWatch` alarms: definition, window, missing data, and when their actions run (ALM-*).
//!
//! [`decide`] is the rule itself, on points that breach, do not breach or are missing. [`Alarm::evaluate`] looks up
//! those points and changes nothing; [`Alarm::apply`] takes the outcome and says which actions are due.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::behaviour::Behaviour;
use crate::engine::streams::fnv1a;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::metric::{Datapoint, MetricStore, SeriesId, Statistic, Unit};
use crate::scaling::metric_math::{MathMetric, MetricMath};
use crate::schedule::wall_clock;

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

impl fmt::Display for MetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.namespace, self.name)?;
        let dimensions: Vec<String> = self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if dimensions.is_empty() { Ok(()) } else { write!(f, " {{{}}}", dimensions.join(", ")) }
    }
}

impl MetricKey {
    /// The value of a dimension.
    pub fn dimension(&self, name: &str) -> Option<&str> {
        self.dimensions.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `namespace` `name` with `dimensions` in any order.
    pub fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let mut dimensions: Vec<_> =
            dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        dimensions.sort();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), dimensions }
    }

    /// A metric of a service, for example `CPUUtilization` (TT-5).
    pub fn service(cluster: &str, service: &str, name: &str) -> Self {
        Self::new("AWS/ECS", name, &[("ClusterName", cluster), ("ServiceName", service)])
    }

    /// A metric of a cluster, for example `CPUReservation` (ECSM-10, ECSM-11).
    pub fn cluster(cluster: &str, name: &str) -> Self {
        Self::new("AWS/ECS", name, &[("ClusterName", cluster)])
    }

    /// `CapacityProviderReservation` (CAS-1).
    pub fn capacity_provider_reservation(cluster: &str, provider: &str) -> Self {
        let dimensions = [("CapacityProviderName", provider), ("ClusterName", cluster)];
        Self::new("AWS/ECS/ManagedScaling", "CapacityProviderReservation", &dimensions)
    }

    /// `RequestCountPerTarget` of a target group behind a load balancer (ALBM-1, TT-5).
    pub fn request_count_per_target(load_balancer: &str, target_group: &str) -> Self {
        let dimensions = [("LoadBalancer", load_balancer), ("TargetGroup", target_group)];
        Self::new("AWS/ApplicationELB", "RequestCountPerTarget", &dimensions)
    }

    /// `CPUUtilization` of the instances of a group.
    pub fn group_cpu(group: &str) -> Self {
        Self::new("AWS/EC2", "CPUUtilization", &[("AutoScalingGroupName", group)])
    }
}

/// What an alarm watches.
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// A statistic of one series.
    Metric(MetricKey, Statistic),
    /// `Metrics`: an expression over several (MATH-5).
    Math(Arc<MetricMath>),
}

impl Watched {
    /// The series it needs and which statistic of each.
    pub fn metrics(&self) -> Vec<(&MetricKey, Statistic)> {
        match self {
            Self::Metric(key, statistic) => vec![(key, *statistic)],
            Self::Math(math) => math.metrics().map(|metric| (&metric.key, metric.statistic)).collect(),
        }
    }
}

/// A metric alarm, as `put-metric-alarm` describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmDefinition {
    /// `AlarmName`.
    pub name: String,
    /// What it watches.
    pub watched: Watched,
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
    /// `Unit`: samples of other units are ignored (CW-1). The metrics of an expression have their own.
    pub unit: Option<Unit>,
    /// `EvaluationWindow: WallClockWindow`: only completed, clock-aligned periods count (ALM-5). It is the first boundary
    /// of the clock after time zero; the others are whole periods from there.
    pub wall_clock_window: Option<SimDuration>,
    /// `WarmUpConfiguration` (ALM-10).
    pub warm_up: Option<WarmUp>,
}

/// A time after its creation in which an alarm stays in INSUFFICIENT_DATA and does nothing (ALM-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// `WarmUpPeriodDurationInMinutes`, 1 to 2,880.
    pub length: SimDuration,
    /// `OnlyStartEvaluatingAfterWarmUpPeriodEnds`; else it ends once there are datapoints for the whole window.
    pub in_full: bool,
}

impl WarmUp {
    /// The longest: two days.
    pub const LONGEST: SimDuration = SimDuration::from_mins(2880);
}

impl AlarmDefinition {
    /// An alarm on N of N one-minute averages, with everything else as `put-metric-alarm` defaults it.
    pub fn new(
        name: impl Into<String>,
        metric: MetricKey,
        operator: ComparisonOperator,
        threshold: f64,
        evaluation_periods: u32,
    ) -> Self {
        Self {
            name: name.into(),
            watched: Watched::Metric(metric, Statistic::Average),
            period: SimDuration::MINUTE,
            evaluation_periods,
            datapoints_to_alarm: evaluation_periods,
            threshold,
            operator,
            missing_data: MissingData::Missing,
            ignore_low_samples: false,
            unit: None,
            wall_clock_window: None,
            warm_up: None,
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

impl AlarmState {
    /// As the API spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsufficientData => "INSUFFICIENT_DATA",
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
        }
    }
}

impl std::fmt::Display for AlarmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl ComparisonOperator {
    /// Whether `value` breaches `threshold` (ALM-2).
    pub fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterThanOrEqualToThreshold => value >= threshold,
            Self::GreaterThanThreshold => value > threshold,
            Self::LessThanThreshold => value < threshold,
            Self::LessThanOrEqualToThreshold => value <= threshold,
        }
    }

    /// True when large values breach.
    pub const fn is_upward(self) -> bool {
        matches!(self, Self::GreaterThanOrEqualToThreshold | Self::GreaterThanThreshold)
    }

    const fn words(self) -> &'static str {
        match self {
            Self::GreaterThanOrEqualToThreshold => "greater than or equal to",
            Self::GreaterThanThreshold => "greater than",
            Self::LessThanThreshold => "less than",
            Self::LessThanOrEqualToThreshold => "less than or equal to",
        }
    }
}

/// Most actions an alarm may have for one state (ALM-6).
pub const MAX_ACTIONS_PER_STATE: usize = 5;

/// The reason of the state an alarm is created in (ALM-13).
pub const INITIAL_REASON: &str = "Unchecked: Initial alarm creation";

const DAY: SimDuration = SimDuration::from_secs(86_400);
const WEEK: SimDuration = SimDuration::from_secs(604_800);

impl AlarmDefinition {
    /// Refuses what `put-metric-alarm` refuses of the window and the counts (ALM-6, CW-2).
    pub fn check(&self) -> Result<(), Refused> {
        let refused = |message: String| Err(Refused { code: "ValidationError", message, rule: "ALM-6" });
        let at_least_one = |name: &str| {
            refused(format!(
                "1 validation error detected: Value '0' at '{name}' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1"
            ))
        };
        let window = SimDuration::from_nanos(self.period.as_nanos().saturating_mul(u64::from(self.evaluation_periods)));
        if self.evaluation_periods == 0 {
            return at_least_one("evaluationPeriods");
        }
        if self.datapoints_to_alarm == 0 {
            return at_least_one("datapointsToAlarm");
        }
        if self.datapoints_to_alarm > self.evaluation_periods {
            return refused(format!(
                "DatapointsToAlarm ({}) must be less than or equal to EvaluationPeriods ({}).",
                self.datapoints_to_alarm, self.evaluation_periods
            ));
        }
        if !is_alarm_period(self.period) {
            return refused(format!(
                "Period must be 10, 20, 30 or a multiple of 60, not {}.",
                self.period.as_secs_f64()
            ));
        }
        if !self.threshold.is_finite() {
            return refused("Threshold must be a finite number.".to_owned());
        }
        if self.wall_clock_window.is_some() && !matches!(self.period.as_secs(), 60 | 300 | 3600 | 86_400 | 604_800) {
            return Err(Refused {
                code: "ValidationError",
                message: format!(
                    "Period must be 60, 300, 3600, 86400 or 604800 for a wall clock window, not {}.",
                    self.period.as_secs()
                ),
                rule: "ALM-5",
            });
        }
        if let Some(warm_up) = self.warm_up
            && !(SimDuration::MINUTE..=WarmUp::LONGEST).contains(&warm_up.length)
        {
            return Err(Refused {
                code: "ValidationError",
                message: format!(
                    "WarmUpPeriodDurationInMinutes must be between 1 and 2880, not {}.",
                    warm_up.length.as_secs() / 60
                ),
                rule: "ALM-10",
            });
        }
        if self.period < SimDuration::HOUR && window > DAY {
            return refused(
                "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
                    .to_owned(),
            );
        }
        if window > WEEK {
            return refused(
                "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800)."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The rule of the alarm in words: `above 60 in 3 of 3 periods of 1m`.
    pub fn window_in_words(&self) -> String {
        let side = match self.operator {
            ComparisonOperator::GreaterThanOrEqualToThreshold => "at or above",
            ComparisonOperator::GreaterThanThreshold => "above",
            ComparisonOperator::LessThanThreshold => "below",
            ComparisonOperator::LessThanOrEqualToThreshold => "at or below",
        };
        let Self { threshold, datapoints_to_alarm: m, evaluation_periods: n, period, .. } = self;
        format!("{side} {threshold} in {m} of {n} periods of {period}")
    }

    /// R: the datapoints fetched by an evaluation; N = 3 gives the published 5 (ALM-7, `alarm_range_extra`).
    pub fn evaluation_range(&self) -> u32 {
        let n = self.evaluation_periods;
        n.saturating_add((n / 3).max(2))
    }

    /// How often it is evaluated (ALM-4).
    pub fn evaluation_interval(&self) -> SimDuration {
        if self.period < SimDuration::MINUTE {
            SimDuration::from_secs(10)
        } else if self.is_hourly() {
            SimDuration::HOUR
        } else {
            SimDuration::MINUTE
        }
    }

    /// Its own tick within the interval: a hash of its name, or zero when `aligned` (`alarm_eval_phase`).
    pub fn evaluation_phase(&self, aligned: bool) -> SimDuration {
        if aligned {
            return SimDuration::ZERO;
        }
        SimDuration::from_secs(fnv1a(self.name.bytes()) % self.evaluation_interval().as_secs())
    }

    /// Long windows look at whole hours only (ALM-4).
    fn is_hourly(&self) -> bool {
        self.period.as_nanos().saturating_mul(u64::from(self.evaluation_periods)) > DAY.as_nanos()
    }

    /// What the end of the window is a multiple of: it slides by the minute (ALM-5).
    fn window_step(&self) -> SimDuration {
        if self.wall_clock_window.is_some() || self.period < SimDuration::MINUTE {
            self.period
        } else if self.is_hourly() {
            SimDuration::HOUR
        } else {
            SimDuration::MINUTE
        }
    }

    /// `TreatMissingData` as it acts: DynamoDB's metrics always `ignore` (ALM-8).
    fn treatment(&self) -> MissingData {
        match &self.watched {
            Watched::Metric(key, _) if key.namespace == "AWS/DynamoDB" => MissingData::Ignore,
            _ => self.missing_data,
        }
    }

    /// Too few samples for this percentile to mean anything (ALM-11).
    fn has_low_samples(&self, samples: u64) -> bool {
        let Watched::Metric(_, Statistic::Percentile(percentile)) = self.watched else { return false };
        let p = percentile / 100.0;
        let tail = if p >= 0.5 { 1.0 - p } else { p };
        // 10 / (1 - 0.99) is 1000.0000000000009 in floating point: 1,000 samples are enough.
        self.ignore_low_samples && (samples as f64) < 10.0 / tail - 1e-6
    }

    fn breaches(&self, point: &Datapoint) -> bool {
        self.operator.breaches(point.value, self.threshold)
    }
}

/// Periods that an alarm may have (CW-2, ALM-4).
fn is_alarm_period(period: SimDuration) -> bool {
    const NANOS_PER_SEC: u64 = 1_000_000_000;
    let secs = period.as_secs();
    period.as_nanos().is_multiple_of(NANOS_PER_SEC)
        && (matches!(secs, 10 | 20 | 30)
            || (secs > 0 && secs.is_multiple_of(60) && (secs <= 86_400 || secs == 604_800)))
}

/// What the rule needs to know of an alarm besides its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Criteria {
    /// N.
    pub evaluation_periods: u32,
    /// M.
    pub datapoints_to_alarm: u32,
    /// How missing points count.
    pub missing_data: MissingData,
    /// A premature alarm keeps its state instead of turning to INSUFFICIENT_DATA (`alarm_pending_keeps_state`).
    pub pending_keeps_state: bool,
}

/// The state after looking at `points`, R of them, oldest first: breaching or not, `None` for a missing one
/// (ALM-1…9, the normative algorithm).
pub fn decide(points: &[Option<bool>], criteria: Criteria, state: AlarmState) -> AlarmState {
    let n = criteria.evaluation_periods as usize;
    let m = criteria.datapoints_to_alarm as usize;
    let alarm_if = |condition: bool| if condition { AlarmState::Alarm } else { AlarmState::Ok };
    let real = points.iter().flatten().count();
    if real >= n {
        // With N real points the treatment of missing ones does not matter (ALM-8).
        let breaching = points.iter().rev().flatten().take(n).filter(|breaching| **breaching).count();
        return alarm_if(breaching >= m);
    }
    let breaching = points.iter().flatten().filter(|breaching| **breaching).count();
    let treatment = criteria.missing_data;
    match treatment {
        MissingData::Breaching => alarm_if(breaching + (n - real) >= m),
        MissingData::NotBreaching => alarm_if(breaching >= m),
        MissingData::Missing if real == 0 => AlarmState::InsufficientData,
        MissingData::Ignore if real == 0 => state,
        MissingData::Missing | MissingData::Ignore if breaching >= m => AlarmState::Alarm,
        MissingData::Missing | MissingData::Ignore if breaching < real => AlarmState::Ok,
        MissingData::Ignore => state,
        MissingData::Missing => {
            // All real points breach and there are too few: alarm only once the oldest is M periods old (ALM-9).
            let age = points.iter().position(Option::is_some).map_or(0, |oldest| points.len() - oldest);
            if age >= m {
                AlarmState::Alarm
            } else if criteria.pending_keeps_state {
                state
            } else {
                AlarmState::InsufficientData
            }
        }
    }
}

/// The outcome of one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// When.
    pub at: SimTime,
    /// The state it gives.
    pub state: AlarmState,
    /// `recentDatapoints`, oldest first: what was looked at and what actions are given (ALM-23).
    pub datapoints: Vec<Datapoint>,
    /// The alarm warms up: its state stays and nothing is done (ALM-10).
    pub warming_up: bool,
}

impl Evaluation {
    /// The newest datapoint looked at.
    pub fn newest(&self) -> Option<&Datapoint> {
        self.datapoints.last()
    }

    /// `StateReason` (ALM-13); `start` is the wall-clock instant of time zero.
    pub fn reason(&self, alarm: &AlarmDefinition, start: jiff::Timestamp) -> String {
        let n = alarm.evaluation_periods as usize;
        let fill = n.saturating_sub(self.datapoints.len());
        let breaching = self.state == AlarmState::Alarm;
        // AWS lists the datapoints that speak for the new state, the newest first.
        let deciding: Vec<&Datapoint> =
            self.datapoints.iter().rev().filter(|point| alarm.breaches(point) == breaching).collect();
        let treated = match alarm.treatment() {
            MissingData::Breaching if breaching => Some("Breaching"),
            MissingData::NotBreaching if !breaching => Some("NonBreaching"),
            _ => None,
        };
        let periods = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let were = |count: usize| if count == 1 { "was" } else { "were" };
        if self.state == AlarmState::InsufficientData {
            return format!("Insufficient Data: {} {} unknown.", periods(n, "datapoint"), were(n));
        }
        if deciding.is_empty() {
            return match treated {
                Some(treated) => format!(
                    "Threshold Crossed: no datapoints were received for {} and {} {} treated as [{treated}].",
                    periods(fill, "period"),
                    periods(fill, "missing datapoint"),
                    were(fill)
                ),
                None => format!("Unchanged: {} cannot decide.", periods(self.datapoints.len(), "datapoint")),
            };
        }
        let mut text = String::from("Threshold Crossed: ");
        let of_last = alarm.datapoints_to_alarm < alarm.evaluation_periods;
        // Writing to a String cannot fail.
        if of_last {
            let _ = write!(text, "{} out of the last {} [", deciding.len(), periods(n, "datapoint"));
        } else {
            let _ = write!(text, "{} [", periods(deciding.len(), "datapoint"));
        }
        for (position, point) in deciding.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            let stamp = wall_clock(start, point.start).strftime("%d/%m/%y %H:%M:%S");
            let _ = write!(text, "{separator}{:?} ({stamp})", point.value);
        }
        let not = if breaching { "" } else { "not " };
        let (verb, words) = (were(deciding.len()), alarm.operator.words());
        let _ = write!(text, "] {verb} {not}{words} the threshold ({:?})", alarm.threshold);
        if let (Some(treated), true) = (treated, fill > 0) {
            let _ = write!(text, " and {} {} treated as [{treated}]", periods(fill, "missing datapoint"), were(fill));
        }
        if of_last {
            let needed = if breaching {
                alarm.datapoints_to_alarm
            } else {
                alarm.evaluation_periods - alarm.datapoints_to_alarm + 1
            };
            let change = if breaching { "OK -> ALARM" } else { "ALARM -> OK" };
            let _ = write!(text, " (minimum {} for {change} transition)", periods(needed as usize, "datapoint"));
        }
        text.push('.');
        text
    }
}

/// Why actions may be due after an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The state changed: every action of the new state runs.
    Transition {
        /// The state before.
        from: AlarmState,
    },
    /// The state has lasted another minute: scaling actions run again, with fresh data (ALM-20).
    Repeat,
    /// Nothing is due.
    Nothing,
}

/// An alarm at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Alarm {
    /// What it watches and when it goes off.
    pub definition: AlarmDefinition,
    /// Its series in the store, in the order in which it needs them.
    pub series: Vec<SeriesId>,
    /// Its state.
    pub state: AlarmState,
    /// Since when it has been in that state.
    pub since: SimTime,
    phase: SimDuration,
    pending_keeps_state: bool,
    /// When scaling actions last ran or would have run.
    acted: Option<SimTime>,
    created: SimTime,
    /// Its warm-up has not ended yet (ALM-10).
    warming_up: bool,
}

impl Alarm {
    /// How long a state lasts before scaling actions run again, also for 10 s alarms (ALM-20, ALM-21).
    pub const REPEAT: SimDuration = SimDuration::MINUTE;

    /// A new alarm: INSUFFICIENT_DATA until its first evaluation, which sees the data from before (ALM-1).
    pub fn new(definition: AlarmDefinition, store: &mut MetricStore, behaviour: &Behaviour, now: SimTime) -> Self {
        let alarm = Self {
            phase: definition.evaluation_phase(behaviour.alarm_eval_aligned),
            series: series_of(&definition, store),
            warming_up: definition.warm_up.is_some(),
            definition,
            state: AlarmState::InsufficientData,
            since: now,
            pending_keeps_state: behaviour.alarm_pending_keeps_state,
            acted: None,
            created: now,
        };
        alarm.keep_data(store);
        alarm
    }

    /// Evaluates at `phase` past each interval instead of at a tick of its own (CAS-35: after each datapoint).
    pub fn with_phase(mut self, phase: SimDuration) -> Self {
        let interval = self.definition.evaluation_interval().as_nanos();
        self.phase = SimDuration::from_nanos(phase.as_nanos() % interval);
        self
    }

    /// `put-metric-alarm` on an existing name: the state stays (ALM-1), and a warm-up that has ended does not start again
    /// (ALM-10).
    pub fn update(&mut self, definition: AlarmDefinition, store: &mut MetricStore, behaviour: &Behaviour) {
        self.series = series_of(&definition, store);
        self.phase = definition.evaluation_phase(behaviour.alarm_eval_aligned);
        self.definition = definition;
        self.keep_data(store);
    }

    /// The first evaluation that is not before `now` (ALM-4).
    pub fn next_evaluation(&self, now: SimTime) -> SimTime {
        let interval = self.definition.evaluation_interval();
        let first = SimTime::ZERO + self.phase;
        let intervals = now.saturating_since(first).as_nanos().div_ceil(interval.as_nanos());
        first + interval * intervals
    }

    /// What the data that shows at `now` says.
    pub fn evaluate(&self, store: &MetricStore, now: SimTime) -> Evaluation {
        let definition = &self.definition;
        let n = definition.evaluation_periods as usize;
        let range = definition.evaluation_range() as usize;
        let points = self.points(store, range, now);
        // The newest N real points decide, and go with the action (ALM-8, ALM-23).
        let mut datapoints: Vec<Datapoint> = points.iter().rev().flatten().take(n).copied().collect();
        let criteria = Criteria {
            evaluation_periods: definition.evaluation_periods,
            datapoints_to_alarm: definition.datapoints_to_alarm,
            missing_data: definition.treatment(),
            pending_keeps_state: self.pending_keeps_state,
        };
        let warming_up = self.is_warming_up(datapoints.len() >= n, now);
        let state = match datapoints.first() {
            _ if warming_up => self.state,
            Some(newest) if definition.has_low_samples(newest.samples) => self.state,
            _ => {
                let breaching: Vec<Option<bool>> =
                    points.iter().map(|point| point.map(|point| definition.breaches(&point))).collect();
                decide(&breaching, criteria, self.state)
            }
        };
        datapoints.reverse();
        Evaluation { at: now, state, datapoints, warming_up }
    }

    /// ALM-10: until its time is over, or earlier once the window is full, unless it is to last in full.
    fn is_warming_up(&self, window_is_full: bool, now: SimTime) -> bool {
        let Some(warm_up) = self.definition.warm_up.filter(|_| self.warming_up) else { return false };
        now < self.created.saturating_add(warm_up.length) && (warm_up.in_full || !window_is_full)
    }

    /// The newest `range` datapoints that can show at `now`, oldest first.
    fn points(&self, store: &MetricStore, range: usize, now: SimTime) -> Vec<Option<Datapoint>> {
        let definition = &self.definition;
        let period = definition.period;
        let end = self.window_end(store, now).unwrap_or(SimTime::ZERO);
        let slots = (0..range as u64).rev().map(|back| {
            let end = SimTime::from_nanos(end.as_nanos().saturating_sub(period.as_nanos().saturating_mul(back)));
            // The period that straddles the start of the run has what came since.
            (SimTime::from_nanos(end.as_nanos().saturating_sub(period.as_nanos())), end)
        });
        let window = |series: SeriesId, statistic: Statistic, unit: Option<Unit>| {
            slots.clone().map(move |(start, end)| {
                (end > SimTime::ZERO)
                    .then(|| store.statistic_in(series, unit, statistic, start, end - start, now))
                    .flatten()
            })
        };
        match &definition.watched {
            Watched::Metric(_, statistic) => window(self.series[0], *statistic, definition.unit).collect(),
            Watched::Math(math) => {
                let values = |(series, metric): (&SeriesId, &MathMetric)| -> Vec<Option<f64>> {
                    window(*series, metric.statistic, metric.unit).map(|point| point.map(|point| point.value)).collect()
                };
                let windows: Vec<Vec<Option<f64>>> = self.series.iter().zip(math.metrics()).map(values).collect();
                let results = slots.zip(math.evaluate(&windows));
                // Nothing is filled before the run began.
                results
                    .map(|((start, end), value)| {
                        let value = value.filter(|_| end > SimTime::ZERO)?;
                        Some(Datapoint { start, value, samples: 1 })
                    })
                    .collect()
            }
        }
    }

    /// Where the newest period ends: a delay of publication does not age a point, so it ends where data can show (ALM-9).
    ///
    /// Of several series it is the latest that waits longest; but an expression that fills what is missing does not
    /// wait, and fills the newest period of late data each time (MATH-4).
    fn window_end(&self, store: &MetricStore, now: SimTime) -> Option<SimTime> {
        let step = self.definition.window_step();
        if let Watched::Math(math) = &self.definition.watched
            && math.fills()
        {
            return self.on_boundary(now);
        }
        // Of a wall clock window the boundaries need not be multiples since time zero.
        let fine = if self.definition.wall_clock_window.is_some() { SimDuration::from_nanos(1) } else { step };
        let end = self
            .series
            .iter()
            .map(|series| store.publication(*series).newest_end(now, fine))
            .reduce(|first, second| Some(first?.min(second?)))
            .flatten()?;
        self.on_boundary(end)
    }

    /// The newest boundary between two periods that is not after `at`; `None` before the first one of the clock.
    fn on_boundary(&self, at: SimTime) -> Option<SimTime> {
        let first = self.definition.wall_clock_window.unwrap_or(SimDuration::ZERO);
        let since = at.as_nanos().checked_sub(first.as_nanos())?;
        Some(SimTime::from_nanos(since).previous_multiple_of(self.definition.window_step()) + first)
    }

    /// `set-alarm-state`: another state until the next evaluation (ALM-22). Whether that is a change.
    pub fn set_state(&mut self, state: AlarmState, now: SimTime) -> bool {
        if state == self.state {
            return false;
        }
        self.state = state;
        self.since = now;
        self.acted = Some(now);
        true
    }

    /// Takes an evaluation's state; says which actions are due (ALM-20).
    pub fn apply(&mut self, evaluation: &Evaluation) -> Occasion {
        let now = evaluation.at;
        self.warming_up = evaluation.warming_up;
        let from = self.state;
        if self.set_state(evaluation.state, now) {
            return Occasion::Transition { from };
        }
        match self.acted {
            Some(last) if now.saturating_since(last) >= Self::REPEAT => {
                self.acted = Some(now);
                Occasion::Repeat
            }
            _ => Occasion::Nothing,
        }
    }

    fn keep_data(&self, store: &mut MetricStore) {
        let definition = &self.definition;
        let periods = u64::from(definition.evaluation_range());
        let window = SimDuration::from_nanos(definition.period.as_nanos().saturating_mul(periods));
        let span = SimDuration::from_nanos(window.as_nanos().saturating_add(definition.window_step().as_nanos()));
        for (series, (_, statistic)) in self.series.iter().zip(definition.watched.metrics()) {
            store.retain(*series, span, statistic.needs_samples());
        }
    }
}

fn series_of(definition: &AlarmDefinition, store: &mut MetricStore) -> Vec<SeriesId> {
    definition.watched.metrics().into_iter().map(|(key, _)| store.intern(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaling::metric::{Publication, StatisticSet};
    use crate::scaling::metric_math::{MathMetric, MetricDataQuery, Query};
    use rstest::rstest;

    const MINUTE: SimDuration = SimDuration::MINUTE;

    fn key() -> MetricKey {
        MetricKey { namespace: "Test".into(), name: "m".into(), dimensions: Vec::new() }
    }

    fn above(threshold: f64, n: u32) -> AlarmDefinition {
        AlarmDefinition::new("high", key(), ComparisonOperator::GreaterThanThreshold, threshold, n)
    }

    fn below(threshold: f64, n: u32) -> AlarmDefinition {
        AlarmDefinition::new("low", key(), ComparisonOperator::LessThanThreshold, threshold, n)
    }

    fn with_statistic(statistic: Statistic, definition: AlarmDefinition) -> AlarmDefinition {
        AlarmDefinition { watched: Watched::Metric(key(), statistic), ..definition }
    }

    fn aligned() -> Behaviour {
        Behaviour { alarm_eval_aligned: true, ..Behaviour::default() }
    }

    /// Feeds one value per period, evaluates after each, and spells the states I, O and A.
    fn states(definition: AlarmDefinition, series: &[Option<f64>]) -> String {
        let mut store = MetricStore::new();
        let period = definition.period;
        let mut alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        store.publish(alarm.series[0], Publication::after_end(period.min(MINUTE), SimDuration::ZERO));
        let mut text = String::new();
        for (n, value) in (0..).zip(series) {
            if let Some(value) = value {
                store.push(alarm.series[0], SimTime::ZERO + period * n, &StatisticSet::of(*value)).unwrap();
            }
            let evaluation = alarm.evaluate(&store, SimTime::ZERO + period * (n + 1));
            alarm.apply(&evaluation);
            text.push(match alarm.state {
                AlarmState::InsufficientData => 'I',
                AlarmState::Ok => 'O',
                AlarmState::Alarm => 'A',
            });
        }
        text
    }

    fn series(text: &str) -> Vec<Option<f64>> {
        text.split(' ').map(|value| value.parse().ok()).collect()
    }

    /// `0 - X`: not breaching, missing, breaching; oldest on the left.
    fn points(text: &str) -> Vec<Option<bool>> {
        text.split(' ').map(|mark| (mark != "-").then_some(mark == "X")).collect()
    }

    /// The four columns of AWS's tables: OK, ALARM, INSUFFICIENT_DATA or `keep`.
    fn check(m: u32, pattern: &str, columns: [&str; 4]) {
        let treatments = [MissingData::Missing, MissingData::Ignore, MissingData::Breaching, MissingData::NotBreaching];
        for (missing_data, expect) in treatments.into_iter().zip(columns) {
            for state in [AlarmState::InsufficientData, AlarmState::Ok, AlarmState::Alarm] {
                let criteria =
                    Criteria { evaluation_periods: 3, datapoints_to_alarm: m, missing_data, pending_keeps_state: true };
                let got = decide(&points(pattern), criteria, state);
                let expect = if expect == "keep" { state.name() } else { expect };
                assert_eq!(got.name(), expect, "{pattern}, M={m}, {missing_data:?}, from {state}");
            }
        }
    }

    #[test]
    fn ex_alm_1() {
        check(3, "0 - X - X", ["OK"; 4]);
    }

    #[test]
    fn ex_alm_2() {
        check(3, "- - - - -", ["INSUFFICIENT_DATA", "keep", "ALARM", "OK"]);
    }

    #[test]
    fn ex_alm_3() {
        check(3, "0 X X - X", ["ALARM"; 4]);
    }

    #[test]
    fn ex_alm_4() {
        check(2, "0 0 X 0 X", ["ALARM"; 4]);
    }

    #[test]
    fn ex_alm_5() {
        check(2, "0 - X - -", ["OK", "OK", "ALARM", "OK"]);
    }

    #[test]
    fn ex_alm_6() {
        check(2, "- - - X -", ["ALARM", "keep", "ALARM", "OK"]);
    }

    #[test]
    fn ex_alm_7() {
        check(3, "- - - - X", ["keep", "keep", "ALARM", "OK"]);
        check(3, "- - - X -", ["keep", "keep", "ALARM", "OK"]);
    }

    #[test]
    fn alm_9_a_premature_alarm_may_turn_to_insufficient_data() {
        let mut criteria = Criteria {
            evaluation_periods: 3,
            datapoints_to_alarm: 3,
            missing_data: MissingData::Missing,
            pending_keeps_state: false,
        };
        assert_eq!(decide(&points("- - - - X"), criteria, AlarmState::Ok), AlarmState::InsufficientData);
        criteria.missing_data = MissingData::Ignore;
        assert_eq!(decide(&points("- - - - X"), criteria, AlarmState::Ok), AlarmState::Ok);
    }

    #[test]
    fn ex_alm_8() {
        assert_eq!(states(above(3.0, 3), &series("4 4 5 5 4 2 1 2 4 2")), "IIAAAOOOOO");
    }

    #[test]
    fn ex_alm_9() {
        assert_eq!(states(above(50.0, 3), &series("40 55 60 75 50 51 52 49")), "OOOAOOOO");
    }

    #[test]
    fn ex_alm_10() {
        assert_eq!(states(below(45.0, 15), &vec![Some(10.0); 16]), format!("{}AA", "I".repeat(14)));
    }

    #[test]
    fn ex_alm_11() {
        assert_eq!(states(above(50.0, 3), &series("40 60 60 - 60 - -")), "OOOOAAA");
    }

    #[test]
    fn ex_alm_12() {
        let values: Vec<_> = [vec![Some(10.0); 10], vec![None; 3], vec![Some(10.0); 6]].concat();
        assert_eq!(states(below(45.0, 15), &values), format!("{}AAAAA", "I".repeat(14)));
    }

    #[test]
    fn ex_alm_13() {
        let twenty = SimDuration::from_secs(20);
        let definition = AlarmDefinition { period: twenty, ..above(50.0, 3) };
        let mut store = MetricStore::new();
        // Seconds since 02:53:00, with the phase that makes the observed tick.
        let mut alarm =
            Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO).with_phase(SimDuration::from_secs(2));
        store.publish(alarm.series[0], Publication::after_end(twenty, SimDuration::from_secs(12)));
        store.push(alarm.series[0], SimTime::from_secs(20), &StatisticSet::of(0.29)).unwrap();
        let mut now = SimTime::ZERO;
        let changed = loop {
            now = alarm.next_evaluation(now);
            let evaluation = alarm.evaluate(&store, now);
            if alarm.apply(&evaluation) != Occasion::Nothing {
                break evaluation;
            }
            now += SimDuration::from_nanos(1);
        };
        assert_eq!((changed.at, changed.state), (SimTime::from_secs(52), AlarmState::Ok));
        // ALM-13: the reason AWS gave.
        let start: jiff::Timestamp = "2026-09-17T02:53:00Z".parse().unwrap();
        assert_eq!(
            changed.reason(&alarm.definition, start),
            "Threshold Crossed: 1 datapoint [0.29 (17/09/26 02:53:20)] was not greater than the threshold (50.0)."
        );
    }

    #[test]
    fn ex_alm_14() {
        let definition = with_statistic(Statistic::Sum, AlarmDefinition { period: MINUTE * 5, ..above(0.0, 1) });
        let mut store = MetricStore::new();
        let alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        for n in 0..6 {
            store.push(alarm.series[0], SimTime::ZERO + MINUTE * n, &StatisticSet::of(10f64.powi(n as i32))).unwrap();
        }
        let sum = |minute: u64| {
            let evaluation = alarm.evaluate(&store, SimTime::ZERO + MINUTE * minute);
            evaluation.newest().map(|point| (point.start, point.value))
        };
        assert_eq!(sum(5), Some((SimTime::ZERO, 11_111.0)), "minutes 1 to 5");
        assert_eq!(sum(6), Some((SimTime::from_secs(60), 111_110.0)), "minutes 2 to 6");
        assert_eq!(sum(2), Some((SimTime::ZERO, 11.0)), "the run started in the middle of the period");
        assert_eq!(alarm.definition.evaluation_interval(), MINUTE);
    }

    #[test]
    fn alm_5_a_wall_clock_window_waits_for_the_period_to_end() {
        let slow = AlarmDefinition { period: MINUTE * 5, wall_clock_window: Some(SimDuration::ZERO), ..above(0.0, 1) };
        let definition = with_statistic(Statistic::Sum, slow);
        let mut store = MetricStore::new();
        let alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        for n in 0..9 {
            store.push(alarm.series[0], SimTime::ZERO + MINUTE * n, &StatisticSet::of(1.0)).unwrap();
        }
        let newest = |minute: u64| {
            let evaluation = alarm.evaluate(&store, SimTime::ZERO + MINUTE * minute);
            evaluation.newest().map(|point| (point.start.as_secs_f64(), point.value))
        };
        assert_eq!([newest(4), newest(5), newest(9)], [None, Some((0.0, 5.0)), Some((0.0, 5.0))]);
    }

    #[test]
    fn alm_5_the_boundaries_are_those_of_the_clock() {
        // The run starts two minutes before a boundary of the clock.
        let slow = AlarmDefinition { period: MINUTE * 5, wall_clock_window: Some(MINUTE * 2), ..above(0.0, 1) };
        let mut store = MetricStore::new();
        let alarm = Alarm::new(with_statistic(Statistic::Sum, slow), &mut store, &aligned(), SimTime::ZERO);
        for n in 0..14 {
            store.push(alarm.series[0], SimTime::ZERO + MINUTE * n, &StatisticSet::of(1.0)).unwrap();
        }
        let newest = |minute: u64| {
            let evaluation = alarm.evaluate(&store, SimTime::ZERO + MINUTE * minute);
            evaluation.newest().map(|point| (point.start.as_secs_f64() / 60.0, point.value))
        };
        assert_eq!([newest(1), newest(2), newest(6)], [None, Some((0.0, 2.0)), Some((0.0, 2.0))]);
        assert_eq!([newest(7), newest(11), newest(12)], [Some((2.0, 5.0)), Some((2.0, 5.0)), Some((7.0, 5.0))]);
    }

    /// The states that an alarm of two of two has, minute by minute, from creation on.
    fn warmed(warm_up: Option<WarmUp>, values: &str) -> String {
        states(AlarmDefinition { warm_up, missing_data: MissingData::Breaching, ..above(50.0, 2) }, &series(values))
    }

    #[test]
    fn alm_10_a_new_alarm_warms_up_in_silence() {
        let warm_up = |minutes, in_full| Some(WarmUp { length: SimDuration::from_mins(minutes), in_full });
        let values = "- - 60 10 10 60 60 60";
        assert_eq!(warmed(None, values), "AAAOOOAA");
        assert_eq!(warmed(warm_up(6, false), values), "IIIOOOAA", "two datapoints fill the window");
        assert_eq!(warmed(warm_up(6, true), values), "IIIIIOAA", "to the end of the six minutes");
        assert_eq!(warmed(warm_up(2, false), values), "IAAOOOAA", "its time is over first");
    }

    #[test]
    fn alm_10_a_warm_up_that_is_over_stays_over() {
        let mut store = MetricStore::new();
        let warm = |minutes| WarmUp { length: SimDuration::from_mins(minutes), in_full: true };
        let definition = |minutes| AlarmDefinition {
            warm_up: Some(warm(minutes)),
            missing_data: MissingData::Breaching,
            ..above(50.0, 1)
        };
        let mut alarm = Alarm::new(definition(5), &mut store, &aligned(), SimTime::ZERO);
        let state_at = |alarm: &mut Alarm, store: &MetricStore, minute: u64| {
            let evaluation = alarm.evaluate(store, SimTime::ZERO + MINUTE * minute);
            (alarm.apply(&evaluation), alarm.state)
        };
        assert_eq!(state_at(&mut alarm, &store, 4), (Occasion::Nothing, AlarmState::InsufficientData));
        alarm.update(definition(10), &mut store, &aligned());
        assert_eq!(state_at(&mut alarm, &store, 9).1, AlarmState::InsufficientData, "made longer while it lasts");
        assert_eq!(state_at(&mut alarm, &store, 10).1, AlarmState::Alarm);
        alarm.update(definition(60), &mut store, &aligned());
        assert_eq!(state_at(&mut alarm, &store, 11).1, AlarmState::Alarm);
        for minutes in [0, 2881] {
            assert_eq!(definition(minutes).check().unwrap_err().rule, "ALM-10");
        }
    }

    #[test]
    fn cw_1_an_alarm_looks_at_its_unit_alone() {
        let mut store = MetricStore::new();
        let definition = AlarmDefinition { unit: Some(Unit::PERCENT), ..above(50.0, 1) };
        let alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        store.push_in(alarm.series[0], Some(Unit::COUNT), SimTime::ZERO, &StatisticSet::of(99.0)).unwrap();
        let state = |alarm: &Alarm, store: &MetricStore| alarm.evaluate(store, SimTime::from_secs(60)).state;
        assert_eq!(state(&alarm, &store), AlarmState::InsufficientData);
        store.push_in(alarm.series[0], Some(Unit::PERCENT), SimTime::ZERO, &StatisticSet::of(10.0)).unwrap();
        assert_eq!(state(&alarm, &store), AlarmState::Ok);
    }

    #[test]
    fn ex_alm_15() {
        let mut store = MetricStore::new();
        let mut alarm = Alarm::new(above(50.0, 3), &mut store, &aligned(), SimTime::ZERO);
        for (n, value) in (0..).zip([10.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0, 10.0]) {
            store.push(alarm.series[0], SimTime::ZERO + MINUTE * n, &StatisticSet::of(value)).unwrap();
        }
        let (mut scaling, mut notifications) = (Vec::new(), Vec::new());
        for minute in 1..=9 {
            let now = SimTime::ZERO + MINUTE * minute;
            let evaluation = alarm.evaluate(&store, now);
            let occasion = alarm.apply(&evaluation);
            if alarm.state == AlarmState::Alarm {
                let at = now.saturating_since(SimTime::ZERO).as_secs();
                if occasion != Occasion::Nothing {
                    scaling.push(at);
                }
                if matches!(occasion, Occasion::Transition { .. }) {
                    notifications.push(at);
                }
            }
        }
        assert_eq!(scaling, [240, 300, 360, 420, 480]);
        assert_eq!(notifications, [240]);
        assert_eq!(alarm.state, AlarmState::Ok);
    }

    #[test]
    fn alm_21_actions_repeat_each_minute_though_evaluated_each_ten_seconds() {
        let definition = AlarmDefinition { period: SimDuration::from_secs(10), ..above(50.0, 1) };
        let mut store = MetricStore::new();
        let mut alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        store.publish(alarm.series[0], Publication::after_end(SimDuration::from_secs(10), SimDuration::ZERO));
        let mut due = Vec::new();
        for tick in 1..=18 {
            store.push(alarm.series[0], SimTime::from_secs(10 * (tick - 1)), &StatisticSet::of(99.0)).unwrap();
            let evaluation = alarm.evaluate(&store, SimTime::from_secs(10 * tick));
            if alarm.apply(&evaluation) != Occasion::Nothing {
                due.push(10 * tick);
            }
        }
        assert_eq!(due, [10, 70, 130]);
    }

    #[test]
    fn ex_alm_16() {
        assert_eq!(states(above(50.0, 3), &series("50 50 50 50.01 50.01 50.01")), "OOOOOA");
    }

    #[test]
    fn ex_alm_17() {
        let definition = AlarmDefinition { missing_data: MissingData::NotBreaching, ..above(50.0, 3) };
        assert_eq!(states(definition, &series("60 60 60 - - - -")), "OOAAAOO");
    }

    #[rstest]
    #[case(300, 288, true)]
    #[case(300, 289, false)]
    #[case(3600, 168, true)]
    #[case(3600, 169, false)]
    fn ex_alm_18(#[case] period: u64, #[case] n: u32, #[case] accepted: bool) {
        let definition = AlarmDefinition { period: SimDuration::from_secs(period), ..above(1.0, n) };
        assert_eq!(definition.check().is_ok(), accepted, "{:?}", definition.check());
    }

    #[test]
    fn ex_alm_19() {
        let patient = AlarmDefinition { ignore_low_samples: true, ..above(50.0, 1) };
        let definition = with_statistic(Statistic::Percentile(99.0), patient);
        let mut store = MetricStore::new();
        let mut alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        store.push(alarm.series[0], SimTime::ZERO, &StatisticSet::repeated(60.0, 900)).unwrap();
        store.push(alarm.series[0], SimTime::from_secs(60), &StatisticSet::repeated(60.0, 1000)).unwrap();
        let mut state_at = |minute: u64| {
            let evaluation = alarm.evaluate(&store, SimTime::ZERO + MINUTE * minute);
            alarm.apply(&evaluation);
            alarm.state
        };
        assert_eq!([state_at(1), state_at(2)], [AlarmState::InsufficientData, AlarmState::Alarm]);
    }

    #[test]
    fn alm_4_how_often_depends_on_period_and_window() {
        for (period, n, interval) in [(10, 1, 10), (20, 30, 10), (30, 3, 10), (60, 1440, 60), (300, 1, 60)] {
            let definition = AlarmDefinition { period: SimDuration::from_secs(period), ..above(1.0, n) };
            assert_eq!(definition.evaluation_interval(), SimDuration::from_secs(interval), "{period} x {n}");
        }
        let long = AlarmDefinition { period: SimDuration::HOUR, ..above(1.0, 25) };
        assert_eq!(long.evaluation_interval(), SimDuration::HOUR);
        assert_eq!(long.window_step(), SimDuration::HOUR);
    }

    #[test]
    fn alm_4_each_alarm_has_its_own_tick() {
        let mut store = MetricStore::new();
        let alarm = Alarm::new(above(1.0, 1), &mut store, &Behaviour::default(), SimTime::ZERO);
        let phase = alarm.definition.evaluation_phase(false);
        assert!(phase < MINUTE);
        let first = alarm.next_evaluation(SimTime::ZERO);
        assert_eq!(first, SimTime::ZERO + phase);
        assert_eq!(alarm.next_evaluation(first), first);
        assert_eq!(alarm.next_evaluation(first + SimDuration::from_nanos(1)), first + MINUTE);
        let phases: std::collections::BTreeSet<_> = (0..20)
            .map(|n| AlarmDefinition { name: format!("alarm-{n}"), ..above(1.0, 1) }.evaluation_phase(false))
            .collect();
        assert!(phases.len() > 5, "{phases:?}");
    }

    #[test]
    fn alm_6_limits_in_the_words_of_aws() {
        let message = |definition: AlarmDefinition| definition.check().unwrap_err().message;
        assert_eq!(
            message(above(1.0, 1441)),
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."
        );
        assert!(message(above(1.0, 0)).contains("'evaluationPeriods'"));
        assert!(message(AlarmDefinition { datapoints_to_alarm: 4, ..above(1.0, 3) }).contains("DatapointsToAlarm"));
        for secs in [0, 5, 45, 61, 90_000] {
            let definition = AlarmDefinition { period: SimDuration::from_secs(secs), ..above(1.0, 1) };
            assert!(message(definition).starts_with("Period must be"), "{secs}");
        }
    }

    #[test]
    fn alm_7_three_periods_fetch_five() {
        let range = |n| above(1.0, n).evaluation_range();
        assert_eq!([range(1), range(3), range(6), range(15), range(30)], [3, 5, 8, 20, 40]);
    }

    #[test]
    fn alm_8_dynamodb_ignores_missing_data() {
        let table = MetricKey::new("AWS/DynamoDB", "m", &[]);
        let definition = AlarmDefinition { watched: Watched::Metric(table, Statistic::Average), ..above(50.0, 1) };
        assert_eq!(states(definition, &series("60 - - - -")), "AAAAA");
    }

    #[test]
    fn alm_12_an_alarm_outlives_its_series() {
        assert_eq!(states(above(50.0, 3), &series("60 60 60 - - - - -")), "IIAAAAAI");
    }

    #[test]
    fn alm_13_reasons_name_what_decided() {
        let start: jiff::Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let point = |minute, value| Datapoint { start: SimTime::ZERO + MINUTE * minute, value, samples: 1 };
        let evaluation = |state, datapoints| Evaluation { at: SimTime::ZERO, state, datapoints, warming_up: false };
        let high = above(50.0, 3);
        assert_eq!(
            evaluation(AlarmState::Alarm, vec![point(0, 60.0), point(1, 61.5), point(2, 75.0)]).reason(&high, start),
            "Threshold Crossed: 3 datapoints [75.0 (05/01/26 00:02:00), 61.5 (05/01/26 00:01:00), \
             60.0 (05/01/26 00:00:00)] were greater than the threshold (50.0)."
        );
        assert_eq!(
            evaluation(AlarmState::InsufficientData, Vec::new()).reason(&high, start),
            "Insufficient Data: 3 datapoints were unknown."
        );
        let some = AlarmDefinition { datapoints_to_alarm: 2, ..high.clone() };
        assert_eq!(
            evaluation(AlarmState::Alarm, vec![point(0, 60.0), point(1, 40.0), point(2, 75.0)]).reason(&some, start),
            "Threshold Crossed: 2 out of the last 3 datapoints [75.0 (05/01/26 00:02:00), 60.0 (05/01/26 00:00:00)] \
             were greater than the threshold (50.0) (minimum 2 datapoints for OK -> ALARM transition)."
        );
        let strict = AlarmDefinition { missing_data: MissingData::Breaching, ..above(50.0, 1) };
        assert_eq!(
            evaluation(AlarmState::Alarm, Vec::new()).reason(&strict, start),
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
             [Breaching]."
        );
    }

    /// An alarm above 30 on an expression over m1 and m2, and the series of both.
    fn on_expression(text: &str, delays: [u64; 2]) -> (Alarm, MetricStore) {
        let metric = |id: &str| MetricDataQuery {
            id: id.to_owned(),
            query: Query::Metric(MathMetric {
                key: MetricKey::new("Test", id, &[]),
                statistic: Statistic::Average,
                period: MINUTE,
                unit: None,
            }),
            return_data: false,
        };
        let expression =
            MetricDataQuery { id: "e1".to_owned(), query: Query::Expression(text.to_owned()), return_data: true };
        let math = MetricMath::new(&[metric("m1"), metric("m2"), expression]).unwrap();
        let mut store = MetricStore::new();
        let definition = AlarmDefinition { watched: Watched::Math(Arc::new(math)), ..above(30.0, 3) };
        let alarm = Alarm::new(definition, &mut store, &aligned(), SimTime::ZERO);
        for (series, delay) in alarm.series.iter().zip(delays) {
            store.publish(*series, Publication::after_end(MINUTE, SimDuration::from_secs(delay)));
        }
        (alarm, store)
    }

    fn feed(store: &mut MetricStore, id: SeriesId, values: &str) {
        for (n, value) in (0..).zip(series(values)) {
            if let Some(value) = value {
                store.push(id, SimTime::ZERO + MINUTE * n, &StatisticSet::of(value)).unwrap();
            }
        }
    }

    fn values_at(alarm: &Alarm, store: &MetricStore, minute: u64) -> Vec<(f64, f64)> {
        let evaluation = alarm.evaluate(store, SimTime::ZERO + MINUTE * minute);
        evaluation.datapoints.iter().map(|point| (point.start.as_secs_f64() / 60.0, point.value)).collect()
    }

    #[test]
    fn ex_sqs_4() {
        let (high, mut store) = on_expression("m1 / m2", [0, 0]);
        feed(&mut store, high.series[0], "80 - - 56 -");
        feed(&mut store, high.series[1], "2 2 - 2 -");
        let now = SimTime::from_secs(300);
        let spell = |points: Vec<Option<Datapoint>>, breaches: &dyn Fn(f64) -> bool| -> String {
            let mark =
                |point: &Option<Datapoint>| point.map_or('-', |point| if breaches(point.value) { 'X' } else { '0' });
            points.iter().map(mark).collect()
        };
        let points = high.points(&store, 5, now);
        assert_eq!(
            points.iter().map(|point| point.map(|point| point.value)).collect::<Vec<_>>(),
            [Some(40.0), Some(0.0), None, Some(28.0), None]
        );
        assert_eq!(spell(points.clone(), &|value| value > 30.0), "X0-0-");
        assert_eq!(spell(points, &|value| value < 27.0), "0X-0-");
    }

    #[test]
    fn ex_sqs_3() {
        let (mut alarm, mut store) = on_expression("m1 / m2", [0, 0]);
        feed(&mut store, alarm.series[0], "500 500 500");
        feed(&mut store, alarm.series[1], "0 0 0");
        let evaluation = alarm.evaluate(&store, SimTime::from_secs(180));
        alarm.apply(&evaluation);
        assert_eq!((alarm.state, evaluation.datapoints.len()), (AlarmState::InsufficientData, 0));
        let (alarm, mut store) = on_expression("IF(m2 > 0, m1 / m2, m1)", [0, 0]);
        for series in alarm.series.clone() {
            let values = if store.key(series).name == "m2" { "0 0 0" } else { "500 500 500" };
            feed(&mut store, series, values);
        }
        assert_eq!(alarm.evaluate(&store, SimTime::from_secs(180)).state, AlarmState::Alarm);
    }

    #[test]
    fn alm_9_an_expression_waits_for_the_latest_of_its_metrics() {
        let (alarm, mut store) = on_expression("m1 + m2", [60, 120]);
        feed(&mut store, alarm.series[0], "1 2 3 4 5 6");
        feed(&mut store, alarm.series[1], "10 20 30 40 50 60");
        assert_eq!(values_at(&alarm, &store, 5), [(0.0, 11.0), (1.0, 22.0), (2.0, 33.0)]);
        assert_eq!(values_at(&alarm, &store, 2), []);
    }

    #[test]
    fn math_4_the_newest_minute_of_late_data_is_the_filler() {
        let (alarm, mut store) = on_expression("FILL(m1, 99) + m2 * 0", [60, 0]);
        feed(&mut store, alarm.series[0], "1 2 3 4 5 6");
        feed(&mut store, alarm.series[1], "1 1 1 1 1 1");
        assert_eq!(values_at(&alarm, &store, 5), [(2.0, 3.0), (3.0, 4.0), (4.0, 99.0)]);
        assert_eq!(values_at(&alarm, &store, 1), [(0.0, 99.0)], "and nothing before the run");
    }

    #[test]
    fn math_5_a_number_of_the_window_sees_the_whole_evaluation_range() {
        let (alarm, mut store) = on_expression("m1 - MIN(m1) + m2 * 0", [0, 0]);
        feed(&mut store, alarm.series[0], "1 9 7 8 10 12");
        feed(&mut store, alarm.series[1], "0 0 0 0 0 0");
        // Five periods are fetched for three that decide, and the smallest of the five is 7 only once the 1 has left.
        assert_eq!(values_at(&alarm, &store, 5), [(2.0, 6.0), (3.0, 7.0), (4.0, 9.0)]);
        assert_eq!(values_at(&alarm, &store, 6), [(3.0, 1.0), (4.0, 3.0), (5.0, 5.0)]);
    }
}
