//! Which part of the traffic reaches which tasks: by revision, by target group, by target (DEP-20, ELB-6…8, ELB-12).
//!
//! The tasks of a service that take load are sorted into lanes. A lane is what the balancer cannot or need not tell apart:
//! one fleet (the tasks of the revisions that share target groups), one zone where the balancer keeps to its zones, in slow
//! start or not, and, where every target gets as many requests as any other, about equally strong. Each lane has its share
//! of the arrivals and a backlog of its own; within a lane the fluid model spreads perfectly.

use std::sync::Arc;

use crate::control_plane::ControlPlane;
use crate::control_plane::cpu_sharing::Part;
use crate::control_plane::event::{Event, TaskStep};
use crate::ecs::ids::{ServiceId, TargetGroupId, TaskKey, ZoneId};
use crate::ecs::target_group::{BalancerKind, TargetGroup};
use crate::ecs::task::{Task, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::routing::{Lane, Spread, shares};

/// What the tasks of a lane have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneKey {
    /// The fleet of their deployments.
    fleet: u32,
    /// Their zone, where the balancer keeps to its zones.
    zone: Option<ZoneId>,
    /// Whether they are in slow start.
    slow: bool,
    /// How strong each is, where that does not decide what it gets: the octave of its capacity, in quarters.
    size: Option<u16>,
}

impl LaneKey {
    /// The lane of tasks that together are this strong.
    pub(super) fn sized(self, part: &Part) -> Self {
        let each = (part.capacity.0 / u64::from(part.takers.max(1))).max(4);
        let octave = each.ilog2();
        let quarter = (each >> (octave - 2)) & 3;
        // At most 64 octaves.
        Self { size: self.size.map(|_| (octave * 4) as u16 + quarter as u16), ..self }
    }

    /// The fleet of its tasks.
    pub(super) const fn fleet(&self) -> u32 {
        self.fleet
    }

    /// Their zone, where the balancer keeps to its zones.
    pub(super) const fn zone(&self) -> Option<ZoneId> {
        self.zone
    }

    /// Whether they are in slow start (ELB-8).
    pub(super) const fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether nothing but strength tells two lanes apart.
    pub(super) fn is_like(&self, other: Self) -> bool {
        (self.fleet, self.zone, self.slow) == (other.fleet, other.zone, other.slow)
    }
}

/// A lane and its part of a service's traffic.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrafficPart {
    pub(super) lane: LaneKey,
    /// Of all requests.
    pub(super) share: f64,
    pub(super) tasks: u32,
    pub(super) queues: u32,
    /// vCPUs.
    pub(super) capacity: f64,
    /// Where its requests are counted.
    pub(super) target_groups: Arc<[TargetGroupId]>,
}

impl ControlPlane<'_> {
    /// The first target group of a task's deployment: what decides how its targets are treated.
    fn target_group_of(&self, service: ServiceId, deployment: u32) -> Option<&TargetGroup> {
        let groups = self.state.services[service.index()].load_balancers_of(deployment);
        groups.first().map(|(id, _)| &self.state.target_groups[id.index()])
    }

    /// The lane of a task, but for its strength.
    pub(super) fn lane_of(&self, task: &Task) -> LaneKey {
        let Some(owner) = task.owner else { return LaneKey::default() };
        let service = &self.state.services[owner.service.index()];
        let group = self.target_group_of(owner.service, owner.deployment);
        LaneKey {
            fleet: service.deployment(owner.deployment).map_or(owner.deployment, |deployment| deployment.fleet),
            zone: task.zone.filter(|_| group.is_some_and(|group| !group.cross_zone)),
            slow: task.slow_since.is_some(),
            size: group.filter(|group| group.spreads_evenly()).map(|_| 0),
        }
    }

    /// The lanes of a service and their shares of its traffic, together 1.
    ///
    /// A fleet that is to take traffic and has nobody to take it still gets its share: those requests fail (ELB-6).
    pub(super) fn traffic_parts(&self, id: ServiceId, now: SimTime) -> Vec<TrafficPart> {
        let service = &self.state.services[id.index()];
        let lanes = &self.load.services[id.index()].lanes;
        let mut fleets: Vec<(u32, f64)> =
            service.traffic().map(|(fleet, permille)| (fleet, f64::from(permille) / 1000.0)).collect();
        let everyone = fleets.is_empty();
        if everyone {
            fleets.push((0, 1.0));
        } else {
            // Fleets without a share still work off what waits for them.
            for key in lanes.keys() {
                if !fleets.iter().any(|(known, _)| *known == key.fleet) {
                    fleets.push((key.fleet, 0.0));
                }
            }
        }
        let mut parts = Vec::new();
        for (fleet, fleet_share) in fleets {
            let mine = || lanes.iter().filter(|(key, part)| part.takers > 0 && (everyone || key.fleet == fleet));
            let newest = service.deployments.iter().rev().find(|deployment| deployment.fleet == fleet);
            let balancers = newest.map_or(&service.load_balancers[..], |deployment| &deployment.load_balancers);
            let target_groups: Arc<[TargetGroupId]> = balancers.iter().map(|(id, _)| *id).collect();
            if mine().next().is_none() {
                let lane = LaneKey { fleet, ..LaneKey::default() };
                parts.push(TrafficPart { lane, share: fleet_share, tasks: 0, queues: 0, capacity: 0.0, target_groups });
                continue;
            }
            let group = target_groups.first().map(|id| &self.state.target_groups[id.index()]);
            let spread = match group {
                Some(group) if group.spreads_evenly() => Spread::Evenly { by_zone: !group.cross_zone },
                _ => Spread::ByCapacity,
            };
            let weighed: Vec<Lane> = mine()
                .map(|(key, part)| Lane {
                    zone: key.zone,
                    targets: f64::from(part.takers) * self.slow_start_part(id, *key, now),
                    capacity: part.capacity.as_vcpus(),
                })
                .collect();
            for ((lane, part), share) in mine().zip(shares(&weighed, spread)) {
                parts.push(TrafficPart {
                    lane: *lane,
                    share: fleet_share * share,
                    tasks: part.takers,
                    queues: part.queues,
                    capacity: part.capacity.as_vcpus(),
                    target_groups: Arc::clone(&target_groups),
                });
            }
        }
        parts
    }

    /// ELB-8: how far the slow start of a lane's tasks is, on the mean; 1 outside slow start.
    fn slow_start_part(&self, id: ServiceId, lane: LaneKey, now: SimTime) -> f64 {
        if !lane.slow {
            return 1.0;
        }
        let service = &self.state.services[id.index()];
        let (mut sum, mut count) = (0.0, 0.0_f64);
        for key in service.tasks.values() {
            let task = &self.state.tasks[*key];
            let (Some(since), Some(owner)) = (task.slow_since, task.owner) else { continue };
            if !self.lane_of(task).is_like(lane) {
                continue;
            }
            let lasts = self.slow_start(owner.service, owner.deployment).as_secs_f64();
            sum += if lasts > 0.0 { (now.saturating_since(since).as_secs_f64() / lasts).min(1.0) } else { 1.0 };
            count += 1.0;
        }
        sum / count.max(1.0)
    }

    /// How long new targets of a deployment are in slow start (ELB-8): not under least outstanding requests.
    pub(super) fn slow_start(&self, service: ServiceId, deployment: u32) -> SimDuration {
        let group = self.target_group_of(service, deployment);
        let slow = group.filter(|group| group.spreads_evenly() && group.kind == BalancerKind::Application);
        slow.map_or(SimDuration::ZERO, |group| group.definition.slow_start)
    }

    /// A target has turned healthy: slow start begins, if another healthy one is outside it (ELB-8).
    pub(super) fn begin_slow_start(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        let lasts = self.slow_start(owner.service, owner.deployment);
        if lasts.is_zero() {
            return;
        }
        let service = &self.state.services[owner.service.index()];
        let groups = |deployment: u32| service.load_balancers_of(deployment).first().map(|(group, _)| *group);
        let mine = groups(owner.deployment);
        let established = service.tasks.values().filter(|other| **other != key).any(|other| {
            let task = &self.state.tasks[*other];
            task.target_health == Some(true)
                && task.slow_since.is_none()
                && task.owner.and_then(|owner| groups(owner.deployment)) == mine
        });
        if established {
            self.state.tasks[key].slow_since = Some(schedule.now());
            schedule.after(lasts, Event::Task { task: key, step: TaskStep::SlowStartOver });
        }
    }

    /// The slow start of a target may be over, unless it has begun anew meanwhile.
    pub(super) fn on_slow_start_over(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let (Some(since), Some(owner)) = (task.slow_since, task.owner) else { return };
        if schedule.now() >= since + self.slow_start(owner.service, owner.deployment) {
            self.state.tasks[key].slow_since = None;
            self.count_in_lane(key, schedule);
        }
    }

    /// ELB-6: whether a registered task gets requests now: its targets are healthy, or none is and it is unhealthy like the
    /// rest.
    fn is_routed_to(&self, task: &Task) -> bool {
        let Some(owner) = task.owner else { return false };
        let groups = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        match task.target_health {
            Some(true) => true,
            Some(false) => groups.iter().any(|(id, _)| self.state.target_groups[id.index()].fails_open()),
            None => false,
        }
    }

    /// The health of a task's targets has changed: it takes load or does not, and if its group fails open now or no longer,
    /// so do the others.
    pub(super) fn reconsider_traffic(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let Some(owner) = self.state.tasks[key].owner else { return };
        let service = &self.state.services[owner.service.index()];
        // Only unhealthy targets are routed to by what the others are.
        let others = service.tasks.values().copied().filter(|other| {
            let task = &self.state.tasks[*other];
            *other != key && task.target_health == Some(false)
        });
        let concerned: Vec<TaskKey> = std::iter::once(key).chain(others).collect();
        for key in concerned {
            self.take_routed_load(key, schedule);
        }
    }

    /// A task that is routed to takes load once it answers; until then its requests fail.
    pub(super) fn take_routed_load(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let runs = task.last_status == TaskStatus::Running && task.desired_running();
        if !runs || !self.targets_take_load(key) {
            return;
        }
        let routed = self.is_routed_to(task);
        let answers =
            if task.target_health == Some(true) { schedule.now() } else { self.answers_next(key, schedule.now()) };
        if routed && answers > schedule.now() {
            schedule.at(answers, Event::Task { task: key, step: TaskStep::Answers });
        }
        self.task_takes_load(key, routed && answers <= schedule.now(), schedule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::CpuMilliUnits;

    #[test]
    fn elb_7_lanes_are_a_quarter_of_an_octave_wide() {
        let even = LaneKey { size: Some(0), ..LaneKey::default() };
        let of = |capacity, takers| {
            even.sized(&Part { takers, capacity: CpuMilliUnits(capacity), ..Part::default() }).size.unwrap()
        };
        assert_eq!(of(1024, 1), of(2048, 2));
        assert_eq!(of(1279, 1), of(1024, 1), "less than a quarter more");
        assert_eq!(of(1280, 1), of(1024, 1) + 1);
        assert_eq!(of(2048, 1), of(1024, 1) + 4);
        assert_eq!(of(0, 0), of(1, 1), "nothing is not a size of its own");
        let by_capacity = LaneKey::default().sized(&Part { takers: 1, capacity: CpuMilliUnits(9), ..Part::default() });
        assert_eq!(by_capacity, LaneKey::default());
    }
}
