//! Placement: constraints filter, strategies rank, a refusal says why (PLACE-*, CQL-*).
//!
//! [`constraint`] asks "may it?", [`strategy`] "which is best?", [`failure`] "why not?", [`choice`] "why this one?", [`scale_in`] "which task
//! goes?". All of it reads the cluster and changes nothing: [`Cluster::reserve`] applies what [`place`] decides.

use crate::ecs::capability::Capabilities;
use crate::ecs::cluster::Cluster;
use crate::ecs::container_instance::{ContainerInstance, ContainerInstanceStatus};
use crate::ecs::ids::{InstanceId, ProviderId, TaskGroupId, ZoneId};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use crate::engine::streams::Stream;
use crate::placement::constraint::Constraint;
use crate::placement::strategy::PlacementStrategy;

pub mod choice;
pub mod constraint;
pub mod failure;
#[cfg(test)]
pub(crate) mod fleet;
pub mod query;
pub mod scale_in;
pub mod scheduler;
mod select;
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
    /// What its task definition requires (TD-28).
    pub capabilities: Capabilities,
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
///
/// The cost grows with the number of pools (see [`Cluster`]) and with the logarithm of their hosts. It grows with
/// hosts where nothing but a look at each can decide: a second strategy over instances looks at those that the first
/// left tied, a query about more than attributes at those it refuses, and so do static ports and `distinctInstance`
/// under binpack. It grows with them, 64 at a look, where CPU is free on some hosts and memory on others, so that bounds
/// over many of them, the most of each, promise room that no single one has.
pub fn place(cluster: &Cluster, request: &PlacementRequest<'_>, chance: &mut Stream) -> Placement {
    select::select(cluster, request, chance).map_or(Placement::Refused, Placement::On)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::failure::Reason;
    use super::fleet::{
        BINPACK_CPU, BINPACK_MEMORY, Fleet, SPREAD_HOSTS, WEB, needs, request, spread_over, spread_zones,
    };
    use super::query::Query;
    use super::strategy::{BinpackField, SpreadField};
    use super::*;
    use crate::ecs::ids::TaskKey;
    use crate::engine::streams::Streams;
    use crate::units::{CpuUnits, MiB};

    /// Places `count` tasks and expects these hosts, `-` for none.
    fn check(fleet: &mut Fleet, request: &PlacementRequest<'_>, expected: &str) {
        let count = expected.split(' ').count();
        let placed = fleet.place_all(request, count).into_iter();
        let text: Vec<String> = placed.map(|host| host.map_or("-".to_owned(), |host| host.to_string())).collect();
        assert_eq!(text.join(" "), expected);
    }

    /// The reason that every instance gives.
    fn reason(fleet: &Fleet, request: &PlacementRequest<'_>) -> Vec<Reason> {
        failure::explain(&fleet.cluster, request).reasons.into_iter().map(|(_, reason)| reason).collect()
    }

    fn query(text: &str) -> Constraint {
        Constraint::MemberOf(Arc::new(Query::parse(text).unwrap()))
    }

    #[test]
    fn ex_place_1_binpack_fills_one_host_after_the_other() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680); 3]);
        let (needs, strategy) = (needs(512, 2048), [BINPACK_MEMORY]);
        let request = request(&needs, &strategy);
        check(&mut fleet, &request, "0 0 0 1 1 1 2 2 2 -");
        assert_eq!(reason(&fleet, &request), [Reason::Memory; 3]);
    }

    #[test]
    fn ex_place_2_spread_goes_round() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680); 3]);
        check(&mut fleet, &request(&needs(512, 2048), &[SPREAD_HOSTS]), "0 1 2 0 1 2");
    }

    #[test]
    fn ex_place_3_zones_first_then_the_fullest() {
        // a1 a2 b1 b2; a1 has a task of the service.
        let mut fleet = Fleet::with_hosts(&[(0, 4096, 4608), (0, 4096, 1024), (1, 4096, 8192), (1, 4096, 2048)]);
        let needs = needs(0, 512);
        fleet.bind(InstanceId(0), WEB, &needs);
        check(&mut fleet, &request(&needs, &[spread_zones(), BINPACK_MEMORY]), "3 1 3 1");
    }

    #[test]
    fn ex_place_4_binpack_takes_the_least_that_fits() {
        let mut fleet = Fleet::with_hosts(&[(0, 1024, 100), (0, 2048, 100), (0, 700, 100)]);
        check(&mut fleet, &request(&needs(600, 1), &[BINPACK_CPU]), "2 0 1 1");
    }

    #[test]
    fn ex_place_5_spread_over_a_custom_attribute() {
        let mut fleet = Fleet::new();
        for (number, rack) in [(0, "r1"), (1, "r1"), (2, "r2")] {
            fleet.register(number, |host| host.attributes.set_custom("rack", rack).unwrap());
        }
        check(&mut fleet, &request(&needs(100, 100), &[spread_over("rack")]), "0 2 0 2 0 2");
    }

    #[test]
    fn ex_place_6_a_service_spreads_over_zones_then_hosts() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680), (0, 2048, 7680), (1, 2048, 7680)]);
        check(&mut fleet, &request(&needs(100, 100), PlacementStrategy::of_service(&[])), "0 2 1 2");
    }

    #[test]
    fn ex_place_8_distinct_instance_takes_one_each() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680); 3]);
        let needs = needs(100, 100);
        for strategy in [SPREAD_HOSTS, BINPACK_MEMORY] {
            let strategy = [strategy];
            let mut request = request(&needs, &strategy);
            request.constraints = &[Constraint::DistinctInstance];
            let mut fresh = Fleet::with_hosts(&[(0, 2048, 7680); 3]);
            check(&mut fresh, &request, "0 1 2 - -");
        }
        let mut request = request(&needs, PlacementStrategy::of_service(&[]));
        request.constraints = &[Constraint::DistinctInstance];
        check(&mut fleet, &request, "0 1 2 - -");
        let refusal = failure::explain(&fleet.cluster, &request);
        assert_eq!(refusal.counts(), BTreeMap::from([(Reason::DistinctInstance, 3)]));
        assert_eq!(refusal.closest, Some((InstanceId(0), Reason::DistinctInstance)));
    }

    #[test]
    fn ex_place_9_a_static_port_is_taken_once() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        let mut needs = needs(100, 100);
        needs.tcp_ports = vec![80];
        let request = request(&needs, &[]);
        check(&mut fleet, &request, "0 -");
        let refusal = failure::explain(&fleet.cluster, &request);
        assert_eq!(refusal.reasons, [(InstanceId(0), Reason::Ports)]);
        assert!(refusal.service_message().ends_with("is already using a port required by your task."));
    }

    #[test]
    fn ex_place_10_member_of_matches_the_type() {
        let mut fleet = Fleet::new();
        for (number, instance_type) in [(0, "t3.micro"), (1, "t2.micro")] {
            fleet.register(number, |host| host.instance_type = instance_type.into());
        }
        let needs = needs(2048, 100);
        let constraints = [query("attribute:ecs.instance-type =~ t2.*")];
        let mut request = request(&needs, &[]);
        request.constraints = &constraints;
        check(&mut fleet, &request, "1 -");
        assert_eq!(reason(&fleet, &request), [Reason::MemberOf, Reason::Cpu], "resources are tested first");
    }

    #[test]
    fn place_14_constraints_of_definition_and_call_all_hold() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680), (1, 2048, 7680), (1, 2048, 7680)]);
        let needs = needs(100, 100);
        let definition = [query("attribute:ecs.availability-zone == us-east-1b")];
        let call = [query("runningTasksCount == 0"), Constraint::DistinctInstance];
        let mut request = request(&needs, PlacementStrategy::of_service(&[]));
        request.definition_constraints = &definition;
        request.constraints = &call;
        check(&mut fleet, &request, "1 2 -");
    }

    #[test]
    fn place_2_draining_and_disconnected_hosts_take_nothing() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680); 3]);
        assert!(fleet.cluster.set_status(InstanceId(0), ContainerInstanceStatus::Draining));
        assert!(fleet.cluster.set_agent_connected(InstanceId(1), false));
        let needs = needs(1024, 100);
        let request = request(&needs, &[]);
        check(&mut fleet, &request, "2 2 -");
        assert_eq!(reason(&fleet, &request), [Reason::Agent, Reason::Cpu], "a draining host is not considered");
        assert!(fleet.cluster.set_status(InstanceId(0), ContainerInstanceStatus::Active));
        check(&mut fleet, &request, "0 0 -");
    }

    #[test]
    fn place_10_tasks_on_hosts_that_take_none_count_too() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680), (0, 2048, 7680), (1, 2048, 7680)]);
        let needs = needs(100, 100);
        fleet.bind(InstanceId(0), WEB, &needs);
        let stopping = fleet.bind(InstanceId(2), WEB, &needs);
        fleet.cluster.set_status(InstanceId(0), ContainerInstanceStatus::Draining);
        assert!(fleet.cluster.note_stopping(InstanceId(2), stopping), "told to stop: no longer counted");
        check(&mut fleet, &request(&needs, &[spread_zones()]), "2 1");
    }

    #[test]
    fn place_18_the_closest_instance_failed_the_fewest_tests() {
        let mut fleet = Fleet::with_hosts(&[(0, 100, 100), (0, 4096, 100), (0, 100, 4096)]);
        let needs = needs(512, 512);
        let request = request(&needs, &[]);
        assert_eq!(fleet.place(&request), None);
        let refusal = failure::explain(&fleet.cluster, &request);
        assert_eq!(refusal.closest, Some((InstanceId(1), Reason::Memory)));
        assert_eq!(
            refusal.service_message(),
            format!(
                "was unable to place a task because no container instance met all of its requirements. The closest \
                 matching container-instance {} has insufficient memory available.",
                InstanceId(1).ec2_id()
            )
        );
        fleet.cluster.set_agent_connected(InstanceId(1), false);
        fleet.cluster.deregister(InstanceId(0));
        fleet.cluster.deregister(InstanceId(2));
        let message = failure::explain(&fleet.cluster, &request).service_message();
        assert!(message.ends_with("encountered error \"AGENT\"."), "{message}");
        fleet.cluster.deregister(InstanceId(1));
        let message = failure::explain(&fleet.cluster, &request).service_message();
        assert!(message.ends_with("No Container Instances were found in your cluster."), "{message}");
    }

    #[test]
    fn task_15_reasons_come_in_the_order_of_the_tests() {
        use Reason::{Agent, Attribute, Cpu, Eni, Gpu, Location, MemberOf, Memory};
        let mut fleet = Fleet::new();
        fleet.register(0, |host| {
            host.architecture = CpuArchitecture::Arm64;
            host.resources = crate::ecs::container_instance::Resources::default();
        });
        fleet.cluster.set_agent_connected(InstanceId(0), false);
        let mut needs = needs(1, 1);
        (needs.gpus, needs.eni, needs.udp_ports) = (1, true, vec![53]);
        let constraints = [query("attribute:rack exists")];
        let mut request = request(&needs, &[]);
        request.zones = &[ZoneId(1)];
        request.constraints = &constraints;
        let instance = fleet.cluster.instance(InstanceId(0)).unwrap();
        let failed: Vec<Reason> =
            Reason::ALL.into_iter().filter(|reason| reason.applies(&fleet.cluster, &request, instance)).collect();
        assert_eq!(failed, [Agent, Location, Attribute, Cpu, Memory, Gpu, Eni, MemberOf]);
        assert_eq!(failure::refusal_of(&fleet.cluster, &request, instance), Some(Agent));
    }

    #[test]
    fn ex_net_1_an_awsvpc_task_takes_an_interface() {
        let mut needs = needs(128, 128);
        needs.eni = true;
        let request = request(&needs, &[]);
        let mut fleet = Fleet::new();
        fleet.register(0, |_| {});
        check(&mut fleet, &request, "0 0 -");
        assert_eq!(reason(&fleet, &request), [Reason::Eni]);
        let mut trunked = Fleet::new();
        trunked.register(0, |host| host.resources.eni_slots = 10);
        check(&mut trunked, &request, "0 0 0 0 0 0 0 0 0 0 -");
    }

    #[test]
    fn ex_net_3_a_host_reserves_a_hundred_ports() {
        let mut fleet = Fleet::with_hosts(&[(0, 1 << 20, 1 << 20)]);
        for port in 0..96 {
            let mut needs = needs(1, 1);
            needs.tcp_ports = vec![8000 + port];
            let request = request(&needs, &[]);
            let placed = fleet.place(&request);
            assert_eq!(placed.is_some(), port < 95, "task {port}");
            if placed.is_none() {
                assert_eq!(reason(&fleet, &request), [Reason::Ports]);
            }
        }
        assert_eq!(fleet.cluster.verify(), Ok(()));
    }

    #[test]
    fn ex_ec2_2_a_task_larger_than_the_type_never_fits() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7984)]);
        check(&mut fleet, &request(&needs(0, 8192), &[]), "-");
    }

    #[test]
    fn ex_ec2_4_the_agents_ports_are_taken() {
        let mut fleet = Fleet::with_hosts(&[(0, 2048, 7680)]);
        for (port, fits) in [(51678, false), (22, false), (51680, true), (80, true)] {
            let mut needs = needs(1, 1);
            needs.tcp_ports = vec![port];
            assert_eq!(fleet.place(&request(&needs, &[])).is_some(), fits, "port {port}");
        }
        let mut udp = needs(1, 1);
        udp.udp_ports = vec![22];
        assert!(fleet.place(&request(&udp, &[])).is_some(), "UDP: none");
    }

    #[test]
    fn ec2_6_the_third_port_of_the_agent_and_those_of_windows_may_be_taken_too() {
        let mut fleet = Fleet::with_hosts(&[]);
        fleet.register(0, |host| host.reserves_51680 = true);
        fleet.register(1, |host| host.operating_system = OperatingSystem::Windows);
        for (port, hosts) in [(51680, vec![1]), (3389, vec![0]), (51679, vec![]), (80, vec![0, 1])] {
            let mut needs = needs(1, 1);
            needs.tcp_ports = vec![port];
            let fits = fleet.cluster.instances().filter(|host| host.fits(&needs)).map(|host| host.id.0);
            assert_eq!(fits.collect::<Vec<_>>(), hosts, "port {port}");
        }
    }

    #[test]
    fn ex_ec2_5_memory_binds_before_cpu() {
        let mut fleet = Fleet::with_hosts(&[(0, 1024, 993)]);
        check(&mut fleet, &request(&needs(100, 128), &[BINPACK_CPU]), "0 0 0 0 0 0 0 -");
    }

    #[test]
    fn place_6_random_draws_uniformly_from_those_that_fit() {
        // Of 200 hosts, three fit: first drawn, then listed. The counts are binomial: mean 1000, deviation 26.
        for fitting in [3, 150] {
            let hosts: Vec<_> = (0..200).map(|n| (n % 3, if n % 200 < fitting { 1024 } else { 10 }, 2048)).collect();
            let fleet = Fleet::with_hosts(&hosts);
            let needs = needs(512, 512);
            let request = request(&needs, PlacementStrategy::of_run_task(&[]));
            let mut chance = Streams::new(7, 0).named("placement");
            let mut counts = BTreeMap::new();
            for _ in 0..1000 * fitting {
                let Placement::On(host) = place(&fleet.cluster, &request, &mut chance) else {
                    panic!("{fitting} hosts fit");
                };
                *counts.entry(host.0).or_insert(0u32) += 1;
            }
            assert_eq!(counts.len(), fitting as usize);
            assert!(counts.keys().all(|host| *host < fitting));
            assert!(counts.values().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
        }
    }

    // The definition of placement, as plain as it can be, against which the search is checked.

    /// The instances tied after the filters of PLACE-11; the bool says whether a draw decides among them.
    fn lexicographic_filter(cluster: &Cluster, request: &PlacementRequest<'_>) -> (Vec<InstanceId>, bool) {
        let mut best: Vec<&ContainerInstance> = (cluster.instances())
            .filter(|instance| request.considers(instance) && failure::refusal_of(cluster, request, instance).is_none())
            .collect();
        let mut drawn = request.random_ties;
        for strategy in request.strategy {
            let measure = |instance: &ContainerInstance| match strategy {
                PlacementStrategy::Random => 0,
                PlacementStrategy::Binpack(BinpackField::Cpu) => instance.remaining.cpu.0,
                PlacementStrategy::Binpack(BinpackField::Memory) => instance.remaining.memory.0,
                PlacementStrategy::Spread(SpreadField::InstanceId) => u64::from(instance.tasks_of(request.group)),
                PlacementStrategy::Spread(SpreadField::Attribute(name)) => (cluster.instances())
                    .filter(|other| other.attributes.get(name) == instance.attributes.get(name))
                    .map(|other| u64::from(other.tasks_of(request.group)))
                    .sum(),
            };
            if *strategy == PlacementStrategy::Random {
                drawn = true;
                break;
            }
            let least = best.iter().map(|instance| measure(instance)).min();
            best.retain(|instance| Some(measure(instance)) == least);
        }
        (best.into_iter().map(|instance| instance.id).collect(), drawn)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Register { zone: u32, provider: u32, rack: u32, cpu: u64, memory: u64, gpus: u32, arm: bool },
        Deregister(usize),
        Drain(usize, bool),
        Connect(usize, bool),
        Place(Box<Ask>),
        Run(usize),
        Stopping(usize),
        Release(usize),
        Stopped(usize),
    }

    #[derive(Clone, Debug)]
    struct Ask {
        group: u32,
        cpu: u64,
        memory: u64,
        gpus: u32,
        eni: bool,
        port: Option<u16>,
        provider: Option<u32>,
        zones: Vec<u32>,
        arm: bool,
        constraints: Vec<usize>,
        strategy: Vec<usize>,
        random_ties: bool,
    }

    fn ask() -> impl Strategy<Value = Ask> {
        let rare = || prop::bool::weighted(0.15);
        (
            (0..3u32, 0..6u64, 0..6u64, prop::sample::select(vec![0, 0, 0, 1, 2]), rare()),
            prop::option::weighted(0.2, prop::sample::select(vec![80, 443, 22])),
            prop::option::weighted(0.3, 0..2u32),
            prop::collection::vec(0..3u32, 0..2),
            rare(),
            prop::collection::vec(0..6usize, 0..2),
            prop::collection::vec(0..6usize, 0..4),
            rare(),
        )
            .prop_map(
                |((group, cpu, memory, gpus, eni), port, provider, zones, arm, constraints, strategy, random_ties)| {
                    let (cpu, memory) = (cpu * 128, memory * 256);
                    Ask {
                        group,
                        cpu,
                        memory,
                        gpus,
                        eni,
                        port,
                        provider,
                        zones,
                        arm,
                        constraints,
                        strategy,
                        random_ties,
                    }
                },
            )
    }

    fn step() -> impl Strategy<Value = Step> {
        let host = 0..100usize;
        prop_oneof![
            3 => (0..3u32, 0..3u32, 0..3u32, 1..5u64, 1..5u64, 0..2u32, prop::bool::weighted(0.1)).prop_map(
                |(zone, provider, rack, cpu, memory, gpus, arm)| Step::Register {
                    zone, provider, rack, cpu: cpu * 512, memory: memory * 512, gpus, arm,
                }
            ),
            1 => host.clone().prop_map(Step::Deregister),
            1 => (host.clone(), any::<bool>()).prop_map(|(host, on)| Step::Drain(host, on)),
            1 => (host.clone(), any::<bool>()).prop_map(|(host, on)| Step::Connect(host, on)),
            12 => ask().prop_map(|ask| Step::Place(Box::new(ask))),
            2 => host.clone().prop_map(Step::Run),
            1 => host.clone().prop_map(Step::Stopping),
            2 => host.clone().prop_map(Step::Release),
            3 => host.prop_map(Step::Stopped),
        ]
    }

    /// Applies a step; a placement is compared with the definition.
    fn apply(fleet: &mut Fleet, next_id: &mut u32, tasks: &mut Vec<(InstanceId, TaskKey)>, step: &Step) {
        let pick = |cluster: &Cluster, nth: usize| {
            cluster.instances().nth(nth % cluster.len().max(1)).map(|instance| instance.id)
        };
        let chosen = |tasks: &[(InstanceId, TaskKey)], nth: usize| tasks.get(nth % tasks.len().max(1)).copied();
        match step {
            Step::Register { zone, provider, rack, cpu, memory, gpus, arm } => {
                // Every third id is passed over and used later: hosts register out of launch order.
                let id = if *next_id % 3 == 1 { *next_id + 60 } else { *next_id };
                *next_id += 1;
                fleet.register(id, |host| {
                    host.zone = ZoneId(*zone);
                    host.provider = (*provider > 0).then(|| ProviderId(provider - 1));
                    host.architecture = if *arm { CpuArchitecture::Arm64 } else { CpuArchitecture::X86_64 };
                    host.resources.cpu = CpuUnits(*cpu);
                    host.resources.memory = MiB(*memory);
                    host.resources.gpus = *gpus;
                    if *rack > 0 {
                        host.attributes.set("rack", rack.to_string());
                    }
                });
            }
            Step::Deregister(nth) => {
                if let Some(id) = pick(&fleet.cluster, *nth) {
                    fleet.cluster.deregister(id);
                    tasks.retain(|(host, _)| *host != id);
                }
            }
            Step::Drain(nth, on) => {
                let status = if *on { ContainerInstanceStatus::Draining } else { ContainerInstanceStatus::Active };
                pick(&fleet.cluster, *nth).map(|id| fleet.cluster.set_status(id, status));
            }
            Step::Connect(nth, on) => {
                pick(&fleet.cluster, *nth).map(|id| fleet.cluster.set_agent_connected(id, *on));
            }
            Step::Run(nth) => {
                chosen(tasks, *nth).map(|(host, task)| fleet.cluster.note_running(host, task));
            }
            Step::Stopping(nth) => {
                chosen(tasks, *nth).map(|(host, task)| fleet.cluster.note_stopping(host, task));
            }
            Step::Release(nth) => {
                chosen(tasks, *nth).map(|(host, task)| fleet.cluster.release(host, task));
            }
            Step::Stopped(nth) => {
                if let Some((host, task)) = chosen(tasks, *nth) {
                    assert!(fleet.cluster.note_stopped(host, task));
                    tasks.retain(|(_, other)| *other != task);
                }
            }
            Step::Place(ask) => tasks.extend(place_as_defined(fleet, ask)),
        }
    }

    fn place_as_defined(fleet: &mut Fleet, ask: &Ask) -> Option<(InstanceId, TaskKey)> {
        let mut needs = needs(ask.cpu, ask.memory);
        (needs.gpus, needs.eni) = (ask.gpus, ask.eni);
        needs.tcp_ports.extend(ask.port);
        let all_constraints = [
            Constraint::DistinctInstance,
            query("attribute:rack == 1 or attribute:rack == 2"),
            query("not(task:group == database)"),
            query("runningTasksCount < 2 and attribute:rack exists"),
            query("attribute:ecs.availability-zone =~ 'us-east-1[ab]'"),
            query("task:group == 'service:web'"),
        ];
        let all_strategies =
            [PlacementStrategy::Random, BINPACK_CPU, BINPACK_MEMORY, SPREAD_HOSTS, spread_zones(), spread_over("rack")];
        let constraints: Vec<_> = ask.constraints.iter().map(|nth| all_constraints[*nth].clone()).collect();
        let strategy: Vec<_> = ask.strategy.iter().map(|nth| all_strategies[*nth].clone()).collect();
        let zones: Vec<_> = ask.zones.iter().copied().map(ZoneId).collect();
        let mut request = request(&needs, &strategy);
        request.constraints = &constraints;
        request.group = TaskGroupId(ask.group);
        request.provider = ask.provider.map(ProviderId);
        request.zones = &zones;
        request.random_ties = ask.random_ties;
        if ask.arm {
            request.architecture = CpuArchitecture::Arm64;
        }
        let (tied, drawn) = lexicographic_filter(&fleet.cluster, &request);
        let placement = place(&fleet.cluster, &request, &mut fleet.chance);
        match placement {
            Placement::On(host) if drawn => assert!(tied.contains(&host), "{host:?} is not among {tied:?} for {ask:?}"),
            Placement::On(host) => assert_eq!(Some(&host), tied.first(), "{ask:?}"),
            Placement::Refused => assert_eq!(tied, [], "{ask:?}"),
        }
        let Placement::On(host) = placement else {
            let considered = fleet.cluster.instances().filter(|instance| request.considers(instance)).count();
            assert_eq!(failure::explain(&fleet.cluster, &request).reasons.len(), considered);
            return None;
        };
        Some((host, fleet.bind(host, request.group, &needs)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn place_11_agrees_with_the_lexicographic_filter(steps in prop::collection::vec(step(), 1..120)) {
            let mut fleet = Fleet::new();
            let (mut next_id, mut tasks) = (0, Vec::new());
            for number in 0..6 {
                let start = Step::Register {
                    zone: number % 3, provider: number % 2, rack: 0, cpu: 2048, memory: 2048, gpus: 0, arm: false,
                };
                apply(&mut fleet, &mut next_id, &mut tasks, &start);
            }
            for step in &steps {
                apply(&mut fleet, &mut next_id, &mut tasks, step);
                prop_assert_eq!(fleet.cluster.verify(), Ok(()));
            }
        }
    }
}
