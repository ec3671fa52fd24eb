//! The search behind [`place`](crate::placement::place): narrow down pools, then find the best host in each.
//!
//! Constraints and strategies over attributes keep or drop whole pools. The first strategy over instances picks the
//! order in which each pool is searched, and the first host with room in that order is the pool's best. Ties keep all
//! hosts of one rank, which stays a range of that order for whatever comes next.

use std::collections::BTreeMap;

use crate::ecs::cluster::Cluster;
use crate::ecs::cluster::by_count::{ALL_COUNTS, Level};
use crate::ecs::cluster::by_id::ById;
use crate::ecs::cluster::pool::{Pool, PoolKey};
use crate::ecs::cluster::ranking::Ranking;
use crate::ecs::cluster::room::Room;
use crate::ecs::container_instance::{Attributes, ContainerInstance};
use crate::ecs::ids::{InstanceId, ZoneId};
use crate::ecs::task_definition::OperatingSystem;
use crate::engine::streams::Stream;
use crate::placement::PlacementRequest;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};

/// Draws among hosts that may lack room, before those that have it are listed.
///
/// A miss costs about as much as listing one host, so this bounds the loss on both sides.
const DRAWS: u32 = 64;

/// Every rank there is.
const ALL_RANKS: (u64, u64) = (0, u64::MAX);

/// What the instances that are left have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tied {
    /// Nothing: no strategy over instances so far.
    Open,
    /// As many tasks of the group.
    Count(u32),
    /// As much memory left.
    Memory(u64),
    /// As much CPU left.
    Cpu(u64),
}

struct Search<'a> {
    cluster: &'a Cluster,
    request: &'a PlacementRequest<'a>,
    needs: Room,
    distinct: bool,
    /// Whether [`Room`] and the pool decide alone, or each host has to be asked.
    ask_host: bool,
    /// The pools that are left: the one vector of a search, which allocates nothing else unless it spreads over an
    /// attribute or draws.
    pools: Vec<Candidate<'a>>,
    tied: Tied,
}

/// A pool that may take the task.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    key: &'a PoolKey,
    pool: &'a Pool,
    /// By the strategy that is being applied: the least is best.
    measure: Option<u64>,
    /// The host with the lowest id among those still tied, where the last strategy has found it.
    first: Option<InstanceId>,
}

/// Hosts of a pool side by side in one of its orders.
enum Range<'a> {
    /// Those with a rank from the one to the other.
    Ranks(&'a Ranking, (u64, u64)),
    /// Those with a number of tasks of the group; the order by id knows their rooms.
    Level(&'a Level, &'a ById),
}

impl Range<'_> {
    /// How many stand before them in the order, and how many they are.
    fn extent(&self) -> (u32, u32) {
        match self {
            Self::Ranks(ranking, (low, high)) => {
                let before = ranking.count_below(*low);
                (before, high.checked_add(1).map_or(ranking.len(), |end| ranking.count_below(end)) - before)
            }
            Self::Level(level, _) => (0, level.len()),
        }
    }

    /// The host with `before` others before it in the order, and its room.
    fn nth(&self, before: u32) -> Option<(InstanceId, Room)> {
        match self {
            Self::Ranks(ranking, _) => ranking.nth(before),
            Self::Level(level, rooms) => level.nth(before).and_then(|id| Some((id, rooms.room(id)?))),
        }
    }

    /// Hands every one that has room to `visit`.
    fn for_each_fit(&self, needs: Room, visit: &mut impl FnMut(InstanceId)) {
        match self {
            Self::Ranks(ranking, ranks) => ranking.for_each_fit(*ranks, needs, visit),
            Self::Level(level, rooms) => {
                level.first_fit(needs, rooms, &mut |id| {
                    visit(id);
                    false
                });
            }
        }
    }
}

/// The best instance for a request.
pub(super) fn select(cluster: &Cluster, request: &PlacementRequest<'_>, chance: &mut Stream) -> Option<InstanceId> {
    let mut search = Search::new(cluster, request);
    for (place, strategy) in request.strategy.iter().enumerate() {
        match strategy {
            // PLACE-7: nothing is left to order.
            PlacementStrategy::Random => return search.draw(chance),
            PlacementStrategy::Spread(SpreadField::Attribute(name)) => search.spread_over(name),
            PlacementStrategy::Spread(SpreadField::InstanceId) if search.tied == Tied::Open => search.keep_fewest(),
            PlacementStrategy::Binpack(field) if search.tied == Tied::Open => search.keep_fullest(*field),
            // Among hosts that are tied in this very measure it changes nothing.
            PlacementStrategy::Spread(SpreadField::InstanceId) if matches!(search.tied, Tied::Count(_)) => {}
            PlacementStrategy::Binpack(BinpackField::Cpu) if matches!(search.tied, Tied::Cpu(_)) => {}
            PlacementStrategy::Binpack(BinpackField::Memory) if matches!(search.tied, Tied::Memory(_)) => {}
            _ => return search.compare_all(&request.strategy[place..], chance),
        }
        if search.pools.is_empty() {
            return None;
        }
    }
    if request.random_ties {
        return search.draw(chance);
    }
    search.pools.iter().filter_map(|left| left.first.or_else(|| search.lowest_id(left.pool))).min()
}

/// Up to `most` instances of each pool that would take a request, those first that its first strategy over instances
/// prefers: what [`choice`](crate::placement::choice) shows of a large cluster.
pub(super) fn best_of_pools<'a>(
    cluster: &'a Cluster,
    request: &'a PlacementRequest<'a>,
    most: usize,
) -> Vec<&'a ContainerInstance> {
    let search = Search::new(cluster, request);
    let over_instances = request.strategy.iter().find(|strategy| match strategy {
        PlacementStrategy::Binpack(_) | PlacementStrategy::Spread(SpreadField::InstanceId) => true,
        PlacementStrategy::Random | PlacementStrategy::Spread(SpreadField::Attribute(_)) => false,
    });
    let mut best = Vec::new();
    for Candidate { pool, .. } in &search.pools {
        let mut found: Vec<InstanceId> = Vec::with_capacity(most);
        let mut gather = |id: InstanceId| {
            if search.takes(id) && !found.contains(&id) {
                found.push(id);
            }
            found.len() >= most
        };
        match over_instances {
            Some(PlacementStrategy::Binpack(BinpackField::Cpu)) => {
                pool.by_cpu(cluster).first_fit(ALL_RANKS, search.needs, &mut gather);
            }
            Some(PlacementStrategy::Binpack(BinpackField::Memory)) => {
                pool.by_memory(cluster).first_fit(ALL_RANKS, search.needs, &mut gather);
            }
            _ => {
                let seats = pool.seats_of(request.group, cluster);
                let without = seats.map(|seats| &seats.present);
                if pool.by_id(cluster).first_fit(without, search.needs, &mut gather).is_none()
                    && let Some(seats) = seats
                {
                    seats.by_count.first_fit(ALL_COUNTS, search.needs, pool.by_id(cluster), &mut gather);
                }
            }
        }
        best.extend(found.into_iter().filter_map(|id| cluster.instance(id)));
    }
    best
}

impl<'a> Search<'a> {
    /// The pools that may take the task: all that can be said without looking at a host.
    fn new(cluster: &'a Cluster, request: &'a PlacementRequest<'a>) -> Self {
        let needs = Room::needed(request.requirements);
        let windows = request.operating_system == OperatingSystem::Windows;
        let suits = |(key, pool): &(PoolKey, Pool)| {
            pool.may_cover(needs)
                && (request.provider.is_none() || key.provider == request.provider)
                && (request.zones.is_empty() || request.zones.contains(&key.zone))
                && (key.architecture, key.windows) == (request.architecture, windows)
                && key.capabilities.cover(request.capabilities)
                && request.all_constraints().all(|constraint| match constraint {
                    Constraint::MemberOf(query) => query.matches_attributes(&key.attributes),
                    Constraint::DistinctInstance => true,
                })
        };
        let beyond_attributes = |constraint: &Constraint| match constraint {
            Constraint::MemberOf(query) => !query.looks_at_attributes_only(),
            Constraint::DistinctInstance => false,
        };
        let distinct = request.is_distinct();
        let ports = !request.requirements.tcp_ports.is_empty() || !request.requirements.udp_ports.is_empty();
        Self {
            cluster,
            request,
            needs,
            distinct,
            ask_host: !needs.is_exact()
                || ports
                || request.requirements.all_gpus
                || request.all_constraints().any(beyond_attributes),
            pools: {
                let mut pools = Vec::with_capacity(cluster.number_of_pools());
                let suitable = cluster.pools().filter(|pool| suits(pool));
                pools.extend(suitable.map(|(key, pool)| Candidate { key, pool, measure: None, first: None }));
                pools
            },
            tied: Tied::Open,
        }
    }

    /// PLACE-9 and 10: the pools whose value of the attribute has the fewest tasks, and at least one candidate.
    fn spread_over(&mut self, name: &str) {
        // A handful, however many pools there are.
        let mut values: Vec<(Value<'_>, u64)> = Vec::new();
        for (key, pool) in self.cluster.pools() {
            let here = pool.tasks_of(self.request.group);
            if here > 0 {
                let value = value_of(key, name);
                match values.iter_mut().find(|(other, _)| *other == value) {
                    Some((_, tasks)) => *tasks += here,
                    None => values.push((value, here)),
                }
            }
        }
        for left in &mut self.pools {
            let value = value_of(left.key, name);
            left.measure = Some(values.iter().find(|(other, _)| *other == value).map_or(0, |(_, tasks)| *tasks));
        }
        // Those with the fewest tasks that have a candidate; mostly the first look finds one.
        let mut least = self.pools.iter().filter_map(|left| left.measure).min();
        while let Some(fewest) = least {
            let mut any = false;
            for place in 0..self.pools.len() {
                let left = self.pools[place];
                let first = if left.measure == least { self.lowest_id(left.pool) } else { None };
                self.pools[place].first = first;
                any |= first.is_some();
            }
            if any {
                break;
            }
            least = self.pools.iter().filter_map(|left| left.measure.filter(|tasks| *tasks > fewest)).min();
        }
        self.pools.retain(|left| left.first.is_some());
    }

    /// PLACE-9 over instances: those with the fewest tasks of the group.
    fn keep_fewest(&mut self) {
        let least = self.keep_least(|search, pool| {
            let without = search.first_without(pool).map(|id| (0, id));
            without.or_else(|| search.first_with(pool, ALL_COUNTS))
        });
        self.tied = Tied::Count(u32::try_from(least).expect("tasks of a host are counted in 32 bits"));
    }

    /// PLACE-8: the instances left with the least that still fit.
    fn keep_fullest(&mut self, field: BinpackField) {
        self.tied = match field {
            BinpackField::Cpu => Tied::Cpu(self.keep_least(|search, pool| {
                let ranks = (search.request.requirements.cpu.0, u64::MAX);
                search.first_in(pool.by_cpu(search.cluster), ranks)
            })),
            BinpackField::Memory => Tied::Memory(self.keep_least(|search, pool| {
                let ranks = (search.request.requirements.memory.0, u64::MAX);
                search.first_in(pool.by_memory(search.cluster), ranks)
            })),
        };
    }

    /// Keeps the pools whose best measure is the least of all, and returns it; none when no pool has a candidate.
    ///
    /// `best` names the host too, the lowest id of those that are as good.
    fn keep_least(&mut self, best: impl Fn(&Self, &'a Pool) -> Option<(u64, InstanceId)>) -> u64 {
        for place in 0..self.pools.len() {
            let found = best(self, self.pools[place].pool);
            let left = &mut self.pools[place];
            (left.measure, left.first) = found.unzip();
        }
        let least = self.pools.iter().filter_map(|left| left.measure).min();
        self.pools.retain(|left| left.measure.is_some() && left.measure == least);
        least.unwrap_or_default()
    }

    /// The candidate of a pool with the lowest id, among those still tied.
    fn lowest_id(&self, pool: &'a Pool) -> Option<InstanceId> {
        let found = match self.tied {
            Tied::Open if self.distinct => return self.first_without(pool),
            Tied::Open => return pool.by_id(self.cluster).first_fit(None, self.needs, &mut |id| self.takes(id)),
            Tied::Count(0) => return self.first_without(pool),
            Tied::Count(count) => self.first_with(pool, (count, count)),
            Tied::Memory(left) => self.first_in(pool.by_memory(self.cluster), (left, left)),
            Tied::Cpu(left) => self.first_in(pool.by_cpu(self.cluster), (left, left)),
        };
        found.map(|(_, id)| id)
    }

    /// The candidate of a pool with the lowest id that has no task of the group.
    fn first_without(&self, pool: &'a Pool) -> Option<InstanceId> {
        let present = pool.seats_of(self.request.group, self.cluster).map(|seats| &seats.present);
        pool.by_id(self.cluster).first_fit(present, self.needs, &mut |id| self.takes(id))
    }

    /// The candidate of a pool with the fewest tasks of the group, of those that have some.
    fn first_with(&self, pool: &'a Pool, counts: (u32, u32)) -> Option<(u64, InstanceId)> {
        if self.distinct {
            return None;
        }
        let by_count = &pool.seats_of(self.request.group, self.cluster)?.by_count;
        let (count, id) = by_count.first_fit(counts, self.needs, pool.by_id(self.cluster), &mut |id| self.takes(id))?;
        Some((u64::from(count), id))
    }

    fn first_in(&self, ranking: &Ranking, ranks: (u64, u64)) -> Option<(u64, InstanceId)> {
        ranking.first_fit(ranks, self.needs, &mut |id| self.takes(id))
    }

    /// Whether a host with room takes the task.
    fn takes(&self, id: InstanceId) -> bool {
        if !self.ask_host && !self.distinct {
            return true;
        }
        self.cluster.instance(id).is_some_and(|instance| {
            (!self.distinct || instance.tasks_of(self.request.group) == 0)
                && (!self.ask_host
                    || instance.fits(self.request.requirements)
                        && self.request.all_constraints().all(|constraint| match constraint {
                            Constraint::MemberOf(query) => query.matches_beyond_attributes(instance, self.cluster),
                            Constraint::DistinctInstance => true,
                        }))
        })
    }

    /// What holds all hosts of a pool that are tied, and perhaps others.
    fn range(&self, pool: &'a Pool) -> Option<Range<'a>> {
        match self.tied {
            // Hosts without a task of the group are in no ranking of their own: they are among those with room.
            Tied::Open | Tied::Count(0) => {
                let cpu = self.request.requirements.cpu.0;
                let memory = self.request.requirements.memory.0;
                let (by_memory, by_cpu) = (pool.by_memory(self.cluster), pool.by_cpu(self.cluster));
                let fewer_with_memory = by_memory.count_below(memory) >= by_cpu.count_below(cpu);
                Some(if fewer_with_memory {
                    Range::Ranks(by_memory, (memory, u64::MAX))
                } else {
                    Range::Ranks(by_cpu, (cpu, u64::MAX))
                })
            }
            Tied::Count(count) => {
                let level = pool.seats_of(self.request.group, self.cluster)?.by_count.level(count)?;
                Some(Range::Level(level, pool.by_id(self.cluster)))
            }
            Tied::Memory(left) => Some(Range::Ranks(pool.by_memory(self.cluster), (left, left))),
            Tied::Cpu(left) => Some(Range::Ranks(pool.by_cpu(self.cluster), (left, left))),
        }
    }

    /// Whether a host in a range of [`Search::range`] with room is a candidate.
    fn takes_if_tied(&self, id: InstanceId) -> bool {
        let none_of_group = |instance: &ContainerInstance| instance.tasks_of(self.request.group) == 0;
        (self.tied != Tied::Count(0) || self.cluster.instance(id).is_some_and(none_of_group)) && self.takes(id)
    }

    /// PLACE-7: one of those still tied, each equally likely.
    ///
    /// Draws from ranges that are known to hold all of them until one is a candidate; when they are few among many,
    /// lists them and draws once.
    fn draw(&self, chance: &mut Stream) -> Option<InstanceId> {
        let mut total = 0;
        let mut ranges = Vec::with_capacity(self.pools.len());
        for range in self.pools.iter().filter_map(|left| self.range(left.pool)) {
            let (before, size) = range.extent();
            total += u64::from(size);
            ranges.push((range, before, size));
        }
        if total == 0 {
            return None;
        }
        for _ in 0..DRAWS {
            let mut drawn = u32::try_from(chance.below(total)).expect("a total of at most 2^32 hosts");
            let (range, before, _) = ranges.iter().find(|(_, _, size)| {
                let here = drawn < *size;
                drawn -= if here { 0 } else { *size };
                here
            })?;
            let (id, room) = range.nth(before + drawn)?;
            if room.covers(self.needs) && self.takes_if_tied(id) {
                return Some(id);
            }
        }
        chance.choose(&self.candidates()).map(|instance| instance.id)
    }

    /// All that are still tied, lowest id first.
    fn candidates(&self) -> Vec<&'a ContainerInstance> {
        let mut candidates = Vec::new();
        for range in self.pools.iter().filter_map(|left| self.range(left.pool)) {
            range.for_each_fit(self.needs, &mut |id| {
                candidates.extend(self.cluster.instance(id).filter(|_| self.takes_if_tied(id)));
            });
        }
        candidates.sort_unstable_by_key(|instance| instance.id);
        candidates
    }

    /// The rest of a chain, for instances that one strategy over instances has left tied: looks at each of them.
    fn compare_all(&self, strategies: &[PlacementStrategy], chance: &mut Stream) -> Option<InstanceId> {
        let mut best = self.candidates();
        let group = self.request.group;
        for strategy in strategies {
            match strategy {
                PlacementStrategy::Random => return chance.choose(&best).map(|instance| instance.id),
                PlacementStrategy::Binpack(BinpackField::Cpu) => retain_least(&mut best, |host| host.remaining.cpu.0),
                PlacementStrategy::Binpack(BinpackField::Memory) => {
                    retain_least(&mut best, |host| host.remaining.memory.0);
                }
                PlacementStrategy::Spread(SpreadField::InstanceId) => {
                    retain_least(&mut best, |host| u64::from(host.tasks_of(group)));
                }
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
                    let mut tasks: BTreeMap<Option<&str>, u64> = BTreeMap::new();
                    for (key, pool) in self.cluster.pools() {
                        let of_pool = pool.tasks_of(group);
                        *tasks.entry(key.attributes.get(name)).or_default() += of_pool;
                    }
                    retain_least(&mut best, |host| tasks.get(&host.attributes.get(name)).copied().unwrap_or(0));
                }
            }
        }
        if self.request.random_ties {
            return chance.choose(&best).map(|instance| instance.id);
        }
        best.first().map(|instance| instance.id)
    }
}

/// What a spread strategy compares; the zone's number stands for its name, since text would cost more than all the rest.
type Value<'a> = Result<ZoneId, Option<&'a str>>;

/// The value of an attribute for all hosts of a pool; a missing one is a value too (PLACE-10).
fn value_of<'a>(key: &'a PoolKey, name: &str) -> Value<'a> {
    if name == Attributes::AVAILABILITY_ZONE { Ok(key.zone) } else { Err(key.attributes.get(name)) }
}

fn retain_least(best: &mut Vec<&ContainerInstance>, measure: impl Fn(&ContainerInstance) -> u64) {
    let least = best.iter().map(|instance| measure(instance)).min();
    best.retain(|instance| Some(measure(instance)) == least);
}
