//! Tasks as real containers: the model decides as ever, an engine runs what it starts.
//!
//! [`driver::drive`] takes a [`Session`](crate::control_plane::Session) through time at the pace of the wall clock, has
//! its crew carry out what the model asks of its containers, and puts in what becomes of them. Hosts stay simulated. This is
//! the only place of the crate that reads a wall clock.

mod crew;
mod docker;
mod driver;
mod engine;
mod guard;
mod labels;
mod measurements;
#[cfg(test)]
mod mock;
mod pacer;
mod prune;
#[cfg(test)]
mod tests;

pub use docker::{CPU_PERIOD, DockerEngine};
pub use driver::{Companion, DriveOptions, Driven, Ending, RunClock, drive};
pub use engine::{
    Answer, ContainerEngine, EngineError, EngineEvent, Found, Happening, Inspection, Kind, Labels, Machine, Meter,
    NewContainer,
};
pub use guard::{Limits, Peak, peak, refusals};
pub use labels::RunLabels;
pub use measurements::{Measurements, Span, SpanKind, UsageReading};
pub use pacer::Pacer;
pub use prune::{Which, prune};
