//! How sure is a mean? Student's t interval, and the paired comparison of two systems.

use super::welford::Welford;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The level of every interval in this crate.
pub const CONFIDENCE_LEVEL: f64 = 0.95;

/// A mean with its 95 % confidence interval, mean ± half width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The sample mean.
    pub mean: f64,
    /// Half the width of the interval; `None` of a single sample, about whose spread nothing is known.
    pub half_width: Option<f64>,
    /// Samples.
    pub n: usize,
}

impl Estimate {
    /// The mean of independent samples: replications, or the means of long batches. `None` of no samples.
    ///
    /// The interval is t(n - 1, 0.975) · s / √n. Source: Law, section 4.5, formula 4.12.
    ///
    /// ```
    /// use ecsim::stats::Estimate;
    ///
    /// let waits = Estimate::from_samples(&[1.20, 1.50, 1.68, 1.89, 0.95, 1.49, 1.58, 1.55, 0.50, 1.09]).unwrap();
    /// assert_eq!(format!("{:.2} ± {:.2}", waits.mean, waits.half_width.unwrap()), "1.34 ± 0.29");
    /// ```
    pub fn from_samples(samples: &[f64]) -> Option<Self> {
        let summary: Welford = samples.iter().copied().collect();
        let n = samples.len();
        let half_width = summary.standard_deviation().map(|s| t_quantile(n - 1) * s / (n as f64).sqrt());
        Some(Self { mean: summary.mean()?, half_width, n })
    }

    /// The lower end of the interval; minus infinity of a single sample.
    pub fn low(&self) -> f64 {
        self.mean - self.half_width.unwrap_or(f64::INFINITY)
    }

    /// The upper end of the interval; infinity of a single sample.
    pub fn high(&self) -> f64 {
        self.mean + self.half_width.unwrap_or(f64::INFINITY)
    }

    /// True if `value` lies in the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low()..=self.high()).contains(&value)
    }
}

/// The mean of `a - b`, pair by pair: two systems under the same random numbers, replication for replication.
///
/// The difference is significant at 5 % when the interval does not contain zero. What both systems share, they share
/// in each pair, so the interval is narrower than that of two separate samples. `None` if the lengths differ or are zero.
/// Source: Law, section 10.2.1, "A Paired-t Confidence Interval".
pub fn paired_difference(a: &[f64], b: &[f64]) -> Option<Estimate> {
    if a.len() != b.len() {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    Estimate::from_samples(&differences)
}

/// The upper quantile of Student's t that leaves out half of what the confidence level does.
fn t_quantile(degrees_of_freedom: usize) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom as f64)
        .expect("two samples or more leave at least one degree of freedom")
        .inverse_cdf(f64::midpoint(1.0, CONFIDENCE_LEVEL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (degrees_of_freedom, expected) in
            [(1, 12.706_205), (2, 4.302_653), (4, 2.776_445), (9, 2.262_157), (29, 2.045_230), (1_000, 1.962_339)]
        {
            let found = t_quantile(degrees_of_freedom);
            assert!((found - expected).abs() < 1e-5, "{degrees_of_freedom}: {found}, not {expected}");
        }
    }

    #[test]
    fn one_sample_has_a_mean_and_no_interval() {
        assert_eq!(Estimate::from_samples(&[]), None);
        let one = Estimate::from_samples(&[3.0]).unwrap();
        assert_eq!(one, Estimate { mean: 3.0, half_width: None, n: 1 });
        assert!(one.contains(-1e300) && one.contains(1e300));
    }

    #[test]
    fn equal_samples_have_an_interval_of_no_width() {
        let same = Estimate::from_samples(&[2.5; 6]).unwrap();
        assert_eq!((same.low(), same.high(), same.n), (2.5, 2.5, 6));
        assert!(same.contains(2.5) && !same.contains(2.500_001));
    }

    #[test]
    fn pairs_tell_apart_what_separate_samples_cannot() {
        // Replications differ by tens, the systems by one.
        let a = [110.0, 52.1, 83.0, 21.9, 64.0];
        let b = [109.0, 51.0, 82.1, 20.9, 63.0];
        let difference = paired_difference(&a, &b).unwrap();
        assert!((difference.mean - 1.0).abs() < 1e-9 && !difference.contains(0.0), "{difference:?}");
        let (a, b) = (Estimate::from_samples(&a).unwrap(), Estimate::from_samples(&b).unwrap());
        assert!(a.contains(b.mean) && b.contains(a.mean));
        assert_eq!(paired_difference(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(paired_difference(&[], &[]), None);
    }

    /// The promise of the name: 95 % of the intervals hold the mean, when the samples are normal.
    #[test]
    fn the_interval_covers_the_mean_as_often_as_it_says() {
        let mut chance = Streams::new(11, 0).named("normal");
        let mut normal = || {
            let (radius, angle) = (chance.open_uniform(), chance.uniform());
            (-2.0 * libm::log(radius)).sqrt() * libm::cos(std::f64::consts::TAU * angle)
        };
        for n in [2, 5, 20] {
            let rounds = 4_000;
            let covered = (0..rounds)
                .filter(|_| {
                    let samples: Vec<f64> = (0..n).map(|_| 10.0 + 3.0 * normal()).collect();
                    Estimate::from_samples(&samples).unwrap().contains(10.0)
                })
                .count();
            let coverage = covered as f64 / f64::from(rounds);
            // Four standard errors: 4 * sqrt(0.95 * 0.05 / 4000).
            assert!((coverage - 0.95).abs() < 0.013_8, "n = {n}: {coverage}");
        }
    }
}
