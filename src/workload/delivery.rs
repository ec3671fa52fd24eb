//! How EventBridge delivers an event to a target that refuses it: retries, and the end of them.

use crate::engine::time::{SimDuration, SimTime};

/// `RetryPolicy` of a target: for how long, and how often, a call that failed is made again (TASK-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// `MaximumEventAgeInSeconds`: 24 hours unless said.
    pub max_age: SimDuration,
    /// `MaximumRetryAttempts`: 185 unless said.
    pub max_attempts: u32,
}

impl Default for RetryPolicy {
    /// Source: Amazon EventBridge User Guide, "How EventBridge retries delivering events": 24 hours and 185 times.
    fn default() -> Self {
        Self { max_age: SimDuration::from_secs(86_400), max_attempts: 185 }
    }
}

/// What becomes of an event whose call has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFailure {
    /// The call is made again then.
    Retry(SimTime),
    /// It has been made again as often as it may.
    AttemptsSpent,
    /// At its next try the event would be too old.
    TooOld,
}

impl RetryPolicy {
    /// What follows a failure at `now` of an event of the time `event`, of which `retries` have been made already, when
    /// the next one would come after `wait`.
    pub fn after_failure(&self, event: SimTime, retries: u32, now: SimTime, wait: SimDuration) -> AfterFailure {
        if retries >= self.max_attempts {
            return AfterFailure::AttemptsSpent;
        }
        let again = now.saturating_add(wait);
        if again > event.saturating_add(self.max_age) { AfterFailure::TooOld } else { AfterFailure::Retry(again) }
    }
}

/// The wait before retry number `retry` (from 0): twice as long each time, up to `max`, and of that a part between a half
/// and the whole, as `u` in (0, 1) says.
///
/// AWS says no more than "exponential back off and jitter". The defaults, a second and eight minutes, are the ones with
/// which 185 retries take the 24 hours after which AWS gives up by itself.
pub fn backoff(retry: u32, base: SimDuration, max: SimDuration, u: f64) -> SimDuration {
    let doubled = base.as_nanos().checked_shl(retry.min(63)).filter(|nanos| nanos >> retry.min(63) == base.as_nanos());
    let whole = SimDuration::from_nanos(doubled.unwrap_or(u64::MAX)).min(max);
    whole / 2 + (whole - whole / 2).mul_f64(u)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: SimDuration = SimDuration::from_secs(1);

    #[test]
    fn waits_double_up_to_a_bound_and_no_further() {
        let max = SimDuration::from_secs(480);
        let whole = |retry| backoff(retry, SECOND, max, 1.0).as_secs_f64();
        assert_eq!([0, 1, 2, 8, 9, 62, 184].map(whole), [1.0, 2.0, 4.0, 256.0, 480.0, 480.0, 480.0]);
        assert_eq!(backoff(3, SECOND, max, 0.5), SimDuration::from_secs(6), "between a half and the whole");
        assert_eq!(backoff(40, SimDuration::CENTURY, SimDuration::CENTURY, 1.0), SimDuration::CENTURY);
    }

    #[test]
    fn by_default_both_bounds_are_reached_within_an_hour_of_each_other() {
        let total: f64 =
            (0..185).map(|retry| backoff(retry, SECOND, SimDuration::from_secs(480), 1.0).as_secs_f64()).sum();
        assert!((23.0 * 3600.0..24.0 * 3600.0).contains(&total), "{total}");
    }

    #[test]
    fn an_event_is_retried_until_it_is_too_old_or_was_tried_often_enough() {
        let policy = RetryPolicy { max_age: SimDuration::from_secs(60), max_attempts: 3 };
        let (event, minute) = (SimTime::from_secs(100), SimTime::from_secs(150));
        assert_eq!(policy.after_failure(event, 0, minute, SECOND * 10), AfterFailure::Retry(SimTime::from_secs(160)));
        assert_eq!(policy.after_failure(event, 0, minute, SECOND * 11), AfterFailure::TooOld);
        assert_eq!(policy.after_failure(event, 3, event, SECOND), AfterFailure::AttemptsSpent);
    }
}
