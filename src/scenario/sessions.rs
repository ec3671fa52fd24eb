//! Sticky target groups: what a balancer refuses, and clients that nobody sees (ELB-7).

use super::diagnostic::{Problem, Reading, code};
use super::input::{ScenarioFile, TargetGroupInput};
use super::source::Place;
use crate::control_plane::estate::{Demand, Estate, RequestModel};
use crate::ecs::target_group::{BalancerKind, CreateTargetGroup};

/// Every check of stickiness that looks at more than one entry.
pub(super) fn check(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    for input in file.target_groups.iter() {
        let group = estate.target_groups.iter().find(|group| group.name == input.name.value);
        if let Some(group) = group.filter(|group| group.stickiness.is_some()) {
            supported(input, group, estate, reading);
            seen(input, estate, reading);
        }
    }
}

/// Where an attribute of a group is.
fn place_of(input: &TargetGroupInput, key: &str) -> Place {
    let attribute = input.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    attribute.map_or(input.place, |attribute| attribute.key.place)
}

fn supported(input: &TargetGroupInput, group: &CreateTargetGroup, estate: &Estate, reading: &mut Reading) {
    let balancer = estate.load_balancers.iter().find(|balancer| Some(&balancer.name) == group.load_balancer.as_ref());
    let kind = balancer.map_or_else(BalancerKind::default, |balancer| balancer.kind);
    let type_of = group.stickiness.and_then(|stickiness| stickiness.kind);
    if let Some(type_of) = type_of.filter(|type_of| !type_of.is_of(kind)) {
        let whose = if kind == BalancerKind::Network { "a Network" } else { "an Application" };
        let message = format!(
            "Stickiness type '{}' is not supported for target groups of {whose} Load Balancer",
            type_of.as_str()
        );
        let place = place_of(input, "stickiness.type");
        reading.report(Problem::aws("InvalidConfigurationRequest", "ELB-7", place, message));
    }
    if kind == BalancerKind::Application && group.cross_zone == Some(false) {
        let message = "Stickiness is not supported when cross-zone load balancing is off for the target group";
        let place = place_of(input, "stickiness.enabled");
        reading.report(Problem::aws("InvalidConfigurationRequest", "ELB-7", place, message));
    }
}

/// Requests without clients to a group that knows its clients again.
fn seen(input: &TargetGroupInput, estate: &Estate, reading: &mut Reading) {
    let name = &input.name.value;
    let of_group = |cluster: &str, service: &str| {
        let call = estate.services.iter().find(|call| call.cluster == cluster && call.name == service);
        call.is_some_and(|call| call.load_balancers.iter().any(|entry| entry.target_group == *name))
    };
    let blind = estate.workloads.iter().find_map(|workload| match &workload.demand {
        Demand::Requests { service: (cluster, service), model, .. } if of_group(cluster, service) => match model {
            RequestModel::Fluid => {
                Some((workload, "are a flow, which has no clients", "model: perRequest, clients: 500"))
            }
            RequestModel::PerRequest(spec) if spec.clients.is_none() => {
                Some((workload, "are each of a client of its own", "clients: 500 says how many are there at once"))
            }
            RequestModel::PerRequest(_) => None,
        },
        _ => None,
    });
    if let Some((workload, why, help)) = blind {
        let message = format!("nobody sticks to a target: the requests of `{}` {why}", workload.name);
        let place = place_of(input, "stickiness.enabled");
        let problem = Problem::new(code::IGNORED, place, message).label("has no effect here");
        reading.report(problem.help(help).into_warning());
    }
}
