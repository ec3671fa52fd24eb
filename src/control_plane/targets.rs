//! Targets of a service's tasks: registered, healthy, deregistered (ELB-*).

use crate::control_plane::ControlPlane;
use crate::control_plane::record::Resource;
use crate::ecs::ids::{TargetGroupId, TaskKey};
use crate::ecs::service_events::TargetNews;
use crate::ecs::target_group::{BalancerKind, TargetGroup};
use crate::engine::time::{SimDuration, SimTime};

/// ELB-11: targets of a target group.
const TARGETS_PER_GROUP: u32 = 1000;

/// ELB-11: targets of an Application Load Balancer, over all its groups.
const TARGETS_PER_BALANCER: u32 = 1000;

/// ELB-11: targets of a Network Load Balancer.
const TARGETS_PER_NETWORK_BALANCER: u32 = 3000;

/// ELB-11: of these, in one Availability Zone.
const TARGETS_PER_ZONE: u32 = 500;

impl ControlPlane<'_> {
    /// How long the task's registration takes: the slowest of its target groups; `None` without any (ELB-5).
    pub(super) fn registration_delay(&self, key: TaskKey) -> Option<SimDuration> {
        let behaviour = &self.estate.behaviour;
        let delay = |id: &TargetGroupId| match self.state.target_groups[id.index()].kind {
            BalancerKind::Network => behaviour.nlb_register,
            BalancerKind::Application | BalancerKind::Classic => behaviour.alb_register,
        };
        self.target_groups_of(key).iter().map(delay).max()
    }

    /// ELB-11: why the targets of a task cannot be registered, by the quotas of its groups and their balancers.
    ///
    /// O(target groups of the balancer); of a Network Load Balancer with many targets O(tasks), to count a zone's.
    pub(super) fn target_quota(&self, key: TaskKey) -> Option<String> {
        self.quotas()?;
        let task = &self.state.tasks[key];
        let too_many = |most: u32, of: &str| Some(format!("TooManyTargets: the maximum of {most} targets per {of}"));
        for id in self.target_groups_of(key) {
            let group = &self.state.target_groups[id.index()];
            if group.registered >= TARGETS_PER_GROUP {
                return too_many(TARGETS_PER_GROUP, "target group");
            }
            let Some(balancer) = &group.definition.load_balancer else { continue };
            let same = |other: &&TargetGroup| other.definition.load_balancer.as_ref() == Some(balancer);
            let targets: u32 = self.state.target_groups.iter().filter(same).map(|group| group.registered).sum();
            match group.kind {
                BalancerKind::Network if targets >= TARGETS_PER_NETWORK_BALANCER => {
                    return too_many(TARGETS_PER_NETWORK_BALANCER, "Network Load Balancer");
                }
                BalancerKind::Network if targets >= TARGETS_PER_ZONE => {
                    let there = self.state.tasks.iter().filter(|(other, task_there)| {
                        let here = task_there.registered && task_there.zone == task.zone;
                        here && self.target_groups_of(*other).contains(&id)
                    });
                    if there.count() as u32 >= TARGETS_PER_ZONE {
                        return too_many(TARGETS_PER_ZONE, "Availability Zone of a Network Load Balancer");
                    }
                }
                BalancerKind::Application | BalancerKind::Classic if targets >= TARGETS_PER_BALANCER => {
                    return too_many(TARGETS_PER_BALANCER, "load balancer");
                }
                _ => {}
            }
        }
        None
    }

    /// The task's targets are registered: `initial` until the checks decide.
    pub(super) fn register_targets(&mut self, key: TaskKey, now: SimTime) {
        for id in self.target_groups_of(key) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            self.state.target_groups[id.index()].registered += 1;
            self.state.tasks[key].registered = true;
            if let Some(news) = self.target_news(key) {
                *news.registered.entry(id).or_default() += 1;
            }
        }
    }

    /// Deregisters the task's targets: no new requests from now on (ELB-9); returns the longest deregistration delay.
    pub(super) fn deregister_targets(&mut self, key: TaskKey, now: SimTime) -> SimDuration {
        if !std::mem::take(&mut self.state.tasks[key].registered) {
            return SimDuration::ZERO;
        }
        let mut longest = SimDuration::ZERO;
        for id in self.target_groups_of(key) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            let group = &mut self.state.target_groups[id.index()];
            group.registered -= 1;
            longest = longest.max(group.definition.deregistration_delay);
            if let Some(news) = self.target_news(key) {
                *news.deregistered.entry(id).or_default() += 1;
            }
        }
        if let Some(news) = self.target_news(key) {
            news.draining += 1;
        }
        longest
    }

    /// What the service of a task tells of its targets at its next round.
    fn target_news(&mut self, key: TaskKey) -> Option<&mut TargetNews> {
        let owner = self.state.tasks[key].owner?;
        Some(&mut self.state.services[owner.service.index()].events.targets)
    }

    /// The checks of a registered task's targets say something new, or it leaves (`None`): its groups count anew.
    ///
    /// Returns what they said before.
    pub(super) fn set_target_health(&mut self, key: TaskKey, said: Option<bool>, now: SimTime) -> Option<bool> {
        let before = std::mem::replace(&mut self.state.tasks[key].target_health, said);
        if said != Some(true) {
            self.state.tasks[key].slow_since = None;
        }
        if before == said {
            return before;
        }
        for id in self.target_groups_of(key) {
            self.load.target_group_changes(id, &self.state.target_groups[id.index()], now);
            let group = &mut self.state.target_groups[id.index()];
            match before {
                Some(true) => group.healthy -= 1,
                Some(false) => group.unhealthy -= 1,
                None => {}
            }
            match said {
                Some(true) => group.healthy += 1,
                Some(false) => group.unhealthy += 1,
                None => {}
            }
            let (healthy, unhealthy) = (f64::from(group.healthy), f64::from(group.unhealthy));
            if before == Some(true) || said == Some(true) {
                self.record_level(Resource::TargetGroup(id), "HealthyHostCount", healthy, now);
            }
            if before == Some(false) || said == Some(false) {
                self.record_level(Resource::TargetGroup(id), "UnHealthyHostCount", unhealthy, now);
            }
        }
        before
    }

    fn target_groups_of(&self, key: TaskKey) -> Vec<TargetGroupId> {
        let Some(owner) = self.state.tasks[key].owner else { return Vec::new() };
        let service = &self.state.services[owner.service.index()];
        service.load_balancers_of(owner.deployment).iter().map(|(id, _)| *id).collect()
    }
}
