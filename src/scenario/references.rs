//! Names that must name something: checks across the sections of one scenario.

use std::collections::BTreeMap;

use super::actions::full_name;
use super::convert::ecs::service_load_balancer;
use super::convert::{Context, balancing, cluster_name};
use super::decode::At;
use super::diagnostic::{Problem, Reading, code};
use super::input::{RunTaskInput, ScenarioFile, ServiceLoadBalancerInput, StrategyItemInput, WarmPoolInput};
use super::overlay::NAMED_LISTS;
use super::registry;
use super::sessions;
use super::source::Place;
use super::timeline;
use super::tree::{Node, Value};
use crate::arn;
use crate::catalog::InstanceType;
use crate::control_plane::api::CreateService;
use crate::control_plane::estate::{Demand, Estate};
use crate::ec2::auto_scaling_group::CreateAutoScalingGroup;
use crate::ecs::capacity_provider::{LaunchChoice, check_create, weights_refused};
use crate::ecs::service::NoTarget;
use crate::ecs::task_definition::{Requirements, TaskDefinition};
use crate::scaling::alarm::Watched;
use crate::scaling::idle::IdleCause;
use crate::scaling::policy::{PolicyDefinition, TrackedMetric};
use crate::scaling::scalable_target::ScaledResource;
use crate::scaling::scheduled_action;
use crate::scaling::target_tracking::{self, check_beside};
use crate::units::{CpuUnits, MiB};

/// Names as they are written, whether or not their entries could be read: an entry with a mistake still has its name,
/// and that it cannot be used is not said again wherever the name occurs.
pub(crate) struct Names {
    by_section: BTreeMap<&'static str, Vec<(String, Place)>>,
    /// Entries of each list, named or not.
    counts: BTreeMap<&'static str, usize>,
    /// Cluster and name of every service, those that actions create included.
    services: Vec<(String, String)>,
    /// Policies that actions put.
    put_later: Vec<String>,
    /// Where the file begins, if there is anything in it.
    start: Option<Place>,
}

impl Names {
    pub(crate) fn of(root: &Node) -> Self {
        let mut names = Self {
            by_section: BTreeMap::new(),
            counts: BTreeMap::new(),
            services: Vec::new(),
            put_later: Vec::new(),
            start: (!root.is_empty()).then_some(root.place),
        };
        for (section, key) in NAMED_LISTS {
            let entries = list(root, section);
            names.counts.insert(section, entries.len());
            let found = entries.iter().filter_map(|entry| {
                let name = entry.get(key)?;
                Some((name.as_text()?.to_owned(), name.place))
            });
            names.by_section.insert(section, found.collect());
        }
        names.services.extend(list(root, "services").iter().filter_map(service));
        let actions = list(root, "actions");
        names.counts.insert("actions", actions.len());
        for action in actions {
            let call = action.get("call").and_then(Node::as_text).map(full_name);
            match (call.as_deref(), action.get("with")) {
                (Some("ecs:CreateService"), Some(with)) => names.services.extend(service(with)),
                (Some("application-autoscaling:PutScalingPolicy" | "autoscaling:PutScalingPolicy"), Some(with)) => {
                    names.put_later.extend(with.get("PolicyName").and_then(Node::as_text).map(str::to_owned));
                }
                _ => {}
            }
        }
        names
    }

    /// Cluster and name of every service.
    pub(crate) fn services(&self) -> &[(String, String)] {
        &self.services
    }

    /// Whether some entry of a section, of which `read` could be used, could not.
    fn broken(&self, section: &str, read: usize) -> bool {
        self.counts.get(section).is_some_and(|written| *written > read)
    }

    fn section(&self, section: &str) -> &[(String, Place)] {
        self.by_section.get(section).map_or(&[], Vec::as_slice)
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.section(section).iter().any(|(known, _)| known == name)
    }

    /// Reports a name that the section does not have, unless it may be that of an entry whose name could not be read.
    fn expect(&self, section: &str, what: &str, name: &str, place: Place, reading: &mut Reading) -> bool {
        if self.has(section, name) {
            return true;
        }
        if self.broken(section, self.section(section).len()) {
            return false;
        }
        let known = self.section(section).iter().map(|(name, _)| name.as_str());
        let problem = Problem::new(code::UNKNOWN_NAME, place, format!("there is no {what} `{name}`"))
            .label(format!("not among `{section}`"));
        reading.report(problem.nearest(name, known));
        false
    }
}

fn list<'a>(root: &'a Node, section: &str) -> &'a [Node] {
    match root.get(section) {
        Some(Node { value: Value::List(items), .. }) => items,
        _ => &[],
    }
}

/// Cluster and name in the input of `ecs create-service`.
fn service(input: &Node) -> Option<(String, String)> {
    let name = input.get("serviceName")?.as_text()?;
    let cluster = input.get("cluster").and_then(Node::as_text).map_or("default", arn::name);
    Some((cluster.to_owned(), name.to_owned()))
}

/// Every check that looks at more than one entry.
pub(crate) fn check(file: &ScenarioFile, names: &Names, estate: &Estate, context: &Context, reading: &mut Reading) {
    duplicates(file, names, reading);
    clusters(file, names, reading);
    capacity_providers(file, names, estate, reading);
    services(file, names, estate, reading);
    load_balancing(file, names, reading);
    sessions::check(file, estate, reading);
    registry::check(file, estate, reading);
    scaling(file, names, estate, reading);
    workloads(file, names, estate, context, reading);
    event_rules(file, names, estate, reading);
    fitting(file, names, estate, reading);
    objectives(file, names, estate, reading);
    timeline::check(file, estate, reading);
    optimism(file, estate, reading);
    something_runs(names, reading);
}

/// Spot capacity of a scenario that says nothing of what becomes of it.
fn optimism(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    let spot = estate.groups.iter().find(|group| group.distribution.on_demand_percentage < 100);
    let input = spot.and_then(|spot| file.auto_scaling_groups.iter().find(|input| input.name.value == spot.name));
    if let Some(input) = input.filter(|_| estate.spot_pools.is_empty() && estate.faults.is_empty()) {
        let message = "nothing takes Spot Instances back here, and there is always capacity for them (ASG-38, ASG-40)";
        let problem = Problem::new(code::SUSPICIOUS, input.name.place, message).label("an optimistic assumption");
        reading.report(problem.help("`spotPools` and `faults` say otherwise").into_warning());
    }
    let of_services = file.services.iter().filter_map(|input| input.strategy.as_ref()).flat_map(|items| &items.value);
    let of_clusters = file.clusters.iter().flat_map(|input| &input.default_strategy);
    let of_tasks = file
        .workloads
        .iter()
        .filter_map(|input| input.tasks.as_ref()?.value.strategy.as_ref())
        .flat_map(|items| &items.value);
    let targets = file.event_rules.iter().flat_map(|rule| &rule.targets.value);
    let of_rules = targets.filter_map(|target| target.ecs.strategy.as_ref()).flat_map(|items| &items.value);
    let mut items = of_services.chain(of_clusters).chain(of_tasks).chain(of_rules);
    let fargate = items.find(|item| arn::name(&item.provider) == "FARGATE_SPOT");
    if let Some(item) = fargate.filter(|_| estate.fargate_spot.is_empty() && estate.faults.is_empty()) {
        let message = "nothing takes tasks on Fargate Spot back here, and there is always capacity for them (FG-5)";
        let problem = Problem::new(code::SUSPICIOUS, item.provider.place, message).label("an optimistic assumption");
        reading.report(problem.help("`spotPools` and `faults` say otherwise").into_warning());
    }
}

/// A scenario in which no task can ever run is most likely a slip.
fn something_runs(names: &Names, reading: &mut Reading) {
    let nothing = ["services", "workloads", "eventRules", "actions"].iter().all(|section| !names.broken(section, 0));
    if !nothing || reading.has_errors() {
        return;
    }
    let message = "nothing runs in this scenario: it has no services, no workloads, no event rules and no actions";
    let problem = match names.start {
        Some(place) => Problem::new(code::SUSPICIOUS, place, message),
        None => Problem::nowhere(code::SUSPICIOUS, message),
    };
    reading.report(problem.help("scenarios/quickstart.yaml is one to start from").into_warning());
}

/// Two entries of one name. Task definitions may repeat (the next revision), metrics are told apart by dimensions.
fn duplicates(file: &ScenarioFile, names: &Names, reading: &mut Reading) {
    for (section, _) in NAMED_LISTS {
        const OF_A_PARENT: [&str; 8] = [
            "taskDefinitions",
            "metrics",
            "services",
            "scalingPolicies",
            "asgPolicies",
            "scheduledActions",
            "asgScheduledActions",
            "slo",
        ];
        if OF_A_PARENT.contains(&section) {
            continue;
        }
        report_duplicates(
            names.section(section).iter().map(|(name, place)| (name.clone(), name.as_str(), *place)),
            reading,
        );
    }
    let services = file.services.iter().map(|service| {
        let key = format!("{}/{}", cluster_name(service.cluster.as_ref()), service.name.value);
        (key, service.name.as_str(), service.name.place)
    });
    report_duplicates(services, reading);
    let policies = file
        .scaling_policies
        .iter()
        .map(|p| (format!("{} {}", p.resource.value, p.name.value), p.name.as_str(), p.name.place));
    report_duplicates(policies, reading);
    let policies = file
        .asg_policies
        .iter()
        .map(|p| (format!("{} {}", p.group.value, p.name.value), p.name.as_str(), p.name.place));
    report_duplicates(policies, reading);
    let of_services = file.scheduled_actions.iter().map(|action| (&action.resource, &action.name));
    let of_groups = file.asg_scheduled_actions.iter().map(|action| (&action.group, &action.name));
    let actions = of_services.chain(of_groups);
    report_duplicates(
        actions.map(|(owner, name)| (format!("{} {}", owner.value, name.value), name.as_str(), name.place)),
        reading,
    );
}

fn report_duplicates<'a>(names: impl Iterator<Item = (String, &'a str, Place)>, reading: &mut Reading) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for (key, name, place) in names {
        if let Some(first) = seen.get(&key) {
            let problem = Problem::new(code::DUPLICATE, place, format!("`{name}` is there already"));
            reading.report(problem.label("again").also(*first, "first"));
        } else {
            seen.insert(key, place);
        }
    }
}

fn is_fargate(provider: &str) -> bool {
    matches!(provider, "FARGATE" | "FARGATE_SPOT")
}

/// A cluster that exists: `default`, or one of the section.
fn expect_cluster(cluster: Option<&At<String>>, names: &Names, reading: &mut Reading) {
    if let Some(at) = cluster {
        let name = arn::name(at);
        if name != "default" {
            names.expect("clusters", "cluster", name, at.place, reading);
        }
    }
}

fn clusters(file: &ScenarioFile, names: &Names, reading: &mut Reading) {
    for cluster in file.clusters.iter() {
        for provider in &cluster.capacity_providers {
            expect_provider(provider, names, reading);
        }
        for item in &cluster.default_strategy {
            expect_provider(&item.provider, names, reading);
        }
    }
    for group in file.auto_scaling_groups.iter() {
        expect_cluster(group.cluster.as_ref(), names, reading);
    }
}

fn expect_provider(provider: &At<String>, names: &Names, reading: &mut Reading) -> bool {
    let name = arn::name(provider);
    is_fargate(name) || names.expect("capacityProviders", "capacity provider", name, provider.place, reading)
}

fn capacity_providers(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    const CLIENT: &str = "ClientException";
    let mut groups: BTreeMap<&str, Place> = BTreeMap::new();
    for input in file.capacity_providers.iter() {
        expect_cluster(input.cluster.as_ref(), names, reading);
        let group = &input.group_provider.group;
        let group_name = arn::name(group);
        if !names.expect("autoScalingGroups", "Auto Scaling group", group_name, group.place, reading) {
            continue;
        }
        if let Some(first) = groups.insert(group_name, group.place) {
            let message = "The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a unique Auto Scaling group ARN and try again.";
            reading.report(Problem::aws(CLIENT, "CP-1", group.place, message).also(first, "first used here"));
        }
        let provider = estate.capacity_providers.iter().find(|provider| provider.name == input.name.value);
        let group = estate.groups.iter().find(|group| group.name == group_name);
        // A group with a mistake of its own is missing here; it is not said twice.
        if let (Some(provider), Some(group)) = (provider, group)
            && let Err(refused) = check_create(provider, group.new_instances_protected)
        {
            let settings =
                input.group_provider.managed_scaling.as_ref().map_or(input.name.place, |settings| settings.place);
            let place = if refused.rule.starts_with("CAS") { settings } else { input.name.place };
            let protection = refused.rule == "TP-1";
            let problem = Problem::refused(refused, place);
            let help = "NewInstancesProtectedFromScaleIn: true on the group";
            reading.report(if protection { problem.help(help) } else { problem });
        }
        if let Some(group) = group.filter(|group| !group.weights.is_empty()) {
            reading.report(Problem::refused(weights_refused(&group.name), input.group_provider.group.place));
        }
        let lists = |cluster: &&super::input::ClusterInput| {
            cluster.capacity_providers.iter().any(|name| arn::name(name) == input.name.value)
        };
        let mut owners = file.clusters.iter().filter(lists);
        if let (Some(_), Some(second), true) =
            (owners.next(), owners.next(), provider.is_some_and(|p| p.managed_scaling.is_some()))
        {
            let message = format!(
                "capacity provider `{}` has managed scaling and so belongs to one cluster only",
                input.name.value
            );
            reading.report(Problem::aws(CLIENT, "CP-1", second.place, message));
        }
    }
}

/// CP-3: every provider of a strategy is associated with the cluster that uses it.
fn strategy_of(items: &[StrategyItemInput], cluster: &str, names: &Names, estate: &Estate, reading: &mut Reading) {
    let clusters_read = estate.clusters.len() - usize::from(!names.has("clusters", "default"));
    for item in items {
        if !expect_provider(&item.provider, names, reading) {
            continue;
        }
        let name = arn::name(&item.provider);
        // What is associated with what is not known of a cluster or a provider that could not be read.
        let readable = !names.broken("clusters", clusters_read)
            && (is_fargate(name) || estate.capacity_providers.iter().any(|provider| provider.name == name));
        let known = estate.clusters.iter().find(|known| known.name == cluster).filter(|_| readable);
        if known.is_some_and(|known| !known.capacity_providers.iter().any(|provider| provider == name)) {
            let message = "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.";
            let problem = Problem::aws("InvalidParameterException", "CP-3", item.provider.place, message);
            reading.report(problem.help(format!("add `{name}` to capacityProviders of cluster `{cluster}`")));
        }
    }
}

/// `family` or `family:revision` that is registered.
fn expect_definition(name: &At<String>, names: &Names, reading: &mut Reading) {
    let text = arn::name(name);
    let (family, revision) = text.split_once(':').map_or((text, None), |(family, revision)| (family, Some(revision)));
    if !names.expect("taskDefinitions", "task definition", family, name.place, reading) {
        return;
    }
    let registered = names.section("taskDefinitions").iter().filter(|(known, _)| known == family).count();
    if let Some(revision) = revision
        && !revision.parse::<usize>().is_ok_and(|revision| (1..=registered).contains(&revision))
    {
        let message = format!(
            "TaskDefinition not found: `{family}` has {registered} revision(s), and `{revision}` is none of them"
        );
        reading.report(Problem::aws("ClientException", "TD-3", name.place, message));
    }
}

fn services(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    for input in file.services.iter() {
        expect_cluster(input.cluster.as_ref(), names, reading);
        if let Some(definition) = &input.task_definition {
            expect_definition(definition, names, reading);
        }
        let cluster = cluster_name(input.cluster.as_ref());
        if let Some(items) = &input.strategy {
            strategy_of(&items.value, &cluster, names, estate, reading);
        }
        let found = input.task_definition.as_ref().and_then(|name| definition_of(name, estate));
        let Some(definition) = found else { continue };
        let awsvpc = definition.definition.network_mode == crate::ecs::task_definition::NetworkMode::Awsvpc;
        if awsvpc && input.network.as_ref().is_none_or(|network| network.awsvpc.is_none()) {
            network_missing("SVC-4", input.name.place, reading);
        }
        for entry in &input.load_balancers {
            balancer_of(entry, &definition.definition, names, reading);
        }
    }
}

/// ELB-1: the target group or Classic Load Balancer of a service, and the container and port behind it.
fn balancer_of(entry: &ServiceLoadBalancerInput, definition: &TaskDefinition, names: &Names, reading: &mut Reading) {
    if let Some(name) = &entry.target_group {
        names.expect("targetGroups", "target group", arn::name(name), name.place, reading);
    }
    if let Some(name) = entry.advanced.as_ref().and_then(|advanced| advanced.alternate.as_ref()) {
        names.expect("targetGroups", "target group", arn::name(name), name.place, reading);
    }
    if let Some(name) = &entry.balancer {
        names.expect("loadBalancers", "load balancer", name, name.place, reading);
    }
    let balanced = service_load_balancer(entry);
    let Err(none) = balanced.mapping(definition) else { return };
    let place = match &none {
        NoTarget::Container(_) => entry.container.place,
        NoTarget::Port(..) => entry.port.place,
    };
    let containers = definition.containers.iter().map(|container| container.name.as_str());
    let problem = Problem::aws("InvalidParameterException", "ELB-1", place, none.to_string());
    reading.report(if matches!(none, NoTarget::Container(_)) {
        problem.nearest(&entry.container, containers)
    } else {
        problem
    });
}

fn network_missing(rule: &'static str, place: Place, reading: &mut Reading) {
    let message = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
    let help = "networkConfiguration: {awsvpcConfiguration: {subnets: [<zone>]}}";
    reading.report(Problem::aws("InvalidParameterException", rule, place, message).help(help));
}

fn definition_of<'a>(name: &str, estate: &'a Estate) -> Option<&'a crate::control_plane::api::RegisterTaskDefinition> {
    let text = arn::name(name);
    let (family, revision) =
        text.split_once(':').map_or((text, None), |(family, revision)| (family, revision.parse::<usize>().ok()));
    let mut revisions = estate.task_definitions.iter().filter(|known| known.definition.family == family);
    match revision {
        Some(revision) => revisions.nth(revision.checked_sub(1)?),
        None => revisions.next_back(),
    }
}

fn load_balancing(file: &ScenarioFile, names: &Names, reading: &mut Reading) {
    for target_group in file.target_groups.iter() {
        // A load balancer that is only named needs no section; with a section, a slip of the keyboard shows.
        if let Some(name) = target_group.load_balancer.as_ref().filter(|_| !file.load_balancers.is_empty()) {
            names.expect("loadBalancers", "load balancer", name, name.place, reading);
        }
    }
    // ELB-11: target groups of one balancer.
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for name in file.target_groups.iter().filter_map(|group| group.load_balancer.as_ref()) {
        let count = groups.entry(name.as_str()).or_default();
        *count += 1;
        if *count == 101 {
            let message = "The maximum number of target groups per load balancer is 100.";
            reading.report(Problem::aws("TooManyTargets", "ELB-11", name.place, message));
        }
    }
    for balancer in file.load_balancers.iter().filter(|balancer| balancing::classic_instances(balancer).is_some()) {
        if let Some(group) = file.target_groups.iter().find(|group| group.name.value == balancer.name.value) {
            let message =
                format!("a target group and a Classic Load Balancer are both called `{}`", balancer.name.value);
            let problem = Problem::new(code::DUPLICATE, balancer.name.place, message);
            reading.report(problem.also(group.name.place, "the target group"));
        }
    }
}

/// ASG-41: a warm pool of a group that exists and may have one.
fn warm_pool(pool: &WarmPoolInput, names: &Names, estate: &Estate, reading: &mut Reading) {
    let name = arn::name(&pool.group);
    if !names.expect("autoScalingGroups", "Auto Scaling group", name, pool.group.place, reading) {
        return;
    }
    if estate.groups.iter().any(|group| group.name == name && group.mixed) {
        let message = "You can't add a warm pool to an Auto Scaling group that has a mixed instances policy or that \
                       launches Spot Instances.";
        reading.report(Problem::aws("ValidationError", "ASG-41", pool.group.place, message));
    }
    let reuses = pool.reuse.as_ref().is_some_and(|reuse| reuse.on_scale_in == Some(true));
    if reuses && estate.capacity_providers.iter().any(|provider| provider.auto_scaling_group == name) {
        let message = "Amazon ECS does not support an instance reuse policy: the group has a capacity provider.";
        let problem = Problem::aws("ValidationError", "ASG-41", pool.group.place, message);
        reading.report(problem.help("leave InstanceReusePolicy out"));
    }
}

fn scaling(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    let services: Vec<String> =
        names.services.iter().map(|(cluster, service)| format!("service/{cluster}/{service}")).collect();
    for target in file.scalable_targets.iter() {
        if target.resource.starts_with("service/") && !services.contains(&target.resource.value) {
            let message = format!("ECS service doesn't exist: {}", target.resource.value);
            let problem = Problem::aws("ValidationException", "AAS-1", target.resource.place, message);
            reading.report(problem.nearest(&target.resource, services.iter().map(String::as_str)));
        }
    }
    let targets = file.scaling_policies.iter().map(|policy| &policy.resource);
    for resource in targets.chain(file.scheduled_actions.iter().map(|action| &action.resource)) {
        if resource.starts_with("service/") && !names.has("scalableTargets", resource) {
            let message = format!(
                "No scalable target registered for service namespace: ecs, resource ID: {}, scalable dimension: ecs:service:DesiredCount",
                resource.value
            );
            let known = names.section("scalableTargets").iter().map(|(name, _)| name.as_str());
            let problem = Problem::aws("ObjectNotFoundException", "AAS-1", resource.place, message);
            reading.report(problem.nearest(resource, known));
        }
    }
    one_policy_per_metric(file, estate, reading);
    let groups = file.asg_policies.iter().map(|policy| &policy.group);
    for group in groups.chain(file.asg_scheduled_actions.iter().map(|action| &action.group)) {
        names.expect("autoScalingGroups", "Auto Scaling group", arn::name(group), group.place, reading);
    }
    scheduled_action_quota(file, estate, reading);
    host_targets(file, names, estate, reading);
    watched_metrics(file, names, estate, reading);
    for hook in file.lifecycle_hooks.iter() {
        let group = arn::name(&hook.group);
        names.expect("autoScalingGroups", "Auto Scaling group", group, hook.group.place, reading);
    }
    for pool in file.warm_pools.iter() {
        warm_pool(pool, names, estate, reading);
    }
    let sections = names.section("scalingPolicies").iter().chain(names.section("asgPolicies"));
    let policies: Vec<&str> = sections.map(|(name, _)| name).chain(&names.put_later).map(String::as_str).collect();
    for alarm in file.alarms.iter() {
        for action in alarm.alarm_actions.iter().chain(&alarm.ok_actions).chain(&alarm.insufficient_actions) {
            let Some((_, name)) = arn::policy(action) else { continue };
            if !policies.contains(&name) {
                let message = format!("`{name}` is no policy: alarm `{}` will send a notification", alarm.name.value);
                reading.report(
                    Problem::new(code::SUSPICIOUS, action.place, message)
                        .nearest(name, policies.iter().copied())
                        .into_warning(),
                );
            }
        }
    }
}

/// Groups whose hosts are targets of what is not there (ASG-43).
fn host_targets(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    let groups: Vec<&str> = estate.target_groups.iter().map(|group| group.name.as_str()).collect();
    let balancers: Vec<&str> = estate.load_balancers.iter().map(|balancer| balancer.name.as_str()).collect();
    let mut check = |name: &At<String>, short: &str, known: &[&str], what: &str| {
        if !known.contains(&short) {
            let message = format!("there is no {what} `{short}`");
            let problem = Problem::new(code::UNKNOWN_NAME, name.place, message);
            reading.report(problem.nearest(short, known.iter().copied()));
        }
    };
    for input in file.auto_scaling_groups.iter() {
        if !names.broken("targetGroups", estate.target_groups.len()) {
            for name in &input.target_groups {
                check(name, arn::name(name), &groups, "target group");
            }
        }
        if !names.broken("loadBalancers", estate.load_balancers.len()) {
            for name in &input.classic_balancers {
                check(name, name, &balancers, "load balancer");
            }
        }
    }
}

/// Metrics that nobody publishes, and 20 s alarms over one-minute data: alarms that will never have their data.
fn watched_metrics(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    // What a service or a group with a mistake would publish is not known.
    if names.broken("services", estate.services.len())
        || names.broken("autoScalingGroups", estate.groups.len())
        || names.broken("capacityProviders", estate.capacity_providers.len())
        || names.broken("targetGroups", estate.target_groups.len())
        || names.broken("metrics", estate.metrics.len())
    {
        return;
    }
    let warn = |watched: &Watched, what: &str, name: &At<String>, reading: &mut Reading| {
        for (key, _) in watched.metrics() {
            if !estate.publishes(key) {
                let of: Vec<String> = key.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let message = format!(
                    "nothing publishes the metric {} {} ({}), so {what} `{}` never has data",
                    key.namespace,
                    key.name,
                    if of.is_empty() { "no dimensions".to_owned() } else { of.join(", ") },
                    name.value
                );
                let problem = Problem::new(code::SUSPICIOUS, name.place, message).label("watches nothing");
                reading.report(problem.help("`metrics` can replay it").into_warning());
            }
        }
    };
    for input in file.alarms.iter() {
        let alarm = estate.alarms.iter().find(|alarm| alarm.definition.name == input.name.value);
        if let Some(alarm) = alarm {
            warn(&alarm.definition.watched, "alarm", &input.name, reading);
        }
    }
    let services = file.scaling_policies.iter().map(|input| &input.name);
    for name in services.chain(file.asg_policies.iter().map(|input| &input.name)) {
        let Some(policy) = estate.policies.iter().find(|policy| policy.name == name.value) else { continue };
        let PolicyDefinition::TargetTracking(tracking) = &policy.policy else { continue };
        warn(&target_tracking::watched(&tracking.metric, &policy.resource), "policy", name, reading);
        let ScaledResource::Service { cluster, service } = &policy.resource else { continue };
        let found = estate.services.iter().find(|known| known.cluster == *cluster && known.name == *service);
        let monitoring = found.map(|service| service.monitoring.high_resolution());
        let coarse = match (&tracking.metric, monitoring) {
            (TrackedMetric::ServiceCpu { high_resolution: true }, Some([every_20s, _]))
            | (TrackedMetric::ServiceMemory { high_resolution: true }, Some([_, every_20s])) => !every_20s,
            _ => false,
        };
        if coarse {
            let message = format!(
                "policy `{}` watches every 20 s what service `{service}` publishes every minute (TT-4)",
                name.value
            );
            let problem =
                Problem::new(code::SUSPICIOUS, name.place, message).label("its alarms lack two points of three");
            let help = "monitoring: {metricConfigurations: [{metricNames: [CPUUtilization, MemoryUtilization], \
                        resolutionSeconds: 20}]} on the service";
            reading.report(problem.help(help).into_warning());
        }
    }
}

/// AAS-18, ASG-32: scheduled actions of one service or group, reported at the first that is too many.
fn scheduled_action_quota(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    for (index, action) in estate.scheduled_actions.iter().enumerate() {
        let earlier =
            estate.scheduled_actions[..index].iter().filter(|other| other.resource == action.resource).count();
        let names = file.scheduled_actions.iter().map(|input| &input.name);
        let name = names.chain(file.asg_scheduled_actions.iter().map(|input| &input.name));
        let counted = scheduled_action::check_count(&action.resource, earlier + 1);
        if let (Err(refused), Some(name)) = (counted, name.into_iter().find(|name| name.value == action.name)) {
            reading.report(Problem::refused(refused, name.place));
            return;
        }
    }
}

/// TT-8: two target tracking policies of one target use different metrics.
fn one_policy_per_metric(file: &ScenarioFile, estate: &Estate, reading: &mut Reading) {
    for (index, policy) in estate.policies.iter().enumerate() {
        let PolicyDefinition::TargetTracking(tracking) = &policy.policy else { continue };
        let clash = estate.policies[..index].iter().find_map(|earlier| match &earlier.policy {
            PolicyDefinition::TargetTracking(other)
                if earlier.resource == policy.resource && earlier.name != policy.name =>
            {
                check_beside(tracking, other).err()
            }
            _ => None,
        });
        let services = file.scaling_policies.iter().map(|input| &input.name);
        let name =
            services.chain(file.asg_policies.iter().map(|input| &input.name)).find(|name| name.value == policy.name);
        if let (Some(refused), Some(name)) = (clash, name) {
            reading.report(Problem::refused(refused, name.place));
        }
    }
}

fn workloads(file: &ScenarioFile, names: &Names, estate: &Estate, context: &Context, reading: &mut Reading) {
    one_workload_per_queue(file, reading);
    for workload in file.workloads.iter() {
        let of = workload.requests.as_ref().map(|requests| &requests.service);
        let drains = workload.messages.as_ref().and_then(|messages| messages.service.as_ref());
        if let Some(name) = of.or(drains).or(workload.utilization.as_ref().map(|utilization| &utilization.service)) {
            expect_service(name, context, reading);
        }
        if let Some(service) = drains {
            drains_alone(service, estate, context, reading);
        }
        if let Some(tasks) = &workload.tasks {
            tasks_asked_for(tasks, names, estate, reading);
        }
    }
}

fn event_rules(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    for rule in file.event_rules.iter() {
        for target in &rule.targets.value {
            tasks_asked_for(&target.as_run_task(&rule.name), names, estate, reading);
        }
    }
}

/// The names in a RunTask call of a workload or an event rule.
fn tasks_asked_for(tasks: &RunTaskInput, names: &Names, estate: &Estate, reading: &mut Reading) {
    expect_cluster(tasks.cluster.as_ref(), names, reading);
    expect_definition(&tasks.task_definition, names, reading);
    let awsvpc = definition_of(&tasks.task_definition, estate)
        .is_some_and(|known| known.definition.network_mode == crate::ecs::task_definition::NetworkMode::Awsvpc);
    if awsvpc && tasks.network.as_ref().is_none_or(|network| network.awsvpc.is_none()) {
        network_missing("NET-4", tasks.task_definition.place, reading);
    }
    if let Some(items) = &tasks.strategy {
        strategy_of(&items.value, &cluster_name(tasks.cluster.as_ref()), names, estate, reading);
    }
}

/// Health checks decide who gets a load balancer's requests, and would decide over messages too.
fn drains_alone(name: &At<String>, estate: &Estate, context: &Context, reading: &mut Reading) {
    let of = context.service(name);
    let requested = estate
        .workloads
        .iter()
        .any(|workload| matches!(&workload.demand, Demand::Requests { service, .. } if *service == of));
    let balanced = estate
        .services
        .iter()
        .any(|service| (&service.cluster, &service.name) == (&of.0, &of.1) && !service.load_balancers.is_empty());
    if requested && balanced {
        let message = "not modelled: a service that answers requests of a load balancer and drains a queue";
        let problem = Problem::new(code::NOT_MODELLED, name.place, message).label("has `requests` as well");
        reading.report(problem.help("let another service drain the queue"));
    }
}

/// Two workloads on one queue.
fn one_workload_per_queue(file: &ScenarioFile, reading: &mut Reading) {
    let mut workloads: Vec<&str> = Vec::new();
    let queues = file.workloads.iter().filter_map(|workload| {
        let messages = workload.messages.as_ref()?;
        // Two workloads of one name have been reported as such.
        let again = workloads.contains(&workload.name.as_str());
        workloads.push(&workload.name);
        let name = messages.queue_name.as_ref().or(Some(&workload.name).filter(|_| !again))?;
        Some((name.value.clone(), name.value.as_str(), name.place))
    });
    report_duplicates(queues, reading);
}

/// A service that exists, its cluster said or not.
fn expect_service(name: &At<String>, context: &Context, reading: &mut Reading) {
    let found = context.service(name);
    if context.services.contains(&found) {
        return;
    }
    let (cluster, service) = found;
    let elsewhere: Vec<String> =
        context.clusters_of(&service).iter().map(|cluster| format!("{cluster}/{service}")).collect();
    let unknown = |message: String| Problem::new(code::UNKNOWN_NAME, name.place, message);
    reading.report(match elsewhere.as_slice() {
        [] => {
            let known = context.services.iter().map(|(_, service)| service.as_str());
            unknown(format!("there is no service `{service}` in cluster `{cluster}`")).nearest(&service, known)
        }
        [one] => unknown(format!("there is no service `{service}` in cluster `{cluster}`"))
            .help(format!("did you mean `{one}`?")),
        several => unknown(format!("more than one cluster has a service `{service}`: which is meant?"))
            .help(several.join(" or ")),
    });
}

/// Tasks that fit no instance type of any group they could go to: a warning, for they wait or fail for ever.
fn fitting(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    // With a group or provider that could not be read, it is not known where tasks could go.
    if names.broken("autoScalingGroups", estate.groups.len())
        || names.broken("capacityProviders", estate.capacity_providers.len())
        || names.broken("clusters", file.clusters.len())
    {
        return;
    }
    for input in file.services.iter() {
        let cluster = cluster_name(input.cluster.as_ref());
        let is_meant = |service: &&CreateService| service.name == input.name.value && service.cluster == cluster;
        let Some(service) = estate.services.iter().find(is_meant) else { continue };
        let Some(definition) = &service.task_definition else { continue };
        warn_unless_it_fits(definition, &service.cluster, &service.launch, input.name.place, estate, reading);
    }
    for input in file.event_rules.iter() {
        let rule = estate.event_rules.iter().find(|rule| rule.name == input.name.value);
        for call in rule.iter().flat_map(|rule| &rule.targets).map(|target| &target.call) {
            let (name, cluster, place) = (&call.task_definition, &call.cluster, input.name.place);
            warn_unless_it_fits(name, cluster, &call.launch, place, estate, reading);
        }
    }
    for input in file.workloads.iter() {
        let workload = estate.workloads.iter().find(|workload| workload.name == input.name.value);
        if let Some(Demand::Tasks { run_task, .. }) = workload.map(|workload| &workload.demand) {
            warn_unless_it_fits(
                &run_task.task_definition,
                &run_task.cluster,
                &run_task.launch,
                input.name.place,
                estate,
                reading,
            );
        }
    }
}

fn warn_unless_it_fits(
    name: &str,
    cluster: &str,
    launch: &LaunchChoice,
    place: Place,
    estate: &Estate,
    reading: &mut Reading,
) {
    let Some(definition) = definition_of(name, estate) else { return };
    let default =
        estate.clusters.iter().find(|known| known.name == cluster).map_or(&[][..], |known| &known.default_strategy);
    let items = match launch {
        LaunchChoice::Fargate => return,
        LaunchChoice::Ec2 => &[][..],
        LaunchChoice::Strategy(items) => items.as_slice(),
        LaunchChoice::ClusterDefault => default,
    };
    if items.iter().any(|item| is_fargate(&item.provider)) {
        return;
    }
    let provided: Vec<&str> = estate
        .capacity_providers
        .iter()
        .filter(|provider| items.iter().any(|item| item.provider == provider.name))
        .map(|provider| provider.auto_scaling_group.as_str())
        .collect();
    let in_cluster = |group: &&CreateAutoScalingGroup| {
        if items.is_empty() { joins(group, estate) == cluster } else { provided.contains(&group.name.as_str()) }
    };
    let groups: Vec<&CreateAutoScalingGroup> = estate.groups.iter().filter(in_cluster).collect();
    let needs = definition.definition.requirements();
    if groups.is_empty() {
        let message =
            format!("no Auto Scaling group brings hosts to cluster `{cluster}`, so no task of `{name}` can start");
        reading.report(Problem::new(code::SUSPICIOUS, place, message).into_warning());
        return;
    }
    let architecture = definition.definition.cpu_architecture;
    let mut types = groups.iter().flat_map(|group| group.instance_types.iter().map(move |name| (*group, name)));
    let fits = types.any(|(group, name)| {
        estate.instance_type(name).is_some_and(|kind| kind.architecture == architecture && holds(group, kind, &needs))
    });
    if !fits {
        let groups: Vec<String> =
            groups.iter().map(|group| format!("`{}` ({})", group.name, group.instance_types.join(", "))).collect();
        let message = format!(
            "a task of `{name}` needs {} CPU units, {} MiB and {} GPUs on {}, and fits no host of {}",
            needs.cpu.0,
            needs.memory.0,
            needs.gpus,
            architecture.attribute(),
            groups.join(" or ")
        );
        reading
            .report(Problem::new(code::SUSPICIOUS, place, message).label("its tasks will never start").into_warning());
    }
}

/// The cluster a group's hosts join: that of its capacity provider, else its own.
fn joins<'a>(group: &'a CreateAutoScalingGroup, estate: &'a Estate) -> &'a str {
    let provider = estate.capacity_providers.iter().find(|provider| provider.auto_scaling_group == group.name);
    let cluster = provider.and_then(|provider| {
        estate.clusters.iter().find(|cluster| cluster.capacity_providers.contains(&provider.name))
    });
    cluster.map_or(group.cluster.as_str(), |cluster| cluster.name.as_str())
}

/// Whether an empty host of the type holds the task.
fn holds(group: &CreateAutoScalingGroup, kind: &InstanceType, needs: &Requirements) -> bool {
    let registered = group.registered_resources.get(&kind.name);
    let cpu = registered.and_then(|registered| registered.cpu).unwrap_or_else(|| kind.cpu());
    let memory = match (registered.and_then(|registered| registered.memory), group.host_memory_bytes) {
        (Some(memory), _) => memory,
        (None, Some(bytes)) => MiB(bytes >> 20).saturating_sub(group.ecs_reserved_memory),
        (None, None) => kind.registered_memory.saturating_sub(group.ecs_reserved_memory),
    };
    let CpuUnits(needed) = needs.cpu;
    needed <= cpu.0 && needs.memory <= memory && needs.gpus <= kind.gpus
}

/// Figures of the whole run, as the summary names them (design, section 4).
const METRICS: [&str; 24] = [
    "cost_usd",
    "cost_ec2_on_demand_usd",
    "cost_ec2_spot_usd",
    "cost_ebs_usd",
    "cost_public_ipv4_usd",
    "cost_fargate_usd",
    "cost_fargate_spot_usd",
    "cost_load_balancer_usd",
    "cost_lcu_usd",
    "cost_cloudwatch_alarm_usd",
    "cost_cloudwatch_metric_usd",
    "cost_ecr_storage_usd",
    "cost_nat_gateway_usd",
    "idle_cost_usd",
    "instance_hours",
    "instances_peak",
    "idle_cpu_ratio",
    "cpu_reserved_ratio",
    "cpu_used_ratio",
    "memory_reserved_ratio",
    "tasks_started",
    "tasks_failed",
    "task_wait_p50_s",
    "task_wait_p99_s",
];
/// Figures of every service.
const SERVICE_METRICS: [&str; 4] = ["scaling_actions", "below_desired_s", "under_capacity_s", "over_capacity_s"];
/// Figures of a service that a workload sends requests to.
const REQUEST_METRICS: [&str; 15] = [
    "requests",
    "requests_failed",
    "requests_failed_no_healthy_target",
    "requests_failed_timeout",
    "requests_failed_connection_refused",
    "requests_failed_task_killed",
    "requests_failed_application_error",
    "requests_retried",
    "availability_ratio",
    "latency_mean_s",
    "latency_p50_s",
    "latency_p90_s",
    "latency_p95_s",
    "latency_p99_s",
    "latency_p999_s",
];
/// Figures of a service whose load is modelled.
const ELASTICITY_METRICS: [&str; 5] = [
    "under_accuracy_ratio",
    "over_accuracy_ratio",
    "under_timeshare_ratio",
    "over_timeshare_ratio",
    "instability_ratio",
];

/// Figures of every queue.
const QUEUE_METRICS: [&str; 14] = [
    "messages",
    "backlog_max",
    "in_flight_max",
    "age_max_s",
    "drain_max_s",
    "time_in_queue_mean_s",
    "time_in_queue_p99_s",
    "latency_mean_s",
    "latency_p99_s",
    "messages_deleted",
    "messages_redelivered",
    "messages_dead_lettered",
    "messages_expired",
    "messages_left",
];

/// Figures of every event rule.
const RULE_METRICS: [&str; 6] =
    ["events", "invocations", "retries", "tasks_not_placed", "events_dead_lettered", "events_lost"];

/// Objectives on figures that the run will not have.
fn objectives(file: &ScenarioFile, names: &Names, estate: &Estate, reading: &mut Reading) {
    let workloads_broken = names.broken("workloads", estate.workloads.len());
    let loaded = |of: &(String, String)| {
        let sends = |demand: &Demand| matches!(demand, Demand::Requests { service, .. } if service == of);
        workloads_broken || estate.workloads.iter().any(|workload| sends(&workload.demand))
    };
    let demanded = |of: &(String, String)| {
        let demands =
            |demand: &Demand| matches!(demand, Demand::Utilization { service, cpu: Some(_), .. } if service == of);
        loaded(of) || estate.workloads.iter().any(|workload| demands(&workload.demand))
    };
    let mut known: Vec<String> = METRICS.map(str::to_owned).to_vec();
    known.extend(IdleCause::ALL.map(|cause| format!("idle_{cause}_usd")));
    let groups = estate.groups.iter().map(|group| format!("asg/{}", group.name));
    let providers = estate.capacity_providers.iter().map(|provider| format!("capacity-provider/{}", provider.name));
    for part in groups.chain(providers) {
        known.push(format!("{part}:idle_cost_usd"));
        known.extend(IdleCause::ALL.map(|cause| format!("{part}:idle_{cause}_usd")));
    }
    let mut unloaded: Vec<String> = Vec::new();
    for service in &names.services {
        let key = |metric: &str| format!("service/{}/{}:{metric}", service.0, service.1);
        known.extend(SERVICE_METRICS.map(key));
        let of_requests = if loaded(service) { &mut known } else { &mut unloaded };
        of_requests.extend(REQUEST_METRICS.map(key));
        let of_load = if demanded(service) { &mut known } else { &mut unloaded };
        of_load.extend(ELASTICITY_METRICS.map(key));
    }
    for (queue, _) in estate.queues() {
        known.extend(QUEUE_METRICS.map(|metric| format!("queue/{}:{metric}", queue.name)));
    }
    for rule in &estate.event_rules {
        known.extend(RULE_METRICS.map(|metric| format!("event-rule/{}:{metric}", rule.name)));
    }
    for slo in file.slo.iter() {
        // A queue with a mistake in it still has its figures.
        let of_unread_queue = workloads_broken && slo.metric.starts_with("queue/");
        if known.contains(&slo.metric.value) || of_unread_queue {
            continue;
        }
        let unknown =
            |message: String| Problem::new(code::UNKNOWN_NAME, slo.metric.place, message).label("no such figure");
        reading.report(if unloaded.contains(&slo.metric.value) {
            unknown(format!("a run has no `{}`: no workload sends requests to this service", slo.metric.value))
        } else {
            unknown(format!("a run has no figure `{}`", slo.metric.value))
                .nearest(&slo.metric, known.iter().map(String::as_str))
                .help_if_none("for example cost_usd, task_wait_p99_s, service/<cluster>/<service>:latency_p99_s")
        });
    }
}
