//! What a host can do and a task may need: `ecs.capability.…` and its kin (TD-25, TD-28, PLACE-16).
//!
//! Registration of a task definition adds the attributes it requires, agents register those they have: which ones depends
//! on the agent's version and on the machine. A host that lacks one is passed over with the reason `ATTRIBUTE`.

use crate::ecs::agent::AgentVersion;
use crate::ecs::task_definition::OperatingSystem;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Task-level CPU and memory.
    TaskSize,
    /// Interfaces of tasks' own (awsvpc).
    TaskEni,
    /// Health checks of containers.
    ContainerHealthCheck,
    /// `dependsOn` and time-outs of containers.
    ContainerOrdering,
    /// Privileged containers.
    PrivilegedContainer,
    /// `pidMode` and `ipcMode`.
    NamespaceSharing,
    /// Secrets as environment variables.
    Secrets,
    /// Environment files in S3.
    EnvironmentFiles,
    /// Volumes on EFS.
    Efs,
    /// Volumes on FSx for Windows File Server.
    FsxWindows,
    /// EBS volumes of tasks' own: hosts on Nitro (VOL-2).
    EbsTaskVolume,
    /// Ranges of container ports.
    PortRange,
    /// Restarts in place.
    RestartPolicy,
    /// The awslogs log driver.
    AwsLogs,
    /// The awsfirelens log driver.
    FireLens,
}

/// Windows families; a task runs on hosts of its own (TD-25).
pub const WINDOWS_FAMILIES: [&str; 9] = [
    "WINDOWS_SERVER_2016_FULL",
    "WINDOWS_SERVER_2019_FULL",
    "WINDOWS_SERVER_2019_CORE",
    "WINDOWS_SERVER_2004_CORE",
    "WINDOWS_SERVER_20H2_CORE",
    "WINDOWS_SERVER_2022_CORE",
    "WINDOWS_SERVER_2022_FULL",
    "WINDOWS_SERVER_2025_CORE",
    "WINDOWS_SERVER_2025_FULL",
];

impl Capability {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::TaskSize,
        Self::TaskEni,
        Self::ContainerHealthCheck,
        Self::ContainerOrdering,
        Self::PrivilegedContainer,
        Self::NamespaceSharing,
        Self::Secrets,
        Self::EnvironmentFiles,
        Self::Efs,
        Self::FsxWindows,
        Self::EbsTaskVolume,
        Self::PortRange,
        Self::RestartPolicy,
        Self::AwsLogs,
        Self::FireLens,
    ];

    /// The attribute's name.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::TaskSize => "ecs.capability.task-cpu-mem-limit",
            Self::TaskEni => "ecs.capability.task-eni",
            Self::ContainerHealthCheck => "ecs.capability.container-health-check",
            Self::ContainerOrdering => "ecs.capability.container-ordering",
            Self::PrivilegedContainer => "com.amazonaws.ecs.capability.privileged-container",
            Self::NamespaceSharing => "ecs.capability.pid-ipc-namespace-sharing",
            Self::Secrets => "ecs.capability.secrets.asm.environment-variables",
            Self::EnvironmentFiles => "ecs.capability.env-files.s3",
            Self::Efs => "ecs.capability.efs",
            Self::FsxWindows => "ecs.capability.fsxWindowsFileServer",
            Self::EbsTaskVolume => "ecs.capability.storage.ebs-task-volume-attach",
            Self::PortRange => "ecs.capability.network.container-port-range",
            Self::RestartPolicy => "ecs.capability.container-restart-policy",
            Self::AwsLogs => "com.amazonaws.ecs.capability.logging-driver.awslogs",
            Self::FireLens => "ecs.capability.firelens.fluentbit",
        }
    }

    /// The first agent that has it, as the developer guide says of the feature.
    const fn since(self) -> &'static str {
        match self {
            Self::PrivilegedContainer => "1.0.0",
            Self::AwsLogs => "1.9.0",
            Self::TaskSize => "1.14.0",
            Self::TaskEni => "1.15.0",
            Self::ContainerHealthCheck => "1.17.0",
            Self::Secrets | Self::NamespaceSharing => "1.22.0",
            Self::ContainerOrdering => "1.26.0",
            Self::FireLens => "1.30.0",
            Self::Efs => "1.38.0",
            Self::EnvironmentFiles => "1.39.0",
            Self::FsxWindows => "1.45.0",
            Self::PortRange => "1.67.2",
            Self::EbsTaskVolume => "1.79.0",
            Self::RestartPolicy => "1.89.0",
        }
    }

    /// Whether an agent on this kind of host has it, whatever its version.
    const fn suits(self, operating_system: OperatingSystem, nitro: bool) -> bool {
        match (self, operating_system) {
            (Self::EbsTaskVolume, OperatingSystem::Linux) => nitro,
            (Self::FsxWindows, system) => matches!(system, OperatingSystem::Windows),
            (
                Self::TaskSize
                | Self::PrivilegedContainer
                | Self::NamespaceSharing
                | Self::Efs
                | Self::EbsTaskVolume
                | Self::PortRange
                | Self::FireLens,
                OperatingSystem::Windows,
            ) => false,
            _ => true,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A set of capabilities, the Windows family of a host or task among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Bits from here on are Windows families.
    const FAMILIES: u32 = 32;

    /// These and one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// These, and the capability when the condition holds.
    #[must_use]
    pub const fn with_if(self, condition: bool, capability: Capability) -> Self {
        if condition { self.with(capability) } else { self }
    }

    /// These and a Windows family; one that is not known is left out.
    #[must_use]
    pub fn with_family(self, family: &str) -> Self {
        let place = WINDOWS_FAMILIES.iter().position(|known| *known == family);
        place.map_or(self, |place| Self(self.0 | 1 << (Self::FAMILIES + place as u32)))
    }

    /// What a host of this kind registers, its agent being of this version.
    pub fn of_host(agent_version: &str, operating_system: OperatingSystem, nitro: bool) -> Self {
        let version = AgentVersion::lenient(agent_version);
        let has = |capability: &Capability| {
            capability.suits(operating_system, nitro) && AgentVersion::lenient(capability.since()) <= version
        };
        Capability::ALL.into_iter().filter(has).fold(Self::default(), Self::with)
    }

    /// Whether all of `needed` are among these.
    pub const fn cover(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The capabilities among these, families left out.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.0 & capability.bit() != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_16_an_agent_registers_what_its_version_can_do() {
        let newest = Capabilities::of_host("1.105.1", OperatingSystem::Linux, true);
        assert!(newest.iter().all(|one| one != Capability::FsxWindows) && newest.iter().count() == 14);
        let old = Capabilities::of_host("1.26.0", OperatingSystem::Linux, true);
        assert!(old.iter().any(|one| one == Capability::ContainerOrdering));
        assert!(old.iter().all(|one| one != Capability::Efs), "from 1.38.0 on");
        assert!(newest.cover(old) && !old.cover(newest));
    }

    #[test]
    fn vol_2_ebs_volumes_of_tasks_need_a_host_on_nitro() {
        let needed = Capabilities::default().with(Capability::EbsTaskVolume);
        assert!(Capabilities::of_host("1.105.1", OperatingSystem::Linux, true).cover(needed));
        assert!(!Capabilities::of_host("1.105.1", OperatingSystem::Linux, false).cover(needed), "Xen");
        assert!(!Capabilities::of_host("1.78.0", OperatingSystem::Linux, true).cover(needed), "too old an agent");
    }

    #[test]
    fn td_25_a_windows_family_is_its_own() {
        let host = Capabilities::default().with_family("WINDOWS_SERVER_2022_CORE");
        assert!(host.cover(Capabilities::default().with_family("WINDOWS_SERVER_2022_CORE")));
        assert!(!host.cover(Capabilities::default().with_family("WINDOWS_SERVER_2019_CORE")));
        assert_eq!(host.iter().count(), 0, "a family is no attribute of its own");
    }
}
