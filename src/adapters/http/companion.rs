//! The HTTP of a run with real containers: takes part in [`drive`](crate::adapters::containers::drive).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::client::Call;
use super::load::{Answered, HttpLoad};
use crate::adapters::containers::{CPU_PERIOD, Companion, Driven, RunClock, SpanKind};
use crate::control_plane::Session;
use crate::control_plane::estate::{Demand, Estate};
use crate::control_plane::real_http::{HttpAnswer, HttpCommand, HttpId, HttpOutcome, HttpSend};
use crate::ecs::container::ContainerStatus;
use crate::ecs::ids::{TaskKey, WorkloadId};
use crate::ecs::task_definition::{NetworkMode, Protocol};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::measured::{Delay, Measurements, Sample};

/// Sends what the model's balancers send, and keeps what answers tell of the servers.
pub struct HttpCompanion {
    load: HttpLoad,
    answers: Receiver<Answered>,
    /// CPU seconds that servers said requests took them, and requests answered.
    costs: BTreeMap<WorkloadId, (Sample, u64)>,
    /// Seconds to the answers of probes that passed, by cluster and service.
    probes: BTreeMap<(String, String), Sample>,
    /// Seconds from the start of a task to its first pass, by name of its revision.
    startups: BTreeMap<String, Sample>,
    started: BTreeSet<TaskKey>,
    /// Task definitions that run on Fargate.
    on_fargate: BTreeSet<String>,
    /// When a probe of a task that has passed none was last sent.
    failed: BTreeMap<TaskKey, SimTime>,
}

impl HttpCompanion {
    /// Sends by `runtime`, and wakes the driver with every answer.
    pub fn new(runtime: Handle, wake: Arc<Notify>) -> Self {
        let (tell, answers) = channel();
        let load = HttpLoad::new(runtime, move |answer| {
            // When nobody listens any more the run is over.
            let _ = tell.send(answer);
            wake.notify_one();
        });
        Self {
            load,
            answers,
            costs: BTreeMap::new(),
            probes: BTreeMap::new(),
            startups: BTreeMap::new(),
            started: BTreeSet::new(),
            on_fargate: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }

    fn send(&mut self, send: HttpSend, session: &mut Session<'_>, clock: &RunClock) {
        let Some(port) = port_of(&send, session) else {
            // Its container is down, or on its way up again.
            let answer = HttpAnswer { id: send.id, took: SimDuration::ZERO, outcome: HttpOutcome::Refused };
            session.http_answered(session.now(), answer);
            return;
        };
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let agent = match send.id {
            HttpId::Request { .. } => "ecsim",
            // As load balancers name themselves.
            HttpId::Probe { .. } => "ELB-HealthChecker/2.0",
        };
        let call = Call { target, path: send.path, agent };
        self.load.send(
            send.id,
            call,
            clock.instant(send.intended).into(),
            Duration::from_nanos(send.timeout.as_nanos()),
        );
    }

    /// What an answer tells of the server.
    fn learn(&mut self, answer: &Answered, session: &Session<'_>, clock: &RunClock) {
        let took = answer.took.as_secs_f64();
        match (answer.id, answer.outcome) {
            (HttpId::Request { workload, .. }, HttpOutcome::Answered { status, cpu_s }) if status < 500 => {
                let (said, answered) = self.costs.entry(workload).or_default();
                if let Some(cpu_s) = cpu_s {
                    said.add(cpu_s);
                }
                *answered += 1;
            }
            (HttpId::Probe { task, .. }, HttpOutcome::Answered { status, .. }) if status < 400 => {
                self.learn_of_pass(task, took, session, clock);
            }
            (HttpId::Probe { task, .. }, _) => {
                let waited = clock.pacer().counts(answer.took).as_nanos();
                self.failed.insert(task, SimTime::from_nanos(clock.now().as_nanos().saturating_sub(waited)));
            }
            (HttpId::Request { .. }, _) => {}
        }
    }

    fn learn_of_pass(&mut self, key: TaskKey, took: f64, session: &Session<'_>, clock: &RunClock) {
        let state = session.state();
        let Some((task, owner)) = state.tasks.get(key).and_then(|task| Some((task, task.owner?))) else { return };
        let service = &state.services[owner.service.index()];
        let cluster = &state.clusters[service.cluster.index()].name;
        self.probes.entry((cluster.to_string(), service.name.clone())).or_default().add(took);
        if !self.started.insert(key) {
            return;
        }
        let definition = &state.definitions[task.definition.index()].definition;
        if task.launch.is_fargate() {
            self.on_fargate.insert(definition.family.clone());
        }
        let Some(begin) = task.containers[definition.main_container()].started else { return };
        // It was up at some time between the last probe in vain and this one: in the middle, for want of more.
        let last = self.failed.remove(&key).unwrap_or(begin);
        let pace = clock.pacer().pace();
        let until = clock.now().saturating_since(begin).as_secs_f64() / pace - took;
        let from = last.saturating_since(begin).as_secs_f64() / pace;
        self.startups.entry(definition.family.clone()).or_default().add(f64::midpoint(from, until.max(from)));
    }

    /// What the whole run has measured, the engine's part of it included.
    pub fn measured(&self, estate: &Estate, driven: &Driven, pace: f64) -> Measurements {
        let mut measured = Measurements::new(&estate.name, pace);
        measured.cpu_period_s = CPU_PERIOD.as_secs_f64();
        for span in &driven.measurements.spans {
            let delay = match span.what {
                SpanKind::Pull => Delay::ImagePull,
                SpanKind::Start if self.on_fargate.contains(family_of(&span.of)) => Delay::FargateStart,
                SpanKind::Start => Delay::TaskStart,
                SpanKind::Stop => Delay::TaskStop,
                SpanKind::Healthy | SpanKind::Run => continue,
            };
            measured.delay(delay, span.seconds);
        }
        for (family, startups) in &self.startups {
            measured.family(family).startup = startups.clone();
        }
        let mut cpu: BTreeMap<&str, f64> = BTreeMap::new();
        let mut memory: BTreeMap<(&str, u64), Sample> = BTreeMap::new();
        for reading in &driven.measurements.usage {
            let family = family_of(&reading.definition);
            *cpu.entry(family).or_default() += reading.usage.vcpus * reading.usage.seconds;
            memory.entry((family, reading.task_number)).or_default().add(reading.usage.memory_mib);
        }
        for ((family, _), sample) in &memory {
            if let Some(mean) = sample.mean() {
                measured.family(family).memory.add(mean);
            }
        }
        for (place, workload) in estate.workloads.iter().enumerate() {
            let Demand::Requests { service: (cluster, name), .. } = &workload.demand else { continue };
            let Some((said, answered)) = self.costs.get(&WorkloadId(place as u32)) else { continue };
            let of = (cluster.clone(), name.clone());
            let load = measured.workload(&workload.name);
            load.said = said.clone();
            load.answered = *answered;
            load.probes = self.probes.get(&of).cloned().unwrap_or_default();
            let asks = |demand: &Demand| matches!(demand, Demand::Requests { service, .. } if *service == of);
            let alone = estate.workloads.iter().filter(|other| asks(&other.demand)).count() == 1;
            let service = estate.services.iter().find(|service| service.cluster == *cluster && service.name == *name);
            let definition = service.and_then(|service| service.task_definition.as_deref());
            let used = definition.and_then(|definition| cpu.get(family_of(definition)));
            // What several workloads have used together tells nothing of one of them.
            load.container_cpu_s = used.copied().filter(|_| alone).unwrap_or_default();
        }
        measured
    }
}

/// The port of this machine that leads to where a request goes; `None` while the container does not run.
fn port_of(send: &HttpSend, session: &Session<'_>) -> Option<u16> {
    let ports = session.published_ports(send.task, send.container);
    let published = ports.iter().find(|port| port.container_port == send.port && port.protocol == Protocol::Tcp);
    if let Some(port) = published {
        return Some(port.host_port);
    }
    // What shares the network of this machine needs no other port than its own.
    let state = session.state();
    let task = state.tasks.get(send.task)?;
    let on_host = state.definitions[task.definition.index()].definition.network_mode == NetworkMode::Host;
    let runs = task.containers.get(send.container)?.status == ContainerStatus::Running;
    (on_host && runs).then_some(send.port)
}

/// The family of a revision.
fn family_of(revision: &str) -> &str {
    revision.split_once(':').map_or(revision, |(family, _)| family)
}

impl Companion for HttpCompanion {
    fn turn(&mut self, session: &mut Session<'_>, clock: &RunClock) {
        while let Ok(answer) = self.answers.try_recv() {
            self.load.heard(answer.id);
            self.learn(&answer, session, clock);
            let took = SimDuration::from_secs_f64(answer.took.as_secs_f64());
            session.http_answered(session.now(), HttpAnswer { id: answer.id, took, outcome: answer.outcome });
        }
        for command in session.take_http_commands() {
            match command {
                HttpCommand::Send(send) => self.send(send, session, clock),
                HttpCommand::Cut(id) => self.load.cut(id),
            }
        }
    }
}
