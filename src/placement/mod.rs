//! Placement: constraints filter, strategies rank, a refusal says why (PLACE-*, CQL-*).
//!
//! [`constraint`] asks "may it?", [`strategy`] "which is best?", [`failure`] "why not?", [`scale_in`] "which task
//! goes?". All of it reads the cluster and changes nothing: [`Cluster::reserve`] applies what [`place`] decides.

use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::{ContainerInstance, ContainerInstanceStatus};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, ZoneId};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use crate::engine::streams::Stream;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};

pub mod constraint;
pub mod failure;
pub mod query;
pub mod scale_in;
pub mod strategy;

/// One task that looks for a container instance.
#[derive(Clone, Copy, Debug)]
pub struct PlacementRequest<'a> {
    /// What it reserves (TD-8).
    pub requirements: &'a Requirements,
    /// `placementConstraints` of its task definition.
    pub definition_constraints: &'a [Constraint],
    /// `placementConstraints` of its service or `RunTask` call; all constraints must hold (PLACE-14).
    pub constraints: &'a [Constraint],
    /// Strategies in order, defaults filled in by [`PlacementStrategy::of_service`] or
    /// [`PlacementStrategy::of_run_task`]. Empty means: any, by the tie rule.
    pub strategy: &'a [PlacementStrategy],
    /// Its task group.
    pub group: TaskGroupId,
    /// Its capacity provider; `None` for launch type EC2: any instance of the cluster.
    pub provider: Option<ProviderId>,
    /// `runtimePlatform.cpuArchitecture` (TD-25).
    pub architecture: CpuArchitecture,
    /// `runtimePlatform.operatingSystemFamily`.
    pub operating_system: OperatingSystem,
    /// Zones of its subnets; empty means all.
    pub zones: &'a [ZoneId],
    /// `place_tie`: a draw instead of the lowest id ends a tie (PLACE-12).
    pub random_ties: bool,
}

/// What [`place`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The best instance.
    On(InstanceId),
    /// No instance may take it; [`failure::explain`] says why.
    Refused,
}

impl PlacementRequest<'_> {
    /// The constraints of definition and call.
    pub fn all_constraints(&self) -> impl Iterator<Item = &Constraint> {
        self.definition_constraints.iter().chain(self.constraints)
    }

    /// Whether `distinctInstance` is among them.
    pub fn is_distinct(&self) -> bool {
        self.all_constraints().any(|constraint| matches!(constraint, Constraint::DistinctInstance))
    }

    /// Whether the instance is one to look at: ACTIVE, and of the provider asked for (PLACE-2).
    pub fn considers(&self, instance: &ContainerInstance) -> bool {
        instance.status == ContainerInstanceStatus::Active
            && (self.provider.is_none() || instance.provider == self.provider)
    }
}

/// Chooses a container instance for one task (PLACE-1); changes nothing.
///
/// Strategies are filters applied in order, each keeping its best (PLACE-11); a tie that is left goes to the lowest
/// instance id or to a draw (PLACE-12). `chance` is drawn from by `random` and by random ties only.
pub fn place(cluster: &Cluster, request: &PlacementRequest<'_>, chance: &mut Stream) -> Placement {
    let mut best: Vec<&ContainerInstance> = (cluster.instances())
        .filter(|instance| request.considers(instance) && failure::refusal_of(cluster, request, instance).is_none())
        .collect();
    for strategy in request.strategy {
        match strategy {
            PlacementStrategy::Random => return draw(&best, chance),
            PlacementStrategy::Binpack(field) => keep_least(&mut best, |instance| match field {
                BinpackField::Cpu => instance.remaining.cpu.0,
                BinpackField::Memory => instance.remaining.memory.0,
            }),
            PlacementStrategy::Spread(SpreadField::InstanceId) => {
                keep_least(&mut best, |instance| u64::from(instance.tasks_of(request.group)));
            }
            PlacementStrategy::Spread(SpreadField::Attribute(name)) => keep_least(&mut best, |instance| {
                let value = instance.attributes.get(name);
                (cluster.instances())
                    .filter(|other| other.attributes.get(name) == value)
                    .map(|other| u64::from(other.tasks_of(request.group)))
                    .sum()
            }),
        }
    }
    if request.random_ties {
        return draw(&best, chance);
    }
    best.first().map_or(Placement::Refused, |instance| Placement::On(instance.id))
}

fn draw(from: &[&ContainerInstance], chance: &mut Stream) -> Placement {
    chance.choose(from).map_or(Placement::Refused, |instance| Placement::On(instance.id))
}

fn keep_least(best: &mut Vec<&ContainerInstance>, measure: impl Fn(&ContainerInstance) -> u64) {
    let measured: Vec<u64> = best.iter().map(|instance| measure(instance)).collect();
    let least = measured.iter().min().copied();
    let mut measures = measured.into_iter();
    best.retain(|_| measures.next() == least);
}
