//! How many tasks a second can be placed and stopped again, and what more hosts cost.
//!
//! Each cluster is three quarters full with tasks of three services over three zones. One iteration stops the task
//! placed longest ago and places another, so that the load stays what it was; of `place` the stops are not timed. What
//! one costs at 100 to 100,000 hosts should differ by no more than the logarithm does, and by cache misses.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ecsim::ecs::capability::Capabilities;
use ecsim::ecs::cluster::{Cluster, TaskSlot};
use ecsim::ecs::container_instance::{Attributes, ContainerInstanceStatus, Registration, Resources};
use ecsim::ecs::ids::{InstanceId, TaskGroupId, TaskKey, ZoneId};
use ecsim::ecs::task_definition::{CpuArchitecture, OperatingSystem, Requirements};
use ecsim::engine::streams::{Stream, Streams};
use ecsim::engine::time::SimTime;
use ecsim::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};
use ecsim::placement::{Placement, PlacementRequest, place};
use ecsim::units::{CpuUnits, MiB};
use slotmap::SlotMap;

/// Tasks a host has room for, by CPU.
const TASKS_PER_HOST: u32 = 16;

/// Stops, then as many placements, where these are timed alone: so many that the clock is no part of what it says.
const BATCH: u64 = 64;

/// Hosts of the clusters. A run that only tests leaves out the large ones, which take seconds to fill.
fn sizes() -> &'static [u32] {
    let short = std::env::args().any(|argument| argument == "--test");
    if short { &[100, 1_000] } else { &[100, 1_000, 10_000, 100_000] }
}

struct Load {
    cluster: Cluster,
    keys: SlotMap<TaskKey, ()>,
    placed: VecDeque<(InstanceId, TaskKey)>,
    shapes: [Arc<Requirements>; 3],
    names: [Arc<str>; 3],
    strategy: Vec<PlacementStrategy>,
    chance: Stream,
    next: usize,
}

impl Load {
    fn new(hosts: u32, strategy: &[PlacementStrategy]) -> Self {
        let mut cluster = Cluster::new(jiff::Timestamp::UNIX_EPOCH);
        for number in 0..hosts {
            let zone = number % 3;
            cluster.register(Registration {
                reserves_51680: true,
                id: InstanceId(number),
                instance_type: "m5.xlarge".into(),
                zone: ZoneId(zone),
                zone_name: ["us-east-1a", "us-east-1b", "us-east-1c"][zone as usize].into(),
                architecture: CpuArchitecture::X86_64,
                operating_system: OperatingSystem::Linux,
                capabilities: Capabilities::default(),
                attributes: Attributes::new(),
                resources: Resources { cpu: CpuUnits(4096), memory: MiB(15_552), gpus: 0, eni_slots: 3 },
                status: ContainerInstanceStatus::Active,
                trunk: false,
                agent_version: "1.105.1".into(),
                registered_at: SimTime::ZERO,
                provider: None,
                group: None,
            });
        }
        let shape =
            |cpu, memory| Arc::new(Requirements { cpu: CpuUnits(cpu), memory: MiB(memory), ..Requirements::default() });
        let mut load = Self {
            cluster,
            keys: SlotMap::with_key(),
            placed: VecDeque::new(),
            shapes: [shape(256, 512), shape(128, 1024), shape(384, 768)],
            names: ["service:web", "service:api", "service:jobs"].map(Arc::from),
            strategy: strategy.to_vec(),
            chance: Streams::new(1, 0).named("placement"),
            next: 0,
        };
        for _ in 0..hosts * TASKS_PER_HOST * 3 / 4 {
            load.place_one();
        }
        // Stop in an order unlike that of placing, as tasks do: the load of hosts differs then.
        load.chance.shuffle(load.placed.make_contiguous());
        load
    }

    fn place_one(&mut self) {
        let service = self.next % self.shapes.len();
        self.next += 1;
        let request = PlacementRequest {
            requirements: &self.shapes[service],
            definition_constraints: &[],
            constraints: &[],
            strategy: &self.strategy,
            group: TaskGroupId(u32::try_from(service).expect("three services")),
            provider: None,
            architecture: CpuArchitecture::X86_64,
            operating_system: OperatingSystem::Linux,
            capabilities: Capabilities::default(),
            zones: &[],
            random_ties: false,
        };
        let Placement::On(host) = place(&self.cluster, &request, &mut self.chance) else {
            panic!("a quarter of the cluster is free");
        };
        let task = self.keys.insert(());
        let slot = TaskSlot {
            task,
            group: request.group,
            group_name: &self.names[service],
            requirements: &self.shapes[service],
            daemon: false,
            keeps_busy: true,
        };
        self.cluster.reserve(host, &slot);
        self.placed.push_back((host, task));
    }

    /// Time that so many placements take; as many tasks are stopped before.
    fn place_many(&mut self, count: u64) -> Duration {
        let mut spent = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let batch = left.min(BATCH);
            for _ in 0..batch {
                self.stop_one();
            }
            let start = Instant::now();
            for _ in 0..batch {
                self.place_one();
            }
            spent += start.elapsed();
            left -= batch;
        }
        spent
    }

    fn stop_one(&mut self) {
        let (host, task) = self.placed.pop_front().expect("the cluster is three quarters full");
        assert!(self.cluster.note_stopped(host, task));
        self.keys.remove(task);
    }
}

fn strategies() -> [(&'static str, Vec<PlacementStrategy>); 7] {
    let zones = PlacementStrategy::Spread(SpreadField::Attribute(Attributes::AVAILABILITY_ZONE.to_owned()));
    let hosts = PlacementStrategy::Spread(SpreadField::InstanceId);
    let memory = PlacementStrategy::Binpack(BinpackField::Memory);
    [
        ("service default", vec![zones.clone(), hosts.clone()]),
        ("spread zone, binpack memory", vec![zones.clone(), memory.clone()]),
        ("spread zone", vec![zones]),
        ("spread instance", vec![hosts]),
        ("binpack memory", vec![memory]),
        ("binpack cpu", vec![PlacementStrategy::Binpack(BinpackField::Cpu)]),
        ("random", vec![PlacementStrategy::Random]),
    ]
}

fn place_and_stop(c: &mut Criterion) {
    for (name, strategy) in strategies() {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        for &hosts in sizes() {
            let mut load = Load::new(hosts, &strategy);
            let tasks = load.placed.len();
            group.bench_function(BenchmarkId::new("place", hosts), |b| b.iter_custom(|count| load.place_many(count)));
            group.bench_function(BenchmarkId::new("place and stop", hosts), |b| {
                b.iter(|| {
                    load.stop_one();
                    load.place_one();
                });
            });
            assert_eq!(load.placed.len(), tasks);
            assert_eq!(load.cluster.verify(), Ok(()));
        }
        group.finish();
    }
}

fn refuse(c: &mut Criterion) {
    let mut group = c.benchmark_group("refuse");
    for &hosts in sizes() {
        let mut load = Load::new(hosts, &[PlacementStrategy::Random]);
        Arc::make_mut(&mut load.shapes[0]).cpu = CpuUnits(4097);
        let request = PlacementRequest {
            requirements: &load.shapes[0],
            definition_constraints: &[],
            constraints: &[],
            strategy: &load.strategy,
            group: TaskGroupId(0),
            provider: None,
            architecture: CpuArchitecture::X86_64,
            operating_system: OperatingSystem::Linux,
            capabilities: Capabilities::default(),
            zones: &[],
            random_ties: false,
        };
        group.bench_function(BenchmarkId::new("nothing fits", hosts), |b| {
            b.iter(|| {
                let placement = place(black_box(&load.cluster), &request, &mut load.chance);
                assert_eq!(placement, Placement::Refused);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, place_and_stop, refuse);
criterion_main!(benches);
