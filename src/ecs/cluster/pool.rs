//! Hosts that differ in nothing but their load, and the orders in which placement looks at them.
//!
//! All hosts of a pool have the same provider, zone, platform and attributes, so whatever depends on those alone is
//! decided once a pool: there are about as many pools as groups times zones times instance types.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::ecs::capability::Capabilities;
use crate::ecs::cluster::Cluster;
use crate::ecs::cluster::by_count::ByCount;
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
    pub(crate) by_count: ByCount,
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

impl GroupSeats {
    /// A host had so many tasks of the group, never 0, and so much room, and has; none where it was not in, or is not.
    fn follow(&mut self, id: InstanceId, was: Option<(u32, Room)>, is: Option<(u32, Room)>, by_id: &ById) {
        self.by_count.follow(id, was, is, by_id);
        match (was, is) {
            (None, Some(_)) => self.present.insert(id, by_id),
            (Some(_), None) => self.present.remove(id),
            _ => {}
        }
    }
}

impl Pool {
    /// The hosts by remaining memory.
    pub(crate) fn by_memory(&self, cluster: &Cluster) -> &Ranking {
        self.by_memory.get_or_init(|| self.rank(cluster, |seat| seat.memory))
    }

    /// The hosts by remaining CPU.
    pub(crate) fn by_cpu(&self, cluster: &Cluster) -> &Ranking {
        self.by_cpu.get_or_init(|| self.rank(cluster, |seat| seat.cpu))
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
            let mut seats = GroupSeats::default();
            for (instance, seat) in self.seated(cluster) {
                let is = Some((instance.tasks_of(group), seat.room)).filter(|(count, _)| *count > 0);
                seats.follow(instance.id, None, is, by_id);
            }
            seats
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
        self.reseat(id, None, seat, &SmallMap::default(), None);
    }

    /// Takes a host out; true when it was the last.
    pub(crate) fn leave(&mut self, instance: &ContainerInstance) -> bool {
        self.reseat(instance.id, Seat::of(instance), None, &instance.groups, None);
        for (group, count) in instance.groups.iter() {
            self.change_tasks(*group, *count, 0);
        }
        self.hosts.remove(&instance.id);
        self.hosts.is_empty()
    }

    /// Brings every order up to date with a host that had another seat, or tasks of a group more or less.
    pub(crate) fn follow(&mut self, instance: &ContainerInstance, was: Option<Seat>, regrouped: Option<Regrouped>) {
        if let Some(Regrouped { group, was, is }) = regrouped {
            self.change_tasks(group, was, is);
        }
        self.reseat(instance.id, was, Seat::of(instance), &instance.groups, regrouped);
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
                    (Some(seats), Some(_)) => {
                        let by_id = self.by_id.get();
                        by_id.is_some_and(|by_id| seats.by_count.verify(*count, id, by_id))
                            && seats.present.contains(id)
                    }
                })
            })
    }

    /// The hosts kept in the order of a group, if there is that order.
    pub(crate) fn seats_kept(&self, group: TaskGroupId) -> Option<u32> {
        Some(self.groups.get(&group)?.seats.get()?.by_count.len())
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

    /// A new order.
    fn rank(&self, cluster: &Cluster, rank: impl Fn(&Seat) -> u64) -> Ranking {
        let mut ranking = Ranking::default();
        for (instance, seat) in self.seated(cluster) {
            ranking.insert(rank(&seat), instance.id, seat.room);
        }
        ranking
    }

    /// Gives a host a new seat in every order; `groups` are its tasks now, one group having changed.
    fn reseat(
        &mut self,
        id: InstanceId,
        was: Option<Seat>,
        is: Option<Seat>,
        groups: &SmallMap<TaskGroupId, u32, 2>,
        regrouped: Option<Regrouped>,
    ) {
        if was != is {
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
        }
        // The orders of groups rest on that by id: without it there are none.
        let Some(by_id) = self.by_id.get() else {
            return;
        };
        if self.asked_for_groups.get().is_none() {
            return;
        }
        if was.is_none() && is.is_some() {
            for seats in self.groups.values_mut().filter_map(|group| group.seats.get_mut()) {
                seats.present.reopen(id);
            }
        }
        let mut follow = |group: TaskGroupId, before: u32, count: u32| {
            if let Some(seats) = self.groups.get_mut(&group).and_then(|group| group.seats.get_mut()) {
                let place = |seat: Option<Seat>, count: u32| Some((count, seat?.room)).filter(|(count, _)| *count > 0);
                seats.follow(id, place(was, before), place(is, count), by_id);
            }
        };
        if let Some(Regrouped { group, was, is }) = regrouped {
            follow(group, was, is);
        }
        if was != is {
            let others = groups.iter().filter(|(group, _)| regrouped.is_none_or(|changed| changed.group != **group));
            for (group, count) in others {
                follow(*group, *count, *count);
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
