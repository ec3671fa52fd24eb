//! Service Connect: a proxy in every task of the service (NET-7).
//!
//! ECS adds the container to the tasks, not to the definition that the user registered. Here the tasks run a revision of
//! their own for that: it has the same name and number, and no call finds it.

use crate::control_plane::ControlPlane;
use crate::ecs::ids::TaskDefinitionId;
use crate::ecs::software::VersionConsistency;
use crate::ecs::task_definition::{Condition, ContainerDefinition, DefinitionStatus, Dependency};
use crate::units::CpuUnits;
use crate::workload::behaviour::ContainerBehaviour;

/// Name of the proxy's container.
const PROXY: &str = "ecs-service-connect-agent";

impl ControlPlane<'_> {
    /// The revision that tasks of a service with Service Connect run instead of the one that was registered.
    ///
    /// The other containers wait for the proxy to start. What it needs is part of the task's size, or comes out of what its
    /// host has to spare: the user reserves for it, or does not.
    pub(super) fn with_proxy(&mut self, registered: TaskDefinitionId) -> TaskDefinitionId {
        if let Some(known) = self.proxied.get(&registered) {
            return *known;
        }
        let mut entry = self.state.definitions[registered.index()].clone();
        let proxy = entry.definition.containers.len();
        for container in &mut entry.definition.containers {
            container.depends_on.push(Dependency { container: proxy, condition: Condition::Start });
        }
        entry.definition.containers.push(ContainerDefinition {
            version_consistency: VersionConsistency::Enabled,
            name: PROXY.to_owned(),
            image: PROXY.to_owned(),
            cpu: CpuUnits(0),
            memory: None,
            memory_reservation: None,
            essential: true,
            port_mappings: Vec::new(),
            gpus: 0,
            all_gpus: false,
            stop_timeout_s: None,
            start_timeout: None,
            depends_on: Vec::new(),
            health_check: None,
            restart_policy: None,
            environment: std::collections::BTreeMap::new(),
            process: crate::ecs::process::Process::default(),
        });
        entry.behaviours.push(ContainerBehaviour::default());
        // Tasks that run it go on; nobody can ask for it.
        entry.definition.status = DefinitionStatus::Internal;
        entry.definition.takes_work = false;
        let id = self.add_definition(entry);
        self.proxied.insert(registered, id);
        id
    }

    /// The revision that was registered, of one that tasks run.
    pub(super) fn without_proxy(&self, id: TaskDefinitionId) -> TaskDefinitionId {
        let found = self.proxied.iter().find(|(_, with_proxy)| **with_proxy == id);
        found.map_or(id, |(registered, _)| *registered)
    }
}
