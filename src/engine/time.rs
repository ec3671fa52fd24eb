//! Virtual time as integer nanoseconds: [`SimTime`] (an instant) and [`SimDuration`] (a span).
//!
//! Integers make ties exact and runs portable; `f64` appears only at the rims (`from_secs_f64`, `as_secs_f64`).
//! Arithmetic is checked: an overflow is a bug in the caller and panics with both operands, except in the
//! `saturating_*` forms. The range is 584 years, from the start of the simulation. An `Option` of either takes eight bytes,
//! as the value does: a task has a dozen of them, and a large run is as fast as its tasks are small.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Div, Mul, Sub, SubAssign};
use std::str::FromStr;

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A count of nanoseconds, kept one higher than it is: zero is left to say that there is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Nanos(NonZeroU64);

impl Nanos {
    const ZERO: Self = Self(NonZeroU64::MIN);
    const MAX: Self = Self(NonZeroU64::MAX);

    /// So many, or the most there are: 2^64 - 2.
    const fn new(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    const fn get(self) -> u64 {
        self.0.get() - 1
    }

    const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.get()) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.get()))
    }

    const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.get().checked_sub(other.0.get()) {
            Some(rest) => Some(Self::new(rest)),
            None => None,
        }
    }

    const fn saturating_sub(self, other: Self) -> Self {
        Self::new(self.0.get().saturating_sub(other.0.get()))
    }
}

impl Default for Nanos {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// An instant of virtual time, in nanoseconds since the start of the simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(Nanos);

/// A non-negative span of virtual time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(Nanos);

/// `count` times `unit` nanoseconds, checked in release builds too.
const fn scaled(count: u64, unit: u64) -> u64 {
    match count.checked_mul(unit) {
        Some(nanos) => nanos,
        None => panic!("virtual time overflows: its range is 584 years"),
    }
}

impl SimTime {
    /// The start of the simulation.
    pub const ZERO: Self = Self(Nanos::ZERO);
    /// Later than any instant a scenario can name.
    pub const MAX: Self = Self(Nanos::MAX);

    /// The instant `nanos` nanoseconds after the start, [`SimTime::MAX`] at most.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(Nanos::new(nanos))
    }

    /// The instant `secs` seconds after the start.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Nanos::new(scaled(secs, NANOS_PER_SEC)))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// Seconds since the start, for reports.
    pub fn as_secs_f64(self) -> f64 {
        self.0.get() as f64 / NANOS_PER_SEC as f64
    }

    /// The span since `earlier`; zero when `earlier` lies in the future.
    pub const fn saturating_since(self, earlier: Self) -> SimDuration {
        SimDuration(self.0.saturating_sub(earlier.0))
    }

    /// This instant plus `span`, or [`SimTime::MAX`].
    pub const fn saturating_add(self, span: SimDuration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The first multiple of `interval` (counted from the start) that is not before this instant.
    ///
    /// An interval of zero returns the instant itself.
    pub const fn next_multiple_of(self, interval: SimDuration) -> Self {
        if interval.is_zero() {
            return self;
        }
        Self(Nanos::new(scaled(self.0.get().div_ceil(interval.0.get()), interval.0.get())))
    }

    /// The last multiple of `interval` (counted from the start) that is not after this instant.
    pub const fn previous_multiple_of(self, interval: SimDuration) -> Self {
        if interval.is_zero() {
            return self;
        }
        Self(Nanos::new(self.0.get() / interval.0.get() * interval.0.get()))
    }
}

impl SimDuration {
    /// No time at all.
    pub const ZERO: Self = Self(Nanos::ZERO);
    /// The longest span.
    pub const MAX: Self = Self(Nanos::MAX);
    /// One minute, `CloudWatch`'s standard period.
    pub const MINUTE: Self = Self::from_secs(60);
    /// One hour, the unit of prices.
    pub const HOUR: Self = Self::from_secs(3600);
    /// A hundred years: the longest span that an input may name or chance may draw, so that a few of them still add up
    /// to less than the range of virtual time.
    pub const CENTURY: Self = Self::from_secs(36_525 * 86_400);

    /// A span of `nanos` nanoseconds, [`SimDuration::MAX`] at most.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(Nanos::new(nanos))
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Nanos::new(scaled(millis, 1_000_000)))
    }

    /// A span of `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Nanos::new(scaled(secs, NANOS_PER_SEC)))
    }

    /// A span of `mins` minutes.
    pub const fn from_mins(mins: u64) -> Self {
        Self(Nanos::new(scaled(mins, 60 * NANOS_PER_SEC)))
    }

    /// The nearest span to `secs` seconds; NaN and negative values give zero, too large ones [`SimDuration::MAX`].
    pub fn from_secs_f64(secs: f64) -> Self {
        // `as` saturates at both ends and maps NaN to 0, which is what the contract asks for.
        Self(Nanos::new((secs * NANOS_PER_SEC as f64).round() as u64))
    }

    /// Nanoseconds in this span.
    pub const fn as_nanos(self) -> u64 {
        self.0.get()
    }

    /// Seconds in this span, for reports and rates.
    pub fn as_secs_f64(self) -> f64 {
        self.0.get() as f64 / NANOS_PER_SEC as f64
    }

    /// Whole seconds, rounded up (billing: EC2-23, FG-2).
    pub const fn as_secs_ceil(self) -> u64 {
        self.0.get().div_ceil(NANOS_PER_SEC)
    }

    /// Whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0.get() / NANOS_PER_SEC
    }

    /// True for the empty span.
    pub const fn is_zero(self) -> bool {
        self.0.get() == 0
    }

    /// `self + other`, or [`SimDuration::MAX`].
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `self - other`, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This span times `factor`, rounded to the nearest nanosecond; see [`SimDuration::from_secs_f64`] for the ends.
    pub fn mul_f64(self, factor: f64) -> Self {
        Self(Nanos::new((self.0.get() as f64 * factor).round() as u64))
    }
}

impl Add<SimDuration> for SimTime {
    type Output = Self;
    fn add(self, span: SimDuration) -> Self {
        Self(self.0.checked_add(span.0).unwrap_or_else(|| panic!("virtual time overflows: {self:?} + {span:?}")))
    }
}

impl AddAssign<SimDuration> for SimTime {
    fn add_assign(&mut self, span: SimDuration) {
        *self = *self + span;
    }
}

impl Sub<SimTime> for SimTime {
    type Output = SimDuration;
    fn sub(self, earlier: Self) -> SimDuration {
        SimDuration(self.0.checked_sub(earlier.0).unwrap_or_else(|| panic!("{earlier:?} is later than {self:?}")))
    }
}

impl Sub<SimDuration> for SimTime {
    type Output = Self;
    fn sub(self, span: SimDuration) -> Self {
        Self(self.0.checked_sub(span.0).unwrap_or_else(|| panic!("virtual time underflows: {self:?} - {span:?}")))
    }
}

impl Add for SimDuration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).unwrap_or_else(|| panic!("span overflows: {self:?} + {other:?}")))
    }
}

impl AddAssign for SimDuration {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for SimDuration {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).unwrap_or_else(|| panic!("span is negative: {self:?} - {other:?}")))
    }
}

impl SubAssign for SimDuration {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Mul<u64> for SimDuration {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        let nanos = self.0.get().checked_mul(factor).unwrap_or_else(|| panic!("span overflows: {self:?} * {factor}"));
        Self::from_nanos(nanos)
    }
}

impl Div<u64> for SimDuration {
    type Output = Self;
    fn div(self, divisor: u64) -> Self {
        Self::from_nanos(self.0.get() / divisor)
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SimDuration(self.0).fmt(f)
    }
}

/// Prints like `1h 30m`, `45s`, `1.5s` or `250ms`: at most the two largest units that matter.
impl fmt::Display for SimDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let nanos = self.as_nanos();
        let secs = nanos / NANOS_PER_SEC;
        let text = match secs {
            0 if nanos == 0 => "0s".to_owned(),
            0 if nanos < 1_000_000 => format!("{}us", nanos as f64 / 1e3),
            0 => format!("{}ms", nanos as f64 / 1e6),
            1..MINUTE => format!("{}s", nanos as f64 / NANOS_PER_SEC as f64),
            MINUTE..HOUR => two_units(secs, MINUTE, 'm', 1, 's'),
            HOUR..DAY => two_units(secs, HOUR, 'h', MINUTE, 'm'),
            _ => two_units(secs, DAY, 'd', HOUR, 'h'),
        };
        f.pad(&text)
    }
}

fn two_units(secs: u64, major: u64, major_name: char, minor: u64, minor_name: char) -> String {
    match secs % major / minor {
        0 => format!("{}{major_name}", secs / major),
        rest => format!("{}{major_name} {rest}{minor_name}", secs / major),
    }
}

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing was written.
    #[error("an empty text is no duration; write for example 45s, 10m or 1h30m")]
    Empty,
    /// A bare number: seconds, minutes?
    #[error("`{0}` has no unit; write for example {0}s, {0}m or {0}h")]
    MissingUnit(String),
    /// A unit that is not one of ours.
    #[error("`{0}` is no unit of time; use ns, us, ms, s, m, h, d or w")]
    UnknownUnit(String),
    /// Something that is not a number where a number belongs.
    #[error("`{0}` is no duration; write for example 45s, 10m or 1h30m")]
    NotANumber(String),
    /// Longer than the engine can count.
    #[error("`{0}` is longer than 584 years")]
    TooLong(String),
}

impl FromStr for SimDuration {
    type Err = ParseDurationError;

    /// Parses `45s`, `1h30m`, `1h 30m`, `1.5h`, `250ms`; units ns, us, ms, s, m (or min), h, d, w.
    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(ParseDurationError::Empty);
        }
        let mut rest = trimmed;
        let mut total = 0u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(digits);
            let tail = tail.trim_start();
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(letters);
            let value: f64 = number.parse().map_err(|_| ParseDurationError::NotANumber(trimmed.to_owned()))?;
            let scale: u64 = match unit {
                "" => return Err(ParseDurationError::MissingUnit(trimmed.to_owned())),
                "ns" => 1,
                "us" => 1_000,
                "ms" => 1_000_000,
                "s" | "sec" => NANOS_PER_SEC,
                "m" | "min" => 60 * NANOS_PER_SEC,
                "h" => 3600 * NANOS_PER_SEC,
                "d" => 86_400 * NANOS_PER_SEC,
                "w" => 604_800 * NANOS_PER_SEC,
                other => return Err(ParseDurationError::UnknownUnit(other.to_owned())),
            };
            let part = value * scale as f64;
            // Whole numbers stay exact: f64 would round beyond 2^53 ns, which is 104 days.
            let nanos = match number.parse::<u64>() {
                Ok(whole) => whole.checked_mul(scale),
                Err(_) if part < u64::MAX as f64 => Some(part.round() as u64),
                Err(_) => None,
            };
            total = nanos
                .and_then(|nanos| total.checked_add(nanos))
                .ok_or_else(|| ParseDurationError::TooLong(trimmed.to_owned()))?;
            rest = tail.trim_start();
        }
        Ok(Self::from_nanos(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        for text in ["0s", "45s", "1.5s", "250ms", "10m", "1h 30m", "2d 4h", "90us"] {
            assert_eq!(text.parse::<SimDuration>().unwrap().to_string(), text);
        }
        assert_eq!("1h30m".parse(), Ok(SimDuration::from_mins(90)));
        assert_eq!("90s".parse::<SimDuration>().unwrap().to_string(), "1m 30s");
    }

    #[test]
    fn refuses_with_a_reason() {
        use ParseDurationError as E;
        assert_eq!("45".parse::<SimDuration>(), Err(E::MissingUnit("45".into())));
        assert_eq!("3 parsecs".parse::<SimDuration>(), Err(E::UnknownUnit("parsecs".into())));
        assert_eq!("".parse::<SimDuration>(), Err(E::Empty));
        assert_eq!("-5s".parse::<SimDuration>(), Err(E::NotANumber("-5s".into())));
        assert_eq!("9999999999h".parse::<SimDuration>(), Err(E::TooLong("9999999999h".into())));
    }

    #[test]
    fn an_optional_time_is_as_small_as_a_time() {
        assert_eq!((size_of::<Option<SimTime>>(), size_of::<Option<SimDuration>>()), (8, 8));
        assert_eq!(SimTime::from_nanos(u64::MAX), SimTime::MAX, "one nanosecond is given for it");
        assert_eq!(SimTime::MAX.saturating_add(SimDuration::from_nanos(1)), SimTime::MAX);
        assert_eq!(SimDuration::default(), SimDuration::ZERO);
    }

    #[test]
    fn ticks_are_aligned_to_the_start() {
        let minute = SimDuration::MINUTE;
        assert_eq!(SimTime::from_secs(61).next_multiple_of(minute), SimTime::from_secs(120));
        assert_eq!(SimTime::from_secs(60).next_multiple_of(minute), SimTime::from_secs(60));
        assert_eq!(SimTime::from_secs(119).previous_multiple_of(minute), SimTime::from_secs(60));
        assert_eq!(SimTime::from_secs(7).next_multiple_of(SimDuration::ZERO), SimTime::from_secs(7));
    }

    #[test]
    fn floats_saturate_at_both_ends() {
        for (secs, span) in [
            (1.5, SimDuration::from_millis(1_500)),
            (-1.0, SimDuration::ZERO),
            (f64::NAN, SimDuration::ZERO),
            (f64::INFINITY, SimDuration::MAX),
        ] {
            assert_eq!(SimDuration::from_secs_f64(secs), span, "{secs}");
        }
        assert_eq!(SimTime::MAX.saturating_add(SimDuration::HOUR), SimTime::MAX);
        assert_eq!(SimDuration::MAX.saturating_add(SimDuration::HOUR), SimDuration::MAX);
        assert_eq!(SimTime::ZERO.saturating_since(SimTime::MAX), SimDuration::ZERO);
    }

    #[test]
    #[should_panic(expected = "virtual time overflows")]
    fn an_overflow_is_never_wrapped() {
        let _ = SimTime::MAX + SimDuration::from_nanos(1);
    }
}
