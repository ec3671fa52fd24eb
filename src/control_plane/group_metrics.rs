//! What CloudWatch knows of Auto Scaling groups: their sizes, and the CPU of their hosts (EC2S-1).

use crate::control_plane::ControlPlane;
use crate::control_plane::load::OwnUse;
use crate::control_plane::record::Resource;
use crate::control_plane::service_scaling::PolicyResource;
use crate::ec2::auto_scaling_group::AutoScalingGroup;
use crate::ec2::instance::Lifecycle;
use crate::ecs::container_instance::ContainerInstance;
use crate::ecs::ids::GroupId;
use crate::ecs::task::TaskStatus;
use crate::engine::time::{SimDuration, SimTime};
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::{SeriesId, StatisticSet};
use crate::scaling::policy::{PolicyDefinition, instance_warmup};
use crate::units::CpuMilliUnits;

/// Sizes of a group, one sample a minute.
const GROUP_METRICS: [&str; 8] = [
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
];

const AUTO_SCALING: &str = "AWS/AutoScaling";
const EC2: &str = "AWS/EC2";
const CPU: &str = "CPUUtilization";

/// The series of one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupSeries {
    /// In order of [`GROUP_METRICS`].
    sizes: [SeriesId; GROUP_METRICS.len()],
    cpu: SeriesId,
}

/// The CPU of a group's hosts, which target tracking may follow (`ASGAverageCPUUtilization`).
fn cpu_key(group: &str) -> MetricKey {
    MetricKey::new(EC2, CPU, &[("AutoScalingGroupName", group)])
}

/// Values of a group's sizes, in order of [`GROUP_METRICS`].
fn sizes(group: &AutoScalingGroup) -> [u32; GROUP_METRICS.len()] {
    let (ready, pending, standby, terminating) =
        (group.in_service(), group.pending(), group.standby(), group.terminating());
    let total = ready + pending + standby + terminating;
    [group.min(), group.max(), group.desired(), ready, pending, standby, terminating, total]
}

/// The group of a metric that is published of groups; `None` of any other metric.
pub(super) fn group_of_metric(key: &MetricKey) -> Option<&str> {
    let [(dimension, name)] = &key.dimensions[..] else { return None };
    let known = match key.namespace.as_str() {
        AUTO_SCALING => GROUP_METRICS.contains(&key.name.as_str()),
        EC2 => key.name == CPU,
        _ => false,
    };
    (known && dimension == "AutoScalingGroupName").then_some(name)
}

impl ControlPlane<'_> {
    /// A group has been created: what is measured of it gets series of its own.
    pub(super) fn add_group_series(&mut self, id: GroupId) {
        let name = self.state.groups[id.index()].definition.name.clone();
        let dimensions = [("AutoScalingGroupName", name.as_str())];
        let delay = self.estate.behaviour.metric_delay.ec2;
        let sizes = GROUP_METRICS.map(|metric| self.cloudwatch.add_minutely(AUTO_SCALING, metric, &dimensions, delay));
        let cpu = if self.is_replayed(&cpu_key(&name)) {
            self.cloudwatch.store.intern(&cpu_key(&name))
        } else {
            self.cloudwatch.add_minutely(EC2, CPU, &dimensions, delay)
        };
        self.cloudwatch.groups.push(GroupSeries { sizes, cpu });
    }

    fn is_replayed(&self, key: &MetricKey) -> bool {
        self.estate.metrics.iter().any(|metric| metric.key == *key)
    }

    /// Each minute: the sizes of a group; the CPU of its hosts where an alarm watches it, for that is a look at each task.
    pub(super) fn sample_group(&mut self, id: GroupId, bucket: SimTime, now: SimTime) {
        let group = &self.state.groups[id.index()];
        let (sizes, key) = (sizes(group), cpu_key(&group.definition.name));
        let series = self.cloudwatch.groups[id.index()];
        for (series, value) in series.sizes.into_iter().zip(sizes) {
            self.push_samples(series, bucket, &StatisticSet::of(f64::from(value)), None, now);
        }
        let watched = self.state.alarms.iter().filter(|entry| entry.deleted.is_none()).any(|entry| {
            let metrics = entry.alarm.definition.watched.metrics();
            metrics.iter().any(|(metric, _)| **metric == key)
        });
        if !watched || self.is_replayed(&key) {
            return;
        }
        let samples = self.group_cpu(id, now);
        if samples.samples > 0 {
            self.publish(series.cpu, Resource::Group(id), CPU, bucket, &samples, now);
        }
    }

    /// EC2S-1: a sample of each host that is in service and warm. Policies know which hosts the newest of these leave out (see
    /// [`GroupView::unseen`](crate::scaling::policy::GroupView)).
    fn group_cpu(&self, id: GroupId, now: SimTime) -> StatisticSet {
        let warmup = self.group_warmup(id);
        let mut samples = StatisticSet::EMPTY;
        for instance in self.state.groups[id.index()].instances() {
            let in_service = instance.in_service.filter(|_| instance.lifecycle() == Lifecycle::InService);
            if in_service.is_none_or(|since| since.saturating_add(warmup) > now) {
                continue;
            }
            // A host without an agent runs no tasks.
            let percent = self.state.container_instance(instance).map_or(0.0, |host| self.host_cpu_percent(host));
            samples.merge(&StatisticSet::of(percent));
        }
        samples
    }

    /// The longest warm-up that a policy of the group asks for; without policies, the group's own if it has one (EC2S-3).
    fn group_warmup(&self, id: GroupId) -> SimDuration {
        let definition = &self.state.groups[id.index()].definition;
        let (default, cooldown) = (definition.default_instance_warmup, definition.default_cooldown);
        let policies = self.scaling.policies.iter().filter(|policy| policy.exists);
        let warmups = policies.filter(|policy| policy.resource == PolicyResource::Group(id)).filter_map(|policy| {
            let estimated = match &policy.definition {
                PolicyDefinition::TargetTracking(tracking) => tracking.estimated_instance_warmup,
                PolicyDefinition::Step(step) => step.estimated_instance_warmup,
                PolicyDefinition::Simple(_) | PolicyDefinition::Predictive(_) => return None,
            };
            Some(instance_warmup(estimated, default, cooldown))
        });
        warmups.max().unwrap_or(default.unwrap_or_default())
    }

    /// What the tasks of a host use of its CPU: each what it uses by itself, and its even share of what workloads have used
    /// of its service over the minute. Never more than there is.
    fn host_cpu_percent(&self, host: &ContainerInstance) -> f64 {
        let registered = host.registered.cpu.as_vcpus();
        if registered <= 0.0 {
            return 0.0;
        }
        let tasks = host.tasks.keys().filter_map(|key| self.state.tasks.get(*key));
        let running = tasks.filter(|task| task.last_status == TaskStatus::Running && task.desired_running());
        let mut own = CpuMilliUnits(0);
        let mut load = 0.0;
        for task in running {
            own += OwnUse::of(task, self.state.requirements(task.shape).cpu).cpu;
            if let Some(owner) = task.owner.filter(|_| task.takes_load) {
                load += self.load.services[owner.service.index()].vcpus_per_taker();
            }
        }
        (100.0 * (own.as_vcpus() + load) / registered).min(100.0)
    }
}
