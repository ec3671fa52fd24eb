//! What is kept of a host while it lives, and for how long it was idle.

use crate::catalog::HOURS_PER_MONTH;
use crate::control_plane::record::{InstanceStep, Resource};
use crate::control_plane::state::State;
use crate::ec2::instance::{Ec2State, Instance, Market};
use crate::ecs::ids::{ClusterId, GroupId, InstanceId};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::Detail;
use crate::report::bill::{CostRow, Item, NanoUsd, PriceList};
use crate::report::events;
use crate::report::files::cell;
use crate::report::format::{Seconds, seconds_or_empty};
use crate::report::plot::MachinePlan;
use crate::scaling::idle::GroupView;
use crate::units::Usd;

use super::Recorder;
use super::busiest::HostLoad;
use super::idle::{Idle, IdleSpan, Idled};

/// What is kept of a host while it lives.
#[derive(Debug)]
pub(super) struct HostBook {
    pub(super) group: GroupId,
    /// What an hour of it costs while its machine runs.
    pub(super) rate: NanoUsd,
    /// What an hour of its volume costs.
    pub(super) volume_rate: NanoUsd,
    /// What its group's hourly cost has of it now.
    pub(super) charged: NanoUsd,
    /// Whether it waits in the warm pool of its group.
    pub(super) warmed: bool,
    pub(super) registered_vcpus: f64,
    pub(super) registered: bool,
    /// Since when its machine runs.
    pub(super) running: Option<SimTime>,
    /// How long it ran before.
    pub(super) ran: SimDuration,
    /// While it is idle.
    pub(super) idle: Option<Idle>,
    /// For how long it has been idle.
    pub(super) idled: Idled,
    /// Changes of its container instance, for its events' version.
    pub(super) version: u32,
}

/// What Windows adds to an hour of a host, if its group runs it.
fn licence_hour(prices: &mut PriceList, instance: &Instance, state: &State) -> Usd {
    let windows = state.groups[instance.group.index()].definition.windows_family.is_some();
    prices.licence_hour(&instance.instance_type, windows)
}

/// What an hour of a host's machine costs on average over `span` (EC2-24), with its licence.
pub(super) fn machine_hour(
    prices: &mut PriceList,
    instance: &Instance,
    span: (SimTime, SimTime),
    state: &State,
) -> Usd {
    let zone = &state.zones[instance.zone().index()];
    let price = prices.instance_hour(&instance.instance_type, instance.market(), zone, span);
    price + licence_hour(prices, instance, state)
}

impl HostBook {
    /// Billed, and no task but daemons bound to it: it is the host of this id.
    pub(super) fn is_idle(&self, id: InstanceId, state: &State) -> bool {
        self.running.is_some() && !state.is_at_work(id)
    }

    /// The machine stops, for good or for the pool.
    fn stop(&mut self, now: SimTime) {
        if let Some(since) = self.running.take() {
            self.ran += now.saturating_since(since);
        }
    }

    /// Books the idle time up to `until`, and the spans that are over; returns the vCPU-seconds idled since `from` on a
    /// registered host.
    pub(super) fn settle(
        &mut self,
        until: SimTime,
        from: SimTime,
        group: &GroupView,
        spans: &mut Vec<IdleSpan>,
    ) -> f64 {
        let Some(idle) = &mut self.idle else { return 0.0 };
        let since = idle.since;
        idle.settle(until, group, &mut self.idled, spans);
        if self.registered {
            self.registered_vcpus * until.saturating_since(since.max(from)).as_secs_f64()
        } else {
            0.0
        }
    }
}

impl Recorder {
    pub(super) fn on_instance(&mut self, now: SimTime, id: InstanceId, step: InstanceStep, state: &State) {
        let Some(instance) = state.instance(id) else { return };
        let group = instance.group;
        if step == InstanceStep::Launched {
            let zone = &state.zones[instance.zone().index()];
            let licence = licence_hour(&mut self.prices, instance, state);
            let machine = self.prices.host_hour(&instance.instance_type, instance.market(), zone, now);
            let rate = NanoUsd::from_usd(machine + licence);
            let volume_rate = NanoUsd::from_usd(self.prices.volume_hour());
            self.hosts.insert(
                id,
                Box::new(HostBook {
                    group,
                    rate,
                    volume_rate,
                    charged: NanoUsd::default(),
                    warmed: instance.lifecycle().is_warmed(),
                    registered_vcpus: 0.0,
                    registered: false,
                    running: None,
                    ran: SimDuration::ZERO,
                    idle: None,
                    idled: Idled::default(),
                    version: 0,
                }),
            );
        }
        self.note_hosts(now);
        self.settle_idle(id, now);
        let Some(host) = self.hosts.get_mut(id) else { return };
        let (rate, volume_rate, charged) = (host.rate, host.volume_rate, host.charged);
        match step {
            InstanceStep::Running => {
                host.running = Some(now);
                host.charged = rate;
                self.group_rate(group, rate + -charged, now, state);
            }
            InstanceStep::Warmed if instance.ec2_state() == Ec2State::Stopped => {
                host.stop(now);
                host.charged = volume_rate;
                self.group_rate(group, volume_rate + -charged, now, state);
            }
            // What waits running is on the bill as before.
            InstanceStep::Launched
            | InstanceStep::InService
            | InstanceStep::Protection
            | InstanceStep::Held
            | InstanceStep::Draining
            | InstanceStep::Activated
            | InstanceStep::Terminating
            | InstanceStep::Warmed => {}
            InstanceStep::Repriced => {
                let zone = &state.zones[instance.zone().index()];
                let hour = self.prices.host_hour(&instance.instance_type, instance.market(), zone, now);
                host.rate = NanoUsd::from_usd(hour);
                if host.running.is_some() {
                    host.charged = host.rate;
                    let by = host.rate + -charged;
                    self.group_rate(group, by, now, state);
                }
            }
            InstanceStep::TakenFromPool => host.warmed = false,
            InstanceStep::ReturnedToPool => (host.warmed, host.registered) = (true, false),
            InstanceStep::Registered => {
                host.registered = true;
                let registered = state.clusters.iter().find_map(|entry| entry.cluster.instance(id));
                host.registered_vcpus = registered.map_or(0.0, |host| host.registered.cpu.as_vcpus());
                if let Some(container_instance) = registered {
                    let machine = MachinePlan {
                        asg: state.groups[group.index()].definition.name.clone(),
                        kind: instance.instance_type.to_string(),
                        cpu: container_instance.registered.cpu.0,
                        memory_mib: container_instance.registered.memory.0,
                    };
                    if !self.machines.contains(&machine) {
                        self.machines.push(machine);
                    }
                }
            }
            InstanceStep::ShuttingDown => {
                host.stop(now);
                host.charged = NanoUsd::default();
                if charged != NanoUsd::default() {
                    self.group_rate(group, -charged, now, state);
                }
            }
            InstanceStep::Terminated => self.close_host(id, instance, now, state),
        }
        self.follow_idle(id, now, state);
    }

    /// So many hosts are there; what was over when the warm-up ended does not count.
    fn note_hosts(&mut self, now: SimTime) {
        if now >= self.warmup {
            self.hosts_peak = self.hosts_peak.max(self.hosts.len());
        }
    }

    /// A host is gone, or the run is over: its bill.
    pub(super) fn close_host(&mut self, id: InstanceId, instance: &Instance, now: SimTime, state: &State) {
        self.note_hosts(now);
        self.settle_idle(id, now);
        let Some(mut host) = self.hosts.remove(id) else { return };
        if let Some(idle) = host.idle.take() {
            idle.end(&mut self.idle_spans);
            self.forget_idle(host.group, id);
        }
        let name = id.ec2_id().to_string();
        let billed = instance.billed_seconds(now);
        self.billed_secs += billed;
        let hours = billed as f64 / 3600.0;
        let item = match instance.market() {
            Market::OnDemand => Item::Ec2OnDemand,
            Market::Spot => Item::Ec2Spot,
        };
        // EC2-24: a second costs what its pool cost then, so a run costs the mean over it.
        host.stop(now);
        let from = instance.running().unwrap_or(now);
        let span = (from, from + host.ran);
        let price = machine_hour(&mut self.prices, instance, span, state);
        let machine = CostRow::new(item, name.as_str(), hours, "instance-hour", price);
        let machine_cost = machine.cost;
        let lived = instance.terminated.unwrap_or(now).saturating_since(instance.launched);
        let volume = self.prices.root_volume().map(|(gib, price)| {
            let months = gib * lived.as_secs_f64() / 3600.0 / HOURS_PER_MONTH;
            CostRow::new(Item::Ebs, name.as_str(), months, "GB-month", price)
        });
        let address = self.prices.public_ipv4_hour();
        let address = address.map(|price| CostRow::new(Item::PublicIpv4, name.as_str(), hours, "address-hour", price));
        let rows = [(billed > 0).then_some(machine), volume, address.filter(|_| billed > 0)];
        for row in rows.into_iter().flatten() {
            self.charge(&row);
        }
        let idle = host.idled.cost(machine_cost, host.ran);
        self.idle_cost.add(&idle);
        self.group_idle_cost.entry(host.group).or_default().add(&idle);
        if self.files.is_some() {
            let seconds = seconds_or_empty;
            let row = [
                name,
                state.groups[host.group.index()].definition.name.clone(),
                instance.instance_type.to_string(),
                state.zone_name(instance.zone()).to_owned(),
                instance.market().to_string(),
                Seconds(instance.launched).to_string(),
                seconds(instance.in_service),
                seconds(instance.registered),
                seconds(instance.draining),
                seconds(instance.terminating),
                seconds(instance.terminated),
                billed.to_string(),
                machine_cost.to_string(),
                cell(instance.termination_cause),
            ];
            self.instance_rows.insert(id, row);
        }
    }

    fn group_rate(&mut self, group: GroupId, by: NanoUsd, now: SimTime, state: &State) {
        if !self.writes_series() {
            return;
        }
        let rate = self.group_rates.entry(group).or_default();
        *rate += by;
        let rate = rate.as_usd();
        self.level(now, &state.resource_name(Resource::Group(group)), "cost_per_hour_usd", rate);
    }

    pub(super) fn on_container_instance(&mut self, now: SimTime, cluster: ClusterId, id: InstanceId, state: &State) {
        if self.detail != Detail::Full || self.files.is_none() {
            return;
        }
        let found = state.clusters[cluster.index()].cluster.instance(id);
        let load = found.map(|host| HostLoad {
            zone: host.zone_name.clone(),
            registered_cpu: host.registered.cpu,
            reserved_cpu: host.registered.cpu - host.remaining.cpu,
            registered_memory: host.registered.memory.0,
            reserved_memory: (host.registered.memory - host.remaining.memory).0,
        });
        self.busiest.set(id, load, now);
        if let Some(host) = found {
            let version = self.hosts.get_mut(id).map_or(0, |book| {
                book.version += 1;
                book.version
            });
            let event = events::container_instance_state_change(state, cluster, host, version, now, self.events);
            self.event(&event);
        }
    }
}
