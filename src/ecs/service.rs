//! Services: desired, pending and running counts, deployments, back-off of starts (SVC-*).

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::capacity_provider::{PlatformVersion, Provider};
use crate::ecs::deployment::{CircuitBreaker, Deployment, DeploymentAlarms, Limits, RolloutState};
use crate::ecs::ebs::EbsVolume;
use crate::ecs::ids::{
    ClusterId, InstanceId, ProfileId, SoftwareId, TargetGroupId, TaskDefinitionId, TaskGroupId, TaskKey, ZoneId,
};
use crate::ecs::service_events::EventList;
use crate::ecs::task::LaunchTarget;
use crate::ecs::task_definition::{PortMapping, TaskDefinition};
use crate::ecs::task_set::TaskSet;
use crate::ecs::traffic_shift::{DeploymentStrategy, LifecycleHook};
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::constraint::Constraint;
use crate::placement::strategy::PlacementStrategy;
use crate::refused::Refused;

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// `serviceName`.
    pub name: String,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its task group, `service:<name>`.
    pub group: TaskGroupId,
    /// The rules its next tasks are placed by.
    pub profile: ProfileId,
    /// ACTIVE, DRAINING or INACTIVE (SVC-17).
    pub status: ServiceStatus,
    /// `desiredCount`; of a DAEMON service, the number of its hosts (DEP-1).
    pub desired: u32,
    /// Hosts that a DAEMON service wants a task on; empty for others.
    pub daemon_hosts: BTreeSet<InstanceId>,
    /// Where its tasks go.
    pub launch: ResolvedLaunch,
    /// REPLICA or DAEMON.
    pub scheduling: SchedulingStrategy,
    /// `placementConstraints`.
    pub constraints: Vec<Constraint>,
    /// `placementStrategy`; empty means the default of PLACE-5.
    pub strategy: Vec<PlacementStrategy>,
    /// `deploymentConfiguration`.
    pub deployment_configuration: DeploymentConfiguration,
    /// `deploymentController`.
    pub controller: DeploymentController,
    /// `loadBalancers` with their target groups.
    pub load_balancers: Vec<(TargetGroupId, ServiceLoadBalancer)>,
    /// What its tasks are made of beside their definition (SVC-15).
    pub settings: TaskSettings,
    /// `healthCheckGracePeriodSeconds`.
    pub health_check_grace: SimDuration,
    /// `monitoring`.
    pub monitoring: Monitoring,
    /// Zones it may use; empty means all.
    pub zones: Vec<ZoneId>,
    /// `assignPublicIp` of its network.
    pub public_ip: bool,
    /// Deployments, PRIMARY last; older ones are ACTIVE until their last task is told to stop.
    pub deployments: Vec<Deployment>,
    /// Number of deployments ever created.
    pub deployments_created: u32,
    /// The deployment that was completed last, digits and revision: where a rollback goes (DEP-14).
    pub rollback_target: Option<(u64, TaskDefinitionId, Option<SoftwareId>)>,
    /// Its tasks that are wanted, by creation order.
    pub tasks: BTreeMap<u64, TaskKey>,
    /// Of those, the ones RUNNING.
    pub running: u32,
    /// Of those, the ones that count as healthy.
    pub healthy: u32,
    /// Its tasks told to stop and not yet STOPPED.
    pub stopping: u32,
    /// Back-off of starts that fail over and over (SVC-10).
    pub start_backoff: Backoff,
    /// Back-off of placements that find no room (SVC-12).
    pub placement_backoff: Backoff,
    /// Launch rate (SVC-14).
    pub launch_tokens: TokenBucket,
    /// `availabilityZoneRebalancing`, and how far it is (SVC-20).
    pub rebalancing: Rebalancing,
    /// Tasks that protection has kept from being stopped, when last looked (SVC-13).
    pub spared: u32,
    /// Of its wanted tasks, those in PROVISIONING.
    pub provisioning: u32,
    /// Whether it has reached the steady state since the last change (SVC-6).
    pub steady: bool,
    /// When its steady state is announced again (SVC-6).
    pub steady_repeats_at: Option<SimTime>,
    /// Its list of events (SVC-18).
    pub events: EventList,
    /// When the earliest scheduled reconcile round of this service is due.
    pub next_round: Option<SimTime>,
}

/// Rebalancing of a service's tasks over Availability Zones (SVC-20…22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebalancing {
    /// ENABLED.
    pub enabled: bool,
    /// Whether tasks are being moved.
    pub under_way: bool,
    /// When the zones are looked at next.
    pub due: Option<SimTime>,
    /// The task started in the zone with fewest, until it is healthy.
    pub newcomer: Option<TaskKey>,
    /// The zone that a task leaves when it is.
    pub from: Option<ZoneId>,
}

/// `status` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// In service.
    Active,
    /// Deleted, tasks still stopping.
    Draining,
    /// Deleted.
    Inactive,
}

/// A launch choice after the cluster's default has been looked up (CP-4).
#[derive(Clone, Debug, PartialEq)]
pub enum ResolvedLaunch {
    /// A launch type.
    Type(LaunchTarget),
    /// A capacity provider strategy: provider, base, weight.
    Strategy(Vec<ResolvedItem>),
}

impl ResolvedLaunch {
    /// True when its tasks run on Fargate; a strategy never mixes the kinds (CP-3).
    pub fn is_fargate(&self) -> bool {
        match self {
            Self::Type(target) => target.is_fargate(),
            Self::Strategy(items) => items.iter().all(|item| !matches!(item.provider, Provider::Group(_))),
        }
    }
}

/// One item of a resolved strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedItem {
    /// The provider.
    pub provider: Provider,
    /// Tasks that go there first.
    pub base: u32,
    /// Share of the rest.
    pub weight: u32,
}

impl Service {
    /// What it gives its tasks beside a place; a task set has a network of its own.
    pub fn extras(&self, task_set: Option<&TaskSet>) -> TaskExtras {
        TaskExtras {
            public_ip: task_set.map_or(self.public_ip, |set| set.public_ip),
            platform: self.settings.platform(),
            volume: self.settings.volume,
        }
    }

    /// Tasks wanted and not yet RUNNING (TASK-6).
    pub fn pending(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX) - self.running
    }

    /// The deployment that new tasks belong to.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.last()
    }

    /// The newest deployment, while it is in progress.
    pub fn deployment_under_way(&mut self) -> Option<&mut Deployment> {
        self.deployments.last_mut().filter(|primary| primary.rollout == RolloutState::InProgress)
    }

    /// Number of the deployment that takes the production traffic, before a new one begins (DEP-20).
    pub fn in_production(&self) -> Option<u32> {
        let newest = self.primary()?;
        // One that has not taken all of it yet leaves the other in production.
        let blue = newest.stage.blue().filter(|_| newest.traffic_permille < 1000);
        Some(blue.unwrap_or(newest.number))
    }

    /// The deployment with this number.
    pub fn deployment(&self, number: u32) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.number == number)
    }

    /// The target groups of the tasks of a deployment.
    pub fn load_balancers_of(&self, deployment: u32) -> &[(TargetGroupId, ServiceLoadBalancer)] {
        self.deployment(deployment).map_or(&self.load_balancers[..], |deployment| &deployment.load_balancers)
    }

    /// Whether something can tell the traffic of two revisions apart: a balancer, or Service Connect (DEP-20).
    pub fn traffic_is_managed(&self) -> bool {
        !self.load_balancers.is_empty()
            || self.settings.service_connect
            || self.deployments.iter().any(|deployment| !deployment.load_balancers.is_empty())
    }

    /// Who takes the production traffic: fleets and their shares in tenths of a percent, 1000 together. Empty when nothing
    /// tells the traffic of two fleets apart, and all tasks share it.
    pub fn traffic(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let newest = self.primary().filter(|_| self.traffic_is_managed());
        let shares = newest.map(|newest| match newest.stage.blue().and_then(|blue| self.deployment(blue)) {
            Some(blue) if blue.fleet != newest.fleet => {
                let permille = newest.traffic_permille;
                (Some((blue.fleet, 1000 - permille)), (newest.fleet, permille))
            }
            _ => (None, (newest.fleet, 1000)),
        });
        let (old, new) = shares.map_or((None, None), |(old, new)| (old, Some(new)));
        old.into_iter().chain(new)
    }

    /// True when the newest deployment has failed and nothing took its place: no tasks are started (DEP-14).
    pub fn launches_stopped(&self) -> bool {
        self.primary().is_some_and(|primary| primary.rollout == RolloutState::Failed)
    }

    /// The revision that new tasks run.
    pub fn definition(&self) -> Option<TaskDefinitionId> {
        self.primary().map(|deployment| deployment.definition)
    }

    /// DEP-1 for its present desired count.
    pub fn limits(&self) -> Limits {
        let configuration = &self.deployment_configuration;
        Limits::new(self.desired, configuration.minimum_healthy_percent, configuration.maximum_percent)
    }

    /// True while an older deployment still has tasks, or the newest is not completed.
    pub fn is_deploying(&self) -> bool {
        self.deployments.len() > 1 || self.primary().is_some_and(|primary| primary.rollout == RolloutState::InProgress)
    }
}

/// `deploymentController` (DEP-26, DEP-27).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeploymentController {
    /// ECS itself.
    #[default]
    Ecs,
    /// AWS CodeDeploy.
    CodeDeploy,
    /// Whoever makes the task sets.
    External,
}

impl DeploymentController {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecs => "ECS",
            Self::CodeDeploy => "CODE_DEPLOY",
            Self::External => "EXTERNAL",
        }
    }
}

/// What the tasks of a service are made of beside their definition: a change starts a deployment (SVC-15).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSettings {
    /// `platformVersion`; `None` is LATEST.
    pub platform_version: Option<String>,
    /// `serviceConnectConfiguration.enabled` (NET-7).
    pub service_connect: bool,
    /// `serviceRegistries`, as they are written; empty without service discovery.
    pub registries: String,
    /// `volumeConfigurations`, as they are written.
    pub volumes: String,
    /// The EBS volume that they give each task (VOL-2).
    pub volume: Option<EbsVolume>,
    /// `vpcLatticeConfigurations`, as they are written.
    pub lattice: String,
}

impl TaskSettings {
    /// The platform version as numbers; `None` is LATEST.
    pub fn platform(&self) -> Option<PlatformVersion> {
        let mut numbers = self.platform_version.as_deref()?.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

/// What a call or service gives its tasks beside a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskExtras {
    /// `assignPublicIp`.
    pub public_ip: bool,
    /// `platformVersion` on Fargate; LATEST when absent (FG-10).
    pub platform: Option<PlatformVersion>,
    /// The EBS volume of each task (VOL-2).
    pub volume: Option<EbsVolume>,
}

/// `monitoring.metricConfigurations`: which metrics are published every 20 s instead of every minute (ECSM-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Monitoring {
    /// `CPUUtilization`.
    pub cpu_every_20s: bool,
    /// `MemoryUtilization`.
    pub memory_every_20s: bool,
}

impl Service {
    /// Task sets of an external deployment controller.
    pub fn task_sets(&self) -> usize {
        self.deployments.iter().filter(|deployment| deployment.task_set.is_some()).count()
    }
}

impl Monitoring {
    /// CPU, memory.
    pub const fn high_resolution(self) -> [bool; 2] {
        [self.cpu_every_20s, self.memory_every_20s]
    }
}

/// Exponential back-off: 5, 10, 20, … up to a cap (SVC-11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    /// Failed rounds in a row.
    pub failures: u32,
    /// No attempt before this instant.
    pub not_before: SimTime,
}

impl Backoff {
    /// The wait after `failures` failures in a row: `min(max, base * 2^(failures - 1))`.
    pub fn delay(failures: u32, base: SimDuration, max: SimDuration) -> SimDuration {
        if failures == 0 {
            return SimDuration::ZERO;
        }
        let doublings = (failures - 1).min(32);
        let nanos = base.as_nanos().saturating_mul(1 << doublings);
        SimDuration::from_nanos(nanos).min(max)
    }

    /// Counts one more failed round, seen at `now`; returns when the next attempt may be made.
    pub fn fail(&mut self, now: SimTime, base: SimDuration, max: SimDuration) -> SimTime {
        self.failures += 1;
        self.not_before = now + Self::delay(self.failures, base, max);
        self.not_before
    }

    /// A success, or a change that clears the clock (SVC-10).
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// A token bucket in exact arithmetic: `rate` tokens a minute, at most `burst` (SVC-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    rate_per_min: u64,
    burst: u64,
    /// Tokens times 60e9, so that a nanosecond's refill is the integer `rate`.
    level: u128,
    updated: SimTime,
}

const TOKEN: u128 = 60_000_000_000;

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate_per_min: u32, burst: u32) -> Self {
        Self {
            rate_per_min: u64::from(rate_per_min),
            burst: u64::from(burst),
            level: u128::from(burst) * TOKEN,
            updated: SimTime::ZERO,
        }
    }

    /// Takes up to `wanted` whole tokens at `now` and returns how many there were.
    pub fn take(&mut self, wanted: u32, now: SimTime) -> u32 {
        let elapsed = u128::from(now.saturating_since(self.updated).as_nanos());
        self.level = (self.level + elapsed * u128::from(self.rate_per_min)).min(u128::from(self.burst) * TOKEN);
        self.updated = now;
        let whole = u32::try_from(self.level / TOKEN).unwrap_or(u32::MAX);
        let taken = wanted.min(whole);
        self.level -= u128::from(taken) * TOKEN;
        taken
    }

    /// Returns tokens that were taken and not used.
    pub fn put_back(&mut self, unused: u32) {
        self.level = (self.level + u128::from(unused) * TOKEN).min(u128::from(self.burst) * TOKEN);
    }

    /// Whole tokens that are there at `now`.
    pub fn available(&mut self, now: SimTime) -> u32 {
        let there = self.take(u32::MAX, now);
        self.put_back(there);
        there
    }

    /// The first instant at which one token is there, or `None` when it never refills.
    pub fn next_token(&self) -> Option<SimTime> {
        self.ready_at(1)
    }

    /// The first instant at which `wanted` tokens are there, or `None` when it never holds so many.
    pub fn ready_at(&self, wanted: u32) -> Option<SimTime> {
        let wanted = u128::from(wanted) * TOKEN;
        if self.level >= wanted {
            return Some(self.updated);
        }
        if self.rate_per_min == 0 || u128::from(self.burst) * TOKEN < wanted {
            return None;
        }
        let missing = (wanted - self.level).div_ceil(u128::from(self.rate_per_min));
        Some(self.updated + SimDuration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX)))
    }
}

/// `deploymentConfiguration` (DEP-1, DEP-10, DEP-16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentConfiguration {
    /// `minimumHealthyPercent`.
    pub minimum_healthy_percent: u32,
    /// `maximumPercent`.
    pub maximum_percent: u32,
    /// `deploymentCircuitBreaker`, when enabled.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// `alarms`, when enabled.
    pub alarms: Option<DeploymentAlarms>,
    /// `bakeTimeInMinutes`: how long alarms are watched when all is done.
    pub bake_time: Option<SimDuration>,
    /// `strategy`.
    pub strategy: DeploymentStrategy,
    /// `lifecycleHooks` (DEP-22).
    pub hooks: Vec<LifecycleHook>,
}

/// What a call says of a `deploymentConfiguration`; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeploymentChange {
    /// `minimumHealthyPercent`.
    pub minimum_healthy_percent: Option<u32>,
    /// `maximumPercent`.
    pub maximum_percent: Option<u32>,
    /// `deploymentCircuitBreaker`; `Some(None)` turns it off.
    pub circuit_breaker: Option<Option<CircuitBreaker>>,
    /// `alarms`; `Some(None)` turns them off.
    pub alarms: Option<Option<DeploymentAlarms>>,
    /// `bakeTimeInMinutes`.
    pub bake_time: Option<SimDuration>,
    /// `strategy` with its settings.
    pub strategy: Option<DeploymentStrategy>,
    /// `lifecycleHooks`.
    pub hooks: Option<Vec<LifecycleHook>>,
}

impl DeploymentChange {
    /// `present` with what the call says.
    pub fn apply_to(&self, present: &DeploymentConfiguration) -> DeploymentConfiguration {
        DeploymentConfiguration {
            minimum_healthy_percent: self.minimum_healthy_percent.unwrap_or(present.minimum_healthy_percent),
            maximum_percent: self.maximum_percent.unwrap_or(present.maximum_percent),
            circuit_breaker: self.circuit_breaker.unwrap_or(present.circuit_breaker),
            alarms: self.alarms.clone().unwrap_or_else(|| present.alarms.clone()),
            bake_time: self.bake_time.or(present.bake_time),
            strategy: self.strategy.unwrap_or(present.strategy),
            hooks: self.hooks.clone().unwrap_or_else(|| present.hooks.clone()),
        }
    }
}

impl DeploymentConfiguration {
    /// What a DAEMON service has when nothing is said: 0 % and 100 % (DEP-1).
    pub fn of_daemon() -> Self {
        Self { minimum_healthy_percent: 0, maximum_percent: 100, ..Self::default() }
    }
}

impl Default for DeploymentConfiguration {
    fn default() -> Self {
        Self {
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            circuit_breaker: None,
            alarms: None,
            bake_time: None,
            strategy: DeploymentStrategy::Rolling,
            hooks: Vec::new(),
        }
    }
}

impl DeploymentConfiguration {
    /// Refuses percentages that ECS refuses (SVC-4).
    ///
    /// # Errors
    /// The upper limit is below 100 %, or the lower one above.
    pub fn check(&self) -> Result<(), Refused> {
        let refused = |message: String| Err(Refused::parameter("SVC-4", message));
        if self.maximum_percent < 100 {
            return refused(format!("maximumPercent must be at least 100, not {}", self.maximum_percent));
        }
        if self.minimum_healthy_percent > 100 {
            return refused(format!("minimumHealthyPercent must be at most 100, not {}", self.minimum_healthy_percent));
        }
        Ok(())
    }
}

/// `schedulingStrategy` (SVC-1, SVC-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedulingStrategy {
    /// Keep `desiredCount` tasks.
    #[default]
    Replica,
    /// One task per matching instance.
    Daemon,
}

/// One entry of a service's `loadBalancers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLoadBalancer {
    /// `targetGroupArn`, as a name; `loadBalancerName` of a Classic Load Balancer.
    pub target_group: String,
    /// `advancedConfiguration.alternateTargetGroupArn`: where the other revision registers (DEP-20).
    pub alternate: Option<String>,
    /// `containerName`.
    pub container: String,
    /// `containerPort`.
    pub container_port: u16,
}

impl ServiceLoadBalancer {
    /// The port mapping that its targets listen on (ELB-1).
    ///
    /// # Errors
    /// The definition has no such container, or the container no such port.
    pub fn mapping<'a>(&self, definition: &'a TaskDefinition) -> Result<&'a PortMapping, NoTarget> {
        let container = definition.containers.iter().find(|container| container.name == self.container);
        let container = container.ok_or_else(|| NoTarget::Container(self.container.clone()))?;
        let mappings = &container.port_mappings;
        mappings
            .iter()
            .find(|mapping| mapping.container_port == self.container_port)
            .ok_or_else(|| NoTarget::Port(self.container.clone(), self.container_port))
    }
}

/// Why tasks cannot be targets of a load balancer (ELB-1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// No such container.
    #[error("The container {0} does not exist in the task definition.")]
    Container(String),
    /// No such port.
    #[error("The container {0} did not have a container port {1} defined.")]
    Port(String, u16),
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECS: fn(u64) -> SimDuration = SimDuration::from_secs;

    #[test]
    fn ex_svc_5_attempts_double_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let mut attempt = SimTime::ZERO;
        let mut attempts = vec![attempt];
        for _ in 0..10 {
            attempt = backoff.fail(attempt, SECS(5), SECS(1620));
            attempts.push(attempt);
        }
        let expected = [0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555, 4175];
        assert_eq!(attempts, expected.map(SimTime::from_secs));
    }

    #[test]
    fn ex_svc_9_launches_are_limited_by_the_bucket() {
        let mut bucket = TokenBucket::new(500, 83);
        let mut now = SimTime::ZERO;
        let mut launched = 0;
        while launched < 600 {
            launched += bucket.take(600 - launched, now);
            if launched < 600 {
                now = bucket.next_token().unwrap();
            }
        }
        assert!((now.as_secs_f64() - 62.04).abs() < 0.05, "last at {now}");
    }

    #[test]
    fn svc_14_unused_tokens_go_back() {
        let mut bucket = TokenBucket::new(60, 10);
        assert_eq!(bucket.take(10, SimTime::ZERO), 10);
        bucket.put_back(7);
        assert_eq!(bucket.take(10, SimTime::ZERO), 7);
        bucket.put_back(100);
        assert_eq!(bucket.take(100, SimTime::ZERO), 10, "never above the burst");
    }
}
