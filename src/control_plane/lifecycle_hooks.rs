//! Lifecycle hooks of deployments: Lambda functions that are asked, pauses that are waited for (DEP-22).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::ecs::ids::ServiceId;
use crate::ecs::traffic_shift::{HookAnswer, HookTarget, LifecycleStage, PendingHook};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;

/// What the hooks of a stage say.
pub(super) enum Held {
    /// All of them let the deployment go on.
    Free,
    /// Nothing before then.
    Until(SimTime),
    /// One of them sends it back, for this reason.
    Fails(String),
}

impl ControlPlane<'_> {
    /// A stage begins: each of its hooks holds the deployment until it has answered. All of them run side by side.
    pub(super) fn begin_stage_hooks(&mut self, id: ServiceId, stage: LifecycleStage, now: SimTime) {
        let Some(primary) = self.state.services[id.index()].deployment_under_way() else { return };
        let hooks = primary.plan.hooks.iter().enumerate().filter(|(_, hook)| hook.stages.contains(&stage));
        primary.pending_hooks = hooks
            .map(|(place, hook)| PendingHook {
                hook: place,
                asked: 0,
                due: matches!(hook.target, HookTarget::Lambda(_)).then_some(now),
                expires: now + hook.timeout,
            })
            .collect();
        let pauses = primary.pending_hooks.iter().filter(|hook| hook.due.is_none()).count();
        if pauses > 0 {
            self.note_hook(id, "await-action", &format!("paused at {}", stage.as_str()), now);
        }
    }

    /// Asks the Lambda functions that are due, and lets time-outs strike.
    pub(super) fn ask_stage_hooks(&mut self, id: ServiceId, now: SimTime) -> Held {
        let repeat = self.estate.behaviour.hook_repeat;
        let Some(primary) = self.state.services[id.index()].deployment_under_way() else { return Held::Free };
        let mut pending = std::mem::take(&mut primary.pending_hooks);
        let hooks = &primary.plan.hooks;
        let (mut failed, mut said) = (None, Vec::new());
        pending.retain_mut(|waiting| {
            let hook = &hooks[waiting.hook];
            if waiting.due.is_some_and(|due| due <= now) {
                let answer = hook.answer(waiting.asked);
                waiting.asked += 1;
                match answer {
                    Some(HookAnswer::Succeeded) => {
                        said.push(("succeed", format!("hook {} succeeded", hook.name)));
                        return false;
                    }
                    Some(HookAnswer::Failed) => {
                        failed = failed.take().or_else(|| Some(format!("hook {} failed", hook.name)));
                        return false;
                    }
                    Some(HookAnswer::InProgress) | None => waiting.due = Some(now + repeat),
                }
            }
            if waiting.expires > now {
                return true;
            }
            if hook.continues_on_timeout {
                said.push(("time-out", format!("hook {} timed out, and the deployment goes on", hook.name)));
            } else {
                failed = failed.take().or_else(|| Some(format!("hook {} timed out", hook.name)));
            }
            false
        });
        let next = pending.iter().map(|waiting| waiting.due.map_or(waiting.expires, |due| due.min(waiting.expires)));
        let next = next.min();
        primary.pending_hooks = pending;
        for (action, reason) in said {
            self.note_hook(id, action, &reason, now);
        }
        match (failed, next) {
            (Some(reason), _) => Held::Fails(reason),
            (None, Some(next)) => Held::Until(next),
            (None, None) => Held::Free,
        }
    }

    /// ContinueServiceDeployment: the pauses of the present stage are over, or the deployment goes back (DEP-22).
    pub(super) fn continue_deployment(
        &mut self,
        cluster: &str,
        service: &str,
        rollback: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_service(cluster, service)?;
        let paused = |hook: &PendingHook| hook.due.is_none();
        let primary = self.state.services[id.index()].deployment_under_way();
        let Some(primary) = primary.filter(|primary| primary.pending_hooks.iter().any(paused)) else {
            let message = "The service deployment has no lifecycle hook that awaits an action.";
            return Err(Refused::parameter("DEP-22", message));
        };
        primary.pending_hooks.retain(|hook| !paused(hook));
        if rollback {
            self.fail_stage(id, "ContinueServiceDeployment asked to roll back", "DEP-22", schedule);
        } else {
            self.note_hook(id, "continue", "ContinueServiceDeployment: go on", schedule.now());
            self.wake_service(id, schedule);
        }
        Ok(())
    }

    fn note_hook(&mut self, id: ServiceId, action: &'static str, reason: &str, now: SimTime) {
        self.decide(now, |state| {
            let stage = state.service(id).primary().and_then(|primary| primary.stage.at());
            Decision {
                actor: "lifecycle-hook",
                subject: state.resource_name(Resource::Service(id)),
                action,
                from: serde_json::Value::Null,
                to: serde_json::Value::Null,
                reason: reason.to_owned(),
                rule: "DEP-22",
                inputs: json!({ "stage": stage.map(LifecycleStage::as_str) }),
            }
        });
    }
}
