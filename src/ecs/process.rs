//! What runs in a container and what of the machine it sees: opaque to the model, used when containers are real.

/// The part of a container definition that only a real container has a use for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// `behaviour.realImage`: what is run in place of the definition's image.
    pub real_image: Option<String>,
    /// `entryPoint`; the image's when empty.
    pub entry_point: Vec<String>,
    /// `command`; the image's when empty.
    pub command: Vec<String>,
    /// `workingDirectory`.
    pub working_directory: Option<String>,
    /// `user`.
    pub user: Option<String>,
    /// `readonlyRootFilesystem`.
    pub read_only_root: bool,
    /// `linuxParameters.initProcessEnabled`.
    pub init: bool,
    /// `privileged`.
    pub privileged: bool,
    /// `ulimits`.
    pub ulimits: Vec<Ulimit>,
    /// `links`.
    pub links: Vec<Link>,
    /// `mountPoints`, each with its volume.
    pub mounts: Vec<Mount>,
    /// `healthCheck.command`, with its first word `CMD` or `CMD-SHELL`.
    pub health_command: Vec<String>,
}

/// One of `ulimits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// For example `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// One of `links` (TD-16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the other container of the task.
    pub container: String,
    /// The name it is known by.
    pub alias: String,
}

impl Link {
    /// Reads `name:alias`, or `name` alone.
    pub fn parse(text: &str) -> Self {
        let (container, alias) = text.split_once(':').unwrap_or((text, text));
        Self { container: container.to_owned(), alias: alias.to_owned() }
    }
}

/// One of `mountPoints`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where in the container.
    pub path: String,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// Where the files of a mount are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A volume of this name that lives as long as its task (VOL-1).
    Task(String),
    /// A directory of the host.
    Host(String),
}
