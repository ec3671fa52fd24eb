//! Two runs of the same services laid over each other: tasks, the metric that scales them, latency.

use super::PlotError;
use super::chart::{Canvas, Entry, Mark, Panel, TimeAxis, ValueAxis, picture};
use super::folder::{Folder, ServicePlan};
use super::levels::highest;
use super::run::Named;
use super::theme::{BLUE, HEIGHT, INK, VERMILION};
use crate::report::compare_runs::RunsCompared;
use crate::report::format::{grouped, span};
use crate::report::output::safe_name;

/// What is laid over each other: the names of both runs, and their files.
pub(in crate::report) struct Both<'r> {
    pub(in crate::report) names: [&'r str; 2],
    pub(in crate::report) folders: [&'r Folder; 2],
}

/// A picture of each service that both runs have.
pub(super) fn all(both: &Both<'_>, compared: &RunsCompared) -> Result<Vec<Named>, PlotError> {
    let [reference, run] = both.folders;
    let shared = reference.plan.services.iter().filter(|service| {
        run.plan.services.iter().any(|other| other.resource == service.resource)
            && both.folders.iter().all(|folder| !folder.series(&service.resource, "DesiredCount").is_empty())
    });
    shared
        .map(|service| {
            let name = service.resource.rsplit('/').next().unwrap_or_default();
            let svg = service_picture(both, service, &title(name, service, compared))?;
            Ok((safe_name(&format!("compared-{name}")), svg))
        })
        .collect()
}

/// For how much of the time the tasks agree, and how far the medians are apart.
fn title(name: &str, service: &ServicePlan, compared: &RunsCompared) -> String {
    let desired = compared
        .counts
        .iter()
        .find(|count| count.resource == service.resource && count.metric == "DesiredCount")
        .map_or(0.0, |count| count.within_one);
    let key = format!("{}:latency_p50_s", service.resource);
    let median = compared.metrics.iter().find(|row| row.metric == key).and_then(|row| row.relative);
    let latency = median.map_or_else(String::new, |share| {
        let word = if share < 0.0 { "shorter" } else { "longer" };
        format!(", its median latency is {} % {word}", grouped(100.0 * share.abs(), 1))
    });
    format!("{name} wants as many tasks, give or take one, for {} % of the time{latency}", grouped(100.0 * desired, 1))
}

fn service_picture(both: &Both<'_>, service: &ServicePlan, title: &str) -> Result<String, PlotError> {
    let [reference, _] = both.folders;
    let until = both.folders.map(|folder| folder.plan.duration_s).into_iter().fold(0.0, f64::max);
    let axis = TimeAxis::new(reference.plan.start, (0.0, until));
    let of = |metric: &str| both.folders.map(|folder| folder.series(&service.resource, metric));
    let tracked = service.metrics.iter().find(|tracked| tracked.target.is_some());
    let metric = tracked.map(|tracked| both.folders.map(|folder| folder.series(&tracked.resource, &tracked.metric)));
    let latency = of("latency_p50_s");
    let has = |series: &[&[(f64, f64)]; 2]| series.iter().any(|series| !series.is_empty());
    let panels = 2 + usize::from(metric.as_ref().is_some_and(has)) + usize::from(has(&latency));
    let subtitle =
        format!("{} in {}: replication 0 of each, {}", service.resource, reference.plan.scenario, span(until));
    let height = HEIGHT - 300 + 200 * i32::try_from(panels).unwrap_or(2);
    picture(title, &subtitle, height, |canvas| {
        canvas.legend(
            &both
                .names
                .iter()
                .zip(COLOURS)
                .map(|(name, colour)| Entry::new(*name, colour, Mark::Line))
                .collect::<Vec<_>>(),
        )?;
        let mut frames = canvas.panels(panels).into_iter();
        let mut panel = |canvas: &Canvas<'_>, values: ValueAxis, name: &str| -> Result<Option<Panel>, PlotError> {
            let Some(frame) = frames.next() else { return Ok(None) };
            let panel = Panel::new(frame, (0.0, until), values);
            canvas.backdrop(&panel, &reference.plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, name)?;
            Ok(Some(panel))
        };
        for (metric, name) in [("DesiredCount", "tasks desired"), ("RunningCount", "tasks running")] {
            let series = of(metric);
            let top = series.iter().map(|series| highest(series)).fold(0.0, f64::max);
            if let Some(panel) = panel(canvas, ValueAxis::counts(top), name)? {
                for (series, (colour, width)) in series.iter().zip(COLOURS.into_iter().zip(WIDTHS)) {
                    canvas.steps(&panel, series, colour, width)?;
                }
            }
        }
        if let Some((tracked, metric)) = tracked.zip(metric.filter(has)) {
            let target = tracked.target.unwrap_or_default();
            let top = metric.iter().map(|series| highest(series)).fold(target, f64::max);
            let unit = if tracked.metric.ends_with("Utilization") { " [%]" } else { "" };
            let name = format!("{}{unit}; dashed: the target", tracked.metric);
            if let Some(panel) = panel(canvas, ValueAxis::from_zero(top), &name)? {
                let y = panel.y(target);
                canvas.dashed(&[(panel.frame.left, y), (panel.frame.right, y)], INK, 2)?;
                for (series, (colour, width)) in metric.iter().zip(COLOURS.into_iter().zip(WIDTHS)) {
                    canvas.line(&panel, series, colour, width)?;
                }
            }
        }
        if has(&latency) {
            let top = latency.iter().map(|series| highest(series)).fold(0.0, f64::max);
            if let Some(panel) = panel(canvas, ValueAxis::from_zero(top), "median latency, minute by minute [s]")? {
                for (series, (colour, width)) in latency.iter().zip(COLOURS.into_iter().zip(WIDTHS)) {
                    canvas.line(&panel, series, colour, width)?;
                }
            }
        }
        canvas.time_caption(&axis, &reference.plan)
    })
}

/// The reference lies below and is broader, so that both are seen where they agree.
const COLOURS: [plotters::style::RGBColor; 2] = [BLUE, VERMILION];
const WIDTHS: [u32; 2] = [6, 3];
