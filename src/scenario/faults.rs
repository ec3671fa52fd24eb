//! What goes wrong: `faults`, and the Spot pools it goes wrong with.

use super::convert::instance_types::known_type;
use super::convert::{Context, zones};
use super::decode::{At, Count, Decode, Raw, keyword, object};
use super::diagnostic::{Problem, Reading, code};
use super::input::{FaultInput, SpotPoolInput};
use super::quantity::Plain;
use super::tree::Node;
use super::workload::rate;
use crate::control_plane::api::ApiCall;
use crate::control_plane::estate::{
    Estate, FargateShortage, FargateSpotPool, Fault, FaultKind, FaultTime, HostBoots, MetricNames, PullFailure, Pulls,
    Shortage, SpotPool, TaskVictims, Throttling, Victims,
};
use crate::ec2::instance::Market;
use crate::ecs::throttling::ApiBucket;
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::rate::Rate;

/// Every kind.
const KINDS: [&str; 15] = [
    "spotInterruption",
    "rebalanceRecommendation",
    "instanceFailure",
    "insufficientCapacity",
    "azOutage",
    "azImpairment",
    "degradedHost",
    "agentDisconnect",
    "taskCrash",
    "platformRetirement",
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
}

keyword! {
    /// A capacity provider of Fargate.
    enum FargateWord {
        /// On demand.
        Fargate = "FARGATE",
        /// Spot.
        Spot = "FARGATE_SPOT",
    }
}

object! {
    /// Launches on Fargate that find no capacity.
    struct FargateShortageInput("`with` of insufficientCapacity") {
        /// FARGATE or FARGATE_SPOT.
        provider: At<FargateWord> = "capacityProvider",
        /// Zone. Default: every zone.
        zone: Option<At<String>> = "availabilityZone",
    }
}

object! {
    /// Tasks that a fault strikes: those that fit everything said.
    struct TaskVictimsInput("`with` of this fault") {
        /// FARGATE_SPOT: its tasks are taken back.
        provider: Option<At<FargateWord>> = "capacityProvider",
        /// Cluster.
        cluster: Option<At<String>> = "cluster",
        /// Service.
        service: Option<At<String>> = "service",
        /// Task group, for example family:job.
        group: Option<At<String>> = "group",
        /// Zone.
        zone: Option<At<String>> = "availabilityZone",
        /// How many, at random. Default: all.
        count: Option<Count> = "count",
    }
}

object! {
    /// Pulls that fail: those that fit everything said.
    struct PullsInput("`with` of imagePullFailure") {
        /// Image, as containers name it.
        image: Option<At<String>> = "image",
        /// Family of the task definition.
        family: Option<At<String>> = "family",
        /// Zone of the task.
        zone: Option<At<String>> = "availabilityZone",
        /// Whether the registry answers and then nothing comes, instead of not being reached. Default false.
        stalls: Option<bool> = "stalls",
    }
}

object! {
    /// Launches that are slow: those that fit everything said.
    struct SlowBootInput("`with` of slowBoot") {
        /// How many times as long each step takes. Default 3.
        factor: Option<At<f64>> = "factor",
        /// Group.
        group: Option<At<String>> = "autoScalingGroup",
        /// Type.
        instance_type: Option<At<String>> = "instanceType",
        /// Zone.
        zone: Option<At<String>> = "availabilityZone",
    }
}

object! {
    /// Hosts that are slow, and how much.
    struct DegradedInput("`with` of degradedHost") {
        /// Share of its CPU that each has left. Default 0.5.
        speed: Option<At<f64>> = "speed",
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

object! {
    /// Metrics whose datapoints are late: those that fit everything said.
    struct MetricDelayInput("`with` of metricDelay") {
        /// By how much. Default 5m.
        by: Option<SimDuration> = "by",
        /// Namespace, for example AWS/ECS.
        namespace: Option<At<String>> = "Namespace",
        /// Metric.
        name: Option<At<String>> = "MetricName",
    }
}

object! {
    /// Metrics whose datapoints are lost: those that fit everything said.
    struct MetricGapInput("`with` of metricGap") {
        /// Namespace, for example AWS/ECS.
        namespace: Option<At<String>> = "Namespace",
        /// Metric.
        name: Option<At<String>> = "MetricName",
    }
}

object! {
    /// Calls that find fewer tokens.
    struct ThrottlingInput("`with` of apiThrottling") {
        /// Token bucket, for example clusterResourceModify. Default: every one.
        bucket: Option<At<String>> = "bucket",
        /// Share of burst and refill that is left. Default 0: every call is refused.
        left: Option<At<f64>> = "left",
    }
}

object! {
    /// The zone that is out, or impaired.
    struct OutageInput("`with` of this fault") {
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
        "spotInterruption" if with.get("capacityProvider").is_some() => {
            let victims = TaskVictimsInput::decode(with, reading)?;
            if let Some(provider) = victims.provider.as_ref().filter(|word| word.value == FargateWord::Fargate) {
                let message = "FARGATE is never interrupted, only FARGATE_SPOT is";
                reading.report(Problem::new(code::INVALID, provider.place, message));
                return None;
            }
            FaultKind::FargateSpotInterruption(task_victims(victims, estate, context, reading)?)
        }
        kind @ ("taskCrash" | "platformRetirement") => {
            let victims = TaskVictimsInput::decode(with, reading)?;
            let crash = kind == "taskCrash";
            if let Some(provider) = &victims.provider {
                let whose = if crash { "tasks wherever they run" } else { "tasks of both providers of Fargate" };
                let message = format!("{kind} strikes {whose}: it takes no `capacityProvider`");
                reading.report(Problem::new(code::INVALID, provider.place, message));
                return None;
            }
            let victims = task_victims(victims, estate, context, reading)?;
            if crash { FaultKind::TaskCrash(victims) } else { FaultKind::PlatformRetirement(victims) }
        }
        "agentDisconnect" => FaultKind::AgentDisconnect(victims(with, estate, context, reading)?),
        "degradedHost" => {
            let input = DegradedInput::decode(with, reading)?;
            let speed = share(input.speed.as_ref(), 0.5, reading)?;
            if speed == 0 {
                let place = input.speed.map_or(input.place, |speed| speed.place);
                let message = "a degraded host still gives some CPU: instanceFailure ends it";
                reading.report(Problem::new(code::OUT_OF_RANGE, place, message));
                return None;
            }
            let hosts = VictimsInput {
                place: input.place,
                group: input.group,
                instance_type: input.instance_type,
                zone: input.zone,
                instances: input.instances,
                count: input.count,
            };
            FaultKind::DegradedHost { hosts: checked(hosts, estate, context, reading)?, speed_permille: speed }
        }
        "imagePullFailure" => {
            let input = PullsInput::decode(with, reading)?;
            check(None, None, input.zone.as_ref(), estate, context, reading)?;
            FaultKind::ImagePullFailure(Pulls {
                image: input.image.map(|at| at.value),
                family: input.family.map(|at| at.value),
                zone: input.zone.map(|at| at.value),
                failure: if input.stalls == Some(true) { PullFailure::Stalls } else { PullFailure::Unreachable },
            })
        }
        "slowBoot" => {
            let input = SlowBootInput::decode(with, reading)?;
            check(input.group.as_ref(), input.instance_type.as_ref(), input.zone.as_ref(), estate, context, reading)?;
            if let Some(factor) = input.factor.as_ref().filter(|factor| !(1.0..=1000.0).contains(&factor.value)) {
                let message = format!("a boot is 1 to 1000 times as slow, not {}", factor.value);
                reading.report(Problem::new(code::OUT_OF_RANGE, factor.place, message));
                return None;
            }
            FaultKind::SlowBoot(HostBoots {
                factor: input.factor.map_or(3.0, |factor| factor.value),
                of: Shortage {
                    group: input.group.map(|at| at.value),
                    instance_type: input.instance_type.map(|at| at.value),
                    zone: input.zone.map(|at| at.value),
                    market: None,
                },
            })
        }
        "metricDelay" => {
            let input = MetricDelayInput::decode(with, reading)?;
            FaultKind::MetricDelay {
                by: input.by.unwrap_or(SimDuration::from_mins(5)),
                metrics: MetricNames {
                    namespace: input.namespace.map(|at| at.value),
                    name: input.name.map(|at| at.value),
                },
            }
        }
        "metricGap" => {
            let input = MetricGapInput::decode(with, reading)?;
            FaultKind::MetricGap(MetricNames {
                namespace: input.namespace.map(|at| at.value),
                name: input.name.map(|at| at.value),
            })
        }
        "apiThrottling" => {
            let input = ThrottlingInput::decode(with, reading)?;
            let bucket = match &input.bucket {
                None => None,
                Some(name) => Some(api_bucket(name, reading)?),
            };
            FaultKind::ApiThrottling(Throttling { bucket, left_permille: share(input.left.as_ref(), 0.0, reading)? })
        }
        "spotInterruption" => FaultKind::SpotInterruption(victims(with, estate, context, reading)?),
        "rebalanceRecommendation" => FaultKind::RebalanceRecommendation(victims(with, estate, context, reading)?),
        "instanceFailure" => FaultKind::InstanceFailure(victims(with, estate, context, reading)?),
        "insufficientCapacity" if with.get("capacityProvider").is_some() => {
            let input = FargateShortageInput::decode(with, reading)?;
            check(None, None, input.zone.as_ref(), estate, context, reading)?;
            FaultKind::FargateShortage(FargateShortage {
                spot: input.provider.value == FargateWord::Spot,
                zone: input.zone.map(|at| at.value),
            })
        }
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
        "azImpairment" => {
            let input = OutageInput::decode(with, reading)?;
            check(None, None, Some(&input.zone), estate, context, reading)?;
            FaultKind::AzImpairment { zone: input.zone.value }
        }
        other => {
            let message = format!("there is no fault `{other}`");
            let problem = Problem::new(code::UNKNOWN_VALUE, input.fault.place, message);
            reading.report(problem.nearest(other, KINDS));
            return None;
        }
    };
    let lasts = input.lasts.as_ref();
    if let Some(at) = lasts.filter(|_| !kind.lasts()) {
        let message = format!("`{}` happens at an instant: it takes no `for`", kind.name());
        reading.report(Problem::new(code::INVALID, at.place, message));
    }
    Some(Fault { when, lasts: lasts.map(|at| at.value), kind })
}

fn victims(with: &Node, estate: &Estate, context: &Context, reading: &mut Reading) -> Option<Victims> {
    checked(VictimsInput::decode(with, reading)?, estate, context, reading)
}

fn checked(input: VictimsInput, estate: &Estate, context: &Context, reading: &mut Reading) -> Option<Victims> {
    check(input.group.as_ref(), input.instance_type.as_ref(), input.zone.as_ref(), estate, context, reading)?;
    Some(Victims {
        group: input.group.map(|at| at.value),
        instance_type: input.instance_type.map(|at| at.value),
        zone: input.zone.map(|at| at.value),
        instances: input.instances.into_iter().map(|at| at.value).collect(),
        count: input.count.map(Count::get),
    })
}

fn task_victims(
    input: TaskVictimsInput,
    estate: &Estate,
    context: &Context,
    reading: &mut Reading,
) -> Option<TaskVictims> {
    check(None, None, input.zone.as_ref(), estate, context, reading)?;
    if let Some(name) = &input.service {
        let created = estate.actions.iter().filter_map(|action| match &action.call {
            ApiCall::CreateService(call) => Some(call.name.as_str()),
            _ => None,
        });
        let known: Vec<&str> = estate.services.iter().map(|service| service.name.as_str()).chain(created).collect();
        if !known.contains(&name.as_str()) {
            let message = format!("there is no service `{}`", name.value);
            reading.report(Problem::new(code::UNKNOWN_NAME, name.place, message).nearest(name, known));
            return None;
        }
        if let Some(group) = &input.group {
            let message = "a fault names a `service` or a task `group`, not both";
            reading.report(Problem::new(code::INVALID, group.place, message));
            return None;
        }
    }
    let of_service = input.service.map(|service| format!("service:{}", service.value));
    Some(TaskVictims {
        cluster: input.cluster.map(|at| at.value),
        group: of_service.or_else(|| input.group.map(|at| at.value)),
        zone: input.zone.map(|at| at.value),
        count: input.count.map(Count::get),
    })
}

/// A share between 0 and 1, in thousandths.
fn share(input: Option<&At<f64>>, default: f64, reading: &mut Reading) -> Option<u32> {
    if let Some(at) = input.filter(|at| !(0.0..=1.0).contains(&at.value)) {
        let message = format!("a share is between 0 and 1, not {}", at.value);
        reading.report(Problem::new(code::OUT_OF_RANGE, at.place, message));
        return None;
    }
    Some((input.map_or(default, |at| at.value) * 1000.0).round() as u32)
}

fn api_bucket(name: &At<String>, reading: &mut Reading) -> Option<ApiBucket> {
    let found = ApiBucket::ALL.into_iter().find(|bucket| bucket.as_str() == name.value);
    if found.is_none() {
        let message = format!("the API has no token bucket `{}`", name.value);
        let problem = Problem::new(code::UNKNOWN_NAME, name.place, message);
        reading.report(problem.nearest(name, ApiBucket::ALL.map(ApiBucket::as_str)));
    }
    found
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

/// Entries of `spotPools`: those of EC2, and those of Fargate Spot.
pub(crate) fn spot_pools<'i>(
    inputs: impl Iterator<Item = &'i SpotPoolInput>,
    context: &Context,
    reading: &mut Reading,
) -> (Vec<SpotPool>, Vec<FargateSpotPool>) {
    let (mut machines, mut fargate) = (Vec::new(), Vec::new());
    for input in inputs {
        match (&input.instance_type, &input.provider) {
            (Some(instance_type), None) => machines.extend(spot_pool(input, instance_type, context, reading)),
            (None, Some(_)) => fargate.extend(fargate_spot_pool(input, context, reading)),
            _ => {
                let message = "a Spot pool is of an `InstanceType`, or of `capacityProvider: FARGATE_SPOT`";
                reading.report(Problem::new(code::MISSING_KEY, input.place, message));
            }
        }
    }
    (machines, fargate)
}

fn fargate_spot_pool(input: &SpotPoolInput, context: &Context, reading: &mut Reading) -> Option<FargateSpotPool> {
    if let Some(provider) = input.provider.as_ref().filter(|name| name.value != "FARGATE_SPOT") {
        let message = format!("only FARGATE_SPOT is taken back, `{}` is not", provider.value);
        reading.report(Problem::new(code::UNKNOWN_VALUE, provider.place, message));
        return None;
    }
    let told = [("pricePerHour", input.price.is_some()), ("capacity", input.capacity.is_some())];
    if let Some((key, _)) = told.iter().find(|(_, given)| *given) {
        let message = format!("Fargate Spot has no `{key}` here");
        let help = "its price is `behaviour.fargate_spot_ratio`; a fault `insufficientCapacity` makes it short";
        reading.report(Problem::new(code::INVALID, input.place, message).help(help));
        return None;
    }
    if let Some(zone) = &input.zone {
        zones([zone], context, reading)?;
    }
    Some(FargateSpotPool {
        zone: input.zone.as_ref().map(|zone| zone.value.clone()),
        interruptions_per_hour: input.interruptions.as_ref().map_or(0.0, |rate| rate.value),
    })
}

fn spot_pool(
    input: &SpotPoolInput,
    instance_type: &At<String>,
    context: &Context,
    reading: &mut Reading,
) -> Option<SpotPool> {
    known_type(instance_type, reading)?;
    if let Some(zone) = &input.zone {
        zones([zone], context, reading)?;
    }
    let capacity = ("capacity", "{steps: [[0s, 20], [1h, 5]]}");
    let price = ("pricePerHour", "{steps: [[0s, 0.04], [1h, 0.12]]}");
    let capacity = steps_of_pool(input.capacity.as_ref(), capacity, context, reading)?;
    let price_per_hour = steps_of_pool(input.price.as_ref(), price, context, reading)?;
    Some(SpotPool {
        instance_type: instance_type.value.clone(),
        zone: input.zone.as_ref().map(|zone| zone.value.clone()),
        price_per_hour,
        capacity,
        interruptions_per_hour: input.interruptions.as_ref().map(|rate| rate.value),
    })
}

/// What changes in steps in a Spot pool, if the scenario says anything of it; `None` once it is refused.
#[expect(clippy::option_option, reason = "refused, not said, and said are three things")]
fn steps_of_pool(
    input: Option<&Raw>,
    (key, example): (&str, &str),
    context: &Context,
    reading: &mut Reading,
) -> Option<Option<Rate>> {
    let Some(Raw(node)) = input else { return Some(None) };
    let rate = rate::<Plain>(node, context, reading)?;
    if !rate.is_piecewise_constant() {
        let problem = Problem::new(code::INVALID, node.place, format!("the {key} of a pool changes in steps"));
        reading.report(problem.help(format!("{key}: {example}")));
        return None;
    }
    Some(Some(rate))
}
