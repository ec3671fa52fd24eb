//! From inputs to the calls of the control plane, with AWS's own checks of each call on its way.
//!
//! What needs to look at other parts of the scenario (does that service exist?) is in [`super::references`].

pub(crate) mod auto_scaling;
pub(crate) mod balancing;
pub(crate) mod cloudwatch;
pub(crate) mod definition_checks;
mod deployment;
pub(crate) mod ecs;
pub(crate) mod images;
pub(crate) mod instance_types;
pub(crate) mod process;
pub(crate) mod run;
pub(crate) mod scaling;
pub(crate) mod volumes;

use crate::arn;
use crate::engine::time::SimDuration;
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
    /// How long the run is.
    pub(crate) run: SimDuration,
    /// Zones of what names none.
    pub(crate) default_zones: Vec<String>,
    /// Every service that the file names, as cluster and name.
    pub(crate) services: Vec<(String, String)>,
}

impl Context {
    /// Cluster and name of a service that is written as [`arn::service`] takes it.
    ///
    /// Without a cluster it is that of `default`, else that of the one cluster which has a service of the name.
    pub(crate) fn service(&self, text: &str) -> (String, String) {
        let (cluster, name) = match arn::service(text) {
            (Some(cluster), name) => (cluster, name),
            (None, name) => match self.clusters_of(name)[..] {
                [cluster] => (cluster, name),
                _ => ("default", name),
            },
        };
        (cluster.to_owned(), name.to_owned())
    }

    /// The clusters with a service called `name`.
    pub(crate) fn clusters_of(&self, name: &str) -> Vec<&str> {
        let of_name = self.services.iter().filter(|(_, service)| service == name);
        let mut clusters: Vec<&str> = of_name.map(|(cluster, _)| cluster.as_str()).collect();
        clusters.dedup();
        clusters
    }
}

/// A cluster, by name or ARN; `default` when none is given.
pub(crate) fn cluster_name(cluster: Option<&At<String>>) -> String {
    cluster.map_or("default", |name| arn::name(name)).to_owned()
}

/// Availability Zones as the scenario names them; anything else is reported.
///
/// The id of a subnet that does not end in a zone says nothing about zones: with one of these, no zones are returned,
/// which stands for all of them.
pub(crate) fn zones<'a>(
    names: impl IntoIterator<Item = &'a At<String>>,
    context: &Context,
    reading: &mut Reading,
) -> Option<Vec<String>> {
    let mut zones: Vec<String> = Vec::new();
    let (mut known, mut anywhere) = (true, false);
    for name in names {
        for text in name.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let zone = match text.strip_prefix("subnet-") {
                Some(id) => id.get(id.len().saturating_sub(context.region.len() + 1)..).unwrap_or(id),
                None => text,
            };
            if is_zone_of(zone, &context.region) {
                if !zones.iter().any(|known| known == zone) {
                    zones.push(zone.to_owned());
                }
            } else if text.starts_with("subnet-") {
                anywhere = true;
                let message = format!("`{text}` says no Availability Zone, so it stands for all of them");
                let problem = Problem::new(code::IGNORED, name.place, message).label("any zone");
                let help = format!("zones are written in place of subnets: {}", context.default_zones.join(", "));
                reading.warn_once("subnets", problem.help(help));
            } else {
                known = false;
                let message = format!("`{text}` is no Availability Zone of {}", context.region);
                let problem = Problem::new(code::UNKNOWN_NAME, name.place, message).label("not a zone");
                reading.report(problem.nearest(text, context.default_zones.iter().map(String::as_str)));
            }
        }
    }
    known.then(|| if anywhere { Vec::new() } else { zones })
}

/// `us-east-1a`: no Region has more than six zones.
fn is_zone_of(zone: &str, region: &str) -> bool {
    let letter = zone.strip_prefix(region);
    letter.is_some_and(|letter| letter.len() == 1 && letter.bytes().all(|byte| (b'a'..=b'f').contains(&byte)))
}

/// Refuses what would change the result and is not modelled yet.
pub(crate) fn not_modelled(place: Place, what: &str, reading: &mut Reading) {
    reading.report(
        Problem::new(code::NOT_MODELLED, place, format!("not modelled yet: {what}"))
            .label("would change the result")
            .help("take it out to run without it"),
    );
}
