//! DAEMON services: a task on every matching host, the first to start there and the last to stop (SVC-2, DRN-3).

use std::collections::BTreeSet;

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Resource, ServiceAction};
use crate::control_plane::tasks::NewTask;
use crate::ecs::container_instance::{ContainerInstance, ContainerInstanceStatus};
use crate::ecs::deployment::{self, TaskCounts};
use crate::ecs::ids::{ClusterId, InstanceId, ServiceId, TaskKey};
use crate::ecs::service::{SchedulingStrategy, ServiceStatus};
use crate::ecs::task::{LaunchTarget, StopCode, TaskOwner};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::placement::failure::{self, Reason, Refusal};

impl ControlPlane<'_> {
    /// Whether a DAEMON service wants a task on a host: ACTIVE, of its platform, zones and constraints.
    ///
    /// Room does not matter here: a host without any is one that the service wants and cannot have.
    fn daemon_matches(&self, id: ServiceId, host: &ContainerInstance) -> bool {
        let service = &self.state.services[id.index()];
        let Some(definition) = service.definition() else { return false };
        let shape = self.definition_shapes[definition.index()];
        let request = self.placement_request(shape, service.profile, service.group, LaunchTarget::Ec2);
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        service.status == ServiceStatus::Active
            && request.considers(host)
            && ![Reason::Location, Reason::Attribute, Reason::MemberOf]
                .into_iter()
                .any(|reason| reason.applies(cluster, &request, host))
    }

    /// Looks at every host anew: the service, its definition or its constraints have changed.
    pub(super) fn survey_hosts(&mut self, id: ServiceId, now: SimTime) {
        let service = &self.state.services[id.index()];
        if service.scheduling != SchedulingStrategy::Daemon {
            return;
        }
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        let wanted = cluster.instances().filter(|host| self.daemon_matches(id, host)).map(|host| host.id).collect();
        self.set_daemon_hosts(id, wanted, now);
    }

    /// The desired count of a DAEMON service is the number of its hosts (DEP-1).
    fn set_daemon_hosts(&mut self, id: ServiceId, wanted: BTreeSet<InstanceId>, now: SimTime) {
        let service = &mut self.state.services[id.index()];
        let desired = wanted.len() as u32;
        service.daemon_hosts = wanted;
        if service.desired != desired {
            service.desired = desired;
            service.steady = false;
            self.record_level(Resource::Service(id), "DesiredCount", f64::from(desired), now);
        }
    }

    /// A host has registered, or is ACTIVE again: daemons take their room before anybody else (SVC-2).
    pub(super) fn daemons_join(&mut self, cluster: ClusterId, host: InstanceId, schedule: &mut Schedule<Event>) {
        for id in self.state.clusters[cluster.index()].daemons.clone() {
            let Some(entry) = self.state.clusters[cluster.index()].cluster.instance(host) else { return };
            if self.daemon_matches(id, entry) {
                let mut wanted = self.state.services[id.index()].daemon_hosts.clone();
                wanted.insert(host);
                self.set_daemon_hosts(id, wanted, schedule.now());
                // A host that was to drain may have kept its daemon.
                if self.hosts_without_daemon(id).contains(&host) {
                    self.start_daemons(id, &[host], schedule);
                }
            }
        }
    }

    /// A host is DRAINING or gone: no daemon is wanted there.
    pub(super) fn daemons_leave(&mut self, cluster: ClusterId, host: InstanceId, schedule: &mut Schedule<Event>) {
        for id in self.state.clusters[cluster.index()].daemons.clone() {
            let mut wanted = self.state.services[id.index()].daemon_hosts.clone();
            if wanted.remove(&host) {
                self.set_daemon_hosts(id, wanted, schedule.now());
                self.wake_service(id, schedule);
            }
        }
    }

    /// The last task but daemons has left a DRAINING host: now they go (DRN-3).
    pub(super) fn daemons_follow(&mut self, host: InstanceId, schedule: &mut Schedule<Event>) {
        if self.draining_hosts == 0 {
            return;
        }
        let mut daemons = BTreeSet::new();
        for key in self.tasks_on(host) {
            let Some(owner) = self.state.tasks[key].owner else { return };
            if self.state.services[owner.service.index()].scheduling != SchedulingStrategy::Daemon {
                return;
            }
            daemons.insert(owner.service);
        }
        for id in daemons {
            self.wake_service(id, schedule);
        }
    }

    /// Whether a task's room stays reserved while it stops: its successor on the host gets it (SVC-2).
    pub(super) fn keeps_room(&self, key: TaskKey) -> bool {
        let task = &self.state.tasks[key];
        let (Some(owner), Some(instance)) = (task.owner, task.instance) else { return false };
        self.state.services[owner.service.index()].daemon_hosts.contains(&instance)
    }

    /// One round of a DAEMON service: within the limits over all its hosts, old tasks make way for new ones, and hosts
    /// without a task get one.
    pub(super) fn daemon_round(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        self.stop_drained_daemons(id, schedule);
        let service = &self.state.services[id.index()];
        let (desired, limits) = (service.desired, service.limits());
        let newest = service.primary().map(|deployment| deployment.number);
        let mut counts = TaskCounts::default();
        let (mut sick, mut strays, mut old) = (false, Vec::new(), Vec::new());
        if service.status != ServiceStatus::Active {
            // SVC-17: deleted; all of them go.
            let all: Vec<TaskKey> = service.tasks.values().copied().collect();
            self.stop_all(id, &all, schedule);
            self.announce_stopped(id, &all, schedule.now());
            return;
        }
        for key in service.tasks.values() {
            let task = &self.state.tasks[*key];
            if task.instance.is_none_or(|host| !service.daemon_hosts.contains(&host)) {
                if !self.is_on_draining_host(task) {
                    strays.push(*key);
                }
                continue;
            }
            counts.healthy += u32::from(task.healthy);
            if task.owner.map(|owner| owner.deployment) == newest {
                counts.new_active += 1;
                sick |= task.unhealthy;
            } else {
                counts.old_active += 1;
                counts.old_healthy += u32::from(task.healthy);
                // SVC-13: protected ones stay until their protection ends.
                if !task.is_protected(schedule.now()) {
                    old.push((task.healthy, task.number, *key));
                }
            }
        }
        let step = deployment::rolling_step(desired, limits, counts, self.estate.behaviour.hi_counts_stopping);
        // DEP-3: those that are not healthy first, then the oldest.
        old.sort_unstable_by_key(|(healthy, number, _)| (*healthy, *number));
        let unhealthy = old.partition_point(|(healthy, ..)| !healthy);
        let keys = |tasks: &[(bool, u64, TaskKey)]| tasks.iter().map(|(.., key)| *key).collect::<Vec<_>>();
        let mut outgoing = keys(&old[..unhealthy]);
        outgoing.extend(keys(&old[unhealthy..]).into_iter().take(step.stop_healthy as usize));
        if !strays.is_empty() {
            // PLACE-15: unlike others, daemons are stopped where a constraint no longer holds.
            let text = "was unable to place a task: a daemon task violates its placement constraints.";
            let action = ServiceAction::error("SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED", None);
            self.announce(id, text, action, schedule.now());
        }
        for chosen in [strays, outgoing] {
            self.stop_all(id, &chosen, schedule);
            self.announce_stopped(id, &chosen, schedule.now());
        }
        if sick {
            self.stop_replaced_sick_tasks(id, schedule);
        }
        let free = self.hosts_without_daemon(id);
        self.start_daemons(id, &free, schedule);
    }

    /// Hosts that the service wants a task on and that have none, not even one that is stopping.
    fn hosts_without_daemon(&self, id: ServiceId) -> Vec<InstanceId> {
        let service = &self.state.services[id.index()];
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        let free = |host: &&InstanceId| {
            cluster.instance(**host).is_some_and(|host| host.tasks.values().all(|bound| bound.group != service.group))
        };
        service.daemon_hosts.iter().filter(free).copied().collect()
    }

    /// Starts a task of the newest revision on each of `hosts`, as launch rate, back-off and room allow.
    fn start_daemons(&mut self, id: ServiceId, hosts: &[InstanceId], schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let service = &mut self.state.services[id.index()];
        if hosts.is_empty() || service.status != ServiceStatus::Active || service.launches_stopped() {
            return;
        }
        if service.start_backoff.not_before > now {
            let not_before = service.start_backoff.not_before;
            self.round_at_tick(id, not_before, schedule);
            return;
        }
        let Some(primary) = service.primary() else { return };
        let (definition, deployment) = (primary.definition, primary.number);
        let (cluster, group, profile) = (service.cluster, service.group, service.profile);
        let shape = self.definition_shapes[definition.index()];
        let allowed = self.state.services[id.index()].launch_tokens.take(hosts.len() as u32, now);
        let (mut started, mut refused) = (Vec::new(), None);
        for host in &hosts[..allowed as usize] {
            let entry = &self.state.clusters[cluster.index()].cluster;
            let Some(instance) = entry.instance(*host) else { continue };
            let request = self.placement_request(shape, profile, group, LaunchTarget::Ec2);
            if let Some(reason) = failure::refusal_of(entry, &request, instance) {
                refused = refused.or(Some((*host, reason)));
                self.state.services[id.index()].launch_tokens.put_back(1);
                continue;
            }
            let owner = TaskOwner { service: id, deployment };
            let service = &self.state.services[id.index()];
            let new = NewTask::of_service(service, owner, (definition, shape), profile, LaunchTarget::Ec2);
            let key = self.create_placed_task(new, now);
            self.explain_placement(key, *host, now);
            self.bind(key, *host, schedule);
            started.push(key);
        }
        self.announce_tasks(id, "has started {} tasks", &started, ServiceAction::info("TASKS_STARTED"), now);
        if (allowed as usize) < hosts.len() {
            self.wait_for_token(id, schedule);
        }
        match refused {
            Some((host, reason)) if self.state.services[id.index()].placement_backoff.not_before <= now => {
                let refusal = Refusal { reasons: vec![(host, reason)], closest: Some((host, reason)) };
                self.report_unplaced(id, &refusal.service_message(), reason.as_str(), "SVC-2", schedule);
            }
            Some(_) => {}
            None => self.state.services[id.index()].placement_backoff.clear(),
        }
    }

    /// DRN-3: daemons on a DRAINING host stop when nothing else is left there.
    fn stop_drained_daemons(&mut self, id: ServiceId, schedule: &mut Schedule<Event>) {
        if self.draining_hosts == 0 {
            return;
        }
        let service = &self.state.services[id.index()];
        let cluster = &self.state.clusters[service.cluster.index()].cluster;
        let alone = |host: InstanceId| {
            cluster.instance(host).is_some_and(|host| {
                host.status == ContainerInstanceStatus::Draining && host.tasks.values().all(|bound| bound.daemon)
            })
        };
        let doomed: Vec<TaskKey> =
            service.tasks.values().copied().filter(|key| self.state.tasks[*key].instance.is_some_and(alone)).collect();
        let reason = self.scaling_reason(id);
        for key in &doomed {
            self.stop_task(*key, StopCode::ServiceSchedulerInitiated, &reason, schedule);
        }
        self.announce_stopped(id, &doomed, schedule.now());
    }
}
