//! Conservation: every book balances after every event (design, promise 3). On in tests and under `--paranoid`.

use crate::control_plane::ControlPlane;
use crate::ecs::capacity_provider::Provider;
use crate::ecs::task::{LaunchTarget, TaskStatus};
use crate::engine::time::SimTime;

impl ControlPlane<'_> {
    /// Recounts everything that is kept incrementally and panics with the first book that does not balance.
    ///
    /// Grows with hosts and tasks alive, so it is for tests and doubt, not for long runs.
    pub(super) fn check_books(&self, now: SimTime) {
        if let Err(error) = self.books(now) {
            panic!("the books do not balance at {now}: {error}");
        }
    }

    /// FG-8: the vCPUs in use on Fargate are those of the tasks alive there.
    fn audit_fargate(&self) -> Result<(), String> {
        let (mut units, mut tasks) = ([0; 2], [0; 2]);
        for task in self.state.tasks.values().filter(|task| task.launch.is_fargate()) {
            let spot = task.launch == LaunchTarget::Provider(Provider::FargateSpot);
            tasks[usize::from(spot)] += 1;
            units[usize::from(spot)] += self.state.requirements(task.shape).cpu.0;
        }
        if units != self.fargate_cpu {
            return Err(format!("Fargate runs {units:?} CPU units, but {:?} are counted", self.fargate_cpu));
        }
        if tasks != self.fargate_tasks {
            return Err(format!("Fargate runs {tasks:?} tasks, but {:?} are counted", self.fargate_tasks));
        }
        Ok(())
    }

    fn books(&self, now: SimTime) -> Result<(), String> {
        // arrived = waiting + running + stopped
        let alive = self.state.tasks.len() as u64;
        if self.tasks_created != alive + self.tasks_stopped {
            return Err(format!("{} tasks created, {alive} alive, {} stopped", self.tasks_created, self.tasks_stopped));
        }
        for entry in &self.state.clusters {
            entry.cluster.verify().map_err(|error| format!("cluster {}: {error}", entry.name))?;
        }
        for group in &self.state.groups {
            group.audit().map_err(|error| format!("group {}: {error}", group.definition.name))?;
        }
        let for_providers: usize = self.state.providers.iter().map(|provider| provider.waiting.len()).sum();
        let pending = self.custom.values().flat_map(|queue| queue.pending.values());
        let for_schedulers =
            pending.filter(|key| self.waiting_provider(self.state.tasks[**key].launch).is_none()).count();
        let waiting = for_providers + for_schedulers;
        let counted: usize = self.state.clusters.iter().map(|entry| entry.waiting).sum();
        let really = self.state.tasks.values().filter(|task| task.waits_for_capacity()).count();
        if waiting != counted || waiting != really {
            return Err(format!("{waiting} tasks queue for capacity, {counted} are counted, {really} wait"));
        }
        for images in self.hosts.iter().map(|(_, host)| &host.images).chain(self.fargate_images.values()) {
            images.audit(&self.images)?;
        }
        self.audit_cpu_shares()?;
        self.audit_steps(now)?;
        self.audit_queues()?;
        self.audit_requests()?;
        self.audit_fargate()?;
        self.audit_network()?;
        self.observer.audit(&self.state)?;
        for service in &self.state.services {
            let tasks = || service.tasks.values().map(|key| &self.state.tasks[*key]);
            let running = tasks().filter(|task| task.last_status == TaskStatus::Running).count();
            let healthy = tasks().filter(|task| task.healthy).count();
            if running != service.running as usize || healthy != service.healthy as usize {
                return Err(format!(
                    "service {}: {running} running and {healthy} healthy, but {} and {} are counted",
                    service.name, service.running, service.healthy
                ));
            }
            let provisioning = tasks().filter(|task| task.last_status == TaskStatus::Provisioning).count();
            if provisioning != service.provisioning as usize {
                return Err(format!(
                    "service {}: {provisioning} in PROVISIONING, but {} are counted",
                    service.name, service.provisioning
                ));
            }
            if tasks().any(|task| !task.desired_running()) {
                return Err(format!("service {} still wants a task that is to stop", service.name));
            }
        }
        for task in self.state.tasks.values() {
            let bound = task.instance.is_some() || task.launch.is_fargate();
            if task.last_status > TaskStatus::Provisioning && task.last_status < TaskStatus::Stopped && !bound {
                return Err(format!("task {:032x} is {} on no host", task.id, task.last_status));
            }
            if task.reserved && task.instance.is_none() {
                return Err(format!("task {:032x} holds a reservation on no host", task.id));
            }
        }
        Ok(())
    }
}
