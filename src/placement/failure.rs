//! Why no container instance took a task (TASK-15, PLACE-18).
//!
//! Most failed attempts are repeated without anybody asking why, so [`place`](crate::placement::place) only says that
//! nothing fits. Who wants the reasons asks [`explain`], which looks at every instance.

use std::collections::BTreeMap;
use std::fmt;

use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::ContainerInstance;
use crate::ecs::ids::InstanceId;
use crate::placement::PlacementRequest;
use crate::placement::constraint::Constraint;

/// Why one instance refused a task: its first failing test, in the order of the tests (TASK-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its agent is disconnected.
    Agent,
    /// Its Availability Zone does not suit the task's subnets.
    Location,
    /// It lacks an attribute the task requires: its platform (TD-25), or something its agent cannot do (TD-28).
    Attribute,
    /// Not enough CPU units.
    Cpu,
    /// Not enough memory.
    Memory,
    /// Not enough GPUs.
    Gpu,
    /// No free network interface (NET-1).
    Eni,
    /// A static host port is taken, or the host has no more ports to reserve (EC2-7, NET-6).
    Ports,
    /// A `memberOf` constraint does not hold.
    MemberOf,
    /// `distinctInstance`: it has a task of the group already.
    DistinctInstance,
}

impl Reason {
    /// All of them, in the order of the tests.
    pub const ALL: [Self; 10] = [
        Self::Agent,
        Self::Location,
        Self::Attribute,
        Self::Cpu,
        Self::Memory,
        Self::Gpu,
        Self::Eni,
        Self::Ports,
        Self::MemberOf,
        Self::DistinctInstance,
    ];

    /// As `failures[].reason` spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "AGENT",
            Self::Location => "LOCATION",
            Self::Attribute => "ATTRIBUTE",
            Self::Cpu => "RESOURCE:CPU",
            Self::Memory => "RESOURCE:MEMORY",
            Self::Gpu => "RESOURCE:GPU",
            Self::Eni => "RESOURCE:ENI",
            Self::Ports => "RESOURCE:PORTS",
            Self::MemberOf => "MemberOf placement constraint unsatisfied.",
            Self::DistinctInstance => "DistinctInstance placement constraint unsatisfied.",
        }
    }

    /// Whether `instance` fails this test.
    pub fn applies(self, cluster: &Cluster, request: &PlacementRequest<'_>, instance: &ContainerInstance) -> bool {
        let needs = request.requirements;
        match self {
            Self::Agent => !instance.agent_connected,
            Self::Location => !request.zones.is_empty() && !request.zones.contains(&instance.zone),
            Self::Attribute => {
                instance.architecture != request.architecture
                    || instance.operating_system != request.operating_system
                    || !instance.capabilities.cover(request.capabilities)
            }
            Self::Cpu => instance.remaining.cpu < needs.cpu,
            Self::Memory => instance.remaining.memory < needs.memory,
            Self::Gpu => !instance.gpus_fit(needs),
            Self::Eni => instance.remaining.eni_slots < u32::from(needs.eni),
            Self::Ports => !instance.ports_fit(needs),
            Self::MemberOf => request.all_constraints().any(|constraint| match constraint {
                Constraint::MemberOf(query) => !query.matches(instance, cluster),
                Constraint::DistinctInstance => false,
            }),
            Self::DistinctInstance => request.is_distinct() && instance.tasks_of(request.group) > 0,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task that no instance took, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// Every instance considered (ACTIVE, of the provider asked for) and its first failing test, by instance id.
    pub reasons: Vec<(InstanceId, Reason)>,
    /// The instance that failed the fewest tests, then the lowest id (PLACE-18).
    pub closest: Option<(InstanceId, Reason)>,
}

impl Refusal {
    /// How many instances gave each reason, in the order of the tests.
    pub fn counts(&self) -> BTreeMap<Reason, u32> {
        let mut counts = BTreeMap::new();
        for (_, reason) in &self.reasons {
            *counts.entry(*reason).or_insert(0) += 1;
        }
        counts
    }

    /// What a service's event says after `(service NAME)` (PLACE-18).
    pub fn service_message(&self) -> String {
        const NOTHING_FITS: &str =
            "was unable to place a task because no container instance met all of its requirements.";
        let Some((instance, reason)) = self.closest else {
            return format!("{NOTHING_FITS} Reason: No Container Instances were found in your cluster.");
        };
        let cause = match reason {
            Reason::Cpu => "has insufficient CPU units available".to_owned(),
            Reason::Memory => "has insufficient memory available".to_owned(),
            Reason::Ports => "is already using a port required by your task".to_owned(),
            other => format!("encountered error \"{other}\""),
        };
        format!("{NOTHING_FITS} The closest matching container-instance {} {cause}.", instance.ec2_id())
    }
}

/// Why a request finds no place, instance by instance; instances that would take the task are left out.
///
/// Looks at all instances of the cluster: ask only when somebody reads the answer.
pub fn explain(cluster: &Cluster, request: &PlacementRequest<'_>) -> Refusal {
    let mut refusal = Refusal::default();
    let mut fewest = usize::MAX;
    for instance in cluster.instances().filter(|instance| request.considers(instance)) {
        let mut failed = Reason::ALL.into_iter().filter(|reason| reason.applies(cluster, request, instance));
        let Some(first) = failed.next() else {
            continue;
        };
        refusal.reasons.push((instance.id, first));
        let number = 1 + failed.count();
        if number < fewest {
            fewest = number;
            refusal.closest = Some((instance.id, first));
        }
    }
    refusal
}

/// Why one instance refuses the request, or `None` when it would take the task: for `StartTask` and DAEMON services.
///
/// Status and provider are the caller's business (PLACE-2).
pub fn refusal_of(cluster: &Cluster, request: &PlacementRequest<'_>, instance: &ContainerInstance) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.applies(cluster, request, instance))
}
