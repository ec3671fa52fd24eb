//! The fluid model of a request workload: offered CPU demand, backlog, latency, failures.

/// What one step of the fluid model did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutcome {
    /// Requests that arrived.
    pub arrived: f64,
}
