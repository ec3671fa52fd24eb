//! The pictures of one run.

use plotters::style::RGBColor;

use super::PlotError;
use super::chart::{Entry, Mark, Panel, TimeAxis, Type, ValueAxis, picture, text_width};
use super::folder::{Folder, ServicePlan, integral, layered, peak, time_when};
use super::theme::{
    AXIS, BLUE, FAINT, GREEN, HEIGHT, INK, LABEL, MARGIN, ORANGE, OTHER, PURPLE, SERIES, SKY, VERMILION,
};
use crate::report::format::{grouped, money, span};
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
    add("packing", packing(folder)?);
    add("latency", latency(folder)?);
    for service in &folder.plan.services {
        let file = file_name(folder, service);
        add(&format!("service-{file}"), service_counts(folder, service)?);
        add(&format!("scaling-{file}"), scaling(folder, service)?);
    }
    Ok(pictures)
}

fn name_of(service: &ServicePlan) -> &str {
    service.resource.rsplit('/').next().unwrap_or_default()
}

/// The service's name, with its cluster's where two clusters have a service of that name.
fn file_name(folder: &Folder, service: &ServicePlan) -> String {
    let name = name_of(service);
    let twins = folder.plan.services.iter().filter(|other| name_of(other) == name).count();
    if twins > 1 { service.resource.trim_start_matches("service/").replace('/', "-") } else { name.to_owned() }
}

fn subtitle(folder: &Folder, more: &str) -> String {
    let plan = &folder.plan;
    let run = format!("{}, {} simulated, seed {}", plan.scenario, span(plan.duration_s), plan.seed);
    if more.is_empty() { run } else { format!("{more} · {run}") }
}

fn time_axis(folder: &Folder) -> TimeAxis {
    TimeAxis::new(folder.plan.start, folder.times())
}

/// First and last second that count.
fn measured(folder: &Folder) -> (f64, f64) {
    (folder.plan.warmup_s, folder.plan.duration_s)
}

fn highest(series: &[(f64, f64)]) -> f64 {
    series.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

fn plural(count: f64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count, 0), if count == 1.0 { "" } else { "s" })
}

fn demand_vs_capacity(folder: &Folder) -> Result<Option<String>, PlotError> {
    struct Dimension {
        name: &'static str,
        scale: f64,
        metrics: [&'static str; 4],
    }
    let dimensions = [
        Dimension {
            name: "CPU [vCPU]",
            scale: 1.0,
            metrics: ["registered_cpu_vcpu", "fargate_cpu_vcpu", "reserved_cpu_vcpu", "demanded_cpu_vcpu"],
        },
        Dimension {
            name: "memory [GiB]",
            scale: 1.0 / 1024.0,
            metrics: ["registered_memory_mib", "fargate_memory_mib", "reserved_memory_mib", "demanded_memory_mib"],
        },
    ];
    let read = |dimension: &Dimension| {
        dimension.metrics.map(|metric| {
            let mut level = folder.total(metric);
            for (_, value) in &mut level {
                *value *= dimension.scale;
            }
            level
        })
    };
    let [cpu, memory] = dimensions.each_ref().map(read);
    if cpu.iter().chain(&memory).all(|level| highest(level) == 0.0) {
        return Ok(None);
    }
    let (from, to) = measured(folder);
    let unmet = time_when(&[&cpu[2], &cpu[3], &memory[2], &memory[3]], from, to, |now| {
        now[1] > now[0] + 1e-9 || now[3] > now[2] + 1e-9
    });
    let (at, most) = peak(&cpu[3], from, to);
    let axis = time_axis(folder);
    let title = if unmet > 0.0 {
        format!("Tasks waited for capacity during {}; demand peaked at {} vCPU", span(unmet), short(most))
    } else {
        format!("Capacity met demand throughout; demand peaked at {} vCPU at {}", short(most), axis.moment(at))
    };
    let fargate = highest(&cpu[1]) > 0.0;
    let has_hosts = highest(&cpu[0]) > 0.0;
    let reserved = integral(&cpu[2], from, to) - integral(&cpu[1], from, to);
    let registered = integral(&cpu[0], from, to);
    let packed = if registered > 0.0 {
        format!("{} % of the hosts' CPU was reserved on average", grouped(100.0 * reserved / registered, 1))
    } else {
        String::new()
    };
    picture(&title, &subtitle(folder, &packed), HEIGHT + 100, |canvas| {
        let mut legend = Vec::new();
        if has_hosts {
            legend.push(Entry::new("registered by hosts", SKY, Mark::Area(0.45)));
        }
        if fargate {
            legend.push(Entry::new("on Fargate", GREEN, Mark::Area(0.45)));
        }
        legend.push(Entry::new("reserved by tasks", BLUE, Mark::Line));
        legend.push(Entry::new("demanded: reserved and waiting", VERMILION, Mark::Dashes));
        canvas.legend(&legend)?;
        let frames = canvas.panels(2);
        for ((frame, dimension), [hosts, fargate, reserved, demanded]) in
            frames.into_iter().zip(&dimensions).zip([&cpu, &memory])
        {
            let supply: Vec<(f64, f64)> =
                layered(&[hosts, fargate], &[0, 0], 1).into_iter().map(|(at, sums)| (at, sums[0])).collect();
            let top = [&supply, demanded, reserved].map(|level| highest(level)).into_iter().fold(0.0, f64::max);
            let panel = Panel::new(frame, folder.times(), ValueAxis::from_zero(top));
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, dimension.name)?;
            let rows = layered(&[hosts, fargate], &[0, 1], 2);
            canvas.stack(&panel, &rows, &[SKY, GREEN], 0.45)?;
            // Dashed and above: where nothing waits, what is reserved shows through the gaps.
            canvas.steps(&panel, reserved, BLUE, 4)?;
            canvas.dashed_steps(&panel, demanded, VERMILION, 3)?;
        }
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}

/// A figure with three digits at most.
fn short(value: f64) -> String {
    grouped(value, usize::from(value < 100.0 && value.fract() != 0.0))
}

fn service_counts(folder: &Folder, service: &ServicePlan) -> Result<Option<String>, PlotError> {
    let [desired, running, pending] =
        ["DesiredCount", "RunningCount", "PendingCount"].map(|metric| folder.series(&service.resource, metric));
    if desired.is_empty() && running.is_empty() {
        return Ok(None);
    }
    let (from, to) = measured(folder);
    let short_of = time_when(&[desired, running], from, to, |now| now[1] < now[0]);
    let levels = || desired.iter().map(|(_, value)| *value);
    let (low, high) = (levels().fold(f64::INFINITY, f64::min), levels().fold(0.0, f64::max));
    let wanted = if low < high {
        format!("wanted {} to {} tasks", grouped(low, 0), grouped(high, 0))
    } else {
        format!("wanted {}", plural(high, "task"))
    };
    let title = if short_of > 0.0 {
        format!("{} {wanted} and ran fewer than it wanted for {}", name_of(service), span(short_of))
    } else {
        format!("{} {wanted} and always ran them", name_of(service))
    };
    let axis = time_axis(folder);
    picture(&title, &subtitle(folder, &service.resource), HEIGHT, |canvas| {
        canvas.legend(&[
            Entry::new("running", SKY, Mark::Area(0.55)),
            Entry::new("pending, on top", ORANGE, Mark::Area(0.85)),
            Entry::new("desired", INK, Mark::Line),
        ])?;
        let frame = canvas.panels(1)[0];
        let rows = layered(&[running, pending], &[0, 1], 2);
        let top = rows.iter().map(|(_, levels)| levels.iter().sum()).fold(highest(desired), f64::max);
        let panel = Panel::new(frame, folder.times(), ValueAxis::counts(top));
        canvas.warmup(&panel, folder.plan.warmup_s)?;
        canvas.time_axis(&panel, &axis)?;
        canvas.value_axis(&panel, "tasks")?;
        canvas.stack(&panel, &rows, &[SKY, ORANGE], 0.7)?;
        canvas.steps(&panel, desired, INK, 3)?;
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}

fn hosts(folder: &Folder) -> Result<Option<String>, PlotError> {
    const STATES: [(&str, RGBColor); 4] =
        [("in service", BLUE), ("launching", ORANGE), ("draining", PURPLE), ("terminating", VERMILION)];
    if folder.hosts.is_empty() {
        return Ok(None);
    }
    let end = folder.plan.duration_s;
    let mut by_state: Vec<(f64, usize, f64)> = Vec::new();
    let mut zones: Vec<&str> = folder.hosts.iter().map(|host| host.az.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    let mut by_zone = Vec::new();
    for host in &folder.hosts {
        let gone = host.terminated_s.unwrap_or(f64::INFINITY);
        let going = host.terminating_s.unwrap_or(gone).min(gone);
        let draining = host.draining_s.unwrap_or(f64::INFINITY);
        let leaving = going.min(draining);
        let serving = host.in_service_s.unwrap_or(leaving).min(leaving);
        // Managed draining happens while the host terminates already (DRN-3): it drains until it is gone.
        let drained = if draining >= gone {
            leaving
        } else if draining < going {
            going
        } else {
            gone
        };
        let mut stay = |state: usize, from: f64, to: f64| {
            if to > from {
                by_state.extend([(from, state, 1.0), (to, state, -1.0)]);
            }
        };
        stay(1, host.launched_s, serving);
        stay(0, serving, leaving);
        stay(2, leaving, drained);
        stay(3, drained, gone);
        let zone = zones.binary_search(&host.az.as_str()).unwrap_or(0);
        by_zone.extend([(host.launched_s, zone, 1.0), (gone, zone, -1.0)]);
    }
    let state_rows = counted(by_state, STATES.len());
    let total: Vec<(f64, f64)> = state_rows.iter().map(|(at, levels)| (*at, levels.iter().sum())).collect();
    let (from, to) = measured(folder);
    let (at, most) = peak(&total, from, to);
    let axis = time_axis(folder);
    let mean = if to > from { integral(&total, from, to) / (to - from) } else { 0.0 };
    let title = format!("{} hosts on average, {} at the peak ({})", short(mean), short(most), axis.moment(at));
    let launched =
        format!("{} launched in {}", plural(folder.hosts.len() as f64, "host"), plural(zones.len() as f64, "zone"));
    // What has no colour of its own is one layer at the end.
    let shown = zones.len().min(if zones.len() > SERIES.len() { SERIES.len() - 1 } else { SERIES.len() });
    let layer_of = |zone: usize| zone.min(shown);
    let layers = if zones.len() > shown { shown + 1 } else { shown };
    let zone_rows = counted(by_zone.into_iter().map(|(at, zone, by)| (at, layer_of(zone), by)).collect(), layers);
    picture(&title, &subtitle(folder, &launched), HEIGHT + 160, |canvas| {
        let seen: Vec<bool> =
            (0..STATES.len()).map(|state| state_rows.iter().any(|(_, levels)| levels[state] > 0.0)).collect();
        let state_legend: Vec<Entry> = STATES
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
            ("hosts by state", &state_rows, STATES.map(|(_, colour)| colour).to_vec(), &state_legend),
            ("hosts by Availability Zone", &zone_rows, colours, &zone_legend),
        ]) {
            let panel = Panel::new(frame, (0.0, end), ValueAxis::counts(highest(&total)));
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, name)?;
            canvas.panel_legend(&panel, name, legend)?;
            canvas.stack(&panel, rows, &colours, 0.85)?;
        }
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}

/// Counts by layer from comings and goings; those that never end are not counted off.
fn counted(mut changes: Vec<(f64, usize, f64)>, layers: usize) -> Vec<(f64, Vec<f64>)> {
    changes.retain(|(at, ..)| at.is_finite());
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut levels = vec![0.0; layers];
    changes
        .chunk_by(|a, b| a.0 == b.0)
        .map(|instant| {
            for &(_, layer, by) in instant {
                levels[layer] += by;
            }
            (instant[0].0, levels.clone())
        })
        .collect()
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
    let (from, _) = measured(folder);
    let desired = folder.series(&service.resource, "DesiredCount");
    let running = folder.series(&service.resource, "RunningCount");
    let steps = || desired.windows(2).filter(|pair| pair[1].0 >= from);
    let out = steps().filter(|pair| pair[1].1 > pair[0].1).count();
    let back = steps().filter(|pair| pair[1].1 < pair[0].1).count();
    let followed = match tracked[0].target {
        Some(target) => format!("{} against its target of {}", tracked[0].metric, short(target)),
        None => tracked[0].metric.clone(),
    };
    let title = format!("{} scaled out {} and in {} following {followed}", name_of(service), times(out), times(back));
    let axis = time_axis(folder);
    let high = service.alarms.iter().any(|alarm| alarm.high);
    let low = service.alarms.iter().any(|alarm| !alarm.high);
    let height = HEIGHT + 200 * i32::try_from(tracked.len()).unwrap_or(1);
    picture(&title, &subtitle(folder, &service.resource), height, |canvas| {
        let mut legend = vec![Entry::new("metric", BLUE, Mark::Line)];
        if tracked.iter().any(|tracked| tracked.target.is_some()) {
            legend.push(Entry::new("target", INK, Mark::Line));
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
        legend.push(Entry::new("running tasks", SKY, Mark::Area(0.55)));
        legend.push(Entry::new("desired tasks", INK, Mark::Line));
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
            let top = thresholds.chain(tracked.target).fold(highest(samples), f64::max);
            let panel = Panel::new(*frame, folder.times(), ValueAxis::from_zero(top));
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            for alarm in &watching {
                let colour = if alarm.high { VERMILION } else { GREEN };
                for (begin, end) in spans(folder, &alarm.name) {
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
                canvas.path(vec![(ends.0, y), (ends.1, y)], INK, 2)?;
            }
            canvas.line(&panel, samples, BLUE, 3)?;
        }
        if let Some(frame) = frames.last() {
            let top = highest(desired).max(highest(running));
            let panel = Panel::new(*frame, folder.times(), ValueAxis::counts(top));
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, "tasks")?;
            canvas.area(&panel, running, SKY, 0.55)?;
            canvas.steps(&panel, desired, INK, 3)?;
        }
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}

fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}

/// From when to when an alarm was in ALARM.
fn spans(folder: &Folder, alarm: &str) -> Vec<(f64, f64)> {
    let mut spans = Vec::new();
    let mut since = None;
    for change in folder.alarms.iter().filter(|change| change.alarm == alarm) {
        match (change.state == "ALARM", since) {
            (true, None) => since = Some(change.time_s),
            (false, Some(begin)) => {
                spans.push((begin, change.time_s));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|begin| (begin, folder.plan.duration_s)));
    spans
}

fn cost_per_hour(folder: &Folder) -> Result<Option<String>, PlotError> {
    let (from, to) = measured(folder);
    let mut parts: Vec<_> =
        folder.all("cost_per_hour_usd").map(|(resource, rate)| (resource, rate, integral(rate, from, to))).collect();
    if parts.iter().all(|(.., spent)| *spent == 0.0) || to <= from {
        return Ok(None);
    }
    // The dearest first, which is also the order of the legend.
    parts.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| a.0.cmp(b.0)));
    let shown = if parts.len() > SERIES.len() { SERIES.len() - 1 } else { parts.len() };
    let layers = if parts.len() > shown { shown + 1 } else { shown };
    let levels: Vec<&[(f64, f64)]> = parts.iter().map(|(_, rate, _)| *rate).collect();
    let layer_of: Vec<usize> = (0..parts.len()).map(|part| part.min(shown)).collect();
    let rows = layered(&levels, &layer_of, layers);
    let total: Vec<(f64, f64)> = rows.iter().map(|(at, levels)| (*at, levels.iter().sum())).collect();
    let axis = time_axis(folder);
    let (at, most) = peak(&total, from, to);
    let mean = integral(&total, from, to) / (to - from);
    let title = format!("{} an hour on average, {} at the peak ({})", money(mean), money(most), axis.moment(at));
    let bill: f64 = folder.costs.iter().map(|row| row.cost_usd).sum();
    let fixed: f64 = folder
        .costs
        .iter()
        .filter(|row| !row.item.starts_with("ec2") && !row.item.starts_with("fargate"))
        .map(|row| row.cost_usd)
        .sum();
    let rest = if bill > 0.0 {
        format!("machine time only; the whole bill is {}, {} of it for the rest", money(bill), money(fixed))
    } else {
        "machine time only".to_owned()
    };
    picture(&title, &subtitle(folder, &rest), HEIGHT, |canvas| {
        let mut colours: Vec<_> = SERIES.iter().copied().take(shown).collect();
        let share = |spent: f64| grouped(100.0 * spent / (mean * (to - from)), 0);
        let mut legend: Vec<Entry> = parts
            .iter()
            .zip(&colours)
            .map(|((resource, _, spent), colour)| {
                let name = match resource.split_once('/') {
                    Some(("cluster", cluster)) => format!("Fargate in {cluster}"),
                    _ => (*resource).to_owned(),
                };
                Entry::new(format!("{name}: {} %", share(*spent)), *colour, Mark::Area(0.85))
            })
            .collect();
        if layers > shown {
            colours.push(OTHER);
            let spent = parts.iter().skip(shown).map(|(.., spent)| spent).sum();
            let label = format!("{} others: {} %", parts.len() - shown, share(spent));
            legend.push(Entry::new(label, OTHER, Mark::Area(0.85)));
        }
        canvas.legend(&legend)?;
        let panel = Panel::new(canvas.panels(1)[0], folder.times(), ValueAxis::from_zero(highest(&total)));
        canvas.warmup(&panel, folder.plan.warmup_s)?;
        canvas.time_axis(&panel, &axis)?;
        canvas.value_axis(&panel, "US dollars per hour")?;
        canvas.stack(&panel, &rows, &colours, 0.85)?;
        canvas.time_caption(&axis, folder.plan.warmup_s)
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
    let title = format!(
        "At the busiest moment {} held {} % of their CPU and {} % of their memory reserved",
        plural(hosts.len() as f64, "host"),
        grouped(100.0 * cpu, 0),
        grouped(100.0 * memory, 0)
    );
    let more = format!(
        "{}; {} empty",
        axis.moment(first.time_s),
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
        for (place, (instance, cpu, memory)) in hosts.iter().enumerate() {
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
                // The last digits tell the hosts apart least; the first ones rise in launch order.
                let label: String = instance.chars().take(11).collect();
                canvas.text((middle, frame.bottom + 14), &label, Type::new(LABEL - 4, FAINT).right().upright())?;
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

fn latency(folder: &Folder) -> Result<Option<String>, PlotError> {
    const PANELS: usize = 4;
    const CURVES: [(&str, &str, RGBColor, u32); 3] = [
        ("latency_p99_s", "99 % are faster", VERMILION, 2),
        ("latency_p50_s", "half are faster", BLUE, 3),
        ("latency_mean_s", "mean", INK, 2),
    ];
    let (from, to) = measured(folder);
    let worst_of = |resource: &str| {
        let samples = folder.series(resource, "latency_p99_s");
        samples
            .iter()
            .filter(|(at, _)| *at >= from && *at <= to)
            .copied()
            .fold((from, 0.0), |worst, now| if now.1 > worst.1 { now } else { worst })
    };
    let mut services: Vec<&str> = folder.all("latency_p99_s").map(|(resource, _)| resource).collect();
    if services.is_empty() {
        return Ok(None);
    }
    services.sort_by(|a, b| worst_of(b).1.total_cmp(&worst_of(a).1).then_with(|| a.cmp(b)));
    let left_out = services.len().saturating_sub(PANELS);
    services.truncate(PANELS);
    let axis = time_axis(folder);
    let (at, worst) = worst_of(services[0]);
    let name = services[0].rsplit('/').next().unwrap_or_default();
    let title =
        format!("The slowest hundredth of {name}'s requests took {} at the worst ({})", span(worst), axis.moment(at));
    let more = if left_out > 0 {
        format!("the {PANELS} slowest services; {left_out} faster ones are not shown")
    } else {
        "latency per minute".to_owned()
    };
    let height = 420 + 340 * i32::try_from(services.len()).unwrap_or(1);
    picture(&title, &subtitle(folder, &more), height, |canvas| {
        canvas.legend(&CURVES.map(|(_, label, colour, _)| Entry::new(label, colour, Mark::Line)))?;
        let frames = canvas.panels(services.len());
        for (resource, frame) in services.iter().zip(frames) {
            let top = CURVES.iter().map(|(metric, ..)| highest(folder.series(resource, metric))).fold(0.0, f64::max);
            let (unit, scale) = if top < 1.0 { ("ms", 1000.0) } else { ("s", 1.0) };
            let panel = Panel::new(frame, folder.times(), ValueAxis::from_zero(top * scale));
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &format!("{resource} [{unit}]"))?;
            for (metric, _, colour, width) in CURVES {
                let samples: Vec<(f64, f64)> =
                    folder.series(resource, metric).iter().map(|(at, value)| (*at, value * scale)).collect();
                canvas.line(&panel, &samples, colour, width)?;
            }
        }
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}
