//! The room on a host, small enough to be kept everywhere: the bound by which searches skip what cannot fit.

use crate::ecs::container_instance::Resources;
use crate::ecs::task_definition::Requirements;

/// Free resources, or needed ones, each cut off at what its field can hold.
///
/// Cutting keeps order, so a host whose room does not cover a task's needs cannot take it. The reverse holds too,
/// unless a need was cut: [`Room::is_exact`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    cpu: u32,
    memory: u32,
    gpus: u16,
    eni_slots: u16,
}

impl Room {
    /// What is free.
    pub(crate) fn free(resources: &Resources) -> Self {
        Self {
            cpu: u32::try_from(resources.cpu.0).unwrap_or(u32::MAX),
            memory: u32::try_from(resources.memory.0).unwrap_or(u32::MAX),
            gpus: u16::try_from(resources.gpus).unwrap_or(u16::MAX),
            eni_slots: u16::try_from(resources.eni_slots).unwrap_or(u16::MAX),
        }
    }

    /// What is needed.
    pub(crate) fn needed(needs: &Requirements) -> Self {
        Self {
            cpu: u32::try_from(needs.cpu.0).unwrap_or(u32::MAX),
            memory: u32::try_from(needs.memory.0).unwrap_or(u32::MAX),
            gpus: u16::try_from(needs.gpus).unwrap_or(u16::MAX),
            eni_slots: u16::from(needs.eni),
        }
    }

    /// Whether [`Room::covers`] decides alone for these needs: none of them was cut.
    pub(crate) fn is_exact(self) -> bool {
        self.cpu < u32::MAX && self.memory < u32::MAX && self.gpus < u16::MAX
    }

    /// Whether none of the needs exceeds this room.
    pub(crate) fn covers(self, needs: Self) -> bool {
        self.cpu >= needs.cpu
            && self.memory >= needs.memory
            && self.gpus >= needs.gpus
            && self.eni_slots >= needs.eni_slots
    }

    /// Whether a bound of `most` may rest on what this room has and `is` has not: the bound may be lower then.
    pub(crate) fn carries(self, most: Self, is: Self) -> bool {
        (self.cpu > is.cpu && self.cpu >= most.cpu)
            || (self.memory > is.memory && self.memory >= most.memory)
            || (self.gpus > is.gpus && self.gpus >= most.gpus)
            || (self.eni_slots > is.eni_slots && self.eni_slots >= most.eni_slots)
    }

    /// The bound over some rooms when one of them, which was `was`, is `is`. Where it may have rested on what that lost,
    /// `most` looks for it anew, told what it is at most.
    pub(crate) fn after(self, was: Self, is: Self, most: impl FnOnce(Self) -> Self) -> Self {
        let bound = self.max(is);
        if was.carries(bound, is) { most(bound) } else { bound }
    }

    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            gpus: self.gpus.max(other.gpus),
            eni_slots: self.eni_slots.max(other.eni_slots),
        }
    }

    /// The most of each that some of them have, where that is known to be at most `bound`: most hosts are alike, so the
    /// look at them ends early.
    pub(crate) fn most(rooms: impl IntoIterator<Item = Self>, bound: Self) -> Self {
        let mut most = Self::default();
        for room in rooms {
            most = most.max(room);
            if most == bound {
                break;
            }
        }
        most
    }
}
