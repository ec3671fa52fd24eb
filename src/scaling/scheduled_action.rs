//! Scheduled scaling of services and groups: when an action runs, and what it makes of the bounds (SCH-*, ASG-32).
//!
//! [`Timing`] says when, [`apply`] what. Neither knows of policies and their cooldowns, which do not hold a scheduled
//! action back (SCH-10, ASG-32).

use jiff::Timestamp;

use crate::engine::time::SimTime;
use crate::refused::Refused;
use crate::scaling::policy;
use crate::scaling::scalable_target::ScaledResource;
use crate::schedule::{Schedule, sim_time};

/// Most scheduled actions of one scalable target (AAS-18).
pub const MAX_ACTIONS_PER_TARGET: usize = 200;
/// Most scheduled actions of one Auto Scaling group (ASG-32).
pub const MAX_ACTIONS_PER_GROUP: usize = 125;

/// When a scheduled action runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// `Schedule` or `Recurrence`; a group's action without one runs once, at its start.
    pub schedule: Option<Schedule>,
    /// `StartTime`.
    pub start: Option<Timestamp>,
    /// `EndTime`.
    pub end: Option<Timestamp>,
    /// When the action was put: what a rate without `StartTime` counts from (SCH-7).
    pub put: Timestamp,
    /// The wall-clock instant of time zero.
    pub origin: Timestamp,
}

impl Timing {
    /// The first run at or after `from`, if there is one (SCH-7).
    ///
    /// A recurring action runs at its `StartTime` as well, and nothing runs after `EndTime`.
    pub fn next_run(&self, from: SimTime) -> Option<SimTime> {
        let start = self.start.map(|start| (start, sim_time(self.origin, start)));
        let next = match (&self.schedule, start) {
            (None, Some((_, first))) => first.filter(|first| *first >= from),
            (None, None) => None,
            (Some(schedule), Some((_, Some(first)))) if !schedule.is_one_off() && from <= first => Some(first),
            (Some(schedule), Some((start, _))) => schedule.next_counting_from(start, from),
            (Some(schedule), None) => schedule.next_counting_from(self.put, from),
        }?;
        let over = self.end.is_some_and(|end| sim_time(self.origin, end).is_none_or(|end| next > end));
        (!over).then_some(next)
    }

    /// True when it runs once and is then forgotten (SCH-12).
    pub fn is_one_off(&self) -> bool {
        self.schedule.as_ref().is_none_or(Schedule::is_one_off)
    }
}

/// What a scheduled action sets; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SizeChange {
    /// `MinCapacity` or `MinSize`.
    pub min: Option<u32>,
    /// `MaxCapacity` or `MaxSize`.
    pub max: Option<u32>,
    /// `DesiredCapacity`; groups only (EC2S-6).
    pub desired: Option<u32>,
}

/// Bounds and the capacity between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Lower bound.
    pub min: u32,
    /// Upper bound.
    pub max: u32,
    /// Desired count or capacity.
    pub desired: u32,
}

/// The sizes after a scheduled action: new bounds, and the capacity moved into them (SCH-2, ASG-1).
///
/// # Errors
/// When the minimum would pass the maximum: then neither bound changes (SCH-3).
pub fn apply(change: SizeChange, present: Sizes) -> Result<Sizes, Refused> {
    let (min, max) = (change.min.unwrap_or(present.min), change.max.unwrap_or(present.max));
    if min > max {
        return Err(Refused {
            code: "ValidationException",
            message: format!("Maximum capacity ({max}) cannot be less than minimum capacity ({min})"),
            rule: "SCH-3",
        });
    }
    let desired = policy::clamp(i64::from(change.desired.unwrap_or(present.desired)), min, max);
    Ok(Sizes { min, max, desired })
}

/// Refuses what AWS refuses of a scheduled action by itself, and one that would never run from `now` on; returns its
/// first run.
pub fn check(timing: &Timing, change: SizeChange, resource: &ScaledResource, now: SimTime) -> Result<SimTime, Refused> {
    let (code, rule) = match resource {
        ScaledResource::Service { .. } => ("ValidationException", "SCH-2"),
        ScaledResource::Group { .. } => ("ValidationError", "ASG-32"),
    };
    let refused = |message: &str, rule| Err(Refused { code, message: message.to_owned(), rule });
    if change == SizeChange::default() {
        return refused("At least one of the minimum, the maximum and the desired capacity must be specified.", rule);
    }
    if let (Some(min), Some(max)) = (change.min, change.max)
        && min > max
    {
        return refused(&format!("Maximum capacity ({max}) cannot be less than minimum capacity ({min})"), "SCH-3");
    }
    if let (Some(start), Some(end)) = (timing.start, timing.end)
        && end <= start
    {
        return refused("The end time must be after the start time.", "SCH-7");
    }
    if timing.schedule.is_none() && timing.start.is_none() {
        return refused("Either a schedule or a start time must be specified.", "SCH-1");
    }
    match timing.next_run(now) {
        Some(first) => Ok(first),
        None => refused("The schedule has no occurrence in the future.", "SCH-1"),
    }
}

/// Refuses an action beyond the quota of its resource, which has `count` of them with it (AAS-18, ASG-32).
pub fn check_count(resource: &ScaledResource, count: usize) -> Result<(), Refused> {
    let (most, code, rule) = match resource {
        ScaledResource::Service { .. } => (MAX_ACTIONS_PER_TARGET, "LimitExceededException", "AAS-18"),
        ScaledResource::Group { .. } => (MAX_ACTIONS_PER_GROUP, "LimitExceeded", "ASG-32"),
    };
    if count > most {
        let message = format!("You have reached the limit of {most} scheduled actions for this resource.");
        return Err(Refused { code, message, rule });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::SimDuration;
    use rstest::rstest;

    const NIGHT: &str = "2026-01-05T00:00:00Z";

    fn instant(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// An action put at time zero, which is midnight.
    fn timing(schedule: &str) -> Timing {
        let origin = instant(NIGHT);
        let schedule = Schedule::parse(schedule, "UTC", origin).unwrap();
        Timing { schedule: Some(schedule), start: None, end: None, put: origin, origin }
    }

    /// All runs of the first two days, in hours.
    fn runs(timing: &Timing) -> Vec<f64> {
        let next = |from: SimTime| timing.next_run(from);
        std::iter::successors(next(SimTime::ZERO), |run| next(*run + SimDuration::from_nanos(1)))
            .map(|run| run.as_secs_f64() / 3600.0)
            .take_while(|hour| *hour < 48.0)
            .collect()
    }

    fn after(min: Option<u32>, max: Option<u32>, present: (u32, u32, u32)) -> Option<(u32, u32, u32)> {
        let (low, high, desired) = present;
        let change = SizeChange { min, max, desired: None };
        let sizes = apply(change, Sizes { min: low, max: high, desired }).ok()?;
        Some((sizes.min, sizes.max, sizes.desired))
    }

    #[test]
    fn ex_sch_8() {
        assert_eq!(after(Some(5), None, (1, 10, 3)), Some((5, 10, 5)));
    }

    #[test]
    fn ex_sch_9() {
        assert_eq!(after(None, Some(4), (1, 10, 8)), Some((1, 4, 4)));
    }

    #[test]
    fn ex_sch_10() {
        assert_eq!(after(Some(6), None, (2, 4, 3)), None);
    }

    #[test]
    fn ex_sch_12_the_night_has_no_tasks() {
        assert_eq!(after(Some(0), Some(0), (1, 10, 6)), Some((0, 0, 0)));
    }

    #[test]
    fn sch_2_a_capacity_within_the_bounds_stays() {
        assert_eq!(after(Some(2), Some(8), (1, 10, 5)), Some((2, 8, 5)));
    }

    #[rstest]
    #[case(Some(6), Some(6))]
    #[case(Some(40), Some(10))] // ASG-1: clamped, not refused
    #[case(None, Some(2))]
    fn asg_32_a_schedule_sets_the_desired_capacity_of_a_group(
        #[case] wanted: Option<u32>,
        #[case] expect: Option<u32>,
    ) {
        let change = SizeChange { desired: wanted, ..SizeChange::default() };
        let sizes = apply(change, Sizes { min: 1, max: 10, desired: 2 });
        assert_eq!(sizes.ok().map(|sizes| sizes.desired), expect);
    }

    #[test]
    fn sch_7_runs_at_its_start_then_by_its_recurrence_until_its_end() {
        let daily = timing("cron(0 9 * * ? *)");
        assert_eq!(runs(&daily), [9.0, 33.0]);
        let from_ten = Timing { start: Some(instant("2026-01-05T10:30:00Z")), ..daily.clone() };
        assert_eq!(runs(&from_ten), [10.5, 33.0]);
        let until = Timing { end: Some(instant("2026-01-06T08:00:00Z")), ..from_ten };
        assert_eq!(runs(&until), [10.5]);
        let over = Timing { end: Some(instant("2026-01-04T08:00:00Z")), ..daily };
        assert_eq!(runs(&over), [] as [f64; 0]);
    }

    #[test]
    fn sch_7_a_rate_counts_from_its_start_or_its_creation() {
        let rate = timing("rate(12 hours)");
        assert_eq!(runs(&rate), [12.0, 24.0, 36.0]);
        let put_at_four = Timing { put: instant("2026-01-05T04:00:00Z"), ..rate.clone() };
        assert_eq!(runs(&put_at_four), [16.0, 28.0, 40.0]);
        let start = Timing { start: Some(instant("2026-01-05T06:00:00Z")), ..rate.clone() };
        assert_eq!(runs(&start), [6.0, 18.0, 30.0, 42.0]);
        let long_ago = Timing { start: Some(instant("2025-12-31T23:00:00Z")), ..rate };
        assert_eq!(runs(&long_ago), [11.0, 23.0, 35.0, 47.0]);
    }

    #[test]
    fn sch_12_a_one_off_runs_once() {
        let once = timing("at(2026-01-05T07:00:00)");
        assert!(once.is_one_off() && !timing("rate(1 day)").is_one_off());
        assert_eq!(runs(&once), [7.0]);
        let start_only = Timing { schedule: None, start: Some(instant("2026-01-05T08:00:00Z")), ..once };
        assert!(start_only.is_one_off());
        assert_eq!(runs(&start_only), [8.0]);
    }

    #[test]
    fn what_aws_refuses_is_refused_with_its_code() {
        let service = ScaledResource::Service { cluster: "c".into(), service: "s".into() };
        let min = SizeChange { min: Some(1), ..SizeChange::default() };
        let daily = timing("cron(0 9 * * ? *)");
        let refusal = |timing: &Timing, change| check(timing, change, &service, SimTime::ZERO).unwrap_err();
        assert_eq!(check(&daily, min, &service, SimTime::ZERO), Ok(SimTime::from_secs(9 * 3600)));
        assert_eq!(refusal(&daily, SizeChange::default()).code, "ValidationException");
        assert_eq!(refusal(&daily, SizeChange { max: Some(0), ..min }).rule, "SCH-3");
        let backwards = Timing {
            start: Some(instant("2026-01-06T00:00:00Z")),
            end: Some(instant("2026-01-05T12:00:00Z")),
            ..daily.clone()
        };
        assert_eq!(refusal(&backwards, min).rule, "SCH-7");
        for never in ["cron(0 0 30 2 ? *)", "at(2026-01-01T00:00:00)"] {
            assert!(refusal(&timing(never), min).message.contains("no occurrence"), "{never}");
        }
        let nothing = Timing { schedule: None, ..daily };
        let group = ScaledResource::Group { group: "g".into() };
        assert_eq!(check(&nothing, min, &group, SimTime::ZERO).unwrap_err().code, "ValidationError");
    }

    #[test]
    fn aas_18_scheduled_actions_are_counted() {
        let service = ScaledResource::Service { cluster: "c".into(), service: "s".into() };
        let group = ScaledResource::Group { group: "g".into() };
        assert!(check_count(&service, 200).is_ok() && check_count(&group, 125).is_ok());
        assert_eq!(check_count(&service, 201).unwrap_err().code, "LimitExceededException");
        assert_eq!(check_count(&group, 126).unwrap_err().code, "LimitExceeded");
    }
}
