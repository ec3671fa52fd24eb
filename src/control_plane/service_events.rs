//! What a service says of itself: its own list of events, and the EventBridge events beside them (EVT-5, SVC-18).

use crate::control_plane::ControlPlane;
use crate::control_plane::record::{Record, ServiceAction, ServiceEvent};
use crate::ecs::ids::{ServiceId, TargetGroupId, TaskKey};
use crate::engine::time::SimTime;

impl ControlPlane<'_> {
    /// A line of the service's event list, `(service NAME) <text>`, and its EventBridge event.
    pub(super) fn announce(&mut self, id: ServiceId, text: &str, action: ServiceAction, now: SimTime) {
        if self.tells_events() {
            let message = format!("(service {}) {text}", self.state.services[id.index()].name);
            self.tell(&ServiceEvent { service: id, message, action: Some(action), deployment_id: None }, now);
        }
    }

    /// Something that goes wrong, which is said once in six hours as long as the words are the same (SVC-12, SVC-18).
    pub(super) fn announce_problem(&mut self, id: ServiceId, text: &str, action: ServiceAction, now: SimTime) {
        if !self.tells_events() {
            return;
        }
        let window = self.estate.behaviour.steady_repeat;
        if !self.state.services[id.index()].events.is_told(text, now, window) {
            self.announce(id, text, action, now);
        }
    }

    /// EVT-5: a line that ends with the ids of tasks; `{}` in it stands for their number.
    pub(super) fn announce_tasks(
        &mut self,
        id: ServiceId,
        text: &str,
        tasks: &[TaskKey],
        action: ServiceAction,
        now: SimTime,
    ) {
        if tasks.is_empty() || !self.tells_events() {
            return;
        }
        let mut line = text.replace("{}", &tasks.len().to_string()) + ":";
        for task in tasks.iter().filter_map(|key| self.state.tasks.get(*key)) {
            line.push_str(&format!(" (task {:032x})", task.id));
        }
        line.push('.');
        self.announce(id, &line, action, now);
    }

    /// An EventBridge event without a line in the service's list.
    pub(super) fn announce_quietly(
        &mut self,
        id: ServiceId,
        event_type: &'static str,
        event_name: &'static str,
        now: SimTime,
    ) {
        if self.tells_events() {
            let action = Some(ServiceAction { event_type, event_name, reason: None });
            self.tell(&ServiceEvent { service: id, message: String::new(), action, deployment_id: None }, now);
        }
    }

    /// A line of the service's list alone: EventBridge is not told.
    pub(super) fn announce_in_list(&mut self, id: ServiceId, text: &str, now: SimTime) {
        if self.tells_events() {
            let message = format!("(service {}) {text}", self.state.services[id.index()].name);
            self.tell(&ServiceEvent { service: id, message, action: None, deployment_id: None }, now);
        }
    }

    /// Whether anybody reads what services say: texts are costly.
    pub(super) fn tells_events(&self) -> bool {
        self.wants.events || self.answers_reads
    }

    /// Writes an event into its service's list and hands it to the observer.
    pub(super) fn tell(&mut self, event: &ServiceEvent, now: SimTime) {
        if !event.message.is_empty() {
            self.state.services[event.service.index()].events.write(event.message.clone(), now);
        }
        if self.wants.events {
            self.observer.observe(now, &Record::ServiceEvent(event), &self.state);
        }
    }

    /// EVT-5: what became of targets since the service's last round, a line for each target group.
    pub(super) fn announce_target_news(&mut self, id: ServiceId, now: SimTime) {
        let news = std::mem::take(&mut self.state.services[id.index()].events.targets);
        if !self.tells_events() {
            return;
        }
        let arn = |plane: &Self, group: TargetGroupId| plane.state.target_group_arn(group);
        for (group, count) in news.registered {
            let line = format!("registered {count} targets in (target-group {})", arn(self, group));
            self.announce_in_list(id, &line, now);
        }
        for (group, count) in news.deregistered {
            let line = format!("deregistered {count} targets in (target-group {})", arn(self, group));
            self.announce_in_list(id, &line, now);
        }
        if news.draining > 0 {
            let line = format!("has begun draining connections on {} tasks.", news.draining);
            self.announce_in_list(id, &line, now);
        }
    }

    /// EVT-5: the checks of a task's target groups have given it up.
    pub(super) fn announce_unhealthy_targets(&mut self, key: TaskKey, now: SimTime) {
        if !self.tells_events() {
            return;
        }
        let task = &self.state.tasks[key];
        let Some(owner) = task.owner else { return };
        let lines: Vec<String> = self.state.services[owner.service.index()]
            .load_balancers_of(owner.deployment)
            .iter()
            .map(|(group, balancer)| {
                let port = self.state.target_of(task, balancer).map_or(balancer.container_port, |target| target.port);
                let arn = self.state.target_group_arn(*group);
                let reason = self.failed_check_reason(task, (*group, balancer), now);
                format!("(port {port}) is unhealthy in (target-group {arn}) due to (reason {reason})")
            })
            .collect();
        for line in lines {
            self.announce_in_list(owner.service, &line, now);
        }
    }
}
