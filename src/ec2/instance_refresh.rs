//! Instance refreshes: a group replaces all of its instances in steps (ASG-42).

use std::collections::BTreeSet;

use crate::ec2::replacement::MaintenancePolicy;
use crate::ecs::ids::InstanceId;
use crate::engine::time::{SimDuration, SimTime};

/// `autoscaling start-instance-refresh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartInstanceRefresh {
    /// `AutoScalingGroupName`.
    pub group: String,
    /// `MinHealthyPercentage` and `MaxHealthyPercentage`; the group's maintenance policy, else 90 and 100, when absent.
    pub policy: Option<MaintenancePolicy>,
    /// `InstanceWarmup`; the group's default warm-up, else its grace period, when absent (ASG-29).
    pub warmup: Option<SimDuration>,
    /// `CheckpointPercentages`, ascending.
    pub checkpoints: Vec<u32>,
    /// `CheckpointDelay`.
    pub checkpoint_delay: SimDuration,
    /// `ScaleInProtectedInstances`.
    pub protected: ProtectedInstances,
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

/// A refresh under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceRefresh {
    /// Bounds of the group meanwhile.
    pub policy: MaintenancePolicy,
    /// How long a replacement warms up.
    pub warmup: SimDuration,
    /// What becomes of protected instances.
    pub protected: ProtectedInstances,
    total: u32,
    left: BTreeSet<InstanceId>,
    checkpoints: Vec<u32>,
    checkpoint_delay: SimDuration,
    resumes: Option<SimTime>,
    waits_since: Option<SimTime>,
}

/// What a refresh does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshStep {
    /// At most this many may be replaced before the next checkpoint.
    Replace(u32),
    /// A checkpoint's pause lasts until then.
    Pause(SimTime),
    /// Every instance has been replaced, and the replacements are warm.
    Successful,
    /// Protected instances have been waited for too long.
    Failed,
}

/// ASG-42: how long protected instances are waited for.
const PROTECTED_WAIT: SimDuration = SimDuration::HOUR;

impl InstanceRefresh {
    /// A refresh of `instances`.
    pub fn new(
        call: &StartInstanceRefresh,
        instances: BTreeSet<InstanceId>,
        policy: MaintenancePolicy,
        warmup: SimDuration,
    ) -> Self {
        Self {
            policy,
            warmup,
            protected: call.protected,
            total: instances.len() as u32,
            left: instances,
            checkpoints: call.checkpoints.clone(),
            checkpoint_delay: call.checkpoint_delay,
            resumes: None,
            waits_since: None,
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

    /// Looks at the refresh at `now`: `warm` when every replacement so far is in service and warm, `blocked` when nothing
    /// but protected instances is left.
    pub fn step(&mut self, warm: bool, blocked: bool, now: SimTime) -> RefreshStep {
        if self.left.is_empty() && warm {
            return RefreshStep::Successful;
        }
        if self.protected == ProtectedInstances::Wait && blocked && !self.left.is_empty() {
            let since = *self.waits_since.get_or_insert(now);
            if now.saturating_since(since) >= PROTECTED_WAIT {
                return RefreshStep::Failed;
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
        let until = (self.total * next).div_ceil(100);
        if replaced < until {
            return RefreshStep::Replace(until - replaced);
        }
        if !warm {
            return RefreshStep::Replace(0);
        }
        self.checkpoints.remove(0);
        if self.left.is_empty() {
            return RefreshStep::Successful;
        }
        let resumes = now.saturating_add(self.checkpoint_delay);
        self.resumes = Some(resumes);
        RefreshStep::Pause(resumes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refresh(count: u32, checkpoints: &[u32], protected: ProtectedInstances) -> InstanceRefresh {
        let call = StartInstanceRefresh {
            group: "g".into(),
            policy: None,
            warmup: None,
            checkpoints: checkpoints.to_vec(),
            checkpoint_delay: SimDuration::HOUR,
            protected,
        };
        let instances = (0..count).map(InstanceId).collect();
        InstanceRefresh::new(&call, instances, MaintenancePolicy::UNSET, SimDuration::ZERO)
    }

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    #[test]
    fn asg_42_a_checkpoint_pauses_once_its_share_is_warm() {
        let mut refresh = refresh(10, &[20, 100], ProtectedInstances::Wait);
        assert_eq!(refresh.step(true, false, secs(0)), RefreshStep::Replace(2));
        refresh.retain(|id| id.0 >= 2);
        assert_eq!(refresh.step(false, false, secs(60)), RefreshStep::Replace(0), "the replacements warm up");
        assert_eq!(refresh.step(true, false, secs(120)), RefreshStep::Pause(secs(3720)));
        assert_eq!(refresh.step(true, false, secs(3719)), RefreshStep::Pause(secs(3720)));
        assert_eq!(refresh.step(true, false, secs(3720)), RefreshStep::Replace(8));
        assert_eq!(refresh.percentage(), 20);
        refresh.retain(|_| false);
        assert_eq!(refresh.step(false, false, secs(4000)), RefreshStep::Replace(0));
        assert_eq!(refresh.step(true, false, secs(4060)), RefreshStep::Successful);
    }

    #[test]
    fn asg_42_protected_instances_are_waited_for_an_hour() {
        let mut waiting = refresh(2, &[], ProtectedInstances::Wait);
        assert_eq!(waiting.step(true, true, secs(0)), RefreshStep::Replace(2));
        assert_eq!(waiting.step(true, true, secs(3599)), RefreshStep::Replace(2));
        assert_eq!(waiting.step(true, true, secs(3600)), RefreshStep::Failed);
        let mut freed = refresh(2, &[], ProtectedInstances::Wait);
        freed.step(true, true, secs(0));
        freed.step(true, false, secs(1800));
        assert_eq!(freed.step(true, true, secs(3600)), RefreshStep::Replace(2), "the hour begins anew");
    }
}
