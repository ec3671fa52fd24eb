//! Deployments of services: how they begin, what they are called, what is said of them (DEP-5, DEP-6, DEP-8, EVT-4).

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource, ServiceAction, ServiceEvent};
use crate::ecs::deployment::{Deployment, RolloutState, ServiceDeploymentStatus};
use crate::ecs::ids::{ServiceId, SoftwareId, TaskDefinitionId};
use crate::ecs::software::Resolution;
use crate::ecs::task_set::TaskSet;
use crate::ecs::traffic_shift::{ShiftPlan, Stage};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;

/// A deployment that is to begin.
pub(super) struct NewDeployment {
    /// The revision.
    pub(super) definition: TaskDefinitionId,
    /// How its traffic moves.
    pub(super) plan: ShiftPlan,
    /// What its event says, if not that it is in progress.
    pub(super) reason: Option<String>,
    /// Digits of the deployment that it goes back from.
    pub(super) rolls_back: Option<u64>,
    /// What its images are, when it goes back to a deployment that had resolved them (TD-29).
    pub(super) software: Option<SoftwareId>,
}

impl ControlPlane<'_> {
    /// Begins a deployment of `definition` as the service is configured; it becomes PRIMARY, older ones drain (DEP-5, DEP-6).
    pub(super) fn begin_deployment(
        &mut self,
        id: ServiceId,
        definition: TaskDefinitionId,
        schedule: &mut Schedule<Event>,
    ) {
        let plan = self.configured_plan(id);
        self.begin(id, NewDeployment { definition, plan, reason: None, rolls_back: None, software: None }, schedule);
    }

    /// Begins a deployment; its first event says why (EVT-4).
    pub(super) fn begin(&mut self, id: ServiceId, new: NewDeployment, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let registered = self.without_proxy(new.definition);
        let proxied = self.state.services[id.index()].settings.service_connect;
        let definition = if proxied { self.with_proxy(registered) } else { registered };
        let stage = self.first_stage(id, &new.plan, now);
        let superseded = self.state.services[id.index()].deployment_under_way().map(|primary| primary.number);
        if let Some(number) = superseded {
            self.set_deployment_status(id, number, ServiceDeploymentStatus::Stopped, now);
        }
        let deployment = self.new_deployment(id, definition, stage, new.plan, None, now);
        let (aws_id, number) = (deployment.aws_id(), deployment.number);
        let service = &mut self.state.services[id.index()];
        let resolution = new.software.map_or_else(Resolution::default, Resolution::Resolved);
        service.deployments.push(Deployment { rolls_back: new.rolls_back, resolution, ..deployment });
        self.load.disturb(id);
        let service = &mut self.state.services[id.index()];
        service.start_backoff.clear();
        service.placement_backoff.clear();
        service.steady = false;
        self.end_rebalancing(id, "SERVICE_REBALANCING_STOPPED", now);
        self.set_deployment_status(id, number, ServiceDeploymentStatus::InProgress, now);
        if let Some(at) = stage.at() {
            self.begin_stage_hooks(id, at, now);
        }
        self.refresh_service_profile(id, definition);
        self.survey_hosts(id, now);
        if stage != Stage::Rolling {
            self.record_level(Resource::Service(id), "new_revision_traffic_percent", 0.0, now);
        }
        let reason = new.reason.unwrap_or_else(|| format!("ECS deployment {aws_id} in progress."));
        self.announce_deployment(id, &aws_id, ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS"), reason, "", now);
        self.wake_service(id, schedule);
    }

    /// A deployment that has not begun: its number and id, its fleet and target groups.
    ///
    /// One with stages, and every task set, is a fleet of its own, with the target groups that production does not use; a
    /// rolling one joins the fleet that takes the traffic.
    pub(super) fn new_deployment(
        &mut self,
        id: ServiceId,
        definition: TaskDefinitionId,
        stage: Stage,
        plan: ShiftPlan,
        task_set: Option<TaskSet>,
        now: SimTime,
    ) -> Deployment {
        let ignored_alarms = self.alarms_raised(id);
        // 19 digits, the first not zero (EVT-2).
        let digits = 1_000_000_000_000_000_000 + self.id_chance.below(9_000_000_000_000_000_000);
        let service = &mut self.state.services[id.index()];
        service.deployments_created += 1;
        let number = service.deployments_created;
        let service = &self.state.services[id.index()];
        let production = service.in_production().and_then(|number| service.deployment(number));
        let (fleet, alternate) = match production {
            Some(production) if stage == Stage::Rolling && task_set.is_none() => {
                (production.fleet, production.alternate)
            }
            Some(production) => (number, stage != Stage::Rolling && !production.alternate),
            None => (number, false),
        };
        let load_balancers = service.load_balancers.iter().map(|(group, entry)| {
            let other = entry.alternate.as_deref().filter(|_| alternate);
            (other.and_then(|name| self.find_target_group(name)).unwrap_or(*group), entry.clone())
        });
        Deployment {
            number,
            id: digits,
            definition,
            created: now,
            rollout: RolloutState::InProgress,
            status: ServiceDeploymentStatus::Pending,
            rolls_back: None,
            stage,
            plan,
            pending_hooks: Vec::new(),
            traffic_permille: if stage == Stage::Rolling { 1000 } else { 0 },
            fleet,
            alternate,
            load_balancers: load_balancers.collect(),
            task_set,
            failures: 0,
            ignored_alarms,
            bakes_since: None,
            resolution: Resolution::default(),
        }
    }

    /// DEP-8: a service deployment has another status, unless its last one is final.
    pub(super) fn set_deployment_status(
        &mut self,
        id: ServiceId,
        number: u32,
        to: ServiceDeploymentStatus,
        now: SimTime,
    ) {
        let service = &mut self.state.services[id.index()];
        let Some(deployment) = service.deployments.iter_mut().find(|deployment| deployment.number == number) else {
            return;
        };
        if deployment.status.is_final() || deployment.status == to {
            return;
        }
        let (digits, from) = (deployment.id, std::mem::replace(&mut deployment.status, to));
        self.note_deployment_status(id, digits, from, to, now);
    }

    /// What DescribeServiceDeployments would show of a deployment from now on (DEP-8).
    pub(super) fn note_deployment_status(
        &mut self,
        id: ServiceId,
        digits: u64,
        from: ServiceDeploymentStatus,
        to: ServiceDeploymentStatus,
        now: SimTime,
    ) {
        self.decide(now, |state| Decision {
            actor: "service-deployment",
            subject: state.resource_name(Resource::Service(id)),
            action: "status",
            from: serde_json::json!(from.as_str()),
            to: serde_json::json!(to.as_str()),
            reason: format!("service deployment {} is {}", Deployment::format_id(digits), to.as_str()),
            rule: "DEP-8",
            inputs: serde_json::json!({ "deployment": Deployment::format_id(digits) }),
        });
    }

    /// An ECS Deployment State Change of `kind` (type and name), and the line of the service's list, if there is one.
    pub(super) fn announce_deployment(
        &mut self,
        id: ServiceId,
        deployment: &str,
        (event_type, event_name): (&'static str, &'static str),
        reason: String,
        line: &str,
        now: SimTime,
    ) {
        if !self.tells_events() {
            return;
        }
        let name = &self.state.services[id.index()].name;
        let message = if line.is_empty() { String::new() } else { format!("(service {name}) {line}") };
        let event = ServiceEvent {
            service: id,
            message,
            action: Some(ServiceAction { event_type, event_name, reason: Some(reason) }),
            deployment_id: Some(deployment.to_owned()),
        };
        self.tell(&event, now);
    }
}
