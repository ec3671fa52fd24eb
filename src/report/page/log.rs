//! The log of decisions beside the charts: each in words, with its rule and its numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::explain::Decision;
use crate::report::format::grouped;
use crate::report::plot::PlotError;
use crate::rules;

/// A page holds at most so many decisions; all of them are in `decisions.jsonl`.
pub(super) const LINES: usize = 4000;

/// What decisions are about, the rarest and weightiest first: where there are too many, the last kinds are thinned.
const KINDS: [&str; 5] = ["refused", "scaling", "hosts", "other", "placement"];

/// The log as the page's script reads it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Log {
    /// Names of the kinds, which lines refer to by place.
    kinds: [&'static str; KINDS.len()],
    /// Titles of the rules that are cited.
    rules: BTreeMap<String, String>,
    lines: Vec<Line>,
    /// What is left out; empty when nothing is.
    pub(super) note: String,
}

/// `[time, kind, what, why, rule, numbers]`.
#[derive(Debug, Serialize)]
struct Line(f64, u8, String, String, String, String);

/// As much of a decision as says whether it is shown.
#[derive(Debug, Deserialize)]
pub(super) struct Outline<'l> {
    pub(super) time_s: f64,
    #[serde(borrow)]
    actor: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) subject: Cow<'l, str>,
    #[serde(borrow)]
    pub(super) action: Cow<'l, str>,
}

impl Log {
    /// Reads `decisions.jsonl` of a run, keeps at most `most` of its decisions, and shows each decision to `watch`; empty where the run has no such file.
    ///
    /// It is read twice, so that a run with millions of decisions takes no more memory than what is shown of them.
    pub(super) fn read(folder: &Path, most: usize, mut watch: impl FnMut(&Outline<'_>)) -> Result<Self, PlotError> {
        let path = folder.join("decisions.jsonl");
        let mut kinds: Vec<u8> = Vec::new();
        each_line(&path, |text| {
            let outline: Outline<'_> = serde_json::from_str(text)?;
            watch(&outline);
            kinds.push(kind(&outline.actor, &outline.action, &outline.subject));
            Ok(())
        })?;
        let (kept, note) = chosen(&kinds, most);
        let (mut kept, mut lines, mut place) = (kept.into_iter().peekable(), Vec::new(), 0);
        each_line(&path, |text| {
            if kept.next_if_eq(&place).is_some() {
                lines.push(Line::of(&serde_json::from_str(text)?, kinds[place]));
            }
            place += 1;
            Ok(())
        })?;
        let cited = |line: &Line| Some((line.4.clone(), rules::find(&line.4)?.title.clone()));
        Ok(Self { kinds: KINDS, rules: lines.iter().filter_map(cited).collect(), lines, note })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

fn each_line(path: &Path, mut take: impl FnMut(&str) -> serde_json::Result<()>) -> Result<(), PlotError> {
    let read = |source| PlotError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(read(error)),
    };
    for line in BufReader::new(file).lines() {
        take(&line.map_err(read)?)
            .map_err(|error| PlotError::Malformed { path: path.to_owned(), reason: error.to_string() })?;
    }
    Ok(())
}

/// Places of the decisions to show, in order, and what must be said of those left out.
fn chosen(kinds: &[u8], most: usize) -> (Vec<usize>, String) {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    for (number, name) in KINDS.iter().enumerate() {
        let places: Vec<usize> = (0..kinds.len()).filter(|place| usize::from(kinds[*place]) == number).collect();
        let room = most - kept.len();
        if places.len() <= room {
            kept.extend(places);
            continue;
        }
        // Evenly over the run, the first one always.
        kept.extend((0..room).map(|n| places[n * places.len() / room]));
        notes.push(format!("{} of {} about {name}", grouped(room as f64, 0), grouped(places.len() as f64, 0)));
    }
    kept.sort_unstable();
    let note = if notes.is_empty() {
        String::new()
    } else {
        format!("Shown are, evenly over the run, {}; decisions.jsonl has all of them.", notes.join(", "))
    };
    (kept, note)
}

/// Place of a decision's kind in [`KINDS`].
fn kind(actor: &str, action: &str, subject: &str) -> u8 {
    match (actor, action) {
        (_, "refuse") => 0,
        (_, "scale-out" | "scale-in" | "not-scaled") => 1,
        ("placement", _) | (_, "not-placed") => 4,
        ("auto-scaling-group" | "ec2", _) => 2,
        _ if subject.starts_with("i-") => 2,
        _ => 3,
    }
}

impl Line {
    fn of(decision: &Decision, kind: u8) -> Self {
        Self(
            (decision.time_s * 1000.0).round() / 1000.0,
            kind,
            what(decision),
            decision.reason.clone(),
            decision.rule.clone(),
            numbers(&decision.inputs),
        )
    }
}

/// Who did or suffered what, in words.
fn what(decision: &Decision) -> String {
    let subject = &decision.subject;
    let who = match decision.word("group") {
        // Tasks are told by the beginning of their id and whose they are.
        Some(group) if subject.len() == 32 && !subject.contains('/') => {
            format!("{group}, task {}", subject.get(..8).unwrap_or(subject))
        }
        _ => subject.clone(),
    };
    let [from, to] = [&decision.from, &decision.to].map(plain);
    let did = match decision.action.as_str() {
        "scale-out" => format!("scaled out {from} → {to}"),
        "scale-in" => format!("scaled in {from} → {to}"),
        "not-scaled" if to.is_empty() => "not scaled".to_owned(),
        "not-scaled" => format!("stayed at {to}"),
        "place" => format!("placed on {to}"),
        "wait" => "waits for capacity".to_owned(),
        "launch" => format!("launched in {to}"),
        "terminate" => format!("chosen to go from {from}"),
        "refuse" => "refused".to_owned(),
        action => {
            let change = match (from.is_empty(), to.is_empty()) {
                (false, false) => format!(" {from} → {to}"),
                (true, true) => String::new(),
                _ => format!(" {from}{to}"),
            };
            format!("{action}{change}")
        }
    };
    format!("{who}: {did}")
}

/// A JSON value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let value = number.as_f64().unwrap_or(f64::NAN);
            let decimals = if value.fract() == 0.0 { 0 } else { 2 };
            grouped(value, decimals)
        }
        Value::Bool(yes) => yes.to_string(),
        other => other.to_string(),
    }
}

/// What was seen and computed: `capacity 20 · target 60 · datapoints 93.87, 92.77`.
fn numbers(inputs: &Value) -> String {
    /// Of a long row of datapoints the last ones say enough.
    const DATAPOINTS: usize = 5;
    let Some(inputs) = inputs.as_object() else { return plain(inputs) };
    let told = inputs.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| match value {
        Value::Array(list) => {
            let points: Vec<String> = list
                .iter()
                .skip(list.len().saturating_sub(DATAPOINTS))
                .map(|one| one.as_array().and_then(|pair| pair.last()).map_or_else(|| plain(one), plain))
                .collect();
            let of = if list.len() > DATAPOINTS { format!(" (the last of {})", list.len()) } else { String::new() };
            format!("{name} {}{of}", points.join(", "))
        }
        value => format!("{name} {}", plain(value)),
    });
    told.collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn decision(time_s: f64, actor: &str, subject: &str, action: &str) -> String {
        let line = json!({
            "time_s": time_s, "actor": actor, "subject": subject, "action": action, "from": 20, "to": 31,
            "reason": "ceil(20 x 92.28 / 60) = 31", "rule": "TT-10",
            "inputs": {"capacity": 20.0, "metric": 92.2827, "none": null,
                       "datapoints": [[1, 1.5], [2, 2.5], [3, 3], [4, 4], [5, 5], [6, 6]]},
        });
        format!("{line}\n")
    }

    fn read(lines: &[String]) -> (Log, usize) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("decisions.jsonl"), lines.concat()).unwrap();
        let mut seen = 0;
        (Log::read(folder.path(), LINES, |_| seen += 1).unwrap(), seen)
    }

    #[test]
    fn a_line_tells_who_what_why_and_from_which_numbers() {
        let (log, seen) = read(&[decision(378.2, "target-tracking", "service/shop/\"web\"", "scale-out")]);
        let Line(time, kind, what, why, rule, numbers) = &log.lines[0];
        assert_eq!((*time, KINDS[usize::from(*kind)], seen), (378.2, "scaling", 1));
        assert_eq!(what, "service/shop/\"web\": scaled out 20 → 31");
        assert_eq!((why.as_str(), rule.as_str()), ("ceil(20 x 92.28 / 60) = 31", "TT-10"));
        assert_eq!(numbers, "capacity 20 · metric 92.28 · datapoints 2.50, 3, 4, 5, 6 (the last of 6)");
        assert_eq!(log.rules["TT-10"], rules::find("TT-10").unwrap().title);
        assert_eq!(log.note, "");
    }

    #[test]
    fn of_too_many_decisions_placements_are_thinned_and_it_is_said() {
        let task = "0123456789abcdef0123456789abcdef";
        let mut decisions: Vec<String> =
            (0..9000).map(|n| decision(f64::from(n), "placement", task, "place")).collect();
        decisions.insert(4500, decision(4500.0, "auto-scaling-group", "i-1", "launch"));
        let (log, seen) = read(&decisions);
        assert_eq!((log.lines.len(), seen), (LINES, 9001));
        assert_eq!(log.lines.iter().filter(|line| KINDS[usize::from(line.1)] == "hosts").count(), 1);
        let expected =
            "Shown are, evenly over the run, 3,999 of 9,000 about placement; decisions.jsonl has all of them.";
        assert_eq!(log.note, expected);
        assert!(log.lines.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(log.lines[0].0, 0.0);
    }

    #[test]
    fn a_damaged_log_is_named_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Log::read(folder.path(), LINES, |_| {}).unwrap().is_empty());
        std::fs::write(folder.path().join("decisions.jsonl"), "{\"time_s\":").unwrap();
        let error = Log::read(folder.path(), LINES, |_| {}).unwrap_err();
        assert!(error.to_string().contains("decisions.jsonl"), "{error}");
    }
}
