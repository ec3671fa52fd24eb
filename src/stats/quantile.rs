//! Exact quantiles of a sample that is small enough to keep.

/// The `p`-quantile of `values`, linear between the closest ranks; `None` of an empty sample or a NaN `p`.
///
/// The position is (n - 1)p, counted from zero: definition 7 of Hyndman and Fan, "Sample Quantiles in Statistical
/// Packages", The American Statistician 50(4), 1996; the default of NumPy and R. A `p` outside [0, 1] means the nearer
/// end. Sorts a copy; see [`quantile_sorted`] for many quantiles of one sample.
///
/// ```
/// use ecsim::stats::quantile;
///
/// assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
/// assert_eq!(quantile(&[], 0.5), None);
/// ```
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_sorted(&sorted, p)
}

/// As [`quantile`], of values already in ascending order.
pub fn quantile_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    if sorted.is_empty() || p.is_nan() {
        return None;
    }
    let position = (sorted.len() - 1) as f64 * p.clamp(0.0, 1.0);
    let below = position.floor();
    let (rank, fraction) = (below as usize, position - below);
    let low = sorted[rank];
    // At a rank itself the neighbour does not matter, and an infinite one must not make it NaN.
    Some(if fraction == 0.0 { low } else { low + (sorted[rank + 1] - low) * fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let sample = [15.0, 20.0, 35.0, 40.0, 50.0];
        for (p, expected) in [(0.0, 15.0), (0.25, 20.0), (0.4, 29.0), (0.5, 35.0), (0.9, 46.0), (1.0, 50.0)] {
            let found = quantile(&sample, p).unwrap();
            assert!((found - expected).abs() < 1e-12, "p = {p}: {found}, not {expected}");
        }
        assert_eq!((quantile(&sample, -1.0), quantile(&sample, 2.0)), (Some(15.0), Some(50.0)));
        assert_eq!((quantile(&[7.0], 0.99), quantile(&sample, f64::NAN)), (Some(7.0), None));
    }

    #[test]
    fn an_infinite_value_is_confined_to_its_own_rank() {
        let sample = [1.0, 2.0, f64::INFINITY];
        assert_eq!((quantile(&sample, 0.5), quantile(&sample, 0.75)), (Some(2.0), Some(f64::INFINITY)));
    }
}
