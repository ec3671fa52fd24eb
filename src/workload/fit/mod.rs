//! Fits a workload model to a trace: shape over day and week, noise, bursts, interarrival times; and says how well.

pub mod family;
pub mod shape;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::workload::distribution::Distribution;
use crate::workload::fit::family::{Fitted, UnfitSample, families, ks_distance, ks_p_value};
use crate::workload::fit::shape::{Series, Shape, counting_step, counts};

/// A model of a trace, and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// What was fitted.
    pub model: Model,
    /// Rows that it was fitted to.
    pub rows: usize,
    /// From the first to the last of them [s]; none of a sample.
    pub span: Option<f64>,
    /// Length of a step [s]: the rows' distance, or what arrivals were counted in.
    pub step: Option<f64>,
    /// What the values of a rate are counted per, as it was said: `5min`; of others nothing.
    pub counted_per: Option<String>,
    /// Share of the variance that day and week explain.
    pub r_squared: Option<f64>,
    /// Kolmogorov–Smirnov distance of the noise from the lognormal one of the model, with its probability.
    pub noise_ks: Option<(f64, f64)>,
    /// Index of dispersion by width of the sums [s].
    pub dispersion: Vec<(f64, f64)>,
    /// Interarrival times, or the sample: every family, the nearest first.
    pub families: Vec<Fitted>,
    /// Coefficient of variation of the interarrival times, and the correlation of each with the next.
    pub gaps: Option<(f64, f64)>,
}

/// A model that a scenario can hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Model {
    /// A rate: of requests, or of whatever the trace counts.
    Rate(RateModel),
    /// A Poisson process whose rate has a shape and noise of its own.
    Poisson(RateModel),
    /// Independent interarrival times.
    Renewal(Fitted),
    /// A distribution.
    Sample(Fitted),
}

/// mean × day × week × noise.
#[derive(Clone, Debug, PartialEq)]
pub struct RateModel {
    /// Mean, per second.
    pub mean: f64,
    /// Factors of the hours; none for a flat day.
    pub day: Option<Vec<f64>>,
    /// Factors of the weekdays, Monday first; none for a flat week.
    pub week: Option<[f64; 7]>,
    /// Noise, if there is any to speak of.
    pub noise: Option<NoiseModel>,
}

/// Noise of a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseModel {
    /// Coefficient of variation.
    pub cv: f64,
    /// How long a value lasts [s].
    pub every: f64,
    /// Correlation of the logarithm from one value to the next.
    pub correlation: f64,
}

/// Why a trace cannot be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UnfitTrace {
    /// Too few rows.
    #[error("{0} rows are too few for a fit; it takes 20 or more")]
    TooFew(usize),
    /// Nothing but zeros.
    #[error("every value is zero, and nothing can be fitted to that")]
    Nothing,
    /// All rows at one instant.
    #[error("all rows are of one instant, and have no rate")]
    Instant,
    /// The sample is none.
    #[error(transparent)]
    Sample(#[from] UnfitSample),
}

/// Rows that a fit takes at least.
const FEWEST: usize = 20;

/// Noise with less than this coefficient of variation is left out.
const LEAST_NOISE: f64 = 0.02;

/// Fits a rate: `rows` are seconds since the first instant and values per second, `step` their usual distance, `begin` the
/// seconds from a Monday 00:00 to time zero.
///
/// # Errors
/// [`UnfitTrace`] when there is too little to go by.
pub fn rate(rows: &[(f64, Option<f64>)], step: f64, begin: f64) -> Result<Fit, UnfitTrace> {
    let known = rows.iter().filter(|(_, value)| value.is_some()).count();
    if known < FEWEST {
        return Err(UnfitTrace::TooFew(known));
    }
    let first = rows.first().map_or(0.0, |(at, _)| *at);
    let last = rows.last().map_or(0.0, |(at, _)| *at);
    let places = ((last - first) / step).round() as usize + 1;
    // Rows far apart would leave a series of nothing but gaps.
    let step = if places > 20 * rows.len() { (last - first) / rows.len() as f64 } else { step };
    let mut values = vec![None; ((last - first) / step).round() as usize + 1];
    for (at, value) in rows {
        values[((at - first) / step).round() as usize] = *value;
    }
    let series = Series { step, begin: begin + first, values };
    let (shape, ratios) = Shape::of(&series, false).ok_or(UnfitTrace::Nothing)?;
    let model = RateModel::of(&shape, step);
    Ok(Fit {
        rows: known,
        span: Some(series.span()),
        step: Some(step),
        counted_per: Some("second".to_owned()),
        r_squared: Some(shape.r_squared),
        noise_ks: model.noise.map(|noise| noise_distance(ratios, noise.cv)),
        dispersion: dispersion(&series, step),
        families: Vec::new(),
        gaps: None,
        model: Model::Rate(model),
    })
}

/// Fits arrivals: `times` are seconds in order, `begin` as for [`rate`].
///
/// Where day and week, or bursts that outlast a gap, shape the arrivals, they are a Poisson process with a rate that has
/// these; else independent interarrival times of the nearest family.
///
/// # Errors
/// [`UnfitTrace`] when there is too little to go by.
pub fn arrivals(times: &[f64], begin: f64) -> Result<Fit, UnfitTrace> {
    if times.len() < FEWEST {
        return Err(UnfitTrace::TooFew(times.len()));
    }
    let first = times[0];
    let times: Vec<f64> = times.iter().map(|time| time - first).collect();
    let span = times[times.len() - 1];
    if span <= 0.0 {
        return Err(UnfitTrace::Instant);
    }
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let families = families(&gaps)?;
    let step = counting_step(times.len(), span);
    let series = counts(&times, step, begin + first);
    let (shape, _) = Shape::of(&series, true).ok_or(UnfitTrace::Nothing)?;
    let dispersion = dispersion(&series, 1.0);
    let (cv, correlation) = moments(&gaps);
    // Of a renewal process the dispersion of long sums is the squared variation of its gaps: more tells of bursts that
    // outlast a gap (Cox and Lewis, "The Statistical Analysis of Series of Events", 1966, section 4.5).
    let longest = dispersion.last().map_or(0.0, |(_, index)| *index);
    let model = if shape.day.is_some() || longest > 2.0 * (cv * cv).max(1.0) {
        let per_second = Shape { mean: shape.mean / step, ..shape.clone() };
        Model::Poisson(RateModel::of(&per_second, step))
    } else {
        Model::Renewal(families[0].clone())
    };
    Ok(Fit {
        rows: times.len(),
        span: Some(span),
        step: Some(step),
        counted_per: None,
        r_squared: Some(shape.r_squared),
        noise_ks: None,
        dispersion,
        families,
        gaps: Some((cv, correlation)),
        model,
    })
}

/// Fits a sample: values in any order.
///
/// # Errors
/// [`UnfitTrace`] when there is too little to go by.
pub fn sample(values: &[f64]) -> Result<Fit, UnfitTrace> {
    let families = families(values)?;
    Ok(Fit {
        rows: values.len(),
        span: None,
        step: None,
        counted_per: None,
        r_squared: None,
        noise_ks: None,
        dispersion: Vec::new(),
        model: Model::Sample(families[0].clone()),
        families,
        gaps: None,
    })
}

/// The index of dispersion of sums over one step, ten and a hundred.
fn dispersion(series: &Series, weight: f64) -> Vec<(f64, f64)> {
    let of = |width: usize| Some((series.step * width as f64, series.dispersion(width, weight)?));
    [1, 10, 100].into_iter().filter_map(of).collect()
}

/// Coefficient of variation, and correlation of each value with the next.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    let together: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    let correlation = if variance > 0.0 { together / n / variance } else { 0.0 };
    (libm::sqrt(variance) / mean, correlation)
}

/// How far ratios of seen to expected are from the noise of the model.
fn noise_distance(mut ratios: Vec<f64>, cv: f64) -> (f64, f64) {
    ratios.sort_by(f64::total_cmp);
    let ks = ks_distance(&ratios, &Distribution::lognormal_mean_cv(1.0, cv));
    (ks, ks_p_value(ks, ratios.len()))
}

impl RateModel {
    fn of(shape: &Shape, step: f64) -> Self {
        // The logarithm of a lognormal factor is a little less correlated than the factor itself.
        let squared = shape.noise_cv * shape.noise_cv;
        let correlation = libm::log1p(shape.noise_correlation * squared) / libm::log1p(squared);
        let noise = NoiseModel {
            cv: shape.noise_cv.min(10.0),
            every: step,
            correlation: if correlation.is_finite() { correlation.clamp(0.0, 0.999) } else { 0.0 },
        };
        Self {
            mean: shape.mean,
            day: shape.day.map(|day| day.to_vec()),
            week: shape.week,
            noise: (shape.noise_cv >= LEAST_NOISE).then_some(noise),
        }
    }

    /// As a rate of the scenario file.
    fn yaml(&self) -> String {
        let mean = figure(self.mean);
        let shape = if self.day.is_none() && self.week.is_none() {
            mean
        } else {
            let list = |factors: &[f64]| factors.iter().map(|factor| figure(*factor)).collect::<Vec<_>>().join(", ");
            let day = self.day.as_deref().map_or_else(|| "1".to_owned(), list);
            let week = self.week.map(|week| format!(", week: [{}]", list(&week))).unwrap_or_default();
            format!("{{weekly: {{mean: {mean}, day: [{day}]{week}}}}}")
        };
        match self.noise {
            None => shape,
            Some(NoiseModel { cv, every, correlation }) => format!(
                "{{product: [{shape}, {{noise: {{cv: {}, every: {}s, correlation: {}}}}}]}}",
                figure(cv),
                figure(every),
                figure(correlation)
            ),
        }
    }

    fn json(&self) -> Value {
        json!({
            "mean_per_s": self.mean,
            "day": self.day,
            "week": self.week,
            "noise": self.noise.map(|noise| json!({
                "cv": noise.cv, "every_s": noise.every, "correlation": noise.correlation,
            })),
        })
    }
}

/// A number with six significant digits, as YAML and JSON have it.
pub fn figure(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 5 - libm::floor(libm::log10(value.abs())) as i32;
    if (0..=12).contains(&digits) {
        let text = format!("{value:.*}", digits as usize);
        let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        return trimmed.to_owned();
    }
    if digits < 0 && digits > -10 { format!("{value:.0}") } else { format!("{value:.5e}") }
}

/// A distribution as the scenario file spells it; `unit` is written behind what has one.
pub fn distribution_yaml(distribution: &Distribution, unit: &str) -> String {
    let with = |value: f64| format!("{}{unit}", figure(value));
    match distribution {
        Distribution::Exponential { mean } => format!("{{exponential: {{mean: {}}}}}", with(*mean)),
        Distribution::Gamma { shape, scale } => {
            format!("{{gamma: {{shape: {}, scale: {}}}}}", figure(*shape), with(*scale))
        }
        Distribution::Weibull { shape, scale } => {
            format!("{{weibull: {{shape: {}, scale: {}}}}}", figure(*shape), with(*scale))
        }
        Distribution::Lognormal { mu, sigma } => {
            format!("{{lognormal: {{median: {}, sigma: {}}}}}", with(libm::exp(*mu)), figure(*sigma))
        }
        other => format!("{{constant: {}}}", with(other.mean())),
    }
}

/// Names that a fragment needs beside the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    /// The workload's.
    pub workload: String,
    /// The service that a rate of requests goes to.
    pub service: String,
    /// The task definition whose tasks arrive.
    pub task_definition: String,
}

impl Fit {
    /// A fragment of a scenario with the model as a workload; of a sample the distribution alone, to be put where it is
    /// wanted.
    pub fn fragment(&self, names: &Names) -> String {
        let Names { workload, service, task_definition } = names;
        let mut text = String::new();
        for line in self.goodness() {
            writeln!(text, "# {line}").expect("a String takes any text");
        }
        match &self.model {
            Model::Rate(rate) => {
                let _ = write!(
                    text,
                    "workloads:\n  - name: {workload}\n    requests:\n      service: {service}\n      \
                     cpuPerRequest: 10ms # what one request takes is not in the trace\n      rate: {}\n",
                    rate.yaml()
                );
            }
            Model::Poisson(rate) => {
                let _ = write!(
                    text,
                    "workloads:\n  - name: {workload}\n    tasks:\n      taskDefinition: {task_definition}\n      \
                     arrivals: {{poisson: {}}}\n",
                    rate.yaml()
                );
            }
            Model::Renewal(fitted) => {
                let _ = write!(
                    text,
                    "workloads:\n  - name: {workload}\n    tasks:\n      taskDefinition: {task_definition}\n      \
                     arrivals: {{interarrival: {}}}\n",
                    distribution_yaml(&fitted.distribution, "s")
                );
            }
            Model::Sample(fitted) => {
                let _ = writeln!(text, "# for a duration, say runsFor; a unit other than seconds is yours to write");
                let _ = writeln!(text, "{}", distribution_yaml(&fitted.distribution, "s"));
            }
        }
        text
    }

    /// How good the fit is, in a sentence.
    ///
    /// By the Kolmogorov-Smirnov distance of what is left to chance, the most by which shares of the trace and of the model
    /// differ; of Poisson arrivals, whose chance is not told apart from noise, by what day and week explain.
    pub fn verdict(&self) -> String {
        let by_distance = |distance: f64| match distance {
            _ if distance < 0.05 => "a good fit",
            _ if distance < 0.1 => "a fair fit",
            _ => "a poor fit",
        };
        let explained = self.r_squared.unwrap_or(0.0);
        let shape = match explained {
            _ if explained >= 0.8 => "hours and weekdays explain most of what moves it",
            _ if explained >= 0.4 => "hours and weekdays explain about half of what moves it",
            _ => "hours and weekdays explain little of what moves it",
        };
        match (&self.model, self.noise_ks) {
            (Model::Renewal(fitted) | Model::Sample(fitted), _) => {
                let advice = if fitted.ks < 0.1 { "" } else { "; the trace itself is the better workload" };
                let most = figure((1000.0 * fitted.ks).round() / 10.0);
                format!("{}: no share of the values is off by more than {most} %{advice}", by_distance(fitted.ks))
            }
            (Model::Rate(_), Some((distance, _))) => {
                let rest = if distance < 0.1 {
                    "the rest is noise of the kind that the model has"
                } else {
                    "the rest is no noise of the kind that the model has: bursts or a trend, for which the trace itself is better"
                };
                format!("{}: {shape}, and {rest}", by_distance(distance))
            }
            (Model::Rate(_), None) => format!("a good fit: {shape}, and there is hardly any noise"),
            (Model::Poisson(_), _) => {
                let word = if explained >= 0.4 { "a fair fit" } else { "a rough fit" };
                format!("{word}: {shape}, the rest is left to chance and noise")
            }
        }
    }

    /// What was found and how good it is, a line each.
    pub fn goodness(&self) -> Vec<String> {
        let mut lines = vec![self.verdict()];
        if let Some(unit) = &self.counted_per {
            lines.push(format!("values are read as counts per {unit}; with another unit every rate here is another"));
        }
        let rows = match (self.span, self.step) {
            (Some(span), Some(step)) => {
                format!("{} rows over {} s, in steps of {} s", self.rows, figure(span), figure(step))
            }
            _ => format!("a sample of {} values", self.rows),
        };
        lines.push(rows);
        if let Model::Rate(rate) | Model::Poisson(rate) = &self.model {
            let shape = match (&rate.day, &rate.week) {
                (Some(_), Some(_)) => "hour of day and weekday",
                (Some(_), None) => "hour of day",
                (None, Some(_)) => "weekday",
                (None, None) => "no shape over the day",
            };
            let explained = self.r_squared.unwrap_or(0.0);
            lines.push(format!("mean {} per second; {shape}, which explains R² = {explained:.3}", figure(rate.mean)));
            if let Some(noise) = rate.noise {
                let ks = self.noise_ks.map(|(ks, p)| format!("; KS D = {ks:.4}, p = {p:.2e}")).unwrap_or_default();
                lines.push(format!(
                    "noise: cv {:.3}, correlation {:.3} from step to step{ks}",
                    noise.cv, noise.correlation
                ));
            }
        }
        if !self.dispersion.is_empty() {
            let of = |(width, index): &(f64, f64)| format!("{} over {} s", figure(*index), figure(*width));
            lines.push(format!(
                "index of dispersion: {}",
                self.dispersion.iter().map(of).collect::<Vec<_>>().join(", ")
            ));
        }
        if let Some((cv, correlation)) = self.gaps {
            lines.push(format!("interarrival times: cv {cv:.3}, correlation {correlation:.3} from one to the next"));
        }
        for fitted in &self.families {
            let Fitted { family, distribution, ks, p_value } = fitted;
            lines.push(format!(
                "{family}: mean {}, cv {:.3}; KS D = {ks:.4}, p = {p_value:.2e}",
                figure(distribution.mean()),
                distribution.cv()
            ));
        }
        lines
    }

    /// The model and its goodness as JSON.
    pub fn json(&self, names: &Names) -> Value {
        let family = |fitted: &Fitted| {
            json!({
                "family": fitted.family,
                "distribution": distribution_yaml(&fitted.distribution, "s"),
                "mean": fitted.distribution.mean(),
                "cv": fitted.distribution.cv(),
                "ks_distance": fitted.ks,
                "ks_p_value": fitted.p_value,
            })
        };
        let (kind, model) = match &self.model {
            Model::Rate(rate) => ("rate", rate.json()),
            Model::Poisson(rate) => ("poisson", rate.json()),
            Model::Renewal(fitted) => ("renewal", family(fitted)),
            Model::Sample(fitted) => ("sample", family(fitted)),
        };
        json!({
            "kind": kind,
            "verdict": self.verdict(),
            "counted_per": self.counted_per,
            "model": model,
            "rows": self.rows,
            "span_s": self.span,
            "step_s": self.step,
            "r_squared": self.r_squared,
            "noise_ks": self.noise_ks.map(|(ks, p)| json!({ "distance": ks, "p_value": p })),
            "dispersion": self.dispersion.iter()
                .map(|(width, index)| json!({ "window_s": width, "index": index }))
                .collect::<Vec<_>>(),
            "interarrival": self.gaps.map(|(cv, correlation)| json!({ "cv": cv, "correlation": correlation })),
            "families": self.families.iter().map(family).collect::<Vec<_>>(),
            "fragment": self.fragment(names),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;
    use crate::engine::time::{SimDuration, SimTime};
    use crate::workload::arrivals::{ArrivalProcess, Arrivals};
    use crate::workload::random_rate::{Noise, RandomRate};
    use crate::workload::rate::{Piecewise, Rate};

    const DAY: u64 = 86_400;

    fn names() -> Names {
        Names { workload: "fitted".into(), service: "web".into(), task_definition: "job".into() }
    }

    /// A rate that is known: hours, weekdays, and noise.
    fn known(mean: f64) -> Rate {
        let day: Vec<f64> = (0..24).map(|hour| if (8..20).contains(&hour) { 1.6 } else { 0.4 }).collect();
        let week = [1.1, 1.1, 1.1, 1.1, 1.1, 0.75, 0.75];
        let weekly = Piecewise::weekly(mean, &day, &week, SimDuration::ZERO).unwrap();
        let noise = Noise { cv: 0.25, every: SimDuration::from_secs(300), correlation: 0.8 };
        Rate::Product(vec![Rate::Piecewise(weekly), Rate::Random(RandomRate::Noise(noise))])
    }

    #[test]
    fn a_trace_of_a_known_rate_is_fitted_back() {
        let end = SimTime::from_secs(28 * DAY);
        let rate_of = known(40.0).drawn(&Streams::new(9, 0), "known", end);
        let rows: Vec<(f64, Option<f64>)> = (0..28 * DAY / 300)
            .map(|place| (place as f64 * 300.0, Some(rate_of.at(SimTime::from_secs(place * 300)))))
            .collect();
        let fit = rate(&rows, 300.0, 0.0).unwrap();
        let Model::Rate(model) = &fit.model else { panic!("{fit:?}") };
        assert!((model.mean / 40.0 - 1.0).abs() < 0.03, "{}", model.mean);
        let (day, week) = (model.day.clone().unwrap(), model.week.unwrap());
        assert!((day[12] / day[2] / 4.0 - 1.0).abs() < 0.08, "{day:?}");
        assert!((week[6] / week[1] / (0.75 / 1.1) - 1.0).abs() < 0.08, "{week:?}");
        let noise = model.noise.unwrap();
        assert!((noise.cv - 0.25).abs() < 0.03 && (noise.correlation - 0.8).abs() < 0.05, "{noise:?}");
        assert!(fit.r_squared.unwrap() > 0.7, "{:?}", fit.r_squared);
        assert!(fit.noise_ks.unwrap().0 < 0.03, "the noise is the model's own: {:?}", fit.noise_ks);
    }

    fn times(process: &ArrivalProcess, until: SimTime) -> Vec<f64> {
        let streams = Streams::new(4, 0);
        let process = process.drawn(&streams, "rate", until);
        let mut arrivals = Arrivals::new(&process, streams.named("arrivals"), SimTime::ZERO);
        let mut found = Vec::new();
        let mut now = SimTime::ZERO;
        while let Some(arrival) = arrivals.next(now).filter(|arrival| arrival.at < until) {
            now = arrival.at;
            found.push(now.as_secs_f64());
        }
        found
    }

    #[test]
    fn arrivals_of_a_known_rate_are_fitted_back() {
        let found = times(&ArrivalProcess::Poisson(known(0.15)), SimTime::from_secs(14 * DAY));
        let fit = arrivals(&found, 0.0).unwrap();
        let Model::Poisson(model) = &fit.model else { panic!("{fit:?}") };
        assert!((model.mean / 0.15 - 1.0).abs() < 0.04, "{}", model.mean);
        let day = model.day.clone().unwrap();
        assert!((day[12] / day[2] / 4.0 - 1.0).abs() < 0.1, "{day:?}");
        let noise = model.noise.unwrap();
        assert!((noise.cv - 0.25).abs() < 0.06, "without what Poisson makes by itself: {noise:?}");
        assert!(fit.dispersion.last().unwrap().1 > 10.0, "bursts that last: {:?}", fit.dispersion);
    }

    #[test]
    fn renewals_are_fitted_back_and_a_poisson_process_has_dispersion_one() {
        let gamma = Distribution::Gamma { shape: 3.0, scale: 0.4 };
        let fit = arrivals(&times(&ArrivalProcess::Renewal(gamma), SimTime::from_secs(20_000)), 0.0).unwrap();
        let Model::Renewal(Fitted { family, distribution: Distribution::Gamma { shape, scale }, ks, .. }) = &fit.model
        else {
            panic!("{fit:?}")
        };
        assert!(*family == "gamma" && (shape / 3.0 - 1.0).abs() < 0.05 && (scale / 0.4 - 1.0).abs() < 0.06);
        assert!(*ks < 0.012, "{ks}");
        let poisson = ArrivalProcess::Poisson(Rate::Constant(2.0));
        let fit = arrivals(&times(&poisson, SimTime::from_secs(40_000)), 0.0).unwrap();
        assert!(matches!(fit.model, Model::Renewal(_)), "{fit:?}");
        assert!(fit.dispersion.iter().all(|(_, index)| (index - 1.0).abs() < 0.35), "{:?}", fit.dispersion);
        let (cv, correlation) = fit.gaps.unwrap();
        assert!((cv - 1.0).abs() < 0.03 && correlation.abs() < 0.02);
    }

    #[test]
    fn too_little_is_refused_in_words() {
        assert_eq!(rate(&[(0.0, Some(1.0)); 3], 60.0, 0.0), Err(UnfitTrace::TooFew(3)));
        let zeros: Vec<(f64, Option<f64>)> = (0..50).map(|n| (f64::from(n), Some(0.0))).collect();
        assert_eq!(rate(&zeros, 1.0, 0.0), Err(UnfitTrace::Nothing));
        assert_eq!(arrivals(&[5.0; 40], 0.0), Err(UnfitTrace::Instant));
        assert_eq!(sample(&[1.0; 3]), Err(UnfitTrace::Sample(UnfitSample::TooFew(3))));
        let empty: Vec<(f64, Option<f64>)> = (0..50).map(|n| (f64::from(n), None)).collect();
        assert_eq!(rate(&empty, 1.0, 0.0), Err(UnfitTrace::TooFew(0)));
    }

    #[test]
    fn rows_that_are_far_apart_take_no_more_memory_than_their_number() {
        let rows: Vec<(f64, Option<f64>)> =
            (0..100).map(|n| (if n < 99 { f64::from(n) } else { 1e9 }, Some(1.0))).collect();
        let fit = rate(&rows, 1.0, 0.0).unwrap();
        assert!(fit.step.unwrap() > 1e6, "{:?}", fit.step);
    }

    #[test]
    fn figures_keep_six_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.123_456_78, "0.123457"),
            (47.66, "47.66"),
            (1_234_567.8, "1234568"),
            (0.000_012_345_678, "0.0000123457"),
            (1e-20, "1.00000e-20"),
        ] {
            assert_eq!(figure(value), text);
            assert!((figure(value).parse::<f64>().unwrap() - value).abs() <= 1e-5 * value);
        }
    }

    #[test]
    fn a_fragment_says_what_it_is_and_how_good() {
        let gaps = times(&ArrivalProcess::Renewal(Distribution::Exponential { mean: 2.0 }), SimTime::from_secs(5000));
        let text = arrivals(&gaps, 0.0).unwrap().fragment(&names());
        assert!(text.contains("name: fitted") && text.contains("taskDefinition: job"), "{text}");
        assert!(text.contains("interarrival: {") && text.contains("KS D = "), "{text}");
        assert!(text.lines().next().unwrap().starts_with("# "), "{text}");
    }
}
