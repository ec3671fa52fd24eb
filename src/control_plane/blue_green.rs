//! Blue/green, linear and canary deployments: a full second set of tasks, and traffic that moves to it (DEP-20…25).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Resource};
use crate::ecs::deployment::{DeploymentStrategy, Stage};
use crate::ecs::ids::{ServiceId, TaskKey};
use crate::ecs::service::ServiceStatus;
use crate::ecs::task::StopCode;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

/// DEP-21: how long a stage may last.
const STAGE_LIMIT: SimDuration = SimDuration::from_secs(24 * 3600);

/// The tasks of one revision.
#[derive(Debug, Default)]
struct Fleet {
    /// Wanted, on hosts that stay.
    active: u32,
    /// Of those, healthy ones.
    healthy: u32,
    /// Of those, given up by their checks.
    sick: Vec<TaskKey>,
    /// On DRAINING hosts: they go when others cover the desired count.
    draining: Vec<TaskKey>,
}

impl ControlPlane<'_> {
    /// The stage a new deployment begins in: a second set of tasks is scaled up where there is a first one (DEP-23).
    pub(super) fn first_stage(&self, id: ServiceId) -> Stage {
        let service = &self.state.services[id.index()];
        let rolling = service.deployment_configuration.strategy == DeploymentStrategy::Rolling;
        match service.in_production() {
            Some(blue) if !rolling && !service.tasks.is_empty() => Stage::ScaleUp { blue },
            _ => Stage::Rolling,
        }
    }

    /// One round of a service whose newest deployment goes through stages (DEP-21).
    pub(super) fn staged_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let service = &self.state.services[id.index()];
        if service.status != ServiceStatus::Active || service.launches_stopped() {
            return;
        }
        let Some(green) = service.primary().map(|primary| primary.number) else { return };
        let Some(blue) = service.primary().and_then(|primary| primary.stage.blue()) else { return };
        let keeps_blue = service.primary().is_none_or(|primary| primary.stage != Stage::CleanUp { blue });
        // RECONCILE_SERVICE: whatever belongs to neither revision goes.
        let others: Vec<TaskKey> = service
            .tasks
            .values()
            .copied()
            .filter(|key| {
                let deployment = self.state.tasks[*key].owner.map(|owner| owner.deployment);
                deployment != Some(green) && (deployment != Some(blue) || !keeps_blue)
            })
            .filter(|key| !self.state.tasks[*key].is_protected(schedule.now()))
            .collect();
        self.stop_all(id, &others, schedule);
        self.announce_stopped(id, &others, schedule.now());
        self.keep_fleet(id, green, schedule);
        if keeps_blue {
            self.keep_fleet(id, blue, schedule);
        }
        self.advance_stage(id, green, schedule);
    }

    fn fleet(&self, id: ServiceId, deployment: u32) -> Fleet {
        let mut fleet = Fleet::default();
        for key in self.state.services[id.index()].tasks.values() {
            let task = &self.state.tasks[*key];
            if task.owner.map(|owner| owner.deployment) != Some(deployment) {
                continue;
            }
            if self.is_on_draining_host(task) {
                fleet.draining.push(*key);
                continue;
            }
            fleet.active += 1;
            fleet.healthy += u32::from(task.healthy);
            if task.unhealthy {
                fleet.sick.push(*key);
            }
        }
        fleet
    }

    /// Each revision has the desired count of tasks: 200 % of it live until the clean-up (DEP-20).
    fn keep_fleet(&mut self, id: ServiceId, deployment: u32, schedule: &mut Schedule<Event>) {
        let fleet = self.fleet(id, deployment);
        let desired = self.state.services[id.index()].desired;
        for key in &fleet.sick {
            let reason = self.sick_reason(*key);
            self.stop_task(*key, StopCode::ServiceSchedulerInitiated, &reason, schedule);
        }
        if fleet.healthy >= desired {
            self.stop_all(id, &fleet.draining, schedule);
            self.announce_stopped(id, &fleet.draining, schedule.now());
        }
        let active = fleet.active - fleet.sick.len() as u32;
        if active > desired {
            let mine =
                move |task: &crate::ecs::task::Task| task.owner.map(|owner| owner.deployment) == Some(deployment);
            self.stop_chosen(id, move |_, task| mine(task), active - desired, schedule);
        } else if active < desired {
            self.start_tasks(id, deployment, desired - active, schedule);
        }
    }

    /// Moves the newest deployment through its stages as far as it can go now.
    fn advance_stage(&mut self, id: ServiceId, green: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        loop {
            let fleet = self.fleet(id, green);
            let service = &mut self.state.services[id.index()];
            let desired = service.desired;
            let steps = service.deployment_configuration.strategy.steps();
            let bake = service.deployment_configuration.bake_time.unwrap_or(SimDuration::ZERO);
            let Some(primary) = service.deployment_under_way() else { return };
            let created = primary.created;
            let next = match primary.stage {
                Stage::ScaleUp { blue } if fleet.healthy >= desired && fleet.active >= desired => {
                    Stage::Shifting { blue, step: 0, until: now }
                }
                Stage::ScaleUp { .. } => {
                    let limit = created + STAGE_LIMIT;
                    if now >= limit {
                        self.fail_stage(id, schedule);
                    } else {
                        self.round_at(id, limit, schedule);
                    }
                    return;
                }
                Stage::Shifting { until, .. } | Stage::Baking { until, .. } if until > now => {
                    self.round_at(id, until, schedule);
                    return;
                }
                Stage::Shifting { blue, step, .. } => {
                    let Some((share, bakes)) = steps.get(step).copied() else { return };
                    primary.traffic_permille = share;
                    primary.stage = if step + 1 < steps.len() {
                        Stage::Shifting { blue, step: step + 1, until: now + bakes }
                    } else {
                        Stage::Baking { blue, until: now + bake }
                    };
                    self.note_traffic(id, share, now);
                    continue;
                }
                Stage::Baking { blue, .. } => Stage::CleanUp { blue },
                Stage::CleanUp { .. } | Stage::Rolling => return,
            };
            primary.stage = next;
            if matches!(next, Stage::CleanUp { .. }) {
                self.wake_service(id, schedule);
                return;
            }
        }
    }

    /// The newest revision's share of the production traffic has changed.
    pub(super) fn note_traffic(&mut self, id: ServiceId, permille: u32, now: SimTime) {
        let percent = f64::from(permille) / 10.0;
        self.record_level(Resource::Service(id), "new_revision_traffic_percent", percent, now);
        self.decide(now, |state| {
            let strategy = state.service(id).deployment_configuration.strategy;
            Decision {
                actor: "service-scheduler",
                subject: state.resource_name(Resource::Service(id)),
                action: "shift-traffic",
                from: serde_json::Value::Null,
                to: json!(percent),
                reason: format!("the new revision takes {percent} % of the production traffic"),
                rule: strategy.rule(),
                inputs: json!({ "strategy": strategy.as_str() }),
            }
        });
    }

    /// One traffic switch: the revision that was in production is so again, and the new one goes (DEP-23).
    ///
    /// False when the newest deployment is not in a stage from which there is a way back.
    pub(super) fn switch_back(&mut self, id: ServiceId, reason: &str, schedule: &mut Schedule<Event>) -> bool {
        let now = schedule.now();
        let service = &mut self.state.services[id.index()];
        let Some(blue) = service.primary().and_then(|primary| primary.stage.blue()) else { return false };
        let Some(place) = service.deployments.iter().position(|deployment| deployment.number == blue) else {
            return false;
        };
        let mut back = service.deployments.remove(place);
        back.rollout = crate::ecs::deployment::RolloutState::InProgress;
        back.stage = Stage::Rolling;
        back.traffic_permille = 1000;
        let (aws_id, definition) = (back.aws_id(), back.definition);
        service.deployments.push(back);
        self.refresh_service_profile(id, definition);
        self.note_traffic(id, 0, now);
        let kind = ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS");
        self.announce_deployment(id, &aws_id, kind, format!("{reason} {aws_id}."), "", now);
        true
    }
}
