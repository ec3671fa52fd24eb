//! How fast a group replaces its instances: instance maintenance policies and their defaults (ASG-11, ASG-18, ASG-19).

/// `InstanceMaintenancePolicy`: between which sizes a group stays while it replaces instances, in percent of its
/// desired capacity (ASG-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaintenancePolicy {
    min_healthy: u32,
    max_healthy: u32,
}

/// A policy out of AWS's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// `MinHealthyPercentage` above 100.
    #[error("MinHealthyPercentage must be between 0 and 100, not {0}")]
    Min(u32),
    /// `MaxHealthyPercentage` below 100 or above 200.
    #[error("MaxHealthyPercentage must be between 100 and 200, not {0}")]
    Max(u32),
    /// Too wide.
    #[error(
        "The difference between MaxHealthyPercentage, {max}, and MinHealthyPercentage, {min}, cannot be greater than 100"
    )]
    Width {
        /// `MinHealthyPercentage`.
        min: u32,
        /// `MaxHealthyPercentage`.
        max: u32,
    },
}

impl MaintenancePolicy {
    /// What holds without a policy: terminate and launch together, a tenth of the group at a time (ASG-11, ASG-18,
    /// ASG-19).
    pub const UNSET: Self = Self { min_healthy: 90, max_healthy: 100 };

    /// Capacity Rebalancing: nothing goes before its replacement is there, a tenth of the group at a time (ASG-11, ASG-39).
    pub const CAPACITY_REBALANCING: Self = Self { min_healthy: 100, max_healthy: 110 };

    /// A policy of these percentages.
    pub const fn new(min_healthy: u32, max_healthy: u32) -> Result<Self, InvalidPolicy> {
        if min_healthy > 100 {
            return Err(InvalidPolicy::Min(min_healthy));
        }
        if max_healthy < 100 || max_healthy > 200 {
            return Err(InvalidPolicy::Max(max_healthy));
        }
        if max_healthy - min_healthy > 100 {
            return Err(InvalidPolicy::Width { min: min_healthy, max: max_healthy });
        }
        Ok(Self { min_healthy, max_healthy })
    }

    /// Instances that stay in service of `desired`. Where both bounds are 100 one goes at a time, else nothing could.
    pub fn floor(self, desired: u32) -> u32 {
        let spare = share(desired, 100 - self.min_healthy);
        let stuck = self.min_healthy == 100 && self.max_healthy == 100;
        desired.saturating_sub(if stuck { 1 } else { spare })
    }

    /// Instances that there may be, launching ones included.
    pub fn ceiling(self, desired: u32) -> u32 {
        desired.saturating_add(share(desired, self.max_healthy - 100))
    }
}

/// `percent` of `desired`, rounded down, but at least one unless `percent` is zero: a small group must get on too.
fn share(desired: u32, percent: u32) -> u32 {
    if percent == 0 {
        return 0;
    }
    // At most twice `desired`, and a percentage here ends at 100: the cast cannot lose anything.
    ((u64::from(desired) * u64::from(percent) / 100) as u32).max(1)
}

/// What decides how many instances may be replaced now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacementView {
    /// `DesiredCapacity`.
    pub desired: u32,
    /// Instances in service and warmed up, those to be replaced included: what has just been replaced is not ready.
    pub ready: u32,
    /// Instances to be replaced.
    pub due: u32,
    /// Instances that the group already launches, or has launched, above its desired capacity.
    pub ahead: u32,
}

/// How a group goes on replacing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplacementStep {
    /// Instances to terminate now.
    pub terminate: u32,
    /// Instances above the desired capacity that the group may hold from now on: launched before others go.
    pub ahead: u32,
}

/// ASG-11: terminate what the floor allows, launch ahead what the ceiling allows.
pub fn replacement_step(view: ReplacementView, policy: MaintenancePolicy) -> ReplacementStep {
    let terminate = view.due.min(view.ready.saturating_sub(policy.floor(view.desired)));
    let left = view.due - terminate;
    let ahead = view.ahead.saturating_sub(terminate).min(left);
    let room = policy.ceiling(view.desired).saturating_sub(view.desired + ahead);
    ReplacementStep { terminate, ahead: ahead + room.min(left - ahead) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(min: u32, max: u32) -> MaintenancePolicy {
        MaintenancePolicy::new(min, max).unwrap()
    }

    #[test]
    fn ex_asg_16() {
        let bounds = policy(90, 120);
        assert_eq!((bounds.floor(100), bounds.ceiling(100)), (90, 120));
    }

    #[test]
    fn ex_asg_18() {
        let bounds = policy(90, 100);
        assert_eq!(bounds.floor(10), 9);
        let step = replacement_step(ReplacementView { desired: 10, ready: 10, due: 10, ahead: 0 }, bounds);
        assert_eq!(step, ReplacementStep { terminate: 1, ahead: 0 });
        let step = replacement_step(ReplacementView { desired: 10, ready: 9, due: 9, ahead: 0 }, bounds);
        assert_eq!(step, ReplacementStep::default(), "the next one waits for the replacement");
    }

    #[test]
    fn asg_11_refuses_what_aws_refuses() {
        assert_eq!(MaintenancePolicy::new(101, 110), Err(InvalidPolicy::Min(101)));
        assert_eq!(MaintenancePolicy::new(90, 99), Err(InvalidPolicy::Max(99)));
        assert_eq!(MaintenancePolicy::new(90, 201), Err(InvalidPolicy::Max(201)));
        assert_eq!(MaintenancePolicy::new(50, 160), Err(InvalidPolicy::Width { min: 50, max: 160 }));
        assert!(MaintenancePolicy::new(0, 100).is_ok() && MaintenancePolicy::new(100, 200).is_ok());
    }

    #[test]
    fn asg_11_launches_before_it_terminates_when_nothing_may_be_missing() {
        let bounds = policy(100, 110);
        let view = |ready, due, ahead| ReplacementView { desired: 10, ready, due, ahead };
        assert_eq!(replacement_step(view(10, 3, 0), bounds), ReplacementStep { terminate: 0, ahead: 1 });
        assert_eq!(replacement_step(view(10, 3, 1), bounds), ReplacementStep { terminate: 0, ahead: 1 }, "it waits");
        assert_eq!(replacement_step(view(11, 3, 1), bounds), ReplacementStep { terminate: 1, ahead: 1 });
        assert_eq!(replacement_step(view(11, 1, 1), bounds), ReplacementStep { terminate: 1, ahead: 0 });
    }

    #[test]
    fn asg_11_a_small_group_gets_on_too() {
        for (bounds, desired, step) in [
            (policy(90, 100), 4, ReplacementStep { terminate: 1, ahead: 0 }),
            (policy(100, 110), 4, ReplacementStep { terminate: 0, ahead: 1 }),
            (policy(100, 100), 4, ReplacementStep { terminate: 1, ahead: 0 }),
            (policy(90, 120), 100, ReplacementStep { terminate: 10, ahead: 20 }),
        ] {
            let view = ReplacementView { desired, ready: desired, due: desired, ahead: 0 };
            assert_eq!(replacement_step(view, bounds), step, "{bounds:?} of {desired}");
        }
    }

    #[test]
    fn asg_18_replaces_a_tenth_at_once_or_one() {
        for (desired, at_once) in [(1, 1), (5, 1), (10, 1), (19, 1), (20, 2), (100, 10)] {
            let view = ReplacementView { desired, ready: desired, due: desired, ahead: 0 };
            assert_eq!(replacement_step(view, MaintenancePolicy::UNSET).terminate, at_once, "{desired}");
        }
    }

    #[test]
    fn asg_11_stays_within_its_bounds_whatever_is_due() {
        for (min, max) in [(90, 120), (50, 100), (100, 150), (0, 100), (100, 100)] {
            let bounds = policy(min, max);
            for desired in 1..30 {
                let (mut due, mut ready, mut ahead) = (desired, desired, 0);
                let mut rounds = 0;
                while due > 0 {
                    let step = replacement_step(ReplacementView { desired, ready, due, ahead }, bounds);
                    due -= step.terminate;
                    ready -= step.terminate;
                    ahead = step.ahead;
                    assert!(ready >= bounds.floor(desired) && desired + ahead <= bounds.ceiling(desired));
                    // Whatever was launched becomes ready before the next look.
                    ready = desired + ahead;
                    rounds += 1;
                    assert!(rounds <= 2 * desired, "{min}/{max} of {desired} goes on for ever");
                }
                assert_eq!(ahead, 0, "nothing stays above the desired capacity");
            }
        }
    }
}
