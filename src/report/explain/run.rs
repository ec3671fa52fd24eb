//! The story of a whole run, for who was not there: what it came to in a few sentences, then its chapters, then every
//! decision.
//!
//! A chapter is a stretch in which the run went one way: growth, decline, a fault and what it did, an operator's call or a
//! deployment. It ends when the direction turns or nothing happens for a while; what happens within [`TOGETHER`] seconds
//! belongs together whichever way it goes. Neighbours are put together, those that make the shortest chapter first, until
//! no more than [`CHAPTERS`] are left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::records::{Decision, ExplainError, Records};
use super::{Overview, count, lasting};
use crate::report::format::{grouped, money, span};
use crate::report::table::Tone;

/// As many chapters as a reader takes in.
const CHAPTERS: usize = 12;
/// How long nothing has to happen for a chapter to be over: this part of the run, but no less than [`SHORTEST_PAUSE`].
const PAUSE_SHARE: f64 = 1.0 / 24.0;
const SHORTEST_PAUSE: f64 = 300.0;
/// Seconds within which one thing is likely to follow from the other.
const TOGETHER: f64 = 30.0;
/// So few steps that go one way and then the other are no turn.
const FLUTTER: usize = 3;

/// How much is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Depth {
    /// What the run came to, in a few sentences.
    Headline,
    /// What happened one after the other.
    #[default]
    Chapters,
    /// Every decision, in the chapter that it belongs to.
    Decisions,
}

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunStory {
    /// The run in a few sentences.
    pub headline: Vec<String>,
    /// In order of time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chapters: Vec<RunChapter>,
    /// Whom to ask about.
    #[serde(flatten)]
    pub overview: Option<Overview>,
}

/// A stretch in which the run went one way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunChapter {
    /// Its first decision, in seconds since the start.
    pub from_s: f64,
    /// Its last.
    pub to_s: f64,
    /// Both on the run's clock.
    pub when: String,
    /// In a few words.
    pub title: String,
    /// What changed, why at first, and what came of it.
    pub lines: Vec<String>,
    /// Its decisions, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<String>,
}

/// Which way a decision goes; what outranks the others gives a chapter its title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Course {
    /// Nothing that a chapter is made of: a single host or task, or a state that stayed.
    Detail,
    /// Follows from what goes on, and makes a chapter only when nothing does.
    Aside,
    Decline,
    Growth,
    /// Somebody wanted it so: an operator, a deployment, a refresh.
    Intent,
    /// Something broke, or was taken away.
    Trouble,
}

impl Course {
    fn of(decision: &Decision) -> Self {
        match (decision.actor.as_str(), decision.action.as_str()) {
            (_, "scale-out") => Self::Growth,
            (_, "scale-in") => Self::Decline,
            ("fault", _)
            | ("ec2", "fail" | "spot-notice")
            | ("service-scheduler", "fail")
            | ("auto-scaling-group", "not-launched") => Self::Trouble,
            ("operator" | "service-deployment" | "lifecycle-hook", _)
            | ("service-scheduler", "batch" | "shift-traffic")
            | ("auto-scaling-group", "refresh" | "refreshed") => Self::Intent,
            ("service-scheduler", "rebalance") => Self::Aside,
            _ => Self::Detail,
        }
    }
}

/// Decisions that make a chapter, as places in the list of all.
#[derive(Clone, Debug)]
struct Stretch {
    courses: BTreeSet<Course>,
    decisions: Vec<usize>,
    from: f64,
    to: f64,
}

impl Stretch {
    /// Whether what happens at `at` and goes that way belongs to it.
    fn takes(&self, course: Course, at: f64, pause: f64) -> bool {
        let since = at - self.to;
        let last = self.courses.last().copied().unwrap_or(course);
        let flutters = || {
            let scales = |course: Course| matches!(course, Course::Growth | Course::Decline);
            scales(course) && scales(last) && self.decisions.len() <= FLUTTER && at - self.from < pause
        };
        since < TOGETHER || since < pause && (course == Course::Aside || course == last || flutters())
    }
}

/// Tells the run in `folder`, as deep as asked for.
///
/// # Errors
///
/// As [`tell`](super::tell).
pub fn tell_run(folder: &Path, depth: Depth) -> Result<RunStory, ExplainError> {
    let records = Records::read(folder)?;
    let chapters = if depth == Depth::Headline { Vec::new() } else { chapters(&records, depth) };
    let overview = (depth == Depth::Chapters).then(|| Overview::of(&records));
    Ok(RunStory { headline: headline(&records), chapters, overview })
}

/// What a run came to: money, hosts, the quality of each service, the objectives.
fn headline(records: &Records) -> Vec<String> {
    let get = |key: &str| records.metric(key);
    let mut first = format!("{} ran for {}", records.scenario, lasting(records.duration_s));
    if let Some(cost) = get("cost_usd") {
        first += &format!(" and cost {}", money(cost));
        let idle = get("idle_cost_usd").filter(|idle| *idle > 0.0 && cost > 0.0);
        if let Some(idle) = idle {
            first += &format!(", {} of it for idle hosts", percent(idle / cost));
        }
    }
    if records.replications > 1 {
        first += &format!(
            " (figures are means of {} replications, what follows is the first of them)",
            records.replications
        );
    }
    let mut sentences = vec![first + "."];
    if let Some(peak) = get("instances_peak").filter(|peak| *peak > 0.0) {
        let mut hosts = format!("It had {} at most", count(peak.round() as usize, "host"));
        if let (Some(cpu), Some(memory)) = (get("cpu_reserved_ratio"), get("memory_reserved_ratio")) {
            hosts += &format!("; tasks reserved {} of their CPU and {} of their memory", percent(cpu), percent(memory));
        }
        sentences.push(hosts + ".");
    }
    for service in records.parts("requests") {
        let part = |metric: &str| get(&format!("{service}:{metric}"));
        let Some(requests) = part("requests").filter(|requests| *requests > 0.0) else { continue };
        let failed = part("requests_failed").unwrap_or(0.0);
        let mut line = format!("{} answered {} requests", short(&service), grouped(requests - failed, 0));
        line += &if failed < 0.5 {
            ", and failed none".to_owned()
        } else {
            format!(", and failed {}", percent(failed / requests))
        };
        if let Some(slowest) = part("latency_p99_s") {
            line += &format!("; the slowest hundredth took {} or more", span(slowest));
        }
        sentences.push(line + ".");
    }
    if let Some(started) = get("tasks_started") {
        let mut line = format!("{} started", count(started.round() as usize, "task"));
        if let Some(failed) = get("tasks_failed").filter(|failed| *failed >= 0.5) {
            line += &format!(" and {} failed", grouped(failed, 0));
        }
        if let (Some(half), Some(slowest)) = (get("task_wait_p50_s"), get("task_wait_p99_s")) {
            line += &format!("; half of them waited {}, the slowest hundredth {} or more", span(half), span(slowest));
        }
        sentences.push(line + ".");
    }
    if records.warmup_s > 0.0 {
        let warmup = lasting(records.warmup_s);
        sentences.push(format!(
            "Figures leave out the first {warmup}, the warm-up; money and chapters are of the whole run."
        ));
    }
    if !records.slo.is_empty() {
        let missed: Vec<&str> =
            records.slo.iter().filter(|verdict| !verdict.held).map(|verdict| verdict.metric.as_str()).collect();
        sentences.push(if missed.is_empty() {
            format!("Its {} held.", count(records.slo.len(), "objective"))
        } else {
            format!("It missed {} of {}: {}.", missed.len(), count(records.slo.len(), "objective"), missed.join(", "))
        });
    }
    sentences
}

fn chapters(records: &Records, depth: Depth) -> Vec<RunChapter> {
    let mut stretches = stretches(records);
    while stretches.len() > CHAPTERS {
        let length = |place: &usize| stretches[place + 1].to - stretches[*place].from;
        let Some(place) =
            (0..stretches.len() - 1).min_by(|one, other| length(one).total_cmp(&length(other)).then(one.cmp(other)))
        else {
            break;
        };
        let next = stretches.remove(place + 1);
        let stretch = &mut stretches[place];
        stretch.courses.extend(next.courses);
        stretch.decisions.extend(next.decisions);
        stretch.to = next.to;
    }
    let ends: Vec<f64> = stretches.iter().skip(1).map(|next| next.from).chain([f64::INFINITY]).collect();
    let mut told: Vec<RunChapter> =
        stretches.iter().zip(&ends).map(|(stretch, end)| chapter(records, stretch, *end)).collect();
    if depth == Depth::Decisions {
        if told.is_empty() {
            told.push(RunChapter {
                from_s: 0.0,
                to_s: records.duration_s,
                when: format!("{} – {}", records.clock(0.0), records.clock(records.duration_s)),
                title: "Nothing was scaled, broken or changed".to_owned(),
                lines: Vec::new(),
                decisions: Vec::new(),
            });
        }
        for decision in &records.decisions {
            // What comes before the first chapter is part of it.
            let place = told.iter().rposition(|chapter| chapter.from_s <= decision.time_s).unwrap_or(0);
            told[place].decisions.push(line(records, decision));
        }
    }
    told
}

/// The decisions of the run that a chapter is made of, cut where the direction turns or nothing happens for a while.
fn stretches(records: &Records) -> Vec<Stretch> {
    let pause = pause(records);
    let mut stretches: Vec<Stretch> = Vec::new();
    for (place, decision) in records.decisions.iter().enumerate() {
        let course = Course::of(decision);
        if course == Course::Detail {
            continue;
        }
        match stretches.last_mut() {
            Some(last) if last.takes(course, decision.time_s, pause) => {
                last.courses.insert(course);
                last.decisions.push(place);
                last.to = decision.time_s;
            }
            _ => stretches.push(Stretch {
                courses: BTreeSet::from([course]),
                decisions: vec![place],
                from: decision.time_s,
                to: decision.time_s,
            }),
        }
    }
    stretches
}

/// How long nothing has to happen for a chapter to be over.
fn pause(records: &Records) -> f64 {
    (records.duration_s * PAUSE_SHARE).max(SHORTEST_PAUSE)
}

/// How the capacity of one resource went.
struct CapacityPath<'r> {
    first: &'r Decision,
    low: f64,
    high: f64,
    last: f64,
    steps: usize,
}

impl CapacityPath<'_> {
    fn from(&self) -> f64 {
        self.first.from.as_f64().unwrap_or_default()
    }
}

fn chapter(records: &Records, stretch: &Stretch, next: f64) -> RunChapter {
    let decisions: Vec<&Decision> = stretch.decisions.iter().map(|place| &records.decisions[*place]).collect();
    let paths = paths(&decisions);
    let mut lines: Vec<String> = paths.iter().map(|(subject, path)| told(records, subject, path)).collect();
    lines.extend(happenings(records, &decisions));
    // What came of it shows until the next chapter begins.
    let until = next.min(records.duration_s);
    lines.extend(consequences(records, stretch.from, until));
    let quiet = until - stretch.to;
    if quiet > pause(records) {
        lines.push(format!("Then nothing is changed for {}.", lasting(quiet)));
    }
    let (from, to) = (records.clock(stretch.from), records.clock(stretch.to));
    RunChapter {
        from_s: stretch.from,
        to_s: stretch.to,
        when: if from == to { from } else { format!("{from} – {to}") },
        title: title(&decisions, &paths),
        lines,
        decisions: Vec::new(),
    }
}

/// The capacities that were scaled, by resource.
fn paths<'r>(decisions: &[&'r Decision]) -> BTreeMap<&'r str, CapacityPath<'r>> {
    let mut paths: BTreeMap<&str, CapacityPath<'_>> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.scales()) {
        let (Some(from), Some(to)) = (decision.from.as_f64(), decision.to.as_f64()) else { continue };
        let path = paths.entry(&decision.subject).or_insert(CapacityPath {
            first: decision,
            low: from,
            high: from,
            last: to,
            steps: 0,
        });
        path.low = path.low.min(to);
        path.high = path.high.max(to);
        path.last = to;
        path.steps += 1;
    }
    paths
}

fn title(decisions: &[&Decision], paths: &BTreeMap<&str, CapacityPath<'_>>) -> String {
    // What broke or was wanted comes first; what the capacities did follows from it.
    let weight = |decision: &Decision| (Course::of(decision), decision.actor == "operator");
    let mut leads = decisions.iter().filter(|decision| !decision.scales());
    let heaviest = leads.clone().map(|decision| weight(decision)).max();
    let lead = leads.find(|decision| Some(weight(decision)) == heaviest);
    let lead = lead.filter(|decision| Course::of(decision) != Course::Aside || paths.is_empty()).map(|decision| {
        let whose = short(&decision.subject);
        match (decision.actor.as_str(), decision.action.as_str()) {
            ("fault", "over") => format!("fault {whose} is over"),
            ("fault", _) => format!("fault {whose}"),
            ("ec2", "spot-notice") => "Spot hosts are taken back".to_owned(),
            ("ec2", _) => "hosts fail".to_owned(),
            ("auto-scaling-group", "not-launched") => format!("no capacity for {whose}"),
            ("auto-scaling-group", _) => format!("{whose} is refreshed"),
            ("operator", _) => format!("an operator calls {}", decision.subject),
            ("service-scheduler", "fail") => format!("a deployment of {whose} fails"),
            ("service-scheduler", "rebalance") => format!("{whose} is rebalanced over its zones"),
            _ if decision.time_s < TOGETHER => "the run begins".to_owned(),
            ("service-scheduler", "shift-traffic") => format!("traffic of {whose} shifts"),
            ("service-deployment", _) if decision.to == "SUCCESSFUL" => format!("a deployment of {whose} succeeds"),
            _ => format!("{whose} is deployed"),
        }
    });
    let mut courses: Vec<(&str, &str, Vec<String>)> =
        ["grow", "shrink", "go"].map(|verb| (verb, "", Vec::new())).into();
    (courses[0].1, courses[1].1, courses[2].1) = ("grows", "shrinks", "goes");
    for (subject, path) in paths {
        let (net, swing) = (path.last - path.from(), path.high - path.low);
        let place = if net * 2.0 > swing {
            0
        } else if net * 2.0 < -swing {
            1
        } else {
            2
        };
        let names = &mut courses[place].2;
        if !names.iter().any(|name| name == short(subject)) {
            names.push(short(subject).to_owned());
        }
    }
    let courses = courses.into_iter().filter(|(.., names)| !names.is_empty()).map(|(many, one, names)| {
        let verb = if names.len() == 1 { one } else { many };
        format!("{} {verb}{}", listed(&names), if many == "go" { " up and down" } else { "" })
    });
    lead.into_iter().chain(courses).collect::<Vec<_>>().join(", ")
}

/// How a capacity went, and why it began to.
fn told(records: &Records, subject: &str, path: &CapacityPath<'_>) -> String {
    let noun = if subject.starts_with("service/") { "task" } else { "host" };
    let first = path.first;
    let from = path.from();
    let mut text =
        format!("{subject}: {} → {} in {}", from, count(path.last as usize, noun), count(path.steps, "step"));
    let inside = |value: f64| value == from || value == path.last;
    if !inside(path.low) || !inside(path.high) {
        text += &format!(", between {} and {}", path.low, path.high);
    }
    text += &format!("; first at {}, as {}", records.clock(first.time_s), reason(first));
    text
}

/// Why a capacity was changed, for readers who know no formula yet.
fn reason(decision: &Decision) -> String {
    let read = decision.input("metric").or_else(|| decision.input("reservation"));
    let aim = decision.input("target").map(|aim| format!("the target is {aim}"));
    let aim = aim.or_else(|| decision.input("threshold").map(|threshold| format!("the threshold is {threshold}")));
    let why = match (read, aim) {
        (Some(read), Some(aim)) => {
            format!(
                "its metric read {} and {aim}: {}",
                crate::report::format::number((read * 100.0).round() / 100.0),
                decision.reason
            )
        }
        _ => decision.reason.clone(),
    };
    if decision.rule.is_empty() { why } else { format!("{why} [{}]", decision.rule) }
}

/// What happened but scaling, in order of time; what happens often is counted.
fn happenings(records: &Records, decisions: &[&Decision]) -> Vec<String> {
    const MOST: usize = 8;
    // By what is said of it, in order of the first of each.
    let mut said: Vec<(String, f64, usize)> = Vec::new();
    for decision in decisions.iter().filter(|decision| !decision.scales()) {
        let text = match (decision.actor.as_str(), decision.action.as_str()) {
            ("fault", "strike") => format!("fault {} strikes", decision.subject),
            ("fault", "over") => format!("fault {} is over", decision.subject),
            ("operator", _) => format!("an operator calls {}", decision.subject),
            ("service-scheduler", "batch") => format!("a deployment of {} replaces tasks", short(&decision.subject)),
            ("ec2", "fail") => format!("a host fails: {}", decision.reason),
            ("ec2", "spot-notice") => "a Spot host gets its two minutes' notice".to_owned(),
            _ => format!("{}: {}", short(&decision.subject), decision.reason),
        };
        match said.iter_mut().find(|(known, ..)| *known == text) {
            Some((_, _, times)) => *times += 1,
            None => said.push((text, decision.time_s, 1)),
        }
    }
    let more = said.len().saturating_sub(MOST);
    let mut lines: Vec<String> = said
        .into_iter()
        .take(MOST)
        .map(|(text, at, times)| {
            let often = if times > 1 { format!(" ({times} times)") } else { String::new() };
            format!("{} {text}{often}", records.clock(at))
        })
        .collect();
    if more > 0 {
        lines.push(format!("and {more} more, with --depth decisions"));
    }
    lines
}

/// What became of tasks and hosts meanwhile.
fn consequences(records: &Records, from: f64, until: f64) -> Vec<String> {
    let within = |time: f64| (from..until).contains(&time);
    let mut lines = Vec::new();
    let launched = records.instances.iter().filter(|row| within(row.launched_s)).count();
    let gone = records.instances.iter().filter(|row| row.terminated_s.is_some_and(within)).count();
    match (launched, gone) {
        (0, 0) => {}
        (launched, 0) => lines.push(format!("{} launched", count(launched, "host"))),
        (0, gone) => lines.push(format!("{} terminated", count(gone, "host"))),
        (launched, gone) => lines.push(format!("{} launched, {gone} terminated", count(launched, "host"))),
    }
    let started: Vec<f64> = records
        .tasks
        .iter()
        .filter_map(|row| row.running_s.filter(|running| within(*running)).map(|running| running - row.created_s))
        .collect();
    if !started.is_empty() {
        let slowest = started.iter().copied().fold(0.0, f64::max);
        lines.push(format!("{} became RUNNING, the slowest after {}", count(started.len(), "task"), lasting(slowest)));
    }
    let mut stopped: BTreeMap<&str, usize> = BTreeMap::new();
    for row in records.tasks.iter().filter(|row| row.stopped_s.is_some_and(within)) {
        *stopped.entry(&row.stop_code).or_default() += 1;
    }
    if !stopped.is_empty() {
        let all: usize = stopped.values().sum();
        let codes: Vec<String> = stopped.iter().map(|(code, tasks)| format!("{tasks} {code}")).collect();
        lines.push(format!("{} stopped: {}", count(all, "task"), codes.join(", ")));
    }
    lines
}

/// A decision in a line.
fn line(records: &Records, decision: &Decision) -> String {
    let change = match (decision.from.is_null(), decision.to.is_null()) {
        (true, true) => String::new(),
        (true, false) => format!(" → {}", plain(&decision.to)),
        (false, true) => format!(" {} →", plain(&decision.from)),
        (false, false) => format!(" {} → {}", plain(&decision.from), plain(&decision.to)),
    };
    let rule = if decision.rule.is_empty() { String::new() } else { format!(" [{}]", decision.rule) };
    format!(
        "{} {} {} {}{change}: {}{rule}",
        records.clock(decision.time_s),
        decision.actor,
        decision.action,
        decision.subject,
        decision.reason
    )
}

/// A value without the quotes of JSON.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `a`, `a and b`, `a, b and 3 more`.
fn listed(names: &[String]) -> String {
    match names {
        [] => "The estate".to_owned(),
        [one] => one.clone(),
        [one, other] => format!("{one} and {other}"),
        [one, other, rest @ ..] => format!("{one}, {other} and {} more", rest.len()),
    }
}

/// The last part of a resource's name.
fn short(resource: &str) -> &str {
    resource.rsplit_once('/').map_or(resource, |(_, last)| last)
}

fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    let decimals = if value > 0.0 && value < 1.0 { 2 } else { usize::from(value < 10.0) };
    format!("{} %", grouped(value, decimals))
}

impl RunStory {
    /// The story as text.
    pub fn to_text(&self, colour: bool) -> String {
        let mut text = self.headline.join("\n") + "\n";
        for chapter in &self.chapters {
            text += &format!("\n{}  {}\n", Tone::Strong.paint(&chapter.when, colour), chapter.title);
            for line in &chapter.lines {
                text += &format!("  {line}\n");
            }
            for line in &chapter.decisions {
                text += &format!("    {}\n", Tone::Dim.paint(line, colour));
            }
        }
        if let Some(overview) = &self.overview {
            text += "\n";
            text += &overview.to_text(colour);
        }
        text
    }
}
