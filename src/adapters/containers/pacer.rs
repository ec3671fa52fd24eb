//! The wall clock against the simulated one.

use std::time::Duration;

use crate::engine::time::{SimDuration, SimTime};

/// How wall clock and simulated time belong together: both begin at zero, and one runs `pace` times as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacer {
    pace: f64,
}

impl Pacer {
    /// Paces that make sense.
    pub const RANGE: std::ops::RangeInclusive<f64> = 0.01..=100_000.0;

    /// A pace within [`Pacer::RANGE`], in simulated seconds a second.
    ///
    /// # Errors
    /// What is wrong with another.
    ///
    /// ```
    /// use ecsim::adapters::containers::Pacer;
    /// use ecsim::engine::time::SimTime;
    /// let pacer = Pacer::new(20.0).unwrap();
    /// assert_eq!(pacer.wall(SimTime::from_secs(60)).as_secs(), 3);
    /// assert!(Pacer::new(0.0).is_err());
    /// ```
    pub fn new(pace: f64) -> Result<Self, String> {
        if Self::RANGE.contains(&pace) {
            Ok(Self { pace })
        } else {
            Err(format!("a pace is {} to {} simulated seconds a second", Self::RANGE.start(), Self::RANGE.end()))
        }
    }

    /// Simulated seconds in a second of the wall clock.
    pub const fn pace(self) -> f64 {
        self.pace
    }

    /// How long after the beginning, on the wall, an instant of the simulation is.
    pub fn wall(self, time: SimTime) -> Duration {
        // Rounded up, so that an event is never handled early.
        Duration::from_nanos((time.as_nanos() as f64 / self.pace).ceil() as u64)
    }

    /// The instant of the simulation at so long after the beginning on the wall.
    pub fn simulated(self, wall: Duration) -> SimTime {
        SimTime::ZERO + SimDuration::from_secs_f64(wall.as_secs_f64() * self.pace)
    }

    /// What so long on the wall counts.
    pub fn counts(self, wall: Duration) -> SimDuration {
        SimDuration::from_secs_f64(wall.as_secs_f64() * self.pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_never_early_and_the_way_back_loses_nothing() {
        for pace in [0.5, 1.0, 3.0, 20.0, 60.0] {
            let pacer = Pacer::new(pace).unwrap();
            for nanos in [1, 999, 1_000_000_007, 86_400_000_000_000] {
                let time = SimTime::from_nanos(nanos);
                let back = pacer.simulated(pacer.wall(time));
                let slack = SimDuration::from_nanos(1 + pace.ceil() as u64);
                assert!(back.saturating_add(slack) >= time, "{time:?} at {pace} comes back as {back:?}");
                assert!(back.saturating_since(time) <= slack + slack, "{time:?} at {pace} comes back as {back:?}");
            }
        }
        assert_eq!(Pacer::new(60.0).unwrap().counts(Duration::from_secs(2)), SimDuration::from_secs(120));
    }

    #[test]
    fn a_pace_without_sense_is_refused() {
        for pace in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(Pacer::new(pace).is_err(), "{pace}");
        }
    }
}
