//! Capacity provider strategies: base and weight (CP-*).

use crate::ecs::ids::ProviderId;

/// A capacity provider a task can be bound to (CP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// An Auto Scaling group's.
    Group(ProviderId),
    /// `FARGATE`.
    Fargate,
    /// `FARGATE_SPOT`.
    FargateSpot,
}
