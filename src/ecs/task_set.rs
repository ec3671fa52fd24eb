//! Task sets of a service with the EXTERNAL deployment controller (DEP-27).

use crate::ecs::ids::ZoneId;
use crate::ecs::service::ResolvedLaunch;
use crate::refused::Refused;

/// What a task set has of its own, beside what every deployment has.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSet {
    /// `externalId`, or the id that ECS gave it.
    pub name: String,
    /// `scale`.
    pub scale: Scale,
    /// Where its tasks go.
    pub launch: ResolvedLaunch,
    /// Zones of its `networkConfiguration`; empty means all.
    pub zones: Vec<ZoneId>,
    /// `assignPublicIp` of its network.
    pub public_ip: bool,
    /// DRAINING: it has been deleted, and its tasks are on their way out.
    pub draining: bool,
    /// `stabilityStatus: STEADY_STATE`.
    pub steady: bool,
}

/// `scale` of a task set: hundredths of a percent of the desired count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scale(u32);

impl Scale {
    /// `value` in percent.
    ///
    /// # Errors
    /// It is not between 0 and 100.
    pub fn percent(value: f64) -> Result<Self, Refused> {
        if (0.0..=100.0).contains(&value) {
            return Ok(Self((value * 100.0).round() as u32));
        }
        Err(Refused::parameter("DEP-27", format!("The scale value must be between 0 and 100 percent, not {value}.")))
    }

    /// True for 0 %.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// `computedDesiredCount = ceil(D x scale / 100)` (DEP-27).
    pub fn of(self, desired: u32) -> u32 {
        // At most the desired count, so it fits.
        (u64::from(desired) * u64::from(self.0)).div_ceil(10_000) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ex_dep_34_a_third_and_a_twentieth_of_ten() {
        let of_ten = |percent| Scale::percent(percent).unwrap().of(10);
        assert_eq!([33.0, 5.0, 0.0, 100.0].map(of_ten), [4, 1, 0, 10]);
        assert!(Scale::percent(100.1).is_err() && Scale::percent(-1.0).is_err());
    }
}
