//! When a mean is known well enough: replications are added until its interval is as narrow as was asked for.

use std::fmt;

use crate::stats::Estimate;

/// How narrow the 95 % interval of a metric shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct Precision {
    /// The metric's key.
    pub metric: String,
    /// Half the width that is narrow enough.
    pub half_width: HalfWidth,
}

/// Half the width of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HalfWidth {
    /// As a share of the mean.
    Relative(f64),
    /// In the metric's unit.
    Absolute(f64),
}

/// `± 1 %`, or `± 0.05`.
impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.half_width {
            HalfWidth::Relative(share) => write!(f, "± {} %", (share * 1e8).round() / 1e6),
            HalfWidth::Absolute(width) => write!(f, "± {width}"),
        }
    }
}

/// Why a precision is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no precision; write `--precision cost_usd=1%`, or `cost_usd=0.05` for dollars")]
pub struct PrecisionError(pub String);

/// Replications before the first look: with fewer the interval itself is a guess.
pub const FIRST_LOOK: u32 = 5;

impl Precision {
    /// Reads `cost_usd=1%` or `cost_usd=0.05`.
    ///
    /// # Errors
    /// [`PrecisionError`].
    pub fn parse(text: &str) -> Result<Self, PrecisionError> {
        let refuse = || PrecisionError(text.to_owned());
        let (metric, width) = text.rsplit_once('=').ok_or_else(refuse)?;
        let (number, of_mean) = match width.trim().strip_suffix('%') {
            Some(percent) => (percent, true),
            None => (width, false),
        };
        let number: f64 = number.trim().parse().map_err(|_| refuse())?;
        if metric.trim().is_empty() || !number.is_finite() || number <= 0.0 {
            return Err(refuse());
        }
        let half_width = if of_mean { HalfWidth::Relative(number / 100.0) } else { HalfWidth::Absolute(number) };
        Ok(Self { metric: metric.trim().to_owned(), half_width })
    }

    /// Half the width that is narrow enough at this mean.
    ///
    /// The relative error is of the true mean, which the sample's may exceed: hence g / (1 + g). Source: Law, section
    /// 9.4.1, "Obtaining a Specified Precision".
    fn target(&self, mean: f64) -> f64 {
        match self.half_width {
            HalfWidth::Relative(share) => share / (1.0 + share) * mean.abs(),
            HalfWidth::Absolute(width) => width,
        }
    }

    /// Whether the interval is narrow enough.
    pub fn reached(&self, estimate: &Estimate) -> bool {
        estimate.half_width.is_some_and(|half| half <= self.target(estimate.mean))
    }

    /// How many replications shall be looked at next, given what `estimate.n` of them show: the number that its spread
    /// asks for, yet at least one more and at most twice as many, for the spread itself is an estimate.
    pub fn next_look(&self, estimate: &Estimate) -> u32 {
        let n = u32::try_from(estimate.n).unwrap_or(u32::MAX);
        let Some(half) = estimate.half_width.filter(|_| n >= FIRST_LOOK) else { return FIRST_LOOK };
        let target = self.target(estimate.mean);
        // Where the mean is zero no share of it is ever reached.
        let asked = if target > 0.0 { f64::from(n) * (half / target).powi(2) } else { f64::INFINITY };
        (asked.ceil().min(f64::from(u32::MAX)) as u32).clamp(n.saturating_add(1), n.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    #[test]
    fn a_precision_is_a_metric_and_a_width() {
        let parsed = Precision::parse("service/c/web:latency_p99_s=2.5%").unwrap();
        assert_eq!(parsed.metric, "service/c/web:latency_p99_s");
        assert_eq!(parsed.half_width, HalfWidth::Relative(0.025));
        assert_eq!(Precision::parse("cost_usd=0.05").unwrap().half_width, HalfWidth::Absolute(0.05));
        for text in ["cost_usd", "cost_usd=", "=1%", "cost_usd=0", "cost_usd=-1%", "cost_usd=x%", "cost_usd=inf"] {
            assert!(Precision::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn replications_are_added_by_what_the_spread_asks_for() {
        let precision = Precision::parse("cost_usd=1%").unwrap();
        let look = |mean: f64, half: Option<f64>, n| precision.next_look(&Estimate { mean, half_width: half, n });
        assert_eq!(look(100.0, None, 1), FIRST_LOOK);
        assert_eq!(look(100.0, Some(1.2), 10), 15, "1.2 over 0.990, squared, times ten");
        assert_eq!(look(100.0, Some(50.0), 10), 20, "never more than twice as many");
        assert_eq!(look(0.0, Some(1.0), 10), 20);
        assert!(precision.reached(&Estimate { mean: 100.0, half_width: Some(0.99), n: 9 }));
        assert!(!precision.reached(&Estimate { mean: 100.0, half_width: Some(1.0), n: 9 }), "1 % of the true mean");
        assert!(precision.reached(&Estimate { mean: 0.0, half_width: Some(0.0), n: 2 }));
        assert!(!precision.reached(&Estimate { mean: 1.0, half_width: None, n: 1 }));
    }

    #[test]
    fn intervals_that_stopped_by_the_rule_still_hold_the_mean() {
        let precision = Precision::parse("x=5%").unwrap();
        let rounds = 1_000;
        let covered = (0..rounds)
            .filter(|round| {
                let mut chance = Streams::new(3, *round).named("samples");
                let mut samples: Vec<f64> = Vec::new();
                loop {
                    let estimate =
                        Estimate::from_samples(&samples).unwrap_or(Estimate { mean: 0.0, half_width: None, n: 0 });
                    if samples.len() >= FIRST_LOOK as usize && precision.reached(&estimate) {
                        return estimate.contains(1.0);
                    }
                    let next = precision.next_look(&estimate) as usize;
                    samples.resize_with(next, || 0.5 + chance.uniform());
                }
            })
            .count();
        // Stopping when the spread looks small costs a little coverage; Law's table 9.4 has 0.93 and above.
        assert!((920..=975).contains(&covered), "{covered} of {rounds}");
    }
}
