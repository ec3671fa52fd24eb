//! From the estate to the state at time zero: every section is served as the call it is the input of.

use std::sync::Arc;

use slotmap::{SecondaryMap, SlotMap};

use crate::arn;
use crate::control_plane::api::{ApiCall, CreateCluster, RunTask};
use crate::control_plane::cloudwatch::CloudWatch;
use crate::control_plane::estate::{Demand, Estate};
use crate::control_plane::event::Event;
use crate::control_plane::event_rules::EventRules;
use crate::control_plane::hosts::{GroupRuntime, HostTable};
use crate::control_plane::impairments::Impairments;
use crate::control_plane::lifecycle::Hooks;
use crate::control_plane::load::Load;
use crate::control_plane::markets::Markets;
use crate::control_plane::queues::Queues;
use crate::control_plane::record::{Observer, Record};
use crate::control_plane::registry::Registry;
use crate::control_plane::replacement::Replacing;
use crate::control_plane::requests::Requests;
use crate::control_plane::run_task::ResolvedRunTask;
use crate::control_plane::service_scaling::ServiceScaling;
use crate::control_plane::software::Pushes;
use crate::control_plane::state::{CapacityProvider, ClusterEntry, State};
use crate::control_plane::{ControlPlane, RunOptions};
use crate::ec2::auto_scaling_group::{AutoScalingGroup, CreateAutoScalingGroup};
use crate::ecs::capacity_provider::{self, Provider};
use crate::ecs::cluster::Cluster;
use crate::ecs::ids::{ClusterId, GroupId, ProviderId, TargetGroupId, WorkloadId};
use crate::ecs::image::ImageTable;
use crate::ecs::service::TokenBucket;
use crate::ecs::subnet::Subnet;
use crate::ecs::target_group::TargetGroup;
use crate::engine::simulation::Schedule;
use crate::engine::streams::Streams;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::step_scaling::SimpleScalingState;
use crate::workload::arrivals::Arrivals;

/// FG-10: seven days from AWS's notice to the stop, unless the account says otherwise.
const FARGATE_RETIREMENT_WAIT: SimDuration = SimDuration::from_secs(7 * 86_400);

/// Why a new group launches.
const CREATED: &str = "the group was created with this desired capacity";

/// A `tasks` workload in motion.
#[derive(Debug)]
pub(super) struct TaskArrivals {
    arrivals: Arrivals,
    call: RunTask,
    /// The call with its names looked up, and how many definitions there were then: a later revision counts (TD-1).
    resolved: Option<(usize, ResolvedRunTask)>,
    /// The arrival that is scheduled.
    next: Option<crate::workload::arrivals::Arrival>,
}

impl<'a> ControlPlane<'a> {
    /// The control plane before time zero: clusters, groups and providers exist, nothing runs.
    pub(super) fn new(estate: &'a Estate, options: RunOptions, observer: &'a mut dyn Observer) -> Self {
        let streams = Streams::new(estate.seed, options.replication);
        let wants = observer.wants();
        Self {
            state: State {
                start: estate.start,
                region: estate.region.clone(),
                zones: estate.availability_zones.iter().map(|name| Arc::from(name.as_str())).collect(),
                clusters: Vec::new(),
                providers: Vec::new(),
                groups: Vec::new(),
                instance_groups: crate::ecs::instance_table::InstanceTable::default(),
                definitions: Vec::new(),
                shapes: Vec::new(),
                profiles: Vec::new(),
                task_groups: Vec::new(),
                tasks: SlotMap::with_key(),
                services: Vec::new(),
                load_balancers: estate.load_balancers.clone(),
                target_groups: Vec::new(),
                software: Vec::new(),
                queues: Vec::new(),
                alarms: Vec::new(),
                workloads: estate.workloads.iter().map(|workload| Arc::from(workload.name.as_str())).collect(),
                billed_metrics: Vec::new(),
            },
            estate,
            observer,
            wants,
            streams,
            placement_chance: streams.named("placement"),
            id_chance: streams.named("ids"),
            sick_chance: streams.named("sick-tasks"),
            definition_chance: Vec::new(),
            definition_shapes: Vec::new(),
            images: ImageTable::default(),
            fargate_images: SecondaryMap::new(),
            registry: Registry::new(estate.behaviour.hub_limit),
            pushes: Pushes::default(),
            shape_ids: std::collections::BTreeMap::new(),
            task_group_ids: std::collections::BTreeMap::new(),
            service_ids: std::collections::BTreeMap::new(),
            creations: std::collections::BTreeMap::new(),
            client_tokens: std::collections::BTreeMap::new(),
            groups: Vec::new(),
            hosts: HostTable::default(),
            launches: 0,
            // ASG-44.
            run_instances: TokenBucket::new(
                estate.behaviour.run_instances_refill_per_s.saturating_mul(60),
                estate.behaviour.run_instances_bucket,
            ),
            markets: Markets::default(),
            fault_chance: Vec::new(),
            strikes: 0,
            draining_hosts: 0,
            impairments: Impairments::new(estate.behaviour.api_throttle),
            fargate_cpu: [0; 2],
            fargate_tasks: [0; 2],
            // FG-7: 20 calls a second.
            fargate_calls: TokenBucket::new(1200, 20),
            fargate_spot_chance: streams.named("fargate-spot"),
            // FG-7: a burst of 100, 20 a second.
            fargate_tokens: [TokenBucket::new(1200, 100); 2],
            fargate_zone_counts: std::collections::BTreeMap::new(),
            subnets: (0..estate.availability_zones.len())
                .map(|zone| Subnet::new(zone, estate.behaviour.subnet_ips))
                .collect(),
            arrivals: std::collections::BTreeMap::new(),
            event_rules: EventRules::default(),
            cloudwatch: CloudWatch::new(estate),
            scaling: ServiceScaling::new(&streams),
            scheduled: Vec::new(),
            managed: Vec::new(),
            alarm_chance: streams.named("managed-scaling-alarms"),
            load: Load::new(estate, &streams, false),
            queues: Queues::default(),
            requests: Requests::default(),
            real_http: None,
            levels: std::collections::BTreeMap::new(),
            tasks_created: 0,
            tasks_stopped: 0,
            activities: 0,
            awsvpc_trunking: false,
            fargate_retirement_wait: FARGATE_RETIREMENT_WAIT,
            retires: false,
            answers_reads: estate.actions.iter().any(|action| matches!(action.call, ApiCall::Read(_))),
            stopped: std::collections::VecDeque::new(),
            proxied: std::collections::BTreeMap::new(),
            custom: std::collections::BTreeMap::new(),
            scheduler_failures: 0,
            first_scheduler_failure: None,
            replication: options.replication,
            paranoid: options.paranoid,
            execution: super::execution::Execution::default(),
        }
    }

    /// Time zero: every section's calls in the order in which they depend on each other.
    ///
    /// The scenario's checks have been passed, so a refusal here is unusual (a service whose strategy names a provider
    /// of another cluster, say); it is recorded like that of any action.
    pub(super) fn set_up(&mut self, schedule: &mut Schedule<Event>) {
        let estate = self.estate;
        for (workload, rate) in self.load.utilizations() {
            self.observer.observe(schedule.now(), &Record::Offered { workload, rate }, &self.state);
        }
        for call in &estate.task_definitions {
            let outcome = self.register_definition(call).map(|_| ());
            self.served("ecs:RegisterTaskDefinition", &call.definition.family, outcome, schedule.now());
        }
        for call in &estate.clusters {
            self.add_cluster(&call.name);
        }
        for call in &estate.groups {
            let outcome = self.add_group(call);
            self.served("autoscaling:CreateAutoScalingGroup", &call.name, outcome, schedule.now());
        }
        for call in &estate.lifecycle_hooks {
            let outcome = self.put_lifecycle_hook(call);
            self.served("autoscaling:PutLifecycleHook", &call.hook.name, outcome, schedule.now());
        }
        for call in &estate.capacity_providers {
            let Ok(group) = self.find_group(&call.auto_scaling_group) else { continue };
            let provider = ProviderId(self.state.providers.len() as u32);
            // A provider with managed scaling belongs to the one cluster that names it (CP-1).
            let cluster = estate
                .clusters
                .iter()
                .position(|cluster| cluster.capacity_providers.contains(&call.name))
                .map_or(self.groups[group.index()].cluster, |place| ClusterId(place as u32));
            self.groups[group.index()].provider = Some(provider);
            self.groups[group.index()].cluster = cluster;
            self.state.providers.push(CapacityProvider::new(call.clone(), group, cluster));
        }
        for (place, call) in estate.clusters.iter().enumerate() {
            let outcome = self.associate_providers(ClusterId(place as u32), call);
            self.served("ecs:PutClusterCapacityProviders", &call.name, outcome, schedule.now());
        }
        for call in &estate.warm_pools {
            let outcome = self.put_warm_pool(call, schedule);
            self.served("autoscaling:PutWarmPool", &call.group, outcome, schedule.now());
        }
        for call in &estate.target_groups {
            let balancer = call
                .load_balancer
                .as_ref()
                .and_then(|name| estate.load_balancers.iter().find(|balancer| balancer.name == *name));
            let (kind, crosses) =
                balancer.map_or_else(Default::default, |balancer| (balancer.kind, balancer.cross_zone));
            let timeout = estate.behaviour.alb_hc_timeout;
            let mut group = TargetGroup::new(call.clone(), kind, crosses, timeout);
            group.idle_timeout = balancer.map_or(group.idle_timeout, |balancer| balancer.idle_timeout);
            self.state.target_groups.push(group);
        }
        self.start_cloudwatch(schedule);
        self.start_queues(schedule);
        self.start_requests(schedule);
        self.start_markets(schedule);
        self.start_faults(schedule);
        for place in 0..self.state.groups.len() {
            let id = GroupId(place as u32);
            self.record_group_counts(id, schedule.now());
            self.group_desired_changed(id, schedule);
        }
        for place in 0..self.state.providers.len() {
            self.start_managed_scaling(ProviderId(place as u32), schedule);
        }
        for call in &estate.services {
            let outcome = self.create_service(call, schedule).map(|_| ());
            self.served("ecs:CreateService", &call.name, outcome, schedule.now());
        }
        for call in &estate.scalable_targets {
            let outcome = self.register_scalable_target(call, schedule);
            self.served("application-autoscaling:RegisterScalableTarget", &call.service, outcome, schedule.now());
        }
        for call in &estate.policies {
            let outcome = self.put_scaling_policy(call, schedule);
            self.served("PutScalingPolicy", &call.name, outcome, schedule.now());
        }
        for call in &estate.scheduled_actions {
            let outcome = self.put_scheduled_action(call, schedule);
            self.served("PutScheduledAction", &call.name, outcome, schedule.now());
        }
        for call in &estate.alarms {
            let outcome = self.put_metric_alarm(call, schedule);
            self.served("cloudwatch:PutMetricAlarm", &call.definition.name, outcome, schedule.now());
        }
        for (place, workload) in estate.workloads.iter().enumerate() {
            let id = WorkloadId(place as u32);
            match &workload.demand {
                Demand::Tasks { run_task, arrivals } => {
                    let end = SimTime::ZERO + estate.duration;
                    let arrivals = Arrivals::of_workload(arrivals, &workload.name, &self.streams, end);
                    let call = (**run_task).clone();
                    self.arrivals.insert(id, TaskArrivals { arrivals, call, resolved: None, next: None });
                    self.schedule_arrival(id, SimTime::ZERO, schedule);
                }
                Demand::Messages(messages) if messages.consumer.is_none() => {}
                Demand::Requests { .. } | Demand::Utilization { .. } | Demand::Messages(_) => {
                    self.start_load(id, schedule);
                }
            }
        }
        self.start_event_rules(schedule);
        for (index, action) in estate.actions.iter().enumerate() {
            schedule.at(action.at, Event::Action(index as u32));
        }
    }

    /// A section's entry that AWS would refuse at time zero.
    fn served(&mut self, call: &str, subject: &str, outcome: Result<(), Refused>, now: SimTime) {
        if let Err(refused) = outcome {
            self.record_refused_call(subject.to_owned(), call, &refused, now);
        }
    }

    /// CreateCluster is idempotent: an existing name is answered as it stands.
    pub(super) fn create_cluster(&mut self, call: &CreateCluster) -> Result<(), Refused> {
        if self.find_cluster(&call.name).is_ok() {
            return Ok(());
        }
        if let Some(quotas) = self.quotas()
            && self.state.clusters.iter().filter(|entry| !entry.deleted).count() >= quotas.clusters
        {
            let message = format!("The maximum number of clusters, {}, has been reached.", quotas.clusters);
            return Err(Refused::limit("LIM-1", message));
        }
        // A refused call creates nothing, so its providers are looked up before the cluster exists.
        self.check_providers(None, call)?;
        let cluster = self.add_cluster(&call.name);
        self.associate_providers(cluster, call)
    }

    fn add_cluster(&mut self, name: &str) -> ClusterId {
        let id = ClusterId(self.state.clusters.len() as u32);
        self.state.clusters.push(ClusterEntry {
            name: Arc::from(name),
            cluster: Cluster::new(self.estate.start),
            providers: Vec::new(),
            default_strategy: Vec::new(),
            container_insights: None,
            waiting: 0,
            daemons: std::collections::BTreeSet::new(),
            blocked: std::collections::BTreeSet::new(),
            deleted: false,
        });
        self.load.add_cluster();
        self.add_cluster_series(id);
        self.start_custom_scheduler(id);
        id
    }

    /// The providers of a call, or AWS's refusal: unknown ones (CP-3), and one with managed scaling that another cluster
    /// has already (CP-1).
    pub(super) fn check_providers(
        &self,
        cluster: Option<ClusterId>,
        call: &CreateCluster,
    ) -> Result<Vec<Provider>, Refused> {
        let refuse = |rule, message| Refused::parameter(rule, message);
        if let Some(most) = self.quotas().map(|quotas| quotas.providers_per_cluster)
            && call.capacity_providers.len() > most
        {
            return Err(refuse("LIM-1", format!("A cluster has at most {most} capacity providers.")));
        }
        let mut providers = Vec::new();
        for name in &call.capacity_providers {
            let provider = self
                .find_provider(name)
                .ok_or_else(|| refuse("CP-3", format!("The specified capacity provider was not found: {name}.")))?;
            let elsewhere = |place: usize| Some(ClusterId(place as u32)) != cluster;
            if let Provider::Group(id) = provider
                && self.state.providers[id.index()].definition.managed_scaling.is_some()
                && let Some(other) = self
                    .state
                    .clusters
                    .iter()
                    .enumerate()
                    .find(|(place, entry)| elsewhere(*place) && entry.providers.contains(&provider))
            {
                let other = &other.1.name;
                return Err(refuse(
                    "CP-1",
                    format!("The capacity provider {name} with managed scaling is in use by the cluster {other}."),
                ));
            }
            providers.push(provider);
        }
        capacity_provider::check_default(&call.default_strategy, |name| match self.find_provider(name) {
            None => capacity_provider::Lookup::Unknown,
            Some(provider) if providers.contains(&provider) => capacity_provider::Lookup::Found(provider),
            Some(_) => capacity_provider::Lookup::NotAssociated,
        })?;
        Ok(providers)
    }

    pub(super) fn associate_providers(&mut self, cluster: ClusterId, call: &CreateCluster) -> Result<(), Refused> {
        let providers = self.check_providers(Some(cluster), call)?;
        for provider in &providers {
            if let Provider::Group(id) = *provider {
                let entry = &mut self.state.providers[id.index()];
                entry.cluster = cluster;
                // Hosts that are there stay in the cluster that their user data names.
                if self.state.groups[entry.group.index()].instances().next().is_none() {
                    self.groups[entry.group.index()].cluster = cluster;
                }
            }
        }
        let entry = &mut self.state.clusters[cluster.index()];
        entry.providers = providers;
        entry.default_strategy.clone_from(&call.default_strategy);
        entry.container_insights = call.container_insights.or(entry.container_insights);
        Ok(())
    }

    /// CreateAutoScalingGroup during the run.
    pub(super) fn create_group(
        &mut self,
        call: &CreateAutoScalingGroup,
        schedule: &mut Schedule<Event>,
    ) -> Result<(), Refused> {
        if self.find_group(&call.name).is_ok() {
            return Err(Refused {
                code: "AlreadyExists",
                message: format!(
                    "AutoScalingGroup by this name already exists - A group with the name {} already exists",
                    call.name
                ),
                rule: "ASG-1",
            });
        }
        self.add_group(call)?;
        let id = GroupId(self.state.groups.len() as u32 - 1);
        self.record_group_counts(id, schedule.now());
        self.group_desired_changed(id, schedule);
        Ok(())
    }

    fn add_group(&mut self, call: &CreateAutoScalingGroup) -> Result<(), Refused> {
        let id = GroupId(self.state.groups.len() as u32);
        let zones = self.find_zones(&call.availability_zones)?;
        let group = AutoScalingGroup::new(id, call.clone(), zones).map_err(|error| Refused {
            code: "ValidationError",
            message: error.to_string(),
            rule: "ASG-1",
        })?;
        let cluster = self.find_cluster(&call.cluster)?;
        self.state.groups.push(group);
        self.groups.push(GroupRuntime {
            choice: self.streams.named(&format!("group/{}", call.name)),
            boot: self.streams.named(&format!("boot/{}", call.name)),
            pool_boot: self.streams.named(&format!("pool-boot/{}", call.name)),
            pool_chance: self.streams.named(&format!("pool/{}", call.name)),
            provider: None,
            cluster,
            reconcile_scheduled: false,
            launching: std::collections::BTreeSet::new(),
            simple: SimpleScalingState::default(),
            replacing: Replacing::default(),
            hooks: Hooks::new(&call.lifecycle_hooks),
            hook_chance: self.streams.named(&format!("hooks/{}", call.name)),
            failed_launches: 0,
            retry_scheduled: false,
            drain_timers: std::collections::BTreeMap::new(),
            throttled: false,
            abandoned_launches: 0,
            held_until: None,
            failing_since: None,
            spared: 0,
            function_asked_at: None,
            cause: CREATED.to_owned(),
        });
        self.add_group_series(id);
        Ok(())
    }

    /// The target group of this name or ARN.
    pub(super) fn find_target_group(&self, name: &str) -> Option<TargetGroupId> {
        let short = arn::name(name);
        self.state
            .target_groups
            .iter()
            .position(|group| group.definition.name == short)
            .map(|place| TargetGroupId(place as u32))
    }

    fn schedule_arrival(&mut self, id: WorkloadId, after: SimTime, schedule: &mut Schedule<Event>) {
        let Some(workload) = self.arrivals.get_mut(&id) else { return };
        workload.next = workload.arrivals.next(after);
        if let Some(arrival) = &workload.next {
            schedule.at(arrival.at, Event::TaskArrival(id));
        }
    }

    /// A workload asks for a standalone task.
    pub(super) fn on_task_arrival(&mut self, id: WorkloadId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(workload) = self.arrivals.get_mut(&id) else { return };
        let of_arrival = workload.next.take().map(|arrival| arrival.overrides).unwrap_or_default();
        let overrides = of_arrival.or(&workload.call.overrides);
        let known = self.state.definitions.len();
        let resolved = match workload.resolved.take() {
            Some((definitions, resolved)) if definitions == known => Ok(resolved),
            _ => {
                let call = workload.call.clone();
                self.resolve_run_task(&call)
            }
        };
        let throttled = self.throttle("ecs:RunTask", now);
        let outcome = resolved.and_then(|resolved| {
            if throttled.is_err() {
                if let Some(workload) = self.arrivals.get_mut(&id) {
                    workload.resolved = Some((known, resolved));
                }
                return throttled;
            }
            let outcome = self.run_task(&resolved, &overrides, schedule).map(|_| ());
            if let Some(workload) = self.arrivals.get_mut(&id) {
                workload.resolved = Some((known, resolved));
            }
            outcome
        });
        if let Err(refused) = outcome {
            let name = Arc::clone(&self.state.workloads[id.index()]);
            self.record_refused_call(name.to_string(), "ecs:RunTask", &refused, now);
        }
        self.schedule_arrival(id, now, schedule);
    }
}
