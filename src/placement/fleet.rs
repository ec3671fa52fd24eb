//! A small cluster for tests: the one way in which they build hosts and tasks.

use std::sync::Arc;

use slotmap::SlotMap;

use crate::ecs::capability::Capabilities;
use crate::ecs::cluster::{Cluster, TaskSlot};
use crate::ecs::container_instance::{Attributes, ContainerInstanceStatus, Registration, Resources};
use crate::ecs::ids::{InstanceId, TaskGroupId, TaskKey, ZoneId};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::SimTime;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};
use crate::placement::{Placement, PlacementRequest, place};
use crate::units::{CpuUnits, MiB};

pub(crate) const BINPACK_CPU: PlacementStrategy = PlacementStrategy::Binpack(BinpackField::Cpu);
pub(crate) const BINPACK_MEMORY: PlacementStrategy = PlacementStrategy::Binpack(BinpackField::Memory);
pub(crate) const SPREAD_HOSTS: PlacementStrategy = PlacementStrategy::Spread(SpreadField::InstanceId);

pub(crate) fn spread_over(attribute: &str) -> PlacementStrategy {
    PlacementStrategy::Spread(SpreadField::Attribute(attribute.to_owned()))
}

pub(crate) fn spread_zones() -> PlacementStrategy {
    spread_over(Attributes::AVAILABILITY_ZONE)
}

pub(crate) fn needs(cpu: u64, memory: u64) -> Requirements {
    Requirements { cpu: CpuUnits(cpu), memory: MiB(memory), ..Requirements::default() }
}

/// The group of the service under test.
pub(crate) const WEB: TaskGroupId = TaskGroupId(0);

/// What a task of `WEB` asks for: any instance of the cluster, no constraint.
pub(crate) fn request<'a>(requirements: &'a Requirements, strategy: &'a [PlacementStrategy]) -> PlacementRequest<'a> {
    PlacementRequest {
        requirements,
        definition_constraints: &[],
        constraints: &[],
        strategy,
        group: WEB,
        provider: None,
        architecture: CpuArchitecture::X86_64,
        operating_system: OperatingSystem::Linux,
        capabilities: Capabilities::default(),
        zones: &[],
        random_ties: false,
    }
}

pub(crate) struct Fleet {
    pub(crate) cluster: Cluster,
    pub(crate) chance: Stream,
    groups: Vec<Arc<str>>,
    keys: SlotMap<TaskKey, ()>,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self {
            cluster: Cluster::new("2018-02-12T00:00:00Z".parse().expect("a valid date")),
            chance: Streams::new(1, 0).named("placement"),
            groups: ["service:web", "service:production", "database", "family:batch"].map(Arc::from).to_vec(),
            keys: SlotMap::with_key(),
        }
    }

    /// Hosts 0, 1, … with that CPU and memory in these zones, numbered as written.
    pub(crate) fn with_hosts(hosts: &[(u32, u64, u64)]) -> Self {
        let mut fleet = Self::new();
        for (number, (zone, cpu, memory)) in (0..).zip(hosts) {
            fleet.register(number, |registration| {
                registration.zone = ZoneId(*zone);
                registration.resources.cpu = CpuUnits(*cpu);
                registration.resources.memory = MiB(*memory);
            });
        }
        fleet
    }

    /// Registers a host as changed by `adapt`; its zone's name follows the number.
    pub(crate) fn register(&mut self, number: u32, adapt: impl FnOnce(&mut Registration)) -> InstanceId {
        let mut registration = Registration {
            id: InstanceId(number),
            instance_type: "m5.large".into(),
            zone: ZoneId(0),
            zone_name: "".into(),
            architecture: CpuArchitecture::X86_64,
            operating_system: OperatingSystem::Linux,
            capabilities: Capabilities::default(),
            attributes: Attributes::new(),
            resources: Resources { cpu: CpuUnits(2048), memory: MiB(7680), gpus: 0, eni_slots: 2 },
            reserves_51680: false,
            status: ContainerInstanceStatus::Active,
            trunk: false,
            agent_version: "1.105.1".into(),
            registered_at: SimTime::ZERO,
            provider: None,
            group: None,
        };
        adapt(&mut registration);
        let letter = char::from(b'a' + u8::try_from(registration.zone.0).expect("few zones"));
        registration.zone_name = format!("us-east-1{letter}").into();
        self.cluster.register(registration);
        InstanceId(number)
    }

    /// Binds a task of a group to a host.
    pub(crate) fn bind(&mut self, host: InstanceId, group: TaskGroupId, requirements: &Requirements) -> TaskKey {
        let task = self.keys.insert(());
        let group_name = &self.groups[group.index()];
        let requirements = &Arc::new(requirements.clone());
        let slot = TaskSlot { task, group, group_name, requirements, daemon: false, keeps_busy: true };
        self.cluster.reserve(host, &slot);
        task
    }

    /// Places one task and binds it; the host's number, or `None` when refused.
    pub(crate) fn place(&mut self, request: &PlacementRequest<'_>) -> Option<u32> {
        match place(&self.cluster, request, &mut self.chance) {
            Placement::On(host) => {
                self.bind(host, request.group, request.requirements);
                Some(host.0)
            }
            Placement::Refused => None,
        }
    }

    /// Places `count` tasks one after another (PLACE-13).
    pub(crate) fn place_all(&mut self, request: &PlacementRequest<'_>, count: usize) -> Vec<Option<u32>> {
        let placed = (0..count).map(|_| self.place(request)).collect();
        assert_eq!(self.cluster.verify(), Ok(()));
        placed
    }
}
