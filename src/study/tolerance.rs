//! Did a figure move, and does chance explain it? One figure now against the same figure of a baseline.

use serde::{Deserialize, Serialize};

use crate::stats::{Estimate, paired_difference, separate_difference};

/// How far a figure may move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tolerance {
    /// As far as chance alone takes it: within the 95 % interval of the difference.
    Interval,
    /// So much, in its unit.
    Absolute(f64),
    /// So much, as a share of the baseline's mean.
    Relative(f64),
}

/// Which end of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The lower one.
    Less,
    /// The higher one.
    More,
    /// Neither: any move is one.
    Neither,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Within its tolerance.
    Held,
    /// Beyond its tolerance, for the better.
    Better,
    /// Beyond its tolerance, but chance may have done it: more replications would tell.
    Unclear,
    /// Beyond its tolerance for the worse, or, of a metric that has no better end, at all.
    Worse,
    /// The baseline has it and this run does not.
    Missing,
    /// This run has it and the baseline does not.
    New,
}

impl Verdict {
    /// Whether the gate stays shut.
    pub const fn fails(self) -> bool {
        matches!(self, Self::Worse | Self::Missing)
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Better => "better",
            Self::Unclear => "unclear",
            Self::Worse => "WORSE",
            Self::Missing => "MISSING",
            Self::New => "new",
        }
    }
}

/// A figure judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What became of it.
    pub verdict: Verdict,
    /// Mean now less mean then, with the interval of the difference where there is one.
    pub difference: Estimate,
    /// Whether the interval holds zero, so that chance explains the difference; `None` without an interval.
    pub noise: Option<bool>,
}

/// Judges samples `now` against those of `before`; `None` when either has none.
///
/// `paired` says that replication i of both had the same random numbers, as they have under one seed; then only what
/// the change did is left in the difference. A baseline of a single number is taken as exact.
pub fn judge(before: &[f64], now: &[f64], paired: bool, tolerance: Tolerance, better: Better) -> Option<Judgement> {
    let difference = match before {
        [exact] if now.len() > 1 => {
            let moved: Vec<f64> = now.iter().map(|value| value - exact).collect();
            Estimate::from_samples(&moved)?
        }
        _ if paired && before.len() == now.len() => paired_difference(now, before)?,
        _ => separate_difference(now, before)?,
    };
    let then = before.iter().sum::<f64>() / before.len() as f64;
    let noise = difference.half_width.map(|_| difference.contains(0.0));
    let moved = difference.mean;
    // Sums of equal numbers in another order differ in the last digit.
    let unmoved = moved.abs() <= 1e-12 * then.abs();
    let within = unmoved
        || match tolerance {
            Tolerance::Interval => noise == Some(true),
            Tolerance::Absolute(most) => moved.abs() <= most,
            Tolerance::Relative(most) => moved.abs() <= most * then.abs(),
        };
    let verdict = match better {
        _ if within => Verdict::Held,
        _ if noise == Some(true) => Verdict::Unclear,
        Better::Less if moved < 0.0 => Verdict::Better,
        Better::More if moved > 0.0 => Verdict::Better,
        _ => Verdict::Worse,
    };
    Some(Judgement { verdict, difference, noise })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(before: &[f64], now: &[f64], paired: bool, tolerance: Tolerance, better: Better) -> Verdict {
        judge(before, now, paired, tolerance, better).unwrap().verdict
    }

    #[test]
    fn a_move_counts_when_it_is_beyond_the_tolerance_and_no_noise() {
        use Better::{Less, More, Neither};
        use Tolerance::{Absolute, Interval, Relative};
        let before = [10.0, 10.2, 9.8, 10.1];
        let plus = |by: f64| before.map(|value| value + by);
        for (now, tolerance, better, expected) in [
            (plus(0.0), Interval, Less, Verdict::Held),
            (plus(0.1), Relative(0.02), Less, Verdict::Held),
            (plus(0.3), Relative(0.02), Less, Verdict::Worse),
            (plus(0.3), Relative(0.02), More, Verdict::Better),
            (plus(0.3), Relative(0.02), Neither, Verdict::Worse),
            (plus(-0.3), Absolute(0.2), Less, Verdict::Better),
            (plus(-0.3), Absolute(0.5), Less, Verdict::Held),
            (plus(0.1), Interval, Less, Verdict::Worse),
        ] {
            assert_eq!(verdict(&before, &now, true, tolerance, better), expected, "{now:?} {tolerance:?} {better:?}");
        }
        // Unpaired, the same shift drowns in the spread.
        assert_eq!(verdict(&before, &plus(0.1), false, Interval, Less), Verdict::Held);
        assert_eq!(verdict(&before, &plus(0.15), false, Relative(0.01), Less), Verdict::Unclear);
    }

    #[test]
    fn single_numbers_are_judged_without_an_interval() {
        let tolerance = Tolerance::Relative(0.1);
        assert_eq!(verdict(&[10.0], &[10.5], true, tolerance, Better::Less), Verdict::Held);
        assert_eq!(verdict(&[10.0], &[11.5], true, tolerance, Better::Less), Verdict::Worse);
        assert_eq!(verdict(&[10.0], &[10.5], true, Tolerance::Interval, Better::Less), Verdict::Worse);
        let exact = judge(&[10.0], &[10.9, 11.1, 11.0], false, Tolerance::Interval, Better::Less).unwrap();
        assert_eq!((exact.verdict, exact.noise), (Verdict::Worse, Some(false)), "a bill that was paid is exact");
        assert_eq!(judge(&[], &[1.0], true, tolerance, Better::Less), None);
    }
}
