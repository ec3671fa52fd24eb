//! Quantities with units: durations, sizes, rates, and distributions of each.

use std::marker::PhantomData;

use serde_json::{Map, Value as Json, json};

use super::decode::{At, Decode, expect_map, object, wrong_type};
use super::diagnostic::{Problem, Reading, code};
use super::tree::{Node, Value};
use crate::engine::time::{ParseDurationError, SimDuration};
use crate::workload::distribution::Distribution;

impl Decode for SimDuration {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) => reading.sources.text(node.place).to_owned(),
            _ => return wrong_type(node, "a duration such as 45s or 1h30m", reading),
        };
        let error = match text.parse::<Self>() {
            Ok(duration) if duration <= Self::CENTURY => return Some(duration),
            Ok(_) => ParseDurationError::TooLong(text),
            Err(error) => error,
        };
        let problem = match error {
            ParseDurationError::MissingUnit(number) => {
                Problem::new(code::MISSING_UNIT, node.place, format!("a duration needs its unit: {number} of what?"))
                    .label("no unit")
                    .help(format!("{number}s is seconds, {number}m minutes, {number}h hours"))
            }
            ParseDurationError::TooLong(text) => {
                Problem::new(code::OUT_OF_RANGE, node.place, format!("{text} is longer than a hundred years"))
                    .label("too long")
            }
            error => Problem::new(code::INVALID, node.place, error.to_string())
                .help("durations look like 45s, 10m, 1h30m, 2d"),
        };
        reading.report(problem);
        None
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        json!({ "type": "string", "pattern": r"^\s*([0-9.]+\s*(ns|us|ms|s|sec|m|min|h|d|w)\s*)+$", "examples": ["45s", "1h30m"] })
    }
}

/// What a number stands for, and how it is written.
pub(crate) trait Kind {
    /// What is expected, for messages.
    const WHAT: &'static str;
    /// The number in the base unit of its kind; reports what cannot be read.
    fn read(node: &Node, reading: &mut Reading) -> Option<f64>;
    /// The schema of one value.
    fn schema() -> Json;
}

/// Durations; the base unit is the second.
#[derive(Clone, Debug)]
pub(crate) struct Seconds;

impl Kind for Seconds {
    const WHAT: &'static str = "a duration such as 45s, or a distribution of durations";

    fn read(node: &Node, reading: &mut Reading) -> Option<f64> {
        SimDuration::decode(node, reading).map(SimDuration::as_secs_f64)
    }

    fn schema() -> Json {
        SimDuration::schema(&mut Map::new())
    }
}

/// Sizes; the base unit is the MiB.
#[derive(Clone, Debug)]
pub(crate) struct Mebibytes;

const SIZE_UNITS: [(&str, f64); 8] = [
    ("B", 1.0 / 1_048_576.0),
    ("KiB", 1.0 / 1024.0),
    ("MiB", 1.0),
    ("GiB", 1024.0),
    ("TiB", 1_048_576.0),
    ("KB", 1e3 / 1_048_576.0),
    ("MB", 1e6 / 1_048_576.0),
    ("GB", 1e9 / 1_048_576.0),
];

/// An exbibyte: more than there is, and little enough to be added up in integers.
const MOST_MEBIBYTES: f64 = 1_099_511_627_776.0;

impl Kind for Mebibytes {
    const WHAT: &'static str = "a size such as 512MiB, or a distribution of sizes";

    fn read(node: &Node, reading: &mut Reading) -> Option<f64> {
        let text = match &node.value {
            Value::Text(text) => text.trim(),
            Value::Integer(_) | Value::Float(_) => {
                let number = reading.sources.text(node.place).to_owned();
                let problem =
                    Problem::new(code::MISSING_UNIT, node.place, format!("a size needs its unit: {number} of what?"));
                reading.report(problem.label("no unit").help(format!("{number}MiB, {number}GiB")));
                return None;
            }
            _ => return wrong_type(node, Self::WHAT, reading),
        };
        let digits = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
        let (number, unit) = (text[..digits].trim(), text[digits..].trim());
        let scale = SIZE_UNITS.iter().find(|(name, _)| *name == unit);
        match (number.parse::<f64>(), scale) {
            (Ok(number), Some((_, scale))) if number.is_finite() && number >= 0.0 => {
                let size = number * scale;
                if size > MOST_MEBIBYTES {
                    let problem =
                        Problem::new(code::OUT_OF_RANGE, node.place, format!("{text} is more than an exbibyte"));
                    reading.report(problem.label("too much"));
                    return None;
                }
                Some(size)
            }
            (Ok(_), None) if unit.is_empty() => {
                let problem =
                    Problem::new(code::MISSING_UNIT, node.place, format!("a size needs its unit: {text} of what?"));
                reading.report(problem.label("no unit").help(format!("{text}MiB, {text}GiB")));
                None
            }
            _ => {
                let problem = Problem::new(code::INVALID, node.place, format!("`{text}` is no size"));
                reading.report(
                    problem.help("sizes look like 512MiB, 1.5GiB; units are B, KiB, MiB, GiB, TiB, KB, MB, GB"),
                );
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^\s*[0-9.]+\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB)\s*$", "examples": ["512MiB"] })
    }
}

/// Bare non-negative numbers: fractions, vCPUs.
#[derive(Clone, Debug)]
pub(crate) struct Plain;

impl Kind for Plain {
    const WHAT: &'static str = "a number, or a distribution";

    fn read(node: &Node, reading: &mut Reading) -> Option<f64> {
        let value = f64::decode(node, reading)?;
        non_negative(value, node, "a number here", reading)
    }

    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0 })
    }
}

/// Rates; the base unit is one per second, also for a bare number.
#[derive(Clone, Debug)]
pub(crate) struct PerSecond;

impl Kind for PerSecond {
    const WHAT: &'static str = "a rate such as 2 or 120/min";

    fn read(node: &Node, reading: &mut Reading) -> Option<f64> {
        let Value::Text(text) = &node.value else {
            return match node.value {
                Value::Integer(_) | Value::Float(_) => {
                    let value = f64::decode(node, reading)?;
                    non_negative(value, node, "a rate", reading)
                }
                _ => wrong_type(node, Self::WHAT, reading),
            };
        };
        let parsed =
            text.split_once('/').and_then(|(number, per)| Some((number.trim().parse::<f64>().ok()?, per_unit(per)?)));
        match parsed {
            Some((number, seconds)) if number.is_finite() => non_negative(number / seconds, node, "a rate", reading),
            _ => {
                let problem = Problem::new(code::INVALID, node.place, format!("`{text}` is no rate"));
                reading.report(problem.help("rates look like 2 (per second), 120/min, 5000/h"));
                None
            }
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string", "pattern": "^[0-9.eE+]+ */ *[0-9]*[a-z]+$" }] })
    }
}

/// MiB, bare as AWS has it or with a unit.
#[derive(Clone, Debug)]
pub(crate) struct BareMebibytes;

impl Kind for BareMebibytes {
    const WHAT: &'static str = "an amount of memory in MiB";

    fn read(node: &Node, reading: &mut Reading) -> Option<f64> {
        match node.value {
            Value::Integer(_) | Value::Float(_) => Plain::read(node, reading),
            _ => Mebibytes::read(node, reading),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "number", "minimum": 0 }, Mebibytes::schema()] })
    }
}

/// The seconds of `min`, `h`, `5min` after the slash of a rate.
pub(crate) fn per_unit(text: &str) -> Option<f64> {
    let text = text.trim();
    let text = match text {
        "second" | "sec" => "s",
        "minute" => "min",
        "hour" => "h",
        "day" => "d",
        other => other,
    };
    let counted = if text.starts_with(|c: char| c.is_ascii_digit()) { text.to_owned() } else { format!("1{text}") };
    let seconds = counted.parse::<SimDuration>().ok()?.as_secs_f64();
    (seconds > 0.0).then_some(seconds)
}

fn non_negative(value: f64, node: &Node, what: &str, reading: &mut Reading) -> Option<f64> {
    if value >= 0.0 && value.is_finite() {
        return Some(value);
    }
    reading.report(
        Problem::new(code::OUT_OF_RANGE, node.place, format!("{what} cannot be {value}")).label("not below zero"),
    );
    None
}

/// One value of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Quantity<K> {
    pub(crate) value: f64,
    kind: PhantomData<K>,
}

impl<K: Kind> Decode for Quantity<K> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        K::read(node, reading).map(|value| Self { value, kind: PhantomData })
    }

    fn schema(_: &mut Map<String, Json>) -> Json {
        K::schema()
    }
}

/// A distribution of a kind: a bare value, or one of the families by name.
#[derive(Clone, Debug)]
pub(crate) struct Dist<K> {
    pub(crate) distribution: Distribution,
    kind: PhantomData<K>,
}

const FAMILIES: [&str; 9] =
    ["constant", "uniform", "triangular", "exponential", "lognormal", "gamma", "weibull", "empirical", "mixture"];

impl<K: Kind> Decode for Dist<K> {
    fn decode(node: &Node, reading: &mut Reading) -> Option<Self> {
        let distribution = match &node.value {
            Value::Map(_) => family::<K>(node, reading)?,
            _ => Distribution::Constant(K::read(node, reading)?),
        };
        Some(Self { distribution, kind: PhantomData })
    }

    fn schema(definitions: &mut Map<String, Json>) -> Json {
        let mut forms = vec![K::schema()];
        let mut form = |family: &str, keys: &[(&str, Json)], required: &[&str]| {
            let properties: Map<String, Json> =
                keys.iter().map(|(key, schema)| ((*key).to_owned(), schema.clone())).collect();
            let body = json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
            forms.push(json!({
                "type": "object", "properties": { family: body }, "required": [family], "additionalProperties": false
            }));
        };
        let (value, number) = (K::schema(), json!({ "type": "number", "minimum": 0 }));
        form("uniform", &[("min", value.clone()), ("max", value.clone())], &["min", "max"]);
        let three = [("min", value.clone()), ("mode", value.clone()), ("max", value.clone())];
        form("triangular", &three, &["min", "mode", "max"]);
        form("exponential", &[("mean", value.clone())], &["mean"]);
        let lognormal =
            [("mean", value.clone()), ("cv", number.clone()), ("median", value.clone()), ("sigma", number.clone())];
        form("lognormal", &lognormal, &[]);
        let gamma =
            [("shape", number.clone()), ("scale", value.clone()), ("mean", value.clone()), ("cv", number.clone())];
        form("gamma", &gamma, &[]);
        form("weibull", &[("shape", number), ("scale", value.clone())], &["shape", "scale"]);
        let empirical = Empirical::schema(definitions);
        forms.push(json!({ "type": "object", "properties": { "empirical": empirical }, "required": ["empirical"] }));
        forms.push(json!({ "type": "object", "properties": { "constant": value }, "required": ["constant"] }));
        json!({ "anyOf": forms })
    }
}

object! {
    /// A distribution read from a column of a CSV file.
    struct Empirical("`empirical`") {
        /// CSV file, relative to the file this is written in.
        file: At<String> = "file",
        /// Name of the column.
        column: At<String> = "column",
        /// Unit of its values: s, ms, min, h for durations; MiB, GiB for sizes.
        unit: Option<At<String>> = "unit",
    }
}

/// The parameters of a family, each read by its own kind.
struct Parameters<'a> {
    family: &'a str,
    node: &'a Node,
}

impl Parameters<'_> {
    fn value<K: Kind>(&self, key: &'static str, reading: &mut Reading) -> Option<f64> {
        if let Some(node) = self.node.get(key) {
            return K::read(node, reading);
        }
        let problem = Problem::new(code::MISSING_KEY, self.node.place, format!("`{}` needs `{key}`", self.family));
        reading.report(problem.label(format!("`{key}` is missing")).for_want_of(key));
        None
    }

    fn has(&self, key: &str) -> bool {
        self.node.get(key).is_some()
    }

    fn only(&self, known: &[&'static str], reading: &mut Reading) -> Option<()> {
        let what = format!("`{}`", self.family);
        let entries = expect_map(self.node, "a map of parameters", reading)?;
        super::decode::check_keys(self.node.place, entries, known, &[], &[], &what, reading);
        Some(())
    }
}

fn family<K: Kind>(node: &Node, reading: &mut Reading) -> Option<Distribution> {
    let entries = expect_map(node, K::WHAT, reading)?;
    let [entry] = entries else {
        let problem =
            Problem::new(code::WRONG_TYPE, node.place, "a distribution is a value, or a map with one key, its family");
        reading.report(problem.help(format!("families: {}", FAMILIES.join(", "))));
        return None;
    };
    let p = Parameters { family: &entry.key, node: &entry.value };
    let distribution = match entry.key.as_str() {
        "constant" => Distribution::Constant(K::read(&entry.value, reading)?),
        "uniform" => {
            p.only(&["min", "max"], reading)?;
            let (min, max) = (p.value::<K>("min", reading), p.value::<K>("max", reading));
            Distribution::Uniform { min: min?, max: max? }
        }
        "triangular" => {
            p.only(&["min", "mode", "max"], reading)?;
            let (min, mode) = (p.value::<K>("min", reading), p.value::<K>("mode", reading));
            Distribution::Triangular { min: min?, mode: mode?, max: p.value::<K>("max", reading)? }
        }
        "exponential" => {
            p.only(&["mean"], reading)?;
            Distribution::Exponential { mean: p.value::<K>("mean", reading)? }
        }
        "lognormal" => {
            p.only(&["mean", "cv", "median", "sigma"], reading)?;
            if p.has("median") || p.has("sigma") {
                let (median, sigma) = (p.value::<K>("median", reading), p.value::<Plain>("sigma", reading));
                Distribution::lognormal_median_sigma(median?, sigma?)
            } else {
                let (mean, cv) = (p.value::<K>("mean", reading), p.value::<Plain>("cv", reading));
                Distribution::lognormal_mean_cv(mean?, cv?)
            }
        }
        "gamma" => {
            p.only(&["shape", "scale", "mean", "cv"], reading)?;
            if p.has("mean") || p.has("cv") {
                let (mean, cv) = (p.value::<K>("mean", reading), p.value::<Plain>("cv", reading));
                Distribution::gamma_mean_cv(mean?, cv?)
            } else {
                let (shape, scale) = (p.value::<Plain>("shape", reading), p.value::<K>("scale", reading));
                Distribution::Gamma { shape: shape?, scale: scale? }
            }
        }
        "weibull" => {
            p.only(&["shape", "scale"], reading)?;
            let (shape, scale) = (p.value::<Plain>("shape", reading), p.value::<K>("scale", reading));
            Distribution::Weibull { shape: shape?, scale: scale? }
        }
        "mixture" => {
            p.only(&["usual", "rare", "probability"], reading)?;
            let part = |key: &'static str, reading: &mut Reading| match entry.value.get(key) {
                Some(node) => Dist::<K>::decode(node, reading).map(|dist| Box::new(dist.distribution)),
                None => p.value::<K>(key, reading).map(|value| Box::new(Distribution::Constant(value))),
            };
            let (usual, rare) = (part("usual", reading), part("rare", reading));
            let probability = p.value::<Plain>("probability", reading);
            Distribution::Mixture { probability: probability?, usual: usual?, rare: rare? }
        }
        "empirical" => {
            let input = Empirical::decode(&entry.value, reading)?;
            let scale = match &input.unit {
                None => 1.0,
                Some(unit) => unit_scale(unit, reading)?,
            };
            super::workload::sample(&input.file, &input.column, scale, reading)?
        }
        other => {
            let problem =
                Problem::new(code::UNKNOWN_KEY, entry.key_place, format!("there is no distribution `{other}`"));
            reading.report(problem.label("unknown family").nearest(other, FAMILIES));
            return None;
        }
    };
    match distribution.validate() {
        Ok(()) => Some(distribution),
        Err(error) => {
            reading.report(
                Problem::new(code::INVALID, entry.value.place, error.to_string()).label("makes no distribution"),
            );
            None
        }
    }
}

/// Seconds, MiB or CPU units in one of `unit`.
pub(crate) fn unit_scale(unit: &At<String>, reading: &mut Reading) -> Option<f64> {
    let size = SIZE_UNITS.iter().find(|(name, _)| *name == unit.as_str()).map(|(_, scale)| *scale);
    let cpu = match unit.as_str() {
        "vCPU" => Some(1024.0),
        "mCPU" => Some(1.024),
        _ => None,
    };
    let scale = size.or(cpu).or_else(|| per_unit(unit));
    if scale.is_none() {
        let problem = Problem::new(code::UNKNOWN_VALUE, unit.place, format!("`{}` is no unit", unit.value));
        reading.report(problem.help("s, ms, us, min, h, d; MiB, GiB, MB, GB; vCPU, mCPU"));
    }
    scale
}
