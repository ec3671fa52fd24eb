//! What is kept of a service: counts, load, and whether its tasks were too few or too many.

use std::collections::BTreeMap;

use crate::control_plane::api::PutScalingPolicy;
use crate::control_plane::estate::{Demand, Estate, RequestModel};
use crate::control_plane::record::{ActivityId, Resource};
use crate::control_plane::state::State;
use crate::ecs::ids::{ServiceId, TaskDefinitionId, WorkloadId};
use crate::ecs::service::{SchedulingStrategy, Service, ServiceStatus};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::elasticity::Elasticity;
use crate::scaling::policy::{PolicyDefinition, TrackedMetric};
use crate::scaling::scalable_target::ScaledResource;
use crate::stats::WeightedHistogram;
use crate::workload::failed::{Failed, FailureCause};
use crate::workload::fluid::StepOutcome;
use crate::workload::per_request::RequestStep;
use crate::workload::rate::Rate;

use super::Recorder;

/// What a workload needs.
#[derive(Debug)]
pub(super) enum WorkloadBook {
    Requests { cpu_seconds: f64 },
    Other,
}

impl WorkloadBook {
    pub(super) fn of(demand: &Demand) -> Self {
        match demand {
            Demand::Requests { cpu_per_request, .. } => Self::Requests { cpu_seconds: cpu_per_request.mean() },
            Demand::Tasks { .. } | Demand::Utilization { .. } | Demand::Messages(_) => Self::Other,
        }
    }
}

/// Demands of the scenario by cluster and service.
#[derive(Debug)]
pub(super) struct Demands {
    utilizations: Vec<(WorkloadId, (String, String), Rate)>,
    loaded: Vec<(String, String)>,
    draining: Vec<(String, String)>,
    per_request: Vec<(String, String)>,
    cpu_targets: BTreeMap<(String, String), f64>,
}

impl Demands {
    /// What the workloads of `estate` ask of its services, and what CPU its `policies` aim at.
    pub(super) fn of(estate: &Estate, policies: &[PutScalingPolicy]) -> Self {
        let mut demands = Self {
            utilizations: Vec::new(),
            loaded: Vec::new(),
            draining: Vec::new(),
            per_request: Vec::new(),
            cpu_targets: BTreeMap::new(),
        };
        for policy in policies {
            if let ScaledResource::Service { cluster, service } = &policy.resource
                && let PolicyDefinition::TargetTracking(tracking) = &policy.policy
                && matches!(tracking.metric, TrackedMetric::ServiceCpu { .. })
            {
                let key = (cluster.clone(), service.clone());
                demands.cpu_targets.entry(key).or_insert(tracking.target / 100.0);
            }
        }
        for (place, workload) in estate.workloads.iter().enumerate() {
            match &workload.demand {
                Demand::Utilization { service, cpu: Some(rate), .. } => {
                    let id = WorkloadId(place as u32);
                    demands.utilizations.push((id, service.clone(), rate.clone()));
                }
                Demand::Requests { service, model, .. } => {
                    demands.loaded.push(service.clone());
                    if matches!(model, RequestModel::PerRequest(_)) {
                        demands.per_request.push(service.clone());
                    }
                }
                Demand::Messages(messages) => {
                    demands.draining.extend(messages.consumer.as_ref().map(|consumer| consumer.service.clone()));
                }
                Demand::Utilization { .. } | Demand::Tasks { .. } => {}
            }
        }
        demands
    }

    /// What a `utilization` workload asks for, as this replication has drawn it.
    pub(super) fn offered(&mut self, workload: WorkloadId, rate: &Rate) {
        if let Some((.., known)) = self.utilizations.iter_mut().find(|(id, ..)| *id == workload) {
            known.clone_from(rate);
        }
    }
}

/// What is kept of a service.
#[derive(Debug)]
pub(super) struct ServiceBook {
    pub(super) resource: String,
    /// Share of its CPU that its target-tracking policy aims at.
    pub(super) target: f64,
    pub(super) utilization: Option<Rate>,
    pub(super) has_load: bool,
    /// Whether it drains a queue: then waiting messages say whether its tasks are too few.
    pub(super) drains: bool,
    /// Up to when it is accounted for.
    pub(super) since: SimTime,
    pub(super) running: u32,
    pub(super) desired: u32,
    pub(super) definition: Option<TaskDefinitionId>,
    pub(super) task_vcpus: f64,
    /// Whether its tasks have a hard cap (TD-9).
    pub(super) capped: bool,
    /// Whether its tasks could not give what a `utilization` workload asked for last.
    pub(super) short: bool,
    /// Seconds with fewer tasks running than desired.
    pub(super) below_desired: f64,
    pub(super) under: f64,
    pub(super) over: f64,
    pub(super) last_activity: Option<ActivityId>,
    pub(super) scaling_actions: u64,
    pub(super) requests: f64,
    pub(super) failed: Failed,
    /// Tries after the first.
    pub(super) retried: u64,
    /// Whether its requests are simulated one by one.
    pub(super) per_request: bool,
    pub(super) latency: WeightedHistogram,
    pub(super) minute: Minute,
    /// Requests of a usual minute: a running mean of about ten.
    pub(super) usual_arrivals: f64,
    pub(super) elasticity: Elasticity,
    /// What a `utilization` workload asked for, and what ran: the next interval of the elasticity.
    following: Following,
}

/// Demand and supply of an interval that is not over.
#[derive(Debug, Default)]
struct Following {
    seconds: f64,
    vcpu_seconds: f64,
    task_seconds: f64,
}

/// Quantiles of a service's latencies, and their names.
pub(super) const LATENCY_QUANTILES: [(&str, f64); 5] = [
    ("latency_p50_s", 0.5),
    ("latency_p90_s", 0.9),
    ("latency_p95_s", 0.95),
    ("latency_p99_s", 0.99),
    ("latency_p999_s", 0.999),
];

/// The requests of one step of a workload, whatever its model.
struct Moment {
    arrived: f64,
    /// With those that were tried again.
    sent: f64,
    failed: Failed,
    short: bool,
    /// vCPU-seconds.
    cpu_used: f64,
}

/// A service's load since a minute began.
#[derive(Debug, Default)]
pub(super) struct Minute {
    pub(super) began: SimTime,
    pub(super) vcpu_seconds: f64,
    pub(super) task_seconds: f64,
    pub(super) arrived: f64,
    /// Whether requests had to wait for CPU, or found nobody.
    pub(super) short: bool,
    pub(super) failed: Failed,
    pub(super) latency: WeightedHistogram,
}

impl ServiceBook {
    /// Accounts for the time up to `now` with the counts that held.
    pub(super) fn advance(&mut self, now: SimTime, warmup: SimTime) {
        const PIECE: SimDuration = SimDuration::MINUTE;
        let mut from = self.since.max(warmup.min(now));
        if self.running < self.desired {
            self.below_desired += now.saturating_since(from).as_secs_f64();
        }
        self.minute.task_seconds += f64::from(self.running) * now.saturating_since(self.since).as_secs_f64();
        // Out and back in: to clone a rate at every step would be a tenth of a run of many services.
        if let Some(rate) = self.utilization.take() {
            while from < now {
                let to = from.saturating_add(PIECE).min(now);
                let seconds = to.saturating_since(from).as_secs_f64();
                let demand = rate.mean_over(from, to);
                self.judge(seconds, f64::from(self.running), demand, self.short);
                self.follow_demand(seconds, demand);
                from = to;
            }
            self.utilization = Some(rate);
        } else if !self.has_load {
            let seconds = now.saturating_since(from).as_secs_f64();
            if self.running < self.desired && !self.drains {
                self.under += seconds;
            } else if self.running > self.desired {
                self.over += seconds;
            }
        }
        self.since = now;
    }

    /// Adds `seconds` to the elasticity; about a minute makes an interval.
    fn follow_demand(&mut self, seconds: f64, demand: f64) {
        let following = &mut self.following;
        following.seconds += seconds;
        following.vcpu_seconds += demand * seconds;
        following.task_seconds += f64::from(self.running) * seconds;
        // Seconds are summed; the last of a minute may be a hair short.
        if following.seconds >= 60.0 - 1e-6 {
            let Following { seconds, vcpu_seconds, task_seconds } = std::mem::take(following);
            self.record_elasticity(seconds, vcpu_seconds / seconds, task_seconds / seconds);
        }
    }

    /// Counts an interval in which the load took `vcpus` and so many tasks ran.
    fn record_elasticity(&mut self, seconds: f64, vcpus: f64, running: f64) {
        if let Some(demand) = Elasticity::demand(vcpus, self.task_vcpus, self.target) {
            self.elasticity.record(seconds, demand, running);
        }
    }

    /// Whether `running` tasks were too few, or more than needed, for `demand` vCPUs over `seconds`; `short` says that
    /// they could not serve it. Without a hard cap they may serve more than they reserve.
    pub(super) fn judge(&mut self, seconds: f64, running: f64, demand: f64, short: bool) {
        // A hair of slack: means over a minute are sums of many parts.
        const SLACK: f64 = 1e-9;
        if self.task_vcpus <= 0.0 {
            return;
        }
        let needed = demand / self.task_vcpus;
        if short || (self.capped && running < needed * (1.0 - SLACK)) {
            self.under += seconds;
        } else if running >= 1.0 && (running - 1.0) * self.target >= needed * (1.0 + SLACK) + SLACK {
            self.over += seconds;
        }
    }

    /// Takes over the counts that hold from now on.
    pub(super) fn follow(&mut self, service: &Service, state: &State) {
        self.running = service.running;
        self.desired = if service.status == ServiceStatus::Active { service.desired } else { 0 };
        if service.scheduling == SchedulingStrategy::Daemon {
            // A daemon wants as many tasks as there are hosts for it: those that it has.
            self.desired = u32::try_from(service.tasks.len()).unwrap_or(u32::MAX);
        }
        if service.definition() != self.definition {
            self.definition = service.definition();
            if let Some(definition) = self.definition.map(|id| &state.definitions[id.index()].definition) {
                self.task_vcpus = definition.requirements().cpu.as_vcpus();
                self.capped = definition.cpu.is_some();
            }
        }
    }
}

impl Recorder {
    /// The book of a service, brought up to `now`.
    pub(super) fn service(&mut self, id: ServiceId, now: SimTime, state: &State) -> &mut ServiceBook {
        while self.services.len() <= id.index() {
            let place = self.services.len();
            let service = &state.services[place];
            let key = (state.cluster_name(service.cluster).to_owned(), service.name.clone());
            let mut rates =
                self.demands.utilizations.iter().filter(|(_, name, _)| *name == key).map(|(.., rate)| rate.clone());
            let utilization = match (rates.next(), rates.next()) {
                (first, None) => first,
                // Several demands on one service add up.
                (Some(first), Some(second)) => Some(Rate::Sum([first, second].into_iter().chain(rates).collect())),
                (None, Some(_)) => None,
            };
            self.services.push(ServiceBook {
                resource: state.resource_name(Resource::Service(ServiceId(place as u32))),
                target: self.demands.cpu_targets.get(&key).copied().unwrap_or(1.0),
                utilization,
                has_load: self.demands.loaded.contains(&key),
                drains: self.demands.draining.contains(&key),
                since: now,
                running: 0,
                desired: 0,
                definition: None,
                task_vcpus: 0.0,
                capped: false,
                short: false,
                below_desired: 0.0,
                under: 0.0,
                over: 0.0,
                last_activity: None,
                scaling_actions: 0,
                requests: 0.0,
                failed: Failed::default(),
                retried: 0,
                per_request: self.demands.per_request.contains(&key),
                latency: WeightedHistogram::new(),
                usual_arrivals: 0.0,
                elasticity: Elasticity::default(),
                following: Following::default(),
                minute: Minute { began: now, ..Minute::default() },
            });
        }
        let service = state.service(id);
        let book = &mut self.services[id.index()];
        book.advance(now, self.warmup);
        book.follow(service, state);
        book
    }

    pub(super) fn on_fluid(
        &mut self,
        now: SimTime,
        workload: WorkloadId,
        id: ServiceId,
        steps: &[StepOutcome],
        state: &State,
    ) {
        let total = |of: fn(&StepOutcome) -> f64| steps.iter().map(of).sum::<f64>();
        let arrived = total(|step| step.arrived);
        let mut failed = Failed::default();
        for step in steps {
            failed.add(&step.failed);
        }
        let short = total(|step| step.backlog) >= 1.0 || failed.no_healthy_target > 0.0;
        let moment = Moment { arrived, sent: arrived, failed, short, cpu_used: total(|step| step.cpu_used) };
        let book = self.on_load(now, workload, id, &moment, state);
        for step in steps {
            book.minute.latency.merge_all(step.latencies());
        }
        self.end_minute_in_time(id, now, state);
    }

    /// A step of requests that are simulated one by one.
    pub(super) fn on_requests(
        &mut self,
        now: SimTime,
        workload: WorkloadId,
        id: ServiceId,
        step: &RequestStep,
        state: &State,
    ) {
        let failed = step.failed;
        // More than a second's requests wait, or some failed for want of tasks.
        let short = step.waiting > step.arrived.max(1)
            || failed.no_healthy_target + failed.timeout + failed.connection_refused > 0.0;
        let moment =
            Moment { arrived: step.arrived as f64, sent: step.sent as f64, failed, short, cpu_used: step.cpu_used };
        let counts = now > self.warmup;
        let book = self.on_load(now, workload, id, &moment, state);
        book.minute.latency.merge(&step.latency);
        if counts {
            book.retried += step.retried;
        }
        self.end_minute_in_time(id, now, state);
    }

    /// What the requests of a moment mean to their service, its load balancer and its cluster, but for their latencies.
    fn on_load(
        &mut self,
        now: SimTime,
        workload: WorkloadId,
        id: ServiceId,
        moment: &Moment,
        state: &State,
    ) -> &mut ServiceBook {
        let counts = now > self.warmup;
        let service = state.service(id);
        let (on_hosts, cluster) = (!service.launch.is_fargate(), service.cluster);
        let balancer = service
            .load_balancers
            .first()
            .and_then(|(group, _)| state.target_groups[group.index()].definition.load_balancer.as_ref());
        if let Some(name) = balancer {
            match self.balancer_requests.get_mut(name) {
                Some(requests) => *requests += moment.sent,
                None => {
                    self.balancer_requests.insert(name.clone(), moment.sent);
                }
            }
        }
        let cpu_seconds = match self.workloads.get(workload.index()) {
            Some(WorkloadBook::Requests { cpu_seconds }) => *cpu_seconds,
            _ => 0.0,
        };
        if counts && on_hosts {
            self.cluster(cluster).load_vcpu_seconds += moment.cpu_used;
        }
        let book = self.service(id, now, state);
        let minute = &mut book.minute;
        minute.vcpu_seconds += moment.arrived * cpu_seconds;
        minute.arrived += moment.arrived;
        minute.short |= moment.short;
        minute.failed.add(&moment.failed);
        if counts {
            book.requests += moment.arrived;
            book.failed.add(&moment.failed);
        }
        book
    }

    fn end_minute_in_time(&mut self, id: ServiceId, now: SimTime, state: &State) {
        if now.saturating_since(self.services[id.index()].minute.began) >= SimDuration::MINUTE {
            self.end_minute(id, now, self.warmup, state);
        }
    }

    pub(super) fn on_utilization(
        &mut self,
        now: SimTime,
        id: ServiceId,
        (demand, used): (f64, f64),
        dt: SimDuration,
        state: &State,
    ) {
        let counts = now > self.warmup;
        self.service(id, now, state).short = used < demand;
        let service = state.service(id);
        if counts && !service.launch.is_fargate() {
            self.cluster(service.cluster).load_vcpu_seconds += used * dt.as_secs_f64();
        }
    }

    /// CPU that the messages of a queue used of its service's.
    pub(super) fn on_message_use(&mut self, now: SimTime, id: ServiceId, used: f64, state: &State) {
        let service = state.service(id);
        if now > self.warmup && !service.launch.is_fargate() {
            self.cluster(service.cluster).load_vcpu_seconds += used;
        }
    }

    /// A minute of a service's load is over: it is judged, and its latencies are written.
    pub(super) fn end_minute(&mut self, id: ServiceId, now: SimTime, warmup: SimTime, state: &State) {
        let book = &mut self.services[id.index()];
        let mut minute = std::mem::take(&mut book.minute);
        let began = minute.began;
        let seconds = now.saturating_since(began).as_secs_f64();
        if book.has_load && seconds > 0.0 && began >= warmup {
            book.judge(seconds, minute.task_seconds / seconds, minute.vcpu_seconds / seconds, minute.short);
            book.record_elasticity(seconds, minute.vcpu_seconds / seconds, minute.task_seconds / seconds);
            self.judge_service_minute(id, &minute, now, state);
        }
        let book = &mut self.services[id.index()];
        let usual = if book.usual_arrivals == 0.0 { minute.arrived } else { book.usual_arrivals };
        book.usual_arrivals = usual + (minute.arrived - usual) / 10.0;
        if now > warmup {
            book.latency.merge(&minute.latency);
        }
        if let Some(files) = &mut self.files {
            let latencies = LATENCY_QUANTILES.map(|(metric, p)| (metric, minute.latency.quantile(p)));
            let failures = FailureCause::ALL
                .map(|cause| (cause.metric(), Some(minute.failed.of(cause)).filter(|failed| *failed > 0.0)));
            let figures = std::iter::once(("latency_mean_s", minute.latency.mean())).chain(latencies).chain(failures);
            for (metric, value) in figures {
                if let Some(value) = value {
                    files.sample(began, &book.resource, metric, value);
                }
            }
        }
        minute.latency.reset();
        book.minute = Minute { began: now, latency: minute.latency, ..Minute::default() };
    }
}
