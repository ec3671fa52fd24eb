//! Placement strategies: which of the instances that may take a task is best (PLACE-5…13).

use std::fmt;
use std::sync::LazyLock;

use crate::ecs::container_instance::Attributes;

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

static SERVICE_DEFAULT: LazyLock<[PlacementStrategy; 2]> = LazyLock::new(|| {
    [
        PlacementStrategy::Spread(SpreadField::Attribute(Attributes::AVAILABILITY_ZONE.to_owned())),
        PlacementStrategy::Spread(SpreadField::InstanceId),
    ]
});

impl PlacementStrategy {
    /// The strategies of a service: its own, or by default Availability Zones first, then instances (PLACE-5).
    pub fn of_service(given: &[Self]) -> &[Self] {
        if given.is_empty() { &*SERVICE_DEFAULT } else { given }
    }

    /// The strategies of a `RunTask` call: its own, or by default a uniform draw (PLACE-6).
    pub const fn of_run_task(given: &[Self]) -> &[Self] {
        if given.is_empty() { &[Self::Random] } else { given }
    }
}

impl fmt::Display for PlacementStrategy {
    /// As in `type(field)`, for reasons: `spread(attribute:ecs.availability-zone)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Spread(SpreadField::InstanceId) => f.write_str("spread(instanceId)"),
            Self::Spread(SpreadField::Attribute(name)) => write!(f, "spread(attribute:{name})"),
            Self::Binpack(BinpackField::Cpu) => f.write_str("binpack(cpu)"),
            Self::Binpack(BinpackField::Memory) => f.write_str("binpack(memory)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_5_and_6_defaults() {
        let text = |list: &[PlacementStrategy]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text(PlacementStrategy::of_service(&[])),
            "spread(attribute:ecs.availability-zone) spread(instanceId)"
        );
        assert_eq!(text(PlacementStrategy::of_run_task(&[])), "random");
        let own = [PlacementStrategy::Binpack(BinpackField::Cpu)];
        assert_eq!(PlacementStrategy::of_service(&own), own);
    }
}
