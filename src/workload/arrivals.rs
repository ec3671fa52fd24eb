//! Arrival processes: when the next task or request comes.

/// A point process in time.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrivalProcess {
    /// Poisson with a rate that may vary in time.
    Poisson(crate::workload::rate::Rate),
}
