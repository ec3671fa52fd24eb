//! Rates as functions of time: constant, steps, diurnal, weekly, spikes, trace, random, sum, product.

use std::f64::consts::TAU;
use std::sync::Arc;

use crate::engine::time::{SimDuration, SimTime};
use crate::workload::random_rate::RandomRate;

const DAY: SimDuration = SimDuration::from_secs(86_400);
const WEEK: SimDuration = SimDuration::from_secs(7 * 86_400);

/// A non-negative function of time, per second unless its use says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// The same always.
    Constant(f64),
    /// Piecewise constant: steps or a trace.
    Piecewise(Piecewise),
    /// A smooth day, with weekends.
    Diurnal(Diurnal),
    /// Rectangular bursts.
    Spikes(Spikes),
    /// Moved by chance; until it is [drawn](Rate::drawn) it counts as its mean.
    Random(RandomRate),
    /// All of these together.
    Sum(Vec<Rate>),
    /// One times the other: a shape and its modulation.
    Product(Vec<Rate>),
}

/// A rate that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidRate {
    /// Negative, NaN or infinite.
    #[error("{what} is {value}; a rate is a finite number, and not negative")]
    Value {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: f64,
    },
    /// Steps that do not rise in time.
    #[error("step {index} is at {at}, not after {before}; steps are in order of time")]
    Order {
        /// Position in the list, from 1.
        index: usize,
        /// Its time.
        at: SimTime,
        /// Time of the step before.
        before: SimTime,
    },
    /// No step, no part.
    #[error("{0} is empty; give it at least one entry")]
    Empty(&'static str),
    /// A day that cannot be cut into equal parts.
    #[error("day has {0} entries; a day cannot be cut into that many equal parts of whole nanoseconds")]
    Parts(usize),
    /// The lowest rate of the day is above the highest.
    #[error("base {base} is above peak {peak}")]
    BaseAbovePeak {
        /// Lowest rate of the day.
        base: f64,
        /// Highest rate of the day.
        peak: f64,
    },
    /// A span of no length, or longer than what it belongs to.
    #[error("{what} is {span}; it must be {expected}")]
    Span {
        /// Which span.
        what: &'static str,
        /// What it is.
        span: SimDuration,
        /// What it may be.
        expected: &'static str,
    },
}

impl Rate {
    /// `steps`: from each time on, that value; zero before the first, the last for ever.
    pub fn steps(steps: &[(SimTime, f64)]) -> Result<Self, InvalidRate> {
        Piecewise::new(steps, None).map(Self::Piecewise)
    }

    /// `factor` times this rate.
    pub fn scaled(self, factor: f64) -> Self {
        if factor == 1.0 { self } else { Self::Product(vec![Self::Constant(factor), self]) }
    }

    /// Checks every number in it; the constructors of [`Piecewise`], [`Diurnal`] and [`Spikes`] have done so already, and of a
    /// random part [`RandomRate::validate`] knows more.
    pub fn validate(&self) -> Result<(), InvalidRate> {
        match self {
            Self::Constant(value) => check("the rate", *value),
            Self::Piecewise(_) | Self::Diurnal(_) | Self::Spikes(_) | Self::Random(_) => Ok(()),
            Self::Sum(parts) if parts.is_empty() => Err(InvalidRate::Empty("sum")),
            Self::Product(parts) if parts.is_empty() => Err(InvalidRate::Empty("product")),
            Self::Sum(parts) | Self::Product(parts) => parts.iter().try_for_each(Self::validate),
        }
    }

    /// The rate at `t`; a step counts from its instant on.
    pub fn at(&self, t: SimTime) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Piecewise(pieces) => pieces.at(t),
            Self::Diurnal(day) => day.at(t),
            Self::Spikes(spikes) => spikes.at(t),
            Self::Random(random) => random.mean(),
            Self::Sum(parts) => parts.iter().map(|part| part.at(t)).sum(),
            Self::Product(parts) => parts.iter().map(|part| part.at(t)).product(),
        }
    }

    /// When the rate next jumps, if it ever does; between jumps it is constant or smooth.
    pub fn next_change(&self, t: SimTime) -> Option<SimTime> {
        match self {
            Self::Constant(_) | Self::Random(_) => None,
            Self::Piecewise(pieces) => pieces.next_change(t),
            Self::Diurnal(day) => day.next_change(t),
            Self::Spikes(spikes) => spikes.next_change(t),
            Self::Sum(parts) | Self::Product(parts) => parts.iter().filter_map(|part| part.next_change(t)).min(),
        }
    }

    /// True if the rate does not move between jumps.
    pub fn is_piecewise_constant(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Piecewise(_) | Self::Spikes(_) | Self::Random(_) => true,
            Self::Diurnal(day) => day.base == day.peak,
            Self::Sum(parts) | Self::Product(parts) => parts.iter().all(Self::is_piecewise_constant),
        }
    }

    /// A bound on the rate over `[from, to)`: the least one, save for sums and products, which bound part by part.
    pub fn max_over(&self, from: SimTime, to: SimTime) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Piecewise(pieces) => pieces.max_over(from, to),
            Self::Diurnal(day) => day.max_over(from, to),
            Self::Spikes(spikes) => spikes.max_over(from, to),
            Self::Random(random) => random.mean(),
            Self::Sum(parts) => parts.iter().map(|part| part.max_over(from, to)).sum(),
            Self::Product(parts) => parts.iter().map(|part| part.max_over(from, to)).product(),
        }
    }

    /// The expected count over `[from, to)`: the integral of a rate per second.
    ///
    /// Exact, save for products of several smooth rates: these by Simpson's rule on quarters of an hour, about one part
    /// in 10^9 off.
    pub fn integral(&self, from: SimTime, to: SimTime) -> f64 {
        if to <= from {
            return 0.0;
        }
        match self {
            Self::Constant(value) => value * (to - from).as_secs_f64(),
            Self::Piecewise(pieces) => pieces.integral_to(to) - pieces.integral_to(from),
            Self::Diurnal(day) => day.integral(from, to),
            Self::Spikes(spikes) => spikes.height * (spikes.active_to(to) - spikes.active_to(from)),
            Self::Random(random) => random.mean() * (to - from).as_secs_f64(),
            Self::Sum(parts) => parts.iter().map(|part| part.integral(from, to)).sum(),
            Self::Product(parts) => integral_of_product(parts, from, to),
        }
    }

    /// The mean over `[from, to)`; the rate at `from` when that is empty.
    pub fn mean_over(&self, from: SimTime, to: SimTime) -> f64 {
        let span = to.saturating_since(from).as_secs_f64();
        if span > 0.0 { self.integral(from, to) / span } else { self.at(from) }
    }

    /// When the integral from `from` on reaches `amount`; `None` if it never does.
    ///
    /// With `amount` = `-ln(1 - U)` this is the next arrival of the Poisson process with this rate, by inversion of its
    /// cumulative intensity (Law, *Simulation Modeling and Analysis*, 5th ed., section 8.6.2).
    pub fn time_of(&self, from: SimTime, amount: f64) -> Option<SimTime> {
        let mut t = from;
        let mut left = amount;
        let mut empty_windows = 0u32;
        loop {
            let jump = self.next_change(t);
            if self.is_piecewise_constant() {
                let rate = self.at(t);
                let needed = left / rate;
                let reached = (rate > 0.0).then(|| t.saturating_add(SimDuration::from_secs_f64(needed)));
                match (reached, jump) {
                    (Some(reached), Some(jump)) if reached < jump => return Some(reached),
                    (Some(SimTime::MAX) | None, None) => return None,
                    (Some(reached), None) => return Some(reached),
                    (_, Some(jump)) => {
                        left -= rate * (jump - t).as_secs_f64();
                        t = jump;
                    }
                }
            } else {
                // A quarter of a day at most, so that Newton starts near its answer.
                let end = jump.unwrap_or(SimTime::MAX).min(t.saturating_add(DAY / 4));
                let area = self.integral(t, end);
                if area > left {
                    return Some(self.solve(t, end, left));
                }
                left -= area;
                empty_windows = if area > 0.0 { 0 } else { empty_windows + 1 };
                if end == t
                    || end == SimTime::MAX
                    || (jump.is_none() && self.max_over(end, end.saturating_add(WEEK)) == 0.0)
                {
                    return None;
                }
                t = end;
            }
            // Factors that take turns at being zero never come to an end; so long a silence is as good as one.
            left = left.max(0.0);
            if self.at(t) == 0.0 {
                empty_windows += 1;
            }
            if empty_windows > 1_000_000 {
                return None;
            }
        }
    }

    /// Newton's method with bisection as its guard: the integral rises from `low` to `high` past `amount`.
    fn solve(&self, from: SimTime, end: SimTime, amount: f64) -> SimTime {
        let (mut low, mut high) = (from, end);
        let rate = self.at(from);
        let mut guess = from.saturating_add(SimDuration::from_secs_f64(amount / rate));
        for _ in 0..100 {
            if high.saturating_since(low).as_nanos() <= 1 {
                break;
            }
            if guess <= low || guess >= high {
                guess = low + (high - low) / 2;
            }
            let error = self.integral(from, guess) - amount;
            if error > 0.0 {
                high = guess;
            } else {
                low = guess;
            }
            let step = error / self.at(guess);
            if step.abs() < 1e-9 {
                return guess;
            }
            guess = if step > 0.0 {
                guess - SimDuration::from_secs_f64(step).min(guess.saturating_since(SimTime::ZERO))
            } else {
                guess.saturating_add(SimDuration::from_secs_f64(-step))
            };
        }
        high
    }
}

fn check(what: &'static str, value: f64) -> Result<(), InvalidRate> {
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(InvalidRate::Value { what, value }) }
}

fn integral_of_product(parts: &[Rate], from: SimTime, to: SimTime) -> f64 {
    let at = |t| parts.iter().map(|part| part.at(t)).product::<f64>();
    let smooth: Vec<&Rate> = parts.iter().filter(|part| !part.is_piecewise_constant()).collect();
    let mut sum = 0.0;
    let mut t = from;
    while t < to {
        let jump = parts.iter().filter_map(|part| part.next_change(t)).min();
        let end = jump.unwrap_or(to).min(to);
        match smooth[..] {
            [] => sum += at(t) * (end - t).as_secs_f64(),
            // One smooth factor: the others are constant up to the jump.
            [only] => {
                let others: f64 =
                    parts.iter().filter(|part| part.is_piecewise_constant()).map(|part| part.at(t)).product();
                sum += others * only.integral(t, end);
            }
            _ => {
                let mut left = t;
                while left < end {
                    let right = left.saturating_add(DAY / 96).min(end);
                    // The right end is the limit from the left: a jump there belongs to the next piece.
                    let last = SimTime::from_nanos(right.as_nanos() - 1);
                    let middle = left + (right - left) / 2;
                    sum += (right - left).as_secs_f64() / 6.0 * (at(left) + 4.0 * at(middle) + at(last));
                    left = right;
                }
            }
        }
        t = end;
    }
    sum
}

/// A rate that is constant between given instants, for ever or repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Piecewise {
    /// Start and value of each piece and the integral before it; neighbours differ in value.
    pieces: Arc<[Piece]>,
    after: After,
    max: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    from: SimTime,
    value: f64,
    /// Integral from time zero to `from`.
    before: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// The last value goes on.
    Hold,
    /// The whole starts again after `period`, which integrates to `total`.
    Repeat { period: SimDuration, total: f64 },
}

impl Piecewise {
    /// Values from their times on; zero before the first. With `repeat` the whole starts again after that long, else
    /// the last value goes on for ever.
    pub fn new(points: &[(SimTime, f64)], repeat: Option<SimDuration>) -> Result<Self, InvalidRate> {
        let Some(&(first, _)) = points.first() else {
            return Err(InvalidRate::Empty("steps"));
        };
        let mut pieces: Vec<Piece> = Vec::with_capacity(points.len() + 1);
        if first > SimTime::ZERO {
            pieces.push(Piece { from: SimTime::ZERO, value: 0.0, before: 0.0 });
        }
        let mut previous = None;
        let mut integral = 0.0;
        let mut since = SimTime::ZERO;
        for (index, &(from, value)) in points.iter().enumerate() {
            check("a step", value)?;
            if let Some(before) = previous.filter(|&before| before >= from) {
                return Err(InvalidRate::Order { index: index + 1, at: from, before });
            }
            previous = Some(from);
            let last = pieces.last().map_or(f64::NAN, |piece| piece.value);
            if last == value {
                continue; // merged, so that long stretches of one value are one piece
            }
            if last.is_finite() {
                integral += last * (from - since).as_secs_f64();
            }
            since = from;
            pieces.push(Piece { from, value, before: integral });
        }
        let last = pieces[pieces.len() - 1];
        let after = match repeat {
            None => After::Hold,
            Some(period) => {
                let end = SimTime::ZERO + period;
                if previous.is_some_and(|previous| previous >= end) {
                    let expected = "longer than what it repeats";
                    return Err(InvalidRate::Span { what: "the period of a repeated trace", span: period, expected });
                }
                After::Repeat { period, total: last.before + last.value * (end - last.from).as_secs_f64() }
            }
        };
        let max = pieces.iter().map(|piece| piece.value).fold(0.0, f64::max);
        Ok(Self { pieces: pieces.into(), after, max })
    }

    /// A week over and over: `mean` times the factor of the time of day times that of the weekday, Monday first.
    ///
    /// Only the proportions of the factors count: over a week the mean is `mean`. `day` cuts the day into as many equal
    /// parts as it has entries; `phase` is how long before time zero the week began, see [`week_phase`].
    pub fn weekly(mean: f64, day: &[f64], week: &[f64; 7], phase: SimDuration) -> Result<Self, InvalidRate> {
        check("mean", mean)?;
        if day.is_empty() {
            return Err(InvalidRate::Empty("day"));
        }
        if !DAY.as_nanos().is_multiple_of(day.len() as u64) {
            return Err(InvalidRate::Parts(day.len()));
        }
        day.iter().try_for_each(|&factor| check("a factor of day", factor))?;
        week.iter().try_for_each(|&factor| check("a factor of week", factor))?;
        let average = |factors: &[f64]| factors.iter().sum::<f64>() / factors.len() as f64;
        let level = average(day) * average(week);
        if level == 0.0 {
            return Err(InvalidRate::Empty("every factor of day, or of week,"));
        }
        let slot = DAY / day.len() as u64;
        let phase = SimDuration::from_nanos(phase.as_nanos() % WEEK.as_nanos());
        // The part that time zero falls into comes first, and what is left of it closes the week.
        let began = phase.as_nanos() / slot.as_nanos();
        let late = phase - slot * began;
        let parts = 7 * day.len() as u64;
        let mut points = Vec::with_capacity(7 * day.len() + 1);
        for place in 0..=parts {
            let from = (SimTime::ZERO + slot * place).saturating_since(SimTime::ZERO + late);
            let of_week = ((began + place) % parts) as usize;
            let value = mean * day[of_week % day.len()] * week[of_week / day.len()] / level;
            if from < WEEK {
                points.push((SimTime::ZERO + from, value));
            }
        }
        Self::new(&points, Some(WEEK))
    }

    /// Start of the repetition that `t` falls in, the integral up to there, and the time within it.
    fn fold(&self, t: SimTime) -> (SimTime, f64, SimTime) {
        match self.after {
            After::Hold => (SimTime::ZERO, 0.0, t),
            After::Repeat { period, total } => {
                let start = t.previous_multiple_of(period);
                let rounds = start.as_nanos() / period.as_nanos();
                (start, rounds as f64 * total, SimTime::ZERO + (t - start))
            }
        }
    }

    fn index_at(&self, t: SimTime) -> usize {
        // The first piece starts at zero, so there is always one.
        self.pieces.partition_point(|piece| piece.from <= t) - 1
    }

    fn at(&self, t: SimTime) -> f64 {
        let (_, _, t) = self.fold(t);
        self.pieces[self.index_at(t)].value
    }

    fn next_change(&self, t: SimTime) -> Option<SimTime> {
        if self.pieces.len() == 1 {
            return None;
        }
        let (start, _, within) = self.fold(t);
        let offset = |from: SimTime| start.saturating_add(from.saturating_since(SimTime::ZERO));
        match (self.pieces.get(self.index_at(within) + 1), self.after) {
            (Some(next), _) => Some(offset(next.from)),
            (None, After::Hold) => None,
            (None, After::Repeat { period, .. }) => Some(start.saturating_add(period)),
        }
    }

    fn max_over(&self, from: SimTime, to: SimTime) -> f64 {
        let (start, _, first) = self.fold(from);
        let (last_start, _, last) = self.fold(SimTime::from_nanos(to.as_nanos().saturating_sub(1)).max(from));
        if start != last_start {
            return self.max;
        }
        let pieces = &self.pieces[self.index_at(first)..=self.index_at(last)];
        pieces.iter().map(|piece| piece.value).fold(0.0, f64::max)
    }

    fn integral_to(&self, t: SimTime) -> f64 {
        let (_, before, t) = self.fold(t);
        let piece = self.pieces[self.index_at(t)];
        before + piece.before + piece.value * (t - piece.from).as_secs_f64()
    }
}

/// A daily shape: a raised cosine from `base` up to `peak` at one time of day, times a factor on Saturday and Sunday.
#[derive(Clone, Debug, PartialEq)]
pub struct Diurnal {
    base: f64,
    peak: f64,
    peak_at: SimDuration,
    weekend: f64,
    /// Time since Monday 00:00 at time zero.
    phase: SimDuration,
}

impl Diurnal {
    /// `peak_at` is a time of day; `weekend` multiplies the rate on Saturday and Sunday (1 for none); `phase` is how
    /// long before time zero the week began, see [`week_phase`].
    pub fn new(
        base: f64,
        peak: f64,
        peak_at: SimDuration,
        weekend: f64,
        phase: SimDuration,
    ) -> Result<Self, InvalidRate> {
        check("base", base)?;
        check("peak", peak)?;
        check("weekend", weekend)?;
        if base > peak {
            return Err(InvalidRate::BaseAbovePeak { base, peak });
        }
        if peak_at >= DAY {
            let expected = "a time of day, less than 24 hours";
            return Err(InvalidRate::Span { what: "peakAt", span: peak_at, expected });
        }
        let phase = SimDuration::from_nanos(phase.as_nanos() % WEEK.as_nanos());
        Ok(Self { base, peak, peak_at, weekend, phase })
    }

    /// Nanoseconds since some Monday 00:00.
    fn week_time(&self, t: SimTime) -> u128 {
        u128::from(t.as_nanos()) + u128::from(self.phase.as_nanos())
    }

    fn factor(&self, week_time: u128) -> f64 {
        let day = week_time / u128::from(DAY.as_nanos()) % 7;
        if day >= 5 { self.weekend } else { 1.0 }
    }

    fn angle(&self, week_time: u128) -> f64 {
        let of_day = (week_time % u128::from(DAY.as_nanos())) as f64 - self.peak_at.as_nanos() as f64;
        TAU * of_day / DAY.as_nanos() as f64
    }

    fn at(&self, t: SimTime) -> f64 {
        let time = self.week_time(t);
        let height = 0.5 * (1.0 + libm::cos(self.angle(time)));
        (self.base + (self.peak - self.base) * height) * self.factor(time)
    }

    fn next_change(&self, t: SimTime) -> Option<SimTime> {
        if self.weekend == 1.0 {
            return None;
        }
        let (day, week) = (u128::from(DAY.as_nanos()), u128::from(WEEK.as_nanos()));
        let time = self.week_time(t);
        let boundary = if time % week < 5 * day { 5 * day } else { week };
        let next = time / week * week + boundary - u128::from(self.phase.as_nanos());
        u64::try_from(next).ok().map(SimTime::from_nanos)
    }

    fn max_over(&self, from: SimTime, to: SimTime) -> f64 {
        let mut bound = self.at(from);
        let mut t = from;
        while t < to {
            if t.saturating_since(from) >= WEEK {
                return self.peak * self.weekend.max(1.0);
            }
            let time = self.week_time(t);
            let of_day = SimDuration::from_nanos((time % u128::from(DAY.as_nanos())) as u64);
            let end = t.saturating_add(DAY - of_day).min(to);
            let until_peak = self.peak_at.as_nanos().checked_sub(of_day.as_nanos()).map(SimDuration::from_nanos);
            if until_peak.is_some_and(|wait| t.saturating_add(wait) < end) {
                bound = bound.max(self.peak * self.factor(time));
            }
            bound = bound.max(self.at(t)).max(self.at(SimTime::from_nanos(end.as_nanos() - 1)));
            t = end;
        }
        bound
    }

    /// The antiderivative of the raised cosine, a piece of constant weekend factor at a time.
    fn integral(&self, from: SimTime, to: SimTime) -> f64 {
        let mut sum = 0.0;
        let mut t = from;
        while t < to {
            let end = self.next_change(t).unwrap_or(to).min(to);
            let span = (end - t).as_secs_f64();
            let (start, half) = (self.week_time(t), 0.5 * (self.peak - self.base));
            // sin(b) - sin(a) as a product: no cancellation over a short span.
            let (a, width) = (self.angle(start), TAU * span / DAY.as_secs_f64());
            let sines = 2.0 * libm::cos(a + 0.5 * width) * libm::sin(0.5 * width);
            let wave = half * sines * DAY.as_secs_f64() / TAU;
            sum += ((self.base + half) * span + wave) * self.factor(start);
            t = end;
        }
        sum
    }
}

/// How long before `start` its week began, on Monday 00:00 UTC: the `phase` of a [`Diurnal`].
pub fn week_phase(start: jiff::Timestamp) -> SimDuration {
    const MONDAY: i128 = -3 * 86_400 * 1_000_000_000; // 1970-01-01 was a Thursday
    let since = (start.as_nanosecond() - MONDAY).rem_euclid(i128::from(WEEK.as_nanos()));
    SimDuration::from_nanos(since as u64)
}

/// Rectangular bursts: `height` for a while, once or over and over, and nothing in between.
#[derive(Clone, Debug, PartialEq)]
pub struct Spikes {
    height: f64,
    first: SimTime,
    lasts: SimDuration,
    every: Option<SimDuration>,
}

impl Spikes {
    /// The first burst begins at `first`; with `every` there is another each so often.
    pub fn new(
        height: f64,
        first: SimTime,
        lasts: SimDuration,
        every: Option<SimDuration>,
    ) -> Result<Self, InvalidRate> {
        check("height", height)?;
        if lasts.is_zero() {
            return Err(InvalidRate::Span { what: "a spike", span: lasts, expected: "longer than nothing" });
        }
        if let Some(every) = every.filter(|&every| every <= lasts) {
            return Err(InvalidRate::Span { what: "every", span: every, expected: "longer than one spike lasts" });
        }
        Ok(Self { height, first, lasts, every })
    }

    /// Start of the burst at or before `t`, if one has begun.
    fn latest(&self, t: SimTime) -> Option<SimTime> {
        let since = t.as_nanos().checked_sub(self.first.as_nanos())?;
        let whole = self.every.map_or(0, |every| since / every.as_nanos() * every.as_nanos());
        Some(self.first + SimDuration::from_nanos(whole))
    }

    fn at(&self, t: SimTime) -> f64 {
        match self.latest(t) {
            Some(start) if t.saturating_since(start) < self.lasts => self.height,
            _ => 0.0,
        }
    }

    fn next_change(&self, t: SimTime) -> Option<SimTime> {
        match self.latest(t) {
            None => Some(self.first),
            Some(start) if t.saturating_since(start) < self.lasts => Some(start.saturating_add(self.lasts)),
            Some(start) => self.every.map(|every| start.saturating_add(every)),
        }
    }

    fn max_over(&self, from: SimTime, to: SimTime) -> f64 {
        let begins_inside = self.at(from) == 0.0 && self.next_change(from).is_some_and(|next| next < to);
        if begins_inside { self.height } else { self.at(from) }
    }

    /// Seconds of bursts up to `t`.
    fn active_to(&self, t: SimTime) -> f64 {
        let Some(start) = self.latest(t) else { return 0.0 };
        let earlier = self.every.map_or(0, |every| (start - self.first).as_nanos() / every.as_nanos());
        earlier as f64 * self.lasts.as_secs_f64() + t.saturating_since(start).min(self.lasts).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    fn hours(n: u64) -> SimTime {
        SimTime::from_secs(3600 * n)
    }

    fn steps(steps: &[(u64, f64)]) -> Vec<(SimTime, f64)> {
        steps.iter().map(|&(at, value)| (secs(at), value)).collect()
    }

    /// Monday is day zero.
    fn office() -> Rate {
        let peak_at = SimDuration::from_secs(14 * 3600);
        Rate::Diurnal(Diurnal::new(10.0, 50.0, peak_at, 0.4, SimDuration::ZERO).unwrap())
    }

    fn all_kinds() -> Vec<Rate> {
        let piecewise = Piecewise::new(&steps(&[(100, 2.0), (200, 2.0), (300, 0.0), (5000, 7.0)]), None).unwrap();
        let repeated = Piecewise::new(&steps(&[(0, 1.0), (60, 5.0)]), Some(SimDuration::from_secs(7000))).unwrap();
        let spikes =
            Spikes::new(9.0, secs(50), SimDuration::from_secs(30), Some(SimDuration::from_secs(40_000))).unwrap();
        let once = Spikes::new(3.0, secs(0), SimDuration::from_secs(1000), None).unwrap();
        let shifted =
            Diurnal::new(1.0, 4.0, SimDuration::from_secs(3600), 1.0, SimDuration::from_secs(400_000)).unwrap();
        vec![
            Rate::Constant(3.5),
            Rate::Piecewise(piecewise.clone()),
            Rate::Piecewise(repeated.clone()),
            office(),
            Rate::Spikes(spikes.clone()),
            Rate::Sum(vec![office(), Rate::Spikes(once), Rate::Constant(1.0)]),
            Rate::Product(vec![office(), Rate::Piecewise(repeated), Rate::Constant(0.5)]),
            Rate::Product(vec![office(), Rate::Diurnal(shifted), Rate::Spikes(spikes)]),
        ]
    }

    #[test]
    fn a_week_has_its_mean_and_its_proportions() {
        let day: Vec<f64> = (0..24).map(|hour| if hour < 12 { 1.0 } else { 3.0 }).collect();
        let week = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5];
        // Time zero is a Friday, half past ten.
        let phase = SimDuration::from_secs(4 * 86_400 + 10 * 3600 + 1800);
        let rate = Rate::Piecewise(Piecewise::weekly(60.0, &day, &week, phase).unwrap());
        let hours = |hours: f64| SimTime::ZERO + SimDuration::from_secs_f64(hours * 3600.0);
        assert!((rate.mean_over(SimTime::ZERO, SimTime::ZERO + WEEK) - 60.0).abs() < 1e-9);
        let morning = rate.at(SimTime::ZERO);
        assert_eq!(rate.at(hours(1.4)), morning);
        assert!((rate.at(hours(1.5)) / morning - 3.0).abs() < 1e-12, "noon");
        assert!((rate.at(hours(13.5)) / morning - 0.5).abs() < 1e-12, "Saturday");
        assert!((rate.at(hours(61.5)) / morning - 1.0).abs() < 1e-12, "Monday");
        assert_eq!(rate.at(hours(168.0 + 1.4)), morning, "a week later");
        let error = |day: &[f64]| Piecewise::weekly(1.0, day, &week, SimDuration::ZERO).unwrap_err().to_string();
        assert!(error(&[1.0; 7]).contains("7 entries"));
        assert!(error(&[0.0; 24]).contains("empty"));
        assert!(error(&[1.0, -1.0]).contains("not negative"));
    }

    #[test]
    fn steps_count_from_their_instant_and_the_last_goes_on() {
        let rate = Rate::steps(&steps(&[(10, 5.0), (20, 8.0)])).unwrap();
        let values = [0, 9, 10, 19, 20, 1_000_000].map(|t| rate.at(secs(t)));
        assert_eq!(values, [0.0, 0.0, 5.0, 5.0, 8.0, 8.0]);
        assert_eq!(rate.next_change(secs(0)), Some(secs(10)));
        assert_eq!(rate.next_change(secs(10)), Some(secs(20)));
        assert_eq!(rate.next_change(secs(20)), None);
        assert_eq!(rate.mean_over(secs(0), secs(30)), (5.0 * 10.0 + 8.0 * 10.0) / 30.0);
        assert_eq!(rate.max_over(secs(10), secs(20)), 5.0);
        assert_eq!(rate.max_over(secs(10), secs(21)), 8.0);
    }

    #[test]
    fn a_repeated_trace_starts_again() {
        let rate =
            Rate::Piecewise(Piecewise::new(&steps(&[(0, 1.0), (60, 3.0)]), Some(SimDuration::from_secs(120))).unwrap());
        assert_eq!([0, 60, 119, 120, 180].map(|t| rate.at(secs(t))), [1.0, 3.0, 3.0, 1.0, 3.0]);
        assert_eq!(rate.next_change(secs(200)), Some(secs(240)));
        assert_eq!(rate.integral(secs(30), secs(390)), 3.0 * 240.0);
        assert_eq!(rate.max_over(secs(100), secs(130)), 3.0);
    }

    #[test]
    fn a_day_peaks_at_its_hour_and_rests_at_weekends() {
        let rate = office();
        assert_eq!(rate.at(hours(14)), 50.0);
        assert!((rate.at(hours(2)) - 10.0).abs() < 1e-9);
        assert!((rate.at(hours(5 * 24 + 14)) - 20.0).abs() < 1e-9, "Saturday");
        assert!((rate.at(hours(7 * 24 + 14)) - 50.0).abs() < 1e-9, "Monday again");
        assert_eq!(rate.next_change(hours(1)), Some(hours(120)));
        assert_eq!(rate.next_change(hours(120)), Some(hours(168)));
        assert!((rate.mean_over(hours(0), hours(24)) - 30.0).abs() < 1e-9);
        assert_eq!(rate.max_over(hours(0), hours(24)), 50.0);
    }

    #[test]
    fn the_week_begins_on_monday() {
        let phase = |text: &str| week_phase(text.parse().unwrap());
        assert_eq!(phase("2026-01-05T00:00:00Z"), SimDuration::ZERO);
        assert_eq!(phase("2026-01-11T23:00:00Z"), SimDuration::from_secs(7 * 86_400 - 3600));
        assert_eq!(phase("1969-12-29T00:00:01Z"), SimDuration::from_secs(1));
    }

    #[test]
    fn spikes_come_and_go() {
        let every = Some(SimDuration::from_secs(100));
        let rate = Rate::Spikes(Spikes::new(4.0, secs(20), SimDuration::from_secs(10), every).unwrap());
        assert_eq!([19, 20, 29, 30, 120, 131].map(|t| rate.at(secs(t))), [0.0, 4.0, 4.0, 0.0, 4.0, 0.0]);
        assert_eq!(rate.integral(secs(0), secs(125)), 60.0);
        assert_eq!(rate.max_over(secs(30), secs(120)), 0.0);
        assert_eq!(rate.max_over(secs(30), secs(121)), 4.0);
    }

    #[test]
    fn integrals_agree_with_a_fine_sum() {
        for rate in all_kinds() {
            for (from, to) in [(0, 90_000), (3600, 3700), (431_000, 433_000), (590_000, 700_000)] {
                let sum: f64 = (from * 2..to * 2)
                    .map(|half| rate.at(SimTime::from_nanos(half * 500_000_000 + 250_000_000)) * 0.5)
                    .sum();
                let integral = rate.integral(secs(from), secs(to));
                assert!(
                    (integral - sum).abs() <= 1e-6 * sum.max(1.0),
                    "{rate:?} over {from}..{to}: {integral} for {sum}"
                );
            }
        }
    }

    #[test]
    fn nothing_comes_of_a_rate_of_zero() {
        let dead = Diurnal::new(0.0, 0.0, SimDuration::ZERO, 0.5, SimDuration::ZERO).unwrap();
        let ends = Rate::steps(&steps(&[(0, 1.0), (10, 0.0)])).unwrap();
        assert_eq!(Rate::Constant(0.0).time_of(secs(0), 1.0), None);
        assert_eq!(Rate::Diurnal(dead).time_of(secs(0), 1.0), None);
        assert_eq!(ends.time_of(secs(0), 5.0), Some(secs(5)));
        assert_eq!(ends.time_of(secs(0), 20.0), None);
        let zero_week_end = Rate::Product(vec![office(), Rate::Constant(0.0)]);
        assert_eq!(zero_week_end.time_of(secs(0), 1.0), None);
    }

    proptest! {
        #[test]
        fn time_of_inverts_the_integral(kind in 0usize..8, from in 0u64..1_000_000, amount in 0.001f64..5000.0) {
            let rate = &all_kinds()[kind];
            if let Some(reached) = rate.time_of(secs(from), amount) {
                let area = rate.integral(secs(from), reached);
                let nanosecond = 1e-9 * rate.max_over(secs(from), reached.saturating_add(SimDuration::from_secs(1)));
                prop_assert!((area - amount).abs() <= 1e-7 * amount + 2.0 * nanosecond, "{area} for {amount}");
            } else {
                // Only what ends for ever may fall short.
                prop_assert!(rate.integral(secs(from), secs(1_000_000_000)) <= amount);
            }
        }

        #[test]
        fn the_bound_holds(kind in 0usize..8, from in 0u64..1_000_000, span in 1u64..800_000, part in 0.0f64..1.0) {
            let rate = &all_kinds()[kind];
            let inside = secs(from) + SimDuration::from_secs_f64(span as f64 * part * 0.999_999);
            let bound = rate.max_over(secs(from), secs(from + span));
            prop_assert!(rate.at(inside) <= bound * (1.0 + 1e-12));
        }

        #[test]
        fn nothing_jumps_before_the_next_change(kind in 0usize..8, from in 0u64..1_000_000, part in 0.0f64..1.0) {
            let rate = &all_kinds()[kind];
            let next = rate.next_change(secs(from)).unwrap_or(secs(from + 100_000)).min(secs(from + 100_000));
            let between = secs(from) + (next - secs(from)).mul_f64(part * 0.999_999);
            if rate.is_piecewise_constant() {
                prop_assert_eq!(rate.at(secs(from)), rate.at(between));
            }
            prop_assert!(next > secs(from));
        }
    }

    #[rstest]
    #[case(Rate::steps(&[]), "steps is empty; give it at least one entry")]
    #[case(Rate::steps(&[(SimTime::ZERO, -1.0)]), "a step is -1; a rate is a finite number, and not negative")]
    #[case(Rate::steps(&[(secs(5), 1.0), (secs(5), 2.0)]), "step 2 is at 5s, not after 5s; steps are in order of time")]
    #[case(Diurnal::new(5.0, 2.0, SimDuration::ZERO, 1.0, SimDuration::ZERO).map(Rate::Diurnal), "base 5 is above peak 2")]
    #[case(Diurnal::new(1.0, 2.0, DAY, 1.0, SimDuration::ZERO).map(Rate::Diurnal), "peakAt is 1d; it must be a time of day, less than 24 hours")]
    #[case(Spikes::new(1.0, secs(0), SimDuration::ZERO, None).map(Rate::Spikes), "a spike is 0s; it must be longer than nothing")]
    #[case(Rate::Sum(vec![]).validate().map(|()| Rate::Constant(0.0)), "sum is empty; give it at least one entry")]
    #[case(Rate::Constant(f64::INFINITY).validate().map(|()| Rate::Constant(0.0)), "the rate is inf; a rate is a finite number, and not negative")]
    fn refuses_what_is_no_rate(#[case] rate: Result<Rate, InvalidRate>, #[case] message: &str) {
        assert_eq!(rate.unwrap_err().to_string(), message);
    }
}
