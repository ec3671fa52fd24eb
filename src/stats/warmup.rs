//! How much of the start of a run to leave out.

/// What [`mser_5`] advises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truncation {
    /// Leave out this many values; the rest looks like steady state.
    Cut(usize),
    /// The best cut lies in the second half: the run is too short, or has no steady state.
    NotSettled,
    /// Fewer than ten batches of five: too little to judge by.
    TooShort,
}

/// Values per batch.
const BATCH: usize = 5;
/// Near the end a few similar values look like the steadiest state of all, so the last batches are no candidates.
const NO_CANDIDATES: usize = 5;
const FEWEST_BATCHES: usize = 10;

/// The warm-up cut that makes the mean of the rest most precise: MSER on the means of batches of five.
///
/// It minimises the squared standard error, sum of (y - mean)² / (n - d)², over the number d of batches left out: a
/// biased start adds to the sum, and each value given up shrinks the divisor. A minimum in the second half is no cut but
/// a warning. Sources: White, "An Effective Truncation Heuristic for Bias Reduction in Simulation Output", Simulation
/// 69(6), 1997; White, Cobb and Spratt, "A Comparison of Five Steady-State Truncation Heuristics", WSC 2000; for the end
/// of the series Hoad, Robinson and Davies, "Automating Warm-up Length Estimation", JORS 61(9), 2010.
///
/// The values are of equal standing, say minute means of one run or, smoother, averaged over replications minute by
/// minute. Linear in their number.
pub fn mser_5(series: &[f64]) -> Truncation {
    let means: Vec<f64> = series.chunks_exact(BATCH).map(|batch| batch.iter().sum::<f64>() / BATCH as f64).collect();
    if means.len() < FEWEST_BATCHES {
        return Truncation::TooShort;
    }
    // Backwards, so that each cut adds one batch to the mean and the sum of squares of the rest (Welford).
    let (mut mean, mut squares) = (0.0, 0.0);
    let mut best = (f64::INFINITY, means.len());
    for (cut, &value) in means.iter().enumerate().rev() {
        let kept = (means.len() - cut) as f64;
        let deviation = value - mean;
        mean += deviation / kept;
        squares += deviation * (value - mean);
        let error = squares / (kept * kept);
        // Of equals the smallest cut wins, which comes last.
        if cut + NO_CANDIDATES <= means.len() && error <= best.0 {
            best = (error, cut);
        }
    }
    if best.1 > means.len() / 2 { Truncation::NotSettled } else { Truncation::Cut(best.1 * BATCH) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn noisy(length: usize, level: impl Fn(usize) -> f64, replication: u64) -> Vec<f64> {
        let mut chance = Streams::new(6, replication).named("noise");
        (0..length).map(|n| level(n) + chance.uniform() - 0.5).collect()
    }

    #[test]
    fn a_step_is_cut_where_it_ends() {
        let series: Vec<f64> = (0..200).map(|n| if n < 40 { 0.0 } else { 10.0 + f64::from(n % 2) }).collect();
        assert_eq!(mser_5(&series), Truncation::Cut(40));
    }

    #[test]
    fn a_constant_series_needs_no_cut() {
        assert_eq!(mser_5(&[3.0; 100]), Truncation::Cut(0));
    }

    #[test]
    fn the_cut_is_that_of_the_definition() {
        for replication in 0..20 {
            let series = noisy(500, |n| 5.0 * 0.97f64.powf(n as f64), replication);
            let batches: Vec<f64> = series.chunks(5).map(|batch| batch.iter().sum::<f64>() / 5.0).collect();
            let error = |cut: usize| {
                let rest = &batches[cut..];
                let n = rest.len() as f64;
                let mean = rest.iter().sum::<f64>() / n;
                rest.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / (n * n)
            };
            let Truncation::Cut(cut) = mser_5(&series) else { panic!("replication {replication} has settled") };
            for other in 0..=95 {
                assert!(error(cut / 5) <= error(other) * (1.0 + 1e-9), "{cut} is worse than {}", other * 5);
            }
            // The bias falls below a noise of standard deviation 0.29 after about a hundred values.
            assert!((60..=200).contains(&cut), "replication {replication}: cut at {cut}");
        }
    }

    #[test]
    fn a_trend_never_settles() {
        assert_eq!(mser_5(&noisy(500, |n| n as f64 / 10.0, 0)), Truncation::NotSettled);
    }

    #[test]
    fn too_little_is_not_judged() {
        assert_eq!(mser_5(&[]), Truncation::TooShort);
        assert_eq!(mser_5(&[1.0; 49]), Truncation::TooShort);
        assert_eq!(mser_5(&[1.0; 50]), Truncation::Cut(0));
    }
}
