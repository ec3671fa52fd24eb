//! The story of a finished run, told from its files: what was decided, from which numbers, by which rule, and what came
//! of it.
//!
//! Nothing is simulated anew: `decisions.jsonl` has the reasons, `alarms.csv` the states, `tasks.csv` and `instances.csv`
//! what became of them. A [`Story`] is about one subject: a service, a capacity provider, an Auto Scaling group, a host
//! or a task; a [`RunStory`] is about the run as a whole, at the [`Depth`] asked for, and its [`Overview`] says what there
//! is to ask about.

mod deployment;
mod host;
mod overview;
mod records;
mod run;
mod scaling;
mod task;

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

pub use overview::Overview;
pub(super) use records::Decision;
pub use records::{ExplainError, Records};
pub use run::{Depth, RunChapter, RunStory, tell_run};

use crate::engine::time::{SimDuration, SimTime};

/// What shall be explained.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// A resource as in the output files (`service/shop/web`), the end of its name, an instance id, a task id or its
    /// beginning.
    pub subject: String,
    /// Why it was as it was at this instant.
    pub at: Option<SimTime>,
    /// Only the last chapter.
    pub last: bool,
}

/// What happened to one subject, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Story {
    /// Who it is about.
    pub subject: String,
    /// The whole in a sentence.
    pub summary: String,
    /// In order of time.
    pub chapters: Vec<Chapter>,
    /// How things stood at the instant asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chapter {
    /// When, in seconds since the start.
    pub time_s: f64,
    /// The same on the run's clock.
    pub time: String,
    /// What.
    pub what: String,
    /// Why, and what came of it.
    pub because: Vec<String>,
    /// The rule that decided.
    pub rule: String,
    /// The same as data, where it is a table: batches of a deployment, spans of an idle host, hosts that were looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Value>,
}

/// Tells the story that `query` asks for, out of the run's output in `folder`.
///
/// # Errors
///
/// When `folder` is no output of a run in full detail, or nothing in it has the subject's name.
pub fn tell(folder: &Path, query: &Query) -> Result<Story, ExplainError> {
    let records = Records::read(folder)?;
    let mut story = match records.resolve(&query.subject)? {
        records::Subject::Resource(name) => scaling::story(&records, &name, query.at)?,
        records::Subject::Instance(place) => host::story(&records, place),
        records::Subject::Task(place) => task::story(&records, place),
    };
    if let Some(at) = query.at {
        let at = at.as_secs_f64();
        // What led to the state at that instant, from the last change before it on.
        let from = story.chapters.iter().rposition(|chapter| chapter.time_s <= at && chapter.is_change()).unwrap_or(0);
        story.chapters = story.chapters.drain(from..).filter(|chapter| chapter.time_s <= at).collect();
    }
    if query.last {
        let skip = story.chapters.len().saturating_sub(1);
        story.chapters.drain(..skip);
    }
    Ok(story)
}

impl Chapter {
    /// Something that just happened.
    fn plain(records: &Records, at: f64, what: String) -> Self {
        Self { time_s: at, time: records.clock(at), what, because: Vec::new(), rule: String::new(), rows: Vec::new() }
    }

    /// Whether something changed, rather than stayed.
    fn is_change(&self) -> bool {
        !self.what.starts_with("stayed")
    }
}

impl Story {
    /// The story as text, `width` columns wide at most.
    pub fn to_text(&self, colour: bool) -> String {
        use crate::report::table::Tone;
        let mut text = format!("{}: {}\n", Tone::Strong.paint(&self.subject, colour), self.summary);
        for chapter in &self.chapters {
            let rule = if chapter.rule.is_empty() { String::new() } else { format!("  [{}]", chapter.rule) };
            text += &format!(
                "\n{}  {}{}\n",
                Tone::Strong.paint(&chapter.time, colour),
                chapter.what,
                Tone::Dim.paint(&rule, colour)
            );
            let indent = " ".repeat(chapter.time.chars().count() + 2);
            for line in &chapter.because {
                text += &format!("{indent}{line}\n");
            }
        }
        if !self.at.is_empty() {
            text.push('\n');
            for line in &self.at {
                text += &format!("{line}\n");
            }
        }
        text
    }
}

/// A span in whole seconds: `4m 23s`.
fn lasting(seconds: f64) -> String {
    if seconds < 1.0 {
        "less than a second".to_owned()
    } else {
        SimDuration::from_secs(seconds.round() as u64).to_string()
    }
}

/// `1 task`, `2 tasks`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The title of a rule, for readers without the specification.
fn rule_title(id: &str) -> Option<String> {
    crate::rules::find(id).map(|rule| format!("{id}: {}", rule.title))
}
