//! The arithmetic behind a verdict, kept with its numbers so that it can be shown to whoever asks why.

use std::fmt;

use crate::scaling::policy::AdjustmentType;

/// How a policy came to the capacity it asks for, before any bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Formula {
    /// The capacity in proportion to the metric: `ceil(capacity x metric / target)` (TT-10, TT-12, CAS-24).
    Proportion {
        /// What it starts from.
        capacity: u32,
        /// What that is.
        counts: Counted,
        /// The metric, the newest datapoint as a rule (TT-9).
        metric: f64,
        /// The target.
        target: f64,
        /// What comes out.
        result: u64,
        /// At most so many fewer at once (CAS-28).
        at_most_fewer: Option<u64>,
    },
    /// Nothing is there to be in proportion to: a fixed number (TT-16, CAS-25).
    FromZero {
        /// That number.
        result: u64,
    },
    /// A step of a step policy (STEP-2, STEP-6).
    Step {
        /// The metric over the alarm's datapoints (STEP-1).
        metric: f64,
        /// The alarm's threshold.
        threshold: f64,
        /// The step's bounds, from the threshold.
        bounds: (Option<f64>, Option<f64>),
        /// What the step does to the capacity.
        adjustment: Adjustment,
    },
    /// The one adjustment of a simple policy (ASG-25).
    Simple(Adjustment),
    /// The capacity for a load that is forecast: `ceil(load / target)` (PRED-5).
    Load {
        /// The load.
        load: f64,
        /// What a task carries of it.
        target: f64,
        /// What comes out.
        result: u32,
    },
    /// Nobody computed: the bounds were set, and the capacity moved into them (AAS-2).
    Bounds {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
}

/// What a capacity counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Tasks that run (AAS-3).
    Running,
    /// Tasks that ran before the first scale-out of the cooldown that is on (TT-19).
    BeforeCooldown,
    /// Instances that are warm; those that warm up count as added already (ASG-31).
    Warm,
    /// The desired capacity.
    Desired,
}

/// An adjustment and what it makes of a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// How it is meant.
    pub kind: AdjustmentType,
    /// By how much.
    pub amount: i64,
    /// What it starts from.
    pub capacity: u32,
    /// What that is.
    pub counts: Counted,
    /// What comes out.
    pub result: i64,
}

impl Formula {
    /// What the numbers stand for, for a reader who has not met the formula before.
    pub fn legend(&self) -> String {
        match self {
            Self::Proportion { capacity, counts, metric, target, at_most_fewer, .. } => {
                let pace =
                    at_most_fewer.map_or_else(String::new, |most| format!(", and at most {most} may go at once"));
                format!(
                    "{capacity} {}, the metric reads {}, the target is {}{pace}",
                    counts.words(),
                    Short(*metric),
                    Short(*target)
                )
            }
            Self::FromZero { result } => {
                let times = if *result == 1 { "one" } else { "a few" };
                format!("nothing runs, so there is no proportion to keep: {times} to begin with")
            }
            Self::Step { metric, threshold, bounds, adjustment } => {
                let difference = metric - threshold;
                let side = if difference < 0.0 { "below" } else { "above" };
                let bound = |bound: Option<f64>, open: &str| {
                    bound.map_or_else(|| open.to_owned(), |bound| Short(bound).to_string())
                };
                format!(
                    "the alarm's datapoints come to {}, {} {side} its threshold {}: the step from {} to {}; {} {}",
                    Short(*metric),
                    Short(difference.abs()),
                    Short(*threshold),
                    bound(bounds.0, "minus infinity"),
                    bound(bounds.1, "infinity"),
                    adjustment.capacity,
                    adjustment.counts.words()
                )
            }
            Self::Simple(adjustment) => format!("{} {}", adjustment.capacity, adjustment.counts.words()),
            Self::Load { load, target, .. } => {
                format!("the forecast of the load is {}, and one task carries {} of it", Short(*load), Short(*target))
            }
            Self::Bounds { .. } => {
                "nobody computes: the bounds were set, and what lies outside moves to the nearer one".to_owned()
            }
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proportion { capacity, metric, target, result, at_most_fewer, .. } => {
                write!(f, "ceil({capacity} x {metric:.2} / {target}) = {result}")?;
                match at_most_fewer {
                    Some(most) => write!(f, ", at most {most} fewer at once"),
                    None => Ok(()),
                }
            }
            Self::FromZero { result } => write!(f, "{result} from zero"),
            Self::Step { adjustment, .. } | Self::Simple(adjustment) => adjustment.fmt(f),
            Self::Load { load, target, result } => write!(f, "ceil({load:.2} / {target}) = {result}"),
            Self::Bounds { min, max } => write!(f, "into the bounds {min} to {max}"),
        }
    }
}

impl fmt::Display for Adjustment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, amount, capacity, result, .. } = self;
        let sign = if *amount < 0 { '-' } else { '+' };
        let size = amount.unsigned_abs();
        match kind {
            AdjustmentType::ChangeInCapacity => write!(f, "{capacity} {sign} {size} = {result}"),
            AdjustmentType::ExactCapacity => write!(f, "exactly {amount}"),
            AdjustmentType::PercentChangeInCapacity => write!(f, "{capacity} {sign} {size} % = {result}"),
        }
    }
}

impl Counted {
    const fn words(self) -> &'static str {
        match self {
            Self::Running => "tasks run",
            Self::BeforeCooldown => "tasks ran before the first scale-out of this cooldown",
            Self::Warm => "instances are warm",
            Self::Desired => "are desired",
        }
    }
}

/// A number with at most two decimals.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", (self.0 * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_read_as_one_would_write_them() {
        let proportion = Formula::Proportion {
            capacity: 4,
            counts: Counted::Running,
            metric: 75.0,
            target: 50.0,
            result: 6,
            at_most_fewer: None,
        };
        assert_eq!(proportion.to_string(), "ceil(4 x 75.00 / 50) = 6");
        assert_eq!(proportion.legend(), "4 tasks run, the metric reads 75, the target is 50");
        let step = Formula::Step {
            metric: 70.125,
            threshold: 50.0,
            bounds: (Some(20.0), None),
            adjustment: Adjustment {
                kind: AdjustmentType::PercentChangeInCapacity,
                amount: 30,
                capacity: 11,
                counts: Counted::BeforeCooldown,
                result: 14,
            },
        };
        assert_eq!(step.to_string(), "11 + 30 % = 14");
        assert_eq!(
            step.legend(),
            "the alarm's datapoints come to 70.13, 20.13 above its threshold 50: the step from 20 to infinity; 11 tasks \
             ran before the first scale-out of this cooldown"
        );
    }
}
