//! The Docker engine of this machine, by its API.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, EventMessage, HealthConfig, HealthStatusEnum, HostConfig,
    HostConfigLogConfig, NetworkCreateRequest, NetworkingConfig, PortBinding, PortMap, ResourcesUlimits,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RemoveVolumeOptionsBuilder, StatsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures_util::future::ready;
use futures_util::stream::{BoxStream, StreamExt as _};

use super::engine::{
    Answer, ContainerEngine, EngineError, EngineEvent, Found, Happening, Inspection, Kind, Labels, Machine, Meter,
    NewContainer,
};
use crate::control_plane::execution::{ContainerSpec, PublishedPort};
use crate::ecs::task_definition::{NetworkMode, PortMapping, Protocol};
use crate::units::MiB;

/// The only address that ports are published on.
const LOOPBACK: &str = "127.0.0.1";
/// The period of CPU quotas (TD-9).
pub const CPU_PERIOD: Duration = Duration::from_millis(100);
/// The same in microseconds.
const CFS_PERIOD: i64 = CPU_PERIOD.as_micros() as i64;
/// The least weight that the kernel knows (TD-6).
const LEAST_SHARES: u64 = 2;
/// A container's log on the engine's own disk; what it writes is in the output folder as well.
const LOG_SIZE: &str = "10m";
/// How long the engine may take to answer, stop timeouts apart.
const ANSWER_SECS: u64 = 120;

/// The Docker engine of this machine.
#[derive(Clone, Debug)]
pub struct DockerEngine {
    docker: Docker,
    /// How it is reached, for messages.
    address: String,
}

impl DockerEngine {
    /// The engine that `DOCKER_HOST` names, else the one at the usual socket; nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address is none that is understood, or there is no socket.
    pub fn from_environment() -> Answer<Self> {
        let address = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let docker = Docker::connect_with_host(&address)
            .map_err(|error| EngineError::Unreachable(format!("no Docker engine at {address}: {error}")))?
            .with_timeout(Duration::from_secs(ANSWER_SECS));
        Ok(Self { docker, address })
    }

    fn failed(&self, error: Error) -> EngineError {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                EngineError::Refused { status: status_code, message }
            }
            Error::DockerStreamError { error } => EngineError::Refused { status: 0, message: error },
            other => {
                EngineError::Unreachable(format!("the Docker engine at {} does not answer: {other}", self.address))
            }
        }
    }
}

/// What is not there need not be removed.
fn unless_gone(answer: Answer<()>) -> Answer<()> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        // Somebody removes it already.
        Err(EngineError::Refused { status: 409, message }) if message.contains("already in progress") => Ok(()),
        answer => answer,
    }
}

fn bytes(mib: MiB) -> i64 {
    i64::try_from(mib.0.saturating_mul(1 << 20)).unwrap_or(i64::MAX)
}

/// `80/tcp`.
fn port_key(port: u16, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{port}/{protocol}")
}

/// Which ports of this machine lead to which of the container: those that the definition names, else any.
fn port_bindings(ports: &[PortMapping], mode: NetworkMode) -> PortMap {
    let mut bindings = PortMap::new();
    for mapping in ports {
        for offset in 0..mapping.count.max(1) {
            let host_port = match mode {
                // Its own address is not one of this machine.
                NetworkMode::Awsvpc => String::new(),
                _ => mapping.static_port(mode).map(|port| port.saturating_add(offset).to_string()).unwrap_or_default(),
            };
            let binding = PortBinding { host_ip: Some(LOOPBACK.to_owned()), host_port: Some(host_port) };
            let key = port_key(mapping.container_port.saturating_add(offset), mapping.protocol);
            bindings.insert(key, Some(vec![binding]));
        }
    }
    bindings
}

/// TD-17, in the engine's terms.
fn health_config(spec: &ContainerSpec) -> Option<HealthConfig> {
    let check = spec.health_check.as_ref()?;
    let nanos = |duration: crate::engine::time::SimDuration| i64::try_from(duration.as_nanos()).ok();
    Some(HealthConfig {
        test: Some(spec.process.health_command.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: Some(i64::from(check.retries)),
        start_period: nanos(check.start_period),
        ..HealthConfig::default()
    })
}

/// A container in the words of Docker's API.
fn create_body(new: &NewContainer<'_>) -> ContainerCreateBody {
    let (spec, process) = (new.spec, &new.spec.process);
    let translates = matches!(spec.network_mode, NetworkMode::Bridge | NetworkMode::Awsvpc);
    let bindings = if translates { port_bindings(&spec.ports, spec.network_mode) } else { PortMap::new() };
    let network_mode = match (new.network, spec.network_mode) {
        (Some(network), _) => network.to_owned(),
        (None, NetworkMode::Host) => "host".to_owned(),
        (None, NetworkMode::None) => "none".to_owned(),
        (None, _) => "bridge".to_owned(),
    };
    let endpoints = new.network.map(|network| {
        let endpoint = EndpointSettings { aliases: Some(vec![spec.name.clone()]), ..EndpointSettings::default() };
        HashMap::from([(network.to_owned(), endpoint)])
    });
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let links: Vec<String> = new.links.iter().map(|(name, alias)| format!("{name}:{alias}")).collect();
    let mount = |(source, path, read_only): &(String, String, bool)| {
        format!("{source}:{path}:{}", if *read_only { "ro" } else { "rw" })
    };
    let binds: Vec<String> = new.mounts.iter().map(mount).collect();
    let log_options = [("max-size", LOG_SIZE), ("max-file", "1")];
    let host_config = HostConfig {
        cpu_shares: Some(spec.cpu_shares.0.max(LEAST_SHARES).cast_signed()),
        cpu_period: spec.cpu_limit.map(|_| CFS_PERIOD),
        cpu_quota: spec.cpu_limit.map(|cpu| (cpu.as_vcpus() * CFS_PERIOD as f64).round() as i64),
        memory: spec.memory.map(bytes),
        // No swap: what goes beyond the limit is killed (TD-9).
        memory_swap: spec.memory.map(bytes),
        memory_reservation: spec.memory_reservation.filter(|soft| soft.0 > 0).map(bytes),
        init: process.init.then_some(true),
        ulimits: (!process.ulimits.is_empty()).then(|| {
            let limit = |limit: &crate::ecs::process::Ulimit| ResourcesUlimits {
                name: Some(limit.name.clone()),
                soft: Some(limit.soft),
                hard: Some(limit.hard),
            };
            process.ulimits.iter().map(limit).collect()
        }),
        binds: some(&binds),
        links: some(&links),
        network_mode: Some(network_mode),
        port_bindings: Some(bindings.clone()),
        privileged: Some(false),
        readonly_rootfs: Some(process.read_only_root),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log_options.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: some(&process.entry_point),
        cmd: some(&process.command),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        working_dir: process.working_directory.clone(),
        user: process.user.clone(),
        healthcheck: health_config(spec),
        exposed_ports: Some(bindings.into_keys().collect()),
        labels: Some(new.labels.clone().into_iter().collect()),
        host_config: Some(host_config),
        networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
        ..ContainerCreateBody::default()
    }
}

/// The ports of this machine in the words of Docker's API.
fn published(ports: PortMap) -> Vec<PublishedPort> {
    let mut published: Vec<PublishedPort> = Vec::new();
    for (key, bindings) in ports {
        let (port, protocol) = key.split_once('/').unwrap_or((&key, "tcp"));
        let Ok(container_port) = port.parse() else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        let host = bindings.into_iter().flatten().find_map(|binding| binding.host_port?.parse().ok());
        if let Some(host_port) = host {
            published.push(PublishedPort { container_port, host_port, protocol });
        }
    }
    published.sort_unstable_by_key(|port| (port.container_port, port.protocol));
    published
}

fn happening(message: EventMessage) -> Option<EngineEvent> {
    let action = message.action?;
    let name = message.actor?.attributes?.remove("name")?;
    let what = match action.as_str() {
        "die" => Happening::Died,
        "oom" => Happening::OutOfMemory,
        "health_status: healthy" => Happening::Health { healthy: true },
        "health_status: unhealthy" => Happening::Health { healthy: false },
        _ => return None,
    };
    Some(EngineEvent { name, what })
}

fn filters(pairs: &[(&str, String)]) -> HashMap<String, Vec<String>> {
    let mut filters: HashMap<String, Vec<String>> = HashMap::new();
    for (key, value) in pairs {
        filters.entry((*key).to_owned()).or_default().push(value.clone());
    }
    filters
}

impl ContainerEngine for DockerEngine {
    async fn machine(&self) -> Answer<Machine> {
        let info = self.docker.info().await.map_err(|error| self.failed(error))?;
        Ok(Machine {
            version: info.server_version.unwrap_or_default(),
            cpus: info.ncpu.and_then(|cpus| u64::try_from(cpus).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        })
    }

    async fn has_image(&self, image: &str) -> Answer<bool> {
        match self.docker.inspect_image(image).await.map_err(|error| self.failed(error)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn pull(&self, image: &str) -> Answer<()> {
        let named = image.contains('@') || image.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let options = CreateImageOptionsBuilder::default().from_image(image);
        // Without a tag Docker would pull them all.
        let options = if named { options } else { options.tag("latest") };
        let mut progress = self.docker.create_image(Some(options.build()), None, None);
        while let Some(step) = progress.next().await {
            step.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Answer<()> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.map(|_| ()).map_err(|error| self.failed(error))
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Answer<()> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.docker.create_volume(request).await.map(|_| ()).map_err(|error| self.failed(error))
    }

    async fn create(&self, new: &NewContainer<'_>) -> Answer<()> {
        let options = CreateContainerOptionsBuilder::default().name(new.name).build();
        let created = self.docker.create_container(Some(options), create_body(new)).await;
        created.map(|_| ()).map_err(|error| self.failed(error))
    }

    async fn start(&self, name: &str) -> Answer<()> {
        self.docker.start_container(name, None).await.map_err(|error| self.failed(error))
    }

    async fn inspect(&self, name: &str) -> Answer<Inspection> {
        let found = self.docker.inspect_container(name, None).await.map_err(|error| self.failed(error))?;
        let state = found.state.unwrap_or_default();
        let healthy = match state.health.and_then(|health| health.status) {
            Some(HealthStatusEnum::HEALTHY) => Some(true),
            Some(HealthStatusEnum::UNHEALTHY) => Some(false),
            _ => None,
        };
        Ok(Inspection {
            running: state.running.unwrap_or(false),
            exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0),
            out_of_memory: state.oom_killed.unwrap_or(false),
            healthy,
            ports: found.network_settings.and_then(|network| network.ports).map(published).unwrap_or_default(),
        })
    }

    async fn stop(&self, name: &str, patience: Duration) -> Answer<()> {
        let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        // The answer comes when the container has ended.
        let docker = self.docker.clone().with_timeout(patience.saturating_add(Duration::from_secs(ANSWER_SECS)));
        unless_gone(docker.stop_container(name, Some(options)).await.map_err(|error| self.failed(error)))
    }

    async fn meter(&self, name: &str) -> Answer<Meter> {
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let stats = self.docker.stats(name, Some(options)).next().await;
        let stats = match stats {
            Some(stats) => stats.map_err(|error| self.failed(error))?,
            None => return Err(EngineError::Refused { status: 404, message: format!("no figures of {name}") }),
        };
        let cpu_nanos = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage?.total_usage).unwrap_or(0);
        let memory = stats.memory_stats.unwrap_or_default();
        let figures = memory.stats.unwrap_or_default();
        // Page cache: `total_inactive_file` of cgroup v1, `inactive_file` of v2, as `docker stats` has it.
        let cache = figures.get("total_inactive_file").or_else(|| figures.get("inactive_file"));
        let memory = memory.usage.unwrap_or(0).saturating_sub(cache.copied().unwrap_or(0));
        Ok(Meter { cpu_nanos, memory })
    }

    fn logs(&self, name: &str) -> BoxStream<'static, Answer<Vec<u8>>> {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        // There is no end to how long a container may be silent.
        let engine =
            Self { docker: self.docker.clone().with_timeout(Duration::from_secs(u64::from(u32::MAX))), ..self.clone() };
        let lines = engine.docker.logs(name, Some(options));
        lines.map(move |line| line.map(|line| line.into_bytes().to_vec()).map_err(|error| engine.failed(error))).boxed()
    }

    fn events(&self, (key, value): (&str, &str)) -> BoxStream<'static, Answer<EngineEvent>> {
        let filters = filters(&[("type", "container".to_owned()), ("label", format!("{key}={value}"))]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        let engine =
            Self { docker: self.docker.clone().with_timeout(Duration::from_secs(u64::from(u32::MAX))), ..self.clone() };
        let events = engine.docker.events(Some(options));
        let events = events.map(move |event| event.map_err(|error| engine.failed(error)));
        events.filter_map(|event| ready(event.map(happening).transpose())).boxed()
    }

    async fn list(&self, key: &str) -> Answer<Vec<Found>> {
        let filters = filters(&[("label", key.to_owned())]);
        let failed = |error| self.failed(error);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = self.docker.list_containers(Some(options)).await.map_err(failed)?;
        let mut all: Vec<Found> = Vec::new();
        for container in containers {
            let name = container.names.and_then(|names| names.into_iter().next()).or(container.id).unwrap_or_default();
            let labels = container.labels.unwrap_or_default().into_iter().collect();
            all.push(Found { kind: Kind::Container, name: name.trim_start_matches('/').to_owned(), labels });
        }
        let options = ListNetworksOptionsBuilder::default().filters(&filters).build();
        for network in self.docker.list_networks(Some(options)).await.map_err(failed)? {
            let labels = network.labels.unwrap_or_default().into_iter().collect();
            all.push(Found { kind: Kind::Network, name: network.name.unwrap_or_default(), labels });
        }
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes = self.docker.list_volumes(Some(options)).await.map_err(failed)?;
        for volume in volumes.volumes.unwrap_or_default() {
            all.push(Found { kind: Kind::Volume, name: volume.name, labels: volume.labels.into_iter().collect() });
        }
        all.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
        Ok(all)
    }

    async fn remove(&self, kind: Kind, name: &str) -> Answer<()> {
        let answer = match kind {
            Kind::Container => {
                let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                self.docker.remove_container(name, Some(options)).await
            }
            Kind::Network => self.docker.remove_network(name).await,
            Kind::Volume => {
                let options = RemoveVolumeOptionsBuilder::default().force(true).build();
                self.docker.remove_volume(name, Some(options)).await
            }
        };
        unless_gone(answer.map_err(|error| self.failed(error)))
    }
}
