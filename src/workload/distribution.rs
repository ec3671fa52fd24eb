//! Distributions of delays, service times and sizes, sampled by inverse transform so that runs are portable.

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
    Empirical(std::sync::Arc<[f64]>),
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
