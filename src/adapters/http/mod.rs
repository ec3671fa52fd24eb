//! Real HTTP: the requests of a run whose tasks are real containers, and the probes of its load balancers.
//!
//! Which target is asked, and when, is decided in the control plane by the balancer, the health checks and the
//! deregistration that a simulated run has too (see [`control_plane::real_http`](crate::control_plane::real_http)). What is
//! left for here is to ask at the instant that was meant ([`load`]) and to say what came of it ([`client`]).

mod client;
mod companion;
mod load;
mod reach;

pub use client::{Call, get};
pub use companion::HttpCompanion;
pub use load::{Answered, HttpLoad};
pub use reach::unreachable;
