//! What the outside world asks for: distributions, rates, arrival processes, traces, requests, queues, and how tasks behave.

pub mod arrivals;
pub mod balancer;
pub mod behaviour;
pub mod distribution;
pub mod failed;
pub mod fluid;
pub mod in_flight;
pub mod per_request;
pub mod polling;
pub mod processor_sharing;
pub mod queue;
pub mod rate;
pub mod routing;
pub mod slots;
pub mod trace;
