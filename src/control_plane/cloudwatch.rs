//! CloudWatch at work: the samples that AWS's own services publish each minute (CW-*, ECSM-*, ALBM-*, CIM-*).
//!
//! Samples of the scenario's own are [`custom_metrics`](super::custom_metrics)', alarms [`alarms`](super::alarms)'.

use std::collections::BTreeSet;

use crate::control_plane::ControlPlane;
use crate::control_plane::alarms::AlarmActions;
use crate::control_plane::api::ApiCall;
use crate::control_plane::container_insights::{CLUSTER_INSIGHTS, SERVICE_INSIGHTS};
use crate::control_plane::custom_metrics::CallRates;
use crate::control_plane::estate::Estate;
use crate::control_plane::event::Event;
use crate::control_plane::group_metrics::{GroupSeries, group_of_metric};
use crate::control_plane::load::OwnUse;
use crate::control_plane::queues::{QUEUE_METRICS, SQS};
use crate::control_plane::record::{Record, Resource};
use crate::control_plane::task_readings::{Reading, YoungTask, task_samples};
use crate::ecs::ids::{ClusterId, GroupId, ServiceId, TargetGroupId, TaskKey};
use crate::ecs::service::ServiceStatus;
use crate::ecs::target_group::BalancerKind;
use crate::ecs::task::Task;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::{MetricStore, Publication, SeriesId, StatisticSet, Unit};
use crate::stats::WeightedHistogram;
use crate::units::{CpuUnits, MiB};

/// ECSM-5: the agent reads a task's use about every 20 s; three readings make a minute's sample.
pub(super) const READING: SimDuration = SimDuration::from_secs(20);

/// The metric store and what each alarm does.
#[derive(Debug)]
pub(super) struct CloudWatch {
    pub(super) store: MetricStore,
    /// By [`AlarmId`], parallel to the state's alarms.
    pub(super) alarms: Vec<AlarmActions>,
    pub(super) services: Vec<ServiceSeries>,
    pub(super) clusters: Vec<ClusterSeries>,
    target_groups: Vec<TargetGroupSeries>,
    /// By [`GroupId`].
    pub(super) groups: Vec<GroupSeries>,
    /// In the order of the estate's `metrics`.
    pub(super) replays: Vec<SeriesId>,
    /// Series that `put-metric-data` has made.
    pub(super) custom: BTreeSet<SeriesId>,
    /// Calls of the last second (AAS-19).
    pub(super) rates: CallRates,
    /// Series of `SchedulableContainers` that some alarm watches, with their clusters (LEG-6).
    schedulable: Vec<(String, SeriesId)>,
}

/// The series of one service, and what its readings add up to since the minute began.
#[derive(Clone, Debug)]
pub(super) struct ServiceSeries {
    /// In order of [`UTILIZATION`].
    utilization: [SeriesId; 2],
    live_tasks: SeriesId,
    /// In order of [`SERVICE_INSIGHTS`].
    pub(super) insights: [SeriesId; SERVICE_INSIGHTS.len()],
    readings: Vec<Reading>,
}

/// The metrics of a service that may be published every 20 s (ECSM-8).
const UTILIZATION: [&str; 2] = ["CPUUtilization", "MemoryUtilization"];

/// ECSM-7.
const LIVE_TASK_COUNT: &str = "LiveTaskCount";

/// What ECS says of a cluster (ECSM-10, ECSM-11).
const CLUSTER_METRICS: [&str; 5] =
    ["CPUReservation", "MemoryReservation", "GPUReservation", "CPUUtilization", "MemoryUtilization"];

/// Of the requests that targets have answered (ALBM-1).
const RESPONSE_TIME: &str = "TargetResponseTime";

/// What a load balancer says of a target group (ALBM-1).
const TARGET_GROUP_METRICS: [&str; 6] = [
    "RequestCount",
    "RequestCountPerTarget",
    RESPONSE_TIME,
    "HTTPCode_Target_2XX_Count",
    "HTTPCode_Target_5XX_Count",
    "TargetConnectionErrorCount",
];

/// What it says of itself. It never refuses a connection: how many it can have is not modelled, and a metric that is zero
/// has no datapoint.
const BALANCER_METRICS: [&str; 8] = [
    "RequestCount",
    RESPONSE_TIME,
    "HTTPCode_Target_2XX_Count",
    "HTTPCode_Target_5XX_Count",
    "TargetConnectionErrorCount",
    "HTTPCode_ELB_4XX_Count",
    "HTTPCode_ELB_5XX_Count",
    "RejectedConnectionCount",
];

/// LEG-6: a custom metric, published by a function of the user's; whoever has an alarm on it has the function too.
const SCHEDULABLE: &str = "SchedulableContainers";

pub(super) const ECS: &str = "AWS/ECS";
pub(super) const CONTAINER_INSIGHTS: &str = "ECS/ContainerInsights";
const APPLICATION_ELB: &str = "AWS/ApplicationELB";

#[derive(Clone, Copy, Debug)]
pub(super) struct ClusterSeries {
    /// In order of [`CLUSTER_INSIGHTS`].
    pub(super) insights: [SeriesId; CLUSTER_INSIGHTS.len()],
    /// In order of [`CLUSTER_METRICS`].
    metrics: [SeriesId; CLUSTER_METRICS.len()],
}

#[derive(Clone, Copy, Debug)]
struct TargetGroupSeries {
    /// In order of [`TARGET_GROUP_METRICS`].
    of_group: [SeriesId; TARGET_GROUP_METRICS.len()],
    /// In order of [`BALANCER_METRICS`], which its groups share.
    of_balancer: Option<[SeriesId; BALANCER_METRICS.len()]>,
}

impl TargetGroupSeries {
    /// The series of a metric, by its target group and by its balancer.
    fn of(&self, metric: &str) -> impl Iterator<Item = SeriesId> {
        let place = |names: &[&str]| names.iter().position(|name| *name == metric);
        let of_group = place(&TARGET_GROUP_METRICS).map(|place| self.of_group[place]);
        let of_balancer = self.of_balancer.and_then(|series| place(&BALANCER_METRICS).map(|place| series[place]));
        of_group.into_iter().chain(of_balancer)
    }
}

impl CloudWatch {
    pub(super) fn new(estate: &Estate) -> Self {
        let mut store = MetricStore::new();
        let mut replays = Vec::new();
        for metric in &estate.metrics {
            let id = store.intern(&metric.key);
            store.publish(id, Publication::after_end(metric.period, estate.behaviour.metric_delay.custom));
            store.set_unit(id, metric.unit);
            replays.push(id);
        }
        let schedulable = watched_schedulable(estate)
            .into_iter()
            .map(|(cluster, key)| {
                let id = store.intern(key);
                store.publish(id, Publication::after_end(SimDuration::MINUTE, estate.behaviour.metric_delay.custom));
                (cluster.to_owned(), id)
            })
            .collect();
        Self {
            store,
            schedulable,
            alarms: Vec::new(),
            services: Vec::new(),
            clusters: Vec::new(),
            target_groups: Vec::new(),
            groups: Vec::new(),
            replays,
            custom: BTreeSet::new(),
            rates: CallRates::default(),
        }
    }

    /// A series with a bucket a minute, in the unit that AWS publishes it in.
    pub(super) fn add_minutely(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        delay: SimDuration,
    ) -> SeriesId {
        let id = self.store.intern(&MetricKey::new(namespace, metric, dimensions));
        self.store.publish(id, Publication::after_end(SimDuration::MINUTE, delay));
        self.store.set_unit(id, Some(unit_of(metric)));
        id
    }
}

/// The unit of a metric that AWS's services publish (TT-5).
fn unit_of(metric: &str) -> Unit {
    match metric {
        "MemoryUtilized" | "MemoryReserved" => Unit::MEGABYTES,
        "CpuUtilized" | "CpuReserved" | "RequestCountPerTarget" => Unit::NONE,
        "NetworkRxBytes" | "NetworkTxBytes" => Unit::BYTES_PER_SECOND,
        "StorageReadBytes" | "StorageWriteBytes" => Unit::BYTES,
        "TargetResponseTime" => Unit::SECONDS,
        _ if metric.ends_with("Utilization") || metric.ends_with("Reservation") => Unit::PERCENT,
        _ => Unit::COUNT,
    }
}

impl Estate {
    /// Whether anything in the run publishes the metric: the model itself, a replayed series or a call.
    ///
    /// An alarm on any other metric never has data.
    pub fn publishes(&self, key: &MetricKey) -> bool {
        let put = |call: &ApiCall| match call {
            ApiCall::PutMetricData(data) => data.iter().any(|datum| datum.key == *key),
            _ => false,
        };
        self.metrics.iter().any(|metric| metric.key == *key)
            || self.actions.iter().any(|action| put(&action.call))
            || self.models(key)
            || group_of_metric(key).is_some_and(|name| self.has_group(name))
    }

    fn models(&self, key: &MetricKey) -> bool {
        let dimensions: Vec<(&str, &str)> =
            key.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let name = key.name.as_str();
        match (key.namespace.as_str(), &dimensions[..]) {
            (_, [("ClusterName", cluster)]) if name == SCHEDULABLE => self.has_cluster(cluster),
            (ECS, [("ClusterName", cluster)]) => CLUSTER_METRICS.contains(&name) && self.has_cluster(cluster),
            (CONTAINER_INSIGHTS, [("ClusterName", cluster)]) => {
                CLUSTER_INSIGHTS.contains(&name) && self.has_cluster(cluster)
            }
            (ECS, [("ClusterName", cluster), ("ServiceName", service)]) => {
                (UTILIZATION.contains(&name) || name == LIVE_TASK_COUNT) && self.has_service(cluster, service)
            }
            (CONTAINER_INSIGHTS, [("ClusterName", cluster), ("ServiceName", service)]) => {
                SERVICE_INSIGHTS.contains(&name) && self.has_service(cluster, service)
            }
            (SQS, [("QueueName", queue)]) => {
                QUEUE_METRICS.contains(&name) && self.queues().iter().any(|(call, _)| call.name == *queue)
            }
            (APPLICATION_ELB, _) => {
                (BALANCER_METRICS.contains(&name)
                    && matches!(dimensions[..], [("LoadBalancer", balancer)] if self.routes(balancer)))
                    || TARGET_GROUP_METRICS.contains(&name)
                        && self.target_groups.iter().any(|group| {
                            let of = target_group_dimensions(&group.name, group.load_balancer.as_deref());
                            MetricKey::new(APPLICATION_ELB, name, &of) == *key
                        })
            }
            _ => self.capacity_providers.iter().any(|provider| {
                let reservation =
                    |cluster: &str| MetricKey::capacity_provider_reservation(cluster, &provider.name) == *key;
                provider.managed_scaling.is_some() && self.clusters.iter().any(|cluster| reservation(&cluster.name))
            }),
        }
    }

    /// Whether a load balancer of this name has a target group.
    fn routes(&self, balancer: &str) -> bool {
        self.target_groups.iter().any(|group| group.load_balancer.as_deref() == Some(balancer))
    }

    fn has_cluster(&self, name: &str) -> bool {
        self.clusters.iter().any(|cluster| cluster.name == name)
            || self
                .actions
                .iter()
                .any(|action| matches!(&action.call, ApiCall::CreateCluster(call) if call.name == name))
    }

    fn has_group(&self, name: &str) -> bool {
        let later = self.actions.iter().filter_map(|action| match &action.call {
            ApiCall::CreateAutoScalingGroup(call) => Some(&**call),
            _ => None,
        });
        self.groups.iter().chain(later).any(|group| group.name == name)
    }

    fn has_service(&self, cluster: &str, name: &str) -> bool {
        let later = self.actions.iter().filter_map(|action| match &action.call {
            ApiCall::CreateService(call) => Some(&**call),
            _ => None,
        });
        self.services.iter().chain(later).any(|service| service.cluster == cluster && service.name == name)
    }
}

/// The series of `SchedulableContainers` that alarms of the scenario watch, under whatever namespace, by cluster.
fn watched_schedulable(estate: &Estate) -> Vec<(&str, &MetricKey)> {
    let later = estate.actions.iter().filter_map(|action| match &action.call {
        ApiCall::PutMetricAlarm(call) => Some(&**call),
        _ => None,
    });
    let watched = estate.alarms.iter().chain(later).flat_map(|alarm| alarm.definition.watched.metrics());
    let mut found: Vec<(&str, &MetricKey)> = Vec::new();
    for (key, _) in watched.filter(|(key, _)| key.name == SCHEDULABLE) {
        let replayed = estate.metrics.iter().any(|metric| metric.key == *key);
        if let [(name, cluster)] = &key.dimensions.iter().collect::<Vec<_>>()[..]
            && *name == "ClusterName"
            && !replayed
            && !found.iter().any(|(_, known)| *known == key)
        {
            found.push((cluster.as_str(), key));
        }
    }
    found
}

/// What tells the metrics of a target group apart (ALBM-1).
fn target_group_dimensions<'a>(name: &'a str, load_balancer: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let balancer = load_balancer.map(|balancer| ("LoadBalancer", balancer));
    balancer.into_iter().chain([("TargetGroup", name)]).collect()
}

impl ControlPlane<'_> {
    /// The first ticks, and the series of what exists at time zero.
    pub(super) fn start_cloudwatch(&mut self, schedule: &mut Schedule<Event>) {
        let delay = self.estate.behaviour.metric_delay;
        for group in &self.state.target_groups {
            let definition = &group.definition;
            let dimensions = target_group_dimensions(&definition.name, definition.load_balancer.as_deref());
            let mut add = |metric: &str, dimensions: &[(&str, &str)]| {
                self.cloudwatch.add_minutely(APPLICATION_ELB, metric, dimensions, delay.alb)
            };
            let of_group = TARGET_GROUP_METRICS.map(|metric| add(metric, &dimensions[..]));
            let of_balancer = definition
                .load_balancer
                .as_deref()
                .map(|balancer| BALANCER_METRICS.map(|metric| add(metric, &[("LoadBalancer", balancer)])));
            self.cloudwatch.target_groups.push(TargetGroupSeries { of_group, of_balancer });
        }
        schedule.after(READING, Event::MetricReading);
        for place in 0..self.estate.metrics.len() {
            schedule.after(self.estate.metrics[place].period, Event::ReplayTick(place as u32));
        }
    }

    pub(super) fn add_cluster_series(&mut self, id: ClusterId) {
        let name = self.state.cluster_name(id).to_owned();
        let dimensions = [("ClusterName", name.as_str())];
        let delay = self.estate.behaviour.metric_delay;
        let metrics = CLUSTER_METRICS.map(|metric| self.cloudwatch.add_minutely(ECS, metric, &dimensions, delay.ecs60));
        let insights = CLUSTER_INSIGHTS.map(|metric| {
            self.cloudwatch.add_minutely(CONTAINER_INSIGHTS, metric, &dimensions, delay.container_insights)
        });
        self.cloudwatch.clusters.push(ClusterSeries { insights, metrics });
    }

    /// A service has been created: what is measured of it gets series of its own (ECSM-1, ECSM-2, ECSM-7, CIM-1).
    pub(super) fn add_service_series(&mut self, id: ServiceId) {
        let service = &self.state.services[id.index()];
        let (cluster, name) = (self.state.cluster_name(service.cluster).to_owned(), service.name.clone());
        let dimensions = [("ClusterName", cluster.as_str()), ("ServiceName", name.as_str())];
        let delay = self.estate.behaviour.metric_delay;
        let series = ServiceSeries {
            utilization: UTILIZATION.map(|metric| self.cloudwatch.add_minutely(ECS, metric, &dimensions, delay.ecs60)),
            live_tasks: self.cloudwatch.add_minutely(ECS, LIVE_TASK_COUNT, &dimensions, delay.ecs60),
            insights: SERVICE_INSIGHTS.map(|metric| {
                self.cloudwatch.add_minutely(CONTAINER_INSIGHTS, metric, &dimensions, delay.container_insights)
            }),
            readings: Vec::new(),
        };
        self.cloudwatch.services.push(series);
        self.service_monitoring_changed(id);
    }

    /// How often the utilisation of a service is published: every minute, or every 20 s (ECSM-8, ECSM-9).
    pub(super) fn service_monitoring_changed(&mut self, id: ServiceId) {
        let delay = self.estate.behaviour.metric_delay;
        let high_resolution = self.state.services[id.index()].monitoring.high_resolution();
        for (series, high_resolution) in self.cloudwatch.services[id.index()].utilization.iter().zip(high_resolution) {
            let publication = if high_resolution {
                Publication::after_end(READING, delay.ecs20)
            } else {
                Publication::after_end(SimDuration::MINUTE, delay.ecs60)
            };
            self.cloudwatch.store.publish(*series, publication);
        }
    }

    /// Every 20 s: how much of their reservation the running tasks of each service have used since the last reading.
    /// At the end of a minute, with its third reading, come the samples of the minute.
    pub(super) fn on_metric_reading(&mut self, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        for place in 0..self.state.services.len() {
            let id = ServiceId(place as u32);
            let (used, [cpu, memory]) = self.take_service_usage(id, now);
            let service = &self.state.services[place];
            if service.running == 0 {
                continue;
            }
            let Some(definition) = service.definition() else { continue };
            let needs = self.state.requirements(self.definition_shapes[definition.index()]);
            let percent = [cpu.percent_of(needs.cpu.as_vcpus()), memory.percent_of(needs.memory.0 as f64)];
            let reading = Reading { at: now, used, percent };
            self.cloudwatch.services[place].readings.push(reading);
            self.publish_reading(id, &reading);
        }
        if now == now.previous_multiple_of(SimDuration::MINUTE) {
            self.publish_minute(now);
        }
        self.tell_queue_levels(now);
        schedule.after(READING, Event::MetricReading);
    }

    /// ECSM-9: at 20 s each running task gives one sample a bucket; the minute then has three of each.
    fn publish_reading(&mut self, id: ServiceId, reading: &Reading) {
        let service = &self.state.services[id.index()];
        let (running, high_resolution) = (service.running, service.monitoring.high_resolution());
        let reserved = self.reserves(id);
        for place in 0..UTILIZATION.len() {
            if high_resolution[place] && reserved[place] {
                let series = self.cloudwatch.services[id.index()].utilization[place];
                let samples = reading.percent[place].samples(running);
                let bucket = reading.at - READING;
                self.publish(series, Resource::Service(id), UTILIZATION[place], bucket, &samples, reading.at);
            }
        }
    }

    /// Whether the tasks of a service reserve CPU and memory: what is not reserved has no utilisation (ECSM-13).
    pub(super) fn reserves(&self, id: ServiceId) -> [bool; 2] {
        let definition = self.state.services[id.index()].definition();
        let needs = definition.map(|definition| self.state.requirements(self.definition_shapes[definition.index()]));
        [needs.is_some_and(|needs| needs.cpu.0 > 0), needs.is_some_and(|needs| needs.memory.0 > 0)]
    }

    /// Each minute: one sample per running task (ECSM-5), the cluster's ratios (ECSM-10, ECSM-11), the balancer's
    /// counts (ALBM-1…3), what Container Insights sees (CIM-1), and the queues (SQS-1).
    fn publish_minute(&mut self, now: SimTime) {
        let bucket = now - SimDuration::MINUTE;
        for place in 0..self.state.services.len() {
            self.sample_service(ServiceId(place as u32), bucket, now);
        }
        // Before the clusters, which take the minute's use of each service.
        for place in 0..self.state.groups.len() {
            self.sample_group(GroupId(place as u32), bucket, now);
        }
        for place in 0..self.state.clusters.len() {
            self.sample_cluster(ClusterId(place as u32), bucket, now);
        }
        for place in 0..self.state.target_groups.len() {
            self.sample_target_group(TargetGroupId(place as u32), bucket, now);
        }
        self.sample_queues(bucket, now);
    }

    fn sample_service(&mut self, id: ServiceId, bucket: SimTime, now: SimTime) {
        let readings = std::mem::take(&mut self.cloudwatch.services[id.index()].readings);
        let starts = std::mem::take(&mut self.load.recent_starts[id.index()]);
        self.sample_insights(id, &readings, bucket, now);
        let service = &self.state.services[id.index()];
        let (running, high_resolution) = (service.running, service.monitoring.high_resolution());
        // ECSM-6: no tasks, no samples.
        if running == 0 || readings.is_empty() {
            return;
        }
        // ECSM-7: for alarms; observers are told of each change of `RunningCount`.
        let live = StatisticSet::of(f64::from(running));
        self.push_samples(self.cloudwatch.services[id.index()].live_tasks, bucket, &live, None, now);
        let reserved = self.reserves(id);
        // Tasks that started within the minute have only the readings since then; all others have every one.
        let young: Vec<(SimTime, TaskKey)> = starts
            .into_iter()
            .filter(|(_, key)| self.state.tasks.get(*key).is_some_and(Task::desired_running))
            .collect();
        for place in 0..UTILIZATION.len() {
            if reserved[place] && !high_resolution[place] {
                let young: Vec<YoungTask> =
                    young.iter().map(|(started, key)| self.young_task(*started, *key, place)).collect();
                let samples = task_samples(&readings, running, &young, place);
                let series = self.cloudwatch.services[id.index()].utilization[place];
                self.publish(series, Resource::Service(id), UTILIZATION[place], bucket, &samples, now);
            }
        }
    }

    /// What a task that has just started uses by itself of what [`UTILIZATION`] names, in percent of its reservation.
    fn young_task(&self, started: SimTime, key: TaskKey, resource: usize) -> YoungTask {
        let task = &self.state.tasks[key];
        let needs = self.state.requirements(task.shape);
        let own = OwnUse::of(task, needs.cpu);
        let (used, reserved) = match resource {
            // What real containers use is in the readings.
            0 if self.execution.is_real() => (0.0, 0.0),
            0 => (own.cpu.as_vcpus(), needs.cpu.as_vcpus()),
            _ => (own.memory_mib(), needs.memory.0 as f64),
        };
        YoungTask { started, own: if reserved > 0.0 { 100.0 * used / reserved } else { 0.0 } }
    }

    fn sample_cluster(&mut self, id: ClusterId, bucket: SimTime, now: SimTime) {
        let totals = self.state.clusters[id.index()].cluster.totals();
        let usage = self.take_cluster_usage(id);
        self.sample_cluster_insights(id, bucket, now);
        self.sample_schedulable(id, bucket, now);
        // LEG-3: without instances there is nothing to divide by, and no value.
        if totals.registered_cpu.0 == 0 || totals.registered_memory.0 == 0 {
            return;
        }
        let series = self.cloudwatch.clusters[id.index()].metrics;
        let (cpu, memory) = (totals.registered_cpu.0 as f64, totals.registered_memory.0 as f64);
        let gpus = totals.registered_gpus as f64;
        let resource = Resource::Cluster(id);
        // In order of CLUSTER_METRICS; hosts without GPUs have none to reserve.
        let percent = [
            Some(100.0 * totals.running_cpu.0 as f64 / cpu),
            Some(100.0 * totals.running_memory.0 as f64 / memory),
            (gpus > 0.0).then(|| 100.0 * totals.running_gpus as f64 / gpus),
            Some(100.0 * usage.vcpus / totals.registered_cpu.as_vcpus()),
            Some(100.0 * usage.memory_mib / memory),
        ];
        for ((series, metric), value) in series.into_iter().zip(CLUSTER_METRICS).zip(percent) {
            if let Some(value) = value {
                self.publish(series, resource, metric, bucket, &StatisticSet::of(value), now);
            }
        }
    }

    /// LEG-6: how many more of the largest task would fit, for those who have an alarm on it.
    fn sample_schedulable(&mut self, id: ClusterId, bucket: SimTime, now: SimTime) {
        let name = self.state.cluster_name(id);
        let series: Vec<SeriesId> =
            self.cloudwatch.schedulable.iter().filter(|(cluster, _)| cluster == name).map(|(_, id)| *id).collect();
        if series.is_empty() {
            return;
        }
        let (cpu, memory) = self.largest_task(id);
        let room = self.state.clusters[id.index()].cluster.schedulable_containers(cpu, memory);
        let sample = StatisticSet::of(room as f64);
        for series in series {
            self.publish(series, Resource::Cluster(id), SCHEDULABLE, bucket, &sample, now);
        }
    }

    /// The largest needs of CPU and of memory among the tasks of a cluster's services; of all task definitions when it has
    /// no service.
    fn largest_task(&self, cluster: ClusterId) -> (CpuUnits, MiB) {
        let services = self.state.services.iter().filter(|service| service.cluster == cluster);
        let of_services = services
            .filter(|service| service.status == ServiceStatus::Active)
            .flat_map(|service| service.deployments.iter().map(|deployment| deployment.definition.index()));
        let mut definitions: Vec<usize> = of_services.collect();
        if definitions.is_empty() {
            let active = self.state.definitions.iter().enumerate().filter(|(_, call)| call.definition.takes_work);
            definitions.extend(active.map(|(place, _)| place));
        }
        let needs = || definitions.iter().map(|place| self.state.requirements(self.definition_shapes[*place]));
        let cpu = needs().map(|needs| needs.cpu).max().unwrap_or_default();
        (cpu, needs().map(|needs| needs.memory).max().unwrap_or_default())
    }

    fn sample_target_group(&mut self, id: TargetGroupId, bucket: SimTime, now: SimTime) {
        let group = &self.state.target_groups[id.index()];
        let minute = self.load.take_target_group_minute(id, group, now);
        let (registered, kind) = (group.registered, group.kind);
        let tally = &minute.tally;
        let requests = StatisticSet::of(tally.requests);
        self.publish_target_group(id, "RequestCount", bucket, &requests, &[], now);
        // ALBM-2, ALBM-3: per healthy registered target, averaged over the minute; without a healthy one per registered target
        // (Elastic Load Balancing, "CloudWatch metrics for your Application Load Balancer"). Nothing while none is registered.
        if registered > 0 {
            let targets = if minute.mean_healthy > 0.0 { minute.mean_healthy } else { f64::from(registered) };
            let value = StatisticSet::of(tally.requests / targets);
            self.publish_target_group(id, "RequestCountPerTarget", bucket, &value, &[], now);
        }
        if kind != BalancerKind::Application {
            return;
        }
        let (whole, mut parts) = response_times(&tally.response);
        let kept = |series: SeriesId| self.cloudwatch.store.keeps_samples(series);
        if !self.cloudwatch.target_groups[id.index()].of(RESPONSE_TIME).any(kept) {
            // Nobody asks for percentiles: one set says it all, and its mean is exact.
            parts.clear();
        }
        if whole.samples > 0 {
            self.publish_target_group(id, RESPONSE_TIME, bucket, &whole, &parts, now);
        }
        let counts = [
            ("HTTPCode_Target_2XX_Count", tally.target_2xx),
            ("HTTPCode_Target_5XX_Count", tally.target_5xx),
            ("TargetConnectionErrorCount", tally.connection_errors),
            ("HTTPCode_ELB_4XX_Count", tally.elb_4xx),
            ("HTTPCode_ELB_5XX_Count", tally.elb_5xx),
        ];
        // Zeros have no datapoints (Elastic Load Balancing, "CloudWatch metrics for your Application Load Balancer").
        for (metric, count) in counts.into_iter().filter(|(_, count)| *count > 0.0) {
            self.publish_target_group(id, metric, bucket, &StatisticSet::of(count), &[], now);
        }
    }

    /// Puts samples into the series of a target group and of its balancer, in `parts` where these are given, and tells the
    /// observers once.
    fn publish_target_group(
        &mut self,
        id: TargetGroupId,
        metric: &'static str,
        bucket: SimTime,
        whole: &StatisticSet,
        parts: &[StatisticSet],
        now: SimTime,
    ) {
        let all = self.cloudwatch.target_groups[id.index()];
        let resource = Resource::TargetGroup(id);
        // Good answers are what is left of all requests: no row of their own.
        let mut told = Some((resource, metric)).filter(|_| metric != "HTTPCode_Target_2XX_Count");
        let mut lost = false;
        for series in all.of(metric) {
            if parts.is_empty() {
                self.push_samples(series, bucket, whole, told.take(), now);
            }
            lost |= self.impairments.metric_is_lost(self.cloudwatch.store.key(series));
            for samples in parts {
                self.push_samples(series, bucket, samples, None, now);
            }
        }
        if let (Some((resource, metric)), Some(value), false) = (told, whole.average(), lost) {
            let record = Record::Datapoint { resource, metric, period_start: bucket, value };
            self.observer.observe(now, &record, &self.state);
        }
    }

    /// Puts samples into a series and tells the observers their natural statistic: Average.
    pub(super) fn publish(
        &mut self,
        series: SeriesId,
        resource: Resource,
        metric: &'static str,
        bucket: SimTime,
        samples: &StatisticSet,
        now: SimTime,
    ) {
        self.push_samples(series, bucket, samples, Some((resource, metric)), now);
    }
}

/// The response times of a minute, together and by the buckets of their histogram: equal values are what percentiles can be
/// taken of (CW-6). Fractions of requests, as the fluid model has them, are carried on until they are a whole one.
fn response_times(times: &WeightedHistogram) -> (StatisticSet, Vec<StatisticSet>) {
    let (mut parts, mut whole) = (Vec::new(), StatisticSet::EMPTY);
    let (mut sum, mut counted) = (0.0, 0.0_f64);
    let bounds = times.min().unwrap_or(0.0)..=times.max().unwrap_or(0.0);
    for (values, weight) in times.buckets() {
        sum += weight;
        let samples = (sum - counted).round();
        if samples >= 1.0 {
            counted += samples;
            let middle = if values.end.is_finite() { f64::midpoint(values.start, values.end) } else { values.start };
            let part = StatisticSet::repeated(middle.clamp(*bounds.start(), *bounds.end()), samples as u64);
            whole.merge(&part);
            parts.push(part);
        }
    }
    if let (Some(mean), true) = (times.mean(), whole.samples > 0) {
        // The mean is known exactly.
        whole.sum = mean * whole.samples as f64;
    }
    (whole, parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_times_are_counted_whole_and_keep_their_mean() {
        let mut times = WeightedHistogram::new();
        for (seconds, requests) in [(0.01, 0.4), (0.02, 98.3), (0.5, 1.3)] {
            times.record(seconds, requests);
        }
        let (whole, parts) = response_times(&times);
        assert_eq!((whole.samples, parts.len()), (100, 2));
        assert!((whole.average().unwrap() - times.mean().unwrap()).abs() < 1e-12);
        assert!(parts.iter().all(|part| part.minimum == part.maximum), "of one value each");
        assert!((parts[1].maximum / 0.5 - 1.0).abs() < 0.01 && parts[1].samples == 1);
        assert_eq!(response_times(&WeightedHistogram::new()).0, StatisticSet::EMPTY);
    }
}
