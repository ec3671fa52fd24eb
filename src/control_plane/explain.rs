//! The reasons behind placements, waits and batches, put together only when somebody reads the decision log.

use serde_json::{Map, Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::record::{Decision, Resource};
use crate::control_plane::state::State;
use crate::ecs::cluster::Cluster;
use crate::ecs::deployment::{Deployment, RolloutState};
use crate::ecs::ids::{InstanceId, ProviderId, ServiceId, TaskKey};
use crate::ecs::service::SchedulingStrategy;
use crate::ecs::task::TaskOwner;
use crate::engine::time::SimTime;
use crate::placement::choice::{self, Choice};
use crate::placement::failure::{self, Refusal};

/// Beyond this many hosts a placement is logged with an excerpt of its candidates: not each is looked at.
const HOSTS_LOOKED_AT: usize = 500;

/// Hosts named one by one in a line of the log, the best or closest first.
const HOSTS_NAMED: usize = 10;

/// Kinds of waiting tasks named in a line of the log.
const KINDS_NAMED: usize = 8;

/// A deployment's counts before one of its batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) started: u32,
    pub(super) stopped: u32,
    pub(super) new: u32,
    pub(super) old: u32,
    pub(super) healthy: u32,
    pub(super) stopping: u32,
    /// Tasks of the new revision that were wanted and not started.
    pub(super) missing: u32,
}

impl ControlPlane<'_> {
    /// One line of the decision log per placement; the task is not bound yet.
    pub(super) fn explain_placement(&mut self, key: TaskKey, instance: InstanceId, now: SimTime) {
        let random_ties = self.estate.behaviour.place_tie_random;
        self.decide(now, |state| {
            let task = &state.tasks[key];
            let daemon =
                task.owner.is_some_and(|owner| state.service(owner.service).scheduling == SchedulingStrategy::Daemon);
            let mut inputs = Map::new();
            inputs.insert("group".to_owned(), json!(state.task_group_name(task.group)));
            let waited = now.saturating_since(task.times.created).as_secs_f64();
            inputs.insert("waited_s".to_owned(), json!(waited));
            let cluster = &state.clusters[task.cluster.index()].cluster;
            if !daemon {
                let request = state.placement_request(task.shape, task.profile, task.group, task.launch, random_ties);
                let choice = if cluster.len() <= HOSTS_LOOKED_AT {
                    choice::explain(cluster, &request)
                } else {
                    choice::excerpt(cluster, &request, instance)
                };
                describe_choice(&choice, instance, &mut inputs);
                if choice.sampled {
                    inputs.insert("sample_of".to_owned(), json!(cluster.len()));
                }
            }
            Decision {
                actor: "placement",
                subject: format!("{:032x}", task.id),
                action: "place",
                from: Value::Null,
                to: Value::from(instance.ec2_id().to_string()),
                reason: if daemon {
                    "a daemon on every matching host".to_owned()
                } else {
                    state.profiles[task.profile.index()].describe()
                },
                rule: if daemon { "SVC-2" } else { "PLACE-1" },
                inputs: Value::Object(inputs),
            }
        });
    }

    /// One line of the decision log for a task that has to wait.
    pub(super) fn explain_refusal(&mut self, key: TaskKey, now: SimTime) {
        let random_ties = self.estate.behaviour.place_tie_random;
        self.decide(now, |state| {
            let task = &state.tasks[key];
            let request = state.placement_request(task.shape, task.profile, task.group, task.launch, random_ties);
            let cluster = &state.clusters[task.cluster.index()].cluster;
            let refusal = failure::explain(cluster, &request);
            let needs = state.requirements(task.shape);
            Decision {
                actor: "placement",
                subject: format!("{:032x}", task.id),
                action: "wait",
                from: Value::Null,
                to: Value::from("PROVISIONING"),
                reason: in_words(&refusal),
                rule: "PRV-1",
                inputs: json!({
                    "group": state.task_group_name(task.group),
                    "cpu": needs.cpu.0,
                    "memory_mib": needs.memory.0,
                    "considered": refusal.reasons.len(),
                    "hosts": refusing_hosts(&refusal, cluster),
                }),
            }
        });
    }

    /// One line of the decision log per batch of a deployment under way, with what held it.
    pub(super) fn explain_batch(&mut self, id: ServiceId, batch: Batch, now: SimTime) {
        self.decide(now, |state| {
            let service = state.service(id);
            let primary = service.primary().filter(|primary| primary.rollout == RolloutState::InProgress)?;
            let limits = service.limits();
            let mut held = Vec::new();
            if batch.missing > 0 {
                held.push(format!("{} more may not start: at most {} at once", batch.missing, limits.upper));
            }
            let kept = batch.old.saturating_sub(batch.stopped);
            if kept > 0 {
                held.push(format!("{kept} old ones stay: at least {} healthy", limits.lower));
            }
            Some(Decision {
                actor: "service-scheduler",
                subject: state.resource_name(Resource::Service(id)),
                action: "batch",
                from: Value::Null,
                to: json!(primary.aws_id()),
                reason: if held.is_empty() { "nothing held it".to_owned() } else { held.join("; ") },
                rule: "DEP-3",
                inputs: json!({
                    "revision": state.definition_name(primary.definition),
                    "started": batch.started,
                    "stopped": batch.stopped,
                    "new": batch.new,
                    "old": batch.old,
                    "healthy": batch.healthy,
                    "stopping": batch.stopping,
                    "desired": service.desired,
                    "lower": limits.lower,
                    "upper": limits.upper,
                }),
            })
        });
    }

    /// DEP-12, DEP-13: the circuit breaker's count has changed.
    pub(super) fn explain_breaker(
        &mut self,
        owner: TaskOwner,
        (before, after): (u32, u32),
        threshold: u32,
        now: SimTime,
    ) {
        self.decide(now, |state| {
            let service = state.service(owner.service);
            let counted = service.deployments.iter().find(|deployment| deployment.number == owner.deployment)?;
            Some(Decision {
                actor: "circuit-breaker",
                subject: state.resource_name(Resource::Service(owner.service)),
                action: "count",
                from: json!(before),
                to: json!(after),
                reason: if after > before {
                    format!("failure {after} of {threshold}")
                } else {
                    format!("a healthy task ends a row of {before}")
                },
                rule: if after > before { "DEP-12" } else { "DEP-13" },
                inputs: json!({ "deployment": Deployment::format_id(counted.id), "threshold": threshold }),
            })
        });
    }
}

/// What waits for a provider's capacity: kinds of tasks with their number, the most frequent first.
pub(super) fn waiting_kinds(state: &State, provider: ProviderId) -> Vec<Value> {
    let mut kinds: std::collections::BTreeMap<(String, &str), u32> = std::collections::BTreeMap::new();
    for key in state.providers[provider.index()].waiting.values() {
        let task = &state.tasks[*key];
        *kinds.entry((state.definition_name(task.definition), state.task_group_name(task.group))).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
    let named = kinds.into_iter().take(KINDS_NAMED);
    named
        .map(|((definition, group), tasks)| json!({ "definition": definition, "group": group, "tasks": tasks }))
        .collect()
}

/// Who was considered, what each failed on, and what each strategy made of the rest.
fn describe_choice(choice: &Choice, winner: InstanceId, inputs: &mut Map<String, Value>) {
    let refused: Map<String, Value> =
        choice.refused.iter().map(|(reason, count)| (reason.to_string(), json!(count))).collect();
    let steps: Vec<Value> = choice
        .steps
        .iter()
        .map(|step| json!({ "strategy": step.strategy, "best": step.best, "left": step.left }))
        .collect();
    let place = choice.ranking.iter().position(|(id, _)| *id == winner).map_or(0, |place| place + 1);
    let hosts: Vec<Value> = choice
        .ranking
        .iter()
        .take(HOSTS_NAMED)
        .map(|(id, measures)| json!([id.ec2_id().to_string(), measures]))
        .collect();
    inputs.extend([
        ("considered".to_owned(), json!(choice.considered)),
        ("refused".to_owned(), Value::Object(refused)),
        ("fit".to_owned(), json!(choice.ranking.len())),
        ("strategies".to_owned(), Value::Array(steps)),
        ("rank".to_owned(), json!(place)),
        ("tie".to_owned(), json!(choice.tie.as_str())),
        ("hosts".to_owned(), Value::Array(hosts)),
    ]);
}

/// Hosts that refused a task with the reason and what they have left, the closest first.
fn refusing_hosts(refusal: &Refusal, cluster: &Cluster) -> Vec<Value> {
    let closest = refusal.closest.map(|(id, _)| id);
    let first = refusal.reasons.iter().filter(|(id, _)| Some(*id) == closest);
    let others = refusal.reasons.iter().filter(|(id, _)| Some(*id) != closest);
    let told = first.chain(others).take(HOSTS_NAMED).filter_map(|(id, reason)| {
        let host = cluster.instance(*id)?;
        Some(json!({
            "instance": id.ec2_id().to_string(),
            "reason": reason.to_string(),
            "cpu": host.remaining.cpu.0,
            "memory_mib": host.remaining.memory.0,
        }))
    });
    told.collect()
}

/// A refusal in words: how many instances said what, and the closest one.
pub(super) fn in_words(refusal: &Refusal) -> String {
    if refusal.reasons.is_empty() {
        return "no container instance to consider".to_owned();
    }
    let counts: Vec<String> = refusal.counts().iter().map(|(reason, count)| format!("{reason} on {count}")).collect();
    match refusal.closest {
        Some((instance, reason)) => format!("{}; closest {} ({reason})", counts.join(", "), instance.ec2_id()),
        None => counts.join(", "),
    }
}
