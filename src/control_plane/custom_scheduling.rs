//! Custom schedulers at work: pending tasks are put to them, their decisions checked and carried out (TASK-13, TASK-14).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Record, Resource};
use crate::control_plane::state::State;
use crate::control_plane::tasks::NewTask;
use crate::ecs::container_instance::{ContainerInstance, Resources};
use crate::ecs::ids::{ClusterId, InstanceId, TaskKey};
use crate::ecs::task::{StopCode, Task, TaskStatus};
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::placement::constraint::Constraint;
use crate::placement::failure;
use crate::placement::scheduler::{
    InstanceView, PendingTask, ResourcesView, Scheduler, SchedulerFailure, SchedulingDecision, SchedulingRequest,
    TaskView,
};

/// How long after a failure the same tasks are put to a scheduler again, when nothing happens before.
const RETRY_AFTER_FAILURE: SimDuration = SimDuration::from_secs(10);

/// A custom scheduler and what waits for it in one cluster.
pub(super) struct CustomQueue {
    scheduler: Box<dyn Scheduler>,
    /// Tasks without a place, by creation order.
    pub(super) pending: BTreeMap<u64, TaskKey>,
    /// Instances that have changed since it was last asked.
    changed: BTreeSet<InstanceId>,
    /// Whether the next request says everything.
    full: bool,
    /// Whether there is anything that it has not been told.
    news: bool,
    /// Whether it is to be asked at this instant already.
    due: bool,
    /// Whether it has failed for good.
    given_up: bool,
}

impl ControlPlane<'_> {
    /// A cluster whose tasks a custom scheduler places gets one.
    pub(super) fn start_custom_scheduler(&mut self, cluster: ClusterId) {
        let Some(custom) = &self.estate.scheduler else { return };
        let name = self.state.cluster_name(cluster);
        if !custom.clusters.is_empty() && !custom.clusters.iter().any(|of| of == name) {
            return;
        }
        let queue = CustomQueue {
            scheduler: (custom.factory)(self.replication),
            pending: BTreeMap::new(),
            changed: BTreeSet::new(),
            full: true,
            news: false,
            due: false,
            given_up: false,
        };
        self.custom.insert(cluster, queue);
    }

    /// Whether a custom scheduler places the tasks of a cluster's instances.
    pub(super) fn has_custom_scheduler(&self, cluster: ClusterId) -> bool {
        self.custom.contains_key(&cluster)
    }

    /// A new task waits for the decision of the cluster's scheduler; with managed scaling also for its provider's
    /// capacity, so that hosts come (PRV-1).
    pub(super) fn wait_for_scheduler(&mut self, new: NewTask, schedule: &mut Schedule<Event>) -> TaskKey {
        let cluster = new.cluster;
        let provider = self.waiting_provider(new.launch);
        let key = if let Some(provider) = provider {
            self.wait_for_capacity(new, provider, schedule)
        } else {
            self.state.clusters[cluster.index()].waiting += 1;
            self.create_task(new, TaskStatus::Provisioning, schedule.now())
        };
        let number = self.state.tasks[key].number;
        if let Some(queue) = self.custom.get_mut(&cluster) {
            queue.pending.insert(number, key);
            queue.news = true;
        }
        self.ask_scheduler(cluster, schedule);
        key
    }

    /// An instance has changed: its cluster's scheduler is told with the next request.
    pub(super) fn note_for_scheduler(&mut self, cluster: ClusterId, instance: InstanceId) {
        if let Some(queue) = self.custom.get_mut(&cluster) {
            queue.changed.insert(instance);
            queue.news = true;
        }
    }

    /// Has the scheduler asked at this instant, once, if anything waits for it.
    pub(super) fn ask_scheduler(&mut self, cluster: ClusterId, schedule: &mut Schedule<Event>) {
        if let Some(queue) = self.custom.get_mut(&cluster)
            && queue.news
            && !queue.due
            && !queue.given_up
            && !queue.pending.is_empty()
        {
            queue.due = true;
            schedule.at(schedule.now(), Event::CustomScheduling(cluster));
        }
    }

    /// Asks the scheduler and does what it says. O(pending tasks + changed instances), and what the scheduler takes.
    pub(super) fn on_custom_scheduling(&mut self, cluster: ClusterId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(queue) = self.custom.get_mut(&cluster) else { return };
        queue.due = false;
        queue.news = false;
        if queue.pending.is_empty() || queue.given_up {
            return;
        }
        let request = request(&self.state, cluster, queue, now);
        let answer = queue.scheduler.schedule(&request);
        queue.full = answer.is_err();
        match answer {
            Ok(decisions) => {
                queue.changed.clear();
                let ids = queue.pending.values().map(|key| (self.state.tasks[*key].id, *key)).collect();
                for decision in &decisions {
                    if let Err(reason) = self.apply_decision(cluster, &ids, decision, schedule) {
                        self.record_scheduler_fault(cluster, "reject", &reason, &json!(format!("{decision:?}")), now);
                    }
                }
            }
            Err(failure) => {
                queue.given_up = matches!(failure, SchedulerFailure::GivenUp(_));
                if !queue.given_up {
                    queue.due = true;
                    schedule.after(RETRY_AFTER_FAILURE, Event::CustomScheduling(cluster));
                }
                self.record_scheduler_fault(cluster, "fail", &failure.to_string(), &Value::Null, now);
            }
        }
    }

    /// Carries one decision out, or says why ECS would not.
    fn apply_decision(
        &mut self,
        cluster: ClusterId,
        asked: &BTreeMap<u128, TaskKey>,
        decision: &SchedulingDecision,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), String> {
        match decision {
            SchedulingDecision::StartTask { task, container_instance } => {
                let key = self.pending_task(asked, task)?;
                let instance = self.willing_instance(cluster, key, container_instance)?;
                self.explain_custom(
                    key,
                    "place",
                    instance.ec2_id().to_string(),
                    "as the scheduler says",
                    schedule.now(),
                );
                self.bind(key, instance, schedule);
                if let Some(owner) = self.state.tasks[key].owner {
                    self.state.services[owner.service.index()].placement_backoff.clear();
                }
            }
            SchedulingDecision::StopTask { task, reason } => {
                let key = u128::from_str_radix(task, 16).ok().and_then(|id| {
                    let mut tasks = self.state.tasks.iter();
                    tasks.find(|(_, task)| task.id == id && task.cluster == cluster && task.desired_running())
                });
                let Some((key, _)) = key else { return Err(format!("task {task} is not there to be stopped")) };
                let reason = reason.as_deref().unwrap_or("Task stopped by a custom scheduler");
                self.stop_task(key, StopCode::UserInitiated, reason, schedule);
            }
            SchedulingDecision::Refuse { task, reason } => {
                let key = self.pending_task(asked, task)?;
                self.explain_custom(key, "refuse", "STOPPED".to_owned(), reason, schedule.now());
                let code = if let Some(owner) = self.state.tasks[key].owner {
                    let text = format!("was unable to place a task. Reason: {reason}.");
                    self.report_unplaced(owner.service, &text, reason, "SVC-12", schedule);
                    StopCode::ServiceSchedulerInitiated
                } else {
                    let record = Record::TaskFailures { count: 1, cluster };
                    self.observer.observe(schedule.now(), &record, &self.state);
                    StopCode::TaskFailedToStart
                };
                self.stop_task(key, code, &format!("{}: {reason}", code.as_str()), schedule);
            }
        }
        Ok(())
    }

    /// The task of this id among those that were asked about, if nothing has been decided of it since.
    fn pending_task(&self, asked: &BTreeMap<u128, TaskKey>, id: &str) -> Result<TaskKey, String> {
        let key = u128::from_str_radix(id, 16).ok().and_then(|id| asked.get(&id)).copied();
        let waits = |key: &TaskKey| self.state.tasks.get(*key).is_some_and(Task::waits_for_capacity);
        key.filter(waits).ok_or_else(|| format!("task {id} is not pending"))
    }

    /// The instance of this id, if it would take the task: the tests of StartTask, and those that ECS makes before it
    /// considers an instance at all.
    fn willing_instance(&self, cluster: ClusterId, key: TaskKey, id: &str) -> Result<InstanceId, String> {
        let cluster = &self.state.clusters[cluster.index()].cluster;
        let host = self.find_instance(id).and_then(|instance| cluster.instance(instance));
        let host = host.ok_or_else(|| format!("{id} is no container instance of the cluster"))?;
        let task = &self.state.tasks[key];
        let request = self.placement_request(task.shape, task.profile, task.group, task.launch);
        if !request.considers(host) {
            return Err(format!("{id} is {} or of another capacity provider", host.status));
        }
        match failure::refusal_of(cluster, &request, host) {
            None => Ok(host.id),
            Some(reason) => Err(format!("{id} does not take the task: {reason}")),
        }
    }

    fn explain_custom(&mut self, key: TaskKey, action: &'static str, to: String, reason: &str, now: SimTime) {
        self.decide(now, |state| {
            let task = &state.tasks[key];
            Decision {
                actor: "custom-scheduler",
                subject: format!("{:032x}", task.id),
                action,
                from: Value::Null,
                to: Value::from(to),
                reason: reason.to_owned(),
                rule: "TASK-13",
                inputs: json!({
                    "group": state.task_group_name(task.group),
                    "waited_s": now.saturating_since(task.times.created).as_secs_f64(),
                }),
            }
        });
    }

    /// A decision that cannot be carried out, or no decision at all: told, and survived.
    fn record_scheduler_fault(
        &mut self,
        cluster: ClusterId,
        action: &'static str,
        reason: &str,
        decision: &Value,
        now: SimTime,
    ) {
        self.scheduler_failures += 1;
        self.first_scheduler_failure.get_or_insert_with(|| reason.to_owned());
        self.decide(now, |state| Decision {
            actor: "custom-scheduler",
            subject: state.resource_name(Resource::Cluster(cluster)),
            action,
            from: Value::Null,
            to: Value::Null,
            reason: reason.to_owned(),
            rule: "TASK-13",
            inputs: json!({ "decision": decision }),
        });
    }
}

fn request(state: &State, cluster: ClusterId, queue: &CustomQueue, now: SimTime) -> SchedulingRequest {
    let entry = &state.clusters[cluster.index()];
    let (instances, deregistered) = if queue.full {
        (entry.cluster.instances().map(|host| instance_view(state, host)).collect(), Vec::new())
    } else {
        let of = |id: &InstanceId| entry.cluster.instance(*id);
        let gone = queue.changed.iter().filter(|id| of(id).is_none());
        let changed = queue.changed.iter().filter_map(of);
        (changed.map(|host| instance_view(state, host)).collect(), gone.map(|id| id.ec2_id().to_string()).collect())
    };
    SchedulingRequest {
        time_s: now.as_secs_f64(),
        cluster: entry.name.to_string(),
        full: queue.full,
        container_instances: instances,
        deregistered,
        pending: queue.pending.values().map(|key| pending_view(state, *key, now)).collect(),
    }
}

fn instance_view(state: &State, host: &ContainerInstance) -> InstanceView {
    let view = |of: Resources| ResourcesView { cpu: of.cpu.0, memory: of.memory.0, gpus: of.gpus, enis: of.eni_slots };
    let bound = host.tasks.iter().filter(|(_, bound)| bound.holds_resources);
    let mut tasks: Vec<(u64, TaskView)> = bound
        .filter_map(|(key, bound)| {
            let task = state.tasks.get(*key)?;
            let view = TaskView {
                task: format!("{:032x}", task.id),
                group: state.task_group_name(bound.group).to_owned(),
                cpu: bound.requirements.cpu.0,
                memory: bound.requirements.memory.0,
            };
            Some((task.number, view))
        })
        .collect();
    tasks.sort_unstable_by_key(|(number, _)| *number);
    InstanceView {
        container_instance: host.id.ec2_id().to_string(),
        instance_type: host.instance_type.to_string(),
        availability_zone: host.zone_name.to_string(),
        capacity_provider: host.provider.map(|id| state.providers[id.index()].definition.name.clone()),
        status: host.status.as_str(),
        agent_connected: host.agent_connected,
        attributes: host.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        registered_resources: view(host.registered),
        remaining_resources: view(host.remaining),
        tasks: tasks.into_iter().map(|(_, view)| view).collect(),
    }
}

fn pending_view(state: &State, key: TaskKey, now: SimTime) -> PendingTask {
    let task = &state.tasks[key];
    let needs = state.requirements(task.shape);
    let profile = &state.profiles[task.profile.index()];
    PendingTask {
        task: format!("{:032x}", task.id),
        group: state.task_group_name(task.group).to_owned(),
        task_definition: state.definition_name(task.definition),
        requires: ResourcesView {
            cpu: needs.cpu.0,
            memory: needs.memory.0,
            gpus: needs.gpus,
            enis: u32::from(needs.eni),
        },
        tcp_ports: needs.tcp_ports.clone(),
        udp_ports: needs.udp_ports.clone(),
        capacity_provider: state.launch_provider_name(task.launch).map(str::to_owned),
        availability_zones: profile.zones.iter().map(|zone| state.zone_name(*zone).to_owned()).collect(),
        placement_constraints: profile.constraints.iter().map(Constraint::describe).collect(),
        placement_strategy: profile.describe(),
        waited_s: now.saturating_since(task.times.created).as_secs_f64(),
    }
}
