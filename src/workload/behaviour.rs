//! How the containers of a task behave (design, section 3.1).

use crate::engine::time::SimDuration;
use crate::workload::distribution::Distribution;

/// The behaviour of every task of a definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskBehaviour {
    /// Container start until its probes pass, in seconds; RUNNING does not wait for it. Zero when absent.
    pub startup: Option<Distribution>,
    /// How long the essential container runs, in seconds, drawn anew at each start; for ever when absent.
    pub runs_for: Option<Distribution>,
    /// SIGTERM to exit, in seconds, cut by `stopTimeout`; `delays.taskStop` when absent.
    pub shutdown: Option<Distribution>,
    /// Spans since container start in which no probe is answered.
    pub unresponsive: Vec<(SimDuration, SimDuration)>,
    /// Exit code of the essential container when `runs_for` is over.
    pub exit_code: i32,
    /// CPU used, as a fraction of the reservation; drawn once a task. Nothing when absent and no workload drives it.
    pub cpu: Option<Distribution>,
    /// Memory used, in MiB; drawn once a task. The reservation's half when absent.
    pub memory: Option<Distribution>,
    /// Compressed size of the image.
    pub image_mib: Option<f64>,
}
