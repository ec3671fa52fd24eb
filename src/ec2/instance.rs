//! EC2 instances of an Auto Scaling group: lifecycle states and billing (ASG-12, EC2-23, EC2-24).

use std::fmt;
use std::sync::Arc;

use crate::ec2::launch::Launch;
pub use crate::ec2::launch_template::LaunchSource;
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::engine::time::{SimDuration, SimTime};
use crate::units::Usd;

/// How an instance is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Market {
    /// On demand.
    OnDemand,
    /// Spot.
    Spot,
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        })
    }
}

/// State in the group (ASG-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifecycle {
    /// `Pending`: launching.
    Pending,
    /// `Pending:Wait`: a launch hook runs.
    PendingWait,
    /// `Pending:Proceed`: every launch hook is done.
    PendingProceed,
    /// `InService`.
    InService,
    /// `EnteringStandby`.
    EnteringStandby,
    /// `Standby`: out of the desired count, billed, not checked (ASG-20).
    Standby,
    /// `Detaching`.
    Detaching,
    /// `Detached`: no longer the group's.
    Detached,
    /// `Terminating`.
    Terminating,
    /// `Terminating:Wait`: a termination hook runs, managed draining for example (DRN-3).
    TerminatingWait,
    /// `Terminating:Proceed`: every termination hook is done.
    TerminatingProceed,
    /// `Terminated`.
    Terminated,
    /// `Warmed:Pending`: on its way into the warm pool.
    WarmedPending,
    /// `Warmed:Pending:Wait`: a hook runs on that way.
    WarmedPendingWait,
    /// `Warmed:Pending:Proceed`.
    WarmedPendingProceed,
    /// `Warmed:Stopped`.
    WarmedStopped,
    /// `Warmed:Hibernated`.
    WarmedHibernated,
    /// `Warmed:Running`.
    WarmedRunning,
    /// `Warmed:Terminating`.
    WarmedTerminating,
    /// `Warmed:Terminating:Wait`: a termination hook runs.
    WarmedTerminatingWait,
    /// `Warmed:Terminating:Proceed`.
    WarmedTerminatingProceed,
}

impl Lifecycle {
    /// Number of states.
    pub const COUNT: usize = 21;

    /// True for states that count against the desired capacity: from the start of the launch to the end of service
    /// (ASG-12).
    pub const fn counts_against_desired(self) -> bool {
        matches!(self, Self::Pending | Self::PendingWait | Self::PendingProceed | Self::InService)
    }

    /// True for the three pending states, as `GroupPendingInstances` counts them.
    pub const fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::PendingWait | Self::PendingProceed)
    }

    /// True for the states of going, as `GroupTerminatingInstances` counts them.
    pub const fn is_terminating(self) -> bool {
        matches!(self, Self::Terminating | Self::TerminatingWait | Self::TerminatingProceed)
    }

    /// True in the warm pool, from the launch into it to the end there.
    pub const fn is_warmed(self) -> bool {
        self.is_warming() || self.is_warm() || self.leaves_pool()
    }

    /// True on the way into the warm pool.
    pub const fn is_warming(self) -> bool {
        matches!(self, Self::WarmedPending | Self::WarmedPendingWait | Self::WarmedPendingProceed)
    }

    /// True while an instance waits in the warm pool, ready to be taken.
    pub const fn is_warm(self) -> bool {
        matches!(self, Self::WarmedStopped | Self::WarmedHibernated | Self::WarmedRunning)
    }

    /// True for the states of going from the warm pool.
    pub const fn leaves_pool(self) -> bool {
        matches!(self, Self::WarmedTerminating | Self::WarmedTerminatingWait | Self::WarmedTerminatingProceed)
    }

    /// True while a termination hook may hold the instance.
    pub const fn waits_to_terminate(self) -> bool {
        matches!(self, Self::TerminatingWait | Self::WarmedTerminatingWait)
    }

    /// True if the group is done with the instance.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Terminated | Self::Detached)
    }

    /// Whether the group may take an instance from this state to `next` (ASG-12).
    ///
    /// Any living state may turn to `Terminating`: instances die, hooks are abandoned (ASG-14), people terminate.
    pub const fn may_become(self, next: Self) -> bool {
        use Lifecycle as L;
        match next {
            L::Pending => matches!(self, L::Standby | L::WarmedStopped | L::WarmedHibernated | L::WarmedRunning),
            L::PendingWait => matches!(self, L::Pending),
            L::PendingProceed => matches!(self, L::PendingWait),
            L::InService => matches!(self, L::Pending | L::PendingProceed),
            // Reuse on scale-in is the only way from service into the warm pool (ASG-41).
            L::EnteringStandby | L::Detaching | L::WarmedPending => matches!(self, L::InService),
            L::Standby => matches!(self, L::EnteringStandby),
            L::Detached => matches!(self, L::Detaching),
            L::Terminating => matches!(
                self,
                L::Pending | L::PendingWait | L::PendingProceed | L::InService | L::EnteringStandby | L::Standby
            ),
            L::TerminatingWait => matches!(self, L::Terminating),
            L::TerminatingProceed => matches!(self, L::TerminatingWait),
            L::Terminated => matches!(
                self,
                L::Terminating | L::TerminatingProceed | L::WarmedTerminating | L::WarmedTerminatingProceed
            ),
            L::WarmedPendingWait => matches!(self, L::WarmedPending),
            L::WarmedPendingProceed => matches!(self, L::WarmedPendingWait),
            L::WarmedStopped | L::WarmedHibernated | L::WarmedRunning => {
                matches!(self, L::WarmedPending | L::WarmedPendingProceed)
            }
            L::WarmedTerminating => self.is_warming() || self.is_warm(),
            L::WarmedTerminatingWait => matches!(self, L::WarmedTerminating),
            L::WarmedTerminatingProceed => matches!(self, L::WarmedTerminatingWait),
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "Pending",
            Self::PendingWait => "Pending:Wait",
            Self::PendingProceed => "Pending:Proceed",
            Self::InService => "InService",
            Self::EnteringStandby => "EnteringStandby",
            Self::Standby => "Standby",
            Self::Detaching => "Detaching",
            Self::Detached => "Detached",
            Self::Terminating => "Terminating",
            Self::TerminatingWait => "Terminating:Wait",
            Self::TerminatingProceed => "Terminating:Proceed",
            Self::Terminated => "Terminated",
            Self::WarmedPending => "Warmed:Pending",
            Self::WarmedPendingWait => "Warmed:Pending:Wait",
            Self::WarmedPendingProceed => "Warmed:Pending:Proceed",
            Self::WarmedStopped => "Warmed:Stopped",
            Self::WarmedHibernated => "Warmed:Hibernated",
            Self::WarmedRunning => "Warmed:Running",
            Self::WarmedTerminating => "Warmed:Terminating",
            Self::WarmedTerminatingWait => "Warmed:Terminating:Wait",
            Self::WarmedTerminatingProceed => "Warmed:Terminating:Proceed",
        })
    }
}

/// State of the virtual machine; billing follows it (EC2-23).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ec2State {
    /// `pending`: free of charge.
    Pending,
    /// `running`: billed.
    Running,
    /// `stopping` or `stopped`: free of charge; only warm pools stop instances.
    Stopped,
    /// `shutting-down`: free of charge.
    ShuttingDown,
    /// `terminated`.
    Terminated,
}

impl Ec2State {
    const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Pending => matches!(self, Self::Stopped),
            Self::Running => matches!(self, Self::Pending),
            Self::Stopped => matches!(self, Self::Running),
            Self::ShuttingDown => matches!(self, Self::Pending | Self::Running | Self::Stopped),
            Self::Terminated => matches!(self, Self::ShuttingDown),
        }
    }
}

impl Ec2State {
    /// The machine is gone or going.
    pub const fn is_down(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

impl fmt::Display for Ec2State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        })
    }
}

/// A transition that the lifecycle does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{instance} cannot go from {from} to {to}")]
pub struct IllegalTransition {
    /// Whose.
    pub instance: crate::ecs::ids::Ec2Id,
    /// State it is in.
    pub from: String,
    /// State asked for.
    pub to: String,
}

/// Why an instance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationCause {
    /// The desired capacity fell.
    ScaleIn,
    /// The warm pool held too many (ASG-41).
    WarmPool,
    /// A zone held too many (ASG-9).
    Rebalancing,
    /// It failed its health check (ASG-16).
    Unhealthy,
    /// Replaced because EC2 recommended it (ASG-39).
    CapacityRebalancing,
    /// EC2 took it back (ASG-38): the only cause that makes a young Spot instance free (EC2-24).
    SpotInterruption,
    /// A launch hook was abandoned (ASG-14).
    LaunchAbandoned,
    /// Replaced by an instance refresh or at the end of its lifetime (ASG-19, ASG-42).
    Replaced,
    /// Terminated by name.
    Operator,
    /// The machine died.
    Failure,
}

impl fmt::Display for TerminationCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ScaleIn => "scale-in",
            Self::WarmPool => "warm pool scale-in",
            Self::Rebalancing => "availability zone rebalancing",
            Self::Unhealthy => "failed health check",
            Self::CapacityRebalancing => "capacity rebalancing",
            Self::SpotInterruption => "spot interruption",
            Self::LaunchAbandoned => "launch hook abandoned",
            Self::Replaced => "replaced",
            Self::Operator => "terminated by request",
            Self::Failure => "instance failure",
        })
    }
}

/// One instance of an Auto Scaling group, from launch call to `terminated`.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// Whose.
    pub group: GroupId,
    /// Its type, for example `m5.large`.
    pub instance_type: Arc<str>,
    zone: ZoneId,
    market: Market,
    /// What it was launched from.
    pub source: LaunchSource,
    /// Why it was launched.
    pub launch_reason: Arc<str>,
    /// Scale-in protection; holds from `InService` on (ASG-10), see [`Instance::is_protected`].
    pub protected_from_scale_in: bool,
    /// A scale-in took a busy host of a fuller zone instead (ASG-4).
    pub passed_over: bool,
    /// Failed a health check: goes first on a scale-in (ASG-5).
    pub unhealthy: bool,
    /// Units of capacity it counts for (ASG-36); 1 in a group without weights.
    pub weight: u32,
    /// When it began to count against the desired capacity: its launch, or the moment it was taken from the warm pool.
    pub joined: SimTime,
    /// Whether it was taken from the warm pool, the last time it joined the group.
    pub from_warm_pool: bool,
    /// Whether `awsvpcTrunking` was on when it was launched (EC2-12).
    pub awsvpc_trunking: bool,
    /// When the launch was called.
    pub launched: SimTime,
    /// When it was first `InService`.
    pub in_service: Option<SimTime>,
    /// When its ECS agent registered.
    pub registered: Option<SimTime>,
    /// When EC2 gave its two-minute Spot notice (ASG-38).
    pub spot_notice: Option<SimTime>,
    /// Whether it is a target of its group's load balancers (ASG-43).
    pub is_target: bool,
    /// When its container instance was set to DRAINING.
    pub draining: Option<SimTime>,
    /// When its group began to terminate it.
    pub terminating: Option<SimTime>,
    /// When it was `terminated`.
    pub terminated: Option<SimTime>,
    /// Why it goes or went.
    pub termination_cause: Option<TerminationCause>,
    /// The cause in words, with what brought it about.
    pub termination_reason: Arc<str>,
    lifecycle: Lifecycle,
    ec2_state: Ec2State,
    /// First time it was `running`.
    running: Option<SimTime>,
    /// Beginning of the present billed run.
    billed_since: Option<SimTime>,
    /// Seconds of billed runs that are over.
    billed_before: u64,
}

/// EC2-23: each start costs at least this.
const MINIMUM_BILLED_SECS: u64 = 60;

impl Instance {
    /// An instance whose launch is called at `now`: `Pending` in its group and for EC2.
    pub fn launched(id: InstanceId, group: GroupId, launch: Launch, now: SimTime) -> Self {
        Self {
            id,
            group,
            instance_type: launch.instance_type,
            zone: launch.zone,
            market: launch.market,
            source: LaunchSource::default(),
            launch_reason: Arc::from(""),
            protected_from_scale_in: false,
            passed_over: false,
            unhealthy: false,
            weight: 1,
            joined: now,
            from_warm_pool: false,
            awsvpc_trunking: false,
            launched: now,
            in_service: None,
            registered: None,
            spot_notice: None,
            is_target: false,
            draining: None,
            terminating: None,
            terminated: None,
            termination_cause: None,
            termination_reason: Arc::from(""),
            lifecycle: Lifecycle::Pending,
            ec2_state: Ec2State::Pending,
            running: None,
            billed_since: None,
            billed_before: 0,
        }
    }

    /// The same launch, but into the warm pool: `Warmed:Pending` (ASG-41).
    pub const fn into_warm_pool(mut self) -> Self {
        self.lifecycle = Lifecycle::WarmedPending;
        self
    }

    /// Where it runs.
    pub const fn zone(&self) -> ZoneId {
        self.zone
    }

    /// How it is bought.
    pub const fn market(&self) -> Market {
        self.market
    }

    /// State in the group.
    pub const fn lifecycle(&self) -> Lifecycle {
        self.lifecycle
    }

    /// State of the virtual machine.
    pub const fn ec2_state(&self) -> Ec2State {
        self.ec2_state
    }

    /// When it was first `running`.
    pub const fn running(&self) -> Option<SimTime> {
        self.running
    }

    /// Whether scale-in must spare it: protection counts from `InService` on (ASG-10).
    pub const fn is_protected(&self) -> bool {
        self.protected_from_scale_in && matches!(self.lifecycle, Lifecycle::InService)
    }

    /// Moves to `to` and notes the time where a report has a column for it. Only the group calls it, so that its counts
    /// follow.
    pub(super) fn transition(&mut self, to: Lifecycle, now: SimTime) -> Result<(), IllegalTransition> {
        if !self.lifecycle.may_become(to) {
            return Err(self.refuse(self.lifecycle.to_string(), to.to_string()));
        }
        match to {
            Lifecycle::Pending if self.lifecycle.is_warm() => {
                self.joined = now;
                self.from_warm_pool = true;
            }
            Lifecycle::WarmedPending => self.from_warm_pool = false,
            Lifecycle::InService => {
                self.in_service.get_or_insert(now);
            }
            Lifecycle::Terminating | Lifecycle::WarmedTerminating => self.terminating = Some(now),
            Lifecycle::Terminated => self.terminated = Some(now),
            _ => {}
        }
        self.lifecycle = to;
        Ok(())
    }

    /// Moves the virtual machine to `to`; the bill runs while it is `running` (EC2-23).
    pub fn set_ec2_state(&mut self, to: Ec2State, now: SimTime) -> Result<(), IllegalTransition> {
        if !self.ec2_state.may_become(to) {
            return Err(self.refuse(self.ec2_state.to_string(), to.to_string()));
        }
        match to {
            Ec2State::Running => {
                self.running.get_or_insert(now);
                self.billed_since = Some(now);
            }
            Ec2State::Stopped | Ec2State::ShuttingDown => {
                if let Some(since) = self.billed_since.take() {
                    self.billed_before += billed_run(now.saturating_since(since));
                    if to == Ec2State::ShuttingDown && self.is_free_spot(now) {
                        self.billed_before = 0;
                    }
                }
            }
            Ec2State::Pending | Ec2State::Terminated => {}
        }
        self.ec2_state = to;
        Ok(())
    }

    /// EC2-24: a Spot instance that EC2 itself takes back within its first hour costs nothing.
    fn is_free_spot(&self, now: SimTime) -> bool {
        self.market == Market::Spot
            && self.termination_cause == Some(TerminationCause::SpotInterruption)
            && self.running.is_some_and(|running| now.saturating_since(running) < SimDuration::HOUR)
    }

    /// Seconds billed so far: per second, rounded up, at least 60 for each start (EC2-23).
    ///
    /// Nothing while `pending` or `shutting-down`; `Standby` and `Terminating:Wait` are billed because the machine
    /// runs. Set [`Instance::termination_cause`] before `shutting-down`, or the Spot rule of EC2-24 cannot see it.
    pub fn billed_seconds(&self, now: SimTime) -> u64 {
        self.billed_before + self.billed_since.map_or(0, |since| billed_run(now.saturating_since(since)))
    }

    /// The bill so far at `usd_per_hour`.
    pub fn cost(&self, now: SimTime, usd_per_hour: Usd) -> Usd {
        usd_per_hour * (self.billed_seconds(now) as f64 / 3600.0)
    }

    /// Time until the next full hour since the launch call, for termination policies (ASG-6); a whole hour when one
    /// has just begun.
    pub fn until_next_hour(&self, now: SimTime) -> SimDuration {
        let hour = SimDuration::HOUR.as_nanos();
        SimDuration::from_nanos(hour - now.saturating_since(self.launched).as_nanos() % hour)
    }

    fn refuse(&self, from: String, to: String) -> IllegalTransition {
        IllegalTransition { instance: self.id.ec2_id(), from, to }
    }
}

fn billed_run(run: SimDuration) -> u64 {
    run.as_secs_ceil().max(MINIMUM_BILLED_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    fn fresh(market: Market) -> Instance {
        let launch = Launch { zone: ZoneId(0), market, instance_type: Arc::from("m5.large") };
        Instance::launched(InstanceId(0), GroupId(0), launch, secs(0))
    }

    fn running(market: Market, at: SimTime) -> Instance {
        let mut instance = fresh(market);
        instance.set_ec2_state(Ec2State::Running, at).unwrap();
        instance
    }

    fn billed(market: Market, cause: TerminationCause, ran: SimDuration) -> u64 {
        let mut instance = running(market, secs(10));
        instance.termination_cause = Some(cause);
        instance.set_ec2_state(Ec2State::ShuttingDown, secs(10) + ran).unwrap();
        instance.set_ec2_state(Ec2State::Terminated, secs(60) + ran).unwrap();
        instance.billed_seconds(secs(1_000_000))
    }

    #[test]
    fn ec2_23_bills_running_seconds_rounded_up_with_a_minute_at_least() {
        let bill = |ran| billed(Market::OnDemand, TerminationCause::ScaleIn, ran);
        assert_eq!(bill(SimDuration::from_millis(500)), 60);
        assert_eq!(bill(SimDuration::from_secs(60)), 60);
        assert_eq!(bill(SimDuration::from_millis(60_001)), 61);
        assert_eq!(bill(SimDuration::from_secs(5400)), 5400);
    }

    #[test]
    fn ec2_23_pending_is_free_and_a_running_machine_owes_what_it_has_used() {
        let mut instance = fresh(Market::OnDemand);
        assert_eq!(instance.billed_seconds(secs(500)), 0);
        instance.set_ec2_state(Ec2State::Running, secs(500)).unwrap();
        assert_eq!(instance.billed_seconds(secs(510)), 60);
        assert_eq!(instance.billed_seconds(secs(4100)), 3600);
        assert!((instance.cost(secs(4100), Usd(0.096)).0 - 0.096).abs() < 1e-12);
    }

    #[test]
    fn ec2_23_each_start_has_its_own_minute() {
        let mut instance = running(Market::OnDemand, secs(10));
        instance.set_ec2_state(Ec2State::Stopped, secs(20)).unwrap();
        instance.set_ec2_state(Ec2State::Pending, secs(1000)).unwrap();
        instance.set_ec2_state(Ec2State::Running, secs(1010)).unwrap();
        instance.set_ec2_state(Ec2State::ShuttingDown, secs(1110)).unwrap();
        assert_eq!(instance.billed_seconds(secs(9999)), 60 + 100);
        assert_eq!(instance.running(), Some(secs(10)));
    }

    #[test]
    fn ec2_24_a_spot_instance_interrupted_in_its_first_hour_is_free() {
        use TerminationCause::{Operator, SpotInterruption};
        let hour = SimDuration::HOUR;
        let just_less = hour - SimDuration::from_nanos(1);
        assert_eq!(billed(Market::Spot, SpotInterruption, just_less), 0);
        assert_eq!(billed(Market::Spot, SpotInterruption, hour), 3600);
        assert_eq!(billed(Market::Spot, Operator, SimDuration::from_secs(100)), 100);
        assert_eq!(billed(Market::OnDemand, SpotInterruption, SimDuration::from_secs(100)), 100);
    }

    #[test]
    fn asg_12_knows_the_legal_paths_and_no_others() {
        use Lifecycle as L;
        let walk = |path: &[L]| {
            let mut instance = fresh(Market::OnDemand);
            path.iter().try_for_each(|&to| instance.transition(to, secs(1)))
        };
        for path in [
            &[L::InService, L::Terminating, L::Terminated][..],
            &[L::PendingWait, L::PendingProceed, L::InService, L::Terminating, L::TerminatingWait],
            &[L::Terminating, L::TerminatingWait, L::TerminatingProceed, L::Terminated],
            &[L::InService, L::EnteringStandby, L::Standby, L::Pending, L::InService],
            &[L::InService, L::Detaching, L::Detached],
            &[L::InService, L::WarmedPending, L::WarmedStopped, L::Pending, L::InService],
            &[L::InService, L::WarmedPending, L::WarmedPendingWait, L::WarmedPendingProceed, L::WarmedRunning],
        ] {
            assert_eq!(walk(path), Ok(()), "{path:?}");
        }
        for path in [
            &[L::PendingProceed][..],
            &[L::Terminated],
            &[L::InService, L::Pending],
            &[L::InService, L::WarmedStopped],
            &[L::InService, L::WarmedPending, L::InService],
            &[L::Terminating, L::InService],
            &[L::InService, L::Terminating, L::Terminated, L::Pending],
        ] {
            assert!(walk(path).is_err(), "{path:?}");
        }
        assert_eq!(
            walk(&[L::Terminated]).unwrap_err().to_string(),
            format!("{} cannot go from Pending to Terminated", InstanceId(0).ec2_id())
        );
    }

    #[test]
    fn asg_10_protection_begins_in_service() {
        let mut instance = running(Market::OnDemand, secs(1));
        instance.protected_from_scale_in = true;
        assert!(!instance.is_protected());
        instance.transition(Lifecycle::InService, secs(20)).unwrap();
        assert!(instance.is_protected());
        assert_eq!(instance.in_service, Some(secs(20)));
    }
}
