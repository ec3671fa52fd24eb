//! CloudWatch at work: samples taken each minute, alarms evaluated at their ticks, actions sent (CW-*, ECSM-*, ALM-*).

use crate::control_plane::ControlPlane;
use crate::control_plane::api::{ApiCall, PutMetricAlarm};
use crate::control_plane::estate::Estate;
use crate::control_plane::event::Event;
use crate::control_plane::load::Usage;
use crate::control_plane::record::{Record, Resource};
use crate::control_plane::state::AlarmEntry;
use crate::ecs::ids::{AlarmId, ClusterId, PolicyId, ProviderId, ServiceId, TargetGroupId};
use crate::ecs::service::ServiceStatus;
use crate::ecs::task::Task;
use crate::ecs::task_definition::Requirements;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::{Alarm, AlarmDefinition, AlarmState, Evaluation, MetricKey, Occasion};
use crate::scaling::metric::{MetricStore, Publication, SeriesId, StatisticSet};
use crate::units::{CpuUnits, MiB};

/// ECSM-5: the agent reads a task's use about every 20 s; three readings make a minute's sample.
pub(super) const READING: SimDuration = SimDuration::from_secs(20);

/// The metric store and what each alarm does.
#[derive(Debug)]
pub(super) struct CloudWatch {
    pub(super) store: MetricStore,
    /// By [`AlarmId`], parallel to the state's alarms.
    pub(super) alarms: Vec<AlarmActions>,
    services: Vec<ServiceSeries>,
    clusters: Vec<ClusterSeries>,
    target_groups: Vec<TargetGroupSeries>,
    replays: Vec<SeriesId>,
    /// Series of `SchedulableContainers` that some alarm watches, with their clusters (LEG-6).
    schedulable: Vec<(String, SeriesId)>,
}

/// What an alarm does, state by state.
#[derive(Clone, Debug, Default)]
pub(super) struct AlarmActions {
    pub(super) alarm: Vec<ActionTarget>,
    pub(super) ok: Vec<ActionTarget>,
    pub(super) insufficient_data: Vec<ActionTarget>,
    pub(super) enabled: bool,
    /// The newest evaluation: its datapoints go with the action (ALM-23).
    pub(super) evaluation: Option<Evaluation>,
}

/// Where an alarm's action goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ActionTarget {
    /// A scaling policy.
    Policy(PolicyId),
    /// Managed scaling of a capacity provider (CAS-22).
    ManagedScaling {
        /// The provider.
        provider: ProviderId,
        /// Its high alarm; else the low one.
        high: bool,
    },
    /// Anything else: an SNS topic.
    Notification(String),
}

impl ActionTarget {
    const fn is_scaling(&self) -> bool {
        !matches!(self, Self::Notification(_))
    }
}

/// The series of one service, and what its readings add up to since the minute began.
#[derive(Clone, Debug)]
struct ServiceSeries {
    /// In order of [`UTILIZATION`].
    utilization: [SeriesId; 2],
    live_tasks: SeriesId,
    /// In order of [`SERVICE_INSIGHTS`].
    insights: [SeriesId; SERVICE_INSIGHTS.len()],
    readings: Vec<Reading>,
}

/// One reading of a service's use: in all, and as a mean over the tasks that ran (ECSM-5).
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: SimTime,
    used: Usage,
    /// In order of [`UTILIZATION`].
    percent: [f64; 2],
}

/// The metrics of a service that may be published every 20 s (ECSM-8).
const UTILIZATION: [&str; 2] = ["CPUUtilization", "MemoryUtilization"];

/// ECSM-7.
const LIVE_TASK_COUNT: &str = "LiveTaskCount";

/// What Container Insights says of a service (CIM-1), as far as it is simulated: no task sets, network or storage.
const SERVICE_INSIGHTS: [&str; 8] = [
    "CpuUtilized",
    "CpuReserved",
    "MemoryUtilized",
    "MemoryReserved",
    "RunningTaskCount",
    "PendingTaskCount",
    "DesiredTaskCount",
    "DeploymentCount",
];

/// What Container Insights says of a cluster, likewise.
const CLUSTER_INSIGHTS: [&str; 2] = ["ServiceCount", "ContainerInstanceCount"];

/// What ECS says of a cluster (ECSM-10, ECSM-11).
const CLUSTER_METRICS: [&str; 4] = ["CPUReservation", "MemoryReservation", "CPUUtilization", "MemoryUtilization"];

/// What a load balancer says of a target group (ALBM-1).
const TARGET_GROUP_METRICS: [&str; 2] = ["RequestCount", "RequestCountPerTarget"];

/// LEG-6: a custom metric, published by a function of the user's; whoever has an alarm on it has the function too.
const SCHEDULABLE: &str = "SchedulableContainers";

const ECS: &str = "AWS/ECS";
const CONTAINER_INSIGHTS: &str = "ECS/ContainerInsights";
const APPLICATION_ELB: &str = "AWS/ApplicationELB";

#[derive(Clone, Copy, Debug)]
struct ClusterSeries {
    /// In order of [`CLUSTER_INSIGHTS`].
    insights: [SeriesId; CLUSTER_INSIGHTS.len()],
    cpu_reservation: SeriesId,
    memory_reservation: SeriesId,
    cpu_utilization: SeriesId,
    memory_utilization: SeriesId,
}

#[derive(Clone, Copy, Debug)]
struct TargetGroupSeries {
    requests: SeriesId,
    requests_per_target: SeriesId,
}

impl CloudWatch {
    pub(super) fn new(estate: &Estate) -> Self {
        let mut store = MetricStore::new();
        let mut replays = Vec::new();
        for metric in &estate.metrics {
            let id = store.intern(&metric.key);
            store.publish(id, Publication::after_end(metric.period, estate.behaviour.metric_delay.custom));
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
            replays,
        }
    }

    /// A series with a bucket a minute.
    fn add_minutely(
        &mut self,
        namespace: &str,
        metric: &str,
        dimensions: &[(&str, &str)],
        delay: SimDuration,
    ) -> SeriesId {
        let id = self.store.intern(&MetricKey::new(namespace, metric, dimensions));
        self.store.publish(id, Publication::after_end(SimDuration::MINUTE, delay));
        id
    }
}

impl Estate {
    /// Whether anything in the run publishes the metric: the model itself, or a replayed series.
    ///
    /// An alarm on any other metric never has data.
    pub fn publishes(&self, key: &MetricKey) -> bool {
        self.metrics.iter().any(|metric| metric.key == *key) || self.models(key)
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
            (APPLICATION_ELB, _) => {
                TARGET_GROUP_METRICS.contains(&name)
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

    fn has_cluster(&self, name: &str) -> bool {
        self.clusters.iter().any(|cluster| cluster.name == name)
            || self
                .actions
                .iter()
                .any(|action| matches!(&action.call, ApiCall::CreateCluster(call) if call.name == name))
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
            let [requests, requests_per_target] = TARGET_GROUP_METRICS
                .map(|metric| self.cloudwatch.add_minutely(APPLICATION_ELB, metric, &dimensions, delay.alb));
            self.cloudwatch.target_groups.push(TargetGroupSeries { requests, requests_per_target });
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
        let [cpu_reservation, memory_reservation, cpu_utilization, memory_utilization] =
            CLUSTER_METRICS.map(|metric| self.cloudwatch.add_minutely(ECS, metric, &dimensions, delay.ecs60));
        let insights = CLUSTER_INSIGHTS.map(|metric| {
            self.cloudwatch.add_minutely(CONTAINER_INSIGHTS, metric, &dimensions, delay.container_insights)
        });
        self.cloudwatch.clusters.push(ClusterSeries {
            insights,
            cpu_reservation,
            memory_reservation,
            cpu_utilization,
            memory_utilization,
        });
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
            let usage = self.take_service_usage(id, now);
            let service = &self.state.services[place];
            if service.running == 0 {
                continue;
            }
            let Some(definition) = service.definition() else { continue };
            let needs = self.state.requirements(self.definition_shapes[definition.index()]);
            let tasks = f64::from(service.running);
            let percent = |used: f64, reserved: f64| if reserved > 0.0 { 100.0 * used / reserved } else { 0.0 };
            let reading = Reading {
                at: now,
                used: usage,
                percent: [
                    percent(usage.vcpus, needs.cpu.as_vcpus() * tasks),
                    percent(usage.memory_mib, needs.memory.0 as f64 * tasks),
                ],
            };
            self.cloudwatch.services[place].readings.push(reading);
            self.publish_reading(id, &reading);
        }
        if now == now.previous_multiple_of(SimDuration::MINUTE) {
            self.publish_minute(now);
        }
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
                let samples = StatisticSet::repeated(reading.percent[place], u64::from(running));
                let bucket = reading.at - READING;
                self.publish(series, Resource::Service(id), UTILIZATION[place], bucket, &samples, reading.at);
            }
        }
    }

    /// Whether the tasks of a service reserve CPU and memory: what is not reserved has no utilisation (ECSM-13).
    fn reserves(&self, id: ServiceId) -> [bool; 2] {
        let definition = self.state.services[id.index()].definition();
        let needs = definition.map(|definition| self.state.requirements(self.definition_shapes[definition.index()]));
        [needs.is_some_and(|needs| needs.cpu.0 > 0), needs.is_some_and(|needs| needs.memory.0 > 0)]
    }

    /// Each minute: one sample per running task (ECSM-5), the cluster's ratios (ECSM-10, ECSM-11), the balancer's
    /// counts (ALBM-1…3), and what Container Insights sees (CIM-1).
    fn publish_minute(&mut self, now: SimTime) {
        let bucket = now - SimDuration::MINUTE;
        for place in 0..self.state.services.len() {
            self.sample_service(ServiceId(place as u32), bucket, now);
        }
        for place in 0..self.state.clusters.len() {
            self.sample_cluster(ClusterId(place as u32), bucket, now);
        }
        for place in 0..self.state.target_groups.len() {
            self.sample_target_group(TargetGroupId(place as u32), bucket, now);
        }
    }

    fn sample_service(&mut self, id: ServiceId, bucket: SimTime, now: SimTime) {
        let readings = std::mem::take(&mut self.cloudwatch.services[id.index()].readings);
        let starts = std::mem::take(&mut self.load.recent_starts[id.index()]);
        self.sample_insights(id, &readings, bucket);
        let service = &self.state.services[id.index()];
        let (running, high_resolution) = (service.running, service.monitoring.high_resolution());
        // ECSM-6: no tasks, no samples.
        if running == 0 || readings.is_empty() {
            return;
        }
        // ECSM-7: for alarms; observers are told of each change of `RunningCount`.
        let live = StatisticSet::of(f64::from(running));
        let _ = self.cloudwatch.store.push(self.cloudwatch.services[id.index()].live_tasks, bucket, &live);
        let reserved = self.reserves(id);
        // Tasks that started within the minute have only the readings since then; all others have every one.
        let young: Vec<SimTime> = starts
            .iter()
            .filter(|(_, key)| self.state.tasks.get(*key).is_some_and(Task::desired_running))
            .map(|(started, _)| *started)
            .collect();
        for place in 0..UTILIZATION.len() {
            if reserved[place] && !high_resolution[place] {
                let samples = task_samples(&readings, running, &young, |reading| reading.percent[place]);
                let series = self.cloudwatch.services[id.index()].utilization[place];
                self.publish(series, Resource::Service(id), UTILIZATION[place], bucket, &samples, now);
            }
        }
    }

    /// CIM-1, CIM-2: absolute amounts, one sample a minute; use only while tasks run, counts always, zero included.
    ///
    /// They are for alarms and expressions; observers know the counts as levels of their own.
    fn sample_insights(&mut self, id: ServiceId, readings: &[Reading], bucket: SimTime) {
        let service = &self.state.services[id.index()];
        let needs =
            service.definition().map(|definition| self.state.requirements(self.definition_shapes[definition.index()]));
        let tasks = f64::from(service.running);
        let mean = |of: fn(&Reading) -> f64| readings.iter().map(of).sum::<f64>() / readings.len() as f64;
        let used = service.running > 0 && !readings.is_empty();
        let [cpu, memory] = self.reserves(id).map(|reserves| reserves && used);
        let reserved = |of: fn(&Requirements) -> f64| needs.map_or(0.0, of) * tasks;
        let values: [Option<f64>; SERVICE_INSIGHTS.len()] = [
            cpu.then(|| mean(|reading| reading.used.vcpus) * CpuUnits::PER_VCPU as f64),
            cpu.then(|| reserved(|needs| needs.cpu.0 as f64)),
            memory.then(|| mean(|reading| reading.used.memory_mib)),
            memory.then(|| reserved(|needs| needs.memory.0 as f64)),
            Some(tasks),
            Some(f64::from(service.pending())),
            Some(f64::from(service.desired)),
            Some(service.deployments.len() as f64),
        ];
        let gone = service.status == ServiceStatus::Inactive;
        let series = self.cloudwatch.services[id.index()].insights;
        for (series, value) in series.into_iter().zip(values).filter(|_| !gone) {
            if let Some(value) = value {
                // The model's own numbers are finite; a rejected one would only leave a gap, as CloudWatch does.
                let _ = self.cloudwatch.store.push(series, bucket, &StatisticSet::of(value));
            }
        }
    }

    fn sample_cluster(&mut self, id: ClusterId, bucket: SimTime, now: SimTime) {
        let totals = self.state.clusters[id.index()].cluster.totals();
        let usage = self.take_cluster_usage(id);
        let services = self.state.services.iter();
        let alive =
            services.filter(|service| service.cluster == id && service.status != ServiceStatus::Inactive).count();
        let counts = [alive as f64, f64::from(totals.instances)];
        for (series, count) in self.cloudwatch.clusters[id.index()].insights.into_iter().zip(counts) {
            let _ = self.cloudwatch.store.push(series, bucket, &StatisticSet::of(count));
        }
        self.sample_schedulable(id, bucket, now);
        // LEG-3: without instances there is nothing to divide by, and no value.
        if totals.registered_cpu.0 == 0 || totals.registered_memory.0 == 0 {
            return;
        }
        let series = self.cloudwatch.clusters[id.index()];
        let (cpu, memory) = (totals.registered_cpu.0 as f64, totals.registered_memory.0 as f64);
        let resource = Resource::Cluster(id);
        let samples = [
            (series.cpu_reservation, "CPUReservation", 100.0 * totals.running_cpu.0 as f64 / cpu),
            (series.memory_reservation, "MemoryReservation", 100.0 * totals.running_memory.0 as f64 / memory),
            (series.cpu_utilization, "CPUUtilization", 100.0 * usage.vcpus / totals.registered_cpu.as_vcpus()),
            (series.memory_utilization, "MemoryUtilization", 100.0 * usage.memory_mib / memory),
        ];
        for (series, metric, value) in samples {
            self.publish(series, resource, metric, bucket, &StatisticSet::of(value), now);
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
            let active = self.state.definitions.iter().enumerate().filter(|(_, call)| call.definition.active);
            definitions.extend(active.map(|(place, _)| place));
        }
        let needs = || definitions.iter().map(|place| self.state.requirements(self.definition_shapes[*place]));
        let cpu = needs().map(|needs| needs.cpu).max().unwrap_or_default();
        (cpu, needs().map(|needs| needs.memory).max().unwrap_or_default())
    }

    fn sample_target_group(&mut self, id: TargetGroupId, bucket: SimTime, now: SimTime) {
        let group = &self.state.target_groups[id.index()];
        let minute = self.load.take_target_group_minute(id, group, now);
        let registered = group.registered;
        let resource = Resource::TargetGroup(id);
        let series = self.cloudwatch.target_groups[id.index()];
        self.publish(series.requests, resource, "RequestCount", bucket, &StatisticSet::of(minute.requests), now);
        // ALBM-3: per healthy registered target, averaged over the minute; nothing while none is registered.
        if registered > 0 && minute.mean_healthy > 0.0 {
            let value = StatisticSet::of(minute.requests / minute.mean_healthy);
            self.publish(series.requests_per_target, resource, "RequestCountPerTarget", bucket, &value, now);
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
        // Values come from the model and are finite; a rejected one would only leave a gap, as CloudWatch does.
        if self.cloudwatch.store.push(series, bucket, samples).is_err() {
            return;
        }
        if let Some(value) = samples.average() {
            let record = Record::Datapoint { resource, metric, period_start: bucket, value };
            self.observer.observe(now, &record, &self.state);
        }
    }

    /// A bucket of a replayed series is over.
    pub(super) fn on_replay_tick(&mut self, place: u32, schedule: &mut Schedule<Event>) {
        let metric = &self.estate.metrics[place as usize];
        let now = schedule.now();
        let start = now - metric.period;
        let bucket = (start.as_nanos() / metric.period.as_nanos()) as usize;
        if let Some(Some(value)) = metric.values.get(bucket) {
            let series = self.cloudwatch.replays[place as usize];
            let _ = self.cloudwatch.store.push(series, start, &StatisticSet::of(*value));
        }
        if bucket + 1 < metric.values.len() {
            schedule.after(metric.period, Event::ReplayTick(place));
        }
    }

    /// `put-metric-alarm`: a new alarm starts in INSUFFICIENT_DATA, an updated one keeps its state (ALM-1).
    pub(super) fn put_metric_alarm(
        &mut self,
        call: &PutMetricAlarm,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        call.definition.check()?;
        let targets = |names: &[String]| names.iter().map(|name| self.action_target(name)).collect();
        let actions = AlarmActions {
            alarm: targets(&call.alarm_actions),
            ok: targets(&call.ok_actions),
            insufficient_data: targets(&call.insufficient_data_actions),
            enabled: call.actions_enabled,
            evaluation: None,
        };
        let known = self.find_alarm(&call.definition.name);
        match known {
            Some(id) => {
                let entry = &mut self.state.alarms[id.index()];
                entry.alarm.update(call.definition.clone(), &mut self.cloudwatch.store, &self.estate.behaviour);
                let evaluation = self.cloudwatch.alarms[id.index()].evaluation.take();
                self.cloudwatch.alarms[id.index()] = AlarmActions { evaluation, ..actions };
            }
            None => {
                self.add_alarm(call.definition.clone(), None, actions, None, schedule);
            }
        }
        Ok(())
    }

    /// Creates an alarm; `phase` pins its evaluation to a time after each datapoint (CAS-35).
    pub(super) fn add_alarm(
        &mut self,
        definition: AlarmDefinition,
        resource: Option<Resource>,
        actions: AlarmActions,
        phase: Option<SimDuration>,
        schedule: &mut Schedule<Event>,
    ) -> AlarmId {
        let now = schedule.now();
        let id = AlarmId(self.state.alarms.len() as u32);
        let mut alarm = Alarm::new(definition, &mut self.cloudwatch.store, &self.estate.behaviour, now);
        if let Some(phase) = phase {
            alarm = alarm.with_phase(phase);
        }
        let resource = resource.or_else(|| actions.alarm.iter().find_map(|target| self.action_resource(target)));
        let first = alarm.next_evaluation(now);
        self.state.alarms.push(AlarmEntry { alarm, resource, created: schedule.now(), deleted: None });
        self.cloudwatch.alarms.push(actions);
        let record = Record::Alarm {
            alarm: id,
            from: None,
            to: AlarmState::InsufficientData,
            reason: "Unchecked: Initial alarm creation",
        };
        self.observer.observe(now, &record, &self.state);
        schedule.at(first, Event::AlarmEvaluation(id));
        id
    }

    fn action_resource(&self, target: &ActionTarget) -> Option<Resource> {
        match target {
            ActionTarget::Policy(policy) => self.policy_resource(*policy),
            ActionTarget::ManagedScaling { provider, .. } => Some(Resource::Provider(*provider)),
            ActionTarget::Notification(_) => None,
        }
    }

    /// A policy by name or ARN; anything else is told, not scaled.
    fn action_target(&self, name: &str) -> ActionTarget {
        self.find_policy(name).map_or_else(|| ActionTarget::Notification(name.to_owned()), ActionTarget::Policy)
    }

    /// The alarm called `name`, unless it has been deleted.
    pub(super) fn find_alarm(&self, name: &str) -> Option<AlarmId> {
        self.state
            .alarms
            .iter()
            .position(|entry| entry.deleted.is_none() && entry.alarm.definition.name == name)
            .map(|place| AlarmId(place as u32))
    }

    /// `delete-alarms`; unknown names are ignored, as CloudWatch does when others exist.
    pub(super) fn delete_alarms(&mut self, names: &[String], now: SimTime) -> Result<(), Refused> {
        let found: Vec<AlarmId> = names.iter().filter_map(|name| self.find_alarm(name)).collect();
        if found.is_empty() {
            return Err(Refused {
                code: "ResourceNotFound",
                message: format!("no alarm is called {}", names.join(", ")),
                rule: "ALM-1",
            });
        }
        for id in found {
            self.state.alarms[id.index()].deleted = Some(now);
        }
        Ok(())
    }

    /// `enable-alarm-actions` and `disable-alarm-actions` (ALM-22).
    pub(super) fn set_alarm_actions(&mut self, names: &[String], enabled: bool) -> Result<(), Refused> {
        for name in names {
            let id = self.find_alarm(name).ok_or_else(|| Refused {
                code: "ResourceNotFound",
                message: format!("no alarm is called {name}"),
                rule: "ALM-22",
            })?;
            self.cloudwatch.alarms[id.index()].enabled = enabled;
        }
        Ok(())
    }

    /// An alarm's tick: state, notifications, and the actions due (ALM-4, ALM-20).
    pub(super) fn on_alarm_evaluation(&mut self, id: AlarmId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let entry = &mut self.state.alarms[id.index()];
        if entry.deleted.is_some() {
            return;
        }
        let evaluation = entry.alarm.evaluate(&self.cloudwatch.store, now);
        let occasion = entry.alarm.apply(&evaluation);
        let next = entry.alarm.next_evaluation(now + SimDuration::from_nanos(1));
        schedule.at(next, Event::AlarmEvaluation(id));
        let to = evaluation.state;
        if let Occasion::Transition { from } = occasion {
            let reason = evaluation.reason(&entry.alarm.definition, self.estate.start);
            let record = Record::Alarm { alarm: id, from: Some(from), to, reason: &reason };
            self.observer.observe(now, &record, &self.state);
            self.notify(id, to, &reason, now);
            if to == AlarmState::Alarm {
                self.on_alarm_raised(id, schedule);
            }
        }
        let actions = &mut self.cloudwatch.alarms[id.index()];
        actions.evaluation = Some(evaluation);
        let scales = actions.enabled && actions.targets(to).iter().any(ActionTarget::is_scaling);
        if scales && occasion != Occasion::Nothing {
            let managed =
                actions.targets(to).iter().any(|target| matches!(target, ActionTarget::ManagedScaling { .. }));
            // `alarm_eval_delay_s` of managed scaling reaches to its action; other actions take `action_latency`.
            let latency = if managed { SimDuration::ZERO } else { self.estate.behaviour.action_latency };
            schedule.after(latency, Event::AlarmAction(id));
        }
    }

    fn notify(&mut self, id: AlarmId, state: AlarmState, reason: &str, now: SimTime) {
        let actions = &self.cloudwatch.alarms[id.index()];
        if !actions.enabled {
            return;
        }
        for target in actions.targets(state) {
            if let ActionTarget::Notification(topic) = target {
                let record = Record::Notification { alarm: id, target: topic, state, reason };
                self.observer.observe(now, &record, &self.state);
            }
        }
    }

    /// The scaling actions of an alarm's present state, with the datapoints of its newest evaluation (ALM-23).
    pub(super) fn on_alarm_action(&mut self, id: AlarmId, schedule: &mut Schedule<Event>) {
        let entry = &self.state.alarms[id.index()];
        let actions = &self.cloudwatch.alarms[id.index()];
        let (true, true, Some(evaluation)) = (entry.deleted.is_none(), actions.enabled, actions.evaluation.clone())
        else {
            return;
        };
        let targets: Vec<ActionTarget> =
            actions.targets(evaluation.state).iter().filter(|target| target.is_scaling()).cloned().collect();
        for target in targets {
            match target {
                ActionTarget::Policy(policy) => self.invoke_policy(policy, id, evaluation.clone(), schedule),
                ActionTarget::ManagedScaling { provider, high } => {
                    self.on_reservation_action(provider, high, id, &evaluation, schedule);
                }
                ActionTarget::Notification(_) => {}
            }
        }
    }
}

impl AlarmActions {
    /// Only ALARM actions, for a managed alarm (ALM-24).
    pub(super) fn on_alarm(target: ActionTarget) -> Self {
        Self { alarm: vec![target], enabled: true, ..Self::default() }
    }

    fn targets(&self, state: AlarmState) -> &[ActionTarget] {
        match state {
            AlarmState::Alarm => &self.alarm,
            AlarmState::Ok => &self.ok,
            AlarmState::InsufficientData => &self.insufficient_data,
        }
    }
}

/// ECSM-5: one sample per running task, the mean of its readings; `young` are the starts within the minute.
fn task_samples(
    readings: &[Reading],
    running: u32,
    young: &[SimTime],
    value: impl Fn(&Reading) -> f64,
) -> StatisticSet {
    let mean_since = |start: SimTime| {
        let own: Vec<f64> = readings.iter().filter(|reading| reading.at > start).map(&value).collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    };
    let mut set = StatisticSet::EMPTY;
    let old = running.saturating_sub(young.len() as u32);
    if old > 0
        && let Some(mean) = mean_since(SimTime::ZERO)
    {
        set.merge(&StatisticSet::repeated(mean, u64::from(old)));
    }
    for start in young {
        // A task that started after the last reading has none yet.
        if let Some(mean) = mean_since(*start) {
            set.merge(&StatisticSet::of(mean));
        }
    }
    set
}
