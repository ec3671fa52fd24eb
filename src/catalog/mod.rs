//! The catalogue: instance types, prices and default delays, each figure dated.
//!
//! The figures live in the CSV files of `data/`, reduced from public sources that each file names, and are part of the
//! binary. Prices are US dollars before tax and for Linux unless said; whoever shows one shows its date.
//!
//! ```
//! let catalog = ecsim::catalog::catalog();
//! let m5_large = catalog.instance_type("m5.large").unwrap();
//! assert_eq!((m5_large.cpu().0, m5_large.awsvpc_slots_trunking), (2048, Some(10)));
//! let price = catalog.on_demand("m5.large", "us-east-1").unwrap();
//! assert_eq!((price.usd_per_hour.0, price.as_of), (0.096, "2026-07-20"));
//! assert_eq!(catalog.nearest_instance_types("m5.lrage", 1), ["m5.large"]);
//! ```

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};
use crate::units::Usd;
use crate::workload::distribution::Distribution;

mod data;
mod fargate;
mod instance_type;
mod price;

pub use fargate::{
    FARGATE_INCLUDED_STORAGE_GIB, FARGATE_SPOT_RATIO, FargatePrice, FargateSize, FargateUsage, NoFargateConfiguration,
    check_fargate_size, fargate_cost, fargate_memories,
};
pub use instance_type::{
    Hypervisor, InstanceType, RegisteredBasis, ReservedMemoryTooLarge, less_reserved_memory, registered_from_memtotal,
    registered_memory_rule,
};
pub use price::{Confidence, HOURS_PER_MONTH, InterruptionBucket, OtherPrice, Price, PriceBasis, SpotMarket};

/// The regions with EC2 prices, in the order of the data files' columns.
const REGIONS: [&str; 7] =
    ["us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1"];

/// The region every price is known in, and from which missing ones are scaled.
const HOME_REGION: &str = REGIONS[0];

/// The built-in catalogue, read on first use.
pub fn catalog() -> &'static Catalog {
    static CATALOG: LazyLock<Catalog> =
        LazyLock::new(|| data::read().expect("the embedded files are read whole by this module's tests"));
    &CATALOG
}

/// Instance types, prices and default delays.
#[derive(Debug)]
pub struct Catalog {
    instance_types: BTreeMap<String, InstanceType>,
    on_demand: BTreeMap<String, [Option<(Usd, PriceBasis)>; REGIONS.len()]>,
    spot: BTreeMap<String, [Option<(u8, InterruptionBucket)>; REGIONS.len()]>,
    spot_as_of: &'static str,
    fargate: Vec<FargateEntry>,
    other: Vec<OtherPrice>,
    delays: BTreeMap<String, DelayDefault>,
    as_of: &'static str,
}

/// A published Fargate price.
#[derive(Debug)]
struct FargateEntry {
    region: String,
    os: OperatingSystem,
    architecture: CpuArchitecture,
    spot: bool,
    vcpu_hour: Usd,
    gb_hour: Usd,
    storage_gb_hour: Option<Usd>,
    licence_vcpu_hour: Option<Usd>,
    as_of: String,
    confidence: Confidence,
}

/// The fitted distribution of one latency or rate.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayDefault {
    /// The distribution, in [`unit`](Self::unit)s.
    pub distribution: Distribution,
    /// Its median.
    pub median: f64,
    /// Its 95 % quantile.
    pub p95: f64,
    /// `s`, `MiB/s`, `x` (a factor), `probability` or `tasks/s`.
    pub unit: String,
    /// How far to trust it.
    pub confidence: Confidence,
    /// What it describes.
    pub applies_to: String,
}

impl Catalog {
    /// The type called `name`.
    pub fn instance_type(&self, name: &str) -> Option<&InstanceType> {
        self.instance_types.get(name)
    }

    /// Every instance type, by name.
    pub fn instance_types(&self) -> impl Iterator<Item = &InstanceType> {
        self.instance_types.values()
    }

    /// The type whose name is nearest to `name`, for "did you mean"; `None` when nothing is near.
    pub fn nearest_instance_type(&self, name: &str) -> Option<&str> {
        self.nearest_instance_types(name, 1).first().copied()
    }

    /// Up to `count` types with names near `name`, nearest first.
    pub fn nearest_instance_types(&self, name: &str, count: usize) -> Vec<&str> {
        nearest(name, self.instance_types.keys().map(String::as_str), count)
    }

    /// Linux on-demand price of an instance type; `None` where it is not offered or not known.
    pub fn on_demand(&self, instance_type: &str, region: &str) -> Option<Price> {
        let (usd_per_hour, basis) = self.on_demand.get(instance_type)?[region_index(region)?]?;
        Some(Price { usd_per_hour, basis, as_of: basis.as_of() })
    }

    /// Spot price and reclaim rate of an instance type; `None` where not known.
    pub fn spot(&self, instance_type: &str, region: &str) -> Option<SpotMarket> {
        let (savings_pct, interruption_bucket) = self.spot.get(instance_type)?[region_index(region)?]?;
        let on_demand = self.on_demand(instance_type, region)?;
        Some(SpotMarket {
            usd_per_hour: on_demand.usd_per_hour * (1.0 - f64::from(savings_pct) / 100.0),
            savings_pct,
            interruption_bucket,
            hazard_per_hour: interruption_bucket.hazard_per_hour(),
            as_of: self.spot_as_of,
        })
    }

    /// Fargate's prices (FG-3, FG-4).
    ///
    /// What is not published for a region with Fargate prices is scaled from us-east-1 and marked
    /// [`Confidence::Estimated`]. `None` for a region not known, and for what does not exist: Windows on ARM or Spot.
    pub fn fargate(
        &self,
        region: &str,
        os: OperatingSystem,
        architecture: CpuArchitecture,
        spot: bool,
    ) -> Option<FargatePrice> {
        if os == OperatingSystem::Windows && (spot || architecture == CpuArchitecture::Arm64) {
            return None;
        }
        let listed = |region: &str, os, architecture, spot| {
            self.fargate.iter().find(|entry| {
                entry.region == region && entry.os == os && entry.architecture == architecture && entry.spot == spot
            })
        };
        let linux = |region| listed(region, OperatingSystem::Linux, CpuArchitecture::X86_64, false);
        let (home, here) = (linux(HOME_REGION)?, linux(region)?);
        // Dollars here for a dollar in us-east-1; prices of a region keep their proportions.
        let level = here.vcpu_hour.0 / home.vcpu_hour.0;

        if let Some(entry) = listed(region, os, architecture, spot) {
            return Some(FargatePrice {
                vcpu_hour: entry.vcpu_hour,
                gb_hour: entry.gb_hour,
                storage_gb_hour: here.storage_gb_hour.or(home.storage_gb_hour.map(|usd| usd * level))?,
                licence_vcpu_hour: entry.licence_vcpu_hour.unwrap_or_default(),
                as_of: entry.as_of.clone(),
                confidence: entry.confidence,
                storage_estimated: here.storage_gb_hour.is_none() && region != HOME_REGION,
            });
        }
        if spot {
            return self.fargate(region, os, architecture, false).map(|price| price.at_spot_ratio(FARGATE_SPOT_RATIO));
        }
        let model = listed(HOME_REGION, os, architecture, false)?;
        Some(FargatePrice {
            vcpu_hour: model.vcpu_hour * level,
            gb_hour: model.gb_hour * (here.gb_hour.0 / home.gb_hour.0),
            // The licence is the same in every region seen.
            licence_vcpu_hour: model.licence_vcpu_hour.unwrap_or_default(),
            confidence: Confidence::Estimated,
            as_of: here.as_of.clone(),
            ..self.fargate(region, OperatingSystem::Linux, CpuArchitecture::X86_64, false)?
        })
    }

    /// The regions with Fargate prices.
    pub fn fargate_regions(&self) -> Vec<&str> {
        let mut regions: Vec<&str> = self.fargate.iter().map(|entry| entry.region.as_str()).collect();
        regions.dedup();
        regions
    }

    /// Another price: the region's own, else the one that holds in any, else us-east-1's.
    ///
    /// Compare [`OtherPrice::region`] with `region` to know which. `None` for an unknown item.
    pub fn other(&self, service: &str, item: &str, region: &str) -> Option<&OtherPrice> {
        [region, "any", HOME_REGION].into_iter().find_map(|wanted| {
            self.other.iter().find(|price| price.service == service && price.item == item && price.region == wanted)
        })
    }

    /// Every other price, by service, item and region.
    pub fn other_prices(&self) -> impl Iterator<Item = &OtherPrice> {
        self.other.iter()
    }

    /// The regions with EC2 prices.
    pub fn regions(&self) -> &'static [&'static str] {
        &REGIONS
    }

    /// The newest date of any figure, `YYYY-MM-DD` or shorter.
    pub fn as_of(&self) -> &'static str {
        self.as_of
    }

    /// The fitted default of a latency, as `fargate_provision_s`.
    pub fn delay_default(&self, name: &str) -> Option<&DelayDefault> {
        self.delays.get(name)
    }

    /// Every fitted default, by name.
    pub fn delay_defaults(&self) -> impl Iterator<Item = (&str, &DelayDefault)> {
        self.delays.iter().map(|(name, default)| (name.as_str(), default))
    }

    /// Three Availability Zones of a region, for estates that name none: `us-east-1a` to `us-east-1c`.
    pub fn zones(&self, region: &str) -> [String; 3] {
        ["a", "b", "c"].map(|letter| format!("{region}{letter}"))
    }
}

/// Up to `count` of `names` that a slip of the keyboard could turn `typed` into, nearest first, then by name.
pub(crate) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>, count: usize) -> Vec<&'n str> {
    let typed = typed.to_ascii_lowercase();
    let reach = typed.len().div_ceil(3).max(2);
    let mut near: Vec<(usize, &str)> = names
        .map(|name| (strsim::damerau_levenshtein(&typed, &name.to_ascii_lowercase()), name))
        .filter(|(distance, _)| *distance <= reach)
        .collect();
    near.sort_unstable();
    near.into_iter().take(count).map(|(_, name)| name).collect()
}

fn region_index(region: &str) -> Option<usize> {
    REGIONS.iter().position(|known| *known == region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use CpuArchitecture::{Arm64, X86_64};
    use OperatingSystem::{Linux, Windows};

    #[test]
    fn prices_are_those_of_the_lists() {
        let table = [
            ("m5.large", "us-east-1", 0.096, PriceBasis::Listed),
            ("t3.micro", "us-east-1", 0.0104, PriceBasis::Listed),
            ("c5.large", "eu-west-1", 0.096, PriceBasis::RegionalList),
            ("m5.large", "eu-central-1", 0.115, PriceBasis::RegionalList),
            ("a1.medium", "us-west-2", 0.0255, PriceBasis::FamilyRatio),
            ("a1.metal", "ap-northeast-1", 0.514, PriceBasis::RegionalList),
        ];
        for (name, region, usd, basis) in table {
            let price = catalog().on_demand(name, region).unwrap();
            assert_eq!((price.usd_per_hour.0, price.basis), (usd, basis), "{name} in {region}");
        }
        assert_eq!(catalog().on_demand("c1.medium", "us-east-2"), None, "not offered there");
        assert_eq!(catalog().on_demand("m5.large", "mars-1"), None);
        assert_eq!(catalog().on_demand("m5.gigantic", "us-east-1"), None);
    }

    #[test]
    fn spot_is_on_demand_less_the_saving() {
        let spot = catalog().spot("c3.2xlarge", "ap-southeast-1").unwrap();
        assert_eq!(
            (spot.savings_pct, spot.interruption_bucket, spot.as_of),
            (48, InterruptionBucket::Above20Pct, "2025-06-28")
        );
        let on_demand = catalog().on_demand("c3.2xlarge", "ap-southeast-1").unwrap();
        assert!((spot.usd_per_hour.0 - 0.52 * on_demand.usd_per_hour.0).abs() < 1e-12);
        assert_eq!(catalog().spot("hpc6a.48xlarge", "us-east-1"), None);
    }

    #[test]
    fn every_priced_type_registers_less_than_its_nominal_memory() {
        assert_eq!(catalog().instance_types().count(), 1391);
        for name in catalog().on_demand.keys().chain(catalog().spot.keys()) {
            let one = catalog().instance_type(name).unwrap_or_else(|| panic!("{name} has a price but no size"));
            assert!(one.registered_memory.0 > 0 && one.registered_memory < one.memory, "{name}");
            assert!(one.vcpus > 0 && one.awsvpc_slots > 0 && one.awsvpc_slots < one.max_enis, "{name}");
        }
    }

    #[test]
    fn every_price_is_positive_and_dated() {
        let dated = |date: &str| date == "-" || date.starts_with("202");
        for region in catalog().regions() {
            let prices: Vec<Price> =
                catalog().instance_types().filter_map(|one| catalog().on_demand(&one.name, region)).collect();
            assert!(prices.len() > 800, "{region}: {}", prices.len());
            assert!(prices.iter().all(|price| price.usd_per_hour.0 > 0.0 && dated(price.as_of)));
        }
        assert!(catalog().fargate.iter().all(|entry| dated(&entry.as_of)));
        assert!(catalog().other_prices().all(|price| dated(&price.as_of) && price.value >= 0.0));
        assert!(dated(catalog().as_of()) && catalog().as_of() >= "2026-10-27");
    }

    #[test]
    fn fg_3_fargate_prices() {
        let of = |region, os, architecture| {
            let price = catalog().fargate(region, os, architecture, false).unwrap();
            (price.vcpu_hour.0, price.gb_hour.0, price.storage_gb_hour.0, price.licence_vcpu_hour.0)
        };
        assert_eq!(of("us-east-1", Linux, X86_64), (0.04048, 0.004_445, 0.000_111, 0.0));
        assert_eq!(of("us-east-1", Linux, Arm64), (0.03238, 0.00356, 0.000_111, 0.0));
        assert_eq!(of("us-east-1", Windows, X86_64), (0.046_552, 0.005_111_75, 0.000_111, 0.046));
        assert_eq!(of("eu-west-1", Linux, X86_64), (0.04048, 0.004_445, 0.000_111, 0.0));
        assert_eq!(of("ap-northeast-1", Linux, X86_64), (0.05056, 0.00553, 0.000_133, 0.0));
    }

    #[test]
    fn fg_3_what_is_not_published_is_estimated_and_says_so() {
        let arm = catalog().fargate("eu-central-1", Linux, Arm64, false).unwrap();
        assert_eq!(arm.confidence, Confidence::Estimated);
        assert!((arm.vcpu_hour.0 - 0.04656 * 0.8).abs() < 1e-4, "{arm:?}");
        let windows = catalog().fargate("eu-central-1", Windows, X86_64, false).unwrap();
        assert_eq!((windows.confidence, windows.licence_vcpu_hour), (Confidence::Estimated, Usd(0.046)));
        let spot = catalog().fargate("eu-central-1", Linux, X86_64, true).unwrap();
        assert_eq!((spot.confidence, spot.vcpu_hour), (Confidence::Estimated, Usd(0.04656 * FARGATE_SPOT_RATIO)));
        assert!(
            spot.storage_estimated && !catalog().fargate("us-east-1", Linux, X86_64, true).unwrap().storage_estimated
        );
        for (region, os, architecture, spot) in [
            ("mars-1", Linux, X86_64, false),
            ("us-east-1", Windows, Arm64, false),
            ("us-east-1", Windows, X86_64, true),
        ] {
            assert_eq!(catalog().fargate(region, os, architecture, spot), None);
        }
        for region in catalog().regions() {
            assert!(catalog().fargate_regions().contains(region), "{region}");
        }
    }

    #[test]
    fn other_prices_fall_back_to_any_region_and_to_us_east_1() {
        let of = |service, item, region| {
            let price = catalog().other(service, item, region).unwrap();
            (price.value, price.region.as_str())
        };
        assert_eq!(of("alb", "load_balancer_hour", "us-east-1"), (0.0225, "us-east-1"));
        assert_eq!(of("alb", "load_balancer_hour", "eu-west-1"), (0.0252, "eu-west-1"));
        assert_eq!(of("alb", "load_balancer_hour", "us-west-2"), (0.0225, "us-east-1"));
        assert_eq!(of("convention", "hours_per_month", "us-west-2"), (HOURS_PER_MONTH, "any"));
        assert_eq!(of("ebs", "gp3_storage", "ap-southeast-1"), (0.096, "ap-southeast-1"));
        assert_eq!(of("cloudwatch", "alarm_high_resolution", "us-east-1"), (0.3, "us-east-1"));
        assert_eq!(catalog().other("alb", "no_such_item", "us-east-1"), None);
    }

    #[test]
    fn delay_defaults_agree_with_their_medians_and_tails() {
        assert_eq!(catalog().delay_defaults().count(), 18);
        for (name, default) in catalog().delay_defaults() {
            let (median, p95) = match default.distribution {
                Distribution::Constant(value) => (value, value),
                Distribution::Lognormal { mu, sigma } => (mu.exp(), (mu + 1.644_854 * sigma).exp()),
                ref other => panic!("{name}: {other:?}"),
            };
            assert!((median / default.median - 1.0).abs() < 2e-3, "{name}: {median}");
            assert!((p95 / default.p95 - 1.0).abs() < 2e-3, "{name}: {p95}");
        }
        let provision = catalog().delay_default("fargate_provision_s").unwrap();
        assert_eq!(provision.distribution, Distribution::Lognormal { mu: 2.708, sigma: 0.253 });
    }

    #[test]
    fn slips_of_the_keyboard_are_understood() {
        assert_eq!(catalog().nearest_instance_type("m5.lrage"), Some("m5.large"));
        assert_eq!(catalog().nearest_instance_type("M5.large"), Some("m5.large"));
        assert_eq!(catalog().nearest_instance_type("completely-different"), None);
    }

    #[test]
    fn zones_carry_the_region() {
        assert_eq!(catalog().zones("eu-west-1"), ["eu-west-1a", "eu-west-1b", "eu-west-1c"]);
    }
}
