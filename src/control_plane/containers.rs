//! Containers of a task: start order, restarts, end, stop order (TD-10…15, TD-20).

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{ContainerStep, Event, TaskStep};
use crate::control_plane::execution::{ContainerCommand, ContainerStart};
use crate::control_plane::markets::SPOT_NOTICE;
use crate::control_plane::tasks::OUT_OF_MEMORY_AFTER;
use crate::ecs::container::{self, Container, ContainerStatus, HealthStatus, ImageProgress, ProbeAnswers, Readiness};
use crate::ecs::cpu_shares;
use crate::ecs::ids::{SoftwareId, TaskKey};
use crate::ecs::task::{StopCode, TaskStatus};
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::units::CpuMilliUnits;
use crate::workload::behaviour::ContainerBehaviour;

/// Exit code of what was killed: 128 + SIGKILL.
const KILLED: i32 = 137;

/// TASK-22: the longest creation of a container, in minutes.
const CREATE_LIMIT_MINS: u64 = 4;

/// TASK-22: the longest start of a container, in minutes.
const fn start_limit_mins(operating_system: OperatingSystem) -> u64 {
    match operating_system {
        OperatingSystem::Linux => 3,
        OperatingSystem::Windows => 8,
    }
}

impl ControlPlane<'_> {
    /// Starts the containers whose dependencies hold; one whose never will fails the task (TD-11, TD-12).
    ///
    /// A container that depends on another is pulled when its condition holds, the others at once (IMG-4).
    pub(super) fn start_containers(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        for place in 0..self.state.tasks[key].containers.len() {
            let task = &self.state.tasks[key];
            if task.containers[place].status != ContainerStatus::Waiting {
                continue;
            }
            let definitions = &self.state.definitions[task.definition.index()].definition.containers;
            match container::readiness(definitions, &task.containers, place) {
                Readiness::Ready => self.pull_and_start(key, place, schedule),
                // IMG-4: an agent may be told to pull the images of dependents at once.
                Readiness::Waits if self.pulls_upfront(key, place) => self.pull_image(key, place, schedule),
                Readiness::Waits => {}
                Readiness::Never => {
                    self.stop_task(key, StopCode::TaskFailedToStart, "Task failed to start", schedule);
                    return;
                }
            }
        }
    }

    /// IMG-4: whether the image of a container that waits for others is pulled at once.
    fn pulls_upfront(&mut self, key: TaskKey, place: usize) -> bool {
        let task = &self.state.tasks[key];
        task.containers[place].image == ImageProgress::Absent
            && task.instance.is_some_and(|id| self.agent_of(id).is_some_and(|agent| agent.pull_dependents_upfront))
    }

    /// A container whose dependencies hold: pull if it is not there, create, start (TASK-20).
    fn pull_and_start(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let container = &mut self.state.tasks[key].containers[place];
        container.status = ContainerStatus::Starting;
        match container.image {
            ImageProgress::Absent => self.pull_image(key, place, schedule),
            ImageProgress::Pulling(_) | ImageProgress::Asked => {}
            ImageProgress::Ready => self.image_is_ready(key, place, SimDuration::ZERO, schedule),
        }
    }

    /// The image of a container is there `after` now: the container is created and started, if it may be.
    pub(super) fn image_is_ready(
        &mut self,
        key: TaskKey,
        place: usize,
        after: SimDuration,
        schedule: &mut Schedule<Event>,
    ) {
        if self.state.tasks[key].containers[place].status == ContainerStatus::Starting {
            self.start_after(key, place, after, schedule);
        }
    }

    /// The container is created and started `wait` from now, and answers its probes its `startup` later; what takes too
    /// long fails (TASK-22).
    fn start_after(&mut self, key: TaskKey, place: usize, wait: SimDuration, schedule: &mut Schedule<Event>) {
        let limit = SimDuration::from_mins(self.start_limit(key));
        let container = &mut self.state.tasks[key].containers[place];
        container.status = ContainerStatus::Starting;
        container.starts = container.starts.wrapping_add(1);
        let number = container.starts;
        let (create, start) = (container.create_delay, container.start_delay);
        let create_limit = SimDuration::from_mins(CREATE_LIMIT_MINS);
        if self.execution.is_real() {
            let at = ContainerStart { task: key, place: place as u8, start: number };
            let spec = Box::new(self.container_spec(key, place));
            self.execution.ask(|| ContainerCommand::Start { at, spec });
            let patience = self.execution.lasts(create_limit.saturating_add(limit));
            container_step(key, place, number, ContainerStep::StartFails, patience, schedule);
            return;
        }
        if create > create_limit {
            let delay = wait.saturating_add(create_limit);
            container_step(key, place, number, ContainerStep::CreateFails, delay, schedule);
            return;
        }
        let created = wait.saturating_add(create);
        if start > limit {
            let delay = created.saturating_add(limit);
            container_step(key, place, number, ContainerStep::StartFails, delay, schedule);
            return;
        }
        let delay = created.saturating_add(start);
        container.ready = schedule.now().saturating_add(delay).saturating_add(container.startup);
        container_step(key, place, number, ContainerStep::Started, delay, schedule);
    }

    fn start_limit(&self, key: TaskKey) -> u64 {
        let definition = self.state.tasks[key].definition;
        start_limit_mins(self.state.definitions[definition.index()].definition.operating_system)
    }

    /// The next step of a container's life; steps that were foreseen of an earlier start are ignored.
    pub(super) fn on_container_step(
        &mut self,
        key: TaskKey,
        place: usize,
        start: u16,
        step: ContainerStep,
        schedule: &mut Schedule<Event>,
    ) {
        let task = &self.state.tasks[key];
        let Some(container) = task.containers.get(place).filter(|container| container.starts == start) else { return };
        let starting = container.status == ContainerStatus::Starting;
        let running = container.status == ContainerStatus::Running;
        let before = (task.version, container.status);
        match step {
            ContainerStep::Pulled => self.on_image_had(key, place, schedule),
            ContainerStep::Fails if !running && task.desired_running() => {
                let at = ContainerStart { task: key, place: place as u8, start };
                self.on_container_fails(at, schedule);
            }
            ContainerStep::Started if starting => self.on_container_started(key, place, schedule),
            ContainerStep::CreateFails if starting && task.desired_running() => {
                let reason = format!(
                    "ContainerRuntimeTimeoutError: Could not transition to created; timed out after waiting \
                     {CREATE_LIMIT_MINS}m0s"
                );
                self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
            }
            ContainerStep::StartFails if starting && task.desired_running() => {
                let reason = format!(
                    "ContainerRuntimeTimeoutError: Could not transition to started; timed out after waiting {}m0s",
                    self.start_limit(key)
                );
                self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
            }
            // At another pace it ends at another time.
            ContainerStep::Exits if running && container.exits_at <= schedule.now() => {
                let code = self.state.software[task.software.index()].behaviours[place].exit_code;
                self.on_container_ended(key, place, code, schedule);
            }
            ContainerStep::Ends { code } if running => self.on_container_ended(key, place, code, schedule),
            ContainerStep::Crashes if running => {
                self.on_container_ended(key, place, ContainerBehaviour::CRASH, schedule);
            }
            ContainerStep::OutOfMemory if running => self.on_container_out_of_memory(key, place, schedule),
            ContainerStep::Stopped if running => self.on_container_ended(key, place, 0, schedule),
            ContainerStep::Killed if running => self.on_container_ended(key, place, KILLED, schedule),
            ContainerStep::Healthy if running => {
                self.on_container_health(key, place, HealthStatus::Healthy, schedule);
            }
            ContainerStep::Unhealthy if running => {
                self.on_container_health(key, place, HealthStatus::Unhealthy, schedule);
            }
            ContainerStep::StartTimeout if running => self.on_start_timeout(key, place, schedule),
            _ => {}
        }
        // EVT-1: a change of a container that changed nothing of its task is told as well.
        if let Some(task) = self.state.tasks.get(key)
            && task.version == before.0
            && task.containers[place].status != before.1
        {
            self.note_container_change(key, schedule.now());
        }
    }

    fn on_container_started(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if let Err(reason) = self.assign_ports(key, place) {
            self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
            return;
        }
        let task = &mut self.state.tasks[key];
        let entry = &self.state.definitions[task.definition.index()];
        let definition = &entry.definition.containers[place];
        let container = &mut task.containers[place];
        let first = !container.has_started();
        container.status = ContainerStatus::Running;
        container.started = Some(now);
        container.exit_code = None;
        container.health = definition.health_check.map(|_| HealthStatus::Unknown);
        let start = container.starts;
        if let Some(timeout) = definition.start_timeout
            && container::start_timeout_matters(&entry.definition.containers, place)
        {
            let timeout = self.execution.lasts(timeout);
            container_step(key, place, start, ContainerStep::StartTimeout, timeout, schedule);
        }
        if !self.execution.is_real() {
            self.foresee_fate(key, place, schedule);
        }
        self.note_image_use(key, place, first, now);
        self.share_own_cpu(key, schedule);
        self.on_containers_changed(key, schedule);
    }

    /// What will become of a simulated container that has just started.
    fn foresee_fate(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let task = &mut self.state.tasks[key];
        let entry = &self.state.definitions[task.definition.index()];
        let definition = &entry.definition.containers[place];
        let behaviour = &self.state.software[task.software.index()].behaviours[place];
        let draws = &mut self.definition_chance[task.definition.index()];
        let container = &mut task.containers[place];
        let start = container.starts;
        container.work_left = container.runs_for.take();
        container.work_since = now;
        let (own_pace, work_left, over_limit) = (container.pace, container.work_left, container.over_limit);
        if let Some(work) = work_left {
            let runs_for = own_pace.time_for(work);
            container.exits_at = now.saturating_add(runs_for);
            container_step(key, place, start, ContainerStep::Exits, runs_for, schedule);
        }
        if over_limit {
            container_step(key, place, start, ContainerStep::OutOfMemory, OUT_OF_MEMORY_AFTER, schedule);
        }
        if let Some(crashes) = &behaviour.crashes {
            let delay = crashes.sample_duration(&mut draws.crash);
            container_step(key, place, start, ContainerStep::Crashes, delay, schedule);
        }
        if let Some(check) = &definition.health_check {
            let answers = ProbeAnswers { started: now, ready: container.ready, silent: &behaviour.unresponsive };
            for verdict in container::verdicts(check, &answers) {
                let step = if verdict.healthy { ContainerStep::Healthy } else { ContainerStep::Unhealthy };
                // TD-19: the value lags.
                let delay = verdict.at.saturating_since(now) + self.estate.behaviour.health_report_delay;
                container_step(key, place, start, step, delay, schedule);
            }
        }
    }

    /// A task on its way up looks at its containers again: who may start now, and whether all have (TASK-2).
    pub(super) fn on_containers_changed(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        if self.state.tasks[key].last_status > TaskStatus::Pending {
            return;
        }
        self.start_containers(key, schedule);
        let task = &mut self.state.tasks[key];
        if task.desired_running() && container::all_started(&task.containers) {
            task.times.containers_started = Some(schedule.now());
            self.on_containers_started(key, schedule);
        }
    }

    fn on_container_ended(&mut self, key: TaskKey, place: usize, code: i32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let task = &mut self.state.tasks[key];
        let wanted = task.desired_running();
        let definition = &self.state.definitions[task.definition.index()].definition.containers[place];
        let container = &mut task.containers[place];
        if wanted && container::restarts(definition.restart_policy.as_ref(), container, code, now) {
            container.exit_code = Some(code);
            self.restart(key, place, schedule);
            return;
        }
        container.status = ContainerStatus::Stopped;
        container.exit_code = Some(code);
        let essential = definition.essential;
        if essential {
            task.exit_code.get_or_insert(code);
        }
        self.give_back_ports(key, Some(place));
        match (wanted, essential) {
            (true, true) => {
                let reason = "Essential container in task exited";
                self.stop_task(key, StopCode::EssentialContainerExited, reason, schedule);
            }
            (true, false) => {
                self.share_own_cpu(key, schedule);
                self.on_containers_changed(key, schedule);
            }
            // TD-10: the end of an essential container ends the others, drained or not.
            (false, _) => {
                let task = &self.state.tasks[key];
                if task.last_status >= TaskStatus::Stopping || task.exit_code.is_some() {
                    self.signal_containers(key, schedule);
                }
            }
        }
    }

    /// TD-7: the kernel kills a container that takes more than its own hard limit; its task goes with it if it is essential.
    fn on_container_out_of_memory(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let definition = &self.state.definitions[task.definition.index()].definition.containers[place];
        let restarts =
            container::restarts(definition.restart_policy.as_ref(), &task.containers[place], KILLED, schedule.now());
        if task.desired_running() && definition.essential && !restarts {
            let container = &mut self.state.tasks[key].containers[place];
            container.status = ContainerStatus::Stopped;
            container.exit_code = Some(KILLED);
            self.state.tasks[key].exit_code.get_or_insert(KILLED);
            self.give_back_ports(key, Some(place));
            self.stop_task(key, StopCode::EssentialContainerExited, Container::OUT_OF_MEMORY, schedule);
        } else {
            self.on_container_ended(key, place, KILLED, schedule);
        }
    }

    /// TD-9: the containers of a task get `given` of the CPU that they would use by themselves, `None` for all of it: what
    /// runs for a limited time ends sooner or later than at the pace before.
    pub(super) fn set_own_cpu(&mut self, key: TaskKey, given: Option<CpuMilliUnits>, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let task = &mut self.state.tasks[key];
        if given.is_none() && task.own_cpu.is_none() {
            return;
        }
        task.own_cpu = given;
        let definition = &self.state.definitions[task.definition.index()].definition;
        let paces = cpu_shares::container_paces(&definition.containers, &task.containers, given);
        for ((place, container), pace) in task.containers.iter_mut().enumerate().zip(paces) {
            let before = std::mem::replace(&mut container.pace, pace);
            let work = container.work_left.filter(|_| container.status == ContainerStatus::Running && before != pace);
            let Some(work) = work else { continue };
            let left = work.saturating_sub(before.work_in(now.saturating_since(container.work_since)));
            container.work_left = Some(left);
            container.work_since = now;
            let delay = pace.time_for(left);
            container.exits_at = now.saturating_add(delay);
            container_step(key, place, container.starts, ContainerStep::Exits, delay, schedule);
        }
    }

    /// A container has begun or ended: the others of its task have less or more of what the task gets.
    fn share_own_cpu(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        // On Fargate a task's size is a hard cap, and nobody else is there.
        let cap = || CpuMilliUnits::from(self.state.requirements(task.shape).cpu);
        let asked = || -> CpuMilliUnits { task.containers.iter().map(|container| container.own_cpu).sum() };
        let given = if task.launch.is_fargate() { Some(cap()).filter(|cap| asked() > *cap) } else { task.own_cpu };
        self.set_own_cpu(key, given, schedule);
    }

    /// TD-20: the container starts again in place; its image is there.
    fn restart(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        let definition = task.definition.index();
        let draws = &mut self.definition_chance[definition];
        if self.execution.is_real() {
            self.start_after(key, place, SimDuration::ZERO, schedule);
            self.on_restart(key, place, schedule);
            return;
        }
        let delays = &self.estate.delays;
        let start = if task.instance.is_some() { &delays.task_start } else { &delays.fargate_start };
        let delay = start.sample_duration(&mut draws.start);
        let behaviour = &self.state.software[task.software.index()].behaviours[place];
        let startup = behaviour.startup.as_ref();
        let startup = startup.map_or(SimDuration::ZERO, |dist| dist.sample_duration(&mut draws.health));
        let runs_for = behaviour.runs_for.as_ref();
        let container = &mut task.containers[place];
        container.runs_for = runs_for.map(|dist| dist.sample_duration(&mut draws.service_time));
        // What is there already need not be created again.
        (container.create_delay, container.start_delay, container.startup) = (SimDuration::ZERO, delay, startup);
        self.start_after(key, place, SimDuration::ZERO, schedule);
        self.on_restart(key, place, schedule);
    }

    /// A container is on its way up again: whoever counts on it is told.
    fn on_restart(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        self.note_container_change(key, schedule.now());
        if place == self.main_container(key) {
            self.worker_restarts(key, schedule);
            self.server_restarts(key, schedule);
        }
        self.targets_restarted(key, schedule);
        self.judge_health(key, schedule);
    }

    /// TD-14: whoever still waits for more than the start of this container waits in vain.
    fn on_start_timeout(&mut self, key: TaskKey, place: usize, schedule: &mut Schedule<Event>) {
        let task = &self.state.tasks[key];
        let definitions = &self.state.definitions[task.definition.index()].definition.containers;
        if task.desired_running() && container::is_waited_for(definitions, &task.containers, place) {
            self.stop_task(key, StopCode::TaskFailedToStart, "Task failed to start", schedule);
        }
    }

    /// Sends the stop signal to the containers that no running one depends on (TD-13); with none left, the task's
    /// execution has stopped.
    pub(super) fn signal_containers(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        // AGENT-9: nobody tells the agent.
        if self.keep_back(key, TaskStep::Drained) {
            return;
        }
        let task = &mut self.state.tasks[key];
        if task.times.execution_stopped.is_some() {
            return;
        }
        let mut alive = false;
        for container in &mut task.containers {
            match container.status {
                ContainerStatus::Running => alive = true,
                _ => container.status = ContainerStatus::Stopped,
            }
        }
        if !alive {
            self.on_execution_stopped(key, schedule);
            return;
        }
        if task.last_status < TaskStatus::Stopping {
            self.advance(key, TaskStatus::Stopping, now);
        }
        let (finishes, main) = (self.finishes_messages(key), self.main_container(key));
        let host = self.state.tasks[key].instance;
        let default_patience = host.and_then(|id| self.agent_of(id)).unwrap_or_default().stop_timeout;
        let task = &mut self.state.tasks[key];
        let entry = &self.state.definitions[task.definition.index()];
        let draws = &mut self.definition_chance[task.definition.index()];
        for place in 0..task.containers.len() {
            let container = &task.containers[place];
            let due = container.status == ContainerStatus::Running && !container.signalled;
            if !due || !container::may_stop(&entry.definition.containers, &task.containers, place) {
                continue;
            }
            let behaviour = &self.state.software[task.software.index()].behaviours[place];
            let shutdown = behaviour.shutdown.as_ref().unwrap_or(&self.estate.delays.task_stop);
            let mut patience = entry.definition.containers[place].stop_timeout(default_patience);
            if task.stop.as_ref().is_some_and(|stop| stop.code == StopCode::SpotInterruption) {
                // FG-5: there is no more time than that.
                patience = patience.min(SPOT_NOTICE);
            }
            let at = ContainerStart { task: key, place: place as u8, start: container.starts };
            if self.execution.ask(|| ContainerCommand::Stop { at, patience }) {
                task.containers[place].signalled = true;
                continue;
            }
            let wanted = shutdown.sample_duration(&mut draws.stop);
            let container = &mut task.containers[place];
            container.signalled = true;
            // It ends when its last message is done, see `stop_main_container`.
            let busy = finishes && place == main;
            let step = if busy || wanted > patience { ContainerStep::Killed } else { ContainerStep::Stopped };
            let delay = if busy { patience } else { wanted.min(patience) };
            container_step(key, place, container.starts, step, delay, schedule);
        }
    }

    /// The last message of a task that was told to stop is done: its main container ends, if it has its stop signal.
    pub(super) fn stop_main_container(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let place = self.main_container(key);
        let container = &self.state.tasks[key].containers[place];
        if container.signalled && !self.execution.is_real() {
            container_step(key, place, container.starts, ContainerStep::Stopped, SimDuration::ZERO, schedule);
        }
    }

    /// Position of a task's main container.
    fn main_container(&self, key: TaskKey) -> usize {
        let definition = self.state.tasks[key].definition;
        self.state.definitions[definition.index()].definition.main_container()
    }

    /// A container changed and its task's status did not: the task's version goes up, its observers are told (TASK-4).
    pub(super) fn note_container_change(&mut self, key: TaskKey, now: SimTime) {
        let task = &mut self.state.tasks[key];
        task.version += 1;
        let status = task.last_status;
        if self.wants.events {
            self.record_task(key, Some(status), now);
        }
    }

    /// The containers of a new task, and how long each will run: drawn in order of creation, so that variants face the
    /// same service times (common random numbers). `runs_for` is the caller's word for the first essential container.
    pub(super) fn new_containers(&mut self, software: SoftwareId, runs_for: Option<SimDuration>) -> Vec<Container> {
        let software = &self.state.software[software.index()];
        let definition = software.definition;
        let entry = &self.state.definitions[definition.index()];
        let draws = &mut self.definition_chance[definition.index()];
        let main = entry.definition.main_container();
        if self.execution.is_real() {
            return vec![Container::default(); software.behaviours.len()];
        }
        let containers = software.behaviours.iter().enumerate().map(|(place, behaviour)| {
            let own = runs_for.filter(|_| place == main);
            let sample = || behaviour.runs_for.as_ref().map(|dist| dist.sample_duration(&mut draws.service_time));
            Container { runs_for: own.or_else(sample), ..Container::default() }
        });
        containers.collect()
    }
}

/// Schedules the next step of a container.
fn container_step(
    task: TaskKey,
    place: usize,
    start: u16,
    step: ContainerStep,
    delay: SimDuration,
    schedule: &mut Schedule<Event>,
) {
    // A definition has at most ten containers (TD-4).
    let step = TaskStep::Container { place: place as u8, start, step };
    schedule.after(delay, Event::Task { task, step });
}
