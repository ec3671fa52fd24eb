//! Readings of what the tasks of a service use, and the samples that become of them (ECSM-4, ECSM-5).
//!
//! The tasks of a service share its workload evenly, and each has a use of its own beside (`behaviour.cpu`,
//! `behaviour.memory`, drawn once a task): so their utilisation differs as their own use does. A reading keeps what the
//! workload asked of each task, and the least and the most that any task used: sums, counts and extremes then come out as
//! if each task had been read by itself, at the price of a reading per service.

use std::collections::BTreeMap;

use crate::control_plane::load::Usage;
use crate::engine::time::SimTime;
use crate::scaling::metric::StatisticSet;

/// What each task of a service used of one resource: a share of the workload, and what it uses by itself.
///
/// In vCPUs or MiB, or in percent of a task's reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TaskUse {
    /// What the workload used of each task.
    pub(super) load: f64,
    /// The part of its own use that a task got: less than 1 on hosts that are short of CPU.
    pub(super) kept: f64,
    /// Own use of all running tasks together.
    pub(super) own: f64,
    /// The least own use of a task.
    pub(super) least: f64,
    /// The most.
    pub(super) most: f64,
}

impl TaskUse {
    /// The same in percent of what a task reserves; nothing of nothing (ECSM-13).
    pub(super) fn percent_of(self, reserved: f64) -> Self {
        if reserved <= 0.0 {
            return Self::default();
        }
        let percent = |used: f64| 100.0 * used / reserved;
        Self {
            load: percent(self.load),
            kept: self.kept,
            own: percent(self.own),
            least: percent(self.least),
            most: percent(self.most),
        }
    }

    /// One sample of each of `tasks` running tasks (ECSM-9).
    pub(super) fn samples(&self, tasks: u32) -> StatisticSet {
        if tasks == 0 {
            return StatisticSet::EMPTY;
        }
        StatisticSet {
            samples: u64::from(tasks),
            sum: self.load * f64::from(tasks) + self.kept * self.own,
            minimum: self.load + self.kept * self.least,
            maximum: self.load + self.kept * self.most,
        }
    }
}

/// What the real containers of a service use, over the time between two readings: what an engine tells of them changes whenever
/// it tells it, and a reading is a mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct MeasuredUse {
    since: SimTime,
    tasks: u32,
    vcpu_seconds: f64,
    task_seconds: f64,
}

impl MeasuredUse {
    /// Up to `now` the tasks together used this much; from now on there is one more of them, or one fewer.
    pub(super) fn pass(&mut self, vcpus: f64, now: SimTime, one_more: bool) {
        self.account(vcpus, now);
        self.tasks = if one_more { self.tasks + 1 } else { self.tasks.saturating_sub(1) };
    }

    /// Mean vCPUs of all tasks and of each of them since the last call.
    pub(super) fn take(&mut self, vcpus: f64, now: SimTime, seconds: f64) -> (f64, f64) {
        self.account(vcpus, now);
        let (used, tasks) = (std::mem::take(&mut self.vcpu_seconds), std::mem::take(&mut self.task_seconds));
        (if seconds > 0.0 { used / seconds } else { 0.0 }, if tasks > 0.0 { used / tasks } else { 0.0 })
    }

    fn account(&mut self, vcpus: f64, now: SimTime) {
        let seconds = now.saturating_since(self.since).as_secs_f64();
        self.since = now;
        self.vcpu_seconds += vcpus * seconds;
        self.task_seconds += f64::from(self.tasks) * seconds;
    }
}

/// How much each running task of a service uses by itself: how many use so much.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnLevels(BTreeMap<u64, u32>);

impl OwnLevels {
    pub(super) fn add(&mut self, level: u64) {
        *self.0.entry(level).or_default() += 1;
    }

    pub(super) fn remove(&mut self, level: u64) {
        if let Some(count) = self.0.get_mut(&level) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&level);
            }
        }
    }

    /// The least and the most of them; zeros without tasks.
    pub(super) fn extremes(&self) -> (u64, u64) {
        let level = |entry: Option<(&u64, &u32)>| entry.map_or(0, |(level, _)| *level);
        (level(self.0.first_key_value()), level(self.0.last_key_value()))
    }
}

/// One reading of a service's use, taken about every 20 s (ECSM-5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) at: SimTime,
    /// All tasks together.
    pub(super) used: Usage,
    /// Of each task, in percent of its reservation: CPU, memory.
    pub(super) percent: [TaskUse; 2],
}

/// A task that became RUNNING within the minute, and its own use of a resource in percent of its reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct YoungTask {
    pub(super) started: SimTime,
    pub(super) own: f64,
}

/// ECSM-5: one sample per running task, the mean of its readings, with the extremes of the single readings.
///
/// `resource` is a place in [`Reading::percent`]. Tasks that are not `young` have every reading.
pub(super) fn task_samples(readings: &[Reading], running: u32, young: &[YoungTask], resource: usize) -> StatisticSet {
    let since = |start: SimTime| readings.iter().filter(move |reading| reading.at > start);
    let uses = |start: SimTime| since(start).map(|reading| reading.percent[resource]);
    let mean = |start: SimTime, of: fn(&TaskUse) -> f64| {
        uses(start).map(|used| of(&used)).sum::<f64>() / uses(start).count() as f64
    };
    let Some(last) = readings.last() else { return StatisticSet::EMPTY };
    let mut set = StatisticSet::EMPTY;
    let mut first = SimTime::MAX;
    let old = running.saturating_sub(young.len() as u32);
    if old > 0 {
        first = SimTime::ZERO;
        let own = last.percent[resource].own - young.iter().map(|task| task.own).sum::<f64>();
        set.samples += u64::from(old);
        set.sum += f64::from(old) * mean(first, |used| used.load) + own.max(0.0) * mean(first, |used| used.kept);
    }
    // A task that started after the last reading has none yet.
    for task in young.iter().filter(|task| last.at > task.started) {
        first = first.min(task.started);
        set.samples += 1;
        set.sum += mean(task.started, |used| used.load) + task.own * mean(task.started, |used| used.kept);
    }
    for used in uses(first) {
        let all = used.samples(1);
        set.minimum = set.minimum.min(all.minimum);
        set.maximum = set.maximum.max(all.maximum);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(secs: u64, used: TaskUse) -> Reading {
        Reading { at: SimTime::from_secs(secs), used: Usage::default(), percent: [used, TaskUse::default()] }
    }

    fn load(load: f64) -> TaskUse {
        TaskUse { load, kept: 1.0, ..TaskUse::default() }
    }

    #[test]
    fn ecsm_5_a_sample_a_task_with_the_extremes_of_the_readings() {
        let readings = [reading(20, load(10.0)), reading(40, load(40.0)), reading(60, load(70.0))];
        let young = [30, 65].map(|secs| YoungTask { started: SimTime::from_secs(secs), own: 0.0 });
        let set = task_samples(&readings, 4, &young, 0);
        assert_eq!(set, StatisticSet { samples: 3, sum: 40.0 + 40.0 + 55.0, minimum: 10.0, maximum: 70.0 });
        assert_eq!(task_samples(&readings, 1, &young[1..], 0).samples, 0);
    }

    #[test]
    fn ecsm_5_tasks_differ_by_their_own_use() {
        // 10 % of load each; by themselves two tasks use 10 and 50 %, of which hosts leave them half in the last reading.
        let own = |kept: f64| TaskUse { load: 10.0, kept, own: 60.0, least: 10.0, most: 50.0 };
        let readings = [reading(20, own(1.0)), reading(40, own(1.0)), reading(60, own(0.5))];
        let set = task_samples(&readings, 2, &[], 0);
        assert_eq!(set.samples, 2);
        assert!((set.sum - (20.0 + 60.0 * 2.5 / 3.0)).abs() < 1e-9, "{set:?}");
        assert_eq!((set.minimum, set.maximum), (15.0, 60.0), "of single readings");
        // The greedy one is young: it has one reading, the other all three.
        let young = [YoungTask { started: SimTime::from_secs(45), own: 50.0 }];
        let set = task_samples(&readings, 2, &young, 0);
        assert!((set.sum - (10.0 + 10.0 * 2.5 / 3.0 + 10.0 + 25.0)).abs() < 1e-9, "{set:?}");
    }

    #[test]
    fn ecsm_5_a_reading_of_real_containers_is_a_mean_over_its_time() {
        let at = SimTime::from_secs;
        let mut measured = MeasuredUse::default();
        measured.pass(0.0, at(0), true);
        // Nothing for 10 s, one vCPU for 5 s; then a second task, and three vCPUs for 5 s.
        measured.pass(0.0, at(10), false);
        measured.pass(0.0, at(10), true);
        measured.pass(1.0, at(15), true);
        assert_eq!(measured.take(3.0, at(20), 20.0), (1.0, 20.0 / 25.0));
        measured.pass(3.0, at(20), false);
        assert_eq!(measured.take(0.5, at(40), 20.0), (0.5, 0.5));
    }

    #[test]
    fn levels_are_counted() {
        let mut levels = OwnLevels::default();
        assert_eq!(levels.extremes(), (0, 0));
        for level in [20, 60, 20] {
            levels.add(level);
        }
        levels.remove(60);
        levels.remove(20);
        assert_eq!(levels.extremes(), (20, 20));
    }
}
