//! An engine that tests make up: it does what a script says of each image, and can fail and vanish.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

use super::engine::{
    Answer, ContainerEngine, EngineError, EngineEvent, Found, Happening, Inspection, Kind, Labels, Machine, Meter,
    NewContainer,
};
use crate::control_plane::execution::{ContainerSpec, PublishedPort};

/// What the containers of an image do.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// The words in which create is refused.
    pub(super) create_refused: Option<String>,
    /// The words in which start is refused.
    pub(super) start_refused: Option<String>,
    /// How long one runs, and with which code it ends; for ever when absent.
    pub(super) ends: Option<(Duration, i32)>,
    /// Whether the kernel kills it then.
    pub(super) out_of_memory: bool,
    /// Whether the engine says so only after its end.
    pub(super) tells_late: bool,
    /// How long it takes to heed the stop signal; it never does when absent.
    pub(super) heeds: Option<Duration>,
    /// When its health check decides, and how.
    pub(super) health: Vec<(Duration, bool)>,
    /// CPUs it burns, and bytes it has.
    pub(super) uses: (f64, u64),
}

impl Default for Script {
    fn default() -> Self {
        Self {
            create_refused: None,
            start_refused: None,
            ends: None,
            out_of_memory: false,
            tells_late: false,
            heeds: Some(Duration::from_millis(100)),
            health: Vec::new(),
            uses: (0.0, 0),
        }
    }
}

#[derive(Clone, Debug)]
struct MockContainer {
    spec: ContainerSpec,
    labels: Labels,
    links: Vec<(String, String)>,
    started: Option<Instant>,
    /// Which start is under way.
    number: u32,
    inspection: Inspection,
}

#[derive(Default)]
struct Inside {
    containers: BTreeMap<String, MockContainer>,
    others: BTreeMap<(Kind, String), Labels>,
    listeners: Vec<UnboundedSender<Answer<EngineEvent>>>,
    down: bool,
    next_port: u16,
    /// Every call that changed something, in order.
    journal: Vec<String>,
}

/// The engine; clones are the same one.
#[derive(Clone)]
pub(super) struct MockEngine {
    scripts: Arc<BTreeMap<String, Script>>,
    inside: Arc<Mutex<Inside>>,
}

impl MockEngine {
    /// An engine that has these images and no others.
    pub(super) fn new<const N: usize>(scripts: [(&str, Script); N]) -> Self {
        let scripts = scripts.map(|(image, script)| (image.to_owned(), script)).into();
        Self { scripts: Arc::new(scripts), inside: Arc::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }

    fn reached(&self) -> Answer<MutexGuard<'_, Inside>> {
        let inside = self.inside();
        if inside.down { Err(EngineError::Unreachable("connection refused".to_owned())) } else { Ok(inside) }
    }

    /// The engine goes, and its containers end.
    pub(super) fn vanish(&self) {
        let mut inside = self.inside();
        inside.down = true;
        inside.listeners.clear();
        for container in inside.containers.values_mut() {
            if std::mem::take(&mut container.inspection.running) {
                container.inspection.exit_code = 137;
            }
        }
    }

    /// It is back.
    pub(super) fn come_back(&self) {
        self.inside().down = false;
    }

    /// Somebody kills every container of this name in its task.
    pub(super) fn kill(&self, name: &str) {
        let names: Vec<String> = (self.inside().containers.iter())
            .filter(|(_, container)| container.spec.name == name && container.inspection.running)
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.die(&name, None, 137, false);
        }
    }

    /// Names of what there is.
    pub(super) fn everything(&self) -> Vec<String> {
        let inside = self.inside();
        inside.containers.keys().cloned().chain(inside.others.keys().map(|(_, name)| name.clone())).collect()
    }

    /// Every call that changed something, with the run's id left out of the names.
    pub(super) fn journal(&self) -> Vec<String> {
        self.inside().journal.clone()
    }

    fn announce(&self, event: &EngineEvent) {
        self.inside().listeners.retain(|listener| listener.send(Ok(event.clone())).is_ok());
    }

    fn die(&self, name: &str, number: Option<u32>, code: i32, out_of_memory: bool) {
        let mut inside = self.inside();
        let Some(container) = inside.containers.get_mut(name) else { return };
        if !container.inspection.running || number.is_some_and(|number| number != container.number) {
            return;
        }
        container.inspection.running = false;
        container.inspection.exit_code = code;
        container.inspection.out_of_memory = out_of_memory;
        drop(inside);
        self.announce(&EngineEvent { name: name.to_owned(), what: Happening::Died });
    }

    fn script(&self, image: &str) -> Script {
        self.scripts.get(image).cloned().unwrap_or_default()
    }
}

/// `ecsim-<id>-3-app` without the id.
fn short(name: &str) -> &str {
    name.splitn(3, '-').nth(2).unwrap_or(name)
}

fn not_found(name: &str) -> EngineError {
    EngineError::Refused { status: 404, message: format!("No such container: {name}") }
}

impl ContainerEngine for MockEngine {
    async fn machine(&self) -> Answer<Machine> {
        self.reached().map(|_| Machine { version: "mock".to_owned(), cpus: 4, memory: 8 << 30 })
    }

    async fn has_image(&self, image: &str) -> Answer<bool> {
        self.reached().map(|_| self.scripts.contains_key(image))
    }

    async fn pull(&self, image: &str) -> Answer<()> {
        self.reached()?.journal.push(format!("pull {image}"));
        Err(EngineError::Refused { status: 404, message: format!("pull access denied for {image}") })
    }

    async fn create_network(&self, name: &str, labels: &Labels) -> Answer<()> {
        let mut inside = self.reached()?;
        inside.journal.push(format!("network {}", short(name)));
        inside.others.insert((Kind::Network, name.to_owned()), labels.clone());
        Ok(())
    }

    async fn create_volume(&self, name: &str, labels: &Labels) -> Answer<()> {
        let mut inside = self.reached()?;
        inside.journal.push(format!("volume {}", short(name)));
        inside.others.insert((Kind::Volume, name.to_owned()), labels.clone());
        Ok(())
    }

    async fn create(&self, new: &NewContainer<'_>) -> Answer<()> {
        sleep(Duration::from_millis(100)).await;
        if let Some(words) = self.script(&new.spec.image).create_refused {
            return Err(EngineError::Refused { status: 500, message: words });
        }
        let mut inside = self.reached()?;
        inside.journal.push(format!("create {}", short(new.name)));
        let container = MockContainer {
            spec: new.spec.clone(),
            labels: new.labels.clone(),
            links: new.links.clone(),
            started: None,
            number: 0,
            inspection: Inspection::default(),
        };
        assert!(inside.containers.insert(new.name.to_owned(), container).is_none(), "{} exists", new.name);
        Ok(())
    }

    async fn start(&self, name: &str) -> Answer<()> {
        let (script, number) = {
            let mut inside = self.reached()?;
            inside.journal.push(format!("start {}", short(name)));
            let running: Vec<String> = inside
                .containers
                .iter()
                .filter(|(_, one)| one.inspection.running)
                .map(|(name, _)| name.clone())
                .collect();
            inside.next_port += 1;
            let port = 40_000 + inside.next_port;
            let Some(container) = inside.containers.get_mut(name) else { return Err(not_found(name)) };
            let script = self.script(&container.spec.image);
            if let Some(words) = &script.start_refused {
                return Err(EngineError::Refused { status: 500, message: words.clone() });
            }
            for (other, _) in &container.links {
                assert!(running.contains(other), "{name} is linked to {other}, which does not run");
            }
            container.number += 1;
            container.started = Some(Instant::now());
            container.inspection = Inspection { running: true, ..Inspection::default() };
            container.inspection.ports = (container.spec.ports.iter())
                .map(|mapping| PublishedPort {
                    container_port: mapping.container_port,
                    host_port: mapping.host_port.filter(|port| *port > 0).unwrap_or(port),
                    protocol: mapping.protocol,
                })
                .collect();
            (script, container.number)
        };
        let (engine, name) = (self.clone(), name.to_owned());
        if let Some((lives, code)) = script.ends {
            let (engine, name) = (engine.clone(), name.clone());
            tokio::spawn(async move {
                sleep(lives).await;
                engine.die(&name, Some(number), code, script.out_of_memory && !script.tells_late);
                if script.tells_late {
                    sleep(Duration::from_millis(50)).await;
                    engine.announce(&EngineEvent { name, what: Happening::OutOfMemory });
                }
            });
        }
        for (after, healthy) in script.health {
            let (engine, name) = (engine.clone(), name.clone());
            tokio::spawn(async move {
                sleep(after).await;
                let is_up = |one: &MockContainer| one.inspection.running && one.number == number;
                let up = engine.inside().containers.get(&name).is_some_and(is_up);
                if up {
                    engine.announce(&EngineEvent { name, what: Happening::Health { healthy } });
                }
            });
        }
        Ok(())
    }

    async fn inspect(&self, name: &str) -> Answer<Inspection> {
        self.reached()?.containers.get(name).map(|one| one.inspection.clone()).ok_or_else(|| not_found(name))
    }

    async fn stop(&self, name: &str, patience: Duration) -> Answer<()> {
        let image = {
            let mut inside = self.reached()?;
            inside.journal.push(format!("stop {}", short(name)));
            let Some(container) = inside.containers.get(name) else { return Ok(()) };
            container.spec.image.clone()
        };
        if let Some(takes) = self.script(&image).heeds.filter(|takes| *takes <= patience) {
            sleep(takes).await;
            self.die(name, None, 143, false);
        } else {
            sleep(patience).await;
            self.die(name, None, 137, false);
        }
        Ok(())
    }

    async fn meter(&self, name: &str) -> Answer<Meter> {
        let inside = self.reached()?;
        let container = inside.containers.get(name).ok_or_else(|| not_found(name))?;
        let (cpus, memory) = self.script(&container.spec.image).uses;
        let ran = container.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        Ok(Meter { cpu_nanos: (ran * cpus * 1e9) as u64, memory })
    }

    fn logs(&self, name: &str) -> BoxStream<'static, Answer<Vec<u8>>> {
        stream::iter([Ok(format!("{} speaks\n", short(name)).into_bytes())]).boxed()
    }

    fn events(&self, _: (&str, &str)) -> BoxStream<'static, Answer<EngineEvent>> {
        let (sender, receiver) = unbounded_channel();
        let mut inside = self.inside();
        if !inside.down {
            inside.listeners.push(sender);
        }
        stream::unfold(receiver, async |mut receiver| receiver.recv().await.map(|event| (event, receiver))).boxed()
    }

    async fn list(&self, key: &str) -> Answer<Vec<Found>> {
        let inside = self.reached()?;
        let containers = inside.containers.iter().map(|(name, one)| (Kind::Container, name, &one.labels));
        let others = inside.others.iter().map(|((kind, name), labels)| (*kind, name, labels));
        let found = containers.chain(others).filter(|(_, _, labels)| labels.contains_key(key));
        Ok(found.map(|(kind, name, labels)| Found { kind, name: name.clone(), labels: labels.clone() }).collect())
    }

    async fn remove(&self, kind: Kind, name: &str) -> Answer<()> {
        if kind == Kind::Container {
            drop(self.reached()?);
            self.die(name, None, 137, false);
        }
        let mut inside = self.reached()?;
        let there = match kind {
            Kind::Container => inside.containers.remove(name).is_some(),
            other => inside.others.remove(&(other, name.to_owned())).is_some(),
        };
        if there {
            inside.journal.push(format!("remove {}", short(name)));
        }
        Ok(())
    }
}
