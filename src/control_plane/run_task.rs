//! Standalone tasks: RunTask, StartTask, StopTask, and the queue of tasks that wait for capacity (TASK-10…14, PRV-*).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::arn;
use crate::control_plane::api::{RegisterTaskDefinition, RunTask};
use crate::control_plane::event::Event;
use crate::control_plane::explain;
use crate::control_plane::record::{Record, Resource};
use crate::control_plane::state::PlacementProfile;
use crate::control_plane::tasks::{LaunchRefusal, Launched, NO_FARGATE, NewTask, TASK_QUOTA, VCPU_QUOTA};
use crate::control_plane::{ControlPlane, RefusedCall};
use crate::ecs::capacity_provider::{
    self, LaunchChoice, Lookup, PlatformVersion, Provider, StrategyItem, check_spot_platform,
};
use crate::ecs::ids::{
    ClusterId, InstanceId, ProfileId, ProviderId, ShapeId, TaskDefinitionId, TaskGroupId, TaskKey, ZoneId,
};
use crate::ecs::quota::Quotas;
use crate::ecs::service::{ResolvedItem, ResolvedLaunch, TaskExtras};
use crate::ecs::task::{LaunchTarget, StopCode};
use crate::ecs::task_definition::{DefinitionStatus, NetworkMode, Requirements, TaskOverrides};
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::placement::constraint::Constraint;
use crate::placement::failure::{self, Refusal};
use crate::placement::strategy::PlacementStrategy;
use crate::placement::{Placement, PlacementRequest};
use crate::refused::Refused;

/// Entries of `failures[]` that a line of the decision log has at most.
const FAILURES_LISTED: usize = 100;

/// A RunTask call with every name looked up.
#[derive(Clone, Debug)]
pub(super) struct ResolvedRunTask {
    pub(super) cluster: ClusterId,
    pub(super) definition: TaskDefinitionId,
    pub(super) launch: ResolvedLaunch,
    pub(super) group: TaskGroupId,
    pub(super) profile: ProfileId,
    pub(super) started_by: Option<Box<str>>,
    pub(super) count: u32,
}

/// `failures[]` of a RunTask call: how many, and the first.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    first: Option<LaunchRefusal>,
}

impl ControlPlane<'_> {
    /// Looks up the names of a RunTask call; the refusals are AWS's (TASK-10, TASK-19, TD-3, CP-3).
    pub(super) fn resolve_run_task(&mut self, call: &RunTask) -> Result<ResolvedRunTask, Refused> {
        RunTask::check_count(i64::from(call.count))?;
        let cluster = self.find_cluster(&call.cluster)?;
        let definition = self.find_definition(&call.task_definition)?;
        let launch = self.resolve_launch(cluster, &call.launch)?;
        self.check_spot_platform(definition, &launch, call.platform_version)?;
        self.check_network(definition, call.has_network, "NET-4")?;
        let zones = self.find_zones(&call.availability_zones)?;
        let family = self.state.definitions[definition.index()].definition.family.clone();
        let group = self.task_group(&call.group.clone().unwrap_or_else(|| format!("family:{family}")));
        let profile = self.intern_profile(
            definition,
            &call.placement_constraints,
            &zones,
            PlacementStrategy::of_run_task(&call.placement_strategy),
            TaskExtras { public_ip: call.public_ip, platform: call.platform_version, volume: call.volume },
        );
        let started_by = call.started_by.as_deref().map(Into::into);
        Ok(ResolvedRunTask { cluster, definition, launch, group, profile, started_by, count: call.count })
    }

    /// A RunTask call; one with the token of an earlier call asks for nothing new (TASK-12).
    pub(super) fn run_task_call(&mut self, call: &RunTask, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let resolved = self.resolve_run_task(call)?;
        let Some(token) = &call.client_token else {
            return self.run_task(&resolved, &call.overrides, schedule).map(|_| ());
        };
        let place = (resolved.cluster, token.clone());
        if let Some((earlier, tasks)) = self.client_tokens.get(&place) {
            if earlier == call {
                return Ok(());
            }
            let arns: Vec<String> = tasks.iter().map(|id| self.state.task_arn(resolved.cluster, *id)).collect();
            let message = format!("The client token was used for another request, which started {}.", arns.join(", "));
            return Err(Refused::new("ConflictException", "TASK-12", message));
        }
        let first = self.tasks_created;
        self.run_task(&resolved, &call.overrides, schedule)?;
        let mut tasks: Vec<(u64, u128)> =
            self.state.tasks.values().filter(|task| task.number >= first).map(|task| (task.number, task.id)).collect();
        tasks.sort_unstable();
        self.client_tokens.insert(place, (call.clone(), tasks.into_iter().map(|(_, id)| id).collect()));
        Ok(())
    }

    /// RunTask: tasks are placed one after another, each sees the one before (PLACE-13); base and weights count within
    /// the call (CP-7). What cannot be placed fails or waits, as the provider says (spec, section 2.3); how many failed is
    /// returned.
    pub(super) fn run_task(
        &mut self,
        call: &ResolvedRunTask,
        overrides: &TaskOverrides,
        schedule: &mut Schedule<Event>,
    ) -> Result<u32, Refused> {
        let first = match &call.launch {
            ResolvedLaunch::Type(target) => Some(*target),
            ResolvedLaunch::Strategy(items) => items.first().map(|item| LaunchTarget::Provider(item.provider)),
        };
        // FG-7: so many calls a second, and so many launches.
        let on_fargate = first.is_some_and(LaunchTarget::is_fargate);
        let called = !on_fargate || self.fargate_calls.take(1, schedule.now()) == 1;
        if !called || !first.is_none_or(|first| self.take_fargate_tokens(first, call.count, schedule.now())) {
            return Err(Refused::new("ThrottlingException", "FG-7", "Rate exceeded"));
        }
        let shape = self.shape_of(call.definition, overrides);
        let mut failures = Failures::default();
        let mut counts = match &call.launch {
            ResolvedLaunch::Type(_) => Vec::new(),
            ResolvedLaunch::Strategy(items) => vec![0; items.len()],
        };
        for _ in 0..call.count {
            let launch = match &call.launch {
                ResolvedLaunch::Type(target) => *target,
                ResolvedLaunch::Strategy(items) => {
                    let Some(chosen) =
                        capacity_provider::choose(items, &counts, self.estate.behaviour.zero_weight_base)
                    else {
                        failures.count += 1;
                        continue;
                    };
                    counts[chosen] += 1;
                    LaunchTarget::Provider(items[chosen].provider)
                }
            };
            let new = NewTask {
                cluster: call.cluster,
                definition: call.definition,
                shape,
                group: call.group,
                profile: call.profile,
                launch,
                owner: None,
                started_by: call.started_by.clone(),
                runs_for: overrides.runs_for,
            };
            match self.launch_task(new, schedule) {
                Launched::Created(_) => {}
                Launched::Refused(refusal) => {
                    failures.count += 1;
                    failures.first.get_or_insert(refusal);
                }
            }
        }
        if failures.count > 0 {
            self.record_failures(call, shape, &failures, schedule.now());
        }
        Ok(failures.count)
    }

    /// NET-4, SVC-4: tasks with an ENI of their own need subnets.
    pub(super) fn check_network(
        &self,
        definition: TaskDefinitionId,
        has_network: bool,
        rule: &'static str,
    ) -> Result<(), Refused> {
        let mode = self.state.definitions[definition.index()].definition.network_mode;
        if mode != NetworkMode::Awsvpc || has_network {
            return Ok(());
        }
        let message = "Network Configuration must be provided when networkMode 'awsvpc' is specified.";
        Err(Refused::parameter(rule, message))
    }

    /// CP-15: what Fargate Spot does not run.
    pub(super) fn check_spot_platform(
        &self,
        definition: TaskDefinitionId,
        launch: &ResolvedLaunch,
        version: Option<PlatformVersion>,
    ) -> Result<(), Refused> {
        let spot = match launch {
            ResolvedLaunch::Strategy(items) => items.iter().any(|item| item.provider == Provider::FargateSpot),
            ResolvedLaunch::Type(_) => false,
        };
        let definition = &self.state.definitions[definition.index()].definition;
        if !spot {
            return Ok(());
        }
        check_spot_platform(definition.operating_system, definition.cpu_architecture, version)
    }

    fn record_failures(&mut self, call: &ResolvedRunTask, shape: ShapeId, failures: &Failures, now: SimTime) {
        let record = Record::TaskFailures { count: failures.count, cluster: call.cluster };
        self.observer.observe(now, &record, &self.state);
        let Some(first) = &failures.first else { return };
        if !self.wants.decisions {
            return;
        }
        let mut listed = Vec::new();
        let (reason, rule) = match first {
            LaunchRefusal::NoRoom(launch) => {
                let request = self.placement_request(shape, call.profile, call.group, *launch);
                let refusal = failure::explain(&self.state.clusters[call.cluster.index()].cluster, &request);
                listed = self.failures_listed(call.cluster, failures.count, &refusal);
                (explain::in_words(&refusal), "TASK-15")
            }
            LaunchRefusal::NoFargate => (NO_FARGATE.to_owned(), "FG-5"),
            LaunchRefusal::VcpuQuota => (VCPU_QUOTA.to_owned(), "FG-8"),
            LaunchRefusal::TaskQuota => (TASK_QUOTA.to_owned(), "LIM-1"),
            LaunchRefusal::Quota => (
                format!(
                    "ClientException: {} tasks are in PROVISIONING already",
                    self.estate.behaviour.provisioning_quota
                ),
                "PRV-3",
            ),
        };
        let needs = self.state.requirements(shape);
        let refused = RefusedCall {
            actor: "run-task",
            subject: self.state.task_group_name(call.group).to_owned(),
            call: "ecs:RunTask".to_owned(),
            reason,
            rule,
            inputs: json!({
                "failures": failures.count,
                "task_definition": self.state.definition_name(call.definition),
                "cpu": needs.cpu.0,
                "memory_mib": needs.memory.0,
                "list": listed,
            }),
        };
        self.record_refusal(now, refused);
    }

    /// TASK-10: `failures[]`: for each task that was not placed, each instance considered with its reason, as far as
    /// [`FAILURES_LISTED`] goes; the count beside it is complete.
    fn failures_listed(&self, cluster: ClusterId, tasks: u32, refusal: &Refusal) -> Vec<Value> {
        let of_one = || {
            refusal.reasons.iter().map(|(instance, reason)| {
                json!({ "arn": self.state.container_instance_arn(cluster, *instance), "reason": reason.to_string() })
            })
        };
        (0..tasks).flat_map(|_| of_one()).take(FAILURES_LISTED).collect()
    }

    /// StartTask: one task on each instance named, without constraints or strategies (TASK-13).
    pub(super) fn start_task(
        &mut self,
        call: &RunTask,
        instances: &[String],
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let resolved = self.resolve_run_task(&RunTask { count: 1, launch: LaunchChoice::Ec2, ..call.clone() })?;
        if instances.is_empty() || instances.len() > 10 {
            let message = format!("containerInstances takes 1 to 10 instances, not {}", instances.len());
            return Err(Refused::parameter("TASK-13", message));
        }
        let shape = self.shape_of(resolved.definition, &call.overrides);
        for name in instances {
            let failure = self.start_on(&resolved, shape, name, &call.overrides, schedule);
            if let Some(reason) = failure {
                let now = schedule.now();
                let record = Record::TaskFailures { count: 1, cluster: resolved.cluster };
                self.observer.observe(now, &record, &self.state);
                let inputs = json!({ "task_definition": self.state.definition_name(resolved.definition) });
                self.record_refusal(
                    now,
                    RefusedCall {
                        actor: "start-task",
                        subject: name.clone(),
                        call: "ecs:StartTask".to_owned(),
                        reason,
                        rule: "TASK-13",
                        inputs,
                    },
                );
            }
        }
        Ok(())
    }

    fn start_on(
        &mut self,
        call: &ResolvedRunTask,
        shape: ShapeId,
        name: &str,
        overrides: &TaskOverrides,
        schedule: &mut Schedule<Event>,
    ) -> Option<String> {
        let Some(instance) = self.find_instance(name) else { return Some("MISSING".to_owned()) };
        let cluster = &self.state.clusters[call.cluster.index()].cluster;
        let Some(host) = cluster.instance(instance) else { return Some("INACTIVE".to_owned()) };
        let request = self.placement_request(shape, call.profile, call.group, LaunchTarget::Ec2);
        if let Some(reason) = failure::refusal_of(cluster, &request, host) {
            return Some(reason.to_string());
        }
        let new = NewTask {
            cluster: call.cluster,
            definition: call.definition,
            shape,
            group: call.group,
            profile: call.profile,
            launch: LaunchTarget::Ec2,
            owner: None,
            started_by: call.started_by.clone(),
            runs_for: overrides.runs_for,
        };
        let key = self.create_placed_task(new, schedule.now());
        self.bind(key, instance, schedule);
        None
    }

    /// StopTask, by task id or by task group (then its oldest wanted task, the longest running).
    pub(super) fn stop_task_call(
        &mut self,
        cluster: &str,
        task: &str,
        reason: Option<&str>,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let cluster = self.find_cluster(cluster)?;
        let id = u128::from_str_radix(task, 16).ok();
        let found = self
            .state
            .tasks
            .iter()
            .filter(|(_, candidate)| candidate.cluster == cluster && candidate.desired_running())
            .filter(|(_, candidate)| id == Some(candidate.id) || self.state.task_group_name(candidate.group) == task)
            .min_by_key(|(_, candidate)| candidate.number)
            .map(|(key, _)| key);
        let Some(key) = found else {
            return Err(Refused::parameter("TASK-14", "The referenced task was not found."));
        };
        self.stop_task(key, StopCode::UserInitiated, reason.unwrap_or("Task stopped by user"), schedule);
        Ok(())
    }

    /// Where a call's tasks go: explicit launch type, else explicit strategy, else the cluster's default (CP-4).
    pub(super) fn resolve_launch(&self, cluster: ClusterId, choice: &LaunchChoice) -> Result<ResolvedLaunch, Refused> {
        let default = &self.state.clusters[cluster.index()].default_strategy;
        capacity_provider::launch(choice, default, |name| self.look_up_provider(cluster, name))
    }

    /// A capacity provider strategy with its providers looked up, or AWS's refusal (CP-3).
    pub(super) fn resolve_strategy(
        &self,
        cluster: ClusterId,
        items: &[StrategyItem],
    ) -> Result<Vec<ResolvedItem>, Refused> {
        capacity_provider::resolve(items, |name| self.look_up_provider(cluster, name))
    }

    /// What `cluster` knows of a provider's name (CP-3).
    pub(super) fn look_up_provider(&self, cluster: ClusterId, name: &str) -> Lookup {
        match self.find_provider(name) {
            None => Lookup::Unknown,
            Some(provider) if self.state.clusters[cluster.index()].providers.contains(&provider) => {
                Lookup::Found(provider)
            }
            Some(_) => Lookup::NotAssociated,
        }
    }

    /// The provider called `name`.
    pub(super) fn find_provider(&self, name: &str) -> Option<Provider> {
        let of_name = |provider: &crate::control_plane::state::CapacityProvider| {
            provider.definition.name == name && provider.deleted.is_none()
        };
        let group = || self.state.providers.iter().position(of_name);
        Provider::reserved(name).or_else(|| group().map(|place| Provider::Group(ProviderId(place as u32))))
    }

    /// The cluster of this name or ARN, or AWS's refusal (TASK-19).
    pub(super) fn find_cluster(&self, name: &str) -> Result<ClusterId, Refused> {
        let short = arn::name(name);
        self.state
            .clusters
            .iter()
            .position(|entry| &*entry.name == short && !entry.deleted)
            .map(|place| ClusterId(place as u32))
            .ok_or_else(|| Refused::new("ClusterNotFoundException", "TASK-19", "Cluster not found."))
    }

    /// `family` (its newest ACTIVE revision) or `family:revision` (TD-1); unknown or inactive is refused (TD-2, TD-3).
    pub(super) fn find_definition(&self, name: &str) -> Result<TaskDefinitionId, Refused> {
        let (family, revision) = arn::revision(name);
        let found = self.state.definitions.iter().enumerate().rev().find(|(_, entry)| {
            let definition = &entry.definition;
            let wanted = match revision {
                Some(revision) => definition.takes_work && revision == definition.revision,
                None => definition.status == DefinitionStatus::Active,
            };
            definition.family == family && wanted
        });
        found
            .map(|(place, _)| TaskDefinitionId(place as u32))
            .ok_or_else(|| Refused::new("ClientException", "TD-3", "TaskDefinition not found."))
    }

    /// Registers a revision: one more than the family has had, deregistered ones included (TD-1).
    ///
    /// # Errors
    /// The limits of TD-4: so many revisions, and so much JSON as the quotas of the day allow (LIM-1).
    pub(super) fn register_definition(&mut self, call: &RegisterTaskDefinition) -> Result<TaskDefinitionId, Refused> {
        let family = &call.definition.family;
        let revisions = self.state.definitions.iter().map(|entry| &entry.definition);
        let newest = revisions.filter(|known| known.family == *family).map(|known| known.revision).max().unwrap_or(0);
        if newest >= Quotas::REVISIONS {
            let message = format!("Too many revisions of {family}: a family has at most {}.", Quotas::REVISIONS);
            return Err(Refused::new("ClientException", "TD-4", message));
        }
        if let Some(quotas) = self.quotas().filter(|quotas| call.json_bytes > quotas.definition_kib * 1024) {
            let message = format!("Too large: a task definition has at most {} KiB of JSON.", quotas.definition_kib);
            return Err(Refused::new("ClientException", "LIM-1", message));
        }
        let mut entry = call.clone();
        entry.definition.revision = newest + 1;
        entry.definition.status = DefinitionStatus::Active;
        entry.definition.takes_work = true;
        Ok(self.add_definition(entry))
    }

    /// Adds a revision as it is.
    pub(super) fn add_definition(&mut self, entry: RegisterTaskDefinition) -> TaskDefinitionId {
        let id = TaskDefinitionId(self.state.definitions.len() as u32);
        let shape = self.intern_shape(entry.definition.requirements());
        self.definition_shapes.push(shape);
        self.definition_chance.push(super::DefinitionChance::new(&self.streams, &entry.definition));
        self.state.definitions.push(entry);
        self.resolve_tags(id);
        id
    }

    /// The shape of a task with the call's overrides.
    pub(super) fn shape_of(&mut self, definition: TaskDefinitionId, overrides: &TaskOverrides) -> ShapeId {
        let own = self.definition_shapes[definition.index()];
        if overrides.cpu.is_none() && overrides.memory.is_none() && overrides.gpus.is_none() {
            return own;
        }
        let mut needs = self.state.requirements(own).clone();
        needs.cpu = overrides.cpu.unwrap_or(needs.cpu);
        needs.memory = overrides.memory.unwrap_or(needs.memory);
        needs.gpus = overrides.gpus.unwrap_or(needs.gpus);
        self.intern_shape(needs)
    }

    fn intern_shape(&mut self, needs: Requirements) -> ShapeId {
        if let Some(known) = self.shape_ids.get(&needs) {
            return *known;
        }
        let id = ShapeId(self.state.shapes.len() as u32);
        self.state.shapes.push(Arc::new(needs.clone()));
        self.shape_ids.insert(needs, id);
        id
    }

    /// The interned task group called `name`.
    pub(super) fn task_group(&mut self, name: &str) -> TaskGroupId {
        if let Some(known) = self.task_group_ids.get(name) {
            return *known;
        }
        let id = TaskGroupId(self.state.task_groups.len() as u32);
        self.state.task_groups.push(name.into());
        self.task_group_ids.insert(name.to_owned(), id);
        id
    }

    /// Interns the rules that tasks of a call or service are placed by; those of the definition are added (PLACE-14).
    pub(super) fn intern_profile(
        &mut self,
        definition: TaskDefinitionId,
        constraints: &[Constraint],
        zones: &[ZoneId],
        strategy: &[PlacementStrategy],
        extras: TaskExtras,
    ) -> ProfileId {
        let entry = &self.state.definitions[definition.index()].definition;
        let profile = PlacementProfile {
            constraints: entry.placement_constraints.iter().chain(constraints).cloned().collect(),
            strategy: strategy.to_vec(),
            zones: zones.to_vec(),
            extras,
            architecture: entry.cpu_architecture,
            operating_system: entry.operating_system,
            capabilities: entry.required_capabilities(),
        };
        if let Some(known) = self.state.profiles.iter().position(|other| *other == profile) {
            return ProfileId(known as u32);
        }
        self.state.profiles.push(profile);
        ProfileId(self.state.profiles.len() as u32 - 1)
    }

    /// The zones of these names; one that the estate does not have is refused as EC2 refuses it.
    pub(super) fn find_zones(&self, names: &[String]) -> Result<Vec<ZoneId>, Refused> {
        let find = |name: &String| {
            self.find_zone(name)
                .ok_or_else(|| Refused::parameter("PLACE-17", format!("Invalid availability zone: [{name}]")))
        };
        names.iter().map(find).collect()
    }

    /// The zone called `name`.
    pub(super) fn find_zone(&self, name: &str) -> Option<ZoneId> {
        self.state.zones.iter().position(|zone| **zone == *name).map(|place| ZoneId(place as u32))
    }

    /// The instance named by its EC2 id, or by its launch number as `#0`.
    pub(super) fn find_instance(&self, name: &str) -> Option<InstanceId> {
        let id = match name.strip_prefix('#') {
            Some(number) => InstanceId(number.parse().ok()?),
            None => InstanceId(u32::from_str_radix(name.strip_prefix("i-0")?.get(..8)?, 16).ok()?),
        };
        self.state.instance(id).filter(|_| name.starts_with('#') || id.ec2_id().to_string() == name).map(|_| id)
    }

    /// The provider for whose capacity a task of this launch target may wait (PRV-1): managed scaling only.
    pub(super) fn waiting_provider(&self, launch: LaunchTarget) -> Option<ProviderId> {
        launch
            .group_provider()
            .filter(|provider| self.state.providers[provider.index()].definition.managed_scaling.is_some())
    }

    /// Tasks of a cluster that wait for capacity, over all its providers (PRV-2).
    pub(super) fn waiting_in_cluster(&self, cluster: ClusterId) -> usize {
        self.state.clusters[cluster.index()].waiting
    }

    /// Room has appeared in a cluster: waiting tasks are retried a little later (PRV-5), blocked services at once
    /// (SVC-12).
    pub(super) fn wake_waiting(&mut self, cluster: ClusterId, schedule: &mut Schedule<Event>) {
        self.ask_scheduler(cluster, schedule);
        let entry = &mut self.state.clusters[cluster.index()];
        if entry.waiting > 0 {
            for provider in &entry.providers {
                let Provider::Group(id) = *provider else { continue };
                let provider = &mut self.state.providers[id.index()];
                if !provider.waiting.is_empty() && !provider.retry_scheduled {
                    provider.retry_scheduled = true;
                    schedule.after(self.estate.behaviour.provisioning_retry, Event::RetryWaiting(id));
                }
            }
        }
        if entry.blocked.is_empty() {
            return;
        }
        for service in std::mem::take(&mut entry.blocked) {
            self.state.services[service.index()].placement_backoff.not_before = schedule.now();
            self.round_at(service, schedule.now(), schedule);
        }
    }

    /// PRV-5: waiting tasks are retried in creation order, under the normal rules of placement.
    pub(super) fn on_retry_waiting(&mut self, provider: ProviderId, schedule: &mut Schedule<Event>) {
        let entry = &mut self.state.providers[provider.index()];
        entry.retry_scheduled = false;
        let cluster = entry.cluster;
        let waiting: Vec<TaskKey> = entry.waiting.values().copied().collect();
        if self.has_custom_scheduler(cluster) {
            self.ask_scheduler(cluster, schedule);
            return;
        }
        // Room only shrinks within a round, so what did not fit once need not be asked again.
        let mut hopeless: Vec<(ShapeId, ProfileId, TaskGroupId)> = Vec::new();
        for key in waiting {
            let task = &self.state.tasks[key];
            let kind = (task.shape, task.profile, task.group);
            if hopeless.contains(&kind) {
                continue;
            }
            let (cluster, launch) = (task.cluster, task.launch);
            match self.find_host(cluster, kind.0, kind.1, kind.2, launch) {
                Placement::On(instance) => {
                    self.explain_placement(key, instance, schedule.now());
                    self.bind(key, instance, schedule);
                }
                Placement::Refused => hopeless.push(kind),
            }
        }
    }

    /// PRV-4: why a task that waited too long is STOPPED: the reason of its last refusal.
    pub(super) fn capacity_timeout_reason(&self, key: TaskKey) -> String {
        let task = &self.state.tasks[key];
        let request = self.placement_request(task.shape, task.profile, task.group, task.launch);
        let refusal = failure::explain(&self.state.clusters[task.cluster.index()].cluster, &request);
        match refusal.closest {
            Some((_, reason)) => format!("TaskFailedToStart: {reason}"),
            None => "TaskFailedToStart: EMPTY CAPACITY PROVIDER".to_owned(),
        }
    }

    /// The question that placement is asked for a task.
    pub(super) fn placement_request(
        &self,
        shape: ShapeId,
        profile: ProfileId,
        group: TaskGroupId,
        launch: LaunchTarget,
    ) -> PlacementRequest<'_> {
        self.state.placement_request(shape, profile, group, launch, self.estate.behaviour.place_tie_random)
    }

    /// A level of the tasks waiting in PROVISIONING for a provider.
    pub(super) fn record_waiting(&mut self, provider: ProviderId, now: SimTime) {
        let waiting = self.state.providers[provider.index()].waiting.len();
        self.record_level(Resource::Provider(provider), "ProvisioningCount", waiting as f64, now);
    }
}
