//! Hosts that differ in nothing but their load, and the orders in which placement looks at them.
//!
//! All hosts of a pool have the same provider, zone, platform and attributes, so whatever depends on those alone is
//! decided once a pool: there are about as many pools as groups times zones times instance types.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ecs::capability::Capabilities;
use crate::ecs::cluster::by_id::{ById, Present};
use crate::ecs::cluster::ranking::{Handle, Ranking};
use crate::ecs::cluster::room::Room;
use crate::ecs::container_instance::{Attributes, ContainerInstance};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, ZoneId};
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

/// The hosts of a pool that accept tasks, in every order placement asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    /// By remaining memory.
    pub(crate) by_memory: Ranking,
    /// By remaining CPU.
    pub(crate) by_cpu: Ranking,
    /// By id.
    pub(crate) by_id: ById,
    /// What each task group has here.
    groups: BTreeMap<TaskGroupId, PoolGroup>,
    /// Registered hosts, those that accept no tasks included.
    hosts: u32,
}

/// The tasks of one group in a pool.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolGroup {
    /// Tasks on all hosts of the pool, those that accept no tasks included (PLACE-10).
    pub(crate) tasks: u64,
    /// Hosts with such a task, by number of them.
    pub(crate) by_count: Ranking,
    /// The same hosts as a set.
    pub(crate) present: Present,
}

/// A host's place in the orders of its pool, as last brought up to date.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// Its handles by memory and by CPU while it accepts tasks.
    seat: Option<(Handle, Handle)>,
    room: Room,
    groups: Vec<GroupMark>,
}

#[derive(Clone, Copy, Debug)]
struct GroupMark {
    group: TaskGroupId,
    count: u32,
    /// Its handle by count while it accepts tasks.
    seat: Option<Handle>,
}

impl Pool {
    /// What a group has here, if anything.
    pub(crate) fn group(&self, group: TaskGroupId) -> Option<&PoolGroup> {
        self.groups.get(&group)
    }

    /// Counts a new host; [`Pool::update`] seats it.
    pub(crate) fn join(&mut self) {
        self.hosts += 1;
    }

    /// Takes a host out; true when it was the last.
    pub(crate) fn leave(&mut self, id: InstanceId, marks: &mut Marks) -> bool {
        self.unseat(id, marks);
        for mark in marks.groups.drain(..) {
            self.change_tasks(mark.group, u64::from(mark.count), 0);
        }
        self.hosts -= 1;
        self.hosts == 0
    }

    /// Brings every order up to date with a host that has changed.
    pub(crate) fn update(&mut self, instance: &ContainerInstance, marks: &mut Marks) {
        let id = instance.id;
        if !instance.accepts_tasks() {
            self.unseat(id, marks);
        }
        let room = Room::free(&instance.remaining);
        let (memory, cpu) = (instance.remaining.memory.0, instance.remaining.cpu.0);
        let moved = marks.seat.is_none() || marks.room != room;
        if instance.accepts_tasks() && moved {
            self.by_id.set(id, room);
            if let Some((by_memory, by_cpu)) = marks.seat {
                self.by_memory.update(by_memory, memory, room);
                self.by_cpu.update(by_cpu, cpu, room);
            } else {
                marks.seat = Some((self.by_memory.insert(memory, id, room), self.by_cpu.insert(cpu, id, room)));
                for group in self.groups.values_mut() {
                    group.present.reopen(id);
                }
            }
        }
        marks.room = room;
        self.update_groups(instance, marks, moved);
    }

    /// Whether the marks of a host say what the host says.
    pub(crate) fn verify(&self, instance: &ContainerInstance, marks: &Marks) -> bool {
        let id = instance.id;
        let room = Room::free(&instance.remaining);
        let counts = marks.groups.iter().map(|mark| (&mark.group, &mark.count));
        let seated = match marks.seat {
            None => !instance.accepts_tasks(),
            Some((by_memory, by_cpu)) => {
                instance.accepts_tasks()
                    && self.by_memory.verify(by_memory, instance.remaining.memory.0, id, room)
                    && self.by_cpu.verify(by_cpu, instance.remaining.cpu.0, id, room)
                    && self.by_id.verify(id, room)
            }
        };
        seated
            && counts.eq(&instance.groups)
            && marks.groups.iter().all(|mark| {
                self.group(mark.group).is_some_and(|group| match mark.seat {
                    None => marks.seat.is_none() && !group.present.contains(id),
                    Some(seat) => {
                        group.by_count.verify(seat, u64::from(mark.count), id, room) && group.present.contains(id)
                    }
                })
            })
    }

    /// The sum of all tasks of all groups, and the number of hosts seated and known.
    pub(crate) fn sizes(&self) -> (u64, u32, u32) {
        (self.groups.values().map(|group| group.tasks).sum(), self.by_memory.len(), self.hosts)
    }

    fn unseat(&mut self, id: InstanceId, marks: &mut Marks) {
        let Some((by_memory, by_cpu)) = marks.seat.take() else {
            return;
        };
        self.by_memory.remove(by_memory);
        self.by_cpu.remove(by_cpu);
        self.by_id.remove(id);
        for mark in &mut marks.groups {
            if let (Some(seat), Some(group)) = (mark.seat.take(), self.groups.get_mut(&mark.group)) {
                group.by_count.remove(seat);
                group.present.remove(id);
            }
        }
    }

    /// Walks the groups a host has and had side by side; both are in the groups' order.
    fn update_groups(&mut self, instance: &ContainerInstance, marks: &mut Marks, moved: bool) {
        let seated = marks.seat.is_some();
        let mut had = std::mem::take(&mut marks.groups).into_iter().peekable();
        let mut has = instance.groups.iter().map(|(group, count)| (*group, *count)).peekable();
        let mut now = Vec::with_capacity(instance.groups.len());
        while let Some(group) =
            [had.peek().map(|mark| mark.group), has.peek().map(|(group, _)| *group)].into_iter().flatten().min()
        {
            let before = had.next_if(|mark| mark.group == group);
            let count = has.next_if(|(of, _)| *of == group).map_or(0, |(_, count)| count);
            let was = before.map_or(0, |mark| mark.count);
            let mut seat = before.and_then(|mark| mark.seat);
            if seated && (moved || count != was || seat.is_none()) {
                let entry = self.groups.entry(group).or_default();
                let rank = u64::from(count);
                match seat {
                    Some(handle) if count > 0 => entry.by_count.update(handle, rank, marks.room),
                    Some(handle) => {
                        entry.by_count.remove(handle);
                        entry.present.remove(instance.id);
                    }
                    None if count > 0 => {
                        seat = Some(entry.by_count.insert(rank, instance.id, marks.room));
                        entry.present.insert(instance.id, &self.by_id);
                    }
                    None => {}
                }
            }
            if count != was {
                self.change_tasks(group, u64::from(was), u64::from(count));
            }
            if count > 0 {
                now.push(GroupMark { group, count, seat });
            }
        }
        marks.groups = now;
    }

    fn change_tasks(&mut self, group: TaskGroupId, was: u64, is: u64) {
        let entry = self.groups.entry(group).or_default();
        entry.tasks = entry.tasks + is - was;
        if entry.tasks == 0 {
            self.groups.remove(&group);
        }
    }
}
