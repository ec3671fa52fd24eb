//! Task definitions that are deregistered and deleted, and clusters that are deleted (TD-2, TASK-19).

use serde_json::json;

use crate::control_plane::event::Event;
use crate::control_plane::{ControlPlane, RefusedCall};
use crate::ecs::ids::TaskDefinitionId;
use crate::ecs::service::ServiceStatus;
use crate::ecs::task_definition::DefinitionStatus;
use crate::engine::simulation::Schedule;
use crate::refused::Refused;

impl ControlPlane<'_> {
    /// DeregisterTaskDefinition: INACTIVE at once; the refusal of new work bites `deregister_grace_s` later (TD-2).
    pub(super) fn deregister_definition(&mut self, name: &str, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let id = self.find_definition(name)?;
        let definition = &mut self.state.definitions[id.index()].definition;
        definition.status = DefinitionStatus::Inactive;
        let grace = self.estate.behaviour.deregister_grace;
        if grace.is_zero() {
            definition.takes_work = false;
        } else {
            schedule.after(grace, Event::DefinitionCloses(id));
        }
        Ok(())
    }

    /// TD-2: from now on a deregistered revision takes no new work.
    pub(super) fn on_definition_closes(&mut self, id: TaskDefinitionId) {
        self.state.definitions[id.index()].definition.takes_work = false;
    }

    /// DeleteTaskDefinitions: only what is INACTIVE, the rest are `failures` of the call (TD-2).
    pub(super) fn delete_definitions(&mut self, names: &[String], schedule: &Schedule<Event>) -> Result<(), Refused> {
        if names.is_empty() || names.len() > 10 {
            let message = format!("taskDefinitions takes 1 to 10 task definitions, not {}.", names.len());
            return Err(Refused::parameter("TD-2", message));
        }
        for name in names {
            let (family, revision) = crate::arn::revision(name);
            let found = self
                .state
                .definitions
                .iter()
                .position(|entry| entry.definition.family == family && Some(entry.definition.revision) == revision);
            let id = found.map(|place| TaskDefinitionId(place as u32));
            let reason = match id.and_then(|id| self.definition_status(id)) {
                None => {
                    "The specified task definition does not exist. Specify a valid account, family, revision and try again."
                }
                Some(DefinitionStatus::Active) => {
                    "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
                }
                Some(_) => {
                    if let Some(id) = id {
                        let definition = &mut self.state.definitions[id.index()].definition;
                        definition.status = DefinitionStatus::DeleteInProgress;
                        definition.takes_work = false;
                    }
                    continue;
                }
            };
            let refused = RefusedCall {
                actor: "operator",
                subject: name.clone(),
                call: "ecs:DeleteTaskDefinitions".to_owned(),
                reason: reason.to_owned(),
                rule: "TD-2",
                inputs: json!({ "failure": reason }),
            };
            self.record_refusal(schedule.now(), refused);
        }
        Ok(())
    }

    /// DeleteCluster: only a cluster on which nothing is left (TASK-19).
    pub(super) fn delete_cluster(&mut self, name: &str) -> Result<(), Refused> {
        let id = self.find_cluster(name)?;
        let refuse = |code, message: &str| Err(Refused::new(code, "TASK-19", message));
        let active = |status: ServiceStatus| status != ServiceStatus::Inactive;
        if self.state.services.iter().any(|service| service.cluster == id && active(service.status)) {
            return refuse(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            );
        }
        if self.state.clusters[id.index()].cluster.instances().next().is_some() {
            return refuse(
                "ClusterContainsContainerInstancesException",
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            );
        }
        if self.state.tasks.values().any(|task| task.cluster == id) {
            return refuse("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.");
        }
        self.state.clusters[id.index()].deleted = true;
        Ok(())
    }
}
