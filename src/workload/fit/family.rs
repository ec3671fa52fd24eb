//! Which family of distributions a sample comes from: maximum likelihood, and the Kolmogorov–Smirnov distance of each.

use statrs::function::erf::erf;
use statrs::function::gamma::{digamma, gamma_lr};

use crate::workload::distribution::Distribution;

/// A distribution that was fitted to a sample, and how far it is from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// Name of the family, as the scenario file spells it.
    pub family: &'static str,
    /// The member of it with the greatest likelihood.
    pub distribution: Distribution,
    /// Kolmogorov–Smirnov distance: the largest difference of the two distribution functions.
    pub ks: f64,
    /// The probability of a distance as large if the sample came from it; too large by a little, for the parameters were
    /// fitted to the same sample.
    pub p_value: f64,
}

/// What a sample must be for a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitSample {
    /// Too few values.
    #[error("{0} values above zero are too few for a fit; it takes 10 or more")]
    TooFew(usize),
}

/// Fits every family to `sample`, the nearest first.
///
/// Values of zero cannot come from these families: they are taken as half of the smallest value above zero, which is what
/// a clock of that resolution makes of them.
///
/// # Errors
/// [`UnfitSample`] with fewer than ten values above zero.
pub fn families(sample: &[f64]) -> Result<Vec<Fitted>, UnfitSample> {
    let positive = sample.iter().filter(|value| **value > 0.0).count();
    if positive < 10 {
        return Err(UnfitSample::TooFew(positive));
    }
    let least = sample.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    let mut sorted: Vec<f64> = sample.iter().map(|value| if *value > 0.0 { *value } else { least / 2.0 }).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / n;
    let logs: Vec<f64> = sorted.iter().map(|value| libm::log(*value)).collect();
    let mean_log = logs.iter().sum::<f64>() / n;
    let variance_log = logs.iter().map(|log| (log - mean_log) * (log - mean_log)).sum::<f64>() / n;
    let mut fitted = vec![("exponential", Distribution::Exponential { mean })];
    // All alike but for rounding: no family with a shape of its own has anything to hold on to.
    if variance_log > 1e-12 {
        let shape = gamma_shape(libm::log(mean) - mean_log);
        fitted.push(("gamma", Distribution::Gamma { shape, scale: mean / shape }));
        let shape = weibull_shape(&sorted, &logs, mean_log, libm::sqrt(variance_log));
        let scale = libm::pow(sorted.iter().map(|value| libm::pow(value / mean, shape)).sum::<f64>() / n, 1.0 / shape);
        fitted.push(("weibull", Distribution::Weibull { shape, scale: scale * mean }));
        fitted.push(("lognormal", Distribution::Lognormal { mu: mean_log, sigma: libm::sqrt(variance_log) }));
    }
    let mut fitted: Vec<Fitted> = fitted
        .into_iter()
        .filter(|(_, distribution)| distribution.validate().is_ok())
        .map(|(family, distribution)| {
            let ks = ks_distance(&sorted, &distribution);
            Fitted { family, distribution, ks, p_value: ks_p_value(ks, sorted.len()) }
        })
        .collect();
    fitted.sort_by(|one, other| one.ks.total_cmp(&other.ks));
    Ok(fitted)
}

/// The shape of a gamma distribution whose `ln(mean) − mean(ln)` is `s`.
///
/// Source: Minka, "Estimating a Gamma distribution", 2002; the start is Thom's.
fn gamma_shape(s: f64) -> f64 {
    let mut shape = (3.0 - s + libm::sqrt((s - 3.0) * (s - 3.0) + 24.0 * s)) / (12.0 * s);
    for _ in 0..50 {
        let error = libm::log(shape) - digamma(shape) - s;
        let step = 1.0 / shape + error / (shape * shape * (1.0 / shape - trigamma(shape)));
        let next = 1.0 / step;
        if !(next.is_finite() && next > 0.0) || (next / shape - 1.0).abs() < 1e-12 {
            break;
        }
        shape = next;
    }
    shape
}

/// ψ′, by its recurrence and its asymptotic series (Abramowitz and Stegun, 6.4.6 and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 8.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum + 1.0 / x + y / 2.0 + y / x * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y / 30.0)))
}

/// The shape of the Weibull distribution with the greatest likelihood: bisection of its one equation, which rises.
///
/// Source: Johnson, Kotz and Balakrishnan, *Continuous Univariate Distributions*, vol. 1, section 21.4.
fn weibull_shape(sorted: &[f64], logs: &[f64], mean_log: f64, deviation_log: f64) -> f64 {
    let largest = libm::log(sorted[sorted.len() - 1]);
    let score = |shape: f64| {
        let (mut weights, mut weighted) = (0.0, 0.0);
        for log in logs {
            // Relative to the largest value, so that no power overflows.
            let weight = libm::exp(shape * (log - largest));
            weights += weight;
            weighted += weight * log;
        }
        weighted / weights - 1.0 / shape - mean_log
    };
    // The logarithm of a Weibull variable has the deviation π / (shape √6).
    let guess = std::f64::consts::PI / (deviation_log * libm::sqrt(6.0));
    let (mut low, mut high) = (guess / 20.0, guess * 20.0);
    for _ in 0..100 {
        let middle = libm::sqrt(low * high);
        if score(middle) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    libm::sqrt(low * high)
}

/// The distribution function of the families that are fitted, and of a sample.
pub fn cdf(distribution: &Distribution, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    match distribution {
        Distribution::Exponential { mean } => -libm::expm1(-x / mean),
        Distribution::Gamma { shape, scale } => gamma_lr(*shape, x / scale),
        Distribution::Weibull { shape, scale } => -libm::expm1(-libm::pow(x / scale, *shape)),
        Distribution::Lognormal { mu, sigma } => {
            0.5 * (1.0 + erf((libm::log(x) - mu) / (sigma * std::f64::consts::SQRT_2)))
        }
        other => {
            // By bisection of the quantile function: what is not fitted is seldom asked.
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..50 {
                let middle = f64::midpoint(low, high);
                if other.transform(middle) > x { high = middle } else { low = middle }
            }
            f64::midpoint(low, high)
        }
    }
}

/// The largest difference between the distribution function of a sorted sample and that of `distribution`.
pub fn ks_distance(sorted: &[f64], distribution: &Distribution) -> f64 {
    let n = sorted.len() as f64;
    let mut most = 0.0_f64;
    let mut place = 0;
    while place < sorted.len() {
        // Values that are there several times are one step.
        let end = sorted[place..].partition_point(|value| *value <= sorted[place]) + place;
        let there = cdf(distribution, sorted[place]);
        most = most.max((there - place as f64 / n).abs()).max((there - end as f64 / n).abs());
        place = end;
    }
    most
}

/// The probability that a sample of `n` is as far as `distance` from the distribution that it comes from.
///
/// Kolmogorov's series with Stephens's correction for small samples ("EDF Statistics for Goodness of Fit", JASA 69, 1974).
pub fn ks_p_value(distance: f64, n: usize) -> f64 {
    let root = libm::sqrt(n as f64);
    let x = distance * (root + 0.12 + 0.11 / root);
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
        sign * libm::exp(-2.0 * f64::from(k * k) * x * x)
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn sample(distribution: &Distribution, count: usize) -> Vec<f64> {
        let mut chance = Streams::new(11, 0).named("sample");
        (0..count).map(|_| distribution.sample(&mut chance)).collect()
    }

    #[test]
    fn each_family_is_found_again_with_its_parameters() {
        for (family, distribution) in [
            ("exponential", Distribution::Exponential { mean: 0.2 }),
            ("gamma", Distribution::Gamma { shape: 4.0, scale: 0.5 }),
            ("weibull", Distribution::Weibull { shape: 0.6, scale: 30.0 }),
            ("lognormal", Distribution::Lognormal { mu: 3.0, sigma: 1.5 }),
        ] {
            let found = families(&sample(&distribution, 20_000)).unwrap();
            let own = found.iter().find(|fitted| fitted.family == family).unwrap();
            assert!(own.ks < 0.012 && own.p_value > 0.01, "{family}: {own:?}");
            // The exponential is a gamma and a Weibull distribution too, and then not worse than these by much.
            assert!(found[0].family == family || own.ks < found[0].ks + 0.003, "{family}: {found:?}");
            assert!((own.distribution.mean() / distribution.mean() - 1.0).abs() < 0.05, "{family}: {own:?}");
            assert!((own.distribution.cv() / distribution.cv() - 1.0).abs() < 0.05, "{family}: {own:?}");
        }
    }

    #[test]
    fn a_wrong_family_is_far_and_improbable() {
        let found = families(&sample(&Distribution::Lognormal { mu: 0.0, sigma: 2.0 }, 5000)).unwrap();
        let exponential = found.iter().find(|fitted| fitted.family == "exponential").unwrap();
        assert!(exponential.ks > 0.2 && exponential.p_value < 1e-9);
        assert_eq!(found[0].family, "lognormal");
    }

    #[test]
    fn distribution_functions_invert_the_quantiles() {
        for distribution in [
            Distribution::Gamma { shape: 0.3, scale: 7.0 },
            Distribution::Weibull { shape: 1.7, scale: 2.0 },
            Distribution::Lognormal { mu: -1.0, sigma: 0.4 },
            Distribution::Uniform { min: 1.0, max: 3.0 },
        ] {
            for u in [0.01, 0.3, 0.5, 0.9, 0.999] {
                assert!((cdf(&distribution, distribution.transform(u)) - u).abs() < 1e-6, "{distribution:?} at {u}");
            }
        }
        assert_eq!(cdf(&Distribution::Exponential { mean: 1.0 }, -1.0), 0.0);
    }

    #[test]
    fn the_p_value_is_kolmogorovs() {
        // The classic critical value: 1.358 / sqrt(n) at five per cent.
        assert!((ks_p_value(1.358 / 1000.0_f64.sqrt() / (1.0 + 0.0038), 1000) - 0.05).abs() < 0.002);
        assert_eq!(ks_p_value(0.0, 50), 1.0);
        assert!(ks_p_value(0.5, 1000) < 1e-100);
    }

    #[test]
    fn trigamma_is_the_slope_of_digamma() {
        for x in [0.2, 1.0, 3.5, 20.0] {
            let slope = (digamma(x + 1e-5) - digamma(x - 1e-5)) / 2e-5;
            assert!((trigamma(x) / slope - 1.0).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn odd_samples_are_refused_or_survived() {
        assert_eq!(families(&[1.0; 9]), Err(UnfitSample::TooFew(9)));
        assert_eq!(families(&[0.0; 50]), Err(UnfitSample::TooFew(0)));
        let alike = families(&[3.0; 50]).unwrap();
        assert_eq!((alike.len(), alike[0].family), (1, "exponential"));
        let zeros: Vec<f64> = (0..100).map(|n| f64::from(n % 3)).collect();
        assert!(families(&zeros).unwrap().iter().all(|fitted| fitted.distribution.mean() > 0.0));
        let huge: Vec<f64> = (1..100).map(|n| f64::from(n) * 1e300).collect();
        assert!(families(&huge).is_ok());
    }
}
