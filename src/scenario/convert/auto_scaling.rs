//! Auto Scaling groups, their policies and their updates (ASG-*).

use std::collections::BTreeMap;

use super::{Context, not_modelled, zones};
use crate::arn;
use crate::catalog::catalog;
use crate::control_plane::api::{PutLifecycleHook, PutScalingPolicy, PutScheduledAction, UpdateAutoScalingGroup};
use crate::ec2::auto_scaling_group::{
    CreateAutoScalingGroup, InstanceTypes, InstancesDistribution, OnDemandAllocation, RegisteredOverride,
    SpotAllocation,
};
use crate::ec2::instance_refresh::{DesiredConfiguration, ProtectedInstances, StandbyInstances, StartInstanceRefresh};
use crate::ec2::launch_template::LaunchSpecification;
use crate::ec2::lifecycle_hook::{HookResult, LifecycleHook, Transition};
use crate::ec2::replacement::MaintenancePolicy;
use crate::ec2::termination_policy::TerminationPolicy;
use crate::ec2::warm_pool::{PoolState, PutWarmPool};
use crate::ecs::capability::WINDOWS_FAMILIES;
use crate::ecs::container_instance::{AttributeError, Attributes};
use crate::engine::time::SimDuration;
use crate::scaling::policy::{PolicyDefinition, SimpleScalingPolicy, StepScalingPolicy};
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::scheduled_action::SizeChange;
use crate::scaling::step_scaling;
use crate::scenario::convert::scaling::{
    checked_policy, checked_schedule, instant, schedule_or_report, steps, target_tracking, zone_name,
};
use crate::scenario::convert::{cluster_name, images};
use crate::scenario::decode::{At, Count, Decode, Raw, Whole, object};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{
    DistributionInput, GroupInput, GroupPolicyInput, GroupScheduledActionInput, HookInput, LaunchTemplateInput,
    MaintenancePolicyInput, MixedInstancesInput, StartRefreshInput, TypeOverrideInput, UpdateGroupInput, WarmPoolInput,
    ZoneDistributionInput,
};
use crate::scenario::quantity::{Dist, Seconds};
use crate::scenario::source::Place;
use crate::schedule::Schedule;
use crate::units::{CpuUnits, MiB};

const VALIDATION: &str = "ValidationError";
/// The agent that the specification describes.
const AGENT_VERSION: &str = "1.105.1";

/// Spot allocation strategies; `lowest-price` has a number of pools besides.
const SPOT_ALLOCATIONS: [(&str, Option<SpotAllocation>); 4] = [
    ("lowest-price", None),
    ("capacity-optimized", Some(SpotAllocation::CapacityOptimized)),
    ("capacity-optimized-prioritized", Some(SpotAllocation::CapacityOptimizedPrioritized)),
    ("price-capacity-optimized", Some(SpotAllocation::PriceCapacityOptimized)),
];

/// `create-auto-scaling-group`.
pub(crate) fn group(input: &GroupInput, context: &Context, reading: &mut Reading) -> Option<CreateAutoScalingGroup> {
    let (min, max) = (input.min_size.get(), input.max_size.get());
    if min > max {
        let message = format!("Max bound, {max}, must be greater than or equal to min bound, {min}");
        let problem = Problem::aws(VALIDATION, "ASG-1", input.max_size.place, message);
        reading.report(problem.also(input.min_size.place, "the min bound"));
    } else if let Some(desired) =
        input.desired_capacity.as_ref().filter(|desired| !(min..=max).contains(&desired.get()))
    {
        let message = format!(
            "Desired capacity:{} must be between the specified min size:{min} and max size:{max}",
            desired.get()
        );
        reading.report(Problem::aws(VALIDATION, "ASG-1", desired.place, message));
    }
    let types = match (input.mixed.as_ref(), input.instance_type.as_ref()) {
        (None, None) => {
            missing_type(input, reading);
            None
        }
        (mixed, one) => instance_types(mixed, one, input.name.as_str(), input.place, reading),
    };
    let zones = known_zones(&input.availability_zones, input.vpc_zone_identifier.as_ref(), context, reading);
    let termination_policies = termination_policies(&input.termination_policies, reading);
    let registered = registered_resources(input, reading);
    let max_instance_lifetime = input.max_lifetime.as_ref().and_then(|lifetime| max_lifetime(lifetime, reading));
    let maintenance_policy = input.maintenance_policy.as_ref().and_then(|policy| maintenance_policy(policy, reading));
    check_attributes(input, reading);
    let launch_from = launch_specification(
        input.launch_template.as_ref(),
        input.launch_configuration.as_ref(),
        input.mixed.as_ref(),
        reading,
    );
    let InstanceTypes { names, weights, distribution } = types?;
    Some(CreateAutoScalingGroup {
        name: input.name.value.clone(),
        min_size: min,
        max_size: max,
        desired_capacity: input.desired_capacity.as_ref().map(|count| count.get()),
        availability_zones: zones?,
        launch_from: launch_from?.unwrap_or_default(),
        instance_types: names,
        weights,
        mixed: distribution.is_some(),
        distribution: distribution.unwrap_or_default(),
        balanced_only: balanced_only(input.zone_distribution.as_ref(), reading).unwrap_or(false),
        capacity_rebalance: input.capacity_rebalance.unwrap_or(false),
        ecs_spot_instance_draining: input.ecs_spot_instance_draining.unwrap_or(false),
        new_instances_protected: input.new_protected.unwrap_or(false),
        termination_policies: termination_policies?,
        default_cooldown: SimDuration::from_secs(
            input.default_cooldown.map_or(300, |cooldown| u64::from(cooldown.get())),
        ),
        default_instance_warmup: input
            .default_instance_warmup
            .filter(|warmup| warmup.signed() >= 0)
            .map(|warmup| SimDuration::from_secs(u64::from(warmup.get()))),
        health_check_grace: input.health_check_grace.map(seconds).unwrap_or_default(),
        max_instance_lifetime,
        maintenance_policy,
        lifecycle_hooks: input
            .hooks
            .iter()
            .filter_map(|hook| {
                let (heartbeat, result) = (hook.heartbeat.as_ref(), hook.default_result.as_ref());
                lifecycle_hook(&hook.name, &hook.transition, heartbeat, result, hook.completes_after.as_ref(), reading)
            })
            .collect(),
        suspended_processes: Vec::new(),
        cluster: cluster_name(input.cluster.as_ref()),
        ecs_attributes: input
            .ecs_attributes
            .0
            .iter()
            .map(|(name, value)| (name.value.clone(), value.value.clone()))
            .collect::<BTreeMap<_, _>>(),
        agent: images::agent_config(input, reading),
        windows_family: windows_family(input, reading),
        ecs_agent_version: input.ecs_agent_version.clone().unwrap_or_else(|| AGENT_VERSION.to_owned()),
        ecs_reserved_memory: MiB(input.ecs_reserved_memory.map_or(0, |memory| u64::from(memory.get()))),
        registered_resources: registered?,
        host_memory_bytes: input.host_memory_bytes.map(|bytes| bytes.signed().unsigned_abs()),
    })
}

/// TD-25: what its hosts run, when that is not Linux.
fn windows_family(input: &GroupInput, reading: &mut Reading) -> Option<String> {
    let at = input.operating_system.as_ref().filter(|at| at.value != "LINUX")?;
    if !WINDOWS_FAMILIES.contains(&at.as_str()) {
        let message = format!("`{}` is no operating system family", at.value);
        let problem = Problem::new(code::UNKNOWN_VALUE, at.place, message);
        reading.report(problem.nearest(at, WINDOWS_FAMILIES.into_iter().chain(["LINUX"])));
        return None;
    }
    Some(at.value.clone())
}

fn missing_type(input: &GroupInput, reading: &mut Reading) {
    let message = format!("group `{}` says nowhere which instance type it launches", input.name.value);
    let problem = Problem::new(code::MISSING_KEY, input.place, message).label("`InstanceType` is missing");
    let problem = problem.for_want_of("InstanceType").for_want_of("MixedInstancesPolicy");
    reading.report(problem.help("launch templates are only named here: write InstanceType: m5.large beside it"));
}

/// The types of the mixed instances policy with their weights and the policy's distribution, else the one type.
fn instance_types(
    mixed: Option<&MixedInstancesInput>,
    one: Option<&At<String>>,
    group: &str,
    place: Place,
    reading: &mut Reading,
) -> Option<InstanceTypes> {
    let distribution = match mixed {
        Some(mixed) => Some(distribution(mixed.distribution.as_ref(), reading)?),
        None => None,
    };
    let template = mixed.and_then(|mixed| mixed.launch_template.as_ref());
    let overrides = template.map(|template| template.overrides.as_slice()).unwrap_or_default();
    let mut written: Vec<&At<String>> = overrides.iter().map(|entry| &entry.instance_type).collect();
    if written.is_empty() {
        written.extend(one);
    }
    if written.is_empty() {
        let message = format!("group `{group}` says nowhere which instance type it launches");
        let problem = Problem::new(code::MISSING_KEY, place, message).label("`InstanceType` is missing");
        reading.report(problem.help("launch templates are only named here: write InstanceType: m5.large beside it"));
        return None;
    }
    let mut names = Vec::new();
    let mut known = true;
    for name in written {
        if is_burstable(name) {
            let message = format!(
                "CPU credits are not modelled: `{}` runs at full speed for ever, and surplus credits cost nothing",
                name.value
            );
            reading.warn_once(
                "burstable",
                Problem::new(code::IGNORED, name.place, message).label("an optimistic assumption"),
            );
        }
        if catalog().instance_type(name).is_some() {
            if !names.contains(&name.value) {
                names.push(name.value.clone());
            }
            continue;
        }
        known = false;
        let message = format!("the catalogue has no instance type `{}`", name.value);
        let problem = Problem::new(code::UNKNOWN_NAME, name.place, message).label("unknown instance type");
        reading.report(problem.nearest(name, catalog().nearest_instance_types(name, 1)));
    }
    let weights = weights(overrides, reading)?;
    known.then_some(InstanceTypes { names, weights, distribution })
}

/// ASG-36: 1 to 999 units for every type or for none, and forty types at most.
fn weights(overrides: &[TypeOverrideInput], reading: &mut Reading) -> Option<BTreeMap<String, u32>> {
    const MOST_TYPES: usize = 40;
    let mut refuse = |place, message: String| {
        reading.report(Problem::aws(VALIDATION, "ASG-36", place, message));
        None
    };
    if let Some(excess) = overrides.get(MOST_TYPES) {
        let message = format!("The number of instance types must not exceed {MOST_TYPES}");
        return refuse(excess.instance_type.place, message);
    }
    let mut weights = BTreeMap::new();
    for entry in overrides {
        let Some(Raw(node)) = &entry.weight else { continue };
        let weight = node.as_text().and_then(|text| text.parse().ok()).filter(|weight| (1..=999).contains(weight));
        let Some(weight) = weight else {
            let message = "WeightedCapacity must be a whole number between 1 and 999".to_owned();
            return refuse(node.place, message);
        };
        weights.insert(entry.instance_type.value.clone(), weight);
    }
    if let Some(bare) = overrides.iter().find(|entry| entry.weight.is_none()).filter(|_| !weights.is_empty()) {
        let message = "If you specify a WeightedCapacity for any instance type, you must specify one for all of them";
        return refuse(bare.instance_type.place, message.to_owned());
    }
    Some(weights)
}

/// `LaunchTemplate` or `LaunchConfigurationName`, or the template of a mixed instances policy; the inner `None` when none
/// of them is there.
#[expect(clippy::option_option, reason = "a mistake, nothing said, and something said are three things")]
fn launch_specification(
    template: Option<&LaunchTemplateInput>,
    configuration: Option<&At<String>>,
    mixed: Option<&MixedInstancesInput>,
    reading: &mut Reading,
) -> Option<Option<LaunchSpecification>> {
    if let Some(name) = configuration {
        return Some(Some(LaunchSpecification::Configuration { name: name.value.clone() }));
    }
    let of_mixed = mixed.and_then(|mixed| mixed.launch_template.as_ref());
    let Some(template) = template.or_else(|| of_mixed.and_then(|template| template.specification.as_ref())) else {
        return Some(None);
    };
    let name = template.name.as_ref().or(template.id.as_ref()).map(|name| name.value.clone()).unwrap_or_default();
    let version = match &template.version {
        None => None,
        Some(Raw(node)) if matches!(node.as_text(), Some("$Latest" | "$Default")) => None,
        Some(Raw(node)) => {
            let version = node.as_text().and_then(|text| text.parse().ok()).filter(|version| *version > 0);
            if version.is_none() {
                let message = "the version of a launch template is a number, $Latest or $Default";
                reading.report(Problem::aws(VALIDATION, "ASG-6", node.place, message));
                return None;
            }
            version
        }
    };
    Some(Some(LaunchSpecification::Template { name, version }))
}

/// `put-warm-pool` (ASG-41).
pub(crate) fn put_warm_pool(input: &WarmPoolInput, reading: &mut Reading) -> Option<PutWarmPool> {
    let mut state = None;
    if let Some(at) = &input.state {
        state = PoolState::ALL.into_iter().find(|state| state.name() == at.value);
        if state.is_none() {
            let message = format!("`{}` is no state of a warm pool", at.value);
            let problem = Problem::aws(VALIDATION, "ASG-41", at.place, message);
            reading.report(problem.nearest(at, PoolState::ALL.map(PoolState::name)));
            return None;
        }
    }
    Some(PutWarmPool {
        group: arn::name(&input.group).to_owned(),
        min_size: input.min_size.map(Count::get),
        max_prepared: input.max_prepared.map(|most| (most.signed() >= 0).then(|| most.get())),
        state,
        reuse_on_scale_in: input.reuse.as_ref().map(|reuse| reuse.on_scale_in.unwrap_or(false)),
    })
}

/// Whether an instance type earns and spends CPU credits.
fn is_burstable(name: &str) -> bool {
    ["t1.", "t2.", "t3.", "t3a.", "t4g."].iter().any(|family| name.starts_with(family))
}

/// The zones of `AvailabilityZones` and `VPCZoneIdentifier`; those of the Region's default when they say none.
fn known_zones(
    names: &[At<String>],
    identifier: Option<&At<String>>,
    context: &Context,
    reading: &mut Reading,
) -> Option<Vec<String>> {
    let zones = zones(names.iter().chain(identifier), context, reading)?;
    Some(if zones.is_empty() { context.default_zones.clone() } else { zones })
}

/// ASG-33…37.
fn distribution(input: Option<&DistributionInput>, reading: &mut Reading) -> Option<InstancesDistribution> {
    let Some(input) = input else { return Some(InstancesDistribution::default()) };
    let unknown = |at: &At<String>, rule: &'static str, known: &[&str], reading: &mut Reading| {
        let message = format!("`{}` is no allocation strategy here", at.value);
        reading.report(Problem::aws(VALIDATION, rule, at.place, message).nearest(at, known.iter().copied()));
    };
    let mut on_demand_allocation = OnDemandAllocation::Prioritized;
    if let Some(at) = &input.on_demand_allocation {
        match at.as_str() {
            "prioritized" => {}
            "lowest-price" => on_demand_allocation = OnDemandAllocation::LowestPrice,
            _ => unknown(at, "ASG-34", &["prioritized", "lowest-price"], reading),
        }
    }
    let mut spot_allocation = SpotAllocation::LowestPrice { pools: input.spot_pools.map_or(2, Whole::get) };
    if let Some(at) = &input.spot_allocation {
        match SPOT_ALLOCATIONS.iter().find(|(name, _)| *name == at.value) {
            Some((_, Some(strategy))) => spot_allocation = *strategy,
            Some((_, None)) => {}
            None => unknown(at, "ASG-35", &SPOT_ALLOCATIONS.map(|(name, _)| name), reading),
        }
    }
    let spot_max_price = match &input.spot_max_price {
        None => None,
        Some(price) => match price.parse::<f64>() {
            Ok(dollars) if dollars.is_finite() && dollars > 0.0 => Some(dollars),
            _ => {
                let message = format!("`{}` is no price in dollars per hour", price.value);
                reading.report(Problem::aws(VALIDATION, "ASG-37", price.place, message));
                return None;
            }
        },
    };
    Some(InstancesDistribution {
        on_demand_base: input.on_demand_base.map_or(0, Whole::get),
        on_demand_percentage: input.on_demand_percentage.map_or(100, Whole::get),
        spot_max_price,
        on_demand_allocation,
        spot_allocation,
    })
}

/// ASG-8: in order, `Default` only last.
fn termination_policies(names: &[At<String>], reading: &mut Reading) -> Option<Vec<TerminationPolicy>> {
    let mut policies = Vec::new();
    for (index, name) in names.iter().enumerate() {
        match name.parse() {
            Ok(TerminationPolicy::Default) if index + 1 < names.len() => {
                let message = "the Default termination policy must be the last of the list";
                reading.report(Problem::aws(VALIDATION, "ASG-8", name.place, message));
                return None;
            }
            Ok(policy) => policies.push(policy),
            Err(_) if name.starts_with("arn:") => {
                not_modelled(name.place, "termination policies of one's own", reading);
                return None;
            }
            Err(_) => {
                let message = format!("`{}` is no termination policy", name.value);
                let problem = Problem::aws(VALIDATION, "ASG-8", name.place, message);
                reading.report(problem.nearest(name, TerminationPolicy::ALL.map(TerminationPolicy::name)));
                return None;
            }
        }
    }
    Some(policies)
}

object! {
    /// What a host registers, where the scenario overrides the catalogue.
    struct RegisteredInput("registeredResources") {
        /// CPU units.
        cpu: Option<Count> = "cpu",
        /// MiB.
        memory: Option<Count> = "memory",
    }
}

/// `{cpu, memory}` for every type of the group, or one such pair per type.
fn registered_resources(input: &GroupInput, reading: &mut Reading) -> Option<BTreeMap<String, RegisteredOverride>> {
    let Some(Raw(node)) = &input.registered_resources else { return Some(BTreeMap::new()) };
    let convert = |pair: &RegisteredInput| RegisteredOverride {
        cpu: pair.cpu.map(|cpu| CpuUnits(u64::from(cpu.get()))),
        memory: pair.memory.map(|memory| MiB(u64::from(memory.get()))),
    };
    let mut types: Vec<&str> = input.instance_type.iter().map(|name| name.as_str()).collect();
    let mixed = input.mixed.as_ref().and_then(|mixed| mixed.launch_template.as_ref());
    types.extend(mixed.into_iter().flat_map(|template| &template.overrides).map(|entry| entry.instance_type.as_str()));
    let entries = crate::scenario::decode::expect_map(node, "{cpu, memory}, or one pair per instance type", reading)?;
    let per_type = !entries.is_empty() && entries.iter().all(|entry| entry.key.contains('.'));
    if !per_type {
        let pair = RegisteredInput::decode(node, reading)?;
        return Some(types.into_iter().map(|name| (name.to_owned(), convert(&pair))).collect());
    }
    let mut overrides = BTreeMap::new();
    for entry in entries {
        if !types.contains(&entry.key.as_str()) {
            let message = format!("group `{}` launches no `{}`", input.name.value, entry.key);
            let problem = Problem::new(code::UNKNOWN_NAME, entry.key_place, message);
            reading.report(problem.nearest(&entry.key, types.iter().copied()));
            return None;
        }
        overrides.insert(entry.key.clone(), convert(&RegisteredInput::decode(&entry.value, reading)?));
    }
    Some(overrides)
}

/// ASG-3: what a group does when a zone has no capacity; whether it insists on the zone, when it says anything.
fn balanced_only(input: Option<&ZoneDistributionInput>, reading: &mut Reading) -> Option<bool> {
    const KNOWN: [&str; 3] = ["balanced-best-effort", "balanced-only", "reservations-then-balanced"];
    let at = input.and_then(|distribution| distribution.strategy.as_ref())?;
    if at.value == "reservations-then-balanced" {
        let message = "there are no capacity reservations here, so that zones are balanced as by balanced-best-effort";
        reading.warn_once("reservations", Problem::new(code::IGNORED, at.place, message));
    } else if !KNOWN.contains(&at.as_str()) {
        let message = format!("`{}` is no capacity distribution strategy", at.value);
        reading.report(Problem::aws(VALIDATION, "ASG-3", at.place, message).nearest(at, KNOWN));
    }
    Some(at.value == "balanced-only")
}

/// `start-instance-refresh` (ASG-42).
pub(crate) fn start_refresh(input: &StartRefreshInput, reading: &mut Reading) -> Option<StartInstanceRefresh> {
    let refuse = |place, message: String, reading: &mut Reading| {
        reading.report(Problem::aws(VALIDATION, "ASG-42", place, message));
    };
    let mut call = StartInstanceRefresh::of(arn::name(&input.group));
    if let Some(desired) = &input.desired {
        let (mixed, one) = (desired.mixed.as_ref(), desired.instance_type.as_ref());
        let types = match (mixed, one) {
            (None, None) => None,
            _ => Some(instance_types(mixed, one, &call.group, desired.place, reading)?),
        };
        let launch_from = launch_specification(desired.launch_template.as_ref(), None, mixed, reading)?;
        call.desired = Some(DesiredConfiguration { launch_from, types });
    }
    let Some(preferences) = &input.preferences else { return Some(call) };
    if preferences.min_healthy.is_some() || preferences.max_healthy.is_some() {
        let (min, max) =
            (preferences.min_healthy.map_or(90, Count::get), preferences.max_healthy.map_or(100, Count::get));
        match MaintenancePolicy::new(min, max) {
            Ok(policy) => call.policy = Some(policy),
            Err(invalid) => refuse(preferences.place, invalid.to_string(), reading),
        }
    }
    call.warmup = preferences.warmup.map(seconds);
    call.checkpoints = preferences.checkpoints.iter().map(|at| at.get()).collect();
    if !call.checkpoints.windows(2).all(|pair| pair[0] < pair[1]) {
        refuse(
            preferences.place,
            "CheckpointPercentages must be in ascending order without duplicates".to_owned(),
            reading,
        );
    }
    if let Some(delay) = preferences.checkpoint_delay {
        call.checkpoint_delay = seconds(delay);
    }
    if let Some(at) = &preferences.protected {
        match at.as_str() {
            "Wait" => {}
            "Refresh" => call.protected = ProtectedInstances::Refresh,
            "Ignore" => call.protected = ProtectedInstances::Ignore,
            other => refuse(at.place, format!("`{other}` is not one of Wait, Refresh and Ignore"), reading),
        }
    }
    if let Some(at) = &preferences.standby {
        match at.as_str() {
            "Wait" => {}
            "Terminate" => call.standby = StandbyInstances::Terminate,
            "Ignore" => call.standby = StandbyInstances::Ignore,
            other => refuse(at.place, format!("`{other}` is not one of Wait, Terminate and Ignore"), reading),
        }
    }
    call.skip_matching = preferences.skip_matching.unwrap_or(false);
    call.auto_rollback = preferences.auto_rollback.unwrap_or(false);
    call.bake = preferences.bake.map_or(SimDuration::ZERO, |bake| SimDuration::from_secs(u64::from(bake.get())));
    if let Some(alarms) = &preferences.alarms {
        call.alarms = alarms.alarms.iter().map(|name| name.value.clone()).collect();
    }
    Some(call)
}

/// `put-lifecycle-hook`.
pub(crate) fn put_lifecycle_hook(input: &HookInput, reading: &mut Reading) -> Option<PutLifecycleHook> {
    let (heartbeat, result) = (input.heartbeat.as_ref(), input.default_result.as_ref());
    let after = input.completes_after.as_ref();
    let hook = lifecycle_hook(&input.name, &input.transition, heartbeat, result, after, reading)?;
    Some(PutLifecycleHook { group: arn::name(&input.group).to_owned(), hook })
}

/// ASG-13: a hook within AWS's bounds.
fn lifecycle_hook(
    name: &At<String>,
    transition: &At<String>,
    heartbeat: Option<&At<Count>>,
    default_result: Option<&At<String>>,
    completes_after: Option<&Dist<Seconds>>,
    reading: &mut Reading,
) -> Option<LifecycleHook> {
    const TRANSITIONS: [(&str, Transition); 2] = [
        ("autoscaling:EC2_INSTANCE_LAUNCHING", Transition::Launching),
        ("autoscaling:EC2_INSTANCE_TERMINATING", Transition::Terminating),
    ];
    if let Some(at) = heartbeat.filter(|at| !(30..=7200).contains(&at.get())) {
        let message = format!("Heartbeat timeout must be between 30 and 7200 seconds, not {}", at.get());
        reading.report(Problem::aws(VALIDATION, "ASG-13", at.place, message));
        return None;
    }
    let Some((_, transition)) = TRANSITIONS.iter().find(|(known, _)| *known == transition.value) else {
        let message = format!("`{}` is no lifecycle transition", transition.value);
        let problem = Problem::aws(VALIDATION, "ASG-13", transition.place, message);
        reading.report(problem.nearest(transition, TRANSITIONS.map(|(known, _)| known)));
        return None;
    };
    Some(LifecycleHook {
        name: name.value.clone(),
        transition: *transition,
        heartbeat: heartbeat.map_or(SimDuration::HOUR, |at| seconds(at.value)),
        default_result: default_result.map_or(Some(HookResult::Abandon), |at| hook_result(at, reading))?,
        completes_after: completes_after.map(|after| after.distribution.clone()),
    })
}

/// CONTINUE or ABANDON.
pub(crate) fn hook_result(at: &At<String>, reading: &mut Reading) -> Option<HookResult> {
    match at.as_str() {
        "CONTINUE" => Some(HookResult::Continue),
        "ABANDON" => Some(HookResult::Abandon),
        other => {
            let problem =
                Problem::aws(VALIDATION, "ASG-14", at.place, format!("`{other}` is no lifecycle action result"));
            reading.report(problem.nearest(other, ["CONTINUE", "ABANDON"]));
            None
        }
    }
}

/// Bare seconds.
fn seconds(count: Count) -> SimDuration {
    SimDuration::from_secs(u64::from(count.get()))
}

/// ASG-19: none, or a day at least.
fn max_lifetime(input: &At<Count>, reading: &mut Reading) -> Option<SimDuration> {
    const DAY: u32 = 86_400;
    if input.get() > 0 && input.get() < DAY {
        let message = "Max instance lifetime must be 0 or between 86400 and 31536000 seconds";
        reading.report(Problem::aws(VALIDATION, "ASG-19", input.place, message));
        return None;
    }
    (input.get() > 0).then(|| seconds(input.value))
}

/// ASG-11: percentages within AWS's bounds; -1 twice is no policy.
fn maintenance_policy(input: &MaintenancePolicyInput, reading: &mut Reading) -> Option<MaintenancePolicy> {
    let refuse = |message: String, reading: &mut Reading| {
        reading.report(Problem::aws(VALIDATION, "ASG-11", input.place, message));
    };
    let (min, max) = (input.min_healthy, input.max_healthy);
    if (min.signed() < 0) != (max.signed() < 0) {
        refuse(
            "MinHealthyPercentage and MaxHealthyPercentage must both be specified, or both be -1".to_owned(),
            reading,
        );
        return None;
    }
    if min.signed() < 0 {
        return None;
    }
    let policy = MaintenancePolicy::new(min.get(), max.get());
    policy.map_err(|invalid| refuse(invalid.to_string(), reading)).ok()
}

/// PLACE-16: names, values and number of custom attributes.
fn check_attributes(input: &GroupInput, reading: &mut Reading) {
    const REFUSED: &str = "InvalidParameterException";
    const MOST: usize = 10;
    let mut attributes = Attributes::new();
    for (name, value) in &input.ecs_attributes.0 {
        if let Err(error) = attributes.set_custom(name, value) {
            let place = if matches!(error, AttributeError::Name(_)) { name.place } else { value.place };
            reading.report(Problem::aws(REFUSED, "PLACE-16", place, error.to_string()));
        }
    }
    if let Some((excess, _)) = input.ecs_attributes.0.get(MOST) {
        let message = format!("an instance has at most {MOST} custom attributes");
        reading.report(Problem::aws(REFUSED, "PLACE-16", excess.place, message));
    }
}

/// `autoscaling put-scaling-policy`.
pub(crate) fn group_policy(input: &GroupPolicyInput, reading: &mut Reading) -> Option<PutScalingPolicy> {
    if let Some(at) = input.enabled.as_ref().filter(|enabled| !enabled.value) {
        not_modelled(at.place, "policies that are put disabled", reading);
    }
    let warmup = input.estimated_warmup.map(|warmup| SimDuration::from_secs(u64::from(warmup.get())));
    let kind = input.kind.as_ref().map_or("SimpleScaling", |kind| kind.as_str());
    let needs = |key: &str, reading: &mut Reading| {
        let message = format!("{key} is required for policy type {kind}");
        reading.report(Problem::aws(VALIDATION, "ASG-21", input.place, message));
    };
    let policy = match kind {
        "TargetTrackingScaling" => {
            let Some(tracking) = &input.target_tracking else {
                needs("TargetTrackingConfiguration", reading);
                return None;
            };
            let mut policy = target_tracking(tracking, false, reading)?;
            policy.estimated_instance_warmup = warmup;
            PolicyDefinition::TargetTracking(policy)
        }
        "StepScaling" => {
            let Some(adjustment) = input.adjustment_type else {
                needs("AdjustmentType", reading);
                return None;
            };
            PolicyDefinition::Step(StepScalingPolicy {
                adjustment_type: adjustment,
                steps: steps(&input.steps),
                min_adjustment_magnitude: input.min_magnitude.map(Whole::get),
                cooldown: SimDuration::ZERO,
                aggregation: input.aggregation.unwrap_or_default(),
                estimated_instance_warmup: warmup,
            })
        }
        "SimpleScaling" => {
            let (Some(adjustment), Some(amount)) = (input.adjustment_type, input.adjustment) else {
                needs("AdjustmentType with ScalingAdjustment", reading);
                return None;
            };
            PolicyDefinition::Simple(SimpleScalingPolicy {
                adjustment_type: adjustment,
                adjustment: amount.signed(),
                min_adjustment_magnitude: input.min_magnitude.map(Whole::get),
                cooldown: input.cooldown.map(|cooldown| SimDuration::from_secs(u64::from(cooldown.get()))),
            })
        }
        other => {
            let place = input.kind.as_ref().map_or(input.place, |kind| kind.place);
            if other == "PredictiveScaling" {
                not_modelled(place, "predictive scaling", reading);
            } else {
                let problem = Problem::aws(VALIDATION, "ASG-21", place, format!("`{other}` is no policy type"));
                reading.report(problem.nearest(other, ["SimpleScaling", "StepScaling", "TargetTrackingScaling"]));
            }
            return None;
        }
    };
    let resource = ScaledResource::Group { group: arn::name(&input.group).to_owned() };
    let step = match &policy {
        PolicyDefinition::Step(policy) => step_scaling::mistaken_step(policy).and_then(|place| input.steps.get(place)),
        _ => None,
    };
    checked_policy(&input.name, resource, policy, step.map_or(input.name.place, |step| step.place), reading)
}

/// `autoscaling put-scheduled-update-group-action`; `first` as for a service's.
pub(crate) fn group_scheduled_action(
    input: &GroupScheduledActionInput,
    first: bool,
    context: &Context,
    reading: &mut Reading,
) -> Option<PutScheduledAction> {
    let schedule = match &input.recurrence {
        Some(text) => {
            let parsed = Schedule::parse_unix(text, zone_name(input.time_zone.as_ref()), context.start);
            Some(schedule_or_report(parsed, text, input.time_zone.as_ref(), VALIDATION, reading)?)
        }
        None => None,
    };
    let call = PutScheduledAction {
        name: input.name.value.clone(),
        resource: ScaledResource::Group { group: arn::name(&input.group).to_owned() },
        schedule,
        start_time: match &input.start {
            Some(start) => Some(instant(start, VALIDATION, reading)?),
            None => None,
        },
        end_time: match &input.end {
            Some(end) => Some(instant(end, VALIDATION, reading)?),
            None => None,
        },
        change: SizeChange {
            min: input.min_size.map(Whole::get),
            max: input.max_size.map(Whole::get),
            desired: input.desired_capacity.map(Whole::get),
        },
    };
    let place = input.recurrence.as_ref().or(input.start.as_ref()).map_or(input.name.place, |text| text.place);
    checked_schedule(call, first, place, context, reading)
}

/// `update-auto-scaling-group` and `set-desired-capacity`.
pub(crate) fn update_group(
    input: &UpdateGroupInput,
    context: &Context,
    reading: &mut Reading,
) -> Option<UpdateAutoScalingGroup> {
    let named = input.vpc_zone_identifier.is_some() || !input.availability_zones.is_empty();
    let zones = known_zones(&input.availability_zones, input.vpc_zone_identifier.as_ref(), context, reading)?;
    let policies = input.termination_policies.as_deref();
    let termination_policies = match policies.map(|names| termination_policies(names, reading)) {
        Some(None) => return None,
        Some(known) => known,
        None => None,
    };
    let (mixed, one) = (input.mixed.as_ref(), input.instance_type.as_ref());
    let types = match (mixed, one) {
        (None, None) => None,
        _ => Some(instance_types(mixed, one, &input.group, input.place, reading)?),
    };
    let launch_from =
        launch_specification(input.launch_template.as_ref(), input.launch_configuration.as_ref(), mixed, reading)?;
    Some(UpdateAutoScalingGroup {
        balanced_only: balanced_only(input.zone_distribution.as_ref(), reading),
        launch_from,
        types,
        group: arn::name(&input.group).to_owned(),
        min_size: input.min_size.map(Whole::get),
        max_size: input.max_size.map(Whole::get),
        desired_capacity: input.desired_capacity.map(Whole::get),
        new_instances_protected: input.new_protected,
        honor_cooldown: input.honor_cooldown.unwrap_or(false),
        availability_zones: named.then_some(zones),
        termination_policies,
        default_cooldown: input.default_cooldown.map(seconds),
        default_instance_warmup: input
            .default_instance_warmup
            .map(|warmup| (warmup.signed() >= 0).then(|| SimDuration::from_secs(u64::from(warmup.get())))),
        health_check_grace: input.health_check_grace.map(seconds),
        capacity_rebalance: input.capacity_rebalance,
        max_instance_lifetime: input.max_lifetime.as_ref().map(|lifetime| max_lifetime(lifetime, reading)),
        maintenance_policy: input.maintenance_policy.as_ref().map(|policy| maintenance_policy(policy, reading)),
    })
}
