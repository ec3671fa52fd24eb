//! Container instances: what one EC2 host offers to a cluster, and who has taken what of it.
//!
//! A container instance is changed only through its [`Cluster`](crate::ecs::cluster::Cluster), which keeps the totals
//! and the indices of placement in step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::ecs::capability::Capabilities;
use crate::ecs::ids::{GroupId, InstanceId, ProviderId, TaskGroupId, TaskKey, ZoneId};
use crate::ecs::small_map::SmallMap;
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use crate::engine::time::SimTime;
use crate::units::{CpuUnits, MiB};

/// TCP ports no task can have on a host, ascending: SSH, Docker and the agent, and on Windows seven more (EC2-6, NET-6). The
/// agent's API documents a third port of its own, 51680, which its code leaves free (C-8, C-11): `reserve_51680` says.
pub const fn reserved_tcp_ports(operating_system: OperatingSystem, reserve_51680: bool) -> &'static [u16] {
    match (operating_system, reserve_51680) {
        (OperatingSystem::Linux, false) => &[22, 2375, 2376, 51678, 51679],
        (OperatingSystem::Linux, true) => &[22, 2375, 2376, 51678, 51679, 51680],
        (OperatingSystem::Windows, false) => &[22, 53, 135, 139, 445, 2375, 2376, 3389, 5985, 5986, 51678, 51679],
        (OperatingSystem::Windows, true) => &[22, 53, 135, 139, 445, 2375, 2376, 3389, 5985, 5986, 51678, 51679, 51680],
    }
}

/// Reserved ports per host, the pre-reserved ones included (NET-6).
pub const MAX_RESERVED_PORTS: usize = 100;

/// A container instance of a cluster.
///
/// What a task changes when it comes or goes stands first, in this order, so that it lies in few lines of the cache, and eight
/// tasks with it: of ten thousand hosts most are in none when their turn comes, and each line is a wait.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct ContainerInstance {
    /// Its EC2 instance; [`InstanceId::ec2_id`] prints `ec2InstanceId`.
    pub id: InstanceId,
    /// `status`.
    pub status: ContainerInstanceStatus,
    /// `agentConnected`.
    pub agent_connected: bool,
    /// `remainingResources`: registered minus what the tasks bound to it reserve (PLACE-3).
    pub remaining: Resources,
    /// Tasks with desired status RUNNING, per task group (PLACE-10).
    pub groups: SmallMap<TaskGroupId, u32, 2>,
    /// `runningTasksCount`: tasks RUNNING and not told to stop.
    pub running: u32,
    /// `pendingTasksCount`: tasks not yet RUNNING and not told to stop.
    pub pending: u32,
    /// Tasks that belong to no DAEMON service and are not told to stop: what protects a host (TP-2).
    pub non_daemon: u32,
    /// Tasks that make it busy for its capacity provider (CAS-6).
    pub busy: u32,
    /// Tasks of DAEMON services, stopping ones included.
    pub daemons: u32,
    /// CPU and memory that those RUNNING and not told to stop reserve (LEG-1).
    pub running_reserved: Reserved,
    /// Its capacity provider; at most one.
    pub provider: Option<ProviderId>,
    /// Its Auto Scaling group.
    pub group: Option<GroupId>,
    /// Tasks bound to it and not yet STOPPED.
    pub tasks: SmallMap<TaskKey, BoundTask, 8>,
    /// Instance type, `m5.large`.
    pub instance_type: Arc<str>,
    /// Availability Zone.
    pub zone: ZoneId,
    /// Name of the zone.
    pub zone_name: Arc<str>,
    /// CPU architecture.
    pub architecture: CpuArchitecture,
    /// Operating system.
    pub operating_system: OperatingSystem,
    /// What its agent can do (PLACE-16).
    pub capabilities: Capabilities,
    /// Attributes, built-in ones included (PLACE-16).
    pub attributes: Arc<Attributes>,
    /// `registeredResources`.
    pub registered: Resources,
    /// Whether the agent's third port is taken too (EC2-6).
    pub reserves_51680: bool,
    /// Static TCP ports in use or reserved, ascending.
    pub tcp_ports: Vec<u16>,
    /// Static UDP ports in use, ascending.
    pub udp_ports: Vec<u16>,
    /// Whether it has a trunk interface, attached after registration and removed before the end (NET-3, DRN-1).
    pub trunk: bool,
    /// `agentVersion`, dotted numbers.
    pub agent_version: Arc<str>,
    /// `registeredAt`.
    pub registered_at: SimTime,
}

/// What an EC2 host brings when its agent registers.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its EC2 instance.
    pub id: InstanceId,
    /// Instance type.
    pub instance_type: Arc<str>,
    /// Availability Zone.
    pub zone: ZoneId,
    /// Name of the zone.
    pub zone_name: Arc<str>,
    /// CPU architecture.
    pub architecture: CpuArchitecture,
    /// Operating system.
    pub operating_system: OperatingSystem,
    /// What its agent can do.
    pub capabilities: Capabilities,
    /// Custom attributes and those of the host's image and network; [`Attributes::with_built_in`] adds the rest on
    /// registration.
    pub attributes: Attributes,
    /// Registered resources.
    pub resources: Resources,
    /// `reserve_51680`: whether the agent's third port is taken too (EC2-6).
    pub reserves_51680: bool,
    /// REGISTERING while a trunk is being attached (NET-3), else ACTIVE.
    pub status: ContainerInstanceStatus,
    /// Whether it has a trunk interface.
    pub trunk: bool,
    /// `agentVersion`.
    pub agent_version: Arc<str>,
    /// Now.
    pub registered_at: SimTime,
    /// Its capacity provider.
    pub provider: Option<ProviderId>,
    /// Its Auto Scaling group.
    pub group: Option<GroupId>,
}

/// Amounts of the resources that placement counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU units.
    pub cpu: CpuUnits,
    /// Memory.
    pub memory: MiB,
    /// GPUs.
    pub gpus: u32,
    /// Network interfaces for awsvpc tasks (EC2-12).
    pub eni_slots: u32,
}

/// `status` of a container instance (DRN-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerInstanceStatus {
    /// Its trunk interface is being attached.
    Registering,
    /// Takes tasks.
    Active,
    /// Takes no new tasks.
    Draining,
    /// Its trunk interface is being removed.
    Deregistering,
    /// Deregistered: what its last event says.
    Inactive,
}

impl ContainerInstanceStatus {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registering => "REGISTERING",
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Deregistering => "DEREGISTERING",
            Self::Inactive => "INACTIVE",
        }
    }

    /// Whether its resources count as the cluster's (ECSM-11, LEG-1).
    pub const fn counts(self) -> bool {
        matches!(self, Self::Active | Self::Draining)
    }
}

impl fmt::Display for ContainerInstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task as its container instance knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundTask {
    /// Its task group.
    pub group: TaskGroupId,
    /// What it reserves, shared with all tasks of its shape: a copy was three quarters of what is kept of a task here.
    pub requirements: Arc<Requirements>,
    /// Whether a DAEMON service started it.
    pub daemon: bool,
    /// Whether it makes the instance busy for its capacity provider (CAS-6).
    pub keeps_busy: bool,
    /// How far it has come.
    pub phase: BoundPhase,
    /// Whether its resources are still reserved.
    pub holds_resources: bool,
}

/// How many tasks of a group an instance had before a change, and has since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regrouped {
    pub(crate) group: TaskGroupId,
    pub(crate) was: u32,
    pub(crate) is: u32,
}

/// How far a bound task has come, as far as the counts of its instance go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundPhase {
    /// Not yet RUNNING.
    Pending,
    /// RUNNING.
    Running,
    /// Told to stop.
    Stopping,
}

/// Attributes of a container instance; a name may go without a value (PLACE-16).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes(BTreeMap<String, String>);

/// A custom attribute that ECS would refuse (PLACE-16).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// Its name.
    #[error("attribute name {0:?} must be 1 to 128 characters of letters, digits, _ . / \\ and -")]
    Name(String),
    /// Its value.
    #[error(
        "value {1:?} of attribute {0} must be up to 128 characters of letters, digits, _ . / \\ - @ : and inner spaces"
    )]
    Value(String, String),
}

impl Attributes {
    /// Name of the attribute that holds the Availability Zone.
    pub const AVAILABILITY_ZONE: &str = "ecs.availability-zone";

    /// No attributes.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The value of `name`, if it has that attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets `name` to `value`, unchecked: for attributes that ECS sets itself.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets `name` to `value` unless it is there already.
    pub fn set_default(&mut self, name: &str, value: impl Into<String>) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.into());
    }

    /// Sets a custom attribute (PLACE-16).
    ///
    /// # Errors
    /// [`AttributeError`] when ECS would refuse the name or the value.
    pub fn set_custom(&mut self, name: &str, value: &str) -> Result<(), AttributeError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '\\' | '-');
        if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
            return Err(AttributeError::Name(name.to_owned()));
        }
        let inner = |c: char| plain(c) || matches!(c, '@' | ':' | ' ');
        if value.len() > 128 || value.trim() != value || !value.chars().all(inner) {
            return Err(AttributeError::Value(name.to_owned(), value.to_owned()));
        }
        self.set(name, value);
        Ok(())
    }

    /// Adds the attributes every host has (PLACE-16): zone, type, operating system and architecture.
    #[must_use]
    pub fn with_built_in(
        mut self,
        zone: &str,
        instance_type: &str,
        architecture: CpuArchitecture,
        operating_system: OperatingSystem,
    ) -> Self {
        let system = match operating_system {
            OperatingSystem::Linux => "linux",
            OperatingSystem::Windows => "windows",
        };
        self.set(Self::AVAILABILITY_ZONE, zone);
        self.set("ecs.instance-type", instance_type);
        self.set("ecs.os-type", system);
        self.0.entry("ecs.os-family".to_owned()).or_insert_with(|| system.to_uppercase());
        self.set("ecs.cpu-architecture", architecture.attribute());
        self
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// What the RUNNING tasks of a host reserve (ECSM-11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// CPU.
    pub cpu: CpuUnits,
    /// Memory: the soft limit when there is one.
    pub memory: MiB,
    /// GPUs.
    pub gpus: u64,
}

impl Resources {
    /// What is left after `needs`; `None` when one of them is short (PLACE-3: equality fits).
    pub fn minus(&self, needs: &Requirements) -> Option<Self> {
        Some(Self {
            cpu: self.cpu.checked_sub(needs.cpu)?,
            memory: self.memory.checked_sub(needs.memory)?,
            gpus: if needs.all_gpus {
                (self.gpus >= needs.gpus).then_some(0)?
            } else {
                self.gpus.checked_sub(needs.gpus)?
            },
            eni_slots: self.eni_slots.checked_sub(u32::from(needs.eni))?,
        })
    }

    /// These and what `needs` gives back.
    #[must_use]
    pub fn plus(&self, needs: &Requirements) -> Self {
        Self {
            cpu: self.cpu + needs.cpu,
            memory: self.memory + needs.memory,
            gpus: self.gpus + needs.gpus,
            eni_slots: self.eni_slots + u32::from(needs.eni),
        }
    }
}

impl ContainerInstance {
    /// A freshly registered instance without tasks.
    pub(crate) fn new(registration: Registration, attributes: Arc<Attributes>) -> Self {
        let tcp_ports = reserved_tcp_ports(registration.operating_system, registration.reserves_51680).to_vec();
        Self {
            id: registration.id,
            instance_type: registration.instance_type,
            zone: registration.zone,
            zone_name: registration.zone_name,
            architecture: registration.architecture,
            operating_system: registration.operating_system,
            capabilities: registration.capabilities,
            attributes,
            registered: registration.resources,
            remaining: registration.resources,
            reserves_51680: registration.reserves_51680,
            tcp_ports,
            udp_ports: Vec::new(),
            status: registration.status,
            trunk: registration.trunk,
            agent_connected: true,
            agent_version: registration.agent_version,
            registered_at: registration.registered_at,
            provider: registration.provider,
            group: registration.group,
            tasks: SmallMap::default(),
            groups: SmallMap::default(),
            running: 0,
            running_reserved: Reserved::default(),
            pending: 0,
            non_daemon: 0,
            busy: 0,
            daemons: 0,
        }
    }

    /// The instance that a registration would give, in no cluster: to ask constraints of it (CAS-16).
    pub fn hypothetical(mut registration: Registration) -> Self {
        let attributes = Arc::new(std::mem::take(&mut registration.attributes));
        Self::new(registration, attributes)
    }

    /// Whether it takes tasks at all (PLACE-2): ACTIVE, with its agent connected.
    pub fn accepts_tasks(&self) -> bool {
        self.status == ContainerInstanceStatus::Active && self.agent_connected
    }

    /// Tasks of `group` on it with desired status RUNNING (PLACE-10).
    pub fn tasks_of(&self, group: TaskGroupId) -> u32 {
        self.groups.get(&group).copied().unwrap_or(0)
    }

    /// Whether all static ports of `needs` are free and the host may reserve so many (EC2-7, NET-6).
    pub fn ports_fit(&self, needs: &Requirements) -> bool {
        let wanted = needs.tcp_ports.len() + needs.udp_ports.len();
        wanted == 0
            || (self.tcp_ports.len() + self.udp_ports.len() + wanted <= MAX_RESERVED_PORTS
                && needs.tcp_ports.iter().all(|port| self.tcp_ports.binary_search(port).is_err())
                && needs.udp_ports.iter().all(|port| self.udp_ports.binary_search(port).is_err()))
    }

    /// Whether enough GPUs are free, or all of them where a task takes all (TD-24).
    pub fn gpus_fit(&self, needs: &Requirements) -> bool {
        self.remaining.gpus >= needs.gpus && (!needs.all_gpus || self.remaining.gpus == self.registered.gpus)
    }

    /// Whether a task with these needs fits now (PLACE-3).
    pub fn fits(&self, needs: &Requirements) -> bool {
        self.remaining.minus(needs).is_some() && self.gpus_fit(needs) && self.ports_fit(needs)
    }

    /// Tasks bound to it but for daemons, stopping ones included.
    pub fn at_work(&self) -> usize {
        self.tasks.len() - self.daemons as usize
    }

    /// Whether no task at all is bound to it, stopping ones included.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Binds a task and takes what it needs.
    pub(crate) fn bind(&mut self, task: TaskKey, mut bound: BoundTask) -> Regrouped {
        if bound.requirements.all_gpus {
            // It gives back what it took.
            Arc::make_mut(&mut bound.requirements).gpus = self.registered.gpus;
        }
        let needs = &bound.requirements;
        assert!(self.ports_fit(needs), "{}: a static port is taken", self.id.ec2_id());
        self.remaining = self
            .remaining
            .minus(needs)
            .unwrap_or_else(|| panic!("{}: {needs:?} does not fit {:?}", self.id.ec2_id(), self.remaining));
        insert_sorted(&mut self.tcp_ports, &needs.tcp_ports);
        insert_sorted(&mut self.udp_ports, &needs.udp_ports);
        let group = bound.group;
        let count = self.groups.get_or_insert_with(group, || 0);
        *count += 1;
        let is = *count;
        self.pending += 1;
        self.daemons += u32::from(bound.daemon);
        self.non_daemon += u32::from(!bound.daemon);
        self.busy += u32::from(bound.keeps_busy);
        assert!(self.tasks.insert(task, bound).is_none(), "{}: the task is bound already", self.id.ec2_id());
        Regrouped { group, was: is - 1, is }
    }

    /// A pending task is RUNNING; false when it is not pending here.
    pub(crate) fn task_running(&mut self, task: TaskKey) -> bool {
        let bound = self.tasks.get_mut(&task).filter(|bound| bound.phase == BoundPhase::Pending);
        let Some(bound) = bound else {
            return false;
        };
        bound.phase = BoundPhase::Running;
        self.pending -= 1;
        self.running += 1;
        self.running_reserved.cpu += bound.requirements.cpu;
        self.running_reserved.memory += bound.requirements.memory;
        self.running_reserved.gpus += u64::from(bound.requirements.gpus);
        true
    }

    /// A task is told to stop and counts no more; none when it is not here or was told before.
    pub(crate) fn task_stopping(&mut self, task: TaskKey) -> Option<Regrouped> {
        let bound = self.tasks.get_mut(&task)?;
        match std::mem::replace(&mut bound.phase, BoundPhase::Stopping) {
            BoundPhase::Pending => self.pending -= 1,
            BoundPhase::Running => {
                self.running -= 1;
                self.running_reserved.cpu -= bound.requirements.cpu;
                self.running_reserved.memory -= bound.requirements.memory;
                self.running_reserved.gpus -= u64::from(bound.requirements.gpus);
            }
            BoundPhase::Stopping => return None,
        }
        self.non_daemon -= u32::from(!bound.daemon);
        self.busy -= u32::from(bound.keeps_busy);
        let group = bound.group;
        let count = self.groups.get_mut(&group)?;
        *count -= 1;
        let is = *count;
        if is == 0 {
            self.groups.remove(&group);
        }
        Some(Regrouped { group, was: is + 1, is })
    }

    /// A task gives back what it took; false when it is not here or holds nothing.
    pub(crate) fn task_releases(&mut self, task: TaskKey) -> bool {
        let Some(bound) = self.tasks.get_mut(&task) else {
            return false;
        };
        let held = std::mem::take(&mut bound.holds_resources);
        if held {
            let needs = &bound.requirements;
            self.remaining = self.remaining.plus(needs);
            // Most tasks have no static port: those of the host need not be fetched then.
            if !needs.tcp_ports.is_empty() {
                self.tcp_ports.retain(|port| needs.tcp_ports.binary_search(port).is_err());
            }
            if !needs.udp_ports.is_empty() {
                self.udp_ports.retain(|port| needs.udp_ports.binary_search(port).is_err());
            }
        }
        held
    }

    /// A task that counts no more and holds nothing is gone; false when it is not here.
    pub(crate) fn unbind(&mut self, task: TaskKey) -> bool {
        let bound = self.tasks.remove(&task);
        self.daemons -= u32::from(bound.as_ref().is_some_and(|bound| bound.daemon));
        bound.is_some()
    }

    /// Whether reserved and free add up to registered, and every count to the tasks bound.
    pub(crate) fn verify(&self) -> Result<(), String> {
        let mut reserved = self.remaining;
        let mut ports = (self.tcp_ports.len() + self.udp_ports.len()) as u64;
        let mut counts = [0; 4];
        let mut groups: SmallMap<TaskGroupId, u32, 2> = SmallMap::default();
        for bound in self.tasks.values() {
            if bound.holds_resources {
                reserved = reserved.plus(&bound.requirements);
                let of_task = (bound.requirements.tcp_ports.len() + bound.requirements.udp_ports.len()) as u64;
                ports = ports.checked_sub(of_task).ok_or("a port of a task is not reserved")?;
            }
            if bound.phase != BoundPhase::Stopping {
                counts[usize::from(bound.phase == BoundPhase::Running)] += 1;
                counts[2] += u32::from(!bound.daemon);
                counts[3] += u32::from(bound.keeps_busy);
                *groups.get_or_insert_with(bound.group, || 0) += 1;
            }
        }
        let daemons = self.tasks.values().filter(|bound| bound.daemon).count();
        if daemons != self.daemons as usize {
            return Err(format!("{} daemons are counted of {daemons}", self.daemons));
        }
        if reserved != self.registered {
            return Err(format!("reserved and free are {reserved:?} together, registered {:?}", self.registered));
        }
        if ports != self.reserved_by_host().len() as u64 {
            return Err(format!("{ports} ports are reserved for no task"));
        }
        if counts != [self.pending, self.running, self.non_daemon, self.busy] || groups != self.groups {
            return Err(format!("its tasks count as {counts:?} and {groups:?}"));
        }
        Ok(())
    }

    /// TCP ports no task can have, ascending (EC2-6).
    pub const fn reserved_by_host(&self) -> &'static [u16] {
        reserved_tcp_ports(self.operating_system, self.reserves_51680)
    }
}

/// Adds `more` to the ascending `ports`.
fn insert_sorted(ports: &mut Vec<u16>, more: &[u16]) {
    for port in more {
        if let Err(place) = ports.binary_search(port) {
            ports.insert(place, *port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_16_custom_attributes_are_checked() {
        let mut attributes = Attributes::new();
        assert_eq!(attributes.set_custom("rack", "r1:a b@c"), Ok(()));
        assert_eq!(attributes.get("rack"), Some("r1:a b@c"));
        for (name, value) in [("", "x"), ("a b", "x"), ("tag", " x"), ("tag", "a,b"), (&*"n".repeat(129), "x")] {
            assert!(attributes.set_custom(name, value).is_err(), "{name:?} = {value:?}");
        }
    }

    #[test]
    fn place_16_every_host_has_the_built_in_attributes() {
        let attributes =
            Attributes::new().with_built_in("eu-west-1a", "m6g.large", CpuArchitecture::Arm64, OperatingSystem::Linux);
        let expected = [
            ("ecs.availability-zone", "eu-west-1a"),
            ("ecs.cpu-architecture", "arm64"),
            ("ecs.instance-type", "m6g.large"),
            ("ecs.os-family", "LINUX"),
            ("ecs.os-type", "linux"),
        ];
        assert!(attributes.iter().eq(expected));
    }
}
