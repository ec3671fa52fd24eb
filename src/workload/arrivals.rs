//! Arrival processes: when the next task or request comes.

use std::sync::Arc;

use crate::ecs::task_definition::TaskOverrides;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::schedule::Schedule;
use crate::workload::distribution::{Distribution, InvalidDistribution};
use crate::workload::rate::{InvalidRate, Rate};

/// A point process in time.
#[derive(Clone, Debug, PartialEq)]
pub enum ArrivalProcess {
    /// Poisson with a rate that may vary in time.
    Poisson(Rate),
    /// The same count as the rate, without chance: the n-th arrival comes when the rate has added up to n.
    Deterministic(Rate),
    /// Independent interarrival times, in seconds.
    Renewal(Distribution),
    /// Poisson with a rate that jumps at random.
    Mmpp(Mmpp),
    /// One arrival, at a time drawn in seconds: with one such process each, the order of several is drawn too.
    Once(Distribution),
    /// The rows of a trace.
    Trace(Arc<ArrivalTrace>),
    /// A cron, rate or at expression.
    Schedule(Arc<Schedule>),
    /// All of these together, each with chance of its own.
    Superposition(Vec<ArrivalProcess>),
}

/// A process that is none, or never lets time pass.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidArrivals {
    /// Its rate is none.
    #[error(transparent)]
    Rate(#[from] InvalidRate),
    /// Its distribution is none.
    #[error(transparent)]
    Distribution(#[from] InvalidDistribution),
    /// Interarrival times of zero.
    #[error("interarrival times are always zero; their mean must be above zero")]
    NoTime,
    /// A modulated process with too few states, or one that stays in no state.
    #[error("an mmpp needs at least two states, each with a mean stay above zero")]
    States,
    /// A repeated trace whose period ends before its last row.
    #[error("the trace repeats after {period}, before its last row at {last}")]
    Period {
        /// Time after which it repeats.
        period: SimDuration,
        /// Time of the last row.
        last: SimTime,
    },
    /// Nothing to superpose.
    #[error("sum is empty; give it at least one entry")]
    Empty,
}

impl ArrivalProcess {
    /// Whether rows of a trace say something of the task of each arrival.
    pub fn changes_tasks(&self) -> bool {
        match self {
            Self::Trace(trace) => trace.rows.iter().any(|row| row.overrides != TaskOverrides::default()),
            Self::Superposition(parts) => parts.iter().any(Self::changes_tasks),
            _ => false,
        }
    }

    /// Checks every number in it.
    pub fn validate(&self) -> Result<(), InvalidArrivals> {
        match self {
            Self::Poisson(rate) | Self::Deterministic(rate) => Ok(rate.validate()?),
            Self::Renewal(interarrival) => {
                interarrival.validate()?;
                if interarrival.mean() > 0.0 { Ok(()) } else { Err(InvalidArrivals::NoTime) }
            }
            Self::Once(at) => Ok(at.validate()?),
            Self::Mmpp(mmpp) => mmpp.validate(),
            Self::Trace(trace) => trace.validate(),
            Self::Schedule(_) => Ok(()),
            Self::Superposition(parts) if parts.is_empty() => Err(InvalidArrivals::Empty),
            Self::Superposition(parts) => parts.iter().try_for_each(Self::validate),
        }
    }
}

/// A Markov-modulated Poisson process: exponential stays in states of constant rate, the next state any other one, each
/// equally likely.
///
/// Source: Fischer and Meier-Hellstern, "The Markov-modulated Poisson process (MMPP) cookbook", Performance Evaluation
/// 18(2), 1993.
#[derive(Clone, Debug, PartialEq)]
pub struct Mmpp {
    /// Two states or more.
    pub states: Vec<MmppState>,
}

/// One state of a modulated process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MmppState {
    /// Arrivals per second.
    pub rate: f64,
    /// Mean time in this state.
    pub mean_stay: SimDuration,
}

impl Mmpp {
    fn validate(&self) -> Result<(), InvalidArrivals> {
        if self.states.len() < 2 || self.states.iter().any(|state| state.mean_stay.is_zero()) {
            return Err(InvalidArrivals::States);
        }
        self.states.iter().try_for_each(|state| Ok(Rate::Constant(state.rate).validate()?))
    }

    /// Mean arrivals per second in the long run.
    pub fn mean_rate(&self) -> f64 {
        // The chain moves to any other state alike, so it visits all equally often: time divides by the stays.
        let stays: f64 = self.states.iter().map(|state| state.mean_stay.as_secs_f64()).sum();
        self.states.iter().map(|state| state.rate * state.mean_stay.as_secs_f64()).sum::<f64>() / stays
    }

    /// One path of the rate up to `until`, for a fluid workload; the last rate goes on after it.
    pub fn sample_path(&self, until: SimTime, chance: &mut Stream) -> Result<Rate, InvalidRate> {
        let mut modulation = Modulation::begin(self, SimTime::ZERO, chance);
        let mut steps = vec![(SimTime::ZERO, self.states[modulation.state].rate)];
        while modulation.until < until {
            let at = modulation.until;
            modulation.switch(self, chance);
            steps.push((at, self.states[modulation.state].rate));
        }
        Rate::steps(&steps)
    }
}

/// Where a modulated process is.
#[derive(Clone, Debug, PartialEq)]
struct Modulation {
    state: usize,
    until: SimTime,
}

impl Modulation {
    /// In the steady state: as likely in each state as its share of time.
    fn begin(mmpp: &Mmpp, now: SimTime, chance: &mut Stream) -> Self {
        let total: f64 = mmpp.states.iter().map(|state| state.mean_stay.as_secs_f64()).sum();
        let mut left = chance.uniform() * total;
        let mut state = mmpp.states.len() - 1;
        for (index, candidate) in mmpp.states.iter().enumerate() {
            left -= candidate.mean_stay.as_secs_f64();
            if left < 0.0 {
                state = index;
                break;
            }
        }
        let until = now.saturating_add(stay(mmpp.states[state], chance));
        Self { state, until }
    }

    fn switch(&mut self, mmpp: &Mmpp, chance: &mut Stream) {
        let step = 1 + chance.below(mmpp.states.len() as u64 - 1) as usize;
        self.state = (self.state + step) % mmpp.states.len();
        // At least a nanosecond, so that time passes.
        let stay = stay(mmpp.states[self.state], chance).max(SimDuration::from_nanos(1));
        self.until = self.until.saturating_add(stay);
    }
}

fn stay(state: MmppState, chance: &mut Stream) -> SimDuration {
    Distribution::Exponential { mean: state.mean_stay.as_secs_f64() }.sample_duration(chance)
}

/// Arrivals that were recorded, each with what it changes of its task.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrivalTrace {
    /// In order of time.
    pub rows: Vec<Arrival>,
    /// The whole starts again after this long.
    pub repeat: Option<SimDuration>,
}

impl ArrivalTrace {
    fn validate(&self) -> Result<(), InvalidArrivals> {
        match (self.repeat, self.rows.last()) {
            (Some(period), Some(last)) if SimTime::ZERO.saturating_add(period) <= last.at => {
                Err(InvalidArrivals::Period { period, last: last.at })
            }
            _ => Ok(()),
        }
    }
}

/// One arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Arrival {
    /// When.
    pub at: SimTime,
    /// What a trace's row says about its task; nothing for any other process.
    pub overrides: TaskOverrides,
}

impl Arrival {
    /// A plain arrival.
    pub fn at(at: SimTime) -> Self {
        Self { at, overrides: TaskOverrides::default() }
    }
}

/// The arrivals of a process, one after the other; keeps no more than where it is.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// Time of the latest arrival, or where the process began.
    clock: SimTime,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Poisson { rate: Rate, chance: Stream },
    Deterministic { rate: Rate },
    Renewal { interarrival: Distribution, chance: Stream },
    Once { at: Option<SimTime> },
    Mmpp { mmpp: Mmpp, modulation: Modulation, chance: Stream },
    Trace { trace: Arc<ArrivalTrace>, row: usize, round: u64 },
    Schedule { schedule: Arc<Schedule>, from: SimTime },
    Superposition { parts: Vec<(Arrivals, Option<Arrival>)> },
}

impl Arrivals {
    /// The process from `start` on, driven by `chance`.
    ///
    /// The process must be valid, see [`ArrivalProcess::validate`]. Rates, traces and schedules are functions of the
    /// simulation's time, so a later `start` leaves out what came before.
    pub fn new(process: &ArrivalProcess, mut chance: Stream, start: SimTime) -> Self {
        let source = match process {
            ArrivalProcess::Poisson(rate) => Source::Poisson { rate: rate.clone(), chance },
            ArrivalProcess::Deterministic(rate) => Source::Deterministic { rate: rate.clone() },
            ArrivalProcess::Renewal(interarrival) => Source::Renewal { interarrival: interarrival.clone(), chance },
            ArrivalProcess::Once(at) => Source::Once { at: Some(SimTime::ZERO + at.sample_duration(&mut chance)) },
            ArrivalProcess::Mmpp(mmpp) => {
                let modulation = Modulation::begin(mmpp, start, &mut chance);
                Source::Mmpp { mmpp: mmpp.clone(), modulation, chance }
            }
            ArrivalProcess::Trace(trace) => Source::Trace { trace: Arc::clone(trace), row: 0, round: 0 },
            ArrivalProcess::Schedule(schedule) => Source::Schedule { schedule: Arc::clone(schedule), from: start },
            ArrivalProcess::Superposition(parts) => {
                let streams = Streams::new(chance.next_u64(), 0);
                let part = |(index, part): (usize, &ArrivalProcess)| {
                    let mut arrivals = Self::new(part, streams.named(&format!("part/{index}")), start);
                    let first = arrivals.next(start);
                    (arrivals, first)
                };
                Source::Superposition { parts: parts.iter().enumerate().map(part).collect() }
            }
        };
        Self { clock: start, source }
    }

    /// What the workload called `name` will see up to `end`: the random parts of its rates are drawn too.
    pub fn of_workload(process: &ArrivalProcess, name: &str, streams: &Streams, end: SimTime) -> Self {
        let process = process.drawn(streams, &format!("rate/{name}"), end);
        Self::new(&process, streams.named(&format!("arrivals/{name}")), SimTime::ZERO)
    }

    /// The next arrival, at `after` or later; `None` when there is none any more.
    ///
    /// Arrivals come in order of time and each comes once, so simultaneous rows of a trace come one by one. Passing a
    /// later `after` than the last arrival skips what lies between; a Poisson process then starts afresh at `after`.
    pub fn next(&mut self, after: SimTime) -> Option<Arrival> {
        self.clock = self.clock.max(after);
        let arrival = match &mut self.source {
            Source::Poisson { rate, chance } => {
                Arrival::at(rate.time_of(self.clock, -libm::log1p(-chance.open_uniform()))?)
            }
            Source::Deterministic { rate } => Arrival::at(rate.time_of(self.clock, 1.0)?),
            Source::Renewal { interarrival, chance } => {
                Arrival::at(self.clock.saturating_add(interarrival.sample_duration(chance)))
            }
            Source::Once { at } => Arrival::at(at.take().filter(|at| *at >= self.clock)?),
            Source::Mmpp { mmpp, modulation, chance } => {
                Arrival::at(next_modulated(mmpp, modulation, chance, self.clock))
            }
            Source::Trace { trace, row, round } => next_row(trace, row, round, self.clock)?,
            Source::Schedule { schedule, from } => {
                let at = schedule.next_run_from((*from).max(self.clock))?;
                *from = at.saturating_add(SimDuration::from_nanos(1));
                Arrival::at(at)
            }
            Source::Superposition { parts } => {
                for (arrivals, next) in &mut *parts {
                    while next.is_some_and(|arrival| arrival.at < self.clock) {
                        *next = arrivals.next(self.clock);
                    }
                }
                // The first of simultaneous parts goes first.
                let (arrivals, next) = parts
                    .iter_mut()
                    .filter(|(_, next)| next.is_some())
                    .min_by_key(|(_, next)| next.map(|next| next.at))?;
                let arrival = (*next)?;
                *next = arrivals.next(arrival.at);
                arrival
            }
        };
        self.clock = arrival.at;
        (arrival.at < SimTime::MAX).then_some(arrival)
    }
}

fn next_modulated(mmpp: &Mmpp, modulation: &mut Modulation, chance: &mut Stream, from: SimTime) -> SimTime {
    let mut left = -libm::log1p(-chance.open_uniform());
    let mut t = from;
    loop {
        while modulation.until <= t {
            if modulation.until == SimTime::MAX {
                return SimTime::MAX;
            }
            modulation.switch(mmpp, chance);
        }
        let rate = mmpp.states[modulation.state].rate;
        let span = (modulation.until - t).as_secs_f64();
        if rate * span > left {
            return t.saturating_add(SimDuration::from_secs_f64(left / rate)).min(modulation.until);
        }
        left -= rate * span;
        t = modulation.until;
        if mmpp.states.iter().all(|state| state.rate == 0.0) {
            return SimTime::MAX;
        }
    }
}

fn next_row(trace: &ArrivalTrace, row: &mut usize, round: &mut u64, from: SimTime) -> Option<Arrival> {
    if trace.rows.is_empty() {
        return None;
    }
    loop {
        if *row == trace.rows.len() {
            trace.repeat?;
            *row = 0;
            *round += 1;
        }
        let found = trace.rows[*row];
        let shift = SimDuration::from_nanos(trace.repeat.map_or(0, |period| period.as_nanos().saturating_mul(*round)));
        let at = found.at.saturating_add(shift);
        *row += 1;
        if at >= from {
            return Some(Arrival { at, ..found });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::CpuUnits;
    use crate::workload::rate::{Diurnal, Piecewise};

    fn secs(n: u64) -> SimTime {
        SimTime::from_secs(n)
    }

    fn begin(process: &ArrivalProcess) -> Arrivals {
        process.validate().unwrap();
        Arrivals::new(process, Streams::new(1, 0).named("arrivals/test"), SimTime::ZERO)
    }

    /// Every arrival before `until`, as the control plane asks for them.
    fn times(process: &ArrivalProcess, until: SimTime) -> Vec<f64> {
        let mut arrivals = begin(process);
        let mut found = Vec::new();
        let mut now = SimTime::ZERO;
        while let Some(arrival) = arrivals.next(now).filter(|arrival| arrival.at < until) {
            now = arrival.at;
            found.push(now.as_secs_f64());
        }
        assert!(found.is_sorted());
        found
    }

    fn mean_and_cv(sample: &[f64]) -> (f64, f64) {
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / sample.len() as f64;
        (mean, libm::sqrt(variance) / mean)
    }

    fn gaps(times: &[f64]) -> Vec<f64> {
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn a_poisson_process_has_exponential_gaps() {
        let found = times(&ArrivalProcess::Poisson(Rate::Constant(4.0)), secs(20_000));
        let (mean, cv) = mean_and_cv(&gaps(&found));
        assert!((mean - 0.25).abs() < 0.003, "{mean}");
        assert!((cv - 1.0).abs() < 0.02, "{cv}");
    }

    #[test]
    fn a_varying_poisson_process_follows_its_rate() {
        let peak_at = SimDuration::from_secs(12 * 3600);
        let day = Rate::Diurnal(Diurnal::new(0.0, 2.0, peak_at, 0.5, SimDuration::ZERO).unwrap());
        let found = times(&ArrivalProcess::Poisson(day.clone()), secs(7 * 86_400));
        for (from, to) in [(0, 6), (6, 12), (9, 15), (24 * 5, 24 * 7)] {
            let (from, to) = (secs(from * 3600), secs(to * 3600));
            let count = found.iter().filter(|&&t| t >= from.as_secs_f64() && t < to.as_secs_f64()).count() as f64;
            let expected = day.integral(from, to);
            assert!((count - expected).abs() < 4.0 * libm::sqrt(expected), "{from}..{to}: {count} for {expected}");
        }
    }

    #[test]
    fn an_arrival_takes_one_number_so_rates_share_their_chance() {
        let slow = times(&ArrivalProcess::Poisson(Rate::Constant(1.0)), secs(100));
        let fast = times(&ArrivalProcess::Poisson(Rate::Constant(2.0)), secs(50));
        assert_eq!(slow.len(), fast.len());
        assert!(slow.iter().zip(&fast).all(|(slow, fast)| (slow - 2.0 * fast).abs() < 1e-6));
    }

    #[test]
    fn a_deterministic_process_counts_up_its_rate() {
        let constant = ArrivalProcess::Deterministic(Rate::Constant(0.5));
        assert_eq!(times(&constant, secs(9)), [2.0, 4.0, 6.0, 8.0]);
        let steps = Rate::steps(&[(secs(0), 0.5), (secs(3), 0.0), (secs(10), 1.0)]).unwrap();
        assert_eq!(times(&ArrivalProcess::Deterministic(steps), secs(13)), [2.0, 10.5, 11.5, 12.5]);
    }

    #[test]
    fn renewals_have_their_interarrival_distribution() {
        let process = ArrivalProcess::Renewal(Distribution::gamma_mean_cv(2.0, 0.5));
        let (mean, cv) = mean_and_cv(&gaps(&times(&process, secs(40_000))));
        assert!((mean - 2.0).abs() < 0.03 && (cv - 0.5).abs() < 0.02, "{mean} {cv}");
    }

    fn bursty() -> Mmpp {
        let state = |rate, stay| MmppState { rate, mean_stay: SimDuration::from_secs(stay) };
        Mmpp { states: vec![state(1.0, 90), state(20.0, 10)] }
    }

    #[test]
    fn a_modulated_process_has_its_rate_and_more_variance() {
        let mmpp = bursty();
        assert!((mmpp.mean_rate() - 2.9).abs() < 1e-12);
        let found = times(&ArrivalProcess::Mmpp(mmpp), secs(200_000));
        let (mean, cv) = mean_and_cv(&gaps(&found));
        assert!((mean * 2.9 - 1.0).abs() < 0.06, "{mean}");
        assert!(cv > 1.5, "{cv}");
    }

    #[test]
    fn a_path_of_a_modulated_rate_has_its_mean() {
        let mut chance = Streams::new(2, 0).named("path");
        let path = bursty().sample_path(secs(500_000), &mut chance).unwrap();
        assert!((path.mean_over(secs(0), secs(500_000)) / 2.9 - 1.0).abs() < 0.06);
    }

    fn row(at: u64, cpu: u64) -> Arrival {
        let overrides = TaskOverrides { cpu: Some(CpuUnits(cpu)), ..TaskOverrides::default() };
        Arrival { at: secs(at), overrides }
    }

    #[test]
    fn every_row_of_a_trace_comes_once_with_what_it_says() {
        let trace = ArrivalTrace { rows: vec![row(5, 1), row(5, 2), row(9, 3)], repeat: None };
        let mut arrivals = begin(&ArrivalProcess::Trace(Arc::new(trace)));
        let found: Vec<_> = std::iter::from_fn(|| arrivals.next(SimTime::ZERO)).collect();
        assert_eq!(found, [row(5, 1), row(5, 2), row(9, 3)]);
    }

    #[test]
    fn a_trace_can_repeat_and_be_joined_late() {
        let trace =
            Arc::new(ArrivalTrace { rows: vec![row(0, 1), row(4, 2)], repeat: Some(SimDuration::from_secs(10)) });
        let process = ArrivalProcess::Trace(trace);
        assert_eq!(times(&process, secs(25)), [0.0, 4.0, 10.0, 14.0, 20.0, 24.0]);
        assert_eq!(begin(&process).next(secs(11)).unwrap(), row(14, 2));
        let short = ArrivalTrace { rows: vec![row(12, 1)], repeat: Some(SimDuration::from_secs(10)) };
        let error = ArrivalProcess::Trace(Arc::new(short)).validate().unwrap_err();
        assert_eq!(error.to_string(), "the trace repeats after 10s, before its last row at 12s");
    }

    #[test]
    fn one_arrival_comes_once_at_its_time() {
        assert_eq!(times(&ArrivalProcess::Once(Distribution::Constant(7.0)), secs(100)), [7.0]);
        let process = ArrivalProcess::Once(Distribution::Uniform { min: 0.0, max: 60.0 });
        let drawn = times(&process, secs(100));
        assert!(drawn.len() == 1 && (0.0..60.0).contains(&drawn[0]), "{drawn:?}");
    }

    #[test]
    fn ex_task_9_a_rate_runs_first_at_its_creation() {
        let start = "2026-01-05T10:00:20Z".parse().unwrap();
        let schedule = Schedule::parse("rate(5 minutes)", "UTC", start).unwrap();
        let found = times(&ArrivalProcess::Schedule(Arc::new(schedule)), secs(900));
        // 10:00:20, 10:05:20, 10:10:20.
        assert_eq!(found, [0.0, 300.0, 600.0]);
    }

    #[test]
    fn a_schedule_fires_at_its_times() {
        let start = "2026-01-05T00:00:00Z".parse().unwrap();
        let schedule = Schedule::parse("cron(0/20 1 * * ? *)", "UTC", start).unwrap();
        let found = times(&ArrivalProcess::Schedule(Arc::new(schedule)), secs(7300));
        assert_eq!(found, [3600.0, 4800.0, 6000.0]);
    }

    #[test]
    fn a_superposition_merges_its_parts_in_order() {
        let process = ArrivalProcess::Superposition(vec![
            ArrivalProcess::Deterministic(Rate::Constant(0.5)),
            ArrivalProcess::Renewal(Distribution::Constant(3.0)),
            ArrivalProcess::Trace(Arc::new(ArrivalTrace { rows: vec![row(6, 7)], repeat: None })),
        ]);
        assert_eq!(times(&process, secs(9)), [2.0, 3.0, 4.0, 6.0, 6.0, 6.0, 8.0]);
        let twice = ArrivalProcess::Superposition(vec![ArrivalProcess::Poisson(Rate::Constant(1.0)); 2]);
        let found = times(&twice, secs(1000));
        assert!((1800..2200).contains(&found.len()), "independent parts add up: {}", found.len());
        assert!(gaps(&found).iter().all(|&gap| gap > 0.0), "and do not coincide");
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let silent = Mmpp { states: vec![MmppState { rate: 0.0, mean_stay: SimDuration::from_secs(1) }; 2] };
        let burst = Piecewise::new(&[(secs(0), 0.0)], Some(SimDuration::from_secs(60))).unwrap();
        for process in [
            ArrivalProcess::Poisson(Rate::Constant(0.0)),
            ArrivalProcess::Poisson(Rate::Piecewise(burst)),
            ArrivalProcess::Mmpp(silent),
            ArrivalProcess::Trace(Arc::new(ArrivalTrace { rows: vec![], repeat: Some(SimDuration::from_secs(1)) })),
        ] {
            assert_eq!(begin(&process).next(SimTime::ZERO), None, "{process:?}");
        }
    }

    #[test]
    fn refuses_what_never_lets_time_pass() {
        let error = |process: ArrivalProcess| process.validate().unwrap_err();
        assert_eq!(error(ArrivalProcess::Renewal(Distribution::Constant(0.0))), InvalidArrivals::NoTime);
        assert_eq!(error(ArrivalProcess::Mmpp(Mmpp { states: vec![] })), InvalidArrivals::States);
        assert_eq!(error(ArrivalProcess::Superposition(vec![])), InvalidArrivals::Empty);
        assert!(matches!(error(ArrivalProcess::Poisson(Rate::Constant(-1.0))), InvalidArrivals::Rate(_)));
    }
}
