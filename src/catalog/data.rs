//! Reading the embedded CSV files.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{
    Catalog, Confidence, DelayDefault, FargateEntry, Hypervisor, InstanceType, InterruptionBucket, PriceBasis, REGIONS,
    RegisteredBasis,
};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};
use crate::units::{MiB, Usd};
use crate::workload::distribution::Distribution;

const INSTANCE_TYPES: &str = include_str!("data/instance_types.csv");
const ON_DEMAND: &str = include_str!("data/on_demand_prices.csv");
const SPOT: &str = include_str!("data/spot.csv");
const FARGATE: &str = include_str!("data/fargate_prices.csv");
const OTHER: &str = include_str!("data/other_prices.csv");
const DELAYS: &str = include_str!("data/delay_defaults.csv");

/// Reads every file.
pub(super) fn read() -> anyhow::Result<Catalog> {
    let files = [INSTANCE_TYPES, ON_DEMAND, SPOT, FARGATE, OTHER, DELAYS];
    let dates = files.iter().map(|file| as_of(file)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Catalog {
        instance_types: instance_types().context("instance_types.csv")?,
        on_demand: on_demand().context("on_demand_prices.csv")?,
        spot: spot().context("spot.csv")?,
        spot_as_of: as_of(SPOT)?,
        fargate: fargate().context("fargate_prices.csv")?,
        other: rows(OTHER).collect::<anyhow::Result<_>>().context("other_prices.csv")?,
        delays: delays().context("delay_defaults.csv")?,
        as_of: dates.into_iter().max().unwrap_or_default(),
    })
}

/// The date in a file's first line, `# as_of: <date>`.
fn as_of(file: &'static str) -> anyhow::Result<&'static str> {
    let first = file.lines().next().unwrap_or_default();
    first.strip_prefix("# as_of: ").with_context(|| format!("`{first}` is no date line"))
}

/// The rows of a file under its header; lines that start with `#` are comments.
fn rows<T: DeserializeOwned>(file: &'static str) -> impl Iterator<Item = anyhow::Result<T>> {
    let reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(file.as_bytes());
    reader.into_deserialize().map(|row| Ok(row?))
}

fn instance_types() -> anyhow::Result<BTreeMap<String, InstanceType>> {
    #[derive(Deserialize)]
    struct Row {
        instance_type: String,
        arch: String,
        vcpus: u64,
        memory_mib: u64,
        registered_memory_mib: u64,
        registered_basis: String,
        gpus: u32,
        gpu_model: Option<String>,
        max_enis: u32,
        awsvpc_slots: u32,
        awsvpc_slots_trunking: Option<u32>,
        hypervisor: String,
        flags: String,
    }
    rows(INSTANCE_TYPES)
        .map(|row| {
            let row: Row = row?;
            let one = InstanceType {
                vcpus: row.vcpus,
                memory: MiB(row.memory_mib),
                registered_memory: MiB(row.registered_memory_mib),
                registered_basis: match row.registered_basis.as_str() {
                    "measured" => RegisteredBasis::Measured,
                    "rule" => RegisteredBasis::Rule,
                    other => bail!("unknown basis `{other}`"),
                },
                architecture: architecture(&row.arch)?,
                gpus: row.gpus,
                gpu_model: row.gpu_model,
                max_enis: row.max_enis,
                awsvpc_slots: row.awsvpc_slots,
                awsvpc_slots_trunking: row.awsvpc_slots_trunking,
                hypervisor: match row.hypervisor.as_str() {
                    "nitro" => Hypervisor::Nitro,
                    "xen" => Hypervisor::Xen,
                    "none" => Hypervisor::BareMetal,
                    other => bail!("unknown hypervisor `{other}`"),
                },
                burstable: row.flags.contains('b'),
                bare_metal: row.flags.contains('m'),
                current_generation: row.flags.contains('c'),
                name: row.instance_type,
            };
            Ok((one.name.clone(), one))
        })
        .collect()
}

fn architecture(name: &str) -> anyhow::Result<CpuArchitecture> {
    match name {
        "x86_64" => Ok(CpuArchitecture::X86_64),
        "arm64" => Ok(CpuArchitecture::Arm64),
        other => bail!("unknown architecture `{other}`"),
    }
}

/// One cell per region: the tables whose columns are the regions.
type ByRegion<T> = BTreeMap<String, [Option<T>; REGIONS.len()]>;

fn on_demand() -> anyhow::Result<ByRegion<(Usd, PriceBasis)>> {
    rows(ON_DEMAND)
        .map(|row| {
            let (name, letters, usd): (String, String, [Option<f64>; REGIONS.len()]) = row?;
            ensure!(letters.len() == REGIONS.len(), "{name}: {letters} is not a letter per region");
            let mut cells = [None; REGIONS.len()];
            for ((cell, usd), letter) in cells.iter_mut().zip(usd).zip(letters.bytes()) {
                *cell = usd.map(Usd).zip(PriceBasis::from_letter(letter));
                ensure!(cell.is_some() || (usd.is_none() && letter == b'-'), "{name}: {usd:?} has basis {letter}");
            }
            Ok((name, cells))
        })
        .collect()
}

fn spot() -> anyhow::Result<ByRegion<(u8, InterruptionBucket)>> {
    rows(SPOT)
        .map(|row| {
            let (name, texts): (String, [Option<String>; REGIONS.len()]) = row?;
            let mut cells = [None; REGIONS.len()];
            for (cell, text) in cells.iter_mut().zip(texts) {
                let Some(text) = text else { continue };
                let (savings, bucket) = text.split_once('/').with_context(|| format!("{name}: `{text}`"))?;
                let bucket =
                    InterruptionBucket::from_number(bucket.parse()?).with_context(|| format!("{name}: `{text}`"))?;
                *cell = Some((savings.parse()?, bucket));
            }
            Ok((name, cells))
        })
        .collect()
}

fn fargate() -> anyhow::Result<Vec<FargateEntry>> {
    #[derive(Deserialize)]
    struct Row {
        region: String,
        os: String,
        arch: String,
        capacity: String,
        vcpu_hour: f64,
        gb_hour: f64,
        storage_gb_hour: Option<f64>,
        licence_vcpu_hour: Option<f64>,
        as_of: String,
        confidence: Confidence,
    }
    rows(FARGATE)
        .map(|row| {
            let row: Row = row?;
            Ok(FargateEntry {
                region: row.region,
                os: match row.os.as_str() {
                    "linux" => OperatingSystem::Linux,
                    "windows" => OperatingSystem::Windows,
                    other => bail!("unknown operating system `{other}`"),
                },
                architecture: architecture(&row.arch)?,
                spot: match row.capacity.as_str() {
                    "on_demand" => false,
                    "spot" => true,
                    other => bail!("unknown capacity `{other}`"),
                },
                vcpu_hour: Usd(row.vcpu_hour),
                gb_hour: Usd(row.gb_hour),
                storage_gb_hour: row.storage_gb_hour.map(Usd),
                licence_vcpu_hour: row.licence_vcpu_hour.map(Usd),
                as_of: row.as_of,
                confidence: row.confidence,
            })
        })
        .collect()
}

fn delays() -> anyhow::Result<BTreeMap<String, DelayDefault>> {
    #[derive(Deserialize)]
    struct Row {
        parameter: String,
        distribution: String,
        p1: f64,
        p2: Option<f64>,
        median: f64,
        p95: f64,
        unit: String,
        confidence: Confidence,
        applies_to: String,
    }
    rows(DELAYS)
        .map(|row| {
            let row: Row = row?;
            let distribution = match (row.distribution.as_str(), row.p2) {
                ("constant", None) => Distribution::Constant(row.p1),
                ("lognormal", Some(sigma)) => Distribution::Lognormal { mu: row.p1, sigma },
                (other, p2) => bail!("{}: unknown distribution `{other}` with {p2:?}", row.parameter),
            };
            let default = DelayDefault {
                distribution,
                median: row.median,
                p95: row.p95,
                unit: row.unit,
                confidence: row.confidence,
                applies_to: row.applies_to,
            };
            Ok((row.parameter, default))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{SpotMarket, catalog};

    #[test]
    fn every_file_is_dated_and_its_columns_are_the_regions() {
        for file in [INSTANCE_TYPES, ON_DEMAND, SPOT, FARGATE, OTHER, DELAYS] {
            assert!(as_of(file).unwrap().starts_with("202"));
            assert!(file.lines().take_while(|line| line.starts_with('#')).any(|line| line.contains("20")));
        }
        for (file, header) in [(ON_DEMAND, "instance_type,basis,"), (SPOT, "instance_type,")] {
            let first = file.lines().find(|line| !line.starts_with('#')).unwrap();
            assert_eq!(first, format!("{header}{}", REGIONS.join(",")));
        }
    }

    /// The reference data this catalogue was reduced from: `shared/data`, beside the repository or further up.
    fn reference(file: &str) -> Vec<BTreeMap<String, String>> {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("shared/data"))
            .find(|folder| folder.is_dir())
            .expect("shared/data lies beside the repository");
        csv::Reader::from_path(data.join(file)).unwrap().deserialize().map(Result::unwrap).collect()
    }

    #[test]
    #[ignore = "needs ../shared"]
    fn instance_types_equal_the_reference_data() {
        let registered: BTreeMap<String, String> = reference("ecs-registered-resources.csv")
            .into_iter()
            .map(|row| (row["instance_type"].clone(), row["registered_memory_mib"].clone()))
            .collect();
        // The guide names these families as unsupported (NET-2), so a figure derived by rule does not hold for them.
        let unsupported = [
            "c5n", "d3", "d3en", "g4dn", "i3", "i3en", "inf1", "m5dn", "m5n", "m5zn", "r5b", "r5n", "r5dn", "u-6tb1",
            "z1d",
        ];
        let mut compared = 0;
        for row in reference("ec2-instance-types.csv") {
            let name = row["instance_type"].as_str();
            if row["arch"].ends_with("_mac") {
                assert_eq!(catalog().instance_type(name), None);
                continue;
            }
            let one = catalog().instance_type(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!(one.vcpus.to_string(), row["vcpus"], "{name}");
            assert_eq!(one.memory.0.to_string(), row["memory_mib"], "{name}");
            assert_eq!(one.registered_memory.0.to_string(), registered[name], "{name}");
            assert_eq!(one.architecture.attribute(), row["arch"], "{name}");
            assert_eq!(one.gpus.to_string(), row["gpus"], "{name}");
            assert_eq!(one.gpu_model.as_deref().unwrap_or_default(), row["gpu_model"], "{name}");
            assert_eq!(one.max_enis.to_string(), row["max_enis"], "{name}");
            assert_eq!(one.awsvpc_slots.to_string(), row["ecs_awsvpc_tasks"], "{name}");
            assert_eq!(one.burstable.to_string(), row["burstable"], "{name}");
            assert_eq!(one.bare_metal.to_string(), row["bare_metal"], "{name}");
            assert_eq!(one.current_generation.to_string(), row["current_generation"], "{name}");
            let by_rule = row["ecs_trunking_basis"] == "rule" && unsupported.contains(&row["family"].as_str());
            let trunking = if by_rule { "" } else { row["ecs_awsvpc_tasks_trunking"].as_str() };
            assert_eq!(
                one.awsvpc_slots_trunking.map(|slots| slots.to_string()).unwrap_or_default(),
                trunking,
                "{name}"
            );
            compared += 1;
        }
        assert_eq!(compared, catalog().instance_types().count());
    }

    #[test]
    #[ignore = "needs ../shared"]
    fn prices_equal_the_reference_data() {
        let mut compared = 0;
        for row in reference("ec2-ondemand-prices.csv") {
            let (name, region) = (row["instance_type"].as_str(), row["region"].as_str());
            // Old types whose size is not in the reference data have no place in the catalogue.
            if catalog().instance_type(name).is_none() {
                continue;
            }
            let price = catalog().on_demand(name, region).unwrap_or_else(|| panic!("{name} in {region} is missing"));
            assert_eq!(price.usd_per_hour.0, row["usd_per_hour"].parse::<f64>().unwrap(), "{name} in {region}");
            assert_eq!(price.as_of, row["as_of"], "{name} in {region}");
            compared += 1;
        }
        assert_eq!(compared, catalog().on_demand.values().flatten().flatten().count());

        compared = 0;
        for row in reference("ec2-spot.csv") {
            let (name, region) = (row["instance_type"].as_str(), row["region"].as_str());
            let Some(SpotMarket { usd_per_hour, savings_pct, interruption_bucket, hazard_per_hour, .. }) =
                catalog().spot(name, region)
            else {
                let unpriced = row["spot_usd_per_hour_est"].is_empty() || catalog().instance_type(name).is_none();
                assert!(unpriced, "{name} in {region} is missing");
                continue;
            };
            let number = |column: &str| row[column].parse::<f64>().unwrap();
            assert!((usd_per_hour.0 - number("spot_usd_per_hour_est")).abs() < 6e-6, "{name} in {region}");
            assert!((hazard_per_hour - number("hazard_per_hour_est")).abs() < 6e-9, "{name} in {region}");
            assert_eq!(f64::from(savings_pct), number("savings_pct"), "{name} in {region}");
            assert_eq!(f64::from(interruption_bucket.number()), number("interruption_bucket"), "{name} in {region}");
            compared += 1;
        }
        assert_eq!(compared, catalog().spot.values().flatten().flatten().count());
    }

    #[test]
    #[ignore = "needs ../shared"]
    fn the_small_files_equal_the_reference_data() {
        for row in reference("fargate-prices.csv") {
            if row["capacity"] == "on_demand_historic" {
                continue;
            }
            let os = if row["os"] == "linux" { OperatingSystem::Linux } else { OperatingSystem::Windows };
            let architecture = if row["arch"] == "arm64" { CpuArchitecture::Arm64 } else { CpuArchitecture::X86_64 };
            let price = catalog().fargate(&row["region"], os, architecture, row["capacity"] == "spot").unwrap();
            let usd = match row["item"].as_str() {
                "vcpu" => price.vcpu_hour,
                "memory" => price.gb_hour,
                "ephemeral_storage" => price.storage_gb_hour,
                "os_licence" => price.licence_vcpu_hour,
                other => panic!("unknown item {other}"),
            };
            assert_eq!(usd.0, row["usd"].parse::<f64>().unwrap(), "{row:?}");
            assert!(price.confidence > Confidence::Estimated, "{row:?}");
        }
        let others = reference("other-prices.csv");
        assert_eq!(others.len(), catalog().other_prices().count());
        for row in others {
            let price = catalog().other(&row["service"], &row["item"], &row["region"]).unwrap();
            assert_eq!(
                (price.value, price.region.as_str()),
                (row["value"].parse().unwrap(), row["region"].as_str()),
                "{row:?}"
            );
            assert_eq!(
                (&price.unit, &price.as_of, &price.note),
                (&row["unit"], &row["as_of"], &row["note"]),
                "{row:?}"
            );
        }
        let defaults = reference("pull-and-boot-defaults.csv");
        assert_eq!(defaults.len(), catalog().delay_defaults().count());
        for row in defaults {
            let default = catalog().delay_default(&row["parameter"]).unwrap();
            let p1 = row["p1"].parse().unwrap();
            let expected = match row["p2"].parse() {
                Ok(sigma) => Distribution::Lognormal { mu: p1, sigma },
                Err(_) => Distribution::Constant(p1),
            };
            assert_eq!(default.distribution, expected, "{row:?}");
        }
    }
}
