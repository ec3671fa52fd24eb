//! Services: desired, pending and running counts, deployments, back-off of starts (SVC-*).

use std::collections::{BTreeMap, BTreeSet};

use crate::ecs::capacity_provider::Provider;
use crate::ecs::deployment::{
    CircuitBreaker, Deployment, DeploymentAlarms, DeploymentStrategy, Limits, RolloutState, Stage,
};
use crate::ecs::ids::{
    ClusterId, InstanceId, ProfileId, TargetGroupId, TaskDefinitionId, TaskGroupId, TaskKey, ZoneId,
};
use crate::ecs::task::LaunchTarget;
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
    /// `loadBalancers` with their target groups.
    pub load_balancers: Vec<(TargetGroupId, ServiceLoadBalancer)>,
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
    pub rollback_target: Option<(u64, TaskDefinitionId)>,
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
    /// Newest placement failure text, suppressed for 6 h (SVC-12).
    pub last_placement_message: Option<(SimTime, String)>,
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
        match newest.stage {
            // One that has not taken all of it yet leaves the other in production.
            Stage::ScaleUp { blue } | Stage::Shifting { blue, .. } => Some(blue),
            Stage::Rolling | Stage::Baking { .. } | Stage::CleanUp { .. } => Some(newest.number),
        }
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

/// `monitoring.metricConfigurations`: which metrics are published every 20 s instead of every minute (ECSM-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Monitoring {
    /// `CPUUtilization`.
    pub cpu_every_20s: bool,
    /// `MemoryUtilization`.
    pub memory_every_20s: bool,
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
        }
    }
}

impl DeploymentConfiguration {
    /// Refuses percentages that ECS refuses (SVC-4).
    ///
    /// # Errors
    /// The upper limit is below 100 %, or the lower one above.
    pub fn check(&self) -> Result<(), Refused> {
        let refused = |message: String| Err(Refused { code: "InvalidParameterException", message, rule: "SVC-4" });
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
    /// `targetGroupArn`, as a name.
    pub target_group: String,
    /// `containerName`.
    pub container: String,
    /// `containerPort`.
    pub container_port: u16,
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
