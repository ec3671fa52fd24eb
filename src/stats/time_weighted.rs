//! The time average of a quantity that jumps and stays: queue length, instances in service, utilisation.

use crate::engine::time::SimTime;

/// Integrates a piecewise-constant value over time.
///
/// Source: Law, section 1.4.1, "time-average number in queue".
///
/// ```
/// use ecsim::engine::time::SimTime;
/// use ecsim::stats::TimeWeighted;
///
/// let mut tasks = TimeWeighted::new(SimTime::ZERO, 2.0);
/// tasks.set(SimTime::from_secs(30), 6.0);
/// assert_eq!(tasks.mean(SimTime::from_secs(40)), 3.0);
/// assert_eq!(tasks.integral(SimTime::from_secs(40)), 120.0); // task-seconds
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeWeighted {
    since: SimTime,
    /// The value has been the same since this instant.
    last: SimTime,
    value: f64,
    /// Up to `last`.
    integral: f64,
    min: f64,
    max: f64,
}

impl TimeWeighted {
    /// Starts at instant `at` with `value`.
    pub fn new(at: SimTime, value: f64) -> Self {
        Self { since: at, last: at, value, integral: 0.0, min: value, max: value }
    }

    /// The value becomes `value` at instant `at`. An `at` before the last change counts as the last change.
    pub fn set(&mut self, at: SimTime, value: f64) {
        self.integral = self.integral(at);
        self.last = self.last.max(at);
        self.value = value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// The value changes by `delta` at instant `at`.
    pub fn add(&mut self, at: SimTime, delta: f64) {
        self.set(at, self.value + delta);
    }

    /// The present value.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The integral from the start, or the last reset, to `now` \[value × seconds\].
    pub fn integral(&self, now: SimTime) -> f64 {
        self.integral + self.value * now.saturating_since(self.last).as_secs_f64()
    }

    /// The mean from the start, or the last reset, to `now`; over no time at all, the present value.
    pub fn mean(&self, now: SimTime) -> f64 {
        let span = self.last.max(now).saturating_since(self.since);
        if span.is_zero() { self.value } else { self.integral(now) / span.as_secs_f64() }
    }

    /// The smallest value since the start or the last reset, including one that lasted no time.
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The largest value since the start or the last reset, including one that lasted no time.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// Forgets what was before `at`, keeping the present value: the cut at the end of the warm-up.
    pub fn reset(&mut self, at: SimTime) {
        *self = Self::new(at, self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    #[test]
    fn each_value_counts_for_as_long_as_it_lasts() {
        let mut length = TimeWeighted::new(at(10), 0.0);
        length.add(at(20), 1.0);
        length.add(at(25), 2.0);
        length.set(at(35), 0.5);
        // 0 for 10 s, 1 for 5 s, 3 for 10 s, 0.5 for 10 s.
        assert_eq!(length.integral(at(45)), 40.0);
        assert_eq!(length.mean(at(45)), 40.0 / 35.0);
        assert_eq!((length.min(), length.max(), length.value()), (0.0, 3.0, 0.5));
    }

    #[test]
    fn a_reset_keeps_the_value_and_forgets_the_past() {
        let mut length = TimeWeighted::new(at(0), 100.0);
        length.set(at(50), 4.0);
        length.reset(at(60));
        assert_eq!((length.mean(at(60)), length.integral(at(60))), (4.0, 0.0));
        length.set(at(70), 8.0);
        assert_eq!((length.mean(at(80)), length.min(), length.max()), (6.0, 4.0, 8.0));
    }

    #[test]
    fn several_changes_in_one_instant_leave_the_last() {
        let mut length = TimeWeighted::new(at(0), 1.0);
        length.set(at(5), 1_000.0);
        length.set(at(5), 3.0);
        assert_eq!((length.mean(at(10)), length.max()), (2.0, 1_000.0));
    }

    #[test]
    fn an_instant_that_has_passed_counts_as_the_last_change() {
        let mut length = TimeWeighted::new(at(0), 2.0);
        length.set(at(10), 4.0);
        length.set(at(5), 6.0);
        assert_eq!((length.integral(at(10)), length.mean(at(3)), length.mean(at(20))), (20.0, 2.0, 4.0));
    }
}
