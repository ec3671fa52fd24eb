//! Deployments of a service: limits and progress of a rolling update (DEP-1…8).

use crate::ecs::ids::{AlarmId, TargetGroupId, TaskDefinitionId};
use crate::ecs::service::ServiceLoadBalancer;
use crate::ecs::software::Resolution;
use crate::ecs::task_set::TaskSet;
use crate::ecs::traffic_shift::{PendingHook, ShiftPlan, Stage};
use crate::engine::time::SimTime;

/// One deployment of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// 1 for the service's first, then one more each.
    pub number: u32,
    /// The 19 digits of `ecs-svc/…` (EVT-2).
    pub id: u64,
    /// The revision it rolls out.
    pub definition: TaskDefinitionId,
    /// When it was created.
    pub created: SimTime,
    /// How far it is.
    pub rollout: RolloutState,
    /// Its status as a service deployment (DEP-8).
    pub status: ServiceDeploymentStatus,
    /// The deployment it goes back from, until it has arrived: its status follows (DEP-8).
    pub rolls_back: Option<u64>,
    /// Where it is on its way, unless it just rolls (DEP-21).
    pub stage: Stage,
    /// How its traffic moves; a later change of the service's configuration is for the next deployment.
    pub plan: ShiftPlan,
    /// Hooks of the present stage that have not let it go on (DEP-22).
    pub pending_hooks: Vec<PendingHook>,
    /// Its share of the production traffic, in tenths of a percent.
    pub traffic_permille: u32,
    /// Whose tasks the balancer does not tell apart from its own: a rolling deployment joins the one in production.
    pub fleet: u32,
    /// Whether it uses the alternate target groups of the service (DEP-20).
    pub alternate: bool,
    /// The target groups that its tasks register with.
    pub load_balancers: Vec<(TargetGroupId, ServiceLoadBalancer)>,
    /// What a task set of an EXTERNAL controller has of its own (DEP-27).
    pub task_set: Option<TaskSet>,
    /// Failures that the circuit breaker has counted (DEP-12).
    pub failures: u32,
    /// Alarms that were in ALARM when it began (DEP-16).
    pub ignored_alarms: Vec<AlarmId>,
    /// Since when its tasks have been healthy and the old ones gone, while alarms are still watched (DEP-16).
    pub bakes_since: Option<SimTime>,
    /// Which images its tasks run (TD-29).
    pub resolution: Resolution,
}

impl Deployment {
    /// `ecs-svc/<19 digits>`.
    pub fn aws_id(&self) -> String {
        Self::format_id(self.id)
    }

    /// `ecs-svc/<19 digits>` of these digits.
    pub fn format_id(digits: u64) -> String {
        format!("ecs-svc/{digits:019}")
    }
}

/// `rolloutState` (DEP-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutState {
    /// Under way.
    InProgress,
    /// Done: the new revision has all its tasks, the old none.
    Completed,
    /// Given up: no more tasks of it are started (DEP-14).
    Failed,
}

impl RolloutState {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// `status` of a service deployment, as DescribeServiceDeployments shows it (DEP-8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceDeploymentStatus {
    /// Asked for; nothing has been done for it yet.
    #[default]
    Pending,
    /// Under way.
    InProgress,
    /// Done.
    Successful,
    /// Asked to stop where it is.
    StopRequested,
    /// Stopped where it was, by a call or because a newer one has taken its place.
    Stopped,
    /// Failed or asked to stop, and to go back.
    RollbackRequested,
    /// The revision before it is on its way back.
    RollbackInProgress,
    /// That revision is back.
    RollbackSuccessful,
    /// There is no way back, or it failed too.
    RollbackFailed,
}

impl ServiceDeploymentStatus {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Whether nothing more happens to it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

/// `deploymentCircuitBreaker`, when it is on (DEP-10, DEP-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// `rollback`.
    pub rollback: bool,
    /// `resetOnHealthyTask`, true unless said (DEP-13).
    pub reset_on_healthy_task: bool,
    /// `thresholdConfiguration`.
    pub threshold: BreakerThreshold,
}

/// `thresholdConfiguration` of a circuit breaker (DEP-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerThreshold {
    /// `BOUNDED_PERCENT`: so many percent of the desired count, at least 3 and at most 200.
    BoundedPercent(u32),
    /// `UNBOUNDED_PERCENT`: the same without bounds.
    UnboundedPercent(u32),
    /// `COUNT`.
    Count(u32),
}

impl CircuitBreaker {
    /// How many failures trip it at this desired count; `minimum` is the floor, `cb_min` (DEP-10).
    pub fn threshold(&self, desired: u32, minimum: u32) -> u32 {
        let share =
            |percent: u32| u32::try_from((u64::from(desired) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX);
        match self.threshold {
            BreakerThreshold::BoundedPercent(percent) => share(percent).max(minimum).min(200),
            BreakerThreshold::UnboundedPercent(percent) => share(percent).max(1),
            BreakerThreshold::Count(count) => count,
        }
    }
}

/// `alarms` of a deployment configuration, when they are on (DEP-16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentAlarms {
    /// `alarmNames`.
    pub names: Vec<String>,
    /// `rollback`.
    pub rollback: bool,
}

/// The lower and upper task limit of a deployment (DEP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `lo = ceil(D * minimumHealthyPercent / 100)`.
    pub lower: u32,
    /// `hi = floor(D * maximumPercent / 100)`.
    pub upper: u32,
}

impl Limits {
    /// The limits for a desired count and the two percentages; exact integer arithmetic.
    pub fn new(desired: u32, minimum_healthy_percent: u32, maximum_percent: u32) -> Self {
        let scaled = |percent: u32| u64::from(desired) * u64::from(percent);
        Self {
            lower: u32::try_from(scaled(minimum_healthy_percent).div_ceil(100)).unwrap_or(u32::MAX),
            upper: u32::try_from(scaled(maximum_percent) / 100).unwrap_or(u32::MAX),
        }
    }
}

/// What the service scheduler sees of its tasks in one round (DEP-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Tasks of the PRIMARY deployment that are wanted (desired RUNNING), any last status.
    pub new_active: u32,
    /// Tasks of older deployments that are wanted.
    pub old_active: u32,
    /// Wanted tasks that are healthy (SVC-7), old and new together.
    pub healthy: u32,
    /// Of those, old ones.
    pub old_healthy: u32,
    /// Tasks told to stop and not yet STOPPED; they count against the upper limit (DEP-2, C-4).
    pub stopping: u32,
}

/// What to do in one round of a rolling update, from one snapshot (DEP-3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollingStep {
    /// Tasks of the new revision to start.
    pub start: u32,
    /// Old tasks to stop that are not healthy: all of them, which costs no health.
    pub stop_unhealthy: u32,
    /// Old tasks to stop that are healthy.
    pub stop_healthy: u32,
}

/// DEP-3: `start = min(hi - live, D - new_active)`, `stop = min(healthy - lo, old_active)`, both at least 0.
///
/// Old tasks that are not healthy can always be stopped once there is nothing to lose: they do not count for `lo`.
pub fn rolling_step(desired: u32, limits: Limits, counts: TaskCounts, count_stopping: bool) -> RollingStep {
    let live = counts.new_active + counts.old_active + if count_stopping { counts.stopping } else { 0 };
    let start = limits.upper.saturating_sub(live).min(desired.saturating_sub(counts.new_active));
    let stop_unhealthy = counts.old_active - counts.old_healthy;
    let stop_healthy = counts.healthy.saturating_sub(limits.lower).min(counts.old_healthy);
    RollingStep { start, stop_unhealthy, stop_healthy }
}

/// DEP-4: true when the limits allow neither a start nor a stop, for ever.
pub fn is_stuck(desired: u32, limits: Limits) -> bool {
    desired > 0 && limits.lower >= desired && limits.upper <= desired
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dep_1_limits_round_up_and_down() {
        assert_eq!(Limits::new(4, 50, 100), Limits { lower: 2, upper: 4 });
        assert_eq!(Limits::new(10, 100, 125), Limits { lower: 10, upper: 12 });
        assert_eq!(Limits::new(5, 50, 150), Limits { lower: 3, upper: 7 });
        assert_eq!(Limits::new(8, 75, 100), Limits { lower: 6, upper: 8 });
    }

    #[test]
    fn ex_dep_20_and_21_the_breaker_trips_at_half_the_desired_count() {
        let breaker = |threshold| CircuitBreaker { rollback: true, reset_on_healthy_task: true, threshold };
        let default = breaker(BreakerThreshold::BoundedPercent(50));
        let thresholds = [1, 5, 6, 25, 400, 800].map(|desired| default.threshold(desired, 3));
        assert_eq!(thresholds, [3, 3, 3, 13, 200, 200]);
        assert_eq!(default.threshold(6, 10), 10, "the floor until 2023/24");
    }

    #[test]
    fn dep_11_thresholds_without_bounds_and_as_a_count() {
        let breaker = |threshold| CircuitBreaker { rollback: true, reset_on_healthy_task: true, threshold };
        assert_eq!(breaker(BreakerThreshold::UnboundedPercent(50)).threshold(2, 3), 1);
        assert_eq!(breaker(BreakerThreshold::UnboundedPercent(50)).threshold(800, 3), 400);
        assert_eq!(breaker(BreakerThreshold::Count(1)).threshold(800, 3), 1);
    }

    #[test]
    fn dep_3_starts_and_stops_from_one_snapshot() {
        // EX-DEP-5 at t=0: lo 3, hi 7, five healthy old tasks.
        let counts = TaskCounts { old_active: 5, old_healthy: 5, healthy: 5, ..TaskCounts::default() };
        assert_eq!(
            rolling_step(5, Limits::new(5, 50, 150), counts, true),
            RollingStep { start: 2, stop_unhealthy: 0, stop_healthy: 2 }
        );
        // DEP-2: the two that stop still count against hi.
        let counts = TaskCounts { new_active: 2, old_active: 3, old_healthy: 3, healthy: 3, stopping: 2 };
        assert_eq!(rolling_step(5, Limits::new(5, 50, 150), counts, true), RollingStep::default());
        assert_eq!(
            rolling_step(5, Limits::new(5, 50, 150), counts, false),
            RollingStep { start: 2, ..RollingStep::default() }
        );
        // Two of three are healthy, which is the least: the third goes alone.
        let counts = TaskCounts { old_active: 3, old_healthy: 2, healthy: 2, ..TaskCounts::default() };
        assert_eq!(
            rolling_step(4, Limits::new(4, 50, 100), counts, true),
            RollingStep { start: 1, stop_unhealthy: 1, stop_healthy: 0 }
        );
    }

    #[test]
    fn ex_dep_4_equal_limits_are_stuck() {
        assert!(is_stuck(3, Limits::new(3, 100, 125)));
        assert!(is_stuck(4, Limits::new(4, 100, 100)));
        assert!(!is_stuck(4, Limits::new(4, 50, 100)));
        assert!(!is_stuck(0, Limits::new(0, 100, 100)));
    }
}
