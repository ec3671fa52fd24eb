//! Termination policies: which instance of a group goes on scale-in (ASG-4…8).

/// One entry of `TerminationPolicies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationPolicy {
    /// `Default`.
    Default,
    /// `OldestInstance`.
    OldestInstance,
    /// `NewestInstance`.
    NewestInstance,
    /// `OldestLaunchTemplate`.
    OldestLaunchTemplate,
    /// `OldestLaunchConfiguration`.
    OldestLaunchConfiguration,
    /// `ClosestToNextInstanceHour`.
    ClosestToNextInstanceHour,
    /// `AllocationStrategy`.
    AllocationStrategy,
}
