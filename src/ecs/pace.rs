//! How fast a task gets on with its work when it gets less CPU than it asks for (TD-9).

use crate::engine::time::SimDuration;
use crate::units::CpuMilliUnits;

/// What part of the CPU that a task asks for it gets: its work takes so much longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    given: u64,
    asked: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self::FULL
    }
}

impl Pace {
    /// All it asks for.
    pub const FULL: Self = Self { given: 1, asked: 1 };

    /// `given` of what was `asked`; whoever asks for nothing gets on at full pace, and nobody is held up for ever.
    pub fn of(given: CpuMilliUnits, asked: CpuMilliUnits) -> Self {
        if given >= asked { Self::FULL } else { Self { given: given.0.max(1), asked: asked.0 } }
    }

    /// The work done in a span of time, rounded down: no work is done that time was not there for.
    pub fn work_in(self, span: SimDuration) -> SimDuration {
        Self::scale(span, self.given, self.asked, 0)
    }

    /// The time that some work takes, rounded up: it is over when all of it is done.
    pub fn time_for(self, work: SimDuration) -> SimDuration {
        Self::scale(work, self.asked, self.given, u128::from(self.given) - 1)
    }

    fn scale(span: SimDuration, by: u64, over: u64, extra: u128) -> SimDuration {
        let nanos = (u128::from(span.as_nanos()) * u128::from(by) + extra) / u128::from(over);
        u64::try_from(nanos).map_or(SimDuration::CENTURY, SimDuration::from_nanos).min(SimDuration::CENTURY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn td_9_half_the_cpu_takes_twice_as_long() {
        let half = Pace::of(CpuMilliUnits(512), CpuMilliUnits(1024));
        assert_eq!(half.time_for(SimDuration::from_secs(60)), SimDuration::from_secs(120));
        assert_eq!(half.work_in(SimDuration::from_secs(60)), SimDuration::from_secs(30));
        assert_eq!(Pace::of(CpuMilliUnits(0), CpuMilliUnits(0)), Pace::FULL);
        assert_eq!(Pace::FULL.time_for(SimDuration::from_nanos(7)), SimDuration::from_nanos(7));
    }

    #[test]
    fn work_is_over_when_all_of_it_is_done() {
        let third = Pace::of(CpuMilliUnits(1), CpuMilliUnits(3));
        for nanos in [0, 1, 2, 7, 1_000_000_007] {
            let work = SimDuration::from_nanos(nanos);
            assert!(third.work_in(third.time_for(work)) >= work, "{nanos}");
        }
        let starved = Pace::of(CpuMilliUnits(0), CpuMilliUnits(u64::MAX));
        assert_eq!(starved.time_for(SimDuration::CENTURY), SimDuration::CENTURY, "and no overflow");
    }
}
