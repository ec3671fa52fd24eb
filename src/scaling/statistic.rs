//! Statistics of the samples of a period, and the units that samples have (CW-1, CW-3, CW-6, CW-7).

use std::fmt;

/// A statistic of the samples of one period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Statistic {
    /// Sum / `SampleCount`.
    #[default]
    Average,
    /// Sum.
    Sum,
    /// Smallest sample.
    Minimum,
    /// Largest sample.
    Maximum,
    /// How many samples.
    SampleCount,
    /// Percentile, 0..100 (CW-6).
    Percentile(f64),
    /// A statistic of the samples between two bounds (CW-7).
    Trimmed(Trimmed),
}

/// A statistic of the samples between two bounds, for example `TM(10%:90%)` (CW-7).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trimmed {
    what: Trim,
    bounds: Bounds,
}

/// What becomes of the samples within the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trim {
    /// `TM`, `tm`: their mean.
    Mean,
    /// `WM`, `wm`: the mean of all, those outside counted as the bound they are beyond.
    Winsorized,
    /// `PR`: how many of all samples they are, in percent.
    Rank,
    /// `TC`, `tc`: how many they are.
    Count,
    /// `TS`, `ts`: their sum.
    Sum,
}

/// Where the samples are cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bounds {
    /// At values: above the first, up to the second (CW-7). An open bound is infinite.
    Values(f64, f64),
    /// At shares of the samples in order of size, in percent.
    Percents(f64, f64),
}

impl Statistic {
    /// Reads `Average`, `p99`, `TM(10%:90%)`, `tm90`, `PR(:300)`, `IQM` and such; `None` when it is no statistic.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = match text {
            "Average" => Self::Average,
            "Sum" => Self::Sum,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            "SampleCount" => Self::SampleCount,
            "IQM" => Self::Trimmed(Trimmed { what: Trim::Mean, bounds: Bounds::Percents(25.0, 75.0) }),
            _ => return Self::parse_extended(text),
        };
        Some(plain)
    }

    fn parse_extended(text: &str) -> Option<Self> {
        let percent = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            text.parse::<f64>().ok().filter(|percent| plain && (0.0..=100.0).contains(percent))
        };
        if let Some(number) = text.strip_prefix('p') {
            return percent(number).map(Self::Percentile);
        }
        let (name, rest) = text.split_at_checked(2)?;
        let what = match name.to_ascii_uppercase().as_str() {
            "TM" => Trim::Mean,
            "WM" => Trim::Winsorized,
            "PR" => Trim::Rank,
            "TC" => Trim::Count,
            "TS" => Trim::Sum,
            _ => return None,
        };
        let Some(inner) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
            // tm90 leaves out the largest tenth. A rank has no short form.
            let short = name.bytes().all(|byte| byte.is_ascii_lowercase()) && what != Trim::Rank;
            let to = percent(rest).filter(|_| short)?;
            return Some(Self::Trimmed(Trimmed { what, bounds: Bounds::Percents(0.0, to) }));
        };
        if !name.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let (from, to) = inner.split_once(':')?;
        let shares = from.ends_with('%') || to.ends_with('%');
        let bounds = if shares {
            let share = |text: &str, open: f64| match text {
                "" => Some(open),
                text => percent(text.strip_suffix('%')?),
            };
            Bounds::Percents(share(from, 0.0)?, share(to, 100.0)?)
        } else {
            let value = |text: &str, open: f64| match text {
                "" => Some(open),
                text => text.parse::<f64>().ok().filter(|value| value.is_finite()),
            };
            Bounds::Values(value(from, f64::NEG_INFINITY)?, value(to, f64::INFINITY)?)
        };
        let (Bounds::Percents(low, high) | Bounds::Values(low, high)) = bounds;
        let open = from.is_empty() && to.is_empty();
        // A rank is asked for of values alone.
        let fits = low < high && !open && !(what == Trim::Rank && shares);
        fits.then_some(Self::Trimmed(Trimmed { what, bounds }))
    }

    /// Whether it needs the samples themselves, not only their sum, count and extremes (CW-6).
    pub const fn needs_samples(self) -> bool {
        matches!(self, Self::Percentile(_) | Self::Trimmed(_))
    }

    /// The statistic of weighted values, for one that needs them; sorts `values`.
    pub(super) fn of_samples(self, values: &mut [(f64, u64)]) -> Option<f64> {
        values.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total: u64 = values.iter().map(|(_, weight)| weight).sum();
        if total == 0 {
            return None;
        }
        match self {
            Self::Percentile(percentile) => Some(percentile_of(values, total, percentile)),
            Self::Trimmed(trimmed) => trimmed.of(values, total),
            Self::Average | Self::Sum | Self::Minimum | Self::Maximum | Self::SampleCount => None,
        }
    }
}

impl Trimmed {
    /// Of `values` in order of size, `total` of them.
    fn of(self, values: &[(f64, u64)], total: u64) -> Option<f64> {
        let kept: Vec<(f64, u64)> = match self.bounds {
            Bounds::Values(low, high) => {
                values.iter().filter(|(value, _)| *value > low && *value <= high).copied().collect()
            }
            Bounds::Percents(low, high) => between_ranks(values, total, low, high),
        };
        let (count, sum) =
            kept.iter().fold((0, 0.0), |(count, sum), (value, weight)| (count + weight, sum + value * *weight as f64));
        match self.what {
            Trim::Mean => (count > 0).then(|| sum / count as f64),
            Trim::Winsorized => {
                let (low, high) = match self.bounds {
                    Bounds::Values(low, high) => (low, high),
                    Bounds::Percents(..) => (kept.first()?.0, kept.last()?.0),
                };
                let clamped = values.iter().map(|(value, weight)| value.clamp(low, high) * *weight as f64);
                Some(clamped.sum::<f64>() / total as f64)
            }
            Trim::Rank => Some(100.0 * count as f64 / total as f64),
            Trim::Count => Some(count as f64),
            Trim::Sum => Some(sum),
        }
    }
}

/// The samples between two shares of all, in order of size. A sample that a bound falls into is kept, so that something
/// always is.
fn between_ranks(values: &[(f64, u64)], total: u64, low: f64, high: f64) -> Vec<(f64, u64)> {
    // Taken off and added, so that 70 % of ten samples are seven.
    const GUARD: f64 = 1e-9;
    let rank = |percent: f64| percent / 100.0 * total as f64;
    let (first, last) = ((rank(low) + GUARD).floor() as u64, (rank(high) - GUARD).ceil() as u64);
    let mut seen = 0;
    let mut kept = Vec::new();
    for (value, weight) in values {
        let (begin, end) = (seen.max(first), (seen + weight).min(last));
        if begin < end {
            kept.push((*value, end - begin));
        }
        seen += weight;
    }
    kept
}

/// The percentile of `total` weighted values in order of size, by linear interpolation between closest ranks (CW-6).
fn percentile_of(values: &[(f64, u64)], total: u64, percentile: f64) -> f64 {
    let at = |rank: u64| {
        let mut seen = 0;
        let found = values.iter().find(|(_, weight)| {
            seen += weight;
            rank < seen
        });
        found.or(values.last()).map_or(0.0, |(value, _)| *value)
    };
    let rank = (percentile.clamp(0.0, 100.0) / 100.0 * (total - 1) as f64).clamp(0.0, (total - 1) as f64);
    let (low, high) = (at(rank.floor() as u64), at(rank.ceil() as u64));
    low + (high - low) * rank.fract()
}

/// The unit of a sample, as `put-metric-data` knows them (CW-1). Nothing is ever converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit(&'static str);

impl Unit {
    /// Percent of something.
    pub const PERCENT: Self = Self("Percent");
    /// So many.
    pub const COUNT: Self = Self("Count");
    /// Seconds.
    pub const SECONDS: Self = Self("Seconds");
    /// What `put-metric-data` takes when none is given.
    pub const NONE: Self = Self("None");
    /// Bytes a second.
    pub const BYTES_PER_SECOND: Self = Self("Bytes/Second");
    /// Bytes.
    pub const BYTES: Self = Self("Bytes");
    /// MB.
    pub const MEGABYTES: Self = Self("Megabytes");

    const ALL: [&'static str; 27] = [
        "Seconds",
        "Microseconds",
        "Milliseconds",
        "Bytes",
        "Kilobytes",
        "Megabytes",
        "Gigabytes",
        "Terabytes",
        "Bits",
        "Kilobits",
        "Megabits",
        "Gigabits",
        "Terabits",
        "Percent",
        "Count",
        "Bytes/Second",
        "Kilobytes/Second",
        "Megabytes/Second",
        "Gigabytes/Second",
        "Terabytes/Second",
        "Bits/Second",
        "Kilobits/Second",
        "Megabits/Second",
        "Gigabits/Second",
        "Terabits/Second",
        "Count/Second",
        "None",
    ];

    /// The unit of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| *unit == name).map(Self)
    }

    /// The names of all units.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter()
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn of(statistic: &str, values: &[f64]) -> Option<f64> {
        let mut weighted: Vec<(f64, u64)> = values.iter().map(|value| (*value, 1)).collect();
        Statistic::parse(statistic).unwrap_or_else(|| panic!("{statistic}")).of_samples(&mut weighted)
    }

    #[rstest]
    #[case("TM(20:80)", Some(55.0))] // 30 to 80: the upper bound belongs to it, the lower one does not
    #[case("TM(:20)", Some(15.0))]
    #[case("TM(20:)", Some(65.0))]
    #[case("TM(200:300)", None)]
    #[case("TC(20:80)", Some(6.0))]
    #[case("TS(20:80)", Some(330.0))]
    #[case("TS(200:300)", Some(0.0))]
    #[case("PR(:30)", Some(30.0))]
    #[case("PR(20:80)", Some(60.0))]
    #[case("WM(20:80)", Some(53.0))] // two count as 20, two as 80
    fn cw_7_trimmed_statistics_between_two_values(#[case] statistic: &str, #[case] expect: Option<f64>) {
        let values = [90.0, 10.0, 20.0, 80.0, 30.0, 70.0, 40.0, 60.0, 50.0, 100.0];
        assert_eq!(of(statistic, &values), expect, "{statistic}");
    }

    #[rstest]
    #[case("tm90", 50.0)]
    #[case("TM(:90%)", 50.0)]
    #[case("TM(10%:90%)", 55.0)]
    #[case("TM(10%:)", 60.0)]
    #[case("IQM", 55.0)] // a sample that a bound falls into stays: 30 to 80
    #[case("TM(25%:75%)", 55.0)]
    #[case("tc70", 7.0)]
    #[case("ts30", 60.0)]
    #[case("wm80", 52.0)] // 10 to 80, and 80 twice more
    #[case("WM(10%:90%)", 55.0)]
    #[case("p50", 55.0)]
    fn cw_7_trimmed_statistics_between_two_shares(#[case] statistic: &str, #[case] expect: f64) {
        let values: Vec<f64> = (1..=10).map(|n| f64::from(n) * 10.0).collect();
        let got = of(statistic, &values).unwrap();
        assert!((got - expect).abs() < 1e-9, "{statistic}: {got}");
    }

    #[test]
    fn cw_7_one_sample_is_its_own_trimmed_mean() {
        for statistic in ["tm90", "IQM", "TM(40%:60%)", "wm10", "p99"] {
            assert_eq!(of(statistic, &[7.0]), Some(7.0), "{statistic}");
        }
        assert_eq!(of("tm90", &[]), None);
    }

    #[rstest]
    #[case("p101")]
    #[case("p-1")]
    #[case("p+5")]
    #[case("pinf")]
    #[case("average")]
    #[case("TM90")]
    #[case("tm(10%:90%)")]
    #[case("TM(90%:10%)")]
    #[case("TM(10%:900)")]
    #[case("TM(:)")]
    #[case("TM(1:nan)")]
    #[case("PR(10%:90%)")]
    #[case("pr90")]
    #[case("TX(1:2)")]
    #[case("é")]
    #[case("")]
    fn cw_7_what_is_no_statistic_is_refused(#[case] text: &str) {
        assert_eq!(Statistic::parse(text), None);
    }

    #[test]
    fn cw_1_units_have_names() {
        assert_eq!(Unit::named("Percent"), Some(Unit::PERCENT));
        assert_eq!(
            [Unit::COUNT, Unit::NONE, Unit::MEGABYTES].map(|unit| Unit::named(&unit.to_string())),
            [Some(Unit::COUNT), Some(Unit::NONE), Some(Unit::MEGABYTES)]
        );
        assert_eq!(Unit::named("percent"), None);
    }
}
