//! Custom schedulers: somebody else's placement, asked with the words of `StartTask` and `StopTask` (TASK-13).
//!
//! [`Scheduler`] is the seam. A library user implements it; a scenario names a program that speaks it as JSON lines, see
//! [`adapters::external_scheduler`](crate::adapters::external_scheduler). What ECS would refuse is refused here too: the
//! control plane checks every answer against the resources, ports and constraints of [`failure`](super::failure).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Decides which pending task runs where, in place of ECS.
///
/// It is asked when a task asks for a place, and while tasks wait, when room appears: a task has stopped, an instance has
/// registered. It is told what has changed since it was last asked, and keeps its own books. A scheduler whose answers
/// depend on nothing but the requests keeps runs deterministic.
pub trait Scheduler: Send {
    /// Answers one request. A pending task that no decision names goes on waiting and is sent again.
    ///
    /// # Errors
    /// [`SchedulerFailure`] when there is no usable answer. Nothing is done then, and the next request says everything
    /// again ([`SchedulingRequest::full`]).
    fn schedule(&mut self, request: &SchedulingRequest) -> Result<Vec<SchedulingDecision>, SchedulerFailure>;
}

/// Makes the scheduler of one replication; the number is the replication's.
pub type SchedulerFactory = dyn Fn(u64) -> Box<dyn Scheduler> + Send + Sync;

/// A custom scheduler and the clusters it takes over.
///
/// Its tasks of launch type EC2 and of Auto Scaling group providers are placed by it; Fargate and DAEMON services are not,
/// and services are not rebalanced over zones. A task waits in PROVISIONING until it has a place.
#[derive(Clone)]
pub struct CustomScheduler {
    /// What it is, for messages and comparison: the command.
    pub name: String,
    /// Names of clusters; empty for all.
    pub clusters: Vec<String>,
    /// Makes it anew for each replication and cluster.
    pub factory: Arc<SchedulerFactory>,
}

impl fmt::Debug for CustomScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomScheduler")
            .field("name", &self.name)
            .field("clusters", &self.clusters)
            .finish_non_exhaustive()
    }
}

/// By name: two makers cannot be told apart.
impl PartialEq for CustomScheduler {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.clusters == other.clusters
    }
}

/// What a scheduler is told: the pending tasks, and the instances that have changed since the last request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingRequest {
    /// Virtual time in seconds since `start`.
    pub time_s: f64,
    /// Name of the cluster.
    pub cluster: String,
    /// Whether `container_instances` is all of them: at first, and after a failure.
    pub full: bool,
    /// Instances that are new or changed, in the order of their launch.
    pub container_instances: Vec<InstanceView>,
    /// Ids of instances that are gone.
    pub deregistered: Vec<String>,
    /// All tasks that wait for a place, oldest first.
    pub pending: Vec<PendingTask>,
}

/// A container instance as a scheduler sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// Its id, as in every output.
    pub container_instance: String,
    /// Instance type.
    pub instance_type: String,
    /// Availability Zone.
    pub availability_zone: String,
    /// Its capacity provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<String>,
    /// ACTIVE takes tasks.
    pub status: &'static str,
    /// Whether its agent is connected; others take no tasks.
    pub agent_connected: bool,
    /// `name=value` of every attribute.
    pub attributes: Vec<String>,
    /// What it registered.
    pub registered_resources: ResourcesView,
    /// What is left.
    pub remaining_resources: ResourcesView,
    /// Tasks that hold resources there, oldest first.
    pub tasks: Vec<TaskView>,
}

/// Amounts of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourcesView {
    /// CPU units.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// GPUs.
    pub gpus: u32,
    /// Network interfaces for awsvpc tasks.
    pub enis: u32,
}

/// A task on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its id.
    pub task: String,
    /// Its task group, `service:web`.
    pub group: String,
    /// CPU units that it reserves.
    pub cpu: u64,
    /// MiB that it reserves.
    pub memory: u64,
}

/// A task that waits for a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingTask {
    /// Its id.
    pub task: String,
    /// Its task group, `family:job` or `service:web`.
    pub group: String,
    /// `family:revision`.
    pub task_definition: String,
    /// What it reserves.
    pub requires: ResourcesView,
    /// Static TCP host ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tcp_ports: Vec<u16>,
    /// Static UDP host ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub udp_ports: Vec<u16>,
    /// The provider whose instances it may use; any instance without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<String>,
    /// The zones it may use; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub availability_zones: Vec<String>,
    /// Placement constraints in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<String>,
    /// Placement strategy in words: what ECS would have gone by.
    pub placement_strategy: String,
    /// Seconds since it was created.
    pub waited_s: f64,
}

/// One decision of a scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum SchedulingDecision {
    /// The pending task runs on this instance.
    StartTask {
        /// Its id.
        task: String,
        /// Id of the instance.
        container_instance: String,
    },
    /// A task of the cluster is stopped, to make room for example.
    StopTask {
        /// Its id.
        task: String,
        /// For its `stoppedReason`.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The pending task is given up: RunTask has failed, or the service tries again as after any failed placement (SVC-12).
    Refuse {
        /// Its id.
        task: String,
        /// Why.
        reason: String,
    },
}

/// Why a scheduler gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchedulerFailure {
    /// It could not be started.
    #[error("cannot start: {0}")]
    NotStarted(String),
    /// It did not answer in time; it is stopped.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// It has ended.
    #[error("it has ended ({0})")]
    Ended(String),
    /// It answered something else.
    #[error("not an answer: {0}")]
    Unreadable(String),
    /// It has failed so often that it is asked no more.
    #[error("given up after {0} failures in a row")]
    GivenUp(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_read_as_they_are_documented() {
        let text = r#"[{"action":"StartTask","task":"a","containerInstance":"i-1"},
            {"action":"StopTask","task":"b"},{"action":"Refuse","task":"c","reason":"too big"}]"#;
        let decisions: Vec<SchedulingDecision> = serde_json::from_str(text).unwrap();
        assert_eq!(
            decisions,
            [
                SchedulingDecision::StartTask { task: "a".into(), container_instance: "i-1".into() },
                SchedulingDecision::StopTask { task: "b".into(), reason: None },
                SchedulingDecision::Refuse { task: "c".into(), reason: "too big".into() },
            ]
        );
        for wrong in [r#"{"action":"Start","task":"a"}"#, r#"{"action":"StartTask","task":"a"}"#] {
            assert!(serde_json::from_str::<SchedulingDecision>(wrong).is_err(), "{wrong}");
        }
    }
}
