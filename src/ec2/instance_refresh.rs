//! Instance refreshes: a group replaces all of its instances in steps (ASG-42).

use std::collections::BTreeSet;

use crate::ec2::auto_scaling_group::{InstanceTypes, LaunchSettings};
use crate::ec2::launch_template::LaunchSpecification;
use crate::ec2::replacement::MaintenancePolicy;
use crate::ecs::ids::InstanceId;
use crate::engine::time::{SimDuration, SimTime};

/// `autoscaling start-instance-refresh`.
#[derive(Clone, Debug, PartialEq)]
pub struct StartInstanceRefresh {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// `MinHealthyPercentage` and `MaxHealthyPercentage`; the group's maintenance policy, else 90 and 100, when absent.
    pub policy: Option<MaintenancePolicy>,
    /// `InstanceWarmup`; the group's default warm-up, else its grace period, when absent (ASG-29).
    pub warmup: Option<SimDuration>,
    /// `CheckpointPercentages`, ascending; the refresh ends with the last.
    pub checkpoints: Vec<u32>,
    /// `CheckpointDelay`.
    pub checkpoint_delay: SimDuration,
    /// `ScaleInProtectedInstances`.
    pub protected: ProtectedInstances,
    /// `StandbyInstances`.
    pub standby: StandbyInstances,
    /// `SkipMatching`: what was launched from the group's present settings stays.
    pub skip_matching: bool,
    /// `BakeTime`: how long the refresh goes on looking at its alarms when everything has been replaced.
    pub bake: SimDuration,
    /// `AlarmSpecification`: one of them in ALARM fails the refresh.
    pub alarms: Vec<String>,
    /// `AutoRollback`: a refresh that fails is taken back.
    pub auto_rollback: bool,
    /// `DesiredConfiguration`: what the group launches from, from the start of the refresh on.
    pub desired: Option<DesiredConfiguration>,
}

impl StartInstanceRefresh {
    /// The call with nothing but AWS's defaults.
    pub fn of(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            policy: None,
            warmup: None,
            checkpoints: Vec::new(),
            checkpoint_delay: SimDuration::HOUR,
            protected: ProtectedInstances::Wait,
            standby: StandbyInstances::Wait,
            skip_matching: false,
            bake: SimDuration::ZERO,
            alarms: Vec::new(),
            auto_rollback: false,
            desired: None,
        }
    }
}

/// `DesiredConfiguration` of a refresh.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredConfiguration {
    /// `LaunchTemplate`.
    pub launch_from: Option<LaunchSpecification>,
    /// `MixedInstancesPolicy`, or the `InstanceType` beside the template.
    pub types: Option<InstanceTypes>,
}

/// `ScaleInProtectedInstances`: what becomes of instances that are protected from scale-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectedInstances {
    /// `Wait`: for an hour, then the refresh fails.
    Wait,
    /// `Refresh`: they are replaced like others.
    Refresh,
    /// `Ignore`: they stay.
    Ignore,
}

/// `StandbyInstances`: what becomes of instances in standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandbyInstances {
    /// `Wait`: for an hour, then the refresh fails.
    Wait,
    /// `Terminate`: they go.
    Terminate,
    /// `Ignore`: they stay.
    Ignore,
}

/// A refresh under way.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceRefresh {
    /// The call that began it.
    pub call: StartInstanceRefresh,
    /// Bounds of the group meanwhile.
    pub policy: MaintenancePolicy,
    /// How long a replacement warms up.
    pub warmup: SimDuration,
    /// What the group launched from before, where the refresh changed that.
    pub before: Option<LaunchSettings>,
    /// Instances of the warm pool that are still to be replaced.
    pub pool: BTreeSet<InstanceId>,
    started: SimTime,
    total: u32,
    left: BTreeSet<InstanceId>,
    /// Checkpoints still to come.
    checkpoints: Vec<u32>,
    resumes: Option<SimTime>,
    waits_since: Option<SimTime>,
    baked: Option<SimTime>,
}

/// How the group stands when its refresh is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshView<'a> {
    /// Every replacement so far is in service and warm.
    pub warm: bool,
    /// Nothing is left but protected instances and those in standby that are waited for.
    pub blocked: bool,
    /// One of its alarms that is in ALARM.
    pub alarm: Option<&'a str>,
}

/// What a refresh does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshStep {
    /// At most this many may be replaced before the next checkpoint.
    Replace(u32),
    /// A checkpoint's pause, or the bake time, lasts until then.
    Pause(SimTime),
    /// Every instance has been replaced, and the replacements are warm.
    Successful,
    /// It has failed, for this reason.
    Failed(String),
}

/// ASG-42: how long protected instances and those in standby are waited for.
const LONGEST_WAIT: SimDuration = SimDuration::HOUR;

/// ASG-42: how long a refresh takes at most.
const LONGEST_REFRESH: SimDuration = SimDuration::from_secs(14 * 86_400);

impl InstanceRefresh {
    /// A refresh of `instances`, and of those of the warm `pool`.
    pub fn new(
        call: &StartInstanceRefresh,
        (instances, pool): (BTreeSet<InstanceId>, BTreeSet<InstanceId>),
        (policy, warmup): (MaintenancePolicy, SimDuration),
        before: Option<LaunchSettings>,
        now: SimTime,
    ) -> Self {
        Self {
            call: call.clone(),
            policy,
            warmup,
            before,
            pool,
            started: now,
            total: instances.len() as u32,
            left: instances,
            checkpoints: call.checkpoints.clone(),
            resumes: None,
            waits_since: None,
            baked: None,
        }
    }

    /// Instances that are still to be replaced.
    pub fn left(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.left.iter().copied()
    }

    /// `PercentageComplete`.
    pub fn percentage(&self) -> u32 {
        // Of at most `total`: no more than 100.
        ((u64::from(self.total) - self.left.len() as u64) * 100 / u64::from(self.total.max(1))) as u32
    }

    /// Instances that are gone, or never will be replaced, are no longer waited for.
    pub fn retain(&mut self, keep: impl Fn(InstanceId) -> bool) {
        self.left.retain(|id| keep(*id));
    }

    /// Looks at the refresh at `now`.
    pub fn step(&mut self, view: RefreshView<'_>, now: SimTime) -> RefreshStep {
        if let Some(alarm) = view.alarm {
            return RefreshStep::Failed(format!("alarm {alarm} is in ALARM"));
        }
        if now.saturating_since(self.started) >= LONGEST_REFRESH {
            return RefreshStep::Failed(format!("it has lasted {LONGEST_REFRESH}"));
        }
        if self.left.is_empty() && view.warm {
            return self.bake(now);
        }
        if view.blocked && !self.left.is_empty() {
            let since = *self.waits_since.get_or_insert(now);
            if now.saturating_since(since) >= LONGEST_WAIT {
                return RefreshStep::Failed("protected instances, or instances in standby, were waited for".to_owned());
            }
        } else {
            self.waits_since = None;
        }
        if let Some(resumes) = self.resumes {
            if now < resumes {
                return RefreshStep::Pause(resumes);
            }
            self.resumes = None;
        }
        let replaced = self.total - self.left.len() as u32;
        let Some(&next) = self.checkpoints.first() else { return RefreshStep::Replace(self.left.len() as u32) };
        // At most `total`: the cast back cannot lose anything.
        let until = (u64::from(self.total) * u64::from(next)).div_ceil(100) as u32;
        if replaced < until {
            return RefreshStep::Replace(until - replaced);
        }
        if !view.warm {
            return RefreshStep::Replace(0);
        }
        if self.checkpoints.len() == 1 && next < 100 {
            // AWS: to replace all instances the last checkpoint has to be 100.
            return self.bake(now);
        }
        self.checkpoints.remove(0);
        let resumes = now.saturating_add(self.call.checkpoint_delay);
        self.resumes = Some(resumes);
        RefreshStep::Pause(resumes)
    }

    fn bake(&mut self, now: SimTime) -> RefreshStep {
        let baked = *self.baked.get_or_insert(now.saturating_add(self.call.bake));
        if now < baked { RefreshStep::Pause(baked) } else { RefreshStep::Successful }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh(count: u32, change: impl FnOnce(&mut StartInstanceRefresh)) -> InstanceRefresh {
        let mut call = StartInstanceRefresh::of("g");
        change(&mut call);
        let instances = (0..count).map(InstanceId).collect();
        let bounds = (MaintenancePolicy::UNSET, SimDuration::ZERO);
        InstanceRefresh::new(&call, (instances, BTreeSet::new()), bounds, None, SimTime::ZERO)
    }

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    const WARM: RefreshView<'_> = RefreshView { warm: true, blocked: false, alarm: None };
    const COLD: RefreshView<'_> = RefreshView { warm: false, blocked: false, alarm: None };
    const BLOCKED: RefreshView<'_> = RefreshView { warm: true, blocked: true, alarm: None };

    #[test]
    fn asg_42_a_checkpoint_pauses_once_its_share_is_warm() {
        let mut refresh = refresh(10, |call| call.checkpoints = vec![20, 100]);
        assert_eq!(refresh.step(WARM, secs(0)), RefreshStep::Replace(2));
        refresh.retain(|id| id.0 >= 2);
        assert_eq!(refresh.step(COLD, secs(60)), RefreshStep::Replace(0), "the replacements warm up");
        assert_eq!(refresh.step(WARM, secs(120)), RefreshStep::Pause(secs(3720)));
        assert_eq!(refresh.step(WARM, secs(3719)), RefreshStep::Pause(secs(3720)));
        assert_eq!(refresh.step(WARM, secs(3720)), RefreshStep::Replace(8));
        assert_eq!(refresh.percentage(), 20);
        refresh.retain(|_| false);
        assert_eq!(refresh.step(COLD, secs(4000)), RefreshStep::Replace(0));
        assert_eq!(refresh.step(WARM, secs(4060)), RefreshStep::Successful);
    }

    #[test]
    fn asg_42_a_refresh_ends_with_its_last_checkpoint() {
        let mut refresh = refresh(10, |call| call.checkpoints = vec![30]);
        assert_eq!(refresh.step(WARM, secs(0)), RefreshStep::Replace(3));
        refresh.retain(|id| id.0 >= 3);
        assert_eq!(refresh.step(WARM, secs(60)), RefreshStep::Successful);
        assert_eq!(refresh.percentage(), 30);
    }

    #[test]
    fn asg_42_protected_instances_are_waited_for_an_hour() {
        let mut waiting = refresh(2, |_| ());
        assert_eq!(waiting.step(BLOCKED, secs(0)), RefreshStep::Replace(2));
        assert_eq!(waiting.step(BLOCKED, secs(3599)), RefreshStep::Replace(2));
        assert!(matches!(waiting.step(BLOCKED, secs(3600)), RefreshStep::Failed(_)));
        let mut freed = refresh(2, |_| ());
        freed.step(BLOCKED, secs(0));
        freed.step(WARM, secs(1800));
        assert_eq!(freed.step(BLOCKED, secs(3600)), RefreshStep::Replace(2), "the hour begins anew");
    }

    #[test]
    fn asg_42_the_bake_time_comes_before_success_and_alarms_before_everything() {
        let mut baking = refresh(1, |call| call.bake = SimDuration::from_secs(600));
        baking.retain(|_| false);
        assert_eq!(baking.step(COLD, secs(0)), RefreshStep::Replace(0));
        assert_eq!(baking.step(WARM, secs(60)), RefreshStep::Pause(secs(660)));
        let alarm = RefreshView { alarm: Some("errors"), ..WARM };
        assert_eq!(baking.clone().step(alarm, secs(600)), RefreshStep::Failed("alarm errors is in ALARM".to_owned()));
        assert_eq!(baking.step(WARM, secs(660)), RefreshStep::Successful);
    }

    #[test]
    fn asg_42_a_refresh_lasts_fourteen_days_at_most() {
        let mut endless = refresh(2, |call| call.protected = ProtectedInstances::Refresh);
        assert_eq!(endless.step(WARM, secs(14 * 86_400 - 1)), RefreshStep::Replace(2));
        assert!(matches!(endless.step(WARM, secs(14 * 86_400)), RefreshStep::Failed(_)));
    }
}
