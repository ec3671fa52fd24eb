//! Carries out what the model asks of its containers, each task for itself, and tells what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, create_dir_all};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::driver::DriveOptions;
use super::engine::{Answer, ContainerEngine, EngineError, EngineEvent, Happening, Kind, Meter, NewContainer};
use super::labels::{RUN, RunLabels};
use super::measurements::{Span, SpanKind};
use crate::control_plane::execution::{
    ContainerCommand, ContainerNews, ContainerReport, ContainerSpec, ContainerStart, ContainerUsage,
};
use crate::ecs::ids::TaskKey;
use crate::ecs::process::MountSource;
use crate::ecs::task_definition::NetworkMode;
use crate::engine::time::SimDuration;
use crate::report::output::safe_name;

/// Containers that are created or removed at once: an engine does not get faster with more.
const AT_ONCE: usize = 8;
/// Between two tries of what an engine that is on its way back refuses.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// How long the removal of everything may take.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(60);
/// How long what a container has written last may take to arrive once it is gone.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// What the crew tells the driver.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// Of a container.
    Report(ContainerReport),
    /// What a container was seen to use.
    Usage(ContainerReport, Box<Known>),
    /// How long something took.
    Span(Span),
    /// Something that the user should know.
    Warning(String),
    /// The engine has gone and not come back.
    EngineGone(String),
}

/// A container that has been told to start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    at: ContainerStart,
    pub(super) spec: Arc<ContainerSpec>,
    phase: Phase,
    /// When it last started.
    started: Option<Instant>,
    /// Whether it has been told to stop.
    stopping: bool,
    /// Whether the kernel has killed something in it over its memory.
    out_of_memory: bool,
    /// Whether its health check has passed since.
    healthy: bool,
    /// What it had used when it was last read.
    meter: Option<(Instant, Meter)>,
    /// Bytes of its log that have been written.
    logged: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Create and start are under way; `died` when it has ended before that was told.
    Starting { died: bool },
    /// It runs, as far as is known.
    Running,
    /// It has ended, and that was told.
    Ended,
}

/// What a task's worker is told.
#[derive(Debug)]
enum Order {
    Start(ContainerStart, Box<ContainerSpec>),
    Stop(ContainerStart, SimDuration),
    Remove,
}

/// Everything that works on a run's containers.
pub(super) struct Crew<E> {
    site: Arc<Site<E>>,
    workers: BTreeMap<TaskKey, UnboundedSender<Order>>,
    jobs: JoinSet<()>,
}

/// What the workers share.
struct Site<E> {
    engine: Arc<E>,
    run: RunLabels,
    told: UnboundedSender<Told>,
    /// By name with the engine.
    known: Mutex<BTreeMap<String, Known>>,
    gate: Semaphore,
    /// One at a time, so that an image is pulled once.
    pulls: AsyncMutex<()>,
    /// Containers that exist, and how many may.
    alive: AtomicUsize,
    most: usize,
    /// How long an engine that has gone may take to come back.
    patience: Duration,
    /// Where logs are written.
    logs: Option<PathBuf>,
    log_failed: AtomicBool,
}

impl<E: ContainerEngine> Crew<E> {
    /// A crew of `engine`, and where it tells what happens.
    pub(super) fn new(engine: Arc<E>, run: RunLabels, options: &DriveOptions) -> (Self, UnboundedReceiver<Told>) {
        let (told, listener) = unbounded_channel();
        let site = Site {
            engine,
            run,
            told,
            known: Mutex::default(),
            gate: Semaphore::new(AT_ONCE),
            pulls: AsyncMutex::default(),
            alive: AtomicUsize::new(0),
            most: options.max_containers,
            patience: options.engine_patience,
            logs: options.logs.clone(),
            log_failed: AtomicBool::new(false),
        };
        let mut crew = Self { site: Arc::new(site), workers: BTreeMap::new(), jobs: JoinSet::new() };
        let site = crew.site.clone();
        crew.jobs.spawn(async move { site.watch_engine().await });
        (crew, listener)
    }

    /// Sets about what the model asks.
    pub(super) fn carry_out(&mut self, command: ContainerCommand) {
        // What is done is not kept.
        while self.jobs.try_join_next().is_some() {}
        match command {
            ContainerCommand::Pull { at, image } => {
                let site = self.site.clone();
                self.jobs.spawn(async move { site.pull(at, &image).await });
            }
            ContainerCommand::Start { at, spec } => self.order(at.task, Order::Start(at, spec)),
            ContainerCommand::Stop { at, patience } => self.order(at.task, Order::Stop(at, patience)),
            ContainerCommand::Remove { task } => {
                if let Some(worker) = self.workers.remove(&task) {
                    let _ = worker.send(Order::Remove);
                }
            }
        }
    }

    fn order(&mut self, task: TaskKey, order: Order) {
        let worker = self.workers.entry(task).or_insert_with(|| {
            let (orders, received) = unbounded_channel();
            let worker = Worker::new(self.site.clone());
            self.jobs.spawn(worker.work(received));
            orders
        });
        // A worker that has ended has removed its task.
        let _ = worker.send(order);
    }

    /// Reads what every running container uses.
    pub(super) fn read_usage(&mut self) {
        let site = self.site.clone();
        self.jobs.spawn(async move { site.read_usage().await });
    }

    /// Takes everything down and waits until that is done.
    pub(super) async fn finish(mut self) {
        let workers = std::mem::take(&mut self.workers);
        for worker in workers.into_values() {
            let _ = worker.send(Order::Remove);
        }
        // The watch over the engine does not end by itself; a worker whose engine is gone does.
        let all = async { while self.jobs.len() > 1 && self.jobs.join_next().await.is_some() {} };
        let _ = timeout(REMOVAL_PATIENCE, all).await;
        self.jobs.shutdown().await;
    }

    /// Lets everything lie: the engine is gone.
    pub(super) async fn give_up(mut self) {
        self.jobs.shutdown().await;
    }
}

impl<E: ContainerEngine> Site<E> {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        // Whoever panicked has left whole entries.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, told: Told) {
        // Nobody listens any more when the run is over.
        let _ = self.told.send(told);
    }

    fn report(&self, at: ContainerStart, news: ContainerNews) {
        self.tell(Told::Report(ContainerReport { at, news }));
    }

    fn span(&self, what: SpanKind, spec: &ContainerSpec, since: Instant) {
        let seconds = since.elapsed().as_secs_f64();
        self.tell(Told::Span(Span { what, of: spec.definition.clone(), container: spec.name.clone(), seconds }));
    }

    /// Has an image: the one that is on the machine, else the registry's (IMG-1, `prefer-cached`).
    async fn pull(&self, at: ContainerStart, image: &str) {
        let begin = Instant::now();
        let _turn = self.pulls.lock().await;
        let had = match self.engine.has_image(image).await {
            Ok(true) => Ok(()),
            Ok(false) => self.engine.pull(image).await,
            Err(error) => Err(error),
        };
        match had {
            Ok(()) => {
                let seconds = begin.elapsed().as_secs_f64();
                self.tell(Told::Span(Span {
                    what: SpanKind::Pull,
                    of: image.to_owned(),
                    container: String::new(),
                    seconds,
                }));
                self.report(at, ContainerNews::Pulled);
            }
            Err(error) => self.report(at, ContainerNews::Failed(agent_words("CannotPullContainerError", &error))),
        }
    }

    /// Follows what happens to the run's containers, over restarts of the engine, until it does not come back.
    async fn watch_engine(self: Arc<Self>) {
        loop {
            let mut events = self.engine.events((RUN, &self.run.id));
            // What happened while nobody listened.
            self.take_stock().await;
            while let Some(Ok(event)) = events.next().await {
                self.on_event(event);
            }
            let gone = Instant::now();
            loop {
                match self.engine.machine().await {
                    Ok(_) => break,
                    Err(error) if gone.elapsed() >= self.patience => {
                        self.tell(Told::EngineGone(error.to_string()));
                        return;
                    }
                    Err(_) => sleep(TRY_AGAIN).await,
                }
            }
        }
    }

    /// Which of the containers that should run no longer do.
    async fn take_stock(self: &Arc<Self>) {
        let running: Vec<String> = (self.known().iter())
            .filter(|(_, known)| known.phase == Phase::Running)
            .map(|(name, _)| name.clone())
            .collect();
        for name in running {
            self.settle(&name).await;
        }
    }

    fn on_event(self: &Arc<Self>, event: EngineEvent) {
        let mut all = self.known();
        let Some(known) = all.get_mut(&event.name) else { return };
        match event.what {
            Happening::Died => match &mut known.phase {
                Phase::Starting { died } => *died = true,
                Phase::Running => {
                    let (site, name) = (self.clone(), event.name);
                    tokio::spawn(async move { site.settle(&name).await });
                }
                Phase::Ended => {}
            },
            Happening::OutOfMemory => known.out_of_memory = true,
            Happening::Health { healthy } => {
                if healthy
                    && !std::mem::replace(&mut known.healthy, true)
                    && let Some(started) = known.started
                {
                    self.span(SpanKind::Healthy, &known.spec, started);
                }
                self.report(known.at, ContainerNews::Health { healthy });
            }
        }
    }

    /// Tells the end of a container that has ended; of one that is not there any more, as of one that was killed.
    async fn settle(&self, name: &str) {
        let found = self.engine.inspect(name).await;
        let (code, out_of_memory) = match found {
            Ok(found) if found.running => return,
            Ok(found) => (found.exit_code, found.out_of_memory),
            Err(error) if error.is_not_found() => (KILLED, false),
            // It will be looked at again when the engine is back.
            Err(_) => return,
        };
        let unexplained = |known: &Known| code == KILLED && !out_of_memory && !known.out_of_memory && !known.stopping;
        if self.known().get(name).is_some_and(unexplained) {
            sleep(OUT_OF_MEMORY_LAG).await;
        }
        let mut all = self.known();
        let Some(known) = all.get_mut(name).filter(|known| known.phase == Phase::Running) else { return };
        known.phase = Phase::Ended;
        if let (Some(started), false) = (known.started, known.stopping) {
            self.span(SpanKind::Run, &known.spec, started);
        }
        // The kernel may have killed a child while the container ended by itself.
        let out_of_memory = (out_of_memory || known.out_of_memory) && code == KILLED;
        self.report(known.at, ContainerNews::Ended { code, out_of_memory });
    }

    async fn read_usage(self: &Arc<Self>) {
        let running: Vec<String> = (self.known().iter())
            .filter(|(_, known)| known.phase == Phase::Running)
            .map(|(name, _)| name.clone())
            .collect();
        let read = |name: String| {
            let site = self.clone();
            async move {
                let reading = site.engine.meter(&name).await;
                (name, reading, Instant::now())
            }
        };
        let mut readings = futures_util::stream::iter(running.into_iter().map(read)).buffer_unordered(AT_ONCE);
        while let Some((name, reading, now)) = readings.next().await {
            let Ok(meter) = reading else { continue };
            let mut all = self.known();
            let Some(known) = all.get_mut(&name).filter(|known| known.phase == Phase::Running) else { continue };
            let since = known.meter.map(|(at, before)| (at, before.cpu_nanos));
            let (since, before) = since.or(known.started.map(|started| (started, 0))).unwrap_or((now, 0));
            known.meter = Some((now, meter));
            let seconds = now.duration_since(since).as_secs_f64();
            let used = meter.cpu_nanos.saturating_sub(before) as f64 / 1e9;
            let usage = ContainerUsage {
                vcpus: if seconds > 0.0 { used / seconds } else { 0.0 },
                seconds,
                memory_mib: meter.memory as f64 / f64::from(1 << 20),
            };
            let report = ContainerReport { at: known.at, news: ContainerNews::Usage(usage) };
            self.tell(Told::Usage(report, Box::new(known.clone())));
        }
    }

    /// Writes what a container writes into the output folder, until it ends.
    async fn keep_log(self: Arc<Self>, name: String, spec: Arc<ContainerSpec>, mut skip: u64) {
        let Some(folder) = &self.logs else { return };
        let folder = folder.join(safe_name(&spec.task_id));
        let path = folder.join(format!("{}.log", safe_name(&spec.name)));
        let opened = create_dir_all(&folder).and_then(|()| File::options().create(true).append(true).open(&path));
        let mut file = match opened {
            Ok(file) => file,
            Err(error) => return self.log_fails(&error),
        };
        let mut lines = self.engine.logs(&name);
        while let Some(Ok(line)) = lines.next().await {
            // A container that has started again tells everything anew.
            let known = skip.min(line.len() as u64);
            skip -= known;
            if let Err(error) = file.write_all(&line[known as usize..]) {
                return self.log_fails(&error);
            }
            if let Some(entry) = self.known().get_mut(&name) {
                entry.logged += line.len() as u64 - known;
            }
        }
    }

    /// Tries again while the engine does not answer: it may be on its way back.
    async fn patiently<T, F: Future<Output = Answer<T>>>(&self, mut call: impl FnMut() -> F) -> Answer<T> {
        let begin = Instant::now();
        loop {
            match call().await {
                Err(error) if error.is_unreachable() && begin.elapsed() < self.patience => sleep(TRY_AGAIN).await,
                answer => return answer,
            }
        }
    }

    fn log_fails(&self, error: &std::io::Error) {
        if !self.log_failed.swap(true, Ordering::Relaxed) {
            self.tell(Told::Warning(format!("a container's log cannot be written, and is cut off there: {error}")));
        }
    }
}

/// How much later than the end of a container the word may come that the kernel has killed it over its memory.
const OUT_OF_MEMORY_LAG: Duration = Duration::from_millis(300);

/// Exit code of what was killed: 128 + SIGKILL.
const KILLED: i32 = 137;

/// What the agent says of a call that the engine has refused.
fn agent_words(error_name: &str, error: &EngineError) -> String {
    match error {
        EngineError::Refused { message, .. } => format!("{error_name}: Error response from daemon: {message}"),
        EngineError::Unreachable(message) => format!("{error_name}: {message}"),
    }
}

/// Works on the containers of one task, one order after the other; only stops run side by side.
struct Worker<E> {
    site: Arc<Site<E>>,
    /// Names with the engine, by name in the task; started at least once when true.
    containers: BTreeMap<String, (String, bool)>,
    volumes: BTreeSet<String>,
    network: Option<String>,
    /// Starts that wait for a linked container.
    held: Vec<(ContainerStart, Box<ContainerSpec>)>,
    stops: JoinSet<()>,
    logs: JoinSet<()>,
}

impl<E: ContainerEngine> Worker<E> {
    fn new(site: Arc<Site<E>>) -> Self {
        Self {
            site,
            containers: BTreeMap::new(),
            volumes: BTreeSet::new(),
            network: None,
            held: Vec::new(),
            stops: JoinSet::new(),
            logs: JoinSet::new(),
        }
    }

    async fn work(mut self, mut orders: UnboundedReceiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Start(at, spec) => {
                    self.held.push((at, spec));
                    // A container is started after those it is linked to.
                    while let Some(next) = self.held.iter().position(|(_, spec)| self.links_are_up(spec)) {
                        let (at, spec) = self.held.remove(next);
                        self.start(at, *spec).await;
                    }
                }
                Order::Stop(at, patience) => self.stop(at, patience),
                Order::Remove => break,
            }
        }
        self.remove_all().await;
    }

    fn links_are_up(&self, spec: &ContainerSpec) -> bool {
        let up = |name: &String| self.containers.get(name).is_some_and(|(_, started)| *started);
        spec.process.links.iter().all(|link| up(&link.container))
    }

    async fn start(&mut self, at: ContainerStart, spec: ContainerSpec) {
        let site = self.site.clone();
        let spec = Arc::new(spec);
        let begin = Instant::now();
        let name = site.run.part(spec.task_number, &spec.name);
        let again = self.containers.get(&spec.name).is_some_and(|(_, started)| *started);
        {
            let mut all = site.known();
            let logged = all.get(&name).map_or(0, |before| before.logged);
            let known = Known {
                at,
                spec: spec.clone(),
                phase: Phase::Starting { died: false },
                started: None,
                stopping: false,
                out_of_memory: false,
                healthy: false,
                meter: None,
                logged,
            };
            all.insert(name.clone(), known);
        }
        let outcome = {
            let _turn = site.gate.acquire().await;
            let created = if again { Ok(()) } else { self.create(&name, &spec).await };
            match created {
                Ok(()) => {
                    let started = site.engine.start(&name).await;
                    started.map_err(|error| agent_words("CannotStartContainerError", &error))
                }
                Err(reason) => Err(reason),
            }
        };
        if let Err(reason) = outcome {
            site.known().remove(&name);
            site.report(at, ContainerNews::Failed(reason));
            return;
        }
        if let Some(entry) = self.containers.get_mut(&spec.name) {
            entry.1 = true;
        }
        site.span(SpanKind::Start, &spec, begin);
        let up = Instant::now();
        // Of a container that has ended already there are no ports, and nobody needs them.
        let ports = if spec.ports.is_empty() {
            Vec::new()
        } else {
            site.engine.inspect(&name).await.map(|found| found.ports).unwrap_or_default()
        };
        let (died, logged) = {
            let mut all = site.known();
            let Some(known) = all.get_mut(&name) else { return };
            let died = known.phase == Phase::Starting { died: true };
            known.phase = Phase::Running;
            known.started = Some(up);
            (died, known.logged)
        };
        site.report(at, ContainerNews::Started { ports });
        self.logs.spawn(site.clone().keep_log(name.clone(), spec, logged));
        if died {
            site.settle(&name).await;
        }
    }

    async fn create(&mut self, name: &str, spec: &ContainerSpec) -> Result<(), String> {
        let site = self.site.clone();
        let words = |error: EngineError| agent_words("CannotCreateContainerError", &error);
        if site.alive.fetch_add(1, Ordering::SeqCst) >= site.most {
            site.alive.fetch_sub(1, Ordering::SeqCst);
            return Err(format!("CannotCreateContainerError: there are {} containers, the most allowed", site.most));
        }
        // From here on there is something to remove, whatever becomes of it.
        self.containers.insert(spec.name.clone(), (name.to_owned(), false));
        if spec.network_mode == NetworkMode::Awsvpc && self.network.is_none() {
            let network = site.run.network(spec.task_number);
            site.engine.create_network(&network, &site.run.of_task(spec)).await.map_err(words)?;
            self.network = Some(network);
        }
        let mut mounts = Vec::new();
        for mount in &spec.process.mounts {
            let source = match &mount.source {
                MountSource::Host(path) => path.clone(),
                MountSource::Task(volume) => {
                    let volume = site.run.part(spec.task_number, &format!("volume-{volume}"));
                    if !self.volumes.contains(&volume) {
                        site.engine.create_volume(&volume, &site.run.of_task(spec)).await.map_err(words)?;
                        self.volumes.insert(volume.clone());
                    }
                    volume
                }
            };
            mounts.push((source, mount.path.clone(), mount.read_only));
        }
        let links = (spec.process.links.iter())
            .map(|link| (site.run.part(spec.task_number, &link.container), link.alias.clone()))
            .collect();
        let labels = site.run.of_container(spec);
        let new = NewContainer { name, spec, labels: &labels, network: self.network.as_deref(), links, mounts };
        site.engine.create(&new).await.map_err(words)
    }

    fn stop(&mut self, at: ContainerStart, patience: SimDuration) {
        let site = self.site.clone();
        let found = {
            let mut all = site.known();
            let found = all.iter_mut().find(|(_, known)| known.at == at);
            found.map(|(name, known)| {
                known.stopping = true;
                (name.clone(), known.spec.clone())
            })
        };
        let Some((name, spec)) = found else { return };
        let patience = Duration::from_nanos(patience.as_nanos());
        self.stops.spawn(async move {
            let begin = Instant::now();
            match site.patiently(|| site.engine.stop(&name, patience)).await {
                Ok(()) => {
                    site.span(SpanKind::Stop, &spec, begin);
                    site.settle(&name).await;
                }
                Err(error) if error.is_unreachable() => {}
                Err(error) => site.tell(Told::Warning(format!("{name} cannot be stopped: {error}"))),
            }
        });
    }

    /// Kills and removes everything of the task.
    async fn remove_all(&mut self) {
        let site = self.site.clone();
        let engine = &site.engine;
        for (name, _) in self.containers.values() {
            let removed = {
                let _turn = site.gate.acquire().await;
                site.patiently(|| engine.remove(Kind::Container, name)).await
            };
            site.alive.fetch_sub(1, Ordering::SeqCst);
            self.left(&removed, name);
        }
        // Their output ends with them.
        let _ = timeout(LOG_PATIENCE, async { while self.logs.join_next().await.is_some() {} }).await;
        self.stops.shutdown().await;
        for volume in &self.volumes {
            self.left(&site.patiently(|| engine.remove(Kind::Volume, volume)).await, volume);
        }
        if let Some(network) = &self.network {
            self.left(&site.patiently(|| engine.remove(Kind::Network, network)).await, network);
        }
        let mut all = site.known();
        for (name, _) in self.containers.values() {
            all.remove(name);
        }
    }

    fn left(&self, removed: &Answer<()>, name: &str) {
        if let Err(error) = removed {
            let advice = "`ecsim containers prune` removes it";
            self.site.tell(Told::Warning(format!("{name} is left behind: {error}; {advice}")));
        }
    }
}
