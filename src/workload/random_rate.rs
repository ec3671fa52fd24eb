//! Rates that chance moves: noise, flash crowds, on-off sources, and a Markov chain of states.
//!
//! A random rate is drawn once a replication, from a stream of its own, into a path of steps: see [`Rate::drawn`]. What has
//! not been drawn counts as its mean, which is all that can be said of it before.

use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::arrivals::{ArrivalProcess, InvalidArrivals, Mmpp};
use crate::workload::distribution::{Distribution, InvalidDistribution, normal_quantile};
use crate::workload::rate::{InvalidRate, Piecewise, Rate};

/// A rate whose course is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum RandomRate {
    /// Jumps between states.
    Mmpp(Mmpp),
    /// A factor around one.
    Noise(Noise),
    /// Crowds that come at once and go slowly.
    FlashCrowds(FlashCrowds),
    /// Many sources that are on and off for heavy-tailed times: self-similar bursts.
    OnOff(OnOff),
}

/// A random rate that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidRandomRate {
    /// One of its rates is none.
    #[error(transparent)]
    Rate(#[from] InvalidRate),
    /// One of its distributions is none.
    #[error(transparent)]
    Distribution(#[from] InvalidDistribution),
    /// Its chain is none.
    #[error("{0}")]
    Chain(String),
    /// A number out of its range.
    #[error("{what} is {value}; it must be {expected}")]
    Number {
        /// Which.
        what: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A span of no length.
    #[error("{0} must be longer than nothing")]
    NoTime(&'static str),
    /// More steps than can be held.
    #[error("it would take about {steps:.0} steps to draw it over {run}; at most {MOST_STEPS:.0} are drawn")]
    TooFine {
        /// Steps that would be drawn.
        steps: f64,
        /// How long the run is.
        run: SimDuration,
    },
}

/// The most steps of one path: a week of seconds, a hundred years of days.
const MOST_STEPS: f64 = 1e6;

/// A factor with mean 1: the exponential of a stationary autoregressive process of order one, redrawn at equal intervals.
///
/// Source of the process: Box, Jenkins, Reinsel and Ljung, *Time Series Analysis*, 5th ed., section 3.2.3.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// Coefficient of variation of the factor.
    pub cv: f64,
    /// How long one value lasts.
    pub every: SimDuration,
    /// Correlation of the logarithm from one value to the next, 0 (each for itself) to below 1.
    pub correlation: f64,
}

/// Crowds: each rises along a line, stays, and ebbs away exponentially.
///
/// Source of the shape: Ari, Hong, Miller, Brandt and Long, "Managing flash crowds on the Internet", MASCOTS 2003.
#[derive(Clone, Debug, PartialEq)]
pub struct FlashCrowds {
    /// Rate that a crowd adds at its peak.
    pub height: f64,
    /// When the first one begins; the others follow it.
    pub first: Option<SimTime>,
    /// From the beginning of one to that of the next [s]; none: there is one.
    pub every: Option<Distribution>,
    /// How long it rises.
    pub rise: SimDuration,
    /// How long it stays at its peak [s].
    pub lasts: Distribution,
    /// Time constant of its ebb: after that long, 37 % are left.
    pub decay: SimDuration,
}

/// Independent sources, each sending at the same rate while it is on; on and off times are Pareto distributed.
///
/// The sum of many is self-similar with Hurst parameter H = (3 − α) / 2, α being the tail index of the times. Source:
/// Willinger, Taqqu, Sherman and Wilson, "Self-similarity through high-variability", IEEE/ACM Transactions on Networking
/// 5(1), 1997.
#[derive(Clone, Debug, PartialEq)]
pub struct OnOff {
    /// How many.
    pub sources: u32,
    /// Rate of one that is on.
    pub rate: f64,
    /// Mean time on.
    pub on: SimDuration,
    /// Mean time off.
    pub off: SimDuration,
    /// Hurst parameter, above 0.5 (none of it) and below 1.
    pub hurst: f64,
}

impl RandomRate {
    /// Checks every number, and that a path over `run` can be held.
    ///
    /// # Errors
    /// [`InvalidRandomRate`] with the first thing that is wrong.
    pub fn validate(&self, run: SimDuration) -> Result<(), InvalidRandomRate> {
        let steps = match self {
            Self::Mmpp(mmpp) => {
                let chain = |error: InvalidArrivals| InvalidRandomRate::Chain(error.to_string());
                ArrivalProcess::Mmpp(mmpp.clone()).validate().map_err(chain)?;
                let stays: f64 = mmpp.states.iter().map(|state| state.mean_stay.as_secs_f64()).sum();
                run.as_secs_f64() / stays * mmpp.states.len() as f64
            }
            Self::Noise(noise) => noise.validate(run)?,
            Self::FlashCrowds(crowds) => crowds.validate(run)?,
            Self::OnOff(sources) => sources.validate(run)?,
        };
        if steps > MOST_STEPS { Err(InvalidRandomRate::TooFine { steps, run }) } else { Ok(()) }
    }

    /// Its mean in the long run; of flash crowds that come once, zero.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Mmpp(mmpp) => mmpp.mean_rate(),
            Self::Noise(_) => 1.0,
            Self::FlashCrowds(crowds) => crowds.mean(),
            Self::OnOff(OnOff { sources, rate, on, off, .. }) => {
                f64::from(*sources) * rate * on.as_secs_f64() / (*on + *off).as_secs_f64()
            }
        }
    }

    /// One path up to `until`; the last value goes on after it.
    ///
    /// # Errors
    /// [`InvalidRate`] when a step is no rate, which [`validate`](Self::validate) rules out.
    pub fn path(&self, until: SimTime, chance: &mut Stream) -> Result<Rate, InvalidRate> {
        match self {
            Self::Mmpp(mmpp) => mmpp.sample_path(until, chance),
            Self::Noise(noise) => noise.path(until, chance),
            Self::FlashCrowds(crowds) => crowds.path(until, chance),
            Self::OnOff(sources) => sources.path(until, chance),
        }
    }
}

fn within(what: &'static str, value: f64, holds: bool, expected: &'static str) -> Result<(), InvalidRandomRate> {
    if holds { Ok(()) } else { Err(InvalidRandomRate::Number { what, value, expected }) }
}

fn lasting(what: &'static str, span: SimDuration) -> Result<(), InvalidRandomRate> {
    if span.is_zero() { Err(InvalidRandomRate::NoTime(what)) } else { Ok(()) }
}

fn rate(value: f64) -> Result<(), InvalidRandomRate> {
    Ok(Rate::Constant(value).validate()?)
}

impl Noise {
    /// Values beyond this many times the mean are cut: they are mistakes of the tail, not demand.
    const MOST: f64 = 1e3;

    fn validate(&self, run: SimDuration) -> Result<f64, InvalidRandomRate> {
        within("cv", self.cv, (0.0..=10.0).contains(&self.cv), "from 0 to 10")?;
        within("correlation", self.correlation, (0.0..1.0).contains(&self.correlation), "from 0 to below 1")?;
        lasting("every", self.every)?;
        Ok(run.as_secs_f64() / self.every.as_secs_f64())
    }

    fn path(&self, until: SimTime, chance: &mut Stream) -> Result<Rate, InvalidRate> {
        let sigma = libm::sqrt(libm::log1p(self.cv * self.cv));
        let fresh = libm::sqrt(1.0 - self.correlation * self.correlation);
        let mut state = normal_quantile(chance.open_uniform());
        let mut at = SimTime::ZERO;
        let mut steps = Vec::new();
        loop {
            let factor = libm::exp(sigma * state - sigma * sigma / 2.0).min(Self::MOST);
            steps.push((at, factor));
            at = at.saturating_add(self.every);
            if at >= until {
                return Rate::steps(&steps);
            }
            state = self.correlation * state + fresh * normal_quantile(chance.open_uniform());
        }
    }
}

impl FlashCrowds {
    /// Steps of the rise and of the ebb, each.
    const STEPS: u32 = 24;
    /// The ebb is over after this many time constants: less than half a per cent of the crowd is left.
    const EBB: u32 = 6;

    fn validate(&self, run: SimDuration) -> Result<f64, InvalidRandomRate> {
        rate(self.height)?;
        self.lasts.validate()?;
        let crowds = match &self.every {
            None => 1.0,
            Some(every) => {
                every.validate()?;
                let mean = every.mean();
                within("the mean of every", mean, mean > 0.0, "above zero")?;
                1.0 + run.as_secs_f64() / mean
            }
        };
        within("at", 0.0, self.first.is_some() || self.every.is_some(), "given, unless `every` is")?;
        Ok(crowds * f64::from(2 * Self::STEPS + 2))
    }

    /// Requests of one crowd over those of a second at its peak.
    fn seconds(&self) -> f64 {
        0.5 * self.rise.as_secs_f64() + self.lasts.mean() + self.decay.as_secs_f64()
    }

    fn mean(&self) -> f64 {
        self.every.as_ref().map_or(0.0, |every| self.height * self.seconds() / every.mean())
    }

    fn path(&self, until: SimTime, chance: &mut Stream) -> Result<Rate, InvalidRate> {
        let gap = |chance: &mut Stream| {
            // At least a nanosecond, so that time passes.
            self.every.as_ref().map(|every| every.sample_duration(chance).max(SimDuration::from_nanos(1)))
        };
        let mut changes = Vec::new();
        let mut at = match self.first {
            Some(first) => Some(first),
            None => gap(chance).map(|wait| SimTime::ZERO.saturating_add(wait)),
        };
        while let Some(begin) = at.filter(|begin| *begin < until) {
            self.add_crowd(begin, self.lasts.sample_duration(chance), &mut changes);
            at = gap(chance).map(|wait| begin.saturating_add(wait));
        }
        from_changes(changes)
    }

    /// The steps of one crowd: of the line and of the exponential the mean over each step, so that no request is lost.
    fn add_crowd(&self, begin: SimTime, lasts: SimDuration, changes: &mut Vec<(SimTime, f64)>) {
        let steps = u64::from(Self::STEPS);
        let mut level = 0.0;
        let mut to = |at: SimTime, next: f64, level: &mut f64| {
            changes.push((at, next - *level));
            *level = next;
        };
        if !self.rise.is_zero() {
            for step in 0..steps {
                let at = begin.saturating_add(self.rise / steps * step);
                to(at, self.height * (step as f64 + 0.5) / steps as f64, &mut level);
            }
        }
        let top = begin.saturating_add(self.rise);
        if !lasts.is_zero() {
            to(top, self.height, &mut level);
        }
        let ebb = top.saturating_add(lasts);
        if !self.decay.is_zero() {
            let width = f64::from(Self::EBB) / f64::from(Self::STEPS);
            for step in 0..steps {
                let at = ebb.saturating_add(self.decay.mul_f64(width * step as f64));
                let mean = libm::exp(-width * step as f64) * -libm::expm1(-width) / width;
                to(at, self.height * mean, &mut level);
            }
        }
        let over = ebb.saturating_add(self.decay.mul_f64(f64::from(Self::EBB)));
        to(over, 0.0, &mut level);
    }
}

impl OnOff {
    fn validate(&self, run: SimDuration) -> Result<f64, InvalidRandomRate> {
        rate(self.rate)?;
        lasting("on", self.on)?;
        lasting("off", self.off)?;
        let holds = self.hurst > 0.5 && self.hurst < 1.0;
        within("hurst", self.hurst, holds, "above 0.5 and below 1")?;
        within("sources", f64::from(self.sources), self.sources > 0, "one or more")?;
        Ok(f64::from(2 * self.sources) * (1.0 + run.as_secs_f64() / (self.on + self.off).as_secs_f64()))
    }

    /// α = 3 − 2H, between 1 (no mean) and 2 (finite variance).
    fn tail_index(&self) -> f64 {
        3.0 - 2.0 * self.hurst
    }

    /// A Pareto time with this mean.
    fn time(&self, mean: SimDuration, chance: &mut Stream) -> SimDuration {
        let alpha = self.tail_index();
        let least = mean.as_secs_f64() * (alpha - 1.0) / alpha;
        let drawn = SimDuration::from_secs_f64(least * libm::pow(chance.open_uniform(), -1.0 / alpha));
        drawn.clamp(SimDuration::from_nanos(1), SimDuration::CENTURY)
    }

    /// What is left, at an instant like any other, of a time with this mean: uniform up to the least time with
    /// probability (α − 1) / α, beyond that Pareto with α − 1.
    fn time_left(&self, mean: SimDuration, chance: &mut Stream) -> SimDuration {
        let alpha = self.tail_index();
        let least = mean.as_secs_f64() * (alpha - 1.0) / alpha;
        let u = chance.open_uniform();
        let short = (alpha - 1.0) / alpha;
        let left =
            if u < short { least * u / short } else { least * libm::pow((1.0 - u) * alpha, -1.0 / (alpha - 1.0)) };
        SimDuration::from_secs_f64(left).clamp(SimDuration::from_nanos(1), SimDuration::CENTURY)
    }

    fn path(&self, until: SimTime, chance: &mut Stream) -> Result<Rate, InvalidRate> {
        let share_on = self.on.as_secs_f64() / (self.on + self.off).as_secs_f64();
        let mut changes = Vec::new();
        for _ in 0..self.sources {
            let mut is_on = chance.bernoulli(share_on);
            let mut mean = if is_on { self.on } else { self.off };
            let mut at = SimTime::ZERO;
            let mut stay = self.time_left(mean, chance);
            while at < until {
                if is_on {
                    changes.push((at, 1.0));
                    changes.push((at.saturating_add(stay), -1.0));
                }
                at = at.saturating_add(stay);
                is_on = !is_on;
                mean = if is_on { self.on } else { self.off };
                stay = self.time(mean, chance);
            }
        }
        // Whole sources are counted, so that their sum returns to zero exactly.
        from_changes(changes).map(|sources| sources.scaled(self.rate))
    }
}

/// The rate that begins at zero and changes by so much at each instant.
fn from_changes(mut changes: Vec<(SimTime, f64)>) -> Result<Rate, InvalidRate> {
    changes.sort_by_key(|(at, _)| *at);
    let mut steps = vec![(SimTime::ZERO, 0.0)];
    let mut level = 0.0;
    // Rounding of a sum of parts that end must leave no rate behind.
    let slack = changes.iter().map(|(_, change)| change.abs()).fold(0.0, f64::max) * 1e-9;
    for (at, change) in changes {
        level += change;
        let value = if level <= slack { 0.0 } else { level };
        match steps.last_mut() {
            Some(last) if last.0 == at => last.1 = value,
            _ => steps.push((at, value)),
        }
    }
    Piecewise::new(&steps, None).map(Rate::Piecewise)
}

impl Rate {
    /// This rate with every random part drawn up to `until`, each from a stream of its own under `name`; a rate without
    /// chance as it is.
    pub fn drawn(&self, streams: &Streams, name: &str, until: SimTime) -> Self {
        match self {
            Self::Random(random) => {
                let path = random.path(until, &mut streams.named(name));
                // It was validated with the scenario; a path that is no rate all the same counts as its mean.
                path.unwrap_or_else(|_| Self::Constant(random.mean()))
            }
            Self::Sum(parts) => Self::Sum(drawn_parts(parts, streams, name, until)),
            Self::Product(parts) => Self::Product(drawn_parts(parts, streams, name, until)),
            Self::Constant(_) | Self::Piecewise(_) | Self::Diurnal(_) | Self::Spikes(_) => self.clone(),
        }
    }

    /// True if chance moves it.
    pub fn is_random(&self) -> bool {
        match self {
            Self::Random(_) => true,
            Self::Sum(parts) | Self::Product(parts) => parts.iter().any(Self::is_random),
            Self::Constant(_) | Self::Piecewise(_) | Self::Diurnal(_) | Self::Spikes(_) => false,
        }
    }
}

fn drawn_parts(parts: &[Rate], streams: &Streams, name: &str, until: SimTime) -> Vec<Rate> {
    parts.iter().enumerate().map(|(place, part)| part.drawn(streams, &format!("{name}/{place}"), until)).collect()
}

impl ArrivalProcess {
    /// This process with the random parts of its rates drawn up to `until`, see [`Rate::drawn`].
    pub fn drawn(&self, streams: &Streams, name: &str, until: SimTime) -> Self {
        match self {
            Self::Poisson(rate) => Self::Poisson(rate.drawn(streams, name, until)),
            Self::Deterministic(rate) => Self::Deterministic(rate.drawn(streams, name, until)),
            Self::Superposition(parts) => {
                let part = |(place, part): (usize, &Self)| part.drawn(streams, &format!("{name}/{place}"), until);
                Self::Superposition(parts.iter().enumerate().map(part).collect())
            }
            Self::Renewal(_) | Self::Mmpp(_) | Self::Once(_) | Self::Trace(_) | Self::Schedule(_) => self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::arrivals::MmppState;

    const HOUR: u64 = 3600;

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    fn span(n: u64) -> SimDuration {
        SimDuration::from_secs(n)
    }

    fn path(random: RandomRate, until: SimTime) -> Rate {
        random.validate(until.saturating_since(SimTime::ZERO)).unwrap();
        Rate::Random(random).drawn(&Streams::new(5, 0), "rate/test", until)
    }

    fn sampled(rate: &Rate, step: u64, count: u64) -> Vec<f64> {
        (0..count).map(|n| rate.at(secs(n * step))).collect()
    }

    fn moments(sample: &[f64]) -> (f64, f64) {
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / sample.len() as f64;
        (mean, variance)
    }

    #[test]
    fn noise_has_mean_one_its_spread_and_its_memory() {
        let noise = Noise { cv: 0.3, every: span(60), correlation: 0.9 };
        let sample = sampled(&path(RandomRate::Noise(noise), secs(60 * 60_000)), 60, 60_000);
        let (mean, variance) = moments(&sample);
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((libm::sqrt(variance) - 0.3).abs() < 0.02, "{variance}");
        let together: f64 = sample.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        let correlation = together / sample.len() as f64 / variance;
        assert!((correlation - 0.9).abs() < 0.02, "{correlation}");
        let flat = path(RandomRate::Noise(Noise { cv: 0.0, every: span(60), correlation: 0.0 }), secs(HOUR));
        assert_eq!(moments(&sampled(&flat, 60, 60)), (1.0, 0.0));
    }

    #[test]
    fn a_flash_crowd_rises_stays_and_ebbs_away() {
        let crowd = FlashCrowds {
            height: 100.0,
            first: Some(secs(HOUR)),
            every: None,
            rise: span(120),
            lasts: Distribution::Constant(600.0),
            decay: span(900),
        };
        let rate = path(RandomRate::FlashCrowds(crowd.clone()), secs(12 * HOUR));
        assert_eq!(rate.at(secs(HOUR - 1)), 0.0);
        assert!((rate.at(secs(HOUR + 60)) - 50.0).abs() < 4.0, "half way up");
        assert_eq!(rate.at(secs(HOUR + 120)), 100.0);
        assert_eq!(rate.at(secs(HOUR + 719)), 100.0);
        assert!((rate.at(secs(HOUR + 720 + 900)) - 36.8).abs() < 6.0, "one time constant later");
        assert_eq!(rate.at(secs(HOUR + 720 + 6 * 900)), 0.0, "over, to the last request");
        let count = rate.integral(SimTime::ZERO, secs(12 * HOUR));
        assert!((count / (100.0 * crowd.seconds()) - 1.0).abs() < 0.005, "{count}");
    }

    #[test]
    fn flash_crowds_that_overlap_add_up() {
        let crowds = FlashCrowds {
            height: 10.0,
            first: Some(SimTime::ZERO),
            every: Some(Distribution::Constant(100.0)),
            rise: SimDuration::ZERO,
            lasts: Distribution::Constant(250.0),
            decay: SimDuration::ZERO,
        };
        let rate = path(RandomRate::FlashCrowds(crowds.clone()), secs(1000));
        assert_eq!([0, 100, 200, 250, 300].map(|at| rate.at(secs(at))), [10.0, 20.0, 30.0, 20.0, 30.0]);
        assert_eq!(RandomRate::FlashCrowds(crowds).mean(), 25.0);
    }

    /// The Hurst parameter by the variance of means over ever longer blocks (Taqqu, Teverovsky and Willinger 1995).
    fn hurst(sample: &[f64]) -> f64 {
        let blocks = [10usize, 30, 100, 300, 1000];
        let points: Vec<(f64, f64)> = blocks
            .iter()
            .map(|&size| {
                let means: Vec<f64> = sample.chunks_exact(size).map(|block| moments(block).0).collect();
                (libm::log(size as f64), libm::log(moments(&means).1))
            })
            .collect();
        let n = points.len() as f64;
        let (x, y) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
        let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
            / points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum::<f64>();
        1.0 + slope / 2.0
    }

    #[test]
    fn on_off_sources_are_self_similar() {
        let of = |hurst| RandomRate::OnOff(OnOff { sources: 40, rate: 2.0, on: span(10), off: span(30), hurst });
        assert_eq!(of(0.8).mean(), 20.0);
        let drawn = |hurst| sampled(&path(of(hurst), secs(60_000)), 1, 60_000);
        let (bursty, plain) = (drawn(0.85), drawn(0.501));
        let mean = moments(&plain).0;
        assert!((mean - 20.0).abs() < 1.0, "{mean}");
        let (bursty, plain) = (hurst(&bursty), hurst(&plain));
        assert!(bursty > 0.75 && plain < 0.7, "{bursty} {plain}");
    }

    #[test]
    fn what_is_not_drawn_counts_as_its_mean() {
        let state = |rate, stay| MmppState { rate, mean_stay: span(stay) };
        let mmpp = Rate::Random(RandomRate::Mmpp(Mmpp { states: vec![state(1.0, 90), state(20.0, 10)] }));
        assert!((mmpp.at(secs(5)) - 2.9).abs() < 1e-12 && mmpp.is_random());
        assert!((mmpp.integral(SimTime::ZERO, secs(10)) - 29.0).abs() < 1e-9);
        let drawn = mmpp.drawn(&Streams::new(1, 0), "rate/a", secs(100_000));
        assert!(!drawn.is_random());
        assert!((drawn.mean_over(SimTime::ZERO, secs(100_000)) / 2.9 - 1.0).abs() < 0.15);
    }

    #[test]
    fn each_part_has_chance_of_its_own_and_each_replication_too() {
        let noise = || Rate::Random(RandomRate::Noise(Noise { cv: 0.5, every: span(60), correlation: 0.0 }));
        let both = Rate::Product(vec![noise(), noise()]);
        let drawn = |rate: &Rate, replication, name: &str| rate.drawn(&Streams::new(7, replication), name, secs(HOUR));
        let Rate::Product(parts) = drawn(&both, 0, "rate/a") else { panic!("it stays a product") };
        assert_ne!(parts[0], parts[1]);
        assert_eq!(drawn(&both, 0, "rate/a"), drawn(&both, 0, "rate/a"));
        assert_ne!(drawn(&noise(), 0, "rate/a"), drawn(&noise(), 1, "rate/a"));
        assert_ne!(drawn(&noise(), 0, "rate/a"), drawn(&noise(), 0, "rate/b"));
    }

    #[test]
    fn refuses_what_cannot_be_drawn() {
        let error = |random: RandomRate| random.validate(span(86_400)).unwrap_err().to_string();
        let noise = |cv, every, correlation| RandomRate::Noise(Noise { cv, every: span(every), correlation });
        assert_eq!(error(noise(-1.0, 60, 0.0)), "cv is -1; it must be from 0 to 10");
        assert_eq!(error(noise(0.1, 60, 1.0)), "correlation is 1; it must be from 0 to below 1");
        assert_eq!(error(noise(0.1, 0, 0.0)), "every must be longer than nothing");
        let fine = RandomRate::Noise(Noise { cv: 0.1, every: SimDuration::from_millis(1), correlation: 0.0 });
        assert!(error(fine).contains("86400000 steps"));
        let sources = |hurst| RandomRate::OnOff(OnOff { sources: 1, rate: 1.0, on: span(1), off: span(1), hurst });
        assert_eq!(error(sources(0.5)), "hurst is 0.5; it must be above 0.5 and below 1");
        assert!(error(RandomRate::Mmpp(Mmpp { states: vec![] })).contains("at least two states"));
    }
}
