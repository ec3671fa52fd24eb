//! Output analysis: time-weighted means, quantiles, batch means, confidence intervals. Pure maths.
