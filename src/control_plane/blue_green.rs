//! Blue/green, linear and canary deployments: a full second set of tasks, and traffic that moves to it (DEP-20…26).

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::lifecycle_hooks::Held;
use crate::control_plane::record::{Decision, Resource};
use crate::ecs::deployment::{RolloutState, ServiceDeploymentStatus};
use crate::ecs::ids::{ServiceId, TaskKey};
use crate::ecs::task::{StopCode, Task};
use crate::ecs::traffic_shift::{DEPLOYMENT_LIMIT, DeploymentStrategy, LifecycleStage, ShiftPlan, Stage};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

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

/// What becomes of a deployment at its present stage.
enum Outcome {
    /// It stays until something happens, or until then.
    Stays(Option<SimTime>),
    /// The stage is done.
    Done,
    /// It fails, for this reason, by this rule.
    Fails(String, &'static str),
}

impl ControlPlane<'_> {
    /// How the next deployment of a service moves its traffic, as the service is configured.
    pub(super) fn configured_plan(&self, id: ServiceId) -> ShiftPlan {
        let configuration = &self.state.services[id.index()].deployment_configuration;
        ShiftPlan {
            strategy: configuration.strategy,
            bake: configuration.bake_time.unwrap_or(SimDuration::ZERO),
            hooks: configuration.hooks.clone(),
            code_deploy: false,
        }
    }

    /// The stage a new deployment begins in: a second set of tasks is scaled up where there is a first one (DEP-23).
    pub(super) fn first_stage(&self, id: ServiceId, plan: &ShiftPlan, now: SimTime) -> Stage {
        let service = &self.state.services[id.index()];
        match service.in_production() {
            Some(blue) if plan.strategy != DeploymentStrategy::Rolling && !service.tasks.is_empty() => {
                // DEP-21: RECONCILE_SERVICE is there for more than one revision that is ACTIVE.
                Stage::first(blue, service.deployments.len() > 1, now)
            }
            _ => Stage::Rolling,
        }
    }

    /// One round of a service whose newest deployment goes through stages (DEP-21).
    pub(super) fn staged_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let service = &self.state.services[id.index()];
        if service.launches_stopped() {
            return;
        }
        let Some(primary) = service.primary() else { return };
        let (green, Some(blue), Some(at)) = (primary.number, primary.stage.blue(), primary.stage.at()) else { return };
        let (desired, keeps_blue) = (service.desired, at < LifecycleStage::CleanUp);
        // RECONCILE_SERVICE, and CLEAN_UP: whatever is neither revision's goes.
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
        if at >= LifecycleStage::ScaleUp {
            self.keep_fleet(id, green, desired, schedule);
        }
        if keeps_blue {
            self.keep_fleet(id, blue, desired, schedule);
        }
        self.advance_stages(id, green, schedule);
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

    /// Keeps so many tasks of a revision or task set: of both revisions the desired count, so that 200 % of it live until
    /// the clean-up (DEP-20). Tells whether all of them are there and healthy.
    pub(super) fn keep_fleet(
        &mut self,
        id: ServiceId,
        deployment: u32,
        desired: u32,
        schedule: &mut Schedule<Event>,
    ) -> bool {
        let fleet = self.fleet(id, deployment);
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
            let mine = |_: &Self, task: &Task| task.owner.is_some_and(|owner| owner.deployment == deployment);
            self.stop_chosen(id, mine, active - desired, schedule);
        } else if active < desired {
            self.start_tasks(id, deployment, desired - active, schedule);
        }
        fleet.active == desired && fleet.healthy == desired && fleet.draining.is_empty()
    }

    /// Moves the newest deployment through its stages as far as it can go now.
    fn advance_stages(&mut self, id: ServiceId, green: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        loop {
            let service = &mut self.state.services[id.index()];
            let Some(primary) = service.deployment_under_way().filter(|primary| primary.number == green) else {
                return;
            };
            let Stage::Staged { blue, at, since, step, missing_since } = primary.stage else { return };
            if at == LifecycleStage::CleanUp {
                return;
            }
            let (created, stage_limit) = (primary.created, primary.plan.limit(at));
            match self.outcome_of_stage(id, green, schedule) {
                Outcome::Fails(reason, rule) => {
                    self.fail_stage(id, &reason, rule, schedule);
                    return;
                }
                Outcome::Stays(until) => {
                    // A PAUSE that may take longer than a stage wins.
                    let hooks = &self.state.services[id.index()].deployments;
                    let pending = hooks.last().into_iter().flat_map(|primary| &primary.pending_hooks);
                    let limit = pending.map(|hook| hook.expires).fold(since + stage_limit, SimTime::max);
                    let limit = limit.min(created + DEPLOYMENT_LIMIT);
                    if now >= limit {
                        self.fail_stage(id, &format!("stage {} timed out", at.as_str()), "DEP-21", schedule);
                    } else {
                        self.round_at(id, until.map_or(limit, |until| until.min(limit)), schedule);
                    }
                    return;
                }
                Outcome::Done => {}
            }
            let service = &mut self.state.services[id.index()];
            let managed = service.traffic_is_managed();
            let Some(primary) = service.deployment_under_way() else { return };
            let steps = primary.plan.steps(managed).len();
            // Linear and canary deployments pass the two stages of the production shift at every step.
            let (next, step) = if at == LifecycleStage::ProductionTrafficShift && step + 1 < steps {
                (LifecycleStage::PreProductionTrafficShift, step + 1)
            } else {
                (at.next(), step)
            };
            primary.stage = Stage::Staged { blue, at: next, since: now, step, missing_since };
            self.enter_stage(id, next, step, schedule);
            if matches!(next, LifecycleStage::ScaleUp | LifecycleStage::CleanUp) {
                // The next round starts or stops tasks.
                self.wake_service(id, schedule);
                return;
            }
        }
    }

    /// A stage begins: traffic moves, hooks are asked.
    fn enter_stage(&mut self, id: ServiceId, stage: LifecycleStage, step: usize, schedule: &mut Schedule<Event>) {
        if stage == LifecycleStage::ProductionTrafficShift {
            let service = &mut self.state.services[id.index()];
            let managed = service.traffic_is_managed();
            let Some(primary) = service.deployment_under_way() else { return };
            if let Some((share, _)) = primary.plan.steps(managed).get(step).copied() {
                primary.traffic_permille = share;
                self.load.disturb(id);
                self.note_traffic(id, share, schedule.now());
            }
        }
        self.begin_stage_hooks(id, stage, schedule.now());
    }

    /// Whether the newest deployment is done with its present stage.
    fn outcome_of_stage(&mut self, id: ServiceId, green: u32, schedule: &mut Schedule<Event>) -> Outcome {
        let now = schedule.now();
        let fleet = self.fleet(id, green);
        let held = match self.ask_stage_hooks(id, now) {
            Held::Fails(reason) => return Outcome::Fails(reason, "DEP-22"),
            Held::Until(until) => Some(until),
            Held::Free => None,
        };
        let service = &mut self.state.services[id.index()];
        let (desired, managed) = (service.desired, service.traffic_is_managed());
        let complete = fleet.healthy >= desired && fleet.active >= desired;
        let Some(primary) = service.deployment_under_way() else { return Outcome::Stays(None) };
        let (steps, bake, patience) = (primary.plan.steps(managed), primary.plan.bake, primary.plan.patience());
        let Stage::Staged { at, since, step, missing_since, .. } = &mut primary.stage else {
            return Outcome::Stays(None);
        };
        let own = match at {
            LifecycleStage::ScaleUp if !complete => return Outcome::Stays(None),
            LifecycleStage::ProductionTrafficShift if *step + 1 < steps.len() => Some(*since + steps[*step].1),
            LifecycleStage::BakeTime => Some(*since + bake),
            _ => None,
        };
        let mut until = own.filter(|until| *until > now);
        if let Some(patience) = patience.filter(|_| *at == LifecycleStage::ProductionTrafficShift) {
            // DEP-26: a scaling event during the shift; the green tasks have five minutes.
            *missing_since = if complete { None } else { Some(missing_since.unwrap_or(now)) };
            if let Some(missing) = *missing_since {
                if now >= missing + patience {
                    return Outcome::Fails("green tasks are missing while traffic moves".to_owned(), "DEP-26");
                }
                until = until.map(|until| until.min(missing + patience));
            }
        }
        match (held, until) {
            (None, None) => Outcome::Done,
            (Some(held), None) => Outcome::Stays(Some(held)),
            (None, Some(until)) => Outcome::Stays(Some(until)),
            (Some(held), Some(until)) => Outcome::Stays(Some(held.min(until))),
        }
    }

    /// The newest revision's share of the production traffic has changed.
    pub(super) fn note_traffic(&mut self, id: ServiceId, permille: u32, now: SimTime) {
        let percent = f64::from(permille) / 10.0;
        self.record_level(Resource::Service(id), "new_revision_traffic_percent", percent, now);
        self.decide(now, |state| {
            let plan = state.service(id).primary().map(|primary| primary.plan.clone()).unwrap_or_default();
            Decision {
                actor: "service-scheduler",
                subject: state.resource_name(Resource::Service(id)),
                action: "shift-traffic",
                from: serde_json::Value::Null,
                to: json!(percent),
                reason: format!("the new revision takes {percent} % of the production traffic"),
                rule: plan.rule(),
                inputs: json!({ "strategy": plan.strategy.as_str() }),
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
        // Recorded while the deployment that gives the traffic back still is the newest.
        self.note_traffic(id, 0, now);
        let service = &mut self.state.services[id.index()];
        let mut back = service.deployments.remove(place);
        let failed = service.deployments.last_mut().map(|failed| {
            failed.traffic_permille = 0;
            failed.pending_hooks.clear();
            failed.id
        });
        back.rollout = RolloutState::InProgress;
        back.status = ServiceDeploymentStatus::InProgress;
        back.rolls_back = failed;
        back.stage = Stage::Rolling;
        back.traffic_permille = 1000;
        let (aws_id, definition) = (back.aws_id(), back.definition);
        service.deployments.push(back);
        self.load.disturb(id);
        self.refresh_service_profile(id, definition);
        let kind = ("INFO", "SERVICE_DEPLOYMENT_IN_PROGRESS");
        self.announce_deployment(id, &aws_id, kind, format!("{reason} {aws_id}."), "", now);
        true
    }
}
