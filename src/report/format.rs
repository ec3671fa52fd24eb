//! How numbers, times and money are written: exactly in files, shortly for people.

use std::fmt;

use jiff::SignedDuration;

use crate::engine::time::SimTime;
use crate::report::summary::Unit;

/// Prints an instant as seconds since the start with up to nine decimals, exact, without trailing zeros.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub SimTime);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let (whole, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// An instant that may not have come, empty if so.
pub fn seconds_or_empty(at: Option<SimTime>) -> String {
    at.map_or_else(String::new, |at| Seconds(at).to_string())
}

/// The shortest decimal that reads back as `value`; empty for what is no number.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        String::new()
    } else if value == 0.0 {
        // -0 would print its sign.
        "0".to_owned()
    } else {
        value.to_string()
    }
}

/// A text as a cell of a CSV row.
pub fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A JSON number, whole ones without a fraction; null for what is no number.
pub fn json_number(value: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT { (value as i64).into() } else { value.into() }
}

/// The wall-clock instant of `at`, RFC 3339 in UTC to the millisecond, as ECS stamps its events.
pub fn timestamp(start: jiff::Timestamp, at: SimTime) -> String {
    let millis = i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
    // An instant that the calendar cannot name (the year 10000) is printed as the last one it can.
    let instant = start.checked_add(SignedDuration::from_millis(millis)).unwrap_or(jiff::Timestamp::MAX);
    instant.to_string()
}

/// The wall-clock second of `at`, RFC 3339 in UTC: the `time` of an EventBridge envelope.
pub fn timestamp_seconds(start: jiff::Timestamp, at: SimTime) -> String {
    let secs = i64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
    let instant = start.checked_add(SignedDuration::from_secs(secs)).unwrap_or(jiff::Timestamp::MAX);
    jiff::Timestamp::from_second(instant.as_second()).unwrap_or(instant).to_string()
}

/// A figure in the unit a person would choose: `$12.40`, `312 ms`, `5.3 min`, `71.2 %`, `1,203`.
pub fn for_people(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    match unit {
        Unit::Usd => money(value),
        Unit::Seconds => span(value),
        Unit::Hours => format!("{} h", grouped(value, decimals_for(value))),
        Unit::Ratio => format!("{} %", grouped(value * 100.0, 1)),
        Unit::Count => grouped(value, if value.fract() == 0.0 { 0 } else { decimals_for(value) }),
        // A fluid model answers fractions of them; there is no half a request.
        Unit::Requests => grouped(value, 0),
    }
}

/// A figure beside a bound of it: with as many more decimals as it takes to see on which side of the bound it is.
pub fn beside_bound(value: f64, bound: f64, unit: Unit) -> String {
    let text = for_people(value, unit);
    let (scale, after) = match unit {
        Unit::Ratio => (100.0, " %"),
        Unit::Seconds => scale_of(bound.abs()),
        Unit::Usd | Unit::Hours | Unit::Count | Unit::Requests => return text,
    };
    if value == bound || !value.is_finite() || text != for_people(bound, unit) {
        return text;
    }
    let at = |places: usize| [value, bound].map(|figure| grouped(figure * scale, places));
    let told = (1..=9).map(at).find(|[value, bound]| value != bound);
    told.map_or(text, |[value, _]| format!("{value}{after}"))
}

/// A figure and half the width of its interval, in one unit and with the same decimals.
pub fn with_interval(mean: f64, half: f64, unit: Unit) -> String {
    let (scaled, margin, before, after) = match unit {
        Unit::Usd => (mean, half, "$", ""),
        Unit::Ratio => (mean * 100.0, half * 100.0, "", " %"),
        Unit::Hours => (mean, half, "", " h"),
        Unit::Count | Unit::Requests => (mean, half, "", ""),
        Unit::Seconds => {
            let (scale, unit) = scale_of(mean.abs());
            (mean * scale, half * scale, "", unit)
        }
    };
    let usual = match unit {
        Unit::Usd => money_decimals(scaled.abs()),
        Unit::Ratio => 1,
        Unit::Requests => 0,
        Unit::Hours | Unit::Count | Unit::Seconds => decimals_for(scaled),
    };
    // An interval that rounds to nothing would look like certainty.
    let visible = |places: &usize| grouped(margin, *places).bytes().any(|digit| (b'1'..=b'9').contains(&digit));
    let decimals = (usual..usual + 4).find(visible).unwrap_or(usual);
    format!("{before}{} ± {before}{}{after}", grouped(scaled, decimals), grouped(margin, decimals))
}

/// Dollars with cents, or with the digits that matter below one cent.
pub fn money(usd: f64) -> String {
    let sign = if usd < 0.0 { "−" } else { "" };
    let size = usd.abs();
    format!("{sign}${}", grouped(size, money_decimals(size)))
}

fn money_decimals(size: f64) -> usize {
    match size {
        _ if size == 0.0 => 2,
        _ if size < 0.0001 => 6,
        _ if size < 0.1 => 4,
        _ if size < 10_000.0 => 2,
        _ => 0,
    }
}

/// A span of seconds in the unit that keeps it short.
pub fn span(secs: f64) -> String {
    let sign = if secs < 0.0 { "−" } else { "" };
    let size = secs.abs();
    let (scale, unit) = scale_of(size);
    let scaled = size * scale;
    let text = trimmed(scaled, decimals_for(scaled));
    // What rounds to nothing has neither sign nor a small unit.
    if text == "0" { "0 s".to_owned() } else { format!("{sign}{text}{unit}") }
}

/// What to multiply a span of seconds with, and the unit it then is in.
fn scale_of(size: f64) -> (f64, &'static str) {
    match size {
        _ if size == 0.0 => (1.0, " s"),
        _ if size < 1e-3 => (1e6, " µs"),
        _ if size < 0.9995 => (1e3, " ms"),
        _ if size < 119.5 => (1.0, " s"),
        _ if size < 7170.0 => (1.0 / 60.0, " min"),
        _ if size < 172_000.0 => (1.0 / 3600.0, " h"),
        _ => (1.0 / 86_400.0, " d"),
    }
}

/// Three significant digits, as decimals.
fn decimals_for(value: f64) -> usize {
    match value.abs() {
        size if size == 0.0 || size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.0995 => 2,
        _ => 3,
    }
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = grouped(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with thousands separated by commas; the sign of what rounds to zero is dropped.
pub fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut text = String::with_capacity(plain.len() + plain.len() / 3);
    if value < 0.0 && plain.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        text.push('−');
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_and_short() {
        for (nanos, expected) in [
            (0, "0"),
            (1_500_000_000, "1.5"),
            (1, "0.000000001"),
            (u64::MAX - 1, "18446744073.709551614"),
            (60_000_000_000, "60"),
        ] {
            assert_eq!(Seconds(SimTime::from_nanos(nanos)).to_string(), expected);
        }
    }

    #[test]
    fn numbers_read_back_as_themselves() {
        for value in [0.1, 1.0 / 3.0, 1e21, 5e-324, -2.5, 1_234_567.0] {
            assert_eq!(number(value).parse::<f64>(), Ok(value));
        }
        assert_eq!((number(-0.0).as_str(), number(3.0).as_str(), number(f64::NAN).as_str()), ("0", "3", ""));
        assert_eq!(json_number(3.0).to_string(), "3");
        assert_eq!(json_number(0.25).to_string(), "0.25");
        assert_eq!(json_number(f64::INFINITY), serde_json::Value::Null);
    }

    #[test]
    fn times_are_stamped_from_the_start_of_the_estate() {
        let start: jiff::Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let at = SimTime::from_nanos(3_661_234_999_999);
        assert_eq!(timestamp(start, at), "2026-01-05T01:01:01.234Z");
        assert_eq!(timestamp_seconds(start, at), "2026-01-05T01:01:01Z");
        assert_eq!(timestamp(start, SimTime::from_secs(20)), "2026-01-05T00:00:20Z");
        assert_eq!(timestamp(start, SimTime::MAX), timestamp(start, SimTime::MAX), "584 years are no panic");
    }

    #[test]
    fn people_read_short_figures() {
        let table = [
            (12.4, Unit::Usd, "$12.40"),
            (0.008_228_3, Unit::Usd, "$0.0082"),
            (-1234.5, Unit::Usd, "−$1,234.50"),
            (0.0, Unit::Usd, "$0.00"),
            (0.312, Unit::Seconds, "312 ms"),
            (0.0004, Unit::Seconds, "400 µs"),
            (0.9999, Unit::Seconds, "1 s"),
            (32.0, Unit::Seconds, "32 s"),
            (320.0, Unit::Seconds, "5.33 min"),
            (9000.0, Unit::Seconds, "2.5 h"),
            (0.7123, Unit::Ratio, "71.2 %"),
            (1_203.0, Unit::Count, "1,203"),
            (12.5, Unit::Count, "12.5"),
            (41.378, Unit::Requests, "41"),
            (341_742.46, Unit::Requests, "341,742"),
            (-1e-12, Unit::Seconds, "0 s"),
            (61.23, Unit::Hours, "61.2 h"),
            (f64::NAN, Unit::Count, "–"),
        ];
        for (value, unit, expected) in table {
            assert_eq!(for_people(value, unit), expected);
        }
        assert_eq!(with_interval(1.2, 0.0994, Unit::Usd), "$1.20 ± $0.10");
        assert_eq!(with_interval(0.712, 0.0004, Unit::Ratio), "71.20 ± 0.04 %");
        assert_eq!(with_interval(41.378, 2.9, Unit::Requests), "41 ± 3");
        assert_eq!(with_interval(21.0, 2.48, Unit::Seconds), "21.0 ± 2.5 s");
        assert_eq!(grouped(-0.001, 1), "0.0", "no sign on a zero");
        assert_eq!(grouped(-1_234_567.0, 0), "−1,234,567");
    }
}
