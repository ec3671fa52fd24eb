//! The shape of a rate over day and week, and the noise around it.

const DAY: u64 = 86_400;
/// Parts of a day that the shape tells apart: hours.
pub const SLOTS: usize = 24;

/// A series of values at equal steps from `begin` seconds after a Monday 00:00 on; `None` where there is no data.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Length of a step [s].
    pub step: f64,
    /// Seconds from a Monday 00:00 to the first value.
    pub begin: f64,
    /// The values.
    pub values: Vec<Option<f64>>,
}

/// What was found of a series: mean × day × week × noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Mean of the values.
    pub mean: f64,
    /// Factor of each hour of the day; none if the day explains nothing.
    pub day: Option<[f64; SLOTS]>,
    /// Factor of each weekday, Monday first; none if they explain nothing, or there are fewer than two weeks.
    pub week: Option<[f64; 7]>,
    /// The share of the variance of the values that day and week explain: R².
    pub r_squared: f64,
    /// Coefficient of variation of the values over what day and week expect.
    pub noise_cv: f64,
    /// Correlation of that from one step to the next.
    pub noise_correlation: f64,
}

impl Series {
    /// Time of a value since a Monday 00:00 [s].
    fn time(&self, place: usize) -> f64 {
        self.begin + self.step * (place as f64 + 0.5)
    }

    fn slot(&self, place: usize) -> usize {
        let of_day = self.time(place).rem_euclid(DAY as f64);
        ((of_day * SLOTS as f64 / DAY as f64) as usize).min(SLOTS - 1)
    }

    fn weekday(&self, place: usize) -> usize {
        (self.time(place) / DAY as f64).rem_euclid(7.0) as usize % 7
    }

    /// How long it is.
    pub fn span(&self) -> f64 {
        self.step * self.values.len() as f64
    }

    fn known(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.values.iter().enumerate().filter_map(|(place, value)| Some((place, (*value)?)))
    }

    /// The index of dispersion of sums over `width` steps: variance over mean, of `weight` per value.
    ///
    /// For counts it is 1 of a Poisson process, whatever the width; growing with the width, it tells of bursts that last.
    /// Source: Sriram and Whitt, "Characterizing superposition arrival processes", IEEE JSAC 4(6), 1986. `None` with
    /// fewer than ten sums.
    pub fn dispersion(&self, width: usize, weight: f64) -> Option<f64> {
        let sums: Vec<f64> = self
            .values
            .chunks_exact(width.max(1))
            .filter_map(|chunk| chunk.iter().copied().sum::<Option<f64>>())
            .map(|sum| sum * weight)
            .collect();
        let n = sums.len() as f64;
        let mean = sums.iter().sum::<f64>() / n;
        let variance = sums.iter().map(|sum| (sum - mean) * (sum - mean)).sum::<f64>() / n;
        (sums.len() >= 10 && mean > 0.0).then(|| variance / mean)
    }
}

impl Shape {
    /// Finds the shape of a series. `counted` says what a value is a count of: that part of the noise which a Poisson
    /// process of the expected rate makes by itself is then not counted as noise.
    ///
    /// Returned with it are the values over the expected ones. `None` of nothing but zeros.
    pub fn of(series: &Series, counted: bool) -> Option<(Self, Vec<f64>)> {
        let known: Vec<(usize, f64)> = series.known().collect();
        let n = known.len() as f64;
        let mean = known.iter().map(|(_, value)| value).sum::<f64>() / n;
        if known.len() < 2 || mean <= 0.0 || !mean.is_finite() {
            return None;
        }
        let total: f64 = known.iter().map(|(_, value)| (value - mean) * (value - mean)).sum();
        let explained = |day: &[f64; SLOTS], week: &[f64; 7]| {
            let left: f64 = known
                .iter()
                .map(|(place, value)| {
                    let expected = mean * day[series.slot(*place)] * week[series.weekday(*place)];
                    (value - expected) * (value - expected)
                })
                .sum();
            if total > 0.0 { 1.0 - left / total } else { 0.0 }
        };
        let adjusted =
            |r_squared: f64, parameters: f64| 1.0 - (1.0 - r_squared) * (n - 1.0) / (n - parameters - 1.0).max(1.0);
        let (flat_day, flat_week) = ([1.0; SLOTS], [1.0; 7]);
        let (mut day, mut week, mut r_squared) = (flat_day, flat_week, 0.0);
        let (mut has_day, mut has_week) = (false, false);
        // A shape of hours needs to have seen each of them twice, and steps that do not step over them.
        if series.span() >= 2.0 * DAY as f64 && series.step <= DAY as f64 / SLOTS as f64 {
            let (found, _) = alternate(series, &known, mean, false);
            let r = explained(&found, &flat_week);
            if adjusted(r, SLOTS as f64) > 0.02 {
                (day, r_squared, has_day) = (found, r, true);
            }
        }
        if series.span() >= 14.0 * DAY as f64 && series.step <= DAY as f64 {
            let (found_day, found_week) = alternate(series, &known, mean, true);
            let found_day = if has_day { found_day } else { flat_day };
            let r = explained(&found_day, &found_week);
            if adjusted(r, SLOTS as f64 + 7.0) > adjusted(r_squared, SLOTS as f64) + 0.005 {
                (day, week, r_squared, has_week) = (found_day, found_week, r, true);
            }
        }
        let expected = |place| mean * day[series.slot(place)] * week[series.weekday(place)];
        let (noise_cv, noise_correlation) = noise(&known, expected, counted);
        let over_expected = |(place, value): &(usize, f64)| {
            let expected = expected(*place);
            (expected > 0.0).then(|| value / expected)
        };
        let ratios = known.iter().filter_map(over_expected).collect();
        let shape = Self {
            mean,
            day: has_day.then_some(day),
            week: has_week.then_some(week),
            r_squared: r_squared.max(0.0),
            noise_cv,
            noise_correlation,
        };
        Some((shape, ratios))
    }
}

/// Least squares of mean × day × week, one factor after the other; each has mean 1 over what was seen.
fn alternate(series: &Series, known: &[(usize, f64)], mean: f64, with_week: bool) -> ([f64; SLOTS], [f64; 7]) {
    let (mut day, mut week) = ([1.0; SLOTS], [1.0; 7]);
    for _ in 0..20 {
        let fit = |factors: &mut [f64], slot: &dyn Fn(usize) -> usize, other: &dyn Fn(usize) -> f64| {
            let mut sums = vec![(0.0, 0.0); factors.len()];
            for (place, value) in known {
                let scale = mean * other(*place);
                let sum = &mut sums[slot(*place)];
                sum.0 += value * scale;
                sum.1 += scale * scale;
            }
            for (factor, (product, square)) in factors.iter_mut().zip(sums) {
                *factor = if square > 0.0 { (product / square).max(0.0) } else { 1.0 };
            }
        };
        let weekly = week;
        fit(&mut day, &|place| series.slot(place), &|place| weekly[series.weekday(place)]);
        if !with_week {
            break;
        }
        let daily = day;
        fit(&mut week, &|place| series.weekday(place), &|place| daily[series.slot(place)]);
    }
    (day, week)
}

/// Coefficient of variation and step-to-step correlation of the values over the expected ones.
fn noise(known: &[(usize, f64)], expected: impl Fn(usize) -> f64, counted: bool) -> (f64, f64) {
    let ratios: Vec<(usize, f64, f64)> = known
        .iter()
        .map(|(place, value)| (*place, *value, expected(*place)))
        .filter(|(.., expected)| *expected > 0.0)
        .map(|(place, value, expected)| (place, value / expected, expected))
        .collect();
    let n = ratios.len() as f64;
    if ratios.len() < 3 {
        return (0.0, 0.0);
    }
    let mean = ratios.iter().map(|(_, ratio, _)| ratio).sum::<f64>() / n;
    let variance = ratios.iter().map(|(_, ratio, _)| (ratio - mean) * (ratio - mean)).sum::<f64>() / n;
    // A Poisson count with mean e has the variance e: over e that is 1/e.
    let poisson = if counted { ratios.iter().map(|(.., expected)| 1.0 / expected).sum::<f64>() / n } else { 0.0 };
    let own = variance - poisson;
    // Less than a sampling error of the variance is nothing.
    if own <= 2.0 * variance * libm::sqrt(2.0 / n) && counted || own <= 0.0 || mean <= 0.0 {
        return (0.0, 0.0);
    }
    let neighbours: Vec<f64> = ratios
        .windows(2)
        .filter(|pair| pair[1].0 == pair[0].0 + 1)
        .map(|pair| (pair[0].1 - mean) * (pair[1].1 - mean))
        .collect();
    let covariance = neighbours.iter().sum::<f64>() / (neighbours.len() as f64).max(1.0);
    (libm::sqrt(own) / mean, (covariance / own).clamp(0.0, 0.999))
}

/// A step that counts of `arrivals` over `span` are taken in: the shortest of these with ten arrivals on average, that
/// leaves twenty steps or more.
pub fn counting_step(arrivals: usize, span: f64) -> f64 {
    const STEPS: [f64; 9] = [1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0];
    let rate = arrivals as f64 / span;
    let enough = STEPS.into_iter().find(|step| rate * step >= 10.0).unwrap_or(86_400.0);
    enough.min((span / 20.0).max(1e-3))
}

/// Counts of arrivals at equal steps, `times` being sorted seconds from the first instant on.
pub fn counts(times: &[f64], step: f64, begin: f64) -> Series {
    let span = times.last().copied().unwrap_or(0.0);
    let bins = ((span / step).floor() as usize).max(1);
    let mut values = vec![0.0; bins];
    for time in times {
        // What lies in the last, unfinished step is left out.
        if let Some(count) = values.get_mut((time / step) as usize) {
            *count += 1.0;
        }
    }
    Series { step, begin, values: values.into_iter().map(Some).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn series(weeks: usize, step: f64, value: impl Fn(f64) -> f64) -> Series {
        let count = (weeks as f64 * 7.0 * DAY as f64 / step) as usize;
        let values = (0..count).map(|place| Some(value(step * (place as f64 + 0.5)))).collect();
        Series { step, begin: 0.0, values }
    }

    fn hour(time: f64) -> f64 {
        (time / 3600.0).rem_euclid(24.0).floor()
    }

    #[test]
    fn day_and_week_are_found_and_explain_everything() {
        let weekend = |time: f64| if (time / DAY as f64).rem_euclid(7.0) >= 5.0 { 0.5 } else { 1.0 };
        let found = Shape::of(&series(3, 300.0, |time| (10.0 + hour(time)) * weekend(time)), false).unwrap().0;
        assert!(found.r_squared > 0.999_9, "{found:?}");
        let (day, week) = (found.day.unwrap(), found.week.unwrap());
        assert!((day[23] / day[0] - 3.3).abs() < 1e-6 && (week[6] / week[0] - 0.5).abs() < 1e-6);
        assert!(found.noise_cv < 1e-6);
    }

    #[test]
    fn what_is_flat_has_no_shape_and_gaps_do_no_harm() {
        let mut chance = Streams::new(3, 0).named("flat");
        let mut flat = series(2, 300.0, |_| 0.0);
        for (place, value) in flat.values.iter_mut().enumerate() {
            *value = (place % 7 != 0).then(|| 50.0 + 10.0 * chance.uniform());
        }
        let found = Shape::of(&flat, false).unwrap().0;
        assert_eq!((found.day, found.week), (None, None));
        assert!((found.noise_cv - 10.0 / libm::sqrt(12.0) / 55.0).abs() < 0.003, "{found:?}");
        assert!(found.noise_correlation < 0.06, "as good as none: {found:?}");
        assert_eq!(Shape::of(&series(1, 300.0, |_| 0.0), false), None, "nothing comes of nothing");
    }

    #[test]
    fn a_week_is_not_read_out_of_less_than_two() {
        let one = Shape::of(&series(1, 3600.0, |time| 10.0 + hour(time)), false).unwrap().0;
        assert!(one.day.is_some() && one.week.is_none());
    }

    #[test]
    fn the_dispersion_of_what_does_not_vary_is_none() {
        let flat = series(1, 3600.0, |_| 5.0);
        assert_eq!(flat.dispersion(1, 1.0), Some(0.0));
        assert_eq!(flat.dispersion(100, 1.0), None, "one sum tells nothing");
        let alternating =
            Series { step: 1.0, begin: 0.0, values: (0..100).map(|n| Some(f64::from(n % 2) * 2.0)).collect() };
        assert_eq!((alternating.dispersion(1, 1.0), alternating.dispersion(2, 1.0)), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn arrivals_are_counted_in_steps_of_ten_or_so() {
        assert_eq!(counting_step(36_000, 3600.0), 1.0);
        assert_eq!(counting_step(3600, 3600.0), 10.0);
        assert_eq!(counting_step(200, 1200.0), 60.0);
        let found = counts(&[0.0, 0.5, 3.0, 3.9, 4.0], 1.0, 0.0);
        assert_eq!(found.values, [2.0, 0.0, 0.0, 2.0].map(Some));
    }
}
