//! Quantiles of millions of weighted values in bounded memory.

use std::ops::Range;

/// A histogram with buckets of equal relative width: quantiles within 1 %, whatever the number of values.
///
/// For values that cannot be kept: waits of millions of tasks, or latencies of a fluid model, where a value stands for a
/// fractional number of requests. Two histograms merge without loss, so replications and minutes add up.
///
/// Each power of two is cut into 64 equal buckets, in the manner of HdrHistogram and DDSketch (Masson, Rim and Lee, VLDB
/// 12(12), 2019). Unlike theirs the bucket is read off the bits of the number, with no logarithm to round differently
/// elsewhere. A quantile is answered with the harmonic mean of its bucket's ends, which is at most 1/129 = 0.78 % off.
///
/// Values are non-negative, seconds as a rule. Those below 2^-30 (a nanosecond) count as zero; those of 2^50 and above
/// share one bucket. Weight and mean are exact but for rounding, minimum and maximum altogether. At most 41 kB, usually a quarter of it: the powers of
/// two from the smallest to the largest value seen.
///
/// ```
/// use ecsim::stats::WeightedHistogram;
///
/// let mut latencies = WeightedHistogram::new();
/// latencies.record(0.020, 990.0); // seconds, requests
/// latencies.record(0.800, 10.0);
/// assert!((latencies.quantile(0.50).unwrap() / 0.020 - 1.0).abs() < 0.01);
/// assert!((latencies.quantile(0.995).unwrap() / 0.800 - 1.0).abs() < 0.01);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightedHistogram {
    /// Weight of each bucket from number `first` on.
    buckets: Vec<f64>,
    first: usize,
    /// Weight of the values that count as zero.
    zero: f64,
    weight: f64,
    weighted_sum: f64,
    min: f64,
    max: f64,
}

/// Bits of the mantissa that choose the bucket within a power of two.
const SUB_BUCKET_BITS: u32 = 6;
const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - SUB_BUCKET_BITS;
/// 2^-30 and 2^50: the bounds of what is told apart.
const LOWEST: f64 = 1.0 / (1u64 << 30) as f64;
const HIGHEST: f64 = (1u64 << 50) as f64;
/// Rounding of the sum of weights must not push a quantile that falls on the end of a bucket into the next.
const SLACK: f64 = 1e-9;

/// The bucket of a value that is not negative: exponent and leading mantissa bits, read as one number; none where it counts
/// as zero.
fn bucket_of(value: f64) -> Option<usize> {
    (value >= LOWEST).then(|| ((smaller(value, HIGHEST).to_bits() - LOWEST.to_bits()) >> SHIFT) as usize)
}

/// The smaller of two numbers, neither of them a NaN: one instruction, where `f64::min`, which allows for them, takes six.
fn smaller(one: f64, other: f64) -> f64 {
    if one < other { one } else { other }
}

/// The larger of two numbers, neither of them a NaN.
fn larger(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

/// The values of bucket number `bucket`.
fn range_of(bucket: usize) -> Range<f64> {
    let edge = |bucket: usize| f64::from_bits(LOWEST.to_bits() + ((bucket as u64) << SHIFT));
    edge(bucket)..edge(bucket + 1)
}

impl WeightedHistogram {
    /// An empty histogram; takes no memory until the first value.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `value` with `weight`.
    ///
    /// A negative value counts as zero. A NaN, or a weight that is not positive and finite, counts not at all.
    pub fn record(&mut self, value: f64, weight: f64) {
        if value.is_nan() || !(weight > 0.0 && weight.is_finite()) {
            return;
        }
        let value = larger(value, 0.0);
        self.reach(value);
        self.weight += weight;
        self.weighted_sum += value * weight;
        *self.cell(bucket_of(value)) += weight;
    }

    /// Counts values, ascending, as [`WeightedHistogram::merge`] does those of a histogram that holds nothing else, to
    /// the last bit, but without that histogram: to make one for 16 values takes ten times as long as to count them.
    pub fn merge_all(&mut self, values: impl Iterator<Item = (f64, f64)>) {
        let (mut all, mut weighted_sum) = (0.0, 0.0);
        let (mut least, mut most) = (f64::INFINITY, 0.0);
        // The bucket that is being summed up.
        let (mut bucket, mut of_bucket) = (None, 0.0);
        for (value, weight) in values {
            if value.is_nan() || !(weight > 0.0 && weight.is_finite()) {
                continue;
            }
            let value = larger(value, 0.0);
            (least, most) = (smaller(least, value), larger(most, value));
            all += weight;
            weighted_sum += value * weight;
            let here = bucket_of(value);
            if here != bucket && of_bucket > 0.0 {
                *self.cell(bucket) += std::mem::take(&mut of_bucket);
            }
            bucket = here;
            of_bucket += weight;
        }
        if of_bucket > 0.0 {
            *self.cell(bucket) += of_bucket;
        }
        if all > 0.0 {
            self.reach(least);
            self.weight += all;
            self.reach(most);
        }
        self.weighted_sum += weighted_sum;
    }

    /// Counts all that `other` has counted.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            self.clone_from(other);
            return;
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.weight += other.weight;
        self.weighted_sum += other.weighted_sum;
        self.zero += other.zero;
        if !other.buckets.is_empty() {
            self.cover(other.first..other.first + other.buckets.len());
            for (here, there) in self.buckets[other.first - self.first..].iter_mut().zip(&other.buckets) {
                *here += there;
            }
        }
    }

    /// Forgets everything, keeping the memory: the cut at the end of the warm-up, or the next minute.
    pub fn reset(&mut self) {
        let mut buckets = std::mem::take(&mut self.buckets);
        buckets.clear();
        *self = Self { buckets, ..Self::default() };
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.weight == 0.0
    }

    /// The sum of all weights; the count, when each weight is one.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// The sum of value × weight.
    pub fn sum(&self) -> f64 {
        self.weighted_sum
    }

    /// The weighted mean, of the values themselves; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.weighted_sum / self.weight)
    }

    /// The smallest value, exact; `None` of nothing.
    pub fn min(&self) -> Option<f64> {
        (!self.is_empty()).then_some(self.min)
    }

    /// The largest value, exact; `None` of nothing.
    pub fn max(&self) -> Option<f64> {
        (!self.is_empty()).then_some(self.max)
    }

    /// The smallest value that at least `p` of the weight does not exceed, within 1 %; `None` of nothing or a NaN `p`.
    ///
    /// A `p` of 0 or less is the minimum, of 1 or more the maximum, both exact.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        if self.is_empty() || p.is_nan() {
            return None;
        }
        if p <= 0.0 {
            return Some(self.min);
        }
        if p >= 1.0 {
            return Some(self.max);
        }
        let target = p * self.weight * (1.0 - SLACK);
        let mut cumulative = self.zero;
        if cumulative >= target {
            return Some(self.min);
        }
        for (offset, weight) in self.buckets.iter().enumerate() {
            cumulative += weight;
            if *weight > 0.0 && cumulative >= target {
                let Range { start, end } = range_of(self.first + offset);
                if end > HIGHEST {
                    break;
                }
                return Some((2.0 * start * end / (start + end)).clamp(self.min, self.max));
            }
        }
        Some(self.max)
    }

    /// The weight of the values above `bound`, within one bucket: its own bucket counts by the share of it that lies above.
    pub fn weight_above(&self, bound: f64) -> f64 {
        if self.is_empty() || bound >= self.max {
            return 0.0;
        }
        if bound < self.min {
            return self.weight;
        }
        let above = |(range, weight): (Range<f64>, f64)| {
            let (low, high) = (range.start.max(self.min), range.end.min(self.max));
            if low > bound {
                weight
            } else if high <= bound || high <= LOWEST {
                0.0
            } else {
                weight * (high - bound) / (high - low)
            }
        };
        self.buckets().map(above).sum()
    }

    /// Each bucket that counted something, ascending: its range of values and its weight. For charts.
    ///
    /// What counts as zero is `0..2^-30`; the last range may be `2^50..` infinity.
    pub fn buckets(&self) -> impl Iterator<Item = (Range<f64>, f64)> + '_ {
        let rest = self.buckets.iter().enumerate().filter(|(_, weight)| **weight > 0.0).map(|(offset, weight)| {
            let Range { start, end } = range_of(self.first + offset);
            (start..if end > HIGHEST { f64::INFINITY } else { end }, *weight)
        });
        Some((0.0..LOWEST, self.zero)).filter(|(_, weight)| *weight > 0.0).into_iter().chain(rest)
    }

    /// Widens the bounds to a value whose weight has not been counted yet.
    fn reach(&mut self, value: f64) {
        if self.is_empty() {
            (self.min, self.max) = (value, value);
        } else {
            (self.min, self.max) = (smaller(self.min, value), larger(self.max, value));
        }
    }

    /// Where the weight of a bucket is summed up. There is room for it as a rule: what makes room is a call of its own.
    fn cell(&mut self, bucket: Option<usize>) -> &mut f64 {
        let Some(bucket) = bucket else { return &mut self.zero };
        if bucket < self.first || bucket >= self.first + self.buckets.len() {
            self.cover(bucket..bucket + 1);
        }
        &mut self.buckets[bucket - self.first]
    }

    /// Makes room for the buckets of `range`, a power of two at a time: to do so for each bucket took a third of what it
    /// takes to count the sixteen values of a minute's first step.
    #[inline(never)]
    fn cover(&mut self, range: Range<usize>) {
        const OCTAVE: usize = 1 << SUB_BUCKET_BITS;
        let range = range.start / OCTAVE * OCTAVE..range.end.next_multiple_of(OCTAVE);
        if self.buckets.is_empty() {
            self.first = range.start;
        }
        if range.start < self.first {
            self.buckets.splice(0..0, std::iter::repeat_n(0.0, self.first - range.start));
            self.first = range.start;
        }
        if range.end > self.first + self.buckets.len() {
            self.buckets.resize(range.end - self.first, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    /// By definition: the smallest value whose cumulative weight reaches `p`.
    fn exact(sample: &[(f64, f64)], p: f64) -> f64 {
        let mut sorted = sample.to_vec();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let target = p * sorted.iter().map(|(_, weight)| weight).sum::<f64>() * (1.0 - SLACK);
        let mut cumulative = 0.0;
        for (value, weight) in &sorted {
            cumulative += weight;
            if cumulative >= target {
                return *value;
            }
        }
        sorted.last().expect("a sample").0
    }

    /// In the order in which the fluid model has them, weights of nothing among them.
    #[test]
    fn many_at_once_are_a_merge_to_the_last_bit() {
        let mut chance = Streams::new(7, 0).named("latencies");
        let (mut merged, mut summed) = (WeightedHistogram::new(), WeightedHistogram::new());
        for round in 0..200 {
            if round == 120 {
                merged.reset();
                summed.reset();
            }
            let scale = [1e-12, 0.01, 0.3, 1e15][round % 4];
            let mut values: Vec<(f64, f64)> =
                (0..16).map(|_| (scale * (1.0 + chance.open_uniform()), 40.0 * chance.open_uniform())).collect();
            values.sort_by(|one, other| one.0.total_cmp(&other.0));
            values[13] = (0.0, 0.0);
            values[15].1 = f64::NAN;
            let mut alone = WeightedHistogram::new();
            for (value, weight) in &values {
                alone.record(*value, *weight);
            }
            merged.merge(&alone);
            summed.merge_all(values.iter().copied());
            assert!(merged == summed, "round {round}: {merged:?} {summed:?}");
        }
        assert!(summed.quantile(0.3).is_some_and(|value| value > 0.0));
    }

    #[test]
    fn the_weight_above_a_bound_is_that_of_the_values_beyond_it() {
        let mut histogram = WeightedHistogram::new();
        assert_eq!(histogram.weight_above(1.0), 0.0);
        histogram.record(0.0, 5.0);
        histogram.record(0.2, 90.0);
        histogram.record(0.8, 10.0);
        for (bound, expected) in [(-1.0, 105.0), (0.0, 100.0), (0.1, 100.0), (0.5, 10.0), (0.8, 0.0), (9.0, 0.0)] {
            assert!((histogram.weight_above(bound) - expected).abs() < 1e-9, "{bound}");
        }
    }

    #[test]
    fn quantiles_are_within_one_per_cent() {
        let mut chance = Streams::new(3, 0).named("sample");
        // Uniform in the logarithm from a microsecond to a fortnight, with fractional weights.
        let sample: Vec<(f64, f64)> =
            (0..20_000).map(|_| (1e-6 * 10f64.powf(12.0 * chance.uniform()), 3.0 * chance.open_uniform())).collect();
        let mut histogram = WeightedHistogram::new();
        for &(value, weight) in &sample {
            histogram.record(value, weight);
        }
        for p in [0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.999_9] {
            let (found, expected) = (histogram.quantile(p).unwrap(), exact(&sample, p));
            assert!((found / expected - 1.0).abs() < 0.01, "p = {p}: {found}, not {expected}");
        }
        assert_eq!(histogram.quantile(0.0), Some(exact(&sample, 0.0)));
        assert_eq!(histogram.quantile(1.0), Some(exact(&sample, 1.0)));
        assert!(histogram.buckets.len() <= 41 * 64, "{} buckets", histogram.buckets.len());
    }

    #[test]
    fn every_bucket_is_narrow_enough() {
        for bucket in 0..80 * 64 {
            let Range { start, end } = range_of(bucket);
            assert_eq!((bucket_of(start), bucket_of(end.next_down())), (Some(bucket), Some(bucket)));
            let answer = 2.0 * start * end / (start + end);
            assert!(answer / start - 1.0 < 0.007_8 && 1.0 - answer / end < 0.007_8, "bucket {bucket}");
        }
        assert_eq!((range_of(0).start, range_of(80 * 64).start), (LOWEST, HIGHEST));
    }

    #[test]
    fn one_value_is_known_exactly() {
        let mut histogram = WeightedHistogram::new();
        histogram.record(0.123_456, 2.5);
        for p in [0.0, 0.3, 1.0] {
            assert_eq!(histogram.quantile(p), Some(0.123_456));
        }
        assert_eq!(histogram.weight(), 2.5);
        assert!((histogram.mean().unwrap() - 0.123_456).abs() < 1e-15);
    }

    #[test]
    fn weights_decide_not_counts() {
        let mut histogram = WeightedHistogram::new();
        histogram.record(1.0, 0.75);
        for _ in 0..100 {
            histogram.record(1_000.0, 0.002_5);
        }
        assert!((histogram.quantile(0.75).unwrap() - 1.0).abs() < 0.01, "the quantile falls on the bucket's end");
        assert!((histogram.quantile(0.76).unwrap() / 1_000.0 - 1.0).abs() < 0.01);
    }

    #[test]
    fn odd_values_are_counted_as_documented() {
        let mut histogram = WeightedHistogram::new();
        for (value, weight) in [(f64::NAN, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, f64::NAN), (1.0, f64::INFINITY)] {
            histogram.record(value, weight);
        }
        assert!(histogram.is_empty());
        assert_eq!((histogram.quantile(0.5), histogram.mean(), histogram.min()), (None, None, None));
        histogram.record(-5.0, 1.0);
        histogram.record(1e-12, 1.0);
        assert_eq!((histogram.quantile(0.9), histogram.quantile(1.0)), (Some(0.0), Some(1e-12)));
        histogram.record(f64::INFINITY, 2.0);
        histogram.record(1e300, 1.0);
        assert_eq!(histogram.quantile(0.9), Some(f64::INFINITY));
        let ranges: Vec<_> = histogram.buckets().collect();
        assert_eq!(ranges, [(0.0..LOWEST, 2.0), (HIGHEST..f64::INFINITY, 3.0)]);
        assert!(histogram.buckets.len() <= 81 * 64);
    }

    #[test]
    fn merging_is_recording() {
        let mut chance = Streams::new(4, 0).named("sample");
        // Weights are multiples of 1/8, so that sums are exact in any order.
        let sample: Vec<(f64, f64)> =
            (0..1_000).map(|n| (f64::from(n % 7) * 2f64.powi((n % 40) - 35), chance.below(9) as f64 / 8.0)).collect();
        let record = |part: &[(f64, f64)]| {
            let mut histogram = WeightedHistogram::new();
            for &(value, weight) in part {
                histogram.record(value, weight);
            }
            histogram
        };
        let whole = record(&sample);
        for cut in [0, 1, 13, 500, 1_000] {
            let mut merged = record(&sample[..cut]);
            merged.merge(&record(&sample[cut..]));
            assert_eq!(merged.buckets().collect::<Vec<_>>(), whole.buckets().collect::<Vec<_>>(), "cut at {cut}");
            assert_eq!((merged.weight(), merged.min(), merged.max()), (whole.weight(), whole.min(), whole.max()));
            assert!((merged.sum() / whole.sum() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_reset_histogram_starts_anew() {
        let mut histogram = WeightedHistogram::new();
        histogram.record(1e6, 1.0);
        histogram.reset();
        assert_eq!((histogram.is_empty(), histogram.buckets().count()), (true, 0));
        histogram.record(0.5, 1.0);
        assert_eq!((histogram.max(), histogram.weight(), histogram.buckets.len()), (Some(0.5), 1.0, 64));
    }
}
