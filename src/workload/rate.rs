//! Rates as functions of time: constant, steps, diurnal, trace, sum, product.

/// A non-negative function of time, per second unless its use says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// The same always.
    Constant(f64),
}
