//! How the containers of a task behave (design, section 3.1).

use std::collections::BTreeMap;

use crate::ecs::image::ImageSettings;
use crate::engine::time::SimDuration;
use crate::workload::distribution::Distribution;

/// The behaviour of one container of every task of a definition.
///
/// What the scenario says of a whole task is the behaviour of its first essential container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerBehaviour {
    /// Container start until its probes pass and it takes requests, in seconds; RUNNING does not wait for it. Zero when
    /// absent.
    pub startup: Option<Distribution>,
    /// How long it runs, in seconds, drawn anew at each start; for ever when absent. With less CPU than it
    /// asks for (`cpu`) it takes longer (TD-9).
    pub runs_for: Option<Distribution>,
    /// SIGTERM to exit, in seconds, cut by `stopTimeout`; `delays.taskStop` when absent.
    pub shutdown: Option<Distribution>,
    /// Spans since its start in which no probe is answered.
    pub unresponsive: Vec<(SimDuration, SimDuration)>,
    /// Exit code when `runs_for` is over.
    pub exit_code: i32,
    /// Start to a crash, in seconds, drawn anew at each start; it never crashes when absent.
    pub crashes: Option<Distribution>,
    /// CPU that it would use by itself, as a fraction of the reservation; drawn once a task. Above 1 it uses idle CPU of its
    /// host, shared by weight (TD-6), unless its size is a hard cap (TD-9). Nothing when absent.
    pub cpu: Option<Distribution>,
    /// Memory used, in MiB, page cache left out (ECSM-4); drawn once a task. The reservation's half when absent. A task that draws more than its hard
    /// limit is killed (TD-9).
    pub memory: Option<Distribution>,
    /// Bytes a second while it runs: received, sent, read from storage, written to it (CIM-1).
    pub bytes_per_second: [u64; 4],
    /// Where its secrets are kept that do not exist (`valueFrom`): its tasks fail before they pull an image (TD-30).
    pub missing_secrets: Vec<String>,
    /// Roles of its definition that ECS cannot assume, likewise (TD-30).
    pub missing_roles: Vec<String>,
    /// HTTP status that it answers probes of a path with; 404 for others when any is given, else 200 everywhere (ELB-3).
    pub probe_statuses: BTreeMap<String, u16>,
    /// What its image is made of.
    pub image: ImageSettings,
}

impl ContainerBehaviour {
    /// Exit code of a crash: 128 + SIGSEGV.
    pub const CRASH: i32 = 139;

    /// The HTTP status that a probe of `path` gets, once the application answers.
    pub fn probe_status(&self, path: &str) -> u16 {
        let unknown = if self.probe_statuses.is_empty() { 200 } else { 404 };
        self.probe_statuses.get(path).copied().unwrap_or(unknown)
    }
}
