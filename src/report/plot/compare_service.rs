//! How the same service was scaled by each variant of a comparison: the metric, the tasks, and how soon a breach was
//! answered.

use super::PlotError;
use super::chart::{Canvas, Entry, Frame, Mark, Panel, TimeAxis, Type, ValueAxis, picture};
use super::findings::{plural, rounded};
use super::folder::{Folder, ServicePlan, TrackedSeries, integral};
use super::run::Named;
use super::theme::{AXIS, FAINT, GRID, HEIGHT, INK, LABEL, SERIES};
use crate::report::compare::Comparison;
use crate::report::format::span;
use crate::report::output::safe_name;

/// A picture of each service that every variant has and at least one of them scales.
pub(super) fn all(comparison: &Comparison, runs: &[(String, Folder)]) -> Result<Vec<Named>, PlotError> {
    let shown = &runs[..runs.len().min(SERIES.len())];
    if shown.len() < 2 {
        return Ok(Vec::new());
    }
    let mut pictures = Vec::new();
    for service in &shown[0].1.plan.services {
        let name = service.resource.rsplit('/').next().unwrap_or_default();
        let curves: Vec<Curves<'_>> =
            shown.iter().filter_map(|(variant, run)| Curves::new(variant, run, &service.resource)).collect();
        if curves.len() == shown.len() && curves.iter().any(|curves| curves.desired.len() > 1) {
            let svg = service_picture(comparison, service, name, &curves)?;
            pictures.push((safe_name(&format!("scaling-{name}")), svg));
        }
    }
    Ok(pictures)
}

/// What one variant shows of a service.
struct Curves<'r> {
    variant: &'r str,
    run: &'r Folder,
    desired: &'r [(f64, f64)],
    tracked: Option<&'r TrackedSeries>,
}

impl<'r> Curves<'r> {
    fn new(variant: &'r str, run: &'r Folder, resource: &str) -> Option<Self> {
        let plan = run.plan.services.iter().find(|service| service.resource == resource)?;
        let tracked = plan.metrics.iter().find(|tracked| tracked.target.is_some());
        Some(Self { variant, run, desired: run.series(resource, "DesiredCount"), tracked })
    }

    fn metric(&self) -> &'r [(f64, f64)] {
        self.tracked.map_or(&[], |tracked| self.run.series(&tracked.resource, &tracked.metric))
    }

    fn mean_tasks(&self) -> f64 {
        let (from, to) = (self.run.plan.warmup_s, self.run.plan.duration_s);
        if to > from { integral(self.desired, from, to) / (to - from) } else { 0.0 }
    }

    /// For how long the metric was above its target, without the warm-up [s].
    fn above_target(&self) -> Option<f64> {
        let target = self.tracked?.target?;
        let (from, to) = (self.run.plan.warmup_s, self.run.plan.duration_s);
        let metric = self.metric();
        let spans = metric.iter().enumerate().map(|(place, (at, value))| {
            let end = metric.get(place + 1).map_or(to, |(next, _)| *next);
            if *value > target { end.min(to) - at.max(from) } else { 0.0 }
        });
        Some(spans.map(|span| span.max(0.0)).sum())
    }

    /// From the first period above the target to the scale-out that answered it, for each breach [s].
    fn reactions(&self) -> Vec<f64> {
        let Some(target) = self.tracked.and_then(|tracked| tracked.target) else { return Vec::new() };
        reactions(self.metric(), target, self.desired, self.run.plan.warmup_s)
    }
}

/// The times from the start of each breach of `target` after `from` to the next increase of the desired count.
fn reactions(metric: &[(f64, f64)], target: f64, desired: &[(f64, f64)], from: f64) -> Vec<f64> {
    let increases: Vec<f64> = desired.windows(2).filter(|pair| pair[1].1 > pair[0].1).map(|pair| pair[1].0).collect();
    let mut answers = Vec::new();
    let mut begun: Option<f64> = None;
    let mut quiet = true;
    for (place, (at, value)) in metric.iter().enumerate() {
        // A breach that a scale-out has answered is over once the metric has been at its target or below.
        if *value <= target {
            (begun, quiet) = (None, true);
            continue;
        }
        if quiet && begun.is_none() && *at >= from {
            (begun, quiet) = (Some(onset(metric, place)), false);
        }
        let end = metric.get(place + 1).map_or(f64::INFINITY, |(next, _)| *next);
        // A datapoint shows late: the answer comes while a later one is measured.
        if let Some(start) = begun
            && let Some(answer) = increases.iter().find(|increase| **increase > start && **increase < end)
        {
            answers.push(answer - start);
            begun = None;
        }
    }
    answers
}

/// When within its period the rise began that a datapoint shows: one half way between its neighbours began half way.
fn onset(metric: &[(f64, f64)], place: usize) -> f64 {
    let (at, value) = metric[place];
    let (Some((_, before)), Some((next, after))) =
        (place.checked_sub(1).map(|place| metric[place]), metric.get(place + 1))
    else {
        return at;
    };
    if value <= before || *after <= value {
        return at;
    }
    at + (after - value) / (after - before) * (next - at)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[middle / 2], sorted[middle.div_ceil(2)]))
}

/// Who was above the target for how long; else who had how many tasks.
fn title(name: &str, curves: &[Curves<'_>]) -> String {
    let above: Vec<(f64, &str)> =
        curves.iter().filter_map(|curves| Some((curves.above_target()?, curves.variant))).collect();
    let extremes = |values: &[(f64, &str)]| -> Option<((f64, String), (f64, String))> {
        let least = values.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let most = values.iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(((least.0, least.1.to_owned()), (most.0, most.1.to_owned())))
    };
    if let Some(((least, best), (most, worst))) = extremes(&above).filter(|_| above.len() == curves.len())
        && most > 0.0
        && best != worst
    {
        let brief = |seconds: f64| if seconds > 0.0 { span(seconds) } else { "never".to_owned() };
        return format!("{name} was above its target for {} with {worst}, {} with {best}", span(most), brief(least));
    }
    let tasks: Vec<(f64, &str)> = curves.iter().map(|curves| (curves.mean_tasks(), curves.variant)).collect();
    match extremes(&tasks) {
        Some(((few, fewest), (many, most))) if rounded(few) < rounded(many) => {
            format!(
                "{name} had {} on average with {fewest}, {} with {most}",
                plural(rounded(few), "task"),
                rounded(many)
            )
        }
        _ => format!("{name} had {} on average, whatever the variant", plural(rounded(tasks[0].0), "task")),
    }
}

fn service_picture(
    comparison: &Comparison,
    service: &ServicePlan,
    name: &str,
    curves: &[Curves<'_>],
) -> Result<String, PlotError> {
    let until = curves.iter().map(|curves| curves.run.plan.duration_s).fold(0.0, f64::max);
    let plan = &curves[0].run.plan;
    let axis = TimeAxis::new(plan.start, (0.0, until));
    let answered: Vec<Vec<f64>> = curves.iter().map(Curves::reactions).collect();
    // Two or three breaches are no distribution, and alike ones no picture; the lines above show them well enough.
    let medians: Vec<f64> =
        answered.iter().filter(|reactions| reactions.len() >= 4).filter_map(|reactions| median(reactions)).collect();
    let (least, most) =
        (medians.iter().copied().fold(f64::INFINITY, f64::min), medians.iter().copied().fold(0.0, f64::max));
    let enough = medians.len() >= 2 && most > 1.2 * least;
    let measured = curves.iter().any(|curves| !curves.metric().is_empty());
    let panels = 1 + usize::from(measured) + usize::from(enough);
    let subtitle = format!(
        "{} in {}: replication 0 of each variant, {}, same random numbers",
        service.resource,
        comparison.scenario,
        span(until)
    );
    let height = HEIGHT - 200 + 220 * i32::try_from(panels).unwrap_or(1);
    picture(&title(name, curves), &subtitle, height, |canvas| {
        let legend: Vec<Entry> = curves
            .iter()
            .zip(SERIES)
            .map(|(curves, colour)| {
                let tasks = plural(rounded(curves.mean_tasks()), "task");
                Entry::new(format!("{}: {tasks} on average", curves.variant), colour, Mark::Line)
            })
            .collect();
        canvas.legend(&legend)?;
        let mut frames = canvas.panels(panels).into_iter();
        if let Some(tracked) = curves.iter().find_map(|curves| curves.tracked)
            && measured
            && let Some(frame) = frames.next()
        {
            let values = || curves.iter().flat_map(Curves::metric).map(|(_, value)| *value);
            let top = values().fold(tracked.target.unwrap_or(0.0), f64::max);
            let panel = Panel::new(frame, (0.0, until), ValueAxis::from_zero(top));
            canvas.backdrop(&panel, plan)?;
            canvas.time_axis(&panel, &axis)?;
            let unit = if tracked.metric.ends_with("Utilization") { " [%]" } else { "" };
            canvas.value_axis(&panel, &format!("{}{unit}; dashed: the target", tracked.metric))?;
            if let Some(target) = tracked.target {
                let y = panel.y(target);
                canvas.dashed(&[(panel.frame.left, y), (panel.frame.right, y)], INK, 2)?;
            }
            for (curves, colour) in curves.iter().zip(SERIES) {
                canvas.line(&panel, curves.metric(), colour, 3)?;
            }
        }
        if let Some(frame) = frames.next() {
            let top = curves.iter().flat_map(|curves| curves.desired).map(|(_, value)| *value).fold(0.0, f64::max);
            let panel = Panel::new(frame, (0.0, until), ValueAxis::counts(top));
            canvas.backdrop(&panel, plan)?;
            canvas.time_axis(&panel, &axis)?;
            canvas.value_axis(&panel, "tasks desired")?;
            for (curves, colour) in curves.iter().zip(SERIES) {
                canvas.steps(&panel, curves.desired, colour, 3)?;
            }
        }
        if let Some(frame) = frames.next() {
            draw_reactions(canvas, frame, curves, &answered)?;
        }
        canvas.time_caption(&axis, plan)
    })
}

/// A row of dots a variant: how long after the start of each breach the scale-out came.
fn draw_reactions(
    canvas: &Canvas<'_>,
    frame: Frame,
    curves: &[Curves<'_>],
    answered: &[Vec<f64>],
) -> Result<(), PlotError> {
    const NAMES: i32 = 150;
    let axis = ValueAxis::from_zero(answered.iter().flatten().copied().fold(0.0, f64::max) / 60.0);
    let (low, high) = axis.range();
    let left = frame.left + NAMES;
    let x =
        |seconds: f64| left + ((seconds / 60.0 - low) / (high - low) * f64::from(frame.right - left)).round() as i32;
    let heading = "from a breach of the target to the scale-out [min]; a dot a breach, a bar the median";
    canvas.text((frame.left - 80, frame.top - 24), heading, Type::new(LABEL, INK).bold())?;
    for tick in axis.ticks() {
        let at = x(tick * 60.0);
        canvas.path(vec![(at, frame.top), (at, frame.bottom)], GRID, 1)?;
        canvas.text((at, frame.bottom + 20), &axis.label(tick), Type::new(LABEL, FAINT).centred())?;
    }
    canvas.path(vec![(left, frame.bottom), (frame.right, frame.bottom)], AXIS, 1)?;
    let rows = i32::try_from(curves.len()).unwrap_or(1);
    for (row, ((curves, reactions), colour)) in (0..).zip(curves.iter().zip(answered).zip(SERIES)) {
        let y = frame.top + (frame.bottom - frame.top) * (2 * row + 1) / (2 * rows);
        canvas.text((left - 16, y), curves.variant, Type::new(LABEL, INK).right())?;
        for seconds in reactions {
            canvas.disc((x(*seconds), y), 7, colour)?;
        }
        if let Some(middle) = median(reactions) {
            let at = x(middle);
            canvas.path(vec![(at, y - 20), (at, y + 20)], INK, 4)?;
            canvas.text((at + 12, y - 24), &span(middle), Type::new(LABEL, INK))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_lasts_until_a_scale_out_answers_it() {
        let minutes = |values: &[f64]| -> Vec<(f64, f64)> {
            (0..).zip(values).map(|(minute, value)| (60.0 * f64::from(minute), *value)).collect()
        };
        let metric = minutes(&[50.0, 70.0, 75.0, 80.0, 65.0, 50.0, 70.0, 50.0, 90.0, 90.0]);
        // The breach of the first minute, 70 between 50 and 75, is answered in the fourth; that of the sixth never; that of
        // the eighth twice.
        let desired = [(0.0, 4.0), (250.0, 6.0), (400.0, 5.0), (545.0, 7.0), (590.0, 9.0)];
        assert_eq!(reactions(&metric, 60.0, &desired, 0.0), [178.0, 65.0]);
        assert_eq!(reactions(&metric, 60.0, &desired, 300.0), [65.0], "those of the warm-up do not count");
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[1.0, 2.0]), median(&[])), (Some(2.0), Some(1.5), None));
    }
}
