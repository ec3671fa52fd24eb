//! One long run instead of many: the method of batch means.

use super::confidence::Estimate;

/// The fewest batches worth an interval, and the most that help it (Schmeiser, Operations Research 30(3), 1982).
pub const RECOMMENDED_BATCHES: std::ops::RangeInclusive<usize> = 10..=30;

/// The mean of a correlated series, and whether its batches were long enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchMeans {
    /// Mean and interval over the batches; `estimate.n` is their number.
    pub estimate: Estimate,
    /// Values per batch.
    pub batch_size: usize,
    /// Lag-1 autocorrelation of the batch means; `None` when they are all equal or fewer than three.
    pub lag_1_autocorrelation: Option<f64>,
}

impl BatchMeans {
    /// True unless neighbouring batches are correlated, positively and significantly (5 %): then the interval is too
    /// narrow, and the batches should be longer.
    ///
    /// Among n independent batches the autocorrelation is about normal, with mean -1/n and variance 1/n (Box, Jenkins
    /// and Reinsel, *Time Series Analysis*, section 2.1.6; Kendall for the mean).
    pub fn looks_independent(&self) -> bool {
        let n = self.estimate.n as f64;
        self.lag_1_autocorrelation.is_none_or(|r| r <= -1.0 / n + 1.645 / n.sqrt())
    }
}

/// Cuts `series`, whose warm-up is already gone, into `batches` equal batches and treats their means as samples.
///
/// Values that fill no batch are dropped at the start, where the warm-up would linger. `None` for no batches or fewer
/// values than batches. Source: Law, section 9.5.3.
pub fn batch_means(series: &[f64], batches: usize) -> Option<BatchMeans> {
    let batch_size = series.len().checked_div(batches)?;
    if batch_size == 0 {
        return None;
    }
    let means: Vec<f64> = series[series.len() - batches * batch_size..]
        .chunks_exact(batch_size)
        .map(|batch| batch.iter().sum::<f64>() / batch_size as f64)
        .collect();
    Some(BatchMeans {
        estimate: Estimate::from_samples(&means)?,
        batch_size,
        lag_1_autocorrelation: lag_1_autocorrelation(&means),
    })
}

/// The correlation of each value with the next, in [-1, 1]; `None` of fewer than three values or of equal ones.
pub fn lag_1_autocorrelation(series: &[f64]) -> Option<f64> {
    if series.len() < 3 {
        return None;
    }
    let mean = series.iter().sum::<f64>() / series.len() as f64;
    let squares: f64 = series.iter().map(|value| (value - mean).powi(2)).sum();
    let products: f64 = series.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    #[test]
    fn known_answers() {
        let found = batch_means(&[100.0, 1.0, 3.0, 2.0, 4.0, 6.0, 8.0], 3).unwrap();
        assert_eq!((found.batch_size, found.estimate.n), (2, 3), "the first value is dropped");
        // Batch means 2, 3, 7: deviations -2, -1, 3.
        assert_eq!(found.estimate.mean, 4.0);
        assert_eq!(found.lag_1_autocorrelation, Some((2.0 - 3.0) / 14.0));
        assert!((found.estimate.half_width.unwrap() - 4.302_653 * (7.0f64 / 3.0).sqrt()).abs() < 1e-5);
    }

    #[test]
    fn too_little_is_refused() {
        assert_eq!(batch_means(&[1.0, 2.0], 0), None);
        assert_eq!(batch_means(&[1.0, 2.0], 3), None);
        assert_eq!(batch_means(&[], 1), None);
        assert_eq!(batch_means(&[5.0; 40], 20).unwrap().lag_1_autocorrelation, None);
        assert_eq!((lag_1_autocorrelation(&[1.0, 2.0]), lag_1_autocorrelation(&[1.0; 9])), (None, None));
    }

    /// A first-order autoregression around 50: its mean wanders slowly, which short batches do not notice.
    fn autoregression(length: usize, coefficient: f64, replication: u64) -> Vec<f64> {
        let mut chance = Streams::new(9, replication).named("noise");
        let mut deviation = 0.0;
        (0..length)
            .map(|_| {
                deviation = coefficient * deviation + chance.uniform() - 0.5;
                50.0 + deviation
            })
            .collect()
    }

    #[test]
    fn short_batches_are_found_out_and_long_ones_cover_the_mean() {
        let rounds = 200;
        let (mut suspected, mut accepted, mut covered) = (0, 0, 0);
        for round in 0..rounds {
            let series = autoregression(20_000, 0.95, round);
            let short = batch_means(&series[..600], 30).unwrap();
            suspected += u32::from(!short.looks_independent());
            let long = batch_means(&series, 20).unwrap();
            accepted += u32::from(long.looks_independent());
            covered += u32::from(long.estimate.contains(50.0));
        }
        assert!(suspected >= 150, "20 values a batch are too few, found out in {suspected} of 200");
        assert!(accepted >= 175, "1000 values a batch are enough, accepted in {accepted} of 200");
        assert!((178..=199).contains(&covered), "95 % of 200 intervals should hold the mean, {covered} do");
    }
}
