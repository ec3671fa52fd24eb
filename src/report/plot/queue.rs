//! The picture of a queue: what waits in it, how old that is, and the tasks that drain it.

use super::PlotError;
use super::chart::{Entry, Mark, Panel, ValueAxis, picture};
use super::folder::{Folder, QueuePlan, layered, peak};
use super::run::{highest, measured, peak_moment, plural, subtitle, time_axis};
use super::theme::{HEIGHT, INK, ORANGE, SKY, VERMILION};
use crate::report::format::span;

/// The queue's name.
pub(super) fn name_of(plan: &QueuePlan) -> &str {
    plan.resource.trim_start_matches("queue/")
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
    let (from, to) = measured(folder);
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
    let (unit, scale) = match highest(age) {
        top if top < 180.0 => ("s", 1.0),
        top if top < 3.0 * 3600.0 => ("min", 1.0 / 60.0),
        _ => ("h", 1.0 / 3600.0),
    };
    let age: Vec<(f64, f64)> = age.iter().map(|(at, seconds)| (*at, seconds * scale)).collect();
    let has_tasks = !desired.is_empty();
    let panels = if has_tasks { 3 } else { 2 };
    picture(&title, &subtitle(folder, &drained), HEIGHT + 160, |canvas| {
        let mut legend = vec![
            Entry::new("visible", VERMILION, Mark::Area(0.7)),
            Entry::new("in flight, on top", ORANGE, Mark::Area(0.7)),
            Entry::new("age of the oldest", INK, Mark::Line),
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
            canvas.warmup(&panel, folder.plan.warmup_s)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, &name)?;
            match place {
                0 => canvas.stack(&panel, &rows, &[VERMILION, ORANGE], 0.7)?,
                1 => canvas.steps(&panel, &age, INK, 3)?,
                _ => {
                    canvas.area(&panel, running, SKY, 0.55)?;
                    canvas.steps(&panel, desired, INK, 3)?;
                }
            }
        }
        canvas.time_caption(&axis, folder.plan.warmup_s)
    })
    .map(Some)
}
