//! Target groups: registered and healthy targets, and when health checks decide (ELB-3…9).

use crate::control_plane::api::CreateTargetGroup;
use crate::engine::time::{SimDuration, SimTime};

/// A target group.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// Its settings.
    pub definition: CreateTargetGroup,
    /// Whether its load balancer is a Network Load Balancer.
    pub network: bool,
    /// Registered targets: initial, healthy or unhealthy.
    pub registered: u32,
    /// Healthy targets.
    pub healthy: u32,
}

/// The settings of a health check that decide a new target's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Time between probes.
    pub interval: SimDuration,
    /// Passes in a row that make an unhealthy target healthy.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy_threshold: u32,
    /// Passes that make a new target healthy: one (ELB-4, C-5).
    pub initial_passes: u32,
}

/// What the checks will say of a new target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// When it turns healthy, if it lives that long.
    pub healthy_at: SimTime,
    /// When it turns unhealthy before that, if it does.
    pub unhealthy_at: Option<SimTime>,
}

/// ELB-4…6: the fate of a target whose first probe comes at `first_probe` and that answers from `ready` on.
///
/// Probes follow each other by the interval and are thought instantaneous, so the fate can be computed at once: probes
/// before `ready` fail, later ones pass. It takes `initial_passes` to become healthy, and the healthy threshold in a
/// row once the target has been unhealthy.
pub fn first_verdict(first_probe: SimTime, ready: SimTime, check: &HealthCheck) -> Verdict {
    let interval = check.interval.max(SimDuration::from_nanos(1));
    let failures = ready.saturating_since(first_probe).as_nanos().div_ceil(interval.as_nanos());
    let first_pass = first_probe + interval * failures;
    let threshold = u64::from(check.unhealthy_threshold.max(1));
    let (passes, unhealthy_at) = if failures >= threshold {
        (check.healthy_threshold, Some(first_probe + interval * (threshold - 1)))
    } else {
        (check.initial_passes, None)
    };
    Verdict { healthy_at: first_pass + interval * u64::from(passes.max(1) - 1), unhealthy_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: HealthCheck = HealthCheck {
        interval: SimDuration::from_secs(10),
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        initial_passes: 1,
    };

    fn verdict(ready: u64) -> (u64, Option<u64>) {
        let verdict = first_verdict(SimTime::ZERO, SimTime::from_secs(ready), &CHECK);
        let secs = |time: SimTime| time.as_nanos() / 1_000_000_000;
        (secs(verdict.healthy_at), verdict.unhealthy_at.map(secs))
    }

    #[test]
    fn ex_elb_1_two_failures_make_a_slow_target_unhealthy() {
        assert_eq!(verdict(12).1, Some(10));
    }

    #[test]
    fn ex_elb_2_an_unhealthy_target_needs_five_passes() {
        // Passes at 20, 30, 40, 50, 60.
        assert_eq!(verdict(12), (60, Some(10)));
    }

    #[test]
    fn ex_elb_3_one_pass_is_enough_for_a_new_target() {
        assert_eq!(verdict(5), (10, None));
        assert_eq!(verdict(0), (0, None));
    }
}
