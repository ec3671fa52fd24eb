//! EBS volumes that ECS attaches to tasks (VOL-2).

use std::ops::RangeInclusive;

/// A type of volume with the sizes it comes in [GiB].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EbsType {
    /// `gp3` and such.
    pub name: &'static str,
    smallest: u32,
    largest: u32,
}

/// The types, the default first.
pub const EBS_TYPES: [EbsType; 7] = [
    EbsType { name: "gp3", smallest: 1, largest: 16_384 },
    EbsType { name: "gp2", smallest: 1, largest: 16_384 },
    EbsType { name: "io1", smallest: 4, largest: 16_384 },
    EbsType { name: "io2", smallest: 4, largest: 16_384 },
    EbsType { name: "st1", smallest: 125, largest: 16_384 },
    EbsType { name: "sc1", smallest: 125, largest: 16_384 },
    EbsType { name: "standard", smallest: 1, largest: 1024 },
];

impl EbsType {
    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        EBS_TYPES.into_iter().find(|known| known.name == name)
    }

    /// Its sizes [GiB].
    pub const fn sizes(self) -> RangeInclusive<u32> {
        self.smallest..=self.largest
    }
}

/// The volume of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EbsVolume {
    /// `volumeType`.
    pub kind: EbsType,
    /// `sizeInGiB`.
    pub gib: u32,
}
