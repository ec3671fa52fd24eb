//! Lifecycle hooks: what holds an instance back before it goes into service, or before it ends (ASG-13, ASG-14).

use std::collections::BTreeMap;

use crate::engine::time::{SimDuration, SimTime};
use crate::workload::distribution::Distribution;

/// `autoscaling put-lifecycle-hook`.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleHook {
    /// `LifecycleHookName`.
    pub name: String,
    /// `LifecycleTransition`.
    pub transition: Transition,
    /// `HeartbeatTimeout`.
    pub heartbeat: SimDuration,
    /// `DefaultResult`.
    pub default_result: HookResult,
    /// `completesAfter`: seconds after which whatever the hook notifies completes it with CONTINUE; nobody does when
    /// absent.
    pub completes_after: Option<Distribution>,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`.
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`.
    Terminating,
}

/// How a hook ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// `CONTINUE`.
    Continue,
    /// `ABANDON`.
    Abandon,
}

/// ASG-13: no wait is longer than this.
const LONGEST_WAIT: SimDuration = SimDuration::from_secs(48 * 3600);

/// ASG-13: how many heartbeats a hook lasts at most.
const HEARTBEATS: u64 = 100;

/// The hooks that hold one instance, in parallel; all must finish.
#[derive(Clone, Debug, PartialEq)]
pub struct HookWait {
    hooks: BTreeMap<String, Held>,
}

/// One hook that holds an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    heartbeat: SimDuration,
    default_result: HookResult,
    /// When it ends by itself, unless a heartbeat comes before.
    deadline: SimTime,
    /// After this no heartbeat helps.
    limit: SimTime,
    /// When what it notifies completes it.
    completes: Option<SimTime>,
}

/// How a wait stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// At least one hook has not finished.
    Waiting,
    /// All have finished with CONTINUE.
    Proceed,
    /// One was abandoned: the others are skipped.
    Abandoned,
}

impl HookWait {
    /// The hooks of `transition` begin to hold an instance at `now`; `None` when there is none.
    ///
    /// `completion` draws how long a hook takes to be completed.
    pub fn begin<'a>(
        hooks: impl IntoIterator<Item = &'a LifecycleHook>,
        transition: Transition,
        now: SimTime,
        mut completion: impl FnMut(&Distribution) -> SimDuration,
    ) -> Option<Self> {
        let hooks: BTreeMap<String, Held> = hooks
            .into_iter()
            .filter(|hook| hook.transition == transition)
            .map(|hook| {
                let limit = now.saturating_add((hook.heartbeat * HEARTBEATS).min(LONGEST_WAIT));
                let held = Held {
                    heartbeat: hook.heartbeat,
                    default_result: hook.default_result,
                    deadline: now.saturating_add(hook.heartbeat).min(limit),
                    limit,
                    completes: hook.completes_after.as_ref().map(|after| now.saturating_add(completion(after))),
                };
                (hook.name.clone(), held)
            })
            .collect();
        (!hooks.is_empty()).then_some(Self { hooks })
    }

    /// When one of the hooks ends by itself.
    pub fn next_due(&self) -> Option<SimTime> {
        self.hooks.values().map(|held| held.completes.map_or(held.deadline, |at| at.min(held.deadline))).min()
    }

    /// Ends the hooks that are due at `now`: those completed in time, and those whose heartbeat has run out.
    pub fn advance(&mut self, now: SimTime) -> WaitOutcome {
        let mut abandoned = false;
        self.hooks.retain(|_, held| {
            if held.completes.is_some_and(|at| at <= now && at <= held.deadline) {
                return false;
            }
            let over = held.deadline <= now;
            abandoned |= over && held.default_result == HookResult::Abandon;
            !over
        });
        self.outcome(abandoned)
    }

    /// `CompleteLifecycleAction`; `None` when no hook of this name holds the instance.
    pub fn complete(&mut self, name: &str, result: HookResult) -> Option<WaitOutcome> {
        self.hooks.remove(name)?;
        Some(self.outcome(result == HookResult::Abandon))
    }

    /// `RecordLifecycleActionHeartbeat`: the hook's timer starts anew, within its limit; false when no hook of this name
    /// holds the instance.
    pub fn heartbeat(&mut self, name: &str, now: SimTime) -> bool {
        let Some(held) = self.hooks.get_mut(name) else { return false };
        held.deadline = now.saturating_add(held.heartbeat).min(held.limit);
        true
    }

    fn outcome(&self, abandoned: bool) -> WaitOutcome {
        if abandoned {
            WaitOutcome::Abandoned
        } else if self.hooks.is_empty() {
            WaitOutcome::Proceed
        } else {
            WaitOutcome::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(name: &str, heartbeat: u64, default_result: HookResult) -> LifecycleHook {
        LifecycleHook {
            name: name.to_owned(),
            transition: Transition::Launching,
            heartbeat: SimDuration::from_secs(heartbeat),
            default_result,
            completes_after: None,
        }
    }

    fn begin(hooks: &[LifecycleHook]) -> HookWait {
        HookWait::begin(hooks, Transition::Launching, SimTime::ZERO, |after| SimDuration::from_secs_f64(after.mean()))
            .unwrap()
    }

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    #[test]
    fn asg_13_a_heartbeat_restarts_the_timer_up_to_a_hundred_of_them_or_48_hours() {
        for (heartbeat, end) in [(600, 60_000), (30, 3000), (3600, 172_800)] {
            let mut wait = begin(&[hook("a", heartbeat, HookResult::Continue)]);
            let mut now = 0;
            while wait.next_due() < Some(secs(end)) {
                now += heartbeat - 1;
                assert!(wait.heartbeat("a", secs(now)));
            }
            assert_eq!(wait.next_due(), Some(secs(end)));
            assert_eq!(wait.advance(secs(end)), WaitOutcome::Proceed);
        }
        assert!(!begin(&[hook("a", 600, HookResult::Continue)]).heartbeat("b", secs(1)));
    }

    #[test]
    fn asg_13_hooks_run_in_parallel_and_all_must_finish() {
        let mut wait = begin(&[hook("a", 600, HookResult::Continue), hook("b", 900, HookResult::Continue)]);
        assert_eq!(wait.advance(secs(600)), WaitOutcome::Waiting);
        assert_eq!(wait.complete("a", HookResult::Continue), None, "it has ended already");
        assert_eq!(wait.complete("b", HookResult::Continue), Some(WaitOutcome::Proceed));
    }

    #[test]
    fn asg_14_one_abandoned_hook_skips_the_others() {
        let mut wait = begin(&[hook("a", 600, HookResult::Continue), hook("b", 900, HookResult::Continue)]);
        assert_eq!(wait.complete("a", HookResult::Abandon), Some(WaitOutcome::Abandoned));
        let mut wait = begin(&[hook("a", 600, HookResult::Abandon), hook("b", 900, HookResult::Continue)]);
        assert_eq!(wait.advance(secs(600)), WaitOutcome::Abandoned);
    }

    #[test]
    fn what_a_hook_notifies_completes_it_in_time_or_too_late() {
        let after = |seconds| LifecycleHook {
            completes_after: Some(Distribution::Constant(seconds)),
            ..hook("a", 600, HookResult::Abandon)
        };
        let mut wait = begin(&[after(90.0)]);
        assert_eq!(wait.next_due(), Some(secs(90)));
        assert_eq!(wait.advance(secs(90)), WaitOutcome::Proceed);
        let mut wait = begin(&[after(900.0)]);
        assert_eq!(wait.advance(secs(600)), WaitOutcome::Abandoned);
    }

    #[test]
    fn hooks_of_the_other_transition_hold_nobody() {
        let hooks = [hook("a", 600, HookResult::Continue)];
        assert_eq!(HookWait::begin(&hooks, Transition::Terminating, SimTime::ZERO, |_| SimDuration::ZERO), None);
    }
}
