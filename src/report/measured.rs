//! What a run on real containers has measured, as a fragment of a scenario (`measured.yaml`).
//!
//! Included after the scenario that was run, it makes of its simulation a prediction of that run. Each quantity is the
//! distribution that is nearest to its sample by the Kolmogorov–Smirnov distance; where even that one is improbable, the
//! sample itself; of fewer than ten values their mean. How good the fit is stands beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::workload::distribution::Distribution;
use crate::workload::fit::family::{Fitted, families};
use crate::workload::fit::{distribution_yaml, figure};

/// Values of one quantity, thinned evenly beyond [`Sample::MOST`] so that a long run takes no more memory than a short one.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    values: Vec<f64>,
    /// Every so many values one is kept.
    stride: u64,
    seen: u64,
    sum: f64,
}

impl Default for Sample {
    fn default() -> Self {
        Self { values: Vec::new(), stride: 1, seen: 0, sum: 0.0 }
    }
}

impl Sample {
    /// The most values that are kept.
    pub const MOST: usize = 1 << 14;

    /// One more value; none that is negative or no number.
    pub fn add(&mut self, value: f64) {
        if !(value >= 0.0 && value.is_finite()) {
            return;
        }
        if self.seen.is_multiple_of(self.stride) {
            if self.values.len() == Self::MOST {
                let mut place = 0;
                self.values.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.stride *= 2;
            }
            if self.seen.is_multiple_of(self.stride) {
                self.values.push(value);
            }
        }
        self.seen += 1;
        self.sum += value;
    }

    /// Values seen, kept or not.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The mean of all values seen; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.seen > 0).then(|| self.sum / self.seen as f64)
    }

    /// The value that a share `p` of those kept does not exceed.
    fn quantile(&self, p: f64) -> Option<f64> {
        crate::stats::quantile(&self.values, p)
    }

    fn scaled(&self, factor: f64) -> Self {
        let values = self.values.iter().map(|value| value * factor).collect();
        Self { values, sum: self.sum * factor, ..*self }
    }
}

/// A delay of the estate that containers have for real, in real seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delay {
    /// From asking for an image to having it.
    ImagePull,
    /// Creation and start of a container on a host.
    TaskStart,
    /// The same of a task on Fargate.
    FargateStart,
    /// From SIGTERM to the exit.
    TaskStop,
}

impl Delay {
    /// Its key in the scenario's `delays`.
    const fn key(self) -> &'static str {
        match self {
            Self::ImagePull => "imagePull",
            Self::TaskStart => "taskStart",
            Self::FargateStart => "fargateStart",
            Self::TaskStop => "taskStop",
        }
    }
}

/// What was measured of the tasks of a task definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FamilyMeasured {
    /// From the start of the container to its first passed probe [s].
    pub startup: Sample,
    /// Mean memory of a task [MiB].
    pub memory: Sample,
}

/// What was measured of a workload's requests.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadMeasured {
    /// CPU seconds that servers said single requests took them.
    pub said: Sample,
    /// Seconds to the answers of probes, which compute next to nothing.
    pub probes: Sample,
    /// CPU seconds that the containers used, all together.
    pub container_cpu_s: f64,
    /// Requests that they answered.
    pub answered: u64,
}

/// What a run measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    /// Name of the scenario.
    pub scenario: String,
    /// Simulated seconds in a real one.
    pub pace: f64,
    /// How often the quota of a hard cap comes anew [s]; zero when it is no quota.
    pub cpu_period_s: f64,
    delays: BTreeMap<Delay, Sample>,
    families: BTreeMap<String, FamilyMeasured>,
    workloads: BTreeMap<String, WorkloadMeasured>,
}

/// A distribution, and what is to be said of it.
#[derive(Clone, Debug, PartialEq)]
struct Chosen {
    /// `None`: the sample itself.
    distribution: Option<Distribution>,
    goodness: String,
}

/// Below this probability a family is not what the sample came from.
const IMPROBABLE: f64 = 0.01;

impl Measurements {
    /// Nothing yet.
    pub fn new(scenario: &str, pace: f64) -> Self {
        Self {
            scenario: scenario.to_owned(),
            pace,
            cpu_period_s: 0.0,
            delays: BTreeMap::new(),
            families: BTreeMap::new(),
            workloads: BTreeMap::new(),
        }
    }

    /// A delay took so many real seconds.
    pub fn delay(&mut self, delay: Delay, seconds: f64) {
        self.delays.entry(delay).or_default().add(seconds);
    }

    /// What is known of a task definition.
    pub fn family(&mut self, family: &str) -> &mut FamilyMeasured {
        self.families.entry(family.to_owned()).or_default()
    }

    /// What is known of a workload.
    pub fn workload(&mut self, workload: &str) -> &mut WorkloadMeasured {
        self.workloads.entry(workload.to_owned()).or_default()
    }

    /// Writes `measured.yaml` into `folder`, and `measured/<quantity>.csv` with the values behind each line.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let mut samples = BTreeMap::new();
        fs::write(folder.join("measured.yaml"), self.fragment(&mut samples))?;
        let values = folder.join("measured");
        fs::create_dir_all(&values)?;
        for (name, sample) in samples {
            let mut text = String::from("value\n");
            for value in &sample.values {
                let _ = writeln!(text, "{value}");
            }
            fs::write(values.join(format!("{name}.csv")), text)?;
        }
        Ok(())
    }

    /// The fragment; the values behind it go to `samples`, by the name of their file.
    fn fragment(&self, samples: &mut BTreeMap<String, Sample>) -> String {
        let mut text = format!(
            "# What `{}` measured on real containers. Include it after the scenario, in a file of its own:\n\
             #   include: [scenario.yaml, measured.yaml]\n",
            self.scenario
        );
        if self.pace != 1.0 {
            let pace = figure(self.pace);
            let _ = writeln!(
                text,
                "# The run went at a pace of {pace}: delays below are {pace} times what they took, as the run had them."
            );
        }
        if self.cpu_period_s > 0.0 {
            let period = figure(self.cpu_period_s);
            let _ = writeln!(
                text,
                "behaviour:\n  # The quota of a hard cap comes anew so often.\n  cpu_period_s: {period}"
            );
        }
        let mut put = |text: &mut String, indent: &str, key: &str, name: String, unit: &str, sample: Sample, mean| {
            let Some(chosen) = Chosen::of(&sample, mean) else { return };
            let value = match &chosen.distribution {
                Some(distribution) => distribution_yaml(distribution, unit),
                None => format!("{{empirical: {{file: measured/{name}.csv, column: value, unit: {unit}}}}}"),
            };
            let _ = writeln!(text, "{indent}# {}\n{indent}{key}: {value}", chosen.goodness);
            samples.insert(name, sample);
        };
        if !self.delays.is_empty() {
            text.push_str("delays:\n");
            for (delay, sample) in &self.delays {
                put(&mut text, "  ", delay.key(), delay.key().to_owned(), "s", sample.scaled(self.pace), None);
            }
        }
        let known = |family: &&FamilyMeasured| family.startup.seen() + family.memory.seen() > 0;
        if self.families.values().any(|family| known(&family)) {
            text.push_str("taskDefinitions:\n");
            for (name, family) in self.families.iter().filter(|(_, family)| known(family)) {
                let _ = writeln!(text, "  - family: {name}\n    behaviour:");
                let startup = family.startup.scaled(self.pace);
                put(&mut text, "      ", "startup", format!("startup-{name}"), "s", startup, None);
                put(&mut text, "      ", "memory", format!("memory-{name}"), "MiB", family.memory.clone(), None);
            }
        }
        let asked = |load: &&WorkloadMeasured| load.cpu_per_request().is_some();
        if self.workloads.values().any(|load| asked(&load)) {
            text.push_str("workloads:\n");
            for (name, load) in self.workloads.iter().filter(|(_, load)| asked(load)) {
                let _ = writeln!(text, "  - name: {name}\n    requests:");
                let mean = load.cpu_per_request();
                if load.said.seen() > 0 {
                    put(&mut text, "      ", "cpuPerRequest", format!("cpu-{name}"), "s", load.said_as_used(), mean);
                } else if let Some(mean) = mean {
                    let requests = load.answered;
                    let _ = writeln!(text, "      # the mean over {requests} requests: servers did not say more");
                    let _ = writeln!(text, "      cpuPerRequest: {}s", figure(mean));
                }
                // Probes compute next to nothing: the quickest of them met nobody.
                if let Some(floor) = load.probes.quantile(0.1) {
                    let probes = load.probes.seen();
                    let _ = writeln!(text, "      # the quickest tenth of {probes} probes");
                    let _ = writeln!(text, "      latencyFloor: {}s", figure(floor));
                }
            }
        }
        text
    }
}

impl WorkloadMeasured {
    /// Mean CPU seconds of a request: what the containers used, whoever says otherwise. `None` without a request.
    pub fn cpu_per_request(&self) -> Option<f64> {
        if self.answered > 0 && self.container_cpu_s > 0.0 {
            return Some(self.container_cpu_s / self.answered as f64);
        }
        self.said.mean()
    }

    /// What servers said, in proportion: they do not count what it takes to read a request and to answer it.
    fn said_as_used(&self) -> Sample {
        match (self.cpu_per_request(), self.said.mean()) {
            (Some(used), Some(said)) if said > 0.0 => self.said.scaled(used / said),
            _ => self.said.clone(),
        }
    }
}

impl Chosen {
    /// The distribution for a sample, with exactly this mean if one is given; `None` of nothing.
    fn of(sample: &Sample, mean: Option<f64>) -> Option<Self> {
        let average = mean.or_else(|| sample.mean())?;
        let n = sample.seen;
        let spread = sample
            .values
            .iter()
            .fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(*value), most.max(*value)));
        let alike = spread.1 - spread.0 <= 1e-6 * spread.1;
        let Ok(fitted) = families(&sample.values) else {
            let goodness =
                format!("mean of {n} values from {} to {}, too few for a fit", figure(spread.0), figure(spread.1));
            return Some(Self { distribution: Some(Distribution::Constant(average)), goodness });
        };
        let Some(Fitted { family, distribution, ks, p_value }) = fitted.first().filter(|_| !alike) else {
            let goodness = format!("{n} values, all alike");
            return Some(Self { distribution: Some(Distribution::Constant(average)), goodness });
        };
        let said = format!(
            "{family}: mean {}, cv {:.3}; KS D = {ks:.4}, p = {p_value:.2e}, n = {n}",
            figure(distribution.mean()),
            distribution.cv()
        );
        if *p_value < IMPROBABLE {
            let goodness = format!("no family fits: the sample itself. The nearest is {said}");
            return Some(Self { distribution: None, goodness });
        }
        let factor = mean.map_or(1.0, |mean| mean / distribution.mean());
        Some(Self { distribution: Some(distribution.scaled(factor)), goodness: said })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::streams::Streams;

    fn sample(distribution: &Distribution, count: usize) -> Sample {
        let mut chance = Streams::new(3, 0).named("measured");
        let mut sample = Sample::default();
        (0..count).for_each(|_| sample.add(distribution.sample(&mut chance)));
        sample
    }

    fn measured(pace: f64) -> Measurements {
        let mut measured = Measurements::new("web", pace);
        measured.cpu_period_s = 0.1;
        for seconds in [0.3, 0.4, 0.5] {
            measured.delay(Delay::TaskStart, seconds);
        }
        (0..20).for_each(|_| measured.delay(Delay::TaskStop, 2.0));
        measured.family("web").memory = sample(&Distribution::Gamma { shape: 50.0, scale: 0.1 }, 400);
        let load = measured.workload("shoppers");
        load.said = sample(&Distribution::lognormal_mean_cv(0.1, 0.3), 2000);
        load.container_cpu_s = 2000.0 * 0.11;
        load.answered = 2000;
        (1..=100).for_each(|ms| load.probes.add(f64::from(ms) / 1e3));
        measured
    }

    #[test]
    fn a_fragment_says_what_it_is_and_how_good() {
        let text = measured(1.0).fragment(&mut BTreeMap::new());
        assert!(
            text.contains("  # mean of 3 values from 0.3 to 0.5, too few for a fit\n  taskStart: {constant: 0.4s}")
        );
        assert!(text.contains("  # 20 values, all alike\n  taskStop: {constant: 2s}"), "{text}");
        assert!(text.contains("  - family: web\n    behaviour:\n      # "), "{text}");
        assert!(text.contains("cpuPerRequest: {lognormal: {median: ") && text.contains("n = 2000"), "{text}");
        assert!(text.contains("quickest tenth of 100 probes\n      latencyFloor: 0.01"), "{text}");
        assert!(!text.contains("startup"), "nothing was measured of it: {text}");
    }

    #[test]
    fn it_can_be_included_and_has_the_mean_that_containers_used() {
        let folder = tempfile::tempdir().unwrap();
        measured(2.0).write(folder.path()).unwrap();
        let scenario = "name: web\ncapacityProviders: []\ntaskDefinitions:\n  - family: web\n    requiresCompatibilities: [FARGATE]\n    \
                        networkMode: awsvpc\n    cpu: '256'\n    memory: '512'\n    containerDefinitions: [{name: app, image: a:1, portMappings: [{containerPort: 80}]}]\n\
                        services:\n  - serviceName: web\n    launchType: FARGATE\n    taskDefinition: web\n    desiredCount: 1\n    \
                        networkConfiguration: {awsvpcConfiguration: {subnets: [us-east-1a]}}\n\
                        workloads:\n  - name: shoppers\n    requests: {service: web, rate: 1, cpuPerRequest: 1s}\n";
        fs::write(folder.path().join("web.yaml"), scenario).unwrap();
        let both = folder.path().join("both.yaml");
        fs::write(&both, "include: [web.yaml, measured.yaml]\n").unwrap();
        let scenario = crate::scenario::load(&both, &crate::scenario::LoadOptions::default()).unwrap();
        let crate::control_plane::estate::Demand::Requests { cpu_per_request, latency_floor, .. } =
            &scenario.estate.workloads[0].demand
        else {
            panic!()
        };
        assert!((cpu_per_request.mean() - 0.11).abs() < 1e-5, "{cpu_per_request:?}");
        assert!((latency_floor.mean() - 0.01).abs() < 2e-3, "{latency_floor:?}");
        assert!((scenario.estate.delays.task_start.mean() - 0.8).abs() < 1e-6, "at a pace of 2");
        let period = crate::engine::time::SimDuration::from_millis(100);
        assert_eq!(scenario.estate.behaviour.cpu_period, period, "whatever the pace");
        let definitions = &scenario.estate.task_definitions;
        assert_eq!(definitions.len(), 1, "the same revision");
        let rows = fs::read_to_string(folder.path().join("measured/cpu-shoppers.csv")).unwrap();
        assert_eq!(rows.lines().count(), 2001);
    }

    #[test]
    fn what_no_family_fits_is_its_own_distribution() {
        let folder = tempfile::tempdir().unwrap();
        let mut measured = Measurements::new("web", 1.0);
        for place in 0..400 {
            measured.delay(Delay::ImagePull, if place % 2 == 0 { 1.0 } else { 9.0 });
        }
        measured.write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join("measured.yaml")).unwrap();
        assert!(
            text.contains("imagePull: {empirical: {file: measured/imagePull.csv, column: value, unit: s}}"),
            "{text}"
        );
        assert!(text.contains("# no family fits: the sample itself. The nearest is "), "{text}");
        let loaded =
            crate::scenario::load(&folder.path().join("measured.yaml"), &crate::scenario::LoadOptions::default());
        let pull = loaded.unwrap().estate.delays.image_pull.unwrap();
        assert!((pull.mean() - 5.0).abs() < 0.05, "{pull:?}");
    }

    #[test]
    fn a_long_sample_is_thinned_evenly_and_keeps_its_mean() {
        let mut sample = Sample::default();
        (0..100_000).for_each(|value| sample.add(f64::from(value)));
        sample.add(-1.0);
        sample.add(f64::NAN);
        assert!(sample.values.len() <= Sample::MOST && sample.values.len() > Sample::MOST / 3);
        assert_eq!((sample.seen(), sample.mean()), (100_000, Some(49_999.5)));
        assert!((sample.quantile(0.5).unwrap() - 50_000.0).abs() < 100.0);
        assert!(sample.values.windows(2).all(|pair| pair[1] - pair[0] == 8.0), "{:?}", &sample.values[..4]);
    }
}
