//! Task sets of services with the EXTERNAL deployment controller (DEP-27).

use crate::control_plane::ControlPlane;
use crate::control_plane::api::CreateTaskSet;
use crate::control_plane::event::Event;
use crate::ecs::deployment::{Deployment, RolloutState, ServiceDeploymentStatus};
use crate::ecs::ids::{ServiceId, TargetGroupId};
use crate::ecs::service::{DeploymentController, ServiceLoadBalancer, ServiceStatus};
use crate::ecs::task_set::{Scale, TaskSet};
use crate::ecs::traffic_shift::{ShiftPlan, Stage};
use crate::engine::simulation::Schedule;
use crate::refused::Refused;

impl ControlPlane<'_> {
    /// CreateTaskSet. The first one of a service is PRIMARY until another is made so `[assumed]`.
    pub(super) fn create_task_set(
        &mut self,
        call: &CreateTaskSet,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let now = schedule.now();
        let id = self.find_external(&call.cluster, &call.service)?;
        let definition = self.find_definition(&call.task_definition)?;
        let launch = self.resolve_launch(self.state.services[id.index()].cluster, &call.launch)?;
        self.check_network(definition, call.has_network, "DEP-27")?;
        let zones = self.find_zones(&call.availability_zones)?;
        let load_balancers = self.find_load_balancers(&call.load_balancers)?;
        let name = call.external_id.clone().unwrap_or_else(|| format!("ecs-svc-{}", self.task_set_number(id)));
        if self.place_of(id, &name).is_ok() {
            return Err(Refused::parameter("DEP-27", format!("The task set {name} exists already.")));
        }
        let set = TaskSet {
            name,
            scale: call.scale,
            launch,
            zones,
            public_ip: call.public_ip,
            draining: false,
            steady: false,
        };
        let mut deployment = self.new_deployment(id, definition, Stage::Rolling, ShiftPlan::default(), Some(set), now);
        deployment.fleet = self.fleet_of_groups(id, &load_balancers).unwrap_or(deployment.number);
        deployment.load_balancers = load_balancers;
        let number = deployment.number;
        let service = &mut self.state.services[id.index()];
        // The PRIMARY one is the last.
        let place = service.deployments.len().saturating_sub(1);
        service.deployments.insert(place, deployment);
        service.steady = false;
        service.start_backoff.clear();
        service.placement_backoff.clear();
        self.set_deployment_status(id, number, ServiceDeploymentStatus::InProgress, now);
        self.task_sets_changed(id, schedule);
        Ok(())
    }

    fn task_set_number(&self, id: ServiceId) -> u32 {
        self.state.services[id.index()].deployments_created + 1
    }

    /// Task sets that register with the same target group are one fleet: the balancer does not tell them apart.
    fn fleet_of_groups(&self, id: ServiceId, groups: &[(TargetGroupId, ServiceLoadBalancer)]) -> Option<u32> {
        let (first, _) = groups.first()?;
        let shares = |set: &&Deployment| set.load_balancers.first().is_some_and(|(group, _)| group == first);
        self.state.services[id.index()].deployments.iter().find(shares).map(|set| set.fleet)
    }

    /// UpdateTaskSet: another scale.
    pub(super) fn update_task_set(
        &mut self,
        (cluster, service): (&str, &str),
        name: &str,
        scale: Scale,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_external(cluster, service)?;
        let place = self.place_of(id, name)?;
        let service = &mut self.state.services[id.index()];
        if let Some(set) = &mut service.deployments[place].task_set {
            set.scale = scale;
            set.steady = false;
        }
        service.steady = false;
        service.placement_backoff.clear();
        self.task_sets_changed(id, schedule);
        Ok(())
    }

    /// UpdateServicePrimaryTaskSet: the production traffic is this one's.
    pub(super) fn update_primary_task_set(
        &mut self,
        (cluster, service): (&str, &str),
        name: &str,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_external(cluster, service)?;
        let place = self.place_of(id, name)?;
        let service = &mut self.state.services[id.index()];
        let set = service.deployments.remove(place);
        service.deployments.push(set);
        self.task_sets_changed(id, schedule);
        Ok(())
    }

    /// DeleteTaskSet: its tasks go, then it is forgotten. One that is scaled above 0 needs `force`.
    pub(super) fn delete_task_set(
        &mut self,
        (cluster, service): (&str, &str),
        name: &str,
        force: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_external(cluster, service)?;
        let place = self.place_of(id, name)?;
        let set = self.state.services[id.index()].deployments[place].task_set.as_mut();
        if let Some(set) = set {
            if !force && !set.scale.is_zero() {
                let message = "The task set cannot be deleted while it is scaled above 0.";
                return Err(Refused::parameter("DEP-27", message));
            }
            set.draining = true;
            set.steady = false;
        }
        self.task_sets_changed(id, schedule);
        Ok(())
    }

    /// Another set is the newest, or one has another scale: rules of placement and the scheduler's round follow.
    fn task_sets_changed(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        self.load.disturb(id);
        if let Some(definition) = self.state.services[id.index()].definition() {
            self.refresh_service_profile(id, definition);
            self.survey_hosts(id, schedule.now());
        }
        self.wake_service(id, schedule);
    }

    fn find_external(&self, cluster: &str, service: &str) -> Result<ServiceId, Refused> {
        let id = self.find_service(cluster, service)?;
        let service = &self.state.services[id.index()];
        if service.status != ServiceStatus::Active {
            return Err(Refused::new("ServiceNotActiveException", "SVC-17", "Service was not ACTIVE."));
        }
        if service.controller != DeploymentController::External {
            let message = "Task sets are only supported for services with the EXTERNAL deployment controller.";
            return Err(Refused::parameter("DEP-27", message));
        }
        Ok(id)
    }

    /// The place of a task set among the deployments of its service, by external id, by id, or `primary`.
    fn place_of(&self, id: ServiceId, name: &str) -> Result<usize, Refused> {
        let deployments = &self.state.services[id.index()].deployments;
        let called = |deployment: &Deployment| {
            deployment.aws_id() == name || deployment.task_set.as_ref().is_some_and(|set| set.name == name)
        };
        deployments.iter().position(called).ok_or_else(|| {
            Refused::new("TaskSetNotFoundException", "DEP-27", format!("The task set {name} was not found."))
        })
    }

    /// One round of a service with task sets: each has its percentage of the desired count, whatever the others have.
    pub(super) fn external_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &self.state.services[id.index()];
        let (desired, active) = (service.desired, service.status == ServiceStatus::Active);
        let wanted = |deployment: &Deployment| {
            let set = deployment.task_set.as_ref().filter(|set| active && !set.draining);
            set.map_or(0, |set| set.scale.of(desired))
        };
        let sets: Vec<(u32, u32)> =
            service.deployments.iter().map(|deployment| (deployment.number, wanted(deployment))).collect();
        let mut settled = true;
        let mut computed = 0_u32;
        for (number, wanted) in sets {
            let steady = self.keep_fleet(id, number, wanted, schedule);
            settled &= steady;
            computed += wanted;
            let service = &mut self.state.services[id.index()];
            let Some(deployment) = service.deployments.iter_mut().find(|set| set.number == number) else { continue };
            let Some(set) = &mut deployment.task_set else { continue };
            set.steady = steady;
            if steady && deployment.rollout == RolloutState::InProgress {
                deployment.rollout = RolloutState::Completed;
                self.set_deployment_status(id, number, ServiceDeploymentStatus::Successful, now);
            }
        }
        let owners: std::collections::BTreeSet<u32> = {
            let tasks = self.state.services[id.index()].tasks.values();
            tasks.filter_map(|key| self.state.tasks[*key].owner).map(|owner| owner.deployment).collect()
        };
        let service = &mut self.state.services[id.index()];
        let sets = service.deployments.len();
        service.deployments.retain(|set| {
            owners.contains(&set.number) || set.task_set.as_ref().is_some_and(|set| active && !set.draining)
        });
        if service.deployments.len() != sets {
            self.load.disturb(id);
        }
        let steady = settled && active && !service.deployments.is_empty() && service.running == computed;
        if steady && !service.steady {
            service.steady = true;
            self.announce_steady(id, schedule);
        } else if !steady {
            service.steady = false;
        }
        let service = &mut self.state.services[id.index()];
        if !active && service.tasks.is_empty() && service.stopping == 0 {
            service.status = ServiceStatus::Inactive;
        }
    }
}
