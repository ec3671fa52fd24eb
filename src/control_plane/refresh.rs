//! Instance refreshes at work: started, stepped, rolled back, with the warm pool beside the group (ASG-42, ASG-41).

use std::collections::BTreeSet;

use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::control_plane::replacement::{Due, ready, take_units, units};
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::instance::{Instance, Lifecycle, TerminationCause};
use crate::ec2::instance_refresh::{
    InstanceRefresh, ProtectedInstances, RefreshStep, RefreshView, StandbyInstances, StartInstanceRefresh,
};
use crate::ec2::replacement::{MaintenancePolicy, ReplacementView, replacement_step};
use crate::ecs::ids::{GroupId, InstanceId};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::refused::Refused;
use crate::scaling::alarm::AlarmState;

/// Why a refresh terminates.
const WHY: &str = "an instance refresh replaces it";

impl ControlPlane<'_> {
    /// Whether an instance refresh is under way.
    pub(super) fn is_refreshing(&self, id: GroupId) -> bool {
        self.groups[id.index()].replacing.refresh.is_some()
    }

    /// StartInstanceRefresh (ASG-42): every instance in service is to be replaced, and every one of the warm pool.
    pub(super) fn start_refresh(
        &mut self,
        call: &StartInstanceRefresh,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.admit_refresh(call, schedule.now())?;
        self.replace_due(id, schedule);
        self.maintain_at_next_check(id, schedule);
        Ok(())
    }

    /// A refresh is under way from now on, and takes its first step when the group is looked at.
    fn admit_refresh(&mut self, call: &StartInstanceRefresh, now: SimTime) -> Result<GroupId, Refused> {
        let id = self.find_group(&call.group)?;
        let refuse = |code, message: String| Refused { code, message, rule: "ASG-42" };
        if self.is_refreshing(id) {
            let message =
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.";
            return Err(refuse("InstanceRefreshInProgress", message.to_owned()));
        }
        if call.auto_rollback && call.desired.is_none() {
            let message = "AutoRollback requires that you specify a DesiredConfiguration.".to_owned();
            return Err(refuse("ValidationError", message));
        }
        if let Some(unknown) = call.alarms.iter().find(|name| self.alarm_state(name).is_none()) {
            return Err(refuse("ValidationError", format!("The alarm {unknown} does not exist.")));
        }
        let group = &self.state.groups[id.index()];
        if group.count(Lifecycle::InService) == 0 {
            let message = format!("The group {} has no instance in service to refresh.", call.group);
            return Err(refuse("ValidationError", message));
        }
        let before = call.desired.as_ref().map(|_| group.launch_settings());
        if let Some(desired) = &call.desired {
            self.check_types(id, desired.types.as_ref())?;
            self.state.groups[id.index()].set_launch(desired.launch_from.clone(), desired.types.clone());
            self.launch_template_changed(id);
        }
        let group = &self.state.groups[id.index()];
        let definition = &group.definition;
        // ASG-29: the refresh's own warm-up, the group's, or its grace period.
        let warmup = call.warmup.or(definition.default_instance_warmup).unwrap_or(definition.health_check_grace);
        let policy = call.policy.or(definition.maintenance_policy).unwrap_or(MaintenancePolicy::UNSET);
        let stale = |instance: &&Instance| !call.skip_matching || instance.source != group.source();
        let of = |instance: &&Instance| match instance.lifecycle() {
            Lifecycle::InService => true,
            Lifecycle::Standby => call.standby != StandbyInstances::Ignore,
            _ => false,
        };
        let ids = |instances: Vec<&Instance>| instances.into_iter().map(|instance| instance.id).collect();
        let instances: BTreeSet<InstanceId> = ids(group.instances().filter(of).filter(stale).collect());
        let pool: BTreeSet<InstanceId> = ids(group.pool().filter(stale).collect());
        let words = format!(
            "{} instances, and {} of the warm pool, are to be replaced from {}",
            instances.len(),
            pool.len(),
            group.describe_source(group.source())
        );
        self.tell_refresh(id, "refresh", words, now);
        let refresh = InstanceRefresh::new(call, (instances, pool), (policy, warmup), before, now);
        self.groups[id.index()].replacing.refresh = Some(refresh);
        Ok(id)
    }

    fn alarm_state(&self, name: &str) -> Option<AlarmState> {
        let alive = self.state.alarms.iter().filter(|entry| entry.deleted.is_none());
        alive.map(|entry| &entry.alarm).find(|alarm| alarm.definition.name == name).map(|alarm| alarm.state)
    }

    /// CancelInstanceRefresh: what has been replaced stays replaced, but the group launches from what it had before.
    pub(super) fn cancel_refresh(&mut self, group: &str, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let (id, refresh) = self.end_refresh(group, schedule)?;
        let percentage = refresh.percentage();
        if let Some(before) = refresh.before {
            self.state.groups[id.index()].restore_launch(before);
            self.launch_template_changed(id);
        }
        self.tell_refresh(id, "refresh-cancelled", format!("cancelled at {percentage} %"), schedule.now());
        Ok(())
    }

    /// RollbackInstanceRefresh: what has been replaced is replaced back.
    pub(super) fn rollback_refresh(&mut self, group: &str, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let id = self.find_group(group)?;
        let refresh = self.groups[id.index()].replacing.refresh.as_ref();
        if refresh.is_some_and(|refresh| refresh.before.is_none()) {
            let message = "The instance refresh has no DesiredConfiguration, so there is nothing to roll back to.";
            return Err(Refused { code: "IrreversibleInstanceRefresh", message: message.to_owned(), rule: "ASG-42" });
        }
        let (id, refresh) = self.end_refresh(group, schedule)?;
        self.roll_back(id, refresh, "a user asked for it", schedule);
        Ok(())
    }

    fn end_refresh(
        &mut self,
        group: &str,
        schedule: &mut Schedule<Event>,
    ) -> Result<(GroupId, InstanceRefresh), Refused> {
        let id = self.find_group(group)?;
        let Some(refresh) = self.groups[id.index()].replacing.refresh.take() else {
            return Err(Refused {
                code: "ActiveInstanceRefreshNotFound",
                message: format!("No in progress or pending Instance Refresh found for Auto Scaling group {group}"),
                rule: "ASG-42",
            });
        };
        self.state.groups[id.index()].set_pool_ahead(0);
        // What it launched ahead is too much now.
        self.replace_due(id, schedule);
        self.reconcile_soon(id, schedule);
        Ok((id, refresh))
    }

    /// The group launches from what it had before, and replaces what the refresh has launched.
    fn roll_back(&mut self, id: GroupId, refresh: InstanceRefresh, why: &str, schedule: &mut Schedule<Event>) {
        let percentage = refresh.percentage();
        let Some(before) = refresh.before else { return };
        self.state.groups[id.index()].restore_launch(before);
        self.launch_template_changed(id);
        self.tell_refresh(id, "refresh-rolled-back", format!("at {percentage} %: {why}"), schedule.now());
        let back = StartInstanceRefresh {
            skip_matching: true,
            checkpoints: Vec::new(),
            alarms: Vec::new(),
            auto_rollback: false,
            desired: None,
            ..refresh.call
        };
        // With nobody in service there is nothing to replace back.
        if self.admit_refresh(&back, schedule.now()).is_ok() {
            self.maintain_at_next_check(id, schedule);
        }
    }

    fn tell_refresh(&mut self, id: GroupId, action: &'static str, reason: String, now: SimTime) {
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action,
            from: Value::Null,
            to: Value::Null,
            reason,
            rule: "ASG-42",
            inputs: Value::Null,
        });
    }

    /// ASG-42: how much capacity a refresh may launch ahead, and which instances it replaces now; `others` go now besides,
    /// and `ahead` comes for them.
    pub(super) fn refresh_step(
        &mut self,
        id: GroupId,
        others: u32,
        ahead: u32,
        schedule: &mut Schedule<Event>,
    ) -> (u32, Vec<(InstanceId, Due)>) {
        let now = schedule.now();
        let group = &self.state.groups[id.index()];
        let present = self.groups[id.index()].replacing.refresh_ahead;
        let Some(mut refresh) = self.groups[id.index()].replacing.refresh.take() else { return (0, Vec::new()) };
        let protected = refresh.call.protected;
        let spared = protected == ProtectedInstances::Ignore;
        refresh.retain(|id| {
            group.instance(id).is_some_and(|instance| match instance.lifecycle() {
                Lifecycle::InService => !(spared && instance.is_protected()),
                lifecycle => lifecycle == Lifecycle::Standby,
            })
        });
        refresh
            .pool
            .retain(|id| group.instance(*id).is_some_and(|i| i.lifecycle().is_warming() || i.lifecycle().is_warm()));
        let held = [ScalingProcess::InstanceRefresh, ScalingProcess::Launch, ScalingProcess::Terminate];
        if held.into_iter().any(|process| group.is_suspended(process)) {
            self.groups[id.index()].replacing.refresh = Some(refresh);
            return (present, Vec::new());
        }
        let free = |id: &InstanceId| {
            group.instance(*id).is_some_and(|instance| match instance.lifecycle() {
                Lifecycle::Standby => refresh.call.standby == StandbyInstances::Terminate,
                _ => protected == ProtectedInstances::Refresh || !instance.is_protected(),
            })
        };
        let candidates: Vec<InstanceId> = refresh.left().filter(free).collect();
        let ready = ready(group, Some(refresh.warmup), now);
        let pool_ready = refresh.pool.is_empty() && group.pool_warm() + group.pool_ahead() >= group.pool_size();
        let warm = ready >= group.desired() + present && group.pending() == 0 && pool_ready;
        let in_alarm = |name: &&String| self.alarm_state(name) == Some(AlarmState::Alarm);
        let alarm = refresh.call.alarms.iter().find(in_alarm).cloned();
        let view = RefreshView { warm, blocked: candidates.is_empty(), alarm: alarm.as_deref() };
        let (action, reason) = match refresh.step(view, now) {
            RefreshStep::Replace(most) => {
                let due: Vec<InstanceId> = candidates.into_iter().take(most as usize).collect();
                let view = ReplacementView {
                    desired: group.desired(),
                    ready: ready.saturating_sub(others + ahead),
                    due: units(group, &due),
                    ahead: present,
                };
                let step = replacement_step(view, refresh.policy);
                let victims = take_units(group, due, step.terminate);
                let due = |id| (id, Due { cause: TerminationCause::Replaced, why: WHY.to_owned(), rule: "ASG-42" });
                let victims = victims.into_iter().map(due).collect();
                self.refresh_pool(id, refresh, schedule);
                return (step.ahead, victims);
            }
            RefreshStep::Pause(_) => {
                self.groups[id.index()].replacing.refresh = Some(refresh);
                return (0, Vec::new());
            }
            RefreshStep::Successful => ("refreshed", "every instance has been replaced".to_owned()),
            RefreshStep::Failed(why) => ("refresh-failed", format!("failed at {} %: {why}", refresh.percentage())),
        };
        self.state.groups[id.index()].set_pool_ahead(0);
        self.tell_refresh(id, action, reason, now);
        if action == "refresh-failed" {
            if refresh.call.auto_rollback {
                self.roll_back(id, refresh, "the refresh has failed", schedule);
            } else if let Some(before) = refresh.before {
                self.state.groups[id.index()].restore_launch(before);
                self.launch_template_changed(id);
            }
        }
        (0, Vec::new())
    }

    /// EX-ASG-20: the warm pool is refreshed beside the group, within the same bounds of its own size.
    fn refresh_pool(&mut self, id: GroupId, refresh: InstanceRefresh, schedule: &mut Schedule<Event>) {
        let group = &self.state.groups[id.index()];
        let due: Vec<InstanceId> = refresh.pool.iter().copied().collect();
        let policy = refresh.policy;
        let view = ReplacementView {
            desired: group.pool_size() - group.pool_ahead(),
            ready: group.pool_warm(),
            due: due.len() as u32,
            ahead: group.pool_ahead(),
        };
        self.groups[id.index()].replacing.refresh = Some(refresh);
        let step = replacement_step(view, policy);
        if step.terminate == 0 && step.ahead == view.ahead {
            return;
        }
        self.state.groups[id.index()].set_pool_ahead(step.ahead);
        for victim in due.into_iter().take(step.terminate as usize) {
            self.terminate(victim, TerminationCause::Replaced, WHY, "ASG-42", schedule);
        }
        self.reconcile_soon(id, schedule);
    }
}
