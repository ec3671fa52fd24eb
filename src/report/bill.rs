//! The bill: what each machine, task, load balancer and alarm of a run costs, every billed second once.
//!
//! The bill is of the whole run: money is spent in the warm-up too. Each row is rounded to a billionth of a dollar and
//! sums are kept in those, so that the rows of `cost.csv` add up to `cost_usd` exactly.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg};
use std::sync::Arc;

use indexmap::IndexSet;

use crate::catalog::{
    FARGATE_SPOT_RATIO, FargatePrice, FargateSize, FargateUsage, HOURS_PER_MONTH, OtherPrice, catalog,
};
use crate::control_plane::estate::{Estate, Prices, SpotPool};
use crate::control_plane::state::State;
use crate::ec2::instance::Market;
use crate::ecs::capacity_provider::Provider;
use crate::ecs::ebs::EbsVolume;
use crate::ecs::target_group::BalancerKind;
use crate::ecs::task::{LaunchTarget, Task};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};
use crate::engine::time::SimDuration;
use crate::scaling::alarm::AlarmDefinition;
use crate::units::Usd;

/// Billionths of a dollar: exact sums, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NanoUsd(i64);

impl NanoUsd {
    /// The nearest billionth.
    pub fn from_usd(usd: Usd) -> Self {
        Self((usd.0 * 1e9).round() as i64)
    }

    /// Dollars, for summaries.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// This times `part / whole`, for shares; nothing of nothing.
    pub fn share(self, part: SimDuration, whole: SimDuration) -> Self {
        if whole.is_zero() {
            return Self(0);
        }
        let share = i128::from(self.0) * i128::from(part.as_nanos()) / i128::from(whole.as_nanos());
        Self(i64::try_from(share).unwrap_or(self.0))
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{rest:09}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for NanoUsd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self(0), Add::add)
    }
}

/// What is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// EC2 instances on demand.
    Ec2OnDemand,
    /// EC2 Spot instances.
    Ec2Spot,
    /// Root volumes.
    Ebs,
    /// Public IPv4 addresses.
    PublicIpv4,
    /// Fargate tasks.
    Fargate,
    /// Fargate Spot tasks.
    FargateSpot,
    /// Hours of load balancers.
    LoadBalancer,
    /// Capacity units of load balancers.
    Lcu,
    /// CloudWatch alarms.
    CloudwatchAlarm,
    /// Images in private repositories of ECR.
    EcrStorage,
    /// What NAT gateways have passed on of image pulls.
    NatGateway,
}

impl Item {
    /// In `cost.csv`, and in the summary's `cost_<item>_usd`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ec2OnDemand => "ec2_on_demand",
            Self::Ec2Spot => "ec2_spot",
            Self::Ebs => "ebs",
            Self::PublicIpv4 => "public_ipv4",
            Self::Fargate => "fargate",
            Self::FargateSpot => "fargate_spot",
            Self::LoadBalancer => "load_balancer",
            Self::Lcu => "lcu",
            Self::CloudwatchAlarm => "cloudwatch_alarm",
            Self::EcrStorage => "ecr_storage",
            Self::NatGateway => "nat_gateway",
        }
    }

    /// The item of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|item| item.as_str() == name)
    }

    const ALL: [Self; 11] = [
        Self::Ec2OnDemand,
        Self::Ec2Spot,
        Self::Ebs,
        Self::PublicIpv4,
        Self::Fargate,
        Self::FargateSpot,
        Self::LoadBalancer,
        Self::Lcu,
        Self::CloudwatchAlarm,
        Self::EcrStorage,
        Self::NatGateway,
    ];

    /// Whether it is what capacity costs, hosts with all that belongs to them and Fargate tasks: what the series
    /// `cost_per_hour_usd` is of.
    pub const fn is_capacity(self) -> bool {
        match self {
            Self::Ec2OnDemand | Self::Ec2Spot | Self::Ebs | Self::PublicIpv4 | Self::Fargate | Self::FargateSpot => {
                true
            }
            Self::LoadBalancer | Self::Lcu | Self::CloudwatchAlarm | Self::EcrStorage | Self::NatGateway => false,
        }
    }
}

/// A row of `cost.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct CostRow {
    /// What is charged.
    pub item: Item,
    /// For what: an instance, a task, a load balancer, an alarm.
    pub resource: String,
    /// How much of the unit.
    pub quantity: f64,
    /// Of what.
    pub unit: &'static str,
    /// Dollars per unit.
    pub unit_price: Usd,
    /// Quantity times price, to the billionth.
    pub cost: NanoUsd,
}

impl CostRow {
    /// `quantity` of `unit` at `unit_price`.
    pub fn new(item: Item, resource: impl Into<String>, quantity: f64, unit: &'static str, unit_price: Usd) -> Self {
        let cost = NanoUsd::from_usd(unit_price * quantity);
        Self { item, resource: resource.into(), quantity, unit, unit_price, cost }
    }
}

/// The sums of a bill.
#[derive(Clone, Debug, Default)]
pub struct Bill {
    totals: BTreeMap<Item, NanoUsd>,
}

impl Bill {
    /// Adds a row.
    pub fn charge(&mut self, row: &CostRow) {
        *self.totals.entry(row.item).or_default() += row.cost;
    }

    /// The sum of all rows.
    pub fn total(&self) -> NanoUsd {
        self.totals.values().copied().sum()
    }

    /// The sum of each item that was charged.
    pub fn items(&self) -> impl Iterator<Item = (Item, NanoUsd)> {
        self.totals.iter().map(|(item, total)| (*item, *total))
    }
}

/// FG-3: a Windows licence, by vCPU and hour.
const WINDOWS_LICENCE_VCPU_HOUR: Usd = Usd(0.046);

/// Alarms that cost nothing (COST-1).
pub const FREE_ALARMS: usize = 10;

/// The prices of one estate: the catalogue's, with the scenario's overrides and discounts.
#[derive(Debug)]
pub struct PriceList {
    region: String,
    prices: Prices,
    fargate_spot_ratio: f64,
    spot_pools: Vec<SpotPool>,
    instances: BTreeMap<(Arc<str>, Market, Arc<str>), Usd>,
    notes: IndexSet<String>,
}

impl PriceList {
    /// The prices that hold for `estate`.
    pub fn new(estate: &Estate) -> Self {
        Self {
            region: estate.region.clone(),
            prices: estate.prices.clone(),
            fargate_spot_ratio: estate.behaviour.fargate_spot_ratio,
            spot_pools: estate.spot_pools.iter().filter(|pool| pool.price_per_hour.is_some()).cloned().collect(),
            instances: BTreeMap::new(),
            notes: IndexSet::new(),
        }
    }

    /// What a reader of the bill must know: estimates, and prices that are missing.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// An hour of an instance in a zone; zero, with a note, where no price is known.
    pub fn instance_hour(&mut self, instance_type: &Arc<str>, market: Market, zone: &Arc<str>) -> Usd {
        let key = (instance_type.clone(), market, zone.clone());
        if let Some(price) = self.instances.get(&key) {
            return *price;
        }
        let price = self.look_up(instance_type, market, zone);
        self.instances.insert(key, price);
        price
    }

    fn look_up(&mut self, instance_type: &str, market: Market, zone: &str) -> Usd {
        let given =
            |list: &[(String, f64)]| list.iter().find(|(name, _)| name == instance_type).map(|(_, usd)| Usd(*usd));
        let on_demand = given(&self.prices.on_demand)
            .or_else(|| catalog().on_demand(instance_type, &self.region).map(|price| price.usd_per_hour));
        // EC2-24: the price of the pool.
        let pool = SpotPool::find(&self.spot_pools, instance_type, zone).and_then(|pool| pool.price_per_hour).map(Usd);
        let price = match market {
            // EC2-25: a savings plan changes the rate only.
            Market::OnDemand => on_demand.map(|price| price * (1.0 - self.prices.savings_plan_discount)),
            Market::Spot => pool.or_else(|| given(&self.prices.spot)).or_else(|| {
                let spot = catalog().spot(instance_type, &self.region);
                if let Some(spot) = &spot {
                    let date = spot.as_of;
                    self.notes.insert(format!("Spot prices are estimates from the savings published on {date}"));
                }
                spot.map(|spot| spot.usd_per_hour)
            }),
        };
        price.unwrap_or_else(|| {
            self.notes.insert(format!(
                "no {market} price of {instance_type} in {} is known: its hosts are not in the bill; set `prices`",
                self.region
            ));
            Usd(0.0)
        })
    }

    /// What an hour of Windows adds to an instance that runs it: a licence per vCPU, at the rate that Fargate publishes
    /// (FG-3); zero on Linux.
    pub fn licence_hour(&mut self, instance_type: &str, windows: bool) -> Usd {
        let vcpus = catalog().instance_type(instance_type).map_or(0, |known| known.vcpus);
        if !windows || vcpus == 0 {
            return Usd(0.0);
        }
        let rate = WINDOWS_LICENCE_VCPU_HOUR;
        self.notes.insert(format!("Windows licences of hosts are estimated at {} USD per vCPU-hour", rate.0));
        rate * vcpus as f64
    }

    /// Size of a host's root volume [GiB] and its price per GiB-month.
    pub fn root_volume(&self) -> Option<(f64, Usd)> {
        let gib = self.prices.root_volume_gib.unwrap_or(30.0);
        let price = catalog().other("ebs", "gp3_storage", &self.region)?;
        (gib > 0.0).then(|| (gib, price.usd()))
    }

    /// The row of a task's own volume that lived for `lived` (VOL-2); `None`, with a note, where no price is known.
    pub fn volume_row(&mut self, task: &str, volume: EbsVolume, lived: SimDuration) -> Option<CostRow> {
        let (name, region) = (volume.kind.name, &self.region);
        let Some(price) = catalog().other("ebs", &format!("{name}_storage"), region) else {
            self.notes
                .insert(format!("no price of {name} volumes in {region} is known: those of tasks are not in the bill"));
            return None;
        };
        let months = f64::from(volume.gib) * lived.as_secs_f64() / 3600.0 / HOURS_PER_MONTH;
        Some(CostRow::new(Item::Ebs, task, months, "GB-month", price.usd()))
    }

    /// Price of an hour of a public IPv4 address, where hosts have one.
    pub fn public_ipv4_hour(&self) -> Option<Usd> {
        self.address_hour().filter(|_| self.prices.public_ipv4)
    }

    /// Price of an hour of a public IPv4 address.
    fn address_hour(&self) -> Option<Usd> {
        catalog().other("public_ipv4", "in_use_or_idle_address_hour", &self.region).map(OtherPrice::usd)
    }

    /// Everything an hour of a host costs: machine, volume, address.
    pub fn host_hour(&mut self, instance_type: &Arc<str>, market: Market, zone: &Arc<str>) -> Usd {
        let address = self.public_ipv4_hour().unwrap_or_default();
        self.instance_hour(instance_type, market, zone) + self.volume_hour() + address
    }

    /// What an hour of a host costs while its machine is stopped: its volume.
    pub fn volume_hour(&self) -> Usd {
        self.root_volume().map_or(Usd(0.0), |(gib, price)| price * (gib / HOURS_PER_MONTH))
    }

    /// Fargate's prices (FG-3, FG-4), overrides included; `None`, with a note, where there are none.
    pub fn fargate(&mut self, os: OperatingSystem, architecture: CpuArchitecture, spot: bool) -> Option<FargatePrice> {
        let overridden = self.prices.fargate_vcpu_hour.is_some() || self.prices.fargate_gb_hour.is_some();
        let published = self.fargate_spot_ratio == FARGATE_SPOT_RATIO && !overridden;
        let price = if spot && published {
            catalog().fargate(&self.region, os, architecture, true)
        } else {
            catalog().fargate(&self.region, os, architecture, false).map(|mut price| {
                price.vcpu_hour = self.prices.fargate_vcpu_hour.map_or(price.vcpu_hour, Usd);
                price.gb_hour = self.prices.fargate_gb_hour.map_or(price.gb_hour, Usd);
                if spot { price.at_spot_ratio(self.fargate_spot_ratio) } else { price }
            })
        };
        if price.is_none() {
            let region = &self.region;
            self.notes.insert(format!(
                "no Fargate price for {os:?} on {architecture:?} in {region} is known: its tasks are not in the bill"
            ));
        }
        price
    }

    /// The rows of a Fargate task that ran for `running` from its first image pull (FG-2).
    pub fn fargate_rows(&mut self, task: &str, running: SimDuration, size: FargateTask) -> Vec<CostRow> {
        let Some(price) = self.fargate(size.os, size.architecture, size.spot) else { return Vec::new() };
        let item = if size.spot { Item::FargateSpot } else { Item::Fargate };
        let usage = FargateUsage::of(running, size.size, fargate_minimum(size.os));
        let vcpu_hour = price.vcpu_hour + price.licence_vcpu_hour;
        let mut rows = vec![
            CostRow::new(item, task, usage.vcpu_hours, "vCPU-hour", vcpu_hour),
            CostRow::new(item, task, usage.gb_hours, "GB-hour", price.gb_hour),
        ];
        if usage.storage_gb_hours > 0.0 {
            rows.push(CostRow::new(item, task, usage.storage_gb_hours, "storage-GB-hour", price.storage_gb_hour));
        }
        if let Some(address) = self.address_hour().filter(|_| size.public_ip) {
            // By the second, a minute at least, as an address of a host.
            let seconds = running.as_nanos().div_ceil(1_000_000_000).max(60);
            let hours = seconds as f64 / 3600.0;
            rows.push(CostRow::new(Item::PublicIpv4, task, hours, "address-hour", address));
        }
        rows
    }

    /// What an hour of a Fargate task costs.
    pub fn fargate_hour(&mut self, size: FargateTask) -> Usd {
        let Some(price) = self.fargate(size.os, size.architecture, size.spot) else { return Usd(0.0) };
        let address = self.address_hour().filter(|_| size.public_ip).unwrap_or_default();
        FargateUsage::of(SimDuration::HOUR, size.size, SimDuration::ZERO).cost(&price) + address
    }

    /// The rows of a load balancer that was there for `hours` begun hours and routed `requests`.
    ///
    /// How many connections the requests share is not modelled: each counts as a new one, the upper bound of the
    /// dimension that ordinary traffic is charged for.
    pub fn load_balancer_rows(&mut self, name: &str, kind: BalancerKind, hours: u64, requests: f64) -> Vec<CostRow> {
        let (service, unit_item, unit, per_second) = match kind {
            BalancerKind::Application => ("alb", "lcu_hour", "LCU-hour", 25.0),
            BalancerKind::Network => ("nlb", "nlcu_hour", "NLCU-hour", 800.0),
            // Charged by the gigabyte, which requests do not tell.
            BalancerKind::Classic => ("clb", "", "", 0.0),
        };
        let price = |item: &str| catalog().other(service, item, &self.region).map_or(Usd(0.0), OtherPrice::usd);
        let mut rows = vec![CostRow::new(Item::LoadBalancer, name, hours as f64, "hour", price("load_balancer_hour"))];
        if requests > 0.0 && kind != BalancerKind::Classic {
            rows.push(CostRow::new(Item::Lcu, name, requests / (per_second * 3600.0), unit, price(unit_item)));
            self.notes.insert("load balancer capacity units count each request as a new connection".to_owned());
        }
        rows
    }

    /// What images of `stored_mib` in ECR cost over the run, and the pulls of `pulled_mib` where they leave through a NAT
    /// gateway (IMG-7). Transfer from ECR within the Region costs nothing.
    pub fn image_rows(&self, stored_mib: f64, pulled_mib: f64, run: SimDuration) -> Vec<CostRow> {
        let mut rows = Vec::new();
        let months = run.as_secs_f64() / 3600.0 / HOURS_PER_MONTH;
        if let Some(price) = catalog().other("ecr", "storage", &self.region).filter(|_| stored_mib > 0.0) {
            rows.push(CostRow::new(Item::EcrStorage, "ecr", stored_mib / 1024.0 * months, "GB-month", price.usd()));
        }
        let passes = pulled_mib > 0.0 && self.prices.nat_gateway;
        if let Some(price) = catalog().other("nat_gateway", "data_processed", &self.region).filter(|_| passes) {
            rows.push(CostRow::new(Item::NatGateway, "image pulls", pulled_mib / 1024.0, "GB", price.usd()));
        }
        rows
    }

    /// The row of an alarm that existed for `lived`; `place` counts the standard alarm metrics before it (COST-1).
    pub fn alarm_row(&mut self, alarm: &AlarmDefinition, lived: SimDuration, place: usize) -> CostRow {
        let high_resolution = is_high_resolution(alarm);
        let item = if high_resolution { "alarm_high_resolution" } else { "alarm_standard" };
        // COST-1: an alarm is billed per metric it refers to, and the first ten standard alarm metrics are free.
        let metrics = alarm.watched.metrics().len();
        let free = if high_resolution { 0 } else { metrics.min(FREE_ALARMS.saturating_sub(place)) };
        if free > 0 {
            self.notes.insert(format!(
                "the first {FREE_ALARMS} standard-resolution CloudWatch alarms are free, as in an account without others"
            ));
        }
        let listed = catalog().other("cloudwatch", item, &self.region).map_or(Usd(0.0), OtherPrice::usd);
        let (billed, price) = if free == metrics { (metrics, Usd(0.0)) } else { (metrics - free, listed) };
        let months = lived.as_secs_f64() / 3600.0 / HOURS_PER_MONTH * billed as f64;
        CostRow::new(Item::CloudwatchAlarm, alarm.name.as_str(), months, "alarm-month", price)
    }
}

/// COST-1: alarms with periods below a minute cost three times as much.
pub fn is_high_resolution(alarm: &AlarmDefinition) -> bool {
    alarm.period < SimDuration::MINUTE
}

/// FG-2: one minute on Linux; five on Windows, `fargate_windows_min_s`.
const fn fargate_minimum(os: OperatingSystem) -> SimDuration {
    match os {
        OperatingSystem::Linux => SimDuration::MINUTE,
        OperatingSystem::Windows => SimDuration::from_mins(5),
    }
}

/// What a Fargate task is billed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FargateTask {
    /// Its size.
    pub size: FargateSize,
    /// Its operating system.
    pub os: OperatingSystem,
    /// Its architecture.
    pub architecture: CpuArchitecture,
    /// On Fargate Spot.
    pub spot: bool,
    /// With a public IPv4 address (`assignPublicIp`).
    pub public_ip: bool,
}

impl FargateTask {
    /// What a task of this state is billed by.
    pub fn of(task: &Task, state: &State) -> Self {
        let definition = &state.definitions[task.definition.index()].definition;
        let needs = state.requirements(task.shape);
        Self {
            size: FargateSize {
                cpu: needs.cpu,
                memory: needs.memory,
                ephemeral_storage_gib: definition.ephemeral_storage_gib,
            },
            os: definition.operating_system,
            architecture: definition.cpu_architecture,
            spot: task.launch == LaunchTarget::Provider(Provider::FargateSpot),
            public_ip: state.profiles[task.profile.index()].extras.public_ip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::ebs::EbsType;
    use crate::report::tests::estate;
    use crate::scaling::alarm::{ComparisonOperator, MetricKey};
    use crate::units::{CpuUnits, MiB};

    fn task(cpu: u64, memory: u64, storage: Option<u32>, spot: bool) -> FargateTask {
        FargateTask {
            size: FargateSize { cpu: CpuUnits(cpu), memory: MiB(memory), ephemeral_storage_gib: storage },
            os: OperatingSystem::Linux,
            architecture: CpuArchitecture::X86_64,
            spot,
            public_ip: false,
        }
    }

    fn total(rows: &[CostRow]) -> f64 {
        rows.iter().map(|row| row.cost).sum::<NanoUsd>().as_usd()
    }

    #[test]
    fn money_is_exact_and_short() {
        let table = [(0.008_228_333_4, "0.008228333"), (1.0, "1"), (0.1, "0.1"), (-2.5, "-2.5"), (1e-10, "0")];
        for (usd, expected) in table {
            assert_eq!(NanoUsd::from_usd(Usd(usd)).to_string(), expected);
        }
        let tenths: NanoUsd = (0..10).map(|_| NanoUsd::from_usd(Usd(0.1))).sum();
        assert_eq!(tenths, NanoUsd::from_usd(Usd(1.0)), "ten dimes make a dollar, unlike in binary");
        let share = NanoUsd::from_usd(Usd(3.0)).share(SimDuration::from_secs(1), SimDuration::from_secs(3));
        assert_eq!(share.to_string(), "1");
        assert_eq!(NanoUsd(5).share(SimDuration::MINUTE, SimDuration::ZERO), NanoUsd(0));
    }

    #[test]
    fn fg_2_tasks_are_charged_by_size_and_second() {
        let mut prices = PriceList::new(&estate());
        let cost =
            |prices: &mut PriceList, task, secs| total(&prices.fargate_rows("t", SimDuration::from_secs(secs), task));
        assert!((cost(&mut prices, task(1024, 2048, None, false), 600) - 0.008_228_3).abs() < 5e-8, "EX-FG-2");
        assert!((cost(&mut prices, task(256, 512, None, false), 20) - 0.000_205_7).abs() < 5e-8, "EX-FG-3");
        assert!((cost(&mut prices, task(4096, 8192, Some(100), false), 3600) - 0.206_36).abs() < 5e-6, "EX-FG-4");
    }

    #[test]
    fn fg_4_spot_is_a_share_of_on_demand_and_overrides_win() {
        let mut overridden = estate();
        overridden.prices.fargate_vcpu_hour = Some(1.0);
        overridden.prices.fargate_gb_hour = Some(0.0);
        overridden.behaviour.fargate_spot_ratio = 0.25;
        let mut prices = PriceList::new(&overridden);
        let hour = SimDuration::HOUR;
        assert_eq!(total(&prices.fargate_rows("t", hour, task(2048, 4096, None, false))), 2.0);
        assert_eq!(total(&prices.fargate_rows("t", hour, task(2048, 4096, None, true))), 0.5);
        assert_eq!(prices.fargate_hour(task(2048, 4096, None, true)), Usd(0.5));
    }

    fn zone() -> Arc<str> {
        Arc::from("us-east-1a")
    }

    #[test]
    fn ec2_24_a_spot_instance_costs_the_price_of_its_pool() {
        let mut estate = estate();
        let pool = |zone: Option<&str>, price| SpotPool {
            instance_type: "m5.large".into(),
            zone: zone.map(str::to_owned),
            price_per_hour: Some(price),
            capacity: None,
            interruptions_per_hour: None,
        };
        estate.spot_pools = vec![pool(None, 0.03), pool(Some("us-east-1a"), 0.02)];
        let mut prices = PriceList::new(&estate);
        let large: Arc<str> = Arc::from("m5.large");
        assert_eq!(prices.instance_hour(&large, Market::Spot, &zone()), Usd(0.02));
        assert_eq!(prices.instance_hour(&large, Market::Spot, &Arc::from("us-east-1b")), Usd(0.03));
    }

    #[test]
    fn ec2_25_a_savings_plan_changes_the_rate_of_on_demand_only() {
        let mut discounted = estate();
        discounted.prices.savings_plan_discount = 0.25;
        discounted.prices.spot = vec![("m5.large".into(), 0.04)];
        let mut prices = PriceList::new(&discounted);
        let large: Arc<str> = Arc::from("m5.large");
        assert!((prices.instance_hour(&large, Market::OnDemand, &zone()).0 - 0.072).abs() < 1e-12);
        assert_eq!(prices.instance_hour(&large, Market::Spot, &zone()), Usd(0.04));
        assert_eq!(prices.notes().count(), 0);
    }

    #[test]
    fn a_missing_price_is_named() {
        let mut prices = PriceList::new(&estate());
        assert_eq!(prices.instance_hour(&Arc::from("z9.mega"), Market::OnDemand, &zone()), Usd(0.0));
        assert!(prices.notes().any(|note| note.contains("z9.mega")));
    }

    #[test]
    fn hosts_have_volumes_unless_told_otherwise() {
        let mut estate = estate();
        assert_eq!(PriceList::new(&estate).root_volume(), Some((30.0, Usd(0.08))));
        estate.prices.root_volume_gib = Some(0.0);
        estate.prices.public_ipv4 = true;
        let mut prices = PriceList::new(&estate);
        assert_eq!(prices.root_volume(), None);
        let hour = prices.host_hour(&Arc::from("m5.large"), Market::OnDemand, &zone());
        assert!((hour.0 - 0.101).abs() < 1e-12, "{hour:?}");
    }

    #[test]
    fn a_load_balancer_is_charged_by_the_hour_and_by_its_requests() {
        let mut prices = PriceList::new(&estate());
        let rows = prices.load_balancer_rows("front", BalancerKind::Application, 24, 25.0 * 3600.0 * 10.0);
        assert!((total(&rows) - (24.0 * 0.0225 + 10.0 * 0.008)).abs() < 1e-9);
        assert_eq!(prices.load_balancer_rows("front", BalancerKind::Network, 1, 0.0).len(), 1);
        assert!(prices.notes().any(|note| note.contains("connection")));
    }

    #[test]
    fn cost_1_the_first_ten_standard_alarms_are_free() {
        let alarm = |period: SimDuration| AlarmDefinition {
            period,
            ..AlarmDefinition::new(
                "cpu",
                MetricKey::service("c", "s", "CPUUtilization"),
                ComparisonOperator::GreaterThanThreshold,
                60.0,
                3,
            )
        };
        let mut prices = PriceList::new(&estate());
        let month = SimDuration::from_secs_f64(HOURS_PER_MONTH * 3600.0);
        let mut cost = |period, place| prices.alarm_row(&alarm(period), month, place).cost.as_usd();
        assert_eq!((cost(SimDuration::MINUTE, 9), cost(SimDuration::MINUTE, 10)), (0.0, 0.1));
        assert_eq!(cost(SimDuration::from_secs(10), 0), 0.3);
        assert!(prices.notes().any(|note| note.contains("first 10")), "the reader of the bill is told");
    }

    #[test]
    fn vol_2_a_volume_is_billed_while_its_task_lives() {
        let mut prices = PriceList::new(&estate());
        let volume = |name: &str| EbsVolume { kind: EbsType::named(name).unwrap(), gib: 73 };
        let row = prices.volume_row("task", volume("gp2"), SimDuration::HOUR).unwrap();
        assert_eq!((row.item, row.unit), (Item::Ebs, "GB-month"));
        assert!((row.quantity - 0.1).abs() < 1e-12, "73 GiB for a 730th of a month");
        assert_eq!(row.cost, NanoUsd::from_usd(Usd(0.01)));
        assert_eq!(prices.volume_row("task", volume("standard"), SimDuration::HOUR), None);
        assert!(prices.notes().any(|note| note.contains("no price of standard volumes")));
        assert_eq!(prices.licence_hour("m5.large", true), Usd(0.092), "FG-3: two vCPUs with Windows");
        assert_eq!(prices.licence_hour("m5.large", false), Usd(0.0));
    }

    #[test]
    fn img_7_images_are_charged_by_size_and_month_and_pulls_by_the_nat_gateway() {
        let mut estate = estate();
        let month = SimDuration::from_secs_f64(HOURS_PER_MONTH * 3600.0);
        let rows = PriceList::new(&estate).image_rows(2048.0, 10_240.0, month);
        assert!((total(&rows) - 0.2).abs() < 1e-9, "2 GB-months of storage; within the Region pulls are free");
        estate.prices.nat_gateway = true;
        let rows = PriceList::new(&estate).image_rows(2048.0, 10_240.0, month);
        assert!((total(&rows) - (0.2 + 10.0 * 0.045)).abs() < 1e-9);
        assert!(PriceList::new(&estate).image_rows(0.0, 0.0, month).is_empty());
    }

    #[test]
    fn items_are_found_by_their_names() {
        for item in Item::ALL {
            assert_eq!(Item::named(item.as_str()), Some(item));
        }
        assert_eq!(Item::named("nat_gateway_hour"), None);
    }

    #[test]
    fn a_public_address_of_a_fargate_task_is_charged_when_it_has_one() {
        let mut prices = PriceList::new(&estate());
        let without = prices.fargate_rows("t", SimDuration::HOUR, task(256, 512, None, false));
        assert!(without.iter().all(|row| row.item != Item::PublicIpv4));
        let public = FargateTask { public_ip: true, ..task(256, 512, None, false) };
        let rows = prices.fargate_rows("t", SimDuration::HOUR * 2, public);
        let address = rows.iter().find(|row| row.item == Item::PublicIpv4).map(|row| row.cost.as_usd());
        assert_eq!(address, Some(0.01), "two hours at $0.005");
        assert_eq!(
            prices.fargate_hour(public) + Usd(0.0),
            prices.fargate_hour(task(256, 512, None, false)) + Usd(0.005)
        );
    }

    #[test]
    fn ex_cost_1() {
        use crate::scaling::alarm::Watched;
        use crate::scaling::metric::Statistic;
        use crate::scaling::metric_math::{MathMetric, MetricDataQuery, MetricMath, Query};
        let metric = |id: &str| MetricDataQuery {
            id: id.to_owned(),
            query: Query::Metric(MathMetric {
                key: MetricKey::new("Test", id, &[]),
                statistic: Statistic::Average,
                period: SimDuration::MINUTE,
                unit: None,
            }),
            return_data: false,
        };
        let backlog =
            MetricDataQuery { id: "e1".to_owned(), query: Query::Expression("m1 / m2".to_owned()), return_data: true };
        let math = MetricMath::new(&[metric("m1"), metric("m2"), backlog]).unwrap();
        let plain = AlarmDefinition::new(
            "backlog",
            MetricKey::new("Test", "m1", &[]),
            ComparisonOperator::GreaterThanThreshold,
            120.0,
            3,
        );
        let alarm = AlarmDefinition { watched: Watched::Math(math.into()), ..plain };
        let mut prices = PriceList::new(&estate());
        let month = SimDuration::from_secs_f64(HOURS_PER_MONTH * 3600.0);
        let mut cost = |place| prices.alarm_row(&alarm, month, place).cost.as_usd();
        assert!((2.0 * cost(10) - 0.4).abs() < 1e-9, "two alarms of two metrics each");
        assert_eq!((cost(8), cost(9)), (0.0, 0.1), "the free ones come first");
    }
}
