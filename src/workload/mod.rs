//! What the outside world asks for: distributions, rates, arrival processes, traces, queues, and how tasks behave.

pub mod arrivals;
pub mod behaviour;
pub mod distribution;
pub mod fluid;
pub mod polling;
pub mod processor_sharing;
pub mod queue;
pub mod rate;
pub mod routing;
pub mod trace;
