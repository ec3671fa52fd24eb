//! One long run as a sample of its steady state: how much of its beginning to leave out, and how sure its means are.

use std::path::Path;

use serde_json::{Value, json};

use crate::report::format::{for_people, json_number, number, span, with_interval};
use crate::report::plot::PlotError;
use crate::report::plot::folder::{Folder, pieces};
use crate::report::summary::Unit;
use crate::report::table::{Align, Cell, Table, Tone};
use crate::stats::batch_means::RECOMMENDED_BATCHES;
use crate::stats::{BatchMeans, Truncation, batch_means, mser_5};

/// The series that are looked at: what an estate has of each.
const METRICS: [(&str, Unit); 5] = [
    ("cost_per_hour_usd", Unit::Usd),
    ("RunningCount", Unit::Count),
    ("CPUUtilization", Unit::Count),
    ("latency_mean_s", Unit::Seconds),
    ("ProvisioningCount", Unit::Count),
];

/// The span that a series is averaged over before it is looked at [s].
const MINUTE: f64 = 60.0;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadySeries {
    /// `cost_per_hour_usd`, or `<resource>:<metric>`.
    pub series: String,
    unit: Unit,
    /// What MSER advises, in minutes.
    pub truncation: Truncation,
    /// The mean of what is left, in batches; none when that is too short.
    pub batches: Option<BatchMeans>,
}

/// What the series of one run say.
#[derive(Clone, Debug, PartialEq)]
pub struct SteadyState {
    /// The series.
    pub series: Vec<SteadySeries>,
    /// What the scenario leaves out [s].
    pub warmup_s: f64,
}

impl SteadyState {
    /// Of a run's folder.
    ///
    /// # Errors
    /// [`PlotError`] when it has no series.
    pub fn of(folder: &Path) -> Result<Self, PlotError> {
        let run = Folder::read(folder)?;
        let minutes = (run.times().1 / MINUTE).floor();
        let end = minutes * MINUTE;
        let minutes = minutes as u32;
        let mut series = Vec::new();
        let mut look = |name: String, unit: Unit, samples: &[(f64, f64)]| {
            let means: Vec<f64> = pieces(samples, (0.0, end), minutes).iter().map(|piece| piece.mean).collect();
            if !means.is_empty() {
                series.push(SteadySeries::of(name, unit, &means, run.plan.warmup_s));
            }
        };
        for (metric, unit) in METRICS {
            if unit == Unit::Usd {
                look(metric.to_owned(), unit, &run.total(metric));
                continue;
            }
            for (resource, samples) in run.all(metric).filter(|(resource, _)| resource.starts_with("service/")) {
                look(format!("{resource}:{metric}"), unit, samples);
            }
        }
        Ok(Self { series, warmup_s: run.plan.warmup_s })
    }

    /// The longest warm-up that any series asks for [s]; `None` when one of them never settles, or none can be judged.
    pub fn warmup(&self) -> Option<f64> {
        let cuts = self.series.iter().filter(|series| series.truncation != Truncation::TooShort);
        let cuts: Option<Vec<f64>> = cuts
            .map(|series| match series.truncation {
                Truncation::Cut(minutes) => Some(minutes as f64 * MINUTE),
                Truncation::NotSettled | Truncation::TooShort => None,
            })
            .collect();
        cuts?.into_iter().max_by(f64::total_cmp)
    }

    /// What to do about it, in a sentence.
    pub fn headline(&self) -> String {
        let left_out = self.warmup_s;
        let restless: Vec<&str> = self
            .series
            .iter()
            .filter(|series| series.truncation == Truncation::NotSettled)
            .map(|series| series.series.as_str())
            .collect();
        match self.warmup() {
            Some(cut) if cut <= left_out => {
                format!(
                    "warm-up: MSER asks for {}; the scenario leaves out {}, which is enough",
                    span(cut),
                    span(left_out)
                )
            }
            Some(cut) => format!(
                "warm-up: MSER asks for {}, and the scenario leaves out {}: set `warmup: {}s`",
                span(cut),
                span(left_out),
                number(cut)
            ),
            None if restless.is_empty() => "warm-up: the run is too short to tell; MSER needs 50 minutes".to_owned(),
            None => format!(
                "no steady state: {} still moves in the second half, as under a load that follows the day; \
                 use --replications instead",
                restless.join(", ")
            ),
        }
    }

    /// For `summary.json`.
    pub fn to_json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|series| {
                let settled = series.truncation != Truncation::NotSettled;
                let warmup = match series.truncation {
                    Truncation::Cut(minutes) => Some(json_number(minutes as f64 * MINUTE)),
                    Truncation::NotSettled | Truncation::TooShort => None,
                };
                json!({
                    "series": series.series,
                    "warmup_s": warmup,
                    "settled": settled,
                    "mean": series.batches.map(|batches| json_number(batches.estimate.mean)),
                    "ci95": series.batches.filter(|_| settled)
                        .map(|batches| [json_number(batches.estimate.low()), json_number(batches.estimate.high())]),
                    "batches": series.batches.map(|batches| batches.estimate.n),
                    "batch_s": series.batches.map(|batches| json_number(batches.batch_size as f64 * MINUTE)),
                    "lag_1_autocorrelation": series.batches.and_then(|batches| batches.lag_1_autocorrelation),
                    "batches_look_independent": series.batches.map(|batches| batches.looks_independent()),
                })
            })
            .collect();
        json!({ "method": "MSER-5 and batch means over minutes of replication 0", "headline": self.headline(),
                "warmup_s": self.warmup().map(json_number), "series": series })
    }

    /// The table on stdout.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = Tone::Strong.paint(&self.headline(), colour) + "\n\n";
        let mut table = Table::new([
            ("replication 0 in minutes", Align::Left),
            ("warm-up", Align::Right),
            ("mean", Align::Right),
            ("batches", Align::Right),
            ("lag 1", Align::Right),
            ("", Align::Left),
        ]);
        for series in &self.series {
            let warmup = match series.truncation {
                Truncation::Cut(minutes) => span(minutes as f64 * MINUTE),
                Truncation::NotSettled => "never settles".to_owned(),
                Truncation::TooShort => "too short".to_owned(),
            };
            let Some(batches) = series.batches else {
                table.row([Cell::from(series.series.as_str()), Cell::from(warmup)]);
                continue;
            };
            let mean = match batches.estimate.half_width.filter(|half| *half > 0.0) {
                Some(half) if series.truncation != Truncation::NotSettled => {
                    with_interval(batches.estimate.mean, half, series.unit)
                }
                _ => for_people(batches.estimate.mean, series.unit),
            };
            let independent = match (series.truncation, batches.looks_independent()) {
                (Truncation::NotSettled, _) => Cell::new("not in steady state: no interval", Tone::Bad),
                (_, true) => Cell::new("batches look independent", Tone::Dim),
                (_, false) => Cell::new("batches are correlated: the interval is too narrow, run longer", Tone::Bad),
            };
            let correlation = batches.lag_1_autocorrelation.map_or_else(String::new, |r| format!("{r:.2}"));
            table.row([
                Cell::from(series.series.as_str()),
                Cell::from(warmup),
                Cell::from(mean),
                Cell::from(format!("{} of {}", batches.estimate.n, span(batches.batch_size as f64 * MINUTE))),
                Cell::from(correlation),
                independent,
            ]);
        }
        text.push_str(&table.render(colour));
        text
    }
}

impl SteadySeries {
    /// Of the means of a series minute by minute; `warmup_s` is what the scenario leaves out.
    fn of(series: String, unit: Unit, minutes: &[f64], warmup_s: f64) -> Self {
        let truncation = mser_5(minutes);
        let cut = match truncation {
            Truncation::Cut(cut) => cut,
            Truncation::NotSettled | Truncation::TooShort => 0,
        };
        let rest = minutes.get(cut.max((warmup_s / MINUTE).ceil() as usize)..).unwrap_or_default();
        // As many batches as are recommended, or fewer and longer ones as long as neighbours are correlated.
        let tried = (RECOMMENDED_BATCHES).rev().step_by(5).filter_map(|batches| batch_means(rest, batches));
        let batches = tried.clone().find(BatchMeans::looks_independent).or_else(|| tried.last());
        Self { series, unit, truncation, batches }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn series(minutes: usize, level: impl Fn(usize) -> f64, warmup_s: f64) -> SteadyState {
        let mut chance = Streams::new(5, 0).named("noise");
        let means: Vec<f64> = (0..minutes).map(|minute| level(minute) + chance.uniform()).collect();
        let series = SteadySeries::of("service/c/web:RunningCount".into(), Unit::Count, &means, warmup_s);
        SteadyState { series: vec![series], warmup_s }
    }

    #[test]
    fn a_run_that_starts_empty_is_told_its_warm_up() {
        let filling = |minute: usize| if minute < 60 { minute as f64 } else { 60.0 };
        let found = series(600, filling, 0.0);
        let cut = found.warmup().unwrap();
        assert!((3000.0..=4200.0).contains(&cut), "{cut}");
        assert!(found.headline().contains("set `warmup: "), "{}", found.headline());
        let mean = found.series[0].batches.unwrap();
        assert!(mean.estimate.contains(60.5) && mean.looks_independent(), "{mean:?}");
        assert!(series(600, filling, 7200.0).headline().ends_with("which is enough"));
    }

    #[test]
    fn a_load_that_grows_has_no_steady_state() {
        let found = series(600, |minute| minute as f64, 0.0);
        assert_eq!(found.warmup(), None);
        assert!(found.headline().starts_with("no steady state"), "{}", found.headline());
        assert!(found.to_text(false).contains("never settles"));
        assert!(series(20, |_| 1.0, 0.0).headline().contains("too short"));
    }

    #[test]
    fn correlated_batches_are_said_to_be() {
        // A level that wanders for hours: no batch of so short a run is independent of the next.
        let found = series(300, |minute| 20.0 * (minute as f64 / 60.0).sin(), 0.0);
        assert!(!found.series[0].batches.unwrap().looks_independent());
        assert_eq!(found.to_json()["series"][0]["batches_look_independent"], json!(false));
    }
}
