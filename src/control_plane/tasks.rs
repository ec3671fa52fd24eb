//! The life of a task, step by step (TASK-*): placed, started, healthy, stopped, gone.

use crate::control_plane::ControlPlane;
use crate::control_plane::event::{Event, TaskStep};
use crate::control_plane::record::Record;
use crate::ec2::capacity_pool::{InterruptionModel, next_wave};
use crate::ecs::capacity_provider::Provider;
use crate::ecs::cluster::TaskSlot;
use crate::ecs::container::{Container, ContainerStatus};
use crate::ecs::container_instance::ContainerInstance;
use crate::ecs::ids::{
    ClusterId, InstanceId, ProfileId, ProviderId, ServiceId, ShapeId, SoftwareId, TaskDefinitionId, TaskGroupId,
    TaskKey, ZoneId,
};
use crate::ecs::service::{SchedulingStrategy, Service};
use crate::ecs::task::{HostHold, LaunchTarget, StopCode, Task, TaskOwner, TaskStatus, TaskTimes};
use crate::ecs::task_definition::NetworkMode;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::{self, Placement};
use crate::units::{CpuMilliUnits, CpuUnits};

/// From the start of the containers to the kill of one that needs more memory than it may have: `[assumed]`, as programs
/// take their memory at different times, most of them early.
pub(super) const OUT_OF_MEMORY_AFTER: SimDuration = SimDuration::from_secs(1);

/// What Fargate says when it has no capacity (spec, section 2.3).
pub(super) const NO_FARGATE: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// What Fargate says above the account's quota (FG-8).
pub(super) const VCPU_QUOTA: &str = "You've reached the limit on the number of vCPUs you can run concurrently";

/// What Fargate says above the account's quota of tasks, when they were counted (LIM-1).
pub(super) const TASK_QUOTA: &str = "You've reached the limit on the number of tasks you can run concurrently";

/// TASK-22: the longest attachment of a network interface.
const ENI_LIMIT: SimDuration = SimDuration::from_secs(180);
/// TASK-22: the longest attachment of anything else.
const ATTACH_LIMIT: SimDuration = SimDuration::from_secs(300);

/// A task about to be created.
#[derive(Clone, Debug)]
pub(super) struct NewTask {
    pub(super) cluster: ClusterId,
    pub(super) definition: TaskDefinitionId,
    pub(super) shape: ShapeId,
    pub(super) group: TaskGroupId,
    pub(super) profile: ProfileId,
    pub(super) launch: LaunchTarget,
    pub(super) owner: Option<TaskOwner>,
    pub(super) started_by: Option<Box<str>>,
    pub(super) runs_for: Option<SimDuration>,
}

impl NewTask {
    /// The next task of a deployment of a service.
    pub(super) fn of_service(
        service: &Service,
        owner: TaskOwner,
        (definition, shape): (TaskDefinitionId, ShapeId),
        profile: ProfileId,
        launch: LaunchTarget,
    ) -> Self {
        Self {
            cluster: service.cluster,
            definition,
            shape,
            group: service.group,
            profile,
            launch,
            owner: Some(owner),
            started_by: None,
            runs_for: None,
        }
    }
}

/// What a task uses by itself, whatever its workload asks of it.
struct OwnUse {
    /// CPU as a fraction of its reservation.
    cpu_fraction: f64,
    /// Of all its containers.
    memory: MemoryUse,
}

/// What became of a request for one task.
#[derive(Debug)]
pub(super) enum Launched {
    /// A task was created: bound to a host, on its way to Fargate, or waiting in PROVISIONING for capacity (PRV-1).
    Created(TaskKey),
    /// No task was created.
    Refused(LaunchRefusal),
}

/// Why no task was created.
#[derive(Debug)]
pub(super) enum LaunchRefusal {
    /// No container instance took it, and nothing waits for one; placement can say why.
    NoRoom(LaunchTarget),
    /// It could wait, but the cluster's quota of waiting tasks is used up (PRV-2).
    Quota,
    /// Fargate has no capacity in any of the zones allowed.
    NoFargate,
    /// The account's quota of vCPUs on Fargate is used up (FG-8).
    VcpuQuota,
    /// Its quota of tasks on Fargate is (LIM-1).
    TaskQuota,
}

/// Memory that a task uses, and what its metrics say of it.
#[derive(Clone, Copy, Debug, Default)]
struct MemoryUse {
    used_mib: f64,
    /// ECSM-4: of each container, whole MiB.
    reported_mib: u64,
}

impl MemoryUse {
    /// With another container that uses so much.
    fn and(self, container_mib: f64) -> Self {
        // A size given in bytes may be a hair below its MiB; the cast saturates.
        let whole = (container_mib + 1e-9).floor() as u64;
        Self { used_mib: self.used_mib + container_mib, reported_mib: self.reported_mib.saturating_add(whole) }
    }
}

impl ControlPlane<'_> {
    /// Launches one task: on Fargate, on a host that takes it, or into PROVISIONING until one does.
    pub(super) fn launch_task(&mut self, new: NewTask, schedule: &mut Schedule<Event>) -> Launched {
        if new.launch.is_fargate() {
            return self.launch_on_fargate(new, schedule);
        }
        let cluster = new.cluster;
        if self.has_custom_scheduler(cluster) {
            if let Some(refusal) = self.quota_refusal(&new) {
                return Launched::Refused(refusal);
            }
            return Launched::Created(self.wait_for_scheduler(new, schedule));
        }
        match self.find_host(cluster, new.shape, new.profile, new.group, new.launch) {
            Placement::On(instance) => {
                let key = self.create_placed_task(new, schedule.now());
                self.explain_placement(key, instance, schedule.now());
                self.bind(key, instance, schedule);
                Launched::Created(key)
            }
            Placement::Refused => {
                let Some(provider) = self.waiting_provider(new.launch) else {
                    let stopped = self.estate.behaviour.cp_nomanaged_stopped;
                    if stopped && new.owner.is_none() && new.launch.group_provider().is_some() {
                        // Spec, section 2.3: the other reading has the task created and STOPPED at once.
                        let key = self.create_task(new, TaskStatus::Provisioning, schedule.now());
                        let reason = self.capacity_timeout_reason(key);
                        self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
                        return Launched::Created(key);
                    }
                    return Launched::Refused(LaunchRefusal::NoRoom(new.launch));
                };
                if let Some(refusal) = self.quota_refusal(&new) {
                    return Launched::Refused(refusal);
                }
                let key = self.wait_for_capacity(new, provider, schedule);
                self.explain_refusal(key, schedule.now());
                Launched::Created(key)
            }
        }
    }

    /// PRV-2: the quota counts the waiting tasks of the whole cluster, over all its providers.
    fn quota_refusal(&self, new: &NewTask) -> Option<LaunchRefusal> {
        let waiting = self.waiting_in_cluster(new.cluster);
        let full = waiting >= self.estate.behaviour.provisioning_quota as usize;
        (full && self.waiting_provider(new.launch).is_some()).then_some(LaunchRefusal::Quota)
    }

    /// Creates a task that waits in PROVISIONING for a provider's capacity (PRV-1), for so long and no longer (PRV-4).
    pub(super) fn wait_for_capacity(
        &mut self,
        new: NewTask,
        provider: ProviderId,
        schedule: &mut Schedule<Event>,
    ) -> TaskKey {
        let (cluster, now) = (new.cluster, schedule.now());
        let key = self.create_task(new, TaskStatus::Provisioning, now);
        let number = self.state.tasks[key].number;
        self.state.providers[provider.index()].waiting.insert(number, key);
        self.state.clusters[cluster.index()].waiting += 1;
        self.record_waiting(provider, now);
        // What is demanded includes what waits.
        self.observer.observe(now, &Record::Capacity { cluster }, &self.state);
        schedule.after(
            self.estate.behaviour.provisioning_timeout,
            Event::Task { task: key, step: TaskStep::CapacityTimeout },
        );
        key
    }

    /// A task waits no longer, for capacity or for a custom scheduler: it has a place, or is not wanted any more.
    fn stop_waiting(&mut self, key: TaskKey, now: SimTime) {
        let task = &self.state.tasks[key];
        let (number, cluster) = (task.number, task.cluster);
        let provider = task.launch.group_provider();
        let for_provider = provider.filter(|id| self.state.providers[id.index()].waiting.remove(&number).is_some());
        let queue = self.custom.get_mut(&cluster);
        let for_scheduler = queue.is_some_and(|queue| queue.pending.remove(&number).is_some());
        if for_provider.is_some() || for_scheduler {
            self.state.clusters[cluster.index()].waiting -= 1;
        }
        if let Some(provider) = for_provider {
            self.record_waiting(provider, now);
        }
    }

    /// Asks placement for a host; changes nothing but the stream of chance.
    pub(super) fn find_host(
        &mut self,
        cluster: ClusterId,
        shape: ShapeId,
        profile: ProfileId,
        group: TaskGroupId,
        launch: LaunchTarget,
    ) -> Placement {
        // Not through `&self`: the generator is borrowed beside the state.
        let random_ties = self.estate.behaviour.place_tie_random;
        let request = self.state.placement_request(shape, profile, group, launch, random_ties);
        placement::place(&self.state.clusters[cluster.index()].cluster, &request, &mut self.placement_chance)
    }

    /// A task whose host is known already; it still shows PROVISIONING while its ENI or its volume is attached (TASK-1).
    pub(super) fn create_placed_task(&mut self, new: NewTask, now: SimTime) -> TaskKey {
        let ebs = self.state.definitions[new.definition.index()].definition.attaches_ebs;
        let attaches = self.state.shapes[new.shape.index()].eni || ebs;
        self.create_task(new, if attaches { TaskStatus::Provisioning } else { TaskStatus::Pending }, now)
    }

    pub(super) fn create_task(&mut self, new: NewTask, status: TaskStatus, now: SimTime) -> TaskKey {
        let number = self.tasks_created;
        self.tasks_created += 1;
        let (software, holds_software) = self.software_of_new(new.definition, new.owner);
        let mut containers = self.new_containers(software, new.runs_for);
        let OwnUse { cpu_fraction, memory } = self.draw_use(software, new.shape, &mut containers);
        let bytes_per_second = self.bytes_per_second(software);
        let id = (u128::from(self.id_chance.next_u64()) << 64) | u128::from(self.id_chance.next_u64());
        let key = self.state.tasks.insert(Task {
            number,
            id,
            cluster: new.cluster,
            definition: new.definition,
            software,
            holds_software,
            shape: new.shape,
            group: new.group,
            profile: new.profile,
            launch: new.launch,
            owner: new.owner,
            started_by: new.started_by,
            last_status: status,
            stop: None,
            instance: None,
            reserved: false,
            on_host: HostHold::Nothing,
            registered: false,
            zone: None,
            version: 1,
            healthy: false,
            unhealthy: false,
            retiring: false,
            protected_until: None,
            target_health: None,
            probe_epoch: 0,
            waited: false,
            slow_since: None,
            takes_load: false,
            times: TaskTimes {
                created: now,
                pending: (status == TaskStatus::Pending).then_some(now),
                ..TaskTimes::default()
            },
            exit_code: None,
            containers,
            cpu_fraction,
            memory_used_mib: memory.used_mib,
            memory_reported_mib: memory.reported_mib,
            bytes_per_second,
            own_cpu: None,
            ports: Vec::new(),
            address: None,
        });
        if let Some(owner) = new.owner {
            let service = &mut self.state.services[owner.service.index()];
            service.tasks.insert(number, key);
            service.provisioning += u32::from(status == TaskStatus::Provisioning);
            self.service_counts_changed(owner.service, now);
        }
        self.record_task(key, None, now);
        key
    }

    /// What a new task uses by itself, and what of it each of its containers.
    fn draw_use(&mut self, software: SoftwareId, shape: ShapeId, containers: &mut [Container]) -> OwnUse {
        if self.execution.is_real() {
            // Nothing until it is measured.
            return OwnUse { cpu_fraction: 0.0, memory: MemoryUse::default() };
        }
        let software = &self.state.software[software.index()];
        let definition = software.definition;
        let entry = &self.state.definitions[definition.index()];
        let usage = &mut self.definition_chance[definition.index()].usage;
        let reserved = &self.state.shapes[shape.index()];
        let reserved_mib = reserved.memory.0 as f64;
        if entry.behaves_as_a_whole || software.behaviours.len() == 1 {
            let place = entry.definition.main_container();
            let main = &software.behaviours[place];
            let cpu_fraction = main.cpu.as_ref().map_or(0.0, |dist| dist.sample(usage));
            let memory = main.memory.as_ref().map_or(reserved_mib / 2.0, |dist| dist.sample(usage));
            containers[place].own_cpu = CpuMilliUnits::from_vcpus(cpu_fraction * reserved.cpu.as_vcpus());
            return OwnUse { cpu_fraction, memory: MemoryUse::default().and(memory) };
        }
        let task_cpu = self.state.shapes[self.definition_shapes[definition.index()].index()].cpu;
        let (mut units, mut memory) = (0.0, None::<MemoryUse>);
        let definitions = entry.definition.containers.iter().zip(&software.behaviours);
        for ((definition, behaviour), container) in definitions.zip(containers) {
            if let Some(cpu) = &behaviour.cpu {
                let own_cpu = if definition.cpu.0 > 0 { definition.cpu } else { task_cpu };
                let own = cpu.sample(usage);
                units += own * own_cpu.0 as f64;
                container.own_cpu = CpuMilliUnits::from_vcpus(own * own_cpu.as_vcpus());
            }
            if let Some(dist) = &behaviour.memory {
                let own = dist.sample(usage);
                memory = Some(memory.unwrap_or_default().and(own));
                container.over_limit = definition.memory.is_some_and(|limit| own > limit.0 as f64);
            }
        }
        let cpu_fraction = if task_cpu.0 > 0 { units / task_cpu.0 as f64 } else { 0.0 };
        OwnUse { cpu_fraction, memory: memory.unwrap_or_else(|| MemoryUse::default().and(reserved_mib / 2.0)) }
    }

    /// What the containers of a task move together.
    fn bytes_per_second(&self, software: SoftwareId) -> [u64; 4] {
        let mut total = [0_u64; 4];
        for behaviour in &self.state.software[software.index()].behaviours {
            for (total, bytes) in total.iter_mut().zip(behaviour.bytes_per_second) {
                *total = total.saturating_add(bytes);
            }
        }
        total
    }

    /// Binds a task to a host: the reservation is made, the agent is told.
    pub(super) fn bind(&mut self, key: TaskKey, instance: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.stop_waiting(key, now);
        let task = &mut self.state.tasks[key];
        let entry = &mut self.state.clusters[task.cluster.index()];
        let daemon = task
            .owner
            .is_some_and(|owner| self.state.services[owner.service.index()].scheduling == SchedulingStrategy::Daemon);
        let launched_by_type = task.launch.group_provider().is_some() || self.estate.behaviour.launch_type_tasks_count;
        let requirements = &self.state.shapes[task.shape.index()];
        entry.cluster.reserve(
            instance,
            &TaskSlot {
                task: key,
                group: task.group,
                group_name: &self.state.task_groups[task.group.index()],
                requirements,
                daemon,
                keeps_busy: launched_by_type && !daemon,
            },
        );
        task.reserved = true;
        task.instance = Some(instance);
        task.times.placed = Some(now);
        let host = entry.cluster.instance(instance);
        task.zone = host.map(|host| host.zone);
        let at_work = host.map_or(0, ContainerInstance::at_work);
        let group = host.and_then(|host| host.group);
        let needs_eni = requirements.eni;
        let (cluster, definition) = (task.cluster, task.definition);
        self.observer.observe(now, &Record::Bound { instance, at_work }, &self.state);
        self.record_capacity_in(cluster, instance, now);
        // TP-2: daemons protect no host.
        if !daemon {
            self.protect_again(instance, group, now);
        }
        let attaches_ebs = self.state.definitions[definition.index()].definition.attaches_ebs;
        if !needs_eni && !attaches_ebs {
            self.hand_to_agent(key, schedule);
            return;
        }
        if needs_eni && !self.take_address(key) {
            schedule.at(now, Event::Task { task: key, step: TaskStep::NoAddress });
            return;
        }
        let draws = &mut self.definition_chance[definition.index()];
        let eni = needs_eni.then(|| self.estate.delays.eni_attach.sample_duration(&mut draws.start));
        let eni = eni.unwrap_or(SimDuration::ZERO);
        if eni > ENI_LIMIT {
            schedule.after(ENI_LIMIT, Event::Task { task: key, step: TaskStep::EniTimeout });
            return;
        }
        // VOL-3: the volume is attached once the task has its network.
        let ebs = if attaches_ebs { self.estate.behaviour.ebs_attach } else { SimDuration::ZERO };
        let step = if ebs > ATTACH_LIMIT { TaskStep::VolumeTimeout } else { TaskStep::Provisioned };
        schedule.after(eni.saturating_add(ebs.min(ATTACH_LIMIT)), Event::Task { task: key, step });
    }

    /// Fargate takes a task or refuses it: its tasks never wait for capacity (PRV-1).
    fn launch_on_fargate(&mut self, new: NewTask, schedule: &mut Schedule<Event>) -> Launched {
        let now = schedule.now();
        let (definition, group) = (new.definition, new.group);
        let spot = new.launch == LaunchTarget::Provider(Provider::FargateSpot);
        let cpu = self.state.shapes[new.shape.index()].cpu.0;
        // FG-8: running and starting vCPUs, on-demand and Spot apart.
        let quota = self.estate.behaviour.fargate_vcpu_quota.map(|vcpus| u64::from(vcpus) * CpuUnits::PER_VCPU);
        if quota.is_some_and(|quota| self.fargate_cpu[usize::from(spot)] + cpu > quota) {
            return Launched::Refused(LaunchRefusal::VcpuQuota);
        }
        let most = self.quotas().and_then(|quotas| quotas.fargate_tasks).map(|most| most[usize::from(spot)]);
        if most.is_some_and(|most| self.fargate_tasks[usize::from(spot)] >= most) {
            return Launched::Refused(LaunchRefusal::TaskQuota);
        }
        // PLACE-17: the allowed zone with the fewest tasks of the group, FARGATE and FARGATE_SPOT apart; ties in list order.
        let allowed = &self.state.profiles[new.profile.index()].zones;
        let all = self.state.zones.len();
        let counts = self.fargate_zone_counts.entry((group, spot)).or_insert_with(|| vec![0; all]);
        let (markets, impairments, names) = (&self.markets, &self.impairments, &self.state.zones);
        let up =
            |zone: &usize| !markets.is_out(ZoneId(*zone as u32)) && !impairments.fargate_is_short(spot, &names[*zone]);
        let chosen = if allowed.is_empty() {
            (0..all).filter(up).min_by_key(|zone| counts[*zone])
        } else {
            allowed.iter().map(|zone| zone.index()).filter(up).min_by_key(|zone| counts[*zone])
        };
        let Some(zone) = chosen else { return Launched::Refused(LaunchRefusal::NoFargate) };
        counts[zone] += 1;
        self.fargate_cpu[usize::from(spot)] += cpu;
        self.fargate_tasks[usize::from(spot)] += 1;
        let hazard = if spot && self.estate.behaviour.spot_interruptions != InterruptionModel::None {
            self.estate.fargate_spot_hazard(&self.state.zones[zone])
        } else {
            0.0
        };
        let key = self.create_task(new, TaskStatus::Provisioning, now);
        let task = &mut self.state.tasks[key];
        task.zone = Some(ZoneId(zone as u32));
        task.times.placed = Some(now);
        let has_address = self.take_address(key);
        // One draw a launch: the k-th task on Fargate Spot is left alone as long in every variant.
        if let Some(life) = next_wave(hazard, 1.0, &mut self.fargate_spot_chance) {
            schedule.after(life, Event::Task { task: key, step: TaskStep::SpotNotice });
        }
        let draws = &mut self.definition_chance[definition.index()];
        let delay = self.estate.delays.fargate_provision.sample_duration(&mut draws.start);
        // VOL-3.
        let ebs = self.state.definitions[definition.index()].definition.attaches_ebs;
        let ebs = if ebs { self.estate.behaviour.ebs_attach } else { SimDuration::ZERO };
        let (delay, step) = if !has_address {
            (SimDuration::ZERO, TaskStep::NoAddress)
        } else if ebs > ATTACH_LIMIT {
            (delay.saturating_add(ATTACH_LIMIT), TaskStep::VolumeTimeout)
        } else {
            (delay.saturating_add(ebs), TaskStep::Provisioned)
        };
        schedule.after(delay, Event::Task { task: key, step });
        Launched::Created(key)
    }

    /// FG-5: Fargate Spot takes a task back: SIGTERM now, the end after its stop timeout, two minutes at most. A service
    /// starts another at once, and never elsewhere.
    pub(super) fn interrupt_on_fargate(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        if self.state.tasks[key].launch == LaunchTarget::Provider(Provider::FargateSpot) {
            self.stop_task(key, StopCode::SpotInterruption, "Your Spot Task was interrupted.", schedule);
        }
    }

    /// The next step of a task's life; steps of a task that is gone, or overtaken by a stop, are ignored.
    pub(super) fn on_task_step(&mut self, key: TaskKey, step: TaskStep, schedule: &mut Schedule<Event>) {
        let Some(task) = self.state.tasks.get(key) else { return };
        let (wanted, waits) = (task.desired_running(), task.waits_for_capacity());
        // AGENT-9: what an agent without a connection would report, it reports later.
        if step.is_told_by_the_agent() && self.keep_back(key, step) {
            return;
        }
        match step {
            TaskStep::Provisioned if wanted => self.hand_to_agent(key, schedule),
            TaskStep::Container { place, start, step } => {
                self.on_container_step(key, usize::from(place), start, step, schedule);
            }
            TaskStep::Pull(number) if wanted => self.on_pull_due(key, number, schedule),
            TaskStep::PullTimeout(number) if wanted => self.on_pull_timeout(key, number, schedule),
            TaskStep::EniTimeout if wanted => {
                let reason = "Timeout waiting for network interface provisioning to complete.";
                self.stop_task(key, StopCode::TaskFailedToStart, reason, schedule);
            }
            TaskStep::VolumeTimeout if wanted => {
                let reason = "Timeout waiting for EBS volume attachment to complete.";
                self.stop_task(key, StopCode::TaskFailedToStart, reason, schedule);
            }
            TaskStep::NoAddress if wanted => self.on_no_address(key, schedule),
            TaskStep::Registered if wanted => match self.target_quota(key) {
                None => self.on_running(key, schedule),
                Some(reason) => self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule),
            },
            TaskStep::Waited if wanted => self.on_waited(key, schedule),
            TaskStep::TargetHealth { healthy, starts } if wanted => {
                self.on_target_health(key, healthy, starts, schedule);
            }
            TaskStep::Probe { group, number } if wanted => self.on_probe(key, group, number, schedule),
            TaskStep::ProbeOver { group, number, answered } if wanted => {
                self.on_probe_over(key, group, number, answered, schedule);
            }
            TaskStep::GraceOver if wanted => self.judge_health(key, schedule),
            TaskStep::Ready if wanted => self.on_ready(key, schedule),
            TaskStep::Answers if wanted => self.take_routed_load(key, schedule),
            TaskStep::SlowStartOver if wanted => self.on_slow_start_over(key, schedule),
            TaskStep::OutOfMemory if wanted => self.on_out_of_memory(key, schedule),
            TaskStep::SpotNotice if wanted => self.interrupt_on_fargate(key, schedule),
            TaskStep::Retires if wanted => self.retire_task(key, schedule),
            TaskStep::CapacityTimeout if waits => self.on_capacity_timeout(key, schedule),
            TaskStep::Drained => {
                // ELB-9: connections that have outlived the deregistration delay are closed.
                self.server_lost(key, schedule);
                self.signal_containers(key, schedule);
            }
            TaskStep::Gone => self.on_gone(key, schedule),
            _ => {}
        }
    }

    /// PENDING: the host's agent (or Fargate) has the task and starts it as soon as it can.
    fn hand_to_agent(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if self.state.tasks[key].last_status < TaskStatus::Pending {
            self.advance(key, TaskStatus::Pending, now);
        }
        if let Some(reason) = self.state.definitions[self.state.tasks[key].definition.index()].initialization_error() {
            self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
            return;
        }
        let task = &mut self.state.tasks[key];
        let Some(instance) = task.instance else {
            self.start_containers(key, schedule);
            return;
        };
        let requirements = &self.state.shapes[task.shape.index()];
        let admitted = self.hosts.get_mut(instance).is_none_or(|host| host.book.arrive(key, requirements));
        task.on_host = if admitted { HostHold::Resources } else { HostHold::Queued };
        if admitted {
            self.start_containers(key, schedule);
        }
    }

    /// Every container has started: the targets are registered next, if there are any.
    pub(super) fn on_containers_started(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        if self.exceeds_memory_limit(key) {
            schedule.after(OUT_OF_MEMORY_AFTER, Event::Task { task: key, step: TaskStep::OutOfMemory });
        }
        match self.registration_delay(key) {
            Some(delay) => {
                self.advance(key, TaskStatus::Activating, schedule.now());
                schedule.after(delay, Event::Task { task: key, step: TaskStep::Registered });
            }
            None => self.on_running(key, schedule),
        }
    }

    fn on_running(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.advance(key, TaskStatus::Running, now);
        let task = &self.state.tasks[key];
        if let Some(instance) = task.instance {
            self.state.clusters[task.cluster.index()].cluster.note_running(instance, key);
        }
        self.task_use_changed(key, true, schedule);
        let task = &self.state.tasks[key];
        if let Some(owner) = task.owner {
            let service = &mut self.state.services[owner.service.index()];
            service.running += 1;
            // SVC-10: any task that reaches RUNNING ends the throttle.
            service.start_backoff.clear();
            self.register_targets(key, now);
            self.watch_health(key, schedule);
            self.task_may_take_load(key, schedule);
            self.service_counts_changed(owner.service, now);
            self.wake_service(owner.service, schedule);
        }
    }

    /// Whether the task uses more memory than a hard limit allows. What a `utilization` workload asks for is not counted.
    fn exceeds_memory_limit(&self, key: TaskKey) -> bool {
        let task = &self.state.tasks[key];
        // TD-7: what goes beyond a container's own limit kills that container; of a real one, the kernel sees to it.
        if self.execution.is_real() || task.containers.iter().any(|container| container.over_limit) {
            return false;
        }
        let entry = &self.state.definitions[task.definition.index()];
        let limit = || entry.definition.memory_limit(self.state.shapes[task.shape.index()].memory);
        let behaviours = &self.state.software[task.software.index()].behaviours;
        behaviours.iter().any(|behaviour| behaviour.memory.is_some())
            && limit().is_some_and(|limit| task.memory_used_mib > limit.0 as f64)
    }

    /// TD-9: the kernel kills what is over its hard limit.
    fn on_out_of_memory(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        let main = self.state.definitions[task.definition.index()].definition.main_container();
        task.containers[main].status = ContainerStatus::Stopped;
        task.containers[main].exit_code = Some(137);
        task.exit_code = Some(137);
        self.stop_task(key, StopCode::EssentialContainerExited, Container::OUT_OF_MEMORY, schedule);
    }

    fn on_capacity_timeout(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        // PRV-4: STOPPED without ever having started.
        let reason = self.capacity_timeout_reason(key);
        self.stop_task(key, StopCode::TaskFailedToStart, &reason, schedule);
    }

    /// Asks a task to stop and sets its way down in motion; the first cause wins (TASK-3).
    pub(super) fn stop_task(&mut self, key: TaskKey, code: StopCode, reason: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let waited = self.state.tasks[key].waits_for_capacity();
        if !self.state.tasks[key].request_stop(code, reason, now) {
            return;
        }
        self.forget_wanted(key, waited, schedule);
        if let Some(instance) = self.state.tasks[key].instance {
            if self.state.tasks[key].on_host == HostHold::Resources
                && let Some(host) = self.hosts.get_mut(instance)
            {
                host.book.note_stopping(key);
            }
            let cluster = self.state.tasks[key].cluster;
            self.state.clusters[cluster.index()].cluster.note_stopping(instance, key);
        }
        if !self.estate.behaviour.release_when_stopped && !self.keeps_room(key) {
            self.release(key, schedule);
        }
        let task = &self.state.tasks[key];
        let status = task.last_status;
        let untouched = !task.containers.iter().any(Container::has_started);
        self.record_task(key, Some(status), now);
        match status {
            TaskStatus::Provisioning if waited => self.on_gone(key, schedule),
            TaskStatus::Provisioning | TaskStatus::Pending if untouched => {
                let delay = self.teardown_delay(key);
                schedule.after(delay, Event::Task { task: key, step: TaskStep::Gone });
            }
            _ if self.state.tasks[key].registered => {
                self.advance(key, TaskStatus::Deactivating, now);
                let delay = self.deregister_targets(key, now);
                // FG-5: an interruption waits for no connections to drain.
                let at_once = self.state.tasks[key].exit_code.is_some() || code == StopCode::SpotInterruption;
                if at_once || !self.estate.behaviour.stop_waits_drain {
                    self.signal_containers(key, schedule);
                } else {
                    schedule.after(delay, Event::Task { task: key, step: TaskStep::Drained });
                }
            }
            _ => self.signal_containers(key, schedule),
        }
    }

    /// Every container has ended.
    pub(super) fn on_execution_stopped(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        self.state.tasks[key].times.execution_stopped = Some(now);
        self.worker_lost(key, schedule);
        self.server_lost(key, schedule);
        if self.uses_eni(key) {
            self.advance(key, TaskStatus::Deprovisioning, now);
        } else {
            self.note_container_change(key, now);
        }
        let delay = self.teardown_delay(key);
        schedule.after(delay, Event::Task { task: key, step: TaskStep::Gone });
    }

    fn uses_eni(&self, key: TaskKey) -> bool {
        let task = &self.state.tasks[key];
        self.state.definitions[task.definition.index()].definition.network_mode == NetworkMode::Awsvpc
    }

    /// From the end of the containers to STOPPED (TASK-21).
    fn teardown_delay(&self, key: TaskKey) -> SimDuration {
        let behaviour = &self.estate.behaviour;
        let task = &self.state.tasks[key];
        if task.launch.is_fargate() {
            behaviour.fargate_deprovision
        } else if self.uses_eni(key) {
            behaviour.stop_report + behaviour.ec2_eni_detach
        } else {
            behaviour.stop_report
        }
    }

    /// STOPPED: the host's share is free, the task is forgotten.
    pub(super) fn on_gone(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        for container in &mut self.state.tasks[key].containers {
            container.status = ContainerStatus::Stopped;
        }
        self.worker_lost(key, schedule);
        self.server_lost(key, schedule);
        self.let_images_go(key, now);
        self.advance(key, TaskStatus::Stopped, now);
        let successor_first = self.keeps_room(key);
        if successor_first {
            self.release_room(key, now);
        } else {
            self.release(key, schedule);
        }
        self.give_back_ports(key, None);
        self.give_back_address(key);
        self.give_back_host_share(key, schedule);
        self.remove_containers(key);
        let Some(task) = self.state.tasks.remove(key) else { return };
        self.tasks_stopped += 1;
        if task.launch.is_fargate() {
            let spot = task.launch == LaunchTarget::Provider(Provider::FargateSpot);
            self.fargate_tasks[usize::from(spot)] -= 1;
            self.fargate_cpu[usize::from(spot)] -= self.state.shapes[task.shape.index()].cpu.0;
        }
        if let Some(instance) = task.instance {
            let cluster = &mut self.state.clusters[task.cluster.index()].cluster;
            cluster.note_stopped(instance, key);
            let host = cluster.instance(instance);
            let (at_work, group) = (host.map_or(0, ContainerInstance::at_work), host.and_then(|host| host.group));
            self.observer.observe(now, &Record::Unbound { instance, at_work }, &self.state);
            self.on_host_lost_a_task(instance, group, schedule);
        }
        if let Some(owner) = task.owner {
            self.on_service_task_gone(owner.service, &task, schedule);
            if successor_first {
                self.on_service_round(owner.service, schedule);
                self.wake_waiting(task.cluster, schedule);
            }
        }
        self.keep_stopped(task, now);
    }

    /// The host is gone: its task is STOPPED at once (spec, section 2.2, last lines).
    pub(super) fn lose_task(&mut self, key: TaskKey, code: StopCode, reason: &str, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if self.state.tasks[key].request_stop(code, reason, now) {
            self.forget_wanted(key, false, schedule);
            let status = self.state.tasks[key].last_status;
            self.record_task(key, Some(status), now);
        }
        if self.state.tasks[key].registered {
            self.deregister_targets(key, now);
        }
        self.on_gone(key, schedule);
    }

    /// The desired status is STOPPED: service counts and the waiting queue let go of the task (TASK-6).
    fn forget_wanted(&mut self, key: TaskKey, waited: bool, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        if waited {
            self.stop_waiting(key, now);
        }
        self.give_up_pulls(key, schedule);
        // PLACE-10: what is told to stop no longer counts for the spread over zones.
        let task = &self.state.tasks[key];
        if task.launch.is_fargate()
            && let Some(zone) = task.zone
        {
            let spot = task.launch == LaunchTarget::Provider(Provider::FargateSpot);
            if let Some(counts) = self.fargate_zone_counts.get_mut(&(task.group, spot)) {
                counts[zone.index()] -= 1;
            }
        }
        // While the service still knows its target groups.
        let targets_knew = self.set_target_health(key, None, now).is_some();
        let task = &mut self.state.tasks[key];
        let (healthy, running) = (std::mem::take(&mut task.healthy), task.last_status == TaskStatus::Running);
        let (number, owner) = (task.number, task.owner);
        let provisioning = task.last_status == TaskStatus::Provisioning;
        self.task_takes_load(key, false, schedule);
        if running {
            self.task_use_changed(key, false, schedule);
        }
        if let Some(owner) = owner {
            let service = &mut self.state.services[owner.service.index()];
            service.tasks.remove(&number);
            service.stopping += 1;
            service.running -= u32::from(running);
            service.provisioning -= u32::from(provisioning);
            service.healthy -= u32::from(healthy);
            if targets_knew {
                self.reconsider_traffic(key, schedule);
            }
            self.service_counts_changed(owner.service, now);
            self.wake_service(owner.service, schedule);
        }
    }

    /// The cluster's reservation is given back, once; whoever waits for room is woken.
    fn release(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        if self.release_room(key, schedule.now()) {
            self.wake_waiting(self.state.tasks[key].cluster, schedule);
        }
    }

    /// The cluster's reservation is given back, once; false when there is none.
    fn release_room(&mut self, key: TaskKey, now: SimTime) -> bool {
        let task = &mut self.state.tasks[key];
        let (Some(instance), true) = (task.instance, task.reserved) else { return false };
        task.reserved = false;
        let cluster = task.cluster;
        self.state.clusters[cluster.index()].cluster.release(instance, key);
        self.record_capacity_in(cluster, instance, now);
        true
    }

    /// The agent's share is given back and its queue looked at (AGENT-3).
    fn give_back_host_share(&mut self, key: TaskKey, schedule: &mut Schedule<Event>) {
        let task = &mut self.state.tasks[key];
        let Some(instance) = task.instance else { return };
        let hold = std::mem::take(&mut task.on_host);
        let shape = task.shape;
        let Some(host) = self.hosts.get_mut(instance) else { return };
        match hold {
            HostHold::Nothing => return,
            HostHold::Queued => {
                host.book.withdraw(key);
            }
            HostHold::Resources => host.book.give_back(key, &self.state.shapes[shape.index()]),
        }
        while let Some(next) = self.hosts.get_mut(instance).and_then(|host| host.book.admit()) {
            if let Some(task) = self.state.tasks.get_mut(next) {
                task.on_host = HostHold::Resources;
                self.start_containers(next, schedule);
            }
        }
    }

    /// Moves a task on; an illegal step is a defect of the model.
    pub(super) fn advance(&mut self, key: TaskKey, to: TaskStatus, now: SimTime) {
        let from = self.state.tasks[key].last_status;
        if let Err(illegal) = self.state.tasks[key].transition(to, now) {
            panic!("task {key:?} at {now}: {illegal}");
        }
        let task = &self.state.tasks[key];
        if from == TaskStatus::Provisioning
            && task.desired_running()
            && let Some(owner) = task.owner
        {
            self.state.services[owner.service.index()].provisioning -= 1;
            self.service_counts_changed(owner.service, now);
        }
        self.record_task(key, Some(from), now);
    }

    pub(super) fn record_task(&mut self, key: TaskKey, from: Option<TaskStatus>, now: SimTime) {
        let task = &self.state.tasks[key];
        self.observer.observe(now, &Record::Task { key, task, from }, &self.state);
    }

    /// Wakes the round of a service; several wakes at one instant make one round.
    pub(super) fn wake_service(&mut self, service: ServiceId, schedule: &mut Schedule<Event>) {
        self.round_at(service, schedule.now(), schedule);
    }
}
