//! EC2's side of launches: pools with price, room and hazard, shortages, and Spot interruptions (ASG-35…40).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::catalog::catalog;
use crate::control_plane::ControlPlane;
use crate::control_plane::estate::{Estate, Shortage, SpotPool};
use crate::control_plane::event::{Event, InstanceProgress};
use crate::control_plane::record::{Decision, InstanceStep};
use crate::ec2::capacity_pool::{CapacityPools, InterruptionModel, next_wave, spot_limit, wave_takes};
use crate::ec2::instance::{Lifecycle, Market, TerminationCause};
use crate::ec2::launch::Launch;
use crate::ecs::ids::{GroupId, InstanceId, ZoneId};
use crate::engine::simulation::Schedule;
use crate::engine::streams::{Stream, Streams};
use crate::engine::time::{SimDuration, SimTime};
use crate::workload::distribution::Distribution;
use crate::workload::rate::Rate;

/// ASG-38: from the notice to the end of the instance.
pub(super) const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

/// Every pool that a group has launched from or that the scenario describes, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Markets {
    pools: Vec<Pool>,
    ids: BTreeMap<(ZoneId, Arc<str>), usize>,
    /// Shortages in force, by the fault that brought them about.
    shortages: BTreeMap<u64, Shortage>,
    /// Zones that are out, likewise.
    outages: BTreeMap<u64, ZoneId>,
}

/// Spot capacity of one type in one zone.
#[derive(Debug)]
struct Pool {
    zone: ZoneId,
    instance_type: Arc<str>,
    /// Dollars per hour, piecewise constant.
    price: Rate,
    on_demand: f64,
    hazard: f64,
    /// What the scenario says of it.
    described: Option<SpotPool>,
    /// Spot instances that take of it now.
    used: u32,
    /// Chance of the times of its waves, or of the lives of its instances.
    times: Stream,
    /// Chance of who is taken.
    victims: Stream,
    waves: bool,
}

impl Markets {
    fn pool_id(
        &mut self,
        zone: ZoneId,
        name: &str,
        instance_type: &Arc<str>,
        estate: &Estate,
        streams: &Streams,
    ) -> usize {
        let key = (zone, Arc::clone(instance_type));
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let on_demand = estate.on_demand_price(instance_type).unwrap_or(f64::INFINITY);
        let described = estate.spot_pool(instance_type, name).cloned();
        let market = catalog().spot(instance_type, &estate.region);
        let hazard = described.as_ref().and_then(|pool| pool.interruptions_per_hour);
        self.pools.push(Pool {
            zone,
            instance_type: Arc::clone(instance_type),
            price: estate.spot_price(instance_type, name).unwrap_or(Rate::Constant(on_demand)),
            on_demand,
            hazard: hazard.or(market.map(|market| market.hazard_per_hour)).unwrap_or_default(),
            described,
            used: 0,
            times: streams.named(&format!("spot-times/{instance_type}/{name}")),
            victims: streams.named(&format!("spot-victims/{instance_type}/{name}")),
            waves: false,
        });
        self.ids.insert(key, self.pools.len() - 1);
        self.pools.len() - 1
    }

    fn pool(&self, launch: &Launch) -> Option<&Pool> {
        self.ids.get(&(launch.zone, Arc::clone(&launch.instance_type))).map(|id| &self.pools[*id])
    }

    /// A zone whose power is gone.
    pub(super) fn is_out(&self, zone: ZoneId) -> bool {
        self.outages.values().any(|out| *out == zone)
    }

    /// A fault begins.
    pub(super) fn begin_outage(&mut self, fault: u64, zone: ZoneId) {
        self.outages.insert(fault, zone);
    }

    /// Likewise.
    pub(super) fn begin_shortage(&mut self, fault: u64, shortage: Shortage) {
        self.shortages.insert(fault, shortage);
    }

    /// A fault is over.
    pub(super) fn end(&mut self, fault: u64) {
        self.outages.remove(&fault);
        self.shortages.remove(&fault);
    }
}

impl Pool {
    fn capacity(&self, now: SimTime) -> u32 {
        let capacity = self.described.as_ref().and_then(|pool| pool.capacity.as_ref());
        // A guard against decimal steps that are a hair below a whole number.
        capacity.map_or(u32::MAX, |rate| (rate.at(now) + 1e-9).floor().clamp(0.0, f64::from(u32::MAX)) as u32)
    }
}

/// The pools as one group sees them now.
pub(super) struct MarketView<'a> {
    pub(super) markets: &'a Markets,
    /// The group's name, for shortages of its own.
    pub(super) group: &'a str,
    /// Names of zones.
    pub(super) zones: &'a [Arc<str>],
    pub(super) now: SimTime,
}

impl CapacityPools for MarketView<'_> {
    fn room(&self, launch: &Launch) -> u32 {
        let short = self.markets.is_out(launch.zone)
            || self
                .markets
                .shortages
                .values()
                .any(|shortage| shortage.covers(self.group, launch, &self.zones[launch.zone.index()]));
        match launch.market {
            _ if short => 0,
            Market::OnDemand => u32::MAX,
            Market::Spot => self.markets.pool(launch).map_or(u32::MAX, |pool| {
                let capacity = pool.capacity(self.now);
                if capacity == u32::MAX { u32::MAX } else { capacity.saturating_sub(pool.used) }
            }),
        }
    }

    fn price(&self, launch: &Launch) -> f64 {
        let pool = self.markets.pool(launch);
        match launch.market {
            Market::OnDemand => pool.map_or(f64::INFINITY, |pool| pool.on_demand),
            Market::Spot => pool.map_or(f64::INFINITY, |pool| pool.price.at(self.now)),
        }
    }

    fn on_demand_price(&self, instance_type: &Arc<str>) -> f64 {
        let pools = &self.markets.pools;
        pools.iter().find(|pool| pool.instance_type == *instance_type).map_or(f64::INFINITY, |pool| pool.on_demand)
    }

    fn hazard(&self, launch: &Launch) -> f64 {
        self.markets.pool(launch).map_or(0.0, |pool| pool.hazard)
    }
}

impl ControlPlane<'_> {
    /// Pools whose capacity or price changes in time are watched from the start.
    pub(super) fn start_markets(&mut self, schedule: &mut Schedule<Event>) {
        let estate = self.estate;
        let moves = |rate: &Option<Rate>| rate.as_ref().is_some_and(|rate| rate.next_change(SimTime::ZERO).is_some());
        for described in estate.spot_pools.iter().filter(|pool| moves(&pool.capacity) || moves(&pool.price_per_hour)) {
            let instance_type: Arc<str> = described.instance_type.as_str().into();
            for place in 0..self.state.zones.len() {
                let name = Arc::clone(&self.state.zones[place]);
                if estate.spot_pool(&instance_type, &name) != Some(described) {
                    continue;
                }
                let id = self.markets.pool_id(ZoneId(place as u32), &name, &instance_type, estate, &self.streams);
                self.watch_pool(id, schedule);
            }
        }
    }

    fn watch_pool(&self, id: usize, schedule: &mut Schedule<Event>) {
        let pool = &self.markets.pools[id];
        let capacity = pool.described.as_ref().and_then(|pool| pool.capacity.as_ref());
        let next =
            [capacity, Some(&pool.price)].into_iter().flatten().filter_map(|rate| rate.next_change(schedule.now()));
        if let Some(at) = next.min() {
            schedule.at(at, Event::PoolChange(id as u32));
        }
    }

    /// Every pool that a group may launch from is known.
    pub(super) fn open_pools(&mut self, group: GroupId) {
        let group = &self.state.groups[group.index()];
        for zone in group.zones() {
            for instance_type in group.instance_types() {
                let name = &self.state.zones[zone.index()];
                self.markets.pool_id(*zone, name, instance_type, self.estate, &self.streams);
            }
        }
    }

    /// A Spot instance has been launched: its pool has less room, and may take it back.
    pub(super) fn spot_launched(&mut self, id: InstanceId, launch: &Launch, schedule: &mut Schedule<Event>) {
        if launch.market != Market::Spot {
            return;
        }
        let name = Arc::clone(&self.state.zones[launch.zone.index()]);
        let place = self.markets.pool_id(launch.zone, &name, &launch.instance_type, self.estate, &self.streams);
        let behaviour = &self.estate.behaviour;
        let pool = &mut self.markets.pools[place];
        pool.used += 1;
        match behaviour.spot_interruptions {
            InterruptionModel::Independent => {
                // One draw a launch: the k-th instance of a pool lives as long in every variant.
                if let Some(life) = next_wave(pool.hazard, 1.0, &mut pool.times) {
                    schedule.after(life, Event::Instance { instance: id, step: InstanceProgress::SpotNotice });
                }
            }
            InterruptionModel::Correlated if !pool.waves => {
                pool.waves = true;
                // Waves come from time zero on, whoever is there: variants face the same ones.
                let mut at = SimTime::ZERO;
                while let Some(gap) = next_wave(pool.hazard, behaviour.spot_wave_share, &mut pool.times) {
                    at = at.saturating_add(gap);
                    if at >= schedule.now() {
                        schedule.at(at, Event::SpotWave(place as u32));
                        break;
                    }
                }
            }
            InterruptionModel::Correlated | InterruptionModel::None => {}
        }
    }

    /// A Spot instance has left its pool.
    pub(super) fn spot_released(&mut self, id: InstanceId) {
        let Some(instance) = self.state.instance(id).filter(|instance| instance.market() == Market::Spot) else {
            return;
        };
        let key = (instance.zone(), Arc::clone(&instance.instance_type));
        if let Some(place) = self.markets.ids.get(&key) {
            self.markets.pools[*place].used -= 1;
        }
    }

    /// Spot instances of a pool that have no notice yet, in launch order.
    fn spot_instances(&self, pool: usize) -> Vec<InstanceId> {
        let pool = &self.markets.pools[pool];
        let mut instances: Vec<InstanceId> = self
            .state
            .groups
            .iter()
            .flat_map(crate::ec2::auto_scaling_group::AutoScalingGroup::instances)
            .filter(|i| i.market() == Market::Spot && i.zone() == pool.zone && i.instance_type == pool.instance_type)
            .filter(|i| i.spot_notice.is_none() && !i.ec2_state().is_down())
            .map(|i| i.id)
            .collect();
        instances.sort_unstable();
        instances
    }

    /// EC2 takes back a share of a pool within minutes.
    pub(super) fn on_spot_wave(&mut self, pool: u32, schedule: &mut Schedule<Event>) {
        let place = pool as usize;
        let share = self.estate.behaviour.spot_wave_share;
        for instance in self.spot_instances(place) {
            if let Some(after) = wave_takes(share, &mut self.markets.pools[place].victims) {
                schedule.after(after, Event::Instance { instance, step: InstanceProgress::SpotNotice });
            }
        }
        let entry = &mut self.markets.pools[place];
        if let Some(gap) = next_wave(entry.hazard, share, &mut entry.times) {
            schedule.after(gap, Event::SpotWave(pool));
        }
    }

    /// A pool's capacity or price has changed: what it no longer has, or somebody no longer pays for, is taken back; what
    /// it has again may be used.
    pub(super) fn on_pool_change(&mut self, pool: u32, schedule: &mut Schedule<Event>) {
        let (place, now) = (pool as usize, schedule.now());
        self.watch_pool(place, schedule);
        self.price_moved(place, schedule);
        let capacity = self.markets.pools[place].capacity(now);
        let mut candidates = self.spot_instances(place);
        let excess = candidates.len().saturating_sub(capacity as usize);
        self.markets.pools[place].victims.shuffle(&mut candidates);
        for instance in candidates.into_iter().take(excess) {
            self.on_spot_notice(instance, schedule);
        }
        self.capacity_back(schedule);
    }

    /// ASG-37: who pays less than the price of the pool now loses his instances, with the notice of any interruption.
    fn price_moved(&mut self, place: usize, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let pool = &self.markets.pools[place];
        let (price, on_demand) = (pool.price.at(now), pool.on_demand);
        for id in self.spot_instances(place) {
            let Some(instance) = self.state.instance(id) else { continue };
            let limit = spot_limit(&self.state.groups[instance.group.index()], &instance.instance_type, on_demand);
            self.record_step(id, InstanceStep::Repriced, now);
            if price > limit {
                let why = format!("at ${price} an hour its pool costs more than the ${limit} it may cost");
                self.give_spot_notice(id, Some(&why), schedule);
            }
        }
    }

    /// Capacity that was missing may be there again: zones may be evened out (ASG-9); launches retry by themselves
    /// (ASG-40).
    pub(super) fn capacity_back(&mut self, schedule: &mut Schedule<Event>) {
        for place in 0..self.state.groups.len() {
            self.rebalance_soon(GroupId(place as u32), schedule);
        }
    }

    /// ASG-38: two minutes' notice. With Capacity Rebalancing the group acts at once (ASG-39); with managed draining, or
    /// the agent's Spot draining, the container instance drains for as long as it has (DRN-4, DRN-7).
    pub(super) fn on_spot_notice(&mut self, id: InstanceId, schedule: &mut Schedule<Event>) {
        self.give_spot_notice(id, None, schedule);
    }

    /// The notice; `dear` says why, when the price is the reason and not EC2's own needs.
    fn give_spot_notice(&mut self, id: InstanceId, dear: Option<&str>, schedule: &mut Schedule<Event>) {
        let now = schedule.now();
        let Some(group_id) = self.state.group_of(id) else { return };
        let group = &mut self.state.groups[group_id.index()];
        let (rebalances, agent) = (group.definition.capacity_rebalance, group.definition.ecs_spot_instance_draining);
        let Some(instance) = group.instance_mut(id) else { return };
        if instance.market() != Market::Spot || instance.spot_notice.is_some() || instance.ec2_state().is_down() {
            return;
        }
        instance.spot_notice = Some(now);
        let replaced = rebalances && instance.lifecycle() == Lifecycle::InService && !instance.is_protected();
        self.decide(now, |state| {
            let host = state.instance(id)?;
            Some(Decision {
                actor: "ec2",
                subject: id.ec2_id().to_string(),
                action: "spot-notice",
                from: Value::Null,
                to: Value::Null,
                reason: format!(
                    "its {} pool in {} is taken back in two minutes{}",
                    host.instance_type,
                    state.zone_name(host.zone()),
                    dear.map(|why| format!(": {why}")).unwrap_or_default()
                ),
                rule: if dear.is_some() { "ASG-37" } else { "ASG-38" },
                inputs: json!({ "group": state.groups[group_id.index()].definition.name }),
            })
        });
        schedule.after(SPOT_NOTICE, Event::Instance { instance: id, step: InstanceProgress::Interrupted });
        if replaced {
            let why = "EC2 gave notice of its interruption";
            self.terminate(id, TerminationCause::CapacityRebalancing, why, "ASG-39", schedule);
            self.groups[group_id.index()].cause = format!("{} was taken out of service: {why}", id.ec2_id());
            self.reconcile_soon(group_id, schedule);
        } else {
            let managed = self.groups[group_id.index()]
                .provider
                .is_some_and(|provider| self.state.providers[provider.index()].definition.managed_draining);
            if managed || agent {
                self.set_draining(id, true, schedule);
            }
        }
    }
}

/// Times of a fault that strikes again and again.
pub(super) fn next_strike(every: &Distribution, chance: &mut Stream) -> SimDuration {
    // A fault that struck twice at one instant would strike for ever.
    every.sample_duration(chance).max(SimDuration::from_millis(1))
}
