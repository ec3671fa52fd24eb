//! Integrals over a cluster's resources, and what waits for them.

use crate::control_plane::record::Resource;
use crate::control_plane::state::State;
use crate::ecs::ids::ClusterId;
use crate::ecs::service::{SchedulingStrategy, ServiceStatus};
use crate::ecs::task_definition::Requirements;
use crate::engine::time::SimTime;
use crate::stats::TimeWeighted;

use super::Recorder;
/// Integrals over one cluster.
#[derive(Debug)]
pub(super) struct ClusterBook {
    pub(super) registered_cpu: TimeWeighted,
    pub(super) reserved_cpu: TimeWeighted,
    pub(super) registered_memory: TimeWeighted,
    pub(super) reserved_memory: TimeWeighted,
    /// Milli-CPU-units that tasks on hosts use by themselves.
    pub(super) own_cpu: TimeWeighted,
    /// vCPU-seconds that loads have used on hosts.
    pub(super) load_vcpu_seconds: f64,
    pub(super) fargate: Requirements,
    levels: Option<(SimTime, [f64; LEVELS.len()])>,
    written: [f64; LEVELS.len()],
}

/// What `series.csv` says of a cluster beside CloudWatch's metrics.
const LEVELS: [&str; 8] = [
    "registered_cpu_vcpu",
    "registered_memory_mib",
    "reserved_cpu_vcpu",
    "reserved_memory_mib",
    "demanded_cpu_vcpu",
    "demanded_memory_mib",
    "fargate_cpu_vcpu",
    "fargate_memory_mib",
];

impl ClusterBook {
    fn new() -> Self {
        let zero = TimeWeighted::new(SimTime::ZERO, 0.0);
        Self {
            registered_cpu: zero,
            reserved_cpu: zero,
            registered_memory: zero,
            reserved_memory: zero,
            own_cpu: zero,
            load_vcpu_seconds: 0.0,
            fargate: Requirements::default(),
            levels: None,
            written: [0.0; LEVELS.len()],
        }
    }

    pub(super) fn forget(&mut self, until: SimTime) {
        for level in [
            &mut self.registered_cpu,
            &mut self.reserved_cpu,
            &mut self.registered_memory,
            &mut self.reserved_memory,
            &mut self.own_cpu,
        ] {
            level.reset(until);
        }
        self.load_vcpu_seconds = 0.0;
    }
}

impl Recorder {
    pub(super) fn cluster(&mut self, id: ClusterId) -> &mut ClusterBook {
        if self.clusters.len() <= id.index() {
            self.clusters.resize_with(id.index() + 1, || {
                let mut book = ClusterBook::new();
                if self.warm {
                    book.forget(self.warmup);
                }
                book
            });
        }
        &mut self.clusters[id.index()]
    }

    /// A cluster's resources, or what is asked of them, have changed.
    pub(super) fn capacity_changed(&mut self, now: SimTime, id: ClusterId, state: &State) {
        let totals = state.clusters[id.index()].cluster.totals();
        let writes = self.writes_series();
        let book = self.cluster(id);
        for (level, value) in [
            (&mut book.registered_cpu, totals.registered_cpu.0),
            (&mut book.reserved_cpu, totals.reserved_cpu.0),
            (&mut book.registered_memory, totals.registered_memory.0),
            (&mut book.reserved_memory, totals.reserved_memory.0),
        ] {
            if level.value() != value as f64 {
                level.set(now, value as f64);
            }
        }
        if !writes {
            return;
        }
        let waiting = waiting(id, state);
        let fargate = &book.fargate;
        let reserved = (totals.reserved_cpu + fargate.cpu, totals.reserved_memory + fargate.memory);
        let levels = [
            totals.registered_cpu.as_vcpus(),
            totals.registered_memory.0 as f64,
            reserved.0.as_vcpus(),
            reserved.1.0 as f64,
            (reserved.0 + waiting.cpu).as_vcpus(),
            (reserved.1 + waiting.memory).0 as f64,
            fargate.cpu.as_vcpus(),
            fargate.memory.0 as f64,
        ];
        book.levels = Some((now, levels));
    }

    /// Writes the levels that the last instant left behind.
    pub(super) fn flush_levels(&mut self, state: &State) {
        let Some(files) = &mut self.files else { return };
        for (place, book) in self.clusters.iter_mut().enumerate() {
            let Some((at, levels)) = book.levels.take() else { continue };
            let resource = state.resource_name(Resource::Cluster(ClusterId(place as u32)));
            for ((metric, value), written) in LEVELS.iter().zip(levels).zip(&mut book.written) {
                if value != *written {
                    *written = value;
                    files.sample(at, &resource, metric, value);
                }
            }
        }
    }
}

/// What waits for capacity on a cluster's hosts: tasks in PROVISIONING, and tasks that a service wants and cannot start.
fn waiting(cluster: ClusterId, state: &State) -> Requirements {
    let mut total = Requirements::default();
    for provider in state.providers.iter().filter(|provider| provider.cluster == cluster) {
        for task in provider.waiting.values().filter_map(|key| state.tasks.get(*key)) {
            let needs = state.requirements(task.shape);
            total.cpu += needs.cpu;
            total.memory += needs.memory;
        }
    }
    for service in &state.services {
        let counts = service.cluster == cluster
            && service.status == ServiceStatus::Active
            && service.scheduling == SchedulingStrategy::Replica
            && !service.launch.is_fargate();
        let missing = u64::from(service.desired).saturating_sub(service.tasks.len() as u64);
        if let Some(definition) = service.definition().filter(|_| counts && missing > 0) {
            let needs = state.definitions[definition.index()].definition.requirements();
            total.cpu += needs.cpu * missing;
            total.memory += needs.memory * missing;
        }
    }
    total
}
