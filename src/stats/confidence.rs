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

    /// How often chance alone puts a mean of independent samples at least this far from `value` (two-sided t test);
    /// `None` of a single sample.
    pub fn p_value(&self, value: f64) -> Option<f64> {
        let error = self.half_width? / t_quantile(self.n - 1);
        Some((2.0 * t_tail((self.mean - value).abs() / error, (self.n - 1) as f64)).min(1.0))
    }
}

/// A one-sided question: is the true mean of `samples` above zero?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sign {
    /// The sample mean.
    pub mean: f64,
    /// How often chance alone makes a mean at least this high when the truth is zero or less; 0 or 1 when the samples
    /// are all equal, 0.5 when they are zero or there are too few.
    pub p_above: f64,
}

impl Sign {
    /// Of independent samples; `None` without any.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let Estimate { mean, half_width, n } = Estimate::from_samples(samples)?;
        let p_above = match half_width {
            None => 0.5,
            Some(half) => t_tail(mean / (half / t_quantile(n - 1)), (n - 1) as f64),
        };
        Some(Self { mean, p_above })
    }

    /// How often chance alone makes a mean at least this low when the truth is zero or more.
    pub fn p_below(&self) -> f64 {
        1.0 - self.p_above
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

/// The mean of `a` less that of `b`, two separate samples of any length and spread; `n` is the shorter length.
///
/// `None` without samples on both sides; without an interval when one of them is a single sample.
/// Source: Welch, "The Generalization of 'Student's' Problem when Several Different Population Variances are Involved",
/// Biometrika 34, 1947; degrees of freedom after Satterthwaite, as in Law, section 10.2.2.
pub fn separate_difference(a: &[f64], b: &[f64]) -> Option<Estimate> {
    let [a, b]: [Welford; 2] = [a, b].map(|samples| samples.iter().copied().collect());
    let mean = a.mean()? - b.mean()?;
    let share = |summary: &Welford| Some(summary.variance()? / summary.count() as f64);
    let half_width = share(&a).zip(share(&b)).map(|(of_a, of_b)| {
        let variance = of_a + of_b;
        if variance == 0.0 {
            return 0.0;
        }
        let below = |part: f64, count: u64| part * part / (count - 1) as f64;
        let freedom = variance * variance / (below(of_a, a.count()) + below(of_b, b.count()));
        students_t(freedom).inverse_cdf(f64::midpoint(1.0, CONFIDENCE_LEVEL)) * variance.sqrt()
    });
    Some(Estimate { mean, half_width, n: a.count().min(b.count()) as usize })
}

/// Pearson's correlation of pairs, in [-1, 1]: what pairing gains, since the variance of a difference is
/// Var a + Var b - 2 Cov. `None` for fewer than three pairs, or when one side does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 3 {
        return None;
    }
    let n = pairs.len() as f64;
    let (mean_a, mean_b) =
        (pairs.iter().map(|pair| pair.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
    let (mut both, mut of_a, mut of_b) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        both += (a - mean_a) * (b - mean_b);
        of_a += (a - mean_a).powi(2);
        of_b += (b - mean_b).powi(2);
    }
    (of_a > 0.0 && of_b > 0.0).then(|| (both / (of_a * of_b).sqrt()).clamp(-1.0, 1.0))
}

/// P-values of several tests, raised so that the chance of any false alarm among all of them stays what each promised.
///
/// Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
/// The smallest is multiplied by their number, the next by one less, and so on, none ending below the one before it.
///
/// ```
/// assert_eq!(ecsim::stats::confidence::holm(&[0.04, 0.01, 0.03]), [0.06, 0.03, 0.06]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (place, test) in order.into_iter().enumerate() {
        least = least.max(p_values[test] * (p_values.len() - place) as f64).min(1.0);
        adjusted[test] = least;
    }
    adjusted
}

/// P(T > t) of Student's t; of an infinite `t` 0 or 1, of no number (zero over zero) a half.
fn t_tail(t: f64, degrees_of_freedom: f64) -> f64 {
    if t.is_nan() {
        0.5
    } else if t.is_infinite() {
        f64::from(u8::from(t < 0.0))
    } else {
        students_t(degrees_of_freedom).sf(t)
    }
}

fn students_t(degrees_of_freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).expect("two samples or more leave at least one degree of freedom")
}

/// The upper quantile of Student's t that leaves out half of what the confidence level does.
fn t_quantile(degrees_of_freedom: usize) -> f64 {
    students_t(degrees_of_freedom as f64).inverse_cdf(f64::midpoint(1.0, CONFIDENCE_LEVEL))
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

    #[test]
    fn p_values_are_those_of_the_t_test() {
        // Student's sleep data (1908), paired: t = 4.0621 with 9 degrees of freedom, p = 0.002833.
        let differences = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
        let estimate = Estimate::from_samples(&differences).unwrap();
        assert!((estimate.p_value(0.0).unwrap() - 0.002_833).abs() < 1e-6, "{:?}", estimate.p_value(0.0));
        assert!((Sign::of(&differences).unwrap().p_above - 0.002_833 / 2.0).abs() < 1e-6);
        assert_eq!(Estimate::from_samples(&[1.0]).unwrap().p_value(0.0), None);
        assert_eq!(Estimate::from_samples(&[1.0; 3]).unwrap().p_value(0.0), Some(0.0));
        assert_eq!(Estimate::from_samples(&[0.0; 3]).unwrap().p_value(0.0), Some(1.0));
        let equal = |value: f64| Sign::of(&[value; 4]).unwrap().p_above;
        assert_eq!((equal(1.0), equal(0.0), equal(-1.0)), (0.0, 0.5, 1.0));
    }

    #[test]
    fn separate_samples_have_welchs_interval() {
        // The same data as two groups: Welch's t = 1.8608 with 17.776 degrees of freedom, 95 % -0.2055 to 3.3655.
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let found = separate_difference(&second, &first).unwrap();
        assert!((found.low() + 0.205_483).abs() < 1e-5 && (found.high() - 3.365_483).abs() < 1e-5, "{found:?}");
        assert_eq!(separate_difference(&[2.0], &[1.0, 3.0]).unwrap().half_width, None);
        assert_eq!(
            separate_difference(&[2.0; 2], &[1.0; 3]).unwrap(),
            Estimate { mean: 1.0, half_width: Some(0.0), n: 2 }
        );
        assert_eq!(separate_difference(&[], &[1.0]), None);
    }

    #[test]
    fn what_moves_together_is_correlated() {
        assert_eq!(correlation(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]), Some(1.0));
        assert_eq!(correlation(&[(1.0, 6.0), (2.0, 4.0), (3.0, 2.0)]), Some(-1.0));
        assert_eq!(correlation(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), None);
        assert_eq!(correlation(&[(1.0, 1.0), (2.0, 2.0)]), None);
    }

    #[test]
    fn holm_raises_p_values_in_their_order() {
        let raised = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in raised.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{raised:?}");
        }
        assert_eq!(holm(&[0.4, 0.9]), [0.8, 0.9]);
        assert_eq!((holm(&[]), holm(&[0.2])), (vec![], vec![0.2]));
    }

    /// Waits in M/M/1 are anything but normal and independent; means over replications are near enough to it. Started
    /// in steady state, so that the truth is known: rho / (mu - lambda) (Law, section 1.4.3 and appendix 1B).
    #[test]
    fn intervals_of_an_mm1_queue_hold_the_true_wait_as_often_as_they_say() {
        let (arrivals, services) = (0.5, 1.0);
        let truth = (arrivals / services) / (services - arrivals);
        let (rounds, replications, customers) = (1_000, 10, 500);
        let mut covered = 0;
        for round in 0..rounds {
            let means: Vec<f64> = (0..replications)
                .map(|replication| {
                    let mut chance = Streams::new(round, replication).named("mm1");
                    let mut exponential = |rate: f64| -libm::log(chance.open_uniform()) / rate;
                    // The wait in steady state: none with probability 1 - rho, else exponential.
                    let busy = exponential(1.0) > -libm::log(arrivals / services);
                    let mut wait = if busy { exponential(services - arrivals) } else { 0.0 };
                    let mut sum = 0.0;
                    for _ in 0..customers {
                        sum += wait;
                        // Lindley's recursion.
                        wait = (wait + exponential(services) - exponential(arrivals)).max(0.0);
                    }
                    sum / f64::from(customers)
                })
                .collect();
            covered += u32::from(Estimate::from_samples(&means).unwrap().contains(truth));
        }
        assert!((930..=970).contains(&covered), "{covered} of {rounds}");
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
