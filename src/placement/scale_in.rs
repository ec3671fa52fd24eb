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

/// The order before placement rules, each a filter as a strategy is (PLACE-22): not on a DRAINING instance, placed,
/// RUNNING, healthy; false goes first.
type Class = [bool; 4];

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
        let placed = candidate.instance.is_some() || candidate.zone.is_some();
        let class = [!candidate.draining, placed, candidate.running, candidate.healthy];
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placement::fleet::{
        BINPACK_CPU, BINPACK_MEMORY, Fleet, SPREAD_HOSTS, WEB, needs, spread_over, spread_zones,
    };

    /// A task of each size on each host named, oldest first; candidates as the service sees them.
    fn candidates<'a>(fleet: &mut Fleet, hosts: &[u32], needs: &'a Requirements) -> Vec<StopCandidate<'a>> {
        (0..)
            .zip(hosts)
            .map(|(created, host)| {
                let instance = InstanceId(*host);
                StopCandidate {
                    task: fleet.bind(instance, WEB, needs),
                    created,
                    instance: Some(instance),
                    zone: fleet.cluster.instance(instance).map(|instance| instance.zone),
                    requirements: needs,
                    stoppable: true,
                    draining: false,
                    running: true,
                    healthy: true,
                }
            })
            .collect()
    }

    /// Stops `count` tasks; their places among the candidates.
    fn stopped(
        fleet: &mut Fleet,
        strategy: &[PlacementStrategy],
        candidates: &[StopCandidate<'_>],
        count: usize,
    ) -> Vec<usize> {
        let chosen = choose_stop(&fleet.cluster, strategy, candidates, count, &mut fleet.chance);
        let place = |task: &TaskKey| candidates.iter().position(|candidate| candidate.task == *task);
        chosen.iter().map(|task| place(task).expect("one of the candidates")).collect()
    }

    #[test]
    fn ex_place_7_the_zone_with_most_loses_first() {
        // a1 b1 c1 a2 b2 c2 a3
        let hosts: Vec<_> = [0, 1, 2, 0, 1, 2, 0].map(|zone| (zone, 2048, 7680)).to_vec();
        let mut fleet = Fleet::with_hosts(&hosts);
        let needs = needs(100, 100);
        let tasks = candidates(&mut fleet, &[0, 1, 2, 3, 4, 5, 6], &needs);
        assert_eq!(stopped(&mut fleet, &[], &tasks, 2), [0, 1]);
    }

    #[test]
    fn place_20_then_the_instance_with_most() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680), (0, 2048, 7680), (1, 2048, 7680)]);
        let needs = needs(100, 100);
        let tasks = candidates(&mut fleet, &[0, 1, 1, 2, 2], &needs);
        assert_eq!(stopped(&mut fleet, &[], &tasks, 9), [1, 3, 0, 2, 4]);
    }

    #[test]
    fn ex_place_11_binpack_empties_the_host_with_most_left() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 1500), (0, 2048, 3500)]);
        let needs = needs(100, 500);
        let tasks = candidates(&mut fleet, &[0, 1], &needs);
        assert_eq!(stopped(&mut fleet, &[BINPACK_MEMORY], &tasks, 1), [1]);
    }

    #[test]
    fn place_21_what_was_chosen_before_counts_as_left() {
        // 1000 free on each; the second host holds two tasks, so it ends with more and more.
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 1500), (0, 2048, 2000)]);
        let needs = needs(100, 500);
        let tasks = candidates(&mut fleet, &[0, 1, 1], &needs);
        assert_eq!(stopped(&mut fleet, &[BINPACK_MEMORY], &tasks, 3), [0, 1, 2]);
        assert_eq!(stopped(&mut fleet, &[SPREAD_HOSTS], &tasks, 3), [1, 0, 2]);
    }

    #[test]
    fn place_22_draining_then_unplaced_then_pending_then_unhealthy() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        let needs = needs(100, 100);
        let mut tasks = candidates(&mut fleet, &[0; 6], &needs);
        tasks[1].healthy = false;
        tasks[2].running = false;
        (tasks[3].running, tasks[3].instance, tasks[3].zone) = (false, None, None);
        tasks[4].draining = true;
        tasks[5].draining = true;
        tasks[5].stoppable = false;
        assert_eq!(stopped(&mut fleet, &[], &tasks, 9), [4, 3, 2, 1, 0], "a protected task stays");
    }

    #[test]
    fn place_20_fargate_tasks_have_zones() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        let needs = needs(100, 100);
        let mut tasks = candidates(&mut fleet, &[0; 4], &needs);
        for (task, zone) in tasks.iter_mut().zip([0, 1, 1, 0]) {
            (task.instance, task.zone) = (None, Some(ZoneId(zone)));
        }
        tasks[0].stoppable = false;
        assert_eq!(stopped(&mut fleet, &[], &tasks, 9), [1, 3, 2]);
    }

    #[test]
    fn place_21_random_draws_each_alike() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        let needs = needs(10, 10);
        let tasks = candidates(&mut fleet, &[0; 4], &needs);
        let mut counts = [0u32; 4];
        for _ in 0..4000 {
            for place in stopped(&mut fleet, &[PlacementStrategy::Random], &tasks, 2) {
                counts[place] += 1;
            }
        }
        // Binomial: mean 2000, deviation 32.
        assert!(counts.iter().all(|count| count.abs_diff(2000) < 200), "{counts:?}");
    }

    /// PLACE-22 and 23 word for word: filter all that are left, strategy by strategy, for each choice anew.
    fn as_written(fleet: &Fleet, strategies: &[PlacementStrategy], tasks: &[StopCandidate<'_>]) -> Vec<usize> {
        let host = |place: usize| tasks[place].instance.and_then(|id| fleet.cluster.instance(id));
        let mut gone: Vec<usize> = Vec::new();
        loop {
            let here: Vec<usize> = (0..tasks.len()).filter(|place| !gone.contains(place)).collect();
            let mut best: Vec<usize> = here.iter().copied().filter(|place| tasks[*place].stoppable).collect();
            let class = |place: usize| {
                let task = &tasks[place];
                [!task.draining, task.instance.is_some(), task.running, task.healthy]
            };
            let first = best.iter().map(|place| class(*place)).min();
            best.retain(|place| Some(class(*place)) == first);
            for strategy in PlacementStrategy::of_service(strategies) {
                let measure = |place: usize| match strategy {
                    PlacementStrategy::Random => 0,
                    PlacementStrategy::Spread(SpreadField::InstanceId) => match tasks[place].instance {
                        None => 1,
                        id => here.iter().filter(|other| tasks[**other].instance == id).count() as u64,
                    },
                    PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                        let value = |place: usize| host(place).and_then(|host| host.attributes.get(name));
                        here.iter().filter(|other| value(**other) == value(place)).count() as u64
                    }
                    PlacementStrategy::Binpack(field) => {
                        let amount = |needs: &Requirements| match field {
                            BinpackField::Cpu => needs.cpu.0,
                            BinpackField::Memory => needs.memory.0,
                        };
                        let left = host(place).map_or(0, |host| match field {
                            BinpackField::Cpu => host.remaining.cpu.0,
                            BinpackField::Memory => host.remaining.memory.0,
                        });
                        let same = |other: &&usize| {
                            tasks[place].instance.is_some() && tasks[**other].instance == tasks[place].instance
                        };
                        let freed: u64 = gone.iter().filter(same).map(|other| amount(tasks[*other].requirements)).sum();
                        left + freed + amount(tasks[place].requirements)
                    }
                };
                let most = best.iter().map(|place| measure(*place)).max();
                best.retain(|place| Some(measure(*place)) == most);
            }
            match best.into_iter().min_by_key(|place| tasks[*place].created) {
                Some(oldest) => gone.push(oldest),
                None => return gone,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn place_23_agrees_with_the_rule_as_written(
            hosts in prop::collection::vec(0..3u32, 1..6),
            tasks in prop::collection::vec((0..6usize, any::<bool>(), prop::array::uniform4(prop::bool::weighted(0.8))), 0..24),
            chain in prop::collection::vec(0..5usize, 0..4),
        ) {
            let hosts: Vec<_> = hosts.iter().map(|zone| (*zone, 8192, 8192 + u64::from(*zone) * 100)).collect();
            let mut fleet = Fleet::with_hosts(&hosts);
            let all = [BINPACK_CPU, BINPACK_MEMORY, SPREAD_HOSTS, spread_zones(), spread_over("ecs.instance-type")];
            let chain: Vec<_> = chain.iter().map(|nth| all[*nth].clone()).collect();
            let sizes = [needs(100, 300), needs(200, 100)];
            let mut candidates = Vec::new();
            for (host, large, [stoppable, placed, running, healthy]) in tasks {
                let host = u32::try_from(host % hosts.len()).unwrap();
                let mut task = self::candidates(&mut fleet, &[host], &sizes[usize::from(large)]).remove(0);
                // Ages in no order.
                task.created = crate::ecs::ids::mix(candidates.len() as u64);
                (task.stoppable, task.running, task.healthy) = (stoppable, running && placed, healthy);
                if !placed {
                    (task.instance, task.zone) = (None, None);
                }
                task.draining = task.instance == Some(InstanceId(1));
                candidates.push(task);
            }
            let expected = as_written(&fleet, &chain, &candidates);
            prop_assert_eq!(stopped(&mut fleet, &chain, &candidates, usize::MAX), expected);
        }
    }
}
