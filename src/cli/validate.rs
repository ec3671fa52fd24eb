//! `ecsim validate`: parses and checks scenarios, runs nothing.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::scenario::{Diagnostics, Finding, LoadOptions, load};

/// Arguments of `ecsim validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    /// Scenario files, YAML or JSON.
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    /// Change a value first, as `ecsim run` would.
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// Checks every file, with each of its variants: a line per accepted file on `out`, diagnostics on `talk`; with `json`
/// one document on `out` instead.
///
/// Returns whether all were accepted; if not, the exit status is 2.
pub fn run(
    args: &ValidateArgs,
    out: &mut dyn Write,
    talk: &mut dyn Write,
    json: bool,
    color: bool,
) -> anyhow::Result<bool> {
    let mut all_accepted = true;
    let mut documents = Vec::new();
    for path in &args.scenarios {
        let report = check(path, &args.set);
        all_accepted &= report.accepted;
        if json {
            documents.push(report.document(path));
            continue;
        }
        for diagnostics in &report.diagnostics {
            write!(talk, "{}", diagnostics.render(color))?;
        }
        if report.accepted {
            writeln!(out, "{}: ok{}", path.display(), report.remarks())?;
        } else {
            let errors: usize = report.diagnostics.iter().map(Diagnostics::error_count).sum();
            writeln!(talk, "{}: refused, {errors} error{}", path.display(), if errors == 1 { "" } else { "s" })?;
        }
    }
    if json {
        serde_json::to_writer_pretty(&mut *out, &documents)?;
        writeln!(out)?;
    }
    Ok(all_accepted)
}

/// What was found in one file and in its variants.
struct Report {
    accepted: bool,
    variants: usize,
    diagnostics: Vec<Diagnostics>,
}

fn check(path: &std::path::Path, set: &[String]) -> Report {
    let options = |variant: Option<String>| LoadOptions { set: set.to_vec(), variant, ..LoadOptions::default() };
    let scenario = match load(path, &options(None)) {
        Ok(scenario) => scenario,
        Err(refused) => return Report { accepted: false, variants: 0, diagnostics: vec![refused] },
    };
    // A variant repeats what was said of the file itself; only refusals are news.
    let refused: Vec<Diagnostics> =
        scenario.variants.iter().filter_map(|name| load(path, &options(Some(name.clone()))).err()).collect();
    let accepted = refused.is_empty();
    let mut diagnostics = vec![scenario.warnings];
    diagnostics.extend(refused);
    Report { accepted, variants: scenario.variants.len(), diagnostics }
}

impl Report {
    fn remarks(&self) -> String {
        let warnings: usize = self.diagnostics.iter().map(|found| found.findings().len()).sum();
        let plural = |count: usize, what: &str| match count {
            0 => String::new(),
            1 => format!(", 1 {what}"),
            count => format!(", {count} {what}s"),
        };
        format!("{}{}", plural(self.variants, "variant"), plural(warnings, "warning"))
    }

    fn document(&self, path: &std::path::Path) -> Value {
        let findings = self.diagnostics.iter().flat_map(Diagnostics::findings).map(finding).collect::<Vec<_>>();
        json!({ "scenario": path.display().to_string(), "accepted": self.accepted, "findings": findings })
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "severity": if finding.warning { "warning" } else { "error" },
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
    })
}
