//! What is wrong for a while: zones and hosts that are cut off or slow, registries, metrics and calls that fail.
//!
//! [`faults`](super::faults) begins and ends these effects; whoever launches, pulls, publishes or calls asks here.

use std::collections::{BTreeMap, BTreeSet};

use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{FargateShortage, HostBoots, MetricNames, PullFailure, Pulls, Throttling};
use crate::control_plane::event::{Event, InstanceProgress, TaskStep};
use crate::control_plane::record::{Record, Resource};
use crate::ec2::launch::Launch;
use crate::ecs::ids::{InstanceId, TaskKey, ZoneId};
use crate::ecs::service::TokenBucket;
use crate::ecs::throttling::ApiBucket;
use crate::engine::simulation::Schedule;
use crate::engine::time::{SimDuration, SimTime};
use crate::refused::Refused;
use crate::scaling::alarm::MetricKey;
use crate::scaling::metric::{SeriesId, StatisticSet};

/// Everything that is wrong now.
#[derive(Debug, Default)]
pub(super) struct Impairments {
    /// By the strike that brought it about.
    effects: BTreeMap<u64, Effect>,
    /// Hosts whose agent has no connection, with what it could not report and was not told, in order (AGENT-9).
    unreported: BTreeMap<InstanceId, Vec<(TaskKey, TaskStep)>>,
    /// Token buckets of the API, where `api_throttle` is on (LIM-3).
    buckets: BTreeMap<ApiBucket, TokenBucket>,
    /// Since when nothing has reached a zone, without a break.
    unreached: BTreeMap<ZoneId, SimTime>,
    /// Datapoints that are late, by when they come.
    late: BTreeMap<SimTime, Vec<LateDatapoint>>,
}

/// One thing that is wrong.
#[derive(Debug)]
pub(super) enum Effect {
    /// Launches on Fargate find no capacity.
    FargateShortage(FargateShortage),
    /// Nothing reaches a zone.
    ZoneImpaired {
        /// Which.
        zone: ZoneId,
        /// Since when.
        from: SimTime,
        /// Until when, if that is known.
        until: Option<SimTime>,
    },
    /// Hosts give a part of their CPU.
    Degraded {
        /// Which.
        hosts: BTreeSet<InstanceId>,
        /// What is left, in thousandths.
        permille: u32,
    },
    /// Agents have no connection.
    CutOff(BTreeSet<InstanceId>),
    /// Pulls fail.
    Pulls(Pulls),
    /// Launches are slow.
    SlowBoot(HostBoots),
    /// Datapoints are late.
    MetricDelay(MetricNames, SimDuration),
    /// Datapoints are lost.
    MetricGap(MetricNames),
    /// Calls find fewer tokens.
    Throttled(BTreeMap<ApiBucket, TokenBucket>),
}

/// A datapoint on its way.
#[derive(Debug)]
struct LateDatapoint {
    series: SeriesId,
    bucket: SimTime,
    samples: StatisticSet,
    /// Where observers are told of it.
    told: Option<(Resource, &'static str)>,
}

impl Impairments {
    /// Nothing is wrong; with `api_throttle` the buckets of the API are full.
    pub(super) fn new(api_throttle: bool) -> Self {
        let buckets = ApiBucket::ALL.into_iter().filter(|_| api_throttle);
        Self { buckets: buckets.map(|bucket| (bucket, bucket.full(1000))).collect(), ..Self::default() }
    }

    /// The effect of a fault of the API.
    pub(super) fn throttled(throttling: Throttling) -> Effect {
        let buckets = ApiBucket::ALL.into_iter().filter(|bucket| throttling.bucket.is_none_or(|only| only == *bucket));
        Effect::Throttled(buckets.map(|bucket| (bucket, bucket.full(throttling.left_permille))).collect())
    }

    /// Whether Fargate has nothing in the zone of this name.
    pub(super) fn fargate_is_short(&self, spot: bool, zone: &str) -> bool {
        self.effects.values().any(|effect| match effect {
            Effect::FargateShortage(short) => {
                short.spot == spot && short.zone.as_deref().is_none_or(|only| only == zone)
            }
            _ => false,
        })
    }

    /// Nothing reaches this zone.
    pub(super) fn zone_is_impaired(&self, zone: ZoneId) -> bool {
        self.zone_spans(zone).next().is_some()
    }

    /// Whether nothing has reached this zone for so long: checks that fail now have failed all the while.
    pub(super) fn zone_is_impaired_for(&self, zone: ZoneId, wait: SimDuration, now: SimTime) -> bool {
        self.unreached.get(&zone).is_some_and(|since| since.saturating_add(wait) <= now)
    }

    /// Spans in which nothing reaches a zone, of those that have begun.
    pub(super) fn zone_spans(&self, of: ZoneId) -> impl Iterator<Item = (SimTime, Option<SimTime>)> + '_ {
        self.effects.values().filter_map(move |effect| match effect {
            Effect::ZoneImpaired { zone, from, until } if *zone == of => Some((*from, *until)),
            _ => None,
        })
    }

    /// What a host has left of its CPU, in thousandths.
    pub(super) fn speed_permille(&self, id: InstanceId) -> u32 {
        let left = self.effects.values().filter_map(|effect| match effect {
            Effect::Degraded { hosts, permille } if hosts.contains(&id) => Some(*permille),
            _ => None,
        });
        left.min().unwrap_or(1000)
    }

    /// How many times as long a launch takes.
    pub(super) fn boot_factor(&self, group: &str, launch: &Launch, zone: &str) -> f64 {
        let factors = self.effects.values().filter_map(|effect| match effect {
            Effect::SlowBoot(boots) if boots.of.covers(group, launch, zone) => Some(boots.factor),
            _ => None,
        });
        factors.product()
    }

    /// How a pull fails, if it does.
    pub(super) fn pull_failure(&self, image: &str, family: &str, zone: Option<&str>) -> Option<PullFailure> {
        self.effects.values().find_map(|effect| match effect {
            Effect::Pulls(pulls) if pulls.covers(image, family, zone) => Some(pulls.failure),
            _ => None,
        })
    }

    pub(super) fn metric_is_lost(&self, key: &MetricKey) -> bool {
        self.effects.values().any(|effect| matches!(effect, Effect::MetricGap(names) if names.covers(key)))
    }

    fn metric_delay(&self, key: &MetricKey) -> Option<SimDuration> {
        let delays = self.effects.values().filter_map(|effect| match effect {
            Effect::MetricDelay(names, by) if names.covers(key) => Some(*by),
            _ => None,
        });
        delays.max()
    }

    /// LIM-3: takes a token for a call; false when there is none.
    fn take_token(&mut self, call: &str, now: SimTime) -> bool {
        let Some(bucket) = ApiBucket::of(call) else { return true };
        let faults = self.effects.values_mut().filter_map(|effect| match effect {
            Effect::Throttled(buckets) => buckets.get_mut(&bucket),
            _ => None,
        });
        // One token of each that applies: a refused call costs nothing of the others, as it never got there.
        faults.chain(self.buckets.get_mut(&bucket)).all(|bucket| bucket.take(1, now) == 1)
    }
}

impl ControlPlane<'_> {
    /// Something goes wrong for a while.
    pub(super) fn begin_effect(&mut self, strike: u64, effect: Effect, schedule: &mut Schedule<Event>) {
        let (cut_off, degraded, impaired) = match &effect {
            Effect::CutOff(hosts) => (hosts.iter().copied().collect(), Vec::new(), None),
            Effect::Degraded { hosts, .. } => (Vec::new(), hosts.iter().copied().collect(), None),
            Effect::ZoneImpaired { zone, .. } => (self.hosts_in(*zone), Vec::new(), Some(*zone)),
            _ => (Vec::new(), Vec::new(), None),
        };
        if let Some(zone) = impaired {
            self.impairments.unreached.entry(zone).or_insert(schedule.now());
        }
        self.impairments.effects.insert(strike, effect);
        for id in degraded {
            self.share_host(id, schedule);
        }
        for id in cut_off {
            self.disconnect_agent(id, schedule);
        }
        if let Some(zone) = impaired {
            self.probe_zone_anew(zone, schedule);
            self.check_targets_of_zone(zone, schedule);
        }
    }

    /// It is over.
    pub(super) fn end_effect(&mut self, strike: u64, schedule: &mut Schedule<Event>) {
        let Some(effect) = self.impairments.effects.remove(&strike) else { return };
        match effect {
            Effect::Degraded { hosts, .. } => {
                for id in hosts {
                    self.share_host_if_there(id, schedule);
                }
            }
            Effect::CutOff(_) => self.reconnect_agents(schedule),
            Effect::ZoneImpaired { zone, .. } => {
                if !self.impairments.zone_is_impaired(zone) {
                    self.impairments.unreached.remove(&zone);
                }
                self.reconnect_agents(schedule);
                self.probe_zone_anew(zone, schedule);
            }
            Effect::FargateShortage(_) => {
                for place in 0..self.state.clusters.len() {
                    self.wake_waiting(crate::ecs::ids::ClusterId(place as u32), schedule);
                }
            }
            Effect::Pulls(_)
            | Effect::SlowBoot(_)
            | Effect::MetricDelay(..)
            | Effect::MetricGap(_)
            | Effect::Throttled(_) => {}
        }
    }

    fn share_host_if_there(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        if self.state.instance(id).is_some() {
            self.share_host(id, schedule);
        }
    }

    /// Registered hosts of a zone, in launch order.
    fn hosts_in(&self, zone: ZoneId) -> Vec<InstanceId> {
        let clusters = self.state.clusters.iter().flat_map(|entry| entry.cluster.instances());
        let mut hosts: Vec<InstanceId> = clusters.filter(|host| host.zone == zone).map(|host| host.id).collect();
        hosts.sort_unstable();
        hosts
    }

    /// AGENT-9: the agent loses its connection: no new tasks are placed there, and states freeze.
    pub(super) fn disconnect_agent(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group) = self.state.group_of(id) else { return };
        let cluster = self.groups[group.index()].cluster;
        let Some(zone) = self.state.instance(id).map(crate::ec2::instance::Instance::zone) else { return };
        if self.impairments.zone_is_impaired(zone) {
            let wait = self.estate.behaviour.impaired_wait;
            schedule.after(wait, Event::Instance { instance: id, step: InstanceProgress::Impaired });
        }
        if self.state.clusters[cluster.index()].cluster.set_agent_connected(id, false) {
            self.impairments.unreported.entry(id).or_default();
            self.record_capacity(id, now);
        }
    }

    /// Agents that nothing keeps from connecting any more do, and report what happened meanwhile.
    fn reconnect_agents(&mut self, schedule: &mut Schedule<Event>) {
        let back: Vec<InstanceId> =
            self.impairments.unreported.keys().copied().filter(|id| !self.is_kept_off(*id)).collect();
        for id in back {
            self.reconnect_agent(id, schedule);
        }
    }

    fn is_kept_off(&self, id: InstanceId) -> bool {
        let zone = self.state.instance(id).map(crate::ec2::instance::Instance::zone);
        self.impairments.effects.values().any(|effect| match effect {
            Effect::CutOff(hosts) => hosts.contains(&id),
            Effect::ZoneImpaired { zone: impaired, .. } => zone == Some(*impaired),
            _ => false,
        })
    }

    fn reconnect_agent(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        let steps = self.impairments.unreported.remove(&id).unwrap_or_default();
        let Some(group) = self.state.group_of(id) else { return };
        let cluster = self.groups[group.index()].cluster;
        if !self.state.clusters[cluster.index()].cluster.set_agent_connected(id, true) {
            return;
        }
        self.record_capacity(id, schedule.now());
        for (task, step) in steps {
            self.on_task_step(task, step, schedule);
        }
        self.daemons_join(cluster, id, schedule);
        self.wake_waiting(cluster, schedule);
    }

    /// Keeps a step back that the agent of the task's host cannot report, or cannot be told; true when it did.
    pub(super) fn keep_back(&mut self, key: TaskKey, step: TaskStep) -> bool {
        let Some(task) = self.state.tasks.get(key) else { return false };
        let Some(kept) = task.instance.and_then(|id| self.impairments.unreported.get_mut(&id)) else { return false };
        if !kept.contains(&(key, step)) {
            kept.push((key, step));
        }
        true
    }

    /// The host is gone, and what its agent had to say with it.
    pub(super) fn forget_agent(&mut self, id: InstanceId) {
        self.impairments.unreported.remove(&id);
    }

    /// Load balancers see the targets of a zone otherwise from now on.
    fn probe_zone_anew(&mut self, zone: ZoneId, schedule: &mut Schedule<Event>) {
        let mut tasks: Vec<(u64, TaskKey)> = self
            .state
            .tasks
            .iter()
            .filter(|(_, task)| task.zone == Some(zone) && task.registered)
            .map(|(key, task)| (task.number, key))
            .collect();
        tasks.sort_unstable_by_key(|(number, _)| *number);
        for (_, key) in tasks {
            self.probe_anew(key, schedule);
        }
    }

    /// LIM-3: a call that finds no token is refused.
    pub(super) fn throttle(&mut self, call: &str, now: SimTime) -> Result<(), Refused> {
        if self.impairments.take_token(call, now) {
            return Ok(());
        }
        Err(Refused { code: "ThrottlingException", message: "Rate exceeded".to_owned(), rule: "LIM-3" })
    }

    /// Puts samples into a series, now, later or never.
    ///
    /// Values come from the model and are finite; a rejected one would only leave a gap, as CloudWatch does.
    pub(super) fn push_samples(
        &mut self,
        series: SeriesId,
        bucket: SimTime,
        samples: &StatisticSet,
        told: Option<(Resource, &'static str)>,
        now: SimTime,
    ) {
        if !self.impairments.effects.is_empty() {
            let key = self.cloudwatch.store.key(series);
            if self.impairments.metric_is_lost(key) {
                return;
            }
            if let Some(by) = self.impairments.metric_delay(key) {
                let shows = self.cloudwatch.store.publication(series).visible_at(bucket).max(now).saturating_add(by);
                let late = LateDatapoint { series, bucket, samples: *samples, told };
                self.impairments.late.entry(shows).or_default().push(late);
                return;
            }
        }
        self.push_now(series, bucket, samples, told, now);
    }

    fn push_now(
        &mut self,
        series: SeriesId,
        bucket: SimTime,
        samples: &StatisticSet,
        told: Option<(Resource, &'static str)>,
        now: SimTime,
    ) {
        if self.cloudwatch.store.push(series, bucket, samples).is_err() {
            return;
        }
        if let (Some((resource, metric)), Some(value)) = (told, samples.average()) {
            let record = Record::Datapoint { resource, metric, period_start: bucket, value };
            self.observer.observe(now, &record, &self.state);
        }
    }

    /// Datapoints that were late and are due by now show; asked before anybody looks at a metric.
    pub(super) fn publish_late_datapoints(&mut self, now: SimTime) {
        while let Some(entry) = self.impairments.late.first_entry().filter(|entry| *entry.key() <= now) {
            for late in entry.remove() {
                self.push_now(late.series, late.bucket, &late.samples, late.told, now);
            }
        }
    }
}
