//! Clusters, capacity providers, task definitions, services and `RunTask` (TD-*, SVC-*, DEP-*, CP-*, PLACE-*).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::deployment::deployment_change;
use super::{Context, cluster_name, definition_checks, images, not_modelled, process, volumes, zones};
use crate::arn;
use crate::catalog::check_fargate_size;
use crate::control_plane::api::{
    CreateCluster, CreateService, RegisterTaskDefinition, RunTask, SettingsChange, UpdateService,
};
use crate::ecs::capability::WINDOWS_FAMILIES;
use crate::ecs::capacity_provider::{
    CreateCapacityProvider, LaunchChoice, Lookup, ManagedScaling, PlatformVersion, Provider, StrategyItem,
    check_default, resolve,
};
use crate::ecs::ids::ProviderId;
use crate::ecs::image::ImageSettings;
use crate::ecs::service::{
    DeploymentConfiguration, DeploymentController, Monitoring, SchedulingStrategy, ServiceLoadBalancer, TaskSettings,
};
use crate::ecs::task_definition::{
    Compatibility, Condition, ContainerDefinition, ContainerHealthCheck, DefinitionStatus, Dependency, NetworkMode,
    OperatingSystem, PortMapping, Protocol, RestartPolicy, TaskDefinition, TaskOverrides,
};
use crate::engine::time::SimDuration;
use crate::placement::constraint::Constraint;
use crate::placement::query::Query;
use crate::placement::strategy::{BinpackField, PlacementStrategy, SpreadField};
use crate::scenario::decode::{At, Said, Whole};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{
    BehaviourInput, CapacityProviderInput, ClusterInput, ClusterProvidersInput, ClusterSettingWord, ConditionWord,
    ConstraintInput, ConstraintWord, ContainerInput, ControllerWord, HealthCheckInput, InsightsWord, LaunchTypeWord,
    MonitoringInput, NetworkInput, OverridesInput, PlacementStrategyInput, PortMappingInput, RestartPolicyInput,
    RunTaskInput, ServiceInput, ServiceLoadBalancerInput, StrategyItemInput, StrategyWord, Switch, TaskDefinitionInput,
    UpdateServiceInput,
};
use crate::scenario::source::Place;
use crate::units::{CpuUnits, MiB};
use crate::workload::behaviour::ContainerBehaviour;

const CLIENT: &str = "ClientException";
const PARAMETER: &str = "InvalidParameterException";
/// TD-4: 64 KiB since 2021; `quota_set` may ask for less.
const MOST_JSON_BYTES: usize = 64 * 1024;
/// TD-4: what a call may override of its definition, in characters.
const MOST_OVERRIDES: usize = 8192;

/// `create-cluster`.
pub(crate) fn cluster(input: &ClusterInput, reading: &mut Reading) -> CreateCluster {
    CreateCluster {
        name: cluster_name(input.name.as_ref()),
        capacity_providers: input.capacity_providers.iter().map(|name| arn::name(name).to_owned()).collect(),
        default_strategy: strategy(&input.default_strategy, input.place, false, reading),
        container_insights: input.settings.last().map(|setting| {
            let ClusterSettingWord::ContainerInsights = setting.name;
            setting.value != InsightsWord::Disabled
        }),
    }
}

/// `put-cluster-capacity-providers`.
pub(crate) fn cluster_providers(input: &ClusterProvidersInput, reading: &mut Reading) -> CreateCluster {
    CreateCluster {
        name: cluster_name(Some(&input.cluster)),
        capacity_providers: input.capacity_providers.iter().map(|name| arn::name(name).to_owned()).collect(),
        default_strategy: strategy(&input.default_strategy, input.place, false, reading),
        container_insights: None,
    }
}

/// A capacity provider strategy, checked by CP-2 and CP-3 as far as that needs no other section.
///
/// A cluster's default strategy may weigh nothing; one that is `used` may not.
fn strategy(inputs: &[StrategyItemInput], place: Place, used: bool, reading: &mut Reading) -> Vec<StrategyItem> {
    let items: Vec<StrategyItem> = inputs
        .iter()
        .map(|item| StrategyItem {
            provider: arn::name(&item.provider).to_owned(),
            base: item.base.map_or(0, Whole::get),
            weight: item.weight.map_or(0, Whole::get),
        })
        .collect();
    // Whether the providers exist is asked with the other sections at hand; here each name is taken at its word.
    let lookup = |name: &str| Lookup::Found(Provider::reserved(name).unwrap_or(Provider::Group(ProviderId(0))));
    let checked = match (used, items.is_empty()) {
        (_, true) => return items,
        (true, false) => resolve(&items, lookup),
        (false, false) => check_default(&items, lookup),
    };
    if let Err(refused) = checked {
        let weightless = items.iter().all(|item| item.weight == 0);
        let problem = Problem::refused(refused, place);
        reading.report(if used && weightless {
            problem.help("the API's default weight is 0: write weight: 1")
        } else {
            problem
        });
    }
    items
}

/// `create-capacity-provider`; AWS's checks of it need its group, see [`super::super::references`].
pub(crate) fn capacity_provider(input: &CapacityProviderInput) -> CreateCapacityProvider {
    let provider = &input.group_provider;
    let enabled = provider.managed_scaling.as_ref().filter(|settings| settings.status != Some(Switch::Disabled));
    let defaults = ManagedScaling::default();
    CreateCapacityProvider {
        name: input.name.value.clone(),
        auto_scaling_group: arn::name(&provider.group).to_owned(),
        managed_scaling: enabled.map(|settings| ManagedScaling {
            target_capacity: settings.target_capacity.map_or(defaults.target_capacity, Whole::get),
            minimum_step: settings.minimum_step.map_or(defaults.minimum_step, Whole::get),
            maximum_step: settings.maximum_step.map_or(defaults.maximum_step, Whole::get),
            instance_warmup: settings.instance_warmup.map_or(defaults.instance_warmup, seconds),
        }),
        managed_termination_protection: provider.termination_protection == Some(Switch::Enabled),
        managed_draining: provider.draining != Some(Switch::Disabled),
    }
}

fn seconds<const MIN: i64, const MAX: i64>(value: Whole<MIN, MAX>) -> SimDuration {
    SimDuration::from_secs(u64::from(value.get()))
}

/// `register-task-definition`, of so many bytes of JSON.
pub(crate) fn task_definition(
    input: &TaskDefinitionInput,
    json_bytes: usize,
    reading: &mut Reading,
) -> Option<RegisterTaskDefinition> {
    check_family(&input.family, reading);
    if json_bytes > MOST_JSON_BYTES {
        let message = format!("Too large: a task definition has at most {} KiB of JSON.", MOST_JSON_BYTES / 1024);
        reading.report(Problem::aws(CLIENT, "TD-4", input.place, message).label(format!("{json_bytes} bytes")));
    }
    let compatibilities: Vec<Compatibility> =
        input.requires_compatibilities.iter().filter_map(|word| compatibility(word, reading)).collect();
    let fargate = compatibilities.contains(&Compatibility::Fargate);
    let cpu = input.cpu.as_ref().map(|cpu| task_cpu(cpu, reading)).map_or(Some(None), |cpu| cpu.map(Some))?;
    let memory =
        input.memory.as_ref().map(|memory| task_memory(memory, reading)).map_or(Some(None), |m| m.map(Some))?;
    let platform = input.runtime_platform.as_ref();
    let family = platform.and_then(|platform| platform.operating_system.as_ref()).filter(|at| at.value != "LINUX");
    if let Some(family) = family.filter(|family| !WINDOWS_FAMILIES.contains(&family.as_str())) {
        let message = format!("`{}` is no operating system family", family.value);
        let problem = Problem::new(code::UNKNOWN_VALUE, family.place, message);
        reading.report(problem.nearest(family, WINDOWS_FAMILIES.into_iter().chain(["LINUX"])));
        return None;
    }
    let operating_system = if family.is_some() { OperatingSystem::Windows } else { OperatingSystem::Linux };
    // TD-21: what each has unless it says otherwise.
    let default_mode = if family.is_some() && !fargate { NetworkMode::WindowsDefault } else { NetworkMode::Bridge };
    let network_mode = input.network_mode.as_ref().map_or(default_mode, |mode| mode.value);
    if let Some(at) =
        input.network_mode.as_ref().filter(|at| at.value == NetworkMode::WindowsDefault && family.is_none())
    {
        let message = "The network mode 'default' is for Windows containers.";
        reading.report(Problem::aws(CLIENT, "TD-21", at.place, message).help("bridge is the default on Linux"));
    }
    definition_checks::check(input, fargate, operating_system, reading);
    check_containers(input, cpu, memory, reading);
    if fargate {
        check_fargate(input, network_mode, cpu, memory, operating_system, reading);
    } else if let (Some(cpu), Some(at)) = (cpu.filter(|_| family.is_none()), &input.cpu)
        && !(128..=196_608).contains(&cpu.0)
    {
        let message = "Invalid 'cpu' setting for task. The valid values are 128 to 196608 CPU units.".to_owned();
        reading.report(Problem::aws(CLIENT, "TD-5", at.place, message));
    }
    if input.placement_constraints.len() > 10 {
        let message = "a task definition has at most 10 placement constraints";
        reading.report(Problem::aws(CLIENT, "TD-4", input.place, message));
    }
    for constraint in &input.placement_constraints {
        if constraint.kind.value == ConstraintWord::DistinctInstance {
            let message = "a task definition cannot have a distinctInstance constraint";
            reading
                .report(Problem::aws(CLIENT, "PLACE-14", constraint.kind.place, message).help("put it on the service"));
        }
    }
    volumes::check(input, fargate, reading);
    let dependencies = dependencies(&input.containers, reading);
    let containers = (input.containers.iter().zip(dependencies))
        .map(|(container, depends_on)| container_definition(input, container, depends_on, network_mode, reading))
        .collect::<Option<Vec<_>>>()?;
    if containers.iter().try_fold(0_u32, |total, container| total.checked_add(container.gpus)).is_none() {
        too_many_gpus(input.place, reading);
        return None;
    }
    Some(RegisterTaskDefinition {
        definition: TaskDefinition {
            family: input.family.value.clone(),
            revision: 0,
            status: DefinitionStatus::Active,
            takes_work: true,
            network_mode,
            cpu,
            memory,
            containers,
            placement_constraints: constraints(&input.placement_constraints, reading)?,
            requires_compatibilities: compatibilities,
            cpu_architecture: platform.and_then(|platform| platform.cpu_architecture).unwrap_or_default(),
            operating_system,
            ephemeral_storage_gib: input.ephemeral_storage.as_ref().map(|storage| storage.size.get()),
            mounts_efs: input.volumes.iter().any(|volume| volume.efs.is_some()),
            attaches_ebs: input.volumes.iter().any(volumes::is_configured_at_launch),
            declared: definition_checks::declared(input, family.map(|family| family.as_str())),
        },
        behaviours: behaviours(input, reading)?,
        behaves_as_a_whole: input.behaviour.is_some(),
        json_bytes,
    })
}

fn check_family(family: &At<String>, reading: &mut Reading) {
    let valid = (1..=255).contains(&family.len())
        && family.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !valid {
        let message =
            "Family contains invalid characters or is not 1 to 255 letters, numbers, hyphens and underscores long";
        reading.report(Problem::aws(CLIENT, "TD-1", family.place, message));
    }
}

fn compatibility(word: &At<LaunchTypeWord>, reading: &mut Reading) -> Option<Compatibility> {
    match word.value {
        LaunchTypeWord::Ec2 => Some(Compatibility::Ec2),
        LaunchTypeWord::Fargate => Some(Compatibility::Fargate),
        LaunchTypeWord::External | LaunchTypeWord::ManagedInstances => {
            not_modelled(word.place, "ECS Anywhere and Managed Instances", reading);
            None
        }
    }
}

/// CPU units of "1024", "1 vCPU" or "0.5 vcpu" (TD-5).
fn task_cpu(cpu: &At<String>, reading: &mut Reading) -> Option<CpuUnits> {
    let text = cpu.trim();
    let lower = text.to_lowercase();
    let units = match lower.strip_suffix("vcpu") {
        Some(vcpus) => vcpus.trim().parse::<f64>().ok().map(|vcpus| vcpus * CpuUnits::PER_VCPU as f64),
        None => text.parse::<u64>().ok().map(|units| units as f64),
    };
    match units {
        Some(units) if units > 0.0 && units.fract() == 0.0 && units < 1e9 => Some(CpuUnits(units as u64)),
        _ => {
            let message = format!("Invalid 'cpu' setting for task: `{text}`.");
            reading.report(
                Problem::aws(CLIENT, "TD-5", cpu.place, message).help("CPU units (\"1024\") or vCPUs (\"1 vCPU\")"),
            );
            None
        }
    }
}

/// MiB of "2048", "2GB" or "0.5 GB" (TD-5).
fn task_memory(memory: &At<String>, reading: &mut Reading) -> Option<MiB> {
    let text = memory.trim();
    let lower = text.to_lowercase();
    let mib = match lower.strip_suffix("gb") {
        Some(gigabytes) => gigabytes.trim().parse::<f64>().ok().map(|gigabytes| gigabytes * 1024.0),
        None => text.parse::<u64>().ok().map(|mib| mib as f64),
    };
    match mib {
        Some(mib) if mib > 0.0 && mib.fract() == 0.0 && mib < 1e9 => Some(MiB(mib as u64)),
        _ => {
            let message = format!("Invalid 'memory' setting for task: `{text}`.");
            reading.report(Problem::aws(CLIENT, "TD-5", memory.place, message).help("MiB (\"2048\") or GB (\"2 GB\")"));
            None
        }
    }
}

/// TD-4, TD-6 and TD-7: numbers and limits of containers.
fn check_containers(input: &TaskDefinitionInput, cpu: Option<CpuUnits>, memory: Option<MiB>, reading: &mut Reading) {
    let containers = &input.containers;
    if containers.is_empty() || containers.len() > 10 {
        let message = format!("a task definition has 1 to 10 containers, not {}", containers.len());
        reading.report(Problem::aws(CLIENT, "TD-4", input.place, message));
    }
    if !containers.is_empty() && containers.iter().all(|container| container.essential == Some(false)) {
        let message = "Invalid setting for container. At least one container must be essential.";
        reading.report(Problem::aws(CLIENT, "TD-4", input.place, message));
    }
    let mut names = BTreeSet::new();
    for container in containers {
        let name = &container.name;
        if !names.insert(name.as_str()) {
            let message = format!("two containers are named `{}`", name.value);
            reading.report(Problem::aws(CLIENT, "TD-4", name.place, message));
        }
        let hard = container.memory.as_ref().map(|count| count.get());
        let soft = container.memory_reservation.as_ref().map(|count| count.get());
        if memory.is_none() && hard.is_none() && soft.is_none() {
            let message = format!(
                "Invalid setting for container '{}'. At least one of 'memory' or 'memoryReservation' must be specified.",
                name.value
            );
            let problem = Problem::aws(CLIENT, "TD-7", container.place, message);
            reading.report(problem.for_want_of("memory").for_want_of("memoryReservation"));
        }
        if let (Some(hard), Some(soft), Some(at)) = (hard, soft, &container.memory)
            && hard <= soft
        {
            let message = format!(
                "Invalid setting for container '{}'. 'memory' must be greater than 'memoryReservation'.",
                name.value
            );
            reading.report(Problem::aws(CLIENT, "TD-7", at.place, message).label(format!("{hard} against {soft}")));
        }
        for at in [&container.memory, &container.memory_reservation].into_iter().flatten() {
            if at.get() < 6 && at.get() != 0 {
                let message = format!("Invalid setting for container '{}'. Memory must be at least 6 MiB.", name.value);
                reading.report(Problem::aws(CLIENT, "TD-7", at.place, message));
            }
        }
    }
    let total_cpu: u64 =
        containers.iter().filter_map(|container| container.cpu.as_ref()).map(|cpu| u64::from(cpu.get())).sum();
    if let (Some(task), Some(at)) = (cpu, &input.cpu)
        && total_cpu > task.0
    {
        let message = format!(
            "Invalid 'cpu' setting for task: its containers ask for {total_cpu} CPU units, the task has {}.",
            task.0
        );
        reading.report(Problem::aws(CLIENT, "TD-6", at.place, message));
    }
    let limits =
        containers.iter().filter_map(|container| container.memory.as_ref().or(container.memory_reservation.as_ref()));
    let total_memory: u64 = limits.map(|memory| u64::from(memory.get())).sum();
    if let (Some(task), Some(at)) = (memory, &input.memory)
        && total_memory > task.0
    {
        let message = format!(
            "Invalid 'memory' setting for task: its containers ask for {total_memory} MiB, the task has {}.",
            task.0
        );
        reading.report(Problem::aws(CLIENT, "TD-7", at.place, message));
    }
}

/// FG-1 and TD-26: what Fargate asks of a definition.
fn check_fargate(
    input: &TaskDefinitionInput,
    network_mode: NetworkMode,
    cpu: Option<CpuUnits>,
    memory: Option<MiB>,
    operating_system: OperatingSystem,
    reading: &mut Reading,
) {
    let place = input.requires_compatibilities.first().map_or(input.place, |word| word.place);
    if network_mode != NetworkMode::Awsvpc {
        let at = input.network_mode.as_ref().map_or(place, |mode| mode.place);
        let message = "Fargate only supports network mode 'awsvpc'.";
        reading.report(Problem::aws(CLIENT, "TD-21", at, message).help("networkMode: awsvpc"));
    }
    match (cpu, memory, &input.cpu) {
        (Some(cpu), Some(memory), Some(at)) => {
            if check_fargate_size(cpu, memory, operating_system).is_err() {
                let message = "No Fargate configuration exists for given values.";
                let problem = Problem::aws(CLIENT, "FG-1", at.place, message)
                    .label(format!("{} units with {} MiB", cpu.0, memory.0));
                let fitting: Vec<String> =
                    crate::catalog::fargate_memories(cpu).iter().map(|mib| mib.0.to_string()).collect();
                reading.report(if fitting.is_empty() {
                    problem.help("CPU is 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768 units")
                } else {
                    problem.help(format!("{} units go with {} MiB", cpu.0, fitting.join(", ")))
                });
            }
        }
        (None, ..) => {
            reading.report(Problem::aws(
                CLIENT,
                "TD-5",
                place,
                "Fargate requires that 'cpu' be defined at the task level.",
            ));
        }
        _ => reading.report(Problem::aws(
            CLIENT,
            "TD-5",
            place,
            "Fargate requires that 'memory' be defined at the task level.",
        )),
    }
    if let Some(constraint) = input.placement_constraints.first() {
        reading.report(Problem::aws(CLIENT, "TD-26", constraint.place, "Fargate supports no placementConstraints."));
    }
}

fn container_definition(
    definition: &TaskDefinitionInput,
    input: &ContainerInput,
    depends_on: Vec<Dependency>,
    network_mode: NetworkMode,
    reading: &mut Reading,
) -> Option<ContainerDefinition> {
    if let Some(at) = input.stop_timeout.as_ref().filter(|timeout| timeout.get() < 2) {
        reading.report(Problem::aws(CLIENT, "TD-15", at.place, "The minimum value of stopTimeout is 2 seconds."));
    }
    if let Some(link) = input.links.first()
        && network_mode != NetworkMode::Bridge
    {
        reading.report(Problem::aws(CLIENT, "TD-16", link.place, "links are only supported in bridge network mode."));
    }
    let port_mappings = port_mappings(&input.port_mappings, network_mode, reading);
    let (gpus, all_gpus) = gpus(input, reading)?;
    Some(ContainerDefinition {
        name: input.name.value.clone(),
        image: input.image.clone().unwrap_or_default(),
        version_consistency: input.version_consistency.unwrap_or_default(),
        cpu: CpuUnits(input.cpu.as_ref().map_or(0, |cpu| u64::from(cpu.get()))),
        memory: input.memory.as_ref().map(|memory| MiB(u64::from(memory.get()))),
        memory_reservation: input.memory_reservation.as_ref().map(|memory| MiB(u64::from(memory.get()))),
        essential: input.essential.unwrap_or(true),
        port_mappings,
        gpus,
        all_gpus,
        stop_timeout_s: input.stop_timeout.as_ref().map(|count| count.get()),
        start_timeout: input.start_timeout.map(seconds),
        depends_on,
        health_check: input.health_check.as_ref().map(health_check),
        restart_policy: restart_policy(input.restart_policy.as_ref(), reading),
        environment: input
            .environment
            .iter()
            .map(|entry| (entry.name.clone(), entry.value.clone().unwrap_or_default()))
            .collect::<BTreeMap<_, _>>(),
        process: process::of_container(input, definition),
    })
}

/// TD-17, with its defaults.
fn health_check(input: &HealthCheckInput) -> ContainerHealthCheck {
    let or = |given: Option<u32>, default| SimDuration::from_secs(u64::from(given.unwrap_or(default)));
    ContainerHealthCheck {
        interval: or(input.interval.map(Whole::get), 30),
        timeout: or(input.timeout.map(Whole::get), 5),
        retries: input.retries.map_or(3, Whole::get),
        start_period: or(input.start_period.map(Whole::get), 0),
    }
}

/// TD-20; `None` unless it is enabled.
fn restart_policy(input: Option<&RestartPolicyInput>, reading: &mut Reading) -> Option<RestartPolicy> {
    let input = input?;
    if let Some(at) = input.attempt_period.as_ref().filter(|period| !(60..=1800).contains(&period.get())) {
        let message = "restartAttemptPeriod must be between 60 and 1800 seconds.";
        reading.report(Problem::aws(CLIENT, "TD-20", at.place, message));
    }
    if let Some(at) = input.ignored_exit_codes.as_ref().filter(|codes| codes.len() > 50) {
        let message = "ignoredExitCodes takes at most 50 exit codes.";
        reading.report(Problem::aws(CLIENT, "TD-20", at.place, message));
    }
    input.enabled.unwrap_or(false).then(|| RestartPolicy {
        attempt_period: SimDuration::from_secs(u64::from(input.attempt_period.as_ref().map_or(300, |at| at.get()))),
        ignored_exit_codes: (input.ignored_exit_codes.iter())
            .flat_map(|codes| codes.iter())
            .map(|code| code.get().cast_signed())
            .collect(),
    })
}

/// TD-11: the dependencies of every container, or what AWS finds wrong with them.
fn dependencies(inputs: &[ContainerInput], reading: &mut Reading) -> Vec<Vec<Dependency>> {
    let mut all: Vec<Vec<Dependency>> = Vec::new();
    for input in inputs {
        let mut own = Vec::new();
        for dependency in &input.depends_on {
            let mut refuse = |place: Place, message: String| {
                reading.report(Problem::aws(CLIENT, "TD-11", place, message));
            };
            let (name, word) = (&dependency.container, dependency.condition.value);
            let Some(place) = inputs.iter().position(|other| other.name.value == name.value) else {
                refuse(
                    name.place,
                    format!("Container '{}' depends on '{}', which is not defined.", input.name.value, name.value),
                );
                continue;
            };
            let target = &inputs[place];
            let condition = match word {
                ConditionWord::Start => Condition::Start,
                ConditionWord::Complete => Condition::Complete,
                ConditionWord::Success => Condition::Success,
                ConditionWord::Healthy => Condition::Healthy,
            };
            if matches!(condition, Condition::Complete | Condition::Success) && target.essential.unwrap_or(true) {
                let message = format!("Container '{}' is essential: nothing may wait for its end.", name.value);
                refuse(dependency.condition.place, message);
            }
            if condition == Condition::Healthy && target.health_check.is_none() {
                let message = format!("Container '{}' has no healthCheck to wait for.", name.value);
                refuse(dependency.condition.place, message);
            }
            own.push(Dependency { container: place, condition });
        }
        all.push(own);
    }
    if let Some(place) = cyclic(&all) {
        let message = "Cyclic dependency detected among the containers.";
        reading.report(Problem::aws(CLIENT, "TD-11", inputs[place].name.place, message));
    }
    all
}

/// A container that waits for itself, directly or through others.
fn cyclic(dependencies: &[Vec<Dependency>]) -> Option<usize> {
    (0..dependencies.len()).find(|start| {
        let mut reached = BTreeSet::new();
        let mut open = vec![*start];
        while let Some(place) = open.pop() {
            open.extend(dependencies[place].iter().map(|on| on.container).filter(|on| reached.insert(*on)));
        }
        reached.contains(start)
    })
}

/// TD-22.
fn port_mappings(inputs: &[PortMappingInput], network_mode: NetworkMode, reading: &mut Reading) -> Vec<PortMapping> {
    let mut mappings = Vec::new();
    let mut protocols: BTreeMap<u16, Protocol> = BTreeMap::new();
    check_port_ranges(inputs, network_mode, reading);
    for input in inputs {
        let range = input.container_port_range.as_ref().and_then(|at| port_range(at, reading));
        let single = input.container_port.as_ref().map(|port| (port.get() as u16, 1));
        let Some((container_port, count)) = range.or(single) else { continue };
        let host_port = input.host_port.as_ref().map(|port| port.get() as u16);
        let protocol = input.protocol.unwrap_or_default();
        match network_mode {
            NetworkMode::None => {
                reading.report(Problem::aws(CLIENT, "TD-21", input.place, "networkMode none allows no port mappings."));
            }
            NetworkMode::Host | NetworkMode::Awsvpc => {
                if let (Some(host), Some(at)) = (host_port.filter(|port| *port != container_port), &input.host_port) {
                    let mode = if network_mode == NetworkMode::Host { "host" } else { "awsvpc" };
                    let message = format!(
                        "When networkMode={mode}, the host ports and container ports in port mappings must match."
                    );
                    let problem = Problem::aws(CLIENT, "TD-22", at.place, message);
                    reading.report(problem.label(format!("{host} is not {container_port}")));
                }
            }
            NetworkMode::Bridge | NetworkMode::WindowsDefault => {}
        }
        if protocols.insert(container_port, protocol).is_some_and(|earlier| earlier != protocol) {
            let message = format!("Port {container_port} cannot be mapped for both tcp and udp.");
            reading.report(Problem::aws(CLIENT, "TD-22", input.place, message));
        }
        mappings.push(PortMapping { container_port, host_port, protocol, count });
    }
    mappings
}

/// TD-22: `80-85`, first port and number of ports.
fn port_range(at: &At<String>, reading: &mut Reading) -> Option<(u16, u16)> {
    let ends =
        at.split_once('-').and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    let range = ends.filter(|(first, last): &(u16, u16)| 0 < *first && first <= last);
    if range.is_none() {
        let message = format!("Invalid 'containerPortRange' setting for container: `{}`.", at.value);
        reading.report(Problem::aws(CLIENT, "TD-22", at.place, message).help("first and last port, such as 80-85"));
    }
    range.map(|(first, last)| (first, last - first + 1))
}

/// TD-22: where ranges of ports are allowed, and how many of them.
fn check_port_ranges(inputs: &[PortMappingInput], network_mode: NetworkMode, reading: &mut Reading) {
    let ranges = || inputs.iter().filter_map(|input| Some((input, input.container_port_range.as_ref()?)));
    let mut refuse = |place: Place, message: &str| reading.report(Problem::aws(CLIENT, "TD-22", place, message));
    for (input, at) in ranges() {
        if !matches!(network_mode, NetworkMode::Bridge | NetworkMode::Awsvpc) {
            refuse(at.place, "A containerPortRange needs networkMode bridge or awsvpc.");
        }
        if let Some(port) = &input.container_port {
            refuse(port.place, "A port mapping has a containerPort or a containerPortRange, not both.");
        }
        if let Some(port) = &input.host_port {
            refuse(port.place, "A containerPortRange takes no hostPort: the host's ports are chosen by the agent.");
        }
    }
    if let Some((_, at)) = ranges().nth(100) {
        refuse(at.place, "A container has at most 100 port ranges.");
    }
}

/// TD-24: how many GPUs, and whether that means all of the host's.
fn gpus(input: &ContainerInput, reading: &mut Reading) -> Option<(u32, bool)> {
    let (mut total, mut all) = (0_u32, false);
    for requirement in &input.resource_requirements {
        match (requirement.kind.as_str(), requirement.value.as_str(), requirement.value.parse::<u32>()) {
            ("GPU", "ALL", _) => (total, all) = (total.max(1), true),
            ("GPU", _, Ok(count)) => {
                let sum = total.checked_add(count);
                if sum.is_none() {
                    too_many_gpus(requirement.value.place, reading);
                }
                total = sum?;
            }
            ("GPU", ..) => {
                let message = format!("Invalid 'GPU' setting for container: `{}`.", requirement.value.value);
                let problem = Problem::aws(CLIENT, "TD-24", requirement.value.place, message);
                reading.report(problem.help("a whole number, or ALL"));
                return None;
            }
            (other, ..) => {
                not_modelled(requirement.kind.place, &format!("resources of type {other}"), reading);
                return None;
            }
        }
    }
    Some((total, all))
}

fn too_many_gpus(place: Place, reading: &mut Reading) {
    let problem = Problem::new(code::OUT_OF_RANGE, place, "these are more GPUs than any host has");
    reading.report(problem.label("too many, with the others of the task"));
}

/// Whether a definition says how its tasks behave.
pub(crate) fn says_behaviour(input: &TaskDefinitionInput) -> bool {
    input.behaviour.is_some() || input.containers.iter().any(|container| container.behaviour.is_some())
}

/// The behaviour of each container; what is said of the task is its first essential container's.
fn behaviours(input: &TaskDefinitionInput, reading: &mut Reading) -> Option<Vec<ContainerBehaviour>> {
    let own = || input.containers.iter().map(|container| container.behaviour.as_ref());
    let roles: Vec<&At<String>> = [&input.execution_role, &input.task_role].into_iter().flatten().collect();
    let Some(whole) = &input.behaviour else {
        return own()
            .zip(&input.containers)
            .map(|(said, container)| {
                let containers = std::slice::from_ref(container);
                let own = |said| behaviour(said, containers, &roles, reading);
                said.map_or_else(|| Some(ContainerBehaviour::default()), own)
            })
            .collect();
    };
    definition_checks::check_missing_secrets(whole, &input.containers, reading);
    if let Some(second) = own().flatten().next() {
        let message = "behaviour is said of the task, or of its containers";
        reading.report(Problem::new(code::DUPLICATE, second.place, message).also(whole.place, "said here already"));
        return None;
    }
    let main = input.containers.iter().position(|container| container.essential.unwrap_or(true)).unwrap_or(0);
    let mut behaviours = vec![ContainerBehaviour::default(); input.containers.len()];
    *behaviours.get_mut(main)? = behaviour(whole, &input.containers, &roles, reading)?;
    Some(behaviours)
}

pub(crate) fn behaviour(
    input: &BehaviourInput,
    containers: &[ContainerInput],
    roles: &[&At<String>],
    reading: &mut Reading,
) -> Option<ContainerBehaviour> {
    definition_checks::check_missing_roles(input, roles, reading);
    let mut unresponsive = Vec::new();
    for span in &input.unresponsive {
        match span.value.as_slice() {
            [from, to] if from < to => unresponsive.push((*from, *to)),
            _ => {
                let message = "a span is a pair of rising durations, such as [10s, 100s]";
                reading.report(Problem::new(code::INVALID, span.place, message));
                return None;
            }
        }
    }
    Some(ContainerBehaviour {
        startup: input.startup.as_ref().map(|dist| dist.distribution.clone()),
        runs_for: input.runs_for.as_ref().map(|dist| dist.distribution.clone()),
        shutdown: input.shutdown.as_ref().map(|dist| dist.distribution.clone()),
        unresponsive,
        exit_code: input.exit_code.map_or(0, |code| code.get().cast_signed()),
        crashes: input.crashes.as_ref().map(|crashes| crashes.mtbf.distribution.clone()),
        cpu: input.cpu.as_ref().map(|dist| dist.distribution.clone()),
        memory: input.memory.as_ref().map(|dist| dist.distribution.clone()),
        bytes_per_second: [&input.network_rx, &input.network_tx, &input.storage_read, &input.storage_write]
            // The cast saturates, far above the most that a size may be.
            .map(|size| size.as_ref().map_or(0, |size| (size.value * 1_048_576.0).round() as u64)),
        missing_secrets: (containers.iter().flat_map(|container| &container.secrets))
            .filter(|secret| input.missing_secrets.iter().any(|name| name.value == secret.name.value))
            .map(|secret| secret.value_from.value.clone())
            .collect(),
        missing_roles: (roles.iter())
            .filter(|role| input.missing_roles.iter().any(|name| arn::name(name) == arn::name(role)))
            .map(|role| role.value.clone())
            .collect(),
        probe_statuses: (input.probe_status.0.iter())
            .map(|(path, status)| (path.value.clone(), status.get() as u16))
            .collect(),
        image: match &input.image {
            Some(image) => images::settings(image, reading)?,
            None => ImageSettings::default(),
        },
    })
}

/// Placement constraints; expressions are parsed, with the caret inside them (PLACE-14).
fn constraints(inputs: &[ConstraintInput], reading: &mut Reading) -> Option<Vec<Constraint>> {
    let mut constraints = Vec::new();
    let mut all = true;
    for input in inputs {
        match (input.kind.value, &input.expression) {
            (ConstraintWord::DistinctInstance, None) => constraints.push(Constraint::DistinctInstance),
            (ConstraintWord::DistinctInstance, Some(expression)) => {
                let message = "distinctInstance takes no expression";
                reading.report(Problem::aws(PARAMETER, "PLACE-14", expression.place, message));
                all = false;
            }
            (ConstraintWord::MemberOf, None) => {
                let message = "memberOf needs an `expression`";
                reading.report(Problem::aws(PARAMETER, "PLACE-14", input.place, message));
                all = false;
            }
            (ConstraintWord::MemberOf, Some(expression)) => match query(expression, reading) {
                Some(query) => constraints.push(Constraint::MemberOf(Arc::new(query))),
                None => all = false,
            },
        }
    }
    all.then_some(constraints)
}

pub(crate) fn query(expression: &At<String>, reading: &mut Reading) -> Option<Query> {
    match Query::parse(expression) {
        Ok(query) => Some(query),
        Err(error) => {
            // A quoted text begins one byte after its place; escapes would shift the rest, and are rare here.
            let quoted = reading.sources.text(expression.place).starts_with(['"', '\'']);
            let place = expression.place.within(error.offset + usize::from(quoted), 1);
            let problem = Problem::aws(
                PARAMETER,
                "CQL-1",
                place,
                format!("Invalid expression: found {}, expected {}", error.found, error.expected),
            );
            reading.report(problem.help("for example: attribute:ecs.instance-type =~ m5.*"));
            None
        }
    }
}

/// Placement strategies (PLACE-4, PLACE-7…9).
fn placement_strategy(inputs: &[PlacementStrategyInput], reading: &mut Reading) -> Option<Vec<PlacementStrategy>> {
    if let Some(sixth) = inputs.get(5) {
        let message = "at most 5 placement strategies apply to a task or service";
        reading.report(Problem::aws(PARAMETER, "PLACE-4", sixth.place, message));
    }
    let mut strategies = Vec::new();
    for input in inputs {
        let field = input.field.as_ref();
        let strategy = match (input.kind.value, field.map(|field| field.as_str())) {
            (StrategyWord::Random, None) => PlacementStrategy::Random,
            (StrategyWord::Spread, Some("instanceId" | "host")) => PlacementStrategy::Spread(SpreadField::InstanceId),
            (StrategyWord::Spread, Some(field)) if field.starts_with("attribute:") && field.len() > 10 => {
                PlacementStrategy::Spread(SpreadField::Attribute(field["attribute:".len()..].to_owned()))
            }
            (StrategyWord::Binpack, Some(field)) if field.eq_ignore_ascii_case("cpu") => {
                PlacementStrategy::Binpack(BinpackField::Cpu)
            }
            (StrategyWord::Binpack, Some(field)) if field.eq_ignore_ascii_case("memory") => {
                PlacementStrategy::Binpack(BinpackField::Memory)
            }
            (kind, _) => {
                let (place, help) = (
                    field.map_or(input.place, |field| field.place),
                    match kind {
                        StrategyWord::Random => "random takes no field",
                        StrategyWord::Spread => {
                            "spread takes instanceId, host or attribute:<name>, e.g. attribute:ecs.availability-zone"
                        }
                        StrategyWord::Binpack => "binpack takes cpu or memory",
                    },
                );
                let message = "Invalid placement strategy: the type does not go with this field.";
                reading.report(Problem::aws(PARAMETER, "PLACE-4", place, message).help(help));
                return None;
            }
        };
        strategies.push(strategy);
    }
    Some(strategies)
}

fn check_constraint_count(inputs: &[ConstraintInput], reading: &mut Reading) {
    if let Some(eleventh) = inputs.get(10) {
        let message = "at most 10 placement constraints apply to a task or service";
        reading.report(Problem::aws(PARAMETER, "PLACE-4", eleventh.place, message));
    }
}

pub(crate) fn launch_choice(
    launch_type: Option<&At<LaunchTypeWord>>,
    items: Option<&At<Vec<StrategyItemInput>>>,
    reading: &mut Reading,
) -> Option<LaunchChoice> {
    let items = items.filter(|items| !items.value.is_empty());
    match (launch_type, items) {
        (None, None) => Some(LaunchChoice::ClusterDefault),
        (Some(launch_type), None) => match launch_type.value {
            LaunchTypeWord::Ec2 => Some(LaunchChoice::Ec2),
            LaunchTypeWord::Fargate => Some(LaunchChoice::Fargate),
            LaunchTypeWord::External | LaunchTypeWord::ManagedInstances => {
                not_modelled(launch_type.place, "ECS Anywhere and Managed Instances", reading);
                None
            }
        },
        (None, Some(items)) => Some(LaunchChoice::Strategy(strategy(&items.value, items.place, true, reading))),
        (Some(launch_type), Some(items)) => {
            let message = "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.";
            reading.report(
                Problem::aws(PARAMETER, "CP-4", items.place, message).also(launch_type.place, "and the launch type"),
            );
            None
        }
    }
}

/// The zones of `networkConfiguration`; empty when it is absent.
///
/// NET-4: it takes 1 to 16 subnets and at most 5 security groups.
pub(crate) fn network_zones(
    network: Option<&NetworkInput>,
    context: &Context,
    reading: &mut Reading,
) -> Option<Vec<String>> {
    let awsvpc = network.and_then(|network| network.awsvpc.as_ref());
    if let Some(extra) = awsvpc.and_then(|awsvpc| awsvpc.subnets.get(16)) {
        let message = "subnets can have at most 16 items.";
        reading.report(Problem::aws(PARAMETER, "NET-4", extra.place, message));
    }
    if let Some(extra) = awsvpc.and_then(|awsvpc| awsvpc.security_groups.get(5)) {
        let message = "securityGroups can have at most 5 items.";
        reading.report(Problem::aws(PARAMETER, "NET-4", extra.place, message));
    }
    match awsvpc {
        Some(awsvpc) => zones(&awsvpc.subnets, context, reading),
        None => Some(Vec::new()),
    }
}

/// `create-service`.
///
/// A service of the `services` section exists already, so one whose limits leave no room to rebalance does not do so
/// unless it says so; a call made now gets the default of its day, ENABLED (SVC-4, SVC-20).
pub(crate) fn service(
    input: &ServiceInput,
    made_now: bool,
    context: &Context,
    reading: &mut Reading,
) -> Option<CreateService> {
    let daemon = input.scheduling.as_ref().is_some_and(|word| word.value == SchedulingStrategy::Daemon);
    let desired_count = match &input.desired_count {
        Some(count) if count.signed() < 0 => {
            let message = "DesiredCount can not be lesser than 0";
            reading.report(Problem::aws(PARAMETER, "SVC-1", count.place, message));
            None
        }
        Some(count) if daemon => {
            let message = "The daemon scheduling strategy does not support a desired count for services.";
            reading.report(Problem::aws(PARAMETER, "SVC-2", count.place, message));
            None
        }
        Some(count) => Some(count.get()),
        None if daemon => Some(0),
        None => {
            let message = "a REPLICA service needs `desiredCount` (0 is allowed)";
            reading.report(Problem::aws(PARAMETER, "SVC-1", input.place, message).for_want_of("desiredCount"));
            None
        }
    };
    if daemon {
        check_daemon(input, reading);
    }
    let controller = match input.controller.as_ref().map(|controller| controller.kind) {
        Some(ControllerWord::CodeDeploy) => DeploymentController::CodeDeploy,
        Some(ControllerWord::External) => DeploymentController::External,
        Some(ControllerWord::Ecs) | None => DeploymentController::Ecs,
    };
    let defaults = if daemon { DeploymentConfiguration::of_daemon() } else { DeploymentConfiguration::default() };
    let change = input.deployment.as_ref().map(|deployment| deployment_change(deployment, reading));
    let deployment = change.unwrap_or_default().apply_to(&defaults);
    rebalancing(input.rebalancing.as_ref(), deployment.maximum_percent, reading);
    let rebalances = match &input.rebalancing {
        Some(switch) => Some(switch.value == Switch::Enabled),
        None if daemon || !(made_now || deployment.maximum_percent > 100) => Some(false),
        None => None,
    };
    check_constraint_count(&input.placement_constraints, reading);
    let launch = launch_choice(input.launch_type.as_ref(), input.strategy.as_ref(), reading);
    let placement_constraints = constraints(&input.placement_constraints, reading);
    let strategies = placement_strategy(&input.placement_strategy, reading);
    let availability_zones = network_zones(input.network.as_ref(), context, reading);
    if let Some(sixth) = input.load_balancers.iter().filter(|entry| entry.balancer.is_none()).nth(5) {
        reading.report(Problem::aws(PARAMETER, "ELB-1", sixth.place, "a service has at most 5 target groups"));
    }
    if let Some(token) = input.client_token.as_ref().filter(|token| token.chars().count() > 36) {
        let message = "clientToken can be at most 36 characters long.";
        reading.report(Problem::aws(PARAMETER, "SVC-4", token.place, message));
    }
    check_public_ip(input.network.as_ref(), launch.as_ref(), reading);
    let load_balancers = load_balancers(&input.load_balancers, reading);
    let settings = SettingsChange {
        platform_version: input.platform_version.as_ref().map(|version| version.value.clone()),
        service_connect: input.service_connect.as_ref().map(|connect| connect.enabled),
        registries: text(input.registries.as_ref()),
        volumes: volumes::configured(input.volumes.as_ref(), reading),
        lattice: text(input.lattice.as_ref()),
    };
    Some(CreateService {
        name: input.name.value.clone(),
        cluster: cluster_name(input.cluster.as_ref()),
        task_definition: input.task_definition.as_ref().map(|name| arn::name(name).to_owned()),
        desired_count: desired_count?,
        launch: launch?,
        scheduling: input.scheduling.as_ref().map(|word| word.value).unwrap_or_default(),
        placement_constraints: placement_constraints?,
        placement_strategy: strategies?,
        deployment,
        load_balancers: load_balancers?,
        health_check_grace: input.grace_period.map_or(SimDuration::ZERO, seconds),
        monitoring: input.monitoring.as_ref().map(|input| monitoring(input, reading)).unwrap_or_default(),
        availability_zones: availability_zones?,
        platform_version: input.platform_version.as_ref().and_then(|version| platform_version(version, reading)),
        has_network: has_network(input.network.as_ref()),
        public_ip: has_public_ip(input.network.as_ref()),
        rebalancing: rebalances,
        client_token: input.client_token.as_ref().map(|token| token.value.clone()),
        controller,
        settings: settings.apply_to(&TaskSettings::default()),
    })
}

/// `LATEST` is none; anything but three numbers is reported.
fn platform_version(version: &At<String>, reading: &mut Reading) -> Option<PlatformVersion> {
    if version.value == "LATEST" {
        return None;
    }
    let numbers: Vec<u32> = version.split('.').filter_map(|number| number.parse().ok()).collect();
    if let ([major, minor, patch], 2) = (&numbers[..], version.matches('.').count()) {
        return Some((*major, *minor, *patch));
    }
    let message = format!("The platform version '{}' is invalid.", version.value);
    let problem = Problem::aws("PlatformUnknownException", "CP-15", version.place, message);
    reading.report(problem.help("LATEST, or such as 1.4.0"));
    None
}

/// What an entry says in full, to tell a change by.
fn text<T>(said: Option<&Said<T>>) -> Option<String> {
    said.map(|said| said.text.clone())
}

/// `loadBalancers`: each entry names a target group or a Classic Load Balancer (ELB-1).
fn load_balancers(inputs: &[ServiceLoadBalancerInput], reading: &mut Reading) -> Option<Vec<ServiceLoadBalancer>> {
    let mut valid = true;
    for input in inputs {
        if input.target_group.is_some() == input.balancer.is_some() {
            let message = "targetGroupArn or loadBalancerName: an entry has one of them.";
            reading.report(Problem::aws(PARAMETER, "ELB-1", input.place, message).for_want_of("targetGroupArn"));
            valid = false;
        }
    }
    valid.then(|| inputs.iter().map(service_load_balancer).collect())
}

/// One entry of `loadBalancers`.
pub(crate) fn service_load_balancer(input: &ServiceLoadBalancerInput) -> ServiceLoadBalancer {
    let group = input.target_group.as_ref().map(|name| arn::name(name));
    let alternate = input.advanced.as_ref().and_then(|advanced| advanced.alternate.as_ref());
    ServiceLoadBalancer {
        target_group: group.or(input.balancer.as_ref().map(|name| name.as_str())).unwrap_or_default().to_owned(),
        alternate: alternate.map(|name| arn::name(name).to_owned()),
        container: input.container.value.clone(),
        container_port: input.port.get() as u16,
    }
}

pub(crate) fn has_network(network: Option<&NetworkInput>) -> bool {
    network.is_some_and(|network| network.awsvpc.is_some())
}

pub(crate) fn has_public_ip(network: Option<&NetworkInput>) -> bool {
    let awsvpc = network.and_then(|network| network.awsvpc.as_ref());
    awsvpc.is_some_and(|awsvpc| awsvpc.public_ip.as_ref().is_some_and(|at| at.value == Switch::Enabled))
}

/// ECSM-8: 20 or 60 s, of CPU and memory utilisation.
fn monitoring(input: &MonitoringInput, reading: &mut Reading) -> Monitoring {
    let mut monitoring = Monitoring::default();
    for configuration in &input.configurations {
        let every_20s = match configuration.resolution.get() {
            20 => true,
            60 => false,
            other => {
                let message = format!("resolutionSeconds must be 20 or 60, not {other}.");
                reading.report(Problem::aws(PARAMETER, "ECSM-8", configuration.resolution.place, message));
                continue;
            }
        };
        for metric in &configuration.metrics {
            match metric.as_str() {
                "CPUUtilization" => monitoring.cpu_every_20s = every_20s,
                "MemoryUtilization" => monitoring.memory_every_20s = every_20s,
                other => {
                    let message = format!("The resolution of the metric {other} cannot be configured.");
                    let problem = Problem::aws(PARAMETER, "ECSM-8", metric.place, message);
                    reading.report(problem.nearest(other, ["CPUUtilization", "MemoryUtilization"]));
                }
            }
        }
    }
    monitoring
}

fn rebalancing(switch: Option<&At<Switch>>, maximum_percent: u32, reading: &mut Reading) {
    let Some(at) = switch.filter(|switch| switch.value == Switch::Enabled) else { return };
    if maximum_percent <= 100 {
        let message = "Availability Zone rebalancing needs a maximumPercent above 100.";
        reading.report(Problem::aws(PARAMETER, "SVC-4", at.place, message));
    }
}

/// SVC-2: what a DAEMON service cannot have.
fn check_daemon(input: &ServiceInput, reading: &mut Reading) {
    if let Some(strategy) = input.placement_strategy.first() {
        let message = "The daemon scheduling strategy does not support task placement strategies.";
        reading.report(Problem::aws(PARAMETER, "SVC-2", strategy.place, message));
    }
    if let Some(at) = input.launch_type.as_ref().filter(|word| word.value == LaunchTypeWord::Fargate) {
        let message = "The daemon scheduling strategy is not supported on Fargate.";
        reading.report(Problem::aws(PARAMETER, "SVC-2", at.place, message));
    }
    let maximum = input.deployment.as_ref().and_then(|deployment| deployment.maximum_percent.as_ref());
    if let Some(at) = maximum.filter(|percent| percent.get() != 100) {
        let message = "The daemon scheduling strategy only supports a maximumPercent of 100.";
        reading.report(Problem::aws(PARAMETER, "SVC-2", at.place, message));
    }
}

/// `run-task`; a count out of 1..=10 is refused as AWS refuses it (TASK-10).
pub(crate) fn run_task(input: &RunTaskInput, context: &Context, reading: &mut Reading) -> Option<RunTask> {
    let count = match &input.count {
        Some(count) => RunTask::check_count(count.signed())
            .map_err(|refused| reading.report(Problem::refused(refused, count.place)))
            .ok(),
        None => Some(1),
    };
    check_constraint_count(&input.placement_constraints, reading);
    let launch = launch_choice(input.launch_type.as_ref(), input.strategy.as_ref(), reading);
    let placement_constraints = constraints(&input.placement_constraints, reading);
    let strategies = placement_strategy(&input.placement_strategy, reading);
    let availability_zones = network_zones(input.network.as_ref(), context, reading);
    let overrides = task_overrides(input.overrides.as_ref(), reading);
    check_lengths(input, reading);
    check_public_ip(input.network.as_ref(), launch.as_ref(), reading);
    volumes::check_configurations(&input.volumes, reading);
    Some(RunTask {
        cluster: cluster_name(input.cluster.as_ref()),
        task_definition: arn::name(&input.task_definition).to_owned(),
        count: count?,
        launch: launch?,
        group: input.group.as_ref().map(|group| group.value.clone()),
        started_by: input.started_by.as_ref().map(|by| by.value.clone()),
        placement_constraints: placement_constraints?,
        placement_strategy: strategies?,
        availability_zones: availability_zones?,
        platform_version: input.platform_version.as_ref().and_then(|version| platform_version(version, reading)),
        has_network: has_network(input.network.as_ref()),
        public_ip: has_public_ip(input.network.as_ref()),
        volume: volumes::ebs(&input.volumes),
        overrides: overrides?,
        client_token: input.client_token.as_ref().map(|token| token.value.clone()),
    })
}

/// TASK-11, TASK-12: how long the texts of a call may be.
fn check_lengths(input: &RunTaskInput, reading: &mut Reading) {
    for (text, key, most, rule) in [
        (&input.group, "group", 255, "TASK-11"),
        (&input.started_by, "startedBy", 128, "TASK-11"),
        (&input.client_token, "clientToken", 64, "TASK-12"),
    ] {
        if let Some(at) = text.as_ref().filter(|at| at.chars().count() > most) {
            let message = format!("{key} can be at most {most} characters long.");
            reading.report(Problem::aws(PARAMETER, rule, at.place, message));
        }
    }
}

/// NET-4: tasks on EC2 have no public addresses of their own.
pub(crate) fn check_public_ip(network: Option<&NetworkInput>, launch: Option<&LaunchChoice>, reading: &mut Reading) {
    let at = network.and_then(|network| network.awsvpc.as_ref()).and_then(|awsvpc| awsvpc.public_ip.as_ref());
    if let Some(at) = at.filter(|at| at.value == Switch::Enabled && launch == Some(&LaunchChoice::Ec2)) {
        let message = "Assign public IP is not supported for this launch type.";
        reading.report(Problem::aws(PARAMETER, "NET-4", at.place, message));
    }
}

fn task_overrides(said: Option<&Said<OverridesInput>>, reading: &mut Reading) -> Option<TaskOverrides> {
    let Some(said) = said else { return Some(TaskOverrides::default()) };
    let input = &said.value;
    if said.text.chars().count() > MOST_OVERRIDES {
        let message = format!("Overrides length must be at most {MOST_OVERRIDES} characters.");
        reading.report(Problem::aws(PARAMETER, "TD-4", input.place, message));
    }
    let cpu = input.cpu.as_ref().map(|cpu| task_cpu(cpu, reading));
    let memory = input.memory.as_ref().map(|memory| task_memory(memory, reading));
    Some(TaskOverrides {
        cpu: cpu.map_or(Some(None), |cpu| cpu.map(Some))?,
        memory: memory.map_or(Some(None), |memory| memory.map(Some))?,
        gpus: None,
        runs_for: None,
    })
}

/// `update-service`.
pub(crate) fn update_service(
    input: &UpdateServiceInput,
    context: &Context,
    reading: &mut Reading,
) -> Option<UpdateService> {
    let desired_count = match &input.desired_count {
        Some(count) if count.signed() < 0 => {
            let message = "DesiredCount can not be lesser than 0";
            reading.report(Problem::aws(PARAMETER, "SVC-1", count.place, message));
            return None;
        }
        count => count.as_ref().map(|count| count.get()),
    };
    let deployment = input.deployment.as_ref().map(|deployment| deployment_change(deployment, reading));
    let maximum = deployment.as_ref().and_then(|change| change.maximum_percent).unwrap_or(200);
    rebalancing(input.rebalancing.as_ref(), maximum, reading);
    let items = input.strategy.as_ref().map(|items| strategy(&items.value, items.place, true, reading));
    Some(UpdateService {
        service: arn::name(&input.service).to_owned(),
        cluster: cluster_name(input.cluster.as_ref()),
        desired_count,
        task_definition: input.task_definition.as_ref().map(|name| arn::name(name).to_owned()),
        deployment,
        strategy: items,
        placement_constraints: match &input.placement_constraints {
            Some(inputs) => Some(constraints(inputs, reading)?),
            None => None,
        },
        placement_strategy: match &input.placement_strategy {
            Some(inputs) => Some(placement_strategy(inputs, reading)?),
            None => None,
        },
        health_check_grace: input.grace_period.map(seconds),
        rebalancing: input.rebalancing.as_ref().map(|switch| switch.value == Switch::Enabled),
        monitoring: input.monitoring.as_ref().map(|input| monitoring(input, reading)),
        network: match input.network.as_ref().filter(|network| network.awsvpc.is_some()) {
            Some(network) => Some(network_zones(Some(network), context, reading)?),
            None => None,
        },
        public_ip: input.network.as_ref().filter(|network| network.awsvpc.is_some()).map(|it| has_public_ip(Some(it))),
        load_balancers: match &input.load_balancers {
            Some(inputs) => Some(load_balancers(inputs, reading)?),
            None => None,
        },
        settings: SettingsChange {
            platform_version: input.platform_version.clone(),
            service_connect: input.service_connect.as_ref().map(|connect| connect.enabled),
            registries: text(input.registries.as_ref()),
            volumes: volumes::configured(input.volumes.as_ref(), reading),
            lattice: text(input.lattice.as_ref()),
        },
        force_new_deployment: input.force.unwrap_or(false),
    })
}
