//! Why an instance won: who was considered, whom the strategies left, and how a tie was broken (PLACE-1, PLACE-11).
//!
//! [`place`](crate::placement::place) finds the best without looking at every instance; who wants to know why asks
//! [`explain`], which looks at all of them and decides nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::ContainerInstance;
use crate::ecs::ids::InstanceId;
use crate::placement::PlacementRequest;
use crate::placement::failure::{self, Reason};
use crate::placement::select;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};

/// How the last tie was broken (PLACE-7, PLACE-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieBreak {
    /// One instance was left.
    None,
    /// The lowest instance id.
    LowestId,
    /// A draw.
    Drawn,
}

impl TieBreak {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "no tie",
            Self::LowestId => "lowest instance id",
            Self::Drawn => "drawn",
        }
    }
}

/// What one strategy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The strategy, as `spread(instanceId)`.
    pub strategy: String,
    /// The least of its measure: tasks of the group, or what is left of a resource.
    pub best: u64,
    /// Instances that have it.
    pub left: u32,
}

/// How a placement came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Instances looked at: ACTIVE, of the provider asked for (PLACE-2); all of them, or a sample.
    pub considered: u32,
    /// Whether that is a sample; the ranking is then of the best in each pool.
    pub sampled: bool,
    /// How many of them failed on what.
    pub refused: BTreeMap<Reason, u32>,
    /// Each strategy in order.
    pub steps: Vec<Step>,
    /// Instances that would take the task, the best first, with each strategy's measure.
    pub ranking: Vec<(InstanceId, Vec<u64>)>,
    /// How the last tie was broken.
    pub tie: TieBreak,
}

/// Why a request is placed as it is, on the cluster as it was before. Looks at every instance.
pub fn explain(cluster: &Cluster, request: &PlacementRequest<'_>) -> Choice {
    let mut reasons = Reasons::default();
    let mut left: Vec<&ContainerInstance> = Vec::new();
    for instance in cluster.instances() {
        left.extend(reasons.look_at(cluster, request, instance));
    }
    rank(cluster, request, reasons, &left, false)
}

/// Instances that a look at a large cluster takes for a sample of all.
const SAMPLE: u32 = 100;

/// The same of a large cluster, for `winner`: who stands out of the best in each pool, and the reasons of a sample of
/// hosts, evenly spread over those launched so far. Costs O(pools · log hosts), however many hosts there are.
pub fn excerpt(cluster: &Cluster, request: &PlacementRequest<'_>, winner: InstanceId) -> Choice {
    let mut reasons = Reasons::default();
    let newest = cluster.newest().map_or(0, |id| id.0);
    for place in 0..SAMPLE {
        // Exact, and never out of range: the sample is smaller than 2^32.
        let id = InstanceId((u64::from(newest) * u64::from(place) / u64::from(SAMPLE)) as u32);
        if let Some(instance) = cluster.instance(id) {
            reasons.look_at(cluster, request, instance);
        }
    }
    let mut left = select::best_of_pools(cluster, request, PER_POOL);
    left.extend(cluster.instance(winner));
    left.sort_unstable_by_key(|instance| instance.id);
    left.dedup_by_key(|instance| instance.id);
    rank(cluster, request, reasons, &left, true)
}

/// Instances of a pool that an excerpt names at most.
const PER_POOL: usize = 5;

/// Who was looked at, and why some would not do.
#[derive(Default)]
struct Reasons {
    considered: u32,
    refused: BTreeMap<Reason, u32>,
}

impl Reasons {
    /// Counts an instance; returns it when it would take the task.
    fn look_at<'a>(
        &mut self,
        cluster: &Cluster,
        request: &PlacementRequest<'_>,
        instance: &'a ContainerInstance,
    ) -> Option<&'a ContainerInstance> {
        if !request.considers(instance) {
            return None;
        }
        self.considered += 1;
        match failure::refusal_of(cluster, request, instance) {
            Some(reason) => {
                *self.refused.entry(reason).or_insert(0) += 1;
                None
            }
            None => Some(instance),
        }
    }
}

/// Orders those that would take the task, strategy by strategy.
fn rank(
    cluster: &Cluster,
    request: &PlacementRequest<'_>,
    reasons: Reasons,
    left: &[&ContainerInstance],
    sampled: bool,
) -> Choice {
    let Reasons { considered, refused } = reasons;
    let mut ranking: Vec<(InstanceId, Vec<u64>)> = left.iter().map(|instance| (instance.id, Vec::new())).collect();
    let (mut steps, mut drawn) = (Vec::new(), request.random_ties);
    for strategy in request.strategy {
        let Some(measures) = measures(cluster, request, strategy, left) else {
            // PLACE-7: nothing is left to order.
            drawn = true;
            break;
        };
        for ((_, ranks), measure) in ranking.iter_mut().zip(measures) {
            ranks.push(measure);
        }
        let best = ranking.iter().map(|(_, ranks)| ranks).min().cloned().unwrap_or_default();
        steps.push(Step {
            strategy: strategy.to_string(),
            best: best.last().copied().unwrap_or_default(),
            left: ranking.iter().filter(|(_, ranks)| *ranks == best).count() as u32,
        });
    }
    ranking.sort_by(|one, other| match one.1.cmp(&other.1) {
        Ordering::Equal => one.0.cmp(&other.0),
        order => order,
    });
    let tied = ranking.iter().filter(|(_, ranks)| Some(ranks) == ranking.first().map(|(_, best)| best)).count();
    let tie = match tied {
        0 | 1 => TieBreak::None,
        _ if drawn => TieBreak::Drawn,
        _ => TieBreak::LowestId,
    };
    Choice { considered, sampled, refused, steps, ranking, tie }
}

/// What a strategy measures of each instance, the least being best; `None` for a draw.
fn measures(
    cluster: &Cluster,
    request: &PlacementRequest<'_>,
    strategy: &PlacementStrategy,
    instances: &[&ContainerInstance],
) -> Option<Vec<u64>> {
    let of_each = |measure: &dyn Fn(&ContainerInstance) -> u64| instances.iter().map(|one| measure(one)).collect();
    Some(match strategy {
        PlacementStrategy::Random => return None,
        PlacementStrategy::Binpack(BinpackField::Cpu) => of_each(&|instance| instance.remaining.cpu.0),
        PlacementStrategy::Binpack(BinpackField::Memory) => of_each(&|instance| instance.remaining.memory.0),
        PlacementStrategy::Spread(SpreadField::InstanceId) => {
            of_each(&|instance| u64::from(instance.tasks_of(request.group)))
        }
        PlacementStrategy::Spread(SpreadField::Attribute(name)) => {
            let mut tasks: BTreeMap<Option<&str>, u64> = BTreeMap::new();
            for (key, pool) in cluster.pools() {
                let of_pool = pool.tasks_of(request.group);
                *tasks.entry(key.attributes.get(name)).or_default() += of_pool;
            }
            of_each(&|instance| tasks.get(&instance.attributes.get(name)).copied().unwrap_or_default())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::fleet::{BINPACK_MEMORY, Fleet, WEB, needs, request, spread_zones};

    #[test]
    fn place_11_each_strategy_says_whom_it_left() {
        // a1 a2 b1 b2, as in EX-PLACE-3; a2 has no room.
        let mut fleet = Fleet::with_hosts(&[(0, 4096, 4608), (0, 4096, 256), (1, 4096, 8192), (1, 4096, 2048)]);
        let needs = needs(0, 512);
        fleet.bind(InstanceId(0), WEB, &needs);
        let strategy = [spread_zones(), BINPACK_MEMORY];
        let choice = explain(&fleet.cluster, &request(&needs, &strategy));
        assert_eq!(choice.considered, 4);
        assert_eq!(choice.refused, BTreeMap::from([(Reason::Memory, 1)]));
        let steps: Vec<(u64, u32)> = choice.steps.iter().map(|step| (step.best, step.left)).collect();
        assert_eq!(steps, [(0, 2), (2048, 1)], "both of zone b, then the fuller");
        assert_eq!(choice.ranking[0], (InstanceId(3), vec![0, 2048]));
        assert_eq!(choice.tie, TieBreak::None);
        assert_eq!(fleet.place(&request(&needs, &strategy)), Some(3), "which is whom placement takes");
    }

    #[test]
    fn an_excerpt_names_the_winner_first_and_the_reasons_of_a_sample() {
        // Every third host is full; the others have more and more memory.
        let room = |number: u64| if number.is_multiple_of(3) { 100 } else { 1000 + number };
        let hosts: Vec<(u32, u64, u64)> = (0..900).map(|number| (number as u32 % 3, 4096, room(number))).collect();
        let mut fleet = Fleet::with_hosts(&hosts);
        let needs = needs(10, 512);
        for strategy in [[BINPACK_MEMORY], [PlacementStrategy::Spread(SpreadField::InstanceId)]] {
            let request = request(&needs, &strategy);
            let winner = fleet.place(&request).map(InstanceId).unwrap();
            // As it was before: nothing has been bound since on an equal fleet.
            let before = Fleet::with_hosts(&hosts);
            if strategy == [BINPACK_MEMORY] {
                let short = excerpt(&before.cluster, &request, winner);
                assert!(short.sampled && short.considered == SAMPLE, "{}", short.considered);
                assert_eq!(short.ranking[0].0, winner);
                let full = explain(&before.cluster, &request);
                assert_eq!(short.ranking[..5], full.ranking[..5], "of three pools, the five best are the same");
                assert_eq!(short.refused.keys().collect::<Vec<_>>(), full.refused.keys().collect::<Vec<_>>());
            } else {
                let short = excerpt(&before.cluster, &request, winner);
                assert!(short.ranking.len() > 5 && short.ranking.iter().any(|(id, _)| *id == winner));
            }
        }
    }

    #[test]
    fn place_12_a_tie_says_how_it_was_broken() {
        let fleet = Fleet::with_hosts(&[(0, 4096, 4096), (0, 4096, 4096)]);
        let needs = needs(1, 1);
        let strategy = [BINPACK_MEMORY];
        let mut request = request(&needs, &strategy);
        assert_eq!(explain(&fleet.cluster, &request).tie, TieBreak::LowestId);
        request.random_ties = true;
        assert_eq!(explain(&fleet.cluster, &request).tie, TieBreak::Drawn);
        let random = [PlacementStrategy::Random];
        request.random_ties = false;
        request.strategy = &random;
        assert_eq!(explain(&fleet.cluster, &request).tie, TieBreak::Drawn);
    }
}
