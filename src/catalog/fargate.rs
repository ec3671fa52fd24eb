//! Fargate: which task sizes exist (FG-1) and what a task costs (FG-2 to FG-4).

use thiserror::Error;

use super::price::Confidence;
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::time::SimDuration;
use crate::units::{CpuUnits, MiB, Usd};

/// Fargate Spot as a share of on-demand, where no Spot price is published: `fargate_spot_ratio` (FG-4).
pub const FARGATE_SPOT_RATIO: f64 = 0.3358;

/// Ephemeral storage every Fargate task has without charge, in GiB (FG-9).
pub const FARGATE_INCLUDED_STORAGE_GIB: u32 = 20;

/// Fargate's prices for one region, operating system, architecture and kind of capacity.
#[derive(Clone, Debug, PartialEq)]
pub struct FargatePrice {
    /// Per vCPU-hour.
    pub vcpu_hour: Usd,
    /// Per GB-hour of memory; a GB is 1,024 MiB (FG-2).
    pub gb_hour: Usd,
    /// Per GB-hour of ephemeral storage beyond the included 20; never discounted (FG-4).
    pub storage_gb_hour: Usd,
    /// Windows licence per vCPU-hour, on top; zero on Linux.
    pub licence_vcpu_hour: Usd,
    /// When the vCPU and memory prices were seen; `~` marks an approximate date.
    pub as_of: String,
    /// How far to trust them.
    pub confidence: Confidence,
    /// Whether the storage price is scaled from us-east-1's, for want of one for the region.
    pub storage_estimated: bool,
}

impl FargatePrice {
    /// This on-demand price at a Spot ratio (FG-4): vCPU and memory are discounted, storage is not.
    pub fn at_spot_ratio(&self, ratio: f64) -> Self {
        Self {
            vcpu_hour: self.vcpu_hour * ratio,
            gb_hour: self.gb_hour * ratio,
            confidence: Confidence::Estimated,
            ..self.clone()
        }
    }
}

/// The size of a Fargate task, which is what it is billed for whatever it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FargateSize {
    /// Task CPU.
    pub cpu: CpuUnits,
    /// Task memory.
    pub memory: MiB,
    /// Ephemeral storage in all, in GiB; `None` is the included 20 (FG-9).
    pub ephemeral_storage_gib: Option<u32>,
}

/// A Fargate task's billed quantities.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FargateUsage {
    /// Whole billed seconds.
    pub seconds: u64,
    /// vCPU-hours.
    pub vcpu_hours: f64,
    /// GB-hours of memory.
    pub gb_hours: f64,
    /// GB-hours of ephemeral storage beyond the included 20.
    pub storage_gb_hours: f64,
}

impl FargateUsage {
    /// What a task of `size` is billed for that ran for `running`, from the start of its first image pull to its end.
    ///
    /// `minimum` is one minute on Linux and `fargate_windows_min_s` on Windows.
    pub fn of(running: SimDuration, size: FargateSize, minimum: SimDuration) -> Self {
        // FG-2: per second, rounded up, with a minimum.
        let seconds = running.as_secs_ceil().max(minimum.as_secs_ceil());
        let hours = seconds as f64 / 3600.0;
        let storage = size.ephemeral_storage_gib.unwrap_or(0).saturating_sub(FARGATE_INCLUDED_STORAGE_GIB);
        Self {
            seconds,
            vcpu_hours: hours * size.cpu.as_vcpus(),
            gb_hours: hours * (size.memory.0 as f64 / 1024.0),
            storage_gb_hours: hours * f64::from(storage),
        }
    }

    /// What it costs at `price`.
    pub fn cost(&self, price: &FargatePrice) -> Usd {
        (price.vcpu_hour + price.licence_vcpu_hour) * self.vcpu_hours
            + price.gb_hour * self.gb_hours
            + price.storage_gb_hour * self.storage_gb_hours
    }
}

/// What a task of `size` costs that ran for `running`; see [`FargateUsage::of`].
pub fn fargate_cost(running: SimDuration, size: FargateSize, price: &FargatePrice, minimum: SimDuration) -> Usd {
    FargateUsage::of(running, size, minimum).cost(price)
}

/// A CPU and memory pair that Fargate does not offer; the text is `RegisterTaskDefinition`'s (ClientException).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("No Fargate configuration exists for given values.")]
pub struct NoFargateConfiguration;

/// Checks that Fargate offers a task size; [`fargate_memories`] has the accepted memories for a hint.
pub fn check_fargate_size(cpu: CpuUnits, memory: MiB, os: OperatingSystem) -> Result<(), NoFargateConfiguration> {
    // FG-1: Windows comes in 1, 2 and 4 vCPU only.
    let offered = os == OperatingSystem::Linux || matches!(cpu.0, 1024 | 2048 | 4096);
    if offered && fargate_memories(cpu).contains(&memory) { Ok(()) } else { Err(NoFargateConfiguration) }
}

/// The memories Fargate offers with `cpu`, ascending; none when it does not offer that CPU.
pub fn fargate_memories(cpu: CpuUnits) -> Vec<MiB> {
    // FG-1.
    let range = |from: u64, to: u64, step: usize| (from..=to).step_by(step).map(MiB).collect();
    match cpu.0 {
        256 => vec![MiB(512), MiB(1024), MiB(2048)],
        512 => range(1024, 4096, 1024),
        1024 => range(2048, 8192, 1024),
        2048 => range(4096, 16_384, 1024),
        4096 => range(8192, 30_720, 1024),
        8192 => range(16_384, 61_440, 4096),
        16_384 => range(32_768, 122_880, 8192),
        32_768 => vec![MiB(61_440), MiB(122_880), MiB(249_856)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::catalog;
    use crate::ecs::task_definition::CpuArchitecture;

    fn cost(cpu: u64, memory: u64, storage: Option<u32>, seconds: u64) -> f64 {
        let price = catalog().fargate("us-east-1", OperatingSystem::Linux, CpuArchitecture::X86_64, false).unwrap();
        let size = FargateSize { cpu: CpuUnits(cpu), memory: MiB(memory), ephemeral_storage_gib: storage };
        fargate_cost(SimDuration::from_secs(seconds), size, &price, SimDuration::MINUTE).0
    }

    #[test]
    fn ex_fg_1_sizes_are_offered_or_not() {
        let table = [
            (256, 512, true),
            (256, 4096, false),
            (1024, 2048, true),
            (2048, 17_408, false),
            (8192, 20_480, true),
            (8192, 18_432, false),
            (16_384, 40_960, true),
            (16_384, 36_864, false),
        ];
        for (cpu, memory, offered) in table {
            let verdict = check_fargate_size(CpuUnits(cpu), MiB(memory), OperatingSystem::Linux);
            assert_eq!(verdict.is_ok(), offered, "{cpu}/{memory}");
        }
        assert_eq!(NoFargateConfiguration.to_string(), "No Fargate configuration exists for given values.");
    }

    #[test]
    fn fg_1_every_row_of_the_table() {
        let table = [
            (128, 0, None),
            (256, 3, Some((512, 2048))),
            (512, 4, Some((1024, 4096))),
            (1024, 7, Some((2048, 8192))),
            (2048, 13, Some((4096, 16_384))),
            (4096, 23, Some((8192, 30_720))),
            (8192, 12, Some((16_384, 61_440))),
            (16_384, 12, Some((32_768, 122_880))),
            (32_768, 3, Some((61_440, 249_856))),
            (65_536, 0, None),
        ];
        for (cpu, count, ends) in table {
            let memories = fargate_memories(CpuUnits(cpu));
            assert_eq!(memories.len(), count, "{cpu}");
            assert_eq!(memories.first().copied().zip(memories.last().copied()), ends.map(|(a, b)| (MiB(a), MiB(b))));
        }
    }

    #[test]
    fn fg_1_windows_comes_in_one_two_and_four_vcpus() {
        for (cpu, memory, offered) in
            [(512, 1024, false), (1024, 2048, true), (4096, 8192, true), (8192, 16_384, false)]
        {
            let verdict = check_fargate_size(CpuUnits(cpu), MiB(memory), OperatingSystem::Windows);
            assert_eq!(verdict.is_ok(), offered, "{cpu}");
        }
    }

    #[test]
    fn ex_fg_2_ten_minutes_of_one_vcpu() {
        assert!((cost(1024, 2048, None, 600) - 0.008_228_3).abs() < 5e-8);
    }

    #[test]
    fn ex_fg_3_a_short_task_is_billed_a_minute() {
        assert!((cost(256, 512, None, 20) - 0.000_205_7).abs() < 5e-8);
    }

    #[test]
    fn ex_fg_4_storage_beyond_the_included_is_charged() {
        assert!((cost(4096, 8192, Some(100), 3600) - 0.206_36).abs() < 5e-6);
        assert_eq!(cost(4096, 8192, Some(20), 3600), cost(4096, 8192, None, 3600));
    }

    #[test]
    fn fg_2_seconds_are_rounded_up() {
        let size = FargateSize { cpu: CpuUnits(1024), memory: MiB(2048), ephemeral_storage_gib: None };
        let seconds = |millis, minimum| {
            FargateUsage::of(SimDuration::from_millis(millis), size, SimDuration::from_secs(minimum)).seconds
        };
        assert_eq!((seconds(90_001, 60), seconds(90_000, 60), seconds(0, 60), seconds(90_000, 300)), (91, 90, 60, 300));
    }

    #[test]
    fn fg_2_windows_adds_its_licence_per_vcpu() {
        let price = catalog().fargate("us-east-1", OperatingSystem::Windows, CpuArchitecture::X86_64, false).unwrap();
        let size = FargateSize { cpu: CpuUnits(2048), memory: MiB(4096), ephemeral_storage_gib: None };
        let hour = fargate_cost(SimDuration::HOUR, size, &price, SimDuration::from_secs(300)).0;
        assert!((hour - (2.0 * (0.046_552 + 0.046) + 4.0 * 0.005_111_75)).abs() < 1e-12);
    }

    #[test]
    fn fg_4_storage_is_not_discounted_on_spot() {
        let of = |spot| catalog().fargate("us-east-1", OperatingSystem::Linux, CpuArchitecture::X86_64, spot).unwrap();
        let (on_demand, spot) = (of(false), of(true));
        assert_eq!(spot.storage_gb_hour, on_demand.storage_gb_hour);
        let estimated = on_demand.at_spot_ratio(FARGATE_SPOT_RATIO);
        assert!((spot.vcpu_hour.0 / estimated.vcpu_hour.0 - 1.0).abs() < 1e-4);
        assert!((spot.gb_hour.0 / estimated.gb_hour.0 - 1.0).abs() < 1e-4);
        assert_eq!(estimated.storage_gb_hour, on_demand.storage_gb_hour);
    }
}
