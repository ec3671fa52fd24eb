//! The end of a run: what is still there is charged, and the figures are drawn up.

use crate::control_plane::cpu_sharing;
use crate::control_plane::record::Resource;
use crate::control_plane::state::State;
use crate::ecs::ids::{GroupId, InstanceId, ProviderId, ServiceId};
use crate::ecs::image::ImageTable;
use crate::ecs::task::{Task, TaskStatus};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::bill::is_high_resolution;
use crate::report::elasticity::ElasticityFigures;
use crate::report::format::Seconds;
use crate::report::plot::{DefinitionPlan, PicturePlan};
use crate::report::summary::{ReplicationSummary, Unit, WARMUP_NOTE};
use crate::stats::TimeWeighted;
use crate::units::CpuUnits;
use crate::workload::failed::FailureCause;

use super::Recorder;
use super::cluster::ClusterBook;
use super::idle::IdleCost;
use super::plan::service_plan;
use super::service::LATENCY_QUANTILES;

impl Recorder {
    /// Fills the summary and writes what is known only at the end.
    pub(super) fn conclude(&mut self, now: SimTime, state: &State) {
        self.flush_levels(state);
        for place in 0..state.services.len() {
            let id = ServiceId(place as u32);
            self.service(id, now, state);
            self.end_minute(id, now, self.warmup, state);
        }
        let alive: Vec<InstanceId> = self.hosts.iter().map(|(id, _)| id).collect();
        for id in alive {
            if let Some(instance) = state.instance(id) {
                self.close_host(id, instance, now, state);
            }
        }
        let mut running: Vec<&Task> =
            state.tasks.values().filter(|task| task.last_status != TaskStatus::Stopped).collect();
        running.sort_unstable_by_key(|task| task.number);
        for task in running {
            if task.launch.is_fargate() {
                self.charge_fargate(task, now, state);
            }
            self.charge_volume(task, now, state);
            self.write_task(task, state);
        }
        self.close_queues(now, state);
        self.charge_balancers(now, state);
        self.charge_alarms(now, state);
        for metric in &state.billed_metrics {
            let row = self.prices.metric_row(metric);
            self.charge(&row);
        }
        self.charge_images(now, state);
        if let Some(files) = &mut self.files {
            for row in std::mem::take(&mut self.instance_rows).values() {
                files.instance(row);
            }
            for (id, load) in self.busiest.at_peak() {
                files.packing(&[
                    Seconds(self.busiest.at).to_string(),
                    id.ec2_id().to_string(),
                    load.zone.to_string(),
                    load.registered_cpu.0.to_string(),
                    load.reserved_cpu.0.to_string(),
                    load.registered_memory.to_string(),
                    load.reserved_memory.to_string(),
                ]);
            }
        }
        self.write_idle_spans(state);
        self.summarize(now, state);
        self.plan = Some(self.picture_plan(now, state));
    }

    fn charge_balancers(&mut self, now: SimTime, state: &State) {
        // A begun hour counts as a whole one.
        let hours = now.as_nanos().div_ceil(SimDuration::HOUR.as_nanos());
        for balancer in &state.load_balancers {
            let requests = self.balancer_requests.get(&balancer.name).copied().unwrap_or(0.0);
            for row in self.prices.load_balancer_rows(&balancer.name, balancer.kind, hours, requests) {
                self.charge(&row);
            }
        }
    }

    /// IMG-7: every layer of an image in ECR is stored once, from the beginning of the run.
    fn charge_images(&mut self, now: SimTime, state: &State) {
        let mut table = ImageTable::default();
        for software in &state.software {
            let containers = &state.definitions[software.definition.index()].definition.containers;
            for ((container, behaviour), push) in containers.iter().zip(&software.behaviours).zip(&software.pushes) {
                table.intern_push(&container.image, &behaviour.image, *push, None);
            }
        }
        let rows =
            self.prices.image_rows(table.stored_in_ecr_mib(), self.pulled_mib, now.saturating_since(SimTime::ZERO));
        for row in rows {
            self.charge(&row);
        }
    }

    fn charge_alarms(&mut self, now: SimTime, state: &State) {
        let mut standard = 0;
        for entry in &state.alarms {
            let lived = entry.deleted.unwrap_or(now).saturating_since(entry.created);
            let row = self.prices.alarm_row(&entry.alarm.definition, lived, standard);
            if !is_high_resolution(&entry.alarm.definition) {
                standard += entry.alarm.definition.watched.metrics().len();
            }
            self.charge(&row);
        }
    }

    fn summarize(&mut self, now: SimTime, state: &State) {
        let mut summary = ReplicationSummary::default();
        summary.set("cost_usd", self.bill.total().as_usd(), Unit::Usd);
        for (item, total) in self.bill.items() {
            summary.set(format!("cost_{}_usd", item.as_str()), total.as_usd(), Unit::Usd);
        }
        Self::set_idle_cost(&mut summary, "", &self.idle_cost);
        for (place, group) in state.groups.iter().enumerate() {
            let id = GroupId(place as u32);
            let cost = self.group_idle_cost.get(&id).copied().unwrap_or_default();
            let mut names = vec![Resource::Group(id)];
            let providers = state.providers.iter().enumerate().filter(|(_, provider)| provider.group == group.id);
            names.extend(providers.map(|(place, _)| Resource::Provider(ProviderId(place as u32))));
            for resource in names {
                Self::set_idle_cost(&mut summary, &format!("{}:", state.resource_name(resource)), &cost);
            }
        }
        summary.set("instance_hours", self.billed_secs as f64 / 3600.0, Unit::Hours);
        summary.set("instances_peak", self.hosts_peak as f64, Unit::Count);
        let integral = |pick: fn(&ClusterBook) -> &TimeWeighted| -> f64 {
            self.clusters.iter().map(|book| pick(book).integral(now)).sum()
        };
        let registered_cpu = integral(|book| &book.registered_cpu);
        let registered_memory = integral(|book| &book.registered_memory);
        if registered_cpu > 0.0 {
            let unit = CpuUnits::PER_VCPU as f64;
            let own = integral(|book| &book.own_cpu) / 1000.0;
            let loads = self.clusters.iter().map(|book| book.load_vcpu_seconds).sum::<f64>() * unit;
            let idle = self.idle_cpu_seconds * unit;
            summary.set("idle_cpu_ratio", (idle / registered_cpu).min(1.0), Unit::Ratio);
            summary.set("cpu_reserved_ratio", integral(|book| &book.reserved_cpu) / registered_cpu, Unit::Ratio);
            // No more than there is: see `cpu_sharing` on what two services may take at once.
            summary.set("cpu_used_ratio", ((own + loads) / registered_cpu).min(1.0), Unit::Ratio);
        }
        if registered_memory > 0.0 {
            let reserved = integral(|book| &book.reserved_memory);
            summary.set("memory_reserved_ratio", reserved / registered_memory, Unit::Ratio);
        }
        summary.set("tasks_started", self.tasks_started as f64, Unit::Count);
        summary.set("tasks_failed", self.tasks_failed as f64, Unit::Count);
        for (name, p) in [("task_wait_p50_s", 0.5), ("task_wait_p99_s", 0.99)] {
            summary.set(name, self.waits.quantile(p).unwrap_or(f64::NAN), Unit::Seconds);
        }
        for book in &self.services {
            let resource = &book.resource;
            let mut set = |metric: &str, value: f64, unit| summary.set(format!("{resource}:{metric}"), value, unit);
            if book.has_load {
                set("requests", book.requests, Unit::Requests);
                set("requests_failed", book.failed.total(), Unit::Requests);
                for cause in FailureCause::ALL {
                    set(cause.metric(), book.failed.of(cause), Unit::Requests);
                }
                set("requests_retried", book.retried as f64, Unit::Requests);
                if book.requests > 0.0 {
                    set("availability_ratio", (1.0 - book.failed.total() / book.requests).max(0.0), Unit::Ratio);
                }
                set("latency_mean_s", book.latency.mean().unwrap_or(f64::NAN), Unit::Seconds);
                for (metric, p) in LATENCY_QUANTILES {
                    set(metric, book.latency.quantile(p).unwrap_or(f64::NAN), Unit::Seconds);
                }
            }
            set("scaling_actions", book.scaling_actions as f64, Unit::Count);
            set("below_desired_s", book.below_desired, Unit::Seconds);
            set("under_capacity_s", book.under + self.short_for_messages(resource), Unit::Seconds);
            set("over_capacity_s", book.over, Unit::Seconds);
            for (metric, share) in book.elasticity.figures().into_iter().flat_map(ElasticityFigures::entries) {
                set(metric, share, Unit::Ratio);
            }
        }
        for book in &self.queues {
            book.summarize(&mut summary);
        }
        for book in &self.rules {
            book.summarize(&mut summary);
        }
        if !self.queues.is_empty() {
            summary.note(
                "calls of queues take no time, no receive misses a message, and a message is delivered twice only after its \
                 visibility timeout",
            );
        }
        if self.services.iter().any(|book| book.has_load || book.utilization.is_some()) {
            summary.note(format!(
                "a host's CPU is shared by weight (container `cpu`), idle CPU going to whoever asks; task-level sizes and \
                 Fargate's are hard caps; shares follow demand every {} s; how long a task runs is as drawn",
                cpu_sharing::INTERVAL.as_secs()
            ));
        }
        if self.services.iter().any(|book| book.has_load && !book.per_request) {
            summary.note(
                "clients do not retry; under overload, requests answered after their timeout have used CPU for nothing, so \
                 goodput falls below capacity",
            );
        }
        for note in self.prices.notes() {
            summary.note(note);
        }
        if self.warmup > SimTime::ZERO {
            summary.note(WARMUP_NOTE);
        }
        summary.objectives = self.close_objectives(&summary);
        self.summary = summary;
    }

    /// The idle cost of the whole run, or of the part whose keys begin with `of`, and its causes.
    fn set_idle_cost(summary: &mut ReplicationSummary, of: &str, cost: &IdleCost) {
        summary.set(format!("{of}idle_cost_usd"), cost.total.as_usd(), Unit::Usd);
        for (cause, cost) in cost.causes() {
            summary.set(format!("{of}idle_{cause}_usd"), cost.as_usd(), Unit::Usd);
        }
    }

    fn picture_plan(&self, now: SimTime, state: &State) -> PicturePlan {
        let services = state
            .services
            .iter()
            .enumerate()
            .map(|(place, service)| service_plan(ServiceId(place as u32), service, &self.policies, state))
            .collect();
        let definitions = state
            .definitions
            .iter()
            .map(|entry| {
                let needs = entry.definition.requirements();
                DefinitionPlan { name: entry.definition.name(), cpu: needs.cpu.0, memory_mib: needs.memory.0 }
            })
            .collect();
        PicturePlan {
            scenario: self.scenario.clone(),
            seed: self.seed,
            start: state.start,
            duration_s: now.as_secs_f64(),
            warmup_s: self.warmup.as_secs_f64(),
            occurrences: self.occurrences.clone(),
            requests: self.services.iter().map(|book| book.requests).sum(),
            requests_failed: self.services.iter().map(|book| book.failed.total()).sum(),
            tasks_refused: self.tasks_refused,
            services,
            definitions,
            machines: self.machines.clone(),
            queues: self.queue_plans(),
        }
    }
}
