//! The page of a comparison: the answer in words, the paired differences, and the variants laid over one another.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::figure::{Figure, Mark, Series, held};
use super::html::{Table, escaped};
use super::origin::Origin;
use super::tables::SummaryFile;
use super::{Details, PAGE, charts, facts, findings, head, hosts, hosts_section, notes, reproduce, run, save};
use crate::report::compare::{Comparison, Difference, Effect, Row, percent, signed};
use crate::report::format::{for_people, grouped, money, span};
use crate::report::output::safe_name;
use crate::report::plot::PlotError;
use crate::report::plot::compare::reach;
use crate::report::plot::findings::{rounded, short};
use crate::report::plot::folder::{Folder, integral, layered};
use crate::report::plot::levels::{accumulated, capacities, counted, highest, summed};
use crate::report::plot::theme::SERIES;
use crate::report::summary::{is_share, label};

/// At most so many services have charts of their own.
const SERVICES: usize = 4;

/// Writes the page of a comparison into its folder; `runs` are the variants whose runs lie beside it.
pub(in crate::report) fn write(
    path: &Path,
    comparison: &Comparison,
    runs: &[(String, Folder)],
) -> Result<PathBuf, PlotError> {
    let origin = Origin::read(path)?;
    let summaries = runs
        .iter()
        .map(|(name, _)| Ok((name.as_str(), SummaryFile::read(&path.join(safe_name(name)))?)))
        .collect::<Result<Vec<_>, PlotError>>()?;
    let first = summaries.first().map(|(_, summary)| summary);
    let about = first.map(facts).unwrap_or_default();
    let description = first.map(|summary| summary.description.as_str()).unwrap_or_default();
    let title = format!("{}: {} compared", comparison.scenario, comparison.variants.join(", "));
    let details = runs
        .iter()
        .map(|(name, folder)| Details::read(&path.join(safe_name(name)), name, folder, runs.len()))
        .collect::<Result<Vec<_>, PlotError>>()?;
    let mut sections = vec![("answer", "The answer"), ("charts", "Over time")];
    sections.extend(hosts_section(&details));
    sections.extend([("variants", "Each variant"), ("reproduce", "The scenario")]);
    let mut body = head(&title, description, &about, &sections);
    body.push_str(&answer(comparison));
    let figures = figures(runs);
    if !runs.is_empty() {
        let folders: Vec<&Folder> = runs.iter().map(|(_, folder)| folder).collect();
        body.push_str(&charts("Over time", &figures, &details, &folders));
        body.push_str(&hosts(&details));
    }
    body.push_str(&variants(path, &summaries));
    if let Some(summary) = first {
        body.push_str(&reproduce(origin.as_ref(), summary));
    }
    let folders: Vec<&Folder> = runs.iter().map(|(_, folder)| folder).collect();
    save(path, &title, body, &figures, &folders, &details)
}

fn answer(comparison: &Comparison) -> String {
    let mut html = String::from("<section id=\"answer\"><h2>The answer</h2>\n");
    for headline in &comparison.headlines {
        let _ = writeln!(html, "<p class=\"headline\">{}.</p>", escaped(headline));
    }
    let baseline = comparison.variants.first().map_or("", String::as_str);
    let how = match comparison.replications {
        0 | 1 => "One replication: no intervals, so no difference is certain.".to_owned(),
        more => format!(
            "Each variant met the same random numbers in {more} replications; a difference is the mean of the {more} paired \
             differences to {}, with its 95 % interval. Where the interval holds zero, the difference may be chance.",
            escaped(baseline)
        ),
    };
    let _ = writeln!(html, "<p>{how}</p>");
    for (place, variant) in comparison.variants.iter().enumerate().skip(1) {
        html.push_str(&differences(comparison, place - 1, baseline, variant));
    }
    html.push_str(&notes("assumption", &comparison.assumptions));
    html.push_str("</section>\n");
    html
}

/// The table of one variant's differences to the baseline.
fn differences(comparison: &Comparison, place: usize, baseline: &str, variant: &str) -> String {
    let headings = [
        "",
        &format!(">{baseline}"),
        &format!(">{variant}"),
        ">difference",
        ">95 % interval",
        "in percent (dotted: 0)",
        "reading",
    ]
    .map(str::to_owned);
    let mut table = Table::new(&format!("{variant} compared with {baseline}"), headings.clone());
    let rows: Vec<(&Row, &Difference)> = comparison
        .rows
        .iter()
        .filter(|row| row.means.iter().flatten().any(|figure| figure.mean != 0.0))
        .filter_map(|row| Some((row, row.differences[place].as_ref()?)))
        .collect();
    let relative = || rows.iter().filter_map(|(_, difference)| difference.relative);
    let means: Vec<f64> = relative().map(|figure| 100.0 * figure.mean).collect();
    let ends: Vec<[f64; 2]> = relative().filter_map(|figure| Some(figure.ci95?.map(|end| 100.0 * end))).collect();
    let reach = reach(&means, &ends);
    let (shares, told): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(row, _)| is_share(&row.metric));
    for (row, difference) in told {
        row_of(&mut table, row, difference, place, reach);
    }
    let mut html = table.html();
    if !shares.is_empty() {
        let caption = format!("{variant} compared with {baseline}: parts of these figures");
        let mut table = Table::new(&caption, headings);
        for (row, difference) in &shares {
            row_of(&mut table, row, difference, place, reach);
        }
        let count = findings::plural(shares.len() as f64, "part");
        let _ = writeln!(html, "<details><summary>{count} of these figures</summary>\n{}</details>", table.html());
    }
    html
}

/// Adds the row of one metric.
fn row_of(table: &mut Table, row: &Row, difference: &Difference, place: usize, reach: f64) {
    let mean = |place: usize| row.means[place].map_or_else(String::new, |figure| for_people(figure.mean, row.unit));
    let effect = row.effect(place);
    let same = effect == Effect::Same;
    let (class, word) = match effect {
        Effect::Same => ("", "same"),
        Effect::Better => ("good", "✓ better"),
        Effect::Worse => ("bad", "✗ worse"),
        Effect::Different => ("", "different"),
        Effect::Unclear => ("unclear", "may be chance"),
    };
    let interval = match difference.absolute.ci95 {
        Some([low, high]) if !same => format!("{} … {}", signed(low, row.unit), signed(high, row.unit)),
        _ => String::new(),
    };
    let by = match &difference.relative {
        _ if same => String::new(),
        Some(relative) => percent(relative.mean),
        None => signed(difference.absolute.mean, row.unit),
    };
    table.row(vec![
        escaped(&label(&row.metric)),
        mean(0),
        mean(place + 1),
        by,
        interval,
        if same { String::new() } else { whisker(difference, effect, reach) },
        format!("<span class=\"{class}\">{word}</span>"),
    ]);
}

/// A relative difference and its interval as a small picture; what it shows is in the cells beside it too.
fn whisker(difference: &Difference, effect: Effect, reach: f64) -> String {
    const WIDTH: f64 = 180.0;
    let Some(relative) = difference.relative else { return String::new() };
    let x = |share: f64| {
        let at = (100.0 * share / reach).clamp(-1.0, 1.0);
        grouped(WIDTH / 2.0 + at * (WIDTH / 2.0 - 8.0), 1)
    };
    let class = match effect {
        Effect::Better => "good",
        Effect::Worse => "bad",
        Effect::Different => "ink",
        Effect::Unclear | Effect::Same => "unclear",
    };
    let mut svg = format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {WIDTH} 20\" width=\"{WIDTH}\" height=\"20\" aria-hidden=\"true\">\
         <path class=\"zero\" d=\"M{0} 0V20\"/>",
        grouped(WIDTH / 2.0, 1)
    );
    if let Some([low, high]) = relative.ci95 {
        let _ = write!(svg, "<path d=\"M{} 10H{}\"/>", x(low), x(high));
    }
    if (100.0 * relative.mean).abs() > reach {
        // Beyond the axis: an arrow.
        let (tip, back) = if relative.mean > 0.0 { (WIDTH - 1.0, WIDTH - 10.0) } else { (1.0, 10.0) };
        let _ = write!(svg, "<path class=\"solid\" d=\"M{tip} 10L{back} 4V16Z\"/>");
    } else {
        let _ = write!(svg, "<circle cx=\"{}\" cy=\"10\" r=\"5\"/>", x(relative.mean));
    }
    svg.push_str("</svg>");
    svg
}

/// The variants over time, all in one chart a question, then each with what it was asked for and had.
fn figures(runs: &[(String, Folder)]) -> Vec<Figure> {
    let runs = &runs[..runs.len().min(SERIES.len())];
    if runs.is_empty() {
        return Vec::new();
    }
    let overlay =
        |id: String, kind, title: String, axis: &str, unit, of: &dyn Fn(&Folder) -> Vec<(f64, f64)>, sloped: bool| {
            let series: Vec<Series> = runs
                .iter()
                .zip(SERIES)
                .enumerate()
                .map(|(place, ((name, folder), colour))| Series {
                    name: name.clone(),
                    colour,
                    mark: if sloped { Mark::Sloped(place) } else { Mark::Dashed(place) },
                    points: held(of(folder), folder.plan.duration_s),
                })
                .collect();
            let any = series.iter().any(|series| highest(&series.points) > 0.0);
            any.then(|| Figure {
                id,
                kind,
                title,
                more: String::new(),
                axis: axis.to_owned(),
                unit,
                service: None,
                top: None,
                series,
            })
        };
    let told = |what: &dyn Fn(&Folder) -> String| {
        runs.iter().map(|(name, folder)| format!("{name} {}", what(folder))).collect::<Vec<_>>().join(", ")
    };
    let mean = |folder: &Folder, level: &[(f64, f64)]| {
        let (from, to) = folder.measured();
        if to > from { integral(level, from, to) / (to - from) } else { 0.0 }
    };
    let spent = |folder: &Folder| accumulated(&folder.total("cost_per_hour_usd"), folder.plan.duration_s);
    let mut figures = Vec::new();
    figures.extend(overlay(
        "cost-so-far".to_owned(),
        "Cost of hosts and Fargate so far",
        format!(
            "Spent on hosts and Fargate by the end: {}",
            told(&|run| money(spent(run).last().map_or(0.0, |last| last.1)))
        ),
        "USD",
        "$",
        &spent,
        true,
    ));
    figures.extend(overlay(
        "hosts".to_owned(),
        "Hosts",
        format!("Hosts on average: {}", told(&|run| short(rounded(mean(run, &all_hosts(run)))))),
        "hosts",
        "",
        &all_hosts,
        false,
    ));
    figures.extend(overlay(
        "waiting".to_owned(),
        "Waiting for capacity",
        format!("Time in which tasks waited for CPU: {}", told(&|run| span(waited(run)))),
        "CPU waited for [vCPU]",
        "vCPU",
        &waiting,
        false,
    ));
    let services = runs[0].1.plan.services.iter().map(|service| service.resource.as_str()).take(SERVICES);
    for (place, service) in services.enumerate() {
        let name = service.rsplit('/').next().unwrap_or_default();
        let running = |folder: &Folder| folder.series(service, "RunningCount").to_vec();
        figures.extend(overlay(
            format!("running-{place}"),
            "Service: running tasks",
            format!("Running tasks of {name} on average: {}", told(&|run| short(rounded(mean(run, &running(run)))))),
            "tasks running",
            "",
            &running,
            false,
        ));
        let slowest = |folder: &Folder| {
            folder.series(service, "latency_p99_s").iter().map(|(at, value)| (*at, 1000.0 * value)).collect()
        };
        let worst = |folder: &Folder| {
            let (_, worst) = crate::report::plot::findings::worst_latency(folder, service);
            span(worst)
        };
        figures.extend(overlay(
            format!("latency-{place}"),
            "Service: latency of the slowest hundredth",
            format!("Worst minute of {name}'s slowest hundredth: {}", told(&worst)),
            "latency, p99 [ms]",
            "ms",
            &slowest,
            false,
        ));
    }
    // The same height for all, so that they can be laid side by side in the mind.
    let mut each: Vec<Figure> = runs
        .iter()
        .enumerate()
        .filter_map(|(place, (name, folder))| {
            let mut figure = run::capacity(folder, &format!("v{place}-")).into_iter().next()?;
            figure.kind = "Demand and capacity: CPU, one chart a variant";
            figure.title = format!("{name}: {}", figure.title);
            Some(figure)
        })
        .collect();
    let tops = runs.iter().filter_map(|(_, folder)| {
        let [cpu, _] = capacities(folder)?;
        let supply = summed(&layered(&[&cpu.hosts, &cpu.fargate], &[0, 1], 2));
        Some(highest(&supply).max(highest(&cpu.demanded)))
    });
    let top = 1.05 * tops.fold(0.0, f64::max);
    for figure in &mut each {
        figure.top = Some(top);
    }
    figures.extend(each);
    figures
}

/// Hosts that there are, from launch to end.
fn all_hosts(folder: &Folder) -> Vec<(f64, f64)> {
    let changes = folder
        .hosts
        .iter()
        .flat_map(|host| [(host.launched_s, 0, 1.0), (host.terminated_s.unwrap_or(f64::INFINITY), 0, -1.0)])
        .collect();
    summed(&counted(changes, 1))
}

/// CPU that tasks waited for.
fn waiting(folder: &Folder) -> Vec<(f64, f64)> {
    let Some([cpu, _]) = capacities(folder) else { return Vec::new() };
    let rows = layered(&[&cpu.reserved, &cpu.demanded], &[0, 1], 2);
    rows.into_iter().map(|(at, now)| (at, (now[1] - now[0]).max(0.0))).collect()
}

fn waited(folder: &Folder) -> f64 {
    let (from, to) = folder.measured();
    let unmet: Vec<(f64, f64)> =
        waiting(folder).into_iter().map(|(at, cpu)| (at, f64::from(u8::from(cpu > 1e-9)))).collect();
    integral(&unmet, from, to)
}

/// Each variant by itself: its objectives, and its own page.
fn variants(path: &Path, summaries: &[(&str, SummaryFile)]) -> String {
    let mut html = String::from("<section id=\"variants\"><h2>Each variant</h2>\n");
    for (name, summary) in summaries {
        let folder = safe_name(name);
        let _ = writeln!(html, "<h3>{}</h3>", escaped(name));
        if let Some((held, sentence)) = summary.verdict() {
            let (class, mark) = if held { ("good", "✓") } else { ("bad", "✗") };
            let _ = writeln!(html, "<p><strong class=\"{class}\">{mark} {}</strong></p>", escaped(&sentence));
        }
        html.push_str(&summary.objectives(&format!("Objectives of {name}")));
        if path.join(&folder).join(PAGE).is_file() {
            let _ = writeln!(
                html,
                "<p><a href=\"{0}/{PAGE}\">The page of {1}</a>: its first replication in detail.</p>",
                escaped(&folder),
                escaped(name)
            );
        }
        html.push_str(&notes("warning", &summary.warnings));
    }
    html.push_str("</section>\n");
    html
}
