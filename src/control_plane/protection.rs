//! Task scale-in protection: UpdateTaskProtection and what it spares (TASK-16, SVC-13).

use serde_json::json;

use crate::control_plane::actions::invalid;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::control_plane::{ControlPlane, RefusedCall};
use crate::ecs::ids::{ClusterId, ServiceId, TaskKey};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;

impl ControlPlane<'_> {
    /// UpdateTaskProtection: each entry is a task's id, or a task group, then its oldest task that no earlier entry named.
    ///
    /// What cannot be protected is one of the call's `failures`; the others are.
    pub(super) fn update_task_protection(
        &mut self,
        cluster: &str,
        tasks: &[String],
        protect_for: Option<SimDuration>,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let cluster = self.find_cluster(cluster)?;
        if tasks.is_empty() || tasks.len() > 10 {
            return Err(invalid("TASK-16", &format!("tasks takes 1 to 10 tasks, not {}", tasks.len())));
        }
        let minutes = SimDuration::from_mins(1)..=SimDuration::from_mins(2880);
        if protect_for.is_some_and(|period| !minutes.contains(&period)) {
            return Err(invalid("TASK-16", "expiresInMinutes must be between 1 and 2880."));
        }
        let mut named = Vec::new();
        for name in tasks {
            let found = self.task_named(cluster, name, &named);
            let outcome = found.ok_or("MISSING").and_then(|key| {
                named.push(key);
                self.protect(key, protect_for, schedule)
            });
            if let Err(reason) = outcome {
                self.record_refusal(
                    schedule.now(),
                    RefusedCall {
                        actor: "operator",
                        subject: name.clone(),
                        call: "ecs:UpdateTaskProtection".to_owned(),
                        reason: reason.to_owned(),
                        rule: "TASK-16",
                        inputs: json!({ "failure": reason }),
                    },
                );
            }
        }
        Ok(())
    }

    /// The task with this id, or the oldest wanted one of this group that is not among `named`.
    fn task_named(&self, cluster: ClusterId, name: &str, named: &[TaskKey]) -> Option<TaskKey> {
        let id = u128::from_str_radix(name, 16).ok();
        let tasks = self.state.tasks.iter().filter(|(key, task)| {
            let mine = id == Some(task.id) || self.state.task_group_name(task.group) == name;
            task.cluster == cluster && task.desired_running() && mine && !named.contains(key)
        });
        tasks.min_by_key(|(_, task)| task.number).map(|(key, _)| key)
    }

    fn protect(
        &mut self,
        key: TaskKey,
        period: Option<SimDuration>,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), &'static str> {
        let now = schedule.now();
        let Some(owner) = self.state.tasks[key].owner else { return Err("TASK_NOT_VALID") };
        let service = &self.state.services[owner.service.index()];
        let others = service.tasks.values().filter(|other| **other != key);
        let protected = others.filter(|other| self.state.tasks[**other].is_protected(now)).count() as u32;
        if period.is_some() && protected >= service.desired {
            return Err("DEPLOYMENT_BLOCKED");
        }
        // Each call restarts the period; its end clears the protection silently.
        let until = period.map(|period| now + period);
        self.state.tasks[key].protected_until = until;
        schedule.at(until.unwrap_or(now), Event::ServiceRound(owner.service));
        Ok(())
    }

    /// SVC-13: fewer tasks were stopped than should have been, because the others are protected; said once.
    pub(super) fn note_spared(&mut self, id: ServiceId, wanted: u32, stopped: usize, now: SimTime) {
        let spared = (wanted as usize).saturating_sub(stopped);
        let service = &mut self.state.services[id.index()];
        let before = std::mem::replace(&mut service.spared, spared as u32);
        if spared == 0 || before == spared as u32 {
            return;
        }
        self.announce_quietly(id, "INFO", "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION", now);
        self.decide(now, |state| Decision {
            actor: "service-scheduler",
            subject: state.resource_name(Resource::Service(id)),
            action: "spare",
            from: json!(wanted),
            to: json!(stopped),
            reason: format!("{spared} tasks stay: protected from scale-in"),
            rule: "SVC-13",
            inputs: json!({ "wanted": wanted, "stopped": stopped }),
        });
    }
}
