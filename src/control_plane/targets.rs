//! Targets of a service's tasks: registered, healthy, deregistered (ELB-*).

use crate::control_plane::ControlPlane;
use crate::control_plane::record::Resource;
use crate::ecs::ids::{ServiceId, TargetGroupId, TaskKey};
use crate::engine::time::{SimDuration, SimTime};

impl ControlPlane<'_> {
    /// How long the task's registration takes: the slowest of its target groups; `None` without any (ELB-5).
    pub(super) fn registration_delay(&self, key: TaskKey) -> Option<SimDuration> {
        let owner = self.state.tasks[key].owner?;
        let behaviour = &self.estate.behaviour;
        self.state.services[owner.service.index()]
            .load_balancers
            .iter()
            .map(|(id, _)| {
                if self.state.target_groups[id.index()].network {
                    behaviour.nlb_register
                } else {
                    behaviour.alb_register
                }
            })
            .max()
    }

    /// The task's targets are registered: `initial` until the checks decide.
    pub(super) fn register_targets(&mut self, key: TaskKey, now: SimTime) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.target_groups_of(owner.service) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            self.state.target_groups[id.index()].registered += 1;
            self.state.tasks[key].registered = true;
        }
    }

    /// Deregisters the task's targets: no new requests from now on (ELB-9); returns the longest deregistration delay.
    pub(super) fn deregister_targets(&mut self, key: TaskKey, now: SimTime) -> SimDuration {
        let Some(owner) = self.state.tasks[key].owner else { return SimDuration::ZERO };
        if !std::mem::take(&mut self.state.tasks[key].registered) {
            return SimDuration::ZERO;
        }
        let mut longest = SimDuration::ZERO;
        for id in self.target_groups_of(owner.service) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            let group = &mut self.state.target_groups[id.index()];
            group.registered -= 1;
            longest = longest.max(group.definition.deregistration_delay);
        }
        longest
    }

    /// A registered task's targets turned healthy, or ceased to count as such.
    pub(super) fn target_health_changed(&mut self, key: TaskKey, healthy: bool, now: SimTime) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        for id in self.target_groups_of(owner.service) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            let group = &mut self.state.target_groups[id.index()];
            if healthy {
                group.healthy += 1;
            } else {
                group.healthy -= 1;
            }
            let value = f64::from(group.healthy);
            self.record_level(Resource::TargetGroup(id), "HealthyHostCount", value, now);
        }
    }

    fn target_groups_of(&self, service: ServiceId) -> Vec<TargetGroupId> {
        self.state.services[service.index()].load_balancers.iter().map(|(id, _)| *id).collect()
    }
}
