//! The charts of one run.

use plotters::style::RGBColor;

use super::figure::{Figure, Mark, POINTS, Series, held, stacked, thinned};
use crate::report::plot::findings::{self, Finding, name_of};
use crate::report::plot::folder::{Folder, ServicePlan, layered};
use crate::report::plot::levels::{
    Capacity, HOST_STATES, alarm_spans, capacities, cost_parts, cost_rows, highest, hosts_by_state,
};
use crate::report::plot::run::usual_top;
use crate::report::plot::theme::{BLUE, FAINT, GREEN, INK, ORANGE, OTHER, PURPLE, SERIES, SKY, VERMILION};

/// Every chart the folder has data for, in the order of the page.
pub(super) fn figures(folder: &Folder) -> Vec<Figure> {
    let mut figures = capacity(folder, "");
    figures.extend(requests(folder));
    figures.extend(backlog(folder));
    for (place, service) in folder.plan.services.iter().enumerate() {
        figures.extend(counts(folder, service, place));
        figures.extend(scaling(folder, service, place));
        figures.extend(latency(folder, service, place));
    }
    figures.extend(hosts(folder));
    figures.extend(utilisation(folder));
    figures.extend(cost(folder));
    figures
}

fn end(folder: &Folder) -> f64 {
    folder.plan.duration_s
}

fn steps(folder: &Folder, name: &str, colour: RGBColor, points: &[(f64, f64)]) -> Series {
    Series { name: name.to_owned(), colour, mark: Mark::Steps, points: held(points.to_vec(), end(folder)) }
}

/// Demand against capacity, CPU and memory; `prefix` tells the charts of several runs apart.
pub(super) fn capacity(folder: &Folder, prefix: &str) -> Vec<Figure> {
    let Some(both) = capacities(folder) else { return Vec::new() };
    let Finding { title, more } = findings::capacity(folder, &both);
    let [cpu, memory] = &both;
    let chart = |of: &Capacity, id: &str, kind, title: String, more: String, unit| Figure {
        id: format!("{prefix}{id}"),
        kind,
        title,
        more,
        axis: of.name.to_owned(),
        unit,
        service: None,
        top: None,
        series: capacity_series(folder, of),
    };
    let gib = findings::most_memory(folder, memory);
    vec![
        chart(cpu, "demand-cpu", "Demand and capacity: CPU", title, more, "vCPU"),
        chart(memory, "demand-memory", "Demand and capacity: memory", gib, String::new(), "GiB"),
    ]
}

fn capacity_series(folder: &Folder, of: &Capacity) -> Vec<Series> {
    let supply = layered(&[&of.hosts, &of.fargate], &[0, 1], 2);
    let layers = [("registered by hosts".to_owned(), SKY), ("on Fargate".to_owned(), GREEN)];
    let mut series = stacked(&supply, &layers, end(folder));
    for one in &mut series {
        one.mark = Mark::Stacked(0.4);
    }
    let rows = layered(&[&of.reserved, &of.demanded], &[0, 1], 2);
    let waits = rows.iter().any(|(_, now)| now[1] > now[0] + 1e-9);
    if waits {
        let over: Vec<(f64, f64)> = rows.iter().enumerate().map(|(place, (_, now))| (place as f64, now[1])).collect();
        let kept: Vec<&(f64, Vec<f64>)> =
            thinned(&over, POINTS).iter().map(|(place, _)| &rows[*place as usize]).collect();
        let level =
            |value: fn(&[f64]) -> f64| held(kept.iter().map(|(at, now)| (*at, value(now))).collect(), end(folder));
        let base = level(|now| now[0]);
        let waiting = level(|now| (now[1] - now[0]).max(0.0));
        series.push(Series { name: String::new(), colour: BLUE, mark: Mark::Base, points: base });
        series.push(Series {
            name: "waiting for capacity, on top".to_owned(),
            colour: VERMILION,
            mark: Mark::OnTop,
            points: waiting,
        });
    }
    series.push(steps(folder, "reserved by tasks", BLUE, &of.reserved));
    series
}

/// Lines of one metric, a resource each; those without a colour of their own are left out and counted.
fn lines<'f>(folder: &'f Folder, metric: &'f str) -> (Vec<Series>, usize) {
    let all: Vec<(&str, &[(f64, f64)])> = folder.all(metric).filter(|(_, points)| highest(points) > 0.0).collect();
    let series = all
        .iter()
        .zip(SERIES)
        .map(|((resource, points), colour)| Series {
            name: (*resource).to_owned(),
            colour,
            mark: Mark::Line,
            points: points.to_vec(),
        })
        .collect();
    (series, all.len().saturating_sub(SERIES.len()))
}

fn several(left_out: usize) -> String {
    if left_out == 0 { String::new() } else { format!("{left_out} more are in series.csv") }
}

fn requests(folder: &Folder) -> Option<Figure> {
    let (series, left_out) = lines(folder, "RequestCount");
    let most = series.iter().map(|one| highest(&one.points)).fold(0.0, f64::max);
    (!series.is_empty()).then(|| Figure {
        id: "requests".to_owned(),
        kind: "Demand: requests",
        title: format!("Up to {} requests a minute arrived at one target group", findings::short(most.round())),
        more: several(left_out),
        axis: "requests per minute".to_owned(),
        unit: "",
        service: None,
        top: None,
        series,
    })
}

fn backlog(folder: &Folder) -> Option<Figure> {
    let (series, left_out) = lines(folder, "ApproximateNumberOfMessagesVisible");
    let most = series.iter().map(|one| highest(&one.points)).fold(0.0, f64::max);
    (!series.is_empty()).then(|| Figure {
        id: "backlog".to_owned(),
        kind: "Demand: messages waiting",
        title: format!("Up to {} messages waited in a queue", findings::short(most.round())),
        more: several(left_out),
        axis: "messages visible".to_owned(),
        unit: "",
        service: None,
        top: None,
        series,
    })
}

fn counts(folder: &Folder, service: &ServicePlan, place: usize) -> Option<Figure> {
    let [desired, running, pending] =
        ["DesiredCount", "RunningCount", "PendingCount"].map(|metric| folder.series(&service.resource, metric));
    if desired.is_empty() && running.is_empty() {
        return None;
    }
    let Finding { title, more } = findings::service_counts(folder, service);
    let layers = [("running".to_owned(), SKY), ("pending, on top".to_owned(), ORANGE)];
    let mut series = stacked(&layered(&[running, pending], &[0, 1], 2), &layers, end(folder));
    series.push(steps(folder, "desired", INK, desired));
    Some(Figure {
        id: format!("counts-{place}"),
        kind: "Service: desired, running, pending",
        title,
        more,
        axis: "tasks".to_owned(),
        unit: "",
        service: Some(service.resource.clone()),
        top: None,
        series,
    })
}

fn scaling(folder: &Folder, service: &ServicePlan, place: usize) -> Vec<Figure> {
    let tracked = service
        .metrics
        .iter()
        .filter(|tracked| !folder.series(&tracked.resource, &tracked.metric).is_empty())
        .enumerate();
    let chart = |(number, tracked): (usize, &crate::report::plot::TrackedSeries)| {
        let Finding { title, more } = findings::scaling(folder, service, &[tracked]);
        let watching = || {
            service.alarms.iter().filter(|alarm| alarm.metric.as_deref().is_none_or(|metric| metric == tracked.metric))
        };
        let mut series: Vec<Series> =
            [(true, "a high alarm is in ALARM", VERMILION), (false, "a low alarm is in ALARM", GREEN)]
                .into_iter()
                .filter_map(|(high, name, colour)| {
                    let spans = watching()
                        .filter(|alarm| alarm.high == high)
                        .flat_map(|alarm| alarm_spans(folder, &alarm.name))
                        .collect::<Vec<_>>();
                    let points = held(covered(&spans), end(folder));
                    (!spans.is_empty()).then(|| Series { name: name.to_owned(), colour, mark: Mark::Span, points })
                })
                .collect();
        let whole = |value: f64| vec![(0.0, value), (end(folder), value)];
        series.push(Series {
            name: format!("{} measured", tracked.metric),
            colour: BLUE,
            mark: Mark::Line,
            points: folder.series(&tracked.resource, &tracked.metric).to_vec(),
        });
        if let Some(target) = tracked.target {
            series.push(Series { name: "target".to_owned(), colour: PURPLE, mark: Mark::Bound, points: whole(target) });
        }
        for alarm in watching().filter(|alarm| Some(alarm.threshold) != tracked.target).take(3) {
            let name = if alarm.high { "high alarm's threshold" } else { "low alarm's threshold" };
            series.push(Series {
                name: name.to_owned(),
                colour: FAINT,
                mark: Mark::Bound,
                points: whole(alarm.threshold),
            });
        }
        let percent = tracked.metric.ends_with("Utilization");
        let measured = folder.series(&tracked.resource, &tracked.metric);
        let bounds = watching().map(|alarm| alarm.threshold).chain(tracked.target).fold(0.0, f64::max);
        let (top, beyond) = top_of(folder, measured, usual_top(measured, folder.plan.warmup_s).max(bounds));
        Figure {
            id: format!("scaling-{place}-{number}"),
            kind: "Service: metric, target and alarms",
            title,
            more: joined(more, beyond),
            axis: axis_of(&tracked.metric, percent),
            unit: if percent { "%" } else { "" },
            service: Some(service.resource.clone()),
            top,
            series,
        }
    };
    tracked.map(chart).collect()
}

/// What the axis of a metric says: its name where it fits beside the chart, whose legend has it in any case.
fn axis_of(metric: &str, percent: bool) -> String {
    const FITS: usize = 24;
    let name = if metric.len() > FITS { "value of the metric" } else { metric };
    if percent { format!("{name} [%]") } else { name.to_owned() }
}

/// The height of an axis that `usual` values need, when others go far beyond it, and a clause that says so.
fn top_of(folder: &Folder, points: &[(f64, f64)], usual: f64) -> (Option<f64>, String) {
    let beyond = points.iter().copied().reduce(|best, now| if now.1 > best.1 { now } else { best });
    match beyond.filter(|(_, most)| usual > 0.0 && *most > 1.5 * usual) {
        Some((at, most)) => {
            let when = if at < folder.plan.warmup_s { ", in the warm-up" } else { "" };
            (Some(1.08 * usual), format!("the axis leaves out a peak of {}{when}", findings::short(most)))
        }
        None => (None, String::new()),
    }
}

fn joined(clause: String, more: String) -> String {
    match (clause.is_empty(), more.is_empty()) {
        (_, true) => clause,
        (true, false) => more,
        (false, false) => format!("{clause}; {more}"),
    }
}

/// 1 while at least one span holds, 0 else, at each change.
fn covered(spans: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut changes: Vec<(f64, i32)> = spans.iter().flat_map(|(from, to)| [(*from, 1), (*to, -1)]).collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut open = 0;
    let mut points = vec![(0.0, 0.0)];
    for instant in changes.chunk_by(|a, b| a.0 == b.0) {
        open += instant.iter().map(|change| change.1).sum::<i32>();
        points.push((instant[0].0, f64::from(u8::from(open > 0))));
    }
    points
}

fn latency(folder: &Folder, service: &ServicePlan, place: usize) -> Option<Figure> {
    const CURVES: [(&str, &str, RGBColor); 3] = [
        ("latency_p99_s", "99 % are faster", VERMILION),
        ("latency_p50_s", "half are faster", BLUE),
        ("latency_mean_s", "mean", INK),
    ];
    if folder.series(&service.resource, "latency_p99_s").is_empty() {
        return None;
    }
    let (_, worst) = findings::worst_latency(folder, &service.resource);
    let (unit, scale) = if worst < 1.0 { ("ms", 1000.0) } else { ("s", 1.0) };
    let Finding { title, more } = findings::latency(folder, &service.resource);
    let slowest: Vec<(f64, f64)> =
        folder.series(&service.resource, "latency_p99_s").iter().map(|(at, value)| (*at, value * scale)).collect();
    let (top, beyond) = top_of(folder, &slowest, worst * scale);
    let series = CURVES
        .iter()
        .map(|(metric, name, colour)| Series {
            name: (*name).to_owned(),
            colour: *colour,
            mark: Mark::Line,
            points: folder.series(&service.resource, metric).iter().map(|(at, value)| (*at, value * scale)).collect(),
        })
        .collect();
    Some(Figure {
        id: format!("latency-{place}"),
        kind: "Service: latency",
        title,
        more: joined(more, beyond),
        axis: format!("latency of {} [{unit}]", name_of(service)),
        unit,
        service: Some(service.resource.clone()),
        top,
        series,
    })
}

fn hosts(folder: &Folder) -> Option<Figure> {
    let rows = hosts_by_state(folder);
    if rows.is_empty() {
        return None;
    }
    let mut zones: Vec<&str> = folder.hosts.iter().map(|host| host.az.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    let Finding { title, more } = findings::hosts(folder, &rows, zones.len());
    let layers = HOST_STATES.map(|(name, colour)| (name.to_owned(), colour));
    Some(Figure {
        id: "hosts-by-state".to_owned(),
        kind: "Hosts by state",
        title,
        more,
        axis: "hosts".to_owned(),
        unit: "",
        service: None,
        top: None,
        series: stacked(&rows, &layers, end(folder)),
    })
}

/// A chart a cluster that has hosts.
fn utilisation(folder: &Folder) -> Vec<Figure> {
    let clusters = folder.all("CPUReservation").map(|(resource, _)| resource);
    let clusters = clusters.filter(|resource| resource.starts_with("cluster/")).enumerate();
    clusters.map(|(place, cluster)| cluster_utilisation(folder, cluster, place)).collect()
}

fn cluster_utilisation(folder: &Folder, cluster: &str, place: usize) -> Figure {
    const METRICS: [(&str, &str, RGBColor); 4] = [
        ("CPUReservation", "CPU reserved", BLUE),
        ("CPUUtilization", "CPU used", SKY),
        ("MemoryReservation", "memory reserved", ORANGE),
        ("MemoryUtilization", "memory used", VERMILION),
    ];
    let series: Vec<Series> = METRICS
        .iter()
        .map(|(metric, name, colour)| (folder.series(cluster, metric), name, colour))
        .filter(|(points, ..)| !points.is_empty())
        .map(|(points, name, colour)| Series {
            name: (*name).to_owned(),
            colour: *colour,
            mark: Mark::Line,
            points: points.to_vec(),
        })
        .collect();
    let (from, to) = folder.measured();
    let mean = |metric: &str| {
        let points: Vec<f64> = folder
            .series(cluster, metric)
            .iter()
            .filter(|(at, _)| *at >= from && *at <= to)
            .map(|(_, value)| *value)
            .collect();
        (!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64)
    };
    let [reserved, used] = ["CPUReservation", "CPUUtilization"].map(mean);
    let percent = |value: f64| format!("{} %", crate::report::format::grouped(value, 0));
    let title = match (reserved, used) {
        // Where nothing is said of load, nothing is used.
        (Some(reserved), Some(used)) if used >= 0.5 => format!(
            "Of the CPU of {cluster}'s hosts {} was reserved on average and {} was used",
            percent(reserved),
            percent(used)
        ),
        (Some(reserved), _) => {
            format!("Of the CPU of {cluster}'s hosts {} was reserved on average", percent(reserved))
        }
        _ => format!("How much of {cluster}'s hosts was in use"),
    };
    Figure {
        id: format!("utilisation-{place}"),
        kind: "Utilisation of the hosts",
        title,
        more: String::new(),
        axis: "share of registered [%]".to_owned(),
        unit: "%",
        service: None,
        top: None,
        series,
    }
}

fn cost(folder: &Folder) -> Option<Figure> {
    let parts = cost_parts(folder);
    if parts.is_empty() {
        return None;
    }
    let shown = if parts.len() > SERIES.len() { SERIES.len() - 1 } else { parts.len() };
    let mut layers: Vec<(String, RGBColor)> =
        parts.iter().zip(SERIES).take(shown).map(|(part, colour)| (part.name(), colour)).collect();
    if parts.len() > shown {
        layers.push((format!("{} others", parts.len() - shown), OTHER));
    }
    let Finding { title, more } = findings::cost(folder, &parts);
    Some(Figure {
        id: "cost".to_owned(),
        kind: "Cost per hour",
        title,
        more,
        axis: "USD per hour".to_owned(),
        unit: "$",
        service: None,
        top: None,
        series: stacked(&cost_rows(&parts, shown), &layers, end(folder)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plot::synthetic;

    #[test]
    fn a_run_has_a_chart_of_everything_it_has_data_for() {
        let folder = tempfile::tempdir().unwrap();
        synthetic::write(folder.path(), 1.0);
        let folder = Folder::read(folder.path()).unwrap();
        let figures = figures(&folder);
        let ids: Vec<&str> = figures.iter().map(|figure| figure.id.as_str()).collect();
        assert_eq!(
            ids,
            ["demand-cpu", "demand-memory", "counts-0", "scaling-0-0", "latency-0", "hosts-by-state", "cost"]
        );
        for figure in &figures {
            for series in &figure.series {
                assert!(
                    series.points.windows(2).all(|pair| pair[0].0 <= pair[1].0),
                    "{} of {}",
                    series.name,
                    figure.id
                );
            }
        }
        let names: Vec<&str> = figures[3].series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names[..2], ["a high alarm is in ALARM", "a low alarm is in ALARM"]);
        assert!(names.contains(&"target") && names.contains(&"low alarm's threshold"), "{names:?}");
    }

    #[test]
    fn each_queue_is_a_line_and_each_cluster_a_chart() {
        let place = tempfile::tempdir().unwrap();
        synthetic::write(place.path(), 1.0);
        let path = place.path().join("series.csv");
        let mut series = std::fs::read_to_string(&path).unwrap();
        for (at, mails, orders) in [(0, 0, 3), (60, 1250, 3), (120, 10, 0)] {
            series += &format!("{at},queue/mails,ApproximateNumberOfMessagesVisible,{mails}\n");
            series += &format!("{at},queue/orders,ApproximateNumberOfMessagesVisible,{orders}\n");
            series += &format!("{at},queue/idle,ApproximateNumberOfMessagesVisible,0\n");
        }
        for (cluster, reserved) in [("blue", 80), ("green", 20)] {
            // After the warm-up, which means leave out.
            series += &format!("7200,cluster/{cluster},CPUReservation,{reserved}\n");
            series += &format!("7200,cluster/{cluster},CPUUtilization,10\n");
        }
        std::fs::write(&path, series).unwrap();
        let figures = figures(&Folder::read(place.path()).unwrap());
        let figure = |id: &str| figures.iter().find(|figure| figure.id == id).unwrap_or_else(|| panic!("no {id}"));
        let backlog = figure("backlog");
        assert_eq!(backlog.title, "Up to 1,250 messages waited in a queue");
        let lines: Vec<(&str, usize)> =
            backlog.series.iter().map(|series| (series.name.as_str(), series.points.len())).collect();
        assert_eq!(lines, [("queue/mails", 3), ("queue/orders", 3)], "a queue that was always empty has no line");
        for (id, cluster, reserved) in [("utilisation-0", "blue", 80), ("utilisation-1", "green", 20)] {
            let expected = format!(
                "Of the CPU of cluster/{cluster}'s hosts {reserved} % was reserved on average and 10 % was used"
            );
            assert_eq!(figure(id).title, expected);
            assert_eq!(figure(id).series.len(), 2);
        }
    }

    #[test]
    fn an_axis_names_its_metric_where_that_fits() {
        let table = [
            ("CPUUtilization", true, "CPUUtilization [%]"),
            ("BacklogPerTask", false, "BacklogPerTask"),
            ("ApproximateNumberOfMessagesVisible", false, "value of the metric"),
        ];
        for (metric, percent, expected) in table {
            assert_eq!(axis_of(metric, percent), expected);
        }
    }

    #[test]
    fn spans_that_overlap_are_one() {
        let points = covered(&[(10.0, 20.0), (15.0, 30.0), (30.0, 31.0), (40.0, 50.0)]);
        assert_eq!(points[..2], [(0.0, 0.0), (10.0, 1.0)]);
        assert_eq!(points.iter().filter(|point| point.1 == 0.0).count(), 3, "{points:?}");
    }
}
