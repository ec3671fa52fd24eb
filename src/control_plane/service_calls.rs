//! What CreateService and UpdateService look up and refuse, quotas, and CodeDeploy's CreateDeployment.

use crate::control_plane::ControlPlane;
use crate::control_plane::api::{CreateCodeDeployment, CreateService, UpdateService};
use crate::control_plane::deployments::NewDeployment;
use crate::control_plane::event::Event;
use crate::ecs::ids::{ClusterId, ServiceId, TargetGroupId, TaskDefinitionId, ZoneId};
use crate::ecs::quota::{QUOTA_SETS, Quotas};
use crate::ecs::service::{
    DeploymentController, SchedulingStrategy, Service, ServiceLoadBalancer, ServiceStatus, TaskSettings,
};
use crate::ecs::target_group::{BalancerKind, TargetType};
use crate::ecs::task_definition::NetworkMode;
use crate::ecs::traffic_shift::DeploymentStrategy;
use crate::engine::simulation::Schedule;
use crate::refused::Refused;

/// What the tasks of a service are made of after a call, when that is something else than before (SVC-15).
pub(super) struct MadeOf {
    pub(super) zones: Vec<ZoneId>,
    pub(super) public_ip: bool,
    pub(super) load_balancers: Vec<(TargetGroupId, ServiceLoadBalancer)>,
    pub(super) settings: TaskSettings,
}

impl ControlPlane<'_> {
    /// The target groups, or Classic Load Balancers, of these entries (ELB-1).
    pub(super) fn find_load_balancers(
        &self,
        entries: &[ServiceLoadBalancer],
    ) -> Result<Vec<(TargetGroupId, ServiceLoadBalancer)>, Refused> {
        let find = |name: &str| {
            self.find_target_group(name).ok_or_else(|| {
                Refused::parameter("ELB-1", format!("The specified target group {name} does not exist."))
            })
        };
        entries
            .iter()
            .map(|entry| {
                if let Some(alternate) = &entry.alternate {
                    find(alternate)?;
                }
                Ok((find(&entry.target_group)?, entry.clone()))
            })
            .collect()
    }

    /// ELB-1, ELB-2, ELB-13: what balancers ask of a service, and of the definition of its tasks.
    pub(super) fn check_load_balancers(
        &self,
        definition: Option<TaskDefinitionId>,
        balancers: &[(TargetGroupId, ServiceLoadBalancer)],
        controller: DeploymentController,
    ) -> Result<(), Refused> {
        let kind = |id: TargetGroupId| self.state.target_groups[id.index()].kind;
        let classic = balancers.iter().filter(|(id, _)| kind(*id) == BalancerKind::Classic).count();
        let groups = balancers.len() - classic;
        let most = self.quotas().map_or(5, |quotas| quotas.target_groups_per_service);
        if groups > most || classic > 1 {
            let message = format!("A service has at most {most} target groups and one Classic Load Balancer.");
            return Err(Refused::parameter("ELB-1", message));
        }
        if controller == DeploymentController::CodeDeploy && (groups != 1 || classic > 0) {
            let message = "A service with the CODE_DEPLOY deployment controller has one target group.";
            return Err(Refused::parameter("ELB-1", message));
        }
        let Some(definition) = definition.map(|id| &self.state.definitions[id.index()].definition) else {
            return Ok(());
        };
        for (id, entry) in balancers {
            let mapping = entry.mapping(definition).map_err(|none| Refused::parameter("ELB-1", none.to_string()))?;
            if kind(*id) != BalancerKind::Classic {
                let target_group = &self.state.target_groups[id.index()].definition;
                let needed = TargetType::of(definition.network_mode);
                if let Some(has) = target_group.target_type.filter(|has| *has != needed) {
                    let message = format!(
                        "The provided target group {} has target type {}, which is incompatible with the {} network \
                         mode specified in the task definition.",
                        self.state.target_group_arn(*id),
                        has.as_str(),
                        definition.network_mode.as_str(),
                    );
                    return Err(Refused::parameter("ELB-2", message));
                }
                continue;
            }
            if definition.network_mode == NetworkMode::Awsvpc {
                let message = "Classic Load Balancers are not supported with network mode awsvpc.";
                return Err(Refused::parameter("ELB-2", message));
            }
            // One port of a host is one task of the service.
            if mapping.static_port(definition.network_mode).is_none() {
                let message = "A Classic Load Balancer needs a static host port in the task definition.";
                return Err(Refused::parameter("ELB-2", message));
            }
        }
        Ok(())
    }

    /// What an UpdateService makes of a service's tasks, when that is something else than before (SVC-15).
    pub(super) fn remade(
        &self,
        id: ServiceId,
        call: &UpdateService,
        definition: Option<TaskDefinitionId>,
    ) -> Result<Option<MadeOf>, Refused> {
        let service = &self.state.services[id.index()];
        let zones = call.network.as_deref().map(|names| self.find_zones(names)).transpose()?;
        let balancers = call.load_balancers.as_deref().map(|entries| self.find_load_balancers(entries)).transpose()?;
        let made_of = MadeOf {
            zones: zones.unwrap_or_else(|| service.zones.clone()),
            public_ip: call.public_ip.unwrap_or(service.public_ip),
            load_balancers: balancers.unwrap_or_else(|| service.load_balancers.clone()),
            settings: call.settings.apply_to(&service.settings),
        };
        let definition = definition.or(service.definition());
        self.check_load_balancers(definition, &made_of.load_balancers, service.controller)?;
        let same = made_of.zones == service.zones
            && made_of.public_ip == service.public_ip
            && made_of.load_balancers == service.load_balancers
            && made_of.settings == service.settings;
        Ok((!same).then_some(made_of))
    }

    /// CodeDeploy's CreateDeployment: a second task set beside the first, and traffic that moves to it (DEP-26).
    pub(super) fn create_code_deployment(
        &mut self,
        call: &CreateCodeDeployment,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_service(&call.cluster, &call.service)?;
        let definition = self.find_definition(&call.task_definition)?;
        let service = &mut self.state.services[id.index()];
        if service.status != ServiceStatus::Active {
            return Err(Refused::new("ServiceNotActiveException", "SVC-17", "Service was not ACTIVE."));
        }
        if service.controller != DeploymentController::CodeDeploy {
            let message = "The service does not have the CODE_DEPLOY deployment controller.";
            return Err(Refused::new("InvalidECSServiceException", "DEP-26", message));
        }
        if service.deployment_under_way().is_some() {
            let message = "The deployment group already has an active deployment.";
            return Err(Refused::new("DeploymentLimitExceededException", "DEP-26", message));
        }
        let network = |id: TargetGroupId| self.state.target_groups[id.index()].kind == BalancerKind::Network;
        let service = &self.state.services[id.index()];
        let behind_network = service.load_balancers.iter().any(|(id, _)| network(*id));
        if behind_network && call.plan.strategy != DeploymentStrategy::BlueGreen {
            let message = "Only CodeDeployDefault.ECSAllAtOnce is supported with a Network Load Balancer.";
            return Err(Refused::new("InvalidDeploymentConfigNameException", "DEP-26", message));
        }
        let balancers = service.load_balancers.clone();
        self.check_load_balancers(Some(definition), &balancers, DeploymentController::CodeDeploy)?;
        self.begin(
            id,
            NewDeployment { definition, plan: call.plan.clone(), reason: None, rolls_back: None, software: None },
            schedule,
        );
        Ok(())
    }

    /// The quotas that calls are checked against, if any (LIM-1).
    pub(super) fn quotas(&self) -> Option<&'static Quotas> {
        self.estate.behaviour.quota_set.and_then(|set| QUOTA_SETS.get(set))
    }

    /// LIM-1: tasks per service, fewer with service discovery (NET-7).
    pub(super) fn check_desired_quota(&self, desired: u32, settings: &TaskSettings) -> Result<(), Refused> {
        let Some(quotas) = self.quotas() else { return Ok(()) };
        let (most, of) = if settings.registries.is_empty() {
            (quotas.tasks_per_service, "service")
        } else {
            (quotas.tasks_per_service.min(Quotas::TASKS_WITH_DISCOVERY), "service with service discovery")
        };
        if desired <= most {
            return Ok(());
        }
        Err(Refused::parameter("LIM-1", format!("The maximum number of tasks per {of} is {most}.")))
    }

    /// LIM-1: services per cluster, and tasks of the new one.
    pub(super) fn check_service_quotas(&self, cluster: ClusterId, call: &CreateService) -> Result<(), Refused> {
        self.check_desired_quota(call.desired_count, &call.settings)?;
        let Some(quotas) = self.quotas() else { return Ok(()) };
        let there = |service: &&Service| service.cluster == cluster && service.status != ServiceStatus::Inactive;
        if self.state.services.iter().filter(there).count() < quotas.services_per_cluster {
            return Ok(());
        }
        let most = quotas.services_per_cluster;
        Err(Refused::limit("LIM-1", format!("The maximum number of services per cluster, {most}, has been reached.")))
    }
}

/// DEP-26, DEP-27: what goes with a deployment controller.
pub(super) fn check_controller(call: &CreateService) -> Result<(), Refused> {
    let refused = |rule, message: &str| Err(Refused::parameter(rule, message));
    let controller = call.controller;
    match (controller, &call.task_definition) {
        (DeploymentController::External, Some(_)) => {
            return refused("DEP-27", "A task definition is not allowed with the EXTERNAL deployment controller.");
        }
        (DeploymentController::Ecs | DeploymentController::CodeDeploy, None) => {
            return refused("SVC-1", "TaskDefinition can not be blank.");
        }
        _ => {}
    }
    if controller == DeploymentController::Ecs {
        return Ok(());
    }
    if call.scheduling == SchedulingStrategy::Daemon {
        let name = controller.as_str();
        return refused(
            "SVC-2",
            &format!("The daemon scheduling strategy is not supported with the {name} deployment controller."),
        );
    }
    if call.deployment.strategy != DeploymentStrategy::Rolling {
        return refused("DEP-20", "A deployment strategy needs the ECS deployment controller.");
    }
    if controller == DeploymentController::External && !call.load_balancers.is_empty() {
        return refused("DEP-27", "With the EXTERNAL deployment controller, load balancers belong to the task sets.");
    }
    Ok(())
}

/// What UpdateService leaves to CodeDeploy, and to task sets.
pub(super) fn check_update_by_controller(
    call: &UpdateService,
    controller: DeploymentController,
) -> Result<(), Refused> {
    let (rule, instead) = match controller {
        DeploymentController::Ecs => return Ok(()),
        DeploymentController::CodeDeploy => ("DEP-26", "Use AWS CodeDeploy to trigger a new deployment."),
        DeploymentController::External => ("DEP-27", "Use a new task set."),
    };
    let what = if call.task_definition.is_some() {
        "update task definition"
    } else if call.network.is_some() {
        "update network parameters"
    } else if call.load_balancers.is_some() {
        "update load balancers"
    } else if !call.settings.is_empty() {
        "update platform version, volumes or service discovery"
    } else if call.force_new_deployment {
        "force a new deployment"
    } else {
        return Ok(());
    };
    let name = controller.as_str();
    let message = format!("Unable to {what} on services with a {name} deployment controller. {instead}");
    Err(Refused::parameter(rule, message))
}

/// SVC-2: what a DAEMON service has not.
pub(super) fn check_daemon_update(call: &UpdateService) -> Result<(), Refused> {
    if call.desired_count.is_some() {
        return Err(Refused::parameter(
            "SVC-2",
            "The daemon scheduling strategy does not support a desired count for services.",
        ));
    }
    if call.placement_strategy.as_ref().is_some_and(|strategy| !strategy.is_empty()) {
        return Err(Refused::parameter(
            "SVC-2",
            "The daemon scheduling strategy does not support task placement strategies.",
        ));
    }
    if call.deployment.as_ref().and_then(|change| change.maximum_percent).is_some_and(|percent| percent != 100) {
        return Err(Refused::parameter(
            "SVC-2",
            "The daemon scheduling strategy only supports a maximumPercent of 100.",
        ));
    }
    Ok(())
}
