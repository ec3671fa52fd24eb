//! The service scheduler: keeps the desired count, rolls out revisions, backs off (SVC-*, DEP-*).

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::explain::Batch;
use crate::control_plane::record::{Decision, Resource, ServiceAction};
use crate::control_plane::tasks::{LaunchRefusal, Launched, NO_FARGATE, NewTask, TASK_QUOTA, VCPU_QUOTA};
use crate::ecs::capacity_provider;
use crate::ecs::container_instance::ContainerInstanceStatus;
use crate::ecs::deployment::{self, Deployment, RolloutState, ServiceDeploymentStatus, TaskCounts};
use crate::ecs::ids::{ProfileId, ServiceId, TaskKey};
use crate::ecs::service::{DeploymentController, ResolvedLaunch, SchedulingStrategy, ServiceStatus, TokenBucket};
use crate::ecs::task::{LaunchTarget, StopCode, Task, TaskOwner, TaskStatus};
use crate::ecs::traffic_shift::{LifecycleStage, Stage};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::failure;
use crate::placement::scale_in::{self, StopCandidate};
use crate::placement::strategy::PlacementStrategy;
use crate::refused::Refused;

/// FG-10: why a task on a retired revision of the platform stops (Developer Guide, "Task retirement and maintenance").
const MAINTENANCE: &str = "ECS is performing maintenance on the underlying infrastructure hosting the task";

impl ControlPlane<'_> {
    /// Makes sure a round of this service's scheduler is due at `at` or earlier (SVC-5).
    pub(super) fn round_at(&mut self, service: ServiceId, at: SimTime, schedule: &mut Schedule<Event>) {
        let entry = &mut self.state.services[service.index()];
        if entry.next_round.is_none_or(|due| at < due) {
            entry.next_round = Some(at);
            schedule.at(at, Event::ServiceRound(service));
        }
    }

    /// A round at the loop's first tick from `due` on: the end of a back-off is no event, the loop finds it (SVC-5).
    pub(super) fn round_at_tick(&mut self, service: ServiceId, due: SimTime, schedule: &mut Schedule<Event>) {
        let at = due.max(schedule.now()).next_multiple_of(self.estate.behaviour.svc_tick);
        self.round_at(service, at, schedule);
    }

    /// One round: count, decide from one snapshot, start and stop (SVC-5, DEP-3).
    ///
    /// AWS's loop ticks every few seconds (`svc_tick_s`). A tick at which nothing has changed decides nothing, so a
    /// round runs at each event that concerns the service, when a launch token comes due, and at the tick after a back-off.
    pub(super) fn on_service_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &mut self.state.services[id.index()];
        if service.next_round.is_some_and(|due| due <= now) {
            service.next_round = None;
        }
        self.announce_target_news(id, now);
        let service = &self.state.services[id.index()];
        if service.status == ServiceStatus::Inactive {
            return;
        }
        if service.scheduling == SchedulingStrategy::Daemon {
            self.daemon_round(id, schedule);
            self.finish_round(id, schedule);
            return;
        }
        self.stop_pending_on_draining_hosts(id, schedule);
        let service = &self.state.services[id.index()];
        if service.controller == DeploymentController::External {
            self.external_round(id, schedule);
            return;
        }
        if service.status == ServiceStatus::Active
            && service.primary().is_some_and(|newest| newest.stage.blue().is_some())
        {
            self.staged_round(id, schedule);
            self.finish_round(id, schedule);
            return;
        }
        let moving = self.rebalancing_surplus(id, schedule);
        let view = self.count_tasks(id);
        let service = &self.state.services[id.index()];
        let (desired, limits) = (service.desired, service.limits());
        // A sick task is replaced first if the upper limit allows (SVC-8): it is wanted in excess of D for that long.
        let replaces = if self.estate.behaviour.unhealthy_stop_first { 0 } else { view.sick };
        let wanted = desired.saturating_add(replaces).saturating_add(moving).min(limits.upper.max(desired));
        let mut step = deployment::rolling_step(wanted, limits, view.counts, self.estate.behaviour.hi_counts_stopping);
        if service.launches_stopped() {
            // DEP-14: what still runs goes on running.
            step = deployment::RollingStep::default();
        }
        let excess = view.counts.new_active.saturating_sub(wanted);
        let idle = step == deployment::RollingStep::default() && view.counts.stopping == 0;
        if idle && view.counts.old_active > 0 && deployment::is_stuck(desired, limits) {
            self.report_stuck_deployment(id, now);
        }
        let created_before = self.tasks_created;
        let stops = step.stop_unhealthy + step.stop_healthy;
        if stops > 0 {
            self.stop_outgoing(id, &step, schedule);
        }
        if excess > 0 {
            self.scale_in(id, excess, schedule);
        }
        if view.sick > 0 && !self.state.services[id.index()].launches_stopped() {
            self.stop_replaced_sick_tasks(id, schedule);
        }
        if step.start > 0 && self.state.services[id.index()].status == ServiceStatus::Active {
            let newest = self.state.services[id.index()].primary().map_or(0, |primary| primary.number);
            self.start_tasks(id, newest, step.start, schedule);
        }
        let started = (self.tasks_created - created_before) as u32;
        if started > 0 || stops > 0 {
            let batch = Batch {
                started,
                stopped: stops,
                new: view.counts.new_active,
                old: view.counts.old_active,
                healthy: view.counts.healthy,
                stopping: view.counts.stopping,
                missing: wanted.saturating_sub(view.counts.new_active.saturating_add(step.start)),
            };
            self.explain_batch(id, batch, now);
        }
        self.finish_round(id, schedule);
    }

    /// Counts the tasks of a service as DEP-2 sees them.
    ///
    /// Tasks on DRAINING hosts count with the old ones: they are to be replaced within the same limits (SVC-16, DRN-2).
    /// So do those on a revision of the Fargate platform that AWS retires (FG-10).
    fn count_tasks(&self, id: ServiceId) -> RoundView {
        let service = &self.state.services[id.index()];
        let total = service.tasks.len() as u32;
        let mut view = RoundView {
            counts: TaskCounts {
                new_active: total,
                healthy: service.healthy,
                stopping: service.stopping,
                ..TaskCounts::default()
            },
            sick: 0,
        };
        // Only a service in motion needs a look at each task; the usual round is O(1).
        if service.deployments.len() <= 1 && self.draining_hosts == 0 && !self.retires && service.healthy == total {
            return view;
        }
        let newest = service.primary().map(|deployment| deployment.number);
        for key in service.tasks.values() {
            let task = &self.state.tasks[*key];
            if self.is_outgoing(task, newest) {
                view.counts.new_active -= 1;
                view.counts.old_active += 1;
                view.counts.old_healthy += u32::from(task.healthy);
            } else if task.unhealthy {
                view.sick += 1;
            }
        }
        view
    }

    fn is_outgoing(&self, task: &Task, newest: Option<u32>) -> bool {
        task.owner.map(|owner| owner.deployment) != newest || task.retiring || self.is_on_draining_host(task)
    }

    pub(super) fn is_on_draining_host(&self, task: &Task) -> bool {
        self.draining_hosts > 0
            && task.instance.is_some_and(|instance| {
                let cluster = &self.state.clusters[task.cluster.index()].cluster;
                cluster.instance(instance).is_some_and(|host| host.status == ContainerInstanceStatus::Draining)
            })
    }

    /// DRN-2: on a draining host, service tasks that do not run yet are stopped at once.
    fn stop_pending_on_draining_hosts(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        if self.draining_hosts == 0 {
            return;
        }
        let service = &self.state.services[id.index()];
        let doomed: Vec<TaskKey> = service
            .tasks
            .values()
            .copied()
            .filter(|key| {
                let task = &self.state.tasks[*key];
                task.last_status < TaskStatus::Running && self.is_on_draining_host(task)
            })
            .collect();
        let reason = self.scaling_reason(id);
        for key in doomed {
            self.stop_task(key, StopCode::ServiceSchedulerInitiated, &reason, schedule);
        }
    }

    /// Starts up to `count` tasks of the deployment with this number, as launch rate and back-off allow.
    pub(super) fn start_tasks(&mut self, id: ServiceId, of: u32, count: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &self.state.services[id.index()];
        let not_before = service.start_backoff.not_before.max(service.placement_backoff.not_before);
        if not_before > now {
            self.round_at_tick(id, not_before, schedule);
            return;
        }
        let Some(definition) = service.deployment(of).map(|deployment| deployment.definition) else { return };
        let shape = self.definition_shapes[definition.index()];
        let profile = self.profile_of(id, of);
        let allowed = self.state.services[id.index()].launch_tokens.take(count, now);
        let mut started = Vec::new();
        let (mut refused, mut throttled) = (None, None);
        // Launches that Fargate refused: the service tries again there, and nowhere else (CP-9, CP-14).
        let mut elsewhere: Vec<LaunchTarget> = Vec::new();
        for attempt in 0..allowed {
            let Some(launch) = self.next_launch_target(id, of, &elsewhere) else {
                self.state.services[id.index()].launch_tokens.put_back(allowed - attempt);
                break;
            };
            if !self.take_fargate_tokens(launch, 1, now) {
                // FG-7: what is beyond the account's rate waits.
                self.state.services[id.index()].launch_tokens.put_back(allowed - attempt);
                throttled = Some(launch);
                break;
            }
            let owner = TaskOwner { service: id, deployment: of };
            let service = &self.state.services[id.index()];
            let new = NewTask::of_service(service, owner, (definition, shape), profile, launch);
            match self.launch_task(new, schedule) {
                Launched::Created(key) => started.push(key),
                Launched::Refused(
                    refusal @ (LaunchRefusal::NoFargate | LaunchRefusal::VcpuQuota | LaunchRefusal::TaskQuota),
                ) => {
                    refused = Some(refusal);
                    elsewhere.push(launch);
                    self.state.services[id.index()].launch_tokens.put_back(1);
                    self.fargate_bucket(launch).put_back(1);
                }
                Launched::Refused(refusal) => {
                    refused = Some(refusal);
                    // SVC-14 limits launches; what was not launched costs nothing.
                    self.state.services[id.index()].launch_tokens.put_back(allowed - attempt);
                    break;
                }
            }
        }
        self.announce_tasks(id, "has started {} tasks", &started, ServiceAction::info("TASKS_STARTED"), now);
        if let Some(refusal) = refused {
            self.on_unplaced(id, &refusal, schedule);
        } else if let Some(launch) = throttled {
            if let Some(at) = self.fargate_bucket(launch).next_token() {
                self.round_at(id, at.max(now), schedule);
            }
        } else if allowed < count {
            self.wait_for_token(id, schedule);
        } else if !self.has_custom_scheduler(self.state.services[id.index()].cluster) {
            // A custom scheduler has yet to decide.
            self.state.services[id.index()].placement_backoff.clear();
        }
    }

    fn fargate_bucket(&mut self, launch: LaunchTarget) -> &mut TokenBucket {
        let spot = launch == LaunchTarget::Provider(capacity_provider::Provider::FargateSpot);
        &mut self.fargate_tokens[usize::from(spot)]
    }

    /// FG-7: takes `count` launches from the account's rate, all or none; elsewhere than on Fargate there is no such rate.
    pub(super) fn take_fargate_tokens(&mut self, launch: LaunchTarget, count: u32, now: SimTime) -> bool {
        if !launch.is_fargate() {
            return true;
        }
        let bucket = self.fargate_bucket(launch);
        let taken = bucket.take(count, now);
        if taken < count {
            bucket.put_back(taken);
        }
        taken == count
    }

    /// SVC-14: launches beyond the rate wait for the next token.
    pub(super) fn wait_for_token(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        if let Some(at) = self.state.services[id.index()].launch_tokens.next_token() {
            self.round_at(id, at.max(schedule.now()), schedule);
        }
    }

    /// The placement rules of the tasks of a deployment: the service's own for the newest.
    ///
    /// A task set has zones of its own, and a revision that is kept beside the newest its own definition's constraints.
    fn profile_of(&mut self, id: ServiceId, of: u32) -> ProfileId {
        let service = &self.state.services[id.index()];
        let Some(deployment) = service.deployment(of) else { return service.profile };
        let is_newest = service.primary().is_some_and(|newest| newest.number == of);
        if is_newest && deployment.task_set.is_none() {
            return service.profile;
        }
        let zones = deployment.task_set.as_ref().map_or(&service.zones, |set| &set.zones).clone();
        let (definition, constraints) = (deployment.definition, service.constraints.clone());
        let extras = service.extras(deployment.task_set.as_ref());
        let strategy = service.strategy.clone();
        self.intern_profile(definition, &constraints, &zones, PlacementStrategy::of_service(&strategy), extras)
    }

    /// Where the tasks of a deployment go.
    fn launch_of(&self, id: ServiceId, of: u32) -> &ResolvedLaunch {
        let service = &self.state.services[id.index()];
        let task_set = service.deployment(of).and_then(|deployment| deployment.task_set.as_ref());
        task_set.map_or(&service.launch, |set| &set.launch)
    }

    /// The provider or launch type of the next task of a deployment (CP-4…8): counts are of its wanted tasks, and of those
    /// that could not be launched just now.
    pub(super) fn next_launch_target(&self, id: ServiceId, of: u32, refused: &[LaunchTarget]) -> Option<LaunchTarget> {
        match self.launch_of(id, of) {
            ResolvedLaunch::Type(target) => Some(*target),
            ResolvedLaunch::Strategy(items) => {
                // With one provider there is nothing to choose, and nothing to count.
                let mut counts = if items.len() > 1 { self.provider_counts(id, of) } else { Vec::new() };
                for (count, item) in counts.iter_mut().zip(items) {
                    let target = LaunchTarget::Provider(item.provider);
                    *count += refused.iter().filter(|refused| **refused == target).count() as u32;
                }
                capacity_provider::choose(items, &counts, self.estate.behaviour.zero_weight_base)
                    .map(|chosen| LaunchTarget::Provider(items[chosen].provider))
            }
        }
    }

    /// Tasks of a deployment per item of its strategy (CP-7).
    fn provider_counts(&self, id: ServiceId, of: u32) -> Vec<u32> {
        let service = &self.state.services[id.index()];
        let ResolvedLaunch::Strategy(items) = self.launch_of(id, of) else { return Vec::new() };
        let mut counts = vec![0; items.len()];
        for key in service.tasks.values() {
            let task = &self.state.tasks[*key];
            if task.owner.is_some_and(|owner| owner.deployment == of)
                && let LaunchTarget::Provider(provider) = task.launch
                && let Some(place) = items.iter().position(|item| item.provider == provider)
            {
                counts[place] += 1;
            }
        }
        counts
    }

    /// No room for a task: the event of PLACE-18, and the clock of SVC-12.
    fn on_unplaced(&mut self, id: ServiceId, refusal: &LaunchRefusal, schedule: &mut Schedule<Event>) {
        let (text, reason, rule) = match refusal {
            LaunchRefusal::NoRoom(launch) => self.placement_failure(id, *launch),
            LaunchRefusal::Quota => (
                format!(
                    "was unable to place a task: the cluster already has {} tasks in PROVISIONING.",
                    self.estate.behaviour.provisioning_quota
                ),
                "RESOURCE:CAPACITY".to_owned(),
                "PRV-3",
            ),
            // Spec, section 2.3.
            LaunchRefusal::NoFargate => {
                (format!("was unable to place a task. Reason: {NO_FARGATE}."), "RESOURCE:FARGATE".to_owned(), "FG-5")
            }
            LaunchRefusal::TaskQuota => {
                (format!("was unable to place a task. Reason: {TASK_QUOTA}."), "RESOURCE:FARGATE".to_owned(), "LIM-1")
            }
            LaunchRefusal::VcpuQuota => {
                (format!("was unable to place a task. Reason: {VCPU_QUOTA}."), "RESOURCE:FARGATE".to_owned(), "FG-8")
            }
        };
        self.report_unplaced(id, &text, &reason, rule, schedule);
    }

    /// A task that could not be placed: said, decided, and tried again (SVC-12).
    pub(super) fn report_unplaced(
        &mut self,
        id: ServiceId,
        text: &str,
        reason: &str,
        rule: &'static str,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let behaviour = &self.estate.behaviour;
        let (base, max) = (behaviour.throttle_base, behaviour.unplaced_max);
        let service = &mut self.state.services[id.index()];
        let retry = service.placement_backoff.fail(now, base, max);
        let cluster = service.cluster;
        if behaviour.unplaced_wake {
            self.state.clusters[cluster.index()].blocked.insert(id);
        }
        self.round_at_tick(id, retry, schedule);
        self.decide(now, |state| Decision {
            actor: "service-scheduler",
            subject: state.resource_name(Resource::Service(id)),
            action: "not-placed",
            from: serde_json::Value::Null,
            to: serde_json::Value::Null,
            reason: text.to_owned(),
            rule,
            inputs: serde_json::json!({ "retry_s": retry.as_secs_f64(), "reason": reason }),
        });
        let action = ServiceAction::error("SERVICE_TASK_PLACEMENT_FAILURE", Some(reason.to_owned()));
        self.announce_problem(id, text, action, now);
    }

    fn placement_failure(&self, id: ServiceId, launch: LaunchTarget) -> (String, String, &'static str) {
        let service = &self.state.services[id.index()];
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        let Some(definition) = service.definition() else { return Default::default() };
        let shape = self.definition_shapes[definition.index()];
        let request = self.placement_request(shape, service.profile, service.group, launch);
        let refusal = failure::explain(cluster, &request);
        let reason = refusal.closest.map_or_else(|| "NO ACTIVE INSTANCES".to_owned(), |(_, reason)| reason.to_string());
        (refusal.service_message(), reason, "PLACE-18")
    }

    /// FG-10: AWS stops a task on an old revision of the Fargate platform; a service replaces it first, within its limits.
    ///
    /// A scheduler outside ECS, or the stages of a blue/green deployment, are not asked: their task stops at once.
    pub(super) fn retire_task(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        let owner = task.owner.map(|owner| owner.service).filter(|id| {
            let service = &self.state.services[id.index()];
            service.controller != DeploymentController::External
                && service.primary().is_some_and(|newest| newest.stage.blue().is_none())
        });
        match owner {
            Some(service) => {
                task.retiring = true;
                self.retires = true;
                self.wake_service(service, schedule);
            }
            None => self.stop_task(key, StopCode::TerminationNotice, MAINTENANCE, schedule),
        }
    }

    /// DEP-3: old tasks that are not healthy go first, wherever they are; then the others, in the order of PLACE-22.
    fn stop_outgoing(&mut self, id: ServiceId, step: &deployment::RollingStep, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let newest = self.state.services[id.index()].primary().map(|deployment| deployment.number);
        let mut stopped = Vec::new();
        for (healthy, count) in [(false, step.stop_unhealthy), (true, step.stop_healthy)] {
            let of_this_kind = |plane: &Self, task: &Task| task.healthy == healthy && plane.is_outgoing(task, newest);
            let chosen = self.choose_stop(id, of_this_kind, count, now);
            self.stop_all(id, &chosen, schedule);
            stopped.extend(chosen);
        }
        self.announce_stopped(id, &stopped, now);
        self.note_spared(id, step.stop_unhealthy + step.stop_healthy, stopped.len(), now);
    }

    /// Stops `count` tasks because the desired count is lower (PLACE-20…23, CP-10).
    ///
    /// Old ones and those on DRAINING hosts are not among them: they go by the limits of [`Self::stop_outgoing`], and were
    /// not counted.
    fn scale_in(&mut self, id: ServiceId, count: u32, schedule: &mut Schedule<Event>) {
        let newest = self.state.services[id.index()].primary().map(|deployment| deployment.number);
        if self.provider_to_leave(id).is_none() {
            self.stop_chosen(id, |plane, task| !plane.is_outgoing(task, newest), count, schedule);
            return;
        }
        let mut stopped = Vec::new();
        for _ in 0..count {
            let Some(provider) = self.provider_to_leave(id) else { break };
            // One at a time: each stop moves the shares.
            let leaves = |plane: &Self, task: &Task| task.launch == provider && !plane.is_outgoing(task, newest);
            let chosen = self.choose_stop(id, leaves, 1, schedule.now());
            if chosen.is_empty() {
                break;
            }
            self.stop_all(id, &chosen, schedule);
            stopped.extend(chosen);
        }
        self.announce_stopped(id, &stopped, schedule.now());
        self.note_spared(id, count, stopped.len(), schedule.now());
    }

    /// CP-10: the provider most above its ideal share; `None` when the service has only one.
    fn provider_to_leave(&self, id: ServiceId) -> Option<LaunchTarget> {
        let service = &self.state.services[id.index()];
        let ResolvedLaunch::Strategy(items) = &service.launch else { return None };
        if items.len() < 2 {
            return None;
        }
        let newest = service.primary()?.number;
        let counts = self.provider_counts(id, newest);
        capacity_provider::choose_removal(items, &counts).map(|chosen| LaunchTarget::Provider(items[chosen].provider))
    }

    /// Stops up to `count` of the service's tasks that `may_stop` lets go, in the order of PLACE-20…23.
    pub(super) fn stop_chosen(
        &mut self,
        id: ServiceId,
        may_stop: impl Fn(&Self, &Task) -> bool,
        count: u32,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let chosen = self.choose_stop(id, may_stop, count, now);
        self.stop_all(id, &chosen, schedule);
        self.announce_stopped(id, &chosen, now);
        self.note_spared(id, count, chosen.len(), now);
    }

    pub(super) fn stop_all(&mut self, id: ServiceId, tasks: &[TaskKey], schedule: &mut Schedule<Event>) {
        let reason = self.scaling_reason(id);
        for key in tasks {
            let (code, reason) = if self.state.tasks[*key].retiring {
                (StopCode::TerminationNotice, MAINTENANCE)
            } else {
                (StopCode::ServiceSchedulerInitiated, reason.as_str())
            };
            self.stop_task(*key, code, reason, schedule);
        }
    }

    pub(super) fn announce_stopped(&mut self, id: ServiceId, tasks: &[TaskKey], now: SimTime) {
        self.announce_tasks(id, "has stopped {} running tasks", tasks, ServiceAction::info("TASKS_STOPPED"), now);
    }

    pub(super) fn choose_stop(
        &mut self,
        id: ServiceId,
        may_stop: impl Fn(&Self, &Task) -> bool,
        count: u32,
        now: SimTime,
    ) -> Vec<TaskKey> {
        let service = &self.state.services[id.index()];
        let judged: Vec<(bool, bool)> = service
            .tasks
            .values()
            .map(|key| &self.state.tasks[*key])
            .map(|task| (may_stop(self, task) && !task.is_protected(now), self.is_on_draining_host(task)))
            .collect();
        let candidates: Vec<StopCandidate<'_>> = service
            .tasks
            .values()
            .zip(judged)
            .map(|(key, (stoppable, draining))| {
                let task = &self.state.tasks[*key];
                StopCandidate {
                    task: *key,
                    created: task.number,
                    instance: task.instance,
                    zone: task.zone,
                    requirements: &self.state.shapes[task.shape.index()],
                    stoppable,
                    draining,
                    running: task.last_status == TaskStatus::Running,
                    healthy: task.healthy,
                }
            })
            .collect();
        scale_in::choose_stop(
            &self.state.clusters[service.cluster.index()].cluster,
            &service.strategy,
            &candidates,
            count as usize,
            &mut self.placement_chance,
        )
    }

    /// SVC-8: a sick task goes once the healthy ones cover the desired count without it; which of several is a draw.
    ///
    /// O(tasks of the service). Counts anew: earlier in the round some of the sick may have been stopped for another
    /// reason.
    pub(super) fn stop_replaced_sick_tasks(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let service = &self.state.services[id.index()];
        let newest = service.primary().map(|deployment| deployment.number);
        let sick_tasks = service.tasks.values().copied().filter(|key| {
            let task = &self.state.tasks[*key];
            task.unhealthy && !self.is_outgoing(task, newest)
        });
        let mut doomed: Vec<TaskKey> = sick_tasks.collect();
        let sick = doomed.len() as u32;
        let limits = service.limits();
        let behaviour = &self.estate.behaviour;
        let active = service.tasks.len() as u32;
        let room = limits.upper > active + service.stopping;
        // Tasks whose checks have decided; the others are on their way and must not be counted on.
        let settled = service.healthy + sick;
        let surplus = settled.saturating_sub(service.desired);
        // Replacements on their way cover the desired count, or there is room to start them.
        let replaced_first = room || active - sick >= service.desired;
        let count = if surplus > 0 {
            // The replacement is healthy, or sick too.
            surplus
        } else if replaced_first && !behaviour.unhealthy_stop_first {
            0
        } else {
            // No room above D, or the older way: down to the lower limit; `unhealthy_min_slack` are always allowed, and
            // then their replacements awaited.
            let slack = if settled >= service.desired { behaviour.unhealthy_min_slack } else { 0 };
            settled.saturating_sub(limits.lower).max(slack)
        };
        if (count as usize) < doomed.len() {
            self.sick_chance.shuffle(&mut doomed);
            doomed.truncate(count as usize);
        }
        for key in doomed {
            let reason = self.sick_reason(key);
            self.stop_task(key, StopCode::ServiceSchedulerInitiated, &reason, schedule);
        }
    }

    pub(super) fn scaling_reason(&self, id: ServiceId) -> String {
        let service = &self.state.services[id.index()];
        let deployment = service.primary().map(Deployment::aws_id).unwrap_or_default();
        format!("Scaling activity initiated by (deployment {deployment})")
    }

    /// Old deployments end, the newest completes, the steady state is announced (DEP-5, SVC-6).
    fn finish_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let view = self.count_tasks(id);
        let numbers: std::collections::BTreeSet<u32> = if self.state.services[id.index()].deployments.len() > 1 {
            let service = &self.state.services[id.index()];
            service
                .tasks
                .values()
                .filter_map(|key| self.state.tasks[*key].owner)
                .map(|owner| owner.deployment)
                .collect()
        } else {
            std::collections::BTreeSet::new()
        };
        let service = &mut self.state.services[id.index()];
        let newest = service.primary().map_or(0, |deployment| deployment.number);
        // A deployment that may go back keeps the one in production, even without tasks.
        let stage = service.primary().map_or(Stage::Rolling, |primary| primary.stage);
        let kept = stage.blue().filter(|_| stage.at() != Some(LifecycleStage::CleanUp));
        let deployments = service.deployments.len();
        service.deployments.retain(|deployment| {
            deployment.number == newest || Some(deployment.number) == kept || numbers.contains(&deployment.number)
        });
        if service.deployments.len() != deployments {
            self.load.disturb(id);
        }
        let new_healthy = view.counts.healthy - view.counts.old_healthy;
        let settled = service.deployments.len() == 1
            && view.counts.old_active == 0
            && view.counts.new_active == service.desired
            && new_healthy >= service.desired;
        let desired = service.desired;
        // DEP-16: with alarms, they are watched for a while longer.
        // A deployment with stages has baked before its clean-up.
        let staged = service.primary().is_some_and(|primary| primary.stage.blue().is_some());
        let watched = service.deployment_configuration.alarms.is_some() && !staged;
        let bake = service.deployment_configuration.bake_time.unwrap_or(self.estate.behaviour.alarm_bake);
        if let Some(primary) = service.deployment_under_way().filter(|_| settled) {
            let done = *primary.bakes_since.get_or_insert(now) + if watched { bake } else { SimDuration::ZERO };
            if done > now {
                self.round_at(id, done, schedule);
            } else {
                primary.rollout = RolloutState::Completed;
                primary.stage = Stage::Rolling;
                primary.traffic_permille = 1000;
                self.load.disturb(id);
                let (digits, definition, aws_id) = (primary.id, primary.definition, primary.aws_id());
                let software = primary.resolution.resolved();
                let (number, gone_back) = (primary.number, primary.rolls_back.take());
                self.set_deployment_status(id, number, ServiceDeploymentStatus::Successful, now);
                if let Some(failed) = gone_back {
                    let from = ServiceDeploymentStatus::RollbackInProgress;
                    self.note_deployment_status(id, failed, from, ServiceDeploymentStatus::RollbackSuccessful, now);
                }
                self.state.services[id.index()].rollback_target = Some((digits, definition, software));
                let reason = format!("ECS deployment {aws_id} completed.");
                let message = format!("(deployment {aws_id}) deployment completed.");
                let kind = ("INFO", "SERVICE_DEPLOYMENT_COMPLETED");
                self.announce_deployment(id, &aws_id, kind, reason, &message, now);
            }
        }
        let service = &mut self.state.services[id.index()];
        let steady = settled && service.running == desired && service.status == ServiceStatus::Active;
        if steady && !service.steady {
            service.steady = true;
            self.announce_steady(id, schedule);
            self.rebalance_service_soon(id, schedule);
        } else if !steady {
            service.steady = false;
        }
        let service = &mut self.state.services[id.index()];
        if service.status == ServiceStatus::Draining && service.tasks.is_empty() && service.stopping == 0 {
            service.status = ServiceStatus::Inactive;
        }
    }

    /// SVC-6: still steady after six hours says so again.
    pub(super) fn on_steady_repeat(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let service = &self.state.services[id.index()];
        // Steadiness lost and found again has begun a chain of repeats of its own.
        if service.steady && service.steady_repeats_at == Some(schedule.now()) {
            self.announce_steady(id, schedule);
        }
    }

    pub(super) fn announce_steady(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.announce(id, "has reached a steady state.", ServiceAction::info("SERVICE_STEADY_STATE"), now);
        let next = now + self.estate.behaviour.steady_repeat;
        self.state.services[id.index()].steady_repeats_at = Some(next);
        schedule.at(next, Event::SteadyRepeat(id));
    }

    /// A task of the service is STOPPED: failed starts throttle (SVC-10), others are replaced in the next round.
    pub(super) fn on_service_task_gone(&mut self, id: ServiceId, task: &Task, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &mut self.state.services[id.index()];
        service.stopping -= 1;
        let newest = service.primary().map(|deployment| deployment.number);
        // A failure of an older deployment says nothing of the newest.
        let failed_to_start = task.failed_to_start() && task.owner.map(|owner| owner.deployment) == newest;
        if let Some(owner) = task.owner.filter(|_| failed_to_start) {
            self.count_failure(owner, schedule);
        }
        let service = &mut self.state.services[id.index()];
        let failed_to_start = failed_to_start && service.primary().map(|deployment| deployment.number) == newest;
        if failed_to_start && service.start_backoff.not_before <= now {
            // SVC-11: rounds of launches count, not tasks; a failure while the clock runs belongs to the same round.
            let behaviour = &self.estate.behaviour;
            service.start_backoff.fail(now, behaviour.throttle_base, behaviour.throttle_max);
            if service.start_backoff.failures == 3 {
                let action =
                    ServiceAction { event_type: "WARN", event_name: "SERVICE_TASK_START_IMPAIRED", reason: None };
                self.announce(id, "is unable to consistently start tasks successfully.", action, now);
            }
        }
        self.wake_service(id, schedule);
    }

    /// Sets `desiredCount`; returns whether it changed.
    pub(super) fn set_desired_count(&mut self, id: ServiceId, desired: u32, schedule: &mut Schedule<Event>) -> bool {
        let service = &mut self.state.services[id.index()];
        if service.desired == desired {
            return false;
        }
        service.desired = desired;
        service.steady = false;
        service.placement_backoff.clear();
        let now = schedule.now();
        self.end_rebalancing(id, "SERVICE_REBALANCING_STOPPED", now);
        self.record_level(Resource::Service(id), "DesiredCount", f64::from(desired), now);
        self.announce_quietly(id, "INFO", "SERVICE_DESIRED_COUNT_UPDATED", now);
        self.round_at(id, now + self.estate.behaviour.svc_update_lag, schedule);
        true
    }

    /// Levels of a service's counts after a change (TASK-6).
    pub(super) fn service_counts_changed(&mut self, id: ServiceId, now: SimTime) {
        let service = &self.state.services[id.index()];
        let counts = [
            ("RunningCount", service.running),
            ("PendingCount", service.pending()),
            ("ProvisioningCount", service.provisioning),
        ];
        let resource = Resource::Service(id);
        for (metric, value) in counts {
            self.record_level(resource, metric, f64::from(value), now);
        }
    }

    fn report_stuck_deployment(&mut self, id: ServiceId, now: SimTime) {
        let text = "was unable to stop or start tasks during a deployment because of the service deployment \
                    configuration. Update the minimumHealthyPercent or maximumPercent value and try again.";
        self.announce_problem(id, text, ServiceAction::error("SERVICE_TASK_CONFIGURATION_FAILURE", None), now);
    }

    /// The service called `name` in `cluster`, or AWS's refusal (TASK-19).
    pub(super) fn find_service(&self, cluster: &str, name: &str) -> Result<ServiceId, Refused> {
        let cluster = self.find_cluster(cluster)?;
        self.service_ids
            .get(&(cluster, name.to_owned()))
            .copied()
            .filter(|id| self.state.services[id.index()].status != ServiceStatus::Inactive)
            .ok_or_else(|| Refused::new("ServiceNotFoundException", "TASK-19", "Service not found."))
    }
}

/// What a round sees of its service.
struct RoundView {
    counts: TaskCounts,
    /// Tasks of the newest revision given up by their health checks.
    sick: u32,
}
