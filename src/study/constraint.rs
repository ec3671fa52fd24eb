//! What a point must keep to: `METRIC<=X` or `METRIC>=X`.

use std::fmt;

use crate::engine::time::SimDuration;

/// A bound on a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// The metric's key.
    pub metric: String,
    /// Which side of the limit is allowed.
    pub bound: Bound,
    /// The limit, in the metric's unit.
    pub limit: f64,
}

/// Which side of a limit is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `<=`.
    AtMost,
    /// `>=`.
    AtLeast,
}

/// Why a constraint is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Not `METRIC<=X`.
    #[error(
        "`{0}` is no constraint; write `--subject-to 'service/default/web:latency_p99_s<=0.3'`, with `<=` or `>=` and a \
         number, a duration such as 300ms, or a share such as 80%"
    )]
    Malformed(String),
    /// Two that no figure can meet.
    #[error("no figure meets both `{0}` and `{1}`")]
    Contradictory(String, String),
}

impl Constraint {
    /// Reads `METRIC<=X` or `METRIC>=X`.
    ///
    /// # Errors
    /// [`ConstraintError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let malformed = || ConstraintError::Malformed(text.to_owned());
        let split =
            |sign: &str, bound| text.split_once(sign).map(|(metric, limit)| (metric.trim(), limit.trim(), bound));
        let (metric, limit, bound) =
            split("<=", Bound::AtMost).or_else(|| split(">=", Bound::AtLeast)).ok_or_else(malformed)?;
        let limit = number(limit).filter(|limit| limit.is_finite()).ok_or_else(malformed)?;
        if metric.is_empty() {
            return Err(malformed());
        }
        Ok(Self { metric: metric.to_owned(), bound, limit })
    }

    /// By how much a value misses it; below zero when it is met with room to spare.
    pub fn excess(&self, value: f64) -> f64 {
        match self.bound {
            Bound::AtMost => value - self.limit,
            Bound::AtLeast => self.limit - value,
        }
    }

    /// The value in the direction in which less is better.
    pub fn burden(&self, value: f64) -> f64 {
        match self.bound {
            Bound::AtMost => value,
            Bound::AtLeast => -value,
        }
    }
}

/// A number, a share in per cent or a duration in seconds.
fn number(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if let Some(percent) = text.strip_suffix('%') {
        return percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0);
    }
    text.parse::<SimDuration>().ok().map(SimDuration::as_secs_f64)
}

/// Refuses constraints that no figure meets together.
///
/// # Errors
/// [`ConstraintError::Contradictory`].
pub fn compatible(constraints: &[Constraint]) -> Result<(), ConstraintError> {
    let below = constraints.iter().filter(|constraint| constraint.bound == Bound::AtMost);
    for most in below {
        let least = constraints
            .iter()
            .find(|least| least.bound == Bound::AtLeast && least.metric == most.metric && least.limit > most.limit);
        if let Some(least) = least {
            return Err(ConstraintError::Contradictory(most.to_string(), least.to_string()));
        }
    }
    Ok(())
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.bound {
            Bound::AtMost => "<=",
            Bound::AtLeast => ">=",
        };
        write!(f, "{}{sign}{}", self.metric, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_numbers_durations_or_shares() {
        for (text, bound, limit) in [
            ("cost_usd<=12.5", Bound::AtMost, 12.5),
            ("service/c/web:latency_p99_s <= 300ms", Bound::AtMost, 0.3),
            ("cpu_reserved_ratio>=80%", Bound::AtLeast, 0.8),
        ] {
            let found = Constraint::parse(text).unwrap();
            assert_eq!((found.bound, found.limit), (bound, limit), "{text}");
        }
        for text in ["cost_usd", "cost_usd<3", "<=3", "cost_usd<=x", "cost_usd<=inf", "cost_usd<="] {
            assert!(Constraint::parse(text).is_err(), "{text}");
        }
        let least = Constraint::parse("x>=3").unwrap();
        assert_eq!((least.excess(2.0), least.excess(4.0), least.burden(2.0)), (1.0, -1.0, -2.0));
    }

    #[test]
    fn bounds_that_exclude_each_other_are_refused() {
        let parsed = |texts: &[&str]| texts.iter().map(|text| Constraint::parse(text).unwrap()).collect::<Vec<_>>();
        assert!(compatible(&parsed(&["x<=3", "y>=4", "x>=3"])).is_ok());
        let refusal = compatible(&parsed(&["x<=3", "x>=4"])).unwrap_err().to_string();
        assert_eq!(refusal, "no figure meets both `x<=3` and `x>=4`");
    }
}
