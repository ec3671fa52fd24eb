//! Deployments that fail: circuit breaker, alarms, StopServiceDeployment, and the way back (DEP-8, DEP-10…16).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::deployments::NewDeployment;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::ecs::deployment::{Deployment, RolloutState, ServiceDeploymentStatus};
use crate::ecs::ids::{AlarmId, ServiceId};
use crate::ecs::service::DeploymentController;
use crate::ecs::task::TaskOwner;
use crate::ecs::traffic_shift::DeploymentStrategy;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;
use crate::scaling::alarm::AlarmState;

/// Why a deployment fails.
struct Failure {
    /// In words, as its event has them.
    reason: String,
    /// What the deployment that goes back says of itself, before the id of the one it goes back to.
    rolls_back: &'static str,
    /// Whether it goes back to the last one that was completed.
    rollback: bool,
    /// The rule.
    rule: &'static str,
}

impl ControlPlane<'_> {
    /// A task failed to start, or failed its checks: the circuit breaker counts it for its deployment (DEP-12).
    pub(super) fn count_failure(&mut self, owner: TaskOwner, schedule: &mut Schedule<Event>) {
        let minimum = self.estate.behaviour.cb_min;
        let service = &mut self.state.services[owner.service.index()];
        // DEP-10: for rolling deployments of the ECS controller only.
        let rolling = service.deployment_configuration.strategy == DeploymentStrategy::Rolling;
        let counts = rolling && service.controller == DeploymentController::Ecs;
        let Some(breaker) = service.deployment_configuration.circuit_breaker.filter(|_| counts) else { return };
        let threshold = breaker.threshold(service.desired, minimum);
        let Some(primary) = service.deployment_under_way().filter(|primary| primary.number == owner.deployment) else {
            return;
        };
        primary.failures += 1;
        let failures = primary.failures;
        self.explain_breaker(owner, (failures - 1, failures), threshold, schedule.now());
        if failures >= threshold {
            let failure = Failure {
                reason: "ECS deployment circuit breaker: task failed to start.".to_owned(),
                rolls_back: "ECS deployment circuit breaker: rolling back to deploymentId",
                rollback: breaker.rollback,
                rule: "DEP-14",
            };
            self.fail_deployment(owner.service, failure, schedule);
        }
    }

    /// TD-29: with a circuit breaker, a deployment whose tags cannot be resolved fails.
    pub(super) fn fail_unresolved(&mut self, owner: TaskOwner, schedule: &mut Schedule<Event>) {
        let service = &mut self.state.services[owner.service.index()];
        let breaker = service.deployment_configuration.circuit_breaker;
        let under_way = service.deployment_under_way().is_some_and(|primary| primary.number == owner.deployment);
        if let Some(breaker) = breaker.filter(|_| under_way && service.controller == DeploymentController::Ecs) {
            let failure = Failure {
                reason: "ECS deployment failed: the images of the deployment could not be resolved to digests."
                    .to_owned(),
                rolls_back: "ECS deployment circuit breaker: rolling back to deploymentId",
                rollback: breaker.rollback,
                rule: "TD-29",
            };
            self.fail_deployment(owner.service, failure, schedule);
        }
    }

    /// DEP-13: a healthy task of the deployment ends a row of failures, unless they add up.
    pub(super) fn note_healthy_task(&mut self, owner: TaskOwner, now: SimTime) {
        let minimum = self.estate.behaviour.cb_min;
        let service = &mut self.state.services[owner.service.index()];
        let breaker = service.deployment_configuration.circuit_breaker.filter(|breaker| breaker.reset_on_healthy_task);
        let desired = service.desired;
        if let Some(breaker) = breaker
            && let Some(primary) = service.deployment_under_way().filter(|primary| primary.number == owner.deployment)
        {
            let before = std::mem::take(&mut primary.failures);
            if before > 0 {
                self.explain_breaker(owner, (before, 0), breaker.threshold(desired, minimum), now);
            }
        }
    }

    /// DEP-16: alarms that are in ALARM when a deployment begins do not count for it.
    pub(super) fn alarms_raised(&self, id: ServiceId) -> Vec<AlarmId> {
        let alarms = self.state.services[id.index()].deployment_configuration.alarms.as_ref();
        let raised = |id: &AlarmId| self.state.alarms[id.index()].alarm.state == AlarmState::Alarm;
        alarms
            .into_iter()
            .flat_map(|alarms| &alarms.names)
            .filter_map(|name| self.find_alarm(name))
            .filter(raised)
            .collect()
    }

    /// DEP-16: an alarm has entered ALARM: deployments that it watches fail.
    pub(super) fn on_alarm_raised(&mut self, alarm: AlarmId, schedule: &mut Schedule<Event>) {
        let name = self.state.alarms[alarm.index()].alarm.definition.name.clone();
        for place in 0..self.state.services.len() {
            let service = &mut self.state.services[place];
            let Some(alarms) = &service.deployment_configuration.alarms else { continue };
            let rollback = alarms.rollback;
            let watched = alarms.names.contains(&name);
            if !watched || service.deployment_under_way().is_none_or(|primary| primary.ignored_alarms.contains(&alarm))
            {
                continue;
            }
            let failure = Failure {
                reason: format!("ECS deployment alarm: {name} is in ALARM."),
                rolls_back: "ECS deployment alarm: rolling back to deploymentId",
                rollback,
                rule: "DEP-16",
            };
            self.fail_deployment(ServiceId(place as u32), failure, schedule);
        }
    }

    /// StopServiceDeployment: the deployment under way stops, and goes back unless it is aborted (DEP-8).
    pub(super) fn stop_deployment(
        &mut self,
        cluster: &str,
        service: &str,
        rollback: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_service(cluster, service)?;
        let service = &mut self.state.services[id.index()];
        let nowhere = service.rollback_target.is_none();
        if service.deployment_under_way().is_none() {
            let message = "The service has no deployment in progress.";
            return Err(Refused::new("ServiceDeploymentNotFoundException", "DEP-8", message));
        }
        let staged = service.primary().is_some_and(|primary| primary.stage.blue().is_some());
        if rollback && nowhere && !staged {
            let message = "There is no completed deployment to roll back to.";
            return Err(Refused::new("ConflictException", "DEP-8", message));
        }
        let failure = Failure {
            reason: "ECS deployment stopped by StopServiceDeployment.".to_owned(),
            rolls_back: "ECS deployment stopped: rolling back to deploymentId",
            rollback,
            rule: "DEP-8",
        };
        let asked =
            if rollback { ServiceDeploymentStatus::RollbackRequested } else { ServiceDeploymentStatus::StopRequested };
        if let Some(number) = self.state.services[id.index()].primary().map(|primary| primary.number) {
            self.set_deployment_status(id, number, asked, schedule.now());
        }
        self.fail_deployment(id, failure, schedule);
        Ok(())
    }

    /// DEP-21, DEP-22: a stage that lasted too long, or a hook, fails its deployment.
    pub(super) fn fail_stage(
        &mut self,
        id: ServiceId,
        reason: &str,
        rule: &'static str,
        schedule: &mut Schedule<Event>,
    ) {
        let failure = Failure {
            reason: format!("ECS deployment failed: {reason}."),
            rolls_back: "ECS deployment failed: rolling back to deploymentId",
            rollback: true,
            rule,
        };
        self.fail_deployment(id, failure, schedule);
    }

    /// DEP-14: FAILED; with a rollback, the revision of the deployment that was completed last is deployed again.
    ///
    /// That one is no target again until its new deployment is completed, so that two failures in a row stall.
    fn fail_deployment(&mut self, id: ServiceId, failure: Failure, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &mut self.state.services[id.index()];
        let desired = service.desired;
        let Some(primary) = service.deployment_under_way() else { return };
        primary.rollout = RolloutState::Failed;
        let (failed, failures) = (primary.aws_id(), primary.failures);
        let (number, digits, went_back_from) = (primary.number, primary.id, primary.rolls_back.take());
        let staged = primary.stage.blue().is_some();
        let target = if failure.rollback && !staged { service.rollback_target.take() } else { None };
        service.steady = false;
        self.decide_deployment(id, "fail", &failed, &failure, (failures, desired), now);
        let message = format!("(deployment {failed}) deployment failed: tasks failed to start.");
        self.announce_deployment(id, &failed, ("ERROR", "SERVICE_DEPLOYMENT_FAILED"), failure.reason, &message, now);
        if let Some(first) = went_back_from {
            // The way back of an earlier one has failed too.
            let from = ServiceDeploymentStatus::RollbackInProgress;
            self.note_deployment_status(id, first, from, ServiceDeploymentStatus::RollbackFailed, now);
        }
        let status = match (failure.rollback, staged || target.is_some()) {
            (true, true) => ServiceDeploymentStatus::RollbackInProgress,
            (true, false) => ServiceDeploymentStatus::RollbackFailed,
            (false, _) => ServiceDeploymentStatus::Stopped,
        };
        self.set_deployment_status(id, number, status, now);
        if staged && failure.rollback {
            self.switch_back(id, failure.rolls_back, schedule);
        }
        if let Some((completed, definition, software)) = target {
            let to = Deployment::format_id(completed);
            let reason = Some(format!("{} {to}.", failure.rolls_back));
            let plan = self.configured_plan(id);
            self.begin(id, NewDeployment { definition, plan, reason, rolls_back: Some(digits), software }, schedule);
        }
        self.wake_service(id, schedule);
    }

    fn decide_deployment(
        &mut self,
        id: ServiceId,
        action: &'static str,
        deployment: &str,
        failure: &Failure,
        (failures, desired): (u32, u32),
        now: SimTime,
    ) {
        self.decide(now, |state| Decision {
            actor: "service-scheduler",
            subject: state.resource_name(Resource::Service(id)),
            action,
            from: json!(deployment),
            to: json!(RolloutState::Failed.as_str()),
            reason: failure.reason.clone(),
            rule: failure.rule,
            inputs: json!({ "failures": failures, "desired": desired, "rollback": failure.rollback }),
        });
    }
}
