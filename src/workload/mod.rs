//! What the outside world asks for: distributions, rates, arrival processes, traces, and how tasks behave.

pub mod arrivals;
pub mod behaviour;
pub mod distribution;
pub mod fluid;
pub mod rate;
pub mod routing;
pub mod trace;
