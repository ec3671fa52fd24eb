//! Groups and their hosts: launch, boot, registration, termination (ASG-*, DRN-*, EC2-20…).

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::lifecycle::Hooks;
use crate::control_plane::markets::MarketView;
use crate::control_plane::record::{Activity, ActivityId, ActivityService, Decision, InstanceStep, Record, Resource};
use crate::control_plane::replacement::Replacing;
use crate::control_plane::state::State;
use crate::ec2::auto_scaling_group::{AutoScalingGroup, ScalingProcess};
use crate::ec2::instance::{Ec2State, Instance, Lifecycle, TerminationCause};
use crate::ec2::launch::{self, Launch, LaunchPlan};
use crate::ec2::lifecycle_hook::Transition;
use crate::ec2::termination_policy;
use crate::ecs::agent::{AgentConfig, ResourceBook};
use crate::ecs::container_instance::{Attributes, ContainerInstanceStatus, Registration, Resources};
use crate::ecs::ids::{ClusterId, GroupId, InstanceId, ProviderId, TaskKey, ZoneId};
use crate::ecs::image_store::ImageStore;
use crate::ecs::task::StopCode;
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::simulation::Schedule;
use crate::engine::streams::Stream;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::step_scaling::SimpleScalingState;

/// What a registered host keeps besides its container instance.
#[derive(Debug)]
pub(super) struct Host {
    /// The agent's resource book.
    pub(super) book: ResourceBook,
    /// The images on it, and those it pulls (IMG-2).
    pub(super) images: ImageStore,
}

/// Registered hosts by instance id; ids are dense, so a lookup is an index.
#[derive(Debug, Default)]
pub(super) struct HostTable(Vec<Option<Box<Host>>>);

impl HostTable {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.iter().flatten().map(|host| &**host)
    }

    pub(super) fn get_mut(&mut self, id: InstanceId) -> Option<&mut Host> {
        self.0.get_mut(id.index())?.as_deref_mut()
    }

    fn insert(&mut self, id: InstanceId, host: Host) {
        if self.0.len() <= id.index() {
            self.0.resize_with(id.index() + 1, || None);
        }
        self.0[id.index()] = Some(Box::new(host));
    }

    fn remove(&mut self, id: InstanceId) {
        if let Some(place) = self.0.get_mut(id.index()) {
            *place = None;
        }
    }
}

/// What the control plane keeps of a group besides the group itself.
#[derive(Debug)]
pub(super) struct GroupRuntime {
    /// Chance of zone ties and of the choice of victims.
    pub(super) choice: Stream,
    /// Chance of boot times, in launch order: the k-th launch of a group takes as long in every variant.
    pub(super) boot: Stream,
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
    /// Why the desired capacity last changed, for the activities' causes.
    pub(super) cause: String,
}

/// DRN-3: managed draining lasts at most 48 hours.
const DRAIN_LIMIT: SimDuration = SimDuration::from_secs(48 * 3600);

impl ControlPlane<'_> {
    /// Sets a group's desired capacity as a policy does: clamped, then reconciled after the group's reaction time.
    pub(super) fn set_group_desired(
        &mut self,
        id: GroupId,
        wanted: u32,
        cause: String,
        schedule: &mut Schedule<Event>,
    ) {
        let group = &mut self.state.groups[id.index()];
        let before = group.desired();
        group.set_desired(wanted);
        self.group_desired_moved(id, before, cause, schedule);
    }

    /// The desired capacity of a group was set, from `before`; `cause` goes to the activities that follow.
    pub(super) fn group_desired_moved(
        &mut self,
        id: GroupId,
        before: u32,
        cause: String,
        schedule: &mut Schedule<Event>,
    ) {
        let after = self.state.groups[id.index()].desired();
        if after == before {
            return;
        }
        self.groups[id.index()].cause = cause;
        if after > before {
            self.state.groups[id.index()].last_scale_out = Some(schedule.now());
        }
        self.group_desired_changed(id, schedule);
    }

    /// The desired capacity of a group has changed: tell the observers, converge soon (`asg_reconcile_s`).
    pub(super) fn group_desired_changed(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let desired = self.state.groups[id.index()].desired();
        self.record_group_level(id, "GroupDesiredCapacity", desired, schedule.now());
        self.reconcile_soon(id, schedule);
    }

    /// Schedules one reconciliation after the group's reaction time.
    pub(super) fn reconcile_soon(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        let runtime = &mut self.groups[id.index()];
        if !runtime.reconcile_scheduled {
            runtime.reconcile_scheduled = true;
            let delay = self.estate.delays.asg_reaction.sample_duration(&mut runtime.choice);
            schedule.after(delay, Event::GroupReconcile(id));
        }
    }

    /// ASG-25: the cooldown of a simple policy starts when the last instance of its activity has launched or begun to go.
    fn note_simple_activity(&mut self, id: GroupId, now: SimTime) {
        let group = &self.state.groups[id.index()];
        let runtime = &mut self.groups[id.index()];
        if runtime.launching.is_empty() && group.missing() == 0 && group.surplus() == 0 {
            runtime.simple.complete(now);
        }
    }

    /// ASG-1: the group converges to its desired capacity.
    pub(super) fn on_group_reconcile(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[id.index()].reconcile_scheduled = false;
        let group = &self.state.groups[id.index()];
        let (missing, surplus) = (group.missing(), group.surplus());
        if missing > 0 && !group.is_suspended(ScalingProcess::Launch) {
            self.launch_instances(id, missing, schedule);
        } else if surplus > 0 && !group.is_suspended(ScalingProcess::Terminate) {
            self.scale_in_group(id, surplus, schedule);
        }
        self.rebalance_group(id, schedule);
    }

    fn launch_instances(&mut self, id: GroupId, count: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let plan = self.plan_launches(id, None, count, now);
        let reason: Arc<str> = self.groups[id.index()].cause.as_str().into();
        for launch in plan.launches {
            self.launch_instance(id, launch, Arc::clone(&reason), "ASG-2", schedule);
        }
        self.record_group_counts(id, now);
        if plan.failed > 0 {
            self.on_launch_failed(id, plan.failed, &plan.exhausted, schedule);
        } else {
            self.groups[id.index()].failed_launches = 0;
        }
    }

    /// What the group launches next, in `zone` alone if one is given, with the capacity that EC2 has now.
    pub(super) fn plan_launches(&mut self, id: GroupId, zone: Option<ZoneId>, count: u32, now: SimTime) -> LaunchPlan {
        self.open_pools(id);
        let group = &self.state.groups[id.index()];
        let view = MarketView { markets: &self.markets, group: &group.definition.name, zones: &self.state.zones, now };
        let chance = &mut self.groups[id.index()].choice;
        match &zone {
            Some(zone) => launch::plan_launches_in(group, std::slice::from_ref(zone), count, &view, chance),
            None => launch::plan_launches(group, count, &view, chance),
        }
    }

    /// ASG-40: EC2 has no capacity; the activity fails, the desired capacity stays, and the group tries again.
    fn on_launch_failed(
        &mut self,
        id: GroupId,
        failed: u32,
        exhausted: &BTreeSet<Launch>,
        schedule: &mut Schedule<Event>,
    ) {
        let now = schedule.now();
        let runtime = &mut self.groups[id.index()];
        let cause = runtime.cause.clone();
        if !runtime.retry_scheduled {
            runtime.retry_scheduled = true;
            runtime.failed_launches += 1;
            let delay = launch::ice_retry_delay(self.estate.behaviour.ice_retry, runtime.failed_launches);
            schedule.after(delay, Event::LaunchRetry(id));
        }
        let pools: Vec<String> = exhausted
            .iter()
            .map(|pool| format!("{} {} in {}", pool.market, pool.instance_type, self.state.zone_name(pool.zone)))
            .collect();
        let message = if pools.is_empty() {
            "The price of every Spot pool is above the maximum price of the group.".to_owned()
        } else {
            format!(
                "We currently do not have sufficient capacity in the Availability Zones you requested: {}.",
                pools.join(", ")
            )
        };
        let activity = self.next_activity();
        self.tell_activity(now, |state| Activity {
            status: "Failed",
            message: message.clone(),
            ..group_activity(
                activity,
                &state.groups[id.index()],
                format!("Launching {failed} new EC2 instances"),
                &cause,
                now,
                Some(now),
            )
        });
        self.decide(now, |state| Decision {
            actor: "auto-scaling-group",
            subject: state.resource_name(Resource::Group(id)),
            action: "not-launched",
            from: Value::Null,
            to: Value::Null,
            reason: message,
            rule: "ASG-40",
            inputs: json!({ "instances": failed }),
        });
    }

    /// ASG-40: the next attempt.
    pub(super) fn on_launch_retry(&mut self, id: GroupId, schedule: &mut Schedule<Event>) {
        self.groups[id.index()].retry_scheduled = false;
        let group = &self.state.groups[id.index()];
        let missing = group.missing();
        if missing > 0 && !group.is_suspended(ScalingProcess::Launch) {
            self.launch_instances(id, missing, schedule);
        }
    }

    /// RunInstances: a new member of the group begins to boot.
    pub(super) fn launch_instance(
        &mut self,
        id: GroupId,
        launch: Launch,
        reason: Arc<str>,
        rule: &'static str,
        schedule: &mut Schedule<Event>,
    ) -> InstanceId {
        let now = schedule.now();
        let instance = InstanceId(self.state.instance_groups.len() as u32);
        self.state.instance_groups.push(id);
        self.spot_launched(instance, &launch, schedule);
        let catalogued = catalog::catalog().instance_type(&launch.instance_type);
        let trunk = self.awsvpc_trunking && catalogued.is_some_and(|one| one.awsvpc_slots_trunking.is_some());
        let group = &mut self.state.groups[id.index()];
        let zone = &self.state.zones[launch.zone.index()];
        let factor = self.impairments.boot_factor(&group.definition.name, &launch, zone);
        group.launch(instance, launch, reason, now).awsvpc_trunking = self.awsvpc_trunking;
        let lifetime = group.definition.max_instance_lifetime;
        let runtime = &mut self.groups[id.index()];
        runtime.launching.insert(instance);
        let delays = &self.estate.delays;
        let slowed = |delay: SimDuration| if factor == 1.0 { delay } else { delay.mul_f64(factor) };
        // One draw of each kind a launch, whatever becomes of it, so that the k-th host boots alike everywhere.
        let running = delays.instance_launch.sample_duration(&mut runtime.boot);
        let in_service = delays.instance_in_service.sample_duration(&mut runtime.boot);
        let registered = delays.agent_register.sample_duration(&mut runtime.boot).max(running);
        let (running, in_service, registered) = (slowed(running), slowed(in_service), slowed(registered));
        // NET-3: it takes tasks once its trunk is attached.
        let registered = if trunk { registered.saturating_add(self.estate.behaviour.trunk_attach) } else { registered };
        for (delay, step) in [
            (running, InstanceProgress::Running),
            (running.saturating_add(in_service), InstanceProgress::InService),
            (registered, InstanceProgress::Registered),
        ] {
            schedule.after(delay, Event::Instance { instance, step });
        }
        if let Some(lifetime) = lifetime {
            schedule.after(lifetime, Event::Instance { instance, step: InstanceProgress::LifetimeOver });
        }
        self.record_step(instance, InstanceStep::Launched, now);
        self.record_launch(id, instance, rule, now, None);
        instance
    }

    fn record_launch(
        &mut self,
        group: GroupId,
        instance: InstanceId,
        rule: &'static str,
        now: SimTime,
        end: Option<SimTime>,
    ) {
        let name = instance.ec2_id();
        if end.is_none() {
            self.decide(now, |state| {
                let group = &state.groups[group.index()];
                let host = group.instance(instance)?;
                Some(Decision {
                    actor: "auto-scaling-group",
                    subject: name.to_string(),
                    action: "launch",
                    from: Value::Null,
                    to: json!(state.zone_name(host.zone())),
                    reason: host.launch_reason.to_string(),
                    rule,
                    inputs: json!({
                        "group": group.definition.name,
                        "type": &*host.instance_type,
                        "market": host.market().to_string(),
                        "desired": group.desired(),
                    }),
                })
            });
        }
        self.tell_activity(now, |state| {
            let group = &state.groups[group.index()];
            let host = group.instance(instance)?;
            let id = ActivityId::Launch(instance);
            let description = format!("Launching a new EC2 instance: {name}");
            Some(group_activity(id, group, description, &host.launch_reason, host.launched, end))
        });
    }

    /// The next step of an instance's life; steps of one that is going are ignored.
    pub(super) fn on_instance(&mut self, id: InstanceId, step: InstanceProgress, schedule: &mut Schedule<Event>) {
        let group = self.state.instance_groups[id.index()];
        let Some(instance) = self.state.groups[group.index()].instance(id) else { return };
        let up = !instance.ec2_state().is_down();
        let alive = instance.lifecycle().counts_against_desired() && up;
        // What is set aside may still have to register.
        let registers = alive || (matches!(instance.lifecycle(), Lifecycle::Standby | Lifecycle::Detached) && up);
        match step {
            InstanceProgress::Running if alive => self.on_instance_running(group, id, schedule),
            InstanceProgress::InService if alive => self.on_instance_in_service(group, id, schedule),
            InstanceProgress::Registered if registers => self.on_instance_registered(group, id, schedule),
            InstanceProgress::DrainTimeout if instance.lifecycle() == Lifecycle::TerminatingWait => {
                self.shut_down(id, schedule);
            }
            InstanceProgress::HookDue => self.on_hook_due(group, id, schedule),
            InstanceProgress::SpotNotice => self.on_spot_notice(id, schedule),
            InstanceProgress::Interrupted => {
                self.machine_fails(id, TerminationCause::SpotInterruption, "EC2 took it back", schedule);
            }
            InstanceProgress::Impaired if alive => self.found_impaired(group, id, schedule),
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
        self.record_step(id, InstanceStep::InService, now);
        self.record_launch(group, id, "ASG-2", now, Some(now));
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

    /// The agent registers: the host can take tasks (DRN-1, EC2-1…3).
    fn on_instance_registered(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &self.groups[group.index()];
        let (cluster, provider) = (runtime.cluster, runtime.provider);
        let entry = &mut self.state.groups[group.index()];
        if let Some(instance) = entry.instance_mut(id) {
            instance.registered = Some(now);
        }
        let Some(instance) = entry.instance(id) else { return };
        let zone = (instance.zone(), Arc::clone(&self.state.zones[instance.zone().index()]));
        let trunking = instance.awsvpc_trunking;
        let host = registration(entry, id, Arc::clone(&instance.instance_type), trunking, zone.clone(), provider, now);
        let registered = host.resources;
        let book = ResourceBook::new(registered.cpu, registered.memory, registered.gpus);
        let agent = self.state.groups[group.index()].definition.agent;
        let fair = self.estate.behaviour.pull_sharing_fair;
        let images = ImageStore::new(agent.pull_behaviour, agent.cleanup, fair, now);
        self.hosts.insert(id, Host { book, images });
        self.state.clusters[cluster.index()].cluster.register(host);
        self.record_step(id, InstanceStep::Registered, now);
        self.record_capacity(id, now);
        if self.impairments.zone_is_impaired(zone.0) {
            self.disconnect_agent(id, schedule);
        }
        // SVC-2: the first to start on a host.
        self.daemons_join(cluster, id, schedule);
        self.wake_waiting(cluster, schedule);
        self.rebalance_when_hosts_come(cluster, schedule);
    }

    /// How the agent of an instance is set up; `None` when its group has forgotten it.
    pub(super) fn agent_of(&self, id: InstanceId) -> Option<AgentConfig> {
        let group = self.state.instance_groups.get(id.index())?;
        Some(self.state.groups[group.index()].definition.agent)
    }

    /// ASG-4…8: which instances go, protected ones spared (TP-5).
    fn scale_in_group(&mut self, id: GroupId, surplus: u32, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let runtime = &mut self.groups[id.index()];
        let group = &self.state.groups[id.index()];
        let victims = termination_policy::choose_victims(group, surplus, now, &mut runtime.choice);
        let spared = surplus as usize - victims.len();
        let cause = runtime.cause.clone();
        self.note_passed_over(id, &victims, now);
        for victim in victims {
            self.terminate(victim, TerminationCause::ScaleIn, &cause, "ASG-4", schedule);
        }
        self.note_simple_activity(id, now);
        self.outlook_changed(id, now);
        if spared > 0 {
            self.decide(now, |state| Decision {
                actor: "auto-scaling-group",
                subject: state.resource_name(Resource::Group(id)),
                action: "spare",
                from: Value::Null,
                to: Value::Null,
                reason: format!("{spared} instances above the desired capacity stay: protected from scale-in"),
                rule: "TP-5",
                inputs: json!({ "desired": state.groups[id.index()].desired(), "protected": spared }),
            });
        }
    }

    /// ASG-4: idle hosts that stay because a zone with more instances gave a busy one.
    fn note_passed_over(&mut self, id: GroupId, victims: &[InstanceId], now: SimTime) {
        let state = &self.state;
        let group = &state.groups[id.index()];
        let idle = |instance: &Instance| {
            state.container_instance(instance).is_some_and(|host| host.non_daemon == 0)
                && instance.lifecycle() == Lifecycle::InService
                && !instance.is_protected()
        };
        let fuller = victims.iter().filter_map(|victim| group.instance(*victim)).filter(|victim| !idle(victim));
        let fullest = fuller.map(|victim| group.in_zone(victim.zone()).total()).max();
        let stays = |instance: &&Instance| !victims.contains(&instance.id) && idle(instance);
        let passed: BTreeSet<InstanceId> = group
            .instances()
            .filter(stays)
            .filter(|instance| fullest.is_some_and(|fullest| group.in_zone(instance.zone()).total() < fullest))
            .map(|instance| instance.id)
            .collect();
        let members: Vec<InstanceId> =
            group.instances().filter(|i| i.passed_over || passed.contains(&i.id)).map(|i| i.id).collect();
        for member in members {
            if let Some(instance) = self.state.groups[id.index()].instance_mut(member) {
                instance.passed_over = passed.contains(&member);
            }
            self.record_step(member, InstanceStep::Held, now);
        }
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
        let group = self.state.instance_groups[id.index()];
        let Some(instance) = self.state.groups[group.index()].instance_mut(id) else { return };
        // A machine that has failed keeps the cause of its failure: the group only found it dead.
        if !instance.ec2_state().is_down() {
            instance.termination_cause = Some(cause);
            let reason = if why.is_empty() { cause.to_string() } else { format!("{cause}: {why}") };
            instance.termination_reason = reason.into();
        }
        let up = !instance.ec2_state().is_down();
        self.groups[group.index()].launching.remove(&id);
        self.drop_hooks(group, id);
        must(self.state.groups[group.index()].transition(id, Lifecycle::Terminating, now));
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
        let drains = self.groups[group.index()]
            .provider
            .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_draining);
        let has_tasks = !self.tasks_on(id).is_empty();
        let drains = drains && has_tasks;
        // Hooks hold a machine that runs; of one that has failed there is nothing to hold.
        let held = up && self.begin_hooks(group, id, Transition::Terminating, schedule);
        if drains || held {
            must(self.state.groups[group.index()].transition(id, Lifecycle::TerminatingWait, now));
            if drains {
                self.set_draining(id, true, schedule);
            }
            schedule.after(DRAIN_LIMIT, Event::Instance { instance: id, step: InstanceProgress::DrainTimeout });
        } else {
            self.shut_down(id, schedule);
        }
        self.record_group_counts(group, now);
    }

    /// DRN-2: sets a container instance to DRAINING, or back to ACTIVE.
    pub(super) fn set_draining(&mut self, id: InstanceId, draining: bool, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let group = self.state.instance_groups[id.index()];
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
        let group = self.state.instance_groups[id.index()];
        let cluster = &self.state.clusters[self.groups[group.index()].cluster.index()].cluster;
        let mut tasks: Vec<TaskKey> =
            cluster.instance(id).map(|host| host.tasks.keys().copied().collect()).unwrap_or_default();
        tasks.sort_by_key(|key| self.state.tasks[*key].number);
        tasks
    }

    /// A task of this host is gone: a host that drains and has none left goes on (DRN-3).
    pub(super) fn on_host_lost_a_task(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        self.daemons_follow(id, schedule);
        let group = self.state.instance_groups[id.index()];
        let waits = self.state.groups[group.index()]
            .instance(id)
            .is_some_and(|instance| instance.lifecycle() == Lifecycle::TerminatingWait);
        if waits {
            self.termination_may_proceed(id, schedule);
        }
    }

    /// Terminating:Wait ends when no hook holds the instance and managed draining has nothing left to wait for.
    pub(super) fn termination_may_proceed(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let group = self.state.instance_groups[id.index()];
        let drains = self.groups[group.index()]
            .provider
            .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_draining);
        if !self.is_held(group, id) && (!drains || self.tasks_on(id).is_empty()) {
            self.shut_down(id, schedule);
        }
    }

    /// TerminateInstances: the machine goes down, its container instance is deregistered, its tasks are lost (DRN-6).
    pub(super) fn shut_down(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let group = self.state.instance_groups[id.index()];
        self.drop_hooks(group, id);
        let entry = &mut self.state.groups[group.index()];
        if entry.instance(id).is_some_and(|instance| instance.lifecycle() == Lifecycle::TerminatingWait) {
            must(entry.transition(id, Lifecycle::TerminatingProceed, now));
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
        let group = self.state.instance_groups[id.index()];
        if let Some(instance) = self.state.groups[group.index()].instance_mut(id) {
            must(instance.set_ec2_state(Ec2State::ShuttingDown, now));
        }
        self.spot_released(id);
        self.record_step(id, InstanceStep::ShuttingDown, now);
        self.deregister(group, id, schedule);
    }

    fn deregister(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let cluster = self.groups[group.index()].cluster;
        let entry = &self.state.clusters[cluster.index()].cluster;
        let Some(host) = entry.instance(id) else { return };
        let was_draining = host.status == ContainerInstanceStatus::Draining;
        let reason = format!("Host EC2 (instance {}) terminated.", id.ec2_id());
        self.daemons_leave(cluster, id, schedule);
        for key in self.tasks_on(id) {
            self.lose_task(key, StopCode::TerminationNotice, &reason, schedule);
        }
        // EVT-3: a change of status as others are, and the last of this host.
        self.state.clusters[cluster.index()].cluster.set_status(id, ContainerInstanceStatus::Inactive);
        if self.wants.events {
            self.observer.observe(now, &Record::ContainerInstance { cluster, instance: id }, &self.state);
        }
        self.state.clusters[cluster.index()].cluster.deregister(id);
        self.hosts.remove(id);
        self.forget_agent(id);
        self.draining_hosts -= u32::from(was_draining);
        self.record_capacity(id, now);
    }

    fn on_instance_terminated(&mut self, group: GroupId, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &mut self.state.groups[group.index()];
        if let Some(instance) = entry.instance_mut(id) {
            must(instance.set_ec2_state(Ec2State::Terminated, now));
        }
        must(self.state.groups[group.index()].transition(id, Lifecycle::Terminated, now));
        self.record_step(id, InstanceStep::Terminated, now);
        self.record_termination(group, id, now, Some(now));
        self.state.groups[group.index()].forget(id);
        self.record_group_counts(group, now);
        if self.state.groups[group.index()].missing() > 0 {
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
        let group = self.state.instance_groups[id.index()];
        let Some(instance) = self.state.groups[group.index()].instance_mut(id) else { return false };
        if instance.protected_from_scale_in == protected {
            return false;
        }
        instance.protected_from_scale_in = protected;
        self.record_step(id, InstanceStep::Protection, now);
        true
    }

    /// TP-3: a task has landed on an unprotected host of a provider with managed termination protection.
    pub(super) fn protect_again(&mut self, id: InstanceId, now: SimTime) {
        let group = self.state.instance_groups[id.index()];
        let managed = self.groups[group.index()]
            .provider
            .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_termination_protection);
        if managed {
            self.set_protection(id, true, now);
        }
    }

    pub(super) fn record_step(&mut self, instance: InstanceId, step: InstanceStep, now: SimTime) {
        self.observer.observe(now, &Record::Instance { instance, step }, &self.state);
    }

    /// The resources of a host's cluster have changed.
    pub(super) fn record_capacity(&mut self, instance: InstanceId, now: SimTime) {
        let group = self.state.instance_groups[instance.index()];
        let cluster = self.groups[group.index()].cluster;
        self.note_for_scheduler(cluster, instance);
        self.observer.observe(now, &Record::Capacity { cluster }, &self.state);
        if self.wants.events {
            self.observer.observe(now, &Record::ContainerInstance { cluster, instance }, &self.state);
        }
    }

    fn record_group_level(&mut self, id: GroupId, metric: &'static str, value: u32, now: SimTime) {
        self.record_level(Resource::Group(id), metric, f64::from(value), now);
    }

    pub(super) fn record_group_counts(&mut self, id: GroupId, now: SimTime) {
        let group = &self.state.groups[id.index()];
        let counts = [
            ("GroupPendingInstances", group.pending()),
            ("GroupInServiceInstances", group.in_service()),
            ("GroupTerminatingInstances", group.terminating()),
        ];
        for (metric, value) in counts {
            self.record_group_level(id, metric, value, now);
        }
        // Rare, so that a group that never sets anything aside has no such row.
        let standby = self.state.groups[id.index()].standby();
        if standby > 0 || self.levels.contains_key(&(Resource::Group(id), "GroupStandbyInstances")) {
            self.record_group_level(id, "GroupStandbyInstances", standby, now);
        }
    }
}

/// Instances that count in each zone of a group.
fn zone_sizes(group: &AutoScalingGroup, state: &State) -> Value {
    let sizes = group.zone_counts().map(|(zone, counts)| (state.zone_name(zone).to_owned(), json!(counts.total())));
    Value::Object(sizes.collect())
}

/// The activity of one launch or termination in a group: in progress until it has an `end`.
fn group_activity(
    id: ActivityId,
    group: &AutoScalingGroup,
    description: String,
    cause: &str,
    start: SimTime,
    end: Option<SimTime>,
) -> Activity {
    Activity {
        id,
        service: ActivityService::AutoScaling,
        resource: group.definition.name.clone(),
        description,
        cause: cause.to_owned(),
        start,
        end,
        status: if end.is_some() { "Successful" } else { "InProgress" },
        message: String::new(),
        not_scaled: Vec::new(),
    }
}

/// What a host of a group brings when its agent registers.
pub(super) fn registration(
    group: &AutoScalingGroup,
    id: InstanceId,
    instance_type: Arc<str>,
    trunking: bool,
    (zone, zone_name): (ZoneId, Arc<str>),
    provider: Option<ProviderId>,
    now: SimTime,
) -> Registration {
    let mut attributes = Attributes::new();
    for (name, value) in &group.definition.ecs_attributes {
        attributes.set(name.as_str(), value.as_str());
    }
    let architecture =
        catalog::catalog().instance_type(&instance_type).map_or_else(Default::default, |known| known.architecture);
    let operating_system = OperatingSystem::Linux;
    Registration {
        id,
        architecture,
        operating_system,
        attributes: attributes.with_built_in(&zone_name, &instance_type, architecture, operating_system),
        resources: registered_resources(group, &instance_type, trunking),
        instance_type,
        zone,
        zone_name,
        status: ContainerInstanceStatus::Active,
        agent_version: group.definition.ecs_agent_version.as_str().into(),
        registered_at: now,
        provider,
        group: Some(group.id),
    }
}

/// What a host of `instance_type` registers: the scenario's override, else the catalogue (EC2-1…5), less
/// `ECS_RESERVED_MEMORY`. With `trunking` it holds more awsvpc tasks (EC2-12).
pub(super) fn registered_resources(group: &AutoScalingGroup, instance_type: &str, trunking: bool) -> Resources {
    let definition = &group.definition;
    let known = catalog::catalog().instance_type(instance_type);
    let own = definition.registered_resources.get(instance_type);
    let measured = definition
        .host_memory_bytes
        .map(|bytes| crate::units::MiB(bytes / (1 << 20)))
        .or(known.map(|known| known.registered_memory))
        .unwrap_or_default();
    Resources {
        cpu: own.and_then(|own| own.cpu).or(known.map(catalog::InstanceType::cpu)).unwrap_or_default(),
        memory: own
            .and_then(|own| own.memory)
            .unwrap_or_else(|| measured.saturating_sub(definition.ecs_reserved_memory)),
        gpus: known.map_or(0, |known| known.gpus),
        eni_slots: known.map_or(0, |known| {
            if trunking { known.awsvpc_slots_trunking.unwrap_or(known.awsvpc_slots) } else { known.awsvpc_slots }
        }),
    }
}

/// A step the lifecycle does not know is a defect of the model, not of its input.
pub(super) fn must<E: std::fmt::Display>(outcome: Result<(), E>) {
    if let Err(illegal) = outcome {
        panic!("the control plane asked for an illegal transition: {illegal}");
    }
}
