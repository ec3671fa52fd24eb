//! A run against a stored baseline: what moved, by how much, and whether chance explains it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalog::catalog;
use crate::control_plane::estate::Estate;
use crate::report::compare::{better_end, percent, signed};
use crate::report::format::{for_people, json_number, number};
use crate::report::summary::{ReplicationSummary, Unit, label};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::study::tolerance::{Judgement, Tolerance, Verdict, judge};

/// The tolerance of a baseline that names none.
pub const TOLERANCE: Tolerance = Tolerance::Relative(0.02);

/// The figures that a scenario is held to: a file of the user's, YAML or JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Name of the scenario it is of.
    pub scenario: String,
    /// Version of the program that wrote it.
    #[serde(default)]
    pub version: Option<String>,
    /// Date of the catalogue then.
    #[serde(default)]
    pub catalog_as_of: Option<String>,
    /// Fingerprint of the estate then.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Seed of its replications.
    pub seed: u64,
    /// How many there were.
    pub replications: u32,
    /// How long each was [s].
    pub duration_s: f64,
    /// How much of it the figures leave out [s].
    #[serde(default)]
    pub warmup_s: f64,
    /// How far every figure may move that does not say so itself.
    #[serde(default = "tolerance")]
    pub tolerance: Tolerance,
    /// The figures.
    pub metrics: IndexMap<String, BaselineFigure>,
}

fn tolerance() -> Tolerance {
    TOLERANCE
}

/// One figure of a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineFigure {
    /// Its unit, for readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Its mean.
    pub mean: f64,
    /// How far it may move, if not as far as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
    /// The figure of each replication, in order; without them the mean is taken as exact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<f64>,
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It cannot be read.
    #[error("cannot read the baseline `{path}`: {source}; write one with `--write`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no baseline.
    #[error("`{path}` is no baseline: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// It is of another scenario.
    #[error("`{path}` is the baseline of another scenario: {what}")]
    Foreign {
        /// Which.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
}

impl Baseline {
    /// Reads a baseline, YAML or JSON.
    ///
    /// # Errors
    /// [`BaselineError`].
    pub fn read(path: &Path) -> Result<Self, BaselineError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| BaselineError::Read { path: path.to_owned(), source })?;
        let malformed = |reason: String| BaselineError::Malformed { path: path.to_owned(), reason };
        let baseline: Self = serde_saphyr::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        let finite =
            |figure: &BaselineFigure| figure.mean.is_finite() && figure.samples.iter().all(|sample| sample.is_finite());
        if let Some((key, _)) = baseline.metrics.iter().find(|(_, figure)| !finite(figure)) {
            return Err(malformed(format!("`{key}` holds what is no finite number")));
        }
        let tolerances = baseline.metrics.values().filter_map(|figure| figure.tolerance).chain([baseline.tolerance]);
        let bad = |tolerance: &Tolerance| match tolerance {
            Tolerance::Interval => false,
            Tolerance::Absolute(most) | Tolerance::Relative(most) => !most.is_finite() || *most < 0.0,
        };
        if tolerances.into_iter().any(|tolerance| bad(&tolerance)) {
            return Err(malformed("a tolerance is zero or more".to_owned()));
        }
        if baseline.metrics.is_empty() {
            return Err(malformed("it has no figures".to_owned()));
        }
        Ok(baseline)
    }

    /// The baseline of these replications; figures and tolerances are chosen as in `earlier`, if there is one.
    pub fn of(
        estate: &Estate,
        replications: &[ReplicationSummary],
        tolerance: Option<Tolerance>,
        earlier: Option<&Self>,
    ) -> Self {
        let chosen = |key: &str| earlier.is_none_or(|earlier| earlier.metrics.contains_key(key));
        let metrics = columns(replications)
            .into_iter()
            .filter(|(key, _)| chosen(key))
            .map(|(key, (unit, samples))| {
                let tolerance = earlier.and_then(|earlier| earlier.metrics[key].tolerance);
                let mean = samples.iter().sum::<f64>() / samples.len() as f64;
                (key.to_owned(), BaselineFigure { unit: Some(unit), mean, tolerance, samples })
            })
            .collect();
        Self {
            scenario: estate.name.clone(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            catalog_as_of: Some(catalog().as_of().to_owned()),
            fingerprint: Some(estate.fingerprint()),
            seed: estate.seed,
            replications: u32::try_from(replications.len()).unwrap_or(u32::MAX),
            duration_s: estate.duration.as_secs_f64(),
            warmup_s: estate.warmup.as_secs_f64(),
            tolerance: tolerance.or(earlier.map(|earlier| earlier.tolerance)).unwrap_or(TOLERANCE),
            metrics,
        }
    }

    /// Refuses a baseline, read from `path`, whose figures are not of this estate.
    ///
    /// What the scenario says may change, and so may the program: that is what a check is for. Its name, its length and
    /// its warm-up may not.
    ///
    /// # Errors
    /// [`BaselineError::Foreign`].
    pub fn belongs_to(&self, estate: &Estate, path: &Path) -> Result<(), BaselineError> {
        let (duration, warmup) = (estate.duration.as_secs_f64(), estate.warmup.as_secs_f64());
        let what = if self.scenario != estate.name {
            format!("it is of `{}`, and this is `{}`", self.scenario, estate.name)
        } else if self.duration_s != duration {
            format!("its runs last {} s, and these {} s", number(self.duration_s), number(duration))
        } else if self.warmup_s != warmup {
            format!("its warm-up is {} s, and this one {} s", number(self.warmup_s), number(warmup))
        } else {
            return Ok(());
        };
        Err(BaselineError::Foreign { path: path.to_owned(), what })
    }

    /// As YAML, with a line a figure; `command` is what rewrites it.
    pub fn to_yaml(&self, command: &str) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let told = |tolerance: Tolerance| match tolerance {
            Tolerance::Interval => "interval".to_owned(),
            Tolerance::Absolute(most) => format!("{{absolute: {}}}", number(most)),
            Tolerance::Relative(most) => format!("{{relative: {}}}", number(most)),
        };
        let mut text = format!(
            "# What `ecsim check` holds this scenario to; rewrite it with:\n#   {command}\n\
             # tolerance: {{relative: 0.02}} of the mean, {{absolute: 0.5}} in its unit, or interval (the noise).\n"
        );
        let optional =
            [("version", &self.version), ("catalog_as_of", &self.catalog_as_of), ("fingerprint", &self.fingerprint)];
        let _ = writeln!(text, "scenario: {}", quoted(&self.scenario));
        for (key, value) in optional {
            if let Some(value) = value {
                let _ = writeln!(text, "{key}: {}", quoted(value));
            }
        }
        let _ = write!(
            text,
            "seed: {}\nreplications: {}\nduration_s: {}\nwarmup_s: {}\ntolerance: {}\nmetrics:\n",
            self.seed,
            self.replications,
            number(self.duration_s),
            number(self.warmup_s),
            told(self.tolerance)
        );
        for (key, BaselineFigure { unit, mean, tolerance, samples }) in &self.metrics {
            let _ = write!(text, "  {}:\n    mean: {}\n", quoted(key), number(*mean));
            if let Some(unit) = unit {
                let _ = writeln!(text, "    unit: {}", unit.as_str());
            }
            if let Some(tolerance) = tolerance {
                let _ = writeln!(text, "    tolerance: {}", told(*tolerance));
            }
            if !samples.is_empty() {
                let samples: Vec<String> = samples.iter().map(|sample| number(*sample)).collect();
                let _ = writeln!(text, "    samples: [{}]", samples.join(", "));
            }
        }
        text
    }
}

/// The samples of each figure over the replications.
fn columns(replications: &[ReplicationSummary]) -> IndexMap<&str, (Unit, Vec<f64>)> {
    let mut columns: IndexMap<&str, (Unit, Vec<f64>)> = IndexMap::new();
    for (key, value, unit) in replications.iter().flat_map(ReplicationSummary::iter) {
        columns.entry(key).or_insert_with(|| (unit, Vec::new())).1.push(value);
    }
    columns
}

/// One figure of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedFigure {
    /// Its key.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Its mean in the baseline.
    pub before: f64,
    /// Its mean now; none when this run has no such figure.
    pub now: Option<f64>,
    /// How far it may move.
    pub tolerance: Tolerance,
    /// What became of it; none when this run has no such figure.
    pub judgement: Option<Judgement>,
}

impl CheckedFigure {
    /// What became of it.
    pub fn verdict(&self) -> Verdict {
        self.judgement.map_or(Verdict::Missing, |judgement| judgement.verdict)
    }

    fn moved(&self) -> bool {
        self.judgement.is_none_or(|judgement| judgement.difference.mean != 0.0)
    }

    fn share(&self) -> String {
        let Some(judgement) = self.judgement else { return String::new() };
        if self.before == 0.0 {
            return signed(judgement.difference.mean, self.unit);
        }
        percent(judgement.difference.mean / self.before.abs())
    }

    /// Whether chance explains the move, in words.
    fn noise(&self) -> &'static str {
        match self.judgement.map(|judgement| (judgement.difference.mean == 0.0, judgement.noise)) {
            None => "no such figure in this run",
            Some((true, _)) => "unchanged",
            Some((_, None)) => "one replication: nobody knows the noise",
            Some((_, Some(true))) => "the noise explains it",
            Some((_, Some(false))) => "more than noise",
        }
    }

    fn tolerated(&self) -> String {
        match self.tolerance {
            Tolerance::Interval => "within the noise".to_owned(),
            Tolerance::Absolute(most) => format!("± {}", for_people(most, self.unit)),
            Tolerance::Relative(most) => format!("± {} %", number((most * 1e6).round() / 1e4)),
        }
    }

    fn interval(&self) -> String {
        let Some(difference) = self.judgement.map(|judgement| judgement.difference) else { return String::new() };
        if difference.half_width.is_none_or(|half| half == 0.0) {
            return String::new();
        }
        format!("{} … {}", signed(difference.low(), self.unit), signed(difference.high(), self.unit))
    }
}

/// A run held against a baseline.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name of the scenario.
    pub scenario: String,
    /// The baseline's figures, in its order.
    pub figures: Vec<CheckedFigure>,
    /// What a reader must know of the two runs.
    pub notes: Vec<String>,
}

impl Check {
    /// Judges these replications by a baseline that belongs to their estate.
    pub fn new(estate: &Estate, replications: &[ReplicationSummary], baseline: &Baseline) -> Self {
        let now = columns(replications);
        let figures = baseline
            .metrics
            .iter()
            .map(|(key, figure)| {
                let tolerance = figure.tolerance.unwrap_or(baseline.tolerance);
                let before = if figure.samples.is_empty() { &[figure.mean][..] } else { &figure.samples };
                let found = now.get(key.as_str());
                let paired = baseline.seed == estate.seed;
                CheckedFigure {
                    metric: key.clone(),
                    unit: found.map(|(unit, _)| *unit).or(figure.unit).unwrap_or(Unit::Count),
                    before: figure.mean,
                    now: found.map(|(_, samples)| samples.iter().sum::<f64>() / samples.len() as f64),
                    tolerance,
                    judgement: found
                        .and_then(|(_, samples)| judge(before, samples, paired, tolerance, better_end(key))),
                }
            })
            .collect();
        let mut notes = Vec::new();
        let as_of = catalog().as_of();
        let then = |said: &Option<String>, now: &str| said.as_ref().filter(|said| *said != now).cloned();
        if let Some(then) = then(&baseline.version, env!("CARGO_PKG_VERSION")) {
            notes.push(format!("the baseline is of ecsim {then}"));
        }
        if let Some(then) = then(&baseline.catalog_as_of, as_of) {
            notes.push(format!("prices of {then} then, of {as_of} now"));
        }
        if then(&baseline.fingerprint, &estate.fingerprint()).is_some() {
            notes.push("the scenario has changed since the baseline was written, or the program has".to_owned());
        }
        if baseline.seed != estate.seed {
            notes.push(format!("seed {} then, {} now: nothing is paired", baseline.seed, estate.seed));
        }
        let unwatched = now.keys().filter(|key| !baseline.metrics.contains_key(**key)).count();
        if unwatched > 0 {
            notes.push(format!("{unwatched} figures of this run are not in the baseline"));
        }
        Self { scenario: estate.name.clone(), figures, notes }
    }

    /// True unless a figure is worse or gone.
    pub fn holds(&self) -> bool {
        !self.figures.iter().any(|figure| figure.verdict().fails())
    }

    /// What came out, in a sentence.
    pub fn headline(&self) -> String {
        let count = |wanted: Verdict| self.figures.iter().filter(|figure| figure.verdict() == wanted).count();
        let told: Vec<String> = [
            (Verdict::Worse, "worse"),
            (Verdict::Missing, "missing"),
            (Verdict::Unclear, "beyond the tolerance, but within the noise"),
            (Verdict::Better, "better"),
        ]
        .into_iter()
        .filter_map(|(verdict, word)| {
            Some(count(verdict)).filter(|count| *count > 0).map(|count| format!("{count} {word}"))
        })
        .collect();
        let all = self.figures.len();
        match (told.is_empty(), self.holds()) {
            (true, _) => format!("{}: all {all} figures are within their tolerances", self.scenario),
            (_, true) => format!("{}: no regression in {all} figures; {}", self.scenario, told.join(", ")),
            (_, false) => format!("{}: REGRESSION in {all} figures: {}", self.scenario, told.join(", ")),
        }
    }

    /// What moved, worst first.
    fn told(&self) -> Vec<&CheckedFigure> {
        let rank = |figure: &CheckedFigure| match figure.verdict() {
            Verdict::Missing => 0,
            Verdict::Worse => 1,
            Verdict::Unclear => 2,
            Verdict::Better => 3,
            Verdict::Held | Verdict::New => 4,
        };
        let mut told: Vec<&CheckedFigure> = self.figures.iter().filter(|figure| figure.moved()).collect();
        told.sort_by_key(|figure| rank(figure));
        told
    }

    /// The table on stdout.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = Tone::Strong.paint(&self.headline(), colour) + "\n";
        let told = self.told();
        if !told.is_empty() {
            let mut table = Table::new([
                ("", Align::Left),
                ("", Align::Left),
                ("baseline", Align::Right),
                ("now", Align::Right),
                ("moved", Align::Right),
                ("95 % interval", Align::Left),
                ("allowed", Align::Left),
                ("", Align::Left),
            ]);
            for figure in told {
                let tone = match figure.verdict() {
                    Verdict::Worse | Verdict::Missing => Tone::Bad,
                    Verdict::Better => Tone::Good,
                    Verdict::Unclear => Tone::Plain,
                    Verdict::Held | Verdict::New => Tone::Dim,
                };
                table.row([
                    Cell::new(figure.verdict().as_str(), tone),
                    Cell::from(label(&figure.metric)),
                    Cell::from(for_people(figure.before, figure.unit)),
                    Cell::from(figure.now.map_or_else(String::new, |now| for_people(now, figure.unit))),
                    Cell::new(figure.share(), tone),
                    Cell::new(figure.interval(), tone),
                    Cell::new(figure.tolerated(), Tone::Dim),
                    Cell::from(figure.noise()),
                ]);
            }
            text.push('\n');
            text.push_str(&table.render(colour));
        }
        for note in &self.notes {
            text.push_str(&Tone::Dim.paint(&format!("  {note}"), colour));
            text.push('\n');
        }
        text
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|figure| {
                let ends = figure.judgement.map(|judgement| judgement.difference).filter(|d| d.half_width.is_some());
                json!({
                    "metric": figure.metric,
                    "unit": figure.unit,
                    "baseline": json_number(figure.before),
                    "now": figure.now.map(json_number),
                    "difference": figure.judgement.map(|judgement| json_number(judgement.difference.mean)),
                    "ci95": ends.map(|ends| [json_number(ends.low()), json_number(ends.high())]),
                    "tolerance": figure.tolerance,
                    "noise_explains_it": figure.judgement.and_then(|judgement| judgement.noise),
                    "verdict": figure.verdict(),
                })
            })
            .collect();
        json!({ "scenario": self.scenario, "holds": self.holds(), "headline": self.headline(), "figures": figures,
                "notes": self.notes })
    }

    /// As a pull request's comment or a job's summary shows it.
    pub fn to_markdown(&self) -> String {
        let mark = if self.holds() { "✅" } else { "❌" };
        let mut text = format!("### {mark} {}\n", cell(&self.headline()));
        let told = self.told();
        if !told.is_empty() {
            text.push_str(
                "\n| verdict | figure | baseline | now | moved | 95 % interval | allowed | |\n\
                 | --- | --- | ---: | ---: | ---: | --- | --- | --- |\n",
            );
        }
        for figure in told {
            let word = figure.verdict().as_str();
            let word = if figure.verdict().fails() { format!("**{word}**") } else { word.to_owned() };
            let now = figure.now.map_or_else(String::new, |now| for_people(now, figure.unit));
            let cells = [
                word,
                format!("{} (`{}`)", cell(&label(&figure.metric)), cell(&figure.metric)),
                for_people(figure.before, figure.unit),
                now,
                figure.share(),
                figure.interval(),
                figure.tolerated(),
                figure.noise().to_owned(),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {}", cell(note));
        }
        text
    }

    /// As the test reports of CI systems read it: a case a figure. No times: the same check gives the same bytes.
    pub fn to_junit(&self) -> String {
        let failures = self.figures.iter().filter(|figure| figure.verdict().fails()).count();
        let suite = escaped(&format!("ecsim check {}", self.scenario));
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites tests=\"{0}\" failures=\"{failures}\">\n  <testsuite name=\"{suite}\" tests=\"{0}\" \
             failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n",
            self.figures.len()
        );
        for figure in &self.figures {
            let said = format!(
                "{} then, {} now, {}; allowed {}; {}",
                for_people(figure.before, figure.unit),
                figure.now.map_or_else(|| "nothing".to_owned(), |now| for_people(now, figure.unit)),
                if figure.share().is_empty() { "gone".to_owned() } else { figure.share() },
                figure.tolerated(),
                figure.noise()
            );
            let begin = format!("    <testcase classname=\"{suite}\" name=\"{}\"", escaped(&figure.metric));
            let said = escaped(&said);
            let _ = if figure.verdict().fails() {
                let kind = escaped(figure.verdict().as_str());
                writeln!(text, "{begin}>\n      <failure type=\"{kind}\" message=\"{said}\"/>\n    </testcase>")
            } else {
                writeln!(text, "{begin}>\n      <system-out>{said}</system-out>\n    </testcase>")
            };
        }
        text + "  </testsuite>\n</testsuites>\n"
    }
}

/// A text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// A text in XML, attributes included.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::tests::{empty_estate, replication};

    fn runs(cost: f64, p99: f64) -> Vec<ReplicationSummary> {
        (0..4).map(|n| replication(cost + f64::from(n) / 10.0, p99 * (1.0 + f64::from(n * n % 3) / 20.0))).collect()
    }

    fn estate() -> Estate {
        Estate { name: "web | day".into(), ..empty_estate() }
    }

    fn check(baseline: &Baseline, now: &[ReplicationSummary]) -> Check {
        Check::new(&estate(), now, baseline)
    }

    #[test]
    fn a_baseline_reads_back_as_it_was_from_yaml_and_json() {
        let folder = tempfile::tempdir().unwrap();
        let mut baseline = Baseline::of(&estate(), &runs(12.0, 1.0 / 3.0), None, None);
        baseline.metrics["cost_usd"].tolerance = Some(Tolerance::Absolute(0.5));
        baseline.metrics["instance_hours"].tolerance = Some(Tolerance::Interval);
        let path = folder.path().join("b");
        for text in [baseline.to_yaml("ecsim check"), serde_json::to_string_pretty(&baseline).unwrap()] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Baseline::read(&path).unwrap(), baseline);
        }
        baseline.metrics.shift_remove("tasks_started");
        let rewritten = Baseline::of(&estate(), &runs(13.0, 0.2), None, Some(&baseline));
        assert_eq!(rewritten.metrics["cost_usd"].tolerance, Some(Tolerance::Absolute(0.5)), "tolerances are kept");
        assert!(!rewritten.metrics.contains_key("tasks_started"), "and so is the choice of figures");
    }

    #[test]
    fn a_baseline_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        assert!(matches!(Baseline::read(&path), Err(BaselineError::Read { .. })));
        let good = Baseline::of(&estate(), &runs(12.0, 0.3), None, None).to_yaml("x");
        for (text, reason) in [
            (String::from("a: ["), "no baseline"),
            (good.replace("seed: 7", "sead: 7"), "sead"),
            (good.replace("relative: 0.02}\nmetrics", "relative: -1}\nmetrics"), "zero or more"),
            (good[..good.find("metrics:").unwrap()].to_owned() + "metrics: {}\n", "no figures"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Baseline::read(&path).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_baseline_of_another_scenario_is_refused() {
        let baseline = Baseline::of(&estate(), &runs(12.0, 0.3), None, None);
        let refusal = |estate: Estate| baseline.belongs_to(&estate, Path::new("b")).unwrap_err().to_string();
        assert!(baseline.belongs_to(&estate(), Path::new("b")).is_ok());
        assert!(
            refusal(Estate { name: "other".into(), ..estate() }).contains("it is of `web | day`, and this is `other`")
        );
        assert!(refusal(Estate { duration: estate().duration * 2, ..estate() }).contains("its runs last 3600 s"));
    }

    #[test]
    fn what_moved_is_told_worst_first_in_every_format() {
        let before = runs(12.0, 0.3);
        let baseline = Baseline::of(&estate(), &before, None, None);
        assert_eq!(check(&baseline, &before).headline(), "web | day: all 10 figures are within their tolerances");
        let mut now = runs(11.0, 0.4);
        for run in &mut now {
            run.set("tasks_started", 1210.0, Unit::Count);
        }
        let checked = check(&baseline, &now);
        assert!(!checked.holds());
        insta::assert_snapshot!(checked.to_text(false));
        insta::assert_snapshot!("markdown", checked.to_markdown());
        insta::assert_snapshot!("junit", checked.to_junit());
        let json = checked.to_json();
        assert_eq!((json["holds"].as_bool(), &json["figures"][0]["verdict"]), (Some(false), &json!("better")));
    }

    #[test]
    fn a_figure_that_is_gone_is_a_regression() {
        let mut before = runs(12.0, 0.3);
        before[0].set("service/default/web:scaling_actions", 3.0, Unit::Count);
        let baseline = Baseline::of(&estate(), &before, None, None);
        let checked = check(&baseline, &runs(12.0, 0.3));
        assert!(!checked.holds());
        assert!(checked.headline().contains("1 missing"), "{}", checked.headline());
    }

    #[test]
    fn a_baseline_written_by_hand_needs_no_samples() {
        let text = "scenario: web | day\nseed: 1\nreplications: 1\nduration_s: 3600\ntolerance: interval\nmetrics: \
                    {cost_usd: {mean: 12, tolerance: {relative: 0.1}}}\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        std::fs::write(&path, text).unwrap();
        let baseline = Baseline::read(&path).unwrap();
        assert!(check(&baseline, &runs(12.5, 0.3)).holds());
        assert!(!check(&baseline, &runs(14.0, 0.3)).holds());
    }
}
