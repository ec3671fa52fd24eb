//! The hosts of groups: boot, registration, draining, termination (ASG-12, DRN-*, EC2-20…).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::{self, Hypervisor, ReservedMemoryTooLarge};
use crate::control_plane::ControlPlane;
use crate::control_plane::estate::Estate;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::launches::group_activity;
use crate::control_plane::lifecycle::{Hooks, MANAGED_DRAINING_HOOK};
use crate::control_plane::record::{ActivityId, Decision, InstanceStep, Record, Resource};
use crate::control_plane::replacement::Replacing;
use crate::control_plane::state::State;
use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::{Ec2State, Instance, Lifecycle, TerminationCause};
use crate::ec2::lifecycle_hook::Transition;
use crate::ecs::agent::{AgentConfig, ResourceBook};
use crate::ecs::capability::Capabilities;
use crate::ecs::container_instance::{Attributes, ContainerInstanceStatus, Registration, Resources};
use crate::ecs::host_ports::DynamicPorts;
use crate::ecs::ids::{ClusterId, GroupId, InstanceId, ProviderId, TaskKey, ZoneId};
use crate::ecs::image_store::ImageStore;
use crate::ecs::instance_table::InstanceTable;
use crate::ecs::task::StopCode;
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::calendar::EventKey;
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, fnv1a};
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::step_scaling::SimpleScalingState;

/// What a registered host keeps besides its container instance.
#[derive(Debug)]
pub(super) struct Host {
    /// The agent's resource book.
    pub(super) book: ResourceBook,
    /// The images on it, and those it pulls (IMG-2).
    pub(super) images: ImageStore,
    /// The ports that its agent hands out (TD-23).
    pub(super) ports: DynamicPorts,
}

/// The hosts that are registered now.
pub(super) type HostTable = InstanceTable<Box<Host>>;

/// What the control plane keeps of a group besides the group itself.
#[derive(Debug)]
pub(super) struct GroupRuntime {
    /// Chance of zone ties and of the choice of victims.
    pub(super) choice: Stream,
    /// Chance of boot times, in launch order: the k-th launch of a group takes as long in every variant.
    pub(super) boot: Stream,
    /// Likewise for what is launched into the warm pool, and for starts from it (ASG-41).
    pub(super) pool_boot: Stream,
    /// Chance of zone ties in the warm pool.
    pub(super) pool_chance: Stream,
    /// Its capacity provider.
    pub(super) provider: Option<ProviderId>,
    /// The cluster its hosts join.
    pub(super) cluster: ClusterId,
    /// Whether a [`Event::GroupReconcile`] is due.
    pub(super) reconcile_scheduled: bool,
    /// Activities under way: launches by instance.
    pub(super) launching: BTreeSet<InstanceId>,
    /// Activity and cooldown of its simple scaling policies (ASG-25).
    pub(super) simple: SimpleScalingState,
    /// What it replaces and moves (ASG-9, ASG-11).
    pub(super) replacing: Replacing,
    /// Its lifecycle hooks (ASG-13).
    pub(super) hooks: Hooks,
    /// Chance of how long hooks take to be completed.
    pub(super) hook_chance: Stream,
    /// Attempts in a row that found no capacity (ASG-40).
    pub(super) failed_launches: u32,
    /// Whether a [`Event::LaunchRetry`] is due.
    pub(super) retry_scheduled: bool,
    /// Ends of managed draining that are due (DRN-3).
    pub(super) drain_timers: BTreeMap<InstanceId, EventKey>,
    /// Whether a [`Event::LaunchThrottled`] is due (ASG-44).
    pub(super) throttled: bool,
    /// Launches in a row that their hooks abandoned (ASG-15).
    pub(super) abandoned_launches: u32,
    /// Until then it launches nothing, because of those.
    pub(super) held_until: Option<SimTime>,
    /// When its launches began to fail; none has succeeded since.
    pub(super) failing_since: Option<SimTime>,
    /// Capacity that the last scale-in could not take (TP-5, ASG-8).
    pub(super) spared: u32,
    /// When its termination function is or was asked again (ASG-8).
    pub(super) function_asked_at: Option<SimTime>,
    /// Why the desired capacity last changed, for the activities' causes.
    pub(super) cause: String,
}

/// DRN-3: managed draining lasts at most 48 hours.
const DRAIN_LIMIT: SimDuration = SimDuration::from_secs(48 * 3600);

impl ControlPlane<'_> {
    /// The next step of an instance's life; steps of one that is going or gone are ignored.
    pub(super) fn on_instance(&mut self, id: InstanceId, step: InstanceProgress, schedule: &mut Schedule<Event>) {
        let Some(group) = self.state.group_of(id) else { return };
        let Some(instance) = self.state.groups[group.index()].instance(id) else { return };
        let (lifecycle, machine) = (instance.lifecycle(), instance.ec2_state());
        let up = !machine.is_down();
        let alive = lifecycle.counts_against_desired() && up;
        // What is set aside may still have to register.
        let registers = alive || (matches!(lifecycle, Lifecycle::Standby | Lifecycle::Detached) && up);
        match step {
            InstanceProgress::Running if (alive || lifecycle.is_warming()) && machine == Ec2State::Pending => {
                self.on_instance_running(group, id, schedule);
            }
            InstanceProgress::InService if alive => self.on_instance_in_service(group, id, schedule),
            InstanceProgress::InService if lifecycle == Lifecycle::WarmedPending && up => {
                self.on_instance_warmed(group, id, schedule);
            }
            InstanceProgress::Registered if registers => self.on_instance_registered(group, id, schedule),
            InstanceProgress::TrunkAttached => self.on_trunk_attached(group, id, schedule),
            InstanceProgress::DrainTimeout if lifecycle == Lifecycle::TerminatingWait => {
                self.shut_down(id, schedule);
            }
            InstanceProgress::HookDue => self.on_hook_due(group, id, schedule),
            InstanceProgress::SpotNotice => self.on_spot_notice(id, schedule),
            InstanceProgress::Interrupted => {
                self.machine_fails(id, TerminationCause::SpotInterruption, "EC2 took it back", schedule);
            }
            InstanceProgress::Impaired if alive => self.found_impaired(group, id, schedule),
            InstanceProgress::TargetUnhealthy if alive => self.found_unhealthy_target(group, id, schedule),
            InstanceProgress::LifetimeOver if alive => self.on_lifetime_over(group, id, schedule),
            InstanceProgress::Terminated => self.on_instance_terminated(group, id, schedule),
            _ => {}
        }
    }

    fn on_instance_running(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if let Some(instance) = self.state.groups[group.index()].instance_mut(id) {
            must(instance.set_ec2_state(Ec2State::Running, now));
        }
        self.record_step(id, InstanceStep::Running, now);
    }

    fn on_instance_in_service(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let state = self.state.groups[group.index()].instance(id).map(Instance::lifecycle);
        if state != Some(Lifecycle::Pending) {
            // It is in service, or its hooks hold it: they let it go (ASG-13).
            return;
        }
        if self.begin_hooks(group, id, Transition::Launching, schedule) {
            must(self.state.groups[group.index()].transition(id, Lifecycle::PendingWait, now));
            self.record_group_counts(group, now);
        } else {
            self.enter_service(group, id, schedule);
        }
    }

    /// InService: the launch is over.
    pub(super) fn enter_service(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        must(self.state.groups[group.index()].transition(id, Lifecycle::InService, now));
        self.groups[group.index()].launching.remove(&id);
        self.launches_succeed(group);
        self.record_step(id, InstanceStep::InService, now);
        self.record_launch(group, id, "ASG-2", now, Some(now));
        self.add_to_load_balancer(group, id, schedule);
        self.record_group_counts(group, now);
        self.note_simple_activity(group, now);
        // D may have fallen while it launched: only now can the group take it back.
        if self.state.groups[group.index()].surplus() > 0 {
            self.reconcile_soon(group, schedule);
        }
        self.finish_moves(group, schedule);
        self.replace_due(group, schedule);
        self.rebalance_soon(group, schedule);
    }

    /// The agent registers: the host can take tasks, at once or when its trunk is attached (DRN-1, EC2-1…3, NET-3).
    fn on_instance_registered(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &self.groups[group.index()];
        let (cluster, provider) = (runtime.cluster, runtime.provider);
        let entry = &mut self.state.groups[group.index()];
        let Some(instance) = entry.instance(id) else { return };
        if self.state.clusters[cluster.index()].cluster.instance(id).is_some() {
            // It went into the warm pool and came back before its first registration was due.
            return;
        }
        let zone = (instance.zone(), Arc::clone(&self.state.zones[instance.zone().index()]));
        let settings = HostSettings { estate: self.estate, trunking: instance.awsvpc_trunking };
        let instance_type = Arc::clone(&instance.instance_type);
        let in_zone = zone.0;
        let mut host = match registration(entry, id, Arc::clone(&instance_type), settings, zone, provider, now) {
            Ok(host) => host,
            Err(error) => return self.registration_failed(id, &error.to_string(), "EC2-2", now),
        };
        // LIM-1: what is beyond the quota does not register.
        let there = self.state.clusters[cluster.index()].cluster.len();
        if let Some(most) = self.quotas().map(|quotas| quotas.instances_per_cluster).filter(|most| there >= *most) {
            let error =
                format!("LimitExceededException: The maximum number of container instances, {most}, has been reached.");
            return self.registration_failed(id, &error, "LIM-1", now);
        }
        // TASK-19: the cluster that its user data names may be gone.
        if self.state.clusters[cluster.index()].deleted {
            return self.registration_failed(id, "ClusterNotFoundException: Cluster not found.", "TASK-19", now);
        }
        let entry = &mut self.state.groups[group.index()];
        let trunk = has_trunk(&instance_type, settings);
        if trunk {
            host.status = ContainerInstanceStatus::Registering;
        }
        if let Some(instance) = entry.instance_mut(id) {
            instance.registered = Some(now);
        }
        let registered = host.resources;
        let resources = (registered.cpu, registered.memory, registered.gpus);
        let book = ResourceBook::of_agent(&host.agent_version, self.estate.behaviour.agent_queue_legacy, resources);
        let agent = self.state.groups[group.index()].definition.agent;
        let fair = self.estate.behaviour.pull_sharing_fair;
        let images = ImageStore::new(agent.pull_behaviour, agent.cleanup, fair, now);
        let ports = DynamicPorts::new(host.operating_system);
        self.hosts.insert(id, Box::new(Host { book, images, ports }));
        self.state.clusters[cluster.index()].cluster.register(host);
        self.record_step(id, InstanceStep::Registered, now);
        self.record_capacity(id, now);
        if self.impairments.zone_is_impaired(in_zone) {
            self.disconnect_agent(id, schedule);
        }
        if trunk {
            let attached = self.estate.behaviour.trunk_attach;
            schedule.after(attached, Event::Instance { instance: id, step: InstanceProgress::TrunkAttached });
        } else {
            self.host_joins(cluster, id, schedule);
        }
    }

    /// DRN-1: REGISTRATION_FAILED. The machine runs on, is paid for, and takes no task.
    fn registration_failed(&mut self, id: InstanceId, error: &str, rule: &'static str, now: SimTime) {
        self.decide(now, |_| Decision {
            actor: "ecs-agent",
            subject: id.ec2_id().to_string(),
            action: "registration-failed",
            from: Value::Null,
            to: json!("REGISTRATION_FAILED"),
            reason: error.to_owned(),
            rule,
            inputs: Value::Null,
        });
    }

    /// NET-3: the trunk is attached, and the host leaves REGISTERING.
    fn on_trunk_attached(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let cluster_id = self.groups[group.index()].cluster;
        let cluster = &mut self.state.clusters[cluster_id.index()].cluster;
        let waits = |host: &crate::ecs::container_instance::ContainerInstance| {
            host.status == ContainerInstanceStatus::Registering
        };
        if cluster.instance(id).is_some_and(waits) {
            cluster.set_status(id, ContainerInstanceStatus::Active);
            self.record_step(id, InstanceStep::Activated, schedule.now());
            self.record_capacity(id, schedule.now());
            self.host_joins(cluster_id, id, schedule);
        }
    }

    /// A host takes tasks from now on.
    fn host_joins(&mut self, cluster: ClusterId, id: InstanceId, schedule: &mut Schedule<Event>) {
        // SVC-2: the first to start on a host.
        self.daemons_join(cluster, id, schedule);
        self.wake_waiting(cluster, schedule);
        self.rebalance_when_hosts_come(cluster, schedule);
    }

    /// How the agent of an instance is set up; `None` when its group has forgotten it.
    pub(super) fn agent_of(&self, id: InstanceId) -> Option<AgentConfig> {
        let group = self.state.group_of(id)?;
        Some(self.state.groups[group.index()].definition.agent)
    }

    /// What keeps the group's idle hosts may have changed.
    pub(super) fn outlook_changed(&mut self, group: GroupId, now: SimTime) {
        self.observer.observe(now, &Record::Outlook { group }, &self.state);
    }

    /// Takes an instance out of its group: Terminating, drained first where its provider says so (DRN-3).
    pub(super) fn terminate(
        &mut self,
        id: InstanceId,
        cause: TerminationCause,
        why: &str,
        rule: &'static str,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        let Some(instance) = self.state.groups[group.index()].instance_mut(id) else { return };
        let pooled = instance.lifecycle().is_warmed();
        let (leaves, waits) = if pooled {
            (Lifecycle::WarmedTerminating, Lifecycle::WarmedTerminatingWait)
        } else {
            (Lifecycle::Terminating, Lifecycle::TerminatingWait)
        };
        // A machine that has failed keeps the cause of its failure: the group only found it dead.
        if !instance.ec2_state().is_down() {
            instance.termination_cause = Some(cause);
            let reason = if why.is_empty() { cause.to_string() } else { format!("{cause}: {why}") };
            instance.termination_reason = reason.into();
        }
        let up = !instance.ec2_state().is_down();
        self.groups[group.index()].launching.remove(&id);
        self.drop_hooks(group, id);
        must(self.state.groups[group.index()].transition(id, leaves, now));
        self.record_step(id, InstanceStep::Terminating, now);
        self.decide(now, |state| {
            let group = &state.groups[group.index()];
            let host = group.instance(id)?;
            Some(Decision {
                actor: "auto-scaling-group",
                subject: id.ec2_id().to_string(),
                action: "terminate",
                from: json!(state.zone_name(host.zone())),
                to: Value::Null,
                reason: host.termination_reason.to_string(),
                rule,
                inputs: json!({
                    "group": group.definition.name,
                    "desired": group.desired(),
                    "size": group.size(),
                    "zones": zone_sizes(group, state),
                    "policies": group.definition.termination_policies.iter().map(|policy| policy.name()).collect::<Vec<_>>(),
                    "tasks": state.container_instance(host).map_or(0, |host| host.non_daemon),
                    "protected": host.protected_from_scale_in,
                }),
            })
        });
        self.record_termination(group, id, now, None);
        let drains = self.drains(group) && !self.tasks_on(id).is_empty();
        // Hooks hold a machine that runs; of one that has failed there is nothing to hold.
        let held = up && self.begin_hooks(group, id, Transition::Terminating, schedule);
        if drains || held {
            must(self.state.groups[group.index()].transition(id, waits, now));
            if drains {
                self.hold_for_draining(id, now);
                self.set_draining(id, true, schedule);
                let limit = Event::Instance { instance: id, step: InstanceProgress::DrainTimeout };
                let timer = schedule.after(DRAIN_LIMIT, limit);
                self.groups[group.index()].drain_timers.insert(id, timer);
            }
        } else {
            self.shut_down(id, schedule);
        }
        self.record_group_counts(group, now);
    }

    /// Whether the group's provider has managed draining (DRN-3).
    pub(super) fn drains(&self, group: GroupId) -> bool {
        self.groups[group.index()]
            .provider
            .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_draining)
    }

    /// DRN-3: the hook that ECS has put on the group holds the instance; ECS extends it for as long as tasks are there.
    fn hold_for_draining(&mut self, id: InstanceId, now: SimTime) {
        let tasks = self.tasks_on(id).len();
        self.decide(now, |_| Decision {
            actor: "ecs",
            subject: id.ec2_id().to_string(),
            action: "drain",
            from: Value::Null,
            to: json!("Terminating:Wait"),
            reason: format!("{MANAGED_DRAINING_HOOK} holds it until its tasks have stopped, {DRAIN_LIMIT} at most"),
            rule: "DRN-3",
            inputs: json!({ "hook": MANAGED_DRAINING_HOOK, "heartbeat_s": 3600, "default_result": "CONTINUE", "tasks": tasks }),
        });
    }

    /// DRN-2: sets a container instance to DRAINING, or back to ACTIVE.
    pub(super) fn set_draining(&mut self, id: InstanceId, draining: bool, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        let cluster_id = self.groups[group.index()].cluster;
        let cluster = &mut self.state.clusters[cluster_id.index()].cluster;
        let Some(host) = cluster.instance(id) else { return };
        if (host.status == ContainerInstanceStatus::Draining) == draining {
            return;
        }
        let status = if draining { ContainerInstanceStatus::Draining } else { ContainerInstanceStatus::Active };
        cluster.set_status(id, status);
        if draining {
            self.draining_hosts += 1;
            if let Some(instance) = self.state.groups[group.index()].instance_mut(id) {
                instance.draining = Some(now);
            }
        } else {
            self.draining_hosts -= 1;
        }
        self.record_step(id, if draining { InstanceStep::Draining } else { InstanceStep::Activated }, now);
        self.record_capacity(id, now);
        for service in self.services_on(id) {
            self.wake_service(service, schedule);
        }
        if draining {
            self.daemons_leave(cluster_id, id, schedule);
        } else {
            self.daemons_join(cluster_id, id, schedule);
            self.wake_waiting(cluster_id, schedule);
        }
    }

    fn services_on(&self, id: InstanceId) -> BTreeSet<crate::ecs::ids::ServiceId> {
        let tasks = self.tasks_on(id);
        tasks.iter().filter_map(|key| self.state.tasks[*key].owner).map(|owner| owner.service).collect()
    }

    /// Tasks bound to a host and not yet STOPPED, in order of creation.
    pub(super) fn tasks_on(&self, id: InstanceId) -> Vec<TaskKey> {
        let Some(group) = self.state.group_of(id) else { return Vec::new() };
        let cluster = &self.state.clusters[self.groups[group.index()].cluster.index()].cluster;
        let mut tasks: Vec<TaskKey> =
            cluster.instance(id).map(|host| host.tasks.keys().copied().collect()).unwrap_or_default();
        tasks.sort_by_key(|key| self.state.tasks[*key].number);
        tasks
    }

    /// A task of this host is gone: a host that drains and has none left goes on (DRN-3).
    pub(super) fn on_host_lost_a_task(
        &mut self,
        id: InstanceId,
        group: Option<GroupId>,
        schedule: &mut Schedule<Event>,
    ) {
        self.daemons_follow(id, schedule);
        // As a rule nobody waits: the group's count saves the search among its instances.
        let waits = group.is_some_and(|group| {
            let group = &self.state.groups[group.index()];
            let waits = |instance: &Instance| instance.lifecycle() == Lifecycle::TerminatingWait;
            group.terminating() > 0 && group.instance(id).is_some_and(waits)
        });
        if waits {
            self.termination_may_proceed(id, schedule);
        }
    }

    /// Terminating:Wait ends when no hook holds the instance and managed draining has nothing left to wait for.
    pub(super) fn termination_may_proceed(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let Some(group) = self.state.group_of(id) else { return };
        if !self.is_held(group, id) && (!self.drains(group) || self.tasks_on(id).is_empty()) {
            self.shut_down(id, schedule);
        }
    }

    /// TerminateInstances: the machine goes down, its container instance is deregistered, its tasks are lost (DRN-6).
    pub(super) fn shut_down(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        self.drop_hooks(group, id);
        if let Some(timer) = self.groups[group.index()].drain_timers.remove(&id) {
            schedule.cancel(timer);
        }
        let entry = &mut self.state.groups[group.index()];
        match entry.instance(id).map(Instance::lifecycle) {
            Some(Lifecycle::TerminatingWait) => must(entry.transition(id, Lifecycle::TerminatingProceed, now)),
            Some(Lifecycle::WarmedTerminatingWait) => {
                must(entry.transition(id, Lifecycle::WarmedTerminatingProceed, now));
            }
            _ => {}
        }
        let down = entry.instance(id).is_some_and(|instance| instance.ec2_state().is_down());
        let delay = if down {
            // What has failed is terminated already: nothing is left to wait for.
            SimDuration::ZERO
        } else {
            self.machine_down(id, schedule);
            let runtime = &mut self.groups[group.index()];
            self.estate.delays.instance_terminate.sample_duration(&mut runtime.boot)
        };
        schedule.after(delay, Event::Instance { instance: id, step: InstanceProgress::Terminated });
        self.record_group_counts(group, now);
    }

    /// The machine goes down: the bill ends, its container instance and its tasks are gone.
    pub(super) fn machine_down(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        if let Some(instance) = self.state.groups[group.index()].instance_mut(id) {
            must(instance.set_ec2_state(Ec2State::ShuttingDown, now));
        }
        self.spot_released(id);
        self.record_step(id, InstanceStep::ShuttingDown, now);
        self.deregister(group, id, schedule);
    }

    /// A host loses its tasks and leaves its cluster, through DEREGISTERING while it has a trunk (DRN-1).
    pub(super) fn deregister(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let cluster = self.groups[group.index()].cluster;
        let Some(host) = self.state.clusters[cluster.index()].cluster.instance(id) else { return };
        let was_draining = host.status == ContainerInstanceStatus::Draining;
        let trunk = host.trunk;
        let reason = format!("Host EC2 (instance {}) terminated.", id.ec2_id());
        self.daemons_leave(cluster, id, schedule);
        for key in self.tasks_on(id) {
            self.lose_task(key, StopCode::TerminationNotice, &reason, schedule);
        }
        self.draining_hosts -= u32::from(was_draining);
        if trunk {
            self.state.clusters[cluster.index()].cluster.set_status(id, ContainerInstanceStatus::Deregistering);
            self.record_capacity(id, schedule.now());
        } else {
            self.leave_cluster(group, id, schedule.now());
        }
    }

    /// The container instance is INACTIVE and gone.
    pub(super) fn leave_cluster(&mut self, group: GroupId, id: InstanceId, now: SimTime) {
        let cluster = self.groups[group.index()].cluster;
        if self.state.clusters[cluster.index()].cluster.instance(id).is_none() {
            return;
        }
        // EVT-3: a change of status as others are, and the last of this host.
        self.state.clusters[cluster.index()].cluster.set_status(id, ContainerInstanceStatus::Inactive);
        if self.wants.events {
            self.observer.observe(now, &Record::ContainerInstance { cluster, instance: id }, &self.state);
        }
        self.state.clusters[cluster.index()].cluster.deregister(id);
        self.hosts.remove(id);
        self.forget_agent(id);
        self.record_capacity(id, now);
    }

    fn on_instance_terminated(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.leave_cluster(group, id, now);
        let entry = &mut self.state.groups[group.index()];
        if let Some(instance) = entry.instance_mut(id) {
            must(instance.set_ec2_state(Ec2State::Terminated, now));
        }
        must(self.state.groups[group.index()].transition(id, Lifecycle::Terminated, now));
        self.record_step(id, InstanceStep::Terminated, now);
        self.record_termination(group, id, now, Some(now));
        self.state.groups[group.index()].forget(id);
        self.state.instance_groups.remove(id);
        self.pool_may_be_gone(group);
        self.record_group_counts(group, now);
        let entry = &self.state.groups[group.index()];
        if entry.missing() > 0 || entry.pool_count() < entry.pool_size() {
            self.reconcile_soon(group, schedule);
        }
        self.replace_due(group, schedule);
        self.rebalance_soon(group, schedule);
    }

    fn record_termination(&mut self, group: GroupId, instance: InstanceId, now: SimTime, end: Option<SimTime>) {
        self.tell_activity(now, |state| {
            let group = &state.groups[group.index()];
            let host = group.instance(instance)?;
            let id = ActivityId::Termination(instance);
            let description = format!("Terminating EC2 instance: {}", instance.ec2_id());
            let start = host.terminating.unwrap_or(now);
            Some(group_activity(id, group, description, &host.termination_reason, start, end))
        });
    }

    /// Sets scale-in protection of one instance; returns whether it changed.
    pub(super) fn set_protection(&mut self, id: InstanceId, protected: bool, now: SimTime) -> bool {
        let Some(group) = self.state.group_of(id) else { return false };
        let Some(instance) = self.state.groups[group.index()].instance_mut(id) else { return false };
        if instance.protected_from_scale_in == protected {
            return false;
        }
        instance.protected_from_scale_in = protected;
        self.record_step(id, InstanceStep::Protection, now);
        true
    }

    /// TP-3: a task has landed on an unprotected host of a provider with managed termination protection.
    pub(super) fn protect_again(&mut self, id: InstanceId, group: Option<GroupId>, now: SimTime) {
        let Some(group) = group else { return };
        let managed = self.groups[group.index()]
            .provider
            .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_termination_protection);
        if managed {
            self.set_protection(id, true, now);
        }
    }

    /// What hosts that are launched now have in common.
    pub(super) fn host_settings(&self) -> HostSettings<'_> {
        HostSettings { estate: self.estate, trunking: self.awsvpc_trunking }
    }

    pub(super) fn record_step(&mut self, instance: InstanceId, step: InstanceStep, now: SimTime) {
        self.observer.observe(now, &Record::Instance { instance, step }, &self.state);
    }

    /// The resources of a host's cluster have changed.
    pub(super) fn record_capacity(&mut self, instance: InstanceId, now: SimTime) {
        let Some(group) = self.state.group_of(instance) else { return };
        self.record_capacity_in(self.groups[group.index()].cluster, instance, now);
    }

    /// The resources of a host of this cluster have changed.
    pub(super) fn record_capacity_in(&mut self, cluster: ClusterId, instance: InstanceId, now: SimTime) {
        self.note_for_scheduler(cluster, instance);
        self.observer.observe(now, &Record::Capacity { cluster }, &self.state);
        if self.wants.events {
            self.observer.observe(now, &Record::ContainerInstance { cluster, instance }, &self.state);
        }
    }

    pub(super) fn record_group_level(&mut self, id: GroupId, metric: &'static str, value: u32, now: SimTime) {
        self.record_level(Resource::Group(id), metric, f64::from(value), now);
    }

    /// The levels of a group, of those that it needs: units where it has weights, its pool where it has one.
    pub(super) fn record_group_counts(&mut self, id: GroupId, now: SimTime) {
        let group = &self.state.groups[id.index()];
        let known = |metric| self.levels.contains_key(&(Resource::Group(id), metric));
        let mut counts = vec![
            ("GroupPendingInstances", group.pending()),
            ("GroupInServiceInstances", group.in_service()),
            ("GroupTerminatingInstances", group.terminating()),
        ];
        if group.standby() > 0 || known("GroupStandbyInstances") {
            counts.push(("GroupStandbyInstances", group.standby()));
        }
        if group.is_weighted() || known("GroupInServiceCapacity") {
            counts.push(("GroupPendingCapacity", group.pending_capacity()));
            counts.push(("GroupInServiceCapacity", group.in_service_capacity()));
        }
        if group.warm_pool.is_some() || known("WarmPoolDesiredCapacity") {
            counts.push(("WarmPoolDesiredCapacity", group.pool_size() - group.pool_ahead()));
            counts.push(("WarmPoolPendingCapacity", group.pool_warming()));
            counts.push(("WarmPoolWarmedCapacity", group.pool_warm()));
            counts.push(("WarmPoolTerminatingCapacity", group.pool_terminating()));
        }
        for (metric, value) in counts {
            self.record_group_level(id, metric, value, now);
        }
    }
}

/// Instances that count in each zone of a group.
fn zone_sizes(group: &AutoScalingGroup, state: &State) -> Value {
    let sizes = group.zone_counts().map(|(zone, counts)| (state.zone_name(zone).to_owned(), json!(counts.total())));
    Value::Object(sizes.collect())
}

/// What hosts have in common, whatever their group.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostSettings<'a> {
    estate: &'a Estate,
    /// Whether the account has opted in to trunks (NET-2).
    trunking: bool,
}

/// What a host of a group brings when its agent registers.
pub(super) fn registration(
    group: &AutoScalingGroup,
    id: InstanceId,
    instance_type: Arc<str>,
    settings: HostSettings<'_>,
    (zone, zone_name): (ZoneId, Arc<str>),
    provider: Option<ProviderId>,
    now: SimTime,
) -> Result<Registration, ReservedMemoryTooLarge> {
    let resources = registered_resources(group, &instance_type, settings)?;
    let mut attributes = Attributes::new();
    for (name, value) in &group.definition.ecs_attributes {
        attributes.set(name.as_str(), value.as_str());
    }
    let known = settings.estate.instance_type(&instance_type);
    let architecture = known.map_or_else(Default::default, |known| known.architecture);
    let definition = &group.definition;
    let operating_system =
        if definition.windows_family.is_some() { OperatingSystem::Windows } else { OperatingSystem::Linux };
    let nitro = known.is_none_or(|known| known.hypervisor != Hypervisor::Xen);
    let mut capabilities = Capabilities::of_host(&definition.ecs_agent_version, operating_system, nitro);
    for capability in capabilities.iter() {
        attributes.set(capability.attribute(), "");
    }
    if let Some(family) = &definition.windows_family {
        attributes.set("ecs.os-family", family.as_str());
        capabilities = capabilities.with_family(family);
    }
    // One image, network and subnet per Region, platform and zone stand for what the scenario does not say.
    let platform = definition.windows_family.as_deref().unwrap_or("LINUX");
    let region = zone_name.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let digits = |of: &str| fnv1a(of.bytes());
    let image = digits(&format!("{region}/{platform}/{}", architecture.attribute()));
    attributes.set_default("ecs.ami-id", format!("ami-0{image:016x}"));
    attributes.set_default("ecs.vpc-id", format!("vpc-0{:016x}", digits(region)));
    attributes.set_default("ecs.subnet-id", format!("subnet-{zone_name}"));
    Ok(Registration {
        id,
        trunk: has_trunk(&instance_type, settings),
        reserves_51680: settings.estate.behaviour.reserve_51680,
        architecture,
        operating_system,
        capabilities,
        attributes: attributes.with_built_in(&zone_name, &instance_type, architecture, operating_system),
        resources,
        instance_type,
        zone,
        zone_name,
        status: ContainerInstanceStatus::Active,
        agent_version: group.definition.ecs_agent_version.as_str().into(),
        registered_at: now,
        provider,
        group: Some(group.id),
    })
}

/// Whether hosts of a type get a trunk, as they do once the account has opted in (NET-2).
fn has_trunk(instance_type: &str, settings: HostSettings<'_>) -> bool {
    let known = settings.estate.instance_type(instance_type);
    settings.trunking && known.is_some_and(|known| known.awsvpc_slots_trunking.is_some())
}

/// What a host of `instance_type` registers: the scenario's override, else the catalogue (EC2-1…5), less
/// `ECS_RESERVED_MEMORY`. With `trunking` it holds more awsvpc tasks (EC2-12).
///
/// # Errors
/// The reserve is larger than what there is.
pub(super) fn registered_resources(
    group: &AutoScalingGroup,
    instance_type: &str,
    settings: HostSettings<'_>,
) -> Result<Resources, ReservedMemoryTooLarge> {
    let definition = &group.definition;
    let known = settings.estate.instance_type(instance_type);
    let own = definition.registered_resources.get(instance_type);
    let measured = definition
        .host_memory_bytes
        .map(|bytes| crate::units::MiB(bytes / (1 << 20)))
        .or(known.map(|known| known.registered_memory))
        .unwrap_or_default();
    let memory = match own.and_then(|own| own.memory) {
        Some(memory) => memory,
        None => catalog::less_reserved_memory(measured, definition.ecs_reserved_memory)?,
    };
    Ok(Resources {
        cpu: own.and_then(|own| own.cpu).or(known.map(catalog::InstanceType::cpu)).unwrap_or_default(),
        memory,
        gpus: known.map_or(0, |known| known.gpus),
        eni_slots: known.map_or(0, |known| known.awsvpc_slots_with(settings.trunking)),
    })
}

/// A step the lifecycle does not know is a defect of the model, not of its input.
pub(super) fn must<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(illegal) = outcome {
        panic!("the control plane asked for an illegal transition: {illegal}");
    }
}
