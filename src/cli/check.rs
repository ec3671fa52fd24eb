//! `ecsim check SCENARIO --baseline FILE`: did this change make it worse?

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use crate::cli::replications::{self, Plan};
use crate::cli::run::Changes;
use crate::cli::{Console, Outcome};
use crate::report::check::{Baseline, Check};
use crate::report::output::write_whole;
use crate::study::tolerance::Tolerance;

/// Hold a scenario's figures against a stored baseline; exit status 1 when one is worse.
///
/// A figure is worse when it is beyond its tolerance, for the worse, and the noise does not explain it. The baseline is
/// a file for the repository: edit its tolerances, or take out the figures that do not matter.
///
/// Examples:
///   ecsim check scenarios/quickstart.yaml --baseline quickstart.baseline.yaml --write
///   ecsim check scenarios/quickstart.yaml --baseline quickstart.baseline.yaml --junit check.xml --markdown check.md
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct CheckArgs {
    /// The scenario file (YAML or JSON).
    pub scenario: PathBuf,
    /// The baseline: YAML, or JSON when its name ends so.
    #[arg(long, value_name = "FILE")]
    pub baseline: PathBuf,
    /// Write the baseline instead of checking against it; one that is there keeps its figures and tolerances.
    #[arg(long)]
    pub write: bool,
    /// With --write: how far figures may move that do not say so themselves: 2%, 0.5 or interval.
    #[arg(long, value_name = "TOLERANCE", requires = "write", value_parser = tolerance)]
    pub tolerance: Option<Tolerance>,
    /// Also write the result as JUnit XML.
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    pub junit: Option<PathBuf>,
    /// Also write the result as Markdown.
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    pub markdown: Option<PathBuf>,
    /// What is changed of the scenario, and how it is run; seed and replications are the baseline's when absent.
    #[command(flatten)]
    pub changes: Changes,
}

/// Reads `2%`, `0.5` or `interval`.
fn tolerance(text: &str) -> Result<Tolerance, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let read = match (text.trim(), text.trim().strip_suffix('%')) {
        ("interval", _) => Some(Tolerance::Interval),
        (_, Some(percent)) => number(percent).map(|percent| Tolerance::Relative(percent / 100.0)),
        (text, None) => number(text).map(Tolerance::Absolute),
    };
    read.ok_or_else(|| "a tolerance is `2%` of the mean, `0.5` in the figure's unit, or `interval`".to_owned())
}

/// Checks, or writes the baseline.
pub fn run(args: &CheckArgs, console: &Console) -> anyhow::Result<Outcome> {
    let earlier = if args.write && !args.baseline.exists() { None } else { Some(Baseline::read(&args.baseline)?) };
    let mut changes = args.changes.clone();
    changes.seed = changes.seed.or(earlier.as_ref().map(|earlier| earlier.seed));
    changes.replications = changes.replications.or(earlier.as_ref().map(|earlier| earlier.replications));
    let mut estate = changes.load(&args.scenario, None, console)?.estate;
    estate.replications = replications::of_study(&estate, changes.replications);
    if let Some(earlier) = &earlier {
        earlier.belongs_to(&estate, &args.baseline)?;
    }
    let progress = replications::progress(console, [&estate]);
    progress.message(&estate.name);
    let plan = Plan { output: None, paranoid: changes.paranoid, threads: changes.threads };
    let runs = replications::run(&estate, plan, &progress)?;
    progress.finish();
    if args.write {
        let baseline = Baseline::of(&estate, &runs, args.tolerance, earlier.as_ref());
        let text = if is_json(&args.baseline) {
            serde_json::to_string_pretty(&baseline)? + "\n"
        } else {
            let (scenario, file) = (args.scenario.display(), args.baseline.display());
            baseline.to_yaml(&format!("ecsim check {scenario} --baseline {file} --write"))
        };
        write_whole(&args.baseline, text)?;
        console.say(&format!("{} figures in {}", baseline.metrics.len(), args.baseline.display()));
        return Ok(Outcome::Done);
    }
    let Some(baseline) = &earlier else { bail!("there is no baseline; write one with `--write`") };
    let check = Check::new(&estate, &runs, baseline);
    for (file, text) in [(&args.junit, Check::to_junit as fn(&Check) -> String), (&args.markdown, Check::to_markdown)] {
        if let Some(file) = file {
            write_whole(file, text(&check))?;
        }
    }
    if console.json() {
        console.print(&serde_json::to_string_pretty(&check.to_json())?)?;
    } else {
        console.print_unless_quiet(&check.to_text(console.color()))?;
    }
    Ok(if check.holds() { Outcome::Done } else { Outcome::NotHeld })
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_shares_amounts_or_the_noise() {
        assert_eq!(tolerance("2%"), Ok(Tolerance::Relative(0.02)));
        assert_eq!(tolerance("0.5"), Ok(Tolerance::Absolute(0.5)));
        assert_eq!(tolerance("interval"), Ok(Tolerance::Interval));
        for text in ["", "-1", "x%", "inf", "noise"] {
            assert!(tolerance(text).is_err(), "{text}");
        }
    }
}
