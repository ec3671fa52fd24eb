//! `ecsim catalog`: what the built-in catalogue knows, with its dates.

use std::io::Write;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use regex::{Regex, RegexBuilder};
use serde_json::{Value, json};

use crate::catalog::{Catalog, FargatePrice, InstanceType, OtherPrice, catalog, nearest};
use crate::ecs::task_definition::{CpuArchitecture, OperatingSystem};
use crate::report::table::Table;

/// Arguments of `ecsim catalog`.
#[derive(Args, Clone, Debug)]
pub struct CatalogArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Clone, Debug)]
enum What {
    /// Instance types: size, registered memory, awsvpc slots, price.
    #[command(
        after_help = "Examples:\n  ecsim catalog instances m5.large\n  ecsim catalog instances 'c7g*' --region eu-west-1"
    )]
    Instances(Selection),
    /// Prices of instances (on demand and Spot), Fargate, load balancers, storage, transfer and more.
    #[command(
        after_help = "Examples:\n  ecsim catalog prices m5.large\n  ecsim catalog prices fargate --region eu-west-1\n  ecsim catalog prices 'alb/*'"
    )]
    Prices(Selection),
}

#[derive(Args, Clone, Debug)]
struct Selection {
    /// Part of a name, or a pattern with `*` and `?` for the whole of it.
    filter: Option<String>,
    /// The region of the prices.
    #[arg(long, default_value = "us-east-1")]
    region: String,
}

/// Writes what was asked for to `out`, as tables or, with `json`, as one JSON document.
pub fn run(args: &CatalogArgs, out: &mut dyn Write, json: bool) -> anyhow::Result<()> {
    let catalog = catalog();
    match &args.what {
        What::Instances(selection) => instances(catalog, selection, out, json),
        What::Prices(selection) => prices(catalog, selection, out, json),
    }
}

fn instances(catalog: &Catalog, selection: &Selection, out: &mut dyn Write, json: bool) -> anyhow::Result<()> {
    let region = known_region(catalog, &selection.region)?;
    let filter = Filter::new(selection.filter.as_deref())?;
    let chosen: Vec<&InstanceType> = catalog.instance_types().filter(|one| filter.accepts(&one.name)).collect();
    if chosen.is_empty() {
        let names = catalog.instance_types().map(|one| one.name.as_str());
        bail!("no instance type {}", filter.miss(names));
    }
    if json {
        let rows: Vec<Value> = chosen.iter().map(|one| instance_json(catalog, one, region)).collect();
        return write_json(out, &json!({"catalog_as_of": catalog.as_of(), "region": region, "instances": rows}));
    }
    writeln!(out, "Catalogue of {}; Linux on-demand prices in {region}, before tax", catalog.as_of())?;
    let titles =
        ["type", ">vCPU", ">memory MiB", ">registered MiB", ">ENI slots", ">trunking", "arch", "GPU", ">$/h", "as of"];
    let mut table = Table::flush(&titles);
    for one in &chosen {
        let price = catalog.on_demand(&one.name, region);
        table.row([
            one.name.clone(),
            one.vcpus.to_string(),
            one.memory.0.to_string(),
            one.registered_memory.0.to_string(),
            one.awsvpc_slots.to_string(),
            one.awsvpc_slots_trunking.map_or_else(|| "-".to_owned(), |slots| slots.to_string()),
            one.architecture.attribute().to_owned(),
            gpu(one),
            price.map_or_else(|| "-".to_owned(), |price| usd(price.usd_per_hour.0)),
            price.map_or_else(String::new, |price| price.as_of.to_owned()),
        ]);
    }
    out.write_all(table.render(false).as_bytes())?;
    Ok(())
}

fn instance_json(catalog: &Catalog, one: &InstanceType, region: &str) -> Value {
    let price = catalog.on_demand(&one.name, region);
    json!({
        "instance_type": one.name,
        "vcpus": one.vcpus,
        "cpu_units": one.cpu().0,
        "memory_mib": one.memory.0,
        "registered_memory_mib": one.registered_memory.0,
        "registered_memory_basis": one.registered_basis.as_str(),
        "awsvpc_slots": one.awsvpc_slots,
        "awsvpc_slots_trunking": one.awsvpc_slots_trunking,
        "max_enis": one.max_enis,
        "architecture": one.architecture.attribute(),
        "gpus": one.gpus,
        "gpu_model": one.gpu_model,
        "burstable": one.burstable,
        "bare_metal": one.bare_metal,
        "current_generation": one.current_generation,
        "usd_per_hour": price.map(|price| price.usd_per_hour.0),
        "price_basis": price.map(|price| price.basis.as_str()),
        "price_as_of": price.map(|price| price.as_of),
    })
}

fn prices(catalog: &Catalog, selection: &Selection, out: &mut dyn Write, json: bool) -> anyhow::Result<()> {
    let region = known_region(catalog, &selection.region)?;
    let filter = Filter::new(selection.filter.as_deref())?;

    let instances: Vec<&InstanceType> = catalog
        .instance_types()
        .filter(|one| filter.accepts(&one.name) && catalog.on_demand(&one.name, region).is_some())
        .collect();
    let all_fargate = fargate(catalog, region);
    let all_other = other(catalog, region);
    let fargate: Vec<&(String, FargatePrice)> = all_fargate.iter().filter(|(name, _)| filter.accepts(name)).collect();
    let other: Vec<&(String, &OtherPrice)> = all_other.iter().filter(|(name, _)| filter.accepts(name)).collect();

    if instances.is_empty() && fargate.is_empty() && other.is_empty() {
        let names = catalog
            .instance_types()
            .filter(|one| catalog.on_demand(&one.name, region).is_some())
            .map(|one| one.name.as_str())
            .chain(all_fargate.iter().map(|(name, _)| name.as_str()))
            .chain(all_other.iter().map(|(name, _)| name.as_str()));
        bail!("no price in {region} {}", filter.miss(names));
    }
    if json {
        let document = json!({
            "catalog_as_of": catalog.as_of(),
            "region": region,
            "instances": instances.iter().map(|one| market_json(catalog, one, region)).collect::<Vec<_>>(),
            "fargate": fargate.iter().map(|(name, price)| fargate_json(name, price)).collect::<Vec<_>>(),
            "other": other.iter().map(|(_, price)| other_json(price)).collect::<Vec<_>>(),
        });
        return write_json(out, &document);
    }

    writeln!(out, "Catalogue of {}; US dollars before tax, {region}", catalog.as_of())?;
    write_section(out, "EC2 Linux, per hour; Spot is an estimate", &market_table(catalog, &instances, region))?;
    write_section(out, "Fargate, per hour; storage is what exceeds 20 GB", &fargate_table(&fargate))?;
    write_section(
        out,
        "Other; a figure of another region stands in where the region's own is not known",
        &other_table(&other),
    )
}

fn market_table(catalog: &Catalog, instances: &[&InstanceType], region: &str) -> Table {
    let titles = [
        "type",
        ">on demand",
        "basis",
        "as of",
        ">Spot",
        ">saving",
        ">reclaimed/month",
        ">reclaims/1000 h",
        "Spot as of",
    ];
    let mut table = Table::flush(&titles);
    for one in instances {
        let Some(price) = catalog.on_demand(&one.name, region) else { continue };
        let mut row =
            vec![one.name.clone(), usd(price.usd_per_hour.0), price.basis.as_str().to_owned(), price.as_of.to_owned()];
        match catalog.spot(&one.name, region) {
            Some(spot) => row.extend([
                usd(spot.usd_per_hour.0),
                format!("{} %", spot.savings_pct),
                spot.interruption_bucket.to_string(),
                format!("{:.3}", spot.hazard_per_hour * 1000.0),
                spot.as_of.to_owned(),
            ]),
            None => row.extend(["-", "-", "-", "-", ""].map(str::to_owned)),
        }
        table.row(row);
    }
    table
}

fn market_json(catalog: &Catalog, one: &InstanceType, region: &str) -> Value {
    let price = catalog.on_demand(&one.name, region);
    let spot = catalog.spot(&one.name, region).map(|spot| {
        json!({
            "usd_per_hour": spot.usd_per_hour.0,
            "savings_pct": spot.savings_pct,
            "interruption_bucket": spot.interruption_bucket.number(),
            "hazard_per_hour": spot.hazard_per_hour,
            "as_of": spot.as_of,
        })
    });
    json!({
        "instance_type": one.name,
        "usd_per_hour": price.map(|price| price.usd_per_hour.0),
        "basis": price.map(|price| price.basis.as_str()),
        "as_of": price.map(|price| price.as_of),
        "spot": spot,
    })
}

/// Every kind of Fargate capacity of a region, under names as `fargate-spot/linux/arm64`.
fn fargate(catalog: &Catalog, region: &str) -> Vec<(String, FargatePrice)> {
    let mut kinds = Vec::new();
    for (os, os_name) in [(OperatingSystem::Linux, "linux"), (OperatingSystem::Windows, "windows")] {
        for architecture in [CpuArchitecture::X86_64, CpuArchitecture::Arm64] {
            for (spot, capacity) in [(false, "fargate"), (true, "fargate-spot")] {
                if let Some(price) = catalog.fargate(region, os, architecture, spot) {
                    kinds.push((format!("{capacity}/{os_name}/{}", architecture.attribute()), price));
                }
            }
        }
    }
    kinds
}

fn fargate_table(fargate: &[&(String, FargatePrice)]) -> Table {
    let titles = ["capacity", ">vCPU", ">GB", ">storage GB", ">licence/vCPU", "confidence", "as of"];
    let mut table = Table::flush(&titles);
    for (name, price) in fargate {
        let mark = if price.storage_estimated { "~" } else { "" };
        table.row([
            name.clone(),
            usd(price.vcpu_hour.0),
            usd(price.gb_hour.0),
            format!("{mark}{}", usd(price.storage_gb_hour.0)),
            if price.licence_vcpu_hour.0 > 0.0 { usd(price.licence_vcpu_hour.0) } else { "-".to_owned() },
            price.confidence.as_str().to_owned(),
            price.as_of.clone(),
        ]);
    }
    table
}

fn fargate_json(name: &str, price: &FargatePrice) -> Value {
    json!({
        "capacity": name,
        "vcpu_hour_usd": price.vcpu_hour.0,
        "gb_hour_usd": price.gb_hour.0,
        "storage_gb_hour_usd": price.storage_gb_hour.0,
        "storage_estimated": price.storage_estimated,
        "licence_vcpu_hour_usd": price.licence_vcpu_hour.0,
        "confidence": price.confidence.as_str(),
        "as_of": price.as_of,
    })
}

/// The figure that holds in `region` for every other item, under names as `alb/lcu_hour`.
fn other<'c>(catalog: &'c Catalog, region: &str) -> Vec<(String, &'c OtherPrice)> {
    let mut items: Vec<(String, &OtherPrice)> = catalog
        .other_prices()
        .filter(|price| price.is_price())
        .filter_map(|price| {
            let figure = catalog.other(&price.service, &price.item, region)?;
            Some((format!("{}/{}", figure.service, figure.item), figure))
        })
        .collect();
    items.dedup_by(|one, other| one.0 == other.0);
    items
}

fn other_table(other: &[&(String, &OtherPrice)]) -> Table {
    let mut table = Table::flush(&["item", ">price", "per", "seen in", "confidence", "as of", "note"]);
    for (name, price) in other {
        table.row([
            name.clone(),
            usd(price.value),
            price.unit.clone(),
            price.region.clone(),
            price.confidence.as_str().to_owned(),
            price.as_of.clone(),
            price.note.clone(),
        ]);
    }
    table
}

fn other_json(price: &OtherPrice) -> Value {
    json!({
        "service": price.service,
        "item": price.item,
        "usd": price.value,
        "unit": price.unit,
        "region": price.region,
        "confidence": price.confidence.as_str(),
        "as_of": price.as_of,
        "note": price.note,
    })
}

fn write_section(out: &mut dyn Write, title: &str, table: &Table) -> anyhow::Result<()> {
    if !table.is_empty() {
        writeln!(out, "\n{title}")?;
        out.write_all(table.render(false).as_bytes())?;
    }
    Ok(())
}

fn write_json(out: &mut dyn Write, document: &Value) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)?;
    Ok(())
}

/// At least four decimals, more where the price has them: `0.0960`, `0.004445`.
fn usd(value: f64) -> String {
    let exact = format!("{value:.8}");
    let trimmed = exact.trim_end_matches('0');
    let decimals = trimmed.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{value:.0$}", decimals.max(4))
}

fn gpu(one: &InstanceType) -> String {
    match (&one.gpu_model, one.gpus) {
        (Some(model), 0) => format!("part of {model}"),
        (Some(model), count) => format!("{count} × {model}"),
        (None, 0) => String::new(),
        (None, count) => count.to_string(),
    }
}

fn known_region<'r>(catalog: &Catalog, region: &'r str) -> anyhow::Result<&'r str> {
    let known = catalog.regions();
    ensure!(known.contains(&region), "no prices are known for region `{region}`; known are {}", known.join(", "));
    Ok(region)
}

/// Which names are wanted: all, those that hold a piece of text, or those that a pattern describes whole.
struct Filter<'f> {
    text: Option<&'f str>,
    pattern: Option<Regex>,
}

impl<'f> Filter<'f> {
    fn new(text: Option<&'f str>) -> anyhow::Result<Self> {
        let pattern = text.map(|text| {
            let escaped = regex::escape(text);
            let source = if text.contains(['*', '?']) {
                format!("^{}$", escaped.replace(r"\*", ".*").replace(r"\?", "."))
            } else {
                escaped
            };
            RegexBuilder::new(&source).case_insensitive(true).build()
        });
        Ok(Self { text, pattern: pattern.transpose()? })
    }

    fn accepts(&self, name: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(name))
    }

    /// The rest of a sentence that says nothing was found, with the nearest of `names`.
    fn miss<'n>(&self, names: impl Iterator<Item = &'n str>) -> String {
        let text = self.text.unwrap_or("*");
        match nearest(text, names, 3).as_slice() {
            [] => format!("matches `{text}`"),
            near => format!("matches `{text}`; near it: {}", near.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(filter: &str, region: &str) -> Selection {
        Selection { filter: Some(filter.to_owned()), region: region.to_owned() }
    }

    fn printed(what: What, json: bool) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(&CatalogArgs { what }, &mut out, json)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn instances_are_a_dated_table() {
        let text = printed(What::Instances(selection("m5.*arge", "eu-west-1")), false).unwrap();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().contains(catalog().as_of()), "{text}");
        assert!(lines.next().unwrap().starts_with("type "), "{text}");
        let large = text.lines().find(|line| line.starts_with("m5.large ")).unwrap();
        let cells: Vec<&str> = large.split_whitespace().collect();
        assert_eq!(cells, ["m5.large", "2", "8192", "7811", "2", "10", "x86_64", "0.1070", "2025-03-02"]);
        assert!(!text.contains("m5.metal") && !text.contains("m5d.large"), "{text}");
    }

    #[test]
    fn a_plain_filter_matches_anywhere() {
        let text = printed(What::Instances(selection("5.XLARGE", "us-east-1")), false).unwrap();
        assert!(text.contains("c5.xlarge") && text.contains("m5.xlarge") && !text.contains("c5.large"), "{text}");
    }

    #[test]
    fn nothing_found_names_the_nearest() {
        let error = printed(What::Instances(selection("m5.lrage", "us-east-1")), false).unwrap_err().to_string();
        assert!(error.starts_with("no instance type matches `m5.lrage`; near it: m5.large"), "{error}");
        let error = printed(What::Prices(selection("alb/lcu_huor", "us-east-1")), false).unwrap_err().to_string();
        assert!(error.contains("near it: alb/lcu_hour"), "{error}");
        let error =
            printed(What::Prices(selection("no-such-thing-at-all", "us-east-1")), true).unwrap_err().to_string();
        assert_eq!(error, "no price in us-east-1 matches `no-such-thing-at-all`");
    }

    #[test]
    fn an_unknown_region_lists_the_known_ones() {
        let error = printed(What::Prices(selection("m5.large", "mars-1")), false).unwrap_err().to_string();
        assert!(error.contains("`mars-1`") && error.contains("us-east-1, us-east-2"), "{error}");
    }

    #[test]
    fn prices_hold_only_what_was_asked_for() {
        let text = printed(What::Prices(selection("fargate", "eu-central-1")), false).unwrap();
        assert!(text.contains("fargate/linux/x86_64") && text.contains("estimated"), "{text}");
        assert!(!text.contains("EC2 Linux") && !text.contains("alb/"), "{text}");
        let text = printed(What::Prices(selection("alb/*", "us-west-2")), false).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("alb/")).count(), 2, "{text}");
    }

    #[test]
    fn json_is_one_document_with_dates() {
        let text = printed(What::Prices(selection("m5.large", "us-east-1")), true).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["instances"][0]["usd_per_hour"], 0.096);
        assert_eq!(document["instances"][0]["as_of"], "2026-07-20");
        assert!(document["instances"][0]["spot"]["usd_per_hour"].as_f64().unwrap() < 0.096);
        let text = printed(What::Instances(selection("p5.48xlarge", "us-east-1")), true).unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["instances"][0]["gpus"], 8);
        assert_eq!(document["instances"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn prices_keep_their_digits() {
        for (value, text) in
            [(0.096, "0.0960"), (0.004_445, "0.004445"), (0.005_111_75, "0.00511175"), (12.0, "12.0000")]
        {
            assert_eq!(usd(value), text);
        }
    }
}
