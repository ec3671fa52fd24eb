//! What alarms and policies should do, worked out from the text of ALM-*, TT-*, STEP-* and AAS-* alone.
//!
//! It shares nothing with the simulator but the scenario. It counts in whole numbers: metrics and thresholds are halves, so
//! that every sum, comparison and quotient of it is exact. What it needs to know of the service, its desired and running
//! counts and the ends of its activities, it reads off the run.

use crate::lab::Log;

/// Minutes of a run, in which each metric has values.
pub(crate) const MINUTES: i64 = 100;
/// Alarm to scaling action, in milliseconds: `action_latency`.
pub(crate) const LATENCY: i64 = 200;

/// A metric in halves, a value a bucket; `None` is a gap.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// Seconds of a bucket: 60 or 20.
    pub(crate) bucket: i64,
    pub(crate) values: Vec<Option<i64>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Treatment {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

/// An alarm, as the file says it or as a policy brings it.
#[derive(Clone, Debug)]
pub(crate) struct AlarmCase {
    pub(crate) metric: usize,
    /// Seconds of a period.
    pub(crate) period: i64,
    pub(crate) n: usize,
    pub(crate) m: usize,
    pub(crate) operator: &'static str,
    /// In halves, times ten: the low threshold of target tracking is nine tenths of a half.
    pub(crate) threshold: i64,
    pub(crate) missing: Treatment,
}

#[derive(Clone, Debug)]
pub(crate) enum PolicyCase {
    Tracking {
        target: i64,
        only_out: bool,
        out: i64,
        within: i64,
    },
    Step {
        kind: &'static str,
        steps: Vec<(Option<i64>, Option<i64>, i64)>,
        least: Option<i64>,
        cooldown: i64,
        of: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) metrics: Vec<Metric>,
    /// Each policy follows the metric of its own place.
    pub(crate) policies: Vec<PolicyCase>,
    /// The first alarms belong to the step policies, in their order; the others do nothing.
    pub(crate) alarms: Vec<AlarmCase>,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) desired: i64,
    pub(crate) redeploy: Option<i64>,
    pub(crate) delay: i64,
}

pub(crate) const ABOVE: &str = "GreaterThanThreshold";
pub(crate) const BELOW: &str = "LessThanThreshold";
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    InsufficientData,
    Ok,
    Alarm,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InsufficientData => "INSUFFICIENT_DATA",
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
        }
    }
}

/// A real datapoint: sum and count of its samples, in halves.
pub(crate) type Point = (i64, i64);

/// One evaluation of an alarm: when [s], the state after it, the newest N real datapoints, oldest first.
pub(crate) struct Evaluated {
    pub(crate) at: i64,
    pub(crate) state: State,
    pub(crate) used: Vec<Point>,
    /// Whether scaling actions of the state run now (ALM-20).
    pub(crate) acts: bool,
}

pub(crate) fn breaches(alarm: &AlarmCase, (sum, count): Point) -> bool {
    // sum / count against threshold / 10.
    let (value, threshold) = (sum * 10, alarm.threshold * count);
    match alarm.operator {
        ABOVE => value > threshold,
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        BELOW => value < threshold,
        _ => value <= threshold,
    }
}

/// Every evaluation of an alarm, from its creation at zero on.
pub(crate) fn evaluate(alarm: &AlarmCase, metric: &Metric, delay: i64) -> Vec<Evaluated> {
    let fine = alarm.period < 60;
    let (interval, step) = if fine { (10, alarm.period) } else { (60, 60) }; // ALM-4, ALM-5
    let range = alarm.n + (alarm.n / 3).max(2); // ALM-7
    let (mut state, mut acted) = (State::InsufficientData, None::<i64>);
    let mut evaluated = Vec::new();
    for at in (0..MINUTES * 60).step_by(usize::try_from(interval).expect("positive")) {
        // The newest slot ends where data of this age shows; from there R slots back.
        let end = (at - delay).max(0) / step * step;
        let mut slots: Vec<Option<Point>> = Vec::new();
        for back in (0..range).rev() {
            let to = end - i64::try_from(back).expect("few") * alarm.period;
            let samples: Vec<i64> = metric
                .values
                .iter()
                .enumerate()
                .filter_map(|(place, value)| {
                    let start = i64::try_from(place).expect("few") * metric.bucket;
                    let shows = start + metric.bucket + delay <= at; // CW-4
                    (shows && start >= to - alarm.period && start < to).then_some((*value)?)
                })
                .collect();
            let count = i64::try_from(samples.len()).expect("few");
            slots.push((count > 0).then(|| (samples.iter().sum(), count)));
        }
        let real: Vec<Point> = slots.iter().flatten().copied().collect();
        let used: Vec<Point> = real[real.len().saturating_sub(alarm.n)..].to_vec();
        let hits = |points: &[Point]| points.iter().filter(|point| breaches(alarm, **point)).count();
        let next = if real.len() >= alarm.n {
            // ALM-8: with N real points the treatment does not come in.
            if hits(&used) >= alarm.m { State::Alarm } else { State::Ok }
        } else {
            // ALM-8: as few fillers as possible, and all real points take part.
            let fillers = alarm.n - real.len();
            let breaching = hits(&real);
            let judged = |count: usize| if count >= alarm.m { State::Alarm } else { State::Ok };
            match alarm.missing {
                Treatment::Breaching => judged(breaching + fillers),
                Treatment::NotBreaching => judged(breaching),
                _ if real.is_empty() && alarm.missing == Treatment::Ignore => state,
                _ if real.is_empty() => State::InsufficientData,
                _ if breaching >= alarm.m => State::Alarm,
                _ if breaching < real.len() => State::Ok,
                // ALM-9: all breach and there are too few.
                Treatment::Ignore => state,
                Treatment::Missing => {
                    let oldest = slots.iter().position(Option::is_some).expect("there is a real point");
                    if slots.len() - oldest >= alarm.m { State::Alarm } else { state }
                }
            }
        };
        let changed = next != state;
        let acts = changed || acted.is_some_and(|last| at - last >= 60); // ALM-20, ALM-21
        if acts {
            acted = Some(at);
        }
        state = next;
        evaluated.push(Evaluated { at, state, used, acts });
    }
    evaluated
}

/// What a run did, in milliseconds.
pub(crate) struct Seen {
    pub(crate) desired: Vec<(i64, i64)>,
    pub(crate) running: Vec<(i64, i64)>,
    /// When an activity ended successfully.
    pub(crate) completed: Vec<i64>,
    /// While a deployment is in progress.
    pub(crate) deploying: Vec<(i64, i64)>,
}

pub(crate) fn millis(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

impl Seen {
    pub(crate) fn new(log: &Log, case: &Case) -> Self {
        let level =
            |metric| log.level("service/c/web", metric).into_iter().map(|(t, v)| (millis(t), v as i64)).collect();
        let completed = |wanted: &str| {
            let mine = log.activities.iter().filter(|(_, resource, ..)| resource == "service/c/web");
            mine.filter(|(_, _, status, text)| *status == wanted && text.contains(' '))
                .map(|(t, ..)| millis(*t))
                .collect()
        };
        let starts = [Some(0), case.redeploy.map(|minute| minute * 60_000)];
        let ends: Vec<i64> = log
            .messages
            .iter()
            .filter(|(_, text)| text.contains("deployment completed"))
            .map(|(time, _)| millis(*time))
            .collect();
        let deploying = starts
            .into_iter()
            .flatten()
            .map(|start| (start, ends.iter().copied().find(|end| *end >= start).unwrap_or(i64::MAX)))
            .collect();
        Self {
            desired: level("DesiredCount"),
            running: level("RunningCount"),
            completed: completed("Successful"),
            deploying,
        }
    }

    pub(crate) fn before(levels: &[(i64, i64)], at: i64) -> i64 {
        levels.iter().rev().find(|(time, _)| *time < at).map_or(0, |(_, value)| *value)
    }
}

pub(crate) fn ceil_div(number: i64, by: i64) -> i64 {
    (number + by - 1).div_euclid(by)
}

/// Cooldowns and chain of the scalable target (TT-18…21, STEP-9, STEP-10).
#[derive(Default)]
pub(crate) struct Cooldowns {
    /// Which way the activity in progress goes, and its cooldown [ms].
    pub(crate) activity: Option<(bool, i64)>,
    pub(crate) out_until: i64,
    pub(crate) in_until: i64,
    pub(crate) chain: i64,
}

impl Cooldowns {
    pub(crate) fn chained(&self, at: i64) -> bool {
        self.activity.is_some_and(|(out, _)| out) || at < self.out_until
    }

    pub(crate) fn base(&self, running: i64, at: i64) -> i64 {
        if self.chained(at) && self.chain > 0 { self.chain } else { running }
    }
}

/// What a policy asks for at `at`: the new desired count, and its cooldown [ms].
#[allow(clippy::too_many_arguments, reason = "what a policy may see, each under its own name")]
pub(crate) fn asks(
    case: &Case,
    place: usize,
    low: bool,
    evaluation: &Evaluated,
    counts: (i64, i64),
    state: &Cooldowns,
    lows: &[(usize, &Evaluated)],
    deploying: bool,
    alarm: &AlarmCase,
    at: i64,
) -> Option<(i64, i64)> {
    let (running, desired) = counts;
    let clamp = |new: i64| new.max(case.min).min(case.max);
    let needed = |capacity: i64, target: i64, used: &[Point]| {
        let (sum, count) = used.last()?;
        Some(ceil_div(capacity * sum, target * count))
    };
    let no_scale_in = deploying || state.activity.is_some_and(|(out, _)| !out) || at < state.in_until;
    match &case.policies[place] {
        PolicyCase::Tracking { target, out, .. } if !low => {
            let needed = needed(state.base(running, at), *target, &evaluation.used)?;
            let new = clamp(if running == 0 { 1 } else { needed });
            (new > desired).then_some((new, out * 1000))
        }
        PolicyCase::Tracking { within, .. } => {
            if no_scale_in || lows.iter().any(|(_, low)| low.state != State::Alarm) {
                return None;
            }
            let mut new = None;
            for (voter, low) in lows {
                let PolicyCase::Tracking { target, .. } = &case.policies[*voter] else { continue };
                new = new.max(Some(needed(running, *target, &low.used)?));
            }
            let new = clamp(new?);
            (desired > case.min && new < running && new < desired).then_some((new, within * 1000))
        }
        PolicyCase::Step { kind, steps, least, cooldown, of } => {
            // The value as a fraction: sum over count of the datapoints' own means.
            let means: Vec<(i64, i64)> = evaluation.used.clone();
            let (sum, count) = match of {
                _ if means.is_empty() => return None,
                0 => {
                    let common: i64 = means.iter().map(|(_, count)| count).product();
                    (
                        means.iter().map(|(sum, count)| sum * common / count).sum(),
                        common * i64::try_from(means.len()).expect("few"),
                    )
                }
                1 => *means.iter().min_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1))).expect("some"),
                _ => *means.iter().max_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1))).expect("some"),
            };
            let difference = sum * 10 - alarm.threshold * count; // in tenths of halves, times count
            let upward = alarm.operator.starts_with("Greater");
            let above = difference > 0 || difference == 0 && upward; // STEP-3
            let (_, _, amount) = steps.iter().find(|(lower, upper, _)| {
                let bound = |bound: i64| bound * 10 * count;
                let lower = lower.map_or(i64::MIN, bound);
                let upper = upper.map_or(i64::MAX, bound);
                if above {
                    lower <= difference && difference < upper
                } else {
                    lower < difference && difference <= upper
                }
            })?;
            let adjusted = |capacity: i64| match *kind {
                "ChangeInCapacity" => capacity + amount,
                "ExactCapacity" => *amount,
                _ => {
                    // STEP-7: hundredths toward zero, but a fraction of one is one.
                    let hundredths = capacity * amount;
                    let delta = if hundredths == 0 { 0 } else { hundredths / 100 };
                    let delta = if delta == 0 { hundredths.signum() } else { delta };
                    let short = delta != 0 && delta.abs() < least.unwrap_or(0); // STEP-8
                    capacity + if short { least.unwrap_or(0) * delta.signum() } else { delta }
                }
            };
            let way = if *kind == "ExactCapacity" { amount - desired } else { *amount };
            let new = clamp(adjusted(if way > 0 { state.base(running, at) } else { running }));
            if way > 0 {
                (new > desired).then_some((new, cooldown * 1000))
            } else {
                (way < 0 && !no_scale_in && desired > case.min && new < desired).then_some((new, cooldown * 1000))
            }
        }
    }
}
