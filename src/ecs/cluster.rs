//! A cluster: its container instances, who has reserved what on them, and the totals that metrics ask for.
//!
//! Every change goes through a method of [`Cluster`], which asserts what it relies on and keeps totals and indices in
//! step; [`Cluster::verify`] recomputes them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ecs::container_instance::{
    Attributes, BoundPhase, BoundTask, ContainerInstance, ContainerInstanceStatus, Registration,
};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, TaskKey};
use crate::ecs::task_definition::Requirements;
use crate::units::{CpuUnits, MiB};

/// The container instances of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    start: jiff::Timestamp,
    instances: BTreeMap<InstanceId, ContainerInstance>,
    by_provider: BTreeMap<ProviderId, BTreeSet<InstanceId>>,
    group_names: Vec<Option<Arc<str>>>,
    attributes: BTreeSet<Arc<Attributes>>,
    totals: Totals,
    provider_totals: BTreeMap<ProviderId, ProviderTotals>,
}

/// A task about to be bound to an instance.
#[derive(Clone, Copy, Debug)]
pub struct TaskSlot<'a> {
    /// Its key.
    pub task: TaskKey,
    /// Its task group.
    pub group: TaskGroupId,
    /// Name of the group, for `task:group` (CQL-10).
    pub group_name: &'a Arc<str>,
    /// What it reserves.
    pub requirements: &'a Requirements,
    /// Whether a DAEMON service started it.
    pub daemon: bool,
    /// Whether it makes the instance busy for its capacity provider: no daemon, and bound to that provider unless
    /// launch-type tasks count (CAS-6, C-9).
    pub keeps_busy: bool,
}

/// Registered and reserved over ACTIVE and DRAINING instances (ECSM-10, ECSM-11, LEG-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Such instances.
    pub instances: u32,
    /// CPU registered.
    pub registered_cpu: CpuUnits,
    /// CPU reserved by tasks.
    pub reserved_cpu: CpuUnits,
    /// Memory registered.
    pub registered_memory: MiB,
    /// Memory reserved by tasks.
    pub reserved_memory: MiB,
    /// GPUs registered.
    pub registered_gpus: u64,
    /// GPUs reserved by tasks.
    pub reserved_gpus: u64,
    /// Tasks RUNNING and not told to stop, on any instance.
    pub running: u32,
    /// Tasks bound, not yet RUNNING and not told to stop, on any instance.
    pub pending: u32,
}

/// The ACTIVE and DRAINING instances of one capacity provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderTotals {
    /// All of them.
    pub instances: u32,
    /// Those with a task that keeps them busy (CAS-6).
    pub busy: u32,
}

impl Totals {
    fn add(&mut self, instance: &ContainerInstance) {
        if instance.status.counts() {
            self.instances += 1;
            self.registered_cpu += instance.registered.cpu;
            self.reserved_cpu += instance.registered.cpu - instance.remaining.cpu;
            self.registered_memory += instance.registered.memory;
            self.reserved_memory += instance.registered.memory - instance.remaining.memory;
            self.registered_gpus += u64::from(instance.registered.gpus);
            self.reserved_gpus += u64::from(instance.registered.gpus - instance.remaining.gpus);
        }
        self.running += instance.running;
        self.pending += instance.pending;
    }

    fn remove(&mut self, instance: &ContainerInstance) {
        if instance.status.counts() {
            self.instances -= 1;
            self.registered_cpu -= instance.registered.cpu;
            self.reserved_cpu -= instance.registered.cpu - instance.remaining.cpu;
            self.registered_memory -= instance.registered.memory;
            self.reserved_memory -= instance.registered.memory - instance.remaining.memory;
            self.registered_gpus -= u64::from(instance.registered.gpus);
            self.reserved_gpus -= u64::from(instance.registered.gpus - instance.remaining.gpus);
        }
        self.running -= instance.running;
        self.pending -= instance.pending;
    }
}

impl ProviderTotals {
    fn of(instance: &ContainerInstance) -> Self {
        let counts = instance.status.counts();
        Self { instances: u32::from(counts), busy: u32::from(counts && instance.busy > 0) }
    }
}

impl Cluster {
    /// An empty cluster; `start` is the wall-clock instant of time zero (CQL-8).
    pub fn new(start: jiff::Timestamp) -> Self {
        Self {
            start,
            instances: BTreeMap::new(),
            by_provider: BTreeMap::new(),
            group_names: Vec::new(),
            attributes: BTreeSet::new(),
            totals: Totals::default(),
            provider_totals: BTreeMap::new(),
        }
    }

    /// The wall-clock instant of time zero.
    pub const fn start(&self) -> jiff::Timestamp {
        self.start
    }

    /// A registered instance.
    pub fn instance(&self, id: InstanceId) -> Option<&ContainerInstance> {
        self.instances.get(&id)
    }

    /// All registered instances, lowest id first.
    pub fn instances(&self) -> impl Iterator<Item = &ContainerInstance> {
        self.instances.values()
    }

    /// The registered instances of a capacity provider, lowest id first.
    pub fn provider_instances(&self, provider: ProviderId) -> impl Iterator<Item = InstanceId> + '_ {
        self.by_provider.get(&provider).into_iter().flatten().copied()
    }

    /// Number of registered instances, of any status (`registeredContainerInstancesCount`).
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether no instance is registered.
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// Name of a task group that has had a task here; empty for others.
    pub fn group_name(&self, group: TaskGroupId) -> &str {
        self.group_names.get(group.index()).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Registered and reserved resources.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Instances of a capacity provider, ACTIVE or DRAINING, and how many of them are busy.
    pub fn provider_totals(&self, provider: ProviderId) -> ProviderTotals {
        self.provider_totals.get(&provider).copied().unwrap_or_default()
    }

    /// How many more tasks of that size the ACTIVE instances have room for (`SchedulableContainers`, LEG-6).
    ///
    /// A dimension that is zero does not bind; with both zero there is no answer and the result is 0.
    pub fn schedulable_containers(&self, cpu: CpuUnits, memory: MiB) -> u64 {
        let active = |instance: &&ContainerInstance| instance.status == ContainerInstanceStatus::Active;
        (self.instances().filter(active))
            .map(|instance| {
                let by_cpu = instance.remaining.cpu.0.checked_div(cpu.0);
                let by_memory = instance.remaining.memory.0.checked_div(memory.0);
                [by_cpu, by_memory].into_iter().flatten().min().unwrap_or(0)
            })
            .sum()
    }

    /// A host's agent registers it.
    ///
    /// # Panics
    /// When an instance of that id is registered already.
    pub fn register(&mut self, mut registration: Registration) {
        let attributes = Arc::new(std::mem::take(&mut registration.attributes));
        let attributes = self.attributes.get(&attributes).cloned().unwrap_or(attributes);
        self.attributes.insert(Arc::clone(&attributes));
        let id = registration.id;
        let instance = ContainerInstance::new(registration, attributes);
        if let Some(provider) = instance.provider {
            self.by_provider.entry(provider).or_default().insert(id);
        }
        self.count(&instance);
        assert!(self.instances.insert(id, instance).is_none(), "{} is registered already", id.ec2_id());
    }

    /// Takes an instance out of the cluster and returns it with the tasks still bound to it, if it was registered.
    pub fn deregister(&mut self, id: InstanceId) -> Option<ContainerInstance> {
        let instance = self.instances.remove(&id)?;
        self.discount(&instance);
        if let Some(provider) = instance.provider
            && let Some(ids) = self.by_provider.get_mut(&provider)
        {
            ids.remove(&id);
        }
        Some(instance)
    }

    /// Sets `status` (DRN-1); false when the instance is not registered or had that status.
    pub fn set_status(&mut self, id: InstanceId, status: ContainerInstanceStatus) -> bool {
        self.instance(id).is_some_and(|instance| instance.status != status)
            && self.change(id, |instance| instance.status = status)
    }

    /// Sets `agentConnected`; false when the instance is not registered or was so already.
    pub fn set_agent_connected(&mut self, id: InstanceId, connected: bool) -> bool {
        self.instance(id).is_some_and(|instance| instance.agent_connected != connected)
            && self.change(id, |instance| instance.agent_connected = connected)
    }

    /// Binds a task to an instance and reserves what it needs; it counts as pending.
    ///
    /// # Panics
    /// When the instance is not registered, the task is bound to it already, or it does not fit: ask
    /// [`place`](crate::placement::place) first.
    pub fn reserve(&mut self, id: InstanceId, slot: &TaskSlot<'_>) {
        if self.group_name(slot.group).is_empty() {
            if self.group_names.len() <= slot.group.index() {
                self.group_names.resize(slot.group.index() + 1, None);
            }
            self.group_names[slot.group.index()] = Some(Arc::clone(slot.group_name));
        }
        let bound = BoundTask {
            group: slot.group,
            requirements: slot.requirements.clone(),
            daemon: slot.daemon,
            keeps_busy: slot.keeps_busy,
            phase: BoundPhase::Pending,
            holds_resources: true,
        };
        let done = self.change(id, |instance| instance.bind(slot.task, bound));
        assert!(done, "{} is not registered", id.ec2_id());
    }

    /// A bound task reached RUNNING; false when it is not bound there or was told to stop.
    pub fn note_running(&mut self, id: InstanceId, task: TaskKey) -> bool {
        let pending = |bound: &BoundTask| bound.phase == BoundPhase::Pending;
        self.bound(id, task).is_some_and(pending) && self.change(id, |instance| instance.task_running(task))
    }

    /// A bound task's desired status became STOPPED: it no longer counts for its group, its service or its provider,
    /// but keeps its resources. False when it is not bound there or was told before.
    pub fn note_stopping(&mut self, id: InstanceId, task: TaskKey) -> bool {
        let live = |bound: &BoundTask| bound.phase != BoundPhase::Stopping;
        self.bound(id, task).is_some_and(live) && self.change(id, |instance| instance.task_stopping(task))
    }

    /// A task told to stop gives back exactly what it took, at the instant that `release_point` names (AGENT-5).
    ///
    /// It stays bound until [`Cluster::note_stopped`]. False when it is not bound there or holds nothing.
    pub fn release(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.bound(id, task).is_some_and(|bound| bound.holds_resources)
            && self.change(id, |instance| instance.task_releases(task))
    }

    /// A bound task is STOPPED: it leaves the instance, and gives back what it still holds. False when it is not
    /// bound there.
    pub fn note_stopped(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.bound(id, task).is_some() && self.change(id, |instance| instance.unbind(task))
    }

    /// Recomputes every total and index, and compares.
    ///
    /// # Errors
    /// A sentence on the first book that does not balance.
    pub fn verify(&self) -> Result<(), String> {
        let mut totals = Totals::default();
        let mut provider_totals: BTreeMap<ProviderId, ProviderTotals> = BTreeMap::new();
        for (id, instance) in &self.instances {
            instance.verify().map_err(|error| format!("{}: {error}", id.ec2_id()))?;
            totals.add(instance);
            if let Some(provider) = instance.provider {
                let one = ProviderTotals::of(instance);
                let sum = provider_totals.entry(provider).or_default();
                sum.instances += one.instances;
                sum.busy += one.busy;
                if !self.by_provider.get(&provider).is_some_and(|ids| ids.contains(id)) {
                    return Err(format!("{} is missing among the instances of its provider", id.ec2_id()));
                }
            }
        }
        if totals != self.totals {
            return Err(format!("totals are {:?}, the instances add up to {totals:?}", self.totals));
        }
        let listed: usize = self.by_provider.values().map(BTreeSet::len).sum();
        if listed != self.instances.values().filter(|instance| instance.provider.is_some()).count() {
            return Err("a provider lists an instance that is gone".to_owned());
        }
        for (provider, kept) in &self.provider_totals {
            let found = provider_totals.get(provider).copied().unwrap_or_default();
            if *kept != found {
                return Err(format!("totals of provider {} are {kept:?}, its instances say {found:?}", provider.0));
            }
        }
        Ok(())
    }

    fn bound(&self, id: InstanceId, task: TaskKey) -> Option<&BoundTask> {
        self.instance(id)?.tasks.get(&task)
    }

    /// The one way to change an instance: out of the totals, change, back in.
    fn change(&mut self, id: InstanceId, change: impl FnOnce(&mut ContainerInstance)) -> bool {
        let Some(mut instance) = self.instances.remove(&id) else {
            return false;
        };
        self.discount(&instance);
        change(&mut instance);
        self.count(&instance);
        self.instances.insert(id, instance);
        true
    }

    fn count(&mut self, instance: &ContainerInstance) {
        self.totals.add(instance);
        if let Some(provider) = instance.provider {
            let one = ProviderTotals::of(instance);
            let sum = self.provider_totals.entry(provider).or_default();
            sum.instances += one.instances;
            sum.busy += one.busy;
        }
    }

    fn discount(&mut self, instance: &ContainerInstance) {
        self.totals.remove(instance);
        if let Some(provider) = instance.provider {
            let one = ProviderTotals::of(instance);
            let sum = self.provider_totals.entry(provider).or_default();
            sum.instances -= one.instances;
            sum.busy -= one.busy;
        }
    }
}
