//! Pictures of queues: what waits in one, how old that is, and the tasks that drain it; in one run, or variant by variant.

use super::PlotError;
use super::chart::{Entry, Mark, Panel, TimeAxis, ValueAxis, picture};
use super::findings::{peak_moment, plural, time_axis};
use super::folder::{Folder, QueuePlan, layered, peak};
use super::levels::highest;
use super::run::subtitle;
use super::theme::{BLUE, HEIGHT, INK, PURPLE, SERIES, SKY, VERMILION};
use crate::report::format::span;

/// The queue's name.
pub(super) fn name_of(plan: &QueuePlan) -> &str {
    plan.resource.trim_start_matches("queue/")
}

/// A unit of time for spans up to so many seconds, and how much of it a second is.
fn unit_of(top: f64) -> (&'static str, f64) {
    match top {
        top if top < 180.0 => ("s", 1.0),
        top if top < 7200.0 => ("min", 1.0 / 60.0),
        _ => ("h", 1.0 / 3600.0),
    }
}

fn scaled(series: &[(f64, f64)], scale: f64) -> Vec<(f64, f64)> {
    series.iter().map(|(at, value)| (*at, value * scale)).collect()
}

/// Messages visible and in flight, the age of the oldest, and the service's tasks, below each other.
pub(super) fn draw(folder: &Folder, plan: &QueuePlan) -> Result<Option<String>, PlotError> {
    let [backlog, in_flight, age] =
        ["backlog", "in_flight", "age_s"].map(|metric| folder.series(&plan.resource, metric));
    // A dead-letter queue that nothing ever came to has nothing to show.
    if highest(backlog) == 0.0 && highest(in_flight) == 0.0 {
        return Ok(None);
    }
    let service = plan.service.as_deref().unwrap_or_default();
    let [desired, running] = ["DesiredCount", "RunningCount"].map(|metric| folder.series(service, metric));
    let (from, to) = folder.measured();
    let (at, most) = peak(backlog, from, to);
    let (_, oldest) = peak(age, from, to);
    let axis = time_axis(folder);
    let title = format!(
        "{} had up to {} waiting ({}); the oldest was {} old",
        name_of(plan),
        plural(most, "message"),
        peak_moment(&axis, from, at),
        span(oldest)
    );
    let drained = match service.rsplit('/').next() {
        Some(name) if !name.is_empty() => format!("{}, drained by the tasks of {name}", plan.resource),
        _ => format!("{}, which no service drains", plan.resource),
    };
    let (unit, scale) = unit_of(highest(age));
    let age = scaled(age, scale);
    let has_tasks = !desired.is_empty();
    let panels = if has_tasks { 3 } else { 2 };
    picture(&title, &subtitle(folder, &drained), HEIGHT + 160, |canvas| {
        let mut legend = vec![
            Entry::new("visible", VERMILION, Mark::Area(0.7)),
            Entry::new("in flight, on top", BLUE, Mark::Area(0.7)),
            Entry::new("age of the oldest", PURPLE, Mark::Line),
        ];
        if has_tasks {
            legend.push(Entry::new("tasks running", SKY, Mark::Area(0.55)));
            legend.push(Entry::new("tasks desired", INK, Mark::Line));
        }
        canvas.legend(&legend)?;
        let frames = canvas.panels(panels);
        for (place, frame) in frames.into_iter().enumerate() {
            let rows = layered(&[backlog, in_flight], &[0, 1], 2);
            let (name, values) = match place {
                0 => {
                    let top = rows.iter().map(|(_, levels)| levels.iter().sum()).fold(0.0, f64::max);
                    ("messages".to_owned(), ValueAxis::counts(top))
                }
                1 => (format!("age of the oldest [{unit}]"), ValueAxis::from_zero(highest(&age))),
                _ => ("tasks".to_owned(), ValueAxis::counts(highest(desired).max(highest(running)))),
            };
            let panel = Panel::new(frame, folder.times(), values);
            canvas.backdrop(&panel, &folder.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &name)?;
            match place {
                0 => canvas.stack(&panel, &rows, &[VERMILION, BLUE], 0.7)?,
                1 => canvas.steps(&panel, &age, PURPLE, 3)?,
                _ => {
                    canvas.area(&panel, running, SKY, 0.55)?;
                    canvas.steps(&panel, desired, INK, 3)?;
                }
            }
        }
        canvas.time_caption(&axis, &folder.plan)
    })
    .map(Some)
}

/// What variants of a scenario left waiting in a queue that all of them have, one line a variant.
pub(super) fn overlay(
    scenario: &str,
    runs: &[(String, Folder)],
    plan: &QueuePlan,
) -> Result<Option<String>, PlotError> {
    struct Curves {
        backlog: Vec<(f64, f64)>,
        age: Vec<(f64, f64)>,
        running: Vec<(f64, f64)>,
        oldest: f64,
    }
    let shown = &runs[..runs.len().min(SERIES.len())];
    let service = plan.service.as_deref().unwrap_or_default();
    let top_age = shown.iter().map(|(_, run)| highest(run.series(&plan.resource, "age_s"))).fold(0.0, f64::max);
    let (unit, scale) = unit_of(top_age);
    let curves: Vec<Curves> = shown
        .iter()
        .map(|(_, run)| {
            let age = run.series(&plan.resource, "age_s");
            let (from, to) = run.measured();
            Curves {
                backlog: run.series(&plan.resource, "backlog").to_vec(),
                age: scaled(age, scale),
                running: run.series(service, "RunningCount").to_vec(),
                oldest: peak(age, from, to).1,
            }
        })
        .collect();
    let top =
        |pick: fn(&Curves) -> &Vec<(f64, f64)>| curves.iter().map(|curves| highest(pick(curves))).fold(0.0, f64::max);
    if shown.len() < 2 || top(|curves| &curves.backlog) == 0.0 {
        return Ok(None);
    }
    let order = |a: &usize, b: &usize| curves[*a].oldest.total_cmp(&curves[*b].oldest);
    let (Some(best), Some(worst)) = ((0..shown.len()).min_by(order), (0..shown.len()).max_by(order)) else {
        return Ok(None);
    };
    let title = if curves[best].oldest == curves[worst].oldest {
        format!("The oldest message of {} was {} old in each variant", name_of(plan), span(curves[best].oldest))
    } else {
        format!(
            "The oldest message of {} was {} old with {}, {} with {}",
            name_of(plan),
            span(curves[best].oldest),
            shown[best].0,
            span(curves[worst].oldest),
            shown[worst].0
        )
    };
    let until = shown.iter().map(|(_, run)| run.plan.duration_s).fold(0.0, f64::max);
    let plan_shown = &shown[0].1.plan;
    let axis = TimeAxis::new(shown[0].1.plan.start, (0.0, until));
    let subtitle = format!("{scenario}: replication 0 of each variant, {}, same random numbers", span(until));
    picture(&title, &subtitle, HEIGHT + 160, |canvas| {
        let legend: Vec<Entry> =
            shown.iter().zip(SERIES).map(|((name, _), colour)| Entry::new(name.as_str(), colour, Mark::Line)).collect();
        canvas.legend(&legend)?;
        let has_tasks = top(|curves| &curves.running) > 0.0;
        let frames = canvas.panels(if has_tasks { 3 } else { 2 });
        for (place, frame) in frames.into_iter().enumerate() {
            let (name, values) = match place {
                0 => ("messages visible".to_owned(), ValueAxis::counts(top(|curves| &curves.backlog))),
                1 => (format!("age of the oldest [{unit}]"), ValueAxis::from_zero(top(|curves| &curves.age))),
                _ => ("tasks running".to_owned(), ValueAxis::counts(top(|curves| &curves.running))),
            };
            let panel = Panel::new(frame, (0.0, until), values);
            canvas.backdrop(&panel, plan_shown)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &name)?;
            for (Curves { backlog, age, running, .. }, colour) in curves.iter().zip(SERIES) {
                canvas.steps(&panel, [backlog, age, running][place], colour, 3)?;
            }
        }
        canvas.time_caption(&axis, plan_shown)
    })
    .map(Some)
}
