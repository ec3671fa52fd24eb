//! `report.html`: a run, or a comparison, on one page that needs nothing else, drawn from the files of its folder.
//!
//! Interactive charts are Plotly's, whose script the `plotly` crate brings; it is written into the page, and a content
//! security policy forbids the page to fetch anything. Everything that comes from a scenario is escaped: in HTML by
//! [`html::escaped`], in data for the script by [`html::data`].

mod compare;
mod figure;
mod html;
mod log;
mod map;
mod origin;
mod run;
mod tables;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use plotly::Plot;
use serde::Serialize;

pub use origin::{ORIGIN, Origin, SourceText};

use crate::report::format::{json_number, span};
use crate::report::plot::findings;
use crate::report::plot::folder::Folder;
use crate::report::plot::{Occurrence, PlotError};
use figure::{Drawn, Figure, Thinned};
use html::escaped;
use log::Log;
use map::HostMap;
use tables::SummaryFile;

pub(super) use compare::write as write_comparison;

/// The name of the page in its folder.
pub const PAGE: &str = "report.html";

/// What the page's script is given.
#[derive(Serialize)]
struct Data<'p> {
    /// Milliseconds since 1970 at time zero.
    start_ms: i64,
    duration_s: f64,
    warmup_s: f64,
    occurrences: Vec<Occurrence>,
    /// The moment that the page opens at: of the highest demand.
    moment_s: f64,
    figures: IndexMap<&'p str, Drawn>,
    details: &'p [Details],
}

/// What only `--detail full` knows of a run: the log and the map, of which the page shows one run's at a time.
#[derive(Debug, Serialize)]
struct Details {
    /// The variant; empty on the page of a run.
    name: String,
    log: Log,
    map: HostMap,
}

impl Details {
    /// Reads the run in `path`, one of `runs` that share the room of the page.
    fn read(path: &Path, name: &str, folder: &Folder, runs: usize) -> Result<Self, PlotError> {
        let mut placed: BTreeMap<String, f64> = BTreeMap::new();
        let log = Log::read(path, log::LINES / runs, |decision| {
            if decision.action == "place" {
                placed.insert(decision.subject.clone().into_owned(), decision.time_s);
            }
        })?;
        let map = HostMap::read(path, folder, &placed, map::STAYS / runs)?;
        Ok(Self { name: name.to_owned(), log, map })
    }
}

/// Writes the page of a run into its folder.
pub(super) fn write_run(path: &Path, folder: &Folder) -> Result<PathBuf, PlotError> {
    let summary = SummaryFile::read(path)?;
    let origin = Origin::read(path)?;
    let details = [Details::read(path, "", folder, 1)?];
    let figures = run::figures(folder);
    let mut sections = vec![("answer", "In short"), ("charts", "What happened, and why")];
    sections.extend(hosts_section(&details));
    sections.extend([("figures", "All figures"), ("reproduce", "The scenario")]);
    let mut body = head(&summary.scenario, &summary.description, &facts(&summary), &sections);
    body.push_str(&answer(&summary, &figures));
    body.push_str(&charts("What happened, and why", &figures, &details, &[folder]));
    body.push_str(&hosts(&details));
    let _ = write!(
        body,
        "<section id=\"figures\"><h2>All figures</h2>\n{}{}{}{}</section>\n",
        summary.bill(),
        summary.whole(),
        summary.parts(),
        MEANINGS
    );
    body.push_str(&reproduce(origin.as_ref(), &summary));
    save(path, &summary.scenario, body, &figures, &[folder], &details)
}

/// Puts the page together: the body, how it was thinned, the data, the scripts.
fn save(
    path: &Path,
    title: &str,
    mut body: String,
    figures: &[Figure],
    folders: &[&Folder],
    details: &[Details],
) -> Result<PathBuf, PlotError> {
    let plan = folders.first().map(|folder| &folder.plan);
    let moment_s = folders.first().map_or(0.0, |folder| findings::busiest(folder));
    let mut thinning = Thinned::default();
    let drawn = figures.iter().map(|figure| (figure.id.as_str(), figure.draw(&mut thinning))).collect();
    let data = Data {
        start_ms: plan.map_or(0, |plan| plan.start.as_millisecond()),
        duration_s: plan.map_or(0.0, |plan| plan.duration_s),
        warmup_s: plan.map_or(0.0, |plan| plan.warmup_s),
        occurrences: occurrences(folders),
        moment_s,
        figures: drawn,
        details,
    };
    let _ = write!(body, "</main>\n<footer><p>{} {HELP}</p></footer>\n", thinning.note());
    let target = path.join(PAGE);
    let data = html::data("data", &data)
        .map_err(|error| PlotError::Malformed { path: target.clone(), reason: error.to_string() })?;
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}: ecsim report</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         {body}{data}{}\n<script>\n{}</script>\n</body>\n</html>\n",
        escaped(title),
        include_str!("page.css"),
        plotly_script(),
        include_str!("page.js"),
    );
    fs::write(&target, page).map_err(|source| PlotError::Write { path: target.clone(), source })?;
    Ok(target)
}

/// Nothing may be fetched, whatever is in the page.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:";

/// The script element of Plotly alone; the crate's other one sets formulas, of which the page has none.
fn plotly_script() -> String {
    const END: &str = "</script>";
    let mut scripts = Plot::offline_js_sources();
    if let Some(end) = scripts.find(END) {
        scripts.truncate(end + END.len());
    }
    scripts
}

/// How the page is used, for the footer.
const HELP: &str = "Drag across a chart to look closer; the buttons above the charts do the same from the keyboard, and the \
    slider chooses the moment that legends, the log and the map of hosts tell of. The pictures in plots/ show the same, still.";

/// What the words in the tables mean.
const MEANINGS: &str = "<details><summary>What the figures mean</summary><dl>\
    <dt>below desired</dt><dd>time in which a service had fewer tasks RUNNING than its desired count, whatever the load</dd>\
    <dt>under-provisioned</dt><dd>time in which the running tasks were too few for the load: less CPU than it needed, or \
    requests left waiting; without a modelled load, fewer than the desired count</dd>\
    <dt>over-provisioned</dt><dd>time in which one task fewer would still have met the CPU target (100 % without one); \
    without a modelled load, more than the desired count</dd>\
    <dt>task wait</dt><dd>from creation to RUNNING</dd>\
    <dt>requests failed</dt><dd>those that timed out, found no healthy target, were refused, died with their task or met an \
    error of the application; summary.csv has each cause</dd>\
    <dt>idle</dt><dd>cost of hosts without a task but daemons: booting, empty, leaving</dd>\
    </dl></details>\n";

/// Title, description, and what kind of run it is.
fn head(name: &str, description: &str, facts: &str, sections: &[(&str, &str)]) -> String {
    let mut nav = String::from("<nav aria-label=\"Sections\">");
    for (id, name) in sections {
        let _ = write!(nav, "<a href=\"#{id}\">{name}</a>");
    }
    nav.push_str("</nav>\n");
    let description = if description.is_empty() { String::new() } else { format!("<p>{}</p>\n", escaped(description)) };
    format!(
        "<a class=\"skip\" href=\"#answer\">Skip to the result</a>\n<header>\n<h1>{}</h1>\n{description}<p class=\"facts\">{facts}</p>\n\
         {nav}</header>\n<main>\n",
        escaped(name)
    )
}

/// How long, where, by which chance: in a line.
fn facts(summary: &SummaryFile) -> String {
    let replications = match summary.replications {
        1 => "1 replication".to_owned(),
        more => format!("{more} replications, the first one in the charts"),
    };
    let warmup = if summary.warmup_s > 0.0 {
        format!(
            " · {} of warm-up, shaded, which figures leave out and dollars do not",
            escaped(&span(summary.warmup_s))
        )
    } else {
        String::new()
    };
    format!(
        "{} simulated from {} · {} · seed {} · {replications}{warmup}",
        span(summary.duration_s),
        escaped(&summary.start),
        escaped(&summary.region),
        summary.seed
    )
}

/// The result in words and in a handful of figures.
fn answer(summary: &SummaryFile, figures: &[Figure]) -> String {
    let mut html = String::from("<section id=\"answer\"><h2>In short</h2>\n<ul class=\"findings\">\n");
    if let Some((held, sentence)) = summary.verdict() {
        let (class, mark) = if held { ("good", "✓") } else { ("bad", "✗") };
        let _ = writeln!(html, "<li><strong class=\"{class}\">{mark} {}</strong></li>", escaped(&sentence));
    }
    // One sentence a kind of chart, the first service's only: the rest is told where it is shown.
    let first = |id: &str| figures.iter().find(|figure| figure.id == id);
    for figure in ["demand-cpu", "cost", "hosts-by-state", "counts-0"].into_iter().filter_map(first) {
        let _ = writeln!(html, "<li>{}.</li>", escaped(figure.title.trim_end_matches('.')));
    }
    html.push_str("</ul>\n<dl class=\"cards\">\n");
    for (name, value) in summary.headline_figures() {
        let _ = writeln!(html, "<div><dt>{}</dt><dd>{}</dd></div>", escaped(&name), escaped(&value));
    }
    html.push_str("</dl>\n");
    html.push_str(&summary.objectives("Objectives"));
    html.push_str(&notes("warning", &summary.warnings));
    html.push_str(&notes("assumption", &summary.assumptions));
    html.push_str("</section>\n");
    html
}

/// Sentences that a reader may open.
fn notes(kind: &str, sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    let count = findings::plural(sentences.len() as f64, kind);
    // A warning is seen without being asked for.
    let open = if kind == "warning" { " open" } else { "" };
    let mut html = format!("<details{open}><summary>{count}</summary><ul>");
    for sentence in sentences {
        let _ = write!(html, "<li>{}</li>", escaped(sentence));
    }
    html.push_str("</ul></details>\n");
    html
}

/// The charts with what moves through their time, and the log beside them; or what it needs to be there.
fn charts(heading: &str, figures: &[Figure], details: &[Details], folders: &[&Folder]) -> String {
    let mut html = format!("<section id=\"charts\"><h2>{heading}</h2>\n");
    html.push_str("<noscript><p>The charts need JavaScript; plots/ has still pictures of them.</p></noscript>\n");
    html.push_str(TIMEBAR);
    html.push_str(&marked(&occurrences(folders)));
    let mut services: Vec<&str> = figures.iter().filter_map(|figure| figure.service.as_deref()).collect();
    services.dedup();
    if services.len() > 1 {
        html.push_str("<p><label>Service <select id=\"service\">");
        for service in services {
            let _ = write!(html, "<option>{}</option>", escaped(service));
        }
        html.push_str("</select></label></p>\n");
    }
    let log = details.iter().any(|run| !run.log.is_empty());
    let columns = if log { " class=\"columns\"" } else { "" };
    let _ = writeln!(html, "<div{columns}>\n<div class=\"charts\">");
    for figure in figures {
        html.push_str(&figure.html());
    }
    html.push_str("</div>\n");
    if log {
        let _ = write!(
            html,
            "<aside id=\"log\" aria-label=\"Decisions\"><h3>Decisions in view</h3>\n{}\
             <p><label>Show <select id=\"kinds\"></select></label> <span id=\"log-count\" role=\"status\"></span></p>\n\
             <ol id=\"log-lines\" tabindex=\"0\" aria-label=\"Decisions in view, in order of time\"></ol>\n\
             <p class=\"note\" id=\"log-note\"></p></aside>\n",
            variant_chooser("variant", details)
        );
    }
    html.push_str("</div>\n</section>\n");
    if !log && hosts_section(details).is_none() {
        html.push_str("<p class=\"note\">Decisions and the map of hosts need <code>--detail full</code>.</p>\n");
    }
    html
}

/// What the scenarios of `folders` make happen, each thing once.
fn occurrences(folders: &[&Folder]) -> Vec<Occurrence> {
    let mut all: Vec<Occurrence> = Vec::new();
    for one in folders.iter().flat_map(|folder| &folder.plan.occurrences) {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
    all.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    all
}

/// What is marked in the charts, each with a button to its moment.
fn marked(occurrences: &[Occurrence]) -> String {
    if occurrences.is_empty() {
        return String::new();
    }
    let mut html = String::from("<ul class=\"marks\" aria-label=\"Marked in the charts\">");
    for one in occurrences {
        let kind = if one.fault { "fault" } else { "call" };
        let _ = write!(
            html,
            "<li><button type=\"button\" data-moment=\"{}\" title=\"Go to this moment\"><i class=\"{kind}\"></i>\
             <span></span>{}</button></li>",
            json_number(one.from_s),
            escaped(&one.what)
        );
    }
    html.push_str("</ul>\n");
    html
}

/// Whose log and map are shown, where there are several runs to choose from.
fn variant_chooser(id: &str, details: &[Details]) -> String {
    if details.len() < 2 {
        return String::new();
    }
    let options: String = details.iter().map(|run| format!("<option>{}</option>", escaped(&run.name))).collect();
    format!("<p><label>Variant <select id=\"{id}\">{options}</select></label></p>\n")
}

/// What is in view, and the moment.
const TIMEBAR: &str = "<div id=\"timebar\" role=\"group\" aria-label=\"Time\">\n\
    <div class=\"view\"><span id=\"view\" role=\"status\"></span>\n\
    <button type=\"button\" data-view=\"earlier\" aria-label=\"Earlier\">◀</button>\
    <button type=\"button\" data-view=\"later\" aria-label=\"Later\">▶</button>\
    <button type=\"button\" data-view=\"in\" aria-label=\"Zoom in on the moment\">+</button>\
    <button type=\"button\" data-view=\"out\" aria-label=\"Zoom out\">−</button>\
    <button type=\"button\" data-view=\"all\">Whole run</button></div>\n\
    <div class=\"moment\"><label for=\"moment\">Moment</label>\n\
    <input type=\"range\" id=\"moment\" min=\"0\" max=\"1000\" value=\"0\"><output id=\"clock\" for=\"moment\"></output></div>\n</div>\n";

/// The section of the map of hosts, if any run has one.
fn hosts_section(details: &[Details]) -> Option<(&'static str, &'static str)> {
    details.iter().any(|run| !run.map.is_empty()).then_some(("hosts", "Who is on which host"))
}

/// The map of hosts, drawn by the script.
fn hosts(details: &[Details]) -> String {
    let Some((id, heading)) = hosts_section(details) else { return String::new() };
    format!(
        "<section id=\"{id}\"><h2>{heading}</h2>\n\
         <p>Each host with its reserved CPU (left) and memory (right) at the moment of the slider; press one for its tasks.</p>\n{}\
         <div class=\"moment\"><label for=\"moment-too\">Moment</label>\n\
         <input type=\"range\" id=\"moment-too\" min=\"0\" max=\"1000\" value=\"0\"><output id=\"clock-too\" for=\"moment-too\"></output>\
         <button type=\"button\" id=\"play\" aria-pressed=\"false\">Play</button></div>\n\
         <p id=\"map-told\" role=\"status\"></p>\n<ul class=\"legend\" id=\"map-legend\"></ul>\n<div id=\"map\"></div>\n\
         <p id=\"host-told\" role=\"status\"></p>\n<p class=\"note\" id=\"map-note\"></p></section>\n",
        variant_chooser("variant-too", details)
    )
}

/// How the same run is had again, and the scenario itself.
fn reproduce(origin: Option<&Origin>, summary: &SummaryFile) -> String {
    /// A text beyond this [bytes] is cut: a page is to be read.
    const LONGEST: usize = 200_000;
    let mut html = String::from("<section id=\"reproduce\"><h2>The scenario, and how to run it again</h2>\n");
    let _ = writeln!(
        html,
        "<p>ecsim {} · catalogue of {} · seed {}. The same version, scenario and seed give the same bytes, this page included.</p>",
        escaped(&summary.version),
        escaped(&summary.catalog_as_of),
        summary.seed
    );
    if let Some(origin) = origin {
        let _ = write!(
            html,
            "<p>In the folder of the scenario file:</p>\n<pre class=\"command\" tabindex=\"0\"><code>{}</code></pre>\n<p>Hash of the scenario's texts: <code>{}</code></p>\n",
            escaped(&origin.line()),
            escaped(&origin.hash)
        );
        for source in &origin.texts {
            let end =
                source.text.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST).unwrap_or(source.text.len());
            let cut = if end < source.text.len() { "\n… cut here; the file is longer" } else { "" };
            let _ = writeln!(
                html,
                "<details><summary><code>{}</code></summary><pre tabindex=\"0\"><code>{}{cut}</code></pre></details>",
                escaped(&source.name),
                escaped(&source.text[..end])
            );
        }
    }
    html.push_str("</section>\n");
    html
}
