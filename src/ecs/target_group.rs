//! Target groups: registered and healthy targets, and when health checks decide (ELB-3…9).

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

/// When an application answers its probes.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// When its containers started.
    pub started: SimTime,
    /// From here on it answers.
    pub ready: SimTime,
    /// Spans since the start of the containers in which it does not.
    pub silent: &'a [(SimDuration, SimDuration)],
}

impl Answers<'_> {
    /// The first instant from `time` on at which it answers.
    fn next(&self, time: SimTime) -> SimTime {
        let mut next = time.max(self.ready);
        let ends = |at: SimTime| {
            let spans = self.silent.iter().map(|(from, to)| self.started + *from..self.started + *to);
            spans.filter(|span| span.contains(&at)).map(|span| span.end).max()
        };
        while let Some(end) = ends(next) {
            next = end;
        }
        next
    }

    /// From here on every probe is answered.
    fn settled(&self) -> SimTime {
        self.silent.iter().map(|(_, to)| self.started + *to).fold(self.ready, SimTime::max)
    }
}

/// One target group's view of a task.
#[derive(Clone, Copy, Debug)]
pub struct Probed<'a> {
    /// How it checks.
    pub check: HealthCheck,
    /// Its next probe.
    pub first_probe: SimTime,
    /// What its probes meet.
    pub answers: Answers<'a>,
}

/// A change of a target's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthChange {
    /// When.
    pub at: SimTime,
    /// Healthy from then on, or unhealthy.
    pub healthy: bool,
}

/// ELB-4…6: what the checks will say of a target of which they have said `known` so far.
///
/// Probes follow each other by the interval and are thought instantaneous, so the whole fate of a target can be computed
/// at once. It takes `initial_passes` to become healthy, and the healthy threshold in a row once the target has been
/// unhealthy. A task with several target groups is healthy while all of them say so, and unhealthy once one has said so.
pub fn health_changes(probed: &[Probed<'_>], known: Option<bool>) -> Vec<HealthChange> {
    let mut verdicts: Vec<(HealthChange, usize)> = Vec::new();
    for (place, group) in probed.iter().enumerate() {
        verdicts.extend(one_verdicts(group, known).into_iter().map(|change| (change, place)));
    }
    verdicts.sort_by_key(|(change, place)| (change.at, *place));
    let mut opinions: Vec<Option<bool>> = vec![known; probed.len()];
    let mut now = known;
    let mut changes = Vec::new();
    for (change, place) in verdicts {
        opinions[place] = Some(change.healthy);
        let said = if opinions.contains(&Some(false)) {
            Some(false)
        } else {
            opinions.iter().all(|opinion| *opinion == Some(true)).then_some(true)
        };
        if said.is_some() && said != now {
            now = said;
            changes.push(HealthChange { at: change.at, healthy: said == Some(true) });
        }
    }
    changes
}

/// The changes that one target group sees.
fn one_verdicts(group: &Probed<'_>, known: Option<bool>) -> Vec<HealthChange> {
    let Probed { check, first_probe, answers } = group;
    let interval = check.interval.max(SimDuration::from_nanos(1));
    let settled = answers.settled();
    let mut state = known;
    let (mut passes, mut failures) = (0, 0);
    let mut changes = Vec::new();
    let mut probe = *first_probe;
    loop {
        if answers.next(probe) == probe {
            (passes, failures) = (passes + 1, 0);
        } else {
            (passes, failures) = (0, failures + 1);
        }
        let needed = if state.is_none() { check.initial_passes } else { check.healthy_threshold };
        if state != Some(true) && passes >= needed.max(1) {
            state = Some(true);
            changes.push(HealthChange { at: probe, healthy: true });
        } else if state != Some(false) && failures >= check.unhealthy_threshold.max(1) {
            state = Some(false);
            changes.push(HealthChange { at: probe, healthy: false });
        }
        if probe >= settled && state == Some(true) {
            return changes;
        }
        // Once it is unhealthy, nothing changes before it answers again.
        let next = if state == Some(false) { answers.next(probe + interval) } else { probe + interval };
        let probes = next.saturating_since(probe).as_nanos().div_ceil(interval.as_nanos());
        probe += interval * probes;
    }
}

/// `elbv2 create-target-group`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTargetGroup {
    /// `Name`.
    pub name: String,
    /// The load balancer that routes to it.
    pub load_balancer: Option<String>,
    /// `HealthCheckIntervalSeconds`, default 30 s (ELB-3).
    pub health_check_interval: SimDuration,
    /// `HealthyThresholdCount`, default 5.
    pub healthy_threshold: u32,
    /// `UnhealthyThresholdCount`, default 2.
    pub unhealthy_threshold: u32,
    /// `deregistration_delay.timeout_seconds`, default 300 s (ELB-9).
    pub deregistration_delay: SimDuration,
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

    fn changes(ready: u64, silent: &[(u64, u64)], checks: &[HealthCheck]) -> Vec<(u64, bool)> {
        let silent: Vec<(SimDuration, SimDuration)> =
            silent.iter().map(|(from, to)| (SimDuration::from_secs(*from), SimDuration::from_secs(*to))).collect();
        let answers = Answers { started: SimTime::ZERO, ready: SimTime::from_secs(ready), silent: &silent };
        let probed: Vec<Probed<'_>> =
            checks.iter().map(|check| Probed { check: *check, first_probe: SimTime::ZERO, answers }).collect();
        let changes = health_changes(&probed, None);
        changes.iter().map(|change| (change.at.as_nanos() / 1_000_000_000, change.healthy)).collect()
    }

    #[test]
    fn ex_elb_1_two_failures_make_a_slow_target_unhealthy() {
        assert_eq!(changes(12, &[], &[CHECK])[0], (10, false));
    }

    #[test]
    fn ex_elb_2_an_unhealthy_target_needs_five_passes() {
        // Passes at 20, 30, 40, 50, 60.
        assert_eq!(changes(12, &[], &[CHECK]), [(10, false), (60, true)]);
    }

    #[test]
    fn ex_elb_3_one_pass_is_enough_for_a_new_target() {
        assert_eq!(changes(5, &[], &[CHECK]), [(10, true)]);
        assert_eq!(changes(0, &[], &[CHECK]), [(0, true)]);
    }

    #[test]
    fn elb_6_a_silent_target_turns_unhealthy_and_recovers() {
        // Fails at 100 and 110; passes from 130 on, the fifth at 170.
        assert_eq!(changes(0, &[(95, 130)], &[CHECK]), [(0, true), (110, false), (170, true)]);
        assert_eq!(changes(0, &[(95, 105)], &[CHECK]), [(0, true)], "one failure is not enough");
    }

    #[test]
    fn svc_7_every_target_group_has_to_agree() {
        let slow = HealthCheck { interval: SimDuration::from_secs(30), unhealthy_threshold: 10, ..CHECK };
        assert_eq!(changes(5, &[], &[CHECK, slow]), [(30, true)]);
        assert_eq!(changes(12, &[], &[CHECK, slow]), [(10, false), (60, true)]);
    }
}
