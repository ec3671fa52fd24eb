//! From inputs to the calls of the control plane, with AWS's own checks of each call on its way.
//!
//! What needs to look at other parts of the scenario (does that service exist?) is in [`super::references`].

pub(crate) mod auto_scaling;
pub(crate) mod ecs;
pub(crate) mod run;
pub(crate) mod scaling;

use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::source::Place;

/// What conversions need to know of the run.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The Region.
    pub(crate) region: String,
    /// The wall-clock instant of time zero.
    pub(crate) start: jiff::Timestamp,
    /// Zones of what names none.
    pub(crate) default_zones: Vec<String>,
}

/// The name in an ARN, or the text itself when it is none.
pub(crate) fn name_in_arn(text: &str) -> &str {
    if !text.starts_with("arn:") {
        return text;
    }
    if let Some((_, rest)) = text.split_once(":targetgroup/") {
        return rest.split('/').next().unwrap_or(rest);
    }
    text.rsplit('/').next().unwrap_or(text)
}

/// A cluster, by name or ARN; `default` when none is given.
pub(crate) fn cluster_name(cluster: Option<&At<String>>) -> String {
    cluster.map_or("default", |name| name_in_arn(name)).to_owned()
}

/// Availability Zones as the scenario names them; anything else is reported.
pub(crate) fn zones<'a>(
    names: impl IntoIterator<Item = &'a At<String>>,
    context: &Context,
    reading: &mut Reading,
) -> Option<Vec<String>> {
    let mut zones = Vec::new();
    let mut all = true;
    for name in names {
        for zone in name.split(',').map(str::trim).filter(|zone| !zone.is_empty()) {
            if is_zone_of(zone, &context.region) {
                if !zones.iter().any(|known| known == zone) {
                    zones.push(zone.to_owned());
                }
                continue;
            }
            all = false;
            let message = format!("`{zone}` is no Availability Zone of {}", context.region);
            let mut problem = Problem::new(code::UNKNOWN_NAME, name.place, message).label("not a zone");
            problem = if zone.starts_with("subnet-") {
                problem.help(format!("ecsim's networks are zones: write {}", context.default_zones.join(", ")))
            } else {
                problem.nearest(zone, context.default_zones.iter().map(String::as_str))
            };
            reading.report(problem);
        }
    }
    all.then_some(zones)
}

fn is_zone_of(zone: &str, region: &str) -> bool {
    let letter = zone.strip_prefix(region);
    letter.is_some_and(|letter| letter.len() == 1 && letter.bytes().all(|byte| byte.is_ascii_lowercase()))
}

/// Refuses what would change the result and is not modelled yet.
pub(crate) fn not_modelled(place: Place, what: &str, reading: &mut Reading) {
    reading.report(
        Problem::new(code::NOT_MODELLED, place, format!("not modelled yet: {what}"))
            .label("would change the result")
            .help("take it out to run without it"),
    );
}
