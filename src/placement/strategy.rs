//! Placement strategies: which of the instances that may take a task is best (PLACE-5…13).

/// One placement strategy; a task or service names up to five, applied in order (PLACE-4, PLACE-11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementStrategy {
    /// Uniform draw (PLACE-7).
    Random,
    /// The group of instances with the fewest tasks of the same task group (PLACE-9).
    Spread(SpreadField),
    /// The instance left with the least of a resource (PLACE-8).
    Binpack(BinpackField),
}

/// `field` of a spread strategy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpreadField {
    /// `instanceId`, or its alias `host`.
    InstanceId,
    /// `attribute:<name>`, for example `attribute:ecs.availability-zone`.
    Attribute(String),
}

/// `field` of a binpack strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinpackField {
    /// Remaining CPU units.
    Cpu,
    /// Remaining memory.
    Memory,
}
