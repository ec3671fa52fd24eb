//! Container Insights (CIM-*), and what metrics cost (COST-2).

use crate::control_plane::ControlPlane;
use crate::control_plane::cloudwatch::{CONTAINER_INSIGHTS, ECS};
use crate::control_plane::state::{BilledMetric, ClusterEntry};
use crate::control_plane::task_readings::Reading;
use crate::ecs::ids::{ClusterId, ServiceId};
use crate::ecs::service::ServiceStatus;
use crate::ecs::task_definition::Requirements;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::StatisticSet;
use crate::units::CpuUnits;

/// What Container Insights says of a service (CIM-1).
pub(super) const SERVICE_INSIGHTS: [&str; 13] = [
    "CpuUtilized",
    "CpuReserved",
    "MemoryUtilized",
    "MemoryReserved",
    "RunningTaskCount",
    "PendingTaskCount",
    "DesiredTaskCount",
    "DeploymentCount",
    "TaskSetCount",
    "NetworkRxBytes",
    "NetworkTxBytes",
    "StorageReadBytes",
    "StorageWriteBytes",
];

/// What Container Insights says of a cluster, likewise.
pub(super) const CLUSTER_INSIGHTS: [&str; 3] = ["TaskCount", "ServiceCount", "ContainerInstanceCount"];

impl ControlPlane<'_> {
    /// CIM-1, CIM-2: absolute amounts, one sample a minute; use only while tasks run, counts always, zero included.
    ///
    /// They are for alarms and expressions; observers know the counts as levels of their own.
    pub(super) fn sample_insights(&mut self, id: ServiceId, readings: &[Reading], bucket: SimTime, now: SimTime) {
        let service = &self.state.services[id.index()];
        if service.status == ServiceStatus::Inactive || !self.has_insights(service.cluster) {
            return;
        }
        let needs =
            service.definition().map(|definition| self.state.requirements(self.definition_shapes[definition.index()]));
        let tasks = f64::from(service.running);
        let mean = |of: fn(&Reading) -> f64| readings.iter().map(of).sum::<f64>() / readings.len() as f64;
        let used = service.running > 0 && !readings.is_empty();
        let [cpu, memory] = self.reserves(id).map(|reserves| reserves && used);
        let reserved = |of: fn(&Requirements) -> f64| needs.map_or(0.0, of) * tasks;
        let [received, sent, read, written] = self.load.services[id.index()].bytes_per_second();
        let minute = SimDuration::MINUTE.as_secs_f64();
        let values: [Option<f64>; SERVICE_INSIGHTS.len()] = [
            cpu.then(|| mean(|reading| reading.used.vcpus) * CpuUnits::PER_VCPU as f64),
            cpu.then(|| reserved(|needs| needs.cpu.0 as f64)),
            memory.then(|| mean(|reading| reading.used.memory_mib)),
            memory.then(|| reserved(|needs| needs.memory.0 as f64)),
            Some(tasks),
            Some(f64::from(service.pending())),
            Some(f64::from(service.desired)),
            Some(service.deployments.len() as f64),
            Some(service.task_sets() as f64),
            // The network is told by the second, storage by the minute.
            used.then_some(received),
            used.then_some(sent),
            used.then_some(read * minute),
            used.then_some(written * minute),
        ];
        let series = self.cloudwatch.services[id.index()].insights;
        for (series, value) in series.into_iter().zip(values) {
            if let Some(value) = value {
                self.push_samples(series, bucket, &StatisticSet::of(value), None, now);
            }
        }
    }

    /// The same of a cluster: its tasks on hosts and on Fargate, its services, its hosts.
    pub(super) fn sample_cluster_insights(&mut self, id: ClusterId, bucket: SimTime, now: SimTime) {
        if !self.has_insights(id) {
            return;
        }
        let instances = self.state.clusters[id.index()].cluster.totals().instances;
        let services = self.state.services.iter().filter(|service| service.cluster == id);
        let alive = services.filter(|service| service.status != ServiceStatus::Inactive).count();
        let counts = [f64::from(self.load.clusters[id.index()].running), alive as f64, f64::from(instances)];
        for (series, count) in self.cloudwatch.clusters[id.index()].insights.into_iter().zip(counts) {
            self.push_samples(series, bucket, &StatisticSet::of(count), None, now);
        }
    }

    /// Whether a cluster publishes them: unless it says that it does not.
    fn has_insights(&self, id: ClusterId) -> bool {
        self.state.clusters[id.index()].container_insights != Some(false)
    }

    /// COST-2: the metrics that are paid for, with the hours in which they had data. Custom metrics, replayed ones
    /// included; ECS's own where they come every 20 s; and Container Insights of clusters that ask for it, or whose metrics
    /// some alarm watches, so that nobody pays for what he does not know of.
    pub(super) fn count_billed_metrics(&mut self) {
        let insights: Vec<bool> = self.state.clusters.iter().map(|entry| self.pays_for_insights(entry)).collect();
        let cluster_of = |key: &MetricKey| {
            let name = key.dimension("ClusterName")?;
            self.state.clusters.iter().position(|entry| *entry.name == *name)
        };
        let billed = self.cloudwatch.store.usage().filter_map(|usage| {
            let hours = match usage.key.namespace.as_str() {
                CONTAINER_INSIGHTS => {
                    let paid = cluster_of(usage.key).is_none_or(|cluster| insights[cluster]);
                    if paid { usage.hours } else { 0 }
                }
                ECS => usage.high_resolution_hours,
                namespace if namespace.starts_with("AWS/") => 0,
                _ => usage.hours,
            };
            (hours > 0).then(|| BilledMetric { key: usage.key.clone(), hours })
        });
        self.state.billed_metrics = billed.collect();
    }

    fn pays_for_insights(&self, entry: &ClusterEntry) -> bool {
        let watched = || {
            self.state.alarms.iter().any(|alarm| {
                let metrics = alarm.alarm.definition.watched.metrics();
                metrics.iter().any(|(key, _)| {
                    key.namespace == CONTAINER_INSIGHTS && key.dimension("ClusterName") == Some(&*entry.name)
                })
            })
        };
        entry.container_insights.unwrap_or_else(watched)
    }
}
