//! Instances held back and set aside: lifecycle hooks, standby, detaching (ASG-12…14, ASG-20).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::api::PutLifecycleHook;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::hosts::must;
use crate::control_plane::record::{Decision, InstanceStep};
use crate::ec2::instance::{Lifecycle, TerminationCause};
use crate::ec2::lifecycle_hook::{HookResult, HookWait, LifecycleHook, Transition, WaitOutcome};
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;

/// DRN-3: the termination hook that ECS puts on the group of a provider with managed draining.
pub(super) const MANAGED_DRAINING_HOOK: &str = "ecs-managed-draining-termination-hook";

/// A group's hooks, and whom they hold.
#[derive(Debug)]
pub(super) struct Hooks {
    hooks: Vec<LifecycleHook>,
    waits: BTreeMap<InstanceId, HookWait>,
}

impl Hooks {
    /// The hooks a group is created with.
    pub(super) fn new(hooks: &[LifecycleHook]) -> Self {
        Self { hooks: hooks.to_vec(), waits: BTreeMap::new() }
    }
}

impl ControlPlane<'_> {
    /// PutLifecycleHook: a hook of that name is replaced; who is held already is held as before.
    pub(super) fn put_lifecycle_hook(&mut self, call: &PutLifecycleHook) -> Result<(), Refused> {
        let group = self.find_group(&call.group)?;
        let hooks = &mut self.groups[group.index()].hooks.hooks;
        hooks.retain(|hook| hook.name != call.hook.name);
        hooks.push(call.hook.clone());
        Ok(())
    }

    /// DeleteLifecycleHook: who is held by it goes on.
    pub(super) fn delete_lifecycle_hook(
        &mut self,
        group: &str,
        name: &str,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let group = self.find_group(group)?;
        let hooks = &mut self.groups[group.index()].hooks;
        if !hooks.hooks.iter().any(|hook| hook.name == name) {
            return Err(refuse("ASG-13", format!("No lifecycle hook found with name: {name}")));
        }
        hooks.hooks.retain(|hook| hook.name != name);
        let held: Vec<InstanceId> = hooks.waits.keys().copied().collect();
        for id in held {
            let wait = self.groups[group.index()].hooks.waits.get_mut(&id);
            if let Some(outcome) = wait.and_then(|wait| wait.complete(name, HookResult::Continue)) {
                self.hooks_moved(group, id, outcome, schedule);
            }
        }
        Ok(())
    }

    /// CompleteLifecycleAction (ASG-14).
    pub(super) fn complete_lifecycle_action(
        &mut self,
        (group, hook): (&str, &str),
        instance: &str,
        result: HookResult,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let (group, id) = self.held_instance(group, instance)?;
        let draining = self.state.instance(id).is_some_and(|i| i.lifecycle() == Lifecycle::TerminatingWait);
        if hook == MANAGED_DRAINING_HOOK && draining && self.drains(group) {
            // DRN-3: whoever answers in the place of ECS ends the draining.
            self.shut_down(id, schedule);
            return Ok(());
        }
        let wait = self.groups[group.index()].hooks.waits.get_mut(&id);
        let outcome = wait.and_then(|wait| wait.complete(hook, result)).ok_or_else(|| no_action(instance))?;
        self.hooks_moved(group, id, outcome, schedule);
        Ok(())
    }

    /// RecordLifecycleActionHeartbeat (ASG-13).
    pub(super) fn record_heartbeat(
        &mut self,
        (group, hook): (&str, &str),
        instance: &str,
        now: SimTime,
    ) -> Result<(), Refused> {
        let (group, id) = self.held_instance(group, instance)?;
        let wait = self.groups[group.index()].hooks.waits.get_mut(&id);
        // The event of the earlier deadline is still due and looks again at what is left.
        let extended = wait.is_some_and(|wait| wait.heartbeat(hook, now));
        if extended { Ok(()) } else { Err(no_action(instance)) }
    }

    fn held_instance(&self, group: &str, instance: &str) -> Result<(GroupId, InstanceId), Refused> {
        let group = self.find_group(group)?;
        let id = self.find_instance(instance).filter(|id| self.state.group_of(*id) == Some(group));
        Ok((group, id.ok_or_else(|| no_action(instance))?))
    }

    /// The hooks of a transition begin to hold an instance; false when there is none.
    pub(super) fn begin_hooks(
        &mut self,
        group: GroupId,
        id: InstanceId,
        transition: Transition,
        schedule: &mut Schedule<Event>,
    ) -> bool {
        let now = schedule.now();
        let runtime = &mut self.groups[group.index()];
        let chance = &mut runtime.hook_chance;
        let wait = HookWait::begin(&runtime.hooks.hooks, transition, now, |after| after.sample_duration(chance));
        let Some(wait) = wait else { return false };
        if let Some(due) = wait.next_due() {
            schedule.at(due, Event::Instance { instance: id, step: InstanceProgress::HookDue });
        }
        runtime.hooks.waits.insert(id, wait);
        true
    }

    /// Whether hooks hold an instance.
    pub(super) fn is_held(&self, group: GroupId, id: InstanceId) -> bool {
        self.groups[group.index()].hooks.waits.contains_key(&id)
    }

    /// Nothing holds the instance any more, whatever becomes of it.
    pub(super) fn drop_hooks(&mut self, group: GroupId, id: InstanceId) {
        self.groups[group.index()].hooks.waits.remove(&id);
    }

    /// A hook may have ended by itself.
    pub(super) fn on_hook_due(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let Some(wait) = self.groups[group.index()].hooks.waits.get_mut(&id) else { return };
        let outcome = wait.advance(schedule.now());
        if let (WaitOutcome::Waiting, Some(due)) = (outcome, wait.next_due()) {
            schedule.at(due, Event::Instance { instance: id, step: InstanceProgress::HookDue });
        }
        self.hooks_moved(group, id, outcome, schedule);
    }

    /// ASG-14: what the end of a hook means.
    fn hooks_moved(&mut self, group: GroupId, id: InstanceId, outcome: WaitOutcome, schedule: &mut Schedule<Event>) {
        if outcome == WaitOutcome::Waiting {
            return;
        }
        let now = schedule.now();
        self.drop_hooks(group, id);
        let state = self.state.groups[group.index()].instance(id).map(crate::ec2::instance::Instance::lifecycle);
        let abandoned = outcome == WaitOutcome::Abandoned;
        self.decide(now, |_| Decision {
            actor: "auto-scaling-group",
            subject: id.ec2_id().to_string(),
            action: if abandoned { "abandon" } else { "continue" },
            from: Value::Null,
            to: Value::Null,
            reason: format!("its lifecycle hooks ended with {}", if abandoned { "ABANDON" } else { "CONTINUE" }),
            rule: "ASG-14",
            inputs: json!({ "lifecycle": state.map(|state| state.to_string()) }),
        });
        match (state, abandoned) {
            (Some(Lifecycle::PendingWait), false) => {
                must(self.state.groups[group.index()].transition(id, Lifecycle::PendingProceed, now));
                self.enter_service(group, id, schedule);
            }
            (Some(Lifecycle::WarmedPendingWait), false) => {
                must(self.state.groups[group.index()].transition(id, Lifecycle::WarmedPendingProceed, now));
                self.enter_pool(group, id, schedule);
            }
            (Some(Lifecycle::PendingWait | Lifecycle::WarmedPendingWait), true) => {
                let why = "a lifecycle hook was abandoned";
                self.terminate(id, TerminationCause::LaunchAbandoned, why, "ASG-14", schedule);
                self.on_launch_abandoned(group, schedule);
            }
            (Some(Lifecycle::TerminatingWait), false) => self.termination_may_proceed(id, schedule),
            (Some(Lifecycle::TerminatingWait), true) | (Some(Lifecycle::WarmedTerminatingWait), _) => {
                self.shut_down(id, schedule);
            }
            _ => {}
        }
    }

    /// EnterStandby (ASG-20): out of service, out of the desired capacity if the call says so, still on the bill.
    pub(super) fn enter_standby(
        &mut self,
        group: &str,
        instances: &[String],
        decrement: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let group = self.find_group(group)?;
        let ids = self.instances_in(group, instances, Lifecycle::InService, "ASG-20")?;
        self.leave_count(group, &ids, decrement, "enter standby", "ASG-20")?;
        let now = schedule.now();
        for id in ids {
            for to in [Lifecycle::EnteringStandby, Lifecycle::Standby] {
                must(self.state.groups[group.index()].transition(id, to, now));
            }
            self.record_step(id, InstanceStep::Held, now);
        }
        self.left_count(group, schedule);
        Ok(())
    }

    /// ExitStandby: back into service, and into the desired capacity.
    pub(super) fn exit_standby(
        &mut self,
        group: &str,
        instances: &[String],
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let group = self.find_group(group)?;
        let ids = self.instances_in(group, instances, Lifecycle::Standby, "ASG-20")?;
        let entry = &mut self.state.groups[group.index()];
        let back: u32 = ids.iter().filter_map(|id| entry.instance(*id)).map(|instance| instance.weight).sum();
        let desired = entry.desired() + back;
        entry.update_size(None, None, Some(desired)).map_err(|error| refuse("ASG-20", error.to_string()))?;
        let now = schedule.now();
        for id in ids {
            must(self.state.groups[group.index()].transition(id, Lifecycle::Pending, now));
            self.record_step(id, InstanceStep::Held, now);
            schedule.at(now, Event::Instance { instance: id, step: InstanceProgress::InService });
        }
        self.left_count(group, schedule);
        Ok(())
    }

    /// DetachInstances: the group lets go of instances, which run on and lose their protection (ASG-10).
    pub(super) fn detach(
        &mut self,
        group: &str,
        instances: &[String],
        decrement: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let group = self.find_group(group)?;
        let ids = self.instances_in(group, instances, Lifecycle::InService, "ASG-10")?;
        self.leave_count(group, &ids, decrement, "detach", "ASG-10")?;
        let now = schedule.now();
        for id in ids {
            self.set_protection(id, false, now);
            for to in [Lifecycle::Detaching, Lifecycle::Detached] {
                must(self.state.groups[group.index()].transition(id, to, now));
            }
            self.record_step(id, InstanceStep::Held, now);
        }
        self.left_count(group, schedule);
        Ok(())
    }

    fn instances_in(
        &self,
        group: GroupId,
        names: &[String],
        lifecycle: Lifecycle,
        rule: &'static str,
    ) -> Result<Vec<InstanceId>, Refused> {
        let found: Result<Vec<InstanceId>, Refused> = names
            .iter()
            .map(|name| {
                let id = self.find_instance(name).filter(|id| self.state.group_of(*id) == Some(group));
                let id = id.ok_or_else(|| refuse(rule, format!("The instance {name} is not part of the group.")))?;
                let state = self.state.instance(id).map(crate::ec2::instance::Instance::lifecycle);
                if state == Some(lifecycle) {
                    return Ok(id);
                }
                let state = state.map_or_else(|| "gone".to_owned(), |state| state.to_string());
                Err(refuse(rule, format!("The instance {name} is not in {lifecycle}, but {state}.")))
            })
            .collect();
        let mut ids = found?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Instances are about to leave the count: the desired capacity falls with them, or they are replaced.
    fn leave_count(
        &mut self,
        group: GroupId,
        ids: &[InstanceId],
        decrement: bool,
        what: &str,
        rule: &'static str,
    ) -> Result<(), Refused> {
        let count = ids.len();
        let entry = &mut self.state.groups[group.index()];
        // ASG-36: the desired capacity falls by what they count for.
        let units: u32 = ids.iter().filter_map(|id| entry.instance(*id)).map(|instance| instance.weight).sum();
        if !decrement {
            self.groups[group.index()].cause = format!("{count} instances were told to {what}");
            return Ok(());
        }
        let desired = entry.desired();
        let refusal = format!(
            "AutoScalingGroup {} has min-size={}, max-size={}, and desired-size={desired}. To {what} {count} instances, \
             please update the AutoScalingGroup sizes appropriately.",
            entry.definition.name,
            entry.min(),
            entry.max()
        );
        let lower = desired.checked_sub(units).ok_or_else(|| refuse(rule, refusal.clone()))?;
        entry.update_size(None, None, Some(lower)).map_err(|_| refuse(rule, refusal))
    }

    /// The counts of a group have changed by a call.
    fn left_count(&mut self, group: GroupId, schedule: &mut Schedule<Event>) {
        self.record_group_counts(group, schedule.now());
        self.group_desired_changed(group, schedule);
    }
}

fn refuse(rule: &'static str, message: String) -> Refused {
    Refused { code: "ValidationError", message, rule }
}

fn no_action(instance: &str) -> Refused {
    refuse("ASG-13", format!("No active Lifecycle Action found with instance ID {instance}"))
}
