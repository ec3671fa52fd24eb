//! The command line: one file a subcommand.
//!
//! Data goes to stdout or files, talk to stderr. Exit status: 0 done, 1 a check or SLO did not hold, 2 the input was
//! refused.

pub mod catalog;
pub mod check;
pub mod compare;
pub mod compare_runs;
pub mod completions;
pub mod explain;
pub mod merge;
pub mod optimize;
pub mod plot;

#[cfg(feature = "docker")]
pub mod containers;
#[cfg(feature = "docker")]
pub mod real;
pub mod replications;
pub mod rules;
pub mod run;
pub mod schema;
pub mod sweep;
pub mod validate;
pub mod watch;
pub mod workload;

pub mod console;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use console::Console;

/// Simulate an Amazon ECS estate: its scaling, its service quality, its bill.
///
/// Start with `ecsim run scenarios/quickstart.yaml`, then open outputs/quickstart/report.html.
#[derive(Debug, Parser)]
#[command(name = "ecsim", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct Globals {
    /// Say nothing but errors on stderr, and no table on stdout.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print machine-readable JSON on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// Colour on terminals.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario and write its outputs.
    Run(run::RunArgs),
    /// Check scenario files without running them.
    Validate(validate::ValidateArgs),
    /// Run a scenario's variants on the same random numbers and compare them.
    Compare(compare::CompareArgs),
    /// Run a scenario at many points.
    Sweep(sweep::SweepArgs),
    /// Put the shards of a sweep together.
    Merge(merge::MergeArgs),
    /// Find the cheapest point that meets the constraints.
    Optimize(optimize::OptimizeArgs),
    /// Hold a scenario's figures against a stored baseline.
    Check(check::CheckArgs),
    /// Show the error of one finished run against another.
    CompareRuns(compare_runs::CompareRunsArgs),
    /// Redraw the pictures and pages of finished runs.
    Plot(plot::PlotArgs),
    /// Tell the story of a finished run: each decision with its reasons.
    Explain(explain::ExplainArgs),
    /// Watch a run live in the terminal.
    Watch(watch::WatchArgs),
    /// Fit a workload model to a trace, or draw the load that a scenario offers.
    Workload(workload::WorkloadArgs),
    /// List the rules the model keeps, and the tests that show it.
    Rules(rules::RulesArgs),
    /// Show what the built-in catalogue knows.
    Catalog(catalog::CatalogArgs),
    /// Look after the real containers of runs.
    #[cfg(feature = "docker")]
    Containers(containers::ContainersArgs),
    /// Print the JSON Schema of the scenario file.
    Schema(schema::SchemaArgs),
    /// Print a shell completion script.
    Completions(completions::CompletionsArgs),
}

/// How a command ended, apart from errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: exit status 0.
    Done,
    /// A check or SLO did not hold: exit status 1.
    NotHeld,
    /// The input was refused, and the reasons have been said: exit status 2.
    Refused,
}

/// Runs the command and returns the exit status.
pub fn run(cli: &Cli) -> ExitCode {
    let console = Console::new(cli.globals);
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args, &console),
        Command::Validate(args) => {
            let (mut out, mut talk) = (std::io::stdout().lock(), std::io::stderr().lock());
            validate::run(args, &mut out, &mut talk, cli.globals.json, console.color_stderr())
                .map(|accepted| if accepted { Outcome::Done } else { Outcome::Refused })
        }
        Command::Compare(args) => compare::run(args, &console),
        Command::Sweep(args) => sweep::run(args, &console),
        Command::Merge(args) => merge::run(args, &console),
        Command::Optimize(args) => optimize::run(args, &console),
        Command::Check(args) => check::run(args, &console),
        Command::CompareRuns(args) => compare_runs::run(args, &console),
        Command::Plot(args) => plot::run(args, &console),
        Command::Explain(args) => explain::run(args, &console),
        Command::Watch(args) => watch::run(args, &console),
        Command::Workload(args) => workload::run(args, &console),
        #[cfg(feature = "docker")]
        Command::Containers(args) => containers::run(args, &console),
        Command::Rules(args) => rules::run(args, &console),
        Command::Catalog(args) => {
            catalog::run(args, &mut std::io::stdout().lock(), cli.globals.json).map(|()| Outcome::Done)
        }
        Command::Schema(args) => schema::run(*args, &mut std::io::stdout().lock()).map(|()| Outcome::Done),
        Command::Completions(args) => completions::run(args),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotHeld) => ExitCode::from(1),
        Ok(Outcome::Refused) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(2)
        }
    }
}

/// The reader of stdout has gone (`ecsim schema | head`): nothing went wrong.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind_of = |cause: &(dyn std::error::Error + 'static)| {
        let of_system = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        // What serde_json wraps is not among its sources.
        of_system.or_else(|| cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind))
    };
    error.chain().filter_map(kind_of).any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}
