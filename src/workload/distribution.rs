//! Distributions of delays, service times and sizes, sampled by inverse transform so that runs are portable.
//!
//! Every sample takes exactly one number from its stream, whatever the distribution: two variants of a scenario that
//! differ in one distribution still face the same chance everywhere else (common random numbers).

use std::f64::consts::SQRT_2;
use std::sync::Arc;

use crate::engine::streams::Stream;
use crate::engine::time::SimDuration;

/// A non-negative random quantity: seconds, a fraction or MiB, as its use says.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always this value.
    Constant(f64),
    /// Uniform on `[min, max]`.
    Uniform {
        /// Lower end.
        min: f64,
        /// Upper end.
        max: f64,
    },
    /// Triangular.
    Triangular {
        /// Lower end.
        min: f64,
        /// Peak.
        mode: f64,
        /// Upper end.
        max: f64,
    },
    /// Exponential.
    Exponential {
        /// Mean.
        mean: f64,
    },
    /// Lognormal: `exp(mu + sigma * Z)`.
    Lognormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
    /// Gamma.
    Gamma {
        /// Shape k.
        shape: f64,
        /// Scale theta.
        scale: f64,
    },
    /// Weibull.
    Weibull {
        /// Shape k.
        shape: f64,
        /// Scale lambda.
        scale: f64,
    },
    /// Empirical: the inverse of the sample's distribution function, linear between the sorted values.
    ///
    /// Make it with [`Distribution::empirical`], which sorts.
    Empirical(Arc<[f64]>),
    /// One of two: "usually this, three times longer with probability p" (slow boots).
    Mixture {
        /// Probability of the second component.
        probability: f64,
        /// Taken with probability `1 - probability`.
        usual: Box<Distribution>,
        /// Taken with probability `probability`.
        rare: Box<Distribution>,
    },
}

/// A parameter that makes no distribution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{parameter} is {found}; it must be {expected}")]
pub struct InvalidDistribution {
    /// Which parameter, with its distribution: `mean of exponential`.
    pub parameter: &'static str,
    /// What it is.
    pub found: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Distribution {
    /// The lognormal with this mean and coefficient of variation (standard deviation over mean).
    pub fn lognormal_mean_cv(mean: f64, cv: f64) -> Self {
        let variance = libm::log1p(cv * cv);
        Self::Lognormal { mu: libm::log(mean) - variance / 2.0, sigma: libm::sqrt(variance) }
    }

    /// The lognormal with this median, and `sigma` as the standard deviation of the logarithm.
    pub fn lognormal_median_sigma(median: f64, sigma: f64) -> Self {
        Self::Lognormal { mu: libm::log(median), sigma }
    }

    /// The gamma distribution with this mean and coefficient of variation; the constant when that is zero.
    pub fn gamma_mean_cv(mean: f64, cv: f64) -> Self {
        if cv == 0.0 {
            return Self::Constant(mean);
        }
        Self::Gamma { shape: 1.0 / (cv * cv), scale: mean * cv * cv }
    }

    /// The empirical distribution of `values`, in any order; refused without values or with a negative one.
    pub fn empirical(mut values: Vec<f64>) -> Result<Self, InvalidDistribution> {
        values.sort_by(f64::total_cmp);
        let distribution = Self::Empirical(values.into());
        distribution.validate()?;
        Ok(distribution)
    }

    /// This distribution, but `factor` times as large with `probability`.
    pub fn with_rare(self, probability: f64, factor: f64) -> Self {
        let rare = Box::new(self.scaled(factor));
        Self::Mixture { probability, usual: Box::new(self), rare }
    }

    /// The distribution of `factor` times this quantity.
    pub fn scaled(&self, factor: f64) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(value * factor),
            Self::Uniform { min, max } => Self::Uniform { min: min * factor, max: max * factor },
            Self::Triangular { min, mode, max } => {
                Self::Triangular { min: min * factor, mode: mode * factor, max: max * factor }
            }
            Self::Exponential { mean } => Self::Exponential { mean: mean * factor },
            Self::Lognormal { mu, sigma } => Self::Lognormal { mu: mu + libm::log(factor), sigma: *sigma },
            Self::Gamma { shape, scale } => Self::Gamma { shape: *shape, scale: scale * factor },
            Self::Weibull { shape, scale } => Self::Weibull { shape: *shape, scale: scale * factor },
            Self::Empirical(values) => Self::Empirical(values.iter().map(|value| value * factor).collect()),
            Self::Mixture { probability, usual, rare } => Self::Mixture {
                probability: *probability,
                usual: Box::new(usual.scaled(factor)),
                rare: Box::new(rare.scaled(factor)),
            },
        }
    }

    /// Checks every parameter: finite, non-negative, in order.
    pub fn validate(&self) -> Result<(), InvalidDistribution> {
        match self {
            Self::Constant(value) => non_negative("constant", *value),
            Self::Uniform { min, max } => {
                non_negative("min of uniform", *min)?;
                not_below("max of uniform", *max, *min, "a finite number, and not less than min")
            }
            Self::Triangular { min, mode, max } => {
                non_negative("min of triangular", *min)?;
                not_below("mode of triangular", *mode, *min, "a finite number, and not less than min")?;
                not_below("max of triangular", *max, *mode, "a finite number, and not less than mode")
            }
            Self::Exponential { mean } => non_negative("mean of exponential", *mean),
            Self::Lognormal { mu, sigma } => {
                if !mu.is_finite() {
                    let expected = "finite: the logarithm of a positive number";
                    return Err(InvalidDistribution { parameter: "mu of lognormal", found: mu.to_string(), expected });
                }
                non_negative("sigma of lognormal", *sigma)?;
                self.finite_mean("mean of lognormal")
            }
            Self::Gamma { shape, scale } => {
                positive("shape of gamma", *shape)?;
                non_negative("scale of gamma", *scale)?;
                self.finite_mean("mean of gamma")
            }
            Self::Weibull { shape, scale } => {
                positive("shape of weibull", *shape)?;
                non_negative("scale of weibull", *scale)?;
                self.finite_mean("mean of weibull")
            }
            Self::Empirical(values) => {
                if values.is_empty() {
                    let found = "empty".to_owned();
                    return Err(InvalidDistribution {
                        parameter: "empirical sample",
                        found,
                        expected: "at least one value",
                    });
                }
                values.iter().try_for_each(|&value| non_negative("a value of empirical", value))?;
                if !values.is_sorted() {
                    let found = "unsorted".to_owned();
                    return Err(InvalidDistribution { parameter: "empirical sample", found, expected: "sorted" });
                }
                Ok(())
            }
            Self::Mixture { probability, usual, rare } => {
                if !(0.0..=1.0).contains(probability) {
                    let found = probability.to_string();
                    return Err(InvalidDistribution {
                        parameter: "probability of mixture",
                        found,
                        expected: "from 0 to 1",
                    });
                }
                usual.validate()?;
                rare.validate()
            }
        }
    }

    fn finite_mean(&self, parameter: &'static str) -> Result<(), InvalidDistribution> {
        non_negative(parameter, self.mean())
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => f64::midpoint(*min, *max),
            Self::Triangular { min, mode, max } => (min + mode + max) / 3.0,
            Self::Exponential { mean } => *mean,
            Self::Lognormal { mu, sigma } => libm::exp(mu + sigma * sigma / 2.0),
            Self::Gamma { shape, scale } => shape * scale,
            Self::Weibull { shape, scale } => scale * libm::tgamma(1.0 + 1.0 / shape),
            Self::Empirical(values) => mean_over_segments(values, f64::midpoint),
            Self::Mixture { probability, usual, rare } => {
                (1.0 - probability) * usual.mean() + probability * rare.mean()
            }
        }
    }

    /// The variance.
    pub fn variance(&self) -> f64 {
        let squared_mean = self.mean() * self.mean();
        match self {
            Self::Constant(_) => 0.0,
            Self::Uniform { min, max } => (max - min) * (max - min) / 12.0,
            Self::Triangular { min: a, mode: c, max: b } => (a * a + b * b + c * c - a * b - a * c - b * c) / 18.0,
            Self::Exponential { mean } => mean * mean,
            Self::Lognormal { sigma, .. } => libm::expm1(sigma * sigma) * squared_mean,
            Self::Gamma { shape, scale } => shape * scale * scale,
            Self::Weibull { shape, scale } => (scale * scale * libm::tgamma(1.0 + 2.0 / shape) - squared_mean).max(0.0),
            // Between two sorted values the quantile function is a line: E[X^2] there is (a^2 + ab + b^2) / 3.
            Self::Empirical(values) => {
                (mean_over_segments(values, |a, b| (a * a + a * b + b * b) / 3.0) - squared_mean).max(0.0)
            }
            Self::Mixture { probability, usual, rare } => {
                let square = |part: &Self| part.variance() + part.mean() * part.mean();
                ((1.0 - probability) * square(usual) + probability * square(rare) - squared_mean).max(0.0)
            }
        }
    }

    /// Coefficient of variation: standard deviation over mean; zero for the constant zero.
    pub fn cv(&self) -> f64 {
        let mean = self.mean();
        if mean > 0.0 { libm::sqrt(self.variance()) / mean } else { 0.0 }
    }

    /// One value; takes one number from `chance`.
    pub fn sample(&self, chance: &mut Stream) -> f64 {
        self.transform(chance.open_uniform())
    }

    /// One value read as seconds, at most [`SimDuration::CENTURY`]; takes one number from `chance`.
    pub fn sample_duration(&self, chance: &mut Stream) -> SimDuration {
        SimDuration::from_secs_f64(self.sample(chance)).min(SimDuration::CENTURY)
    }

    /// Turns a number uniform on (0, 1) into a value.
    ///
    /// It is the quantile function, save that a mixture spends the upper digits of `u` on choosing its component.
    pub fn transform(&self, u: f64) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => min + u * (max - min),
            Self::Triangular { min, mode, max } => {
                let (width, left) = (max - min, mode - min);
                if u * width < left {
                    min + libm::sqrt(u * width * left)
                } else {
                    max - libm::sqrt((1.0 - u) * width * (max - mode))
                }
            }
            Self::Exponential { mean } => -mean * libm::log1p(-u),
            Self::Lognormal { mu, sigma } => libm::exp(mu + sigma * normal_quantile(u)),
            Self::Gamma { shape, scale } => scale * gamma_quantile(*shape, u),
            Self::Weibull { shape, scale } => scale * libm::pow(-libm::log1p(-u), 1.0 / shape),
            Self::Empirical(values) => {
                let place = u * (values.len() - 1) as f64;
                let below = place as usize;
                let above = (below + 1).min(values.len() - 1);
                values[below] + (place - below as f64) * (values[above] - values[below])
            }
            Self::Mixture { probability, usual, rare } => {
                // The part of `u` that did not choose is uniform again; keep it off the ends for the inverse functions.
                let inside = |u: f64| u.clamp(f64::EPSILON / 4.0, 1.0 - f64::EPSILON / 2.0);
                if u < *probability {
                    rare.transform(inside(u / probability))
                } else {
                    usual.transform(inside((u - probability) / (1.0 - probability)))
                }
            }
        }
    }
}

fn mean_over_segments(sorted: &[f64], of_segment: impl Fn(f64, f64) -> f64) -> f64 {
    match sorted {
        [] => 0.0,
        [only] => of_segment(*only, *only),
        _ => sorted.windows(2).map(|pair| of_segment(pair[0], pair[1])).sum::<f64>() / (sorted.len() - 1) as f64,
    }
}

fn non_negative(parameter: &'static str, value: f64) -> Result<(), InvalidDistribution> {
    not_below(parameter, value, 0.0, "a finite number, and not negative")
}

fn positive(parameter: &'static str, value: f64) -> Result<(), InvalidDistribution> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(InvalidDistribution { parameter, found: value.to_string(), expected: "a finite number above zero" })
}

fn not_below(
    parameter: &'static str,
    value: f64,
    least: f64,
    expected: &'static str,
) -> Result<(), InvalidDistribution> {
    if value.is_finite() && value >= least {
        return Ok(());
    }
    Err(InvalidDistribution { parameter, found: value.to_string(), expected })
}

/// The standard normal quantile, to about 1 part in 10^16.
///
/// Source: Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", Applied Statistics 37(3),
/// 1988, routine PPND16.
pub fn normal_quantile(u: f64) -> f64 {
    const A: [f64; 8] = [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ];
    const B: [f64; 8] = [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_854e3,
    ];
    const C: [f64; 8] = [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ];
    const D: [f64; 8] = [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ];
    const E: [f64; 8] = [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ];
    const F: [f64; 8] = [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ];
    let q = u - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&A, r) / polynomial(&B, r);
    }
    let tail = if q < 0.0 { u } else { 1.0 - u };
    let r = libm::sqrt(-libm::log(tail));
    let magnitude = if r <= 5.0 {
        polynomial(&C, r - 1.6) / polynomial(&D, r - 1.6)
    } else {
        polynomial(&E, r - 5.0) / polynomial(&F, r - 5.0)
    };
    magnitude.copysign(q)
}

/// `coefficients[0] + coefficients[1] x + …`, by Horner's rule.
fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

/// The standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// The quantile of the gamma distribution with this shape and scale 1.
///
/// Newton's method on the regularised incomplete gamma function, in the nearer tail, kept inside a shrinking bracket;
/// started by Wilson and Hilferty's approximation (Abramowitz and Stegun 26.4.17) or, for small shapes, by the leading
/// term of the series. Above shape 10^5 that approximation is within 10^-8 of the answer and taken as it is.
pub fn gamma_quantile(shape: f64, u: f64) -> f64 {
    let z = normal_quantile(u);
    let ninth = 1.0 / (9.0 * shape);
    let cube = 1.0 - ninth + z * libm::sqrt(ninth);
    let wilson_hilferty = shape * cube * cube * cube;
    if shape > 1e5 {
        return wilson_hilferty;
    }
    let log_gamma = libm::lgamma(shape);
    // P(x) ~ x^a / Gamma(a + 1) near zero.
    let leading = libm::exp((libm::log(u) + log_gamma + libm::log(shape)) / shape);
    let mut x = if shape < 1.0 || cube < 0.1 { leading.min(shape.max(1.0) * 20.0) } else { wilson_hilferty };
    if x < f64::MIN_POSITIVE {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, f64::INFINITY);
    for _ in 0..200 {
        let (lower, upper) = incomplete_gamma(shape, x, log_gamma);
        // The smaller tail keeps its digits; the error has the same sign either way.
        let error = if u <= 0.5 { lower - u } else { (1.0 - u) - upper };
        if error > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let density = libm::exp((shape - 1.0) * libm::log(x) - x - log_gamma);
        let newton = x - error / density;
        let next = if newton > low && newton < high {
            newton
        } else if high.is_finite() {
            f64::midpoint(low, high)
        } else {
            2.0 * x
        };
        let moved = (next - x).abs();
        x = next;
        if moved <= 1e-14 * x {
            break;
        }
    }
    x
}

/// The regularised incomplete gamma functions `(P(a, x), Q(a, x))` for x > 0, given `ln Gamma(a)`.
///
/// Series for x < a + 1, Lentz's continued fraction beyond. Source: Press et al., *Numerical Recipes*, 3rd ed.,
/// section 6.2.
fn incomplete_gamma(shape: f64, x: f64, log_gamma: f64) -> (f64, f64) {
    /// Keeps the two running quotients of the fraction off zero.
    const TINY: f64 = 1e-300;
    let front = libm::exp(shape * libm::log(x) - x - log_gamma);
    if x < shape + 1.0 {
        let mut term = 1.0 / shape;
        let mut sum = term;
        let mut denominator = shape;
        while term > sum * f64::EPSILON / 4.0 {
            denominator += 1.0;
            term *= x / denominator;
            sum += term;
        }
        let lower = (sum * front).min(1.0);
        return (lower, 1.0 - lower);
    }
    let off_zero = |quotient: f64| if quotient.abs() < TINY { TINY } else { quotient };
    let mut partial = x + 1.0 - shape;
    let mut forward = 1.0 / TINY;
    let mut backward = 1.0 / partial;
    let mut fraction = backward;
    for index in 1..100_000u32 {
        let index = f64::from(index);
        let numerator = -index * (index - shape);
        partial += 2.0;
        backward = 1.0 / off_zero(numerator * backward + partial);
        forward = off_zero(partial + numerator / forward);
        let step = backward * forward;
        fraction *= step;
        if (step - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    let upper = (front * fraction).min(1.0);
    (1.0 - upper, upper)
}

/// A Poisson count with this mean; takes one number from `chance`.
///
/// Inverse transform by summing up to a mean of 100, the rounded normal quantile with its correction for skew above,
/// where it is off by less than a hundredth of a standard deviation; zero for a mean that is not positive.
pub fn poisson_count(mean: f64, chance: &mut Stream) -> f64 {
    let u = chance.open_uniform();
    if mean.is_nan() || mean <= 0.0 {
        return 0.0;
    }
    if mean > 100.0 {
        let z = normal_quantile(u);
        // The (z^2 - 1) / 6 of Cornish and Fisher's expansion takes care of the skew.
        return (mean + libm::sqrt(mean) * z + (z * z - 1.0) / 6.0).round().max(0.0);
    }
    let mut count = 0.0;
    let mut term = libm::exp(-mean);
    let mut below = term;
    // The far tail may round away; where it does, the count is the last one that could be told apart.
    while below < u && term > 0.0 {
        count += 1.0;
        term *= mean / count;
        below += term;
    }
    count
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::engine::streams::Streams;

    fn close(found: f64, expected: f64, relative: f64) -> bool {
        (found - expected).abs() <= relative * expected.abs().max(1e-12)
    }

    fn every_kind() -> Vec<Distribution> {
        use Distribution as D;
        vec![
            D::Constant(45.0),
            D::Uniform { min: 2.0, max: 6.0 },
            D::Triangular { min: 30.0, mode: 45.0, max: 90.0 },
            D::Triangular { min: 0.0, mode: 0.0, max: 3.0 },
            D::Exponential { mean: 4.0 },
            D::lognormal_mean_cv(20.0, 0.7),
            D::lognormal_median_sigma(15.0, 0.253),
            D::gamma_mean_cv(8.0, 0.5),
            D::Gamma { shape: 0.3, scale: 10.0 },
            D::Gamma { shape: 250.0, scale: 0.1 },
            D::Weibull { shape: 0.8, scale: 3.0 },
            D::empirical(vec![5.0, 1.0, 2.0, 9.0, 2.0]).unwrap(),
            D::Lognormal { mu: 3.807, sigma: 0.35 }.with_rare(0.03, 3.0),
        ]
    }

    #[test]
    fn samples_have_the_mean_and_variance_that_the_distribution_claims() {
        const N: u32 = 200_000;
        for distribution in every_kind() {
            distribution.validate().unwrap();
            let mut chance = Streams::new(1, 0).named("moments");
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..N {
                let x = distribution.sample(&mut chance);
                assert!(x >= 0.0);
                sum += x;
                squares += x * x;
            }
            let mean = sum / f64::from(N);
            let variance = squares / f64::from(N) - mean * mean;
            let spread = libm::sqrt(distribution.variance() / f64::from(N));
            assert!((mean - distribution.mean()).abs() <= 4.0 * spread + 1e-9, "{distribution:?}: mean {mean}");
            assert!(
                close(variance, distribution.variance(), 0.05) || variance.abs() < 1e-9,
                "{distribution:?}: variance {variance} for {}",
                distribution.variance()
            );
        }
    }

    #[test]
    fn constructors_hit_their_mean_median_and_cv() {
        for distribution in [Distribution::lognormal_mean_cv(20.0, 0.7), Distribution::gamma_mean_cv(20.0, 0.7)] {
            assert!(close(distribution.mean(), 20.0, 1e-12), "{distribution:?}");
            assert!(close(distribution.cv(), 0.7, 1e-12), "{distribution:?}");
        }
        assert!(close(Distribution::lognormal_median_sigma(15.0, 0.3).transform(0.5), 15.0, 1e-15));
        assert_eq!(Distribution::gamma_mean_cv(3.0, 0.0), Distribution::Constant(3.0));
    }

    #[test]
    fn every_sample_takes_one_number() {
        for distribution in every_kind() {
            let mut chance = Streams::new(3, 0).named("one");
            let mut other = chance.clone();
            distribution.sample(&mut chance);
            other.open_uniform();
            assert_eq!(chance, other, "{distribution:?}");
        }
    }

    #[rstest]
    #[case(0.975, 1.959_963_984_540_054)]
    #[case(0.25, -0.674_489_750_196_081_7)]
    #[case(0.001, -3.090_232_306_167_813_5)]
    #[case(1e-20, -9.262_340_089_798_408)]
    #[case(0.5, 0.0)]
    fn as_241_gives_the_published_percentage_points(#[case] u: f64, #[case] expected: f64) {
        assert!((normal_quantile(u) - expected).abs() < 1e-14 * expected.abs().max(1.0), "{}", normal_quantile(u));
    }

    #[test]
    fn normal_quantile_inverts_the_distribution_function() {
        for step in 1..4000 {
            let u = f64::from(step) / 4000.0;
            assert!(close(normal_cdf(normal_quantile(u)), u, 1e-14), "{u}");
        }
        for exponent in 5..300 {
            let u = libm::pow(10.0, -f64::from(exponent));
            assert!(close(normal_cdf(normal_quantile(u)), u, 1e-11), "{u}");
        }
    }

    #[test]
    fn gamma_quantile_inverts_the_distribution_function() {
        for shape in [0.05, 0.3, 0.999, 1.0, 1.7, 4.0, 30.0, 1e3, 9e4] {
            for u in [1e-9, 1e-4, 0.02, 0.3, 0.5, 0.7, 0.95, 0.9999, 1.0 - 1e-9] {
                let x = gamma_quantile(shape, u);
                if x < 1e-290 {
                    continue;
                }
                let (lower, upper) = incomplete_gamma(shape, x, libm::lgamma(shape));
                // ln Gamma of a large shape costs some of the last digits.
                let tolerance = 1e-12 * shape.max(10.0);
                assert!(
                    close(lower, u, tolerance) && close(upper, 1.0 - u, tolerance.max(1e-6)),
                    "{shape} {u}: {lower}"
                );
            }
        }
        assert!(close(gamma_quantile(1.0, 0.4), -libm::log(0.6), 1e-13));
        // Above and below the switch to the approximation.
        assert!(close(gamma_quantile(1.0001e5, 0.9) / 1.0001e5, gamma_quantile(0.9999e5, 0.9) / 0.9999e5, 1e-6));
    }

    #[test]
    fn empirical_quantiles_are_linear_between_the_values() {
        let distribution = Distribution::empirical(vec![10.0, 0.0, 4.0]).unwrap();
        assert_eq!(distribution.transform(0.25), 2.0);
        assert_eq!(distribution.transform(0.75), 7.0);
        assert_eq!(Distribution::empirical(vec![3.0]).unwrap().transform(0.9), 3.0);
    }

    #[test]
    fn a_mixture_takes_its_rare_component_as_often_as_it_says() {
        let distribution = Distribution::Constant(10.0).with_rare(0.03, 3.0);
        let mut chance = Streams::new(5, 0).named("boots");
        let slow = (0..100_000).filter(|_| distribution.sample(&mut chance) == 30.0).count();
        assert!((2800..3200).contains(&slow), "{slow}");
        assert!(close(distribution.mean(), 10.6, 1e-12));
        for certain in [0.0, 1.0] {
            let value = Distribution::Exponential { mean: 1.0 }.with_rare(certain, 2.0).transform(0.5);
            assert!(value.is_finite() && value > 0.0);
        }
    }

    #[rstest]
    #[case(Distribution::Constant(f64::NAN), "constant is NaN; it must be a finite number, and not negative")]
    #[case(Distribution::Exponential { mean: -1.0 }, "mean of exponential is -1; it must be a finite number, and not negative")]
    #[case(Distribution::Uniform { min: 3.0, max: 2.0 }, "max of uniform is 2; it must be a finite number, and not less than min")]
    #[case(Distribution::Triangular { min: 1.0, mode: 5.0, max: 4.0 }, "max of triangular is 4; it must be a finite number, and not less than mode")]
    #[case(
        Distribution::lognormal_mean_cv(0.0, 1.0),
        "mu of lognormal is -inf; it must be finite: the logarithm of a positive number"
    )]
    #[case(Distribution::Gamma { shape: 0.0, scale: 1.0 }, "shape of gamma is 0; it must be a finite number above zero")]
    #[case(Distribution::Weibull { shape: 0.001, scale: 1.0 }, "mean of weibull is inf; it must be a finite number, and not negative")]
    #[case(Distribution::Empirical(Arc::from([])), "empirical sample is empty; it must be at least one value")]
    #[case(Distribution::Constant(1.0).with_rare(1.5, 2.0), "probability of mixture is 1.5; it must be from 0 to 1")]
    fn refuses_what_is_no_distribution(#[case] distribution: Distribution, #[case] message: &str) {
        assert_eq!(distribution.validate().unwrap_err().to_string(), message);
    }

    #[test]
    fn poisson_counts_have_mean_and_variance_alike() {
        const N: u32 = 50_000;
        for mean in [0.0, 0.2, 3.0, 99.0, 101.0, 1e6] {
            let mut chance = Streams::new(9, 0).named("counts");
            let counts: Vec<f64> = (0..N).map(|_| poisson_count(mean, &mut chance)).collect();
            let average = counts.iter().sum::<f64>() / f64::from(N);
            let variance = counts.iter().map(|x| (x - average) * (x - average)).sum::<f64>() / f64::from(N);
            assert!((average - mean).abs() <= 4.0 * libm::sqrt(mean / f64::from(N)), "{mean}: {average}");
            assert!(close(variance, mean, 0.04), "{mean}: {variance}");
        }
    }
}
