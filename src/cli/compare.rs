//! `ecsim compare SCENARIO`: the file's variants on the same random numbers.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use crate::cli::replications::{self, Plan};
use crate::cli::run::Changes;
use crate::cli::{Console, Outcome};
use crate::report::compare::Comparison;
use crate::report::output::{OutputDir, safe_name};
use crate::report::summary::RunReport;
use crate::report::{self, Detail};

/// Run a scenario's variants on the same random numbers and compare them.
///
/// Each variant faces the same arrivals, service times and boot times, so differences are due to the variant.
///
/// Examples:
///   ecsim compare scenarios/binpack-vs-spread.yaml
///   ecsim compare scenarios/binpack-vs-spread.yaml --variants spread,binpack --replications 20
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct CompareArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// Variants to compare, the first being the baseline; all of the file's when absent. `base` is the file itself.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub variants: Vec<String>,
    /// Folder for the outputs; outputs/<name> when absent.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How much of each variant's replication 0 is written; the page shows decisions and hosts of `full` only.
    #[arg(long, value_enum, default_value_t = Detail::Full)]
    pub detail: Detail,
    /// Leave out report.html, the comparison's and the variants'.
    #[arg(long)]
    pub no_report: bool,
    /// Write each table as Parquet too, beside its CSV: typed columns, an empty cell as null.
    #[arg(long)]
    pub parquet: bool,
    /// What is changed of the scenario, and how it is run.
    #[command(flatten)]
    pub changes: Changes,
}

/// The scenario without any variant.
const BASE: &str = "base";

/// Compares the variants.
pub fn run(args: &CompareArgs, console: &Console) -> anyhow::Result<Outcome> {
    let base = args.changes.load(&args.scenario, None, console)?;
    let variants = chosen_variants(&base.variants, &args.variants)?;
    let mut estates = Vec::new();
    for name in &variants {
        let mut estate = if name == BASE && !base.variants.iter().any(|known| known == BASE) {
            base.estate.clone()
        } else {
            args.changes.load(&args.scenario, Some(name), &console.silent())?.estate
        };
        estate.replications = replications::of_study(&estate, args.changes.replications);
        estates.push(estate);
    }
    let target = args.out.clone().unwrap_or_else(|| Path::new("outputs").join(safe_name(&base.estate.name)));
    let output = OutputDir::prepare(&target)?.with_page(!args.no_report).with_parquet(args.parquet)?;
    let mut named = vec!["--variants".to_owned(), variants.join(",")];
    named.extend(args.detail.words());
    let replications = estates.iter().map(|estate| estate.replications).max().unwrap_or(1);
    let origin = args.changes.origin("compare", &args.scenario, &named, replications, &base);
    origin.write(&output)?;
    let progress = replications::progress(console, &estates);
    let mut results = Vec::new();
    for (name, estate) in variants.iter().zip(&estates) {
        progress.message(name);
        // Each variant is a whole run in a folder of its own inside the comparison's.
        let folder = output.within(name)?;
        let plan = Plan {
            output: Some((&folder, args.detail)),
            paranoid: args.changes.paranoid,
            threads: args.changes.threads,
        };
        let summaries = replications::run(estate, plan, &progress)?;
        origin.write(&folder)?;
        report::write_run(folder, &RunReport::new(estate, &summaries))?;
        results.push((name.clone(), summaries));
    }
    progress.finish();
    let comparison = Comparison::new(&base.estate.name, &results);
    let folder = report::write_comparison(output, &comparison)?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&comparison)?)?;
    } else {
        console.print_unless_quiet(&comparison.to_text(console.color()))?;
    }
    console.say(&report::told(&folder));
    Ok(Outcome::Done)
}

/// The variants asked for, or all; unknown names are refused with the known ones.
fn chosen_variants(known: &[String], asked: &[String]) -> anyhow::Result<Vec<String>> {
    let chosen: Vec<String> = if asked.is_empty() { known.to_vec() } else { asked.to_vec() };
    for name in &chosen {
        if name != BASE && !known.contains(name) {
            let list = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            bail!("the scenario has no variant `{name}`; it has {list}, and `{BASE}` is the file itself");
        }
    }
    if let Some(twice) = chosen.iter().enumerate().find(|(place, name)| chosen[..*place].contains(name)) {
        bail!("`--variants` names `{}` twice; name each variant once", twice.1);
    }
    match (chosen.as_slice(), asked.is_empty()) {
        ([], _) => bail!("the scenario has no variants to compare; add `variants:` to the file"),
        ([one], true) => {
            bail!("a comparison needs two variants and the scenario has only `{one}`; try `--variants {BASE},{one}`")
        }
        ([one], false) => bail!(
            "`--variants` names only `{one}`; name two or more, the baseline first: the scenario has {}, and `{BASE}` \
             is the file itself",
            known.join(", ")
        ),
        _ => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_variants_unless_some_are_named() {
        let known = names(&["binpack", "spread"]);
        assert_eq!(chosen_variants(&known, &[]).unwrap(), known);
        assert_eq!(chosen_variants(&known, &names(&["base", "spread"])).unwrap(), names(&["base", "spread"]));
    }

    #[test]
    fn unknown_variants_and_lonely_ones_are_refused() {
        let known = names(&["binpack", "spread"]);
        let unknown = chosen_variants(&known, &names(&["spred"])).unwrap_err().to_string();
        assert!(unknown.contains("binpack, spread"), "{unknown}");
        let refusal =
            |known: &[&str], asked: &[&str]| chosen_variants(&names(known), &names(asked)).unwrap_err().to_string();
        let alone = refusal(&["binpack", "spread"], &["spread"]);
        assert!(alone.contains("names only `spread`") && alone.contains("binpack, spread, and `base`"), "{alone}");
        let single = refusal(&["spread"], &[]);
        assert!(single.contains("--variants base,spread"), "{single}");
        let twice = refusal(&["binpack", "spread"], &["spread", "spread"]);
        assert!(twice.contains("`spread` twice"), "{twice}");
        assert!(refusal(&[], &[]).contains("add `variants:`"));
    }
}
