//! Schedules as Application Auto Scaling and EventBridge write them, `at(…)`, `rate(…)`, `cron(…)` (SCH-1, SCH-4…8),
//! and the five fields of Unix cron that Auto Scaling groups take (EC2S-6).

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::engine::time::{SimDuration, SimTime};

/// When something happens, over and over or once.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    zone: TimeZone,
    /// Wall-clock instant of time zero.
    start: Timestamp,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    At(DateTime),
    Rate(SimDuration),
    Cron(Box<Cron>),
}

/// Two schedules are the same if they are written alike and count from the same instant.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone, self.start) == (&other.text, &other.zone, other.start)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// None of the three forms.
    #[error("`{0}` is no schedule; write cron(0 10 * * ? *), rate(5 minutes) or at(2026-01-05T09:00:00)")]
    Form(String),
    /// Not six fields.
    #[error("`{text}` has {found} fields; cron takes six: minutes, hours, day of month, month, day of week, year")]
    Fields {
        /// What was written.
        text: String,
        /// How many fields it has.
        found: usize,
    },
    /// Not the five fields of a group's recurrence (EC2S-6).
    #[error("`{text}` has {found} fields; a recurrence takes five: minutes, hours, day of month, month, day of week")]
    UnixFields {
        /// What was written.
        text: String,
        /// How many fields it has.
        found: usize,
    },
    /// One field is wrong.
    #[error("`{text}` is no {field}; use {expected}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What was written.
        text: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// Neither or both of the day fields are `?` (SCH-4).
    #[error("`{0}` needs `?` in one of its day fields, day of month or day of week, and in one only")]
    DayFields(String),
    /// A rate that AWS refuses (SCH-1).
    #[error("`{0}` is no rate; write rate(1 minute) or rate(5 hours): a whole number, and the singular for 1 only")]
    Rate(String),
    /// Not a date and time.
    #[error("`{0}` is no instant; write at(2026-01-05T09:00:00)")]
    At(String),
    /// A zone the tz database does not know.
    #[error("`{0}` is no time zone of the IANA database; write for example UTC or Europe/Berlin")]
    TimeZone(String),
}

impl Schedule {
    /// Parses a schedule; `time_zone` is an IANA name and applies to `at` and `cron` (SCH-1), `start` is time zero.
    pub fn parse(text: &str, time_zone: &str, start: Timestamp) -> Result<Self, ScheduleError> {
        let trimmed = text.trim();
        let inside = |name: &str| trimmed.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')').map(str::trim);
        let rule = if let Some(fields) = inside("cron") {
            Rule::Cron(Box::new(parse_cron(fields)?))
        } else if let Some(rate) = inside("rate") {
            Rule::Rate(parse_rate(rate).ok_or_else(|| ScheduleError::Rate(rate.to_owned()))?)
        } else if let Some(at) = inside("at") {
            Rule::At(at.parse().map_err(|_| ScheduleError::At(at.to_owned()))?)
        } else {
            return Err(ScheduleError::Form(trimmed.to_owned()));
        };
        Ok(Self { text: trimmed.to_owned(), zone: zone_named(time_zone)?, start, rule })
    }

    /// Parses the recurrence of a group's scheduled action: five fields of Unix cron (EC2S-6).
    ///
    /// As there, a day is due when its day of month or its day of week is, if both fields are restricted.
    pub fn parse_unix(text: &str, time_zone: &str, start: Timestamp) -> Result<Self, ScheduleError> {
        let trimmed = text.trim();
        let rule = Rule::Cron(Box::new(parse_unix_cron(trimmed)?));
        Ok(Self { text: trimmed.to_owned(), zone: zone_named(time_zone)?, start, rule })
    }

    /// True for `at(…)`, which happens once (SCH-12).
    pub fn is_one_off(&self) -> bool {
        matches!(self.rule, Rule::At(_))
    }

    /// The first occurrence at or after `from`, if there is one; `rate` counts from time zero.
    pub fn next_from(&self, from: SimTime) -> Option<SimTime> {
        self.next_counting_from(self.start, from)
    }

    /// The first occurrence at or after `from`, if there is one.
    ///
    /// `rate` counts from the instant `anchor`, which may lie before time zero, and first fires one interval after it
    /// (SCH-7).
    pub fn next_counting_from(&self, anchor: Timestamp, from: SimTime) -> Option<SimTime> {
        self.next(anchor, 1, from)
    }

    /// The first run at or after `from` of a schedule of tasks that is created at time zero, if there is one: there, a
    /// `rate` runs at its creation for the first time (TASK-17).
    pub fn next_run_from(&self, from: SimTime) -> Option<SimTime> {
        self.next(self.start, 0, from)
    }

    /// A `rate` first fires `first` intervals after `anchor`.
    fn next(&self, anchor: Timestamp, first: i128, from: SimTime) -> Option<SimTime> {
        match &self.rule {
            Rule::Rate(interval) => {
                let interval = i128::from(interval.as_nanos());
                let anchor = anchor.as_nanosecond() - self.start.as_nanosecond();
                let since = i128::from(from.as_nanos()) - anchor;
                let intervals = (since.div_euclid(interval) + i128::from(since.rem_euclid(interval) > 0)).max(first);
                u64::try_from(anchor + intervals * interval).ok().map(SimTime::from_nanos)
            }
            Rule::At(at) => {
                let instant = self.zone.to_ambiguous_zoned(*at).earlier().ok()?;
                self.sim_time(instant.timestamp()).filter(|&at| at >= from)
            }
            Rule::Cron(cron) => self.next_cron(cron, from),
        }
    }

    /// SCH-8: local times that spring skips do not fire that day; those that autumn repeats fire once.
    fn next_cron(&self, cron: &Cron, from: SimTime) -> Option<SimTime> {
        let mut search = self.wall_clock(from)?;
        let mut inclusive = true;
        loop {
            let found = cron.find_next_occurrence(&search, inclusive).ok()?;
            let first = self.zone.to_ambiguous_zoned(found.datetime()).earlier().ok()?;
            if first.timestamp() == found.timestamp() && cron.is_time_matching(&found).ok()? {
                return self.sim_time(found.timestamp());
            }
            search = found;
            inclusive = false;
        }
    }

    /// The first whole second of the zone's wall clock that is not before `t`.
    fn wall_clock(&self, t: SimTime) -> Option<Zoned> {
        let nanos = self.start.as_nanosecond() + i128::from(t.as_nanos());
        let secs = -(-nanos).div_euclid(1_000_000_000);
        let instant = Timestamp::from_second(i64::try_from(secs).ok()?).ok()?;
        Some(instant.to_zoned(self.zone.clone()))
    }

    fn sim_time(&self, instant: Timestamp) -> Option<SimTime> {
        sim_time(self.start, instant)
    }
}

/// The virtual time of a wall-clock instant; `None` before time zero, which is `start`.
pub fn sim_time(start: Timestamp, instant: Timestamp) -> Option<SimTime> {
    let nanos = instant.as_nanosecond() - start.as_nanosecond();
    u64::try_from(nanos).ok().map(SimTime::from_nanos)
}

/// The wall-clock instant of a virtual time; beyond the calendar's end it is the last instant there is.
pub fn wall_clock(start: Timestamp, at: SimTime) -> Timestamp {
    let since = jiff::SignedDuration::from_nanos(i64::try_from(at.as_nanos()).unwrap_or(i64::MAX));
    start.checked_add(since).unwrap_or(Timestamp::MAX)
}

fn zone_named(name: &str) -> Result<TimeZone, ScheduleError> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| ScheduleError::TimeZone(name.to_owned()))
}

fn parse_rate(text: &str) -> Option<SimDuration> {
    let (count, unit) = text.split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|&count| count > 0)?;
    let unit = unit.trim();
    let singular = if count == 1 { unit } else { unit.strip_suffix('s')? };
    let secs = match singular {
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return None,
    };
    // 584 years of nanoseconds are the engine's limit.
    count.checked_mul(secs)?.checked_mul(1_000_000_000).map(SimDuration::from_nanos)
}

/// One field of a cron expression (SCH-4).
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    least: u16,
    most: u16,
    names: &'static [&'static str],
    expected: &'static str,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
/// SCH-5: 1 = SUN … 7 = SAT.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const DAY_OF_MONTH: usize = 2;
const DAY_OF_WEEK: usize = 4;

const FIELDS: [Field; 6] = [
    Field { name: "minutes", least: 0, most: 59, names: &[], expected: "0-59 with , - * /" },
    Field { name: "hours", least: 0, most: 23, names: &[], expected: "0-23 with , - * /" },
    Field { name: "day of month", least: 1, most: 31, names: &[], expected: "1-31 with , - * / ? L W" },
    Field { name: "month", least: 1, most: 12, names: &MONTHS, expected: "1-12 or JAN-DEC with , - * /" },
    Field { name: "day of week", least: 1, most: 7, names: &WEEKDAYS, expected: "1-7 or SUN-SAT with , - * / ? L #" },
    Field { name: "year", least: 1970, most: 2199, names: &[], expected: "1970-2199 with , - * /" },
];

/// Fields of Unix cron: no years, and both 0 and 7 are SUN (EC2S-6).
const UNIX_FIELDS: [Field; 5] = {
    let [minutes, hours, _, month, ..] = FIELDS;
    [
        minutes,
        hours,
        Field { name: "day of month", least: 1, most: 31, names: &[], expected: "1-31 with , - * /" },
        month,
        Field { name: "day of week", least: 0, most: 7, names: &WEEKDAYS, expected: "0-7 or SUN-SAT with , - * /" },
    ]
};

/// Checks the five fields of a recurrence and hands them to croner, whose own syntax allows more.
fn parse_unix_cron(text: &str) -> Result<Cron, ScheduleError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != UNIX_FIELDS.len() {
        return Err(ScheduleError::UnixFields { text: text.to_owned(), found: fields.len() });
    }
    let mut rewritten = vec!["0".to_owned()];
    for (field, written) in UNIX_FIELDS.iter().zip(fields) {
        let error = || ScheduleError::Field { field: field.name, text: written.to_owned(), expected: field.expected };
        let upper = written.to_ascii_uppercase();
        let parts = upper.split(',').map(|part| if part == "*" { Some(part.to_owned()) } else { field.plain(part) });
        rewritten.push(parts.collect::<Option<Vec<_>>>().ok_or_else(error)?.join(","));
    }
    rewritten.push("*".to_owned());
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    parser.parse(&rewritten.join(" ")).map_err(|_| ScheduleError::Form(text.to_owned()))
}

/// Checks AWS's six fields and rewrites them for croner, whose own syntax allows more and less.
fn parse_cron(text: &str) -> Result<Cron, ScheduleError> {
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() == 7 {
        fields.remove(0); // SCH-12: seconds are tolerated, and lost
    }
    if fields.len() != FIELDS.len() {
        return Err(ScheduleError::Fields { text: text.to_owned(), found: fields.len() });
    }
    if (fields[DAY_OF_MONTH] == "?") == (fields[DAY_OF_WEEK] == "?") {
        return Err(ScheduleError::DayFields(text.to_owned()));
    }
    let mut rewritten = vec!["0".to_owned()];
    for (index, (field, written)) in FIELDS.iter().zip(fields).enumerate() {
        let error = || ScheduleError::Field { field: field.name, text: written.to_owned(), expected: field.expected };
        rewritten.push(field.rewrite(index, written).ok_or_else(error)?);
    }
    let parser =
        CronParser::builder().seconds(Seconds::Required).year(Year::Required).alternative_weekdays(true).build();
    parser.parse(&rewritten.join(" ")).map_err(|_| ScheduleError::Form(format!("cron({text})")))
}

impl Field {
    fn rewrite(&self, index: usize, text: &str) -> Option<String> {
        let day_field = index == DAY_OF_MONTH || index == DAY_OF_WEEK;
        if text == "*" || (day_field && text == "?") {
            return Some("*".to_owned());
        }
        if text.matches('#').count() > 1 {
            return None; // SCH-6: only one
        }
        let text = text.to_ascii_uppercase();
        let parts = text.split(',').map(|part| match index {
            DAY_OF_MONTH => self.day_of_month(part),
            DAY_OF_WEEK => self.day_of_week(part),
            _ => self.plain(part),
        });
        parts.collect::<Option<Vec<_>>>().map(|parts| parts.join(","))
    }

    /// `*`, `n`, `a-b`, and any of these with a step; `a/b` starts at a and runs to the end of the field (SCH-6).
    fn plain(&self, part: &str) -> Option<String> {
        let (base, step) = match part.split_once('/') {
            Some((base, step)) => (base, Some(step.parse::<u16>().ok().filter(|&step| step > 0)?)),
            None => (part, None),
        };
        let (from, to) = match base.split_once('-') {
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None if base == "*" => (self.least, self.most),
            None => {
                let from = self.value(base)?;
                (from, if step.is_some() { self.most } else { from })
            }
        };
        let range = match (from, to) {
            (from, to) if from > to => return None,
            (from, to) if from == to => return Some(from.to_string()),
            (from, to) => format!("{from}-{to}"),
        };
        Some(step.map_or(range.clone(), |step| format!("{range}/{step}")))
    }

    fn value(&self, text: &str) -> Option<u16> {
        if let Some(position) = self.names.iter().position(|&name| name == text) {
            return Some(self.least + position as u16);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|value| digits && (self.least..=self.most).contains(value))
    }

    /// `L`, `LW` and `nW` beside the plain forms (SCH-6).
    fn day_of_month(&self, part: &str) -> Option<String> {
        match part.strip_suffix('W') {
            _ if part == "L" || part == "LW" => Some(part.to_owned()),
            Some(day) => Some(format!("{}W", self.value(day)?)),
            None => self.plain(part),
        }
    }

    /// `L` (Saturday), `nL` (the last such weekday of the month) and `n#k` beside the plain forms (SCH-6).
    fn day_of_week(&self, part: &str) -> Option<String> {
        if part == "L" {
            return Some("7".to_owned());
        }
        if let Some(day) = part.strip_suffix('L') {
            return Some(format!("{}#L", self.value(day)?));
        }
        match part.split_once('#') {
            Some((day, k)) => {
                let k: u16 = k.parse().ok().filter(|k| (1..=5).contains(k))?;
                Some(format!("{}#{k}", self.value(day)?))
            }
            None => self.plain(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The first `count` occurrences at or after `start`, in UTC.
    fn occurrences(schedule: &str, zone: &str, start: &str, count: usize) -> Vec<String> {
        let start = at(start);
        let schedule = Schedule::parse(schedule, zone, start).unwrap();
        let mut from = SimTime::ZERO;
        let mut found = Vec::new();
        while let Some(next) = schedule.next_from(from).filter(|_| found.len() < count) {
            let instant = Timestamp::from_nanosecond(start.as_nanosecond() + i128::from(next.as_nanos())).unwrap();
            found.push(instant.to_string());
            from = next + SimDuration::from_nanos(1);
        }
        found
    }

    fn first(schedule: &str, start: &str) -> String {
        occurrences(schedule, "UTC", start, 1).pop().unwrap()
    }

    #[test]
    fn ex_task_8_a_cron_with_ranges_fires_eight_times_on_a_friday() {
        let found = occurrences("cron(0/15 9-10 ? * MON-FRI *)", "UTC", "2026-09-25T00:00:00Z", 9);
        let times: Vec<&str> = found.iter().map(|text| &text[11..16]).collect();
        assert_eq!(times[..8], ["09:00", "09:15", "09:30", "09:45", "10:00", "10:15", "10:30", "10:45"]);
        assert_eq!(found[8], "2026-09-28T09:00:00Z", "the next is on Monday");
    }

    #[test]
    fn ex_sch_1() {
        let found = occurrences("cron(0 10 * * ? *)", "UTC", "2026-01-05T00:00:00Z", 2);
        assert_eq!(found, ["2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z"]);
    }

    #[test]
    fn ex_sch_2() {
        let found = occurrences("cron(0 18 ? * MON-FRI *)", "UTC", "2026-09-25T18:00:00Z", 2);
        assert_eq!(found, ["2026-09-25T18:00:00Z", "2026-09-28T18:00:00Z"]);
    }

    #[test]
    fn ex_sch_3() {
        assert_eq!(first("cron(0/15 * * * ? *)", "2026-01-05T12:07:00Z"), "2026-01-05T12:15:00Z");
    }

    #[test]
    fn ex_sch_4() {
        let found = occurrences("cron(1/10 * * * ? *)", "UTC", "2026-01-05T12:00:00Z", 7);
        let minutes: Vec<&str> = found.iter().map(|text| &text[14..16]).collect();
        assert_eq!(minutes, ["01", "11", "21", "31", "41", "51", "01"]);
    }

    #[test]
    fn ex_sch_5() {
        assert_eq!(first("cron(0 22 L * ? *)", "2026-02-01T00:00:00Z"), "2026-02-28T22:00:00Z");
    }

    #[test]
    fn ex_sch_6() {
        assert_eq!(first("cron(0 9 ? * 2#1 *)", "2026-10-01T00:00:00Z"), "2026-10-05T09:00:00Z");
    }

    #[test]
    fn ex_sch_7() {
        assert_eq!(first("cron(0 8 1W * ? *)", "2026-08-01T00:00:00Z"), "2026-08-03T08:00:00Z");
    }

    #[test]
    fn ex_sch_11() {
        for text in ["rate(1 hours)", "rate(5 hour)", "rate(0 minutes)", "rate(5 weeks)", "rate(minutes)"] {
            let error = Schedule::parse(text, "UTC", at("2026-01-05T00:00:00Z")).unwrap_err();
            assert!(matches!(error, ScheduleError::Rate(_)), "{text}: {error}");
        }
        let found = occurrences("rate(5 hours)", "UTC", "2026-01-05T00:00:00Z", 2);
        assert_eq!(found, ["2026-01-05T05:00:00Z", "2026-01-05T10:00:00Z"]);
    }

    #[test]
    fn ex_sch_13() {
        let found = occurrences("cron(5,35 14 * * ? *)", "UTC", "2026-01-05T00:00:00Z", 3);
        assert_eq!(found, ["2026-01-05T14:05:00Z", "2026-01-05T14:35:00Z", "2026-01-06T14:05:00Z"]);
    }

    #[test]
    fn ex_sch_14() {
        for text in ["cron(0 10 * * * *)", "cron(0 10 ? * ? *)"] {
            let error = Schedule::parse(text, "UTC", at("2026-01-05T00:00:00Z")).unwrap_err();
            assert!(matches!(error, ScheduleError::DayFields(_)), "{text}: {error}");
        }
    }

    #[rstest]
    #[case("cron(0 0 ? * 1 *)", "2026-01-05T00:00:00Z", "2026-01-11T00:00:00Z")] // 1 = SUN
    #[case("cron(0 0 ? * SUN *)", "2026-01-05T00:00:00Z", "2026-01-11T00:00:00Z")]
    #[case("cron(0 0 ? * L *)", "2026-01-05T00:00:00Z", "2026-01-10T00:00:00Z")] // bare L = Saturday
    #[case("cron(0 0 ? * 6L *)", "2026-01-05T00:00:00Z", "2026-01-30T00:00:00Z")] // last Friday
    #[case("cron(0 0 ? * 6/1 *)", "2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z")] // FRI and SAT
    #[case("cron(0 0 31W * ? *)", "2026-01-05T00:00:00Z", "2026-01-30T00:00:00Z")] // never leaves the month
    #[case("cron(0 0 LW * ? *)", "2026-01-05T00:00:00Z", "2026-01-30T00:00:00Z")]
    #[case("cron(0 0 1 jan ? 2030)", "2026-01-05T00:00:00Z", "2030-01-01T00:00:00Z")]
    #[case("cron(30 0 0 1 2/3 ? *)", "2026-01-05T00:00:00Z", "2026-02-01T00:00:00Z")] // seconds are lost
    #[case("at(2026-03-01T12:30:00)", "2026-01-05T00:00:00Z", "2026-03-01T12:30:00Z")]
    fn sch_4_to_6_read_every_form(#[case] schedule: &str, #[case] start: &str, #[case] expected: &str) {
        assert_eq!(first(schedule, start), expected);
    }

    #[rstest]
    #[case("cron(60 0 * * ? *)")]
    #[case("cron(0 0 32 * ? *)")]
    #[case("cron(0 0 0 * ? *)")]
    #[case("cron(0 0 ? * 0 *)")]
    #[case("cron(0 0 ? * 8 *)")]
    #[case("cron(0 0 ? * 2#6 *)")]
    #[case("cron(0 0 ? * 2#1,3#1 *)")]
    #[case("cron(0 0 * FOO ? *)")]
    #[case("cron(0/0 0 * * ? *)")]
    #[case("cron(5-2 0 * * ? *)")]
    #[case("cron(0 0 * * ? 1969)")]
    #[case("cron(+1 0 * * ? *)")]
    #[case("cron(, 0 * * ? *)")]
    fn sch_4_refuses_fields_out_of_range(#[case] text: &str) {
        let error = Schedule::parse(text, "UTC", at("2026-01-05T00:00:00Z")).unwrap_err();
        assert!(matches!(error, ScheduleError::Field { .. }), "{error}");
    }

    /// The first occurrences of a recurrence at or after `start`, in UTC.
    fn recurrences(text: &str, zone: &str, start: &str, count: usize) -> Vec<String> {
        let start = at(start);
        let schedule = Schedule::parse_unix(text, zone, start).unwrap();
        let next = |from: SimTime| schedule.next_from(from);
        let found = std::iter::successors(next(SimTime::ZERO), |at| next(*at + SimDuration::from_nanos(1)));
        found
            .take(count)
            .map(|at| {
                Timestamp::from_nanosecond(start.as_nanosecond() + i128::from(at.as_nanos())).unwrap().to_string()
            })
            .collect()
    }

    #[rstest]
    #[case("30 9 * * *", "UTC", ["2026-01-05T09:30:00Z", "2026-01-06T09:30:00Z"])]
    #[case("0 0 * * 0", "UTC", ["2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"])] // 0 = SUN
    #[case("0 0 * * 7", "UTC", ["2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"])]
    #[case("0 0 * * mon-wed", "UTC", ["2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"])]
    #[case("0 0 13 * FRI", "UTC", ["2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"])] // the 13th, or any Friday
    #[case("*/20 8 * JAN *", "America/New_York", ["2026-01-05T13:00:00Z", "2026-01-05T13:20:00Z"])]
    fn ec2s_6_groups_take_five_fields_of_unix_cron(
        #[case] text: &str,
        #[case] zone: &str,
        #[case] expected: [&str; 2],
    ) {
        assert_eq!(recurrences(text, zone, "2026-01-05T00:00:00Z", 2), expected);
    }

    #[test]
    fn ec2s_6_refuses_the_six_fields_of_services() {
        let error = |text| Schedule::parse_unix(text, "UTC", at("2026-01-05T00:00:00Z")).unwrap_err();
        assert!(matches!(error("0 10 * * ? *"), ScheduleError::UnixFields { found: 6, .. }));
        for text in ["0 10 ? * MON", "0 10 L * *", "0 10 * * 8", "60 * * * *"] {
            assert!(matches!(error(text), ScheduleError::Field { .. }), "{text}");
        }
    }

    #[test]
    fn sch_7_a_rate_counts_from_its_anchor() {
        let start = at("2026-01-05T00:00:00Z");
        let schedule = Schedule::parse("rate(6 hours)", "UTC", start).unwrap();
        let hours = |anchor: &str, from: u64| {
            let next = schedule.next_counting_from(at(anchor), SimTime::from_secs(from * 3600)).unwrap();
            next.as_secs_f64() / 3600.0
        };
        assert_eq!(hours("2026-01-05T02:00:00Z", 0), 8.0, "one interval after the anchor");
        assert_eq!(hours("2026-01-05T02:00:00Z", 8), 8.0);
        assert_eq!(hours("2026-01-05T02:00:00Z", 9), 14.0);
        assert_eq!(hours("2026-01-04T23:00:00Z", 0), 5.0, "an anchor before time zero");
    }

    #[test]
    fn refusals_say_what_to_write() {
        let message = |text| Schedule::parse(text, "UTC", at("2026-01-05T00:00:00Z")).unwrap_err().to_string();
        assert_eq!(message("cron(0 61 * * ? *)"), "`61` is no hours; use 0-23 with , - * /");
        assert!(message("0 10 * * *").contains("write cron(0 10 * * ? *)"));
        assert!(message("cron(0 10 * * ?)").contains("has 5 fields"));
        assert!(message("at(tomorrow)").contains("at(2026-01-05T09:00:00)"));
    }

    #[test]
    fn what_is_over_never_comes_again() {
        assert_eq!(occurrences("at(2026-01-01T00:00:00)", "UTC", "2026-01-05T00:00:00Z", 1), [""; 0]);
        assert_eq!(occurrences("cron(0 0 1 1 ? 2025)", "UTC", "2026-01-05T00:00:00Z", 1), [""; 0]);
        assert_eq!(occurrences("cron(0 0 30 2 ? *)", "UTC", "2026-01-05T00:00:00Z", 1), [""; 0]);
    }

    #[test]
    fn an_unknown_zone_is_refused() {
        let error = Schedule::parse("rate(1 day)", "Mars/Olympus", at("2026-01-05T00:00:00Z")).unwrap_err();
        assert_eq!(error, ScheduleError::TimeZone("Mars/Olympus".into()));
    }

    #[test]
    fn sch_8_spring_skips_and_autumn_repeats_once() {
        // A POSIX rule needs no tz database: Berlin's.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let days = |cron: &str, start: &str, count| {
            let mut schedule = Schedule::parse(cron, "UTC", at(start)).unwrap();
            schedule.zone = zone.clone();
            let mut from = SimTime::ZERO;
            let mut found = Vec::new();
            for _ in 0..count {
                let next = schedule.next_from(from).unwrap();
                found.push(next.as_nanos() / 60_000_000_000);
                from = next + SimDuration::from_nanos(1);
            }
            found
        };
        // 2026-03-29: 02:00 to 03:00 do not exist; minutes since the 28th, 00:00 UTC.
        assert_eq!(days("cron(30 2 * * ? *)", "2026-03-28T00:00:00Z", 2), [90, 2 * 1440 + 30]);
        // 2026-10-25: 02:30 comes at 00:30 and 01:30 UTC.
        assert_eq!(days("cron(30 2 * * ? *)", "2026-10-25T00:00:00Z", 2), [30, 1440 + 90]);
        assert_eq!(days("cron(0/30 * * * ? *)", "2026-10-25T00:00:00Z", 4), [0, 30, 120, 150]);
    }
}
