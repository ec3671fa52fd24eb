//! Hosts that differ in nothing but their load, and the orders in which placement looks at them.
//!
//! All hosts of a pool have the same provider, zone, platform and attributes, so whatever depends on those alone is
//! decided once a pool: there are about as many pools as groups times zones times instance types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::ecs::capability::Capabilities;
use crate::ecs::cluster::Cluster;
use crate::ecs::cluster::by_id::{ById, Present};
use crate::ecs::cluster::ranking::Ranking;
use crate::ecs::cluster::room::Room;
use crate::ecs::container_instance::{Attributes, ContainerInstance, Regrouped, Resources};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, ZoneId};
use crate::ecs::small_map::SmallMap;
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};

/// What all hosts of a pool share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolKey {
    /// Capacity provider.
    pub(crate) provider: Option<ProviderId>,
    /// Availability Zone.
    pub(crate) zone: ZoneId,
    /// CPU architecture.
    pub(crate) architecture: CpuArchitecture,
    /// Whether the hosts run Windows.
    pub(crate) windows: bool,
    /// What their agents can do.
    pub(crate) capabilities: Capabilities,
    /// Attributes.
    pub(crate) attributes: Arc<Attributes>,
}

impl PoolKey {
    /// The pool an instance belongs to.
    pub(crate) fn of(instance: &ContainerInstance) -> Self {
        Self {
            provider: instance.provider,
            zone: instance.zone,
            architecture: instance.architecture,
            windows: instance.operating_system == OperatingSystem::Windows,
            capabilities: instance.capabilities,
            attributes: Arc::clone(&instance.attributes),
        }
    }
}

/// The hosts of a pool that accept tasks, in the orders placement asks for.
///
/// An order is made when a search first asks for it, by a look at every host of the pool, and kept in step with every
/// change from then on: most clusters are searched in one or two of the orders, and each costs as much at every change
/// as all the rest of the change. When all were kept from the start, they were 44 % of the instructions of a run of
/// RunTask arrivals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// Registered hosts, those that accept no tasks included.
    hosts: BTreeSet<InstanceId>,
    by_memory: OnceLock<Ranking>,
    by_cpu: OnceLock<Ranking>,
    by_id: OnceLock<ById>,
    /// What each task group has here.
    groups: BTreeMap<TaskGroupId, PoolGroup>,
    /// Whether a search has asked for the orders of a group: groups that come from then on have theirs from the start,
    /// while it is empty, so that a group that comes and goes costs no look at every host each time.
    asked_for_groups: OnceLock<()>,
}

/// The tasks of one group in a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolGroup {
    /// Tasks on all hosts of the pool, those that accept no tasks included (PLACE-10).
    pub(crate) tasks: u64,
    seats: OnceLock<GroupSeats>,
}

/// The hosts that accept tasks and have one of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupSeats {
    /// By number of such tasks.
    pub(crate) by_count: Ranking,
    /// As a set.
    pub(crate) present: Present,
}

/// What a host stands for in the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    memory: u64,
    cpu: u64,
    room: Room,
}

impl Seat {
    /// That of a host, if it accepts tasks.
    pub(crate) fn of(instance: &ContainerInstance) -> Option<Self> {
        instance.accepts_tasks().then(|| Self::left(&instance.remaining))
    }

    /// That of a host with so much left.
    pub(crate) fn left(remaining: &Resources) -> Self {
        Self { memory: remaining.memory.0, cpu: remaining.cpu.0, room: Room::free(remaining) }
    }
}

impl Pool {
    /// The hosts by remaining memory.
    pub(crate) fn by_memory(&self, cluster: &Cluster) -> &Ranking {
        self.by_memory.get_or_init(|| self.rank(cluster, |instance| Some(instance.remaining.memory.0)))
    }

    /// The hosts by remaining CPU.
    pub(crate) fn by_cpu(&self, cluster: &Cluster) -> &Ranking {
        self.by_cpu.get_or_init(|| self.rank(cluster, |instance| Some(instance.remaining.cpu.0)))
    }

    /// The hosts by id.
    pub(crate) fn by_id(&self, cluster: &Cluster) -> &ById {
        self.by_id.get_or_init(|| {
            let mut order = ById::default();
            for (instance, seat) in self.seated(cluster) {
                order.set(instance.id, seat.room);
            }
            order
        })
    }

    /// The hosts that have a task of a group.
    pub(crate) fn seats_of(&self, group: TaskGroupId, cluster: &Cluster) -> Option<&GroupSeats> {
        self.asked_for_groups.get_or_init(|| ());
        let by_id = self.by_id(cluster);
        Some(self.groups.get(&group)?.seats.get_or_init(|| {
            let count =
                |instance: &ContainerInstance| Some(u64::from(instance.tasks_of(group))).filter(|count| *count > 0);
            let mut present = Present::default();
            for (instance, _) in self.seated(cluster).filter(|(instance, _)| count(instance).is_some()) {
                present.insert(instance.id, by_id);
            }
            GroupSeats { by_count: self.rank(cluster, count), present }
        }))
    }

    /// Tasks of a group here.
    pub(crate) fn tasks_of(&self, group: TaskGroupId) -> u64 {
        self.groups.get(&group).map_or(0, |group| group.tasks)
    }

    /// Whether some host might have room: false is certain.
    pub(crate) fn may_cover(&self, needs: Room) -> bool {
        let rankings = [&self.by_memory, &self.by_cpu].into_iter().filter_map(OnceLock::get);
        rankings
            .map(|order| order.may_cover(needs))
            .chain(self.by_id.get().map(|order| order.may_cover(needs)))
            .all(|may| may)
    }

    /// Adds a new host, which has no tasks.
    pub(crate) fn join(&mut self, id: InstanceId, seat: Option<Seat>) {
        self.hosts.insert(id);
        self.reseat(id, None, seat, &SmallMap::default());
    }

    /// Takes a host out; true when it was the last.
    pub(crate) fn leave(&mut self, instance: &ContainerInstance) -> bool {
        self.reseat(instance.id, Seat::of(instance), None, &instance.groups);
        for (group, count) in instance.groups.iter() {
            self.change_tasks(*group, *count, 0);
        }
        self.hosts.remove(&instance.id);
        self.hosts.is_empty()
    }

    /// Brings every order up to date with a host that had another seat, or tasks of a group more or less.
    pub(crate) fn follow(&mut self, instance: &ContainerInstance, was: Option<Seat>, regrouped: Option<Regrouped>) {
        if let Some(regrouped) = regrouped {
            self.regroup(instance.id, was, regrouped);
        }
        self.reseat(instance.id, was, Seat::of(instance), &instance.groups);
    }

    /// Whether the orders say what a host says.
    pub(crate) fn verify(&self, instance: &ContainerInstance) -> bool {
        let id = instance.id;
        let seat = Seat::of(instance);
        let ranked = |order: &OnceLock<Ranking>, rank: fn(&Seat) -> u64| match (order.get(), &seat) {
            (Some(order), Some(seat)) => order.verify(rank(seat), id, seat.room),
            _ => true,
        };
        self.hosts.contains(&id)
            && ranked(&self.by_memory, |seat| seat.memory)
            && ranked(&self.by_cpu, |seat| seat.cpu)
            && self.by_id.get().is_none_or(|order| seat.is_none_or(|seat| order.verify(id, seat.room)))
            && instance.groups.iter().all(|(group, count)| {
                let seats = self.groups.get(group).map(|group| group.seats.get());
                seats.is_some_and(|seats| match (seats, &seat) {
                    (None, _) => true,
                    (Some(seats), None) => !seats.present.contains(id),
                    (Some(seats), Some(seat)) => {
                        seats.by_count.verify(u64::from(*count), id, seat.room) && seats.present.contains(id)
                    }
                })
            })
    }

    /// The sum of all tasks of all groups, and the number of hosts: seated in each order there is, and known.
    pub(crate) fn sizes(&self) -> (u64, Vec<u32>, u32) {
        let rankings = [&self.by_memory, &self.by_cpu].into_iter().filter_map(OnceLock::get);
        (
            self.groups.values().map(|group| group.tasks).sum(),
            rankings.map(Ranking::len).collect(),
            self.hosts.len() as u32,
        )
    }

    /// The hosts that accept tasks.
    fn seated<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = (&'a ContainerInstance, Seat)> {
        self.hosts.iter().filter_map(|id| {
            let instance = cluster.instance(*id)?;
            Some((instance, Seat::of(instance)?))
        })
    }

    /// A new order, of the hosts that have a rank.
    fn rank(&self, cluster: &Cluster, rank: impl Fn(&ContainerInstance) -> Option<u64>) -> Ranking {
        let mut ranking = Ranking::default();
        for (instance, seat) in self.seated(cluster) {
            if let Some(rank) = rank(instance) {
                ranking.insert(rank, instance.id, seat.room);
            }
        }
        ranking
    }

    /// Gives a host a new seat in every order.
    fn reseat(&mut self, id: InstanceId, was: Option<Seat>, is: Option<Seat>, groups: &SmallMap<TaskGroupId, u32>) {
        if was == is {
            return;
        }
        if let Some(order) = self.by_memory.get_mut() {
            move_in(order, id, was.map(|seat| seat.memory), is.map(|seat| (seat.memory, seat.room)));
        }
        if let Some(order) = self.by_cpu.get_mut() {
            move_in(order, id, was.map(|seat| seat.cpu), is.map(|seat| (seat.cpu, seat.room)));
        }
        if let Some(order) = self.by_id.get_mut() {
            match is {
                Some(seat) => order.set(id, seat.room),
                None => order.remove(id),
            }
        }
        if self.asked_for_groups.get().is_none() {
            return;
        }
        if was.is_none() {
            for seats in self.groups.values_mut().filter_map(|group| group.seats.get_mut()) {
                seats.present.reopen(id);
            }
        }
        for (group, count) in groups.iter() {
            if let Some(seats) = self.groups.get_mut(group).and_then(|group| group.seats.get_mut()) {
                let rank = u64::from(*count);
                move_in(&mut seats.by_count, id, was.map(|_| rank), is.map(|seat| (rank, seat.room)));
                match (was, is, self.by_id.get()) {
                    (None, Some(_), Some(by_id)) => seats.present.insert(id, by_id),
                    (Some(_), None, _) => seats.present.remove(id),
                    _ => {}
                }
            }
        }
    }

    /// A host has more tasks of a group, or fewer.
    fn regroup(&mut self, id: InstanceId, seat: Option<Seat>, Regrouped { group, was, is }: Regrouped) {
        self.change_tasks(group, was, is);
        let Some(seat) = seat else {
            return;
        };
        if let Some(seats) = self.groups.get_mut(&group).and_then(|group| group.seats.get_mut()) {
            let rank = |count: u32| (count > 0).then_some(u64::from(count));
            move_in(&mut seats.by_count, id, rank(was), rank(is).map(|rank| (rank, seat.room)));
            match (was, is, self.by_id.get()) {
                (0, _, Some(by_id)) => seats.present.insert(id, by_id),
                (_, 0, _) => seats.present.remove(id),
                _ => {}
            }
        }
    }

    fn change_tasks(&mut self, group: TaskGroupId, was: u32, is: u32) {
        let asked = self.asked_for_groups.get().is_some();
        let entry = self.groups.entry(group).or_insert_with(|| PoolGroup {
            tasks: 0,
            seats: if asked { GroupSeats::default().into() } else { OnceLock::new() },
        });
        entry.tasks = entry.tasks + u64::from(is) - u64::from(was);
        if entry.tasks == 0 {
            self.groups.remove(&group);
        }
    }
}

/// Moves a host in an order, from the rank it had to that and the room it has; none where it is not in.
fn move_in(order: &mut Ranking, id: InstanceId, was: Option<u64>, is: Option<(u64, Room)>) {
    match (was, is) {
        (None, None) => {}
        (None, Some((rank, room))) => order.insert(rank, id, room),
        (Some(was), None) => order.remove(was, id),
        (Some(was), Some((rank, room))) => order.update(was, rank, id, room),
    }
}
