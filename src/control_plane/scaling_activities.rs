//! Activities of Application Auto Scaling: what was asked of a service, and what became of it (AAS-12…17).

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Activity, ActivityService, Record, Resource};
use crate::control_plane::service_scaling::Answer;
use crate::ecs::ids::{ScalableTargetId, ServiceId};
use crate::ecs::service::ServiceStatus;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;
use crate::scaling::policy::NotScaledReason;
use crate::scaling::scalable_target::into_bounds;

const PENDING: &str = "Pending";

impl ControlPlane<'_> {
    /// A new activity, which sets the desired count after `ecs_update_latency`: Pending until then, InProgress until the
    /// running count is the one wanted (AAS-12). A Pending that lasts no time is not told.
    pub(super) fn start_activity(
        &mut self,
        id: ScalableTargetId,
        wanted: u32,
        cause: String,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        self.override_activity(id, wanted, now);
        let activity_id = self.next_activity();
        let service = self.scaling.targets[id.index()].service;
        let activity = Activity {
            id: activity_id,
            service: ActivityService::ApplicationAutoScaling,
            resource: self.state.resource_name(Resource::Service(service)),
            description: format!("Setting desired count to {wanted}."),
            cause,
            start: now,
            end: None,
            status: PENDING,
            message: format!("Setting desired count to {wanted}."),
            not_scaled: Vec::new(),
        };
        let latency = self.estate.behaviour.ecs_update_latency;
        if !latency.is_zero() {
            self.observer.observe(now, &Record::Activity(&activity), &self.state);
        }
        let target = &mut self.scaling.targets[id.index()];
        target.activity = Some(activity);
        target.wanted = wanted;
        if latency.is_zero() {
            self.on_activity_start(id, schedule);
        } else {
            schedule.after(latency, Event::ActivityStart(id));
        }
        schedule.after(self.estate.behaviour.activity_poll, Event::ActivityPoll(id));
    }

    /// A Pending activity is due: UpdateService, as the scaling service calls it.
    pub(super) fn on_activity_start(&mut self, id: ScalableTargetId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let latency = self.estate.behaviour.ecs_update_latency;
        let target = &self.scaling.targets[id.index()];
        let (service, wanted) = (target.service, target.wanted);
        // Anything else is the call of an activity that this one has replaced.
        let due = |activity: &Activity| activity.status == PENDING && activity.start + latency == now;
        if !target.activity.as_ref().is_some_and(due) {
            return;
        }
        // AAS-2: the bounds may have changed while it was pending.
        let (min, max) = (target.min, target.max);
        let wanted = into_bounds(wanted, min, max).unwrap_or(wanted);
        self.scaling.targets[id.index()].wanted = wanted;
        let outcome = self.update_service_for_scaling(service, now);
        let target = &mut self.scaling.targets[id.index()];
        let Some(activity) = &mut target.activity else { return };
        match outcome {
            Ok(()) => {
                target.moves_into_bounds = false;
                activity.status = "InProgress";
                activity.message =
                    format!("Successfully set desired count to {wanted}. Waiting for change to be fulfilled by ecs.");
                let activity = activity.clone();
                self.observer.observe(now, &Record::Activity(&activity), &self.state);
                self.set_desired_count(service, wanted, schedule);
            }
            Err(refused) => {
                activity.status = "Failed";
                activity.end = Some(now);
                activity.message = format!(
                    "Failed to set desired count to {wanted}. Reason: {} (Service: AmazonECS; Status Code: 400; Error \
                     Code: {}).",
                    refused.message, refused.code
                );
                target.state.abandon();
                if let Some(activity) = target.activity.take() {
                    self.observer.observe(now, &Record::Activity(&activity), &self.state);
                }
            }
        }
    }

    /// Whether ECS serves the UpdateService call of an activity: it draws on the account's bucket like any other (LIM-3),
    /// and a service that is being deleted takes none.
    fn update_service_for_scaling(&mut self, service: ServiceId, now: SimTime) -> Result<(), Refused> {
        if self.state.services[service.index()].status != ServiceStatus::Active {
            let message = "Service was not ACTIVE.".to_owned();
            return Err(Refused { code: "ServiceNotActiveException", message, rule: "AAS-12" });
        }
        self.throttle("ecs:UpdateService", now)
    }

    /// AAS-12: an activity whose desired count somebody else has changed ends Overridden.
    fn override_activity(&mut self, id: ScalableTargetId, desired: u32, now: SimTime) {
        let target = &mut self.scaling.targets[id.index()];
        let Some(mut activity) = target.activity.take() else { return };
        activity.end = Some(now);
        activity.message = if activity.status == PENDING {
            format!("Desired count was not set to {}: it was changed to {desired} before.", target.wanted)
        } else {
            format!("Successfully set desired count to {}, but it was later changed to {desired}.", target.wanted)
        };
        activity.status = "Overridden";
        self.observer.observe(now, &Record::Activity(&activity), &self.state);
    }

    /// The desired count of a service was set by somebody other than its policies.
    pub(super) fn desired_changed_elsewhere(&mut self, service: ServiceId, now: SimTime) {
        let Some(id) = self.scaling.by_service.get(&service).copied() else { return };
        let desired = self.state.services[service.index()].desired;
        if self.scaling.targets[id.index()].wanted != desired {
            self.override_activity(id, desired, now);
            let target = &mut self.scaling.targets[id.index()];
            target.state.abandon();
            target.moves_into_bounds = false;
        }
    }

    /// AAS-2: the call that was to move the desired count into the bounds has failed, and no alarm will repeat it: it is made
    /// again.
    fn move_into_bounds_again(&mut self, id: ScalableTargetId, schedule: &mut Schedule<Event>) {
        let target = &self.scaling.targets[id.index()];
        let service = &self.state.services[target.service.index()];
        let bounded = into_bounds(service.desired, target.min, target.max);
        let tries = target.moves_into_bounds && target.activity.is_none() && service.status == ServiceStatus::Active;
        if let Some(bounded) = bounded.filter(|_| tries) {
            let bound = if bounded > service.desired { "minimum" } else { "maximum" };
            self.start_activity(id, bounded, format!("{bound} capacity was set to {bounded}"), schedule);
        }
    }

    /// AAS-14: completion is found by polling; then the cooldown starts (TT-18).
    pub(super) fn on_activity_poll(&mut self, id: ScalableTargetId, schedule: &mut Schedule<Event>) {
        self.move_into_bounds_again(id, schedule);
        let now = schedule.now();
        let target = &mut self.scaling.targets[id.index()];
        let service = &self.state.services[target.service.index()];
        let Some(activity) = &mut target.activity else { return };
        if now.saturating_since(activity.start) < self.estate.behaviour.activity_poll {
            // A poll of an activity that this one has replaced.
            return;
        }
        if activity.status == PENDING || service.running != target.wanted {
            schedule.after(self.estate.behaviour.activity_poll, Event::ActivityPoll(id));
            return;
        }
        activity.status = "Successful";
        activity.end = Some(now);
        activity.message =
            format!("Successfully set desired count to {}. Change successfully fulfilled by ecs.", target.wanted);
        let activity = target.activity.take();
        target.state.complete(now);
        if let Some(activity) = activity {
            self.observer.observe(now, &Record::Activity(&activity), &self.state);
        }
    }

    /// AAS-15, AAS-16: a reason with a code becomes an activity, once until another reason comes between.
    pub(super) fn note_not_scaled(
        &mut self,
        id: ScalableTargetId,
        answer: &Answer,
        reason: NotScaledReason,
        now: SimTime,
    ) {
        let Some(code) = reason.code() else { return };
        let target = &mut self.scaling.targets[id.index()];
        if target.last_not_scaled.replace(reason) == Some(reason) {
            return;
        }
        let service = target.service;
        let activity_id = self.next_activity();
        let activity = Activity {
            id: activity_id,
            service: ActivityService::ApplicationAutoScaling,
            resource: self.state.resource_name(Resource::Service(service)),
            description: format!("Attempting to scale from desired count {}.", answer.desired),
            cause: answer.cause.clone(),
            start: now,
            end: None,
            status: reason.status(),
            message: reason.words().to_owned(),
            not_scaled: vec![code],
        };
        self.observer.observe(now, &Record::Activity(&activity), &self.state);
    }
}
