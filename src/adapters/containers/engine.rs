//! What a run needs of a container engine, and nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::stream::BoxStream;

use crate::control_plane::execution::{ContainerSpec, PublishedPort};

/// Labels of whatever a run makes.
pub type Labels = BTreeMap<String, String>;

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// It answers that it will not, in its own words.
    #[error("{message}")]
    Refused {
        /// HTTP status of the answer; 0 when the refusal came in a stream.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl EngineError {
    /// Whether there is no such thing.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the engine does not answer at all.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

/// The machine that an engine runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Version of the engine.
    pub version: String,
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
}

/// What a container is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Whether it runs, paused or not.
    pub running: bool,
    /// Its exit code, of one that has ended.
    pub exit_code: i32,
    /// Whether the kernel has killed it over its memory.
    pub out_of_memory: bool,
    /// What its health check says, once it has decided.
    pub healthy: Option<bool>,
    /// Ports of this machine that lead to it.
    pub ports: Vec<PublishedPort>,
}

/// What a container has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// CPU time since its start, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory now, in bytes, page cache left out (ECSM-4).
    pub memory: u64,
}

/// Something that happened to a container of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// Name of the container.
    pub name: String,
    /// What.
    pub what: Happening,
}

/// What happens to containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It has ended.
    Died,
    /// The kernel has killed something in it over its memory; that may come after its end.
    OutOfMemory,
    /// Its health check has passed, or failed often enough.
    Health {
        /// Which of the two.
        healthy: bool,
    },
}

/// What kinds of things a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A container.
    Container,
    /// A network: it goes after its containers.
    Network,
    /// A volume, likewise.
    Volume,
}

/// Something with labels of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// The result of asking an engine.
pub type Answer<T> = Result<T, EngineError>;

/// A container engine: Docker, or one that tests make up. Containers, networks and volumes go by their names.
pub trait ContainerEngine: Send + Sync + 'static {
    /// The machine, and whether the engine is there at all.
    fn machine(&self) -> impl Future<Output = Answer<Machine>> + Send;

    /// Whether an image is on this machine.
    fn has_image(&self, image: &str) -> impl Future<Output = Answer<bool>> + Send;

    /// Gets an image from its registry.
    fn pull(&self, image: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Creates a network of the bridge kind.
    fn create_network(&self, name: &str, labels: &Labels) -> impl Future<Output = Answer<()>> + Send;

    /// Creates an empty volume.
    fn create_volume(&self, name: &str, labels: &Labels) -> impl Future<Output = Answer<()>> + Send;

    /// Creates a container.
    fn create(&self, new: &NewContainer<'_>) -> impl Future<Output = Answer<()>> + Send;

    /// Starts a container, for the first time or again.
    fn start(&self, name: &str) -> impl Future<Output = Answer<()>> + Send;

    /// What a container is at.
    fn inspect(&self, name: &str) -> impl Future<Output = Answer<Inspection>> + Send;

    /// Sends the stop signal, and SIGKILL if it still runs after `patience`; returns when it has ended.
    fn stop(&self, name: &str, patience: Duration) -> impl Future<Output = Answer<()>> + Send;

    /// What a container has used so far.
    fn meter(&self, name: &str) -> impl Future<Output = Answer<Meter>> + Send;

    /// What a container writes, from its beginning until it ends.
    fn logs(&self, name: &str) -> BoxStream<'static, Answer<Vec<u8>>>;

    /// What happens to containers with this label from now on; the stream ends with the engine.
    fn events(&self, label: (&str, &str)) -> BoxStream<'static, Answer<EngineEvent>>;

    /// Whatever has a label of this key.
    fn list(&self, key: &str) -> impl Future<Output = Answer<Vec<Found>>> + Send;

    /// Removes something, a running container too; what is not there is no error.
    fn remove(&self, kind: Kind, name: &str) -> impl Future<Output = Answer<()>> + Send;
}

/// A container to be created.
#[derive(Clone, Debug)]
pub struct NewContainer<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is.
    pub spec: &'a ContainerSpec,
    /// Its labels.
    pub labels: &'a Labels,
    /// The network of its task, which it is known in by its own name.
    pub network: Option<&'a str>,
    /// Its links: name of the other container with the engine, and alias.
    pub links: Vec<(String, String)>,
    /// Its mounts: name of the volume or directory of the host, path in the container, whether it is read only.
    pub mounts: Vec<(String, String, bool)>,
}
