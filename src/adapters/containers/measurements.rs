//! What a run with real containers has measured, in seconds of the wall clock.

use crate::control_plane::execution::ContainerUsage;
use crate::engine::time::SimTime;

/// Everything measured, in the order in which it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurements {
    /// How long things took.
    pub spans: Vec<Span>,
    /// What containers used.
    pub usage: Vec<UsageReading>,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// What.
    pub what: SpanKind,
    /// `family:revision`; the image's name of a pull.
    pub of: String,
    /// Name of the container; empty for a pull.
    pub container: String,
    /// Seconds.
    pub seconds: f64,
}

/// What a span was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpanKind {
    /// Having an image.
    Pull,
    /// Create and start.
    Start,
    /// Stop signal to end.
    Stop,
    /// Start to the first pass of the container's health check.
    Healthy,
    /// Start to end, of what ended by itself.
    Run,
}

/// What a container was seen to use.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageReading {
    /// When, on the simulated clock.
    pub at: SimTime,
    /// Number of its task in the run.
    pub task_number: u64,
    /// `family:revision`.
    pub definition: String,
    /// Name of the container.
    pub container: String,
    /// What.
    pub usage: ContainerUsage,
}
