//! What the outside world asks for: distributions, rates (steady or moved by chance), arrival processes, traces, requests,
//! queues, and how tasks behave.

pub mod arrivals;
pub mod balancer;
pub mod behaviour;
pub mod clients;
pub mod delivery;
pub mod distribution;
pub mod failed;
pub mod fit;
pub mod fluid;
pub mod in_flight;
pub mod per_request;
pub mod polling;
pub mod processor_sharing;
pub mod queue;
pub mod random_rate;
pub mod rate;
pub mod routing;
pub mod slots;
pub mod trace;
