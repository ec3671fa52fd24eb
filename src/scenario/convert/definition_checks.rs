//! What RegisterTaskDefinition refuses beyond the containers' own sizes: limits, what Fargate lacks, logs and secrets
//! (TD-4, TD-24, TD-26, TD-27, TD-30, VOL-1, LIM-1), and what a definition requires of its hosts (TD-28).

use crate::arn;
use crate::ecs::capability::Capabilities;
use crate::ecs::capability::Capability;
use crate::ecs::quota::Quotas;
use crate::ecs::task_definition::{NetworkMode, OperatingSystem};
use crate::scenario::decode::{At, Opaque};
use crate::scenario::diagnostic::{Problem, Reading, code};
use crate::scenario::input::{BehaviourInput, ContainerInput, LinuxParametersInput, TaskDefinitionInput};
use crate::scenario::source::Place;

const CLIENT: &str = "ClientException";

/// TD-4: environment files of a container.
const ENVIRONMENT_FILES: usize = 10;
/// TD-26: what Linux capabilities a container on Fargate may add.
const FARGATE_CAPABILITIES: [&str; 1] = ["SYS_PTRACE"];
/// TD-27: log drivers on Fargate.
const FARGATE_LOG_DRIVERS: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];
/// TD-27: log drivers on hosts.
const LOG_DRIVERS: [&str; 9] =
    ["awslogs", "fluentd", "gelf", "json-file", "journald", "syslog", "splunk", "awsfirelens", "none"];

/// Checks a definition; `fargate` when it is validated for it.
pub(crate) fn check(
    input: &TaskDefinitionInput,
    fargate: bool,
    operating_system: OperatingSystem,
    reading: &mut Reading,
) {
    check_tags(&input.tags, reading);
    for container in &input.containers {
        check_container(container, fargate, reading);
    }
    if fargate {
        check_namespaces(input, reading);
    }
    if operating_system == OperatingSystem::Windows {
        check_windows(input, fargate, reading);
    }
}

/// LIM-1: tags of a resource.
pub(crate) fn check_tags(tags: &[At<Opaque>], reading: &mut Reading) {
    if let Some(extra) = tags.get(Quotas::TAGS) {
        let message = format!("Too many tags: a resource has at most {}.", Quotas::TAGS);
        reading.report(Problem::aws("InvalidParameterException", "LIM-1", extra.place, message));
    }
    if let Some(first) = tags.first() {
        changes_nothing(first.place, "tags", reading);
    }
}

/// A key that is checked and has no effect on a run: the reader is told once.
fn changes_nothing(place: Place, key: &'static str, reading: &mut Reading) {
    let message = format!("`{key}` is checked, and changes nothing in a run");
    reading.warn_once(key, Problem::new(code::IGNORED, place, message).label("no effect"));
}

fn check_container(container: &ContainerInput, fargate: bool, reading: &mut Reading) {
    if let Some(extra) = container.environment_files.get(ENVIRONMENT_FILES) {
        let message = format!("A container has at most {ENVIRONMENT_FILES} environment files.");
        reading.report(Problem::aws(CLIENT, "TD-4", extra.place, message));
    }
    if fargate {
        check_on_fargate(container, reading);
    }
    if let Some(linux) = &container.linux {
        check_linux(linux, fargate, reading);
    }
    if let Some(log) = &container.log {
        let drivers: &[&str] = if fargate { &FARGATE_LOG_DRIVERS } else { &LOG_DRIVERS };
        if !drivers.contains(&log.driver.as_str()) {
            let on = if fargate { " on Fargate" } else { "" };
            let message = format!("The log driver '{}' is not supported{on}.", log.driver.value);
            let problem = Problem::aws(CLIENT, "TD-27", log.driver.place, message);
            reading.report(problem.nearest(&log.driver, drivers.iter().copied()));
        }
    }
    for (place, key) in without_effect(container) {
        changes_nothing(place, key, reading);
    }
    if let Some(behaviour) = &container.behaviour {
        check_missing_secrets(behaviour, std::slice::from_ref(container), reading);
    }
}

/// What is set on a container and only matters to AWS's checks.
fn without_effect(container: &ContainerInput) -> Vec<(Place, &'static str)> {
    let first = |list: &[At<String>]| list.first().map(|at| at.place);
    let keys = [
        (container.disable_networking.as_ref().map(|at| at.place), "disableNetworking"),
        (first(&container.dns_servers), "dnsServers"),
        (first(&container.dns_search_domains), "dnsSearchDomains"),
        (first(&container.docker_security_options), "dockerSecurityOptions"),
        (container.extra_hosts.first().map(|at| at.place), "extraHosts"),
        (container.environment_files.first().map(|at| at.place), "environmentFiles"),
        (container.linux.as_ref().map(|linux| linux.place), "linuxParameters"),
        // TD-27: logging neither blocks nor costs anything here.
        (container.log.as_ref().map(|log| log.place), "logConfiguration"),
    ];
    keys.into_iter().filter_map(|(place, key)| Some((place?, key))).collect()
}

/// TD-26: what Fargate lacks.
fn check_on_fargate(container: &ContainerInput, reading: &mut Reading) {
    let first = |list: &[At<String>]| list.first().map(|at| at.place);
    let gpu = container.resource_requirements.iter().find(|requirement| requirement.kind.value == "GPU");
    let lacks = [
        (container.privileged.as_ref().filter(|at| at.value).map(|at| at.place), "privileged"),
        (first(&container.links), "links"),
        (gpu.map(|requirement| requirement.kind.place), "resourceRequirements of type GPU"),
        (container.disable_networking.as_ref().filter(|at| at.value).map(|at| at.place), "disableNetworking"),
        (first(&container.dns_servers), "dnsServers"),
        (first(&container.dns_search_domains), "dnsSearchDomains"),
        (first(&container.docker_security_options), "dockerSecurityOptions"),
        (container.extra_hosts.first().map(|at| at.place), "extraHosts"),
    ];
    for (place, key) in lacks {
        if let Some(place) = place {
            lacking(place, key, reading);
        }
    }
    if let Some(at) = container.stop_timeout.as_ref().filter(|timeout| timeout.get() > 120) {
        let message = "The maximum value of stopTimeout is 120 seconds on Fargate.";
        reading.report(Problem::aws(CLIENT, "TD-15", at.place, message));
    }
}

fn lacking(place: Place, key: &str, reading: &mut Reading) {
    reading.report(Problem::aws(CLIENT, "TD-26", place, format!("Fargate does not support `{key}`.")));
}

/// TD-26, VOL-1: kernel features of a container.
fn check_linux(linux: &LinuxParametersInput, fargate: bool, reading: &mut Reading) {
    for tmpfs in &linux.tmpfs {
        if tmpfs.size.get() == 0 {
            let message = "The size of a tmpfs volume must be at least 1 MiB.";
            reading.report(Problem::aws(CLIENT, "VOL-1", tmpfs.size.place, message));
        }
    }
    if !fargate {
        return;
    }
    if let Some(at) = &linux.max_swap {
        lacking(at.place, "maxSwap", reading);
    }
    if let Some(at) = &linux.swappiness {
        lacking(at.place, "swappiness", reading);
    }
    if let Some(tmpfs) = linux.tmpfs.first() {
        lacking(tmpfs.place, "tmpfs", reading);
    }
    let added = linux.capabilities.iter().flat_map(|capabilities| &capabilities.add);
    for capability in added.filter(|name| !FARGATE_CAPABILITIES.contains(&name.as_str())) {
        let message = format!("Fargate supports adding only the SYS_PTRACE capability, not {}.", capability.value);
        reading.report(Problem::aws(CLIENT, "TD-26", capability.place, message));
    }
}

/// TD-26: namespaces of a task.
fn check_namespaces(input: &TaskDefinitionInput, reading: &mut Reading) {
    if let Some(at) = &input.ipc_mode {
        lacking(at.place, "ipcMode", reading);
    }
    if let Some(at) = input.pid_mode.as_ref().filter(|at| at.value != "task") {
        let message = format!("The only pidMode that Fargate supports on Linux is 'task', not '{}'.", at.value);
        reading.report(Problem::aws(CLIENT, "TD-26", at.place, message));
    }
}

/// TD-21: what Windows containers cannot have.
fn check_windows(input: &TaskDefinitionInput, fargate: bool, reading: &mut Reading) {
    let lacks = |mode: NetworkMode| !matches!(mode, NetworkMode::WindowsDefault | NetworkMode::Awsvpc);
    if let Some(at) = input.network_mode.as_ref().filter(|at| lacks(at.value)) {
        let message = format!("Windows does not support the network mode '{}'.", at.value.as_str());
        reading.report(Problem::aws(CLIENT, "TD-21", at.place, message).help("default or awsvpc"));
    }
    for container in &input.containers {
        if let Some(at) = container.privileged.as_ref().filter(|at| at.value && !fargate) {
            reading.report(Problem::aws(CLIENT, "TD-26", at.place, "Windows containers cannot be privileged."));
        }
        if let Some(linux) = &container.linux {
            reading.report(Problem::aws(CLIENT, "TD-26", linux.place, "Windows containers take no linuxParameters."));
        }
    }
}

/// TD-30: a secret said to be missing is one that the containers have.
pub(crate) fn check_missing_secrets(behaviour: &BehaviourInput, containers: &[ContainerInput], reading: &mut Reading) {
    let known = || containers.iter().flat_map(|container| &container.secrets).map(|secret| secret.name.as_str());
    for name in &behaviour.missing_secrets {
        if !known().any(|secret| secret == name.value) {
            let message = format!("no container here has a secret called `{}`", name.value);
            reading.report(Problem::new(code::UNKNOWN_NAME, name.place, message).nearest(name, known()));
        }
    }
}

/// TD-30: a role said to be missing is one that the definition names.
pub(crate) fn check_missing_roles(behaviour: &BehaviourInput, roles: &[&At<String>], reading: &mut Reading) {
    for name in &behaviour.missing_roles {
        if !roles.iter().any(|role| arn::name(role) == arn::name(name)) {
            let message = format!("neither `taskRoleArn` nor `executionRoleArn` is `{}`", name.value);
            let problem = Problem::new(code::UNKNOWN_NAME, name.place, message);
            reading.report(problem.nearest(name, roles.iter().map(|role| role.as_str())));
        }
    }
}

/// TD-28: what a definition says that not every host can do, apart from what its containers tell by themselves.
pub(crate) fn declared(input: &TaskDefinitionInput, windows_family: Option<&str>) -> Capabilities {
    let any = |has: &dyn Fn(&ContainerInput) -> bool| input.containers.iter().any(has);
    let logs_by = |driver: &'static str| {
        move |container: &ContainerInput| container.log.as_ref().is_some_and(|log| log.driver.value == driver)
    };
    let fsx = input.volumes.iter().any(|volume| volume.fsx.is_some());
    let declared = Capabilities::default()
        .with_if(
            any(&|container| container.privileged.as_ref().is_some_and(|at| at.value)),
            Capability::PrivilegedContainer,
        )
        .with_if(input.pid_mode.is_some() || input.ipc_mode.is_some(), Capability::NamespaceSharing)
        .with_if(any(&|container| !container.secrets.is_empty()), Capability::Secrets)
        .with_if(any(&|container| !container.environment_files.is_empty()), Capability::EnvironmentFiles)
        .with_if(fsx, Capability::FsxWindows)
        .with_if(any(&logs_by("awslogs")), Capability::AwsLogs)
        .with_if(any(&logs_by("awsfirelens")), Capability::FireLens);
    windows_family.map_or(declared, |family| declared.with_family(family))
}
