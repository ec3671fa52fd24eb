//! A service as Application Auto Scaling sees it: bounds, scaling activities and cooldowns (AAS-*, TT-18…23).

use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::formula::Counted;
use crate::scaling::policy::{self, NotScaledReason};

/// What a policy sees of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetView {
    /// Tasks running: the capacity that all scaling starts from (AAS-3).
    pub running: u32,
    /// Desired count.
    pub desired: u32,
    /// `MinCapacity`.
    pub min: u32,
    /// `MaxCapacity`.
    pub max: u32,
    /// A rolling deployment is in progress (AAS-8).
    pub deployment_in_progress: bool,
    /// `DynamicScalingInSuspended` (AAS-10).
    pub scale_in_suspended: bool,
    /// `DynamicScalingOutSuspended` (AAS-10).
    pub scale_out_suspended: bool,
}

impl TargetView {
    /// `capacity` within the target's bounds, which policies never leave (AAS-5).
    pub fn clamp(&self, capacity: i64) -> u32 {
        policy::clamp(capacity, self.min, self.max)
    }
}

/// Most scalable targets of ECS in a Region (AAS-18).
pub const MAX_TARGETS: usize = 3000;

/// Refuses a scalable target beyond the quota of the Region, which has `count` of them with it (AAS-18).
pub fn check_count(count: usize) -> Result<(), Refused> {
    if count > MAX_TARGETS {
        return Err(Refused {
            code: "LimitExceededException",
            message: format!(
                "You have reached the limit of {MAX_TARGETS} scalable targets for the service namespace ecs."
            ),
            rule: "AAS-18",
        });
    }
    Ok(())
}

/// Registering or updating a target moves the desired count into its bounds at once (AAS-2); `None` when it is there.
pub fn into_bounds(desired: u32, min: u32, max: u32) -> Option<u32> {
    let bounded = policy::clamp(i64::from(desired), min, max);
    (bounded != desired).then_some(bounded)
}

/// Which way a scaling activity goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More tasks.
    Out,
    /// Fewer tasks.
    In,
}

/// The activity in progress and the cooldowns of one scalable target, shared by its policies (TT-21).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScalingState {
    activity: Option<(Direction, SimDuration)>,
    scale_out_cooldown: Option<SimTime>,
    scale_in_cooldown: Option<SimTime>,
    /// c0: capacity before the first scale-out of the chain (TT-19, STEP-9).
    chain_base: Option<u32>,
}

impl ScalingState {
    /// A policy scales: its activity starts, in place of any that is in progress.
    ///
    /// `running` is the capacity now and `cooldown` that of the policy (TT-21).
    pub fn begin(&mut self, direction: Direction, running: u32, cooldown: SimDuration, now: SimTime) {
        if direction == Direction::Out {
            // A scale-out runs at once and cancels the scale-in cooldown (TT-20, STEP-10).
            self.scale_in_cooldown = None;
            self.chain_base = Some(self.base(running, now));
        }
        self.activity = Some((direction, cooldown));
    }

    /// The activity has completed successfully: its cooldown starts (TT-18).
    pub fn complete(&mut self, now: SimTime) {
        match self.activity.take() {
            Some((Direction::Out, cooldown)) => self.scale_out_cooldown = Some(now.saturating_add(cooldown)),
            Some((Direction::In, cooldown)) => self.scale_in_cooldown = Some(now.saturating_add(cooldown)),
            None => {}
        }
    }

    /// The activity ended otherwise: failed, or overridden by someone else's change (AAS-12). No cooldown starts.
    pub fn abandon(&mut self) {
        self.activity = None;
    }

    /// Which way the activity in progress goes.
    pub fn in_progress(&self) -> Option<Direction> {
        self.activity.map(|(direction, _)| direction)
    }

    /// True during a chain of scale-outs: one is in progress or its cooldown runs (TT-19).
    pub fn is_scaling_out(&self, now: SimTime) -> bool {
        self.in_progress() == Some(Direction::Out) || self.scale_out_cooldown_until(now).is_some()
    }

    /// When the scale-out cooldown that is on ends (TT-19).
    pub fn scale_out_cooldown_until(&self, now: SimTime) -> Option<SimTime> {
        self.scale_out_cooldown.filter(|until| now < *until)
    }

    /// The capacity a scale-out is computed from: c0 within a chain, else what runs (TT-19, STEP-9).
    ///
    /// A chain that began at zero has no proportion to keep, so it counts what runs (TT-16).
    pub fn base(&self, running: u32, now: SimTime) -> u32 {
        match self.chain_base {
            Some(base) if base > 0 && self.is_scaling_out(now) => base,
            _ => running,
        }
    }

    /// What the capacity of [`base`](Self::base) counts.
    pub fn counts(&self, running: u32, now: SimTime) -> Counted {
        if self.is_scaling_out(now) && self.base(running, now) != running {
            Counted::BeforeCooldown
        } else {
            Counted::Running
        }
    }

    /// What forbids a scale-in now, until when, and by which rule (AAS-8, AAS-10, TT-20).
    pub fn scale_in_obstacle(
        &self,
        view: &TargetView,
        now: SimTime,
    ) -> Option<(NotScaledReason, Option<SimTime>, &'static str)> {
        if view.scale_in_suspended {
            return Some((NotScaledReason::Suspended, None, "AAS-10"));
        }
        if view.deployment_in_progress {
            return Some((NotScaledReason::DeploymentInProgress, None, "AAS-8"));
        }
        if self.in_progress() == Some(Direction::In) {
            return Some((NotScaledReason::ActivityInProgress, None, "TT-18"));
        }
        let until = self.scale_in_cooldown.filter(|until| now < *until)?;
        Some((NotScaledReason::Cooldown, Some(until), "TT-20"))
    }
}

/// The thing a policy scales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaledResource {
    /// A service's desired count.
    Service {
        /// Its cluster.
        cluster: String,
        /// Its name.
        service: String,
    },
    /// A group's desired capacity.
    Group {
        /// `AutoScalingGroupName`.
        group: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOLDOWN: SimDuration = SimDuration::from_secs(300);

    fn at(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    #[test]
    fn aas_2_registration_moves_into_the_bounds() {
        let cases = [(3, 5, 10, Some(5)), (12, 5, 10, Some(10)), (7, 5, 10, None), (6, 0, 0, Some(0))];
        for (desired, min, max, expect) in cases {
            assert_eq!(into_bounds(desired, min, max), expect, "{desired} in {min}..={max}");
        }
    }

    #[test]
    fn aas_18_targets_of_a_region_are_counted() {
        assert!(check_count(3000).is_ok());
        assert_eq!(check_count(3001).unwrap_err().code, "LimitExceededException");
    }

    #[test]
    fn tt_18_a_cooldown_starts_at_completion() {
        let mut state = ScalingState::default();
        let view = TargetView { running: 10, desired: 8, max: 20, ..TargetView::default() };
        state.begin(Direction::In, 10, COOLDOWN, at(0));
        assert_eq!(
            state.scale_in_obstacle(&view, at(50)).map(|(reason, ..)| reason),
            Some(NotScaledReason::ActivityInProgress)
        );
        state.complete(at(60));
        let obstacle = (NotScaledReason::Cooldown, Some(at(360)), "TT-20");
        assert_eq!(state.scale_in_obstacle(&view, at(359)), Some(obstacle));
        assert_eq!(state.scale_in_obstacle(&view, at(360)), None);
    }

    #[test]
    fn tt_19_a_chain_keeps_its_base() {
        let mut state = ScalingState::default();
        state.begin(Direction::Out, 4, COOLDOWN, at(0));
        assert_eq!(state.base(4, at(30)), 4);
        state.begin(Direction::Out, 5, COOLDOWN, at(60));
        state.complete(at(100));
        assert_eq!(state.base(8, at(399)), 4, "within the cooldown");
        assert_eq!(state.base(8, at(400)), 8, "after it");
        state.begin(Direction::Out, 8, COOLDOWN, at(500));
        assert_eq!(state.base(9, at(501)), 8, "a new chain");
    }

    #[test]
    fn tt_20_a_scale_out_cancels_the_scale_in_cooldown() {
        let mut state = ScalingState::default();
        state.begin(Direction::In, 10, COOLDOWN, at(0));
        state.complete(at(0));
        state.begin(Direction::Out, 8, SimDuration::ZERO, at(100));
        state.complete(at(130));
        assert_eq!(state.scale_in_obstacle(&TargetView::default(), at(131)), None);
    }

    #[test]
    fn tt_21_a_scale_out_cooldown_does_not_block_scale_in() {
        let mut state = ScalingState::default();
        state.begin(Direction::Out, 4, COOLDOWN, at(0));
        assert_eq!(state.scale_in_obstacle(&TargetView::default(), at(10)), None);
        state.complete(at(20));
        assert_eq!(state.scale_in_obstacle(&TargetView::default(), at(30)), None);
    }

    #[test]
    fn aas_12_an_overridden_activity_starts_no_cooldown() {
        let mut state = ScalingState::default();
        state.begin(Direction::Out, 4, COOLDOWN, at(0));
        state.abandon();
        state.complete(at(10));
        assert!(!state.is_scaling_out(at(11)));
        assert_eq!(state.base(7, at(11)), 7);
    }

    #[test]
    fn aas_8_and_aas_10_forbid_scale_in() {
        let state = ScalingState::default();
        let deploying = TargetView { deployment_in_progress: true, ..TargetView::default() };
        assert_eq!(state.scale_in_obstacle(&deploying, at(0)).map(|(.., rule)| rule), Some("AAS-8"));
        let suspended = TargetView { scale_in_suspended: true, ..TargetView::default() };
        assert_eq!(state.scale_in_obstacle(&suspended, at(0)).map(|(.., rule)| rule), Some("AAS-10"));
    }
}
