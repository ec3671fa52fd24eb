//! Hosts as targets of their group's load balancers: they are added as they come into service (ASG-43) and checked there,
//! which counts for their group when it says so (ASG-16). Requests go to tasks, whose targets are
//! [`targets`](super::targets)'.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::record::Decision;
use crate::control_plane::replacement::Due;
use crate::ec2::auto_scaling_group::ScalingProcess;
use crate::ec2::instance::{Lifecycle, TerminationCause};
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::ecs::target_group::CreateTargetGroup;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimDuration;

impl ControlPlane<'_> {
    /// ASG-43: a host that comes into service becomes a target, unless AddToLoadBalancer is suspended; AWS does not add
    /// it later either.
    pub(super) fn add_to_load_balancer(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &mut self.state.groups[group.index()];
        let balancers = entry.definition.load_balancers();
        if balancers.is_empty() {
            return;
        }
        let added = !entry.is_suspended(ScalingProcess::AddToLoadBalancer);
        if let Some(instance) = entry.instance_mut(id) {
            instance.is_target = added;
        }
        self.decide(now, |_| Decision {
            actor: "auto-scaling-group",
            subject: id.ec2_id().to_string(),
            action: if added { "add-to-load-balancer" } else { "not-added-to-load-balancer" },
            from: Value::Null,
            to: Value::Null,
            reason: if added { "it is in service" } else { "the process AddToLoadBalancer is suspended" }.to_owned(),
            rule: "ASG-43",
            inputs: json!({ "load_balancers": balancers }),
        });
        self.check_host_target(group, id, schedule);
    }

    /// A host that its balancers cannot reach fails as many checks as make a target unhealthy.
    pub(super) fn check_host_target(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let reached = self.state.instance(id).is_none_or(|host| !self.impairments.zone_is_impaired(host.zone()));
        if let Some(wait) = self.until_unhealthy(group).filter(|_| !reached) {
            schedule.after(wait, Event::Instance { instance: id, step: InstanceProgress::TargetUnhealthy });
        }
    }

    /// How long checks have to fail until the first of a group's balancers finds a host unhealthy; `None` where that counts
    /// for nothing.
    fn until_unhealthy(&self, group: GroupId) -> Option<SimDuration> {
        let definition = &self.state.groups[group.index()].definition;
        if !definition.elb_health_checks {
            return None;
        }
        let wait = |checks: &CreateTargetGroup| checks.health_check_interval * u64::from(checks.unhealthy_threshold);
        let named = |name: &String| self.state.target_groups.iter().find(|group| group.definition.name == *name);
        let of_groups = definition.target_groups.iter().filter_map(named).map(|group| wait(&group.definition));
        let of_classic = definition.classic_balancers.iter().map(|name| wait(&CreateTargetGroup::of_classic(name)));
        of_groups.chain(of_classic).min()
    }

    /// ASG-16, ASG-17: its balancers find it unhealthy, and still do; within the grace period that does not count yet.
    pub(super) fn found_unhealthy_target(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &self.state.groups[group.index()];
        let Some(instance) = entry.instance(id) else { return };
        let unhealthy = instance.lifecycle() == Lifecycle::InService
            && instance.is_target
            && !instance.unhealthy
            && self
                .until_unhealthy(group)
                .is_some_and(|wait| self.impairments.zone_is_impaired_for(instance.zone(), wait, now));
        if !unhealthy || entry.is_suspended(ScalingProcess::HealthCheck) {
            return;
        }
        let grace_over = instance.in_service.unwrap_or(now).saturating_add(entry.definition.health_check_grace);
        if now < grace_over {
            schedule.at(grace_over, Event::Instance { instance: id, step: InstanceProgress::TargetUnhealthy });
            return;
        }
        let why = "a load balancer's health checks failed".to_owned();
        self.mark_due(group, id, Due { cause: TerminationCause::Unhealthy, why, rule: "ASG-16" }, schedule);
    }

    /// A zone is cut off: the targets in it fail their checks from now on.
    pub(super) fn check_targets_of_zone(&mut self, zone: ZoneId, schedule: &mut Schedule<Event>) {
        let hosts: Vec<(GroupId, InstanceId)> = self
            .state
            .groups
            .iter()
            .filter(|group| group.definition.elb_health_checks)
            .flat_map(|group| group.instances().map(move |instance| (group.id, instance)))
            .filter(|(_, instance)| instance.zone() == zone && instance.is_target)
            .map(|(group, instance)| (group, instance.id))
            .collect();
        for (group, id) in hosts {
            self.check_host_target(group, id, schedule);
        }
    }
}
