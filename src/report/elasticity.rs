//! How well capacity follows demand: the elasticity metrics of the autoscaling literature.
//!
//! Source: Herbst, Krebs, Oikonomou, Kousiouris, Evangelinou, Iosup and Kounev, "Ready for Rain? A View from SPEC Research
//! on the Future of Cloud Metrics", SPEC RG Cloud technical report SPEC-RG-2016-01, section 4; Herbst et al., "Quantifying
//! Cloud Performance and Dependability", ACM TOMPECS 3(4), 2018.

/// Elasticity over intervals of about a minute, each with a demand d and a supply s in tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elasticity {
    seconds: f64,
    /// Σ max(d − s, 0) / d · Δt.
    lacking: f64,
    /// Σ max(s − d, 0) / d · Δt.
    excess: f64,
    lacking_seconds: f64,
    excess_seconds: f64,
    /// Demand and supply of the interval before.
    before: Option<(f64, f64)>,
    /// Time of the intervals that have one before them, and of those in which the two moved apart.
    moving_seconds: f64,
    apart_seconds: f64,
}

/// The five metrics, as shares: 1 is 100 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElasticityFigures {
    /// θ_U, under-provisioning accuracy: the mean of the lacking tasks over the needed ones.
    pub under_accuracy: f64,
    /// θ_O, over-provisioning accuracy: the mean of the excess tasks over the needed ones; may exceed 1.
    pub over_accuracy: f64,
    /// τ_U, under-provisioning timeshare: the share of time in which tasks were lacking.
    pub under_timeshare: f64,
    /// τ_O, over-provisioning timeshare: the share of time in which there were too many.
    pub over_timeshare: f64,
    /// υ, instability: the share of time in which supply and demand did not both rise, both fall or both stay; none of one
    /// interval.
    pub instability: Option<f64>,
}

impl ElasticityFigures {
    /// Each metric with its key in the summary.
    pub fn entries(self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("under_accuracy_ratio", Some(self.under_accuracy)),
            ("over_accuracy_ratio", Some(self.over_accuracy)),
            ("under_timeshare_ratio", Some(self.under_timeshare)),
            ("over_timeshare_ratio", Some(self.over_timeshare)),
            ("instability_ratio", self.instability),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
    }
}

/// Sums of seconds are rounded; a hundred-thousandth of a task is no task.
const SLACK: f64 = 1e-5;

/// −1, 0 or 1.
fn direction(from: f64, to: f64) -> i8 {
    i8::from(to > from + SLACK) - i8::from(to < from - SLACK)
}

impl Elasticity {
    /// The tasks that a load of `vcpus` needs when each may use `share` of its `vcpus_per_task`: one at least, for a
    /// service that is to answer at all.
    pub fn demand(vcpus: f64, vcpus_per_task: f64, share: f64) -> Option<f64> {
        let each = vcpus_per_task * share;
        (each > 0.0).then(|| (vcpus / each - SLACK).ceil().max(1.0))
    }

    /// Counts an interval of `seconds`; `demand` is above zero.
    pub fn record(&mut self, seconds: f64, demand: f64, supply: f64) {
        if !(seconds > 0.0 && demand > 0.0) {
            return;
        }
        self.seconds += seconds;
        if supply < demand - SLACK {
            self.lacking += (demand - supply) / demand * seconds;
            self.lacking_seconds += seconds;
        } else if supply > demand + SLACK {
            self.excess += (supply - demand) / demand * seconds;
            self.excess_seconds += seconds;
        }
        if let Some((demand_before, supply_before)) = self.before.replace((demand, supply)) {
            self.moving_seconds += seconds;
            if direction(demand_before, demand) != direction(supply_before, supply) {
                self.apart_seconds += seconds;
            }
        }
    }

    /// The metrics; `None` before the first interval.
    pub fn figures(&self) -> Option<ElasticityFigures> {
        (self.seconds > 0.0).then(|| ElasticityFigures {
            under_accuracy: self.lacking / self.seconds,
            over_accuracy: self.excess / self.seconds,
            under_timeshare: self.lacking_seconds / self.seconds,
            over_timeshare: self.excess_seconds / self.seconds,
            instability: (self.moving_seconds > 0.0).then(|| self.apart_seconds / self.moving_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(intervals: &[(f64, f64)]) -> ElasticityFigures {
        let mut elasticity = Elasticity::default();
        for &(demand, supply) in intervals {
            elasticity.record(60.0, demand, supply);
        }
        elasticity.figures().unwrap()
    }

    #[test]
    fn a_perfect_scaler_has_zero_everywhere() {
        let found = of(&[(2.0, 2.0), (4.0, 4.0), (3.0, 3.0)]);
        assert!(found.entries().all(|(_, value)| value == 0.0), "{found:?}");
    }

    #[test]
    fn accuracy_is_relative_to_demand_and_timeshares_count_time() {
        // Two lacking of four, then none, then three too many over two, then right again.
        let found = of(&[(4.0, 2.0), (4.0, 4.0), (2.0, 5.0), (5.0, 5.0)]);
        assert!((found.under_accuracy - 0.5 / 4.0).abs() < 1e-12);
        assert!((found.over_accuracy - 1.5 / 4.0).abs() < 1e-12);
        assert_eq!((found.under_timeshare, found.over_timeshare), (0.25, 0.25));
        // Supply rose while demand stayed, rose while it fell, and stayed while it rose.
        assert_eq!(found.instability, Some(1.0));
    }

    #[test]
    fn a_scaler_that_is_late_by_one_interval_is_unstable_only_where_demand_turns() {
        let found = of(&[(1.0, 1.0), (2.0, 1.0), (3.0, 2.0), (4.0, 3.0), (4.0, 4.0), (4.0, 4.0)]);
        assert!((found.instability.unwrap() - 2.0 / 5.0).abs() < 1e-12);
        assert_eq!(of(&[(1.0, 1.0)]).instability, None);
    }

    #[test]
    fn demand_is_in_whole_tasks_and_one_at_least() {
        assert_eq!(Elasticity::demand(0.9, 0.5, 0.6), Some(3.0), "0.9 / 0.3 is three, and not a hair more");
        assert_eq!(Elasticity::demand(1.0, 0.5, 0.6), Some(4.0));
        assert_eq!(Elasticity::demand(0.0, 0.5, 0.6), Some(1.0));
        assert_eq!(Elasticity::demand(1.0, 0.0, 0.6), None, "tasks that reserve no CPU");
        assert_eq!(Elasticity::default().figures(), None);
    }
}
