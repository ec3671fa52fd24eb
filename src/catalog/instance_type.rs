//! EC2 instance types and what each registers as an ECS container instance (EC2-1 to EC2-5, EC2-12).

use thiserror::Error;

use crate::ecs::task_definition::CpuArchitecture;
use crate::units::{CpuUnits, MiB};

/// One EC2 instance type, as far as ECS is concerned with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// Its name, as `m5.large`.
    pub name: String,
    /// vCPUs as the operating system sees them, of burstable types too.
    pub vcpus: u64,
    /// Advertised memory.
    pub memory: MiB,
    /// Memory a container instance registers with no `ECS_RESERVED_MEMORY` (EC2-2); below [`memory`](Self::memory).
    pub registered_memory: MiB,
    /// How `registered_memory` is known.
    pub registered_basis: RegisteredBasis,
    /// Its CPU architecture.
    pub architecture: CpuArchitecture,
    /// Whole GPUs; 0 for types that hold a fraction of one.
    pub gpus: u32,
    /// The GPUs' name, when it has any.
    pub gpu_model: Option<String>,
    /// Network interfaces EC2 lets it attach.
    pub max_enis: u32,
    /// awsvpc tasks it holds without trunking: all interfaces but the primary one (EC2-12, NET-1).
    pub awsvpc_slots: u32,
    /// awsvpc tasks it holds with `awsvpcTrunking`; `None` where trunking is not supported (NET-2).
    pub awsvpc_slots_trunking: Option<u32>,
    /// What it runs on.
    pub hypervisor: Hypervisor,
    /// Whether it earns and spends CPU credits (t2, t3, t3a, t4g).
    pub burstable: bool,
    /// Whether it is a whole machine.
    pub bare_metal: bool,
    /// Whether AWS counts it as current generation.
    pub current_generation: bool,
}

impl InstanceType {
    /// CPU units it registers: 1,024 per vCPU.
    pub const fn cpu(&self) -> CpuUnits {
        // EC2-1.
        CpuUnits::from_vcpus(self.vcpus)
    }

    /// The part of the name before the dot: `m5` of `m5.large`.
    pub fn family(&self) -> &str {
        self.name.split_once('.').map_or(self.name.as_str(), |(family, _)| family)
    }

    /// awsvpc tasks it holds, with trunking where that is asked for and supported (EC2-12).
    pub fn awsvpc_slots_with(&self, trunking: bool) -> u32 {
        self.awsvpc_slots_trunking.filter(|_| trunking).unwrap_or(self.awsvpc_slots)
    }
}

/// How the registered memory of a type is known (EC2-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisteredBasis {
    /// Total memory read on a running instance.
    Measured,
    /// A rule fitted to the measured types of the same kind (hypervisor and architecture).
    Rule,
}

impl RegisteredBasis {
    /// The word reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Rule => "rule",
        }
    }
}

/// What an instance type runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    /// The Nitro hypervisor.
    Nitro,
    /// Xen: the older generations.
    Xen,
    /// None: bare metal.
    BareMetal,
}

/// `ECS_RESERVED_MEMORY` takes more than there is: the container instance cannot register (EC2-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "ECS_RESERVED_MEMORY of {reserved} exceeds the host's {total} of memory: the container instance cannot register"
)]
pub struct ReservedMemoryTooLarge {
    /// Total memory of the host.
    pub total: MiB,
    /// The setting.
    pub reserved: MiB,
}

/// Memory a host of `memtotal_bytes` (what its operating system calls total memory) registers.
///
/// ```
/// # use ecsim::catalog::registered_from_memtotal;
/// # use ecsim::units::MiB;
/// assert_eq!(registered_from_memtotal(8_373_026_816, MiB(256)), Ok(MiB(7729)));
/// ```
pub fn registered_from_memtotal(memtotal_bytes: u64, reserved: MiB) -> Result<MiB, ReservedMemoryTooLarge> {
    // EC2-2: whole mebibytes first, then the reservation.
    less_reserved_memory(MiB(memtotal_bytes >> 20), reserved)
}

/// Registered memory of a host with `total`, less `ECS_RESERVED_MEMORY`, which by default is 0 (EC2-3).
pub fn less_reserved_memory(total: MiB, reserved: MiB) -> Result<MiB, ReservedMemoryTooLarge> {
    total.checked_sub(reserved).ok_or(ReservedMemoryTooLarge { total, reserved })
}

/// Registered memory of a type the catalogue does not hold, from its advertised memory.
///
/// A fit to Nitro types, rounded down to whole MiB; give `registeredResources` for a figure that matters.
pub const fn registered_memory_rule(nominal: MiB) -> MiB {
    // EC2-5 [assumed]: from 8 GiB up nominal - (192 + 40 per GiB), below 94 %.
    if nominal.0 >= 8 * 1024 {
        MiB(nominal.0 - 192 - (40 * nominal.0).div_ceil(1024))
    } else {
        MiB(nominal.0 * 94 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::catalog;

    #[test]
    fn ex_ec2_1_reserved_memory_is_taken_off_the_total() {
        for (reserved, registered) in [(0, 7985), (256, 7729)] {
            assert_eq!(registered_from_memtotal(8_373_026_816, MiB(reserved)), Ok(MiB(registered)));
        }
    }

    #[test]
    fn ec2_2_a_reservation_above_the_total_fails_the_registration() {
        assert_eq!(registered_from_memtotal(1 << 30, MiB(1024)), Ok(MiB(0)));
        let refusal = registered_from_memtotal(1 << 30, MiB(1025)).unwrap_err();
        assert_eq!(refusal, ReservedMemoryTooLarge { total: MiB(1024), reserved: MiB(1025) });
        assert!(refusal.to_string().contains("1025 MiB exceeds the host's 1024 MiB"), "{refusal}");
    }

    #[test]
    fn ex_ec2_3_burstable_types_register_whole_vcpus() {
        assert_eq!(catalog().instance_type("t3.micro").unwrap().cpu(), CpuUnits(2048));
    }

    #[test]
    fn ec2_5_unknown_types_follow_the_rule() {
        // 8 GiB: 8192 - 192 - 320; 61 GiB: 62464 - 192 - 2440; below 8 GiB 94 %, rounded down.
        for (nominal, registered) in [(8192, 7680), (62464, 59832), (8191, 7699), (1024, 962), (0, 0)] {
            assert_eq!(registered_memory_rule(MiB(nominal)), MiB(registered), "{nominal} MiB");
        }
    }

    #[test]
    fn ec2_5_the_rule_is_near_the_measured_nitro_types() {
        let mut errors: Vec<f64> = catalog()
            .instance_types()
            .filter(|one| one.hypervisor == Hypervisor::Nitro && one.registered_basis == RegisteredBasis::Measured)
            .map(|one| {
                let rule = registered_memory_rule(one.memory).0 as f64;
                (rule / one.registered_memory.0 as f64 - 1.0).abs()
            })
            .collect();
        errors.sort_by(f64::total_cmp);
        assert!(errors[errors.len() / 2] < 0.02, "median error {}", errors[errors.len() / 2]);
    }

    #[test]
    fn net_2_awsvpc_slots_without_and_with_trunking() {
        let table = [
            ("c5.large", 2, Some(10)),
            ("m5.large", 2, Some(10)),
            ("m5.xlarge", 3, Some(20)),
            ("m5.2xlarge", 3, Some(40)),
            ("m5.4xlarge", 7, Some(60)),
            ("m5.16xlarge", 14, Some(120)),
            ("m6i.8xlarge", 7, Some(90)),
            ("m6g.medium", 1, Some(4)),
            ("a1.medium", 1, Some(10)),
            ("m7i-flex.large", 2, Some(4)),
            ("c5n.large", 2, None),
            ("g4dn.xlarge", 2, None),
            ("i3.large", 2, None),
            ("inf1.xlarge", 3, None),
            ("t3.micro", 1, None),
            ("t2.micro", 1, None),
        ];
        for (name, without, with) in table {
            let one = catalog().instance_type(name).unwrap();
            assert_eq!((one.awsvpc_slots, one.awsvpc_slots_trunking), (without, with), "{name}");
            assert_eq!(one.awsvpc_slots_with(false), without);
            assert_eq!(one.awsvpc_slots_with(true), with.unwrap_or(without), "{name}: trunking falls back");
        }
    }

    #[test]
    fn ec2_12_slots_are_the_interfaces_but_the_primary() {
        // Ten 32xlarge and metal types with two network cards are listed below that by the ECS Developer Guide.
        let fewer: Vec<&str> = catalog()
            .instance_types()
            .filter(|one| one.awsvpc_slots + 1 != one.max_enis)
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(fewer.len(), 10, "{fewer:?}");
        assert!(fewer.iter().all(|name| name.ends_with("32xlarge") || name.ends_with("metal")), "{fewer:?}");
    }
}
