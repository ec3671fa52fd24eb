//! The pictures of one run.

use plotters::style::RGBColor;

use super::chart::{Entry, Mark, Panel, Type, ValueAxis, picture, text_width};
use super::findings::{self, Finding, highest_after, name_of, peak_moment, plural, time_axis, worst_latency};
use super::folder::{Folder, ServicePlan, layered, pieces};
use super::levels::{
    HOST_STATES, alarm_spans, capacities, cost_parts, cost_rows, counted, highest, hosts_by_state, summed, waiting_time,
};
use super::theme::{
    AXIS, BLUE, FAINT, GREEN, HEIGHT, INK, LABEL, MARGIN, ORANGE, OTHER, PURPLE, SERIES, SKY, VERMILION,
};
use super::{PlotError, queue};
use crate::report::format::{grouped, span};
use crate::report::output::safe_name;

/// A picture: the name of its files, and the SVG.
pub(super) type Named = (String, String);

/// Every picture the folder has data for.
pub(super) fn all(folder: &Folder) -> Result<Vec<Named>, PlotError> {
    let mut pictures = Vec::new();
    let mut add = |name: &str, svg: Option<String>| {
        if let Some(svg) = svg {
            pictures.push((safe_name(name), svg));
        }
    };
    add("demand-vs-capacity", demand_vs_capacity(folder)?);
    add("hosts", hosts(folder)?);
    add("cost-per-hour", cost_per_hour(folder)?);
    add("idle-cost", super::idle::cost_by_cause(folder)?);
    add("packing", packing(folder)?);
    add("latency", latency(folder)?);
    for service in &folder.plan.services {
        let file = file_name(folder, service);
        add(&format!("service-{file}"), service_counts(folder, service)?);
        add(&format!("scaling-{file}"), scaling(folder, service)?);
        add(&format!("traffic-{file}"), super::traffic::traffic(folder, service)?);
    }
    for plan in &folder.plan.queues {
        add(&format!("queue-{}", queue::name_of(plan)), queue::draw(folder, plan)?);
    }
    Ok(pictures)
}

/// The service's name, with its cluster's where two clusters have a service of that name.
fn file_name(folder: &Folder, service: &ServicePlan) -> String {
    let name = name_of(service);
    let twins = folder.plan.services.iter().filter(|other| name_of(other) == name).count();
    if twins > 1 { service.resource.trim_start_matches("service/").replace('/', "-") } else { name.to_owned() }
}

pub(super) fn subtitle(folder: &Folder, more: &str) -> String {
    let plan = &folder.plan;
    let run = format!("{}, {} simulated, seed {}", plan.scenario, span(plan.duration_s), plan.seed);
    if more.is_empty() { run } else { format!("{more} · {run}") }
}

fn demand_vs_capacity(folder: &Folder) -> Result<Option<String>, PlotError> {
    /// A line with more changes than this is a blot: then its mean over so many pieces of the run is drawn.
    const READABLE: usize = 600;
    const PIECES: u32 = 240;
    let Some(both) = capacities(folder) else { return Ok(None) };
    let Finding { title, more } = findings::capacity(folder, &both);
    let (begin, to_end) = folder.times();
    let waits = waiting_time(&both, (begin, to_end)) > 0.0;
    let axis = time_axis(folder);
    let busy = both.iter().any(|capacity| capacity.reserved.len() > READABLE);
    let fargate = highest(&both[0].fargate) > 0.0;
    let has_hosts = highest(&both[0].hosts) > 0.0;
    picture(&title, &subtitle(folder, &more), HEIGHT + 100, |canvas| {
        let mut legend = Vec::new();
        if has_hosts {
            legend.push(Entry::new("registered by hosts", SKY, Mark::Area(0.45)));
        }
        if fargate {
            legend.push(Entry::new("on Fargate", GREEN, Mark::Area(0.45)));
        }
        let reserved = if busy {
            let each = span((to_end - begin) / f64::from(PIECES));
            format!("reserved by tasks (line: mean of each {each}, band: lowest to highest)")
        } else {
            "reserved by tasks".to_owned()
        };
        legend.push(Entry::new(reserved, BLUE, Mark::Line));
        if waits {
            legend.push(Entry::new("waiting for capacity, on top", VERMILION, Mark::Area(0.6)));
        }
        canvas.legend(&legend)?;
        let frames = canvas.panels(2);
        for (frame, capacity) in frames.into_iter().zip(&both) {
            let [hosts, fargate] = [&capacity.hosts, &capacity.fargate];
            let [reserved, demanded] = [&capacity.reserved, &capacity.demanded];
            let supply: Vec<(f64, f64)> =
                layered(&[hosts, fargate], &[0, 0], 1).into_iter().map(|(at, sums)| (at, sums[0])).collect();
            let top = [&supply, demanded, reserved].map(|level| highest(level)).into_iter().fold(0.0, f64::max);
            let panel = Panel::new(frame, folder.times(), ValueAxis::from_zero(top));
            canvas.backdrop(&panel, &folder.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, capacity.name)?;
            let rows = layered(&[hosts, fargate], &[0, 1], 2);
            canvas.stack(&panel, &rows, &[SKY, GREEN], 0.45)?;
            if busy {
                let pieces = pieces(reserved, (begin, to_end), PIECES);
                let band: Vec<_> = pieces.iter().map(|piece| (piece.at, vec![piece.low, piece.high])).collect();
                let means: Vec<_> = pieces.iter().map(|piece| (piece.at, piece.mean)).collect();
                canvas.between(&panel, &band, BLUE, 0.3, false)?;
                canvas.steps(&panel, &means, BLUE, 3)?;
            } else {
                canvas.steps(&panel, reserved, BLUE, 3)?;
            }
            // Last, for it is what to look at.
            canvas.between(&panel, &layered(&[reserved, demanded], &[0, 1], 2), VERMILION, 0.6, true)?;
        }
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

fn service_counts(folder: &Folder, service: &ServicePlan) -> Result<Option<String>, PlotError> {
    let [desired, running, pending] =
        ["DesiredCount", "RunningCount", "PendingCount"].map(|metric| folder.series(&service.resource, metric));
    if desired.is_empty() && running.is_empty() {
        return Ok(None);
    }
    let Finding { title, more } = findings::service_counts(folder, service);
    let axis = time_axis(folder);
    picture(&title, &subtitle(folder, &more), HEIGHT, |canvas| {
        canvas.legend(&[
            Entry::new("running", SKY, Mark::Area(0.55)),
            Entry::new("pending, on top", ORANGE, Mark::Area(0.85)),
            Entry::new("desired", INK, Mark::Line),
        ])?;
        let frame = canvas.panels(1)[0];
        let rows = layered(&[running, pending], &[0, 1], 2);
        let top = rows.iter().map(|(_, levels)| levels.iter().sum()).fold(highest(desired), f64::max);
        let panel = Panel::new(frame, folder.times(), ValueAxis::counts(top));
        canvas.backdrop(&panel, &folder.plan)?;
        canvas.time_axis(&panel, &axis)?;
        canvas.value_axis(&panel, "tasks")?;
        canvas.stack(&panel, &rows, &[SKY, ORANGE], 0.7)?;
        canvas.steps(&panel, desired, INK, 3)?;
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

fn hosts(folder: &Folder) -> Result<Option<String>, PlotError> {
    if folder.hosts.is_empty() {
        return Ok(None);
    }
    let end = folder.plan.duration_s;
    let mut zones: Vec<&str> = folder.hosts.iter().map(|host| host.az.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    let mut by_zone = Vec::new();
    for host in &folder.hosts {
        let gone = host.terminated_s.unwrap_or(f64::INFINITY);
        let zone = zones.binary_search(&host.az.as_str()).unwrap_or(0);
        by_zone.extend([(host.launched_s, zone, 1.0), (gone, zone, -1.0)]);
    }
    let state_rows = hosts_by_state(folder);
    let stacked = highest(&summed(&state_rows));
    let axis = time_axis(folder);
    let Finding { title, more } = findings::hosts(folder, &state_rows, zones.len());
    // What has no colour of its own is one layer at the end.
    let shown = zones.len().min(if zones.len() > SERIES.len() { SERIES.len() - 1 } else { SERIES.len() });
    let layer_of = |zone: usize| zone.min(shown);
    let layers = if zones.len() > shown { shown + 1 } else { shown };
    let zone_rows = counted(by_zone.into_iter().map(|(at, zone, by)| (at, layer_of(zone), by)).collect(), layers);
    picture(&title, &subtitle(folder, &more), HEIGHT + 160, |canvas| {
        let seen: Vec<bool> =
            (0..HOST_STATES.len()).map(|state| state_rows.iter().any(|(_, levels)| levels[state] > 0.0)).collect();
        let state_legend: Vec<Entry> = HOST_STATES
            .iter()
            .zip(&seen)
            .filter(|(_, seen)| **seen)
            .map(|((name, colour), _)| Entry::new(*name, *colour, Mark::Area(0.85)))
            .collect();
        let mut colours: Vec<_> = SERIES.iter().copied().take(shown).collect();
        let mut zone_legend: Vec<Entry> =
            zones.iter().zip(&colours).map(|(zone, colour)| Entry::new(*zone, *colour, Mark::Area(0.85))).collect();
        if layers > shown {
            colours.push(OTHER);
            zone_legend.push(Entry::new(format!("{} other zones", zones.len() - shown), OTHER, Mark::Area(0.85)));
        }
        let frames = canvas.panels(2);
        for (frame, (name, rows, colours, legend)) in frames.into_iter().zip([
            ("hosts by state", &state_rows, HOST_STATES.map(|(_, colour)| colour).to_vec(), &state_legend),
            ("hosts by Availability Zone", &zone_rows, colours, &zone_legend),
        ]) {
            let panel = Panel::new(frame, (0.0, end), ValueAxis::counts(stacked));
            canvas.backdrop(&panel, &folder.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, name)?;
            canvas.panel_legend(&panel, name, legend)?;
            canvas.stack(&panel, rows, &colours, 0.85)?;
        }
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

fn scaling(folder: &Folder, service: &ServicePlan) -> Result<Option<String>, PlotError> {
    const PANELS: usize = 3;
    let tracked: Vec<_> = service
        .metrics
        .iter()
        .filter(|tracked| !folder.series(&tracked.resource, &tracked.metric).is_empty())
        .take(PANELS)
        .collect();
    if tracked.is_empty() {
        return Ok(None);
    }
    let (from, _) = folder.measured();
    let desired = folder.series(&service.resource, "DesiredCount");
    let running = folder.series(&service.resource, "RunningCount");
    let Finding { title, more } = findings::scaling(folder, service, &tracked);
    let axis = time_axis(folder);
    let high = service.alarms.iter().any(|alarm| alarm.high);
    let low = service.alarms.iter().any(|alarm| !alarm.high);
    let height = HEIGHT + 200 * i32::try_from(tracked.len()).unwrap_or(1);
    picture(&title, &subtitle(folder, &more), height, |canvas| {
        let mut legend = vec![Entry::new("measured", BLUE, Mark::Line)];
        if tracked.iter().any(|tracked| tracked.target.is_some()) {
            legend.push(Entry::new("target", PURPLE, Mark::Line));
        }
        if !service.alarms.is_empty() {
            legend.push(Entry::new("alarm thresholds", FAINT, Mark::Dashes));
        }
        if high {
            legend.push(Entry::new("high alarm in ALARM", VERMILION, Mark::Area(0.25)));
        }
        if low {
            legend.push(Entry::new("low alarm in ALARM", GREEN, Mark::Area(0.2)));
        }
        canvas.legend(&legend)?;
        let frames = canvas.panels(tracked.len() + 1);
        for (tracked, frame) in tracked.iter().zip(&frames) {
            let samples = folder.series(&tracked.resource, &tracked.metric);
            let watching: Vec<_> = service
                .alarms
                .iter()
                .filter(|alarm| alarm.metric.as_deref().is_none_or(|metric| metric == tracked.metric))
                .collect();
            let thresholds = watching.iter().map(|alarm| alarm.threshold);
            let top = thresholds.chain(tracked.target).fold(usual_top(samples, from), f64::max);
            let panel = Panel::new(*frame, folder.times(), ValueAxis::from_zero(top));
            canvas.backdrop(&panel, &folder.plan)?;
            for alarm in &watching {
                let colour = if alarm.high { VERMILION } else { GREEN };
                for (begin, end) in alarm_spans(folder, &alarm.name) {
                    let (left, right) = (panel.x(begin), panel.x(end));
                    let corners = [(left, panel.frame.top), (right.max(left + 1), panel.frame.bottom)];
                    canvas.rectangle(corners, colour, if alarm.high { 0.25 } else { 0.2 })?;
                }
            }
            canvas.time_axis(&panel, &axis)?;
            let unit = if tracked.metric.ends_with("Utilization") { " [%]" } else { "" };
            canvas.value_axis(&panel, &format!("{}{unit}", tracked.metric))?;
            let ends = (panel.frame.left, panel.frame.right);
            for alarm in &watching {
                let y = panel.y(alarm.threshold);
                canvas.dashed(&[(ends.0, y), (ends.1, y)], FAINT, 2)?;
            }
            if let Some(target) = tracked.target {
                let y = panel.y(target);
                canvas.path(vec![(ends.0, y), (ends.1, y)], PURPLE, 3)?;
            }
            canvas.line(&panel, samples, BLUE, 3)?;
            canvas.beyond(&panel, samples, &axis, BLUE)?;
        }
        if let Some(frame) = frames.last() {
            let top = highest(desired).max(highest(running));
            let panel = Panel::new(*frame, folder.times(), ValueAxis::counts(top));
            canvas.backdrop(&panel, &folder.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, "tasks")?;
            let counts = [Entry::new("running", SKY, Mark::Area(0.55)), Entry::new("desired count", INK, Mark::Line)];
            canvas.panel_legend(&panel, "tasks", &counts)?;
            canvas.area(&panel, running, SKY, 0.55)?;
            canvas.steps(&panel, desired, INK, 3)?;
        }
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

/// The height that an axis must have for what is measured: all that comes after the warm-up, but for outliers that last
/// less than half a hundredth of it and would press the rest flat.
pub(in crate::report) fn usual_top(samples: &[(f64, f64)], from: f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().filter(|(at, _)| *at >= from).map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    let Some(highest) = values.last().copied() else { return highest(samples) };
    let usual = values[(values.len() * 995).div_ceil(1000) - 1];
    if usual > 0.0 && highest > 2.0 * usual { usual } else { highest }
}

fn cost_per_hour(folder: &Folder) -> Result<Option<String>, PlotError> {
    let parts = cost_parts(folder);
    if parts.is_empty() {
        return Ok(None);
    }
    let shown = if parts.len() > SERIES.len() { SERIES.len() - 1 } else { parts.len() };
    let rows = cost_rows(&parts, shown);
    let total = summed(&rows);
    let all: f64 = parts.iter().map(|part| part.spent).sum();
    let axis = time_axis(folder);
    let Finding { title, more } = findings::cost(folder, &parts);
    picture(&title, &subtitle(folder, &more), HEIGHT, |canvas| {
        let mut colours: Vec<_> = SERIES.iter().copied().take(shown).collect();
        let share = |spent: f64| grouped(100.0 * spent / all, 0);
        let mut legend: Vec<Entry> = parts
            .iter()
            .zip(&colours)
            .map(|(part, colour)| {
                Entry::new(format!("{}: {} %", part.name(), share(part.spent)), *colour, Mark::Area(0.85))
            })
            .collect();
        if parts.len() > shown {
            colours.push(OTHER);
            let spent = parts.iter().skip(shown).map(|part| part.spent).sum();
            let label = format!("{} others: {} %", parts.len() - shown, share(spent));
            legend.push(Entry::new(label, OTHER, Mark::Area(0.85)));
        }
        canvas.legend(&legend)?;
        let panel = Panel::new(canvas.panels(1)[0], folder.times(), ValueAxis::from_zero(highest(&total)));
        canvas.backdrop(&panel, &folder.plan)?;
        canvas.time_axis(&panel, &axis)?;
        canvas.value_axis(&panel, "hosts with their volumes and addresses, and Fargate [USD per hour]")?;
        canvas.stack(&panel, &rows, &colours, 0.85)?;
        let shaded = "shaded: the warm-up, which the costs per hour leave out and the bill does not";
        canvas.time_caption_with(&axis, &folder.plan, shaded)
    })
    .map(Some)
}

fn packing(folder: &Folder) -> Result<Option<String>, PlotError> {
    let Some(first) = folder.packing.first() else { return Ok(None) };
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let mut hosts: Vec<(&str, f64, f64)> = folder
        .packing
        .iter()
        .map(|row| {
            let cpu = share(row.reserved_cpu, row.registered_cpu);
            (row.instance.as_str(), cpu, share(row.reserved_memory_mib, row.registered_memory_mib))
        })
        .collect();
    // Fullest first: the tail is what consolidation could free.
    hosts.sort_by(|a, b| (b.1 + b.2).total_cmp(&(a.1 + a.2)).then_with(|| a.0.cmp(b.0)));
    let sum = |column: fn(&super::folder::Packing) -> f64| folder.packing.iter().map(column).sum::<f64>();
    let cpu = share(sum(|row| row.reserved_cpu), sum(|row| row.registered_cpu));
    let memory = share(sum(|row| row.reserved_memory_mib), sum(|row| row.registered_memory_mib));
    let empty = hosts.iter().filter(|(_, cpu, memory)| *cpu == 0.0 && *memory == 0.0).count();
    let axis = time_axis(folder);
    let their = if hosts.len() == 1 { "its" } else { "their" };
    let title = format!(
        "At the busiest moment {} had {} % of {their} CPU and {} % of {their} memory reserved",
        plural(hosts.len() as f64, "host"),
        grouped(100.0 * cpu, 0),
        grouped(100.0 * memory, 0)
    );
    let more = format!(
        "{}; {} empty",
        peak_moment(&axis, folder.measured().0, first.time_s),
        if empty == 0 { "none".to_owned() } else { empty.to_string() }
    );
    picture(&title, &subtitle(folder, &more), HEIGHT, |canvas| {
        canvas.legend(&[
            Entry::new("CPU reserved", BLUE, Mark::Area(1.0)),
            Entry::new("memory reserved", ORANGE, Mark::Area(1.0)),
            Entry::new("free", AXIS, Mark::Area(0.25)),
        ])?;
        let mut frame = canvas.panels(1)[0];
        let width = f64::from(frame.right - frame.left) / hosts.len() as f64;
        // Ids are as wide as six letters are high; below that they would run into each other.
        let labelled = width >= 30.0;
        if labelled {
            frame.bottom -= 90;
        }
        let panel = Panel::new(frame, (0.0, 1.0), ValueAxis::from_zero(100.0));
        canvas.value_axis(&panel, "reserved share of each host [%]")?;
        // Two bars a host need room; a crowd of hosts is an outline of memory over one of CPU.
        let crowded = width < 12.0;
        let (mut packed, mut outline) = (Vec::new(), Vec::new());
        if crowded {
            canvas.rectangle([(frame.left, frame.top), (frame.right, frame.bottom)], AXIS, 0.25)?;
        }
        let labels = short_ids(&hosts.iter().map(|host| host.0).collect::<Vec<_>>());
        for (place, ((_, cpu, memory), label)) in hosts.iter().zip(&labels).enumerate() {
            let left = frame.left + (place as f64 * width).round() as i32;
            let right = frame.left + ((place + 1) as f64 * width).round() as i32;
            if crowded {
                packed.extend([left, right].map(|x| (x, panel.y(100.0 * cpu))));
                outline.extend([left, right].map(|x| (x, panel.y(100.0 * memory))));
                continue;
            }
            let gap = (width / 8.0) as i32;
            let middle = i32::midpoint(left, right);
            let bars = [(left + gap, middle, *cpu, BLUE), (middle, right - gap, *memory, ORANGE)];
            for (left, right, share, colour) in bars {
                let y = panel.y(100.0 * share);
                canvas.rectangle([(left, frame.top), (right, y)], AXIS, 0.25)?;
                canvas.rectangle([(left, y), (right, frame.bottom)], colour, 1.0)?;
            }
            if labelled {
                canvas.text((middle, frame.bottom + 14), label, Type::new(LABEL - 4, FAINT).right().upright())?;
            }
        }
        if crowded {
            packed.dedup();
            packed.extend([(frame.right, frame.bottom), (frame.left, frame.bottom)]);
            canvas.fill(packed, BLUE, 1.0)?;
        }
        outline.dedup();
        canvas.path(outline, ORANGE, 4)?;
        let caption = if labelled { "hosts by id, fullest first" } else { "hosts, fullest first" };
        canvas.text(
            (frame.right - text_width(caption, LABEL), HEIGHT - MARGIN + 6),
            caption,
            Type::new(LABEL - 2, FAINT),
        )
    })
    .map(Some)
}

/// The part of each id that tells it from the others, and some digits more to find it by: `…03a8f1`.
fn short_ids(ids: &[&str]) -> Vec<String> {
    const DIGITS: usize = 8;
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let shared = ids.windows(2).map(|pair| common(pair[0], pair[1])).min().unwrap_or(0);
    let short = |id: &str| {
        // Ids that differ late are shown from there on; a lone one keeps its last digits.
        let begin = if ids.len() > 1 { shared } else { id.len().saturating_sub(DIGITS) };
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        let apart = sorted.windows(2).map(|pair| common(pair[0], pair[1]) + 1).max().unwrap_or(0);
        let end = (begin + DIGITS).max(apart).min(id.len());
        match id.get(begin..end) {
            Some(part) if begin > 0 => format!("…{part}"),
            _ => id.to_owned(),
        }
    };
    ids.iter().map(|id| short(id)).collect()
}

fn latency(folder: &Folder) -> Result<Option<String>, PlotError> {
    const PANELS: usize = 4;
    const CURVES: [(&str, &str, RGBColor, u32); 3] = [
        ("latency_p99_s", "99 % are faster", VERMILION, 2),
        ("latency_p50_s", "half are faster", BLUE, 3),
        ("latency_mean_s", "mean", INK, 2),
    ];
    let (from, _) = folder.measured();
    let mut services: Vec<&str> = folder.all("latency_p99_s").map(|(resource, _)| resource).collect();
    if services.is_empty() {
        return Ok(None);
    }
    services.sort_by(|a, b| worst_latency(folder, b).1.total_cmp(&worst_latency(folder, a).1).then_with(|| a.cmp(b)));
    let left_out = services.len().saturating_sub(PANELS);
    services.truncate(PANELS);
    let axis = time_axis(folder);
    let Finding { title, more } = findings::latency(folder, services[0]);
    let more = if left_out > 0 {
        format!("the {PANELS} slowest services; {left_out} faster ones are not shown")
    } else {
        more
    };
    let height = 420 + 340 * i32::try_from(services.len()).unwrap_or(1);
    picture(&title, &subtitle(folder, &more), height, |canvas| {
        canvas.legend(&CURVES.map(|(_, label, colour, _)| Entry::new(label, colour, Mark::Line)))?;
        let frames = canvas.panels(services.len());
        for (resource, frame) in services.iter().zip(frames) {
            // The axis is for what counts; what the warm-up has beyond it is marked.
            let after = |metric: &str| highest_after(folder.series(resource, metric), from);
            let top = CURVES.iter().map(|(metric, ..)| after(metric)).fold(0.0, f64::max);
            let (unit, scale) = if top < 1.0 { ("ms", 1000.0) } else { ("s", 1.0) };
            let panel = Panel::new(frame, folder.times(), ValueAxis::from_zero(top * scale));
            canvas.backdrop(&panel, &folder.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &format!("{resource} [{unit}]"))?;
            for (metric, _, colour, width) in CURVES {
                let samples: Vec<(f64, f64)> =
                    folder.series(resource, metric).iter().map(|(at, value)| (*at, value * scale)).collect();
                canvas.line(&panel, &samples, colour, width)?;
                if metric == CURVES[0].0 {
                    canvas.beyond(&panel, &samples, &axis, colour)?;
                }
            }
        }
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_labelled_by_what_tells_them_apart() {
        let ids = ["i-0000000007b1dcdaf", "i-00000000189025cc1", "i-00000000c12345678"];
        assert_eq!(short_ids(&ids), ["…07b1dcda", "…189025cc", "…c1234567"]);
        assert_eq!(short_ids(&ids[..1]), ["…7b1dcdaf"]);
        // More than sixteen of them share a digit there; longer labels keep them apart.
        let many: Vec<String> = (0..40).map(|n| format!("i-0{n:08x}00000000")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let mut labels = short_ids(&many);
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), 40);
    }

    #[test]
    fn a_start_up_value_does_not_press_the_axis_flat() {
        let minute = |place: i32, value: f64| (f64::from(place) * 60.0, value);
        let mut day: Vec<(f64, f64)> = (0..1440).map(|place| minute(place, 1400.0 + f64::from(place % 100))).collect();
        day[1].1 = 5580.0;
        assert_eq!(usual_top(&day, 0.0), 1499.0);
        // An hour of it is no start-up.
        for sample in &mut day[600..660] {
            sample.1 = 5000.0;
        }
        assert_eq!(usual_top(&day, 0.0), 5580.0);
        assert_eq!(usual_top(&day, 120.0), 5000.0, "the warm-up does not count");
        assert_eq!(usual_top(&day[..2], 3600.0), 5580.0, "nothing but a warm-up");
    }
}
