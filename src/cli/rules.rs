//! `ecsim rules`: every rule of the specification, how it is modelled, and the test that shows it.

use std::collections::BTreeMap;

use anyhow::bail;
use clap::Args;

use crate::cli::{Console, Outcome};
use crate::report::table::{Align, Cell, Table, Tone};
use crate::rules::{Modelled, Rule, rules};

/// List the rules of how ECS behaves: which are modelled, where, and the test that shows it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ecsim rules\n  ecsim rules --spec TT-10\n  ecsim rules --spec cas\n  ecsim rules --json"
)]
pub struct RulesArgs {
    /// A rule (`TT-10`), a block of rules (`TT`) or a file (`service-autoscaling`).
    #[arg(long, value_name = "ID")]
    pub spec: Option<String>,
}

/// Prints the table, or one rule in full.
pub fn run(args: &RulesArgs, console: &Console) -> anyhow::Result<Outcome> {
    let chosen = select(args.spec.as_deref())?;
    if console.json() {
        console.print(&serde_json::to_string_pretty(&chosen)?)?;
    } else if let ([rule], Some(_)) = (chosen.as_slice(), &args.spec) {
        console.print(one(rule).trim_end())?;
    } else {
        console.print(&table(&chosen).render(console.color()))?;
        console.print(totals(&chosen).trim_end())?;
    }
    Ok(Outcome::Done)
}

fn select(wanted: Option<&str>) -> anyhow::Result<Vec<&'static Rule>> {
    let Some(wanted) = wanted else { return Ok(rules().iter().collect()) };
    let exact = rules().iter().filter(|rule| rule.id.eq_ignore_ascii_case(wanted));
    let exact: Vec<&Rule> = exact.collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let family = |rule: &&Rule| {
        rule.block().eq_ignore_ascii_case(wanted)
            || rule.block().strip_prefix("EX-").is_some_and(|block| block.eq_ignore_ascii_case(wanted))
            || rule.spec == wanted.trim_end_matches(".md")
    };
    let chosen: Vec<&Rule> = rules().iter().filter(family).collect();
    if chosen.is_empty() {
        let mut blocks: Vec<&str> = rules().iter().map(Rule::block).filter(|block| !block.starts_with("EX-")).collect();
        blocks.dedup();
        bail!("no rule is called `{wanted}`; the blocks of rules are {}", blocks.join(", "));
    }
    Ok(chosen)
}

fn table(chosen: &[&Rule]) -> Table {
    let columns =
        [("rule", Align::Left), ("modelled", Align::Left), ("what it says", Align::Left), ("test", Align::Left)];
    let mut table = Table::new(columns);
    for rule in chosen {
        let tone = match rule.modelled {
            Modelled::Yes => Tone::Good,
            Modelled::Partly => Tone::Strong,
            Modelled::No => Tone::Bad,
        };
        let title = if rule.note.is_empty() || rule.modelled == Modelled::Yes {
            rule.title.clone()
        } else {
            format!("{} ({})", rule.title, rule.note)
        };
        table.row([
            Cell::from(rule.id.as_str()),
            Cell::new(rule.modelled.to_string(), tone),
            Cell::from(title),
            Cell::new(rule.test.as_str(), Tone::Dim),
        ]);
    }
    table
}

fn totals(chosen: &[&Rule]) -> String {
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for rule in chosen {
        counts.entry(&rule.spec).or_default()[rule.modelled as usize] += 1;
    }
    let mut text = String::new();
    for (spec, [yes, partly, no]) in counts {
        text += &format!("  {spec}: {yes} modelled, {partly} partly, {no} not\n");
    }
    text
}

fn one(rule: &Rule) -> String {
    let mut text = format!("{}  {}\n\n  modelled  {}\n", rule.id, rule.title, rule.modelled);
    for (name, value) in [("note", &rule.note), ("where", &rule.place), ("test", &rule.test), ("spec", &rule.spec)] {
        if !value.is_empty() {
            let value = if name == "where" { format!("src/{value}") } else { value.clone() };
            text += &format!("  {name:<8}  {value}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_a_block_and_a_file_can_be_asked_for() {
        assert_eq!(select(Some("tt-10")).unwrap().len(), 1);
        let block = select(Some("TT")).unwrap();
        assert!(block.len() > 10 && block.iter().all(|rule| rule.block().ends_with("TT")), "{}", block.len());
        assert!(select(Some("cluster-autoscaling")).unwrap().iter().all(|rule| rule.spec == "cluster-autoscaling"));
        assert_eq!(select(None).unwrap().len(), rules().len());
    }

    #[test]
    fn an_unknown_rule_names_the_blocks() {
        let error = select(Some("XYZ-1")).unwrap_err().to_string();
        assert!(error.contains("`XYZ-1`") && error.contains("TT") && error.contains("CAS"), "{error}");
    }

    #[test]
    fn one_rule_is_shown_in_full() {
        let text = one(select(Some("TT-10")).unwrap()[0]);
        assert!(text.starts_with("TT-10  ") && text.contains("src/scaling/target_tracking.rs"), "{text}");
    }
}
