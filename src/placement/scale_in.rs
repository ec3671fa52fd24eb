//! Which tasks of a service stop when it shrinks (PLACE-20…23).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::Attributes;
use crate::ecs::ids::{InstanceId, TaskKey, ZoneId};
use crate::ecs::task_definition::Requirements;
use crate::engine::streams::Stream;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};

/// A task of the service that shrinks, desired status RUNNING.
#[derive(Clone, Copy, Debug)]
pub struct StopCandidate<'a> {
    /// Its key.
    pub task: TaskKey,
    /// Creation order; the smallest is the oldest.
    pub created: u64,
    /// Its instance; `None` on Fargate and before it is placed.
    pub instance: Option<InstanceId>,
    /// Its zone, known once placed.
    pub zone: Option<ZoneId>,
    /// What it reserves.
    pub requirements: &'a Requirements,
    /// False when it is counted but may not be chosen: protected (SVC-13), or of a deployment that does not shrink.
    pub stoppable: bool,
    /// Whether its instance is DRAINING.
    pub draining: bool,
    /// Whether it is RUNNING.
    pub running: bool,
    /// Whether it counts as healthy.
    pub healthy: bool,
}

/// Longest strategy list (PLACE-4).
const MAX_STRATEGIES: usize = 5;

/// What a strategy measures of one task; the largest goes first.
type Measures = [u64; MAX_STRATEGIES];

/// Chooses up to `count` tasks to stop, in order; each choice sees the one before.
///
/// `candidates` are all wanted tasks of the service, those that may not be chosen included: they count too. Order
/// (PLACE-22): tasks on DRAINING instances, tasks not RUNNING (of those, first the ones that have no place yet, which
/// no placement rule can tell apart), unhealthy ones, then the strategies with "most" for "fewest" (PLACE-23), then the
/// oldest. `strategy` is the service's own list; without one, Availability Zones and instances with most tasks lose
/// theirs (PLACE-20). `chance` is drawn from by the strategy `random` only.
pub fn choose_stop(
    cluster: &Cluster,
    strategy: &[PlacementStrategy],
    candidates: &[StopCandidate<'_>],
    count: usize,
    chance: &mut Stream,
) -> Vec<TaskKey> {
    let mut scale_in = ScaleIn::new(cluster, PlacementStrategy::of_service(strategy), candidates, chance);
    (0..count).map_while(|_| scale_in.stop_next()).collect()
}

/// The tasks in parts that strategies over attributes cannot tell apart, each part ordered by everything else.
///
/// A choice then compares one task a part, not all of them.
struct ScaleIn<'a> {
    cluster: &'a Cluster,
    strategies: &'a [PlacementStrategy],
    candidates: &'a [StopCandidate<'a>],
    /// Tasks per value of the attribute, for each strategy; empty where it is no spread over one.
    per_value: Vec<Vec<u64>>,
    /// Which value each candidate has, by strategy.
    values: Vec<[usize; MAX_STRATEGIES]>,
    /// Tasks per instance, and what those chosen before give back there.
    hosts: BTreeMap<InstanceId, Host>,
    /// Rank of each candidate in a random order; empty without the strategy `random`.
    random_rank: Vec<u64>,
    parts: BTreeMap<(Class, [usize; MAX_STRATEGIES]), BTreeSet<Ranked>>,
}

#[derive(Default)]
struct Host {
    tasks: u64,
    freed_cpu: u64,
    freed_memory: u64,
    members: Vec<usize>,
}

/// The order before placement rules (PLACE-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Draining,
    Unplaced,
    NotRunning,
    Unhealthy,
    Sound,
}

/// A candidate in its part: most first, then the oldest.
type Ranked = (Reverse<Measures>, u64, usize);

impl<'a> ScaleIn<'a> {
    fn new(
        cluster: &'a Cluster,
        strategies: &'a [PlacementStrategy],
        candidates: &'a [StopCandidate<'a>],
        chance: &mut Stream,
    ) -> Self {
        let strategies = &strategies[..strategies.len().min(MAX_STRATEGIES)];
        let mut scale_in = Self {
            cluster,
            strategies,
            candidates,
            per_value: vec![Vec::new(); strategies.len()],
            values: vec![[0; MAX_STRATEGIES]; candidates.len()],
            hosts: BTreeMap::new(),
            random_rank: Vec::new(),
            parts: BTreeMap::new(),
        };
        if strategies.contains(&PlacementStrategy::Random) {
            scale_in.random_rank = (0..candidates.len() as u64).collect();
            chance.shuffle(&mut scale_in.random_rank);
        }
        for (place, strategy) in strategies.iter().enumerate() {
            if let PlacementStrategy::Spread(SpreadField::Attribute(name)) = strategy {
                scale_in.sort_into_values(place, name);
            }
        }
        for (index, candidate) in candidates.iter().enumerate() {
            if let Some(instance) = candidate.instance {
                let host = scale_in.hosts.entry(instance).or_default();
                host.tasks += 1;
                if candidate.stoppable {
                    host.members.push(index);
                }
            }
        }
        for (index, candidate) in candidates.iter().enumerate() {
            if candidate.stoppable {
                let ranked = scale_in.ranked(index);
                scale_in.parts.entry(scale_in.part_of(index)).or_default().insert(ranked);
            }
        }
        scale_in
    }

    /// Numbers the values of an attribute and counts the tasks of each; a missing value is one of its own (PLACE-10).
    fn sort_into_values(&mut self, place: usize, name: &str) {
        let mut numbers = BTreeMap::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            let instance = candidate.instance.and_then(|id| self.cluster.instance(id));
            let value = match (instance, candidate.zone) {
                (Some(instance), _) => Ok(instance.attributes.get(name)),
                // Fargate has no attributes, but zones.
                (None, Some(zone)) if name == Attributes::AVAILABILITY_ZONE => Err(zone),
                (None, _) => Ok(None),
            };
            let next = numbers.len();
            let number = *numbers.entry(value).or_insert(next);
            if number == next {
                self.per_value[place].push(0);
            }
            self.per_value[place][number] += 1;
            self.values[index][place] = number;
        }
    }

    fn part_of(&self, index: usize) -> (Class, [usize; MAX_STRATEGIES]) {
        let candidate = &self.candidates[index];
        let class = if candidate.draining {
            Class::Draining
        } else if candidate.instance.is_none() && candidate.zone.is_none() {
            Class::Unplaced
        } else if !candidate.running {
            Class::NotRunning
        } else if !candidate.healthy {
            Class::Unhealthy
        } else {
            Class::Sound
        };
        (class, self.values[index])
    }

    /// The candidate with all measures but those that its whole part shares.
    fn ranked(&self, index: usize) -> Ranked {
        let candidate = &self.candidates[index];
        let host = candidate.instance.and_then(|id| self.hosts.get(&id));
        let remaining = candidate.instance.and_then(|id| self.cluster.instance(id)).map(|instance| instance.remaining);
        let mut measures = Measures::default();
        for (measure, strategy) in measures.iter_mut().zip(self.strategies) {
            *measure = match strategy {
                PlacementStrategy::Random => self.random_rank[index],
                PlacementStrategy::Spread(SpreadField::Attribute(_)) => 0,
                PlacementStrategy::Spread(SpreadField::InstanceId) => host.map_or(1, |host| host.tasks),
                // PLACE-21: what the instance has left once the task is gone.
                PlacementStrategy::Binpack(BinpackField::Cpu) => {
                    remaining.map_or(0, |left| left.cpu.0)
                        + host.map_or(0, |host| host.freed_cpu)
                        + candidate.requirements.cpu.0
                }
                PlacementStrategy::Binpack(BinpackField::Memory) => {
                    remaining.map_or(0, |left| left.memory.0)
                        + host.map_or(0, |host| host.freed_memory)
                        + candidate.requirements.memory.0
                }
            };
        }
        (Reverse(measures), candidate.created, index)
    }

    /// The next task to stop; counts as if it had stopped.
    fn stop_next(&mut self) -> Option<TaskKey> {
        let class = self.parts.first_key_value()?.0.0;
        let (_, created_index) = (self.parts.iter())
            .take_while(|((of_part, _), _)| *of_part == class)
            .filter_map(|((_, values), part)| {
                let (Reverse(mut measures), created, index) = *part.first()?;
                for (place, counts) in self.per_value.iter().enumerate() {
                    if !counts.is_empty() {
                        measures[place] = counts[values[place]];
                    }
                }
                Some((Reverse(measures), (created, index)))
            })
            .min()?;
        let index = created_index.1;
        self.take_out(index);
        for (place, counts) in self.per_value.iter_mut().enumerate() {
            if let Some(count) = counts.get_mut(self.values[index][place]) {
                *count -= 1;
            }
        }
        let candidate = &self.candidates[index];
        if let Some(id) = candidate.instance {
            self.leave_host(id, index);
        }
        Some(candidate.task)
    }

    /// A chosen task gives its share of the host back, which moves the others there.
    fn leave_host(&mut self, id: InstanceId, index: usize) {
        let mut others = self.hosts.get_mut(&id).map(|host| std::mem::take(&mut host.members)).unwrap_or_default();
        others.retain(|other| *other != index);
        for other in &others {
            self.take_out(*other);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.tasks -= 1;
            host.freed_cpu += self.candidates[index].requirements.cpu.0;
            host.freed_memory += self.candidates[index].requirements.memory.0;
        }
        for other in &others {
            let ranked = self.ranked(*other);
            self.parts.entry(self.part_of(*other)).or_default().insert(ranked);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.members = others;
        }
    }

    fn take_out(&mut self, index: usize) {
        let (part, ranked) = (self.part_of(index), self.ranked(index));
        if let Some(members) = self.parts.get_mut(&part) {
            members.remove(&ranked);
            if members.is_empty() {
                self.parts.remove(&part);
            }
        }
    }
}
