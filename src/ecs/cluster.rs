//! A cluster: its container instances, who has reserved what on them, and the totals that metrics ask for.
//!
//! Every change goes through a method of [`Cluster`], which asserts what it relies on and keeps totals and indices in
//! step; [`Cluster::verify`] recomputes them all. The indices are those of placement: hosts that differ in nothing but
//! load form a [`pool`](self::pool), which keeps them in the orders that strategies ask for. A change costs the
//! logarithm of the hosts, and a look at a few words for each task group on the host; memory is linear in hosts and tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ecs::cluster::pool::{Pool, PoolKey, Seat};
use crate::ecs::container_instance::{
    Attributes, BoundPhase, BoundTask, ContainerInstance, ContainerInstanceStatus, Registration, Regrouped, Reserved,
    Resources,
};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, TaskKey};
use crate::ecs::instance_table::InstanceTable;
use crate::ecs::task_definition::Requirements;
use crate::units::{CpuUnits, MiB};

pub(crate) mod by_count;
pub(crate) mod by_id;
pub(crate) mod pool;
pub(crate) mod ranking;
pub(crate) mod room;

/// The container instances of one cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    start: jiff::Timestamp,
    members: InstanceTable<Box<Member>>,
    ids: BTreeSet<InstanceId>,
    pools: Vec<Option<(PoolKey, Pool)>>,
    pool_numbers: BTreeMap<PoolKey, usize>,
    by_provider: BTreeMap<ProviderId, BTreeSet<InstanceId>>,
    group_names: Vec<Option<Arc<str>>>,
    attributes: BTreeSet<Arc<Attributes>>,
    totals: Totals,
    provider_totals: BTreeMap<ProviderId, ProviderTotals>,
}

/// A registered instance and the number of its pool; it begins with a line of the cache.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Member {
    pool: usize,
    instance: ContainerInstance,
}

/// The numbers of an instance that its tasks move and the totals sum up.
struct Tally {
    remaining: Resources,
    running_reserved: Reserved,
    running: u32,
    pending: u32,
    is_busy: bool,
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
    /// What it reserves; its instance keeps a share.
    pub requirements: &'a Arc<Requirements>,
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
    /// CPU reserved by tasks that are RUNNING and not told to stop (ECSM-11, LEG-1).
    pub running_cpu: CpuUnits,
    /// Memory registered.
    pub registered_memory: MiB,
    /// Memory reserved by tasks.
    pub reserved_memory: MiB,
    /// Memory reserved by tasks that are RUNNING and not told to stop.
    pub running_memory: MiB,
    /// GPUs reserved by tasks that are RUNNING and not told to stop.
    pub running_gpus: u64,
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
            self.running_cpu += instance.running_reserved.cpu;
            self.running_memory += instance.running_reserved.memory;
            self.running_gpus += instance.running_reserved.gpus;
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
            self.running_cpu -= instance.running_reserved.cpu;
            self.running_memory -= instance.running_reserved.memory;
            self.running_gpus -= instance.running_reserved.gpus;
            self.registered_memory -= instance.registered.memory;
            self.reserved_memory -= instance.registered.memory - instance.remaining.memory;
            self.registered_gpus -= u64::from(instance.registered.gpus);
            self.reserved_gpus -= u64::from(instance.registered.gpus - instance.remaining.gpus);
        }
        self.running -= instance.running;
        self.pending -= instance.pending;
    }
}

impl Tally {
    fn of(instance: &ContainerInstance) -> Self {
        Self {
            remaining: instance.remaining,
            running_reserved: instance.running_reserved,
            running: instance.running,
            pending: instance.pending,
            is_busy: instance.busy > 0,
        }
    }
}

impl Totals {
    /// A task has come to an instance or left it, or got further.
    fn follow(&mut self, instance: &ContainerInstance, was: &Tally) {
        self.running = self.running + instance.running - was.running;
        self.pending = self.pending + instance.pending - was.pending;
        if !instance.status.counts() {
            return;
        }
        let (left, held) = (&instance.remaining, &instance.running_reserved);
        self.reserved_cpu = self.reserved_cpu + was.remaining.cpu - left.cpu;
        self.reserved_memory = self.reserved_memory + was.remaining.memory - left.memory;
        self.reserved_gpus = self.reserved_gpus + u64::from(was.remaining.gpus) - u64::from(left.gpus);
        self.running_cpu = self.running_cpu + held.cpu - was.running_reserved.cpu;
        self.running_memory = self.running_memory + held.memory - was.running_reserved.memory;
        self.running_gpus = self.running_gpus + held.gpus - was.running_reserved.gpus;
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
            members: InstanceTable::default(),
            ids: BTreeSet::new(),
            pools: Vec::new(),
            pool_numbers: BTreeMap::new(),
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
        self.member(id).map(|member| &member.instance)
    }

    /// All registered instances, lowest id first.
    pub fn instances(&self) -> impl Iterator<Item = &ContainerInstance> {
        self.ids.iter().filter_map(|id| self.instance(*id))
    }

    /// The registered instances of a capacity provider, lowest id first.
    pub fn provider_instances(&self, provider: ProviderId) -> impl Iterator<Item = InstanceId> + '_ {
        self.by_provider.get(&provider).into_iter().flatten().copied()
    }

    /// Number of registered instances, of any status (`registeredContainerInstancesCount`).
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no instance is registered.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
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

    /// The instance that was launched last of those registered.
    pub fn newest(&self) -> Option<InstanceId> {
        self.ids.last().copied()
    }

    /// The pools of hosts, for placement.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &(PoolKey, Pool)> {
        self.pools.iter().flatten()
    }

    /// At least as many as there are [`Cluster::pools`].
    pub(crate) const fn number_of_pools(&self) -> usize {
        self.pools.len()
    }

    /// A host's agent registers it; the built-in attributes are added (PLACE-16).
    ///
    /// # Panics
    /// When an instance of that id is registered already.
    pub fn register(&mut self, mut registration: Registration) {
        let id = registration.id;
        assert!(self.ids.insert(id), "{} is registered already", id.ec2_id());
        let attributes = std::mem::take(&mut registration.attributes).with_built_in(
            &registration.zone_name,
            &registration.instance_type,
            registration.architecture,
            registration.operating_system,
        );
        let attributes = Arc::new(attributes);
        let attributes = self.attributes.get(&attributes).cloned().unwrap_or(attributes);
        self.attributes.insert(Arc::clone(&attributes));
        let instance = ContainerInstance::new(registration, attributes);
        if let Some(provider) = instance.provider {
            self.by_provider.entry(provider).or_default().insert(id);
        }
        count(&mut self.totals, &mut self.provider_totals, &instance);
        let number = self.pool_number(&PoolKey::of(&instance));
        if let Some((_, pool)) = &mut self.pools[number] {
            pool.join(id, Seat::of(&instance));
        }
        self.members.insert(id, Box::new(Member { pool: number, instance }));
    }

    /// Takes an instance out of the cluster and returns it with the tasks still bound to it, if it was registered.
    pub fn deregister(&mut self, id: InstanceId) -> Option<ContainerInstance> {
        let member = self.members.remove(id)?;
        let Member { pool: number, instance } = *member;
        self.ids.remove(&id);
        discount(&mut self.totals, &mut self.provider_totals, &instance);
        if let Some(provider) = instance.provider
            && let Some(ids) = self.by_provider.get_mut(&provider)
        {
            ids.remove(&id);
        }
        let last = self.pools[number].as_mut().is_some_and(|(_, pool)| pool.leave(&instance));
        if last && let Some((key, _)) = self.pools[number].take() {
            self.pool_numbers.remove(&key);
            drop(key);
            // Held by the set and by the instance alone: nobody else has these attributes.
            if Arc::strong_count(&instance.attributes) == 2 {
                self.attributes.remove(&instance.attributes);
            }
        }
        Some(instance)
    }

    /// Sets `status` (DRN-1); false when the instance is not registered or had that status.
    pub fn set_status(&mut self, id: InstanceId, status: ContainerInstanceStatus) -> bool {
        self.instance(id).is_some_and(|instance| instance.status != status)
            && self.reopen(id, |instance| instance.status = status)
    }

    /// Sets `agentConnected`; false when the instance is not registered or was so already.
    pub fn set_agent_connected(&mut self, id: InstanceId, connected: bool) -> bool {
        self.instance(id).is_some_and(|instance| instance.agent_connected != connected)
            && self.reopen(id, |instance| instance.agent_connected = connected)
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
            requirements: Arc::clone(slot.requirements),
            daemon: slot.daemon,
            keeps_busy: slot.keeps_busy,
            phase: BoundPhase::Pending,
            holds_resources: true,
        };
        let done = self.change(id, |instance| (true, Some(instance.bind(slot.task, bound))));
        assert!(done, "{} is not registered", id.ec2_id());
    }

    /// A bound task reached RUNNING; false when it is not bound there or was told to stop.
    pub fn note_running(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.change(id, |instance| (instance.task_running(task), None))
    }

    /// A bound task's desired status became STOPPED: it no longer counts for its group, its service or its provider,
    /// but keeps its resources. False when it is not bound there or was told before.
    pub fn note_stopping(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.change(id, |instance| {
            let regrouped = instance.task_stopping(task);
            (regrouped.is_some(), regrouped)
        })
    }

    /// A task told to stop gives back exactly what it took, at the instant that `release_point` names (AGENT-5).
    ///
    /// It stays bound until [`Cluster::note_stopped`]. False when it is not bound there or holds nothing.
    pub fn release(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.change(id, |instance| {
            let regrouped = instance.task_stopping(task);
            (instance.task_releases(task), regrouped)
        })
    }

    /// A bound task is STOPPED: it leaves the instance, and gives back what it still holds. False when it is not
    /// bound there.
    pub fn note_stopped(&mut self, id: InstanceId, task: TaskKey) -> bool {
        self.change(id, |instance| {
            let regrouped = instance.task_stopping(task);
            instance.task_releases(task);
            (instance.unbind(task), regrouped)
        })
    }

    /// Recomputes every total and index, and compares.
    ///
    /// # Errors
    /// A sentence on the first book that does not balance.
    pub fn verify(&self) -> Result<(), String> {
        let mut totals = Totals::default();
        let mut provider_totals: BTreeMap<ProviderId, ProviderTotals> = BTreeMap::new();
        let mut sizes: BTreeMap<usize, (u64, u32, u32)> = BTreeMap::new();
        let mut seats: BTreeMap<(usize, TaskGroupId), u32> = BTreeMap::new();
        for (id, member) in self.ids.iter().filter_map(|id| Some((id, self.member(*id)?))) {
            let instance = &member.instance;
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
            let pool = self.pools[member.pool].as_ref();
            let indexed = |(key, pool): &(PoolKey, Pool)| *key == PoolKey::of(instance) && pool.verify(instance);
            if !pool.is_some_and(indexed) {
                return Err(format!("{} is not in the indices as it is", id.ec2_id()));
            }
            let size = sizes.entry(member.pool).or_default();
            size.0 += instance.groups.values().map(|count| u64::from(*count)).sum::<u64>();
            size.1 += u32::from(instance.accepts_tasks());
            for group in instance.groups.keys() {
                *seats.entry((member.pool, *group)).or_default() += u32::from(instance.accepts_tasks());
            }
            size.2 += 1;
        }
        for (number, pool) in self.pools.iter().enumerate() {
            let kept = pool.as_ref().map(|(_, pool)| pool.sizes());
            let found = sizes.get(&number);
            let agree = match (&kept, found) {
                (Some((tasks, seated, hosts)), Some((all_tasks, open, all_hosts))) => {
                    tasks == all_tasks && seated.iter().all(|seated| seated == open) && hosts == all_hosts
                }
                (kept, found) => kept.is_none() && found.is_none(),
            };
            if !agree {
                return Err(format!("pool {number} has (tasks, open hosts, hosts) {kept:?}, {found:?} found"));
            }
        }
        for ((pool, group), found) in seats {
            let kept = self.pools[pool].as_ref().and_then(|(_, pool)| pool.seats_kept(group));
            if kept.is_some_and(|kept| kept != found) {
                return Err(format!("pool {pool} has {kept:?} hosts of group {}, {found} found", group.0));
            }
        }
        if totals != self.totals {
            return Err(format!("totals are {:?}, the instances add up to {totals:?}", self.totals));
        }
        let listed: usize = self.by_provider.values().map(BTreeSet::len).sum();
        if listed != self.instances().filter(|instance| instance.provider.is_some()).count() {
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

    fn member(&self, id: InstanceId) -> Option<&Member> {
        self.members.get(id).map(Box::as_ref)
    }

    /// The one way to change the tasks of an instance: `change` says whether it did anything, and to which group.
    ///
    /// Totals move by what has moved, and an order of placement is looked at only when the change is one that it goes by:
    /// a task that begins to run concerns none of them. To take the whole instance out of everything and put it in
    /// again, five times for a task, was a sixth of the instructions of a run of RunTask arrivals.
    fn change(
        &mut self,
        id: InstanceId,
        change: impl FnOnce(&mut ContainerInstance) -> (bool, Option<Regrouped>),
    ) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let instance = &mut member.instance;
        let was = Tally::of(instance);
        let (done, regrouped) = change(instance);
        if !done {
            return false;
        }
        self.totals.follow(instance, &was);
        let is_busy = instance.busy > 0;
        if is_busy != was.is_busy
            && instance.status.counts()
            && let Some(provider) = instance.provider
        {
            let sum = self.provider_totals.entry(provider).or_default();
            sum.busy = sum.busy + u32::from(is_busy) - u32::from(was.is_busy);
        }
        if regrouped.is_some() || instance.remaining != was.remaining {
            let was = instance.accepts_tasks().then(|| Seat::left(&was.remaining));
            if let Some((_, pool)) = &mut self.pools[member.pool] {
                pool.follow(instance, was, regrouped);
            }
        }
        true
    }

    /// The one way to change whether an instance counts or takes tasks: out of the totals, change, back in.
    fn reopen(&mut self, id: InstanceId, change: impl FnOnce(&mut ContainerInstance)) -> bool {
        let Some(member) = self.members.get_mut(id) else {
            return false;
        };
        let was = Seat::of(&member.instance);
        discount(&mut self.totals, &mut self.provider_totals, &member.instance);
        change(&mut member.instance);
        count(&mut self.totals, &mut self.provider_totals, &member.instance);
        if let Some((_, pool)) = &mut self.pools[member.pool] {
            pool.follow(&member.instance, was, None);
        }
        true
    }

    /// The pool of that key, made if need be.
    fn pool_number(&mut self, key: &PoolKey) -> usize {
        if let Some(number) = self.pool_numbers.get(key) {
            return *number;
        }
        let number = self.pools.iter().position(Option::is_none).unwrap_or(self.pools.len());
        if number == self.pools.len() {
            self.pools.push(None);
        }
        self.pools[number] = Some((key.clone(), Pool::default()));
        self.pool_numbers.insert(key.clone(), number);
        number
    }
}

/// An instance enters the totals of its cluster and of its provider.
fn count(totals: &mut Totals, of_providers: &mut BTreeMap<ProviderId, ProviderTotals>, instance: &ContainerInstance) {
    totals.add(instance);
    if let Some(provider) = instance.provider {
        let one = ProviderTotals::of(instance);
        let sum = of_providers.entry(provider).or_default();
        sum.instances += one.instances;
        sum.busy += one.busy;
    }
}

/// An instance leaves them.
fn discount(
    totals: &mut Totals,
    of_providers: &mut BTreeMap<ProviderId, ProviderTotals>,
    instance: &ContainerInstance,
) {
    totals.remove(instance);
    if let Some(provider) = instance.provider {
        let one = ProviderTotals::of(instance);
        let sum = of_providers.entry(provider).or_default();
        sum.instances -= one.instances;
        sum.busy -= one.busy;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::ids::{InstanceId, TaskGroupId, ZoneId};
    use crate::placement::fleet::{Fleet, WEB, needs};

    #[test]
    fn ex_leg_1_reservation_of_two_hosts() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7679), (0, 2048, 7679)]);
        for host in [0, 0, 0, 1, 1] {
            let task = fleet.bind(InstanceId(host), WEB, &needs(512, 1024));
            fleet.cluster.note_running(InstanceId(host), task);
        }
        let totals = fleet.cluster.totals();
        assert_eq!((totals.running_cpu, totals.registered_cpu), (CpuUnits(2560), CpuUnits(4096)), "62.5 %");
        assert_eq!((totals.running_memory, totals.registered_memory), (MiB(5120), MiB(15358)), "33.34 %");
        let pending = fleet.bind(InstanceId(0), WEB, &needs(512, 1024));
        assert_eq!(
            fleet.cluster.totals().running_cpu,
            CpuUnits(2560),
            "a task that is still PENDING reserves nothing here"
        );
        fleet.cluster.note_stopped(InstanceId(0), pending);
        assert_eq!(fleet.cluster.totals(), totals);
        // EX-LEG-4: DRAINING changes nothing.
        assert!(fleet.cluster.set_status(InstanceId(1), ContainerInstanceStatus::Draining));
        assert_eq!(fleet.cluster.totals(), totals);
        assert!(fleet.cluster.deregister(InstanceId(1)).is_some());
        assert_eq!(fleet.cluster.totals().reserved_cpu, CpuUnits(1536));
    }

    #[test]
    fn ex_leg_2_schedulable_containers() {
        let fleet = Fleet::with_hosts(&[(0, 1024, 1000), (0, 512, 4000), (0, 2048, 300)]);
        assert_eq!(fleet.cluster.schedulable_containers(CpuUnits(512), MiB(512)), 2);
        assert_eq!(fleet.cluster.schedulable_containers(CpuUnits(512), MiB(0)), 7, "memory does not bind");
    }

    #[test]
    fn ex_leg_3_a_half_empty_cluster_may_have_no_room() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7679), (0, 2048, 7679)]);
        for host in [0, 1] {
            fleet.bind(InstanceId(host), WEB, &needs(1536, 10));
        }
        assert_eq!(fleet.cluster.totals().reserved_cpu, CpuUnits(3072), "75 %");
        let needs = needs(1024, 10);
        assert_eq!(fleet.place(&crate::placement::fleet::request(&needs, &[])), None);
    }

    #[test]
    fn agent_5_a_stopping_task_gives_back_once() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        let (host, mut needs) = (InstanceId(0), needs(512, 1024));
        needs.tcp_ports = vec![80];
        let task = fleet.bind(host, WEB, &needs);
        let state = |fleet: &Fleet| {
            assert_eq!(fleet.cluster.verify(), Ok(()));
            let instance = fleet.cluster.instance(host).unwrap();
            (instance.remaining.cpu.0, instance.pending, instance.running, instance.tasks_of(WEB), instance.tasks.len())
        };
        assert_eq!(state(&fleet), (1536, 1, 0, 1, 1));
        assert!(fleet.cluster.note_running(host, task) && !fleet.cluster.note_running(host, task));
        assert_eq!(state(&fleet), (1536, 0, 1, 1, 1));
        assert!(fleet.cluster.note_stopping(host, task) && !fleet.cluster.note_stopping(host, task));
        assert_eq!(state(&fleet), (1536, 0, 0, 0, 1), "release_point: stopped");
        assert!(fleet.cluster.release(host, task) && !fleet.cluster.release(host, task));
        assert_eq!(state(&fleet), (2048, 0, 0, 0, 1));
        assert!(fleet.cluster.instance(host).unwrap().ports_fit(&needs));
        assert!(fleet.cluster.note_stopped(host, task) && !fleet.cluster.note_stopped(host, task));
        assert_eq!(state(&fleet), (2048, 0, 0, 0, 0));
    }

    #[test]
    fn cas_6_busy_hosts_have_a_task_that_is_no_daemon() {
        let mut fleet = Fleet::new();
        let provider = ProviderId(3);
        for number in 0..3 {
            fleet.register(number, |host| host.provider = Some(provider));
        }
        let task = fleet.bind(InstanceId(1), WEB, &needs(1, 1));
        let requirements = Arc::new(needs(1, 1));
        let mut keys: slotmap::SlotMap<TaskKey, ()> = slotmap::SlotMap::with_key();
        let daemon = TaskSlot {
            task: keys.insert(()),
            group: TaskGroupId(1),
            group_name: &"service:logs".into(),
            requirements: &requirements,
            daemon: true,
            keeps_busy: false,
        };
        fleet.cluster.reserve(InstanceId(2), &daemon);
        assert_eq!(fleet.cluster.provider_totals(provider), ProviderTotals { instances: 3, busy: 1 });
        assert_eq!(fleet.cluster.instance(InstanceId(2)).map(|host| (host.non_daemon, host.pending)), Some((0, 1)));
        fleet.cluster.note_stopping(InstanceId(1), task);
        fleet.cluster.deregister(InstanceId(0));
        assert_eq!(fleet.cluster.provider_totals(provider), ProviderTotals { instances: 2, busy: 0 });
        assert!(fleet.cluster.provider_instances(provider).eq([InstanceId(1), InstanceId(2)]));
    }

    #[test]
    fn pools_go_with_their_last_host() {
        let mut fleet = Fleet::new();
        for number in 0..200 {
            fleet.register(number, |host| {
                host.zone = ZoneId(number % 3);
                host.attributes.set("host", number.to_string());
            });
            if number >= 4 {
                assert!(fleet.cluster.deregister(InstanceId(number - 4)).is_some());
            }
            assert_eq!(fleet.cluster.verify(), Ok(()));
        }
        assert_eq!(fleet.cluster.len(), 4);
        assert!(fleet.cluster.pools.len() <= 5 && fleet.cluster.attributes.len() == 4);
    }
}
