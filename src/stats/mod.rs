//! Output analysis: time-weighted means, quantiles, batch means, confidence intervals. Pure maths.
//!
//! What a run yields is neither independent nor, at first, in steady state. [`warmup`] finds how much to cut off at
//! the start, [`batch_means`] makes one long run into nearly independent samples, [`confidence`] turns samples (batches
//! or, better, replications) into an interval and compares two systems pair by pair.
//!
//! Source throughout: Law, *Simulation Modeling and Analysis*, 5th ed., chapters 4, 9 and 10.

pub mod batch_means;
pub mod confidence;
pub mod histogram;
pub mod quantile;
pub mod time_weighted;
pub mod warmup;
pub mod welford;

pub use batch_means::{BatchMeans, batch_means};
pub use confidence::{Estimate, Sign, correlation, holm, paired_difference, separate_difference};
pub use histogram::WeightedHistogram;
pub use quantile::{quantile, quantile_sorted};
pub use time_weighted::TimeWeighted;
pub use warmup::{Truncation, mser_5};
pub use welford::Welford;
