//! What goes wrong: `faults`, and the Spot pools it goes wrong with.

use super::convert::{Context, not_modelled, zones};
use super::decode::{At, Count, Decode, Raw, keyword, object};
use super::diagnostic::{Problem, Reading, code};
use super::input::{FaultInput, SpotPoolInput};
use super::quantity::Plain;
use super::tree::Node;
use super::workload::rate;
use crate::catalog::catalog;
use crate::control_plane::api::ApiCall;
use crate::control_plane::estate::{Estate, Fault, FaultKind, FaultTime, Shortage, SpotPool, Victims};
use crate::ec2::instance::Market;
use crate::engine::time::SimTime;

/// Kinds that are modelled.
const KINDS: [&str; 6] = [
    "spotInterruption",
    "rebalanceRecommendation",
    "instanceFailure",
    "degradedHost",
    "insufficientCapacity",
    "azOutage",
];

/// Kinds that a scenario may ask for and nothing answers yet.
const UNMODELLED: [&str; 8] = [
    "azImpairment",
    "agentDisconnect",
    "taskCrash",
    "imagePullFailure",
    "slowBoot",
    "metricDelay",
    "metricGap",
    "apiThrottling",
];

object! {
    /// Hosts that a fault strikes: those that fit everything said.
    struct VictimsInput("`with` of this fault") {
        /// Group.
        group: Option<At<String>> = "autoScalingGroup",
        /// Type.
        instance_type: Option<At<String>> = "instanceType",
        /// Zone.
        zone: Option<At<String>> = "availabilityZone",
        /// Hosts, by id or launch number (#0).
        instances: Vec<At<String>> = "instances",
        /// How many, at random. Default: all.
        count: Option<Count> = "count",
    }
}

keyword! {
    /// How an instance is bought.
    enum MarketWord {
        /// On demand.
        OnDemand = "on-demand",
        /// Spot.
        Spot = "spot",
    }
}

object! {
    /// Launches that find no capacity: those that fit everything said.
    struct ShortageInput("`with` of insufficientCapacity") {
        /// Group.
        group: Option<At<String>> = "autoScalingGroup",
        /// Type.
        instance_type: Option<At<String>> = "instanceType",
        /// Zone.
        zone: Option<At<String>> = "availabilityZone",
        /// on-demand or spot. Default: both.
        market: Option<MarketWord> = "market",
    }
    refused { "capacityProvider": "shortages of Fargate", }
}

object! {
    /// The zone that is out.
    struct OutageInput("`with` of azOutage") {
        /// Zone.
        zone: At<String> = "availabilityZone",
    }
}

/// An entry of `faults`; `estate` is everything else of the file.
pub(crate) fn fault(input: &FaultInput, estate: &Estate, context: &Context, reading: &mut Reading) -> Option<Fault> {
    let when = match (&input.at, &input.every) {
        (Some(at), None) => FaultTime::At(SimTime::ZERO + at.value),
        (None, Some(every)) => FaultTime::Every(every.distribution.clone()),
        _ => {
            let message = "a fault needs `at` or `every`, and not both";
            reading.report(Problem::new(code::MISSING_KEY, input.place, message).help("at: 20m, or every: 1h"));
            return None;
        }
    };
    let empty = Node::empty_map(input.place);
    let with = input.with.as_ref().map_or(&empty, |Raw(node)| node);
    let kind = match input.fault.as_str() {
        "spotInterruption" => FaultKind::SpotInterruption(victims(with, estate, context, reading)?),
        "rebalanceRecommendation" => FaultKind::RebalanceRecommendation(victims(with, estate, context, reading)?),
        "instanceFailure" => FaultKind::InstanceFailure(victims(with, estate, context, reading)?),
        "degradedHost" => FaultKind::DegradedHost(victims(with, estate, context, reading)?),
        "insufficientCapacity" => {
            let input = ShortageInput::decode(with, reading)?;
            check(input.group.as_ref(), input.instance_type.as_ref(), input.zone.as_ref(), estate, context, reading)?;
            FaultKind::InsufficientCapacity(Shortage {
                group: input.group.map(|at| at.value),
                instance_type: input.instance_type.map(|at| at.value),
                zone: input.zone.map(|at| at.value),
                market: input.market.map(|word| match word {
                    MarketWord::OnDemand => Market::OnDemand,
                    MarketWord::Spot => Market::Spot,
                }),
            })
        }
        "azOutage" => {
            let input = OutageInput::decode(with, reading)?;
            check(None, None, Some(&input.zone), estate, context, reading)?;
            FaultKind::AzOutage { zone: input.zone.value }
        }
        other if UNMODELLED.contains(&other) => {
            not_modelled(input.fault.place, &format!("the fault `{other}`"), reading);
            return None;
        }
        other => {
            let message = format!("there is no fault `{other}`");
            let problem = Problem::new(code::UNKNOWN_VALUE, input.fault.place, message);
            reading.report(problem.nearest(other, KINDS.into_iter().chain(UNMODELLED)));
            return None;
        }
    };
    let lasts = input.lasts.as_ref();
    let has_length =
        matches!(kind, FaultKind::InsufficientCapacity(_) | FaultKind::AzOutage { .. } | FaultKind::DegradedHost(_));
    if let Some(at) = lasts.filter(|_| !has_length) {
        let message = format!("`{}` happens at an instant: it takes no `for`", kind.name());
        reading.report(Problem::new(code::INVALID, at.place, message));
    }
    Some(Fault { when, lasts: lasts.map(|at| at.value), kind })
}

fn victims(with: &Node, estate: &Estate, context: &Context, reading: &mut Reading) -> Option<Victims> {
    let input = VictimsInput::decode(with, reading)?;
    check(input.group.as_ref(), input.instance_type.as_ref(), input.zone.as_ref(), estate, context, reading)?;
    Some(Victims {
        group: input.group.map(|at| at.value),
        instance_type: input.instance_type.map(|at| at.value),
        zone: input.zone.map(|at| at.value),
        instances: input.instances.into_iter().map(|at| at.value).collect(),
        count: input.count.map(Count::get),
    })
}

/// Names of groups, types and zones that exist.
fn check(
    group: Option<&At<String>>,
    instance_type: Option<&At<String>>,
    zone: Option<&At<String>>,
    estate: &Estate,
    context: &Context,
    reading: &mut Reading,
) -> Option<()> {
    if let Some(name) = group {
        let created = estate.actions.iter().filter_map(|action| match &action.call {
            ApiCall::CreateAutoScalingGroup(call) => Some(call.name.as_str()),
            _ => None,
        });
        let known: Vec<&str> = estate.groups.iter().map(|group| group.name.as_str()).chain(created).collect();
        if !known.contains(&name.as_str()) {
            let message = format!("there is no Auto Scaling group `{}`", name.value);
            reading.report(Problem::new(code::UNKNOWN_NAME, name.place, message).nearest(name, known));
            return None;
        }
    }
    if let Some(name) = instance_type {
        known_type(name, reading)?;
    }
    zone.map_or(Some(()), |zone| zones([zone], context, reading).map(|_| ()))
}

fn known_type(name: &At<String>, reading: &mut Reading) -> Option<()> {
    if catalog().instance_type(name).is_some() {
        return Some(());
    }
    let message = format!("the catalogue has no instance type `{}`", name.value);
    let problem = Problem::new(code::UNKNOWN_NAME, name.place, message);
    reading.report(problem.nearest(name, catalog().nearest_instance_types(name, 1)));
    None
}

/// An entry of `spotPools`.
pub(crate) fn spot_pool(input: &SpotPoolInput, context: &Context, reading: &mut Reading) -> Option<SpotPool> {
    known_type(&input.instance_type, reading)?;
    if let Some(zone) = &input.zone {
        zones([zone], context, reading)?;
    }
    let capacity = match &input.capacity {
        None => None,
        Some(Raw(node)) => {
            let capacity = rate::<Plain>(node, context, reading)?;
            if !capacity.is_piecewise_constant() {
                let message = "the capacity of a pool changes in steps";
                let problem = Problem::new(code::INVALID, node.place, message);
                reading.report(problem.help("capacity: {steps: [[0s, 20], [1h, 5]]}"));
                return None;
            }
            Some(capacity)
        }
    };
    Some(SpotPool {
        instance_type: input.instance_type.value.clone(),
        zone: input.zone.as_ref().map(|zone| zone.value.clone()),
        price_per_hour: input.price.as_ref().map(|price| price.value),
        capacity,
        interruptions_per_hour: input.interruptions.as_ref().map(|rate| rate.value),
    })
}
