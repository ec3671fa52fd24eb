//! The metric store: samples in, statistics per period out (CW-*).

/// A statistic of the samples of one period (CW-3).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Statistic {
    /// Sum / `SampleCount`.
    #[default]
    Average,
    /// Sum.
    Sum,
    /// Smallest sample.
    Minimum,
    /// Largest sample.
    Maximum,
    /// How many samples.
    SampleCount,
    /// Percentile, 0..100 (CW-6).
    Percentile(f64),
}
