//! The health of tasks, by container checks and target groups, and what it means to their services (SVC-7…9, TD-17…19).

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, TaskStep};
use crate::ecs::container::{self, HealthStatus};
use crate::ecs::ids::{TargetGroupId, TaskKey};
use crate::ecs::service::ServiceLoadBalancer;
use crate::ecs::target_group::{self, Answers, BalancerKind, HealthCheck, Probed};
use crate::ecs::task::{Task, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};

impl ControlPlane<'_> {
    /// A task of a service runs: from now on its health matters (SVC-7).
    pub(super) fn watch_health(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let Some(owner) = task.owner else { return };
        let balanced = !self.state.services[owner.service.index()].load_balancers_of(owner.deployment).is_empty();
        if balanced {
            self.foresee_target_health(key, schedule);
        } else if self.container_health(task).is_none() {
            let draws = &mut self.definition_chance[task.definition.index()];
            let delay = self.estate.delays.healthy.sample_duration(&mut draws.health);
            schedule.after(delay, Event::Task { task: key, step: TaskStep::Waited });
        }
        self.judge_health(key, schedule);
    }

    /// Schedules every change that the checks of the task's target groups will see (ELB-4…6); where what they find depends on
    /// the requests in the task, the first probe of each.
    fn foresee_target_health(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let starts = starts(&self.state.tasks[key]);
        if self.probes_meet_requests(key) {
            let checks = self.with_probed(key, now, |probed| {
                probed.iter().map(|group| (group.check, group.first_probe)).collect::<Vec<_>>()
            });
            self.begin_probes(key, &checks.unwrap_or_default(), schedule);
            return;
        }
        let known = self.state.tasks[key].target_health;
        let changes = self.with_probed(key, now, |probed| target_group::health_changes(probed, known));
        for change in changes.unwrap_or_default() {
            let step = TaskStep::TargetHealth { healthy: change.healthy, starts };
            schedule.at(change.at, Event::Task { task: key, step });
        }
    }

    /// Shows `look` how each target group of a task sees it from `now` on; `None` of a task that has none, or does not run.
    pub(super) fn with_probed<R>(
        &self,
        key: TaskKey,
        now: SimTime,
        look: impl FnOnce(&[Probed<'_>]) -> R,
    ) -> Option<R> {
        let task = &self.state.tasks[key];
        let (Some(owner), Some(registered)) = (task.owner, task.times.started) else { return None };
        let entry = &self.state.definitions[task.definition.index()];
        let software = &self.state.software[task.software.index()];
        // Nothing reaches an impaired zone, its targets included.
        let impaired: Vec<(SimTime, Option<SimTime>)> =
            task.zone.map(|zone| self.impairments.zone_spans(zone).collect()).unwrap_or_default();
        let silences: Vec<Vec<(SimDuration, SimDuration)>> = task
            .containers
            .iter()
            .zip(&software.behaviours)
            .map(|(container, behaviour)| {
                let started = container.started.unwrap_or(registered);
                let since = |at: SimTime| at.saturating_since(started);
                let unreached =
                    impaired.iter().map(|(from, to)| (since(*from), to.map_or(SimDuration::CENTURY, since)));
                behaviour.unresponsive.iter().copied().chain(unreached).collect()
            })
            .collect();
        let first = registered + self.estate.behaviour.elb_first_probe;
        let probed: Vec<Probed<'_>> = self.state.services[owner.service.index()]
            .load_balancers_of(owner.deployment)
            .iter()
            .map(|(target_group, balanced)| {
                let group = &self.state.target_groups[target_group.index()];
                let settings = &group.definition;
                let place = entry.definition.container_named(&balanced.container);
                let container = &task.containers[place];
                let check = HealthCheck {
                    interval: settings.health_check_interval,
                    timeout: group.timeout,
                    healthy_threshold: settings.healthy_threshold,
                    unhealthy_threshold: settings.unhealthy_threshold,
                    initial_passes: self.estate.behaviour.elb_initial_passes,
                };
                let since = now.saturating_since(first);
                let probes = since.as_nanos().div_ceil(check.interval.as_nanos().max(1));
                Probed {
                    check,
                    first_probe: first + check.interval * probes,
                    answers: Answers {
                        started: container.started.unwrap_or(registered),
                        // ELB-3: whoever answers with another status than the matcher's never passes.
                        ready: if group.refused_status(&software.behaviours[place]).is_some() {
                            container.ready.saturating_add(SimDuration::CENTURY)
                        } else {
                            container.ready
                        },
                        silent: &silences[place],
                    },
                }
            })
            .collect();
        Some(look(&probed))
    }

    /// What the probes of a task will meet has changed: everything foreseen of them is void.
    pub(super) fn probe_anew(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        task.probe_epoch = task.probe_epoch.wrapping_add(1);
        self.foresee_target_health(key, schedule);
    }

    /// A container has been restarted: what was foreseen of the task's targets no longer holds.
    pub(super) fn targets_restarted(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        if self.state.tasks[key].registered {
            self.foresee_target_health(key, schedule);
        }
    }

    /// The checks of the target groups say something new of a task.
    pub(super) fn on_target_health(&mut self, key: TaskKey, healthy: bool, of: u16, schedule: &mut Schedule<Event>) {
        if starts(&self.state.tasks[key]) == of {
            self.on_targets_say(key, healthy, schedule);
        }
    }

    /// The target groups of a task say that it is healthy, or that it is not.
    pub(super) fn on_targets_say(&mut self, key: TaskKey, healthy: bool, schedule: &mut Schedule<Event>) {
        let before = self.set_target_health(key, Some(healthy), schedule.now());
        if before != Some(healthy) {
            if healthy {
                self.begin_slow_start(key, schedule);
            } else {
                self.announce_unhealthy_targets(key, schedule.now());
            }
            self.reconsider_traffic(key, schedule);
        }
        self.judge_health(key, schedule);
    }

    /// The first instant from `now` on at which the application behind a task's targets answers.
    pub(super) fn answers_next(&self, key: TaskKey, now: SimTime) -> SimTime {
        let task = &self.state.tasks[key];
        let (Some(owner), Some(started)) = (task.owner, task.times.started) else { return now };
        let entry = &self.state.definitions[task.definition.index()];
        let balancers = self.state.services[owner.service.index()].load_balancers_of(owner.deployment);
        let answers = balancers.iter().map(|(_, balanced)| {
            let place = entry.definition.container_named(&balanced.container);
            let container = &task.containers[place];
            let silent = &self.state.software[task.software.index()].behaviours[place].unresponsive;
            Answers { started: container.started.unwrap_or(started), ready: container.ready, silent }.next(now)
        });
        answers.max().unwrap_or(now)
    }

    /// SVC-7: nothing checks the task, and it has run long enough.
    pub(super) fn on_waited(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        self.state.tasks[key].waited = true;
        self.judge_health(key, schedule);
    }

    /// A container's health check says something new (TD-17).
    pub(super) fn on_container_health(
        &mut self,
        key: TaskKey,
        place: usize,
        health: HealthStatus,
        schedule: &mut Schedule<Event>,
    ) {
        self.state.tasks[key].containers[place].health = Some(health);
        if !self.state.tasks[key].desired_running() {
            return;
        }
        // TD-11: whoever waits for HEALTHY may start.
        self.on_containers_changed(key, schedule);
        self.judge_health(key, schedule);
    }

    /// The health of a task by its containers' checks; `None` when no check counts (TD-18).
    pub(super) fn container_health(&self, task: &Task) -> Option<HealthStatus> {
        let definitions = &self.state.definitions[task.definition.index()].definition.containers;
        container::task_health(definitions, &task.containers, self.estate.behaviour.health_ignores_unchecked)
    }

    /// SVC-7 to SVC-9: whether the task counts as healthy, and whether its service is to replace it.
    ///
    /// Container checks and target groups have to agree. Within the grace period failures have no consequence; a task
    /// that is still sick at its end has.
    pub(super) fn judge_health(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let task = &self.state.tasks[key];
        let (Some(owner), Some(started)) = (task.owner, task.times.started) else { return };
        if !task.desired_running() || task.last_status != TaskStatus::Running {
            return;
        }
        let service = &self.state.services[owner.service.index()];
        let balancers = service.load_balancers_of(owner.deployment);
        let balanced = !balancers.is_empty();
        // ELB-13: a Classic Load Balancer is the only one whose checks count.
        let classic = |id: TargetGroupId| self.state.target_groups[id.index()].kind == BalancerKind::Classic;
        let said = self.container_health(task).filter(|_| !balancers.iter().any(|(id, _)| classic(*id)));
        let healthy = match said {
            None if !balanced => task.waited,
            said => {
                said.is_none_or(|said| said == HealthStatus::Healthy) && (!balanced || task.target_health == Some(true))
            }
        };
        let sick = said == Some(HealthStatus::Unhealthy) || task.target_health == Some(false);
        let grace_over = started.saturating_add(service.health_check_grace);
        let unhealthy = sick && now >= grace_over;
        if sick && !unhealthy {
            schedule.at(grace_over, Event::Task { task: key, step: TaskStep::GraceOver });
        }
        let task = &mut self.state.tasks[key];
        let turned = std::mem::replace(&mut task.healthy, healthy) != healthy;
        let given_up = std::mem::replace(&mut task.unhealthy, unhealthy) != unhealthy;
        if turned {
            let service = &mut self.state.services[owner.service.index()];
            if healthy {
                service.healthy += 1;
            } else {
                service.healthy -= 1;
            }
        }
        if turned && healthy {
            self.note_healthy_task(owner, now);
        }
        if given_up && unhealthy {
            self.count_failure(owner, schedule);
        }
        if given_up && unhealthy && said == Some(HealthStatus::Unhealthy) {
            self.announce_failed_checks(key, now);
        }
        if turned || given_up {
            self.wake_service(owner.service, schedule);
        }
    }

    /// EVT-5: the line of a task whose container checks have failed.
    fn announce_failed_checks(&mut self, key: TaskKey, now: SimTime) {
        let task = &self.state.tasks[key];
        let (Some(owner), id) = (task.owner, task.id) else { return };
        self.announce_in_list(owner.service, &format!("(task {id:032x}) failed container health checks."), now);
    }

    /// Why a sick task is stopped (spec, section 2.2).
    pub(super) fn sick_reason(&self, key: TaskKey) -> String {
        let task = &self.state.tasks[key];
        if self.container_health(task) == Some(HealthStatus::Unhealthy) {
            return "Task failed container health checks".to_owned();
        }
        let balancers =
            task.owner.map(|owner| self.state.services[owner.service.index()].load_balancers_of(owner.deployment));
        let target_group = balancers.and_then(|balancers| balancers.first());
        let arn = target_group.map(|(id, _)| self.state.target_group_arn(*id)).unwrap_or_default();
        format!("Task failed ELB health checks in (target-group {arn})")
    }

    /// Why the checks of a target group fail a task's target, in Elastic Load Balancing's words.
    pub(super) fn failed_check_reason(
        &self,
        task: &Task,
        (group, balancer): (TargetGroupId, &ServiceLoadBalancer),
        now: SimTime,
    ) -> String {
        let entry = &self.state.definitions[task.definition.index()];
        let group = &self.state.target_groups[group.index()];
        let place = entry.definition.container_named(&balancer.container);
        let behaviour = &self.state.software[task.software.index()].behaviours[place];
        if let Some(status) = group.refused_status(behaviour) {
            return format!("Health checks failed with these codes: [{status}]");
        }
        let since = now.saturating_since(task.containers[place].started.unwrap_or(now));
        // A probe that nobody answers is known to have failed when its time is out.
        let silent =
            |(from, to): &(SimDuration, SimDuration)| *from <= since && since <= to.saturating_add(group.timeout);
        let text = if behaviour.unresponsive.iter().any(silent) { "Request timed out" } else { "Health checks failed" };
        text.to_owned()
    }
}

/// How often the containers of a task have been started, all together, and its probes foreseen anew.
fn starts(task: &Task) -> u16 {
    task.containers.iter().fold(task.probe_epoch, |sum, container| sum.wrapping_add(container.starts))
}
