//! Mean and variance in one pass.

/// Count, mean, variance and extremes of a series, without keeping it.
///
/// Source: Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4(3), 1962;
/// merging after Chan, Golub and LeVeque, 1979. The textbook's sum of squares loses all digits when the mean is large
/// against the deviation; this does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Welford {
    count: u64,
    mean: f64,
    /// Sum of squared deviations from the mean.
    squares: f64,
    min: f64,
    max: f64,
}

impl Welford {
    /// An empty series.
    pub const fn new() -> Self {
        Self { count: 0, mean: 0.0, squares: 0.0, min: 0.0, max: 0.0 }
    }

    /// Adds one value. A NaN makes mean and variance NaN.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        if self.count == 1 {
            (self.min, self.max) = (value, value);
        } else {
            (self.min, self.max) = (self.min.min(value), self.max.max(value));
        }
        let deviation = value - self.mean;
        self.mean += deviation / self.count as f64;
        self.squares += deviation * (value - self.mean);
    }

    /// Adds all values of `other`, as if pushed here.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (here, there) = (self.count as f64, other.count as f64);
        let total = here + there;
        let deviation = other.mean - self.mean;
        self.count += other.count;
        self.mean += deviation * there / total;
        self.squares += other.squares + deviation * deviation * here * there / total;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Values so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.mean)
    }

    /// The sample variance, with n - 1 below; `None` of fewer than two values.
    pub fn variance(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / (self.count - 1) as f64)
    }

    /// The square root of the sample variance.
    pub fn standard_deviation(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// The smallest value; `None` of nothing.
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value; `None` of nothing.
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

impl Extend<f64> for Welford {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        for value in values {
            self.push(value);
        }
    }
}

impl FromIterator<f64> for Welford {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut welford = Self::new();
        welford.extend(values);
        welford
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let some: Welford = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().collect();
        assert_eq!((some.count(), some.mean(), some.min(), some.max()), (8, Some(5.0), Some(2.0), Some(9.0)));
        assert!((some.variance().unwrap() - 32.0 / 7.0).abs() < 1e-15);
    }

    #[test]
    fn nothing_has_no_mean_and_one_value_has_no_variance() {
        let mut some = Welford::new();
        assert_eq!((some.mean(), some.min(), some.max(), some.variance()), (None, None, None, None));
        some.push(-3.0);
        assert_eq!((some.mean(), some.min(), some.max(), some.variance()), (Some(-3.0), Some(-3.0), Some(-3.0), None));
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        let some: Welford = [4.0, 7.0, 13.0, 16.0].into_iter().map(|value| value + 1e9).collect();
        assert_eq!((some.mean(), some.variance()), (Some(1e9 + 10.0), Some(30.0)));
    }

    #[test]
    fn merging_is_pushing() {
        let values: Vec<f64> = (0..100).map(|n| f64::from(n * n % 37)).collect();
        let whole: Welford = values.iter().copied().collect();
        for cut in [0, 1, 50, 99, 100] {
            let mut merged: Welford = values[..cut].iter().copied().collect();
            merged.merge(&values[cut..].iter().copied().collect());
            assert_eq!((merged.count(), merged.min(), merged.max()), (whole.count(), whole.min(), whole.max()));
            assert!((merged.mean().unwrap() - whole.mean().unwrap()).abs() < 1e-12, "cut at {cut}");
            assert!((merged.variance().unwrap() - whole.variance().unwrap()).abs() < 1e-10, "cut at {cut}");
        }
    }
}
