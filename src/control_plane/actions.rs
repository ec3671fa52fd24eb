//! The operator's timeline: each `actions` entry is a call; a refusal is recorded and the run goes on.

use serde_json::{Value, json};

use crate::control_plane::api::{ApiCall, CreateService, UpdateService};
use crate::control_plane::event::Event;
use crate::control_plane::record::{Decision, Record, Resource};
use crate::control_plane::service_calls::{check_controller, check_daemon_update, check_update_by_controller};
use crate::control_plane::{ControlPlane, RefusedCall};
use crate::ecs::deployment::RolloutState;
use crate::ecs::ids::{InstanceId, ProfileId, ServiceId, TaskDefinitionId};
use crate::ecs::service::{
    Backoff, DeploymentConfiguration, DeploymentController, Rebalancing, ResolvedLaunch, SchedulingStrategy, Service,
    ServiceStatus, TaskExtras, TokenBucket,
};
use crate::ecs::service_events::EventList;
use crate::engine::simulation::Schedule;
use crate::engine::time::SimTime;
use crate::placement::strategy::PlacementStrategy;
use crate::refused::Refused;

/// SVC-14: launches of a service in a minute, where no quota of the day is known.
const LAUNCHES_PER_MINUTE: u32 = 500;

impl ControlPlane<'_> {
    /// An entry of `actions` is due.
    pub(super) fn on_action(&mut self, index: u32, schedule: &mut Schedule<Event>) {
        let Some(action) = self.estate.actions.get(index as usize) else { return };
        let now = schedule.now();
        let admitted = self.cloudwatch.rates.admit(&action.call, now);
        let admitted = admitted.and_then(|()| self.throttle(&action.name, now));
        let outcome = admitted.and_then(|()| self.call(&action.call, schedule));
        match outcome {
            // What was read is told with its answer.
            Ok(()) if matches!(action.call, ApiCall::Read(_)) => {}
            Ok(()) => self.decide(now, |_| Decision {
                actor: "operator",
                subject: action.name.clone(),
                action: "call",
                from: Value::Null,
                to: Value::Null,
                reason: "as the scenario's actions say".to_owned(),
                rule: "",
                inputs: Value::Null,
            }),
            Err(refused) => self.record_refused_call(action.name.clone(), &action.name, &refused, now),
        }
    }

    /// A call of the operator, or of a section at time zero, that AWS would refuse: recorded, and the run goes on.
    pub(super) fn record_refused_call(&mut self, subject: String, call: &str, refused: &Refused, now: SimTime) {
        self.record_refusal(
            now,
            RefusedCall {
                actor: "operator",
                subject,
                call: call.to_owned(),
                reason: refused.to_string(),
                rule: refused.rule,
                inputs: json!({ "code": refused.code }),
            },
        );
    }

    /// Serves one call, or refuses it as AWS does.
    pub(super) fn call(&mut self, call: &ApiCall, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        match call {
            ApiCall::AlwaysRefused(refused) => Err(refused.clone()),
            ApiCall::CreateCluster(call) => self.create_cluster(call),
            ApiCall::RegisterTaskDefinition(call) => self.register_definition(call).map(|_| ()),
            ApiCall::DeregisterTaskDefinition(name) => self.deregister_definition(name, schedule),
            ApiCall::DeleteTaskDefinitions(names) => self.delete_definitions(names, schedule),
            ApiCall::DeleteCluster(name) => self.delete_cluster(name),
            ApiCall::Read(call) => {
                let answer = self.answer(call, schedule.now())?;
                let record = Record::Answer { call: call.name(), answer: &answer };
                self.observer.observe(schedule.now(), &record, &self.state);
                Ok(())
            }
            ApiCall::CreateService(call) => self.create_service(call, schedule).map(|_| ()),
            ApiCall::UpdateService(call) => self.update_service(call, schedule),
            ApiCall::DeleteService { cluster, service, force } => {
                self.delete_service(cluster, service, *force, schedule)
            }
            ApiCall::StopServiceDeployment { cluster, service, rollback } => {
                self.stop_deployment(cluster, service, *rollback, schedule)
            }
            ApiCall::ContinueServiceDeployment { cluster, service, rollback } => {
                self.continue_deployment(cluster, service, *rollback, schedule)
            }
            ApiCall::CreateCodeDeployment(call) => self.create_code_deployment(call, schedule),
            ApiCall::CreateTaskSet(call) => self.create_task_set(call, schedule),
            ApiCall::UpdateTaskSet { cluster, service, task_set, scale } => {
                self.update_task_set((cluster, service), task_set, *scale, schedule)
            }
            ApiCall::UpdateServicePrimaryTaskSet { cluster, service, task_set } => {
                self.update_primary_task_set((cluster, service), task_set, schedule)
            }
            ApiCall::DeleteTaskSet { cluster, service, task_set, force } => {
                self.delete_task_set((cluster, service), task_set, *force, schedule)
            }
            ApiCall::RunTask(call) => self.run_task_call(call, schedule),
            ApiCall::UpdateTaskProtection { cluster, tasks, protect_for } => {
                self.update_task_protection(cluster, tasks, *protect_for, schedule)
            }
            ApiCall::StartTask { task, instances } => self.start_task(task, instances, schedule),
            ApiCall::StopTask { cluster, task, reason } => {
                self.stop_task_call(cluster, task, reason.as_deref(), schedule)
            }
            ApiCall::UpdateContainerInstancesState { cluster, instances, draining } => {
                let cluster = self.find_cluster(cluster)?;
                let belongs = |id: InstanceId| self.state.clusters[cluster.index()].cluster.instance(id).is_some();
                for id in self.find_instances(instances, belongs)? {
                    self.set_draining(id, *draining, schedule);
                }
                Ok(())
            }
            ApiCall::PutImage(call) => self.put_image(call),
            ApiCall::PutAwsvpcTrunking(enabled) => {
                self.put_awsvpc_trunking(*enabled);
                Ok(())
            }
            ApiCall::PutFargateRetirementWait(wait) => {
                self.fargate_retirement_wait = *wait;
                Ok(())
            }
            ApiCall::CreateAutoScalingGroup(call) => self.create_group(call, schedule),
            ApiCall::UpdateAutoScalingGroup(call) => self.update_group(call, schedule),
            ApiCall::SetInstanceProtection { group, instances, protected } => {
                let group = self.find_group(group)?;
                let belongs = |id: InstanceId| self.state.group_of(id) == Some(group);
                for id in self.find_instances(instances, belongs)? {
                    self.set_protection(id, *protected, schedule.now());
                }
                self.reconcile_soon(group, schedule);
                Ok(())
            }
            ApiCall::SetInstanceHealth { instance, unhealthy, respects_grace } => {
                self.set_instance_health(instance, *unhealthy, *respects_grace, schedule)
            }
            ApiCall::PutLifecycleHook(call) => self.put_lifecycle_hook(call),
            ApiCall::DeleteLifecycleHook { group, name } => self.delete_lifecycle_hook(group, name, schedule),
            ApiCall::CompleteLifecycleAction { group, hook, instance, result } => {
                self.complete_lifecycle_action((group, hook), instance, *result, schedule)
            }
            ApiCall::RecordLifecycleActionHeartbeat { group, hook, instance } => {
                self.record_heartbeat((group, hook), instance, schedule.now())
            }
            ApiCall::EnterStandby { group, instances, decrement } => {
                self.enter_standby(group, instances, *decrement, schedule)
            }
            ApiCall::ExitStandby { group, instances } => self.exit_standby(group, instances, schedule),
            ApiCall::DetachInstances { group, instances, decrement } => {
                self.detach(group, instances, *decrement, schedule)
            }
            ApiCall::StartInstanceRefresh(call) => self.start_refresh(call, schedule),
            ApiCall::CancelInstanceRefresh(group) => self.cancel_refresh(group, schedule),
            ApiCall::RollbackInstanceRefresh(group) => self.rollback_refresh(group, schedule),
            ApiCall::PutWarmPool(call) => self.put_warm_pool(call, schedule),
            ApiCall::DeleteWarmPool { group, force } => self.delete_warm_pool(group, *force, schedule),
            ApiCall::PutClusterCapacityProviders(call) => self.put_cluster_providers(call, schedule),
            ApiCall::DeleteCapacityProvider(name) => self.delete_capacity_provider(name, schedule.now()),
            ApiCall::TerminateInstance { instance, decrement } => self.terminate_call(instance, *decrement, schedule),
            ApiCall::SetSuspendedProcesses { group, processes, suspend } => {
                self.suspend_processes(group, processes, *suspend, schedule)
            }
            ApiCall::RegisterScalableTarget(call) => self.register_scalable_target(call, schedule),
            ApiCall::DeregisterScalableTarget { cluster, service } => {
                self.deregister_scalable_target(cluster, service, schedule.now())
            }
            ApiCall::PutScheduledAction(call) => self.put_scheduled_action(call, schedule),
            ApiCall::DeleteScheduledAction { name, resource } => self.delete_scheduled_action(name, resource),
            ApiCall::PutScalingPolicy(call) => self.put_scaling_policy(call, schedule),
            ApiCall::DeleteScalingPolicy { name, resource } => {
                self.delete_scaling_policy(name, resource, schedule.now())
            }
            ApiCall::PutMetricAlarm(call) => self.put_metric_alarm(call, schedule),
            ApiCall::SetRuleEnabled { rule, enabled } => self.set_rule_enabled(rule, *enabled),
            ApiCall::DeleteAlarms(names) => self.delete_alarms(names, schedule.now()),
            ApiCall::SetAlarmActions { alarms, enabled } => self.set_alarm_actions(alarms, *enabled),
            ApiCall::SetAlarmState(call) => self.set_alarm_state(call, schedule),
            ApiCall::PutMetricData(data) => self.put_metric_data(data, schedule.now()),
        }
    }

    /// CreateService (SVC-1…4).
    pub(super) fn create_service(
        &mut self,
        call: &CreateService,
        schedule: &mut Schedule<Event>,
    ) -> Result<ServiceId, Refused> {
        let cluster = self.find_cluster(&call.cluster)?;
        let definition = call.task_definition.as_deref().map(|name| self.find_definition(name)).transpose()?;
        check_controller(call)?;
        let launch = self.resolve_launch(cluster, &call.launch)?;
        if call.scheduling == SchedulingStrategy::Daemon && launch.is_fargate() {
            return Err(invalid("SVC-2", "The daemon scheduling strategy is not supported on Fargate."));
        }
        if let Ok(existing) = self.find_service(&call.cluster, &call.name) {
            // The same request with the same token is answered with the service as it stands.
            if call.client_token.is_some() && self.creations.get(&existing) == Some(call) {
                return Ok(existing);
            }
            return Err(invalid("SVC-4", "Creation of service was not idempotent."));
        }
        call.deployment.check()?;
        if let Some(definition) = definition {
            self.check_spot_platform(definition, &launch, call.platform_version)?;
            self.check_network(definition, call.has_network, "SVC-4")?;
        }
        // SVC-20: the default of the day, for services that may have it.
        let by_default = self.estate.behaviour.rebalances_by_default && call.controller == DeploymentController::Ecs;
        let rebalances = call.rebalancing.unwrap_or(by_default);
        if rebalances && call.deployment.maximum_percent <= 100 && call.scheduling == SchedulingStrategy::Replica {
            return Err(invalid("SVC-4", "Availability Zone rebalancing needs a maximumPercent above 100."));
        }
        self.check_service_quotas(cluster, call)?;
        let zones = self.find_zones(&call.availability_zones)?;
        let load_balancers = self.find_load_balancers(&call.load_balancers)?;
        self.check_load_balancers(definition, &load_balancers, call.controller)?;
        let id = ServiceId(self.state.services.len() as u32);
        let group = self.task_group(&format!("service:{}", call.name));
        let strategy = PlacementStrategy::of_service(&call.placement_strategy);
        let profile = match definition {
            Some(definition) => {
                let (platform, volume) = (call.settings.platform(), call.settings.volume);
                let extras = TaskExtras { public_ip: call.public_ip, platform, volume };
                self.intern_profile(definition, &call.placement_constraints, &zones, strategy, extras)
            }
            // Each task set brings its own.
            None => ProfileId(0),
        };
        let behaviour = &self.estate.behaviour;
        let on_fargate = usize::from(launch.is_fargate());
        let quota = self.quotas().and_then(|quotas| quotas.launches_per_minute).map(|rates| rates[on_fargate]);
        let rate = behaviour.svc_rate_per_min.or(quota).unwrap_or(LAUNCHES_PER_MINUTE);
        // SVC-14: the burst is a sixth of the rate.
        let burst = behaviour.svc_burst.unwrap_or(rate / 6).max(1);
        let service = Service {
            name: call.name.clone(),
            cluster,
            group,
            profile,
            status: ServiceStatus::Active,
            desired: call.desired_count,
            daemon_hosts: std::collections::BTreeSet::new(),
            launch,
            scheduling: call.scheduling,
            constraints: call.placement_constraints.clone(),
            strategy: call.placement_strategy.clone(),
            deployment_configuration: call.deployment.clone(),
            controller: call.controller,
            load_balancers,
            settings: call.settings.clone(),
            health_check_grace: call.health_check_grace,
            monitoring: call.monitoring,
            zones,
            public_ip: call.public_ip,
            deployments: Vec::new(),
            deployments_created: 0,
            rollback_target: None,
            tasks: std::collections::BTreeMap::new(),
            running: 0,
            healthy: 0,
            stopping: 0,
            start_backoff: Backoff::default(),
            placement_backoff: Backoff::default(),
            launch_tokens: TokenBucket::new(rate, burst),
            rebalancing: Rebalancing { enabled: rebalances, ..Rebalancing::default() },
            spared: 0,
            provisioning: 0,
            steady: false,
            steady_repeats_at: None,
            events: EventList::default(),
            next_round: None,
        };
        self.state.services.push(service);
        self.service_ids.insert((cluster, call.name.clone()), id);
        if call.client_token.is_some() {
            self.creations.insert(id, call.clone());
        }
        if call.scheduling == SchedulingStrategy::Daemon {
            self.state.clusters[cluster.index()].daemons.insert(id);
        }
        self.service_created(id, schedule);
        self.record_level(Resource::Service(id), "DesiredCount", f64::from(call.desired_count), schedule.now());
        self.service_counts_changed(id, schedule.now());
        if let Some(definition) = definition {
            self.begin_deployment(id, definition, schedule);
        }
        Ok(id)
    }

    /// UpdateService: which settings start a deployment is SVC-15's.
    fn update_service(&mut self, call: &UpdateService, schedule: &mut Schedule<Event>) -> Result<(), Refused> {
        let id = self.find_service(&call.cluster, &call.service)?;
        if self.state.services[id.index()].status != ServiceStatus::Active {
            return Err(Refused::new("ServiceNotActiveException", "SVC-17", "Service was not ACTIVE."));
        }
        let cluster = self.state.services[id.index()].cluster;
        if self.state.services[id.index()].scheduling == SchedulingStrategy::Daemon {
            check_daemon_update(call)?;
        }
        check_update_by_controller(call, self.state.services[id.index()].controller)?;
        // Everything is looked up before anything changes: a refused call leaves no trace.
        let definition = call.task_definition.as_deref().map(|name| self.find_definition(name)).transpose()?;
        let strategy = call.strategy.as_deref().map(|items| self.resolve_strategy(cluster, items)).transpose()?;
        if let (Some(items), Some(definition)) =
            (&strategy, definition.or(self.state.services[id.index()].definition()))
        {
            self.check_spot_platform(definition, &ResolvedLaunch::Strategy(items.clone()), None)?;
        }
        let made_of = self.remade(id, call, definition)?;
        if let Some(desired) = call.desired_count {
            let settings = made_of.as_ref().map_or(&self.state.services[id.index()].settings, |made| &made.settings);
            self.check_desired_quota(desired, settings)?;
        }
        let present = &self.state.services[id.index()].deployment_configuration;
        let deployment = call.deployment.as_ref().map(|change| change.apply_to(present));
        deployment.as_ref().map_or(Ok(()), DeploymentConfiguration::check)?;
        let service = &mut self.state.services[id.index()];
        if let Some(deployment) = deployment {
            service.deployment_configuration = deployment;
        }
        if let Some(items) = strategy {
            service.launch = ResolvedLaunch::Strategy(items);
        }
        if let Some(constraints) = &call.placement_constraints {
            service.constraints.clone_from(constraints);
        }
        if let Some(strategy) = &call.placement_strategy {
            service.strategy.clone_from(strategy);
        }
        if let Some(grace) = call.health_check_grace {
            service.health_check_grace = grace;
        }
        if let Some(enabled) = call.rebalancing {
            service.rebalancing.enabled = enabled;
            // Looked at when it is steady the next time.
            service.steady &= !enabled;
        }
        let remade = made_of.is_some();
        if let Some(made_of) = made_of {
            service.zones = made_of.zones;
            service.public_ip = made_of.public_ip;
            service.load_balancers = made_of.load_balancers;
            service.settings = made_of.settings;
            self.load.disturb(id);
        }
        // ECSM-8: another resolution of its metrics is another revision of the service.
        let remonitored = call.monitoring.filter(|monitoring| *monitoring != service.monitoring);
        service.monitoring = remonitored.unwrap_or(service.monitoring);
        let service = &self.state.services[id.index()];
        let present = service.definition().map(|id| self.without_proxy(id));
        let deploys = call.force_new_deployment
            || remade
            || remonitored.is_some()
            || definition.is_some_and(|new| Some(new) != present);
        if remonitored.is_some() {
            self.service_monitoring_changed(id);
        }
        if let Some(desired) = call.desired_count {
            self.set_desired_count(id, desired, schedule);
            self.desired_changed_elsewhere(id, schedule.now());
        }
        match definition.or(present) {
            Some(definition) if deploys && self.state.services[id.index()].controller == DeploymentController::Ecs => {
                self.begin_deployment(id, definition, schedule);
            }
            _ => {
                if let Some(running) = self.state.services[id.index()].definition() {
                    self.refresh_service_profile(id, running);
                    self.survey_hosts(id, schedule.now());
                }
            }
        }
        self.wake_service(id, schedule);
        Ok(())
    }

    /// Interns the placement rules of a service anew after a change of its settings or its definition.
    pub(super) fn refresh_service_profile(&mut self, id: ServiceId, definition: TaskDefinitionId) {
        let service = &self.state.services[id.index()];
        let (constraints, strategy, zones) =
            (service.constraints.clone(), service.strategy.clone(), service.zones.clone());
        let (strategy, extras) = (PlacementStrategy::of_service(&strategy), service.extras(None));
        let profile = self.intern_profile(definition, &constraints, &zones, strategy, extras);
        self.state.services[id.index()].profile = profile;
    }

    /// DeleteService (SVC-17).
    fn delete_service(
        &mut self,
        cluster: &str,
        service: &str,
        force: bool,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        let id = self.find_service(cluster, service)?;
        let entry = &mut self.state.services[id.index()];
        // A DAEMON service has no desired count to set to 0, and needs no force (API:DeleteService).
        if entry.desired > 0 && !force && entry.scheduling == SchedulingStrategy::Replica {
            return Err(invalid("SVC-17", "The service cannot be stopped while it is scaled above 0."));
        }
        entry.status = ServiceStatus::Draining;
        entry.daemon_hosts.clear();
        if let Some(primary) = entry.deployments.last_mut() {
            primary.rollout = RolloutState::Completed;
        }
        self.set_desired_count(id, 0, schedule);
        self.scaling_of_service_deleted(id, schedule.now());
        // Its tasks run on until the scheduler's next round stops them.
        self.wake_service(id, schedule);
        Ok(())
    }

    /// The instances of these names, all of which have to belong to what the call names.
    fn find_instances(
        &self,
        names: &[String],
        belongs: impl Fn(InstanceId) -> bool,
    ) -> Result<Vec<InstanceId>, Refused> {
        names
            .iter()
            .map(|name| {
                self.find_instance(name)
                    .filter(|id| belongs(*id))
                    .ok_or_else(|| invalid("TASK-13", &format!("Referenced container instance {name} not found.")))
            })
            .collect()
    }
}

/// An `InvalidParameterException`.
pub(super) fn invalid(rule: &'static str, message: &str) -> Refused {
    Refused::parameter(rule, message)
}
