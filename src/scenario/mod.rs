//! The scenario file: YAML or JSON to a checked [`Estate`]; every diagnostic has a place in the file.
//!
//! The way of a file: [`tree`] parses it and keeps places; [`overlay`] merges includes, the variant and `--set`;
//! [`decode`] and [`input`] read the tree into the inputs of AWS's calls, reporting every unknown key and wrong type;
//! [`convert`] makes the control plane's calls of them with AWS's own checks; [`references`] looks across sections.
//! None of these stops at the first mistake.
//!
//! ```
//! let options = ecsim::scenario::LoadOptions::default();
//! let error = ecsim::scenario::load_str("broken.yaml", "servces: []", &options).unwrap_err();
//! assert_eq!(error.to_string(), "broken.yaml:1:1: the scenario has no key `servces` (did you mean `services`?)");
//! ```

mod actions;
mod convert;
mod decode;
mod deployment_calls;
mod diagnostic;
mod event_rules;
mod excerpt;
mod faults;
mod input;
mod knobs;
mod messages;
mod overlay;
mod per_request;
mod quantity;
mod random_rate;
mod read_calls;
mod references;
mod registry;
mod scheduler;
mod sessions;
mod source;
mod syntax;
mod timeline;
mod tree;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

pub(crate) use diagnostic::nearest;
pub use diagnostic::{Diagnostics, Finding, code};

use crate::arn;
use crate::catalog::catalog;
use crate::control_plane::api::{ApiCall, CreateCluster, CreateLoadBalancer, RegisterTaskDefinition};
use crate::control_plane::estate::{Action, Demand, Estate, FaultKind, Prices};
use crate::ecs::quota::QUOTA_SETS;
use crate::ecs::target_group::BalancerKind;
use crate::engine::time::SimDuration;
use convert::{Context, auto_scaling, balancing, cluster_name, ecs, run, scaling};
use decode::{At, Decode, Raw, Whole};
use diagnostic::{Problem, Reading};
use input::{ActionInput, ScenarioFile};
use references::Names;
use source::Place;
use tree::Node;

/// What the command line adds to a scenario file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Files laid over the scenario in order, as if a file included it and then them.
    pub with: Vec<PathBuf>,
    /// `PATH=VALUE`, applied in order after everything else.
    pub set: Vec<String>,
    /// The variant to apply.
    pub variant: Option<String>,
    /// Instead of `duration`.
    pub until: Option<SimDuration>,
    /// Instead of `seed`.
    pub seed: Option<u64>,
    /// Instead of `replications`.
    pub replications: Option<u32>,
}

/// A scenario that passed every check.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is simulated.
    pub estate: Estate,
    /// Names of the file's variants, in file order.
    pub variants: Vec<String>,
    /// The file as the user named it.
    pub source: String,
    /// FNV-1a of every text that went into it, in hexadecimal: the same for the same input.
    pub hash: String,
    /// The file and those it includes: their paths from its folder, and their texts.
    pub texts: Vec<(String, String)>,
    /// What is accepted and not modelled, with places.
    pub warnings: Diagnostics,
}

/// Reads a scenario file.
///
/// # Errors
/// All of its mistakes at once.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Scenario, Diagnostics> {
    let mut reading = Reading::default();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    match overlay::read_files(path, &options.with, &mut reading) {
        Some(root) => finish(root, &path.display().to_string(), &folder, options, reading),
        None => Err(reading.finish()),
    }
}

/// Reads a scenario from a text; `name` stands for its path, and files it names are looked for in the current folder.
///
/// # Errors
/// All of its mistakes at once.
pub fn load_str(name: &str, text: &str, options: &LoadOptions) -> Result<Scenario, Diagnostics> {
    let mut reading = Reading::default();
    let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_owned();
    let source = reading.sources.add(name.to_owned(), text.to_owned(), &folder);
    let root = tree::parse(source, &mut reading);
    match root.and_then(|root| overlay::resolve_includes(root, &folder, &mut Vec::new(), &mut reading)) {
        Some(root) => finish(root, name, &folder, options, reading),
        None => Err(reading.finish()),
    }
}

/// The JSON Schema (draft 2020-12) of the scenario file, with descriptions, for editors.
pub fn json_schema() -> Json {
    let mut definitions = Map::new();
    let root = ScenarioFile::schema(&mut definitions);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ecsim scenario",
        "$ref": root["$ref"],
        "$defs": definitions,
    })
}

fn finish(
    mut root: Node,
    name: &str,
    folder: &Path,
    options: &LoadOptions,
    mut reading: Reading,
) -> Result<Scenario, Diagnostics> {
    if let Some(variant) = &options.variant {
        overlay::apply_variant(&mut root, variant, &mut reading);
    }
    for assignment in &options.set {
        overlay::apply_set(&mut root, assignment, folder, &mut reading);
    }
    let Some(file) = ScenarioFile::decode(&root, &mut reading) else { return Err(reading.finish()) };
    let names = Names::of(&root);
    let region = region(file.region.as_ref(), &mut reading);
    reading.instance_types = convert::instance_types::instance_types(file.instance_types.iter(), &mut reading);
    let settings = knobs::settings(file.behaviour.as_ref(), &mut reading);
    let context = Context {
        run: duration(&file, options, &mut reading),
        default_zones: catalog().zones(&region).to_vec(),
        start: start(file.start.as_ref(), &mut reading),
        services: names.services().to_vec(),
        region,
    };
    let mut estate = build(&file, name, options, settings, &context, &mut reading);
    references::check(&file, &names, &estate, &context, &mut reading);
    if reading.has_errors() {
        return Err(reading.finish());
    }
    let hash = hash(&reading, options);
    let texts = texts(&reading, folder);
    let warnings = reading.finish();
    estate.warnings = warnings.findings().iter().map(ToString::to_string).collect();
    let variants = file.variants.0.iter().map(|(name, _)| name.value.clone()).collect();
    Ok(Scenario { estate, variants, source: name.to_owned(), hash, texts, warnings })
}

/// The texts that came from files, by their paths from `folder`: where a file lies on this machine is nobody's business.
fn texts(reading: &Reading, folder: &Path) -> Vec<(String, String)> {
    let from_files = reading.sources.iter().filter(|source| !source.name.starts_with("--set"));
    from_files
        .map(|source| {
            let path = Path::new(&source.name);
            let near = path.strip_prefix(folder).ok().or(path.file_name().map(Path::new)).unwrap_or(path);
            (near.display().to_string(), source.text.to_string())
        })
        .collect()
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo), of the texts and of what the command line changed.
fn hash(reading: &Reading, options: &LoadOptions) -> String {
    let variant = options.variant.as_deref().unwrap_or_default();
    let texts = reading.sources.iter().map(|source| &*source.text).chain([variant]);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in texts.flat_map(|text| text.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// The estate of a file; entries that cannot be used have been reported and are left out.
fn build(
    file: &ScenarioFile,
    source: &str,
    options: &LoadOptions,
    settings: knobs::Settings,
    context: &Context,
    reading: &mut Reading,
) -> Estate {
    let default_name =
        Path::new(source).file_stem().map_or_else(|| "scenario".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let duration = context.run;
    let groups: Vec<_> =
        file.auto_scaling_groups.iter().filter_map(|input| auto_scaling::group(input, context, reading)).collect();
    let mut policies: Vec<_> =
        file.scaling_policies.iter().filter_map(|input| scaling::scaling_policy(input, reading)).collect();
    policies.extend(file.asg_policies.iter().filter_map(|input| auto_scaling::group_policy(input, reading)));
    let mut scheduled_actions: Vec<_> = file
        .scheduled_actions
        .iter()
        .filter_map(|input| scaling::scheduled_action(input, true, context, reading))
        .collect();
    scheduled_actions.extend(
        file.asg_scheduled_actions
            .iter()
            .filter_map(|input| auto_scaling::group_scheduled_action(input, true, context, reading)),
    );
    let capacity_providers = file.capacity_providers.iter().map(ecs::capacity_provider).collect();
    let (spot_pools, fargate_spot) = faults::spot_pools(file.spot_pools.iter(), context, reading);
    let mut estate = Estate {
        name: file.name.as_ref().map_or(default_name, |name| safe_name(name, reading)),
        description: file.description.as_deref().unwrap_or_default().to_owned(),
        start: context.start,
        duration,
        warmup: warmup(file.warmup.as_ref(), duration, reading),
        seed: options.seed.unwrap_or_else(|| file.seed.map_or(1, |seed| seed.signed().unsigned_abs())),
        replications: options.replications.unwrap_or_else(|| file.replications.map_or(1, Whole::get)),
        availability_zones: Vec::new(),
        clusters: file.clusters.iter().map(|input| ecs::cluster(input, reading)).collect(),
        instance_types: reading.instance_types.clone(),
        groups,
        lifecycle_hooks: file
            .lifecycle_hooks
            .iter()
            .filter_map(|input| auto_scaling::put_lifecycle_hook(input, reading))
            .collect(),
        warm_pools: file.warm_pools.iter().filter_map(|input| auto_scaling::put_warm_pool(input, reading)).collect(),
        capacity_providers,
        task_definitions: file
            .task_definitions
            .iter()
            .filter_map(|input| ecs::task_definition(input, input.bytes, reading))
            .collect(),
        load_balancers: file.load_balancers.iter().map(|input| balancing::load_balancer(input, reading)).collect(),
        target_groups: file
            .target_groups
            .iter()
            .map(|input| balancing::target_group(input, reading))
            .chain(file.load_balancers.iter().filter_map(balancing::classic_instances))
            .collect(),
        services: file.services.iter().filter_map(|input| ecs::service(input, false, context, reading)).collect(),
        scalable_targets: file
            .scalable_targets
            .iter()
            .filter_map(|input| scaling::scalable_target(input, true, reading))
            .collect(),
        policies,
        scheduled_actions,
        alarms: file.alarms.iter().filter_map(|input| scaling::alarm(input, context, reading)).collect(),
        metrics: file.metrics.iter().filter_map(|input| scaling::replayed_metric(input, duration, reading)).collect(),
        workloads: file.workloads.iter().filter_map(|input| workload::workload(input, context, reading)).collect(),
        event_rules: file
            .event_rules
            .iter()
            .filter_map(|input| event_rules::event_rule(input, context, reading))
            .collect(),
        actions: file.actions.iter().filter_map(|input| actions::action(input, context, reading)).collect(),
        scheduler: file.scheduler.as_ref().and_then(|input| scheduler::custom_scheduler(input, file, reading)),
        delays: run::delays(file.delays.as_ref(), settings.constants, settings.behaviour.ec2_bad_boot_probability),
        behaviour: settings.behaviour,
        prices: file.prices.as_ref().map_or_else(Prices::default, |input| run::prices(input, reading)),
        slo: file.slo.iter().map(|input| run::slo(input, reading)).collect(),
        faults: Vec::new(),
        spot_pools,
        fargate_spot,
        warnings: Vec::new(),
        region: context.region.clone(),
    };
    inherit_behaviour(&mut estate, file);
    estate.faults = file.faults.iter().filter_map(|input| faults::fault(input, &estate, context, reading)).collect();
    complete(&mut estate, file, context);
    warn_of_host_quota(&estate, file, reading);
    estate
}

/// LIM-1: hosts beyond the quota of their cluster would not register; better to know before the run.
fn warn_of_host_quota(estate: &Estate, file: &ScenarioFile, reading: &mut Reading) {
    let Some(quotas) = estate.behaviour.quota_set.and_then(|set| QUOTA_SETS.get(set)) else { return };
    let mut largest: BTreeMap<&str, usize> = BTreeMap::new();
    for (input, group) in file.auto_scaling_groups.iter().zip(&estate.groups) {
        let hosts = largest.entry(&group.cluster).or_default();
        let before = *hosts;
        *hosts += group.max_size as usize;
        if before <= quotas.instances_per_cluster && *hosts > quotas.instances_per_cluster {
            let most = quotas.instances_per_cluster;
            let message = format!("cluster `{}` takes at most {most} container instances (LIM-1)", group.cluster);
            let problem = Problem::new(code::SUSPICIOUS, input.max_size.place, message).label("more may be launched");
            let subject = format!("hosts of {}", group.cluster);
            reading.warn_once(&subject, problem.help("behaviour: {quota_set: none} does without quotas"));
        }
    }
}

/// A revision that says nothing of how its tasks behave has the behaviour of its family's revision before.
fn inherit_behaviour(estate: &mut Estate, file: &ScenarioFile) {
    // With an entry that could not be used the two do not pair up, but then there will be no run either.
    let pairs = file.task_definitions.iter().zip(&mut estate.task_definitions);
    let mut revisions: Vec<(bool, &mut RegisterTaskDefinition)> =
        pairs.map(|(input, call)| (ecs::says_behaviour(input), call)).collect();
    let mut actions: Vec<(&ActionInput, &mut Action)> = file.actions.iter().zip(&mut estate.actions).collect();
    actions.sort_by_key(|(_, action)| action.at);
    for (input, action) in actions {
        if let ApiCall::RegisterTaskDefinition(call) = &mut action.call {
            revisions.push((input.with.as_ref().is_some_and(|Raw(node)| actions::says_behaviour(node)), call));
        }
    }
    let mut newest: BTreeMap<String, RegisterTaskDefinition> = BTreeMap::new();
    for (says, revision) in revisions {
        if let Some(before) = newest.get(&revision.definition.family).filter(|_| !says) {
            behave_like(before, revision);
        }
        newest.insert(revision.definition.family.clone(), revision.clone());
    }
}

/// Containers behave as those of the same name did; what was said of the whole task is said of it again.
fn behave_like(before: &RegisterTaskDefinition, revision: &mut RegisterTaskDefinition) {
    revision.behaves_as_a_whole = before.behaves_as_a_whole;
    let main =
        |call: &RegisterTaskDefinition| call.definition.containers.iter().position(|container| container.essential);
    let (old_main, new_main) = (main(before), main(revision));
    for (place, container) in revision.definition.containers.iter().enumerate() {
        let old = if before.behaves_as_a_whole {
            old_main.filter(|_| new_main == Some(place))
        } else {
            before.definition.containers.iter().position(|old| old.name == container.name)
        };
        if let (Some(behaviour), Some(old)) = (revision.behaviours.get_mut(place), old) {
            behaviour.clone_from(&before.behaviours[old]);
        }
    }
}

/// Adds what goes without saying: the default cluster, associations, load balancers only named, the list of zones.
fn complete(estate: &mut Estate, file: &ScenarioFile, context: &Context) {
    if !estate.clusters.iter().any(|cluster| cluster.name == "default") {
        let default = CreateCluster {
            name: "default".to_owned(),
            capacity_providers: Vec::new(),
            default_strategy: Vec::new(),
            container_insights: None,
        };
        estate.clusters.insert(0, default);
    }
    // A provider that no cluster lists belongs to the cluster it names, else to that of its group or of its first user.
    for input in file.capacity_providers.iter() {
        let name = &input.name.value;
        if estate.clusters.iter().any(|cluster| cluster.capacity_providers.contains(name)) {
            continue;
        }
        let group =
            file.auto_scaling_groups.iter().find(|group| group.name.value == arn::name(&input.group_provider.group));
        let user = file.services.iter().find(|service| {
            service.strategy.iter().flat_map(|items| &items.value).any(|item| arn::name(&item.provider) == *name)
        });
        let cluster = match (&input.cluster, group.and_then(|group| group.cluster.as_ref()), user) {
            (Some(cluster), ..) | (None, Some(cluster), _) => cluster_name(Some(cluster)),
            (None, None, Some(user)) => cluster_name(user.cluster.as_ref()),
            (None, None, None) => "default".to_owned(),
        };
        let listed = |cluster: &CreateCluster| {
            file.clusters
                .iter()
                .any(|input| cluster_name(input.name.as_ref()) == cluster.name && !input.capacity_providers.is_empty())
        };
        if let Some(cluster) = estate.clusters.iter_mut().find(|known| known.name == cluster)
            && !listed(cluster)
        {
            cluster.capacity_providers.push(name.clone());
        }
    }
    // Fargate's own providers are there unless a cluster lists what it has.
    for cluster in &mut estate.clusters {
        let lists = file
            .clusters
            .iter()
            .any(|input| cluster_name(input.name.as_ref()) == cluster.name && !input.capacity_providers.is_empty());
        if !lists {
            cluster.capacity_providers.extend(["FARGATE".to_owned(), "FARGATE_SPOT".to_owned()]);
        }
    }
    for target_group in &estate.target_groups {
        if let Some(name) = &target_group.load_balancer
            && !estate.load_balancers.iter().any(|known| known.name == *name)
        {
            let kind = BalancerKind::Application;
            let idle_timeout = kind.idle_timeout();
            estate.load_balancers.push(CreateLoadBalancer { name: name.clone(), kind, cross_zone: true, idle_timeout });
        }
    }
    let mut zones = context.default_zones.clone();
    zones.extend(named_zones(estate).cloned());
    zones.sort_unstable();
    zones.dedup();
    estate.availability_zones = zones;
}

/// The zones that anything in the estate names, at time zero or later.
fn named_zones(estate: &Estate) -> impl Iterator<Item = &String> {
    let groups = estate.groups.iter().map(|call| &call.availability_zones);
    let services = estate.services.iter().map(|call| &call.availability_zones);
    let workloads = estate.workloads.iter().filter_map(|workload| match &workload.demand {
        Demand::Tasks { run_task, .. } => Some(&run_task.availability_zones),
        _ => None,
    });
    let actions = estate.actions.iter().filter_map(|action| match &action.call {
        ApiCall::RunTask(call) | ApiCall::StartTask { task: call, .. } => Some(&call.availability_zones),
        ApiCall::CreateService(call) => Some(&call.availability_zones),
        ApiCall::CreateAutoScalingGroup(call) => Some(&call.availability_zones),
        ApiCall::UpdateAutoScalingGroup(call) => call.availability_zones.as_ref(),
        _ => None,
    });
    let outages = estate.faults.iter().filter_map(|fault| match &fault.kind {
        FaultKind::AzOutage { zone } => Some(zone),
        _ => None,
    });
    groups.chain(services).chain(workloads).chain(actions).flatten().chain(outages)
}

fn region(input: Option<&At<String>>, reading: &mut Reading) -> String {
    let known = catalog().regions();
    match input {
        None => known[0].to_owned(),
        Some(region) if known.contains(&region.as_str()) => region.value.clone(),
        Some(region) => {
            let message = format!("the catalogue has no prices for Region `{}`", region.value);
            let problem = Problem::new(code::UNKNOWN_NAME, region.place, message);
            reading.report(problem.nearest(region, known.iter().copied()));
            known[0].to_owned()
        }
    }
}

fn start(input: Option<&At<String>>, reading: &mut Reading) -> jiff::Timestamp {
    const MONDAY: jiff::Timestamp = jiff::Timestamp::constant(1_767_571_200, 0);
    let Some(text) = input else { return MONDAY };
    text.parse().unwrap_or_else(|_| {
        let message = format!("`{}` is no RFC 3339 instant", text.value);
        reading.report(Problem::new(code::INVALID, text.place, message).help("start: 2026-01-05T00:00:00Z"));
        MONDAY
    })
}

/// `--until`, else `duration`, else a day.
fn duration(file: &ScenarioFile, options: &LoadOptions, reading: &mut Reading) -> SimDuration {
    const LONGEST: SimDuration = SimDuration::from_secs(10 * 366 * 86_400);
    let duration = options
        .until
        .or(file.duration.as_ref().map(|duration| duration.value))
        .unwrap_or(SimDuration::from_secs(86_400));
    let place = file.duration.as_ref().map_or(Place::default(), |duration| duration.place);
    if duration.is_zero() {
        reading.report(Problem::new(code::OUT_OF_RANGE, place, "a run of no time shows nothing").help("duration: 1d"));
    } else if duration > LONGEST {
        reading.report(Problem::new(code::OUT_OF_RANGE, place, "a run lasts at most ten years"));
    }
    duration.min(LONGEST)
}

fn warmup(input: Option<&At<SimDuration>>, duration: SimDuration, reading: &mut Reading) -> SimDuration {
    let Some(warmup) = input else { return SimDuration::ZERO };
    if warmup.value >= duration {
        let message = format!("the warm-up of {} leaves nothing of a run of {duration}", warmup.value);
        reading.report(Problem::new(code::INVALID, warmup.place, message));
    }
    warmup.value
}

/// The scenario's name is a folder's name, so it holds nothing that leads elsewhere.
fn safe_name(name: &At<String>, reading: &mut Reading) -> String {
    let valid =
        !name.is_empty() && !name.starts_with('.') && !name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control());
    if !valid {
        let message = format!("`{}` cannot name a folder", name.value);
        reading.report(Problem::new(code::INVALID, name.place, message).help("letters, numbers, hyphens"));
    }
    name.value.clone()
}
