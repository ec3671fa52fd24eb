//! `ecsim explain DIR`: the decisions of a finished run and their reasons, as a readable story.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{Console, Outcome};
use crate::engine::time::{SimDuration, SimTime};
use crate::report::explain::{Depth, Query, tell, tell_run};

/// Tell why a finished run did what it did: each decision with its numbers, its rule, and what came of it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ecsim explain outputs/quickstart
  ecsim explain outputs/quickstart --depth headline
  ecsim explain outputs/quickstart --subject web
  ecsim explain outputs/quickstart --subject capacity-provider/web-hosts --at 6h30m
  ecsim explain outputs/quickstart --subject i-0000000007b1dcdaf
  ecsim explain outputs/quickstart --subject service/shop/web --last --json")]
pub struct ExplainArgs {
    /// Output folder of `ecsim run`.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// A service, capacity provider or Auto Scaling group (the end of its name will do), an instance id, or a task id.
    #[arg(long, value_name = "RESOURCE")]
    pub subject: Option<String>,
    /// How much of the whole run to tell, without a subject.
    #[arg(long, value_enum, default_value_t, conflicts_with = "subject")]
    pub depth: Depth,
    /// Why it was as it was at this time since the start, as `90m` or `6h30m`.
    #[arg(long, value_name = "T", requires = "subject")]
    pub at: Option<SimDuration>,
    /// Only the last thing that happened.
    #[arg(long, requires = "subject")]
    pub last: bool,
}

/// Prints the story of the subject, or of the whole run.
pub fn run(args: &ExplainArgs, console: &Console) -> anyhow::Result<Outcome> {
    let Some(subject) = &args.subject else {
        let story = tell_run(&args.folder, args.depth)?;
        let text = if console.json() { serde_json::to_string_pretty(&story)? } else { story.to_text(console.color()) };
        console.print(text.trim_end())?;
        return Ok(Outcome::Done);
    };
    let at = args.at.map(|since| SimTime::ZERO.saturating_add(since));
    let story = tell(&args.folder, &Query { subject: subject.clone(), at, last: args.last })?;
    let text = if console.json() { serde_json::to_string_pretty(&story)? } else { story.to_text(console.color()) };
    console.print(text.trim_end())?;
    Ok(Outcome::Done)
}
