//! Availability Zone rebalancing: a steady service whose tasks are uneven moves them one by one (SVC-20…22).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::control_plane::tasks::{Launched, NewTask};
use crate::ecs::container_instance::Attributes;
use crate::ecs::ids::{ClusterId, ServiceId, TargetGroupId, ZoneId};
use crate::ecs::service::{DeploymentController, SchedulingStrategy, ServiceStatus};
use crate::ecs::target_group::BalancerKind;
use crate::ecs::task::{StopCode, TaskOwner};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::Placement;
use crate::placement::constraint::Constraint;
use crate::placement::failure::Reason;
use crate::placement::strategy::{PlacementStrategy, SpreadField};

impl ControlPlane<'_> {
    /// SVC-20: whether a service is one that is rebalanced.
    fn may_rebalance(&self, id: ServiceId) -> bool {
        let service = &self.state.services[id.index()];
        let zone = Attributes::AVAILABILITY_ZONE;
        let first = service.strategy.first();
        let spreads = first.is_none_or(
            |strategy| matches!(strategy, PlacementStrategy::Spread(SpreadField::Attribute(name)) if name == zone),
        );
        let profile = &self.state.profiles[service.profile.index()];
        let names_zones = |constraint: &Constraint| match constraint {
            Constraint::MemberOf(query) => query.text().contains(zone),
            Constraint::DistinctInstance => false,
        };
        let classic = |id: TargetGroupId| self.state.target_groups[id.index()].kind == BalancerKind::Classic;
        service.rebalancing.enabled
            && !self.has_custom_scheduler(service.cluster)
            && service.status == ServiceStatus::Active
            && service.scheduling == SchedulingStrategy::Replica
            && service.controller == DeploymentController::Ecs
            && !service.load_balancers.iter().any(|(group, _)| classic(*group))
            && service.limits().upper > service.desired
            && spreads
            && !profile.constraints.iter().any(names_zones)
    }

    /// SVC-21: tasks per usable zone, in the order of zones; usable are those of the subnets, or with candidate hosts.
    fn tasks_by_zone(&self, id: ServiceId) -> Vec<(ZoneId, u32)> {
        let service = &self.state.services[id.index()];
        let allowed = &self.state.profiles[service.profile.index()].zones;
        let mut usable: Vec<ZoneId> = if service.launch.is_fargate() {
            let all = (0..self.state.zones.len()).map(|place| ZoneId(place as u32));
            let usable = |zone: &ZoneId| (allowed.is_empty() || allowed.contains(zone)) && !self.markets.is_out(*zone);
            all.filter(usable).collect()
        } else {
            self.zones_with_hosts(id)
        };
        usable.sort_unstable();
        usable.dedup();
        let count = |zone: ZoneId| {
            let there = service.tasks.values().filter(|key| self.state.tasks[**key].zone == Some(zone));
            there.count() as u32
        };
        usable.into_iter().map(|zone| (zone, count(zone))).collect()
    }

    /// Zones with a host that the service's constraints let it use, full or not.
    fn zones_with_hosts(&self, id: ServiceId) -> Vec<ZoneId> {
        let service = &self.state.services[id.index()];
        let newest = service.primary().map_or(0, |primary| primary.number);
        let (Some(definition), Some(launch)) = (service.definition(), self.next_launch_target(id, newest, &[])) else {
            return Vec::new();
        };
        let shape = self.definition_shapes[definition.index()];
        let request = self.placement_request(shape, service.profile, service.group, launch);
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        let tests = [Reason::Agent, Reason::Location, Reason::Attribute, Reason::MemberOf];
        let candidates = cluster.instances().filter(|host| {
            request.considers(host) && !tests.into_iter().any(|test| test.applies(cluster, &request, host))
        });
        candidates.map(|host| host.zone).collect()
    }

    /// The service is steady: uneven zones are looked at in `rebalance_delay_s`, at once in the middle of rebalancing.
    pub(super) fn rebalance_service_soon(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let state = &mut self.state.services[id.index()].rebalancing;
        if !state.enabled {
            return;
        }
        let now = schedule.now();
        let due = if state.under_way { now } else { now + self.estate.behaviour.rebalance_delay };
        state.due = Some(due);
        schedule.at(due, Event::Rebalance(id));
    }

    /// A host has come, or a zone is back: a steady service may have a better place for its tasks now.
    pub(super) fn rebalance_when_hosts_come(&mut self, cluster: ClusterId, schedule: &mut Schedule<Event>) {
        for place in 0..self.state.services.len() {
            let service = &self.state.services[place];
            let idle = service.rebalancing.due.is_none() && !service.rebalancing.under_way;
            if service.cluster == cluster && service.steady && idle {
                self.rebalance_service_soon(ServiceId(place as u32), schedule);
            }
        }
    }

    /// SVC-22: moves one task from the zone with most to the zone with fewest, if that makes them more even.
    pub(super) fn on_rebalance(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &self.state.services[id.index()];
        // Steadiness lost and found again has set another time.
        if service.rebalancing.due != Some(now) {
            return;
        }
        if !service.steady || !self.may_rebalance(id) {
            self.end_rebalancing(id, "SERVICE_REBALANCING_STOPPED", now);
            return;
        }
        let counts = self.tasks_by_zone(id);
        let fewest = counts.iter().min_by_key(|(_, count)| *count).copied();
        let most = counts.iter().rev().max_by_key(|(_, count)| *count).copied();
        let (Some((to, few)), Some((from, many))) = (fewest, most) else { return };
        if many - few < 2 {
            self.end_rebalancing(id, "SERVICE_REBALANCING_COMPLETED", now);
            return;
        }
        if !self.has_room_above(id) {
            // The one that left the last move still counts; the loop looks again.
            let due = now + self.estate.behaviour.svc_tick.max(SimDuration::from_secs(1));
            self.state.services[id.index()].rebalancing.due = Some(due);
            schedule.at(due, Event::Rebalance(id));
            return;
        }
        if !self.start_in_zone(id, to, schedule) {
            self.end_rebalancing(id, "SERVICE_REBALANCING_STOPPED", now);
            return;
        }
        let state = &mut self.state.services[id.index()].rebalancing;
        state.due = None;
        state.from = Some(from);
        if !std::mem::replace(&mut state.under_way, true) {
            self.announce_quietly(id, "INFO", "SERVICE_REBALANCING_STARTED", now);
        }
        self.decide(now, |state| Decision {
            actor: "service-scheduler",
            subject: state.resource_name(Resource::Service(id)),
            action: "rebalance",
            from: json!(state.zone_name(from)),
            to: json!(state.zone_name(to)),
            reason: format!("{many} tasks in {}, {few} in {}", state.zone_name(from), state.zone_name(to)),
            rule: "SVC-22",
            inputs: json!({ "most": many, "fewest": few }),
        });
    }

    /// DEP-2: whether one more task is within the upper limit, those that are stopping included.
    fn has_room_above(&self, id: ServiceId) -> bool {
        let service = &self.state.services[id.index()];
        let stopping = if self.estate.behaviour.hi_counts_stopping { service.stopping } else { 0 };
        service.tasks.len() as u32 + stopping < service.limits().upper
    }

    /// Starts one task in a zone, on hosts that are there: rebalancing starts no hosts.
    fn start_in_zone(&mut self, id: ServiceId, zone: ZoneId, schedule: &mut Schedule<Event>) -> bool {
        let service = &self.state.services[id.index()];
        let Some((definition, deployment)) = service.primary().map(|primary| (primary.definition, primary.number))
        else {
            return false;
        };
        let Some(launch) = self.next_launch_target(id, deployment, &[]) else { return false };
        let (cluster, group) = (service.cluster, service.group);
        let (constraints, strategy) = (service.constraints.clone(), service.strategy.clone());
        let shape = self.definition_shapes[definition.index()];
        let (strategy, extras) = (PlacementStrategy::of_service(&strategy), service.extras(None));
        let profile = self.intern_profile(definition, &constraints, &[zone], strategy, extras);
        let room =
            launch.is_fargate() || matches!(self.find_host(cluster, shape, profile, group, launch), Placement::On(_));
        if !room || self.state.services[id.index()].launch_tokens.take(1, schedule.now()) == 0 {
            return false;
        }
        // FG-7: a launch like any other of the account's.
        if !self.take_fargate_tokens(launch, 1, schedule.now()) {
            self.state.services[id.index()].launch_tokens.put_back(1);
            return false;
        }
        let owner = TaskOwner { service: id, deployment };
        let service = &self.state.services[id.index()];
        let new = NewTask::of_service(service, owner, (definition, shape), profile, launch);
        let Launched::Created(key) = self.launch_task(new, schedule) else { return false };
        self.state.services[id.index()].rebalancing.newcomer = Some(key);
        true
    }

    /// How many tasks above the desired count rebalancing wants: the newcomer, until it is healthy and another goes.
    ///
    /// Nothing goes while other tasks have turned sick meanwhile: the lower limit holds here too (DEP-1).
    pub(super) fn rebalancing_surplus(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) -> u32 {
        let state = &mut self.state.services[id.index()].rebalancing;
        let Some(key) = state.newcomer else { return 0 };
        let (under_way, from) = (state.under_way, state.from);
        let service = &self.state.services[id.index()];
        let can_spare_one = service.healthy > service.limits().lower;
        match self.state.tasks.get(key).filter(|task| task.desired_running()) {
            Some(task) if under_way && !(task.healthy && can_spare_one) => 1,
            newcomer => {
                let arrived = newcomer.is_some();
                self.state.services[id.index()].rebalancing.newcomer = None;
                if arrived && let Some(from) = from.filter(|_| under_way) {
                    self.leave_zone(id, from, schedule);
                }
                0
            }
        }
    }

    /// One task of the zone with most goes; protected ones are spared (SVC-13).
    fn leave_zone(&mut self, id: ServiceId, zone: ZoneId, schedule: &mut Schedule<Event>) {
        let chosen = self.choose_stop(id, |_, task| task.zone == Some(zone), 1, schedule.now());
        let service = &self.state.services[id.index()];
        let deployment = service.primary().map(crate::ecs::deployment::Deployment::aws_id).unwrap_or_default();
        let reason = format!("Availability-zone rebalancing initiated by (deployment {deployment})");
        for key in &chosen {
            self.stop_task(*key, StopCode::ServiceSchedulerInitiated, &reason, schedule);
        }
        self.announce_stopped(id, &chosen, schedule.now());
    }

    /// SVC-22: a deployment, scaling, or the end.
    pub(super) fn end_rebalancing(&mut self, id: ServiceId, event: &'static str, now: SimTime) {
        let state = &mut self.state.services[id.index()].rebalancing;
        state.due = None;
        if std::mem::take(&mut state.under_way) {
            self.announce_quietly(id, "INFO", event, now);
        }
    }
}
