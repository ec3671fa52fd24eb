//! Scheduled scaling at work: actions put, due and carried out, on services and on groups (SCH-*, ASG-32).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::api::PutScheduledAction;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Activity, ActivityService, Decision, Resource};
use crate::control_plane::service_scaling::PolicyResource;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ecs::ids::{GroupId, ScalableTargetId};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::scheduled_action::{self, SizeChange, Sizes, Timing};
use crate::schedule::wall_clock;

/// A scheduled action of a service or a group; in the list of the run it keeps its place for ever.
#[derive(Clone, Debug)]
pub(super) struct ScheduledAction {
    name: String,
    resource: PolicyResource,
    timing: Timing,
    change: SizeChange,
    /// Its next occurrence; `None` when it will not run again.
    next: Option<SimTime>,
    exists: bool,
}

impl ControlPlane<'_> {
    /// `put-scheduled-action` and `put-scheduled-update-group-action`.
    ///
    /// What an update does not mention stays; start and end of a service's action go when they are not given again.
    pub(super) fn put_scheduled_action(
        &mut self,
        call: &PutScheduledAction,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let now = schedule.now();
        let resource = self.find_policy_resource(&call.resource)?;
        let known = self.find_scheduled_action(&call.name, resource);
        if known.is_none() {
            let count = self.scheduled.iter().filter(|action| action.exists && action.resource == resource).count();
            scheduled_action::check_count(&call.resource, count + 1)?;
        }
        let before = known.map(|place| &self.scheduled[place]);
        let kept = before.filter(|_| matches!(resource, PolicyResource::Group(_))).map(|action| &action.timing);
        let put = wall_clock(self.estate.start, now);
        let timing = Timing {
            schedule: call.schedule.clone().or_else(|| before.and_then(|action| action.timing.schedule.clone())),
            start: call.start_time.or_else(|| kept.and_then(|timing| timing.start)),
            end: call.end_time.or_else(|| kept.and_then(|timing| timing.end)),
            put: before.filter(|_| call.schedule.is_none()).map_or(put, |action| action.timing.put),
            origin: self.estate.start,
        };
        let stays = before.map_or_else(SizeChange::default, |action| action.change);
        let change = SizeChange {
            min: call.change.min.or(stays.min),
            max: call.change.max.or(stays.max),
            desired: call.change.desired.or(stays.desired),
        };
        let first = scheduled_action::check(&timing, change, &call.resource, now)?;
        let action =
            ScheduledAction { name: call.name.clone(), resource, timing, change, next: Some(first), exists: true };
        match known {
            Some(place) => self.scheduled[place] = action,
            None => self.scheduled.push(action),
        }
        schedule.at(first + self.estate.behaviour.scheduled_delay, Event::ScheduledScaling);
        Ok(())
    }

    /// `delete-scheduled-action` of either service.
    pub(super) fn delete_scheduled_action(&mut self, name: &str, resource: &ScaledResource) -> Result<(), Refused> {
        let found = self.find_policy_resource(resource)?;
        let Some(place) = self.find_scheduled_action(name, found) else {
            let (code, rule) = match resource {
                ScaledResource::Service { .. } => ("ObjectNotFoundException", "SCH-12"),
                ScaledResource::Group { .. } => ("ValidationError", "ASG-32"),
            };
            return Err(Refused { code, message: format!("No scheduled action found for name: {name}"), rule });
        };
        self.scheduled[place].exists = false;
        Ok(())
    }

    /// The scalable target is gone, and its scheduled actions with it (AAS-11).
    pub(super) fn forget_scheduled_actions(&mut self, target: ScalableTargetId) {
        for action in &mut self.scheduled {
            if action.resource == PolicyResource::Target(target) {
                action.exists = false;
            }
        }
    }

    fn find_scheduled_action(&self, name: &str, resource: PolicyResource) -> Option<usize> {
        self.scheduled.iter().position(|action| action.exists && action.resource == resource && action.name == name)
    }

    /// Runs every action that is due now, in the order in which they were put (SCH-9, ASG-32).
    pub(super) fn on_scheduled_scaling(&mut self, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let delay = self.estate.behaviour.scheduled_delay;
        for place in 0..self.scheduled.len() {
            let action = &mut self.scheduled[place];
            let Some(occurrence) = action.next.filter(|next| action.exists && *next + delay == now) else { continue };
            action.next = action.timing.next_run(occurrence + SimDuration::from_nanos(1));
            match action.next {
                Some(next) => {
                    schedule.at(next + delay, Event::ScheduledScaling);
                }
                // SCH-12: the record of a one-off disappears; that of a recurring action stays after its end.
                None => action.exists = !action.timing.is_one_off(),
            }
            let action = self.scheduled[place].clone();
            match action.resource {
                PolicyResource::Target(target) => self.run_on_target(target, &action, schedule),
                PolicyResource::Group(group) => self.run_on_group(group, &action, schedule),
            }
        }
    }

    fn run_on_target(&mut self, id: ScalableTargetId, action: &ScheduledAction, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let about = self.target_resource(id);
        let present = self.target_sizes(id);
        if self.is_scheduled_scaling_suspended(id) {
            let outcome = Outcome::unchanged("not-scaled", present, "scheduled scaling is suspended", "AAS-10");
            self.decide_scheduled(about, action, &outcome, now);
            return;
        }
        // SCH-11: an activity for the bounds, and another one for the capacity that has to follow.
        let applied = self.collision(id, now).and_then(|()| scheduled_action::apply(action.change, present));
        let bounds = bounds_text(action.change);
        let (status, message) = match &applied {
            Ok(_) => ("Successful", format!("Successfully set {bounds}")),
            Err(refused) => ("Failed", format!("Failed to set {bounds}. Reason: {}", refused.message)),
        };
        let activity_id = self.next_activity();
        self.tell_activity(now, |state| Activity {
            id: activity_id,
            service: ActivityService::ApplicationAutoScaling,
            resource: state.resource_name(about),
            description: format!("Setting {bounds}"),
            cause: format!("scheduled action name {} was triggered", action.name),
            start: now,
            end: Some(now),
            status,
            message,
            not_scaled: Vec::new(),
        });
        match applied {
            Ok(sizes) => {
                let reason = change_text(action, present, sizes);
                let outcome = Outcome { what: "set-bounds", from: present, to: sizes, reason, rule: "SCH-2" };
                self.decide_scheduled(about, action, &outcome, now);
                self.set_bounds(id, (sizes.min, sizes.max), "scheduled-action", "SCH-2", schedule);
            }
            Err(refused) => {
                let outcome = Outcome::unchanged("refuse", present, &refused.to_string(), refused.rule);
                self.decide_scheduled(about, action, &outcome, now);
            }
        }
    }

    /// SCH-9: an action that comes too soon after another one of its target finds that one's update on the way.
    fn collision(&mut self, id: ScalableTargetId, now: SimTime) -> Result<(), Refused> {
        let window = self.estate.behaviour.scheduled_collision;
        let target = &mut self.scaling.targets[id.index()];
        if target.scheduled_at.is_some_and(|before| !window.is_zero() && now.saturating_since(before) <= window) {
            return Err(Refused {
                code: "ConcurrentUpdateException",
                message: "Concurrent updates caused an exception, for example, if you request an update to an \
                          Application Auto Scaling resource that already has a pending update."
                    .to_owned(),
                rule: "SCH-9",
            });
        }
        target.scheduled_at = Some(now);
        Ok(())
    }

    fn run_on_group(&mut self, id: GroupId, action: &ScheduledAction, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let about = Resource::Group(id);
        let group = &mut self.state.groups[id.index()];
        let present = Sizes { min: group.min(), max: group.max(), desired: group.desired() };
        if group.is_suspended(ScalingProcess::ScheduledActions) {
            let reason = "the process ScheduledActions is suspended, and what it misses is lost";
            self.decide_scheduled(about, action, &Outcome::unchanged("not-scaled", present, reason, "ASG-43"), now);
            return;
        }
        let applied = scheduled_action::apply(action.change, present).and_then(|sizes| {
            let resized = group.update_size(Some(sizes.min), Some(sizes.max), Some(sizes.desired));
            resized.map(|()| sizes).map_err(|error| Refused {
                code: "ValidationError",
                message: error.to_string(),
                rule: "ASG-1",
            })
        });
        match applied {
            Ok(sizes) => {
                let reason = change_text(action, present, sizes);
                let outcome = Outcome { what: "set-sizes", from: present, to: sizes, reason, rule: "ASG-32" };
                self.decide_scheduled(about, action, &outcome, now);
                let cause = format!(
                    "the scheduled action {} executed, changing the desired capacity from {} to {}",
                    action.name, present.desired, sizes.desired
                );
                self.group_desired_moved(id, present.desired, cause, schedule);
                self.outlook_changed(id, now);
            }
            Err(refused) => {
                let outcome = Outcome::unchanged("refuse", present, &refused.to_string(), refused.rule);
                self.decide_scheduled(about, action, &outcome, now);
            }
        }
    }

    /// The line of the decision log for one run of a scheduled action.
    fn decide_scheduled(&mut self, about: Resource, action: &ScheduledAction, outcome: &Outcome, now: SimTime) {
        let sizes = |sizes: Sizes| json!({ "min": sizes.min, "max": sizes.max, "desired": sizes.desired });
        let change = action.change;
        self.decide(now, |state| Decision {
            actor: "scheduled-action",
            subject: state.resource_name(about),
            action: outcome.what,
            from: sizes(outcome.from),
            to: sizes(outcome.to),
            reason: outcome.reason.clone(),
            rule: outcome.rule,
            inputs: json!({
                "scheduled_action": action.name,
                "min": change.min,
                "max": change.max,
                "desired": change.desired,
            }),
        });
    }
}

/// What one run of a scheduled action came to.
struct Outcome {
    what: &'static str,
    from: Sizes,
    to: Sizes,
    reason: String,
    rule: &'static str,
}

impl Outcome {
    fn unchanged(what: &'static str, present: Sizes, reason: &str, rule: &'static str) -> Self {
        Self { what, from: present, to: present, reason: reason.to_owned(), rule }
    }
}

/// What an action has changed, for the decision log.
fn change_text(action: &ScheduledAction, from: Sizes, to: Sizes) -> String {
    format!(
        "scheduled action {}: from {} to {}, and before from {} to {}",
        action.name, to.min, to.max, from.min, from.max
    )
}

/// `min capacity to 2 and max capacity to 10`, as activities say it.
fn bounds_text(change: SizeChange) -> String {
    let parts: Vec<String> = [("min", change.min), ("max", change.max)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} capacity to {}", value?)))
        .collect();
    parts.join(" and ")
}
