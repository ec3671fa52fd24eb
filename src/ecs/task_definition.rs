//! Task definitions: what a task needs of its host, and how its containers are declared (TD-*).

use std::collections::BTreeMap;

use crate::ecs::capability::{Capabilities, Capability};
use crate::ecs::process::Process;
use crate::ecs::software::VersionConsistency;
use crate::engine::time::SimDuration;
use crate::placement::constraint::Constraint;
use crate::units::{CpuUnits, MiB};

/// One revision of a task definition.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskDefinition {
    /// The family; `family:revision` names the definition (TD-1).
    pub family: String,
    /// 1 for the first of its family, then one more each; 0 until registered.
    pub revision: u32,
    /// What has become of it (TD-2).
    pub status: DefinitionStatus,
    /// Whether new tasks and services may use it: it is ACTIVE, or has been deregistered a moment ago.
    pub takes_work: bool,
    /// How its containers are attached to the network (TD-21).
    pub network_mode: NetworkMode,
    /// Task-level CPU, a hard cap at run time (TD-9).
    pub cpu: Option<CpuUnits>,
    /// Task-level memory, a hard limit.
    pub memory: Option<MiB>,
    /// The containers, in the order given.
    pub containers: Vec<ContainerDefinition>,
    /// `memberOf` constraints of the definition (PLACE-14).
    pub placement_constraints: Vec<Constraint>,
    /// The launch types it was validated for; empty means EC2.
    pub requires_compatibilities: Vec<Compatibility>,
    /// `X86_64` unless said (TD-25).
    pub cpu_architecture: CpuArchitecture,
    /// LINUX unless said.
    pub operating_system: OperatingSystem,
    /// Fargate ephemeral storage beyond the 20 GiB included (FG-9), in GiB in total.
    pub ephemeral_storage_gib: Option<u32>,
    /// Whether it has a volume on EFS (VOL-4).
    pub mounts_efs: bool,
    /// Whether it has a volume that is configured at launch: an EBS volume of each task's own (VOL-2).
    pub attaches_ebs: bool,
    /// What else it says that not every host can do: privileged containers, secrets, its Windows family (TD-28).
    pub declared: Capabilities,
}

/// `status` of a task definition (TD-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionStatus {
    /// In use.
    Active,
    /// Deregistered.
    Inactive,
    /// Deleted, as far as nothing refers to it any more.
    DeleteInProgress,
    /// Made by the model itself: no call finds it.
    Internal,
}

/// One container of a task definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerDefinition {
    /// Its name, unique in the task.
    pub name: String,
    /// Image reference; opaque.
    pub image: String,
    /// `versionConsistency` (TD-29).
    pub version_consistency: VersionConsistency,
    /// CPU units, relative shares on Linux (TD-6).
    pub cpu: CpuUnits,
    /// Hard limit (TD-7).
    pub memory: Option<MiB>,
    /// Soft limit, the reservation when given (TD-8).
    pub memory_reservation: Option<MiB>,
    /// Whether its end stops the task (TD-10).
    pub essential: bool,
    /// Ports it exposes.
    pub port_mappings: Vec<PortMapping>,
    /// Whole GPUs, exclusive (TD-24); with `ALL` one at least.
    pub gpus: u32,
    /// `ALL`: every GPU of the host.
    pub all_gpus: bool,
    /// Seconds from SIGTERM to SIGKILL; the agent's default when absent (TD-15).
    pub stop_timeout_s: Option<u32>,
    /// How long those that depend on it wait for more than its start; for ever when absent (TD-14).
    pub start_timeout: Option<SimDuration>,
    /// What has to hold before it starts (TD-11).
    pub depends_on: Vec<Dependency>,
    /// Its own health check (TD-17).
    pub health_check: Option<ContainerHealthCheck>,
    /// Its restart policy, if enabled (TD-20).
    pub restart_policy: Option<RestartPolicy>,
    /// Environment, opaque to the model.
    pub environment: BTreeMap<String, String>,
    /// What runs in it, opaque to the model.
    pub process: Process,
}

/// An entry of `dependsOn` (TD-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Position of the container it waits for, in the order of the definition.
    pub container: usize,
    /// What it waits for.
    pub condition: Condition,
}

/// `condition` of a dependency (TD-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It has started.
    Start,
    /// It has ended, with any code.
    Complete,
    /// It has ended with 0.
    Success,
    /// Its health check has passed.
    Healthy,
}

/// `healthCheck` of a container (TD-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerHealthCheck {
    /// From the end of a probe to the next; 30 s unless said.
    pub interval: SimDuration,
    /// A probe without an answer fails after this; 5 s unless said.
    pub timeout: SimDuration,
    /// Failures in a row that make it UNHEALTHY; 3 unless said.
    pub retries: u32,
    /// Since the start, how long failures do not count.
    pub start_period: SimDuration,
}

/// An enabled `restartPolicy` (TD-20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// It has to have run this long; 300 s unless said.
    pub attempt_period: SimDuration,
    /// Exit codes that end it for good.
    pub ignored_exit_codes: Vec<i32>,
}

/// One port mapping (TD-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// Port inside the container.
    pub container_port: u16,
    /// Port on the host; `None` or 0 is dynamic in bridge mode.
    pub host_port: Option<u16>,
    /// TCP unless said.
    pub protocol: Protocol,
    /// How many ports in a row: one, unless it is a `containerPortRange`.
    pub count: u16,
}

impl PortMapping {
    /// The port of the host, when the definition says it: in host mode, the container's own (TD-22).
    pub const fn static_port(&self, mode: NetworkMode) -> Option<u16> {
        match (mode, self.host_port) {
            (NetworkMode::Host, None | Some(0)) => Some(self.container_port),
            (NetworkMode::Host | NetworkMode::Bridge | NetworkMode::WindowsDefault, Some(port)) if port > 0 => {
                Some(port)
            }
            _ => None,
        }
    }

    /// Whether the agent chooses the port of the host (TD-23).
    pub const fn is_dynamic(&self, mode: NetworkMode) -> bool {
        mode.translates_ports() && self.static_port(mode).is_none()
    }
}

/// Transport protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Network mode of a task (TD-21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// Docker's bridge: host ports are static or dynamic.
    #[default]
    Bridge,
    /// The host's own network.
    Host,
    /// An ENI of its own; the only mode on Fargate.
    Awsvpc,
    /// No network.
    None,
    /// Windows' NAT, `default`: ports as in bridge mode.
    WindowsDefault,
}

impl NetworkMode {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Awsvpc => "awsvpc",
            Self::None => "none",
            Self::WindowsDefault => "default",
        }
    }

    /// Whether containers have ports of their own that the host's lead to (TD-22).
    pub const fn translates_ports(self) -> bool {
        matches!(self, Self::Bridge | Self::WindowsDefault)
    }
}

/// Launch types a definition declares itself compatible with (TD-26).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// EC2 container instances.
    Ec2,
    /// Fargate.
    Fargate,
}

/// CPU architecture, on hosts and in task definitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuArchitecture {
    /// 64-bit x86.
    #[default]
    X86_64,
    /// 64-bit ARM (Graviton).
    Arm64,
}

impl CpuArchitecture {
    /// The value of the attribute `ecs.cpu-architecture`.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Operating system family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OperatingSystem {
    /// Linux.
    #[default]
    Linux,
    /// Any Windows Server family.
    Windows,
}

/// What a task takes of its container instance (TD-8): the unit of placement and of accounting.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirements {
    /// CPU units reserved.
    pub cpu: CpuUnits,
    /// Memory reserved.
    pub memory: MiB,
    /// Whole GPUs; of all of them (TD-24) at least these.
    pub gpus: u32,
    /// Whether it takes all GPUs of its host.
    pub all_gpus: bool,
    /// Whether it takes an ENI slot (awsvpc, EC2-12).
    pub eni: bool,
    /// Static host ports over TCP, ascending.
    pub tcp_ports: Vec<u16>,
    /// Static host ports over UDP, ascending.
    pub udp_ports: Vec<u16>,
}

impl TaskDefinition {
    /// What a task of this definition reserves (TD-8).
    pub fn requirements(&self) -> Requirements {
        let mut tcp_ports = Vec::new();
        let mut udp_ports = Vec::new();
        for mapping in self.containers.iter().flat_map(|container| &container.port_mappings) {
            let Some(port) = mapping.static_port(self.network_mode) else { continue };
            match mapping.protocol {
                Protocol::Tcp => tcp_ports.push(port),
                Protocol::Udp => udp_ports.push(port),
            }
        }
        tcp_ports.sort_unstable();
        tcp_ports.dedup();
        udp_ports.sort_unstable();
        udp_ports.dedup();
        Requirements {
            cpu: self.size().0.unwrap_or_else(|| self.containers.iter().map(|container| container.cpu).sum()),
            memory: self
                .size()
                .1
                .unwrap_or_else(|| self.containers.iter().map(ContainerDefinition::reserved_memory).sum()),
            gpus: self.containers.iter().fold(0, |total, container| total.saturating_add(container.gpus)),
            all_gpus: self.containers.iter().any(|container| container.all_gpus),
            eni: self.network_mode == NetworkMode::Awsvpc,
            tcp_ports,
            udp_ports,
        }
    }

    /// The task-level size, as far as it holds: on Windows hosts it is ignored (TD-5).
    pub fn size(&self) -> (Option<CpuUnits>, Option<MiB>) {
        let on_fargate = self.requires_compatibilities.contains(&Compatibility::Fargate);
        if self.operating_system == OperatingSystem::Windows && !on_fargate {
            return (None, None);
        }
        (self.cpu, self.memory)
    }

    /// TD-28: `requiresAttributes`, which a host has to have.
    pub fn required_capabilities(&self) -> Capabilities {
        let any = |has: fn(&ContainerDefinition) -> bool| self.containers.iter().any(has);
        let sized = self.operating_system == OperatingSystem::Linux && (self.cpu.is_some() || self.memory.is_some());
        let ordered = any(|container| {
            !container.depends_on.is_empty() || container.stop_timeout_s.is_some() || container.start_timeout.is_some()
        });
        let ranges = any(|container| container.port_mappings.iter().any(|mapping| mapping.count > 1));
        self.declared
            .with_if(sized, Capability::TaskSize)
            .with_if(self.network_mode == NetworkMode::Awsvpc, Capability::TaskEni)
            .with_if(any(|container| container.health_check.is_some()), Capability::ContainerHealthCheck)
            .with_if(ordered, Capability::ContainerOrdering)
            .with_if(self.mounts_efs, Capability::Efs)
            .with_if(self.attaches_ebs, Capability::EbsTaskVolume)
            .with_if(ranges, Capability::PortRange)
            .with_if(any(|container| container.restart_policy.is_some()), Capability::RestartPolicy)
    }

    /// Position of the first essential container: what is said of the whole task is said of it.
    pub fn main_container(&self) -> usize {
        self.containers.iter().position(|container| container.essential).unwrap_or(0)
    }

    /// Position of the container of this name; of the first essential one when there is none.
    pub fn container_named(&self, name: &str) -> usize {
        let found = self.containers.iter().position(|container| container.name == name);
        found.unwrap_or_else(|| self.main_container())
    }

    /// The memory above which the kernel kills a container of a task that reserves `reserved`; `None` without a hard
    /// limit (TD-7, TD-9).
    ///
    /// That is the task-level size, from `RunTask`'s overrides too, or all containers' hard limits together: how a task's
    /// use is spread over its containers is not known.
    pub fn memory_limit(&self, reserved: MiB) -> Option<MiB> {
        let declared: MiB = self.containers.iter().map(ContainerDefinition::reserved_memory).sum();
        let size = self.size().1;
        if reserved != size.unwrap_or(declared) {
            return Some(reserved);
        }
        let limits: Option<Vec<MiB>> = self.containers.iter().map(|container| container.memory).collect();
        let together = limits.map(|limits| limits.into_iter().sum());
        [size, together].into_iter().flatten().min()
    }

    /// `family:revision`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

impl ContainerDefinition {
    /// The image of a real container: `behaviour.realImage`, else `image`.
    pub fn real_image(&self) -> &str {
        self.process.real_image.as_deref().unwrap_or(&self.image)
    }

    /// The memory this container reserves without a task size: the soft limit if positive, else the hard one (TD-8).
    pub fn reserved_memory(&self) -> MiB {
        self.memory_reservation.filter(|soft| soft.0 > 0).or(self.memory).unwrap_or_default()
    }

    /// TD-15: between stop signal and SIGKILL; `default` when the definition does not say.
    pub fn stop_timeout(&self, default: SimDuration) -> SimDuration {
        self.stop_timeout_s.map_or(default, |secs| SimDuration::from_secs(u64::from(secs)))
    }
}

/// What one `RunTask` call changes of its task definition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskOverrides {
    /// `overrides.cpu`.
    pub cpu: Option<CpuUnits>,
    /// `overrides.memory`.
    pub memory: Option<MiB>,
    /// GPUs, from a trace's column.
    pub gpus: Option<u32>,
    /// How long the task runs, from a trace's column.
    pub runs_for: Option<SimDuration>,
}

impl TaskOverrides {
    /// These, and those of `other` where they say nothing.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            memory: self.memory.or(other.memory),
            gpus: self.gpus.or(other.gpus),
            runs_for: self.runs_for.or(other.runs_for),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(cpu: u64, memory: Option<u64>, reservation: Option<u64>) -> ContainerDefinition {
        ContainerDefinition {
            name: "app".into(),
            image: "repo/app:1".into(),
            cpu: CpuUnits(cpu),
            memory: memory.map(MiB),
            memory_reservation: reservation.map(MiB),
            essential: true,
            ..ContainerDefinition::default()
        }
    }

    fn definition(containers: Vec<ContainerDefinition>) -> TaskDefinition {
        TaskDefinition {
            family: "web".into(),
            revision: 1,
            status: DefinitionStatus::Active,
            takes_work: true,
            network_mode: NetworkMode::Bridge,
            cpu: None,
            memory: None,
            containers,
            placement_constraints: Vec::new(),
            requires_compatibilities: Vec::new(),
            cpu_architecture: CpuArchitecture::X86_64,
            operating_system: OperatingSystem::Linux,
            ephemeral_storage_gib: None,
            mounts_efs: false,
            attaches_ebs: false,
            declared: Capabilities::default(),
        }
    }

    #[test]
    fn ex_td_1_soft_limit_is_the_reservation() {
        let needs = definition(vec![container(256, Some(300), Some(128))]).requirements();
        assert_eq!((needs.cpu, needs.memory), (CpuUnits(256), MiB(128)));
    }

    #[test]
    fn ex_td_2_containers_add_up() {
        let needs = definition(vec![container(100, Some(200), None), container(0, Some(512), Some(64))]).requirements();
        assert_eq!((needs.cpu, needs.memory), (CpuUnits(100), MiB(264)));
    }

    #[test]
    fn ex_td_3_task_size_wins() {
        let mut sized = definition(vec![container(256, Some(512), None), container(256, Some(256), None)]);
        sized.cpu = Some(CpuUnits(1024));
        sized.memory = Some(MiB(2048));
        let needs = sized.requirements();
        assert_eq!((needs.cpu, needs.memory), (CpuUnits(1024), MiB(2048)));
    }

    #[test]
    fn td_9_the_hard_limits_of_a_task() {
        let soft = definition(vec![container(0, Some(300), Some(128)), container(0, None, Some(64))]);
        assert_eq!(soft.memory_limit(MiB(192)), None, "one container has a soft limit alone");
        assert_eq!(soft.memory_limit(MiB(256)), Some(MiB(256)), "overrides.memory");
        let hard = definition(vec![container(0, Some(300), Some(128)), container(0, Some(100), None)]);
        assert_eq!(hard.memory_limit(MiB(228)), Some(MiB(400)));
        let sized = TaskDefinition { memory: Some(MiB(1024)), ..soft };
        assert_eq!(sized.memory_limit(MiB(1024)), Some(MiB(1024)));
    }

    #[test]
    fn td_22_host_mode_reserves_the_container_port() {
        let mut app = container(10, Some(10), None);
        app.port_mappings =
            vec![PortMapping { container_port: 80, host_port: None, protocol: Protocol::Tcp, count: 1 }];
        let mut web = definition(vec![app]);
        assert!(web.requirements().tcp_ports.is_empty(), "bridge: dynamic");
        web.network_mode = NetworkMode::Host;
        assert_eq!(web.requirements().tcp_ports, [80]);
    }
}
